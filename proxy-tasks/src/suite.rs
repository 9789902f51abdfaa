//! A suite: tasks with weights and seeds, and the fitness of a program on them.

use std::cmp::Ordering;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use symopt_cancel::CancelToken;
use symopt_dsl::Program;
use symopt_programs as programs;

use crate::constants::{Origin, Tuned};
use crate::error::{Failure, TaskError};
use crate::executor::Elsewhere;
use crate::external::runner::Hands;
use crate::run::{Metrics, StopReason};
use crate::task::{Candidate, RunCount, Task, Verdict};

/// The zoo program, with each task's tuned constants, that fitness is measured against.
pub const BASELINE: &str = "adamw";

/// How good a program is on a suite. Ordered: whatever completed is above what was stopped as
/// hopeless, which is above what diverged, was screened out or failed. None of these three is
/// better than another; the order tells them apart, so that it agrees with equality, and selection
/// uses [`Fitness::is_better_than`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fitness {
    /// A loss that was not finite, or far above where training began.
    Diverged,
    /// Not trained at all, since it does what no program of the search may do.
    Screened,
    /// A run of an external task failed, which says nothing about the program. It is not tried
    /// again.
    Failed,
    /// Stopped early, since it was far behind what the population had reached at the same point.
    Hopeless {
        /// The checkpoint of the suite at which it was stopped, from 0.
        checkpoint: usize,
    },
    /// The relative improvement of the validation loss over the AdamW baseline's, averaged over the
    /// suite's tasks (by weight) and seeds: 0.01 is one percent less loss. Always finite.
    Improvement(f64),
}

impl Fitness {
    /// The improvement, if the evaluation completed.
    pub fn improvement(self) -> Option<f64> {
        match self {
            Fitness::Improvement(value) => Some(value),
            _ => None,
        }
    }
}

impl PartialEq for Fitness {
    fn eq(&self, other: &Fitness) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Fitness {}

impl PartialOrd for Fitness {
    fn partial_cmp(&self, other: &Fitness) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Fitness {
    fn cmp(&self, other: &Fitness) -> Ordering {
        match (self, other) {
            (Fitness::Improvement(a), Fitness::Improvement(b)) => a.total_cmp(b),
            (Fitness::Hopeless { checkpoint: a }, Fitness::Hopeless { checkpoint: b }) => a.cmp(b),
            _ => self.place().cmp(&other.place()),
        }
    }
}

impl Fitness {
    /// Whether it says that a program is better: nothing is said of two that have no fitness.
    pub fn is_better_than(self, other: Fitness) -> bool {
        let has_none = |fitness: Fitness| {
            matches!(fitness, Fitness::Diverged | Fitness::Screened | Fitness::Failed)
        };
        self > other && !has_none(self)
    }

    /// The place of its kind in the order.
    fn place(self) -> u8 {
        match self {
            Fitness::Diverged => 0,
            Fitness::Screened => 1,
            Fitness::Failed => 2,
            Fitness::Hopeless { .. } => 3,
            Fitness::Improvement(_) => 4,
        }
    }
}

impl std::fmt::Display for Fitness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fitness::Diverged => f.pad("diverged"),
            Fitness::Screened => f.pad("screened"),
            Fitness::Failed => f.pad("failed"),
            Fitness::Hopeless { .. } => f.pad("hopeless"),
            Fitness::Improvement(value) => f.pad(&format!("{:+.2} %", 100.0 * value)),
        }
    }
}

/// The result of one task under one seed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[must_use]
#[non_exhaustive]
pub struct TaskResult {
    /// The task.
    pub task: String,
    /// The seed.
    pub seed: u64,
    /// Validation metrics at the end.
    pub metrics: Metrics,
    /// The AdamW baseline's validation loss on the same task and seed.
    pub baseline_loss: f64,
    /// The relative improvement over the baseline.
    pub improvement: f64,
}

