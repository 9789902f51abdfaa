//! Lines as text, for a terminal.

use std::fmt::Write;

use symopt_dsl::escape;

use super::lines::{LineChart, Panel, Series};
use super::scale::Scale;

/// Lines of the plot itself.
const ROWS: usize = 16;
/// Columns of the plot at least, however narrow the terminal.
const LEAST: usize = 16;

/// Letters that draw the points of the series, and the colours of these letters, as ANSI escapes
/// have them.
const MARKS: [(char, u8); 7] =
    [('o', 36), ('x', 33), ('*', 32), ('#', 35), ('@', 31), ('%', 34), ('&', 37)];

fn mark(series: usize) -> (char, u8) {
    MARKS.get(series % MARKS.len()).copied().unwrap_or(('o', 36))
}

/// A letter, coloured where colours are wanted.
fn painted((letter, code): (char, u8), color: bool) -> String {
    if color { format!("\x1b[{code}m{letter}\x1b[0m") } else { letter.to_string() }
}

impl LineChart {
    /// The chart as text of at most so many columns, in plain letters: title, panels, key. Bands
    /// are left out. Where lines meet, the first series is in front. `color` colours the letters of
    /// the series by ANSI escapes, which take no columns.
    pub fn text(&self, columns: usize, color: bool) -> String {
        let mut text = format!("{}\n", escape::line(&self.title));
        for panel in &self.panels {
            self.panel_text(&mut text, panel, columns, color);
        }
        for (index, series) in self.panels.iter().flat_map(|panel| &panel.series).enumerate() {
            let _ =
                writeln!(text, "  {} {}", painted(mark(index), color), escape::line(&series.name));
        }
        text
    }

    fn panel_text(&self, text: &mut String, panel: &Panel, columns: usize, color: bool) {
        let points = || panel.series.iter().flat_map(|series| &series.points);
        let y_scale = panel.y.scale(points().map(|point| point.y), ((ROWS - 1) as f64, 0.0), 0.0);
        let labels = by_place(&y_scale, y_scale.ticks(3.0), ROWS);
        let left = labels.iter().map(|(_, label)| label.chars().count()).max().unwrap_or(0);
        let width = columns.saturating_sub(left + 3).max(LEAST);
        let x_scale = self.x.scale(points().map(|point| point.x), (0.0, (width - 1) as f64), 0.0);
        let grid = plotted(&panel.series, &x_scale, &y_scale, width);
        // Writing into a String does not fail.
        let _ = writeln!(text, "{}", escape::line(&panel.y.label));
        for (row, cells) in grid.iter().enumerate() {
            let label = labels
                .iter()
                .find(|(place, _)| *place == row)
                .map_or("", |(_, label)| label.as_str());
            let line: String = cells
                .iter()
                .map(|cell| {
                    cell.map_or_else(|| " ".to_owned(), |series| painted(mark(series), color))
                })
                .collect();
            let _ = writeln!(text, "{label:>left$} |{}", line.trim_end());
        }
        let _ = writeln!(text, "{:left$} +{}", "", "-".repeat(width));
        let _ = writeln!(text, "{:left$}  {}", "", tick_line(&x_scale, width));
        let _ = writeln!(text, "{:left$}  {}", "", escape::line(&self.x.label));
    }
}

/// Ticks by the row or column that they are nearest to; of several in one place the first.
fn by_place(scale: &Scale, ticks: Vec<(f64, String)>, places: usize) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    for (value, label) in ticks {
        let Some(place) = scale
            .place(value)
            .map(f64::round)
            .filter(|place| *place >= 0.0 && *place < places as f64)
        else {
            continue;
        };
        if found.iter().all(|(taken, _)| *taken != place as usize) {
            found.push((place as usize, label));
        }
    }
    found
}

/// The labels of the x axis, each with its middle at its tick as far as there is room.
fn tick_line(scale: &Scale, width: usize) -> String {
    let mut line: Vec<char> = vec![' '; width];
    let mut free = 0;
    for (place, label) in by_place(scale, scale.ticks(12.0), width) {
        let length = label.chars().count();
        let start = place.saturating_sub(length / 2).min(width.saturating_sub(length));
        if start < free || length > width {
            continue;
        }
        line.iter_mut().skip(start).zip(label.chars()).for_each(|(cell, letter)| *cell = letter);
        free = start + length + 2;
    }
    line.into_iter().collect::<String>().trim_end().to_owned()
}

