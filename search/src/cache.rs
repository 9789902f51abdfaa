//! Fitness by functional hash: a program that computes what an earlier one computed is not evaluated again.

use std::collections::HashMap;
use std::sync::Arc;

use symopt_dsl::FunctionalHash;
use symopt_proxy_tasks::suite::Fitness;

/// What an evaluation gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// The fitness.
    pub fitness: Fitness,
    /// The running fitness at the checkpoints of the suite, as far as it went.
    pub curve: Arc<[f64]>,
}

/// All evaluations so far, by functional hash. Only looked up, never walked, so its order does not matter.
#[derive(Clone, Debug, Default)]
pub struct FitnessCache {
    /// `None` while the evaluation is under way.
    entries: HashMap<FunctionalHash, Option<Evaluation>>,
}

impl FitnessCache {
    /// Notes that a hash has come up. True if it is new: then its evaluation is the caller's to do.
    pub fn claim(&mut self, hash: FunctionalHash) -> bool {
        let mut new = false;
        self.entries.entry(hash).or_insert_with(|| {
            new = true;
            None
        });
        new
    }

    /// Keeps the result of an evaluation.
    pub fn insert(&mut self, hash: FunctionalHash, evaluation: Evaluation) {
        self.entries.insert(hash, Some(evaluation));
    }

    /// The result for a hash, if its evaluation has ended.
    pub fn get(&self, hash: FunctionalHash) -> Option<&Evaluation> {
        self.entries.get(&hash)?.as_ref()
    }
}
