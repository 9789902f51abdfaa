//! Averages and blends that are updated together.

use super::{Averages, BlendPair, Post};
use crate::math::Real;
use crate::simd_dispatch;

macro_rules! blend_pair {
    ($out:ident, $x:ident, $y:ident, $first:ident, $second:ident, |$value:ident| $post:expr) => {
        for ((out, x), y) in $out.iter_mut().zip($x).zip($y.iter_mut()) {
            let $value = $first[0] * *x + $first[1] * *y;
            *y = $second[0] * *x + $second[1] * *y;
            *out = $post;
        }
    };
}

simd_dispatch! {
    /// Applies both blends.
    pub fn blend(pair: BlendPair, x: &[f32], y: &mut [f32], out: &mut [f32]) {
        let BlendPair { first, post, second } = pair;
        for_each_post!(post, blend_pair!(out, x, y, first, second,))
    }
}

macro_rules! averages {
    ($x:ident, $first:ident, $second:ident, $weights:ident, |$value:ident| $of_first:expr, $of_second:expr) => {
        for ((first, second), $value) in $first.iter_mut().zip($second.iter_mut()).zip($x) {
            let ($value, [p, q]) = (*$value, $weights);
            *first = p[0] * $of_first + p[1] * *first;
            *second = q[0] * $of_second + q[1] * *second;
        }
    };
}

simd_dispatch! {
    /// Updates both averages.
    pub fn update(averages: Averages, x: &[f32], first: &mut [f32], second: &mut [f32]) {
        let Averages { weights, squares } = averages;
        match squares {
            [false, false] => averages!(x, first, second, weights, |x| x, x),
            [false, true] => averages!(x, first, second, weights, |x| x, x * x),
            [true, false] => averages!(x, first, second, weights, |x| x * x, x),
            [true, true] => averages!(x, first, second, weights, |x| x * x, x * x),
        }
    }
}
