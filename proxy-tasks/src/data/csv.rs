//! Tables of the user's own: CSV files with a line of names.
//!
//! | column | becomes |
//! |---|---|
//! | of numbers | one number: mean 0 and variance 1 over all rows; a missing cell is 0, the mean |
//! | of anything else, or declared categorical | one 0 or 1 for each category, the most frequent first; the rarest share one |
//! | the label | classes, in the order of the numbers or else of the alphabet |
//!
//! An empty cell, `NA`, `NaN`, `null` and `?` are missing; among categories that is one like others.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::compressed::read_plain_or_compressed;
use super::{DataError, Vectors, check_numbers};

/// Categories of a column that have a number of their own, at most.
pub const CATEGORIES: usize = 128;

/// Classes, at most: a label with more is a measurement and no class.
pub const CLASSES: usize = 1_024;

/// How a table is read.
#[derive(Clone, Copy, Debug)]
pub struct Columns<'a> {
    /// The name of the column with the label; the last if there is none.
    pub label: Option<&'a str>,
    /// Columns of numbers that stand for categories.
    pub categorical: &'a [String],
    /// Separator of cells; an ASCII character.
    pub delimiter: char,
}

/// Reads a table, compressed by gzip or not.
pub fn csv(path: &Path, columns: &Columns) -> Result<Vectors, DataError> {
    let (bytes, path) = read_plain_or_compressed(path, "`path` must name a CSV file")?;
    parse(&bytes, &path, columns)
}

/// Parses a table. `path` is for messages.
pub(super) fn parse(bytes: &[u8], path: &Path, columns: &Columns) -> Result<Vectors, DataError> {
    let foreign = |found: String| DataError::Foreign {
        path: path.to_owned(),
        expected: "a CSV file with a line of names",
        found,
    };
    let mut reader = ::csv::ReaderBuilder::new()
        .delimiter(u8::try_from(columns.delimiter).unwrap_or(b','))
        .trim(::csv::Trim::All)
        .from_reader(bytes);
    let names: Vec<String> = match reader.headers() {
        Ok(names) => names.iter().map(|name| name.trim_start_matches('\u{feff}').into()).collect(),
        Err(error) => return Err(foreign(error.to_string())),
    };
    let place = |name: &str| {
        names.iter().position(|known| known == name).ok_or_else(|| {
            foreign(format!("it has no column `{name}`; its columns: {}", names.join(", ")))
        })
    };
    let label = match columns.label {
        Some(name) => place(name)?,
        None => names.len().saturating_sub(1),
    };
    if names.len() < 2 {
        let delimiter = columns.delimiter;
        return Err(foreign(format!(
            "its first line has one name; with other characters than `{delimiter}` between the \
             cells, give `delimiter`"
        )));
    }
    let mut declared = vec![false; names.len()];
    for name in columns.categorical {
        declared[place(name)?] = true;
    }
    let records: Vec<::csv::StringRecord> =
        reader.records().collect::<Result<_, _>>().map_err(|error| foreign(error.to_string()))?;
    if records.len() < 2 {
        return Err(foreign(format!("it has {} rows; at least 2 are needed", records.len())));
    }
    let labels = classes(&records, label)
        .map_err(|reason| foreign(format!("column `{}`, the label: {reason}", names[label])))?;

    let inputs: Vec<Column> = (0..names.len())
        .filter(|&column| column != label)
        .map(|column| Column::new(&records, column, declared[column]))
        .collect();
    let features: usize = inputs.iter().map(Column::width).sum();
    check_numbers(path, features.saturating_mul(records.len()))?;
    let mut rows = Vec::with_capacity(features * records.len());
    for record in &records {
        inputs.iter().for_each(|column| column.write(record, &mut rows));
    }
    Ok(Vectors { features, classes: labels.1, rows, labels: labels.0 })
}

/// A cell without what says that it is missing.
fn cell(record: &::csv::StringRecord, column: usize) -> &str {
    let cell = record.get(column).unwrap_or_default();
    let missing = ["NA", "NaN", "nan", "null", "?"].contains(&cell);
    if missing { "" } else { cell }
}

/// The number that a cell holds: finite, also in f32.
fn number(cell: &str) -> Option<f64> {
    cell.parse().ok().filter(|number: &f64| (*number as f32).is_finite())
}

/// The class of each row, and how many classes there are.
fn classes(records: &[::csv::StringRecord], label: usize) -> Result<(Vec<u16>, usize), String> {
    let mut known: BTreeMap<&str, u16> = BTreeMap::new();
    for (row, record) in records.iter().enumerate() {
        match cell(record, label) {
            "" => {
                let line = record.position().map_or(row as u64 + 2, ::csv::Position::line);
                return Err(format!("line {line} has none; leave the row out"));
            }
            name => known.entry(name).or_default(),
        };
    }
    if known.len() > CLASSES {
        return Err(format!(
            "it has {} different values; classes are at most {CLASSES}. Cut a measurement into \
             ranges first",
            known.len()
        ));
    }
    if known.len() < 2 {
        return Err("all rows have the same, so that there is nothing to learn".to_owned());
    }
    let mut order: Vec<&str> = known.keys().copied().collect();
    let numbers: Option<Vec<f64>> = order.iter().map(|name| number(name)).collect();
    if numbers.is_some() {
        // Two names for one number keep their alphabetical order, as the sort is stable.
        order.sort_by(|a, b| {
            number(a).unwrap_or_default().total_cmp(&number(b).unwrap_or_default())
        });
    }
    for (name, class) in order.iter().zip(0..) {
        known.insert(name, class);
    }
    let labels = records.iter().map(|record| known[cell(record, label)]).collect();
    Ok((labels, order.len()))
}

