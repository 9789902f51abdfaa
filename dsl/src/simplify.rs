//! Simplification: from a program to a shorter one that does the same, as a [`Derivation`] whose every step is named, checked and reversible.
//!
//! | module | what it holds |
//! |---|---|
//! | [`derivation`] | steps, their labels and their evidence |
//! | [`check`] | what a step claims, and who checks it |

pub mod check;
pub mod derivation;

pub use check::{Checker, Claim, Evidence, Unchecked, Verdict};
pub use derivation::{Derivation, Label, Step, StepKind};
