//! Stores of formats 1 to 3, whose journal is a sled database with an entry for each evaluation.
//!
//! sled writes where it only reads, so such a database is read through a copy. It is read once,
//! into a log, which is a temporary file without a name; when the store is opened to write, that
//! log takes the place of the database.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use symopt_dsl::FunctionalHash;
use symopt_proxy_tasks::suite::Baseline;

use super::encoding::{Encoder, Source, put_varint};
use super::error::{JournalError, is_full, store_error};
use super::frame::{self, MAGIC, read_at};
use super::log::{Log, head_payload, json_payload, kind};
use super::manifest::Manifest;
use super::record::{EvaluationRecord, Improvement, Place, Settings, epoch_of};
use super::{JOURNAL, LOG, MANIFEST};
use crate::directory::{create_new, sync};
use crate::store::statistics::Statistics;
use crate::store::stop_reason::StopReason;

const KEY_SETTINGS: &[u8] = b"settings";
const KEY_ACKNOWLEDGED: &[u8] = b"acknowledged";
const KEY_END: &[u8] = b"end";
const KEY_INITIAL: &[u8] = b"initial";
const PREFIX_BASELINE: &[u8] = b"baseline/";
const PREFIX_EVALUATION: &[u8] = b"evaluation/";
const PREFIX_REVISION: &[u8] = b"revision/";
const PREFIX_IMPROVEMENT: &[u8] = b"improvement/";
const PREFIX_STATISTICS: &[u8] = b"statistics/";

/// The file that holds the entries.
const DATA: &str = "db";

/// Evaluations to a frame.
const TOGETHER: usize = 256;

/// The count and the sum of checksums of the acknowledged evaluations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Acknowledged {
    count: u64,
    checksum: u64,
}

/// Whether a store holds a database.
pub(super) fn is_there(store: &Path) -> bool {
    store.join(JOURNAL).join(DATA).exists()
}

/// Whether a path in a store is that of a file or directory of a database that was just being made.
pub(super) fn is_of_database(name: &str) -> bool {
    let file = name.strip_prefix(JOURNAL).and_then(|rest| rest.strip_prefix('/'));
    file.is_some_and(|file| [DATA, "conf", "blobs"].contains(&file) || file.starts_with("snap."))
}

/// The log of a store whose journal is a database, in a temporary file. With `salvage` it may hold
/// fewer evaluations than were acknowledged.
pub(super) fn log_of(store: &Path, claimed: u64, salvage: bool) -> Result<File, JournalError> {
    let damaged =
        |reason: String| JournalError::Damaged { path: store.to_owned(), reason, salvage: true };
    // Private, of a random name, and removed in any case but a kill.
    let copy =
        tempfile::Builder::new().prefix("symopt-").tempdir().map_err(|e| temporary_error(&e))?;
    let database_path = copy.path().join(JOURNAL);
    copy_directory(store, &store.join(JOURNAL), &database_path)?;
    let database = open_database(&database_path).map_err(damaged)?;
    let mut log = Writing::new()?;
    let read = guard(|| convert(&database, claimed, salvage, &mut log));
    let result = match read {
        Ok(Ok(())) => log.finish(),
        Ok(Err(Failed::Damaged(reason))) | Err(reason) => Err(damaged(reason)),
        Ok(Err(Failed::Temporary(error))) => Err(temporary_error(&error)),
    };
    // The database is closed before its files go.
    drop(database);
    result
}

