//! A task as TOML.

use serde::{Deserialize, Serialize};

use super::data::DataSpec;
use super::limits::at_least_one;
use super::model::ModelSpec;
use super::problem_builder::{Builder, Wanted};
use crate::constants::{self, Tuned};
use crate::error::TaskError;
use crate::run::schedule::Schedule;
use crate::run::training::TrainingTask;
use crate::suite::WeightedTask;

/// A task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSpec {
    /// Unique in the suite.
    pub name: String,
    /// Weight in the fitness.
    #[serde(default = "one")]
    pub weight: f64,
    /// Training steps.
    pub steps: usize,
    /// Examples in a batch.
    pub batch: usize,
    /// How often the validation loss is taken.
    #[serde(default = "four")]
    pub checkpoints: usize,
    /// Schedule of the learning rate.
    #[serde(default)]
    pub schedule: Schedule,
    /// Training examples.
    pub training: Option<usize>,
    /// Validation examples.
    #[serde(default = "five_hundred_and_twelve")]
    pub validation: usize,
    /// Share of the training labels that are random.
    #[serde(default)]
    pub label_noise: f64,
    /// Where the examples come from.
    pub data: DataSpec,
    /// The model.
    pub model: ModelSpec,
    /// Tuned constants of zoo programs.
    #[serde(default)]
    pub tuned: Vec<Tuned>,
}

fn one() -> f64 {
    1.0
}

fn four() -> usize {
    4
}

fn five_hundred_and_twelve() -> usize {
    512
}

impl TaskSpec {
    /// The task. `place` says in errors where the description stands.
    pub fn task(self, place: &str) -> Result<WeightedTask, TaskError> {
        self.check()
            .map_err(|reason| TaskError::Description { place: place.to_owned(), reason })?;
        let TaskSpec {
            name,
            weight,
            steps,
            batch,
            checkpoints,
            schedule,
            training,
            validation,
            label_noise,
            data,
            model,
            tuned,
        } = self;
        let wanted = Wanted {
            task: name.clone(),
            place: place.to_owned(),
            batch,
            training,
            validation,
            label_noise,
        };
        let builder = Builder::new(data, model, wanted);
        let task = TrainingTask::new(name, Box::new(builder), steps, batch, schedule, checkpoints);
        Ok(WeightedTask { task: Box::new(task), weight, tuned })
    }

    /// Checks the description, as far as that is possible without its data.
    fn check(&self) -> Result<(), String> {
        if self.name.trim().is_empty() || self.name.contains('/') {
            return Err("`name` must not be empty and has no `/`".to_owned());
        }
        at_least_one("steps", self.steps)?;
        at_least_one("batch", self.batch)?;
        at_least_one("checkpoints", self.checkpoints)?;
        at_least_one("validation", self.validation)?;
        at_least_one("training", self.training.unwrap_or(1))?;
        if self.steps.saturating_mul(self.batch) > 1 << 31 {
            return Err("`steps` times `batch` is above 2^31".to_owned());
        }
        if self.checkpoints > self.steps {
            return Err(format!(
                "`checkpoints` = {} are more than the {} steps",
                self.checkpoints, self.steps
            ));
        }
        if !(self.weight > 0.0 && self.weight.is_finite()) {
            return Err(format!("`weight` = {} must be above 0", self.weight));
        }
        if !(0.0..=1.0).contains(&self.label_noise) {
            return Err(format!("`label_noise` = {} must be from 0 to 1", self.label_noise));
        }
        if let Schedule::WarmupCosine { warmup } = self.schedule
            && !(0.0..=1.0).contains(&warmup)
        {
            return Err(format!(
                "`warmup` = {warmup} must be from 0 to 1, the part of the steps that warm up"
            ));
        }
        constants::check(&self.tuned)?;
        self.data.check(self.training, self.validation)?;
        self.model.check(&self.data, self.label_noise)
    }
}
