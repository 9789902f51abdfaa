//! Reasoning about the state.

use crate::program::Program;
use crate::simplify::simplifier::Proposal;
use crate::simplify::term::Flow;

/// Changes of the state that make the program cheaper.
pub(crate) fn propose(_program: &Program, _flow: &Flow, _saturated: impl Fn(&Flow) -> Option<Flow>) -> Vec<Proposal> {
    Vec::new()
}
