//! Programs by name: of the zoo, of files, of the standard input.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::string::FromUtf8Error;

use symopt_dsl::{Diagnostics, Program};

/// Bytes of a program file that are read at most: more than any program needs; the parser refuses
/// less than this, with a message of its own.
const FILE_LIMIT: u64 = 16 << 20;

/// A text that is no program, with what is wrong with it.
#[derive(Debug)]
pub struct FaultyText {
    /// Name of the text.
    pub name: String,
    /// The text.
    pub text: String,
    /// The faults.
    pub faults: Diagnostics,
}

impl FaultyText {
    /// Returns the report that shows the places in the text.
    pub fn render(&self, color: bool) -> String {
        self.faults.render(&self.name, &self.text, color)
    }
}

impl fmt::Display for FaultyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

/// Why there is no program of a name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// Neither a zoo program nor a file.
    #[error(
        "{name:?} is no zoo program and no file{}; `symopt programs` lists the zoo",
        nearest.map_or_else(String::new, |n| format!(" (did you mean {n}?)"))
    )]
    Unknown {
        /// Name that was asked for.
        name: String,
        /// The zoo program of the nearest name.
        nearest: Option<&'static str>,
    },
    /// A directory is where a program should be.
    #[error(
        "{path}: a directory, not a program; a program of a search's store is written {path}:HASH, with the first digits of its hash"
    )]
    Directory {
        /// The directory.
        path: PathBuf,
    },
    /// The file is no text.
    #[error(
        "{path}: not a program: byte {place} is not UTF-8 text; check that this is the right file"
    )]
    NotText {
        /// The file.
        path: PathBuf,
        /// How many bytes are text.
        place: usize,
    },
    /// The file can't be read.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The text is wrong.
    #[error("{0}")]
    Text(Box<FaultyText>),
}

/// Parses a text of a name; the error shows the places in it.
pub fn parse(name: &str, text: &str) -> Result<Program, SourceError> {
    symopt_dsl::parse(text).map_err(|faults| {
        SourceError::Text(Box::new(FaultyText {
            name: name.to_owned(),
            text: text.to_owned(),
            faults,
        }))
    })
}

/// Finds a program by zoo name, file, or `-` for the standard input.
pub fn find(name: &str) -> Result<Program, SourceError> {
    if name == "-" {
        return read("standard input", std::io::stdin());
    }
    if let Some(entry) = crate::find(name) {
        return Ok(entry.program());
    }
    let path = Path::new(name);
    if !path.exists() {
        return Err(SourceError::Unknown { name: name.to_owned(), nearest: crate::nearest(name) });
    }
    if path.is_dir() {
        return Err(SourceError::Directory { path: path.to_owned() });
    }
    let file =
        File::open(path).map_err(|source| SourceError::File { path: path.to_owned(), source })?;
    read(name, file)
}

/// Reads a program to its end.
fn read(name: &str, from: impl Read) -> Result<Program, SourceError> {
    let path = || PathBuf::from(name);
    let mut bytes = Vec::new();
    from.take(FILE_LIMIT)
        .read_to_end(&mut bytes)
        .map_err(|source| SourceError::File { path: path(), source })?;
    let not_text = |e: FromUtf8Error| SourceError::NotText {
        path: path(),
        place: e.utf8_error().valid_up_to(),
    };
    parse(name, &String::from_utf8(bytes).map_err(not_text)?)
}
