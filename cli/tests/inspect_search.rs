//! `symopt inspect` where it needs a store or tasks: the lineage of a program, and how much its
//! statements matter.

mod common;

use std::path::Path;
use std::sync::OnceLock;

use common::{copy, output, run};
use serde_json::Value;

/// A store of a short search, made once, and the hash of the best program in it.
fn store() -> (&'static Path, &'static str) {
    static STORE: OnceLock<(tempfile::TempDir, String)> = OnceLock::new();
    let (directory, hash) = STORE.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let arguments = "search --suite smoke --population 50 --programs 4000 --seed 3 --held-out 0 --store store --json";
        let report = output(directory.path(), &arguments.split(' ').collect::<Vec<_>>());
        let report: Value = serde_json::from_str(&report).unwrap();
        let hash = report["best"]["hash"].as_str().unwrap().to_owned();
        (directory, hash)
    });
    (directory.path(), hash)
}

#[test]
fn the_hall_of_fame_is_a_front_and_its_places_name_programs() {
    let (directory, hash) = store();
    let front: Value =
        serde_json::from_str(&output(directory, &["top", "store", "--json"])).unwrap();
    let front = front.as_array().unwrap();
    assert_eq!(front[0]["hash"], hash, "without parsimony and penalty the best is the first");
    for (place, entry) in front.iter().enumerate() {
        assert_eq!(entry["place"], place + 1);
        let of = |entry: &Value, name: &str| entry[name].as_f64().unwrap();
        for better in &front[..place] {
            assert!(of(better, "fitness") >= of(entry, "fitness"));
            assert!(
                ["live_statements", "state_bytes"]
                    .iter()
                    .any(|name| of(better, name) > of(entry, name)),
                "{better} beats {entry}"
            );
        }
        let name = format!("store:{}", place + 1);
        let found: Value =
            serde_json::from_str(&output(directory, &["inspect", &name, "--json"])).unwrap();
        assert_eq!(found["hash"], entry["hash"]);
    }
    let best: Value =
        serde_json::from_str(&output(directory, &["inspect", "store:best", "--json"])).unwrap();
    assert_eq!(best["hash"], hash);
    let beyond = run(directory, &["inspect", "store:99"]);
    let message = &beyond.stderr;
    assert_eq!(beyond.code, Some(2));
    assert!(message.contains("no place 99") && message.contains("symopt top store"), "{message}");

    output(directory, &["top", "store", "--csv", "front.csv"]);
    let csv = std::fs::read_to_string(directory.join("front.csv")).unwrap();
    assert!(csv.starts_with("place,hash,") && csv.contains(hash));
    let rows = |arguments: &[&str]| -> Vec<Value> {
        let json = output(directory, &[&["top", "store", "--json"], arguments].concat());
        serde_json::from_str(&json).unwrap()
    };
    let cells = rows(&["--cells", "2"]);
    assert!(cells.len() > 3 && cells.iter().all(|entry| entry["place"].as_u64().unwrap() <= 2));
    let parent = cells[0]["parent"].as_str().unwrap();
    let parent = output(directory, &["inspect", &format!("store:{parent}"), "--json"]);
    assert!(serde_json::from_str::<Value>(&parent).is_ok());
    let all = rows(&["--all"]);
    assert!(all.iter().any(|entry| entry["outcome"] == "diverged"));
    output(directory, &["top", "store", "--all", "--csv", "all.csv"]);
    let mut csv = csv::Reader::from_path(directory.join("all.csv")).unwrap();
    assert_eq!(csv.records().count(), all.len());
    let text = output(directory, &["top", "store", "--cells"]);
    assert!(text.contains("scale-free") && text.contains("FROM"), "{text}");
    let runs: Value = serde_json::from_str(&output(directory, &["runs", ".", "--json"])).unwrap();
    assert_eq!(runs[0]["store"], "./store");
    assert_eq!((&runs[0]["suite"], &runs[0]["seed"]), (&"smoke".into(), &3.into()));
}

#[test]
fn a_lineage_leads_from_the_initial_program_to_the_one_that_is_asked_for() {
    let (directory, hash) = store();
    let program = format!("store:{}", &hash[..12]);
    let json: Value =
        serde_json::from_str(&output(directory, &["inspect", &program, "--lineage", "--json"]))
            .unwrap();
    let ancestors = json.as_array().unwrap();
    assert!(ancestors.len() > 5);
    assert!(ancestors[0]["index"].is_null() && ancestors[0]["change"].is_null());
    let last = ancestors.last().unwrap();
    assert_eq!(last["hash"], hash);
    assert!(
        last["fitness"]["improvement"].as_f64().unwrap()
            > ancestors[0]["fitness"]["improvement"].as_f64().unwrap()
    );
    let neutral = ancestors.iter().filter(|ancestor| ancestor["change"]["neutral"] == true).count();
    assert!(neutral > 0 && neutral < ancestors.len() - 1);

    // The heading, a blank line, two lines of the table's head, then a row for each ancestor.
    let rows = |text: &str| text.lines().skip(5).map(str::to_owned).collect::<Vec<_>>();
    let all = rows(&output(directory, &["inspect", &program, "--lineage", "--all"]));
    assert_eq!(all.len(), ancestors.len());
    assert_eq!(all.iter().filter(|row| row.ends_with("(changes nothing)")).count(), neutral);
    for (row, ancestor) in all.iter().zip(ancestors) {
        let child =
            ancestor["index"].as_u64().map_or("initial".to_owned(), |index| index.to_string());
        assert_eq!(row.split_whitespace().next(), Some(child.as_str()));
        for text in [&ancestor["change"]["before"], &ancestor["change"]["after"]] {
            assert!(row.contains(text.as_str().unwrap_or_default()), "{row}");
        }
    }

    // The short view has the same rows but the neutral ones, which are counted.
    let text = output(directory, &["inspect", &program, "--lineage"]);
    let heading = format!(
        "lineage of {hash}\n{} mutations from the initial program, {} of them change what it computes\n\n",
        ancestors.len() - 1,
        ancestors.len() - 1 - neutral
    );
    assert!(text.starts_with(&heading), "{text}");
    let (folds, shown): (Vec<_>, Vec<_>) =
        rows(&text).into_iter().partition(|row| row.trim_start().starts_with('…'));
    let words = |row: &str| row.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let expected: Vec<_> = all
        .iter()
        .filter(|row| !row.ends_with("(changes nothing)"))
        .map(|row| words(row))
        .collect();
    assert_eq!(shown.iter().map(|row| words(row)).collect::<Vec<_>>(), expected);
    let counted: usize = folds.iter().map(|row| words(row)[1].parse::<usize>().unwrap()).sum();
    assert_eq!(counted, neutral);
}

