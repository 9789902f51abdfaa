//! `symopt inspect`

mod importance;
mod lineage;

use std::io::Write;

use clap::Args;
use serde::Serialize;
use symopt_dsl::graph::Redundancy;
use symopt_dsl::{Graph, Program};
use symopt_evaluator::Storage;

use crate::failure::Failure;
use crate::{programs, table};

#[derive(Args)]
pub struct Arguments {
    /// Zoo name, file, `-` or STORE:HASH
    program: String,
    #[command(flatten)]
    lineage: lineage::LineageOptions,
    #[command(flatten)]
    importance: importance::ImportanceOptions,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Inspection {
    name: String,
    doc: Option<String>,
    numerics: String,
    source: String,
    hash: String,
    statements: Vec<Statement>,
    live_statements: usize,
    redundant_within_step: usize,
    redundant_across_steps: usize,
    slots: Vec<Slot>,
    hyperparameters: Vec<(String, f64)>,
    peak_lr: f64,
    calls: usize,
    array_passes: usize,
    bytes_per_parameter: usize,
    state_bytes_per_parameter: usize,
    state_bytes_per_parameter_bf16: usize,
    pruned: String,
}

#[derive(Serialize)]
struct Statement {
    text: String,
    r#type: String,
    status: &'static str,
}

#[derive(Serialize)]
struct Slot {
    name: String,
    live: bool,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    if arguments.lineage.lineage {
        return lineage::run(&arguments.program, &arguments.lineage, arguments.json);
    }
    if let Some(suite) = &arguments.importance.tasks {
        return importance::run(&arguments.program, suite, &arguments.importance, arguments.json);
    }
    let program = programs::find(&arguments.program)?;
    let graph = Graph::new(&program).map_err(|errors| Failure::Input(format!("{errors:?}")))?;
    let signature = program.signature();
    let count = |kind| graph.redundancy().iter().filter(|r| **r == kind).count();
    let cost = graph.cost();
    let live_slots = graph.live_slots().count();
    let statements = (0..program.statements.len()).map(|index| Statement {
        text: program.statement_text(&program.statements[index]).to_string(),
        r#type: graph.statement_types()[index].to_string(),
        status: match graph.redundancy()[index] {
            Redundancy::Live => "live",
            Redundancy::AcrossSteps => "redundant across steps",
            Redundancy::WithinStep => "redundant",
        },
    });
    let inspection = Inspection {
        name: signature.name.clone(),
        doc: signature.doc.clone(),
        numerics: format!("{:?}", signature.numerics).to_lowercase(),
        source: program.to_string(),
        hash: graph.hash().to_string(),
        statements: statements.collect(),
        live_statements: graph.live_statements(),
        redundant_within_step: count(Redundancy::WithinStep),
        redundant_across_steps: count(Redundancy::AcrossSteps),
        slots: signature
            .slots()
            .zip(graph.slots())
            .map(|(slot, next)| Slot { name: program.variable_name(slot).to_string(), live: next.is_some() })
            .collect(),
        hyperparameters: signature.hyperparameters().map(|(_, p)| (p.name.clone(), p.default.unwrap_or(0.0))).collect(),
        peak_lr: signature.peak_learning_rate(),
        calls: cost.calls,
        array_passes: cost.array_passes,
        bytes_per_parameter: cost.bytes_per_parameter,
        state_bytes_per_parameter: live_slots * Storage::F32.bytes(),
        state_bytes_per_parameter_bf16: live_slots * Storage::Bf16.bytes(),
        pruned: without_doc(&program.pruned(&graph)).to_string(),
    };
    let mut out = std::io::stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &inspection)?;
        return Ok(out.write_all(b"\n")?);
    }
    print(&mut out, &inspection)?;
    Ok(())
}

/// The doc string describes the program as it stands, and is shown with that one.
fn without_doc(program: &Program) -> Program {
    let mut signature = program.signature().clone();
    signature.doc = None;
    program.with_signature(signature)
}

fn print(out: &mut impl Write, inspection: &Inspection) -> std::io::Result<()> {
    let slots: Vec<String> =
        inspection.slots.iter().map(|slot| if slot.live { slot.name.clone() } else { format!("{} (dead)", slot.name) }).collect();
    let hyperparameters: Vec<String> =
        inspection.hyperparameters.iter().map(|(name, value)| format!("{name}={}", table::number(*value))).collect();
    let none = |list: Vec<String>| if list.is_empty() { "none".to_owned() } else { list.join(", ") };
    if let Some(doc) = &inspection.doc {
        writeln!(out, "{}\n", doc.trim())?;
    }
    writeln!(out, "program          {}", inspection.name)?;
    writeln!(out, "numerics         {}", inspection.numerics)?;
    writeln!(out, "functional hash  {}", inspection.hash)?;
    writeln!(out, "slots            {}", none(slots))?;
    writeln!(out, "hyperparameters  {}", none(hyperparameters))?;
    writeln!(
        out,
        "statements       {}: {} live, {} redundant within a step, {} redundant across steps",
        inspection.statements.len(),
        inspection.live_statements,
        inspection.redundant_within_step,
        inspection.redundant_across_steps
    )?;
    writeln!(
        out,
        "cost             {} calls in {} over the arrays, {} bytes moved per parameter (f32)",
        inspection.calls,
        if inspection.array_passes == 1 { "1 pass".to_owned() } else { format!("{} passes", inspection.array_passes) },
        inspection.bytes_per_parameter
    )?;
    let live = inspection.slots.iter().filter(|slot| slot.live).count();
    let dead = if live < inspection.slots.len() { "; dead slots take none" } else { "" };
    let (f32, bf16) = (inspection.state_bytes_per_parameter, inspection.state_bytes_per_parameter_bf16);
    let slots = if live == 1 { "1 slot".to_owned() } else { format!("{live} slots") };
    writeln!(out, "memory           {f32} bytes of state per parameter in f32, {bf16} in bf16: {slots}{dead}\n")?;
    let mut rows = vec![["STATEMENT", "TYPE", "STATUS"].map(str::to_owned).to_vec()];
    rows.extend(inspection.statements.iter().map(|s| vec![s.text.clone(), s.r#type.clone(), s.status.to_owned()]));
    table::print(out, &rows, &[], &[])?;
    if inspection.live_statements < inspection.statements.len() {
        writeln!(out, "\nwithout redundant statements and dead slots:\n\n{}", inspection.pruned.trim_end())?;
    }
    Ok(())
}
