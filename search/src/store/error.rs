//! Why a store can't be made, opened, read or written.

use std::io;
use std::path::{Path, PathBuf};

use symopt_dsl::shell::Command;

use super::FORMAT_VERSION;

/// Why a store can't be made, opened or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// There is no store.
    #[error("{path}: no store is there; `symopt search` makes one")]
    Missing {
        /// The directory.
        path: PathBuf,
    },
    /// There is one already.
    #[error("{path}: a store is there already; go on with `{}`, or choose another directory with --store", Command::new("resume").operand(path))]
    Exists {
        /// The directory.
        path: PathBuf,
    },
    /// The place is taken by something else.
    #[error("{path}: {reason}; choose a new or empty directory with --store")]
    Taken {
        /// The directory or file.
        path: PathBuf,
        /// Description of the contents.
        reason: &'static str,
    },
    /// The directory is something else.
    #[error(
        "{path}: not a symopt store ({reason}); nothing in it was touched. A store is the directory that `symopt search` names first and last"
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// How that is known.
        reason: String,
    },
    /// A newer release wrote it.
    #[error(
        "{path}: the store has format version {found}, this release reads up to {FORMAT_VERSION}; use a newer release"
    )]
    Newer {
        /// The directory.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The contents are damaged.
    #[error("{path}: the store is damaged ({reason}); nothing in it was touched: restore it from a copy, or {}", way_out(path, *salvage))]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// Description of the damage.
        reason: String,
        /// Whether what stands before the damage can be taken up.
        salvage: bool,
    },
    /// Another process uses it.
    #[error("{path}: another process uses this store; wait until it has ended, or stop it")]
    Busy {
        /// The directory.
        path: PathBuf,
    },
    /// The disk, or the quota, is full.
    #[error("{path}: no space is left on the disk ({reason}); free some space, then {next}")]
    Full {
        /// Where it is full.
        path: PathBuf,
        /// Message of the system.
        reason: String,
        /// Next step for the user.
        next: String,
    },
    /// The disk fails.
    #[error(
        "{path}: the disk can't be read or written ({reason}); see to the disk first, then {next}"
    )]
    Disk {
        /// The file.
        path: PathBuf,
        /// Message of the system.
        reason: String,
        /// Next step for the user.
        next: String,
    },
    /// The copy that an old store is read through can't be made.
    #[error(
        "{path}: the store is of an earlier format, which is read through a temporary copy, and that can't be made ({reason}); free some space \
         there, or name another directory with TMPDIR"
    )]
    Temporary {
        /// The temporary directory.
        path: PathBuf,
        /// Message of the system.
        reason: String,
    },
    /// The file system says no.
    #[error("{path}: {reason}")]
    File {
        /// The file or directory.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
}

fn way_out(path: &Path, salvage: bool) -> String {
    match salvage {
        true => format!(
            "go on from what is whole with `{}`",
            Command::new("resume").operand(path).flag("--salvage")
        ),
        false => "begin a new search".to_owned(),
    }
}

impl JournalError {
    /// Whether the work failed, and nothing is wrong with what was asked for.
    pub fn is_failed_work(&self) -> bool {
        matches!(
            self,
            JournalError::Full { .. } | JournalError::Disk { .. } | JournalError::Temporary { .. }
        )
    }
}

/// Whether a disk or a quota is full.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// EIO.
fn is_disk(error: &io::Error) -> bool {
    cfg!(unix) && error.raw_os_error() == Some(5)
}

/// An error at a file, with what to do when a full disk or a failing one is put right.
fn error_at(path: &Path, error: &io::Error, next: impl FnOnce() -> String) -> JournalError {
    let (path, reason) = (path.to_owned(), error.to_string());
    match error {
        error if is_full(error) => JournalError::Full { path, reason, next: next() },
        error if is_disk(error) => JournalError::Disk { path, reason, next: next() },
        _ => JournalError::File { path, reason },
    }
}

/// An error at a file of a store that is there.
pub(super) fn store_error(store: &Path, path: &Path, error: &io::Error) -> JournalError {
    match error_at(path, error, || {
        format!("go on with `{}`", Command::new("resume").operand(store))
    }) {
        JournalError::File { path, reason } if error.kind() == io::ErrorKind::PermissionDenied => {
            JournalError::File {
                path,
                reason: format!(
                    "{reason}: this user may not do that with the store; ask its owner, or take a copy of it"
                ),
            }
        }
        JournalError::File { path, reason }
            if error.kind() == io::ErrorKind::ReadOnlyFilesystem =>
        {
            JournalError::File {
                path,
                reason: format!(
                    "{reason}: the store can be read there, and gone on with in a copy of it elsewhere"
                ),
            }
        }
        error => error,
    }
}

/// An error at a file of a store that is being made.
pub(super) fn making_error(path: &Path, error: &io::Error) -> JournalError {
    match error_at(path, error, || "begin the search again".to_owned()) {
        JournalError::File { path, reason } => JournalError::File {
            path,
            reason: format!(
                "a store can't be made there ({reason}); choose another directory with --store"
            ),
        },
        error => error,
    }
}
