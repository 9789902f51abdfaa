//! External tasks: the protocol, everything that can go wrong with a command, and that nothing of
//! it is left behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use symopt_cancel::CancelToken;
use symopt_dsl::{Graph, Program};
use symopt_proxy_tasks::constants::{Origin, Tuned};
use symopt_proxy_tasks::error::{Failure, FailureKind};
use symopt_proxy_tasks::external::{Exported, ExternalSpec, ExternalTask};
use symopt_proxy_tasks::run::{Checkpoint, Run, StopReason};
use symopt_proxy_tasks::spec::{SuiteSource, find_task};
use symopt_proxy_tasks::suite::{Fitness, Suite};
use symopt_proxy_tasks::task::{Candidate, Task, Verdict};

/// The stand-in for a training script, with its arguments.
fn script(arguments: &str) -> String {
    // Without a shell around it that would keep its output open.
    format!(
        "exec python3 '{}' {arguments}",
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/external/script.py")
    )
}

fn spec(command: &str) -> ExternalSpec {
    ExternalSpec {
        checkpoints: 2,
        steps: Some(4),
        seconds: 30.0,
        ..ExternalSpec::new("stand-in", command)
    }
}

fn task(arguments: &str) -> ExternalTask {
    ExternalTask::new(spec(&script(arguments)))
}

fn lion() -> Program {
    symopt_programs::lion().program()
}

fn run_with(task: &ExternalTask, program: &Program, seed: u64) -> Run {
    task.run(&Candidate::new(program), seed, &CancelToken::new(), &mut |_| Verdict::Continue)
        .unwrap()
}

fn run(arguments: &str) -> Run {
    run_with(&task(arguments), &lion(), 3)
}

fn failure(run: &Run) -> &Failure {
    run.failure().unwrap_or_else(|| panic!("{run:?}"))
}

/// Returns the loss that the script gives a program.
fn loss(program: &Program, seed: u64) -> f64 {
    let hash = Graph::new(program).unwrap().hash().to_string();
    1.0 + (u32::from_str_radix(&hash[..8], 16).unwrap() % 1000) as f64 / 1000.0
        + (seed % 8) as f64 / 64.0
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Whether a process runs; one that has ended and was not waited for does not.
fn is_alive(process: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    status.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// The processes die at once, but not before the signal is through.
fn assert_gone(processes: &[String]) {
    assert!(!processes.is_empty());
    let deadline = Instant::now() + Duration::from_secs(20);
    while processes.iter().any(|process| is_alive(process)) {
        assert!(Instant::now() < deadline, "{processes:?}: still there");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// No process that this one has started stays without being waited for. Other tests have some of
/// these for a moment.
fn assert_no_zombies() {
    let deadline = Instant::now() + Duration::from_secs(20);
    while zombies() > 0 {
        assert!(Instant::now() < deadline, "{} zombies", zombies());
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn zombies() -> usize {
    let own = std::process::id().to_string();
    let stats = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("stat")).ok());
    let is_zombie = |stat: &String| {
        let mut fields = stat.rsplit_once(") ").unwrap_or_default().1.split(' ');
        fields.next() == Some("Z") && fields.next() == Some(&own)
    };
    stats.filter(is_zombie).count()
}

#[test]
fn a_run_has_the_curve_of_the_script_and_shows_the_watcher_its_checkpoints() {
    let task = task("ok");
    let mut seen = Vec::new();
    let run = task.run(
        &Candidate::new(&lion()),
        3,
        &CancelToken::new(),
        &mut |checkpoint: &Checkpoint| {
            seen.push((checkpoint.step, checkpoint.validation.loss));
            Verdict::Continue
        },
    );
    let (run, loss) = (run.unwrap(), loss(&lion(), 3));
    assert_eq!(run.stop, StopReason::Completed);
    assert_eq!(seen, [(2, loss * 2.0), (4, loss)]);
    let curve: Vec<(usize, f64, f64)> =
        run.curve.iter().map(|c| (c.step, c.training_loss, c.validation.loss)).collect();
    assert_eq!(
        curve,
        [
            (1, loss * 2.0, loss * 4.0),
            (2, loss, loss * 2.0),
            (3, loss * 4.0 / 3.0 / 2.0, loss * 4.0 / 3.0),
            (4, loss / 2.0, loss)
        ]
    );
    assert_eq!(run.final_metrics().unwrap().accuracy, Some(0.25));
}

#[test]
fn a_script_that_reports_no_progress_has_all_checkpoints_at_the_end() {
    for arguments in ["quiet", "once"] {
        let task = ExternalTask::new(ExternalSpec { checkpoints: 5, ..spec(&script(arguments)) });
        let mut seen = 0;
        let run = task.run(&Candidate::new(&lion()), 3, &CancelToken::new(), &mut |_| {
            seen += 1;
            Verdict::Continue
        });
        assert_eq!(
            (run.unwrap().final_metrics().unwrap().loss, seen),
            (loss(&lion(), 3), 5),
            "{arguments}"
        );
    }
}

#[test]
fn a_process_is_kept_while_it_answers_and_one_that_answers_once_is_started_anew() {
    let folder = tempfile::tempdir().unwrap();
    for (mode, processes) in [("ok", 1), ("once", 4), ("once-badly", 4)] {
        let file = folder.path().join(mode);
        let task = task(&format!("{mode} {}", file.display()));
        for seed in 0..4 {
            assert_eq!(
                run_with(&task, &lion(), seed).final_metrics().unwrap().loss,
                loss(&lion(), seed)
            );
        }
        drop(task);
        let lines = lines(&file);
        let mut different: Vec<String> =
            lines.iter().map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect();
        assert_eq!(different.len(), 4, "a request was sent twice");
        different.dedup();
        assert_eq!(different.len(), processes, "{mode}");
        assert_gone(&different);
    }
}

#[test]
fn as_many_processes_run_at_once_as_there_are_threads() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log");
    let task = task(&format!("ok {}", file.display()));
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let task = &task;
            scope.spawn(move || {
                (0..8).for_each(|seed| {
                    assert_eq!(run_with(task, &lion(), seed + thread).stop, StopReason::Completed)
                })
            });
        }
    });
    let mut processes: Vec<String> =
        lines(&file).iter().map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(processes.len(), 24);
    processes.sort();
    processes.dedup();
    assert!(processes.len() <= 3, "{processes:?}");
}

