//! The element-wise functions of the language, for the two floating-point types that the evaluator
//! computes in.
//!
//! The functions are named as in the language. Everything in the system that computes with arrays
//! (the reference interpreter, the tile machine, the compiled kernels) calls the functions of this
//! module, so that all of them give the same bits on every machine and at every SIMD level: no
//! function uses the platform's mathematics library or a fused multiply-add.
//!
//! - f64, the oracle's type, uses the `libm` crate.
//! - f32, the production type, uses the branch-free functions of [`single`], which vectorise inside
//!   a loop.
//!
//! Accuracy and speed in f32. No function is further than one step (from one f32 to the next) from
//! the correctly rounded value, for any of the 2^32 arguments; the table says for how many
//! arguments it is that step off. The largest errors are those of the sample of the tests. The
//! times are per element of a slice that is in the first-level cache, on an AMD EPYC with AVX-512.
//! `SYMOPT_EXHAUSTIVE=1 cargo test --release -p symopt-evaluator --test math -- --nocapture` counts
//! the first column again, `cargo bench -p symopt-evaluator --bench math` measures the last.
//!
//! | function | wrong by one step, of all 2^32 | largest error, ulp | ns, AVX2 | ns, AVX-512 |
//! |---|---|---|---|---|
//! | `cos` | 448862 | 0.5003 | 1.98 | 1.24 |
//! | `sin` | 443090 | 0.5003 | 1.98 | 1.17 |
//! | `tan` | 411094 | 0.5004 | 1.87 | 1.25 |
//! | `arcsin` | 561494 | 0.5041 | 1.33 | 0.96 |
//! | `arccos` | 37712 | 0.5030 | 1.41 | 0.97 |
//! | `arctan` | 1171974 | 0.5093 | 1.11 | 0.78 |
//! | `exp` | 58326 | 0.5011 | 0.91 | 0.67 |
//! | `log` | 167717 | 0.5100 | 1.09 | 0.70 |
//! | `sinh` | 54752 | 0.5008 | 1.04 | 0.81 |
//! | `cosh` | 92072 | 0.5006 | 0.96 | 0.78 |
//! | `tanh` | 203629 | 0.5037 | 1.29 | 0.82 |
//! | `arcsinh` | 1560714 | 0.5113 | 1.73 | 1.14 |
//! | `arccosh` | 57026 | 0.5091 | 1.67 | 1.14 |
//! | `arctanh` | 173148 | 0.5015 | 1.42 | 0.95 |
//! | `exp2` | 56029 | 0.5007 | 0.86 | 0.65 |
//! | `exp10` | 57502 | 0.5010 | 0.91 | 0.67 |
//! | `expm1` | 315436 | 0.5045 | 1.06 | 0.72 |
//! | `log10` | 169407 | 0.5101 | 1.09 | 0.70 |
//! | `log2` | 171298 | 0.5091 | 1.03 | 0.67 |
//! | `log1p` | 3359961 | 0.5114 | 1.62 | 0.89 |
//! | `cbrt` | 24696624 | 0.5116 | 1.13 | 0.72 |
//! | `guarded_log1p` | 3445049 | 0.5114 | 1.44 | 0.88 |
//! | `power` | (a sample only) | 0.5057 | 2.99 | 1.86 |
//! | `cube` | 365239376 (two roundings) | 1.2851 | 0.05 | 0.04 |
//!
//! `guarded_log`, `guarded_log10` and `guarded_log2` are as the functions that they guard. The
//! remaining functions are one IEEE 754 operation each (`guarded_divide` two): the square roots
//! take 0.17 ns, `maximum` and `minimum` 0.12 ns, a division 0.10 ns, the others as long as loading
//! and storing.
//!
//! Special values are those of IEEE 754 and NumPy. The payload and the sign of a NaN are not
//! significant.

use std::fmt::{Debug, Display};
use std::ops::{Add, Div, Mul, Neg, Sub};
use symopt_dsl::semantics;

pub mod single;

/// Number that the guarded division of the published search adds to its divisor.
pub const GUARD: f64 = 1e-8;

