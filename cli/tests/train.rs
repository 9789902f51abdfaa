//! `symopt train` for people: several programs, the rule of thumb, files of curves and weights,
//! checkpoints.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use common::{Ended, output, run, symopt};
use serde_json::Value;

/// A task that takes a second or so, in so many steps, so that it can be interrupted.
const LONG: &str = r#"
name = "long"
seeds = [1]

[[task]]
name = "a"
steps = 6000
batch = 32
checkpoints = 60
data = { kind = "digits" }
model = { kind = "mlp", hidden = [32], activation = "relu" }
"#;

fn json(directory: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&output(directory, &[arguments, &["--json"]].concat())).unwrap()
}

/// Removes everything that depends on the clock or on where the training was interrupted.
fn without_times(mut report: Value) -> Value {
    for training in report.as_array_mut().unwrap() {
        for run in training["runs"].as_array_mut().unwrap() {
            let run = run.as_object_mut().unwrap();
            run.remove("milliseconds");
            run.remove("resumed_at");
        }
    }
    report
}

fn refused(ended: &Ended, parts: &[&str]) {
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{}", ended.stderr);
    for part in parts {
        assert!(ended.stderr.contains(part), "{part} is missing:\n{}", ended.stderr);
    }
}

#[test]
fn several_programs_train_on_the_same_seeds_and_are_compared_with_adamw() {
    let directory = tempfile::tempdir().unwrap();
    let train = [
        "train",
        "--task",
        "smoke-linear",
        "--program",
        "lion",
        "--program",
        "adamw",
        "--program",
        "signum",
    ];
    let report = json(directory.path(), &train);
    let trainings = report.as_array().unwrap();
    let names: Vec<&str> =
        trainings.iter().map(|training| training["program"].as_str().unwrap()).collect();
    assert_eq!(names, ["lion", "adamw", "signum"]);
    let last = |training: &Value, seed: usize| {
        let curve = training["runs"][seed]["curve"].as_array().unwrap();
        curve.last().unwrap()["validation"]["loss"].as_f64().unwrap()
    };
    assert_eq!(trainings[1]["against"], Value::Null);
    for training in [&trainings[0], &trainings[2]] {
        let saved =
            (0..3).map(|seed| 1.0 - last(training, seed) / last(&trainings[1], seed)).sum::<f64>()
                / 3.0;
        assert_eq!(training["against"]["program"], "adamw");
        assert!(
            (training["against"]["saved"].as_f64().unwrap() - saved).abs() < 1e-12,
            "{training}"
        );
        assert!(training["against"]["standard_error"].as_f64().unwrap() > 0.0);
    }
    let text = output(directory.path(), &train);
    for line in [
        "\nlion against adamw: ",
        "\nsignum against adamw: ",
        "\n  o lion\n  x adamw\n  * signum\n",
    ] {
        assert!(text.contains(line), "{line}:\n{text}");
    }
    assert!(
        text.lines().all(|line| line.chars().count() <= 100) && !text.contains('\x1b'),
        "{text}"
    );

    // Without AdamW the first is what others are compared with, unless another is named.
    let report = json(
        directory.path(),
        &[
            "train",
            "--task",
            "smoke-linear",
            "--program",
            "lion",
            "--program",
            "signum",
            "--seeds",
            "1",
        ],
    );
    assert_eq!(
        (&report[0]["against"], &report[1]["against"]["program"]),
        (&Value::Null, &Value::from("lion"))
    );
    let report = json(
        directory.path(),
        &[
            "train",
            "--task",
            "smoke-linear",
            "--program",
            "lion",
            "--program",
            "adamw",
            "--vs",
            "nadam",
            "--seeds",
            "1",
        ],
    );
    let against: Vec<&Value> =
        report.as_array().unwrap().iter().map(|training| &training["against"]["program"]).collect();
    assert_eq!(against, [&Value::from("nadam"), &Value::from("nadam"), &Value::Null]);
}

