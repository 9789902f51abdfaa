//! Tables of texts and numbers, as CSV, JSON and Markdown.

use serde::Serialize;
use serde_json::{Map, Value};
use symopt_dsl::escape::markdown;

/// A cell.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Entry {
    /// There is nothing to say.
    Nothing,
    /// Words.
    Text(String),
    /// A number, which may not be finite: then there is nothing to say.
    Number(f64),
}

impl Entry {
    /// A number that there may be.
    pub fn number(value: Option<f64>) -> Entry {
        value.filter(|value| value.is_finite()).map_or(Entry::Nothing, Entry::Number)
    }

    /// A count.
    pub fn count(count: usize) -> Entry {
        Entry::Number(count as f64)
    }

    /// All digits, for machines.
    fn exact(&self) -> String {
        match self {
            Entry::Nothing => String::new(),
            Entry::Text(text) => text.clone(),
            Entry::Number(value) => value.to_string(),
        }
    }
}

impl<T: Into<String>> From<T> for Entry {
    fn from(text: T) -> Entry {
        Entry::Text(text.into())
    }
}

/// A column.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Column {
    /// Its name in files.
    pub key: &'static str,
    /// Its heading for people, with the unit.
    pub title: String,
}

/// A table: the same rows for files and for people.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use]
pub struct Table {
    /// Its caption.
    pub caption: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows, an entry for each column.
    pub rows: Vec<Vec<Entry>>,
}

impl Table {
    /// A table without rows; columns by their names in files and their headings.
    pub fn new(caption: &str, columns: &[(&'static str, &str)]) -> Table {
        let column =
            |(key, title): &(&'static str, &str)| Column { key, title: (*title).to_owned() };
        Table {
            caption: caption.to_owned(),
            columns: columns.iter().map(column).collect(),
            rows: Vec::new(),
        }
    }

    /// The table as CSV, numbers with all their digits.
    pub fn csv(&self) -> Result<String, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(self.columns.iter().map(|column| column.key))?;
        for row in &self.rows {
            writer.write_record(row.iter().map(Entry::exact))?;
        }
        let bytes = writer.into_inner().map_err(|error| error.into_error())?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The rows as objects.
    pub fn json(&self) -> Value {
        let object = |row: &Vec<Entry>| {
            let fields = self.columns.iter().zip(row).map(|(column, entry)| {
                let value = match entry {
                    Entry::Nothing => Value::Null,
                    Entry::Text(text) => Value::from(text.as_str()),
                    Entry::Number(value) => Value::from(*value),
                };
                (column.key.to_owned(), value)
            });
            Value::Object(fields.collect::<Map<String, Value>>())
        };
        self.rows.iter().map(object).collect()
    }

    /// For people: a heading and rows of texts.
    pub fn texts(&self) -> Vec<Vec<String>> {
        let heading = self.columns.iter().map(|column| column.title.clone()).collect();
        let row = |row: &Vec<Entry>| row.iter().map(shown).collect();
        std::iter::once(heading).chain(self.rows.iter().map(row)).collect()
    }

    /// Which columns hold numbers and nothing else.
    pub fn number_columns(&self) -> Vec<usize> {
        let is_number = |column: &usize| {
            let mut entries = self.rows.iter().filter_map(|row| row.get(*column)).peekable();
            entries.peek().is_some() && entries.all(|entry| !matches!(entry, Entry::Text(_)))
        };
        (0..self.columns.len()).filter(is_number).collect()
    }

    /// The table as Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        for (index, row) in self.texts().into_iter().enumerate() {
            let cells: Vec<String> = row.iter().map(|cell| markdown(cell)).collect();
            text.push_str(&format!("| {} |\n", cells.join(" | ")));
            if index == 0 {
                text.push_str(&format!("|{}\n", "---|".repeat(row.len())));
            }
        }
        text
    }
}

/// An entry for people: four significant digits.
pub fn shown(entry: &Entry) -> String {
    match entry {
        Entry::Nothing => "-".to_owned(),
        Entry::Text(text) => text.clone(),
        Entry::Number(value) => digits(*value),
    }
}

/// A number in four significant digits, in as few characters as they take.
pub fn digits(value: f64) -> String {
    let magnitude = value.abs();
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 { "0".to_owned() } else { "-".to_owned() };
    }
    if value.fract() == 0.0 && magnitude < 1e9 {
        return format!("{value}");
    }
    if !(1e-4..1e6).contains(&magnitude) {
        return format!("{value:.3e}");
    }
    let decimals = (3 - libm::log10(magnitude).floor() as i32).clamp(0, 8) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_for_people_and_whole_for_machines() {
        let shown: Vec<String> =
            [0.0, 64.0, 0.123_456, 12_345.678, 1e-7, -3.5, f64::NAN].map(digits).to_vec();
        assert_eq!(shown, ["0", "64", "0.1235", "12346", "1.000e-7", "-3.5", "-"]);
        let mut table = Table::new("c", &[("a", "A (%)"), ("b", "B")]);
        table.rows.push(vec![Entry::Number(0.1 + 0.2), "x, y".into()]);
        table.rows.push(vec![Entry::number(Some(f64::INFINITY)), Entry::Nothing]);
        assert_eq!(table.csv().unwrap(), "a,b\n0.30000000000000004,\"x, y\"\n,\n");
        assert_eq!(table.json()[0]["a"].as_f64(), Some(0.1 + 0.2));
        assert!(table.json()[1]["a"].is_null());
        assert_eq!(table.markdown(), "| A (%) | B |\n|---|---|\n| 0.3 | x, y |\n| - | - |\n");
        assert_eq!(table.number_columns(), [0]);
    }
}
