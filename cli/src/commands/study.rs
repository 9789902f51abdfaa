//! `symopt study`: the studies that made Lion convincing, on any suite and any programs

mod options;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use symopt_cancel::CancelToken;
use symopt_pages::studies::page;
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_studies::StudyError;
use symopt_studies::landscape::Entry;
use symopt_studies::study::findings::Findings;
use symopt_studies::study::{self, Study, Subject, Work, lion};

use crate::failure::Failure;
use crate::progress::CountLine;
use crate::{files, interrupt, named_program, table, terminal, words};

#[derive(Args)]
#[command(
    after_help = "Each study is a grid of cells, tuned on tuning seeds and reported on others. Its directory then holds table.csv (every cell), \
                  findings.json, report.md, page.html (one file to send) and a figure or several. Every finished run is kept there: the same \
                  command goes on where it was interrupted or killed, and ends with the same bytes."
)]
pub struct Arguments {
    #[command(subcommand)]
    study: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Draw the loss over learning rate and weight decay, and say how much of it is near the best
    LrDecay(options::LrDecay),
    /// Train the same epochs in batches of several sizes: who prefers which
    BatchSize(options::BatchSize),
    /// Make the averages of each program one: whether it needs its betas
    Betas(options::Betas),
    /// Train the same task at several widths and horizons
    Scale(options::Scale),
    /// Measure state, the time of a step, and the time of training
    MemorySpeed(options::MemorySpeed),
    /// Do all of these for Lion against AdamW, beside the claims of Lion's paper
    Lion(options::Lion),
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let (study, common) = match &arguments.study {
        Action::LrDecay(options) => (Study::LrDecay(options.settings()), &options.common),
        Action::BatchSize(options) => (Study::BatchSize(options.settings()), &options.common),
        Action::Betas(options) => (Study::Betas(options.settings()), &options.common),
        Action::Scale(options) => (Study::Scale(options.settings()), &options.common),
        Action::MemorySpeed(options) => (Study::MemorySpeed(options.settings()), &options.common),
        Action::Lion(options) => return run_all(options),
    };
    let cancel = interrupt::token()?;
    let subject = Subject {
        suite: SuiteSource::find(&common.suite)?,
        programs: named(&common.programs, &cancel)?,
    };
    let default = || Path::new("runs").join(format!("study-{}", study.name()));
    let directory = common.output.clone().unwrap_or_else(default);
    let line = CountLine::new("training runs, at most");
    let observe = |done: usize, total: usize| line.draw(done as u64, total as u64);
    let work = Work {
        directory: &directory,
        threads: threads(common.threads),
        cancel: &cancel,
        observe: &observe,
    };
    let found = study::run(&study, &subject, &work).and_then(|findings| {
        let files = study::write(&findings, &directory)?;
        Ok((findings, files))
    });
    line.finish();
    let (findings, mut written) = found.map_err(|error| ended(error, &directory))?;
    written.push(write_page(&findings.title, std::slice::from_ref(&findings), &directory)?);
    if common.json {
        return print_json(&findings.json());
    }
    let mut out = terminal::output();
    print(&mut out, &findings)?;
    say_written(&mut out, &written)
}

fn run_all(options: &options::Lion) -> Result<(), Failure> {
    let cancel = interrupt::token()?;
    let subject = lion::subject(&options.suite)?;
    let directory = options.output.clone().unwrap_or_else(|| Path::new("runs").join("study-lion"));
    let line = CountLine::new("training runs of the study, at most");
    let observe = |done: usize, total: usize| line.draw(done as u64, total as u64);
    let work = Work {
        directory: &directory,
        threads: threads(options.threads),
        cancel: &cancel,
        observe: &observe,
    };
    let done = lion::run(&options.studies(), &subject, &work);
    line.finish();
    let all = done.map_err(|error| ended(error, &directory))?;
    let page = write_page(&all.title(), &all.findings, &directory)?;
    if options.json {
        let findings: Vec<serde_json::Value> = all.findings.iter().map(Findings::json).collect();
        return print_json(&findings.into());
    }
    let mut out = terminal::output();
    for findings in &all.findings {
        print(&mut out, findings)?;
        writeln!(out)?;
    }
    let report = directory.join("report.md");
    say_written(&mut out, &[report, page])
}

fn threads(asked: Option<u16>) -> usize {
    asked.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from)
}

/// Why a study has no result; one that was interrupted says how it goes on.
fn ended(error: StudyError, directory: &Path) -> Failure {
    match error {
        StudyError::Cancelled(_) => Failure::Work(format!(
            "interrupted; the finished runs are in {}, and the same command goes on from there",
            directory.display()
        )),
        error => error.into(),
    }
}

/// Writes one file to send beside the others.
fn write_page(title: &str, findings: &[Findings], directory: &Path) -> Result<PathBuf, Failure> {
    let path = directory.join("page.html");
    files::write(&path, &page(title, findings, &words::of_page()).html())?;
    Ok(path)
}

fn print_json(value: &serde_json::Value) -> Result<(), Failure> {
    let mut out = terminal::output();
    serde_json::to_writer_pretty(&mut out, value)?;
    Ok(out.write_all(b"\n")?)
}

fn print(out: &mut impl Write, findings: &Findings) -> std::io::Result<()> {
    table::paragraph(out, &format!("{}, suite {}\n", findings.title, findings.suite))?;
    findings.verdict.iter().try_for_each(|sentence| table::paragraph(out, sentence))?;
    writeln!(out)?;
    table::print(out, &findings.summary.texts(), &findings.summary.number_columns(), &[])?;
    writeln!(out)?;
    for text in findings.notes.iter().chain(&findings.protocol) {
        table::paragraph(out, text)?;
    }
    table::paragraph(out, &findings.runs_text())
}

fn say_written(out: &mut impl Write, paths: &[PathBuf]) -> Result<(), Failure> {
    for path in paths {
        writeln!(out, "written: {}", path.display())?;
    }
    Ok(())
}

/// The programs that were asked for, each once and under a name of its own.
fn named(arguments: &[String], cancel: &CancelToken) -> Result<Vec<Entry>, Failure> {
    let mut entries: Vec<Entry> = Vec::new();
    for argument in arguments {
        let found = named_program::found(argument)?;
        let (program, is_direction) = (found.with_constants(cancel)?, found.direction.is_some());
        let name = symopt_programs::find(argument)
            .map_or_else(|| argument.clone(), |entry| entry.name.to_owned());
        if !entries.iter().any(|entry| entry.name == name) {
            entries.push(Entry { name, program, is_direction });
        }
    }
    Ok(entries)
}
