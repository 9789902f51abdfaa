//! The log of a store, read: the settings first, then whatever was acknowledged, in the order of
//! time.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use symopt_dsl::{Function, FunctionalHash, Program};
use symopt_proxy_tasks::suite::Baseline;

use super::encoding::{Bytes, Decoder, Parts, parts, put_varint};
use super::error::{JournalError, store_error};
use super::frame::{Frames, LONGEST, MAGIC, Next, read_at};
use super::index::{self, Known, Position};
use super::origin;
use super::record::{EvaluationRecord, Improvement, Origin, Place, Proposal, Settings};
use crate::judge::evaluation::Evaluation;
use crate::store::statistics::Statistics;
use crate::store::stop_reason::StopReason;

/// Kinds of frames.
pub(super) mod kind {
    /// The length of a table of functions, the table, and the settings, both as JSON.
    pub const SETTINGS: u8 = 1;
    /// Whether a window begins (1), the count as a varint, the records.
    pub const EVALUATIONS: u8 = 2;
    /// A record, in a window of its own.
    pub const INITIAL: u8 = 3;
    /// The epoch as a varint and JSON.
    pub const BASELINE: u8 = 4;
    /// JSON.
    pub const IMPROVEMENT: u8 = 5;
    /// JSON.
    pub const STATISTICS: u8 = 6;
    /// JSON.
    pub const END: u8 = 7;
    /// The number of the child as a varint and JSON.
    pub const PROPOSAL: u8 = 8;
    /// Origins, one after the other.
    pub const ORIGINS: u8 = 9;
}

/// The payload of the first frame, of the settings' JSON.
pub(super) fn head_payload(settings: &[u8]) -> Vec<u8> {
    let names: Vec<&str> = Function::all().map(Function::name).collect();
    // They are names.
    let functions = serde_json::to_vec(&names).unwrap_or_default();
    let mut payload = vec![kind::SETTINGS];
    put_varint(&mut payload, functions.len() as u64);
    payload.extend(functions);
    payload.extend(settings);
    payload
}

/// The table of functions and the settings' JSON of the first frame.
fn head(payload: &[u8]) -> Option<(Vec<String>, &[u8])> {
    let [kind::SETTINGS, rest @ ..] = payload else { return None };
    let mut bytes = Bytes(rest);
    let functions = serde_json::from_slice(bytes.record()?.0).ok()?;
    Some((functions, bytes.0))
}

/// The payload of a frame that holds JSON.
pub(super) fn json_payload<T: Serialize>(
    kind: u8,
    number: Option<u64>,
    value: &T,
) -> Result<Vec<u8>, String> {
    let mut payload = vec![kind];
    if let Some(number) = number {
        put_varint(&mut payload, number);
    }
    serde_json::to_writer(&mut payload, value).map_err(|e| e.to_string())?;
    Ok(payload)
}

/// A log that can be read. Clones read the same file.
#[derive(Clone)]
pub(crate) struct Log {
    pub(super) file: Arc<File>,
    /// The store, for messages.
    store: PathBuf,
    /// The file, for messages.
    path: PathBuf,
    /// Where the frames after the settings begin.
    first: u64,
    /// The end of the last whole frame.
    pub(super) end: u64,
    /// The initial program, whose variables all programs have.
    pub(super) head: Option<Arc<Program>>,
    pub(super) functions: Arc<[Option<Function>]>,
}

/// How a log ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// With a whole frame.
    Whole,
    /// With a frame whose rest is missing.
    CutOff,
    /// With a frame whose checksum is wrong.
    Damaged,
}

/// Summary of a log's contents.
pub(super) struct Summary {
    pub settings: Settings,
    /// Evaluations of children and of the elite.
    pub evaluations: u64,
    /// The number after the last child.
    pub children: u64,
    pub last_improvement: Option<u64>,
    /// Programs generated at the last row.
    pub last_statistics: Option<u64>,
    pub last_end: Option<StopReason>,
    /// Where the last frame begins that was read.
    pub last_frame: u64,
    pub tail: Tail,
    /// The evaluations whose hash was looked for.
    pub found: Vec<Found>,
}

