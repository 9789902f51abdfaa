//! `symopt tune`

mod map;
mod pattern;

use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{ArgGroup, Args, ValueEnum};
use serde::Serialize;
use symopt_dsl::Program;
use symopt_proxy_tasks::baseline::{self, Grid, Strategy, Trial};
use symopt_proxy_tasks::pattern_search::Protocol;
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_proxy_tasks::suite::WeightedTask;
use symopt_proxy_tasks::task::Verdict;

use crate::external::TaskCommand;
use crate::failure::Failure;
use crate::progress::CountLine;
use crate::terminal;
use crate::{interrupt, options, programs, table};

/// Rows of the table: the best pairs.
const SHOWN: usize = 10;

#[derive(Args)]
#[command(group(ArgGroup::new("where").required(true).args(["task", "suite", "task_command"])))]
pub struct Arguments {
    /// Task of a built-in suite, TASK or SUITE/TASK (`symopt tasks` lists them), or of your own, FILE/TASK
    #[arg(long)]
    task: Option<String>,
    /// All tasks of a suite, a name or a TOML file: prints the tables for the suite's file
    #[arg(long)]
    suite: Option<String>,
    #[command(flatten)]
    command: TaskCommand,
    /// Program to tune: zoo name, file, `-` or STORE:HASH; may be given several times
    #[arg(long, required = true)]
    program: Vec<String>,
    /// Which of the 21 learning rates and 7 decays are tried as pairs
    #[arg(long, value_enum, default_value_t = Pairs::Fine)]
    grid: Pairs,
    /// Tuning seeds that judge a pair; by default 8 for fine, 4 for coarse, 2 for local
    #[arg(long, value_name = "N", value_parser = options::between::<1, 1000>)]
    seeds: Option<u16>,
    /// Instead of a grid, search by patterns, the betas included, with at most this many training runs
    #[arg(long, value_name = "RUNS", value_parser = options::size, allow_negative_numbers = true, conflicts_with_all = ["suite", "grid", "seeds"])]
    budget: Option<usize>,
    /// With --budget: leave the betas at their defaults
    #[arg(long, requires = "budget")]
    no_betas: bool,
    /// Write the grid into FILE: the gain over tuned AdamW by learning rate and weight decay, as a picture for .svg, as a table for .csv
    #[arg(long, value_name = "FILE", conflicts_with_all = ["budget", "suite"])]
    map: Option<PathBuf>,
    /// Print JSON: every pair that was tried; a list, if there are several tasks or programs
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Pairs {
    /// All
    Fine,
    /// Every second learning rate with every second decay, then steps from the best of them while they help
    Coarse,
    /// Steps from the constants in the suite, or from the middle, while they help
    Local,
}

impl From<Pairs> for Strategy {
    fn from(pairs: Pairs) -> Strategy {
        match pairs {
            Pairs::Fine => Strategy::Fine,
            Pairs::Coarse => Strategy::Coarse,
            Pairs::Local => Strategy::Local,
        }
    }
}

#[derive(Serialize)]
struct Report {
    task: String,
    program: String,
    strategy: Strategy,
    grid: Grid,
    trials: Vec<Trial>,
    best: Option<Trial>,
    /// Whether it has a decay to tune.
    #[serde(skip)]
    has_decay: bool,
    /// Whether the task is a command.
    #[serde(skip)]
    is_external: bool,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    // What can't be written is said before anything is done.
    let map = arguments.map.as_deref().map(|path| Ok::<_, Failure>((path, map::Format::of(path)?))).transpose()?;
    let tasks = match &arguments.suite {
        Some(suite) => SuiteSource::find(suite)?.suite()?.tasks,
        None => vec![arguments.command.or_named(arguments.task.as_deref())?],
    };
    let named: Vec<(&String, Program)> =
        arguments.program.iter().map(|name| Ok((name, programs::find(name)?))).collect::<Result<_, Failure>>()?;
    let strategy = Strategy::from(arguments.grid);
    let grid = Grid { seeds: arguments.seeds.map_or(strategy.seeds(), usize::from), ..Grid::default() };
    if (map.is_some() || arguments.budget.is_some()) && named.len() > 1 {
        return Err(Failure::Input("--map and --budget take one program at a time".to_owned()));
    }
    if let (Some(budget), Some(task), Some((name, program))) = (arguments.budget, tasks.first(), named.first()) {
        let protocol = Protocol { budget, shares: !arguments.no_betas, ..Protocol::default() };
        return pattern::run(task.task.as_ref(), name, program, &protocol, arguments.json);
    }
    let interrupt = interrupt::flag()?;
    let one = arguments.suite.is_none() && named.len() == 1;
    let mut out = terminal::output();
    let mut reports = Vec::new();
    'all: for task in &tasks {
        for (name, program) in &named {
            let report = tune(task, name, program, &grid, strategy, interrupt)?;
            if let Some((path, format)) = map {
                map::write(path, format, task, name, &report.trials, grid.seeds)?;
            }
            let interrupted = interrupt.load(Ordering::Relaxed);
            if interrupted && report.trials.is_empty() && !arguments.json {
                return Err(Failure::Work(format!("interrupted before a pair was tried for {name} on {}", task.task.name())));
            }
            if arguments.json {
                reports.push(report);
            } else if one {
                print_one(&mut out, report)?;
                if let Some((path, _)) = map {
                    writeln!(out, "\nmap written: {}", path.display())?;
                }
                return Ok(());
            } else if interrupted {
                return Err(Failure::Work(format!("interrupted while {name} was tuned on {}", task.task.name())));
            } else {
                print_table(&mut out, &report)?;
            }
            if interrupted {
                break 'all;
            }
        }
    }
    if arguments.json {
        match reports.as_slice() {
            [report] if one => serde_json::to_writer_pretty(&mut out, report)?,
            reports => serde_json::to_writer_pretty(&mut out, reports)?,
        }
        out.write_all(b"\n")?;
    }
    Ok(())
}

