//! Judges, which give programs their fitness.

pub mod evaluation;
pub mod form;
pub mod inner_tuning;
pub mod purpose;

mod benches;
mod direction;
mod judgement;
mod probe;
mod settled;
mod suite;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use symopt_cancel::CancelToken;
use symopt_dsl::{FunctionalHash, Program};
use symopt_proxy_tasks::error::TaskError;
use symopt_proxy_tasks::suite::{Baseline, Suite};
use symopt_proxy_tasks::task::Verdict;

pub use self::benches::Benches;
pub use self::direction::{DirectionJudge, Scores};
pub use self::probe::size_on;
pub use self::settled::{Constants, Settled, judge_of_directions};
pub use self::suite::SuiteJudge;
use crate::config::{Form, Screen, SearchConfig};
use crate::judge::evaluation::Evaluation;
use crate::judge::inner_tuning::Setting;

/// Request for a judgement.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The program.
    pub program: &'a Program,
    /// Which seeds: a search whose seeds change counts epochs from 0.
    pub epoch: u64,
    /// Where the program, or its parent, did best on each task. Empty if that is not known.
    pub start: &'a [Setting],
    /// The running fitness at each checkpoint below which the program is hopeless; empty if it is
    /// judged to the end. A judge that has others do the work sends them along, since it can't ask
    /// its watcher; others leave them to the watcher.
    pub thresholds: &'a [f64],
}

impl<'a> Request<'a> {
    /// A program in the first epoch.
    pub fn new(program: &'a Program) -> Request<'a> {
        Request { program, epoch: 0, start: &[], thresholds: &[] }
    }

    /// Whether a running fitness at a checkpoint is hopeless by the thresholds.
    pub fn verdict(&self, checkpoint: usize, running: f64) -> Verdict {
        let hopeless =
            self.thresholds.get(checkpoint).is_some_and(|threshold| running < *threshold);
        if hopeless { Verdict::Stop } else { Verdict::Continue }
    }
}

/// Behaviour of a program on recorded gradients.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Probe {
    /// The same for programs that do the same, up to rounding and a factor.
    pub fingerprint: FunctionalHash,
    /// The root mean square of the direction on each task's gradients.
    pub rms: Arc<[f64]>,
    /// Why the program is not to be trained.
    pub rejected: Option<Rejection>,
}

/// Why a program is not to be trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejection {
    /// Its result is not finite, or zero.
    NotFinite,
    /// It does not pass a screen.
    Screen(Screen),
}

/// Gives programs their fitness. The same request always gets the same evaluation, bit for bit,
/// unless a task is external.
pub trait Judge: Sync {
    /// Checkpoints of a completed evaluation.
    fn checkpoints(&self) -> usize;

    /// Evaluates a program. `watch` sees each checkpoint's number and running fitness; when it says
    /// stop, the fitness is hopeless. Once `cancel` is cancelled, the evaluation ends soon with
    /// [`TaskError::Cancelled`]: the search waits for that.
    fn judge(
        &self,
        request: &Request,
        cancel: &CancelToken,
        watch: &mut dyn FnMut(usize, f64) -> Verdict,
    ) -> Result<Evaluation, TaskError>;

    /// Whether the same request gets the same evaluation when it is made again. If not, a search
    /// keeps what it needs to go on.
    fn is_repeatable(&self) -> bool {
        true
    }

    /// The baselines that were made since this was asked last, with their epochs, if they can't be
    /// made again.
    fn new_baselines(&self) -> Vec<(u64, Baseline)> {
        Vec::new()
    }

    /// Runs a program on recorded gradients, in a small part of the time of an evaluation; `None`
    /// if this judge does not look.
    fn probe(&self, _program: &Program) -> Option<Probe> {
        None
    }
}

