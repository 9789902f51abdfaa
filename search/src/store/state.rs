//! The search state in a file, so that a search is resumed from there and not from its begin.
//!
//! It follows from the settings and the log, and is never the truth: where it is missing, damaged,
//! of another release or of another log, the search is bred again from the begin. So nothing waits
//! for the disk when it is written, and what can't be written does no harm.
//!
//! | bytes | what they are |
//! |---|---|
//! | 8 | magic |
//! | varint and text | the release, whose searches go on as this one does |
//! | 8 and 8 | length and checksum of the log's first frame, which holds the settings, and of its last frame, as they stand in the log: they tie the state to it |
//! | 8 | where the last frame begins: the log must have it |
//! | | the state, as the engine writes it |
//! | 4 | CRC-32 of all that |

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::Arc;

use symopt_dsl::{FunctionalHash, Graph, Program};
use symopt_proxy_tasks::suite::Fitness;

use super::encoding::{Bytes, Decoder, Encoder, put_evaluation, put_varint, read_evaluation};
use super::frame::{HEAD, MAGIC, read_at};
use super::log::Log;
use crate::directory::{create_new, no_follow};
use crate::judge::evaluation::Evaluation;

const STATE_MAGIC: &[u8; 8] = b"symstat1";
/// Programs that this release breeds are those that this release bred.
const RELEASE: &str = env!("CARGO_PKG_VERSION");

/// Length and checksum of the frame that begins at an offset of a log.
fn tie(log: &Log, frame: u64) -> Option<[u8; HEAD as usize]> {
    let mut tie = [0; HEAD as usize];
    let whole = frame.checked_add(HEAD).is_some_and(|end| end <= log.end);
    (whole && read_at(&log.file, &mut tie, frame).ok()? == tie.len()).then_some(tie)
}

/// Writes a state that follows from a log up to its last frame. The file is there whole or not at
/// all, as far as the process goes; the checksum says the rest.
pub(super) fn write(path: &Path, log: &Log, last_frame: u64, state: &[u8]) -> io::Result<()> {
    let (Some(first), Some(last)) = (tie(log, MAGIC.len() as u64), tie(log, last_frame)) else {
        return Err(ErrorKind::InvalidData.into());
    };
    let mut bytes = STATE_MAGIC.to_vec();
    put_varint(&mut bytes, RELEASE.len() as u64);
    bytes.extend(RELEASE.as_bytes());
    bytes.extend(first);
    bytes.extend(last);
    bytes.extend(last_frame.to_le_bytes());
    bytes.extend(state);
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    let new = path.with_extension("new");
    // One that a killed process left. A link goes, and not what it leads to.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = create_new(&new)
        .and_then(|mut file| file.write_all(&bytes))
        .and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}

/// The state in a file, if it is whole, of this release, and of this log.
pub(super) fn read(path: &Path, log: &Log) -> Option<Vec<u8>> {
    let file = no_follow(File::options().read(true)).open(path).ok()?;
    let length = file.metadata().ok().filter(|metadata| metadata.is_file())?.len();
    let mut all = vec![0; usize::try_from(length).ok()?];
    if read_at(&file, &mut all, 0).ok()? < all.len() {
        return None;
    }
    let (content, sum) = all.split_last_chunk::<4>()?;
    if crc32fast::hash(content) != u32::from_le_bytes(*sum) {
        return None;
    }
    let mut bytes = Bytes(content);
    if bytes.take(STATE_MAGIC.len())? != STATE_MAGIC || bytes.record()?.0 != RELEASE.as_bytes() {
        return None;
    }
    let first = bytes.take(HEAD as usize)?;
    let last = bytes.take(HEAD as usize)?;
    let last_frame = u64::from_le_bytes(bytes.take(8)?.try_into().ok()?);
    let is_of_log = tie(log, MAGIC.len() as u64)? == first && tie(log, last_frame)? == last;
    is_of_log.then(|| bytes.0.to_vec())
}

/// Writes a state piece by piece.
pub(crate) struct StateWriter {
    out: Vec<u8>,
    encoder: Encoder,
    heads: Arc<[Program]>,
    /// Whether all could be written so far.
    whole: bool,
}

impl StateWriter {
    /// A writer of programs that were bred from given ones, each with the signature of one of these.
    pub fn new(log: &Log, heads: &Arc<[Program]>) -> StateWriter {
        StateWriter {
            out: Vec::new(),
            encoder: Encoder::new(None, &log.functions),
            heads: Arc::clone(heads),
            whole: true,
        }
    }

