//! The element-wise functions in f32: branch-free, so that a loop over any of them vectorises.
//!
//! The method is the same throughout. The argument is widened to f64, where range reduction and a
//! short minimax polynomial are accurate to 2^-27 or better without compensated arithmetic; the one
//! rounding back to f32 then gives the correctly rounded result for all but a few arguments, and
//! gives overflow, gradual underflow and denormals for free. Every choice is a select, never a
//! jump, and every integer step is one that AVX2 has for 64-bit lanes (so no arithmetic right shift
//! and no float-to-integer conversion).
//!
//! Only `+ - * /`, square roots, comparisons and integer operations occur, all of which IEEE 754
//! defines to the last bit, and never a fused multiply-add: so the bits are the same on every
//! machine and at every SIMD level.

use std::f64::consts::{FRAC_PI_2, FRAC_PI_4, LN_2, LOG2_10, LOG2_E, LOG10_2, PI};

/// 1.5 * 2^52. Adding it to `|x| < 2^51` rounds x to the nearest integer, ties to even, and leaves
/// that integer in the low bits of the sum; subtracting it again gives the integer as a float.
const ROUND: f64 = 6_755_399_441_055_744.0;

/// The stored exponent of 1.0 in f64.
const EXPONENT_BIAS: u64 = 1023;

/// The bits of sqrt(1/2): mantissas are normalised to [sqrt(1/2), sqrt(2)), which puts 1 in the
/// middle.
const SQRT_HALF_BITS: u64 = 0x3FE6_A09E_667F_3BCD;

/// (2^f - 1) / f for |f| <= 1/2; relative error 2^-32.0.
const EXP2_MINUS_1: [f64; 7] = [
    0.6931471805815987,
    0.24022650920066774,
    0.055504107275453345,
    0.009618057034566972,
    0.0013333669499813233,
    0.00015461330718209837,
    1.5252707191622319e-05,
];

/// sinh(f ln 2) / f in f², for |f| <= 1/2; relative error 2^-37.7.
const SINH_BASE_2: [f64; 4] =
    [0.6931471805568568, 0.05550410906162214, 0.001333347863549957, 1.5303660969613646e-05];

/// cosh(f ln 2) in f², for |f| <= 1/2; relative error 2^-34.6.
const COSH_BASE_2: [f64; 4] =
    [0.9999999999606574, 0.24022651205753873, 0.009618026424487688, 0.00015469517087729376];

/// log2((1 + s) / (1 - s)) / s in s², for (1 + s) / (1 - s) in [sqrt(1/2), sqrt(2)]; relative error
/// 2^-30.4.
const LOG2: [f64; 4] =
    [2.885390079780872, 0.9617988542156476, 0.5767136396266513, 0.431756099570928];

/// As [`LOG2`] with relative error 2^-37.8: `power` multiplies the error by up to 150.
const LOG2_PRECISE: [f64; 5] = [
    2.885390081790142,
    0.9617966732663349,
    0.5770836003322961,
    0.4116717453247166,
    0.3407489932639617,
];

/// atanh(s) / s in s², for |s| <= 1/3; relative error 2^-33.2.
const ARCTANH: [f64; 6] = [
    0.999999999900803,
    0.3333333968680488,
    0.1999934265020987,
    0.14310442064112006,
    0.10695685882569773,
    0.1221029586569686,
];

/// sin(pi r) / r in r², for |r| <= 1/2; relative error 2^-35.5.
const SIN_PI: [f64; 6] = [
    3.1415926535231886,
    -5.167712762079621,
    2.5501632390278437,
    -0.599251314139091,
    0.08204639886980819,
    -0.00702202447598591,
];

/// The numerator of a rational approximation of tan(pi/2 r) / r in r², for |r| <= 1/2; relative
/// error 2^-35.4.
const TAN_NUMERATOR: [f64; 3] = [1.5707963268296632, -0.4316133431681694, 0.010281894649748515];

