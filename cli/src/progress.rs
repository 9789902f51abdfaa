//! The live progress lines of commands that take long; quiet when the standard error stream is not a terminal.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use symopt_search::config::Limits;
use symopt_search::engine::Progress;

/// How often the line is drawn.
const INTERVAL: Duration = Duration::from_millis(200);

/// A line that follows a search.
pub struct ProgressLine {
    bar: Option<ProgressBar>,
    limits: Limits,
    drawn: Option<Instant>,
}

impl ProgressLine {
    /// A line for a search with these limits.
    pub fn new(limits: &Limits) -> ProgressLine {
        ProgressLine { bar: spinner(), limits: limits.clone(), drawn: None }
    }

    /// Draws the line, if it is time to.
    pub fn draw(&mut self, progress: &Progress) {
        let Some(bar) = &self.bar else { return };
        if self.drawn.is_some_and(|drawn| drawn.elapsed() < INTERVAL) {
            return;
        }
        self.drawn = Some(Instant::now());
        bar.set_message(line(progress, &self.limits));
        bar.tick();
    }

    /// Takes the line away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A line that follows a benchmark, cell by cell. Nothing is drawn while a cell is measured.
pub struct CellLine {
    bar: Option<ProgressBar>,
    start: Instant,
}

impl CellLine {
    /// A line for a benchmark that starts now.
    pub fn new() -> CellLine {
        CellLine { bar: spinner(), start: Instant::now() }
    }

    /// Draws the line.
    pub fn draw(&self, progress: &symopt_programs::benchmark::Progress) {
        let Some(bar) = &self.bar else { return };
        let symopt_programs::benchmark::Progress { done, total, what } = progress;
        let left = self.start.elapsed().as_secs_f64() * total.saturating_sub(*done) as f64 / (*done).max(1) as f64;
        let eta = (*done > 0).then(|| Duration::try_from_secs_f64(left).ok()).flatten();
        bar.set_message(format!("{done} of {total} cells | {what} | ETA {}", eta.map_or_else(|| "unknown".to_owned(), clock)));
        bar.tick();
    }

    /// Takes the line away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A line that follows training runs, checkpoint by checkpoint.
pub struct TrainingLine {
    bar: Option<ProgressBar>,
    start: Instant,
    /// Checkpoints of all runs together.
    total: usize,
    /// Checkpoints that are done, and those of them that were not done in this session.
    done: usize,
    before: usize,
}

impl TrainingLine {
    /// A line for runs with so many checkpoints together, which start now.
    pub fn new(total: usize) -> TrainingLine {
        TrainingLine { bar: spinner(), start: Instant::now(), total, done: 0, before: 0 }
    }

    /// Takes account of checkpoints that need not be trained, since they were or will not be.
    pub fn skip(&mut self, checkpoints: usize) {
        self.done += checkpoints;
        self.before += checkpoints;
    }

    /// Draws the line after a checkpoint.
    pub fn draw(&mut self, what: &str, checkpoint: &symopt_proxy_tasks::run::Checkpoint) {
        self.done += 1;
        let Some(bar) = &self.bar else { return };
        let trained = self.done.saturating_sub(self.before).max(1);
        let left = self.start.elapsed().as_secs_f64() * self.total.saturating_sub(self.done) as f64 / trained as f64;
        let eta = Duration::try_from_secs_f64(left).map_or_else(|_| "unknown".to_owned(), clock);
        let share = 100.0 * self.done as f64 / self.total.max(1) as f64;
        bar.set_message(format!(
            "{what} | step {} | validation loss {:.4} | {share:.0} % of all | ETA {eta}",
            checkpoint.step, checkpoint.validation.loss
        ));
        bar.tick();
    }

    /// Takes the line away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A line that counts.
pub struct CountLine {
    bar: Option<ProgressBar>,
    what: &'static str,
}

impl CountLine {
    /// A line for a count of something.
    pub fn new(what: &'static str) -> CountLine {
        CountLine { bar: spinner(), what }
    }

    /// Draws the line; from any thread.
    pub fn draw(&self, done: u64, total: u64) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{done} of {total} {}", self.what));
            bar.tick();
        }
    }

    /// Takes the line away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A line that follows a funnel.
pub struct FunnelLine {
    bar: Option<ProgressBar>,
    start: Instant,
}

impl FunnelLine {
    /// A line for a funnel that starts now.
    pub fn new() -> FunnelLine {
        FunnelLine { bar: spinner(), start: Instant::now() }
    }

    /// Draws the line; from any thread.
    pub fn draw(&self, progress: &symopt_search::funnel::FunnelProgress) {
        let Some(bar) = &self.bar else { return };
        let symopt_search::fresh_seeds::Progress { done, total, runs } = progress.judging;
        let stage = if total == 0 { "AdamW".to_owned() } else { format!("{done} of {total} programs judged") };
        bar.set_message(format!("{} | {stage} | {runs} training runs | {}", progress.suite, clock(self.start.elapsed())));
        bar.tick();
    }

    /// Takes the line away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A line on the standard error stream, if that is a terminal.
fn spinner() -> Option<ProgressBar> {
    std::io::stderr().is_terminal().then(|| {
        let bar = ProgressBar::new_spinner();
        bar.set_style(ProgressStyle::with_template("{spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar
    })
}

fn line(progress: &Progress, limits: &Limits) -> String {
    let (statistics, session) = (progress.statistics, &progress.session);
    if statistics.generated < progress.recorded {
        return format!("{} of {} programs taken up from the store", statistics.generated, progress.recorded);
    }
    format!(
        "{} programs ({:.0}/s) | {} evaluated ({:.0}/s) | cache hits {:.1} % | redundant {:.0} % | best {} | ETA {}",
        statistics.generated,
        session.rate(session.generated),
        statistics.evaluated,
        session.rate(session.evaluated),
        100.0 * statistics.cache_hit_rate(),
        100.0 * statistics.redundant_share(),
        progress.best.fitness,
        eta(progress, limits).map_or_else(|| "unknown".to_owned(), clock),
    )
}

/// Time left until the first limit that time alone will reach.
fn eta(progress: &Progress, limits: &Limits) -> Option<Duration> {
    let (statistics, session) = (progress.statistics, &progress.session);
    let by_count = |limit: u64, done: u64, now: u64| {
        let rate = session.rate(now);
        (limit > 0 && rate > 0.0).then(|| limit.saturating_sub(done) as f64 / rate)
    };
    let left = [
        by_count(limits.programs, statistics.generated, session.generated),
        by_count(limits.evaluations, statistics.evaluated, session.evaluated),
        (limits.seconds > 0).then(|| (limits.seconds as f64 - progress.elapsed.as_secs_f64()).max(0.0)),
    ];
    left.into_iter().flatten().min_by(f64::total_cmp).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
}

/// Minutes and seconds; tenths of a second below a minute.
pub fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 {
        return format!("{:.1} s", time.as_secs_f64());
    }
    if seconds < 3600 {
        format!("{}:{:02}", seconds / 60, seconds % 60)
    } else {
        format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }
}