/// An evaluation in a log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub hash: FunctionalHash,
    pub place: Place,
    /// Where its window begins.
    window: u64,
    /// Where the record begins.
    offset: u64,
}

/// First digits of a hash.
#[derive(Clone, Copy, Debug)]
pub(super) struct Digits {
    value: u128,
    shift: u32,
}

impl Digits {
    /// Parses a text of hexadecimal digits; `None` if there are too many.
    pub fn of(text: &str) -> Option<Digits> {
        let shift = 128u32.checked_sub(u32::try_from(text.len()).ok()?.checked_mul(4)?)?;
        u128::from_str_radix(text, 16).ok().map(|value| Digits { value, shift })
    }

    fn begin(self, hash: FunctionalHash) -> bool {
        hash.0.checked_shr(self.shift).unwrap_or(0) == self.value
    }

    /// The first eight bytes of the first and of the last hash that they begin.
    fn keys(self) -> RangeInclusive<u64> {
        let low = self.value.checked_shl(self.shift).unwrap_or(0);
        let high = low | u128::MAX.checked_shr(128 - self.shift).unwrap_or(0);
        (low >> 64) as u64..=(high >> 64) as u64
    }
}

/// Why a log can't be read.
pub(super) enum LogError {
    /// Words for it.
    Damaged(String),
    File(io::Error),
}

impl From<io::Error> for LogError {
    fn from(error: io::Error) -> LogError {
        LogError::File(error)
    }
}

impl Log {
    /// Reads a log through once: its checksums and what is in it, up to the last whole frame.
    pub(super) fn scan(
        file: File,
        store: &Path,
        path: &Path,
        wanted: Option<Digits>,
    ) -> Result<(Log, Summary), LogError> {
        let (mut log, length, mut summary) = Log::begin(file, store, path)?;
        log.scan_from(Position::first(log.first), length, wanted, &mut summary)?;
        Ok((log, summary))
    }

    /// The same without reading what an index knows: what is in that is read when it is asked for.
    /// All of the log, where the index does not serve.
    pub(super) fn scan_with_index(
        file: File,
        index: &File,
        store: &Path,
        path: &Path,
        wanted: Digits,
    ) -> Result<(Log, Summary), LogError> {
        let (mut log, length, mut summary) = Log::begin(file, store, path)?;
        let known =
            index::look_up(index, &log.file, log.first, length, &wanted.keys()).ok().flatten();
        let known = known.and_then(|Known { position, places }| {
            Some((position, log.found_at(&places, wanted)?))
        });
        let position = match known {
            Some((position, found)) => {
                (summary.evaluations, summary.children, summary.found) =
                    (position.evaluations, position.children, found);
                position
            }
            None => Position::first(log.first),
        };
        log.scan_from(position, length, Some(wanted), &mut summary)?;
        Ok((log, summary))
    }

    /// The evaluations of hashes that begin with digits among the records at places, each with the
    /// begin of its window. `None` if there is no record.
    fn found_at(&self, places: &[(u64, u64)], wanted: Digits) -> Option<Vec<Found>> {
        let mut found = Vec::new();
        for (window, offset) in places {
            // The length, the hash and the number.
            let mut buffer = [0; 64];
            let read = read_at(&self.file, &mut buffer, *offset).ok()?;
            let mut bytes = Bytes(&buffer[..read]);
            bytes.varint()?;
            let (hash, place) = bytes.name()?;
            if wanted.begin(hash) {
                found.push(Found { hash, place, window: *window, offset: *offset });
            }
        }
        Some(found)
    }

    /// The settings of a log.
    pub(super) fn settings(file: File, store: &Path, path: &Path) -> Result<Settings, LogError> {
        Ok(Log::begin(file, store, path)?.2.settings)
    }

