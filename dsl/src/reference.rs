//! The reference of the language's functions, as a page of Markdown.

use std::fmt::Write;

use crate::escape::markdown;
use crate::function::{FUNCTIONS, Function, FunctionRow, Typing};

/// Returns the page: a table of all functions, in the order of the function table.
///
/// `docs/generated/functions.md` is what this gives; a test keeps them equal.
pub fn functions() -> String {
    let mut page = "# The functions of the language\n\n\
         Made by `cargo run -p symopt-dsl --example functions > docs/generated/functions.md` from the function table. A profile is a set of functions \
         that a program may need; a search draws from `paper`, and from others where its settings say so. Where a function has a guarded form, \
         `@guarded` above `def` puts that in its place.\n\n\
         | function | also written | profile | type of the result | meaning |\n|---|---|---|---|---|\n"
        .to_owned();
    for row in FUNCTIONS {
        // Writing to a string can't fail.
        let _ = writeln!(page, "{}", line(row));
    }
    page
}

fn line(row: &FunctionRow) -> String {
    let names = if row.function == Function::Where { ["c", "x", "y"] } else { ["x", "y", "z"] };
    let arguments = names[..row.arity()].join(", ");
    let operator = row.operator.map(|operator| {
        if row.arity() == 1 { format!("{operator}x") } else { format!("x {operator} y") }
    });
    let aliases = row.aliases.iter().map(|alias| (*alias).to_owned()).chain(operator);
    let aliases: Vec<String> =
        aliases.map(|alias| format!("`{}`", alias.replace('|', "\\|"))).collect();
    let aliases = if aliases.is_empty() { "-".to_owned() } else { aliases.join(", ") };
    let guarded =
        row.guarded.map(|guarded| format!("; guarded: `{}`", guarded.name())).unwrap_or_default();
    format!(
        "| `{}({arguments})` | {} | {} | {} | {}{guarded} |",
        row.name,
        aliases,
        row.profile.name(),
        typing(row.typing),
        markdown(row.doc)
    )
}

fn typing(typing: Typing) -> &'static str {
    match typing {
        Typing::Constant => "a number",
        Typing::ElementWise => "the largest of the arguments'",
        Typing::PerArrayReduction => "a number for each array",
        Typing::GlobalReduction => "a number",
        Typing::ScaledBy => "the largest but the last argument's, which is a number",
        Typing::Transpose => "the matrix of each array, transposed",
        Typing::MatrixProduct => "the product of each array's matrices",
        Typing::OfMatrix => "the argument's",
    }
}
