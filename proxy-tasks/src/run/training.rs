//! The training loop that all built-in tasks share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rand::RngExt;
use symopt_cancel::{CancelToken, Cancelled};
use symopt_evaluator::{Layout, Optimizer, OptimizerError, Options};

use crate::digest::Digest;
use crate::error::TaskError;
use crate::memory;
use crate::rng::{Purpose, stream};
use crate::run::schedule::Schedule;
use crate::run::snapshot::{RunIdentity, Snapshot};
use crate::run::{Checkpoint, Metrics, Run, StopReason};
use crate::task::{Candidate, Recording, ResumableTask, Task, TaskDescription, Verdict};

/// A run has diverged when its loss is above this many times the validation loss before training:
/// no optimizer comes back from there within the short runs of a proxy task.
pub const DIVERGENCE_FACTOR: f64 = 10.0;

/// Problems of this many seeds are kept between runs, those used last: a search asks for the same
/// few again and again.
const KEPT_PROBLEMS: usize = 64;

/// A model bound to the data of one seed: everything about a task that does not change while it
/// trains.
pub trait Problem: Send + Sync {
    /// The parameter arrays.
    fn layout(&self) -> &Layout;
    /// The weights before training, laid out as [`Problem::layout`] says.
    fn initial_weights(&self) -> &[f32];
    /// How many training examples there are; at least one.
    fn training_examples(&self) -> usize;
    /// How many validation examples there are.
    fn validation_examples(&self) -> usize;
    /// A digest of the examples, the parameter arrays and the weights before training: what the
    /// model is bound to.
    fn fingerprint(&self) -> String;
    /// Bytes of memory that a run with batches of so many examples takes beside the slots of its
    /// optimizer.
    fn run_bytes(&self, batch: usize) -> u128;
    /// Buffers for one run.
    fn workspace(&self) -> Box<dyn Workspace + '_>;
}

/// Computes losses and gradients of a problem in buffers of its own.
pub trait Workspace {
    /// The mean loss over the training examples with the given numbers, and its gradient, which
    /// overwrites `gradients`.
    fn loss_and_gradient(&mut self, weights: &[f32], batch: &[u32], gradients: &mut [f32]) -> f64;
    /// Metrics over all validation examples.
    fn validate(&mut self, weights: &[f32]) -> Metrics;
}

/// Makes the problem of a seed.
pub trait ProblemBuilder: Send + Sync {
    /// The problem of a seed; the same one whenever it is asked for.
    fn build(&self, seed: u64) -> Result<Arc<dyn Problem>, TaskError>;
    /// The data, the model and the label noise, for people.
    fn describe(&self) -> (String, String, f64);
    /// The model, in full: what tells apart models of the same arrays.
    fn model(&self) -> String;
}

/// A task that trains a built-in model.
pub struct TrainingTask {
    /// Name, unique within a suite.
    pub name: String,
    /// Makes the problems.
    pub builder: Box<dyn ProblemBuilder>,
    /// Training steps.
    pub steps: usize,
    /// Examples in a batch.
    pub batch: usize,
    /// The schedule of the learning rate.
    pub schedule: Schedule,
    /// How often the validation loss is taken; evenly spread, the last time after the last step.
    pub checkpoints: usize,
    /// Problems already made.
    kept: Mutex<Kept>,
}

/// Problems by seed, each with the time of its last use, counted in uses.
#[derive(Default)]
struct Kept {
    uses: u64,
    problems: BTreeMap<u64, (u64, Arc<Prepared>)>,
}

/// A problem with the order in which its examples are drawn.
struct Prepared {
    problem: Arc<dyn Problem>,
    order: Vec<u32>,
    initial: Metrics,
}

impl TrainingTask {
    /// A task. `steps`, `batch` and `checkpoints` are at least 1.
    pub fn new(
        name: String,
        builder: Box<dyn ProblemBuilder>,
        steps: usize,
        batch: usize,
        schedule: Schedule,
        checkpoints: usize,
    ) -> TrainingTask {
        let steps = steps.max(1);
        TrainingTask {
            name,
            builder,
            steps,
            batch: batch.max(1),
            schedule,
            checkpoints: checkpoints.clamp(1, steps),
            kept: Mutex::default(),
        }
    }

    fn prepare(&self, seed: u64) -> Result<Arc<Prepared>, TaskError> {
        let lock = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept = lock();
        kept.uses += 1;
        let now = kept.uses;
        if let Some((used, prepared)) = kept.problems.get_mut(&seed) {
            *used = now;
            return Ok(Arc::clone(prepared));
        }
        // Others may go on while the problem is made.
        drop(kept);
        let problem = self.builder.build(seed)?;
        let initial = problem.workspace().validate(problem.initial_weights());
        let drawn = problem.training_examples() as u128 + self.steps as u128 * self.batch as u128;
        self.check_memory(4 * drawn)?;
        let order = example_order(problem.training_examples(), self.steps * self.batch, seed);
        let prepared = Arc::new(Prepared { problem, order, initial });
        let problems = &mut lock().problems;
        if problems.len() >= KEPT_PROBLEMS
            && let Some(oldest) =
                problems.iter().min_by_key(|(_, (used, _))| *used).map(|(seed, _)| *seed)
        {
            problems.remove(&oldest);
        }
        problems.insert(seed, (now, Arc::clone(&prepared)));
        Ok(prepared)
    }

