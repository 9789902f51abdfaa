//! Directories that are made whole or not at all: stores, campaigns, rediscoveries.
//!
//! A directory is whole when its manifest is there, which is written last and comes by renaming.
//! Until then a mark says that it is being made, and by whom: the process holds a lock on it. So a
//! directory that a killed process left, or a full disk, is vacant for the next one: it holds the
//! mark and nothing but names that belong to its kind. Earlier releases left no mark: a directory
//! that has nothing but names of theirs, and no sign that it was ever whole, is vacant as well.
//! Only these names are ever removed; a directory that holds anything else is somebody's.
//!
//! ```
//! use symopt_search::directory::{Kind, Making, Occupancy};
//!
//! static KIND: Kind = Kind { parts: &["pictures", "pictures/first.txt"], ..Kind::of("album.json") };
//!
//! # let parent = tempfile::tempdir()?;
//! let path = parent.path().join("album");
//! let making = Making::begin(&path, &KIND)?;
//! std::fs::create_dir(making.path().join("pictures"))?;
//! std::fs::write(making.path().join("pictures/first.txt"), "a cat")?;
//! // Whatever goes wrong before this, the path is vacant again.
//! making.finish(b"{}")?;
//! assert_eq!(KIND.look(&path)?, Occupancy::Whole);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The mark of a directory that is being made.
const MARK: &str = ".symopt-making";

/// The ending of a file that is not yet whole.
const NEW: &str = ".new";

/// Contents of a kind of directory.
#[derive(Debug)]
pub struct Kind {
    /// The file that makes it whole.
    pub manifest: &'static str,
    /// The other files and directories that can be there before the manifest, as paths with `/`.
    pub parts: &'static [&'static str],
    /// Whether a path is that of a file or directory which an earlier release, that left no mark,
    /// could have made before the manifest.
    pub earlier: fn(&str) -> bool,
    /// Whether a directory without a mark holds nothing that was ever acknowledged.
    pub is_empty: fn(&Path) -> bool,
}

/// Contents of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Occupancy {
    /// Nothing, an empty directory, or one that a process that is gone did not finish.
    Vacant,
    /// A directory of the kind.
    Whole,
    /// Something else, which is not to be touched.
    Taken(&'static str),
}

/// Why a directory can't be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MakingError {
    /// It is there already.
    #[error("it is there already")]
    Exists,
    /// Something else is there.
    #[error("{0}")]
    Taken(&'static str),
    /// Another process is making it.
    #[error("another process is making it")]
    Busy,
    /// The file system says no.
    #[error("{}: {source}", path.display())]
    File {
        /// The file or directory.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

fn file_error(path: &Path, source: io::Error) -> MakingError {
    MakingError::File { path: path.to_owned(), source }
}

impl Kind {
    /// A kind with a manifest alone, of which earlier releases left nothing but files that were
    /// never finished.
    pub const fn of(manifest: &'static str) -> Kind {
        Kind { manifest, parts: &[], earlier: |_| false, is_empty: |_| true }
    }

    /// Looks at a path; nothing in it is touched.
    pub fn look(&self, path: &Path) -> io::Result<Occupancy> {
        match fs::metadata(path) {
            Ok(metadata) if !metadata.is_dir() => return Ok(Occupancy::Taken("a file is there")),
            Ok(_) => {}
            // A file on the way is found when the directory is made.
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(Occupancy::Vacant);
            }
            Err(e) => return Err(e),
        }
        if self.is_whole(path) {
            return Ok(Occupancy::Whole);
        }
        let mut names = Vec::new();
        list(path, String::new(), &mut names)?;
        let is_marked = is_file(&path.join(MARK));
        let is_left = match is_marked {
            true => names.iter().all(|name| self.is_ours(name)),
            false => names.iter().all(|name| self.is_unmarked(name)) && (self.is_empty)(path),
        };
        Ok(if names.is_empty() || is_left {
            Occupancy::Vacant
        } else {
            Occupancy::Taken("the directory holds something else")
        })
    }

    /// Whether the manifest is there. An earlier release that was killed as it wrote it left it
    /// empty.
    fn is_whole(&self, path: &Path) -> bool {
        fs::symlink_metadata(path.join(self.manifest))
            .is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0)
    }

    /// Whether a name in a directory that is not whole belongs to its kind.
    fn is_ours(&self, name: &str) -> bool {
        name == MARK
            || name == self.new_manifest()
            || self.parts.contains(&name)
            || self.is_unmarked(name)
    }

    /// Whether one may be there without a mark.
    fn is_unmarked(&self, name: &str) -> bool {
        name == self.manifest || (self.earlier)(name) || is_unfinished(name, self.manifest)
    }

    fn new_manifest(&self) -> String {
        format!("{}{NEW}", self.manifest)
    }

    /// Removes the mark that a process left that was killed just when a directory was whole.
    pub fn tidy(&self, path: &Path) {
        if self.is_whole(path) && is_file(&path.join(MARK)) {
            // A mark that is left does no harm.
            let _ = fs::remove_file(path.join(MARK));
        }
    }

    /// Removes what is there of a directory that is being made, all but the mark.
    fn clear(&self, path: &Path) -> Result<(), MakingError> {
        let mut names = Vec::new();
        list(path, String::new(), &mut names).map_err(|e| file_error(path, e))?;
        // Deeper files and directories come first.
        for name in names.iter().filter(|name| *name != MARK && self.is_ours(name)) {
            let part = path.join(name);
            let removed = match fs::symlink_metadata(&part) {
                Ok(metadata) if metadata.is_dir() => fs::remove_dir(&part),
                Ok(_) => fs::remove_file(&part),
                Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
                Err(e) => Err(e),
            };
            removed.map_err(|e| file_error(&part, e))?;
        }
        Ok(())
    }
}

