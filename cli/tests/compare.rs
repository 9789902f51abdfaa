//! `symopt diff` and `symopt identify`.

mod common;

use std::fs;

use common::{Ended, output, run, run_with, symopt};
use serde_json::Value;

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&output(&std::env::temp_dir(), arguments)).expect("JSON")
}

#[test]
fn diff_shows_both_texts_and_says_what_they_have_to_do_with_each_other() {
    let directory = tempfile::tempdir().unwrap();
    for (name, left, right) in [
        ("hyperparameters", "lion", "signum"),
        ("slots", "momentum", "qhm"),
        ("different", "adagrad", "rmsprop"),
    ] {
        let text = output(directory.path(), &["diff", left, right]);
        assert!(text.lines().all(|line| line.chars().count() <= 160), "{text}");
        insta::assert_snapshot!(format!("diff_{name}"), text);
    }
    // In JSON: the same, with all digits.
    let found = json(&["diff", "momentum", "qhm", "--json"]);
    let relation = &found["comparison"]["relation"]["up_to_slot_scale"];
    assert_eq!(
        (&relation["general"], &relation["scales"][0]["factor"]),
        (&"right".into(), &0.1.into())
    );
    assert_eq!(relation["assignment"][1]["of"]["hyperparameter"], "nu");
    assert!(
        found["summary"]
            .as_str()
            .unwrap()
            .starts_with("equal up to a slot rescaling: momentum = qhm with ")
    );
    for side in ["left", "right"] {
        assert!(
            found[side]["text"].as_str().unwrap().starts_with("def ")
                && found[side]["hash"].as_str().unwrap().len() == 32
        );
    }
}

