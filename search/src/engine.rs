//! The search: breeds on one thread, evaluates on many, and is the same for any number of them.
//!
//! Child i is bred from the population as it stands after the results of children up to i - L, for
//! a fixed lag L: before breeding it, the search waits for child i - L and takes it in. Up to L
//! children are under way, which keeps all workers busy, and nothing depends on which of them is
//! done first. An evaluation counts only once it is in the journal. A search is resumed from the
//! search state that was saved last, or where there is none from the begin: from there everything
//! is bred again, with the journal's evaluations in place of new ones, which takes a few
//! microseconds for each program.

pub mod cache;
mod crossover;
pub mod evolution;
pub mod hurdle;
pub mod individual;
pub mod lineage;
pub mod mutation;
pub mod operators;
pub mod proposal;
mod random;
mod saved_state;
pub(crate) mod search_state;
pub mod virtual_time;

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use symopt_cancel::CancelToken;
use symopt_dsl::{FunctionalHash, Graph, Program};
use symopt_proxy_tasks::error::TaskError;
use symopt_proxy_tasks::suite::Fitness;
use symopt_proxy_tasks::task::Verdict;

use crate::config::{Limits, SearchConfig, TargetFitness};
use crate::engine::hurdle::{Hurdle, Thresholds};
use crate::engine::individual::Individual;
use crate::engine::operators::OperatorYield;
use crate::engine::proposal::{Answered, Proposals, Proposer};
use crate::engine::saved_state::{Reached, SavedState};
use crate::engine::search_state::{
    Absorbed, NoEvaluation, Pending, Recorded, RecordedError, SearchState, Step,
};
pub use crate::engine::search_state::{Best, Mismatch};
use crate::journal::Origin;
use crate::journal::{Evaluated, Improvement, Journal, JournalError, Place, Proposal, revision};
use crate::judge::evaluation::Evaluation;
use crate::judge::inner_tuning::Setting;
use crate::judge::{Judge, Request};
use crate::store::failures::{Failures, failures};
use crate::store::statistics::{self, Statistics};
use crate::store::stop_reason::StopReason;

/// Evaluations that are written to the journal with one flush, while there is enough to do. It
/// changes no result.
const FLUSH_TOGETHER: usize = 16;

/// Longest time until a search that waits for evaluations sees that it was cancelled.
const LOOK: Duration = Duration::from_millis(20);

/// Why a search failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
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
        "the journal does not belong to this release: {0}; resume it with the release that began it"
    )]
    Diverging(Mismatch),
    /// The search ended before there was anything to breed from.
    #[error(
        "the time was over, or an interrupt came, before the initial program was evaluated; resume the search, with more --seconds"
    )]
    Unbegun,
    /// The system has no more threads.
    #[error(
        "thread {thread} of {threads} can't be started: {error}; use fewer --threads, or allow this user more processes"
    )]
    Threads {
        /// Its number.
        thread: usize,
        /// Threads that were asked for.
        threads: usize,
        /// The system's reason.
        error: std::io::Error,
    },
    /// There is nobody to ask for a proposal.
    #[error(
        "child {child} is to be proposed by a command (mutation.proposals); give one with --proposals COMMAND"
    )]
    NoProposer {
        /// Number of the child.
        child: u64,
    },
    /// A worker thread died.
    #[error("an evaluation failed inside; please report this with the store")]
    Worker,
}

impl From<NoEvaluation> for SearchError {
    fn from(error: NoEvaluation) -> SearchError {
        match error {
            NoEvaluation::Missing => SearchError::Worker,
            NoEvaluation::Journal(error) => SearchError::Journal(error),
        }
    }
}

impl From<RecordedError> for SearchError {
    fn from(error: RecordedError) -> SearchError {
        match error {
            RecordedError::Mismatch(mismatch) => SearchError::Diverging(mismatch),
            RecordedError::Journal(error) => SearchError::Journal(error),
        }
    }
}

