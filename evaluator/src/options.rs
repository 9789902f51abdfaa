//! How an optimizer keeps its numbers and does its steps, and the arrays that it gets.

use crate::storage::{Rounding, Storage, Values, ValuesMut};

/// Which steps are spread over the threads of the rayon pool. Results are the same bits either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Threads {
    /// Those that gain by it: large ones, and ones in the middle when the threads have just been at
    /// work.
    #[default]
    Auto,
    /// None: for many small optimizers side by side.
    One,
    /// All that have more than one part.
    All,
}

/// How an optimizer keeps its numbers and does its steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The state slots in memory: bf16 takes half of it.
    pub state: Storage,
    /// How numbers are rounded to bf16: those of bf16 slots and of bf16 weights.
    pub rounding: Rounding,
    /// Which steps are spread over threads.
    pub threads: Threads,
}

/// One parameter array of a model whose arrays lie in separate buffers.
#[derive(Debug)]
pub struct ParameterArray<'a> {
    /// Name, as in the layout.
    pub name: &'a str,
    /// Weights, updated in place.
    pub weights: ValuesMut<'a>,
    /// Gradients, as many as weights.
    pub gradients: Values<'a>,
}

impl<'a> ParameterArray<'a> {
    /// An array of f32 or bf16 weights with gradients of either kind.
    pub fn new(
        name: &'a str,
        weights: impl Into<ValuesMut<'a>>,
        gradients: impl Into<Values<'a>>,
    ) -> ParameterArray<'a> {
        ParameterArray { name, weights: weights.into(), gradients: gradients.into() }
    }
}