/// The result of evaluating a program on a suite.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[must_use]
#[non_exhaustive]
pub struct Outcome {
    /// The fitness.
    pub fitness: Fitness,
    /// The running fitness at each checkpoint of the suite, as far as the evaluation went: the runs
    /// completed so far, and the run in progress by its validation loss against the baseline's at
    /// the same step.
    pub curve: Vec<f64>,
    /// The completed runs.
    pub results: Vec<TaskResult>,
    /// Failure, if a run failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// A task of a suite.
pub struct WeightedTask {
    /// The task.
    pub task: Box<dyn Task>,
    /// Weight in the fitness, above 0.
    pub weight: f64,
    /// The constants of known optimizers on the task, with where they come from; the first is
    /// AdamW.
    pub tuned: Vec<Tuned>,
}

impl WeightedTask {
    /// The constants of a zoo program on the task, with the shares of its averages tuned too or at
    /// their defaults; `None` if there are no such ones.
    pub fn constants(&self, program: &str, averages: bool) -> Option<&Tuned> {
        self.tuned.iter().find(|tuned| tuned.program == program && tuned.averages == averages)
    }

    /// Where the constants of a zoo program on the task come from.
    pub fn origin(&self, program: &str) -> Origin {
        self.constants(program, false).map_or(Origin::Untuned, |tuned| tuned.origin)
    }

    /// How a program is run on the task: with the tuned constants of a zoo program if `tuned_as`
    /// names one that has some, and otherwise with the program's own defaults.
    pub fn candidate<'a>(&'a self, program: &'a Program, tuned_as: Option<&str>) -> Candidate<'a> {
        match tuned_as.and_then(|name| self.constants(name, false)) {
            Some(tuned) => Candidate {
                program,
                peak_lr: tuned.peak_lr,
                hyperparameters: &tuned.hyperparameters,
            },
            None => Candidate::new(program),
        }
    }
}

/// A weighted list of tasks with seeds.
pub struct Suite {
    /// Name.
    pub name: String,
    /// The tasks, in the order in which they are run.
    pub tasks: Vec<WeightedTask>,
    /// The seeds that a search sees.
    pub seeds: Vec<u64>,
    /// Place of the work on it, if not the threads that ask for it.
    pub elsewhere: Option<Elsewhere>,
}

/// Where the constants of AdamW on each task of a suite come from. Shown, it is what all that is
/// compared with it has to call it: "tuned AdamW" only where it was tuned on every task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BaselineOrigin(pub Vec<(String, Origin)>);

impl BaselineOrigin {
    /// Those of several suites, whose names go before those of their tasks if there are several.
    pub fn joined<'a>(
        suites: impl IntoIterator<Item = (&'a str, &'a BaselineOrigin)>,
    ) -> BaselineOrigin {
        let suites: Vec<_> = suites.into_iter().collect();
        let one = suites.len() == 1;
        let named =
            |suite: &str, task: &str| if one { task.to_owned() } else { format!("{suite}/{task}") };
        let of_suite = |(suite, origins): (&str, &BaselineOrigin)| -> Vec<(String, Origin)> {
            origins.0.iter().map(|(task, origin)| (named(suite, task), *origin)).collect()
        };
        BaselineOrigin(suites.into_iter().flat_map(of_suite).collect())
    }

    /// Whether it was tuned on every task.
    pub fn is_tuned(&self) -> bool {
        self.0.iter().all(|(_, origin)| origin.is_tuned())
    }

    /// Returns the text behind a number that is compared with it: empty if it was tuned on every
    /// task, which goes without saying.
    pub fn behind(&self) -> String {
        if self.is_tuned() { String::new() } else { format!(" against {self}") }
    }
}

impl std::fmt::Display for BaselineOrigin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let on = |good: &dyn Fn(Origin) -> bool| -> Vec<&str> {
            self.0
                .iter()
                .filter(|(_, origin)| good(*origin))
                .map(|(task, _)| task.as_str())
                .collect()
        };
        let (untuned, given) =
            (on(&|origin| origin == Origin::Untuned), on(&|origin| origin == Origin::Given));
        match (untuned.len(), given.len()) {
            (0, 0) => f.write_str("tuned AdamW"),
            (count, 0) if count == self.0.len() => f.write_str("untuned AdamW"),
            (0, count) if count == self.0.len() => f.write_str("AdamW as given"),
            _ => {
                let part = |words: &str, tasks: &[&str]| {
                    (!tasks.is_empty()).then(|| format!("{words} on {}", tasks.join(", ")))
                };
                let parts: Vec<String> = [part("untuned", &untuned), part("as given", &given)]
                    .into_iter()
                    .flatten()
                    .collect();
                write!(f, "AdamW, {}", parts.join(", "))
            }
        }
    }
}

