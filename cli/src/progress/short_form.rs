//! The best program of a search in a few words, for its progress line.

use symopt_dsl::{FunctionalHash, Graph, Program};
use symopt_export::Formula;
use symopt_search::engine::Best;

/// The update of the best program as a formula, made once for each.
#[derive(Default)]
pub struct ShortForm {
    of: Option<FunctionalHash>,
    text: String,
}

impl ShortForm {
    /// The formula of a program.
    pub fn of(&mut self, best: &Best) -> String {
        if self.of != Some(best.hash) {
            self.of = Some(best.hash);
            self.text = formula(&best.program);
        }
        self.text.clone()
    }
}

/// Returns a program's update as a formula, without what it does not need.
pub fn formula(program: &Program) -> String {
    let Ok(graph) = Graph::new(program) else { return String::new() };
    let pruned = program.pruned(&graph);
    let Ok(graph) = Graph::new(&pruned) else { return String::new() };
    let update = Formula::new(&pruned, &graph).update;
    format!("{} = {}", update.name, rounded(&update.unicode))
}

/// A formula whose numbers have three significant digits.
fn rounded(formula: &str) -> String {
    let mut text = String::with_capacity(formula.len());
    let mut number = String::new();
    for character in formula.chars().chain(['\0']) {
        if character.is_ascii_digit() || character == '.' {
            number.push(character);
            continue;
        }
        // A name may end in digits, but has no point in it.
        let round = |number: &str| {
            number.parse::<f64>().ok().and_then(|value| format!("{value:.2e}").parse::<f64>().ok())
        };
        match round(&number).filter(|_| number.contains('.') && number.len() > 5) {
            Some(value) => text.push_str(&value.to_string()),
            None => text.push_str(&number),
        }
        number.clear();
        if character != '\0' {
            text.push(character);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_told_by_its_update() {
        let program = symopt_programs::find("lion-raw").unwrap().program();
        let text = formula(&program);
        assert!(text.starts_with("update = ") && text.chars().count() < 80, "{text}");
        assert_eq!(
            rounded("0.0031415926535897933·m1234567 + 10⁻⁸ + 0.01·w12.0"),
            "0.00314·m1234567 + 10⁻⁸ + 0.01·w12.0"
        );
    }
}