    /// Reads the settings, and gives the length of the file.
    fn begin(file: File, store: &Path, path: &Path) -> Result<(Log, u64, Summary), LogError> {
        let damaged = |reason: &str| LogError::Damaged(format!("{}: {reason}", name(path)));
        let file = Arc::new(file);
        let length = file.metadata()?.len();
        let mut magic = [0; MAGIC.len()];
        if read_at(&file, &mut magic, 0)? < magic.len() || magic != *MAGIC {
            return Err(damaged("it does not begin as a log does"));
        }
        let mut frames = Frames::new(Arc::clone(&file), MAGIC.len() as u64, length);
        let (functions, settings): (Vec<String>, Settings) = match frames.next()? {
            Next::Frame(_, payload) => head(payload)
                .and_then(|(functions, settings)| {
                    Some((functions, serde_json::from_slice(settings).ok()?))
                })
                .ok_or_else(|| damaged("the settings can't be read"))?,
            _ => return Err(damaged("the settings at its begin are damaged")),
        };
        let initial = symopt_dsl::parse(&settings.initial).ok().map(Arc::new);
        let functions = functions.iter().map(|name| Function::from_name(name)).collect();
        let first = frames.offset;
        let summary = Summary {
            settings,
            evaluations: 0,
            children: 0,
            last_improvement: None,
            last_statistics: None,
            last_end: None,
            last_frame: MAGIC.len() as u64,
            tail: Tail::Whole,
            found: Vec::new(),
        };
        Ok((
            Log {
                file,
                store: store.to_owned(),
                path: path.to_owned(),
                first,
                end: first,
                head: initial,
                functions,
            },
            length,
            summary,
        ))
    }

    /// Reads what follows a position, up to the last whole frame, which becomes the end.
    fn scan_from(
        &mut self,
        position: Position,
        length: u64,
        wanted: Option<Digits>,
        summary: &mut Summary,
    ) -> Result<(), LogError> {
        let mut frames = Frames::new(Arc::clone(&self.file), position.end, length);
        let mut window = position.window;
        self.end = loop {
            let begin = frames.offset;
            match frames.next()? {
                Next::Frame(offset, payload) => {
                    let read = summary.take(payload, offset, begin, &mut window, wanted);
                    let reason = || {
                        LogError::Damaged(format!(
                            "{}: the frame at byte {begin} can't be read",
                            name(&self.path)
                        ))
                    };
                    read.ok_or_else(reason)?;
                }
                tail => {
                    summary.tail = match tail {
                        Next::CutOff => Tail::CutOff,
                        Next::Damaged => Tail::Damaged,
                        _ => Tail::Whole,
                    };
                    break begin;
                }
            }
        };
        Ok(())
    }

    /// Where the frames after the settings begin.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// The same log through a file that is open to be written.
    pub(super) fn with_file(self, file: File) -> Log {
        Log { file: Arc::new(file), ..self }
    }

    fn frames(&self, offset: u64) -> Frames {
        Frames::new(Arc::clone(&self.file), offset, self.end)
    }

    fn error(&self, error: &io::Error) -> JournalError {
        store_error(&self.store, &self.path, error)
    }

    fn damaged(&self, offset: u64) -> JournalError {
        let reason = format!("{}: the frame at byte {offset} can't be read", name(&self.path));
        JournalError::Damaged { path: self.store.clone(), reason, salvage: true }
    }

    /// The settings' JSON as it was written.
    pub(super) fn settings_json(&self) -> Result<String, JournalError> {
        let begin = MAGIC.len() as u64;
        let mut frames = self.frames(begin);
        let json = match frames.next().map_err(|e| self.error(&e))? {
            Next::Frame(_, payload) => {
                head(payload).and_then(|(_, settings)| String::from_utf8(settings.to_vec()).ok())
            }
            _ => None,
        };
        json.ok_or_else(|| self.damaged(begin))
    }

    /// Every frame after the settings, with the offset of its payload.
    pub(super) fn each(
        &self,
        mut f: impl FnMut(u64, &[u8]) -> Option<()>,
    ) -> Result<(), JournalError> {
        self.each_from(self.first, |_, offset, payload| f(offset, payload))
    }

    /// Every frame from one that begins at an offset, with its own offset and that of its payload.
    pub(super) fn each_from(
        &self,
        first: u64,
        mut f: impl FnMut(u64, u64, &[u8]) -> Option<()>,
    ) -> Result<(), JournalError> {
        let mut frames = self.frames(first);
        loop {
            let begin = frames.offset;
            match frames.next().map_err(|e| self.error(&e))? {
                Next::Frame(offset, payload) => {
                    f(begin, offset, payload).ok_or_else(|| self.damaged(begin))?
                }
                Next::End => return Ok(()),
                Next::CutOff | Next::Damaged => return Err(self.damaged(begin)),
            }
        }
    }

