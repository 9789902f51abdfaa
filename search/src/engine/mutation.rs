//! The mutations of the paper: insert a statement, delete one, or modify an argument of one.
//!
//! A kind is drawn by its weight, then the mutation is tried until the child is valid (types and
//! data flow), so that the kinds come out with their weights. Redundant statements stay in: they
//! are the raw material of later changes.
//!
//! By choice there is a crossover too: see `engine/crossover.rs`. For comparison there are also
//! random programs, and a mutation of nothing but constants.

use std::fmt;

use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};
use serde::Serialize;
use symopt_dsl::function::Profile;
use symopt_dsl::{Function, Graph, Operand, Program, Statement, VarId};

use crate::config::MutationConfig;
use crate::engine::crossover::cross;
use crate::engine::random::below;
use crate::space::Space;

/// Attempts at one kind of mutation before another kind is drawn: deleting from a program with one
/// statement never works.
const ATTEMPTS: usize = 200;

/// Kinds that are drawn. If none of them works, as where a program that can't lose any more is only
/// to be deleted from, a statement is inserted all the same: the search would never end.
const KINDS: usize = 50;
/// Attempts at a random program of one length before another length is drawn, and lengths that are
/// drawn. A good part of the programs of each length is valid.
const RANDOM_ATTEMPTS: usize = 2000;
const RANDOM_LENGTHS: usize = 100;

/// The kinds of mutation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MutationKind {
    /// A random statement at a random place.
    Insert,
    /// A random statement less.
    Delete,
    /// A random argument of a random statement replaced, or scaled if it is a constant.
    Modify,
    /// No mutation: a random program.
    Random,
    /// No mutation: one of several programs that the search starts from.
    Initial,
    /// A block of statements of a second parent.
    Crossover,
    /// No mutation: a program that a command proposed.
    Proposal,
}

impl MutationKind {
    /// All kinds, in the order of their codes.
    const ALL: [MutationKind; 7] = [
        MutationKind::Insert,
        MutationKind::Delete,
        MutationKind::Modify,
        MutationKind::Random,
        MutationKind::Initial,
        MutationKind::Crossover,
        MutationKind::Proposal,
    ];

    /// The number that stands for it in files.
    pub(crate) fn code(self) -> u8 {
        match self {
            MutationKind::Insert => 0,
            MutationKind::Delete => 1,
            MutationKind::Modify => 2,
            MutationKind::Random => 3,
            MutationKind::Initial => 4,
            MutationKind::Crossover => 5,
            MutationKind::Proposal => 6,
        }
    }

    /// The kind of a number.
    pub(crate) fn from_code(code: u8) -> Option<MutationKind> {
        MutationKind::ALL.get(usize::from(code)).copied()
    }
}

impl fmt::Display for MutationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            MutationKind::Insert => "insert",
            MutationKind::Delete => "delete",
            MutationKind::Modify => "modify",
            MutationKind::Random => "random",
            MutationKind::Initial => "initial",
            MutationKind::Crossover => "crossover",
            MutationKind::Proposal => "proposal",
        })
    }
}

/// Kind and place of a mutation: the differences between parent and child tell the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mutation {
    /// Its kind.
    pub kind: MutationKind,
    /// Index of the statement: in the child for an insertion, in the parent for a deletion, in both
    /// for a modification, 0 for a program that is no mutation; of a crossover the one in the child
    /// that reads the block.
    pub statement: usize,
}

/// Mutates programs. Holds buffers, so one is used again and again.
#[derive(Clone, Debug)]
pub struct Mutator {
    functions: Vec<Function>,
    config: MutationConfig,
    graph: Graph,
    /// Graph of the program that gives a block.
    donor: Graph,
    variables: Vec<VarId>,
}

impl Mutator {
    /// A mutator that draws from the functions of the settings, or from those of the paper where
    /// they name none; [`SearchConfig::check`](crate::config::SearchConfig::check) refuses such.
    pub fn new(config: MutationConfig) -> Mutator {
        let functions = match Space::parse(&config.functions) {
            Ok(space) => space.functions().to_vec(),
            Err(_) => Profile::Paper.functions().collect(),
        };
        Mutator {
            functions,
            config,
            graph: Graph::default(),
            donor: Graph::default(),
            variables: Vec::new(),
        }
    }

    /// A valid child of a valid program. Afterwards [`Mutator::graph`] is the child's graph.
    pub fn mutate(&mut self, parent: &Program, rng: &mut impl Rng) -> (Program, Mutation) {
        self.mutate_by(None, parent, rng)
    }

