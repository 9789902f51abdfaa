//! Functions of matrices for the matrix of one array, computed plainly and in a fixed order: for
//! the oracle. `matrix_kernels` has the same for the fast engines.
//!
//! Sums are taken in f64 from the first term to the last and rounded once, so results have the same
//! bits for any number of threads and any vector instructions. How an array is seen as a matrix is
//! said in [`symopt_dsl::types`].

use std::ops::Range;

use symopt_dsl::Type;
use symopt_dsl::semantics::{
    NEWTON_SCHULZ_COEFFICIENTS, NEWTON_SCHULZ_EPSILON, NEWTON_SCHULZ_STEPS,
};

use crate::math::Real;
use crate::reduce;

/// A matrix, row after row.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a, T> {
    /// Rows and columns.
    pub shape: [usize; 2],
    /// As many numbers as the shape says.
    pub numbers: &'a [T],
}

/// Where the numbers of each array stand in a value of a type.
pub(crate) fn ranges(matrices: &[[usize; 2]], ty: Type) -> Vec<Range<usize>> {
    let mut end = 0;
    let range = |matrix: &[usize; 2]| {
        let start = end;
        end = ty
            .shape(*matrix)
            .iter()
            .fold(1_usize, |size, axis| size.saturating_mul(*axis))
            .saturating_add(start);
        start..end
    };
    matrices.iter().map(range).collect()
}

/// The columns as rows.
pub fn transpose<T: Real>(x: Matrix<'_, T>) -> Vec<T> {
    let [rows, columns] = x.shape;
    (0..columns)
        .flat_map(|column| (0..rows).map(move |row| x.numbers[row * columns + column]))
        .collect()
}

/// The mean of each row at every place of it.
pub fn row_mean<T: Real>(x: Matrix<'_, T>) -> Vec<T> {
    let columns = x.shape[1].max(1);
    x.numbers
        .chunks_exact(columns)
        .flat_map(|row| std::iter::repeat_n(mean(row.iter()), columns))
        .collect()
}

/// The mean of each column at every place of it.
pub fn column_mean<T: Real>(x: Matrix<'_, T>) -> Vec<T> {
    let [rows, columns] = x.shape;
    let means: Vec<T> =
        (0..columns).map(|column| mean(x.numbers.iter().skip(column).step_by(columns))).collect();
    std::iter::repeat_n(means, rows).flatten().collect()
}

/// The mean of numbers, added from the first to the last. The mean of one number is the number
/// itself.
fn mean<'a, T: Real + 'a>(numbers: impl ExactSizeIterator<Item = &'a T>) -> T {
    let count = numbers.len() as f64;
    T::from_f64(numbers.map(|x| x.to_f64()).reduce(|sum, x| sum + x).unwrap_or(0.0) / count)
}

/// The product of two matrices; the columns of the first are the rows of the second. Each number is
/// a sum of products in f64, rounded once. Without inner columns all numbers are zero.
pub fn product<T: Real>(x: Matrix<'_, T>, y: Matrix<'_, T>) -> Vec<T> {
    let ([rows, inner], columns) = (x.shape, y.shape[1]);
    let number = |row: usize, column: usize| {
        let terms = (0..inner).map(|k| {
            x.numbers[row * inner + k].to_f64() * y.numbers[k * columns + column].to_f64()
        });
        // Not added to zero, which would lose the sign of a zero.
        T::from_f64(terms.reduce(|sum, term| sum + term).unwrap_or(0.0))
    };
    (0..rows).flat_map(|row| (0..columns).map(move |column| number(row, column))).collect()
}

