//! New content beside the file that it will replace.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io;
use std::path::Path;

use tempfile::{Builder, NamedTempFile, TempPath};

use crate::target::parent;

/// The end of the names of files that are being written; they begin with a dot, the name of the
/// file that they will replace, and a dot.
const SUFFIX: &str = ".unfinished";

/// Letters and digits before that.
const RANDOM: usize = 10;

/// A file of this process in the directory of another. It is gone when this is dropped.
pub(crate) struct Beside {
    file: File,
    /// `None` while it has no name.
    name: Option<TempPath>,
}

impl Beside {
    /// An empty file. Where it will replace another one nobody else can read it, since that may be
    /// a private one.
    pub(crate) fn new(path: &Path, old: Option<&Metadata>) -> io::Result<Beside> {
        let mode = if old.is_some() { 0o600 } else { 0o666 };
        if let Some(file) = unnamed(parent(path), mode) {
            return Ok(Beside { file, name: None });
        }
        loop {
            let (file, name) = create(path, mode)?;
            // Another process may have taken it for one that a killed process left, in the instant
            // before it was locked.
            if file.lock().is_err() || name.exists() {
                return Ok(Beside { file, name: Some(name) });
            }
        }
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Puts the file in its place, once it is on the disk.
    pub(crate) fn persist(self, path: &Path, old: Option<&Metadata>) -> io::Result<()> {
        let Beside { file, name } = self;
        if let Some(old) = old {
            keep_owner(&file, old);
            file.set_permissions(plain(old.permissions()))?;
        }
        file.sync_all()?;
        let named = match name {
            Some(name) => Some(name),
            None if old.is_none() && link(&file, path).is_ok() => None,
            // The lock keeps others from removing it before it has its last name. File systems
            // without locks have nobody who removes.
            None => {
                let _ = file.lock();
                let name =
                    named(path, |builder| builder.make_in(parent(path), |name| link(&file, name)))?;
                Some(name.into_temp_path())
            }
        };
        if let Some(name) = named {
            name.persist(path).map_err(|error| error.error)?;
        }
        // The names of a directory are brought to the disk by themselves. Some file systems can't,
        // or do it anyway.
        let _ = File::open(parent(path)).and_then(|directory| directory.sync_all());
        remove_stale(path);
        Ok(())
    }
}

/// Runs `make` with a builder of files that have names of their own, beside a path.
fn named<R>(path: &Path, make: impl FnOnce(&Builder) -> io::Result<R>) -> io::Result<R> {
    make(Builder::new().prefix(&prefix(path)).rand_bytes(RANDOM).suffix(SUFFIX))
}

/// An empty file with a name of its own that nothing else had.
fn create(path: &Path, mode: u32) -> io::Result<(File, TempPath)> {
    named(path, |builder| {
        let made = builder.make_in(parent(path), |name| {
            let mut options = File::options();
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
            options.write(true).create_new(true).open(name)
        });
        made.map(NamedTempFile::into_parts)
    })
}

/// An empty file without a name. `None` where that is no possibility of the system or of the
/// directory's file system.
#[cfg(target_os = "linux")]
fn unnamed(directory: &Path, mode: u32) -> Option<File> {
    use rustix::fs::{Mode, OFlags};
    // It is named by way of this directory, which some containers lack.
    if !Path::new(OPEN_FILES).is_dir() {
        return None;
    }
    let file = rustix::fs::open(
        directory,
        OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC,
        Mode::from_raw_mode(mode),
    );
    file.ok().map(File::from)
}

#[cfg(not(target_os = "linux"))]
fn unnamed(_: &Path, _: u32) -> Option<File> {
    None
}

/// The open files of this process, by number.
#[cfg(target_os = "linux")]
const OPEN_FILES: &str = "/proc/self/fd";

/// Gives a file without a name one, which must be free.
#[cfg(target_os = "linux")]
fn link(file: &File, name: &Path) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD};
    use std::os::fd::AsRawFd;
    let open = format!("{OPEN_FILES}/{}", file.as_raw_fd());
    Ok(rustix::fs::linkat(CWD, open, CWD, name, AtFlags::SYMLINK_FOLLOW)?)
}

#[cfg(not(target_os = "linux"))]
fn link(_: &File, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Gives a file the owner of the one that it replaces, where this process may do that.
fn keep_owner(file: &File, old: &Metadata) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let same =
            file.metadata().is_ok_and(|new| (new.uid(), new.gid()) == (old.uid(), old.gid()));
        if !same {
            let _ = std::os::unix::fs::fchown(file, Some(old.uid()), Some(old.gid()));
        }
    }
    #[cfg(not(unix))]
    let _ = (file, old);
}

/// Permissions without those to run as another user, which a write takes away.
fn plain(permissions: fs::Permissions) -> fs::Permissions {
    #[cfg(unix)]
    return {
        use std::os::unix::fs::PermissionsExt;
        fs::Permissions::from_mode(permissions.mode() & 0o777)
    };
    #[cfg(not(unix))]
    permissions
}

/// The beginning of the names of files that will replace one. Long names are cut after 40
/// characters.
fn prefix(path: &Path) -> OsString {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    format!(".{}.", name.chars().take(40).collect::<String>()).into()
}

/// Whether a name is that of a file which was being written.
pub(crate) fn is_unfinished(name: &OsStr) -> bool {
    let parts = name
        .to_str()
        .and_then(|name| name.strip_prefix('.')?.strip_suffix(SUFFIX)?.rsplit_once('.'));
    parts.is_some_and(|(_, random)| {
        random.len() == RANDOM && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// Removes what processes that were killed left of the same file. Those that still write hold a
/// lock.
fn remove_stale(path: &Path) {
    let prefix = prefix(path);
    for entry in fs::read_dir(parent(path)).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let ours =
            name.as_encoded_bytes().starts_with(prefix.as_encoded_bytes()) && is_unfinished(&name);
        // Nothing depends on it being gone.
        if ours && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            let stale = File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok());
            if stale {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}
