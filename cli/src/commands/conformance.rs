//! `symopt conformance`

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use symopt_conformance::case;
use symopt_conformance::exports::{self, Exports};
use symopt_conformance::report::Report;
use symopt_conformance::subject::Subject;
use symopt_conformance::suite::Suite;
use symopt_conformance::tolerance::explained;
use symopt_dsl::shell::Command;
use symopt_export::Target;
use symopt_pages::results;

use crate::failure::Failure;
use crate::progress::StageLine;
use crate::{files, table, terminal, words};

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
    /// Run programs that mix the sizes and kinds of operands, in the place of the zoo's
    #[arg(long)]
    mixed: bool,
    /// Run so many random valid programs, in the place of the zoo's
    #[arg(long, value_name = "COUNT", conflicts_with = "mixed")]
    random: Option<usize>,
    /// Seed of the random programs
    #[arg(long, default_value_t = 0, requires = "random")]
    seed: u64,
    /// Case to run the programs under, by its name in what --markdown writes (default: all)
    #[arg(long = "case", value_name = "NAME")]
    cases: Vec<String>,
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
    /// Write a page for a browser into FILE: all in one file, with a figure and the table
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    arguments
        .markdown
        .iter()
        .chain(&arguments.html)
        .try_for_each(|path| files::check_writable(path))?;
    let suite = suite(&arguments)?;
    let targets: Vec<Target> = match (arguments.no_exports, arguments.targets.is_empty()) {
        (true, _) => Vec::new(),
        (false, true) => {
            Target::ALL.iter().copied().filter(|target| exports::is_run(*target)).collect()
        }
        (false, false) => arguments.targets.clone(),
    };
    if let Some(target) = targets.iter().find(|target| !exports::is_run(**target)) {
        return Err(Failure::Input(format!("exports to {target} are nothing that can be run")));
    }
    let run = Exports {
        targets: &targets,
        python: &arguments.python,
        without: &arguments.without,
        keep: arguments.keep.as_deref(),
    };
    let line = StageLine::new("the library's engines");
    let report = symopt_conformance::measure(&suite, &run, |what| line.say(what));
    line.finish();
    let report = report?;
    let tolerance_of = |engine: &str, program: &str| suite.tolerance(engine, program);
    let table = report.markdown(&suite.names(), tolerance_of);
    if let Some(path) = &arguments.markdown {
        files::write(path, &document(&arguments, &report, &table, &suite))?;
    }
    if let Some(path) = &arguments.html {
        files::write(path, &results::conformance(&report, &suite, &words::of_page()).html())?;
    }
    let mut out = terminal::output();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &report)?;
        out.write_all(b"\n")?;
    } else {
        table::print_markdown(&mut out, &table)?;
        if let Some(omissions) = suite.omissions() {
            writeln!(out, "\n{omissions}")?;
        }
        if !report.peers.is_empty() {
            writeln!(out, "\nLion beside the libraries' own:\n")?;
            table::print_markdown(&mut out, &report.peers_markdown())?;
            writeln!(out)?;
        }
        if let Some(path) = &arguments.html {
            writeln!(out, "\nwritten: {}", path.display())?;
        }
    }
    let faults = report.faults(tolerance_of);
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Failure::Work(format!("outside of the tolerance:\n{}", faults.join("\n"))))
    }
}

/// The most random programs: of each, the files and findings of all targets are kept.
const MOST_PROGRAMS: usize = 10_000;

