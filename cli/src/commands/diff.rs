//! `symopt diff`

use std::io::Write;

use clap::Args;
use serde::Serialize;
use similar::{DiffOp, TextDiff};
use symopt_analysis::behaviour::{Behaviour, behavioural_distance};
use symopt_analysis::compare::{Comparison, compare};
use symopt_analysis::simplify::{Derivation, Label};
use symopt_dsl::{Graph, Program};

use crate::failure::Failure;
use crate::{named_program, terminal};

#[derive(Args)]
#[command(
    after_help = "Prints the texts side by side, then what the simplified programs have to do with each other: equal, equal up to \
                        hyperparameters or a slot rescaling, or how far apart their data flows are, from 0 (the same functions on the same \
                        arguments) to 1 (nothing in common). The exit code is 0 whether they differ or not."
)]
pub struct Arguments {
    /// Zoo name, file, `-` or STORE:HASH
    left: String,
    /// Zoo name, file, `-` or STORE:HASH
    right: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Difference {
    left: Described,
    right: Described,
    comparison: Comparison,
    summary: String,
    behaviour: Option<Behaviour>,
}

#[derive(Serialize)]
struct Described {
    name: String,
    text: String,
    /// Text that algebra leaves of it; this is compared.
    simplified: String,
    /// In which sense that is equal to the program.
    label: Label,
    hash: String,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    if arguments.left == "-" && arguments.right == "-" {
        return Err(Failure::Input("only one of the two programs can come from the standard input; write the other to a file".to_owned()));
    }
    let [left, right] =
        [named_program::find(&arguments.left)?, named_program::find(&arguments.right)?];
    let (left_name, right_name) = names(&arguments, &left, &right);
    let [simple_left, simple_right] =
        [named_program::simplified(&left), named_program::simplified(&right)];
    let comparison =
        compare(simple_left.result(), simple_right.result()).named(&left_name, &right_name);
    let difference = Difference {
        summary: comparison.to_string(),
        behaviour: behavioural_distance(&left, &right, 0),
        comparison,
        left: Described::new(left_name, &simple_left)?,
        right: Described::new(right_name, &simple_right)?,
    };
    let mut out = terminal::output();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &difference)?;
        return Ok(out.write_all(b"\n")?);
    }
    side_by_side(&mut out, &difference.left, &difference.right, terminal::columns())?;
    writeln!(out, "\n{}", difference.summary)?;
    for side in [&difference.left, &difference.right] {
        if side.label > Label::Exact {
            writeln!(
                out,
                "({} as simplified, which is equal to it in the sense of the label `{}`: symopt simplify)",
                side.name, side.label
            )?;
        }
    }
    if let Some(behaviour) = &difference.behaviour {
        writeln!(
            out,
            "\nupdates on random streams, {} scaled to fit {}:",
            difference.left.name, difference.right.name
        )?;
        let rows = [
            ("small weights", &behaviour.small_weights),
            ("ordinary weights", &behaviour.ordinary_weights),
        ];
        for (weights, distance) in
            rows.into_iter().filter_map(|(weights, distance)| Some((weights, distance.as_ref()?)))
        {
            writeln!(
                out,
                "  {weights:<16}  factor {:.3e}, cosine {:.4}, relative deviation {:.2e} (median) to {:.2e}, signs differ in {:.2} %",
                distance.factor,
                distance.cosine,
                distance.median_deviation,
                distance.largest_deviation,
                100.0 * distance.sign_disagreement
            )?;
        }
    }
    Ok(())
}

impl Described {
    fn new(name: String, derivation: &Derivation) -> Result<Described, Failure> {
        let (program, simplified) = (&derivation.original, derivation.result());
        let hash = Graph::new(program)
            .map_err(|errors| Failure::Input(format!("{errors:?}")))?
            .hash()
            .to_string();
        Ok(Described {
            name,
            text: text(program),
            simplified: text(simplified),
            label: derivation.label(),
            hash,
        })
    }
}

