//! Tables of text, as wide as the terminal is, and as wide as they are where there is none.

use std::io::Write;

use symopt_dsl::escape;

use crate::terminal::{columns_of_output, shortened_in_the_middle, width_of};

/// Between two columns.
const GAP: usize = 2;
/// The first column is not shortened below this.
const LEAST_NAME: usize = 16;

/// Prints rows in columns: the first row is the heading; columns named in `right` are aligned to
/// the right; each column named in `wrap` with a width continues on further lines where it is
/// wider, and where the terminal is too narrow for the table.
///
/// On a narrow terminal headings are broken, then columns of `wrap` become narrower, then names in
/// the first column lose their middle. If that is not enough, the table is printed in several parts
/// that begin with the same columns, and if there is no space for that, row by row with a line for
/// each cell.
pub fn print(
    out: &mut impl Write,
    rows: &[Vec<String>],
    right: &[usize],
    wrap: &[(usize, usize)],
) -> std::io::Result<()> {
    // A name with a line feed would break the table.
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| escape::line(cell).into_owned()).collect())
        .collect();
    out.write_all(layout(&rows, right, wrap, columns_of_output()).as_bytes())
}

/// A table in so many columns of a terminal, or in as many as it needs.
fn layout(
    rows: &[Vec<String>],
    right: &[usize],
    wrap: &[(usize, usize)],
    columns: Option<usize>,
) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let table = Table { rows, right, wrap };
    let all: Vec<usize> = (0..count).collect();
    let natural: Vec<usize> = all.iter().map(|column| table.natural(*column)).collect();
    let Some(columns) = columns.filter(|columns| total(&natural) > *columns) else {
        return table.text(&all, &natural);
    };
    if let Some(widths) = table.fitted(&all, columns) {
        return table.text(&all, &widths);
    }
    table.parts(count, columns).unwrap_or_else(|| table.by_row(columns))
}

/// The width of a table.
fn total(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
}

struct Table<'a> {
    rows: &'a [Vec<String>],
    right: &'a [usize],
    wrap: &'a [(usize, usize)],
}

