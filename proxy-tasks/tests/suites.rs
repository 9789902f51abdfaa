//! The built-in suites, the descriptions of the user's own, and the laws of a run.

use proptest::prelude::*;
use symopt_proxy_tasks::run::StopReason;
use symopt_proxy_tasks::spec::{SuiteSource, find_task};
use symopt_proxy_tasks::suite::{Fitness, Suite};
use symopt_proxy_tasks::task::{Candidate, TaskError, Verdict};

fn suite_of(text: &str) -> Result<Suite, TaskError> {
    SuiteSource { name: "mine.toml".to_owned(), text: text.to_owned() }.suite()
}

const TASK: &str = r#"
name = "mine"
seeds = [1]

[[task]]
name = "a"
steps = 5
batch = 8
checkpoints = 2
training = 100
validation = 50
data = { kind = "digits" }
model = { kind = "linear" }
"#;

#[test]
fn built_in_suites_are_sound_and_tuned_constants_run() {
    let sources: Vec<SuiteSource> = SuiteSource::built_in().collect();
    assert!(["quick", "smoke", "vision", "language"].iter().all(|name| sources.iter().any(|source| source.name == *name)));
    for source in sources {
        let suite = source.suite().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(suite.name, source.name);
        for weighted in &suite.tasks {
            assert_eq!(weighted.tuned.first().map(|tuned| tuned.program.as_str()), Some("adamw"), "{}", weighted.task.name());
            assert!(weighted.tuned.iter().any(|tuned| tuned.program == "lion"), "{}", weighted.task.name());
            assert!(weighted.task.describe().unwrap().parameters > 0);
            let found = find_task(&format!("{}/{}", suite.name, weighted.task.name())).unwrap();
            assert_eq!(found.task.describe().unwrap(), weighted.task.describe().unwrap());
        }
    }
}

#[test]
fn every_quick_task_learns_and_does_not_saturate() {
    let suite = SuiteSource::find("quick").unwrap().suite().unwrap();
    let adamw = symopt_programs::adamw().program();
    for weighted in &suite.tasks {
        let run = weighted.task.run(&weighted.candidate(&adamw, Some("adamw")), 1, &mut |_| Verdict::Continue).unwrap();
        assert_eq!(run.stop, StopReason::Completed);
        let (first, last) = (run.curve.first().unwrap().validation.loss, run.curve.last().unwrap().validation.loss);
        assert!(last < 0.95 * first && last > 0.02, "{}: {first} to {last}", weighted.task.name());
    }
}

#[test]
fn same_program_suite_and_seeds_give_the_same_bits_on_any_thread() {
    let evaluate = || {
        let suite = SuiteSource::find("smoke").unwrap().suite().unwrap();
        let baseline = suite.baseline(&[3, 4]).unwrap();
        let lion = symopt_programs::find("lion").unwrap().program();
        suite.evaluate(&lion, Some("lion"), &baseline, &mut |_, _| Verdict::Continue).unwrap()
    };
    let alone = evaluate();
    let shared = SuiteSource::find("smoke").unwrap().suite().unwrap();
    let together: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(evaluate)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(together.iter().all(|outcome| *outcome == alone));
    // One suite shared by threads, which build the problems of its seeds at the same time.
    let losses = |seed| {
        let weighted = &shared.tasks[0];
        let adamw = symopt_programs::adamw().program();
        weighted.task.run(&weighted.candidate(&adamw, Some("adamw")), seed, &mut |_| Verdict::Continue).unwrap().curve
    };
    let curves: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|i| scope.spawn(move || losses(i % 2))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_ne!(curves[0], curves[1]);
    assert!(curves.iter().enumerate().all(|(i, curve)| *curve == curves[i % 2]));
}

#[test]
fn a_huge_learning_rate_diverges_and_sorts_last() {
    let suite = SuiteSource::find("smoke").unwrap().suite().unwrap();
    let sgd = symopt_programs::find("sgd").unwrap().program();
    let run = suite.tasks[0].task.run(&Candidate { program: &sgd, peak_lr: 1e30, hyperparameters: &[] }, 1, &mut |_| Verdict::Continue);
    assert!(matches!(run.unwrap().stop, StopReason::Diverged { .. }));
    assert!(Fitness::Diverged < Fitness::Hopeless { checkpoint: 0 });
    assert!(Fitness::Hopeless { checkpoint: 9 } < Fitness::Improvement(-1e9));
}

#[test]
fn a_watcher_stops_a_hopeless_evaluation_where_it_says() {
    let suite = SuiteSource::find("smoke").unwrap().suite().unwrap();
    let baseline = suite.baseline(&[1]).unwrap();
    let adamw = symopt_programs::adamw().program();
    let mut watch = |checkpoint, _| if checkpoint == 2 { Verdict::Stop } else { Verdict::Continue };
    let outcome = suite.evaluate(&adamw, Some("adamw"), &baseline, &mut watch).unwrap();
    assert_eq!(outcome.fitness, Fitness::Hopeless { checkpoint: 2 });
    assert_eq!((outcome.curve.len(), outcome.results.len()), (3, 1));
}