#[test]
fn requests_carry_the_program_its_settings_and_a_fresh_file() {
    let folder = tempfile::tempdir().unwrap();
    // Writes the request down; the file goes when the request is answered.
    let copy = folder.path().join("request.json");
    let command = format!(
        r#"while read -r line; do printf '%s\n' "$line" > '{0}'; path=$(printf '%s' "$line" | sed 's/.*"path":"\([^"]*\)".*/\1/'); cp "$path" '{0}.export'; printf '%s' "$path" > '{0}.path'; id=$(printf '%s' "$line" | sed 's/.*"id":\([0-9]*\).*/\1/'); echo "{{\"id\":$id,\"loss\":0.5}}"; done"#,
        copy.display()
    );
    let exporter = |program: &Program, target: &str| {
        Ok(Exported {
            file: format!("{target}.py"),
            text: format!("# {}\n", program.signature().name),
            name: "Lion".to_owned(),
        })
    };
    let task = ExternalTask::with_exporter(
        ExternalSpec { export: "pytorch".to_owned(), ..spec(&command) },
        Arc::new(exporter),
    );
    let lion = lion();
    let candidate =
        Candidate { program: &lion, peak_lr: 0.25, hyperparameters: &[("beta1".to_owned(), 0.5)] };
    let run = task
        .run(&candidate, (1 << 62) + 1, &CancelToken::new(), &mut |_| Verdict::Continue)
        .unwrap();
    assert_eq!(run.final_metrics().unwrap().loss, 0.5, "{run:?}");
    let request: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&copy).unwrap()).unwrap();
    let path = fs::read_to_string(folder.path().join("request.json.path")).unwrap();
    assert_eq!(
        request,
        serde_json::json!({
            "protocol": 1,
            "id": 1,
            "name": "lion",
            "hash": Graph::new(&lion).unwrap().hash().to_string(),
            "program": lion.to_string(),
            "hyperparameters": { "beta1": 0.5, "beta2": 0.99, "weight_decay": 0.0 },
            "peak_lr": 0.25,
            "seed": 4611686018427387905_u64,
            "budget": { "steps": 4, "seconds": 30.0 },
            "checkpoints": 2,
            "export": { "target": "pytorch", "path": path, "name": "Lion" },
        })
    );
    assert!(path.ends_with("/pytorch.py"));
    assert_eq!(fs::read_to_string(folder.path().join("request.json.export")).unwrap(), "# lion\n");
    assert!(!PathBuf::from(&path).exists(), "the file of a request goes with it");
    drop(task);
    assert!(
        !Path::new(&path).parent().unwrap().parent().unwrap().exists(),
        "the folder of a task goes with it"
    );
}

