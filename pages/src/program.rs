//! A program on a page: its statements with types and marks, its formula, its cost, its data flow,
//! and how it becomes a shorter one.

use std::fmt::Write;

use symopt_analysis::equivalence::RandomStreams;
use symopt_analysis::simplify::{Derivation, Label, Options, StepKind, Support, simplify};
use symopt_dsl::graph::Redundancy;
use symopt_dsl::program::Signature;
use symopt_dsl::{Graph, Profile, Program};
use symopt_export::Formula;

use crate::content::{Block, Drawing, Line, ListedLine};
use crate::numbers::counted;
use crate::page::{Page, Section, Tile};
use crate::table::{Cell, Column, Table};

/// The program's text line by line: the type of each statement's value, and what is redundant or
/// dead.
pub fn listed(program: &Program, graph: &Graph) -> Vec<ListedLine> {
    let text = without_doc(program).to_string();
    let dead: Vec<String> = program
        .signature()
        .slots()
        .zip(graph.slots())
        .filter(|(_, next)| next.is_none())
        .map(|(slot, _)| program.variable_name(slot).to_string())
        .collect();
    let mut rows: Vec<ListedLine> = Vec::new();
    let mut in_head = true;
    let mut statements = graph.statement_types().iter().zip(graph.redundancy());
    for line in text.lines() {
        // Names and numbers hold no `#`, so all behind the first one is a comment.
        let code = line.split('#').next().unwrap_or_default().trim();
        let (mut ty, mut mark) = (String::new(), String::new());
        if in_head {
            if code.starts_with("def ") {
                mark = match &dead[..] {
                    [] => String::new(),
                    [slot] => format!("slot {slot} dead"),
                    slots => format!("{} slots dead", slots.len()),
                };
            }
            in_head = !code.ends_with("):");
        } else if !code.is_empty()
            && let Some((statement_type, redundancy)) = statements.next()
        {
            ty = statement_type.to_string();
            mark = match redundancy {
                Redundancy::Live => "",
                Redundancy::WithinStep => "redundant",
                Redundancy::AcrossSteps => "dead",
            }
            .to_owned();
        }
        rows.push(ListedLine { ty, mark, text: line.to_owned() });
    }
    rows
}

/// The doc string describes the program as it stands, and is shown with that one.
pub fn without_doc(program: &Program) -> Program {
    program.with_signature(Signature { doc: None, ..program.signature().clone() })
}

/// All that is known of a program without running it.
pub fn blocks(program: &Program, graph: &Graph) -> Vec<Block> {
    let signature = program.signature();
    let mut blocks = Vec::new();
    if let Some(doc) = &signature.doc {
        blocks.extend(doc.trim().split("\n\n").map(|text| Block::Paragraph(text.to_owned())));
    }
    blocks.push(Block::Listing(listed(program, graph)));
    let redundant = graph.redundancy().iter().any(|kind| *kind != Redundancy::Live);
    if redundant || graph.slots().iter().any(Option::is_none) {
        blocks.push(Block::Paragraph(
            "redundant: nothing that the step returns needs it; dead: it only feeds slots that no later update needs."
                .to_owned(),
        ));
    }
    blocks.push(Block::Facts(facts(program, graph)));
    blocks.push(Block::Heading("Formula".to_owned()));
    let pruned = program.pruned(graph);
    let formula = Graph::new(&pruned).map_or_else(
        |_| Formula::new(program, graph).unicode(),
        |graph| Formula::new(&pruned, &graph).unicode(),
    );
    blocks.push(Block::Formula(formula.trim_end().to_owned()));
    blocks.push(Block::Heading("Data flow".to_owned()));
    blocks.push(Block::Drawing(data_flow(program, graph)));
    blocks
}

