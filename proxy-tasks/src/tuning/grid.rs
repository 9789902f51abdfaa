//! Tuned constants of known optimizers on the built-in tasks, and the protocol that finds them.
//!
//! The protocol: pairs of a peak learning rate and a weight decay from a grid, all else at the
//! program's defaults, judged by the mean final validation loss over the tuning seeds
//! ([`Suite::tuning_seeds`](crate::suite::Suite::tuning_seeds)), which no search and no report
//! uses. A pair that diverges on any seed is out. How many pairs are tried is the [`Strategy`]; a
//! program without `weight_decay` has its learning rate only, and so fewer pairs.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use symopt_cancel::CancelToken;
use symopt_dsl::Program;

use crate::constants::{Origin, Tuned};
use crate::error::{Failure, TaskError};
use crate::run::Run;
use crate::suite::Suite;
use crate::task::{Candidate, Task, Verdict};

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
            peak_lr: (0..=20)
                .map(|i| rounded(libm::pow(10.0, -4.0 + f64::from(i) / 4.0)))
                .collect(),
            weight_decay: vec![0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0],
            seeds: Strategy::Fine.seeds(),
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
    /// Mean final validation loss over the tuning seeds; `None` if a run diverged or failed.
    pub loss: Option<f64>,
    /// Failure, if a run failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// Which pairs of the grid are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// All.
    Fine,
    /// Every second learning rate with every second decay, then a walk from the best of them.
    Coarse,
    /// Only the walk, from a given pair, such as the one that a smaller task of the kind had. First
    /// it goes by two learning rates or one decay as long as that helps, then by one; and by both
    /// in opposite directions, since their product is what a long run feels. It finds the nearest
    /// optimum, which need not be the best one.
    Local,
}

impl Strategy {
    /// Tuning seeds that judge a pair, if nothing else is said: the fewer, the costlier the tasks
    /// that a strategy is for.
    pub fn seeds(self) -> usize {
        match self {
            Strategy::Fine => 8,
            Strategy::Coarse => 4,
            Strategy::Local => 2,
        }
    }
}

/// Tries the pairs of the grid that the strategy wants. A walk begins at the pair of the grid that
/// is nearest to `start`, or in the middle of the grid. `report` sees each trial as it ends. A
/// tuning that is cancelled ends with the trials that it has.
pub fn tune(
    task: &dyn Task,
    program: &Program,
    grid: &Grid,
    strategy: Strategy,
    start: Option<&Tuned>,
    cancel: &CancelToken,
    report: &mut dyn FnMut(&Trial),
) -> Result<Vec<Trial>, TaskError> {
    let has_decay =
        program.signature().hyperparameters().any(|(_, parameter)| parameter.name == WEIGHT_DECAY);
    let decays: &[f64] = if has_decay { &grid.weight_decay } else { &[0.0] };
    let mut tuning = Tuning {
        task,
        program,
        grid,
        has_decay,
        decays,
        trials: Vec::new(),
        losses: BTreeMap::new(),
        cancel,
        report,
    };
    let (rates, decays) = (grid.peak_lr.len(), decays.len());
    if rates == 0 || decays == 0 {
        return Ok(Vec::new());
    }
    let ended = match strategy {
        Strategy::Fine => tuning.all(1).map(drop),
        Strategy::Coarse => tuning.all(2).and_then(|best| tuning.walk(best)),
        Strategy::Local => {
            let start = start.map_or([rates / 2, decays / 2], |start| tuning.nearest(start));
            tuning.walk(start)
        }
    };
    match ended {
        // A cancelled tuning keeps the trials made before.
        Ok(()) | Err(TaskError::Cancelled(_)) => Ok(tuning.trials),
        Err(error) => Err(error),
    }
}

const WEIGHT_DECAY: &str = "weight_decay";

/// Numbers of a learning rate and of a decay in the grid.
type Pair = [usize; 2];

struct Tuning<'a> {
    task: &'a dyn Task,
    program: &'a Program,
    grid: &'a Grid,
    has_decay: bool,
    decays: &'a [f64],
    trials: Vec<Trial>,
    losses: BTreeMap<Pair, f64>,
    cancel: &'a CancelToken,
    report: &'a mut dyn FnMut(&Trial),
}

