//! The language of symopt: optimizer update programs, from text to a data-flow graph.
//!
//! | module | what it holds |
//! |---|---|
//! | [`program`] | [`Program`](program::Program), statements, signatures |
//! | [`function`] | the function table: one row for each function |
//! | [`semantics`] | what the element-wise functions mean, in f64 |
//! | [`types`] | `Scalar` < `PerArray` < `Tree` |
//! | [`parser`], [`diagnostic`], [`printer`] | text to program, what is wrong with a text, program to text |
//! | [`graph`] | abstract execution: program to [`Graph`](graph::Graph), with types, redundant statements, hash and cost |

pub mod diagnostic;
pub mod function;
pub mod graph;
pub mod parser;
pub mod printer;
pub mod program;
pub mod prune;
pub mod semantics;
pub mod types;

pub use diagnostic::Diagnostics;
pub use function::{Function, Profile};
pub use graph::{FunctionalHash, Graph, TypeError};
pub use parser::parse;
pub use program::{Numerics, Operand, Program, Signature, SlotId, Statement, VarId};
pub use types::Type;