/// The page of a program. `command` is the one that makes it again.
pub fn page(program: &Program, graph: &Graph, command: &str) -> Page {
    let name = &program.signature().name;
    let cost = graph.cost();
    let redundant = program.statements.len() - graph.live_statements();
    let verdict = format!(
        "{} of its {} matter; a step takes {} over the arrays and moves {} bytes a parameter; it keeps {} bytes of state for each.",
        graph.live_statements(),
        counted(program.statements.len() as u64, "statement", "statements"),
        counted(cost.array_passes as u64, "pass", "passes"),
        cost.bytes_per_parameter,
        cost.state_bytes_per_parameter
    );
    let tiles = vec![
        Tile::new(
            "live statements",
            graph.live_statements().to_string(),
            format!("{redundant} more do nothing"),
        ),
        Tile::new("state", format!("{} bytes", cost.state_bytes_per_parameter), "a parameter, f32"),
        Tile::new("moved", format!("{} bytes", cost.bytes_per_parameter), "a parameter and step"),
        Tile::new("passes", cost.array_passes.to_string(), "over the arrays"),
    ];
    Page {
        title: format!("The program {name}"),
        kind: "program".to_owned(),
        verdict: vec![verdict],
        tiles,
        sections: vec![
            Section::new("Program", blocks(program, graph)),
            Section::new("Derivation", simplified(program)),
            made_by(command),
        ],
    }
}

/// The page of a derivation. `command` is the one that makes it again.
pub fn derivation_page(steps: &Derivation, command: &str) -> Page {
    let (first, last) = (&steps.original, steps.result());
    let verdict = format!(
        "From {} to {}, in {}: equal in the sense of the label \u{201c}{}\u{201d}.",
        counted(first.statements.len() as u64, "statement", "statements"),
        last.statements.len(),
        counted(steps.steps.len() as u64, "step", "steps"),
        steps.label()
    );
    let mut sections = vec![Section::new("Derivation", derivation(steps))];
    for (title, program) in [("What is left", last), ("What was given", first)] {
        if let Ok(graph) = Graph::new(program) {
            sections.push(Section::new(title, blocks(program, &graph)));
        }
    }
    sections.push(made_by(command));
    Page {
        title: format!("{}, simplified", first.signature().name),
        kind: "simplification".to_owned(),
        verdict: vec![verdict],
        tiles: Vec::new(),
        sections,
    }
}

fn made_by(command: &str) -> Section {
    let text = "This command makes the page again, byte for byte:".to_owned();
    Section::new("Command", vec![Block::Paragraph(text), Block::Code(command.to_owned())])
}

