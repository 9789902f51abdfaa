//! Synthetic tables: columns of very different kinds, labels from a random ensemble of decision
//! trees.
//!
//! | part of a row | what it is |
//! |---|---|
//! | numeric columns, in turn | normal, log-normal, heavy-tailed (Student's t with three degrees of freedom), binary |
//! | how they hang together | half of the variance below each column comes from a few factors that all columns share |
//! | their units | each column has a scale from 1e-3 to 1e3 and a shift of its own |
//! | categorical columns | categories by Zipf's law, p(rank r) ∝ 1 / r, one-hot |
//! | label | sampled from the softmax of the trees' summed leaves |
//!
//! As practitioners do, numeric columns are standardised by the mean and the deviation of the
//! training rows, which takes the units away and leaves the tails; one-hot columns stay 0 and 1.
//! The rest is typical of a table's gradients: rare categories, outliers, correlated inputs, and
//! steps that a smooth model has to approximate.

use super::{Vectors, sample_softmax};
use crate::rng::{Purpose, stream};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// The sizes of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct TableSizes {
    /// Numeric columns.
    pub numeric: usize,
    /// The number of categories of each categorical column.
    pub categories: Vec<usize>,
    /// Classes.
    pub classes: usize,
    /// Trees of the ensemble.
    pub trees: usize,
    /// Decisions on the way to a leaf.
    pub depth: usize,
    /// The deviation of the logits: the larger, the less of a label is chance.
    pub scale: f64,
}

impl TableSizes {
    /// Numbers in a row: one for each numeric column and one for each category.
    pub fn features(&self) -> usize {
        self.categories.iter().fold(self.numeric, |sum, categories| sum.saturating_add(*categories))
    }
}

/// Rows that thresholds are taken from, and over which the logits are centred and scaled.
const REFERENCE_ROWS: usize = 512;

/// Shared factors, at most.
const MOST_FACTORS: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Normal,
    LogNormal { deviation: f64 },
    HeavyTailed,
    Binary { threshold: f64 },
}

#[derive(Clone, Debug)]
struct Column {
    kind: Kind,
    /// One for each factor; of length 1.
    loadings: Vec<f64>,
    unit: f64,
    shift: f64,
}

/// A decision: left or right.
#[derive(Clone, Debug)]
enum Decision {
    Above { column: usize, threshold: f64 },
    OneOf { column: usize, categories: Vec<bool> },
}

#[derive(Clone, Debug)]
struct Tree {
    /// A complete tree, level by level.
    decisions: Vec<Decision>,
    /// [leaves, classes].
    leaves: Vec<f64>,
}

/// A row before units and encoding.
#[derive(Clone, Debug)]
struct Row {
    numbers: Vec<f64>,
    categories: Vec<usize>,
}

/// How the rows of a table are distributed, and what their labels follow.
#[derive(Clone, Debug)]
pub struct Table {
    sizes: TableSizes,
    columns: Vec<Column>,
    /// For each categorical column, the sums of the probabilities up to each category.
    up_to: Vec<Vec<f64>>,
    trees: Vec<Tree>,
    /// Offset subtracted from the logits, so that no class is frequent by chance alone; one for
    /// each class.
    centre: Vec<f64>,
    factor: f64,
}

impl Table {
    /// The table of a seed. There is at least one column, one class and one category in each
    /// categorical column.
    pub fn new(sizes: TableSizes, seed: u64) -> Table {
        let mut random = stream(seed, Purpose::Table);
        let columns = (0..sizes.numeric).map(|i| column(i, sizes.numeric, &mut random)).collect();
        let up_to = sizes.categories.iter().map(|&count| zipf(count)).collect();
        let classes = sizes.classes;
        let mut table = Table {
            sizes,
            columns,
            up_to,
            trees: Vec::new(),
            centre: vec![0.0; classes],
            factor: 1.0,
        };
        let reference: Vec<Row> = (0..REFERENCE_ROWS).map(|_| table.row(&mut random)).collect();
        table.trees = (0..table.sizes.trees).map(|_| table.tree(&reference, &mut random)).collect();
        let logits: Vec<Vec<f64>> = reference.iter().map(|row| table.logits(row)).collect();
        let mean = |of: &dyn Fn(&[f64]) -> f64| {
            logits.iter().map(|logits| of(logits)).sum::<f64>() / REFERENCE_ROWS as f64
        };
        let centre: Vec<f64> = (0..classes).map(|class| mean(&|logits| logits[class])).collect();
        let square = mean(&|logits| {
            logits
                .iter()
                .zip(&centre)
                .map(|(logit, centre)| (logit - centre) * (logit - centre))
                .sum()
        });
        let deviation = (square / classes as f64).sqrt();
        // With no tree, or with trees that decide nothing, there is nothing to scale.
        table.factor = if deviation > 0.0 { table.sizes.scale / deviation } else { 0.0 };
        table.centre = centre;
        table
    }

