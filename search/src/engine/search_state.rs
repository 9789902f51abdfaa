//! Where a search stands, and the steps that it takes: breed a child, take one in, change the
//! seeds.
//!
//! Each step and its outcome follow from the settings and from the evaluations alone. The engine
//! makes the evaluations, or finds them in the journal; a lineage has them from the journal only.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use symopt_dsl::{FunctionalHash, Graph, Program};
use symopt_proxy_tasks::suite::Fitness;

use crate::config::SearchConfig;
use crate::engine::cache::{FitnessCache, SCREENED};
use crate::engine::evolution::Evolution;
use crate::engine::individual::{Child, Individual};
use crate::engine::mutation::MutationKind;
use crate::engine::operators::OperatorYield;
use crate::engine::proposal::Question;
use crate::journal::{JournalError, Place, Proposal, epoch_of, revision};
use crate::judge::Judge;
use crate::judge::evaluation::Evaluation;
use crate::judge::inner_tuning::Setting;
use crate::store::statistics::Statistics;
use crate::store::{Evaluations, Log, StateReader, StateWriter};

/// The best program of a search so far.
#[derive(Clone, Debug)]
pub struct Best {
    /// The program as it was bred.
    pub program: Arc<Program>,
    /// Its functional hash.
    pub hash: FunctionalHash,
    /// Its fitness.
    pub fitness: Fitness,
    /// Number of the child; `None` for the initial program.
    pub index: Option<u64>,
    /// Its key in the fitness cache.
    pub key: FunctionalHash,
    /// For a direction, where it did best on each task.
    pub settings: Arc<[Setting]>,
}

impl Best {
    fn of(individual: &Individual) -> Best {
        Best {
            program: Arc::clone(&individual.program),
            hash: individual.hash,
            fitness: individual.fitness,
            index: individual.index,
            key: individual.key,
            settings: Arc::clone(&individual.settings),
        }
    }
}

/// Next step of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It breeds a child.
    Breed,
    /// It takes in the child that has been under way the longest.
    Absorb,
    /// It judges the elite on the seeds of an epoch; no child is under way.
    ChangeSeeds(u64),
}

/// A child that was bred and not yet taken in.
pub(crate) struct Pending {
    /// The child.
    pub child: Child,
    /// Its number.
    pub index: u64,
    /// Whether its evaluation is its own, or an earlier program's of the same key.
    pub first: bool,
}

/// Outcome of taking a child in.
pub(crate) struct Absorbed {
    /// Number of the child.
    pub index: u64,
    /// Its functional hash.
    pub hash: FunctionalHash,
    /// Fitness that selection uses.
    pub fitness: Fitness,
    /// Whether it is the best program now.
    pub is_best: bool,
    /// Individual that left the population: the oldest of the island, or the child itself.
    pub gone: Option<Individual>,
}

/// There is no evaluation where one is needed.
#[derive(Debug)]
pub(crate) enum NoEvaluation {
    /// It was never made.
    Missing,
    /// The log can't be read.
    Journal(JournalError),
}

impl From<JournalError> for NoEvaluation {
    fn from(error: JournalError) -> NoEvaluation {
        NoEvaluation::Journal(error)
    }
}

/// A program that a search starts from.
#[derive(Clone, Debug)]
pub(crate) struct Initial {
    pub program: Arc<Program>,
    pub evaluation: Evaluation,
}

/// Where a search stands.
pub(crate) struct SearchState<'a> {
    evolution: Evolution<'a>,
    /// Best initial program that has come in so far.
    initial: Initial,
    cache: FitnessCache,
    pending: VecDeque<Pending>,
    /// Children bred so far.
    bred: u64,
    /// How often the seeds have changed.
    epoch: u64,
    best: Best,
    statistics: Statistics,
    /// Children that had been taken in when the best program was found.
    last_improvement: u64,
    /// A program that becomes the best when it comes in, whatever its fitness.
    target: Option<FunctionalHash>,
    penalty: f64,
    elite: usize,
    rotate: u64,
    lag: usize,
}

