//! Tables of text.

use std::io::Write;

/// Prints rows in columns: the first row is the heading; columns named in `right` are aligned to the right; each column named in `wrap` with a
/// width continues on further lines where it is wider.
pub fn print(out: &mut impl Write, rows: &[Vec<String>], right: &[usize], wrap: &[(usize, usize)]) -> std::io::Result<()> {
    let limit = |column: usize| wrap.iter().find(|(wrapped, _)| *wrapped == column).map_or(usize::MAX, |(_, width)| *width);
    let cells = |row: &Vec<String>| row.iter().enumerate().map(|(column, cell)| lines(cell, limit(column))).collect::<Vec<_>>();
    let rows: Vec<Vec<Vec<String>>> = rows.iter().map(cells).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).flatten().map(|line| line.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for (index, row) in rows.iter().enumerate() {
        for height in 0..row.iter().map(Vec::len).max().unwrap_or(0) {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let width = widths[column];
                let cell = cell.get(height).map_or("", String::as_str);
                line.push_str(&if right.contains(&column) { format!("{cell:>width$}  ") } else { format!("{cell:<width$}  ") });
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        if index == 0 {
            let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            writeln!(out, "{}", rule.join("  "))?;
        }
    }
    Ok(())
}

/// The words of a text on lines of at most `width` characters; a longer word has a line of its own.
fn lines(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut length = 0;
    for word in text.split(' ') {
        let word_length = word.chars().count();
        if length > 0 && length + 1 + word_length > width {
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

/// A number for people: 1e-8, not 0.00000001.
pub fn number(value: f64) -> String {
    if value != 0.0 && (value.abs() < 1e-4 || value.abs() >= 1e9) { format!("{value:e}") } else { value.to_string() }
}

/// A number for people, in at most six significant digits.
pub fn rounded(value: f64) -> String {
    number(format!("{value:.5e}").parse().unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_cells_continue_below_themselves() {
        let rows = [
            vec!["A".to_owned(), "WHAT".to_owned(), "N".to_owned()],
            vec!["x".to_owned(), "one two  three four".to_owned(), "12".to_owned()],
        ];
        let mut out = Vec::new();
        print(&mut out, &rows, &[2], &[(1, 10)]).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "A  WHAT         N\n-  ----------  --\nx  one two     12\n   three four\n");
    }

    #[test]
    fn thirds_are_rounded() {
        assert_eq!([1.0 / 3.0, 1e-3 / 30.0, 0.1, 12.0].map(rounded), ["0.333333", "3.33333e-5", "0.1", "12"]);
    }

    #[test]
    fn small_numbers_are_written_with_their_exponent() {
        assert_eq!([0.0, 1e-8, 0.9, -3e-5, 0.0001, 100.0].map(number), ["0", "1e-8", "0.9", "-3e-5", "0.0001", "100"]);
    }
}
