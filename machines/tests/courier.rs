//! Searches by way of a real server have the journal of one in threads, whatever is killed. The
//! server is the one of `.ci/nats-server`:
//!
//! ```sh
//! cargo test -p symopt-machines --features nats --test courier -- --include-ignored
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use symopt_cancel::CancelToken;
use symopt_machines::courier::{Courier, CourierError, Link, Terms, serve};
use symopt_machines::probe::Probe;
use symopt_proxy_tasks::error::TaskError;
use symopt_proxy_tasks::executor::Executor;
use symopt_proxy_tasks::job::{Job, JobKind, SuiteText};
use symopt_search::SearchConfig;
use symopt_search::journal::Journal;
use symopt_search::launch::Launcher;
use symopt_testing::nats::Server;

fn link(server: &Server) -> Link {
    Link::new(&server.url())
}

fn courier(server: &Server, class: &str) -> Courier {
    Courier::new(&link(server), class, Box::new(|_| {})).unwrap()
}

fn terms(server: &Server, name: &str) -> Terms {
    Terms {
        link: link(server),
        class: "cpu".to_owned(),
        name: name.to_owned(),
        slots: 1,
        idle_exit: None,
        command: None,
        limit: Duration::from_secs(600),
        probe: Probe::here(&CancelToken::new()).unwrap(),
    }
}

fn config(programs: u64) -> SearchConfig {
    let mut config = SearchConfig {
        suite: "smoke".to_owned(),
        seed: 5,
        initial: vec!["adamw".to_owned()].into(),
        ..SearchConfig::default()
    };
    (config.fitness.seeds, config.fitness.tuning_seeds) = (2, 2);
    (config.evolution.population, config.evolution.tournament, config.evolution.lag) = (20, 4, 8);
    (config.hurdle.quantile, config.hurdle.every) = (0.3, 10);
    config.limits.programs = programs;
    config
}

fn contents(executor: Option<Arc<dyn Executor>>, config: &SearchConfig) -> String {
    let directory = tempfile::tempdir().unwrap();
    let (store, cancel) = (directory.path().join("store"), CancelToken::new());
    let launch = Launcher::new(executor).begin(config.clone(), &store, &cancel).unwrap();
    drop(launch.run(4, &cancel, &mut |_| {}).unwrap());
    Journal::open(&store).unwrap().contents().unwrap()
}

/// Cancels when it is dropped, so that a test that fails does not wait for its workers.
struct Ends<'a>(&'a CancelToken);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Counts the jobs that are asked for.
struct Counting(Courier, AtomicUsize);

impl Executor for Counting {
    fn execute(&self, job: &Job, cancel: &CancelToken) -> Result<serde_json::Value, TaskError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.execute(job, cancel)
    }
}

