//! The hall of fame of a store: the programs that no other beats in all of fitness, length and
//! memory at once, and the best of each cell.
//!
//! The objectives are the raw ones, without parsimony and penalty: the fitness over all seeds that a
//! program was judged on, the live statements, the bytes of state for each parameter. A program of
//! the front has more fitness than every other one that is no longer and needs no more state. A
//! [`Cell`] holds programs that are alike in what they keep and how they step. Its fitness values
//! are biased, as the search selected for them: only other seeds tell.
//!
//! It follows from the journal: so it is there while a search runs, and after every restart.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;
use symopt_dsl::graph::Redundancy;
use symopt_dsl::{FunctionalHash, Graph, Program};
use symopt_programs::source;
use symopt_proxy_tasks::suite::Fitness;

use super::checked::CheckedStore;
use super::error::JournalError;
use super::journal::Place;
use super::record::EvaluationRecord;
use crate::behaviour::{Cell, cell, structure};
use crate::judge::evaluation::Evaluation;
use crate::judge::inner_tuning::Setting;

/// Programs that are looked at: so many of the fittest.
pub const CANDIDATES: usize = 10_000;
/// Cells of one count of slots, with or without functions of matrices.
const CELLS: usize = 4;

/// A program of the hall of fame.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// Its place by fitness on the front, from 1: `STORE:PLACE` names the program. In a cell its
    /// place there.
    pub place: usize,
    /// Functional hash.
    pub hash: String,
    /// Number of the child, from 0; `None` for one of the elite that is known by an earlier child's
    /// key.
    pub child: Option<u64>,
    /// The fitness on the search's own seeds, as a share: on all that it was judged on.
    pub fitness: f64,
    /// Its standard error over the seeds.
    pub standard_error: f64,
    /// Seeds.
    pub seeds: u32,
    /// Statements that an output depends on.
    pub live_statements: usize,
    /// Bytes of f32 state for each parameter.
    pub state_bytes: usize,
    /// State slots that matter.
    pub slots: usize,
    /// Whether it has functions of matrices.
    pub matrix: bool,
    /// Whether gradients of the other sign give the update of the other sign.
    pub odd: bool,
    /// Whether gradients of another scale give the same update.
    pub scale_free: bool,
    /// The operator that made it; `None` in a store of an earlier release.
    pub operator: Option<String>,
    /// The functional hash of its parent, which `STORE:HASH` names if it was evaluated under it.
    pub parent: Option<String>,
    /// That of its second parent.
    pub second_parent: Option<String>,
    /// Text.
    pub program: String,
    /// For a direction, where it did best on each task when it was first judged.
    #[serde(skip)]
    pub settings: Vec<Setting>,
}

impl Entry {
    /// Its cell.
    pub fn cell(&self) -> Cell {
        let Entry { slots, matrix, odd, scale_free, .. } = *self;
        Cell { slots, matrix, odd, scale_free }
    }
}

/// A program that was evaluated.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EvaluatedProgram {
    /// Number of the child; `None` for one of the elite on new seeds.
    pub child: Option<u64>,
    /// For one of the elite, the change of the seeds.
    pub epoch: Option<u64>,
    /// Functional hash.
    pub hash: String,
    /// `completed`, `hopeless`, `diverged` or `failed`.
    pub outcome: &'static str,
    /// The fitness as a share, if it completed.
    pub fitness: Option<f64>,
    /// Its standard error over the seeds.
    pub standard_error: f64,
    /// Seeds.
    pub seeds: u32,
    /// The operator that made it; `None` in a store of an earlier release, and for the elite.
    pub operator: Option<String>,
    /// The functional hash of its parent.
    pub parent: Option<String>,
    /// That of its second parent.
    pub second_parent: Option<String>,
    /// Text.
    pub program: String,
}

/// A candidate that is measured.
struct Measured {
    program: Program,
    graph: Graph,
    entry: Entry,
}

/// The front of a store, the fittest first. Among programs that are equal in all objectives the
/// first found stays.
pub fn hall_of_fame(store: &CheckedStore) -> Result<Vec<Entry>, JournalError> {
    let mut front = front(candidates(store)?);
    front.iter_mut().for_each(Measured::look);
    Ok(front.into_iter().map(|measured| measured.entry).collect())
}

