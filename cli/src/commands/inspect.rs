//! `symopt inspect`

mod importance;
mod lineage;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use symopt_dsl::graph::Redundancy;
use symopt_dsl::{Graph, Profile, Program};
use symopt_evaluator::Storage;
use symopt_export::Formula;
use symopt_export::formula::Equation;
use symopt_figures::Drawing;
use symopt_pages::program::without_doc;

use crate::failure::Failure;
use crate::{files, named_program, table, terminal, words};

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
    /// Print nothing but the formulas, as an align* block for LaTeX with amsmath
    #[arg(long, conflicts_with_all = ["json", "lineage", "tasks"])]
    latex: bool,
    /// Also draw the data flow into FILE: a picture for .svg, a description for Graphviz for .dot.
    /// Can be given several times
    #[arg(long, value_name = "FILE", conflicts_with_all = ["lineage", "tasks"])]
    graph: Vec<PathBuf>,
    /// Also write a page for a browser into FILE, with the derivation of a shorter program
    #[arg(long, value_name = "FILE", conflicts_with_all = ["lineage", "tasks"])]
    html: Option<PathBuf>,
}

#[derive(Serialize)]
struct Inspection {
    name: String,
    doc: Option<String>,
    numerics: String,
    source: String,
    hash: String,
    profiles: Vec<&'static str>,
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
    formula: Formulas,
    latex: String,
    #[serde(skip)]
    formula_text: String,
    #[serde(skip)]
    listing: String,
}

/// The right sides of the formulas, in Unicode.
#[derive(Serialize)]
struct Formulas {
    update: String,
    slots: Vec<NamedFormula>,
    r#where: Vec<NamedFormula>,
}

#[derive(Serialize)]
struct NamedFormula {
    name: String,
    formula: String,
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
    // Faults of the command are reported before any work begins.
    let pictures = arguments
        .graph
        .iter()
        .map(|path| Ok((path, PictureFormat::of(path)?)))
        .collect::<Result<Vec<_>, Failure>>()?;
    pictures.iter().try_for_each(|(path, _)| files::check_writable(path))?;
    arguments.html.iter().try_for_each(|path| files::check_writable(path))?;
    let program = named_program::find(&arguments.program)?;
    let graph = Graph::new(&program).map_err(|errors| Failure::Input(format!("{errors:?}")))?;
    if !pictures.is_empty() {
        let drawing = Drawing::new(&program, &graph);
        for (path, format) in pictures {
            let text = match format {
                PictureFormat::Svg => drawing.svg_file(),
                PictureFormat::Dot => drawing.dot(),
            };
            files::write(path, &text)?;
        }
    }
    if let Some(path) = &arguments.html {
        let page = symopt_pages::program::page(&program, &graph, &words::of_page());
        files::write(path, &page.html())?;
    }
    let mut out = terminal::output();
    if arguments.latex {
        return Ok(out.write_all(Formula::new(&program, &graph).latex().as_bytes())?);
    }
    let inspection = inspect(&program, &graph);
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &inspection)?;
        return Ok(out.write_all(b"\n")?);
    }
    print(&mut out, &inspection)?;
    for (index, path) in arguments.graph.iter().enumerate() {
        writeln!(
            out,
            "{}data flow drawn into {}",
            if index == 0 { "\n" } else { "" },
            path.display()
        )?;
    }
    if let Some(path) = &arguments.html {
        writeln!(out, "\nwritten: {}", path.display())?;
    }
    Ok(())
}

/// File format of a picture.
enum PictureFormat {
    Svg,
    Dot,
}

impl PictureFormat {
    /// By the ending of the file's name.
    fn of(path: &Path) -> Result<PictureFormat, Failure> {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        match ending.as_deref() {
            Some("svg") => Ok(PictureFormat::Svg),
            Some("dot") => Ok(PictureFormat::Dot),
            _ => Err(Failure::Input(format!(
                "can't tell from `{}` what to draw: the file's name must end with .svg (a picture) or .dot (for Graphviz)",
                path.display()
            ))),
        }
    }
}

fn inspect(program: &Program, graph: &Graph) -> Inspection {
    let signature = program.signature();
    let formula = Formula::new(program, graph);
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
    Inspection {
        name: signature.name.clone(),
        doc: signature.doc.clone(),
        numerics: format!("{:?}", signature.numerics).to_lowercase(),
        source: program.to_string(),
        hash: graph.hash().to_string(),
        profiles: program.profiles().into_iter().map(Profile::name).collect(),
        statements: statements.collect(),
        live_statements: graph.live_statements(),
        redundant_within_step: count(Redundancy::WithinStep),
        redundant_across_steps: count(Redundancy::AcrossSteps),
        slots: signature
            .slots()
            .zip(graph.slots())
            .map(|(slot, next)| Slot {
                name: program.variable_name(slot).to_string(),
                live: next.is_some(),
            })
            .collect(),
        hyperparameters: signature
            .hyperparameters()
            .map(|(_, p)| (p.name.clone(), p.default.unwrap_or(0.0)))
            .collect(),
        peak_lr: signature.peak_learning_rate(),
        calls: cost.calls,
        array_passes: cost.array_passes,
        bytes_per_parameter: cost.bytes_per_parameter,
        state_bytes_per_parameter: live_slots * Storage::F32.bytes(),
        state_bytes_per_parameter_bf16: live_slots * Storage::Bf16.bytes(),
        pruned: without_doc(&program.pruned(graph)).to_string(),
        latex: formula.latex(),
        formula_text: formula.unicode(),
        formula: formulas(formula),
        listing: listing(program, graph),
    }
}

