//! The lineage of a program of a store: every ancestor's mutation with its fitness, from the
//! initial program on, or from the one of several that it descends from.
//!
//! A journal keeps evaluations and no parents, since a search follows from its settings: it is bred
//! again up to the program that is asked for, with the journal's evaluations in place of new ones.
//! No child is trained for that. Only the initial program is, as whenever a search is resumed,
//! since it is no child and has no entry in the journal, unless a task is external.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use symopt_cancel::CancelToken;
use symopt_dsl::{FunctionalHash, Graph, Program};
use symopt_programs::source;
use symopt_proxy_tasks::error::TaskError;
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_proxy_tasks::suite::{BaselineOrigin, Fitness};
use symopt_proxy_tasks::task::Verdict;

use crate::config::SearchConfig;
use crate::engine::individual::Parent;
use crate::engine::mutation::{Mutation, MutationKind};
use crate::engine::search_state::{
    NoEvaluation, Pending, Recorded, RecordedError, SearchState, Step,
};
use crate::journal::{CheckedStore, JournalError, Place, Proposal, revision};
use crate::judge::evaluation::Evaluation;
use crate::judge::{self, Judge, Request};
use crate::store::Log;
use crate::store::program_source::{
    Bred, ProgramError, find_in_store, find_program, others_of, store_and_hash,
};

/// `observe` is called after this many programs bred.
const OBSERVE_EVERY: u64 = 1000;

/// Why a lineage can't be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
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
    /// The journal holds something that this search does not breed, or lacks something that it
    /// needs.
    #[error(
        "{store}: the store does not belong to this release: {reason}; use the release that began the search"
    )]
    Diverging {
        /// The store.
        store: PathBuf,
        /// Description of the fault.
        reason: String,
    },
}

/// An ancestor, or the program itself.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Ancestor {
    /// Number of the child; `None` for the initial program, the first one of several.
    pub index: Option<u64>,
    /// The program as it was bred.
    #[serde(skip)]
    pub program: Arc<Program>,
    /// Its functional hash.
    #[serde(serialize_with = "as_text")]
    pub hash: FunctionalHash,
    /// Its fitness when it came in.
    pub fitness: Fitness,
    /// The mutation that it came from; `None` for an initial program.
    pub change: Option<Change>,
}

/// A mutation, with the statement that it changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Change {
    /// Its kind.
    pub kind: MutationKind,
    /// Index of the statement, from 0: in the child for an insertion, in the parent for a deletion,
    /// in both for a modification, in the child for a crossover, where it reads the block.
    pub statement: usize,
    /// The statement in the parent; `None` for an insertion.
    pub before: Option<String>,
    /// The statement in the child; `None` for a deletion.
    pub after: Option<String>,
    /// Whether the child computes what its parent does: same functional hash.
    pub neutral: bool,
    /// The second parent, of a crossover and of a proposal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second: Option<SecondParent>,
}

/// A parent beside the one that a lineage leads to.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SecondParent {
    /// Number of the child; `None` for the initial program.
    pub index: Option<u64>,
    /// Its functional hash: `STORE:HASH` names it.
    #[serde(serialize_with = "as_text")]
    pub hash: FunctionalHash,
    /// Statements that the child has more than its parent.
    pub statements: usize,
}

fn as_text<S: Serializer>(hash: &FunctionalHash, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(hash)
}

/// A child of the search that is bred again, with its ancestors. It goes when nothing that lives
/// descends from it.
struct Relative {
    index: Option<u64>,
    program: Arc<Program>,
    hash: FunctionalHash,
    fitness: Fitness,
    origin: Option<(Rc<Relative>, Mutation, Option<Parent>)>,
}

impl Drop for Relative {
    /// One after the other: a lineage may be longer than the stack is deep.
    fn drop(&mut self) {
        let mut next = self.origin.take();
        while let Some((parent, ..)) = next {
            next = Rc::into_inner(parent).and_then(|mut parent| parent.origin.take());
        }
    }
}

/// Where the constants of AdamW come from, which the fitness of a program that is named
/// `STORE:HASH` was measured against.
pub fn baseline_origin(name: &str) -> Result<BaselineOrigin, LineageError> {
    let Some((path, _)) = store_and_hash(name) else {
        return Err(LineageError::NoStore { name: name.to_owned() });
    };
    let store = CheckedStore::of(path)?;
    let settings = store.settings();
    Ok(SuiteSource { name: settings.config.suite.clone(), text: settings.suite.clone() }
        .suite()?
        .baseline_origin())
}