    /// The values of the frames of a kind that hold JSON, each with its number.
    pub(super) fn values<T: DeserializeOwned>(
        &self,
        wanted: u8,
        numbered: bool,
    ) -> Result<Vec<(u64, T)>, JournalError> {
        let mut values = Vec::new();
        self.each(|_, payload| {
            if payload.first() == Some(&wanted) {
                values.push(value(payload, numbered)?);
            }
            Some(())
        })?;
        Ok(values)
    }

    /// The records of the evaluations that are wanted, in the order of the log.
    pub(super) fn records_where(
        &self,
        mut wanted: impl FnMut(Place, FunctionalHash, &Evaluation) -> bool,
    ) -> Result<Vec<(Place, EvaluationRecord)>, JournalError> {
        let mut records = Vec::new();
        let mut decoder = self.decoder();
        self.each(|offset, payload| {
            each_record(payload, offset, &mut decoder, &mut |parts, _, decoder| {
                if !wanted(parts.place, parts.hash, &parts.evaluation) {
                    return decoder.skip(parts);
                }
                let text = decoder.text(parts)?;
                records.push((
                    parts.place,
                    EvaluationRecord::of_text(parts.hash, text, &parts.evaluation),
                ));
                Some(())
            })
        })?;
        Ok(records)
    }

    /// Every evaluation, without its program, in the order of the log.
    pub(super) fn each_evaluation(
        &self,
        mut f: impl FnMut(Place, FunctionalHash, &Evaluation),
    ) -> Result<(), JournalError> {
        let mut evaluations = self.evaluations();
        while let Some(Logged { place, hash, evaluation, .. }) = evaluations.next()? {
            f(place, hash, &evaluation);
        }
        Ok(())
    }

    pub(super) fn decoder(&self) -> Decoder {
        Decoder::new(self.head.clone(), Arc::clone(&self.functions))
    }

    /// The records of children, or of the elite, by number.
    pub(super) fn records(
        &self,
        children: bool,
    ) -> Result<Vec<(u64, EvaluationRecord)>, JournalError> {
        let all = self.records_where(|place, _, _| matches!(place, Place::Child(_)) == children)?;
        let mut records: Vec<_> = all
            .into_iter()
            .map(|(Place::Child(number) | Place::Revision(number), record)| (number, record))
            .collect();
        records.sort_by_key(|(number, _)| *number);
        Ok(records)
    }

    /// All evaluations, without their programs, one after the other.
    pub(crate) fn evaluations(&self) -> Evaluations {
        self.evaluations_from(self.first)
    }

    /// The same from the frame that begins at an offset.
    pub(crate) fn evaluations_from(&self, frame: u64) -> Evaluations {
        Evaluations { log: self.clone(), frames: self.frames(frame), ready: Vec::new() }
    }

    /// Where the frame of every evaluation begins, its hash, its place and its offset.
    pub(crate) fn each_name(
        &self,
        mut f: impl FnMut(u64, FunctionalHash, Place, u64),
    ) -> Result<(), JournalError> {
        self.each_from(self.first, |frame, offset, payload| {
            names(payload, offset, &mut |hash, place, at| f(frame, hash, place, at)).map(drop)
        })
    }

    /// Where the next frame will begin.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// The evaluation that a record at an offset holds.
    pub(crate) fn evaluation_at(&self, offset: u64) -> Result<Evaluation, JournalError> {
        // Enough for most, the program left out.
        let mut buffer = vec![0; 512];
        loop {
            let read = read_at(&self.file, &mut buffer, offset).map_err(|e| self.error(&e))?;
            let mut bytes = Bytes(&buffer[..read]);
            let length = bytes.varint();
            if let Some(Parts { evaluation, .. }) = length.and_then(|_| parts(bytes)) {
                return Ok(evaluation);
            }
            // Longer, or damaged.
            let whole = length
                .and_then(|length| usize::try_from(length).ok())
                .map(|length| length.saturating_add(10));
            match whole.filter(|whole| {
                read == buffer.len() && *whole > buffer.len() && *whole <= LONGEST as usize
            }) {
                Some(whole) => buffer.resize(whole, 0),
                None => return Err(self.damaged(offset)),
            }
        }
    }