/// Five steps of Muon's Newton-Schulz iteration (Jordan 2024), after division by the Frobenius norm
/// plus 1e-7: the singular values come close to 1. A matrix with more rows than columns is worked
/// on transposed, as the products are smaller then.
///
/// With X the matrix: `A = X X^T`, `B = b A + c A A`, `X = a X + B X`. Products are rounded once
/// for each number, all else place by place.
pub fn newton_schulz<T: Real>(x: Matrix<'_, T>) -> Vec<T> {
    let [a, b, c] = NEWTON_SCHULZ_COEFFICIENTS.map(T::from_f64);
    let [rows, columns] = x.shape;
    let is_tall = rows > columns;
    let mut shape = x.shape;
    let mut numbers = x.numbers.to_vec();
    if is_tall {
        numbers = transpose(x);
        shape = [columns, rows];
    }
    let norm = T::from_f64(
        libm::sqrt(reduce::sum_of_products(x.numbers, x.numbers)) + NEWTON_SCHULZ_EPSILON,
    );
    numbers.iter_mut().for_each(|x| *x = *x / norm);
    let square = [shape[0]; 2];
    for _ in 0..NEWTON_SCHULZ_STEPS {
        let x = Matrix { shape, numbers: &numbers };
        let turned = transpose(x);
        let gram = product(x, Matrix { shape: [shape[1], shape[0]], numbers: &turned });
        let gram = Matrix { shape: square, numbers: &gram };
        let mut polynomial = product(gram, gram);
        polynomial.iter_mut().zip(gram.numbers).for_each(|(p, gram)| *p = b * *gram + c * *p);
        let mut next = product(Matrix { shape: square, numbers: &polynomial }, x);
        next.iter_mut().zip(&numbers).for_each(|(next, x)| *next = a * *x + *next);
        numbers = next;
    }
    if is_tall { transpose(Matrix { shape, numbers: &numbers }) } else { numbers }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_is_rows_times_columns_and_keeps_the_signs_of_zeros() {
        let (x, y) = ([1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0], [7.0, 8.0, 9.0]);
        let x = Matrix { shape: [2, 3], numbers: &x };
        assert_eq!(product(x, Matrix { shape: [3, 1], numbers: &y }), [50.0, 122.0]);
        let zero = product(
            Matrix { shape: [1, 1], numbers: &[-0.0_f32] },
            Matrix { shape: [1, 1], numbers: &[3.0] },
        );
        assert_eq!(zero[0].to_bits(), (-0.0_f32).to_bits());
        let empty: Matrix<'_, f32> = Matrix { shape: [2, 0], numbers: &[] };
        let none = Matrix { shape: [0, 2], numbers: &[] };
        assert_eq!(product(empty, none), [0.0; 4]);
        assert!(product(none, empty).is_empty());
    }

    #[test]
    fn means_are_spread_and_of_single_numbers_they_are_the_numbers() {
        let x = Matrix { shape: [2, 3], numbers: &[1.0, 2.0, 6.0, -1.0, 0.0, 4.0_f64] };
        assert_eq!(row_mean(x), [3.0, 3.0, 3.0, 1.0, 1.0, 1.0]);
        assert_eq!(column_mean(x), [0.0, 1.0, 5.0, 0.0, 1.0, 5.0]);
        assert_eq!(transpose(x), [1.0, -1.0, 2.0, 0.0, 6.0, 4.0]);
        let vector = Matrix { shape: [3, 1], numbers: &[-0.0, 1.0, f64::MAX] };
        assert!(
            row_mean(vector).iter().zip(vector.numbers).all(|(a, b)| a.to_bits() == b.to_bits())
        );
        for shape in [[0, 3], [3, 0], [0, 0]] {
            let empty: Matrix<'_, f64> = Matrix { shape, numbers: &[] };
            assert!(
                row_mean(empty).is_empty()
                    && column_mean(empty).is_empty()
                    && transpose(empty).is_empty()
            );
            assert!(newton_schulz(empty).is_empty());
        }
    }

    #[test]
    fn newton_schulz_brings_singular_values_close_to_1_whatever_the_scale_and_keeps_the_singular_vectors()
     {
        // Orthogonal columns times singular values that are far apart.
        let (s, root) = ([3.0, 0.5], 0.5_f64.sqrt());
        for scale in [1.0, 1e-3, 1e4] {
            let tall: Vec<f64> =
                [root * s[0], 0.5 * s[1], root * s[0], -0.5 * s[1], 0.0, root * s[1]]
                    .map(|x| scale * x)
                    .to_vec();
            let done = newton_schulz(Matrix { shape: [3, 2], numbers: &tall });
            for column in 0..2 {
                let singular = (0..3).map(|row| done[2 * row + column].powi(2)).sum::<f64>().sqrt();
                assert!((0.65..1.25).contains(&singular), "{singular}");
                for row in 0..3 {
                    let direction = tall[2 * row + column] / (scale * s[column]);
                    assert!((done[2 * row + column] / singular - direction).abs() < 1e-9);
                }
            }
            let wide = transpose(Matrix { shape: [3, 2], numbers: &tall });
            assert_eq!(
                transpose(Matrix {
                    shape: [2, 3],
                    numbers: &newton_schulz(Matrix { shape: [2, 3], numbers: &wide })
                }),
                done
            );
        }
        assert_eq!(newton_schulz(Matrix { shape: [2, 2], numbers: &[0.0_f32; 4] }), [0.0; 4]);
    }
}