    /// Refuses what the memory does not hold.
    fn check_memory(&self, bytes: u128) -> Result<(), TaskError> {
        memory::check(bytes).map_err(|shortage| TaskError::Data {
            task: self.name.clone(),
            reason: shortage.to_string(),
        })
    }

    fn check_cancelled(&self, cancel: &CancelToken) -> Result<(), Cancelled> {
        cancel.check_during(|| format!("task {} was running", self.name))
    }

    /// Steps after which checkpoint `index` is taken.
    fn checkpoint_step(&self, index: usize) -> usize {
        (index + 1) * self.steps / self.checkpoints
    }
}

/// Numbers of examples, `length` of them: all examples in a random order, then all again in
/// another, and so on.
fn example_order(examples: usize, length: usize, seed: u64) -> Vec<u32> {
    let mut rng = stream(seed, Purpose::Batches);
    let mut epoch: Vec<u32> = (0..examples as u32).collect();
    let mut order = Vec::with_capacity(length);
    while order.len() < length && examples > 0 {
        for last in (1..epoch.len()).rev() {
            epoch.swap(last, rng.random_range(0..=last as u32) as usize);
        }
        order.extend(epoch.iter().take(length - order.len()));
    }
    order
}

impl Task for TrainingTask {
    fn name(&self) -> &str {
        &self.name
    }

    fn describe(&self) -> Result<TaskDescription, TaskError> {
        let prepared = self.prepare(0)?;
        let (data, model, label_noise) = self.builder.describe();
        Ok(TaskDescription {
            data,
            model,
            parameters: prepared.problem.layout().len(),
            steps: self.steps,
            batch: self.batch,
            training_examples: prepared.problem.training_examples(),
            validation_examples: prepared.problem.validation_examples(),
            label_noise,
        })
    }

    fn checkpoints(&self) -> usize {
        self.checkpoints
    }

    fn run(
        &self,
        candidate: &Candidate,
        seed: u64,
        cancel: &CancelToken,
        watch: &mut dyn FnMut(&Checkpoint) -> Verdict,
    ) -> Result<Run, TaskError> {
        self.train(
            candidate,
            seed,
            None,
            cancel,
            &mut |at| at.curve.last().map_or(Ok(Verdict::Continue), |last| Ok(watch(last))),
            &mut |_| {},
        )
    }

    fn record(
        &self,
        candidate: &Candidate,
        seed: u64,
        cancel: &CancelToken,
    ) -> Result<Option<Recording>, TaskError> {
        self.check_cancelled(cancel)?;
        let parameters = self.prepare(seed)?.problem.layout().len();
        self.check_memory(4 * self.steps as u128 * parameters as u128)?;
        let mut gradients = Vec::with_capacity(self.steps);
        let mut meet = |of_step: &[f32]| gradients.push(of_step.to_vec());
        let run =
            self.train(candidate, seed, None, cancel, &mut |_| Ok(Verdict::Continue), &mut meet)?;
        let layout = self.prepare(seed)?.problem.layout().clone();
        Ok((run.stop == StopReason::Completed).then_some(Recording { layout, gradients }))
    }

    fn resumable(&self) -> Option<&dyn ResumableTask> {
        Some(self)
    }
}

impl ResumableTask for TrainingTask {
    fn identity(&self, candidate: &Candidate, seed: u64) -> Result<RunIdentity, TaskError> {
        let prepared = self.prepare(seed)?;
        let optimizer = optimizer(candidate, prepared.problem.layout())?;
        Ok(RunIdentity {
            task: self.name.clone(),
            fingerprint: self.fingerprint(&prepared),
            seed,
            program: optimizer.program_name().to_owned(),
            hash: optimizer.hash().to_string(),
            peak_lr: candidate.peak_lr,
            hyperparameters: optimizer
                .hyperparameters()
                .iter()
                .map(|h| (h.name.clone(), h.value))
                .collect(),
        })
    }

    fn layout(&self, seed: u64) -> Result<Layout, TaskError> {
        Ok(self.prepare(seed)?.problem.layout().clone())
    }

    fn run_from(
        &self,
        candidate: &Candidate,
        seed: u64,
        snapshot: Option<&Snapshot>,
        cancel: &CancelToken,
        watch: &mut dyn FnMut(Snapshot) -> Verdict,
    ) -> Result<Run, TaskError> {
        self.check_cancelled(cancel)?;
        let run = self.identity(candidate, seed)?;
        if let Some(snapshot) = snapshot {
            snapshot.run.check(&run, "memory")?;
        }
        let mut take = |at: &Position| {
            Ok(watch(Snapshot {
                run: run.clone(),
                curve: at.curve.to_vec(),
                layout: at.optimizer.layout().clone(),
                weights: at.weights.to_vec(),
                optimizer: at.optimizer.save_bytes()?,
            }))
        };
        self.train(candidate, seed, snapshot, cancel, &mut take, &mut |_| {})
    }
}

