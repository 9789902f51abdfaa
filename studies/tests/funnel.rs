//! Funnels: who comes in, who goes on, and that what was judged is not judged again.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use symopt_cancel::CancelToken;
use symopt_search::SearchConfig;
use symopt_search::config::Form;
use symopt_search::launch::Launch;
use symopt_studies::StudyError;
use symopt_studies::fresh_seeds::Tuned;
use symopt_studies::funnel::{
    Candidate, FILE, Funnel, FunnelProgress, FunnelReport, Settings, candidates,
};

const SETTINGS: Settings = Settings { seeds: 4, tuning_seeds: 2, confidence: 0.95 };

/// A search on the suite smoke, once for each form.
fn store(form: Form) -> PathBuf {
    static STORES: [OnceLock<(tempfile::TempDir, PathBuf)>; 2] = [OnceLock::new(), OnceLock::new()];
    let slot = &STORES[usize::from(form == Form::Direction)];
    let (_, path) = slot.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        let mut config = SearchConfig { suite: "smoke".to_owned(), ..SearchConfig::default() };
        config.evolution.population = 40;
        config.evolution.lag = 16;
        config.fitness.form = form;
        config.fitness.seeds = 4;
        config.fitness.tuning_seeds = 2;
        config.fitness.rotate = 200;
        config.limits.programs = 700;
        let _ = Launch::new(config, &path, &CancelToken::new())
            .unwrap()
            .run(1, &CancelToken::new(), &mut |_| {})
            .unwrap();
        (directory, path)
    });
    path.clone()
}

/// Only one at a time can read a store.
fn come_in(stores: &[PathBuf], keep: usize) -> Result<Vec<Candidate>, StudyError> {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    candidates(stores, keep)
}

/// The text of the suite smoke under another name and with another number of steps.
fn suite(directory: &Path, name: &str, steps: usize) -> String {
    let source = symopt_proxy_tasks::spec::SuiteSource::find("smoke").unwrap();
    let text = source
        .text
        .replace("name = \"smoke\"", &format!("name = {name:?}"))
        .replace("steps = 20", &format!("steps = {steps}"));
    let path = directory.join(format!("{name}.toml"));
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn run(
    suites: &[String],
    form: Form,
    keep: usize,
    directory: &Path,
    threads: usize,
) -> (FunnelReport, u64) {
    let runs = AtomicU64::new(0);
    let observe = |progress: FunnelProgress| {
        runs.fetch_max(progress.judging.runs, Ordering::Relaxed);
    };
    let funnel = Funnel::new(suites, SETTINGS, directory).unwrap();
    let report = funnel
        .run(come_in(&[store(form)], keep).unwrap(), threads, &CancelToken::new(), &observe)
        .unwrap();
    (report, runs.into_inner())
}

#[test]
fn the_best_distinct_programs_come_in() {
    let path = store(Form::Program);
    let found = come_in(std::slice::from_ref(&path), 6).unwrap();
    assert_eq!(found.len(), 6);
    assert!(found.windows(2).all(|pair| pair[0].fitness >= pair[1].fitness));
    let mut hashes: Vec<&str> = found.iter().map(|candidate| candidate.hash.as_str()).collect();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 6);
    // The same store twice brings nothing new, and of two stores each has its first program among
    // the first two.
    assert_eq!(come_in(&[path.clone(), path.clone()], 6).unwrap(), found);
    let both = come_in(&[path.clone(), store(Form::Direction)], 2).unwrap();
    assert_eq!((both[0].form, both[1].form), (Form::Program, Form::Direction));
    assert_eq!(both[0], found[0]);
    assert!(both[0].start.is_none() && both[1].start.is_some());
}