/// Puts a log in the place of the database, which is removed unless it is kept. Until the manifest
/// says so, the database is the journal.
pub(super) fn replace(store: &Path, log: &Log, keep: bool) -> Result<(), JournalError> {
    let (new, path) = (store.join(format!("{LOG}.new")), store.join(LOG));
    let at = |path: &Path| {
        let path = path.to_owned();
        move |e: io::Error| store_error(store, &path, &e)
    };
    remove_if_there(&new).map_err(at(&new))?;
    let write = || -> io::Result<()> {
        let mut file = create_new(&new)?;
        let (mut offset, mut buffer) = (0, vec![0; 1 << 18]);
        while offset < log.end {
            let most = usize::try_from(log.end - offset)
                .map_or(buffer.len(), |rest| rest.min(buffer.len()));
            let read = read_at(&log.file, &mut buffer[..most], offset)?;
            if read == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            file.write_all(&buffer[..read])?;
            offset += read as u64;
        }
        file.sync_all()
    };
    if let Err(error) = write() {
        let _ = fs::remove_file(&new);
        return Err(at(&new)(error));
    }
    fs::rename(&new, &path).and_then(|()| sync(&store.join(JOURNAL))).map_err(at(&path))?;
    let (new, path) = (store.join(format!("{MANIFEST}.new")), store.join(MANIFEST));
    remove_if_there(&new).map_err(at(&new))?;
    let written = create_new(&new)
        .and_then(|mut file| file.write_all(&Manifest::text()).and_then(|()| file.sync_all()));
    if let Err(error) = written {
        let _ = fs::remove_file(&new);
        return Err(at(&new)(error));
    }
    fs::rename(&new, &path).and_then(|()| sync(store)).map_err(at(&path))?;
    if !keep {
        // Remains of the database, if this is cut short, take room and do no harm.
        let _ = remove_database(&store.join(JOURNAL));
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Removes the files that sled makes, and no others.
fn remove_database(journal: &Path) -> io::Result<()> {
    remove_if_there(&journal.join(DATA))?;
    remove_if_there(&journal.join("conf"))?;
    for entry in fs::read_dir(journal)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("snap.") && entry.file_type()?.is_file()
        {
            fs::remove_file(entry.path())?;
        }
    }
    let blobs = journal.join("blobs");
    if fs::symlink_metadata(&blobs).is_ok_and(|metadata| metadata.is_dir()) {
        for entry in fs::read_dir(&blobs)? {
            let entry = entry?;
            if entry
                .file_name()
                .to_string_lossy()
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'-')
            {
                fs::remove_file(entry.path())?;
            }
        }
        fs::remove_dir(&blobs)?;
    }
    Ok(())
}

/// Why a database did not become a log.
enum Failed {
    Damaged(String),
    Temporary(io::Error),
}

impl From<String> for Failed {
    fn from(reason: String) -> Failed {
        Failed::Damaged(reason)
    }
}

fn temporary_error(error: &io::Error) -> JournalError {
    JournalError::Temporary { path: std::env::temp_dir(), reason: error.to_string() }
}

/// A log that is being written to a temporary file.
struct Writing {
    file: File,
    end: u64,
    buffer: Vec<u8>,
}

impl Writing {
    fn new() -> Result<Writing, JournalError> {
        let file = tempfile::tempfile().map_err(|e| temporary_error(&e))?;
        Ok(Writing { file, end: 0, buffer: Vec::new() })
    }

    fn put(&mut self, payload: &[u8]) -> Result<(), Failed> {
        if self.end == 0 && self.buffer.is_empty() {
            self.buffer.extend(MAGIC);
        }
        if !frame::fits(payload) {
            return Err(Failed::Damaged("an entry is too long".to_owned()));
        }
        let offset = self.end + self.buffer.len() as u64;
        frame::put(&mut self.buffer, offset, payload);
        if self.buffer.len() >= 1 << 18 { self.write().map_err(Failed::Temporary) } else { Ok(()) }
    }

    fn write(&mut self) -> io::Result<()> {
        self.file.write_all(&self.buffer)?;
        self.end += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<File, JournalError> {
        self.write().map_err(|e| temporary_error(&e))?;
        Ok(self.file)
    }
}

/// Evaluations that are written together.
struct Batch<'a> {
    log: &'a mut Writing,
    encoder: Encoder,
    records: Vec<u8>,
    count: usize,
    begins: bool,
}

impl Batch<'_> {
    fn put(&mut self, place: Place, record: &EvaluationRecord, terse: bool) -> Result<(), Failed> {
        let hash = FunctionalHash::from_hex(&record.hash)
            .ok_or_else(|| format!("{place} has the hash {:?}", record.hash))?;
        if self.count == 0 {
            self.begins = self.encoder.begin();
        }
        self.encoder.put(
            &mut self.records,
            place,
            hash,
            &record.evaluation(),
            terse,
            Source::Text(&record.program),
        );
        self.count += 1;
        if self.count >= TOGETHER { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), Failed> {
        if self.count == 0 {
            return Ok(());
        }
        let mut payload = vec![kind::EVALUATIONS, u8::from(self.begins)];
        put_varint(&mut payload, self.count as u64);
        payload.append(&mut self.records);
        self.count = 0;
        self.log.put(&payload)
    }
}

