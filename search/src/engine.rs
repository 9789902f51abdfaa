//! The search: breeds on one thread, evaluates on many, and is the same for any number of them.
//!
//! Child i is bred from the population as it stands after the results of children up to i - L, for a fixed lag L: before breeding it, the search
//! waits for child i - L and takes it in. Up to L children are under way, which keeps all workers busy, and nothing depends on which of them is
//! done first. An evaluation counts only once it is in the journal. A search is resumed by breeding everything again, with the journal's
//! evaluations in place of new ones, which takes a few microseconds for each program.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use symopt_dsl::{FunctionalHash, Graph, Profile, Program};
use symopt_proxy_tasks::suite::Fitness;
use symopt_proxy_tasks::task::{TaskError, Verdict};

use crate::cache::{Evaluation, FitnessCache, SCREENED};
use crate::config::{SearchConfig, TargetFitness};
use crate::evolution::{Child, Evolution, Individual};
use crate::hurdle::{Hurdle, Thresholds};
use crate::inner_tuning::Setting;
use crate::journal::{EvaluationRecord, Improvement, Journal, JournalError, Place, revision};
use crate::judge::{Judge, Request};
use crate::statistics::{self, Statistics};
use crate::stop_reason::StopReason;

/// Evaluations that are written to the journal with one flush, while there is enough to do. It changes no result.
const FLUSH_TOGETHER: usize = 16;

/// Why a search failed.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A task.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The initial program.
    #[error("the initial program is not well typed")]
    Initial,
    /// The journal holds something that this search does not breed.
    #[error(
        "the journal does not belong to this release: child {index} has the hash {bred}, the journal says {found}; resume it with the release that \
         began it"
    )]
    Diverging {
        /// Number of the child.
        index: u64,
        /// Its hash here.
        bred: FunctionalHash,
        /// Its hash in the journal.
        found: String,
    },
    /// A worker thread died.
    #[error("an evaluation failed inside; please report this with the store")]
    Worker,
}

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

/// How a search stands.
#[derive(Clone, Debug)]
pub struct Progress<'a> {
    /// Counts and rates.
    pub statistics: &'a Statistics,
    /// The best program.
    pub best: &'a Best,
    /// Time since the search began or was resumed.
    pub elapsed: Duration,
    /// Children that were bred again from the journal.
    pub replayed: u64,
}

/// The end of a search.
#[derive(Clone, Debug)]
pub struct SearchResult {
    /// Why it ended.
    pub stop: StopReason,
    /// The program that the search started from.
    pub initial: Arc<Program>,
    /// The best program.
    pub best: Best,
    /// Counts and rates.
    pub statistics: Statistics,
    /// Time since the search began or was resumed.
    pub elapsed: Duration,
    /// Time that the workers spent in evaluations, all together.
    pub evaluating: Duration,
    /// The population at the end, fittest first.
    pub population: Vec<Individual>,
}

/// A search that is set up.
pub struct Search<'a> {
    config: SearchConfig,
    judge: &'a dyn Judge,
    journal: &'a mut Journal,
    threads: usize,
    /// Programs whose hash ends the search.
    target: Option<FunctionalHash>,
}