impl Table<'_> {
    fn cell(&self, row: usize, column: usize) -> &str {
        self.rows.get(row).and_then(|row| row.get(column)).map_or("", String::as_str)
    }

    fn heading(&self, column: usize) -> &str {
        self.cell(0, column)
    }

    fn body(&self, column: usize) -> impl Iterator<Item = &str> {
        (1..self.rows.len()).map(move |row| self.cell(row, column))
    }

    /// The width at which a column is wrapped in any case.
    fn limit(&self, column: usize) -> Option<usize> {
        self.wrap.iter().find(|(wrapped, _)| *wrapped == column).map(|(_, width)| *width)
    }

    /// The width of a column that nothing is done to.
    fn natural(&self, column: usize) -> usize {
        let limit = self.limit(column).unwrap_or(usize::MAX);
        let cells = std::iter::once(self.heading(column)).chain(self.body(column));
        cells.flat_map(|cell| lines(cell, limit)).map(|line| width_of(&line)).max().unwrap_or(0)
    }

    /// The width of a column whose heading is broken.
    fn tight(&self, column: usize) -> usize {
        let limit = self.limit(column).unwrap_or(usize::MAX);
        let body = self
            .body(column)
            .flat_map(|cell| lines(cell, limit))
            .map(|line| width_of(&line))
            .max()
            .unwrap_or(0);
        body.max(longest_word(self.heading(column)))
    }

    /// The least width of a column.
    fn least(&self, column: usize) -> usize {
        let heading = longest_word(self.heading(column));
        if self.limit(column).is_some() {
            self.body(column).map(longest_word).max().unwrap_or(0).max(heading)
        } else if self.is_name(column) {
            self.tight(column).min(LEAST_NAME).max(heading)
        } else {
            self.tight(column)
        }
    }

    /// Whether the cells of a column may lose their middle.
    fn is_name(&self, column: usize) -> bool {
        column == 0 && !self.right.contains(&0) && self.limit(0).is_none()
    }

    /// Widths with which some columns fit, if there are any.
    fn fitted(&self, chosen: &[usize], columns: usize) -> Option<Vec<usize>> {
        let mut widths: Vec<usize> = chosen.iter().map(|column| self.tight(*column)).collect();
        let least: Vec<usize> = chosen.iter().map(|column| self.least(*column)).collect();
        if total(&least) > columns {
            return None;
        }
        // Text first, names only where that is not enough.
        for names in [false, true] {
            while total(&widths) > columns {
                let can_shrink = |place: &usize| {
                    widths[*place] > least[*place] && self.is_name(chosen[*place]) == names
                };
                let Some(widest) =
                    (0..chosen.len()).filter(can_shrink).max_by_key(|place| widths[*place])
                else {
                    break;
                };
                widths[widest] -= 1;
            }
        }
        // The remaining width goes to the headings, from the left.
        for (place, column) in chosen.iter().enumerate() {
            let free = columns.saturating_sub(total(&widths));
            let missing = width_of(self.heading(*column)).saturating_sub(widths[place]);
            if missing <= free {
                widths[place] += missing;
            }
        }
        (total(&widths) <= columns).then_some(widths)
    }

    /// How many columns from the left tell the rows apart, a name among them.
    fn keys(&self, count: usize) -> usize {
        let name = (0..count).find(|column| !self.right.contains(column)).unwrap_or(0);
        let tells_apart = |keys: &usize| {
            let mut seen: Vec<Vec<&str>> = (1..self.rows.len())
                .map(|row| (0..*keys).map(|column| self.cell(row, column)).collect())
                .collect();
            seen.sort_unstable();
            let before = seen.len();
            seen.dedup();
            seen.len() == before
        };
        (name + 1..count).find(tells_apart).unwrap_or(name + 1)
    }

    /// The table in parts that begin with the same columns; `None` if there is not enough space.
    fn parts(&self, count: usize, columns: usize) -> Option<String> {
        let keys = self.keys(count);
        let mut parts: Vec<Vec<usize>> = Vec::new();
        for column in keys..count {
            let with = |part: &Vec<usize>| [&part[..], &[column]].concat();
            match parts.last_mut() {
                Some(part) if self.fitted(&with(part), columns).is_some() => part.push(column),
                _ => {
                    let part: Vec<usize> = (0..keys).chain([column]).collect();
                    self.fitted(&part, columns)?;
                    parts.push(part);
                }
            }
        }
        // With one column in each, rows are easier to read.
        if parts.len() > 2 && parts.len() + 1 >= count - keys {
            return None;
        }
        let texts: Option<Vec<String>> =
            parts.iter().map(|part| Some(self.text(part, &self.fitted(part, columns)?))).collect();
        Some(texts?.join("\n"))
    }

    /// Columns with widths.
    fn text(&self, chosen: &[usize], widths: &[usize]) -> String {
        let mut text = String::new();
        for row in 0..self.rows.len() {
            let cells: Vec<Vec<String>> = chosen
                .iter()
                .zip(widths)
                .map(|(column, width)| self.lines_of(row, *column, *width))
                .collect();
            for height in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
                let mut line = String::new();
                for ((cell, column), width) in cells.iter().zip(chosen).zip(widths) {
                    let cell = cell.get(height).map_or("", String::as_str);
                    let space = " ".repeat(width.saturating_sub(width_of(cell)));
                    let gap = " ".repeat(GAP);
                    line.extend(if self.right.contains(column) {
                        [&space, cell, &gap]
                    } else {
                        [cell, &space, &gap]
                    });
                }
                text.push_str(line.trim_end());
                text.push('\n');
            }
            if row == 0 {
                let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
                text.push_str(&rule.join(&" ".repeat(GAP)));
                text.push('\n');
            }
        }
        text
    }

    fn lines_of(&self, row: usize, column: usize, width: usize) -> Vec<String> {
        let cell = self.cell(row, column);
        if row == 0 || self.limit(column).is_some() {
            lines(cell, width)
        } else if self.is_name(column) {
            vec![shortened_in_the_middle(cell, width)]
        } else {
            vec![cell.to_owned()]
        }
    }

    /// Each cell on a line of its own, after its heading.
    fn by_row(&self, columns: usize) -> String {
        let count = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widest = (0..count).map(|column| width_of(self.heading(column))).max().unwrap_or(0);
        let margin = if widest + GAP > columns / 2 { GAP } else { widest + GAP };
        let mut text = String::new();
        for row in 1..self.rows.len() {
            if row > 1 {
                text.push('\n');
            }
            for column in 0..count {
                let (heading, cell) = (self.heading(column), self.cell(row, column));
                if cell.is_empty() {
                    continue;
                }
                let mut begin = if margin >= widest + GAP {
                    format!("{heading}{}", " ".repeat(margin.saturating_sub(width_of(heading))))
                } else {
                    text.push_str(&format!("{heading}\n"));
                    " ".repeat(margin)
                };
                let space = columns.saturating_sub(margin);
                for line in lines(cell, space).iter().flat_map(|line| pieces(line, space)) {
                    text.push_str(format!("{begin}{line}").trim_end());
                    text.push('\n');
                    begin = " ".repeat(margin);
                }
            }
        }
        text
    }
}

