//! The best hyperparameters of a program on a task: by a grid, by a pattern search, or from AdamW's
//! by a rule of thumb.

pub mod grid;
pub mod pattern_search;
pub mod rule_of_thumb;
