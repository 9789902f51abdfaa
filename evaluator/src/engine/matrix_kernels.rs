//! The functions of [`matrix`](super::matrix) for f32, with the same bits and several times as
//! fast.
//!
//! Three facts make that possible: the product of two f32 is exact in f64, so that it may be fused
//! with the addition that follows; every number of a product has its own sum, from the first term
//! to the last, so that tiles of any size may be computed side by side; and a product of a matrix
//! with its own transpose, or of a symmetric one with itself, is symmetric to the last bit, so that
//! half of it is enough. Nothing is allocated once the scratch has grown to what a layout needs.

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

/// A matrix of f32 as f64, row after row, with room for whole tiles. The numbers in that room don't
/// matter: nothing that is stored depends on them.
#[derive(Clone, Debug, Default)]
struct Wide {
    numbers: Vec<f64>,
    rows: usize,
    columns: usize,
    /// From a row to the next.
    stride: usize,
}

/// Buffers that the functions need beside their operands. One thread uses it at a time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    sums: Vec<f64>,
    x: Wide,
    y: Wide,
    gram: Wide,
    polynomial: Wide,
}

impl Wide {
    /// Takes a shape; the numbers are what they are.
    fn reshape(&mut self, rows: usize, columns: usize) {
        (self.rows, self.columns) = (rows, columns);
        self.stride = columns.next_multiple_of(COLUMNS);
        if self.stride.is_multiple_of(64) {
            // Rows would share few lines of the cache.
            self.stride += COLUMNS / 2;
        }
        let length = rows.next_multiple_of(ROWS) * self.stride + COLUMNS;
        if self.numbers.len() < length {
            self.numbers.resize(length, 0.0);
        }
    }

    /// Takes a matrix.
    fn load(&mut self, x: Matrix<'_, f32>) {
        let [rows, columns] = x.shape;
        self.reshape(rows, columns);
        if columns > 0 {
            widen(x.numbers, columns, &mut self.numbers, self.stride);
        }
    }

    /// Takes the transpose of a matrix.
    fn load_turned(&mut self, x: Matrix<'_, f32>) {
        let [rows, columns] = x.shape;
        self.reshape(columns, rows);
        // Eight rows at a time: what is written then fills the lines of the cache.
        for first in (0..rows).step_by(8) {
            for column in 0..columns {
                let to = &mut self.numbers[column * self.stride + first..];
                for (place, row) in to.iter_mut().zip(first..rows.min(first + 8)) {
                    *place = f64::from(x.numbers[row * columns + column]);
                }
            }
        }
    }

    /// Gives the matrix.
    fn store(&self, numbers: &mut [f32]) {
        if self.columns == 0 {
            return;
        }
        let rows = self.numbers.chunks(self.stride);
        for (to, from) in numbers.chunks_exact_mut(self.columns).zip(rows) {
            to.iter_mut().zip(from).for_each(|(to, from)| *to = *from as f32);
        }
    }

    /// Gives the transpose.
    fn store_turned(&self, numbers: &mut [f32]) {
        for first in (0..self.rows).step_by(8) {
            for column in 0..self.columns {
                let to = &mut numbers[column * self.rows + first..];
                for (place, row) in to.iter_mut().zip(first..self.rows.min(first + 8)) {
                    *place = self.numbers[row * self.stride + column] as f32;
                }
            }
        }
    }

