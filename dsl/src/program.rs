//! A program: a signature, a list of one-call statements, and the variable that is returned as the
//! update.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

pub use crate::function::Numerics;
use crate::function::{Function, Profile};

/// A variable of one program: first the parameters in the order of the signature, then the locals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VarId(pub u16);

impl VarId {
    /// Position in tables that are indexed by variable.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A state slot of one program, counted in the order of the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(pub u16);

impl SlotId {
    /// Position in tables that are indexed by slot.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// An argument of a statement.
#[derive(Clone, Copy, Debug)]
pub enum Operand {
    /// The value that a variable holds when the statement runs.
    Variable(VarId),
    /// A number that stands in the program text; always finite.
    Constant(f64),
}

impl PartialEq for Operand {
    /// Constants are equal when their bits are, so that -0 and 0 stay apart.
    fn eq(&self, other: &Operand) -> bool {
        match (self, other) {
            (Operand::Variable(a), Operand::Variable(b)) => a == b,
            (Operand::Constant(a), Operand::Constant(b)) => a.to_bits() == b.to_bits(),
            _ => false,
        }
    }
}

/// An assignment of one function call to one variable. Trivially copyable.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Statement {
    /// The variable that is assigned.
    pub target: VarId,
    /// The function that is called, before the numerics of the program are applied.
    pub function: Function,
    /// The arguments; those past the arity are `Constant(0.0)`.
    operands: [Operand; 3],
}

impl Statement {
    /// A statement `target = function(arguments...)`. Arguments past the arity are dropped and
    /// missing ones are the constant 0.
    pub fn new(target: VarId, function: Function, arguments: &[Operand]) -> Statement {
        let mut operands = [Operand::Constant(0.0); 3];
        for (place, argument) in operands.iter_mut().take(function.arity()).zip(arguments) {
            *place = *argument;
        }
        Statement { target, function, operands }
    }

    /// The arguments, as many as the function takes.
    pub fn arguments(&self) -> &[Operand] {
        &self.operands[..self.function.arity()]
    }

    /// The same statement with other variables.
    pub fn map_variables(mut self, new: impl Fn(VarId) -> VarId) -> Statement {
        self.target = new(self.target);
        for argument in self.arguments_mut() {
            if let Operand::Variable(id) = argument {
                *id = new(*id);
            }
        }
        self
    }

    /// The arguments, to be changed in place.
    pub fn arguments_mut(&mut self) -> &mut [Operand] {
        &mut self.operands[..self.function.arity()]
    }
}

/// Role of a parameter of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// The weights: the first parameter.
    Weights,
    /// The gradients: the second parameter.
    Gradients,
    /// `lr`: the learning rate, or the value of the schedule where the program holds its peak
    /// learning rate as a constant.
    LearningRate,
    /// `t`: the step count, from 1.
    Step,
    /// A state slot: starts at zero, returned after the update.
    Slot(SlotId),
    /// A keyword-only parameter.
    Hyperparameter,
}

/// A parameter of a program.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Name in the program text.
    pub name: String,
    /// Its role.
    pub kind: ParameterKind,
    /// A hyperparameter's default (always there); for `lr`, the conventional peak learning rate, if
    /// the program states one (`lr=1e-3`): without it the program takes the schedule's value and
    /// the peak is 1.
    pub default: Option<f64>,
}

/// The head of a program: everything but its statements. Shared between the programs of a search.
#[derive(Clone, Debug, PartialEq)]
pub struct Signature {
    /// Name of the function.
    pub name: String,
    /// Description for people: the program's idea, its source and its equation.
    pub doc: Option<String>,
    /// Numerics of the calls.
    pub numerics: Numerics,
    /// The parameters: positional ones, then hyperparameters. The variable of parameter i is
    /// `VarId(i)`.
    pub parameters: Vec<Parameter>,
}

impl Signature {
    fn find(&self, kind: ParameterKind) -> Option<VarId> {
        self.parameters.iter().position(|p| p.kind == kind).map(|index| VarId(index as u16))
    }

