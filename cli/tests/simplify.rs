//! `symopt simplify`, and what `symopt diff` says of what it leaves.

mod common;

use std::fs;
use std::path::Path;

use common::{Ended, output, run, run_with, symopt, tree};
use serde_json::Value;

fn json(directory: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&output(directory, arguments)).expect("JSON")
}

fn piped(directory: &Path, arguments: &[&str], input: &str) -> Ended {
    let mut command = symopt(directory);
    command.args(arguments);
    run_with(command, input.as_bytes())
}

const SIGN: &str = "def p(w, g, m, lr):
  m = interp(g, m, 0.9)
  m2 = m * m
  root = sqrt(m2)
  update = m / root
  update = update * lr
  return update, m
";

#[test]
fn the_raw_program_ends_in_lion() {
    let directory = tempfile::tempdir().unwrap();
    let text = output(directory.path(), &["simplify", "lion-raw"]);
    assert!(text.starts_with("# lion_raw: from 21 statements to 9\n"), "{text}");
    // The kinds of steps, in their order.
    let heads: Vec<&str> = text.lines().filter(|line| line.starts_with("## ")).collect();
    let kinds = ["redundant", "dead slot", "identity", "identity", "constants", "names and order"];
    assert_eq!(heads.len(), kinds.len() + 1, "{heads:?}");
    for (number, (head, kind)) in heads.iter().zip(kinds).enumerate() {
        assert!(head.starts_with(&format!("## {}. {kind}: ", number + 1)), "{head}");
    }
    assert_eq!(heads.last(), Some(&"## What is left"));
    for line in [
        "- dependency sets: `no output depends on 8 of 21 statements`",
        "- liveness across steps: `no later step reads m before it is written`",
        "-  m = cosh(update)",
        "- where `|m| >= 0.01`",
        "- a number gets a name: `beta1 = 0.8999999761581421`",
        "- a number gets a name: `beta2 = 0.9982196781841992`",
        "- change of variable: `new m = old v`",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(text.contains("- chained blends are one: `"), "{text}");
    // Every step has been checked.
    assert_eq!(text.lines().filter(|line| line.starts_with("Checked: ")).count(), kinds.len());
    assert!(!text.contains("BROKEN") && !text.contains("Rejected"), "{text}");
    let (_, end) = text.split_once("## What is left\n").unwrap();
    for line in [
        "  g = clip(g, lr)",
        "  g = arcsin(g)",
        "  update = interp(g, m, beta1)",
        "  update = sign(update)",
        "  return update, m",
    ] {
        assert!(end.lines().any(|found| found == line), "{line}\n{end}");
    }
    // The same each time, and nothing is left in the directory.
    assert_eq!(output(directory.path(), &["simplify", "lion-raw"]), text);
    assert!(tree(directory.path()).is_empty());
}

#[test]
fn json_holds_the_whole_derivation() {
    let directory = tempfile::tempdir().unwrap();
    let found = json(directory.path(), &["simplify", "lion-raw", "--json"]);
    assert_eq!(
        (&found["statements_before"], &found["statements_after"], &found["label"]),
        (&21.into(), &9.into(), &"domain".into())
    );
    assert_eq!(found["hash"].as_str().unwrap().len(), 32);
    let derivation = &found["derivation"];
    assert_eq!(
        (&derivation["rejected"], derivation["notes"].is_array()),
        (&Value::Array(Vec::new()), true)
    );
    let steps = derivation["steps"].as_array().unwrap();
    assert_eq!(
        steps.iter().map(|step| step["kind"].as_str().unwrap()).collect::<Vec<_>>()[..3],
        ["redundant", "dead_slot", "identity"]
    );
    let mut last = &derivation["original"];
    for step in steps {
        assert_eq!(&step["before"], last);
        last = &step["after"];
        let evidence = &step["support"]["check"];
        assert_eq!(evidence["verdict"], "holds");
        assert!(evidence["steps"].as_u64().unwrap() >= 1000, "{evidence}");
        assert!(!step["reasons"].as_array().unwrap().is_empty());
        assert!(!step["touched"].as_array().unwrap().is_empty());
    }
    assert_eq!(&found["result"], last);
    let domain = steps.iter().find(|step| step["label"] == "domain").unwrap();
    assert_eq!(domain["conditions"], serde_json::json!(["|m| >= 0.01"]));
    assert!(domain["support"]["check"]["outside_at"]["stream"].is_string());
    // The result is a program like any other.
    let result = found["result"].as_str().unwrap();
    let Ended { code, stdout, stderr } =
        piped(directory.path(), &["inspect", "-", "--json"], result);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert_eq!(serde_json::from_str::<Value>(&stdout).unwrap()["hash"], found["hash"]);
}

#[test]
fn derivations_are_written_for_people_and_for_programs() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let text = output(path, &["simplify", "lion-found", "--derivation", "f.md"]);
    assert_eq!(fs::read_to_string(path.join("f.md")).unwrap(), text);
    assert!(text.starts_with("# lion_found: from 12 statements to 9\n"), "{text}");
    let printed = output(path, &["simplify", "lion-found", "--derivation", "f.json", "--json"]);
    let written = fs::read_to_string(path.join("f.json")).unwrap();
    assert_eq!(written, printed);
    let written: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(written["statements_after"], 9);
    // An existing file is written anew; the ending may be in capitals.
    fs::write(path.join("g.MD"), "old").unwrap();
    assert_eq!(output(path, &["simplify", "lion-found", "--derivation", "g.MD"]), text);
    assert_eq!(fs::read_to_string(path.join("g.MD")).unwrap(), text);
}