/// Where a run stands at a checkpoint.
struct Position<'a> {
    curve: &'a [Checkpoint],
    weights: &'a [f32],
    optimizer: &'a Optimizer,
}

/// The optimizer of a candidate, before the first step.
fn optimizer(candidate: &Candidate, layout: &Layout) -> Result<Optimizer, TaskError> {
    let mut optimizer = symopt_programs::optimizer(candidate.program, layout, Options::default())?;
    for (name, value) in candidate.hyperparameters {
        optimizer.set(name, *value)?;
    }
    Ok(optimizer)
}

impl TrainingTask {
    /// Returns a digest of everything that the task consists of under a seed.
    fn fingerprint(&self, prepared: &Prepared) -> String {
        let mut digest = Digest::new();
        digest.bytes(prepared.problem.fingerprint().as_bytes());
        digest.bytes(self.builder.model().as_bytes());
        [self.steps, self.batch, self.checkpoints]
            .iter()
            .for_each(|number| digest.number(*number as u64));
        (0..self.steps)
            .for_each(|step| digest.number(self.schedule.value(step, self.steps).to_bits()));
        digest.hex()
    }

    /// A run, from its beginning or from a snapshot of it. `watch` sees where it stands at every
    /// checkpoint, `meet` the gradients of every step.
    fn train(
        &self,
        candidate: &Candidate,
        seed: u64,
        snapshot: Option<&Snapshot>,
        cancel: &CancelToken,
        watch: &mut dyn FnMut(&Position) -> Result<Verdict, TaskError>,
        meet: &mut dyn FnMut(&[f32]),
    ) -> Result<Run, TaskError> {
        let begin = Instant::now();
        // Before the problem is made, which may take long by itself.
        self.check_cancelled(cancel)?;
        let prepared = self.prepare(seed)?;
        let problem = &prepared.problem;
        let slots = candidate.program.signature().slots().count() as u128;
        self.check_memory(
            problem.run_bytes(self.batch) + 4 * slots * problem.layout().len() as u128,
        )?;
        let mut optimizer = optimizer(candidate, problem.layout())?;
        let mut workspace = problem.workspace();
        let mut weights = problem.initial_weights().to_vec();
        let mut gradients = vec![0.0; weights.len()];
        let mut curve = Vec::with_capacity(self.checkpoints);
        if let Some(snapshot) = snapshot {
            optimizer.load_bytes(&snapshot.optimizer)?;
            if snapshot.weights.len() != weights.len() {
                let expected = format!("{} weights, not {}", weights.len(), snapshot.weights.len());
                return Err(OptimizerError::Shape { expected }.into());
            }
            weights.copy_from_slice(&snapshot.weights);
            curve.extend_from_slice(&snapshot.curve);
        }
        let first = snapshot.map_or(0, Snapshot::step);
        let bound = DIVERGENCE_FACTOR * prepared.initial.loss;
        let finish = |curve, stop| Ok(Run { curve, stop, elapsed: begin.elapsed() });
        let (mut loss_sum, mut loss_count) = (0.0, 0);
        for (step, batch) in prepared.order.chunks_exact(self.batch).enumerate().skip(first) {
            self.check_cancelled(cancel)?;
            let loss = workspace.loss_and_gradient(&weights, batch, &mut gradients);
            // Written so that NaN diverges too.
            let within_bound = loss <= bound;
            if !within_bound {
                return finish(curve, StopReason::Diverged { step });
            }
            meet(&gradients);
            loss_sum += loss;
            loss_count += 1;
            optimizer.step(
                &mut weights,
                &gradients,
                candidate.peak_lr * self.schedule.value(step, self.steps),
            )?;
            let done = step + 1;
            if done != self.checkpoint_step(curve.len()) {
                continue;
            }
            let validation = workspace.validate(&weights);
            let within_bound = validation.loss <= bound;
            if !within_bound {
                return finish(curve, StopReason::Diverged { step: done });
            }
            curve.push(Checkpoint {
                step: done,
                training_loss: loss_sum / f64::from(loss_count),
                validation,
            });
            (loss_sum, loss_count) = (0.0, 0);
            let verdict =
                watch(&Position { curve: &curve, weights: &weights, optimizer: &optimizer })?;
            if verdict == Verdict::Stop && done < self.steps {
                return finish(curve, StopReason::Stopped { step: done });
            }
        }
        finish(curve, StopReason::Completed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_draws_every_example_once() {
        let order = example_order(7, 16, 3);
        for epoch in order.chunks_exact(7) {
            let mut sorted = epoch.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..7).collect::<Vec<u32>>());
        }
        assert_eq!(order.len(), 16);
        assert_ne!(order[..7], order[7..14]);
        assert_eq!(order, example_order(7, 16, 3));
    }
}
