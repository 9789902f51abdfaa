//! Lines with bands over a common x axis.

use super::scale::Scale;
use crate::canvas::{
    Anchor, Canvas, FAINT, GRID, INK, MARGIN, Style, TEXT_SIZE, head_width, series_style,
    text_width,
};

/// What an axis shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// What it is, with its unit.
    pub label: String,
    /// Whether it is logarithmic; numbers that are not above 0 are left out then.
    pub log: bool,
    /// Its ends; those of the data if there are none. What is beyond them is cut off.
    pub limits: Option<(f64, f64)>,
}

impl Axis {
    /// A linear axis over the data.
    pub fn linear(label: &str) -> Axis {
        Axis { label: label.to_owned(), log: false, limits: None }
    }

    /// A logarithmic axis over the data.
    pub fn log(label: &str) -> Axis {
        Axis { label: label.to_owned(), log: true, limits: None }
    }

    /// The same with fixed ends.
    pub fn between(self, low: f64, high: f64) -> Axis {
        Axis { limits: Some((low, high)), ..self }
    }

    /// The axis from place to place.
    pub(super) fn scale(
        &self,
        values: impl Iterator<Item = f64>,
        places: (f64, f64),
        pad: f64,
    ) -> Scale {
        if let Some(limits) = self.limits {
            return Scale::new(self.log, limits, places);
        }
        let usable = values.filter(|value| value.is_finite() && (!self.log || *value > 0.0));
        let (low, high) = usable.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        Scale::new(self.log, (low, high), places).padded(pad)
    }
}

/// A point of a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Place on the x axis.
    pub x: f64,
    /// Place on the y axis.
    pub y: f64,
    /// The lower and the upper end of the band at this place.
    pub band: Option<(f64, f64)>,
}

/// The lower and the upper end of a band around the mean of some values; `None` if there is none.
pub type Band = fn(&[f64]) -> Option<(f64, f64)>;

/// A line with a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// For the key. The same name has the same colour in all panels.
    pub name: String,
    /// In order along the x axis.
    pub points: Vec<Point>,
}

impl Series {
    /// A line without a band.
    pub fn line(name: &str, points: &[(f64, f64)]) -> Series {
        let points = points.iter().map(|(x, y)| Point { x: *x, y: *y, band: None }).collect();
        Series { name: name.to_owned(), points }
    }

    /// The mean of several runs, each in order along the x axis, with a band. A run holds each
    /// value until its next point, and the last one to the end: so it is with the best fitness so
    /// far. The line begins where all runs have begun.
    pub fn over_runs(name: &str, runs: &[Vec<(f64, f64)>], band: Band) -> Series {
        let mut places: Vec<f64> =
            runs.iter().flatten().map(|(x, _)| *x).filter(|x| x.is_finite()).collect();
        places.sort_by(f64::total_cmp);
        places.dedup();
        let mut points = Vec::new();
        for x in places {
            let value = |run: &Vec<(f64, f64)>| {
                let passed = run.partition_point(|(place, _)| *place <= x);
                passed.checked_sub(1).and_then(|last| run.get(last)).map(|(_, y)| *y)
            };
            let Some(values) = runs
                .iter()
                .map(value)
                .collect::<Option<Vec<f64>>>()
                .filter(|values| !values.is_empty())
            else {
                continue;
            };
            let y = values.iter().sum::<f64>() / values.len() as f64;
            points.push(Point { x, y, band: band(&values) });
        }
        Series { name: name.to_owned(), points }
    }
}

/// Lines over one y axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// The y axis.
    pub y: Axis,
    /// The lines.
    pub series: Vec<Series>,
}

/// Panels one below the other that share the x axis.
#[derive(Clone, Debug, PartialEq)]
pub struct LineChart {
    /// What it is.
    pub title: String,
    /// What one should know to read it; may be empty.
    pub subtitle: String,
    /// The x axis.
    pub x: Axis,
    /// From top to bottom; the first is the tallest.
    pub panels: Vec<Panel>,
}

