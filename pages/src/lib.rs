//! Pages for people: one HTML file that holds all that it shows, and asks for nothing.
//!
//! | module | what it holds |
//! |---|---|
//! | [`page`] | a page: head, sections, and how it becomes HTML |
//! | [`content`] | what stands in a section: texts, tables, figures, code, differences |
//! | [`table`] | tables that can be sorted and filtered, of some rows or of many thousand |
//! | [`chart`] | figures as Vega-Lite specifications, in one house style |
//! | [`program`] | a program: marks, formula, cost, data flow, derivation |
//! | [`searches`] | what searches did, from their stores |
//! | [`results`] | what other commands found: landscapes, funnels, discoveries, conformance, times |
//! | [`live`] | the page that follows searches while they run |
//! | [`studies`] | what a study has found |
//! | [`numbers`] | numbers as people read them |
//! | [`vendor`] | the libraries that draw the figures, with their licences |
//!
//! A page is the same bytes for the same content. All that a user, a file or a peer wrote is text
//! in it: templates escape by default, and data is JSON in which no tag can begin or end. Its policy
//! allows the scripts and styles that it holds, by their hashes, and nothing else: no request, no
//! code made at run time.
//!
//! ```
//! use symopt_pages::content::Block;
//! use symopt_pages::page::{Page, Section};
//!
//! let block = Block::Paragraph("<script>alert(1)</script>".to_owned());
//! let section = Section::new("What it says", vec![block]);
//! let page = Page { title: "A page".to_owned(), sections: vec![section], ..Page::default() };
//! assert!(page.html().contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
//! ```

pub mod chart;
pub mod content;
mod embedded;
mod escape;
pub mod live;
pub mod numbers;
pub mod page;
pub mod program;
pub mod results;
pub mod searches;
pub mod studies;
pub mod table;
pub mod vendor;
