//! The journal of a search that runs.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use symopt_dsl::{FunctionalHash, Program};
use symopt_proxy_tasks::suite::{Baseline, Fitness};

pub use super::FORMAT_VERSION;
pub use super::checked::{CheckedStore, FoundEvaluation, Lost, Salvage};
pub use super::error::JournalError;
pub use super::record::{
    Evaluated, EvaluationRecord, Improvement, Origin, Place, Proposal, Settings, epoch_of, revision,
};

use super::encoding::{Encoder, Source, put_varint};
use super::error::{making_error, store_error};
use super::frame::{self, HEAD, MAGIC, read_at, write_at};
use super::index::writer::Index;
use super::lock::take_lock;
use super::log::{
    Log, LogError, Summary, Tail, each_record, head_payload, json_payload, kind, value,
};
use super::manifest::Manifest;
use super::witness::witness_text;
use super::{INDEX, JOURNAL, KIND, LOG, STATE, WITNESS, old, origin, state};
use crate::directory::{self, Making, MakingError, create_new, no_follow};
use crate::judge::evaluation::Evaluation;
use crate::store::statistics::Statistics;
use crate::store::stop_reason::StopReason;

/// An open store.
pub struct Journal {
    path: PathBuf,
    log: Log,
    index: Index,
    settings: Settings,
    encoder: Encoder,
    /// Payloads that are written with the next evaluations: they follow from those, so nothing
    /// waits for them.
    notes: Vec<Vec<u8>>,
    acknowledged: u64,
    /// The number after the last child.
    children: u64,
    last_improvement: Option<u64>,
    last_statistics: Option<u64>,
    last_end: Option<StopReason>,
    /// Where the last frame begins.
    last_frame: u64,
    witness: File,
    /// Where the damaged end of the log went.
    kept: Option<PathBuf>,
    /// Held while the store is open.
    _lock: File,
}

impl Journal {
    /// Whether a store can be made at a path: nothing is there, an empty directory, or one that a
    /// process did not finish.
    pub fn check_vacant(path: &Path) -> Result<(), JournalError> {
        match KIND.look(path).map_err(|e| making_error(path, &e))? {
            directory::Occupancy::Vacant => Ok(()),
            directory::Occupancy::Whole => Err(JournalError::Exists { path: path.to_owned() }),
            directory::Occupancy::Taken(reason) => {
                Err(JournalError::Taken { path: path.to_owned(), reason })
            }
        }
    }

    /// Whether a store is at a path, in order or not.
    pub fn is_at(path: &Path) -> bool {
        KIND.look(path).is_ok_and(|place| place == directory::Occupancy::Whole)
    }

    /// Makes a store in a new or empty directory.
    pub fn create(path: &Path, settings: Settings) -> Result<Journal, JournalError> {
        Journal::check_vacant(path)?;
        let failed = |error: MakingError| match error {
            MakingError::Exists => JournalError::Exists { path: path.to_owned() },
            MakingError::Taken(reason) => JournalError::Taken { path: path.to_owned(), reason },
            MakingError::Busy => JournalError::Busy { path: path.to_owned() },
            // The file that could not be written is a detail, but where a disk is full matters.
            MakingError::File { source, .. } => making_error(path, &source),
        };
        let at = |e: std::io::Error| making_error(path, &e);
        let making = Making::begin(path, &KIND).map_err(failed)?;
        let lock = take_lock(path)?;
        fs::create_dir(path.join(JOURNAL)).map_err(at)?;
        let head = head_payload(
            &serde_json::to_vec(&settings).map_err(|e| unwritable(path, e.to_string()))?,
        );
        let mut bytes = MAGIC.to_vec();
        frame::put(&mut bytes, MAGIC.len() as u64, &head);
        let log_path = path.join(LOG);
        let file = create_new(&log_path).map_err(at)?;
        write_at(&file, &bytes, 0).and_then(|()| file.sync_all()).map_err(at)?;
        directory::sync(&path.join(JOURNAL)).map_err(at)?;
        let witness = create_new(&path.join(WITNESS)).map_err(at)?;
        write_at(&witness, witness_text(0).as_bytes(), 0).map_err(at)?;
        drop(witness);
        let (log, summary) =
            Log::scan(file, path, &log_path, None).map_err(|error| match error {
                LogError::File(error) => at(error),
                LogError::Damaged(reason) => unwritable(path, reason),
            })?;
        let journal = Journal::open_log(path.to_owned(), log, summary, false, lock)?;
        making.finish(&Manifest::text()).map_err(failed)?;
        Ok(journal)
    }

