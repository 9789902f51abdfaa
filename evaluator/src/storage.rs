//! How numbers lie in memory: f32, or bf16 at half the size. All arithmetic is in f32; a bf16 array
//! is widened (exactly) where a step reads it and rounded where a step writes it.

use std::borrow::Cow;

use half::bf16;

use crate::aligned::Aligned;
use crate::simd_dispatch;

/// The type of the numbers of an array in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Storage {
    /// 32 bits, as computed.
    #[default]
    F32,
    /// The upper 16 bits of an f32.
    Bf16,
}

impl Storage {
    /// Bytes of a number.
    pub fn bytes(self) -> usize {
        match self {
            Storage::F32 => 4,
            Storage::Bf16 => 2,
        }
    }
}

/// How an f32 becomes a bf16.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rounding {
    /// To the nearest, ties to even.
    #[default]
    Nearest,
    /// Up or down at random, with probabilities that keep the mean: small changes are not lost. The
    /// random numbers are a function of the seed, the step, the array of numbers that is written
    /// (weights or which slot) and the place in it, so a run can be repeated to the bit.
    Stochastic {
        /// Seed of the stream of random numbers.
        seed: u64,
    },
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for half::bf16 {}
}

/// A type of numbers in memory: f32 or bf16.
pub trait Element: Copy + Send + Sync + sealed::Sealed + 'static {
    /// The number in f32: exact.
    fn load(self) -> f32;
    /// The nearest number of this type, ties to even.
    fn store(value: f32) -> Self;
}

impl Element for f32 {
    #[inline(always)]
    fn load(self) -> f32 {
        self
    }
    #[inline(always)]
    fn store(value: f32) -> f32 {
        value
    }
}

impl Element for bf16 {
    #[inline(always)]
    fn load(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
    #[inline(always)]
    fn store(value: f32) -> bf16 {
        upper_half(value, 0x7fff + (value.to_bits() >> 16 & 1))
    }
}

/// Numbers to read.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// f32.
    F32(&'a [f32]),
    /// bf16.
    Bf16(&'a [bf16]),
}

/// Numbers to update in place.
#[derive(Debug)]
pub enum ValuesMut<'a> {
    /// f32.
    F32(&'a mut [f32]),
    /// bf16.
    Bf16(&'a mut [bf16]),
}

impl<'a> Values<'a> {
    /// The numbers in f32; a copy only of what is not f32 already.
    pub fn to_f32(self) -> Cow<'a, [f32]> {
        match self {
            Values::F32(values) => Cow::Borrowed(values),
            Values::Bf16(values) => {
                let mut widened = vec![0.0; values.len()];
                widen(values, &mut widened);
                Cow::Owned(widened)
            }
        }
    }

    /// How they lie in memory.
    pub fn storage(&self) -> Storage {
        match self {
            Values::F32(_) => Storage::F32,
            Values::Bf16(_) => Storage::Bf16,
        }
    }

    /// How many numbers there are.
    pub fn len(&self) -> usize {
        match self {
            Values::F32(values) => values.len(),
            Values::Bf16(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl ValuesMut<'_> {
    /// The same numbers, to read.
    pub fn as_values(&self) -> Values<'_> {
        match self {
            ValuesMut::F32(values) => Values::F32(values),
            ValuesMut::Bf16(values) => Values::Bf16(values),
        }
    }

    /// How many numbers there are.
    pub fn len(&self) -> usize {
        self.as_values().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

macro_rules! values_from {
    ($($type:ty: $variant:ident),*) => {$(
        impl<'a> From<&'a [$type]> for Values<'a> {
            fn from(values: &'a [$type]) -> Self {
                Values::$variant(values)
            }
        }
        impl<'a, const N: usize> From<&'a [$type; N]> for Values<'a> {
            fn from(values: &'a [$type; N]) -> Self {
                Values::$variant(values)
            }
        }
        impl<'a> From<&'a Vec<$type>> for Values<'a> {
            fn from(values: &'a Vec<$type>) -> Self {
                Values::$variant(values)
            }
        }
        impl<'a> From<&'a mut [$type]> for ValuesMut<'a> {
            fn from(values: &'a mut [$type]) -> Self {
                ValuesMut::$variant(values)
            }
        }
        impl<'a, const N: usize> From<&'a mut [$type; N]> for ValuesMut<'a> {
            fn from(values: &'a mut [$type; N]) -> Self {
                ValuesMut::$variant(values)
            }
        }
        impl<'a> From<&'a mut Vec<$type>> for ValuesMut<'a> {
            fn from(values: &'a mut Vec<$type>) -> Self {
                ValuesMut::$variant(values)
            }
        }
    )*};
}
values_from!(f32: F32, bf16: Bf16);

