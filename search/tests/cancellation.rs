//! Searches in one process are cancelled independently, also where they share a suite and a judge.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use symopt_cancel::{CancelToken, Cancelled};
use symopt_dsl::{FunctionalHash, Program};
use symopt_proxy_tasks::error::TaskError;
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_proxy_tasks::suite::Fitness;
use symopt_proxy_tasks::task::Verdict;
use symopt_search::engine::{Progress, SearchResult};
use symopt_search::journal::{Journal, Settings};
use symopt_search::judge::evaluation::Evaluation;
use symopt_search::judge::{Judge, Request, SuiteJudge};
use symopt_search::{Search, SearchConfig, SearchError, StopReason};

fn initial() -> Program {
    let program = symopt_programs::find("adamw-paper").unwrap().program();
    let mut signature = program.signature().clone();
    (signature.name, signature.doc) = ("train".to_owned(), None);
    program.with_signature(signature)
}

fn judge() -> SuiteJudge {
    let suite = SuiteSource::find("smoke").unwrap().suite().unwrap();
    SuiteJudge::new(Arc::new(suite), &CancelToken::new()).unwrap()
}

fn config() -> SearchConfig {
    let mut config = SearchConfig { seed: 3, ..SearchConfig::default() };
    (config.evolution.population, config.evolution.lag) = (20, 8);
    config.limits.programs = 200;
    config
}

fn new_journal(store: &Path, config: &SearchConfig) -> Journal {
    let settings = Settings {
        config: config.clone(),
        initial: initial().to_string(),
        others: Vec::new(),
        suite: String::new(),
        target: None,
        hash_version: FunctionalHash::FORMAT_VERSION,
    };
    Journal::create(store, settings).unwrap()
}

/// A search in a store of its own: its result, and what its journal holds.
fn search(
    judge: &SuiteJudge,
    store: &Path,
    cancel: &CancelToken,
    observe: &mut dyn FnMut(&Progress),
) -> (SearchResult, String) {
    let config = config();
    let mut journal = new_journal(store, &config);
    let search = Search::new(config, None, judge, &mut journal, 2);
    let result = search.run(initial(), cancel, observe).unwrap();
    (result, journal.contents().unwrap())
}

#[test]
fn a_search_that_is_cancelled_leaves_another_on_the_same_suite_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = |name: &str| folder.path().join(name);
    let judge = judge();
    let alone = search(&judge, &store("alone"), &CancelToken::new(), &mut |_| {});
    let root = CancelToken::new();
    let (left, right) = (root.child(), root.child());
    let (cancelled, whole) = std::thread::scope(|scope| {
        let cancelled = scope.spawn(|| {
            search(&judge, &store("left"), &left, &mut |progress| {
                if progress.statistics.generated >= 40 {
                    left.cancel();
                }
            })
        });
        // Half of it happens after the other one was cancelled.
        let whole = search(&judge, &store("right"), &right, &mut |progress| {
            while progress.statistics.generated == 100 && !left.is_cancelled() {
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        (cancelled.join().unwrap(), whole)
    });
    assert_eq!(cancelled.0.stop, StopReason::Cancelled);
    assert!(cancelled.0.statistics.generated < 200);
    assert_eq!(whole.0.stop, StopReason::Programs);
    assert_eq!(whole.0.statistics, alone.0.statistics);
    assert!(whole.1 == alone.1, "the journal differs");
    assert!(!root.is_cancelled() && !right.is_cancelled());
    // A search leaves no trace in its judge: the next one with another token is whole again.
    let again = search(&judge, &store("again"), &root.child(), &mut |_| {});
    assert!(again.1 == alone.1, "the journal differs");
}

#[test]
fn what_all_searches_descend_from_cancels_all_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let (judge, root) = (judge(), CancelToken::new());
    let run = |name: &'static str| {
        let (judge, store, root, own) =
            (&judge, folder.path().join(name), root.clone(), root.child());
        move || {
            search(judge, &store, &own, &mut |progress| {
                if name == "first" && progress.statistics.generated >= 40 {
                    root.cancel();
                }
                // It is not done before the other one wants the end.
                while name == "second"
                    && progress.statistics.generated == 100
                    && !root.is_cancelled()
                {
                    std::thread::sleep(Duration::from_millis(1));
                }
            })
            .0
            .stop
        }
    };
    let stops = std::thread::scope(|scope| {
        [run("first"), run("second")]
            .map(|run| scope.spawn(run))
            .map(|search| search.join().unwrap())
    });
    assert_eq!(stops, [StopReason::Cancelled; 2]);
}

/// Judges nothing but waits until it is cancelled; or is cancelled by somebody else.
struct Waiting {
    /// Judges the initial program at once.
    begins: bool,
    by_another: bool,
}

impl Judge for Waiting {
    fn checkpoints(&self) -> usize {
        1
    }

    fn judge(
        &self,
        request: &Request,
        cancel: &CancelToken,
        _: &mut dyn FnMut(usize, f64) -> Verdict,
    ) -> Result<Evaluation, TaskError> {
        if self.begins && *request.program == initial() {
            return Ok(Evaluation::new(Fitness::Improvement(0.0), [0.0].into()));
        }
        if self.by_another {
            return Err(Cancelled::default().into());
        }
        loop {
            cancel.check()?;
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn waiting(judge: &Waiting, seconds: u64, cancel: &CancelToken) -> Result<StopReason, SearchError> {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config();
    config.limits.seconds = seconds;
    let mut journal = new_journal(&folder.path().join("store"), &config);
    let search = Search::new(config, None, judge, &mut journal, 2);
    search.run(initial(), cancel, &mut |_| {}).map(|result| result.stop)
}

#[test]
fn the_clock_and_whoever_cancels_are_told_apart() {
    let (unbegun, begun) =
        (Waiting { begins: false, by_another: false }, Waiting { begins: true, by_another: false });
    let nobody = CancelToken::new();
    assert!(matches!(waiting(&unbegun, 1, &nobody), Err(SearchError::Unbegun)));
    assert!(matches!(waiting(&begun, 1, &nobody), Ok(StopReason::Seconds)));
    let cancel = CancelToken::new();
    let stop = std::thread::scope(|scope| {
        let search = scope.spawn(|| waiting(&begun, 0, &cancel));
        std::thread::sleep(Duration::from_millis(100));
        cancel.cancel();
        search.join().unwrap()
    });
    assert!(matches!(stop, Ok(StopReason::Cancelled)));
    let error = waiting(&unbegun, 1, &cancel).unwrap_err();
    assert!(matches!(error, SearchError::Task(TaskError::Cancelled(_))), "{error}");
}

#[test]
fn an_evaluation_that_somebody_else_cancelled_ends_the_search_with_an_error_and_not_in_a_wait() {
    let error =
        waiting(&Waiting { begins: true, by_another: true }, 0, &CancelToken::new()).unwrap_err();
    assert!(matches!(error, SearchError::Task(TaskError::Cancelled(_))), "{error}");
}
