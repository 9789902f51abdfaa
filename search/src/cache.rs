//! Fitness by functional hash: a program that computes what an earlier one computed is not evaluated again. Or, where the settings say so, by the
//! hash of what the simplifier makes of the program, which is the same for more programs.

use std::collections::HashMap;
use std::sync::Arc;

use symopt_dsl::simplify::{Label, canonical};
use symopt_dsl::{FunctionalHash, Graph, Program};
use symopt_proxy_tasks::run::Failure;
use symopt_proxy_tasks::suite::Fitness;

use crate::config::CacheKey;
use crate::inner_tuning::Setting;
use crate::journal::JournalError;
use crate::judge::Judge;
use crate::store::Log;

/// What an evaluation gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// The fitness.
    pub fitness: Fitness,
    /// The running fitness at the checkpoints of the suite, as far as it went.
    pub curve: Arc<[f64]>,
    /// Standard error of the fitness over the seeds; 0 where it is not known.
    pub standard_error: f64,
    /// Seeds that the fitness is a mean of; 0 where that is not told.
    pub seeds: u32,
    /// For a direction, where it did best on each task.
    pub settings: Arc<[Setting]>,
    /// What went wrong, if the fitness is [`Fitness::Failed`].
    pub failure: Option<Arc<Failure>>,
}

impl Evaluation {
    /// An evaluation that tells a fitness and nothing about its spread.
    pub fn new(fitness: Fitness, curve: Arc<[f64]>) -> Evaluation {
        Evaluation { fitness, curve, standard_error: 0.0, seeds: 0, settings: Arc::from([]), failure: None }
    }

    /// One that a failed run of an external task ended.
    pub fn failed(failure: Failure, curve: Arc<[f64]>) -> Evaluation {
        Evaluation { failure: Some(Arc::new(failure)), ..Evaluation::new(Fitness::Failed, curve) }
    }

    /// What selection goes by: the fitness less so many standard errors.
    pub fn score(&self, penalty: f64) -> Fitness {
        match self.fitness {
            Fitness::Improvement(value) => Fitness::Improvement(value - penalty * self.standard_error),
            other => other,
        }
    }

    /// This evaluation and one of the same program on other seeds, as one. The older one counts for at most three times the seeds of the new
    /// one, so that what was measured long ago fades. A failed run says nothing about the program.
    pub fn with(&self, again: &Evaluation) -> Evaluation {
        if again.fitness == Fitness::Failed {
            return self.clone();
        }
        let (Fitness::Improvement(old), Fitness::Improvement(new)) = (self.fitness, again.fitness) else { return again.clone() };
        let (a, b) = (f64::from(self.seeds.min(again.seeds.saturating_mul(3))), f64::from(again.seeds));
        if a + b == 0.0 {
            return again.clone();
        }
        let error = libm::hypot(a * self.standard_error, b * again.standard_error) / (a + b);
        Evaluation {
            fitness: Fitness::Improvement((a * old + b * new) / (a + b)),
            standard_error: error,
            seeds: (a + b) as u32,
            ..again.clone()
        }
    }
}

/// Evaluations that were asked for of late, at most; a power of two. Most of what is asked for was asked for shortly before, by another child of
/// the same parent.
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

/// All evaluations so far, by functional hash. What is in the log is read from there, so that an entry takes less than a hundred bytes whatever
/// the suite. Only looked up, never walked, so its order does not matter.
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

    /// The key of a program with a functional hash, and whether it is the first of that hash. Constants are part of it, so what was simplified
    /// by other roads, with other roundings of the same number, may still have keys of its own.
    pub fn of(&mut self, hash: FunctionalHash, program: &Program) -> (FunctionalHash, bool) {
        if let Some(known) = self.known.get(&hash) {
            return (*known, false);
        }
        let simplified = |label| Graph::new(&canonical(program, label)).map_or(hash, |graph| graph.hash());
        let probe = self.judge.and_then(|judge| judge.probe(program));
        if probe.is_none() && matches!(self.kind, CacheKey::Functional | CacheKey::Probe) {
            // It costs nothing to find again. Only the first of a rejected hash counts, and nothing rejects it.
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
    use symopt_proxy_tasks::run::FailureKind;

    use super::*;

    fn evaluation(fitness: f64, standard_error: f64, seeds: u32) -> Evaluation {
        Evaluation { standard_error, seeds, ..Evaluation::new(Fitness::Improvement(fitness), Arc::from([fitness])) }
    }

    #[test]
    fn an_entry_of_the_cache_takes_less_than_100_bytes() {
        // A table is filled to seven eighths, and to half of that just after it has grown, with a byte of its own for each place.
        let place = size_of::<(FunctionalHash, Entry)>() + 1;
        assert!(place * 16 <= 100 * 7, "{place} bytes");
    }

    #[test]
    fn two_evaluations_on_other_seeds_are_pooled_and_old_ones_fade() {
        let pooled = evaluation(0.1, 0.03, 8).with(&evaluation(0.3, 0.04, 8));
        let Fitness::Improvement(mean) = pooled.fitness else { panic!("{pooled:?}") };
        assert!((mean - 0.2).abs() < 1e-12 && (pooled.standard_error - 0.025).abs() < 1e-12 && pooled.seeds == 16);
        assert_eq!(*pooled.curve, [0.3]);
        // By seeds: three parts of four.
        let Fitness::Improvement(mean) = evaluation(0.1, 0.0, 4).with(&evaluation(0.3, 0.0, 12)).fitness else { panic!() };
        assert!((mean - 0.25).abs() < 1e-12);
        // A hundred old seeds count as three times the new ones, however often that goes on.
        let mut long = evaluation(0.0, 0.0, 100);
        for rest in [0.75, 0.5625] {
            long = long.with(&evaluation(1.0, 0.0, 8));
            let Fitness::Improvement(mean) = long.fitness else { panic!() };
            assert!((mean - (1.0 - rest)).abs() < 1e-12, "{mean}");
            assert_eq!(long.seeds, 32);
        }
    }

    #[test]
    fn what_has_no_fitness_is_not_pooled() {
        let diverged = Evaluation::new(Fitness::Diverged, Arc::from([]));
        let good = evaluation(0.3, 0.1, 8);
        assert_eq!(good.with(&diverged), diverged);
        assert_eq!(diverged.with(&good), good);
        // A failure changes nothing, and counts for nothing.
        let failure = Failure { kind: FailureKind::Timeout, reason: "no answer".to_owned(), stderr: String::new() };
        let failed = Evaluation::failed(failure, Arc::from([]));
        assert_eq!(good.with(&failed), good);
        assert_eq!(failed.with(&good), good);
        // Seeds that are not told: the newer one.
        assert_eq!(evaluation(0.1, 0.0, 0).with(&evaluation(0.2, 0.0, 0)).fitness, Fitness::Improvement(0.2));
    }

    #[test]
    fn the_score_is_the_fitness_less_so_many_standard_errors() {
        let Fitness::Improvement(score) = evaluation(0.3, 0.04, 8).score(1.5) else { panic!() };
        assert!((score - 0.24).abs() < 1e-12);
        assert_eq!(evaluation(0.3, 0.04, 8).score(0.0), Fitness::Improvement(0.3));
        let hopeless = Fitness::Hopeless { checkpoint: 2 };
        assert_eq!(Evaluation { standard_error: 1.0, ..Evaluation::new(hopeless, Arc::from([])) }.score(1.0), hopeless);
    }
}
