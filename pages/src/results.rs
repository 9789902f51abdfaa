//! Pages of the results of commands: a verdict, figures each with its table and a sentence, tables,
//! programs, and the command that makes the page again. Each module has the page of one command;
//! all are made of the same parts.

mod benchmark;
mod conformance;
mod discovery;
mod funnel;
mod landscape;
mod rediscovery;

use serde::Serialize;
use symopt_proxy_tasks::sample::Gain;

pub use self::benchmark::benchmark;
pub use self::conformance::conformance;
pub use self::discovery::discovery;
pub use self::funnel::funnel;
pub use self::landscape::landscape;
pub use self::rediscovery::rediscovery;

use crate::chart::{Axis, Dot, Dots};
use crate::content::{Block, Figure};
use crate::numbers::counted;
use crate::page::{Page, Section};
use crate::table::{Cell, Column, Table};

/// The last section: how a page is made again. `facts` are settings and seeds, `settings` all of
/// them as text where there are many; the dependence of the page on anything else, such as kept
/// results, is said in `note`.
fn made_by(
    command: &str,
    note: &str,
    facts: Vec<(String, String)>,
    settings: Option<String>,
) -> Section {
    let versions =
        crate::vendor::LIBRARIES.map(|library| format!("{} {}", library.name, library.version));
    let versions =
        [fact("symopt", env!("CARGO_PKG_VERSION")), fact("figures", versions.join(", "))];
    let mut blocks = vec![
        Block::Paragraph(note.to_owned()),
        Block::Code(command.to_owned()),
        Block::Facts(facts.into_iter().chain(versions).collect()),
    ];
    blocks.extend(
        settings.map(|text| Block::Details("All settings".to_owned(), vec![Block::Code(text)])),
    );
    Section::new("Settings, seeds, versions", blocks)
}

/// Settings as text, for people.
fn written(settings: &impl Serialize) -> Option<String> {
    serde_json::to_string_pretty(settings).ok()
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

/// A gain in a table; programs that diverged have none.
fn gain_cell(gain: Option<Gain>) -> Cell {
    match gain {
        Some(gain) => Cell::percent(gain.mean, gain.standard_error),
        None => Cell::text("diverged"),
    }
}

/// A figure of gains.
struct Gains<'a> {
    title: &'a str,
    /// Description in a sentence.
    sentence: &'a str,
    /// Axis of the gains in percent.
    axis: &'a str,
    /// Name of the program at 0.
    over: &'a str,
    /// Headings of the names and kinds in the table.
    columns: [&'a str; 2],
    /// Whether the kinds of a row share one line: where each row has one gain.
    in_one_line: bool,
}

impl Gains<'_> {
    /// Gains as dots with their errors, and as a table. Programs that diverged have no dot.
    fn figure(&self, gains: &[NamedGain]) -> Block {
        let dot = |named: &NamedGain| {
            let gain = named.gain.filter(|gain| gain.mean.is_finite())?;
            let error = gain.standard_error.map(|error| 100.0 * error);
            let (row, kind) = (named.row.clone(), named.kind.clone());
            Some(Dot { row, kind, value: 100.0 * gain.mean, error })
        };
        let dots: Vec<Dot> = gains.iter().filter_map(dot).collect();
        let mut sentence = self.sentence.to_owned();
        let without = (gains.len() - dots.len()) as u64;
        if without > 0 {
            let verb = if without == 1 { "that diverged has" } else { "that diverged have" };
            sentence += &format!(" {} {verb} no dot.", counted(without, "program", "programs"));
        }
        let domain = domain(&dots);
        if let Some((low, _)) = domain {
            let far = dots.iter().filter(|dot| dot.value < low).count() as u64;
            let verb = if far == 1 { "lies" } else { "lie" };
            sentence += &format!(
                " {} {verb} far to the left of the picture, and {} in the table.",
                counted(far, "dot", "dots"),
                if far == 1 { "stands" } else { "stand" }
            );
        }
        let drawn = Dots {
            axis: Axis { domain, ..Axis::linear(self.axis) },
            dots,
            level: Some((0.0, self.over.to_owned())),
            in_one_line: self.in_one_line,
        };
        let [row, kind] = self.columns;
        let columns = vec![Column::text(row), Column::text(kind), Column::number("gain")];
        let mut table = Table::new(self.title, columns);
        table.rows = gains
            .iter()
            .map(|named| {
                vec![Cell::text(&named.row), Cell::text(&named.kind), gain_cell(named.gain)]
            })
            .collect();
        Block::Figure(Figure::new(self.title, sentence, drawn.specification(), table))
    }
}

/// From where to where gains are drawn, if some are so bad that they would press all others
/// together.
fn domain(dots: &[Dot]) -> Option<(f64, f64)> {
    let mut values: Vec<f64> = dots.iter().map(|dot| dot.value).collect();
    values.sort_by(f64::total_cmp);
    let middle = values.get(values.len() / 2)?.min(0.0);
    let ends = dots.iter().map(|dot| dot.value + dot.error.unwrap_or(0.0));
    let high = ends.filter(|end| end.is_finite()).fold(0.0, f64::max);
    let floor = middle - 3.0 * (high - middle).max(5.0);
    let is_far = values.first().is_some_and(|lowest| *lowest < floor);
    is_far.then_some((floor, high + 0.05 * (high - floor)))
}

/// A table of texts, with so many of its headings in small letters, as pages have them; the others
/// are names.
fn table(caption: &str, mut rows: Vec<Vec<String>>, headings: usize) -> Block {
    if let Some(heading) = rows.first_mut() {
        heading.iter_mut().take(headings).for_each(|title| *title = title.to_lowercase());
    }
    Block::Table(Table::of_texts(caption, rows))
}

/// A page of a kind.
fn page(kind: &str, title: String, verdict: Vec<String>, sections: Vec<Section>) -> Page {
    Page { title, kind: kind.to_owned(), verdict, tiles: Vec::new(), sections }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gain_that_is_far_worse_does_not_press_the_others_together() {
        let dots = |values: &[f64]| -> Vec<Dot> {
            values.iter().map(|value| Dot { value: *value, ..Dot::default() }).collect()
        };
        assert_eq!(domain(&[]), None);
        assert_eq!(domain(&dots(&[1.0, -1.0, -10.0])), None);
        let (low, high) = domain(&dots(&[5.0, 1.0, -900.0])).unwrap();
        assert!(low > -100.0 && low < 0.0 && high > 5.0, "{low} {high}");
        let one = domain(&dots(&[-900.0]));
        assert_eq!(one, None, "there is nothing else to be read");
    }
}
