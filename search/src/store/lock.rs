//! The lock of a store: one process writes.

use std::fs::{self, File};
use std::path::Path;

use super::LOCK;
use super::error::{JournalError, store_error};
use crate::directory::no_follow;

/// Takes the lock of a store that is to be written.
pub(super) fn take_lock(path: &Path) -> Result<File, JournalError> {
    let lock_path = path.join(LOCK);
    let lock = no_follow(File::options().create(true).write(true).truncate(false)).open(&lock_path);
    hold(path, lock.map_err(|e| store_error(path, &lock_path, &e))?)
}

/// The lock of a store that may be another user's or on a disk that can't be written: `None` if it
/// can't be had at all.
pub(super) fn take_lock_to_read(path: &Path) -> Result<Option<File>, JournalError> {
    File::open(path.join(LOCK)).ok().map(|lock| hold(path, lock)).transpose()
}

fn hold(path: &Path, lock: File) -> Result<File, JournalError> {
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(fs::TryLockError::WouldBlock) => Err(JournalError::Busy { path: path.to_owned() }),
        Err(fs::TryLockError::Error(e)) => Err(store_error(path, &path.join(LOCK), &e)),
    }
}