/// Which series is seen in each cell, from the top.
fn plotted(
    all: &[Series],
    x_scale: &Scale,
    y_scale: &Scale,
    width: usize,
) -> Vec<Vec<Option<usize>>> {
    let mut grid = vec![vec![None; width]; ROWS];
    let mut put = |column: f64, row: f64, series: usize| {
        if let Some(cell) = grid
            .get_mut(row.round() as usize)
            .and_then(|cells: &mut Vec<Option<usize>>| cells.get_mut(column as usize))
        {
            *cell = Some(series);
        }
    };
    for (index, series) in all.iter().enumerate().rev() {
        let places: Vec<(f64, f64)> = series
            .corners()
            .iter()
            .filter_map(|p| Some((x_scale.place(p.x)?.round(), y_scale.place(p.y)?)))
            .collect();
        if let [(column, row)] = places.as_slice() {
            put(*column, *row, index);
        }
        for pair in places.windows(2) {
            let [(from, start), (to, end)] = [pair[0], pair[1]];
            let at = |column: f64| {
                if to > from { start + (end - start) * (column - from) / (to - from) } else { end }
            };
            let mut column = from;
            let mut before = start;
            while column <= to {
                let row = at(column);
                // A steep line has several cells in a column: those from halfway to the column
                // before.
                let (low, high) = (before.min(row).round(), before.max(row).round());
                let mut between = low + 1.0;
                while between < high {
                    put(column, between, index);
                    between += 1.0;
                }
                put(column, row, index);
                before = row;
                column += 1.0;
            }
        }
    }
    grid
}

#[cfg(test)]
mod tests {
    use crate::chart::{Axis, LineChart, Panel, Series};

    fn chart() -> LineChart {
        let falling: Vec<(f64, f64)> =
            (1..=10).map(|i| (10.0 * f64::from(i), 2.0 / f64::from(i))).collect();
        let flat = [(10.0, 1.5), (100.0, 1.0)];
        LineChart {
            title: "Two lines".to_owned(),
            subtitle: String::new(),
            x: Axis::linear("steps"),
            panels: vec![Panel {
                y: Axis::linear("loss"),
                series: vec![Series::line("falling", &falling), Series::line("flat", &flat)],
            }],
        }
    }

    #[test]
    fn lines_are_plain_letters_within_the_columns() {
        const EXPECTED: &str = concat!(
            "Two lines\n",
            "loss\n",
            "2.0 |o\n",
            "    | o\n",
            "    |  o\n",
            "    |  o\n",
            "1.5 |xxxox\n",
            "    |    oxxxxxxxxxxxx\n",
            "    |    o            xxxxxxxxxxxxx\n",
            "    |     o                        xxxxxxxxxxxxx\n",
            "1.0 |      o                                    xxxxxxxxxxx\n",
            "    |       oo\n",
            "    |         oo\n",
            "    |           ooo\n",
            "    |              oooo\n",
            "0.5 |                  oooooooo\n",
            "    |                          oooooooooooooo\n",
            "    |                                        oooooooooooooo\n",
            "    +------------------------------------------------------\n",
            "                            50                          100\n",
            "     steps\n",
            "  o falling\n",
            "  x flat\n",
        );
        let text = chart().text(60, false);
        assert_eq!(text, EXPECTED, "\n{text}");
        for columns in [10, 40, 60, 100, 240] {
            let text = chart().text(columns, false);
            assert!(
                text.lines().all(|line| line.chars().count() <= columns.max(24)),
                "{columns}:\n{text}"
            );
        }
    }

    #[test]
    fn colours_change_nothing_but_colours() {
        let (plain, coloured) = (chart().text(80, false), chart().text(80, true));
        let mut without = coloured.replace("\x1b[0m", "");
        for (_, code) in super::MARKS {
            without = without.replace(&format!("\x1b[{code}m"), "");
        }
        assert_eq!(plain, without);
        assert_ne!(plain, coloured);
    }

    #[test]
    fn lines_of_one_point_and_of_none_have_their_place_in_the_key() {
        let mut few = chart();
        few.panels[0].series = vec![
            Series::line("one", &[(5.0, 1.0)]),
            Series::line("none", &[]),
            Series::line("nan", &[(1.0, f64::NAN)]),
        ];
        let text = few.text(60, false);
        assert!(text.contains("  o one\n  x none\n  * nan\n"), "{text}");
        assert_eq!(text.matches("|").count(), super::ROWS, "{text}");
        assert!(text.lines().any(|line| line.contains('|') && line.ends_with('o')), "{text}");
    }
}
