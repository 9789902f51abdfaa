//! Ctrl-C and SIGTERM: the first ends the work cleanly, the second at once.

use std::sync::OnceLock;

use symopt_cancel::CancelToken;

use crate::failure::Failure;
use crate::progress;

/// Default answer to an interrupt.
const NOTE: &str = "interrupted: the runs under way are stopped; Ctrl-C again ends at once";

/// Token that the handler cancels, or why there is no handler. It is set once.
static WATCHED: OnceLock<Result<CancelToken, String>> = OnceLock::new();

/// The token that an interrupt cancels: the root of all others. Without a call of this, an
/// interrupt ends the process at once.
pub fn token() -> Result<CancelToken, Failure> {
    token_saying(NOTE)
}

/// The same with what is said when it is cancelled; whoever asks first has the say.
pub fn token_saying(note: &'static str) -> Result<CancelToken, Failure> {
    let watched = WATCHED.get_or_init(|| watch(note).map_err(|error| error.to_string()));
    watched.clone().map_err(|error| Failure::Work(format!("can't watch for interrupts: {error}")))
}

fn watch(note: &'static str) -> Result<CancelToken, ctrlc::Error> {
    let token = CancelToken::new();
    let root = token.clone();
    ctrlc::set_handler(move || {
        if root.is_cancelled() {
            // Acknowledged work is on the disk.
            std::process::exit(130);
        }
        // Runs that are under way end between two steps, and training scripts are killed.
        root.cancel();
        progress::note(note);
    })?;
    Ok(token)
}
