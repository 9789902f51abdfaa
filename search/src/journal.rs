//! The journal of a search: every evaluation, acknowledged before it counts, in a store directory.
//!
//! A store holds `symopt-store.json` (what it is, and its format version), `journal/` (a sled database) and `acknowledged` (how many evaluations
//! had been acknowledged when it was last written: if the database holds fewer, it has lost some). Since a search follows from its settings, the
//! journal keeps the settings and the evaluations and nothing else that could not be bred again; improvements and statistics are there for
//! readers. What is in the database does not depend on the time or on the number of threads, but for the words of failures of external tasks. Of a
//! search on such tasks it also keeps the baseline and the evaluation of the initial program, which can't be made again.
//!
//! A store that is damaged, foreign or from a newer release is refused, and nothing in it is touched: the database is first opened as a copy.

use std::fmt;
use std::fs::{self, File};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use symopt_dsl::shell::Command;
use symopt_dsl::{FunctionalHash, Program};
use symopt_proxy_tasks::run::Failure;
use symopt_proxy_tasks::suite::{Baseline, Fitness};

use crate::cache::Evaluation;
use crate::config::SearchConfig;
use crate::inner_tuning::Setting;
use crate::statistics::Statistics;

/// Goes up when an earlier release can't read a store of this one. All versions so far can be read: what a store of version 1 does not say was
/// not there to be chosen, and stands for what the search did, and its journal has no revisions. One of version 2 has no external tasks, and so no
/// failures and nothing that is kept of them.
pub const FORMAT_VERSION: u32 = 3;

const FORMAT: &str = "symopt store";
const MANIFEST: &str = "symopt-store.json";
const DATABASE: &str = "journal";
const WITNESS: &str = "acknowledged";
const LOCK: &str = "lock";

const KEY_SETTINGS: &[u8] = b"settings";
const KEY_ACKNOWLEDGED: &[u8] = b"acknowledged";
const KEY_END: &[u8] = b"end";
const KEY_INITIAL: &[u8] = b"initial";
const PREFIX_BASELINE: &[u8] = b"baseline/";
const PREFIX_EVALUATION: &[u8] = b"evaluation/";
const PREFIX_REVISION: &[u8] = b"revision/";
const PREFIX_IMPROVEMENT: &[u8] = b"improvement/";
const PREFIX_STATISTICS: &[u8] = b"statistics/";

/// Why a store can't be made, opened or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// There is no store.
    #[error("{path}: no store is there; `symopt search` makes one")]
    Missing {
        /// The directory.
        path: PathBuf,
    },
    /// There is one already.
    #[error("{path}: a store is there already; go on with `{}`, or choose another directory with --store", Command::new("resume").operand(path))]
    Exists {
        /// The directory.
        path: PathBuf,
    },
    /// The place is taken by something else.
    #[error("{path}: {reason}; choose a new or empty directory with --store")]
    Taken {
        /// The directory or file.
        path: PathBuf,
        /// What is there.
        reason: &'static str,
    },
    /// The directory is something else.
    #[error(
        "{path}: not a symopt store ({reason}); nothing in it was touched. A store is the directory that `symopt search` names first and last"
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// How that is known.
        reason: String,
    },
    /// A newer release wrote it.
    #[error("{path}: the store has format version {found}, this release reads up to {FORMAT_VERSION}; use a newer release")]
    Newer {
        /// The directory.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The contents are damaged.
    #[error("{path}: the store is damaged ({reason}); nothing in it was touched: restore it from a copy, or begin a new search")]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Another process uses it.
    #[error("{path}: another process uses this store; wait until it has ended, or stop it")]
    Busy {
        /// The directory.
        path: PathBuf,
    },
    /// The file system says no.
    #[error("{path}: {reason}")]
    File {
        /// The file or directory.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Manifest {
    format: String,
    version: u32,
}

/// What a search was started with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The settings.
    pub config: SearchConfig,
    /// Text of the program that the search starts from, so that a resumed search does not depend on a file or on the release's zoo.
    pub initial: String,
    /// Text of the suite, likewise.
    pub suite: String,
    /// Functional hash of the program whose rediscovery ends the search, in hexadecimal.
    pub target: Option<String>,
    /// Version of the functional hash.
    pub hash_version: u32,
}

