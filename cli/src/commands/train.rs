//! `symopt train`

use std::io::Write;
use std::sync::atomic::Ordering;

use clap::Args;
use serde::Serialize;
use symopt_dsl::Program;
use symopt_proxy_tasks::run::{Metrics, Run, StopReason};
use symopt_proxy_tasks::spec;
use symopt_proxy_tasks::suite::{Suite, WeightedTask};
use symopt_proxy_tasks::task::{Candidate, Verdict};

use crate::failure::Failure;
use crate::{interrupt, options, programs, table};

#[derive(Args)]
pub struct Arguments {
    /// Task of a built-in suite, TASK or SUITE/TASK (`symopt tasks` lists them), or of your own, FILE/TASK
    #[arg(long)]
    task: String,
    /// Program to train with: zoo name, file, `-` or STORE:HASH
    #[arg(long)]
    program: String,
    /// Set a hyperparameter of the program, or its peak learning rate as `lr`
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = options::setting, allow_hyphen_values = true)]
    settings: Vec<(String, f64)>,
    /// Another program to compare with, on the same seeds
    #[arg(long, value_name = "PROGRAM")]
    vs: Option<String>,
    /// How many seeds to train with
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = options::between::<1, 1000>, allow_negative_numbers = true)]
    seeds: u16,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// How a program trained.
#[derive(Serialize)]
struct Training {
    program: String,
    constants: String,
    peak_lr: f64,
    hyperparameters: Vec<(String, f64)>,
    runs: Vec<SeedRun>,
    /// Means over the seeds; `None` unless every run completed.
    mean: Option<Metrics>,
    /// Standard error of the validation loss over the seeds.
    standard_error: Option<f64>,
}

#[derive(Serialize)]
struct SeedRun {
    seed: u64,
    milliseconds: f64,
    #[serde(flatten)]
    run: Run,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let task = spec::find_task(&arguments.task)?;
    let program = programs::find(&arguments.program)?;
    let other = arguments.vs.as_deref().map(|name| programs::find(name).map(|program| (name, program))).transpose()?;
    let interrupt = interrupt::flag()?;
    let interrupted = || interrupt.load(Ordering::Relaxed);
    let seeds = Suite::held_out_seeds(usize::from(arguments.seeds));
    let mut trainings = vec![train(&task, &arguments.program, &program, &arguments.settings, &seeds, &interrupted)?];
    if let Some((name, other)) = &other
        && !interrupted()
    {
        trainings.push(train(&task, name, other, &[], &seeds, &interrupted)?);
    }
    let mut out = std::io::stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &trainings)?;
        return Ok(out.write_all(b"\n")?);
    }
    writeln!(out, "task {}", task.task.name())?;
    for training in &trainings {
        print(&mut out, training)?;
    }
    if let [first, second] = trainings.as_slice() {
        print_difference(&mut out, first, second)?;
    }
    Ok(())
}

fn train(
    task: &WeightedTask,
    name: &str,
    program: &Program,
    settings: &[(String, f64)],
    seeds: &[u64],
    interrupted: &dyn Fn() -> bool,
) -> Result<Training, Failure> {
    // A zoo program starts from its tuned constants for the task; what the user sets goes before them.
    let tuned = task.tuned.iter().any(|tuned| tuned.program == name);
    let base = task.candidate(program, Some(name));
    let mut peak_lr = base.peak_lr;
    let mut hyperparameters = base.hyperparameters.to_vec();
    for (name, value) in settings {
        if name == "lr" {
            peak_lr = *value;
        } else if let Some((_, place)) = hyperparameters.iter_mut().find(|(known, _)| known == name) {
            *place = *value;
        } else {
            hyperparameters.push((name.clone(), *value));
        }
    }
    let candidate = Candidate { program, peak_lr, hyperparameters: &hyperparameters };
    let mut runs = Vec::new();
    for seed in seeds {
        let verdict = |_: &_| if interrupted() { Verdict::Stop } else { Verdict::Continue };
        let run = task.task.run(&candidate, *seed, &mut { verdict })?;
        runs.push(SeedRun { seed: *seed, milliseconds: 1e3 * run.elapsed.as_secs_f64(), run });
        if interrupted() {
            break;
        }
    }
    let finals: Option<Vec<Metrics>> = runs.iter().map(|run| run.run.final_metrics()).collect();
    let finals = finals.filter(|finals| !finals.is_empty());
    let losses = |finals: &[Metrics]| finals.iter().map(|m| m.loss).collect::<Vec<f64>>();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let constants = match (tuned, settings.is_empty()) {
        (true, true) => "tuned for this task",
        (true, false) => "tuned for this task, with your settings",
        (false, true) => "the program's own",
        (false, false) => "the program's own, with your settings",
    };
    Ok(Training {
        program: name.to_owned(),
        constants: constants.to_owned(),
        peak_lr,
        hyperparameters,
        mean: finals.as_deref().map(|finals| Metrics {
            loss: mean(&losses(finals)),
            accuracy: finals.iter().map(|m| m.accuracy).collect::<Option<Vec<f64>>>().map(|values| mean(&values)),
        }),
        standard_error: finals.as_deref().and_then(|finals| symopt_search::comparison::standard_error(&losses(finals))),
        runs,
    })
}

