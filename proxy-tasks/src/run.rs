//! What a training run leaves behind.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Loss and, where the task has one, accuracy on the validation examples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Mean cross-entropy in nats.
    pub loss: f64,
    /// Share of right answers, from 0 to 1.
    pub accuracy: Option<f64>,
}

/// A point of the curves of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Steps done.
    pub step: usize,
    /// Mean training loss over the batches since the last checkpoint, in nats.
    pub training_loss: f64,
    /// Validation metrics after these steps.
    pub validation: Metrics,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// All steps were done.
    Completed,
    /// The loss was not finite, or above [`DIVERGENCE_FACTOR`](crate::training::DIVERGENCE_FACTOR) times the loss before training.
    Diverged {
        /// Steps done when that was seen.
        step: usize,
    },
    /// The watcher of the run saw no sense in going on.
    Stopped {
        /// Steps done.
        step: usize,
    },
}

/// A finished training run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Training and validation loss over the steps.
    pub curve: Vec<Checkpoint>,
    /// Why it ended.
    pub stop: StopReason,
    /// Wall-clock time; no part of any result that must be reproducible.
    #[serde(skip)]
    pub elapsed: Duration,
}

impl Run {
    /// The validation metrics at the end; `None` unless all steps were done.
    pub fn final_metrics(&self) -> Option<Metrics> {
        match self.stop {
            StopReason::Completed => self.curve.last().map(|checkpoint| checkpoint.validation),
            _ => None,
        }
    }
}