#[test]
fn what_is_left_is_a_program_that_diff_knows() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    for (name, statements) in [("lion-raw", 21), ("lion-found", 12)] {
        output(path, &["simplify", name, "-o", "out.opt"]);
        let text = fs::read_to_string(path.join("out.opt")).unwrap();
        let doc = format!(
            "\"\"\"{}, simplified from {statements} statements to 9: equal",
            name.replace('-', "_")
        );
        assert!(text.starts_with(&doc), "{text}");
        let inspection = json(path, &["inspect", "out.opt", "--json"]);
        assert_eq!(inspection["hash"], json(path, &["simplify", name, "--json"])["hash"]);
        let diff = output(path, &["diff", "out.opt", "lion"]);
        assert!(diff.contains("equal up to hyperparameters: "), "{diff}");
        assert!(diff.contains("arcsin(clip(g, lr))"), "{diff}");
        let diff = output(path, &["diff", "out.opt", name]);
        assert!(diff.contains("equal"), "{diff}");
        // A simple program stays as it is.
        let again = json(path, &["simplify", "out.opt", "--json"]);
        assert_eq!(again["hash"], inspection["hash"], "{}", again["result"]);
        assert_eq!(again["statements_after"], 9);
    }
    // Nothing to simplify: the text comes out as it was.
    output(path, &["simplify", "lion", "-o", "lion.opt"]);
    let diff = output(path, &["diff", "lion.opt", "lion"]);
    assert!(diff.contains("are equal: they compute the same bits"), "{diff}");
    let text = fs::read_to_string(path.join("lion.opt")).unwrap();
    assert!(
        text.starts_with("\"\"\"Lion: the sign of a blend of gradient and momentum.\n")
            && !text.contains("simplified"),
        "{text}"
    );
    for part in [
        "def lion(w, g, m, lr=0.0001, *, beta1=0.9, beta2=0.99, weight_decay=0.0):\n",
        "  decay = w * weight_decay\n",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert!(output(path, &["simplify", "lion"]).contains("Nothing to simplify."));
}

