//! Seeded random numbers, so that the tests of the lower crates need no generator of others.

/// SplitMix64 (Steele et al. 2014), from a seed.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// Draws any 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Draws a number below `bound`; 0 if there is none.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.bits() % bound.max(1) as u64) as usize
    }

    /// Returns true once in `count` times.
    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    /// Draws a number in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Draws a number in [-1, 1).
    pub fn signed(&mut self) -> f64 {
        2.0 * self.unit() - 1.0
    }

    /// Picks one of several, which are not none.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Draws any finite number, bit patterns of all sizes included.
    pub fn constant(&mut self) -> f64 {
        match self.below(6) {
            0 => self.pick(&[
                0.0,
                -0.0,
                1.0,
                -1.0,
                0.9,
                1e-8,
                f64::MAX,
                f64::MIN_POSITIVE,
                5e-324,
                1e16,
                0.1 + 0.2,
            ]),
            1 => self.below(1000) as f64,
            2 | 3 => (self.bits() as i64 as f64) / (i64::MAX as f64),
            _ => loop {
                let value = f64::from_bits(self.bits());
                if value.is_finite() {
                    break value;
                }
            },
        }
    }
}
