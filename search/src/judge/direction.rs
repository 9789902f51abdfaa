//! The judge of directions: each at its own best peak learning rate and weight decay.

use std::sync::Arc;

use symopt_cancel::CancelToken;
use symopt_dsl::Program;
use symopt_proxy_tasks::error::TaskError;
use symopt_proxy_tasks::sample::standard_error;
use symopt_proxy_tasks::suite::{Baseline, Fitness, Suite};
use symopt_proxy_tasks::task::{Candidate, Verdict};

use super::judgement::{self, Bench};
use super::probe::Prober;
use super::{Baselines, Judge, PerEpoch, Probe, Request, finite};
use crate::config::{CacheKey, FitnessConfig, Screen, SearchConfig};
use crate::judge::evaluation::Evaluation;
use crate::judge::form::{WEIGHT_DECAY, complete};
use crate::judge::inner_tuning::{START, Setting, Tuning};

/// Checkpoints of an evaluation: at the start, after the coarse tuning, on the first half of the
/// judging seeds, in the end.
const CHECKPOINTS: usize = 4;

/// Lengths of the steps of the tuning, in halves.
const COARSE: i16 = 2;
const FINE: i16 = 1;

/// The judge of directions.
pub struct DirectionJudge {
    suite: Arc<Suite>,
    config: FitnessConfig,
    search: u64,
    prober: Prober,
    epochs: PerEpoch<Epoch>,
    kept: Baselines,
}

/// The seeds of an epoch, with tuned AdamW's losses on them.
struct Epoch {
    tuning: Vec<u64>,
    judging: Vec<u64>,
    baseline: Baseline,
}

impl Epoch {
    fn baseline(&self, seed: usize, task: usize) -> f64 {
        self.baseline.final_loss(seed, task).unwrap_or(f64::NAN)
    }
}

/// A direction that is ready to be trained.
struct Ready {
    program: Program,
    probe: Probe,
}

impl DirectionJudge {
    /// Records the gradients for the probes. The suite must have constants for AdamW.
    pub fn new(
        suite: Arc<Suite>,
        config: &SearchConfig,
        cancel: &CancelToken,
    ) -> Result<DirectionJudge, TaskError> {
        DirectionJudge::with_baselines(suite, config, Baselines::default(), cancel)
    }

    pub(super) fn with_baselines(
        suite: Arc<Suite>,
        config: &SearchConfig,
        kept: Baselines,
        cancel: &CancelToken,
    ) -> Result<DirectionJudge, TaskError> {
        let prober = Prober::new(&suite, &config.fitness.screens, cancel)?;
        let looks = config.cache.key == CacheKey::Probe
            || config.fitness.screens.iter().any(|screen| *screen != Screen::Steady);
        if looks && !prober.has_recordings() {
            return Err(TaskError::Description {
                place: format!("suite {}", suite.name),
                reason: "no task of it has gradients that can be recorded, which cache.key = \"probe\" and the screens \"odd\" and \"invariant\" \
                         look at; leave these settings out"
                    .to_owned(),
            });
        }
        let judge = DirectionJudge {
            suite,
            config: config.fitness.clone(),
            search: config.seed,
            prober,
            epochs: PerEpoch::new(),
            kept,
        };
        judge.epoch(judge.kept.first(), cancel)?;
        Ok(judge)
    }

    fn epoch(&self, epoch: u64, cancel: &CancelToken) -> Result<Arc<Epoch>, TaskError> {
        self.epochs.of(epoch, || {
            let (tuning, judging) = (self.config.tuning_seeds, self.config.seeds);
            let mut seeds = Suite::rotating_seeds(self.search, epoch, tuning + judging);
            let baseline = self.kept.of(epoch, &self.suite, &seeds, cancel)?;
            let judging = seeds.split_off(tuning);
            Ok(Epoch { tuning: seeds, judging, baseline })
        })
    }

