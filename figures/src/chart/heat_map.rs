//! A number over two hyperparameters.

use super::scale::{compact, with_minus};
use crate::canvas::{Anchor, Canvas, INK, MARGIN, PAPER, Style, TEXT_SIZE, head_width, text_width};

/// Content of a cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell {
    /// Nothing: it was not tried.
    Untried,
    /// A run diverged.
    Diverged,
    /// A number.
    Value(f64),
}

/// Which numbers are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// High ones: a gain in percent.
    Higher,
    /// Low ones: a loss.
    Lower,
}

/// The numbers of one program.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plane {
    /// Above it; may be empty.
    pub name: String,
    /// A word on it, beside the name; may be empty.
    pub note: String,
    /// Labels of the columns, from left to right.
    pub columns: Vec<String>,
    /// Labels of the rows, from the bottom up.
    pub rows: Vec<String>,
    /// For each row its cells.
    pub cells: Vec<Vec<Cell>>,
}

/// A number over two hyperparameters, of one program or of several.
///
/// The colour of a cell says how far it is from the best of its plane: the first two classes are
/// what is within 1 and within 5 percent of it, and the others share the rest of the distances that
/// there are evenly, those that are about the same counted once. So neither a few settings far worse
/// than all others nor many that are equally bad take all the colours. The legend says where each
/// class ends.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatMap {
    /// Title.
    pub title: String,
    /// Explanation for readers; may be empty.
    pub subtitle: String,
    /// Quantity of the columns.
    pub x_label: String,
    /// Quantity of the rows.
    pub y_label: String,
    /// Name of the numbers, with their unit.
    pub value_label: String,
    /// Which are good.
    pub better: Better,
    /// Side by side.
    pub planes: Vec<Plane>,
}

const CELL_HEIGHT: f64 = 30.0;
const NUMBER_SIZE: f64 = 11.0;
const SWATCH: f64 = 16.0;
const LEGEND_LINE: f64 = 21.0;
const PLANE_GAP: f64 = 34.0;
/// Planes stand side by side as long as they are not wider than this together.
const WIDEST: f64 = 1300.0;

/// Colours from good to bad, and that of the text on each: the same on white and in the dark.
const COLORS: [(&str, &str); 7] = [
    ("#08306b", ON_DARK),
    ("#1f5fa5", ON_DARK),
    ("#4a90c8", ON_LIGHT),
    ("#8cbfdd", ON_LIGHT),
    ("#c3dcec", ON_LIGHT),
    ("#f3e3c3", ON_LIGHT),
    ("#e2b26b", ON_LIGHT),
];
const DIVERGED: &str = "#9aa3b0";
const ON_DARK: &str = "#fefefe";
const ON_LIGHT: &str = "#000000";
/// Where the first classes end, in percent.
const CLOSE: [f64; 2] = [1.0, 5.0];
/// A class ends at least by this factor above the one before.
const APART: f64 = 1.15;

impl Plane {
    fn values(&self) -> impl Iterator<Item = f64> {
        self.cells.iter().flatten().filter_map(|cell| match cell {
            Cell::Value(value) if value.is_finite() => Some(*value),
            _ => None,
        })
    }

    fn best(&self, better: Better) -> Option<f64> {
        match better {
            Better::Higher => self.values().max_by(f64::total_cmp),
            Better::Lower => self.values().min_by(f64::total_cmp),
        }
    }
}

/// Rounded up to two significant digits.
fn rounded_up(value: f64) -> f64 {
    let unit = libm::pow(10.0, libm::log10(value).floor() - 1.0);
    let rounded = (value / unit - 1e-9).ceil() * unit;
    if rounded.is_finite() { rounded } else { value }
}

/// Whether a distance is within a class. Computing it may have added something in the last digit.
fn is_within(distance: f64, end: f64) -> bool {
    distance <= end * (1.0 + 1e-9)
}

impl HeatMap {
    /// How far a number is from the best: of gains in points, of losses in percent of the best.
    fn distance(&self, value: f64, best: f64) -> f64 {
        match self.better {
            Better::Higher => best - value,
            Better::Lower => 100.0 * (value - best) / best.abs().max(f64::MIN_POSITIVE),
        }
        .min(f64::MAX)
    }

