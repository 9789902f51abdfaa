//! Sums along the rows of a matrix, in one fixed order whatever the width of the machine's vectors.

use super::scalar::Scalar;
use multiversion::multiversion;

/// Partial sums that a row is split into: lane l adds the numbers l, l + 16, l + 32, ...
const LANES: usize = 16;

/// `sums[i] = Σ_n matrix[i, n]` for the rows of a matrix of `sums.len()` rows.
///
/// # Panics
/// If the matrix does not have `sums.len()` rows of one length.
pub fn sum_rows<T: Scalar>(sums: &mut [T], matrix: &[T]) {
    assert!(!sums.is_empty() && matrix.len().is_multiple_of(sums.len()));
    add_rows(sums, matrix);
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn add_rows<T: Scalar>(sums: &mut [T], matrix: &[T]) {
    let n = matrix.len() / sums.len();
    for (sum, row) in sums.iter_mut().zip(matrix.chunks_exact(n)) {
        let (blocks, rest) = row.as_chunks::<LANES>();
        let mut lanes = [T::ZERO; LANES];
        for block in blocks {
            for l in 0..LANES {
                lanes[l] += block[l];
            }
        }
        *sum = rest.iter().fold(add_lanes(&lanes), |sum, &x| sum + x);
    }
}

/// `sums[i] = Σ_n left[i, n] right[i, n]` for the rows of two matrices of `sums.len()` rows.
///
/// # Panics
/// If the matrices do not have `sums.len()` rows of one length.
pub fn dot_rows<T: Scalar>(sums: &mut [T], left: &[T], right: &[T]) {
    assert!(!sums.is_empty() && left.len().is_multiple_of(sums.len()) && left.len() == right.len());
    add_products(sums, left, right);
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn add_products<T: Scalar>(sums: &mut [T], left: &[T], right: &[T]) {
    let n = left.len() / sums.len();
    for ((sum, left), right) in sums.iter_mut().zip(left.chunks_exact(n)).zip(right.chunks_exact(n))
    {
        let (left_blocks, left_rest) = left.as_chunks::<LANES>();
        let (right_blocks, right_rest) = right.as_chunks::<LANES>();
        let mut lanes = [T::ZERO; LANES];
        for (x, y) in left_blocks.iter().zip(right_blocks) {
            for l in 0..LANES {
                lanes[l] = x[l].mul_add(y[l], lanes[l]);
            }
        }
        *sum = left_rest
            .iter()
            .zip(right_rest)
            .fold(add_lanes(&lanes), |sum, (&x, &y)| x.mul_add(y, sum));
    }
}

/// The sum of the lanes: halves are added to each other, 16 to 8 to 4 to 2 to 1.
#[inline(always)]
fn add_lanes<T: Scalar>(lanes: &[T; LANES]) -> T {
    let mut eight = [T::ZERO; 8];
    for l in 0..8 {
        eight[l] = lanes[l] + lanes[l + 8];
    }
    let mut four = [T::ZERO; 4];
    for l in 0..4 {
        four[l] = eight[l] + eight[l + 4];
    }
    (four[0] + four[2]) + (four[1] + four[3])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_sums_and_dots_take_every_number_once() {
        for n in [1, 15, 16, 17, 64, 100] {
            let x: Vec<f64> = (0..3 * n).map(|i| i as f64).collect();
            let mut sums = [0.0; 3];
            sum_rows(&mut sums, &x);
            let want: Vec<f64> = x.chunks(n).map(|row| row.iter().sum()).collect();
            assert_eq!(sums.to_vec(), want);
            dot_rows(&mut sums, &x, &x);
            let want: Vec<f64> = x.chunks(n).map(|row| row.iter().map(|x| x * x).sum()).collect();
            assert_eq!(sums.to_vec(), want);
        }
    }
}