/// The denominator that belongs to [`TAN_NUMERATOR`].
const TAN_DENOMINATOR: [f64; 3] = [1.0, -1.0972406175954115, 0.0972473462610237];

/// asin(s) / s in s², for |s| <= 1/2; relative error 2^-31.9.
const ARCSIN: [f64; 7] = [
    1.0000000002545544,
    0.1666665694455734,
    0.07500604119286051,
    0.0445030831241014,
    0.03190083011111132,
    0.014139400785888894,
    0.0378857042408247,
];

/// atan(s) / s in s², for |s| <= tan(pi/8); relative error 2^-30.6.
const ARCTAN: [f64; 6] = [
    0.9999999993934435,
    -0.3333330750946197,
    0.1999821056132229,
    -0.1423996342434541,
    0.10572581630629074,
    -0.06032460343393591,
];

/// (1 - e)^(-2/3) for |e| <= 0.103; relative error 2^-30.3.
const INVERSE_CUBE_ROOT_SQUARED: [f64; 7] = [
    0.9999999999778205,
    0.6666667170661447,
    0.5555556415345677,
    0.49378918580224906,
    0.4526290137887011,
    0.4296338309820716,
    0.4064621736174589,
];

/// A number c for which `x * c` is wanted modulo 2, for every f32 x: for |x| < 2^50, 2^77, 2^104
/// and 2^131, the three parts whose sum is c less multiples of 2 ulp(x), which only contribute
/// whole periods.
///
/// With the largest arguments of range i divided by 2^(27 i), x is an integer below 2^50; c times
/// 2^(27 i) modulo 2 is at most 1 in size, and its first two parts have 29 significant bits each,
/// so that their products with the 24 bits of x are exact. The third part brings the absolute error
/// of the product below 2^-63, against a distance of 2^-31 between a multiple of pi/2 and the f32
/// that comes closest to one.
type Multiplier = [[f64; 3]; 4];

/// The largest arguments of the first three ranges of a [`Multiplier`]: 2^50, 2^77, 2^104.
const RANGE_ENDS: [f64; 3] = [
    1_125_899_906_842_624.0,
    151_115_727_451_828_646_838_272.0,
    20_282_409_603_651_670_423_947_251_286_016.0,
];

/// 1 / pi. The parts of the first range share their sign, so that a negative zero stays one.
const FRAC_1_PI_PARTS: Multiplier = [
    [0.3183098854497075, 7.340831623126043e-10, 1.138005036539198e-18],
    [-2.0598845545949374e-09, -5.800888867077463e-18, -2.9056689322530833e-28],
    [3.5832474517591816e-17, 3.8483524236783526e-26, 8.34143383430412e-35],
    [-2.7170920508541586e-25, -3.0177164987488473e-34, -6.595212469671656e-43],
];

/// 2 / pi. The parts of the first range share their sign, so that a negative zero stays one.
const FRAC_2_PI_PARTS: Multiplier = [
    [0.636619770899415, 1.4681663246252086e-09, 2.276010073078396e-18],
    [-4.119769109189875e-09, -1.1601777734154927e-17, -5.811337864506167e-28],
    [-3.9357353323934446e-17, -2.6430527902968414e-26, -2.57643177526412e-35],
    [2.8376220161182397e-25, 1.6682867657019525e-34, 1.1588713353428143e-43],
];

/// The polynomial with the given coefficients, constant term first, by Horner's rule.
#[inline(always)]
fn polynomial<const N: usize>(x: f64, coefficients: [f64; N]) -> f64 {
    let mut sum = coefficients[N - 1];
    let mut i = N - 1;
    while i > 0 {
        i -= 1;
        sum = sum * x + coefficients[i];
    }
    sum
}

/// `x` forced into [low, high]; NaN stays NaN.
#[inline(always)]
fn clamp(x: f64, low: f64, high: f64) -> f64 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