/// The validation losses of AdamW on a suite: what fitness is measured against.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    seeds: Vec<u64>,
    /// For each seed and task, the validation loss at each checkpoint.
    losses: Vec<Vec<Vec<f64>>>,
}

impl Baseline {
    /// Baselines on different seeds as one.
    pub fn joined(parts: Vec<Baseline>) -> Baseline {
        let mut whole = Baseline::default();
        for part in parts {
            whole.seeds.extend(part.seeds);
            whole.losses.extend(part.losses);
        }
        whole
    }

    /// How many seeds it is on.
    pub fn seeds(&self) -> usize {
        self.seeds.len()
    }

    /// The validation loss at the end, by the positions of the seed and of the task.
    pub fn final_loss(&self, seed: usize, task: usize) -> Option<f64> {
        self.losses.get(seed)?.get(task)?.last().copied()
    }
}

impl Suite {
    /// Seeds that no search and no tuning uses: what a result is reported on.
    pub fn held_out_seeds(count: usize) -> Vec<u64> {
        (0..count as u64).map(|i| 1_000_000 + i).collect()
    }

    /// Seeds that the constants of the baselines are tuned on.
    pub fn tuning_seeds(count: usize) -> Vec<u64> {
        (0..count as u64).map(|i| 2_000_000 + i).collect()
    }

    /// Seeds of an epoch of a search whose seeds change: `count` of them, other ones in every epoch
    /// and in every search whose own seed differs (below 2^20), and none that anything else uses.
    pub fn rotating_seeds(search: u64, epoch: u64, count: usize) -> Vec<u64> {
        let first = (1 << 62)
            | ((search & 0xf_ffff) << 40)
            | (epoch.saturating_mul(count as u64) & 0xff_ffff_ffff);
        (0..count as u64).map(|i| first + i).collect()
    }

    /// Where the constants of AdamW, which fitness is measured against, come from.
    pub fn baseline_origin(&self) -> BaselineOrigin {
        BaselineOrigin(
            self.tasks
                .iter()
                .map(|task| (task.task.name().to_owned(), task.origin(BASELINE)))
                .collect(),
        )
    }

    /// Whether a task of it is a command of the user's, so that runs may fail, and may not give the
    /// same bits when they are made again.
    pub fn is_external(&self) -> bool {
        self.tasks.iter().any(|task| task.task.is_external())
    }

    /// Has others make the runs of the external tasks, in place of their commands.
    pub fn give_to(&self, hands: &Hands) {
        self.tasks.iter().for_each(|task| task.task.give_to(hands));
    }

    /// How many training runs the external tasks have made in this process.
    pub fn run_count(&self) -> RunCount {
        self.tasks.iter().map(|task| task.task.run_count()).fold(
            RunCount::default(),
            |sum, count| RunCount {
                made: sum.made + count.made,
                failed: sum.failed + count.failed,
            },
        )
    }

    /// Trains AdamW on the first of some seeds, on the external tasks, to see that their commands
    /// work.
    pub fn check_commands(&self, seeds: &[u64], cancel: &CancelToken) -> Result<(), TaskError> {
        let adamw = programs::adamw().program();
        for weighted in self.tasks.iter().filter(|weighted| weighted.task.is_checked()) {
            for seed in seeds.iter().take(1) {
                let run = weighted.task.run(
                    &weighted.candidate(&adamw, Some(BASELINE)),
                    *seed,
                    cancel,
                    &mut |_| Verdict::Continue,
                )?;
                run.or_failed(weighted.task.name()).map(drop)?;
            }
        }
        Ok(())
    }