impl<'a> Search<'a> {
    /// A search over a journal, new or resumed. Its settings are the journal's; the limits may be other ones.
    pub fn new(
        config: SearchConfig,
        target: Option<FunctionalHash>,
        judge: &'a dyn Judge,
        journal: &'a mut Journal,
        threads: usize,
    ) -> Search<'a> {
        Search { config, judge, journal, threads: threads.max(1), target }
    }

    /// Searches until a limit is reached or `interrupt` is set. `observe` is called often, on this thread.
    pub fn run(self, initial: Program, interrupt: &AtomicBool, observe: &mut dyn FnMut(&Progress)) -> Result<SearchResult, SearchError> {
        let graph = Graph::new(&initial).map_err(|_| SearchError::Initial)?;
        let initial = Arc::new(initial);
        let evaluation = self.judge.judge(&Request::new(&initial), &mut |_, _| Verdict::Continue)?;
        let individual = Individual::initial(&initial, &graph, &evaluation, self.config.fitness.penalty);
        let mut best = Best::of(&individual);
        let mut evolution = Evolution::new(individual, Profile::Paper, &self.config, Some(self.judge));
        best.key = evolution.key(best.hash, &initial);
        let mut cache = FitnessCache::default();
        cache.insert(SCREENED, Evaluation::new(Fitness::Screened, Arc::from([])));
        cache.insert(best.key, evaluation);
        let known: HashMap<u64, EvaluationRecord> = self.journal.evaluations()?.into_iter().collect();
        let known_revisions: HashMap<u64, EvaluationRecord> = self.journal.revisions()?.into_iter().collect();
        let replayed_to = known.keys().max().map_or(0, |last| last + 1);

        let queue = Queue::default();
        let abort = AtomicBool::new(false);
        let (sender, receiver) = channel();
        let judge = self.judge;
        std::thread::scope(|scope| {
            let _close = CloseOnDrop { queue: &queue, abort: &abort };
            for _ in 0..self.threads {
                let sender = sender.clone();
                let (queue, abort) = (&queue, &abort);
                scope.spawn(move || work(queue, judge, abort, &sender));
            }
            drop(sender);
            let statistics = Statistics::new(best.fitness);
            let mut running = Running {
                hurdle: Hurdle::new(self.config.hurdle.clone(), self.judge.checkpoints()),
                config: self.config,
                target: self.target,
                journal: self.journal,
                evolution,
                cache,
                known,
                known_revisions,
                revisions: HashMap::new(),
                epoch: 0,
                replayed_to,
                threads: self.threads,
                queue: &queue,
                receiver,
                under_way: VecDeque::new(),
                finished: Vec::new(),
                evaluating: Duration::ZERO,
                best,
                statistics,
                last_improvement: 0,
                begin: Instant::now(),
                interrupt,
            };
            let stop = running.run(observe)?;
            running.finish(stop, initial)
        })
    }
}

/// A child that was bred and not yet taken in.
struct UnderWay {
    child: Child,
    /// Whether its evaluation is its own, or an earlier child's of the same hash.
    first: bool,
}

/// A search that runs.
struct Running<'a> {
    config: SearchConfig,
    target: Option<FunctionalHash>,
    journal: &'a mut Journal,
    evolution: Evolution<'a>,
    hurdle: Hurdle,
    cache: FitnessCache,
    /// Evaluations that the journal held at the start.
    known: HashMap<u64, EvaluationRecord>,
    /// Evaluations of the elite that the journal held at the start.
    known_revisions: HashMap<u64, EvaluationRecord>,
    /// Evaluations of the elite that have ended in this epoch.
    revisions: HashMap<u64, Evaluation>,
    /// How often the seeds have changed.
    epoch: u64,
    replayed_to: u64,
    threads: usize,
    queue: &'a Queue,
    receiver: Receiver<Finished>,
    under_way: VecDeque<UnderWay>,
    /// Evaluations that have ended and are not yet in the journal.
    finished: Vec<(Place, EvaluationRecord)>,
    evaluating: Duration,
    best: Best,
    statistics: Statistics,
    last_improvement: u64,
    begin: Instant,
    interrupt: &'a AtomicBool,
}