/// Whether a name is that of what [`symopt_files::write`] was writing when its process was killed,
/// in the place of a file.
pub(crate) fn is_unfinished(name: &str, file: &str) -> bool {
    name.strip_prefix('.')
        .and_then(|name| name.strip_prefix(file))
        .is_some_and(|rest| rest.starts_with('.'))
        && symopt_files::is_unfinished(name.as_ref())
}

fn is_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file())
}

/// The names below a directory, those in a directory before its own. Links are not followed.
fn list(directory: &Path, prefix: String, names: &mut Vec<String>) -> io::Result<()> {
    // More than any directory that is only being made holds.
    const ENOUGH: usize = 1000;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() && names.len() < ENOUGH {
            list(&entry.path(), format!("{name}/"), names)?;
        }
        names.push(name);
        if names.len() >= ENOUGH {
            break;
        }
    }
    Ok(())
}

/// A directory that is being made. Dropped before it is finished, it leaves the path as it was.
#[derive(Debug)]
pub struct Making {
    path: PathBuf,
    kind: &'static Kind,
    /// Locked for as long as the directory is being made.
    mark: File,
    /// Whether there was no directory before.
    new: bool,
    finished: bool,
}

impl Making {
    /// Begins a directory, with those above it.
    pub fn begin(path: &Path, kind: &'static Kind) -> Result<Making, MakingError> {
        let refuse = |place| match place {
            Occupancy::Vacant => Ok(()),
            Occupancy::Whole => Err(MakingError::Exists),
            Occupancy::Taken(reason) => Err(MakingError::Taken(reason)),
        };
        refuse(kind.look(path).map_err(|e| file_error(path, e))?)?;
        let new = fs::symlink_metadata(path).is_err();
        fs::create_dir_all(path).map_err(|e| file_error(path, e))?;
        let mark_path = path.join(MARK);
        let opened = open_mark(&mark_path);
        if opened.is_err() && new {
            // A directory where nothing can be written is of no use.
            let _ = fs::remove_dir(path);
        }
        let mark = opened.map_err(|e| file_error(&mark_path, e))?;
        match mark.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(MakingError::Busy),
            Err(fs::TryLockError::Error(e)) => return Err(file_error(&mark_path, e)),
        }
        let making = Making { path: path.to_owned(), kind, mark, new, finished: false };
        // Another process may have made it meanwhile.
        if let Err(error) = refuse(kind.look(path).map_err(|e| file_error(path, e))?) {
            kind.tidy(path);
            std::mem::forget(making);
            return Err(error);
        }
        kind.clear(path)?;
        Ok(making)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the directory whole. Everything written into it should be on the disk.
    pub fn finish(mut self, manifest: &[u8]) -> Result<(), MakingError> {
        let (new, path) =
            (self.path.join(self.kind.new_manifest()), self.path.join(self.kind.manifest));
        let mut file = create_new(&new).map_err(|e| file_error(&new, e))?;
        file.write_all(manifest).and_then(|()| file.sync_all()).map_err(|e| file_error(&new, e))?;
        sync(&self.path).map_err(|e| file_error(&self.path, e))?;
        fs::rename(&new, &path).map_err(|e| file_error(&path, e))?;
        self.finished = true;
        let above = self
            .path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        sync(&self.path).and_then(|()| sync(above)).map_err(|e| file_error(&self.path, e))
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        // The mark identifies remains that can't be removed.
        if self.finished {
            let _ = fs::remove_file(self.path.join(MARK));
        } else if self.kind.clear(&self.path).is_ok() {
            let _ = fs::remove_file(self.path.join(MARK));
            if self.new {
                let _ = fs::remove_dir(&self.path);
            }
        }
        let _ = self.mark.unlock();
    }
}

/// Opens the mark, new or a dead process's. A link is not followed.
fn open_mark(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(false);
    no_follow(&mut options);
    options.open(path)
}

/// Makes a file that is not there: nothing is overwritten, and no link is followed.
pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create_new(true).open(path)
}

/// Makes opening a symbolic link fail, on Unix only.
pub(crate) fn no_follow(options: &mut fs::OpenOptions) -> &mut fs::OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        options,
        rustix::fs::OFlags::NOFOLLOW.bits() as i32,
    );
    options
}