#[test]
fn diff_sees_lion_in_the_raw_program() {
    let here = std::env::temp_dir();
    let text = output(&here, &["diff", "lion-raw", "lion"]);
    let line = text
        .lines()
        .find(|line| line.starts_with("equal up to hyperparameters: lion-raw = lion with "))
        .expect("what they have to do");
    for part in [
        "beta1 = 0.9,",
        "beta2 = 0.99822,",
        "weight_decay = 0.460198,",
        "lr = 0.000217176",
        "arcsin(clip(g, lr))",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    let found = json(&here, &["diff", "lion-raw", "lion", "--json"]);
    let relation = &found["comparison"]["relation"]["up_to_hyperparameters"];
    assert_eq!(relation["general"], "right");
    let value = |name: &str| {
        let rows = relation["assignment"].as_array().unwrap().iter();
        rows.filter(|row| row["of"]["hyperparameter"] == name)
            .map(|row| row["value"].as_f64().unwrap())
            .collect::<Vec<_>>()
    };
    let close = |name: &str, wanted: f64| {
        let found = value(name);
        assert!(found.len() == 1 && (found[0] / wanted - 1.0).abs() < 1e-9, "{name}: {found:?}");
    };
    close("beta1", 0.8999999761581421);
    close("beta2", 0.8999999761581421 * 1.109133005142212);
    close("weight_decay", 0.4601978361606598);
}

#[test]
fn the_label_bounds_the_steps() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("sign.opt"), SIGN).unwrap();
    let order = |label: &Value| {
        ["exact", "real", "domain"].iter().position(|name| label == *name).expect("a label")
    };
    for (name, expected) in [("sign.opt", [5, 4, 3]), ("lion-raw", [12, 10, 9])] {
        for (index, (label, statements)) in
            ["exact", "real", "domain"].iter().zip(expected).enumerate()
        {
            let found = json(path, &["simplify", name, "--label", label, "--json"]);
            assert_eq!(found["statements_after"], statements, "{name} {label}");
            assert!(order(&found["label"]) <= index, "{name} {label}");
            assert!(
                found["derivation"]["steps"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|step| order(&step["label"]) <= index)
            );
        }
    }
}

#[test]
fn programs_come_from_the_standard_input_too() {
    let directory = tempfile::tempdir().unwrap();
    let Ended { code, stdout, stderr } =
        piped(directory.path(), &["simplify", "-", "-o", "out.opt"], SIGN);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout.starts_with("# p: from 5 statements to 3\n"), "{stdout}");
    let text = fs::read_to_string(directory.path().join("out.opt")).unwrap();
    assert!(
        text.contains(
            "def p(w, g, m, lr, *, beta=0.9):\n  m = interp(g, m, beta)\n  update = sign(m)\n"
        ),
        "{text}"
    );
}

#[test]
fn ablation_leaves_out_what_makes_no_difference_on_the_tasks() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let ablate = ["simplify", "lion-found", "--ablate", "--suite", "smoke", "--seeds", "2"];
    let found =
        json(path, &[&ablate[..], &["--json", "-o", "out.opt", "--derivation", "f.md"]].concat());
    let steps = found["derivation"]["steps"].as_array().unwrap();
    let tried: Vec<&Value> =
        steps.iter().filter(|step| step["support"]["trials"].is_array()).collect();
    assert!(!tried.is_empty(), "{}", found["result"]);
    for step in &tried {
        assert_eq!(step["label"], "fitness");
        let trials = step["support"]["trials"].as_array().unwrap();
        assert_eq!(trials.iter().filter(|trial| trial["kept"] == true).count(), 1, "{trials:?}");
        assert!(trials.iter().all(|trial| !trial["change"].as_str().unwrap().is_empty()));
    }
    let mut last = &found["derivation"]["original"];
    for step in steps {
        assert_eq!(&step["before"], last);
        last = &step["after"];
    }
    assert_eq!((&found["label"], &found["result"]), (&"fitness".into(), last));
    assert!(found["statements_after"].as_u64().unwrap() <= 9);
    let text = fs::read_to_string(path.join("f.md")).unwrap();
    assert!(
        text.contains(
            "| change | fitness | with the change | difference | standard error | kept |"
        ),
        "{text}"
    );
    let program = fs::read_to_string(path.join("out.opt")).unwrap();
    assert!(
        program.starts_with("\"\"\"lion_found, simplified from 12 statements to "),
        "{program}"
    );
    assert!(program.contains("the label `fitness`"), "{program}");
    assert_eq!(json(path, &["inspect", "out.opt", "--json"])["hash"], found["hash"]);
    // The same each time, on as many threads as there are.
    assert_eq!(json(path, &[&ablate[..], &["--json"]].concat()), found);
    // A tolerance below zero asks for a gain: nearly nothing passes, and the program is no shorter
    // than by the other tolerance.
    let strict = json(
        path,
        &[&ablate[..], &["--json", "--tolerance", "-0.5", "--confidence", "0.99"]].concat(),
    );
    assert!(
        strict["statements_after"].as_u64() >= found["statements_after"].as_u64(),
        "{}",
        strict["result"]
    );
}

