//! Numbers as people read them.

use symopt_proxy_tasks::suite::Fitness;

/// A whole number with commas: `29,384`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count with its noun: `1 search`, `2 searches`.
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// A share as percent with its sign: `+1.89 %`.
pub fn percent(share: f64) -> String {
    format!("{} %", signed(100.0 * share, 2))
}

/// The same with a standard error, if there is one: `+1.11 ± 0.43 %`.
pub fn percent_with_error(share: f64, error: Option<f64>) -> String {
    match error.filter(|error| *error > 0.0) {
        Some(error) => format!("{} ± {:.2} %", signed(100.0 * share, 2), 100.0 * error),
        None => percent(share),
    }
}

/// A fitness with its standard error, or why there is none.
pub fn fitness(fitness: Fitness, error: Option<f64>) -> String {
    match fitness {
        Fitness::Improvement(value) => percent_with_error(value, error),
        other => other.to_string(),
    }
}

/// A number with its sign and so many decimals, with the sign of mathematics; no negative zero.
pub fn signed(number: f64, decimals: usize) -> String {
    let text = format!("{number:+.decimals$}");
    let is_zero = !text.contains(|digit: char| ('1'..='9').contains(&digit));
    if is_zero && number.is_finite() {
        return text.replacen('-', "+", 1);
    }
    text.replacen('-', "−", 1)
}

/// A number to so many significant digits, for data that is drawn.
pub fn rounded(number: f64, digits: usize) -> f64 {
    format!("{number:.*e}", digits.saturating_sub(1)).parse().unwrap_or(number)
}

/// The beginning of a hash, which names a program.
pub fn short_hash(hash: &str) -> String {
    hash.chars().take(12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [0, 999, 1000, 29384, 1_234_567].map(count).join(" "),
            "0 999 1,000 29,384 1,234,567"
        );
        assert_eq!(percent(-0.0151), "−1.51 %");
        assert_eq!(percent(-0.000001), "+0.00 %");
        assert_eq!(percent_with_error(0.0111, Some(0.0043)), "+1.11 ± 0.43 %");
        assert_eq!(rounded(0.123456789, 4), 0.1235);
        assert_eq!(rounded(f64::NEG_INFINITY, 4), f64::NEG_INFINITY);
    }
}
