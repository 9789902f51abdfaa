//! The language of symopt: optimizer update programs, from text to a data-flow graph.
//!
//! | module | what it holds |
//! |---|---|
//! | [`program`] | [`Program`], statements, signatures |
//! | [`function`] | the function table: one row for each function |
//! | [`semantics`] | what the element-wise functions mean, in f64 |
//! | [`types`] | `Scalar` < `PerArray` < `Tree`, and arrays as matrices |
//! | [`parser`], [`diagnostic`], [`printer`] | text to program, what is wrong with a text, program to text |
//! | [`escape`] | text of any origin as terminals, source files, Markdown, XML and JSON can show it |
//! | [`graph`] | abstract execution: program to [`Graph`], with types, redundant statements, hash and cost |
//! | [`range`] | the values that a hyperparameter may have |
//! | [`plan`] | graph to [`Plan`]: the fewest passes over the arrays |
//! | [`prune`] | a program without its redundant statements and dead slots |
//! | [`mod@reference`] | the functions as a page of the manual |
//! | [`shell`] | commands that are shown to people, quoted for a shell |
//!
//! ```
//! use symopt_dsl::{Graph, parse};
//!
//! let program = parse(
//!     "def momentum(w, g, m, lr, *, beta=0.9):
//!   g2 = square(g)
//!   m = interp(g, m, beta)
//!   update = lr * m
//!   return update, m",
//! )?;
//! let graph = Graph::new(&program).expect("what the parser gives is well typed");
//! assert_eq!(graph.live_statements(), 2);
//! assert_eq!(graph.cost().state_bytes_per_parameter, 4);
//!
//! // Other names, another order, nothing that is redundant: the same function.
//! let other = parse("def f(x, dx, v, lr, *, beta=0.9):\n  v = interp(dx, v, beta)\n  u = v * lr\n  return u, v")?;
//! assert_eq!(Graph::new(&other).map(|g| g.hash()), Ok(graph.hash()));
//! # Ok::<(), symopt_dsl::Diagnostics>(())
//! ```

pub mod diagnostic;
pub mod escape;
pub mod function;
pub mod graph;
pub mod parser;
pub mod plan;
pub mod printer;
pub mod program;
pub mod prune;
pub mod range;
pub mod reference;
pub mod semantics;
pub mod shell;
pub mod types;

pub use diagnostic::Diagnostics;
pub use function::{Function, Profile};
pub use graph::{FunctionalHash, Graph, TypeError};
pub use parser::parse;
pub use plan::{NoPlan, Plan};
pub use program::{Numerics, Operand, Program, Signature, SlotId, Statement, VarId};
pub use range::Range;
pub use types::Type;
