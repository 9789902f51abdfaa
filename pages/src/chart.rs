//! Figures as Vega-Lite specifications, in one house style: units on the axes, names at the lines
//! themselves, colours that colour-blind people can tell apart and a second sign beside each, and
//! markers where there are few samples. Colours are the page's variables, so that a figure follows
//! the page into the dark and onto paper.

use serde_json::{Value, json};

use crate::numbers::rounded;

/// The colours of series, as variables of the page.
const COLORS: [&str; 7] =
    ["var(--s1)", "var(--s2)", "var(--s3)", "var(--s4)", "var(--s5)", "var(--s6)", "var(--s7)"];
/// Signs beside the colours.
const DASHES: [&[u8]; 7] = [&[], &[7, 3], &[2, 2], &[9, 2, 2, 2], &[4, 4], &[12, 3], &[1, 3]];
const SHAPES: [&str; 7] =
    ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right"];
/// Lines with at most so many points have markers.
const FEW: usize = 24;
/// Digits of numbers that are drawn.
const DIGITS: usize = 6;

/// An axis.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Axis {
    /// Quantity on it, with the unit.
    pub title: String,
    /// From where to where; by default as the numbers go.
    pub domain: Option<(f64, f64)>,
    /// Whether it is logarithmic.
    pub log: bool,
}

impl Axis {
    /// A linear axis.
    pub fn linear(title: impl Into<String>) -> Axis {
        Axis { title: title.into(), ..Axis::default() }
    }

    /// A logarithmic axis.
    pub fn log(title: impl Into<String>) -> Axis {
        Axis { title: title.into(), log: true, ..Axis::default() }
    }

    /// From one number to another.
    #[must_use]
    pub fn between(self, low: f64, high: f64) -> Axis {
        Axis { domain: Some((low, high)), ..self }
    }

    fn scale(&self) -> Value {
        let mut scale = json!({ "zero": false, "nice": self.domain.is_none() });
        if self.log {
            scale = json!({ "type": "log", "nice": false });
        }
        if let Some((low, high)) = self.domain {
            scale["domain"] = json!([rounded(low, DIGITS), rounded(high, DIGITS)]);
        }
        scale
    }

    fn channel(&self, field: &str) -> Value {
        json!({
            "field": field,
            "type": "quantitative",
            "scale": self.scale(),
            "axis": { "title": self.title },
        })
    }
}

/// A point of a line, with its band if it has one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Where.
    pub x: f64,
    /// How much.
    pub y: f64,
    /// From where to where.
    pub band: Option<(f64, f64)>,
}

impl Point {
    /// A point without a band.
    pub fn new(x: f64, y: f64) -> Point {
        Point { x, y, band: None }
    }
}

/// A line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Name of the line.
    pub name: String,
    /// Its points, from left to right.
    pub points: Vec<Point>,
}

/// Lines over one axis.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lines {
    /// The axis below.
    pub x: Axis,
    /// The axis at the side.
    pub y: Axis,
    /// The lines.
    pub series: Vec<Series>,
    /// Whether each value holds until the next.
    pub stepped: bool,
    /// A level to compare with, by its name.
    pub level: Option<(f64, String)>,
}

