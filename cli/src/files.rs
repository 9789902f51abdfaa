//! Files that commands write.

use std::path::Path;

use crate::failure::Failure;

/// Whether a file can stand at a path, as far as that can be told without writing it.
pub fn check_writable(path: &Path) -> Result<(), Failure> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let reason = match (parent.is_dir(), path.is_dir()) {
        (false, _) => format!("there is no directory `{}`", parent.display()),
        (true, true) => "it is a directory".to_owned(),
        (true, false) => return Ok(()),
    };
    Err(Failure::Input(format!("can't write `{}`: {reason}", path.display())))
}

/// Writes a file, anew if it is there.
pub fn write(path: &Path, text: &str) -> Result<(), Failure> {
    write_bytes(path, text.as_bytes())
}

/// The same for what is no text.
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, bytes).map_err(|error| Failure::Input(format!("can't write `{}`: {error}", path.display())))
}
