//! `symopt tasks --landscape` and `--gate`: optimizers tuned with the same budget

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use symopt_cancel::CancelToken;
use symopt_pages::results;
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_proxy_tasks::suite::Suite;
use symopt_proxy_tasks::tuning::pattern_search::Protocol;
use symopt_studies::gate::{self, Gate};
use symopt_studies::landscape::{self, Entry, Landscape, Settings};
use symopt_studies::trials::Observe;

use crate::failure::Failure;
use crate::progress::{CountLine, clock};
use crate::workers::Workers;
use crate::{files, interrupt, named_program, options, table, terminal, words};

#[derive(Args)]
pub struct Measurement {
    /// With --landscape or --gate: held-out seeds that the tuned programs are compared on
    /// [default: 32 for a landscape, 16 for a gate]
    #[arg(long, value_name = "N", requires = "measured", value_parser = options::between::<2, 1000>, allow_negative_numbers = true)]
    seeds: Option<u16>,
    /// With --landscape or --gate: seeds that each setting is judged on [default: 16
    /// for a landscape, 1 for a gate]
    #[arg(long, value_name = "N", requires = "measured", value_parser = options::between::<1, 1000>, allow_negative_numbers = true)]
    tuning_seeds: Option<u16>,
    /// With --landscape or --gate: training runs, at most, that each program is tuned with
    /// on each task [default: 4000 for a landscape, 50 for a gate]
    #[arg(long, value_name = "N", requires = "measured", value_parser = options::size, allow_negative_numbers = true)]
    budget: Option<usize>,
    /// With --landscape or --gate: leave the betas at their defaults and tune learning rate and weight decay
    /// only; a gate always does
    #[arg(long, requires = "measured")]
    no_betas: bool,
    /// With --landscape or --gate: a program to compare with AdamW, a zoo name, file, `-` or STORE:HASH; may
    /// be repeated. By default all optimizers of the zoo that take a learning rate; for a gate, those
    /// of the published order, to which others are added
    #[arg(long = "program", value_name = "PROGRAM", requires = "measured")]
    programs: Vec<String>,
    /// With --landscape or --gate: threads that train; by default one for each core
    #[arg(long, value_name = "N", requires = "measured", value_parser = options::between::<1, 1024>, allow_negative_numbers = true)]
    threads: Option<u16>,
    /// With --landscape or --gate: write the table into FILE, one line for each program and task
    #[arg(long, value_name = "FILE", requires = "measured")]
    csv: Option<PathBuf>,
    /// With --landscape or --gate: write the table into FILE, with the tuned settings
    #[arg(long, value_name = "FILE", requires = "measured")]
    markdown: Option<PathBuf>,
    /// With --landscape or --gate: draw the table into FILE
    #[arg(long, value_name = "FILE", requires = "measured")]
    svg: Option<PathBuf>,
    /// With --landscape: write a page for a browser into FILE, all in one file, with a figure and a
    /// table for the suite and for each task
    #[arg(long, value_name = "FILE", requires = "landscape", conflicts_with = "gate")]
    html: Option<PathBuf>,
    /// With --landscape: measure nothing, and print, write and draw again the landscape in FILE, which
    /// --json printed
    #[arg(long, value_name = "FILE", requires = "landscape", conflicts_with_all = ["gate", "json", "seeds", "tuning_seeds", "budget", "no_betas", "programs", "threads"])]
    from: Option<PathBuf>,
    #[command(flatten)]
    workers: Workers,
}

/// Output of `--json`.
#[derive(Serialize)]
struct Report {
    seconds: f64,
    threads: usize,
    #[serde(flatten)]
    landscape: Landscape,
}

/// Output of `--gate --json`.
#[derive(Serialize)]
struct GateReport {
    seconds: f64,
    threads: usize,
    #[serde(flatten)]
    gate: Gate,
}

/// Requested measurement, except for the suite.
struct Request {
    entries: Vec<Entry>,
    settings: Settings,
    threads: usize,
}

impl Measurement {
    /// Files that the result is written into. Fails before any work begins if one can't be written.
    fn paths(&self) -> Result<Vec<&PathBuf>, Failure> {
        let paths: Vec<&PathBuf> =
            [&self.csv, &self.markdown, &self.svg, &self.html].into_iter().flatten().collect();
        paths.iter().try_for_each(|path| files::check_writable(path))?;
        Ok(paths)
    }

    fn request(
        &self,
        entries: Vec<Entry>,
        defaults: Settings,
        cancel: &CancelToken,
    ) -> Result<Request, Failure> {
        let entries =
            if self.programs.is_empty() { entries } else { named(&self.programs, cancel)? };
        let tuning = Protocol {
            seeds: self.tuning_seeds.map_or(defaults.tuning.seeds, usize::from),
            budget: self.budget.unwrap_or(defaults.tuning.budget),
            shares: defaults.tuning.shares && !self.no_betas,
        };
        let settings = Settings { tuning, seeds: self.seeds.map_or(defaults.seeds, usize::from) };
        Ok(Request { entries, settings, threads: self.workers.threads(self.threads) })
    }

    /// Writes what both kinds of measurement have.
    fn write(&self, landscape: &Landscape, markdown: &str) -> Result<(), Failure> {
        if let Some(path) = &self.csv {
            let csv = landscape.csv().map_err(|error| Failure::Work(error.to_string()))?;
            files::write(path, &csv)?;
        }
        if let Some(path) = &self.markdown {
            files::write(path, markdown)?;
        }
        if let Some(path) = &self.svg {
            files::write(path, &landscape.chart().svg())?;
        }
        Ok(())
    }
}

/// Writes the files that were asked for.
fn write(arguments: &Measurement, landscape: &Landscape) -> Result<(), Failure> {
    arguments.write(landscape, &landscape.markdown())?;
    if let Some(path) = &arguments.html {
        files::write(path, &results::landscape(landscape, &words::of_page()).html())?;
    }
    Ok(())
}

