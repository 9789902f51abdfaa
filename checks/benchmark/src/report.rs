//! What a benchmark found.

use serde::Serialize;

use super::cell::{Cell, PlanTime};
use super::machine::Machine;
use super::target::Target;

/// All that was measured.
#[derive(Clone, Debug, Serialize)]
#[must_use]
#[non_exhaustive]
pub struct Report {
    /// Where.
    pub machine: Machine,
    /// How the C loops were compiled.
    pub c_compiler: Option<String>,
    /// Whether all was measured that was to be.
    pub complete: bool,
    /// What went wrong or was left out.
    pub notes: Vec<String>,
    /// The table.
    pub cells: Vec<Cell>,
    /// Time to make the plan of each zoo program.
    pub plans: Vec<PlanTime>,
    /// What is to be reached, and what was.
    pub targets: Vec<Target>,
}