/// How a search stands.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// Counts and rates.
    pub statistics: &'a Statistics,
    /// The best program.
    pub best: &'a Best,
    /// Time since the search began or was resumed.
    pub elapsed: Duration,
    /// Children that the journal knew when the search was resumed. As long as fewer have been
    /// generated, they are bred again.
    pub recorded: u64,
    /// Work done since the search began or was resumed.
    pub session: Session,
}

/// Work done since a search began or was resumed, without children bred again from the journal: the
/// basis of rates.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Session {
    /// Children that came in.
    pub generated: u64,
    /// Number of those that were evaluated.
    pub evaluated: u64,
    /// Time that this took.
    pub elapsed: Duration,
}

impl Session {
    /// A count for each second; 0 before there was any time.
    pub fn rate(&self, count: u64) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { count as f64 / seconds.max(1e-3) } else { 0.0 }
    }
}

/// The end of a search.
#[derive(Clone, Debug)]
#[must_use]
#[non_exhaustive]
pub struct SearchResult {
    /// Why it ended.
    pub stop: StopReason,
    /// The program that the search started from; of several, the best.
    pub initial: Arc<Program>,
    /// Programs that the search started from.
    pub initial_count: usize,
    /// Its evaluation then.
    pub initial_evaluation: Evaluation,
    /// The best program.
    pub best: Best,
    /// Counts and rates.
    pub statistics: Statistics,
    /// Time since the search began or was resumed.
    pub elapsed: Duration,
    /// Work done in this time.
    pub session: Session,
    /// Time that the workers spent in evaluations, all together.
    pub evaluating: Duration,
    /// The population at the end, fittest first.
    pub population: Vec<Individual>,
    /// The failed evaluations of the whole search, by what went wrong.
    pub failures: Vec<Failures>,
    /// Yields of the operators.
    pub operators: Vec<OperatorYield>,
}

/// A search that is set up.
pub struct Search<'a> {
    config: SearchConfig,
    judge: &'a dyn Judge,
    journal: &'a mut Journal,
    threads: usize,
    /// Programs whose hash ends the search.
    target: Option<FunctionalHash>,
    /// Further programs to start from.
    others: Vec<Program>,
    /// Children after which the search state is taken.
    save_every: u64,
    proposer: Option<Box<dyn Proposer + 'a>>,
}

