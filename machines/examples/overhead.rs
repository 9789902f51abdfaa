//! How much asking workers costs: milliseconds for each job on this machine, and a search by two
//! workers against the same search in two threads. The server is the one of `.ci/nats-server`.
//!
//! ```sh
//! cargo run --release -p symopt-machines --features nats --example overhead -- 1x 600
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use symopt_cancel::CancelToken;
use symopt_machines::courier::{Courier, Link, Terms, serve};
use symopt_machines::here::Here;
use symopt_machines::probe::Probe;
use symopt_proxy_tasks::executor::Executor;
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_proxy_tasks::task::{Candidate, Verdict};
use symopt_search::SearchConfig;
use symopt_search::launch::Launcher;
use symopt_testing::nats::Server;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Training runs that are asked for one after another.
const RUNS: u64 = 400;

fn main() -> Outcome<()> {
    let mut words = std::env::args().skip(1);
    let suite = words.next().unwrap_or_else(|| "smoke".to_owned());
    let programs = words.next().map_or(Ok(2000), |programs| programs.parse())?;
    let store = tempfile::tempdir()?;
    let server = Server::start(store.path());
    let link = Link::new(&server.url());
    let courier: Arc<dyn Executor> =
        Arc::new(Courier::new(&link, "cpu", Box::new(|notice| eprintln!("{notice}")))?);
    let cancel = CancelToken::new();
    let terms = |name: &str| -> Outcome<Terms> {
        Ok(Terms {
            link: link.clone(),
            class: "cpu".to_owned(),
            name: name.to_owned(),
            slots: 1,
            idle_exit: None,
            command: None,
            limit: Duration::from_secs(3600),
            probe: Probe::here(&cancel)?,
        })
    };
    let (one, two) = (terms("one")?, terms("two")?);
    let drain = CancelToken::new();
    std::thread::scope(|scope| {
        for terms in [&one, &two] {
            scope.spawn(|| serve(terms, &drain, &cancel));
        }
        let measured = measure(&courier, &suite, programs, &cancel);
        drain.cancel();
        measured
    })
}

fn measure(
    courier: &Arc<dyn Executor>,
    suite: &str,
    programs: u64,
    cancel: &CancelToken,
) -> Outcome<()> {
    let here: Arc<dyn Executor> = Arc::new(Here::default());
    let mut each = Vec::new();
    for executor in [&here, courier] {
        // The first ones are audited, and find nothing in caches.
        runs(executor, 1_000_000, 20, cancel)?;
        let begin = Instant::now();
        runs(executor, 0, RUNS, cancel)?;
        each.push(begin.elapsed().as_secs_f64() * 1e3 / RUNS as f64);
    }
    println!(
        "a job here: {:.2} ms; by a worker: {:.2} ms, {:.2} ms more",
        each[0],
        each[1],
        each[1] - each[0]
    );
    let threads = search(None, 2, suite, programs, cancel)?;
    let workers = search(Some(Arc::clone(courier)), 32, suite, programs, cancel)?;
    println!(
        "{programs} programs on {suite}: {threads:.1} s in two threads, {workers:.1} s by two \
         workers, {:.2} times as fast",
        threads / workers
    );
    Ok(())
}

/// Makes training runs, one after another.
fn runs(executor: &Arc<dyn Executor>, first: u64, count: u64, cancel: &CancelToken) -> Outcome<()> {
    let suite = SuiteSource::find("smoke")?.suite_on(Some(executor))?;
    let task = suite.tasks.first().ok_or("the suite smoke has a task")?;
    let program = symopt_programs::find("lion").ok_or("lion is known")?.program();
    let candidate = Candidate { program: &program, peak_lr: 0.01, hyperparameters: &[] };
    for seed in first..first + count {
        drop(task.task.run(&candidate, seed, cancel, &mut |_| Verdict::Continue)?);
    }
    Ok(())
}

/// Seconds of a search.
fn search(
    executor: Option<Arc<dyn Executor>>,
    threads: usize,
    suite: &str,
    programs: u64,
    cancel: &CancelToken,
) -> Outcome<f64> {
    let directory = tempfile::tempdir()?;
    let mut config = SearchConfig { suite: suite.to_owned(), ..SearchConfig::default() };
    config.limits.programs = programs;
    let launcher = Launcher::new(executor);
    let launch = launcher.begin(config, &directory.path().join("store"), cancel)?;
    let begin = Instant::now();
    drop(launch.run(threads, cancel, &mut |_| {})?);
    Ok(begin.elapsed().as_secs_f64())
}
