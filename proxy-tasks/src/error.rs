//! Errors of tasks and their runs.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use symopt_cancel::Cancelled;
use symopt_evaluator::OptimizerError;

/// Why a task can't be built or run. A run that diverges is no error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// The program can't be run, or has no such hyperparameter.
    #[error(transparent)]
    Optimizer(#[from] OptimizerError),
    /// The data can't be had.
    #[error("task {task}: {reason}")]
    Data {
        /// The task.
        task: String,
        /// Description of the fault, and of a remedy.
        reason: String,
    },
    /// A snapshot of a run can't be taken or gone on from.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A task description is wrong.
    #[error("{place}: {reason}")]
    Description {
        /// The file or the built-in suite, and the task in it.
        place: String,
        /// Description of the fault, and of the expected value.
        reason: String,
    },
    /// A run of an external task failed where nothing can be done without it.
    #[error("task {task}: {failure}")]
    Failed {
        /// The task.
        task: String,
        /// The failure.
        failure: Failure,
    },
    /// The time limit came before there was anything to search with.
    #[error(
        "the time limit was over before tuned AdamW, which everything is held against, had been trained on the seeds of the suite {suite}: \
         {done} of {seeds} were done; allow more --seconds, or give the suite fewer seeds or a smaller task"
    )]
    TimeLimit {
        /// The suite.
        suite: String,
        /// Seeds that were done.
        done: usize,
        /// Seeds.
        seeds: usize,
    },
    /// Work that was to be done [elsewhere](crate::executor) was not done.
    #[error("{place}: {reason}")]
    Elsewhere {
        /// The suite, the machine or the server.
        place: String,
        /// Description of the fault, and of a remedy.
        reason: String,
    },
    /// A run was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl TaskError {
    /// Whether the work was cancelled, which says nothing about the task.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, TaskError::Cancelled(_))
    }
}

/// Failure of a run of an [external](crate::external) task. It says nothing about the program, or
/// nothing that can be told from a fault of the task's command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Kind of failure.
    pub kind: FailureKind,
    /// Exact description, in words.
    pub reason: String,
    /// The last of what the command wrote to its standard error stream.
    pub stderr: String,
}

/// The kinds of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The command can't be started.
    Start,
    /// The program can't be handed over: it can't be exported to what the command trains with, or
    /// the file can't be written.
    Export,
    /// The command ended without an answer.
    Ended,
    /// The command closed its output, and ran on.
    Closed,
    /// There was no answer in time.
    Timeout,
    /// The output is not of the protocol.
    Garbage,
    /// Far more came than an answer can be.
    Flood,
    /// The command says that it failed.
    Reported,
    /// All workers that tried it were lost.
    Lost,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.reason)?;
        if self.stderr.is_empty() {
            Ok(())
        } else {
            write!(f, "; the last of its standard error stream:\n{}", self.stderr.trim_end())
        }
    }
}

/// Why a snapshot can't be written, read or gone on from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The file can't be written.
    #[error(transparent)]
    Write(#[from] symopt_files::WriteError),
    /// The file can't be read.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The bytes are not what was written.
    #[error(
        "{path}: no intact checkpoint: {reason}; remove the file to train this run from its beginning"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Description of the fault.
        reason: String,
    },
    /// A newer release wrote it.
    #[error(
        "{path}: the checkpoint has format version {found}, this release reads version {expected}; use the release that wrote it"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// The version inside.
        found: u32,
        /// The version that this release reads.
        expected: u32,
    },
    /// It is a snapshot of another run.
    #[error(
        "{place}: the checkpoint is of another run: {what} is {found} there, and {expected} here; use another directory, or what it was made with"
    )]
    OtherRun {
        /// The file, if it came from one.
        place: String,
        /// Setting or part that differs.
        what: String,
        /// Its value in the snapshot.
        found: String,
        /// Its value in the run that would go on.
        expected: String,
    },
}
