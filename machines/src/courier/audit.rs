//! Whether the workers' results are right: some of them are computed here again.
//!
//! The first results of each worker are computed here too before they count, and so is one in a
//! hundred of all others, chosen by the job. A worker with a wrong one is in quarantine from then
//! on, and whatever else it did is computed again.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use symopt_cancel::CancelToken;
use symopt_proxy_tasks::job::{Answer, Job, JobKind, Outcome, SuiteText};
use symopt_proxy_tasks::spec::SuiteSource;

use crate::here::Here;

/// One job in so many is audited.
const AUDITED: u64 = 100;
/// A job that took a worker longer is not: whoever asks has other things to do.
const LONGEST: Duration = Duration::from_secs(20);
/// Results that are remembered, the last ones.
const REMEMBERED: usize = 10_000;

/// Whether workers can be trusted, and what they did.
#[derive(Default)]
pub(super) struct Auditor {
    here: Here,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    trusted: HashSet<String>,
    quarantined: HashSet<String>,
    /// Suites, and whether their results are the same everywhere.
    suites: Vec<(Arc<SuiteText>, bool)>,
    order: VecDeque<String>,
    done: HashMap<String, Done>,
}

/// A result that counts.
#[derive(Clone)]
struct Done {
    worker: String,
    essence: String,
    kind: JobKind,
    hash_version: u32,
    suite: Arc<SuiteText>,
    body: Arc<serde_json::Value>,
}

/// Result of an audit.
pub(super) enum Found {
    /// The result is right.
    Right,
    /// It is not; this one is.
    Wrong(Outcome),
    /// There is no result here to compare with.
    Unknown,
}

/// Two results of one job.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// Name of the first worker.
    pub(super) first: String,
    /// Name of the second worker.
    pub(super) second: String,
}

impl Auditor {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a worker gave a wrong result.
    pub(super) fn is_quarantined(&self, worker: &str) -> bool {
        self.state().quarantined.contains(worker)
    }

    /// The workers that did, with commas between.
    pub(super) fn quarantined(&self) -> String {
        let state = self.state();
        // Names that would break a header are of no worker of ours.
        let fits = |c: char| c.is_ascii_graphic() && c != ',';
        let names = state.quarantined.iter().map(String::as_str);
        let mut names: Vec<&str> = names.filter(|name| name.chars().all(fits)).collect();
        names.sort_unstable();
        names.join(",")
    }

    /// Whether an answer is to be audited before it counts, with the time that the worker took.
    pub(super) fn wants(&self, job: &Job, answer: &Answer, took: Option<Duration>) -> bool {
        let mut state = self.state();
        matches!(answer.outcome, Outcome::Done(_))
            && took.is_none_or(|took| took <= LONGEST)
            && (!state.trusted.contains(&answer.worker) || is_chosen(&answer.job))
            && state.suite(&job.suite).1
    }

    /// Computes a job here.
    pub(super) fn audit(&self, job: &Job, answer: &Answer, cancel: &CancelToken) -> Found {
        match self.here.outcome(job, cancel) {
            Ok(own @ Outcome::Done(_)) if essence(&own) == essence(&answer.outcome) => {
                self.state().trusted.insert(answer.worker.clone());
                Found::Right
            }
            Ok(own @ Outcome::Done(_)) => {
                let mut state = self.state();
                state.trusted.remove(&answer.worker);
                state.quarantined.insert(answer.worker.clone());
                Found::Wrong(own)
            }
            _ => Found::Unknown,
        }
    }

    /// Remembers a result that counts.
    pub(super) fn took(&self, job: &Job, answer: &Answer) {
        if !matches!(answer.outcome, Outcome::Done(_)) {
            return;
        }
        let mut state = self.state();
        let (suite, is_same) = state.suite(&job.suite);
        if !is_same {
            return;
        }
        let done = Done {
            worker: answer.worker.clone(),
            essence: essence(&answer.outcome),
            kind: job.kind,
            hash_version: job.hash_version,
            suite,
            body: Arc::new(job.body.clone()),
        };
        if state.done.insert(answer.job.clone(), done).is_none() {
            state.order.push_back(answer.job.clone());
        }
        if state.order.len() > REMEMBERED
            && let Some(oldest) = state.order.pop_front()
        {
            state.done.remove(&oldest);
        }
    }

    /// Compares an answer that is not needed with the one that counted.
    pub(super) fn compare(&self, answer: &Answer) -> Option<Difference> {
        let state = self.state();
        let done = state.done.get(&answer.job)?;
        let is_other =
            matches!(answer.outcome, Outcome::Done(_)) && essence(&answer.outcome) != done.essence;
        is_other.then(|| Difference { first: done.worker.clone(), second: answer.worker.clone() })
    }

