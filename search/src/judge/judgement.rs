//! Judgements as jobs: a program on a suite, with all training runs that its fitness takes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use symopt_cancel::CancelToken;
use symopt_proxy_tasks::error::{Failure, TaskError};
use symopt_proxy_tasks::executor::Elsewhere;
use symopt_proxy_tasks::job::{JobKind, bits};
use symopt_proxy_tasks::suite::{Baseline, Fitness};
use symopt_proxy_tasks::task::Verdict;
use symopt_proxy_tasks::training_run::ProgramText;

use super::Request;
use crate::config::FitnessConfig;
use crate::judge::evaluation::Evaluation;
use crate::judge::inner_tuning::Setting;

/// Everything that judges must share to give the same request the same evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bench {
    /// The form of the programs, the seeds that a direction is tuned and judged on, the screens.
    pub fitness: FitnessConfig,
    /// The seed of the search, which the seeds of epochs follow from; `None` for a suite that is
    /// judged on its own seeds.
    pub search: Option<u64>,
    /// The seeds of the suite.
    pub seeds: Vec<u64>,
    /// The epoch.
    pub epoch: u64,
    /// AdamW's losses on the seeds of the epoch.
    pub baseline: Baseline,
}

/// A program to be judged by a bench.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Judgement {
    pub bench: Bench,
    pub program: ProgramText,
    pub start: Vec<Setting>,
    #[serde(with = "bits::list")]
    pub thresholds: Vec<f64>,
}

/// Result of a judgement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Judged {
    /// An evaluation.
    Evaluated(Evaluated),
    /// A run failed where nothing can be said without it.
    Failed {
        /// The task.
        task: String,
        /// Failure of the run.
        failure: Failure,
    },
}

/// An evaluation as a value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Evaluated {
    fitness: FitnessValue,
    #[serde(with = "bits::list")]
    curve: Vec<f64>,
    #[serde(with = "bits")]
    standard_error: f64,
    seeds: u32,
    settings: Vec<Setting>,
    failure: Option<Failure>,
    #[serde(with = "bits::list")]
    by_seed: Vec<f64>,
}

/// A fitness, with the bits of an improvement.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum FitnessValue {
    Diverged,
    Screened,
    Failed,
    Hopeless(usize),
    Improvement(#[serde(with = "bits")] f64),
}

impl Evaluated {
    /// An evaluation, with the fitness on each judging seed of a direction.
    pub(super) fn new(evaluation: &Evaluation, by_seed: Vec<f64>) -> Evaluated {
        Evaluated {
            fitness: match evaluation.fitness {
                Fitness::Diverged => FitnessValue::Diverged,
                Fitness::Screened => FitnessValue::Screened,
                Fitness::Failed => FitnessValue::Failed,
                Fitness::Hopeless { checkpoint } => FitnessValue::Hopeless(checkpoint),
                Fitness::Improvement(value) => FitnessValue::Improvement(value),
            },
            curve: evaluation.curve.to_vec(),
            standard_error: evaluation.standard_error,
            seeds: evaluation.seeds,
            settings: evaluation.settings.to_vec(),
            failure: evaluation.failure.as_deref().cloned(),
            by_seed,
        }
    }

    fn evaluation(self) -> (Evaluation, Vec<f64>) {
        let evaluation = Evaluation {
            fitness: match self.fitness {
                FitnessValue::Diverged => Fitness::Diverged,
                FitnessValue::Screened => Fitness::Screened,
                FitnessValue::Failed => Fitness::Failed,
                FitnessValue::Hopeless(checkpoint) => Fitness::Hopeless { checkpoint },
                FitnessValue::Improvement(value) => Fitness::Improvement(value),
            },
            curve: self.curve.into(),
            standard_error: self.standard_error,
            seeds: self.seeds,
            settings: self.settings.into(),
            failure: self.failure.map(Arc::new),
        };
        (evaluation, self.by_seed)
    }
}

/// Has a program judged elsewhere, and shows the watcher its checkpoints once they are here. The
/// [thresholds](Request::thresholds) of the request stop the evaluation there.
pub(super) fn judge(
    elsewhere: &Elsewhere,
    bench: Bench,
    request: &Request,
    cancel: &CancelToken,
    watch: &mut dyn FnMut(usize, f64) -> Verdict,
) -> Result<(Evaluation, Vec<f64>), TaskError> {
    let judgement = Judgement {
        bench,
        program: ProgramText::new(request.program),
        start: request.start.to_vec(),
        thresholds: request.thresholds.to_vec(),
    };
    match elsewhere.execute(JobKind::Judgement, &judgement, cancel)? {
        Judged::Failed { task, failure } => Err(TaskError::Failed { task, failure }),
        Judged::Evaluated(evaluated) => {
            let (evaluation, by_seed) = evaluated.evaluation();
            // It is over, whatever the watcher says.
            for (checkpoint, running) in evaluation.curve.iter().enumerate() {
                watch(checkpoint, *running);
            }
            Ok((evaluation, by_seed))
        }
    }
}