/// A floating-point type that the evaluator computes in: f32 (production) or f64 (oracle).
///
/// In code that is generic over `T: Real`, call the functions as `x.exp()` or `T::exp(x)`; only
/// [`Real::add`] needs `Real::add(x, y)`, because [`Add`] has one of the same name. On a concrete
/// f32 or f64 **always** write `Real::exp(x)`: `x.exp()` and `f32::exp(x)` are the standard
/// library's inherent functions, whose results differ from machine to machine.
pub trait Real:
    Copy
    + Send
    + Sync
    + PartialEq
    + PartialOrd
    + Debug
    + Display
    + Default
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + 'static
{
    /// The nearest value of this type, ties to even.
    fn from_f64(value: f64) -> Self;
    /// The same value in f64: exact.
    fn to_f64(self) -> f64;

    /// |x|.
    fn abs(self) -> Self;
    /// Cosine.
    fn cos(self) -> Self;
    /// Sine.
    fn sin(self) -> Self;
    /// Tangent.
    fn tan(self) -> Self;
    /// Inverse sine; NaN outside [-1, 1].
    fn arcsin(self) -> Self;
    /// Inverse cosine; NaN outside [-1, 1].
    fn arccos(self) -> Self;
    /// Inverse tangent.
    fn arctan(self) -> Self;
    /// e^x.
    fn exp(self) -> Self;
    /// Natural logarithm.
    fn log(self) -> Self;
    /// Hyperbolic sine.
    fn sinh(self) -> Self;
    /// Hyperbolic cosine.
    fn cosh(self) -> Self;
    /// Hyperbolic tangent.
    fn tanh(self) -> Self;
    /// Inverse hyperbolic sine.
    fn arcsinh(self) -> Self;
    /// Inverse hyperbolic cosine; NaN below 1.
    fn arccosh(self) -> Self;
    /// Inverse hyperbolic tangent; infinite at ±1, NaN beyond.
    fn arctanh(self) -> Self;
    /// -1, 0 or 1; the zeros and NaN stay themselves.
    fn sign(self) -> Self;
    /// 2^x.
    fn exp2(self) -> Self;
    /// 10^x.
    fn exp10(self) -> Self;
    /// e^x - 1, accurate near zero.
    fn expm1(self) -> Self;
    /// Decimal logarithm.
    fn log10(self) -> Self;
    /// Binary logarithm.
    fn log2(self) -> Self;
    /// log(1 + x), accurate near zero.
    fn log1p(self) -> Self;
    /// x x.
    fn square(self) -> Self;
    /// Square root; NaN below zero.
    fn sqrt(self) -> Self;
    /// (x x) x.
    fn cube(self) -> Self;
    /// Cube root.
    fn cbrt(self) -> Self;
    /// 1 / x.
    fn reciprocal(self) -> Self;
    /// -x.
    fn negative(self) -> Self;

    /// x + y.
    fn add(self, y: Self) -> Self;
    /// x - y.
    fn subtract(self, y: Self) -> Self;
    /// x y.
    fn multiply(self, y: Self) -> Self;
    /// x / y.
    fn divide(self, y: Self) -> Self;
    /// x^y, with the special values of IEEE 754's `pow`: 1 for any x to the power 0 and for 1 to
    /// any power, also if the other argument is NaN; NaN for a negative x to a power that is not an
    /// integer.
    fn power(self, y: Self) -> Self;
    /// The larger; NaN if either is NaN; +0 is larger than -0.
    fn maximum(self, y: Self) -> Self;
    /// The smaller; NaN if either is NaN; -0 is smaller than +0.
    fn minimum(self, y: Self) -> Self;

    /// x where this condition is not 0 (NaN is not 0), y where it is.
    #[inline(always)]
    fn select(self, x: Self, y: Self) -> Self {
        if self != Self::from_f64(0.0) { x } else { y }
    }
    /// 1 where x < y, else 0; 0 if either is NaN. The same for the other comparisons.
    #[inline(always)]
    fn less(self, y: Self) -> Self {
        truth(self < y)
    }
    /// 1 where x <= y, else 0.
    #[inline(always)]
    fn less_equal(self, y: Self) -> Self {
        truth(self <= y)
    }
    /// 1 where x > y, else 0.
    #[inline(always)]
    fn greater(self, y: Self) -> Self {
        truth(self > y)
    }
    /// 1 where x >= y, else 0.
    #[inline(always)]
    fn greater_equal(self, y: Self) -> Self {
        truth(self >= y)
    }
    /// 1 where x == y, else 0: the two zeros are equal.
    #[inline(always)]
    fn equal(self, y: Self) -> Self {
        truth(self == y)
    }

    /// The published search's square root: sqrt|x|.
    #[inline(always)]
    fn guarded_sqrt(self) -> Self {
        self.abs().sqrt()
    }
    /// The published search's natural logarithm: log|x|.
    #[inline(always)]
    fn guarded_log(self) -> Self {
        self.abs().log()
    }
    /// The published search's decimal logarithm: log10|x|.
    #[inline(always)]
    fn guarded_log10(self) -> Self {
        self.abs().log10()
    }
    /// The published search's binary logarithm: log2|x|.
    #[inline(always)]
    fn guarded_log2(self) -> Self {
        self.abs().log2()
    }
    /// The published search's log1p: log|1 + x|, accurate near zero.
    fn guarded_log1p(self) -> Self;
    /// The published search's division: x / (y + 1e-8), with 1e-8 rounded to this type.
    #[inline(always)]
    fn guarded_divide(self, y: Self) -> Self {
        self / (y + Self::from_f64(GUARD))
    }
}