/// The numbers of one state slot, in one buffer for all arrays.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SlotValues {
    F32(Aligned<f32>),
    Bf16(Aligned<bf16>),
}

impl SlotValues {
    /// The zeros of a slot, by its place among the live ones. Weights and gradients mostly begin
    /// with a page, so the slots begin elsewhere.
    pub(crate) fn zeros(storage: Storage, length: usize, slot: usize) -> SlotValues {
        match storage {
            Storage::F32 => SlotValues::F32(Aligned::zeros_at_quarter(length, slot + 1)),
            Storage::Bf16 => SlotValues::Bf16(Aligned::zeros_at_quarter(length, slot + 1)),
        }
    }

    pub(crate) fn as_values(&self) -> Values<'_> {
        match self {
            SlotValues::F32(values) => Values::F32(values),
            SlotValues::Bf16(values) => Values::Bf16(values),
        }
    }

    pub(crate) fn clear(&mut self) {
        match self {
            SlotValues::F32(values) => values.fill(0.0),
            SlotValues::Bf16(values) => values.fill(bf16::ZERO),
        }
    }
}

/// Where the random numbers of stochastic rounding come from: counter-based, so that any part can
/// be made by any thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoundingStream {
    key: u64,
}

impl RoundingStream {
    /// The stream of one step for one array of numbers: 0 for the weights, 1 and up for the slots.
    pub(crate) fn new(seed: u64, step: u64, target: u64) -> RoundingStream {
        // SplitMix64's mixing function (Steele et al. 2014), once for each part of the key.
        let mix = |x: u64| {
            let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            x ^ (x >> 31)
        };
        RoundingStream { key: mix(mix(mix(seed) ^ step) ^ target) }
    }

    /// A random number for a place: the integer hash lowbias32 of the place and the key.
    #[inline(always)]
    fn bits(self, place: u64) -> u32 {
        let high = (self.key >> 32) as u32 ^ ((place >> 32) as u32).wrapping_mul(0x9e37_79b9);
        let mut x = (place as u32).wrapping_add(self.key as u32) ^ high;
        x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
        x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b).wrapping_add(high);
        x ^ (x >> 16)
    }
}

/// The upper half of the bits, after something below one unit of it was added; NaN stays NaN.
#[inline(always)]
fn upper_half(x: f32, addend: u32) -> bf16 {
    let bits = x.to_bits();
    // A carry out of a NaN's payload would make a number of it.
    let rounded = if x.is_nan() { bits | 0x40_0000 } else { bits.wrapping_add(addend) };
    bf16::from_bits((rounded >> 16) as u16)
}

simd_dispatch! {
    /// Exactly the same numbers in f32. Both slices have one length.
    pub(crate) fn widen(from: &[bf16], to: &mut [f32]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = from.load();
        }
    }
}

simd_dispatch! {
    /// The nearest bf16 of each number, ties to even. Both slices have one length.
    pub(crate) fn narrow(from: &[f32], to: &mut [bf16]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = bf16::store(*from);
        }
    }
}

