//! Notices for the coordinator's user.

use std::fmt;
use std::time::Duration;

/// Something that the user should hear of while the work goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// The server does not answer.
    Away {
        /// Which.
        url: String,
    },
    /// It answers again.
    Back {
        /// Which.
        url: String,
    },
    /// No worker has taken a job.
    NoWorker {
        /// Where.
        url: String,
        /// The class of the jobs.
        class: String,
        /// For how long.
        waited: Duration,
    },
    /// Two workers gave different results for one job.
    Differs {
        /// Whose result counted.
        first: String,
        /// Whose did not.
        second: String,
    },
    /// A worker gave a result that is not what is computed here.
    Wrong {
        /// Name of the worker.
        worker: String,
        /// Results of it that counted before, and were computed again.
        others: usize,
        /// How many of these are wrong too.
        wrong: usize,
    },
    /// A worker does not take part.
    Returned {
        /// Name of the worker.
        worker: String,
        /// Why.
        reason: String,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::Away { url } => {
                write!(f, "{url}: the server does not answer; the work goes on when it does")
            }
            Notice::Back { url } => write!(f, "{url}: the server answers again"),
            Notice::NoWorker { url, class, waited } => write!(
                f,
                "no worker of the class {class} has taken a job for {} s; start some with \
                 `symopt worker --server {url} --class {class}`",
                waited.as_secs()
            ),
            Notice::Differs { first, second } => write!(
                f,
                "alarm: the workers {first} and {second} gave different results for one job; the \
                 first counts"
            ),
            Notice::Wrong { worker, others, wrong } => write!(
                f,
                "alarm: worker {worker} gave a result that is not the one computed here; nothing \
                 more is taken from it, and of {others} of its other results, computed again, \
                 {wrong} are wrong"
            ),
            Notice::Returned { worker, reason } => {
                write!(f, "worker {worker} gave a job back: {reason}")
            }
        }
    }
}