/// An acknowledged evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvaluationRecord {
    /// Functional hash, in hexadecimal.
    pub hash: String,
    /// Program text.
    pub program: String,
    /// Fitness.
    pub fitness: Fitness,
    /// Running fitness at the checkpoints.
    pub curve: Vec<f64>,
    /// Standard error of the fitness over the seeds.
    #[serde(default)]
    pub standard_error: f64,
    /// Seeds that the fitness is a mean of.
    #[serde(default)]
    pub seeds: u32,
    /// For a direction, where it did best on each task.
    #[serde(default)]
    pub settings: Vec<Setting>,
    /// What went wrong, if a run failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// What was evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The child of a number.
    Child(u64),
    /// A program of the elite, on new seeds, by [`revision`].
    Revision(u64),
}

/// The number of a revision: the epoch of its seeds and its rank in the elite.
pub fn revision(epoch: u64, rank: usize) -> u64 {
    (epoch << 16) | (rank as u64 & 0xffff)
}

/// The epoch of a revision.
pub fn epoch_of(revision: u64) -> u64 {
    revision >> 16
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Child(index) => write!(f, "child {index}"),
            Place::Revision(number) => write!(f, "program {} of the elite at change {} of the seeds", number & 0xffff, epoch_of(*number)),
        }
    }
}

impl Place {
    fn key(self) -> Vec<u8> {
        match self {
            Place::Child(index) => key(PREFIX_EVALUATION, index),
            Place::Revision(number) => key(PREFIX_REVISION, number),
        }
    }
}

/// A program that was better than all before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Improvement {
    /// Number of the child.
    pub index: u64,
    /// Functional hash, in hexadecimal.
    pub hash: String,
    /// Fitness.
    pub fitness: Fitness,
}

/// The count and the sum of checksums of the acknowledged evaluations; written together with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Acknowledged {
    count: u64,
    checksum: u64,
}

/// An open store.
pub struct Journal {
    path: PathBuf,
    database: sled::Db,
    settings: Settings,
    acknowledged: Acknowledged,
    witness: File,
    /// Held while the store is open.
    _lock: File,
}

impl Journal {
    /// Whether a store can be made at a path: nothing is there, or an empty directory.
    pub fn check_vacant(path: &Path) -> Result<(), JournalError> {
        let taken = |reason| Err(JournalError::Taken { path: path.to_owned(), reason });
        if path.join(MANIFEST).is_file() {
            return Err(JournalError::Exists { path: path.to_owned() });
        }
        match fs::read_dir(path).map(|mut entries| entries.next().is_some()) {
            Ok(true) => taken("the directory holds something else"),
            Ok(false) => Ok(()),
            Err(_) if path.exists() && !path.is_dir() => taken("a file is there"),
            Err(_) => Ok(()),
        }
    }

    /// Makes a store in a new or empty directory.
    pub fn create(path: &Path, settings: Settings) -> Result<Journal, JournalError> {
        Journal::check_vacant(path)?;
        let no_place = |e: std::io::Error| JournalError::File {
            path: path.to_owned(),
            reason: format!("a store can't be made there ({e}); choose another directory with --store"),
        };
        fs::create_dir_all(path).map_err(no_place)?;
        let lock = take_lock(path)?;
        let database = open_database(&path.join(DATABASE)).map_err(|reason| JournalError::File { path: path.to_owned(), reason })?;
        let witness_path = path.join(WITNESS);
        let witness = File::create(&witness_path).map_err(|e| file_error(&witness_path, &e))?;
        let journal = Journal { path: path.to_owned(), database, settings, acknowledged: Acknowledged::default(), witness, _lock: lock };
        let mut batch = sled::Batch::default();
        batch.insert(KEY_SETTINGS, journal.json(&journal.settings)?);
        batch.insert(KEY_ACKNOWLEDGED, journal.json(&journal.acknowledged)?);
        journal.apply(batch)?;
        // The manifest comes last: a directory without it was never a store that held anything.
        let manifest = Manifest { format: FORMAT.to_owned(), version: FORMAT_VERSION };
        let manifest_path = path.join(MANIFEST);
        let text = journal.json(&manifest)?;
        fs::write(&manifest_path, text).map_err(|e| file_error(&manifest_path, &e))?;
        Ok(journal)
    }

