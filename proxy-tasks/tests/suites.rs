//! The built-in suites, the descriptions of the user's own, and the laws of a run.

use proptest::prelude::*;
use symopt_cancel::CancelToken;
use symopt_proxy_tasks::error::TaskError;
use symopt_proxy_tasks::run::StopReason;
use symopt_proxy_tasks::spec::{SuiteSource, find_task};
use symopt_proxy_tasks::suite::{Fitness, Suite};
use symopt_proxy_tasks::task::{Candidate, Verdict};

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
    let real = ["real-1x", "real-10x", "real-100x", "real-held-out"];
    for name in ["quick", "smoke", "1x", "10x", "100x", "held-out"].into_iter().chain(real) {
        assert!(sources.iter().any(|source| source.name == name), "{name}");
    }
    for source in sources {
        let suite = source.suite().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(suite.name, source.name);
        for weighted in &suite.tasks {
            let tuned: Vec<&str> =
                weighted.tuned.iter().map(|tuned| tuned.program.as_str()).collect();
            assert!(
                tuned.starts_with(&["adamw", "lion", "signum", "nadam", "momentum"]),
                "{}: {tuned:?}",
                weighted.task.name()
            );
            if source.name.starts_with("real") {
                assert_eq!(tuned[5..7], ["cautious-adamw", "muon"], "{}", weighted.task.name());
            }
            if source.name == "real-1x" {
                let betas = weighted.constants("adamw", true).unwrap();
                assert!(betas.hyperparameters.iter().any(|(name, _)| name == "beta2"));
                assert_ne!(weighted.constants("adamw", false), Some(betas));
            }
            assert!(weighted.task.describe().unwrap().parameters > 0);
            let found = find_task(&format!("{}/{}", suite.name, weighted.task.name())).unwrap();
            assert_eq!(found.task.describe().unwrap(), weighted.task.describe().unwrap());
        }
    }
}

#[test]
fn every_scale_costs_about_ten_times_the_one_before() {
    // Multiplications, but for a factor: by parameters and examples, not by the clock.
    let costs = |name: &str| -> Vec<f64> {
        let tasks = SuiteSource::find(name).unwrap().suite().unwrap().tasks;
        let descriptions = tasks.iter().map(|weighted| weighted.task.describe().unwrap());
        descriptions.map(|d| d.parameters as f64 * d.steps as f64 * d.batch as f64).collect()
    };
    check_scales(&[costs("1x"), costs("10x"), costs("100x")], 3);
    check_scales(&[costs("real-1x"), costs("real-10x"), costs("real-100x")], 5);
}

/// Each scale costs three to thirty times the one before, task by task and in all.
fn check_scales(scales: &[Vec<f64>], tasks: usize) {
    for (small, large) in scales.iter().zip(&scales[1..]) {
        assert_eq!((small.len(), large.len()), (tasks, tasks));
        for (small, large) in small.iter().zip(large) {
            assert!(large / small > 3.0 && large / small < 30.0, "{scales:?}");
        }
        let ratio = large.iter().sum::<f64>() / small.iter().sum::<f64>();
        assert!(ratio > 5.0 && ratio < 30.0, "{scales:?}");
    }
}

#[test]
fn tasks_that_wait_in_comments_are_sound() {
    let text = SuiteSource::find("100x").unwrap().text;
    let (suite, comments) = text.split_at(text.find("\n# [[task]]").unwrap());
    let suite = suite_of(&format!("{suite}{}", comments.replace("\n# ", "\n")))
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(suite.tasks.len(), 5);
    for (task, files) in
        suite.tasks[3..].iter().zip(["MNIST's four files", "the binary version of CIFAR-10"])
    {
        let error = task.task.describe().unwrap_err().to_string();
        assert!(error.contains("PATH/TO/") && error.contains(files), "{error}");
    }
}

#[test]
fn held_out_tasks_have_data_and_models_of_their_own() {
    let tasks = |name: &str| {
        let spec = SuiteSource::find(name).unwrap().spec().unwrap();
        spec.tasks.into_iter().map(toml::Spanned::into_inner).collect::<Vec<_>>()
    };
    let old = ["quick", "smoke", "lion", "1x", "10x", "100x"];
    let real = ["real-1x", "real-10x", "real-100x"];
    for (held, seen) in [("held-out", &old[..]), ("real-held-out", &real[..])] {
        let held = tasks(held);
        let seen: Vec<_> = seen.iter().flat_map(|name| tasks(name)).collect();
        for (seen, held) in seen.iter().flat_map(|seen| held.iter().map(move |held| (seen, held))) {
            assert_ne!(seen.model, held.model, "{} {}", seen.name, held.name);
            // There is one set of digits; its labels are noisy in the held-out task only.
            assert!(
                seen.data != held.data || (seen.label_noise == 0.0 && held.label_noise > 0.0),
                "{} {}",
                seen.name,
                held.name
            );
        }
    }
}

