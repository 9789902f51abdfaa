//! Dots with error bars: one row for each category, one panel for each group.

use super::scale::{Scale, with_minus};
use crate::canvas::{
    ABOVE, Anchor, BELOW, Canvas, FAINT, GRID, INK, MARGIN, MARKED, Marker, PAPER, STRIPE, Style,
    TEXT_SIZE, fitting, head_width, text_width,
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
/// errors away from it. A number that reads 0.00, or whose error nobody knows, is not.
#[derive(Clone, Debug, PartialEq)]
pub struct DotChart {
    /// Title.
    pub title: String,
    /// Explanation for readers; may be empty.
    pub subtitle: String,
    /// Quantity of the numbers, with its unit.
    pub label: String,
    /// Names of the rows.
    pub categories: Vec<String>,
    /// The panels.
    pub groups: Vec<DotGroup>,
    /// Text in place of a missing number.
    pub missing: String,
    /// The rows that the picture is about, by their names.
    pub highlighted: Vec<String>,
}

const PANEL_WIDTH: f64 = 200.0;
const PANEL_GAP: f64 = 26.0;
const PANELS_IN_A_ROW: usize = 4;
const ROW: f64 = 22.0;
/// Numbers further from the middle half than this many of its widths are shown at the edge, by
/// their value.
const FENCE: f64 = 3.0;

impl DotChart {
    /// The picture.
    pub fn svg(&self) -> String {
        let mut canvas = Canvas::new();
        let names = self
            .categories
            .iter()
            .map(|name| 1.08 * text_width(name, TEXT_SIZE))
            .fold(0.0, f64::max);
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
                let is_highlighted = self.highlighted.contains(name);
                let right = left + row.len() as f64 * (PANEL_WIDTH + PANEL_GAP) - PANEL_GAP + 6.0;
                let (from, fill) = match (is_highlighted, index % 2) {
                    (true, _) => (MARGIN - 6.0, MARKED),
                    (false, 1) => (left - 6.0, STRIPE),
                    _ => (right, PAPER),
                };
                if from < right {
                    let band = [from, y + index as f64 * ROW, right - from, ROW];
                    canvas.rectangle(band, &format!(r#"fill="{fill}""#));
                }
                canvas.text(
                    (left - 12.0, middle + 0.35 * TEXT_SIZE),
                    Anchor::End,
                    if is_highlighted { Style::BOLD } else { Style::PLAIN },
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
                    &format!(r#"fill="{}""#, color(dot.value, dot.error)),
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
                    &format!(r#"fill="{}""#, color(dot.value, dot.error)),
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

/// Where a number is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    /// More than two standard errors above 0.
    Above,
    /// Not so far from 0 that one could be sure.
    Near,
    /// More than two standard errors below.
    Below,
}

/// The least number that does not read 0.00.
const LEAST: f64 = 0.005;

fn side(value: f64, error: Option<f64>) -> Side {
    // The error of what is compared with itself is 0, and that of a single number is not known.
    let Some(error) = error.filter(|error| error.is_finite()) else { return Side::Near };
    let sure = (2.0 * error).max(LEAST);
    if value > sure {
        Side::Above
    } else if value < -sure {
        Side::Below
    } else {
        Side::Near
    }
}

fn color(value: f64, error: Option<f64>) -> &'static str {
    match side(value, error) {
        Side::Above => ABOVE,
        Side::Near => FAINT,
        Side::Below => BELOW,
    }
}

/// Filled where the sign is sure, each side with a sign of its own.
fn draw_dot(canvas: &mut Canvas, at: (f64, f64), value: f64, error: Option<f64>) {
    let color = color(value, error);
    let (marker, fill) = match side(value, error) {
        Side::Above => (Marker::Circle, color),
        Side::Near => (Marker::Circle, PAPER),
        Side::Below => (Marker::Square, color),
    };
    let attributes = format!(r#"fill="{fill}" stroke="{color}" stroke-width="1.6""#);
    canvas.marker(at, marker, 4.0, &attributes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reads_zero_or_has_no_error_is_never_sure() {
        for near in [(0.0, Some(0.0)), (0.004, Some(0.0)), (-0.004, Some(0.001)), (9.0, None)] {
            assert!(side(near.0, near.1) == Side::Near, "{near:?}");
        }
        assert!(side(-1.0, Some(0.6)) == Side::Near && side(9.0, Some(f64::NAN)) == Side::Near);
        assert!(side(1.0, Some(0.4)) == Side::Above && side(-1.0, Some(0.4)) == Side::Below);
        assert!(side(1.0, Some(0.0)) == Side::Above);
    }
}