    /// Opens a store, after checking a copy of it.
    pub fn open(path: &Path) -> Result<Journal, JournalError> {
        CheckedStore::of(path)?.open()
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the search was started with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Writes evaluations, each with the number of the child that was evaluated, and those of the elite on new seeds. When this returns they are
    /// on the disk.
    pub fn acknowledge(&mut self, records: &[(Place, EvaluationRecord)]) -> Result<(), JournalError> {
        let mut batch = sled::Batch::default();
        let mut acknowledged = self.acknowledged;
        for (place, record) in records {
            let (key, value) = (place.key(), self.json(record)?);
            acknowledged.count += 1;
            acknowledged.checksum = acknowledged.checksum.wrapping_add(checksum(&key, &value));
            batch.insert(key, value);
        }
        batch.insert(KEY_ACKNOWLEDGED, self.json(&acknowledged)?);
        self.apply(batch)?;
        self.acknowledged = acknowledged;
        self.write_witness()
    }

    /// Writes the evaluation of the initial program, where it can't be made again.
    pub fn keep_initial(&self, record: &EvaluationRecord) -> Result<(), JournalError> {
        let mut batch = sled::Batch::default();
        batch.insert(KEY_INITIAL, self.json(record)?);
        self.apply(batch)
    }

    /// Writes baselines by epoch, likewise. When this returns they are on the disk.
    pub fn keep_baselines(&self, baselines: &[(u64, Baseline)]) -> Result<(), JournalError> {
        if baselines.is_empty() {
            return Ok(());
        }
        let mut batch = sled::Batch::default();
        for (epoch, baseline) in baselines {
            batch.insert(key(PREFIX_BASELINE, *epoch), self.json(baseline)?);
        }
        self.apply(batch)
    }

    /// The evaluation of the initial program, if it was kept.
    pub fn initial(&self) -> Result<Option<EvaluationRecord>, JournalError> {
        read_initial(&self.database).map_err(|reason| self.damaged(&reason))
    }

    /// Writes an improvement. It follows from the evaluations, so it is not flushed by itself.
    pub fn note_improvement(&self, improvement: &Improvement) -> Result<(), JournalError> {
        self.note(key(PREFIX_IMPROVEMENT, improvement.index), improvement)
    }

    /// Writes a row of statistics, likewise.
    pub fn note_statistics(&self, statistics: &Statistics) -> Result<(), JournalError> {
        self.note(key(PREFIX_STATISTICS, statistics.generated), statistics)
    }

    /// Writes how the search ended, and flushes all.
    pub fn note_end(&self, reason: crate::stop_reason::StopReason) -> Result<(), JournalError> {
        self.note(KEY_END.to_vec(), &reason)?;
        self.apply(sled::Batch::default())
    }

    /// The acknowledged evaluations with the numbers of their children, in order.
    pub fn evaluations(&self) -> Result<Vec<(u64, EvaluationRecord)>, JournalError> {
        self.read_all(PREFIX_EVALUATION)
    }

    /// The acknowledged evaluations of the elite on new seeds, in order, by epoch and rank.
    pub fn revisions(&self) -> Result<Vec<(u64, EvaluationRecord)>, JournalError> {
        self.read_all(PREFIX_REVISION)
    }

    /// The improvements, in order.
    pub fn improvements(&self) -> Result<Vec<Improvement>, JournalError> {
        Ok(self.read_all(PREFIX_IMPROVEMENT)?.into_iter().map(|(_, improvement)| improvement).collect())
    }

    /// The rows of statistics, in order.
    pub fn statistics(&self) -> Result<Vec<Statistics>, JournalError> {
        Ok(self.read_all(PREFIX_STATISTICS)?.into_iter().map(|(_, statistics)| statistics).collect())
    }

    /// Everything in the database, as text, in the order of the keys: the same for equal searches.
    pub fn contents(&self) -> Result<String, JournalError> {
        let mut text = String::new();
        for entry in self.database.iter() {
            let (key, value) = entry.map_err(|e| self.damaged(&e.to_string()))?;
            let name = match key.iter().position(|byte| *byte == b'/') {
                Some(slash) if key.len() == slash + 9 => {
                    let number = u64::from_be_bytes(key[slash + 1..].try_into().unwrap_or_default());
                    format!("{}{number}", String::from_utf8_lossy(&key[..=slash]))
                }
                _ => String::from_utf8_lossy(&key).into_owned(),
            };
            text.push_str(&format!("{name}\t{}\n", String::from_utf8_lossy(&value)));
        }
        Ok(text)
    }

    fn damaged(&self, reason: &str) -> JournalError {
        JournalError::Damaged { path: self.path.clone(), reason: reason.to_owned() }
    }

    fn json<T: Serialize>(&self, value: &T) -> Result<Vec<u8>, JournalError> {
        serde_json::to_vec(value).map_err(|e| JournalError::File { path: self.path.clone(), reason: e.to_string() })
    }

    fn note<T: Serialize>(&self, key: Vec<u8>, value: &T) -> Result<(), JournalError> {
        let failed = |e: sled::Error| JournalError::File { path: self.path.clone(), reason: e.to_string() };
        self.database.insert(key, self.json(value)?).map_err(failed)?;
        Ok(())
    }

    fn apply(&self, batch: sled::Batch) -> Result<(), JournalError> {
        let failed = |e: sled::Error| JournalError::File { path: self.path.clone(), reason: e.to_string() };
        self.database.apply_batch(batch).map_err(failed)?;
        self.database.flush().map_err(failed)?;
        Ok(())
    }

    /// Overwrites the witness in place: always twenty digits.
    fn write_witness(&mut self) -> Result<(), JournalError> {
        use std::io::{Seek, SeekFrom, Write};
        let text = format!("{:020}\n", self.acknowledged.count);
        let written = self.witness.seek(SeekFrom::Start(0)).and_then(|_| self.witness.write_all(text.as_bytes()));
        written.map_err(|e| file_error(&self.path.join(WITNESS), &e))
    }

    fn read_all<T: DeserializeOwned>(&self, prefix: &[u8]) -> Result<Vec<(u64, T)>, JournalError> {
        read_all(&self.database, prefix).map_err(|reason| self.damaged(&reason))
    }
}

/// A store that is in order, held for this process and read through a copy: nothing in it is touched until it is opened.
pub struct CheckedStore {
    path: PathBuf,
    settings: Settings,
    acknowledged: Acknowledged,
    /// Of the copy; declared before it, so that it is closed when the copy goes.
    database: sled::Db,
    copy: TemporaryCopy,
    lock: File,
}

impl CheckedStore {
    /// Checks a store.
    pub fn of(path: &Path) -> Result<CheckedStore, JournalError> {
        if !path.exists() {
            return Err(JournalError::Missing { path: path.to_owned() });
        }
        check_manifest(path)?;
        let lock = take_lock(path)?;
        let damaged = |reason: String| JournalError::Damaged { path: path.to_owned(), reason };
        let claimed = read_witness(path).map_err(damaged)?;
        let database_path = path.join(DATABASE);
        if !database_path.is_dir() {
            return Err(damaged(format!("{DATABASE} is missing")));
        }
        let copy = TemporaryCopy::of(&database_path)?;
        let database = open_database(&copy.path).map_err(damaged)?;
        let (settings, acknowledged) = check_contents(&database, claimed).map_err(damaged)?;
        if settings.hash_version != FunctionalHash::FORMAT_VERSION {
            let reason = format!(
                "its functional hashes have version {}, this release's have {}: use the release that made it",
                settings.hash_version,
                FunctionalHash::FORMAT_VERSION
            );
            return Err(damaged(reason));
        }
        Ok(CheckedStore { path: path.to_owned(), settings, acknowledged, database, copy, lock })
    }

