//! Trials: a changed program beside the program as it stands, trained on the same tasks and seeds,
//! and a test of what the change costs.
//!
//! Every program of a trial is trained on all tasks and seeds; programs with the same functional
//! hash once. A trial judges the difference of the fitness seed by seed, so that what a program and
//! its change have in common drops out: its mean over the seeds, its standard error, and the
//! one-sided lower bound of the mean by Student's distribution with one degree of freedom less than
//! there are seeds. Differences that are the same on all seeds (a standard error of 0) are taken as
//! they are.
//!
//! A program whose constants were not tuned for the tasks may train far too slowly or too fast on
//! them: whatever changes the size of its steps then looks important, or even useful, and the rest
//! does not show. So [`Trials::tune`] finds for each task a factor for the update, with which the
//! program as it stands does best. The factor is applied to what the program returns, and is the
//! same for all changes: only the size of the steps differs from the program as written, and a
//! change that would need another size counts as one that matters.
//!
//! Results do not depend on the number of threads: a run depends on nothing but the program, the
//! task and the seed.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rayon::prelude::*;
use symopt_analysis::simplify::derivation::Trial;
use symopt_cancel::CancelToken;
use symopt_dsl::{Function, FunctionalHash, Graph, Operand, Program, Statement};
use symopt_proxy_tasks::sample::{Criterion, Difference, Scores, mean};
use symopt_proxy_tasks::suite::{BaselineOrigin, Fitness, Suite};
use symopt_proxy_tasks::task::{Candidate, Verdict};
use symopt_search::judge::DirectionJudge;
use symopt_search::judge::form::with_parameters;

use crate::error::{StudyError, pool};

/// Sees how much of some work is done, and how much there is, from all threads.
pub type Observe<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// Trains programs for trials, each once.
pub struct Trials<'a> {
    suite: &'a Suite,
    /// Judges directions, if the programs are that: each at its own best settings.
    directions: Option<&'a DirectionJudge>,
    /// The zoo program whose tuned constants are used.
    tuned_as: Option<String>,
    criterion: Criterion,
    cancel: CancelToken,
    /// Told how many trainings of a batch have been done, and how many there are.
    observe: Observe<'a>,
    pool: rayon::ThreadPool,
    seeds: Vec<u64>,
    /// For each seed and task the baseline's loss.
    baseline: Vec<Vec<f64>>,
    /// For each task the factor of the update.
    factors: Vec<f64>,
    known: HashMap<Key, Scores>,
    /// The first program that something was tried with: what is left in the end is held against it.
    reference: Option<Scores>,
}

/// Everything that a program's fitness depends on: what it computes, and the peak learning rate
/// that it states.
type Key = (FunctionalHash, u64);

/// A program to train on one task with one seed, by position, with its update multiplied by a
/// factor.
struct Job<'p> {
    program: &'p Program,
    task: usize,
    seed: usize,
    factor: f64,
    /// Set when the program has diverged somewhere and nothing else about it is of interest.
    diverged: Option<&'p AtomicBool>,
}

/// Seeds that a factor is found with, at most.
const TUNING_SEEDS: usize = 8;
/// Factors are tried by powers of two, then in between. Here and in `STEPS`: in quarters of the
/// exponent.
const FURTHEST: i32 = 4 * 24;
const STEPS: [i32; 2] = [4, 2];

impl<'a> Trials<'a> {
    /// Seeds for trials, which no search, no tuning of baselines and no report uses: a program must
    /// not be reported on what its simplification was tested on.
    pub fn seeds(count: usize) -> Vec<u64> {
        (0..count as u64).map(|i| 3_000_000 + i).collect()
    }

