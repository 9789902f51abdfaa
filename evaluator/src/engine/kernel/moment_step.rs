//! Whole steps of adaptive optimizers.

use super::{MomentStep, Then};
use crate::math::Real;
use crate::simd_dispatch;

/// The weights, and two averages by the weights `p` and `q`.
macro_rules! moment_step {
    ($out:ident, $x:ident, $first:ident, $second:ident, $p:ident, $q:ident, $then:ident, |$a:ident, $b:ident| $value:expr) => {
        match $then {
            Then::Store => {}
            Then::Blend([u, v]) => {
                moment_step!(@loop $out, $x, $first, $second, $p, $q, |$a, $b, old| u * $value + v * old);
            }
            Then::Step { weights: [u, v], scale } => {
                moment_step!(@loop $out, $x, $first, $second, $p, $q, |$a, $b, old| old - (u * $value + v * old) * scale);
            }
        }
    };
    (@loop $out:ident, $x:ident, $first:ident, $second:ident, $p:ident, $q:ident, |$a:ident, $b:ident, $old:ident| $body:expr) => {
        for (((out, x), first), second) in $out.iter_mut().zip($x).zip($first.iter_mut()).zip($second.iter_mut()) {
            let $old = *out;
            let $a = $p[0] * *x + $p[1] * *first;
            let $b = $q[0] * (*x * *x) + $q[1] * *second;
            *out = $body;
            *first = $a;
            *second = $b;
        }
    };
}

simd_dispatch! {
    /// Updates the weights and both averages.
    pub fn apply(step: MomentStep, x: &[f32], first: &mut [f32], second: &mut [f32], out: &mut [f32]) {
        let MomentStep { weights: [p, q], divisors, shift, guarded, then } = step;
        if guarded {
            root_quotient!(moment_step!(out, x, first, second, p, q, then,), divisors, shift, guarded_sqrt);
        } else {
            root_quotient!(moment_step!(out, x, first, second, p, q, then,), divisors, shift, sqrt);
        }
    }
}