/// A power of two, split for evaluation: `t = k + f` with k an integer and |f| <= 1/2.
struct PowerOfTwo {
    /// The fraction f.
    fraction: f64,
    /// 2^k.
    scale: f64,
    /// 2^-k.
    inverse_scale: f64,
}

/// Splits `t`, which is first clamped to [-160, 160]: far outside the range of f32 on both sides,
/// well inside f64's.
#[inline(always)]
fn split_power_of_two(t: f64) -> PowerOfTwo {
    let t = clamp(t, -160.0, 160.0);
    let rounded = t + ROUND;
    let k = rounded.to_bits();
    // The shift drops all but the lowest 12 bits of the sum, which are the biased exponent and a
    // zero sign.
    PowerOfTwo {
        fraction: t - (rounded - ROUND),
        scale: f64::from_bits(k.wrapping_add(EXPONENT_BIAS) << 52),
        inverse_scale: f64::from_bits(EXPONENT_BIAS.wrapping_sub(k) << 52),
    }
}

/// 2^t.
#[inline(always)]
fn exp2_wide(t: f64) -> f64 {
    let p = split_power_of_two(t);
    p.scale * (1.0 + p.fraction * polynomial(p.fraction, EXP2_MINUS_1))
}

/// 2^t - 1, accurate to a relative 2^-31 also near zero (but +0 for t = -0).
#[inline(always)]
fn exp2_minus_1_wide(t: f64) -> f64 {
    let p = split_power_of_two(t);
    p.scale * (p.fraction * polynomial(p.fraction, EXP2_MINUS_1)) + (p.scale - 1.0)
}

/// sinh and cosh of `t ln 2` (but +0 for the sinh of -0).
///
/// Both are combinations of sinh and cosh of the fraction, in which nothing cancels: for k = 0 the
/// sinh is the polynomial alone.
#[inline(always)]
fn sinh_cosh_wide(t: f64) -> (f64, f64) {
    let p = split_power_of_two(t);
    let sum = 0.5 * (p.scale + p.inverse_scale);
    let difference = 0.5 * (p.scale - p.inverse_scale);
    let square = p.fraction * p.fraction;
    let sinh = p.fraction * polynomial(square, SINH_BASE_2);
    let cosh = polynomial(square, COSH_BASE_2);
    (cosh * difference + sinh * sum, cosh * sum + sinh * difference)
}

/// A positive normal number as 2^exponent * mantissa, the mantissa in [sqrt(1/2), sqrt(2)).
///
/// For any other argument both parts are finite, or NaN, and meaningless.
#[inline(always)]
fn split_exponent(x: f64) -> (f64, f64) {
    let shifted = x.to_bits().wrapping_add((EXPONENT_BIAS << 52).wrapping_sub(SQRT_HALF_BITS));
    let mantissa = f64::from_bits((shifted & 0x000F_FFFF_FFFF_FFFF).wrapping_add(SQRT_HALF_BITS));
    // 2^52 + e has the integer e in its low bits, so this converts the exponent to a float.
    let exponent = f64::from_bits((shifted >> 52) | 0x4330_0000_0000_0000)
        - (4_503_599_627_370_496.0 + EXPONENT_BIAS as f64);
    (exponent, mantissa)
}

/// log2 of a positive normal number, meaningless elsewhere.
#[inline(always)]
fn log2_positive<const N: usize>(x: f64, coefficients: [f64; N]) -> f64 {
    let (exponent, mantissa) = split_exponent(x);
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    exponent + s * polynomial(s * s, coefficients)
}

/// log2 of x = 1 + d, where d is small and known better than x is: if x is in [sqrt(1/2), sqrt(2)),
/// the numerator and denominator given, whose quotient is d / (2 + d), are used instead of x.
#[inline(always)]
fn log2_near_1(x: f64, numerator: f64, denominator: f64) -> f64 {
    let (exponent, mantissa) = split_exponent(x);
    let near = exponent == 0.0;
    let numerator = if near { numerator } else { mantissa - 1.0 };
    let denominator = if near { denominator } else { mantissa + 1.0 };
    let s = numerator / denominator;
    exponent + s * polynomial(s * s, LOG2)
}

