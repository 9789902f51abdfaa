//! `--task-command`: a training script of the user's in place of a built-in task.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Args;
use symopt_cancel::CancelToken;
use symopt_dsl::shell::Command;
use symopt_proxy_tasks::constants::{Origin, Tuned};
use symopt_proxy_tasks::error::TaskError;
use symopt_proxy_tasks::external::ExternalSpec;
use symopt_proxy_tasks::run::Run;
use symopt_proxy_tasks::spec::{self, SuiteSource};
use symopt_proxy_tasks::suite::{BASELINE, WeightedTask};
use symopt_proxy_tasks::tuning::grid::{self, Budget, Found};

use crate::failure::Failure;
use crate::progress::CountLine;
use crate::{options, table, terminal};

/// Name of the task.
const NAME: &str = "external";

/// A command as a task.
#[derive(Args)]
pub struct TaskCommand {
    /// Train by a command of yours that speaks JSON lines, such as "python train.py"; `symopt tasks
    /// new` writes one to begin with
    #[arg(long, value_name = "COMMAND", help_heading = "Task by a command")]
    task_command: Option<String>,
    /// Form in which programs are written for the command: pytorch, jax or any target of `symopt
    /// export`, or program for their text [default: program]
    #[arg(
        long,
        value_name = "TARGET",
        requires = "task_command",
        help_heading = "Task by a command"
    )]
    task_export: Option<String>,
    /// Training steps that the command is asked for; by default that is its own business
    #[arg(long, value_name = "N", requires = "task_command", value_parser = options::size, help_heading = "Task by a command")]
    task_steps: Option<usize>,
    /// Points of the curve that hopeless runs are stopped by; 1 is the result alone [default: 4]
    #[arg(long, value_name = "N", requires = "task_command", value_parser = options::size, help_heading = "Task by a command")]
    task_checkpoints: Option<usize>,
    /// Kill a run, with all its processes, after so many seconds [default: 600]
    #[arg(long, value_name = "SECONDS", requires = "task_command", value_parser = options::limit, help_heading = "Task by a command")]
    task_seconds: Option<f64>,
    /// So many more seconds for a process that was just started [default: 60]
    #[arg(long, value_name = "SECONDS", requires = "task_command", value_parser = options::limit, help_heading = "Task by a command")]
    task_startup_seconds: Option<f64>,
    /// Constants of AdamW for the command, which fitness is measured against, instead of tuning
    /// them
    #[arg(
        long,
        value_name = "NAME=VALUE",
        requires = "task_command",
        value_delimiter = ',',
        value_parser = options::setting,
        help_heading = "Task by a command"
    )]
    task_adamw: Vec<(String, f64)>,
    /// Tune AdamW first, with at most so many runs, on a command, also one of a suite file that has
    /// no constants for it; 0 leaves it at its defaults [default: 48 where programs are measured
    /// against it; 0 for `train`]
    #[arg(
        long,
        value_name = "RUNS",
        conflicts_with = "task_adamw",
        value_parser = options::count,
        allow_negative_numbers = true,
        help_heading = "Task by a command"
    )]
    task_tune: Option<u64>,
}

impl TaskCommand {
    /// Whether there is one.
    pub fn is_given(&self) -> bool {
        self.task_command.is_some()
    }

    fn spec(&self) -> Option<ExternalSpec> {
        let mut spec = ExternalSpec::new(NAME, self.task_command.as_ref()?);
        spec.steps = self.task_steps;
        spec.checkpoints = self.task_checkpoints.unwrap_or(spec.checkpoints);
        spec.seconds = self.task_seconds.unwrap_or(spec.seconds);
        spec.startup_seconds = self.task_startup_seconds.unwrap_or(spec.startup_seconds);
        if let Some(target) = &self.task_export {
            spec.export.clone_from(target);
        }
        if !self.task_adamw.is_empty() {
            let (mut peak_lr, mut hyperparameters) =
                (symopt_programs::adamw().program().signature().peak_learning_rate(), Vec::new());
            for (name, value) in &self.task_adamw {
                match name.as_str() {
                    "lr" => peak_lr = *value,
                    // As people write it.
                    "wd" => hyperparameters.push(("weight_decay".to_owned(), *value)),
                    _ => hyperparameters.push((name.clone(), *value)),
                }
            }
            spec.tuned.push(Tuned {
                program: BASELINE.to_owned(),
                peak_lr,
                hyperparameters,
                averages: false,
                origin: Origin::Given,
            });
        }
        Some(spec)
    }

