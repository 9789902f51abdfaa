//! `symopt report`

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use symopt_dsl::shell::Command;
use symopt_pages::searches::Progress;
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_studies::report::{self, Options, Over, Report};

use crate::failure::Failure;
use crate::progress::CountLine;
use crate::workers::Workers;
use crate::{files, interrupt, options, table, terminal, words};

#[derive(Args)]
pub struct Arguments {
    /// Store directories; searches of the same kind are shown together
    #[arg(required = true, value_name = "STORE")]
    stores: Vec<PathBuf>,
    /// Write figures (SVG), report.md and report.json into DIR, which is made if it is not there
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Write a page for a browser into FILE: all in one file, with figures, tables, the hall of
    /// fame, the lineage and the best program
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// With --html: measure the time of a step of each program in the hall of fame. Measured times
    /// differ from page to page
    #[arg(long, requires = "html")]
    speed: bool,
    /// Judge a sample of the best programs of each search on another suite too: a name, such as
    /// held-out, or a TOML file
    #[arg(long, value_name = "SUITE")]
    validate: Option<String>,
    /// With --validate: programs of each search that are judged, at most
    #[arg(long, value_name = "K", default_value_t = 16, requires = "validate", value_parser = options::between::<2, 10000>, allow_negative_numbers = true)]
    sample: u16,
    /// Fresh seeds that programs are judged on
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = options::between::<1, 1000>, allow_negative_numbers = true)]
    seeds: u16,
    /// Count over which kinds of searches are compared; by default training runs, or evaluations
    /// where runs are not counted (directions)
    #[arg(long, value_enum)]
    over: Option<OverArgument>,
    /// Threads that train; by default one for each core
    #[arg(long, value_name = "N", value_parser = options::between::<1, 1024>, allow_negative_numbers = true)]
    threads: Option<u16>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    workers: Workers,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum OverArgument {
    Programs,
    Evaluations,
    TrainingRuns,
}

impl From<OverArgument> for Over {
    fn from(argument: OverArgument) -> Over {
        match argument {
            OverArgument::Programs => Over::Programs,
            OverArgument::Evaluations => Over::Evaluations,
            OverArgument::TrainingRuns => Over::TrainingRuns,
        }
    }
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    // Output paths are checked before any work begins.
    if let Some(directory) = &arguments.output {
        files::create_directory(directory, "report.md")?;
    }
    arguments.html.iter().try_for_each(|path| files::check_writable(path))?;
    let options = Options {
        validate: arguments.validate.as_deref().map(SuiteSource::find).transpose()?,
        seeds: usize::from(arguments.seeds),
        sample: usize::from(arguments.sample),
        over: arguments.over.map(Over::from),
        threads: arguments.workers.threads(arguments.threads),
        launcher: arguments.workers.launcher()?,
    };
    let cancel = interrupt::token()?;
    let line = CountLine::new("programs judged");
    let observe = |done: usize, total: usize| line.draw(done as u64, total as u64);
    let result = report::report(&arguments.stores, &options, &cancel, &observe);
    line.finish();
    let report = result?;

    let mut written = Vec::new();
    if let Some(directory) = &arguments.output {
        let mut write = |name: &str, text: &str| {
            let path = directory.join(name);
            files::write(&path, text)?;
            written.push(path);
            Ok::<(), Failure>(())
        };
        for figure in report.figures() {
            write(figure.file, &figure.svg)?;
        }
        write("report.md", &report.markdown(&command()))?;
        write("report.json", &format!("{}\n", serde_json::to_string_pretty(&report)?))?;
    }
    if let Some(path) = &arguments.html {
        let names = ["programs bred again", "programs timed"];
        let mut stage = 0;
        let mut line = CountLine::new(names[stage]);
        let mut observe = |progress| {
            let (now, done, total) = match progress {
                Progress::Bred { done, total } => (0, done, total),
                Progress::Timed { done, total } => (1, done, total),
            };
            if now != stage {
                line.finish();
                (stage, line) = (now, CountLine::new(names[now]));
            }
            line.draw(done, total);
        };
        let (command, speed) = (words::of_page(), arguments.speed);
        let page = symopt_pages::searches::page(&report, &command, speed, &cancel, &mut observe);
        line.finish();
        files::write(path, &page?.html())?;
        written.push(path.clone());
    }
    let mut out = terminal::output();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &report)?;
        return Ok(out.write_all(b"\n")?);
    }
    print(&mut out, &report)?;
    for path in written {
        writeln!(out, "written: {}", path.display())?;
    }
    Ok(())
}

fn print(out: &mut impl Write, report: &Report) -> std::io::Result<()> {
    let stores = headed(report.table());
    table::print(out, &stores, &(2..stores[0].len()).collect::<Vec<_>>(), &[])?;
    let fresh = format!(
        "the last best program on {} seeds that no search has seen, ± standard error",
        report.seeds
    );
    table::paragraph(
        out,
        &format!("\nfitness is the loss saved against {}; fresh seeds: {fresh}", report.adamw()),
    )?;
    if report.stores.len() > 1 {
        writeln!(out)?;
        table::print(out, &headed(report.group_table()), &(1..6).collect::<Vec<_>>(), &[])?;
    }
    let validation = headed(report.validation_table());
    if !validation.is_empty() {
        writeln!(out)?;
        table::print(out, &validation, &[1, 2, 3, 4], &[])?;
    }
    writeln!(out)
}

/// With a heading as terminals have them.
fn headed(mut rows: Vec<Vec<String>>) -> Vec<Vec<String>> {
    if let Some(heading) = rows.first_mut() {
        heading.iter_mut().for_each(|cell| *cell = cell.to_uppercase());
    }
    rows
}

/// The command that is running, as one would type it.
fn command() -> String {
    Command::of_words(std::iter::once("symopt".into()).chain(words::arguments().iter().cloned()))
        .to_string()
}
