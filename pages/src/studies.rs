//! The page of a study, or of several.

use symopt_studies::study::findings::Findings;
use symopt_studies::study::table::Table as StudyTable;

use crate::content::{Block, Drawing};
use crate::page::{Page, Section, Tile};
use crate::table::{Cell, Column, Table};

/// The colours of a chart and the page's variables in their place.
const COLORS: [(&str, &str); 13] = [
    ("#17202e", "--ink"),
    ("#515d70", "--faint"),
    ("#e7eaef", "--grid"),
    ("#f6f7f9", "--sheet"),
    ("#ffffff", "--paper"),
    ("#e6f0fb", "--accent-soft"),
    ("#0b62ad", "--s1"),
    ("#c2500a", "--s2"),
    ("#0a7d5c", "--s3"),
    ("#a3447f", "--s4"),
    ("#8a6500", "--s5"),
    ("#5a54b8", "--s6"),
    ("#3d4652", "--s7"),
];

/// The page of studies; `command` makes it again.
pub fn page(title: &str, studies: &[Findings], command: &str) -> Page {
    let is_one = studies.len() == 1;
    let mut sections = Vec::new();
    if !is_one {
        let columns = ["study", "the claim", "what was found"].map(Column::text).to_vec();
        let mut table = Table::new("The claims of Lion's paper beside what was found", columns);
        for findings in studies {
            let cells = [findings.study, findings.claim, &findings.verdict.join(" ")];
            table.rows.push(cells.map(Cell::text).to_vec());
        }
        sections.push(Section::new("Claims and findings", vec![Block::Table(table)]));
    }
    for (place, findings) in studies.iter().enumerate() {
        sections.extend(sections_of(findings, place, is_one));
    }
    let command = vec![
        Block::Code(command.to_owned()),
        Block::Paragraph(
            if studies.iter().any(|findings| findings.is_measured) {
                "It gives the same numbers on any number of threads, but for measured times."
            } else {
                "It gives the same bytes on any number of threads."
            }
            .to_owned(),
        ),
    ];
    sections.push(Section::new("How to make this page again", command));
    let verdict: Vec<String> = match studies {
        [one] => one.verdict.clone(),
        _ => studies.iter().filter_map(|findings| findings.verdict.first().cloned()).collect(),
    };
    let first = studies.first();
    let runs = studies.iter().map(|findings| findings.runs.tuning + findings.runs.reporting);
    let diverged = studies.iter().map(|findings| findings.runs.diverged).sum::<usize>();
    let tiles = vec![
        Tile::new("Suite", first.map_or("", |findings| findings.suite.as_str()), ""),
        Tile::new(
            "Programs",
            first.map_or_else(String::new, |findings| findings.programs.join(", ")),
            "the first is what it is about",
        ),
        Tile::new(
            "Training runs",
            crate::numbers::count(runs.sum::<usize>() as u64),
            format!("{diverged} of the reporting ones diverged"),
        ),
    ];
    Page { title: title.to_owned(), kind: "Study".to_owned(), verdict, tiles, sections }
}

fn sections_of(findings: &Findings, place: usize, is_one: bool) -> Vec<Section> {
    let mut blocks = Vec::new();
    if !is_one {
        blocks.extend(findings.verdict.iter().cloned().map(Block::Paragraph));
    }
    blocks.push(Block::Paragraph(format!("The claim: {}", findings.claim)));
    for (number, figure) in findings.figures.iter().enumerate() {
        blocks.push(Block::Drawing(Drawing {
            title: figure.title.clone(),
            sentence: figure.sentence.clone(),
            svg: in_page(&figure.chart.svg(), &format!("s{place}-{number}-")),
        }));
    }
    blocks.push(Block::Table(table(&findings.summary)));
    if !findings.notes.is_empty() {
        blocks.push(Block::List(findings.notes.clone()));
    }
    let mut how = findings.protocol.clone();
    how.push(findings.runs_text());
    blocks.push(Block::Note(how.join(" ")));
    let cells = vec![Block::Table(table(&findings.table))];
    blocks.push(Block::Details(findings.table.caption.clone(), cells));
    vec![Section::new(findings.title.clone(), blocks)]
}

fn table(table: &StudyTable) -> Table {
    let numbers = table.number_columns();
    let mut made = Table::of_texts(table.caption.clone(), table.texts());
    for (index, column) in made.columns.iter_mut().enumerate() {
        let title = column.title.clone();
        *column =
            if numbers.contains(&index) { Column::number(title) } else { Column::text(title) };
    }
    made
}

/// A chart as a part of a page: in its colours, without a style of its own, which the page's policy
/// does not allow, and with names that no other chart has.
fn in_page(svg: &str, prefix: &str) -> String {
    let lines = svg.lines().filter(|line| !line.starts_with("<style>"));
    let mut svg = lines.collect::<Vec<_>>().join("\n");
    // Texts of others have their quotes escaped, so none looks like any of these.
    for (color, variable) in COLORS {
        svg = svg.replace(&format!("=\"{color}\""), &format!("=\"var({variable})\""));
    }
    svg.replace(" id=\"clip", &format!(" id=\"{prefix}clip"))
        .replace("=\"url(#clip", &format!("=\"url(#{prefix}clip"))
}
