//! The functions of [`matrix`](super::matrix) for f32, with the same bits and several times as
//! fast.
//!
//! What makes that possible: the product of two f32 is exact in f64, so that it may be fused with
//! the addition that follows; every number of a product has its own sum, from the first term to the
//! last, so that tiles of any size may be computed side by side; and a product of a matrix with its
//! own transpose, or of a symmetric one with itself, is symmetric to the last bit, so that half of
//! it is enough. Nothing is allocated once the scratch has grown to what a layout needs.

use rayon::prelude::*;
use symopt_dsl::semantics::{
    NEWTON_SCHULZ_COEFFICIENTS, NEWTON_SCHULZ_EPSILON, NEWTON_SCHULZ_STEPS,
};

use super::matrix::Matrix;
use crate::simd::{Level, level};
use crate::{reduce, simd_dispatch};

/// Columns of a tile: two vectors of AVX-512.
const COLUMNS: usize = 16;

/// Rows of a strip: those of a tile of AVX-512.
const ROWS: usize = 8;

/// Strips that are computed together, and by one thread.
const GROUP: usize = 8;

/// Multiplications from which a product is spread over threads.
const PARALLEL_FROM: usize = 1 << 21;

/// What a product needs beside its factors. What is beyond their sizes is of no account: nothing
/// that is stored depends on it.
#[derive(Clone, Debug, Default)]
struct Packed {
    /// The first factor, row after row; whole strips.
    rows: Vec<f64>,
    /// The second: panel after panel of [`COLUMNS`] columns, of each panel row after row.
    panels: Vec<f64>,
}

/// What the functions need beside their operands. One thread uses it at a time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    packed: Packed,
    sums: Vec<f64>,
    numbers: Vec<f32>,
    next: Vec<f32>,
    gram: Vec<f32>,
    polynomial: Vec<f32>,
}

/// How the second factor is stored.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stored {
    /// Row after row.
    Plain,
    /// Column after column: it is the transpose of what the numbers are row after row.
    Turned,
}

impl Packed {
    /// Lays the factors out.
    fn pack(&mut self, [rows, inner, columns]: [usize; 3], x: &[f32], y: &[f32], stored: Stored) {
        let grow = |buffer: &mut Vec<f64>, length: usize| {
            if buffer.len() < length {
                buffer.resize(length, 0.0);
            }
        };
        grow(&mut self.rows, rows.next_multiple_of(ROWS) * inner);
        grow(&mut self.panels, columns.next_multiple_of(COLUMNS) * inner);
        widen(x, &mut self.rows);
        let panels = self.panels.chunks_exact_mut(COLUMNS * inner);
        for (panel, first) in panels.zip((0..columns).step_by(COLUMNS)) {
            let width = COLUMNS.min(columns - first);
            match stored {
                Stored::Plain => take_columns(&y[first..], columns, width, panel),
                Stored::Turned => take_rows(&y[first * inner..][..width * inner], inner, panel),
            }
        }
    }

    /// The product, rounded once for each number. A product that is known to be symmetric is
    /// computed from the diagonal on.
    fn multiply(
        &self,
        [rows, inner, columns]: [usize; 3],
        is_symmetric: bool,
        threads: bool,
        product: &mut [f32],
    ) {
        let x = &self.rows[..rows.next_multiple_of(ROWS) * inner];
        let panels = &self.panels[..columns.next_multiple_of(COLUMNS) * inner];
        // Panel by panel for a group of strips, so that each is read from memory once for all.
        let group = |(group, (x, product)): (usize, (&[f64], &mut [f32]))| {
            for (panel, y) in panels.chunks_exact(COLUMNS * inner).enumerate() {
                let strips = x.chunks_exact(ROWS * inner).zip(product.chunks_mut(ROWS * columns));
                for (strip, (x, product)) in strips.enumerate() {
                    let diagonal = (group * GROUP + strip) * ROWS / COLUMNS;
                    if !is_symmetric || panel >= diagonal {
                        multiply_strip(x, y, &mut product[panel * COLUMNS..], columns, panel);
                    }
                }
            }
        };
        let size = rows.saturating_mul(columns).saturating_mul(inner);
        if threads && size >= PARALLEL_FROM {
            let groups = x.par_chunks(GROUP * ROWS * inner);
            groups.zip(product.par_chunks_mut(GROUP * ROWS * columns)).enumerate().for_each(group);
        } else {
            let groups = x.chunks(GROUP * ROWS * inner);
            groups.zip(product.chunks_mut(GROUP * ROWS * columns)).enumerate().for_each(group);
        }
        if is_symmetric {
            for row in 1..rows {
                for column in 0..row {
                    product[row * columns + column] = product[column * columns + row];
                }
            }
        }
    }
}

