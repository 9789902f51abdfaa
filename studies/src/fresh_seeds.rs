//! Programs on seeds that no search has seen, against AdamW on the same seeds.
//!
//! A [direction](symopt_search::judge::form) is run on each task with the peak learning rate and
//! the weight decay that the inner tuning of [`DirectionJudge`] finds there. A program that holds
//! its learning rate as a constant, which was found on other tasks, is run with its update
//! multiplied by a factor for each task, which [`Trials::tune`] finds; or as it stands, where a
//! search would go on with it as it stands. The seeds of the tuning are other ones than those of
//! the judging, and both depend on what the judging is for, so that what was chosen on some seeds
//! is reported on others.
//!
//! Results do not depend on the number of threads: a run depends on nothing but the program, the
//! task and the seed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use symopt_cancel::CancelToken;
use symopt_dsl::Program;
use symopt_proxy_tasks::error::TaskError;
use symopt_proxy_tasks::run::{Checkpoint, Run};
use symopt_proxy_tasks::sample::{Criterion, Difference, Gain};
use symopt_proxy_tasks::suite::{BASELINE, Suite, WeightedTask};
use symopt_proxy_tasks::task::{Candidate, Recording, Task, TaskDescription, Verdict};
use symopt_search::config::{FitnessConfig, Form, SearchConfig};
use symopt_search::judge::form::{WEIGHT_DECAY, complete};
use symopt_search::judge::inner_tuning::{Setting, median};
use symopt_search::judge::purpose::Purpose;
use symopt_search::judge::{DirectionJudge, Judge, Request};

use crate::error::{StudyError, pool};
use crate::trials::{Trials, with_factor};

/// How programs are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Protocol {
    /// Purpose of the judgement.
    pub purpose: Purpose,
    /// Seeds that judge.
    pub seeds: usize,
    /// Other seeds, which a program is tuned on.
    pub tuning_seeds: usize,
    /// Whether programs that are no directions get a factor for each task; otherwise they run as
    /// they stand.
    pub scaled: bool,
}

/// A program to judge.
#[derive(Clone, Debug, PartialEq)]
pub struct Entrant {
    /// Form of the program.
    pub form: Form,
    /// The program; a direction without what stands outside.
    pub program: Program,
    /// Where the tuning of a direction starts; `None` if nothing is known.
    pub start: Option<Setting>,
}

/// How a program was run on a task.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tuned {
    /// A direction.
    Direction {
        /// In the coordinates of the tuning.
        setting: Setting,
        /// Peak learning rate.
        peak_lr: f64,
        /// Decoupled weight decay.
        weight_decay: f64,
    },
    /// A direction that can't be run, or diverges on the task wherever it was tried.
    Untrainable,
    /// A program with its update multiplied by this.
    Factor(f64),
}

/// A program's gain on a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TaskGain {
    /// The task.
    pub task: String,
    /// The gain; `None` if the program diverged on any seed.
    pub gain: Option<Gain>,
    /// How it was run.
    pub tuned: Tuned,
}

/// How a program did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[must_use]
pub struct Judged {
    /// The gain over AdamW, paired over the seeds; `None` if the program diverged on any.
    pub gain: Option<Gain>,
    /// Seeds.
    pub seeds: usize,
    /// For each task.
    pub tasks: Vec<TaskGain>,
}

impl Judged {
    /// Whether the program beats AdamW: its mean gain is above 0, and so is, at a confidence, the
    /// one-sided lower bound by Student's distribution. A confidence of 0.5 asks for the mean
    /// alone.
    pub fn beats_baseline(&self, confidence: f64) -> bool {
        self.gain.is_some_and(|gain| {
            let difference = Difference {
                mean: gain.mean,
                standard_error: gain.standard_error,
                seeds: self.seeds,
            };
            gain.mean > 0.0 && difference.passes(Criterion { tolerance: 0.0, confidence })
        })
    }

    /// Where a direction did best, for its next tuning: the median over the tasks.
    pub fn setting(&self) -> Option<Setting> {
        let settings = self.tasks.iter().filter_map(|task| match task.tuned {
            Tuned::Direction { setting, .. } => Some(setting),
            _ => None,
        });
        median(&settings.collect::<Vec<_>>())
    }

    /// By gain, what diverged last; for sorting with the best first.
    pub fn better_first(&self, other: &Judged) -> std::cmp::Ordering {
        let mean = |judged: &Judged| judged.gain.map_or(f64::NEG_INFINITY, |gain| gain.mean);
        mean(other).total_cmp(&mean(self))
    }
}