#[test]
fn without_an_export_the_file_is_the_programs_text() {
    assert_eq!(run("echo").final_metrics().unwrap().accuracy, Some(0.5));
}

#[test]
fn hyperparameters_that_the_program_lacks_are_refused_before_anything_is_started() {
    let task = task("ok");
    let lion = lion();
    let candidate =
        Candidate { hyperparameters: &[("beta3".to_owned(), 0.5)], ..Candidate::new(&lion) };
    let error = task
        .run(&candidate, 1, &CancelToken::new(), &mut |_| Verdict::Continue)
        .unwrap_err()
        .to_string();
    assert!(error.contains("beta3") && error.contains("beta2"), "{error}");
}

#[test]
fn whatever_goes_wrong_is_a_failure_that_says_what() {
    for (mode, kind, reason) in [
        ("crash", FailureKind::Ended, "exit status: 3"),
        ("signal", FailureKind::Ended, "signal"),
        ("silent-end", FailureKind::Ended, "exit status: 0"),
        ("garbage", FailureKind::Garbage, "Epoch 1: loss 0.5"),
        ("unicode", FailureKind::Garbage, "not UTF-8"),
        ("partial", FailureKind::Garbage, "no JSON object"),
        ("wrong-id", FailureKind::Garbage, "never sent"),
        ("negative", FailureKind::Garbage, "below 0"),
        ("error", FailureKind::Reported, "out of memory"),
        ("flood", FailureKind::Flood, "16 MiB"),
        ("long", FailureKind::Flood, "1 MiB"),
        ("close", FailureKind::Closed, "ran on"),
        // Where a shell stands between.
        ("signal; exit $?", FailureKind::Ended, "killed by signal 6"),
    ] {
        let begin = Instant::now();
        let command = script(mode);
        let command = if mode.contains(';') { command.replace("exec ", "") } else { command };
        let run = run_with(&ExternalTask::new(spec(&command)), &lion(), 3);
        let failure = failure(&run);
        assert_eq!(failure.kind, kind, "{mode}: {failure:?}");
        assert!(failure.reason.contains(reason), "{mode}: {failure:?}");
        assert!(
            begin.elapsed() < Duration::from_secs(25),
            "{mode}: the time limit is not what ended it"
        );
        assert!(run.final_metrics().is_none());
    }
    assert_eq!(failure(&run("crash")).stderr, "warming up\nRuntimeError: boom");
    assert_no_zombies();
}

#[test]
fn a_new_process_takes_over_after_a_failure() {
    // It fails with Lion only.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log");
    let hash = Graph::new(&lion()).unwrap().hash().to_string();
    let stand_in = script(&format!("ok {}", file.display()));
    let command = format!(
        r#"while read -r line; do case "$line" in *{hash}*) echo nonsense; sleep 600;; *) printf '%s\n' "$line" | {stand_in} | tail -n 1;; esac; done"#
    );
    let task = ExternalTask::new(spec(&command));
    let adamw = symopt_programs::adamw().program();
    for seed in 0..3 {
        assert_eq!(run_with(&task, &adamw, seed).final_metrics().unwrap().loss, loss(&adamw, seed));
        assert_eq!(failure(&run_with(&task, &lion(), seed)).kind, FailureKind::Garbage);
    }
    assert_eq!(lines(&file).len(), 3);
}