    /// Computes again what a worker did that counted: how much there was, and how much of it is
    /// wrong.
    pub(super) fn do_again(&self, worker: &str, cancel: &CancelToken) -> (usize, usize) {
        let of_worker: Vec<Done> =
            self.state().done.values().filter(|done| done.worker == worker).cloned().collect();
        let is_wrong = |done: &&Done| {
            let job = Job {
                kind: done.kind,
                hash_version: done.hash_version,
                suite: done.suite.as_ref().clone(),
                body: done.body.as_ref().clone(),
            };
            let own = self.here.outcome(&job, cancel);
            own.is_ok_and(|own| essence(&own) != done.essence)
        };
        (of_worker.len(), of_worker.iter().filter(is_wrong).count())
    }
}

impl State {
    fn suite(&mut self, suite: &SuiteText) -> (Arc<SuiteText>, bool) {
        /// More than a process asks for in turns.
        const KEPT: usize = 32;
        if let Some((kept, is_same)) = self.suites.iter().find(|(kept, _)| **kept == *suite) {
            return (Arc::clone(kept), *is_same);
        }
        let source = SuiteSource { name: suite.name.clone(), text: suite.text.clone() };
        // A command may give another result each time.
        let is_same = source.spec().is_ok_and(|spec| spec.externals.is_empty());
        if self.suites.len() >= KEPT {
            self.suites.remove(0);
        }
        let kept = Arc::new(suite.clone());
        self.suites.push((Arc::clone(&kept), is_same));
        (kept, is_same)
    }
}

/// Whether a job is one of those that are audited, whoever does them.
fn is_chosen(digest: &str) -> bool {
    let end = digest.get(digest.len().saturating_sub(8)..).unwrap_or_default();
    u64::from_str_radix(end, 16).is_ok_and(|number| number.is_multiple_of(AUDITED))
}

/// A digest of what must be equal in all results of a job: not how long it took.
fn essence(outcome: &Outcome) -> String {
    let mut outcome = outcome.clone();
    if let Outcome::Done(serde_json::Value::Object(fields)) = &mut outcome {
        fields.remove("seconds");
    }
    Job::digest(&serde_json::to_vec(&outcome).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job() -> Job {
        let source = SuiteSource::find("smoke").unwrap();
        let suite = SuiteText { name: source.name, text: source.text };
        let program = symopt_programs::find("lion").unwrap().program();
        let hash = symopt_dsl::Graph::new(&program).unwrap().hash().to_string();
        let body = json!({
            "task": "smoke-mlp", "program": {"text": program.to_string(), "hash": hash},
            "peak_lr": 0.01f64.to_bits(), "hyperparameters": [], "seed": 1,
        });
        let hash_version = symopt_dsl::FunctionalHash::FORMAT_VERSION;
        Job { kind: JobKind::TrainingRun, hash_version, suite, body }
    }

    fn answer(worker: &str, job: &Job, change: impl FnOnce(&mut serde_json::Value)) -> Answer {
        let outcome = Here::default().outcome(job, &CancelToken::new()).unwrap();
        let Outcome::Done(mut value) = outcome else { panic!("{outcome:?}") };
        change(&mut value);
        let digest = Job::digest(&job.encode().unwrap());
        Answer { job: digest, worker: worker.to_owned(), outcome: Outcome::Done(value) }
    }

    #[test]
    fn a_worker_with_one_wrong_bit_is_found_and_one_that_took_another_time_is_not() {
        let (auditor, cancel, job) = (Auditor::default(), CancelToken::new(), job());
        let good = answer("good", &job, |value| value["seconds"] = json!(123.0));
        let bad = answer("bad", &job, |value| {
            let bits = value["curve"][0]["loss"].as_u64().unwrap();
            value["curve"][0]["loss"] = json!(bits ^ 1);
        });
        // Whoever is new is audited, and afterwards one in a hundred.
        assert!(auditor.wants(&job, &good, None) && auditor.wants(&job, &bad, None));
        assert!(matches!(auditor.audit(&job, &good, &cancel), Found::Right));
        assert_eq!(auditor.wants(&job, &good, None), is_chosen(&good.job));
        assert!(!auditor.wants(&job, &bad, Some(LONGEST * 2)));
        auditor.took(&job, &good);
        assert_eq!(auditor.compare(&answer("other", &job, |_| {})), None);
        let difference = Difference { first: "good".to_owned(), second: "bad".to_owned() };
        assert_eq!(auditor.compare(&bad), Some(difference));
        let Found::Wrong(own) = auditor.audit(&job, &bad, &cancel) else { panic!() };
        assert_eq!(essence(&own), essence(&good.outcome));
        assert!(auditor.is_quarantined("bad") && !auditor.is_quarantined("good"));
        assert_eq!(auditor.quarantined(), "bad");
        assert_eq!(auditor.do_again("good", &cancel), (1, 0));
        auditor.took(&job, &bad);
        assert_eq!(auditor.do_again("bad", &cancel), (1, 1));
    }

    #[test]
    fn one_job_in_a_hundred_is_chosen_by_its_digest() {
        let digests = (0..10_000u32).map(|i| Job::digest(&i.to_le_bytes()));
        let chosen = digests.filter(|digest| is_chosen(digest)).count();
        assert!((60..140).contains(&chosen), "{chosen}");
        assert!(!is_chosen("") && !is_chosen("é"));
    }
}
