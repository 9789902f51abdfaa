//! Rules as pairs of programs, so that every rule can be run on its own: what the labels are tested
//! with.

use std::collections::BTreeMap;

use egg::{ENodeOrVar, Id, Language, Pattern, Var};
use symopt_dsl::function::Function;
use symopt_dsl::program::{Numerics, Parameter, ParameterKind, Program, Signature, SlotId};
use symopt_dsl::types::Type;

use crate::simplify::assembly::{Naming, assemble};
use crate::simplify::check::Condition;
use crate::simplify::facts::Facts;
use crate::simplify::label::Label;
use crate::simplify::rules::{Given, Rule};
use crate::simplify::saturation::variable_names;
use crate::simplify::term::{Builder, Leaf, Term};

/// A rule with values in place of its variables: two programs that are equal in the sense of the
/// label.
#[derive(Clone, Debug)]
pub struct Instance {
    /// The left side as the update of a program with a slot, an average of gradients.
    pub before: Program,
    /// The right side.
    pub after: Program,
    /// In which sense they are equal.
    pub label: Label,
    /// Where, for the label `domain`.
    pub conditions: Vec<Condition>,
}

/// Values that stand in for variables.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Value {
    Number(f64),
    Leaf(Leaf),
    /// A function of gradients, with values in a known range.
    OfGradients(Function),
    /// A function of the state.
    OfState(Function),
    /// One number for each array.
    NormOfWeights,
}

/// Values that are tried for a variable, as long as they fit what must be known about it.
const TREES: [Value; 9] = [
    Value::Leaf(Leaf::Gradients),
    Value::Leaf(Leaf::Slot(0)),
    Value::Leaf(Leaf::Weights),
    Value::OfGradients(Function::Square),
    Value::OfGradients(Function::Exp),
    Value::OfGradients(Function::Sin),
    Value::OfState(Function::Abs),
    Value::OfState(Function::Cosh),
    Value::NormOfWeights,
];
const SCALARS: [Value; 7] = [
    Value::Number(0.3),
    Value::Number(0.7),
    Value::Leaf(Leaf::LearningRate),
    Value::Number(-1.25),
    Value::Number(2.5),
    Value::Leaf(Leaf::Step),
    Value::Number(0.0),
];

/// Instances of one rule that are made at most: of many combinations, the first ones.
const MOST: usize = 40;

impl Rule {
    /// Instances of the rule over trees, numbers for each array and scalars, with all its
    /// conditions; and where the conditions may be known to hold, instances of that form too.
    pub fn instances(&self) -> Vec<Instance> {
        let mut instances = self.instances_as(self.label, self.given);
        let known: Option<Vec<Given>> = self
            .domain
            .iter()
            .map(|(requirement, variable)| requirement.as_given(variable))
            .collect();
        if let (Label::Domain, Some(known)) = (self.label, known) {
            let given: Vec<Given> = self.given.iter().copied().chain(known).collect();
            instances.extend(self.instances_as(Label::Real, &given));
        }
        instances
    }

    fn instances_as(&self, label: Label, given: &[Given]) -> Vec<Instance> {
        let variables: Vec<&'static str> = variable_names(self).collect();
        let is_scalar = |name: &str| matches!(name, "?a" | "?b" | "?s" | "?r");
        let mut found = Vec::new();
        // Rules without scalars are tried on scalars too.
        for only_scalars in [false, true] {
            let choices: Vec<&[Value]> = variables
                .iter()
                .map(|name| if only_scalars || is_scalar(name) { &SCALARS[..] } else { &TREES[..] })
                .collect();
            let combinations: usize = choices.iter().map(|choice| choice.len()).product();
            // A stride that is prime to the numbers of choices mixes the combinations.
            let mut made = 0;
            for step in 0..combinations {
                let mut place = step * 11 % combinations.max(1);
                let mut chosen = BTreeMap::new();
                for (name, choice) in variables.iter().zip(&choices) {
                    chosen.insert(*name, choice[place % choice.len()]);
                    place /= choice.len();
                }
                if made < MOST / 2
                    && let Some(instance) = self.instance(label, given, &chosen)
                {
                    found.push(instance);
                    made += 1;
                }
            }
        }
        found
    }