fn longest_word(text: &str) -> usize {
    text.split(' ').map(width_of).max().unwrap_or(0)
}

/// A line in pieces of at most `width` columns, or of one character.
fn pieces(line: &str, width: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut length = 0;
    for character in line.chars() {
        let columns = width_of(character.encode_utf8(&mut [0; 4]));
        if length > 0 && length + columns > width {
            pieces.push(String::new());
            length = 0;
        }
        length += columns;
        if let Some(piece) = pieces.last_mut() {
            piece.push(character);
        }
    }
    pieces
}

/// The words of a text on lines of at most `width` columns; a longer word has a line of its own.
pub fn lines(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut length = 0_usize;
    for word in text.split(' ') {
        let word_length = width_of(word);
        if length > 0 && length.saturating_add(1 + word_length) > width {
            lines.push(String::new());
            length = 0;
        }
        if let Some(line) = lines.last_mut() {
            if length > 0 {
                line.push(' ');
                length += 1;
            }
            line.push_str(word);
            length += word_length;
        }
    }
    lines
}

/// Prints a text of Markdown, as it is where there is no terminal or it is wide enough, and else
/// with its tables in columns.
pub fn print_markdown(out: &mut impl Write, text: &str) -> std::io::Result<()> {
    out.write_all(markdown(text, columns_of_output()).as_bytes())
}

fn markdown(text: &str, columns: Option<usize>) -> String {
    let Some(columns) =
        columns.filter(|columns| text.lines().any(|line| width_of(line) > *columns))
    else {
        return text.to_owned();
    };
    let mut shown = String::new();
    let mut rows: Vec<Vec<String>> = Vec::new();
    let end_table = |shown: &mut String, rows: &mut Vec<Vec<String>>| {
        if !rows.is_empty() {
            shown.push_str(&layout(rows, &[], &[], Some(columns)));
            rows.clear();
        }
    };
    for line in text.lines() {
        match line.trim().strip_prefix('|').and_then(|line| line.strip_suffix('|')) {
            Some(rule) if rule.chars().all(|c| "|-: ".contains(c)) => {}
            Some(cells) => {
                rows.push(cells.split('|').map(|cell| cell.trim().replace('`', "")).collect())
            }
            None => {
                end_table(&mut shown, &mut rows);
                // Lines of programs keep their indentation.
                let margin = " ".repeat(line.len() - line.trim_start_matches(' ').len());
                let next = if margin.is_empty() { "" } else { "    " };
                let room = columns.saturating_sub(margin.len() + next.len());
                for (place, line) in lines(line.trim_start_matches(' '), room).iter().enumerate() {
                    shown.extend([margin.as_str(), if place == 0 { "" } else { next }, line, "\n"]);
                }
            }
        }
    }
    end_table(&mut shown, &mut rows);
    shown
}

/// Prints a paragraph, which a terminal does not break within words.
pub fn paragraph(out: &mut impl Write, text: &str) -> std::io::Result<()> {
    let columns = columns_of_output().unwrap_or(usize::MAX);
    text.split('\n')
        .flat_map(|line| lines(line, columns))
        .try_for_each(|line| writeln!(out, "{line}"))
}

/// Prints a sentence below another one: each line of it two columns in.
pub fn indented(out: &mut impl Write, text: &str) -> std::io::Result<()> {
    let columns = columns_of_output().map_or(usize::MAX, |columns| columns.saturating_sub(2));
    text.split('\n')
        .flat_map(|line| lines(line, columns))
        .try_for_each(|line| writeln!(out, "  {line}"))
}

/// Columns of a name in front of what [`described`] prints.
const NAMES: usize = 17;

/// Prints a line that begins with a name and blanks, of [`NAMES`] columns together; what comes
/// after that stays below itself.
pub fn described(out: &mut impl Write, text: &str) -> std::io::Result<()> {
    let (Some(columns), Some((name, rest))) = (columns_of_output(), text.split_at_checked(NAMES))
    else {
        return writeln!(out, "{text}");
    };
    for (place, line) in lines(rest, columns.saturating_sub(NAMES)).iter().enumerate() {
        writeln!(out, "{}{line}", if place == 0 { name.to_owned() } else { " ".repeat(NAMES) })?;
    }
    Ok(())
}

/// A number for people: 1e-8, not 0.00000001.
pub fn number(value: f64) -> String {
    if value != 0.0 && (value.abs() < 1e-4 || value.abs() >= 1e9) {
        format!("{value:e}")
    } else {
        value.to_string()
    }
}

