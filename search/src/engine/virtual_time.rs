//! A search by many workers, in virtual time: the engine's own steps, by workers that only take
//! time. It tells how busy a fleet is before anybody rents one.
//!
//! Children are bred, screened, cached and taken in as [`Search`](crate::Search) does it, one at a
//! time and at no cost; a bench measures that cost. An evaluation becomes packs of training runs,
//! which wait in one queue, first in first out. The model of a fleet is coarse: all workers are
//! alike, and a worker that is lost and a pack that is slow come by chance.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use symopt_dsl::{FunctionalHash, Graph, Program};
use symopt_proxy_tasks::error::TaskError;

use crate::config::SearchConfig;
use crate::engine::SearchError;
use crate::engine::hurdle::Hurdle;
use crate::engine::search_state::{Pending, SearchState, Step};
use crate::judge::evaluation::Evaluation;
use crate::judge::{Judge, Request};

/// Workers, and the way to them. Times are in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fleet {
    /// How many workers there are.
    pub workers: usize,
    /// Time that a pack takes to a worker, and its answer back.
    pub travel: f64,
    /// Time in which whoever breeds publishes a pack and takes in its answer; it does one at a
    /// time.
    pub handling: f64,
    /// Work in a pack; an evaluation's rounds are cut into packs of at most this.
    pub pack: f64,
    /// Rounds of an evaluation, each of which needs the answers of the one before: tuning has
    /// several.
    pub rounds: usize,
    /// Expected losses of a worker in a second of work.
    pub losses: f64,
    /// Time after which a lost worker is back.
    pub absence: f64,
    /// Time after which the pack of a lost worker is given to another one.
    pub silence: f64,
    /// Share of the packs that are slow.
    pub slow: f64,
    /// Factor by which these take longer.
    pub slowness: f64,
}

impl Fleet {
    /// Workers that are never lost or slow, a millisecond away, with packs of a second.
    pub fn new(workers: usize) -> Fleet {
        Fleet {
            workers,
            travel: 0.001,
            handling: 0.002,
            pack: 1.0,
            rounds: 1,
            losses: 0.0,
            absence: 300.0,
            silence: 30.0,
            slow: 0.0,
            slowness: 10.0,
        }
    }
}

/// Result of a search in virtual time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[must_use]
#[non_exhaustive]
pub struct Usage {
    /// Programs that were generated.
    pub generated: u64,
    /// Evaluations that ended.
    pub evaluated: u64,
    /// Packs that were published, without repetitions.
    pub packs: u64,
    /// Packs that were published again.
    pub repeated: u64,
    /// Virtual seconds from the first child to the end.
    pub elapsed: f64,
    /// Virtual seconds of work in the evaluations, each counted once.
    pub work: f64,
}

impl Usage {
    /// Share of the workers' time that went into evaluations.
    pub fn busy(&self, fleet: &Fleet) -> f64 {
        self.work / (self.elapsed * fleet.workers as f64)
    }
}

/// Makes an evaluation and says how long it takes, in seconds.
pub type Evaluate<'a> = &'a mut dyn FnMut(&Request) -> Result<(Evaluation, f64), TaskError>;

/// Runs a search in virtual time until so many programs have been evaluated. The judge screens and
/// probes programs; `evaluate` evaluates the initial program as well, which is not counted.
/// The seeds do not change, whatever the settings say. The same arguments give the same result.
pub fn simulate(
    config: &SearchConfig,
    judge: &dyn Judge,
    initial: &Program,
    fleet: &Fleet,
    evaluations: u64,
    evaluate: Evaluate<'_>,
) -> Result<Usage, SearchError> {
    let graph = Graph::new(initial).map_err(|_| SearchError::Initial)?;
    let initial = Arc::new(initial.clone());
    let (evaluation, _) = evaluate(&Request::new(&initial))?;
    let mut fixed = config.clone();
    fixed.fitness.rotate = 0;
    let mut simulation = Simulation {
        search_state: SearchState::new(&fixed, None, judge, &initial, &[], &graph, evaluation),
        hurdle: Hurdle::new(config.hurdle.clone(), judge.checkpoints()),
        packs: Packs::new(*fleet, config.seed),
        pending: HashMap::new(),
        evaluations,
        usage: Usage::default(),
    };
    simulation.run(evaluate)
}

