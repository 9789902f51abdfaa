//! Tables.

use serde::Serialize;

/// Tables with more rows are shown in parts, and made by the page's script.
pub const MANY: usize = 60;

/// Kind of content of a column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Words.
    #[default]
    Text,
    /// Numbers, which stand to the right.
    Number,
    /// Code: hashes, statements.
    Code,
}

/// A cell.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Cell {
    /// Text that it shows.
    pub text: String,
    /// Sort key, if it is not sorted by its text.
    pub value: Option<f64>,
}

impl Cell {
    /// A text.
    pub fn text(text: impl Into<String>) -> Cell {
        Cell { text: text.into(), value: None }
    }

    /// A number, as it is shown.
    pub fn number(value: f64, text: impl Into<String>) -> Cell {
        Cell { text: text.into(), value: Some(value).filter(|value| value.is_finite()) }
    }

    /// A count.
    pub fn count(count: u64) -> Cell {
        Cell::number(count as f64, crate::numbers::count(count))
    }

    /// A share, as percent with its sign.
    pub fn percent(share: f64, error: Option<f64>) -> Cell {
        Cell::number(share, crate::numbers::percent_with_error(share, error))
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Cell {
        Cell::text(text)
    }
}

/// A column.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Column {
    /// Its heading, with the unit.
    pub title: String,
    /// Kind of its content.
    pub kind: Kind,
}

impl Column {
    /// Words.
    pub fn text(title: impl Into<String>) -> Column {
        Column { title: title.into(), kind: Kind::Text }
    }

    /// Numbers.
    pub fn number(title: impl Into<String>) -> Column {
        Column { title: title.into(), kind: Kind::Number }
    }

    /// Code.
    pub fn code(title: impl Into<String>) -> Column {
        Column { title: title.into(), kind: Kind::Code }
    }

    /// Whether it holds numbers.
    pub fn is_number(&self) -> bool {
        self.kind == Kind::Number
    }

    /// Whether it holds code.
    pub fn is_code(&self) -> bool {
        self.kind == Kind::Code
    }
}

/// A table; the page lets it be sorted, and filtered if it is long.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Subject of the table.
    pub caption: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows, a cell for each column.
    pub rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without rows.
    pub fn new(caption: impl Into<String>, columns: Vec<Column>) -> Table {
        Table { caption: caption.into(), columns, rows: Vec::new() }
    }

    /// A table of texts under a heading; what reads as a number is sorted as one.
    pub fn of_texts(caption: impl Into<String>, rows: Vec<Vec<String>>) -> Table {
        let mut rows = rows.into_iter();
        let heading = rows.next().unwrap_or_default();
        let rows: Vec<Vec<Cell>> = rows.map(|row| row.into_iter().map(read).collect()).collect();
        let is_number = |column: usize| {
            let mut cells = rows.iter().filter_map(|row| row.get(column)).peekable();
            cells.peek().is_some()
                && cells.all(|cell| cell.value.is_some() || matches!(cell.text.as_str(), "-" | ""))
        };
        let columns = heading.into_iter().enumerate().map(|(column, title)| Column {
            title,
            kind: if is_number(column) { Kind::Number } else { Kind::Text },
        });
        Table { caption: caption.into(), columns: columns.collect(), rows }
    }

    /// Whether it has so many rows that it is shown in parts.
    pub fn is_long(&self) -> bool {
        self.rows.len() > MANY
    }
}

/// A text that may begin with a number, such as `+1.89 ± 0.61 %`.
fn read(text: String) -> Cell {
    let number = text.replace('−', "-");
    let first = number.split(' ').next().unwrap_or_default().trim_end_matches('%').replace(',', "");
    let value = first.parse().ok().filter(|value: &f64| value.is_finite());
    // A hash may consist of digits alone.
    let value = value.filter(|_| first.len() < 12 || first.contains('.'));
    // The sign of mathematics.
    let text = if value.is_some() { text.replacen('-', "−", 1) } else { text };
    Cell { text, value }
}

/// Many rows, column by column: of programs that a figure shows too.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Rows {
    /// Subject of the rows.
    pub caption: String,
    /// The columns.
    pub columns: Vec<RowsColumn>,
}

/// A column of many rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RowsColumn {
    /// Its heading, with the unit.
    pub title: String,
    /// Its name in figures and filters.
    pub key: &'static str,
    /// Kind of its content.
    pub kind: Kind,
    /// Decimals, and whether a sign stands before each number.
    pub decimals: usize,
    /// Whether numbers have signs.
    pub signed: bool,
    /// Numbers, or numbers of words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub numbers: Vec<Option<f64>>,
    /// Texts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<String>,
    /// Words that are numbered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
}

impl RowsColumn {
    /// Numbers with so many decimals.
    pub fn numbers(
        title: &str,
        key: &'static str,
        decimals: usize,
        numbers: Vec<Option<f64>>,
    ) -> RowsColumn {
        let (title, kind) = (title.to_owned(), Kind::Number);
        RowsColumn { title, key, kind, decimals, numbers, ..RowsColumn::default() }
    }

    /// Texts, each of its own.
    pub fn texts(title: &str, key: &'static str, kind: Kind, texts: Vec<String>) -> RowsColumn {
        RowsColumn { title: title.to_owned(), key, kind, texts, ..RowsColumn::default() }
    }

    /// Words of which there are few.
    pub fn words(title: &str, key: &'static str, texts: &[String]) -> RowsColumn {
        let mut words: Vec<String> = texts.to_vec();
        words.sort();
        words.dedup();
        let number = |text: &String| words.binary_search(text).ok().map(|at| at as f64);
        let numbers = texts.iter().map(number).collect();
        RowsColumn { title: title.to_owned(), key, numbers, words, ..RowsColumn::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_with_a_number_is_sorted_as_one() {
        let cell = |text: &str| read(text.to_owned()).value;
        assert_eq!(cell("+1.89 ± 0.61 %"), Some(1.89));
        assert_eq!(cell("−3 %"), Some(-3.0));
        assert_eq!(cell("29,384"), Some(29384.0));
        assert_eq!([cell("-"), cell("diverged"), cell("123456789012")], [None; 3]);
    }
}
