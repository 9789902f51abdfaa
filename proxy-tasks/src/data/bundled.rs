//! Data sets inside the crate: real ones, so that tasks on real data need no file.
//!
//! `data/README.md` says where they come from, under which licences they are, and how `data/make.py`
//! makes them from the published files.
//!
//! | data set | what it is |
//! |---|---|
//! | [`fashion_mnist`] | 8,192 training and 2,048 test images of clothes, 14 x 14 pixels, 10 classes |
//! | [`text()`] | 10,000 definitions of English nouns; or 800,000 characters of Python |
//! | [`table()`] | 12,288 flights, 4 classes of lateness; or 12,288 diamonds, 5 qualities of cut |

use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde::{Deserialize, Serialize};

use super::csv::{self, Columns};
use super::text::{self, Text, Unit};
use super::{DataError, Vectors};

/// A text inside the crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BundledText {
    /// Definitions of nouns from WordNet 3.0, one a line.
    Glosses,
    /// Modules of the standard library of CPython 3.11.
    PythonSources,
}

/// A table inside the crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BundledTable {
    /// Flights of 2013 out of New York: by how much they arrived late, in four classes.
    Flights,
    /// Diamonds with their sizes and prices: the quality of the cut, in five classes.
    Diamonds,
}

/// Side of an image of [`fashion_mnist`] in pixels.
pub const FASHION_SIDE: usize = 14;
/// Training images of [`fashion_mnist`]; the others are for validation.
pub const FASHION_TRAINING: usize = 8_192;

static FASHION: &[u8] = include_bytes!("../../data/fashion-mnist.bin.gz");
static GLOSSES: &[u8] = include_bytes!("../../data/glosses.txt.gz");
static PYTHON_SOURCES: &[u8] = include_bytes!("../../data/python-sources.txt.gz");
static FLIGHTS: &[u8] = include_bytes!("../../data/flights.csv.gz");
static DIAMONDS: &[u8] = include_bytes!("../../data/diamonds.csv.gz");

/// Unpacks a data set. The data in the crate unpacks, as the tests show; should it ever not, there
/// is an error and no panic.
fn unpacked(name: &'static str, packed: &[u8]) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    match GzDecoder::new(packed).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(foreign(name, error.to_string())),
    }
}

fn foreign(name: &'static str, found: String) -> DataError {
    DataError::Foreign {
        path: PathBuf::from(name),
        expected: "the data set inside this release",
        found,
    }
}

/// Training and test images of Fashion-MNIST (Xiao, Rasul and Vollgraf 2017), each the mean of 2 x 2
/// pixels of the published one; standardised: mean 0 and variance 1 over all training pixels.
pub fn fashion_mnist() -> Result<(Vectors, Vectors), DataError> {
    const NAME: &str = "fashion-mnist";
    let pixels = FASHION_SIDE * FASHION_SIDE;
    let bytes = unpacked(NAME, FASHION)?;
    let (training, test) = bytes
        .split_at_checked(FASHION_TRAINING * (pixels + 1))
        .ok_or_else(|| foreign(NAME, "it is truncated".to_owned()))?;
    // Sums of bytes and of their squares are exact in whole numbers.
    let (mut sum, mut square) = (0_u64, 0_u64);
    for record in training.chunks_exact(pixels + 1) {
        for &pixel in &record[..pixels] {
            sum += u64::from(pixel);
            square += u64::from(pixel) * u64::from(pixel);
        }
    }
    let count = (FASHION_TRAINING * pixels) as f64;
    let mean = sum as f64 / count;
    let deviation = (square as f64 / count - mean * mean).sqrt();
    let vectors = |part: &[u8]| {
        let (mut rows, mut labels) = (Vec::new(), Vec::new());
        for record in part.chunks_exact(pixels + 1) {
            let standard = |&pixel: &u8| ((f64::from(pixel) - mean) / deviation) as f32;
            rows.extend(record[..pixels].iter().map(standard));
            labels.push(u16::from(record[pixels]));
        }
        Vectors { features: pixels, classes: 10, rows, labels }
    };
    Ok((vectors(training), vectors(test)))
}

