//! Runs optimizer programs over parameter arrays.
//!
//! | module | what it holds |
//! |---|---|
//! | [`math`], [`reduce`] | the element-wise functions and the fixed-order sums that every engine shares |
//! | [`simd`] | which vector instructions the loops use |
//! | [`engine`] | the reference interpreter, the tile machine, compiled passes, statements of matrices |
//! | [`storage`], [`aligned`] | f32 and bf16 in memory |
//! | [`layout`], [`hyperparameters`], [`options`] | named parameter arrays, numbers by name, how numbers are kept |
//! | [`optimizer`], [`state`], [`error`] | the [`Optimizer`], its state in files, what goes wrong |
//! | `adapters` | the [`Optimizer`] in candle and in burn; features `candle` and `burn`, off by default |

#[cfg(any(feature = "burn", feature = "candle"))]
pub mod adapters;
pub mod aligned;
pub mod engine;
pub mod error;
pub mod hyperparameters;
pub mod layout;
pub mod math;
pub mod optimizer;
pub mod options;
pub mod reduce;
pub mod simd;
pub mod state;
pub mod storage;

pub use engine::reference::Reference;
pub use error::OptimizerError;
pub use layout::{ArraySpec, Layout};
pub use optimizer::Optimizer;
pub use options::{Options, ParameterArray, Threads};
pub use storage::{Rounding, Storage};
