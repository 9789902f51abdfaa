//! Lines with bands over a common x axis.

use super::scale::{Scale, compact};
use crate::canvas::{
    Anchor, Canvas, FAINT, GRID, INK, MARGIN, Marker, PAPER, Style, TEXT_SIZE, fitting, head_width,
    series_style, text_width,
};

/// Label, scale and ends of an axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// Quantity on it, with its unit.
    pub label: String,
    /// Whether it is logarithmic; numbers that are not above 0 are left out then.
    pub log: bool,
    /// Its ends; those of the data if there are none. Data beyond them are cut off.
    pub limits: Option<(f64, f64)>,
    /// Where it has ticks, if not at round numbers: such as where the samples are.
    pub ticks: Vec<f64>,
}

impl Axis {
    /// A linear axis over the data.
    pub fn linear(label: &str) -> Axis {
        Axis { label: label.to_owned(), log: false, limits: None, ticks: Vec::new() }
    }

    /// A logarithmic axis over the data.
    pub fn log(label: &str) -> Axis {
        Axis { log: true, ..Axis::linear(label) }
    }

    /// The same with fixed ends.
    pub fn between(self, low: f64, high: f64) -> Axis {
        Axis { limits: Some((low, high)), ..self }
    }

    /// The same with ticks at some numbers.
    pub fn with_ticks(self, ticks: &[f64]) -> Axis {
        Axis { ticks: ticks.to_vec(), ..self }
    }

    /// Numbers with their labels on a scale of this axis.
    fn labels(&self, scale: &Scale, space: f64) -> Vec<(f64, String)> {
        if self.ticks.is_empty() {
            return scale.ticks(space);
        }
        self.ticks.iter().map(|tick| (*tick, compact(*tick))).collect()
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

/// How a line looks beside the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Look {
    /// In a colour of its own.
    #[default]
    Plain,
    /// The same, and thicker: the picture is about it.
    Highlighted,
    /// Thin and grey: others are compared with it.
    Reference,
}

/// A line with a name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// It stands at the end of the line. The same name has the same colour in all panels.
    pub name: String,
    /// In order along the x axis.
    pub points: Vec<Point>,
    /// Whether each value holds until the next point: steps in place of slopes.
    pub stepped: bool,
    /// How it looks.
    pub look: Look,
}

impl Series {
    /// A line without a band.
    pub fn line(name: &str, points: &[(f64, f64)]) -> Series {
        let points = points.iter().map(|(x, y)| Point { x: *x, y: *y, band: None }).collect();
        Series { name: name.to_owned(), points, ..Series::default() }
    }

    /// The same with steps in place of slopes.
    pub fn stepped(self) -> Series {
        Series { stepped: true, ..self }
    }

    /// The same as what the picture is about.
    pub fn highlighted(self) -> Series {
        Series { look: Look::Highlighted, ..self }
    }

    /// The same as what others are compared with.
    pub fn reference(self) -> Series {
        Series { look: Look::Reference, ..self }
    }

