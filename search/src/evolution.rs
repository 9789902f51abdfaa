//! Regularized evolution (Real et al. 2019): the fittest of a few drawn at random has a child, the child comes in, the oldest goes.

use std::collections::VecDeque;
use std::sync::Arc;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use symopt_dsl::{FunctionalHash, Profile, Program};
use symopt_proxy_tasks::suite::Fitness;

use crate::cache::Keys;
use crate::config::SearchConfig;
use crate::mutation::{Mutation, Mutator, below};

/// A program of the population.
#[derive(Clone, Debug)]
pub struct Individual {
    /// Number of the child; `None` for the initial program.
    pub index: Option<u64>,
    /// The program.
    pub program: Arc<Program>,
    /// Its functional hash.
    pub hash: FunctionalHash,
    /// Its fitness.
    pub fitness: Fitness,
    /// Its running fitness at the checkpoints of the suite, as far as its evaluation went.
    pub curve: Arc<[f64]>,
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
    /// Number of the child that it was bred from; `None` for the initial program.
    pub parent: Option<u64>,
    /// How it differs from its parent.
    pub mutation: Mutation,
    /// Statements that no output of a step depends on, as a share of all: the paper's measure.
    pub redundant_share: f64,
}

/// The population and what breeds from it.
#[derive(Clone, Debug)]
pub struct Evolution {
    population: VecDeque<Individual>,
    tournament: usize,
    mutator: Mutator,
    keys: Keys,
    seed: u64,
}

impl Evolution {
    /// A population of copies of one individual.
    pub fn new(initial: Individual, profile: Profile, config: &SearchConfig) -> Evolution {
        Evolution {
            population: std::iter::repeat_n(initial, config.evolution.population).collect(),
            tournament: config.evolution.tournament,
            mutator: Mutator::new(profile, config.mutation.clone()),
            keys: Keys::new(config.cache.key),
            seed: config.seed,
        }
    }

    /// The key of a program in the fitness cache.
    pub fn key(&mut self, hash: FunctionalHash, program: &Program) -> FunctionalHash {
        self.keys.of(hash, program)
    }

    /// The population, oldest first.
    pub fn population(&self) -> &VecDeque<Individual> {
        &self.population
    }

    /// Breeds child number `index` from the population as it stands. Every child has a random stream of its own, so what it is depends on the
    /// seed, its number and the population alone.
    pub fn breed(&mut self, index: u64) -> Child {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(index);
        let mut parent = &self.population[below(&mut rng, self.population.len())];
        for _ in 1..self.tournament {
            let other = &self.population[below(&mut rng, self.population.len())];
            if other.fitness > parent.fitness {
                parent = other;
            }
        }
        let (program, mutation) = self.mutator.mutate(&parent.program, &mut rng);
        let graph = self.mutator.graph();
        let statements = program.statements.len();
        let redundant = graph.redundancy().iter().filter(|r| **r == symopt_dsl::graph::Redundancy::WithinStep).count();
        let hash = graph.hash();
        Child {
            hash,
            key: self.keys.of(hash, &program),
            parent: parent.index,
            mutation,
            redundant_share: redundant as f64 / statements.max(1) as f64,
            program: Arc::new(program),
        }
    }

    /// Takes in a child that has its fitness; the oldest of the population goes.
    pub fn absorb(&mut self, individual: Individual) {
        self.population.pop_front();
        self.population.push_back(individual);
    }
}
