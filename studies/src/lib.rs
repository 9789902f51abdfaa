//! Many runs together: what searches found, and what that is worth on seeds and tasks that no
//! search has seen.
//!
//! | module | what it holds |
//! |---|---|
//! | [`report`](mod@report) | what searches did, from their stores: figures, tables, meta-validation |
//! | [`comparison`] | programs against each other on held-out seeds |
//! | [`gate`] | whether a suite ranks optimizers as the world does, and keeps its ranking at other sizes |
//! | [`landscape`] | the optimizers of the literature on a suite, all tuned with the same budget |
//! | [`fresh_seeds`] | programs on seeds that no search has seen, each at the learning rate that suits it |
//! | [`finalists`] | the hall of fame of a search on fresh seeds: who leads, who is better than AdamW, and the winner's curse |
//! | [`funnel`] | the best programs of searches on ever larger suites: what keeps beating AdamW stays |
//! | [`discovery`] | an optimizer that is better on tasks which no search has seen: searches, a funnel, one comparison |
//! | [`restarts`] | campaigns: repeats of a search, restarts from the best, other suites after that |
//! | [`rediscovery`] | how many of a number of attempts find a program like Lion |
//! | [`training_curves`] | the curves of several programs' runs on a task |
//! | [`tuning_map`] | losses over learning rate and weight decay |
//! | [`trials`] | programs against each other on the same seeds, with a test of what a change costs |
//! | [`study`](mod@study) | the studies that made Lion convincing: robustness, batches, betas, sizes, memory and speed |
//! | [`step_time`] | the measured time of a step of an optimizer |
//! | [`ablation`] | statements that make no difference on the tasks are bypassed, constants get fewer digits |
//! | [`importance`](mod@importance) | how much each statement matters |
//! | [`simplification`] | algebra and ablation in turn |
//! | [`error`] | what goes wrong; a study that is cancelled has no result |

pub mod ablation;
pub(crate) mod checked_json;
pub mod comparison;
pub mod discovery;
pub mod error;
pub mod finalists;
pub mod fresh_seeds;
pub mod funnel;
pub mod gate;
pub mod importance;
pub mod landscape;
pub mod rediscovery;
pub mod report;
pub mod restarts;
pub mod simplification;
pub mod step_time;
pub mod study;
pub mod training_curves;
pub mod trials;
pub mod tuning_map;

pub use error::StudyError;
