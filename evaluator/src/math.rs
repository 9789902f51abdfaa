//! The element-wise functions of the language, for the two floating-point types that the evaluator computes in.
//!
//! The functions are named as in the language. Everything in the system that computes with arrays (the reference
//! interpreter, the tile machine, the compiled kernels) calls the functions of this module, so that all of them
//! give the same bits on every machine and at every SIMD level: no function uses the platform's mathematics
//! library or a fused multiply-add.
//!
//! - f64, the oracle's type, uses the `libm` crate.
//! - f32, the production type, uses the branch-free functions of [`single`], which vectorise inside a loop.
//!
//! TODO table
//!
//! Special values are those of IEEE 754 and NumPy. The payload and the sign of a NaN are not significant.

use std::fmt::{Debug, Display};
use std::ops::{Add, Div, Mul, Neg, Sub};

pub mod single;

/// What the guarded division of the published search adds to its divisor.
pub const GUARD: f64 = 1e-8;

/// A floating-point type that the evaluator computes in: f32 (production) or f64 (oracle).
///
/// In code that is generic over `T: Real`, call the functions as `x.exp()` or `T::exp(x)`; only [`Real::add`] needs
/// `Real::add(x, y)`, because [`Add`] has one of the same name. On a concrete f32 or f64 **always** write
/// `Real::exp(x)`: `x.exp()` and `f32::exp(x)` are the standard library's inherent functions, whose results differ
/// from machine to machine.
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
    /// x^y, with the special values of IEEE 754's `pow`: 1 for any x to the power 0 and for 1 to any power, also if the
    /// other argument is NaN; NaN for a negative x to a power that is not an integer.
    fn power(self, y: Self) -> Self;
    /// The larger; NaN if either is NaN; +0 is larger than -0.
    fn maximum(self, y: Self) -> Self;
    /// The smaller; NaN if either is NaN; -0 is smaller than +0.
    fn minimum(self, y: Self) -> Self;

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

/// Forwards the methods of [`Real`] named on the left to the functions on the right.
macro_rules! forward {
    ($type:ty: $($method:ident($($operand:ident),*) = $function:path;)*) => {$(
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

    forward! { f32:
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
    fn sign(self) -> Self {
        if self > 0.0 {
            1.0
        } else if self < 0.0 {
            -1.0
        } else {
            self
        }
    }
    #[inline(always)]
    fn square(self) -> Self {
        self * self
    }
    #[inline(always)]
    fn cube(self) -> Self {
        self * self * self
    }
    #[inline(always)]
    fn reciprocal(self) -> Self {
        1.0 / self
    }
    #[inline(always)]
    fn negative(self) -> Self {
        -self
    }
    #[inline(always)]
    fn maximum(self, y: Self) -> Self {
        if self > y {
            self
        } else if self < y {
            y
        } else if self == y {
            // Equal, so the same bits or two zeros, whose larger has the sign bit only if both have it.
            f64::from_bits(self.to_bits() & y.to_bits())
        } else {
            f64::NAN
        }
    }
    #[inline(always)]
    fn minimum(self, y: Self) -> Self {
        if self < y {
            self
        } else if self > y {
            y
        } else if self == y {
            f64::from_bits(self.to_bits() | y.to_bits())
        } else {
            f64::NAN
        }
    }
    #[inline]
    fn arccosh(self) -> Self {
        // libm 0.2.16's acosh gives numbers for some arguments below 1, such as -6645.
        if self < 1.0 { f64::NAN } else { libm::acosh(self) }
    }
    #[inline]
    fn guarded_log1p(self) -> Self {
        // Below -1 the sum 1 + x is negated; it is exact around -2, where the logarithm is small.
        if self < -1.0 { libm::log(-(1.0 + self)) } else { libm::log1p(self) }
    }

    forward! { f64:
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
        arctanh() = libm::atanh;
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
        power(y) = libm::pow;
    }
}
