//! The best hyperparameters of a program on a task, found by a pattern search with a fixed budget
//! of training runs.
//!
//! The search covers the peak learning rate, `weight_decay` where the program has it, and the
//! shares that its averages keep (`beta1` and the like). All of them are moved by factors: the
//! learning rate and the decay themselves, of a share what is left of it, so that 0.9 goes to 0.95
//! and 0.975. See [`dimensions`].
//!
//! How: first a coarse grid of learning rates by factors of 4 and three decays. From its best point
//! on, one dimension after the other goes up or down by a factor of 4, and stays where that is
//! better; what a whole round has gained is tried once more in the same direction (Hooke and Jeeves
//! 1961). When a round gains nothing, two dimensions are moved at the same time, since a longer
//! average may need a smaller learning rate, and when that gains nothing either, the factor becomes 2.
//! In the end single dimensions are moved by √2. Where there are shares, all this is done once more
//! from the best point of the grid with averages four times as long, so that less depends on the
//! defaults of the program. Every point is judged by the mean final validation loss over the same
//! seeds ([`Suite::tuning_seeds`]), and is out if it diverges on any of them.
//!
//! The budget counts training runs: a point costs one for each seed, also where it diverges and the
//! rest of its runs is left out. So programs with the same budget have the same number of points to
//! try, whatever they do with them.
//!
//! The same program, task and settings give the same trials, on any number of threads: points are
//! tried in a fixed order, and only the runs of one point, or of the coarse grid, go side by side.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use symopt_cancel::CancelToken;
use symopt_dsl::Program;

use crate::constants::{Origin, Tuned};
use crate::error::TaskError;
use crate::suite::Suite;
use crate::task::{Candidate, Task, Verdict};

/// Positions are whole numbers of this many to a factor of two.
const NOTCHES: f64 = 2.0;
/// Steps of the search in notches: factors of 4, 2 and √2.
const STEPS: [i32; 3] = [4, 2, 1];
/// The averages of the second start are longer by a factor of 4, in notches.
const LONGER: i32 = 4;
/// The coarse grid: learning rates from 2^-12 to 16 by factors of 4, in notches.
const COARSE_LEARNING_RATES: std::ops::RangeInclusive<i32> = -24..=8;
/// Decays of the coarse grid, in notches: next to none, 0.5 and 8.
const COARSE_DECAYS: [i32; 3] = [-14, -2, 6];
/// No learning rate below or above these, in notches: 2^-30 to 2^14.
const LEARNING_RATES: (i32, i32) = (-60, 28);
/// No decay below or above these, in notches: 2^-10, where it does nothing in a run of a proxy
/// task, to 256.
const DECAYS: (i32, i32) = (-20, 16);
/// Smallest 1 - x of a share x: an average over some ten thousand steps.
const LEAST_LEFT: f64 = 1e-4;

/// Quantity that a dimension moves.
#[derive(Clone, Debug, PartialEq)]
pub enum Quantity {
    /// The peak learning rate.
    LearningRate,
    /// A hyperparameter that is moved by factors: `weight_decay`.
    Decay(String),
    /// A hyperparameter x between 0 and 1 of which 1 - x is moved by factors.
    Share {
        /// Its name.
        name: String,
        /// Where it starts.
        start: f64,
    },
}

/// One thing to tune.
#[derive(Clone, Debug, PartialEq)]
pub struct Dimension {
    /// The moved quantity.
    pub quantity: Quantity,
    /// Positions of the coarse grid, in notches.
    coarse: Vec<i32>,
    /// The least and the greatest position, in notches.
    range: (i32, i32),
}

impl Dimension {
    /// Returns its name in a program.
    pub fn name(&self) -> &str {
        match &self.quantity {
            Quantity::LearningRate => "lr",
            Quantity::Decay(name) | Quantity::Share { name, .. } => name,
        }
    }

    fn share(name: &str, start: f64) -> Dimension {
        // One notch up divides what is left by √2.
        let notches = |factor: f64| (NOTCHES * libm::log2(factor)).floor() as i32;
        let left = 1.0 - start;
        let range = (-notches(1.0 / left).max(0), notches(left / LEAST_LEFT).max(0));
        Dimension {
            quantity: Quantity::Share { name: name.to_owned(), start },
            coarse: vec![0],
            range,
        }
    }

