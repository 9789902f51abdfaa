//! Cells of a study: a program on a task, tuned on the tuning seeds, then run on others.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;
use serde::Serialize;
use symopt_cancel::{CancelToken, Cancelled};
use symopt_proxy_tasks::error::TaskError;
use symopt_proxy_tasks::sample::{mean, standard_error};
use symopt_proxy_tasks::suite::{Suite, WeightedTask};
use symopt_proxy_tasks::task::{Candidate, Verdict};
use symopt_proxy_tasks::tuning::pattern_search::{self, End, Protocol};
use symopt_search::judge::size_on;

use super::journal::{Journal, RunKey, What};
use crate::error::StudyError;
use crate::landscape::Entry;
use crate::trials::Observe;

/// A task as a study has it, at one of its sizes.
pub(crate) struct SizedTask {
    /// The task of the suite.
    pub base: String,
    /// Place on the axes of the study: numbers.
    pub at: Vec<f64>,
    /// The task.
    pub weighted: WeightedTask,
}

/// Peak learning rates and weight decays that are all tried.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plane {
    /// Peak learning rates.
    pub peak_lr: Vec<f64>,
    /// Weight decays.
    pub weight_decay: Vec<f64>,
    /// Tuning seeds that judge a pair.
    pub seeds: usize,
}

/// How the best setting of a cell is found.
#[derive(Clone, Copy)]
pub(crate) enum How<'a> {
    /// By a pattern search.
    Pattern(&'a Protocol),
    /// All pairs of a plane.
    Plane(&'a Plane),
}

/// A program on a task.
pub(crate) struct Cell<'a> {
    pub task: &'a SizedTask,
    pub program: &'a Entry,
    /// Hyperparameters that the study sets, whatever else is tuned.
    pub fixed: Vec<(String, f64)>,
}

/// A setting that was tried.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Trial {
    pub peak_lr: f64,
    /// Hyperparameters that differ from the defaults, the cell's own included.
    pub hyperparameters: Vec<(String, f64)>,
    /// Mean final validation loss over the tuning seeds; `None` if a run diverged.
    pub loss: Option<f64>,
    /// The loss on each tuning seed; empty where only the mean is known.
    pub by_seed: Vec<Option<f64>>,
}

impl Trial {
    pub fn weight_decay(&self) -> f64 {
        self.hyperparameters
            .iter()
            .find(|(name, _)| name == WEIGHT_DECAY)
            .map_or(0.0, |(_, value)| *value)
    }
}

/// Result of a cell.
pub(crate) struct Measured {
    /// The settings that were tried.
    pub trials: Vec<Trial>,
    /// The best one; `None` if all diverge.
    pub best: Option<Trial>,
    /// Training runs of the tuning, those left out after a divergence included.
    pub tuning_runs: usize,
    /// Whether the tuning ended since no neighbour was better, and not with its budget.
    pub converged: bool,
    /// The loss of the best setting on each reporting seed; `None` where it diverged, empty where
    /// there is no best setting.
    pub losses: Vec<Option<f64>>,
}

impl Measured {
    /// The losses on the reporting seeds, if none diverged.
    pub fn finite(&self) -> Option<Vec<f64>> {
        let losses: Option<Vec<f64>> = self.losses.iter().copied().collect();
        losses.filter(|losses| !losses.is_empty())
    }

    /// The mean loss on the reporting seeds.
    pub fn loss(&self) -> Option<f64> {
        self.finite().map(|losses| mean(&losses))
    }

    /// Its standard error.
    pub fn error(&self) -> Option<f64> {
        self.finite().and_then(|losses| standard_error(&losses))
    }

    /// The share of another's loss that it saves, seed by seed.
    pub fn gains_over(&self, other: &Measured) -> Option<Vec<f64>> {
        let (own, other) = (self.finite()?, other.finite()?);
        Some(own.iter().zip(&other).map(|(own, other)| (other - own) / other).collect())
    }

    /// Settings of the tuning that diverged.
    pub fn diverged_settings(&self) -> usize {
        self.trials.iter().filter(|trial| trial.loss.is_none()).count()
    }

    /// Reporting seeds on which the best setting diverged.
    pub fn diverged_seeds(&self) -> usize {
        self.losses.iter().filter(|loss| loss.is_none()).count()
    }
}

/// The name of the hyperparameter that decays weights.
pub(crate) const WEIGHT_DECAY: &str = "weight_decay";