impl Lines {
    /// The specification.
    pub fn specification(&self) -> Value {
        let names: Vec<&str> = self.series.iter().map(|series| series.name.as_str()).collect();
        let rows: Vec<Value> = self
            .series
            .iter()
            .flat_map(|series| {
                series.points.iter().map(|point| {
                    let mut row = json!({
                        "x": rounded(point.x, DIGITS),
                        "y": rounded(point.y, DIGITS),
                        "of": series.name,
                    });
                    if let Some((low, high)) = point.band {
                        row["low"] = json!(rounded(low, DIGITS));
                        row["high"] = json!(rounded(high, DIGITS));
                    }
                    row
                })
            })
            .collect();
        let few = self.series.iter().all(|series| series.points.len() <= FEW);
        let interpolate = if self.stepped { "step-after" } else { "linear" };
        let color = json!({
            "field": "of", "type": "nominal", "legend": null,
            "scale": { "domain": names, "range": cycled(&COLORS, names.len()) },
        });
        let dash = json!({
            "field": "of", "type": "nominal", "legend": null,
            "scale": { "domain": names, "range": cycled(&DASHES, names.len()) },
        });
        let (x, y) = (self.x.channel("x"), self.y.channel("y"));
        let mut layers = Vec::new();
        if self.series.iter().flat_map(|series| &series.points).any(|point| point.band.is_some()) {
            layers.push(json!({
                "mark": { "type": "area", "opacity": 0.18, "interpolate": interpolate, "clip": true },
                "encoding": {
                    "x": x,
                    "y": { "field": "low", "type": "quantitative", "scale": self.y.scale() },
                    "y2": { "field": "high" },
                    "color": color,
                },
            }));
        }
        if let Some((level, name)) = &self.level {
            layers.push(level_rule("y", *level));
            layers.push(json!({
                "data": { "values": [{ "level": level }] },
                "mark": {
                    "type": "text", "text": name, "align": "left", "x": 4, "dy": -6,
                    "color": "var(--faint)", "clip": true,
                },
                "encoding": { "y": { "field": "level", "type": "quantitative", "scale": self.y.scale() } },
            }));
        }
        let mut mark = json!({
            "type": "line", "strokeWidth": 2.2, "interpolate": interpolate, "clip": true,
        });
        if few {
            mark["point"] = json!({ "filled": true, "size": 42 });
        }
        layers.push(json!({
            "mark": mark,
            "encoding": { "x": x, "y": y, "color": color, "strokeDash": dash },
        }));
        // Where the pointer is, the numbers.
        layers.push(json!({
            "mark": { "type": "point", "size": 160, "opacity": 0, "clip": true },
            "encoding": {
                "x": x, "y": y,
                "tooltip": [
                    { "field": "of", "title": "line" },
                    { "field": "x", "type": "quantitative", "title": self.x.title },
                    { "field": "y", "type": "quantitative", "title": self.y.title },
                ],
            },
        }));
        if names.len() > 1 {
            layers.push(json!({
                "data": { "values": self.labels() },
                "mark": {
                    "type": "text", "align": "right", "baseline": "bottom", "dx": -4, "dy": -3,
                    "fontWeight": 600, "clip": false, "stroke": "var(--paper)", "strokeWidth": 0,
                },
                "encoding": { "x": x, "y": y, "text": { "field": "of" }, "color": color },
            }));
        }
        figure(300, &rows, layers)
    }

    /// The names at the ends of the lines, apart from each other.
    fn labels(&self) -> Vec<Value> {
        let ends: Vec<(&Series, Point)> = self
            .series
            .iter()
            .filter_map(|series| Some((series, *series.points.last()?)))
            .collect();
        let all = || self.series.iter().flat_map(|series| &series.points).map(|point| point.y);
        let (low, high) = self.y.domain.unwrap_or((
            all().fold(f64::INFINITY, f64::min),
            all().fold(f64::NEG_INFINITY, f64::max),
        ));
        let right = ends.iter().map(|(_, end)| end.x).fold(f64::NEG_INFINITY, f64::max);
        let gap = 0.065 * (high - low);
        let mut order: Vec<usize> = (0..ends.len()).collect();
        order.sort_by(|a, b| ends[*a].1.y.total_cmp(&ends[*b].1.y));
        let mut places = vec![0.0; ends.len()];
        let mut floor = f64::NEG_INFINITY;
        for at in order {
            places[at] = ends[at].1.y.clamp(low, high).max(floor);
            floor = places[at] + gap;
        }
        let label = |((series, _), place): (&(&Series, Point), f64)| json!({ "x": rounded(right, DIGITS), "y": rounded(place, DIGITS), "of": series.name });
        ends.iter().zip(places).map(label).collect()
    }
}

/// A number with its error, of a subject.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dot {
    /// The row that it stands in.
    pub row: String,
    /// Kind of number in that row; dots of one kind look alike.
    pub kind: String,
    /// The number.
    pub value: f64,
    /// Its error on both sides.
    pub error: Option<f64>,
}

