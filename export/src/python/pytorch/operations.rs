//! The last stage of a step (or any other) as single operations on arrays, and where each of them
//! puts its result.
//!
//! An array library runs one operation after another, each over whole arrays, so what counts is how
//! many arrays have to be held at once. Operations work in place where an operand is not needed any
//! more, a slot's own array takes its next value as soon as the old one is not read again, and
//! everything else goes into scratch arrays, each of which is used again once what it holds is not
//! needed.

use std::collections::BTreeMap;

use symopt_dsl::{Function, Type};

use crate::listing::{Callee, Expression, Line, Listing, Sum};
use crate::notation::{Notation, written};

/// A value of an array: what comes in, or the result of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// The weights.
    Weights,
    /// The gradients.
    Gradients,
    /// The value of a slot when the step begins.
    Slot(usize),
    /// The result of an operation.
    Result(usize),
}

/// An operand.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// An array.
    Array(Value),
    /// A number, as text.
    Number(String),
    /// A number of its own for each array, as text, and the names of numbers of that kind that it
    /// reads.
    PerArray(String, Vec<String>),
}

/// Action of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A function of operands of which the first is an array.
    Function(Function),
    /// The last operand but one where a condition holds, the last one where it doesn't. The
    /// condition is that the first operand is not 0, or that a comparison of the first two is true.
    Where(Option<Function>),
    /// Ones, in the shape of the operand if there is one, or else of the weights.
    Ones,
}

/// An operation on whole arrays.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// The action.
    pub action: Action,
    /// To what.
    pub operands: Vec<Operand>,
    /// The type of the result, which says its shape.
    pub ty: Type,
}

impl Operation {
    /// The arrays among the operands.
    pub fn arrays(&self) -> impl Iterator<Item = Value> {
        self.operands.iter().filter_map(|operand| match operand {
            Operand::Array(value) => Some(*value),
            _ => None,
        })
    }
}

/// Entry of a list of operations.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A line of the listing begins, which is said in a comment.
    Line(String),
    /// A number for each array gets a name: text, and the names of the numbers of that kind that it
    /// reads.
    PerArray(String, String, Vec<String>),
    /// An operation, by its number.
    Operation(usize),
}

/// The operations of a stage.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Operations {
    /// The operations: number i gives `Value::Result(i)`.
    pub operations: Vec<Operation>,
    /// The entries, one after another.
    pub items: Vec<Item>,
}

impl Operations {
    /// Whether a number is an operand of sums, differences, products and quotients alone, where it
    /// may as well be an array without dimensions.
    pub fn is_term_or_factor(&self, number: &str) -> bool {
        use Function::{Add, Divide, Multiply, Subtract};
        let reads = |operation: &&Operation| {
            operation.operands.iter().any(|x| matches!(x, Operand::Number(text) if text == number))
        };
        let is_arithmetic = |operation: &Operation| {
            matches!(operation.action, Action::Function(Add | Subtract | Multiply | Divide))
        };
        self.operations.iter().filter(reads).all(is_arithmetic)
    }
}

/// Names of the values that are bound, and operations so far.
pub struct Flattening<'a> {
    notation: &'a dyn Notation,
    weights: &'a str,
    values: BTreeMap<String, Operand>,
    done: Operations,
}

/// The names of numbers that differ from array to array in an expression, and that of the weights
/// where their shape is asked for.
fn per_array_names(expression: &Expression, weights: &str, names: &mut Vec<String>) {
    let name = match expression {
        Expression::Name(name, Type::PerArray) => name,
        Expression::Call(
            Callee::Function(Function::Size | Function::Rows | Function::Columns),
            Type::PerArray,
            _,
        ) => weights,
        Expression::Call(.., arguments) => {
            return arguments.iter().for_each(|argument| per_array_names(argument, weights, names));
        }
        _ => return,
    };
    if !names.iter().any(|known| known == name) {
        names.push(name.to_owned());
    }
}

