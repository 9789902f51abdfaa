//! Steps of gradient descent on root mean squares.

use super::{Then, TileOperand};
use crate::math::Real;
use crate::simd_dispatch;

/// A root quotient and what becomes of it.
macro_rules! root_quotient_then {
    ($out:ident, $x:ident, $y:ident, $then:ident, |$a:ident, $b:ident| $value:expr) => {
        match $then {
            Then::Store => zip!($out, $x, $y, |$a, $b| $value),
            Then::Blend([p, q]) => zip_with_old!($out, $x, $y, |$a, $b, old| p * $value + q * old),
            Then::Step { weights: [p, q], scale } => {
                zip_with_old!($out, $x, $y, |$a, $b, old| old - (p * $value + q * old) * scale)
            }
        }
    };
}

simd_dispatch! {
    /// `(x / divisors[0]) / (sqrt(y / divisors[1]) + shift)`, and what becomes of it.
    pub fn apply(
        divisors: Option<[f32; 2]>,
        shift: Option<f32>,
        guarded: bool,
        then: Then,
        x: &TileOperand<'_>,
        y: &TileOperand<'_>,
        out: &mut [f32],
    ) {
        if guarded {
            root_quotient!(root_quotient_then!(out, x, y, then,), divisors, shift, guarded_sqrt)
        } else {
            root_quotient!(root_quotient_then!(out, x, y, then,), divisors, shift, sqrt)
        }
    }
}
