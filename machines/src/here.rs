//! Does jobs in the calling thread.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use symopt_cancel::{CancelToken, Cancelled};
use symopt_dsl::FunctionalHash;
use symopt_proxy_tasks::error::{Failure, FailureKind, TaskError};
use symopt_proxy_tasks::executor::Executor;
use symopt_proxy_tasks::job::{Answer, Job, JobKind, MessageError, Outcome, SuiteText};
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_proxy_tasks::suite::Suite;
use symopt_proxy_tasks::training_run::TrainingRun;
use symopt_search::judge::Benches;

/// Suites that are kept, with the data of their tasks.
const KEPT: usize = 8;

/// Does jobs in the calling thread, and keeps what the next ones need too: suites with their data,
/// and judges with their recordings. It runs no code but its own and, for external tasks, the
/// command that it was given: never the one that a job names.
#[derive(Default)]
pub struct Here {
    command: Option<String>,
    suites: Mutex<Vec<(SuiteText, Arc<Suite>)>>,
    benches: Benches,
}

impl Here {
    /// Does jobs, with a command for external tasks if there is one.
    pub fn new(command: Option<String>) -> Here {
        Here { command, ..Here::default() }
    }

    /// Does a job. A job that can't be done has an outcome too.
    pub fn outcome(&self, job: &Job, cancel: &CancelToken) -> Result<Outcome, Cancelled> {
        if job.hash_version != FunctionalHash::FORMAT_VERSION {
            return Ok(Outcome::Refused(format!(
                "functional hashes of the job have version {}, and those of this release {}; use \
                 the same release everywhere",
                job.hash_version,
                FunctionalHash::FORMAT_VERSION
            )));
        }
        match self.value(job, cancel) {
            Ok(value) => Ok(Outcome::Done(value)),
            Err(Undone::Refused(reason)) => Ok(Outcome::Refused(reason)),
            Err(Undone::Task(TaskError::Cancelled(cancelled))) => Err(cancelled),
            Err(Undone::Task(error)) => Ok(Outcome::Failed(error.to_string())),
        }
    }

    fn value(&self, job: &Job, cancel: &CancelToken) -> Result<Value, Undone> {
        match job.kind {
            JobKind::TrainingRun => {
                let run: TrainingRun =
                    serde::Deserialize::deserialize(&job.body).map_err(|error| {
                        Undone::Refused(format!("the body of the training run: {error}"))
                    })?;
                Ok(run.train(self.suite(&job.suite)?.as_ref(), cancel)?)
            }
            JobKind::Judgement => {
                // A suite that may not run here is refused as such.
                let source = self.source(&job.suite)?;
                Ok(self.benches.judge(&job.body, &job.suite, &|| source.suite(), cancel)?)
            }
            kind => Err(Undone::Refused(format!("no job of the kind {kind:?} is done here"))),
        }
    }

    /// The suite of a text, with the command of this machine.
    fn source(&self, suite: &SuiteText) -> Result<SuiteSource, Undone> {
        let source = SuiteSource { name: suite.name.clone(), text: suite.text.clone() };
        let spec = source.spec()?;
        if let Some(task) = spec.tasks.iter().find(|task| !task.get_ref().data.files().is_empty()) {
            return Err(Undone::Refused(format!(
                "the data of the task {} are files, which a job may not name",
                task.get_ref().name
            )));
        }
        match (&self.command, spec.externals.first()) {
            (_, None) => Ok(source),
            (Some(command), Some(_)) => Ok(source.with_command(command)?),
            (None, Some(task)) => Err(Undone::Refused(format!(
                "the task {} is external, and this worker has no command for it; start it with \
                 --task-command",
                task.get_ref().name
            ))),
        }
    }

    fn suite(&self, text: &SuiteText) -> Result<Arc<Suite>, Undone> {
        let mut kept = self.suites.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.iter().position(|(other, _)| other == text);
        let entry = match known {
            Some(place) => kept.remove(place),
            None => (text.clone(), Arc::new(self.source(text)?.suite()?)),
        };
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        let suite = Arc::clone(&entry.1);
        kept.push(entry);
        Ok(suite)
    }
}

/// Why a job has no value.
enum Undone {
    Refused(String),
    Task(TaskError),
}

impl From<TaskError> for Undone {
    fn from(error: TaskError) -> Undone {
        Undone::Task(error)
    }
}

/// Returns the outcome of a job on a suite as its asker gets it: a value or an error. What ended
/// worker after worker is a failure of the program that they had, as where a command ends without
/// an answer: others go on.
pub(crate) fn value_of(answer: Answer, suite: &str) -> Result<Value, TaskError> {
    let reason = match answer.outcome {
        Outcome::Done(value) => return Ok(value),
        Outcome::Failed(reason) => reason,
        Outcome::Refused(reason) => format!("refused: {reason}"),
        Outcome::Lost(reason) => {
            let failure = Failure { kind: FailureKind::Lost, reason, stderr: String::new() };
            return Err(TaskError::Failed { task: suite.to_owned(), failure });
        }
        Outcome::Returned(reason) => reason,
    };
    Err(TaskError::Elsewhere { place: format!("worker {}", answer.worker), reason })
}

/// A message that can't be written or read.
pub(crate) fn message_error(place: &str, error: &MessageError) -> TaskError {
    TaskError::Elsewhere { place: place.to_owned(), reason: error.to_string() }
}

impl Executor for Here {
    /// All jobs and answers go through their bytes, as those do that travel.
    fn execute(&self, job: &Job, cancel: &CancelToken) -> Result<Value, TaskError> {
        let bytes = job.encode().map_err(|error| message_error("a job", &error))?;
        let job = Job::decode(&bytes).map_err(|error| message_error("a job", &error))?;
        let outcome = self.outcome(&job, cancel)?;
        let answer = Answer { job: Job::digest(&bytes), worker: "here".to_owned(), outcome };
        let bytes = answer.encode().map_err(|error| message_error("an answer", &error))?;
        let answer = Answer::decode(&bytes).map_err(|error| message_error("an answer", &error))?;
        value_of(answer, &job.suite.name)
    }
}
