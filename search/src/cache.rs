//! Fitness by functional hash: a program that computes what an earlier one computed is not evaluated again. Or, where the settings say so, by the
//! hash of what the simplifier makes of the program, which is the same for more programs.

use std::collections::HashMap;
use std::sync::Arc;

use symopt_dsl::simplify::{Label, canonical};
use symopt_dsl::{FunctionalHash, Graph, Program};
use symopt_proxy_tasks::suite::Fitness;

use crate::config::CacheKey;

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

/// The keys of programs in the cache.
#[derive(Clone, Debug)]
pub struct Keys {
    label: Option<Label>,
    /// Keys by functional hash, so that no function is simplified twice.
    known: HashMap<FunctionalHash, FunctionalHash>,
}

impl Keys {
    /// Keys of a kind.
    pub fn new(kind: CacheKey) -> Keys {
        let label = match kind {
            CacheKey::Functional => None,
            CacheKey::Exact => Some(Label::Exact),
            CacheKey::Real => Some(Label::Real),
            CacheKey::Domain => Some(Label::Domain),
        };
        Keys { label, known: HashMap::new() }
    }

    /// The key of a program with a functional hash. Constants are part of it, so what was simplified by other roads, with other roundings of the
    /// same number, may still have keys of its own.
    pub fn of(&mut self, hash: FunctionalHash, program: &Program) -> FunctionalHash {
        let Some(label) = self.label else { return hash };
        *self.known.entry(hash).or_insert_with(|| Graph::new(&canonical(program, label)).map_or(hash, |graph| graph.hash()))
    }
}
