//! How far a command is that takes long: a line that is drawn again and again on a terminal, and
//! plain lines at intervals where there is none, all on the standard error stream.
//!
//! A line is made of parts. On a terminal those that matter least are left out until the rest fits
//! its width, whatever that is by now. The cursor stands at the beginning of the line, so that a
//! terminal that breaks the line when it is made narrower takes the cursor along, and the next
//! drawing clears all that the line has become.

pub mod short_form;

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use symopt_dsl::escape;
use symopt_proxy_tasks::suite::BaselineOrigin;
use symopt_search::config::Limits;
use symopt_search::engine::Progress;

use crate::{table, terminal};
use short_form::ShortForm;

/// How often a line is drawn on a terminal, and made at most.
const INTERVAL: Duration = Duration::from_millis(200);
/// A part that can be shortened has at least so many columns.
const SHORTEST: usize = 16;
/// And at most so many where there is no terminal.
const LONGEST: usize = 100;
/// Characters that begin a line on a terminal, one after the other.
const SPINNER: [char; 4] = ['|', '/', '-', '\\'];

/// Milliseconds between plain lines; 0 for none.
static LOG_EVERY: AtomicU64 = AtomicU64::new(30_000);

/// Sets the time between lines where there is no terminal; 0 for no lines.
pub fn log_every(seconds: f64) {
    LOG_EVERY.store((1e3 * seconds) as u64, Ordering::Relaxed);
}

/// A piece of a line.
struct Part {
    text: String,
    /// The higher, the sooner it is left out where there is little space.
    rank: u8,
    /// Whether a beginning of it is better than nothing.
    shortens: bool,
}

impl Part {
    fn new(rank: u8, text: impl Into<String>) -> Part {
        Part { text: text.into(), rank, shortens: false }
    }

    fn shortening(rank: u8, text: impl Into<String>) -> Part {
        Part { shortens: true, ..Part::new(rank, text) }
    }
}

const SEPARATOR: &str = " | ";

/// The parts in so many columns.
fn fitted(parts: &[Part], columns: usize) -> String {
    let mut kept: Vec<&Part> = parts.iter().filter(|part| !part.text.is_empty()).collect();
    loop {
        let separators = SEPARATOR.len() * kept.len().saturating_sub(1);
        let fixed: usize = separators
            + kept
                .iter()
                .filter(|part| !part.shortens)
                .map(|part| terminal::width_of(&part.text))
                .sum::<usize>();
        let flexible = kept.iter().filter(|part| part.shortens).count();
        let left = columns.saturating_sub(fixed) / flexible.max(1);
        let last = kept.len() <= 1;
        if fixed <= columns && (flexible == 0 || left >= SHORTEST) || last {
            let text = |part: &&Part| {
                if part.shortens {
                    terminal::shortened(&part.text, left)
                } else {
                    part.text.clone()
                }
            };
            return terminal::shortened(
                &kept.iter().map(text).collect::<Vec<_>>().join(SEPARATOR),
                columns,
            );
        }
        let least =
            kept.iter().enumerate().max_by_key(|(_, part)| part.rank).map_or(0, |(place, _)| place);
        kept.remove(least);
    }
}

/// Progress line that is shown.
struct Shown {
    /// Whose it is.
    line: usize,
    parts: Vec<Part>,
    begin: Instant,
    /// When a plain line was printed last.
    logged: Instant,
    turn: usize,
    /// Whether it stands on the screen.
    drawn: bool,
}

/// The line that is shown. A command has one at a time.
static SHOWN: Mutex<Option<Shown>> = Mutex::new(None);

fn shown() -> MutexGuard<'static, Option<Shown>> {
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a line can be drawn again and again.
fn is_terminal() -> bool {
    let moves = std::env::var_os("TERM").is_none_or(|term| !term.is_empty() && term != "dumb");
    moves && std::io::stderr().is_terminal()
}

impl Shown {
    fn line(&self, columns: usize) -> String {
        let time = Part::new(5, clock(Duration::from_secs(self.begin.elapsed().as_secs())));
        let mut parts: Vec<&Part> = self.parts.iter().collect();
        // A formula stays the last.
        let place = if parts.last().is_some_and(|part| part.shortens) && parts.len() > 1 {
            parts.len() - 1
        } else {
            parts.len()
        };
        parts.insert(place, &time);
        let parts: Vec<Part> =
            parts.into_iter().map(|part| Part { text: safe(&part.text), ..*part }).collect();
        fitted(&parts, columns)
    }

