//! The page of a benchmark: times of the programs of the zoo on a machine.

use symopt_benchmark::cell::{Cell as Measured, Engine};
use symopt_benchmark::report::Report;
use symopt_benchmark::target::{Bound, Verdict};

use super::{fact, made_by, page};
use crate::chart::{Axis, Dot, Dots};
use crate::content::{Block, Figure};
use crate::numbers::counted;
use crate::page::{Page, Section};
use crate::table::{Cell, Column, Table};

/// The page of a benchmark. `command` is the one that measures again.
pub fn benchmark(report: &Report, command: &str) -> Page {
    let of = |verdict| report.targets.iter().filter(|t| t.verdict == verdict).count() as u64;
    let machine = &report.machine;
    let measured = of(Verdict::Met) + of(Verdict::Missed);
    let mut verdict = vec![match measured {
        0 => format!("Times on {}; none of the targets was measured.", machine.processor),
        _ => format!(
            "{} of {} that could be measured on {} {} met.",
            of(Verdict::Met),
            counted(measured, "target", "targets"),
            machine.processor,
            if of(Verdict::Met) == 1 { "is" } else { "are" }
        ),
    }];
    verdict.extend(compared(report));
    if !report.complete {
        verdict.push("It was interrupted: not all was measured.".to_owned());
    }
    let mut places = Vec::new();
    for cell in &report.cells {
        let place = (cell.parameters, cell.threads);
        if !places.contains(&place) {
            places.push(place);
        }
    }
    let figures = places.into_iter().map(|(size, threads)| {
        let title = format!("{size} parameters, {}", counted(threads as u64, "thread", "threads"));
        let is_there = |cell: &&Measured| (cell.parameters, cell.threads) == (size, threads);
        let cells: Vec<_> = report.cells.iter().filter(is_there).collect();
        Section::new(title.clone(), vec![figure(&title, &cells)])
    });
    let mut sections: Vec<Section> = figures.collect();
    sections.push(Section::new("Targets", vec![targets(report)]));
    let mut facts = vec![
        fact("processor", &machine.processor),
        fact("cores", machine.cores),
        fact("widest instructions", machine.simd),
    ];
    facts.extend(report.c_compiler.as_ref().map(|compiler| fact("C loops", compiler)));
    let note = "This command measures again. Times differ from run to run: the page is the same for the same numbers.";
    let mut last = made_by(command, note, facts, None);
    if !report.notes.is_empty() {
        last.blocks.push(Block::List(report.notes.clone()));
    }
    sections.push(last);
    page("benchmark", "How fast the zoo runs here".to_owned(), verdict, sections)
}

fn figure(title: &str, cells: &[&Measured]) -> Block {
    let columns = vec![
        Column::text("program"),
        Column::text("engine"),
        Column::number("ns a parameter"),
        Column::number("fastest to slowest round, ns a step"),
        Column::number("GB/s"),
        Column::number("over the time of its traffic alone"),
    ];
    let mut table = Table::new(title, columns);
    let mut dots = Vec::new();
    for cell in cells {
        for row in &cell.rows {
            let engine = match row.arrays {
                1 => row.name.clone(),
                arrays => format!("{}, {arrays} arrays", row.name),
            };
            let nanoseconds = row.nanoseconds_per_parameter;
            dots.push(Dot {
                row: cell.program.to_owned(),
                kind: engine.clone(),
                value: nanoseconds,
                error: None,
            });
            let [fastest, slowest] = row.range;
            table.rows.push(vec![
                Cell::text(cell.program),
                Cell::text(engine),
                Cell::number(nanoseconds, format!("{nanoseconds:.3}")),
                Cell::number(fastest, format!("{fastest:.0} to {slowest:.0}")),
                Cell::number(row.gigabytes_per_second, format!("{:.1}", row.gigabytes_per_second)),
                row.ratio_to_bandwidth.map_or_else(
                    || Cell::text("-"),
                    |ratio| Cell::number(ratio, format!("{ratio:.2}")),
                ),
            ]);
        }
    }
    let axis = Axis::log("median time of a step (ns a parameter)");
    let drawn = Dots { axis, dots, level: None, in_one_line: true };
    let sentence = "The median time of a step by program and engine: further left is faster. The axis is logarithmic.";
    Block::Figure(Figure::new(format!("Times, {title}"), sentence, drawn.specification(), table))
}

/// How much longer the tile machine takes than the compiled kernel, in a sentence.
fn compared(report: &Report) -> Option<String> {
    let ratio =
        |cell: &Measured| cell.row(Engine::TileMachine, 1)?.ratio(cell.row(Engine::Compiled, 1)?);
    let mut ratios: Vec<f64> = report.cells.iter().filter_map(ratio).collect();
    ratios.sort_by(f64::total_cmp);
    let (least, most) = (ratios.first()?, ratios.last()?);
    Some(format!(
        "The tile machine takes {least:.2} to {most:.2} times as long as the compiled kernel of the same program, over {}.",
        counted(ratios.len() as u64, "measurement", "measurements")
    ))
}

fn targets(report: &Report) -> Block {
    let columns = vec![
        Column::text("target"),
        Column::number("limit"),
        Column::number("worst"),
        Column::text("verdict"),
        Column::text("measured"),
    ];
    let mut table = Table::new("Targets, and the numbers that were reached", columns);
    for target in &report.targets {
        let unit = target.unit;
        let sign = if target.bound == Bound::AtMost { "≤" } else { "≥" };
        let values =
            target.values.iter().map(|value| format!("{} {:.2}", value.place, value.value));
        let missing = target.missing.iter().map(|place| format!("{place} -"));
        table.rows.push(vec![
            Cell::text(&target.what),
            Cell::number(target.limit, format!("{sign} {} {unit}", target.limit)),
            target.worst().map_or_else(
                || Cell::text("-"),
                |worst| Cell::number(worst.value, format!("{:.2} {unit}", worst.value)),
            ),
            Cell::text(match target.verdict {
                Verdict::Met => "met",
                Verdict::Missed => "MISSED",
                Verdict::NotMeasured => "not measured",
            }),
            Cell::text(values.chain(missing).collect::<Vec<_>>().join(", ")),
        ]);
    }
    Block::Table(table)
}
