//! Directions of a store in every command that takes a program: each in its own form.

mod common;

use common::{output, symopt};
use serde_json::Value;

const SETTINGS: &str = r#"
suite = "smoke"
initial = "adamw-paper"
seed = 4

[fitness]
form = "direction"
seeds = 2
tuning_seeds = 2

[evolution]
population = 10
lag = 8

[limits]
programs = 40
"#;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_direction_is_judged_and_trained_in_its_own_form_by_every_command() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    std::fs::write(root.join("config.toml"), SETTINGS).unwrap();
    let search = [
        "search",
        "--config",
        "config.toml",
        "--store",
        "store",
        "--threads",
        "2",
        "--held-out",
        "4",
    ];
    let text = output(root, &search);
    let table = text.split("validation loss saved").nth(1).unwrap();
    let table = table.split("to go on").next().unwrap();
    assert!(
        !table.contains("diverged") && table.contains("directions at their best learning rate"),
        "{text}"
    );
    assert!(
        text.contains("a direction: training applies w -= lr * (direction + weight_decay * w)"),
        "{text}"
    );
    let report = json(&output(root, &["resume", "store", "--held-out", "4", "--json"]));
    let best = format!("store:{}", &report["best"]["hash"].as_str().unwrap()[..12]);
    let gain = |row: &Value| row["held_out"]["improvement"].as_f64().unwrap();
    let rows = report["comparison"].as_array().unwrap();
    assert!(rows.iter().all(|row| gain(row) > -1.0), "{rows:?}");
    assert_eq!(rows[0]["search_seeds"], report["best"]["fitness"]);

    // Trained at what suited it, it does as well as in the comparison: far better than at any other
    // rate.
    let task = "smoke/smoke-linear";
    let train = |rest: &[&str]| {
        json(&output(
            root,
            &[&["train", "--program", &best, "--seeds", "2", "--json"], rest].concat(),
        ))
    };
    let trained = train(&["--task", task, "--vs", "adamw"]);
    let saved = trained[0]["against"]["saved"].as_f64().unwrap();
    assert!(saved > -0.5, "{saved}");
    assert!(
        trained[0]["constants"].as_str().unwrap().contains("its best on this task in its search"),
        "{trained}"
    );
    assert_eq!(trained[0]["hyperparameters"][0][0], "weight_decay");
    // Elsewhere it is tuned, and what is set goes before.
    let elsewhere = train(&["--task", "quick/digits-linear"]);
    assert!(
        elsewhere[0]["constants"].as_str().unwrap().contains("tuned for this task on 2 seeds"),
        "{elsewhere}"
    );
    assert_eq!(elsewhere[0]["runs"][0]["stop"], "completed");
    assert_eq!(train(&["--task", task, "--set", "lr=0.5"])[0]["peak_lr"], 0.5);

    // As a whole program wherever that is what is looked at or written.
    let whole = output(root, &["inspect", &best]);
    assert!(whole.contains("as a whole program") && whole.contains("weight_decay"), "{whole}");
    for command in [&["identify", &best][..], &["diff", &best, "adamw"]] {
        assert!(!output(root, command).is_empty());
    }
    output(root, &["export", &best, "--to", "numpy", "-o", "best.py"]);
    assert!(std::fs::read_to_string(root.join("best.py")).unwrap().contains("weight_decay"));
    output(root, &["simplify", &best, "-o", "best.opt"]);
    let trained = json(&output(
        root,
        &[
            "train",
            "--task",
            task,
            "--program",
            "best.opt",
            "--vs",
            "adamw",
            "--seeds",
            "2",
            "--json",
        ],
    ));
    assert!(trained[0]["against"]["saved"].as_f64().unwrap() > -0.5, "{trained}");

    // Trials judge the direction, each change at its own best settings.
    let ablate = [
        "simplify",
        &best,
        "--ablate",
        "--suite",
        "smoke",
        "--seeds",
        "2",
        "-o",
        "short.opt",
        "--derivation",
        "short.md",
    ];
    let text = output(root, &ablate);
    assert!(text.contains("## As a whole program"), "{text}");
    let trained = json(&output(
        root,
        &["train", "--task", task, "--program", "short.opt", "--seeds", "1", "--json"],
    ));
    assert_eq!(trained[0]["runs"][0]["stop"], "completed");
    let report =
        json(&output(root, &["inspect", &best, "--tasks", "smoke", "--seeds", "2", "--json"]));
    assert!(report["fitness"]["improvement"].as_f64().unwrap() > -1.0, "{report}");

    let tuned = json(&output(
        root,
        &["tune", "--task", task, "--program", &best, "--grid", "local", "--seeds", "1", "--json"],
    ));
    assert!(tuned["best"]["loss"].as_f64().is_some(), "{tuned}");
    // A grid and a search by patterns try steps of the same sizes, and both say how to use what
    // they found.
    let tune = ["tune", "--task", task, "--program", &best, "--no-betas", "--budget", "400"];
    let patterns = json(&output(root, &[&tune[..], &["--json"]].concat()));
    let ratio =
        patterns["best"]["peak_lr"].as_f64().unwrap() / tuned["best"]["peak_lr"].as_f64().unwrap();
    assert!((0.05..20.0).contains(&ratio), "{patterns}");
    let text = output(root, &tune);
    let used = format!("\nto use it:\n  symopt train --task {task} --program {best} --set lr=");
    assert!(text.contains(&used) && text.contains(" --set weight_decay="), "{text}");
    let funnel = [
        "funnel",
        "store",
        "--through",
        "smoke",
        "--keep",
        "1",
        "--seeds",
        "2",
        "--tuning-seeds",
        "1",
        "-o",
        "funnel",
        "--json",
    ];
    let funnel = json(&output(root, &funnel));
    assert!(
        funnel["ranking"][0]["stages"][0]["judged"]["gain"]["mean"].as_f64().unwrap() > -1.0,
        "{funnel}"
    );
    let landscape = [
        "tasks",
        "--landscape",
        "smoke",
        "--program",
        &best,
        "--seeds",
        "2",
        "--tuning-seeds",
        "1",
        "--budget",
        "60",
    ];
    let text = output(root, &landscape);
    assert!(!text.contains("diverged"), "{text}");
    // Other searches go on from it, in either form.
    let next = [
        "search",
        "--suite",
        "smoke",
        "--initial",
        &best,
        "--programs",
        "5",
        "--population",
        "5",
        "--held-out",
        "2",
        "--json",
    ];
    let report = json(&output(root, &[&next[..], &["--store", "programs"]].concat()));
    assert!(
        report["comparison"][3]["held_out"]["improvement"].as_f64().unwrap() > -2.0,
        "{report}"
    );
    std::fs::write(
        root.join("next.toml"),
        SETTINGS.replace("adamw-paper", &best).replace("programs = 40", "programs = 5"),
    )
    .unwrap();
    let report = json(&output(
        root,
        &["search", "--config", "next.toml", "--store", "next", "--held-out", "0", "--json"],
    ));
    assert_eq!(report["stop"], "programs");
}

#[cfg(unix)]
#[test]
fn an_interrupted_search_for_directions_reports_what_it_has() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    std::fs::write(
        root.join("config.toml"),
        SETTINGS.replace("population = 10", "population = 200"),
    )
    .unwrap();
    let arguments = [
        "search",
        "--config",
        "config.toml",
        "--programs",
        "0",
        "--store",
        "store",
        "--threads",
        "2",
    ];
    let mut child = symopt(root).args(arguments).spawn().unwrap();
    let acknowledged = || {
        std::fs::read_to_string(root.join("store/acknowledged")).ok()?.trim().parse::<u64>().ok()
    };
    while acknowledged().is_none_or(|count| count == 0) && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(
        std::process::Command::new("kill")
            .args(["-s", "INT", &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    let ended = child.wait_with_output().unwrap();
    let (text, message) =
        (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert_eq!(ended.status.code(), Some(0), "{message}");
    assert!(
        text.contains(": interrupted\n") && text.contains("  symopt resume store --programs 0"),
        "{text}"
    );
}