#[test]
fn importance_is_a_table_or_json() {
    let directory = tempfile::tempdir().unwrap();
    let text = output(directory.path(), &["inspect", "lion", "--tasks", "smoke", "--seeds", "3"]);
    let first = text.lines().next().unwrap();
    assert!(first.starts_with("lion on the suite smoke, over 3 seeds: fitness +"), "{text}");
    assert!(!text.contains("multiplied"), "lion is tuned for these tasks: {text}");
    let row = |statement: &str| text.lines().find(|line| line.starts_with(statement)).unwrap();
    assert!(
        row("update = sign(update)").ends_with("sign(update) bypassed: update = update"),
        "{text}"
    );
    assert!(row("update = sign(update)").contains(" ± "), "{text}");
    assert!(row("update = update * lr").contains("diverges"), "{text}");

    let json = output(
        directory.path(),
        &["inspect", "lion", "--tasks", "smoke", "--seeds", "3", "--json"],
    );
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json["program"], &json["suite"], &json["seeds"]),
        (&"lion".into(), &"smoke".into(), &3.into())
    );
    let statements = json["statements"].as_array().unwrap();
    assert_eq!(statements.len(), 6);
    assert_eq!(statements[1]["text"], "update = sign(update)");
    assert!(statements[1]["fitness_change"].as_f64().unwrap() < -0.5);
    assert!(statements[1]["standard_error"].as_f64().unwrap() > 0.0);
    assert!(statements[1]["update_change"].as_f64().unwrap() > 0.0);

    // A program with constants of its own gets the size of its steps, and says so.
    let raw =
        output(directory.path(), &["inspect", "lion-raw", "--tasks", "smoke", "--seeds", "2"]);
    assert!(
        raw.lines()
            .nth(1)
            .unwrap()
            .starts_with("its update is multiplied by what suits each task: smoke-linear "),
        "{raw}"
    );
    // Only what is live is shown.
    assert!(!raw.contains("cosh") && raw.contains("arcsin(g) bypassed: g = g"), "{raw}");
}

#[test]
fn what_has_no_lineage_or_no_tasks_is_refused() {
    let (original, hash) = store();
    // The other tests use the store, and only one may at a time.
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    std::fs::create_dir(directory.join("store")).unwrap();
    copy(&original.join("store"), &directory.join("store"));
    let program = format!("store:{hash}");
    let cases: &[(&[&str], &str)] = &[
        (&["lion", "--lineage"], "lion is not a program of a search's store"),
        (&["-", "--lineage"], "the standard input is not a program of a search's store"),
        (&["linon", "--lineage"], "did you mean lion?"),
        (&["nowhere:12ab", "--lineage"], "no store is there"),
        (&["store:xyz", "--lineage"], "no functional hash"),
        (&["store:", "--lineage"], "no functional hash"),
        (&["store", "--lineage"], "a directory, not a program"),
        (
            &["store:0000000000000000", "--lineage"],
            "no evaluated program has a hash that begins with",
        ),
        (&["lion", "--all"], "--lineage"),
        (&[&program, "--lineage", "--tasks", "smoke"], "cannot be used with"),
        (&["lion", "--tasks", "smokey"], "did you mean `smoke`?"),
        (&["lion", "--tasks", "."], ""),
        (&["linon", "--tasks", "smoke"], "did you mean lion?"),
        (&["lion", "--tasks", "smoke", "--seeds", "1"], "expected a whole number from 2 to 1000"),
        (&["lion", "--tasks", "smoke", "--seeds", "-3"], "expected a whole number from 2 to 1000"),
        (&["lion", "--seeds", "4"], "--tasks"),
    ];
    for (arguments, message) in cases {
        let arguments: Vec<&str> = ["inspect"].iter().chain(*arguments).copied().collect();
        let ended = run(directory, &arguments);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(2), ""),
            "{arguments:?}\n{}",
            ended.stderr
        );
        assert!(
            ended.stderr.starts_with("error: ") && ended.stderr.contains(message),
            "{arguments:?}\n{}",
            ended.stderr
        );
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    }
}
