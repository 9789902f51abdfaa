//! Results of a training run.

pub(crate) mod problem;
pub mod schedule;
pub mod snapshot;
pub mod snapshot_store;
pub mod training;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Failure, TaskError};

/// Loss and, where the task has one, accuracy on the validation examples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Mean cross-entropy in nats; of an [external](crate::external) task, whatever its command
    /// measures.
    pub loss: f64,
    /// Share of right answers, from 0 to 1.
    pub accuracy: Option<f64>,
}

/// A point of the curves of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Steps done.
    pub step: usize,
    /// Mean training loss over the batches since the last checkpoint, in nats; NaN where an
    /// [external](crate::external) task does not say it.
    pub training_loss: f64,
    /// Validation metrics after these steps.
    pub validation: Metrics,
}

/// Why a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// All steps were done.
    Completed,
    /// The loss was not finite, or above
    /// [`DIVERGENCE_FACTOR`](crate::run::training::DIVERGENCE_FACTOR) times the loss before
    /// training.
    Diverged {
        /// Steps done when that was seen.
        step: usize,
    },
    /// The watcher of the run saw no sense in going on.
    Stopped {
        /// Steps done.
        step: usize,
    },
    /// The command of an external task failed.
    Failed(Failure),
}

/// A finished training run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[must_use]
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

    /// Returns the failure, if that is why the run ended.
    pub fn failure(&self) -> Option<&Failure> {
        match &self.stop {
            StopReason::Failed(failure) => Some(failure),
            _ => None,
        }
    }

    /// The run, or an error for those who have no use for a failed one.
    pub fn or_failed(self, task: &str) -> Result<Run, TaskError> {
        match self.stop {
            StopReason::Failed(failure) => {
                Err(TaskError::Failed { task: task.to_owned(), failure })
            }
            _ => Ok(self),
        }
    }
}
