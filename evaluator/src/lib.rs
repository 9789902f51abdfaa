//! Runs optimizer programs over parameter arrays.
//!
//! | module | what it holds |
//! |---|---|
//! | [`math`], [`reduce`] | the element-wise functions and the fixed-order sums that every engine shares |
//! | [`kernel`] | from a [`Function`](symopt_dsl::Function) to the function of [`math`] that computes it |
//! | [`mod@reference`] | the oracle: a program statement by statement over ndarray, in f32 or f64 |
//! | [`plan`], [`tile_machine`] | a graph becomes fused passes over tiles that stay in the cache |
//! | [`layout`], [`optimizer`], [`state`] | named parameter arrays, the [`Optimizer`], its state in files |

pub mod kernel;
pub mod layout;
pub mod math;
pub mod optimizer;
pub mod plan;
pub mod reduce;
pub mod reference;
pub mod state;
pub mod tile_machine;

pub use layout::{ArraySpec, Layout};
pub use optimizer::{Optimizer, OptimizerError};
pub use reference::Reference;
