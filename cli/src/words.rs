//! The words that the command was started with.

use std::ffi::OsString;
use std::sync::OnceLock;

static WORDS: OnceLock<Vec<OsString>> = OnceLock::new();

/// Keeps the words of the command, its own name first. The first call counts.
pub fn set(words: Vec<OsString>) {
    let _ = WORDS.set(words);
}

/// The name of the command and its arguments.
pub fn all() -> &'static [OsString] {
    WORDS.get().map_or(&[], Vec::as_slice)
}

/// The arguments alone.
pub fn arguments() -> &'static [OsString] {
    all().get(1..).unwrap_or_default()
}
