//! Directions as they are trained: the whole program, with the peak learning rate and the decay
//! that suit it on each task.

use std::sync::Arc;

use symopt_cancel::CancelToken;
use symopt_dsl::Program;
use symopt_dsl::program::ParameterKind;
use symopt_proxy_tasks::error::TaskError;
use symopt_proxy_tasks::suite::{Suite, WeightedTask};
use symopt_proxy_tasks::task::{Candidate, Verdict};

use super::{DirectionJudge, Judge, Request, probe};
use crate::config::{FitnessConfig, Form, SearchConfig};
use crate::judge::form::{WEIGHT_DECAY, complete};
use crate::judge::inner_tuning::{Setting, median};
use crate::judge::purpose::Purpose;

/// A peak learning rate, and hyperparameters by name.
pub type Constants = (f64, Vec<(String, f64)>);

/// A direction that is ready to be trained on some tasks.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Settled {
    /// The whole program.
    pub program: Program,
    /// For each task the peak learning rate, and the decay as the hyperparameter of
    /// [`Settled::program`].
    pub constants: Vec<Constants>,
}

impl Settled {
    /// A direction in the settings that are known for tasks, one for each, or, on tasks that none
    /// is known for, in the median of them. `None` if it is no direction, if nothing is known, or
    /// if what it returns on a task's gradients is not finite.
    pub fn new(
        direction: &Program,
        settings: &[Setting],
        tasks: &[WeightedTask],
        cancel: &CancelToken,
    ) -> Result<Option<Settled>, TaskError> {
        let (Some(program), Some(middle)) = (complete(direction), median(settings)) else {
            return Ok(None);
        };
        let mut constants = Vec::with_capacity(tasks.len());
        for (place, task) in tasks.iter().enumerate() {
            let setting = settings.get(place).copied().unwrap_or(middle);
            let Some(rms) = probe::size_on(task, &program, cancel)? else { return Ok(None) };
            constants.push((
                setting.peak_lr(rms),
                vec![(WEIGHT_DECAY.to_owned(), setting.weight_decay(rms))],
            ));
        }
        Ok(Some(Settled { program, constants }))
    }

    /// A direction in the settings that suit it on the tasks of a suite, found on so many tuning
    /// seeds that no search has, from a start if there is one. `None` if it can't be trained there.
    pub fn tuned(
        direction: &Program,
        suite: Suite,
        start: Option<Setting>,
        tuning_seeds: usize,
        cancel: &CancelToken,
    ) -> Result<Option<Settled>, TaskError> {
        let suite = Arc::new(suite);
        let judge = judge_of_directions(&suite, Purpose::Training, 1, tuning_seeds, cancel)?;
        let start: Vec<Setting> =
            start.iter().map(|start| vec![*start; suite.tasks.len()]).next().unwrap_or_default();
        let request = Request { start: &start, ..Request::new(direction) };
        let evaluation = judge.judge(&request, cancel, &mut |_, _| Verdict::Continue)?;
        Settled::new(direction, &evaluation.settings, &suite.tasks, cancel)
    }

    /// How it is run on each task.
    pub fn candidates(&self) -> Vec<Candidate<'_>> {
        let constants = self.constants.iter();
        constants
            .map(|(peak_lr, hyperparameters)| Candidate {
                program: &self.program,
                peak_lr: *peak_lr,
                hyperparameters,
            })
            .collect()
    }

    /// The whole program with the means over the tasks as the defaults of its learning rate and
    /// decay, to three digits: what it is used with where nobody says more.
    pub fn with_defaults(&self) -> Program {
        let mean = |of: &dyn Fn(&Constants) -> f64| {
            let sum: f64 = self.constants.iter().map(|constants| libm::log(of(constants))).sum();
            let mean = libm::exp(sum / self.constants.len().max(1) as f64);
            format!("{mean:.2e}").parse().unwrap_or(mean)
        };
        let peak_lr = mean(&|(peak_lr, _)| *peak_lr);
        let decay =
            mean(&|(_, hyperparameters)| hyperparameters.first().map_or(0.0, |(_, value)| *value));
        let mut signature = self.program.signature().clone();
        for parameter in &mut signature.parameters {
            match parameter.kind {
                ParameterKind::LearningRate => parameter.default = Some(peak_lr),
                ParameterKind::Hyperparameter if parameter.name == WEIGHT_DECAY => {
                    parameter.default = Some(decay)
                }
                _ => {}
            }
        }
        self.program.with_signature(signature)
    }
}

/// A judge of directions on seeds that no search has, without screens: these belong to a search.
pub fn judge_of_directions(
    suite: &Arc<Suite>,
    purpose: Purpose,
    seeds: usize,
    tuning_seeds: usize,
    cancel: &CancelToken,
) -> Result<DirectionJudge, TaskError> {
    let fitness = FitnessConfig {
        form: Form::Direction,
        seeds,
        tuning_seeds,
        screens: Vec::new(),
        ..FitnessConfig::default()
    };
    DirectionJudge::new(
        Arc::clone(suite),
        &SearchConfig { seed: purpose.search(), fitness, ..SearchConfig::default() },
        cancel,
    )
}
