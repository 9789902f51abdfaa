//! What gives a program its fitness.

mod direction;
mod probe;
mod suite;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use symopt_dsl::{FunctionalHash, Program};
use symopt_proxy_tasks::suite::Suite;
use symopt_proxy_tasks::task::{TaskError, Verdict};

pub use self::direction::{DirectionJudge, Scores};
pub use self::suite::SuiteJudge;
use crate::cache::Evaluation;
use crate::config::{Form, Screen, SearchConfig};
use crate::inner_tuning::Setting;

/// What is to be judged.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The program.
    pub program: &'a Program,
    /// Which seeds: a search whose seeds change counts epochs from 0.
    pub epoch: u64,
    /// Where the program, or its parent, did best on each task. Empty if that is not known.
    pub start: &'a [Setting],
}

impl<'a> Request<'a> {
    /// A program in the first epoch.
    pub fn new(program: &'a Program) -> Request<'a> {
        Request { program, epoch: 0, start: &[] }
    }
}

/// What a program does on recorded gradients.
#[derive(Clone, Debug, PartialEq)]
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
pub enum Rejection {
    /// What it returns is not finite, or zero.
    NotFinite,
    /// It does not pass a screen.
    Screen(Screen),
}

/// Gives programs their fitness. The same request always gets the same evaluation, bit for bit.
pub trait Judge: Sync {
    /// Checkpoints of a completed evaluation.
    fn checkpoints(&self) -> usize;

    /// Evaluates a program. `watch` sees each checkpoint's number and running fitness; when it says stop, the fitness is hopeless.
    fn judge(&self, request: &Request, watch: &mut dyn FnMut(usize, f64) -> Verdict) -> Result<Evaluation, TaskError>;

    /// What a program does on recorded gradients, in a small part of the time of an evaluation; `None` if this judge does not look.
    fn probe(&self, _program: &Program) -> Option<Probe> {
        None
    }
}

/// The judge that the settings of a search ask for.
pub fn of_config(config: &SearchConfig, suite: &Arc<Suite>) -> Result<Box<dyn Judge>, TaskError> {
    let suite = Arc::clone(suite);
    Ok(match config.fitness.form {
        Form::Program if config.fitness.rotate == 0 => Box::new(SuiteJudge::new(suite)?),
        Form::Program => Box::new(SuiteJudge::rotating(suite, config.seed)?),
        Form::Direction => Box::new(DirectionJudge::new(suite, config)?),
    })
}

/// Something made once for each epoch, the last few of which are kept.
struct PerEpoch<T>(Mutex<BTreeMap<u64, Arc<T>>>);

/// Epochs that are kept.
const KEPT: usize = 4;

impl<T> PerEpoch<T> {
    fn new() -> PerEpoch<T> {
        PerEpoch(Mutex::default())
    }

    /// What belongs to an epoch. It is made while others wait, so that it is made once.
    fn of(&self, epoch: u64, make: impl FnOnce() -> Result<T, TaskError>) -> Result<Arc<T>, TaskError> {
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