    /// Training and validation examples, the numeric columns of both standardised by the training
    /// rows. A seed of the table and one of the examples are the same seed.
    pub fn examples(&self, training: usize, validation: usize, seed: u64) -> (Vectors, Vectors) {
        let mut training = self.draw(training, &mut stream(seed, Purpose::TrainingExamples));
        let mut validation = self.draw(validation, &mut stream(seed, Purpose::ValidationExamples));
        for column in 0..self.sizes.numeric {
            let values = |vectors: &Vectors| {
                vectors
                    .rows
                    .iter()
                    .skip(column)
                    .step_by(vectors.features)
                    .map(|&x| f64::from(x))
                    .collect()
            };
            let known: Vec<f64> = values(&training);
            let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
            let square = known.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>()
                / known.len().max(1) as f64;
            // A column that is constant in the training rows says nothing; it stays at zero there.
            let deviation = if square > 0.0 { square.sqrt() } else { 1.0 };
            for vectors in [&mut training, &mut validation] {
                let features = vectors.features;
                for x in vectors.rows.iter_mut().skip(column).step_by(features) {
                    *x = ((f64::from(*x) - mean) / deviation) as f32;
                }
            }
        }
        (training, validation)
    }

    /// Examples in the units of their columns.
    fn draw(&self, count: usize, random: &mut ChaCha8Rng) -> Vectors {
        let features = self.sizes.features();
        let mut rows = Vec::with_capacity(count * features);
        let mut labels = Vec::with_capacity(count);
        for _ in 0..count {
            let row = self.row(random);
            rows.extend(
                row.numbers
                    .iter()
                    .zip(&self.columns)
                    .map(|(x, column)| (column.unit * (x + column.shift)) as f32),
            );
            for (&category, &count) in row.categories.iter().zip(&self.sizes.categories) {
                rows.extend((0..count).map(|i| if i == category { 1.0 } else { 0.0 }));
            }
            let mut logits = self.logits(&row);
            for (logit, centre) in logits.iter_mut().zip(&self.centre) {
                *logit = self.factor * (*logit - centre);
            }
            labels.push(sample_softmax(&mut logits, random));
        }
        Vectors { features, classes: self.sizes.classes, rows, labels }
    }

    fn row(&self, random: &mut ChaCha8Rng) -> Row {
        let factors: Vec<f64> = (0..factors(self.sizes.numeric)).map(|_| normal(random)).collect();
        let half = 0.5_f64.sqrt();
        let numbers = self.columns.iter().map(|column| {
            let shared: f64 = column
                .loadings
                .iter()
                .zip(&factors)
                .map(|(loading, factor)| loading * factor)
                .sum();
            let z = half * (shared + normal(random));
            match column.kind {
                Kind::Normal => z,
                Kind::LogNormal { deviation } => libm::exp(deviation * z),
                Kind::HeavyTailed => {
                    let squares: f64 = (0..3).map(|_| normal(random)).map(|x| x * x).sum();
                    z / (squares / 3.0).sqrt().max(1e-3)
                }
                Kind::Binary { threshold } => f64::from(z > threshold),
            }
        });
        let numbers = numbers.collect();
        let categories = self.up_to.iter().map(|sums| {
            let point = random.random::<f64>();
            sums.partition_point(|&sum| sum <= point).min(sums.len() - 1)
        });
        Row { numbers, categories: categories.collect() }
    }

    fn tree(&self, reference: &[Row], random: &mut ChaCha8Rng) -> Tree {
        let TableSizes { numeric, categories, classes, depth, .. } = &self.sizes;
        let leaves = 1_usize << depth;
        let decisions = (1..leaves).map(|_| {
            let column = random.random_range(0..(numeric + categories.len()) as u32) as usize;
            match column.checked_sub(*numeric) {
                None => {
                    let threshold = match self.columns[column].kind {
                        Kind::Binary { .. } => 0.5,
                        _ => {
                            reference[random.random_range(0..reference.len() as u32) as usize]
                                .numbers[column]
                        }
                    };
                    Decision::Above { column, threshold }
                }
                Some(column) => Decision::OneOf {
                    column,
                    categories: (0..categories[column]).map(|_| random.random::<bool>()).collect(),
                },
            }
        });
        let decisions = decisions.collect();
        Tree { decisions, leaves: (0..leaves * classes).map(|_| normal(random)).collect() }
    }

