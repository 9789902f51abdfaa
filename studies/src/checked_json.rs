//! Results in JSON files that are read again, each with a checksum of its own text.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The first lines of a file with a checksum, up to the sum itself.
const HEAD: &str = "{\n  \"checksum\": \"";
/// Placeholder for the checksum while it is computed.
const BLANK: &str = "0000000000000000";

#[derive(Serialize)]
struct Written<'a, T> {
    checksum: &'static str,
    #[serde(flatten)]
    content: &'a T,
}

/// The text of a file: the fields of a value after a checksum, which is over everything else that
/// the file holds.
pub(crate) fn to_text(content: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(&Written { checksum: BLANK, content })?;
    let sum = checksum(&text);
    if text.starts_with(HEAD) {
        text.replace_range(HEAD.len()..HEAD.len() + BLANK.len(), &sum);
    }
    text.push('\n');
    Ok(text.into_bytes())
}

/// The value of such a text. Files of earlier releases have no checksum, and are read without one.
pub(crate) fn from_text<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
    if let Some(rest) = text.strip_prefix(HEAD) {
        let (found, after) = rest.split_at_checked(BLANK.len()).ok_or("it is truncated")?;
        let expected = checksum(&[HEAD, BLANK, after.trim_end()].concat());
        if found != expected {
            return Err(format!(
                "its content has the checksum {expected}, not {found}: it was changed or damaged"
            ));
        }
    }
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// FNV-1a, in hexadecimal.
pub(crate) fn checksum(text: &str) -> String {
    let sum = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{sum:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Content {
        seed: u64,
        shares: Vec<(String, f64)>,
    }

    fn content() -> Content {
        Content {
            seed: u64::MAX,
            shares: vec![("naïve".to_owned(), 0.1 + 0.2), ("b".to_owned(), -0.0)],
        }
    }

    #[test]
    fn a_value_comes_back_and_no_damage_goes_unnoticed() {
        let text = to_text(&content()).unwrap();
        assert_eq!(from_text::<Content>(&text).unwrap(), content());
        for place in 0..text.trim_ascii_end().len() {
            for bit in [1, 4, 64] {
                let mut damaged = text.clone();
                damaged[place] ^= bit;
                // The word before the sum is no result.
                let read = from_text::<Content>(&damaged);
                assert!(
                    read.is_err() || (place < HEAD.len() && read.unwrap() == content()),
                    "byte {place}"
                );
            }
            assert!(from_text::<Content>(&text[..place]).is_err(), "{place} bytes");
        }
    }

    #[test]
    fn files_of_earlier_releases_are_read_without_a_checksum() {
        let text = serde_json::to_vec_pretty(&content()).unwrap();
        assert_eq!(from_text::<Content>(&text).unwrap(), content());
    }
}
