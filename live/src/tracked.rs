//! A store that is watched: its entries so far, and what is to be said of it.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};
use symopt_dsl::{Graph, Program};
use symopt_export::Formula;
use symopt_proxy_tasks::suite::Fitness;
use symopt_search::config::Form;
use symopt_search::journal::{CheckedStore, JournalError, Place, Settings, epoch_of};
use symopt_search::store::follow::{Entry, Follower, Look, is_held};
use symopt_search::store::hall_of_fame::{self, hall_of_fame, outcome};
use symopt_search::store::statistics::Statistics;
use symopt_search::store::stop_reason::StopReason;

use crate::position::{self, EMPTY, Position};

/// Rates are over so much time.
const WINDOW: Duration = Duration::from_secs(20);
/// A search whose lock can't be looked at runs, if its journal has grown within so much time.
const QUIET: Duration = Duration::from_secs(60);
/// How often it is looked whether a search runs of which nothing is heard.
const SAY_EVERY: Duration = Duration::from_secs(1);
/// Looks that fail before anything is said: a search may be writing what can't be read.
const FAILURES: u32 = 4;
/// Programs of the hall of fame that are shown.
const HALL: usize = 30;
/// Characters of a program's text that are shown.
const LONGEST: usize = 100_000;

/// Whether a search runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Running,
    Ended,
    /// Interrupted, or killed: it can be gone on with.
    Stopped,
    /// The store can't be read.
    Unreadable,
}

/// The part that takes longer than reading entries.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Hall {
    /// Entries that were there when it was made.
    entries: usize,
    best: Option<Shown>,
    front: Vec<Row>,
}

/// Inputs of a hall of fame.
pub struct Wanted {
    path: PathBuf,
    /// Entries that are there.
    entries: usize,
    /// The fitness and the hash of the best program; `None` for the initial one.
    best: Option<(Fitness, String)>,
}

/// A program with its text.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Shown {
    hash: String,
    fitness: Option<f64>,
    text: String,
    update: String,
}

/// A program of the hall of fame.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Row {
    place: usize,
    hash: String,
    fitness: f64,
    error: f64,
    live: usize,
    state: usize,
    does: String,
    update: String,
}

/// A store.
pub struct Tracked {
    pub path: PathBuf,
    follower: Option<Follower>,
    /// Each as JSON.
    entries: Vec<Arc<str>>,
    /// Digest of the entries up to each.
    digests: Vec<u64>,
    status: Status,
    hall: Hall,
    /// The status as JSON, and how often it has changed.
    shown: (Arc<str>, u64),
    said: Instant,
}

/// Summary of the entries.
#[derive(Default)]
struct Status {
    error: Option<String>,
    /// Looks that failed one after the other.
    failed: u32,
    /// The number after the last child.
    programs: u64,
    evaluated: u64,
    revisions: u64,
    statistics: Option<Statistics>,
    best: Option<(u64, Fitness, String)>,
    end: Option<StopReason>,
    /// When the journal last grew, while it was watched.
    grown: Option<Instant>,
    /// Programs and evaluations at times.
    samples: VecDeque<(Instant, u64, u64)>,
}

impl Tracked {
    /// Opens a store that is there.
    pub fn open(path: PathBuf) -> Result<Tracked, JournalError> {
        let follower = Follower::open(&path)?;
        let mut tracked = Tracked {
            path,
            follower: Some(follower),
            entries: Vec::new(),
            digests: Vec::new(),
            status: Status::default(),
            hall: Hall::default(),
            shown: ("".into(), 0),
            said: Instant::now(),
        };
        // Faults of the journal show at once.
        tracked.read()?;
        // Entries that were there before say nothing about the rate.
        tracked.status.grown = None;
        tracked.say();
        Ok(tracked)
    }