    /// The record of an evaluation that was found.
    pub(super) fn record_of(&self, found: &Found) -> Result<EvaluationRecord, JournalError> {
        let mut frames = self.frames(found.window);
        let mut decoder = self.decoder();
        loop {
            let begin = frames.offset;
            let Next::Frame(offset, payload) = frames.next().map_err(|e| self.error(&e))? else {
                return Err(self.damaged(begin));
            };
            let mut record = None;
            let read = each_record(payload, offset, &mut decoder, &mut |parts, at, decoder| {
                if at != found.offset {
                    return decoder.skip(parts);
                }
                let text = decoder.text(parts)?;
                record = Some(EvaluationRecord::of_text(parts.hash, text, &parts.evaluation));
                Some(())
            });
            match (record, read) {
                (Some(record), _) => return Ok(record),
                (None, Some(())) => {}
                (None, None) => return Err(self.damaged(begin)),
            }
        }
    }

    /// The evaluation of the initial program, if it was kept.
    pub(super) fn initial(&self) -> Result<Option<EvaluationRecord>, JournalError> {
        let mut frames = self.frames(self.first);
        loop {
            let begin = frames.offset;
            match frames.next().map_err(|e| self.error(&e))? {
                Next::Frame(_, [kind::INITIAL, rest @ ..]) => {
                    let read = || {
                        let parts = parts(Bytes(rest).record()?)?;
                        let text = self.decoder().text(&parts)?;
                        Some(EvaluationRecord::of_text(parts.hash, text, &parts.evaluation))
                    };
                    return read().map(Some).ok_or_else(|| self.damaged(begin));
                }
                // It is written before them.
                Next::Frame(_, [kind::EVALUATIONS, ..]) | Next::End => return Ok(None),
                Next::Frame(..) => {}
                Next::CutOff | Next::Damaged => return Err(self.damaged(begin)),
            }
        }
    }

    /// The baselines that were kept, by epoch.
    pub(super) fn baselines(&self) -> Result<Vec<(u64, Baseline)>, JournalError> {
        let mut baselines = self.values(kind::BASELINE, true)?;
        baselines.sort_by_key(|(epoch, _)| *epoch);
        Ok(baselines)
    }

    /// The proposals with the numbers of their children, in order.
    pub(super) fn proposals(&self) -> Result<Vec<(u64, Proposal)>, JournalError> {
        self.values(kind::PROPOSAL, true)
    }

    /// Where the children that were evaluated come from, by number.
    pub(super) fn origins(&self) -> Result<HashMap<u64, Origin>, JournalError> {
        let mut origins = HashMap::new();
        self.each(|_, payload| {
            if let [kind::ORIGINS, rest @ ..] = payload {
                let mut bytes = Bytes(rest);
                while !bytes.0.is_empty() {
                    let (child, origin) = origin::read(&mut bytes)?;
                    origins.insert(child, origin);
                }
            }
            Some(())
        })?;
        Ok(origins)
    }

    /// The improvements, in order.
    pub(super) fn improvements(&self) -> Result<Vec<Improvement>, JournalError> {
        Ok(self.values(kind::IMPROVEMENT, false)?.into_iter().map(|(_, value)| value).collect())
    }

    /// The rows of statistics, in order.
    pub(super) fn statistics(&self) -> Result<Vec<Statistics>, JournalError> {
        Ok(self.values(kind::STATISTICS, false)?.into_iter().map(|(_, value)| value).collect())
    }
}

/// The last two names of a path, which say which file of a store is meant.
fn name(path: &Path) -> String {
    let names: Vec<_> = path.iter().collect();
    names[names.len().saturating_sub(2)..].iter().collect::<PathBuf>().display().to_string()
}

/// The value of a frame that holds JSON, with its number, or 0.
pub(super) fn value<T: DeserializeOwned>(payload: &[u8], numbered: bool) -> Option<(u64, T)> {
    let mut bytes = Bytes(payload.get(1..)?);
    let number = if numbered { bytes.varint()? } else { 0 };
    Some((number, serde_json::from_slice(bytes.0).ok()?))
}

