//! Tuned constants of known optimizers on the built-in tasks, and the protocol that finds them.
//!
//! The protocol: every pair of a peak learning rate and a weight decay from a grid, all else at the program's defaults, judged by the mean final
//! validation loss over the tuning seeds ([`Suite::tuning_seeds`](crate::suite::Suite::tuning_seeds)), which no search and no report uses. A pair
//! that diverges on any seed is out. Every optimizer gets the same number of pairs.

use serde::{Deserialize, Serialize};
use symopt_dsl::Program;

use crate::task::{Candidate, Task, TaskError, Verdict};

/// How a program is run on one task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tuned {
    /// The zoo program.
    pub program: String,
    /// Peak learning rate.
    pub peak_lr: f64,
    /// Hyperparameters that differ from the program's defaults.
    pub hyperparameters: Vec<(String, f64)>,
}

/// The pairs that tuning tries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    /// Peak learning rates.
    pub peak_lr: Vec<f64>,
    /// Weight decays; ignored (0 only) for programs that have no `weight_decay`.
    pub weight_decay: Vec<f64>,
    /// How many tuning seeds judge a pair.
    pub seeds: usize,
}

impl Default for Grid {
    /// Learning rates from 1e-4 to 10, four a decade; decays from 0 to 3.
    fn default() -> Grid {
        Grid {
            peak_lr: (0..=20).map(|i| rounded(libm::pow(10.0, -4.0 + f64::from(i) / 4.0))).collect(),
            weight_decay: vec![0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0],
            seeds: 8,
        }
    }
}

/// Three significant digits: what is written into the table of tuned constants.
fn rounded(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
}

/// One pair of the grid and how it did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trial {
    /// Peak learning rate.
    pub peak_lr: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Mean final validation loss over the tuning seeds; `None` if a run diverged.
    pub loss: Option<f64>,
}

/// Tries every pair of the grid. `report` sees each trial as it ends and may stop the tuning.
pub fn tune(task: &dyn Task, program: &Program, grid: &Grid, report: &mut dyn FnMut(&Trial) -> Verdict) -> Result<Vec<Trial>, TaskError> {
    let has_decay = program.signature().hyperparameters().any(|(_, parameter)| parameter.name == "weight_decay");
    let decays: &[f64] = if has_decay { &grid.weight_decay } else { &[0.0] };
    let mut trials = Vec::new();
    for peak_lr in &grid.peak_lr {
        for weight_decay in decays {
            let hyperparameters = if has_decay { vec![("weight_decay".to_owned(), *weight_decay)] } else { Vec::new() };
            let candidate = Candidate { program, peak_lr: *peak_lr, hyperparameters: &hyperparameters };
            let mut sum = Some(0.0);
            for seed in crate::suite::Suite::tuning_seeds(grid.seeds) {
                let run = task.run(&candidate, seed, &mut |_| Verdict::Continue)?;
                sum = sum.zip(run.final_metrics()).map(|(sum, metrics)| sum + metrics.loss);
                if sum.is_none() {
                    break;
                }
            }
            let trial = Trial { peak_lr: *peak_lr, weight_decay: *weight_decay, loss: sum.map(|sum| sum / grid.seeds as f64) };
            let verdict = report(&trial);
            trials.push(trial);
            if verdict == Verdict::Stop {
                return Ok(trials);
            }
        }
    }
    Ok(trials)
}

/// The trial with the lowest loss; the first of equals.
pub fn best(trials: &[Trial]) -> Option<&Trial> {
    trials
        .iter()
        .filter(|trial| trial.loss.is_some_and(f64::is_finite))
        .min_by(|a, b| a.loss.unwrap_or(f64::INFINITY).total_cmp(&b.loss.unwrap_or(f64::INFINITY)))
}