/// An evaluation whose packs are under way.
struct Ongoing {
    key: FunctionalHash,
    evaluation: Evaluation,
    work: f64,
    rounds_left: usize,
    /// Packs of this round that have no answer.
    open: usize,
}

struct Simulation<'a> {
    search_state: SearchState<'a>,
    hurdle: Hurdle,
    packs: Packs,
    /// By the number of the child.
    pending: HashMap<u64, Ongoing>,
    evaluations: u64,
    usage: Usage,
}

impl Simulation<'_> {
    fn run(&mut self, evaluate: Evaluate<'_>) -> Result<Usage, SearchError> {
        let mut now = 0.0;
        while self.usage.evaluated < self.evaluations {
            self.breed(now, evaluate)?;
            // Without a pack under way no child could come in: all were screened or known, and the
            // limit below ends that.
            let Some((time, evaluation)) = self.packs.next_answer() else { break };
            now = time;
            self.take_in(evaluation, now);
        }
        let statistics = self.search_state.statistics();
        self.usage.generated = statistics.generated;
        (self.usage.packs, self.usage.repeated) = (self.packs.published, self.packs.repeated);
        self.usage.elapsed = now;
        Ok(self.usage)
    }

    /// Breeds and takes in children until one must be waited for.
    fn breed(&mut self, now: f64, evaluate: Evaluate<'_>) -> Result<(), SearchError> {
        loop {
            match self.search_state.next() {
                Step::Breed => {
                    // A search in which nothing is new would breed for ever.
                    if self.search_state.bred() / 10_000 > self.evaluations {
                        return Ok(());
                    }
                    let bred = self.search_state.bred();
                    let thresholds = self.hurdle.thresholds(bred, self.search_state.population());
                    let Pending { child, index, first: true } = self.search_state.breed(None)
                    else {
                        continue;
                    };
                    let request = Request {
                        program: &child.program,
                        epoch: 0,
                        start: &child.start,
                        thresholds: &thresholds,
                    };
                    let (evaluation, work) = evaluate(&request)?;
                    let (key, index) = (child.key, *index);
                    let rounds = self.packs.fleet.rounds.max(1);
                    let open = self.packs.publish(index, work / rounds as f64, now);
                    let ongoing = Ongoing { key, evaluation, work, rounds_left: rounds - 1, open };
                    self.pending.insert(index, ongoing);
                }
                Step::Absorb => {
                    let waits = self.search_state.oldest().is_some_and(|pending| {
                        pending.first && !self.search_state.has_evaluation(pending.child.key)
                    });
                    if waits {
                        return Ok(());
                    }
                    self.search_state.absorb()?;
                }
                // The seeds never change here.
                Step::ChangeSeeds(_) => return Ok(()),
            }
        }
    }

    /// Takes in the answer of a pack.
    fn take_in(&mut self, index: u64, now: f64) {
        let Some(ongoing) = self.pending.get_mut(&index) else { return };
        ongoing.open -= 1;
        if ongoing.open > 0 {
            return;
        }
        if ongoing.rounds_left > 0 {
            ongoing.rounds_left -= 1;
            let rounds = self.packs.fleet.rounds.max(1);
            ongoing.open = self.packs.publish(index, ongoing.work / rounds as f64, now);
            return;
        }
        if let Some(Ongoing { key, evaluation, work, .. }) = self.pending.remove(&index) {
            self.search_state.keep(key, evaluation);
            self.usage.evaluated += 1;
            self.usage.work += work;
        }
    }
}

/// A time, in an order that a heap can hold.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Time(f64);

impl Eq for Time {}

