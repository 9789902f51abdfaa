//! Tasks and suites as TOML: adding a task is adding a table.
//!
//! A suite is one text: `name`, `summary`, `seeds`, and a `[[task]]` table for each task. The
//! built-in ones are the files in `suites/`, which are also the examples to copy from. Every key:
//!
//! | key of a task | meaning | default |
//! |---|---|---|
//! | `name` | unique in the suite | |
//! | `weight` | weight in the fitness, above 0 | 1 |
//! | `steps`, `batch` | training steps, examples in a batch | |
//! | `checkpoints` | how often the validation loss is taken | 4 |
//! | `schedule` | `"constant"` or `{ warmup_cosine = { warmup = 0.05 } }` | the latter |
//! | `training`, `validation` | examples (windows of text) used | training: what the data has, validation: 512 |
//! | `label_noise` | share of the training labels that are drawn uniformly from all classes | 0 |
//! | `data` | see [`DataSpec`] | |
//! | `model` | see [`ModelSpec`] | |
//! | `tuned` | tables of [`Tuned`] constants; `symopt tune` finds them | none |
//!
//! A table of `tuned` has `program`, `peak_lr`, `hyperparameters`, and, if it is there, `origin`:
//! `{ tuned = { runs = 48, seeds = 2 } }`, `"given"` or `"untuned"`. All that is compared with
//! AdamW says which of these it is. Without it they are `"given"`, but for tasks of built-in
//! suites, also copied ones.
//!
//! A suite may also have `[[external]]` tables, tasks that are [commands](crate::external) of the
//! user's; they come after the others.
//!
//! | key of an external task | meaning | default |
//! |---|---|---|
//! | `name`, `weight`, `tuned` | as above; without constants for AdamW `symopt search` tunes them first; elsewhere its own defaults are used, and all numbers name it untuned | |
//! | `command` | the command, as the shell reads it | |
//! | `steps` | training steps that it is asked for | its own business |
//! | `checkpoints` | points of the curve that hopeless runs are stopped by; 1 is the result alone | 4 |
//! | `seconds` | the time limit of a run | 600 |
//! | `startup_seconds` | so many more for a process that was just started | 60 |
//! | `export` | what programs are written as for it | `"program"` |

mod data;
mod limits;
mod model;
mod problem_builder;
mod size;
mod suite;
mod task;
mod variant;

pub use data::DataSpec;
pub use model::ModelSpec;
pub use suite::{SuiteSource, SuiteSpec, find_task};
pub use task::TaskSpec;
pub use variant::Variant;

#[cfg(doc)]
use crate::constants::Tuned;
