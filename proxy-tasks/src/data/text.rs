//! The user's own text file as tokens.

use super::{DataError, read};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::Path;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// One byte; the vocabulary is the bytes that occur, in order.
    Bytes,
    /// One Unicode character of UTF-8; the vocabulary is the characters that occur, in order of their code points.
    Characters,
}

/// A text as token ids.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    /// Distinct tokens.
    pub vocabulary: usize,
    /// The text.
    pub tokens: Vec<u16>,
}

/// Reads a text file.
pub fn text(path: &Path, unit: Unit) -> Result<Text, DataError> {
    const EXPECTED: &str = "a text file";
    let foreign = |found: String| DataError::Foreign { path: path.to_owned(), expected: EXPECTED, found };
    let bytes = read(path, "`path` must name a text file")?;
    if bytes.is_empty() {
        return Err(foreign("it is empty".to_owned()));
    }
    match unit {
        Unit::Bytes => Ok(numbered(&bytes)),
        Unit::Characters => {
            let text = std::str::from_utf8(&bytes).map_err(|error| {
                foreign(format!("byte {} is no UTF-8; use `unit = \"bytes\"` for other encodings", error.valid_up_to()))
            })?;
            let characters: Vec<char> = text.chars().collect();
            let text = numbered(&characters);
            if text.vocabulary > 1 << 16 {
                return Err(foreign(format!("it has {} different characters; at most 65,536 are supported", text.vocabulary)));
            }
            Ok(text)
        }
    }
}

fn numbered<T: Copy + Ord>(units: &[T]) -> Text {
    let vocabulary: Vec<T> = units.iter().copied().collect::<BTreeSet<T>>().into_iter().collect();
    let tokens = units.iter().map(|unit| vocabulary.partition_point(|known| known < unit) as u16).collect();
    Text { vocabulary: vocabulary.len(), tokens }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> tempfile::TempPath {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, bytes).unwrap();
        file.into_temp_path()
    }

    #[test]
    fn characters_and_bytes_become_dense_tokens() {
        let path = file("bäb a".as_bytes());
        let characters = text(&path, Unit::Characters).unwrap();
        assert_eq!(characters, Text { vocabulary: 4, tokens: vec![2, 3, 2, 0, 1] });
        assert_eq!(text(&path, Unit::Bytes).unwrap().vocabulary, 5);
    }

    #[test]
    fn missing_empty_and_foreign_texts_are_refused_with_a_way_out() {
        let missing = text(Path::new("no/such/file.txt"), Unit::Bytes).unwrap_err().to_string();
        assert!(missing.contains("no/such/file.txt") && missing.contains("`path`"), "{missing}");
        assert!(text(&file(b""), Unit::Bytes).unwrap_err().to_string().contains("empty"));
        let foreign = text(&file(b"ab\xff"), Unit::Characters).unwrap_err().to_string();
        assert!(foreign.contains("byte 2") && foreign.contains("bytes"), "{foreign}");
    }
}
