//! Functions of elements, in f32: those in f64 are made of them.

/// -1, 0 or 1; zeros and NaN stay as they are.
fn sign(x: f32) -> f32 {
    if x > 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        x
    }
}

fn square(x: f32) -> f32 {
    x * x
}

fn cube(x: f32) -> f32 {
    x * x * x
}

/// The larger; NaN if either is.
fn maximum(x: f32, y: f32) -> f32 {
    if x.is_nan() || x > y || (x == y && x.is_sign_positive()) {
        x
    } else {
        y
    }
}

/// The smaller; NaN if either is.
fn minimum(x: f32, y: f32) -> f32 {
    if x.is_nan() || x < y || (x == y && x.is_sign_negative()) {
        x
    } else {
        y
    }
}

/// x where the condition holds, y where it does not.
fn select(condition: bool, x: f32, y: f32) -> f32 {
    if condition {
        return x;
    }
    y
}

/// The logarithm of |1 + x|, accurate near 0.
fn guarded_log1p(x: f32) -> f32 {
    if x < -1.0 {
        return (-(1.0 + x)).ln();
    }
    x.ln_1p()
}

/// The inverse hyperbolic sine, for large numbers too.
fn arcsinh(x: f32) -> f32 {
    let wide = f64::from(x);
    let size = wide.abs();
    let value = if size > 1e10 {
        size.ln() + std::f64::consts::LN_2
    } else {
        size.asinh()
    };
    value.copysign(wide) as f32
}

/// The inverse hyperbolic cosine, for large numbers too.
fn arccosh(x: f32) -> f32 {
    let wide = f64::from(x);
    let value = if wide > 1e10 {
        wide.ln() + std::f64::consts::LN_2
    } else {
        wide.acosh()
    };
    value as f32
}

/// The inverse hyperbolic tangent, near -1 too.
fn arctanh(x: f32) -> f32 {
    let wide = f64::from(x);
    let size = wide.abs();
    let value = 0.5 * (2.0 * size / (1.0 - size)).ln_1p();
    value.copysign(wide) as f32
}
