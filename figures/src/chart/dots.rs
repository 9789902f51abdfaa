//! Dots with error bars: one row for each category, one panel for each group.

use super::scale::{Scale, with_minus};
use crate::canvas::{
    Anchor, Canvas, FAINT, GRID, INK, MARGIN, Style, TEXT_SIZE, head_width, text_width,
};

/// A number with its error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dot {
    /// The number.
    pub value: f64,
    /// Its standard error, if that is known.
    pub error: Option<f64>,
}

/// The dots of a panel.
#[derive(Clone, Debug, PartialEq)]
pub struct DotGroup {
    /// Above the panel.
    pub name: String,
    /// One for each category; `None` where there is no number.
    pub dots: Vec<Option<Dot>>,
}

/// Categories against each other: numbers around 0, and whether they are more than two standard
/// errors away from it.
#[derive(Clone, Debug, PartialEq)]
pub struct DotChart {
    /// What it is.
    pub title: String,
    /// What one should know to read it; may be empty.
    pub subtitle: String,
    /// What the numbers are, with their unit.
    pub label: String,
    /// Names of the rows.
    pub categories: Vec<String>,
    /// The panels.
    pub groups: Vec<DotGroup>,
    /// What stands where there is no number.
    pub missing: String,
}

const PANEL_WIDTH: f64 = 200.0;
const PANEL_GAP: f64 = 26.0;
const PANELS_IN_A_ROW: usize = 4;
const ROW: f64 = 22.0;
const ABOVE: &str = "#0072b2";
const BELOW: &str = "#d55e00";
/// Numbers further from the middle half than this many of its widths are shown at the edge, by
/// their value.
const FENCE: f64 = 3.0;

