//! Why a study has no result.

use std::path::PathBuf;

use symopt_cancel::Cancelled;
use symopt_files::WriteError;
use symopt_proxy_tasks::error::TaskError;
use symopt_search::SearchError;
use symopt_search::journal::JournalError;
use symopt_search::launch::LaunchError;
use symopt_search::store::program_source::ProgramError;

/// Why a study has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StudyError {
    /// It was cancelled, wherever that was noticed: neither [`StudyError::Task`] nor
    /// [`StudyError::Launch`] holds that.
    #[error(transparent)]
    Cancelled(Cancelled),
    /// A program of a store.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// A store.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A search.
    #[error(transparent)]
    Launch(LaunchError),
    /// A task, or a program that it can't run.
    #[error(transparent)]
    Task(TaskError),
    /// Threads can't be had.
    #[error("can't start the threads: {0}")]
    Threads(String),
    /// A file can't be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A file can't be read, or is not what it should be.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// Description of the fault and of its remedy.
        reason: String,
    },
    /// A protocol of rediscovery is wrong.
    #[error("{place}: {reason}")]
    Protocol {
        /// The file, or the part of the protocol.
        place: String,
        /// Description of the fault.
        reason: String,
    },
    /// A study can't be done as it was asked for.
    #[error("study {study}: {reason}")]
    Study {
        /// Name of the study on the command line.
        study: &'static str,
        /// Why, and what would help.
        reason: String,
    },
    /// A funnel has nothing to judge.
    #[error(
        "{stores}: no program was evaluated to the end there; let the search go on with `symopt resume`"
    )]
    Empty {
        /// The stores.
        stores: String,
    },
    /// A landscape has nothing to compare with.
    #[error(
        "task {task}: AdamW diverges {place}, so there is nothing to compare with; make the task easier to train"
    )]
    Baseline {
        /// The task.
        task: String,
        /// Where.
        place: &'static str,
    },
    /// Training runs, which a report is to be over, are not counted in all of the stores.
    #[error(
        "{store}: training runs are not counted where programs are directions; use --over evaluations"
    )]
    NoRuns {
        /// The store.
        store: String,
    },
}

impl StudyError {
    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, StudyError::Cancelled(_))
    }
}

impl From<Cancelled> for StudyError {
    fn from(cancelled: Cancelled) -> StudyError {
        StudyError::Cancelled(cancelled)
    }
}

impl From<TaskError> for StudyError {
    fn from(error: TaskError) -> StudyError {
        match error {
            TaskError::Cancelled(cancelled) => StudyError::Cancelled(cancelled),
            error => StudyError::Task(error),
        }
    }
}

impl From<LaunchError> for StudyError {
    fn from(error: LaunchError) -> StudyError {
        match error {
            LaunchError::Task(TaskError::Cancelled(cancelled))
            | LaunchError::Search(SearchError::Task(TaskError::Cancelled(cancelled))) => {
                StudyError::Cancelled(cancelled)
            }
            error => StudyError::Launch(error),
        }
    }
}

/// Threads of a study's own, at least one.
pub(crate) fn pool(threads: usize) -> Result<rayon::ThreadPool, StudyError> {
    let built = rayon::ThreadPoolBuilder::new().num_threads(threads.max(1)).build();
    built.map_err(|error| StudyError::Threads(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cancelled_is_one_error_however_deep_it_was_noticed() {
        let cancelled = || Cancelled::during("task digits was running");
        let task = || TaskError::from(cancelled());
        for error in [
            StudyError::from(cancelled()),
            task().into(),
            LaunchError::from(cancelled()).into(),
            LaunchError::from(task()).into(),
            LaunchError::from(SearchError::from(task())).into(),
        ] {
            assert!(error.is_cancelled(), "{error:?}");
            assert_eq!(error.to_string(), "interrupted while task digits was running");
        }
        let data = TaskError::Data { task: "digits".to_owned(), reason: "no file".to_owned() };
        assert!(!StudyError::from(data).is_cancelled());
    }
}