/// How a column becomes numbers.
enum Column {
    Numbers { column: usize, mean: f64, deviation: f64 },
    Categories { column: usize, places: HashMap<String, usize>, width: usize },
}

impl Column {
    fn new(records: &[::csv::StringRecord], column: usize, categorical: bool) -> Column {
        let cells = || records.iter().map(|record| cell(record, column));
        let known: Vec<&str> = cells().filter(|cell| !cell.is_empty()).collect();
        let numbers: Option<Vec<f64>> = known.iter().map(|cell| number(cell)).collect();
        match numbers {
            Some(numbers) if !categorical => {
                let count = numbers.len().max(1) as f64;
                let mean = numbers.iter().sum::<f64>() / count;
                let square = numbers.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
                // A column that never changes says nothing; it stays at zero.
                let deviation = if square > 0.0 { square.sqrt() } else { 1.0 };
                Column::Numbers { column, mean, deviation }
            }
            _ => {
                let mut counts: HashMap<&str, usize> = HashMap::new();
                cells().for_each(|cell| *counts.entry(cell).or_default() += 1);
                // A total order, so that the order of the map does not matter.
                let mut order: Vec<(&str, usize)> = counts.into_iter().collect();
                order.sort_unstable_by_key(|&(name, count)| (Reverse(count), name));
                let width = order.len().min(CATEGORIES);
                let place = |i: usize| i.min(width - 1);
                let places = order.iter().enumerate();
                let places = places.map(|(i, (name, _))| ((*name).to_owned(), place(i))).collect();
                Column::Categories { column, places, width }
            }
        }
    }

    /// Numbers that it takes in a row.
    fn width(&self) -> usize {
        match self {
            Column::Numbers { .. } => 1,
            Column::Categories { width, .. } => *width,
        }
    }

    fn write(&self, record: &::csv::StringRecord, rows: &mut Vec<f32>) {
        match self {
            Column::Numbers { column, mean, deviation } => {
                let standard = |x: f64| ((x - mean) / deviation) as f32;
                rows.push(number(cell(record, *column)).map_or(0.0, standard));
            }
            Column::Categories { column, places, width } => {
                let place = places.get(cell(record, *column));
                rows.extend((0..*width).map(|i| if place == Some(&i) { 1.0 } else { 0.0 }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAST: Columns = Columns { label: None, categorical: &[], delimiter: ',' };

    fn of(text: &str, columns: &Columns) -> Result<Vectors, String> {
        parse(text.as_bytes(), Path::new("t.csv"), columns).map_err(|error| error.to_string())
    }

    #[test]
    fn numbers_are_standardised_and_categories_become_zeros_and_ones() {
        let text = "\u{feff}size, colour, code, kind\n1,red,7,b\n3,\"blue, dark\",8,a\n,red,7,b\n";
        let table = of(text, &LAST).unwrap();
        // The size, red and blue, the code; red is the more frequent.
        let deviation = (2.0_f32 / 9.0).sqrt();
        let (low, high) = (-1.0 / 3.0 / deviation, 2.0 / 3.0 / deviation);
        let expected = [-1.0, 1.0, 0.0, low, 1.0, 0.0, 1.0, high, 0.0, 1.0, 0.0, low];
        assert_eq!(
            (table.features, table.classes, table.labels.as_slice()),
            (4, 2, &[1, 0, 1][..])
        );
        let near = table.rows.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(near, "{:?}", table.rows);

        let declared = ["code".to_owned()];
        let columns = Columns { label: Some("colour"), categorical: &declared, ..LAST };
        let table = of(text, &columns).unwrap();
        assert_eq!((table.features, table.labels.as_slice()), (5, &[1, 0, 1][..]));
        assert_eq!(table.row(1), [1.0, 0.0, 1.0, 0.0, 1.0]);
    }

    #[test]
    fn labels_that_are_numbers_are_ordered_as_numbers() {
        let table = of("x,y\n1,10\n2,9\n3,10\n", &LAST).unwrap();
        assert_eq!(table.labels, [1, 0, 1]);
        let other = Columns { delimiter: ';', ..LAST };
        assert_eq!(of("x;y\n1,5;10\n2;9\n", &other).unwrap().features, 2, "1,5 is no number");
    }

    #[test]
    fn rare_categories_share_a_number() {
        let rows: String = (0..300).map(|i| format!("c{i},{}\n", i % 2)).collect();
        let table = of(&format!("x,y\n{rows}"), &LAST).unwrap();
        assert_eq!(table.features, CATEGORIES);
        assert!((0..300).all(|i| table.row(i).iter().sum::<f32>() == 1.0));
    }

    #[test]
    fn foreign_tables_are_refused_with_the_place() {
        let many: String = (0..2_000).map(|i| format!("1,{i}.5\n")).collect();
        for (text, label, expected) in [
            ("", None, "one name"),
            ("x;y\n1;2\n1;3\n", None, "`delimiter`"),
            ("x,y\n1,2\n", None, "1 rows"),
            ("x,y\n1,2\n1,2,3\n", None, "line: 3"),
            ("x,y\n1,a\n1,\n", None, "line 3 has none"),
            ("x,y\n1,a\n2,a\n", None, "all rows have the same"),
            ("x,y\n1,a\n2,b\n", Some("z"), "no column `z`; its columns: x, y"),
            (&format!("x,y\n{many}"), None, "2000 different values"),
        ] {
            let error = of(text, &Columns { label, ..LAST }).unwrap_err();
            assert!(error.contains(expected) && error.contains("t.csv"), "{expected}: {error}");
        }
        let error = parse(b"x,y\n\xff,1\n1,2\n", Path::new("t.csv"), &LAST).unwrap_err();
        assert!(error.to_string().contains("UTF-8"), "{error}");
    }
}
