//! `symopt identify`

use std::io::Write;

use clap::Args;
use serde::Serialize;
use symopt_analysis::compare::Comparison;
use symopt_analysis::identify::identify;
use symopt_analysis::structure::{Classification, classify};
use symopt_dsl::Program;

use crate::failure::Failure;
use crate::{named_program, options, table, terminal};

#[derive(Args)]
#[command(
    after_help = "Programs are compared in their simplified form. Equal ones come first, then those that are equal up to hyperparameters \
                        or a slot rescaling, then the others by the distance of their data flows, from 0 (the same functions on the same \
                        arguments) to 1 (nothing in common).\n\n\
                        The structure is AdamW-like, Signum-like, Lion-like, Muon-like or other: by what the program does to a fixed stream of \
                        gradients, and by its simplified form. --json has every number measured, and reasons."
)]
pub struct Arguments {
    /// Zoo name, file, `-` or STORE:HASH
    program: String,
    /// How many programs of the zoo to name
    #[arg(long, value_name = "N", default_value = "5", value_parser = options::between::<1, 1000>)]
    count: u16,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    program: String,
    structure: Classification,
    nearest: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    relation: &'static str,
    distance: f64,
    what_differs: String,
    comparison: Comparison,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let program = named_program::find(&arguments.program)?;
    let name = named_program::name(&arguments.program, &program);
    let simplify = |program: &Program| named_program::simplified(program).result().clone();
    let structure = classify(&program, simplify);
    let found = identify(&program, simplify);
    let rows = found.into_iter().take(usize::from(arguments.count)).map(|found| {
        let called = found.called();
        let comparison = found.comparison.named(&name, &called);
        Row {
            name: called,
            relation: comparison.relation.name(),
            distance: comparison.distance(),
            what_differs: comparison.differences(),
            comparison,
        }
    });
    let mut out = terminal::output();
    if arguments.json {
        let nearest = rows.collect();
        serde_json::to_writer_pretty(
            &mut out,
            &Report { program: name.clone(), structure, nearest },
        )?;
        return Ok(out.write_all(b"\n")?);
    }
    table::paragraph(&mut out, &format!("structure: {structure}"))?;
    structure.open_reasons().iter().try_for_each(|reason| table::indented(&mut out, reason))?;
    writeln!(out)?;
    let mut lines =
        vec![["NAME", "RELATION", "DISTANCE", "WHAT DIFFERS"].map(str::to_owned).to_vec()];
    lines.extend(rows.map(|row| {
        let differs = if row.what_differs.is_empty() { "-".to_owned() } else { row.what_differs };
        vec![row.name, row.relation.to_owned(), format!("{:.3}", row.distance), differs]
    }));
    Ok(table::print(&mut out, &lines, &[2], &[(1, 16), (3, 56)])?)
}