/// How the judging stands.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Progress {
    /// Programs judged.
    pub done: usize,
    /// Programs to judge.
    pub total: usize,
    /// Training runs so far.
    pub runs: u64,
}

/// Refuses a suite that gains can't be measured on, before anything is trained.
pub fn check_suite(suite: &Suite) -> Result<(), TaskError> {
    match suite.tasks.iter().find(|task| task.constants(BASELINE, false).is_none()) {
        None => Ok(()),
        Some(task) => Err(TaskError::Description {
            place: format!("suite {}, task {}", suite.name, task.task.name()),
            reason: "no tuned constants for adamw, so there is nothing to compare with; `symopt tune` finds them".to_owned(),
        }),
    }
}

/// A judging that is set up for a suite: AdamW's losses are known.
pub struct Judging<'a> {
    protocol: Protocol,
    cancel: CancelToken,
    observe: &'a (dyn Fn(Progress) + Sync),
    pool: rayon::ThreadPool,
    threads: usize,
    /// A suite for each task, so that tasks are tuned side by side.
    suites: Vec<Arc<Suite>>,
    weights: Vec<f64>,
    tuning_seeds: Vec<u64>,
    seeds: Vec<u64>,
    /// AdamW's loss by task and seed.
    baseline: Vec<Vec<f64>>,
    runs: Arc<AtomicU64>,
}