    fn draw(&mut self) {
        if self.parts.is_empty() {
            return;
        }
        // In the last column of a terminal, a cursor is nowhere.
        let columns = terminal::columns_of_errors().saturating_sub(1);
        self.turn = (self.turn + 1) % SPINNER.len();
        let text = terminal::shortened(
            &format!("{} {}", SPINNER[self.turn], self.line(columns.saturating_sub(2))),
            columns,
        );
        // Nobody reads it any more: that is found out where it matters.
        let _ = write_errors(&format!("\r{text}\x1b[J\r"));
        self.drawn = true;
    }

    fn log(&mut self) {
        let every = Duration::from_millis(LOG_EVERY.load(Ordering::Relaxed));
        if every.is_zero() || self.parts.is_empty() || self.logged.elapsed() < every {
            return;
        }
        self.logged = Instant::now();
        let parts = self.parts.iter_mut().filter(|part| part.shortens);
        parts.for_each(|part| part.text = terminal::shortened(&part.text, LONGEST));
        let _ = write_errors(&format!("{}\n", self.line(usize::MAX)));
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            let _ = write_errors("\r\x1b[J");
        }
    }
}

/// A text without what a terminal would take for a command.
fn safe(text: &str) -> String {
    escape::line(text).into_owned()
}

fn write_errors(text: &str) -> std::io::Result<()> {
    let mut errors = std::io::stderr().lock();
    errors.write_all(text.as_bytes())?;
    errors.flush()
}

/// Prints a line of its own on the standard error stream, at once, whatever is drawn there.
pub fn note(text: &str) {
    // A terminal that was stopped must not keep the message from others, nor the end of the
    // process.
    let mut shown = SHOWN.try_lock().ok();
    if let Some(Some(shown)) = shown.as_deref_mut() {
        shown.clear();
    }
    let (begin, columns) =
        if is_terminal() { ("\r\x1b[J", terminal::columns_of_errors()) } else { ("", usize::MAX) };
    let _ = write_errors(&format!(
        "{begin}{}\n",
        table::lines(&escape::message(text), columns).join("\n")
    ));
}

/// A line, from when it is made until it ends.
struct Line {
    number: usize,
    made: Mutex<Option<Instant>>,
    /// Flag that ends the thread that draws, and that thread.
    ticker: Option<(Arc<AtomicBool>, Thread)>,
}

impl Line {
    fn new() -> Line {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let (number, made) = (NUMBER.fetch_add(1, Ordering::Relaxed), Mutex::new(None));
        let terminal = is_terminal();
        if !terminal && LOG_EVERY.load(Ordering::Relaxed) == 0 {
            return Line { number, made, ticker: None };
        }
        let now = Instant::now();
        if let Some(mut before) = shown().replace(Shown {
            line: number,
            parts: Vec::new(),
            begin: now,
            logged: now,
            turn: 0,
            drawn: false,
        }) {
            before.clear();
        }
        let ended = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&ended);
        let tick = move || {
            while !is_over.load(Ordering::Relaxed) {
                std::thread::park_timeout(INTERVAL);
                match shown().as_mut() {
                    Some(_) if is_over.load(Ordering::Relaxed) => {}
                    Some(shown) if terminal => shown.draw(),
                    Some(shown) => shown.log(),
                    None => {}
                }
            }
        };
        // Without a thread for it nothing is shown; the work goes on.
        let ticker = std::thread::Builder::new().name("progress".to_owned()).spawn(tick).ok();
        Line { number, made, ticker: ticker.map(|thread| (ended, thread.thread().clone())) }
    }

    /// Shows something, from any thread, if it is time to.
    fn show(&self, parts: impl FnOnce() -> Vec<Part>) {
        if self.ticker.is_none() {
            return;
        }
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.is_some_and(|made| made.elapsed() < INTERVAL) {
            return;
        }
        *made = Some(Instant::now());
        drop(made);
        let parts = parts();
        if let Some(shown) = shown().as_mut().filter(|shown| shown.line == self.number) {
            shown.parts = parts;
        }
    }

    /// Takes the line away.
    fn end(&self) {
        let Some((ended, thread)) = &self.ticker else { return };
        ended.store(true, Ordering::Relaxed);
        if let Some(mut shown) = shown().take_if(|shown| shown.line == self.number) {
            shown.clear();
        }
        thread.unpark();
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.end();
    }
}