/// A text as tokens; `vocabulary` is for words, see [`text::text()`].
pub fn text(which: BundledText, unit: Unit, vocabulary: Option<usize>) -> Result<Text, DataError> {
    let (name, packed) = match which {
        BundledText::Glosses => ("glosses", GLOSSES),
        BundledText::PythonSources => ("python-sources", PYTHON_SOURCES),
    };
    text::tokens(&unpacked(name, packed)?, unit, vocabulary).map_err(|found| foreign(name, found))
}

/// The rows of a table, in a random order that never changes. `label` is the name of the column to
/// predict; the last if there is none.
pub fn table(which: BundledTable, label: Option<&str>) -> Result<Vectors, DataError> {
    let (name, packed, categorical) = match which {
        // Months and hours have no straight line from one end to the other.
        BundledTable::Flights => ("flights", FLIGHTS, ["month", "hour"].as_slice()),
        BundledTable::Diamonds => ("diamonds", DIAMONDS, [].as_slice()),
    };
    let categorical: Vec<String> = categorical.iter().map(|&name| name.to_owned()).collect();
    let columns = Columns { label, categorical: &categorical, delimiter: ',' };
    csv::parse(&unpacked(name, packed)?, Path::new(name), &columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(vectors: &Vectors) -> Vec<usize> {
        let mut counts = vec![0; vectors.classes];
        vectors.labels.iter().for_each(|&label| counts[usize::from(label)] += 1);
        counts
    }

    #[test]
    fn images_are_those_of_the_source() {
        let (training, test) = fashion_mnist().unwrap();
        assert_eq!((training.features, training.len(), test.len()), (196, 8_192, 2_048));
        // Labels of the published files: the first ten of both sets.
        assert_eq!(training.labels[..10], [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]);
        assert_eq!(test.labels[..10], [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]);
        let all = counts(&training);
        assert!(all.iter().all(|&count| (700..950).contains(&count)), "{all:?}");
        let mean = training.rows.iter().map(|&x| f64::from(x)).sum::<f64>();
        let square = training.rows.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>();
        let pixels = training.rows.len() as f64;
        assert!((mean / pixels).abs() < 1e-6 && (square / pixels - 1.0).abs() < 1e-6);
    }

    #[test]
    fn texts_have_their_characters_and_words() {
        let glosses = text(BundledText::Glosses, Unit::Characters, None).unwrap();
        assert_eq!((glosses.vocabulary, glosses.tokens.len()), (84, 757_359));
        let words = text(BundledText::Glosses, Unit::Words, Some(512)).unwrap();
        assert_eq!((words.vocabulary, words.tokens.len()), (512, 124_820));
        let sources = text(BundledText::PythonSources, Unit::Bytes, None).unwrap();
        assert_eq!(sources.tokens.len(), 800_000);
    }

    #[test]
    fn tables_have_their_columns_and_classes() {
        let flights = table(BundledTable::Flights, None).unwrap();
        assert_eq!((flights.len(), flights.classes), (12_288, 4));
        // In the order of the alphabet: early, late, on time, very late.
        assert_eq!(counts(&flights), [3_403, 2_887, 4_609, 1_389]);
        let diamonds = table(BundledTable::Diamonds, None).unwrap();
        assert_eq!(counts(&diamonds), [375, 1_110, 4_943, 3_122, 2_738]);
        assert!(table(BundledTable::Diamonds, Some("cut")).unwrap() == diamonds);
        assert_eq!(table(BundledTable::Flights, Some("destination")).unwrap().classes, 96);
        let unknown = table(BundledTable::Flights, Some("goal")).unwrap_err().to_string();
        assert!(unknown.contains("its columns: month, weekday"), "{unknown}");
        // Seven numbers, seven colours, eight clarities.
        assert_eq!(diamonds.features, 7 + 7 + 8);
    }
}
