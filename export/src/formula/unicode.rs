//! Expressions in Unicode.

use super::expression::{Expression, Operator, is_magnitude, joined};
use super::number::Number;

/// How tightly an expression holds together.
const SUM: u8 = 1;
const PRODUCT: u8 = 2;
const QUOTIENT: u8 = 3;
const POWER: u8 = 4;
const ATOM: u8 = 5;

fn level(expression: &Expression) -> u8 {
    match expression {
        Expression::Sum(_) | Expression::Negative(_) => SUM,
        Expression::Product(_) => PRODUCT,
        Expression::Quotient(..) => QUOTIENT,
        Expression::Power(..) | Expression::Apply(Operator::Sqrt | Operator::CubeRoot, _) => POWER,
        // An exponent after `log|x|` would seem to be that of the magnitude.
        Expression::Apply(Operator::MatrixProduct, _) => QUOTIENT,
        Expression::Apply(Operator::Transpose, _) => POWER,
        Expression::Apply(Operator::Named(..), arguments) if is_magnitude(arguments) => POWER,
        Expression::Number(number) if number.is_power() => POWER,
        Expression::Number(Number { exponent: Some(_), .. }) => PRODUCT,
        _ => ATOM,
    }
}

/// The expression as text.
pub(super) fn text(expression: &Expression) -> String {
    match expression {
        Expression::Symbol(symbol, _) => symbol.unicode.clone(),
        Expression::Number(number) => number_text(number),
        Expression::Sum(terms) => joined(terms, "−", |term| within(term, PRODUCT)),
        Expression::Product(factors) => {
            let factor = |factor: &Expression| match factor {
                Expression::Number(number) => number_text(number),
                // A quotient among the factors would leave open what is divided.
                other => within(other, POWER),
            };
            factors.iter().map(factor).collect::<Vec<_>>().join("·")
        }
        Expression::Quotient(numerator, denominator) => {
            let numerator = if level(numerator) == QUOTIENT {
                format!("({})", text(numerator))
            } else {
                within(numerator, PRODUCT)
            };
            format!("{numerator} / {}", within(denominator, POWER))
        }
        Expression::Power(base, exponent) => {
            let base = within(base, ATOM);
            match superscript(exponent) {
                Some(exponent) => format!("{base}{exponent}"),
                None => format!("{base}^{}", within(exponent, ATOM)),
            }
        }
        Expression::Negative(inner) => format!("−{}", within(inner, PRODUCT)),
        Expression::Apply(operator, arguments) => {
            let list = arguments.iter().map(text).collect::<Vec<_>>().join(", ");
            match operator {
                // Bars inside of bars could be read in more than one way.
                Operator::Abs if list.contains('|') => format!("abs({list})"),
                Operator::Abs => format!("|{list}|"),
                Operator::GlobalNorm => format!("‖{list}‖₂"),
                Operator::ArrayNorm => format!("‖{list}‖ₐ"),
                Operator::Dot => format!("⟨{list}⟩"),
                Operator::Comparison(sign, _) => format!(
                    "[{}]",
                    arguments.iter().map(text).collect::<Vec<_>>().join(&format!(" {sign} "))
                ),
                Operator::Sqrt => format!("√{}", bracketed(arguments, &list, true)),
                Operator::CubeRoot => format!("∛{}", bracketed(arguments, &list, true)),
                Operator::Transpose => {
                    format!("{}ᵀ", arguments.first().map_or_else(String::new, |x| within(x, ATOM)))
                }
                Operator::MatrixProduct => {
                    arguments.iter().map(|x| within(x, POWER)).collect::<Vec<_>>().join(" @ ")
                }
                Operator::Named(name, _) => format!("{name}{}", bracketed(arguments, &list, false)),
            }
        }
    }
}

/// Arguments between brackets. A magnitude has brackets of its own, and below a root a symbol or a
/// number needs none.
fn bracketed(arguments: &[Expression], list: &str, below_root: bool) -> String {
    match arguments {
        _ if is_magnitude(arguments) && list.starts_with('|') => list.to_string(),
        [Expression::Symbol(..) | Expression::Number(Number { exponent: None, .. })]
            if below_root =>
        {
            list.to_string()
        }
        _ => format!("({list})"),
    }
}

fn within(expression: &Expression, least: u8) -> String {
    if level(expression) < least { format!("({})", text(expression)) } else { text(expression) }
}

fn number_text(number: &Number) -> String {
    match number.exponent {
        None => number.mantissa.clone(),
        Some(exponent) if number.is_power() => {
            format!("10{}", superscript_digits(&exponent.to_string()))
        }
        Some(exponent) => {
            format!("{}·10{}", number.mantissa, superscript_digits(&exponent.to_string()))
        }
    }
}

/// An exponent of few digits as a superscript.
fn superscript(exponent: &Expression) -> Option<String> {
    let (minus, number) = match exponent {
        Expression::Number(number) => ("", number),
        Expression::Negative(inner) => match &**inner {
            Expression::Number(number) => ("-", number),
            _ => return None,
        },
        _ => return None,
    };
    let is_short = number.exponent.is_none()
        && number.mantissa.len() <= 3
        && number.mantissa.bytes().all(|b| b.is_ascii_digit());
    is_short.then(|| superscript_digits(&format!("{minus}{}", number.mantissa)))
}

fn superscript_digits(text: &str) -> String {
    let superscript = |c: char| match c {
        '0' => '⁰',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        '4' => '⁴',
        '5' => '⁵',
        '6' => '⁶',
        '7' => '⁷',
        '8' => '⁸',
        '9' => '⁹',
        '-' => '⁻',
        other => other,
    };
    text.chars().map(superscript).collect()
}

/// Columns that a text takes in a terminal: combining marks take none.
pub(super) fn columns(text: &str) -> usize {
    text.chars().filter(|c| !('\u{300}'..='\u{36f}').contains(c)).count()
}