#[test]
fn the_time_limit_kills_the_whole_group_whatever_it_ignores() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("processes");
    let task = ExternalTask::new(ExternalSpec {
        seconds: 2.0,
        ..spec(&script(&format!("hang {}", file.display())))
    });
    let run = run_with(&task, &lion(), 1);
    let failure = failure(&run);
    assert_eq!((failure.kind, failure.stderr.as_str()), (FailureKind::Timeout, "thinking"));
    assert!(failure.reason.contains("2 s"), "{failure:?}");
    let processes: Vec<String> =
        lines(&file).into_iter().filter(|line| !line.starts_with("request")).collect();
    assert_eq!(processes.len(), 3);
    assert_gone(&processes);
    assert_no_zombies();
}

#[test]
fn a_command_that_is_silent_from_the_start_or_closes_its_input_meets_both_limits() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("processes");
    // More than a pipe holds.
    let many = "  update = update + g\n".repeat(20_000);
    let long = symopt_dsl::parse(&format!(
        "def long(w, g, lr):\n  update = g * lr\n{many}  return update\n"
    ));
    let program = long.unwrap_or_else(|_| lion());
    for command in [
        "sleep 600".to_owned(),
        format!("exec 0<&-; echo $$ > '{}'; exec sleep 600", file.display()),
    ] {
        let task = ExternalTask::new(ExternalSpec {
            seconds: 1.0,
            startup_seconds: 1.5,
            ..spec(&command)
        });
        let begin = Instant::now();
        let run = run_with(&task, &program, 1);
        assert_eq!(failure(&run).kind, FailureKind::Timeout);
        assert!(failure(&run).reason.contains("1.5 s to start"), "{run:?}");
        assert!(begin.elapsed() >= Duration::from_secs_f64(2.4));
    }
    assert_gone(&lines(&file));
}

#[test]
fn a_command_that_cannot_be_started_says_so() {
    for command in ["no-such-command-of-this-name", "/", "exit 126"] {
        let run = run_with(&ExternalTask::new(spec(command)), &lion(), 1);
        assert_eq!(failure(&run).kind, FailureKind::Start, "{run:?}");
    }
    let task =
        ExternalTask::new(ExternalSpec { export: "pascal".to_owned(), ..spec(&script("ok")) });
    let run = run_with(&task, &lion(), 1);
    assert_eq!(failure(&run).kind, FailureKind::Export);
    assert!(failure(&run).reason.contains("pascal"));
}

#[test]
fn a_loss_that_is_not_finite_is_a_run_that_diverged() {
    assert_eq!(run("nan").stop, StopReason::Diverged { step: 4 });
    assert_eq!(run("nan-step").stop, StopReason::Diverged { step: 7 });
}

#[test]
fn a_flood_on_the_standard_error_stream_is_no_harm() {
    let task = task("complaints");
    for seed in 0..3 {
        assert_eq!(
            run_with(&task, &lion(), seed).final_metrics().unwrap().loss,
            loss(&lion(), seed)
        );
    }
}

#[test]
fn lines_of_earlier_requests_are_passed_over() {
    let task = task("stale");
    for seed in 0..4 {
        assert_eq!(
            run_with(&task, &lion(), seed).final_metrics().unwrap().loss,
            loss(&lion(), seed)
        );
    }
}

#[test]
fn a_hopeless_run_is_stopped_by_a_line_or_by_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log");
    let task = ExternalTask::new(ExternalSpec {
        checkpoints: 4,
        ..spec(&script(&format!("stops {}", file.display())))
    });
    let stop = |task: &ExternalTask| {
        task.run(&Candidate::new(&lion()), 1, &CancelToken::new(), &mut |_| Verdict::Stop).unwrap()
    };
    for _ in 0..2 {
        assert_eq!(stop(&task).stop, StopReason::Stopped { step: 1 });
    }
    // The same process answers the next request.
    assert_eq!(run_with(&task, &lion(), 1).final_metrics().unwrap().loss, loss(&lion(), 1));
    let log = lines(&file);
    assert_eq!(log.iter().filter(|line| *line == "stop True").count(), 2, "{log:?}");
    let process = |line: &&String| line.starts_with("request");
    let mut processes: Vec<&str> =
        log.iter().filter(process).map(|line| line.split(' ').nth(1).unwrap()).collect();
    processes.dedup();
    assert_eq!(processes.len(), 1);
    // One that does not listen is killed at once.
    let deaf = ExternalTask::new(ExternalSpec { checkpoints: 4, ..spec(&script("plods")) });
    let begin = Instant::now();
    assert_eq!(stop(&deaf).stop, StopReason::Stopped { step: 1 });
    assert!(begin.elapsed() < Duration::from_secs(25));
}

