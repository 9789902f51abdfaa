//! The lineage of a program of a store: every ancestor's mutation with its fitness, from the initial program on.
//!
//! A journal keeps evaluations and no parents, since a search follows from its settings: it is bred again up to the program that is asked
//! for, with the journal's evaluations in place of new ones. No child is trained for that. Only the initial program is, as whenever a
//! search is resumed, since it is no child and has no entry in the journal.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use symopt_dsl::{FunctionalHash, Graph, Profile, Program};
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_proxy_tasks::suite::Fitness;
use symopt_proxy_tasks::task::{TaskError, Verdict};

use crate::config::SearchConfig;
use crate::evolution::{Evolution, Individual};
use crate::journal::{EvaluationRecord, JournalError};
use crate::judge::{self, Request};
use crate::mutation::{Mutation, MutationKind};
use crate::program_source::{ProgramError, find_in_store, find_program, parse_program, store_and_hash};

/// `observe` is called after this many programs bred.
const OBSERVE_EVERY: u64 = 1000;

/// Why a lineage can't be told.
#[derive(Debug, thiserror::Error)]
pub enum LineageError {
    /// The program is not one of a store.
    #[error(
        "{name} is not a program of a search's store, so nothing is known of its ancestors; a program of a store is written STORE:HASH, and \
         `symopt resume STORE` ends with the hash of the best one"
    )]
    NoStore {
        /// The program that was asked for.
        name: String,
    },
    /// The program or the store.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The store's entries.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The suite, which gives the initial program its fitness.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The journal holds something that this search does not breed, or lacks something that it needs.
    #[error("{store}: the store does not belong to this release: {reason}; use the release that began the search")]
    Diverging {
        /// The store.
        store: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// An ancestor, or the program itself.
#[derive(Clone, Debug, Serialize)]
pub struct Ancestor {
    /// Number of the child; `None` for the initial program.
    pub index: Option<u64>,
    /// The program as it was bred.
    #[serde(skip)]
    pub program: Arc<Program>,
    /// Its functional hash.
    #[serde(serialize_with = "as_text")]
    pub hash: FunctionalHash,
    /// Its fitness.
    pub fitness: Fitness,
    /// The mutation that it came from; `None` for the initial program.
    pub change: Option<Change>,
}

/// A mutation, with the statement that it changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Its kind.
    pub kind: MutationKind,
    /// Index of the statement, from 0: in the child for an insertion, in the parent for a deletion, in both for a modification.
    pub statement: usize,
    /// The statement in the parent; `None` for an insertion.
    pub before: Option<String>,
    /// The statement in the child; `None` for a deletion.
    pub after: Option<String>,
    /// Whether the child computes what its parent does: same functional hash.
    pub neutral: bool,
}

fn as_text<S: Serializer>(hash: &FunctionalHash, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(hash)
}

/// A child of the search that is bred again, with its ancestors. It goes when nothing that lives descends from it.
struct Relative {
    index: Option<u64>,
    program: Arc<Program>,
    hash: FunctionalHash,
    /// Its key in the fitness cache.
    key: FunctionalHash,
    fitness: Fitness,
    origin: Option<(Rc<Relative>, Mutation)>,
}

impl Drop for Relative {
    /// One after the other: a lineage may be longer than the stack is deep.
    fn drop(&mut self) {
        let mut next = self.origin.take();
        while let Some((parent, _)) = next {
            next = Rc::into_inner(parent).and_then(|mut parent| parent.origin.take());
        }
    }
}

/// The lineage of a program that is named `STORE:HASH`, the initial program first. `observe` sees how many programs have been bred, and how
/// many there are to breed.
pub fn lineage(name: &str, color: bool, observe: &mut dyn FnMut(u64, u64)) -> Result<Vec<Ancestor>, LineageError> {
    let Some((path, digits)) = store_and_hash(name) else {
        // What is no program at all is told first.
        if name != "-" {
            find_program(name, color)?;
        }
        return Err(LineageError::NoStore { name: if name == "-" { "the standard input".to_owned() } else { name.to_owned() } });
    };
    let (store, wanted) = find_in_store(path, digits, color)?;
    let settings = store.settings();
    let initial = parse_program("the store's initial program", &settings.initial, color)?;
    let suite = SuiteSource { name: settings.config.suite.clone(), text: settings.suite.clone() }.suite()?;
    let judge = judge::of_config(&settings.config, &Arc::new(suite))?;
    let fitness = judge.judge(&Request::new(&initial), &mut |_, _| Verdict::Continue)?.fitness;
    let evaluations = store.evaluations()?;
    trace(&settings.config, initial, fitness, evaluations, wanted.index, observe)
        .map_err(|reason| LineageError::Diverging { store: path.to_owned(), reason })
}

