//! How far a page has come in each journal: the number of entries that it has, and a digest of them.
//!
//! As text it is the id of an event: `12-9c3f.0-0`, a number and a digest for each store, in their
//! order.

use std::fmt::Write;

/// A page's place in one journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Entries that it has.
    pub count: usize,
    /// Their digest.
    pub digest: u64,
}

/// Stores that a page shows, at most: so long is a text of positions.
pub const MOST: usize = 32;

/// The digest of no entries.
pub const EMPTY: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a, and so no protection from anybody: it tells one search from another.
pub fn digest(before: u64, entry: &str) -> u64 {
    entry
        .bytes()
        .chain([b'\n'])
        .fold(before, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// Positions as text.
pub fn text(positions: &[Position]) -> String {
    let mut text = String::new();
    for (place, Position { count, digest }) in positions.iter().enumerate() {
        let separator = if place == 0 { "" } else { "." };
        let _ = write!(text, "{separator}{count}-{digest:x}");
    }
    text
}

/// Positions of a text that anybody may have written; what can't be read is the beginning.
pub fn read(text: &str) -> Vec<Position> {
    let one = |text: &str| {
        let (count, digest) = text.split_once('-')?;
        Some(Position { count: count.parse().ok()?, digest: u64::from_str_radix(digest, 16).ok()? })
    };
    text.split('.').take(MOST).map(|text| one(text).unwrap_or_default()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_anything_else_is_the_beginning() {
        let positions = [
            Position { count: 12, digest: u64::MAX },
            Position::default(),
            Position { count: 1, digest: 7 },
        ];
        assert_eq!(read(&text(&positions)), positions);
        for text in ["", "x", "-", "1", "-1-2", "1-g", "99999999999999999999999-1", "1-2-3", "é-1"]
        {
            assert_eq!(read(text), [Position::default()], "{text}");
        }
        assert!(read(&".".repeat(100_000)).len() <= MOST);
        assert_ne!(digest(digest(EMPTY, "a"), "b"), digest(EMPTY, "ab"));
    }
}
