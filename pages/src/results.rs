//! Pages of what commands found: a verdict, figures each with its table and a sentence, tables,
//! programs, and the command that makes the page again. Each module has the page of one command;
//! all are made of the same parts.

mod benchmark;
mod conformance;
mod discovery;
mod funnel;
mod landscape;
mod rediscovery;

use symopt_proxy_tasks::sample::Gain;

pub use self::benchmark::benchmark;
pub use self::conformance::conformance;
pub use self::discovery::discovery;
pub use self::funnel::funnel;
pub use self::landscape::landscape;
pub use self::rediscovery::rediscovery;

use crate::chart::{Axis, Dot, Dots};
use crate::content::{Block, Figure};
use crate::page::{Page, Section};
use crate::table::{Cell, Column, Table};

/// The last section: how a page is made again. `facts` are settings and seeds; what the page depends
/// on besides, such as results that are kept, is said in `note`.
fn made_by(command: &str, note: &str, facts: Vec<(String, String)>) -> Section {
    let version = ("symopt".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    Section::new(
        "Settings, version, command",
        vec![
            Block::Facts(facts.into_iter().chain([version]).collect()),
            Block::Paragraph(note.to_owned()),
            Block::Code(command.to_owned()),
        ],
    )
}

/// A name and what it is.
fn fact(name: &str, value: impl ToString) -> (String, String) {
    (name.to_owned(), value.to_string())
}

/// A program's text.
fn code(text: &str) -> Block {
    Block::Code(text.trim_end().to_owned())
}

/// A gain of something, of a kind.
struct NamedGain {
    row: String,
    kind: String,
    gain: Option<Gain>,
}

impl NamedGain {
    fn new(row: impl Into<String>, kind: impl Into<String>, gain: Option<Gain>) -> NamedGain {
        NamedGain { row: row.into(), kind: kind.into(), gain }
    }
}

/// A mean with its standard error as a gain.
fn gain(mean: f64, standard_error: f64) -> Option<Gain> {
    mean.is_finite().then_some(Gain { mean, standard_error: Some(standard_error) })
}

/// Gains as dots with their errors, and as a table. Who diverged has no dot and stands in the table.
fn gains(title: &str, sentence: &str, axis: &str, over: &str, gains: &[NamedGain]) -> Block {
    let dot = |named: &NamedGain| {
        let gain = named.gain?;
        let error = gain.standard_error.map(|error| 100.0 * error);
        let (row, kind) = (named.row.clone(), named.kind.clone());
        Some(Dot { row, kind, value: 100.0 * gain.mean, error })
    };
    let drawn = Dots {
        axis: Axis::linear(axis),
        dots: gains.iter().filter_map(dot).collect(),
        level: Some((0.0, over.to_owned())),
    };
    let columns = vec![Column::text("of"), Column::text("where"), Column::number("gain")];
    let mut table = Table::new(title, columns);
    table.rows = gains
        .iter()
        .map(|named| {
            let cell = named.gain.map_or_else(
                || Cell::text("diverged"),
                |gain| Cell::percent(gain.mean, gain.standard_error),
            );
            vec![Cell::text(&named.row), Cell::text(&named.kind), cell]
        })
        .collect();
    Block::Figure(Figure::new(title, sentence, drawn.specification(), table))
}

/// A table of texts, the heading in small letters as pages have it.
fn table(caption: &str, mut rows: Vec<Vec<String>>) -> Block {
    if let Some(heading) = rows.first_mut() {
        heading.iter_mut().for_each(|title| *title = title.to_lowercase());
    }
    Block::Table(Table::of_texts(caption, rows))
}

/// A page of a kind.
fn page(kind: &str, title: String, verdict: Vec<String>, sections: Vec<Section>) -> Page {
    Page { title, kind: kind.to_owned(), verdict, tiles: Vec::new(), sections }
}
