//! The engines: all of them compute the same numbers, the faster ones bit for bit as the reference
//! does.
//!
//! | module | what it holds |
//! |---|---|
//! | [`kernel`] | from a [`Function`](symopt_dsl::Function) to the function of [`math`](crate::math) that computes it, on numbers and on tiles |
//! | [`mod@reference`] | the oracle: a program statement by statement over ndarray, in f32 or f64 |
//! | [`matrix`], `matrix_kernels` | the functions of matrices, for one array: as the oracle has them, and fast |
//! | [`tile_machine`] | interprets a [`Plan`](symopt_dsl::Plan) tile by tile |
//! | [`stretch`] | what a pass works on at a time, and the type of compiled passes |
//! | `passes` | the steps of a plan: small values, passes by the tile machine or by compiled ones, what is done with whole arrays between them, threads |
//! | `step`, `saved_state` | what a step gets, what a state is |

pub mod kernel;
pub mod matrix;
pub(crate) mod matrix_kernels;
pub(crate) mod passes;
pub mod reference;
pub(crate) mod saved_state;
pub(crate) mod step;
pub mod stretch;
pub mod tile_machine;