    /// The variables of the state slots, in order.
    pub fn slots(&self) -> impl Iterator<Item = VarId> + '_ {
        (0..self.parameters.len())
            .filter(|&i| matches!(self.parameters[i].kind, ParameterKind::Slot(_)))
            .map(|i| VarId(i as u16))
    }

    /// The hyperparameters, in order, with their variables.
    pub fn hyperparameters(&self) -> impl Iterator<Item = (VarId, &Parameter)> + '_ {
        self.parameters
            .iter()
            .enumerate()
            .filter(|(_, p)| p.kind == ParameterKind::Hyperparameter)
            .map(|(i, p)| (VarId(i as u16), p))
    }

    /// The variable of the learning rate, if the program takes it.
    pub fn learning_rate(&self) -> Option<VarId> {
        self.find(ParameterKind::LearningRate)
    }

    /// The conventional peak learning rate that the program states, or 1 for a program that holds
    /// its own as a constant.
    pub fn peak_learning_rate(&self) -> f64 {
        self.learning_rate().and_then(|id| self.parameters[id.index()].default).unwrap_or(1.0)
    }
}

/// Where a comment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CommentPlace {
    /// On a line of its own above the doc string, the marker or `def`.
    Header,
    /// At the end of the `def` line.
    BesideDef,
    /// On a line of its own above statement i.
    Above(usize),
    /// At the end of the line of statement i.
    Beside(usize),
    /// On a line of its own above `return`.
    AboveReturn,
    /// At the end of the `return` line.
    BesideReturn,
    /// Below `return`.
    Footer,
}

/// A comment of the program text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// Where it stands.
    pub place: CommentPlace,
    /// Its text after `#`, trimmed.
    pub text: String,
}

/// A program: `w = w - update` after each call is the loop's business, not the program's.
///
/// Two programs are equal when their signatures, comments, returned variable and statements are,
/// with variables compared by name.
#[derive(Clone, Debug)]
pub struct Program {
    signature: Arc<Signature>,
    locals: Arc<[String]>,
    comments: Arc<[Comment]>,
    /// The statements, in the order in which they run.
    pub statements: Vec<Statement>,
    /// The variable that is returned first.
    pub update: VarId,
}

impl Program {
    /// A program from its parts. `locals` names the variables that follow the parameters; variables
    /// past them are numbered.
    pub fn new(
        signature: Signature,
        locals: Vec<String>,
        statements: Vec<Statement>,
        update: VarId,
        comments: Vec<Comment>,
    ) -> Program {
        Program {
            signature: Arc::new(signature),
            locals: locals.into(),
            comments: comments.into(),
            statements,
            update,
        }
    }

    /// The head of the program.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The same statements under another head. The parameters must be of the same number and kinds,
    /// or the statements lose their meaning.
    pub fn with_signature(&self, signature: Signature) -> Program {
        Program { signature: Arc::new(signature), ..self.clone() }
    }

    /// The same program with one more parameter before the one at `place`, which nothing reads. The
    /// caller sees to it that the signature stays one of the language.
    pub fn with_parameter(&self, place: usize, parameter: Parameter) -> Program {
        let mut signature = (*self.signature).clone();
        signature.parameters.insert(place, parameter);
        // Parameters come first among the variables, so those behind it move up.
        let moved = |id: VarId| {
            if id.index() >= place { VarId(id.0.saturating_add(1)) } else { id }
        };
        let statements = self.statements.iter().map(|s| s.map_variables(moved)).collect();
        // Names of locals, in order, as the text has them.
        let first = self.signature.parameters.len();
        let locals = (first..self.variable_count())
            .map(|i| self.variable_name(VarId(i as u16)).to_string())
            .collect();
        Program::new(signature, locals, statements, moved(self.update), Vec::new())
    }

