//! Searches on an external task whose command fails in every way that it can: nothing is lost.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use symopt_cancel::CancelToken;
use symopt_dsl::{Graph, Program};
use symopt_proxy_tasks::error::FailureKind;
use symopt_proxy_tasks::external::ExternalSpec;
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_proxy_tasks::suite::Fitness;
use symopt_search::engine::SearchResult;
use symopt_search::journal::{CheckedStore, EvaluationRecord, Journal, JournalError};
use symopt_search::launch::{Launch, LaunchError};
use symopt_search::{SearchConfig, StopReason};

/// Failure that the stand-in causes for a program, by a number of its hash; in the order of
/// `FAULTS` there.
const FAULTS: [FailureKind; 12] = [
    FailureKind::Ended,    // crash
    FailureKind::Garbage,  // garbage
    FailureKind::Timeout,  // hang
    FailureKind::Garbage,  // partial
    FailureKind::Reported, // error
    FailureKind::Ended,    // signal
    FailureKind::Garbage,  // wrong-id
    FailureKind::Garbage,  // unicode
    FailureKind::Closed,   // close
    FailureKind::Flood,    // flood
    FailureKind::Flood,    // long
    FailureKind::Garbage,  // negative
];

/// The stand-in for a training script, with its arguments.
fn script(arguments: &str) -> String {
    format!(
        "exec python3 '{}' {arguments}",
        concat!(env!("CARGO_MANIFEST_DIR"), "/../proxy-tasks/tests/external/script.py")
    )
}

fn hash_of(program: &Program) -> String {
    Graph::new(program).unwrap().hash().to_string()
}

/// The program that a search begins with, after its name and doc string are gone.
fn initial() -> Program {
    let program = symopt_programs::find("adamw-paper").unwrap().program();
    let mut signature = program.signature().clone();
    (signature.name, signature.doc) = ("train".to_owned(), None);
    signature.numerics = symopt_dsl::Numerics::Guarded;
    program.with_signature(signature)
}

fn config(programs: u64) -> SearchConfig {
    let mut config = SearchConfig { seed: 11, ..SearchConfig::default() };
    (config.evolution.population, config.evolution.lag) = (30, 16);
    config.hurdle.quantile = 0.0;
    config.limits.programs = programs;
    config
}

/// A search of programs on a command.
fn launch(command: &str, programs: u64, store: &Path) -> Result<Launch, LaunchError> {
    let spec = ExternalSpec {
        checkpoints: 2,
        steps: Some(2),
        seconds: 8.0,
        ..ExternalSpec::new("stand-in", command)
    };
    let source = SuiteSource::of_command("stand-in", &spec, 1).unwrap();
    Launch::of_parts(
        config(programs),
        &[symopt_programs::find("adamw-paper").unwrap().program()],
        source,
        store,
        &CancelToken::new(),
    )
}

fn run(launch: Launch, threads: usize) -> SearchResult {
    launch.run(threads, &CancelToken::new(), &mut |_| {}).unwrap().result
}

/// `mixed`, with a log, sparing the initial program.
fn mixed(log: &Path) -> String {
    script(&format!("mixed '{}' {}", log.display(), hash_of(&initial())))
}

fn records(store: &Path) -> Vec<(u64, EvaluationRecord)> {
    // A process that another test has just forked holds the lock of this one's store until it
    // becomes another program.
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match CheckedStore::of(store) {
            Err(JournalError::Busy { .. }) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(20))
            }
            opened => return opened.unwrap().evaluations().unwrap(),
        }
    }
}

/// The failure that the stand-in injects for a hash, if any.
fn injected(hash: &str) -> Option<FailureKind> {
    FAULTS.get(u32::from_str_radix(&hash[8..16], 16).unwrap() as usize % 40).copied()
}

/// The fitness of a program where nothing is injected.
fn uninjured(hash: &str) -> f64 {
    let loss = |hash: &str| {
        1.0 + (u32::from_str_radix(&hash[..8], 16).unwrap() % 1000) as f64 / 1000.0 + 1.0 / 64.0
    };
    let adamw = loss(&hash_of(&symopt_programs::adamw().program()));
    (adamw - loss(hash)) / adamw
}