impl<'a> Judging<'a> {
    /// Trains AdamW. `observe` is called from all threads.
    pub fn new(
        suite: &Arc<Suite>,
        protocol: Protocol,
        threads: usize,
        cancel: &CancelToken,
        observe: &'a (dyn Fn(Progress) + Sync),
    ) -> Result<Judging<'a>, StudyError> {
        check_suite(suite)?;
        let threads = threads.max(1);
        let pool = pool(threads)?;
        let runs = Arc::new(AtomicU64::new(0));
        let of_task = |task: usize| {
            let part = Part { suite: Arc::clone(suite), task, runs: Arc::clone(&runs) };
            let whole = &suite.tasks[task];
            let task =
                WeightedTask { task: Box::new(part), weight: 1.0, tuned: whole.tuned.clone() };
            Arc::new(Suite {
                name: suite.name.clone(),
                tasks: vec![task],
                seeds: suite.seeds.clone(),
                elsewhere: None,
            })
        };
        // The judge of directions judges on one more seed, which nothing here looks at.
        let mut tuning_seeds = Suite::rotating_seeds(
            protocol.purpose.search(),
            0,
            protocol.tuning_seeds + 1 + protocol.seeds,
        );
        let seeds = tuning_seeds.split_off(protocol.tuning_seeds + 1);
        tuning_seeds.truncate(protocol.tuning_seeds);
        let mut judging = Judging {
            protocol,
            cancel: cancel.clone(),
            observe,
            pool,
            threads,
            suites: (0..suite.tasks.len()).map(of_task).collect(),
            weights: suite.tasks.iter().map(|task| task.weight).collect(),
            tuning_seeds,
            seeds,
            baseline: Vec::new(),
            runs,
        };
        judging.baseline = judging.train_baseline(0)?;
        Ok(judging)
    }

    fn train_baseline(&self, total: usize) -> Result<Vec<Vec<f64>>, StudyError> {
        let jobs: Vec<(usize, u64)> = (0..self.suites.len())
            .flat_map(|task| self.seeds.iter().map(move |seed| (task, *seed)))
            .collect();
        let train = |(task, seed): &(usize, u64)| {
            let baseline = self.suites[*task].baseline(&[*seed], &self.cancel)?;
            self.tell(0, total);
            Ok(baseline.final_loss(0, 0).unwrap_or(f64::NAN))
        };
        let losses: Vec<Result<f64, StudyError>> =
            self.pool.install(|| jobs.par_iter().map(train).collect());
        let losses: Vec<f64> = losses.into_iter().collect::<Result<_, _>>()?;
        Ok(losses.chunks(self.seeds.len().max(1)).map(<[f64]>::to_vec).collect())
    }

    /// Judges programs. `done` is told about each as it ends, from all threads, with its place.
    pub fn judge(
        &self,
        entrants: &[Entrant],
        done: &(dyn Fn(usize, &Judged) + Sync),
    ) -> Result<Vec<Judged>, StudyError> {
        let count = AtomicU64::new(0);
        let total = entrants.len();
        let so_far = || count.load(Ordering::Relaxed) as usize;
        let ended = |place: usize, judged: &Judged| {
            done(place, judged);
            count.fetch_add(1, Ordering::Relaxed);
            self.tell(so_far(), total);
        };
        let tell = || self.tell(so_far(), total);
        let is_direction = |entrant: &&Entrant| entrant.form == Form::Direction;

        let judges: Vec<DirectionJudge> = if entrants.iter().any(|entrant| is_direction(&entrant)) {
            let new = |suite: &Arc<Suite>| {
                let config = self.direction_config();
                Ok(DirectionJudge::new(Arc::clone(suite), &config, &self.cancel)?)
            };
            let judges: Vec<Result<_, StudyError>> =
                self.pool.install(|| self.suites.par_iter().map(new).collect());
            judges.into_iter().collect::<Result<_, _>>()?
        } else {
            Vec::new()
        };
        // The tuning of a direction goes step by step, so several go side by side.
        let direct = |(place, entrant): (usize, &Entrant)| {
            if entrant.form != Form::Direction {
                return Ok(None);
            }
            let tuned: Vec<Result<Tuned, StudyError>> =
                judges.par_iter().map(|judge| self.tune_direction(judge, entrant, &tell)).collect();
            let judged =
                self.judge_tuned(entrant, tuned.into_iter().collect::<Result<_, _>>()?, &tell)?;
            ended(place, &judged);
            Ok(Some(judged))
        };
        let judged: Vec<Result<Option<Judged>, StudyError>> =
            self.pool.install(|| entrants.par_iter().enumerate().map(direct).collect());
        let mut judged = judged.into_iter().collect::<Result<Vec<_>, _>>()?;

        // That of a whole program tries several factors and seeds at once.
        let observe = |_: usize, _: usize| tell();
        let mut trials: Vec<Trials> = Vec::new();
        if self.protocol.scaled && entrants.iter().any(|entrant| !is_direction(&entrant)) {
            for suite in &self.suites {
                trials.push(Trials::new(
                    suite,
                    None,
                    &self.tuning_seeds,
                    Criterion::default(),
                    self.threads,
                    &self.cancel,
                    &observe,
                )?);
            }
        }
        for (place, entrant) in
            entrants.iter().enumerate().filter(|(_, entrant)| !is_direction(entrant))
        {
            let mut tuned = vec![Tuned::Factor(1.0); self.suites.len()];
            for (trials, tuned) in trials.iter_mut().zip(&mut tuned) {
                trials.tune(&entrant.program)?;
                *tuned = Tuned::Factor(trials.factors().first().map_or(1.0, |(_, factor)| *factor));
            }
            let result = self.pool.install(|| self.judge_tuned(entrant, tuned, &tell))?;
            ended(place, &result);
            judged[place] = Some(result);
        }
        Ok(judged.into_iter().flatten().collect())
    }

    fn direction_config(&self) -> SearchConfig {
        let fitness = FitnessConfig {
            form: Form::Direction,
            seeds: 1,
            tuning_seeds: self.protocol.tuning_seeds,
            screens: Vec::new(),
            ..FitnessConfig::default()
        };
        SearchConfig { seed: self.protocol.purpose.search(), fitness, ..SearchConfig::default() }
    }

    fn tune_direction(
        &self,
        judge: &DirectionJudge,
        entrant: &Entrant,
        tell: &dyn Fn(),
    ) -> Result<Tuned, StudyError> {
        let judge_from = |start: &[Setting]| {
            let request = Request { start, ..Request::new(&entrant.program) };
            judge.judge(&request, &self.cancel, &mut |_, _| {
                tell();
                Verdict::Continue
            })
        };
        let start: Vec<Setting> = entrant.start.into_iter().collect();
        let mut evaluation = judge_from(&start)?;
        if evaluation.settings.is_empty() && !start.is_empty() {
            // A setting that suits one suite may diverge on another one, and so may all around it.
            evaluation = judge_from(&[])?;
        }
        let rms = judge.probe(&entrant.program).and_then(|probe| probe.rms.first().copied());
        Ok(match (evaluation.settings.first(), rms) {
            (Some(setting), Some(rms)) => Tuned::Direction {
                setting: *setting,
                peak_lr: setting.peak_lr(rms),
                weight_decay: setting.weight_decay(rms),
            },
            _ => Tuned::Untrainable,
        })
    }

    fn judge_tuned(
        &self,
        entrant: &Entrant,
        tuned: Vec<Tuned>,
        tell: &(dyn Fn() + Sync),
    ) -> Result<Judged, StudyError> {
        let complete = complete(&entrant.program);
        let jobs: Vec<(usize, usize)> = (0..tuned.len())
            .flat_map(|task| (0..self.seeds.len()).map(move |seed| (task, seed)))
            .collect();
        let train = |&(task, seed): &(usize, usize)| {
            let run = |candidate: &Candidate| {
                let task = &self.suites[task].tasks[0].task;
                task.run(candidate, self.seeds[seed], &self.cancel, &mut |_| Verdict::Continue)
            };
            let run = match (tuned[task], &complete) {
                (Tuned::Direction { peak_lr, weight_decay, .. }, Some(program)) => {
                    let hyperparameters = [(WEIGHT_DECAY.to_owned(), weight_decay)];
                    run(&Candidate { program, peak_lr, hyperparameters: &hyperparameters })
                }
                (Tuned::Factor(factor), _) => {
                    run(&Candidate::new(&with_factor(&entrant.program, factor)))
                }
                _ => return Ok(f64::NAN),
            };
            let loss = run?.final_metrics().map_or(f64::NAN, |metrics| metrics.loss);
            tell();
            let baseline = self.baseline[task][seed];
            Ok((baseline - loss) / baseline)
        };
        let gains: Vec<Result<f64, StudyError>> = jobs.par_iter().map(train).collect();
        let gains: Vec<f64> = gains.into_iter().collect::<Result<_, _>>()?;
        let by_task: Vec<&[f64]> = gains.chunks(self.seeds.len().max(1)).collect();
        let weights: f64 = self.weights.iter().sum();
        let on_seed = |seed: usize| {
            by_task
                .iter()
                .zip(&self.weights)
                .map(|(gains, weight)| weight * gains[seed])
                .sum::<f64>()
                / weights
        };
        let on_seeds: Vec<f64> = (0..self.seeds.len()).map(on_seed).collect();
        let of_task = |(suite, (gains, tuned)): (&Arc<Suite>, (&&[f64], &Tuned))| TaskGain {
            task: suite.tasks[0].task.name().to_owned(),
            gain: Gain::of(gains),
            tuned: *tuned,
        };
        let tasks = self.suites.iter().zip(by_task.iter().zip(&tuned)).map(of_task).collect();
        Ok(Judged { gain: Gain::of(&on_seeds), seeds: self.seeds.len(), tasks })
    }

    fn tell(&self, done: usize, total: usize) {
        (self.observe)(Progress { done, total, runs: self.runs.load(Ordering::Relaxed) });
    }
}