/// Numbers with errors, row by row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dots {
    /// Axis of the numbers, with the unit.
    pub axis: Axis,
    /// The numbers.
    pub dots: Vec<Dot>,
    /// A level to compare with, by its name.
    pub level: Option<(f64, String)>,
    /// Whether the kinds of a row share one line, in place of a line each: for many rows.
    pub in_one_line: bool,
}

impl Dots {
    /// The specification.
    pub fn specification(&self) -> Value {
        let rows = in_order(self.dots.iter().map(|dot| dot.row.as_str()));
        let kinds = in_order(self.dots.iter().map(|dot| dot.kind.as_str()));
        let values: Vec<Value> = self
            .dots
            .iter()
            .map(|dot| {
                let error = dot.error.unwrap_or(0.0);
                json!({
                    "row": dot.row, "kind": dot.kind, "value": rounded(dot.value, DIGITS),
                    "low": rounded(dot.value - error, DIGITS),
                    "high": rounded(dot.value + error, DIGITS),
                })
            })
            .collect();
        let legend = if kinds.len() > 1 { json!({ "orient": "top" }) } else { Value::Null };
        let scale = |range: Value| json!({ "domain": kinds, "range": range });
        let color = json!({
            "field": "kind", "type": "nominal", "title": null, "legend": legend,
            "scale": scale(json!(cycled(&COLORS, kinds.len()))),
        });
        let shape = json!({
            "field": "kind", "type": "nominal", "title": null, "legend": legend,
            "scale": scale(json!(cycled(&SHAPES, kinds.len()))),
        });
        let y = json!({
            "field": "row", "type": "nominal", "sort": rows,
            "axis": { "title": null, "labelLimit": 220, "grid": true, "ticks": false },
        });
        let placed = |mut encoding: Value| {
            encoding["y"] = y.clone();
            if !self.in_one_line {
                encoding["yOffset"] = json!({ "field": "kind", "type": "nominal", "sort": kinds });
            }
            encoding
        };
        // Numbers beyond an axis that was given are left out.
        let clip = self.axis.domain.is_some();
        let mut layers = Vec::new();
        if let Some((level, name)) = &self.level {
            layers.push(level_rule("x", *level));
            layers.push(json!({
                "data": { "values": [{ "level": level }] },
                "mark": {
                    "type": "text", "text": name, "align": "left", "baseline": "top", "y": 0, "dx": 5, "dy": 3,
                    "color": "var(--faint)",
                },
                "encoding": {
                    "x": { "field": "level", "type": "quantitative", "scale": self.axis.scale() },
                },
            }));
        }
        layers.push(json!({
            "mark": { "type": "rule", "strokeWidth": 2.2, "clip": clip },
            "encoding": placed(json!({
                "x": { "field": "low", "type": "quantitative", "scale": self.axis.scale(), "axis": { "title": self.axis.title } },
                "x2": { "field": "high" }, "color": color,
            })),
        }));
        layers.push(json!({
            "mark": { "type": "point", "filled": true, "size": 95, "opacity": 1, "clip": clip },
            "encoding": placed(json!({
                "x": self.axis.channel("value"), "color": color, "shape": shape,
                "tooltip": [
                    { "field": "row", "title": "of" }, { "field": "kind", "title": "what" },
                    { "field": "value", "type": "quantitative", "title": self.axis.title },
                    { "field": "low", "type": "quantitative", "title": "one error below" },
                    { "field": "high", "type": "quantitative", "title": "one error above" },
                ],
            })),
        }));
        let lines = if self.in_one_line { 1 } else { kinds.len() };
        let height = 34 + rows.len() * if lines == 1 { 24 } else { 20 + 18 * lines };
        figure(height, &values, layers)
    }
}

/// A bar with its number.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bar {
    /// Name of the bar.
    pub name: String,
    /// How long it is.
    pub value: f64,
    /// Its error on both sides.
    pub error: Option<f64>,
    /// Text at its end.
    pub label: String,
    /// Whether it is what the figure is about.
    pub highlighted: bool,
}

/// Bars from zero, the numbers at their ends.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bars {
    /// Axis of the numbers, with the unit.
    pub axis: Axis,
    /// The bars, from the top down.
    pub bars: Vec<Bar>,
}