/// `regular`, the logarithm of `x`, where x is positive and finite; at the other x, the value that
/// IEEE 754 gives.
#[inline(always)]
fn with_logarithm_limits(x: f64, regular: f64) -> f64 {
    // In order: infinity and NaN stay themselves; a negative x, with its own limit case -0
    // excluded, has no logarithm.
    let other = if x < 0.0 { f64::NAN } else { x };
    let other = if x == 0.0 { f64::NEG_INFINITY } else { other };
    if (x > 0.0) & (x < f64::INFINITY) { regular } else { other }
}

/// The constant for the range of a [`Multiplier`] that `size` falls into.
///
/// The constants come one by one, as values: of an array, LLVM would select an address and then
/// gather.
#[inline(always)]
fn select_range(size: f64, first: f64, second: f64, third: f64, fourth: f64) -> f64 {
    let value = if size < RANGE_ENDS[2] { third } else { fourth };
    let value = if size < RANGE_ENDS[1] { second } else { value };
    if size < RANGE_ENDS[0] { first } else { value }
}

/// `x * c - offset` as n + r with n an integer and |r| <= 1/2: the bits of n modulo 2 (in the
/// lowest place), and r.
#[inline(always)]
fn reduce_period(x: f64, c: Multiplier, offset: f64) -> (u64, f64) {
    let size = x.abs();
    let [first, second, third, fourth] = c;
    // Both products are exact, and so are their fractions.
    let high = x * select_range(size, first[0], second[0], third[0], fourth[0]);
    let high_rounded = high - offset + ROUND;
    let high_fraction = high - (high_rounded - ROUND + offset);
    let middle = x * select_range(size, first[1], second[1], third[1], fourth[1]);
    let middle_rounded = middle + ROUND;
    let middle_fraction = middle - (middle_rounded - ROUND);
    let sum = (high_fraction + middle_fraction)
        + x * select_range(size, first[2], second[2], third[2], fourth[2]);
    let sum_rounded = sum + ROUND;
    let fraction = sum - (sum_rounded - ROUND);
    let n = high_rounded.to_bits() ^ middle_rounded.to_bits() ^ sum_rounded.to_bits();
    (n, fraction)
}

/// Sine of pi times the fraction `r`, negated if the integer `n` is odd.
#[inline(always)]
fn sine_of_reduced((n, r): (u64, f64)) -> f32 {
    let sine = r * polynomial(r * r, SIN_PI);
    f64::from_bits(sine.to_bits() ^ (n << 63)) as f32
}

/// |x|.
#[inline(always)]
pub fn abs(x: f32) -> f32 {
    f32::from_bits(x.to_bits() & 0x7FFF_FFFF)
}

/// Cosine.
#[inline(always)]
pub fn cos(x: f32) -> f32 {
    // cos x = sin(|x| + pi/2): with x / pi = n + 1/2 + r, that is -sin(pi (n + r)), up to whole
    // periods.
    let (n, r) = reduce_period(x as f64, FRAC_1_PI_PARTS, 0.5);
    sine_of_reduced((n ^ 1, r))
}

/// Sine.
#[inline(always)]
pub fn sin(x: f32) -> f32 {
    sine_of_reduced(reduce_period(x as f64, FRAC_1_PI_PARTS, 0.0))
}

/// Tangent.
#[inline(always)]
pub fn tan(x: f32) -> f32 {
    let (n, r) = reduce_period(x as f64, FRAC_2_PI_PARTS, 0.0);
    let square = r * r;
    // Sine and cosine of the reduced argument, up to a common factor, which cancels.
    let sine = r * polynomial(square, TAN_NUMERATOR);
    let cosine = polynomial(square, TAN_DENOMINATOR);
    let odd = n & 1 == 1;
    let numerator = if odd { -cosine } else { sine };
    let denominator = if odd { sine } else { cosine };
    (numerator / denominator) as f32
}

