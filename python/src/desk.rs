//! The desk between a search and whoever makes its training runs in Python: evaluations lay requests
//! down and wait, Python takes them and answers, in any order and from any thread.

use std::collections::{HashMap, VecDeque};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use symopt_cancel::CancelToken;
use symopt_proxy_tasks::error::{Failure, FailureKind};
use symopt_proxy_tasks::external::runner::{Rest, Runner, Unanswered, Wanted};

use crate::error::input;
use crate::work::Work;

/// Longest time until an evaluation sees that it was cancelled.
const LOOK: Duration = Duration::from_millis(20);

/// Requests and answers.
pub struct Desk {
    state: Mutex<State>,
    changed: Condvar,
    /// Whether a run of AdamW may be asked for to see that training works.
    is_checked: bool,
}

#[derive(Default)]
struct State {
    next: u64,
    /// Requests that nobody has taken.
    waiting: VecDeque<(u64, String)>,
    /// The ways to the evaluations that wait for answers.
    open: HashMap<u64, Sender<Said>>,
    /// There will be no more requests.
    is_over: bool,
}

/// Message from Python about a run.
enum Said {
    /// A line of the protocol; whoever says it hears what is left of the run.
    Line(String, Sender<Rest>),
    Failed(Failure),
}

impl Desk {
    pub fn new(is_checked: bool) -> Desk {
        Desk { state: Mutex::default(), changed: Condvar::new(), is_checked }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that there will be no more requests.
    pub fn close(&self) {
        self.state().is_over = true;
        self.changed.notify_all();
    }

    fn take(&self, count: usize, patience: Duration) -> (Vec<(u64, String)>, bool) {
        let end = Instant::now() + patience;
        let mut state = self.state();
        while count > 0 && state.waiting.is_empty() && !state.is_over {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let count = count.min(state.waiting.len());
        let taken = state.waiting.drain(..count).collect();
        (taken, state.is_over)
    }

    /// Returns what is left of a run after what was said.
    fn say(&self, number: u64, line: String) -> Rest {
        let way = self.state().open.get(&number).cloned();
        let (reply, replied) = channel();
        // The evaluation may have ended meanwhile.
        way.and_then(|way| way.send(Said::Line(line, reply)).ok())
            .and_then(|()| replied.recv().ok())
            .unwrap_or(Rest::Unwanted)
    }

    /// Whether a run has a result after all lines about it.
    fn finish(&self, number: u64, lines: Vec<String>) -> bool {
        let mut rest = Rest::Wanted;
        for line in lines {
            rest = self.say(number, line);
            if rest != Rest::Wanted {
                break;
            }
        }
        if rest == Rest::Wanted {
            let reason = "the last line does not end the run".to_owned();
            let kind = FailureKind::Garbage;
            self.fail(number, Failure { kind, reason, stderr: String::new() });
        }
        rest == Rest::Done
    }

    fn fail(&self, number: u64, failure: Failure) -> bool {
        let way = self.state().open.get(&number).cloned();
        way.is_some_and(|way| way.send(Said::Failed(failure)).is_ok())
    }
}

impl Runner for Desk {
    fn run(
        &self,
        wanted: Wanted,
        cancel: &CancelToken,
        hear: &mut dyn FnMut(&[u8]) -> Rest,
    ) -> Result<(), Unanswered> {
        let (way, answers) = channel();
        let number = {
            let mut state = self.state();
            state.next += 1;
            let number = state.next;
            state.open.insert(number, way);
            state.waiting.push_back((number, wanted.request));
            number
        };
        self.changed.notify_all();
        let ended = loop {
            match answers.recv_timeout(LOOK) {
                Ok(Said::Line(line, reply)) => {
                    let rest = hear(line.as_bytes());
                    // Whoever said it may be gone.
                    let _ = reply.send(rest);
                    if rest != Rest::Wanted {
                        break Ok(());
                    }
                }
                Ok(Said::Failed(failure)) => break Err(Unanswered::Failed(failure)),
                Err(RecvTimeoutError::Timeout) if !cancel.is_cancelled() => {}
                Err(_) => break Err(Unanswered::Cancelled),
            }
        };
        let mut state = self.state();
        state.open.remove(&number);
        state.waiting.retain(|(other, _)| *other != number);
        ended
    }

    fn is_checked(&self) -> bool {
        self.is_checked
    }
}

/// A search in the background whose training runs are made here. Dropped, it is cancelled; `close`
/// also waits for its end.
#[pyclass(frozen, module = "symopt._symopt")]
pub struct Asking {
    desk: Arc<Desk>,
    token: CancelToken,
    work: Mutex<Work<PyResult<String>>>,
}

impl Asking {
    pub fn new(desk: Arc<Desk>, work: Work<PyResult<String>>) -> Asking {
        Asking { desk, token: work.token().clone(), work: Mutex::new(work) }
    }

    fn work(&self) -> MutexGuard<'_, Work<PyResult<String>>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Asking {
    /// Up to `count` requests, with their numbers, and whether there will be no more. Waits up to
    /// `seconds` for the first.
    fn take(&self, py: Python<'_>, count: usize, seconds: f64) -> (Vec<(u64, String)>, bool) {
        let patience = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        py.detach(|| self.desk.take(count, patience))
    }

    /// Says a line of the protocol about a run; returns whether more is wanted.
    fn say(&self, py: Python<'_>, number: u64, line: String) -> bool {
        py.detach(|| self.desk.say(number, line)) == Rest::Wanted
    }

    /// Says all lines of the protocol about a run; returns whether the run has a result, so that the
    /// next seed of its program may follow.
    fn finish(&self, py: Python<'_>, number: u64, lines: Vec<String>) -> bool {
        py.detach(|| self.desk.finish(number, lines))
    }

    /// Says that a run failed; returns whether anybody has heard it.
    fn fail(
        &self,
        py: Python<'_>,
        number: u64,
        kind: &str,
        reason: String,
        details: String,
    ) -> PyResult<bool> {
        let kind = match kind {
            "start" => FailureKind::Start,
            "ended" => FailureKind::Ended,
            "timeout" => FailureKind::Timeout,
            "garbage" => FailureKind::Garbage,
            "reported" => FailureKind::Reported,
            other => return Err(input(format!("there is no failure of the kind {other:?}"))),
        };
        let failure = Failure { kind, reason, stderr: details };
        Ok(py.detach(|| self.desk.fail(number, failure)))
    }

    /// Whether an answer about a run is wanted.
    fn is_open(&self, number: u64) -> bool {
        self.desk.state().open.contains_key(&number)
    }

    /// Cancels the search, which ends soon.
    fn cancel(&self) {
        self.token.cancel();
        // Wakes the evaluations.
        self.desk.state().open.clear();
    }

    /// Waits up to some seconds for the end of the search: its result, or the exception that ended
    /// it. None if it has not ended, or was asked for before.
    fn result(&self, py: Python<'_>, seconds: f64) -> PyResult<Option<String>> {
        let patience = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        py.detach(|| self.work().wait(patience))?.transpose()
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.token.cancel();
    }
}
