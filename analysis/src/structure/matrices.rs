//! Measures what a program does to matrices: whether its updates are orthogonalised.

use ndarray::{ArrayD, IxDyn};
use serde::Serialize;
use symopt_dsl::Program;
use symopt_evaluator::Reference;

use super::streams::Random;

/// A wide matrix, a tall one and a square one.
const SHAPES: [[usize; 2]; 3] = [[6, 10], [10, 6], [8, 8]];

/// Steps of a run, and how many of them are measured: the last ones.
const STEPS: usize = 60;
const MEASURED: usize = 10;

/// Steps from which on the gradients of both runs are the same.
const COMMON_FROM: usize = STEPS - 2;

/// The size of the mean of the gradients, a matrix of few large singular values, beside the noise.
const MEAN: f64 = 3.0;

/// Measurements of a program on matrices: a wide one, a tall one and a square one, whose gradients
/// have a drifting mean of rank 2 and noise, over 60 steps from zero state; the last ten count. The
/// weights are zero.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Matrices {
    /// The spread of the squared singular values of the update: their standard deviation over their
    /// mean, averaged over the steps, of the matrix where it is largest. 0 for an orthogonal matrix.
    pub spread: f64,
    /// The same of the gradients, where it is smallest.
    pub spread_of_gradients: f64,
    /// The cosine between the last update and that after other gradients earlier: 1 where these
    /// make no difference.
    pub memory: f64,
    /// The cosine between the last update and that of the same numbers as vectors: 1 where matrices
    /// are nothing special.
    pub as_vectors: f64,
}

/// Measures a program; `None` if it can't be run, or gives no finite numbers.
pub(super) fn measure(program: &Program) -> Option<Matrices> {
    let gradients = gradients(11);
    // Other gradients, but for the last steps.
    let mut others = self::gradients(12);
    others.truncate(COMMON_FROM);
    others.extend_from_slice(&gradients[COMMON_FROM..]);
    let matrices = SHAPES.map(|shape| shape.to_vec());
    let vectors = SHAPES.map(|[rows, columns]| vec![rows * columns]);
    let updates = updates(program, &gradients, &matrices)?;
    let after_others = self::updates(program, &others, &matrices)?;
    let of_vectors = self::updates(program, &gradients, &vectors)?;
    let late = |steps: &[Vec<ArrayD<f64>>], matrix: usize| {
        let spreads = steps[STEPS - MEASURED..].iter().map(|arrays| spread(&arrays[matrix]));
        spreads.sum::<f64>() / MEASURED as f64
    };
    let of = |steps: &[Vec<ArrayD<f64>>]| -> [f64; SHAPES.len()] {
        std::array::from_fn(|matrix| late(steps, matrix))
    };
    let spread = of(&updates).into_iter().fold(0.0, f64::max);
    let memory = cosine(updates.last()?, after_others.last()?);
    // NaN or infinity is close to nothing, so it yields `None`.
    let as_vectors = cosine(updates.last()?, of_vectors.last()?);
    let all_finite = of(&updates).iter().all(|spread| spread.is_finite())
        && memory.is_finite()
        && as_vectors.is_finite();
    all_finite.then(|| Matrices {
        spread,
        spread_of_gradients: of(&gradients).into_iter().fold(f64::INFINITY, f64::min),
        memory,
        as_vectors,
    })
}

/// Gradients of all matrices for all steps.
fn gradients(seed: u64) -> Vec<Vec<ArrayD<f64>>> {
    let mut random = Random(seed);
    let mut factors: Vec<[Vec<f64>; 2]> = SHAPES
        .iter()
        .flat_map(|[rows, columns]| [[*rows, *columns]; 2])
        .map(|sides| sides.map(|side| (0..side).map(|_| random.bell()).collect()))
        .collect();
    let step = |_| {
        for number in factors.iter_mut().flatten().flatten() {
            *number = 0.98 * *number + 0.2 * random.bell();
        }
        let matrix = |(pair, [rows, columns]): (&[[Vec<f64>; 2]], &[usize; 2])| {
            ArrayD::from_shape_fn(IxDyn(&[*rows, *columns]), |place| {
                let mean: f64 = pair.iter().map(|[u, v]| u[place[0]] * v[place[1]]).sum();
                0.1 * (MEAN * mean + random.bell())
            })
        };
        factors.chunks_exact(2).zip(&SHAPES).map(matrix).collect()
    };
    (0..STEPS).map(step).collect()
}

