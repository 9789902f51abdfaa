//! The conformance suite: programs, inputs, and what the reference interpreter makes of them, for every engine and every export alike.
//!
//! | module | what it holds |
//! |---|---|
//! | [`case`] | the inputs: weights, gradients of 50 steps, learning rates |
//! | [`expected`] | a program's weights and slots after a case, by the reference in f32 and in f64 |
//! | [`engines`] | the engines of this library under the suite |
//! | [`exports`] | exported files under the suite, run by `conformance/run.py` |
//! | [`report`] | a table program × engine |
//!
//! The suite lies as data in `conformance/` (`inputs.json` and `expected/PROGRAM.json`), so that engines in other languages can run it; a test
//! keeps the files equal to what this module makes. Every number is the hexadecimal bit pattern of a float, most significant digit first, and an
//! array is the patterns one after another.

pub mod case;
pub mod engines;
pub mod expected;
pub mod exports;
pub mod report;

use std::path::Path;

use symopt_dsl::codegen::Target;

use crate::ZooEntry;
use engines::Engine;
use expected::Outcome;
use exports::ConformanceError;
use report::{Bound, Distance, Finding, Measured, Report, Tolerance};

/// What some libraries do with denormal numbers: signs of what is left tell, and so do sums of squares that fall below 1e-38.
const FLUSHES: (&str, &str) = ("extremes", "denormal numbers are taken as zero");

/// What PyTorch makes of the sign of NaN.
const SIGN_OF_NAN: (&str, &str) = ("not-finite", "the sign of NaN is 0");

/// How far an engine may be from the reference: see [`Tolerance`]. What is not named here has to equal it bit for bit.
///
/// The bounds follow from the orders of rounding. NumPy, PyTorch (eager), Rust and C do each operation of the program by itself, so programs of
/// sums, products, quotients and square roots have the reference's bits there but for PyTorch's square root; exponentials, powers and
/// trigonometric functions are the library's, a unit in the last place or two away, which fifty steps carry on. JAX computes scalars in f32 where
/// they depend on the step or on sums, and compiled code contracts products and sums. What that makes of a program is bounded by how much
/// roundings matter in it at all: the distance of the references in f32 and in f64.
pub fn tolerance(engine: &str) -> Tolerance {
    let rounded = |roundings: f64, gaps: f64| Bound::Rounded { roundings, gaps };
    let target = engine.split(' ').next().unwrap_or_default();
    match (target, engine) {
        ("numpy" | "c" | "rust", _) => Tolerance { bound: rounded(8.0, 4.0), exceptions: &[] },
        ("pytorch", _) => Tolerance { bound: rounded(16.0, 4.0), exceptions: &[SIGN_OF_NAN] },
        (_, "keras torch") => Tolerance { bound: rounded(64.0, 8.0), exceptions: &[SIGN_OF_NAN] },
        ("optax" | "praxis" | "keras" | "tf2" | "tf1", _) => Tolerance { bound: rounded(64.0, 8.0), exceptions: &[FLUSHES] },
        _ => Tolerance::BITS,
    }
}

/// Runs the suite: the library's engines, and the exports to targets in a Python. `keep` is where the suite and the exported files are left, if
/// they are to be. `say` hears what is being run.
pub fn measure(
    entries: &[&ZooEntry],
    targets: &[Target],
    python: &str,
    keep: Option<&Path>,
    mut say: impl FnMut(&str),
) -> Result<Report, ConformanceError> {
    let cases = case::cases();
    let mut report = Report::default();
    for engine in Engine::ALL {
        say(engine.name());
        for entry in entries {
            let failed = |error: symopt_evaluator::OptimizerError| ConformanceError::Program {
                program: entry.name.to_owned(),
                reason: error.to_string(),
            };
            let program = entry.program();
            for case in &cases {
                let single = expected::outcome::<f32>(&program, case).map_err(failed)?;
                let double = expected::outcome::<f64>(&program, case).map_err(failed)?;
                let mut optimizer = engine.optimizer(entry, &program, &engines::layout()).map_err(failed)?;
                let found = engines::outcome(&mut optimizer, &program, case).map_err(failed)?;
                report.findings.push(Finding {
                    engine: engine.name().to_owned(),
                    version: String::new(),
                    program: entry.name.to_owned(),
                    case: case.name.to_owned(),
                    result: Measured::Distance(distance(&found, &single, &double)),
                });
            }
        }
    }
    let scratch;
    let directory = match keep {
        Some(directory) => directory,
        None => {
            scratch = tempfile::tempdir().map_err(|source| ConformanceError::File { path: std::env::temp_dir(), source })?;
            scratch.path()
        }
    };
    exports::write_suite(directory, entries, &cases)?;
    for target in targets {
        say(target.name());
        exports::run(directory, python, *target, entries, &mut report)?;
    }
    Ok(report)
}

/// The distance of an outcome from the references in f32 and f64.
fn distance(found: &Outcome<f32>, single: &Outcome<f32>, double: &Outcome<f64>) -> Distance {
    let mut distance = Distance { deviation: 0.0, gap: 0.0, mismatches: 0, same_bits: true };
    let mut take = |found: &[Vec<f32>], single: &[Vec<f32>], double: &[Vec<f64>]| {
        let wide = |arrays: &[Vec<f32>]| arrays.concat().into_iter().map(f64::from).collect::<Vec<f64>>();
        let (found, single, double) = (wide(found), wide(single), double.concat());
        distance.deviation = distance.deviation.max(share(&found, &single));
        distance.gap = distance.gap.max(share(&single, &double));
        for (x, y) in found.iter().zip(&single) {
            let same = x.to_bits() == y.to_bits() || (x.is_nan() && y.is_nan());
            distance.same_bits &= same;
            distance.mismatches += usize::from(!(same || x.is_finite() && y.is_finite()));
        }
    };
    take(&found.weights, &single.weights, &double.weights);
    for (name, slot) in &single.slots {
        if let (Some(found), Some(double)) = (found.slots.get(name), double.slots.get(name)) {
            take(found, slot, double);
        }
    }
    distance
}

/// The largest distance over the largest magnitude of what is expected.
fn share(found: &[f64], expected: &[f64]) -> f64 {
    let finite = |x: &&f64| x.is_finite();
    let scale = expected.iter().filter(finite).fold(0.0_f64, |scale, x| scale.max(x.abs()));
    let pairs = found.iter().zip(expected).filter(|(x, y)| x.is_finite() && y.is_finite());
    let largest = pairs.fold(0.0_f64, |largest, (x, y)| largest.max((x - y).abs()));
    if scale > 0.0 { largest / scale } else { largest }
}