    fn instance(
        &self,
        label: Label,
        given: &[Given],
        chosen: &BTreeMap<&'static str, Value>,
    ) -> Option<Instance> {
        let mut builder = Builder::default();
        let mut values: BTreeMap<Var, Id> = BTreeMap::new();
        let mut facts: BTreeMap<&str, Facts> = BTreeMap::new();
        for (name, value) in chosen {
            let id = add_value(&mut builder, *value);
            values.insert(name.parse().ok()?, id);
            facts.insert(name, facts_of(&builder, id));
        }
        if !given.iter().all(|given| {
            given.holds(|name| facts.get(name).copied().unwrap_or(Facts::unknown(Type::Tree)))
        }) {
            return None;
        }
        let left = add_pattern(&mut builder, self.left, &values)?;
        let right = add_pattern(&mut builder, self.right, &values)?;
        let (from, to) = (builder.ty(left), builder.ty(right));
        if to > from {
            return None;
        }
        let before = program(&builder, left)?;
        let after = match (from, to) {
            (Type::PerArray, Type::Scalar) => {
                // Broadcast by hand: the program would not know that it is one number for each
                // array.
                let norm = add_value(&mut builder, Value::NormOfWeights);
                let right = spread(&mut builder, norm, right);
                program(&builder, right)?
            }
            (Type::Tree, Type::Scalar | Type::PerArray) => {
                let weights = builder.add(Term::Leaf(Leaf::Weights));
                let right = spread(&mut builder, weights, right);
                program(&builder, right)?
            }
            _ => program(&builder, right)?,
        };
        let mut conditions = Vec::new();
        if label == Label::Domain {
            for (requirement, name) in self.domain {
                let id = *values.get(&name.parse().ok()?)?;
                let text = requirement.text(name);
                conditions.push(Condition {
                    probe: probe(&builder, id)?,
                    requirement: *requirement,
                    text,
                });
            }
        }
        Some(Instance { before, after, label, conditions })
    }
}

/// A value as large as another one: a choice that is never made.
fn spread(builder: &mut Builder, like: Id, value: Id) -> Id {
    let never = builder.add(Term::number(0.0));
    builder.call(Function::Where, &[never, like, value])
}

fn add_value(builder: &mut Builder, value: Value) -> Id {
    let mut of = |leaf: Leaf, function: Function| {
        let leaf = builder.add(Term::Leaf(leaf));
        builder.call(function, &[leaf])
    };
    match value {
        Value::OfGradients(function) => of(Leaf::Gradients, function),
        Value::OfState(function) => of(Leaf::Slot(0), function),
        Value::NormOfWeights => of(Leaf::Weights, Function::Norm),
        Value::Number(value) => builder.add(Term::number(value)),
        Value::Leaf(leaf) => builder.add(Term::Leaf(leaf)),
    }
}

fn facts_of(builder: &Builder, id: Id) -> Facts {
    let node = builder.node(id);
    let children: Vec<Facts> =
        node.children().iter().map(|child| facts_of(builder, *child)).collect();
    Facts::of(node, &children, &[])
}

fn add_pattern(builder: &mut Builder, pattern: &str, values: &BTreeMap<Var, Id>) -> Option<Id> {
    let pattern: Pattern<Term> = pattern.parse().ok()?;
    let mut ids: Vec<Id> = Vec::new();
    for node in pattern.ast.as_ref() {
        ids.push(match node {
            ENodeOrVar::Var(variable) => *values.get(variable)?,
            ENodeOrVar::ENode(node) => {
                let node = node.clone().map_children(|child| ids[usize::from(child)]);
                // A pattern may put a tree where a scalar has to be.
                if let Term::Call(function, _) = &node {
                    let types: Vec<Type> =
                        node.children().iter().map(|child| builder.ty(*child)).collect();
                    function.result_type(&types).ok()?;
                }
                builder.add(node)
            }
        });
    }
    ids.last().copied()
}

/// A program with a value as its update; what is no tree is multiplied by the weights.
fn program(builder: &Builder, value: Id) -> Option<Program> {
    let mut builder = builder.clone();
    let mut value = value;
    if builder.ty(value) != Type::Tree {
        let weights = builder.add(Term::Leaf(Leaf::Weights));
        value = builder.call(Function::Multiply, &[weights, value]);
    }
    finish(builder, value)
}

/// A program with a value as its update, broadcast.
fn probe(builder: &Builder, value: Id) -> Option<Program> {
    let mut builder = builder.clone();
    let mut value = value;
    if builder.ty(value) != Type::Tree {
        let weights = builder.add(Term::Leaf(Leaf::Weights));
        let zero = builder.call(Function::Subtract, &[weights, weights]);
        value = builder.call(Function::Add, &[zero, value]);
    }
    finish(builder, value)
}

fn finish(mut builder: Builder, update: Id) -> Option<Program> {
    let state = builder.add(Term::Leaf(Leaf::Slot(0)));
    let gradients = builder.add(Term::Leaf(Leaf::Gradients));
    let weight = builder.add(Term::number(0.9));
    let next = builder.call(Function::Interp, &[gradients, state, weight]);
    let parameter = |name: &str, kind| Parameter { name: name.to_owned(), kind, default: None };
    let parameters = vec![
        parameter("w", ParameterKind::Weights),
        parameter("g", ParameterKind::Gradients),
        parameter("m", ParameterKind::Slot(SlotId(0))),
        parameter("t", ParameterKind::Step),
        parameter("lr", ParameterKind::LearningRate),
    ];
    let signature =
        Signature { name: "rule".to_owned(), doc: None, numerics: Numerics::Ieee, parameters };
    assemble(&signature, &builder.finish(&[update, next]), Naming::Kept)
}