/// A strip times a panel. `product` begins at the panel's first column and goes on to the end of
/// the strip's last row.
fn multiply_strip(x: &[f64], y: &[f64], product: &mut [f32], columns: usize, panel: usize) {
    let inner = y.len() / COLUMNS;
    assert!(x.len() == ROWS * inner && y.len() == COLUMNS * inner);
    let width = COLUMNS.min(columns - panel * COLUMNS);
    let rows = (product.len() + panel * COLUMNS).div_ceil(columns);
    // Two rows at a time where there are 16 registers: the eight sums, the columns, a factor.
    for first in (0..rows).step_by(2) {
        let mut sums = [[0.0; COLUMNS]; ROWS];
        let done = match level() {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 if rows > ROWS / 2 => {
                // SAFETY: `level` is never above what was detected, and it detects the features
                // that are enabled there; the strip has that many rows, as long as the panel. The
                // same holds below.
                unsafe { vectors::avx512::<ROWS>(x, y, &mut sums) };
                rows
            }
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => {
                // SAFETY: as above.
                unsafe { vectors::avx512::<{ ROWS / 2 }>(x, y, &mut sums) };
                rows
            }
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => {
                // SAFETY: as above.
                unsafe { vectors::avx2(x, y, first, &mut sums) };
                2
            }
            _ => {
                two_rows(x, y, first, &mut sums);
                2
            }
        };
        for (row, sums) in sums.iter().enumerate().take(done.min(rows - first)) {
            let product = &mut product[(first + row) * columns..][..width];
            product.iter_mut().zip(sums).for_each(|(place, sum)| *place = *sum as f32);
        }
        if done == rows {
            break;
        }
    }
}

/// The sums of two rows of a strip. They begin at -0, which changes no sum and no sign; so do those
/// below.
fn two_rows(x: &[f64], y: &[f64], first: usize, sums: &mut [[f64; COLUMNS]; ROWS]) {
    let mut own = [[-0.0; COLUMNS]; 2];
    let inner = y.len() / COLUMNS;
    let (upper, lower) = x[first * inner..][..2 * inner].split_at(inner);
    for ((upper, lower), y) in upper.iter().zip(lower).zip(y.chunks_exact(COLUMNS)) {
        for (sums, x) in own.iter_mut().zip([upper, lower]) {
            sums.iter_mut().zip(y).for_each(|(sum, y)| *sum += x * y);
        }
    }
    sums[..2].copy_from_slice(&own);
}

/// The same by vectors: what the compiler makes of loops does not keep the sums in registers.
#[cfg(target_arch = "x86_64")]
mod vectors {
    use std::arch::x86_64::{
        _mm256_fmadd_pd, _mm256_loadu_pd, _mm256_set1_pd, _mm256_storeu_pd, _mm512_fmadd_pd,
        _mm512_loadu_pd, _mm512_set1_pd, _mm512_storeu_pd,
    };

    use super::{COLUMNS, ROWS};