fn is_alive(process: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    status.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// All processes that left their number in the log.
fn processes(log: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(log).unwrap();
    text.lines()
        .map(|line| {
            line.split(' ')
                .nth(usize::from(line.starts_with("request")))
                .unwrap_or_default()
                .to_owned()
        })
        .collect()
}

#[test]
fn a_search_of_two_hundred_programs_loses_nothing_to_crashes_hangs_and_garbage() {
    let folder = tempfile::tempdir().unwrap();
    let (log, store) = (folder.path().join("log"), folder.path().join("store"));
    let result = run(launch(&mixed(&log), 200, &store).unwrap(), 3);
    assert_eq!(result.stop, StopReason::Programs);
    assert_eq!(result.statistics.generated, 200);
    let records = records(&store);
    // Every program whose hash was new has one evaluation; all others have the fitness of one of
    // these.
    assert_eq!(records.len() as u64, result.statistics.evaluated);
    let hashes: BTreeSet<&str> = records.iter().map(|(_, record)| record.hash.as_str()).collect();
    assert_eq!(hashes.len(), records.len());
    let mut kinds = BTreeSet::new();
    let mut best = (uninjured(&hash_of(&initial())), hash_of(&initial()));
    for (index, record) in &records {
        let expected = injected(&record.hash);
        assert_eq!(
            record.failure.as_ref().map(|failure| failure.kind),
            expected,
            "{index}: {record:?}"
        );
        kinds.extend(expected);
        match record.fitness {
            Fitness::Failed => assert!(expected.is_some()),
            // Programs without a failure have the very fitness that they have without the failures
            // around them.
            fitness => assert_eq!(
                (fitness, expected),
                (Fitness::Improvement(uninjured(&record.hash)), None),
                "{index}"
            ),
        }
        if expected.is_none() && uninjured(&record.hash) > best.0 {
            best = (uninjured(&record.hash), record.hash.clone());
        }
    }
    assert_eq!(
        (result.best.fitness, result.best.hash.to_string()),
        (Fitness::Improvement(best.0), best.1)
    );
    let failed = records.iter().filter(|(_, record)| record.failure.is_some()).count() as u64;
    assert_eq!(
        (result.statistics.failed, result.failures.iter().map(|f| f.count).sum::<u64>()),
        (failed, failed)
    );
    // The test is one of failures of every kind that can be injected, and of more that worked.
    assert!(
        kinds.len() >= 6 && failed >= 10 && (records.len() as u64) > 2 * failed,
        "{kinds:?}, {failed} of {}",
        records.len()
    );
    let crash = records
        .iter()
        .filter_map(|(_, record)| record.failure.as_ref())
        .find(|failure| failure.kind == FailureKind::Ended);
    assert!(
        crash.is_some_and(|failure| failure.reason.contains("exit status: 3")
            || failure.reason.contains("signal"))
    );
    // Each request was made once: nothing is tried again silently.
    let text = fs::read_to_string(&log).unwrap();
    let mut requests: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("request"))
        .filter_map(|line| line.split(' ').nth(2))
        .collect();
    let count = requests.len();
    assert_eq!(
        count,
        records.len() + 2,
        "the baseline and the initial program beside the children"
    );
    requests.sort_unstable();
    requests.dedup();
    assert!(requests.len() >= count - 1, "AdamW may come up again");
    let deadline = Instant::now() + Duration::from_secs(20);
    while processes(&log).iter().any(|process| is_alive(process)) {
        assert!(Instant::now() < deadline, "processes are left behind");
        std::thread::sleep(Duration::from_millis(10));
    }

    // On another number of threads, and interrupted in between, the same answers make the same
    // search.
    let other = folder.path().join("other");
    let _ = run(launch(&mixed(&log), 90, &other).unwrap(), 1);
    let before = fs::read_to_string(&log).unwrap().matches("request").count();
    let resumed =
        Launch::resume(&other, |config| config.limits.programs = 200, &CancelToken::new()).unwrap();
    let resumed = run(resumed, 2);
    assert_eq!((&resumed.best.hash, &resumed.statistics), (&result.best.hash, &result.statistics));
    // But for the words of failures, which may show a line of the command with the number of its
    // request.
    let without_words = |records: &[(u64, EvaluationRecord)]| {
        let plain = |(index, record): &(u64, EvaluationRecord)| {
            let kind = record.failure.as_ref().map(|failure| failure.kind);
            (*index, kind, EvaluationRecord { failure: None, ..record.clone() })
        };
        records.iter().map(plain).collect::<Vec<_>>()
    };
    let (there, here) = (without_words(&self::records(&other)), without_words(&records));
    assert_eq!(there.iter().zip(&here).find(|(there, here)| there != here), None);
    assert_eq!(there.len(), here.len());
    // The baseline once more, to see that the command works, and what was not known.
    let known = records.iter().filter(|(index, _)| *index < 90).count();
    assert_eq!(
        fs::read_to_string(&log).unwrap().matches("request").count() - before,
        1 + records.len() - known
    );
}

