//! The search is the same on any number of threads, and a resumed search is the same as an uninterrupted one.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use symopt_dsl::{FunctionalHash, Graph, Program};
use symopt_proxy_tasks::suite::Fitness;
use symopt_proxy_tasks::task::{TaskError, Verdict};
use symopt_search::cache::Evaluation;
use symopt_search::config::{SearchConfig, TargetFitness};
use symopt_search::engine::{Progress, SearchResult};
use symopt_search::journal::{Journal, Settings};
use symopt_search::judge::Judge;
use symopt_search::{Search, StopReason};

/// Gives every function a fitness out of its hash, after a wait that depends on the hash too, so that evaluations end out of order.
#[derive(Default)]
struct HashJudge {
    judged: AtomicU64,
}

const CHECKPOINTS: usize = 4;

impl Judge for HashJudge {
    fn checkpoints(&self) -> usize {
        CHECKPOINTS
    }

    fn judge(&self, program: &Program, watch: &mut dyn FnMut(usize, f64) -> Verdict) -> Result<Evaluation, TaskError> {
        self.judged.fetch_add(1, Ordering::Relaxed);
        let hash = Graph::new(program).unwrap().hash().0;
        let target = (hash % 1000) as f64 / 1000.0;
        std::thread::sleep(std::time::Duration::from_micros((hash >> 64) as u64 % 800));
        if hash.is_multiple_of(17) {
            return Ok(Evaluation { fitness: Fitness::Diverged, curve: [].into() });
        }
        let mut curve = Vec::new();
        for checkpoint in 0..CHECKPOINTS {
            let running = target * (checkpoint + 1) as f64 / CHECKPOINTS as f64;
            curve.push(running);
            if watch(checkpoint, running) == Verdict::Stop && checkpoint + 1 < CHECKPOINTS {
                return Ok(Evaluation { fitness: Fitness::Hopeless { checkpoint }, curve: curve.into() });
            }
        }
        Ok(Evaluation { fitness: Fitness::Improvement(target), curve: curve.into() })
    }
}

fn config(seed: u64) -> SearchConfig {
    let mut config = SearchConfig { seed, ..SearchConfig::default() };
    config.evolution.population = 50;
    config.evolution.lag = 32;
    config.hurdle.margin = 0.1;
    config.limits.programs = 3000;
    config
}

fn initial() -> Program {
    symopt_programs::find("adamw-paper").unwrap().program()
}

fn new_journal(path: &Path, config: &SearchConfig) -> Journal {
    let settings = Settings {
        config: config.clone(),
        initial: initial().to_string(),
        suite: String::new(),
        target: None,
        hash_version: FunctionalHash::FORMAT_VERSION,
    };
    Journal::create(path, settings).unwrap()
}

fn run(
    config: &SearchConfig,
    journal: &mut Journal,
    threads: usize,
    interrupt: &AtomicBool,
    observe: &mut dyn FnMut(&Progress),
) -> SearchResult {
    let judge = HashJudge::default();
    Search::new(config.clone(), None, &judge, journal, threads).run(initial(), interrupt, observe).unwrap()
}

/// The journal's content and the result of an uninterrupted search.
fn uninterrupted(config: &SearchConfig, threads: usize) -> (String, SearchResult) {
    let directory = tempfile::tempdir().unwrap();
    let mut journal = new_journal(&directory.path().join("store"), config);
    let result = run(config, &mut journal, threads, &AtomicBool::new(false), &mut |_| {});
    (journal.contents().unwrap(), result)
}

#[test]
fn the_journal_and_the_best_program_are_the_same_with_1_2_and_8_threads() {
    let (content, result) = uninterrupted(&config(5), 1);
    assert_eq!(result.stop, StopReason::Programs);
    assert!(
        result.statistics.evaluated > 300 && result.statistics.hopeless > 10 && result.statistics.diverged > 10,
        "{:?}",
        result.statistics
    );
    for threads in [2, 8] {
        let (other_content, other) = uninterrupted(&config(5), threads);
        assert!(content == other_content, "the journal differs with {threads} threads");
        assert_eq!(result.best.program.to_string(), other.best.program.to_string());
        assert_eq!(result.statistics, other.statistics);
        assert_eq!(result.best.fitness, other.best.fitness);
    }
}

#[test]
fn another_seed_gives_another_search() {
    assert_ne!(uninterrupted(&config(5), 2).0, uninterrupted(&config(6), 2).0);
}

#[test]
fn a_search_that_is_interrupted_many_times_ends_as_if_it_never_was() {
    let config = config(11);
    let (content, result) = uninterrupted(&config, 2);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    drop(new_journal(&path, &config));
    for (round, stop_at) in [10, 333, 334, 900, 1700, 2900].into_iter().enumerate() {
        let mut journal = Journal::open(&path).unwrap();
        let interrupt = AtomicBool::new(false);
        let partial = run(&config, &mut journal, 1 + round % 3, &interrupt, &mut |progress| {
            if progress.statistics.generated >= stop_at {
                interrupt.store(true, Ordering::Relaxed);
            }
        });
        assert_eq!(partial.stop, StopReason::Interrupted);
    }
    let mut journal = Journal::open(&path).unwrap();
    let resumed = run(&config, &mut journal, 2, &AtomicBool::new(false), &mut |_| {});
    assert_eq!(resumed.statistics, result.statistics);
    assert!(journal.contents().unwrap() == content, "the journal differs");
}

