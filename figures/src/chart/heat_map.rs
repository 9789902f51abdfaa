//! A number over two hyperparameters.

use super::scale::with_minus;
use crate::canvas::{
    Anchor, Canvas, FAINT, INK, MARGIN, PAPER, Style, TEXT_SIZE, head_width, text_width,
};

/// What is in a cell.
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
    /// High ones, and 0 is neither good nor bad: a gain.
    Higher,
    /// Low ones: a loss.
    Lower,
}

/// A number over two hyperparameters.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatMap {
    /// What it is.
    pub title: String,
    /// What one should know to read it; may be empty.
    pub subtitle: String,
    /// What the columns are.
    pub x_label: String,
    /// What the rows are.
    pub y_label: String,
    /// Labels of the columns, from left to right.
    pub columns: Vec<String>,
    /// Labels of the rows, from the bottom up.
    pub rows: Vec<String>,
    /// What the numbers are, with their unit, in a word: it stands beside the colours.
    pub value_label: String,
    /// Which are good.
    pub better: Better,
    /// For each row its cells.
    pub cells: Vec<Vec<Cell>>,
}

const CELL_HEIGHT: f64 = 30.0;
const NUMBER_SIZE: f64 = 11.0;
const BAR_WIDTH: f64 = 14.0;
const BAR_STEPS: usize = 48;

/// Red, green and blue.
type Color = [f64; 3];
/// From bad to good.
const GAIN: [Color; 5] = [
    [127.0, 59.0, 8.0],
    [224.0, 130.0, 20.0],
    [247.0, 247.0, 247.0],
    [103.0, 169.0, 207.0],
    [5.0, 48.0, 97.0],
];
const LOSS: [Color; 4] =
    [[247.0, 251.0, 255.0], [158.0, 202.0, 225.0], [49.0, 130.0, 189.0], [8.0, 48.0, 107.0]];

impl HeatMap {
    fn values(&self) -> Vec<f64> {
        let value = |cell: &Cell| {
            if let Cell::Value(value) = cell {
                Some(*value).filter(|v| v.is_finite())
            } else {
                None
            }
        };
        let mut values: Vec<f64> = self.cells.iter().flatten().filter_map(value).collect();
        values.sort_by(f64::total_cmp);
        values
    }

    /// The numbers with the worst and the best colour. A few settings are far worse than all
    /// others; they must not take all the colours.
    fn limits(&self) -> (f64, f64) {
        let values = self.values();
        let at = |part: f64| {
            values
                .get(((values.len().max(1) - 1) as f64 * part).round() as usize)
                .copied()
                .unwrap_or(0.0)
        };
        match self.better {
            Better::Higher => {
                // Symmetric, so that 0 is white.
                let limit = at(1.0).max(-at(0.85)).max(1e-9);
                (-limit, limit)
            }
            Better::Lower => (at(0.5).max(at(0.0) + 1e-9), at(0.0)),
        }
    }

    /// The colour of a number.
    fn color(&self, value: f64, (worst, best): (f64, f64)) -> Color {
        let stops: &[Color] = if self.better == Better::Higher { &GAIN } else { &LOSS };
        let place = ((value - worst) / (best - worst)).clamp(0.0, 1.0) * (stops.len() - 1) as f64;
        let stop =
            |index: usize| stops.get(index.min(stops.len() - 1)).copied().unwrap_or_default();
        let (from, to, part) = (stop(place as usize), stop(place as usize + 1), place.fract());
        [0, 1, 2].map(|channel: usize| {
            let of = |color: Color| color.get(channel).copied().unwrap_or(0.0);
            of(from) + part * (of(to) - of(from))
        })
    }

    fn number(&self, value: f64) -> String {
        let decimals = match value.abs() {
            v if v >= 99.5 => 0,
            v if v >= 9.95 => 1,
            _ => 2,
        };
        match self.better {
            Better::Higher => with_minus(&format!("{value:+.decimals$}")),
            Better::Lower => with_minus(&format!("{value:.3}")),
        }
    }