/// Every record of a frame, with its offset, if the frame holds evaluations. A window that begins
/// is begun.
pub(super) fn each_record(
    payload: &[u8],
    offset: u64,
    decoder: &mut Decoder,
    f: &mut dyn FnMut(&Parts, u64, &mut Decoder) -> Option<()>,
) -> Option<()> {
    let [kind::EVALUATIONS, begins, rest @ ..] = payload else { return Some(()) };
    if *begins != 0 {
        decoder.begin();
    }
    let mut bytes = Bytes(rest);
    for _ in 0..bytes.varint()? {
        let at = offset + (payload.len() - bytes.0.len()) as u64;
        f(&parts(bytes.record()?)?, at, decoder)?;
    }
    bytes.0.is_empty().then_some(())
}

/// The hash, the place and the offset of every record of a frame, and whether a window begins with
/// it.
pub(super) fn names(
    payload: &[u8],
    offset: u64,
    f: &mut dyn FnMut(FunctionalHash, Place, u64),
) -> Option<bool> {
    let [kind::EVALUATIONS, begins, rest @ ..] = payload else { return Some(false) };
    let mut bytes = Bytes(rest);
    for _ in 0..bytes.varint()? {
        let at = offset + (payload.len() - bytes.0.len()) as u64;
        let (hash, place) = bytes.record()?.name()?;
        f(hash, place, at);
    }
    Some(*begins != 0)
}

impl Summary {
    /// Takes a frame in.
    fn take(
        &mut self,
        payload: &[u8],
        offset: u64,
        begin: u64,
        window: &mut u64,
        wanted: Option<Digits>,
    ) -> Option<()> {
        self.last_frame = begin;
        match payload {
            [kind::EVALUATIONS, begins, ..] => {
                if *begins != 0 {
                    *window = begin;
                }
                names(payload, offset, &mut |hash, place, at| {
                    self.evaluations += 1;
                    if let Place::Child(number) = place {
                        self.children = self.children.max(number.saturating_add(1));
                    }
                    if wanted.is_some_and(|digits| digits.begin(hash)) {
                        self.found.push(Found { hash, place, window: *window, offset: at });
                    }
                })?;
            }
            [kind::IMPROVEMENT, ..] => {
                self.last_improvement = Some(value::<Improvement>(payload, false)?.1.index)
            }
            [kind::STATISTICS, ..] => {
                self.last_statistics = Some(value::<Statistics>(payload, false)?.1.generated)
            }
            [kind::END, ..] => self.last_end = Some(value(payload, false)?.1),
            _ => {}
        }
        Some(())
    }
}

/// An evaluation that was read.
pub(crate) struct Logged {
    /// Child or revision that was evaluated.
    pub place: Place,
    /// Its functional hash.
    pub hash: FunctionalHash,
    /// Result of the evaluation.
    pub evaluation: Evaluation,
    /// Where it stands in the log.
    pub offset: u64,
}

/// The evaluations of a log, read as they are asked for.
pub(crate) struct Evaluations {
    log: Log,
    frames: Frames,
    /// Evaluations of the last frame that was read, the next one last.
    ready: Vec<Logged>,
}

impl Evaluations {
    /// The next evaluation.
    pub fn next(&mut self) -> Result<Option<Logged>, JournalError> {
        while self.ready.is_empty() {
            let begin = self.frames.offset;
            match self.frames.next().map_err(|e| self.log.error(&e))? {
                Next::Frame(offset, payload) => {
                    let (mut decoder, ready) = (Decoder::new(None, Arc::from([])), &mut self.ready);
                    let read =
                        each_record(payload, offset, &mut decoder, &mut |parts, offset, _| {
                            let Parts { place, hash, .. } = *parts;
                            ready.push(Logged {
                                place,
                                hash,
                                evaluation: parts.evaluation.clone(),
                                offset,
                            });
                            Some(())
                        });
                    read.ok_or_else(|| self.log.damaged(begin))?;
                    self.ready.reverse();
                }
                Next::End => return Ok(None),
                Next::CutOff | Next::Damaged => return Err(self.log.damaged(begin)),
            }
        }
        Ok(self.ready.pop())
    }
}
