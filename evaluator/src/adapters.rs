//! Programs as optimizers of Rust training frameworks. Each adapter is behind a feature of its own,
//! off by default.
//!
//! | module | feature | what it is |
//! |---|---|---|
//! | `candle` | `candle` | implements `candle_nn::Optimizer`; the weights are updated where they lie |
//! | `burn` | `burn` | steps a whole burn module, as burn's `ModuleOptimizer` does, or implements burn's `Optimizer` for one array at a time |
//!
//! An adapter takes an [`Optimizer`](crate::Optimizer) as its prototype: a compiled program of the
//! zoo or a parsed file, with the options and the hyperparameters that it is to have, over whatever
//! layout. The adapter lays it out anew over the arrays of the model
//! ([`Optimizer::for_layout`](crate::Optimizer::for_layout)). State, hyperparameters and state
//! files are those of the optimizer inside.

#[cfg(feature = "burn")]
pub mod burn;
#[cfg(feature = "candle")]
pub mod candle;

use crate::error::OptimizerError;

/// Treatment of an array that took no part in the loss, so that the framework has no gradient for
/// it. A program runs over all arrays of the model together, so an array can't be skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingGradients {
    /// Refuse the step; nothing has changed.
    #[default]
    Refuse,
    /// Take zeros. Momentum and weight decay go on.
    Zeros,
}

/// Why an adapter can't be made, or a step can't be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterError {
    /// The optimizer refuses.
    #[error(transparent)]
    Optimizer(#[from] OptimizerError),
    /// The model has nothing to train.
    #[error("there are no arrays to train; {hint}")]
    NoArrays {
        /// Advice on the likely reason.
        hint: &'static str,
    },
    /// An array has no gradient.
    #[error(
        "the array {name:?} has no gradient: it took no part in the loss; leave it out of what is trained, or have zeros taken for missing gradients"
    )]
    NoGradient {
        /// Name of the array.
        name: String,
    },
    /// An array or its gradient is not of a kind that can be used.
    #[error("{what} of the array {name:?} can't be used: {reason}")]
    Unsupported {
        /// The weights or the gradients.
        what: &'static str,
        /// Name of the array.
        name: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// Two arrays are one.
    #[error("the arrays {first:?} and {second:?} are the same variable; name it once")]
    Shared {
        /// One of the names.
        first: String,
        /// Another one.
        second: String,
    },
    /// The model is not the one that the adapter was made for.
    #[error(
        "the model has changed since the optimizer was made: {reason}; make a new one, and load the state if it still fits"
    )]
    Changed {
        /// Description of the change.
        reason: String,
    },
    /// The program can't be run on one array at a time.
    #[error(
        "{program} takes a norm or a dot product over all arrays, which one array at a time does not give; use ProgramOptimizer"
    )]
    Coupled {
        /// Name of the program.
        program: String,
    },
    /// The framework refuses.
    #[error("{reason}")]
    Framework {
        /// In its words.
        reason: String,
    },
}
