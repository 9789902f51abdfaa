//! Numbers become named hyperparameters.

use crate::program::Program;
use crate::simplify::simplifier::Proposal;

/// Names the numbers of a program that play a known part.
pub(crate) fn name(_program: &Program) -> Option<Proposal> {
    None
}