/// asin(s) or asin(sqrt((1 - |x|) / 2)), whichever is well conditioned at `x`, and whether it is
/// the second.
#[inline(always)]
fn arcsin_half(x: f64) -> (f64, bool) {
    let size = x.abs();
    let large = size > 0.5;
    let folded = (1.0 - size) * 0.5;
    let square = if large { folded } else { size * size };
    let root = folded.sqrt();
    let s = if large { root } else { x };
    (s * polynomial(square, ARCSIN), large)
}

/// Inverse sine; NaN outside [-1, 1].
#[inline(always)]
pub fn arcsin(x: f32) -> f32 {
    let x = x as f64;
    let (half, large) = arcsin_half(x);
    let folded = (FRAC_PI_2 - 2.0 * half).copysign(x);
    (if large { folded } else { half }) as f32
}

/// Inverse cosine; NaN outside [-1, 1].
#[inline(always)]
pub fn arccos(x: f32) -> f32 {
    let x = x as f64;
    let (half, large) = arcsin_half(x);
    let double = 2.0 * half;
    let folded = if x < 0.0 { PI - double } else { double };
    (if large { folded } else { FRAC_PI_2 - half }) as f32
}

/// Inverse tangent.
#[inline(always)]
pub fn arctan(x: f32) -> f32 {
    // tan(pi/8) and tan(3 pi/8): between them the angle is measured from pi/4, above them from
    // pi/2.
    const LOW: f64 = 0.414_213_562_373_095_03;
    const HIGH: f64 = 2.414_213_562_373_095;
    let x = x as f64;
    let size = x.abs();
    let (middle, high) = (size > LOW, size > HIGH);
    let numerator = if middle { size - 1.0 } else { size };
    let numerator = if high { -1.0 } else { numerator };
    let denominator = if middle { size + 1.0 } else { 1.0 };
    let denominator = if high { size } else { denominator };
    let base = if middle { FRAC_PI_4 } else { 0.0 };
    let base = if high { FRAC_PI_2 } else { base };
    let s = numerator / denominator;
    (base + s * polynomial(s * s, ARCTAN)).copysign(x) as f32
}

/// e^x.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    exp2_wide(x as f64 * LOG2_E) as f32
}

/// Natural logarithm.
#[inline(always)]
pub fn log(x: f32) -> f32 {
    let x = x as f64;
    with_logarithm_limits(x, log2_positive(x, LOG2) * LN_2) as f32
}

/// Hyperbolic sine.
#[inline(always)]
pub fn sinh(x: f32) -> f32 {
    let x = x as f64;
    sinh_cosh_wide(x * LOG2_E).0.copysign(x) as f32
}

/// Hyperbolic cosine.
#[inline(always)]
pub fn cosh(x: f32) -> f32 {
    sinh_cosh_wide(x as f64 * LOG2_E).1 as f32
}

/// Hyperbolic tangent.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let x = x as f64;
    let e = exp2_minus_1_wide(x * (2.0 * LOG2_E));
    (e / (e + 2.0)).copysign(x) as f32
}

/// Inverse hyperbolic sine.
#[inline(always)]
pub fn arcsinh(x: f32) -> f32 {
    // log(|x| + w), w = sqrt(x² + 1); near 1 through tanh(asinh(x) / 2) = x / (1 + w).
    let x = x as f64;
    let size = x.abs();
    let w = (size * size + 1.0).sqrt();
    let regular = log2_near_1(size + w, size, 1.0 + w) * LN_2;
    let result = if size < f64::INFINITY { regular } else { size };
    result.copysign(x) as f32
}

