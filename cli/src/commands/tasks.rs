//! `symopt tasks`

mod landscape;
mod new;

use clap::{ArgGroup, Args, Subcommand};
use serde::Serialize;
use symopt_cancel::CancelToken;
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_proxy_tasks::suite::{Suite, measure_cost};
use symopt_proxy_tasks::task::TaskDescription;

use crate::failure::Failure;
use crate::table;
use crate::terminal;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(group = ArgGroup::new("measured").args(["landscape", "gate"]))]
pub struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
    /// Suites to list: names or TOML files; all built-in ones if none is given
    suites: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Leave out the measured cost
    #[arg(long)]
    no_cost: bool,
    /// Print a suite that needs data of yours, to fill in the paths: vit-paper or lm-paper
    #[arg(long, value_name = "NAME", conflicts_with_all = ["suites", "json", "no_cost", "landscape", "gate"])]
    preset: Option<String>,
    /// Measure the gain over tuned AdamW on a suite (name or TOML file), each program tuned with
    /// the same budget
    #[arg(long, value_name = "SUITE", conflicts_with_all = ["suites", "no_cost"])]
    landscape: Option<String>,
    /// Measure whether a suite (name or TOML file) ranks optimizers as the literature does, and
    /// whether its ranking survives another width, batch and horizon
    #[arg(long, value_name = "SUITE", conflicts_with_all = ["suites", "no_cost", "landscape"])]
    gate: Option<String>,
    #[command(flatten)]
    measured: landscape::Measurement,
}

#[derive(Subcommand)]
enum Action {
    /// Write a training script to begin with, for --task-command
    New(new::Arguments),
}

#[derive(Serialize)]
struct Row {
    suite: String,
    task: String,
    weight: f64,
    #[serde(flatten)]
    description: TaskDescription,
    /// Time of one run with tuned AdamW on one core.
    milliseconds: Option<f64>,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    if let Some(Action::New(arguments)) = arguments.action {
        return new::run(&arguments);
    }
    if let Some(name) = &arguments.preset {
        let text = SuiteSource::preset(name)?.text;
        return Ok(std::io::Write::write_all(&mut terminal::output(), text.as_bytes())?);
    }
    if let Some(suite) = &arguments.landscape {
        return landscape::run(suite, &arguments.measured, arguments.json);
    }
    if let Some(suite) = &arguments.gate {
        return landscape::run_gate(suite, &arguments.measured, arguments.json);
    }
    let sources: Vec<SuiteSource> = if arguments.suites.is_empty() {
        SuiteSource::built_in().collect()
    } else {
        arguments.suites.iter().map(|name| SuiteSource::find(name)).collect::<Result<_, _>>()?
    };
    let mut rows = Vec::new();
    for source in sources {
        let suite: Suite = source.suite()?;
        for task in &suite.tasks {
            rows.push(Row {
                suite: suite.name.clone(),
                task: task.task.name().to_owned(),
                weight: task.weight,
                description: task.task.describe()?,
                milliseconds: if arguments.no_cost {
                    None
                } else {
                    Some(measure_cost(task, &CancelToken::new())?)
                },
            });
        }
    }
    let mut out = terminal::output();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &rows)?;
        return Ok(std::io::Write::write_all(&mut out, b"\n")?);
    }
    let heading = [
        "SUITE",
        "TASK",
        "PARAMS",
        "STEPS",
        "BATCH",
        "TRAIN",
        "VALID",
        "NOISE",
        "MS/RUN",
        "MODEL AND DATA",
    ];
    let mut lines = vec![heading.map(str::to_owned).to_vec()];
    for Row { suite, task, description: d, milliseconds, .. } in rows {
        lines.push(vec![
            suite,
            task,
            d.parameters.to_string(),
            d.steps.to_string(),
            d.batch.to_string(),
            d.training_examples.to_string(),
            d.validation_examples.to_string(),
            format!("{:.0} %", 100.0 * d.label_noise),
            milliseconds.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.2}")),
            format!("{}; {}", d.model, d.data),
        ]);
    }
    Ok(table::print(&mut out, &lines, &[2, 3, 4, 5, 6, 7, 8], &[(9, 34)])?)
}
