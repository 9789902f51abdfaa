//! A program's formula as a snippet for LaTeX with amsmath: an `align*` block under a comment that
//! says what it is.

use symopt_dsl::{Graph, Program, escape};

use crate::Formula;
use crate::python::wrapped;

/// The file. `graph` must be the program's own.
pub fn file(program: &Program, graph: &Graph) -> String {
    let signature = program.signature();
    let doc = signature.doc.as_deref().map(str::trim).filter(|doc| !doc.is_empty());
    let doc = doc.map_or_else(
        || format!("{}, an optimizer", signature.name),
        |doc| escape::lines(doc).into_owned(),
    );
    let head = format!(
        "{}\n\nNeeds \\usepackage{{amsmath}}.\nWritten by symopt {} from the program `{}` with the functional hash\n{}.",
        wrapped(&doc),
        env!("CARGO_PKG_VERSION"),
        signature.name,
        graph.hash()
    );
    let comment: String =
        head.lines().map(|line| format!("% {line}").trim_end().to_owned() + "\n").collect();
    comment + &Formula::new(program, graph).latex()
}
