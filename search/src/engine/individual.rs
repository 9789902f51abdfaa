//! A program of the population, and one that is to become that.

use std::sync::Arc;

use symopt_dsl::graph::Redundancy;
use symopt_dsl::{FunctionalHash, Graph, Program};
use symopt_proxy_tasks::suite::Fitness;

use crate::engine::mutation::Mutation;
use crate::judge::evaluation::Evaluation;
use crate::judge::inner_tuning::Setting;

/// A program of the population.
#[derive(Clone, Debug)]
pub struct Individual {
    /// Number of the child; `None` for the initial program.
    pub index: Option<u64>,
    /// The program.
    pub program: Arc<Program>,
    /// Its functional hash.
    pub hash: FunctionalHash,
    /// Its key in the fitness cache.
    pub key: FunctionalHash,
    /// What selection goes by: its fitness, less the penalty for its spread.
    pub fitness: Fitness,
    /// Its running fitness at the checkpoints of the suite, as far as its evaluation went.
    pub curve: Arc<[f64]>,
    /// Statements that an output depends on.
    pub live: usize,
    /// For a direction, where it did best on each task.
    pub settings: Arc<[Setting]>,
}

impl Individual {
    /// The program that a search starts from. Its key is set by the population that it comes into.
    pub fn initial(
        program: &Arc<Program>,
        graph: &Graph,
        evaluation: &Evaluation,
        penalty: f64,
    ) -> Individual {
        Individual {
            index: None,
            program: Arc::clone(program),
            hash: graph.hash(),
            key: graph.hash(),
            fitness: evaluation.score(penalty),
            curve: Arc::clone(&evaluation.curve),
            live: graph.redundancy().iter().filter(|r| **r == Redundancy::Live).count(),
            settings: Arc::clone(&evaluation.settings),
        }
    }
}

/// A parent as its child knows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parent {
    /// Number of the child; `None` for the initial program.
    pub index: Option<u64>,
    /// Its functional hash.
    pub hash: FunctionalHash,
    /// What selection went by.
    pub fitness: Fitness,
}

impl From<&Individual> for Parent {
    fn from(individual: &Individual) -> Parent {
        let Individual { index, hash, fitness, .. } = *individual;
        Parent { index, hash, fitness }
    }
}

/// A program that was bred and has no fitness yet.
#[derive(Clone, Debug)]
pub struct Child {
    /// The program.
    pub program: Arc<Program>,
    /// Its functional hash.
    pub hash: FunctionalHash,
    /// Its key in the fitness cache.
    pub key: FunctionalHash,
    /// Number of the child that it was bred from; `None` for the initial program, for a random
    /// program, and for a child that is an initial program itself.
    pub parent: Option<u64>,
    /// The parent, and the second one of a crossover; none of a program that has no parent.
    pub parents: [Option<Parent>; 2],
    /// How it differs from its parent.
    pub mutation: Mutation,
    /// Statements that no output of a step depends on, as a share of all: the paper's measure.
    pub redundant_share: f64,
    /// Statements that an output depends on.
    pub live: usize,
    /// Where its parent did best on each task.
    pub start: Arc<[Setting]>,
    /// Whether a screen rejects it, and no program of its functional hash was rejected before.
    pub screened: bool,
    /// The island that it belongs to.
    pub island: usize,
}

impl Child {
    /// The child with its evaluation.
    pub fn individual(self, index: u64, evaluation: &Evaluation, penalty: f64) -> Individual {
        Individual {
            index: Some(index),
            program: self.program,
            hash: self.hash,
            key: self.key,
            fitness: evaluation.score(penalty),
            curve: Arc::clone(&evaluation.curve),
            live: self.live,
            settings: Arc::clone(&evaluation.settings),
        }
    }
}
