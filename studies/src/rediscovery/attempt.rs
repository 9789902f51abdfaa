//! Outcome of a seed: its searches, and the final program of each.

use serde::{Deserialize, Serialize};
use symopt_analysis::structure::Structure;
use symopt_proxy_tasks::suite::Fitness;
use symopt_search::store::statistics::Statistics;
use symopt_search::store::stop_reason::StopReason;

/// Outcome of one seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[must_use]
pub struct Attempt {
    /// The seed.
    pub seed: u64,
    /// The structure that was looked for.
    #[serde(default = "super::protocol::lion_like")]
    pub target: Structure,
    /// The searches, one after the other. None but the last may have ended with it.
    pub searches: Vec<Searched>,
}

impl Attempt {
    /// Whether a final has the target's structure.
    pub fn rediscovered(&self) -> bool {
        self.last().is_some_and(|last| last.structure == self.target)
    }

    /// The final of the last search.
    pub fn last(&self) -> Option<&Final> {
        self.searches.last().map(|search| &search.last)
    }

    /// Wall-clock seconds of all searches.
    pub fn seconds(&self) -> f64 {
        self.searches.iter().map(|search| search.seconds).sum()
    }

    /// Programs generated in all searches.
    pub fn generated(&self) -> u64 {
        self.searches.iter().map(|search| search.statistics.generated).sum()
    }

    /// Programs evaluated in all searches.
    pub fn evaluated(&self) -> u64 {
        self.searches.iter().map(|search| search.statistics.evaluated).sum()
    }
}

/// Outcome of one search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[must_use]
pub struct Searched {
    /// Its own seed.
    pub seed: u64,
    /// Why the search ended; a rediscovery ends it.
    pub stop: StopReason,
    /// Wall-clock seconds, all tries of finals included. The only figure here that is not the same
    /// in every run.
    pub seconds: f64,
    /// Counts of the search.
    pub statistics: Statistics,
    /// The structure of the best program each time it became another one.
    pub classes: Vec<ClassChange>,
    /// The best program in the end.
    pub last: Final,
}

/// A moment when the best program became one of another structure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClassChange {
    /// Programs generated.
    pub generated: u64,
    /// Seconds since the start.
    pub seconds: f64,
    /// The structure by probes.
    pub structure: Structure,
    /// The structure of the sign of the direction: what a soft sign would be.
    pub of_sign: Structure,
    /// The fitness that the search knew.
    pub fitness: Fitness,
}

/// A final: the best program of a search, and what simplification leaves of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[must_use]
pub struct Final {
    /// The direction as it was bred, without redundant statements.
    pub program: String,
    /// The whole program that simplification leaves.
    pub simplified: String,
    /// The weakest label of a step.
    pub label: String,
    /// The structure of the simplified program by probes.
    pub structure: Structure,
    /// The same by its form.
    pub by_form: Option<Structure>,
    /// The classification in words, with its open reasons.
    pub classification: String,
    /// Mean fitness (gain over tuned AdamW of the suite file) of the simplified program on the
    /// report's seeds, with its standard error.
    pub fitness: Option<(f64, f64)>,
    /// The gain over each peer, paired, with its standard error.
    pub gains: Vec<(String, f64, f64)>,
}