    /// The product of x, or of its transpose, with y, each number rounded to f32 once. A product
    /// that is known to be symmetric is computed from the diagonal on.
    fn multiply(&mut self, x: &Wide, is_turned: bool, y: &Wide, is_symmetric: bool, threads: bool) {
        let (rows, inner) = if is_turned { (x.columns, x.rows) } else { (x.rows, x.columns) };
        self.reshape(rows, y.columns);
        let (stride, columns) = (self.stride, self.columns);
        // From a row of the first factor to the next, and along one.
        let steps = if is_turned { [1, x.stride] } else { [x.stride, 1] };
        // Panel by panel for a group of strips, so that each is read from memory once for all.
        let group = |(group, product): (usize, &mut [f64])| {
            for panel in (0..columns).step_by(COLUMNS) {
                for (strip, product) in product.chunks_exact_mut(ROWS * stride).enumerate() {
                    let row = (group * GROUP + strip) * ROWS;
                    if is_symmetric && panel + COLUMNS <= row {
                        continue;
                    }
                    let factors = Factors {
                        x: &x.numbers[row * steps[0]..],
                        steps,
                        y: &y.numbers[panel..],
                        stride: y.stride,
                        inner,
                    };
                    factors.multiply(rows - row, columns - panel, &mut product[panel..], stride);
                }
            }
        };
        let size = rows.saturating_mul(columns).saturating_mul(inner);
        let product = &mut self.numbers[..rows.next_multiple_of(ROWS) * stride];
        if threads && size >= PARALLEL_FROM {
            product.par_chunks_mut(GROUP * ROWS * stride).enumerate().for_each(group);
        } else {
            product.chunks_mut(GROUP * ROWS * stride).enumerate().for_each(group);
        }
        if is_symmetric {
            for row in 1..rows {
                for column in 0..row {
                    product[row * stride + column] = product[column * stride + row];
                }
            }
        }
    }

    /// `a x + b y` in f32, in place of y. Both have one shape.
    fn blend(&mut self, x: &Wide, a: f32, b: f32) {
        let length = self.rows * self.stride;
        blend(&mut self.numbers[..length], &x.numbers[..length], a, b);
    }
}

/// The factors of a tile: rows from the first of x on, columns from the first of y on.
#[derive(Clone, Copy)]
struct Factors<'a> {
    x: &'a [f64],
    /// From a row of x to the next, and along one.
    steps: [usize; 2],
    y: &'a [f64],
    /// From a row of y to the next.
    stride: usize,
    inner: usize,
}

impl Factors<'_> {
    /// The numbers of a tile of a product whose rows are `stride` apart: of a strip's rows those
    /// that are left, of a panel's columns those that are there, and the room behind both.
    fn multiply(&self, rows: usize, columns: usize, product: &mut [f64], stride: usize) {
        let Factors { x, steps, y, inner, .. } = *self;
        let last = inner.saturating_sub(1);
        assert!(x.len() > (ROWS - 1) * steps[0] + last * steps[1]);
        assert!(y.len() >= last * self.stride + COLUMNS);
        assert!(product.len() >= (ROWS - 1) * stride + COLUMNS);
        match level() {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `level` is never above what was detected, and it detects the features that
            // are enabled there; all that is read and written is there, as was asserted above. The
            // same holds below.
            Level::Avx512 => unsafe {
                const HALF: usize = ROWS / 2;
                match (rows > HALF, columns > COLUMNS / 2) {
                    (true, true) => vectors::avx512::<ROWS, 2>(self, product, stride),
                    (true, false) => vectors::avx512::<ROWS, 1>(self, product, stride),
                    (false, true) => vectors::avx512::<HALF, 2>(self, product, stride),
                    (false, false) => vectors::avx512::<HALF, 1>(self, product, stride),
                }
            },
            // Two rows at a time where there are 16 registers: the eight sums, the columns, a
            // factor.
            level => {
                for first in (0..rows.min(ROWS)).step_by(2) {
                    let product = &mut product[first * stride..];
                    match level {
                        #[cfg(target_arch = "x86_64")]
                        // SAFETY: as above.
                        Level::Avx2 => unsafe { vectors::avx2(self, first, product, stride) },
                        _ => self.two_rows(first, product, stride),
                    }
                }
            }
        }
    }

    /// Two rows. Sums begin at -0, which changes no sum and no sign; so do those below.
    fn two_rows(&self, first: usize, product: &mut [f64], stride: usize) {
        let mut sums = [[-0.0; COLUMNS]; 2];
        for k in 0..self.inner {
            let y = &self.y[k * self.stride..][..COLUMNS];
            for (row, sums) in sums.iter_mut().enumerate() {
                let x = self.x[(first + row) * self.steps[0] + k * self.steps[1]];
                sums.iter_mut().zip(y).for_each(|(sum, y)| *sum += x * y);
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            let to = &mut product[row * stride..][..COLUMNS];
            to.iter_mut().zip(sums).for_each(|(to, sum)| *to = f64::from(*sum as f32));
        }
    }
}