    /// Opens a store, after checking it.
    pub fn open(path: &Path) -> Result<Journal, JournalError> {
        Journal::of(CheckedStore::held(path, Salvage::No)?)
    }

    /// Opens a store that has been checked, held by this process. One of an earlier format becomes
    /// one of this.
    pub fn of(checked: CheckedStore) -> Result<Journal, JournalError> {
        let CheckedStore { path, log, summary, is_old, lost, lock } = checked;
        let (log, summary, lock) = match lock {
            Some(lock) => (log, summary, lock),
            None => return Journal::open(&path),
        };
        if is_old {
            // A damaged database is kept.
            old::replace(&path, &log, lost.is_some())?;
        }
        Journal::open_log(path, log, summary, lost.is_some(), lock)
    }

    /// Opens a log that was read through. Unacknowledged bytes are cut off; damaged ones are kept
    /// beside the log.
    fn open_log(
        path: PathBuf,
        log: Log,
        summary: Summary,
        lost: bool,
        lock: File,
    ) -> Result<Journal, JournalError> {
        let (log_path, witness_path) = (path.join(LOG), path.join(WITNESS));
        // It may be open to be read only.
        let file = no_follow(File::options().read(true).write(true))
            .open(&log_path)
            .map_err(|e| store_error(&path, &log_path, &e))?;
        let length = file.metadata().map_err(|e| store_error(&path, &log_path, &e))?.len();
        let mut kept = None;
        if length > log.end {
            if lost || summary.tail == Tail::Damaged {
                kept = Some(keep_end(&path, &file, log.end, length)?);
            }
            file.set_len(log.end)
                .and_then(|()| file.sync_all())
                .map_err(|e| store_error(&path, &log_path, &e))?;
        }
        let witness =
            no_follow(File::options().write(true).create(true).truncate(false)).open(&witness_path);
        let witness = witness.map_err(|e| store_error(&path, &witness_path, &e))?;
        KIND.tidy(&path);
        let log = log.with_file(file);
        let index = Index::open(&path.join(INDEX), &log);
        let encoder = Encoder::new(log.head.clone(), &log.functions);
        let Summary {
            settings,
            evaluations,
            children,
            last_improvement,
            last_statistics,
            last_end,
            last_frame,
            ..
        } = summary;
        let journal = Journal {
            path,
            log,
            index,
            settings,
            encoder,
            notes: Vec::new(),
            acknowledged: evaluations,
            children,
            last_improvement,
            last_statistics,
            last_end,
            last_frame,
            witness,
            kept,
            _lock: lock,
        };
        journal.write_witness()?;
        Ok(journal)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the settings that the search was started with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The file that holds what the log had after its damage, if it was damaged when the store was
    /// opened.
    pub fn kept_end(&self) -> Option<&Path> {
        self.kept.as_deref()
    }

    /// Writes evaluations, each with the number of the child that was evaluated, and those of the
    /// elite on new seeds. When this returns they are on the disk.
    pub fn acknowledge(
        &mut self,
        records: &[(Place, EvaluationRecord)],
    ) -> Result<(), JournalError> {
        let mut entries = Vec::with_capacity(records.len());
        for (place, record) in records {
            entries.push((*place, self.hash_of(record)?, record.evaluation()));
        }
        let sources =
            entries.iter().zip(records).map(|((place, hash, evaluation), (_, record))| Entry {
                place: *place,
                hash: *hash,
                evaluation,
                terse: false,
                program: Source::Text(&record.program),
            });
        self.write(sources).map(drop)
    }

    /// The same for programs that were bred from an initial program. Gives the places of the
    /// evaluations in the log.
    pub(crate) fn acknowledge_bred(
        &mut self,
        evaluated: &[(Place, Evaluated)],
        initial: &Program,
    ) -> Result<Vec<u64>, JournalError> {
        let mut origins = vec![kind::ORIGINS];
        for (place, evaluated) in evaluated {
            if let (Place::Child(number), Some(origin)) = (place, &evaluated.origin) {
                origin::put(&mut origins, *number, origin);
            }
        }
        if origins.len() > 1 {
            self.notes.push(origins);
        }
        // Whoever has the signature of the initial program has its variables.
        let same_names = self.log.head.as_deref().is_some_and(|head| has_names_of(initial, head));
        let texts: Vec<Option<String>> = evaluated
            .iter()
            .map(|(_, Evaluated { program, .. })| {
                let known = same_names && std::ptr::eq(program.signature(), initial.signature());
                (!known).then(|| program.to_string())
            })
            .collect();
        let entries = evaluated.iter().zip(&texts).map(|((place, evaluated), text)| Entry {
            place: *place,
            hash: evaluated.hash,
            evaluation: &evaluated.evaluation,
            terse: false,
            program: text
                .as_deref()
                .map_or_else(|| Source::Program(&evaluated.program), Source::Text),
        });
        self.write(entries)
    }

    fn write<'e>(
        &mut self,
        entries: impl ExactSizeIterator<Item = Entry<'e>>,
    ) -> Result<Vec<u64>, JournalError> {
        let begins = self.encoder.begin();
        let mut payload = vec![kind::EVALUATIONS, u8::from(begins)];
        put_varint(&mut payload, entries.len() as u64);
        let mut acknowledged = self.acknowledged;
        let mut children = self.children;
        let mut records = Vec::with_capacity(entries.len());
        for entry in entries {
            records.push((entry.hash, entry.place, payload.len() as u64));
            let Entry { place, hash, evaluation, terse, program } = entry;
            self.encoder.put(&mut payload, place, hash, evaluation, terse, program);
            acknowledged += 1;
            if let Place::Child(number) = place {
                children = children.max(number.saturating_add(1));
            }
        }
        let begin = self.append(payload)?;
        (self.acknowledged, self.children) = (acknowledged, children);
        records.iter_mut().for_each(|(.., offset)| *offset += begin);
        self.write_witness()?;
        self.index.take(&self.log.file, begin - HEAD, self.log.end, begins, &records);
        Ok(records.into_iter().map(|(.., offset)| offset).collect())
    }