/// Reads a database into a log, in the order of a search.
fn convert(
    database: &sled::Db,
    claimed: u64,
    salvage: bool,
    log: &mut Writing,
) -> Result<(), Failed> {
    let get = |key: &[u8]| database.get(key).map_err(|e| unreadable(&e));
    let needed = |key: &[u8]| {
        get(key)?.ok_or_else(|| format!("the entry {} is missing", String::from_utf8_lossy(key)))
    };
    let settings_json = needed(KEY_SETTINGS)?;
    let settings: Settings =
        serde_json::from_slice(&settings_json).map_err(|e| format!("settings: {e}"))?;
    let acknowledged: Acknowledged = match needed(KEY_ACKNOWLEDGED) {
        Ok(json) => serde_json::from_slice(&json).map_err(|e| format!("acknowledged: {e}"))?,
        Err(_) if salvage => Acknowledged::default(),
        Err(reason) => return Err(reason.into()),
    };
    let rotate = settings.config.fitness.rotate;
    let initial = symopt_dsl::parse(&settings.initial).ok().map(std::sync::Arc::new);
    log.put(&head_payload(&settings_json))?;
    each::<Baseline>(database, PREFIX_BASELINE, |epoch, baseline, _, _| {
        log.put(&json_payload(kind::BASELINE, Some(epoch), &baseline)?)
    })?;
    let functions: Vec<_> = symopt_dsl::Function::all().map(Some).collect();
    if let Some(json) = get(KEY_INITIAL)? {
        let record: EvaluationRecord =
            serde_json::from_slice(&json).map_err(|e| format!("entry initial: {e}"))?;
        let hash = FunctionalHash::from_hex(&record.hash)
            .ok_or_else(|| format!("entry initial has the hash {:?}", record.hash))?;
        let mut payload = vec![kind::INITIAL];
        let mut encoder = Encoder::new(initial.clone(), &functions);
        encoder.put(
            &mut payload,
            Place::Child(0),
            hash,
            &record.evaluation(),
            false,
            Source::Text(&record.program),
        );
        log.put(&payload)?;
    }

    let mut found = Acknowledged::default();
    let mut count = |key: &[u8], value: &[u8]| {
        found.count += 1;
        found.checksum = found.checksum.wrapping_add(checksum(key, value));
    };
    // The seeds change before the child is bred whose number is the epoch's times `rotate`.
    let mut revisions = database.scan_prefix(PREFIX_REVISION).peekable();
    let mut batch = Batch {
        log,
        encoder: Encoder::new(initial, &functions),
        records: Vec::new(),
        count: 0,
        begins: false,
    };
    let mut put_revisions = |before: u64,
                             batch: &mut Batch,
                             count: &mut dyn FnMut(&[u8], &[u8])|
     -> Result<(), Failed> {
        while let Some(entry) = revisions.peek() {
            let (key, value) = entry.as_ref().map_err(unreadable)?;
            let (number, record) = read_entry::<EvaluationRecord>(PREFIX_REVISION, key, value)?;
            if epoch_of(number).saturating_mul(rotate) > before {
                break;
            }
            count(key, value);
            batch.put(Place::Revision(number), &record, is_terse(value))?;
            revisions.next();
        }
        Ok(())
    };
    each::<EvaluationRecord>(database, PREFIX_EVALUATION, |index, record, key, value| {
        put_revisions(index, &mut batch, &mut count)?;
        count(key, value);
        batch.put(Place::Child(index), &record, is_terse(value))
    })?;
    put_revisions(u64::MAX, &mut batch, &mut count)?;
    batch.write()?;
    if !salvage {
        if found != acknowledged {
            let (found, acknowledged) = (found.count, acknowledged.count);
            return Err(format!("{found} evaluations are there and {acknowledged} were acknowledged, or their checksums differ").into());
        }
        if found.count < claimed {
            return Err(format!(
                "{} evaluations are there, but {claimed} were acknowledged",
                found.count
            )
            .into());
        }
    }
    each::<Improvement>(database, PREFIX_IMPROVEMENT, |_, value, _, _| {
        log.put(&json_payload(kind::IMPROVEMENT, None, &value)?)
    })?;
    each::<Statistics>(database, PREFIX_STATISTICS, |_, value, _, _| {
        log.put(&json_payload(kind::STATISTICS, None, &value)?)
    })?;
    if let Some(json) = get(KEY_END)? {
        let end: StopReason =
            serde_json::from_slice(&json).map_err(|e| format!("entry end: {e}"))?;
        log.put(&json_payload(kind::END, None, &end)?)?;
    }
    Ok(())
}