    /// The corners of the line.
    pub(super) fn corners(&self) -> Vec<Point> {
        let mut corners: Vec<Point> = Vec::with_capacity(self.points.len());
        for point in &self.points {
            let before =
                corners.last().copied().filter(|before| self.stepped && before.x < point.x);
            corners.extend(before.map(|before| Point { x: point.x, ..before }));
            corners.push(*point);
        }
        corners
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
        Series { name: name.to_owned(), points, ..Series::default() }
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
    /// Title.
    pub title: String,
    /// Explanation for readers; may be empty.
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
/// Between two names at the ends of lines.
const NAME_HEIGHT: f64 = 15.0;
/// Longer names at the ends of lines are cut.
const LONGEST_NAME: f64 = 320.0;
/// Lines of at most so many points have a sign at each.
const FEW: usize = 24;

/// How a line is drawn.
#[derive(Clone, Copy)]
struct Pen {
    color: &'static str,
    dashes: &'static str,
    marker: Marker,
    width: f64,
}

/// Where a panel is.
struct Frame<'a> {
    x: &'a Scale,
    y: &'a Scale,
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

impl LineChart {
    /// The picture.
    pub fn svg(&self) -> String {
        let names = self.names();
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
        let labels =
            self.panels.iter().enumerate().flat_map(|(index, panel)| {
                panel.y.labels(&y_scale(panel, 0.0, heights(index)), 34.0)
            });
        let widest = labels.map(|(_, label)| text_width(&label, TEXT_SIZE)).fold(0.0, f64::max);
        // The line of a single series needs no name: the axis says what it is. Names stand at the
        // ends of the lines, or in a key where there are too many for that.
        let is_named = names.len() > 1;
        let has_room = |(index, panel): (usize, &Panel)| {
            NAME_HEIGHT * panel.series.len() as f64 <= heights(index)
        };
        let is_direct = is_named && self.panels.iter().enumerate().all(has_room);
        let name_width = names
            .iter()
            .map(|name| 1.08 * text_width(name, TEXT_SIZE))
            .fold(0.0, f64::max)
            .min(LONGEST_NAME);
        let left = MARGIN + TEXT_SIZE + 12.0 + widest + 8.0;
        let right = width - MARGIN - if is_direct { name_width + 12.0 } else { 12.0 };
        let xs = self
            .panels
            .iter()
            .flat_map(|panel| &panel.series)
            .flat_map(|series| &series.points)
            .map(|point| point.x);
        let x_scale = self.x.scale(xs, (left, right), 0.0);

        let mut shown: Vec<&str> = Vec::new();
        for (index, panel) in self.panels.iter().enumerate() {
            let mut new: Vec<&Series> = Vec::new();
            for series in &panel.series {
                if !shown.contains(&series.name.as_str()) {
                    shown.push(&series.name);
                    new.push(series);
                }
            }
            if is_named && !is_direct {
                y = self.draw_key(&mut canvas, &new, (left, right), y);
            }
            let height = heights(index);
            let scale = y_scale(panel, y, height);
            let is_last = index + 1 == self.panels.len();
            let (x, width) = (&x_scale, right - left);
            let frame = Frame { x, y: &scale, left, top: y, width, height };
            self.draw_frame(&mut canvas, &frame, &panel.y, is_last);
            canvas.turned_text(
                (MARGIN + TEXT_SIZE, y + height / 2.0),
                Anchor::Middle,
                Style::PLAIN,
                -90.0,
                &panel.y.label,
            );
            // A sign at the edge is drawn whole.
            canvas.begin_clip([left - 5.0, y - 5.0, width + 10.0, height + 10.0]);
            for series in &panel.series {
                draw_band(&mut canvas, series, &frame, self.pen(series).color);
            }
            for series in in_front_last(&panel.series) {
                draw_line(&mut canvas, series, &frame, self.pen(series));
            }
            canvas.end_clip();
            if is_direct {
                self.draw_names(&mut canvas, panel, &frame);
            }
            y += height + if is_last { 0.0 } else { GAP };
        }
        y += TEXT_SIZE + 8.0;
        y += TEXT_SIZE + 10.0;
        canvas.text(((left + right) / 2.0, y), Anchor::Middle, Style::PLAIN, &self.x.label);
        canvas.finish(&self.title, width, y + MARGIN)
    }

    /// How a series is drawn.
    fn pen(&self, series: &Series) -> Pen {
        if series.look == Look::Reference {
            return Pen { color: FAINT, dashes: "6 4", marker: Marker::Circle, width: 1.4 };
        }
        let all = self.panels.iter().flat_map(|panel| &panel.series);
        let mut before: Vec<&str> = Vec::new();
        for other in all.filter(|other| other.look != Look::Reference) {
            if other.name == series.name {
                break;
            }
            if !before.contains(&other.name.as_str()) {
                before.push(&other.name);
            }
        }
        let (color, dashes, marker) = series_style(before.len());
        let width = if series.look == Look::Highlighted { 3.2 } else { 1.8 };
        Pen { color, dashes, marker, width }
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

    /// The key to some series, on as many lines as it takes; returns where the panel can begin.
    fn draw_key(
        &self,
        canvas: &mut Canvas,
        series: &[&Series],
        (left, right): (f64, f64),
        top: f64,
    ) -> f64 {
        let (mut x, mut y) = (left, top + TEXT_SIZE / 2.0);
        for series in series {
            let width = KEY_LINE + 6.0 + text_width(&series.name, TEXT_SIZE) + 16.0;
            if x > left && x + width > right {
                (x, y) = (left, y + KEY_HEIGHT);
            }
            let pen = self.pen(series);
            canvas.polyline(&[(x, y), (x + KEY_LINE, y)], pen.color, pen.dashes, pen.width);
            let place = (x + KEY_LINE + 6.0, y + 0.35 * TEXT_SIZE);
            canvas.text(place, Anchor::Start, Style::PLAIN, &series.name);
            x += width;
        }
        if series.is_empty() { top } else { y + KEY_HEIGHT - 4.0 }
    }

    /// The names of a panel's lines, each as near to the end of its line as the others allow.
    fn draw_names(&self, canvas: &mut Canvas, panel: &Panel, frame: &Frame) {
        let (right, bottom) = (frame.left + frame.width, frame.top + frame.height);
        let end = |series: &Series| {
            let place = |point: &Point| frame.x.place(point.x).zip(frame.y.place(point.y));
            let (x, y) = series.points.iter().rev().find_map(place)?;
            Some((x.clamp(frame.left, right), y.clamp(frame.top, bottom)))
        };
        let mut ends: Vec<(&Series, Option<(f64, f64)>)> =
            panel.series.iter().map(|series| (series, end(series))).collect();
        // A line without points is named at the bottom.
        let height = |end: &Option<(f64, f64)>| end.map_or(bottom, |(_, y)| y);
        ends.sort_by(|(_, a), (_, b)| height(a).total_cmp(&height(b)));
        let mut places: Vec<f64> = Vec::with_capacity(ends.len());
        for (_, end) in &ends {
            let least = places.last().map_or(frame.top, |before| before + NAME_HEIGHT);
            places.push(height(end).max(least));
        }
        let mut most = bottom;
        for place in places.iter_mut().rev() {
            *place = place.min(most);
            most = *place - NAME_HEIGHT;
        }
        for ((series, end), place) in ends.iter().zip(places) {
            let pen = self.pen(series);
            if let Some((x, y)) = *end
                && (right - x > 1.0 || (place - y).abs() > 4.0)
            {
                canvas.polyline(&[(x, y), (right + 5.0, place)], FAINT, "1 3", 0.8);
            }
            let bold = series.look == Look::Highlighted;
            canvas.text(
                (right + 8.0, place + 0.35 * TEXT_SIZE),
                Anchor::Start,
                Style { size: TEXT_SIZE, color: pen.color, bold },
                &fitting(&series.name, LONGEST_NAME),
            );
        }
    }

    /// Grid, ticks and frame of a panel.
    fn draw_frame(&self, canvas: &mut Canvas, frame: &Frame, axis: &Axis, is_last: bool) {
        let Frame { left, top, width, height, .. } = *frame;
        let (right, bottom) = (left + width, top + height);
        for (value, label) in self.x.labels(frame.x, 70.0) {
            let Some(x) = frame.x.place(value) else { continue };
            canvas.line((x, top), (x, bottom), GRID, 1.0);
            if is_last {
                canvas.line((x, bottom), (x, bottom + 4.0), INK, 1.0);
                canvas.text((x, bottom + TEXT_SIZE + 7.0), Anchor::Middle, Style::FAINT, &label);
            }
        }
        for (value, label) in axis.labels(frame.y, 34.0) {
            let Some(y) = frame.y.place(value) else { continue };
            // Zero is what gains are measured from.
            let is_zero = value == 0.0;
            canvas.line((left, y), (right, y), if is_zero { FAINT } else { GRID }, 1.0);
            canvas.text((left - 7.0, y + 0.35 * TEXT_SIZE), Anchor::End, Style::FAINT, &label);
        }
        canvas.line((left, top), (left, bottom), INK, 1.0);
        canvas.line((left, bottom), (right, bottom), INK, 1.0);
    }
}

/// The series in the order in which they are drawn: highlighted ones over all others.
fn in_front_last(series: &[Series]) -> impl Iterator<Item = &Series> {
    let rank = |look: Look| match look {
        Look::Reference => 0,
        Look::Plain => 1,
        Look::Highlighted => 2,
    };
    let mut sorted: Vec<&Series> = series.iter().collect();
    sorted.sort_by_key(|series| rank(series.look));
    sorted.into_iter()
}

fn draw_band(canvas: &mut Canvas, series: &Series, frame: &Frame, color: &str) {
    let corners = series.corners();
    let edge = |end: &dyn Fn((f64, f64)) -> f64| -> Vec<(f64, f64)> {
        let banded = corners.iter().filter_map(|point| point.band.map(|band| (point.x, end(band))));
        // A band that goes below what a logarithmic axis can show goes to its end.
        let place = |y: f64| {
            frame
                .y
                .place(y)
                .or_else(|| (y <= 0.0).then(|| frame.y.place(frame.y.range().0)).flatten())
        };
        banded.filter_map(|(x, y)| frame.x.place(x).zip(place(y))).collect()
    };
    let (mut outline, mut upper) = (edge(&|(low, _)| low), edge(&|(_, high)| high));
    if outline.len() > 1 {
        upper.reverse();
        outline.append(&mut upper);
        canvas.polygon(&outline, &format!(r#"fill="{color}" fill-opacity="0.18""#));
    }
}

fn draw_line(canvas: &mut Canvas, series: &Series, frame: &Frame, pen: Pen) {
    let place = |p: &Point| frame.x.place(p.x).zip(frame.y.place(p.y));
    let places: Vec<(f64, f64)> = series.corners().iter().filter_map(place).collect();
    if places.len() > 1 {
        canvas.polyline(&places, pen.color, pen.dashes, pen.width);
    }
    // A single point shows by its sign alone.
    if places.len() == 1 || (series.points.len() <= FEW && series.look != Look::Reference) {
        let attributes = format!(r#"fill="{}" stroke="{PAPER}" stroke-width="0.8""#, pen.color);
        for at in series.points.iter().filter_map(place) {
            canvas.marker(at, pen.marker, 4.0, &attributes);
        }
    }
}