#[test]
fn bad_input_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(
        path.join("bad.opt"),
        "def p(w, g, lr):\n  update = interq(g, lr)\n  return update\n",
    )
    .unwrap();
    fs::create_dir(path.join("folder.md")).unwrap();
    let before = tree(path);
    let cases: &[(&[&str], &str)] = &[
        (&["simplify"], "PROGRAM"),
        (&["simplify", "lino"], "did you mean lion?"),
        (&["simplify", "bad.opt"], "interq"),
        (&["simplify", "missing.opt"], "missing.opt"),
        (&["simplify", "."], "a directory, not a program"),
        (&["simplify", "lion", "--label", "strong"], "[possible values: exact, real, domain]"),
        (&["simplify", "lion", "--label", "fitness"], "[possible values: exact, real, domain]"),
        (&["simplify", "lion", "--derivation", "f.txt"], "must end with .md (to be read) or .json"),
        (&["simplify", "lion", "--derivation", "f"], "must end with .md (to be read) or .json"),
        (&["simplify", "lion", "--derivation", "nowhere/f.md"], "can't write `nowhere/f.md`"),
        (&["simplify", "lion", "--derivation", "folder.md"], "can't write `folder.md`"),
        (&["simplify", "lion", "-o", "nowhere/out.opt"], "can't write `nowhere/out.opt`"),
        (&["simplify", "lion", "--output", "folder.md"], "can't write `folder.md`"),
        (&["simplify", "lion", "--seeds", "2"], "--ablate"),
        (&["simplify", "lion", "--suite", "smoke"], "--ablate"),
        (&["simplify", "lion", "--tolerance", "0.1"], "--ablate"),
        (&["simplify", "lion", "--confidence", "0.9"], "--ablate"),
        (&["simplify", "lion", "--ablate", "--suite", "smok"], "smok"),
        (&["simplify", "lion", "--ablate", "--suite", "smoke", "--seeds", "1"], "from 2 to 1000"),
        (&["simplify", "lion", "--ablate", "--suite", "smoke", "--seeds", "x"], "from 2 to 1000"),
        (
            &["simplify", "lion", "--ablate", "--suite", "smoke", "--tolerance", "x"],
            "expected a share, such as 0.02 for two percent",
        ),
        (
            &["simplify", "lion", "--ablate", "--suite", "smoke", "--tolerance", "nan"],
            "expected a share, such as 0.02 for two percent",
        ),
        (
            &["simplify", "lion", "--ablate", "--suite", "smoke", "--confidence", "1"],
            "from 0.5 to below 1",
        ),
        (
            &["simplify", "lion", "--ablate", "--suite", "smoke", "--confidence", "-1"],
            "from 0.5 to below 1",
        ),
    ];
    for (arguments, expected) in cases {
        let Ended { code, stdout, stderr } = run(path, arguments);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
        assert!(!stderr.contains("panicked"), "{arguments:?}: {stderr}");
    }
    let Ended { code, stdout, stderr } =
        piped(path, &["simplify", "-"], "def p(w, g, lr):\n  update = g *\n  return update\n");
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    assert!(stderr.contains("2"), "{stderr}");
    assert_eq!(tree(path), before);
}
