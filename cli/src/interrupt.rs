//! Ctrl-C and SIGTERM: the first ends the work cleanly, the second at once.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::failure::Failure;
use crate::progress;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// The flag that an interrupt sets.
pub fn flag() -> Result<&'static AtomicBool, Failure> {
    ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            // What was acknowledged is on the disk.
            std::process::exit(130);
        }
        // Runs that are under way end between two steps, and training scripts are killed.
        symopt_proxy_tasks::interrupt::interrupt();
        progress::note("interrupted: the runs under way are stopped; Ctrl-C again ends at once");
    })
    .map_err(|error| Failure::Work(format!("can't watch for interrupts: {error}")))?;
    Ok(&INTERRUPTED)
}
