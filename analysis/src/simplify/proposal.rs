//! Steps before their check.

use symopt_dsl::Program;

use super::check::Condition;
use super::derivation::{Reason, StepKind};
use super::label::{Label, SlotMap};

/// A step that is proposed, before its check.
pub(crate) struct Proposal {
    pub(crate) kind: StepKind,
    pub(crate) label: Label,
    pub(crate) after: Program,
    pub(crate) reasons: Vec<Reason>,
    pub(crate) slots: Vec<SlotMap>,
    pub(crate) conditions: Vec<Condition>,
    /// Program that the check runs in place of the program after, where its parameters mean
    /// something else, and what they mean then: with that, both are equal bit for bit.
    pub(crate) stand_in: Option<(Program, String)>,
}
