//! External tasks in suites.

use serde::{Deserialize, Serialize};

use super::{ExternalTask, PROGRAM};
use crate::constants::{self, Origin, Tuned};
use crate::error::TaskError;
use crate::suite::{BASELINE, WeightedTask};

/// Most seconds of a limit: more than any run takes, and a time that clocks can hold.
const MOST_SECONDS: f64 = 1e7;
/// Most checkpoints.
const MOST_CHECKPOINTS: usize = 10_000;

/// An `[[external]]` table of a suite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalSpec {
    /// Unique in the suite.
    pub name: String,
    /// Weight in the fitness.
    #[serde(default = "one")]
    pub weight: f64,
    /// The command, as the shell reads it.
    pub command: String,
    /// Training steps that the command is asked for; its own business if there is no such number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
    /// Points of the curve; 1 is the result alone.
    #[serde(default = "four")]
    pub checkpoints: usize,
    /// A run is killed after so many seconds.
    #[serde(default = "ten_minutes")]
    pub seconds: f64,
    /// So many more for a process that has just been started.
    #[serde(default = "a_minute")]
    pub startup_seconds: f64,
    /// Form in which programs are written for the command.
    #[serde(default = "program")]
    pub export: String,
    /// Constants of zoo programs, with where they come from; AdamW's own defaults, if it is not
    /// there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tuned: Vec<Tuned>,
}

fn one() -> f64 {
    1.0
}

fn four() -> usize {
    4
}

fn ten_minutes() -> f64 {
    600.0
}

fn a_minute() -> f64 {
    60.0
}

fn program() -> String {
    PROGRAM.to_owned()
}

impl ExternalSpec {
    /// A command, with the defaults for everything else.
    pub fn new(name: &str, command: &str) -> ExternalSpec {
        ExternalSpec {
            name: name.to_owned(),
            weight: one(),
            command: command.to_owned(),
            steps: None,
            checkpoints: four(),
            seconds: ten_minutes(),
            startup_seconds: a_minute(),
            export: program(),
            tuned: Vec::new(),
        }
    }

    /// The task. `place` says in errors where the description stands.
    pub fn task(mut self, place: &str) -> Result<WeightedTask, TaskError> {
        self.check()
            .map_err(|reason| TaskError::Description { place: place.to_owned(), reason })?;
        let (weight, mut tuned) = (self.weight, std::mem::take(&mut self.tuned));
        if !tuned.iter().any(|tuned| tuned.program == BASELINE && !tuned.averages) {
            let peak_lr = symopt_programs::adamw().program().signature().peak_learning_rate();
            tuned.push(Tuned {
                program: BASELINE.to_owned(),
                peak_lr,
                hyperparameters: Vec::new(),
                averages: false,
                origin: Origin::Untuned,
            });
        }
        Ok(WeightedTask { task: Box::new(ExternalTask::new(self)), weight, tuned })
    }

    fn check(&self) -> Result<(), String> {
        if self.name.trim().is_empty() || self.name.contains('/') {
            return Err("`name` must not be empty and has no `/`".to_owned());
        }
        if self.command.trim().is_empty() || self.command.contains('\0') {
            return Err("`command` must be what you would type to start the script, such as command = \"python train.py\"".to_owned());
        }
        if self.steps.is_some_and(|steps| steps == 0 || steps > 1 << 40) {
            return Err(
                "`steps` must be at least 1, and no more than 2^40; without it the command decides"
                    .to_owned(),
            );
        }
        if !(1..=MOST_CHECKPOINTS).contains(&self.checkpoints) {
            return Err(format!(
                "`checkpoints` = {} must be from 1 to {MOST_CHECKPOINTS}",
                self.checkpoints
            ));
        }
        if !(self.weight > 0.0 && self.weight.is_finite()) {
            return Err(format!("`weight` = {} must be above 0", self.weight));
        }
        for (name, seconds) in
            [("seconds", self.seconds), ("startup_seconds", self.startup_seconds)]
        {
            if !(seconds > 0.0 && seconds <= MOST_SECONDS) {
                return Err(format!(
                    "`{name}` = {seconds} must be above 0, and at most {MOST_SECONDS}"
                ));
            }
        }
        constants::check(&self.tuned)
    }
}
