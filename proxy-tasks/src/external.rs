//! External tasks: training scripts of the user's, run as commands that speak JSON lines. This page
//! is the protocol, version 1; `docs/external-tasks.md` is the same for users, with examples and
//! the Python module that speaks it.
//!
//! symopt runs the command with `sh -c` in the current directory, in a process group of its own,
//! and writes one request a line to its standard input. The command writes answers to its standard
//! output, one JSON object a line; its standard error stream is for people: it is read all the
//! time, and the last of it is kept for when something goes wrong. A script that answers a request
//! and reads the next one is kept running, so that its imports are paid for once; one that ends
//! after an answer is started again for every request. As many run at once as symopt has threads.
//!
//! # Requests
//!
//! ```text
//! {"protocol":1,"id":17,"name":"lion","hash":"8c0f…","program":"def lion(w, g, m, lr=1e-4, …","hyperparameters":{"beta1":0.9,"beta2":0.99,
//!  "weight_decay":0.0},"peak_lr":0.0001,"seed":1,"budget":{"steps":1000,"seconds":600.0},"checkpoints":4,
//!  "export":{"target":"pytorch","path":"/tmp/…/lion.py","name":"Lion"}}
//! ```
//!
//! | key | meaning |
//! |---|---|
//! | `id` | goes back with every answer |
//! | `name`, `program`, `hash` | the program, as text, and its functional hash |
//! | `hyperparameters`, `peak_lr` | all of them by name, and the learning rate at the peak of the script's schedule |
//! | `seed` | of whatever is random, from 0 to below 2^63: the same for programs that are compared |
//! | `budget` | `steps` to train, `null` if the user left that to the script, and the `seconds` after which the script is killed |
//! | `checkpoints` | how many points of the curve are wanted, the last of which is the result |
//! | `export` | the program as a file that was written for this request and goes when it is answered: for `"pytorch"` a module with a class `name`, used as `name(parameters, lr=…, **hyperparameters)`; for `"jax"` one with a function `name`, used as `name(learning_rate=…, **hyperparameters)`, that gives an `optax.GradientTransformation`; for `"program"` the text |
//!
//! A line `{"stop":17}` may follow: nobody needs the rest of that run. It is sent only to scripts
//! that say that they listen.
//!
//! # Answers
//!
//! | line | meaning |
//! |---|---|
//! | `{"ready":true,"stop":true}` | optional, once, first: the imports are done, and the time limit of a run begins with the first request. With `stop`, the script listens for stop lines while it trains. |
//! | `{"id":17,"step":250,"loss":1.23}` | optional, any number of them: progress, with the validation loss after so many steps; `training_loss` and `accuracy` may be added. A hopeless run is stopped by these. |
//! | `{"id":17,"loss":0.98}` | the result: the validation loss at the end, with `accuracy` and `curve` if there are any: `"curve":[{"step":250,"training_loss":1.5,"validation_loss":1.2,"accuracy":0.6},…]` |
//! | `{"id":17,"fitness":0.91}` | instead: a number that is better when it is higher |
//! | `{"id":17,"stopped":true}` | instead: after a stop line |
//! | `{"id":17,"error":"out of memory"}` | instead: the run failed |
//!
//! A `loss` is 0 or more, since it is compared relatively: the fitness of a program is the share of
//! AdamW's loss that it saves, where AdamW is trained by the same command, once for each seed of a
//! search, with constants that were tuned before or that the user gives, or else, and then it is
//! named untuned wherever something is compared with it, with its defaults. A `fitness` can be
//! negative, from -500 to 500. A fitness `f` stands for the loss `exp(-f)`, in progress lines and
//! curves as well (there its key is `fitness` too), so a program's fitness is `1 - exp(f_adamw -
//! f)`: about the difference, where that is small. Where `f` is minus a cross-entropy, that is the
//! perplexity saved. If both are given, `fitness` counts.
//!
//! A loss or fitness of `NaN`, `Infinity` (as Python writes them) or `null` says that the training
//! diverged. With a budget of steps, the progress line at or after step `i * steps / checkpoints`
//! is checkpoint `i`; without one, line `i` is. Checkpoints that are missing at the end are filled
//! with the result.
//!
//! # What goes wrong
//!
//! Everything else is a failed run ([`Failure`]): the command ends, or closes its output, without
//! an answer; no answer comes in time; a line is not JSON, not UTF-8, of no request or without what
//! it needs; a line is longer than 1 MiB, or 16 MiB come for one request; the script says so. Lines
//! of earlier requests are passed over. The process that failed is killed with all its group, and
//! the next request gets a new one. A failed run is not tried again. In a search it is recorded as
//! a failed evaluation, below all others, and the search goes on; the baseline must not fail.
//!
//! A process never outlives its time limit, nor symopt: at the limit, at an interrupt and at the
//! end its whole group is killed with SIGKILL, and a guard process does it when symopt itself is
//! killed. A process that leaves its process group (`setsid`) escapes.