fn suite(arguments: &Arguments) -> Result<Suite, Failure> {
    let mut suite = match arguments.random {
        Some(count @ 1..=MOST_PROGRAMS) => Suite::random(count, arguments.seed),
        Some(count) => {
            return Err(Failure::Input(format!(
                "{count} random programs: give a number from 1 to {MOST_PROGRAMS}"
            )));
        }
        None if arguments.mixed => Suite::mixed(),
        None => Suite::of_zoo(),
    };
    if let Some(name) =
        arguments.cases.iter().find(|name| suite.cases.iter().all(|case| case.name != **name))
    {
        let known: Vec<&str> = suite.cases.iter().map(|case| case.name).collect();
        return Err(Failure::Input(format!(
            "there is no case `{name}`: there are {}",
            known.join(", ")
        )));
    }
    if !arguments.cases.is_empty() {
        suite.cases.retain(|case| arguments.cases.iter().any(|name| *name == case.name));
    }
    let names = &arguments.programs;
    if names.is_empty() {
        return Ok(suite);
    }
    if arguments.mixed || arguments.random.is_some() {
        if let Some(name) =
            names.iter().find(|name| suite.subjects.iter().all(|subject| subject.name != **name))
        {
            return Err(Failure::Input(format!(
                "there is no program `{name}` among these (without --program, the table lists them)"
            )));
        }
        suite.subjects.retain(|subject| names.contains(&subject.name));
        return Ok(suite);
    }
    let find = |name: &String| {
        symopt_programs::find(name).map(Subject::of_zoo).ok_or_else(|| {
            let hint = symopt_programs::nearest(name)
                .map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?"));
            Failure::Input(format!(
                "there is no program `{name}` in the zoo{hint} (`symopt programs` lists them)"
            ))
        })
    };
    suite.subjects = names.iter().map(find).collect::<Result<Vec<Subject>, Failure>>()?;
    Ok(suite)
}

/// The table with what its reader has to know.
fn document(arguments: &Arguments, report: &Report, table: &str, suite: &Suite) -> String {
    let cases: String =
        suite.cases.iter().map(|case| format!("- **{}**: {}\n", case.name, case.about)).collect();
    let tolerances: String = explained(&report.engines(), &suite.subjects)
        .iter()
        .map(|(engines, explained)| {
            format!("- **{}**: {}\n", engines.join(", "), explained.join("; "))
        })
        .collect();
    let peers = if report.peers.is_empty() {
        String::new()
    } else {
        format!(
            "\n## Exported Lion beside the libraries' own\n\nThe same measure, with the library's own Lion in the place of the reference:\n\n{}",
            report.peers_markdown()
        )
    };
    let shape = |shape: &&[usize]| match shape {
        [] => "a single number".to_owned(),
        lengths => lengths.iter().map(usize::to_string).collect::<Vec<String>>().join("×"),
    };
    let shapes: Vec<String> =
        suite.cases.first().map_or(case::SHAPES, |case| case.shapes).iter().map(shape).collect();
    let shapes = match shapes.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => shapes.concat(),
    };
    format!(
        "# Every program in every engine\n\nThe largest deviation from the reference interpreter in f32 after {} steps, over {} cases and over the \
         weights and each slot, as a share of the largest number there. `0`: every bit is the same. Made by\n\n    {}\n\n{table}\nThe cases, each \
         with parameter arrays of the shapes {shapes}:\n\n{cases}\nHow far an engine may be away, by its order of \
         rounding (the documentation of `symopt_conformance::tolerance` derives it); the exit code is 1 if one is further \
         away:\n\n{tolerances}{peers}",
        suite.cases.first().map_or(case::STEPS, |case| case.gradients.len()),
        suite.cases.len(),
        command(arguments)
    )
}

/// The command that makes the same table.
fn command(arguments: &Arguments) -> Command {
    let options = |command: Command, option: &str, values: &[String]| {
        values.iter().fold(command, |command, value| command.option(option, value))
    };
    let targets: Vec<String> = arguments.targets.iter().map(Target::to_string).collect();
    let mut command = Command::new("conformance");
    if arguments.mixed {
        command = command.flag("--mixed");
    }
    if let Some(count) = arguments.random {
        command = command
            .option("--random", count.to_string())
            .option("--seed", arguments.seed.to_string());
    }
    command =
        options(options(command, "--program", &arguments.programs), "--case", &arguments.cases);
    command = options(options(command, "--to", &targets), "--without", &arguments.without);
    if arguments.no_exports {
        command = command.flag("--no-exports");
    }
    command.option("--python", "PYTHON").option("--markdown", "FILE")
}