/// The names over which an expression of numbers for each array goes: where it reads none, there is
/// one for each of the weights.
fn names_for_arrays(expression: &Expression, weights: &str) -> Vec<String> {
    let mut names = Vec::new();
    per_array_names(expression, weights, &mut names);
    if names.is_empty() {
        names.push(weights.to_owned());
    }
    names
}

impl<'a> Flattening<'a> {
    /// Nothing yet but the arrays of the step. `notation` is how numbers are written.
    pub fn new(listing: &'a Listing, notation: &'a dyn Notation) -> Flattening<'a> {
        let mut values = BTreeMap::from([
            (listing.weights.clone(), Operand::Array(Value::Weights)),
            (listing.gradients.clone(), Operand::Array(Value::Gradients)),
        ]);
        for (index, slot) in listing.slots.iter().enumerate() {
            values.insert(slot.clone(), Operand::Array(Value::Slot(index)));
        }
        Flattening { notation, weights: &listing.weights, values, done: Operations::default() }
    }

    /// A line of the listing.
    pub fn line(&mut self, line: &Line) {
        let text = written(self.notation, &line.value);
        if line.value.ty() == Type::PerArray {
            self.done.items.push(Item::PerArray(
                line.name.clone(),
                text,
                names_for_arrays(&line.value, self.weights),
            ));
            return;
        }
        self.done.items.push(Item::Line(format!("{} = {text}", line.name)));
        let value = self.operand(&line.value);
        self.values.insert(line.name.clone(), value);
    }

    /// The array of an expression, spread over all elements if it is a number.
    pub fn array(&mut self, expression: &Expression) -> Value {
        match self.operand(expression) {
            Operand::Array(value) => value,
            number => self.spread(number, None, Type::Tree),
        }
    }

    /// The factors of a sum over arrays: one if it is of an array itself.
    pub fn factors(&mut self, sum: &Sum) -> Vec<Value> {
        let is_one = sum.y == Expression::Number(1.0);
        [&sum.x, &sum.y]
            .into_iter()
            .take(if is_one { 1 } else { 2 })
            .map(|factor| self.array(factor))
            .collect()
    }

    /// The operations.
    pub fn finish(self) -> Operations {
        self.done
    }

    fn emit(&mut self, action: Action, operands: Vec<Operand>, ty: Type) -> Value {
        self.done.operations.push(Operation { action, operands, ty });
        let index = self.done.operations.len() - 1;
        self.done.items.push(Item::Operation(index));
        Value::Result(index)
    }

    /// An array of a type with a number at each place, in the shape of another array of the type or
    /// of the weights. One times a number keeps the sign of a zero.
    fn spread(&mut self, number: Operand, like: Option<Value>, ty: Type) -> Value {
        let ones = self.emit(Action::Ones, like.map(Operand::Array).into_iter().collect(), ty);
        self.emit(Action::Function(Function::Multiply), vec![Operand::Array(ones), number], ty)
    }

    /// An operand of an operation.
    pub fn operand(&mut self, expression: &Expression) -> Operand {
        let text = || written(self.notation, expression);
        match (expression.ty(), expression) {
            (Type::Scalar, _) => Operand::Number(text()),
            (Type::PerArray, _) => {
                Operand::PerArray(text(), names_for_arrays(expression, self.weights))
            }
            (_, Expression::Name(name, _)) => {
                self.values.get(name).cloned().unwrap_or(Operand::Array(Value::Weights))
            }
            (ty, Expression::Call(Callee::Function(Function::Where), _, arguments)) => {
                let condition = match &arguments[0] {
                    Expression::Call(Callee::Function(function), ty, compared)
                        if is_comparison(*function) && ty.is_array() =>
                    {
                        Some((*function, compared))
                    }
                    _ => None,
                };
                let compared = condition.map_or(&arguments[..1], |(_, compared)| compared);
                let mut operands: Vec<Operand> = compared
                    .iter()
                    .chain(&arguments[1..])
                    .map(|argument| self.operand(argument))
                    .collect();
                let mut comparison = condition.map(|(function, _)| function);
                if let (Some(function), [Operand::Number(_) | Operand::PerArray(..), ..]) =
                    (comparison, operands.as_slice())
                {
                    operands.swap(0, 1);
                    comparison = Some(mirrored(function));
                }
                Operand::Array(self.emit(Action::Where(comparison), operands, ty))
            }
            (ty, Expression::Call(Callee::Spread, _, arguments)) => {
                let number = self.operand(&arguments[0]);
                let like = arguments.get(1).map(|like| self.array(like));
                Operand::Array(self.spread(number, like, ty))
            }
            (ty, Expression::Call(Callee::Function(function), _, arguments)) => {
                let arguments: Vec<Operand> =
                    arguments.iter().map(|argument| self.operand(argument)).collect();
                Operand::Array(self.call(*function, &arguments, ty))
            }
            // Neither a number nor the factor of a clip is an array.
            _ => Operand::Number(text()),
        }
    }

    fn call(&mut self, function: Function, arguments: &[Operand], ty: Type) -> Value {
        let action = Action::Function(function);
        let multiply = Action::Function(Function::Multiply);
        match (function, arguments) {
            (Function::Copy, [Operand::Array(x)]) => *x,
            (Function::Square, [x @ Operand::Array(_)]) => {
                self.emit(multiply, vec![x.clone(), x.clone()], ty)
            }
            (Function::Cube, [x @ Operand::Array(_)]) => {
                let square = self.emit(multiply, vec![x.clone(), x.clone()], ty);
                self.emit(multiply, vec![Operand::Array(square), x.clone()], ty)
            }
            (_, [Operand::Array(_), ..]) => self.emit(action, arguments.to_vec(), ty),
            (Function::Subtract, [x, y @ Operand::Array(_)]) => {
                let negative = self.emit(Action::Function(Function::Negative), vec![y.clone()], ty);
                self.emit(
                    Action::Function(Function::Add),
                    vec![Operand::Array(negative), x.clone()],
                    ty,
                )
            }
            (_, [x, y @ Operand::Array(_)]) if function.row().commutative => {
                self.emit(action, vec![y.clone(), x.clone()], ty)
            }
            (_, [x, y @ Operand::Array(_)]) if is_comparison(function) => {
                self.emit(Action::Function(mirrored(function)), vec![y.clone(), x.clone()], ty)
            }
            (_, [x, y]) => {
                let like = match y {
                    Operand::Array(value) => Some(*value),
                    _ => None,
                };
                let spread = self.spread(x.clone(), like, ty);
                self.emit(action, vec![Operand::Array(spread), y.clone()], ty)
            }
            // No call on arrays has another number of arguments: the listing says what those are
            // made of.
            _ => Value::Weights,
        }
    }
}

