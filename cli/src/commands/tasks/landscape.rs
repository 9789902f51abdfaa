//! `symopt tasks --landscape`

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde::Serialize;
use symopt_cancel::CancelToken;
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_proxy_tasks::tuning::pattern_search::Protocol;
use symopt_studies::landscape::{self, Entry, Landscape, Settings};

use crate::failure::Failure;
use crate::progress::{CountLine, clock};
use crate::{files, interrupt, options, programs, table, terminal};

#[derive(Args)]
pub struct Measurement {
    /// With --landscape: held-out seeds that the tuned programs are compared on
    #[arg(long, value_name = "N", default_value_t = 32, requires = "landscape", value_parser = options::between::<2, 1000>, allow_negative_numbers = true)]
    seeds: u16,
    /// With --landscape: seeds that each setting is judged on
    #[arg(long, value_name = "N", default_value_t = 16, requires = "landscape", value_parser = options::between::<1, 1000>, allow_negative_numbers = true)]
    tuning_seeds: u16,
    /// With --landscape: training runs, at most, that each program is tuned with on each task
    #[arg(long, value_name = "N", default_value_t = Protocol::default().budget, requires = "landscape", value_parser = options::size, allow_negative_numbers = true)]
    budget: usize,
    /// With --landscape: leave the betas at their defaults and tune learning rate and weight decay
    /// only
    #[arg(long, requires = "landscape")]
    no_betas: bool,
    /// With --landscape: a program to compare with AdamW, a zoo name, file, `-` or STORE:HASH; may
    /// be repeated. By default all optimizers of the zoo that take a learning rate
    #[arg(long = "program", value_name = "PROGRAM", requires = "landscape")]
    programs: Vec<String>,
    /// With --landscape: threads that train; by default one for each core
    #[arg(long, value_name = "N", requires = "landscape", value_parser = options::between::<1, 1024>, allow_negative_numbers = true)]
    threads: Option<u16>,
    /// With --landscape: write the table into FILE, one line for each program and task
    #[arg(long, value_name = "FILE", requires = "landscape")]
    csv: Option<PathBuf>,
    /// With --landscape: write the table into FILE, with the tuned settings
    #[arg(long, value_name = "FILE", requires = "landscape")]
    markdown: Option<PathBuf>,
    /// With --landscape: draw the table into FILE
    #[arg(long, value_name = "FILE", requires = "landscape")]
    svg: Option<PathBuf>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    seconds: f64,
    threads: usize,
    #[serde(flatten)]
    landscape: Landscape,
}

pub fn run(suite: &str, arguments: Measurement, json: bool) -> Result<(), Failure> {
    // What can't be written is said before anything is done.
    let paths = [&arguments.csv, &arguments.markdown, &arguments.svg];
    paths.into_iter().flatten().try_for_each(|path| files::check_writable(path))?;
    let suite = SuiteSource::find(suite)?.suite()?;
    let cancel = interrupt::token()?;
    let entries = if arguments.programs.is_empty() {
        landscape::zoo()
    } else {
        named(&arguments.programs, &cancel)?
    };
    let tuning = Protocol {
        seeds: usize::from(arguments.tuning_seeds),
        budget: arguments.budget,
        shares: !arguments.no_betas,
    };
    let settings = Settings { tuning, seeds: usize::from(arguments.seeds) };
    let threads = arguments
        .threads
        .map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from);
    let line = CountLine::new("training runs, at most");
    let observe = |done: usize, total: usize| line.draw(done as u64, total as u64);
    let begin = Instant::now();
    let result = landscape::measure(&suite, &entries, &settings, threads, &cancel, &observe);
    line.finish();
    let (landscape, time) = (result?, begin.elapsed());

    if let Some(path) = &arguments.csv {
        files::write(path, &landscape.csv().map_err(|error| Failure::Work(error.to_string()))?)?;
    }
    if let Some(path) = &arguments.markdown {
        files::write(path, &landscape.markdown())?;
    }
    if let Some(path) = &arguments.svg {
        files::write(path, &landscape.chart().svg())?;
    }
    let mut out = terminal::output();
    if json {
        serde_json::to_writer_pretty(
            &mut out,
            &Report { seconds: time.as_secs_f64(), threads, landscape },
        )?;
        return Ok(out.write_all(b"\n")?);
    }
    table::paragraph(
        &mut out,
        &format!("landscape of the suite {}\n{}\n", landscape.suite, landscape.protocol()),
    )?;
    let tasks = landscape.tasks.len();
    table::print(&mut out, &landscape.table(), &(1..2 + tasks).collect::<Vec<_>>(), &[])?;
    writeln!(out)?;
    for note in landscape.notes() {
        table::paragraph(&mut out, &note)?;
    }
    let threads = if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
    writeln!(out, "{} training runs in {} on {threads}", landscape.runs, clock(time))?;
    if !landscape.complete {
        writeln!(out, "interrupted: {} of {} tasks were measured", tasks, suite.tasks.len())?;
    }
    for path in paths.into_iter().flatten() {
        writeln!(out, "written: {}", path.display())?;
    }
    Ok(())
}

/// The programs that were asked for, each once.
fn named(arguments: &[String], cancel: &CancelToken) -> Result<Vec<Entry>, Failure> {
    let mut entries: Vec<Entry> = Vec::new();
    for argument in arguments {
        let found = programs::found(argument)?;
        let (program, is_direction) = (found.with_constants(cancel)?, found.direction.is_some());
        let name = symopt_programs::find(argument)
            .map_or_else(|| argument.clone(), |entry| entry.name.to_owned());
        if !entries.iter().any(|entry| entry.name == name) {
            entries.push(Entry { name, program, is_direction });
        }
    }
    Ok(entries)
}
