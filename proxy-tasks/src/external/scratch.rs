//! The folder for the files that requests name.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// A folder in the system's folder for temporary files, made when it is needed first and removed in
/// the end.
#[derive(Default)]
pub(super) struct Scratch {
    folder: Mutex<Option<PathBuf>>,
}

/// A file of a request. It goes, with the folder around it, when the request is over.
pub(super) struct RequestFile {
    folder: PathBuf,
    path: PathBuf,
}

impl Scratch {
    /// Writes the file of a request. Its path is a new one, since what a script imports from a path
    /// that it knows may be what was there before.
    pub(super) fn write(&self, id: u64, name: &str, text: &str) -> Result<RequestFile, String> {
        let wrong = |path: &Path, error: std::io::Error| {
            format!("{}: the program can't be written for the command ({error})", path.display())
        };
        let folder = self.folder()?.join(format!("request-{id}"));
        fs::create_dir(&folder).map_err(|e| wrong(&folder, e))?;
        let file = RequestFile { path: folder.join(name), folder };
        fs::write(&file.path, text).map_err(|e| wrong(&file.path, e))?;
        Ok(file)
    }

    fn folder(&self) -> Result<PathBuf, String> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mut folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(folder) = &*folder {
            return Ok(folder.clone());
        }
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path =
                std::env::temp_dir().join(format!("symopt-task-{}-{number}", std::process::id()));
            // For nobody else: what is in it gets run.
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(folder.insert(path).clone()),
                // The folder is left from a process that once had the same number.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(format!(
                        "{}: a folder for the command can't be made ({error})",
                        path.display()
                    ));
                }
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(folder) = self.folder.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // Nothing depends on it being gone.
            let _ = fs::remove_dir_all(folder);
        }
    }
}

impl RequestFile {
    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RequestFile {
    fn drop(&mut self) {
        // Nothing depends on it being gone.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
