//! The user's own text file as tokens.

use super::{DataError, read};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

/// Unit of text that makes a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// One byte; the vocabulary is the bytes that occur, in order.
    Bytes,
    /// One Unicode character of UTF-8; the vocabulary is the characters that occur, in order of
    /// their code points.
    Characters,
    /// One word, whatever stands between white space. Words beyond the most frequent share token 0.
    Words,
}

/// A text as token ids.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    /// Distinct tokens.
    pub vocabulary: usize,
    /// The text.
    pub tokens: Vec<u16>,
}

/// Reads a text file. `vocabulary` is for words: the most tokens, token 0 for all rarer words among
/// them; at least 2 and at most 65,536.
pub fn text(path: &Path, unit: Unit, vocabulary: Option<usize>) -> Result<Text, DataError> {
    let bytes = read(path, "`path` must name a text file")?;
    tokens(&bytes, unit, vocabulary).map_err(|found| DataError::Foreign {
        path: path.to_owned(),
        expected: "a text file",
        found,
    })
}

/// The tokens of a text, or what is wrong with it.
pub(super) fn tokens(bytes: &[u8], unit: Unit, vocabulary: Option<usize>) -> Result<Text, String> {
    if bytes.is_empty() {
        return Err("it is empty".to_owned());
    }
    let characters = || {
        std::str::from_utf8(bytes).map_err(|error| {
            format!(
                "byte {} is no UTF-8; use `unit = \"bytes\"` for other encodings",
                error.valid_up_to()
            )
        })
    };
    match unit {
        Unit::Bytes => Ok(numbered(bytes)),
        Unit::Characters => {
            let characters: Vec<char> = characters()?.chars().collect();
            let text = numbered(&characters);
            if text.vocabulary > 1 << 16 {
                return Err(format!(
                    "it has {} different characters; at most 65,536 are supported",
                    text.vocabulary
                ));
            }
            Ok(text)
        }
        Unit::Words => {
            let text = words(characters()?, vocabulary.unwrap_or(1 << 16).clamp(2, 1 << 16));
            if text.tokens.is_empty() {
                return Err("it has no word, only white space".to_owned());
            }
            Ok(text)
        }
    }
}

/// Token 0 is every word that is not among the `vocabulary` - 1 most frequent, which are numbered
/// by frequency and, where that is equal, by the alphabet.
fn words(text: &str, vocabulary: usize) -> Text {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for word in text.split_whitespace() {
        *counts.entry(word).or_default() += 1;
    }
    // A total order, so that the order of the map does not matter.
    let mut known: Vec<(&str, usize)> = counts.into_iter().collect();
    known.sort_unstable_by_key(|&(word, count)| (Reverse(count), word));
    known.truncate(vocabulary - 1);
    let numbers: HashMap<&str, u16> =
        known.iter().zip(1..=u16::MAX).map(|(&(word, _), number)| (word, number)).collect();
    let tokens =
        text.split_whitespace().map(|word| numbers.get(word).copied().unwrap_or(0)).collect();
    Text { vocabulary: known.len() + 1, tokens }
}

fn numbered<T: Copy + Ord>(units: &[T]) -> Text {
    let vocabulary: Vec<T> = units.iter().copied().collect::<BTreeSet<T>>().into_iter().collect();
    let tokens =
        units.iter().map(|unit| vocabulary.partition_point(|known| known < unit) as u16).collect();
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
        let characters = text(&path, Unit::Characters, None).unwrap();
        assert_eq!(characters, Text { vocabulary: 4, tokens: vec![2, 3, 2, 0, 1] });
        assert_eq!(text(&path, Unit::Bytes, None).unwrap().vocabulary, 5);
    }

    #[test]
    fn words_are_numbered_by_frequency_and_rare_ones_share_a_token() {
        let path = file(b"b a  c\na d\tb e");
        let of = |vocabulary| text(&path, Unit::Words, Some(vocabulary)).unwrap();
        // a and b come twice; then the alphabet decides.
        assert_eq!(of(4), Text { vocabulary: 4, tokens: vec![2, 1, 3, 1, 0, 2, 0] });
        assert_eq!(of(2), Text { vocabulary: 2, tokens: vec![0, 1, 0, 1, 0, 0, 0] });
        assert_eq!(of(1000), Text { vocabulary: 6, tokens: vec![2, 1, 3, 1, 4, 2, 5] });
        assert!(
            text(&file(b" \n"), Unit::Words, Some(10)).unwrap_err().to_string().contains("no word")
        );
        let foreign = text(&file(b"ab\xff"), Unit::Words, None).unwrap_err().to_string();
        assert!(foreign.contains("byte 2"), "{foreign}");
    }

    #[test]
    fn missing_empty_and_foreign_texts_are_refused_with_a_way_out() {
        let missing =
            text(Path::new("no/such/file.txt"), Unit::Bytes, None).unwrap_err().to_string();
        assert!(missing.contains("no/such/file.txt") && missing.contains("`path`"), "{missing}");
        assert!(text(&file(b""), Unit::Bytes, None).unwrap_err().to_string().contains("empty"));
        let foreign = text(&file(b"ab\xff"), Unit::Characters, None).unwrap_err().to_string();
        assert!(foreign.contains("byte 2") && foreign.contains("bytes"), "{foreign}");
    }
}
