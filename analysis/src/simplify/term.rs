//! Programs as terms that equality saturation works on: the data flow with explicit broadcasts, and
//! one root over all outputs.

use std::collections::BTreeMap;

use egg::{FromOp, Id, Language, RecExpr};
use symopt_dsl::function::Function;
use symopt_dsl::program::{Operand, ParameterKind, Program, VarId};
use symopt_dsl::types::Type;

/// An input of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Leaf {
    /// The weights.
    Weights,
    /// The gradients.
    Gradients,
    /// `lr`.
    LearningRate,
    /// `t`.
    Step,
    /// The old value of a slot, by its place in the signature.
    Slot(u16),
    /// A hyperparameter, by its parameter's variable.
    Hyperparameter(VarId),
}

impl Leaf {
    fn ty(self) -> Type {
        match self {
            Leaf::Weights | Leaf::Gradients | Leaf::Slot(_) => Type::Tree,
            Leaf::LearningRate | Leaf::Step | Leaf::Hyperparameter(_) => Type::Scalar,
        }
    }
}

/// A node of a term.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Term {
    /// An input.
    Leaf(Leaf),
    /// A number, by its bits; NaN has one form.
    Constant(u64),
    /// A call; places past the arity hold 0, so that equal calls are equal.
    Call(Function, [Id; 3]),
    /// A smaller value broadcast to a larger type. It has no spelling in programs: it stands where
    /// a rule leaves a number in place of a tree, until an element-wise function takes it in.
    Cast(Type, [Id; 1]),
    /// The update, then the next values of the slots.
    Outputs(Box<[Id]>),
}

impl Term {
    /// A number.
    pub(crate) fn number(value: f64) -> Term {
        Term::Constant(if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() })
    }

    /// A call. There must be as many arguments as the function takes.
    pub(crate) fn call(function: Function, arguments: &[Id]) -> Term {
        let at = |index: usize| arguments.get(index).copied().unwrap_or(Id::from(0));
        Term::Call(function, [at(0), at(1), at(2)])
    }

    /// The number, if the node is one.
    pub(crate) fn constant(&self) -> Option<f64> {
        match self {
            Term::Constant(bits) => Some(f64::from_bits(*bits)),
            _ => None,
        }
    }
}

impl Language for Term {
    type Discriminant = (u8, u64);

    fn discriminant(&self) -> (u8, u64) {
        match self {
            Term::Leaf(_) => (0, 0),
            Term::Constant(_) => (1, 0),
            Term::Call(function, _) => (2, *function as u64),
            Term::Cast(ty, _) => (3, *ty as u64),
            Term::Outputs(children) => (4, children.len() as u64),
        }
    }

    fn matches(&self, other: &Term) -> bool {
        match (self, other) {
            (Term::Leaf(a), Term::Leaf(b)) => a == b,
            (Term::Constant(a), Term::Constant(b)) => a == b,
            (Term::Call(a, _), Term::Call(b, _)) => a == b,
            (Term::Cast(a, _), Term::Cast(b, _)) => a == b,
            (Term::Outputs(a), Term::Outputs(b)) => a.len() == b.len(),
            _ => false,
        }
    }

    fn children(&self) -> &[Id] {
        match self {
            Term::Leaf(_) | Term::Constant(_) => &[],
            Term::Call(function, arguments) => &arguments[..function.arity()],
            Term::Cast(_, child) => child,
            Term::Outputs(children) => children,
        }
    }

    fn children_mut(&mut self) -> &mut [Id] {
        match self {
            Term::Leaf(_) | Term::Constant(_) => &mut [],
            Term::Call(function, arguments) => &mut arguments[..function.arity()],
            Term::Cast(_, child) => child,
            Term::Outputs(children) => children,
        }
    }
}

/// Operators that patterns of rules may use in place of names.
const OPERATORS: [(&str, Function); 4] = [
    ("+", Function::Add),
    ("-", Function::Subtract),
    ("*", Function::Multiply),
    ("/", Function::Divide),
];

impl FromOp for Term {
    type Error = String;

    /// For the patterns of rules: function names and aliases, operators, `neg`, and numbers.
    fn from_op(op: &str, children: Vec<Id>) -> Result<Term, String> {
        let operator =
            OPERATORS.iter().find(|(name, _)| *name == op).map(|(_, function)| *function);
        let named = || if op == "neg" { Some(Function::Negative) } else { Function::from_name(op) };
        match operator.or_else(named) {
            Some(function) if function.arity() == children.len() => {
                Ok(Term::call(function, &children))
            }
            Some(function) => Err(format!("{op} takes {} arguments", function.arity())),
            None if children.is_empty() => op
                .parse()
                .map(Term::number)
                .map_err(|_| format!("{op:?} is no function and no number")),
            None => Err(format!("{op:?} is no function")),
        }
    }
}

/// A program as a term: nodes before the nodes that use them, equal nodes once, the root last.
#[derive(Clone, Debug)]
pub(crate) struct TermFlow {
    /// The nodes; the last one is [`Term::Outputs`].
    pub(crate) term: RecExpr<Term>,
    /// The type of each node.
    pub(crate) types: Vec<Type>,
    /// Names that nodes had in the program, where they had one.
    pub(crate) names: BTreeMap<Id, String>,
}

/// Builds terms with equal nodes shared.
#[derive(Clone, Debug, Default)]
pub(crate) struct Builder {
    term: RecExpr<Term>,
    types: Vec<Type>,
    known: BTreeMap<Term, Id>,
}

