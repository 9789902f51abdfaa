//! `symopt top`

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use symopt_search::journal::CheckedStore;
use symopt_search::store::hall_of_fame::{self, Entry, EvaluatedProgram, hall_of_fame};

use crate::failure::Failure;
use crate::progress::short_form::formula;
use crate::{files, options, table, terminal};

#[derive(Args)]
#[command(
    after_help = "The front holds every program that has more fitness than all that are no longer and need \
                  no more state. Fitness is that on the search's own seeds, which it selected for, so it \
                  is too high: `symopt report STORE --seeds 8` judges on others."
)]
pub struct Arguments {
    /// Store of a search, also while it runs
    store: PathBuf,
    /// Show the best K programs of each cell: slots, functions of matrices, odd (gradients of the
    /// other sign give the other update), scale-free (a factor of 30 makes no difference)
    #[arg(long, value_name = "K", value_parser = options::between::<1, 1000>, num_args = 0..=1, default_missing_value = "3")]
    cells: Option<u16>,
    /// Show every evaluated program, also those that diverged or were stopped, in the order in
    /// which they were bred
    #[arg(long, conflicts_with = "cells")]
    all: bool,
    /// Write what is shown into FILE, with the texts of the programs
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    if let Some(path) = &arguments.csv {
        files::check_writable(path)?;
    }
    let store = CheckedStore::of(&arguments.store)?;
    if arguments.all {
        return show(arguments, &hall_of_fame::all(&store)?, print_all);
    }
    match arguments.cells {
        Some(most) => {
            let cells = hall_of_fame::cells(&store, usize::from(most))?;
            show(arguments, &cells, print_cells)
        }
        None => show(arguments, &hall_of_fame(&store)?, print_front),
    }
}

/// Writes and prints rows as the arguments say.
fn show<T: Serialize>(
    arguments: &Arguments,
    rows: &[T],
    print: impl Fn(&mut dyn Write, &[T]) -> std::io::Result<()>,
) -> Result<(), Failure> {
    if let Some(path) = &arguments.csv {
        files::write(path, &csv(rows).map_err(|error| Failure::Work(error.to_string()))?)?;
    }
    let mut out = terminal::output();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, rows)?;
        return Ok(out.write_all(b"\n")?);
    }
    print(&mut out, rows)?;
    if let Some(path) = &arguments.csv {
        writeln!(out, "written: {}", path.display())?;
    }
    Ok(())
}

/// Prints the front of a search in short, as it ends with it.
pub fn print_short_front(mut out: &mut dyn Write, front: &[Entry]) -> std::io::Result<()> {
    const MOST: usize = 40;
    let heading = ["PLACE", "FITNESS", "LIVE", "BYTES", "HASH", "DOES", "UPDATE"];
    let mut lines = vec![heading.map(str::to_owned).to_vec()];
    for entry in front {
        let mut update = update(&entry.program);
        if let Some((end, _)) = update.char_indices().nth(MOST) {
            update.truncate(end);
            update.push('…');
        }
        lines.push(vec![
            entry.place.to_string(),
            percent(entry.fitness, entry.standard_error),
            entry.live_statements.to_string(),
            entry.state_bytes.to_string(),
            short(&entry.hash),
            does(entry),
            update,
        ]);
    }
    table::print(&mut out, &lines, &[0, 1, 2, 3], &[])
}

const LEGEND: &str = "fitness on the search's own seeds ± standard error, live statements, bytes of \
                      state for each parameter, the operator and the parent that the program comes \
                      from";

fn print_entries(mut out: &mut dyn Write, entries: &[Entry], text: &str) -> std::io::Result<()> {
    let heading = ["PLACE", "FITNESS", "SEEDS", "LIVE", "BYTES", "HASH", "FROM", "DOES", "UPDATE"];
    let mut lines = vec![heading.map(str::to_owned).to_vec()];
    lines.extend(entries.iter().map(line));
    table::print(&mut out, &lines, &[0, 1, 2, 3, 4], &[(8, 60)])?;
    table::paragraph(&mut out, text)
}

fn print_front(out: &mut dyn Write, front: &[Entry]) -> std::io::Result<()> {
    print_entries(out, front, LEGEND)
}

fn print_cells(out: &mut dyn Write, cells: &[Entry]) -> std::io::Result<()> {
    let count = hall_of_fame::CANDIDATES;
    print_entries(
        out,
        cells,
        &format!("the best of each cell, of the {count} fittest programs; {LEGEND}"),
    )
}

fn print_all(mut out: &mut dyn Write, all: &[EvaluatedProgram]) -> std::io::Result<()> {
    let heading = ["CHILD", "FITNESS", "SEEDS", "HASH", "FROM", "UPDATE"];
    let mut lines = vec![heading.map(str::to_owned).to_vec()];
    for program in all {
        let child = match (program.child, program.epoch) {
            (Some(child), _) => child.to_string(),
            (None, Some(epoch)) => format!("elite {epoch}"),
            (None, None) => String::new(),
        };
        lines.push(vec![
            child,
            match program.fitness {
                Some(fitness) => percent(fitness, program.standard_error),
                None => program.outcome.to_owned(),
            },
            seeds(program.seeds),
            short(&program.hash),
            from(program.operator.as_deref(), program.parent.as_deref()),
            update(&program.program),
        ]);
    }
    table::print(&mut out, &lines, &[0, 1, 2], &[(5, 60)])
}

fn line(entry: &Entry) -> Vec<String> {
    vec![
        entry.place.to_string(),
        percent(entry.fitness, entry.standard_error),
        seeds(entry.seeds),
        entry.live_statements.to_string(),
        entry.state_bytes.to_string(),
        short(&entry.hash),
        from(entry.operator.as_deref(), entry.parent.as_deref()),
        does(entry),
        update(&entry.program),
    ]
}

/// The words of its cell, without the slots, which the bytes of state tell.
fn does(entry: &Entry) -> String {
    let words = [("matrix", entry.matrix), ("odd", entry.odd), ("scale-free", entry.scale_free)];
    let words: Vec<&str> =
        words.iter().filter(|(_, is_so)| *is_so).map(|(word, _)| *word).collect();
    if words.is_empty() { "-".to_owned() } else { words.join(" ") }
}

fn percent(fitness: f64, error: f64) -> String {
    let error = if error > 0.0 { format!(" ± {:.2}", 100.0 * error) } else { String::new() };
    format!("{:+.2} %{error}", 100.0 * fitness)
}

fn seeds(seeds: u32) -> String {
    if seeds == 0 { "-".to_owned() } else { seeds.to_string() }
}

fn short(hash: &str) -> String {
    hash.chars().take(12).collect()
}

/// The operator and the parent.
fn from(operator: Option<&str>, parent: Option<&str>) -> String {
    match (operator, parent) {
        (Some(operator), Some(parent)) => format!("{operator} {}", short(parent)),
        (Some(operator), None) => operator.to_owned(),
        (None, _) => "-".to_owned(),
    }
}

fn update(program: &str) -> String {
    symopt_dsl::parse(program).map_or_else(|_| String::new(), |program| formula(&program))
}

fn csv<T: Serialize>(rows: &[T]) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    rows.iter().try_for_each(|row| writer.serialize(row))?;
    let bytes = writer.into_inner().map_err(|error| error.into_error())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
