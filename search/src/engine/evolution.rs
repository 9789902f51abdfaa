//! Regularized evolution (Real et al. 2019): the fittest of a few drawn at random has a child, the
//! child comes in, the oldest goes.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use symopt_dsl::graph::Redundancy;
use symopt_dsl::{FunctionalHash, Program};
use symopt_proxy_tasks::suite::Fitness;

use crate::config::{EvolutionConfig, SearchConfig, Strategy};
use crate::engine::cache::{Keys, SCREENED};
use crate::engine::individual::{Child, Individual, Parent};
use crate::engine::mutation::{Mutation, MutationKind, Mutator};
use crate::engine::operators::{OperatorYield, Operators};
use crate::engine::proposal::{Question, Terms};
use crate::engine::random::below;
use crate::journal::Proposal;
use crate::judge::Judge;
use crate::judge::evaluation::Evaluation;
use crate::store::{StateReader, StateWriter};

/// First draws for a child.
struct Choice<'e> {
    rng: ChaCha8Rng,
    island: usize,
    parent: &'e Individual,
    operator: Option<MutationKind>,
}

/// The population and what breeds from it.
#[derive(Clone)]
pub struct Evolution<'a> {
    islands: Vec<VecDeque<Individual>>,
    /// Individuals with each key, over all islands; not counted where any number may be there.
    copies: HashMap<FunctionalHash, usize>,
    most_copies: usize,
    config: EvolutionConfig,
    mutator: Mutator,
    operators: Operators,
    /// Whether children are asked for, and what the answers must be.
    asks: bool,
    terms: Option<Terms>,
    keys: Keys<'a>,
    seed: u64,
    /// The program that the search starts from: random programs have its signature.
    initial: Arc<Program>,
    /// Further programs that the search starts from, which are its first children.
    others: Vec<Arc<Program>>,
}

