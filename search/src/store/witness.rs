//! The witness: how many evaluations were acknowledged.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::WITNESS;

/// How many evaluations the witness says there are; 0 if a crash left it empty.
pub(super) fn read_witness(path: &Path) -> Result<u64, String> {
    let text = fs::read_to_string(path.join(WITNESS)).map_err(|e| match e.kind() {
        ErrorKind::InvalidData => format!("{WITNESS} holds no number"),
        _ => format!("{WITNESS}: {e}"),
    })?;
    if text.is_empty() {
        return Ok(0);
    }
    text.trim_end().parse().map_err(|_| format!("{WITNESS} holds no number"))
}

pub(super) fn witness_text(count: u64) -> String {
    format!("{count:020}\n")
}
