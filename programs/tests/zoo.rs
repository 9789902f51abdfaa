//! Properties that every program in the zoo must have, and facts about some of them that are known
//! from the paper.

use std::collections::BTreeMap;

use symopt_dsl::graph::Redundancy;
use symopt_dsl::{Graph, Numerics, parse};
use symopt_programs::{find, nearest, zoo};

fn graph(name: &str) -> Graph {
    Graph::new(&find(name).expect("in the zoo").program()).expect("it types")
}

#[test]
fn every_file_of_the_zoo_is_listed_and_its_function_is_named_after_it() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/zoo");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .expect("the zoo's folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .path()
                .file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    files.sort();
    let mut names: Vec<&str> = zoo().iter().map(|entry| entry.name).collect();
    names.sort_unstable();
    assert_eq!(files, names);
    for entry in zoo() {
        assert_eq!(entry.program().signature().name, entry.name.replace('-', "_"));
    }
}

#[test]
fn every_program_states_its_source_and_equation_and_the_summary_is_the_first_line() {
    for entry in zoo() {
        let program = entry.program();
        let doc = program
            .signature()
            .doc
            .as_deref()
            .unwrap_or_else(|| panic!("{} has no doc string", entry.name));
        assert_eq!(doc.trim_start().lines().next(), Some(entry.summary()), "{}", entry.name);
        assert!(
            entry.summary().ends_with('.') && entry.summary().len() <= 120,
            "{}: {}",
            entry.name,
            entry.summary()
        );
        assert!(
            doc.contains("w = w - ") || doc.contains("w -= "),
            "{} does not state its equation",
            entry.name
        );
        let year = (1900..2100).any(|year| doc.contains(&year.to_string()));
        assert!(year, "{} does not state its source", entry.name);
    }
}

#[test]
fn printing_and_parsing_a_zoo_program_gives_the_program_again() {
    for entry in zoo() {
        let program = entry.program();
        let text = program.to_string();
        let again =
            parse(&text).unwrap_or_else(|faults| panic!("{}: {faults}\n{text}", entry.name));
        assert_eq!(again, program, "{}\n{text}", entry.name);
        assert_eq!(again.to_string(), text, "{}", entry.name);
    }
}

#[test]
fn no_two_programs_of_the_zoo_compute_the_same() {
    let mut names = BTreeMap::new();
    for entry in zoo() {
        if let Some(other) = names.insert(graph(entry.name).hash(), entry.name) {
            panic!("{other} and {} have one functional hash", entry.name);
        }
    }
}

#[test]
fn the_published_programs_are_guarded_and_hold_their_learning_rate_and_the_others_state_theirs() {
    for entry in zoo() {
        let program = entry.program();
        let guarded = entry.name.starts_with("published-")
            || ["lion-raw", "lion-found"].contains(&entry.name);
        assert_eq!(program.signature().numerics == Numerics::Guarded, guarded, "{}", entry.name);
        let holds_its_own = guarded || entry.name == "adamw-paper";
        let lr = program
            .signature()
            .learning_rate()
            .unwrap_or_else(|| panic!("{} takes no lr", entry.name));
        assert_eq!(
            program.signature().parameters[lr.index()].default.is_none(),
            holds_its_own,
            "{}",
            entry.name
        );
    }
}

#[test]
fn nine_of_the_21_statements_of_raw_lion_are_redundant_and_its_first_slot_is_dead() {
    let graph = graph("lion-raw");
    let indices = |kind| (0..21).filter(|i| graph.redundancy()[*i] == kind).collect::<Vec<usize>>();
    assert_eq!(graph.redundancy().len(), 21);
    assert_eq!(indices(Redundancy::Live), [0, 5, 6, 7, 8, 10, 11, 12, 13, 14, 16, 19]);
    // m = cosh(update): returned, but the next step overwrites it before it reads it.
    assert_eq!(indices(Redundancy::AcrossSteps), [17]);
    assert_eq!(indices(Redundancy::WithinStep), [1, 2, 3, 4, 9, 15, 18, 20]);
    assert_eq!(graph.slots().iter().map(Option::is_some).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn of_found_lion_only_the_cosh_is_redundant() {
    let graph = graph("lion-found");
    let redundant: Vec<usize> =
        (0..12).filter(|i| graph.redundancy()[*i] != Redundancy::Live).collect();
    assert_eq!(redundant, [10]);
    assert_eq!(graph.redundancy()[10], Redundancy::AcrossSteps);
    assert_eq!(graph.slots().iter().map(Option::is_some).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn programs_that_are_not_raw_have_only_live_statements_and_slots() {
    for entry in zoo().iter().filter(|entry| !["lion-raw", "lion-found"].contains(&entry.name)) {
        let graph = graph(entry.name);
        assert_eq!(graph.live_statements(), entry.program().statements.len(), "{}", entry.name);
        assert!(graph.slots().iter().all(Option::is_some), "{}", entry.name);
    }
}

#[test]
fn lion_keeps_half_of_adamws_state() {
    assert_eq!(graph("lion").cost().state_bytes_per_parameter, 4);
    assert_eq!(graph("adamw").cost().state_bytes_per_parameter, 8);
}

#[test]
fn programs_are_found_by_name_and_by_function_and_misspelled_ones_are_suggested() {
    assert_eq!(find("adamw-paper").map(|entry| entry.name), Some("adamw-paper"));
    assert_eq!(find("adamw_paper").map(|entry| entry.name), Some("adamw-paper"));
    assert!(find("").is_none() && find("Lion").is_none());
    for (misspelled, meant) in [
        ("Lion", "lion"),
        ("loin", "lion"),
        ("adamW", "adamw"),
        ("nesterow", "nesterov"),
        ("rms-prop", "rmsprop"),
    ] {
        assert_eq!(nearest(misspelled), Some(meant));
    }
    assert_eq!(nearest("shampoo"), None);
    assert_eq!(nearest(""), None);
    assert_eq!(nearest(&"lion".repeat(100_000)), None);
}
