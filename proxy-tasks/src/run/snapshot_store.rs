//! Where the snapshots of training runs are kept.

use std::fs;
use std::path::{Path, PathBuf};

use symopt_evaluator::Layout;

use crate::error::SnapshotError;
use crate::run::snapshot::{RunIdentity, Snapshot};

/// A directory that keeps the last snapshot of each run of a command: those of several programs,
/// each under several seeds.
#[derive(Clone, Debug)]
pub struct SnapshotStore {
    directory: PathBuf,
}

impl SnapshotStore {
    /// The store in a directory, which is made if it is not there.
    pub fn open(directory: &Path) -> Result<SnapshotStore, SnapshotError> {
        let failed = |source| SnapshotError::File { path: directory.to_owned(), source };
        if directory.exists() && !directory.is_dir() {
            let reason = "it is a file, and should be a directory for checkpoints";
            return Err(failed(std::io::Error::new(std::io::ErrorKind::NotADirectory, reason)));
        }
        symopt_files::create_directory(directory)?;
        let store = SnapshotStore { directory: directory.to_owned() };
        symopt_files::check_writable(&store.path(0, 0))?;
        Ok(store)
    }

    /// Keeps other processes from training the same runs, until what is returned is dropped; `None`
    /// while another process has the directory. Where the file system knows no locks all may train:
    /// they do the same work, and end with the same bits.
    pub fn lock(&self) -> Option<fs::File> {
        let directory = fs::File::open(&self.directory).ok()?;
        match directory.try_lock() {
            Err(fs::TryLockError::WouldBlock) => None,
            Ok(()) | Err(fs::TryLockError::Error(_)) => Some(directory),
        }
    }

    /// The file of a run, by the place of its program among all, from 0. Not by its name: so
    /// another program in its place is noticed.
    pub fn path(&self, program: usize, seed: u64) -> PathBuf {
        self.directory.join(format!("program-{}-seed-{seed}.safetensors", program + 1))
    }

    /// The last snapshot of a run; `None` if there is none. It is an error if what is there is of a
    /// run of another identity.
    pub fn load(
        &self,
        program: usize,
        run: &RunIdentity,
        layout: &Layout,
    ) -> Result<Option<Snapshot>, SnapshotError> {
        let path = self.path(program, run.seed);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(SnapshotError::File { path, source }),
        };
        Snapshot::from_bytes(&bytes, run, layout, &path).map(Some)
    }

    /// Keeps a snapshot in place of the last one of its run. The file is replaced as a whole: a
    /// crash leaves the old one or the new one.
    pub fn save(&self, program: usize, snapshot: &Snapshot) -> Result<(), SnapshotError> {
        let path = self.path(program, snapshot.run.seed);
        let bytes = snapshot
            .to_bytes()
            .map_err(|reason| SnapshotError::Damaged { path: path.clone(), reason })?;
        Ok(symopt_files::write(&path, &bytes)?)
    }
}