/// Inverse hyperbolic cosine; NaN below 1.
#[inline(always)]
pub fn arccosh(x: f32) -> f32 {
    // log(x + w), w = sqrt(x² - 1); near 1 through tanh(acosh(x) / 2) = w / (x + 1).
    let x = x as f64;
    let w = (x * x - 1.0).sqrt();
    let regular = log2_near_1(x + w, w, x + 1.0) * LN_2;
    let result = if x < f64::INFINITY { regular } else { x };
    (if x < 1.0 { f64::NAN } else { result }) as f32
}

/// Inverse hyperbolic tangent; infinite at ±1, NaN beyond.
#[inline(always)]
pub fn arctanh(x: f32) -> f32 {
    // Half the logarithm of a / b, a = 1 + |x|, b = 1 - |x|, as half a power of two and the atanh
    // of the rest, all with one division: atanh of (a - 2^k b) / (a + 2^k b). The choice of k keeps
    // that argument below 0.28.
    let x = x as f64;
    let size = x.abs();
    let a = 1.0 + size;
    let b = 1.0 - size;
    let near = size <= 1.0 / 3.0;
    // A mantissa of b in [2^0.25, 2^1.25): split_exponent's own interval, moved by 2^0.75.
    const SHIFT: f64 = 1.681_792_830_507_429;
    let (exponent, mantissa) = split_exponent(b * (1.0 / SHIFT));
    let mantissa = mantissa * SHIFT;
    let numerator = if near { size } else { a - mantissa };
    let denominator = if near { 1.0 } else { a + mantissa };
    let exponent = if near { 0.0 } else { exponent };
    let s = numerator / denominator;
    let regular = s * polynomial(s * s, ARCTANH) - exponent * (0.5 * LN_2);
    let result = if size < 1.0 { regular } else { f64::NAN };
    let result = if size == 1.0 { f64::INFINITY } else { result };
    result.copysign(x) as f32
}

/// -1, 0 or 1; the zeros and NaN stay themselves.
#[inline(always)]
pub fn sign(x: f32) -> f32 {
    let one = f32::from_bits((x.to_bits() & 0x8000_0000) | 0x3F80_0000);
    if (x > 0.0) | (x < 0.0) { one } else { x }
}

/// 2^x.
#[inline(always)]
pub fn exp2(x: f32) -> f32 {
    exp2_wide(x as f64) as f32
}

/// 10^x.
#[inline(always)]
pub fn exp10(x: f32) -> f32 {
    exp2_wide(x as f64 * LOG2_10) as f32
}

/// e^x - 1, accurate near zero.
#[inline(always)]
pub fn expm1(x: f32) -> f32 {
    let x = x as f64;
    exp2_minus_1_wide(x * LOG2_E).copysign(x) as f32
}

/// Decimal logarithm.
#[inline(always)]
pub fn log10(x: f32) -> f32 {
    let x = x as f64;
    with_logarithm_limits(x, log2_positive(x, LOG2) * LOG10_2) as f32
}

/// Binary logarithm.
#[inline(always)]
pub fn log2(x: f32) -> f32 {
    let x = x as f64;
    with_logarithm_limits(x, log2_positive(x, LOG2)) as f32
}

/// log(1 + x), accurate near zero.
#[inline(always)]
pub fn log1p(x: f32) -> f32 {
    let x = x as f64;
    let u = 1.0 + x;
    let regular = log2_near_1(u, x, 2.0 + x) * LN_2;
    // The copysign restores log1p(-0) = -0; the sign of a NaN is of no account.
    with_logarithm_limits(u, regular).copysign(x) as f32
}

/// log|1 + x|.
#[inline(always)]
pub fn guarded_log1p(x: f32) -> f32 {
    let x = x as f64;
    let u = 1.0 + x;
    let size = u.abs();
    // Around x = -2, where |1 + x| is also near 1, 1 + x is exact.
    let positive = u > 0.0;
    let numerator = if positive { x } else { size - 1.0 };
    let regular = log2_near_1(size, numerator, size + 1.0) * LN_2;
    with_logarithm_limits(size, regular) as f32
}

/// x x.
#[inline(always)]
pub fn square(x: f32) -> f32 {
    x * x
}