#[test]
fn runs_that_are_cancelled_end_at_once_and_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("processes");
    let task = task(&format!("hang {}", file.display()));
    let cancel = CancelToken::new();
    let run = || task.run(&Candidate::new(&lion()), 1, &cancel, &mut |_| Verdict::Continue);
    std::thread::scope(|scope| {
        let run = scope.spawn(run);
        while lines(&file).len() < 4 {
            std::thread::sleep(Duration::from_millis(5));
        }
        cancel.cancel();
        let begin = Instant::now();
        let error = run.join().unwrap().unwrap_err();
        assert!(error.is_cancelled());
        assert_eq!(error.to_string(), "interrupted while task stand-in was running");
        assert!(begin.elapsed() < Duration::from_secs(10));
    });
    assert_gone(
        &lines(&file).into_iter().filter(|line| !line.starts_with("request")).collect::<Vec<_>>(),
    );
    // A token stays cancelled: nothing is started for it any more.
    assert!(run().unwrap_err().is_cancelled());
    assert_eq!(lines(&file).iter().filter(|line| line.starts_with("request")).count(), 1);
}

/// The suite that the command line makes of a command.
fn suite(arguments: &str) -> Suite {
    SuiteSource::of_command("stand-in", &spec(&script(arguments)), 1).unwrap().suite().unwrap()
}

#[test]
fn fitness_is_the_loss_saved_against_adamw_by_the_same_command() {
    let suite = suite("ok");
    let baseline = suite.baseline(&suite.seeds, &CancelToken::new()).unwrap();
    let adamw = loss(&symopt_programs::adamw().program(), 1);
    assert_eq!(baseline.final_loss(0, 0), Some(adamw));
    let mut watched = Vec::new();
    let outcome = suite.evaluate(
        &lion(),
        None,
        &baseline,
        &CancelToken::new(),
        &mut |checkpoint, running| {
            watched.push((checkpoint, running));
            Verdict::Continue
        },
    );
    let expected = (adamw - loss(&lion(), 1)) / adamw;
    assert_eq!(outcome.unwrap().fitness, Fitness::Improvement(expected));
    assert_eq!(watched.len(), 2);
    assert_eq!(watched[1], (1, expected));
    // The script gives a fitness, here minus the loss.
    let suite = self::suite("fitness");
    let baseline = suite.baseline(&suite.seeds, &CancelToken::new()).unwrap();
    let outcome = suite
        .evaluate(&lion(), None, &baseline, &CancelToken::new(), &mut |_, _| Verdict::Continue)
        .unwrap();
    let Fitness::Improvement(value) = outcome.fitness else { panic!("{outcome:?}") };
    assert!((value - (1.0 - (loss(&lion(), 1) - adamw).exp())).abs() < 1e-12, "{value}");
}

#[test]
fn a_failed_run_is_a_failed_evaluation_below_all_others_and_a_failed_baseline_an_error() {
    let error = suite("crash").baseline(&[1], &CancelToken::new()).unwrap_err().to_string();
    assert!(
        error.contains("stand-in")
            && error.contains("exit status: 3")
            && error.contains("RuntimeError: boom"),
        "{error}"
    );
    let good = suite("ok");
    let baseline = good.baseline(&[1], &CancelToken::new()).unwrap();
    let outcome = suite("crash")
        .evaluate(&lion(), None, &baseline, &CancelToken::new(), &mut |_, _| Verdict::Continue)
        .unwrap();
    assert_eq!(outcome.fitness, Fitness::Failed);
    assert_eq!(outcome.failure.unwrap().kind, FailureKind::Ended);
    assert!(
        Fitness::Failed < Fitness::Hopeless { checkpoint: 0 }
            && Fitness::Failed < Fitness::Improvement(-1e9)
    );
}

