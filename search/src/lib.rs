//! Regularized evolution over optimizer programs.
//!
//! | module | what it holds |
//! |---|---|
//! | [`config`] | all settings of a search, from TOML |
//! | [`space`] | which functions and parameters programs may have |
//! | [`engine`] | the search itself: mutation, evolution, cache, hurdle; asynchronous on many threads, and the same for any number of them |
//! | [`behaviour`] | what a program does, in cells |
//! | [`judge`] | what gives a program its fitness: a suite, or anything else |
//! | [`store`] | every acknowledged evaluation, in a directory: [`journal`]; programs and failures of it, statistics |
//! | [`directory`] | directories that are made whole or not at all |
//! | [`launch`] | from settings to a running search, new or resumed |
//!
//! ```no_run
//! use std::path::Path;
//! use symopt_cancel::CancelToken;
//! use symopt_search::{SearchConfig, launch::Launch};
//!
//! let cancel = CancelToken::new();
//! let launch = Launch::new(SearchConfig::default(), Path::new("runs/first"), &cancel)?;
//! let result = launch.run(2, &cancel, &mut |_progress| {})?.result;
//! println!("{} has fitness {}", result.best.program, result.best.fitness);
//! # Ok::<(), symopt_search::launch::LaunchError>(())
//! ```
//!
//! Nothing here depends on time, on the number of threads or on the order in which evaluations end:
//! see [`engine`]. Answers of an external task need not be reproducible; given the same answers, a
//! search is the same.

pub mod behaviour;
pub mod config;
pub mod directory;
pub mod engine;
mod fit;
pub mod judge;
pub mod launch;
pub mod space;
pub mod store;

pub use config::SearchConfig;
pub use engine::{Search, SearchError, SearchResult};
pub use store::journal;
pub use store::journal::{Journal, JournalError};
pub use store::stop_reason::StopReason;
