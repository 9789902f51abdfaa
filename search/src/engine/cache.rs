//! Fitness by functional hash: a program that computes what an earlier one computed is not
//! evaluated again. Or, where the settings say so, by the hash of what the simplifier makes of the
//! program, which is the same for more programs.

use std::collections::{BTreeMap, HashMap};

use symopt_analysis::simplify::{Label, canonical};
use symopt_dsl::{FunctionalHash, Graph, Program};

use crate::config::CacheKey;
use crate::journal::JournalError;
use crate::judge::Judge;
use crate::judge::evaluation::Evaluation;
use crate::store::{Log, StateReader, StateWriter};

/// Evaluations that were asked for of late, at most; a power of two. Most of what is asked for was
/// asked for shortly before, by another child of the same parent.
const RECENT: usize = 1 << 13;

/// State of the evaluation of a key's programs.
enum Entry {
    /// The evaluation is under way.
    Pending,
    /// The evaluation is kept: it is not yet in the log, or not as it stands there.
    Kept,
    /// Where the log has the evaluation.
    Logged(u64),
}

/// All evaluations so far, by functional hash. Evaluations in the log are read from there, so that
/// an entry takes less than a hundred bytes whatever the suite. Only looked up, never walked, so
/// its order does not matter.
#[derive(Default)]
pub struct FitnessCache {
    entries: HashMap<FunctionalHash, Entry>,
    /// The evaluations that are kept.
    kept: BTreeMap<FunctionalHash, Evaluation>,
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
            Entry::Pending
        });
        new
    }

    /// Keeps the result of an evaluation.
    pub fn insert(&mut self, hash: FunctionalHash, evaluation: Evaluation) {
        self.entries.insert(hash, Entry::Kept);
        self.kept.insert(hash, evaluation);
    }

    /// Notes where the log has the evaluation that is kept for a hash.
    pub(crate) fn settle(&mut self, hash: FunctionalHash, offset: u64) {
        if self.log.is_none() {
            return;
        }
        if let Some(entry @ Entry::Kept) = self.entries.get_mut(&hash) {
            *entry = Entry::Logged(offset);
            if let Some(evaluation) = self.kept.remove(&hash) {
                self.remember(hash, evaluation);
            }
        }
    }

    /// Whether the evaluation of a hash has ended.
    pub fn is_known(&self, hash: FunctionalHash) -> bool {
        matches!(self.entries.get(&hash), Some(Entry::Kept | Entry::Logged(_)))
    }

    /// The result for a hash, if its evaluation has ended.
    pub fn get(&mut self, hash: FunctionalHash) -> Result<Option<Evaluation>, JournalError> {
        let offset = match self.entries.get(&hash) {
            None | Some(Entry::Pending) => return Ok(None),
            Some(Entry::Kept) => return Ok(self.kept.get(&hash).cloned()),
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

    /// Writes the evaluations that are kept; all others are in the log.
    pub(crate) fn save(&self, state: &mut StateWriter) {
        let FitnessCache { entries: _, kept, log: _, recent: _ } = self;
        state.length(kept.len());
        for (hash, evaluation) in kept {
            state.hash(*hash);
            state.evaluation(evaluation);
        }
    }

    /// Notes where the log has the evaluation of a hash.
    pub(crate) fn note_logged(&mut self, hash: FunctionalHash, offset: u64) {
        self.entries.insert(hash, Entry::Logged(offset));
    }

    /// Reads what [`FitnessCache::save`] wrote, after what is in the log was noted.
    pub(crate) fn restore(&mut self, state: &mut StateReader) -> Option<()> {
        for _ in 0..state.length()? {
            let hash = state.hash()?;
            self.insert(hash, state.evaluation()?);
        }
        Some(())
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

    /// Writes the keys that were found.
    pub(crate) fn save(&self, state: &mut StateWriter) {
        let Keys { kind: _, judge: _, known } = self;
        state.length(known.len());
        for (hash, key) in known {
            state.hash(*hash);
            let is_usual = key == hash || *key == SCREENED;
            state.number(if is_usual { u64::from(key == hash) } else { 2 });
            if !is_usual {
                state.hash(*key);
            }
        }
    }

    /// Reads what [`Keys::save`] wrote.
    pub(crate) fn restore(&mut self, state: &mut StateReader) -> Option<()> {
        for _ in 0..state.length()? {
            let hash = state.hash()?;
            let key = match state.number()? {
                0 => SCREENED,
                1 => hash,
                2 => state.hash()?,
                _ => return None,
            };
            self.known.insert(hash, key);
        }
        Some(())
    }

    /// The key of a functional hash that has come up.
    pub(crate) fn of_known(&self, hash: FunctionalHash) -> FunctionalHash {
        self.known.get(&hash).copied().unwrap_or(hash)
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
