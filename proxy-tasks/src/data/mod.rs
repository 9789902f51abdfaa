//! Examples: where tasks get their inputs and labels.
//!
//! | source | file | what comes of a seed |
//! |---|---|---|
//! | UCI digits, inside the crate | `digits.rs` | split into training and validation, label noise |
//! | real images, texts and tables, inside the crate | `bundled.rs` | as those from files below |
//! | MNIST | `mnist.rs` | which examples are used, label noise |
//! | CIFAR-10 | `cifar10.rs` | which examples are used, label noise |
//! | raw images | `raw_images.rs` | split into training and validation, label noise |
//! | CSV tables | `csv.rs` | split into training and validation, label noise |
//! | random teachers | `teacher.rs` | teacher, inputs, labels, label noise |
//! | synthetic tables | `tabular.rs` | columns, trees, rows, labels, label noise |
//! | synthetic language | `language.rs` | the texts, not the language |
//! | a text file | `text.rs` | nothing: the last part is for validation |

pub mod bundled;
pub mod cifar10;
mod compressed;
pub mod csv;
pub mod digits;
pub mod language;
pub mod mnist;
pub mod raw_images;
pub mod tabular;
pub mod teacher;
pub mod text;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::memory;

/// Labelled vectors; images are stored channel by channel, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Vectors {
    /// Numbers in a vector.
    pub features: usize,
    /// Labels are below this.
    pub classes: usize,
    /// [examples, features].
    pub rows: Vec<f32>,
    /// One for each example.
    pub labels: Vec<u16>,
}

impl Vectors {
    /// Examples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The vector of example i.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.rows[i * self.features..(i + 1) * self.features]
    }
}

/// Why examples cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}; {expected}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Description of the expected file.
        expected: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file is not what it should be, or ends too early.
    #[error("{} is not {expected}: {found}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Expected kind of file.
        expected: &'static str,
        /// Description of the fault.
        found: String,
    },
    /// More examples are wanted than there are.
    #[error(
        "{wanted} {what} are wanted, but there are {available}; lower `training` or `validation`"
    )]
    TooFew {
        /// Which examples.
        what: &'static str,
        /// How many are wanted.
        wanted: usize,
        /// How many there are.
        available: usize,
    },
}

/// The bytes of a regular file, where the memory holds them: others may have no end.
fn read(path: &Path, expected: &'static str) -> Result<Vec<u8>, DataError> {
    let bytes = || {
        let file = File::open(path)?;
        let about = file.metadata()?;
        if !about.is_file() {
            let kind =
                if about.is_dir() { ErrorKind::IsADirectory } else { ErrorKind::InvalidInput };
            return Err(std::io::Error::new(kind, "it is no regular file"));
        }
        memory::check(u128::from(about.len())).map_err(|shortage| {
            std::io::Error::new(ErrorKind::OutOfMemory, shortage.to_string())
        })?;
        let mut bytes = Vec::new();
        // One that grows meanwhile is read as it was.
        file.take(about.len()).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    bytes().map_err(|source| DataError::Read { path: path.to_owned(), expected, source })
}

/// Refuses so many numbers of examples, of four bytes each, where the memory does not hold them.
fn check_numbers(path: &Path, count: usize) -> Result<(), DataError> {
    let foreign = |found: String| DataError::Foreign {
        path: path.to_owned(),
        expected: "of a size that fits",
        found,
    };
    memory::check(4 * count as u128).map_err(|shortage| foreign(shortage.to_string()))
}

/// A class drawn from the softmax of the logits, of which there is at least one; they are
/// overwritten.
fn sample_softmax(logits: &mut [f64], random: &mut ChaCha8Rng) -> u16 {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    for logit in &mut *logits {
        *logit = libm::exp(*logit - largest);
    }
    let point = random.random::<f64>() * logits.iter().sum::<f64>();
    let mut sum = 0.0;
    let class = logits.iter().position(|share| {
        sum += share;
        point < sum
    });
    class.unwrap_or(logits.len() - 1) as u16
}
