//! Operations as PyTorch runs them one by one: on single tensors, or on lists of them by
//! `torch._foreach_*`.

use std::borrow::Cow;
use std::fmt::Write;

use symopt_dsl::{Function, Type};

use super::operations::{Action, Allocation, Holder, Item, Operand, Operation, Operations, Value};
use crate::listing::{Callee, Expression, Listing};
use crate::notation::Notation;
use crate::python::WIDTH;
use crate::spelling::spelling;

/// Form of the arrays that operations work on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Single tensors.
    Single,
    /// Lists of tensors.
    Foreach,
}

/// Numbers as Python computes them, and arrays in the words of the program, for comments.
pub struct EagerNotation<'a> {
    /// The name of the weights, whose shape is that of all arrays.
    pub weights: &'a str,
}

impl Notation for EagerNotation<'_> {
    fn spelling(&self, callee: Callee, ty: Type) -> Option<Cow<'static, str>> {
        let function = match callee {
            Callee::ClipFactor => return Some("_clip_factor({x}, {y})".into()),
            Callee::Spread => return Some("{x}".into()),
            Callee::Function(function) => function,
        };
        let arguments = ["{x}", "{x}, {y}", "{x}, {y}, {z}"][function.arity().clamp(1, 3) - 1];
        if ty.is_array() {
            return Some(format!("{}({arguments})", function.name()).into());
        }
        Some(format!("_scalar({}, {arguments})", callable(function)).into())
    }

    fn operator(
        &self,
        function: Function,
        ty: Type,
        arguments: &[Expression],
    ) -> Option<Cow<'static, str>> {
        // Python raises where a float is divided by zero.
        match (function, arguments) {
            (_, _) if ty.is_array() => None,
            (Function::Size, _) => Some(format!("{}.numel()", self.weights).into()),
            (Function::Rows | Function::Columns, _) => {
                Some(format!("_{}({})", function.name(), self.weights).into())
            }
            (Function::Divide, [_, Expression::Number(divisor)]) if *divisor != 0.0 => None,
            (Function::Divide, _) => Some("_scalar(torch.div, {x}, {y})".into()),
            (Function::Reciprocal, _) => Some("_scalar(torch.div, 1.0, {x})".into()),
            _ => None,
        }
    }
}

/// Functions of `torch` without one for lists of tensors.
const WITHOUT_FOREACH: [Function; 5] =
    [Function::Arcsinh, Function::Arccosh, Function::Arctanh, Function::Exp2, Function::Square];

/// The name of a function in `torch`, where its row of spellings is a call of it; `None` where the
/// file has a helper of its own.
fn torch_name(function: Function) -> Option<&'static str> {
    match function {
        Function::Reciprocal => Some("reciprocal"),
        Function::Negative => Some("neg"),
        Function::Add => Some("add"),
        Function::Subtract => Some("sub"),
        Function::Multiply => Some("mul"),
        Function::Divide => Some("div"),
        _ => {
            let (name, arguments) =
                spelling(function)?.torch.strip_prefix("torch.")?.split_once('(')?;
            ["{x})", "{x}, {y})"].contains(&arguments).then_some(name)
        }
    }
}

/// Whether a number is not 0, but is in f32.
pub fn is_zero_in_f32(number: f64) -> bool {
    number != 0.0 && number as f32 == 0.0
}

/// A function by which a tensor is computed from others, as an expression.
pub fn callable(function: Function) -> String {
    torch_name(function)
        .map_or_else(|| format!("_{}", function.name()), |name| format!("torch.{name}"))
}

/// The scratch arrays in which the first result comes from a function of PyTorch that writes to a
/// given array, and which have the shape of the weights: a caller can hold them ready.
pub fn scratch_to_give(operations: &[Operation], allocation: &Allocation) -> Vec<usize> {
    let is_first_given = |number: &usize| {
        let first = allocation.places.iter().position(|place| *place == Holder::Scratch(*number));
        first.map(|index| &operations[index]).is_some_and(|first| {
            let writes = matches!(first.action, Action::Function(function) if torch_name(function).is_some());
            writes && first.ty == Type::Tree
        })
    };
    (0..allocation.scratch).filter(is_first_given).collect()
}