    /// The value at a position for steps of a size, in as many digits as a suite file should hold.
    fn value(&self, position: i32, size: f64) -> f64 {
        let factor = libm::exp2(f64::from(position) / NOTCHES);
        match &self.quantity {
            Quantity::LearningRate => three_digits(factor / size),
            Quantity::Decay(_) => three_digits(factor * size),
            Quantity::Share { start, .. } if position == 0 => *start,
            Quantity::Share { start, .. } => {
                let share = 1.0 - three_digits((1.0 - start) / factor);
                format!("{share:.7}").parse().unwrap_or(share)
            }
        }
    }
}

fn three_digits(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
}

/// Returns the dimensions to tune of a program: the learning rate, if it takes one, whether or not
/// it states a conventional peak (one without a peak may hold it as a constant, of which the rate
/// is a multiple), `weight_decay`, and with `shares` every hyperparameter whose default is at least
/// one half and below one: these are the weights of averages, such as `beta1`, `alpha` of RMSProp,
/// or `nu` of quasi-hyperbolic momentum.
pub fn dimensions(program: &Program, shares: bool) -> Vec<Dimension> {
    let signature = program.signature();
    let mut found = Vec::new();
    if signature.learning_rate().is_some() {
        let coarse = COARSE_LEARNING_RATES.step_by(4).collect();
        found.push(Dimension { quantity: Quantity::LearningRate, coarse, range: LEARNING_RATES });
    }
    for (_, parameter) in signature.hyperparameters() {
        match parameter.default {
            _ if parameter.name == "weight_decay" => {
                let quantity = Quantity::Decay(parameter.name.clone());
                found.push(Dimension { quantity, coarse: COARSE_DECAYS.to_vec(), range: DECAYS });
            }
            Some(start) if shares && (0.5..1.0).contains(&start) => {
                found.push(Dimension::share(&parameter.name, start))
            }
            _ => {}
        }
    }
    found
}

/// How a search is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protocol {
    /// How many tuning seeds judge a point.
    pub seeds: usize,
    /// Training runs, at most. At least one point is tried.
    pub budget: usize,
    /// Whether the shares that averages keep are tuned too.
    pub shares: bool,
}

impl Default for Protocol {
    fn default() -> Protocol {
        Protocol { seeds: 16, budget: 4000, shares: true }
    }
}

impl Protocol {
    /// How many points the budget is enough for.
    pub fn points(&self) -> usize {
        (self.budget / self.seeds.max(1)).max(1)
    }
}

/// A point that was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Peak learning rate.
    pub peak_lr: f64,
    /// The other hyperparameters that are tuned.
    pub hyperparameters: Vec<(String, f64)>,
    /// Mean final validation loss over the tuning seeds; `None` if a run diverged.
    pub loss: Option<f64>,
}

impl Trial {
    /// The program as it is run at this point.
    pub fn candidate<'a>(&'a self, program: &'a Program) -> Candidate<'a> {
        Candidate { program, peak_lr: self.peak_lr, hyperparameters: &self.hyperparameters }
    }

    /// For a suite file, with how it was found.
    pub fn tuned(&self, program: &str, origin: Origin) -> Tuned {
        Tuned {
            program: program.to_owned(),
            peak_lr: self.peak_lr,
            hyperparameters: self.hyperparameters.clone(),
            averages: false,
            origin,
        }
    }
}

/// Why a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// No neighbour is better, from any start.
    Converged,
    /// The budget is used up.
    Budget,
    /// It was cancelled.
    #[serde(rename = "interrupted")]
    Cancelled,
}

/// Result of a search.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[must_use]
#[non_exhaustive]
pub struct Tuning {
    /// All points, in the order in which they were tried.
    pub trials: Vec<Trial>,
    /// The position of the best one; `None` if all diverge.
    pub best: Option<usize>,
    /// Training runs that count against the budget.
    pub runs: usize,
    /// Why it ended.
    pub end: End,
}

