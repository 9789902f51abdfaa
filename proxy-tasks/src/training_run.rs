//! Training runs as jobs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use symopt_cancel::CancelToken;
use symopt_dsl::{Graph, Program};
use symopt_programs::source;

use crate::error::TaskError;
use crate::executor::Elsewhere;
use crate::job::{JobKind, bits};
use crate::run::{Checkpoint, Metrics, Run, StopReason};
use crate::suite::Suite;
use crate::task::{Candidate, Recording, ResumableTask, RunCount, Task, TaskDescription, Verdict};

/// A program as a value: its text, and its functional hash if it is well typed, which must be that
/// of the program that the text is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramText {
    text: String,
    hash: Option<String>,
}

impl ProgramText {
    /// The text and the hash of a program.
    pub fn new(program: &Program) -> ProgramText {
        let hash = Graph::new(program).ok().map(|graph| graph.hash().to_string());
        ProgramText { text: program.to_string(), hash }
    }

    /// The program.
    pub fn program(&self) -> Result<Program, TaskError> {
        let wrong = |reason: String| TaskError::Elsewhere {
            place: "the program of a job".to_owned(),
            reason,
        };
        let program =
            source::parse("the program of a job", &self.text).map_err(|e| wrong(e.to_string()))?;
        let hash = Graph::new(&program).ok().map(|graph| graph.hash().to_string());
        if hash == self.hash {
            return Ok(program);
        }
        let name = |hash: &Option<String>| hash.clone().unwrap_or_else(|| "none".to_owned());
        Err(wrong(format!(
            "its functional hash is {} here and {} where it was sent; use the same release everywhere",
            name(&hash),
            name(&self.hash)
        )))
    }
}

/// One training run: a program, and how it is run, on a task of the suite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingRun {
    task: String,
    program: ProgramText,
    #[serde(with = "bits")]
    peak_lr: f64,
    hyperparameters: Vec<Hyperparameter>,
    seed: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hyperparameter {
    name: String,
    #[serde(with = "bits")]
    value: f64,
}

/// Result of a training run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Trained {
    curve: Vec<Point>,
    /// Points that a watcher saw, where they are not the curve: the script of an external task may
    /// have a curve of its own.
    seen: Option<Vec<Point>>,
    stop: StopReason,
    seconds: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Point {
    step: usize,
    #[serde(with = "bits")]
    training_loss: f64,
    #[serde(with = "bits")]
    loss: f64,
    accuracy: Option<u64>,
}

impl From<&Checkpoint> for Point {
    fn from(checkpoint: &Checkpoint) -> Point {
        Point {
            step: checkpoint.step,
            training_loss: checkpoint.training_loss,
            loss: checkpoint.validation.loss,
            accuracy: checkpoint.validation.accuracy.map(f64::to_bits),
        }
    }
}

impl From<Point> for Checkpoint {
    fn from(point: Point) -> Checkpoint {
        Checkpoint {
            step: point.step,
            training_loss: point.training_loss,
            validation: Metrics { loss: point.loss, accuracy: point.accuracy.map(f64::from_bits) },
        }
    }
}

impl TrainingRun {
    /// Trains on a suite that is here. The result is a job's [`Done`](crate::job::Outcome::Done).
    pub fn train(
        &self,
        suite: &Suite,
        cancel: &CancelToken,
    ) -> Result<serde_json::Value, TaskError> {
        let weighted =
            suite.tasks.iter().find(|weighted| weighted.task.name() == self.task).ok_or_else(
                || TaskError::Elsewhere {
                    place: format!("suite {}", suite.name),
                    reason: format!("it has no task {}", self.task),
                },
            )?;
        let program = self.program.program()?;
        let hyperparameters: Vec<(String, f64)> =
            self.hyperparameters.iter().map(|h| (h.name.clone(), h.value)).collect();
        let candidate = Candidate {
            program: &program,
            peak_lr: self.peak_lr,
            hyperparameters: &hyperparameters,
        };
        let mut seen: Vec<Point> = Vec::new();
        let run = weighted.task.run(&candidate, self.seed, cancel, &mut |checkpoint| {
            seen.push(checkpoint.into());
            Verdict::Continue
        })?;
        let curve: Vec<Point> = run.curve.iter().map(Point::from).collect();
        let trained = Trained {
            seen: (weighted.task.is_external()).then_some(seen),
            curve,
            stop: run.stop,
            seconds: run.elapsed.as_secs_f64(),
        };
        serde_json::to_value(trained).map_err(|error| TaskError::Elsewhere {
            place: format!("task {}", self.task),
            reason: error.to_string(),
        })
    }
}

