//! `symopt discover`

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use clap::Args;
use symopt_pages::results;
use symopt_proxy_tasks::suite::BaselineOrigin;
use symopt_search::config::Limits;
use symopt_search::engine;
use symopt_studies::discovery::{Discovery, HeldOut, Observer, PROTOCOL, Progress, Report};
use symopt_studies::restarts::Ended;

use crate::failure::Failure;
use crate::progress::{CountLine, FunnelLine, ProgressLine};
use crate::{files, interrupt, options, table, terminal, words};

#[derive(Args)]
#[command(
    after_help = "Searches from the programs of the zoo on small real tasks; their best programs on larger ones, on fresh seeds; the best of \
                        those, simplified, against the optimizers of the literature on held-out tasks, once, all tuned with the same budget. \
                        With the frozen protocol that takes one to two hours on two cores.\n\n\
                        Everything that was measured is kept in DIR: the same command goes on where it was interrupted."
)]
pub struct Arguments {
    /// The seed of the first search; the others follow it
    #[arg(long, default_value_t = 1, value_name = "SEED")]
    seed: u32,
    /// Directory for the stores, the results and report.md
    #[arg(short, long, value_name = "DIR", default_value = "runs/discover")]
    output: PathBuf,
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
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut out = terminal::output();
    if arguments.print_protocol {
        return Ok(out.write_all(PROTOCOL.as_bytes())?);
    }
    arguments.html.iter().try_for_each(|path| files::check_writable(path))?;
    let (place, text) = match &arguments.protocol {
        None => ("the frozen protocol".to_owned(), PROTOCOL.to_owned()),
        Some(path) => {
            let hint = "`symopt discover --print-protocol` writes a file to start from";
            let text = std::fs::read_to_string(path)
                .map_err(|e| Failure::Input(format!("{}: {e}; {hint}", path.display())))?;
            (path.display().to_string(), text)
        }
    };
    let cancel = interrupt::token()?;
    let threads = arguments
        .threads
        .map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from);
    let directory = &arguments.output;
    let seed = u64::from(arguments.seed);
    let mut discovery = Discovery::new(&place, &text, seed, directory, threads, &cancel)?;
    files::check_writable(&directory.join("report.md"))?;
    files::check_writable(&directory.join("report.json"))?;
    let protocol = discovery.protocol();
    if !arguments.json {
        let text = format!(
            "{} searches on {} from {}, the best through {}, one comparison on {}; results in {}",
            protocol.searches,
            protocol.search.suite,
            protocol.search.initial,
            protocol.funnel.suites.join(", then "),
            protocol.held_out.suite,
            directory.display()
        );
        table::paragraph(&mut out, &text)?;
        out.flush()?;
    }
    let watch = Watch::new(protocol.search.limits.clone(), !arguments.json);
    let report = discovery.run(&cancel, &watch);
    watch.finish();
    let report = report.map_err(|error| {
        if error.is_cancelled() {
            let kept = "interrupted; what was measured is kept, and the same command goes on where it was, to the same end";
            return Failure::Work(kept.to_owned());
        }
        error.into()
    })?;
    files::write(&directory.join("report.md"), &report.markdown())?;
    let mut json = serde_json::to_string_pretty(&report)?;
    json.push('\n');
    files::write(&directory.join("report.json"), &json)?;
    if let Some(path) = &arguments.html {
        files::write(path, &results::discovery(&report, &words::of_page()).html())?;
    }
    if arguments.json {
        return Ok(out.write_all(json.as_bytes())?);
    }
    print(&mut out, &report)?;
    writeln!(out, "\nreport: {}", directory.join("report.md").display())?;
    if let Some(path) = &arguments.html {
        writeln!(out, "written: {}", path.display())?;
    }
    Ok(())
}

fn print(out: &mut impl Write, report: &Report) -> std::io::Result<()> {
    if let (Some(champion), Some(held_out)) = (&report.champion, &report.held_out) {
        table::paragraph(out, &format!("\nchampion: {}, simplified:\n", champion.found))?;
        writeln!(out, "{}", champion.simplified.trim_end())?;
        print_comparisons(out, held_out)?;
    }
    table::paragraph(out, &format!("\n{}", report.verdict()))
}

fn print_comparisons(out: &mut impl Write, held_out: &HeldOut) -> std::io::Result<()> {
    for (title, rows) in [
        ("each program tuned on each task", held_out.per_task_table()),
        ("one setting for all tasks", held_out.one_setting_table()),
    ] {
        writeln!(out, "\nheld-out tasks, {title}")?;
        let columns = rows.first().map_or(0, Vec::len);
        table::print(out, &rows, &(1..columns).collect::<Vec<_>>(), &[])?;
    }
    Ok(())
}

/// Stage whose progress line is drawn.
enum Stage {
    Nothing,
    Search(String, ProgressLine),
    Funnel(FunnelLine),
    Count(&'static str, CountLine),
}

impl Stage {
    fn finish(&mut self) {
        match self {
            Stage::Nothing => {}
            Stage::Search(_, line) => line.finish(),
            Stage::Funnel(line) => line.finish(),
            Stage::Count(_, line) => line.finish(),
        }
        *self = Stage::Nothing;
    }
}

/// Draws the line of the stage that runs, and says what has ended.
struct Watch {
    stage: Mutex<Stage>,
    limits: Limits,
    says: bool,
}

impl Watch {
    fn new(limits: Limits, says: bool) -> Watch {
        Watch { stage: Mutex::new(Stage::Nothing), limits, says }
    }

    fn finish(&self) {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner).finish();
    }

    fn count(&self, what: &'static str, done: usize, total: usize) {
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(&*stage, Stage::Count(known, _) if *known == what) {
            stage.finish();
            *stage = Stage::Count(what, CountLine::new(what));
        }
        if let Stage::Count(_, line) = &*stage {
            line.draw(done as u64, total as u64);
        }
    }
}

impl Observer for Watch {
    fn search(&self, name: &str, progress: &engine::Progress) {
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(&*stage, Stage::Search(known, _) if known == name) {
            stage.finish();
            let line = ProgressLine::new(&self.limits).against(&BaselineOrigin::default());
            *stage = Stage::Search(name.to_owned(), line);
        }
        if let Stage::Search(_, line) = &mut *stage {
            line.draw(progress);
        }
    }

    fn ended(&self, search: &Ended) {
        self.finish();
        if self.says {
            let Ended { name, generated, evaluated, best, stop, .. } = search;
            // A reader that has gone away is noticed at the end.
            let _ = writeln!(
                terminal::output(),
                "{name}: best {} on its own seeds, {generated} programs, {evaluated} evaluated; {stop}",
                best.fitness
            );
        }
    }

    fn progress(&self, progress: Progress) {
        match progress {
            Progress::Comparing(progress) => {
                self.count("best programs compared", progress.done, progress.total);
            }
            Progress::Funnel(progress) => {
                let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
                if !matches!(&*stage, Stage::Funnel(_)) {
                    stage.finish();
                    *stage = Stage::Funnel(FunnelLine::new());
                }
                if let Stage::Funnel(line) = &*stage {
                    line.draw(&progress);
                }
            }
            Progress::Simplification(done, of) => self.count("changes tried", done, of),
            Progress::HeldOut(done, of) => self.count("training runs, at most", done, of),
            _ => {}
        }
    }
}
