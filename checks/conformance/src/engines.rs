//! The engines of this library under the suite.

use symopt_dsl::Program;
use symopt_evaluator::{Layout, Optimizer, OptimizerError, Options};

use super::case::Case;
use super::expected::Outcome;
use super::subject::Subject;

/// An engine of the library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// The tile machine.
    TileMachine,
    /// The compiled kernel of a zoo program.
    Compiled,
}

impl Engine {
    /// All engines.
    pub const ALL: [Engine; 2] = [Engine::TileMachine, Engine::Compiled];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Engine::TileMachine => "tile machine",
            Engine::Compiled => "compiled kernel",
        }
    }

    /// A program in this engine; `None` for one of which there is no compiled kernel.
    pub fn optimizer(
        self,
        subject: &Subject,
        layout: &Layout,
    ) -> Result<Option<Optimizer>, OptimizerError> {
        match self {
            Engine::TileMachine => {
                Optimizer::with_options(&subject.program, layout, Options::default()).map(Some)
            }
            Engine::Compiled => Ok(subject.entry.map(|entry| entry.optimizer(layout))),
        }
    }
}

/// Weights and slots after a case, by an optimizer that has not made a step yet.
pub fn outcome(
    optimizer: &mut Optimizer,
    program: &Program,
    case: &Case,
) -> Result<Outcome<f32>, OptimizerError> {
    for (name, value) in case.hyperparameters(program) {
        optimizer.set(&name, value)?;
    }
    let mut weights = case.weights.concat();
    for (gradients, lr) in case.gradients.iter().zip(case.learning_rates(program)) {
        optimizer.step(&mut weights, &gradients.concat(), lr)?;
    }
    let ranges: Vec<_> =
        optimizer.layout().arrays().iter().map(|array| array.range.clone()).collect();
    let apart = |numbers: &[f32]| {
        ranges.iter().map(|range| numbers[range.clone()].to_vec()).collect::<Vec<Vec<f32>>>()
    };
    let slots = optimizer
        .slots()
        .map(|(name, values)| (name.to_owned(), apart(&values.to_f32())))
        .collect();
    Ok(Outcome { weights: apart(&weights), slots })
}

/// The layout of a case's arrays.
pub fn layout(case: &Case) -> Layout {
    let arrays = case
        .shapes
        .iter()
        .enumerate()
        .map(|(index, shape)| (format!("array{index}"), shape.to_vec()));
    // Their names differ and they are small.
    Layout::new(arrays).unwrap_or_else(|error| panic!("the layout of the suite: {error}"))
}
