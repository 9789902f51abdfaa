//! The functions of two operands.

use symopt_dsl::Function;

use super::TileOperand;
use crate::math::Real;
use crate::simd_dispatch;

macro_rules! tile_binary {
    (
        unary { $($unary:ident $unary_fn:ident,)* }
        binary { $($binary:ident $binary_fn:ident,)* }
        ternary { $($ternary:ident $ternary_fn:ident,)* }
    ) => {
        simd_dispatch! {
            /// `out = function(x, y)`.
            pub fn apply(function: Function, x: &TileOperand<'_>, y: &TileOperand<'_>, out: &mut [f32]) {
                match function {
                    $(Function::$binary => zip!(out, x, y, |a, b| Real::$binary_fn(a, b)),)*
                    _ => {}
                }
            }
        }
    };
}
element_wise_functions!(tile_binary);
