//! Long calls. They run on a thread of their own and without the GIL, while the caller's thread
//! looks for signals: Ctrl-C ends them, and what may take a while until it sees that is left behind.

use std::panic;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;
use symopt_cancel::CancelToken;

use crate::error::failed;

/// Longest time until a signal is seen.
const LOOK: Duration = Duration::from_millis(10);

/// The process that imported the module.
static PROCESS: OnceLock<u32> = OnceLock::new();

/// The interpreter that imported the module.
static INTERPRETER: OnceLock<i64> = OnceLock::new();

/// Remembers the process, so that a fork of it is known, and the interpreter: what belongs to one
/// must not be used by another of the same process.
pub fn remember(_py: Python<'_>) -> PyResult<()> {
    PROCESS.get_or_init(std::process::id);
    // SAFETY: this thread is attached to an interpreter.
    let id = unsafe { pyo3::ffi::PyInterpreterState_GetID(pyo3::ffi::PyInterpreterState_Get()) };
    if *INTERPRETER.get_or_init(|| id) != id {
        return Err(PyImportError::new_err(
            "symopt is in use by another interpreter of this process, and works in one only; start a process instead",
        ));
    }
    Ok(())
}

/// Fails in a process that was forked after the import: the threads that computations share are not
/// there, and waiting for them would never end.
pub fn check_process() -> PyResult<()> {
    match PROCESS.get() {
        Some(process) if *process != std::process::id() => Err(failed(
            "this process was forked after symopt was imported, and its threads are gone; start processes with \
             multiprocessing.get_context(\"spawn\")",
        )),
        _ => Ok(()),
    }
}

/// How soon work ends once its token is cancelled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Cancelling {
    /// It ends soon after the token was cancelled, and is waited for.
    Soon,
    /// It may take a while: after Ctrl-C it is left behind to end by itself.
    Behind,
}

/// Work on a thread of its own.
pub struct Work<T> {
    receiver: Receiver<T>,
    worker: Option<JoinHandle<()>>,
    token: CancelToken,
}

impl<T: Send + 'static> Work<T> {
    /// Starts work.
    pub fn start(work: impl FnOnce(&CancelToken) -> T + Send + 'static) -> PyResult<Work<T>> {
        check_process()?;
        let token = CancelToken::new();
        let (sender, receiver) = channel();
        let inner = token.clone();
        let builder = thread::Builder::new().name("symopt".to_owned());
        // Nobody may wait for it any more.
        let spawned = builder.spawn(move || drop(sender.send(work(&inner))));
        let worker = spawned.map_err(|error| failed(format!("can't start a thread: {error}")))?;
        Ok(Work { receiver, worker: Some(worker), token })
    }

    /// Returns the token that cancels it.
    pub fn token(&self) -> &CancelToken {
        &self.token
    }

    /// Waits a while for the result, without the GIL. `None` if there is none yet, or no more.
    pub fn wait(&mut self, patience: Duration) -> PyResult<Option<T>> {
        match self.receiver.recv_timeout(patience) {
            Ok(result) => {
                // Its thread has nothing left to do.
                if let Some(worker) = self.worker.take() {
                    let _ = worker.join();
                }
                Ok(Some(result))
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => match self.worker.take().map(JoinHandle::join) {
                None => Ok(None),
                Some(Err(panic)) => panic::resume_unwind(panic),
                Some(Ok(())) => Err(failed("the work ended without a result")),
            },
        }
    }
}

/// Runs work on a thread without the GIL until it ends, or until Ctrl-C.
pub fn run<T: Send + 'static>(
    py: Python<'_>,
    cancelling: Cancelling,
    work: impl FnOnce(&CancelToken) -> T + Send + 'static,
) -> PyResult<T> {
    let mut work = Work::start(work)?;
    py.detach(move || {
        let mut interrupted = None;
        loop {
            if let Some(result) = work.wait(LOOK)? {
                break interrupted.map_or(Ok(result), Err);
            }
            if let Err(signal) = Python::attach(|py| py.check_signals()) {
                work.token().cancel();
                if cancelling == Cancelling::Behind {
                    break Err(signal);
                }
                interrupted.get_or_insert(signal);
            }
        }
    })
}
