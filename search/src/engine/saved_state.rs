//! The search state as it is saved now and then, so that a search is resumed from there.
//!
//! A state is taken between two children, and written once all children that were under way then
//! are in the log: so what is resumed from it has nothing left to evaluate, and goes on as the
//! search did, bit for bit. It is used only where breeding everything again would come by it: with
//! the same settings, and with limits that would not have ended the search before.

use std::sync::Arc;

use symopt_dsl::Program;
use symopt_proxy_tasks::suite::Fitness;

use crate::config::{Limits, TargetFitness};
use crate::engine::hurdle::Hurdle;
use crate::engine::search_state::SearchState;
use crate::journal::{Journal, JournalError};
use crate::store::{StateReader, StateWriter};

/// Children after which the state is taken again.
pub(super) const EVERY: u64 = 10_000;

/// The state is written again when the search has grown by this part of itself, so that all
/// writing together takes a time in proportion to the search.
const GROWTH: u64 = 16;

/// How far a search has come towards limits that it can move away from again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Reached {
    /// The most children that came in without an improvement.
    pub plateau: u64,
    /// The best fitness of the best program.
    pub fitness: Fitness,
}

impl Reached {
    /// At the begin of a search.
    pub fn new(initial: Fitness) -> Reached {
        Reached { plateau: 0, fitness: initial }
    }

    /// Looks at the search between two steps.
    pub fn look(&mut self, search_state: &SearchState) {
        self.plateau = self.plateau.max(search_state.since_improvement());
        let best = search_state.best().fitness;
        if best.is_better_than(self.fitness) {
            self.fitness = best;
        }
    }

    /// Whether limits would have ended the search before it came to where it stands.
    fn is_beyond(&self, limits: &Limits, search_state: &SearchState) -> bool {
        let over = |limit: u64, value: u64| limit > 0 && value >= limit;
        let target = match limits.target_fitness {
            TargetFitness::Improvement(target) => self.fitness >= Fitness::Improvement(target),
            TargetFitness::None(_) => false,
        };
        target
            || over(limits.programs, search_state.bred().saturating_sub(1))
            || over(limits.evaluations, search_state.evaluations_begun())
            || over(limits.plateau, self.plateau)
    }
}

/// A state that was taken.
struct Taken {
    /// Children that had been bred.
    bred: u64,
    bytes: Vec<u8>,
}

/// Takes states and writes them.
pub(super) struct SavedState {
    every: u64,
    /// The programs that the search starts from.
    heads: Arc<[Program]>,
    /// Taken, while children that were under way are not yet in the log.
    pending: Option<Taken>,
    /// To be written.
    ready: Option<Taken>,
    /// Children of the state that was written last.
    written: u64,
}

impl SavedState {
    /// Before the first child that is bred, which may be none of the first.
    pub fn new(every: u64, heads: Arc<[Program]>, bred: u64) -> SavedState {
        SavedState { every: every.max(1), heads, pending: None, ready: None, written: bred }
    }

    /// Takes the state before a child is bred, where it is time for that.
    pub fn take(
        &mut self,
        journal: &Journal,
        search_state: &SearchState,
        hurdle: &Hurdle,
        reached: &Reached,
    ) {
        let bred = search_state.bred();
        if !bred.is_multiple_of(self.every) || bred <= self.written || self.pending.is_some() {
            return;
        }
        let Reached { plateau, fitness } = reached;
        let mut state = StateWriter::new(journal.log(), &self.heads);
        state.number(*plateau);
        state.fitness(*fitness);
        hurdle.save(&mut state);
        search_state.save(&mut state);
        self.pending = state.finish().map(|bytes| Taken { bred, bytes });
    }

    /// Writes a state that was taken, once all of its children are in the log, and the search has
    /// grown enough or ends.
    pub fn write(
        &mut self,
        journal: &mut Journal,
        search_state: &SearchState,
        ends: bool,
    ) -> Result<(), JournalError> {
        let generated = search_state.statistics().generated;
        if let Some(taken) = self.pending.take_if(|taken| taken.bred <= generated) {
            self.ready = Some(taken);
        }
        let due = |taken: &mut Taken| {
            ends || taken.bred - self.written >= self.every.max(taken.bred / GROWTH)
        };
        if let Some(taken) = self.ready.take_if(due) {
            journal.write_state(&taken.bytes)?;
            self.written = taken.bred;
        }
        Ok(())
    }
}

/// The state that a journal has, in a search that has not bred anything. Gives the frame where the
/// evaluations of what comes then begin; `None` if there is no state that
/// serves, and then the search is of no use any more.
pub(super) fn restore(
    journal: &Journal,
    heads: &Arc<[Program]>,
    limits: &Limits,
    search_state: &mut SearchState,
    hurdle: &mut Hurdle,
) -> Result<Option<(u64, Reached)>, JournalError> {
    let Some(bytes) = journal.state() else { return Ok(None) };
    let log = journal.log();
    let mut state = StateReader::new(&bytes, log, heads);
    let mut head = || {
        let (plateau, fitness) = (state.number()?, state.fitness()?);
        hurdle.restore(&mut state)?;
        Some(Reached { plateau, fitness })
    };
    let Some(reached) = head() else { return Ok(None) };
    let Some(frame) = search_state.restore(&mut state, log)? else { return Ok(None) };
    let serves = state.is_at_end() && !reached.is_beyond(limits, search_state);
    Ok(serves.then_some((frame, reached)))
}
