//! Figures: charts of numbers and drawings of programs, the same bytes for the same content.
//!
//! | module | what it holds |
//! |---|---|
//! | [`chart`] | charts as SVG and as text |
//! | [`drawing`] | a program's data flow as a picture, in SVG and for Graphviz |
//! | `canvas` | the SVG that charts are written on |

mod canvas;
pub mod chart;
pub mod drawing;

pub use drawing::Drawing;
