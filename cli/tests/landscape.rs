//! `symopt tasks --landscape`, and the maps and pattern searches of `symopt tune`.

mod common;

use common::{HOSTILE, output, page, run};
use serde_json::Value;

const QUICK: &str = "tasks --landscape smoke --program lion --program sgd --program lion --seeds 3 --tuning-seeds 2 --budget 48 --threads 1";

fn words(command: &str) -> Vec<&str> {
    command.split_whitespace().collect()
}

#[test]
fn a_gate_compares_the_rankings_of_a_suite_and_of_its_variants() {
    const GATE: &str =
        "tasks --gate smoke --program sgd --seeds 3 --tuning-seeds 1 --budget 30 --threads 2";
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let text = output(path, &words(&format!("{GATE} --markdown gate.md")));
    let mut tables = text.lines().filter(|line| !line.starts_with("Kendall"));
    assert!(tables.all(|line| line.chars().count() <= 120), "{text}");
    assert!(text.contains("arXiv 2509.02046") && text.contains("No paper proves"), "{text}");
    assert!(std::fs::read_to_string(path.join("gate.md")).unwrap().contains("## Between tasks"));

    let report: Value =
        serde_json::from_str(&output(path, &words(&format!("{GATE} --json")))).unwrap();
    let programs = report["landscape"]["rows"].as_array().unwrap().len();
    assert_eq!(programs, 8, "those of the published order, and one more");
    let tasks = report["tasks"].as_array().unwrap();
    assert_eq!(tasks.len(), 2);
    for (task, has_wide) in tasks.iter().zip([false, true]) {
        // Two pairs of the seven programs are of one level; sgd is of none.
        let pairs = task["published"]["pairs"].as_u64().unwrap();
        assert!((15..=19).contains(&pairs), "{task}");
        let tau = task["published"]["tau"].as_f64().unwrap();
        assert!((-1.0..=1.0).contains(&tau) && task["published"]["standard_error"].is_f64());
        let variants: Vec<(&str, bool)> = task["variants"]
            .as_array()
            .unwrap()
            .iter()
            .map(|variant| (variant[0].as_str().unwrap(), variant[1].is_object()))
            .collect();
        // A softmax regression has no width.
        assert_eq!(variants, [("wide", has_wide), ("batch", true), ("long", true)]);
        assert_eq!(task["tasks"].as_array().unwrap().len(), 2);
        let own = tasks.iter().position(|other| other == task).unwrap();
        assert_eq!(task["tasks"][own]["tau"], 1.0, "a task agrees with itself");
    }
}

#[test]
fn a_landscape_is_printed_and_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let files = "--csv table.csv --markdown table.md --svg table.svg";
    let text = output(path, &words(&format!("{QUICK} {files}")));
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    assert!(
        text.starts_with("landscape of the suite smoke\nEvery program tuned per task"),
        "{text}"
    );
    let row = |name: &str| {
        text.lines()
            .find(|line| line.starts_with(name))
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    assert_eq!(row("PROGRAM").unwrap(), "PROGRAM SUITE smoke-linear smoke-mlp");
    assert_eq!(row("adamw").unwrap(), "adamw +0.00 % ± 0.00 +0.00 % ± 0.00 +0.00 % ± 0.00");
    assert!(
        row("lion").is_some() && row("sgd").is_some() && text.matches("\nlion ").count() == 1,
        "{text}"
    );
    assert!(text.contains(" training runs in ") && text.contains(" on 1 thread\n"), "{text}");
    assert!(
        text.ends_with("written: table.csv\nwritten: table.md\nwritten: table.svg\n"),
        "{text}"
    );

    let read = |name: &str| std::fs::read_to_string(path.join(name)).unwrap();
    assert_eq!(read("table.csv").lines().count(), 1 + 3 * 3);
    assert!(read("table.md").contains("| adamw | +0.00 % ± 0.00 |"));
    let svg = read("table.svg");
    assert!(svg.starts_with("<svg ") && svg.contains(">whole suite<") && svg.ends_with("</svg>\n"));

    // The same numbers on two threads, and as JSON.
    let json = |threads: &str| -> Value {
        let mut report: Value = serde_json::from_str(&output(
            path,
            &words(&format!("{QUICK} --json").replace("threads 1", threads)),
        ))
        .unwrap();
        assert!(report["seconds"].as_f64().unwrap() > 0.0);
        report["seconds"] = Value::Null;
        report["threads"] = Value::Null;
        report
    };
    let report = json("threads 1");
    assert_eq!(report, json("threads 2"));
    assert_eq!(
        (&report["suite"], &report["seeds"], &report["tuning"]["budget"]),
        (&"smoke".into(), &3.into(), &48.into())
    );
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    let shown = |row: &Value| {
        format!(
            "{} {:+.2} %",
            row["program"].as_str().unwrap(),
            100.0 * row["gain"]["mean"].as_f64().unwrap()
        )
    };
    assert!(
        rows.iter()
            .all(|json| row(json["program"].as_str().unwrap()).unwrap().starts_with(&shown(json))),
        "{rows:?}\n{text}"
    );
}