impl PartialOrd for Time {
    fn partial_cmp(&self, other: &Time) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Time {
    fn cmp(&self, other: &Time) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A pack is where workers find it.
    Ready(usize),
    /// A worker has done a pack, or the rest of one that another worker was quicker with.
    Done(usize),
    /// A worker is lost, with a pack.
    Lost(usize),
    /// A worker that was lost is back.
    Back,
    /// A pack has taken so long that it is published again.
    Overdue(usize),
}

struct Pack {
    evaluation: u64,
    work: f64,
    done: bool,
}

/// The packs and the workers.
struct Packs {
    fleet: Fleet,
    rng: ChaCha8Rng,
    /// Coming events, with a number that keeps the order of simultaneous ones.
    events: BinaryHeap<Reverse<(Time, u64, Event)>>,
    events_made: u64,
    packs: Vec<Pack>,
    queue: VecDeque<usize>,
    idle: usize,
    /// When whoever breeds has handled all that it was given.
    handled: f64,
    /// Work of packs that were done, for the time after which one is overdue.
    seen: Vec<f64>,
    overdue: f64,
    published: u64,
    repeated: u64,
}

/// After so many times the work of all but one percent of the packs, a pack is published again.
const OVERDUE: f64 = 3.0;
/// Packs from which that is estimated.
const SEEN: usize = 1000;

impl Packs {
    fn new(fleet: Fleet, seed: u64) -> Packs {
        Packs {
            fleet,
            rng: ChaCha8Rng::seed_from_u64(seed),
            events: BinaryHeap::new(),
            events_made: 0,
            packs: Vec::new(),
            queue: VecDeque::new(),
            idle: fleet.workers,
            handled: 0.0,
            seen: Vec::new(),
            overdue: f64::INFINITY,
            published: 0,
            repeated: 0,
        }
    }

    fn at(&mut self, time: f64, event: Event) {
        self.events_made += 1;
        self.events.push(Reverse((Time(time), self.events_made, event)));
    }

    /// Publishes a round of an evaluation; returns the number of its packs.
    fn publish(&mut self, evaluation: u64, work: f64, now: f64) -> usize {
        let count = (work / self.fleet.pack).ceil().max(1.0) as usize;
        for _ in 0..count {
            self.published += 1;
            self.packs.push(Pack { evaluation, work: work / count as f64, done: false });
            self.send(self.packs.len() - 1, now);
        }
        count
    }

    fn send(&mut self, pack: usize, now: f64) {
        self.handled = self.handled.max(now) + self.fleet.handling / 2.0;
        self.at(self.handled + self.fleet.travel, Event::Ready(pack));
    }

    /// The time at which the next answer is taken in, and the evaluation that it belongs to.
    fn next_answer(&mut self) -> Option<(f64, u64)> {
        loop {
            let Reverse((Time(now), _, event)) = self.events.pop()?;
            match event {
                Event::Ready(pack) => self.queue.push_back(pack),
                Event::Overdue(pack) | Event::Lost(pack) if !self.packs[pack].done => {
                    self.repeated += 1;
                    self.send(pack, now);
                }
                Event::Overdue(_) | Event::Lost(_) => {}
                Event::Back => self.idle += 1,
                Event::Done(pack) => {
                    self.idle += 1;
                    self.dispatch(now);
                    if std::mem::replace(&mut self.packs[pack].done, true) {
                        continue;
                    }
                    self.learn(self.packs[pack].work);
                    self.handled =
                        self.handled.max(now + self.fleet.travel) + self.fleet.handling / 2.0;
                    return Some((self.handled, self.packs[pack].evaluation));
                }
            }
            self.dispatch(now);
        }
    }

    /// Gives packs to idle workers.
    fn dispatch(&mut self, now: f64) {
        while self.idle > 0
            && let Some(pack) = self.queue.pop_front()
        {
            let Pack { work, done, .. } = self.packs[pack];
            if done {
                continue;
            }
            self.idle -= 1;
            let is_slow = self.fleet.slow > 0.0 && self.rng.random_bool(self.fleet.slow.min(1.0));
            let time = if is_slow { work * self.fleet.slowness } else { work };
            let survives = (-time * self.fleet.losses).exp();
            if self.fleet.losses > 0.0 && !self.rng.random_bool(survives) {
                let lost = now + time * self.rng.random::<f64>();
                self.at(lost + self.fleet.silence, Event::Lost(pack));
                self.at(lost + self.fleet.absence, Event::Back);
                continue;
            }
            self.at(now + time, Event::Done(pack));
            if time > self.overdue {
                self.at(now + self.overdue, Event::Overdue(pack));
            }
        }
    }