    /// Writes the evaluation of the initial program, where it can't be made again.
    pub fn keep_initial(&mut self, record: &EvaluationRecord) -> Result<(), JournalError> {
        let payload =
            initial_payload(&self.log, record).map_err(|reason| unwritable(&self.path, reason))?;
        self.append(payload).map(drop)
    }

    /// Writes baselines by epoch, likewise. When this returns they are on the disk.
    pub fn keep_baselines(&mut self, baselines: &[(u64, Baseline)]) -> Result<(), JournalError> {
        for (epoch, baseline) in baselines {
            self.append(self.json(kind::BASELINE, Some(*epoch), baseline)?)?;
        }
        Ok(())
    }

    /// The evaluation of the initial program, if it was kept.
    pub fn initial(&self) -> Result<Option<EvaluationRecord>, JournalError> {
        self.log.initial()
    }

    /// Notes an improvement. It follows from the evaluations, so it is written with the next ones.
    pub fn note_improvement(&mut self, improvement: &Improvement) -> Result<(), JournalError> {
        // A resumed search has them all again.
        if self.last_improvement.is_none_or(|last| improvement.index > last) {
            self.last_improvement = Some(improvement.index);
            self.notes.push(self.json(kind::IMPROVEMENT, None, improvement)?);
        }
        Ok(())
    }

    /// Notes what a command answered that was asked for a child. It is in the log before the
    /// evaluations that are written next, and so before all that depends on it.
    pub fn note_proposal(&mut self, child: u64, proposal: &Proposal) -> Result<(), JournalError> {
        self.notes.push(self.json(kind::PROPOSAL, Some(child), proposal)?);
        Ok(())
    }