/// Writes the names in a directory to the disk.
pub(crate) fn sync(directory: &Path) -> io::Result<()> {
    match cfg!(unix) {
        true => File::open(directory)?.sync_all(),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static KIND: Kind = Kind { parts: &["log", "data", "data/first"], ..Kind::of("whole.json") };
    /// With an earlier release that made a database without a mark.
    static OLD: Kind = Kind {
        earlier: |name| name == "base" || name == "base/db",
        is_empty: |path| !path.join("count").exists() && !path.join("base/used").exists(),
        ..Kind::of("whole.json")
    };

    fn fill(making: &Making) {
        fs::write(making.path().join("log"), "").unwrap();
        fs::create_dir(making.path().join("data")).unwrap();
        fs::write(making.path().join("data/first"), "1").unwrap();
    }

    #[test]
    fn a_directory_is_there_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("above/it");
        let making = Making::begin(&path, &KIND).unwrap();
        fill(&making);
        assert!(matches!(Making::begin(&path, &KIND), Err(MakingError::Busy)));
        drop(making);
        assert!(!path.exists() && path.parent().unwrap().exists());
        let making = Making::begin(&path, &KIND).unwrap();
        fill(&making);
        making.finish(b"{}").unwrap();
        assert_eq!(KIND.look(&path).unwrap(), Occupancy::Whole);
        assert!(!path.join(MARK).exists());
        assert!(matches!(Making::begin(&path, &KIND), Err(MakingError::Exists)));
        assert_eq!(fs::read_dir(&path).unwrap().count(), 3);
    }

    #[test]
    fn one_that_a_dead_process_left_is_vacant_and_one_with_anything_else_is_not_touched() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("it");
        // As a process leaves it that is killed: nothing is dropped.
        let left = |finished: bool| {
            let making = Making::begin(&path, &KIND).unwrap();
            fill(&making);
            fs::write(path.join("whole.json.new"), "{").unwrap();
            if finished {
                fs::rename(path.join("whole.json.new"), path.join("whole.json")).unwrap();
            }
            making.mark.unlock().unwrap();
            std::mem::forget(making);
        };
        left(false);
        assert_eq!(KIND.look(&path).unwrap(), Occupancy::Vacant);
        // A user's file beside them.
        fs::write(path.join("data/thesis.txt"), "do not touch").unwrap();
        assert!(matches!(KIND.look(&path).unwrap(), Occupancy::Taken(_)));
        assert!(matches!(Making::begin(&path, &KIND), Err(MakingError::Taken(_))));
        assert!(path.join("log").exists() && path.join("data/thesis.txt").exists());
        fs::remove_file(path.join("data/thesis.txt")).unwrap();
        left(true);
        assert_eq!(KIND.look(&path).unwrap(), Occupancy::Whole);
        KIND.tidy(&path);
        assert!(!path.join(MARK).exists());
        // The same names without the mark are somebody's.
        fs::remove_file(path.join("whole.json")).unwrap();
        assert!(matches!(KIND.look(&path).unwrap(), Occupancy::Taken(_)));
    }

    #[test]
    fn what_an_earlier_release_left_without_a_mark_is_vacant_and_goes_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("it");
        fs::create_dir_all(path.join("base")).unwrap();
        for name in ["base/db", "whole.json", ".whole.json.aB3xY90123.unfinished"] {
            fs::write(path.join(name), "").unwrap();
        }
        assert_eq!(OLD.look(&path).unwrap(), Occupancy::Vacant);
        assert!(matches!(KIND.look(&path).unwrap(), Occupancy::Taken(_)));
        for name in ["thesis.txt", "base/db.bak", ".symopt.aB3xY90123.unfinished", "log"] {
            fs::write(path.join(name), "do not touch").unwrap();
            assert!(matches!(OLD.look(&path).unwrap(), Occupancy::Taken(_)), "{name}");
            assert!(matches!(Making::begin(&path, &OLD), Err(MakingError::Taken(_))), "{name}");
            assert_eq!(fs::read_to_string(path.join(name)).unwrap(), "do not touch");
            fs::remove_file(path.join(name)).unwrap();
        }
        assert!(path.join("base/db").exists());
        let making = Making::begin(&path, &OLD).unwrap();
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
        making.finish(b"{}").unwrap();
        assert_eq!(OLD.look(&path).unwrap(), Occupancy::Whole);
    }

    #[cfg(unix)]
    #[test]
    fn a_planted_link_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (path, victim) = (directory.path().join("it"), directory.path().join("victim"));
        fs::write(&victim, "precious").unwrap();
        fs::create_dir(&path).unwrap();
        std::os::unix::fs::symlink(&victim, path.join(MARK)).unwrap();
        assert!(Making::begin(&path, &KIND).is_err());
        fs::remove_file(path.join(MARK)).unwrap();
        let making = Making::begin(&path, &KIND).unwrap();
        std::os::unix::fs::symlink(&victim, path.join("whole.json.new")).unwrap();
        assert!(making.finish(b"{}").is_err());
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    }
}
