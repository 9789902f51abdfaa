//! How expressions are written in a language.

use std::borrow::Cow;

use symopt_dsl::{Function, Type};

use super::listing::{Callee, Expression};

/// How tightly an expression holds together, in Python as in C.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A comparison or a conditional expression.
    Condition,
    /// A sum or a difference.
    Sum,
    /// A product or a quotient.
    Product,
    /// A negated value.
    Negative,
    /// A power.
    Power,
    /// A name, a number, a call, or what stands in brackets.
    Atom,
}

/// A language, as far as expressions go.
pub trait Notation {
    /// How a call of a function is written, of a value of some type: `{x}`, `{y}` and `{z}` are the
    /// arguments. An argument that stands in a call or another bracket needs none of its own; one
    /// that does not is written `{x!}` and gets brackets if it is no atom. `None` if the language
    /// has no such function.
    fn spelling(&self, callee: Callee, ty: Type) -> Option<Cow<'static, str>>;

    /// How an operator is written where the language's own would not do: `None` where it does.
    fn operator(
        &self,
        _function: Function,
        _ty: Type,
        _arguments: &[Expression],
    ) -> Option<Cow<'static, str>> {
        None
    }

    /// How a value that is no array is written where it meets arrays, for languages that say how it
    /// is rounded; with how tightly that holds together.
    fn rounded(&self, _value: &Expression) -> Option<(String, Level)> {
        None
    }

    /// How a number is written.
    fn number(&self, number: f64) -> String {
        python_number(number)
    }

    /// How a name is written that is read as a value.
    fn name(&self, name: &str, _ty: Type) -> String {
        name.to_owned()
    }
}

/// The sign between the two arguments of a comparison.
pub fn comparison_sign(function: Function) -> Option<&'static str> {
    match function {
        Function::Less => Some("<"),
        Function::LessEqual => Some("<="),
        Function::Greater => Some(">"),
        Function::GreaterEqual => Some(">="),
        Function::Equal => Some("=="),
        _ => None,
    }
}

/// A number as Python reads it.
pub fn python_number(number: f64) -> String {
    if number.is_nan() {
        "float(\"nan\")".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "float(\"inf\")" } else { "float(\"-inf\")" }.to_owned()
    } else if number.fract() == 0.0
        && number.abs() < 1e6
        && !(number == 0.0 && number.is_sign_negative())
    {
        format!("{number}")
    } else {
        shortest(number)
    }
}

/// The shortest text that reads as the same number, always with a point or an exponent.
pub fn shortest(number: f64) -> String {
    let (plain, scientific) = (format!("{number:?}"), format!("{number:e}"));
    // Rust prints `1e16` for a large number where it could print a point.
    if plain.contains('e') || (number != 0.0 && scientific.len() < plain.len()) {
        scientific
    } else {
        plain
    }
}

/// An expression as text.
pub fn written(notation: &dyn Notation, expression: &Expression) -> String {
    write(notation, expression).0
}

/// An expression as text that can stand beside operators of a level: in brackets if it must.
pub fn written_within(notation: &dyn Notation, expression: &Expression, level: Level) -> String {
    bracketed(write(notation, expression), level)
}

/// An expression as text, where an array of f32 is wanted.
pub fn written_in_array(notation: &dyn Notation, expression: &Expression) -> String {
    operand(notation, Type::Tree, expression).0
}

/// An argument of a call whose value has a type.
fn operand(notation: &dyn Notation, ty: Type, argument: &Expression) -> (String, Level) {
    let rounded = if ty == Type::Tree && argument.ty() != Type::Tree {
        notation.rounded(argument)
    } else {
        None
    };
    rounded.unwrap_or_else(|| write(notation, argument))
}

/// A comparison as the operators of C and Rust have it, without brackets around it; `None` if the
/// call is none.
pub fn comparison(notation: &dyn Notation, expression: &Expression) -> Option<String> {
    let Expression::Call(Callee::Function(function), ty, arguments) = expression else {
        return None;
    };
    let [x, y] = &arguments[..] else { return None };
    // A number reads better on the right.
    let turned = matches!(x, Expression::Number(_)) && !matches!(y, Expression::Number(_));
    let (x, y) = if turned { (y, x) } else { (x, y) };
    let sign = match (comparison_sign(*function)?, turned) {
        ("<", true) => ">",
        ("<=", true) => ">=",
        (">", true) => "<",
        (">=", true) => "<=",
        (sign, _) => sign,
    };
    let side = |argument: &Expression| bracketed(operand(notation, *ty, argument), Level::Sum);
    let mut left = side(x);
    // In Rust, what follows the type of a cast would be its parameters.
    if sign == "<" && (left.ends_with(" as f32") || left.ends_with(" as f64")) {
        left = format!("({left})");
    }
    Some(format!("{left} {sign} {}", side(y)))
}