fn formulas(formula: Formula) -> Formulas {
    let named = |equations: Vec<Equation>| {
        equations.into_iter().map(|e| NamedFormula { name: e.name, formula: e.unicode }).collect()
    };
    Formulas {
        update: formula.update.unicode,
        slots: named(formula.slots),
        r#where: named(formula.definitions),
    }
}

/// The program's text with a margin: the type of each statement's value, and what is redundant or
/// dead.
fn listing(program: &Program, graph: &Graph) -> String {
    let rows: Vec<(String, String, String)> = symopt_pages::program::listed(program, graph)
        .into_iter()
        .map(|line| (line.ty, line.mark, line.text))
        .collect();
    let width = |cells: &mut dyn Iterator<Item = usize>| cells.max().unwrap_or(0);
    let types = width(&mut rows.iter().map(|row| row.0.chars().count()));
    let marks = width(&mut rows.iter().map(|row| row.1.chars().count()));
    let line = |(ty, mark, line): &(String, String, String)| {
        let margin = if marks == 0 { String::new() } else { format!("{mark:<marks$}  ") };
        format!("{ty:<types$}  {margin}{line}").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

fn print(out: &mut impl Write, inspection: &Inspection) -> std::io::Result<()> {
    let slots: Vec<String> = inspection
        .slots
        .iter()
        .map(|slot| if slot.live { slot.name.clone() } else { format!("{} (dead)", slot.name) })
        .collect();
    let hyperparameters: Vec<String> = inspection
        .hyperparameters
        .iter()
        .map(|(name, value)| format!("{name}={}", table::number(*value)))
        .collect();
    let none =
        |list: Vec<String>| if list.is_empty() { "none".to_owned() } else { list.join(", ") };
    if let Some(doc) = &inspection.doc {
        writeln!(out, "{}\n", doc.trim())?;
    }
    writeln!(out, "program          {}", inspection.name)?;
    writeln!(out, "numerics         {}", inspection.numerics)?;
    writeln!(out, "functional hash  {}", inspection.hash)?;
    table::described(out, &format!("profiles         {}", inspection.profiles.join(", ")))?;
    table::described(out, &format!("slots            {}", none(slots)))?;
    table::described(out, &format!("hyperparameters  {}", none(hyperparameters)))?;
    let text = format!(
        "statements       {}: {} live, {} redundant within a step, {} redundant across steps",
        inspection.statements.len(),
        inspection.live_statements,
        inspection.redundant_within_step,
        inspection.redundant_across_steps
    );
    table::described(out, &text)?;
    let text = format!(
        "cost             {} calls in {} over the arrays, {} bytes moved per parameter (f32)",
        inspection.calls,
        if inspection.array_passes == 1 {
            "1 pass".to_owned()
        } else {
            format!("{} passes", inspection.array_passes)
        },
        inspection.bytes_per_parameter
    );
    table::described(out, &text)?;
    let live = inspection.slots.iter().filter(|slot| slot.live).count();
    let dead = if live < inspection.slots.len() { "; dead slots take none" } else { "" };
    let (f32, bf16) =
        (inspection.state_bytes_per_parameter, inspection.state_bytes_per_parameter_bf16);
    let slots = if live == 1 { "1 slot".to_owned() } else { format!("{live} slots") };
    table::described(
        out,
        &format!(
            "memory           {f32} bytes of state per parameter in f32, {bf16} in bf16: {slots}{dead}"
        ),
    )?;
    writeln!(out)?;
    write!(out, "{}", inspection.listing)?;
    if inspection.live_statements < inspection.statements.len() || live < inspection.slots.len() {
        table::paragraph(
            out,
            "\nredundant: nothing that the step returns needs it; dead: it only feeds slots that no later update needs",
        )?;
    }
    write!(out, "\nformula\n\n{}", inspection.formula_text)?;
    if inspection.live_statements < inspection.statements.len() {
        writeln!(
            out,
            "\nwithout redundant statements and dead slots:\n\n{}",
            inspection.pruned.trim_end()
        )?;
    }
    Ok(())
}