simd_dispatch! {
    /// A bf16 next to each number, at random. `first` is the place of the first one. Both slices
    /// have one length.
    pub(crate) fn narrow_stochastic(from: &[f32], to: &mut [bf16], stream: RoundingStream, first: u64) {
        for (index, (to, from)) in to.iter_mut().zip(from).enumerate() {
            *to = upper_half(*from, stream.bits(first.wrapping_add(index as u64)) >> 16);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_to_the_nearest_is_that_of_the_half_crate_for_every_upper_half_and_every_kind_of_lower_half()
     {
        for upper in 0..=u16::MAX {
            let from: Vec<f32> = [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff]
                .map(|lower| f32::from_bits(u32::from(upper) << 16 | lower))
                .to_vec();
            let mut to = vec![bf16::ZERO; from.len()];
            narrow(&from, &mut to);
            for (from, to) in from.iter().zip(&to) {
                let expected = bf16::from_f32(*from);
                assert!(
                    to.to_bits() == expected.to_bits() || (to.is_nan() && expected.is_nan()),
                    "{from:e}: {to} and {expected}"
                );
            }
        }
    }

    #[test]
    fn widening_is_exact() {
        let from: Vec<bf16> = (0..=u16::MAX).map(bf16::from_bits).collect();
        let mut to = vec![0.0; from.len()];
        widen(&from, &mut to);
        assert!(
            from.iter().zip(&to).all(|(from, to)| from.to_f32().to_bits() == to.to_bits()
                || (from.is_nan() && to.is_nan()))
        );
    }

    #[test]
    fn stochastic_rounding_gives_a_neighbour_and_keeps_the_mean_and_exact_numbers() {
        const COUNT: usize = 1 << 16;
        let stream = RoundingStream::new(1, 2, 3);
        for share in [0.1_f32, 0.25, 0.5, 0.9] {
            let x = 1.0 + share * 2.0_f32.powi(-7);
            let mut to = vec![bf16::ZERO; COUNT];
            narrow_stochastic(&vec![x; COUNT], &mut to, stream, 0);
            let (low, high) = (bf16::from_f32(1.0), bf16::from_f32(1.0 + 2.0_f32.powi(-7)));
            assert!(to.iter().all(|to| *to == low || *to == high));
            let ups = to.iter().filter(|to| **to == high).count() as f64 / COUNT as f64;
            let error = (f64::from(share) * (1.0 - f64::from(share)) / COUNT as f64).sqrt();
            assert!(
                (ups - f64::from(share)).abs() < 5.0 * error,
                "{ups} of them went up, expected {share}"
            );
        }
        let special = [0.0, -0.0, 1.5, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
        let mut to = [bf16::ZERO; 6];
        narrow_stochastic(&special, &mut to, stream, 7);
        assert!(
            special
                .iter()
                .zip(&to)
                .all(|(x, to)| x.to_bits() == to.to_f32().to_bits() || (x.is_nan() && to.is_nan())),
            "{to:?}"
        );
    }

    #[test]
    fn a_stream_does_not_depend_on_where_it_is_cut_and_differs_by_seed_step_and_target() {
        let from: Vec<f32> = (0..300).map(|i| 1.0 + i as f32 * 1e-4).collect();
        let round = |stream: RoundingStream, cut: usize| {
            let mut to = vec![bf16::ZERO; from.len()];
            let (first, second) = to.split_at_mut(cut);
            narrow_stochastic(&from[..cut], first, stream, 0);
            narrow_stochastic(&from[cut..], second, stream, cut as u64);
            to
        };
        let whole = round(RoundingStream::new(1, 2, 3), 0);
        assert_eq!(whole, round(RoundingStream::new(1, 2, 3), 101));
        for other in [(2, 2, 3), (1, 3, 3), (1, 2, 4)] {
            assert_ne!(whole, round(RoundingStream::new(other.0, other.1, other.2), 0));
        }
    }
}
