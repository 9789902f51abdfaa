//! Files as they are published: plain, compressed by gzip, or in a compressed archive. No more is
//! unpacked than a data set can have.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::{DataError, read};

/// Bytes that are unpacked of a file, at most: many times the largest data set of the formats that
/// are read here, and far less than a file made for that purpose unpacks to.
const LARGEST: u64 = 1 << 30;

/// How compressed files begin.
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The bytes of a file, or where it is not there, of its compressed form with the ending `.gz`.
pub(super) fn read_plain_or_compressed(
    path: &Path,
    expected: &'static str,
) -> Result<(Vec<u8>, PathBuf), DataError> {
    let mut compressed = path.as_os_str().to_owned();
    compressed.push(".gz");
    let compressed = PathBuf::from(compressed);
    let found = if !path.exists() && compressed.exists() { compressed } else { path.to_owned() };
    let bytes = read(&found, expected)?;
    if !bytes.starts_with(&MAGIC) {
        return Ok((bytes, found));
    }
    let mut unpacked = Vec::new();
    MultiGzDecoder::new(bytes.as_slice())
        .take(LARGEST + 1)
        .read_to_end(&mut unpacked)
        .map_err(|error| damaged(&found, &error))?;
    match unpacked.len() as u64 > LARGEST {
        true => Err(too_large(&found)),
        false => Ok((unpacked, found)),
    }
}

/// The files of some names in a compressed tar archive, whatever the directory that it has them in,
/// in the order of the names.
pub(super) fn read_archive(
    path: &Path,
    names: &[&str],
    expected: &'static str,
) -> Result<Vec<Vec<u8>>, DataError> {
    let bytes = read(path, expected)?;
    let mut found: Vec<Option<Vec<u8>>> = vec![None; names.len()];
    let mut archive = MultiGzDecoder::new(bytes.as_slice()).take(LARGEST + 1);
    unpack(&mut archive, names, &mut found).map_err(|error| damaged(path, &error))?;
    if archive.limit() == 0 {
        return Err(too_large(path));
    }
    let missing = |name: &str| DataError::Foreign {
        path: path.to_owned(),
        expected: "the archive of the data set",
        found: format!("it has no file {name}; it may be truncated"),
    };
    found.into_iter().zip(names).map(|(file, name)| file.ok_or_else(|| missing(name))).collect()
}

/// Bytes of a header, and what the size of each file is rounded up to.
const BLOCK: usize = 512;

/// Takes the files of some names out of an archive.
fn unpack(
    archive: &mut impl Read,
    names: &[&str],
    found: &mut [Option<Vec<u8>>],
) -> io::Result<()> {
    let wrong = |reason: &str| io::Error::new(io::ErrorKind::InvalidData, reason.to_owned());
    let mut header = [0; BLOCK];
    // An archive ends with a block of zeros. A damaged end does no harm to files that are whole.
    while archive.read_exact(&mut header).is_ok() && header[0] != 0 {
        let text = |range: std::ops::Range<usize>| -> String {
            let field = &header[range];
            String::from_utf8_lossy(
                &field[..field.iter().position(|byte| *byte == 0).unwrap_or(field.len())],
            )
            .trim()
            .to_owned()
        };
        let size = u64::from_str_radix(&text(124..136), 8)
            .map_err(|_| wrong("a header in it has no size"))?;
        if size > LARGEST {
            return Err(wrong("a header in it promises a file that is too large"));
        }
        let name = text(0..100);
        let name = name.rsplit('/').next().unwrap_or_default();
        let mut content = archive.by_ref().take(size);
        // A plain file; others are directories and links.
        match names
            .iter()
            .position(|wanted| *wanted == name)
            .filter(|_| matches!(header[156], b'0' | 0))
        {
            Some(place) => {
                let mut file = Vec::new();
                content.read_to_end(&mut file)?;
                if file.len() as u64 != size {
                    return Err(wrong("it ends within a file"));
                }
                found[place] = Some(file);
            }
            None => {
                io::copy(&mut content, &mut io::sink())?;
            }
        }
        let rest = size.next_multiple_of(BLOCK as u64) - size;
        io::copy(&mut archive.by_ref().take(rest), &mut io::sink())?;
    }
    Ok(())
}

fn damaged(path: &Path, error: &io::Error) -> DataError {
    let found = match error.kind() {
        io::ErrorKind::OutOfMemory => "it unpacks to more than the memory holds".to_owned(),
        _ => format!("{error}; it may be truncated or damaged: get it again"),
    };
    DataError::Foreign { path: path.to_owned(), expected: "an intact compressed file", found }
}

fn too_large(path: &Path) -> DataError {
    let found = format!("it unpacks to more than {LARGEST} bytes, which no such data set has");
    DataError::Foreign { path: path.to_owned(), expected: "a compressed data set", found }
}