/// Whether a record is one of the first release, which knew less.
fn is_terse(json: &[u8]) -> bool {
    !json.windows(16).any(|part| part == br#""standard_error""#)
}

/// Every entry of a prefix, in order.
fn each<T: DeserializeOwned>(
    database: &sled::Db,
    prefix: &[u8],
    mut f: impl FnMut(u64, T, &[u8], &[u8]) -> Result<(), Failed>,
) -> Result<(), Failed> {
    for entry in database.scan_prefix(prefix) {
        let (key, value) = entry.map_err(|e| unreadable(&e))?;
        let (number, read) = read_entry(prefix, &key, &value)?;
        f(number, read, &key, &value)?;
    }
    Ok(())
}

fn read_entry<T: DeserializeOwned>(
    prefix: &[u8],
    key: &[u8],
    value: &[u8],
) -> Result<(u64, T), String> {
    let number =
        key.get(prefix.len()..).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
    let number = number.ok_or_else(|| format!("a key of {} bytes", key.len()))?;
    let name = String::from_utf8_lossy(prefix);
    let value = serde_json::from_slice(value).map_err(|e| format!("entry {name}{number}: {e}"))?;
    Ok((number, value))
}

/// FNV-1a of an entry. Sums of these do not depend on the order of the entries.
fn checksum(key: &[u8], value: &[u8]) -> u64 {
    key.iter().chain(&[0]).chain(value).fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// sled's errors are for its developers.
fn unreadable(error: &sled::Error) -> String {
    match error {
        sled::Error::Io(error) => format!("the database can't be read: {}", error.kind()),
        sled::Error::Corruption { .. } => "the database is corrupted".to_owned(),
        _ => "the database can't be read".to_owned(),
    }
}

/// Opens a copy of a database. On some damaged files sled panics: that is an error like any other
/// here.
fn open_database(path: &Path) -> Result<sled::Db, String> {
    let open =
        || sled::Config::new().path(path).cache_capacity(64 << 20).flush_every_ms(None).open();
    guard(open)?.map_err(|e| unreadable(&e))
}

/// Runs something that may panic on damaged files. The panic's message, which is for developers,
/// does not reach the screen.
fn guard<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    // The hook is one for all threads.
    static HOOK: Mutex<()> = Mutex::new(());
    let _one = HOOK.lock().unwrap_or_else(PoisonError::into_inner);
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = catch_unwind(AssertUnwindSafe(f));
    std::panic::set_hook(hook);
    result.map_err(|_| "the database is corrupted".to_owned())
}

/// Copies the files of a database. Unfinished files of a killed process are left out: sled 0.34
/// takes an unfinished snapshot of the index for the newest whole one, and it holds nothing that
/// the log doesn't.
fn copy_directory(store: &Path, source: &Path, target: &Path) -> Result<(), JournalError> {
    let source_error = |path: &Path, e: &io::Error| store_error(store, path, e);
    fs::create_dir(target).map_err(|e| temporary_error(&e))?;
    for entry in fs::read_dir(source).map_err(|e| source_error(source, &e))? {
        let entry = entry.map_err(|e| source_error(source, &e))?;
        let (from, to) = (entry.path(), target.join(entry.file_name()));
        if from.is_dir() {
            copy_directory(store, &from, &to)?;
        } else if !entry.file_name().to_string_lossy().ends_with(".generating")
            && entry.file_name() != "log"
        {
            fs::copy(&from, &to).map_err(|e| {
                if is_full(&e) { temporary_error(&e) } else { source_error(&from, &e) }
            })?;
        }
    }
    Ok(())
}
