//! The seam between whoever needs training runs and whoever does them.
//!
//! A suite does its training runs in the thread that asks for them, unless it was made with
//! [`SuiteSource::suite_on`](crate::spec::SuiteSource::suite_on): then its tasks, and the judges on
//! it, make [jobs](Job) and give them to an [`Executor`]. Whatever trains on a suite (searches,
//! studies, tuning) is the same either way, and so are its results, bit for bit.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use symopt_cancel::CancelToken;
use symopt_dsl::FunctionalHash;

use crate::error::TaskError;
use crate::job::{Job, JobKind, SuiteText};

/// Does jobs.
pub trait Executor: Send + Sync {
    /// Does a job while the calling thread waits, and returns what [`Outcome::Done`] holds. Many
    /// threads may wait at a time. Once `cancel` is cancelled, it ends soon with
    /// [`TaskError::Cancelled`].
    ///
    /// [`Outcome::Done`]: crate::job::Outcome::Done
    fn execute(&self, job: &Job, cancel: &CancelToken) -> Result<Value, TaskError>;
}

/// Where the work on a suite is done, if not in the thread that asks for it.
#[derive(Clone)]
pub struct Elsewhere {
    executor: Arc<dyn Executor>,
    suite: SuiteText,
}

impl Elsewhere {
    /// The work on a suite, done by an executor.
    pub fn new(executor: Arc<dyn Executor>, suite: SuiteText) -> Elsewhere {
        Elsewhere { executor, suite }
    }

    /// Returns the executor that does the work.
    pub fn executor(&self) -> &Arc<dyn Executor> {
        &self.executor
    }

    /// Has a job of the suite done.
    pub fn execute<T: DeserializeOwned>(
        &self,
        kind: JobKind,
        body: &impl Serialize,
        cancel: &CancelToken,
    ) -> Result<T, TaskError> {
        let wrong = |what: &str, error: &serde_json::Error| TaskError::Elsewhere {
            place: format!("suite {}", self.suite.name),
            reason: format!("{what}: {error}"),
        };
        let job = Job {
            kind,
            hash_version: FunctionalHash::FORMAT_VERSION,
            suite: self.suite.clone(),
            body: serde_json::to_value(body).map_err(|error| wrong("the job", &error))?,
        };
        let value = self.executor.execute(&job, cancel)?;
        serde_json::from_value(value).map_err(|error| wrong("the answer to a job", &error))
    }
}