/// A line that says what is done, and for how long.
pub struct StageLine(Line);

impl StageLine {
    /// A line that is shown until it is dropped.
    pub fn new(what: impl Into<String>) -> StageLine {
        let line = Line::new();
        line.show(|| vec![Part::shortening(0, what)]);
        StageLine(line)
    }

    /// Shows the next stage; where there is no terminal, at once and on a line of its own.
    pub fn say(&self, what: &str) {
        if is_terminal() {
            *self.0.made.lock().unwrap_or_else(PoisonError::into_inner) = None;
            self.0.show(|| vec![Part::shortening(0, what)]);
        } else {
            note(&safe(what));
        }
    }

    /// Takes the line away.
    pub fn finish(&self) {
        self.0.end();
    }
}

/// A line that follows a search.
pub struct ProgressLine {
    line: Line,
    limits: Limits,
    best: ShortForm,
    /// Text behind the fitness, where AdamW is not tuned.
    against: String,
}

impl ProgressLine {
    /// A line for a search with these limits.
    pub fn new(limits: &Limits) -> ProgressLine {
        ProgressLine {
            line: Line::new(),
            limits: limits.clone(),
            best: ShortForm::default(),
            against: String::new(),
        }
    }

    /// With what fitness is measured against.
    pub fn against(mut self, adamw: &BaselineOrigin) -> ProgressLine {
        self.against = adamw.behind();
        self
    }

    /// Draws the line, if it is time to.
    pub fn draw(&mut self, progress: &Progress) {
        let ProgressLine { line, limits, best, against } = self;
        line.show(|| search_parts(progress, limits, best, against));
    }

    /// Takes the line away.
    pub fn finish(&self) {
        self.line.end();
    }
}

fn search_parts(
    progress: &Progress,
    limits: &Limits,
    best: &mut ShortForm,
    against: &str,
) -> Vec<Part> {
    let (statistics, session) = (progress.statistics, &progress.session);
    if statistics.generated < progress.recorded {
        return vec![Part::new(
            0,
            format!(
                "{} of {} programs taken up from the store",
                statistics.generated, progress.recorded
            ),
        )];
    }
    vec![
        Part::new(
            0,
            format!("{} programs ({:.0}/s)", statistics.generated, session.rate(session.generated)),
        ),
        Part::new(
            4,
            format!(
                "{} evaluated ({:.0}/s)",
                statistics.evaluated,
                session.rate(session.evaluated)
            ),
        ),
        Part::new(6, format!("cache hits {:.1} %", 100.0 * statistics.cache_hit_rate())),
        Part::new(7, format!("redundant {:.0} %", 100.0 * statistics.redundant_share())),
        Part::new(1, format!("best {}{against}", progress.best.fitness)),
        Part::new(
            2,
            format!("ETA {}", eta(progress, limits).map_or_else(|| "unknown".to_owned(), clock)),
        ),
        Part::shortening(3, best.of(progress.best)),
    ]
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
        (limits.seconds > 0)
            .then(|| (limits.seconds as f64 - progress.elapsed.as_secs_f64()).max(0.0)),
    ];
    left.into_iter()
        .flatten()
        .min_by(f64::total_cmp)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
}

/// The time left, by the share that is done since the beginning.
fn left(begin: Instant, done: f64, to_do: f64) -> String {
    let seconds = if done > 0.0 { begin.elapsed().as_secs_f64() * to_do / done } else { f64::NAN };
    format!(
        "ETA {}",
        Duration::try_from_secs_f64(seconds).map_or_else(|_| "unknown".to_owned(), clock)
    )
}

/// A line that follows a benchmark, cell by cell.
pub struct CellLine {
    line: Line,
    start: Instant,
}

impl CellLine {
    /// A line for a benchmark that starts now.
    pub fn new() -> CellLine {
        CellLine { line: Line::new(), start: Instant::now() }
    }

    /// Draws the line.
    pub fn draw(&self, progress: &symopt_benchmark::Progress) {
        let symopt_benchmark::Progress { done, total, what, .. } = progress;
        let eta = || left(self.start, *done as f64, total.saturating_sub(*done) as f64);
        self.line.show(|| {
            vec![
                Part::new(0, format!("{done} of {total} cells")),
                Part::new(1, eta()),
                Part::shortening(2, what.to_string()),
            ]
        });
    }

