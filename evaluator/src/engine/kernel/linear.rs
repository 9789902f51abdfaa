//! Weighted sums, and what comes after them.

use super::{Post, TileOperand};
use crate::math::Real;
use crate::simd_dispatch;

/// `out[i] = body` for a linear operation: x is a tile; y is a tile, a number or the old `out[i]`.
/// `sum` is the weighted sum in `body`, `old` the old `out[i]`.
macro_rules! linear {
    ($out:ident, $x:ident, $y:ident, $weights:ident, |$a:ident| $of_x:expr, |$sum:ident, $old:ident| $body:expr) => {{
        let [p, q] = $weights;
        match (*$x, *$y) {
            (TileOperand::Tile(x), TileOperand::Tile(y)) => {
                for ((out, $a), b) in $out.iter_mut().zip(x).zip(y) {
                    let ($a, $old) = (*$a, *out);
                    let $sum = p * $of_x + q * *b;
                    let _ = $old;
                    *out = $body;
                }
            }
            (TileOperand::Tile(x), TileOperand::Output) => {
                for (out, $a) in $out.iter_mut().zip(x) {
                    let ($a, $old) = (*$a, *out);
                    let $sum = p * $of_x + q * $old;
                    *out = $body;
                }
            }
            (TileOperand::Tile(x), TileOperand::Number(c)) => {
                for (out, $a) in $out.iter_mut().zip(x) {
                    let ($a, $old) = (*$a, *out);
                    let $sum = p * $of_x + c;
                    let _ = $old;
                    *out = $body;
                }
            }
            (TileOperand::Number(_) | TileOperand::Output, _) => {}
        }
    }};
}

macro_rules! linear_of_x {
    ($out:ident, $x:ident, $y:ident, $weights:ident, |$value:ident| $post:expr) => {
        linear!($out, $x, $y, $weights, |a| a, |$value, _old| $post)
    };
}

macro_rules! linear_of_square {
    ($out:ident, $x:ident, $y:ident, $weights:ident, |$value:ident| $post:expr) => {
        linear!($out, $x, $y, $weights, |a| (a * a), |$value, _old| $post)
    };
}

simd_dispatch! {
    /// `out = post(weights[0] * x + weights[1] * y)`, where the square of x may stand for x.
    pub fn combine(weights: [f32; 2], square: bool, post: Post, x: &TileOperand<'_>, y: &TileOperand<'_>, out: &mut [f32]) {
        if square {
            for_each_post!(post, linear_of_square!(out, x, y, weights,))
        } else {
            for_each_post!(post, linear_of_x!(out, x, y, weights,))
        }
    }
}

simd_dispatch! {
    /// `out = out - scale * (weights[0] * x + weights[1] * y)`.
    pub fn step(weights: [f32; 2], scale: f32, x: &TileOperand<'_>, y: &TileOperand<'_>, out: &mut [f32]) {
        linear!(out, x, y, weights, |a| a, |sum, old| old - sum * scale)
    }
}