#[test]
fn a_search_goes_on_from_its_own_baseline_though_the_command_now_gives_another() {
    let folder = tempfile::tempdir().unwrap();
    let (store, script_file) = (folder.path().join("store"), folder.path().join("train.sh"));
    // Counts upwards from what is in the file, so that no answer comes twice.
    let text = r#"while read -r line; do n=$(cat "$1"); n=$((n + 1)); echo $n > "$1"; id=$(printf '%s' "$line" | sed 's/.*"id":\([0-9]*\).*/\1/'); echo "{\"id\":$id,\"loss\":$n}"; done"#;
    fs::write(&script_file, text).unwrap();
    let counter = folder.path().join("counter");
    fs::write(&counter, "100\n").unwrap();
    let command = format!("sh '{}' '{}'", script_file.display(), counter.display());
    let first = run(launch(&command, 40, &store).unwrap(), 1);
    let before = records(&store);
    let resumed = run(
        Launch::resume(&store, |config| config.limits.programs = 80, &CancelToken::new()).unwrap(),
        1,
    );
    let after = records(&store);
    assert!(after.len() > before.len());
    assert_eq!(after[..before.len()], before[..]);
    assert!(resumed.best.fitness >= first.best.fitness);
    // The baseline was 101, and the command was at more than that when it was resumed.
    let Fitness::Improvement(last) = after[after.len() - 1].1.fitness else { panic!() };
    let loss = fs::read_to_string(&counter).unwrap().trim().parse::<f64>().unwrap();
    assert_eq!(last, (101.0 - loss) / 101.0);
}

#[test]
fn a_search_that_was_killed_as_its_store_was_made_keeps_its_first_evaluations_when_it_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, cut) = (folder.path().join("whole"), folder.path().join("cut"));
    let counter = folder.path().join("counter");
    fs::write(&counter, "100\n").unwrap();
    // Counts upwards, so that no answer comes twice.
    let command = format!(
        r#"while read -r line; do n=$(cat '{0}'); n=$((n + 1)); echo $n > '{0}'; id=$(printf '%s' "$line" | sed 's/.*"id":\([0-9]*\).*/\1/'); echo "{{\"id\":$id,\"loss\":$n}}"; done"#,
        counter.display()
    );
    drop(launch(&command, 5, &whole).unwrap());
    // The store without what is written after it was made.
    drop(Journal::create(&cut, CheckedStore::settings_of(&whole).unwrap()).unwrap());
    let resume = || {
        let launch = Launch::resume(&cut, |_| (), &CancelToken::new()).unwrap();
        drop(launch);
        let store = CheckedStore::of(&cut).unwrap();
        (store.initial().unwrap(), store.baselines().unwrap())
    };
    let first = resume();
    assert!(first.0.is_some() && first.1.len() == 1, "{first:?}");
    assert_eq!(resume(), first);
}

#[test]
fn a_command_that_does_not_work_is_told_before_there_is_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    for (command, reason) in [
        ("no-such-command-of-this-name", "can't be started"),
        (script("crash").as_str(), "boom"),
        (script("garbage").as_str(), "Epoch 1"),
    ] {
        let error = launch(command, 10, &store).err().unwrap().to_string();
        assert!(error.contains(reason), "{error}");
        assert!(!store.exists());
    }
    // One that works with AdamW and not with the initial program.
    let only_adamw = r#"while read -r line; do case "$line" in *'"name":"adamw"'*) id=$(printf '%s' "$line" | sed 's/.*"id":\([0-9]*\).*/\1/'); echo "{\"id\":$id,\"loss\":1}";; *) echo nonsense;; esac; done"#;
    let error = launch(only_adamw, 10, &store).err().unwrap().to_string();
    assert!(error.contains("initial program") && error.contains("nonsense"), "{error}");
    assert!(!store.exists());
}

#[test]
fn a_resumed_search_whose_command_no_longer_works_ends_at_once_and_records_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let (store, file) = (folder.path().join("store"), folder.path().join("script.py"));
    fs::copy(
        concat!(env!("CARGO_MANIFEST_DIR"), "/../proxy-tasks/tests/external/script.py"),
        &file,
    )
    .unwrap();
    let _ = run(launch(&format!("exec python3 '{}' ok", file.display()), 20, &store).unwrap(), 1);
    let before = records(&store);
    fs::remove_file(&file).unwrap();
    let error = Launch::resume(&store, |config| config.limits.programs = 40, &CancelToken::new())
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("script.py"), "{error}");
    assert_eq!(records(&store), before);
}