    /// The summed leaves.
    fn logits(&self, row: &Row) -> Vec<f64> {
        let classes = self.sizes.classes;
        let mut logits = vec![0.0; classes];
        for tree in &self.trees {
            let mut at = 0;
            for _ in 0..self.sizes.depth {
                let right = match &tree.decisions[at] {
                    Decision::Above { column, threshold } => row.numbers[*column] > *threshold,
                    Decision::OneOf { column, categories } => categories[row.categories[*column]],
                };
                at = 2 * at + 1 + usize::from(right);
            }
            let leaf = at - tree.decisions.len();
            for (logit, value) in logits.iter_mut().zip(&tree.leaves[leaf * classes..]) {
                *logit += value;
            }
        }
        logits
    }
}

fn normal(random: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(random)
}

/// Factors that so many columns share.
fn factors(columns: usize) -> usize {
    (1 + columns / 4).min(MOST_FACTORS)
}

fn column(i: usize, columns: usize, random: &mut ChaCha8Rng) -> Column {
    let kind = match i % 4 {
        0 => Kind::Normal,
        1 => Kind::LogNormal { deviation: random.random_range(0.5..1.5) },
        2 => Kind::HeavyTailed,
        // Shares of ones from 7 to 93 percent.
        _ => Kind::Binary { threshold: random.random_range(-1.5..1.5) },
    };
    let mut loadings: Vec<f64> = (0..factors(columns)).map(|_| normal(random)).collect();
    let length = loadings.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-9);
    for loading in &mut loadings {
        *loading /= length;
    }
    Column {
        kind,
        loadings,
        unit: libm::pow(10.0, random.random_range(-3.0..3.0)),
        shift: normal(random),
    }
}