#[test]
fn bad_descriptions_are_refused_with_place_and_reason() {
    let changed = |from: &str, to: &str| {
        assert!(TASK.contains(from), "{from}");
        TASK.replace(from, to)
    };
    for (text, place, reason) in [
        (String::new(), "mine.toml", "missing field"),
        ("name = ".to_owned(), "line 1", ""),
        (changed("steps = 5", "step = 5"), "line 7", "unknown field `step`"),
        (changed("steps = 5", "steps = -5"), "line 7", "invalid value"),
        (changed("steps = 5", "steps = 0"), "line 5, task a", "`steps` must be at least 1"),
        (changed("steps = 5", "steps = 999999999"), "task a", "too large"),
        (changed("steps = 5", "steps = 1"), "task a", "`checkpoints` = 2 are more"),
        (changed("batch = 8", "batch = 8\nlabel_noise = 1.5"), "task a", "from 0 to 1"),
        (changed("batch = 8", "batch = 8\nweight = 0"), "task a", "above 0"),
        (changed("batch = 8", "batch = 8\nweight = nan"), "task a", "above 0"),
        (changed("batch = 8", "batch = 8\nschedule = \"linear\""), "line 9", "warmup_cosine"),
        (changed("batch = 8", "batch = 8\nschedule = { warmup_cosine = { warmup = 2 } }"), "task a", "from 0 to 1"),
        (changed("seeds = [1]", "seeds = []"), "mine.toml", "empty"),
        (changed("seeds = [1]", "seeds = [1, 2, 1]"), "mine.toml", "twice"),
        (changed("seeds = [1]", "seeds = [1000000]"), "mine.toml", "reserved"),
        (changed("\"digits\"", "\"digit\""), "line", "unknown variant `digit`"),
        (changed("\"linear\"", "\"mlp\""), "line", "missing field `hidden`"),
        (changed("\"linear\" }", "\"transformer\", layers = 1, width = 8, heads = 2, hidden = 8 }"), "task a", "needs `patch`"),
        (changed("\"digits\" }", "\"text\", path = \"x\", unit = \"bytes\" }"), "task a", "transformer"),
        (changed("\"digits\" }", "\"teacher\", features = 4, classes = 0, weights = \"signs\", scale = 1.0 }"), "task a", "`classes`"),
        (format!("{TASK}{}", &TASK[TASK.find("[[task]]").unwrap()..]), "line 14", "another task"),
        (format!("{TASK}[[task.tuned]]\nprogram = \"adamm\"\npeak_lr = 1.0\nhyperparameters = []\n"), "task a", "`adamm`"),
        (format!("{TASK}[[task.tuned]]\nprogram = \"adamw\"\npeak_lr = -1.0\nhyperparameters = []\n"), "task a", "above 0"),
    ] {
        let Err(error) = suite_of(&text) else { panic!("accepted: {text}") };
        let error = error.to_string();
        assert!(error.contains(place) && error.contains(reason), "wanted `{place}` and `{reason}`, got: {error}");
    }
}

#[test]
fn what_only_the_data_shows_is_refused_when_the_task_runs() {
    for (from, to, reason) in [
        ("training = 100", "training = 5000", "5000 training examples are wanted, but there are 1747"),
        ("validation = 50", "validation = 5000", "validation examples"),
        ("\"digits\" }", "\"mnist\", path = \"no/such/folder\" }", "four files"),
        ("\"linear\" }", "\"mlp\", hidden = [0], activation = \"tanh\" }", "hidden layer must be at least 1"),
        ("\"linear\" }", "\"transformer\", layers = 1, width = 8, heads = 3, hidden = 8, patch = 2 }", "3 heads"),
        ("\"linear\" }", "\"transformer\", layers = 1, width = 8, heads = 2, hidden = 8, patch = 3 }", "do not tile"),
    ] {
        let suite = suite_of(&TASK.replace(from, to)).unwrap();
        let error = suite.tasks[0].task.describe().unwrap_err().to_string();
        assert!(error.contains(reason), "wanted `{reason}`, got: {error}");
    }
}

#[test]
fn unknown_names_are_answered_with_the_nearest() {
    let error = SuiteSource::find("quik").unwrap_err().to_string();
    assert!(error.contains("did you mean `quick`?") && error.contains("smoke"), "{error}");
    let Err(error) = find_task("digits-linar") else { panic!("found") };
    assert!(error.to_string().contains("did you mean `digits-linear`?"), "{error}");
}

#[test]
fn a_text_file_trains_a_language_model() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, "the quick brown fox jumps over the lazy dog. ".repeat(40).as_bytes()).unwrap();
    let path = file.path().display();
    let model = r#"{ kind = "transformer", layers = 1, width = 8, heads = 2, hidden = 16, context = 8 }"#;
    let text = TASK
        .replace("{ kind = \"digits\" }", &format!("{{ kind = \"text\", path = '{path}', unit = \"characters\" }}"))
        .replace("{ kind = \"linear\" }", model)
        .replace("validation = 50", "validation = 20")
        .replace("steps = 5", "steps = 60");
    let suite = suite_of(&text).unwrap();
    let adamw = symopt_programs::adamw().program();
    let candidate = Candidate { program: &adamw, peak_lr: 0.03, hyperparameters: &[] };
    let run = suite.tasks[0].task.run(&candidate, 1, &mut |_| Verdict::Continue).unwrap();
    let metrics = run.final_metrics().unwrap();
    assert!(metrics.loss < 2.5, "{metrics:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any suite text gives a suite or an error, never a panic.
    #[test]
    fn mangled_suites_never_panic(at in 0..TASK.len(), length in 0..30_usize, with in "[-a-z0-9=\\[\\]{}.\" \n]{0,12}") {
        let mut text = TASK.to_owned();
        let end = (at + length).min(text.len());
        text.replace_range(at..end, &with);
        if let Ok(suite) = suite_of(&text) {
            for weighted in &suite.tasks {
                let _ = weighted.task.name();
            }
        }
    }
}