    /// The description of the command as a search that began with it has kept it: with the
    /// constants that were tuned for AdamW then, if it is to be tuned. `None` without a command.
    pub fn as_kept(&self, suite: &Path) -> Option<ExternalSpec> {
        let mut spec = self.spec()?;
        if spec.tuned.is_empty() && self.task_tune != Some(0) {
            let text = std::fs::read_to_string(suite).unwrap_or_default();
            let kept = SuiteSource { name: suite.display().to_string(), text }.spec().ok();
            let tuned = kept
                .iter()
                .flat_map(|suite| &suite.externals)
                .flat_map(|external| &external.get_ref().tuned);
            spec.tuned.extend(
                tuned.filter(|tuned| matches!(tuned.origin, Origin::Tuned { .. })).cloned(),
            );
        }
        Some(spec)
    }

    /// A command of symopt with the options that describe the task, as one types them.
    fn typed(&self, name: &str, task: Option<&str>) -> Command {
        let mut command = task
            .into_iter()
            .fold(Command::new(name), |command, task| command.option_operand("--task", task));
        let numbers = [
            ("--task-steps", self.task_steps.map(|value| value.to_string())),
            ("--task-checkpoints", self.task_checkpoints.map(|value| value.to_string())),
            ("--task-seconds", self.task_seconds.map(|value| value.to_string())),
            ("--task-startup-seconds", self.task_startup_seconds.map(|value| value.to_string())),
        ];
        let texts = [
            ("--task-command", self.task_command.clone()),
            ("--task-export", self.task_export.clone()),
        ];
        for (option, value) in texts.into_iter().chain(numbers) {
            command =
                value.into_iter().fold(command, |command, value| command.option(option, value));
        }
        command
    }

    /// Commands that use constants which were tuned for a program: AdamW's as the baseline of a
    /// search by a command, all others in a training.
    pub fn uses(&self, task: Option<&str>, program: &str, tuned: &Tuned) -> Vec<Command> {
        let train = || self.typed("train", task).option_operand("--program", program);
        if program == BASELINE && self.is_given() {
            let given = |command: Command| command.option("--task-adamw", adamw_option(tuned));
            return vec![given(self.typed("search", task)), given(train())];
        }
        let rate = std::iter::once(("lr".to_owned(), tuned.peak_lr));
        let settings = rate.chain(tuned.hyperparameters.iter().cloned());
        vec![settings.fold(train(), |command, (name, value)| {
            command.option("--set", format!("{name}={}", table::number(value)))
        })]
    }

    /// The description of the command with constants for AdamW: those that were given, or those
    /// that a tuning finds with at most so many runs, if the user does not say how many; without
    /// any, AdamW runs with its defaults, and is named untuned. Says what is done, unless `quiet`.
    pub fn tuned(
        &self,
        runs: usize,
        threads: usize,
        quiet: bool,
        cancel: &CancelToken,
    ) -> Result<Option<ExternalSpec>, Failure> {
        let Some(mut spec) = self.spec() else { return Ok(None) };
        let runs = self.task_tune.map_or(runs, |runs| usize::try_from(runs).unwrap_or(usize::MAX));
        if spec.tuned.is_empty() && runs > 0 {
            let task = spec.clone().task(PLACE)?;
            let tuning = Tuning { runs, threads, quiet, cancel };
            spec.tuned.push(tuning.adamw(&task, &|found| {
                format!(
                    "adamw: loss {:.5} with --task-adamw {}",
                    found.loss,
                    adamw_option(&found.tuned)
                )
            })?);
        }
        Ok(Some(spec))
    }

    /// Whether AdamW is to be left at its defaults.
    pub fn is_untuned(&self) -> bool {
        self.task_tune == Some(0)
    }