mod conversation;
mod description;
mod export;
mod guard;
mod message;
pub mod runner;
mod scratch;
mod template;
mod worker;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use symopt_cancel::{CancelToken, Cancelled};
use symopt_dsl::Graph;
use symopt_evaluator::OptimizerError;

pub use self::conversation::{Conversation, Silence};
pub use self::description::ExternalSpec;
pub use self::export::{Exported, Exporter, PROGRAM};
use self::message::{Answer, Budget, ExportFile, Message, Request};
use self::runner::{Hands, Rest, Runner, Unanswered, Wanted};
use self::scratch::Scratch;
pub use self::template::{HELPER, HELPER_FILE, Template};
use self::worker::{Heard, Worker};
use crate::error::TaskError;
use crate::error::{Failure, FailureKind};
use crate::run::{Checkpoint, Metrics, Run, StopReason};
use crate::task::{Candidate, RunCount, Task, TaskDescription, Verdict};

/// The version of the protocol.
pub const PROTOCOL: u32 = 1;

/// How long a script that listens may take to end a run that nobody needs, and one that is no
/// longer needed to end.
const GRACE: Duration = Duration::from_secs(2);

/// A task that is a command of the user's.
pub struct ExternalTask {
    spec: ExternalSpec,
    exporter: Arc<Exporter>,
    /// Processes that wait for a request.
    idle: Mutex<Vec<Worker>>,
    /// Whether the command answers one request only.
    answers_once: AtomicBool,
    requests: AtomicU64,
    failures: AtomicU64,
    /// Whether a run was cancelled: nobody waits for processes to end by themselves any more.
    is_cancelled: AtomicBool,
    scratch: Scratch,
    /// Maker of the runs; unset where the description's command makes them.
    hands: OnceLock<Hands>,
}

/// How an exchange of one request ended.
enum End {
    /// As a run ends; whether the process can go on, and what the run left behind.
    Run { stop: StopReason, goes_on: bool },
    /// The process ended before it took the request.
    NotTaken,
    /// It was cancelled.
    Cancelled,
}

/// State of a run so far.
struct Progress<'a> {
    checkpoints: usize,
    steps: Option<usize>,
    step: usize,
    seen: Vec<Checkpoint>,
    /// The script's own curve, if it has one.
    curve: Option<Vec<Checkpoint>>,
    watch: &'a mut dyn FnMut(&Checkpoint) -> Verdict,
}

impl ExternalTask {
    /// The task of a description, whose values are in order.
    pub fn new(spec: ExternalSpec) -> ExternalTask {
        ExternalTask::with_exporter(spec, Arc::new(export::export))
    }

    /// The same with another way to make the files that requests name.
    pub fn with_exporter(spec: ExternalSpec, exporter: Arc<Exporter>) -> ExternalTask {
        ExternalTask {
            spec,
            exporter,
            idle: Mutex::default(),
            answers_once: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            is_cancelled: AtomicBool::new(false),
            scratch: Scratch::default(),
            hands: OnceLock::new(),
        }
    }

    /// A process: one that waits, or a new one.
    fn hire(&self) -> Result<Worker, Failure> {
        loop {
            let waiting = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match waiting {
                Some(worker) if worker.is_fit() => return Ok(worker),
                Some(_) => {}
                None => {
                    return Worker::start(match self.hands.get() {
                        Some(Hands::Command(command)) => command,
                        _ => &self.spec.command,
                    });
                }
            }
        }
    }

    /// Puts a process back that can take the next request.
    fn release(&self, worker: Worker) {
        if self.answers_once.load(Ordering::Relaxed) {
            worker.retire(Instant::now() + GRACE);
        } else {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
        }
    }

    fn request_line(
        &self,
        candidate: &Candidate,
        seed: u64,
        id: u64,
        export: ExportFile,
    ) -> Result<String, TaskError> {
        let program = candidate.program;
        let graph = Graph::new(program).map_err(|errors| OptimizerError::Type {
            program: program.signature().name.clone(),
            errors: errors.into_iter().collect(),
        })?;
        let request = Request {
            protocol: PROTOCOL,
            id,
            name: &program.signature().name,
            hash: graph.hash().to_string(),
            program: program.to_string(),
            hyperparameters: hyperparameters(candidate)?,
            peak_lr: candidate.peak_lr,
            seed,
            budget: Budget { steps: self.spec.steps, seconds: self.spec.seconds },
            checkpoints: self.spec.checkpoints,
            export: Some(export),
        };
        serde_json::to_string(&request).map_err(|error| TaskError::Data {
            task: self.spec.name.clone(),
            reason: error.to_string(),
        })
    }

