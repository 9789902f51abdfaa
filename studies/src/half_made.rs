//! Stores whose making was interrupted.

use std::path::Path;
use std::{fs, io};

use symopt_search::journal::{Journal, JournalError};

/// Files of a store that has no manifest yet, and those of a database in it.
const STORE: [&str; 3] = ["journal", "acknowledged", "lock"];
const DATABASE: [&str; 3] = ["blobs", "conf", "db"];

/// Whether a store is at a path.
pub(crate) fn is_store(path: &Path) -> bool {
    path.is_dir() && matches!(Journal::check_vacant(path), Err(JournalError::Exists { .. }))
}

/// Removes what a process that was killed while it made a store has left at a path: files of such a process, and nothing where there is anything
/// else.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let database = path.join(STORE[0]);
    let ours = !is_store(path) && symopt_files::is_vacant(path, &STORE)? && symopt_files::is_vacant(&database, &DATABASE)?;
    if path.is_dir() && ours { fs::remove_dir_all(path) } else { Ok(()) }
}
