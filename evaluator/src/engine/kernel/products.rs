//! Products and quotients, and what comes after them.

use super::{Post, TileOperand};
use crate::math::Real;
use crate::simd_dispatch;

macro_rules! product {
    ($out:ident, $x:ident, $y:ident, |$value:ident| $post:expr) => {
        zip!($out, $x, $y, |a, b| {
            let $value = a * b;
            $post
        })
    };
}

macro_rules! quotient {
    ($out:ident, $x:ident, $y:ident, |$value:ident| $post:expr) => {
        zip!($out, $x, $y, |a, b| {
            let $value = a / b;
            $post
        })
    };
}

simd_dispatch! {
    /// `out = post(x * y)`.
    pub fn multiply(post: Post, x: &TileOperand<'_>, y: &TileOperand<'_>, out: &mut [f32]) {
        for_each_post!(post, product!(out, x, y,))
    }
}

simd_dispatch! {
    /// `out = post(x / y)`.
    pub fn divide(post: Post, x: &TileOperand<'_>, y: &TileOperand<'_>, out: &mut [f32]) {
        for_each_post!(post, quotient!(out, x, y,))
    }
}

simd_dispatch! {
    /// `out = x / (y + shift)`.
    pub fn divide_shifted(shift: f32, x: &TileOperand<'_>, y: &TileOperand<'_>, out: &mut [f32]) {
        zip!(out, x, y, |a, b| a / (b + shift))
    }
}