/// A task whose training runs are jobs.
pub(crate) struct TaskElsewhere {
    task: Box<dyn Task>,
    elsewhere: Elsewhere,
    made: AtomicU64,
    failed: AtomicU64,
}

impl TaskElsewhere {
    /// A task, whose runs are done elsewhere.
    pub(crate) fn new(task: Box<dyn Task>, elsewhere: Elsewhere) -> TaskElsewhere {
        TaskElsewhere { task, elsewhere, made: AtomicU64::new(0), failed: AtomicU64::new(0) }
    }
}

impl Task for TaskElsewhere {
    fn name(&self) -> &str {
        self.task.name()
    }

    fn describe(&self) -> Result<TaskDescription, TaskError> {
        self.task.describe()
    }

    fn checkpoints(&self) -> usize {
        self.task.checkpoints()
    }

    fn run(
        &self,
        candidate: &Candidate,
        seed: u64,
        cancel: &CancelToken,
        watch: &mut dyn FnMut(&Checkpoint) -> Verdict,
    ) -> Result<Run, TaskError> {
        let job = TrainingRun {
            task: self.task.name().to_owned(),
            program: ProgramText::new(candidate.program),
            peak_lr: candidate.peak_lr,
            hyperparameters: candidate
                .hyperparameters
                .iter()
                .map(|(name, value)| Hyperparameter { name: name.clone(), value: *value })
                .collect(),
            seed,
        };
        self.made.fetch_add(1, Ordering::Relaxed);
        let trained: Trained = self.elsewhere.execute(JobKind::TrainingRun, &job, cancel)?;
        let Trained { curve, seen, stop, seconds } = trained;
        if matches!(stop, StopReason::Failed(_)) {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        // No clock is to be trusted with more than a duration can be.
        let elapsed = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let curve: Vec<Checkpoint> = curve.into_iter().map(Checkpoint::from).collect();
        let seen = seen
            .map_or_else(|| curve.clone(), |seen| seen.into_iter().map(Checkpoint::from).collect());
        // The watcher sees afterwards what it would have seen on the way. A run that it stops
        // before its last checkpoint has gone on in vain, and ends here as it would have there.
        for (index, checkpoint) in seen.iter().enumerate() {
            if watch(checkpoint) == Verdict::Stop && index + 1 < self.task.checkpoints() {
                let stop = StopReason::Stopped { step: checkpoint.step };
                return Ok(Run { curve: seen[..=index].to_vec(), stop, elapsed });
            }
        }
        Ok(Run { curve, stop, elapsed })
    }

    fn is_external(&self) -> bool {
        self.task.is_external()
    }

    fn is_checked(&self) -> bool {
        self.task.is_checked()
    }

    fn run_count(&self) -> RunCount {
        match self.task.is_external() {
            true => RunCount {
                made: self.made.load(Ordering::Relaxed),
                failed: self.failed.load(Ordering::Relaxed),
            },
            false => self.task.run_count(),
        }
    }

    fn record(
        &self,
        candidate: &Candidate,
        seed: u64,
        cancel: &CancelToken,
    ) -> Result<Option<Recording>, TaskError> {
        self.task.record(candidate, seed, cancel)
    }

    fn resumable(&self) -> Option<&dyn ResumableTask> {
        self.task.resumable()
    }
}
