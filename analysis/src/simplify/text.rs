//! Values of a flow in people's terms.

use std::collections::BTreeMap;

use egg::{Id, Language};
use symopt_dsl::function::Function;
use symopt_dsl::printer;
use symopt_dsl::program::{ParameterKind, Program};

use crate::simplify::term::{Builder, Leaf, Term};

/// Levels of calls that are spelled out before names, or dots, stand for what is further inside.
const DEPTH: usize = 4;

/// Spells values of an arena.
pub(crate) struct Speller<'a> {
    arena: &'a Builder,
    /// Names of values in the program that is spoken of, each of one value only.
    names: BTreeMap<Id, String>,
    /// The program, for the names of its parameters.
    program: &'a Program,
}

impl<'a> Speller<'a> {
    /// A speller of values of a program, whose variables name some of them. A value whose name
    /// another value had before gets a prime: after `g = clip(g, lr)` it is `g'`.
    pub(crate) fn new(
        arena: &'a Builder,
        names: &BTreeMap<Id, String>,
        program: &'a Program,
    ) -> Speller<'a> {
        let mut taken: BTreeMap<&str, usize> = program
            .signature()
            .parameters
            .iter()
            .map(|parameter| (parameter.name.as_str(), 1))
            .collect();
        // Arguments come before what is made of them, so this is an order in which the values could
        // be computed.
        let names = names.iter().map(|(id, name)| {
            let before = taken.entry(name).or_insert(0);
            *before += 1;
            (*id, format!("{name}{}", "'".repeat(*before - 1)))
        });
        let names = names.collect();
        Speller { arena, names, program }
    }

    /// A value, its outermost call spelled out.
    pub(crate) fn spell(&self, id: Id) -> String {
        self.at(id, 0, 0)
    }

    /// A value by its name, if it has one.
    pub(crate) fn name(&self, id: Id) -> String {
        self.names.get(&id).cloned().unwrap_or_else(|| self.spell(id))
    }

    fn leaf(&self, leaf: Leaf) -> String {
        let signature = self.program.signature();
        let of_kind = |kind: ParameterKind| {
            let place = signature.parameters.iter().position(|parameter| parameter.kind == kind);
            place.map_or_else(|| "?".to_owned(), |place| signature.parameters[place].name.clone())
        };
        match leaf {
            Leaf::Weights => of_kind(ParameterKind::Weights),
            Leaf::Gradients => of_kind(ParameterKind::Gradients),
            Leaf::LearningRate => of_kind(ParameterKind::LearningRate),
            Leaf::Step => of_kind(ParameterKind::Step),
            Leaf::Slot(slot) => signature
                .slots()
                .nth(usize::from(slot))
                .map_or_else(|| "?".to_owned(), |id| self.program.variable_name(id).to_string()),
            Leaf::Hyperparameter(variable) => self.program.variable_name(variable).to_string(),
        }
    }

    /// `strength` of the operator around: 0 for none, 1 for sums, 2 for products, 3 for a sign.
    fn at(&self, id: Id, depth: usize, strength: u8) -> String {
        let node = self.arena.node(id);
        if let (Term::Call(..), Some(name)) = (node, self.names.get(&id))
            && depth > 0
        {
            return name.clone();
        }
        let infix = |operator: &str, own: u8, right: u8| {
            let sides: Vec<String> = node
                .children()
                .iter()
                .zip([own, right])
                .map(|(child, strength)| self.at(*child, depth + 1, strength))
                .collect();
            let text = sides.join(&format!(" {operator} "));
            if own < strength { format!("({text})") } else { text }
        };
        match node {
            Term::Leaf(leaf) => self.leaf(*leaf),
            Term::Constant(bits) => printer::number(f64::from_bits(*bits)).to_string(),
            Term::Cast(_, [inner]) => self.at(*inner, depth, strength),
            Term::Outputs(_) => "the outputs".to_owned(),
            Term::Call(..) if depth > DEPTH => "...".to_owned(),
            Term::Call(Function::Add, _) => infix("+", 1, 2),
            Term::Call(Function::Subtract, _) => infix("-", 1, 2),
            Term::Call(Function::Multiply, _) => infix("*", 2, 3),
            Term::Call(Function::Divide, _) => infix("/", 2, 3),
            Term::Call(Function::Negative, [inner, ..]) => {
                format!("-{}", self.at(*inner, depth + 1, 3))
            }
            Term::Call(function, _) => {
                let arguments: Vec<String> =
                    node.children().iter().map(|child| self.at(*child, depth + 1, 0)).collect();
                format!("{}({})", function.name(), arguments.join(", "))
            }
        }
    }
}