    /// The loss at the end on a task; infinite if the run diverges.
    fn loss(
        &self,
        ready: &Ready,
        task: usize,
        setting: Setting,
        seed: u64,
        cancel: &CancelToken,
    ) -> Result<f64, TaskError> {
        let rms = ready.probe.rms.get(task).copied().unwrap_or(1.0);
        let hyperparameters = [(WEIGHT_DECAY.to_owned(), setting.weight_decay(rms))];
        let candidate = Candidate {
            program: &ready.program,
            peak_lr: setting.peak_lr(rms),
            hyperparameters: &hyperparameters,
        };
        let task = &self.suite.tasks[task].task;
        let run = task.run(&candidate, seed, cancel, &mut |_| Verdict::Continue)?;
        let run = run.or_failed(task.name())?;
        Ok(run.final_metrics().map_or(f64::INFINITY, |metrics| metrics.loss))
    }

    /// The mean over the tasks, by their weights.
    fn mean(&self, of_task: impl Fn(usize) -> f64) -> f64 {
        let weights = self.suite.tasks.iter().map(|task| task.weight);
        let sum: f64 =
            weights.clone().enumerate().map(|(task, weight)| weight * of_task(task)).sum();
        sum / weights.sum::<f64>()
    }
}

impl DirectionJudge {
    /// The fitness of a direction on each judging seed of an epoch, at its own best settings;
    /// `None` if it can't be trained, or diverges.
    pub fn scores(
        &self,
        program: &Program,
        epoch: u64,
        cancel: &CancelToken,
    ) -> Result<Option<Scores>, TaskError> {
        let request = Request { epoch, ..Request::new(program) };
        let evaluation = self.evaluate(&request, cancel, &mut |_, _| Verdict::Continue)?;
        Ok(match evaluation.0.fitness {
            Fitness::Improvement(_) => {
                Some(Scores { by_seed: evaluation.1, settings: evaluation.0.settings })
            }
            _ => None,
        })
    }
}

/// How a direction does.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
#[non_exhaustive]
pub struct Scores {
    /// The fitness on each judging seed.
    pub by_seed: Vec<f64>,
    /// Where the direction does best on each task.
    pub settings: Arc<[Setting]>,
}

impl Judge for DirectionJudge {
    fn is_repeatable(&self) -> bool {
        !self.suite.is_external()
    }

    fn new_baselines(&self) -> Vec<(u64, Baseline)> {
        self.kept.take_new()
    }

    fn checkpoints(&self) -> usize {
        CHECKPOINTS
    }

    fn judge(
        &self,
        request: &Request,
        cancel: &CancelToken,
        watch: &mut dyn FnMut(usize, f64) -> Verdict,
    ) -> Result<Evaluation, TaskError> {
        // A baseline that fails is no failure of the program.
        self.epoch(request.epoch, cancel)?;
        match self.evaluate(request, cancel, watch) {
            Ok((evaluation, _)) => Ok(evaluation),
            // At whatever setting: what the others gave is no longer the best.
            Err(TaskError::Failed { failure, .. }) => {
                Ok(Evaluation::failed(failure, Arc::from([])))
            }
            Err(error) => Err(error),
        }
    }

    fn probe(&self, program: &Program) -> Option<Probe> {
        complete(program).map(|complete| self.prober.probe(&complete))
    }
}

impl DirectionJudge {
    /// Returns everything that others need to judge as this judge does in an epoch.
    fn bench(&self, epoch: u64, cancel: &CancelToken) -> Result<Bench, TaskError> {
        Ok(Bench {
            fitness: self.config.clone(),
            search: Some(self.search),
            seeds: self.suite.seeds.clone(),
            epoch,
            baseline: self.epoch(epoch, cancel)?.baseline.clone(),
        })
    }