    /// What the search was started with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The acknowledged evaluations with the numbers of their children, in order.
    pub fn evaluations(&self) -> Result<Vec<(u64, EvaluationRecord)>, JournalError> {
        read_all(&self.database, PREFIX_EVALUATION).map_err(|reason| JournalError::Damaged { path: self.path.clone(), reason })
    }

    /// The acknowledged evaluations of the elite on new seeds, in order, by [`revision`].
    pub fn revisions(&self) -> Result<Vec<(u64, EvaluationRecord)>, JournalError> {
        read_all(&self.database, PREFIX_REVISION).map_err(|reason| JournalError::Damaged { path: self.path.clone(), reason })
    }

    /// The evaluation of the initial program, if it was kept.
    pub fn initial(&self) -> Result<Option<EvaluationRecord>, JournalError> {
        read_initial(&self.database).map_err(|reason| JournalError::Damaged { path: self.path.clone(), reason })
    }

    /// The baselines that were kept, by epoch.
    pub fn baselines(&self) -> Result<Vec<(u64, Baseline)>, JournalError> {
        read_all(&self.database, PREFIX_BASELINE).map_err(|reason| JournalError::Damaged { path: self.path.clone(), reason })
    }

    /// The improvements, in order.
    pub fn improvements(&self) -> Result<Vec<Improvement>, JournalError> {
        self.values(PREFIX_IMPROVEMENT)
    }