    /// A run that has ended.
    fn ended_run(&self, progress: Progress, stop: StopReason, begin: Instant) -> Run {
        if matches!(stop, StopReason::Failed(_)) {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        let curve = progress.curve.unwrap_or(progress.seen);
        Run { curve, stop, elapsed: begin.elapsed() }
    }

    /// Sends a request and takes in what comes, up to the answer.
    fn exchange(
        &self,
        worker: &mut Worker,
        (id, line): (u64, &str),
        cancel: &CancelToken,
        progress: &mut Progress,
    ) -> End {
        let seconds = Duration::from_secs_f64(self.spec.seconds);
        let startup = Duration::from_secs_f64(self.spec.startup_seconds);
        let reused = worker.has_answered();
        let starting = !worker.is_ready();
        let mut deadline =
            if starting { worker.started() + startup + seconds } else { Instant::now() + seconds };
        worker.begin(line);
        loop {
            let bytes = match worker.listen(deadline, cancel) {
                Heard::Line(bytes) => bytes,
                Heard::Cancelled => return End::Cancelled,
                Heard::Flood(reason) => return failed(FailureKind::Flood, reason),
                Heard::Late => {
                    let limit = self.spec.seconds;
                    let starting = starting && !worker.is_ready();
                    let more = if starting {
                        format!(", and {} s to start", self.spec.startup_seconds)
                    } else {
                        String::new()
                    };
                    return failed(
                        FailureKind::Timeout,
                        format!("no answer within the time limit of {limit} s{more}"),
                    );
                }
                Heard::Closed => return ended(worker, reused, cancel),
            };
            let message = match Message::parse(&bytes) {
                Ok(message) => message,
                Err(reason) => return failed(FailureKind::Garbage, reason),
            };
            let (of, answer) = match message {
                Message::Ready { stops } => {
                    if worker.note_ready(stops) && starting {
                        deadline = Instant::now() + seconds;
                    }
                    continue;
                }
                Message::Of(of, answer) => (of, answer),
            };
            if of != id {
                if worker.knows(of) {
                    continue;
                }
                return failed(
                    FailureKind::Garbage,
                    format!("an answer to request {of}, which this process was never sent"),
                );
            }
            let stop = match answer {
                Answer::Progress(checkpoint) => match progress.note(checkpoint) {
                    Some(stop) => stop,
                    None => continue,
                },
                Answer::Result { metrics, curve } => {
                    worker.note_answered(id);
                    return End::Run { stop: progress.finish(metrics, curve), goes_on: true };
                }
                Answer::Error(reason) => {
                    return failed(FailureKind::Reported, format!("the command says: {reason}"));
                }
                Answer::Stopped => {
                    return failed(
                        FailureKind::Garbage,
                        "`stopped` without having been told to".to_owned(),
                    );
                }
            };
            return End::Run { stop, goes_on: self.call_back(worker, id, cancel) };
        }
    }

    /// Has a runner make a run, and takes in what comes, up to the answer.
    fn ask(
        &self,
        runner: &dyn Runner,
        wanted: Wanted,
        cancel: &CancelToken,
        progress: &mut Progress,
    ) -> Result<StopReason, Unanswered> {
        let (id, mut end) = (wanted.id, None);
        let mut hear = |line: &[u8]| {
            let stop = match Message::parse(line) {
                Ok(Message::Ready { .. }) => None,
                Ok(Message::Of(of, Answer::Progress(checkpoint))) if of == id => {
                    progress.note(checkpoint)
                }
                Ok(Message::Of(of, Answer::Result { metrics, curve })) if of == id => {
                    Some(progress.finish(metrics, curve))
                }
                Ok(Message::Of(of, Answer::Error(reason))) if of == id => {
                    Some(failure(FailureKind::Reported, reason))
                }
                Ok(Message::Of(..)) => Some(failure(
                    FailureKind::Garbage,
                    "an answer that is not of this run".to_owned(),
                )),
                Err(reason) => Some(failure(FailureKind::Garbage, reason)),
            };
            end = stop;
            match &end {
                None => Rest::Wanted,
                Some(StopReason::Completed) => Rest::Done,
                Some(_) => Rest::Unwanted,
            }
        };
        runner.run(wanted, cancel, &mut hear)?;
        let without = || failure(FailureKind::Ended, "it ended without an answer".to_owned());
        Ok(end.unwrap_or_else(without))
    }

    /// Tells a script that nobody needs the rest of a run. Whether it can take the next request.
    fn call_back(&self, worker: &mut Worker, id: u64, cancel: &CancelToken) -> bool {
        if !worker.stops() {
            return false;
        }
        worker.say(&format!("{{\"stop\":{id}}}"));
        let deadline = Instant::now() + GRACE;
        while let Heard::Line(bytes) = worker.listen(deadline, cancel) {
            match Message::parse(&bytes) {
                Ok(Message::Of(of, Answer::Stopped | Answer::Result { .. })) if of == id => {
                    worker.note_answered(id);
                    return true;
                }
                Ok(Message::Of(of, Answer::Progress(_))) if of == id || worker.knows(of) => {}
                _ => return false,
            }
        }
        false
    }
}

fn failure(kind: FailureKind, reason: String) -> StopReason {
    StopReason::Failed(Failure { kind, reason, stderr: String::new() })
}

fn failed(kind: FailureKind, reason: String) -> End {
    End::Run { stop: failure(kind, reason), goes_on: false }
}

/// Why there is no more output.
fn ended(worker: &mut Worker, reused: bool, cancel: &CancelToken) -> End {
    // How a process ends that is through with its work says nothing about the next request.
    let not_taken = reused && worker.was_not_taken();
    match worker.wait_for_end(Instant::now() + GRACE, cancel) {
        None if cancel.is_cancelled() => End::Cancelled,
        None => failed(
            FailureKind::Closed,
            "it closed its output without an answer, and ran on".to_owned(),
        ),
        Some(_) if not_taken => End::NotTaken,
        Some(status) => match status.code() {
            // Exit codes of the shell if there is no such command, or none that can be run.
            Some(126 | 127) => {
                failed(FailureKind::Start, format!("the command can't be started ({status})"))
            }
            // Exit codes of the shell for a command that a signal ended.
            Some(code @ 129..160) => failed(
                FailureKind::Ended,
                format!("it ended without an answer (killed by signal {})", code - 128),
            ),
            _ => failed(FailureKind::Ended, format!("it ended without an answer ({status})")),
        },
    }
}

/// All hyperparameters of a candidate by name.
fn hyperparameters(
    candidate: &Candidate,
) -> Result<serde_json::Map<String, serde_json::Value>, OptimizerError> {
    let signature = candidate.program.signature();
    let mut values: Vec<(&str, f64)> = signature
        .hyperparameters()
        .map(|(_, parameter)| (parameter.name.as_str(), parameter.default.unwrap_or(0.0)))
        .collect();
    for (name, value) in candidate.hyperparameters {
        let Some((_, place)) = values.iter_mut().find(|(known, _)| known == name) else {
            let known = values.iter().map(|(name, _)| (*name).to_owned()).collect();
            return Err(OptimizerError::UnknownHyperparameter {
                program: signature.name.clone(),
                name: name.clone(),
                known,
            });
        };
        *place = *value;
    }
    Ok(values.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect())
}

impl Progress<'_> {
    /// Notes a progress line. Why the run is to end there, if it is.
    fn note(&mut self, checkpoint: Checkpoint) -> Option<StopReason> {
        let Checkpoint { step, validation, .. } = checkpoint;
        self.step = step;
        if !validation.loss.is_finite() {
            return Some(StopReason::Diverged { step });
        }
        let due = match self.steps {
            // The largest i with i * steps / checkpoints <= step, rounded down.
            Some(steps) => (step.saturating_add(1).saturating_mul(self.checkpoints) - 1) / steps,
            None => self.seen.len() + 1,
        };
        let due = due.min(self.checkpoints - 1);
        while self.seen.len() < due {
            self.seen.push(checkpoint);
            if (self.watch)(&checkpoint) == Verdict::Stop {
                return Some(StopReason::Stopped { step });
            }
        }
        None
    }