/// Writer of the operations of a stage.
pub struct Eager<'a> {
    /// The program.
    pub listing: &'a Listing,
    /// Its operations.
    pub operations: &'a Operations,
    /// Where they put their results.
    pub allocation: &'a Allocation,
    /// Form of the arrays.
    pub style: Style,
    /// Scratch arrays for which the caller may give memory, in `out`. Where it gives `None`, each
    /// operation makes an array of its own, as tensors of other types want it: those that are parts
    /// of distributed ones, say.
    pub given: Vec<usize>,
}

/// The name under which the caller gives memory.
pub const OUT: &str = "out";

const MARGIN: &str = "    ";

impl Eager<'_> {
    fn place(&self, value: Value) -> Holder {
        match value {
            Value::Weights => Holder::Weights,
            Value::Gradients => Holder::Gradients,
            Value::Slot(slot) => Holder::Slot(slot),
            Value::Result(result) => self.allocation.places[result],
        }
    }

    /// The name of an array.
    pub fn name(&self, value: Value) -> String {
        self.place_name(self.place(value))
    }

    fn place_name(&self, place: Holder) -> String {
        match place {
            Holder::Weights => self.listing.weights.clone(),
            Holder::Gradients => self.listing.gradients.clone(),
            Holder::Slot(slot) => self.listing.slots[slot].clone(),
            Holder::Scratch(0) => "scratch".to_owned(),
            Holder::Scratch(number) => format!("scratch{}", number + 1),
        }
    }

    /// A line for each operation, and comments with the lines of the program.
    pub fn body(&self) -> String {
        let mut text = String::new();
        let mut made = vec![false; self.allocation.scratch];
        for item in &self.operations.items {
            match item {
                Item::Line(line) => {
                    let _ = writeln!(text, "{MARGIN}# {line}");
                }
                Item::PerArray(name, value, names) => {
                    let one = format!("{MARGIN}{name} = {}", self.per_array(value, names));
                    if one.chars().count() <= WIDTH
                        || names.is_empty()
                        || self.style == Style::Single
                    {
                        let _ = writeln!(text, "{one}");
                    } else {
                        let _ = writeln!(text, "{MARGIN}{name} = [");
                        for line in comprehension("", value, names) {
                            let _ = writeln!(text, "{MARGIN}{line}");
                        }
                        let _ = writeln!(text, "{MARGIN}]");
                    }
                }
                Item::Operation(index) => {
                    let place = self.allocation.places[*index];
                    let is_new = match place {
                        Holder::Scratch(number) => !std::mem::replace(&mut made[number], true),
                        _ => false,
                    };
                    for line in self.operation(&self.operations.operations[*index], place, is_new) {
                        let _ = writeln!(text, "{MARGIN}{line}");
                    }
                }
            }
        }
        text
    }

    fn per_array(&self, text: &str, names: &[String]) -> String {
        match (self.style, names) {
            (Style::Single, _) => text.to_owned(),
            (Style::Foreach, [name]) if name == text => text.to_owned(),
            (Style::Foreach, names) => format!("[{text} {}]", over(names)),
        }
    }

    fn operation(&self, operation: &Operation, place: Holder, is_new: bool) -> Vec<String> {
        let target = self.place_name(place);
        let single = self.style == Style::Single;
        let operands = &operation.operands;
        match operation.action {
            Action::Ones => {
                let like = operands
                    .first()
                    .map_or_else(|| self.listing.weights.clone(), |operand| self.element(operand));
                let is_scratch = target.starts_with("scratch");
                vec![match (single, is_scratch) {
                    (true, true) => format!("{target} = torch.ones_like({like})"),
                    (true, false) => format!("{target}.fill_(1.0)"),
                    (false, true) => format!(
                        "{} = [torch.ones_like(tensor) for tensor in {like}]",
                        self.bound(&target, is_new)
                    ),
                    (false, false) => format!(
                        "torch._foreach_copy_({target}, [torch.ones_like(tensor) for tensor in {like}])"
                    ),
                }]
            }
            Action::Where(comparison) => {
                let texts: Vec<String> =
                    operands.iter().map(|operand| self.element(operand)).collect();
                let condition = match (comparison, texts.as_slice()) {
                    (Some(function), [x, y, ..]) => compared(function, x, y),
                    (_, texts) => texts[0].clone(),
                };
                let values = texts[texts.len() - 2..].join(", ");
                let call = format!("_where_like({}, {condition}, {values})", self.listing.weights);
                self.called(&call, operands, true, &target, is_new)
            }
            Action::Function(function) => match torch_name(function) {
                Some(_) if single || !WITHOUT_FOREACH.contains(&function) => {
                    let rounded = self.rounded(function, operands);
                    self.operator(function, rounded.as_deref().unwrap_or(operands), place, is_new)
                }
                _ => {
                    let texts: Vec<String> =
                        operands.iter().map(|operand| self.element(operand)).collect();
                    let call = format!("{}({})", callable(function), texts.join(", "));
                    // A product of the parameters' shape is an array of theirs again.
                    let reshaped = matches!(function, Function::Matmul | Function::Transpose)
                        && operation.ty == Type::Tree;
                    let weights = &self.listing.weights;
                    let call = if reshaped {
                        format!("_placed({call}.reshape({weights}.shape), {weights})")
                    } else {
                        call
                    };
                    self.called(&call, operands, reshaped, &target, is_new)
                }
            },
        }
    }

    /// The operands of a function that does not round a number beyond the type of the tensors, with
    /// the number rounded; `None` where all may stay.
    fn rounded(&self, function: Function, operands: &[Operand]) -> Option<Vec<Operand>> {
        let is_small = |text: &str| {
            text.parse::<f64>().is_ok_and(|number| number.abs() <= f64::from(f32::MAX))
        };
        let weights = &self.listing.weights;
        match (function, operands) {
            (Function::Maximum | Function::Minimum, [x, Operand::Number(number)])
                if !is_small(number) =>
            {
                let like = if self.style == Style::Single {
                    weights.clone()
                } else {
                    format!("{weights}[0]")
                };
                Some(vec![x.clone(), Operand::Number(format!("_rounded({number}, {like})"))])
            }
            // PyTorch takes an exponent in f64, where a negative number has no such power.
            (Function::Power, [x, Operand::Number(number)])
                if number.parse().is_ok_and(is_zero_in_f32) =>
            {
                Some(vec![x.clone(), Operand::Number("0.0".to_owned())])
            }
            (Function::Maximum | Function::Minimum, [x, Operand::PerArray(text, names)]) => {
                let names = names
                    .iter()
                    .filter(|name| *name != weights)
                    .chain([weights])
                    .cloned()
                    .collect();
                Some(vec![
                    x.clone(),
                    Operand::PerArray(format!("_rounded({text}, {weights})"), names),
                ])
            }
            _ => None,
        }
    }

    /// A function that PyTorch has for what is worked on.
    fn operator(
        &self,
        function: Function,
        operands: &[Operand],
        place: Holder,
        is_new: bool,
    ) -> Vec<String> {
        let target = &self.place_name(place)[..];
        let text = |operand: &Operand| match operand {
            Operand::PerArray(text, names) => self.per_array(text, names),
            operand => self.element(operand),
        };
        let x = operands.first().map(text).unwrap_or_default();
        let (y, y_is_array) =
            (operands.get(1).map(text), matches!(operands.get(1), Some(Operand::Array(_))));
        // Where the second operand's array takes the result, the function commutes.
        let (x, y) = match y {
            Some(y) if y_is_array && y == target && x != target => (y, Some(x)),
            y => (x, y),
        };
        if self.style == Style::Single {
            self.single(function, &x, y.as_deref(), y_is_array, place)
        } else {
            let is_number = matches!(operands.get(1), Some(Operand::Number(_)));
            self.foreach(function, &x, y.as_deref(), is_number, target, is_new)
        }
    }

    /// An operand where a single array is worked on.
    fn element(&self, operand: &Operand) -> String {
        match operand {
            Operand::Array(value) => self.name(*value),
            Operand::Number(text) | Operand::PerArray(text, _) => text.clone(),
        }
    }

    /// How a scratch array is bound; where it first is, with its type.
    fn bound(&self, target: &str, is_new: bool) -> String {
        if is_new && self.style == Style::Foreach {
            format!("{target}: Tensors")
        } else {
            target.to_owned()
        }
    }

    /// Returns the lines that apply a call on single arrays to all of them; `reads_weights` says
    /// whether it reads their shape.
    fn called(
        &self,
        call: &str,
        operands: &[Operand],
        reads_weights: bool,
        target: &str,
        is_new: bool,
    ) -> Vec<String> {
        if self.style == Style::Single {
            // The call makes a new array in any case.
            return vec![if target.starts_with("scratch") {
                format!("{target} = {call}")
            } else {
                format!("{target}.copy_({call})")
            }];
        }
        let mut names: Vec<String> = Vec::new();
        let read = operands.iter().flat_map(|operand| match operand {
            Operand::Array(value) => vec![self.name(*value)],
            Operand::Number(_) => Vec::new(),
            Operand::PerArray(_, names) => names.clone(),
        });
        for name in read.chain(reads_weights.then(|| self.listing.weights.clone())) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let source = over(&names);
        let bound = self.bound(target, is_new);
        let assign = |value: &str| match target.starts_with("scratch") {
            true => format!("{bound} = {value}"),
            false => format!("torch._foreach_copy_({target}, {value})"),
        };
        let one = assign(&format!("[{call} {source}]"));
        if MARGIN.len() + one.chars().count() <= WIDTH {
            return vec![one];
        }
        if target.starts_with("scratch") {
            let lines = comprehension("", call, &names);
            return std::iter::once(format!("{bound} = ["))
                .chain(lines)
                .chain(["]".to_owned()])
                .collect();
        }
        let short = format!("{MARGIN}{target}, [{call} {source}]");
        if MARGIN.len() + short.chars().count() <= WIDTH {
            return vec!["torch._foreach_copy_(".to_owned(), short, ")".to_owned()];
        }
        let start = [
            "torch._foreach_copy_(".to_owned(),
            format!("{MARGIN}{target},"),
            format!("{MARGIN}["),
        ];
        start
            .into_iter()
            .chain(comprehension(MARGIN, call, &names))
            .chain([format!("{MARGIN}],"), ")".to_owned()])
            .collect()
    }

    fn copy(&self, x: &str, target: &str, is_new: bool) -> String {
        match (self.style, is_new) {
            (Style::Single, true) => format!("{target} = {x}.clone()"),
            (Style::Single, false) => format!("{target}.copy_({x})"),
            (Style::Foreach, true) => {
                format!("{} = [tensor.clone() for tensor in {x}]", self.bound(target, true))
            }
            (Style::Foreach, false) => format!("torch._foreach_copy_({target}, {x})"),
        }
    }

    fn single(
        &self,
        function: Function,
        x: &str,
        y: Option<&str>,
        y_is_array: bool,
        place: Holder,
    ) -> Vec<String> {
        let target = self.place_name(place);
        let name = torch_name(function).unwrap_or_default();
        let (name, arguments) = match (function, y) {
            (Function::Maximum, Some(y)) if !y_is_array => ("clamp", format!("min={y}")),
            (Function::Minimum, Some(y)) if !y_is_array => ("clamp", format!("max={y}")),
            (_, y) => (name, y.unwrap_or_default().to_owned()),
        };
        let comma = if arguments.is_empty() { "" } else { ", " };
        // PyTorch has no bound by another array that works in place.
        let is_method = name != "maximum" && name != "minimum";
        let number = match (place, is_method, x == target) {
            (_, true, true) => return vec![format!("{target}.{name}_({arguments})")],
            (Holder::Scratch(number), ..) => number,
            (_, true, false) => {
                return vec![
                    format!("{target}.copy_({x})"),
                    format!("{target}.{name}_({arguments})"),
                ];
            }
            (_, false, _) => {
                return vec![format!("{target}.copy_(torch.{name}({x}{comma}{arguments}))")];
            }
        };
        let out = self
            .given
            .iter()
            .position(|given| *given == number)
            .map_or_else(String::new, |at| format!(", {OUT}={OUT}[{at}]"));
        let one = format!("{target} = torch.{name}({x}{comma}{arguments}{out})");
        if MARGIN.len() + one.chars().count() <= WIDTH {
            return vec![one];
        }
        let inner = format!("{MARGIN}{x}{comma}{arguments}{out}");
        vec![format!("{target} = torch.{name}("), inner, ")".to_owned()]
    }

    fn foreach(
        &self,
        function: Function,
        x: &str,
        y: Option<&str>,
        is_number: bool,
        target: &str,
        is_new: bool,
    ) -> Vec<String> {
        let is_scratch = target.starts_with("scratch");
        let name = torch_name(function).unwrap_or_default();
        // A number may be a tensor in a compiled step, and there is no difference from a tensor.
        let (name, y) = match (function, y) {
            (Function::Subtract, Some(y)) if is_number => ("add", Some(negative(y))),
            (_, y) => (name, y.map(str::to_owned)),
        };
        let second = y.map_or_else(String::new, |y| format!(", {y}"));
        if x == target {
            vec![format!("torch._foreach_{name}_({x}{second})")]
        } else if is_scratch {
            // Gone before the next one comes, so that the allocator can give the same memory again.
            let gone = (!is_new).then(|| format!("del {target}"));
            let bound = self.bound(target, is_new);
            gone.into_iter()
                .chain([format!("{bound} = torch._foreach_{name}({x}{second})")])
                .collect()
        } else {
            vec![
                format!("torch._foreach_copy_({target}, {x})"),
                format!("torch._foreach_{name}_({target}{second})"),
            ]
        }
    }

    /// The end of a step: the slots take their next values, and the update is subtracted from the
    /// weights.
    pub fn end(&self, update: Value, next_slots: &[Value]) -> String {
        let mut text = String::new();
        let moves = |slot: usize| self.place(next_slots[slot]) != Holder::Slot(slot);
        // The value in the array of a slot that is about to be written is put aside first.
        let mut aside: Vec<(Holder, String)> = Vec::new();
        for value in next_slots
            .iter()
            .enumerate()
            .filter(|(slot, _)| moves(*slot))
            .map(|(_, value)| value)
            .chain([&update])
        {
            let place = self.place(*value);
            let Holder::Slot(slot) = place else { continue };
            if moves(slot) && !aside.iter().any(|(known, _)| *known == place) {
                let name = format!("{}_before", self.listing.slots[slot]);
                let _ =
                    writeln!(text, "{MARGIN}{}", self.copy(&self.place_name(place), &name, true));
                aside.push((place, name));
            }
        }
        let name = |value: Value| {
            let place = self.place(value);
            aside
                .iter()
                .find(|(known, _)| *known == place)
                .map_or_else(|| self.place_name(place), |(_, name)| name.clone())
        };
        for (slot, value) in next_slots.iter().enumerate().filter(|(slot, _)| moves(*slot)) {
            let _ = writeln!(
                text,
                "{MARGIN}{}",
                self.copy(&name(*value), &self.listing.slots[slot], false)
            );
        }
        let (weights, update) = (&self.listing.weights, name(update));
        let _ = match self.style {
            Style::Single => writeln!(text, "{MARGIN}{weights}.sub_({update})"),
            Style::Foreach => writeln!(text, "{MARGIN}torch._foreach_sub_({weights}, {update})"),
        };
        text
    }
}