    /// Where the classes end; the last holds all that is left.
    fn ends(&self) -> Vec<f64> {
        let distances = self.planes.iter().flat_map(|plane| {
            let best = plane.best(self.better);
            plane.values().filter_map(move |value| Some(self.distance(value, best?)))
        });
        let mut distances: Vec<f64> = distances.collect();
        distances.sort_by(f64::total_cmp);
        let [_, close] = CLOSE;
        let mut far: Vec<f64> =
            distances.into_iter().filter(|distance| !is_within(*distance, close)).collect();
        let worst = far.last().copied();
        far.dedup_by(|next, kept| *next < APART * *kept);
        // The last class must hold the worst.
        if let (Some(last), Some(worst)) = (far.last_mut(), worst) {
            *last = worst;
        }
        let mut ends = CLOSE.to_vec();
        let classes = COLORS.len() - CLOSE.len();
        for class in 1..=classes {
            let last = (far.len() * class).div_ceil(classes);
            let Some(end) = last.checked_sub(1).and_then(|last| far.get(last)) else { continue };
            let end = rounded_up(*end);
            let before = ends.last().copied().unwrap_or(close);
            // The last class must hold the worst, however near the one before is.
            if end >= APART * before {
                ends.push(end);
            } else if class == classes && end > before {
                if ends.len() > CLOSE.len() {
                    ends.pop();
                }
                ends.push(end);
            }
        }
        ends
    }

    fn number(&self, value: f64) -> String {
        let magnitude = value.abs();
        let text = match self.better {
            Better::Higher if magnitude >= 9999.5 => compact(rounded_up(magnitude)),
            Better::Higher if magnitude >= 99.5 => format!("{magnitude:.0}"),
            Better::Higher if magnitude >= 9.95 => format!("{magnitude:.1}"),
            Better::Higher => format!("{magnitude:.2}"),
            Better::Lower if magnitude >= 9999.5 => compact(rounded_up(magnitude)),
            Better::Lower if magnitude != 0.0 && magnitude < 9.995e-3 => format!("{magnitude:.1e}"),
            Better::Lower if magnitude >= 99.95 => format!("{magnitude:.0}"),
            Better::Lower if magnitude >= 9.995 => format!("{magnitude:.1}"),
            Better::Lower => format!("{magnitude:.3}"),
        };
        let sign = match self.better {
            _ if value < 0.0 => "−",
            Better::Higher => "+",
            Better::Lower => "",
        };
        format!("{sign}{}", with_minus(&text))
    }

    /// Width of the cells of all planes.
    fn cell_width(&self) -> f64 {
        let numbers = self
            .planes
            .iter()
            .flat_map(Plane::values)
            .map(|value| text_width(&self.number(value), NUMBER_SIZE));
        let columns = self
            .planes
            .iter()
            .flat_map(|plane| &plane.columns)
            .map(|label| text_width(label, TEXT_SIZE));
        numbers.chain(columns).fold(34.0, f64::max) + 8.0
    }

    /// The picture.
    pub fn svg(&self) -> String {
        let ends = self.ends();
        let mut canvas = Canvas::new();
        let top = canvas.head(&self.title, &self.subtitle) + 6.0;
        let cell_width = self.cell_width();
        let side = self
            .planes
            .iter()
            .flat_map(|plane| &plane.rows)
            .map(|label| text_width(label, TEXT_SIZE))
            .fold(0.0, f64::max)
            + 8.0;
        let plane_width = |plane: &Plane| {
            let grid = side + cell_width * plane.columns.len() as f64;
            let name = 1.08 * text_width(&plane.name, TEXT_SIZE)
                + 8.0
                + text_width(&plane.note, TEXT_SIZE);
            let labels = text_width(&self.y_label, TEXT_SIZE)
                .max(side + text_width(&self.x_label, TEXT_SIZE));
            grid.max(name).max(labels)
        };
        let (mut x, mut y, mut right, mut row_bottom) = (MARGIN, top, MARGIN, top);
        for plane in &self.planes {
            let width = plane_width(plane);
            if x > MARGIN && x + width > WIDEST {
                (x, y) = (MARGIN, row_bottom + 18.0);
            }
            let bottom = self.draw_plane(&mut canvas, plane, (x, y), side, cell_width, &ends);
            (right, row_bottom) = (right.max(x + width), row_bottom.max(bottom));
            x += width + PLANE_GAP;
        }
        let legend = right + 24.0;
        let (legend_width, legend_bottom) = self.draw_legend(&mut canvas, legend, top, &ends);
        let width = (legend + legend_width + MARGIN).max(head_width(&self.title, &self.subtitle));
        canvas.finish(&self.title, width, row_bottom.max(legend_bottom) + MARGIN)
    }

