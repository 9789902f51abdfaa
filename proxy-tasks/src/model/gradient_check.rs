//! The check of hand-written gradients against central differences, in f64.

use super::{Batch, Inputs, Model};
use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// A random batch that owns its numbers.
pub(crate) struct Example {
    size: usize,
    rows: Vec<f64>,
    columns: Vec<f64>,
    tokens: Vec<u16>,
    labels: Vec<u16>,
}

impl Example {
    pub(crate) fn vectors(features: usize, classes: usize, size: usize) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let rows: Vec<f64> =
            (0..features * size).map(|_| StandardNormal.sample(&mut random)).collect();
        let columns =
            (0..features * size).map(|i| rows[(i % size) * features + i / size]).collect();
        let labels = (0..size).map(|_| random.random_range(0..classes) as u16).collect();
        Example { size, rows, columns, tokens: Vec::new(), labels }
    }

    pub(crate) fn tokens(vocabulary: usize, positions: usize, size: usize) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(8);
        let mut draw =
            || (0..positions * size).map(|_| random.random_range(0..vocabulary) as u16).collect();
        Example { size, rows: Vec::new(), columns: Vec::new(), tokens: draw(), labels: draw() }
    }

    pub(crate) fn batch(&self) -> Batch<'_, f64> {
        let inputs = if self.tokens.is_empty() {
            Inputs::Vectors { rows: &self.rows, columns: &self.columns }
        } else {
            Inputs::Tokens(&self.tokens)
        };
        Batch { size: self.size, inputs, labels: &self.labels }
    }
}

/// Panics unless the gradient of each parameter array has a relative error below 1e-6. Arrays of
/// more than 60 numbers are checked at 60 places.
pub(crate) fn check(model: &dyn Model<f64>, example: Example) {
    let mut random = ChaCha8Rng::seed_from_u64(9);
    let batch = example.batch();
    // One more than needed, as in a run whose last batch is small; and stale numbers, which nothing
    // may read.
    let mut workspace = model.workspace(example.size + 1);
    workspace.numbers().fill(f64::NAN);
    // Away from the start, where biases are zero and layer norms are one.
    let mut parameters: Vec<f64> = model.initialize(&mut random);
    for value in &mut parameters {
        let noise: f64 = StandardNormal.sample(&mut random);
        *value += 0.2 * noise;
    }
    let mut gradient = vec![f64::NAN; parameters.len()];
    let loss = model.loss_and_gradient(&parameters, &batch, &mut gradient, &mut workspace);
    assert!((loss - model.evaluate(&parameters, &batch, &mut workspace).loss()).abs() < 1e-12);

    for array in model.parameters().arrays() {
        let stride = array.range.len().div_ceil(60);
        let (mut error, mut size) = (0.0, 0.0);
        for i in array.range.clone().step_by(stride) {
            let kept = parameters[i];
            // Where a ReLU changes sides within the step, the difference is no derivative; the
            // shorter step rounds more, but rarely meets one. A wrong gradient agrees with neither.
            let differences = [2e-6, 1e-7].map(|step| {
                parameters[i] = kept + step;
                let up = model.evaluate(&parameters, &batch, &mut workspace).loss();
                parameters[i] = kept - step;
                let down = model.evaluate(&parameters, &batch, &mut workspace).loss();
                (up - down) / (2.0 * step)
            });
            parameters[i] = kept;
            let [far, near] = differences.map(|difference| (gradient[i] - difference).abs());
            error += far.min(near).powi(2);
            size += differences[usize::from(near < far)].powi(2);
        }
        // The size floor is for arrays without influence, such as the bias of the keys, whose true
        // gradient is zero.
        let relative = f64::sqrt(error) / f64::sqrt(size).max(1e-3);
        assert!(
            relative < 1e-6,
            "{}: relative error {relative:e} (size {:e})",
            array.name,
            f64::sqrt(size)
        );
    }
}