/// The lineage of a program that is named `STORE:HASH`, the initial program first. `observe` sees
/// how many programs have been bred, and how many there are to breed.
pub fn lineage(
    name: &str,
    cancel: &CancelToken,
    observe: &mut dyn FnMut(u64, u64),
) -> Result<Vec<Ancestor>, LineageError> {
    let Some((path, digits)) = store_and_hash(name) else {
        // A name that is no program at all is reported first.
        if name != "-" {
            find_program(name)?;
        }
        return Err(LineageError::NoStore {
            name: if name == "-" { "the standard input".to_owned() } else { name.to_owned() },
        });
    };
    let (store, wanted) = find_in_store(path, digits)?;
    let settings = store.settings();
    let initial = source::parse("the store's initial program", &settings.initial)
        .map_err(ProgramError::from)?;
    let suite = SuiteSource { name: settings.config.suite.clone(), text: settings.suite.clone() }
        .suite()?;
    let suite = Arc::new(suite);
    let judge = judge::with_baselines(&settings.config, &suite, store.baselines()?, cancel)?;
    let journal = Recorded::new(store.log(), store.children(), &settings.config);
    let evaluation = store.initial()?.map(|kept| kept.evaluation());
    let origin = Origin {
        config: &settings.config,
        initial,
        others: others_of(settings)?,
        proposals: store.proposals()?.into_iter().collect(),
        evaluation,
        judge: judge.as_ref(),
        log: Some(store.log()),
    };
    let wanted = (wanted.bred, wanted.hash.as_str());
    trace(origin, journal, wanted, cancel, observe).map_err(|error| match error {
        TraceError::Task(error) => LineageError::Task(error),
        TraceError::Journal(error) => LineageError::Journal(error),
        TraceError::Diverging(reason) => LineageError::Diverging { store: path.to_owned(), reason },
    })
}

/// Everything that a search follows from.
struct Origin<'a> {
    config: &'a SearchConfig,
    initial: Program,
    /// Further programs that it starts from.
    others: Vec<Program>,
    /// Answers of a command that was asked for children, by the child's number.
    proposals: HashMap<u64, Proposal>,
    /// Its evaluation, if it was kept.
    evaluation: Option<Evaluation>,
    judge: &'a dyn Judge,
    /// Evaluations that were read are read again from there when they are needed again.
    log: Option<&'a Log>,
}

/// Why a search can't be bred again.
#[derive(Debug)]
enum TraceError {
    Task(TaskError),
    Journal(JournalError),
    /// Description of a record that the journal lacks or has differently.
    Diverging(String),
}

impl From<JournalError> for TraceError {
    fn from(error: JournalError) -> TraceError {
        TraceError::Journal(error)
    }
}

impl From<RecordedError> for TraceError {
    fn from(error: RecordedError) -> TraceError {
        match error {
            RecordedError::Mismatch(mismatch) => TraceError::Diverging(mismatch.to_string()),
            RecordedError::Journal(error) => TraceError::Journal(error),
        }
    }
}

