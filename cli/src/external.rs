//! `--task-command`: a training script of the user's in place of a built-in task.

use std::path::Path;

use clap::Args;
use symopt_proxy_tasks::baseline::Tuned;
use symopt_proxy_tasks::external::ExternalSpec;
use symopt_proxy_tasks::spec::{self, SuiteSource};
use symopt_proxy_tasks::suite::{BASELINE, WeightedTask};

use crate::failure::Failure;
use crate::options;

/// What the task is called.
const NAME: &str = "external";

/// A command as a task.
#[derive(Args)]
pub struct TaskCommand {
    /// Train by a command of yours that speaks JSON lines, such as "python train.py"; `symopt tasks new` writes one to begin with
    #[arg(long, value_name = "COMMAND", help_heading = "Task by a command")]
    task_command: Option<String>,
    /// What programs are written as for the command: pytorch, jax or any target of `symopt export`, or program for their text [default: program]
    #[arg(long, value_name = "TARGET", requires = "task_command", help_heading = "Task by a command")]
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
    /// Constants of AdamW for the command, which fitness is measured against [default: lr=0.001,weight_decay=0.01]
    #[arg(
        long,
        value_name = "NAME=VALUE",
        requires = "task_command",
        value_delimiter = ',',
        value_parser = options::setting,
        help_heading = "Task by a command"
    )]
    task_adamw: Vec<(String, f64)>,
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
            let (mut peak_lr, mut hyperparameters) = (symopt_programs::adamw().program().signature().peak_learning_rate(), Vec::new());
            for (name, value) in &self.task_adamw {
                match name.as_str() {
                    "lr" => peak_lr = *value,
                    // As people write it.
                    "wd" => hyperparameters.push(("weight_decay".to_owned(), *value)),
                    _ => hyperparameters.push((name.clone(), *value)),
                }
            }
            spec.tuned.push(Tuned { program: BASELINE.to_owned(), peak_lr, hyperparameters });
        }
        Some(spec)
    }

    /// The suite of the command. `name` is what it is called, such as the path that its text is written to.
    pub fn suite(&self, name: &Path) -> Result<Option<SuiteSource>, Failure> {
        let Some(spec) = self.spec() else { return Ok(None) };
        Ok(Some(SuiteSource::of_command(&name.display().to_string(), &spec)?))
    }

    /// The task of the command.
    pub fn task(&self) -> Result<Option<WeightedTask>, Failure> {
        Ok(self.spec().map(|spec| spec.task("--task-command")).transpose()?)
    }

    /// The task of the command, or the one of a name. One of them must be there.
    pub fn or_named(&self, name: Option<&str>) -> Result<WeightedTask, Failure> {
        match (self.task()?, name) {
            (Some(task), _) => Ok(task),
            (None, Some(name)) => Ok(spec::find_task(name)?),
            (None, None) => Err(Failure::Input("give --task TASK or --task-command COMMAND".to_owned())),
        }
    }
}