/// The best programs of each cell of a store, so many at most, cell by cell and the fittest first.
pub fn cells(store: &CheckedStore, most: usize) -> Result<Vec<Entry>, JournalError> {
    let mut cells: BTreeMap<Cell, Vec<Entry>> = BTreeMap::new();
    for mut measured in candidates(store)? {
        let (slots, matrix) = structure(&measured.graph);
        let full = cells
            .iter()
            .filter(|(cell, held)| {
                (cell.slots, cell.matrix) == (slots, matrix) && held.len() >= most
            })
            .count();
        // Whatever it does, there is no room for it.
        if full == CELLS {
            continue;
        }
        measured.look();
        let held = cells.entry(measured.entry.cell()).or_default();
        if held.len() < most {
            let place = held.len() + 1;
            held.push(Entry { place, ..measured.entry });
        }
    }
    Ok(cells.into_values().flatten().collect())
}

/// Every evaluation of a store with its program, in the order of children and then of the elite.
pub fn all(store: &CheckedStore) -> Result<Vec<EvaluatedProgram>, JournalError> {
    let origins = store.origins()?;
    let mut records = store.records_where(|_, _, _| true)?;
    records.sort_by_key(|(place, _)| *place);
    let evaluated = |(place, record): (Place, EvaluationRecord)| {
        let (child, epoch) = match place {
            Place::Child(number) => (Some(number), None),
            Place::Revision(number) => (None, Some(super::record::epoch_of(number))),
        };
        let origin = child.and_then(|child| origins.get(&child));
        let parent =
            |which: usize| origin.and_then(|o| o.parents[which]).map(|hash| hash.to_string());
        EvaluatedProgram {
            child,
            epoch,
            outcome: outcome(record.fitness),
            fitness: record.fitness.improvement(),
            standard_error: record.standard_error,
            seeds: record.seeds,
            operator: origin.map(|origin| origin.operator.to_string()),
            parent: parent(0),
            second_parent: parent(1),
            hash: record.hash,
            program: record.program,
        }
    };
    Ok(records.into_iter().map(evaluated).collect())
}

/// Names the outcome of an evaluation, in a word.
pub fn outcome(fitness: Fitness) -> &'static str {
    match fitness {
        Fitness::Improvement(_) => "completed",
        Fitness::Hopeless { .. } => "hopeless",
        Fitness::Diverged => "diverged",
        Fitness::Screened => "screened",
        Fitness::Failed => "failed",
    }
}

/// The fittest programs of a store, the fittest first.
fn candidates(store: &CheckedStore) -> Result<Vec<Measured>, JournalError> {
    let known = known(store)?;
    let fitness = |evaluation: &Evaluation| evaluation.fitness.improvement();
    let mut best: Vec<(FunctionalHash, f64)> =
        known.iter().filter_map(|(hash, known)| Some((*hash, fitness(known)?))).collect();
    best.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    best.truncate(CANDIDATES);
    let mut missing: BTreeSet<FunctionalHash> = best.iter().map(|(hash, _)| *hash).collect();
    // Among equal programs the first is kept; a child comes before all of the elite.
    let records = store.records_where(|_, hash, _| missing.remove(&hash))?;
    let origins = store.origins()?;
    let mut measured = measure(records, &known);
    for entry in measured.iter_mut().map(|measured| &mut measured.entry) {
        if let Some(origin) = entry.child.and_then(|child| origins.get(&child)) {
            let [parent, second] = origin.parents.map(|hash| hash.map(|hash| hash.to_string()));
            (entry.operator, entry.parent) = (Some(origin.operator.to_string()), parent);
            entry.second_parent = second;
        }
    }
    measured.sort_by(|a, b| {
        let (a, b) = (&a.entry, &b.entry);
        b.fitness.total_cmp(&a.fitness).then_with(|| a.child.cmp(&b.child))
    });
    Ok(measured)
}