impl Tuning {
    /// The best trial; `None` if all diverge.
    pub fn best(&self) -> Option<&Trial> {
        self.best.and_then(|best| self.trials.get(best))
    }
}

/// Tunes a program on a task. Runs go side by side on the threads of the rayon pool that this is
/// called in. A search that is cancelled ends with what it has. `used` is told, from all threads,
/// how many training runs of the budget have been used since the last time.
pub fn search(
    task: &dyn Task,
    program: &Program,
    protocol: &Protocol,
    cancel: &CancelToken,
    used: &(dyn Fn(usize) + Sync),
) -> Result<Tuning, TaskError> {
    search_in_units(task, program, 1.0, protocol, cancel, used)
}

/// The same for a program whose steps, at a learning rate of 1, have another size than those of the
/// known optimizers: learning rates are tried in units of its inverse and decays in units of the
/// size, so that every position means the same for it as for others.
pub fn search_in_units(
    task: &dyn Task,
    program: &Program,
    size: f64,
    protocol: &Protocol,
    cancel: &CancelToken,
    used: &(dyn Fn(usize) + Sync),
) -> Result<Tuning, TaskError> {
    let loss = |candidate: &Candidate, seed: u64, is_first: bool| {
        let run = task.run(candidate, seed, cancel, &mut |_| Verdict::Continue)?;
        // A command that fails at the first try will hardly do better at the next.
        let run = if is_first { run.or_failed(task.name())? } else { run };
        Ok(run.final_metrics().map(|metrics| metrics.loss))
    };
    search_by(&loss, program, size, protocol, cancel, used)
}

/// Function to minimize: the loss of a candidate on a tuning seed, or `None` where it diverges. It
/// is told whether any other setting was tried before.
pub type Loss<'a> = &'a (dyn Fn(&Candidate, u64, bool) -> Result<Option<f64>, TaskError> + Sync);

/// The same for any loss, such as one over several tasks.
pub fn search_by(
    loss: Loss,
    program: &Program,
    size: f64,
    protocol: &Protocol,
    cancel: &CancelToken,
    used: &(dyn Fn(usize) + Sync),
) -> Result<Tuning, TaskError> {
    let mut search = Search {
        loss,
        program,
        size,
        dimensions: dimensions(program, protocol.shares),
        seeds: Suite::tuning_seeds(protocol.seeds.max(1)),
        points: protocol.points(),
        cancel,
        used,
        trials: Vec::new(),
        known: BTreeMap::new(),
    };
    let end = match search.run() {
        Ok(()) => End::Converged,
        Err(Halt::Budget) => End::Budget,
        Err(Halt::Failed(TaskError::Cancelled(_))) => End::Cancelled,
        Err(Halt::Failed(error)) => return Err(error),
    };
    let best = search.best().map(|(_, trial)| trial);
    let runs = search.trials.len() * search.seeds.len();
    Ok(Tuning { trials: search.trials, best, runs, end })
}

/// Reason why a search ends before it has converged.
enum Halt {
    Budget,
    Failed(TaskError),
}

/// A position in every dimension.
type Point = Vec<i32>;

/// A point with some of its positions moved.
fn moved(point: &Point, moves: &[(usize, i32)]) -> Point {
    let mut next = point.clone();
    for (dimension, by) in moves {
        if let Some(position) = next.get_mut(*dimension) {
            *position += by;
        }
    }
    next
}

struct Search<'a> {
    loss: Loss<'a>,
    program: &'a Program,
    size: f64,
    dimensions: Vec<Dimension>,
    seeds: Vec<u64>,
    /// How many may be tried.
    points: usize,
    cancel: &'a CancelToken,
    used: &'a (dyn Fn(usize) + Sync),
    trials: Vec<Trial>,
    /// The trial of a point.
    known: BTreeMap<Point, usize>,
}

