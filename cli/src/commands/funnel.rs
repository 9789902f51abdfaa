//! `symopt funnel`

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use symopt_pages::results;
use symopt_proxy_tasks::sample::Gain;
use symopt_studies::StudyError;
use symopt_studies::fresh_seeds::{TaskGain, Tuned};
use symopt_studies::funnel::{Funnel, FunnelProgress, FunnelReport, Ranked, Settings, candidates};
use symopt_studies::restarts;

use crate::failure::Failure;
use crate::progress::FunnelLine;
use crate::workers::Workers;
use crate::{files, interrupt, options, table, terminal, words};

#[derive(Args)]
#[command(
    after_help = "The best programs of the searches, of each form one, are judged on one suite after the other, against AdamW on the \
                        same seeds, which no search has: a direction at its own best learning rate and decay on each task, a whole program \
                        with its update multiplied by the factor that suits the task. Who beats AdamW goes on to the next suite.\n\n\
                        What was judged is kept in DIR/funnel.json: the same command, also with more programs or suites, goes on from there."
)]
pub struct Arguments {
    /// Stores of searches, or directories of campaigns
    #[arg(required = true, value_name = "STORE")]
    stores: Vec<PathBuf>,
    /// Suites to go through, in order: names or TOML files [default: 10x, then 100x]
    #[arg(long, value_name = "SUITE")]
    through: Vec<String>,
    /// Programs that come in, at most
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = options::between::<1, 1000>, allow_negative_numbers = true)]
    keep: u16,
    /// Fresh seeds that judge a program on a suite
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = options::between::<2, 1000>, allow_negative_numbers = true)]
    seeds: u16,
    /// Other fresh seeds that it is tuned on
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = options::between::<1, 1000>, allow_negative_numbers = true)]
    tuning_seeds: u16,
    /// How sure it must be that a program beats AdamW; 0.5 asks for the mean alone
    #[arg(long, value_name = "SHARE", default_value_t = 0.95, value_parser = options::confidence, allow_negative_numbers = true)]
    confidence: f64,
    /// Threads that train; by default one for each core
    #[arg(long, value_name = "N", value_parser = options::between::<1, 1024>, allow_negative_numbers = true)]
    threads: Option<u16>,
    /// Directory for funnel.json; by default runs/NAME-funnel, with the first store's name
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Write a page for a browser into FILE: all in one file, with figures, tables and programs
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    workers: Workers,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    arguments.html.iter().try_for_each(|path| files::check_writable(path))?;
    let cancel = interrupt::token()?;
    let mut stores = Vec::new();
    for path in &arguments.stores {
        stores.extend(restarts::stores(path)?);
    }
    let mut suites = arguments.through.clone();
    if suites.is_empty() {
        suites.extend(["10x", "100x"].map(str::to_owned));
    }
    let settings = Settings {
        seeds: usize::from(arguments.seeds),
        tuning_seeds: usize::from(arguments.tuning_seeds),
        confidence: arguments.confidence,
    };
    let candidates = candidates(&stores, usize::from(arguments.keep))?;
    let funnel = Funnel::launched_by(
        &arguments.workers.launcher()?,
        &suites,
        settings,
        &arguments.output.clone().unwrap_or_else(|| default_output(&arguments.stores)),
    )?;
    if cancel.is_cancelled() {
        return Err(Failure::Work("interrupted before anything was judged".to_owned()));
    }
    let threads = arguments.workers.threads(arguments.threads);
    let line = FunnelLine::new();
    let report =
        funnel.run(candidates, threads, &cancel, &|progress: FunnelProgress| line.draw(&progress));
    line.finish();
    let report = report.map_err(|error| match error {
        StudyError::Cancelled(_) => Failure::Work(format!(
            "interrupted; what was judged is in {}, and the same command goes on from there",
            funnel.file().display()
        )),
        error => error.into(),
    })?;
    if let Some(path) = &arguments.html {
        files::write(path, &results::funnel(&report, &words::of_page()).html())?;
    }
    let mut out = terminal::output();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &report)?;
        return Ok(out.write_all(b"\n")?);
    }
    print(&mut out, &report)?;
    writeln!(out, "\nwritten: {}", funnel.file().display())?;
    if let Some(path) = &arguments.html {
        writeln!(out, "written: {}", path.display())?;
    }
    Ok(())
}