    /// The rows of statistics, in order.
    pub fn statistics(&self) -> Result<Vec<Statistics>, JournalError> {
        self.values(PREFIX_STATISTICS)
    }

    fn values<T: DeserializeOwned>(&self, prefix: &[u8]) -> Result<Vec<T>, JournalError> {
        let entries = read_all(&self.database, prefix).map_err(|reason| JournalError::Damaged { path: self.path.clone(), reason })?;
        Ok(entries.into_iter().map(|(_, value)| value).collect())
    }

    /// Opens the store itself.
    pub fn open(self) -> Result<Journal, JournalError> {
        let CheckedStore { path, settings, acknowledged, database, copy, lock } = self;
        drop((database, copy));
        let database = open_database(&path.join(DATABASE)).map_err(|reason| JournalError::Damaged { path: path.clone(), reason })?;
        let witness_path = path.join(WITNESS);
        let witness = File::options().write(true).open(&witness_path).map_err(|e| file_error(&witness_path, &e))?;
        Ok(Journal { path, database, settings, acknowledged, witness, _lock: lock })
    }
}

/// The evaluation of the initial program, if it was kept.
fn read_initial(database: &sled::Db) -> Result<Option<EvaluationRecord>, String> {
    let value = database.get(KEY_INITIAL).map_err(|e| e.to_string())?;
    value.map(|value| serde_json::from_slice(&value).map_err(|e| format!("entry initial: {e}"))).transpose()
}

fn read_all<T: DeserializeOwned>(database: &sled::Db, prefix: &[u8]) -> Result<Vec<(u64, T)>, String> {
    let entries = database.scan_prefix(prefix).map(|entry| {
        let (key, value) = entry.map_err(|e| e.to_string())?;
        read_entry(prefix, &key, &value)
    });
    entries.collect()
}

fn read_entry<T: DeserializeOwned>(prefix: &[u8], key: &[u8], value: &[u8]) -> Result<(u64, T), String> {
    let number = key.get(prefix.len()..).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
    let number = number.ok_or_else(|| format!("a key of {} bytes", key.len()))?;
    let name = String::from_utf8_lossy(prefix);
    let value = serde_json::from_slice(value).map_err(|e| format!("entry {name}{number}: {e}"))?;
    Ok((number, value))
}

fn key(prefix: &[u8], number: u64) -> Vec<u8> {
    [prefix, &number.to_be_bytes()].concat()
}

/// FNV-1a of an entry. Sums of these do not depend on the order of the entries.
fn checksum(key: &[u8], value: &[u8]) -> u64 {
    key.iter()
        .chain(&[0])
        .chain(value)
        .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

fn file_error(path: &Path, error: &std::io::Error) -> JournalError {
    JournalError::File { path: path.to_owned(), reason: error.to_string() }
}

fn take_lock(path: &Path) -> Result<File, JournalError> {
    let lock_path = path.join(LOCK);
    let lock = File::options().create(true).write(true).truncate(false).open(&lock_path).map_err(|e| file_error(&lock_path, &e))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(fs::TryLockError::WouldBlock) => Err(JournalError::Busy { path: path.to_owned() }),
        Err(fs::TryLockError::Error(e)) => Err(file_error(&lock_path, &e)),
    }
}

fn check_manifest(path: &Path) -> Result<(), JournalError> {
    let foreign = |reason: String| JournalError::Foreign { path: path.to_owned(), reason };
    if !path.is_dir() {
        return Err(foreign("it is not a directory".to_owned()));
    }
    let text = fs::read(path.join(MANIFEST)).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => foreign(format!("it has no {MANIFEST}")),
        _ => foreign(format!("{MANIFEST}: {e}")),
    })?;
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|e| foreign(format!("{MANIFEST}: {e}")))?;
    if manifest.format != FORMAT {
        return Err(foreign(format!("{MANIFEST} says it is {:?}", manifest.format)));
    }
    if manifest.version > FORMAT_VERSION {
        return Err(JournalError::Newer { path: path.to_owned(), found: manifest.version });
    }
    Ok(())
}

/// How many evaluations the witness says there are; 0 if a crash left it empty.
fn read_witness(path: &Path) -> Result<u64, String> {
    let text = fs::read_to_string(path.join(WITNESS)).map_err(|e| format!("{WITNESS}: {e}"))?;
    if text.is_empty() {
        return Ok(0);
    }
    text.trim_end().parse().map_err(|_| format!("{WITNESS} holds no number"))
}