    /// The proposals with the numbers of their children, in order.
    pub fn proposals(&self) -> Result<Vec<(u64, Proposal)>, JournalError> {
        let mut proposals = self.log.proposals()?;
        let noted = self.notes.iter().filter(|note| note.first() == Some(&kind::PROPOSAL));
        proposals.extend(noted.filter_map(|payload| value(payload, true)));
        Ok(proposals)
    }

    /// Notes a row of statistics, likewise.
    pub fn note_statistics(&mut self, statistics: &Statistics) -> Result<(), JournalError> {
        if self.last_statistics.is_none_or(|last| statistics.generated > last) {
            self.last_statistics = Some(statistics.generated);
            self.notes.push(self.json(kind::STATISTICS, None, statistics)?);
        }
        Ok(())
    }

    /// Writes how the search ended, and all notes.
    pub fn note_end(&mut self, reason: StopReason) -> Result<(), JournalError> {
        if self.last_end != Some(reason) {
            self.last_end = Some(reason);
            self.notes.push(self.json(kind::END, None, &reason)?);
        }
        self.flush()
    }

    /// Writes all notes.
    pub fn flush(&mut self) -> Result<(), JournalError> {
        match self.notes.pop() {
            Some(last) => self.append(last).map(drop),
            None => Ok(()),
        }
    }

    /// Writes the search state, which follows from what was written before. Nothing is lost where
    /// it can't be.
    pub(crate) fn write_state(&mut self, state: &[u8]) -> Result<(), JournalError> {
        // A search that is resumed from here does not make them again.
        self.flush()?;
        let _ = state::write(&self.path.join(STATE), &self.log, self.last_frame, state);
        Ok(())
    }

    /// The search state that was written last, if it is whole and follows from this log.
    pub(crate) fn state(&self) -> Option<Vec<u8>> {
        state::read(&self.path.join(STATE), &self.log)
    }

    /// The acknowledged evaluations with the numbers of their children, in order.
    pub fn evaluations(&self) -> Result<Vec<(u64, EvaluationRecord)>, JournalError> {
        self.log.records(true)
    }

    /// The acknowledged evaluations of the elite on new seeds, in order, by epoch and rank.
    pub fn revisions(&self) -> Result<Vec<(u64, EvaluationRecord)>, JournalError> {
        self.log.records(false)
    }

    /// The records of the evaluations that are wanted, children and the elite, in the order of the
    /// log. Nothing is held of the others.
    pub fn records_where(
        &self,
        wanted: impl FnMut(Place, FunctionalHash, &Evaluation) -> bool,
    ) -> Result<Vec<(Place, EvaluationRecord)>, JournalError> {
        self.log.records_where(wanted)
    }

    /// The improvements, in order.
    pub fn improvements(&self) -> Result<Vec<Improvement>, JournalError> {
        let mut improvements = self.log.improvements()?;
        improvements.extend(self.noted(kind::IMPROVEMENT));
        Ok(improvements)
    }

    /// The rows of statistics, in order.
    pub fn statistics(&self) -> Result<Vec<Statistics>, JournalError> {
        let mut statistics = self.log.statistics()?;
        statistics.extend(self.noted(kind::STATISTICS));
        Ok(statistics)
    }

