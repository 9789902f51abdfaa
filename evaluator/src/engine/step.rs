//! Inputs that a step gets from outside.

use crate::hyperparameters::Hyperparameter;
use crate::options::ParameterArray;

/// The numbers that the outside gives a step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepInputs<'a> {
    /// `lr`.
    pub lr: f64,
    /// `t`, from 1.
    pub step: u64,
    /// The hyperparameters, in the order of the signature.
    pub hyperparameters: &'a [Hyperparameter],
}

/// The arrays of a step: the flat buffer, or one buffer for each array.
pub(crate) enum Buffers<'a, 'b> {
    Flat(&'a mut [f32], &'a [f32]),
    Arrays(&'a mut [ParameterArray<'b>]),
}