    /// Refuses a budget where there is nothing to be tuned with it.
    pub fn check_tune(&self, is_tuned: bool) -> Result<(), Failure> {
        match self.task_tune {
            Some(runs) if runs > 0 && !is_tuned => {
                let reason = "--task-tune is for tasks by commands without constants for adamw, and there is none";
                Err(Failure::Input(reason.to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// A suite with constants for AdamW on each task by a command that it has none for, found by a
    /// tuning; `None` if there is nothing to tune. `place` is where it will be kept.
    pub fn tuned_suite(
        &self,
        source: &SuiteSource,
        place: &str,
        threads: usize,
        quiet: bool,
        cancel: &CancelToken,
    ) -> Result<Option<SuiteSource>, Failure> {
        let untuned = source.untuned()?;
        let runs =
            self.task_tune.map_or(usual_runs(), |runs| usize::try_from(runs).unwrap_or(usize::MAX));
        if untuned.is_empty() || runs == 0 {
            return Ok(None);
        }
        let suite = source.suite()?;
        let tuning = Tuning { runs, threads, quiet, cancel };
        let mut constants = Vec::new();
        for task in
            suite.tasks.iter().filter(|task| untuned.iter().any(|name| name == task.task.name()))
        {
            let name = task.task.name();
            let says = |found: &Found| {
                format!(
                    "adamw on {name}: loss {:.5} with {}, kept in {place}",
                    found.loss,
                    adamw_option(&found.tuned)
                )
            };
            constants.push((name.to_owned(), tuning.adamw(task, &says)?));
        }
        Ok(Some(source.with_constants(&constants)?))
    }

    /// The task of the command, likewise, or the one of a name. One of them must be there.
    pub fn or_named(
        &self,
        name: Option<&str>,
        runs: usize,
        quiet: bool,
        cancel: &CancelToken,
    ) -> Result<WeightedTask, Failure> {
        match (self.tuned(runs, cores(), quiet, cancel)?, name) {
            (Some(spec), _) => Ok(spec.task(PLACE)?),
            (None, Some(name)) => {
                let mut task = spec::find_task(name)?;
                let is_untuned =
                    task.task.is_external() && task.origin(BASELINE) == Origin::Untuned;
                self.check_tune(is_untuned)?;
                let runs =
                    self.task_tune.map_or(runs, |runs| usize::try_from(runs).unwrap_or(usize::MAX));
                if is_untuned && runs > 0 {
                    let tuning = Tuning { runs, threads: cores(), quiet, cancel };
                    let says = |found: &Found| {
                        format!("adamw: loss {:.5} with {}", found.loss, adamw_option(&found.tuned))
                    };
                    let tuned = tuning.adamw(&task, &says)?;
                    task.tuned.retain(|other| other.program != BASELINE);
                    task.tuned.insert(0, tuned);
                }
                Ok(task)
            }
            (None, None) => {
                Err(Failure::Input("give --task TASK or --task-command COMMAND".to_owned()))
            }
        }
    }
}

/// Where a command stands, for errors.
const PLACE: &str = "--task-command";

/// As many as there are cores.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Runs of a command that AdamW is tuned with, where nobody says how many.
pub fn usual_runs() -> usize {
    Budget::default().runs
}

/// How AdamW is tuned on commands.
struct Tuning<'a> {
    runs: usize,
    threads: usize,
    quiet: bool,
    cancel: &'a CancelToken,
}

impl Tuning<'_> {
    /// Tunes AdamW on a task. `says` begins the line that tells what was found.
    fn adamw(
        &self,
        task: &WeightedTask,
        says: &dyn Fn(&Found) -> String,
    ) -> Result<Tuned, Failure> {
        let (quiet, budget) = (self.quiet, Budget { runs: self.runs, ..Budget::default() });
        let line = CountLine::new("runs to tune adamw, at most");
        let done = AtomicU64::new(0);
        let observe = |run: &Run| {
            let before = done.fetch_add(1, Ordering::Relaxed);
            // As soon as the command is seen to work. A reader that has gone away is noticed at the
            // end.
            if before == 0 && !quiet && run.failure().is_none() {
                let Budget { runs, seeds } = budget;
                let text = format!(
                    "adamw is tuned first, with at most {runs} runs on {seeds} seeds (--task-tune RUNS; 0 leaves it at its defaults)"
                );
                let _ = table::paragraph(&mut terminal::output(), &text);
            }
            line.draw(before + 1, budget.runs as u64);
        };
        let adamw = symopt_programs::adamw().program();
        let tune = || {
            grid::tune_within(task.task.as_ref(), BASELINE, &adamw, budget, self.cancel, &observe)
        };
        let found = pool(self.threads)?.install(tune);
        line.finish();
        let found = found.map_err(|error| match error {
            TaskError::Cancelled(_) => Failure::Work(
                "interrupted while adamw was tuned; nothing is kept of that".to_owned(),
            ),
            error => error.into(),
        })?;
        if !quiet {
            let before = found
                .untuned_loss
                .map_or_else(|| "it diverged".to_owned(), |loss| format!("{loss:.5}"));
            let failed = if found.failed > 0 {
                format!(", {} of them failed", found.failed)
            } else {
                String::new()
            };
            let more = if found.converged {
                ""
            } else {
                "; the budget is used up, and more runs may find better constants"
            };
            let text = format!(
                "{} ({before} with its defaults; {} runs{failed}{more})",
                says(&found),
                found.runs
            );
            table::paragraph(&mut terminal::output(), &text)?;
        }
        Ok(found.tuned)
    }
}

/// Threads for runs side by side.
fn pool(threads: usize) -> Result<rayon::ThreadPool, Failure> {
    let built = rayon::ThreadPoolBuilder::new().num_threads(threads.max(1)).build();
    built.map_err(|error| Failure::Work(format!("can't start threads: {error}")))
}

/// Constants as `--task-adamw` takes them.
pub fn adamw_option(tuned: &Tuned) -> String {
    let others = tuned
        .hyperparameters
        .iter()
        .map(|(name, value)| format!(",{name}={}", table::number(*value)));
    format!("lr={}{}", table::number(tuned.peak_lr), others.collect::<String>())
}