/// Makes the runs of a study, those that are kept but once.
pub(crate) struct Runner<'a> {
    pub journal: &'a Journal,
    pub cancel: &'a CancelToken,
    observe: Observe<'a>,
    done: AtomicUsize,
    total: usize,
    /// Why a run could not be kept.
    failed: Mutex<Option<StudyError>>,
}

/// Why a run has no result, on its way out of a tuning.
enum Halt {
    /// The run failed, or was cancelled.
    Task(TaskError),
    /// It was made and could not be kept.
    NotKept(StudyError),
}

impl From<StudyError> for Halt {
    fn from(error: StudyError) -> Halt {
        Halt::NotKept(error)
    }
}

impl<'a> Runner<'a> {
    pub fn new(
        journal: &'a Journal,
        cancel: &'a CancelToken,
        observe: Observe<'a>,
        total: usize,
    ) -> Runner<'a> {
        observe(0, total);
        Runner {
            journal,
            cancel,
            observe,
            done: AtomicUsize::new(0),
            total,
            failed: Mutex::default(),
        }
    }

    /// Counts runs.
    pub fn add(&self, runs: usize) {
        let done = self.done.fetch_add(runs, Ordering::Relaxed) + runs;
        (self.observe)(done.min(self.total), self.total);
    }

    /// Tunes all cells, and runs what is best in each on the reporting seeds, which no tuning sees.
    /// In the order of the cells, on any number of threads the same.
    pub fn measure(
        &self,
        cells: &[Cell],
        how: How,
        seeds: usize,
    ) -> Result<Vec<Measured>, StudyError> {
        self.measured(cells, how, seeds).map_err(|error| {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.take().unwrap_or(error)
        })
    }

    fn measured(
        &self,
        cells: &[Cell],
        how: How,
        seeds: usize,
    ) -> Result<Vec<Measured>, StudyError> {
        // All tuning before the reporting seeds: a task keeps the data of a few dozen seeds at most.
        let tuned: Vec<Result<Measured, StudyError>> =
            cells.par_iter().map(|cell| self.tune(cell, how)).collect();
        let mut measured = tuned.into_iter().collect::<Result<Vec<Measured>, StudyError>>()?;
        let seeds = Suite::held_out_seeds(seeds);
        let losses: Vec<Result<Vec<Option<f64>>, StudyError>> = cells
            .par_iter()
            .zip(&measured)
            .map(|(cell, measured)| {
                let Some(best) = &measured.best else {
                    self.add(seeds.len());
                    return Ok(Vec::new());
                };
                let run = |seed: &u64| {
                    let loss = self.loss(cell, best.peak_lr, &best.hyperparameters, *seed, false);
                    self.add(1);
                    loss.map_err(StudyError::from)
                };
                seeds.par_iter().map(run).collect::<Vec<_>>().into_iter().collect()
            })
            .collect();
        for (measured, losses) in measured.iter_mut().zip(losses) {
            measured.losses = losses?;
        }
        Ok(measured)
    }

    fn tune(&self, cell: &Cell, how: How) -> Result<Measured, StudyError> {
        let program = &cell.program.program;
        // One that is not finite on the task's gradients diverges in whatever units.
        let size = if cell.program.is_direction {
            size_on(&cell.task.weighted, program, self.cancel)?.unwrap_or(1.0)
        } else {
            1.0
        };
        let protocol = match how {
            How::Plane(plane) => return self.try_plane(cell, plane, size),
            How::Pattern(protocol) => protocol,
        };
        let loss = |candidate: &Candidate, seed: u64, is_first: bool| {
            let hyperparameters = with_fixed(candidate.hyperparameters, &cell.fixed);
            self.loss(cell, candidate.peak_lr, &hyperparameters, seed, is_first)
        };
        let used = |runs: usize| self.add(runs);
        let tuning = pattern_search::search_by(&loss, program, size, protocol, self.cancel, &used)?;
        // A part of a tuning is no fair one.
        if tuning.end == End::Cancelled {
            return Err(Cancelled::default().into());
        }
        self.add((protocol.points() * protocol.seeds).saturating_sub(tuning.runs));
        let trials: Vec<Trial> = tuning
            .trials
            .iter()
            .map(|trial| Trial {
                peak_lr: trial.peak_lr,
                hyperparameters: with_fixed(&trial.hyperparameters, &cell.fixed),
                loss: trial.loss,
                by_seed: Vec::new(),
            })
            .collect();
        Ok(Measured {
            best: tuning.best.and_then(|best| trials.get(best)).cloned(),
            trials,
            tuning_runs: tuning.runs,
            converged: tuning.end == End::Converged,
            losses: Vec::new(),
        })
    }

    /// All pairs of a plane; of a program without a learning rate or without a decay what is left.
    fn try_plane(&self, cell: &Cell, plane: &Plane, size: f64) -> Result<Measured, StudyError> {
        let (rates, decays) = axes(cell.program, plane);
        let seeds = Suite::tuning_seeds(plane.seeds.max(1));
        let pairs: Vec<(f64, Option<f64>)> =
            decays.iter().flat_map(|decay| rates.iter().map(move |rate| (*rate, *decay))).collect();
        let try_pair = |(number, pair): (usize, &(f64, Option<f64>))| -> Result<Trial, StudyError> {
            let (rate, decay) = *pair;
            let decay = decay.map(|decay| (WEIGHT_DECAY.to_owned(), decay * size));
            let hyperparameters = with_fixed(decay.as_slice(), &cell.fixed);
            let peak_lr = rate / size;
            let run = |(place, seed): (usize, &u64)| {
                let is_first = number + place == 0;
                let loss = self.loss(cell, peak_lr, &hyperparameters, *seed, is_first);
                self.add(1);
                loss.map_err(StudyError::from)
            };
            let by_seed: Vec<Option<f64>> =
                seeds.iter().enumerate().map(run).collect::<Result<_, _>>()?;
            let losses: Option<Vec<f64>> = by_seed.iter().copied().collect();
            let loss = losses.map(|losses| mean(&losses));
            Ok(Trial { peak_lr, hyperparameters, loss, by_seed })
        };
        let trials: Vec<Result<Trial, StudyError>> =
            pairs.par_iter().enumerate().map(try_pair).collect();
        let trials: Vec<Trial> = trials.into_iter().collect::<Result<_, _>>()?;
        let best = trials
            .iter()
            .filter_map(|trial| Some((trial, trial.loss?)))
            .min_by(|(_, a), (_, b)| a.total_cmp(b))
            .map(|(trial, _)| trial.clone());
        let all = plane.peak_lr.len() * plane.weight_decay.len();
        self.add((all - pairs.len().min(all)) * seeds.len());
        Ok(Measured {
            best,
            tuning_runs: pairs.len() * seeds.len(),
            converged: true,
            trials,
            losses: Vec::new(),
        })
    }

    /// The final loss of a run; `None` if it diverged.
    fn loss(
        &self,
        cell: &Cell,
        peak_lr: f64,
        hyperparameters: &[(String, f64)],
        seed: u64,
        is_first: bool,
    ) -> Result<Option<f64>, TaskError> {
        let task = cell.task.weighted.task.as_ref();
        let key = RunKey {
            what: What::Loss,
            task: task.name().to_owned(),
            program: cell.program.name.clone(),
            peak_lr,
            hyperparameters: hyperparameters.to_vec(),
            seed,
        };
        let candidate = Candidate { program: &cell.program.program, peak_lr, hyperparameters };
        let made = self.journal.value(&key, || -> Result<Option<f64>, Halt> {
            let run = task.run(&candidate, seed, self.cancel, &mut |_| Verdict::Continue);
            let run = run.map_err(Halt::Task)?;
            // A command that fails at the first try will hardly do better at the next.
            let run = if is_first { run.or_failed(task.name()).map_err(Halt::Task)? } else { run };
            Ok(run.final_metrics().map(|metrics| metrics.loss))
        });
        made.map_err(|halt| match halt {
            Halt::Task(error) => error,
            Halt::NotKept(error) => {
                // A tuning knows errors of tasks alone, so it is cancelled; the first reason is kept.
                let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
                failed.get_or_insert(error);
                Cancelled::default().into()
            }
        })
    }
}

/// The axes of a plane that a program has: learning rates, and decays with `None` for one that has
/// none.
pub(crate) fn axes(program: &Entry, plane: &Plane) -> (Vec<f64>, Vec<Option<f64>>) {
    let signature = program.program.signature();
    let rates = if signature.learning_rate().is_some() { plane.peak_lr.clone() } else { vec![1.0] };
    let has_decay =
        signature.hyperparameters().any(|(_, parameter)| parameter.name == WEIGHT_DECAY);
    let decays =
        if has_decay { plane.weight_decay.iter().copied().map(Some).collect() } else { vec![None] };
    (rates, decays)
}

fn with_fixed(tuned: &[(String, f64)], fixed: &[(String, f64)]) -> Vec<(String, f64)> {
    let others = tuned.iter().filter(|(name, _)| fixed.iter().all(|(other, _)| other != name));
    others.chain(fixed).cloned().collect()
}
