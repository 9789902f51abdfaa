//! `symopt discover`, by the real binary.

mod common;

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use common::{HOSTILE, output, page, run, symopt};
use serde_json::Value;

const PROTOCOL: &str = include_str!("common/discovery.toml");

fn discover(directory: &Path, output_directory: &str, threads: &str) -> String {
    let words = ["discover", "--protocol", "small.toml", "--threads", threads, "-o"];
    output(directory, &[&words[..], &[output_directory]].concat())
}

fn report(directory: &Path) -> Value {
    let text = fs::read_to_string(directory.join("report.json")).unwrap();
    // The champion is named by its store.
    let place = format!("{}/", directory.file_name().unwrap().to_str().unwrap());
    serde_json::from_str(&text.replace(&place, "")).unwrap()
}

#[test]
fn a_discovery_ends_the_same_however_often_it_is_killed_and_on_any_number_of_threads() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("small.toml"), PROTOCOL).unwrap();
    let text = discover(path, "whole", "1");
    for expected in ["repeat-2: best ", "champion: whole/searches/", "one setting for all tasks"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let whole = report(&path.join("whole"));
    let rows = whole["held_out"]["per_task"]["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    assert!(rows.iter().any(|row| row["program"] == "found" && row["champion"].is_null()));
    let markdown = fs::read_to_string(path.join("whole/report.md")).unwrap();
    assert!(markdown.contains("## Held-out tasks") && markdown.contains("| repeat-1 |"));

    for milliseconds in [30, 100, 200, 300, 400] {
        let mut command = symopt(path);
        command.args(["discover", "--protocol", "small.toml", "-o", "killed"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(milliseconds));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    discover(path, "killed", "2");
    assert_eq!(report(&path.join("killed")), whole);
    // Existing results are not computed again.
    let again = discover(path, "whole", "2");
    assert!(!again.contains("repeat-2: best "), "{again}");
    assert_eq!(report(&path.join("whole")), whole);

    // The same as a page, in a directory with any name.
    common::copy(&path.join("whole"), &path.join(HOSTILE));
    let made = |name: &str| {
        let words = ["discover", "--protocol", "small.toml", "-o", HOSTILE, "--html", name];
        let text = output(path, &words);
        assert!(text.ends_with(&format!("written: {name}\n")), "{text}");
        page(path, name)
    };
    let html = made("first.html");
    assert_eq!(html, made("second.html"));
    for part in ["Held-out tasks", "The champion", "The funnel", "repeat-2", "&lt;script&gt;"] {
        assert!(html.contains(part), "{part}");
    }
}

#[test]
fn results_of_another_protocol_or_seed_are_not_mixed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("small.toml"), PROTOCOL).unwrap();
    fs::create_dir(path.join("results")).unwrap();
    fs::write(path.join("results/protocol.toml"), format!("# seed = 1\n{PROTOCOL}\n")).unwrap();
    let ended = run(path, &["discover", "--protocol", "small.toml", "-o", "results"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("results of another protocol"), "{}", ended.stderr);
    fs::write(path.join("bad.toml"), PROTOCOL.replace("\"muon\"", "\"mun\"")).unwrap();
    let ended = run(path, &["discover", "--protocol", "bad.toml", "-o", "other"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("bad.toml") && ended.stderr.contains("`mun`"));
    assert!(!path.join("other").exists());
}
