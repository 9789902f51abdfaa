//! Meaning of each element-wise function, in f64: the definitions that every other implementation
//! approximates.
//!
//! All of them are deterministic on every machine (the transcendental ones come from the pure Rust
//! `libm`), because constants are folded with them and folded constants enter the functional hash.

/// Numbers closer to zero than this are not told apart from it by guarded division; also the value
/// of `get_eps()`.
pub const EPSILON: f64 = 1e-8;

/// -1, 0 or 1, and NaN for NaN. A zero stays the zero that it is, so that the function is odd;
/// NumPy's sign makes `+0` of both.
pub fn sign(x: f64) -> f64 {
    if x > 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        x
    }
}

/// The inverse hyperbolic cosine; NaN below 1, where libm 0.2.16 gives numbers for some arguments,
/// such as -6645.
pub fn arccosh(x: f64) -> f64 {
    if x < 1.0 { f64::NAN } else { libm::acosh(x) }
}

/// `x * x * x`, multiplied from the left.
pub fn cube(x: f64) -> f64 {
    x * x * x
}

/// `maximum` as NumPy has it (NaN if either is NaN) and, beyond it, commutative: `maximum(-0, +0)`
/// is `+0`.
pub fn maximum(x: f64, y: f64) -> f64 {
    if x.is_nan() || y.is_nan() {
        f64::NAN
    } else if x > y || (x == y && x.is_sign_positive()) {
        x
    } else {
        y
    }
}

/// `minimum` as NumPy has it (NaN if either is NaN) and, beyond it, commutative: `minimum(-0, +0)`
/// is `-0`.
pub fn minimum(x: f64, y: f64) -> f64 {
    if x.is_nan() || y.is_nan() {
        f64::NAN
    } else if x < y || (x == y && x.is_sign_negative()) {
        x
    } else {
        y
    }
}

/// `x` to the power `y`, as libm gives it.
///
/// A decay rate to the power of the step count underflows sooner or later, and then libm takes
/// several times as long as for any other arguments, step for step. As x^y <= e^(y (x - 1)), that
/// can be told beforehand.
pub fn power(x: f64, y: f64) -> f64 {
    // e^-800 is less than half of the smallest number that there is.
    if 0.0 < x && x < 1.0 && y * (x - 1.0) < -800.0 { 0.0 } else { libm::pow(x, y) }
}

/// `(1 - a) * x + a * y`.
pub fn interp(x: f64, y: f64, a: f64) -> f64 {
    (1.0 - a) * x + a * y
}

/// The factor by which `clip(x, limit)` scales x, from the global norm of x: 1 where the norm is
/// within the limit.
pub fn clip_factor(global_norm: f64, limit: f64) -> f64 {
    if global_norm <= limit { 1.0 } else { limit / global_norm }
}

/// The cosine of the angle between two vectors, from their dot product and their squared norms.
pub fn cosine_similarity(dot: f64, squared_norm_x: f64, squared_norm_y: f64) -> f64 {
    dot / (libm::sqrt(squared_norm_x) * libm::sqrt(squared_norm_y))
}

/// `x` where the condition is not zero, `y` where it is. NaN is not zero, as in NumPy.
pub fn select(condition: f64, x: f64, y: f64) -> f64 {
    if condition != 0.0 { x } else { y }
}

/// Returns 1 where a comparison holds, else 0.
fn truth(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

/// 1 where x < y.
pub fn less(x: f64, y: f64) -> f64 {
    truth(x < y)
}

/// 1 where x <= y.
pub fn less_equal(x: f64, y: f64) -> f64 {
    truth(x <= y)
}

/// 1 where x > y.
pub fn greater(x: f64, y: f64) -> f64 {
    truth(x > y)
}

/// 1 where x >= y.
pub fn greater_equal(x: f64, y: f64) -> f64 {
    truth(x >= y)
}

/// 1 where x == y: the two zeros are equal.
pub fn equal(x: f64, y: f64) -> f64 {
    truth(x == y)
}

/// Square root of |x|: the published search's protected square root.
pub fn guarded_sqrt(x: f64) -> f64 {
    libm::sqrt(x.abs())
}

/// Natural logarithm of |x|.
pub fn guarded_log(x: f64) -> f64 {
    libm::log(x.abs())
}

/// Base-10 logarithm of |x|.
pub fn guarded_log10(x: f64) -> f64 {
    libm::log10(x.abs())
}

/// Base-2 logarithm of |x|.
pub fn guarded_log2(x: f64) -> f64 {
    libm::log2(x.abs())
}

/// Natural logarithm of |1 + x|, accurate near 0.
pub fn guarded_log1p(x: f64) -> f64 {
    // Below -1 the sum 1 + x is negated; it is exact around -2, where the logarithm is small.
    if x < -1.0 { libm::log(-(1.0 + x)) } else { libm::log1p(x) }
}

/// `x / (y + 1e-8)`: the published search's protected division.
pub fn guarded_divide(x: f64, y: f64) -> f64 {
    x / (y + EPSILON)
}

/// Steps of the Newton-Schulz iteration.
pub const NEWTON_SCHULZ_STEPS: usize = 5;

/// The quintic of Muon's iteration, a x + b x^3 + c x^5: steep at zero, and after five steps
/// singular values are between 0.7 and 1.2 or so, and not at 1 (Jordan 2024, "Muon: An optimizer
/// for hidden layers in neural networks").
pub const NEWTON_SCHULZ_COEFFICIENTS: [f64; 3] = [3.4445, -4.7750, 2.0315];

/// Number added to the norm that a matrix is divided by before the iteration.
pub const NEWTON_SCHULZ_EPSILON: f64 = 1e-7;

/// The Newton-Schulz iteration on a matrix of one number.
pub fn newton_schulz(x: f64) -> f64 {
    let [a, b, c] = NEWTON_SCHULZ_COEFFICIENTS;
    (0..NEWTON_SCHULZ_STEPS).fold(x / (x.abs() + NEWTON_SCHULZ_EPSILON), |x, _| {
        let square = x * x;
        a * x + (b * square + c * (square * square)) * x
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_power_that_underflows_is_libm_s_to_the_bit() {
        let mut underflowed = 0;
        for x in [
            1e-300,
            1e-5,
            0.1,
            0.5,
            0.9,
            0.99,
            0.999,
            0.9999,
            1.0 - f64::EPSILON,
            1.0,
            1.5,
            -0.5,
            0.0,
            f64::NAN,
        ] {
            for exponent in 0..400 {
                let y = 1.3_f64.powi(exponent - 100);
                for y in [y, -y] {
                    let (fast, exact) = (power(x, y), libm::pow(x, y));
                    assert!(
                        fast.to_bits() == exact.to_bits() || (fast.is_nan() && exact.is_nan()),
                        "{x}^{y}: {fast} and {exact}"
                    );
                    underflowed += usize::from(x > 0.0 && fast == 0.0);
                }
            }
        }
        assert!(underflowed > 100);
    }
}
