//! Proxy tasks: small training problems on which optimizer programs are judged.
//!
//! | step | modules |
//! |---|---|
//! | examples | [`data`] |
//! | models with hand-written gradients | [`model`] |
//! | one training run: a model bound to the examples of a seed, a schedule, snapshots in the middle | [`task`], [`run`] |
//! | tasks and suites from TOML, with tuned constants | [`spec`], [`constants`] |
//! | what the memory does not hold is refused | [`memory`] |
//! | fitness against tuned AdamW | [`suite`] |
//! | samples over seeds | [`sample`] |
//! | training scripts of the user's | [`external`] |
//! | work as values: jobs, who does them, training runs as jobs | [`job`], [`executor`], [`training_run`] |
//! | the best hyperparameters of a program: by a grid, by a pattern search, by a rule of thumb from AdamW's | [`tuning`] |
//! | what goes wrong | [`error`] |
//!
//! All random numbers come from [`rng`]: the same program, suite and seeds give the same bits,
//! whatever the number of threads. Results of an external task carry no such guarantee. Whatever
//! trains takes a [`CancelToken`](symopt_cancel::CancelToken), and ends with
//! [`TaskError::Cancelled`](error::TaskError::Cancelled) soon after that was cancelled.
//!
//! ```
//! use symopt_cancel::CancelToken;
//! use symopt_proxy_tasks::spec::SuiteSource;
//! use symopt_proxy_tasks::task::Verdict;
//!
//! let cancel = CancelToken::new();
//! let suite = SuiteSource::find("smoke")?.suite()?;
//! let baseline = suite.baseline(&suite.seeds, &cancel)?;
//! // AdamW with its tuned constants is the baseline, so it is no better and no worse than itself.
//! let adamw = symopt_programs::adamw().program();
//! let watch = &mut |_, _| Verdict::Continue;
//! let outcome = suite.evaluate(&adamw, Some("adamw"), &baseline, &cancel, watch)?;
//! assert_eq!(outcome.fitness.improvement(), Some(0.0));
//! # Ok::<(), symopt_proxy_tasks::error::TaskError>(())
//! ```

pub mod constants;
pub mod data;
mod digest;
pub mod error;
pub mod executor;
pub mod external;
pub mod job;
pub mod memory;
pub mod model;
pub mod rng;
pub mod run;
pub mod sample;
pub mod spec;
pub mod suite;
pub mod task;
pub mod training_run;
pub mod tuning;