impl Bars {
    /// The specification.
    pub fn specification(&self) -> Value {
        let values: Vec<Value> = self
            .bars
            .iter()
            .map(|bar| {
                let error = bar.error.unwrap_or(0.0);
                json!({
                    "name": bar.name, "value": rounded(bar.value, DIGITS), "label": bar.label,
                    "low": rounded(bar.value - error, DIGITS), "high": rounded(bar.value + error, DIGITS),
                    "look": if bar.highlighted { "this" } else { "other" },
                })
            })
            .collect();
        let names: Vec<&str> = self.bars.iter().map(|bar| bar.name.as_str()).collect();
        let y = json!({
            "field": "name", "type": "nominal", "sort": names,
            "axis": { "title": null, "labelLimit": 220, "ticks": false, "grid": false },
        });
        let mut scale = self.axis.scale();
        scale["zero"] = json!(!self.axis.log);
        let x = json!({
            "field": "value", "type": "quantitative", "scale": scale, "axis": { "title": self.axis.title },
        });
        let color = json!({
            "field": "look", "type": "nominal", "legend": null,
            "scale": { "domain": ["this", "other"], "range": ["var(--s2)", "var(--s1)"] },
        });
        let mut layers = vec![json!({
            "mark": { "type": "bar", "height": { "band": 0.66 }, "clip": true },
            "encoding": {
                "x": x, "y": y, "color": color,
                "tooltip": [{ "field": "name", "title": "of" }, { "field": "label", "title": self.axis.title }],
            },
        })];
        if self.bars.iter().any(|bar| bar.error.is_some()) {
            layers.push(json!({
                "mark": { "type": "rule", "strokeWidth": 1.4, "color": "var(--ink)", "clip": true },
                "encoding": {
                    "x": { "field": "low", "type": "quantitative", "scale": scale }, "x2": { "field": "high" }, "y": y,
                },
            }));
        }
        for (test, align, dx) in [("datum.value >= 0", "left", 6), ("datum.value < 0", "right", -6)]
        {
            if !self.bars.iter().any(|bar| (bar.value >= 0.0) == (align == "left")) {
                continue;
            }
            let end = if align == "left" { "high" } else { "low" };
            layers.push(json!({
                "transform": [{ "filter": test }],
                "mark": { "type": "text", "align": align, "dx": dx, "color": "var(--ink)" },
                "encoding": {
                    "x": { "field": end, "type": "quantitative", "scale": scale }, "y": y,
                    "text": { "field": "label" },
                },
            }));
        }
        let mut specification = figure(24 + 26 * self.bars.len(), &values, layers);
        specification["padding"] = json!({ "left": 4, "top": 4, "bottom": 4, "right": 64 });
        specification
    }
}

/// Programs by what they give and what they take, from the rows of the page: columns `hash`,
/// `fitness` in percent, `state`, `front`, and the one that the axis below shows, by its name.
pub fn pareto(
    fitness: (f64, f64),
    (below, x): (&str, &Axis),
    states: &[String],
    tooltip: &[(&str, &str)],
) -> Value {
    let y = Axis::linear("fitness on the search's own seeds (%)").between(fitness.0, fitness.1);
    let tooltip: Vec<Value> =
        tooltip.iter().map(|(field, title)| json!({ "field": field, "title": title })).collect();
    let scale = |range: Value| json!({ "domain": states, "range": range });
    let title = "state (bytes a parameter)";
    let color = json!({
        "field": "state", "type": "nominal", "title": title,
        "scale": scale(json!(cycled(&COLORS, states.len()))),
    });
    let shape = json!({
        "field": "state", "type": "nominal", "title": title,
        "scale": scale(json!(cycled(&SHAPES, states.len()))),
    });
    let (x, y) = (x.channel(below), y.channel("fitness"));
    // Programs without the number below have no point.
    let known = json!({ "filter": format!("datum['{below}'] !== null") });
    let front = json!([known, { "filter": "datum.front === 'yes'" }]);
    let layers = vec![
        json!({
            "transform": [known, { "filter": "datum.front !== 'yes'" }],
            "mark": { "type": "point", "filled": false, "size": 36, "opacity": 0.45, "clip": true },
            "encoding": { "x": x, "y": y, "color": color, "shape": shape, "tooltip": tooltip },
        }),
        json!({
            "transform": front,
            "mark": { "type": "point", "filled": true, "size": 130, "opacity": 1, "stroke": "var(--ink)", "strokeWidth": 1.3, "clip": true },
            "encoding": { "x": x, "y": y, "color": color, "shape": shape, "tooltip": tooltip },
        }),
        json!({
            "transform": [known, { "filter": "datum.front === 'yes'" }, { "calculate": "slice(datum.hash, 0, 6)", "as": "name" }],
            "mark": { "type": "text", "align": "left", "dx": 9, "dy": -9, "fontSize": 10.5, "color": "var(--ink)", "clip": true },
            "encoding": { "x": x, "y": y, "text": { "field": "name" } },
        }),
        json!({
            "transform": [known, { "filter": "datum.hash === chosen" }],
            "mark": { "type": "point", "filled": false, "size": 420, "strokeWidth": 3, "color": "var(--s2)", "opacity": 1, "clip": true },
            "encoding": { "x": x, "y": y },
        }),
    ];
    let mut specification = figure(380, &[], layers);
    specification["data"] = json!({ "name": "points", "values": [] });
    specification["params"] = json!([{ "name": "chosen", "value": "" }]);
    specification
}