    /// All that was written. `None` if something could not be.
    pub fn finish(self) -> Option<Vec<u8>> {
        self.whole.then_some(self.out)
    }

    /// A number.
    pub fn number(&mut self, value: u64) {
        put_varint(&mut self.out, value);
    }

    /// The length of what follows.
    pub fn length(&mut self, length: usize) {
        self.number(length as u64);
    }

    /// A number that may be missing.
    pub fn maybe(&mut self, value: Option<u64>) {
        self.flag(value.is_some());
        self.number(value.unwrap_or(0));
    }

    /// Yes or no.
    pub fn flag(&mut self, value: bool) {
        self.out.push(u8::from(value));
    }

    /// A real number, with all its bits.
    pub fn real(&mut self, value: f64) {
        self.out.extend(value.to_le_bytes());
    }

    /// A hash.
    pub fn hash(&mut self, hash: FunctionalHash) {
        self.out.extend(hash.0.to_le_bytes());
    }

    /// A fitness.
    pub fn fitness(&mut self, fitness: Fitness) {
        self.evaluation(&Evaluation::new(fitness, Arc::from([])));
    }

    /// An evaluation.
    pub fn evaluation(&mut self, evaluation: &Evaluation) {
        put_evaluation(&mut self.out, evaluation, 0);
    }

    /// A program that was bred.
    pub fn program(&mut self, program: &Program) {
        let has_its_signature =
            |head: &Program| std::ptr::eq(program.signature(), head.signature());
        self.head_where(has_its_signature);
        self.whole &= self.encoder.put_bare(&mut self.out, program);
    }

    /// A program that is one of those that all were bred from.
    pub fn head(&mut self, program: &Program) {
        self.head_where(|head| {
            std::ptr::eq(program.signature(), head.signature())
                && program.statements == head.statements
                && program.update == head.update
        });
    }

    fn head_where(&mut self, is_it: impl Fn(&Program) -> bool) {
        let place = self.heads.iter().position(is_it);
        self.whole &= place.is_some();
        self.length(place.unwrap_or(0));
    }
}

/// Reads a state piece by piece; `None` where it is not one.
pub(crate) struct StateReader<'a> {
    bytes: Bytes<'a>,
    decoder: Decoder,
    heads: Arc<[Program]>,
}

impl<'a> StateReader<'a> {
    /// A reader of what a [`StateWriter`] wrote.
    pub fn new(state: &'a [u8], log: &Log, heads: &Arc<[Program]>) -> StateReader<'a> {
        StateReader {
            bytes: Bytes(state),
            decoder: Decoder::new(None, Arc::clone(&log.functions)),
            heads: Arc::clone(heads),
        }
    }

    /// Whether nothing is left.
    pub fn is_at_end(&self) -> bool {
        self.bytes.0.is_empty()
    }

    /// A number.
    pub fn number(&mut self) -> Option<u64> {
        self.bytes.varint()
    }

    /// The length of what follows, each with a byte at least.
    pub fn length(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok().filter(|length| *length <= self.bytes.0.len())
    }

    /// A number that may be missing.
    pub fn maybe(&mut self) -> Option<Option<u64>> {
        let is_there = self.flag()?;
        let value = self.number()?;
        Some(is_there.then_some(value))
    }

    /// Yes or no.
    pub fn flag(&mut self) -> Option<bool> {
        match self.bytes.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// A real number.
    pub fn real(&mut self) -> Option<f64> {
        Some(f64::from_le_bytes(self.bytes.take(8)?.try_into().ok()?))
    }

    /// A hash.
    pub fn hash(&mut self) -> Option<FunctionalHash> {
        Some(FunctionalHash(u128::from_le_bytes(self.bytes.take(16)?.try_into().ok()?)))
    }

    /// A fitness.
    pub fn fitness(&mut self) -> Option<Fitness> {
        Some(self.evaluation()?.fitness)
    }

    /// An evaluation.
    pub fn evaluation(&mut self) -> Option<Evaluation> {
        Some(read_evaluation(&mut self.bytes)?.0)
    }

    /// A program that all were bred from.
    pub fn head(&mut self) -> Option<Arc<Program>> {
        let place = usize::try_from(self.number()?).ok()?;
        self.heads.get(place).cloned().map(Arc::new)
    }

    /// A program of a hash.
    pub fn program(&mut self, hash: FunctionalHash) -> Option<Arc<Program>> {
        let mut program = Arc::unwrap_or_clone(self.head()?);
        program.clear_comments();
        (program.update, program.statements) = self.decoder.bare(&mut self.bytes)?;
        (Graph::new(&program).ok()?.hash() == hash).then(|| Arc::new(program))
    }
}