impl Running<'_> {
    fn run(&mut self, observe: &mut dyn FnMut(&Progress)) -> Result<StopReason, SearchError> {
        let mut index = 0;
        loop {
            if let Some(stop) = self.limit_reached(index) {
                // What is under way still counts, unless somebody wants the end now.
                let wait = !matches!(stop, StopReason::Interrupted | StopReason::Seconds);
                while wait && !self.under_way.is_empty() {
                    if !self.absorb_next()? {
                        return Ok(StopReason::Interrupted);
                    }
                    self.observe(observe);
                }
                return Ok(stop);
            }
            let rotate = self.config.fitness.rotate;
            if rotate > 0 && index / rotate > self.epoch {
                // The seeds change between two children: all that were bred on the old ones come in before.
                if !self.under_way.is_empty() {
                    if !self.absorb_next()? {
                        return Ok(StopReason::Interrupted);
                    }
                    self.observe(observe);
                    continue;
                }
                if !self.change_seeds(index / rotate)? {
                    return Ok(StopReason::Interrupted);
                }
                continue;
            }
            if self.under_way.len() == self.config.evolution.lag {
                if !self.absorb_next()? {
                    return Ok(StopReason::Interrupted);
                }
                self.observe(observe);
                // A limit may have been reached by the child that came in.
                if self.limit_reached(index).is_some() {
                    continue;
                }
            }
            self.breed(index)?;
            index += 1;
        }
    }

    /// A limit that is reached, judged by what has been taken in before child `index` is bred.
    fn limit_reached(&self, index: u64) -> Option<StopReason> {
        let limits = &self.config.limits;
        let over = |limit: u64, value: u64| limit > 0 && value >= limit;
        let target = match limits.target_fitness {
            TargetFitness::Improvement(target) => self.best.fitness >= Fitness::Improvement(target),
            TargetFitness::None(_) => false,
        };
        if self.interrupt.load(Ordering::Relaxed) {
            Some(StopReason::Interrupted)
        } else if self.target == Some(self.best.hash) {
            Some(StopReason::TargetProgram)
        } else if target {
            Some(StopReason::TargetFitness)
        } else if over(limits.programs, index) {
            Some(StopReason::Programs)
        } else if over(limits.evaluations, self.statistics.evaluated) {
            Some(StopReason::Evaluations)
        } else if over(limits.plateau, self.statistics.generated - self.last_improvement) {
            Some(StopReason::Plateau)
        } else if over(limits.seconds, self.begin.elapsed().as_secs()) {
            Some(StopReason::Seconds)
        } else {
            None
        }
    }

    fn breed(&mut self, index: u64) -> Result<(), SearchError> {
        let child = self.evolution.breed(index);
        let thresholds = self.hurdle.thresholds(index, self.evolution.population());
        let first = self.cache.claim(child.key);
        if first {
            match self.known.get(&index) {
                Some(record) if record.hash == child.hash.to_string() => self.cache.insert(child.key, record.evaluation()),
                Some(record) => return Err(SearchError::Diverging { index, bred: child.hash, found: record.hash.clone() }),
                None => self.queue.push(Job {
                    place: Place::Child(index),
                    program: Arc::clone(&child.program),
                    hash: child.hash,
                    key: child.key,
                    epoch: self.epoch,
                    start: Arc::clone(&child.start),
                    thresholds,
                }),
            }
        }
        self.under_way.push_back(UnderWay { child, first });
        Ok(())
    }

    /// Takes in the child that has been under way the longest. False if the search was interrupted while waiting for it.
    fn absorb_next(&mut self) -> Result<bool, SearchError> {
        let Some(UnderWay { child, first }) = self.under_way.front() else { return Ok(true) };
        let (hash, key, first) = (child.hash, child.key, *first);
        if first && !self.wait_for(key)? {
            return Ok(false);
        }
        let Some(UnderWay { child, .. }) = self.under_way.pop_front() else { return Ok(true) };
        let Some(evaluation) = self.cache.get(key).cloned() else { return Err(SearchError::Worker) };
        let penalty = self.config.fitness.penalty;
        let fitness = evaluation.score(penalty);
        let index = self.statistics.generated;
        self.statistics.generated += 1;
        self.statistics.redundant_sum += child.redundant_share;
        if first {
            self.statistics.evaluated += 1;
            match fitness {
                Fitness::Hopeless { .. } => self.statistics.hopeless += 1,
                Fitness::Diverged => self.statistics.diverged += 1,
                Fitness::Screened | Fitness::Improvement(_) => {}
            }
        }
        self.statistics.screened += u64::from(child.screened);
        let is_target = self.target == Some(hash) && self.target != Some(self.best.hash);
        let island = child.island;
        let individual = child.individual(index, &evaluation, penalty);
        if fitness > self.best.fitness || is_target {
            self.best = Best::of(&individual);
            self.statistics.best = fitness;
            self.last_improvement = self.statistics.generated;
            self.journal.note_improvement(&Improvement { index, hash: hash.to_string(), fitness })?;
        }
        self.evolution.absorb(individual, island);
        if self.statistics.generated.is_multiple_of(statistics::EVERY) {
            self.journal.note_statistics(&self.statistics)?;
        }
        Ok(true)
    }

    /// Waits until an evaluation has ended and is in the journal. False if the search was interrupted before.
    fn wait_for(&mut self, key: FunctionalHash) -> Result<bool, SearchError> {
        // What is in the cache between two calls is in the journal too.
        if self.cache.get(key).is_some() {
            return Ok(true);
        }
        // As long as the workers have enough to do, there is no hurry: a flush for many evaluations costs no more than one for a few.
        while self.cache.get(key).is_none() || (self.finished.len() < FLUSH_TOGETHER && self.queue.len() > self.threads) {
            if !self.receive()? {
                return Ok(false);
            }
        }
        while let Ok(finished) = self.receiver.try_recv() {
            self.keep(finished)?;
        }
        self.acknowledge()?;
        Ok(true)
    }

    /// Waits a while for an evaluation to end. False if the search was interrupted.
    fn receive(&mut self) -> Result<bool, SearchError> {
        match self.receiver.recv_timeout(Duration::from_millis(50)) {
            Ok(finished) => self.keep(finished)?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(SearchError::Worker),
        }
        Ok(!self.interrupt.load(Ordering::Relaxed))
    }

    /// Judges the best programs on the seeds of a new epoch; what was known of them and what is new make one fitness. False if the search was
    /// interrupted before that was done.
    fn change_seeds(&mut self, epoch: u64) -> Result<bool, SearchError> {
        let mut elite: Vec<Best> = self.evolution.elite(self.config.fitness.elite).iter().map(Best::of).collect();
        // The best of all may have died of old age.
        if !elite.iter().any(|program| program.key == self.best.key) && !elite.is_empty() {
            elite.push(self.best.clone());
        }
        let thresholds: Thresholds = Arc::from([]);
        self.revisions.clear();
        for (rank, program) in elite.iter().enumerate() {
            let number = revision(epoch, rank);
            match self.known_revisions.get(&number) {
                Some(record) if record.hash == program.hash.to_string() => {
                    self.revisions.insert(number, record.evaluation());
                }
                Some(record) => return Err(SearchError::Diverging { index: number, bred: program.hash, found: record.hash.clone() }),
                None => self.queue.push(Job {
                    place: Place::Revision(number),
                    program: Arc::clone(&program.program),
                    hash: program.hash,
                    key: program.key,
                    epoch,
                    start: Arc::clone(&program.settings),
                    thresholds: Arc::clone(&thresholds),
                }),
            }
        }
        while self.revisions.len() < elite.len() {
            if !self.receive()? {
                return Ok(false);
            }
        }
        self.acknowledge()?;
        let penalty = self.config.fitness.penalty;
        let mut best: Option<Best> = None;
        for (rank, program) in elite.into_iter().enumerate() {
            let key = program.key;
            let Some(new) = self.revisions.get(&revision(epoch, rank)) else { return Err(SearchError::Worker) };
            let evaluation = self.cache.get(key).map_or_else(|| new.clone(), |old| old.with(new));
            self.evolution.revise(key, &evaluation, penalty);
            let fitness = evaluation.score(penalty);
            if best.as_ref().is_none_or(|best| fitness > best.fitness) {
                best = Some(Best { fitness, settings: Arc::clone(&evaluation.settings), ..program });
            }
            self.cache.insert(key, evaluation);
        }
        if let Some(best) = best {
            self.statistics.best = best.fitness;
            self.best = best;
        }
        self.epoch = epoch;
        Ok(true)
    }

    fn keep(&mut self, finished: Finished) -> Result<(), SearchError> {
        let Finished { job, result, elapsed } = finished;
        let evaluation = result?;
        self.evaluating += elapsed;
        self.finished.push((job.place, EvaluationRecord::new(job.hash, &job.program, &evaluation)));
        match job.place {
            Place::Child(_) => self.cache.insert(job.key, evaluation),
            Place::Revision(number) => {
                self.revisions.insert(number, evaluation);
            }
        }
        Ok(())
    }

    fn acknowledge(&mut self) -> Result<(), SearchError> {
        if !self.finished.is_empty() {
            self.journal.acknowledge(&self.finished)?;
            self.finished.clear();
        }
        Ok(())
    }

    fn observe(&self, observe: &mut dyn FnMut(&Progress)) {
        let replayed = self.replayed_to.min(self.statistics.generated);
        observe(&Progress { statistics: &self.statistics, best: &self.best, elapsed: self.begin.elapsed(), replayed });
    }

    fn finish(mut self, stop: StopReason, initial: Arc<Program>) -> Result<SearchResult, SearchError> {
        // Evaluations that ended while nobody waited are worth keeping: a resumed search would do them again.
        while let Ok(finished) = self.receiver.try_recv() {
            self.keep(finished)?;
        }
        self.acknowledge()?;
        if !matches!(stop, StopReason::Interrupted | StopReason::Seconds) {
            self.journal.note_end(stop)?;
        }
        let mut population: Vec<Individual> = self.evolution.population().cloned().collect();
        population.sort_by_key(|individual| std::cmp::Reverse(individual.fitness));
        Ok(SearchResult {
            stop,
            initial,
            best: self.best,
            statistics: self.statistics,
            elapsed: self.begin.elapsed(),
            evaluating: self.evaluating,
            population,
        })
    }
}