/// The seeds that a search judges programs on before they change.
pub fn first_seeds(config: &SearchConfig, suite: &Suite) -> Vec<u64> {
    let fitness = &config.fitness;
    match fitness.form {
        Form::Program if fitness.rotate == 0 => suite.seeds.clone(),
        Form::Program => Suite::rotating_seeds(config.seed, 0, suite.seeds.len()),
        Form::Direction => {
            Suite::rotating_seeds(config.seed, 0, fitness.tuning_seeds + fitness.seeds)
                .split_off(fitness.tuning_seeds)
        }
    }
}

/// The judge that the settings of a search ask for.
pub fn of_config(
    config: &SearchConfig,
    suite: &Arc<Suite>,
    cancel: &CancelToken,
) -> Result<Box<dyn Judge>, TaskError> {
    with_baselines(config, suite, Vec::new(), cancel)
}

/// The same with baselines that are known, by epoch, and can't be made again.
pub fn with_baselines(
    config: &SearchConfig,
    suite: &Arc<Suite>,
    known: Vec<(u64, Baseline)>,
    cancel: &CancelToken,
) -> Result<Box<dyn Judge>, TaskError> {
    let suite = Arc::clone(suite);
    let known = Baselines::new(known, config.limits.end());
    Ok(match config.fitness.form {
        Form::Program if config.fitness.rotate == 0 => {
            Box::new(SuiteJudge::on(suite, None, known, cancel)?)
        }
        Form::Program => Box::new(SuiteJudge::on(suite, Some(config.seed), known, cancel)?),
        Form::Direction => Box::new(DirectionJudge::with_baselines(suite, config, known, cancel)?),
    })
}

/// Baselines of a suite with external tasks, which can't be made again: those that are known from
/// before, and those that were made since.
#[derive(Default)]
struct Baselines {
    known: BTreeMap<u64, Baseline>,
    /// When the first one must be there: the time limit of the search, which looks at it by itself
    /// from then on.
    end: Mutex<Option<Instant>>,
    made: Mutex<Vec<(u64, Baseline)>>,
}

impl Baselines {
    fn new(known: Vec<(u64, Baseline)>, end: Option<Instant>) -> Baselines {
        Baselines {
            known: known.into_iter().collect(),
            end: Mutex::new(end),
            made: Mutex::default(),
        }
    }

    /// The baseline of an epoch on its seeds.
    fn of(
        &self,
        epoch: u64,
        suite: &Suite,
        seeds: &[u64],
        cancel: &CancelToken,
    ) -> Result<Baseline, TaskError> {
        if let Some(known) = self.known.get(&epoch) {
            return Ok(known.clone());
        }
        let end = self.end.lock().unwrap_or_else(PoisonError::into_inner).take();
        let baseline = suite.baseline_until(seeds, end, cancel)?;
        if suite.is_external() {
            self.made
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((epoch, baseline.clone()));
        }
        Ok(baseline)
    }

    /// The first epoch that a baseline is known for; the first of all if none is.
    fn first(&self) -> u64 {
        self.known.keys().next().copied().unwrap_or(0)
    }

    fn take_new(&self) -> Vec<(u64, Baseline)> {
        std::mem::take(&mut *self.made.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Something made once for each epoch, the last few of which are kept.
struct PerEpoch<T>(Mutex<BTreeMap<u64, Arc<T>>>);

/// Epochs that are kept.
const KEPT: usize = 4;

impl<T> PerEpoch<T> {
    fn new() -> PerEpoch<T> {
        PerEpoch(Mutex::default())
    }

    /// Returns the value of an epoch. It is made while others wait, so that it is made once.
    fn of(
        &self,
        epoch: u64,
        make: impl FnOnce() -> Result<T, TaskError>,
    ) -> Result<Arc<T>, TaskError> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = kept.get(&epoch) {
            return Ok(Arc::clone(known));
        }
        let made = Arc::new(make()?);
        if kept.len() >= KEPT {
            kept.pop_first();
        }
        kept.insert(epoch, Arc::clone(&made));
        Ok(made)
    }
}

/// A curve value can be infinite where a loss overflows; the journal keeps finite numbers only.
fn finite(value: f64) -> f64 {
    if value.is_finite() { value } else { f64::MIN }
}