    /// Checkpoints of an evaluation over `seeds` seeds.
    pub fn checkpoints(&self, seeds: usize) -> usize {
        seeds * self.tasks.iter().map(|t| t.task.checkpoints()).sum::<usize>()
    }

    /// Trains AdamW, with each task's constants for it, on all tasks and the given seeds.
    pub fn baseline(&self, seeds: &[u64], cancel: &CancelToken) -> Result<Baseline, TaskError> {
        self.baseline_until(seeds, None, cancel)
    }

    /// The same, unless it takes longer than until a moment: then it fails with
    /// [`TaskError::TimeLimit`].
    pub fn baseline_until(
        &self,
        seeds: &[u64],
        end: Option<Instant>,
        cancel: &CancelToken,
    ) -> Result<Baseline, TaskError> {
        let mut losses = Vec::with_capacity(seeds.len());
        match self.train_baseline(seeds, &cancel.child_until(end), &mut losses) {
            // Nobody but the clock wants the end.
            Err(TaskError::Cancelled(_)) if !cancel.is_cancelled() => Err(TaskError::TimeLimit {
                suite: self.name.clone(),
                done: losses.len(),
                seeds: seeds.len(),
            }),
            Err(error) => Err(error),
            Ok(()) => Ok(Baseline { seeds: seeds.to_vec(), losses }),
        }
    }

    /// Trains AdamW on one seed after the other, and adds its losses on each that is done.
    fn train_baseline(
        &self,
        seeds: &[u64],
        cancel: &CancelToken,
        losses: &mut Vec<Vec<Vec<f64>>>,
    ) -> Result<(), TaskError> {
        let adamw = programs::adamw().program();
        for seed in seeds {
            let mut of_seed = Vec::with_capacity(self.tasks.len());
            for weighted in &self.tasks {
                let WeightedTask { task, tuned, .. } = weighted;
                let missing = |reason: &str| TaskError::Description {
                    place: format!("suite {}, task {}", self.name, task.name()),
                    reason: reason.to_owned(),
                };
                if !tuned.iter().any(|t| t.program == BASELINE && !t.averages) {
                    return Err(missing("no tuned constants for adamw; `symopt tune` finds them"));
                }
                let mut losses = Vec::with_capacity(task.checkpoints());
                let run = task.run(
                    &weighted.candidate(&adamw, Some(BASELINE)),
                    *seed,
                    cancel,
                    &mut |checkpoint| {
                        losses.push(checkpoint.validation.loss);
                        Verdict::Continue
                    },
                )?;
                if run.or_failed(task.name())?.stop != StopReason::Completed {
                    let constants = match weighted.origin(BASELINE) {
                        Origin::Tuned { .. } | Origin::Stated => "its tuned constants",
                        Origin::Given => "the constants that were given for it",
                        Origin::Untuned => "its own defaults, which nobody has tuned for this task",
                    };
                    return Err(missing(&format!(
                        "AdamW diverges with {constants}; `symopt tune` finds better ones"
                    )));
                }
                if losses.last() == Some(&0.0) {
                    return Err(missing(
                        "AdamW's validation loss is 0, so that no other can be compared with it",
                    ));
                }
                of_seed.push(losses);
            }
            losses.push(of_seed);
        }
        Ok(())
    }

    /// The fitness of a program on all tasks and the seeds of a baseline, run as
    /// [`WeightedTask::candidate`] says. `watch` sees the number of each checkpoint of the suite
    /// and the running fitness there, and may stop the evaluation as hopeless.
    pub fn evaluate(
        &self,
        program: &Program,
        tuned_as: Option<&str>,
        baseline: &Baseline,
        cancel: &CancelToken,
        watch: &mut dyn FnMut(usize, f64) -> Verdict,
    ) -> Result<Outcome, TaskError> {
        let candidates: Vec<Candidate> =
            self.tasks.iter().map(|task| task.candidate(program, tuned_as)).collect();
        self.evaluate_as(&candidates, baseline, cancel, watch)
    }