/// A program to be evaluated.
struct Job {
    place: Place,
    program: Arc<Program>,
    hash: FunctionalHash,
    key: FunctionalHash,
    epoch: u64,
    start: Arc<[Setting]>,
    thresholds: Thresholds,
}

/// A program that was evaluated.
struct Finished {
    job: Job,
    result: Result<Evaluation, SearchError>,
    elapsed: Duration,
}

/// Jobs for the workers, first in first out.
#[derive(Default)]
struct Queue {
    state: Mutex<QueueState>,
    changed: Condvar,
}

#[derive(Default)]
struct QueueState {
    jobs: VecDeque<Job>,
    closed: bool,
}

impl Queue {
    fn len(&self) -> usize {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).jobs.len()
    }

    fn push(&self, job: Job) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).jobs.push_back(job);
        self.changed.notify_one();
    }

    /// The next job; `None` when the queue is closed.
    fn pop(&self) -> Option<Job> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if state.closed {
                return None;
            }
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Lets the workers go when the search ends, however it ends.
struct CloseOnDrop<'a> {
    queue: &'a Queue,
    abort: &'a AtomicBool,
}

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.abort.store(true, Ordering::Relaxed);
        self.queue.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.queue.changed.notify_all();
    }
}

fn work(queue: &Queue, judge: &dyn Judge, abort: &AtomicBool, results: &Sender<Finished>) {
    while let Some(job) = queue.pop() {
        let begin = Instant::now();
        let mut aborted = false;
        let mut watch = |checkpoint: usize, running: f64| {
            aborted |= abort.load(Ordering::Relaxed);
            let hopeless = job.thresholds.get(checkpoint).is_some_and(|threshold| running < *threshold);
            if aborted || hopeless { Verdict::Stop } else { Verdict::Continue }
        };
        // A worker that dies would leave the search waiting for its result for ever.
        let request = Request { program: &job.program, epoch: job.epoch, start: &job.start };
        let result = match catch_unwind(AssertUnwindSafe(|| judge.judge(&request, &mut watch))) {
            Ok(result) => result.map_err(SearchError::Task),
            Err(_) => Err(SearchError::Worker),
        };
        // An aborted evaluation says nothing about its program.
        if aborted || results.send(Finished { job, result, elapsed: begin.elapsed() }).is_err() {
            return;
        }
    }
}
