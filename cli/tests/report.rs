//! `symopt report`, and the strategies that it compares.

mod common;

use common::{output, run, tree};
use serde_json::Value;

const SEARCH: &str =
    "search --suite smoke --population 50 --programs 1000 --held-out 0 --threads 1";

fn words(command: &str) -> Vec<&str> {
    command.split_whitespace().collect()
}

#[test]
fn searches_of_all_strategies_are_reported() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    for (store, more) in [
        ("evolution", ""),
        ("again", "--seed 1"),
        ("random", "--strategy random"),
        ("constants", "--constants-only"),
    ] {
        output(path, &words(&format!("{SEARCH} --store runs/{store} {more}")));
    }
    let stores = "runs/evolution runs/again runs/random runs/constants";
    let before = tree(&path.join("runs"));
    let command = format!("report {stores} -o out/report --validate smoke --sample 4 --seeds 2");
    let text = output(path, &words(&format!("{command} --threads 1")));
    let row = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("{name} in {text}"))
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(row("evolution")[..3], ["evolution", "evolution", "1000"]);
    assert_eq!(row("random")[..4], ["random", "random", "search", "1000"]);
    assert_eq!(row("constants")[..4], ["constants", "constants", "only", "1000"]);
    assert!(text.contains("written: out/report/comparison.svg\n"), "{text}");
    assert!(
        text.ends_with("written: out/report/report.md\nwritten: out/report/report.json\n"),
        "{text}"
    );
    // A report changes nothing in a store.
    assert_eq!(tree(&path.join("runs")), before);

    let read = |name: &str| std::fs::read_to_string(path.join("out/report").join(name)).unwrap();
    let markdown = read("report.md");
    assert!(
        markdown.contains(&format!("```\nsymopt --log-every 0 {command} --threads 1\n```")),
        "{markdown}"
    );
    for figure in ["fitness.svg", "validation.svg", "redundancy.svg", "comparison.svg", "fresh.svg"]
    {
        assert!(markdown.contains(&format!("]({figure})")), "{markdown}");
        let svg = read(figure);
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{figure}");
    }
    // No HTML.
    assert!(!markdown.contains("<p") && !markdown.contains("<img"), "{markdown}");

    // The same numbers on two threads, and as JSON.
    let json: Value =
        serde_json::from_str(&output(path, &words(&format!("{command} --threads 2 --json"))))
            .unwrap();
    let kept: Value = serde_json::from_str(&read("report.json")).unwrap();
    assert_eq!(json, kept);
    assert_eq!(json["groups"][0]["stores"], 2);
    assert_eq!(json["over"], "training_runs");
    let json: Value = serde_json::from_str(&output(
        path,
        &words("report runs/random --over evaluations --seeds 2 --json"),
    ))
    .unwrap();
    assert_eq!(
        (&json["over"], &json["common_compute"]),
        (&"evaluations".into(), &json["stores"][0]["end"]["evaluations"].as_f64().into())
    );
}

#[test]
fn what_can_not_be_reported_or_searched_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    output(path, &words(&format!("{SEARCH} --store store")));
    std::fs::write(path.join("file"), "").unwrap();
    let cases = [
        ("report", "<STORE>"),
        ("report nowhere", "no store is there"),
        ("report file", "not a symopt store"),
        ("report store -o file", "can't make the directory `file`"),
        ("report store --validate nothing", "suite `nothing`"),
        ("report store --sample 4", "--validate"),
        ("report store --seeds 0", "from 1 to 1000"),
        ("report store --over time", "training-runs"),
        (
            "search --suite smoke --strategy random --constants-only --store new",
            "do not go together",
        ),
        (
            "search --suite smoke --initial signum --constants-only --store new",
            "has none among its statements",
        ),
        ("search --suite smoke --strategy annealing --store new", "regularized"),
    ];
    for (command, reason) in cases {
        let ended = run(path, &words(command));
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(2), ""),
            "{command}: {}",
            ended.stderr
        );
        assert!(ended.stderr.contains(reason), "{command}: {}", ended.stderr);
    }
    assert!(!path.join("new").exists());
}