#[test]
fn who_beats_adamw_goes_on_and_the_numbers_are_the_same_on_any_number_of_threads() {
    for form in [Form::Program, Form::Direction] {
        let directory = tempfile::tempdir().unwrap();
        let suites = [suite(directory.path(), "first", 20), suite(directory.path(), "second", 30)];
        let (one, two) = (directory.path().join("one"), directory.path().join("two"));
        let (report, runs) = run(&suites, form, 3, &one, 1);
        assert!(runs > 0);
        let _ = run(&suites, form, 3, &two, 2);
        let read = |path: &Path| std::fs::read_to_string(path.join(FILE)).unwrap();
        assert_eq!(read(&one), read(&two));

        assert_eq!(report.ranking.len(), 3);
        for ranked in &report.ranking {
            assert_eq!(ranked.stages[0].suite, suites[0]);
            assert_eq!(
                ranked.stages.len() == 2,
                ranked.stages[0].passed,
                "only who passes goes on"
            );
            assert_eq!(ranked.survived, ranked.stages.len() == 2 && ranked.stages[1].passed);
            assert!(ranked.statements[1] <= ranked.statements[0]);
            assert!(symopt_dsl::parse(&ranked.simplified).is_ok());
            for stage in &ranked.stages {
                assert_eq!((stage.judged.seeds, stage.judged.tasks.len()), (4, 2));
                assert_eq!(stage.passed, stage.judged.beats_baseline(0.95));
                for task in &stage.judged.tasks {
                    assert_eq!(matches!(task.tuned, Tuned::Factor(_)), form == Form::Program);
                }
            }
        }
        let reached: Vec<usize> = report.ranking.iter().map(|ranked| ranked.stages.len()).collect();
        assert!(reached.is_sorted_by(|a, b| a >= b), "{reached:?}");
        assert!(reached.contains(&2), "{form:?}: none goes on, so this test shows little");

        // Nothing is trained again, and one more program is all that there is to do for one more
        // program.
        assert_eq!(run(&suites, form, 3, &one, 1).1, 0);
        assert_eq!(read(&one), read(&two));
        let (more, new_runs) = run(&suites, form, 4, &one, 1);
        assert!(new_runs > 0 && more.ranking.len() == 4);
        let old = |hash: &str| report.ranking.iter().find(|ranked| ranked.candidate.hash == hash);
        for ranked in
            more.ranking.iter().filter_map(|ranked| Some((ranked, old(&ranked.candidate.hash)?)))
        {
            assert_eq!(ranked.0.stages, ranked.1.stages);
        }
    }
}

#[test]
fn an_interrupted_funnel_keeps_what_it_has_and_ends_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let suites = [suite(directory.path(), "first", 20)];
    let (whole, parts) = (directory.path().join("whole"), directory.path().join("parts"));
    let _ = run(&suites, Form::Direction, 3, &whole, 1);
    let cancel = CancelToken::new();
    let observe = |progress: FunnelProgress| {
        if progress.judging.done == 1 {
            cancel.cancel();
        }
    };
    let funnel = Funnel::new(&suites, SETTINGS, &parts).unwrap();
    let error = funnel
        .run(come_in(&[store(Form::Direction)], 3).unwrap(), 1, &cancel, &observe)
        .unwrap_err();
    assert!(error.is_cancelled(), "{error}");
    let read = |path: &Path| std::fs::read_to_string(path.join(FILE)).unwrap();
    let judged = serde_json::from_str::<serde_json::Value>(&read(&parts)).unwrap()["judged"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!(judged, 1);
    let _ = run(&suites, Form::Direction, 3, &parts, 1);
    assert_eq!(read(&whole), read(&parts));
}

#[test]
fn what_is_wrong_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let new = |suites: &[String], path: &Path| {
        Funnel::new(suites, SETTINGS, path).map(|_| ()).unwrap_err().to_string()
    };
    let unused = directory.path().join("unused");
    assert!(new(&["10y".to_owned()], &unused).contains("10y"));
    let bare = directory.path().join("bare.toml");
    let text = std::fs::read_to_string(suite(directory.path(), "bare", 20))
        .unwrap()
        .replace("program = \"adamw\"", "program = \"tiger\"");
    std::fs::write(&bare, text).unwrap();
    assert!(new(&[bare.display().to_string()], &unused).contains("no tuned constants for adamw"));
    assert!(!unused.exists());
    let foreign = directory.path().join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join(FILE), "{}").unwrap();
    assert!(new(&["smoke".to_owned()], &foreign).contains("not the file of a funnel"));
    assert_eq!(std::fs::read_to_string(foreign.join(FILE)).unwrap(), "{}");
    assert!(matches!(
        candidates(&[directory.path().join("nowhere")], 3),
        Err(StudyError::Journal(_))
    ));
}