/// The same by vectors: what the compiler makes of loops does not keep the sums in registers.
#[cfg(target_arch = "x86_64")]
mod vectors {
    use std::arch::x86_64::{
        _mm256_cvtpd_ps, _mm256_cvtps_pd, _mm256_fmadd_pd, _mm256_loadu_pd, _mm256_set1_pd,
        _mm256_storeu_pd, _mm512_cvtpd_ps, _mm512_cvtps_pd, _mm512_fmadd_pd, _mm512_loadu_pd,
        _mm512_set1_pd, _mm512_storeu_pd,
    };

    use super::Factors;

    /// The first rows, of so many vectors of eight.
    ///
    /// # Safety
    ///
    /// x has so many rows and y a tile's columns, as far as the factors say, and there is room for
    /// a tile in the product.
    #[target_feature(
        enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx2,fma,bmi1,bmi2,lzcnt,popcnt"
    )]
    pub(super) unsafe fn avx512<const ROWS: usize, const VECTORS: usize>(
        factors: &Factors,
        product: &mut [f64],
        stride: usize,
    ) {
        let mut sums = [[_mm512_set1_pd(-0.0); VECTORS]; ROWS];
        let [to_row, along] = factors.steps;
        for k in 0..factors.inner {
            let mut y = [_mm512_set1_pd(0.0); VECTORS];
            for (vector, y) in y.iter_mut().enumerate() {
                // SAFETY: the caller's promise; a row of a tile has two vectors.
                *y = unsafe {
                    _mm512_loadu_pd(factors.y.as_ptr().add(k * factors.stride + 8 * vector))
                };
            }
            for (row, sums) in sums.iter_mut().enumerate() {
                // SAFETY: the caller's promise.
                let x = unsafe { *factors.x.get_unchecked(row * to_row + k * along) };
                let x = _mm512_set1_pd(x);
                for (sum, y) in sums.iter_mut().zip(y) {
                    *sum = _mm512_fmadd_pd(x, y, *sum);
                }
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            for (vector, sum) in sums.iter().enumerate() {
                let rounded = _mm512_cvtps_pd(_mm512_cvtpd_ps(*sum));
                // SAFETY: the caller's promise.
                unsafe {
                    let to = product.as_mut_ptr().add(row * stride + 8 * vector);
                    _mm512_storeu_pd(to, rounded);
                }
            }
        }
    }

    /// Two rows from `first` on, to the first two of the product.
    ///
    /// # Safety
    ///
    /// x has these rows and y a tile's columns, as far as the factors say, and there is room for
    /// them in the product.
    #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) unsafe fn avx2(factors: &Factors, first: usize, product: &mut [f64], stride: usize) {
        let mut sums = [[_mm256_set1_pd(-0.0); 4]; 2];
        let [to_row, along] = factors.steps;
        for k in 0..factors.inner {
            let mut y = [_mm256_set1_pd(0.0); 4];
            for (vector, y) in y.iter_mut().enumerate() {
                // SAFETY: the caller's promise; a row of a tile has four vectors.
                *y = unsafe {
                    _mm256_loadu_pd(factors.y.as_ptr().add(k * factors.stride + 4 * vector))
                };
            }
            for (row, sums) in sums.iter_mut().enumerate() {
                // SAFETY: the caller's promise.
                let x = unsafe { *factors.x.get_unchecked((first + row) * to_row + k * along) };
                let x = _mm256_set1_pd(x);
                for (sum, y) in sums.iter_mut().zip(y) {
                    *sum = _mm256_fmadd_pd(x, y, *sum);
                }
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            for (vector, sum) in sums.iter().enumerate() {
                let rounded = _mm256_cvtps_pd(_mm256_cvtpd_ps(*sum));
                // SAFETY: the caller's promise.
                unsafe {
                    let to = product.as_mut_ptr().add(row * stride + 4 * vector);
                    _mm256_storeu_pd(to, rounded);
                }
            }
        }
    }
}