/// `runs/NAME-funnel`.
fn default_output(stores: &[PathBuf]) -> PathBuf {
    let name = stores
        .first()
        .and_then(|store| store.file_name())
        .map_or_else(|| "store".into(), |name| name.to_string_lossy());
    PathBuf::from("runs").join(format!("{name}-funnel"))
}

fn print(out: &mut impl Write, report: &FunnelReport) -> std::io::Result<()> {
    let Settings { seeds, tuning_seeds, confidence } = report.settings;
    let protocol = format!(
        "{} programs through {}\ngain over {} on the same {seeds} fresh seeds, ± its standard error; each program tuned on {tuning_seeds} \
         other seeds",
        report.ranking.len(),
        report.suites.join(", then "),
        report.adamw()
    );
    table::paragraph(out, &protocol)?;
    table::paragraph(
        out,
        &format!("who goes on (*): mean above 0, and so at a confidence of {confidence}\n"),
    )?;
    let heading = ["", "PROGRAM", "SEARCH"]
        .into_iter()
        .map(str::to_owned)
        .chain(report.suites.iter().cloned());
    let mut lines = vec![
        heading
            .chain(["STATEMENTS", "NEAREST", "STRUCTURE"].map(str::to_owned))
            .collect::<Vec<_>>(),
    ];
    for (place, ranked) in report.ranking.iter().enumerate() {
        let mut cells = vec![
            (place + 1).to_string(),
            digits(&ranked.candidate.hash).to_owned(),
            ranked.candidate.fitness.to_string(),
        ];
        for number in 0..report.suites.len() {
            cells.push(ranked.stages.get(number).map_or_else(
                || "-".to_owned(),
                |stage| {
                    format!(
                        "{}{}",
                        Gain::text(stage.judged.gain),
                        if stage.passed { " *" } else { "" }
                    )
                },
            ));
        }
        cells.push(format!("{} -> {}", ranked.statements[0], ranked.statements[1]));
        cells.push(nearest(ranked));
        cells.push(ranked.structure.by_probes.to_string());
        lines.push(cells);
    }
    let count = report.suites.len();
    let right: Vec<usize> = (0..=0).chain(2..4 + count).collect();
    table::print(out, &lines, &right, &[(4 + count, 24)])?;
    let survivors: Vec<&Ranked> = report.ranking.iter().filter(|ranked| ranked.survived).collect();
    if survivors.is_empty() {
        return table::paragraph(
            out,
            &format!("\nno program beat {} on all of them", report.adamw()),
        );
    }
    for ranked in survivors {
        table::paragraph(
            out,
            &format!(
                "\n{}:{}, {}",
                ranked.candidate.store,
                digits(&ranked.candidate.hash),
                ranked.structure
            ),
        )?;
        ranked
            .structure
            .open_reasons()
            .iter()
            .try_for_each(|reason| table::indented(out, reason))?;
        for stage in &ranked.stages {
            let tasks: Vec<String> = stage.judged.tasks.iter().map(task).collect();
            table::indented(out, &format!("{}: {}", stage.suite, tasks.join("; ")))?;
        }
        table::paragraph(
            out,
            &format!(
                "simplified by algebra (equal in the sense of the label `{}`):\n",
                ranked.label
            ),
        )?;
        writeln!(out, "{}", ranked.simplified.trim_end())?;
    }
    Ok(())
}

fn digits(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

fn nearest(ranked: &Ranked) -> String {
    match &ranked.nearest {
        None => "-".to_owned(),
        Some(nearest) if nearest.relation == "different" => {
            format!("{} at {:.2}", nearest.name, nearest.distance)
        }
        Some(nearest) => format!("{}, {}", nearest.name, nearest.relation),
    }
}

fn task(task: &TaskGain) -> String {
    let tuned = match task.tuned {
        Tuned::Direction { peak_lr, weight_decay, .. } => {
            format!("lr {peak_lr:.3e}, decay {weight_decay:.3e}")
        }
        Tuned::Untrainable => "wherever it was tried".to_owned(),
        Tuned::Factor(factor) => format!("update times {factor:.4}"),
    };
    format!("{} {} ({tuned})", task.task, Gain::text(task.gain))
}