    /// Entries so far.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// Looks what has come. True if there is anything new to be shown.
    pub fn look(&mut self) -> bool {
        let (before, said) = (self.digest_at(self.count()), self.shown.1);
        let failed = self.status.failed;
        match self.read() {
            Ok(()) => {
                self.status.failed = 0;
                self.status.error = None;
            }
            Err(error) => {
                self.status.failed = self.status.failed.saturating_add(1);
                if self.status.failed >= FAILURES {
                    self.status.error = Some(error.to_string());
                    self.follower = None;
                }
            }
        }
        let grew = before != self.digest_at(self.count());
        if grew || failed != self.status.failed || self.said.elapsed() >= SAY_EVERY {
            self.say();
        }
        grew || said != self.shown.1
    }

    fn read(&mut self) -> Result<(), JournalError> {
        // One that is opened again begins at the first entry.
        let is_open = self.follower.is_some();
        let mut follower = match self.follower.take() {
            Some(follower) => follower,
            None => Follower::open(&self.path)?,
        };
        let mut found: Vec<Entry> = Vec::new();
        let mut look = follower.look(&mut |entry| found.push(entry));
        if let Ok(Look::Anew) = look {
            self.forget();
            look = follower.look(&mut |entry| found.push(entry));
        }
        if !is_open && self.count() > 0 {
            // A journal that can't be read to its end is opened again the next time.
            look?;
            look = Ok(Look::More);
            self.leave_out_known(&mut found);
        }
        self.follower = Some(follower);
        let grew = !found.is_empty();
        for entry in found {
            self.take(&entry);
        }
        let now = Instant::now();
        if grew {
            self.status.grown = Some(now);
        }
        let (programs, evaluated) = (self.programs(), self.status.evaluated);
        let samples = &mut self.status.samples;
        if samples.back().is_none_or(|(last, ..)| now - *last >= Duration::from_secs(1)) {
            samples.push_back((now, programs, evaluated));
        }
        while samples.front().is_some_and(|(first, ..)| now - *first > WINDOW) {
            samples.pop_front();
        }
        look.map(drop)
    }

