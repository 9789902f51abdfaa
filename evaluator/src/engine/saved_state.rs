//! The state of an optimizer, apart from the file that holds it.

use crate::hyperparameters::Override;
use crate::storage::{Rounding, SlotValues};

/// Content of a state file.
pub(crate) struct SavedState {
    pub step: u64,
    pub slots: Vec<SlotValues>,
    pub hyperparameters: Vec<(String, f64)>,
    pub overrides: Vec<Override>,
    pub rounding: Rounding,
}