#[test]
fn settings_are_for_all_programs_that_have_them_or_for_one() {
    let directory = tempfile::tempdir().unwrap();
    let train = [
        "train",
        "--task",
        "smoke-linear",
        "--seeds",
        "1",
        "--program",
        "lion",
        "--program",
        "momentum",
        "--program",
        "adamw-paper",
    ];
    let settings = [
        "--set",
        "momentum:lr=0.5",
        "--set",
        "weight_decay=0.25",
        "--set",
        "lr=0.125",
        "--set",
        "momentum_decay=0.75",
    ];
    let report = json(directory.path(), &[&train[..], &settings].concat());
    let of = |place: usize| {
        (report[place]["peak_lr"].as_f64().unwrap(), report[place]["hyperparameters"].clone())
    };
    assert_eq!(of(0), (0.125, serde_json::json!([["weight_decay", 0.25]])));
    assert_eq!(of(1), (0.5, serde_json::json!([["momentum_decay", 0.75]])));
    assert_eq!(of(2), (0.125, serde_json::json!([])));
    // The program that all others are compared with stays as it stands, unless it alone is meant;
    // even if it is the same program.
    let vs = [
        "train",
        "--task",
        "smoke-linear",
        "--seeds",
        "1",
        "--program",
        "lion",
        "--set",
        "beta1=0.5",
        "--vs",
    ];
    let report = json(directory.path(), &[&vs[..], &["lion"]].concat());
    assert_eq!(report[1]["program"], "lion as it stands");
    assert!(
        report[0]["hyperparameters"].to_string().contains("beta1")
            && !report[1]["hyperparameters"].to_string().contains("beta1")
    );
    let report =
        json(directory.path(), &[&vs[..], &["adamw", "--set", "adamw:beta1=0.75"]].concat());
    assert!(report[0]["hyperparameters"].to_string().contains("[\"beta1\",0.5]"), "{report}");
    assert!(report[1]["hyperparameters"].to_string().contains("[\"beta1\",0.75]"), "{report}");
}

#[test]
fn a_program_from_a_file_is_set_by_its_path_its_stem_or_its_own_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    for (folder, name) in [("a", "mine"), ("b", "yours")] {
        std::fs::create_dir(path.join(folder)).unwrap();
        let text = format!(
            "def {name}(w, g, m, lr=0.1, *, beta=0.9):\n  m = interp(g, m, beta)\n  update = m * lr\n  return update, m\n"
        );
        std::fs::write(path.join(folder).join(format!("{folder}-file.opt")), text).unwrap();
        std::fs::write(
            path.join(folder).join("same.opt"),
            format!("def {name}(w, g, lr=0.1):\n  update = g * lr\n  return update\n"),
        )
        .unwrap();
    }
    let train = |programs: [&str; 2], setting: &str| {
        let arguments = [
            "train",
            "--task",
            "smoke-linear",
            "--seeds",
            "1",
            "--json",
            "--program",
            programs[0],
            "--program",
            programs[1],
        ];
        run(path, &[&arguments[..], &["--set", setting]].concat())
    };
    let files = ["a/a-file.opt", "b/b-file.opt"];
    for name in ["a/a-file.opt", "a-file", "mine"] {
        let ended = train(files, &format!("{name}:lr=0.03"));
        let trainings: Value = serde_json::from_str(&ended.stdout)
            .unwrap_or_else(|_| panic!("{name}: {}", ended.stderr));
        assert_eq!(
            (&trainings[0]["peak_lr"], &trainings[1]["peak_lr"]),
            (&Value::from(0.03), &Value::from(0.1)),
            "{name}"
        );
    }
    let known = "they are: a/a-file.opt (or a-file, mine), b/b-file.opt (or b-file, yours)";
    refused(
        &train(files, "theirs:lr=0.03"),
        &["`--set theirs:lr` is for no program that is trained", known],
    );
    let same = train(["a/same.opt", "b/same.opt"], "same:lr=0.03");
    refused(&same, &["`--set same:lr` can mean several programs", "a/same.opt, b/same.opt"]);
}