fn tune(
    task: &WeightedTask,
    name: &str,
    program: &Program,
    grid: &Grid,
    strategy: Strategy,
    interrupt: &AtomicBool,
) -> Result<Report, Failure> {
    let start = task.tuned.iter().find(|tuned| tuned.program == name);
    let line = CountLine::new(match strategy {
        Strategy::Fine => "pairs tried",
        Strategy::Coarse | Strategy::Local => "pairs tried, at most",
    });
    let has_decay = program.signature().hyperparameters().any(|(_, parameter)| parameter.name == "weight_decay");
    let pairs = grid.peak_lr.len() * if has_decay { grid.weight_decay.len() } else { 1 };
    let mut tried = 0;
    let trials = baseline::tune(task.task.as_ref(), program, grid, strategy, start, &mut |_| {
        tried += 1;
        line.draw(tried, pairs as u64);
        if interrupt.load(Ordering::Relaxed) { Verdict::Stop } else { Verdict::Continue }
    });
    line.finish();
    let trials = trials?;
    Ok(Report {
        task: task.task.name().to_owned(),
        program: name.to_owned(),
        strategy,
        grid: grid.clone(),
        best: baseline::best(&trials).cloned(),
        trials,
        is_external: task.task.is_external(),
        has_decay,
    })
}

/// The table of a suite's file, with how it came about.
fn print_table(out: &mut impl Write, report: &Report) -> Result<(), Failure> {
    let Report { task, program, trials, grid, .. } = report;
    let Some(best) = &report.best else {
        return Ok(writeln!(out, "# {program} on {task} diverges with each of {} pairs{}\n", trials.len(), report.failed())?);
    };
    let loss = best.loss.unwrap_or(f64::NAN);
    writeln!(out, "# {program} on {task}: loss {loss:.5}, the best of {} pairs over {} tuning seeds", trials.len(), grid.seeds)?;
    if let Some(warning) = report.edge() {
        writeln!(out, "# {warning}")?;
    }
    writeln!(out, "{}\n", report.toml(best))?;
    Ok(out.flush()?)
}

fn print_one(out: &mut impl Write, mut report: Report) -> Result<(), Failure> {
    let Some(best) = report.best.clone() else {
        return Err(Failure::Work(format!("{} diverges with every pair of the grid{}", report.program, report.failed())));
    };
    writeln!(
        out,
        "{} on {}: the best of {} pairs, by mean validation loss over {} tuning seeds\n",
        report.program,
        report.task,
        report.trials.len(),
        report.grid.seeds
    )?;
    report.trials.sort_by(|a, b| a.loss.unwrap_or(f64::INFINITY).total_cmp(&b.loss.unwrap_or(f64::INFINITY)));
    let mut lines = vec![["PEAK LR", "WEIGHT DECAY", "VALIDATION LOSS"].map(str::to_owned).to_vec()];
    for trial in report.trials.iter().take(SHOWN) {
        let none = if trial.failure.is_some() { "failed" } else { "diverged" };
        let loss = trial.loss.map_or_else(|| none.to_owned(), |loss| format!("{loss:.5}"));
        lines.push(vec![trial.peak_lr.to_string(), trial.weight_decay.to_string(), loss]);
    }
    table::print(out, &lines, &[0, 1, 2], &[])?;
    if let Some(warning) = report.edge() {
        writeln!(out, "\n{warning}")?;
    }
    if report.trials.iter().any(|trial| trial.failure.is_some()) {
        writeln!(out, "\nof these pairs{}", report.failed())?;
    }
    writeln!(out, "\nfor the task's table in a suite file:\n\n{}", report.toml(&best))?;
    Ok(())
}

impl Report {
    /// What failed, as a clause.
    fn failed(&self) -> String {
        let failures: Vec<_> = self.trials.iter().filter_map(|trial| trial.failure.as_ref()).collect();
        failures.first().map_or_else(String::new, |first| format!(", {} failed, the first one: {}", failures.len(), first.reason))
    }

    fn edge(&self) -> Option<&'static str> {
        let best = self.best.as_ref()?;
        if [self.grid.peak_lr.first(), self.grid.peak_lr.last()].contains(&Some(&best.peak_lr)) {
            Some("the best learning rate is at the edge of the grid: a better one may lie beyond it")
        } else if self.has_decay && self.grid.weight_decay.last() == Some(&best.weight_decay) {
            Some("the best weight decay is the largest of the grid: a better one may lie beyond it")
        } else {
            None
        }
    }

    fn toml(&self, best: &Trial) -> String {
        let table = if self.is_external { "external" } else { "task" };
        let hyperparameters = if self.has_decay { format!("[[\"weight_decay\", {:?}]]", best.weight_decay) } else { "[]".to_owned() };
        format!("[[{table}.tuned]]\nprogram = {:?}\npeak_lr = {:?}\nhyperparameters = {hyperparameters}", self.program, best.peak_lr)
    }
}