/// Breeds a search again up to the program that is wanted, told by where it comes from and by its
/// hash, and gives its lineage: the initial program first, then what its mutations made of it.
fn trace(
    origin: Origin,
    mut journal: Recorded,
    (wanted, wanted_hash): (Bred, &str),
    cancel: &CancelToken,
    observe: &mut dyn FnMut(u64, u64),
) -> Result<Vec<Ancestor>, TraceError> {
    let Origin { config, initial, others, mut proposals, evaluation, judge, log } = origin;
    let diverging = |reason: String| TraceError::Diverging(reason);
    let graph = Graph::new(&initial)
        .map_err(|_| diverging("its initial program is not well typed".to_owned()))?;
    let initial = Arc::new(initial);
    let evaluation = match evaluation {
        Some(kept) => kept,
        None => judge
            .judge(&Request::new(&initial), cancel, &mut |_, _| Verdict::Continue)
            .map_err(TraceError::Task)?,
    };
    let fitness = evaluation.fitness;
    let root = Rc::new(Relative {
        index: None,
        program: Arc::clone(&initial),
        hash: graph.hash(),
        fitness,
        origin: None,
    });
    let (most, by_hash) = match wanted {
        Bred::Initial => return Ok(ancestors(&root)),
        Bred::Child(index) => (index.saturating_add(1), false),
        // It was there when the seeds changed.
        Bred::Elite(epoch) => (epoch.saturating_mul(config.fitness.rotate), true),
    };
    let wanted_hash = u128::from_str_radix(wanted_hash, 16).ok().map(FunctionalHash);
    let is_wanted = |relative: &Relative| !by_hash || Some(relative.hash) == wanted_hash;

    // Which program is the target decides when a search ends, and nothing else.
    let mut search_state =
        SearchState::new(config, None, judge, &initial, &others, &graph, evaluation);
    if let Some(log) = log {
        search_state.set_log(log);
    }
    let no_evaluation = |error, reason: String| match error {
        NoEvaluation::Missing => diverging(reason),
        NoEvaluation::Journal(error) => TraceError::Journal(error),
    };
    // The population, as far as it is children, and the children under way.
    let mut population: HashMap<u64, Rc<Relative>> = HashMap::new();
    let mut pending: VecDeque<Relative> = VecDeque::new();
    while search_state.bred() < most && !(by_hash && pending.back().is_some_and(is_wanted)) {
        match search_state.next() {
            Step::Breed => {
                let proposal = match search_state.question() {
                    None => None,
                    Some(question) => Some(proposals.remove(&question.child).ok_or_else(|| {
                        diverging(format!("the proposal of child {} is missing", question.child))
                    })?),
                };
                let Pending { child, index, first } = search_state.breed(proposal.as_ref());
                let parent =
                    child.parent.and_then(|parent| population.get(&parent)).unwrap_or(&root);
                let (index, key, hash) = (*index, child.key, child.hash);
                // The fitness is filled in when it is known.
                pending.push_back(Relative {
                    index: Some(index),
                    program: Arc::clone(&child.program),
                    hash,
                    fitness: Fitness::Diverged,
                    origin: (child.mutation.kind != MutationKind::Initial)
                        .then(|| (Rc::clone(parent), child.mutation, child.parents[1])),
                });
                if *first && let Some((evaluation, offset)) = journal.child(index, hash)? {
                    search_state.keep(key, evaluation);
                    search_state.settle(key, offset);
                }
                if index.is_multiple_of(OBSERVE_EVERY) {
                    observe(index, most);
                }
            }
            Step::Absorb => {
                // Whoever has the evaluation of its own comes in before those that share it.
                let oldest =
                    search_state.oldest().map(|Pending { child, index, .. }| (child.key, *index));
                let evaluation =
                    oldest.map(|(key, _)| search_state.evaluation(key)).transpose()?.flatten();
                let fitness = evaluation.map(|evaluation| evaluation.fitness);
                let number = oldest.map_or(0, |(_, index)| index);
                let missing = |error| {
                    no_evaluation(error, format!("the evaluation of child {number} is missing"))
                };
                let absorbed = search_state.absorb().map_err(missing)?;
                if let (Some(absorbed), Some(mut relative), Some(fitness)) =
                    (absorbed, pending.pop_front(), fitness)
                {
                    relative.fitness = fitness;
                    population.insert(absorbed.index, Rc::new(relative));
                    // Copies of an initial program leave one after the other, so it is never
                    // removed.
                    let gone = absorbed.gone.and_then(|gone| gone.index);
                    if let Some(index) = gone.filter(|index| *index >= search_state.others()) {
                        population.remove(&index);
                    }
                }
            }
            Step::ChangeSeeds(epoch) => {
                let elite = search_state.elite();
                let evaluations: Vec<Evaluation> = elite
                    .iter()
                    .enumerate()
                    .map(|(rank, program)| {
                        let known = journal.revision(epoch, rank, program.hash)?;
                        known.ok_or_else(|| {
                            diverging(format!(
                                "the evaluation of {} is missing",
                                Place::Revision(revision(epoch, rank))
                            ))
                        })
                    })
                    .collect::<Result<_, TraceError>>()?;
                let missing = |error| {
                    no_evaluation(
                        error,
                        format!(
                            "evaluations of the elite at change {epoch} of the seeds are missing"
                        ),
                    )
                };
                search_state.change_seeds(epoch, elite, &evaluations).map_err(missing)?;
            }
        }
    }
    // The requested child was bred last.
    let number = search_state.newest().map_or(0, |pending| pending.index);
    let missing = || diverging(format!("the evaluation of child {number} is missing"));
    let key = search_state.newest().map(|pending| pending.child.key);
    let fitness = key
        .map(|key| search_state.evaluation(key))
        .transpose()?
        .flatten()
        .ok_or_else(missing)?
        .fitness;
    let mut last = pending.pop_back().filter(is_wanted).ok_or_else(missing)?;
    last.fitness = fitness;
    Ok(ancestors(&Rc::new(last)))
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
            change: relative
                .origin
                .as_ref()
                .map(|(parent, mutation, second)| change(parent, relative, *mutation, *second)),
        });
        next = relative.origin.as_ref().map(|(parent, ..)| parent);
    }
    lineage.reverse();
    lineage
}