impl<'a> Search<'a> {
    /// A search over a journal, new or resumed. Its settings are the journal's; the limits may be
    /// other ones.
    pub fn new(
        config: SearchConfig,
        target: Option<FunctionalHash>,
        judge: &'a dyn Judge,
        journal: &'a mut Journal,
        threads: usize,
    ) -> Search<'a> {
        Search {
            config,
            judge,
            journal,
            threads: threads.max(1),
            target,
            others: Vec::new(),
            save_every: saved_state::EVERY,
            proposer: None,
        }
    }

    /// The same with further programs to start from, beside the one that [`run`](Search::run) is
    /// given. They must be well typed, and fewer than the population has places.
    pub fn with_others(mut self, others: Vec<Program>) -> Search<'a> {
        self.others = others;
        self
    }

    /// The same with somebody to ask for proposals, where the settings have these and the journal
    /// does not.
    pub fn with_proposer(mut self, proposer: Box<dyn Proposer + 'a>) -> Search<'a> {
        self.proposer = Some(proposer);
        self
    }

    /// Takes the search state after so many children, from which the search can be resumed. It
    /// changes no result.
    pub fn save_every(self, children: u64) -> Search<'a> {
        Search { save_every: children, ..self }
    }

    /// Searches until a limit is reached or `cancel` is cancelled. `observe` is called often, on
    /// this thread.
    pub fn run(
        self,
        initial: Program,
        cancel: &CancelToken,
        observe: &mut dyn FnMut(&Progress),
    ) -> Result<SearchResult, SearchError> {
        let graph = Graph::new(&initial).map_err(|_| SearchError::Initial)?;
        let initial = Arc::new(initial);
        let evaluation = match self.journal.initial()? {
            Some(kept) => kept.evaluation(),
            None => {
                let in_time = cancel.child_until(self.config.limits.end());
                let request = Request::new(&initial);
                match self.judge.judge(&request, &in_time, &mut |_, _| Verdict::Continue) {
                    Ok(evaluation) => evaluation,
                    // Nobody but the clock wants the end.
                    Err(TaskError::Cancelled(_)) if !cancel.is_cancelled() => {
                        return Err(SearchError::Unbegun);
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        };
        let heads: Arc<[Program]> =
            std::iter::once(initial.as_ref()).chain(&self.others).cloned().collect();
        let Begin { search_state, hurdle, recorded, reached } =
            self.begin(&initial, &heads, &graph, &evaluation)?;
        let recorded_evaluations = search_state.evaluations_begun();
        let saved_state = SavedState::new(self.save_every, heads, search_state.bred());

        let proposals = Proposals::new(self.journal.proposals()?, self.proposer);
        let queue = Queue::default();
        // Cancelled by whoever started the search, and in the end by the search itself.
        let cancel = cancel.child();
        let (sender, receiver) = channel();
        let judge = self.judge;
        std::thread::scope(|scope| {
            let _close = CloseOnDrop { queue: &queue, cancel: &cancel };
            for thread in 1..=self.threads {
                let sender = sender.clone();
                let (queue, cancel) = (&queue, &cancel);
                let worker = move || work(queue, judge, cancel, &sender);
                let started = std::thread::Builder::new().spawn_scoped(scope, worker);
                started.map_err(|error| SearchError::Threads {
                    thread,
                    threads: self.threads,
                    error,
                })?;
            }
            drop(sender);
            let mut running = Running {
                judge,
                hurdle,
                reached,
                saved_state,
                limits: self.config.limits,
                target: self.target,
                journal: self.journal,
                initial: Arc::clone(&initial),
                search_state,
                proposals,
                recorded_end: recorded.end(),
                recorded_evaluations,
                caught_up: (recorded.end() == 0).then(Instant::now),
                recorded,
                revisions: HashMap::new(),
                threads: self.threads,
                queue: &queue,
                receiver,
                finished: Vec::new(),
                finished_keys: Vec::new(),
                evaluating: Duration::ZERO,
                begin: Instant::now(),
                cancel: &cancel,
            };
            let stop = running.run(observe)?;
            running.finish(stop)
        })
    }

    /// The search before its first child, or as it was saved.
    fn begin(
        &self,
        initial: &Arc<Program>,
        heads: &Arc<[Program]>,
        graph: &Graph,
        evaluation: &Evaluation,
    ) -> Result<Begin<'a>, SearchError> {
        let Search { config, judge, journal, target, others, .. } = self;
        let log = journal.log();
        let begin = || {
            let evaluation = evaluation.clone();
            let mut search_state =
                SearchState::new(config, *target, *judge, initial, others, graph, evaluation);
            search_state.set_log(log);
            (search_state, Hurdle::new(config.hurdle.clone(), judge.checkpoints()))
        };
        let mut recorded = Recorded::new(log, journal.children(), config);
        // The log was bred with its own settings, so its saved state fits no others.
        let stored = &journal.settings().config;
        if *config == (SearchConfig { limits: config.limits.clone(), ..stored.clone() }) {
            let (mut search_state, mut hurdle) = begin();
            let restored = saved_state::restore(
                journal,
                heads,
                &config.limits,
                &mut search_state,
                &mut hurdle,
            )?;
            if let Some((frame, reached)) = restored {
                recorded.pass_over(log, search_state.bred(), frame);
                return Ok(Begin { search_state, hurdle, recorded, reached });
            }
        }
        let (search_state, hurdle) = begin();
        let reached = Reached::new(search_state.best().fitness);
        Ok(Begin { search_state, hurdle, recorded, reached })
    }
}

/// Where a search begins, or is resumed.
struct Begin<'a> {
    search_state: SearchState<'a>,
    hurdle: Hurdle,
    recorded: Recorded,
    reached: Reached,
}