/// Square root; NaN below zero.
#[inline(always)]
pub fn sqrt(x: f32) -> f32 {
    x.sqrt()
}

/// (x x) x.
#[inline(always)]
pub fn cube(x: f32) -> f32 {
    x * x * x
}

/// Cube root.
#[inline(always)]
pub fn cbrt(x: f32) -> f32 {
    let x = x as f64;
    let size = x.abs();
    // A third of the exponent and mantissa bits, negated, is x^(-1/3) to 3.5 %; the multiplication
    // divides by 3.
    let third = ((size.to_bits() >> 32) * 0x5555_5556) >> 32;
    let guess = f64::from_bits(0x553E_EAA8_u64.wrapping_sub(third) << 32);
    let root = size * guess * guess;
    let result = root * polynomial(1.0 - root * guess, INVERSE_CUBE_ROOT_SQUARED);
    let result = if size < f64::INFINITY { result } else { size };
    result.copysign(x) as f32
}

/// 1 / x.
#[inline(always)]
pub fn reciprocal(x: f32) -> f32 {
    1.0 / x
}

/// -x.
#[inline(always)]
pub fn negative(x: f32) -> f32 {
    -x
}

/// x + y.
#[inline(always)]
pub fn add(x: f32, y: f32) -> f32 {
    x + y
}

/// x - y.
#[inline(always)]
pub fn subtract(x: f32, y: f32) -> f32 {
    x - y
}

/// x y.
#[inline(always)]
pub fn multiply(x: f32, y: f32) -> f32 {
    x * y
}

/// x / y.
#[inline(always)]
pub fn divide(x: f32, y: f32) -> f32 {
    x / y
}

/// x^y, with the special values of IEEE 754's `pow`.
#[inline(always)]
pub fn power(x: f32, y: f32) -> f32 {
    // 2^50 raises any size but 1 to 0 or infinity, for log2 of no f32 but 1 is below 2^-25; it is
    // even, as all f32 beyond it; and, being finite, it gives (-1)^inf = 2^(2^50 * 0) = 1.
    const LARGEST: f64 = 1_125_899_906_842_624.0;
    let (x, y) = (x as f64, clamp(y as f64, -LARGEST, LARGEST));
    let size = x.abs();
    let logarithm = with_logarithm_limits(size, log2_positive(size, LOG2_PRECISE));
    let result = exp2_wide(y * logarithm);
    let degree = y.abs();
    let rounded = degree + ROUND;
    let integer = rounded - ROUND == degree;
    let odd = if integer { rounded.to_bits() << 63 } else { 0 };
    let signed = f64::from_bits(result.to_bits() | (x.to_bits() & odd));
    let undefined = (x < 0.0) & (x > f64::NEG_INFINITY) & !integer;
    let result = if undefined { f64::NAN } else { signed };
    let result = if (x == 1.0) | (y == 0.0) { 1.0 } else { result };
    result as f32
}

/// The larger; NaN if either is NaN; +0 is larger than -0.
#[inline(always)]
pub fn maximum(x: f32, y: f32) -> f32 {
    // Equal arguments have equal bits, unless they are zeros: then the sign bit has to be set in
    // both.
    let equal = f32::from_bits(x.to_bits() & y.to_bits());
    let larger = if x > y { x } else { y };
    let result = if x == y { equal } else { larger };
    if x.is_nan() | y.is_nan() { f32::NAN } else { result }
}

/// The smaller; NaN if either is NaN; -0 is smaller than +0.
#[inline(always)]
pub fn minimum(x: f32, y: f32) -> f32 {
    // Equal arguments have equal bits, unless they are zeros: then the sign bit has to be set in
    // either.
    let equal = f32::from_bits(x.to_bits() | y.to_bits());
    let smaller = if x < y { x } else { y };
    let result = if x == y { equal } else { smaller };
    if x.is_nan() | y.is_nan() { f32::NAN } else { result }
}
