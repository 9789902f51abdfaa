//! Where the time of a search goes, and what a second thread brings: the same search on the `quick`
//! suite with one thread and with two. The targets are 95 % of the processor time inside
//! evaluations, and 1.85 times the speed; the machine should have two idle cores.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use cpu_time::{ProcessTime, ThreadTime};
use symopt_cancel::CancelToken;
use symopt_dsl::FunctionalHash;
use symopt_proxy_tasks::error::TaskError;
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_proxy_tasks::task::Verdict;
use symopt_search::journal::{Journal, Settings};
use symopt_search::judge::evaluation::Evaluation;
use symopt_search::judge::{Judge, Request, SuiteJudge};
use symopt_search::{Search, SearchConfig};

/// Programs of one search.
const PROGRAMS: u64 = 8000;

/// Searches with each number of threads; the fastest counts.
const ROUNDS: usize = 3;

/// Adds up the processor time of the evaluations.
struct Measured {
    judge: SuiteJudge,
    nanoseconds: AtomicU64,
}

impl Judge for Measured {
    fn checkpoints(&self) -> usize {
        self.judge.checkpoints()
    }

    fn judge(
        &self,
        request: &Request,
        cancel: &CancelToken,
        watch: &mut dyn FnMut(usize, f64) -> Verdict,
    ) -> Result<Evaluation, TaskError> {
        let begin = ThreadTime::now();
        let evaluation = self.judge.judge(request, cancel, watch);
        self.nanoseconds.fetch_add(begin.elapsed().as_nanos() as u64, Ordering::Relaxed);
        evaluation
    }
}

fn main() {
    let source = SuiteSource::find("quick").expect("it is built in");
    let suite = Arc::new(source.suite().expect("it is built in"));
    let mut config = SearchConfig::default();
    config.limits.programs = PROGRAMS;
    let initial = {
        let program =
            symopt_programs::find(&config.initial.to_string()).expect("it is in the zoo").program();
        let mut signature = program.signature().clone();
        signature.numerics = config.numerics.into();
        program.with_signature(signature)
    };
    let mut seconds = [f64::INFINITY; 2];
    for round in 0..ROUNDS {
        for threads in [1, 2] {
            let directory = tempfile::tempdir().expect("there is a temporary directory");
            let settings = Settings {
                config: config.clone(),
                initial: initial.to_string(),
                others: Vec::new(),
                suite: source.text.clone(),
                target: None,
                hash_version: FunctionalHash::FORMAT_VERSION,
            };
            let mut journal = Journal::create(&directory.path().join("store"), settings)
                .expect("the directory is new");
            let judge = Measured {
                judge: SuiteJudge::new(Arc::clone(&suite), &CancelToken::new())
                    .expect("the suite is tuned"),
                nanoseconds: AtomicU64::new(0),
            };
            let (begin, process_begin) = (Instant::now(), ProcessTime::now());
            let search = Search::new(config.clone(), None, &judge, &mut journal, threads);
            let result = search
                .run(initial.clone(), &CancelToken::new(), &mut |_| {})
                .expect("the search runs");
            let (elapsed, process) =
                (begin.elapsed().as_secs_f64(), process_begin.elapsed().as_secs_f64());
            let evaluating = judge.nanoseconds.load(Ordering::Relaxed) as f64 / 1e9;
            seconds[threads - 1] = seconds[threads - 1].min(elapsed);
            println!(
                "round {round}, {threads} thread(s): {elapsed:.2} s, {:.0} programs/s, {:.0} evaluations/s, {:.2} % of {process:.2} s processor time in evaluations",
                result.statistics.generated as f64 / elapsed,
                result.statistics.evaluated as f64 / elapsed,
                100.0 * evaluating / process
            );
        }
    }
    println!(
        "two threads are {:.2} times as fast as one (fastest of {ROUNDS} each)",
        seconds[0] / seconds[1]
    );
}