impl Builder {
    /// The node, new or known.
    pub(crate) fn add(&mut self, node: Term) -> Id {
        if let Some(id) = self.known.get(&node) {
            return *id;
        }
        let types: Vec<Type> = node.children().iter().map(|child| self.ty(*child)).collect();
        self.types.push(node_type(&node, &types));
        let id = self.term.add(node.clone());
        self.known.insert(node, id);
        id
    }

    /// A call.
    pub(crate) fn call(&mut self, function: Function, arguments: &[Id]) -> Id {
        self.add(Term::call(function, arguments))
    }

    /// The type of a node.
    pub(crate) fn ty(&self, id: Id) -> Type {
        self.types.get(usize::from(id)).copied().unwrap_or(Type::Tree)
    }

    /// A node by its id.
    pub(crate) fn node(&self, id: Id) -> &Term {
        &self.term[id]
    }

    /// The term with the given outputs; nodes that these do not need are dropped.
    pub(crate) fn finish(mut self, outputs: &[Id]) -> TermFlow {
        let root = self.add(Term::Outputs(outputs.into()));
        let flow = TermFlow { term: self.term, types: self.types, names: BTreeMap::new() };
        flow.reachable(root)
    }
}

/// The type of a node from the types of its children.
pub(crate) fn node_type(node: &Term, children: &[Type]) -> Type {
    match node {
        Term::Leaf(leaf) => leaf.ty(),
        Term::Constant(_) => Type::Scalar,
        Term::Call(function, _) => function.result_type(children).unwrap_or(Type::Tree),
        Term::Cast(ty, _) => *ty,
        Term::Outputs(_) => Type::Tree,
    }
}

impl TermFlow {
    /// The data flow of a program, call by call: nothing is rewritten, but copies are looked
    /// through, guarded functions go by their own names and equal calls are one node. The program
    /// must be well typed.
    pub(crate) fn of(program: &Program) -> TermFlow {
        let signature = program.signature();
        let mut builder = Builder::default();
        let mut environment: Vec<Option<Id>> = vec![None; program.variable_count()];
        for (index, parameter) in signature.parameters.iter().enumerate() {
            let leaf = match parameter.kind {
                ParameterKind::Weights => Leaf::Weights,
                ParameterKind::Gradients => Leaf::Gradients,
                ParameterKind::LearningRate => Leaf::LearningRate,
                ParameterKind::Step => Leaf::Step,
                ParameterKind::Slot(slot) => Leaf::Slot(slot.0),
                ParameterKind::Hyperparameter => Leaf::Hyperparameter(VarId(index as u16)),
            };
            environment[index] = Some(builder.add(Term::Leaf(leaf)));
        }
        let mut names = BTreeMap::new();
        for statement in &program.statements {
            let arguments: Vec<Id> = statement
                .arguments()
                .iter()
                .map(|operand| match operand {
                    Operand::Constant(value) => builder.add(Term::number(*value)),
                    // A variable without a value is a type error, and the program is well typed.
                    Operand::Variable(variable) => {
                        environment[variable.index()].unwrap_or(Id::from(0))
                    }
                })
                .collect();
            let id = match statement.function {
                Function::Copy => arguments[0],
                function => builder.call(function.under(signature.numerics), &arguments),
            };
            if matches!(builder.node(id), Term::Call(..)) {
                names
                    .entry(id)
                    .or_insert_with(|| program.variable_name(statement.target).to_string());
            }
            environment[statement.target.index()] = Some(id);
        }
        let value = |variable: VarId| environment[variable.index()].unwrap_or(Id::from(0));
        let outputs: Vec<Id> =
            std::iter::once(program.update).chain(signature.slots()).map(value).collect();
        let root = builder.add(Term::Outputs(outputs.into()));
        let flow = TermFlow { term: builder.term, types: builder.types, names };
        flow.reachable(root)
    }

    /// The root's children: the update, then the next values of the slots.
    pub(crate) fn outputs(&self) -> &[Id] {
        self.term.as_ref().last().map_or(&[], |root| root.children())
    }

    /// The nodes.
    pub(crate) fn nodes(&self) -> &[Term] {
        self.term.as_ref()
    }

    /// The ids of the calls, arguments first.
    pub(crate) fn calls(&self) -> impl Iterator<Item = Id> + '_ {
        self.nodes()
            .iter()
            .enumerate()
            .filter(|(_, node)| matches!(node, Term::Call(..)))
            .map(|(index, _)| Id::from(index))
    }

    /// The type of a node.
    pub(crate) fn ty(&self, id: Id) -> Type {
        self.types.get(usize::from(id)).copied().unwrap_or(Type::Tree)
    }

    /// The same flow without the nodes that the root does not need.
    fn reachable(self, root: Id) -> TermFlow {
        let nodes = self.term.as_ref();
        let mut needed = vec![false; nodes.len()];
        needed[usize::from(root)] = true;
        for index in (0..nodes.len()).rev() {
            if needed[index] {
                nodes[index].children().iter().for_each(|child| needed[usize::from(*child)] = true);
            }
        }
        let mut builder = Builder::default();
        let mut renumbered: Vec<Option<Id>> = vec![None; nodes.len()];
        for (index, node) in nodes.iter().enumerate() {
            // The root comes last, whatever stands behind it.
            if needed[index] && index != usize::from(root) {
                let node = node
                    .clone()
                    .map_children(|child| renumbered[usize::from(child)].unwrap_or(child));
                renumbered[index] = Some(builder.add(node));
            }
        }
        builder.add(
            nodes[usize::from(root)]
                .clone()
                .map_children(|child| renumbered[usize::from(child)].unwrap_or(child)),
        );
        let names = self
            .names
            .into_iter()
            .filter_map(|(id, name)| Some((renumbered[usize::from(id)]?, name)))
            .collect();
        TermFlow { term: builder.term, types: builder.types, names }
    }
}