#[test]
fn a_resumed_search_evaluates_nothing_again_that_was_acknowledged() {
    let config = config(3);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let mut journal = new_journal(&path, &config);
    let first = run(&config, &mut journal, 2, &AtomicBool::new(false), &mut |_| {});
    let improvements = journal.improvements().unwrap();
    assert!(improvements.windows(2).all(|pair| pair[0].fitness < pair[1].fitness && pair[0].index < pair[1].index));
    assert_eq!(improvements.last().map(|i| (i.fitness, Some(i.index))), Some((first.best.fitness, first.best.index)));
    assert_eq!(journal.statistics().unwrap().last(), Some(&first.statistics));
    drop(journal);
    let mut journal = Journal::open(&path).unwrap();
    let judge = HashJudge::default();
    let again = Search::new(config, None, &judge, &mut journal, 2).run(initial(), &AtomicBool::new(false), &mut |_| {}).unwrap();
    assert_eq!(again.statistics, first.statistics);
    // The initial program is judged once more: it is no child.
    assert_eq!(judge.judged.load(Ordering::Relaxed), 1);
}

#[test]
fn every_limit_ends_a_search_for_its_own_reason() {
    let stop = |change: &dyn Fn(&mut SearchConfig)| {
        let mut config = config(1);
        change(&mut config);
        let (_, result) = uninterrupted(&config, 2);
        result.stop
    };
    assert_eq!(stop(&|c| c.limits.programs = 100), StopReason::Programs);
    assert_eq!(stop(&|c| c.limits.evaluations = 20), StopReason::Evaluations);
    assert_eq!(stop(&|c| c.limits.plateau = 200), StopReason::Plateau);
    assert_eq!(stop(&|c| c.limits.target_fitness = TargetFitness::Improvement(0.6)), StopReason::TargetFitness);
    assert_eq!(
        stop(&|c| {
            c.limits.programs = 0;
            c.limits.seconds = 1;
        }),
        StopReason::Seconds
    );
}

#[test]
fn a_target_program_ends_a_search_when_it_is_bred() {
    let config = config(2);
    let directory = tempfile::tempdir().unwrap();
    let mut journal = new_journal(&directory.path().join("first"), &config);
    let result = run(&config, &mut journal, 2, &AtomicBool::new(false), &mut |_| {});
    let target = result.best.hash;
    let mut journal = new_journal(&directory.path().join("second"), &config);
    let judge = HashJudge::default();
    let found = Search::new(config, Some(target), &judge, &mut journal, 2).run(initial(), &AtomicBool::new(false), &mut |_| {}).unwrap();
    assert_eq!((found.stop, found.best.hash, found.best.index), (StopReason::TargetProgram, target, result.best.index));
}

#[test]
fn a_journal_of_another_search_is_refused_not_mixed() {
    let directory = tempfile::tempdir().unwrap();
    let mut journal = new_journal(&directory.path().join("store"), &config(1));
    run(&config(1), &mut journal, 2, &AtomicBool::new(false), &mut |_| {});
    let judge = HashJudge::default();
    let error = Search::new(config(2), None, &judge, &mut journal, 2).run(initial(), &AtomicBool::new(false), &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("does not belong"), "{error}");
}

#[test]
fn a_task_that_fails_ends_the_search_with_its_error() {
    struct Broken;
    impl Judge for Broken {
        fn checkpoints(&self) -> usize {
            1
        }
        fn judge(&self, program: &Program, _: &mut dyn FnMut(usize, f64) -> Verdict) -> Result<Evaluation, TaskError> {
            if *program == initial() {
                return Ok(Evaluation { fitness: Fitness::Improvement(0.0), curve: [0.0].into() });
            }
            Err(TaskError::Data { task: "broken".to_owned(), reason: "no data".to_owned() })
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let mut journal = new_journal(&directory.path().join("store"), &config(1));
    let error = Search::new(config(1), None, &Broken, &mut journal, 2).run(initial(), &AtomicBool::new(false), &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("no data"), "{error}");
}

#[test]
fn an_evaluation_that_panics_ends_the_search_with_an_error_and_not_in_a_wait() {
    struct Buggy;
    impl Judge for Buggy {
        fn checkpoints(&self) -> usize {
            1
        }
        fn judge(&self, program: &Program, _: &mut dyn FnMut(usize, f64) -> Verdict) -> Result<Evaluation, TaskError> {
            assert!(*program == initial(), "a bug");
            Ok(Evaluation { fitness: Fitness::Improvement(0.0), curve: [0.0].into() })
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let mut journal = new_journal(&directory.path().join("store"), &config(1));
    let error = Search::new(config(1), None, &Buggy, &mut journal, 2).run(initial(), &AtomicBool::new(false), &mut |_| {}).unwrap_err();
    assert!(matches!(error, symopt_search::SearchError::Worker), "{error}");
}