    /// The same by a kind, if it can be done; by one of the others otherwise.
    pub(crate) fn mutate_by(
        &mut self,
        wish: Option<MutationKind>,
        parent: &Program,
        rng: &mut impl Rng,
    ) -> (Program, Mutation) {
        let mut child = parent.clone();
        child.clear_comments();
        let mut kinds = 0;
        if self.config.constants_only {
            return self.tune(child, rng);
        }
        let full = parent.statements.len() >= self.config.max_statements;
        let mut wish = wish.filter(|kind| *kind != MutationKind::Insert || !full);
        loop {
            kinds += 1;
            let kind = match wish.take() {
                Some(kind) => kind,
                None if kinds > KINDS => MutationKind::Insert,
                None => self.draw_kind(parent, rng),
            };
            for _ in 0..ATTEMPTS {
                let changed = match kind {
                    MutationKind::Insert => self.insert(&mut child, rng),
                    MutationKind::Delete => delete(&mut child, rng),
                    MutationKind::Modify => self.modify(&mut child, rng),
                    // Never drawn.
                    _ => None,
                };
                if let Some(statement) = changed
                    && self.graph.rebuild(&child).is_ok()
                {
                    return (child, Mutation { kind, statement });
                }
                child.statements.clone_from(&parent.statements);
            }
        }
    }

    /// A valid child of a valid program with a block of statements of another; `None` if none can
    /// be made. Afterwards [`Mutator::graph`] is the child's graph.
    pub fn cross(
        &mut self,
        parent: &Program,
        donor: &Program,
        rng: &mut impl Rng,
    ) -> Option<(Program, Mutation)> {
        self.donor.rebuild(donor).ok()?;
        let mut child = parent.clone();
        child.clear_comments();
        for _ in 0..ATTEMPTS {
            let crossed = cross(&mut child, donor, &self.donor, &self.config, rng);
            if let Some(statement) = crossed
                && self.graph.rebuild(&child).is_ok()
            {
                return Some((child, Mutation { kind: MutationKind::Crossover, statement }));
            }
            child.statements.clone_from(&parent.statements);
        }
        None
    }

    /// A random program with the signature of another, and with up to twice as many statements.
    /// Afterwards [`Mutator::graph`] is its graph.
    ///
    /// Each statement is drawn as an inserted one, from what is there before it; the last one
    /// assigns the update, without which hardly any program would be valid. The number of
    /// statements is drawn first and stays when the rest is drawn again, so that every length is as
    /// frequent as another.
    pub fn random(&mut self, template: &Program, rng: &mut impl Rng) -> (Program, Mutation) {
        let mutation = Mutation { kind: MutationKind::Random, statement: 0 };
        let mut program = template.clone();
        program.clear_comments();
        let most = (2 * template.statements.len()).clamp(1, self.config.max_statements.max(1));
        for _ in 0..RANDOM_LENGTHS {
            let length = 1 + below(rng, most);
            for _ in 0..RANDOM_ATTEMPTS {
                program.statements.clear();
                let complete = (0..length).all(|_| self.append(&mut program, rng));
                if !complete {
                    continue;
                }
                if let Some(last) = program.statements.last_mut() {
                    last.target = program.update;
                }
                if self.graph.rebuild(&program).is_ok() {
                    return (program, mutation);
                }
            }
        }
        // Settings that hide all parameters leave nothing to make a program of.
        program.statements.clone_from(&template.statements);
        let _ = self.graph.rebuild(&program);
        (program, mutation)
    }

    /// A program as it is, which is known to be valid. Afterwards [`Mutator::graph`] is its graph.
    pub(crate) fn whole(&mut self, program: &Program, kind: MutationKind) -> Mutation {
        let _ = self.graph.rebuild(program);
        Mutation { kind, statement: 0 }
    }

    /// Multiplies a random constant.
    fn tune(&mut self, mut child: Program, rng: &mut impl Rng) -> (Program, Mutation) {
        let before = child.statements.clone();
        let places = constants(&child);
        for _ in 0..ATTEMPTS {
            if places.is_empty() {
                break;
            }
            let (statement, position) = places[below(rng, places.len())];
            let changed = &mut child.statements[statement];
            if let Operand::Constant(value) = changed.arguments()[position] {
                let new = if position == 2
                    && changed.function == Function::Interp
                    && !self.config.interp_weights.is_empty()
                {
                    Some(self.interp_weight(rng))
                } else {
                    scaled(value, rng)
                };
                if let Some(new) = new {
                    changed.arguments_mut()[position] = new;
                    if self.graph.rebuild(&child).is_ok() {
                        return (child, Mutation { kind: MutationKind::Modify, statement });
                    }
                }
            }
            child.statements.clone_from(&before);
        }
        // Nothing to change: the child is its parent.
        let _ = self.graph.rebuild(&child);
        (child, Mutation { kind: MutationKind::Modify, statement: 0 })
    }

