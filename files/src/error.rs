//! Why a file is not written.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// A file can't be written, or a directory can't be made. The old file, if there was one, is still
/// there.
#[derive(Debug, thiserror::Error)]
#[error("can't {work} `{}`: {}", path.display(), reason(path, error))]
pub struct WriteError {
    work: &'static str,
    path: PathBuf,
    error: io::Error,
}

impl WriteError {
    /// The error of a file.
    pub fn of_file(path: &Path, error: io::Error) -> WriteError {
        WriteError { work: "write", path: path.to_owned(), error }
    }

    /// The error of a directory.
    pub fn of_directory(path: &Path, error: io::Error) -> WriteError {
        WriteError { work: "make the directory", path: path.to_owned(), error }
    }

    /// The file or directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether no file can be written at the path as it stands: it was badly chosen. All else, such
    /// as a full disk, may pass.
    pub fn is_misplaced(&self) -> bool {
        use ErrorKind::*;
        let kinds = [
            NotFound,
            NotADirectory,
            IsADirectory,
            PermissionDenied,
            ReadOnlyFilesystem,
            InvalidInput,
            InvalidFilename,
            AlreadyExists,
            ExecutableFileBusy,
        ];
        kinds.contains(&self.error.kind()) || is_loop(&self.error)
    }

    /// Whether the disk is full, or a quota is used up.
    pub fn is_full(&self) -> bool {
        is_full(&self.error)
    }
}

/// Whether an error says that a disk is full, or a quota used up.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// The kind of this error has no stable name.
fn is_loop(error: &io::Error) -> bool {
    #[cfg(unix)]
    return error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
    #[cfg(not(unix))]
    false
}

fn reason(path: &Path, error: &io::Error) -> String {
    let parent =
        path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match error.kind() {
        ErrorKind::StorageFull => {
            "no space left on its disk; free some and run the command again".to_owned()
        }
        ErrorKind::QuotaExceeded => {
            "no space left in the disk quota; free some and run the command again".to_owned()
        }
        ErrorKind::NotFound if !parent.is_dir() => {
            format!("there is no directory `{}`", parent.display())
        }
        ErrorKind::IsADirectory => "it is a directory".to_owned(),
        _ => error.to_string(),
    }
}