/// A search that runs.
struct Running<'a> {
    judge: &'a dyn Judge,
    limits: Limits,
    target: Option<FunctionalHash>,
    journal: &'a mut Journal,
    initial: Arc<Program>,
    search_state: SearchState<'a>,
    proposals: Proposals<'a>,
    hurdle: Hurdle,
    reached: Reached,
    saved_state: SavedState,
    /// Evaluations that the journal held at the start.
    recorded: Recorded,
    /// The number after the last child among them.
    recorded_end: u64,
    /// How many of them belong to a child that was bred again, or was there already.
    recorded_evaluations: u64,
    /// When the search did something that was not in the journal.
    caught_up: Option<Instant>,
    /// Evaluations of the elite on new seeds that have ended, by [`revision`], while the seeds
    /// change.
    revisions: HashMap<u64, Evaluation>,
    threads: usize,
    queue: &'a Queue,
    receiver: Receiver<Finished>,
    /// Evaluations that have ended and are not yet in the journal.
    finished: Vec<(Place, Evaluated)>,
    /// Their keys in the cache.
    finished_keys: Vec<FunctionalHash>,
    evaluating: Duration,
    begin: Instant,
    cancel: &'a CancelToken,
}

impl Running<'_> {
    fn run(&mut self, observe: &mut dyn FnMut(&Progress)) -> Result<StopReason, SearchError> {
        loop {
            self.reached.look(&self.search_state);
            if let Some(stop) = self.limit_reached() {
                // Running evaluations still count, unless the search is cancelled or its time is
                // up.
                let wait = !matches!(stop, StopReason::Cancelled | StopReason::Seconds);
                while wait && self.search_state.oldest().is_some() {
                    if !self.absorb_next()? {
                        return Ok(self.stopped_by());
                    }
                    self.observe(observe);
                }
                return Ok(stop);
            }
            let goes_on = match self.search_state.next() {
                Step::Breed => self.breed()?,
                Step::ChangeSeeds(epoch) => self.change_seeds(epoch)?,
                Step::Absorb => {
                    let goes_on = self.absorb_next()?;
                    if goes_on {
                        self.observe(observe);
                    }
                    goes_on
                }
            };
            if !goes_on {
                return Ok(self.stopped_by());
            }
        }
    }

    /// Whether the search is to end without what is under way.
    fn is_stopped(&self) -> bool {
        self.cancel.is_cancelled() || self.is_time_over()
    }

    fn is_time_over(&self) -> bool {
        self.limits.seconds > 0 && self.begin.elapsed().as_secs() >= self.limits.seconds
    }

    /// Why it is.
    fn stopped_by(&self) -> StopReason {
        if self.cancel.is_cancelled() { StopReason::Cancelled } else { StopReason::Seconds }
    }

    /// A limit that is reached, judged by what has been taken in so far.
    fn limit_reached(&self) -> Option<StopReason> {
        let (limits, best) = (&self.limits, self.search_state.best());
        let over = |limit: u64, value: u64| limit > 0 && value >= limit;
        let target = match limits.target_fitness {
            TargetFitness::Improvement(target) => best.fitness >= Fitness::Improvement(target),
            TargetFitness::None(_) => false,
        };
        if self.cancel.is_cancelled() {
            Some(StopReason::Cancelled)
        } else if self.target == Some(best.hash) {
            Some(StopReason::TargetProgram)
        } else if target {
            Some(StopReason::TargetFitness)
        } else if over(limits.programs, self.search_state.bred()) {
            Some(StopReason::Programs)
        } else if limits.evaluations > 0
            && self.search_state.evaluations_begun() >= limits.evaluations
        {
            Some(StopReason::Evaluations)
        } else if over(limits.plateau, self.search_state.since_improvement()) {
            Some(StopReason::Plateau)
        } else if self.is_time_over() {
            Some(StopReason::Seconds)
        } else {
            None
        }
    }

    /// The answer of a command to the question for the next child, if there is one. `Err(None)` if
    /// the search was cancelled, or its time was over, while it was waited for.
    fn proposal(&mut self) -> Result<Option<Proposal>, Option<SearchError>> {
        let Some(question) = self.search_state.question() else { return Ok(None) };
        let seconds = Some(self.limits.seconds).filter(|seconds| *seconds > 0);
        let end = seconds.and_then(|s| self.begin.checked_add(Duration::from_secs(s)));
        let in_time = self.cancel.child_until(end);
        let child = question.child;
        if !self.proposals.knows(child) {
            // An answer may take a minute, in which nothing is acknowledged.
            self.keep_finished().map_err(Some)?;
        }
        let answered = self.proposals.answer(&question, &in_time).map_err(|_| None)?;
        let Answered { proposal, is_new } =
            answered.ok_or(Some(SearchError::NoProposer { child }))?;
        if is_new {
            self.caught_up.get_or_insert_with(Instant::now);
            let noted = self.journal.note_proposal(child, &proposal);
            noted.map_err(|error| Some(error.into()))?;
        }
        Ok(Some(proposal))
    }

    /// False if the search was cancelled before there was a child.
    fn breed(&mut self) -> Result<bool, SearchError> {
        self.saved_state.take(self.journal, &self.search_state, &self.hurdle, &self.reached);
        let proposal = match self.proposal() {
            Ok(proposal) => proposal,
            Err(None) => return Ok(false),
            Err(Some(error)) => return Err(error),
        };
        // Programs that the search starts from are judged to the end.
        let number = self.search_state.bred().checked_sub(self.search_state.others());
        let thresholds = match number {
            Some(number) => self.hurdle.thresholds(number, self.search_state.population()),
            None => Arc::from([]),
        };
        let epoch = self.search_state.epoch();
        let Pending { child, index, first: true } = self.search_state.breed(proposal.as_ref())
        else {
            return Ok(true);
        };
        let key = child.key;
        match self.recorded.child(*index, child.hash)? {
            Some((evaluation, offset)) => {
                self.recorded_evaluations += 1;
                self.search_state.keep(key, evaluation);
                self.search_state.settle(key, offset);
            }
            None => {
                self.caught_up.get_or_insert_with(Instant::now);
                self.queue.push(Job {
                    place: Place::Child(*index),
                    program: Arc::clone(&child.program),
                    hash: child.hash,
                    key,
                    epoch,
                    start: Arc::clone(&child.start),
                    thresholds,
                    origin: Some(child.origin()),
                });
            }
        }
        Ok(true)
    }

    /// Takes in the child that has been under way the longest. False if the search was cancelled
    /// while waiting for it.
    fn absorb_next(&mut self) -> Result<bool, SearchError> {
        if let Some(Pending { child, first: true, .. }) = self.search_state.oldest()
            && !self.wait_for(child.key)?
        {
            return Ok(false);
        }
        let Some(absorbed) = self.search_state.absorb()? else { return Ok(true) };
        let Absorbed { index, hash, fitness, is_best, .. } = absorbed;
        if is_best {
            self.journal.note_improvement(&Improvement {
                index,
                hash: hash.to_string(),
                fitness,
            })?;
        }
        let statistics = self.search_state.statistics();
        if statistics.generated.is_multiple_of(statistics::EVERY) {
            self.journal.note_statistics(statistics)?;
        }
        self.saved_state.write(self.journal, &self.search_state, false)?;
        Ok(true)
    }

    /// Waits until an evaluation has ended and is in the journal. False if the search was
    /// cancelled before.
    fn wait_for(&mut self, key: FunctionalHash) -> Result<bool, SearchError> {
        // Between two calls, every cached evaluation is in the journal too.
        if self.search_state.has_evaluation(key) {
            return Ok(true);
        }
        // As long as the workers have enough to do, there is no hurry: a flush for many evaluations
        // costs no more than one for a few.
        while !self.search_state.has_evaluation(key)
            || (self.finished.len() < FLUSH_TOGETHER && self.queue.len() > self.threads)
        {
            if !self.receive()? {
                return Ok(false);
            }
        }
        self.keep_finished()?;
        Ok(true)
    }

    /// Keeps and acknowledges all evaluations that have ended.
    fn keep_finished(&mut self) -> Result<(), SearchError> {
        while let Ok(finished) = self.receiver.try_recv() {
            self.keep(finished)?;
        }
        self.acknowledge()
    }

    /// Waits a while for an evaluation to end. False if the search was cancelled, or its time is
    /// over.
    fn receive(&mut self) -> Result<bool, SearchError> {
        match self.receiver.recv_timeout(LOOK) {
            Ok(finished) => self.keep(finished)?,
            // Finished evaluations must not be lost during the wait for one that takes hours.
            Err(RecvTimeoutError::Timeout) => self.acknowledge()?,
            // Workers whose evaluations were cancelled have left.
            Err(RecvTimeoutError::Disconnected) if self.is_stopped() => {}
            Err(RecvTimeoutError::Disconnected) => return Err(SearchError::Worker),
        }
        Ok(!self.is_stopped())
    }

    /// Judges the best programs on the seeds of a new epoch; what was known of them and what is new
    /// make one fitness. False if the search was cancelled before that was done.
    fn change_seeds(&mut self, epoch: u64) -> Result<bool, SearchError> {
        let elite = self.search_state.elite();
        // Nobody's fitness on the old seeds says what is hopeless on the new ones.
        let thresholds: Thresholds = Arc::from([]);
        self.revisions.clear();
        for (rank, program) in elite.iter().enumerate() {
            let number = revision(epoch, rank);
            match self.recorded.revision(epoch, rank, program.hash)? {
                Some(evaluation) => {
                    self.revisions.insert(number, evaluation);
                }
                None => self.queue.push(Job {
                    place: Place::Revision(number),
                    program: Arc::clone(&program.program),
                    hash: program.hash,
                    key: program.key,
                    epoch,
                    start: Arc::clone(&program.settings),
                    thresholds: Arc::clone(&thresholds),
                    origin: None,
                }),
            }
        }
        while self.revisions.len() < elite.len() {
            if !self.receive()? {
                return Ok(false);
            }
            if self.finished.len() >= FLUSH_TOGETHER {
                self.acknowledge()?;
            }
        }
        self.acknowledge()?;
        let evaluations: Vec<Evaluation> = (0..elite.len())
            .filter_map(|rank| self.revisions.remove(&revision(epoch, rank)))
            .collect();
        self.search_state.change_seeds(epoch, elite, &evaluations)?;
        Ok(true)
    }

    fn keep(&mut self, finished: Finished) -> Result<(), SearchError> {
        let Finished { job, result, elapsed } = finished;
        let evaluation = result?;
        self.evaluating += elapsed;
        let evaluated = Evaluated {
            hash: job.hash,
            program: job.program,
            evaluation: evaluation.clone(),
            origin: job.origin,
        };
        self.finished.push((job.place, evaluated));
        self.finished_keys.push(job.key);
        match job.place {
            Place::Child(_) => self.search_state.keep(job.key, evaluation),
            Place::Revision(number) => {
                self.revisions.insert(number, evaluation);
            }
        }
        Ok(())
    }

    fn acknowledge(&mut self) -> Result<(), SearchError> {
        // Baselines are written before the evaluations that were measured against them.
        self.journal.keep_baselines(&self.judge.new_baselines())?;
        if !self.finished.is_empty() {
            let offsets = self.journal.acknowledge_bred(&self.finished, &self.initial)?;
            for ((offset, key), (place, _)) in
                offsets.into_iter().zip(self.finished_keys.drain(..)).zip(self.finished.drain(..))
            {
                if let Place::Child(_) = place {
                    self.search_state.settle(key, offset);
                }
            }
        }
        Ok(())
    }

    fn observe(&self, observe: &mut dyn FnMut(&Progress)) {
        observe(&Progress {
            statistics: self.search_state.statistics(),
            best: self.search_state.best(),
            elapsed: self.begin.elapsed(),
            recorded: self.recorded_end,
            session: self.session(),
        });
    }

    fn session(&self) -> Session {
        // Work that follows from the journal alone is not new.
        let Some(then) = self.caught_up else { return Session::default() };
        let statistics = self.search_state.statistics();
        Session {
            generated: statistics.generated.saturating_sub(self.recorded_end),
            evaluated: statistics.evaluated.saturating_sub(self.recorded_evaluations),
            elapsed: then.elapsed(),
        }
    }

    fn finish(mut self, stop: StopReason) -> Result<SearchResult, SearchError> {
        // Evaluations that ended while nobody waited are worth keeping: a resumed search would do
        // them again.
        self.keep_finished()?;
        self.saved_state.write(self.journal, &self.search_state, true)?;
        match stop {
            StopReason::Cancelled | StopReason::Seconds => self.journal.flush()?,
            stop => self.journal.note_end(stop)?,
        }
        let failures = match self.search_state.statistics().failed {
            0 => Vec::new(),
            _ => failures(
                self.journal.records_where(|_, _, evaluation| evaluation.failure.is_some())?,
            ),
        };
        let mut population: Vec<Individual> = self.search_state.population().cloned().collect();
        population.sort_by_key(|individual| std::cmp::Reverse(individual.fitness));
        let initial = self.search_state.initial().clone();
        Ok(SearchResult {
            stop,
            initial: initial.program,
            initial_count: 1 + self.search_state.others() as usize,
            initial_evaluation: initial.evaluation,
            best: self.search_state.best().clone(),
            statistics: self.search_state.statistics().clone(),
            elapsed: self.begin.elapsed(),
            session: self.session(),
            evaluating: self.evaluating,
            population,
            failures,
            operators: self.search_state.yields(),
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
    origin: Option<Origin>,
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
    cancel: &'a CancelToken,
}

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.cancel.cancel();
        self.queue.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.queue.changed.notify_all();
    }
}

/// Evaluates what is in the queue, until that is closed or the search is cancelled.
fn work(queue: &Queue, judge: &dyn Judge, cancel: &CancelToken, results: &Sender<Finished>) {
    while let Some(job) = queue.pop() {
        let begin = Instant::now();
        let request = Request {
            program: &job.program,
            epoch: job.epoch,
            start: &job.start,
            thresholds: &job.thresholds,
        };
        let mut watch = |checkpoint, running| request.verdict(checkpoint, running);
        // A worker that dies would leave the search waiting for its result for ever.
        let judged = || judge.judge(&request, cancel, &mut watch);
        let result = match catch_unwind(AssertUnwindSafe(judged)) {
            Ok(result) => result.map_err(SearchError::Task),
            Err(_) => Err(SearchError::Worker),
        };
        match result {
            // Says nothing about its program. A judge that was cancelled by somebody else has
            // failed, which the search must hear of: otherwise it would wait for ever.
            Err(SearchError::Task(TaskError::Cancelled(_))) if cancel.is_cancelled() => return,
            result => {
                let finished = Finished { job, result, elapsed: begin.elapsed() };
                if results.send(finished).is_err() {
                    return;
                }
            }
        }
    }
}