fn print(out: &mut impl Write, training: &Training) -> std::io::Result<()> {
    let hyperparameters: Vec<String> =
        training.hyperparameters.iter().map(|(name, value)| format!(", {name} {}", table::number(*value))).collect();
    let Training { program, constants, peak_lr, .. } = training;
    writeln!(out, "\n{program}: peak learning rate {}{} ({constants})", table::number(*peak_lr), hyperparameters.concat())?;
    let mut lines = vec![["STEP", "TRAINING LOSS", "VALIDATION LOSS", "ACCURACY"].map(str::to_owned).to_vec()];
    if let Some(first) = training.runs.first() {
        writeln!(out, "curve of seed {}, {:.1} ms:", first.seed, first.milliseconds)?;
        for checkpoint in &first.run.curve {
            lines.push(vec![
                checkpoint.step.to_string(),
                format!("{:.4}", checkpoint.training_loss),
                format!("{:.4}", checkpoint.validation.loss),
                accuracy(checkpoint.validation),
            ]);
        }
        table::print(out, &lines, &[0, 1, 2, 3], &[])?;
    }
    for run in &training.runs {
        match run.run.stop {
            StopReason::Completed => {}
            StopReason::Diverged { step } => writeln!(out, "seed {}: diverged at step {step}", run.seed)?,
            StopReason::Stopped { step } => writeln!(out, "seed {}: interrupted at step {step}", run.seed)?,
        }
    }
    if let Some(mean) = training.mean {
        let spread = training.standard_error.map_or_else(String::new, |error| format!(" ± {error:.4}"));
        let accuracy = mean.accuracy.map_or_else(String::new, |a| format!(", accuracy {:.2} %", 100.0 * a));
        writeln!(out, "final validation loss over {} seeds: {:.4}{spread}{accuracy}", training.runs.len(), mean.loss)?;
    }
    Ok(())
}

fn accuracy(metrics: Metrics) -> String {
    metrics.accuracy.map_or_else(|| "-".to_owned(), |accuracy| format!("{:.2} %", 100.0 * accuracy))
}

fn print_difference(out: &mut impl Write, first: &Training, second: &Training) -> std::io::Result<()> {
    let pairs = first.runs.iter().zip(&second.runs).map(|(a, b)| {
        let (a, b) = (a.run.final_metrics()?.loss, b.run.final_metrics()?.loss);
        Some((b - a) / b)
    });
    let Some(differences) = pairs.collect::<Option<Vec<f64>>>().filter(|d| !d.is_empty()) else {
        return writeln!(out, "\nno comparison: not every run completed");
    };
    let mean = differences.iter().sum::<f64>() / differences.len() as f64;
    let spread = symopt_search::comparison::standard_error(&differences).map_or_else(String::new, |e| format!(" ± {:.2}", 100.0 * e));
    writeln!(
        out,
        "\n{} against {}: {:+.2}{spread} % validation loss saved, paired over {} seeds",
        first.program,
        second.program,
        100.0 * mean,
        differences.len()
    )
}