/// Breeds a search again up to child number `wanted`, and gives its lineage: the initial program first, whose fitness must be given, then
/// what its mutations made of it. `evaluations` are the journal's. The error says what the journal has otherwise, or not at all.
pub fn trace(
    config: &SearchConfig,
    initial: Program,
    fitness: Fitness,
    evaluations: Vec<(u64, EvaluationRecord)>,
    wanted: Option<u64>,
    observe: &mut dyn FnMut(u64, u64),
) -> Result<Vec<Ancestor>, String> {
    let hash = Graph::new(&initial).map_err(|_| "its initial program is not well typed".to_owned())?.hash();
    let initial = Arc::new(initial);
    let mut last = Rc::new(Relative { index: None, program: Arc::clone(&initial), hash, key: hash, fitness, origin: None });
    let Some(wanted) = wanted else { return Ok(ancestors(&last)) };

    // Running fitness decides only which evaluations are stopped early, and those have been made.
    let individual = |index, program, hash, fitness| Individual { index, program, hash, key: hash, fitness, curve: Arc::from([]), live: 0, settings: Arc::from([]) };
    let root_program = Arc::clone(&initial);
    let first = individual(None, initial, hash, fitness);
    let mut evolution = Evolution::new(first, Profile::Paper, config, None);
    let records: HashMap<u64, (String, Fitness)> = evaluations.into_iter().map(|(index, r)| (index, (r.hash, r.fitness))).collect();
    // Of each key in the fitness cache, the number of the child that was evaluated and its fitness, if the journal has it.
    let key = evolution.key(hash, &root_program);
    let mut known: HashMap<FunctionalHash, (u64, Option<Fitness>)> = HashMap::from([(key, (0, Some(fitness)))]);
    // The population as far as it is children: the front is the oldest. Whoever is not among them is the initial program.
    let root = Rc::clone(&last);
    let mut children: VecDeque<Rc<Relative>> = VecDeque::new();
    let mut absorbed: u64 = 0;
    let mut under_way = VecDeque::new();
    for index in 0..=wanted {
        if under_way.len() == config.evolution.lag
            && let Some(child) = under_way.pop_front()
        {
            let child: Rc<Relative> = child_with_fitness(child, &known)?;
            evolution.absorb(individual(child.index, Arc::clone(&child.program), child.hash, child.fitness), 0);
            children.push_back(child);
            absorbed += 1;
            if children.len() > config.evolution.population {
                children.pop_front();
            }
        }
        let bred = evolution.breed(index);
        if let Entry::Vacant(new) = known.entry(bred.key) {
            let fitness = match records.get(&index) {
                Some((hash, fitness)) if *hash == bred.hash.to_string() => Some(*fitness),
                Some((hash, _)) => return Err(format!("child {index} has the hash {}, the journal says {hash}", bred.hash)),
                None => None,
            };
            new.insert((index, fitness));
        }
        let oldest = absorbed - children.len() as u64;
        let parent = match bred.parent {
            None => &root,
            Some(parent) => parent.checked_sub(oldest).and_then(|place| children.get(place as usize)).unwrap_or(&root),
        };
        // The fitness is filled in when the child comes in, as in the search.
        under_way.push_back(Relative {
            index: Some(index),
            program: bred.program,
            hash: bred.hash,
            key: bred.key,
            fitness: Fitness::Diverged,
            origin: Some((Rc::clone(parent), bred.mutation)),
        });
        if index.is_multiple_of(OBSERVE_EVERY) {
            observe(index, wanted + 1);
        }
    }
    if let Some(child) = under_way.pop_back() {
        last = child_with_fitness(child, &known)?;
    }
    Ok(ancestors(&last))
}

fn child_with_fitness(mut child: Relative, known: &HashMap<FunctionalHash, (u64, Option<Fitness>)>) -> Result<Rc<Relative>, String> {
    match known.get(&child.key) {
        Some((_, Some(fitness))) => child.fitness = *fitness,
        Some((index, None)) => return Err(format!("the evaluation of child {index} is missing")),
        None => return Err(format!("the evaluation of {} is missing", child.hash)),
    }
    Ok(Rc::new(child))
}

fn ancestors(last: &Rc<Relative>) -> Vec<Ancestor> {
    let mut lineage = Vec::new();
    let mut next = Some(last);
    while let Some(relative) = next {
        lineage.push(Ancestor {
            index: relative.index,
            program: Arc::clone(&relative.program),
            hash: relative.hash,
            fitness: relative.fitness,
            change: relative.origin.as_ref().map(|(parent, mutation)| change(parent, relative, *mutation)),
        });
        next = relative.origin.as_ref().map(|(parent, _)| parent);
    }
    lineage.reverse();
    lineage
}

fn change(parent: &Relative, child: &Relative, mutation: Mutation) -> Change {
    let Mutation { kind, statement } = mutation;
    let text = |program: &Program| program.statements.get(statement).map(|s| program.statement_text(s).to_string());
    Change {
        kind,
        statement,
        before: text(&parent.program).filter(|_| !matches!(kind, MutationKind::Insert | MutationKind::Random)),
        after: text(&child.program).filter(|_| !matches!(kind, MutationKind::Delete | MutationKind::Random)),
        neutral: parent.hash == child.hash,
    }
}
