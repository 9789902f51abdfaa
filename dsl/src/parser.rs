//! Text to [`Program`]: layout (lines, indentation, comments), then the pest grammar line by line,
//! then names and types.
//!
//! A line that is wrong does not hide the faults of the others: each is reported, and what depends
//! on a faulty statement is taken as unknown instead of being reported again.
//!
//! The text may be of any origin: it is measured before anything recurses over it, see [`limits`].

use crate::diagnostic::Diagnostics;
use crate::program::Program;

mod hints;
mod layout;
pub mod limits;
mod lowering;
mod outline;
mod syntax;

/// Names that a program may read without declaring them, and the default of the hyperparameter that
/// they become.
///
/// The published text of Lion uses all three without a declaration. `lambda` is a Python keyword,
/// so the hyperparameter is called `lambda_`.
pub const IMPLICIT_HYPERPARAMETERS: [ImplicitHyperparameter; 3] = [
    ImplicitHyperparameter { written: "beta1", name: "beta1", default: 0.9 },
    ImplicitHyperparameter { written: "beta2", name: "beta2", default: 0.99 },
    ImplicitHyperparameter { written: "lambda", name: "lambda_", default: 0.0 },
];

/// A row of [`IMPLICIT_HYPERPARAMETERS`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImplicitHyperparameter {
    /// The name in the text.
    pub written: &'static str,
    /// The name of the hyperparameter in the program.
    pub name: &'static str,
    /// Its default.
    pub default: f64,
}

/// The program that a text holds: exactly one.
///
/// The syntax is Python's; a right-hand side that nests lowers to one-call statements whose
/// temporary results are called `update_1`, `update_2` and so on, after the variable that is
/// assigned.
///
/// # Errors
/// All that is wrong with the text, types included.
///
/// ```
/// let program = symopt_dsl::parse("def sgd(w, g, lr):\n  update = lr * g\n  return update\n")?;
/// assert_eq!(program.statements.len(), 1);
///
/// let fault = symopt_dsl::parse("def sgd(w, g, lr):\n  update = lr * sine(g)\n  return update\n").unwrap_err();
/// assert_eq!(fault.to_string(), "2:17: unknown function `sine`");
/// # Ok::<(), symopt_dsl::Diagnostics>(())
/// ```
pub fn parse(source: &str) -> Result<Program, Diagnostics> {
    let mut problems = Vec::new();
    let program = layout::lay_out(source, &mut problems)
        .and_then(|items| outline::outline(source, items, &mut problems))
        .and_then(|outline| lowering::lower(source, outline, &mut problems));
    match (Diagnostics::new(source, problems), program) {
        (Some(diagnostics), _) => Err(diagnostics),
        (None, Some(program)) => Ok(program),
        // Every step that gives up has said why; were one to forget, the text still is not a
        // program.
        (None, None) => Err(Diagnostics::unreadable(source)),
    }
}
