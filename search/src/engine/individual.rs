//! A program of the population, and one that is to become that.

use std::sync::Arc;

use symopt_dsl::graph::Redundancy;
use symopt_dsl::{FunctionalHash, Graph, Program};
use symopt_proxy_tasks::suite::Fitness;

use crate::engine::mutation::{Mutation, MutationKind};
use crate::journal::Origin;
use crate::judge::evaluation::Evaluation;
use crate::judge::inner_tuning::Setting;
use crate::store::{StateReader, StateWriter};

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
    /// Fitness that selection uses: less the penalty for its spread.
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

    /// Writes it.
    pub(crate) fn save(&self, state: &mut StateWriter) {
        let Individual { index, program, hash, key, fitness, curve, live, settings } = self;
        state.maybe(*index);
        state.hash(*hash);
        state.program(program);
        state.hash(*key);
        state.evaluation(&Evaluation {
            settings: Arc::clone(settings),
            ..Evaluation::new(*fitness, Arc::clone(curve))
        });
        state.length(*live);
    }

    /// Reads what [`Individual::save`] wrote.
    pub(crate) fn restore(state: &mut StateReader) -> Option<Individual> {
        let (index, hash) = (state.maybe()?, state.hash()?);
        let (program, key) = (state.program(hash)?, state.hash()?);
        let Evaluation { fitness, curve, settings, .. } = state.evaluation()?;
        let live = usize::try_from(state.number()?).ok()?;
        Some(Individual { index, program, hash, key, fitness, curve, live, settings })
    }
}

/// A parent as its child knows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parent {
    /// Number of the child; `None` for the initial program.
    pub index: Option<u64>,
    /// Its functional hash.
    pub hash: FunctionalHash,
    /// Fitness that selection used.
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
    /// Where it comes from.
    pub fn origin(&self) -> Origin {
        Origin::new(self.mutation.kind, self.parents.map(|parent| Some(parent?.hash)))
    }

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

    /// Writes it.
    pub(crate) fn save(&self, state: &mut StateWriter) {
        let Child {
            program,
            hash,
            key,
            parent,
            parents,
            mutation: Mutation { kind, statement },
            redundant_share,
            live,
            start,
            screened,
            island,
        } = self;
        state.hash(*hash);
        state.program(program);
        state.hash(*key);
        state.maybe(*parent);
        for parent in parents {
            state.flag(parent.is_some());
            if let Some(Parent { index, hash, fitness }) = parent {
                state.maybe(*index);
                state.hash(*hash);
                state.fitness(*fitness);
            }
        }
        state.number(u64::from(kind.code()));
        state.length(*statement);
        state.real(*redundant_share);
        state.length(*live);
        state.evaluation(&Evaluation {
            settings: Arc::clone(start),
            ..Evaluation::new(Fitness::Diverged, Arc::from([]))
        });
        state.flag(*screened);
        state.length(*island);
    }

    /// Reads what [`Child::save`] wrote.
    pub(crate) fn restore(state: &mut StateReader) -> Option<Child> {
        let hash = state.hash()?;
        let (program, key, parent) = (state.program(hash)?, state.hash()?, state.maybe()?);
        let mut parents = [None; 2];
        for parent in &mut parents {
            if state.flag()? {
                let (index, hash) = (state.maybe()?, state.hash()?);
                *parent = Some(Parent { index, hash, fitness: state.fitness()? });
            }
        }
        let kind = MutationKind::from_code(u8::try_from(state.number()?).ok()?)?;
        let size = |state: &mut StateReader| usize::try_from(state.number()?).ok();
        Some(Child {
            program,
            hash,
            key,
            parent,
            parents,
            mutation: Mutation { kind, statement: size(state)? },
            redundant_share: state.real()?,
            live: size(state)?,
            start: state.evaluation()?.settings,
            screened: state.flag()?,
            island: size(state)?,
        })
    }
}
