//! The words that the command was started with.

use std::ffi::OsString;
use std::sync::OnceLock;

use symopt_dsl::shell::Command;

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

/// The command that makes a page again, as one would type it. It does not depend on where the page
/// goes: what is made from the same stores and programs is the same.
pub fn of_page() -> String {
    let mut words: Vec<OsString> = vec!["symopt".into()];
    let mut is_file = false;
    for word in arguments() {
        let text = word.to_string_lossy();
        words.push(match (is_file, text.starts_with("--html=")) {
            (true, _) => "FILE".into(),
            (false, true) => "--html=FILE".into(),
            (false, false) => word.clone(),
        });
        is_file = !is_file && text == "--html";
    }
    Command::of_words(words).to_string()
}
