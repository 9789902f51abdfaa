//! Files that are written whole or not at all.
//!
//! [`write()`] makes the new content beside the old file, brings it to the disk and only then puts
//! it in the old one's place. A process that is killed, a machine that stops and a disk that is
//! full leave the old file as it was. On Linux the new content has no name while it is written, so
//! a kill leaves nothing behind; elsewhere, and in the instant between naming and renaming, a file
//! [`is_unfinished`] may stay, which the next write of the same file removes.
//!
//! | what is at the path | what happens |
//! |---|---|
//! | nothing, or a regular file | replaced as a whole; a new file has the permissions of any new file, an old one keeps its own |
//! | a symbolic link | the same with its target; the link stays |
//! | a pipe, a terminal, `/dev/stdout`, `/proc/self/fd/1` | written straight |
//! | a file in a directory that may not be written to, a file that is a mount point | written straight, since nothing can be put beside it |
//!
//! [`check_writable`] says before long work whether its file could be written.

mod beside;
mod error;
mod target;

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use beside::Beside;
pub use error::WriteError;
use target::Target;

/// Writes a file, whole or not at all; in place of what was there.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    place(path, bytes).map_err(|error| WriteError::of_file(path, error))
}

fn place(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let target = Target::of(path)?;
    let Target::Whole { path, old } = &target else { return straight(path, bytes) };
    let put = || {
        let beside = Beside::new(path, old.as_ref())?;
        beside.file().write_all(bytes)?;
        beside.persist(path, old.as_ref())
    };
    match put() {
        // A file that may be written in a directory that may not, or that something is mounted on.
        Err(error) if old.is_some() && refuses_neighbours(&error) => straight(path, bytes),
        result => result,
    }
}

fn refuses_neighbours(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::ResourceBusy
    )
}

fn straight(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    file.write_all(bytes)?;
    match file.metadata()?.is_file() {
        true => file.sync_all(),
        // Pipes and terminals can't be brought to a disk.
        false => Ok(()),
    }
}

/// Whether a file can be written at a path, as far as that can be told without writing it. Nothing
/// is left behind.
pub fn check_writable(path: &Path) -> Result<(), WriteError> {
    let check = || {
        let target = Target::of(path)?;
        let Target::Whole { path, old } = &target else { return Ok(()) };
        match Beside::new(path, old.as_ref()) {
            Err(error) if old.is_some() && refuses_neighbours(&error) => Ok(()),
            beside => beside.map(drop),
        }
    };
    check().map_err(|error| WriteError::of_file(path, error))
}

/// Makes a directory and those above it, where they are not there yet.
pub fn create_directory(path: &Path) -> Result<(), WriteError> {
    fs::create_dir_all(path).map_err(|error| WriteError::of_directory(path, error))
}

/// Whether a name in a directory is that of a file which [`write()`] was writing when its process
/// was killed.
pub fn is_unfinished(name: &OsStr) -> bool {
    beside::is_unfinished(name)
}
