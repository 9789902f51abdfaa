//! Where a file is written: symbolic links are followed to their end.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Symbolic links in a row, as for the system.
const LINKS: usize = 40;

/// The end of a path.
pub(crate) enum Target {
    /// A regular file, or none.
    Whole {
        /// Without a symbolic link at its end.
        path: PathBuf,
        /// The file that is there.
        old: Option<Metadata>,
    },
    /// A target without content that could be replaced, such as a pipe, or an open file of a
    /// process.
    Straight,
}

impl Target {
    pub(crate) fn of(path: &Path) -> io::Result<Target> {
        match fs::metadata(path) {
            Ok(there) if there.is_dir() => return Err(ErrorKind::IsADirectory.into()),
            Ok(there) if !there.is_file() => return Ok(Target::Straight),
            _ => {}
        }
        let mut path = path.to_owned();
        for _ in 0..LINKS {
            let parent = parent(&path).to_owned();
            // The links there are no paths: an open file that was replaced would no longer be the
            // one that is open.
            if holds_open_files(&parent) {
                return Ok(Target::Straight);
            }
            match fs::symlink_metadata(&path) {
                Ok(link) if link.is_symlink() => path = parent.join(fs::read_link(&path)?),
                Ok(old) => {
                    // A file that must not be written must not be replaced either.
                    fs::OpenOptions::new().write(true).open(&path)?;
                    return Ok(Target::Whole { path, old: Some(old) });
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return Ok(Target::Whole { path, old: None });
                }
                Err(error) => return Err(error),
            }
        }
        // The system's own word for too many links.
        fs::metadata(&path).map(|_| Target::Straight)
    }
}

/// The directory of a path.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether a directory has the open files of processes in it, such as `/dev/fd`.
fn holds_open_files(directory: &Path) -> bool {
    #[cfg(target_os = "linux")]
    return rustix::fs::statfs(directory)
        .is_ok_and(|system| system.f_type == rustix::fs::PROC_SUPER_MAGIC);
    #[cfg(not(target_os = "linux"))]
    directory.starts_with("/dev/fd")
}
