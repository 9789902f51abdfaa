//! The last stage of a step (or any other) as single operations on arrays, and where each of them puts its result.
//!
//! An array library runs one operation after another, each over whole arrays, so what counts is how many arrays have to be held at once. Operations
//! work in place where an operand is not needed any more, a slot's own array takes its next value as soon as the old one is not read again, and
//! everything else goes into scratch arrays, each of which is used again once what it holds is not needed.

use std::collections::BTreeMap;

use crate::codegen::listing::{Callee, Expression, Line, Listing};
use crate::codegen::notation::{Notation, written};
use crate::{Function, Type};

/// A value of an array: what comes in, or the result of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// The weights.
    Weights,
    /// The gradients.
    Gradients,
    /// What a slot holds when the step begins.
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
    /// A number of its own for each array, as text, and the names of numbers of that kind that it reads.
    PerArray(String, Vec<String>),
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A function of one or two operands, of which the first is an array.
    Function(Function),
    /// Zeros, in the shape of the weights.
    Zeros,
    /// The array itself, once more.
    Copy,
}

/// An operation on whole arrays.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// What is done.
    pub action: Action,
    /// First operand.
    pub x: Value,
    /// Second operand, of a function of two.
    pub y: Option<Operand>,
}

/// What stands in a list of operations.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A line of the listing begins, which is said in a comment.
    Line(String),
    /// A number for each array gets a name: text, and the names of the numbers of that kind that it reads.
    PerArray(String, String, Vec<String>),
    /// An operation, by its number.
    Operation(usize),
}

/// The operations of a stage.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Operations {
    /// The operations: number i gives `Value::Result(i)`.
    pub operations: Vec<Operation>,
    /// What comes one after another.
    pub items: Vec<Item>,
}

/// Names of the values that are bound, and operations so far.
pub struct Flattening<'a> {
    notation: &'a dyn Notation,
    values: BTreeMap<String, Operand>,
    done: Operations,
}

/// The names of numbers that differ from array to array in an expression.
fn per_array_names(expression: &Expression, names: &mut Vec<String>) {
    match expression {
        Expression::Name(name, Type::PerArray) if !names.contains(name) => names.push(name.clone()),
        Expression::Call(.., arguments) => arguments.iter().for_each(|argument| per_array_names(argument, names)),
        _ => {}
    }
}

