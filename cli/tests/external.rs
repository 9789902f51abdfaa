//! `--task-command` by the real binary: searches, tuning and training by a script, failures and
//! all.

mod common;

use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{output, run, symopt};
use serde_json::Value;

/// The stand-in for a training script, with its arguments.
fn script(arguments: &str) -> String {
    format!(
        "exec python3 '{}' {arguments}",
        concat!(env!("CARGO_MANIFEST_DIR"), "/../proxy-tasks/tests/external/script.py")
    )
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn is_alive(process: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    status.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

#[test]
fn a_search_by_a_command_is_kept_with_its_suite_and_resumed_and_reported_with_its_failures() {
    let directory = tempfile::tempdir().unwrap();
    let command = script("mixed log");
    let limits =
        ["--task-seconds", "3", "--task-steps", "2", "--task-checkpoints", "2", "--threads", "2"];
    let mut arguments = vec![
        "search",
        "--task-command",
        &command,
        "--population",
        "20",
        "--programs",
        "60",
        "--store",
        "store",
        "--seed",
        "11",
    ];
    arguments.extend(["--held-out", "2", "--task-seeds", "1", "--task-tune", "20"]);
    arguments.extend(limits);
    let text = output(directory.path(), &arguments);
    assert!(text.contains("60 programs generated"), "{text}");
    assert!(text.contains(" failed)\nfailed: "), "{text}");
    // The commands that it names work.
    let suite = std::fs::read_to_string(directory.path().join("store/suite.toml")).unwrap();
    assert!(suite.contains("script.py") && suite.contains("seconds = 3.0"), "{suite}");
    let trained = json(&output(
        directory.path(),
        &[
            "train",
            "--task",
            "store/suite.toml/external",
            "--program",
            "lion",
            "--seeds",
            "1",
            "--json",
        ],
    ));
    assert_eq!(trained[0]["runs"][0]["stop"], "completed");
    // Resumed, without a word about the command.
    let report = json(&output(
        directory.path(),
        &["resume", "store", "--programs", "90", "--held-out", "2", "--json"],
    ));
    assert_eq!(report["statistics"]["generated"], 90);
    let failed = report["statistics"]["failed"].as_u64().unwrap();
    let counts =
        report["failures"].as_array().unwrap().iter().map(|kind| kind["count"].as_u64().unwrap());
    assert!(failed > 0 && counts.sum::<u64>() == failed, "{report}");
    let rows: Vec<&str> = report["comparison"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        rows,
        ["best found", "adamw", "initial"],
        "the command is not asked for a Lion that nobody has tuned"
    );
    // The same search again goes on there, and trains nothing.
    arguments[6] = "90";
    let text = output(directory.path(), &arguments);
    assert!(
        text.starts_with("store holds this search already")
            && text.contains("evaluated (none in this session"),
        "{text}"
    );
    // The best of the search, on fresh seeds, and what failed.
    let text = output(directory.path(), &["report", "store", "--seeds", "1", "--output", "out"]);
    assert!(text.contains("FAILED"), "{text}");
    let written = std::fs::read_to_string(directory.path().join("out/report.md")).unwrap();
    assert!(written.contains("Evaluations that failed"), "{written}");
    let written = json(&std::fs::read_to_string(directory.path().join("out/report.json")).unwrap());
    assert_eq!(
        written["stores"][0]["failures"].as_array().unwrap().len(),
        report["failures"].as_array().unwrap().len()
    );
}

#[test]
fn a_command_trains_and_tunes() {
    let directory = tempfile::tempdir().unwrap();
    let command = script("ok");
    let train = [
        "train",
        "--task-command",
        &command,
        "--task-steps",
        "4",
        "--program",
        "lion",
        "--vs",
        "adamw",
        "--seeds",
        "2",
    ];
    let text = output(directory.path(), &train);
    assert!(
        text.contains("VALIDATION LOSS")
            && text.contains("25.00 %")
            && text.contains("paired over 2 seeds"),
        "{text}"
    );
    assert!(
        text.contains("(untuned: the program's own)")
            && text.contains("lion against untuned adamw: "),
        "{text}"
    );
    let tune = [
        "tune",
        "--task-command",
        &command,
        "--program",
        "momentum",
        "--seeds",
        "1",
        "--grid",
        "local",
    ];
    let text = output(directory.path(), &tune);
    assert!(
        text.contains("[[external.tuned]]") && text.contains("origin = { tuned = { runs = "),
        "{text}"
    );
    // The result can be used as it is printed, whatever the command.
    let used = |text: &str, name: &str| {
        let line = text
            .lines()
            .skip_while(|line| *line != "to use it:")
            .find(|line| line.contains(&format!("symopt {name} ")))
            .unwrap();
        let line =
            line.trim().replacen("symopt", env!("CARGO_BIN_EXE_symopt"), 1) + " --seeds 1 --json";
        let ended = std::process::Command::new("sh")
            .args(["-c", &line])
            .current_dir(directory.path())
            .output()
            .unwrap();
        assert!(ended.status.success(), "{line}: {}", String::from_utf8_lossy(&ended.stderr));
        json(&String::from_utf8_lossy(&ended.stdout))
    };
    let peak: f64 =
        text.split("peak_lr = ").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
    assert_eq!(used(&text, "train")[0]["peak_lr"], peak);
    for rest in [&["--seeds", "1", "--grid", "local"][..], &["--budget", "32", "--no-betas"]] {
        let text = output(
            directory.path(),
            &[
                &["tune", "--task-command", &command, "--task-steps", "4", "--program", "adamw"],
                rest,
            ]
            .concat(),
        );
        assert!(
            text.contains("symopt search --task-command ")
                && text.contains(" --task-steps 4 --task-adamw lr="),
            "{text}"
        );
        assert_eq!(used(&text, "train")[0]["origin"], "given");
    }
}

#[test]
fn a_command_that_does_not_work_is_bad_input_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let crash = script("crash");
    for command in ["no-such-command-of-this-name", crash.as_str()] {
        for rest in [
            &["search", "--store", "store", "--programs", "10"][..],
            &["train", "--program", "lion"],
            &["tune", "--program", "lion"],
        ] {
            let ended = run(directory.path(), &[rest, &["--task-command", command]].concat());
            assert_eq!(
                (ended.code, ended.stdout.as_str()),
                (Some(2), ""),
                "{rest:?}: {}",
                ended.stderr
            );
            let reason = if command == crash { "RuntimeError: boom" } else { "can't be started" };
            assert!(ended.stderr.contains(reason), "{}", ended.stderr);
        }
    }
    for (arguments, reason) in [
        (&["train", "--program", "lion"][..], "--task"),
        (&["train", "--program", "lion", "--task-seconds", "3"], "--task-command"),
        (
            &["train", "--program", "lion", "--task-command", "true", "--task", "1x/digits"],
            "cannot be used with",
        ),
        (
            &["train", "--program", "lion", "--task-command", "true", "--task-seconds", "0"],
            "above 0",
        ),
        (
            &["train", "--program", "lion", "--task-command", "true", "--task-export", "pascal"],
            "pascal",
        ),
        (&["search", "--task-command", "true", "--repeats", "2"], "suite file"),
        (&["search", "--task-command", "true", "--task-adamw", "speed=3"], "speed"),
    ] {
        let ended = run(directory.path(), arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}");
        assert!(ended.stderr.contains(reason), "{arguments:?}: {}", ended.stderr);
    }
    assert_eq!(
        std::fs::read_dir(directory.path()).unwrap().count(),
        0,
        "something was left behind"
    );
}

#[test]
fn an_interrupt_kills_the_script_with_all_its_processes() {
    for signal in ["-INT", "-KILL"] {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let command = script("hang log");
        let child = symopt(directory.path())
            .args(["train", "--task-command", &command, "--program", "lion"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = || {
            std::fs::read_to_string(&log)
                .unwrap_or_default()
                .lines()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        while lines().len() < 4 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let processes: Vec<String> =
            lines().into_iter().filter(|line| !line.starts_with("request")).collect();
        assert!(processes.iter().all(|process| is_alive(process)));
        let killed = std::process::Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status()
            .unwrap();
        assert!(killed.success());
        let begin = Instant::now();
        let ended = child.wait_with_output().unwrap();
        assert!(begin.elapsed() < Duration::from_secs(20));
        if signal == "-INT" {
            assert_eq!(ended.status.code(), Some(1), "{}", String::from_utf8_lossy(&ended.stderr));
        }
        let deadline = Instant::now() + Duration::from_secs(20);
        while processes.iter().any(|process| is_alive(process)) {
            assert!(Instant::now() < deadline, "{signal}: {processes:?} are left");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn templates_are_written_once_and_are_python() {
    let directory = tempfile::tempdir().unwrap();
    let helper = output(directory.path(), &["tasks", "new", "--external", "helper"]);
    for framework in ["pytorch", "jax"] {
        let file = format!("train_{framework}.py");
        let text =
            output(directory.path(), &["tasks", "new", "--external", framework, "-o", &file]);
        assert_eq!(
            std::fs::read_to_string(directory.path().join("symopt_task.py")).unwrap(),
            helper
        );
        assert!(
            text.contains(if framework == "pytorch" {
                "written: symopt_task.py"
            } else {
                "was there: symopt_task.py"
            }),
            "{text}"
        );
        assert!(
            text.contains(&format!("--task-command \"python {file}\" --task-export {framework}")),
            "{text}"
        );
        let written = std::fs::read_to_string(directory.path().join(&file)).unwrap();
        assert_eq!(written, output(directory.path(), &["tasks", "new", "--external", framework]));
        let compiled = std::process::Command::new("python3")
            .args(["-m", "py_compile", &file])
            .current_dir(directory.path())
            .status()
            .unwrap();
        assert!(compiled.success());
        let again = run(directory.path(), &["tasks", "new", "--external", framework, "-o", &file]);
        assert_eq!(again.code, Some(2));
        assert!(again.stderr.contains(&file), "{}", again.stderr);
    }
    // With the Python package nothing lies beside the script.
    std::fs::create_dir(directory.path().join("package")).unwrap();
    let words = ["tasks", "new", "--external", "pytorch", "--package", "-o", "package/train.py"];
    let text = output(directory.path(), &words);
    assert!(text.contains("written: package/train.py") && !text.contains("symopt_task"), "{text}");
    let written = std::fs::read_to_string(directory.path().join("package/train.py")).unwrap();
    assert!(written.contains("\nfrom symopt.task import serve"), "{written}");
    assert!(!written.contains("symopt_task"), "{written}");
    assert!(!directory.path().join("package/symopt_task.py").exists());
    let words = ["tasks", "new", "--external", "helper", "--package"];
    assert_eq!(run(directory.path(), &words).code, Some(2));
    // A file that the script would import in place of the module is not touched.
    std::fs::create_dir(directory.path().join("mine")).unwrap();
    std::fs::write(directory.path().join("mine/symopt_task.py"), "mine = 1\n").unwrap();
    let ended =
        run(directory.path(), &["tasks", "new", "--external", "jax", "-o", "mine/train.py"]);
    assert!(ended.code == Some(2) && ended.stderr.contains("symopt_task.py"), "{}", ended.stderr);
    assert!(!directory.path().join("mine/train.py").exists());
    // A script of this name would be imported in place of the library.
    let ended = run(directory.path(), &["tasks", "new", "--external", "jax", "-o", "jax.py"]);
    assert!(ended.code == Some(2) && ended.stderr.contains("another name"), "{}", ended.stderr);
}

/// A training of the user's own by the module: the loss is lowest at a learning rate of 0.1 and a
/// decay of 0.1, whatever the program.
const TINY: &str = r#"
import math
from symopt_task import serve, warmup_cosine

def train(make_optimizer, seed, budget, report):
    print("what a script prints is no answer")
    assert 0 <= seed < 2**32 and 0 < warmup_cosine(1, 100) < 1
    steps = budget.steps or 8
    rate, decay = make_optimizer.peak_lr, make_optimizer.hyperparameters.get("weight_decay", 0.1)
    end = 0.2 + abs(math.log10(rate) + 1) * 0.3 + abs(decay - 0.1) + seed % 5 / 100 + int(make_optimizer.hash[:4], 16) / 2**20
    for step in range(1, steps + 1):
        if report.due(step, steps):
            report(step, loss=end * (3 - 2 * step / steps), training_loss=end)
    if make_optimizer.hash.endswith("7"):
        raise RuntimeError("out of luck")
    return {"loss": end, "accuracy": 0.5}

serve(train)
"#;

#[test]
fn adamw_is_tuned_before_a_search_on_a_command_and_else_named_as_what_it_is() {
    let directory = tempfile::tempdir().unwrap();
    output(directory.path(), &["tasks", "new", "--external", "helper", "-o", "symopt_task.py"]);
    std::fs::write(directory.path().join("tiny.py"), TINY).unwrap();
    let search = |rest: &[&str]| {
        let mut arguments = vec![
            "search",
            "--task-command",
            "exec python3 tiny.py",
            "--programs",
            "40",
            "--population",
            "10",
            "--seed",
            "3",
        ];
        arguments.extend(["--threads", "2", "--held-out", "2"]);
        arguments.extend(rest);
        output(directory.path(), &arguments)
    };
    let text = search(&["--store", "tuned"]);
    assert!(text.starts_with("adamw is tuned first, with at most 48 runs on 2 seeds"), "{text}");
    assert!(
        text.contains(" with --task-adamw lr=0.1,weight_decay=0.1 (")
            && !text.contains("against untuned"),
        "{text}"
    );
    assert!(
        text.contains("validation loss saved against tuned AdamW")
            && text.contains("runs of the command in this session: "),
        "{text}"
    );
    let suite = std::fs::read_to_string(directory.path().join("tuned/suite.toml")).unwrap();
    assert!(
        suite.contains("seeds = [1, 2, 3]")
            && suite.contains("peak_lr = 0.1")
            && suite.contains("runs = "),
        "{suite}"
    );
    // The store has the constants: nothing is tuned again, and all that comes after says that they
    // are tuned.
    let text =
        output(directory.path(), &["resume", "tuned", "--programs", "50", "--held-out", "0"]);
    assert!(!text.contains("adamw is tuned first"), "{text}");
    let train =
        ["train", "--task", "tuned/suite.toml/external", "--program", "adamw", "--seeds", "1"];
    let text = output(directory.path(), &train);
    assert!(
        text.contains("peak learning rate 0.1, weight_decay 0.1 (tuned for this task with "),
        "{text}"
    );

    for (store, options, words, origin) in [
        ("untuned", &["--task-tune", "0"][..], "untuned AdamW", "untuned"),
        ("given", &["--task-adamw", "lr=0.02,wd=0.3"], "AdamW as given", "given"),
    ] {
        let text = search(&[&["--store", store], options].concat());
        assert!(!text.contains("tuned first") && !text.contains(" tuned AdamW"), "{text}");
        for sentence in [
            format!("fitness is measured against {words}\n"),
            format!(" % against {words} (redundant statements removed)"),
            format!("validation loss saved against {words} ("),
            format!("adamw ({})", if origin == "given" { "as given" } else { origin }),
        ] {
            assert!(text.contains(&sentence), "{sentence}: {text}");
        }
        let report = json(&output(
            directory.path(),
            &["resume", store, "--programs", "50", "--held-out", "2", "--json"],
        ));
        assert_eq!(report["baseline"][0]["origin"], origin);
        assert!(report["command_runs"]["made"].as_u64() > Some(0), "{report}");
        let text = output(directory.path(), &["report", store, "--seeds", "1", "-o", "report"]);
        assert!(text.contains(&format!("the loss saved against {words};")), "{text}");
        let markdown = std::fs::read_to_string(directory.path().join("report/report.md")).unwrap();
        assert!(
            markdown.contains(&format!("validation loss of {words}"))
                && !markdown.contains("against tuned AdamW"),
            "{markdown}"
        );
        let funnel = [
            "funnel",
            store,
            "--through",
            &format!("{store}/suite.toml"),
            "--keep",
            "1",
            "--seeds",
            "2",
            "--tuning-seeds",
            "1",
        ];
        let text = output(directory.path(), &funnel);
        assert!(
            text.contains(&format!("gain over {words} on")) && !text.contains(" tuned AdamW"),
            "{text}"
        );
    }

    // A map of gains is against AdamW that was tuned as well, or says that it wasn't.
    let map = [
        "tune",
        "--task-command",
        "exec python3 tiny.py",
        "--program",
        "lion",
        "--seeds",
        "1",
        "--grid",
        "local",
        "--map",
        "map.svg",
    ];
    let text = output(directory.path(), &map);
    assert!(
        text.contains("adamw is tuned first")
            && text.contains("map written: map.svg, gains over tuned AdamW"),
        "{text}"
    );
    assert!(
        std::fs::read_to_string(directory.path().join("map.svg"))
            .unwrap()
            .contains("saved against tuned AdamW")
    );
    let text = output(directory.path(), &[&map[..], &["--task-tune", "0"]].concat());
    assert!(!text.contains("tuned first") && text.contains("gains over untuned AdamW"), "{text}");
    assert!(
        std::fs::read_to_string(directory.path().join("map.svg"))
            .unwrap()
            .contains("saved against untuned AdamW")
    );
    let ended = run(
        directory.path(),
        &["search", "--task-command", "true", "--task-tune", "9", "--task-adamw", "lr=1"],
    );
    assert!(
        ended.code == Some(2) && ended.stderr.contains("cannot be used with"),
        "{}",
        ended.stderr
    );
}

#[test]
fn adamw_is_tuned_for_the_commands_of_a_suite_file_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    output(path, &["tasks", "new", "--external", "helper", "-o", "symopt_task.py"]);
    std::fs::write(path.join("tiny.py"), TINY).unwrap();
    let table = |name: &str, rest: &str| {
        format!("[[external]]\nname = \"{name}\"\ncommand = \"exec python3 tiny.py\"\n{rest}")
    };
    let given = "[[external.tuned]]\nprogram = \"adamw\"\npeak_lr = 0.02\nhyperparameters = []\n";
    std::fs::write(
        path.join("mine.toml"),
        format!("name = \"mine\"\nseeds = [1]\n{}{}", table("one", ""), table("two", given)),
    )
    .unwrap();
    let search = |rest: &[&str]| {
        let common = [
            "search",
            "--suite",
            "mine.toml",
            "--programs",
            "20",
            "--population",
            "5",
            "--threads",
            "2",
            "--held-out",
            "2",
        ];
        output(path, &[&common[..], rest].concat())
    };
    let text = search(&["--task-tune", "12"]);
    assert!(text.starts_with("adamw is tuned first, with at most 12 runs on 2 seeds"), "{text}");
    assert!(
        text.contains("adamw on one: loss ")
            && text.contains(", kept in runs/mine-seed0/suite.toml ("),
        "{text}"
    );
    // The other task says how its constants came about.
    assert!(
        !text.contains("adamw on two")
            && text.contains("measured against AdamW, as given on two\n"),
        "{text}"
    );
    assert!(
        text.contains(
            "symopt train --task runs/mine-seed0/suite.toml/one --program runs/mine-seed0:"
        ),
        "{text}"
    );
    let kept = std::fs::read_to_string(path.join("runs/mine-seed0/suite.toml")).unwrap();
    assert!(kept.contains("runs = ") && kept.matches("[[external.tuned]]").count() == 2, "{kept}");
    // The same search once more goes on there; one that leaves AdamW untuned is another one.
    assert!(search(&[]).starts_with("runs/mine-seed0 holds this search already"));
    let text = search(&["--task-tune", "0", "--store", "untuned"]);
    assert!(
        text.contains("measured against AdamW, untuned on one, as given on two\n")
            && !text.contains("tuned first"),
        "{text}"
    );
    // Several searches share what was found, and know themselves again.
    let campaign = ["--repeats", "2", "--task-tune", "12", "--name", "campaign"];
    let text = search(&campaign);
    assert!(
        text.starts_with("adamw is tuned first")
            && text.contains("on the suite runs/campaign/suite.toml"),
        "{text}"
    );
    assert_eq!(std::fs::read_to_string(path.join("runs/campaign/suite.toml")).unwrap(), kept);
    // A budget where there is nothing to tune.
    for (arguments, reason) in [
        (
            &["search", "--suite", "smoke", "--task-tune", "9"][..],
            "without constants for adamw, and there is none",
        ),
        (
            &["train", "--task", "smoke-linear", "--program", "lion", "--task-tune", "9"],
            "without constants for adamw, and there is none",
        ),
    ] {
        let ended = run(path, arguments);
        assert!(
            ended.code == Some(2) && ended.stderr.contains(reason),
            "{arguments:?}: {}",
            ended.stderr
        );
    }
    // Untuned where a command is given the file itself.
    let text = output(
        path,
        &["train", "--task", "mine.toml/one", "--program", "lion", "--vs", "adamw", "--seeds", "1"],
    );
    assert!(
        text.contains("(untuned: the program's own)")
            && text.contains("lion against untuned adamw"),
        "{text}"
    );
}

#[test]
fn an_interrupt_while_adamw_is_tuned_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let command = script("hang log");
    let child = symopt(directory.path())
        .args(["search", "--task-command", &command, "--store", "store"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = directory.path().join("log");
    while !std::fs::read_to_string(&log).unwrap_or_default().contains("request") {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(
        std::process::Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    let ended = child.wait_with_output().unwrap();
    let message = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(1), "{message}");
    assert!(message.contains("interrupted while adamw was tuned"), "{message}");
    assert!(!directory.path().join("store").exists());
}
