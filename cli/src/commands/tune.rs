//! `symopt tune`

mod map;
mod pattern;

use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use clap::Args;
use serde::Serialize;
use symopt_proxy_tasks::baseline::{self, Grid, Trial};
use symopt_proxy_tasks::pattern_search::Protocol;
use symopt_proxy_tasks::spec;
use symopt_proxy_tasks::task::Verdict;

use crate::failure::Failure;
use crate::{interrupt, options, programs, table};

/// Rows of the table: the best pairs.
const SHOWN: usize = 10;

#[derive(Args)]
pub struct Arguments {
    /// Task of a built-in suite, TASK or SUITE/TASK (`symopt tasks` lists them), or of your own, FILE/TASK
    #[arg(long)]
    task: String,
    /// Program to tune: zoo name, file, `-` or STORE:HASH
    #[arg(long)]
    program: String,
    /// Instead of a grid, search by patterns, the betas included, with at most this many training runs
    #[arg(long, value_name = "RUNS", value_parser = options::size, allow_negative_numbers = true)]
    budget: Option<usize>,
    /// With --budget: leave the betas at their defaults
    #[arg(long, requires = "budget")]
    no_betas: bool,
    /// Write the grid into FILE: the gain over tuned AdamW by learning rate and weight decay, as a picture for .svg, as a table for .csv
    #[arg(long, value_name = "FILE", conflicts_with = "budget")]
    map: Option<PathBuf>,
    /// Print JSON: every pair that was tried
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    task: &'a str,
    program: &'a str,
    grid: &'a Grid,
    trials: &'a [Trial],
    best: Option<&'a Trial>,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    // What can't be written is said before anything is done.
    let map = arguments.map.as_deref().map(|path| Ok::<_, Failure>((path, map::Format::of(path)?))).transpose()?;
    let task = spec::find_task(&arguments.task)?;
    let program = programs::find(&arguments.program)?;
    if let Some(budget) = arguments.budget {
        let protocol = Protocol { budget, shares: !arguments.no_betas, ..Protocol::default() };
        return pattern::run(task.task.as_ref(), &arguments.program, &program, &protocol, arguments.json);
    }
    let interrupt = interrupt::flag()?;
    let grid = Grid::default();
    let mut trials = baseline::tune(task.task.as_ref(), &program, &grid, &mut |_| {
        if interrupt.load(Ordering::Relaxed) { Verdict::Stop } else { Verdict::Continue }
    })?;
    let best = baseline::best(&trials).cloned();
    if let Some((path, format)) = map {
        map::write(path, format, &task, &arguments.program, &trials, grid.seeds)?;
    }
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let name = task.task.name();
        let report = Report { task: name, program: &arguments.program, grid: &grid, trials: &trials, best: best.as_ref() };
        serde_json::to_writer_pretty(&mut out, &report)?;
        return Ok(out.write_all(b"\n")?);
    }
    let Some(best) = best else {
        return Err(Failure::Work(format!("{} diverges with every pair of the grid", arguments.program)));
    };
    let count = trials.len();
    writeln!(
        out,
        "{} on {}: the best of {count} pairs, by mean validation loss over {} tuning seeds\n",
        arguments.program,
        task.task.name(),
        grid.seeds
    )?;
    trials.sort_by(|a, b| a.loss.unwrap_or(f64::INFINITY).total_cmp(&b.loss.unwrap_or(f64::INFINITY)));
    let mut lines = vec![["PEAK LR", "WEIGHT DECAY", "VALIDATION LOSS"].map(str::to_owned).to_vec()];
    for trial in trials.iter().take(SHOWN) {
        let loss = trial.loss.map_or_else(|| "diverged".to_owned(), |loss| format!("{loss:.5}"));
        lines.push(vec![trial.peak_lr.to_string(), trial.weight_decay.to_string(), loss]);
    }
    table::print(&mut out, &lines, &[0, 1, 2], &[])?;
    let edges = [grid.peak_lr.first(), grid.peak_lr.last()];
    if edges.contains(&Some(&best.peak_lr)) {
        writeln!(out, "\nthe best learning rate is at the edge of the grid: a better one may lie beyond it")?;
    }
    let has_decay = program.signature().hyperparameters().any(|(_, parameter)| parameter.name == "weight_decay");
    let hyperparameters = if has_decay { format!("[[\"weight_decay\", {:?}]]", best.weight_decay) } else { "[]".to_owned() };
    writeln!(out, "\nfor the task's table in a suite file:\n\n[[task.tuned]]")?;
    writeln!(out, "program = {:?}\npeak_lr = {:?}\nhyperparameters = {hyperparameters}", arguments.program, best.peak_lr)?;
    if let Some((path, _)) = map {
        writeln!(out, "\nmap written: {}", path.display())?;
    }
    Ok(())
}
