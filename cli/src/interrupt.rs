//! Ctrl-C and SIGTERM: the first ends the work cleanly, the second at once.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::failure::Failure;
use crate::progress;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// What came of watching for interrupts, which begins once.
static WATCHED: OnceLock<Result<(), String>> = OnceLock::new();

/// The flag that an interrupt sets.
pub fn flag() -> Result<&'static AtomicBool, Failure> {
    let watched = WATCHED.get_or_init(|| watch().map_err(|error| error.to_string()));
    match watched {
        Ok(()) => Ok(&INTERRUPTED),
        Err(error) => Err(Failure::Work(format!("can't watch for interrupts: {error}"))),
    }
}

fn watch() -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            // What was acknowledged is on the disk.
            std::process::exit(130);
        }
        // Runs that are under way end between two steps, and training scripts are killed.
        symopt_proxy_tasks::interrupt::interrupt();
        progress::note("interrupted: the runs under way are stopped; Ctrl-C again ends at once");
    })
}