impl<'a> SearchState<'a> {
    /// Before the first child. The judge screens and probes programs; `evaluation` is the initial
    /// program's.
    pub fn new(
        config: &SearchConfig,
        target: Option<FunctionalHash>,
        judge: &'a dyn Judge,
        initial: &Arc<Program>,
        others: &[Program],
        graph: &Graph,
        evaluation: Evaluation,
    ) -> SearchState<'a> {
        let penalty = config.fitness.penalty;
        let individual = Individual::initial(initial, graph, &evaluation, penalty);
        let mut best = Best::of(&individual);
        let others = others.iter().cloned().map(Arc::new).collect();
        let mut evolution = Evolution::new(individual, config, Some(judge)).with_others(others);
        let first = Initial { program: Arc::clone(initial), evaluation: evaluation.clone() };
        best.key = evolution.key(best.hash, initial);
        let mut cache = FitnessCache::default();
        cache.insert(best.key, evaluation);
        // After the initial program, which a screen may reject too.
        cache.insert(SCREENED, Evaluation::new(Fitness::Screened, Arc::from([])));
        SearchState {
            evolution,
            initial: first,
            cache,
            pending: VecDeque::new(),
            bred: 0,
            epoch: 0,
            statistics: Statistics::new(best.fitness),
            best,
            last_improvement: 0,
            target,
            penalty,
            elite: config.fitness.elite,
            rotate: config.fitness.rotate,
            lag: config.evolution.lag,
        }
    }

    /// Returns the next step. The programs that the search starts from come in before any is bred
    /// from them. The seeds change between two children, and all that were bred on the old ones
    /// come in before.
    pub fn next(&self) -> Step {
        if self.bred == self.evolution.others() && !self.pending.is_empty() {
            return Step::Absorb;
        }
        let epoch = self.bred.checked_div(self.rotate).unwrap_or(0);
        let changes = epoch > self.epoch;
        if changes && self.pending.is_empty() {
            Step::ChangeSeeds(epoch)
        } else if changes || self.pending.len() >= self.lag {
            Step::Absorb
        } else {
            Step::Breed
        }
    }

    /// Which parents a command is to be asked for the next child of, if one is.
    pub fn question(&self) -> Option<Question> {
        self.evolution.question(self.bred)
    }

    /// Breeds a child, with the answer to the [`question`](SearchState::question), if there is one.
    pub fn breed(&mut self, proposal: Option<&Proposal>) -> &Pending {
        let index = self.bred;
        self.bred += 1;
        let child = self.evolution.breed_with(index, proposal);
        let first = self.cache.claim(child.key);
        self.pending.push_back(Pending { child, index, first });
        &self.pending[self.pending.len() - 1]
    }

    /// The child that has been under way the longest.
    pub fn oldest(&self) -> Option<&Pending> {
        self.pending.front()
    }

    /// The child that was bred last, if it is under way.
    pub fn newest(&self) -> Option<&Pending> {
        self.pending.back()
    }

    /// Takes in the child that has been under way the longest, whose evaluation must be in the
    /// cache. `None` if there is none.
    pub fn absorb(&mut self) -> Result<Option<Absorbed>, NoEvaluation> {
        let Some(Pending { child, .. }) = self.pending.front() else { return Ok(None) };
        let evaluation = self.cache.get(child.key)?.ok_or(NoEvaluation::Missing)?;
        let Some(Pending { child, index, first }) = self.pending.pop_front() else {
            return Ok(None);
        };
        self.statistics.count(child.redundant_share, child.screened, first, evaluation.fitness);
        self.evolution.count(&child, first, evaluation.score(self.penalty));
        let is_target = self.target == Some(child.hash) && self.target != Some(self.best.hash);
        let island = child.island;
        let is_initial = child.mutation.kind == MutationKind::Initial;
        let individual = child.individual(index, &evaluation, self.penalty);
        let (hash, fitness) = (individual.hash, individual.fitness);
        let is_best = fitness.is_better_than(self.best.fitness) || is_target;
        if is_best {
            self.best = Best::of(&individual);
            self.statistics.best = fitness;
            self.last_improvement = self.statistics.generated;
        }
        if is_initial {
            self.evolution.absorb_initial(&individual, index);
            if fitness.is_better_than(self.initial.evaluation.score(self.penalty)) {
                self.initial = Initial { program: individual.program, evaluation };
            }
            return Ok(Some(Absorbed { index, hash, fitness, is_best, gone: None }));
        }
        let gone = self.evolution.absorb(individual, island);
        Ok(Some(Absorbed { index, hash, fitness, is_best, gone }))
    }

    /// The programs that are judged when the seeds change.
    pub fn elite(&self) -> Vec<Best> {
        let mut elite: Vec<Best> =
            self.evolution.elite(self.elite).into_iter().map(Best::of).collect();
        // The best of all may have died of old age.
        if !elite.is_empty() && !elite.iter().any(|program| program.key == self.best.key) {
            elite.push(self.best.clone());
        }
        elite
    }

    /// Changes the seeds. The known evaluation of each elite program and its new one, on the new
    /// seeds, make one fitness.
    pub fn change_seeds(
        &mut self,
        epoch: u64,
        elite: Vec<Best>,
        evaluations: &[Evaluation],
    ) -> Result<(), NoEvaluation> {
        if evaluations.len() < elite.len() {
            return Err(NoEvaluation::Missing);
        }
        let mut best: Option<Best> = None;
        let mut revised = HashMap::with_capacity(elite.len());
        for (program, new) in elite.into_iter().zip(evaluations) {
            let key = program.key;
            let evaluation = self.cache.get(key)?.map_or_else(|| new.clone(), |old| old.with(new));
            let fitness = evaluation.score(self.penalty);
            if best.as_ref().is_none_or(|best| fitness.is_better_than(best.fitness)) {
                best =
                    Some(Best { fitness, settings: Arc::clone(&evaluation.settings), ..program });
            }
            self.cache.insert(key, evaluation.clone());
            revised.insert(key, evaluation);
        }
        self.evolution.revise(&revised, self.penalty);
        if let Some(best) = best {
            self.statistics.best = best.fitness;
            self.best = best;
        }
        self.epoch = epoch;
        Ok(())
    }

    /// Keeps an evaluation, so that those who wait for it can come in.
    pub fn keep(&mut self, key: FunctionalHash, evaluation: Evaluation) {
        self.cache.insert(key, evaluation);
    }

    /// Reads evaluations that are settled from a log.
    pub fn set_log(&mut self, log: &Log) {
        self.cache.set_log(log);
    }

    /// Notes where the log has the evaluation that was kept for a key.
    pub fn settle(&mut self, key: FunctionalHash, offset: u64) {
        self.cache.settle(key, offset);
    }

    /// Whether the programs of a key have an evaluation.
    pub fn has_evaluation(&self, key: FunctionalHash) -> bool {
        self.cache.is_known(key)
    }

    /// Returns the evaluation of a key's programs, if it is known.
    pub fn evaluation(&mut self, key: FunctionalHash) -> Result<Option<Evaluation>, JournalError> {
        self.cache.get(key)
    }

    /// Writes the search state, from which [`SearchState::restore`] makes a search that goes on as
    /// this one does.
    pub fn save(&self, state: &mut StateWriter) {
        let SearchState {
            evolution,
            initial,
            cache,
            pending,
            bred,
            epoch,
            best: Best { program, hash, fitness, index, key, settings },
            statistics,
            last_improvement,
            target,
            // They are settings.
            penalty: _,
            elite: _,
            rotate: _,
            lag: _,
        } = self;
        state.number(*bred);
        state.number(*epoch);
        state.number(*last_improvement);
        state.flag(target.is_some());
        state.hash(target.unwrap_or(FunctionalHash(0)));
        save_statistics(statistics, state);
        state.head(&initial.program);
        state.evaluation(&initial.evaluation);
        state.hash(*hash);
        state.program(program);
        state.evaluation(&Evaluation {
            settings: Arc::clone(settings),
            ..Evaluation::new(*fitness, Arc::from([]))
        });
        state.maybe(*index);
        state.hash(*key);
        state.length(pending.len());
        for Pending { child, index, first } in pending {
            child.save(state);
            state.number(*index);
            state.flag(*first);
        }
        evolution.save(state);
        cache.save(state);
    }

    /// Reads what [`SearchState::save`] wrote, in place of a search that has not bred anything, with
    /// the evaluations of a log. Gives the frame of the log where the evaluations of what comes
    /// then begin; `None` if the state does not fit to the settings or to the log, and then this is
    /// of no use any more.
    pub fn restore(
        &mut self,
        state: &mut StateReader,
        log: &Log,
    ) -> Result<Option<u64>, JournalError> {
        if self.restore_children(state).is_none() {
            return Ok(None);
        }
        let (mut evaluated, mut next) = (0, None);
        self.cache.set_log(log);
        log.each_name(|frame, hash, place, offset| match place {
            Place::Child(number) if number < self.bred => {
                evaluated += 1;
                self.cache.note_logged(self.evolution.key_of_known(hash), offset);
            }
            Place::Revision(number) if epoch_of(number) <= self.epoch => {}
            _ => {
                next.get_or_insert(frame);
            }
        })?;
        let is_whole = self.cache.restore(state).is_some()
            && evaluated == self.evaluations_begun()
            && self.pending.iter().all(|pending| self.cache.is_known(pending.child.key));
        Ok(is_whole.then(|| next.unwrap_or(log.end())))
    }

    fn restore_children(&mut self, state: &mut StateReader) -> Option<()> {
        self.bred = state.number()?;
        self.epoch = state.number()?;
        self.last_improvement = state.number()?;
        let has_target = state.flag()?;
        let target = state.hash()?;
        if self.target != has_target.then_some(target) {
            return None;
        }
        self.statistics = restore_statistics(state)?;
        self.initial = Initial { program: state.head()?, evaluation: state.evaluation()? };
        let hash = state.hash()?;
        let program = state.program(hash)?;
        let Evaluation { fitness, settings, .. } = state.evaluation()?;
        let (index, key) = (state.maybe()?, state.hash()?);
        self.best = Best { program, hash, fitness, index, key, settings };
        for _ in 0..state.length()? {
            let child = Child::restore(state)?;
            let (index, first) = (state.number()?, state.flag()?);
            if child.island >= self.evolution.islands() {
                return None;
            }
            self.pending.push_back(Pending { child, index, first });
        }
        let begin = self.bred.checked_sub(self.pending.len() as u64)?;
        let is_row = (begin..).zip(&self.pending).all(|(index, child)| index == child.index);
        let counts = begin == self.statistics.generated && self.last_improvement <= begin;
        if !is_row || !counts || self.pending.len() > self.lag {
            return None;
        }
        self.evolution.restore(state)
    }

    /// Children bred so far.
    pub fn bred(&self) -> u64 {
        self.bred
    }

    /// How often the seeds have changed.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Children that are programs which the search starts from; the first of these is no child.
    pub fn others(&self) -> u64 {
        self.evolution.others()
    }

    /// Returns the best initial program that has come in so far.
    pub fn initial(&self) -> &Initial {
        &self.initial
    }

    /// The best program.
    pub fn best(&self) -> &Best {
        &self.best
    }

    /// Returns the yields of the operators.
    pub fn yields(&self) -> Vec<OperatorYield> {
        self.evolution.yields()
    }

    /// Counts and rates.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Children that were evaluated, and those under way that will have been.
    pub fn evaluations_begun(&self) -> u64 {
        self.statistics.evaluated
            + self.pending.iter().filter(|pending| pending.first).count() as u64
    }

    /// Children that have come in since the best program was found.
    pub fn since_improvement(&self) -> u64 {
        self.statistics.generated - self.last_improvement
    }

    /// The population.
    pub fn population(&self) -> impl Iterator<Item = &Individual> + Clone {
        self.evolution.population()
    }
}