/// The updates of a program from zero state on, for arrays of the shapes. `None` if it can't be run.
fn updates(
    program: &Program,
    gradients: &[Vec<ArrayD<f64>>],
    shapes: &[Vec<usize>],
) -> Option<Vec<Vec<ArrayD<f64>>>> {
    let mut reference = Reference::<f64>::new(program, shapes).ok()?;
    let lr = program.signature().peak_learning_rate();
    let weights: Vec<ArrayD<f64>> =
        shapes.iter().map(|shape| ArrayD::zeros(IxDyn(shape))).collect();
    let shaped = |(array, shape): (&ArrayD<f64>, &Vec<usize>)| {
        array.clone().into_shape_with_order(IxDyn(shape)).ok()
    };
    let step = |gradients: &Vec<ArrayD<f64>>| {
        let gradients: Vec<ArrayD<f64>> =
            gradients.iter().zip(shapes).map(shaped).collect::<Option<_>>()?;
        reference.update(&weights, &gradients, lr).ok()
    };
    gradients.iter().map(step).collect()
}

/// The spread of the squared singular values of a matrix. They are the eigenvalues of its product
/// with its transpose: the sum of these is the trace, that of their squares the sum of the squared
/// numbers of the product.
fn spread(matrix: &ArrayD<f64>) -> f64 {
    let [rows, columns] = [matrix.shape()[0], matrix.shape()[1]];
    let is_tall = rows > columns;
    let (side, inner) = if is_tall { (columns, rows) } else { (rows, columns) };
    // By the largest number, so that nothing overflows.
    let most = matrix.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    let at = |i: usize, k: usize| {
        let place = if is_tall { [k, i] } else { [i, k] };
        matrix.get(IxDyn(&place)).copied().unwrap_or(0.0) / most
    };
    let (mut sum, mut squares) = (0.0, 0.0);
    for i in 0..side {
        for j in 0..side {
            let product: f64 = (0..inner).map(|k| at(i, k) * at(j, k)).sum();
            squares += product * product;
            if i == j {
                sum += product;
            }
        }
    }
    let mean = sum / side as f64;
    let variance = squares / side as f64 - mean * mean;
    variance.max(0.0).sqrt() / mean
}

/// The cosine between two updates of all matrices.
fn cosine(a: &[ArrayD<f64>], b: &[ArrayD<f64>]) -> f64 {
    let pairs = || a.iter().flatten().zip(b.iter().flatten());
    let dot: f64 = pairs().map(|(x, y)| x * y).sum();
    let squares: [f64; 2] = [pairs().map(|(x, _)| x * x).sum(), pairs().map(|(_, y)| y * y).sum()];
    dot / (squares[0].sqrt() * squares[1].sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_that_of_the_squared_singular_values() {
        let matrix = |rows: &[&[f64]]| {
            ArrayD::from_shape_fn(IxDyn(&[rows.len(), rows[0].len()]), |p| rows[p[0]][p[1]])
        };
        // A rotation by some angle, as large as it may be.
        let orthogonal = matrix(&[&[0.6e200, -0.8e200], &[0.8e200, 0.6e200]]);
        assert!(spread(&orthogonal) < 1e-7);
        // Singular values 3 and 1, squares 9 and 1: mean 5, deviation 4.
        let diagonal = [[3.0, 0.0, 0.0], [0.0, 1.0, 0.0]];
        let wide = matrix(&[&diagonal[0], &diagonal[1]]);
        assert!((spread(&wide) - 0.8).abs() < 1e-12);
        assert!((spread(&wide.clone().reversed_axes()) - 0.8).abs() < 1e-12);
        assert!(!spread(&matrix(&[&[0.0, 0.0]])).is_finite());
    }
}
