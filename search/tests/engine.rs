//! The search is the same on any number of threads, and a resumed search is the same as an
//! uninterrupted one.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use symopt_cancel::CancelToken;
use symopt_dsl::{FunctionalHash, Graph, Program};
use symopt_proxy_tasks::error::TaskError;
use symopt_proxy_tasks::suite::Fitness;
use symopt_proxy_tasks::task::Verdict;
use symopt_search::config::{CacheKey, SearchConfig, Strategy, TargetFitness};
use symopt_search::engine::{Progress, SearchResult};
use symopt_search::journal::{Journal, Settings};
use symopt_search::judge::evaluation::Evaluation;
use symopt_search::judge::inner_tuning::Setting;
use symopt_search::judge::{Judge, Probe, Rejection, Request};
use symopt_search::{Search, StopReason};

/// Gives every function a fitness out of its hash, after a wait that depends on the hash too, so
/// that evaluations end out of order. On other seeds the fitness is a little different, and so it
/// is from another start.
#[derive(Default)]
struct HashJudge<'a> {
    judged: AtomicU64,
    /// Whether it looks at programs before they are judged.
    probes: bool,
    /// The search is interrupted after so many requests of an epoch.
    interrupt: Option<(u64, u64, &'a CancelToken)>,
    /// The epochs that each program was judged in.
    epochs: Mutex<HashMap<String, Vec<u64>>>,
    /// Requests of the epoch of `interrupt`.
    of_epoch: AtomicU64,
}

const CHECKPOINTS: usize = 4;

fn hash_of(program: &Program) -> u128 {
    Graph::new(program).unwrap().hash().0
}

impl Judge for HashJudge<'_> {
    fn checkpoints(&self) -> usize {
        CHECKPOINTS
    }

    fn judge(
        &self,
        request: &Request,
        _: &CancelToken,
        watch: &mut dyn FnMut(usize, f64) -> Verdict,
    ) -> Result<Evaluation, TaskError> {
        self.judged.fetch_add(1, Ordering::Relaxed);
        let hash = hash_of(request.program);
        self.epochs
            .lock()
            .unwrap()
            .entry(FunctionalHash(hash).to_string())
            .or_default()
            .push(request.epoch);
        if let Some((epoch, count, cancel)) = self.interrupt
            && epoch == request.epoch
            && self.of_epoch.fetch_add(1, Ordering::Relaxed) + 1 == count
        {
            cancel.cancel();
        }
        let start = request.start.first().map_or(0, |setting| setting.x);
        let noise = (hash.rotate_left(9 * request.epoch as u32) % 97) as f64 / 970.0;
        let target = (hash % 1000) as f64 / 1000.0 + noise - 0.001 * f64::from(start.abs());
        std::thread::sleep(std::time::Duration::from_micros((hash >> 64) as u64 % 800));
        if hash.is_multiple_of(17) {
            return Ok(Evaluation::new(Fitness::Diverged, [].into()));
        }
        let mut curve = Vec::new();
        for checkpoint in 0..CHECKPOINTS {
            let running = target * (checkpoint + 1) as f64 / CHECKPOINTS as f64;
            curve.push(running);
            if watch(checkpoint, running) == Verdict::Stop && checkpoint + 1 < CHECKPOINTS {
                return Ok(Evaluation::new(Fitness::Hopeless { checkpoint }, curve.into()));
            }
        }
        Ok(Evaluation {
            standard_error: (hash % 13) as f64 / 1300.0,
            seeds: 4,
            settings: [Setting { x: start + (hash % 3) as i16 - 1, z: 0 }].into(),
            ..Evaluation::new(Fitness::Improvement(target), curve.into())
        })
    }

    fn probe(&self, program: &Program) -> Option<Probe> {
        let hash = hash_of(program);
        self.probes.then(|| Probe {
            fingerprint: FunctionalHash(1 + hash % 2000),
            rms: [1.0].into(),
            rejected: hash.is_multiple_of(7).then_some(Rejection::NotFinite),
        })
    }
}

