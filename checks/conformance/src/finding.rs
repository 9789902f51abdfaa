//! Results of engines on programs and cases.

use serde::{Deserialize, Serialize};

/// How an engine did on a program and a case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The engine, or the export and the way it was run.
    pub engine: String,
    /// The library behind it and its version.
    #[serde(default)]
    pub version: String,
    /// The zoo program.
    pub program: String,
    /// The case.
    pub case: String,
    /// Peer that the engine is compared with, if it is not the reference: a library's own
    /// implementation of the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// How far the reference goes from itself where its scalars are f32, if the engine's are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scalars: Option<Distance>,
    /// Measured distance, or the error in its place.
    #[serde(flatten)]
    pub result: Measured,
}

/// Outcome of a case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Measured {
    /// It ran.
    Distance(Distance),
    /// It did not.
    Error {
        /// Why.
        error: String,
    },
}

/// How far weights and slots are from the reference in f32 after the last step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Distance {
    /// The largest distance over the weights and over each slot, as a share of the largest number
    /// there.
    pub deviation: f64,
    /// The same between the references in f32 and in f64: how much roundings matter here.
    pub gap: f64,
    /// Places where one is not finite and the other is something else.
    pub mismatches: usize,
    /// Whether every bit is the same, all NaN being one.
    pub same_bits: bool,
}

impl Distance {
    /// For a cell of a table.
    pub(crate) fn written(&self) -> String {
        match (self.same_bits, self.mismatches) {
            (true, _) => "0".to_owned(),
            (false, 0) => format!("{:.0e}", self.deviation),
            (false, places) if self.deviation == 0.0 => format!("{places} not finite"),
            (false, places) => format!("{:.0e} and {places} not finite", self.deviation),
        }
    }
}
