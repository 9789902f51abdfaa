//! `symopt rediscover`

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;
use serde::Serialize;
use symopt_pages::results;
use symopt_search::engine::Progress;
use symopt_studies::StudyError;
use symopt_studies::rediscovery::{
    Attempt, Observer, PROTOCOL, PROTOCOLS, Protocol, Rediscovery, Searched, Summary,
};

use crate::failure::Failure;
use crate::progress::{ProgressLine, clock};
use crate::workers::Workers;
use crate::{files, interrupt, options, progress, table, terminal, words};

#[derive(Args)]
pub struct Arguments {
    /// Target to look for: lion, muon, or muon-by-products, which leaves Newton-Schulz out of the
    /// functions
    #[arg(default_value = "lion", conflicts_with = "protocol", value_parser = PossibleValuesParser::new(PROTOCOLS.map(|(name, _)| name)))]
    target: String,
    /// How many seeds; each is a series of searches until one ends with what is looked for
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = options::between::<1, 1000>, allow_negative_numbers = true)]
    seeds: u16,
    /// The first seed; the others follow it
    #[arg(long, default_value_t = 1, value_name = "SEED")]
    first_seed: u32,
    /// Directory for the stores, one for each search, the results and report.md; results that are
    /// there already are kept
    /// [default: runs/rediscover for lion, runs/rediscover-TARGET for others]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Another protocol than the frozen one, a file such as --print-protocol writes
    #[arg(long, value_name = "FILE")]
    protocol: Option<PathBuf>,
    /// Write the frozen protocol and end
    #[arg(long)]
    print_protocol: bool,
    /// Threads that evaluate; by default one for each core. They change no result
    #[arg(long, value_name = "N", value_parser = options::between::<1, 1024>, allow_negative_numbers = true)]
    threads: Option<u16>,
    /// Write a page for a browser into FILE: all in one file, with figures, tables and programs
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    workers: Workers,
}

#[derive(Serialize)]
struct Report<'a> {
    summary: Summary,
    peers: Vec<(String, f64, f64)>,
    attempts: &'a [Attempt],
}

/// Draws the line of the search that runs.
struct Line {
    line: ProgressLine,
}

impl Observer for Line {
    fn progress(&mut self, _seed: u64, progress: &Progress) {
        self.line.draw(progress);
    }
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut out = terminal::output();
    let frozen = PROTOCOLS.iter().find(|(name, _)| *name == arguments.target);
    let frozen = frozen.map_or(PROTOCOL, |(_, text)| *text);
    if arguments.print_protocol {
        return Ok(out.write_all(frozen.as_bytes())?);
    }
    arguments.html.iter().try_for_each(|path| files::check_writable(path))?;
    let (place, text) = match &arguments.protocol {
        None => ("the frozen protocol".to_owned(), frozen.to_owned()),
        Some(path) => {
            let hint = "`symopt rediscover --print-protocol` writes a file to start from";
            let text = std::fs::read_to_string(path)
                .map_err(|e| Failure::Input(format!("{}: {e}; {hint}", path.display())))?;
            (path.display().to_string(), text)
        }
    };
    let protocol = Protocol::from_toml(&place, &text)?;
    let usual = match arguments.target.as_str() {
        "lion" => "runs/rediscover".to_owned(),
        target => format!("runs/rediscover-{target}"),
    };
    let directory = &arguments.output.clone().unwrap_or_else(|| PathBuf::from(usual));
    symopt_studies::rediscovery::keep_protocol(directory, &text)?;
    files::check_writable(&directory.join("report.md"))?;
    let cancel = interrupt::token()?;
    let threads = arguments.workers.threads(arguments.threads);
    let launcher = arguments.workers.launcher()?;
    let limits = protocol.search.limits.clone();
    let interrupted_first = || {
        Failure::Work(
            "interrupted before the first search had ended; the same command goes on where it was"
                .to_owned(),
        )
    };
    let rediscovery = match Rediscovery::launched_by(launcher, protocol, threads, &cancel) {
        Err(StudyError::Cancelled(_)) => return Err(interrupted_first()),
        rediscovery => rediscovery?,
    };
    if !arguments.json {
        let text = format!(
            "{} seeds, up to {} searches each, from {} on the suite {}, results in {}",
            arguments.seeds,
            rediscovery.protocol().repeats,
            rediscovery.protocol().search.initial,
            rediscovery.protocol().search.suite,
            directory.display()
        );
        table::paragraph(&mut out, &text)?;
        for (name, mean, error) in rediscovery.peers() {
            table::indented(
                &mut out,
                &format!(
                    "{name}: {:+.2} ± {:.2} % over the suite's AdamW",
                    100.0 * mean,
                    100.0 * error
                ),
            )?;
        }
    }
    let mut attempts: Vec<Attempt> = Vec::new();
    for seed in (0..u64::from(arguments.seeds)).map(|i| u64::from(arguments.first_seed) + i) {
        let mut line = Line { line: ProgressLine::new(&limits) };
        let attempt = rediscovery.attempt_in(directory, seed, &cancel, &mut line)?;
        line.line.finish();
        let Some(attempt) = attempt else { break };
        if !arguments.json {
            print_attempt(&mut out, &attempt)?;
        }
        attempts.push(attempt);
    }
    let interrupted = cancel.is_cancelled();
    if attempts.is_empty() {
        return Err(interrupted_first());
    }
    let summary = Summary::of(&attempts);
    let report = directory.join("report.md");
    files::write(&report, &rediscovery.report(&attempts))?;
    if let Some(path) = &arguments.html {
        let (seeds, command) = (usize::from(arguments.seeds), words::of_page());
        let page = results::rediscovery(&rediscovery, &attempts, seeds, &command);
        files::write(path, &page.html())?;
    }
    if arguments.json {
        serde_json::to_writer_pretty(
            &mut out,
            &Report { summary, peers: rediscovery.peers(), attempts: &attempts },
        )?;
        out.write_all(b"\n")?;
        if interrupted {
            progress::note(INTERRUPTED);
        }
        return Ok(());
    }
    print_table(&mut out, &attempts)?;
    let text = format!(
        "\n{} of {} seeds end {}, {} of {} searches; median time of all seeds {}",
        summary.rediscovered,
        summary.attempts,
        rediscovery.protocol().target,
        summary.rediscovered,
        summary.searches,
        clock(Duration::from_secs_f64(summary.median_seconds.max(0.0)))
    );
    table::paragraph(&mut out, &text)?;
    if interrupted {
        writeln!(out, "{INTERRUPTED}")?;
    }
    writeln!(out, "report: {}", report.display())?;
    if let Some(path) = &arguments.html {
        writeln!(out, "written: {}", path.display())?;
    }
    Ok(())
}

