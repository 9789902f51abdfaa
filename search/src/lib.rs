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
//! | [`store`] | every acknowledged evaluation, in a directory: [`journal`] |
//! | [`directory`] | directories that are made whole or not at all |
//! | [`failures`] | what went wrong in external tasks |
//! | [`program_source`] | programs by zoo name, file or store |
//! | [`launch`] | from settings to a running search, new or resumed |
//! | [`statistics`] | how a search goes, over the programs generated |
//! | [`report`] | what searches did, from their stores: figures, tables, meta-validation |
//! | [`stop_reason`] | why a search ended |
//! | [`chart`] | charts as SVG and as text |
//! | [`comparison`] | programs against each other on held-out seeds |
//! | [`landscape`] | the optimizers of the literature on a suite, all tuned with the same budget |
//! | [`fresh_seeds`] | programs on seeds that no search has seen, each at the learning rate that suits it |
//! | [`funnel`] | the best programs of searches on ever larger suites: what keeps beating AdamW stays |
//! | [`restarts`] | campaigns: repeats of a search, restarts from the best, other suites after that |
//! | [`lineage`] | the ancestors of a program of a store, bred again |
//! | [`training_curves`] | the curves of several programs' runs on a task |
//! | [`tuning_map`] | losses over learning rate and weight decay |
//! | [`trials`] | programs against each other on the same seeds, with a test of what a change costs |
//! | [`ablation`] | statements that make no difference on the tasks are bypassed, constants get fewer digits |
//! | [`importance`] | how much each statement matters |
//! | [`simplification`] | algebra and ablation in turn |
//!
//! ```no_run
//! use std::path::Path;
//! use std::sync::atomic::AtomicBool;
//! use symopt_search::{SearchConfig, launch::Launch};
//!
//! let launch = Launch::new(SearchConfig::default(), Path::new("runs/first"), false)?;
//! let (result, _suite, _history) = launch.run(2, &AtomicBool::new(false), &mut |_progress| {})?;
//! println!("{} has fitness {}", result.best.program, result.best.fitness);
//! # Ok::<(), symopt_search::launch::LaunchError>(())
//! ```
//!
//! Nothing here depends on time, on the number of threads or on the order in which evaluations end: see [`engine`]. What an external task answers
//! is its own business; given the same answers, a search is the same.

pub mod ablation;
pub mod cache;
pub mod chart;
pub(crate) mod checked_json;
pub mod comparison;
pub mod config;
pub mod direction;
pub mod directory;
pub mod engine;
pub mod evolution;
pub mod failures;
pub mod fresh_seeds;
pub mod funnel;
pub mod hurdle;
pub mod importance;
pub mod inner_tuning;
pub mod judge;
pub mod landscape;
pub mod launch;
pub mod lineage;
pub mod mutation;
pub mod program_source;
pub mod rediscovery;
pub mod report;
pub mod restarts;
pub mod simplification;
mod standing;
pub mod statistics;
pub mod stop_reason;
pub mod store;
pub mod training_curves;
pub mod trials;
pub mod tuning_map;

pub use config::SearchConfig;
pub use engine::{Search, SearchError, SearchResult};
pub use stop_reason::StopReason;
pub use store::journal;
pub use store::journal::{Journal, JournalError};