#[test]
fn a_command_that_fails_at_the_first_try_ends_a_tuning_and_a_later_failure_is_a_trial() {
    use symopt_proxy_tasks::tuning::grid::{Grid, Strategy, best, tune};
    let grid = Grid { peak_lr: vec![0.1, 0.2], weight_decay: vec![0.0], seeds: 1 };
    let error = tune(
        &task("crash"),
        &lion(),
        &grid,
        Strategy::Fine,
        None,
        &CancelToken::new(),
        &mut |_| {},
    )
    .unwrap_err();
    assert!(error.to_string().contains("boom"), "{error}");
    let command = r#"while read -r line; do case "$line" in *'"peak_lr":0.2'*) echo nonsense;; *) id=$(printf '%s' "$line" | sed 's/.*"id":\([0-9]*\).*/\1/'); echo "{\"id\":$id,\"loss\":0.5}";; esac; done"#;
    let trials = tune(
        &ExternalTask::new(spec(command)),
        &lion(),
        &grid,
        Strategy::Fine,
        None,
        &CancelToken::new(),
        &mut |_| {},
    )
    .unwrap();
    assert_eq!(best(&trials).unwrap().peak_lr, 0.1);
    assert_eq!(
        (trials[1].loss, trials[1].failure.as_ref().unwrap().kind),
        (None, FailureKind::Garbage)
    );
}

#[test]
fn suites_hold_external_tasks_beside_others_and_say_what_is_wrong_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    let table = "[[external]]\nname = \"mine\"\ncommand = \"true\"\n";
    fs::write(&path, format!("name = \"both\"\nseeds = [1]\n{table}")).unwrap();
    let found = find_task(&format!("{}/mine", path.display())).unwrap();
    assert!(
        found.task.is_external()
            && found.tuned[0].program == "adamw"
            && found.tuned[0].peak_lr == 1e-3
    );
    assert_eq!(found.origin("adamw"), Origin::Untuned);
    let text = |rest: &str| SuiteSource {
        name: "t".to_owned(),
        text: format!("name = \"t\"\nseeds = [1]\n{table}{rest}"),
    };
    assert_eq!(text("").suite().unwrap().tasks.len(), 1);
    // Results compared with AdamW state how it is run.
    let constants =
        "[[external.tuned]]\nprogram = \"adamw\"\npeak_lr = 0.1\nhyperparameters = []\n";
    for (rest, origin, words) in [
        ("", Origin::Untuned, "untuned AdamW"),
        (constants, Origin::Given, "AdamW as given"),
        (&format!("{constants}origin = \"given\"\n"), Origin::Given, "AdamW as given"),
        (
            &format!("{constants}origin = {{ tuned = {{ runs = 40, seeds = 2 }} }}\n"),
            Origin::Tuned { runs: 40, seeds: 2 },
            "tuned AdamW",
        ),
    ] {
        let suite = text(rest).suite().unwrap();
        assert_eq!(
            (suite.tasks[0].origin("adamw"), suite.baseline_origin().to_string().as_str()),
            (origin, words)
        );
        assert_eq!(suite.baseline_origin().behind().is_empty(), origin.is_tuned());
    }
    // A search goes on with a copy of the suite in which AdamW is tuned, and knows it again.
    let tuned = |runs| Tuned {
        program: "adamw".to_owned(),
        peak_lr: 0.02,
        hyperparameters: vec![],
        averages: false,
        origin: Origin::Tuned { runs, seeds: 2 },
    };
    let first = text(
        "[[task]]\nname = \"built\"\nsteps = 5\nbatch = 4\nschedule = { warmup_cosine = { warmup = 0.1 } }\ndata = { kind = \"digits\" }\nmodel = { kind = \"linear\" }\n",
    );
    assert_eq!(first.untuned().unwrap(), ["mine"]);
    let kept = first.with_constants(&[("mine".to_owned(), tuned(40))]).unwrap();
    assert_eq!(kept.untuned().unwrap(), Vec::<String>::new());
    let suite = kept.suite().unwrap();
    assert_eq!(
        (suite.tasks[0].task.name(), suite.tasks[1].origin("adamw")),
        ("built", Origin::Tuned { runs: 40, seeds: 2 })
    );
    assert!(
        first.is_kept_as(&kept.text)
            && !first.is_kept_as(&first.text)
            && kept.is_kept_as(&kept.text)
    );
    assert!(!kept.is_kept_as(&first.text) && !text("steps = 7\n").is_kept_as(&kept.text));
    let given = first
        .with_constants(&[("mine".to_owned(), Tuned { origin: Origin::Given, ..tuned(40) })])
        .unwrap();
    assert!(!first.is_kept_as(&given.text));
    // Several tasks are told apart.
    let second = table.replace("mine", "other");
    let both = text(&format!("{constants}origin = \"given\"\n{second}")).suite().unwrap();
    assert_eq!(both.baseline_origin().to_string(), "AdamW, untuned on other, as given on mine");
    for (rest, reason) in [
        ("seconds = 0.0\n", "above 0"),
        ("checkpoints = 0\n", "from 1 to"),
        ("steps = 0\n", "at least 1"),
        ("weight = -1.0\n", "above 0"),
        ("minutes = 3\n", "unknown field"),
        (table, "another task of the suite has this name"),
        (
            "[[external.tuned]]\nprogram = \"adamm\"\npeak_lr = 1.0\nhyperparameters = []\n",
            "no program of the zoo",
        ),
    ] {
        let error = text(rest).suite().err().unwrap().to_string();
        assert!(error.contains(reason), "{rest}: {error}");
    }
}

