//! The hall of fame of a store: the programs that no other beats in all of fitness, length and
//! memory at once.
//!
//! The objectives are the raw ones, without parsimony and penalty: the fitness over all seeds that a
//! program was judged on, the live statements, the bytes of state for each parameter. A program of
//! the front has more fitness than every other one that is no longer and needs no more state. What
//! the front says of fitness is biased, as the search selected for it: only other seeds tell.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use symopt_dsl::graph::Redundancy;
use symopt_dsl::{FunctionalHash, Graph};
use symopt_programs::source;
use symopt_proxy_tasks::suite::Fitness;

use super::checked::CheckedStore;
use super::error::JournalError;
use super::journal::Place;
use super::record::EvaluationRecord;

/// Programs that are looked at: so many of the fittest.
pub const CANDIDATES: usize = 10_000;

/// A program of the hall of fame.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// Its place by fitness, from 1: `STORE:PLACE` names the program.
    pub place: usize,
    /// Functional hash.
    pub hash: String,
    /// Number of the child, from 0; `None` for one of the elite that is known by an earlier child's
    /// key.
    pub child: Option<u64>,
    /// The fitness on the search's own seeds, as a share.
    pub fitness: f64,
    /// Its standard error over the seeds.
    pub standard_error: f64,
    /// Seeds.
    pub seeds: u32,
    /// Statements that an output depends on.
    pub live_statements: usize,
    /// Bytes of f32 state for each parameter.
    pub state_bytes: usize,
    /// Text.
    pub program: String,
}

/// The front of a store, the fittest first. Of programs that are equal in all the first found
/// stays.
pub fn hall_of_fame(store: &CheckedStore) -> Result<Vec<Entry>, JournalError> {
    let mut best: Vec<(FunctionalHash, f64)> = latest(store)?.into_iter().collect();
    best.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    best.truncate(CANDIDATES);
    let wanted: BTreeSet<FunctionalHash> = best.into_iter().map(|(hash, _)| hash).collect();
    let records = store.records_where(|_, hash, evaluation| {
        wanted.contains(&hash) && evaluation.fitness.improvement().is_some()
    })?;
    // The last evaluation of a program says most; its place is that of the first.
    let mut entries: BTreeMap<String, (Option<u64>, EvaluationRecord)> = BTreeMap::new();
    for (place, record) in records {
        let child = match place {
            Place::Child(number) => Some(number),
            Place::Revision(_) => None,
        };
        let first = entries.get(&record.hash).and_then(|(first, _)| *first);
        entries.insert(record.hash.clone(), (first.or(child), record));
    }
    let measured = entries.into_values().filter_map(|(child, record)| entry(child, record));
    let mut measured: Vec<Entry> = measured.collect();
    measured.sort_by(|a, b| b.fitness.total_cmp(&a.fitness).then_with(|| a.child.cmp(&b.child)));
    Ok(front(measured))
}

/// The fitness of each program that completed, by the last evaluation.
fn latest(store: &CheckedStore) -> Result<BTreeMap<FunctionalHash, f64>, JournalError> {
    let mut latest = BTreeMap::new();
    store.each_evaluation(|_, hash, evaluation| {
        if let Fitness::Improvement(fitness) = evaluation.fitness {
            latest.insert(hash, fitness);
        }
    })?;
    Ok(latest)
}

fn entry(child: Option<u64>, record: EvaluationRecord) -> Option<Entry> {
    let program = source::parse("a program of the store", &record.program).ok()?;
    let graph = Graph::new(&program).ok()?;
    let fitness = record.fitness.improvement()?;
    Some(Entry {
        place: 0,
        hash: record.hash,
        child,
        fitness,
        standard_error: record.standard_error,
        seeds: record.seeds,
        live_statements: graph.redundancy().iter().filter(|r| **r == Redundancy::Live).count(),
        state_bytes: graph.cost().state_bytes_per_parameter,
        program: record.program,
    })
}

/// Those that nothing before them beats, of entries the fittest first.
fn front(entries: Vec<Entry>) -> Vec<Entry> {
    let mut front: Vec<Entry> = Vec::new();
    for entry in entries {
        let is_beaten = front.iter().any(|better| {
            better.live_statements <= entry.live_statements
                && better.state_bytes <= entry.state_bytes
        });
        if !is_beaten {
            let place = front.len() + 1;
            front.push(Entry { place, ..entry });
        }
    }
    front
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_beaten_by_one_that_is_no_worse_in_anything() {
        let entry = |fitness, live_statements, state_bytes| Entry {
            place: 0,
            hash: String::new(),
            child: None,
            fitness,
            standard_error: 0.0,
            seeds: 1,
            live_statements,
            state_bytes,
            program: String::new(),
        };
        let kept = front(vec![
            entry(0.5, 9, 8),
            entry(0.4, 9, 8),
            entry(0.3, 12, 4),
            entry(0.2, 6, 8),
            entry(0.1, 7, 8),
            entry(0.0, 6, 4),
        ]);
        let of: Vec<(f64, usize)> = kept.iter().map(|entry| (entry.fitness, entry.place)).collect();
        assert_eq!(of, [(0.5, 1), (0.3, 2), (0.2, 3), (0.0, 4)]);
    }
}
