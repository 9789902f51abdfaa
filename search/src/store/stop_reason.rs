//! Why a search ended.

use serde::{Deserialize, Serialize};

/// Why a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The limit of programs generated.
    Programs,
    /// The limit of programs evaluated.
    Evaluations,
    /// The limit of seconds.
    Seconds,
    /// No better program for too long.
    Plateau,
    /// A program reached the target fitness.
    TargetFitness,
    /// The target program was bred.
    TargetProgram,
    /// It was cancelled.
    #[serde(rename = "interrupted")]
    Cancelled,
}

impl std::fmt::Display for StopReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            StopReason::Programs => "the limit of programs generated",
            StopReason::Evaluations => "the limit of programs evaluated",
            StopReason::Seconds => "the limit of seconds",
            StopReason::Plateau => "no better program for the length of the plateau",
            StopReason::TargetFitness => "the target fitness is reached",
            StopReason::TargetProgram => "the target program is found",
            StopReason::Cancelled => "interrupted",
        })
    }
}