/// The sums of the probabilities of Zipf's law with exponent 1.
fn zipf(count: usize) -> Vec<f64> {
    let total: f64 = (1..=count).map(|rank| 1.0 / rank as f64).sum();
    let mut sum = 0.0;
    (1..=count)
        .map(|rank| {
            sum += 1.0 / (rank as f64 * total);
            sum
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes() -> TableSizes {
        TableSizes {
            numeric: 12,
            categories: vec![3, 10],
            classes: 4,
            trees: 12,
            depth: 3,
            scale: 2.0,
        }
    }

    fn column_of(vectors: &Vectors, column: usize) -> Vec<f64> {
        (0..vectors.len()).map(|i| f64::from(vectors.row(i)[column])).collect()
    }

    fn mean(values: &[f64]) -> f64 {
        values.iter().sum::<f64>() / values.len() as f64
    }

    #[test]
    fn a_seed_gives_the_same_bits_and_another_another_table() {
        let examples = |seed| Table::new(sizes(), seed).examples(50, 20, seed);
        assert_eq!(examples(1), examples(1));
        assert_ne!(examples(1).0.rows, examples(2).0.rows);
        let (training, validation) = examples(1);
        assert_eq!((training.features, training.len(), validation.len()), (25, 50, 20));
        assert_ne!(training.rows[..25], validation.rows[..25]);
    }

    #[test]
    fn numeric_columns_are_standardised_by_the_training_rows_and_one_hot_columns_are_not() {
        let (training, validation) = Table::new(sizes(), 3).examples(2_000, 2_000, 3);
        for column in 0..12 {
            let known = column_of(&training, column);
            let square = mean(&known.iter().map(|x| x * x).collect::<Vec<f64>>());
            assert!(
                mean(&known).abs() < 1e-3 && (square - 1.0).abs() < 1e-3,
                "column {column}: {} {square}",
                mean(&known)
            );
            // The other rows go along by the same shift and scale: nearly, not exactly.
            let other = mean(&column_of(&validation, column));
            assert!(other.abs() > 1e-6 && other.abs() < 0.3, "column {column}: {other}");
        }
        for i in 0..training.len() {
            let row = &training.row(i)[12..];
            assert!(row.iter().all(|&x| x == 0.0 || x == 1.0));
            assert_eq!((row[..3].iter().sum::<f32>(), row[3..].iter().sum::<f32>()), (1.0, 1.0));
        }
    }

    #[test]
    fn columns_are_of_the_kinds_that_they_should_be() {
        let table = Table::new(sizes(), 5);
        let (vectors, _) = table.examples(8_000, 1, 5);
        let largest = |column| {
            column_of(&vectors, column).into_iter().fold(0.0, |most: f64, x| most.max(x.abs()))
        };
        for column in (0..12).step_by(4) {
            assert!(largest(column) < 5.5, "normal: {}", largest(column));
            let log_normal = column_of(&vectors, column + 1);
            let skew = mean(&log_normal.iter().map(|x| x * x * x).collect::<Vec<f64>>());
            assert!(skew > 1.0, "log-normal: {skew}");
            assert!(largest(column + 2) > 6.0, "heavy-tailed: {}", largest(column + 2));
            let mut binary = column_of(&vectors, column + 3);
            binary.sort_by(f64::total_cmp);
            binary.dedup();
            assert_eq!(binary.len(), 2, "binary");
        }
        // Zipf: the second category of ten comes half as often as the first, and all ten come.
        let counts: Vec<f64> =
            (15..25).map(|column| column_of(&vectors, column).iter().sum()).collect();
        assert!((counts[1] / counts[0] - 0.5).abs() < 0.08 && counts[9] > 100.0, "{counts:?}");
        // Units are far apart before the standardisation.
        let units: Vec<f64> = table.columns.iter().map(|column| column.unit).collect();
        let (least, most) = (
            units.iter().copied().fold(f64::INFINITY, f64::min),
            units.iter().copied().fold(0.0, f64::max),
        );
        assert!(most / least > 100.0, "{units:?}");
    }

    #[test]
    fn columns_are_correlated_as_their_loadings_say() {
        let table = Table::new(sizes(), 7);
        let (vectors, _) = table.examples(8_000, 1, 7);
        let mut strongest: f64 = 0.0;
        for (a, b) in [(0, 4), (0, 8), (4, 8)] {
            let expected: f64 = 0.5
                * table.columns[a]
                    .loadings
                    .iter()
                    .zip(&table.columns[b].loadings)
                    .map(|(x, y)| x * y)
                    .sum::<f64>();
            let products: Vec<f64> = column_of(&vectors, a)
                .iter()
                .zip(column_of(&vectors, b))
                .map(|(x, y)| x * y)
                .collect();
            assert!(
                (mean(&products) - expected).abs() < 0.05,
                "{a} {b}: {} {expected}",
                mean(&products)
            );
            strongest = strongest.max(expected.abs());
        }
        assert!(strongest > 0.1, "{strongest}");
    }

    #[test]
    fn classes_are_balanced_and_labels_are_the_surer_the_larger_the_scale() {
        for seed in 0..5 {
            let (vectors, _) = Table::new(sizes(), seed).examples(4_000, 1, seed);
            let mut counts = [0; 4];
            for &label in &vectors.labels {
                counts[usize::from(label)] += 1;
            }
            assert!(
                counts.iter().all(|&count| count > 500 && count < 1_700),
                "seed {seed}: {counts:?}"
            );
        }
        let labels =
            |scale| Table::new(TableSizes { scale, ..sizes() }, 1).examples(2_000, 1, 1).0.labels;
        let sure = labels(1e6);
        let agree = |scale| labels(scale).iter().zip(&sure).filter(|(a, b)| a == b).count();
        let (weak, strong) = (agree(0.5), agree(4.0));
        assert!(weak > 500 && weak + 300 < strong && strong < 2_000, "{weak} {strong}");
    }

    #[test]
    fn tables_without_trees_or_without_numbers_are_tables_too() {
        let (vectors, _) = Table::new(TableSizes { trees: 0, ..sizes() }, 1).examples(1_000, 1, 1);
        assert!(
            (0..4)
                .all(|class| vectors.labels.iter().filter(|&&label| label == class).count() > 180)
        );
        let (vectors, _) =
            Table::new(TableSizes { numeric: 0, categories: vec![1, 2], depth: 1, ..sizes() }, 1)
                .examples(100, 1, 1);
        assert_eq!(vectors.features, 3);
        let (vectors, _) =
            Table::new(TableSizes { categories: Vec::new(), depth: 0, classes: 1, ..sizes() }, 1)
                .examples(10, 1, 1);
        assert!(
            vectors.labels.iter().all(|&label| label == 0)
                && vectors.rows.iter().all(|x| x.is_finite())
        );
    }
}