    /// An evaluation, with the fitness on each judging seed.
    pub(super) fn evaluate(
        &self,
        request: &Request,
        cancel: &CancelToken,
        watch: &mut dyn FnMut(usize, f64) -> Verdict,
    ) -> Result<(Evaluation, Vec<f64>), TaskError> {
        // The probes alone take time.
        cancel.check()?;
        if let Some(elsewhere) = &self.suite.elsewhere {
            let bench = self.bench(request.epoch, cancel)?;
            return judgement::judge(elsewhere, bench, request, cancel, watch);
        }
        let mut curve = Vec::with_capacity(CHECKPOINTS);
        let ended =
            |fitness, curve: Vec<f64>| Ok((Evaluation::new(fitness, curve.into()), Vec::new()));
        let Some(program) = complete(request.program) else {
            return ended(Fitness::Screened, curve);
        };
        let probe = self.prober.probe(&program);
        if probe.rejected.is_some() {
            return ended(Fitness::Screened, curve);
        }
        let ready = Ready { program, probe };
        let epoch = self.epoch(request.epoch, cancel)?;
        let tasks = self.suite.tasks.len();
        let (tuning_seeds, judging_seeds) = (epoch.tuning.len(), epoch.judging.len());
        let start = |task: usize| request.start.get(task).copied().unwrap_or(START);
        let mut tunings: Vec<_> = (0..tasks)
            .map(|task| {
                let (ready, epoch) = (&ready, &epoch);
                Tuning::new(start(task), tuning_seeds, move |setting, seed| {
                    self.loss(ready, task, setting, epoch.tuning[seed], cancel)
                })
            })
            .collect();
        let improvement = |loss: f64, seeds: std::ops::Range<usize>, task: usize| {
            let count = seeds.len() as f64;
            let baseline = seeds.map(|seed| epoch.baseline(seed, task)).sum::<f64>() / count;
            (baseline - loss) / baseline
        };
        let mut checkpoint = |running: f64, curve: &mut Vec<f64>| {
            let running = finite(running);
            curve.push(running);
            watch(curve.len() - 1, running) == Verdict::Stop
        };
        let hopeless = |curve: Vec<f64>| {
            let checkpoint = curve.len().saturating_sub(1);
            let diverged = curve.last().is_some_and(|running| *running == f64::MIN);
            ended(
                if diverged { Fitness::Diverged } else { Fitness::Hopeless { checkpoint } },
                curve,
            )
        };

        // A program that nobody has a setting for is looked for further around.
        let steps: &[&[i16]] = if request.start.is_empty() {
            &[&[], &[2 * COARSE, COARSE]]
        } else {
            &[&[], &[COARSE]]
        };
        for steps in steps {
            let count = if steps.is_empty() { tuning_seeds.div_ceil(2) } else { tuning_seeds };
            let mut losses = Vec::with_capacity(tasks);
            for tuning in &mut tunings {
                for by in *steps {
                    tuning.search(*by)?;
                }
                losses.push(tuning.mean(tuning.best, count)?);
            }
            if checkpoint(self.mean(|task| improvement(losses[task], 0..count, task)), &mut curve) {
                return hopeless(curve);
            }
        }
        if self.config.screens.contains(&Screen::Steady) && !self.prober.is_steady(&ready.program) {
            return ended(Fitness::Screened, curve);
        }
        let mut settings = Vec::with_capacity(tasks);
        for tuning in &mut tunings {
            tuning.search(FINE)?;
            settings.push(tuning.best);
        }
        drop(tunings);
        let mut by_seed = Vec::with_capacity(judging_seeds);
        for (i, seed) in epoch.judging.iter().enumerate() {
            let mut losses = Vec::with_capacity(tasks);
            for (task, setting) in settings.iter().enumerate() {
                losses.push(self.loss(&ready, task, *setting, *seed, cancel)?);
            }
            let of_seed = |task: usize| {
                let baseline = epoch.baseline(tuning_seeds + i, task);
                (baseline - losses[task]) / baseline
            };
            by_seed.push(self.mean(of_seed));
            let done = i + 1;
            let mean = by_seed.iter().sum::<f64>() / done as f64;
            if !mean.is_finite() {
                return ended(Fitness::Diverged, curve);
            }
            if done < judging_seeds
                && done == judging_seeds.div_ceil(2)
                && checkpoint(mean, &mut curve)
            {
                return hopeless(curve);
            }
        }
        let fitness = by_seed.iter().sum::<f64>() / by_seed.len() as f64;
        curve.resize(CHECKPOINTS, fitness);
        let evaluation = Evaluation {
            fitness: Fitness::Improvement(fitness),
            curve: curve.into(),
            standard_error: standard_error(&by_seed).unwrap_or(0.0),
            seeds: judging_seeds as u32,
            settings: settings.into(),
            failure: None,
        };
        Ok((evaluation, by_seed))
    }
}