#[test]
fn every_quick_task_learns_and_does_not_saturate() {
    let suite = SuiteSource::find("quick").unwrap().suite().unwrap();
    let adamw = symopt_programs::adamw().program();
    for weighted in &suite.tasks {
        let run = weighted
            .task
            .run(&weighted.candidate(&adamw, Some("adamw")), 1, &CancelToken::new(), &mut |_| {
                Verdict::Continue
            })
            .unwrap();
        assert_eq!(run.stop, StopReason::Completed);
        let (first, last) =
            (run.curve.first().unwrap().validation.loss, run.curve.last().unwrap().validation.loss);
        assert!(last < 0.95 * first && last > 0.02, "{}: {first} to {last}", weighted.task.name());
    }
}

#[test]
fn same_program_suite_and_seeds_give_the_same_bits_on_any_thread() {
    let evaluate = || {
        let suite = SuiteSource::find("smoke").unwrap().suite().unwrap();
        let baseline = suite.baseline(&[3, 4], &CancelToken::new()).unwrap();
        let lion = symopt_programs::find("lion").unwrap().program();
        suite
            .evaluate(&lion, Some("lion"), &baseline, &CancelToken::new(), &mut |_, _| {
                Verdict::Continue
            })
            .unwrap()
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
        weighted
            .task
            .run(&weighted.candidate(&adamw, Some("adamw")), seed, &CancelToken::new(), &mut |_| {
                Verdict::Continue
            })
            .unwrap()
            .curve
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
    let run = suite.tasks[0].task.run(
        &Candidate { program: &sgd, peak_lr: 1e30, hyperparameters: &[] },
        1,
        &CancelToken::new(),
        &mut |_| Verdict::Continue,
    );
    assert!(matches!(run.unwrap().stop, StopReason::Diverged { .. }));
    assert!(Fitness::Diverged < Fitness::Hopeless { checkpoint: 0 });
    assert!(Fitness::Hopeless { checkpoint: 9 } < Fitness::Improvement(-1e9));
}

#[test]
fn a_watcher_stops_a_hopeless_evaluation_where_it_says() {
    let suite = SuiteSource::find("smoke").unwrap().suite().unwrap();
    let baseline = suite.baseline(&[1], &CancelToken::new()).unwrap();
    let adamw = symopt_programs::adamw().program();
    let mut watch = |checkpoint, _| if checkpoint == 2 { Verdict::Stop } else { Verdict::Continue };
    let outcome =
        suite.evaluate(&adamw, Some("adamw"), &baseline, &CancelToken::new(), &mut watch).unwrap();
    assert_eq!(outcome.fitness, Fitness::Hopeless { checkpoint: 2 });
    assert_eq!((outcome.curve.len(), outcome.results.len()), (3, 1));
}

#[test]
fn bad_descriptions_are_refused_with_place_and_reason() {
    let changed = |from: &str, to: &str| {
        assert!(TASK.contains(from), "{from}");
        TASK.replace(from, to)
    };
    let raw = r#""raw-images", images = "x", labels = "y", height = 2, width = 2, channels = 3, classes = 3 }"#;
    let table = |from: &str, to: &str| {
        let table = r#""tabular", numeric = 4, categories = [3], classes = 3, trees = 3, depth = 2, scale = 1.0 }"#;
        if from.is_empty() { table.to_owned() } else { table.replace(from, to) }
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
        (
            changed("batch = 8", "batch = 8\nschedule = { warmup_cosine = { warmup = 2 } }"),
            "task a",
            "from 0 to 1",
        ),
        (changed("seeds = [1]", "seeds = []"), "mine.toml", "empty"),
        (changed("seeds = [1]", "seeds = [1, 2, 1]"), "mine.toml", "twice"),
        (changed("seeds = [1]", "seeds = [1000000]"), "mine.toml", "reserved"),
        (changed("\"digits\"", "\"digit\""), "line", "unknown variant `digit`"),
        (changed("\"linear\"", "\"mlp\""), "line", "missing field `hidden`"),
        // Kinds without keys of their own refuse others as well as those that have some.
        (changed("\"digits\"", "\"digits\", path = \"x\""), "line", "unknown field `path`"),
        (changed("\"linear\"", "\"linear\", hidden = [3]"), "line", "unknown field `hidden`"),
        (changed("\"linear\"", "\"mlp\", hiden = [3]"), "line", "did you mean `hidden`?"),
        (changed("steps =", "step ="), "line", "did you mean `steps`?"),
        (
            changed(
                "\"linear\" }",
                "\"transformer\", layers = 1, width = 8, heads = 2, hidden = 8 }",
            ),
            "task a",
            "needs `patch`",
        ),
        (
            changed("\"digits\" }", "\"text\", path = \"x\", unit = \"bytes\" }"),
            "task a",
            "transformer",
        ),
        (
            changed(
                "\"digits\" }",
                "\"teacher\", features = 4, classes = 0, weights = \"signs\", scale = 1.0 }",
            ),
            "task a",
            "`classes`",
        ),
        (
            changed("\"digits\" }", "\"text\", path = \"x\", unit = \"words\" }"),
            "task a",
            "words need `vocabulary`",
        ),
        (
            changed("\"digits\" }", "\"text\", path = \"x\", unit = \"words\", vocabulary = 1 }"),
            "task a",
            "from 2 to 65,536",
        ),
        (
            changed("\"digits\" }", "\"text\", path = \"x\", unit = \"bytes\", vocabulary = 9 }"),
            "task a",
            "is for words",
        ),
        (
            changed("\"digits\" }", &table("numeric = 4, categories = [3]", "numeric = 0")),
            "task a",
            "a table has from 1 to",
        ),
        (
            changed("\"digits\" }", &table("categories = [3]", "categories = [3, 0]")),
            "task a",
            "at least 1 category",
        ),
        (
            changed("\"digits\" }", &table("depth = 2", "depth = 13")),
            "task a",
            "`depth` is at most 12",
        ),
        (
            changed("\"digits\" }", &table("trees = 3", "trees = 4096, numerics = 1")),
            "line",
            "unknown field",
        ),
        (changed("\"digits\" }", &table("classes = 3", "classes = 0")), "task a", "`classes`"),
        (changed("\"digits\" }", &table("scale = 1.0", "scale = inf")), "task a", "finite"),
        (
            changed("\"digits\" }", &table("numeric = 4", "numeric = 60000"))
                .replace("= 100\n", "= 100000\n"),
            "task a",
            "too large a table",
        ),
        (
            changed("\"digits\" }", &table("", "")).replace(
                "\"linear\" }",
                "\"transformer\", layers = 1, width = 8, heads = 2, hidden = 8, patch = 1 }",
            ),
            "task a",
            "are no images",
        ),
        (changed("\"digits\" }", &raw.replace("width = 2", "width = 0")), "task a", "`width`"),
        (
            changed("\"digits\" }", &raw.replace("classes = 3", "classes = 65537")),
            "task a",
            "65,536",
        ),
        (format!("{TASK}{}", &TASK[TASK.find("[[task]]").unwrap()..]), "line 14", "another task"),
        (
            format!(
                "{TASK}[[task.tuned]]\nprogram = \"adamm\"\npeak_lr = 1.0\nhyperparameters = []\n"
            ),
            "task a",
            "`adamm`",
        ),
        (
            format!(
                "{TASK}[[task.tuned]]\nprogram = \"adamw\"\npeak_lr = -1.0\nhyperparameters = []\n"
            ),
            "task a",
            "above 0",
        ),
    ] {
        let Err(error) = suite_of(&text) else { panic!("accepted: {text}") };
        let error = error.to_string();
        assert!(
            error.contains(place) && error.contains(reason),
            "wanted `{place}` and `{reason}`, got: {error}"
        );
    }
}

#[test]
fn what_only_the_data_shows_is_refused_when_the_task_runs() {
    for (from, to, reason) in [
        (
            "training = 100",
            "training = 5000",
            "5000 training examples are wanted, but there are 1747",
        ),
        ("validation = 50", "validation = 5000", "validation examples"),
        ("\"digits\" }", "\"mnist\", path = \"no/such/folder\" }", "four files"),
        (
            "\"digits\" }",
            "\"raw-images\", images = \"no/images\", labels = \"no/labels\", height = 8, width = 8, channels = 1, classes = 10 }",
            "cannot read no/images",
        ),
        (
            "\"linear\" }",
            "\"mlp\", hidden = [0], activation = \"tanh\" }",
            "hidden layer must be at least 1",
        ),
        (
            "\"linear\" }",
            "\"transformer\", layers = 1, width = 8, heads = 3, hidden = 8, patch = 2 }",
            "3 heads",
        ),
        (
            "\"linear\" }",
            "\"transformer\", layers = 1, width = 8, heads = 2, hidden = 8, patch = 3 }",
            "do not tile",
        ),
    ] {
        let suite = suite_of(&TASK.replace(from, to)).unwrap();
        let error = suite.tasks[0].task.describe().unwrap_err().to_string();
        assert!(error.contains(reason), "wanted `{reason}`, got: {error}");
    }
}

#[test]
fn what_the_memory_does_not_hold_is_refused_before_it_is_asked_for() {
    // Sizes that no machine holds: activations of 700 GB, examples of 26 TB.
    let teacher = "\"teacher\", features = 65536, classes = 2, weights = \"normal\", scale = 1.0 }";
    let deep = "\"transformer\", layers = 16000, width = 32, heads = 32, hidden = 256, patch = 1 }";
    for (from, to, reason) in [
        ("\"linear\" }", deep, "memory"),
        ("\"linear\" }", &deep.replace("16000", "20000"), "more than 16384 layers"),
        ("\"linear\" }", &deep.replace("256", "1048576"), "parameters"),
        (
            "\"linear\" }",
            "\"transformer\", layers = 1, width = 1048576, heads = 1, hidden = 1048576, patch = 8 }",
            "parameters",
        ),
        ("\"digits\" }", teacher, "memory"),
    ] {
        let text = TASK.replace(from, to);
        let text = if to == teacher {
            text.replace("training = 100", "training = 100000000")
        } else {
            text
        };
        let suite = suite_of(&text).unwrap_or_else(|error| panic!("{error}"));
        let error = suite.tasks[0].task.describe().unwrap_err().to_string();
        assert!(
            error.contains("task a") && error.contains(reason),
            "wanted `{reason}`, got: {error}"
        );
    }
}

#[test]
fn the_baseline_of_many_seeds_looks_at_the_time() {
    let seeds: Vec<String> = (0..100_000).map(|seed| seed.to_string()).collect();
    let text = format!(
        "{TASK}[[task.tuned]]\nprogram = \"adamw\"\npeak_lr = 0.01\nhyperparameters = []\n"
    );
    let suite =
        suite_of(&text.replace("seeds = [1]", &format!("seeds = [{}]", seeds.join(", ")))).unwrap();
    assert_eq!(suite.seeds.len(), 100_000);
    let end = std::time::Instant::now() + std::time::Duration::from_millis(50);
    let error = suite.baseline_until(&suite.seeds, Some(end), &CancelToken::new());
    let error = error.unwrap_err().to_string();
    assert!(error.contains("the time limit") && error.contains("of 100000 were done"), "{error}");
}

#[test]
fn unknown_names_are_answered_with_the_nearest() {
    let error = SuiteSource::find("quik").unwrap_err().to_string();
    assert!(error.contains("did you mean `quick`?") && error.contains("smoke"), "{error}");
    let Err(error) = find_task("digits-linar") else { panic!("found") };
    assert!(error.to_string().contains("did you mean `digits-linear`?"), "{error}");
}

#[test]
fn tables_are_learned_beyond_the_shares_of_their_classes() {
    let data = r#"{ kind = "tabular", numeric = 8, categories = [3, 9], classes = 4, trees = 8, depth = 2, scale = 3.0 }"#;
    for model in
        [r#"{ kind = "linear" }"#, r#"{ kind = "mlp", hidden = [32], activation = "relu" }"#]
    {
        let text =
            TASK.replace("{ kind = \"digits\" }", data).replace("{ kind = \"linear\" }", model);
        let text = text
            .replace("steps = 5\nbatch = 8", "steps = 200\nbatch = 64")
            .replace("training = 100", "training = 3000");
        let text = text.replace("validation = 50", "validation = 1000");
        let adamw = symopt_programs::adamw().program();
        let candidate = Candidate { program: &adamw, peak_lr: 0.01, hyperparameters: &[] };
        let run = |seed| {
            suite_of(&text).unwrap().tasks[0]
                .task
                .run(&candidate, seed, &CancelToken::new(), &mut |_| Verdict::Continue)
                .unwrap()
        };
        for seed in 1..4 {
            let first = run(seed);
            assert_eq!(first.curve, run(seed).curve);
            // The four classes are about equally frequent, so that a model that only knows this has
            // a loss of about ln 4 = 1.386.
            let metrics = first.final_metrics().unwrap();
            assert!(metrics.loss < 1.25 && metrics.loss > 0.2, "{model}, seed {seed}: {metrics:?}");
        }
    }
}

#[test]
fn presets_are_sound_and_run_once_their_paths_are_filled_in() {
    let presets: Vec<SuiteSource> = SuiteSource::presets().collect();
    assert_eq!(
        presets.iter().map(|preset| preset.name.as_str()).collect::<Vec<_>>(),
        ["vit-paper", "lm-paper"]
    );
    for preset in &presets {
        assert_eq!(SuiteSource::preset(&preset.name).unwrap(), *preset);
        let suite = preset.suite().unwrap_or_else(|error| panic!("{error}"));
        let error = suite.tasks[0].task.describe().unwrap_err().to_string();
        assert!(error.contains("PATH/TO/") && error.contains("must name a"), "{error}");
        // A preset that is taken for a suite.
        let error = SuiteSource::find(&preset.name).unwrap_err().to_string();
        assert!(error.contains(&format!("symopt tasks --preset {}", preset.name)), "{error}");
    }
    let error = SuiteSource::preset("vit-papre").unwrap_err().to_string();
    assert!(error.contains("did you mean `vit-paper`?"), "{error}");

    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let images: Vec<u8> =
        (0..12 * 64 * 64 * 3_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::fs::write(path("images.bin"), images).unwrap();
    std::fs::write(
        path("labels.bin"),
        (0..12_u16).flat_map(|label| (80 * label).to_le_bytes()).collect::<Vec<u8>>(),
    )
    .unwrap();
    std::fs::write(path("text.txt"), "one two three four five six seven ".repeat(2_000)).unwrap();
    let adamw = symopt_programs::adamw().program();
    for (preset, parameters) in presets.iter().zip([508_000..509_000, 395_000..410_000]) {
        let text = preset.text.replace("PATH/TO", &folder.path().display().to_string());
        let text = text
            .replace("validation = 10000", "validation = 4")
            .replace("validation = 1000\n", "validation = 4\n");
        let text = text
            .replace("steps = 30000", "steps = 2")
            .replace("steps = 20000", "steps = 2")
            .replace("batch = 64", "batch = 8");
        let suite = suite_of(
            &text
                .replace("checkpoints = 30", "checkpoints = 1")
                .replace("checkpoints = 20", "checkpoints = 1"),
        )
        .unwrap();
        let task = &suite.tasks[0].task;
        assert!(
            parameters.contains(&task.describe().unwrap().parameters),
            "{:?}",
            task.describe().unwrap()
        );
        let run = task
            .run(
                &Candidate { program: &adamw, peak_lr: 0.001, hyperparameters: &[] },
                1,
                &CancelToken::new(),
                &mut |_| Verdict::Continue,
            )
            .unwrap();
        assert_eq!(run.stop, StopReason::Completed);
    }
}

#[test]
fn a_text_file_trains_a_language_model() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(
        &mut file,
        "the quick brown fox jumps over the lazy dog. ".repeat(200).as_bytes(),
    )
    .unwrap();
    let path = file.path().display();
    let model =
        r#"{ kind = "transformer", layers = 1, width = 8, heads = 2, hidden = 16, context = 8 }"#;
    // Five words out of nine are among the known four, so that a model without context has a loss
    // of about 1.5.
    for (unit, most) in [("unit = \"characters\"", 2.5), ("unit = \"words\", vocabulary = 5", 1.0)]
    {
        let text = TASK
            .replace(
                "{ kind = \"digits\" }",
                &format!("{{ kind = \"text\", path = '{path}', {unit} }}"),
            )
            .replace("{ kind = \"linear\" }", model)
            .replace("validation = 50", "validation = 20")
            .replace("steps = 5", "steps = 60");
        let suite = suite_of(&text).unwrap();
        let adamw = symopt_programs::adamw().program();
        let candidate = Candidate { program: &adamw, peak_lr: 0.03, hyperparameters: &[] };
        let run = suite.tasks[0]
            .task
            .run(&candidate, 1, &CancelToken::new(), &mut |_| Verdict::Continue)
            .unwrap();
        let metrics = run.final_metrics().unwrap();
        assert!(metrics.loss < most, "{unit}: {metrics:?}");
    }
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