    fn noted<T: serde::de::DeserializeOwned>(&self, kind: u8) -> impl Iterator<Item = T> + '_ {
        self.notes
            .iter()
            .filter(move |payload| payload.first() == Some(&kind))
            .filter_map(|payload| Some(value(payload, false)?.1))
    }

    /// The log, to be read in the order of time.
    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// The number after the last child that was evaluated.
    pub(crate) fn children(&self) -> u64 {
        self.children
    }

    /// Everything in the journal, as text, by name and number: the same for equal searches.
    pub fn contents(&self) -> Result<String, JournalError> {
        let mut entries: BTreeMap<(&str, u64), String> = BTreeMap::new();
        let unreadable = |reason: String| unwritable(&self.path, reason);
        entries.insert(("settings", 0), self.log.settings_json()?);
        let mut sum = 0u64;
        let mut count = 0u64;
        let mut failed = None;
        let mut decoder = self.log.decoder();
        self.log.each(|offset, payload| {
            match payload.first() {
                Some(&kind::BASELINE) => {
                    let (epoch, baseline) = value::<Baseline>(payload, true)?;
                    entries.insert(("baseline/", epoch), serde_json::to_string(&baseline).ok()?);
                }
                Some(&kind::END) => {
                    entries.insert(
                        ("end", 0),
                        serde_json::to_string(&value::<StopReason>(payload, false)?.1).ok()?,
                    );
                }
                _ => {}
            }
            each_record(payload, offset, &mut decoder, &mut |parts, _, decoder| {
                let record =
                    EvaluationRecord::of_text(parts.hash, decoder.text(parts)?, &parts.evaluation);
                let EvaluationRecord { hash, program, fitness, curve, .. } = &record;
                let json = match parts.terse {
                    true => serde_json::to_string(&Terse { hash, program, fitness, curve }).ok()?,
                    false => serde_json::to_string(&record).ok()?,
                };
                let (name, number) = match parts.place {
                    Place::Child(number) => ("evaluation/", number),
                    Place::Revision(number) => ("revision/", number),
                };
                let key = [name.as_bytes(), &number.to_be_bytes()].concat();
                count += 1;
                sum = sum.wrapping_add(checksum(&key, json.as_bytes()));
                if entries.insert((name, number), json).is_some() {
                    failed = Some(parts.place);
                }
                Some(())
            })
        })?;
        if let Some(place) = failed {
            return Err(unreadable(format!("{place} is there twice")));
        }
        entries.insert(("acknowledged", 0), format!(r#"{{"count":{count},"checksum":{sum}}}"#));
        if let Some(initial) = self.initial()? {
            entries.insert(("initial", 0), self.text(&initial)?);
        }
        for (child, Origin { operator, parents }) in self.log.origins()? {
            let [first, second] = parents.map(|p| p.map_or("-".to_owned(), |p| p.to_string()));
            entries.insert(("origin/", child), format!("{operator} {first} {second}"));
        }
        for (child, proposal) in self.proposals()? {
            entries.insert(("proposal/", child), self.text(&proposal)?);
        }
        for improvement in self.improvements()? {
            entries.insert(("improvement/", improvement.index), self.text(&improvement)?);
        }
        for statistics in self.statistics()? {
            entries.insert(("statistics/", statistics.generated), self.text(&statistics)?);
        }
        if let Some(end) = self.noted::<StopReason>(kind::END).last() {
            entries.insert(("end", 0), self.text(&end)?);
        }
        let line = |((name, number), value): (&(&str, u64), &String)| {
            let number = if name.ends_with('/') { number.to_string() } else { String::new() };
            format!("{name}{number}\t{value}\n")
        };
        Ok(entries.iter().map(line).collect())
    }

    fn json<T: Serialize>(
        &self,
        kind: u8,
        number: Option<u64>,
        value: &T,
    ) -> Result<Vec<u8>, JournalError> {
        json_payload(kind, number, value).map_err(|reason| unwritable(&self.path, reason))
    }

    fn text<T: Serialize>(&self, value: &T) -> Result<String, JournalError> {
        serde_json::to_string(value).map_err(|e| unwritable(&self.path, e.to_string()))
    }

    fn hash_of(&self, record: &EvaluationRecord) -> Result<FunctionalHash, JournalError> {
        let hash = FunctionalHash::from_hex(&record.hash);
        hash.ok_or_else(|| {
            unwritable(&self.path, format!("{:?} is no functional hash", record.hash))
        })
    }

    /// Writes all notes and a payload, and waits until they are on the disk. Gives the offset of
    /// the payload. If that fails, the log is as it was before.
    fn append(&mut self, payload: Vec<u8>) -> Result<u64, JournalError> {
        if !frame::fits(&payload) {
            return Err(unwritable(&self.path, "an entry is too long".to_owned()));
        }
        let end = self.log.end;
        let mut bytes = Vec::new();
        for note in &self.notes {
            let offset = end + bytes.len() as u64;
            frame::put(&mut bytes, offset, note);
        }
        let begin = end + bytes.len() as u64;
        frame::put(&mut bytes, begin, &payload);
        let file = &self.log.file;
        if let Err(error) = write_at(file, &bytes, end).and_then(|()| file.sync_data()) {
            // Readers, and whoever opens the log again, pass over an incomplete frame; this only
            // makes room.
            let _ = file.set_len(end);
            self.encoder.end_window();
            return Err(store_error(&self.path, &self.path.join(LOG), &error));
        }
        self.notes.clear();
        self.log.end = end + bytes.len() as u64;
        self.last_frame = begin;
        Ok(begin + HEAD)
    }

    /// Overwrites the witness in place: always twenty digits, so it takes no room that it has not.
    fn write_witness(&self) -> Result<(), JournalError> {
        let written = write_at(&self.witness, witness_text(self.acknowledged).as_bytes(), 0);
        written.map_err(|e| store_error(&self.path, &self.path.join(WITNESS), &e))
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // They follow from the evaluations: it does no harm if they can't be written.
        let _ = self.flush();
    }
}

/// Copies what the log has after its damage into a file of its own, which nothing reads.
fn keep_end(store: &Path, log: &File, mut from: u64, end: u64) -> Result<PathBuf, JournalError> {
    let free = (1u32..)
        .map(|number| store.join(format!("{LOG}.damaged-{number}")))
        .find(|path| fs::symlink_metadata(path).is_err());
    let path = free.ok_or_else(|| {
        unwritable(store, "there is no name for the damaged end of the log".to_owned())
    })?;
    let mut copy = || -> std::io::Result<()> {
        let mut file = create_new(&path)?;
        let mut buffer = vec![0; 1 << 18];
        while from < end {
            let most =
                usize::try_from(end - from).map_or(buffer.len(), |rest| rest.min(buffer.len()));
            let read = read_at(log, &mut buffer[..most], from)?;
            if read == 0 {
                break;
            }
            file.write_all(&buffer[..read])?;
            from += read as u64;
        }
        file.sync_all()?;
        directory::sync(&store.join(JOURNAL))
    };
    copy().map_err(|error| {
        let _ = fs::remove_file(&path);
        store_error(store, &path, &error)
    })?;
    Ok(path)
}

/// An evaluation to be written.
pub(super) struct Entry<'e> {
    pub place: Place,
    pub hash: FunctionalHash,
    pub evaluation: &'e Evaluation,
    pub terse: bool,
    pub program: Source<'e>,
}