impl Tuning<'_> {
    /// Tries every nth learning rate with every nth decay; the best pair.
    fn all(&mut self, nth: usize) -> Result<Pair, TaskError> {
        let mut best = ([0, 0], f64::INFINITY);
        for rate in (0..self.grid.peak_lr.len()).step_by(nth) {
            for decay in (0..self.decays.len()).step_by(nth) {
                let loss = self.loss([rate, decay])?;
                if loss < best.1 {
                    best = ([rate, decay], loss);
                }
            }
        }
        Ok(best.0)
    }

    fn walk(&mut self, mut at: Pair) -> Result<(), TaskError> {
        let mut best = self.loss(at)?;
        for stride in [2, 1] {
            let directions =
                [[stride, 0], [-stride, 0], [0, 1], [0, -1], [stride, -1], [-stride, 1]];
            let mut moved = true;
            while moved {
                moved = false;
                for direction in directions {
                    // On in the same direction as long as it pays.
                    while let Some(next) = self.neighbour(at, direction) {
                        let loss = self.loss(next)?;
                        // Written so that two pairs that diverge are equal, and NaN is no gain.
                        if loss < best {
                            (at, best, moved) = (next, loss, true);
                        } else {
                            break;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn neighbour(&self, at: Pair, direction: [isize; 2]) -> Option<Pair> {
        let rate = at[0]
            .checked_add_signed(direction[0])
            .filter(|&rate| rate < self.grid.peak_lr.len())?;
        let decay =
            at[1].checked_add_signed(direction[1]).filter(|&decay| decay < self.decays.len())?;
        Some([rate, decay])
    }

    fn nearest(&self, start: &Tuned) -> Pair {
        let decay = start
            .hyperparameters
            .iter()
            .find(|(name, _)| name == WEIGHT_DECAY)
            .map_or(0.0, |(_, value)| *value);
        let nearest = |values: &[f64], distance: &dyn Fn(f64) -> f64| {
            let places =
                values.iter().enumerate().min_by(|a, b| distance(*a.1).total_cmp(&distance(*b.1)));
            places.map_or(0, |(place, _)| place)
        };
        [
            nearest(&self.grid.peak_lr, &|rate| libm::log(rate / start.peak_lr).abs()),
            nearest(self.decays, &|value| (value - decay).abs()),
        ]
    }

    /// The mean loss of a pair, infinite where it diverges; of each pair once.
    fn loss(&mut self, pair: Pair) -> Result<f64, TaskError> {
        if let Some(&loss) = self.losses.get(&pair) {
            return Ok(loss);
        }
        self.cancel.check()?;
        let (peak_lr, weight_decay) = (self.grid.peak_lr[pair[0]], self.decays[pair[1]]);
        let hyperparameters =
            if self.has_decay { vec![(WEIGHT_DECAY.to_owned(), weight_decay)] } else { Vec::new() };
        let candidate =
            Candidate { program: self.program, peak_lr, hyperparameters: &hyperparameters };
        let (mut sum, mut failure) = (Some(0.0), None);
        for seed in Suite::tuning_seeds(self.grid.seeds) {
            let run = self.task.run(&candidate, seed, self.cancel, &mut |_| Verdict::Continue)?;
            // A command that fails at the first try will hardly do better at the next.
            let run = if self.trials.is_empty() { run.or_failed(self.task.name())? } else { run };
            failure = run.failure().cloned();
            sum = sum.zip(run.final_metrics()).map(|(sum, metrics)| sum + metrics.loss);
            if sum.is_none() {
                break;
            }
        }
        let trial = Trial {
            peak_lr,
            weight_decay,
            loss: sum.map(|sum| sum / self.grid.seeds as f64),
            failure,
        };
        (self.report)(&trial);
        let loss = trial.loss.unwrap_or(f64::INFINITY);
        self.losses.insert(pair, loss);
        self.trials.push(trial);
        Ok(loss)
    }
}

/// How AdamW, or another program, is tuned on a task that comes without constants for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Training runs, at most.
    pub runs: usize,
    /// Tuning seeds that judge a pair in the end.
    pub seeds: usize,
}

impl Default for Budget {
    /// Enough for a scan of eight learning rates and a walk of twenty pairs.
    fn default() -> Budget {
        Budget { runs: 48, seeds: 2 }
    }
}

/// Result of a tuning within a budget.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
#[non_exhaustive]
pub struct Found {
    /// The constants.
    pub tuned: Tuned,
    /// Mean final validation loss over the tuning seeds.
    pub loss: f64,
    /// The same with the program's own defaults; `None` if that diverged or failed.
    pub untuned_loss: Option<f64>,
    /// Training runs.
    pub runs: usize,
    /// Those of them that failed.
    pub failed: usize,
    /// Whether no neighbour was better; otherwise the budget was used up before.
    pub converged: bool,
}

/// Tunes learning rate and weight decay from coarse to fine, with a budget of runs, where a run may
/// cost minutes and nothing is known of the task: learning rates of every decade from 1e-6 to 10 on
/// the first tuning seed, from the program's own outwards; then a walk from the best of them over
/// all tuning seeds, first by half a decade of the learning rate or one decay, then by a quarter.
/// The result does not depend on the number of threads. `name` is the program's in the zoo.
/// `observe` is told about every run, from all threads.
pub fn tune_within(
    task: &dyn Task,
    name: &str,
    program: &Program,
    budget: Budget,
    cancel: &CancelToken,
    observe: &(dyn Fn(&Run) + Sync),
) -> Result<Found, TaskError> {
    let has_decay =
        program.signature().hyperparameters().any(|(_, parameter)| parameter.name == WEIGHT_DECAY);
    let grid = Grid {
        peak_lr: (0..=28).map(|i| rounded(libm::pow(10.0, -6.0 + f64::from(i) / 4.0))).collect(),
        weight_decay: if has_decay { Grid::default().weight_decay } else { vec![0.0] },
        seeds: budget.seeds.max(1),
    };
    let mut search = Within {
        task,
        program,
        has_decay,
        seeds: Suite::tuning_seeds(grid.seeds),
        grid,
        left: budget.runs,
        known: BTreeMap::new(),
        failures: Vec::new(),
        runs: 0,
        cancel,
        observe,
    };
    let converged = match search.run() {
        Ok(()) => true,
        Err(End::Budget) => false,
        Err(End::Task(error)) => return Err(error),
    };
    let own = search.own();
    let untuned_loss = search.mean(own).filter(|loss| loss.is_finite());
    let Some((best, loss)) = search.best() else {
        let failed = search.failures.first().map_or_else(String::new, |failure| {
            format!(
                ", {} of {} runs failed, the first one: {}",
                search.failures.len(),
                search.runs,
                failure.reason
            )
        });
        let reason = format!("{name} diverges with every learning rate that was tried{failed}");
        return Err(TaskError::Data { task: task.name().to_owned(), reason });
    };
    let (peak_lr, hyperparameters) = search.constants(best);
    let origin = Origin::Tuned { runs: search.runs, seeds: search.judged(best) };
    let program = name.to_owned();
    let tuned = Tuned { program, peak_lr, hyperparameters, averages: false, origin };
    Ok(Found {
        tuned,
        loss,
        untuned_loss,
        runs: search.runs,
        failed: search.failures.len(),
        converged,
    })
}

/// Numbers between the learning rates of a scan in its grid: a decade.
const DECADE: usize = 4;

/// Reason why a tuning within a budget ends before it has converged.
enum End {
    Budget,
    Task(TaskError),
}

/// A tuning within a budget.
struct Within<'a> {
    task: &'a dyn Task,
    program: &'a Program,
    has_decay: bool,
    grid: Grid,
    seeds: Vec<u64>,
    /// Runs that may still be made.
    left: usize,
    /// Losses on the first so many tuning seeds; infinite where a run diverged or failed.
    known: BTreeMap<Pair, Vec<f64>>,
    failures: Vec<Failure>,
    runs: usize,
    cancel: &'a CancelToken,
    observe: &'a (dyn Fn(&Run) + Sync),
}

impl Within<'_> {
    fn run(&mut self) -> Result<(), End> {
        let [own, decay] = self.own();
        // That the command works at all shows with the program as it is.
        self.try_on(&[[own, decay]], 1)?;
        let decades = self.grid.peak_lr.len() / DECADE;
        let outwards = (1..=decades)
            .flat_map(|by| [own.checked_add(by * DECADE), own.checked_sub(by * DECADE)])
            .flatten();
        let scan: Vec<Pair> = outwards
            .filter(|rate| *rate < self.grid.peak_lr.len())
            .map(|rate| [rate, decay])
            .collect();
        self.try_on(&scan, 1)?;
        // The best pair on one seed is tried on all of them, and so is the program as it is, to
        // compare with.
        let Some((best, _)) = self.best() else { return Ok(()) };
        self.try_on(&[best, [own, decay]], self.seeds.len())?;
        let Some((mut best, _)) = self.best() else { return Ok(()) };
        for stride in [2_isize, 1] {
            let directions =
                [[stride, 0], [-stride, 0], [0, 1], [0, -1], [stride, -1], [-stride, 1]];
            let mut moved = true;
            while moved {
                moved = false;
                for [rate, decay] in directions {
                    // On in the same direction as long as it pays.
                    while let (Some(rate), Some(decay)) =
                        (best[0].checked_add_signed(rate), best[1].checked_add_signed(decay))
                    {
                        if rate >= self.grid.peak_lr.len() || decay >= self.grid.weight_decay.len()
                        {
                            break;
                        }
                        self.try_on(&[[rate, decay]], self.seeds.len())?;
                        let better = self
                            .mean([rate, decay])
                            .zip(self.mean(best))
                            .is_some_and(|(new, old)| new < old);
                        if !better {
                            break;
                        }
                        (best, moved) = ([rate, decay], true);
                    }
                }
            }
        }
        Ok(())
    }

    /// The pair of the grid that is nearest to the program's own.
    fn own(&self) -> Pair {
        let signature = self.program.signature();
        let decay = signature
            .hyperparameters()
            .find(|(_, p)| p.name == WEIGHT_DECAY)
            .and_then(|(_, p)| p.default)
            .unwrap_or(0.0);
        let nearest = |values: &[f64], distance: &dyn Fn(f64) -> f64| {
            let places =
                values.iter().enumerate().min_by(|a, b| distance(*a.1).total_cmp(&distance(*b.1)));
            places.map_or(0, |(place, _)| place)
        };
        let rate = signature.peak_learning_rate();
        [
            nearest(&self.grid.peak_lr, &|value| libm::log(value / rate).abs()),
            nearest(&self.grid.weight_decay, &|value| (value - decay).abs()),
        ]
    }

    fn constants(&self, [rate, decay]: Pair) -> (f64, Vec<(String, f64)>) {
        let decay =
            self.has_decay.then(|| (WEIGHT_DECAY.to_owned(), self.grid.weight_decay[decay]));
        (self.grid.peak_lr[rate], decay.into_iter().collect())
    }

    /// How many seeds a pair was tried on.
    fn judged(&self, pair: Pair) -> usize {
        self.known.get(&pair).map_or(0, Vec::len)
    }

    fn mean(&self, pair: Pair) -> Option<f64> {
        let losses = self.known.get(&pair).filter(|losses| !losses.is_empty())?;
        Some(losses.iter().sum::<f64>() / losses.len() as f64)
    }

    /// The best of the pairs that were tried on the most seeds.
    fn best(&self) -> Option<(Pair, f64)> {
        let finite = |(pair, losses): (&Pair, &Vec<f64>)| {
            Some((*pair, losses.len(), self.mean(*pair).filter(|loss| loss.is_finite())?))
        };
        // Ties go to the pair nearest to the program as it is: nothing is learnt from a task that
        // tells no pairs apart.
        let own = self.own();
        let far = |pair: &Pair| {
            pair.iter().zip(&own).map(|(place, own)| place.abs_diff(*own)).sum::<usize>()
        };
        let order = |a: &(Pair, usize, f64), b: &(Pair, usize, f64)| {
            b.1.cmp(&a.1).then(a.2.total_cmp(&b.2)).then(far(&a.0).cmp(&far(&b.0)))
        };
        let found = self.known.iter().filter_map(finite).min_by(order);
        found.map(|(pair, _, loss)| (pair, loss))
    }

    /// Tries pairs on the first so many tuning seeds, as far as the budget goes, side by side. A
    /// pair that diverges somewhere is not tried further.
    fn try_on(&mut self, pairs: &[Pair], seeds: usize) -> Result<(), End> {
        let mut jobs: Vec<(Pair, u64)> = Vec::new();
        for pair in pairs {
            let known = self.known.get(pair);
            if known.is_some_and(|losses| losses.iter().any(|loss| !loss.is_finite()))
                || jobs.iter().any(|(other, _)| other == pair)
            {
                continue;
            }
            let wanted = self.seeds.iter().take(seeds).skip(known.map_or(0, Vec::len));
            jobs.extend(wanted.map(|seed| (*pair, *seed)));
        }
        let out_of_budget = jobs.len() > self.left;
        jobs.truncate(self.left);
        self.left -= jobs.len();
        let train = |(pair, seed): &(Pair, u64)| {
            self.cancel.check().map_err(|error| End::Task(error.into()))?;
            let (peak_lr, hyperparameters) = self.constants(*pair);
            let candidate =
                Candidate { program: self.program, peak_lr, hyperparameters: &hyperparameters };
            let run = self.task.run(&candidate, *seed, self.cancel, &mut |_| Verdict::Continue);
            let run = run.map_err(End::Task)?;
            (self.observe)(&run);
            Ok(run)
        };
        let runs: Vec<_> = jobs.par_iter().map(train).collect();
        for ((pair, _), run) in jobs.iter().zip(runs) {
            // A command that fails at the first try will hardly do better at the next.
            let run = if self.runs == 0 {
                run?.or_failed(self.task.name()).map_err(End::Task)?
            } else {
                run?
            };
            self.runs += 1;
            self.failures.extend(run.failure().cloned());
            let loss = run.final_metrics().map_or(f64::INFINITY, |metrics| metrics.loss);
            self.known.entry(*pair).or_default().push(loss);
        }
        if out_of_budget { Err(End::Budget) } else { Ok(()) }
    }
}

/// The trial with the lowest loss; the first of equals.
pub fn best(trials: &[Trial]) -> Option<&Trial> {
    trials
        .iter()
        .filter(|trial| trial.loss.is_some_and(f64::is_finite))
        .min_by(|a, b| a.loss.unwrap_or(f64::INFINITY).total_cmp(&b.loss.unwrap_or(f64::INFINITY)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Checkpoint, Metrics, StopReason};
    use crate::task::TaskDescription;

    /// A task whose loss is known: a ridge along lr x decay = 0.03 with its lowest point at lr =
    /// 0.1; learning rates above 1 diverge.
    struct Ridge;

    impl Task for Ridge {
        fn name(&self) -> &str {
            "ridge"
        }

        fn describe(&self) -> Result<TaskDescription, TaskError> {
            unreachable!("tuning does not ask")
        }

        fn checkpoints(&self) -> usize {
            1
        }

        fn run(
            &self,
            candidate: &Candidate,
            _: u64,
            _: &CancelToken,
            _: &mut dyn FnMut(&Checkpoint) -> Verdict,
        ) -> Result<Run, TaskError> {
            let decay = candidate.hyperparameters.first().map_or(0.3, |(_, value)| *value);
            let (rate, product) = (
                candidate.peak_lr.log10() + 1.0,
                (candidate.peak_lr * decay + 1e-9).log10() + 1.523,
            );
            let validation =
                Metrics { loss: 1.0 + 0.1 * rate * rate + 3.0 * product * product, accuracy: None };
            let curve = vec![Checkpoint { step: 1, training_loss: 0.0, validation }];
            let stop = if candidate.peak_lr > 1.0 {
                StopReason::Diverged { step: 0 }
            } else {
                StopReason::Completed
            };
            Ok(Run { curve, stop, elapsed: std::time::Duration::ZERO })
        }
    }

    fn found(program: &str, strategy: Strategy, start: Option<&Tuned>) -> (usize, Trial) {
        let program = symopt_programs::find(program).unwrap().program();
        let cancel = CancelToken::new();
        let trials =
            tune(&Ridge, &program, &Grid::default(), strategy, start, &cancel, &mut |_| {})
                .unwrap();
        (trials.len(), best(&trials).unwrap().clone())
    }

    #[test]
    fn every_strategy_finds_the_end_of_a_narrow_ridge_with_ever_fewer_pairs() {
        let start = |peak_lr, weight_decay| Tuned {
            program: "lion".to_owned(),
            peak_lr,
            hyperparameters: vec![(WEIGHT_DECAY.to_owned(), weight_decay)],
            averages: false,
            origin: Origin::Stated,
        };
        let (all, finest) = found("lion", Strategy::Fine, None);
        assert_eq!((all, finest.peak_lr, finest.weight_decay), (147, 0.1, 0.3));
        let (coarse, trial) = found("lion", Strategy::Coarse, None);
        assert_eq!(trial, finest);
        for start in
            [None, Some(&start(1e-3, 3.0)), Some(&start(0.9, 0.02)), Some(&start(0.12, 0.25))]
        {
            let (local, trial) = found("lion", Strategy::Local, start);
            assert_eq!(trial, finest);
            assert!(local < 45 && local < coarse && coarse < 70, "{local} {coarse}");
        }
        // From where it ends, a walk stays: nothing but the neighbours is tried.
        assert_eq!(found("lion", Strategy::Local, Some(&start(0.1, 0.3))), (11, finest));
    }

    #[test]
    fn a_program_without_decay_is_tuned_by_its_learning_rate_alone() {
        let (all, finest) = found("momentum", Strategy::Fine, None);
        assert_eq!((all, finest.peak_lr, finest.weight_decay), (21, 0.1, 0.0));
        for strategy in [Strategy::Coarse, Strategy::Local] {
            let (pairs, trial) = found("momentum", strategy, None);
            assert_eq!(trial, finest);
            assert!(pairs < 16, "{pairs}");
        }
    }

    fn within(runs: usize, seeds: usize) -> Found {
        let program = symopt_programs::find("adamw").unwrap().program();
        let budget = Budget { runs, seeds };
        tune_within(&Ridge, "adamw", &program, budget, &CancelToken::new(), &|_| {}).unwrap()
    }

    #[test]
    fn a_budget_is_kept_and_says_what_it_bought() {
        let found = within(48, 2);
        assert_eq!((found.tuned.peak_lr, found.tuned.hyperparameters[0].1), (0.1, 0.3));
        assert_eq!(found.tuned.origin, Origin::Tuned { runs: found.runs, seeds: 2 });
        assert!(
            found.converged
                && found.runs <= 48
                && found.untuned_loss.is_some_and(|loss| found.loss < loss),
            "{found:?}"
        );
        for runs in [1, 2, 7, 12, 20] {
            let found = within(runs, 2);
            assert!(found.runs <= runs && !found.converged, "{found:?}");
            assert!(found.untuned_loss.is_none_or(|loss| found.loss <= loss));
        }
        let program = symopt_programs::find("adamw").unwrap().program();
        let cancel = CancelToken::new();
        cancel.cancel();
        let cancelled = tune_within(&Ridge, "adamw", &program, Budget::default(), &cancel, &|_| {});
        assert!(cancelled.is_err_and(|error| error.is_cancelled()));
    }

    /// A task that tells nothing apart.
    struct Flat;

    impl Task for Flat {
        fn name(&self) -> &str {
            "flat"
        }

        fn describe(&self) -> Result<TaskDescription, TaskError> {
            Ridge.describe()
        }

        fn checkpoints(&self) -> usize {
            1
        }

        fn run(
            &self,
            _: &Candidate,
            _: u64,
            _: &CancelToken,
            watch: &mut dyn FnMut(&Checkpoint) -> Verdict,
        ) -> Result<Run, TaskError> {
            let checkpoint = Checkpoint {
                step: 1,
                training_loss: 0.5,
                validation: Metrics { loss: 0.5, accuracy: None },
            };
            watch(&checkpoint);
            Ok(Run {
                curve: vec![checkpoint],
                stop: StopReason::Completed,
                elapsed: std::time::Duration::ZERO,
            })
        }
    }

    #[test]
    fn where_nothing_matters_the_defaults_stay() {
        let program = symopt_programs::find("adamw").unwrap().program();
        let cancel = CancelToken::new();
        let found =
            tune_within(&Flat, "adamw", &program, Budget::default(), &cancel, &|_| {}).unwrap();
        assert_eq!((found.tuned.peak_lr, found.loss), (1e-3, 0.5));
    }

    #[test]
    fn an_origin_is_read_as_it_is_written_and_says_what_it_is() {
        for (origin, words) in [
            (Origin::Tuned { runs: 48, seeds: 2 }, "tuned AdamW"),
            (Origin::Stated, "tuned AdamW"),
            (Origin::Given, "AdamW as given"),
            (Origin::Untuned, "untuned AdamW"),
        ] {
            let tuned = Tuned {
                program: "adamw".to_owned(),
                peak_lr: 0.1,
                hyperparameters: Vec::new(),
                averages: origin == Origin::Given,
                origin,
            };
            let text = toml::to_string(&tuned).unwrap();
            assert_eq!(toml::from_str::<Tuned>(&text).unwrap(), tuned, "{text}");
            assert_eq!(origin.of("AdamW"), words);
        }
    }

    #[test]
    fn any_strategy_that_is_cancelled_ends_at_once_with_what_it_has() {
        let program = symopt_programs::find("lion").unwrap().program();
        for strategy in [Strategy::Fine, Strategy::Coarse, Strategy::Local] {
            let (mut seen, cancel) = (0, CancelToken::new());
            let mut report = |_: &Trial| {
                seen += 1;
                if seen == 3 {
                    cancel.cancel();
                }
            };
            let grid = Grid::default();
            let trials = tune(&Ridge, &program, &grid, strategy, None, &cancel, &mut report);
            assert_eq!(trials.unwrap().len(), 3);
        }
    }
}
