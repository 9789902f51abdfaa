//! The page of a conformance run: how far each engine and export is from the reference.

use symopt_conformance::report::Report;
use symopt_conformance::suite::Suite;
use symopt_conformance::tolerance::Tolerance;

use super::{fact, made_by, page};
use crate::chart::{Axis, Bar, Bars};
use crate::content::{Block, Figure};
use crate::numbers::{count, counted};
use crate::page::{Page, Section};
use crate::table::{Cell, Column, Table};

/// The page of a conformance run. `tolerance` says how far an engine may be away on a program;
/// `command` is the one that makes the page again.
pub fn conformance(
    report: &Report,
    suite: &Suite,
    tolerance: &dyn Fn(&str, &str) -> Tolerance,
    command: &str,
) -> Page {
    let programs: Vec<&str> = suite.subjects.iter().map(|subject| subject.name.as_str()).collect();
    let rows = report.table(&programs, tolerance);
    let engines = report.engines();
    let faults = report.faults(tolerance);
    let counted_programs = counted(programs.len() as u64, "program", "programs");
    let mut verdict = vec![match faults.len() {
        0 => format!(
            "{counted_programs} in {}: none is further from the reference than its order of rounding explains.",
            counted(engines.len() as u64, "engine or export", "engines and exports")
        ),
        wrong => format!(
            "{} of {counted_programs} in {} are further from the reference than their order of rounding explains.",
            counted(wrong as u64, "measurement", "measurements"),
            counted(engines.len() as u64, "engine or export", "engines and exports")
        ),
    }];
    // Programs of each engine whose every bit is the same.
    let mut bars = Vec::new();
    let mut same = Table::new(
        "Programs by what came of them",
        vec![
            Column::text("engine or export"),
            Column::number("every bit the same"),
            Column::number("others that ran"),
            Column::number("can't be expressed, or were not run"),
        ],
    );
    let mut all = 0;
    for (column, engine) in engines.iter().enumerate() {
        let cells = || rows.iter().skip(1).filter_map(|row| row.get(column + 1));
        let equal = cells().filter(|cell| *cell == "0").count() as u64;
        let is_absent = |cell: &&String| cell.starts_with("cannot: ") || *cell == "not run";
        let absent = cells().filter(is_absent).count() as u64;
        let other = cells().count() as u64 - equal - absent;
        all += u64::from(other == 0 && absent == 0);
        bars.push(Bar {
            name: (*engine).to_owned(),
            value: equal as f64,
            error: None,
            label: format!("{} of {}", count(equal), count(equal + other)),
            highlighted: other == 0,
        });
        same.rows.push(vec![
            Cell::text(*engine),
            Cell::count(equal),
            Cell::count(other),
            Cell::count(absent),
        ]);
    }
    verdict.push(format!(
        "{} the reference's bits in every program.",
        counted(all, "of them has", "of them have")
    ));
    let sentence = "How many of the programs that an engine or export runs end with every bit of the reference interpreter in f32; in the other colour, where all do.";
    let drawn = Bars { axis: Axis::linear("programs with every bit the same"), bars };
    let figure =
        Figure::new("Programs with every bit of the reference", sentence, drawn.specification(), same);
    let mut columns = vec![Column::text("program")];
    columns.extend(engines.iter().map(|engine| Column::number(*engine)));
    let mut table = Table::new(
        "The largest deviation over all cases, as a share of the largest number there; 0: every bit is the same",
        columns,
    );
    table.rows = rows
        .into_iter()
        .skip(1)
        .map(|row| {
            let cell = |text: String| match text.split(' ').next().and_then(|n| n.parse().ok()) {
                Some(number) => Cell::number(number, text),
                None => Cell::text(text),
            };
            let mut cells = row.into_iter();
            cells.next().map(Cell::text).into_iter().chain(cells.map(cell)).collect()
        })
        .collect();
    let mut sections = vec![
        Section::new("Engines and exports", vec![Block::Figure(figure)]),
        Section::new("Every program", vec![Block::Table(table)]),
    ];
    if !faults.is_empty() {
        let blocks = vec![
            Block::Paragraph("Outside of the tolerance:".to_owned()),
            Block::List(faults),
        ];
        sections.insert(0, Section::new("Faults", blocks));
    }
    let cases = suite.cases.iter().map(|case| format!("{}: {}", case.name, case.about)).collect();
    sections.push(Section::new(
        "The cases",
        vec![
            Block::Paragraph("Each program takes its steps under each of these, several parameter arrays at once.".to_owned()),
            Block::List(cases),
        ],
    ));
    let mut facts = vec![fact("programs", programs.len()), fact("cases", suite.cases.len())];
    for engine in &engines {
        let version = report.findings.iter().find(|f| f.engine == *engine && !f.version.is_empty());
        facts.extend(version.map(|finding| fact(engine, &finding.version)));
    }
    let note = "This command makes the page again; with the same libraries on the same kind of machine, byte for byte:";
    sections.push(made_by(command, note, facts));
    page("conformance", "Every program in every engine".to_owned(), verdict, sections)
}