    /// Takes the line away.
    pub fn finish(&self) {
        self.line.end();
    }
}

/// A line that follows training runs, checkpoint by checkpoint.
pub struct TrainingLine {
    line: Line,
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
        TrainingLine { line: Line::new(), start: Instant::now(), total, done: 0, before: 0 }
    }

    /// Takes account of checkpoints that need not be trained, since they were or will not be.
    pub fn skip(&mut self, checkpoints: usize) {
        self.done += checkpoints;
        self.before += checkpoints;
    }

    /// Draws the line after a checkpoint.
    pub fn draw(&mut self, what: &str, checkpoint: &symopt_proxy_tasks::run::Checkpoint) {
        self.done += 1;
        let trained = self.done.saturating_sub(self.before).max(1);
        let share = 100.0 * self.done as f64 / self.total.max(1) as f64;
        self.line.show(|| {
            vec![
                Part::new(0, format!("{share:.0} % of all")),
                Part::new(
                    2,
                    left(self.start, trained as f64, self.total.saturating_sub(self.done) as f64),
                ),
                Part::new(4, format!("step {}", checkpoint.step)),
                Part::new(3, format!("validation loss {:.4}", checkpoint.validation.loss)),
                Part::shortening(1, what),
            ]
        });
    }

    /// Takes the line away.
    pub fn finish(&self) {
        self.line.end();
    }
}

/// A line that counts.
pub struct CountLine {
    line: Line,
    what: &'static str,
    start: Instant,
}

impl CountLine {
    /// A line for a count of something.
    pub fn new(what: &'static str) -> CountLine {
        CountLine { line: Line::new(), what, start: Instant::now() }
    }

    /// Draws the line; from any thread.
    pub fn draw(&self, done: u64, total: u64) {
        let eta = || left(self.start, done as f64, total.saturating_sub(done) as f64);
        self.line.show(|| {
            vec![Part::new(0, format!("{done} of {total} {}", self.what)), Part::new(1, eta())]
        });
    }

    /// Takes the line away.
    pub fn finish(&self) {
        self.line.end();
    }
}

/// A line that follows a funnel.
pub struct FunnelLine(Line);

impl FunnelLine {
    /// A line for a funnel that starts now.
    pub fn new() -> FunnelLine {
        FunnelLine(Line::new())
    }

    /// Draws the line; from any thread.
    pub fn draw(&self, progress: &symopt_studies::funnel::FunnelProgress) {
        let symopt_studies::fresh_seeds::Progress { done, total, runs, .. } = progress.judging;
        let stage = if total == 0 {
            "AdamW".to_owned()
        } else {
            format!("{done} of {total} programs judged")
        };
        self.0.show(|| {
            vec![
                Part::new(0, stage),
                Part::new(1, format!("{runs} training runs")),
                Part::shortening(2, format!("suite {}", progress.suite)),
            ]
        });
    }

    /// Takes the line away.
    pub fn finish(&self) {
        self.0.end();
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_least_is_left_out_until_the_rest_fits() {
        let parts = || {
            vec![
                Part::new(0, "52525 programs (1310/s)"),
                Part::new(4, "8294 evaluated (207/s)"),
                Part::new(7, "redundant 56 %"),
                Part::new(1, "best -0.17 %"),
                Part::new(2, "ETA 5:03"),
                Part::shortening(3, "update = lr·(m′ / (√|v′| + 10⁻⁸) + 0.01·w)"),
            ]
        };
        let all = "52525 programs (1310/s) | 8294 evaluated (207/s) | redundant 56 % | best -0.17 % | ETA 5:03 | update = lr·(m′ / (√|v′| + 10⁻⁸) \
                   + 0.01·w)";
        assert_eq!(fitted(&parts(), 200), all);
        assert_eq!(
            fitted(&parts(), 79),
            "52525 programs (1310/s) | best -0.17 % | ETA 5:03 | update = lr·(m′ / (√|v′| +…"
        );
        assert_eq!(fitted(&parts(), 38), "52525 programs (1310/s) | best -0.17 %");
        for columns in 1..200 {
            assert!(terminal::width_of(&fitted(&parts(), columns)) <= columns);
        }
        assert_eq!(fitted(&parts(), 8), "52525 p…");
    }
}