    /// Draws a plane and returns where it ends.
    fn draw_plane(
        &self,
        canvas: &mut Canvas,
        plane: &Plane,
        (left, top): (f64, f64),
        side: f64,
        cell_width: f64,
        ends: &[f64],
    ) -> f64 {
        let mut y = top + TEXT_SIZE;
        if !plane.name.is_empty() || !plane.note.is_empty() {
            canvas.text((left, y), Anchor::Start, Style::BOLD, &plane.name);
            let x = left + 1.08 * text_width(&plane.name, TEXT_SIZE) + 8.0;
            canvas.text((x, y), Anchor::Start, Style::FAINT, &plane.note);
            y += TEXT_SIZE + 8.0;
        }
        // Above its labels, not turned beside them: so it has room where there is one row.
        canvas.text((left, y), Anchor::Start, Style::PLAIN, &self.y_label);
        y += 8.0;
        let grid = left + side;
        let bottom = y + CELL_HEIGHT * plane.rows.len() as f64;
        let best = plane.best(self.better);
        let mut outlined = None;
        for (row, label) in plane.rows.iter().enumerate() {
            let y = bottom - (row + 1) as f64 * CELL_HEIGHT;
            let baseline = y + CELL_HEIGHT / 2.0 + 0.35 * TEXT_SIZE;
            canvas.text((grid - 7.0, baseline), Anchor::End, Style::FAINT, label);
            for column in 0..plane.columns.len() {
                let cell = plane.cells.get(row).and_then(|cells| cells.get(column)).copied();
                let cell = cell.unwrap_or(Cell::Untried);
                let area = [grid + column as f64 * cell_width, y, cell_width, CELL_HEIGHT];
                self.draw_cell(canvas, cell, area, best, ends);
                if best.is_some_and(|best| cell == Cell::Value(best)) && outlined.is_none() {
                    outlined = Some(area);
                }
            }
        }
        if let Some(area) = outlined {
            outline(canvas, area);
        }
        for (column, label) in plane.columns.iter().enumerate() {
            let x = grid + (column as f64 + 0.5) * cell_width;
            canvas.text((x, bottom + TEXT_SIZE + 6.0), Anchor::Middle, Style::FAINT, label);
        }
        let y = bottom + 2.0 * (TEXT_SIZE + 8.0);
        canvas.text((grid, y), Anchor::Start, Style::PLAIN, &self.x_label);
        y + 4.0
    }