/// A task of a suite that counts its runs.
struct Part {
    suite: Arc<Suite>,
    task: usize,
    runs: Arc<AtomicU64>,
}

impl Part {
    fn task(&self) -> &dyn Task {
        self.suite.tasks[self.task].task.as_ref()
    }
}

impl Task for Part {
    fn name(&self) -> &str {
        self.task().name()
    }

    fn describe(&self) -> Result<TaskDescription, TaskError> {
        self.task().describe()
    }

    fn checkpoints(&self) -> usize {
        self.task().checkpoints()
    }

    fn run(
        &self,
        candidate: &Candidate,
        seed: u64,
        cancel: &CancelToken,
        watch: &mut dyn FnMut(&Checkpoint) -> Verdict,
    ) -> Result<Run, TaskError> {
        let run = self.task().run(candidate, seed, cancel, watch)?;
        self.runs.fetch_add(1, Ordering::Relaxed);
        Ok(run)
    }

    fn record(
        &self,
        candidate: &Candidate,
        seed: u64,
        cancel: &CancelToken,
    ) -> Result<Option<Recording>, TaskError> {
        self.task().record(candidate, seed, cancel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(mean: f64, standard_error: Option<f64>, seeds: usize) -> Judged {
        Judged { gain: Some(Gain { mean, standard_error }), seeds, tasks: Vec::new() }
    }

    #[test]
    fn what_beats_the_baseline_does_so_by_its_lower_bound() {
        // On seven degrees of freedom 1.895 standard errors are needed for 95 percent.
        assert!(judged(0.020, Some(0.01), 8).beats_baseline(0.95));
        assert!(!judged(0.018, Some(0.01), 8).beats_baseline(0.95));
        assert!(judged(0.001, Some(0.01), 8).beats_baseline(0.5));
        assert!(!judged(-0.001, Some(0.01), 8).beats_baseline(0.5));
        // AdamW does not beat itself, and one seed shows nothing.
        assert!(!judged(0.0, Some(0.0), 8).beats_baseline(0.5));
        assert!(!judged(0.5, None, 1).beats_baseline(0.95));
        assert!(!Judged { gain: None, seeds: 8, tasks: Vec::new() }.beats_baseline(0.5));
    }
}
