//! Report of a benchmark.

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
    /// Descriptions of failures and omissions.
    pub notes: Vec<String>,
    /// The table.
    pub cells: Vec<Cell>,
    /// Time to make the plan of each zoo program.
    pub plans: Vec<PlanTime>,
    /// Limits to be reached, with the measured values.
    pub targets: Vec<Target>,
}
