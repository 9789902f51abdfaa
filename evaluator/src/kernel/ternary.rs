//! The functions of three operands.

use symopt_dsl::Function;

use super::TileOperand;
use crate::math::Real;
use crate::simd_dispatch;

macro_rules! tile_ternary {
    (
        unary { $($unary:ident $unary_fn:ident,)* }
        binary { $($binary:ident $binary_fn:ident,)* }
        ternary { $($ternary:ident $ternary_fn:ident,)* }
    ) => {
        simd_dispatch! {
            /// `out = function(x, y, z)`.
            pub fn apply(function: Function, x: &TileOperand<'_>, y: &TileOperand<'_>, z: &TileOperand<'_>, out: &mut [f32]) {
                match function {
                    $(Function::$ternary => zip3!(out, x, y, z, |a, b, c| Real::$ternary_fn(a, b, c)),)*
                    _ => {}
                }
            }
        }
    };
}
element_wise_functions!(tile_ternary);