    /// The same for a program with constants of its own for each task, in the order of the tasks.
    pub fn evaluate_as(
        &self,
        candidates: &[Candidate],
        baseline: &Baseline,
        cancel: &CancelToken,
        watch: &mut dyn FnMut(usize, f64) -> Verdict,
    ) -> Result<Outcome, TaskError> {
        let mut curve = Vec::with_capacity(self.checkpoints(baseline.seeds.len()));
        let mut results = Vec::new();
        let (mut sum, mut weights) = (0.0, 0.0);
        for (seed, losses) in baseline.seeds.iter().zip(&baseline.losses) {
            for ((weighted, losses), candidate) in self.tasks.iter().zip(losses).zip(candidates) {
                let WeightedTask { task, weight, .. } = weighted;
                let improvement_at = |checkpoint: usize, loss: f64| {
                    losses.get(checkpoint).map_or(0.0, |baseline| (baseline - loss) / baseline)
                };
                let mut checkpoint_of_run = 0;
                let run = task.run(candidate, *seed, cancel, &mut |checkpoint| {
                    let improvement = improvement_at(checkpoint_of_run, checkpoint.validation.loss);
                    checkpoint_of_run += 1;
                    let running = (sum + weight * improvement) / (weights + weight);
                    curve.push(running);
                    watch(curve.len() - 1, running)
                })?;
                let Some(metrics) = run.final_metrics() else {
                    let (fitness, failure) = match run.stop {
                        StopReason::Stopped { .. } => {
                            (Fitness::Hopeless { checkpoint: curve.len().saturating_sub(1) }, None)
                        }
                        StopReason::Failed(failure) => (Fitness::Failed, Some(failure)),
                        _ => (Fitness::Diverged, None),
                    };
                    return Ok(Outcome { fitness, curve, results, failure });
                };
                let last = task.checkpoints() - 1;
                let improvement = improvement_at(last, metrics.loss);
                let baseline_loss = losses.get(last).copied().unwrap_or(f64::NAN);
                results.push(TaskResult {
                    task: task.name().to_owned(),
                    seed: *seed,
                    metrics,
                    baseline_loss,
                    improvement,
                });
                sum += weight * improvement;
                weights += weight;
            }
        }
        let fitness = sum / weights;
        let fitness =
            if fitness.is_finite() { Fitness::Improvement(fitness) } else { Fitness::Diverged };
        Ok(Outcome { fitness, curve, results, failure: None })
    }
}

impl Outcome {
    /// The fitness on each seed by itself, for the spread. `None` unless the evaluation completed.
    pub fn by_seed(&self, suite: &Suite) -> Option<Vec<f64>> {
        self.fitness.improvement()?;
        let weights: f64 = suite.tasks.iter().map(|t| t.weight).sum();
        let runs = self.results.chunks(suite.tasks.len().max(1));
        Some(
            runs.map(|runs| {
                let sum: f64 = runs
                    .iter()
                    .zip(&suite.tasks)
                    .map(|(run, task)| task.weight * run.improvement)
                    .sum();
                sum / weights
            })
            .collect(),
        )
    }
}

/// Milliseconds of one run of tuned AdamW on one core: the median of three, after one that is not
/// counted; of costly tasks just one.
pub fn measure_cost(weighted: &WeightedTask, cancel: &CancelToken) -> Result<f64, TaskError> {
    /// Beside a run as long as this, what only the first run does is little.
    const COSTLY: f64 = 200.0;
    let adamw = programs::adamw().program();
    let candidate = weighted.candidate(&adamw, Some(BASELINE));
    // Its problem is made before the clock starts.
    weighted.task.describe()?;
    let run = || {
        let run = weighted
            .task
            .run(&candidate, 0, cancel, &mut |_| Verdict::Continue)?
            .or_failed(weighted.task.name())?;
        Ok::<f64, TaskError>(1e3 * run.elapsed.as_secs_f64())
    };
    let first = run()?;
    if first > COSTLY {
        return Ok(first);
    }
    let mut milliseconds = [run()?, run()?, run()?];
    milliseconds.sort_by(f64::total_cmp);
    Ok(milliseconds[1])
}