    /// The sums of the first rows of a strip.
    ///
    /// # Safety
    ///
    /// x has as many rows, each as long as the panel y.
    #[target_feature(
        enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx2,fma,bmi1,bmi2,lzcnt,popcnt"
    )]
    pub(super) unsafe fn avx512<const LENGTH: usize>(
        x: &[f64],
        y: &[f64],
        sums: &mut [[f64; COLUMNS]; ROWS],
    ) {
        let mut own = [[_mm512_set1_pd(-0.0); 2]; LENGTH];
        let inner = y.len() / COLUMNS;
        for (k, y) in y.chunks_exact(COLUMNS).enumerate() {
            // SAFETY: each chunk has two vectors of eight.
            let y = unsafe { [_mm512_loadu_pd(y.as_ptr()), _mm512_loadu_pd(y.as_ptr().add(8))] };
            for (row, sums) in own.iter_mut().enumerate() {
                // SAFETY: the caller's promise.
                let x = _mm512_set1_pd(unsafe { *x.get_unchecked(row * inner + k) });
                *sums = [_mm512_fmadd_pd(x, y[0], sums[0]), _mm512_fmadd_pd(x, y[1], sums[1])];
            }
        }
        for (own, sums) in own.iter().zip(sums) {
            // SAFETY: a row of sums has two vectors of eight.
            unsafe {
                _mm512_storeu_pd(sums.as_mut_ptr(), own[0]);
                _mm512_storeu_pd(sums.as_mut_ptr().add(8), own[1]);
            }
        }
    }

    /// The sums of two rows from `first` on.
    ///
    /// # Safety
    ///
    /// x has these rows, each as long as the panel y.
    #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) unsafe fn avx2(
        x: &[f64],
        y: &[f64],
        first: usize,
        sums: &mut [[f64; COLUMNS]; ROWS],
    ) {
        let mut own = [[_mm256_set1_pd(-0.0); 4]; 2];
        let inner = y.len() / COLUMNS;
        for (k, y) in y.chunks_exact(COLUMNS).enumerate() {
            // SAFETY: each chunk has four vectors of four.
            let y = [0, 4, 8, 12].map(|place| unsafe { _mm256_loadu_pd(y.as_ptr().add(place)) });
            for (row, sums) in own.iter_mut().enumerate() {
                // SAFETY: the caller's promise.
                let x = _mm256_set1_pd(unsafe { *x.get_unchecked((first + row) * inner + k) });
                for (sum, y) in sums.iter_mut().zip(y) {
                    *sum = _mm256_fmadd_pd(x, y, *sum);
                }
            }
        }
        for (own, sums) in own.iter().zip(sums) {
            for (vector, place) in own.iter().zip([0, 4, 8, 12]) {
                // SAFETY: a row of sums has four vectors of four.
                unsafe { _mm256_storeu_pd(sums.as_mut_ptr().add(place), *vector) };
            }
        }
    }
}

simd_dispatch! {
    fn widen(from: &[f32], to: &mut [f64]) {
        to.iter_mut().zip(from).for_each(|(to, from)| *to = f64::from(*from));
    }
}

simd_dispatch! {
    /// The first columns of rows of some length as a panel.
    fn take_columns(rows: &[f32], length: usize, width: usize, panel: &mut [f64]) {
        for (row, panel) in rows.chunks(length).zip(panel.chunks_exact_mut(COLUMNS)) {
            if width == COLUMNS {
                let row = &row[..COLUMNS];
                panel.iter_mut().zip(row).for_each(|(to, from)| *to = f64::from(*from));
            } else {
                panel.iter_mut().zip(&row[..width]).for_each(|(to, from)| *to = f64::from(*from));
            }
        }
    }
}

simd_dispatch! {
    /// Rows of some length as the columns of a panel.
    fn take_rows(rows: &[f32], length: usize, panel: &mut [f64]) {
        // Four rows at a time: what is written fills vectors.
        for (group, rows) in rows.chunks(4 * length).enumerate() {
            let first = 4 * group;
            if rows.len() == 4 * length {
                let (a, rest) = rows.split_at(length);
                let (b, rest) = rest.split_at(length);
                let (c, d) = rest.split_at(length);
                let numbers = a.iter().zip(b).zip(c.iter().zip(d));
                for (panel, ((a, b), (c, d))) in panel.chunks_exact_mut(COLUMNS).zip(numbers) {
                    let to = &mut panel[first..first + 4];
                    to.copy_from_slice(&[*a, *b, *c, *d].map(f64::from));
                }
            } else {
                for (column, row) in rows.chunks(length).enumerate() {
                    for (panel, x) in panel.chunks_exact_mut(COLUMNS).zip(row) {
                        panel[first + column] = f64::from(*x);
                    }
                }
            }
        }
    }
}