    /// The capability profiles that the program needs: always `paper`, `step` if it takes `t`,
    /// `slots` if it has more than two slots, and those of its functions, whether or not anything
    /// depends on them.
    pub fn profiles(&self) -> BTreeSet<Profile> {
        let signature = &self.signature;
        let of_functions = self.statements.iter().map(|statement| statement.function.row().profile);
        let step = signature
            .parameters
            .iter()
            .any(|p| p.kind == ParameterKind::Step)
            .then_some(Profile::Step);
        let slots = (signature.slots().count() > 2).then_some(Profile::Slots);
        let all = std::iter::once(Profile::Paper).chain(step).chain(slots).chain(of_functions);
        all.filter(|profile| *profile != Profile::Language).collect()
    }

    /// The comments of the text, in order of place.
    pub fn comments(&self) -> &[Comment] {
        &self.comments
    }

    /// Drops the comments: they belong to statements by position, which a change of the statements
    /// breaks.
    pub fn clear_comments(&mut self) {
        if !self.comments.is_empty() {
            self.comments = Arc::new([]);
        }
    }

    /// How many variables there are: every variable of the program has an index below this.
    pub fn variable_count(&self) -> usize {
        let named = self.signature.parameters.len() + self.locals.len();
        let used = self
            .statements
            .iter()
            .flat_map(|s| {
                std::iter::once(s.target).chain(s.arguments().iter().filter_map(|a| match a {
                    Operand::Variable(id) => Some(*id),
                    Operand::Constant(_) => None,
                }))
            })
            .chain(std::iter::once(self.update))
            .map(|id| id.index() + 1)
            .max();
        named.max(used.unwrap_or(0))
    }

    /// A local variable that no statement assigns and that has no given name: the lowest one.
    /// `None` if the program has as many variables as there can be.
    pub fn fresh_variable(&self) -> Option<VarId> {
        let first = self.signature.parameters.len() + self.locals.len();
        (first..usize::from(u16::MAX))
            .map(|i| VarId(i as u16))
            .find(|id| self.statements.iter().all(|s| s.target != *id))
    }

    /// The name of a variable: the parameter's, the local's, or for a variable without a given name
    /// `v` and its number.
    pub fn variable_name(&self, id: VarId) -> VariableName<'_> {
        VariableName { program: self, id }
    }

    fn given_name(&self, id: VarId) -> Option<&str> {
        let parameters = &self.signature.parameters;
        match parameters.get(id.index()) {
            Some(parameter) => Some(&parameter.name),
            None => self.locals.get(id.index() - parameters.len()).map(String::as_str),
        }
    }

    /// Whether the text gives the variable its name.
    pub fn has_given_name(&self, id: VarId) -> bool {
        self.given_name(id).is_some()
    }

    fn is_given_name(&self, name: &str) -> bool {
        self.signature.parameters.iter().any(|p| p.name == name)
            || self.locals.iter().any(|l| l == name)
    }
}

impl PartialEq for Program {
    fn eq(&self, other: &Program) -> bool {
        let same_name = |a: VarId, b: VarId| {
            self.variable_name(a).to_string() == other.variable_name(b).to_string()
        };
        let same_operand = |a: &Operand, b: &Operand| match (a, b) {
            (Operand::Variable(a), Operand::Variable(b)) => same_name(*a, *b),
            _ => a == b,
        };
        self.signature == other.signature
            && self.comments == other.comments
            && self.statements.len() == other.statements.len()
            && same_name(self.update, other.update)
            && self.statements.iter().zip(&other.statements).all(|(a, b)| {
                a.function == b.function
                    && same_name(a.target, b.target)
                    && a.arguments().iter().zip(b.arguments()).all(|(a, b)| same_operand(a, b))
            })
    }
}

/// A variable's name, for display.
pub struct VariableName<'a> {
    program: &'a Program,
    id: VarId,
}

impl fmt::Display for VariableName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = self.program.given_name(self.id) {
            return f.pad(name);
        }
        // A given name may look like a numbered one (the published programs have v845): step aside.
        let mut name = format!("v{}", self.id.0);
        while self.program.is_given_name(&name) {
            name.push('_');
        }
        f.pad(&name)
    }
}
