//! symopt for users of the library: programs, and optimizers that run them.
//!
//! ```
//! use symopt::{Layout, Optimizer, parse, programs};
//!
//! // Any program over the arrays of a model; those of the zoo are compiled.
//! let layout = Layout::new([("weight", vec![2]), ("bias", vec![])])?;
//! let mut lion = programs::lion().optimizer(&layout);
//! let mut momentum = Optimizer::new(&parse("def f(w, g, m, lr):\n  m = interp(g, m, 0.9)\n  u = m * lr\n  return u, m\n")?, &layout)?;
//! let (mut weights, gradients) = ([1.0, 2.0, 3.0], [1.0, 0.0, -1.0]);
//! lion.step(&mut weights, &gradients, 0.25)?;
//! momentum.step(&mut weights, &gradients, 0.25)?;
//! assert_eq!(weights, [0.725, 2.0, 3.275]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | here | the crate | its question |
//! |---|---|---|
//! | [`parse`], [`Program`], [`Graph`], [`dsl`] | `symopt-dsl` | what does a program mean |
//! | [`Optimizer`], [`Layout`], [`evaluator`] | `symopt-evaluator` | how does it run |
//! | [`programs`] | `symopt-programs` | which ones are known |
//! | [`analysis`] | `symopt-analysis` | what does it equal |
//! | [`export`] | `symopt-export` | how is it written elsewhere |
//!
//! With `default-features = false` the crate has these and not the command
//! ([`command_line::main`]), which needs the crates that search and train.

#[cfg(feature = "cli")]
pub mod command_line;
#[cfg(feature = "cli")]
mod commands;
#[cfg(feature = "cli")]
mod execution;
#[cfg(feature = "cli")]
mod external;
#[cfg(feature = "cli")]
mod failure;
#[cfg(feature = "cli")]
mod files;
#[cfg(feature = "cli")]
mod hint;
#[cfg(feature = "cli")]
mod interrupt;
#[cfg(feature = "cli")]
mod named_program;
#[cfg(feature = "cli")]
mod options;
#[cfg(feature = "cli")]
mod progress;
#[cfg(feature = "cli")]
mod table;
#[cfg(feature = "cli")]
mod terminal;
#[cfg(feature = "cli")]
mod words;
#[cfg(feature = "cli")]
mod workers;

pub use symopt_analysis as analysis;
pub use symopt_dsl as dsl;
pub use symopt_dsl::{Diagnostics, FunctionalHash, Graph, Program, parse};
pub use symopt_evaluator as evaluator;
pub use symopt_evaluator::{
    Layout, Optimizer, OptimizerError, Options, ParameterArray, Reference, Rounding, Storage,
    Threads,
};
pub use symopt_export as export;
pub use symopt_programs as programs;