#[test]
fn a_guard_kills_the_group_when_the_process_that_holds_it_dies() {
    // The test binary again, as a process that is killed with a run under way.
    const CHILD: &str = "SYMOPT_TEST_EXTERNAL_CHILD";
    if let Ok(file) = std::env::var(CHILD) {
        let _ = run(&format!("hang {file}"));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("processes");
    let name = "a_guard_kills_the_group_when_the_process_that_holds_it_dies";
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(CHILD, &file)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while lines(&file).len() < 4 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let processes: Vec<String> =
        lines(&file).into_iter().filter(|line| !line.starts_with("request")).collect();
    assert!(processes.iter().all(|process| is_alive(process)), "{processes:?}");
    // SIGKILL: it can do nothing about it any more.
    child.kill().unwrap();
    child.wait().unwrap();
    assert_gone(&processes);
}

#[test]
fn tasks_can_be_used_from_many_threads() {
    let task = task("ok");
    let done = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (task, done) = (&task, &done);
            scope.spawn(move || {
                for seed in 0..5 {
                    let program = if (thread + seed) % 2 == 0 {
                        lion()
                    } else {
                        symopt_programs::adamw().program()
                    };
                    assert_eq!(
                        run_with(task, &program, seed).final_metrics().unwrap().loss,
                        loss(&program, seed)
                    );
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(done.into_inner(), 20);
}

#[test]
fn a_run_that_is_cancelled_ends_its_process_and_no_other() {
    let command = r#"while read -r line; do id=$(printf '%s' "$line" | sed 's/.*"id":\([0-9]*\).*/\1/'); case "$line" in *'"seed":1,'*) sleep 600;; *) sleep 1; echo "{\"id\":$id,\"loss\":0.5}";; esac; done"#;
    let task = ExternalTask::new(spec(command));
    let root = CancelToken::new();
    let (hangs, answers) = (root.child(), root.child());
    let run = |seed: u64, cancel: &CancelToken| {
        task.run(&Candidate::new(&lion()), seed, cancel, &mut |_| Verdict::Continue)
    };
    let begin = Instant::now();
    std::thread::scope(|scope| {
        let (hanging, answering) =
            (scope.spawn(|| run(1, &hangs)), scope.spawn(|| run(2, &answers)));
        std::thread::sleep(Duration::from_millis(300));
        hangs.cancel();
        assert!(hanging.join().unwrap().unwrap_err().is_cancelled());
        assert_eq!(answering.join().unwrap().unwrap().final_metrics().unwrap().loss, 0.5);
    });
    assert!(begin.elapsed() < Duration::from_secs(20));
}