fn save_statistics(statistics: &Statistics, state: &mut StateWriter) {
    let Statistics {
        generated,
        evaluated,
        screened,
        hopeless,
        diverged,
        failed,
        redundant_sum,
        best,
    } = statistics;
    for count in [generated, evaluated, screened, hopeless, diverged, failed] {
        state.number(*count);
    }
    state.real(*redundant_sum);
    state.fitness(*best);
}

fn restore_statistics(state: &mut StateReader) -> Option<Statistics> {
    Some(Statistics {
        generated: state.number()?,
        evaluated: state.number()?,
        screened: state.number()?,
        hopeless: state.number()?,
        diverged: state.number()?,
        failed: state.number()?,
        redundant_sum: state.real()?,
        best: state.fitness()?,
    })
}

/// The journal has another program where one was bred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Where.
    pub place: Place,
    /// The hash here.
    pub bred: FunctionalHash,
    /// The hash in the journal.
    pub found: FunctionalHash,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} has the hash {}, the journal says {}", self.place, self.bred, self.found)
    }
}

/// An evaluation of the journal, with its offset in the log.
type Entry = (FunctionalHash, Evaluation, u64);

/// Why the journal's evaluation of a program can't be had.
#[derive(Debug)]
pub(crate) enum RecordedError {
    /// It is another program's.
    Mismatch(Mismatch),
    /// The log can't be read.
    Journal(JournalError),
}