/// The text without its doc string, which differs from program to program whatever they compute.
fn text(program: &Program) -> String {
    let mut signature = program.signature().clone();
    signature.doc = None;
    program.with_signature(signature).to_string()
}

/// Names that tell the programs apart: their own, or what was typed where those are the same.
fn names(arguments: &Arguments, left: &Program, right: &Program) -> (String, String) {
    let (a, b) =
        (named_program::name(&arguments.left, left), named_program::name(&arguments.right, right));
    if a != b {
        return (a, b);
    }
    let (a, b) = (arguments.left.clone(), arguments.right.clone());
    if a != b { (a, b) } else { (format!("{a} (left)"), format!("{b} (right)")) }
}

/// Two texts in two columns. Between them: `|` where a line has changed, `<` and `>` where it
/// stands on one side only.
fn side_by_side(
    out: &mut impl Write,
    left: &Described,
    right: &Described,
    width: usize,
) -> std::io::Result<()> {
    let column = (width - 3) / 2;
    let mut row = |left: Option<&str>, mark: char, right: Option<&str>| -> std::io::Result<()> {
        let (left, right) =
            (folded(left.unwrap_or(""), column), folded(right.unwrap_or(""), column));
        for line in 0..left.len().max(right.len()) {
            let part = |parts: &[String]| parts.get(line).cloned().unwrap_or_default();
            writeln!(
                out,
                "{}",
                format!("{:<column$} {mark} {}", part(&left), part(&right)).trim_end()
            )?;
        }
        Ok(())
    };
    row(Some(&left.name), ' ', Some(&right.name))?;
    let rule = "-".repeat(column);
    row(Some(&rule), '-', Some(&rule))?;
    let (old, new): (Vec<&str>, Vec<&str>) =
        (left.text.lines().collect(), right.text.lines().collect());
    for operation in TextDiff::from_slices(&old, &new).ops() {
        let (old, new) = (&old[operation.old_range()], &new[operation.new_range()]);
        for line in 0..old.len().max(new.len()) {
            let (old, new) = (old.get(line).copied(), new.get(line).copied());
            let mark = match (operation, old, new) {
                (DiffOp::Equal { .. }, _, _) => ' ',
                (_, Some(_), Some(_)) => '|',
                (_, _, None) => '<',
                (_, None, _) => '>',
            };
            row(old, mark, new)?;
        }
    }
    Ok(())
}

/// A line in parts of at most `width` characters, broken at blanks where there are any; what
/// follows the first part is indented.
fn folded(line: &str, width: usize) -> Vec<String> {
    const INDENTATION: &str = "      ";
    let mut parts = Vec::new();
    let mut rest: Vec<char> = line.chars().collect();
    while rest.len() > width {
        let start = rest.iter().take_while(|c| **c == ' ').count();
        let blank = rest[..=width].iter().rposition(|c| *c == ' ').filter(|place| *place > start);
        let end = blank.unwrap_or(width);
        parts.push(rest[..end].iter().collect::<String>());
        rest = INDENTATION
            .chars()
            .chain(rest[end..].iter().copied().skip_while(|c| *c == ' '))
            .collect();
    }
    parts.push(rest.into_iter().collect());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_folded_at_blanks_and_keeps_its_letters() {
        assert_eq!(folded("  a = b", 20), ["  a = b"]);
        assert_eq!(
            folded("  update = interp(gradient, momentum, beta)", 24),
            ["  update =", "      interp(gradient,", "      momentum, beta)"]
        );
        assert_eq!(
            folded(&"x".repeat(25), 10),
            [
                "x".repeat(10),
                format!("      {}", "x".repeat(4)),
                format!("      {}", "x".repeat(4)),
                format!("      {}", "x".repeat(4)),
                "      xxx".to_owned()
            ]
        );
    }
}
