//! Simplification: from a program to a shorter one that does the same, as a [`Derivation`] whose
//! every step is named, checked and reversible.
//!
//! | module | what it holds |
//! |---|---|
//! | [`simplifier`] | tries the kinds of steps in their order until nothing changes |
//! | [`label`], [`derivation`], [`report`] | in which sense programs are equal; steps and their evidence; a derivation to be read |
//! | [`check`] | what a step claims, and who checks it |
//! | [`rules`], [`instances`] | the rules of algebra, one line each, with their labels; rules as pairs of programs |
//! | `term`, `facts` | programs as terms; what is known about a value |
//! | `e_graph`, `saturation`, `extraction` | terms that are equal; all that the rules make of a term, with proofs; the cheapest of it |
//! | `proposal`, `slots`, `constants` | steps before their check; reasoning about the state; numbers become hyperparameters |
//! | `assembly`, `text` | from terms back to programs, and to people |

mod assembly;
pub mod check;
mod constants;
pub mod derivation;
mod e_graph;
mod extraction;
mod facts;
pub mod instances;
pub mod label;
mod proposal;
pub mod report;
pub mod rules;
mod saturation;
pub mod simplifier;
mod slots;
mod term;
mod text;

pub use check::{Checker, Claim, Evidence, Unchecked, Verdict};
pub use derivation::{Derivation, Step, StepKind, Support};
pub use label::Label;
pub use saturation::Limits;
pub use simplifier::{Options, Simplifier};

use symopt_cancel::CancelToken;
use symopt_dsl::program::Program;

/// Simplifies a program by algebra alone and gives its numbers and values their names.
pub fn simplify(program: &Program, options: &Options, checker: &mut dyn Checker) -> Derivation {
    let mut simplifier = Simplifier::new(program, options.clone(), checker);
    simplifier.reduce();
    simplifier.finish()
}

/// The derivation by algebra up to a label, with numbers in place. Nothing is checked and nothing
/// explained, which makes it several times as fast as [`simplify`].
pub fn reduced(program: &Program, label: Label) -> Derivation {
    reduced_until(program, label, &CancelToken::new())
}

/// The same, which ends soon with what there is by then once `cancel` is cancelled.
pub fn reduced_until(program: &Program, label: Label, cancel: &CancelToken) -> Derivation {
    let mut checker = Unchecked;
    // The same on every machine, however slow it is.
    let time = std::time::Duration::MAX;
    let limits = Limits { time, cancel: cancel.clone(), ..Limits::default() };
    let mut simplifier =
        Simplifier::new(program, Options { label, explain: false, limits }, &mut checker);
    simplifier.reduce();
    simplifier.into_derivation()
}

/// Returns what [`reduced`] leaves of a program: programs for which it is equal are equal in the
/// sense of the label.
pub fn canonical(program: &Program, label: Label) -> Program {
    reduced(program, label).result().clone()
}
