//! The journal of a store, entry by entry, while a search writes it.
//!
//! A [`Follower`] reads the log up to its last whole frame, and later what has come since. It takes
//! no lock, holds no file open between two looks, and writes nothing: a search does not notice it.
//! Unfinished entries of a killed search are no whole frames, so that the entries of a search that
//! was killed and resumed are those that were read, and then the later ones.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use symopt_dsl::FunctionalHash;
use symopt_proxy_tasks::suite::Fitness;

use super::encoding::Decoder;
use super::error::{JournalError, store_error};
use super::frame::{Frames, HEAD, MAGIC, Next, read_at};
use super::log::{Log, LogError, each_record, kind, value};
use super::manifest::check_manifest;
use super::record::{Improvement, Place, Settings};
use super::statistics::Statistics;
use super::stop_reason::StopReason;
use super::{LAST_SLED, LOCK, LOG};
use crate::journal::CheckedStore;

/// An entry of a journal.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Entry {
    /// A program was evaluated.
    Evaluation {
        /// Subject of the evaluation.
        place: Place,
        /// Its functional hash.
        hash: FunctionalHash,
        /// Its result.
        fitness: Fitness,
    },
    /// A program became the best.
    Improvement(Improvement),
    /// How far the search had come.
    Statistics(Statistics),
    /// The search ended.
    End(StopReason),
}

/// Result of a look at a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// The entries that followed those of the last look, if there were any.
    More,
    /// The journal is another one than at the last look. The next look begins with its first
    /// entry.
    Anew,
}

/// Reads a journal that grows.
pub struct Follower {
    path: PathBuf,
    settings: Settings,
    /// Where the next frame begins.
    next: u64,
    /// Where frames begin that must be as they were, and what they begin with: the first and the
    /// last that were read.
    seen: Vec<(u64, [u8; HEAD as usize])>,
    /// The log, if the store is of an earlier format, which does not grow.
    old: Option<Arc<File>>,
}

impl Follower {
    /// Opens the journal of a store, before its first entry.
    pub fn open(path: &Path) -> Result<Follower, JournalError> {
        let (settings, old) = match check_manifest(path) {
            Ok(version) if version <= LAST_SLED => {
                let store = CheckedStore::of(path)?;
                (store.settings().clone(), Some(Arc::clone(&store.log.file)))
            }
            Ok(_) => (CheckedStore::settings_of(path)?, None),
            Err(_) if !path.exists() => {
                return Err(JournalError::Missing { path: path.to_owned() });
            }
            Err(error) => return Err(error),
        };
        Ok(Follower { path: path.to_owned(), settings, next: 0, seen: Vec::new(), old })
    }

    /// Returns the settings that the search was started with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Reads the entries that have come since the last look.
    pub fn look(&mut self, f: &mut dyn FnMut(Entry)) -> Result<Look, JournalError> {
        let log_path = self.path.join(LOG);
        let failed = |error: &std::io::Error| store_error(&self.path, &log_path, error);
        let file = match &self.old {
            Some(file) => Arc::clone(file),
            None => Arc::new(File::open(&log_path).map_err(|error| match error.kind() {
                ErrorKind::NotFound => JournalError::Missing { path: self.path.clone() },
                _ => failed(&error),
            })?),
        };
        let length = file.metadata().map_err(|error| failed(&error))?.len();
        if self.next > 0 && !self.is_as_seen(&file, length).map_err(|error| failed(&error))? {
            self.settings = self.settings_again(&file)?;
            self.next = 0;
            self.seen.clear();
            return Ok(Look::Anew);
        }
        let damaged = |begin: u64| JournalError::Damaged {
            path: self.path.clone(),
            reason: format!("{LOG}: the frame at byte {begin} can't be read"),
            salvage: true,
        };
        let (mut next, mut seen) = (self.next, std::mem::take(&mut self.seen));
        let mut frames = Frames::new(Arc::clone(&file), next.max(MAGIC.len() as u64), length);
        let mut decoder = Decoder::new(None, Arc::from([]));
        let result = loop {
            let begin = frames.offset;
            let read = match frames.next() {
                Err(error) => break Err(failed(&error)),
                // The rest comes, or is cut off by whoever goes on with the search.
                Ok(Next::End | Next::CutOff) => break Ok(Look::More),
                Ok(Next::Damaged) => None,
                Ok(Next::Frame(offset, payload)) => entries(payload, offset, &mut decoder, f),
            };
            if read.is_none() {
                break Err(damaged(begin));
            }
            next = frames.offset;
            let mut head = [0; HEAD as usize];
            match read_at(&file, &mut head, begin) {
                Err(error) => break Err(failed(&error)),
                Ok(_) => {
                    seen.truncate(1);
                    seen.push((begin, head));
                }
            }
        };
        (self.next, self.seen) = (next, seen);
        result
    }

    /// Whether what was read is still there.
    fn is_as_seen(&self, file: &File, length: u64) -> std::io::Result<bool> {
        if length < self.next {
            return Ok(false);
        }
        for (begin, expected) in &self.seen {
            let mut head = [0; HEAD as usize];
            if read_at(file, &mut head, *begin)? < head.len() || head != *expected {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn settings_again(&self, file: &File) -> Result<Settings, JournalError> {
        let log_path = self.path.join(LOG);
        let failed = |error: &std::io::Error| store_error(&self.path, &log_path, error);
        let file = file.try_clone().map_err(|error| failed(&error))?;
        Log::settings(file, &self.path, &log_path).map_err(|error| match error {
            LogError::Damaged(reason) => {
                JournalError::Damaged { path: self.path.clone(), reason, salvage: false }
            }
            LogError::File(error) => failed(&error),
        })
    }
}

/// The entries of a frame; `None` if it can't be read.
fn entries(
    payload: &[u8],
    offset: u64,
    decoder: &mut Decoder,
    f: &mut dyn FnMut(Entry),
) -> Option<()> {
    match *payload.first()? {
        kind::EVALUATIONS => {
            // None of them, or all.
            let mut found = Vec::new();
            each_record(payload, offset, decoder, &mut |parts, _, _| {
                let (place, hash) = (parts.place, parts.hash);
                found.push(Entry::Evaluation { place, hash, fitness: parts.evaluation.fitness });
                Some(())
            })?;
            found.into_iter().for_each(f);
        }
        kind::IMPROVEMENT => f(Entry::Improvement(value(payload, false)?.1)),
        kind::STATISTICS => f(Entry::Statistics(value(payload, false)?.1)),
        kind::END => f(Entry::End(value(payload, false)?.1)),
        _ => {}
    }
    Some(())
}

/// Whether a process holds the lock of a store, as far as the system tells without anybody taking
/// the lock: taking it, if only to look, could keep a search from beginning.
pub fn is_held(path: &Path) -> Option<bool> {
    #[cfg(target_os = "linux")]
    {
        use std::os::linux::fs::MetadataExt;
        let inode = std::fs::metadata(path.join(LOCK)).ok()?.st_ino().to_string();
        // `1: FLOCK  ADVISORY  WRITE 10054 fe:00:10813621 0 EOF`; of the device other numbers may
        // stand here than files have, where file systems lie on top of each other.
        let locks = std::fs::read_to_string("/proc/locks").ok()?;
        let holds = |line: &str| {
            line.contains("FLOCK")
                && line
                    .split_whitespace()
                    .any(|word| word.rsplit_once(':').is_some_and(|(_, last)| last == inode))
        };
        Some(locks.lines().any(holds))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (path, LOCK);
        None
    }
}
