//! Random draws.

use rand::{Rng, RngExt};

/// A random number below `bound`, the same on machines of any word size.
pub(crate) fn below(rng: &mut impl Rng, bound: usize) -> usize {
    rng.random_range(0..bound as u32) as usize
}
