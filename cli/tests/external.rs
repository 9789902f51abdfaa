//! `--task-command` by the real binary: searches, tuning and training by a script, failures and all.

mod common;

use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{output, run, symopt};
use serde_json::Value;

/// The stand-in for a training script, with its arguments.
fn script(arguments: &str) -> String {
    format!("exec python3 '{}' {arguments}", concat!(env!("CARGO_MANIFEST_DIR"), "/../proxy-tasks/tests/external/script.py"))
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
    let limits = ["--task-seconds", "3", "--task-steps", "2", "--task-checkpoints", "2", "--threads", "2"];
    let mut arguments =
        vec!["search", "--task-command", &command, "--population", "20", "--programs", "60", "--store", "store", "--seed", "11"];
    arguments.extend(limits);
    let text = output(directory.path(), &arguments);
    assert!(text.contains("60 programs generated"), "{text}");
    assert!(text.contains(" failed)\nfailed: "), "{text}");
    // The commands that it names work.
    let suite = std::fs::read_to_string(directory.path().join("store/suite.toml")).unwrap();
    assert!(suite.contains("script.py") && suite.contains("seconds = 3.0"), "{suite}");
    let trained =
        json(&output(directory.path(), &["train", "--task", "store/suite.toml/external", "--program", "lion", "--seeds", "1", "--json"]));
    assert_eq!(trained[0]["runs"][0]["stop"], "completed");
    // Resumed, without a word about the command.
    let report = json(&output(directory.path(), &["resume", "store", "--programs", "90", "--json"]));
    assert_eq!(report["statistics"]["generated"], 90);
    let failed = report["statistics"]["failed"].as_u64().unwrap();
    let counts = report["failures"].as_array().unwrap().iter().map(|kind| kind["count"].as_u64().unwrap());
    assert!(failed > 0 && counts.sum::<u64>() == failed, "{report}");
    assert!(report["comparison"].is_null(), "held-out seeds are left out unless they are asked for");
    // The best of the search, on fresh seeds, and what failed.
    let text = output(directory.path(), &["report", "store", "--seeds", "1", "--output", "out"]);
    assert!(text.contains("FAILED"), "{text}");
    let written = std::fs::read_to_string(directory.path().join("out/report.md")).unwrap();
    assert!(written.contains("Evaluations that failed"), "{written}");
    let written = json(&std::fs::read_to_string(directory.path().join("out/report.json")).unwrap());
    assert_eq!(written["stores"][0]["failures"].as_array().unwrap().len(), report["failures"].as_array().unwrap().len());
}

#[test]
fn a_command_trains_and_tunes() {
    let directory = tempfile::tempdir().unwrap();
    let command = script("ok");
    let train = ["train", "--task-command", &command, "--task-steps", "4", "--program", "lion", "--vs", "adamw", "--seeds", "2"];
    let text = output(directory.path(), &train);
    assert!(text.contains("VALIDATION LOSS") && text.contains("25.00 %") && text.contains("paired over 2 seeds"), "{text}");
    let tune = ["tune", "--task-command", &command, "--program", "momentum", "--seeds", "1", "--grid", "local"];
    let text = output(directory.path(), &tune);
    assert!(text.contains("[[external.tuned]]"), "{text}");
}

#[test]
fn a_command_that_does_not_work_is_bad_input_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let crash = script("crash");
    for command in ["no-such-command-of-this-name", crash.as_str()] {
        for rest in
            [&["search", "--store", "store", "--programs", "10"][..], &["train", "--program", "lion"], &["tune", "--program", "lion"]]
        {
            let ended = run(directory.path(), &[rest, &["--task-command", command]].concat());
            assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{rest:?}: {}", ended.stderr);
            let reason = if command == crash { "RuntimeError: boom" } else { "can't be started" };
            assert!(ended.stderr.contains(reason), "{}", ended.stderr);
        }
    }
    for (arguments, reason) in [
        (&["train", "--program", "lion"][..], "--task"),
        (&["train", "--program", "lion", "--task-seconds", "3"], "--task-command"),
        (&["train", "--program", "lion", "--task-command", "true", "--task", "1x/digits"], "cannot be used with"),
        (&["train", "--program", "lion", "--task-command", "true", "--task-seconds", "0"], "above 0"),
        (&["train", "--program", "lion", "--task-command", "true", "--task-export", "pascal"], "pascal"),
        (&["search", "--task-command", "true", "--repeats", "2"], "suite file"),
        (&["search", "--task-command", "true", "--task-adamw", "speed=3"], "speed"),
    ] {
        let ended = run(directory.path(), arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}");
        assert!(ended.stderr.contains(reason), "{arguments:?}: {}", ended.stderr);
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "something was left behind");
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
        let lines = || std::fs::read_to_string(&log).unwrap_or_default().lines().map(str::to_owned).collect::<Vec<_>>();
        while lines().len() < 4 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let processes: Vec<String> = lines().into_iter().filter(|line| !line.starts_with("request")).collect();
        assert!(processes.iter().all(|process| is_alive(process)));
        let killed = std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
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
    for framework in ["pytorch", "jax"] {
        let file = format!("train_{framework}.py");
        let text = output(directory.path(), &["tasks", "new", "--external", framework, "-o", &file]);
        assert!(text.contains(&format!("--task-command \"python {file}\" --task-export {framework}")), "{text}");
        let written = std::fs::read_to_string(directory.path().join(&file)).unwrap();
        assert_eq!(written, output(directory.path(), &["tasks", "new", "--external", framework]));
        let compiled =
            std::process::Command::new("python3").args(["-m", "py_compile", &file]).current_dir(directory.path()).status().unwrap();
        assert!(compiled.success());
        let again = run(directory.path(), &["tasks", "new", "--external", framework, "-o", &file]);
        assert_eq!(again.code, Some(2));
        assert!(again.stderr.contains(&file), "{}", again.stderr);
    }
    // A script of this name would be imported in place of the library.
    let ended = run(directory.path(), &["tasks", "new", "--external", "jax", "-o", "jax.py"]);
    assert!(ended.code == Some(2) && ended.stderr.contains("another name"), "{}", ended.stderr);
}