/// Whether a function compares two values.
pub fn is_comparison(function: Function) -> bool {
    use Function::{Equal, Greater, GreaterEqual, Less, LessEqual};
    matches!(function, Less | LessEqual | Greater | GreaterEqual | Equal)
}

/// The comparison that says the same with its sides changed.
pub fn mirrored(function: Function) -> Function {
    match function {
        Function::Less => Function::Greater,
        Function::LessEqual => Function::GreaterEqual,
        Function::Greater => Function::Less,
        Function::GreaterEqual => Function::LessEqual,
        other => other,
    }
}

/// Where a value is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// The array of the weights; read only.
    Weights,
    /// The array of the gradients; read only.
    Gradients,
    /// A slot's own array.
    Slot(usize),
    /// A scratch array.
    Scratch(usize),
}

/// Where each operation puts its result.
#[derive(Clone, Debug, PartialEq)]
pub struct Allocation {
    /// By operation.
    pub places: Vec<Holder>,
    /// How many scratch arrays there are.
    pub scratch: usize,
}

/// Where the values of some results end, so that they are not overwritten before.
struct Uses {
    /// The last operation that reads each value; `usize::MAX` for a result of the stage.
    last: BTreeMap<Value, usize>,
    /// How often each value is read.
    count: BTreeMap<Value, usize>,
}

