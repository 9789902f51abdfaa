//! Matrix products.
//!
//! Matrices are row-major slices without gaps. Small products run in the kernels below, the others
//! in the `gemm` crate on the calling thread. Up to about a million multiplications the kernels are
//! as fast or faster (112 to 117 GFLOP/s against 89 to 117 on a Zen 4 core), they add the bias on
//! the way, and every element is one chain of fused multiply-adds over the inner index: its bits
//! depend neither on the width of the vectors nor on the machine, so that a small task has the same
//! result everywhere. Which of the two runs depends on the shape alone.

use super::scalar::Scalar;
use multiversion::multiversion;

/// Products of more multiplications than this go to the `gemm` crate.
const GEMM_FROM: usize = 1 << 20;

/// Values that a product is added to.
#[derive(Clone, Copy)]
pub enum Start<'a, T> {
    /// Zero: the destination is overwritten.
    Zero,
    /// One number for each row of the destination.
    Rows(&'a [T]),
}

/// `destination[m, n] = start + left[m, k] · right[k, n]`.
///
/// # Panics
/// If a slice does not have the length that the sizes say.
pub fn multiply<T: Scalar>(
    destination: &mut [T],
    start: Start<T>,
    left: &[T],
    right: &[T],
    [m, k, n]: [usize; 3],
) {
    assert!(destination.len() == m * n && left.len() == m * k && right.len() == k * n);
    if m * k * n > GEMM_FROM {
        fill(destination, start, n);
        large(destination, left, [k, 1], right, [n, 1], [m, k, n]);
    } else {
        small(destination, start, left, right, [m, k, n]);
    }
}

/// `destination[m, n] = start + left[k, m]ᵀ · right[k, n]`.
///
/// # Panics
/// If a slice does not have the length that the sizes say.
pub fn multiply_left_transposed<T: Scalar>(
    destination: &mut [T],
    start: Start<T>,
    left: &[T],
    right: &[T],
    [m, k, n]: [usize; 3],
) {
    assert!(destination.len() == m * n && left.len() == m * k && right.len() == k * n);
    if m * k * n > GEMM_FROM {
        fill(destination, start, n);
        large(destination, left, [1, m], right, [n, 1], [m, k, n]);
    } else {
        small_left_transposed(destination, start, left, right, [m, k, n]);
    }
}

/// `destination[m, n] = left[m, k] · right[n, k]ᵀ`. `scratch` holds at least k * n numbers.
///
/// # Panics
/// If a slice does not have the length that the sizes say.
pub fn multiply_right_transposed<T: Scalar>(
    destination: &mut [T],
    left: &[T],
    right: &[T],
    [m, k, n]: [usize; 3],
    scratch: &mut [T],
) {
    assert!(destination.len() == m * n && left.len() == m * k && right.len() == k * n);
    if m * k * n > GEMM_FROM {
        destination.fill(T::ZERO);
        large(destination, left, [k, 1], right, [1, k], [m, k, n]);
    } else {
        // Turning the operand costs less than dot products, whose lanes must be added at the end.
        let turned = &mut scratch[..k * n];
        transpose(turned, right, [n, k]);
        small(destination, Start::Zero, left, turned, [m, k, n]);
    }
}

fn fill<T: Scalar>(destination: &mut [T], start: Start<T>, n: usize) {
    match start {
        Start::Zero => destination.fill(T::ZERO),
        Start::Rows(values) => {
            for (row, &value) in destination.chunks_exact_mut(n).zip(values) {
                row.fill(value);
            }
        }
    }
}

