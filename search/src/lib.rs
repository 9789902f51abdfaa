//! Regularized evolution over optimizer programs.
//!
//! | module | what it holds |
//! |---|---|
//! | [`config`] | all settings of a search, from TOML |
//! | [`mutation`] | the three mutations of the paper |
//! | [`evolution`] | regularized evolution: tournament, child, the oldest dies |
//! | [`cache`] | fitness by functional hash |
//! | [`hurdle`] | early stopping of hopeless evaluations |
//! | [`judge`] | what gives a program its fitness: a suite, or anything else |
//! | [`engine`] | the search itself: asynchronous on many threads, and the same for any number of them |
//! | [`journal`] | every acknowledged evaluation, in a sled store |
//! | [`launch`] | from settings to a running search, new or resumed |
//! | [`statistics`] | how a search goes, over the programs generated |
//! | [`comparison`] | programs against each other on held-out seeds |
//!
//! Nothing here depends on time, on the number of threads or on the order in which evaluations end: see [`engine`].

pub mod cache;
pub mod comparison;
pub mod config;
pub mod engine;
pub mod evolution;
pub mod hurdle;
pub mod journal;
pub mod judge;
pub mod launch;
pub mod mutation;
pub mod statistics;

pub use config::SearchConfig;
pub use engine::{Search, SearchError, SearchResult, StopReason};
pub use journal::{Journal, JournalError};