/// The cost of a program and what it is.
fn facts(program: &Program, graph: &Graph) -> Vec<(String, String)> {
    let signature = program.signature();
    let cost = graph.cost();
    let count = |kind| graph.redundancy().iter().filter(|r| **r == kind).count() as u64;
    let hyperparameters: Vec<String> = signature
        .hyperparameters()
        .map(|(_, parameter)| {
            let value = parameter.default.unwrap_or(0.0);
            format!("{} = {}", parameter.name, symopt_dsl::printer::number(value))
        })
        .collect();
    let profiles: Vec<&str> = program.profiles().into_iter().map(Profile::name).collect();
    let none =
        |list: Vec<String>| if list.is_empty() { "none".to_owned() } else { list.join(", ") };
    let slots = counted(graph.live_slots().count() as u64, "slot", "slots");
    let rows = [
        ("name", signature.name.clone()),
        ("functional hash", graph.hash().to_string()),
        ("numerics", format!("{:?}", signature.numerics).to_lowercase()),
        ("profiles", profiles.join(", ")),
        ("hyperparameters", none(hyperparameters)),
        (
            "statements",
            format!(
                "{} live, {} redundant, {} dead",
                graph.live_statements(),
                count(Redundancy::WithinStep),
                count(Redundancy::AcrossSteps)
            ),
        ),
        (
            "one step",
            format!(
                "{} in {} over the arrays",
                counted(cost.calls as u64, "call", "calls"),
                counted(cost.array_passes as u64, "pass", "passes")
            ),
        ),
        ("moved", format!("{} bytes a parameter (f32)", cost.bytes_per_parameter)),
        ("state", format!("{} bytes a parameter (f32), {slots}", cost.state_bytes_per_parameter)),
    ];
    rows.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

/// The colours of a drawing and the page's variables in their place.
const COLORS: [(&str, &str); 12] = [
    ("#ffffff", "--flow-paper"),
    ("#64748b", "--flow-line"),
    ("#0f172a", "--flow-ink"),
    ("#475569", "--flow-faint"),
    ("#dbeafe", "--input"),
    ("#3b82f6", "--input-edge"),
    ("#fef3c7", "--slot"),
    ("#d97706", "--slot-edge"),
    ("#f1f5f9", "--call"),
    ("#dcfce7", "--result"),
    ("#16a34a", "--result-edge"),
    ("#000000", "--flow-ink"),
];

/// The data flow, in the page's colours.
fn data_flow(program: &Program, graph: &Graph) -> Drawing {
    let mut svg = symopt_figures::Drawing::new(program, graph).svg();
    for (color, variable) in COLORS {
        // Quotes in an author's text are escaped, so no text looks like this.
        svg = svg.replace(&format!("=\"{color}\""), &format!("=\"var({variable})\""));
    }
    let cost = graph.cost();
    let sentence = format!(
        "One step: the inputs above, through {}, to the update and the next values of {} below. Solid lines are arrays, dashed ones are single numbers.",
        counted(cost.calls as u64, "call", "calls"),
        counted(graph.live_slots().count() as u64, "slot", "slots")
    );
    Drawing { title: format!("Data flow of {}", program.signature().name), sentence, svg }
}

/// How a program becomes a shorter one that does the same.
pub fn simplified(program: &Program) -> Vec<Block> {
    derivation(&simplify(program, &Options::default(), &mut RandomStreams::default()))
}

/// A derivation step by step.
pub fn derivation(derivation: &Derivation) -> Vec<Block> {
    let (first, last) = (&derivation.original, derivation.result());
    let mut blocks = Vec::new();
    if derivation.steps.is_empty() {
        blocks.push(Block::Paragraph("There is nothing to simplify.".to_owned()));
    } else {
        blocks.push(Block::Paragraph(format!(
            "From {} to {} in {}, equal in the sense of the label \u{201c}{}\u{201d}. What is left:",
            counted(first.statements.len() as u64, "statement", "statements"),
            last.statements.len(),
            counted(derivation.steps.len() as u64, "step", "steps"),
            derivation.label()
        )));
        blocks.push(Block::Code(without_doc(last).to_string().trim_end().to_owned()));
        if let Ok(graph) = Graph::new(last) {
            let formula = Formula::new(last, &graph).unicode();
            blocks.push(Block::Formula(formula.trim_end().to_owned()));
        }
    }
    for (number, step) in derivation.steps.iter().enumerate() {
        let (before, after) = (step.before.statements.len(), step.after.statements.len());
        let title = format!(
            "{}. {}: {before} to {after} statements ({})",
            number + 1,
            step.kind,
            step.label
        );
        let mut inner = Vec::new();
        let mut reasons: Vec<String> = Vec::new();
        for reason in &step.reasons {
            let mut text = reason.rule.clone();
            if reason.label != step.label {
                let _ = write!(text, " ({})", reason.label);
            }
            if !reason.text.is_empty() {
                let _ = write!(text, ": {}", reason.text);
            }
            reasons.push(text);
        }
        if !step.conditions.is_empty() {
            reasons.push(format!("where {}", step.conditions.join(" and ")));
        }
        if !reasons.is_empty() {
            inner.push(Block::List(reasons));
        }
        let text = |program: &Program| without_doc(program).to_string();
        inner.push(Block::Difference(Line::between(&text(&step.before), &text(&step.after))));
        match &step.support {
            Support::Check(evidence) => {
                // Numbers that get names are checked bit for bit, with the meaning that the step
                // gives to `lr`.
                let exact = step.kind == StepKind::Constants;
                let label = if exact { Label::Exact } else { step.label };
                inner.push(Block::Paragraph(evidence.sentence(label)));
            }
            Support::Trials(trials) => {
                let columns = vec![
                    Column::text("change"),
                    Column::number("fitness"),
                    Column::number("with the change"),
                    Column::number("difference"),
                    Column::text("kept"),
                ];
                let caption = "Each change, trained on the suite beside the program";
                let mut table = Table::new(caption, columns);
                for trial in trials {
                    table.rows.push(vec![
                        Cell::text(&trial.change),
                        share(trial.fitness_before, None),
                        share(trial.fitness_after, None),
                        share(trial.difference, trial.standard_error),
                        Cell::text(if trial.kept { "yes" } else { "no" }),
                    ]);
                }
                inner.push(Block::Table(table));
            }
        }
        blocks.push(Block::Details(title, inner));
    }
    blocks.extend(derivation.notes.iter().map(|note| Block::Note(format!("{note}."))));
    blocks
}

fn share(value: Option<f64>, error: Option<f64>) -> Cell {
    value.map_or_else(|| Cell::text("diverged"), |value| Cell::percent(value, error))
}
