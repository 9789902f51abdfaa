//! Sums whose order is fixed, so that a norm or a dot product has the same bits whatever the number
//! of threads, the SIMD level and the size of the tiles that an array is worked through in.
//!
//! An array is cut into blocks of [`BLOCK`] elements. Within a block, element i is added to lane i
//! mod 16, in f64, and the lanes are added in a fixed tree ([`BlockSum`]). The sums of the blocks
//! are added in a tree whose shape depends on nothing but their number ([`combine`], or [`TreeSum`]
//! as the blocks come in). The product of two f32 is exact in f64, and each element takes part in
//! fewer than 256 + 4 + log2(blocks) additions, so the result is accurate to far more digits than
//! f32 holds.

use crate::math::Real;
use crate::simd_dispatch;

/// Elements in a block: all but the last block of an array have exactly this many.
pub const BLOCK: usize = 4096;

/// Independent running sums within a block: two AVX-512 registers' worth, so that additions
/// overlap.
pub const LANES: usize = 16;

/// Adds the lanes in a fixed tree: j with j + 8, then with j + 4, j + 2 and j + 1.
#[inline(always)]
fn combine_lanes(mut lanes: [f64; LANES]) -> f64 {
    let mut half = LANES / 2;
    while half > 0 {
        for j in 0..half {
            lanes[j] += lanes[j + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// The running sum of one block, whose elements may come in several parts.
#[derive(Clone, Copy, Debug, Default)]
pub struct BlockSum {
    lanes: [f64; LANES],
}

impl BlockSum {
    /// The sum of what came in so far; +0 if nothing did.
    pub fn total(&self) -> f64 {
        combine_lanes(self.lanes)
    }

    /// Adds the products of 16 elements, which follow a multiple of 16 others.
    #[inline(always)]
    pub fn add_products(&mut self, x: [f32; LANES], y: [f32; LANES]) {
        for j in 0..LANES {
            self.lanes[j] += f64::from(x[j]) * f64::from(y[j]);
        }
    }

    /// Adds the product of one element, in the lane of its place among 16.
    #[inline(always)]
    pub fn add_product(&mut self, lane: usize, x: f32, y: f32) {
        self.lanes[lane % LANES] += f64::from(x) * f64::from(y);
    }
}

simd_dispatch! {
    /// Adds the products of `x` and `y`, formed in f64, to a block's sum. Both slices have the same
    /// length, and all parts of a block but its last have a length that is a multiple of 16; so the
    /// sum does not depend on how a block is cut into parts.
    pub fn add_products<T: Real>(sum: &mut BlockSum, x: &[T], y: &[T]) {
        debug_assert_eq!(x.len(), y.len(), "the factors of a dot product differ in length");
        let (x_chunks, x_tail) = x.as_chunks::<LANES>();
        let (y_chunks, y_tail) = y.as_chunks::<LANES>();
        let mut lanes = sum.lanes;
        for (x, y) in x_chunks.iter().zip(y_chunks) {
            for j in 0..LANES {
                lanes[j] += x[j].to_f64() * y[j].to_f64();
            }
        }
        for ((lane, x), y) in lanes.iter_mut().zip(x_tail).zip(y_tail) {
            *lane += x.to_f64() * y.to_f64();
        }
        sum.lanes = lanes;
    }
}

simd_dispatch! {
    /// Adds numbers, in f64, to a block's sum: the bits of [`add_products`] with ones. The parts of
    /// a block are as there.
    pub fn add_numbers<T: Real>(sum: &mut BlockSum, x: &[T]) {
        let mut lanes = sum.lanes;
        let (chunks, tail) = x.as_chunks::<LANES>();
        for x in chunks {
            for j in 0..LANES {
                lanes[j] += x[j].to_f64();
            }
        }
        for (lane, x) in lanes.iter_mut().zip(tail) {
            *lane += x.to_f64();
        }
        sum.lanes = lanes;
    }
}

/// The sum of `x`, added in f64, over one block.
///
/// The slice has at most [`BLOCK`] elements. The sum of nothing is +0.
pub fn block_sum<T: Real>(x: &[T]) -> f64 {
    debug_assert!(x.len() <= BLOCK, "a block holds at most {BLOCK} elements");
    let mut sum = BlockSum::default();
    add_numbers(&mut sum, x);
    sum.total()
}

/// The sum of the products of `x` and `y` over one block. Both slices have the same length, at most
/// [`BLOCK`]. The sum of nothing is +0.
pub fn block_dot<T: Real>(x: &[T], y: &[T]) -> f64 {
    debug_assert!(x.len() <= BLOCK, "a block holds at most {BLOCK} elements");
    let mut sum = BlockSum::default();
    add_products(&mut sum, x, y);
    sum.total()
}

/// The sum of the sums of an array's blocks, in the order of the array: a tree that splits n blocks
/// at the largest power of two below n. The sum of nothing is +0.
pub fn combine(partials: &[f64]) -> f64 {
    match partials {
        [] => 0.0,
        [partial] => *partial,
        _ => {
            let (left, right) = partials.split_at(partials.len().next_power_of_two() / 2);
            combine(left) + combine(right)
        }
    }
}

/// The sum of the products of two arrays of the same length.
pub fn sum_of_products<T: Real>(x: &[T], y: &[T]) -> f64 {
    debug_assert_eq!(x.len(), y.len(), "the factors of a dot product differ in length");
    let mut sum = TreeSum::new();
    for (x, y) in x.chunks(BLOCK).zip(y.chunks(BLOCK)) {
        sum.push(block_dot(x, y));
    }
    sum.total()
}

/// The sum of an array.
pub fn sum<T: Real>(x: &[T]) -> f64 {
    let mut sum = TreeSum::new();
    for x in x.chunks(BLOCK) {
        sum.push(block_sum(x));
    }
    sum.total()
}

/// Takes the sums of an array's blocks one at a time, in order, and gives the same bits as
/// [`combine`] of all of them, without keeping them.
///
/// ```
/// use symopt_evaluator::reduce::{TreeSum, combine};
///
/// let mut sum = TreeSum::new();
/// for partial in [1.0, 2.0, 3.0] {
///     sum.push(partial);
/// }
/// assert_eq!(sum.total(), combine(&[1.0, 2.0, 3.0]));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TreeSum {
    /// Binary counter of the blocks taken: level i is occupied if bit i of the count is set, and
    /// then holds the sum of 2^i consecutive blocks.
    levels: [f64; 64],
    count: u64,
}

impl TreeSum {
    /// A sum of no blocks.
    pub const fn new() -> Self {
        TreeSum { levels: [0.0; 64], count: 0 }
    }

    /// Takes the next block's sum.
    #[inline]
    pub fn push(&mut self, partial: f64) {
        let mut carried = partial;
        // The occupied levels below the first free one; fewer than 64, since 2^64 blocks cannot be
        // counted up.
        let full = (self.count.trailing_ones() as usize).min(63);
        for level in &self.levels[..full] {
            carried += level;
        }
        self.levels[full] = carried;
        self.count += 1;
    }

    /// The number of blocks taken so far.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The sum of the blocks taken so far; +0 if there were none.
    pub fn total(&self) -> f64 {
        let mut occupied = (0..64).filter(|level| self.count >> level & 1 == 1);
        // The right-most, smallest subtree first: each larger one is its left sibling.
        let Some(first) = occupied.next() else {
            return 0.0;
        };
        occupied.fold(self.levels[first], |right, level| self.levels[level] + right)
    }
}

impl Default for TreeSum {
    fn default() -> Self {
        Self::new()
    }
}