#[test]
#[ignore = "it starts the server of .ci/nats-server: `.ci/run` runs it"]
fn a_search_by_workers_has_the_journal_of_one_in_threads_while_the_server_is_killed_and_wiped() {
    let (store, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut server = Server::start(store.path());
    let config = config(1500);
    let expected = contents(None, &config);
    let counting = Arc::new(Counting(courier(&server, "cpu"), AtomicUsize::new(0)));
    let courier: Arc<dyn Executor> = Arc::clone(&counting) as _;
    // However fast the machine is, the server ends in the middle of the work.
    let wait_for = |jobs: usize| {
        let begin = Instant::now();
        while counting.1.load(Ordering::Relaxed) < jobs {
            assert!(begin.elapsed() < Duration::from_secs(60), "there are no {jobs} jobs");
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    let (drain, cancel) = (CancelToken::new(), CancelToken::new());
    let all = [terms(&server, "one"), terms(&server, "two")];
    std::thread::scope(|scope| {
        let _ends = Ends(&drain);
        let workers: Vec<_> =
            all.iter().map(|terms| scope.spawn(|| serve(terms, &drain, &cancel))).collect();
        let search = scope.spawn(|| contents(Some(courier), &config));
        wait_for(30);
        server.kill();
        server.restart();
        wait_for(60);
        server.kill();
        // All that it kept is gone.
        server.restart_without(other.path());
        assert!(!search.is_finished(), "the search ended before the server did");
        let found = search.join().unwrap();
        drain.cancel();
        let jobs: u64 =
            workers.into_iter().map(|worker| worker.join().unwrap().unwrap().jobs).sum();
        assert!(found == expected, "the journals differ");
        assert!(jobs > 100, "{jobs}");
    });
}

#[test]
#[ignore = "it starts the server of .ci/nats-server: `.ci/run` runs it"]
fn a_job_that_was_given_up_is_done_by_another_worker() {
    let store = tempfile::tempdir().unwrap();
    let server = Server::start(store.path());
    let config = config(300);
    let expected = contents(None, &config);
    let courier: Arc<dyn Executor> = Arc::new(courier(&server, "cpu"));
    std::thread::scope(|scope| {
        let search = scope.spawn(|| contents(Some(courier), &config));
        let mut served = Vec::new();
        for turn in 0..2 {
            let cancel = CancelToken::new();
            let terms = terms(&server, &format!("worker-{turn}"));
            let worker = scope.spawn({
                let cancel = cancel.clone();
                move || serve(&terms, &CancelToken::new(), &cancel)
            });
            std::thread::sleep(Duration::from_millis(150));
            cancel.cancel();
            served.push(worker.join());
        }
        // The workers gave their jobs back, so that they are there at once.
        let (terms, drain) = (terms(&server, "last"), CancelToken::new());
        let ends = drain.clone();
        let worker = scope.spawn(move || serve(&terms, &ends, &CancelToken::new()));
        let found = search.join();
        drain.cancel();
        served.push(worker.join());
        for served in served {
            let _ = served.unwrap().unwrap();
        }
        assert!(found.unwrap() == expected, "the journals differ");
    });
}

#[test]
#[ignore = "it starts the server of .ci/nats-server: `.ci/run` runs it"]
fn what_is_no_server_to_trust_is_refused() {
    let error = |url: &str, class: &str| {
        Courier::new(&Link::new(url), class, Box::new(|_| {})).err().unwrap()
    };
    assert!(matches!(error("nats://192.0.2.1:4222", "cpu"), CourierError::Plain { .. }));
    assert!(matches!(error("nats://127.0.0.1:1", "cpu"), CourierError::Connect { .. }));
    assert!(matches!(error("not a url", "cpu"), CourierError::Url { .. }));
    assert!(matches!(error("nats://127.0.0.1:1", "a.b"), CourierError::Class(_)));
    let cancelled = CancelToken::new();
    cancelled.cancel();
    let store = tempfile::tempdir().unwrap();
    let server = Server::start(store.path());
    let courier = courier(&server, "nobody");
    let job = Job {
        kind: JobKind::TrainingRun,
        hash_version: 1,
        suite: SuiteText { name: String::new(), text: String::new() },
        body: serde_json::Value::Null,
    };
    assert!(courier.execute(&job, &cancelled).unwrap_err().is_cancelled());
    // One that is cancelled takes nothing from another one that waits for the same job.
    std::thread::scope(|scope| {
        let job = Job { hash_version: 0, ..job.clone() };
        let (first, last) = (CancelToken::new(), CancelToken::new());
        let waits = |cancel: CancelToken| {
            let (courier, job) = (&courier, job.clone());
            scope.spawn(move || courier.execute(&job, &cancel).unwrap_err())
        };
        let gives_up = waits(first.clone());
        std::thread::sleep(Duration::from_millis(100));
        let waits_on = waits(last.clone());
        std::thread::sleep(Duration::from_millis(100));
        first.cancel();
        assert!(gives_up.join().unwrap().is_cancelled());
        let nobody = Terms {
            class: "nobody".to_owned(),
            idle_exit: Some(Duration::from_secs(1)),
            ..terms(&server, "late")
        };
        serve(&nobody, &CancelToken::new(), &CancelToken::new()).unwrap();
        let said = waits_on.join().unwrap().to_string();
        assert!(said.contains("worker late: refused"), "{said}");
    });
}
