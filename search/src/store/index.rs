//! An index of the log by functional hash, so that one program is found without reading all of it.
//!
//! It follows from the log, and is never the truth: whoever finds by it reads the log at that
//! place. If it is missing, cut off, damaged or of another log, the log is read from where it ends,
//! or as a whole. Opening the store to write mends it; readers touch nothing.
//!
//! The file is a row of *segments*, each for a run of whole frames with some 16,384 evaluations, so
//! that appending to it is all that is ever done:
//!
//! | bytes | what they are |
//! |---|---|
//! | 8 | magic |
//! | 8 each | the run's begin and end in the log, its last frame, the window at its end, evaluations and the number after the last child up to there, entries |
//! | 4 | length and checksum of the last frame, as they stand in the log: they tie the segment to it |
//! | 12 each | blocks: the first key and the CRC-32 of the entries |
//! | 4 | CRC-32 of all that |
//! | 20 each | entries, sorted: the first eight bytes of the hash, where the window begins, and the distance of the record from there |

pub(super) mod writer;

use std::fs::File;
use std::io;
use std::ops::RangeInclusive;

use symopt_dsl::FunctionalHash;

use super::encoding::Bytes;
use super::frame::{HEAD, read_at};
use super::record::Place;

const SEGMENT_MAGIC: &[u8; 8] = b"symidx1\n";
/// Evaluations after which a segment ends.
const SEGMENT: usize = 1 << 14;
/// More than a segment ever has: a run ends with a frame, and frames are short.
const MOST: u64 = 1 << 22;
/// Entries of a block.
const BLOCK: usize = 512;
const ENTRY: usize = 20;
/// Bytes of a segment before its blocks.
const FIXED: usize = 8 + 7 * 8 + 8;

/// Up to where something is known of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    /// The end of a frame.
    pub end: u64,
    /// Where the window begins that the next record may belong to.
    pub window: u64,
    /// Evaluations so far.
    pub evaluations: u64,
    /// The number after the last child so far.
    pub children: u64,
}

impl Position {
    /// Before the first frame after the settings.
    pub fn first(begin: u64) -> Position {
        Position { end: begin, window: begin, evaluations: 0, children: 0 }
    }

    fn count(&mut self, place: Place) {
        self.evaluations += 1;
        if let Place::Child(number) = place {
            self.children = self.children.max(number.saturating_add(1));
        }
    }
}

/// Returns the sort key of an index: the first eight bytes of the hash.
fn key(hash: FunctionalHash) -> u64 {
    (hash.0 >> 64) as u64
}

/// The head of a segment.
struct Segment {
    begin: u64,
    after: Position,
    frame: u64,
    /// Length and checksum of the frame.
    tie: [u8; HEAD as usize],
    entries: usize,
    blocks: Vec<(u64, u32)>,
}

