//! Where the examples of a task come from.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::limits::{LARGEST, TABLE_ROWS, at_least_one};
use crate::data::bundled::{BundledTable, BundledText};
use crate::data::teacher::Weights;
use crate::data::text::Unit;

/// Where the examples come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum DataSpec {
    /// The 1,797 UCI digits. A seed shuffles them; the first are for validation, the next for
    /// training.
    // With braces, as every kind: only so are unknown keys refused.
    Digits {},
    /// 14 x 14 images of Fashion-MNIST, inside the crate; see
    /// [`bundled`](crate::data::bundled). A seed shuffles both sets; validation examples come from
    /// the test set.
    FashionMnist {},
    /// A table inside the crate; see [`bundled`](crate::data::bundled). A seed shuffles the rows;
    /// the first are for validation, the next for training.
    BundledTable {
        /// Which table.
        table: BundledTable,
        /// The name of the column to predict; the last by default.
        label: Option<String>,
    },
    /// A text inside the crate; see [`bundled`](crate::data::bundled). The last tenth is for
    /// validation.
    BundledText {
        /// Which text.
        text: BundledText,
        /// Tokens: bytes, characters or words.
        unit: Unit,
        /// The most tokens, for words: the most frequent have their own, all others share one.
        vocabulary: Option<usize>,
    },
    /// A table of the user's; see [`csv`](crate::data::csv). A seed shuffles the rows; the first
    /// are for validation, the next for training.
    Csv {
        /// The file, compressed (`.gz`) or not.
        path: PathBuf,
        /// The name of the column with the label; the last by default.
        label: Option<String>,
        /// Columns of numbers that stand for categories; none by default.
        #[serde(default)]
        categorical: Vec<String>,
        /// The ASCII character between cells; a comma by default.
        #[serde(default = "comma")]
        delimiter: char,
    },
    /// MNIST, or what is published in its form. A seed shuffles both sets; validation examples come
    /// from the test set.
    Mnist {
        /// The folder with the four files, compressed (`.gz`) or not.
        path: PathBuf,
    },
    /// CIFAR-10, binary version. A seed shuffles both sets; validation examples come from the test
    /// set.
    Cifar10 {
        /// The folder with the six files, or with the archive of them (`cifar-10-binary.tar.gz`).
        path: PathBuf,
    },
    /// Images of any size as raw bytes; see [`raw_images`](crate::data::raw_images). A seed
    /// shuffles them; the first are for validation, the next for training.
    RawImages {
        /// The file of pixels: N x height x width x channels bytes.
        images: PathBuf,
        /// The file of labels: N times two bytes, little endian.
        labels: PathBuf,
        /// Rows of an image.
        height: usize,
        /// Columns of an image.
        width: usize,
        /// Bytes of a pixel.
        channels: usize,
        /// Labels are below this.
        classes: usize,
    },
    /// A synthetic table for each seed; see [`tabular`](crate::data::tabular). `training` rows
    /// (2,048 by default).
    Tabular {
        /// Numeric columns.
        numeric: usize,
        /// The number of categories of each categorical column; none by default.
        #[serde(default)]
        categories: Vec<usize>,
        /// Classes.
        classes: usize,
        /// Decision trees that the labels follow.
        trees: usize,
        /// Decisions on the way to a leaf.
        depth: usize,
        /// The deviation of the logits: the larger, the less of a label is chance.
        scale: f64,
    },
    /// A random teacher for each seed; `training` examples (1,024 by default).
    Teacher {
        /// Inputs.
        features: usize,
        /// Classes.
        classes: usize,
        /// Hidden tanh units; 0 (the default) for a softmax regression.
        #[serde(default)]
        hidden: usize,
        /// Distribution of the weights.
        weights: Weights,
        /// Scale of the logits.
        scale: f64,
    },
    /// The synthetic language; `training` windows (2,048 by default).
    Language {
        /// Tokens of the vocabulary.
        vocabulary: usize,
        /// Hidden states.
        states: usize,
        /// Successors of a state.
        successors: usize,
        /// The exponent of Zipf's law.
        exponent: f64,
        /// Which language of these sizes; 0 by default.
        #[serde(default)]
        seed: u64,
    },
    /// A text file. The last `held_out` part is for validation.
    Text {
        /// The file.
        path: PathBuf,
        /// Tokens: bytes, characters or words.
        unit: Unit,
        /// The most tokens, for words: the most frequent have their own, all others share one.
        vocabulary: Option<usize>,
        /// The part that is for validation, above 0 and below 1; 0.1 by default.
        #[serde(default = "a_tenth")]
        held_out: f64,
    },
}

impl DataSpec {
    /// The files and folders of the user's that the examples come from.
    pub fn files(&self) -> Vec<&Path> {
        match self {
            DataSpec::Csv { path, .. }
            | DataSpec::Mnist { path }
            | DataSpec::Cifar10 { path }
            | DataSpec::Text { path, .. } => vec![path],
            DataSpec::RawImages { images, labels, .. } => vec![images, labels],
            DataSpec::Digits {}
            | DataSpec::FashionMnist {}
            | DataSpec::BundledTable { .. }
            | DataSpec::BundledText { .. }
            | DataSpec::Tabular { .. }
            | DataSpec::Teacher { .. }
            | DataSpec::Language { .. } => Vec::new(),
        }
    }
}

fn comma() -> char {
    ','
}

