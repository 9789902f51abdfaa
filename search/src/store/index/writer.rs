//! The index as a search writes it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use symopt_dsl::FunctionalHash;

use super::{BLOCK, ENTRY, Position, SEGMENT, SEGMENT_MAGIC, Segment, key};
use crate::directory::{create_new, no_follow};
use crate::store::frame::{HEAD, read_at, write_at};
use crate::store::log::{Log, names};
use crate::store::record::Place;

/// An index that is written.
pub(in crate::store) struct Index {
    path: PathBuf,
    /// `None` until there is a segment.
    file: Option<File>,
    /// Whether it can be written. If not, that does no harm.
    works: bool,
    /// The end of its last segment.
    end: u64,
    /// Offset in the log at which the last segment's run ends and the next one begins.
    begin: u64,
    /// Position in the log, with the entries that are no segment yet.
    position: Position,
    entries: Vec<(u64, u64, u32)>,
}

impl Index {
    /// Opens the index of a log that is whole up to its end, and brings it there. The lock of the
    /// store must be held.
    pub fn open(path: &Path, log: &Log) -> Index {
        let position = Position::first(log.first());
        let mut index = Index {
            path: path.to_owned(),
            file: None,
            works: true,
            end: 0,
            begin: position.end,
            position,
            entries: Vec::new(),
        };
        match no_follow(File::options().read(true).write(true)).open(path) {
            Ok(file) => index.file = Some(file),
            Err(error) => index.works = error.kind() == io::ErrorKind::NotFound,
        }
        if index.works && index.pass_over_whole(log).and_then(|()| index.catch_up(log)).is_none() {
            index.give_up();
        }
        index
    }

    /// Passes over the segments that are in order, and cuts off the rest.
    fn pass_over_whole(&mut self, log: &Log) -> Option<()> {
        let Some(file) = &self.file else { return Some(()) };
        while let Some(segment) = Segment::read(file, self.end).ok()? {
            let whole = segment.belongs(&self.position, &log.file, log.end).ok()?
                && (0..segment.blocks.len())
                    .all(|number| matches!(segment.block(file, self.end, number), Ok(Some(_))));
            if !whole {
                break;
            }
            self.position = segment.after;
            self.begin = self.position.end;
            self.end += segment.bytes();
        }
        (file.metadata().ok()?.len() == self.end || file.set_len(self.end).is_ok()).then_some(())
    }

    fn catch_up(&mut self, log: &Log) -> Option<()> {
        let mut records = Vec::new();
        log.each_from(self.position.end, |frame, offset, payload| {
            let begins = names(payload, offset, &mut |hash, place, offset| {
                records.push((hash, place, offset))
            })?;
            let end = offset + payload.len() as u64;
            self.take(&log.file, frame, end, begins, &records);
            records.clear();
            Some(())
        })
        .ok()
    }

    /// Takes a frame in that stands in the log: whether a window begins with it, and its
    /// evaluations with the offsets of their records.
    pub fn take(
        &mut self,
        log: &File,
        frame: u64,
        end: u64,
        begins: bool,
        records: &[(FunctionalHash, Place, u64)],
    ) {
        if !self.works {
            return;
        }
        if begins {
            self.position.window = frame;
        }
        for (hash, place, offset) in records {
            let window = self.position.window;
            let Some(distance) =
                offset.checked_sub(window).and_then(|distance| u32::try_from(distance).ok())
            else {
                return self.give_up();
            };
            self.position.count(*place);
            self.entries.push((key(*hash), window, distance));
        }
        self.position.end = end;
        if self.entries.len() >= SEGMENT && self.write(log, frame).is_err() {
            self.give_up();
        }
    }

    /// Writes a segment, whose last frame is given.
    fn write(&mut self, log: &File, frame: u64) -> io::Result<()> {
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(create_new(&self.path)?),
        };
        let mut tie = [0; HEAD as usize];
        if read_at(log, &mut tie, frame)? < tie.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.entries.sort_unstable();
        let mut body = Vec::with_capacity(self.entries.len() * ENTRY);
        for (key, window, distance) in &self.entries {
            body.extend(key.to_le_bytes());
            body.extend(window.to_le_bytes());
            body.extend(distance.to_le_bytes());
        }
        let Position { end, window, evaluations, children } = self.position;
        let mut bytes = SEGMENT_MAGIC.to_vec();
        for number in
            [self.begin, end, frame, window, evaluations, children, self.entries.len() as u64]
        {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(tie);
        for (first, block) in self.entries.iter().step_by(BLOCK).zip(body.chunks(BLOCK * ENTRY)) {
            bytes.extend(first.0.to_le_bytes());
            bytes.extend(crc32fast::hash(block).to_le_bytes());
        }
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        bytes.extend(body);
        write_at(file, &bytes, self.end)?;
        self.end += bytes.len() as u64;
        self.begin = end;
        self.entries.clear();
        Ok(())
    }

    /// The next one who opens the store to write makes what is missing.
    fn give_up(&mut self) {
        self.works = false;
        if let Some(file) = self.file.take() {
            let _ = file.set_len(self.end);
        }
        self.entries = Vec::new();
    }
}