const WIDTH: f64 = 860.0;
const ONLY_HEIGHT: f64 = 380.0;
const FIRST_HEIGHT: f64 = 280.0;
const NEXT_HEIGHT: f64 = 170.0;
/// Between two panels, without a key.
const GAP: f64 = 22.0;
const KEY_HEIGHT: f64 = 20.0;
const KEY_LINE: f64 = 26.0;

impl LineChart {
    /// The picture.
    pub fn svg(&self) -> String {
        let names = self.names();
        let style =
            |name: &str| series_style(names.iter().position(|other| *other == name).unwrap_or(0));
        let width = WIDTH.max(head_width(&self.title, &self.subtitle));
        let mut canvas = Canvas::new();
        let mut y = canvas.head(&self.title, &self.subtitle);

        // The left margin must hold the widest label of all panels, so their scales come first; the
        // places are set below.
        let heights = |index: usize| match (index, self.panels.len()) {
            (_, 1) => ONLY_HEIGHT,
            (0, _) => FIRST_HEIGHT,
            _ => NEXT_HEIGHT,
        };
        let y_scale = |panel: &Panel, top: f64, height: f64| {
            let ends = panel.series.iter().flat_map(|s| &s.points).flat_map(|p| {
                let (low, high) = p.band.unwrap_or((p.y, p.y));
                [p.y, low, high]
            });
            panel.y.scale(ends, (top + height, top), 0.05)
        };
        let labels = self
            .panels
            .iter()
            .enumerate()
            .flat_map(|(index, panel)| y_scale(panel, 0.0, heights(index)).ticks(34.0));
        let widest = labels.map(|(_, label)| text_width(&label, TEXT_SIZE)).fold(0.0, f64::max);
        let left = MARGIN + TEXT_SIZE + 12.0 + widest + 8.0;
        let right = width - MARGIN - 12.0;
        let xs = self
            .panels
            .iter()
            .flat_map(|panel| &panel.series)
            .flat_map(|series| &series.points)
            .map(|point| point.x);
        let x_scale = self.x.scale(xs, (left, right), 0.0);

        let mut shown: Vec<&str> = Vec::new();
        for (index, panel) in self.panels.iter().enumerate() {
            let mut new: Vec<&str> = Vec::new();
            for series in &panel.series {
                if !shown.contains(&series.name.as_str()) {
                    shown.push(&series.name);
                    new.push(&series.name);
                }
            }
            // The line of a single series needs no key: the axis says what it is.
            if names.len() > 1 {
                y = draw_key(&mut canvas, &new, &style, (left, right), y);
            }
            let height = heights(index);
            let scale = y_scale(panel, y, height);
            let is_last = index + 1 == self.panels.len();
            draw_frame(&mut canvas, &x_scale, &scale, [left, y, right - left, height], is_last);
            canvas.turned_text(
                (MARGIN + TEXT_SIZE, y + height / 2.0),
                Anchor::Middle,
                Style::PLAIN,
                -90.0,
                &panel.y.label,
            );
            canvas.begin_clip([left, y - 1.0, right - left + 1.0, height + 2.0]);
            for series in &panel.series {
                draw_band(&mut canvas, series, &x_scale, &scale, style(&series.name).0);
            }
            for series in &panel.series {
                draw_line(&mut canvas, series, &x_scale, &scale, style(&series.name));
            }
            canvas.end_clip();
            y += height + if is_last { 0.0 } else { GAP };
        }
        y += TEXT_SIZE + 8.0;
        y += TEXT_SIZE + 10.0;
        canvas.text(((left + right) / 2.0, y), Anchor::Middle, Style::PLAIN, &self.x.label);
        canvas.finish(&self.title, width, y + MARGIN)
    }

    /// The names of all series, each once, in order of appearance.
    fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for series in self.panels.iter().flat_map(|panel| &panel.series) {
            if !names.contains(&series.name.as_str()) {
                names.push(&series.name);
            }
        }
        names
    }
}