/// Adds the product to the destination. Strides are [row, column], in numbers.
fn large<T: Scalar>(
    destination: &mut [T],
    left: &[T],
    left_strides: [usize; 2],
    right: &[T],
    right_strides: [usize; 2],
    [m, k, n]: [usize; 3],
) {
    let last = |strides: [usize; 2], rows: usize, columns: usize| {
        (rows - 1) * strides[0] + (columns - 1) * strides[1]
    };
    if m == 0 || k == 0 || n == 0 {
        return;
    }
    assert!(destination.len() == m * n);
    assert!(last(left_strides, m, k) < left.len() && last(right_strides, k, n) < right.len());
    // SAFETY: all three pointers come from slices that live through the call. The farthest element
    // that the strides reach is inside each slice (asserted above), the destination is borrowed
    // mutably, so it overlaps neither operand, and it holds initialised numbers, so that it may be
    // read.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            destination.as_mut_ptr(),
            1,
            n as isize,
            true,
            left.as_ptr(),
            left_strides[1] as isize,
            left_strides[0] as isize,
            right.as_ptr(),
            right_strides[1] as isize,
            right_strides[0] as isize,
            T::ONE,
            T::ONE,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// Columns of the destination that are held in registers at a time; twice as many where the row is
/// long enough.
const COLUMNS: usize = 16;

/// Rows of the destination that are held in registers at a time, with so many still to do. Fives
/// where they come out even, so that the ten classes of the digits leave no thin rest.
#[inline(always)]
fn rows_at_a_time(left: usize) -> usize {
    if left.is_multiple_of(5) { 5 } else { left.min(4) }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn small<T: Scalar>(
    destination: &mut [T],
    start: Start<T>,
    left: &[T],
    right: &[T],
    [m, k, n]: [usize; 3],
) {
    let mut i = 0;
    while i < m {
        let rows = rows_at_a_time(m - i);
        let out = &mut destination[i * n..(i + rows) * n];
        let start = start.skip(i);
        match rows {
            5 => rows_of::<T, 5>(out, start, row_major::<T, 5>(left, k, i), right, n),
            4 => rows_of::<T, 4>(out, start, row_major::<T, 4>(left, k, i), right, n),
            3 => rows_of::<T, 3>(out, start, row_major::<T, 3>(left, k, i), right, n),
            2 => rows_of::<T, 2>(out, start, row_major::<T, 2>(left, k, i), right, n),
            _ => rows_of::<T, 1>(out, start, row_major::<T, 1>(left, k, i), right, n),
        }
        i += rows;
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn small_left_transposed<T: Scalar>(
    destination: &mut [T],
    start: Start<T>,
    left: &[T],
    right: &[T],
    [m, k, n]: [usize; 3],
) {
    let mut i = 0;
    while i < m {
        let rows = rows_at_a_time(m - i);
        let out = &mut destination[i * n..(i + rows) * n];
        let start = start.skip(i);
        match rows {
            5 => rows_of::<T, 5>(out, start, column_major::<T, 5>(left, k, m, i), right, n),
            4 => rows_of::<T, 4>(out, start, column_major::<T, 4>(left, k, m, i), right, n),
            3 => rows_of::<T, 3>(out, start, column_major::<T, 3>(left, k, m, i), right, n),
            2 => rows_of::<T, 2>(out, start, column_major::<T, 2>(left, k, m, i), right, n),
            _ => rows_of::<T, 1>(out, start, column_major::<T, 1>(left, k, m, i), right, n),
        }
        i += rows;
    }
}

impl<T: Scalar> Start<'_, T> {
    #[inline(always)]
    fn skip(self, i: usize) -> Self {
        match self {
            Start::Rows(values) => Start::Rows(&values[i..]),
            other => other,
        }
    }
}

/// Columns p = 0, 1, ... of R rows of a row-major matrix.
#[inline(always)]
fn row_major<T: Scalar, const R: usize>(
    left: &[T],
    k: usize,
    i: usize,
) -> impl Iterator<Item = [T; R]> + Clone {
    let mut rows: [&[T]; R] = [&[]; R];
    for (r, row) in rows.iter_mut().enumerate() {
        *row = &left[(i + r) * k..][..k];
    }
    (0..k).map(move |p| {
        let mut factors = [T::ZERO; R];
        for r in 0..R {
            factors[r] = rows[r][p];
        }
        factors
    })
}

/// Columns p = 0, 1, ... of R rows of a column-major matrix of m rows.
#[inline(always)]
fn column_major<T: Scalar, const R: usize>(
    left: &[T],
    k: usize,
    m: usize,
    i: usize,
) -> impl Iterator<Item = [T; R]> + Clone {
    left.chunks_exact(m).take(k).map(move |column| {
        let mut factors = [T::ZERO; R];
        factors.copy_from_slice(&column[i..i + R]);
        factors
    })
}

#[inline(always)]
fn rows_of<T: Scalar, const R: usize>(
    out: &mut [T],
    start: Start<T>,
    left: impl Iterator<Item = [T; R]> + Clone,
    right: &[T],
    n: usize,
) {
    let mut j = 0;
    while j + 2 * COLUMNS <= n {
        tile::<T, R, { 2 * COLUMNS }>(out, start, left.clone(), right, n, j);
        j += 2 * COLUMNS;
    }
    if j + COLUMNS <= n {
        tile::<T, R, COLUMNS>(out, start, left.clone(), right, n, j);
        j += COLUMNS;
    }
    if j + 8 <= n {
        tile::<T, R, 8>(out, start, left.clone(), right, n, j);
        j += 8;
    }
    if j + 4 <= n {
        tile::<T, R, 4>(out, start, left.clone(), right, n, j);
        j += 4;
    }
    while j < n {
        tile::<T, R, 1>(out, start, left.clone(), right, n, j);
        j += 1;
    }
}

#[inline(always)]
fn tile<T: Scalar, const R: usize, const C: usize>(
    out: &mut [T],
    start: Start<T>,
    left: impl Iterator<Item = [T; R]>,
    right: &[T],
    n: usize,
    j: usize,
) {
    let mut sums = [[T::ZERO; C]; R];
    match start {
        Start::Zero => {}
        Start::Rows(values) => {
            for r in 0..R {
                sums[r] = [values[r]; C];
            }
        }
    }
    for (factors, row) in left.zip(right.chunks_exact(n)) {
        let row = &row[j..j + C];
        for r in 0..R {
            for c in 0..C {
                sums[r][c] = factors[r].mul_add(row[c], sums[r][c]);
            }
        }
    }
    for r in 0..R {
        out[r * n + j..][..C].copy_from_slice(&sums[r]);
    }
}

/// `destination[columns, rows] = source[rows, columns]ᵀ`.
///
/// # Panics
/// If a slice does not have rows * columns numbers.
pub fn transpose<T: Scalar>(destination: &mut [T], source: &[T], [rows, columns]: [usize; 2]) {
    assert!(destination.len() == rows * columns && source.len() == rows * columns);
    transpose_blocks(destination, source, [rows, columns]);
}

fn transpose_blocks<T: Scalar>(destination: &mut [T], source: &[T], [rows, columns]: [usize; 2]) {
    const BLOCK: usize = 4;
    let (whole_rows, whole_columns) = (rows - rows % BLOCK, columns - columns % BLOCK);
    for i in (0..whole_rows).step_by(BLOCK) {
        let mut lines = source[i * columns..(i + BLOCK) * columns].chunks_exact(columns);
        let (Some(a), Some(b), Some(c), Some(d)) =
            (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return;
        };
        let sources = a
            .as_chunks::<4>()
            .0
            .iter()
            .zip(b.as_chunks::<4>().0)
            .zip(c.as_chunks::<4>().0)
            .zip(d.as_chunks::<4>().0);
        for ((((a, b), c), d), target) in sources.zip(destination.chunks_exact_mut(BLOCK * rows)) {
            let block = T::transpose_block([*a, *b, *c, *d]);
            for (line, column) in target.chunks_exact_mut(rows).zip(&block) {
                line[i..i + BLOCK].copy_from_slice(column);
            }
        }
    }
    for i in 0..rows {
        let from = if i < whole_rows { whole_columns } else { 0 };
        for j in from..columns {
            destination[j * rows + i] = source[i * columns + j];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, factor: f64) -> Vec<f64> {
        (0..count).map(|i| (i as f64 * factor).sin()).collect()
    }

    fn plain(
        left: impl Fn(usize, usize) -> f64,
        right: impl Fn(usize, usize) -> f64,
        [m, k, n]: [usize; 3],
    ) -> Vec<f64> {
        let mut product = Vec::new();
        for i in 0..m {
            for j in 0..n {
                product.push((0..k).map(|p| left(i, p) * right(p, j)).sum());
            }
        }
        product
    }

    fn assert_close(got: &[f64], want: &[f64], shape: [usize; 3]) {
        for (got, want) in got.iter().zip(want) {
            assert!((got - want).abs() < 1e-9, "{shape:?}: {got} is not {want}");
        }
    }

    #[test]
    fn products_of_all_forms_and_sizes_equal_the_plain_sum() {
        // From thin rests of every tile up to a product that the gemm crate takes.
        for shape in [
            [1, 1, 1],
            [2, 3, 5],
            [5, 7, 31],
            [10, 64, 64],
            [7, 9, 61],
            [13, 33, 29],
            [110, 101, 103],
        ] {
            let [m, k, n] = shape;
            let (a, b) = (numbers(m * k, 0.37), numbers(k * n, 0.73));
            // Stale numbers, which no product may read.
            let mut out = vec![f64::NAN; m * n];
            let rows = numbers(m, 0.5);

            let want = plain(|i, p| a[i * k + p], |p, j| b[p * n + j], shape);
            multiply(&mut out, Start::Zero, &a, &b, shape);
            assert_close(&out, &want, shape);
            multiply(&mut out, Start::Rows(&rows), &a, &b, shape);
            assert_close(
                &out,
                &want.iter().enumerate().map(|(i, x)| x + rows[i / n]).collect::<Vec<_>>(),
                shape,
            );

            multiply_left_transposed(&mut out, Start::Zero, &a, &b, shape);
            assert_close(&out, &plain(|i, p| a[p * m + i], |p, j| b[p * n + j], shape), shape);

            let mut scratch = vec![0.0; k * n];
            multiply_right_transposed(&mut out, &a, &b, shape, &mut scratch);
            assert_close(&out, &plain(|i, p| a[i * k + p], |p, j| b[j * k + p], shape), shape);
        }
    }

    #[test]
    fn transpose_moves_every_number_of_any_shape() {
        for [rows, columns] in [[1, 9], [4, 4], [6, 11], [16, 8], [13, 7]] {
            let source: Vec<f32> = (0..rows * columns).map(|i| i as f32).collect();
            let mut turned = vec![0.0; rows * columns];
            transpose(&mut turned, &source, [rows, columns]);
            for i in 0..rows {
                for j in 0..columns {
                    assert_eq!(turned[j * rows + i], source[i * columns + j]);
                }
            }
        }
    }
}
