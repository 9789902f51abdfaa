//! Tasks: a task trains with a given program and reports how well it went.

use serde::Serialize;
use symopt_cancel::CancelToken;
use symopt_dsl::Program;
use symopt_evaluator::Layout;

use crate::error::TaskError;
use crate::external::runner::Hands;
use crate::run::snapshot::{RunIdentity, Snapshot};
use crate::run::{Checkpoint, Run};

/// A program and how it is to be run.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The program.
    pub program: &'a Program,
    /// The learning rate at the peak of the schedule. A program that holds its peak learning rate
    /// as a constant is run with 1.
    pub peak_lr: f64,
    /// Hyperparameters that differ from the program's defaults.
    pub hyperparameters: &'a [(String, f64)],
}

impl<'a> Candidate<'a> {
    /// The program with its own defaults.
    pub fn new(program: &'a Program) -> Candidate<'a> {
        Candidate {
            program,
            peak_lr: program.signature().peak_learning_rate(),
            hyperparameters: &[],
        }
    }
}

/// Decision of a run's watcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Train on.
    Continue,
    /// Stop here.
    Stop,
}

/// Description of a task for people.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaskDescription {
    /// Where the examples come from.
    pub data: String,
    /// The model.
    pub model: String,
    /// Number of parameters.
    pub parameters: usize,
    /// Training steps.
    pub steps: usize,
    /// Examples in a batch.
    pub batch: usize,
    /// Training examples.
    pub training_examples: usize,
    /// Validation examples.
    pub validation_examples: usize,
    /// Share of training labels that are drawn at random.
    pub label_noise: f64,
}

/// The gradients that a training run met, one flat array for each step.
#[derive(Clone, Debug)]
#[must_use]
pub struct Recording {
    /// The parameter arrays.
    pub layout: Layout,
    /// The gradients of each step, laid out as `layout` says.
    pub gradients: Vec<Vec<f32>>,
}

/// Training runs of external tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RunCount {
    /// All of them, those that failed, diverged or were stopped included.
    pub made: u64,
    /// Those that failed.
    pub failed: u64,
}

/// A proxy task. Same candidate and seed, same bits, unless the task is external.
pub trait Task: Send + Sync {
    /// Name, unique within a suite.
    fn name(&self) -> &str;

    /// Describes the data, the model and the training.
    fn describe(&self) -> Result<TaskDescription, TaskError>;

    /// How many checkpoints a completed run has.
    fn checkpoints(&self) -> usize;

    /// Trains with a candidate. `watch` sees every checkpoint as it is taken, of a completed run
    /// [`Task::checkpoints`] of them, and may stop the run. Once `cancel` is cancelled, the run ends
    /// soon with [`TaskError::Cancelled`], also between two checkpoints.
    fn run(
        &self,
        candidate: &Candidate,
        seed: u64,
        cancel: &CancelToken,
        watch: &mut dyn FnMut(&Checkpoint) -> Verdict,
    ) -> Result<Run, TaskError>;

    /// Whether the task is a command of the user's, so that a run may fail, and may not give the
    /// same bits when it is made again.
    fn is_external(&self) -> bool {
        false
    }

    /// Has others make the runs of an external task in this process. Only the first call counts.
    fn give_to(&self, _hands: &Hands) {}

    /// Whether a search that is resumed makes a run first, to see that training works.
    fn is_checked(&self) -> bool {
        self.is_external()
    }

    /// How many training runs an external task has made in this process.
    fn run_count(&self) -> RunCount {
        RunCount::default()
    }

    /// The gradients that a run with a candidate meets. `None` if the task can't say, or the run
    /// does not complete.
    fn record(
        &self,
        _candidate: &Candidate,
        _seed: u64,
        _cancel: &CancelToken,
    ) -> Result<Option<Recording>, TaskError> {
        Ok(None)
    }

    /// The task as one whose runs can be stopped and gone on with, if it is one.
    fn resumable(&self) -> Option<&dyn ResumableTask> {
        None
    }
}

/// A task whose runs can be stopped at a checkpoint and gone on with later, to the same bits as
/// without the stop.
pub trait ResumableTask: Task {
    /// Which run a candidate's under a seed is, for its snapshots.
    fn identity(&self, candidate: &Candidate, seed: u64) -> Result<RunIdentity, TaskError>;

    /// The parameter arrays under a seed.
    fn layout(&self, seed: u64) -> Result<Layout, TaskError>;

    /// Trains as [`Task::run`] does, but from a snapshot, if there is one, and with a snapshot for
    /// the watcher at every checkpoint that is taken. The curve of the run begins with that of the
    /// snapshot.
    fn run_from(
        &self,
        candidate: &Candidate,
        seed: u64,
        snapshot: Option<&Snapshot>,
        cancel: &CancelToken,
        watch: &mut dyn FnMut(Snapshot) -> Verdict,
    ) -> Result<Run, TaskError>;
}
