//! How a search goes, over the programs generated: what the paper's figure shows.

use serde::{Deserialize, Serialize};
use symopt_proxy_tasks::suite::Fitness;

/// Rows are taken every this many programs generated.
pub const EVERY: u64 = 500;

/// The state of a search after a number of programs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Statistics {
    /// Children bred whose fitness is known.
    pub generated: u64,
    /// Number of those whose functional hash was new, so that they were evaluated.
    pub evaluated: u64,
    /// Number of those whose functional hash was new, and that were rejected by a screen before any
    /// training.
    #[serde(default)]
    pub screened: u64,
    /// Number of evaluated ones that were stopped as hopeless.
    pub hopeless: u64,
    /// Number of evaluated ones that diverged.
    pub diverged: u64,
    /// Number of evaluated ones that had a run of an external task that failed.
    #[serde(default)]
    pub failed: u64,
    /// Sum over the children of the share of their statements that no output of a step depends on.
    pub redundant_sum: f64,
    /// The best fitness so far.
    pub best: Fitness,
}

impl Statistics {
    /// Before the first child.
    pub fn new(initial: Fitness) -> Statistics {
        Statistics {
            generated: 0,
            evaluated: 0,
            screened: 0,
            hopeless: 0,
            diverged: 0,
            failed: 0,
            redundant_sum: 0.0,
            best: initial,
        }
    }

    /// Counts a child that comes in: the share of its redundant statements, whether a screen
    /// rejects it as the first of its hash, and whether it was evaluated, and not an earlier program
    /// of its key.
    pub(crate) fn count(
        &mut self,
        redundant_share: f64,
        screened: bool,
        first: bool,
        fitness: Fitness,
    ) {
        self.generated += 1;
        self.redundant_sum += redundant_share;
        self.screened += u64::from(screened);
        if first {
            self.evaluated += 1;
            match fitness {
                Fitness::Hopeless { .. } => self.hopeless += 1,
                Fitness::Diverged => self.diverged += 1,
                Fitness::Failed => self.failed += 1,
                Fitness::Screened | Fitness::Improvement(_) => {}
            }
        }
    }

    /// Share of the children whose fitness was known from an earlier program.
    pub fn cache_hit_rate(&self) -> f64 {
        if self.generated == 0 {
            0.0
        } else {
            1.0 - (self.evaluated + self.screened) as f64 / self.generated as f64
        }
    }

    /// Mean share of redundant statements among the children.
    pub fn redundant_share(&self) -> f64 {
        if self.generated == 0 { 0.0 } else { self.redundant_sum / self.generated as f64 }
    }
}