/// Message at the end of an interrupted run.
const INTERRUPTED: &str = "interrupted; the same command goes on where it was, to the same end";

fn print_attempt(out: &mut impl Write, attempt: &Attempt) -> Result<(), Failure> {
    let not = if attempt.rediscovered() { "" } else { "not " };
    let text = format!(
        "\nseed {}: {not}{} after {}, {} searches, {} programs, {} evaluated\n",
        attempt.seed,
        attempt.target,
        clock(Duration::from_secs_f64(attempt.seconds().max(0.0))),
        attempt.searches.len(),
        attempt.generated(),
        attempt.evaluated()
    );
    table::paragraph(out, &text)?;
    if let Some(last) = attempt.last() {
        writeln!(out, "{}", last.simplified.trim_end())?;
        table::paragraph(out, &last.classification.to_string())?;
    }
    Ok(out.flush()?)
}

/// All searches, failures included.
fn print_table(out: &mut impl Write, attempts: &[Attempt]) -> Result<(), Failure> {
    let heading = ["SEED", "FINAL", "TIME", "GENERATED", "EVALUATED", "CACHE HITS"];
    let searches = || {
        attempts
            .iter()
            .flat_map(|attempt| attempt.searches.iter().map(|search| (attempt.seed, search)))
    };
    let peers = searches().map(|(_, search)| &search.last.gains).max_by_key(|gains| gains.len());
    let names: Vec<String> =
        peers.into_iter().flatten().map(|(name, ..)| format!("vs {name}")).collect();
    let mut lines =
        vec![heading.map(str::to_owned).into_iter().chain(names.clone()).collect::<Vec<_>>()];
    for (seed, Searched { statistics, seconds, last, .. }) in searches() {
        let mut cells = vec![
            seed.to_string(),
            last.structure.to_string(),
            clock(Duration::from_secs_f64(seconds.max(0.0))),
            statistics.generated.to_string(),
            statistics.evaluated.to_string(),
            format!("{:.1} %", 100.0 * statistics.cache_hit_rate()),
        ];
        let gain = |(_, mean, error): &(String, f64, f64)| {
            format!("{:+.2} ± {:.2}", 100.0 * mean, 100.0 * error)
        };
        cells.extend(last.gains.iter().map(gain));
        cells.resize(lines[0].len(), "-".to_owned());
        lines.push(cells);
    }
    writeln!(out)?;
    let right: Vec<usize> = (2..lines[0].len()).collect();
    Ok(table::print(out, &lines, &right, &[])?)
}
