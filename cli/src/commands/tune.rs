//! `symopt tune`

mod map;
mod pattern;

use std::io::Write;
use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum};
use serde::Serialize;
use symopt_cancel::CancelToken;
use symopt_dsl::Program;
use symopt_dsl::shell::Command;
use symopt_proxy_tasks::constants::{Origin, Tuned};
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_proxy_tasks::suite::{BASELINE, WeightedTask};
use symopt_proxy_tasks::tuning::grid::{self, Grid, Strategy, Trial};
use symopt_proxy_tasks::tuning::pattern_search::Protocol;
use symopt_search::judge::form::WEIGHT_DECAY;
use symopt_search::judge::size_on;

use crate::external::{self, TaskCommand};
use crate::failure::Failure;
use crate::progress::CountLine;
use crate::workers::Workers;
use crate::{hint, interrupt, named_program, options, table, terminal};

/// Rows of the table: the best pairs.
const SHOWN: usize = 10;

#[derive(Args)]
#[command(group(ArgGroup::new("where").required(true).args(["task", "suite", "task_command"])))]
pub struct Arguments {
    /// Task of a built-in suite, TASK or SUITE/TASK (`symopt tasks` lists them), or of your own,
    /// FILE/TASK
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
    /// Instead of a grid, search by patterns, the betas included, with at most this many training
    /// runs
    #[arg(long, value_name = "RUNS", value_parser = options::size, allow_negative_numbers = true, conflicts_with_all = ["suite", "grid", "seeds"])]
    budget: Option<usize>,
    /// With --budget: leave the betas at their defaults
    #[arg(long, requires = "budget")]
    no_betas: bool,
    /// Write the grid into FILE: the gain over AdamW, which says whether it is tuned, by learning
    /// rate and weight decay, as a picture for .svg, as a table for .csv
    #[arg(long, value_name = "FILE", conflicts_with_all = ["budget", "suite"])]
    map: Option<PathBuf>,
    /// Print JSON: every pair that was tried; a list, if there are several tasks or programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    workers: Workers,
}

