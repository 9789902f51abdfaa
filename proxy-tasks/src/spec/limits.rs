//! Upper limits for every description.

/// Largest accepted value of any count in a description, so that no size overflows or fills the
/// memory by a slip of the finger.
pub(super) const LARGEST: usize = 100_000_000;

/// Training rows of a table, if nothing else is said.
pub(super) const TABLE_ROWS: usize = 2048;

/// Refuses 0, and what no count can be.
pub(super) fn at_least_one(what: &str, value: usize) -> Result<(), String> {
    match value {
        0 => Err(format!("`{what}` must be at least 1")),
        _ if value > LARGEST => Err(format!("`{what}` = {value} is too large; at most {LARGEST}")),
        _ => Ok(()),
    }
}
