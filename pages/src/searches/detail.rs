//! Details of a store that a page shows beyond its report.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use symopt_cancel::CancelToken;
use symopt_dsl::{Graph, parse};
use symopt_evaluator::Layout;
use symopt_search::config::Form;
use symopt_search::engine::lineage::{Ancestor, lineage};
use symopt_search::journal::{CheckedStore, JournalError};
use symopt_search::judge::form::complete;
use symopt_search::store::hall_of_fame::{self, Entry, EvaluatedProgram, hall_of_fame};
use symopt_studies::report::{Report, StoreReport};
use symopt_studies::step_time::{self, Effort};

use super::Progress;

/// Why a store can't be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DetailError {
    /// The store.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The work was cancelled.
    #[error("cancelled")]
    Cancelled,
}

/// A program that was evaluated to the end, with what it takes.
pub(super) struct Evaluated {
    pub program: EvaluatedProgram,
    pub fitness: f64,
    pub live: usize,
    pub state: usize,
    pub moved: usize,
    pub front: bool,
}

/// A store.
pub(super) struct Detail {
    pub front: Vec<Entry>,
    /// The fittest first.
    pub evaluated: Vec<Evaluated>,
    /// Those that are not among them, since no more are shown.
    pub left_out: usize,
    /// Evaluations by what came of them.
    pub outcomes: Vec<(&'static str, u64)>,
    /// The lineage of the best program, or why it can't be told.
    pub lineage: Result<Vec<Ancestor>, String>,
    /// Nanoseconds of a step for each parameter, by the program's hash, if they were measured;
    /// `None` where a program can't be run alone.
    pub times: Option<HashMap<String, Option<f64>>>,
    facts: Vec<(String, String)>,
}

/// Evaluations that a page lists, at most: more would take more time to open than people have.
pub(super) const MOST: usize = 4_000;
/// How a step is timed: short, as there may be thousands of programs.
pub(super) const EFFORT: Effort = Effort { least_seconds: 0.0005, rounds: 3 };
/// Rows and columns of the array that a timed step changes: what it moves stays in the cache.
pub(super) const SIDE: usize = 128;

impl Detail {
    pub fn read(
        report: &StoreReport,
        speed: bool,
        cancel: &CancelToken,
        observe: &mut dyn FnMut(Progress),
    ) -> Result<Detail, DetailError> {
        let store = CheckedStore::of(Path::new(&report.store))?;
        let front = hall_of_fame(&store)?;
        let on_front: HashSet<&str> = front.iter().map(|entry| entry.hash.as_str()).collect();
        let all = hall_of_fame::all(&store)?;
        let names = ["completed", "hopeless", "diverged", "screened", "failed"];
        let outcomes = names.map(|name| {
            (name, all.iter().filter(|program| program.outcome == name).count() as u64)
        });
        let mut known = HashSet::new();
        let mut completed: Vec<(f64, EvaluatedProgram)> =
            all.into_iter().filter_map(|program| Some((program.fitness?, program))).collect();
        // One of the elite that was judged again has the fitness of its last judgement on the front.
        completed.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.hash.cmp(&b.1.hash)));
        completed.retain(|(_, program)| known.insert(program.hash.clone()));
        let left_out = completed.len().saturating_sub(MOST);
        completed.truncate(MOST);
        let mut evaluated = Vec::with_capacity(completed.len());
        for (fitness, program) in completed {
            if cancel.is_cancelled() {
                return Err(DetailError::Cancelled);
            }
            // A program of a store that does not parse any more has no cost.
            let Some(graph) = parse(&program.program).ok().and_then(|p| Graph::new(&p).ok()) else {
                continue;
            };
            let cost = graph.cost();
            let entry = front.iter().find(|entry| entry.hash == program.hash);
            evaluated.push(Evaluated {
                fitness: entry.map_or(fitness, |entry| entry.fitness),
                live: graph.live_statements(),
                state: cost.state_bytes_per_parameter,
                moved: cost.bytes_per_parameter,
                front: on_front.contains(program.hash.as_str()),
                program,
            });
        }
        let lineage = match report.best.index {
            None => Err("The best program is the one that the search started from.".to_owned()),
            Some(_) => {
                let name = format!("{}:{}", report.store, report.best.hash);
                let mut bred = |done, total| observe(Progress::Bred { done, total });
                match lineage(&name, cancel, &mut bred) {
                    Ok(lineage) => Ok(lineage),
                    Err(_) if cancel.is_cancelled() => return Err(DetailError::Cancelled),
                    Err(error) => Err(error.to_string()),
                }
            }
        };
        let settings = store.settings();
        let config = &settings.config;
        let times = if speed {
            let listed =
                evaluated.iter().map(|e: &Evaluated| (&e.program.hash, &e.program.program));
            let programs: HashMap<&String, &String> =
                front.iter().map(|entry| (&entry.hash, &entry.program)).chain(listed).collect();
            Some(measured(&programs, config.fitness.form, cancel, observe)?)
        } else {
            None
        };
        let facts = [
            ("suite", config.suite.clone()),
            ("initial program", config.initial.to_string()),
            ("seed of the search", config.seed.to_string()),
            ("seeds of an evaluation", config.fitness.seeds.to_string()),
            ("version of the functional hash", settings.hash_version.to_string()),
        ];
        Ok(Detail {
            evaluated,
            left_out,
            outcomes: outcomes.to_vec(),
            lineage,
            times,
            facts: facts.map(|(name, value)| (name.to_owned(), value)).to_vec(),
            front,
        })
    }

    /// Returns the measured nanoseconds of a step of a program for each parameter, by its hash.
    pub fn nanoseconds(&self, hash: &str) -> Option<f64> {
        *self.times.as_ref()?.get(hash)?
    }

    /// Returns the names and values of the search's settings, with the fresh seeds and the best
    /// program.
    pub fn facts(&self, report: &Report, store: &StoreReport) -> Vec<(String, String)> {
        let mut facts = self.facts.clone();
        let seeds = match report.seeds {
            1 => "1000000".to_owned(),
            seeds => format!("1000000 to {}", 999_999 + seeds),
        };
        facts.push(("fresh seeds".to_owned(), seeds));
        facts.push(("best program".to_owned(), super::name_of(store)));
        facts
    }
}

/// Measures the nanoseconds of a step of programs, given by hash and text.
fn measured(
    programs: &HashMap<&String, &String>,
    form: Form,
    cancel: &CancelToken,
    observe: &mut dyn FnMut(Progress),
) -> Result<HashMap<String, Option<f64>>, DetailError> {
    let layout = Layout::new([("weights", vec![SIDE, SIDE])]).unwrap_or_default();
    let time = |text: &String| {
        let program = parse(text).ok()?;
        let whole = match form {
            Form::Program => program,
            Form::Direction => complete(&program)?,
        };
        let seconds = step_time::seconds(&whole, &layout, EFFORT)?;
        Some(1e9 * seconds / layout.len().max(1) as f64).filter(|time| time.is_finite())
    };
    let mut times = HashMap::with_capacity(programs.len());
    for (hash, text) in programs {
        if cancel.is_cancelled() {
            return Err(DetailError::Cancelled);
        }
        times.insert((*hash).clone(), time(text));
        observe(Progress::Timed { done: times.len() as u64, total: programs.len() as u64 });
    }
    Ok(times)
}
