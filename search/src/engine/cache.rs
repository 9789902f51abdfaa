//! Fitness by functional hash: a program that computes what an earlier one computed is not
//! evaluated again. Or, where the settings say so, by the hash of what the simplifier makes of the
//! program, which is the same for more programs.

use std::collections::HashMap;

use symopt_analysis::simplify::{Label, canonical};
use symopt_dsl::{FunctionalHash, Graph, Program};

use crate::config::CacheKey;
use crate::journal::JournalError;
use crate::judge::Judge;
use crate::judge::evaluation::Evaluation;
use crate::store::Log;

/// Evaluations that were asked for of late, at most; a power of two. Most of what is asked for was
/// asked for shortly before, by another child of the same parent.
const RECENT: usize = 1 << 13;

/// What is known of the programs of a key.
enum Entry {
    /// The evaluation is under way.
    UnderWay,
    /// The evaluation, not yet in the log, or not as it stands there.
    Kept(Box<Evaluation>),
    /// Where the log has the evaluation.
    Logged(u64),
}

/// All evaluations so far, by functional hash. What is in the log is read from there, so that an
/// entry takes less than a hundred bytes whatever the suite. Only looked up, never walked, so its
/// order does not matter.
#[derive(Default)]
pub struct FitnessCache {
    entries: HashMap<FunctionalHash, Entry>,
    log: Option<Log>,
    /// Evaluations of the log that were asked for last, each at the place that its hash says.
    recent: Vec<Option<(FunctionalHash, Evaluation)>>,
}

impl FitnessCache {
    /// Reads evaluations from a log.
    pub(crate) fn set_log(&mut self, log: &Log) {
        self.log = Some(log.clone());
    }

    /// Notes that a hash has come up. True if it is new: then its evaluation is the caller's to do.
    pub fn claim(&mut self, hash: FunctionalHash) -> bool {
        let mut new = false;
        self.entries.entry(hash).or_insert_with(|| {
            new = true;
            Entry::UnderWay
        });
        new
    }

    /// Keeps the result of an evaluation.
    pub fn insert(&mut self, hash: FunctionalHash, evaluation: Evaluation) {
        self.entries.insert(hash, Entry::Kept(Box::new(evaluation)));
    }

    /// Notes where the log has the evaluation that is kept for a hash.
    pub(crate) fn settle(&mut self, hash: FunctionalHash, offset: u64) {
        if self.log.is_none() {
            return;
        }
        if let Some(entry @ Entry::Kept(_)) = self.entries.get_mut(&hash)
            && let Entry::Kept(evaluation) = std::mem::replace(entry, Entry::Logged(offset))
        {
            self.remember(hash, *evaluation);
        }
    }

    /// Whether the evaluation of a hash has ended.
    pub fn is_known(&self, hash: FunctionalHash) -> bool {
        matches!(self.entries.get(&hash), Some(Entry::Kept(_) | Entry::Logged(_)))
    }

    /// The result for a hash, if its evaluation has ended.
    pub fn get(&mut self, hash: FunctionalHash) -> Result<Option<Evaluation>, JournalError> {
        let offset = match self.entries.get(&hash) {
            None | Some(Entry::UnderWay) => return Ok(None),
            Some(Entry::Kept(evaluation)) => return Ok(Some(evaluation.as_ref().clone())),
            Some(Entry::Logged(offset)) => *offset,
        };
        if let Some(Some((known, evaluation))) = self.recent.get(place(hash))
            && *known == hash
        {
            return Ok(Some(evaluation.clone()));
        }
        let Some(log) = &self.log else { return Ok(None) };
        let evaluation = log.evaluation_at(offset)?;
        self.remember(hash, evaluation.clone());
        Ok(Some(evaluation))
    }

    fn remember(&mut self, hash: FunctionalHash, evaluation: Evaluation) {
        if self.recent.is_empty() {
            self.recent.resize(RECENT, None);
        }
        self.recent[place(hash)] = Some((hash, evaluation));
    }
}

fn place(hash: FunctionalHash) -> usize {
    (hash.0 ^ (hash.0 >> 64)) as usize % RECENT
}

/// The key of all programs that a screen rejects.
pub const SCREENED: FunctionalHash = FunctionalHash(0);

/// The keys of programs in the cache.
#[derive(Clone)]
pub struct Keys<'a> {
    kind: CacheKey,
    /// Screens programs, and tells what they do.
    judge: Option<&'a dyn Judge>,
    /// Keys by functional hash, so that no function is simplified or probed twice.
    known: HashMap<FunctionalHash, FunctionalHash>,
}

impl<'a> Keys<'a> {
    /// Keys of a kind, with the judge of the search if it is there to ask.
    pub fn new(kind: CacheKey, judge: Option<&'a dyn Judge>) -> Keys<'a> {
        Keys { kind, judge, known: HashMap::new() }
    }

    /// The key of a program with a functional hash, and whether it is the first of that hash.
    /// Constants are part of it, so what was simplified by other roads, with other roundings of the
    /// same number, may still have keys of its own.
    pub fn of(&mut self, hash: FunctionalHash, program: &Program) -> (FunctionalHash, bool) {
        if let Some(known) = self.known.get(&hash) {
            return (*known, false);
        }
        let simplified =
            |label| Graph::new(&canonical(program, label)).map_or(hash, |graph| graph.hash());
        let probe = self.judge.and_then(|judge| judge.probe(program));
        if probe.is_none() && matches!(self.kind, CacheKey::Functional | CacheKey::Probe) {
            // It costs nothing to find again. Only the first of a rejected hash counts, and nothing
            // rejects it.
            return (hash, true);
        }
        let key = match (self.kind, probe) {
            (_, Some(probe)) if probe.rejected.is_some() => SCREENED,
            (CacheKey::Probe, Some(probe)) => probe.fingerprint,
            (CacheKey::Functional | CacheKey::Probe, _) => hash,
            (CacheKey::Exact, _) => simplified(Label::Exact),
            (CacheKey::Real, _) => simplified(Label::Real),
            (CacheKey::Domain, _) => simplified(Label::Domain),
        };
        self.known.insert(hash, key);
        (key, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_of_the_cache_takes_less_than_100_bytes() {
        // A table is filled to seven eighths, and to half of that just after it has grown, with a
        // byte of its own for each place.
        let place = size_of::<(FunctionalHash, Entry)>() + 1;
        assert!(place * 16 <= 100 * 7, "{place} bytes");
    }
}
