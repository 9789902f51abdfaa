//! Files that commands write.

use std::path::Path;

use crate::failure::Failure;

/// Fails where a file can't be written at a path, as far as that can be told without writing it:
/// before the work whose result goes there.
pub fn check_writable(path: &Path) -> Result<(), Failure> {
    Ok(symopt_files::check_writable(path)?)
}

/// Writes a file, whole or not at all, in place of the one that is there.
pub fn write(path: &Path, text: &str) -> Result<(), Failure> {
    write_bytes(path, text.as_bytes())
}

/// The same for what is no text.
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    Ok(symopt_files::write(path, bytes)?)
}

/// Makes a directory for files, with those above it, and fails where it can't be written to.
pub fn create_directory(path: &Path, file: &str) -> Result<(), Failure> {
    symopt_files::create_directory(path)?;
    check_writable(&path.join(file))
}