/// A cell of a heat map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HeatCell {
    /// It was not tried.
    Untried,
    /// It diverged.
    Diverged,
    /// A number.
    Value(f64),
}

/// A number over two settings, in colours of equal steps by rank: so all of the range can be read,
/// however far the worst numbers are from the best.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeatMap {
    /// Quantity of the columns.
    pub x_title: String,
    /// Quantity of the rows.
    pub y_title: String,
    /// Labels of the columns, from left to right.
    pub columns: Vec<String>,
    /// Labels of the rows, from the bottom up.
    pub rows: Vec<String>,
    /// Quantity of the numbers, with the unit.
    pub value_title: String,
    /// For each row its cells.
    pub cells: Vec<Vec<HeatCell>>,
    /// The share above the best up to which a cell counts as close to it, if that is to be marked.
    pub close: Option<f64>,
}

/// Colours of a heat map from good to bad, and that of the text on each.
const HEAT: [(&str, &str); 7] = [
    ("#08306b", "#ffffff"),
    ("#1f5fa5", "#ffffff"),
    ("#4a90c8", "#000000"),
    ("#8cbfdd", "#000000"),
    ("#c3dcec", "#000000"),
    ("#f3e3c3", "#000000"),
    ("#e2b26b", "#000000"),
];
/// How far above the best number each colour but the last reaches, as a share of it.
const HEAT_STEPS: [f64; 6] = [0.01, 0.05, 0.10, 0.25, 0.50, 1.0];

impl HeatMap {
    /// The best number, the lowest.
    pub fn best(&self) -> Option<f64> {
        let numbers = self.cells.iter().flatten().filter_map(|cell| match cell {
            HeatCell::Value(value) if value.is_finite() => Some(*value),
            _ => None,
        });
        numbers.min_by(f64::total_cmp)
    }

