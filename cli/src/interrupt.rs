//! Ctrl-C and SIGTERM: the first ends the work cleanly, the second at once.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::failure::Failure;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// The flag that an interrupt sets.
pub fn flag() -> Result<&'static AtomicBool, Failure> {
    ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            // What was acknowledged is on the disk.
            std::process::exit(130);
        }
        // Nobody else sees to a training script that takes its time.
        symopt_proxy_tasks::external::interrupt();
    })
    .map_err(|error| Failure::Work(format!("can't watch for interrupts: {error}")))?;
    Ok(&INTERRUPTED)
}
