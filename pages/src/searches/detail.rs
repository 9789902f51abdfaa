//! Details of a store that a page shows beyond its report.

use std::collections::HashSet;
use std::path::Path;

use symopt_cancel::CancelToken;
use symopt_dsl::{Graph, parse};
use symopt_search::engine::lineage::{Ancestor, lineage};
use symopt_search::journal::{CheckedStore, JournalError};
use symopt_search::store::hall_of_fame::{self, Entry, EvaluatedProgram, hall_of_fame};
use symopt_studies::report::{Report, StoreReport};

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
    facts: Vec<(String, String)>,
}

/// Evaluations that a page lists, at most: more would take more time to open than people have.
pub(super) const MOST: usize = 4_000;

impl Detail {
    pub fn read(
        report: &StoreReport,
        cancel: &CancelToken,
        observe: &mut dyn FnMut(u64, u64),
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
                match lineage(&name, cancel, observe) {
                    Ok(lineage) => Ok(lineage),
                    Err(_) if cancel.is_cancelled() => return Err(DetailError::Cancelled),
                    Err(error) => Err(error.to_string()),
                }
            }
        };
        let settings = store.settings();
        let config = &settings.config;
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
            facts: facts.map(|(name, value)| (name.to_owned(), value)).to_vec(),
            front,
        })
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