#[test]
fn a_cancelled_search_ends_runs_at_once_and_what_they_would_have_been_is_no_evaluation() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    // The baseline and the initial program answer; all others take ten minutes.
    let hash = hash_of(&initial());
    let command = format!(
        r#"while read -r line; do id=$(printf '%s' "$line" | sed 's/.*"id":\([0-9]*\).*/\1/'); case "$line" in *'"name":"adamw"'*|*{hash}*) echo "{{\"id\":$id,\"loss\":1}}";; *) sleep 600;; esac; done"#
    );
    let spec = ExternalSpec { seconds: 600.0, ..ExternalSpec::new("stand-in", &command) };
    let source = SuiteSource::of_command("stand-in", &spec, 1).unwrap();
    let program = symopt_programs::find("adamw-paper").unwrap().program();
    let launch =
        Launch::of_parts(config(100), &[program], source, &store, &CancelToken::new()).unwrap();
    let cancel = CancelToken::new();
    let result = std::thread::scope(|scope| {
        let canceller = scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(700));
            cancel.cancel();
            Instant::now()
        });
        let result = launch.run(2, &cancel, &mut |_| {}).unwrap().result;
        assert!(canceller.join().unwrap().elapsed() < Duration::from_secs(20));
        result
    });
    assert_eq!(result.stop, StopReason::Cancelled);
    assert!(records(&store).iter().all(|(_, record)| record.fitness == Fitness::Improvement(0.0)));
}

#[test]
fn nothing_is_kept_of_a_search_on_built_in_tasks_that_can_be_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let config = SearchConfig { suite: "smoke".to_owned(), ..config(20) };
    let _ = run(Launch::new(config, &store, &CancelToken::new()).unwrap(), 1);
    let contents = Journal::open(&store).unwrap().contents().unwrap();
    assert!(
        contents
            .lines()
            .all(|line| !line.starts_with("initial\t") && !line.starts_with("baseline/"))
    );
}

#[test]
fn a_search_whose_seeds_change_on_a_command_goes_on_from_all_that_it_has_measured() {
    let folder = tempfile::tempdir().unwrap();
    let (log, whole, parts) =
        (folder.path().join("log"), folder.path().join("whole"), folder.path().join("parts"));
    let rotating = |store: &Path, programs| {
        let spec = ExternalSpec {
            checkpoints: 2,
            steps: Some(2),
            seconds: 8.0,
            ..ExternalSpec::new("stand-in", &mixed(&log))
        };
        let source = SuiteSource::of_command("stand-in", &spec, 3).unwrap();
        assert_eq!(source.suite().unwrap().seeds, [1, 2, 3]);
        let mut config = config(programs);
        (config.fitness.rotate, config.fitness.elite) = (30, 3);
        // Hopeless runs are stopped, as on built-in tasks.
        (config.hurdle.quantile, config.hurdle.margin, config.hurdle.every) = (0.5, 0.0, 10);
        Launch::of_parts(
            config,
            &[symopt_programs::find("adamw-paper").unwrap().program()],
            source,
            store,
            &CancelToken::new(),
        )
        .unwrap()
    };
    let result = run(rotating(&whole, 100), 2);
    let hopeless = records(&whole)
        .iter()
        .filter(|(_, record)| matches!(record.fitness, Fitness::Hopeless { .. }))
        .count();
    assert!(hopeless > 0 && result.statistics.failed > 0, "{:?}", result.statistics);
    let revisions = CheckedStore::of(&whole).unwrap().revisions().unwrap();
    assert!(
        revisions.len() >= 9,
        "three changes of the seeds with three programs each: {}",
        revisions.len()
    );
    let baselines = CheckedStore::of(&whole).unwrap().baselines().unwrap();
    assert_eq!(baselines.iter().map(|(epoch, _)| *epoch).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert!(
        baselines.iter().all(|(_, baseline)| baseline.final_loss(2, 0).is_some()),
        "each on three seeds"
    );

    let _ = run(rotating(&parts, 45), 1);
    let resumed = run(
        Launch::resume(&parts, |config| config.limits.programs = 100, &CancelToken::new()).unwrap(),
        3,
    );
    assert_eq!(
        (&resumed.best.hash, resumed.best.fitness, &resumed.statistics),
        (&result.best.hash, result.best.fitness, &result.statistics)
    );
}
