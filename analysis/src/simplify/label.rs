//! In which sense two programs are equal.

use std::fmt;

use serde::Serialize;

/// In which sense the programs before and after a step are equal. Ordered from the strongest to the
/// weakest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// Bit for bit, NaN (as one value), infinities and signed zeros included.
    Exact,
    /// Over the real numbers; rounding differs.
    Real,
    /// Over the real numbers where the conditions of the step hold, and as closely as they say: a
    /// guard of a division that is neglected is 1e-8 / |x| of the quotient.
    Domain,
    /// Not an identity: the fitness on a suite does not drop by more than a tolerance.
    Fitness,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Label::Exact => "exact",
            Label::Real => "real",
            Label::Domain => "domain",
            Label::Fitness => "fitness",
        })
    }
}

/// How a slot of the program after a step follows from the slots before: `after = sum of factor *
/// before`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SlotMap {
    /// Name of the slot after the step.
    pub after: String,
    /// Factors and names of slots before the step.
    pub terms: Vec<(f64, String)>,
}
