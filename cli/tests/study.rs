//! `symopt study`: same bytes, killed and resumed, and what can't be studied.

mod common;

use std::path::Path;

use common::{output, run, symopt, tree};

const SMALL: &str = "--suite smoke --tuning-seeds 2 --seeds 3";

fn words(command: &str) -> Vec<&str> {
    command.split_whitespace().collect()
}

fn studies() -> [(&'static str, String); 4] {
    let budget = format!("{SMALL} --budget 16");
    [
        (
            "lr-decay",
            format!("study lr-decay {SMALL} --lr 0.01 --lr 0.1 --lr 100 --decay 0.1 --decay 1"),
        ),
        ("batch-size", format!("study batch-size {budget} --batch 8 --batch 32 --batch 9999")),
        ("betas", format!("study betas {budget}")),
        ("scale", format!("study scale {budget} --width 2 --horizon 0.5")),
    ]
}

/// The results of a study: all files but its runs, which are kept in the order in which they end.
fn results(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let files = tree(directory).into_iter().filter_map(|(path, bytes)| {
        let name = path.strip_prefix(directory).unwrap().display().to_string();
        Some((name, bytes?)).filter(|(name, _)| !name.ends_with("runs.jsonl"))
    });
    files.collect()
}

#[test]
fn studies_give_the_same_bytes_on_any_threads_and_after_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    for (name, command) in studies() {
        let one = output(path, &words(&format!("{command} --threads 1 -o {name}-1")));
        for part in ["of tuning, in which", "written:", "page.html"] {
            assert!(one.contains(part), "{name}: {part}\n{one}");
        }
        let first = results(&path.join(format!("{name}-1")));
        let files: Vec<&str> = first.iter().map(|(file, _)| file.as_str()).collect();
        for file in ["table.csv", "findings.json", "report.md", "page.html", "study.json"] {
            assert!(files.contains(&file), "{name}: {file} of {files:?}");
        }
        assert!(files.iter().any(|file| file.ends_with(".svg")), "{name}: {files:?}");

        let _ = output(path, &words(&format!("{command} --threads 2 -o {name}-2")));
        let without_command = |files: Vec<(String, Vec<u8>)>| -> Vec<(String, Vec<u8>)> {
            // The page says how it is made again, and where.
            files.into_iter().filter(|(file, _)| file != "page.html").collect()
        };
        let first = without_command(first);
        assert!(first == without_command(results(&path.join(format!("{name}-2")))), "{name}");

        // Killed somewhere: a part of the runs, the last in the middle of its line, and no results.
        let killed = path.join(format!("{name}-3"));
        std::fs::create_dir(&killed).unwrap();
        let kept = std::fs::read(path.join(format!("{name}-1/runs.jsonl"))).unwrap();
        std::fs::write(killed.join("runs.jsonl"), &kept[..kept.len() / 2]).unwrap();
        std::fs::copy(path.join(format!("{name}-1/study.json")), killed.join("study.json"))
            .unwrap();
        let _ = output(path, &words(&format!("{command} --threads 2 -o {name}-3")));
        assert!(first == without_command(results(&killed)), "{name}");
        let lines = |path: &Path| std::fs::read_to_string(path).unwrap().lines().count();
        let all = lines(&path.join(format!("{name}-1/runs.jsonl")));
        assert!(lines(&killed.join("runs.jsonl")) <= all + 2, "{name}: no run is made twice");
    }
}

#[test]
fn the_numbers_of_a_study_are_those_of_its_runs() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let (_, command) = &studies()[0];
    let json = output(path, &words(&format!("{command} --threads 2 -o map --json")));
    let found: serde_json::Value = serde_json::from_str(&json).unwrap();
    // Two tasks, two programs, six pairs on two seeds; the best of each on three others.
    assert_eq!((&found["runs"]["tuning"], &found["runs"]["reporting"]), (&48.into(), &12.into()));
    let cells = found["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 2 * 2 * 6);
    assert_eq!(found["summary"].as_array().unwrap().len(), 4);
    for row in found["summary"].as_array().unwrap() {
        let of = |cell: &&serde_json::Value| {
            cell["task"] == row["task"] && cell["program"] == row["program"]
        };
        let losses: Vec<f64> =
            cells.iter().filter(of).filter_map(|cell| cell["loss"].as_f64()).collect();
        let best = losses.iter().copied().fold(f64::INFINITY, f64::min);
        let close = losses.iter().filter(|loss| **loss <= 1.05 * best).count();
        let share = row["close_share"].as_f64().unwrap();
        assert!((share - 100.0 * close as f64 / 6.0).abs() < 1e-9, "{row}");
    }
    let table = std::fs::read_to_string(path.join("map/table.csv")).unwrap();
    assert_eq!(table.lines().count(), 1 + 24);
    let page = std::fs::read_to_string(path.join("map/page.html")).unwrap();
    assert!(page.contains("var(--ink)") && !page.contains("<style>@media"), "colours of the page");
}

