//! The mutations of the paper: insert a statement, delete one, or modify an argument of one.
//!
//! A kind is drawn by its weight, then the mutation is tried until the child is valid (types and data flow), so that the kinds come out with
//! their weights. Redundant statements stay in: they are the raw material of later changes.

use std::fmt;

use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};
use serde::Serialize;
use symopt_dsl::function::{FUNCTIONS, Profile};
use symopt_dsl::{Function, Graph, Operand, Program, Statement, VarId};

use crate::config::MutationConfig;

/// Attempts at one kind of mutation before another kind is drawn: deleting from a program with one statement never works.
const ATTEMPTS: usize = 200;

/// Kinds that are drawn. If none of them works, as where a program that can't lose any more is only to be deleted from, a statement is inserted
/// all the same: the search would never end.
const KINDS: usize = 50;

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
}

impl fmt::Display for MutationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            MutationKind::Insert => "insert",
            MutationKind::Delete => "delete",
            MutationKind::Modify => "modify",
        })
    }
}

/// What a mutation did: where parent and child differ says the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mutation {
    /// Its kind.
    pub kind: MutationKind,
    /// Index of the statement: in the child for an insertion, in the parent for a deletion, in both for a modification.
    pub statement: usize,
}

/// Mutates programs. Holds buffers, so one is used again and again.
#[derive(Clone, Debug)]
pub struct Mutator {
    functions: Vec<Function>,
    config: MutationConfig,
    graph: Graph,
    variables: Vec<VarId>,
}

impl Mutator {
    /// A mutator that draws from the functions of a profile.
    pub fn new(profile: Profile, config: MutationConfig) -> Mutator {
        let functions = FUNCTIONS.iter().filter(|row| row.profile == profile).map(|row| row.function).collect();
        Mutator { functions, config, graph: Graph::default(), variables: Vec::new() }
    }

    /// A valid child of a valid program. Afterwards [`Mutator::graph`] is the child's graph.
    pub fn mutate(&mut self, parent: &Program, rng: &mut impl Rng) -> (Program, Mutation) {
        let mut child = parent.clone();
        child.clear_comments();
        let mut kinds = 0;
        loop {
            kinds += 1;
            let kind = if kinds > KINDS { MutationKind::Insert } else { self.draw_kind(parent, rng) };
            for _ in 0..ATTEMPTS {
                let changed = match kind {
                    MutationKind::Insert => self.insert(&mut child, rng),
                    MutationKind::Delete => delete(&mut child, rng),
                    MutationKind::Modify => self.modify(&mut child, rng),
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
        let function = self.functions[below(rng, self.functions.len())];
        let mut arguments = [Operand::Constant(0.0); 3];
        self.collect_variables(child, place);
        for argument in arguments.iter_mut().take(function.arity()) {
            *argument = self.new_argument(rng);
        }
        if function == Function::Interp && !self.config.interp_weights.is_empty() {
            arguments[2] = self.interp_weight(rng);
        }
        let new = rng.random::<f64>() < self.config.new_variable;
        if !new {
            self.collect_variables(child, child.statements.len());
        }
        let target =
            if new || self.variables.is_empty() { child.fresh_variable() } else { Some(self.variables[below(rng, self.variables.len())]) };
        child.statements.insert(place, Statement::new(target?, function, &arguments));
        Some(place)
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
        let is_weight = position == 2 && child.statements[index].function == Function::Interp && !self.config.interp_weights.is_empty();
        let new = match child.statements[index].arguments()[position] {
            _ if is_weight => self.interp_weight(rng),
            Operand::Constant(value) if rng.random::<f64>() < self.config.scale => {
                let exponent: f64 = StandardNormal.sample(rng);
                let scaled = value * libm::exp2(exponent);
                if !scaled.is_finite() {
                    return None;
                }
                Operand::Constant(scaled)
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

    /// Collects the variables that have a value before statement `place` runs, but for hidden parameters.
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
            let hidden = |v: &VarId| parameters.get(v.index()).is_some_and(|p| self.config.hidden.contains(&p.name));
            self.variables.retain(|v| !hidden(v));
        }
    }
}

fn delete(child: &mut Program, rng: &mut impl Rng) -> Option<usize> {
    if child.statements.is_empty() {
        return None;
    }
    let index = below(rng, child.statements.len());
    child.statements.remove(index);
    Some(index)
}

/// A random number below `bound`, the same on machines of any word size.
pub(crate) fn below(rng: &mut impl Rng, bound: usize) -> usize {
    rng.random_range(0..bound as u32) as usize
}