#[test]
fn the_columns_hold_every_line_of_both_texts() {
    let text = output(&std::env::temp_dir(), &["diff", "lion", "adamw"]);
    let (table, _) = text.split_once("\n\n").expect("a table, then words");
    let squeezed = |text: &str| text.split_whitespace().collect::<String>();
    // The mark between the columns stands at the same place in each row.
    let column = (100 - 3) / 2;
    let side = |take: &dyn Fn(&[char]) -> String| -> String {
        table
            .lines()
            .skip(2)
            .map(|line| take(&line.chars().collect::<Vec<char>>()))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let left = side(&|line| line.iter().take(column).collect());
    let right = side(&|line| line.iter().skip(column + 3).collect());
    for (text, name) in [(left, "lion"), (right, "adamw")] {
        let whole =
            json(&["diff", name, "sgd", "--json"])["left"]["text"].as_str().unwrap().to_owned();
        assert_eq!(squeezed(&text), squeezed(&whole), "{name}");
    }
    for line in table.lines().skip(2) {
        let mark = line.chars().nth(column + 1).unwrap_or(' ');
        assert!(" |<>".contains(mark), "{mark}: {line}");
    }
}

#[test]
fn diff_takes_files_and_the_standard_input_and_ends_with_0_whatever_it_finds() {
    let directory = tempfile::tempdir().unwrap();
    let lion = "def p(w, g, m, lr):\n  c = interp(g, m, 0.9)\n  m = interp(g, m, 0.99)\n  return sign(c) * (lr * 0.0001), m\n";
    let lion = lion.replace(
        "  return sign(c) * (lr * 0.0001), m",
        "  update = sign(c) * (lr * 0.0001)\n  return update, m",
    );
    fs::write(directory.path().join("a.opt"), &lion).unwrap();
    let mut command = symopt(directory.path());
    command.args(["diff", "a.opt", "-"]);
    let Ended { code, stdout, stderr } =
        run_with(command, lion.replace("0.99)", "0.95)").as_bytes());
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    // Two programs of one name go by what was typed.
    assert!(
        stdout.contains(
            "\n\nequal up to hyperparameters: a.opt = - with 0.99 for 0.95 (bit for bit)\n"
        ),
        "{stdout}"
    );
    let text = output(directory.path(), &["diff", "a.opt", "a.opt"]);
    assert!(
        text.contains("\n\na.opt (left) and a.opt (right) are equal: they compute the same bits\n"),
        "{text}"
    );
    let text = output(directory.path(), &["diff", "a.opt", "lion"]);
    assert!(
        text.contains("p = lion with beta1 = 0.9, beta2 = 0.99, weight_decay = 0, lr = 0.0001 (over the reals; rounding differs)\n"),
        "{text}"
    );
}

#[test]
fn identify_names_the_nearest_programs_of_the_zoo() {
    let here = std::env::temp_dir();
    let text = output(&here, &["identify", "signum"]);
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    insta::assert_snapshot!("identify_signum", text);
    insta::assert_snapshot!("identify_sgd", output(&here, &["identify", "sgd", "--count", "6"]));
    let report = json(&["identify", "adam", "--json", "--count", "2"]);
    assert_eq!(report["program"], "adam");
    let rows = report["nearest"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (&rows[0]["name"], &rows[0]["relation"], &rows[0]["what_differs"]),
        (&"adam".into(), &"equal".into(), &"".into())
    );
    assert_eq!(rows[1]["what_differs"], "adam = adamw with weight_decay = 0");
    let all = json(&["identify", "adam", "--json", "--count", "1000"]);
    assert_eq!(
        all["nearest"].as_array().unwrap().len(),
        json(&["programs", "--json"]).as_array().unwrap().len()
    );
}

#[test]
fn identify_tells_the_structure() {
    let here = std::env::temp_dir();
    let cases = [
        (
            "lion",
            "Lion-like by probes (beta of the stored average 0.990, current gradient 11.0 times its tail) and by form",
        ),
        (
            "adamw",
            "AdamW-like by probes (beta of the stored average 0.900, current gradient 1.0 times its tail) and by form",
        ),
        ("signsgd", "other by probes and by form"),
        ("sgd", "other by probes, no known form"),
    ];
    for (program, expected) in cases {
        let text = output(&here, &["identify", program, "--count", "1"]);
        assert_eq!(text.lines().next(), Some(format!("structure: {expected}").as_str()));
    }
    // Where it is none of them, it says why, and what it is.
    let text = output(&here, &["identify", "signsgd", "--count", "1"]);
    assert!(
        text.contains("\n  its signs are those of the current gradient: there is no stored average to speak of\n")
            && text.contains("\n  by form: it = lion with beta1 = 0\n"),
        "{text}"
    );
    let structure = &json(&["identify", "lion-raw", "--json"])["structure"];
    assert_eq!(
        (&structure["by_probes"], &structure["by_form"]),
        (&"lion-like".into(), &"lion-like".into())
    );
    assert!((structure["probes"]["blend"]["beta"].as_f64().unwrap() - 0.998).abs() < 1e-3);
    assert!(
        structure["reasons"]
            .as_array()
            .unwrap()
            .iter()
            .any(|reason| reason.as_str().unwrap().starts_with("sign-like"))
    );
}

#[test]
fn bad_input_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(
        directory.path().join("bad.opt"),
        "def p(w, g, lr):\n  update = interq(g, lr)\n  return update\n",
    )
    .unwrap();
    let cases: [(&[&str], &str); 8] = [
        (&["diff", "lion"], "RIGHT"),
        (&["diff", "lion", "lino"], "did you mean lion?"),
        (&["diff", "bad.opt", "lion"], "interq"),
        (&["diff", "lion", "bad.opt"], "interq"),
        (&["diff", "-", "-"], "only one of the two programs can come from the standard input"),
        (&["identify", "bad.opt"], "interq"),
        (&["identify", "lion", "--count", "0"], "expected a whole number from 1 to 1000"),
        (&["identify", "."], "a directory, not a program"),
    ];
    for (arguments, expected) in cases {
        let Ended { code, stdout, stderr } = run(directory.path(), arguments);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
    }
}