#[test]
fn times_are_said_to_be_measured_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let command = "study memory-speed --suite smoke --repeats 2 -o speed";
    let first = output(path, &words(command));
    assert!(
        first.contains("lion keeps 4 bytes of state for each parameter, adamw keeps 8"),
        "{first}"
    );
    assert!(first.contains("Measured on this machine"), "{first}");
    // Measured times are not measured again.
    let before = results(&path.join("speed"));
    assert_eq!(output(path, &words(command)), first);
    assert!(before == results(&path.join("speed")));
}

#[test]
fn programs_without_a_rate_or_a_decay_have_a_part_of_the_plane() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    std::fs::write(
        path.join("still.opt"),
        "def still(w, g):\n  update = g * 0.01\n  return update\n",
    )
    .unwrap();
    let (_, command) = &studies()[0];
    let text = output(
        path,
        &words(&format!("{command} --program still.opt --program sgd --program adamw -o map")),
    );
    assert!(text.contains("still.opt takes neither `lr` nor `weight_decay`"), "{text}");
}

#[test]
fn what_can_not_be_studied_is_said_with_a_way_out() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    std::fs::write(
        path.join("mine.toml"),
        "name = \"mine\"\nseeds = [1]\n[[external]]\nname = \"script\"\ncommand = \"true\"\n",
    )
    .unwrap();
    std::fs::create_dir(path.join("full")).unwrap();
    std::fs::write(path.join("full/precious.txt"), "mine").unwrap();
    for (command, said) in [
        ("study lr-decay --suite nowhere", "built-in suites:"),
        ("study lr-decay --suite smoke --program lino", "did you mean"),
        ("study lr-decay --suite smoke --lr 0", "expected a number above 0"),
        ("study lr-decay --suite smoke --lr 1 --lr 1", "named twice"),
        ("study lr-decay --suite smoke --seeds 0", "expected a whole number from 1"),
        ("study lr-decay --suite smoke --tuning-seeds 0", "expected a whole number from 1"),
        ("study batch-size --suite smoke --batch 0", "at least one example"),
        ("study batch-size --suite smoke --batch 100000", "does not fit"),
        ("study batch-size --suite mine.toml", "script is a command of the user's"),
        ("study scale --suite mine.toml", "script is a command of the user's"),
        ("study scale --suite smoke --width 1e9", "factors from 0.001 to 1000"),
        ("study betas --suite smoke --program sgd", "name one with --program, such as lion"),
        ("study memory-speed --suite smoke --repeats 0", "expected a whole number from 1"),
        ("study betas --suite smoke -o full", "they are of no study"),
        ("study betas --suite smoke -o full/precious.txt", "precious.txt"),
    ] {
        let ended = run(path, &words(command));
        assert_eq!(ended.code, Some(2), "{command}: {}", ended.stderr);
        assert!(ended.stderr.contains(said), "{command}: {}", ended.stderr);
    }
    assert_eq!(std::fs::read_dir(path.join("full")).unwrap().count(), 1);
    assert!(!path.join("runs").exists(), "nothing was begun");

    // Another study in the directory, and one that was changed.
    let command = "study memory-speed --suite smoke --repeats 1 -o taken";
    let _ = output(path, &words(command));
    for other in ["--repeats 2", "--repeats 1 --program lion --program sgd"] {
        let command = format!("study memory-speed --suite smoke {other} -o taken");
        let ended = run(path, &words(&command));
        assert_eq!(ended.code, Some(2), "{other}");
        assert!(ended.stderr.contains("give another one with -o"), "{}", ended.stderr);
    }
    let runs = path.join("taken/runs.jsonl");
    let damaged = std::fs::read_to_string(&runs).unwrap().replacen("lion", "loin", 1);
    std::fs::write(&runs, damaged).unwrap();
    let ended = run(path, &words(command));
    assert!(ended.code == Some(2) && ended.stderr.contains("damaged"), "{}", ended.stderr);
}

#[cfg(unix)]
#[test]
fn an_interrupt_keeps_what_is_done() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    // Long enough to be met in the middle.
    let command = "study betas --suite quick --budget 4000 --tuning-seeds 16 --threads 1 -o long";
    let mut child = symopt(path).args(words(command)).spawn().unwrap();
    let runs = path.join("long/runs.jsonl");
    while std::fs::read_to_string(&runs).map_or(0, |text| text.lines().count()) < 5 {
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
    }
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(said.contains("the same command goes on from there"), "{said}");
    assert!(std::fs::read_to_string(&runs).unwrap().lines().count() >= 5);
}
