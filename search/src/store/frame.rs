//! The log as a file: a head of 16 bytes, then frames, one after the other.
//!
//! A frame is the length of its payload and a checksum, four bytes each, then the payload, which
//! begins with its kind. The checksum is the CRC-32 of the frame's place in the file, the length
//! and the payload, so that a frame that was moved is damaged too. A frame that is cut off at the
//! end of the file was never acknowledged, unless the [witness](super) says otherwise.

use std::fs::File;
use std::io;
use std::sync::Arc;

/// First bytes of every log; the digit is its version.
pub(super) const MAGIC: &[u8; 16] = b"symopt log 1\r\n\x1a\n";

/// Bytes before the payload.
pub(super) const HEAD: u64 = 8;

/// Longer payloads are damage. The longest are the settings, with the texts of a suite.
pub(super) const LONGEST: u32 = 256 << 20;

/// Bytes that are read together.
const READ: usize = 1 << 18;

/// Appends a frame that is to stand at an offset of the log.
pub(super) fn put(out: &mut Vec<u8>, offset: u64, payload: &[u8]) {
    let length = payload.len() as u32;
    out.extend(length.to_le_bytes());
    out.extend(checksum(offset, length, payload).to_le_bytes());
    out.extend(payload);
}

/// Whether a payload can be a frame.
pub(super) fn fits(payload: &[u8]) -> bool {
    payload.len() < LONGEST as usize
}

fn checksum(offset: u64, length: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&offset.to_le_bytes());
    hasher.update(&length.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// Next item of a log.
pub(super) enum Next<'a> {
    /// A frame: where its payload begins, and the payload.
    Frame(u64, &'a [u8]),
    /// The end.
    End,
    /// A frame whose rest is missing.
    CutOff,
    /// A frame whose checksum is wrong.
    Damaged,
}

/// Reads a log frame by frame, without a lock.
pub(super) struct Frames {
    file: Arc<File>,
    /// Where the next frame begins.
    pub offset: u64,
    end: u64,
    buffer: Vec<u8>,
    /// Where the buffer begins in the file.
    begin: u64,
}

impl Frames {
    /// The frames from one that begins at an offset to the end.
    pub fn new(file: Arc<File>, offset: u64, end: u64) -> Frames {
        Frames { file, offset, end, buffer: Vec::new(), begin: offset }
    }

    /// The next frame.
    pub fn next(&mut self) -> io::Result<Next<'_>> {
        let rest = self.end.saturating_sub(self.offset);
        if rest == 0 {
            return Ok(Next::End);
        }
        if rest < HEAD {
            return Ok(Next::CutOff);
        }
        let head = self.read(HEAD as usize)?;
        let [a, b, c, d, e, f, g, h] = *head else { return Ok(Next::CutOff) };
        let (length, expected) =
            (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        if length == 0 || length > LONGEST {
            return Ok(Next::Damaged);
        }
        if rest - HEAD < u64::from(length) {
            return Ok(Next::CutOff);
        }
        let offset = self.offset;
        let whole = HEAD + u64::from(length);
        if self.read(whole as usize)?.len() as u64 != whole {
            return Ok(Next::CutOff);
        }
        self.offset += whole;
        let from = (offset - self.begin + HEAD) as usize;
        let payload = &self.buffer[from..from + length as usize];
        Ok(if checksum(offset, length, payload) == expected {
            Next::Frame(offset + HEAD, payload)
        } else {
            self.offset = offset;
            Next::Damaged
        })
    }

    /// The bytes from the next frame on, so many, or fewer if the file is shorter than it was.
    fn read(&mut self, count: usize) -> io::Result<&[u8]> {
        let from = (self.offset - self.begin) as usize;
        if self.buffer.len() < from + count {
            self.buffer.drain(..from.min(self.buffer.len()));
            self.begin = self.offset;
            let have = self.buffer.len();
            let most = usize::try_from(self.end - self.offset).unwrap_or(usize::MAX);
            self.buffer.resize(count.max(READ).min(most), 0);
            let read = read_at(&self.file, &mut self.buffer[have..], self.begin + have as u64)?;
            self.buffer.truncate(have + read);
        }
        let from = (self.offset - self.begin) as usize;
        Ok(&self.buffer[from..self.buffer.len().min(from + count)])
    }
}

/// Reads from an offset, as much as there is.
pub(super) fn read_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<usize> {
    let mut total = 0;
    while !buffer.is_empty() {
        #[cfg(unix)]
        let read = std::os::unix::fs::FileExt::read_at(file, buffer, offset);
        #[cfg(windows)]
        let read = std::os::windows::fs::FileExt::seek_read(file, buffer, offset);
        match read {
            Ok(0) => break,
            Ok(read) => {
                total += read;
                offset += read as u64;
                buffer = &mut std::mem::take(&mut buffer)[read..];
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(total)
}

/// Writes at an offset.
pub(super) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::write_all_at(file, bytes, offset);
    #[cfg(windows)]
    {
        let (mut bytes, mut offset) = (bytes, offset);
        while !bytes.is_empty() {
            let written = std::os::windows::fs::FileExt::seek_write(file, bytes, offset)?;
            (bytes, offset) = (&bytes[written..], offset + written as u64);
        }
        Ok(())
    }
}
