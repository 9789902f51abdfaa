//! `symopt tune --budget`

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Serialize;
use symopt_cancel::CancelToken;
use symopt_proxy_tasks::constants::Origin;
use symopt_proxy_tasks::suite::WeightedTask;
use symopt_proxy_tasks::tuning::pattern_search::{self, End, Protocol, Trial, Tuning};

use super::{SHOWN, Tunable, print_uses};
use crate::external::TaskCommand;
use crate::failure::Failure;
use crate::progress::CountLine;
use crate::{table, terminal};

/// Output of `--json`.
#[derive(Serialize)]
struct Report<'a> {
    task: &'a str,
    program: &'a str,
    protocol: &'a Protocol,
    runs: usize,
    end: End,
    trials: &'a [Trial],
    best: Option<&'a Trial>,
}

/// Task that a program is tuned on.
pub struct On<'a> {
    pub task: &'a WeightedTask,
    /// How it was asked for, if by a name.
    pub argument: Option<&'a str>,
    pub command: &'a TaskCommand,
}

/// Tunes a program by a pattern search.
pub fn run(
    on: &On,
    name: &str,
    tunable: &Tunable,
    protocol: &Protocol,
    json: bool,
    cancel: &CancelToken,
) -> Result<(), Failure> {
    let line = CountLine::new("training runs, at most");
    let (done, total) = (AtomicUsize::new(0), protocol.points() * protocol.seeds);
    let used = |runs: usize| {
        line.draw((done.fetch_add(runs, Ordering::Relaxed) + runs) as u64, total as u64)
    };
    let task = on.task.task.as_ref();
    let size = tunable.size(on.task, cancel)?;
    let tuning =
        pattern_search::search_in_units(task, &tunable.program, size, protocol, cancel, &used);
    line.finish();
    let tuning = tuning?;
    let mut out = terminal::output();
    if json {
        let Tuning { trials, runs, end, .. } = &tuning;
        let report = Report {
            task: task.name(),
            program: name,
            protocol,
            runs: *runs,
            end: *end,
            trials,
            best: tuning.best(),
        };
        serde_json::to_writer_pretty(&mut out, &report)?;
        return Ok(out.write_all(b"\n")?);
    }
    let Some(best) = tuning.best() else {
        return Err(match tuning.end {
            End::Cancelled => Failure::Work("interrupted before there was a result".to_owned()),
            End::Converged | End::Budget => {
                Failure::Work(format!("{name} diverges with every setting that was tried"))
            }
        });
    };
    let end = match tuning.end {
        End::Converged => "no neighbour is better",
        End::Budget => "the budget is used up; a larger one may find better settings",
        End::Cancelled => "interrupted",
    };
    let (count, seeds) = (tuning.trials.len(), protocol.seeds);
    writeln!(
        out,
        "{name} on {}: the best of {count} settings, by mean validation loss over {seeds} tuning seeds",
        task.name()
    )?;
    writeln!(out, "{} training runs; {end}\n", tuning.runs)?;
    let mut heading = vec!["PEAK LR".to_owned()];
    heading
        .extend(best.hyperparameters.iter().map(|(name, _)| name.to_uppercase().replace('_', " ")));
    heading.push("VALIDATION LOSS".to_owned());
    let columns: Vec<usize> = (0..heading.len()).collect();
    let mut lines = vec![heading];
    let mut trials: Vec<&Trial> = tuning.trials.iter().collect();
    trials.sort_by(|a, b| {
        a.loss.unwrap_or(f64::INFINITY).total_cmp(&b.loss.unwrap_or(f64::INFINITY))
    });
    for trial in trials.into_iter().take(SHOWN) {
        let mut cells = vec![table::number(trial.peak_lr)];
        cells.extend(trial.hyperparameters.iter().map(|(_, value)| table::number(*value)));
        cells.push(trial.loss.map_or_else(|| "diverged".to_owned(), |loss| format!("{loss:.5}")));
        lines.push(cells);
    }
    table::print(&mut out, &lines, &columns, &[])?;
    let hyperparameters: Vec<String> =
        best.hyperparameters.iter().map(|(name, value)| format!("[{name:?}, {value:?}]")).collect();
    let table = if task.is_external() { "external" } else { "task" };
    writeln!(out, "\nfor the task's table in a suite file:\n\n[[{table}.tuned]]")?;
    writeln!(
        out,
        "program = {name:?}\npeak_lr = {:?}\nhyperparameters = [{}]",
        best.peak_lr,
        hyperparameters.join(", ")
    )?;
    writeln!(out, "origin = {{ tuned = {{ runs = {}, seeds = {seeds} }} }}", tuning.runs)?;
    // The standard input can be read once.
    if name != "-" {
        print_uses(
            &mut out,
            &on.command.uses(
                on.argument,
                name,
                &best.tuned(name, Origin::Tuned { runs: tuning.runs, seeds }),
            ),
        )?;
    }
    Ok(())
}
