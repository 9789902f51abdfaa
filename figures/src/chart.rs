//! Charts as SVG, the same bytes for the same numbers; of lines also as text, for a terminal.
//!
//! | chart | for |
//! |---|---|
//! | [`LineChart`] | what moves over a search: lines with bands, panels that share the x axis |
//! | [`DotChart`] | programs against each other on several tasks, with error bars |
//! | [`HeatMap`] | a number over two hyperparameters, of one program or several side by side |
//!
//! One house style: axes name their units; lines have their names at their ends, and signs at their
//! points where these are few; the colours are those that colour-blind people can tell apart, and
//! nothing is said by colour alone; what the picture is about is highlighted. A picture is dark where
//! the reader has asked for that (`prefers-color-scheme`), and white where that is not known. Texts
//! are set in whatever sans-serif font there is; their widths are estimated on the wide side.
//!
//! ```
//! use symopt_figures::chart::{Axis, LineChart, Panel, Series};
//!
//! let runs = [vec![(1.0, -2.0), (10.0, 1.0)], vec![(1.0, -1.0), (10.0, 2.0)]];
//! let series = vec![Series::over_runs("evolution", &runs, |_| None)];
//! let chart = LineChart {
//!     title: "Fitness".to_owned(),
//!     subtitle: "two searches".to_owned(),
//!     x: Axis::log("programs generated"),
//!     panels: vec![Panel { y: Axis::linear("gain over tuned AdamW (%)"), series }],
//! };
//! assert!(chart.svg().contains("gain over tuned AdamW (%)"));
//! ```

mod dots;
mod heat_map;
mod lines;
mod scale;
mod text;

pub use dots::{Dot, DotChart, DotGroup};
pub use heat_map::{Better, Cell, HeatMap, Plane};
pub use lines::{Axis, Band, LineChart, Look, Panel, Point, Series};