/// The columns as rows.
pub(crate) fn transpose(x: Matrix<'_, f32>, turned: &mut [f32]) {
    let [rows, columns] = x.shape;
    if rows == 0 || columns == 0 {
        return;
    }
    // Eight rows at a time: what is written then fills the lines of the cache.
    for first in (0..rows).step_by(8) {
        let width = 8.min(rows - first);
        for column in 0..columns {
            let to = &mut turned[column * rows + first..][..width];
            for (row, place) in to.iter_mut().enumerate() {
                *place = x.numbers[(first + row) * columns + column];
            }
        }
    }
}

/// The mean of each row at every place of it.
pub(crate) fn row_mean(x: Matrix<'_, f32>, means: &mut [f32]) {
    let columns = x.shape[1].max(1);
    for (row, means) in x.numbers.chunks_exact(columns).zip(means.chunks_exact_mut(columns)) {
        let sum = row.iter().fold(-0.0, |sum, x| sum + f64::from(*x));
        means.fill((sum / columns as f64) as f32);
    }
}

/// The mean of each column at every place of it.
pub(crate) fn column_mean(x: Matrix<'_, f32>, scratch: &mut Scratch, means: &mut [f32]) {
    let [rows, columns] = x.shape;
    let Scratch { sums, .. } = scratch;
    sums.clear();
    sums.resize(columns, -0.0);
    for row in x.numbers.chunks_exact(columns.max(1)) {
        sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
    }
    for row in means.chunks_exact_mut(columns.max(1)) {
        row.iter_mut().zip(&*sums).for_each(|(place, sum)| *place = (*sum / rows as f64) as f32);
    }
}

/// The product of two matrices, as [`matrix::product`](super::matrix::product) has it.
pub(crate) fn product(
    x: Matrix<'_, f32>,
    y: Matrix<'_, f32>,
    threads: bool,
    scratch: &mut Scratch,
    product: &mut [f32],
) {
    let size = [x.shape[0], x.shape[1], y.shape[1]];
    multiply(
        size,
        x.numbers,
        y.numbers,
        Stored::Plain,
        false,
        threads,
        &mut scratch.packed,
        product,
    );
}

#[allow(clippy::too_many_arguments)]
fn multiply(
    size: [usize; 3],
    x: &[f32],
    y: &[f32],
    stored: Stored,
    is_symmetric: bool,
    threads: bool,
    packed: &mut Packed,
    product: &mut [f32],
) {
    let [rows, inner, columns] = size;
    if rows == 0 || columns == 0 {
        return;
    }
    if inner == 0 {
        return product.fill(0.0);
    }
    if let [1, _, 1] = size {
        // Of vectors: no tile is needed for one number, nor a copy of both.
        let terms = x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y));
        return product.fill(terms.fold(-0.0, |sum, term| sum + term) as f32);
    }
    packed.pack(size, x, y, stored);
    packed.multiply(size, is_symmetric, threads, product);
}

/// Five steps of Muon's iteration, as [`matrix::newton_schulz`](super::matrix::newton_schulz) has
/// them.
pub(crate) fn newton_schulz(
    x: Matrix<'_, f32>,
    threads: bool,
    scratch: &mut Scratch,
    result: &mut [f32],
) {
    let coefficients = NEWTON_SCHULZ_COEFFICIENTS.map(|number| number as f32);
    let [rows, columns] = x.shape;
    let is_tall = rows > columns;
    let Scratch { packed, numbers, next, gram, polynomial, .. } = scratch;
    let shape = if is_tall { [columns, rows] } else { x.shape };
    let square = shape[0] * shape[0];
    for (buffer, length) in [
        (&mut *numbers, x.numbers.len()),
        (&mut *next, x.numbers.len()),
        (&mut *gram, square),
        (&mut *polynomial, square),
    ] {
        buffer.resize(length, 0.0);
    }
    let squares = reduce::sum_of_products(x.numbers, x.numbers);
    let norm = (libm::sqrt(squares) + NEWTON_SCHULZ_EPSILON) as f32;
    if is_tall {
        transpose(x, numbers);
    } else {
        numbers.copy_from_slice(x.numbers);
    }
    divide(numbers, norm);
    let [short, long] = shape;
    let (to_gram, to_square, to_next) = ([short, long, short], [short; 3], [short, short, long]);
    for _ in 0..NEWTON_SCHULZ_STEPS {
        multiply(to_gram, numbers, numbers, Stored::Turned, true, threads, packed, gram);
        multiply(to_square, gram, gram, Stored::Plain, true, threads, packed, polynomial);
        blend(polynomial, gram, coefficients[1], coefficients[2]);
        multiply(to_next, polynomial, numbers, Stored::Plain, false, threads, packed, next);
        blend(next, numbers, coefficients[0], 1.0);
        std::mem::swap(numbers, next);
    }
    if is_tall {
        transpose(Matrix { shape, numbers }, result);
    } else {
        result.copy_from_slice(numbers);
    }
}