impl<'a> Flattening<'a> {
    /// Nothing yet but the arrays of the step. `notation` is how numbers are written.
    pub fn new(listing: &Listing, notation: &'a dyn Notation) -> Flattening<'a> {
        let mut values = BTreeMap::from([
            (listing.weights.clone(), Operand::Array(Value::Weights)),
            (listing.gradients.clone(), Operand::Array(Value::Gradients)),
        ]);
        for (index, slot) in listing.slots.iter().enumerate() {
            values.insert(slot.clone(), Operand::Array(Value::Slot(index)));
        }
        Flattening { notation, values, done: Operations::default() }
    }

    /// A line of the listing.
    pub fn line(&mut self, line: &Line) {
        let text = written(self.notation, &line.value);
        if line.value.ty() == Type::PerArray {
            let mut names = Vec::new();
            per_array_names(&line.value, &mut names);
            self.done.items.push(Item::PerArray(line.name.clone(), text, names));
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
            number => self.spread(number),
        }
    }

    /// The operations.
    pub fn finish(self) -> Operations {
        self.done
    }

    fn emit(&mut self, action: Action, x: Value, y: Option<Operand>) -> Value {
        self.done.operations.push(Operation { action, x, y });
        let index = self.done.operations.len() - 1;
        self.done.items.push(Item::Operation(index));
        Value::Result(index)
    }

    fn spread(&mut self, number: Operand) -> Value {
        let zeros = self.emit(Action::Zeros, Value::Weights, None);
        self.emit(Action::Function(Function::Add), zeros, Some(number))
    }

    /// An operand of an operation.
    pub fn operand(&mut self, expression: &Expression) -> Operand {
        let text = || written(self.notation, expression);
        match (expression.ty(), expression) {
            (Type::Scalar, _) => Operand::Number(text()),
            (Type::PerArray, _) => {
                let mut names = Vec::new();
                per_array_names(expression, &mut names);
                Operand::PerArray(text(), names)
            }
            (Type::Tree, Expression::Name(name, _)) => self.values.get(name).cloned().unwrap_or(Operand::Array(Value::Weights)),
            (Type::Tree, Expression::Call(Callee::Function(function), _, arguments)) => {
                let arguments: Vec<Operand> = arguments.iter().map(|argument| self.operand(argument)).collect();
                Operand::Array(self.call(*function, &arguments))
            }
            // Neither a number nor the factor of a clip is an array.
            _ => Operand::Number(text()),
        }
    }

    fn call(&mut self, function: Function, arguments: &[Operand]) -> Value {
        let action = Action::Function(function);
        match (function, arguments) {
            (Function::Copy, [Operand::Array(x)]) => *x,
            (Function::Square, [Operand::Array(x)]) => self.emit(Action::Function(Function::Multiply), *x, Some(Operand::Array(*x))),
            (Function::Cube, [Operand::Array(x)]) => {
                let square = self.emit(Action::Function(Function::Multiply), *x, Some(Operand::Array(*x)));
                self.emit(Action::Function(Function::Multiply), square, Some(Operand::Array(*x)))
            }
            (_, [Operand::Array(x)]) => self.emit(action, *x, None),
            (_, [Operand::Array(x), y]) => self.emit(action, *x, Some(y.clone())),
            (Function::Subtract, [x, Operand::Array(y)]) => {
                let negative = self.emit(Action::Function(Function::Negative), *y, None);
                self.emit(Action::Function(Function::Add), negative, Some(x.clone()))
            }
            (_, [x, Operand::Array(y)]) if function.row().commutative => self.emit(action, *y, Some(x.clone())),
            (_, [x, y]) => {
                let spread = self.spread(x.clone());
                self.emit(action, spread, Some(y.clone()))
            }
            // No call on arrays has another number of arguments: the listing says what those are made of.
            _ => Value::Weights,
        }
    }
}

/// Where a value is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
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
    pub places: Vec<Place>,
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
        let y = match &operation.y {
            Some(Operand::Array(y)) => Some(*y),
            _ => None,
        };
        let x = (operation.action != Action::Zeros).then_some(operation.x);
        for value in x.into_iter().chain(y) {
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

/// The places of the results of operations. `next_slots` are the next values of the slots and `update` is the last value that is read; in a
/// stage that writes no slots, `next_slots` is empty and `others` are the values that it is for.
pub fn allocate(operations: &[Operation], next_slots: &[Value], others: &[Value]) -> Allocation {
    let results: Vec<Value> = next_slots.iter().chain(others).copied().collect();
    let uses = uses(operations, &results);
    let home = homes(operations, next_slots, &uses);
    let mut places: Vec<Place> = Vec::with_capacity(operations.len());
    // The operation whose result each scratch array holds.
    let mut scratch: Vec<Option<usize>> = Vec::new();
    // What the array of each slot holds.
    let mut slots: Vec<Value> = (0..next_slots.len()).map(Value::Slot).collect();
    for (index, operation) in operations.iter().enumerate() {
        let is_over = |value: &Value, at: usize| uses.last.get(value).is_none_or(|last| *last <= at);
        // An operand may be overwritten by what is computed of it; anything else must be over before.
        let y = match &operation.y {
            Some(Operand::Array(y)) => Some(*y),
            _ => None,
        };
        let commutes = matches!(operation.action, Action::Function(function) if function.row().commutative);
        let may_overwrite = |value: &Value| {
            let is_second = Some(*value) == y && *value != operation.x;
            is_over(value, index) && (!is_second || commutes)
        };
        let own_slot = home[index].filter(|slot| slots.get(*slot).is_some_and(may_overwrite));
        let held = |value: &Value| match value {
            Value::Result(result) => places.get(*result).copied(),
            _ => None,
        };
        let in_place = [Some(operation.x), y.filter(|_| commutes)].into_iter().flatten().find_map(|value| match held(&value) {
            Some(place @ Place::Scratch(_)) if is_over(&value, index) && operation.action != Action::Zeros => Some(place),
            _ => None,
        });
        let place = match (own_slot, in_place) {
            (Some(slot), _) => Place::Slot(slot),
            (None, Some(place)) => place,
            (None, None) => {
                let free = scratch.iter().position(|held| {
                    held.is_none_or(|result| {
                        uses.last.get(&Value::Result(result)).is_none_or(|last| *last < index) && Some(Value::Result(result)) != y
                    })
                });
                Place::Scratch(free.unwrap_or_else(|| {
                    scratch.push(None);
                    scratch.len() - 1
                }))
            }
        };
        match place {
            Place::Slot(slot) => slots[slot] = Value::Result(index),
            Place::Scratch(number) => scratch[number] = Some(index),
            Place::Weights | Place::Gradients => {}
        }
        places.push(place);
    }
    Allocation { places, scratch: scratch.len() }
}

/// For each operation the slot in whose array it may put its result: that of which it is the next value, or that of the only operation that reads
/// it.
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
        let y = match &operation.y {
            Some(Operand::Array(y)) => Some(*y),
            _ => None,
        };
        for value in [Some(operation.x), y].into_iter().flatten() {
            if let Value::Result(part) = value
                && homes[part].is_none()
                && uses.count.get(&value) == Some(&1)
            {
                homes[part] = homes[index];
            }
        }
    }
    homes
}