#[derive(Clone, Copy, ValueEnum)]
enum Pairs {
    /// All
    Fine,
    /// Every second learning rate with every second decay, then steps from the best of them while
    /// they help
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
    /// Baseline of the gains of the map, if one is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    gains_against: Option<String>,
    /// Whether it has a decay to tune.
    #[serde(skip)]
    has_decay: bool,
    /// Whether the task is a command.
    #[serde(skip)]
    is_external: bool,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    // Output paths are checked before any work begins.
    let cancel = interrupt::token()?;
    let map = arguments
        .map
        .as_deref()
        .map(|path| Ok::<_, Failure>((path, map::Format::of(path)?)))
        .transpose()?;
    let tasks = match &arguments.suite {
        Some(suite) => arguments.workers.suite(&SuiteSource::find(suite)?)?.tasks,
        None if arguments.workers.are_given() => {
            return Err(Failure::Input(
                "--server goes with --suite; a single task is tuned on this machine".to_owned(),
            ));
        }
        // Gains on a map are over AdamW, which is tuned as well; its own map is against the best of
        // itself.
        None => {
            let needs_adamw =
                map.is_some() && arguments.program.iter().any(|program| program != BASELINE);
            let runs = if needs_adamw { external::usual_runs() } else { 0 };
            vec![arguments.command.or_named(
                arguments.task.as_deref(),
                runs,
                arguments.json,
                &cancel,
            )?]
        }
    };
    let named: Vec<(&String, Tunable)> = arguments
        .program
        .iter()
        .map(|name| Ok((name, Tunable::find(name, &cancel)?)))
        .collect::<Result<_, Failure>>()?;
    let strategy = Strategy::from(arguments.grid);
    let grid =
        Grid { seeds: arguments.seeds.map_or(strategy.seeds(), usize::from), ..Grid::default() };
    if (map.is_some() || arguments.budget.is_some()) && named.len() > 1 {
        return Err(Failure::Input("--map and --budget take one program at a time".to_owned()));
    }
    if let (Some(budget), Some(task), Some((name, program))) =
        (arguments.budget, tasks.first(), named.first())
    {
        let protocol = Protocol { budget, shares: !arguments.no_betas, ..Protocol::default() };
        let on =
            pattern::On { task, argument: arguments.task.as_deref(), command: &arguments.command };
        return pattern::run(&on, name, program, &protocol, arguments.json, &cancel);
    }
    let one = arguments.suite.is_none() && named.len() == 1;
    let mut out = terminal::output();
    let mut reports = Vec::new();
    'all: for task in &tasks {
        for (name, program) in &named {
            let mut report = tune(task, name, program, &grid, strategy, &cancel)?;
            if let Some((path, format)) = map {
                report.gains_against =
                    map::write(path, format, task, name, &report.trials, grid.seeds, &cancel)?;
            }
            let interrupted = cancel.is_cancelled();
            if interrupted && report.trials.is_empty() && !arguments.json {
                return Err(Failure::Work(format!(
                    "interrupted before a pair was tried for {name} on {}",
                    task.task.name()
                )));
            }
            if arguments.json {
                reports.push(report);
            } else if one {
                let against = report.gains_against.clone();
                let uses = report.uses(&arguments.command, arguments.task.as_deref());
                print_one(&mut out, report)?;
                print_uses(&mut out, &uses)?;
                if let Some((path, _)) = map {
                    let what = against
                        .map_or_else(|| "losses".to_owned(), |adamw| format!("gains over {adamw}"));
                    writeln!(out, "\nmap written: {}, {what}", path.display())?;
                }
                return Ok(());
            } else if interrupted {
                return Err(Failure::Work(format!(
                    "interrupted while {name} was tuned on {}",
                    task.task.name()
                )));
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

/// A program to tune.
struct Tunable {
    program: Program,
    is_direction: bool,
}

impl Tunable {
    fn find(name: &str, cancel: &CancelToken) -> Result<Tunable, Failure> {
        let found = named_program::found(name)?;
        let program = found.with_constants(cancel)?;
        Ok(Tunable { program, is_direction: found.direction.is_some() })
    }

    /// The size of its steps on a task, in which those of a direction are tried: with the learning
    /// rates of the grid they have the sizes that those of other optimizers have. 1 for a whole
    /// program.
    fn size(&self, task: &WeightedTask, cancel: &CancelToken) -> Result<f64, Failure> {
        if !self.is_direction {
            return Ok(1.0);
        }
        let wrong = || {
            Failure::Work(format!(
                "the direction is not finite on the gradients of {}",
                task.task.name()
            ))
        };
        size_on(task, &self.program, cancel)?.ok_or_else(wrong)
    }

    /// The grid for the program on a task, and where a walk begins.
    fn grid(
        &self,
        task: &WeightedTask,
        grid: &Grid,
        cancel: &CancelToken,
    ) -> Result<(Grid, Option<Tuned>), Failure> {
        if !self.is_direction {
            return Ok((grid.clone(), None));
        }
        let size = self.size(task, cancel)?;
        let rounded = |value: f64| format!("{value:.2e}").parse().unwrap_or(value);
        let grid = Grid {
            peak_lr: grid.peak_lr.iter().map(|rate| rounded(rate / size)).collect(),
            weight_decay: grid.weight_decay.iter().map(|decay| rounded(decay * size)).collect(),
            ..grid.clone()
        };
        let signature = self.program.signature();
        let decay = signature
            .hyperparameters()
            .find(|(_, p)| p.name == WEIGHT_DECAY)
            .and_then(|(_, p)| p.default);
        let states_rate = signature
            .learning_rate()
            .is_some_and(|id| signature.parameters[id.index()].default.is_some());
        let start = states_rate.then(|| Tuned {
            program: signature.name.clone(),
            peak_lr: signature.peak_learning_rate(),
            hyperparameters: decay
                .map(|value| (WEIGHT_DECAY.to_owned(), value))
                .into_iter()
                .collect(),
            averages: false,
            origin: Origin::Stated,
        });
        Ok((grid, start))
    }
}

fn tune(
    task: &WeightedTask,
    name: &str,
    tunable: &Tunable,
    grid: &Grid,
    strategy: Strategy,
    cancel: &CancelToken,
) -> Result<Report, Failure> {
    let program = &tunable.program;
    let (grid, start) = tunable.grid(task, grid, cancel)?;
    let start = task.constants(name, false).or(start.as_ref());
    let line = CountLine::new(match strategy {
        Strategy::Fine => "pairs tried",
        Strategy::Coarse | Strategy::Local => "pairs tried, at most",
    });
    let has_decay = program
        .signature()
        .hyperparameters()
        .any(|(_, parameter)| parameter.name == "weight_decay");
    let pairs = grid.peak_lr.len() * if has_decay { grid.weight_decay.len() } else { 1 };
    let mut tried = 0;
    let mut draw = |_: &Trial| {
        tried += 1;
        line.draw(tried, pairs as u64);
    };
    let task_alone = task.task.as_ref();
    let trials = grid::tune(task_alone, program, &grid, strategy, start, cancel, &mut draw);
    line.finish();
    let trials = trials?;
    Ok(Report {
        task: task.task.name().to_owned(),
        program: name.to_owned(),
        strategy,
        grid,
        best: grid::best(&trials).cloned(),
        trials,
        gains_against: None,
        is_external: task.task.is_external(),
        has_decay,
    })
}

/// The table of a suite's file, with how it came about.
fn print_table(out: &mut impl Write, report: &Report) -> Result<(), Failure> {
    let Report { task, program, trials, grid, .. } = report;
    let Some(best) = &report.best else {
        return Ok(writeln!(
            out,
            "# {program} on {task} diverges with each of {} pairs{}\n",
            trials.len(),
            report.failed()
        )?);
    };
    let loss = best.loss.unwrap_or(f64::NAN);
    writeln!(
        out,
        "# {program} on {task}: loss {loss:.5}, the best of {} pairs over {} tuning seeds",
        trials.len(),
        grid.seeds
    )?;
    if let Some(warning) = report.edge() {
        writeln!(out, "# {warning}")?;
    }
    writeln!(out, "{}\n", report.toml(best))?;
    Ok(out.flush()?)
}

fn print_one(out: &mut impl Write, mut report: Report) -> Result<(), Failure> {
    let Some(best) = report.best.clone() else {
        return Err(Failure::Work(format!(
            "{} diverges with every pair of the grid{}",
            report.program,
            report.failed()
        )));
    };
    writeln!(
        out,
        "{} on {}: the best of {} pairs, by mean validation loss over {} tuning seeds\n",
        report.program,
        report.task,
        report.trials.len(),
        report.grid.seeds
    )?;
    report.trials.sort_by(|a, b| {
        a.loss.unwrap_or(f64::INFINITY).total_cmp(&b.loss.unwrap_or(f64::INFINITY))
    });
    let mut lines =
        vec![["PEAK LR", "WEIGHT DECAY", "VALIDATION LOSS"].map(str::to_owned).to_vec()];
    for trial in report.trials.iter().take(SHOWN) {
        let none = if trial.failure.is_some() { "failed" } else { "diverged" };
        let loss = trial.loss.map_or_else(|| none.to_owned(), |loss| format!("{loss:.5}"));
        lines.push(vec![trial.peak_lr.to_string(), trial.weight_decay.to_string(), loss]);
    }
    table::print(out, &lines, &[0, 1, 2], &[])?;
    if let Some(warning) = report.edge() {
        table::paragraph(out, &format!("\n{warning}"))?;
    }
    if report.trials.iter().any(|trial| trial.failure.is_some()) {
        table::paragraph(out, &format!("\nof these pairs{}", report.failed()))?;
    }
    writeln!(out, "\nfor the task's table in a suite file:\n\n{}", report.toml(&best))?;
    Ok(())
}

/// Commands that use what was found.
fn print_uses(out: &mut impl Write, uses: &[Command]) -> Result<(), Failure> {
    if !uses.is_empty() {
        writeln!(out, "\nto use it:")?;
        uses.iter().try_for_each(|command| hint::print(out, command))?;
    }
    Ok(())
}

impl Report {
    /// Commands that use the best pair.
    fn uses(&self, command: &TaskCommand, task: Option<&str>) -> Vec<Command> {
        // The standard input can be read once.
        let Some(best) = self.best.as_ref().filter(|_| self.program != "-") else {
            return Vec::new();
        };
        let decay = self.has_decay.then(|| (WEIGHT_DECAY.to_owned(), best.weight_decay));
        let (runs, seeds) = (self.trials.len() * self.grid.seeds, self.grid.seeds);
        let origin = Origin::Tuned { runs, seeds };
        let (program, hyperparameters) = (self.program.clone(), decay.into_iter().collect());
        command.uses(
            task,
            &self.program,
            &Tuned { program, peak_lr: best.peak_lr, hyperparameters, averages: false, origin },
        )
    }

    /// Describes the failures in a clause; empty if there are none.
    fn failed(&self) -> String {
        let failures: Vec<_> =
            self.trials.iter().filter_map(|trial| trial.failure.as_ref()).collect();
        failures.first().map_or_else(String::new, |first| {
            format!(", {} failed, the first one: {}", failures.len(), first.reason)
        })
    }

    fn edge(&self) -> Option<&'static str> {
        let best = self.best.as_ref()?;
        if [self.grid.peak_lr.first(), self.grid.peak_lr.last()].contains(&Some(&best.peak_lr)) {
            Some(
                "the best learning rate is at the edge of the grid: a better one may lie beyond it",
            )
        } else if self.has_decay && self.grid.weight_decay.last() == Some(&best.weight_decay) {
            Some("the best weight decay is the largest of the grid: a better one may lie beyond it")
        } else {
            None
        }
    }

    fn toml(&self, best: &Trial) -> String {
        let table = if self.is_external { "external" } else { "task" };
        let hyperparameters = if self.has_decay {
            format!("[[\"weight_decay\", {:?}]]", best.weight_decay)
        } else {
            "[]".to_owned()
        };
        let (runs, seeds) = (self.trials.len() * self.grid.seeds, self.grid.seeds);
        format!(
            "[[{table}.tuned]]\nprogram = {:?}\npeak_lr = {:?}\nhyperparameters = {hyperparameters}\norigin = {{ tuned = {{ runs = {runs}, seeds = {seeds} }} }}",
            self.program, best.peak_lr
        )
    }
}