/// Opens a sled database whose store is locked. On some damaged files sled panics: that is an error like any other here.
fn open_database(path: &Path) -> Result<sled::Db, String> {
    remove_unfinished_snapshots(path).map_err(|e| e.to_string())?;
    let open = || sled::Config::new().path(path).cache_capacity(64 << 20).flush_every_ms(None).open();
    guard(open)?.map_err(|e| e.to_string())
}

/// Removes the snapshots of the database's index that a killed process had not finished: sled 0.34 takes one for the newest whole one. They hold
/// nothing that the log doesn't.
fn remove_unfinished_snapshots(path: &Path) -> std::io::Result<()> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Runs something that may panic on damaged files, with the panic's message in place of a backtrace on the screen.
fn guard<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = catch_unwind(AssertUnwindSafe(f));
    std::panic::set_hook(hook);
    result.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        format!("the database can't be read: {}", text.unwrap_or("it is malformed").lines().next().unwrap_or_default())
    })
}

fn check_contents(database: &sled::Db, claimed: u64) -> Result<(Settings, Acknowledged), String> {
    guard(|| {
        let get = |key: &[u8]| {
            let name = String::from_utf8_lossy(key).into_owned();
            database.get(key).map_err(|e| e.to_string())?.ok_or_else(|| format!("the entry {name} is missing"))
        };
        let settings = serde_json::from_slice(&get(KEY_SETTINGS)?).map_err(|e| format!("settings: {e}"))?;
        let acknowledged: Acknowledged = serde_json::from_slice(&get(KEY_ACKNOWLEDGED)?).map_err(|e| format!("acknowledged: {e}"))?;
        let mut found = Acknowledged::default();
        for prefix in [PREFIX_EVALUATION, PREFIX_REVISION] {
            for entry in database.scan_prefix(prefix) {
                let (key, value) = entry.map_err(|e| e.to_string())?;
                read_entry::<EvaluationRecord>(prefix, &key, &value)?;
                found.count += 1;
                found.checksum = found.checksum.wrapping_add(checksum(&key, &value));
            }
        }
        if found != acknowledged {
            return Err(format!(
                "{} evaluations are there and {} were acknowledged, or their checksums differ",
                found.count, acknowledged.count
            ));
        }
        if found.count < claimed {
            return Err(format!("{} evaluations are there, but {claimed} were acknowledged", found.count));
        }
        Ok((settings, acknowledged))
    })?
}

/// A copy of a directory of files; gone when dropped.
struct TemporaryCopy {
    path: PathBuf,
}

impl TemporaryCopy {
    fn of(source: &Path) -> Result<TemporaryCopy, JournalError> {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("symopt-check-{}-{number}", std::process::id()));
        let copy = TemporaryCopy { path };
        copy_directory(source, &copy.path)?;
        Ok(copy)
    }
}

fn copy_directory(source: &Path, target: &Path) -> Result<(), JournalError> {
    fs::create_dir_all(target).map_err(|e| file_error(target, &e))?;
    for entry in fs::read_dir(source).map_err(|e| file_error(source, &e))? {
        let entry = entry.map_err(|e| file_error(source, &e))?;
        let (from, to) = (entry.path(), target.join(entry.file_name()));
        if from.is_dir() {
            copy_directory(&from, &to)?;
        } else {
            fs::copy(&from, &to).map_err(|e| file_error(&from, &e))?;
        }
    }
    Ok(())
}

impl Drop for TemporaryCopy {
    fn drop(&mut self) {
        // Nothing depends on it being gone.
        let _ = fs::remove_dir_all(&self.path);
    }
}

impl EvaluationRecord {
    /// The record of an evaluation.
    pub fn new(hash: FunctionalHash, program: &Program, evaluation: &Evaluation) -> EvaluationRecord {
        EvaluationRecord {
            hash: hash.to_string(),
            program: program.to_string(),
            fitness: evaluation.fitness,
            curve: evaluation.curve.to_vec(),
            standard_error: evaluation.standard_error,
            seeds: evaluation.seeds,
            settings: evaluation.settings.to_vec(),
            failure: evaluation.failure.as_deref().cloned(),
        }
    }

    /// What the evaluation gave.
    pub fn evaluation(&self) -> Evaluation {
        Evaluation {
            fitness: self.fitness,
            curve: Arc::from(self.curve.as_slice()),
            standard_error: self.standard_error,
            seeds: self.seeds,
            settings: Arc::from(self.settings.as_slice()),
            failure: self.failure.clone().map(Arc::new),
        }
    }
}