/// The key to some series, on as many lines as it takes; returns where the panel can begin.
fn draw_key<'a>(
    canvas: &mut Canvas,
    names: &[&str],
    style: &dyn Fn(&str) -> (&'a str, &'a str),
    (left, right): (f64, f64),
    top: f64,
) -> f64 {
    let (mut x, mut y) = (left, top + TEXT_SIZE / 2.0);
    for name in names {
        let width = KEY_LINE + 6.0 + text_width(name, TEXT_SIZE) + 16.0;
        if x > left && x + width > right {
            (x, y) = (left, y + KEY_HEIGHT);
        }
        let (color, dashes) = style(name);
        canvas.polyline(&[(x, y), (x + KEY_LINE, y)], color, dashes);
        canvas.text((x + KEY_LINE + 6.0, y + 0.35 * TEXT_SIZE), Anchor::Start, Style::PLAIN, name);
        x += width;
    }
    if names.is_empty() { top } else { y + KEY_HEIGHT - 4.0 }
}

/// Grid, ticks and frame of a panel.
fn draw_frame(
    canvas: &mut Canvas,
    x_scale: &Scale,
    y_scale: &Scale,
    [left, top, width, height]: [f64; 4],
    is_last: bool,
) {
    let (right, bottom) = (left + width, top + height);
    for (value, label) in x_scale.ticks(70.0) {
        let Some(x) = x_scale.place(value) else { continue };
        canvas.line((x, top), (x, bottom), GRID, 1.0);
        if is_last {
            canvas.line((x, bottom), (x, bottom + 4.0), INK, 1.0);
            canvas.text((x, bottom + TEXT_SIZE + 7.0), Anchor::Middle, Style::FAINT, &label);
        }
    }
    for (value, label) in y_scale.ticks(34.0) {
        let Some(y) = y_scale.place(value) else { continue };
        // Zero is what gains are measured from.
        let is_zero = value == 0.0;
        canvas.line((left, y), (right, y), if is_zero { FAINT } else { GRID }, 1.0);
        canvas.text((left - 7.0, y + 0.35 * TEXT_SIZE), Anchor::End, Style::FAINT, &label);
    }
    canvas.line((left, top), (left, bottom), INK, 1.0);
    canvas.line((left, bottom), (right, bottom), INK, 1.0);
}

fn draw_band(canvas: &mut Canvas, series: &Series, x_scale: &Scale, y_scale: &Scale, color: &str) {
    let edge = |end: &dyn Fn((f64, f64)) -> f64| -> Vec<(f64, f64)> {
        let banded =
            series.points.iter().filter_map(|point| point.band.map(|band| (point.x, end(band))));
        // A band that goes below what a logarithmic axis can show goes to its end.
        let place = |y: f64| {
            y_scale
                .place(y)
                .or_else(|| (y <= 0.0).then(|| y_scale.place(y_scale.range().0)).flatten())
        };
        banded.filter_map(|(x, y)| x_scale.place(x).zip(place(y))).collect()
    };
    let (mut outline, mut upper) = (edge(&|(low, _)| low), edge(&|(_, high)| high));
    if outline.len() > 1 {
        upper.reverse();
        outline.append(&mut upper);
        canvas.polygon(&outline, &format!(r#"fill="{color}" fill-opacity="0.18""#));
    }
}

fn draw_line(
    canvas: &mut Canvas,
    series: &Series,
    x_scale: &Scale,
    y_scale: &Scale,
    (color, dashes): (&str, &str),
) {
    let places: Vec<(f64, f64)> =
        series.points.iter().filter_map(|p| x_scale.place(p.x).zip(y_scale.place(p.y))).collect();
    match places.as_slice() {
        [] => {}
        [only] => canvas.circle(*only, 3.0, &format!(r#"fill="{color}""#)),
        _ => canvas.polyline(&places, color, dashes),
    }
}
