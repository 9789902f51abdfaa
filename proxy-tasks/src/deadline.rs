//! The end of runs by the clock, also between two of their checkpoints.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Instant;

/// Does work that runs tasks. `call_off(true)` is called at `end` if it has not ended by then, and
/// `call_off(false)` once it has. Where no thread can be had to wait for that, the work looks at
/// the time by itself.
pub fn until<T>(
    end: Option<Instant>,
    call_off: &(dyn Fn(bool) + Sync),
    work: impl FnOnce() -> T,
) -> T {
    let Some(end) = end else { return work() };
    thread::scope(|scope| {
        let (working, ended) = channel::<()>();
        let timer = move || {
            let left = end.saturating_duration_since(Instant::now());
            if ended.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
                call_off(true);
            }
        };
        let timer = thread::Builder::new().spawn_scoped(scope, timer);
        let result = work();
        drop(working);
        if timer.is_ok_and(|timer| timer.join().is_ok()) {
            call_off(false);
        }
        result
    })
}