pub fn run(suite: &str, arguments: &Measurement, json: bool) -> Result<(), Failure> {
    let paths = arguments.paths()?;
    let suite = arguments.workers.suite(&SuiteSource::find(suite)?)?;
    if let Some(path) = &arguments.from {
        return again(&suite, path, arguments, &paths);
    }
    let cancel = interrupt::token()?;
    let request = arguments.request(landscape::zoo(), Settings::default(), &cancel)?;
    let Request { entries, settings, threads } = &request;
    let begin = Instant::now();
    let measured = watched(|observe| {
        landscape::measure(&suite, entries, settings, *threads, &cancel, observe)
    });
    let (landscape, time) = (measured?, begin.elapsed());
    write(arguments, &landscape)?;
    let mut out = terminal::output();
    if json {
        let report = Report { seconds: time.as_secs_f64(), threads: *threads, landscape };
        serde_json::to_writer_pretty(&mut out, &report)?;
        return Ok(out.write_all(b"\n")?);
    }
    print(&mut out, &landscape)?;
    finish(&mut out, &landscape, suite.tasks.len(), time, *threads, &paths)
}

/// Prints the table and what one must know to read it.
fn print(out: &mut impl Write, landscape: &Landscape) -> Result<(), Failure> {
    table::paragraph(
        out,
        &format!("landscape of the suite {}\n{}\n", landscape.suite, landscape.protocol()),
    )?;
    let tasks = landscape.tasks.len();
    table::print(out, &landscape.table(), &(1..2 + tasks).collect::<Vec<_>>(), &[])?;
    writeln!(out)?;
    for note in landscape.notes() {
        table::paragraph(out, &note)?;
    }
    Ok(())
}

/// Prints, writes and draws a landscape that was measured before.
fn again(
    suite: &Suite,
    path: &Path,
    arguments: &Measurement,
    paths: &[&PathBuf],
) -> Result<(), Failure> {
    let bad = |reason: &dyn std::fmt::Display| {
        let way_out = format!("write one with `symopt tasks --landscape {} --json`", suite.name);
        Failure::Input(format!("{} is no landscape: {reason}; {way_out}", path.display()))
    };
    let text = std::fs::read_to_string(path).map_err(|error| bad(&error))?;
    let landscape = Landscape::from_json(&text).map_err(|error| bad(&error))?;
    if landscape.suite != suite.name {
        let (of, asked) = (&landscape.suite, &suite.name);
        return Err(Failure::Input(format!(
            "{} is a landscape of the suite {of}, not of {asked}: name that suite after --landscape",
            path.display()
        )));
    }
    write(arguments, &landscape)?;
    let mut out = terminal::output();
    print(&mut out, &landscape)?;
    for path in paths {
        writeln!(out, "written: {}", path.display())?;
    }
    Ok(())
}

/// `symopt tasks --gate`
pub fn run_gate(suite: &str, arguments: &Measurement, json: bool) -> Result<(), Failure> {
    let paths = arguments.paths()?;
    if arguments.workers.are_given() {
        return Err(Failure::Input(
            "--server goes with --landscape; a gate trains on this machine".to_owned(),
        ));
    }
    let source = SuiteSource::find(suite)?;
    let all = source.with_variants()?.suite()?.tasks.len();
    let cancel = interrupt::token()?;
    let request = arguments.request(gate::published(), gate::SETTINGS, &cancel)?;
    let Request { entries, settings, threads } = &request;
    let begin = Instant::now();
    let measured =
        watched(|observe| gate::measure(&source, entries, settings, *threads, &cancel, observe));
    let (gate, time) = (measured?, begin.elapsed());
    arguments.write(&gate.landscape, &gate.markdown())?;
    let mut out = terminal::output();
    if json {
        let report = GateReport { seconds: time.as_secs_f64(), threads: *threads, gate };
        serde_json::to_writer_pretty(&mut out, &report)?;
        return Ok(out.write_all(b"\n")?);
    }
    table::paragraph(
        &mut out,
        &format!("gate of the suite {}\n{}\n", gate.landscape.suite, gate.explanation()),
    )?;
    table::print(&mut out, &gate.table(), &[1, 2, 3, 4], &[])?;
    writeln!(out, "\nbetween tasks")?;
    let tasks = gate.tasks.len();
    table::print(&mut out, &gate.between(), &(1..1 + tasks).collect::<Vec<_>>(), &[])?;
    table::paragraph(&mut out, &format!("\n{}", gate.landscape.protocol()))?;
    table::print(&mut out, &gate.gains(), &(1..1 + tasks).collect::<Vec<_>>(), &[])?;
    writeln!(out)?;
    finish(&mut out, &gate.landscape, all, time, *threads, &paths)
}

/// Measures with a line of progress.
fn watched<T>(measure: impl FnOnce(Observe) -> T) -> T {
    let line = CountLine::new("training runs, at most");
    let measured = measure(&|done, total| line.draw(done as u64, total as u64));
    line.finish();
    measured
}

/// Says what it took, and what was written.
fn finish(
    out: &mut impl Write,
    landscape: &Landscape,
    tasks: usize,
    time: Duration,
    threads: usize,
    paths: &[&PathBuf],
) -> Result<(), Failure> {
    let threads = if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
    writeln!(out, "{} training runs in {} on {threads}", landscape.runs, clock(time))?;
    if !landscape.complete {
        writeln!(out, "interrupted: {} of {tasks} tasks were measured", landscape.tasks.len())?;
    }
    for path in paths {
        writeln!(out, "written: {}", path.display())?;
    }
    Ok(())
}

/// The programs that were asked for, each once.
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