/// Returns 1 where a comparison holds, else 0.
#[inline(always)]
fn truth<T: Real>(holds: bool) -> T {
    if holds { T::from_f64(1.0) } else { T::from_f64(0.0) }
}

/// Forwards the methods of [`Real`] named on the left to the functions on the right.
macro_rules! forward {
    ($($method:ident($($operand:ident),*) = $function:path;)*) => {$(
        #[inline(always)]
        fn $method(self $(, $operand: Self)*) -> Self {
            $function(self $(, $operand)*)
        }
    )*};
}

impl Real for f32 {
    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value as f32
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self as f64
    }

    forward! {
        abs() = single::abs;
        cos() = single::cos;
        sin() = single::sin;
        tan() = single::tan;
        arcsin() = single::arcsin;
        arccos() = single::arccos;
        arctan() = single::arctan;
        exp() = single::exp;
        log() = single::log;
        sinh() = single::sinh;
        cosh() = single::cosh;
        tanh() = single::tanh;
        arcsinh() = single::arcsinh;
        arccosh() = single::arccosh;
        arctanh() = single::arctanh;
        sign() = single::sign;
        exp2() = single::exp2;
        exp10() = single::exp10;
        expm1() = single::expm1;
        log10() = single::log10;
        log2() = single::log2;
        log1p() = single::log1p;
        square() = single::square;
        sqrt() = single::sqrt;
        cube() = single::cube;
        cbrt() = single::cbrt;
        reciprocal() = single::reciprocal;
        negative() = single::negative;
        add(y) = single::add;
        subtract(y) = single::subtract;
        multiply(y) = single::multiply;
        divide(y) = single::divide;
        power(y) = single::power;
        maximum(y) = single::maximum;
        minimum(y) = single::minimum;
        guarded_log1p() = single::guarded_log1p;
    }
}

impl Real for f64 {
    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }
    #[inline(always)]
    fn square(self) -> Self {
        self * self
    }
    #[inline(always)]
    fn reciprocal(self) -> Self {
        1.0 / self
    }
    #[inline(always)]
    fn negative(self) -> Self {
        -self
    }
    forward! {
        abs() = libm::fabs;
        cos() = libm::cos;
        sin() = libm::sin;
        tan() = libm::tan;
        arcsin() = libm::asin;
        arccos() = libm::acos;
        arctan() = libm::atan;
        exp() = libm::exp;
        log() = libm::log;
        sinh() = libm::sinh;
        cosh() = libm::cosh;
        tanh() = libm::tanh;
        arcsinh() = libm::asinh;
        arccosh() = semantics::arccosh;
        arctanh() = libm::atanh;
        sign() = semantics::sign;
        cube() = semantics::cube;
        maximum(y) = semantics::maximum;
        minimum(y) = semantics::minimum;
        guarded_log1p() = semantics::guarded_log1p;
        exp2() = libm::exp2;
        exp10() = libm::exp10;
        expm1() = libm::expm1;
        log10() = libm::log10;
        log2() = libm::log2;
        log1p() = libm::log1p;
        sqrt() = libm::sqrt;
        cbrt() = libm::cbrt;
        add(y) = Add::add;
        subtract(y) = Sub::sub;
        multiply(y) = Mul::mul;
        divide(y) = Div::div;
        power(y) = semantics::power;
    }
}