/// A number for people, in at most six significant digits.
pub fn rounded(value: f64) -> String {
    number(format!("{value:.5e}").parse().unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &[&[&str]]) -> Vec<Vec<String>> {
        text.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect()
    }

    #[test]
    fn wide_cells_continue_below_themselves() {
        let rows = rows(&[&["A", "WHAT", "N"], &["x", "one two  three four", "12"]]);
        assert_eq!(
            layout(&rows, &[2], &[(1, 10)], None),
            "A  WHAT         N\n-  ----------  --\nx  one two     12\n   three four\n"
        );
    }

    fn comparison() -> Vec<Vec<String>> {
        rows(&[
            &[
                "PROGRAM",
                "SEARCH SEEDS",
                "HELD-OUT SEEDS",
                "digits-linear",
                "digits-mlp",
                "language-tiny",
            ],
            &["best found", "+1.89 %", "+1.11 % ± 0.43", "+1.57 %", "-2.05 %", "+1.79 %"],
            &[
                "published-adabelief-like",
                "-73.06 %",
                "-73.88 % ± 2.62",
                "-267.71 %",
                "-136.28 %",
                "-9.82 %",
            ],
        ])
    }

    #[test]
    fn a_narrow_table_breaks_headings_and_shortens_names_and_a_narrower_one_has_parts() {
        let in_columns = |columns| layout(&comparison(), &[1, 2, 3, 4, 5], &[], columns);
        let narrow = in_columns(Some(90));
        assert!(
            narrow.lines().count() == 5 && narrow.contains("\npublished-…elief-like  "),
            "{narrow}"
        );
        let narrower = in_columns(Some(80));
        assert!(narrower.matches("PROGRAM").count() == 2 && !narrower.contains('…'), "{narrower}");
        assert_eq!(in_columns(Some(200)), in_columns(None));
    }

    #[test]
    fn nothing_is_lost_on_any_terminal_but_the_middle_of_names() {
        let rows = comparison();
        for columns in 20..130 {
            let text = layout(&rows, &[1, 2, 3, 4, 5], &[], Some(columns));
            assert!(text.lines().all(|line| width_of(line) <= columns), "{columns}:\n{text}");
            for cell in rows.iter().skip(1).flat_map(|row| &row[1..]) {
                assert!(text.contains(cell), "{columns}: {cell} is missing:\n{text}");
            }
        }
    }

    #[test]
    fn rows_that_only_several_columns_tell_apart_keep_these_in_every_part() {
        let rows = rows(&[
            &["SUITE", "TASK", "FIRST NUMBER", "SECOND NUMBER", "THIRD NUMBER"],
            &["quick", "a", "123456789", "123456789", "123456789"],
            &["quick", "b", "123456789", "123456789", "123456789"],
        ]);
        let text = layout(&rows, &[2, 3, 4], &[], Some(34));
        assert_eq!(text.matches("quick  b  ").count(), 2, "{text}");
    }

    #[test]
    fn on_the_narrowest_terminal_each_cell_has_a_line() {
        let rows = rows(&[
            &["PROGRAM", "GAIN OVER ADAMW"],
            &["lion", "-1.40 % ± 0.27 and more"],
            &["sgd", "+1 %"],
        ]);
        let text = layout(&rows, &[1], &[], Some(24));
        assert_eq!(
            text,
            "PROGRAM\n  lion\nGAIN OVER ADAMW\n  -1.40 % ± 0.27 and\n  more\n\nPROGRAM\n  sgd\nGAIN OVER ADAMW\n  +1 %\n"
        );
    }

    #[test]
    fn a_table_of_markdown_is_one_of_columns_on_a_narrow_terminal() {
        let text = "| program | one engine | another engine |\n|---|---:|---|\n| `lion` | 0 | 1e-7 |\n\nthe end\n";
        assert_eq!(markdown(text, None), text);
        assert_eq!(markdown(text, Some(80)), text);
        let narrow = "program  one     another\n         engine  engine\n-------  ------  -------\nlion     0       1e-7\n\nthe end\n";
        assert_eq!(markdown(text, Some(24)), narrow);
    }

    #[test]
    fn thirds_are_rounded() {
        assert_eq!(
            [1.0 / 3.0, 1e-3 / 30.0, 0.1, 12.0].map(rounded),
            ["0.333333", "3.33333e-5", "0.1", "12"]
        );
    }

    #[test]
    fn small_numbers_are_written_with_their_exponent() {
        assert_eq!(
            [0.0, 1e-8, 0.9, -3e-5, 0.0001, 100.0].map(number),
            ["0", "1e-8", "0.9", "-3e-5", "0.0001", "100"]
        );
    }
}