    /// The specification. Numbers are losses above 0: lower is better.
    pub fn specification(&self) -> Value {
        let best = self.best().unwrap_or(1.0);
        let mut values = Vec::new();
        for (row, label) in self.rows.iter().enumerate() {
            for (column, name) in self.columns.iter().enumerate() {
                let cell = self.cells.get(row).and_then(|cells| cells.get(column));
                let (text, above, step) = match cell {
                    Some(HeatCell::Value(value)) if value.is_finite() => {
                        let above = (value - best) / best.abs().max(f64::MIN_POSITIVE);
                        let step = HEAT_STEPS.iter().position(|most| above <= *most);
                        (significant(*value), Some(above), step.unwrap_or(HEAT_STEPS.len()))
                    }
                    Some(HeatCell::Untried) | None => continue,
                    _ => ("×".to_owned(), None, HEAT.len()),
                };
                let (fill, ink) = HEAT.get(step).copied().unwrap_or(("#9aa3b0", "#000000"));
                let close = self.close.zip(above).is_some_and(|(close, above)| above <= close);
                values.push(json!({
                    "x": name, "y": label, "text": text, "fill": fill, "ink": ink,
                    "above": above.map(|above| rounded(100.0 * above, 4)),
                    "close": close, "best": above == Some(0.0),
                }));
            }
        }
        let rows: Vec<&String> = self.rows.iter().rev().collect();
        let x = json!({
            "field": "x", "type": "nominal", "sort": self.columns,
            "axis": { "title": self.x_title, "labelAngle": if self.columns.len() > 9 { -40 } else { 0 }, "grid": false, "labelOverlap": false },
        });
        let y = json!({
            "field": "y", "type": "nominal", "sort": rows,
            "axis": { "title": self.y_title, "grid": false },
        });
        let layers = vec![
            json!({
                "mark": { "type": "rect", "stroke": "var(--paper)", "strokeWidth": 1.5 },
                "encoding": {
                    "x": x, "y": y, "color": { "field": "fill", "type": "nominal", "scale": null, "legend": null },
                    "tooltip": [
                        { "field": "x", "title": self.x_title }, { "field": "y", "title": self.y_title },
                        { "field": "text", "title": self.value_title },
                        { "field": "above", "title": "percent above the best" },
                    ],
                },
            }),
            json!({
                "transform": [{ "filter": "datum.close" }],
                "mark": { "type": "rect", "filled": false, "stroke": "var(--s2)", "strokeWidth": 2 },
                "encoding": { "x": x, "y": y },
            }),
            json!({
                "transform": [{ "filter": "datum.best" }],
                "mark": { "type": "rect", "filled": false, "stroke": "var(--ink)", "strokeWidth": 3.2 },
                "encoding": { "x": x, "y": y },
            }),
            json!({
                "mark": { "type": "text", "fontSize": 10.5 },
                "encoding": {
                    "x": x, "y": y, "text": { "field": "text" },
                    "color": { "field": "ink", "type": "nominal", "scale": null, "legend": null },
                },
            }),
        ];
        figure(70 + 30 * self.rows.len(), &values, layers)
    }
}

/// A number to three significant digits.
fn significant(value: f64) -> String {
    let digits = 2 - (value.abs().max(f64::MIN_POSITIVE).log10().floor() as i32).clamp(-6, 2);
    let digits = digits.max(0) as usize;
    format!("{value:.digits$}").replacen('-', "−", 1)
}

fn level_rule(channel: &str, level: f64) -> Value {
    json!({
        "data": { "values": [{ "level": level }] },
        "mark": { "type": "rule", "color": "var(--faint)", "strokeDash": [4, 3], "clip": true },
        "encoding": { channel: { "field": "level", "type": "quantitative" } },
    })
}

fn cycled<T: Copy>(of: &[T], count: usize) -> Vec<T> {
    of.iter().copied().cycle().take(count).collect()
}

fn in_order<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut found: Vec<&str> = Vec::new();
    for name in names {
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

/// Layers over rows, in the house style.
fn figure(height: usize, rows: &[Value], layers: Vec<Value>) -> Value {
    let text = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif";
    json!({
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": "container",
        "height": height,
        "autosize": { "type": "fit-x", "contains": "padding" },
        "data": { "values": rows },
        "layer": layers,
        "config": {
            "background": "transparent",
            "aria": false,
            "font": text,
            "view": { "stroke": null },
            "axis": {
                "labelColor": "var(--faint)", "titleColor": "var(--ink)", "gridColor": "var(--grid)",
                "domainColor": "var(--rule)", "tickColor": "var(--rule)",
                "labelFontSize": 12, "titleFontSize": 12.5, "titleFontWeight": 500, "titlePadding": 8,
                "labelPadding": 5, "tickCount": 6,
            },
            "legend": {
                "labelColor": "var(--ink)", "titleColor": "var(--faint)", "labelFontSize": 12, "titleFontSize": 12,
                "titleFontWeight": 500, "orient": "top", "symbolOpacity": 1, "symbolSize": 80, "labelLimit": 320,
            },
            "text": { "font": text, "fontSize": 12, "color": "var(--ink)" },
            "numberFormat": ",.8~g",
        },
    })
}