    fn draw_cell(
        &self,
        canvas: &mut Canvas,
        cell: Cell,
        [x, y, width, height]: [f64; 4],
        best: Option<f64>,
        ends: &[f64],
    ) {
        let value = match cell {
            Cell::Untried => return,
            Cell::Value(value) if value.is_finite() => Some(value),
            Cell::Value(_) | Cell::Diverged => None,
        };
        let class = value.zip(best).map(|(value, best)| {
            let distance = self.distance(value, best);
            ends.iter().position(|end| is_within(distance, *end)).unwrap_or(ends.len())
        });
        let (fill, ink) = class.map_or((DIVERGED, ON_LIGHT), color);
        let attributes = format!(r#"fill="{fill}" stroke="{PAPER}" stroke-width="1""#);
        canvas.rectangle([x, y, width, height], &attributes);
        let place = (x + width / 2.0, y + height / 2.0 + 0.35 * NUMBER_SIZE);
        let style = Style { size: NUMBER_SIZE, color: ink, bold: false };
        let text = value.map_or_else(|| "×".to_owned(), |value| self.number(value));
        canvas.text(place, Anchor::Middle, style, &text);
    }

    /// Draws what the colours mean; returns the width and where it ends.
    fn draw_legend(&self, canvas: &mut Canvas, left: f64, top: f64, ends: &[f64]) -> (f64, f64) {
        let (unit, than) = match self.better {
            Better::Higher => ("points", "colour: points below the best"),
            Better::Lower => ("%", "colour: percent above the best"),
        };
        let mut width: f64 = 0.0;
        let mut y = top + TEXT_SIZE;
        for line in [self.value_label.as_str(), than] {
            canvas.text((left, y), Anchor::Start, Style::PLAIN, line);
            width = width.max(text_width(line, TEXT_SIZE));
            y += TEXT_SIZE + 6.0;
        }
        let mut lines: Vec<((&str, &str), String)> = ends
            .iter()
            .enumerate()
            .map(|(class, end)| (color(class), format!("up to {} {unit}", compact(*end))))
            .collect();
        lines.push(((DIVERGED, ON_LIGHT), "diverged".to_owned()));
        for (index, ((fill, ink), text)) in lines.iter().enumerate() {
            canvas.rectangle([left, y, SWATCH, SWATCH], &format!(r#"fill="{fill}""#));
            if index + 1 == lines.len() {
                let style = Style { size: NUMBER_SIZE, color: ink, bold: false };
                let place = (left + SWATCH / 2.0, y + 0.5 * SWATCH + 0.35 * NUMBER_SIZE);
                canvas.text(place, Anchor::Middle, style, "×");
            }
            let place = (left + SWATCH + 7.0, y + 0.5 * SWATCH + 0.35 * TEXT_SIZE);
            canvas.text(place, Anchor::Start, Style::FAINT, text);
            width = width.max(SWATCH + 7.0 + text_width(text, TEXT_SIZE));
            y += LEGEND_LINE;
        }
        let attributes = format!(r#"fill="none" stroke="{INK}" stroke-width="2""#);
        canvas.rectangle([left + 1.0, y + 1.0, SWATCH - 2.0, SWATCH - 2.0], &attributes);
        let place = (left + SWATCH + 7.0, y + 0.5 * SWATCH + 0.35 * TEXT_SIZE);
        canvas.text(place, Anchor::Start, Style::FAINT, "the best");
        (width, y + SWATCH)
    }
}

/// The colour of a class and that of the text on it.
fn color(class: usize) -> (&'static str, &'static str) {
    COLORS.get(class.min(COLORS.len() - 1)).copied().unwrap_or((DIVERGED, ON_LIGHT))
}

/// White inside black shows on every colour.
fn outline(canvas: &mut Canvas, [x, y, width, height]: [f64; 4]) {
    for (inset, color, thickness) in [(1.0, ON_LIGHT, 2.4), (2.7, ON_DARK, 1.0)] {
        let area = [x + inset, y + inset, width - 2.0 * inset, height - 2.0 * inset];
        let attributes = format!(r#"fill="none" stroke="{color}" stroke-width="{thickness}""#);
        canvas.rectangle(area, &attributes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(better: Better, values: &[f64]) -> HeatMap {
        let cells = vec![values.iter().map(|value| Cell::Value(*value)).collect()];
        let columns = (0..values.len()).map(|index| index.to_string()).collect();
        let plane = Plane { columns, rows: vec!["0".to_owned()], cells, ..Plane::default() };
        HeatMap {
            title: String::new(),
            subtitle: String::new(),
            x_label: String::new(),
            y_label: String::new(),
            value_label: String::new(),
            better,
            planes: vec![plane],
        }
    }

    #[test]
    fn classes_spread_over_the_whole_range_and_hold_the_worst() {
        // One cell that is far worse than all others takes one class and not all.
        let losses: Vec<f64> = (0..40).map(|i| 1.0 + 0.01 * f64::from(i)).chain([1e6]).collect();
        let map = map(Better::Lower, &losses);
        let ends = map.ends();
        assert_eq!(ends, [1.0, 5.0, 9.0, 13.0, 21.0, 29.0, 1e8], "{ends:?}");
        let plane = &map.planes[0];
        let used: std::collections::BTreeSet<usize> = plane
            .values()
            .map(|value| map.distance(value, 1.0))
            .filter_map(|distance| ends.iter().position(|end| is_within(distance, *end)))
            .collect();
        assert_eq!(used.len(), COLORS.len());
    }

    #[test]
    fn every_number_is_within_a_class() {
        let cases: [&[f64]; 7] = [
            &[],
            &[0.0, 0.0],
            &[0.0, 1e-9, 3.0],
            &[2.0, 2.1001, 2.11, 2.12],
            &[1.0, 1e300],
            &[f64::MIN_POSITIVE, f64::MAX],
            &[-3.0, -2.0],
        ];
        for values in cases {
            for better in [Better::Higher, Better::Lower] {
                let map = map(better, values);
                let ends = map.ends();
                assert!(ends.len() <= COLORS.len() && ends.is_sorted(), "{values:?}: {ends:?}");
                let best = map.planes[0].best(better);
                for value in values {
                    let distance = map.distance(*value, best.unwrap());
                    let known = ends.iter().any(|end| is_within(distance, *end));
                    assert!(known, "{values:?}: {ends:?}");
                }
                assert!(!map.svg().contains("inf") && !map.svg().contains("NaN"));
            }
        }
    }
}