impl From<JournalError> for RecordedError {
    fn from(error: JournalError) -> RecordedError {
        RecordedError::Journal(error)
    }
}

/// The evaluations that a journal holds, each to be taken out once, when the program is bred that
/// it belongs to.
///
/// They are read as they are needed, and few are held at a time. Child j is bred after all up to j -
/// lag have come in, whose evaluations were acknowledged before that: so once one of a child j is
/// read, all of children up to j - lag have been, as far as they are there. When the seeds change
/// no child is under way: all of an epoch's revisions come before its first child.
pub(crate) struct Recorded {
    evaluations: Option<Evaluations>,
    lag: u64,
    /// Children before this one may have been read.
    reach: u64,
    /// Children before this one are not wanted.
    begin: u64,
    end: u64,
    children: HashMap<u64, Entry>,
    revisions: HashMap<u64, Entry>,
    rotate: u64,
}

impl Recorded {
    /// The evaluations of a log, with the number after the last child that was evaluated.
    pub fn new(log: &Log, end: u64, config: &SearchConfig) -> Recorded {
        Recorded {
            evaluations: Some(log.evaluations()),
            lag: config.evolution.lag as u64,
            reach: 0,
            begin: 0,
            end,
            children: HashMap::new(),
            revisions: HashMap::new(),
            rotate: config.fitness.rotate,
        }
    }