impl DotChart {
    /// The picture.
    pub fn svg(&self) -> String {
        let mut canvas = Canvas::new();
        let names =
            self.categories.iter().map(|name| text_width(name, TEXT_SIZE)).fold(0.0, f64::max);
        let left = MARGIN + names + 12.0;
        let columns = self.groups.len().clamp(1, PANELS_IN_A_ROW);
        let panels = columns as f64 * (PANEL_WIDTH + PANEL_GAP);
        let key = ["more than two standard errors above 0", "within two", "more than two below"];
        let key_width =
            left + key.iter().map(|text| 34.0 + text_width(text, TEXT_SIZE)).sum::<f64>();
        let width =
            (left + panels + MARGIN).max(head_width(&self.title, &self.subtitle)).max(key_width);

        let mut y = canvas.head(&self.title, &self.subtitle);
        let mut x = left;
        for (text, dot) in key.iter().zip([2.1, 0.0, -2.1]) {
            draw_dot(&mut canvas, (x + 6.0, y + 4.0), dot, Some(1.0));
            canvas.text((x + 16.0, y + 4.0 + 0.35 * TEXT_SIZE), Anchor::Start, Style::FAINT, text);
            x += 34.0 + text_width(text, TEXT_SIZE);
        }
        y += 24.0;
        let height = ROW * self.categories.len() as f64;
        for row in self.groups.chunks(PANELS_IN_A_ROW) {
            y += TEXT_SIZE + 8.0;
            for (index, name) in self.categories.iter().enumerate() {
                let middle = y + (index as f64 + 0.5) * ROW;
                if index % 2 == 1 {
                    let band = [
                        left - 6.0,
                        y + index as f64 * ROW,
                        row.len() as f64 * (PANEL_WIDTH + PANEL_GAP) - PANEL_GAP + 12.0,
                        ROW,
                    ];
                    canvas.rectangle(band, r##"fill="#f8fafc""##);
                }
                canvas.text(
                    (left - 12.0, middle + 0.35 * TEXT_SIZE),
                    Anchor::End,
                    Style::PLAIN,
                    name,
                );
            }
            for (index, group) in row.iter().enumerate() {
                let panel = left + index as f64 * (PANEL_WIDTH + PANEL_GAP);
                let title = fitting(&group.name, PANEL_WIDTH);
                canvas.text(
                    (panel + PANEL_WIDTH / 2.0, y - 8.0),
                    Anchor::Middle,
                    Style::BOLD,
                    &title,
                );
                self.draw_panel(&mut canvas, group, panel, y, height);
            }
            y += height + TEXT_SIZE + 8.0;
            let middle = left + (row.len() as f64 * (PANEL_WIDTH + PANEL_GAP) - PANEL_GAP) / 2.0;
            y += TEXT_SIZE + 8.0;
            canvas.text((middle, y), Anchor::Middle, Style::PLAIN, &self.label);
            y += 16.0;
        }
        canvas.finish(&self.title, width, y - 16.0 + MARGIN)
    }

    fn draw_panel(&self, canvas: &mut Canvas, group: &DotGroup, left: f64, top: f64, height: f64) {
        let dots: Vec<Dot> =
            group.dots.iter().flatten().copied().filter(|dot| dot.value.is_finite()).collect();
        let (low, high) = range(&dots);
        // Room for dots and for the numbers of those beyond the edges.
        let scale =
            Scale::new(false, (low, high), (left + 8.0, left + PANEL_WIDTH - 8.0)).padded(0.04);
        let (right, bottom) = (left + PANEL_WIDTH, top + height);
        for (value, label) in scale.ticks(40.0) {
            let Some(x) = scale.place(value) else { continue };
            canvas.line((x, top), (x, bottom), if value == 0.0 { FAINT } else { GRID }, 1.0);
            canvas.line((x, bottom), (x, bottom + 4.0), INK, 1.0);
            canvas.text(
                (x, bottom + TEXT_SIZE + 6.0),
                Anchor::Middle,
                Style { size: 11.0, ..Style::FAINT },
                &label,
            );
        }
        canvas.line((left, bottom), (right, bottom), INK, 1.0);
        for (index, dot) in group.dots.iter().enumerate().take(self.categories.len()) {
            let y = top + (index as f64 + 0.5) * ROW;
            let baseline = y + 0.35 * TEXT_SIZE;
            let Some(dot) = dot.filter(|dot| dot.value.is_finite()) else {
                canvas.text(
                    (left + 10.0, baseline),
                    Anchor::Start,
                    Style { size: 11.0, ..Style::FAINT },
                    &self.missing,
                );
                continue;
            };
            let number = with_minus(&format!("{:+.1}", dot.value));
            if dot.value < low {
                canvas.polygon(
                    &[(left + 2.0, y), (left + 9.0, y - 4.5), (left + 9.0, y + 4.5)],
                    &format!(r#"fill="{BELOW}""#),
                );
                canvas.text(
                    (left + 13.0, baseline),
                    Anchor::Start,
                    Style { size: 11.0, ..Style::FAINT },
                    &number,
                );
            } else if dot.value > high {
                canvas.polygon(
                    &[(right - 2.0, y), (right - 9.0, y - 4.5), (right - 9.0, y + 4.5)],
                    &format!(r#"fill="{ABOVE}""#),
                );
                canvas.text(
                    (right - 13.0, baseline),
                    Anchor::End,
                    Style { size: 11.0, ..Style::FAINT },
                    &number,
                );
            } else if let Some(x) = scale.place(dot.value) {
                if let Some(error) = dot.error.filter(|error| error.is_finite() && *error > 0.0) {
                    let place = |value: f64| scale.place(value).unwrap_or(x).clamp(left, right);
                    let (from, to) = (place(dot.value - error), place(dot.value + error));
                    let color = color(dot.value, dot.error);
                    canvas.line((from, y), (to, y), color, 1.6);
                    for end in [from, to] {
                        canvas.line((end, y - 3.5), (end, y + 3.5), color, 1.6);
                    }
                }
                draw_dot(canvas, (x, y), dot.value, dot.error);
            }
        }
    }
}

/// From the lowest to the highest number, with errors, without those that are far from all others;
/// 0 is always within.
fn range(dots: &[Dot]) -> (f64, f64) {
    let mut values: Vec<f64> = dots.iter().map(|dot| dot.value).collect();
    values.sort_by(f64::total_cmp);
    let at = |part: f64| {
        values
            .get(((values.len().max(1) - 1) as f64 * part).round() as usize)
            .copied()
            .unwrap_or(0.0)
    };
    let (lower, upper) = (at(0.25), at(0.75));
    let reach = FENCE * (upper - lower);
    let near = dots
        .iter()
        .filter(|dot| values.len() < 4 || (lower - reach..=upper + reach).contains(&dot.value));
    near.fold((0.0, 0.0), |(low, high): (f64, f64), dot| {
        let error = dot.error.filter(|error| error.is_finite()).unwrap_or(0.0);
        (low.min(dot.value - error), high.max(dot.value + error))
    })
}

fn color(value: f64, error: Option<f64>) -> &'static str {
    let sure = error.map_or(0.0, |error| 2.0 * error);
    if value > sure {
        ABOVE
    } else if value < -sure {
        BELOW
    } else {
        FAINT
    }
}

/// Filled where the sign is sure.
fn draw_dot(canvas: &mut Canvas, at: (f64, f64), value: f64, error: Option<f64>) {
    let color = color(value, error);
    let fill = if color == FAINT { crate::canvas::PAPER } else { color };
    canvas.circle(at, 4.0, &format!(r#"fill="{fill}" stroke="{color}" stroke-width="1.6""#));
}

/// A text that is cut where it would not fit.
fn fitting(text: &str, width: f64) -> String {
    if 1.08 * text_width(text, TEXT_SIZE) <= width {
        return text.to_owned();
    }
    let mut cut = String::new();
    for character in text.chars() {
        if 1.08 * text_width(&format!("{cut}{character}…"), TEXT_SIZE) > width {
            break;
        }
        cut.push(character);
    }
    format!("{cut}…")
}