    /// Learns when a pack is overdue.
    fn learn(&mut self, work: f64) {
        self.seen.push(work);
        if self.seen.len() == SEEN {
            self.seen.sort_by(f64::total_cmp);
            self.overdue = OVERDUE * self.seen[SEEN * 99 / 100];
            self.seen.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use symopt_cancel::CancelToken;
    use symopt_proxy_tasks::suite::Fitness;
    use symopt_proxy_tasks::task::Verdict;

    use super::*;

    /// Screens nothing and has no opinion.
    struct Nobody;

    impl Judge for Nobody {
        fn checkpoints(&self) -> usize {
            0
        }

        fn judge(
            &self,
            _request: &Request,
            _cancel: &CancelToken,
            _watch: &mut dyn FnMut(usize, f64) -> Verdict,
        ) -> Result<Evaluation, TaskError> {
            Ok(Evaluation::new(Fitness::Improvement(0.0), Arc::from([])))
        }
    }

    fn usage(fleet: &Fleet, lag: usize, evaluations: u64) -> Usage {
        let mut config = SearchConfig::default();
        config.evolution.lag = lag;
        config.evolution.population = 100;
        let program = symopt_programs::find("adamw").unwrap().program();
        // A fitness that follows from the program, so that selection has something to do.
        let mut evaluate = |request: &Request| {
            let length = request.program.statements.len() as f64;
            let fitness = Fitness::Improvement(0.01 * (10.0 - (length - 10.0).abs()));
            Ok((Evaluation::new(fitness, Arc::from([])), 1.0))
        };
        simulate(&config, &Nobody, &program, fleet, evaluations, &mut evaluate).unwrap()
    }

    #[test]
    fn one_worker_without_any_delay_is_always_busy() {
        let fleet = Fleet { travel: 0.0, handling: 0.0, ..Fleet::new(1) };
        let usage = usage(&fleet, 64, 200);
        // Others are under way when the last one that counts has ended.
        assert!(usage.evaluated == 200 && usage.packs > 200 && usage.repeated == 0, "{usage:?}");
        assert!((usage.elapsed - 200.0).abs() < 1e-9, "{usage:?}");
        assert!((usage.busy(&fleet) - 1.0).abs() < 1e-9, "{usage:?}");
    }

    #[test]
    fn a_fleet_is_as_busy_as_the_lag_allows() {
        let fleet = Fleet::new(64);
        let short = usage(&fleet, 16, 1000);
        let long = usage(&fleet, 4096, 1000);
        assert!(short.busy(&fleet) < 16.0 / 64.0, "{short:?}");
        assert!(long.busy(&fleet) > 0.8, "{long:?}");
        // Packs and rounds spread one evaluation over several workers.
        let cut = Fleet { pack: 0.1, ..fleet };
        assert!(usage(&cut, 16, 1000).busy(&cut) > 2.0 * short.busy(&fleet));
        let rounds = Fleet { rounds: 10, ..cut };
        assert!(usage(&rounds, 16, 1000).busy(&rounds) < usage(&cut, 16, 1000).busy(&cut));
    }

    #[test]
    fn whoever_breeds_limits_a_fleet() {
        let fleet = Fleet { handling: 0.1, ..Fleet::new(64) };
        let usage = usage(&fleet, 128, 1000);
        // Ten packs a second of a second each, but for those under way at the end.
        assert!((0.13..0.17).contains(&usage.busy(&fleet)), "{usage:?}");
    }

    #[test]
    fn work_that_is_lost_or_slow_is_done_again() {
        let lost = Fleet { losses: 0.05, ..Fleet::new(8) };
        let usage_of_lost = usage(&lost, 256, 400);
        assert!(usage_of_lost.repeated > 5 && usage_of_lost.evaluated == 400);
        assert_eq!(usage_of_lost, usage(&lost, 256, 400));
        let slow = Fleet { slow: 0.02, slowness: 100.0, ..Fleet::new(8) };
        let usage_of_slow = usage(&slow, 64, 3000);
        assert!(usage_of_slow.repeated > 10 && usage_of_slow.evaluated == 3000);
    }
}
