//! The number type of a model: `f32` to train, `f64` to check the gradients.
//!
//! The `f32` functions are polynomials of our own. libm's `exp` and `tanh` take 3 to 14 ns each and
//! do not vectorise; these have no branches and no table, so the compiler vectorises the loops
//! around them. They use plain multiplications and additions, in one order, so a value does not
//! depend on the width of the vectors or on the machine.

use std::fmt::Debug;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub, SubAssign};

/// A floating-point type that models compute in.
pub trait Scalar:
    Copy
    + Debug
    + Default
    + PartialOrd
    + Send
    + Sync
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + Sum
    + 'static
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// Rounds to this type.
    fn from_f64(value: f64) -> Self;
    /// The value in f64, exactly.
    fn to_f64(self) -> f64;
    /// `self * a + b`, rounded once.
    fn mul_add(self, a: Self, b: Self) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
    /// e to the power of `self`; in f32 within 2 ulp from -87 to 88, and held at the value of the
    /// nearer end outside. NaN stays NaN.
    fn exp(self) -> Self;
    /// Natural logarithm of a positive normal number; in f32 within 2 ulp. Other arguments give no
    /// meaningful number.
    fn ln(self) -> Self;
    /// Hyperbolic tangent; in f32 within 3 ulp. NaN stays NaN.
    fn tanh(self) -> Self;
    /// The larger of two. If `self` is NaN the result is `other`.
    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        if self > other { self } else { other }
    }
    /// The transpose of a block of 4 x 4 numbers.
    #[inline(always)]
    fn transpose_block(block: [[Self; 4]; 4]) -> [[Self; 4]; 4] {
        let mut turned = block;
        for r in 0..4 {
            for c in 0..4 {
                turned[c][r] = block[r][c];
            }
        }
        turned
    }
}

const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// ln 2 in two parts; the first has few bits, so that `n * LN2_HIGH` is exact for every exponent n.
const LN2_HIGH: f32 = 355.0 / 512.0;
const LN2_LOW: f32 = -2.121_944_4e-4;
/// Added to a small number, 1.5 * 2^23 leaves its nearest integer in the low bits of the mantissa.
const ROUND: f32 = 12_582_912.0;

/// `(e^r - 1, 2^n)` with `x = n ln 2 + r`, |r| <= ln 2 / 2, for x from -87 to 88.
#[inline(always)]
fn split_exp(x: f32) -> (f32, f32) {
    let shifted = x * LOG2_E + (ROUND + 127.0);
    let n = shifted - (ROUND + 127.0);
    let r = (x - n * LN2_HIGH) - n * LN2_LOW;
    // Taylor's polynomial to r^7: its error on |r| <= 0.347 is 5e-9 relative, below the rounding of
    // f32.
    let tail = 1.0 / 5040.0;
    let tail = tail * r + 1.0 / 720.0;
    let tail = tail * r + 1.0 / 120.0;
    let tail = tail * r + 1.0 / 24.0;
    let tail = tail * r + 1.0 / 6.0;
    let tail = tail * r + 0.5;
    let expm1 = r + (r * r) * tail;
    // The integer n + 127 is in the low bits; moved to the place of the exponent it is 2^n.
    (expm1, f32::from_bits(shifted.to_bits() << 23))
}

impl Scalar for f32 {
    const ZERO: f32 = 0.0;
    const ONE: f32 = 1.0;

