//! Runs optimizer programs over parameter arrays.
//!
//! | module | what it holds |
//! |---|---|
//! | [`math`], [`reduce`] | the element-wise functions and the fixed-order sums that every engine shares |
//! | [`simd`] | which vector instructions the loops use |
//! | [`kernel`] | from a [`Function`](symopt_dsl::Function) to the function of [`math`] that computes it, on numbers and on tiles |
//! | [`mod@reference`] | the oracle: a program statement by statement over ndarray, in f32 or f64 |
//! | [`matrix`] | the functions of matrices, for one array |
//! | [`tile_machine`] | interprets a [`Plan`](symopt_dsl::Plan) tile by tile |
//! | [`stretch`] | what a pass works on at a time, and the type of compiled passes |
//! | `machine` | the steps of a plan: small values, passes, threads; by the tile machine or by compiled passes |
//! | `statement_machine` | the steps of a program of matrices, which has no plan: the oracle's own operations |
//! | [`storage`], [`aligned`] | f32 and bf16 in memory |
//! | [`equivalence`], [`behaviour`] | whether two programs do the same on random streams, and how far apart they are |
//! | [`layout`], [`optimizer`], [`state`] | named parameter arrays, the [`Optimizer`], its state in files |
//! | `adapters` | the [`Optimizer`] in candle and in burn; features `candle` and `burn`, off by default |

#[cfg(any(feature = "burn", feature = "candle"))]
pub mod adapters;
pub mod aligned;
pub mod behaviour;
pub mod equivalence;
pub mod kernel;
pub mod layout;
mod machine;
pub mod math;
pub mod matrix;
pub mod optimizer;
pub mod reduce;
pub mod reference;
pub mod simd;
pub mod state;
mod statement_machine;
pub mod storage;
pub mod stretch;
pub mod tile_machine;

pub use equivalence::RandomStreams;
pub use layout::{ArraySpec, Layout};
pub use optimizer::{Optimizer, OptimizerError, Options, ParameterArray, Threads};
pub use reference::Reference;
pub use storage::{Rounding, Storage};
