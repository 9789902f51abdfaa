//! The page of a conformance run: how far each engine and export is from the reference.

use symopt_conformance::report::Report;
use symopt_conformance::suite::Suite;
use symopt_conformance::tolerance::explained;

use super::{fact, made_by, page};
use crate::chart::{Axis, Bar, Bars};
use crate::content::{Block, Figure};
use crate::numbers::{count, counted};
use crate::page::{Page, Section};
use crate::table::{Cell, Column, Table};

/// The page of a conformance run. `command` is the one that makes it again.
pub fn conformance(report: &Report, suite: &Suite, command: &str) -> Page {
    let tolerance = |engine: &str, program: &str| suite.tolerance(engine, program);
    let rows = report.table(&suite.names(), tolerance);
    let engines = report.engines();
    let faults = report.faults(tolerance);
    let counted_programs = counted(suite.subjects.len() as u64, "program", "programs");
    let mut verdict = vec![match faults.len() {
        0 => format!(
            "{counted_programs} in {}: none is further from the reference than its order of rounding explains.",
            counted(engines.len() as u64, "engine or export", "engines and exports")
        ),
        wrong => format!(
            "{counted_programs} in {}: {} from the reference than the order of rounding explains.",
            counted(engines.len() as u64, "engine or export", "engines and exports"),
            counted(wrong as u64, "measurement is further", "measurements are further")
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
        all += u64::from(other == 0 && equal > 0);
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
        "{} every bit of the reference in all programs that they run.",
        counted(all, "of them has", "of them have")
    ));
    let sentence = "How many of the programs that an engine or export runs end with every bit of the reference interpreter in f32; in the other colour, where all do.";
    let drawn = Bars { axis: Axis::linear("programs with every bit the same"), bars };
    let figure = Figure::new(
        "Programs with every bit of the reference",
        sentence,
        drawn.specification(),
        same,
    );
    let mut sections = vec![
        Section::new("Engines and exports", vec![Block::Figure(figure)]),
        Section::new(
            "Every program",
            vec![Block::Table(deviations(
                "The largest deviation over all cases, as a share of the largest number there; 0: every bit is the same",
                rows,
                1,
            ))],
        ),
    ];
    if !report.peers.is_empty() {
        let peers = deviations(
            "The same measure beside the libraries' own Lion, in the place of the reference",
            report.peers_table(),
            3,
        );
        let title = "Exported Lion beside the libraries' own";
        sections.push(Section::new(title, vec![Block::Table(peers)]));
    }
    if !faults.is_empty() {
        let blocks =
            vec![Block::Paragraph("Outside of the tolerance:".to_owned()), Block::List(faults)];
        sections.insert(0, Section::new("Faults", blocks));
    }
    sections.push(Section::new("Cases and tolerances", protocol(report, suite)));
    let mut facts = vec![fact("programs", suite.subjects.len()), fact("cases", suite.cases.len())];
    facts.extend(report.versions().into_iter().map(|(engine, version)| fact(engine, version)));
    let note = "This command makes the page again; with the same libraries on the same kind of machine, byte for byte:";
    sections.push(made_by(command, note, facts, None));
    page("conformance", "Every program in every engine".to_owned(), verdict, sections)
}

/// A table of deviations, of which so many columns are names.
fn deviations(caption: &str, rows: Vec<Vec<String>>, names: usize) -> Table {
    let mut rows = rows.into_iter();
    let heading = rows.next().unwrap_or_default().into_iter().enumerate();
    let columns = heading.map(|(at, title)| match at < names {
        true => Column::text(title),
        false => Column::number(title),
    });
    let cell = |(at, text): (usize, String)| {
        let number = text.split(' ').next().and_then(|number| number.parse().ok());
        match number.filter(|_| at >= names) {
            Some(number) => Cell::number(number, text),
            None => Cell::text(text),
        }
    };
    let mut table = Table::new(caption, columns.collect());
    table.rows = rows.map(|row| row.into_iter().enumerate().map(cell).collect()).collect();
    table
}

/// The cases, the tolerances, and the programs that were left out.
fn protocol(report: &Report, suite: &Suite) -> Vec<Block> {
    let cases = suite.cases.iter().map(|case| format!("{}: {}", case.name, case.about)).collect();
    let tolerances = explained(&report.engines(), &suite.subjects);
    let tolerances = tolerances
        .iter()
        .map(|(engines, explained)| format!("{}: {}", engines.join(", "), explained.join("; ")))
        .collect();
    let mut blocks = vec![
        Block::Paragraph("Each program takes its steps under each of these cases, several parameter arrays at once.".to_owned()),
        Block::List(cases),
        Block::Paragraph("How far an engine may be from the reference, by its order of rounding:".to_owned()),
        Block::List(tolerances),
    ];
    blocks.extend(suite.omissions().map(|omissions| Block::Note(format!("{omissions}."))));
    blocks
}
