//! Expressions in LaTeX.

use super::expression::{Expression, Operator, is_magnitude, joined};
use super::number::Number;

/// How tightly an expression holds together. A fraction is as good as an atom but for powers.
const SUM: u8 = 1;
const PRODUCT: u8 = 2;
const FRACTION: u8 = 3;
const POWER: u8 = 4;
const ATOM: u8 = 5;

fn level(expression: &Expression) -> u8 {
    match expression {
        Expression::Sum(_) | Expression::Negative(_) => SUM,
        Expression::Product(_) => PRODUCT,
        Expression::Quotient(..) => FRACTION,
        Expression::Power(..) => POWER,
        // An exponent after log|x| would seem to be that of the magnitude.
        Expression::Apply(Operator::MatrixProduct, _) => PRODUCT,
        Expression::Apply(Operator::Transpose, _) => POWER,
        Expression::Apply(Operator::Named(..), arguments) if is_magnitude(arguments) => POWER,
        Expression::Number(number) if number.is_power() => POWER,
        Expression::Number(Number { exponent: Some(_), .. }) => PRODUCT,
        _ => ATOM,
    }
}

/// Whether the brackets around an expression must grow with it.
fn is_tall(expression: &Expression) -> bool {
    match expression {
        Expression::Symbol(..) | Expression::Number(_) => false,
        Expression::Quotient(..) => true,
        Expression::Sum(terms) => terms.iter().any(|(_, term)| is_tall(term)),
        Expression::Product(factors) => factors.iter().any(is_tall),
        // Exponents are set small.
        Expression::Power(base, _) => is_tall(base),
        Expression::Negative(inner) => is_tall(inner),
        Expression::Apply(_, arguments) => arguments.iter().any(is_tall),
    }
}

fn brackets(open: &str, inner: &str, close: &str, tall: bool) -> String {
    // A command needs a space before a letter.
    let space = if open.starts_with('\\') { " " } else { "" };
    if tall {
        format!(r"\left{open}{space}{inner}\right{close}")
    } else {
        format!("{open}{space}{inner}{space}{close}")
    }
}

/// The expression as text.
pub(super) fn text(expression: &Expression) -> String {
    match expression {
        Expression::Symbol(symbol, time) => symbol.latex(*time),
        Expression::Number(number) => match number.exponent {
            None => number.mantissa.clone(),
            Some(exponent) if number.is_power() => format!("10^{{{exponent}}}"),
            Some(exponent) => format!(r"{} \cdot 10^{{{exponent}}}", number.mantissa),
        },
        Expression::Sum(terms) => joined(terms, "-", |term| within(term, PRODUCT)),
        Expression::Product(factors) => {
            let mut product = String::new();
            let mut before_is_word = false;
            for factor in factors {
                let factor = if let Expression::Number(_) = factor {
                    text(factor)
                } else {
                    within(factor, FRACTION)
                };
                let is_word = factor.starts_with(r"\mathrm");
                if !product.is_empty() {
                    product.push_str(if before_is_word && !starts_with_digit(&factor) {
                        r"\,"
                    } else {
                        separator(&factor)
                    });
                }
                before_is_word = is_word;
                product.push_str(&factor);
            }
            product
        }
        Expression::Quotient(numerator, denominator) => {
            format!(r"\frac{{{}}}{{{}}}", text(numerator), text(denominator))
        }
        Expression::Power(base, exponent) => {
            let base = match &**base {
                Expression::Symbol(symbol, time) if symbol.is_primed() => {
                    format!("{{{}}}", symbol.latex(*time))
                }
                base => within(base, ATOM),
            };
            format!("{base}^{{{}}}", text(exponent))
        }
        Expression::Negative(inner) => format!("-{}", within(inner, PRODUCT)),
        Expression::Apply(operator, arguments) => {
            let list = arguments.iter().map(text).collect::<Vec<_>>().join(", ");
            let tall = arguments.iter().any(is_tall);
            match operator {
                Operator::Abs => brackets(r"\lvert", &list, r"\rvert", tall),
                Operator::GlobalNorm => {
                    format!("{}_2", brackets(r"\lVert", &list, r"\rVert", tall))
                }
                Operator::ArrayNorm => {
                    format!(r"{}_{{\mathrm{{array}}}}", brackets(r"\lVert", &list, r"\rVert", tall))
                }
                Operator::Comparison(_, sign) => {
                    let sides =
                        arguments.iter().map(text).collect::<Vec<_>>().join(&format!(" {sign} "));
                    brackets("[", &sides, "]", tall)
                }
                Operator::Dot => brackets(r"\langle", &list, r"\rangle", tall),
                Operator::Sqrt => format!(r"\sqrt{{{list}}}"),
                Operator::CubeRoot => format!(r"\sqrt[3]{{{list}}}"),
                Operator::Transpose => format!(
                    r"{}^{{\top}}",
                    arguments.first().map_or_else(String::new, |x| within(x, ATOM))
                ),
                Operator::MatrixProduct => arguments
                    .iter()
                    .map(|x| within(x, FRACTION))
                    .collect::<Vec<_>>()
                    .join(r" \mathbin{@} "),
                // A magnitude has brackets of its own.
                Operator::Named(_, name) if is_magnitude(arguments) => format!("{name} {list}"),
                Operator::Named(_, name) => format!("{name}{}", brackets("(", &list, ")", tall)),
            }
        }
    }
}

/// Returns the separator before a factor of a product: digits need a dot, brackets and words a
/// little space.
fn separator(factor: &str) -> &'static str {
    if starts_with_digit(factor) {
        r" \cdot "
    } else if ["(", r"\left", r"\mathrm", r"\frac", r"\lvert", r"\lVert", r"\langle", "["]
        .iter()
        .any(|open| factor.starts_with(open))
    {
        r"\,"
    } else {
        " "
    }
}

fn starts_with_digit(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

fn within(expression: &Expression, least: u8) -> String {
    if level(expression) < least {
        brackets("(", &text(expression), ")", is_tall(expression))
    } else {
        text(expression)
    }
}
