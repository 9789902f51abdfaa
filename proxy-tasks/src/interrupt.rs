//! The end of all training in this process: for handlers of interrupts.

use std::sync::atomic::{AtomicBool, Ordering};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Calls off all runs of this process, those under way and those to come: they end with
/// [`TaskError::Interrupted`](crate::error::TaskError::Interrupted), the built-in ones between two
/// steps.
pub fn interrupt() {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// Whether all runs are called off.
pub fn is_interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}