fn uses(operations: &[Operation], results: &[Value]) -> Uses {
    let mut uses = Uses { last: BTreeMap::new(), count: BTreeMap::new() };
    for (index, operation) in operations.iter().enumerate() {
        for value in operation.arrays() {
            uses.last.insert(value, index);
            *uses.count.entry(value).or_default() += 1;
        }
    }
    for value in results {
        uses.last.insert(*value, usize::MAX);
        *uses.count.entry(*value).or_default() += 1;
    }
    uses
}

/// The places of the results of operations. `next_slots` are the next values of the slots and
/// `update` is the last value that is read; in a stage that writes no slots, `next_slots` is empty
/// and `others` are the values that it is for.
pub fn allocate(operations: &[Operation], next_slots: &[Value], others: &[Value]) -> Allocation {
    let results: Vec<Value> = next_slots.iter().chain(others).copied().collect();
    let uses = uses(operations, &results);
    let home = homes(operations, next_slots, &uses);
    let mut places: Vec<Holder> = Vec::with_capacity(operations.len());
    // The operation whose result each scratch array holds, which has the shape of the array.
    let mut scratch: Vec<usize> = Vec::new();
    // Value in the array of each slot.
    let mut slots: Vec<Value> = (0..next_slots.len()).map(Value::Slot).collect();
    for (index, operation) in operations.iter().enumerate() {
        let is_over =
            |value: &Value, at: usize| uses.last.get(value).is_none_or(|last| *last <= at);
        // An operand may be overwritten by what is computed of it; anything else must be over
        // before.
        let commutes =
            matches!(operation.action, Action::Function(function) if function.row().commutative);
        let first = operation.arrays().next();
        let other = |value: &Value| {
            Some(*value) != first && operation.arrays().any(|operand| operand == *value)
        };
        let may_overwrite = |value: &Value| is_over(value, index) && (!other(value) || commutes);
        let own_slot = home[index].filter(|slot| slots.get(*slot).is_some_and(may_overwrite));
        let held = |value: &Value| match value {
            Value::Result(result) if operations[*result].ty == operation.ty => {
                places.get(*result).copied()
            }
            _ => None,
        };
        let in_place =
            operation.arrays().filter(may_overwrite).find_map(|value| match held(&value) {
                Some(place @ Holder::Scratch(_)) => Some(place),
                _ => None,
            });
        let place = match (own_slot, in_place) {
            (Some(slot), _) => Holder::Slot(slot),
            (None, Some(place)) => place,
            (None, None) => {
                let free = scratch.iter().position(|result| {
                    let value = Value::Result(*result);
                    operations[*result].ty == operation.ty
                        && uses.last.get(&value).is_none_or(|last| *last < index)
                        && operation.arrays().all(|operand| operand != value)
                });
                Holder::Scratch(free.unwrap_or_else(|| {
                    scratch.push(index);
                    scratch.len() - 1
                }))
            }
        };
        match place {
            Holder::Slot(slot) => slots[slot] = Value::Result(index),
            Holder::Scratch(number) => scratch[number] = index,
            Holder::Weights | Holder::Gradients => {}
        }
        places.push(place);
    }
    Allocation { places, scratch: scratch.len() }
}

/// For each operation the slot in whose array it may put its result: that of which it is the next
/// value, or that of the only operation that reads it.
fn homes(operations: &[Operation], next_slots: &[Value], uses: &Uses) -> Vec<Option<usize>> {
    let mut homes = vec![None; operations.len()];
    for (slot, value) in next_slots.iter().enumerate() {
        if let Value::Result(index) = value
            && homes[*index].is_none()
        {
            homes[*index] = Some(slot);
        }
    }
    for (index, operation) in operations.iter().enumerate().rev() {
        for value in operation.arrays() {
            if let Value::Result(part) = value
                && homes[part].is_none()
                && operations[part].ty == Type::Tree
                && uses.count.get(&value) == Some(&1)
            {
                homes[part] = homes[index];
            }
        }
    }
    homes
}