/// Measures programs, in their order, on all processors: thousands of long ones take seconds to
/// parse, and a search that is interrupted shows its front at once.
fn measure(
    records: Vec<(Place, EvaluationRecord)>,
    known: &HashMap<FunctionalHash, Evaluation>,
) -> Vec<Measured> {
    let one = |(place, record): (Place, EvaluationRecord)| {
        let child = match place {
            Place::Child(number) => Some(number),
            Place::Revision(_) => None,
        };
        let hash = FunctionalHash::from_hex(&record.hash)?;
        Measured::of(child, record, known.get(&hash)?)
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = records.len().div_ceil(threads).max(1);
    let mut records = records.into_iter();
    std::thread::scope(|scope| {
        let shares: Vec<_> = (0..threads)
            .map(|_| records.by_ref().take(share).collect::<Vec<_>>())
            .map(|share| scope.spawn(move || share.into_iter().filter_map(one).collect::<Vec<_>>()))
            .collect();
        let join = |share: std::thread::ScopedJoinHandle<'_, Vec<Measured>>| {
            share.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        shares.into_iter().flat_map(join).collect()
    })
}

/// Returns the known evaluation of each program, over all seeds that it was judged on, as the
/// search has it.
fn known(store: &CheckedStore) -> Result<HashMap<FunctionalHash, Evaluation>, JournalError> {
    let mut known: HashMap<FunctionalHash, Evaluation> = HashMap::new();
    store.each_evaluation(|_, hash, evaluation| {
        let again = Evaluation {
            standard_error: evaluation.standard_error,
            seeds: evaluation.seeds,
            ..Evaluation::new(evaluation.fitness, [].into())
        };
        known.entry(hash).and_modify(|old| *old = old.with(&again)).or_insert(again);
    })?;
    Ok(known)
}

impl Measured {
    fn of(
        child: Option<u64>,
        record: EvaluationRecord,
        evaluation: &Evaluation,
    ) -> Option<Measured> {
        let program = source::parse("a program of the store", &record.program).ok()?;
        let graph = Graph::new(&program).ok()?;
        let (slots, matrix) = structure(&graph);
        let entry = Entry {
            place: 0,
            hash: record.hash,
            child,
            fitness: evaluation.fitness.improvement()?,
            standard_error: evaluation.standard_error,
            seeds: evaluation.seeds,
            live_statements: graph.redundancy().iter().filter(|r| **r == Redundancy::Live).count(),
            state_bytes: graph.cost().state_bytes_per_parameter,
            slots,
            matrix,
            odd: false,
            scale_free: false,
            operator: None,
            parent: None,
            second_parent: None,
            program: record.program,
            settings: record.settings,
        };
        Some(Measured { program, graph, entry })
    }

    /// Looks at what it does, which takes longer than all else.
    fn look(&mut self) {
        let Cell { odd, scale_free, .. } = cell(&self.program, &self.graph);
        (self.entry.odd, self.entry.scale_free) = (odd, scale_free);
    }
}

/// Those that nothing before them beats, of candidates the fittest first.
fn front(candidates: Vec<Measured>) -> Vec<Measured> {
    let mut front: Vec<Measured> = Vec::new();
    for mut measured in candidates {
        let is_beaten = front.iter().map(|better| &better.entry).any(|better| {
            better.live_statements <= measured.entry.live_statements
                && better.state_bytes <= measured.entry.state_bytes
        });
        if !is_beaten {
            measured.entry.place = front.len() + 1;
            front.push(measured);
        }
    }
    front
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_beaten_by_one_that_is_no_worse_in_anything() {
        let entry = |fitness, live_statements, state_bytes| {
            let record = EvaluationRecord::new(
                FunctionalHash(1),
                &symopt_programs::adamw().program(),
                &Evaluation::new(Fitness::Improvement(fitness), [].into()),
            );
            let evaluation = record.evaluation();
            let mut measured = Measured::of(None, record, &evaluation).unwrap();
            measured.entry.live_statements = live_statements;
            measured.entry.state_bytes = state_bytes;
            measured
        };
        let kept = front(vec![
            entry(0.5, 9, 8),
            entry(0.4, 9, 8),
            entry(0.3, 12, 4),
            entry(0.2, 6, 8),
            entry(0.1, 7, 8),
            entry(0.0, 6, 4),
        ]);
        let of: Vec<(f64, usize)> =
            kept.iter().map(|kept| (kept.entry.fitness, kept.entry.place)).collect();
        assert_eq!(of, [(0.5, 1), (0.3, 2), (0.2, 3), (0.0, 4)]);
    }
}