simd_dispatch! {
    fn widen(from: &[f32], columns: usize, to: &mut [f64], stride: usize) {
        for (from, to) in from.chunks_exact(columns).zip(to.chunks_mut(stride)) {
            to.iter_mut().zip(from).for_each(|(to, from)| *to = f64::from(*from));
        }
    }
}

simd_dispatch! {
    /// `a x + b y` in f32, in place of y.
    fn blend(y: &mut [f64], x: &[f64], a: f32, b: f32) {
        let add = |(y, x): (&mut f64, &f64)| *y = f64::from(a * *x as f32 + b * *y as f32);
        y.iter_mut().zip(x).for_each(add);
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
    match [x.shape[0], x.shape[1], y.shape[1]] {
        [0, ..] | [.., 0] => {}
        [_, 0, _] => product.fill(0.0),
        // A product of two vectors is one number, which needs no tile.
        [1, _, 1] => product.fill(dot(x.numbers, y.numbers)),
        _ => {
            let Scratch { x: wide_x, y: wide_y, gram: wide, .. } = scratch;
            wide_x.load(x);
            wide_y.load(y);
            wide.multiply(wide_x, false, wide_y, false, threads);
            wide.store(product);
        }
    }
}

/// The product of a row and a column.
fn dot(x: &[f32], y: &[f32]) -> f32 {
    let terms = x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y));
    terms.fold(-0.0, |sum, term| sum + term) as f32
}

/// Five steps of Muon's iteration, as [`matrix::newton_schulz`](super::matrix::newton_schulz) has
/// them.
///
/// Y is the transpose of the X of the steps, which has no more rows than columns. In terms of Y they
/// are `A = Y^T Y`, `B = b A + c A A`, `Y = a Y + Y B`: all rows and columns are read as they stand,
/// and B is symmetric.
pub(crate) fn newton_schulz(
    x: Matrix<'_, f32>,
    threads: bool,
    scratch: &mut Scratch,
    result: &mut [f32],
) {
    let coefficients = NEWTON_SCHULZ_COEFFICIENTS.map(|number| number as f32);
    let [rows, columns] = x.shape;
    if rows == 0 || columns == 0 {
        return;
    }
    let squares = reduce::sum_of_products(x.numbers, x.numbers);
    let norm = (libm::sqrt(squares) + NEWTON_SCHULZ_EPSILON) as f32;
    result.copy_from_slice(x.numbers);
    divide(result, norm);
    if rows == 1 || columns == 1 {
        return newton_schulz_of_vector(result, coefficients);
    }
    let Scratch { x: y, y: next, gram, polynomial, .. } = scratch;
    let [a, b, c] = coefficients;
    // The oracle transposes what has more rows than columns, and only that.
    let is_turned = rows <= columns;
    let divided = Matrix { shape: x.shape, numbers: &*result };
    if is_turned {
        y.load_turned(divided);
    } else {
        y.load(divided);
    }
    for _ in 0..NEWTON_SCHULZ_STEPS {
        gram.multiply(y, true, y, true, threads);
        polynomial.multiply(gram, false, gram, true, threads);
        polynomial.blend(gram, b, c);
        next.multiply(y, false, polynomial, false, threads);
        next.blend(y, a, 1.0);
        std::mem::swap(y, next);
    }
    if is_turned {
        y.store_turned(result);
    } else {
        y.store(result);
    }
}

/// The steps where all products with the vector are numbers.
fn newton_schulz_of_vector(x: &mut [f32], [a, b, c]: [f32; 3]) {
    for _ in 0..NEWTON_SCHULZ_STEPS {
        let gram = dot(x, x);
        let polynomial = b * gram + c * dot(&[gram], &[gram]);
        scale(x, a, polynomial);
    }
}

simd_dispatch! {
    /// `a x + p x`, where the product with p is rounded once, as all that are sums in f64.
    fn scale(x: &mut [f32], a: f32, p: f32) {
        x.iter_mut().for_each(|x| *x = a * *x + (f64::from(p) * f64::from(*x)) as f32);
    }
}

simd_dispatch! {
    fn divide(numbers: &mut [f32], by: f32) {
        numbers.iter_mut().for_each(|x| *x /= by);
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
                [2, 2, 2],
                [6, 6, 3],
                [24, 24, 24],
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