fn change(
    parent: &Relative,
    child: &Relative,
    mutation: Mutation,
    second: Option<Parent>,
) -> Change {
    let Mutation { kind, statement } = mutation;
    let text = |program: &Program, statement: usize| {
        if kind == MutationKind::Proposal {
            return None;
        }
        program.statements.get(statement).map(|s| program.statement_text(s).to_string())
    };
    let added = child.program.statements.len().saturating_sub(parent.program.statements.len());
    let in_parent = match kind {
        // The block stands before it.
        MutationKind::Crossover => statement.saturating_sub(added),
        _ => statement,
    };
    Change {
        kind,
        statement,
        before: text(&parent.program, in_parent)
            .filter(|_| !matches!(kind, MutationKind::Insert | MutationKind::Random)),
        after: text(&child.program, statement)
            .filter(|_| !matches!(kind, MutationKind::Delete | MutationKind::Random)),
        neutral: parent.hash == child.hash,
        second: second.map(|Parent { index, hash, .. }| SecondParent {
            index,
            hash,
            statements: added,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::evolution::Evolution;
    use crate::engine::individual::Individual;
    use crate::journal::EvaluationRecord;

    /// Gives every program the same fitness.
    struct Indifferent;

    impl Judge for Indifferent {
        fn checkpoints(&self) -> usize {
            1
        }

        fn judge(
            &self,
            _: &Request,
            _: &CancelToken,
            _: &mut dyn FnMut(usize, f64) -> Verdict,
        ) -> Result<Evaluation, TaskError> {
            Ok(evaluation())
        }
    }

    fn evaluation() -> Evaluation {
        Evaluation::new(Fitness::Improvement(0.0), Arc::from([]))
    }

    fn initial() -> Program {
        symopt_dsl::parse("def f(w, g, lr):\n  x = lr * 0.5\n  update = g * lr\n  return update")
            .unwrap()
    }

    /// In a population of one every child descends from all before it.
    fn config() -> SearchConfig {
        let mut config = SearchConfig { seed: 4, ..SearchConfig::default() };
        (config.evolution.population, config.evolution.lag) = (1, 1);
        (config.mutation.insert, config.mutation.delete) = (0.0, 0.0);
        config
    }

    /// Returns the evaluations that the journal of a search would hold if it evaluated every child.
    fn evaluations(children: u64) -> Vec<(u64, EvaluationRecord)> {
        let initial = Arc::new(initial());
        let first =
            Individual::initial(&initial, &Graph::new(&initial).unwrap(), &evaluation(), 0.0);
        let mut evolution = Evolution::new(first, &config(), None);
        let child = |index| {
            let child = evolution.breed(index);
            let record = EvaluationRecord::new(child.hash, &initial, &evaluation());
            evolution.absorb(child.individual(index, &evaluation(), 0.0), 0);
            (index, record)
        };
        (0..children).map(child).collect()
    }

    fn trace_of(
        evaluations: Vec<(u64, EvaluationRecord)>,
        wanted: u64,
        observe: &mut dyn FnMut(u64, u64),
    ) -> Result<Vec<Ancestor>, String> {
        let (config, recorded) = (config(), Recorded::at_hand(evaluations));
        let origin = Origin {
            config: &config,
            initial: initial(),
            others: Vec::new(),
            proposals: HashMap::new(),
            evaluation: None,
            judge: &Indifferent,
            log: None,
        };
        let traced =
            trace(origin, recorded, (Bred::Child(wanted), ""), &CancelToken::new(), observe);
        traced.map_err(|error| match error {
            TraceError::Diverging(reason) => reason,
            TraceError::Task(error) => panic!("{error}"),
            TraceError::Journal(error) => panic!("{error}"),
        })
    }

    #[test]
    fn a_lineage_longer_than_the_stack_is_deep_is_told() {
        const CHILDREN: u64 = 60_000;
        let mut observed = 0;
        let lineage =
            trace_of(evaluations(CHILDREN), CHILDREN - 1, &mut |done, _| observed = done).unwrap();
        assert_eq!(lineage.len() as u64, CHILDREN + 1);
        assert!(
            lineage
                .iter()
                .skip(1)
                .enumerate()
                .all(|(i, ancestor)| ancestor.index == Some(i as u64))
        );
        assert!(observed > CHILDREN / 2);
    }

    #[test]
    fn a_journal_with_another_evaluation_or_without_one_is_refused() {
        let whole = evaluations(50);
        let hash = |index: usize| whole[index].1.hash.clone();
        // The first whose hash is new.
        let at =
            (1..50).find(|i| hash(*i) != hash(0) && (0..*i).all(|j| hash(j) != hash(*i))).unwrap();
        let mut lacking = whole.clone();
        lacking.remove(at);
        let error = trace_of(lacking, 49, &mut |_, _| {}).unwrap_err();
        assert!(error.contains(&format!("the evaluation of child {at} is missing")), "{error}");
        let mut other = whole.clone();
        other[at].1 = whole[at - 1].1.clone();
        let error = trace_of(other, 49, &mut |_, _| {}).unwrap_err();
        assert!(error.contains(&format!("child {at} has the hash {}", hash(at))), "{error}");
    }
}