impl Search<'_> {
    fn run(&mut self) -> Result<(), Halt> {
        self.try_grid()?;
        self.lower_until_finite()?;
        let Some((start, _)) = self.best() else { return Ok(()) };
        self.descend(start.clone())?;
        let mut longer = start.clone();
        for (position, dimension) in longer.iter_mut().zip(&self.dimensions) {
            if matches!(dimension.quantity, Quantity::Share { .. }) {
                *position = (*position + LONGER).min(dimension.range.1);
            }
        }
        if longer != start { self.descend(longer) } else { Ok(()) }
    }

    /// From a point to where no neighbour is better.
    fn descend(&mut self, mut best: Point) -> Result<(), Halt> {
        let mut directions = vec![1; best.len()];
        for step in STEPS {
            loop {
                let start = best.clone();
                self.move_one_by_one(step, &mut directions, &mut best)?;
                if best == start && step > 1 {
                    self.move_a_pair(step, &mut best)?;
                }
                if best == start {
                    break;
                }
                let ahead: Point =
                    best.iter().zip(&start).map(|(now, before)| 2 * now - before).collect();
                if self.is_better(&ahead, &best)? {
                    best = ahead;
                }
            }
        }
        Ok(())
    }

    /// Moves every dimension up or down in turn, where that is better.
    fn move_one_by_one(
        &mut self,
        step: i32,
        directions: &mut [i32],
        best: &mut Point,
    ) -> Result<(), Halt> {
        for (dimension, direction) in directions.iter_mut().enumerate() {
            // The direction that was the better one the last time goes first.
            for sign in [*direction, -*direction] {
                let next = moved(best, &[(dimension, sign * step)]);
                if self.is_better(&next, best)? {
                    *best = next;
                    *direction = sign;
                    break;
                }
            }
        }
        Ok(())
    }

    /// Moves two dimensions at the same time: the first two for which that is better. A longer
    /// average that needs a smaller learning rate, or two averages that only help if both are long,
    /// are found in no other way.
    fn move_a_pair(&mut self, step: i32, best: &mut Point) -> Result<(), Halt> {
        for first in 0..best.len() {
            for second in first + 1..best.len() {
                for (up, across) in [(step, step), (-step, -step), (step, -step), (-step, step)] {
                    let next = moved(best, &[(first, up), (second, across)]);
                    if self.is_better(&next, best)? {
                        *best = next;
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Tries the coarse grid, or as much of it as half of the budget is enough for: every second
    /// value of its longest side is left out until it fits.
    fn try_grid(&mut self) -> Result<(), Halt> {
        let mut sides: Vec<Vec<i32>> =
            self.dimensions.iter().map(|dimension| dimension.coarse.clone()).collect();
        while sides.iter().map(Vec::len).product::<usize>() > (self.points / 2).max(1) {
            // Learning rates matter more than decays: of these fewer will do.
            let length = |side: &Vec<i32>, dimension: &Dimension| {
                if dimension.quantity == Quantity::LearningRate {
                    side.len()
                } else {
                    2 * side.len()
                }
            };
            let longest = sides
                .iter_mut()
                .zip(&self.dimensions)
                .max_by_key(|(side, dimension)| length(side, dimension));
            let Some(longest) = longest.map(|(side, _)| side).filter(|side| side.len() > 1) else {
                break;
            };
            // With an odd number the ends stay, until only the middle is left.
            let first = usize::from(longest.len() <= 3);
            *longest = longest.iter().skip(first).step_by(2).copied().collect();
        }
        let mut grid: Vec<Point> = vec![Vec::new()];
        for side in &sides {
            let longer = |point: &Point| {
                side.iter()
                    .map(|position| [&point[..], &[*position]].concat())
                    .collect::<Vec<Point>>()
            };
            grid = grid.iter().flat_map(longer).collect();
        }
        grid.truncate(self.points);
        let losses: Vec<Result<Option<f64>, Halt>> =
            grid.par_iter().map(|point| self.train(point)).collect();
        for (point, loss) in grid.into_iter().zip(losses) {
            let loss = loss?;
            self.keep(point, loss);
        }
        Ok(())
    }

    /// Where the whole grid diverges, ever smaller learning rates may not.
    fn lower_until_finite(&mut self) -> Result<(), Halt> {
        let Some((mut point, _)) =
            self.known.first_key_value().map(|(point, trial)| (point.clone(), *trial))
        else {
            return Ok(());
        };
        let learning_rate = self
            .dimensions
            .iter()
            .position(|dimension| dimension.quantity == Quantity::LearningRate);
        let Some(learning_rate) = learning_rate else { return Ok(()) };
        while self.best().is_none() {
            if let Some(position) = point.get_mut(learning_rate) {
                *position -= STEPS[0];
            }
            if !self.is_inside(&point) {
                break;
            }
            self.loss(&point)?;
        }
        Ok(())
    }

    /// The point with the lowest loss, and its trial; of equals the one that was tried first.
    fn best(&self) -> Option<(Point, usize)> {
        let loss = |trial: usize| self.trials.get(trial).and_then(|trial| trial.loss);
        let finite = self
            .known
            .iter()
            .filter_map(|(point, trial)| loss(*trial).map(|loss| (loss, *trial, point)));
        finite
            .min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)))
            .map(|(_, trial, point)| (point.clone(), trial))
    }

    fn is_inside(&self, point: &Point) -> bool {
        point
            .iter()
            .zip(&self.dimensions)
            .all(|(position, dimension)| (dimension.range.0..=dimension.range.1).contains(position))
    }

    fn is_better(&mut self, point: &Point, than: &Point) -> Result<bool, Halt> {
        if !self.is_inside(point) {
            return Ok(false);
        }
        let infinite = |loss: Option<f64>| loss.unwrap_or(f64::INFINITY);
        Ok(infinite(self.loss(point)?) < infinite(self.loss(than)?))
    }

    /// The loss of a point, tried now if it has not been.
    fn loss(&mut self, point: &Point) -> Result<Option<f64>, Halt> {
        if let Some(trial) = self.known.get(point).and_then(|trial| self.trials.get(*trial)) {
            return Ok(trial.loss);
        }
        if self.trials.len() >= self.points {
            return Err(Halt::Budget);
        }
        let loss = self.train(point)?;
        self.keep(point.clone(), loss);
        Ok(loss)
    }

    fn keep(&mut self, point: Point, loss: Option<f64>) {
        let trial = self.trial(&point, loss);
        self.known.insert(point, self.trials.len());
        self.trials.push(trial);
    }

    fn trial(&self, point: &Point, loss: Option<f64>) -> Trial {
        let mut trial = Trial {
            peak_lr: self.program.signature().peak_learning_rate(),
            hyperparameters: Vec::new(),
            loss,
        };
        for (position, dimension) in point.iter().zip(&self.dimensions) {
            let value = dimension.value(*position, self.size);
            match &dimension.quantity {
                Quantity::LearningRate => trial.peak_lr = value,
                Quantity::Decay(name) | Quantity::Share { name, .. } => {
                    trial.hyperparameters.push((name.clone(), value))
                }
            }
        }
        trial
    }

    /// The mean final validation loss at a point.
    fn train(&self, point: &Point) -> Result<Option<f64>, Halt> {
        let trial = self.trial(point, None);
        let candidate = trial.candidate(self.program);
        let diverged = AtomicBool::new(false);
        let run = |seed: &u64| -> Result<f64, Halt> {
            if diverged.load(Ordering::Relaxed) {
                return Ok(f64::INFINITY);
            }
            self.cancel.check().map_err(|error| Halt::Failed(error.into()))?;
            let loss = (self.loss)(&candidate, *seed, self.trials.is_empty());
            match loss.map_err(Halt::Failed)? {
                Some(loss) if loss.is_finite() => Ok(loss),
                _ => {
                    diverged.store(true, Ordering::Relaxed);
                    Ok(f64::INFINITY)
                }
            }
        };
        let losses: Vec<Result<f64, Halt>> = self.seeds.par_iter().map(run).collect();
        (self.used)(self.seeds.len());
        let mut sum = 0.0;
        for loss in losses {
            sum += loss?;
        }
        Ok(Some(sum / self.seeds.len() as f64).filter(|loss| loss.is_finite()))
    }
}
