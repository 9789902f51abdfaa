//! The conformance suite: programs, inputs, and what the reference interpreter makes of them, for
//! every engine and every export alike.
//!
//! | module | what it holds |
//! |---|---|
//! | [`case`] | the inputs: weights, gradients of 50 steps, learning rates |
//! | [`subject`], [`suite`] | a program under a suite; programs and cases |
//! | [`mixed`] | programs that mix the sizes and kinds of operands |
//! | [`random`] | random valid programs |
//! | [`expected`] | a program's weights and slots after a case, by the reference in f32 and in f64 |
//! | [`engines`] | the engines of this library under the suite |
//! | [`exports`] | exported files under the suite, run by `python/run.py` |
//! | [`finding`], [`report`] | what came of a case; a table program × engine |
//! | [`tolerance`] | how far an engine may be from the reference |
//!
//! The suite lies as data in `python/` (`inputs.json` and `expected/PROGRAM.json`), so that engines
//! in other languages can run it; a test keeps the files equal to what this module makes. Every
//! number is the hexadecimal bit pattern of a float, most significant digit first, and an array is
//! the patterns one after another.

pub mod case;
pub mod engines;
pub mod expected;
pub mod exports;
pub mod finding;
pub mod mixed;
pub mod random;
pub mod report;
pub mod subject;
pub mod suite;
pub mod tolerance;

use std::collections::BTreeMap;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use symopt_export::Target;

use case::Case;
use engines::Engine;
use expected::Outcome;
use exports::{ConformanceError, Exports};
use finding::{Distance, Finding, Measured};
use report::Report;
use subject::Subject;
use suite::Suite;

/// Runs the suite: the library's engines, and exports in a Python. `say` hears what is being run.
pub fn measure(
    suite: &Suite,
    exports: &Exports,
    mut say: impl FnMut(&str),
) -> Result<Report, ConformanceError> {
    let Suite { subjects, cases, .. } = suite;
    let mut report = Report::default();
    for engine in Engine::ALL {
        say(engine.name());
        for subject in subjects {
            let failed = |error: symopt_evaluator::OptimizerError| ConformanceError::Program {
                program: subject.name.clone(),
                reason: error.to_string(),
            };
            let program = &subject.program;
            for case in cases.iter().filter(|case| subject.takes(case)) {
                let Some(mut optimizer) =
                    engine.optimizer(subject, &engines::layout(case)).map_err(failed)?
                else {
                    continue;
                };
                let single = expected::outcome::<f32>(program, case).map_err(failed)?;
                let double = expected::outcome::<f64>(subject.in_f64(), case).map_err(failed)?;
                let found = engines::outcome(&mut optimizer, program, case).map_err(failed)?;
                report.findings.push(Finding {
                    engine: engine.name().to_owned(),
                    version: String::new(),
                    program: subject.name.clone(),
                    case: case.name.to_owned(),
                    peer: None,
                    scalars: None,
                    result: Measured::Distance(distance(&found, &single, &double)),
                });
            }
        }
    }
    let scratch;
    let directory = match exports.keep {
        Some(directory) => directory,
        None => {
            scratch = tempfile::tempdir()
                .map_err(|source| ConformanceError::File { path: std::env::temp_dir(), source })?;
            scratch.path()
        }
    };
    exports::write_suite(directory, subjects, cases)?;
    exports::write_scripts(directory)?;
    if !exports.targets.is_empty() {
        say(&exports.targets.iter().map(|target| target.name()).collect::<Vec<&str>>().join(", "));
    }
    let run = |target: &Target| exports::run(directory, exports, *target, subjects);
    for Report { findings, peers, refusals } in
        exports.targets.par_iter().map(run).collect::<Result<Vec<Report>, _>>()?
    {
        report.findings.extend(findings);
        report.peers.extend(peers);
        report.refusals.extend(refusals);
    }
    measure_scalars(suite, &mut report)?;
    Ok(report)
}

/// Says, of what engines with scalars in f32 have found, how far the reference goes from itself
/// with such scalars.
fn measure_scalars(
    Suite { subjects, cases, .. }: &Suite,
    report: &mut Report,
) -> Result<(), ConformanceError> {
    let mut known: BTreeMap<(String, String), Option<Distance>> = BTreeMap::new();
    for finding in
        report.findings.iter_mut().filter(|finding| tolerance::scalars_in_f32(&finding.engine))
    {
        let key = (finding.program.clone(), finding.case.clone());
        if !known.contains_key(&key) {
            let subject = subjects.iter().find(|subject| subject.name == finding.program);
            let case = cases.iter().find(|case| case.name == finding.case);
            let distance = match subject.zip(case) {
                Some((subject, case)) => {
                    Some(scalars(subject, case).map_err(|error| ConformanceError::Program {
                        program: subject.name.clone(),
                        reason: error.to_string(),
                    })?)
                }
                None => None,
            };
            known.insert(key.clone(), distance);
        }
        finding.scalars = known.get(&key).copied().flatten();
    }
    Ok(())
}

/// How far the reference goes from itself where its scalars are f32.
fn scalars(subject: &Subject, case: &Case) -> Result<Distance, symopt_evaluator::OptimizerError> {
    let single = expected::outcome::<f32>(&subject.program, case)?;
    let double = expected::outcome::<f64>(subject.in_f64(), case)?;
    Ok(distance(&expected::outcome_with_scalars_in_f32(&subject.program, case)?, &single, &double))
}

/// The distance of an outcome from the references in f32 and f64.
fn distance(found: &Outcome<f32>, single: &Outcome<f32>, double: &Outcome<f64>) -> Distance {
    let mut distance = Distance { deviation: 0.0, gap: 0.0, mismatches: 0, same_bits: true };
    let mut take = |found: &[Vec<f32>], single: &[Vec<f32>], double: &[Vec<f64>]| {
        let wide =
            |arrays: &[Vec<f32>]| arrays.concat().into_iter().map(f64::from).collect::<Vec<f64>>();
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