    /// The same of children from one of a number on, whose evaluations stand in frames from an
    /// offset on.
    pub fn pass_over(&mut self, log: &Log, begin: u64, frame: u64) {
        self.evaluations = Some(log.evaluations_from(frame));
        self.begin = begin;
    }

    /// The number after the last child that was evaluated.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The evaluation of a child, if the journal has it, with its offset in the log.
    pub fn child(
        &mut self,
        index: u64,
        hash: FunctionalHash,
    ) -> Result<Option<(Evaluation, u64)>, RecordedError> {
        while !self.children.contains_key(&index)
            && self.reach <= index.saturating_add(self.lag)
            && self.read()?
        {}
        checked(self.children.remove(&index), Place::Child(index), hash)
    }

    /// The evaluation of a program of the elite, likewise.
    pub fn revision(
        &mut self,
        epoch: u64,
        rank: usize,
        hash: FunctionalHash,
    ) -> Result<Option<Evaluation>, RecordedError> {
        let number = revision(epoch, rank);
        let first = epoch.saturating_mul(self.rotate);
        while !self.revisions.contains_key(&number) && self.reach <= first && self.read()? {}
        // Remaining revisions of earlier epochs belong to no program of this search.
        self.revisions.retain(|number, _| epoch_of(*number) >= epoch);
        Ok(checked(self.revisions.remove(&number), Place::Revision(number), hash)?
            .map(|(evaluation, _)| evaluation))
    }

    /// Reads one more. False if there is none.
    fn read(&mut self) -> Result<bool, JournalError> {
        let Some(evaluations) = &mut self.evaluations else { return Ok(false) };
        let Some(logged) = evaluations.next()? else {
            self.evaluations = None;
            return Ok(false);
        };
        let entry = (logged.hash, logged.evaluation, logged.offset);
        match logged.place {
            Place::Child(index) => {
                self.reach = self.reach.max(index.saturating_add(1));
                if index >= self.begin {
                    self.children.insert(index, entry);
                }
            }
            Place::Revision(number) => {
                self.revisions.insert(number, entry);
            }
        }
        Ok(true)
    }

    /// Evaluations that are at hand.
    #[cfg(test)]
    pub fn at_hand(children: Vec<(u64, crate::journal::EvaluationRecord)>) -> Recorded {
        let entry = |(number, record): (u64, crate::journal::EvaluationRecord)| {
            (number, (FunctionalHash::from_hex(&record.hash).unwrap(), record.evaluation(), 0))
        };
        Recorded {
            evaluations: None,
            lag: 0,
            reach: 0,
            begin: 0,
            end: 0,
            children: children.into_iter().map(entry).collect(),
            revisions: HashMap::new(),
            rotate: 0,
        }
    }
}

fn checked(
    entry: Option<Entry>,
    place: Place,
    bred: FunctionalHash,
) -> Result<Option<(Evaluation, u64)>, RecordedError> {
    match entry {
        Some((found, ..)) if found != bred => {
            Err(RecordedError::Mismatch(Mismatch { place, bred, found }))
        }
        entry => Ok(entry.map(|(_, evaluation, offset)| (evaluation, offset))),
    }
}
