//! Results of the reference interpreter on a case.

use std::collections::BTreeMap;

use ndarray::{ArrayD, IxDyn};
use serde::Serialize;
use symopt_dsl::Program;
use symopt_evaluator::math::Real;
use symopt_evaluator::{OptimizerError, Reference};

use super::case::Case;
use super::subject::Subject;

/// Weights and slots after the last step: for each parameter array its numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome<T> {
    /// The weights.
    pub weights: Vec<Vec<T>>,
    /// The slots that are live, by name.
    pub slots: BTreeMap<String, Vec<Vec<T>>>,
}

/// The outcome by the reference interpreter.
pub fn outcome<T: Real>(program: &Program, case: &Case) -> Result<Outcome<T>, OptimizerError> {
    outcome_of(program, case, |reference| reference)
}

/// The outcome by the reference interpreter in f32, with scalars in f32 too.
pub fn outcome_with_scalars_in_f32(
    program: &Program,
    case: &Case,
) -> Result<Outcome<f32>, OptimizerError> {
    outcome_of(program, case, Reference::with_scalars_in_f32)
}

fn outcome_of<T: Real>(
    program: &Program,
    case: &Case,
    variant: impl Fn(Reference<T>) -> Reference<T>,
) -> Result<Outcome<T>, OptimizerError> {
    let shapes: Vec<Vec<usize>> = case.shapes.iter().map(|shape| shape.to_vec()).collect();
    let arrays = |numbers: &[Vec<f32>]| -> Vec<ArrayD<T>> {
        let array = |(numbers, shape): (&Vec<f32>, &Vec<usize>)| {
            let mut array = ArrayD::from_elem(IxDyn(shape), T::from_f64(0.0));
            array
                .iter_mut()
                .zip(numbers)
                .for_each(|(place, number)| *place = T::from_f64(f64::from(*number)));
            array
        };
        numbers.iter().zip(&shapes).map(array).collect()
    };
    let mut reference = variant(Reference::<T>::new(program, &shapes)?);
    for (name, value) in case.hyperparameters(program) {
        reference.set(&name, value)?;
    }
    let mut weights = arrays(&case.weights);
    for (gradients, lr) in case.gradients.iter().zip(case.learning_rates(program)) {
        reference.step(&mut weights, &arrays(gradients), lr)?;
    }
    let numbers =
        |arrays: &[ArrayD<T>]| arrays.iter().map(|array| array.iter().copied().collect()).collect();
    let live = symopt_dsl::Graph::new(program)
        .map_err(|errors| OptimizerError::Type {
            program: program.signature().name.clone(),
            errors,
        })?
        .slots()
        .iter()
        .map(Option::is_some)
        .collect::<Vec<bool>>();
    let names = program.signature().slots().map(|slot| program.variable_name(slot).to_string());
    let slots = names
        .zip(reference.slots())
        .zip(live)
        .filter(|(_, live)| *live)
        .map(|((name, arrays), _)| (name, numbers(arrays)));
    Ok(Outcome { slots: slots.collect(), weights: numbers(&weights) })
}

/// `expected/PROGRAM.json`.
#[derive(Serialize)]
pub struct Expected {
    format: u32,
    program: String,
    hash: String,
    cases: Vec<ExpectedCase>,
}

#[derive(Serialize)]
struct ExpectedCase {
    case: String,
    /// The learning rate of each step; none for a program without.
    learning_rates: Option<Vec<f64>>,
    /// Hyperparameters that differ from the defaults.
    hyperparameters: BTreeMap<String, f64>,
    f32: Patterns,
    f64: Patterns,
}

#[derive(Serialize)]
struct Patterns {
    weights: Vec<String>,
    slots: BTreeMap<String, Vec<String>>,
}

impl Patterns {
    fn new<T: Copy>(outcome: &Outcome<T>, pattern: impl Fn(T) -> String) -> Patterns {
        let arrays = |arrays: &Vec<Vec<T>>| {
            arrays.iter().map(|array| array.iter().map(|x| pattern(*x)).collect()).collect()
        };
        Patterns {
            weights: arrays(&outcome.weights),
            slots: outcome.slots.iter().map(|(name, slot)| (name.clone(), arrays(slot))).collect(),
        }
    }
}

impl Expected {
    /// Computes the results of a program on cases.
    pub fn new(subject: &Subject, cases: &[Case]) -> Result<Expected, OptimizerError> {
        let Subject { name, program, .. } = subject;
        let takes_rate = program.signature().learning_rate().is_some();
        let case = |case: &Case| {
            Ok(ExpectedCase {
                case: case.name.to_owned(),
                learning_rates: takes_rate.then(|| case.learning_rates(program)),
                hyperparameters: case.hyperparameters(program).into_iter().collect(),
                // All NaN are one: which of them an operation gives differs from machine to
                // machine.
                f32: Patterns::new(&outcome::<f32>(program, case)?, |x| {
                    format!("{:08x}", if x.is_nan() { f32::NAN } else { x }.to_bits())
                }),
                f64: Patterns::new(&outcome::<f64>(subject.in_f64(), case)?, |x| {
                    format!("{:016x}", if x.is_nan() { f64::NAN } else { x }.to_bits())
                }),
            })
        };
        let hash = symopt_dsl::Graph::new(program)
            .map(|graph| graph.hash().to_string())
            .unwrap_or_default();
        let cases = cases
            .iter()
            .filter(|case| subject.takes(case))
            .map(case)
            .collect::<Result<Vec<ExpectedCase>, OptimizerError>>()?;
        Ok(Expected { format: 1, program: name.clone(), hash, cases })
    }
}
