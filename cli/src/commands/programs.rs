//! `symopt programs`

use clap::Args;
use serde::Serialize;
use symopt_dsl::{Graph, Profile};

use crate::failure::Failure;
use crate::table;
use crate::terminal;

#[derive(Args)]
pub struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    summary: String,
    numerics: String,
    statements: usize,
    live_statements: usize,
    slots: usize,
    profiles: Vec<&'static str>,
    hyperparameters: Vec<(String, f64)>,
    peak_lr: f64,
    hash: String,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for entry in symopt_programs::zoo() {
        let program = entry.program();
        let graph = Graph::new(&program)
            .map_err(|errors| Failure::Work(format!("{}: {errors:?}", entry.name)))?;
        let signature = program.signature();
        rows.push(Row {
            name: entry.name,
            summary: entry.summary().to_owned(),
            numerics: format!("{:?}", signature.numerics).to_lowercase(),
            statements: program.statements.len(),
            live_statements: graph.live_statements(),
            slots: graph.live_slots().count(),
            profiles: program.profiles().into_iter().map(Profile::name).collect(),
            hyperparameters: signature
                .hyperparameters()
                .map(|(_, p)| (p.name.clone(), p.default.unwrap_or(0.0)))
                .collect(),
            peak_lr: signature.peak_learning_rate(),
            hash: graph.hash().to_string(),
        });
    }
    let mut out = terminal::output();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &rows)?;
        return Ok(std::io::Write::write_all(&mut out, b"\n")?);
    }
    let mut lines = vec![
        ["NAME", "SLOTS", "STATEMENTS", "PROFILES", "HYPERPARAMETERS", "WHAT IT IS"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for row in rows {
        let hyperparameters: Vec<String> = row
            .hyperparameters
            .iter()
            .map(|(name, value)| format!("{name}={}", table::number(*value)))
            .collect();
        lines.push(vec![
            row.name.to_owned(),
            row.slots.to_string(),
            row.live_statements.to_string(),
            row.profiles.join(" "),
            if hyperparameters.is_empty() { "-".to_owned() } else { hyperparameters.join(" ") },
            row.summary,
        ]);
    }
    Ok(table::print(&mut out, &lines, &[1, 2], &[(3, 12), (4, 24), (5, 35)])?)
}
