//! Runs of external tasks that the program around this library makes, in place of the command: a
//! function of the user's on a pool of processes, or the user by hand.

use std::sync::Arc;

use symopt_cancel::CancelToken;

use crate::error::Failure;

/// A run that is wanted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Wanted {
    /// Goes back with every answer.
    pub id: u64,
    /// The request, as the [protocol](super) has it, with the text of the export in place of its
    /// path.
    pub request: String,
}

/// Whether the rest of a run is wanted after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// It goes on.
    Wanted,
    /// It has a result; the run of the next seed follows, if there is one.
    Done,
    /// It failed or diverged, or nobody needs the rest.
    Unwanted,
}

/// Why a run has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// It was cancelled.
    Cancelled,
    /// It failed.
    Failed(Failure),
}

/// Makes runs of an external task in place of its command.
pub trait Runner: Send + Sync {
    /// Makes a run. Each answer, a line of the [protocol](super), goes to `hear`, until that says
    /// that no more is wanted; which thread made the run, and when, must not show in the answers.
    /// Ends soon once `cancel` is cancelled.
    fn run(
        &self,
        wanted: Wanted,
        cancel: &CancelToken,
        hear: &mut dyn FnMut(&[u8]) -> Rest,
    ) -> Result<(), Unanswered>;

    /// Whether a search that is resumed makes a run of AdamW first, to see that training works.
    fn is_checked(&self) -> bool {
        true
    }
}

/// Maker of the runs of external tasks in this process, if not the commands of their descriptions.
#[derive(Clone)]
pub enum Hands {
    /// Another command, which serves the same training.
    Command(String),
    /// The program around this library.
    Runner(Arc<dyn Runner>),
}
