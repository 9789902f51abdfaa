//! Proxy tasks: small training problems on which optimizer programs are judged.
//!
//! | step | modules |
//! |---|---|
//! | examples | [`data`] |
//! | models with hand-written gradients | [`model`] |
//! | a model bound to the examples of a seed | `problem` |
//! | one training run | [`training`], [`schedule`], [`task`], [`run`] |
//! | a training run in the middle, in a file | [`snapshot`], [`snapshot_store`] |
//! | tasks and suites from TOML, with tuned constants | [`spec`], [`constants`] |
//! | what the memory does not hold is refused | [`memory`] |
//! | fitness against tuned AdamW | [`suite`], [`baseline`] |
//! | training scripts of the user's | [`external`] |
//! | the best hyperparameters of a program | [`baseline`] by a grid, [`pattern_search`], [`rule_of_thumb`] from AdamW's |
//!
//! All random numbers come from [`rng`]: the same program, suite and seeds give the same bits, whatever the number of threads. What an external task
//! gives is its own business.
//!
//! ```
//! use symopt_proxy_tasks::spec::SuiteSource;
//! use symopt_proxy_tasks::task::Verdict;
//!
//! let suite = SuiteSource::find("smoke")?.suite()?;
//! let baseline = suite.baseline(&suite.seeds)?;
//! // AdamW with its tuned constants is the baseline, so it is no better and no worse than itself.
//! let outcome = suite.evaluate(&symopt_programs::adamw().program(), Some("adamw"), &baseline, &mut |_, _| Verdict::Continue)?;
//! assert_eq!(outcome.fitness.improvement(), Some(0.0));
//! # Ok::<(), symopt_proxy_tasks::error::TaskError>(())
//! ```

pub mod constants;
pub mod data;
pub mod deadline;
mod digest;
pub mod error;
pub mod external;
pub mod interrupt;
pub mod memory;
pub mod model;
pub mod rng;
pub mod run;
pub mod sample;
pub mod spec;
pub mod suite;
pub mod task;
pub mod tuning;
pub mod watch;
