//! The lock of a store: one process writes.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

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

/// How long a lock is waited for. A process that is being started has the open files of the one
/// that starts it, and with them its locks, until its own program runs.
const STARTING: Duration = Duration::from_millis(500);

fn hold(path: &Path, lock: File) -> Result<File, JournalError> {
    let begin = Instant::now();
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(fs::TryLockError::WouldBlock) if begin.elapsed() < STARTING => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(fs::TryLockError::WouldBlock) => {
                return Err(JournalError::Busy { path: path.to_owned() });
            }
            Err(fs::TryLockError::Error(e)) => {
                return Err(store_error(path, &path.join(LOCK), &e));
            }
        }
    }
}