    /// Leaves the new ones of entries from the first on; all of them if the first ones are others
    /// than before.
    fn leave_out_known(&mut self, found: &mut Vec<Entry>) {
        let known = found.iter().take(self.count());
        let digest = known.fold(EMPTY, |digest, entry| position::digest(digest, &text(entry)));
        if found.len() >= self.count() && digest == self.digest_at(self.count()) {
            found.drain(..self.count());
        } else {
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.entries.clear();
        self.digests.clear();
        self.hall = Hall::default();
        self.status = Status { failed: self.status.failed, ..Status::default() };
    }

    fn take(&mut self, entry: &Entry) {
        let text = text(entry);
        let digest = position::digest(self.digest_at(self.count()), &text);
        self.entries.push(text.into());
        self.digests.push(digest);
        let status = &mut self.status;
        // A search that goes on after its end has another one.
        status.end = None;
        match entry {
            Entry::Evaluation { place: Place::Child(number), .. } => {
                status.programs = status.programs.max(number.saturating_add(1));
                status.evaluated += 1;
            }
            Entry::Evaluation { .. } => status.revisions += 1,
            Entry::Improvement(better) => {
                status.best = Some((better.index, better.fitness, better.hash.clone()));
            }
            Entry::Statistics(statistics) => status.statistics = Some(statistics.clone()),
            Entry::End(reason) => status.end = Some(*reason),
            _ => {}
        }
    }

    fn programs(&self) -> u64 {
        let counted = self.status.statistics.as_ref().map_or(0, |statistics| statistics.generated);
        self.status.programs.max(counted)
    }

    fn digest_at(&self, count: usize) -> u64 {
        match count.checked_sub(1) {
            None => EMPTY,
            Some(last) => self.digests.get(last).copied().unwrap_or(EMPTY),
        }
    }

    /// Returns the entries after a position, at most so many: the first one's number, the entries,
    /// and the position after them.
    pub fn after(&self, position: Position, most: usize) -> Option<(usize, &[Arc<str>], Position)> {
        let known = position.count <= self.count()
            && (position.count == 0 || self.digest_at(position.count) == position.digest);
        let from = if known { position.count } else { 0 };
        let to = self.count().min(from.saturating_add(most));
        // A page that has entries of a journal that is gone hears of it, if there is none to send.
        if from == to && known {
            return None;
        }
        let next = Position { count: to, digest: self.digest_at(to) };
        Some((from, &self.entries[from..to], next))
    }

    /// Returns the summary, and how often it has changed.
    pub fn said(&self) -> (Arc<str>, u64) {
        self.shown.clone()
    }

    /// Returns the inputs of a hall of fame, if there is a newer one to be made.
    pub fn wants_hall(&self) -> Option<Wanted> {
        if self.count() == 0 || self.hall.entries == self.count() || self.status.error.is_some() {
            return None;
        }
        let best = self.status.best.as_ref().map(|(_, fitness, hash)| (*fitness, hash.clone()));
        Some(Wanted { path: self.path.clone(), entries: self.count(), best })
    }

    /// Takes a hall of fame that was made.
    pub fn take_hall(&mut self, hall: Hall) {
        self.hall = hall;
        self.say();
    }

    fn state(&self) -> State {
        if self.status.error.is_some() {
            return State::Unreadable;
        }
        let quiet = self.status.grown.is_none_or(|grown| grown.elapsed() > QUIET);
        match (self.status.end, is_held(&self.path)) {
            (Some(_), _) => State::Ended,
            (None, Some(true)) => State::Running,
            (None, None) if !quiet => State::Running,
            _ => State::Stopped,
        }
    }

    /// Says how it stands.
    fn say(&mut self) {
        self.said = Instant::now();
        let state = self.state();
        let status = &self.status;
        let programs = self.programs();
        let statistics = status.statistics.as_ref();
        let share = |of: &dyn Fn(&Statistics) -> u64| {
            statistics
                .filter(|row| row.evaluated > 0)
                .map(|row| of(row) as f64 / row.evaluated as f64)
        };
        let rate = |of: &dyn Fn(&(Instant, u64, u64)) -> u64| {
            let (first, last) = (status.samples.front()?, status.samples.back()?);
            let seconds = (last.0 - first.0).as_secs_f64();
            (state == State::Running && seconds >= 2.0)
                .then(|| of(last).saturating_sub(of(first)) as f64 / seconds)
        };
        let settings = self.follower.as_ref().map(Follower::settings);
        let best = status.best.as_ref().map(|(index, fitness, hash)| {
            json!({ "child": index, "fitness": percent(*fitness), "hash": short(hash) })
        });
        let value = json!({
            "name": self.path.display().to_string(),
            "state": state,
            "end": status.end.map(|reason| reason.to_string()),
            "error": status.error,
            "search": settings.map(search),
            "entries": self.count(),
            "programs": programs,
            "evaluated": status.evaluated,
            "judged_again": status.revisions,
            "programs_a_second": rate(&|sample| sample.1).map(tenths),
            "evaluated_a_second": rate(&|sample| sample.2).map(tenths),
            "cache_hits": statistics.map(|row| thousandths(row.cache_hit_rate())),
            "redundant": statistics.map(|row| thousandths(row.redundant_share())),
            "hopeless": share(&|row| row.hopeless).map(thousandths),
            "diverged": share(&|row| row.diverged).map(thousandths),
            "failed": statistics.map(|row| row.failed),
            "best": best,
            "hall": self.hall,
        });
        let text = value.to_string();
        if *text != *self.shown.0 {
            self.shown = (text.into(), self.shown.1 + 1);
        }
    }
}

/// Makes what takes longer.
pub fn hall_of(wanted: Wanted) -> Result<Hall, JournalError> {
    let Wanted { path, entries, best } = wanted;
    let path = path.as_path();
    let (best_fitness, hash) = match best {
        Some((fitness, hash)) => (fitness, Some(hash)),
        None => (Fitness::Diverged, None),
    };
    let text = match &hash {
        Some(hash) => {
            let (store, found) = CheckedStore::find(path, hash)?;
            let record = found.first().map(|found| store.record(found)).transpose()?;
            record.map(|record| record.program)
        }
        None => Some(CheckedStore::settings_of(path)?.initial),
    };
    let front = hall_of_fame(&CheckedStore::of(path)?)?;
    // The cache may know the best by another program of its kind, which has no entry.
    let best =
        text.or_else(|| front.first().map(|entry| entry.program.clone())).map(|text| Shown {
            hash: short(hash.as_deref().unwrap_or("initial program")),
            fitness: percent(best_fitness),
            update: symopt_dsl::parse(&text).map_or_else(|_| String::new(), |p| update(&p)),
            text: text.chars().take(LONGEST).collect(),
        });
    Ok(Hall { entries, best, front: front.iter().take(HALL).map(row).collect() })
}

fn row(entry: &hall_of_fame::Entry) -> Row {
    let words = [("matrix", entry.matrix), ("odd", entry.odd), ("scale-free", entry.scale_free)];
    let words: Vec<&str> = words.iter().filter(|(_, is)| *is).map(|(word, _)| *word).collect();
    let parsed = symopt_dsl::parse(&entry.program);
    Row {
        place: entry.place,
        hash: short(&entry.hash),
        fitness: hundredth_thousandths(100.0 * entry.fitness),
        error: hundredth_thousandths(100.0 * entry.standard_error),
        live: entry.live_statements,
        state: entry.state_bytes,
        does: if words.is_empty() { "-".to_owned() } else { words.join(", ") },
        update: parsed.map_or_else(|_| String::new(), |program| update(&program)),
    }
}

/// The update as a formula, without what it does not need.
fn update(program: &Program) -> String {
    let Ok(graph) = Graph::new(program) else { return String::new() };
    let pruned = program.pruned(&graph);
    let Ok(graph) = Graph::new(&pruned) else { return String::new() };
    let update = Formula::new(&pruned, &graph).update;
    format!("{} = {}", update.name, update.unicode)
}

/// Describes the settings of a search.
fn search(settings: &Settings) -> Value {
    let config = &settings.config;
    let form = match config.fitness.form {
        Form::Program => "whole programs",
        Form::Direction => "directions",
    };
    let limits = &config.limits;
    json!({
        "suite": config.suite,
        "form": form,
        "seed": config.seed,
        "initial": config.initial.to_string(),
        "population": config.evolution.population,
        "limit_programs": limits.programs,
        "limit_evaluations": limits.evaluations,
    })
}

/// An entry as pages get it.
fn text(entry: &Entry) -> String {
    let value = match entry {
        Entry::Evaluation { place, hash, fitness } => {
            let (child, epoch) = match place {
                Place::Child(number) => (Some(*number), None),
                Place::Revision(number) => (None, Some(epoch_of(*number))),
            };
            let hash = short(&hash.to_string());
            json!(["evaluation", child, epoch, percent(*fitness), outcome(*fitness), hash])
        }
        Entry::Improvement(better) => {
            let programs = better.index.saturating_add(1);
            json!(["best", programs, percent(better.fitness), short(&better.hash)])
        }
        Entry::Statistics(row) => json!([
            "rates",
            row.generated,
            row.evaluated,
            thousandths(row.cache_hit_rate()),
            thousandths(row.redundant_share()),
            percent(row.best)
        ]),
        Entry::End(reason) => json!(["end", reason.to_string()]),
        // A later kind.
        _ => json!(["other"]),
    };
    value.to_string()
}

fn percent(fitness: Fitness) -> Option<f64> {
    fitness.improvement().map(|share| hundredth_thousandths(100.0 * share))
}

fn hundredth_thousandths(number: f64) -> f64 {
    (1e5 * number).round() / 1e5
}

fn thousandths(number: f64) -> f64 {
    (1e3 * number).round() / 1e3
}

fn tenths(number: f64) -> f64 {
    (10.0 * number).round() / 10.0
}

fn short(hash: &str) -> String {
    hash.chars().take(if hash.contains(' ') { 40 } else { 12 }).collect()
}