impl<'a> Evolution<'a> {
    /// A population of copies of one individual. The judge, if there is one, screens and probes
    /// programs.
    pub fn new(
        mut initial: Individual,
        config: &SearchConfig,
        judge: Option<&'a dyn Judge>,
    ) -> Evolution<'a> {
        let EvolutionConfig { population, islands, copies, .. } = config.evolution;
        let mut keys = Keys::new(config.cache.key, judge);
        (initial.key, _) = keys.of(initial.hash, &initial.program);
        // The first islands are larger by one if the population can't be divided evenly.
        let size =
            |island: usize| population / islands + usize::from(island < population % islands);
        Evolution {
            copies: HashMap::from([(initial.key, population)]),
            islands: (0..islands)
                .map(|island| std::iter::repeat_n(initial.clone(), size(island)).collect())
                .collect(),
            most_copies: if copies < 1.0 {
                (copies * population as f64).ceil() as usize
            } else {
                usize::MAX
            },
            config: config.evolution.clone(),
            mutator: Mutator::new(config.mutation.clone()),
            operators: Operators::new(&config.mutation),
            asks: config.mutation.proposals > 0.0,
            terms: Terms::new(config, &initial.program).filter(|_| config.mutation.proposals > 0.0),
            keys,
            seed: config.seed,
            initial: initial.program,
            others: Vec::new(),
        }
    }

    /// The same with further programs to start from: the first children are these, in order.
    pub fn with_others(mut self, others: Vec<Arc<Program>>) -> Evolution<'a> {
        self.others = others;
        self
    }

    /// Returns the yields of the operators.
    pub fn yields(&self) -> Vec<OperatorYield> {
        self.operators.yields()
    }

    /// Counts a child that comes in for its operator. `first` is whether it was evaluated, and not
    /// an earlier program of its key.
    pub fn count(&mut self, child: &Child, first: bool, fitness: Fitness) {
        self.operators.count(child, first, fitness);
    }

    /// Children that are initial programs.
    pub fn others(&self) -> u64 {
        self.others.len() as u64
    }

    /// The key of a program in the fitness cache.
    pub fn key(&mut self, hash: FunctionalHash, program: &Program) -> FunctionalHash {
        self.keys.of(hash, program).0
    }

    /// The population: island by island, each with its oldest first.
    pub fn population(&self) -> impl Iterator<Item = &Individual> + Clone {
        self.islands.iter().flatten()
    }

    /// Breeds child number `index` from the population as it stands. Every child has a random
    /// stream of its own, so what it is depends on the seed, its number and the population alone.
    pub fn breed(&mut self, index: u64) -> Child {
        self.breed_with(index, None)
    }

    /// Which parents a command is to be asked for child number `index` of, if one is.
    pub fn question(&self, index: u64) -> Option<Question> {
        if !self.asks || index < self.others() {
            return None;
        }
        let mut choice = self.choose(index);
        if choice.operator != Some(MutationKind::Proposal) {
            return None;
        }
        let second = self.select(choice.island, &mut choice.rng);
        let asked = |parent: &Individual| (Arc::clone(&parent.program), Parent::from(parent));
        Some(Question { child: index, parents: [asked(choice.parent), asked(second)] })
    }

    /// The first parent of a child, and the operator that makes it.
    fn choose(&self, index: u64) -> Choice<'_> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(index);
        let island = (index % self.islands.len() as u64) as usize;
        let parent = self.select(island, &mut rng);
        let operator = self.operators.draw(&mut rng);
        Choice { rng, island, parent, operator }
    }

    /// The same with the answer to the [`question`](Evolution::question), if there is one.
    pub fn breed_with(&mut self, index: u64, proposal: Option<&Proposal>) -> Child {
        let other = usize::try_from(index).ok().and_then(|index| self.others.get(index)).cloned();
        let island = (index % self.islands.len() as u64) as usize;
        let (program, mutation, parents, start) = match (other, self.config.strategy) {
            (Some(other), _) => {
                let mutation = self.mutator.whole(&other, MutationKind::Initial);
                (Arc::unwrap_or_clone(other), mutation, [None; 2], Arc::from([]))
            }
            (None, Strategy::Regularized) => {
                let Choice { mut rng, parent, operator, .. } = self.choose(index);
                let (first, start) = (Parent::from(parent), Arc::clone(&parent.settings));
                let parent = Arc::clone(&parent.program);
                let (program, mutation, second) =
                    self.vary(&parent, operator, proposal, island, &mut rng);
                (program, mutation, [Some(first), second], start)
            }
            (None, Strategy::Random) => {
                let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
                rng.set_stream(index);
                let (program, mutation) = self.mutator.random(&self.initial, &mut rng);
                (program, mutation, [None; 2], Arc::from([]))
            }
        };
        let graph = self.mutator.graph();
        let statements = program.statements.len();
        let redundant =
            |kind: Redundancy| graph.redundancy().iter().filter(|r| **r == kind).count();
        let live = redundant(Redundancy::Live);
        let within_step = redundant(Redundancy::WithinStep);
        let hash = graph.hash();
        let (key, first) = self.keys.of(hash, &program);
        Child {
            hash,
            key,
            parent: parents[0].and_then(|parent| parent.index),
            parents,
            mutation,
            redundant_share: within_step as f64 / statements.max(1) as f64,
            live,
            start,
            screened: first && key == SCREENED,
            island,
            program: Arc::new(program),
        }
    }

    /// Makes a child of a parent, perhaps with a second one.
    fn vary(
        &mut self,
        parent: &Program,
        operator: Option<MutationKind>,
        proposal: Option<&Proposal>,
        island: usize,
        rng: &mut ChaCha8Rng,
    ) -> (Program, Mutation, Option<Parent>) {
        if let Some(MutationKind::Crossover | MutationKind::Proposal) = operator {
            let other = self.select(island, rng);
            let (second, other) = (Parent::from(other), Arc::clone(&other.program));
            if operator == Some(MutationKind::Crossover) {
                if let Some((child, mutation)) = self.mutator.cross(parent, &other, rng) {
                    return (child, mutation, Some(second));
                }
            } else if let Some(child) = self.proposed(proposal) {
                let mutation = self.mutator.whole(&child, MutationKind::Proposal);
                return (child, mutation, Some(second));
            } else {
                self.operators.count_failed(MutationKind::Proposal);
            }
        }
        let (child, mutation) = self.mutator.mutate_by(operator, parent, rng);
        (child, mutation, None)
    }

    fn proposed(&self, proposal: Option<&Proposal>) -> Option<Program> {
        match (proposal, &self.terms) {
            (Some(Proposal::Program(text)), Some(terms)) => terms.accept(text).ok(),
            _ => None,
        }
    }

    /// The parent of a child of an island.
    fn select(&self, island: usize, rng: &mut ChaCha8Rng) -> &Individual {
        let mut from = island;
        if self.islands.len() > 1 && rng.random::<f64>() < self.config.migration {
            from = below(rng, self.islands.len());
        }
        let population = &self.islands[from];
        let mut parent = &population[below(rng, population.len())];
        for _ in 1..self.config.tournament {
            let other = &population[below(rng, population.len())];
            if self.wins(other, parent) {
                parent = other;
            }
        }
        parent
    }

    /// Whether an individual wins a tournament against another that was drawn before it.
    fn wins(&self, other: &Individual, first: &Individual) -> bool {
        match (other.fitness, first.fitness) {
            (Fitness::Improvement(a), Fitness::Improvement(b))
                if (a - b).abs() < self.config.parsimony && other.live != first.live =>
            {
                other.live < first.live
            }
            (a, b) => a.is_better_than(b),
        }
    }

    /// Takes in one of the further programs that the search starts from, which is the child of this
    /// number: of the population as it began each program gets the places in turn.
    pub fn absorb_initial(&mut self, individual: &Individual, index: u64) {
        let count = self.others.len() + 1;
        let turn = index as usize + 1;
        let places = self.islands.iter_mut().flatten().enumerate();
        for (_, place) in places.filter(|(place, _)| place % count == turn) {
            *place = individual.clone();
        }
        self.copies.clear();
        for individual in self.islands.iter().flatten() {
            *self.copies.entry(individual.key).or_default() += 1;
        }
    }

    /// Takes in a child of an island that has its fitness; the oldest goes. If the population has
    /// too many of its key already, the child itself goes, and nothing changes. Gives back who is
    /// gone.
    pub fn absorb(&mut self, individual: Individual, island: usize) -> Option<Individual> {
        if self.most_copies < usize::MAX {
            let count = self.copies.entry(individual.key).or_default();
            if *count >= self.most_copies {
                return Some(individual);
            }
            *count += 1;
        }
        let island = &mut self.islands[island];
        island.push_back(individual);
        let oldest = island.pop_front()?;
        if self.most_copies < usize::MAX
            && let Entry::Occupied(mut count) = self.copies.entry(oldest.key)
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        Some(oldest)
    }

    /// The best individuals with different keys, the fittest first; of equals the one that comes
    /// first in the population.
    pub fn elite(&self, count: usize) -> Vec<&Individual> {
        let mut seen = HashSet::new();
        let mut elite: Vec<&Individual> = self
            .population()
            .filter(|i| i.fitness.improvement().is_some() && seen.insert(i.key))
            .collect();
        elite.sort_by_key(|individual| std::cmp::Reverse(individual.fitness));
        elite.truncate(count);
        elite
    }

    /// Gives all individuals of the given keys other evaluations.
    pub fn revise(&mut self, evaluations: &HashMap<FunctionalHash, Evaluation>, penalty: f64) {
        for individual in self.islands.iter_mut().flatten() {
            if let Some(evaluation) = evaluations.get(&individual.key) {
                individual.fitness = evaluation.score(penalty);
                individual.curve = Arc::clone(&evaluation.curve);
                individual.settings = Arc::clone(&evaluation.settings);
            }
        }
    }

    /// Writes the population, the operators and the keys.
    pub(crate) fn save(&self, state: &mut StateWriter) {
        // The other fields follow from these and from the settings.
        let Evolution {
            islands,
            copies: _,
            most_copies: _,
            config: _,
            mutator: _,
            operators,
            asks: _,
            terms: _,
            keys,
            seed: _,
            initial: _,
            others: _,
        } = self;
        islands.iter().flatten().for_each(|individual| individual.save(state));
        operators.save(state);
        keys.save(state);
    }

    /// Reads what [`Evolution::save`] wrote, in place of the population that a search begins with.
    pub(crate) fn restore(&mut self, state: &mut StateReader) -> Option<()> {
        for individual in self.islands.iter_mut().flatten() {
            *individual = Individual::restore(state)?;
        }
        if self.most_copies < usize::MAX {
            self.copies.clear();
            for individual in self.islands.iter().flatten() {
                *self.copies.entry(individual.key).or_default() += 1;
            }
        }
        self.operators.restore(state)?;
        self.keys.restore(state)
    }

    /// The key in the fitness cache of a functional hash that has come up.
    pub(crate) fn key_of_known(&self, hash: FunctionalHash) -> FunctionalHash {
        self.keys.of_known(hash)
    }

    /// How many islands there are.
    pub(crate) fn islands(&self) -> usize {
        self.islands.len()
    }
}
