//! Simplification: from a program to a shorter one that does the same, as a [`Derivation`] whose every step is named, checked and reversible.
//!
//! | module | what it holds |
//! |---|---|
//! | [`derivation`] | steps, their labels and their evidence |
//! | [`check`] | what a step claims, and who checks it |

mod assembly;
pub mod check;
mod constants;
pub mod derivation;
mod extraction;
mod facts;
pub mod rules;
mod saturation;
mod simplifier;
mod slots;
mod term;
mod text;

pub use check::{Checker, Claim, Evidence, Unchecked, Verdict};
pub use derivation::{Derivation, Label, Step, StepKind};
pub use saturation::Limits;
pub use simplifier::{Options, Simplifier};

use crate::program::Program;

/// Simplifies a program by algebra alone and gives its numbers and values their names.
pub fn simplify(program: &Program, options: &Options, checker: &mut dyn Checker) -> Derivation {
    let mut simplifier = Simplifier::new(program, options.clone(), checker);
    simplifier.reduce();
    simplifier.finish()
}