    /// Notes the result.
    fn finish(&mut self, metrics: Metrics, curve: Option<Vec<Checkpoint>>) -> StopReason {
        let step = curve
            .iter()
            .flatten()
            .map(|point| point.step)
            .max()
            .unwrap_or(0)
            .max(self.step)
            .max(self.steps.unwrap_or(0));
        if !metrics.loss.is_finite() {
            return StopReason::Diverged { step };
        }
        let training_loss =
            curve.iter().flatten().next_back().map_or(f64::NAN, |point| point.training_loss);
        let last = Checkpoint { step, training_loss, validation: metrics };
        while self.seen.len() < self.checkpoints {
            self.seen.push(last);
            // It is done, whatever the watcher wants.
            (self.watch)(&last);
        }
        self.curve = curve.map(|mut curve| {
            if curve.last().is_some_and(|point| point.step == step) {
                curve.pop();
            }
            curve.push(last);
            curve
        });
        StopReason::Completed
    }
}

impl Task for ExternalTask {
    fn name(&self) -> &str {
        &self.spec.name
    }

    fn describe(&self) -> Result<TaskDescription, TaskError> {
        Ok(TaskDescription {
            data: "decided by the command".to_owned(),
            model: format!("command `{}`", self.spec.command),
            parameters: 0,
            steps: self.spec.steps.unwrap_or(0),
            batch: 0,
            training_examples: 0,
            validation_examples: 0,
            label_noise: 0.0,
        })
    }