impl Segment {
    /// The head at a place of the index; `None` where none is.
    fn read(index: &File, at: u64) -> io::Result<Option<Segment>> {
        let mut fixed = [0; FIXED];
        if read_at(index, &mut fixed, at)? < FIXED {
            return Ok(None);
        }
        let read = || {
            let mut bytes = Bytes(&fixed);
            if bytes.take(8)? != SEGMENT_MAGIC {
                return None;
            }
            let mut number = || Some(u64::from_le_bytes(bytes.take(8)?.try_into().ok()?));
            let (begin, end, frame, window) = (number()?, number()?, number()?, number()?);
            let (evaluations, children, entries) = (number()?, number()?, number()?);
            let tie = bytes.take(HEAD as usize)?.try_into().ok()?;
            let entries = usize::try_from(entries)
                .ok()
                .filter(|entries| (1..=MOST as usize).contains(entries))?;
            Some(Segment {
                begin,
                after: Position { end, window, evaluations, children },
                frame,
                tie,
                entries,
                blocks: Vec::new(),
            })
        };
        let Some(mut segment) = read() else { return Ok(None) };
        let mut rest = vec![0; segment.entries.div_ceil(BLOCK) * 12 + 4];
        if read_at(index, &mut rest, at + FIXED as u64)? < rest.len() {
            return Ok(None);
        }
        let Some((blocks, sum)) = rest.split_last_chunk::<4>() else { return Ok(None) };
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&fixed);
        hasher.update(blocks);
        if hasher.finalize() != u32::from_le_bytes(*sum) {
            return Ok(None);
        }
        segment.blocks = blocks
            .as_chunks::<12>()
            .0
            .iter()
            .map(|&[a, b, c, d, e, f, g, h, i, j, k, l]| {
                (u64::from_le_bytes([a, b, c, d, e, f, g, h]), u32::from_le_bytes([i, j, k, l]))
            })
            .collect();
        Ok(Some(segment))
    }

    /// Whether it goes on where the last one ends, and its last frame stands in a log of a length.
    fn belongs(&self, last: &Position, log: &File, length: u64) -> io::Result<bool> {
        let [a, b, c, d, ..] = self.tie;
        let frame_end = self.frame.checked_add(HEAD + u64::from(u32::from_le_bytes([a, b, c, d])));
        let fits = self.begin == last.end
            && self.frame >= self.begin
            && frame_end == Some(self.after.end)
            && self.after.end <= length;
        let counted = self.after.evaluations == last.evaluations + self.entries as u64
            && self.after.window < self.after.end;
        let mut tie = [0; HEAD as usize];
        Ok(fits && counted && read_at(log, &mut tie, self.frame)? == tie.len() && tie == self.tie)
    }

    /// Bytes before the entries.
    fn head_bytes(&self) -> u64 {
        (FIXED + self.blocks.len() * 12 + 4) as u64
    }

    fn bytes(&self) -> u64 {
        self.head_bytes() + (self.entries * ENTRY) as u64
    }

    /// The entries of a block of the segment that begins at a place; `None` if they are damaged.
    fn block(&self, index: &File, at: u64, number: usize) -> io::Result<Option<Vec<u8>>> {
        let from = number * BLOCK;
        let mut bytes = vec![0; (self.entries - from).min(BLOCK) * ENTRY];
        let read = read_at(index, &mut bytes, at + self.head_bytes() + (from * ENTRY) as u64)?;
        Ok((read == bytes.len() && crc32fast::hash(&bytes) == self.blocks[number].1)
            .then_some(bytes))
    }

    /// Adds the places of the keys, each the begin of the window and the record. False if a block
    /// is damaged.
    fn places(
        &self,
        index: &File,
        at: u64,
        keys: &RangeInclusive<u64>,
        places: &mut Vec<(u64, u64)>,
    ) -> io::Result<bool> {
        // Equal keys may stand at the end of the block before.
        let from = self.blocks.partition_point(|(first, _)| first < keys.start()).saturating_sub(1);
        for number in from..self.blocks.len() {
            if self.blocks[number].0 > *keys.end() {
                break;
            }
            let Some(bytes) = self.block(index, at, number)? else { return Ok(false) };
            for entry in bytes.as_chunks::<ENTRY>().0 {
                let mut entry = Bytes(entry);
                let mut number = || Some(u64::from_le_bytes(entry.take(8)?.try_into().ok()?));
                let (Some(key), Some(window)) = (number(), number()) else { return Ok(false) };
                let Some(distance) =
                    entry.take(4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes)
                else {
                    return Ok(false);
                };
                if keys.contains(&key) {
                    places.push((window, window.saturating_add(u64::from(distance))));
                }
            }
        }
        Ok(true)
    }
}

/// Result of looking up keys in an index.
pub(super) struct Known {
    /// How far it goes.
    pub position: Position,
    /// The places of the keys up to there: each the begin of the window and the record.
    pub places: Vec<(u64, u64)>,
}

/// The places of keys as far as an index goes. `None` if the index is damaged there.
pub(super) fn look_up(
    index: &File,
    log: &File,
    begin: u64,
    length: u64,
    keys: &RangeInclusive<u64>,
) -> io::Result<Option<Known>> {
    let (mut position, mut places, mut at) = (Position::first(begin), Vec::new(), 0);
    while let Some(segment) = Segment::read(index, at)? {
        if !segment.belongs(&position, log, length)? {
            break;
        }
        if !segment.places(index, at, keys, &mut places)? {
            return Ok(None);
        }
        position = segment.after;
        at += segment.bytes();
    }
    Ok(Some(Known { position, places }))
}
