//! The ranges of hyperparameters, which the exports check.

use std::fs;
use std::path::Path;

use symopt_dsl::range::ranges;
use symopt_dsl::{Graph, parse};

/// Each parameter that has a default with its range, as text.
fn told(text: &str) -> Vec<String> {
    let program = parse(text).unwrap_or_else(|faults| panic!("{faults}\n{text}"));
    let ranges = ranges(&program, &Graph::new(&program).expect("it types"));
    let parameters = program.signature().parameters.iter().zip(ranges);
    parameters
        .filter(|(parameter, _)| parameter.default.is_some() || parameter.name == "lr")
        .map(|(parameter, range)| {
            assert!(
                parameter.default.is_none_or(|default| range.contains(default)),
                "{} {range}",
                parameter.name
            );
            assert!(!range.contains(f64::NAN) && !range.contains(f64::INFINITY));
            format!("{} {range}", parameter.name)
        })
        .collect()
}

fn zoo() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../programs/zoo");
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("the zoo").map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    let text = |file: &Path| fs::read_to_string(file).expect("a text");
    files
        .iter()
        .map(|file| (file.file_stem().expect("a name").to_string_lossy().into_owned(), text(file)))
        .collect()
}

#[test]
fn the_ranges_of_the_zoo_are_those_that_the_published_implementations_check() {
    let all: Vec<String> =
        zoo().iter().map(|(name, text)| format!("{name}: {}", told(text).join("; "))).collect();
    insta::assert_snapshot!("ranges_of_the_zoo", all.join("\n"));
}

#[test]
fn a_default_outside_of_a_bound_lifts_it() {
    assert_eq!(
        told(
            "def f(w, g, m, lr, *, a=1.109):\n  m = interp(g, m, a)\n  update = m * lr\n  return update, m\n"
        )[1],
        "a finite and at least 0"
    );
    assert_eq!(
        told(
            "def f(w, g, lr, *, weight_decay=-0.1):\n  update = (g + w * weight_decay) * lr\n  return update\n"
        )[1],
        "weight_decay finite"
    );
}

#[test]
fn what_is_no_decay_and_no_epsilon_may_be_any_finite_number() {
    let text = "def f(w, g, m, lr, *, a=0.5, b=0.5, c=0.5):\n  m = m + g * a\n  update = (sin(m) + b + abs(g) + c) * lr\n  return update, m\n";
    assert_eq!(told(text), ["lr finite and at least 0", "a finite", "b finite", "c finite"]);
}