/// The payload of the initial program's evaluation.
pub(super) fn initial_payload(log: &Log, record: &EvaluationRecord) -> Result<Vec<u8>, String> {
    let hash = FunctionalHash::from_hex(&record.hash)
        .ok_or_else(|| format!("{:?} is no functional hash", record.hash))?;
    let mut payload = vec![kind::INITIAL];
    let mut encoder = Encoder::new(log.head.clone(), &log.functions);
    encoder.put(
        &mut payload,
        Place::Child(0),
        hash,
        &record.evaluation(),
        false,
        Source::Text(&record.program),
    );
    Ok(payload)
}

/// Whether the variables of a program have the same names and numbers as those of another, as far
/// as either has names.
fn has_names_of(program: &Program, other: &Program) -> bool {
    let count = program.variable_count().max(other.variable_count());
    let names = |program: &Program| -> Vec<String> {
        (0..count).map(|i| program.variable_name(symopt_dsl::VarId(i as u16)).to_string()).collect()
    };
    program.signature() == other.signature()
        && program.comments().is_empty()
        && names(program) == names(other)
}

fn unwritable(path: &Path, reason: String) -> JournalError {
    JournalError::File { path: path.to_owned(), reason }
}

/// A record as a release wrote it that knew no more.
#[derive(Serialize)]
struct Terse<'a> {
    hash: &'a str,
    program: &'a str,
    fitness: &'a Fitness,
    curve: &'a [f64],
}

/// FNV-1a of an entry. Sums of these do not depend on the order of the entries.
fn checksum(key: &[u8], value: &[u8]) -> u64 {
    key.iter().chain(&[0]).chain(value).fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