    /// Abstract execution of the last child.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    fn draw_kind(&self, parent: &Program, rng: &mut impl Rng) -> MutationKind {
        let MutationConfig { insert, delete, modify, .. } = self.config;
        let full = parent.statements.len() >= self.config.max_statements;
        // A program that can't grow and whose settings allow nothing else is modified.
        let insert = if full { 0.0 } else { insert };
        let drawn = rng.random::<f64>() * (insert + delete + modify);
        if drawn < insert {
            MutationKind::Insert
        } else if drawn < insert + delete {
            MutationKind::Delete
        } else {
            MutationKind::Modify
        }
    }

    /// The index of the new statement. Like the others: `None` if the attempt came to nothing.
    fn insert(&mut self, child: &mut Program, rng: &mut impl Rng) -> Option<usize> {
        let place = below(rng, child.statements.len() + 1);
        let statement = self.new_statement(child, place, rng)?;
        child.statements.insert(place, statement);
        Some(place)
    }

    /// One more random statement at the end; false if there is no room for its variable.
    fn append(&mut self, program: &mut Program, rng: &mut impl Rng) -> bool {
        let statement = self.new_statement(program, program.statements.len(), rng);
        program.statements.extend(statement);
        statement.is_some()
    }

    /// A random statement that can stand at a place.
    fn new_statement(
        &mut self,
        program: &Program,
        place: usize,
        rng: &mut impl Rng,
    ) -> Option<Statement> {
        let function = self.functions[below(rng, self.functions.len())];
        let mut arguments = [Operand::Constant(0.0); 3];
        self.collect_variables(program, place);
        for argument in arguments.iter_mut().take(function.arity()) {
            *argument = self.new_argument(rng);
        }
        if function == Function::Interp && !self.config.interp_weights.is_empty() {
            arguments[2] = self.interp_weight(rng);
        }
        let new = rng.random::<f64>() < self.config.new_variable;
        if !new {
            self.collect_variables(program, program.statements.len());
        }
        let target = if new || self.variables.is_empty() {
            program.fresh_variable()
        } else {
            Some(self.variables[below(rng, self.variables.len())])
        };
        Some(Statement::new(target?, function, &arguments))
    }

    fn modify(&mut self, child: &mut Program, rng: &mut impl Rng) -> Option<usize> {
        if child.statements.is_empty() {
            return None;
        }
        let index = below(rng, child.statements.len());
        let arity = child.statements[index].function.arity();
        if arity == 0 {
            return None;
        }
        let position = below(rng, arity);
        let is_weight = position == 2
            && child.statements[index].function == Function::Interp
            && !self.config.interp_weights.is_empty();
        let new = match child.statements[index].arguments()[position] {
            _ if is_weight => self.interp_weight(rng),
            Operand::Constant(value) if rng.random::<f64>() < self.config.scale => {
                scaled(value, rng)?
            }
            _ => {
                self.collect_variables(child, index);
                self.new_argument(rng)
            }
        };
        child.statements[index].arguments_mut()[position] = new;
        Some(index)
    }

    /// A new constant, or one of the collected variables.
    fn new_argument(&self, rng: &mut impl Rng) -> Operand {
        let constant = rng.random::<f64>() < self.config.constant;
        // All parameters may be hidden.
        if constant || self.variables.is_empty() {
            Operand::Constant(StandardNormal.sample(rng))
        } else {
            Operand::Variable(self.variables[below(rng, self.variables.len())])
        }
    }

    fn interp_weight(&self, rng: &mut impl Rng) -> Operand {
        Operand::Constant(self.config.interp_weights[below(rng, self.config.interp_weights.len())])
    }

    /// Collects the variables that have a value before statement `place` runs, but for hidden
    /// parameters.
    fn collect_variables(&mut self, program: &Program, place: usize) {
        self.variables.clear();
        self.variables.extend((0..program.signature().parameters.len()).map(|i| VarId(i as u16)));
        let parameters = self.variables.len();
        for statement in &program.statements[..place] {
            let target = statement.target;
            if target.index() >= parameters && !self.variables[parameters..].contains(&target) {
                self.variables.push(target);
            }
        }
        if !self.config.hidden.is_empty() {
            let parameters = &program.signature().parameters;
            let hidden = |v: &VarId| {
                parameters.get(v.index()).is_some_and(|p| self.config.hidden.contains(&p.name))
            };
            self.variables.retain(|v| !hidden(v));
        }
    }
}

/// A constant times 2^a, a ~ N(0, 1), unless that is too large for a number.
fn scaled(value: f64, rng: &mut impl Rng) -> Option<Operand> {
    let exponent: f64 = StandardNormal.sample(rng);
    let scaled = value * libm::exp2(exponent);
    scaled.is_finite().then_some(Operand::Constant(scaled))
}

/// The places of the constants of a program: statement and argument.
pub fn constants(program: &Program) -> Vec<(usize, usize)> {
    let of_statement = |(index, statement): (usize, &Statement)| {
        let constant = |(position, argument): (usize, &Operand)| {
            matches!(argument, Operand::Constant(_)).then_some((index, position))
        };
        statement.arguments().iter().enumerate().filter_map(constant).collect::<Vec<_>>()
    };
    program.statements.iter().enumerate().flat_map(of_statement).collect()
}

fn delete(child: &mut Program, rng: &mut impl Rng) -> Option<usize> {
    if child.statements.is_empty() {
        return None;
    }
    let index = below(rng, child.statements.len());
    child.statements.remove(index);
    Some(index)
}