/// Returns the test of a `where` in the operators of C and Rust: a comparison itself, or whether a
/// value is not 0.
pub fn condition(notation: &dyn Notation, ty: Type, expression: &Expression) -> String {
    if let Some(comparison) = comparison(notation, expression) {
        return comparison;
    }
    let side = |argument: &Expression| bracketed(operand(notation, ty, argument), Level::Sum);
    format!("{} != {}", side(expression), side(&Expression::Number(0.0)))
}

fn bracketed((text, own): (String, Level), least: Level) -> String {
    if own < least { format!("({text})") } else { text }
}

fn write(notation: &dyn Notation, expression: &Expression) -> (String, Level) {
    match expression {
        Expression::Name(name, ty) => (notation.name(name, *ty), Level::Atom),
        Expression::Number(number) => {
            let level = if number.is_sign_negative() { Level::Negative } else { Level::Atom };
            (notation.number(*number), level)
        }
        Expression::Call(callee, ty, arguments) => call(notation, *callee, *ty, arguments),
    }
}

fn call(
    notation: &dyn Notation,
    callee: Callee,
    ty: Type,
    arguments: &[Expression],
) -> (String, Level) {
    let at = |index: usize, level: Level| {
        arguments
            .get(index)
            .map_or_else(String::new, |a| bracketed(operand(notation, ty, a), level))
    };
    let Callee::Function(function) = callee else {
        return spelled(notation, callee, ty, arguments);
    };
    if let Some(spelling) = notation.operator(function, ty, arguments) {
        return filled(notation, &spelling, ty, arguments);
    }
    match function {
        Function::Negative => (format!("-{}", at(0, Level::Negative)), Level::Negative),
        Function::Add | Function::Subtract => {
            // A sum on the right is another order of rounding, so it keeps its brackets.
            (
                format!(
                    "{} {} {}",
                    at(0, Level::Sum),
                    function.row().operator.unwrap_or_default(),
                    at(1, Level::Product)
                ),
                Level::Sum,
            )
        }
        Function::Multiply | Function::Divide => {
            let operator = function.row().operator.unwrap_or_default();
            (
                format!("{} {operator} {}", at(0, Level::Product), at(1, Level::Negative)),
                Level::Product,
            )
        }
        Function::Reciprocal => (
            format!(
                "{} / {}",
                operand(notation, ty, &Expression::Number(1.0)).0,
                at(0, Level::Negative)
            ),
            Level::Product,
        ),
        _ => spelled(notation, callee, ty, arguments),
    }
}

fn spelled(
    notation: &dyn Notation,
    callee: Callee,
    ty: Type,
    arguments: &[Expression],
) -> (String, Level) {
    // Functions that the language lacks were refused before anything was written.
    filled(notation, &notation.spelling(callee, ty).unwrap_or(Cow::Borrowed("?")), ty, arguments)
}

/// A spelling with its arguments.
fn filled(
    notation: &dyn Notation,
    spelling: &str,
    ty: Type,
    arguments: &[Expression],
) -> (String, Level) {
    if let ("{x}", Some(argument)) = (spelling, arguments.first()) {
        return operand(notation, ty, argument);
    }
    let mut text = spelling.to_owned();
    for (place, argument) in ["x", "y", "z"].iter().zip(arguments) {
        text = text.replace(&format!("{{{place}}}"), &operand(notation, ty, argument).0);
        text = text.replace(
            &format!("{{{place}!}}"),
            &bracketed(operand(notation, ty, argument), Level::Atom),
        );
    }
    // A method call holds together as well as a function's.
    let level = match spelling {
        _ if spelling.contains(" if ")
            || spelling.contains(" ? ")
            || spelling.contains("} <")
            || spelling.contains("} >")
            || spelling.contains("} ==") =>
        {
            Level::Condition
        }
        _ if spelling.ends_with(" as f64") => Level::Negative,
        _ if spelling.contains("!}") && !spelling.starts_with("{x!}.") => Level::Power,
        _ => Level::Atom,
    };
    (text, level)
}
