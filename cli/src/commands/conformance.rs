//! `symopt conformance`

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use symopt_dsl::codegen::Target;
use symopt_dsl::shell::Command;
use symopt_programs::ZooEntry;
use symopt_programs::conformance::exports::{self, Exports};
use symopt_programs::conformance::report::{Report, Tolerance};
use symopt_programs::conformance::tolerance::tolerance;
use symopt_programs::conformance::{self, case};

use crate::failure::Failure;
use crate::progress::StageLine;
use crate::terminal;
use crate::{files, table};

#[derive(Args)]
#[command(
    after_help = "Each program takes 50 steps under five cases, several parameter arrays at once. A cell of the table is the largest \
                        distance from the reference interpreter in f32 over all cases, as a share of the largest number there; 0 says that \
                        every bit is the same. The exit code is 1 if an engine is further away than its order of rounding explains."
)]
pub struct Arguments {
    /// Program of the zoo to run (default: all)
    #[arg(long = "program", value_name = "NAME")]
    programs: Vec<String>,
    /// Exports to run (default: all that can be run)
    #[arg(long = "to", value_name = "TARGET", value_parser = super::export::target)]
    targets: Vec<Target>,
    /// Python with the libraries that the exports need
    #[arg(long, value_name = "COMMAND", default_value = "python3")]
    python: String,
    /// Way to run an export that is left out, by its name in the table
    #[arg(long, value_name = "NAME")]
    without: Vec<String>,
    /// Run the engines of this library alone
    #[arg(long, conflicts_with = "targets")]
    no_exports: bool,
    /// Keep the suite and the exported files in a directory
    #[arg(long, value_name = "DIRECTORY")]
    keep: Option<PathBuf>,
    /// Write the table as Markdown
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    if let Some(path) = &arguments.markdown {
        files::check_writable(path)?;
    }
    let entries = entries(&arguments.programs)?;
    let targets: Vec<Target> = match (arguments.no_exports, arguments.targets.is_empty()) {
        (true, _) => Vec::new(),
        (false, true) => Target::ALL.iter().copied().filter(|target| exports::is_run(*target)).collect(),
        (false, false) => arguments.targets.clone(),
    };
    if let Some(target) = targets.iter().find(|target| !exports::is_run(**target)) {
        return Err(Failure::Input(format!("exports to {target} are nothing that can be run")));
    }
    let run = Exports { targets: &targets, python: &arguments.python, without: &arguments.without, keep: arguments.keep.as_deref() };
    let line = StageLine::new("the library's engines");
    let report = conformance::measure(&entries, &run, |what| line.say(what));
    line.finish();
    let report = report?;
    let tolerance_of = |engine: &str, program: &str| {
        let entry = entries.iter().find(|entry| entry.name == program);
        entry.map_or(Tolerance::BITS, |entry| tolerance(engine, &entry.program()))
    };
    let table = report.markdown(&entries.iter().map(|entry| entry.name).collect::<Vec<&str>>(), tolerance_of);
    if let Some(path) = &arguments.markdown {
        files::write(path, &document(&arguments, &report, &table, &entries))?;
    }
    let mut out = terminal::output();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &report)?;
        out.write_all(b"\n")?;
    } else {
        table::print_markdown(&mut out, &table)?;
        if !report.peers.is_empty() {
            writeln!(out, "\nLion beside the libraries' own:\n")?;
            table::print_markdown(&mut out, &report.peers_markdown())?;
            writeln!(out)?;
        }
    }
    let faults = report.faults(tolerance_of);
    if faults.is_empty() { Ok(()) } else { Err(Failure::Work(format!("outside of the tolerance:\n{}", faults.join("\n")))) }
}

fn entries(names: &[String]) -> Result<Vec<&'static ZooEntry>, Failure> {
    if names.is_empty() {
        return Ok(symopt_programs::zoo().iter().collect());
    }
    let find = |name: &String| {
        symopt_programs::find(name).ok_or_else(|| {
            let hint = symopt_programs::nearest(name).map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?"));
            Failure::Input(format!("there is no program `{name}` in the zoo{hint} (`symopt programs` lists them)"))
        })
    };
    names.iter().map(find).collect()
}

/// The table with what its reader has to know.
fn document(arguments: &Arguments, report: &Report, table: &str, programs: &[&'static ZooEntry]) -> String {
    let cases: String = case::cases().iter().map(|case| format!("- **{}**: {}\n", case.name, case.about)).collect();
    // Engines that are judged alike, in the order of the table.
    let mut tolerances: Vec<(Vec<&str>, Vec<String>)> = Vec::new();
    for engine in report.engines() {
        let explained = tolerances_of(engine, programs);
        match tolerances.iter_mut().find(|(_, known)| *known == explained) {
            Some((engines, _)) => engines.push(engine),
            None => tolerances.push((vec![engine], explained)),
        }
    }
    let tolerances: String =
        tolerances.iter().map(|(engines, explained)| format!("- **{}**: {}\n", engines.join(", "), explained.join("; "))).collect();
    let peers = if report.peers.is_empty() {
        String::new()
    } else {
        format!(
            "\n## Exported Lion beside the libraries' own\n\nThe same measure, with the library's own Lion in the place of the reference:\n\n{}",
            report.peers_markdown()
        )
    };
    format!(
        "# Every program in every engine\n\nThe largest deviation from the reference interpreter in f32 after {} steps, over five cases and over the \
         weights and each slot, as a share of the largest number there. `0`: every bit is the same. Made by\n\n    {}\n\n{table}\nThe cases, each \
         with parameter arrays of the shapes 5×3, 7, a single number, 1 and 2×3×4:\n\n{cases}\nHow far an engine may be away, by its order of \
         rounding (the documentation of `symopt_programs::conformance::tolerance` derives it); the exit code is 1 if one is further \
         away:\n\n{tolerances}{peers}",
        case::STEPS,
        command(arguments)
    )
}

/// How far an engine may be from the reference: what holds for most programs, then the others.
fn tolerances_of(engine: &str, programs: &[&'static ZooEntry]) -> Vec<String> {
    let mut by_bound: Vec<(String, Vec<&str>)> = Vec::new();
    for entry in programs {
        let explained = tolerance(engine, &entry.program()).explained();
        match by_bound.iter_mut().find(|(known, _)| *known == explained) {
            Some((_, names)) => names.push(entry.name),
            None => by_bound.push((explained, vec![entry.name])),
        }
    }
    by_bound.sort_by_key(|(_, names)| std::cmp::Reverse(names.len()));
    let said = |(index, (explained, names)): (usize, &(String, Vec<&str>))| match index {
        0 => explained.clone(),
        _ => format!("for {}: {explained}", names.join(", ")),
    };
    by_bound.iter().enumerate().map(said).collect()
}

/// The command that makes the same table.
fn command(arguments: &Arguments) -> Command {
    let options =
        |command: Command, option: &str, values: &[String]| values.iter().fold(command, |command, value| command.option(option, value));
    let targets: Vec<String> = arguments.targets.iter().map(Target::to_string).collect();
    let mut command = options(Command::new("conformance"), "--program", &arguments.programs);
    command = options(options(command, "--to", &targets), "--without", &arguments.without);
    if arguments.no_exports {
        command = command.flag("--no-exports");
    }
    command.option("--python", "PYTHON").option("--markdown", "FILE")
}