simd_dispatch! {
    fn divide(numbers: &mut [f32], by: f32) {
        numbers.iter_mut().for_each(|x| *x /= by);
    }
}

simd_dispatch! {
    /// `a x + b y`, in place of y.
    fn blend(y: &mut [f32], x: &[f32], a: f32, b: f32) {
        y.iter_mut().zip(x).for_each(|(y, x)| *y = a * *x + b * *y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::matrix;
    use crate::simd;

    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|i| (((i + seed) * 7919 % 1013) as f32 / 506.5 - 1.0) * 1.1).collect()
    }

    fn bits(numbers: &[f32]) -> Vec<u32> {
        numbers.iter().map(|x| x.to_bits()).collect()
    }

    /// Sizes around those of tiles, and empty ones; at each level of vector instructions.
    #[test]
    fn they_have_the_bits_of_the_oracle() {
        let mut scratch = Scratch::default();
        for most in simd::Level::ALL {
            simd::limit(most);
            for [rows, inner, columns] in [
                [1, 1, 1],
                [3, 5, 2],
                [4, 1, 15],
                [9, 17, 16],
                [8, 3, 33],
                [7, 40, 12],
                [1, 300, 1],
                [300, 1, 300],
                [130, 129, 140],
                [2, 0, 3],
                [0, 3, 2],
                [2, 3, 0],
            ] {
                let (x, y) = (numbers(rows * inner, 1), numbers(inner * columns, 2));
                let (x, y) = (
                    Matrix { shape: [rows, inner], numbers: &x },
                    Matrix { shape: [inner, columns], numbers: &y },
                );
                let expected = matrix::product(x, y);
                for threads in [false, true] {
                    let mut actual = vec![f32::NAN; rows * columns];
                    product(x, y, threads, &mut scratch, &mut actual);
                    assert_eq!(bits(&actual), bits(&expected), "{rows} {inner} {columns}");
                    let mut means = vec![f32::NAN; rows * inner];
                    row_mean(x, &mut means);
                    assert_eq!(bits(&means), bits(&matrix::row_mean(x)));
                    column_mean(x, &mut scratch, &mut means);
                    assert_eq!(bits(&means), bits(&matrix::column_mean(x)));
                    let mut turned = vec![f32::NAN; rows * inner];
                    transpose(x, &mut turned);
                    assert_eq!(bits(&turned), bits(&matrix::transpose(x)));
                    let mut orthogonal = vec![f32::NAN; rows * inner];
                    newton_schulz(x, threads, &mut scratch, &mut orthogonal);
                    assert_eq!(
                        bits(&orthogonal),
                        bits(&matrix::newton_schulz(x)),
                        "{rows} {inner}"
                    );
                }
            }
        }
        simd::limit(simd::Level::Avx512);
    }

    #[test]
    fn zeros_keep_their_signs_and_what_overflows_is_infinite_as_in_the_oracle() {
        let x = [-0.0, 1.0, f32::MAX, 0.0, -1.0, f32::MAX];
        let y = [0.0, 2.0, -0.0, -3.0, f32::MAX, f32::MAX];
        let (x, y) = (Matrix { shape: [2, 3], numbers: &x }, Matrix { shape: [3, 2], numbers: &y });
        let mut actual = [0.0; 4];
        product(x, y, false, &mut Scratch::default(), &mut actual);
        assert_eq!(bits(&actual), bits(&matrix::product(x, y)));
        let (x, y) =
            (Matrix { shape: [1, 1], numbers: &[-0.0] }, Matrix { shape: [1, 1], numbers: &[3.0] });
        product(x, y, false, &mut Scratch::default(), &mut actual[..1]);
        assert_eq!(actual[0].to_bits(), (-0.0_f32).to_bits());
    }
}