/// It probes where the cache goes by probes.
fn judge_of<'a>(config: &SearchConfig) -> HashJudge<'a> {
    HashJudge { probes: config.cache.key == CacheKey::Probe, ..HashJudge::default() }
}

/// Every option that changes how a search goes.
fn everything(seed: u64) -> SearchConfig {
    let mut config = config(seed);
    (config.fitness.rotate, config.fitness.elite, config.fitness.penalty) = (400, 8, 0.5);
    (config.evolution.islands, config.evolution.migration) = (4, 0.05);
    (config.evolution.parsimony, config.evolution.copies) = (0.01, 0.2);
    (config.cache.key, config.limits.programs) = (CacheKey::Probe, 2000);
    config
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

/// Further programs to start from, with a signature of their own, where there is crossover.
fn others(config: &SearchConfig) -> Vec<Program> {
    let names: &[&str] = if config.mutation.crossover > 0.0 { &["lion", "sgd"] } else { &[] };
    names.iter().map(|name| symopt_programs::find(name).unwrap().program()).collect()
}

fn new_journal(path: &Path, config: &SearchConfig) -> Journal {
    let settings = Settings {
        config: config.clone(),
        initial: initial().to_string(),
        others: Vec::new(),
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
    cancel: &CancelToken,
    observe: &mut dyn FnMut(&Progress),
) -> SearchResult {
    let judge = judge_of(config);
    Search::new(config.clone(), None, &judge, journal, threads)
        .with_others(others(config))
        .run(initial(), cancel, observe)
        .unwrap()
}

/// The journal's content and the result of an uninterrupted search.
fn uninterrupted(config: &SearchConfig, threads: usize) -> (String, SearchResult) {
    let directory = tempfile::tempdir().unwrap();
    let mut journal = new_journal(&directory.path().join("store"), config);
    let result = run(config, &mut journal, threads, &CancelToken::new(), &mut |_| {});
    (journal.contents().unwrap(), result)
}

#[test]
fn the_journal_and_the_best_program_are_the_same_with_1_2_and_8_threads() {
    let (content, result) = uninterrupted(&config(5), 1);
    assert_eq!(result.stop, StopReason::Programs);
    assert!(
        result.statistics.evaluated > 200
            && result.statistics.hopeless > 10
            && result.statistics.diverged > 10,
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
fn with_every_option_the_search_is_the_same_on_1_2_and_4_threads() {
    let (content, result) = uninterrupted(&everything(5), 1);
    let statistics = &result.statistics;
    assert!(statistics.screened > 50 && statistics.evaluated > 200, "{statistics:?}");
    assert!(content.contains("revision/"));
    for threads in [2, 4] {
        let (other_content, other) = uninterrupted(&everything(5), threads);
        assert!(content == other_content, "the journal differs with {threads} threads");
        assert_eq!(
            (statistics, result.best.fitness, result.best.index),
            (&other.statistics, other.best.fitness, other.best.index)
        );
        let population = |result: &SearchResult| -> Vec<_> {
            result.population.iter().map(|i| (i.index, i.hash, i.fitness)).collect()
        };
        assert_eq!(population(&result), population(&other));
    }
    // Every option by itself makes a difference.
    let changes: [fn(&mut SearchConfig); 7] = [
        |c| c.fitness.rotate = 0,
        |c| c.fitness.elite = 4,
        |c| c.fitness.penalty = 0.0,
        |c| c.evolution.islands = 1,
        |c| c.evolution.parsimony = 0.0,
        |c| c.evolution.copies = 1.0,
        |c| c.cache.key = CacheKey::Functional,
    ];
    for (i, change) in changes.into_iter().enumerate() {
        let mut config = everything(5);
        change(&mut config);
        let (_, other) = uninterrupted(&config, 2);
        let hashes = |result: &SearchResult| -> Vec<_> {
            result.population.iter().map(|i| i.hash).collect()
        };
        assert!(hashes(&other) != hashes(&result), "change {i}");
    }
}

#[test]
fn with_every_option_a_search_that_is_interrupted_also_while_the_seeds_change_ends_as_if_it_never_was()
 {
    let config = everything(11);
    let (content, result) = uninterrupted(&config, 2);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    drop(new_journal(&path, &config));
    // Within the first epoch, and in the middle of the change to each of the others: the first
    // requests of an epoch are the elite's.
    for (round, (epoch, count)) in
        [(0, 30), (1, 3), (1, 2), (2, 5), (3, 1), (3, 40), (4, 4)].into_iter().enumerate()
    {
        let mut journal = Journal::open(&path).unwrap();
        let before = journal.revisions().unwrap().len();
        let cancel = CancelToken::new();
        let judge = HashJudge { interrupt: Some((epoch, count, &cancel)), ..judge_of(&config) };
        let partial = Search::new(config.clone(), None, &judge, &mut journal, 1 + round % 2)
            .run(initial(), &cancel, &mut |_| {})
            .unwrap();
        assert_eq!(partial.stop, StopReason::Cancelled);
        let after = journal.revisions().unwrap();
        if epoch > 0 && count < 6 {
            let of_epoch = after.iter().filter(|(number, _)| number >> 16 == epoch).count();
            assert!(
                of_epoch < 8,
                "round {round}: the change was done when it was to be interrupted"
            );
        }
        assert!(after.len() >= before);
        drop(journal);
    }
    let mut journal = Journal::open(&path).unwrap();
    assert!(!journal.revisions().unwrap().is_empty());
    let resumed = run(&config, &mut journal, 2, &CancelToken::new(), &mut |_| {});
    assert_eq!(resumed.statistics, result.statistics);
    assert!(journal.contents().unwrap() == content, "the journal differs");
}

#[test]
fn the_seeds_change_by_the_count_of_children_and_revisions_are_acknowledged() {
    let config = everything(7);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let mut journal = new_journal(&path, &config);
    let judge = judge_of(&config);
    let _ = Search::new(config.clone(), None, &judge, &mut journal, 3)
        .run(initial(), &CancelToken::new(), &mut |_| {})
        .unwrap();
    let (evaluations, revisions) = (journal.evaluations().unwrap(), journal.revisions().unwrap());
    // Children 0 to 399 on the first seeds, 400 to 799 on the next, and so on; programs of the
    // elite once more at each change.
    let mut expected: HashMap<String, Vec<u64>> =
        HashMap::from([(FunctionalHash(hash_of(&initial())).to_string(), vec![0])]);
    for (index, record) in &evaluations {
        expected.entry(record.hash.clone()).or_default().push(index / config.fitness.rotate);
    }
    for (number, record) in &revisions {
        expected.entry(record.hash.clone()).or_default().push(number >> 16);
    }
    let mut judged = judge.epochs.lock().unwrap().clone();
    expected.values_mut().chain(judged.values_mut()).for_each(|epochs| epochs.sort());
    assert_eq!(judged, expected);
    for epoch in 1..=4 {
        let ranks: Vec<u64> = revisions
            .iter()
            .filter(|(number, _)| number >> 16 == epoch)
            .map(|(number, _)| number & 0xffff)
            .collect();
        let count = ranks.len() as u64;
        assert!(ranks == (0..count).collect::<Vec<_>>() && (1..=9).contains(&count), "{ranks:?}");
    }
    let witness: usize =
        std::fs::read_to_string(path.join("acknowledged")).unwrap().trim().parse().unwrap();
    assert_eq!(witness, evaluations.len() + revisions.len());

    // Nothing of it is judged again, and no program that a screen rejects was.
    drop(journal);
    let mut journal = Journal::open(&path).unwrap();
    let again = judge_of(&config);
    let _ = Search::new(config, None, &again, &mut journal, 2)
        .run(initial(), &CancelToken::new(), &mut |_| {})
        .unwrap();
    assert_eq!(again.judged.load(Ordering::Relaxed), 1);
    assert!(
        evaluations.iter().all(|(_, record)| !FunctionalHash::from_hex(&record.hash)
            .unwrap()
            .0
            .is_multiple_of(7))
    );
}

#[test]
fn screened_programs_are_counted_once_for_each_function() {
    let mut config = everything(9);
    (config.evolution.copies, config.cache.key) = (1.0, CacheKey::Functional);
    let directory = tempfile::tempdir().unwrap();
    let mut journal = new_journal(&directory.path().join("store"), &config);
    let judge = HashJudge { probes: true, ..HashJudge::default() };
    let result = Search::new(config, None, &judge, &mut journal, 2)
        .run(initial(), &CancelToken::new(), &mut |_| {})
        .unwrap();
    let statistics = &result.statistics;
    // A seventh of the new functions is rejected.
    let share = statistics.screened as f64 / (statistics.screened + statistics.evaluated) as f64;
    assert!((share - 1.0 / 7.0).abs() < 0.05, "{statistics:?}");
    let hits = statistics.generated - statistics.evaluated - statistics.screened;
    assert!(
        (statistics.cache_hit_rate() - hits as f64 / statistics.generated as f64).abs() < 1e-12
    );
    assert!(result.population.iter().any(|i| i.fitness == Fitness::Screened));
    for individual in &result.population {
        assert_eq!(individual.fitness == Fitness::Screened, individual.hash.0.is_multiple_of(7));
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
        let cancel = CancelToken::new();
        let partial = run(&config, &mut journal, 1 + round % 3, &cancel, &mut |progress| {
            if progress.statistics.generated >= stop_at {
                cancel.cancel();
            }
        });
        assert_eq!(partial.stop, StopReason::Cancelled);
    }
    let mut journal = Journal::open(&path).unwrap();
    let resumed = run(&config, &mut journal, 2, &CancelToken::new(), &mut |_| {});
    assert_eq!(resumed.statistics, result.statistics);
    assert!(journal.contents().unwrap() == content, "the journal differs");
}

#[test]
fn a_resumed_search_evaluates_nothing_again_that_was_acknowledged() {
    let config = config(3);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let mut journal = new_journal(&path, &config);
    let first = run(&config, &mut journal, 2, &CancelToken::new(), &mut |_| {});
    let improvements = journal.improvements().unwrap();
    assert!(
        improvements
            .windows(2)
            .all(|pair| pair[0].fitness < pair[1].fitness && pair[0].index < pair[1].index)
    );
    assert_eq!(
        improvements.last().map(|i| (i.fitness, Some(i.index))),
        Some((first.best.fitness, first.best.index))
    );
    assert_eq!(journal.statistics().unwrap().last(), Some(&first.statistics));
    drop(journal);
    let mut journal = Journal::open(&path).unwrap();
    let judge = HashJudge::default();
    let again = Search::new(config, None, &judge, &mut journal, 2)
        .run(initial(), &CancelToken::new(), &mut |_| {})
        .unwrap();
    assert_eq!(again.statistics, first.statistics);
    // The initial program is judged once more: it is no child.
    assert_eq!(judge.judged.load(Ordering::Relaxed), 1);
}

/// Resumes the search of a store with other limits, which saves its state after so many children.
/// Gives the result, all that the journal holds, and how many children had come in when the first
/// one was seen to do so.
fn resume(
    path: &Path,
    config: &SearchConfig,
    every: u64,
    cancel_at: u64,
) -> (SearchResult, String, u64) {
    let mut journal = Journal::open(path).unwrap();
    let (judge, cancel, mut first) = (judge_of(config), CancelToken::new(), None);
    let result = Search::new(config.clone(), None, &judge, &mut journal, 2)
        .with_others(others(config))
        .save_every(every)
        .run(initial(), &cancel, &mut |progress| {
            first.get_or_insert(progress.statistics.generated);
            if progress.statistics.generated >= cancel_at {
                cancel.cancel();
            }
        })
        .unwrap();
    (result, journal.contents().unwrap(), first.unwrap_or(u64::MAX))
}

fn copy_store(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (from, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        match from.is_dir() {
            true => copy_store(&from, &to.join(name)),
            false => drop(std::fs::copy(&from, to.join(name)).unwrap()),
        }
    }
}

fn assert_same_end(result: &SearchResult, other: &SearchResult, what: &str) {
    assert_eq!(result.statistics, other.statistics, "{what}");
    assert_eq!(
        (result.best.index, result.best.hash, result.best.fitness),
        (other.best.index, other.best.hash, other.best.fitness),
        "{what}"
    );
    let population = |result: &SearchResult| -> Vec<_> {
        let each = result.population.iter();
        each.map(|i| (i.index, i.program.to_string(), i.key, i.fitness, i.curve.clone())).collect()
    };
    assert!(population(result) == population(other), "{what}: the population differs");
}

#[test]
fn a_search_is_resumed_from_its_saved_state_and_ends_as_if_it_never_stopped() {
    let functional = config(21);
    let mut simplified = config(21);
    (simplified.cache.key, simplified.limits.programs) = (CacheKey::Real, 700);
    let mut random = config(21);
    random.evolution.strategy = Strategy::Random;
    let mut large_steps = everything(21);
    // Nothing is under way when the seeds change, also just when a state is taken.
    large_steps.fitness.rotate = 150;
    let mut crossed = everything(21);
    (crossed.mutation.crossover, crossed.mutation.bandit) = (0.3, true);
    let configs = [functional, simplified, random, everything(21), large_steps, crossed];
    for (i, mut config) in configs.into_iter().enumerate() {
        config.limits.programs = config.limits.programs.min(1000);
        let (content, result) = uninterrupted(&config, 2);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        drop(new_journal(&path, &config));
        for (cut, every) in [(90, 50), (170, 50), (431, 50), (500, 150), (640, 75)] {
            // Stopped by a limit, when children that are under way come in first, and at once.
            let mut limited = config.clone();
            limited.limits.programs = cut;
            let (stopped, _, first) = resume(&path, &limited, every, u64::MAX);
            assert_eq!(stopped.statistics.generated, cut);
            let (_, _, again) = resume(&path, &config, every, cut + 20);
            // From the state, and not from the begin: in the second session a little before the
            // end of the first.
            let (before, lag) = (|at: u64| at / every * every, config.evolution.lag as u64);
            assert!(cut == 90 || first > 1, "search {i}: {first} at {cut}");
            assert!(again + every + lag > before(cut), "search {i}: {again} after {cut}");
            // Without the state, from the begin.
            if cut % 2 == 0 {
                continue;
            }
            let copy = directory.path().join(format!("copy-{cut}"));
            copy_store(&path, &copy);
            std::fs::remove_file(copy.join("journal/state")).unwrap();
            let (bred_again, its_content, from) = resume(&copy, &config, every, u64::MAX);
            assert_eq!(from, 1);
            assert_same_end(&bred_again, &result, &format!("search {i}, bred again at {cut}"));
            assert!(its_content == content, "search {i}: the journal differs");
        }
        let (resumed, its_content, from) = resume(&path, &config, 50, u64::MAX);
        assert!(from > 400, "search {i}: {from}");
        assert_same_end(&resumed, &result, &format!("search {i}"));
        assert!(its_content == content, "search {i}: the journal differs");
    }
}

#[test]
fn a_saved_state_that_does_not_serve_is_passed_over() {
    let mut config = everything(23);
    config.limits.programs = 800;
    let (content, result) = uninterrupted(&config, 2);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    drop(new_journal(&path, &config));
    let _ = resume(&path, &config, 100, 600);
    let log = std::fs::read(path.join("journal/log")).unwrap();
    let state = std::fs::read(path.join("journal/state")).unwrap();
    let other = directory.path().join("other");
    drop(new_journal(&other, &everything(24)));
    let _ = resume(&other, &everything(24), 100, 700);
    let foreign = std::fs::read(other.join("journal/state")).unwrap();
    let mut damaged: Vec<Vec<u8>> = (0..8)
        .map(|i| {
            let mut bytes = state.clone();
            bytes[i * (state.len() - 1) / 7] ^= 0x10;
            bytes
        })
        .collect();
    damaged.extend([Vec::new(), state[..state.len() / 2].to_vec(), foreign]);
    // Whole by its checksum, and not what it should be.
    for i in 40..64 {
        let mut bytes = state[..state.len() - 4].to_vec();
        let place = i * i * 7 % (bytes.len() - 60) + 40;
        bytes[place] = bytes[place].wrapping_add(i as u8);
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        // It may serve, since not all can be checked; nothing panics.
        let copy = directory.path().join(format!("odd-{i}"));
        copy_store(&path, &copy);
        std::fs::write(copy.join("journal/state"), bytes).unwrap();
        let mut journal = Journal::open(&copy).unwrap();
        let mut short = config.clone();
        short.limits.programs = 620;
        let judge = judge_of(&short);
        let _ = Search::new(short, None, &judge, &mut journal, 1).run(
            initial(),
            &CancelToken::new(),
            &mut |_| {},
        );
    }
    for (i, bytes) in damaged.into_iter().enumerate() {
        let copy = directory.path().join(format!("damaged-{i}"));
        copy_store(&path, &copy);
        std::fs::write(copy.join("journal/state"), bytes).unwrap();
        let (resumed, its_content, from) = resume(&copy, &config, 100, u64::MAX);
        assert_eq!(from, 1, "{i}");
        assert_same_end(&resumed, &result, &format!("state {i}"));
        assert!(its_content == content, "{i}: the journal differs");
        // The next one is in order again.
        assert!(resume(&copy, &config, 100, 1).2 > 500, "{i}");
    }
    // Newer than the log, which has lost its end.
    let copy = directory.path().join("cut");
    copy_store(&path, &copy);
    std::fs::write(copy.join("journal/log"), &log[..log.len() / 2]).unwrap();
    std::fs::write(copy.join("acknowledged"), "0").unwrap();
    let (resumed, its_content, from) = resume(&copy, &config, 100, u64::MAX);
    assert_eq!(from, 1);
    assert_same_end(&resumed, &result, "cut");
    assert!(its_content == content);
}

#[test]
fn a_search_that_is_resumed_with_smaller_limits_ends_where_they_would_have_ended_it() {
    let config = everything(25);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    drop(new_journal(&path, &config));
    let _ = resume(&path, &config, 100, 1500);
    let changes: [fn(&mut SearchConfig); 6] = [
        |c| c.limits.programs = 350,
        |c| c.limits.programs = 1499,
        |c| c.limits.programs = 1600,
        |c| c.limits.evaluations = 60,
        |c| c.limits.plateau = 40,
        |c| c.limits.target_fitness = TargetFitness::Improvement(1.0),
    ];
    for (i, change) in changes.into_iter().enumerate() {
        let mut limited = config.clone();
        change(&mut limited);
        let (_, expected) = uninterrupted(&limited, 2);
        let copy = directory.path().join(format!("copy-{i}"));
        copy_store(&path, &copy);
        let (result, _, from) = resume(&copy, &limited, 100, u64::MAX);
        assert_eq!(result.stop, expected.stop, "{i}");
        assert_same_end(&result, &expected, &format!("limits {i}"));
        assert_eq!(from > 1, i == 2, "{i}: {from}");
    }
}

#[test]
fn an_evaluation_takes_at_most_300_bytes_of_disk() {
    let mut config = config(3);
    config.limits.programs = 20_000;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    // As the command line has it: the text names no variable that is not used.
    let initial = symopt_dsl::parse(&initial().to_string()).unwrap();
    let settings = Settings {
        config: config.clone(),
        initial: initial.to_string(),
        others: Vec::new(),
        suite: String::new(),
        target: None,
        hash_version: FunctionalHash::FORMAT_VERSION,
    };
    let mut journal = Journal::create(&path, settings).unwrap();
    let head = std::fs::metadata(path.join("journal/log")).unwrap().len();
    let judge = HashJudge::default();
    let result = Search::new(config, None, &judge, &mut journal, 2)
        .run(initial, &CancelToken::new(), &mut |_| {})
        .unwrap();
    let size = std::fs::metadata(path.join("journal/log")).unwrap().len() - head;
    let evaluated = result.statistics.evaluated;
    assert!(evaluated > 500 && size / evaluated <= 300, "{size} bytes for {evaluated} evaluations");
    // Every program is as it was bred.
    for (_, record) in journal.evaluations().unwrap() {
        assert_eq!(
            FunctionalHash(hash_of(&symopt_dsl::parse(&record.program).unwrap())).to_string(),
            record.hash
        );
    }
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
    assert_eq!(
        stop(&|c| c.limits.target_fitness = TargetFitness::Improvement(0.6)),
        StopReason::TargetFitness
    );
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
    let result = run(&config, &mut journal, 2, &CancelToken::new(), &mut |_| {});
    let target = result.best.hash;
    let mut journal = new_journal(&directory.path().join("second"), &config);
    let judge = HashJudge::default();
    let found = Search::new(config, Some(target), &judge, &mut journal, 2)
        .run(initial(), &CancelToken::new(), &mut |_| {})
        .unwrap();
    assert_eq!(
        (found.stop, found.best.hash, found.best.index),
        (StopReason::TargetProgram, target, result.best.index)
    );
}

#[test]
fn a_journal_of_another_search_is_refused_not_mixed() {
    let directory = tempfile::tempdir().unwrap();
    let mut journal = new_journal(&directory.path().join("store"), &config(1));
    let _ = run(&config(1), &mut journal, 2, &CancelToken::new(), &mut |_| {});
    let judge = HashJudge::default();
    let error = Search::new(config(2), None, &judge, &mut journal, 2)
        .run(initial(), &CancelToken::new(), &mut |_| {})
        .unwrap_err();
    assert!(error.to_string().contains("does not belong"), "{error}");
}

#[test]
fn a_task_that_fails_ends_the_search_with_its_error() {
    struct Broken;
    impl Judge for Broken {
        fn checkpoints(&self) -> usize {
            1
        }
        fn judge(
            &self,
            request: &Request,
            _: &CancelToken,
            _: &mut dyn FnMut(usize, f64) -> Verdict,
        ) -> Result<Evaluation, TaskError> {
            if *request.program == initial() {
                return Ok(Evaluation::new(Fitness::Improvement(0.0), [0.0].into()));
            }
            Err(TaskError::Data { task: "broken".to_owned(), reason: "no data".to_owned() })
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let mut journal = new_journal(&directory.path().join("store"), &config(1));
    let error = Search::new(config(1), None, &Broken, &mut journal, 2)
        .run(initial(), &CancelToken::new(), &mut |_| {})
        .unwrap_err();
    assert!(error.to_string().contains("no data"), "{error}");
}

#[test]
fn an_evaluation_that_panics_ends_the_search_with_an_error_and_not_in_a_wait() {
    struct Buggy;
    impl Judge for Buggy {
        fn checkpoints(&self) -> usize {
            1
        }
        fn judge(
            &self,
            request: &Request,
            _: &CancelToken,
            _: &mut dyn FnMut(usize, f64) -> Verdict,
        ) -> Result<Evaluation, TaskError> {
            assert!(*request.program == initial(), "a bug");
            Ok(Evaluation::new(Fitness::Improvement(0.0), [0.0].into()))
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let mut journal = new_journal(&directory.path().join("store"), &config(1));
    let error = Search::new(config(1), None, &Buggy, &mut journal, 2)
        .run(initial(), &CancelToken::new(), &mut |_| {})
        .unwrap_err();
    assert!(matches!(error, symopt_search::SearchError::Worker), "{error}");
}
