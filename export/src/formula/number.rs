//! Numbers of a formula: exact, in the fewest digits that give the same f64.

/// A number that is not negative: a decimal, times a power of ten where it would need many zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Number {
    pub mantissa: String,
    /// The power of ten, if there is one. A mantissa of `1` is then not written.
    pub exponent: Option<i32>,
}

impl Number {
    /// A finite number without its sign.
    pub fn new(value: f64) -> Number {
        let (digits, exponent) = shortest_digits(value);
        let last = exponent - (digits.len() as i32 - 1);
        // Small numbers with few zeros in front, and large ones whose digits reach the point or
        // nearly so, are easier to read as they are.
        if value == 0.0
            || (-4..=0).contains(&exponent)
            || (exponent > 0 && exponent < 16 && (last <= 0 || exponent < 6))
        {
            return Number { mantissa: format!("{}", value.abs()), exponent: None };
        }
        let (first, rest) = digits.split_at(1.min(digits.len()));
        let mantissa = if rest.is_empty() { first.to_string() } else { format!("{first}.{rest}") };
        Number { mantissa, exponent: Some(exponent) }
    }

    /// Whether nothing but a power of ten is written.
    pub fn is_power(&self) -> bool {
        self.exponent.is_some() && self.mantissa == "1"
    }
}

/// The digits of the shortest decimal that gives the number, without point, and the power of ten of
/// the first one.
fn shortest_digits(value: f64) -> (String, i32) {
    let text = format!("{:e}", value.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    (mantissa.replace('.', ""), exponent.parse().unwrap_or(0))
}

/// `1 - value` of the shortest decimal of a finite number, exactly, as a sign (true for negative)
/// and a number; `None` where that takes more than six decimals.
pub(super) fn complement(value: f64) -> Option<(bool, Number)> {
    let (digits, exponent) = shortest_digits(value);
    let decimals = (digits.len() as i32 - 1 - exponent).max(0);
    if decimals > 6 || exponent > 6 {
        return None;
    }
    let whole: i64 = digits.parse().ok()?;
    let scale = |power: i32| 10_i64.checked_pow(power as u32);
    let scaled = whole.checked_mul(scale(decimals - (digits.len() as i32 - 1 - exponent))?)?;
    let one = scale(decimals)?;
    let rest = one - if value < 0.0 { -scaled } else { scaled };
    let (integer, fraction) = (rest.abs() / one, rest.abs() % one);
    let fraction = format!("{fraction:0>width$}", width = decimals as usize);
    let fraction = fraction.trim_end_matches('0');
    let mantissa =
        if fraction.is_empty() { integer.to_string() } else { format!("{integer}.{fraction}") };
    Some((rest < 0, Number { mantissa, exponent: None }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact_and_short() {
        let text = |value: f64| {
            let number = Number::new(value);
            number.exponent.map_or(number.mantissa.clone(), |exponent| {
                format!("{}e{exponent}", number.mantissa)
            })
        };
        let cases = [
            (0.0, "0"),
            (2.0, "2"),
            (0.9, "0.9"),
            (0.001, "0.001"),
            (1e-8, "1e-8"),
            (1e-5, "1e-5"),
            (2.5e-9, "2.5e-9"),
            (0.0002171761734643951, "0.0002171761734643951"),
            (100000.0, "100000"),
            (1e7, "1e7"),
            (12345678.0, "12345678"),
            (1234567.5, "1234567.5"),
            (1.5e300, "1.5e300"),
            (5e-324, "5e-324"),
        ];
        for (value, expected) in cases {
            assert_eq!(text(value), expected);
            assert_eq!(text(value).parse::<f64>(), Ok(value), "{expected}");
        }
    }

    #[test]
    fn complements_are_exact_or_not_there() {
        let text = |value: f64| {
            complement(value).map(|(negative, number)| {
                format!("{}{}", if negative { "-" } else { "" }, number.mantissa)
            })
        };
        let cases = [
            (0.9, Some("0.1")),
            (0.999, Some("0.001")),
            (0.0015, Some("0.9985")),
            (0.99822, Some("0.00178")),
            (1.109, Some("-0.109")),
            (-0.5, Some("1.5")),
            (0.0, Some("1")),
            (1.0, Some("0")),
            (20.0, Some("-19")),
            (0.8999999761581421, None),
            (1e-8, None),
            (1e300, None),
        ];
        for (value, expected) in cases {
            assert_eq!(text(value).as_deref(), expected, "{value}");
        }
    }
}