fn a_tenth() -> f64 {
    0.1
}

impl DataSpec {
    /// Whether the examples are windows of text.
    pub(super) fn is_text(&self) -> bool {
        matches!(
            self,
            DataSpec::Language { .. } | DataSpec::Text { .. } | DataSpec::BundledText { .. }
        )
    }

    /// Whether the examples are images, which have patches.
    pub(super) fn is_images(&self) -> bool {
        matches!(
            self,
            DataSpec::Digits {}
                | DataSpec::FashionMnist {}
                | DataSpec::Mnist { .. }
                | DataSpec::Cifar10 { .. }
                | DataSpec::RawImages { .. }
        )
    }

    /// Says what is wrong with the description, as far as it shows without its data, for so many
    /// training and validation examples.
    pub(super) fn check(&self, training: Option<usize>, validation: usize) -> Result<(), String> {
        match self {
            DataSpec::Digits {}
            | DataSpec::FashionMnist {}
            | DataSpec::BundledTable { .. }
            | DataSpec::Mnist { .. }
            | DataSpec::Cifar10 { .. } => {}
            DataSpec::Csv { delimiter, .. } => {
                if !delimiter.is_ascii() || ['\n', '\r', '"'].contains(delimiter) {
                    return Err(format!(
                        "`delimiter` = {delimiter:?} must be an ASCII character, such as \";\""
                    ));
                }
            }
            DataSpec::RawImages { height, width, channels, classes, .. } => {
                at_least_one("height", *height)?;
                at_least_one("width", *width)?;
                at_least_one("channels", *channels)?;
                at_least_one("classes", *classes)?;
                if *classes > 1 << 16 {
                    return Err("labels of two bytes have at most 65,536 classes".to_owned());
                }
            }
            DataSpec::Tabular { numeric, categories, classes, trees, depth, scale } => {
                at_least_one("classes", *classes)?;
                if categories.contains(&0) {
                    return Err(
                        "`categories` has a 0; each categorical column has at least 1 category"
                            .to_owned(),
                    );
                }
                let features =
                    categories.iter().fold(*numeric, |sum, count| sum.saturating_add(*count));
                if features == 0 || features > 1 << 16 || *classes > 1 << 16 {
                    return Err(
                        "a table has from 1 to 65,536 numeric columns and categories together, and at most 65,536 classes".to_owned()
                    );
                }
                if *depth > 12
                    || *trees > 1 << 12
                    || (trees << depth).saturating_mul(*classes) > LARGEST
                {
                    return Err(
                        "`depth` is at most 12, `trees` at most 4,096, and trees × 2^depth × classes at most 100,000,000".to_owned()
                    );
                }
                if !scale.is_finite() {
                    return Err(format!("`scale` = {scale} must be a finite number"));
                }
                // Categories of the decisions, and the rows themselves.
                let rows = training.unwrap_or(TABLE_ROWS).max(validation);
                if rows.saturating_mul(features) > 10 * LARGEST {
                    return Err(format!(
                        "{rows} rows of {features} columns are too large a table; lower `training` or `validation`"
                    ));
                }
            }
            DataSpec::Teacher { features, classes, hidden, scale, .. } => {
                at_least_one("features", *features)?;
                at_least_one("classes", *classes)?;
                if *hidden > 1 << 16 || *features > 1 << 16 || *classes > 1 << 16 {
                    return Err("a teacher has at most 65,536 features, hidden units and classes"
                        .to_owned());
                }
                if !scale.is_finite() {
                    return Err(format!("`scale` = {scale} must be a finite number"));
                }
            }
            DataSpec::Language { vocabulary, states, successors, exponent, .. } => {
                at_least_one("vocabulary", *vocabulary)?;
                at_least_one("states", *states)?;
                at_least_one("successors", *successors)?;
                if successors > states {
                    return Err(format!(
                        "`successors` = {successors} are more than the {states} states"
                    ));
                }
                if *vocabulary > 1 << 16 || *states > 1 << 12 {
                    return Err("a language has at most 65,536 tokens and 4,096 states".to_owned());
                }
                if !(0.0..=10.0).contains(exponent) {
                    return Err(format!("`exponent` = {exponent} must be from 0 to 10"));
                }
            }
            DataSpec::BundledText { unit, vocabulary, .. } => check_unit(*unit, *vocabulary)?,
            DataSpec::Text { held_out, unit, vocabulary, .. } => {
                check_unit(*unit, *vocabulary)?;
                if !(*held_out > 0.0 && *held_out < 1.0) {
                    return Err(format!("`held_out` = {held_out} must be above 0 and below 1"));
                }
            }
        }
        Ok(())
    }
}

/// Refuses words without a vocabulary, and one for what has no words.
fn check_unit(unit: Unit, vocabulary: Option<usize>) -> Result<(), String> {
    match (unit, vocabulary) {
        (Unit::Words, None) => {
            Err("words need `vocabulary`, the most tokens, such as vocabulary = 3000".to_owned())
        }
        (Unit::Words, Some(vocabulary)) if !(2..=1 << 16).contains(&vocabulary) => {
            Err(format!("`vocabulary` = {vocabulary} must be from 2 to 65,536"))
        }
        (Unit::Bytes | Unit::Characters, Some(_)) => {
            Err("`vocabulary` is for words; bytes and characters all have their own tokens"
                .to_owned())
        }
        _ => Ok(()),
    }
}