    #[inline(always)]
    fn from_f64(value: f64) -> f32 {
        value as f32
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn mul_add(self, a: f32, b: f32) -> f32 {
        f32::mul_add(self, a, b)
    }

    #[inline(always)]
    fn sqrt(self) -> f32 {
        f32::sqrt(self)
    }

    #[inline(always)]
    fn exp(self) -> f32 {
        // Written as selections that keep a NaN.
        let x = if self < -87.0 { -87.0 } else { self };
        let x = if x > 88.0 { 88.0 } else { x };
        let (expm1, scale) = split_exp(x);
        scale + scale * expm1
    }

    #[inline(always)]
    fn ln(self) -> f32 {
        // mantissa in [sqrt(1/2), sqrt 2), so that the logarithm near 1 loses no digits.
        let bits = self.to_bits().wrapping_add(0x3f80_0000 - 0x3f35_04f3);
        let exponent = (bits >> 23) as i32 - 127;
        let mantissa = f32::from_bits((bits & 0x007f_ffff) + 0x3f35_04f3);
        let f = mantissa - 1.0;
        // ln(1 + f) = f - f²/2 + s (f²/2 + R(s²)) with s = f / (2 + f) and R the rest of 2 artanh s =
        // 2 s + 2 s³/3 + ...
        let s = f / (2.0 + f);
        let z = s * s;
        let rest = z
            * (2.0 / 3.0 + z * (2.0 / 5.0 + z * (2.0 / 7.0 + z * (2.0 / 9.0 + z * (2.0 / 11.0)))));
        let half = 0.5 * f * f;
        let e = exponent as f32;
        e * LN2_HIGH + (f - (half - (s * (half + rest) + e * LN2_LOW)))
    }

    #[inline(always)]
    fn tanh(self) -> f32 {
        // (e^2x - 1) / (e^2x + 1) with e^2x - 1 built from e^r - 1, which keeps all digits of a
        // small x.
        let x = self + self;
        let x = if x < -18.0 { -18.0 } else { x };
        let x = if x > 18.0 { 18.0 } else { x };
        let (expm1, scale) = split_exp(x);
        let numerator = scale * expm1 + (scale - 1.0);
        numerator / (numerator + 2.0)
    }

    /// The compiler moves the sixteen numbers one by one, which is four times slower than these
    /// eight shuffles.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn transpose_block(block: [[f32; 4]; 4]) -> [[f32; 4]; 4] {
        use std::arch::x86_64::{__m128, _MM_TRANSPOSE4_PS};
        // SAFETY: both types are 64 bytes of f32, for which every bit pattern is valid; SSE is part
        // of every x86-64 machine.
        unsafe {
            let [mut a, mut b, mut c, mut d] =
                std::mem::transmute::<[[f32; 4]; 4], [__m128; 4]>(block);
            _MM_TRANSPOSE4_PS(&mut a, &mut b, &mut c, &mut d);
            std::mem::transmute::<[__m128; 4], [[f32; 4]; 4]>([a, b, c, d])
        }
    }
}

impl Scalar for f64 {
    const ZERO: f64 = 0.0;
    const ONE: f64 = 1.0;

    #[inline(always)]
    fn from_f64(value: f64) -> f64 {
        value
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }

    #[inline(always)]
    fn mul_add(self, a: f64, b: f64) -> f64 {
        f64::mul_add(self, a, b)
    }

    #[inline(always)]
    fn sqrt(self) -> f64 {
        f64::sqrt(self)
    }

    #[inline(always)]
    fn exp(self) -> f64 {
        f64::exp(self)
    }

    #[inline(always)]
    fn ln(self) -> f64 {
        f64::ln(self)
    }

    #[inline(always)]
    fn tanh(self) -> f64 {
        f64::tanh(self)
    }
}

#[cfg(test)]
mod tests {
    use super::Scalar;

    /// The largest error of `ours` against `exact`, in units in the last place of the exact value.
    fn worst_ulps(from: f32, to: f32, ours: fn(f32) -> f32, exact: fn(f64) -> f64) -> f64 {
        let steps = 400_000;
        let mut worst = 0.0_f64;
        for i in 0..=steps {
            let x = from + (to - from) * (i as f32 / steps as f32);
            let want = exact(f64::from(x));
            let ulp = f64::from(f32::from_bits((want as f32).abs().to_bits() + 1))
                - f64::from((want as f32).abs());
            worst = worst.max((f64::from(ours(x)) - want).abs() / ulp);
        }
        worst
    }

    #[test]
    fn exp_is_within_two_ulp() {
        assert!(worst_ulps(-87.0, 88.0, Scalar::exp, f64::exp) <= 2.0);
        assert!(worst_ulps(-1.0, 1.0, Scalar::exp, f64::exp) <= 2.0);
    }

    #[test]
    fn exp_outside_its_range_stays_finite_and_ordered() {
        assert_eq!(Scalar::exp(-1e30_f32), Scalar::exp(-87.0_f32));
        assert_eq!(Scalar::exp(f32::INFINITY), Scalar::exp(88.0_f32));
        assert!(Scalar::exp(f32::NAN).is_nan());
    }

    #[test]
    fn tanh_is_within_three_ulp_and_saturates_at_one() {
        assert!(worst_ulps(-12.0, 12.0, Scalar::tanh, f64::tanh) <= 3.0);
        assert!(worst_ulps(-1e-3, 1e-3, Scalar::tanh, f64::tanh) <= 3.0);
        assert_eq!(Scalar::tanh(40.0_f32), 1.0);
        assert_eq!(Scalar::tanh(f32::NEG_INFINITY), -1.0);
        assert!(Scalar::tanh(f32::NAN).is_nan());
    }

    #[test]
    fn ln_is_within_two_ulp() {
        assert!(worst_ulps(0.5, 2.0, Scalar::ln, f64::ln) <= 2.0);
        assert!(worst_ulps(1e-30, 1e-20, Scalar::ln, f64::ln) <= 2.0);
        assert!(worst_ulps(1.0, 5000.0, Scalar::ln, f64::ln) <= 2.0);
    }
}
