//! A page, and how it becomes HTML.

use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::content::{Block, Figure};
use crate::embedded::embedded;
use crate::table::Table;
use crate::vendor::{LIBRARIES, LICENCES, Library};

pub(crate) const STYLE: &str = include_str!("../assets/page.css");
const SCRIPT: &str = include_str!("../assets/page.js");

/// A number that stands out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tile {
    /// Name of the number.
    pub name: String,
    /// The number with its unit.
    pub value: String,
    /// A word on it.
    pub note: String,
}

impl Tile {
    /// A number with its name and a word on it.
    pub fn new(name: impl Into<String>, value: impl Into<String>, note: impl Into<String>) -> Tile {
        Tile { name: name.into(), value: value.into(), note: note.into() }
    }
}

/// A section.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// Its heading.
    pub title: String,
    /// Content of the section.
    pub blocks: Vec<Block>,
}

impl Section {
    /// A section with a heading.
    pub fn new(title: impl Into<String>, blocks: Vec<Block>) -> Section {
        Section { title: title.into(), blocks }
    }
}

/// A page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// Subject of the page.
    pub title: String,
    /// A word above the title: the kind of page.
    pub kind: String,
    /// Its message, in a sentence or two.
    pub verdict: Vec<String>,
    /// The numbers that stand out.
    pub tiles: Vec<Tile>,
    /// The rest.
    pub sections: Vec<Section>,
}

/// A block with the numbers that make its names.
struct Placed<'a> {
    block: &'a Block,
    section: usize,
    /// Its place among the blocks of the section, those within others too.
    place: String,
}

#[derive(Template)]
#[template(path = "block.html")]
struct BlockTemplate<'a> {
    block: &'a Block,
    id: String,
    inner: Vec<BlockTemplate<'a>>,
}

#[derive(Template)]
#[template(path = "table.html")]
struct TableTemplate<'a> {
    table: &'a Table,
    id: String,
}

#[derive(Template)]
#[template(path = "page.html")]
struct PageTemplate<'a> {
    page: &'a Page,
    policy: String,
    style: &'static str,
    sections: Vec<(String, &'a str, Vec<BlockTemplate<'a>>)>,
    /// The scripts: libraries if there are figures, and the page's own.
    libraries: &'a [Library],
    script: &'static str,
    licences: &'static str,
    version: &'static str,
}

impl<'a> Placed<'a> {
    fn template(self) -> BlockTemplate<'a> {
        let id = format!("part-{}-{}", self.section, self.place);
        let inner = match self.block {
            Block::Details(_, blocks) => {
                let inner = blocks.iter().enumerate().map(|(number, block)| {
                    let place = format!("{}-{number}", self.place);
                    Placed { block, section: self.section, place }.template()
                });
                inner.collect()
            }
            _ => Vec::new(),
        };
        BlockTemplate { block: self.block, id, inner }
    }
}

impl BlockTemplate<'_> {
    /// A table as HTML, under a name.
    fn table(&self, table: &Table) -> String {
        // Writing to a string does not fail, and nothing else in the template does.
        TableTemplate { table, id: format!("{}-table", self.id) }.render().unwrap_or_default()
    }

    fn data(&self, data: &impl Serialize) -> String {
        embedded(data)
    }
}

impl TableTemplate<'_> {
    fn data(&self) -> String {
        let cells: Vec<Vec<(&str, Option<f64>)>> = self
            .table
            .rows
            .iter()
            .map(|row| row.iter().map(|cell| (cell.text.as_str(), cell.value)).collect())
            .collect();
        embedded(&serde_json::json!({ "columns": self.table.columns, "rows": cells }))
    }
}

fn has_figures(blocks: &[Block]) -> bool {
    blocks.iter().any(|block| match block {
        Block::Figure(_) => true,
        Block::Details(_, blocks) => has_figures(blocks),
        _ => false,
    })
}

/// Returns the hash that allows a script or a style in a policy.
pub(crate) fn allowed(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}

impl Page {
    /// The page.
    pub fn html(&self) -> String {
        let has_figures = self.sections.iter().any(|section| has_figures(&section.blocks));
        let libraries: &[Library] = if has_figures { &LIBRARIES } else { &[] };
        let scripts: Vec<String> = libraries
            .iter()
            .map(|library| allowed(library.script()))
            .chain([allowed(SCRIPT)])
            .collect();
        let policy = format!(
            "default-src 'none'; script-src {}; style-src {}; img-src data:; base-uri 'none'; form-action 'none'",
            scripts.join(" "),
            allowed(STYLE)
        );
        let sections = self.sections.iter().enumerate().map(|(number, section)| {
            let blocks = section.blocks.iter().enumerate().map(|(place, block)| {
                Placed { block, section: number + 1, place: (place + 1).to_string() }.template()
            });
            (format!("section-{}", number + 1), section.title.as_str(), blocks.collect())
        });
        let template = PageTemplate {
            page: self,
            policy,
            style: STYLE,
            sections: sections.collect(),
            libraries,
            script: SCRIPT,
            licences: if has_figures { LICENCES } else { "" },
            version: env!("CARGO_PKG_VERSION"),
        };
        // Writing to a string does not fail, and nothing else in the template does.
        template.render().unwrap_or_default()
    }
}

impl Figure {
    /// A figure with its table.
    pub fn new(
        title: impl Into<String>,
        sentence: impl Into<String>,
        specification: serde_json::Value,
        table: Table,
    ) -> Figure {
        Figure {
            title: title.into(),
            sentence: sentence.into(),
            specification,
            table: Some(table),
            rows: None,
        }
    }
}