    /// Trains the suite's baseline on the seeds; there should be at least two. `name` is the
    /// program's: if it is a zoo program with tuned constants for every task, all programs are run
    /// with these, and as they stand otherwise.
    pub fn new(
        suite: &'a Suite,
        name: Option<&str>,
        seeds: &[u64],
        criterion: Criterion,
        threads: usize,
        cancel: &CancelToken,
        observe: Observe<'a>,
    ) -> Result<Trials<'a>, StudyError> {
        let pool = pool(threads)?;
        let done = AtomicUsize::new(0);
        let train = |seed: &u64| {
            let baseline = suite.baseline(&[*seed], cancel)?;
            observe(done.fetch_add(1, Ordering::Relaxed) + 1, seeds.len());
            Ok((0..suite.tasks.len())
                .map(|task| baseline.final_loss(0, task).unwrap_or(f64::NAN))
                .collect())
        };
        let baseline: Vec<Result<Vec<f64>, StudyError>> =
            pool.install(|| seeds.par_iter().map(train).collect());
        let has_constants =
            |name: &&str| suite.tasks.iter().all(|task| task.constants(name, false).is_some());
        Ok(Trials {
            suite,
            directions: None,
            tuned_as: name.filter(has_constants).map(str::to_owned),
            criterion,
            cancel: cancel.clone(),
            observe,
            pool,
            seeds: seeds.to_vec(),
            baseline: baseline.into_iter().collect::<Result<_, _>>()?,
            factors: vec![1.0; suite.tasks.len()],
            known: HashMap::new(),
            reference: None,
        })
    }

    /// Trials of directions, by a judge on its seeds of epoch 0, `seeds` of them. Every program is
    /// judged at its own best peak learning rate and weight decay, so that changes of size alone
    /// make no difference.
    pub fn of_directions(
        suite: &'a Suite,
        judge: &'a DirectionJudge,
        seeds: usize,
        criterion: Criterion,
        threads: usize,
        cancel: &CancelToken,
        observe: Observe<'a>,
    ) -> Result<Trials<'a>, StudyError> {
        let trials = Trials::new(suite, None, &[], criterion, threads, cancel, observe)?;
        Ok(Trials { directions: Some(judge), seeds: (0..seeds as u64).collect(), ..trials })
    }

    /// Finds for each task the factor of the update with which a program does best, and uses these
    /// from now on. The factors stay at 1 where the program has tuned constants.
    pub fn tune(&mut self, program: &Program) -> Result<(), StudyError> {
        if self.is_tuned() || self.directions.is_some() {
            return Ok(());
        }
        let seeds = self.seeds.len().min(TUNING_SEEDS);
        // Mean loss by task and exponent.
        let mut losses: Vec<BTreeMap<i32, f64>> = vec![BTreeMap::new(); self.suite.tasks.len()];
        // The smallest of equals: where everything diverges, smaller steps may not.
        let best = |losses: &BTreeMap<i32, f64>| {
            losses.iter().min_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(exponent, _)| *exponent)
        };
        for step in STEPS {
            loop {
                let mut wanted = Vec::new();
                for (task, losses) in losses.iter().enumerate() {
                    let best = best(losses);
                    let near = [best - step, best, best + step];
                    wanted.extend(
                        near.into_iter()
                            .filter(|e| e.abs() <= FURTHEST && !losses.contains_key(e))
                            .map(|e| (task, e)),
                    );
                }
                if wanted.is_empty() {
                    break;
                }
                let jobs: Vec<Job> = wanted
                    .iter()
                    .flat_map(|(task, exponent)| {
                        (0..seeds).map(|seed| Job {
                            program,
                            task: *task,
                            seed,
                            factor: factor(*exponent),
                            diverged: None,
                        })
                    })
                    .collect();
                let results = self.train(&jobs)?;
                for ((task, exponent), losses_by_seed) in
                    wanted.iter().zip(results.chunks(seeds.max(1)))
                {
                    let sum = losses_by_seed
                        .iter()
                        .map(|loss| loss.unwrap_or(f64::INFINITY))
                        .sum::<f64>();
                    if let Some(losses) = losses.get_mut(*task) {
                        losses.insert(*exponent, sum);
                    }
                }
                if seeds == 0 {
                    return Ok(());
                }
            }
        }
        self.factors = losses.iter().map(|losses| factor(best(losses))).collect();
        self.known.clear();
        self.reference = None;
        Ok(())
    }

    /// The names of the tasks with the factors of the update.
    pub fn factors(&self) -> Vec<(String, f64)> {
        self.suite
            .tasks
            .iter()
            .map(|task| task.task.name().to_owned())
            .zip(self.factors.iter().copied())
            .collect()
    }

    /// When a change may stay.
    pub fn criterion(&self) -> Criterion {
        self.criterion
    }

    /// Whether all programs are run with tuned constants, so that the defaults of their
    /// hyperparameters make no difference.
    pub fn is_tuned(&self) -> bool {
        self.tuned_as.is_some()
    }

    /// Whether the programs are directions.
    pub fn is_of_directions(&self) -> bool {
        self.directions.is_some()
    }

    /// How a program is run on the first task, apart from the factor of its update.
    pub fn candidate<'p>(&'p self, program: &'p Program) -> Candidate<'p> {
        match self.suite.tasks.first() {
            Some(task) => task.candidate(program, self.tuned_as.as_deref()),
            None => Candidate::new(program),
        }
    }

    /// How many seeds there are.
    pub fn seed_count(&self) -> usize {
        self.seeds.len()
    }

    /// How many programs have been trained.
    pub fn trained(&self) -> usize {
        self.known.len()
    }

    /// The fitness of programs on each seed, in the order given. Programs without known scores are
    /// trained, on all threads.
    pub fn scores(&mut self, programs: &[&Program]) -> Result<Vec<Scores>, StudyError> {
        let keys: Vec<Key> = programs.iter().map(|program| key(program)).collect();
        let mut wanted: Vec<(Key, &Program)> = Vec::new();
        for (key, program) in keys.iter().zip(programs) {
            if !self.known.contains_key(key) && !wanted.iter().any(|(other, _)| other == key) {
                wanted.push((*key, program));
            }
        }
        if let Some(judge) = self.directions {
            let done = AtomicUsize::new(0);
            let one = |(_, program): &(Key, &Program)| {
                let scores = judge.scores(&with_parameters(program), 0, &self.cancel)?;
                (self.observe)(done.fetch_add(1, Ordering::Relaxed) + 1, wanted.len());
                Ok(scores.map(|scores| Arc::from(scores.by_seed)))
            };
            let results: Vec<Result<Scores, StudyError>> =
                self.pool.install(|| wanted.par_iter().map(one).collect());
            for ((key, _), scores) in wanted.iter().zip(results) {
                self.known.insert(*key, scores?);
            }
            return Ok(keys.iter().map(|key| self.known.get(key).cloned().flatten()).collect());
        }
        let diverged: Vec<AtomicBool> = wanted.iter().map(|_| AtomicBool::new(false)).collect();
        let mut jobs = Vec::new();
        for ((_, program), diverged) in wanted.iter().zip(&diverged) {
            for seed in 0..self.seeds.len() {
                for (task, factor) in self.factors.iter().enumerate() {
                    jobs.push(Job {
                        program,
                        task,
                        seed,
                        factor: *factor,
                        diverged: Some(diverged),
                    });
                }
            }
        }
        let results = self.train(&jobs)?;
        let (tasks, seeds) = (self.suite.tasks.len().max(1), self.seeds.len().max(1));
        let mut results = results.chunks(tasks * seeds);
        for (key, _) in &wanted {
            let by_seed = results.next().unwrap_or_default().chunks(tasks).zip(&self.baseline);
            let scores: Option<Vec<f64>> =
                by_seed.map(|(losses, baseline)| self.fitness_on_seed(losses, baseline)).collect();
            self.known.insert(*key, scores.map(Arc::from));
        }
        Ok(keys.iter().map(|key| self.known.get(key).cloned().flatten()).collect())
    }

    /// As [`Suite::evaluate`] has it.
    fn fitness_on_seed(&self, losses: &[Option<f64>], baseline: &[f64]) -> Option<f64> {
        let (mut sum, mut weights) = (0.0, 0.0);
        for ((loss, baseline), task) in losses.iter().zip(baseline).zip(&self.suite.tasks) {
            sum += task.weight * ((baseline - (*loss)?) / baseline);
            weights += task.weight;
        }
        Some(sum / weights).filter(|fitness| fitness.is_finite())
    }

    /// The validation losses at the end, in the order of the jobs; `None` where a run diverged, or
    /// was not made since the program had diverged.
    fn train(&self, jobs: &[Job]) -> Result<Vec<Option<f64>>, StudyError> {
        let done = AtomicUsize::new(0);
        let train = |job: &Job| {
            self.cancel.check()?;
            let mut loss = None;
            if !job.diverged.is_some_and(|diverged| diverged.load(Ordering::Relaxed))
                && let (Some(task), Some(seed)) =
                    (self.suite.tasks.get(job.task), self.seeds.get(job.seed))
            {
                let program = with_factor(job.program, job.factor);
                let run = task.task.run(
                    &task.candidate(&program, self.tuned_as.as_deref()),
                    *seed,
                    &self.cancel,
                    &mut |_| Verdict::Continue,
                )?;
                loss = run.final_metrics().map(|metrics| metrics.loss);
            }
            if let Some(diverged) = job.diverged {
                diverged.fetch_or(loss.is_none(), Ordering::Relaxed);
            }
            (self.observe)(done.fetch_add(1, Ordering::Relaxed) + 1, jobs.len());
            Ok(loss)
        };
        let results: Vec<Result<Option<f64>, StudyError>> =
            self.pool.install(|| jobs.par_iter().map(train).collect());
        results.into_iter().collect()
    }

    /// Where the constants of AdamW, which fitness is measured against, come from.
    pub fn baseline_origin(&self) -> BaselineOrigin {
        self.suite.baseline_origin()
    }

    /// The fitness of a program over all seeds.
    pub fn fitness(&mut self, program: &Program) -> Result<Fitness, StudyError> {
        let scores = self.scores(&[program])?;
        Ok(match scores.first() {
            Some(Some(scores)) if !scores.is_empty() => Fitness::Improvement(mean(scores)),
            _ => Fitness::Diverged,
        })
    }

    /// Tries changes of a program: for each its trial, with `kept` saying whether it may stay, and
    /// its difference.
    ///
    /// A change may stay if it passes against the program as it stands, and also against the
    /// program that these trials began with: otherwise many small steps, each within the tolerance,
    /// could go a long way down.
    pub fn compare(
        &mut self,
        program: &Program,
        changes: &[(String, Program)],
    ) -> Result<Vec<Trial>, StudyError> {
        let programs: Vec<&Program> =
            std::iter::once(program).chain(changes.iter().map(|(_, changed)| changed)).collect();
        let mut scores = self.scores(&programs)?.into_iter();
        let before = scores.next().flatten();
        let reference = self.reference.get_or_insert_with(|| before.clone()).clone();
        let fitness = |scores: &Scores| scores.as_ref().map(|scores| mean(scores));
        let trial = |((change, _), after): (&(String, Program), Scores)| {
            let difference = Difference::between(&before, &after);
            let passes = |difference: Option<Difference>| {
                difference.is_some_and(|d| d.passes(self.criterion))
            };
            Trial {
                change: change.clone(),
                fitness_before: fitness(&before),
                fitness_after: fitness(&after),
                difference: difference.map(|d| d.mean),
                standard_error: difference.and_then(|d| d.standard_error),
                kept: passes(difference) && passes(Difference::between(&reference, &after)),
            }
        };
        Ok(changes.iter().zip(scores).map(trial).collect())
    }
}

/// 2 to the power of so many quarters.
fn factor(quarters: i32) -> f64 {
    libm::exp2(f64::from(quarters) / 4.0)
}

/// A program with its update multiplied by a factor.
pub(crate) fn with_factor(program: &Program, factor: f64) -> Cow<'_, Program> {
    // Without a variable to spare, a program of 65,535 variables is run as it stands.
    match program.fresh_variable() {
        Some(scaled) if factor != 1.0 => {
            let mut changed = program.clone();
            let arguments = [Operand::Variable(program.update), Operand::Constant(factor)];
            changed.statements.push(Statement::new(scaled, Function::Multiply, &arguments));
            changed.update = scaled;
            Cow::Owned(changed)
        }
        _ => Cow::Borrowed(program),
    }
}

fn key(program: &Program) -> Key {
    // A program that is not well typed is refused when it is run.
    let hash = Graph::new(program).map_or(FunctionalHash(0), |graph| graph.hash());
    (hash, program.signature().peak_learning_rate().to_bits())
}