    /// The picture.
    pub fn svg(&self) -> String {
        let limits = self.limits();
        let best = self
            .values()
            .into_iter()
            .map(|value| if self.better == Better::Higher { -value } else { value })
            .min_by(f64::total_cmp);
        let best = best.map(|value| if self.better == Better::Higher { -value } else { value });
        let mut canvas = Canvas::new();
        let mut y = canvas.head(&self.title, &self.subtitle) + 6.0;

        let numbers =
            self.values().into_iter().map(|value| text_width(&self.number(value), NUMBER_SIZE));
        let columns = self.columns.iter().map(|label| text_width(label, TEXT_SIZE));
        let cell_width = numbers.chain(columns).fold(34.0, f64::max) + 8.0;
        let left = MARGIN
            + TEXT_SIZE
            + 12.0
            + self.rows.iter().map(|label| text_width(label, TEXT_SIZE)).fold(0.0, f64::max)
            + 8.0;
        let (grid_width, grid_height) =
            (cell_width * self.columns.len() as f64, CELL_HEIGHT * self.rows.len() as f64);
        let bar = left + grid_width + 22.0;
        let ends =
            [limits.1, (limits.0 + limits.1) / 2.0, limits.0].map(|value| self.number(value));
        let end_width =
            ends.iter().map(|text| text_width(&format!("≤ {text}"), TEXT_SIZE)).fold(0.0, f64::max);
        let width = (bar + BAR_WIDTH + 8.0 + end_width + 8.0 + TEXT_SIZE + MARGIN)
            .max(head_width(&self.title, &self.subtitle));

        let top = y;
        let mut outlined = None;
        for (row, label) in self.rows.iter().enumerate() {
            let y = top + grid_height - (row + 1) as f64 * CELL_HEIGHT;
            canvas.text(
                (left - 7.0, y + CELL_HEIGHT / 2.0 + 0.35 * TEXT_SIZE),
                Anchor::End,
                Style::FAINT,
                label,
            );
            for column in 0..self.columns.len() {
                let cell = self
                    .cells
                    .get(row)
                    .and_then(|cells| cells.get(column))
                    .copied()
                    .unwrap_or(Cell::Untried);
                let area = [left + column as f64 * cell_width, y, cell_width, CELL_HEIGHT];
                self.draw_cell(&mut canvas, cell, area, limits);
                if best.is_some_and(|best| cell == Cell::Value(best)) && outlined.is_none() {
                    outlined = Some(area);
                }
            }
        }
        if let Some([x, y, width, height]) = outlined {
            // White inside black shows on every colour.
            for (inset, color, thickness) in [(1.0, "#000000", 2.4), (2.7, PAPER, 1.0)] {
                let area = [x + inset, y + inset, width - 2.0 * inset, height - 2.0 * inset];
                canvas.rectangle(
                    area,
                    &format!(r#"fill="none" stroke="{color}" stroke-width="{thickness}""#),
                );
            }
        }
        y += grid_height;
        for (column, label) in self.columns.iter().enumerate() {
            let x = left + (column as f64 + 0.5) * cell_width;
            canvas.text((x, y + TEXT_SIZE + 6.0), Anchor::Middle, Style::FAINT, label);
        }
        canvas.turned_text(
            (MARGIN + TEXT_SIZE, top + grid_height / 2.0),
            Anchor::Middle,
            Style::PLAIN,
            -90.0,
            &self.y_label,
        );
        y += 2.0 * (TEXT_SIZE + 10.0);
        canvas.text((left + grid_width / 2.0, y), Anchor::Middle, Style::PLAIN, &self.x_label);
        y += TEXT_SIZE + 12.0;
        let key = "outlined: the best; × : diverged";
        canvas.text((left, y), Anchor::Start, Style::FAINT, key);
        self.draw_bar(&mut canvas, bar, (top, grid_height), limits, &ends);
        canvas.turned_text(
            (bar + BAR_WIDTH + 8.0 + end_width + 8.0 + TEXT_SIZE / 2.0, top + grid_height / 2.0),
            Anchor::Middle,
            Style::PLAIN,
            -90.0,
            &self.value_label,
        );
        canvas.finish(&self.title, width, y + MARGIN)
    }

    fn draw_cell(
        &self,
        canvas: &mut Canvas,
        cell: Cell,
        [x, y, width, height]: [f64; 4],
        limits: (f64, f64),
    ) {
        let (middle, baseline) = (x + width / 2.0, y + height / 2.0 + 0.35 * NUMBER_SIZE);
        let outline = format!(r#"stroke="{PAPER}" stroke-width="1""#);
        match cell {
            Cell::Value(value) if value.is_finite() => {
                let color = self.color(value, limits);
                canvas.rectangle(
                    [x, y, width, height],
                    &format!(r#"fill="{}" {outline}"#, hex(color)),
                );
                let [red, green, blue] = color;
                let is_dark = 0.299 * red + 0.587 * green + 0.114 * blue < 140.0;
                let style = Style {
                    size: NUMBER_SIZE,
                    color: if is_dark { PAPER } else { INK },
                    bold: false,
                };
                canvas.text((middle, baseline), Anchor::Middle, style, &self.number(value));
            }
            Cell::Diverged | Cell::Value(_) => {
                canvas.rectangle([x, y, width, height], &format!(r##"fill="#cbd5e1" {outline}"##));
                canvas.text(
                    (middle, baseline),
                    Anchor::Middle,
                    Style { size: NUMBER_SIZE + 2.0, color: FAINT, bold: false },
                    "×",
                );
            }
            Cell::Untried => {}
        }
    }

    fn draw_bar(
        &self,
        canvas: &mut Canvas,
        left: f64,
        (top, height): (f64, f64),
        limits: (f64, f64),
        ends: &[String; 3],
    ) {
        let step = height / BAR_STEPS as f64;
        for index in 0..BAR_STEPS {
            let value = limits.1 + (limits.0 - limits.1) * (index as f64 + 0.5) / BAR_STEPS as f64;
            let area = [left, top + index as f64 * step, BAR_WIDTH, step + 0.3];
            canvas.rectangle(area, &format!(r#"fill="{}""#, hex(self.color(value, limits))));
        }
        let [best, middle, worst] = ends;
        let worst = format!("{} {worst}", if self.better == Better::Higher { "≤" } else { "≥" });
        for (text, y) in [
            (best.clone(), top + 9.0),
            (middle.clone(), top + height / 2.0 + 4.0),
            (worst, top + height),
        ] {
            canvas.text((left + BAR_WIDTH + 6.0, y), Anchor::Start, Style::FAINT, &text);
        }
    }
}

fn hex(color: Color) -> String {
    let [red, green, blue] = color.map(|channel| channel.round().clamp(0.0, 255.0) as u8);
    format!("#{red:02x}{green:02x}{blue:02x}")
}