#[test]
fn a_landscape_is_drawn_again_from_what_it_printed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let files = |name: &str| format!("--csv {name}.csv --markdown {name}.md --svg {name}.svg");
    let json = output(path, &words(&format!("{QUICK} --json {}", files("first"))));
    std::fs::write(path.join("table.json"), &json).unwrap();
    let again = "tasks --landscape smoke --from table.json";
    let text = output(path, &words(&format!("{again} {}", files("again"))));
    assert!(text.contains("\nadamw ") && text.ends_with("written: again.svg\n"), "{text}");
    let read = |name: &str| std::fs::read(path.join(name)).unwrap();
    for ending in ["csv", "md", "svg"] {
        assert!(read(&format!("first.{ending}")) == read(&format!("again.{ending}")), "{ending}");
    }

    std::fs::write(path.join("other.json"), json.replace("\"smoke\"", "\"quick\"")).unwrap();
    std::fs::write(path.join("half.json"), &json[..json.len() / 2]).unwrap();
    for (file, said) in [
        ("other.json", "other.json is a landscape of the suite quick, not of smoke"),
        ("half.json", "half.json is no landscape: EOF while parsing"),
        ("none.json", "none.json is no landscape: No such file"),
    ] {
        let ended = run(path, &words(&again.replace("table.json", file)));
        assert_eq!(ended.code, Some(2), "{file}");
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
    }
    for refused in ["--seeds 3", "--program lion", "--json"] {
        assert_eq!(run(path, &words(&format!("{again} {refused}"))).code, Some(2), "{refused}");
    }
    let gate = run(path, &words("tasks --gate smoke --from table.json"));
    assert_eq!(gate.code, Some(2), "{}", gate.stderr);
}

#[test]
fn a_landscape_becomes_a_page_that_is_the_same_from_what_it_printed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let sign = "def hostile(w, g, lr):\n  update = sign(g) * lr\n  return update\n";
    std::fs::write(path.join(HOSTILE), sign).unwrap();
    let command = format!(
        "tasks --landscape smoke --program {HOSTILE} --seeds 2 --tuning-seeds 1 --budget 24"
    );
    let json = output(path, &words(&format!("{command} --html first.html --json")));
    std::fs::write(path.join("table.json"), &json).unwrap();
    let first = page(path, "first.html");
    for part in ["Of 1 program on smoke, ", "Gains on smoke-mlp", "&lt;script&gt;alert(1)"] {
        assert!(first.contains(part), "{part}");
    }
    let again = |name: &str| {
        let words = format!("tasks --landscape smoke --from table.json --html {name}");
        let text = output(path, &self::words(&words));
        assert!(text.ends_with(&format!("written: {name}\n")), "{text}");
        page(path, name)
    };
    let second = again("second.html");
    assert_eq!(second, again("third.html"));
    // All but the command.
    let without_command = |html: &str| {
        let lines = html.lines().filter(|line| !line.contains("tasks --landscape"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(without_command(&first), without_command(&second));
    for refused in ["tasks --html page.html", "tasks --gate smoke --html page.html"] {
        assert_eq!(run(path, &words(refused)).code, Some(2), "{refused}");
    }
}

#[test]
fn whatever_takes_a_learning_rate_is_tuned_and_what_does_not_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    std::fs::write(
        path.join("bare.opt"),
        "def bare(w, g, lr):\n  update = sign(g) * lr\n  return update\n",
    )
    .unwrap();
    std::fs::write(
        path.join("still.opt"),
        "def still(w, g):\n  update = g * 0.01\n  return update\n",
    )
    .unwrap();
    let command = "tasks --landscape smoke --program bare.opt --program still.opt --seeds 2 --tuning-seeds 1 --budget 24";
    let report: Value =
        serde_json::from_str(&output(path, &words(&format!("{command} --json")))).unwrap();
    let row = |name: &str| {
        report["rows"]
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["program"] == name)
            .unwrap()
            .clone()
    };
    assert_eq!(
        (&row("bare.opt")["tuned"], &row("still.opt")["tuned"]),
        (&serde_json::json!(["lr"]), &serde_json::json!([]))
    );
    assert!(row("bare.opt")["gain"]["mean"].as_f64().unwrap() > -1.0, "{report}");
    assert!(row("bare.opt")["tasks"][0]["tuned"]["peak_lr"].as_f64().unwrap() < 0.5);
    let text = output(path, &words(command));
    assert!(
        text.contains(
            "\nstill.opt takes no `lr`, so its learning rate is not tuned: it runs as it stands\n"
        ),
        "{text}"
    );
    assert!(!text.contains("bare.opt takes no"), "{text}");
}

