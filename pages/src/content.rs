//! Content of a section.

use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use crate::table::{Rows, Table};

/// A part of a section.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// A paragraph.
    Paragraph(String),
    /// A paragraph that says what to be careful about.
    Note(String),
    /// A heading within the section.
    Heading(String),
    /// Sentences of a list.
    List(Vec<String>),
    /// Names and what they are.
    Facts(Vec<(String, String)>),
    /// Code, or anything else whose lines matter.
    Code(String),
    /// Formulas.
    Formula(String),
    /// Difference between two texts, line by line.
    Difference(Vec<Line>),
    /// A program with the types and marks of its statements.
    Listing(Vec<ListedLine>),
    /// A table.
    Table(Table),
    /// A table of many rows, which the figures with its name show.
    Rows(String, Rows),
    /// A figure.
    Figure(Figure),
    /// A drawing.
    Drawing(Drawing),
    /// The way of something in steps.
    Steps(Vec<Step>),
    /// Blocks that are shown on request, under a title.
    Details(String, Vec<Block>),
}

/// A figure: what it is, what it says in a sentence, its specification, and its numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Title.
    pub title: String,
    /// Description in a sentence: for those who don't see the figure, and for everyone else.
    pub sentence: String,
    /// A Vega-Lite specification, from [`crate::chart`].
    pub specification: Value,
    /// Its numbers.
    pub table: Option<Table>,
    /// The name of the rows that it draws, if they are not its own.
    pub rows: Option<String>,
}

/// A drawing in SVG.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawing {
    /// Title.
    pub title: String,
    /// Description in a sentence.
    pub sentence: String,
    /// The SVG of one of our own canvases: it goes into the page as it is.
    pub svg: String,
}

/// How a line came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is in both texts.
    Same,
    /// It is gone.
    Gone,
    /// It is new.
    New,
}

/// A line of a difference.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// How it came to be.
    pub change: Change,
    /// The line.
    pub text: String,
}

impl Line {
    /// The mark in front of it.
    pub fn mark(&self) -> char {
        match self.change {
            Change::Same => ' ',
            Change::Gone => '−',
            Change::New => '+',
        }
    }

    /// The name of its look.
    pub fn class(&self) -> &'static str {
        match self.change {
            Change::Same => "same",
            Change::Gone => "gone",
            Change::New => "new",
        }
    }

    /// The lines of two texts.
    pub fn between(before: &str, after: &str) -> Vec<Line> {
        let lines = TextDiff::from_lines(before, after);
        let line = |change: similar::Change<&str>| Line {
            change: match change.tag() {
                ChangeTag::Equal => Change::Same,
                ChangeTag::Delete => Change::Gone,
                ChangeTag::Insert => Change::New,
            },
            text: change.value().trim_end_matches('\n').to_owned(),
        };
        lines.iter_all_changes().map(line).collect()
    }
}

/// A line of a program.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListedLine {
    /// The type of its value; empty where it has none.
    pub ty: String,
    /// Mark, such as redundant or dead; empty where it has none.
    pub mark: String,
    /// Its text.
    pub text: String,
}

/// A step of a way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// Its name.
    pub title: String,
    /// A number that it ends with, as text.
    pub value: String,
    /// A word on it.
    pub note: String,
    /// Lines that it changed.
    pub lines: Vec<Line>,
}