#[test]
fn the_rule_of_thumb_trains_lion_at_both_ends_and_adamw_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let train = [
        "train",
        "--task",
        "smoke-linear",
        "--seeds",
        "2",
        "--program",
        "lion",
        "--from-adamw",
        "lr=0.03,wd=0.1",
        "--vs",
        "adamw",
    ];
    let report = json(directory.path(), &train);
    let constants: Vec<(String, f64, f64)> = report
        .as_array()
        .unwrap()
        .iter()
        .map(|training| {
            let decay = training["hyperparameters"][0][1].as_f64().unwrap();
            (
                training["program"].as_str().unwrap().to_owned(),
                training["peak_lr"].as_f64().unwrap(),
                decay,
            )
        })
        .collect();
    let expected = [
        ("lion lr/3", 0.03 / 3.0, 0.1 * 3.0),
        ("lion lr/10", 0.03 / 10.0, 1.0),
        ("adamw", 0.03, 0.1),
    ];
    assert_eq!(constants, expected.map(|(name, lr, decay)| (name.to_owned(), lr, decay)));
    let text = output(directory.path(), &train);
    for part in [
        "AdamW's learning rate 0.03 and weight decay 0.1 are, by the rule of thumb for sign-like programs:\n",
        "  learning rate / 3 = 0.01, weight decay × 3 = 0.3; their product stays 0.003\n",
        "  learning rate / 10 = 0.003, weight decay × 10 = 1; their product stays 0.003\n",
        "\nlion lr/3: peak learning rate 0.01, weight_decay 0.3 (AdamW's lr / 3, weight decay × 3)\n",
        "\nadamw: peak learning rate 0.03, weight_decay 0.1 (as given)\n",
        "\nlion lr/3 against adamw as given: ",
        "\nlion lr/10 against adamw as given: ",
    ] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    let one =
        json(directory.path(), &[&train[..], &["--factor", "5", "--set", "beta1=0.95"]].concat());
    assert_eq!(one.as_array().unwrap().len(), 2);
    assert_eq!(
        (&one[0]["program"], one[0]["peak_lr"].as_f64()),
        (&Value::from("lion lr/5"), Some(0.03 / 5.0))
    );
    assert_eq!(one[0]["constants"], "AdamW's lr / 5, weight decay × 5, with your settings");
}

#[test]
fn curves_and_weights_are_written_into_files() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let train = [
        "train",
        "--task",
        "smoke-linear",
        "--program",
        "lion",
        "--program",
        "adamw",
        "--seeds",
        "2",
    ];
    let files = ["--csv", "curves.csv", "--svg", "curves.svg", "--save", "weights.safetensors"];
    let text = output(directory.path(), &[&train[..], &files].concat());
    assert!(
        text.ends_with(
            "\nwritten: curves.csv\nwritten: curves.svg\nwritten: weights.safetensors\n"
        ),
        "{text}"
    );
    let report = json(directory.path(), &[&train[..], &files].concat());

    let table = fs::read_to_string(path("curves.csv")).unwrap();
    let mut expected = vec!["program,seed,step,training_loss,validation_loss,accuracy".to_owned()];
    for training in report.as_array().unwrap() {
        for run in training["runs"].as_array().unwrap() {
            for point in run["curve"].as_array().unwrap() {
                let validation = &point["validation"];
                let numbers = [
                    &run["seed"],
                    &point["step"],
                    &point["training_loss"],
                    &validation["loss"],
                    &validation["accuracy"],
                ];
                let numbers = numbers.map(|value| value.as_f64().unwrap().to_string()).join(",");
                expected.push(format!("{},{numbers}", training["program"].as_str().unwrap()));
            }
        }
    }
    assert_eq!(table.lines().collect::<Vec<_>>(), expected);
    let picture = fs::read_to_string(path("curves.svg")).unwrap();
    for part in [
        "<svg",
        "Training on smoke-linear",
        "mean over 2 seeds",
        ">lion<",
        ">adamw<",
        "validation loss",
        "<polygon",
    ] {
        assert!(picture.contains(part), "{part}");
    }
    // The header of safetensors is JSON after eight bytes of length.
    let names = |file: &str| {
        let bytes = fs::read(path(file)).unwrap();
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
        header
            .as_object()
            .unwrap()
            .keys()
            .filter(|key| *key != "__metadata__")
            .cloned()
            .collect::<Vec<String>>()
    };
    let several = names("weights.safetensors");
    assert!(several.iter().any(|name| name.starts_with("lion/1000000/")), "{several:?}");
    output(
        directory.path(),
        &[
            "train",
            "--task",
            "smoke-linear",
            "--program",
            "lion",
            "--seeds",
            "1",
            "--save",
            "one.safetensors",
        ],
    );
    let one = names("one.safetensors");
    assert_eq!(several.len(), 4 * one.len());
    assert!(one.iter().all(|name| !name.contains('/')), "{one:?}");
}

#[test]
fn weights_that_are_not_final_are_not_written() {
    let directory = tempfile::tempdir().unwrap();
    let ended = run(
        directory.path(),
        &[
            "train",
            "--task",
            "smoke-linear",
            "--program",
            "lion",
            "--set",
            "lion:lr=1e9",
            "--seeds",
            "1",
            "--save",
            "w.safetensors",
        ],
    );
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(
        ended.stdout.contains("seed 1000000: diverged at step ")
            && ended.stderr.contains("not every run completed"),
        "{}",
        ended.stderr
    );
    assert!(!directory.path().join("w.safetensors").exists());
}