#[test]
fn a_grid_becomes_a_map() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let tune = "tune --task smoke-linear --program lion";
    let plain = output(path, &words(tune));
    let text = output(path, &words(&format!("{tune} --map map.svg")));
    assert_eq!(text.strip_prefix(&plain), Some("\nmap written: map.svg, gains over tuned AdamW\n"));
    let svg = std::fs::read_to_string(path.join("map.svg")).unwrap();
    for label in ["lion on smoke-linear", "peak learning rate", "weight decay", "gain (%)"] {
        assert!(svg.contains(&format!(">{label}<")), "{label}");
    }
    let report: Value =
        serde_json::from_str(&output(path, &words(&format!("{tune} --map map.csv --json"))))
            .unwrap();
    let trials = report["trials"].as_array().unwrap();
    let csv = std::fs::read_to_string(path.join("map.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + trials.len());
    for (line, trial) in csv.lines().skip(1).zip(trials) {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!(cells[..2], ["smoke-linear", "lion"]);
        let number = |cell: &str| cell.parse::<f64>().ok();
        assert_eq!(
            [cells[2], cells[3], cells[4]].map(number),
            ["peak_lr", "weight_decay", "loss"].map(|key| trial[key].as_f64())
        );
        assert_eq!(cells[5].is_empty(), trial["loss"].is_null());
    }
}

#[test]
fn a_pattern_search_tunes_betas_too() {
    let directory = tempfile::tempdir().unwrap();
    let tune = "tune --task smoke-mlp --program lion --budget 800";
    let report: Value =
        serde_json::from_str(&output(directory.path(), &words(&format!("{tune} --json")))).unwrap();
    let trials = report["trials"].as_array().unwrap();
    assert!(
        report["runs"].as_u64().unwrap() <= 800
            && trials.len() as u64 * 16 == report["runs"].as_u64().unwrap()
    );
    let best = &report["best"];
    let lowest =
        trials.iter().filter_map(|trial| trial["loss"].as_f64()).fold(f64::INFINITY, f64::min);
    assert_eq!(best["loss"].as_f64(), Some(lowest));
    assert_eq!(best["hyperparameters"].as_array().unwrap().len(), 3);

    let text = output(directory.path(), &words(tune));
    let heading = text.lines().find(|line| line.contains("VALIDATION LOSS")).unwrap();
    assert_eq!(
        heading.split_whitespace().collect::<Vec<_>>(),
        ["PEAK", "LR", "BETA1", "BETA2", "WEIGHT", "DECAY", "VALIDATION", "LOSS"]
    );
    assert!(text.contains("\n[[task.tuned]]\nprogram = \"lion\"\npeak_lr = "), "{text}");
    assert!(
        text.contains("hyperparameters = [[\"beta1\", 0.") && text.contains("[\"weight_decay\", "),
        "{text}"
    );
    let text = output(directory.path(), &words(&format!("{tune} --no-betas")));
    assert!(!text.contains("BETA1") && text.contains("WEIGHT DECAY"), "{text}");
}

#[test]
fn bad_arguments_are_refused_before_any_work() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    std::fs::create_dir(path.join("folder")).unwrap();
    let refused = |command: &str, message: &str| {
        let ended = run(path, &words(command));
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(2), ""),
            "{command}: {}",
            ended.stderr
        );
        assert!(
            ended.stderr.contains(message) && !ended.stderr.contains("panicked"),
            "{command}: {}",
            ended.stderr
        );
    };
    refused("tasks --landscape smoky", "no built-in suite and no file has this name");
    refused("tasks --landscape smoke smoke", "cannot be used with");
    refused("tasks --csv table.csv", "--landscape");
    refused("tasks --landscape smoke --seeds 1", "from 2 to 1000");
    refused("tasks --landscape smoke --budget -1", "expected a whole number");
    refused("tasks --landscape smoke --threads 0", "from 1 to 1024");
    refused("tasks --landscape smoke --program lionn", "lion");
    refused("tasks --landscape smoke --svg nowhere/table.svg", "there is no directory `nowhere`");
    refused("tasks --landscape smoke --markdown folder", "it is a directory");
    refused("tune --task smoke-linear --program lion --map map.png", "must end with .svg");
    refused(
        "tune --task smoke-linear --program lion --map nowhere/map.svg",
        "there is no directory `nowhere`",
    );
    refused(
        "tune --task smoke-linear --program lion --map map.svg --budget 100",
        "cannot be used with",
    );
    refused("tune --task smoke-linear --program lion --no-betas", "--budget");
    assert_eq!(common::tree(path).len(), 1);
}