/// The part of a comprehension that goes over lists, each under its own name.
fn over(names: &[String]) -> String {
    match names {
        [name] => format!("for {name} in {name}"),
        names => format!("for {0} in zip({0}, strict=True)", names.join(", ")),
    }
}

/// The lines of a comprehension between its brackets, at a margin inside the body of a function.
fn comprehension(margin: &str, call: &str, names: &[String]) -> Vec<String> {
    let inner = format!("{margin}{MARGIN}");
    let fits = |line: &str| MARGIN.len() + line.chars().count() <= WIDTH;
    let one = format!("{inner}{call} {}", over(names));
    let source = format!("{inner}{}", over(names));
    if fits(&one) {
        vec![one]
    } else if fits(&source) {
        vec![format!("{inner}{call}"), source]
    } else {
        let names = names.join(", ");
        vec![
            format!("{inner}{call}"),
            format!("{inner}for {names} in zip("),
            format!("{inner}{MARGIN}{names}, strict=True"),
            format!("{inner})"),
        ]
    }
}

/// A comparison of two values.
pub fn compared(function: Function, x: &str, y: &str) -> String {
    let operator = match function {
        Function::Less => "<",
        Function::LessEqual => "<=",
        Function::Greater => ">",
        Function::GreaterEqual => ">=",
        _ => "==",
    };
    format!("{x} {operator} {y}")
}

/// A number with its sign turned.
fn negative(number: &str) -> String {
    match number.strip_prefix('-') {
        Some(positive) => positive.to_owned(),
        None if number
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.') =>
        {
            format!("-{number}")
        }
        None => format!("-({number})"),
    }
}