/// A training of two programs under two seeds with checkpoints in `kept`, and its arguments.
fn long(directory: &Path) -> Vec<&'static str> {
    fs::write(directory.join("long.toml"), LONG).unwrap();
    vec![
        "train",
        "--task",
        "long.toml/a",
        "--program",
        "lion",
        "--program",
        "adamw",
        "--set",
        "lr=0.001",
        "--seeds",
        "2",
    ]
}

/// Starts a training and waits until a checkpoint of its run is there.
fn started(directory: &Path, arguments: &[&str], checkpoint: &str) -> std::process::Child {
    let child = symopt(directory).args(arguments).spawn().unwrap();
    let begin = Instant::now();
    while !directory.join(checkpoint).exists() {
        assert!(begin.elapsed() < Duration::from_secs(120), "no {checkpoint}");
        std::thread::sleep(Duration::from_millis(2));
    }
    child
}

#[test]
fn a_training_that_is_killed_again_and_again_ends_with_the_same_bits() {
    let directory = tempfile::tempdir().unwrap();
    let train = long(directory.path());
    let whole = json(directory.path(), &[&train[..], &["--save", "whole.safetensors"]].concat());
    let again =
        [&train[..], &["--checkpoint", "kept", "--save", "again.safetensors", "--json"]].concat();
    // In the first run of each program: there is something before, and something after.
    for checkpoint in
        ["kept/program-1-seed-1000000.safetensors", "kept/program-2-seed-1000000.safetensors"]
    {
        let mut child = started(directory.path(), &again, checkpoint);
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success(), "it ended before it was killed");
    }
    let resumed: Value = serde_json::from_str(&output(directory.path(), &again)).unwrap();
    let steps = |training: usize| resumed[training]["runs"][0]["resumed_at"].as_u64().unwrap();
    assert!(steps(0) == 6000 && steps(1) >= 100, "{} {}", steps(0), steps(1));
    assert_eq!(without_times(resumed), without_times(whole));
    let bytes = |name: &str| fs::read(directory.path().join(name)).unwrap();
    assert!(bytes("whole.safetensors") == bytes("again.safetensors"));
    let left: Vec<_> = fs::read_dir(directory.path().join("kept"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(
        left.len() == 4 && left.iter().all(|path| path.extension().unwrap() == "safetensors"),
        "{left:?}"
    );
}

#[test]
fn an_interrupt_leaves_the_last_checkpoint_and_says_how_to_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let train = [&long(directory.path())[..], &["--checkpoint", "kept"]].concat();
    let child = started(directory.path(), &train, "kept/program-1-seed-1000000.safetensors");
    assert!(
        Command::new("kill")
            .args(["-s", "INT", &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    let ended = child.wait_with_output().unwrap();
    let text = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(ended.status.code(), Some(0), "{text}");
    for part in [
        "seed 1000000: interrupted at step ",
        "\ninterrupted; the same command goes on from the checkpoints in kept\n",
    ] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    let step = text.split("interrupted at step ").nth(1).unwrap().split('\n').next().unwrap();
    let text = output(directory.path(), &train);
    assert!(
        text.contains(&format!("seed 1000000: resumed at step {step}\n"))
            && text.contains("\nlion against adamw as given: "),
        "{text}"
    );
}

#[test]
fn checkpoints_of_something_else_are_refused_and_stay() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("short.toml"), LONG.replace("steps = 6000", "steps = 60")).unwrap();
    let train = |more: &[&str]| {
        let base = [
            "train",
            "--task",
            "short.toml/a",
            "--program",
            "lion",
            "--seeds",
            "1",
            "--checkpoint",
            "kept",
        ];
        run(path, &[&base[..], more].concat())
    };
    assert_eq!(train(&[]).code, Some(0));
    let kept = path.join("kept/program-1-seed-1000000.safetensors");
    let intact = fs::read(&kept).unwrap();
    refused(
        &train(&["--set", "beta1=0.5"]),
        &["kept/program-1-seed-1000000.safetensors", "beta1 is 0.9 there, and 0.5 here"],
    );
    refused(
        &train(&["--set", "lr=0.5"]),
        &["the peak learning rate is 0.0001 there, and 0.5 here"],
    );
    let other = ["train", "--seeds", "1", "--checkpoint", "kept", "--program"];
    refused(
        &run(path, &[&other[..], &["signum", "--task", "short.toml/a"]].concat()),
        &["the program is lion (", "signum ("],
    );
    refused(
        &run(path, &[&other[..], &["lion", "--task", "smoke-linear"]].concat()),
        &["the task is a there, and smoke-linear here"],
    );
    fs::write(path.join("short.toml"), LONG.replace("steps = 6000", "steps = 120")).unwrap();
    refused(&train(&[]), &["what the task is made of"]);
    fs::write(path.join("short.toml"), LONG.replace("steps = 6000", "steps = 60")).unwrap();
    fs::write(&kept, &intact[..intact.len() - 7]).unwrap();
    refused(&train(&[]), &["no intact checkpoint", "remove the file"]);
    let mut flipped = intact.clone();
    *flipped.last_mut().unwrap() ^= 1;
    fs::write(&kept, &flipped).unwrap();
    refused(&train(&[]), &["its checksum is wrong"]);
    assert_eq!(fs::read(&kept).unwrap(), flipped);
    fs::write(&kept, &intact).unwrap();
    // More seeds and more programs go on from what is there.
    let more = train(&["--program", "adamw", "--json"]);
    assert_eq!(more.code, Some(0), "{}", more.stderr);
    let report: Value = serde_json::from_str(&more.stdout).unwrap();
    assert_eq!(
        (report[0]["runs"][0]["resumed_at"].as_u64(), report[1]["runs"][0].get("resumed_at")),
        (Some(60), None)
    );
}

#[test]
fn eight_processes_that_train_into_one_directory_do_the_work_once_and_say_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let train = [
        "train",
        "--task",
        "quick/digits-linear",
        "--program",
        "lion",
        "--program",
        "adamw",
        "--seeds",
        "2",
    ];
    let children: Vec<_> = (0..8)
        .map(|_| {
            symopt(directory.path())
                .args(train)
                .args(["--checkpoint", "kept", "--json"])
                .spawn()
                .unwrap()
        })
        .collect();
    let reports: Vec<Value> = children
        .into_iter()
        .map(|child| {
            let output = child.wait_with_output().unwrap();
            assert_eq!(
                output.status.code(),
                Some(0),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            serde_json::from_slice(&output.stdout).unwrap()
        })
        .collect();
    let resumed = |report: &Value| {
        report
            .as_array()
            .unwrap()
            .iter()
            .any(|training| !training["runs"][0]["resumed_at"].is_null())
    };
    assert_eq!(
        reports.iter().filter(|report| !resumed(report)).count(),
        1,
        "more than one has trained from the beginning"
    );
    let expected = without_times(json(directory.path(), &train));
    for report in reports {
        assert_eq!(without_times(report), expected);
    }
    let names: Vec<_> = fs::read_dir(directory.path().join("kept"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names.len(), 4, "{names:?}");
}

#[test]
fn a_write_that_finds_no_room_leaves_the_old_file_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let old = directory.path().join("curves.csv");
    fs::write(&old, "old").unwrap();
    // No file may be longer than half a kilobyte; the signal that comes with it is ignored.
    let binary = env!("CARGO_BIN_EXE_symopt");
    let limited = format!("trap '' XFSZ; ulimit -f 1; exec '{binary}' \"$@\"");
    for command in [
        &[
            "train",
            "--task",
            "quick/digits-linear",
            "--program",
            "lion",
            "--csv",
            "curves.csv",
            "--seeds",
            "9",
        ][..],
        &["export", "adamw", "--to", "pytorch", "--output", "curves.csv"],
        &["inspect", "lion-raw", "--graph", "curves.svg"],
        &["simplify", "lion-raw", "--derivation", "new.md"],
    ] {
        let ended = Command::new("sh")
            .args(["-c", &limited, "sh"])
            .args(command)
            .current_dir(directory.path())
            .output()
            .unwrap();
        let stderr = String::from_utf8(ended.stderr).unwrap();
        assert!(
            ended.status.code() == Some(1) && stderr.contains("can't write `"),
            "{command:?}: {stderr}"
        );
        let names: Vec<_> = fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(
            (fs::read_to_string(&old).unwrap().as_str(), names),
            ("old", vec!["curves.csv".into()]),
            "{command:?}"
        );
    }
}