    fn checkpoints(&self) -> usize {
        self.spec.checkpoints
    }

    fn is_external(&self) -> bool {
        true
    }

    fn run_count(&self) -> RunCount {
        RunCount {
            made: self.requests.load(Ordering::Relaxed),
            failed: self.failures.load(Ordering::Relaxed),
        }
    }

    fn run(
        &self,
        candidate: &Candidate,
        seed: u64,
        cancel: &CancelToken,
        watch: &mut dyn FnMut(&Checkpoint) -> Verdict,
    ) -> Result<Run, TaskError> {
        let begin = Instant::now();
        let running = || format!("task {} was running", self.spec.name);
        let mut progress = Progress {
            checkpoints: self.spec.checkpoints,
            steps: self.spec.steps,
            step: 0,
            seen: Vec::with_capacity(self.spec.checkpoints),
            curve: None,
            watch,
        };
        let id = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let exported = (self.exporter)(candidate.program, &self.spec.export);
        let target = self.spec.export.as_str();
        if let (Some(Hands::Runner(runner)), Ok(exported)) = (self.hands.get(), &exported) {
            cancel.check_during(running)?;
            let export = ExportFile::of_text(target, exported);
            let request = self.request_line(candidate, seed, id, export)?;
            let wanted = Wanted { id, request };
            let stop = match self.ask(runner.as_ref(), wanted, cancel, &mut progress) {
                Ok(stop) => stop,
                Err(Unanswered::Failed(failure)) => StopReason::Failed(failure),
                Err(Unanswered::Cancelled) => return Err(Cancelled::during(running()).into()),
            };
            return Ok(self.ended_run(progress, stop, begin));
        }
        let file = exported.and_then(|exported| {
            let file = self.scratch.write(id, &exported.file, &exported.text)?;
            Ok((file, exported))
        });
        let stop = match file {
            Err(reason) => failure(FailureKind::Export, reason),
            Ok((file, exported)) => {
                let export = ExportFile::at(target, file.path(), &exported);
                let line = self.request_line(candidate, seed, id, export)?;
                loop {
                    cancel.check_during(running)?;
                    let mut worker = match self.hire() {
                        Ok(worker) => worker,
                        Err(failure) => break StopReason::Failed(failure),
                    };
                    match self.exchange(&mut worker, (id, &line), cancel, &mut progress) {
                        End::Cancelled => {
                            self.is_cancelled.store(true, Ordering::Relaxed);
                            return Err(Cancelled::during(running()).into());
                        }
                        // A process that answers one request only. The new one can't say that it is
                        // over.
                        End::NotTaken => self.answers_once.store(true, Ordering::Relaxed),
                        End::Run { stop: StopReason::Failed(failure), .. } => {
                            break StopReason::Failed(Failure { stderr: worker.end(), ..failure });
                        }
                        End::Run { stop, goes_on } => {
                            if goes_on {
                                self.release(worker);
                            }
                            break stop;
                        }
                    }
                }
            }
        };
        Ok(self.ended_run(progress, stop, begin))
    }

    fn give_to(&self, hands: &Hands) {
        let _ = self.hands.set(hands.clone());
    }

    fn is_checked(&self) -> bool {
        match self.hands.get() {
            Some(Hands::Runner(runner)) => runner.is_checked(),
            _ => true,
        }
    }
}

impl Drop for ExternalTask {
    fn drop(&mut self) {
        let deadline = Instant::now() + GRACE;
        let mut idle =
            std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        if self.is_cancelled.load(Ordering::Relaxed) {
            // Dropped, they are killed.
            return;
        }
        for worker in &mut idle {
            worker.dismiss();
        }
        for worker in idle {
            worker.retire(deadline);
        }
    }
}
