//! Replays what fuzzing has found: inputs of the fuzz target `checks/fuzz/fuzz_targets/engines.rs`,
//! through the same decoding and the same check.
//!
//! `checks/fuzz/regressions/engines` holds inputs that told an engine with a fault from the
//! reference, each named after the fault. Most of the faults were put in on purpose, to see that
//! fuzzing finds them; those of shared slots were real.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use symopt_dsl::Graph;
use symopt_dsl::graph::NodeKind;
use symopt_testing::case::{Case, FUZZ};

/// The inputs in a folder of `checks/fuzz/`, by name.
fn inputs(folder: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(FUZZ).join(folder);
    let entries =
        std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.expect("the folder can be read").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    paths
        .into_iter()
        .map(|path| {
            (
                path.clone(),
                std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
            )
        })
        .collect()
}

/// Gives the shares of the weights that are not NaN in the end, one for each input.
fn assert_the_engines_agree(folder: &str) -> Vec<f64> {
    let mut shares = Vec::new();
    let mut failures = Vec::new();
    for (path, bytes) in inputs(folder) {
        let case = Case::decode(&bytes);
        // A panic in an engine says nothing about the program that it ran.
        let result = catch_unwind(AssertUnwindSafe(|| case.check()))
            .unwrap_or_else(|_| Err(format!("panicked on\n{case}")));
        match result {
            Ok(share) => shares.push(share),
            Err(failure) => failures.push(format!("{}: {failure}", path.display())),
        }
    }
    assert!(failures.is_empty(), "{} inputs:\n{}", failures.len(), failures.join("\n"));
    shares
}

#[test]
fn what_once_told_a_faulty_engine_from_the_reference_no_longer_does() {
    assert_the_engines_agree("regressions/engines");
}

#[test]
fn the_engines_agree_on_the_corpus_of_the_fuzzer() {
    let shares = assert_the_engines_agree("corpus/engines");
    // All NaN are alike, so a comparison of NaN says little.
    let compared = shares.iter().filter(|share| **share > 0.5).count();
    assert!(
        2 * compared >= shares.len(),
        "only {compared} of {} inputs leave numbers to compare",
        shares.len()
    );
}

#[test]
fn the_corpus_reaches_every_function_of_the_table() {
    let mut live = BTreeSet::new();
    for (_, bytes) in inputs("corpus/engines") {
        let graph = Graph::new(Case::decode(&bytes).program()).expect("a decoded program types");
        live.extend(graph.nodes().iter().filter_map(|node| match node.kind {
            NodeKind::Call(function) => Some(function),
            _ => None,
        }));
    }
    use symopt_dsl::Function::{self, Copy, GetE, GetEps, GetPi, Greater, GreaterEqual};
    // Nullary functions are folded to constants, copies disappear, and of comparisons the smaller
    // side comes first.
    let gone = [GetPi, GetE, GetEps, Copy, Greater, GreaterEqual];
    let missed: Vec<_> = Function::fused()
        .filter(|function| !gone.contains(function) && !live.contains(function))
        .collect();
    assert!(missed.is_empty(), "live in no program of the corpus: {missed:?}");
}

#[test]
fn any_bytes_are_a_case_that_types_and_on_which_the_engines_agree() {
    let mut random = symopt_testing::random::Random(1);
    for length in 0..600 {
        let bytes: Vec<u8> = (0..length % 300).map(|_| random.bits() as u8).collect();
        let case = Case::decode(&bytes);
        case.check().unwrap_or_else(|difference| panic!("{bytes:?}: {difference}"));
    }
}
