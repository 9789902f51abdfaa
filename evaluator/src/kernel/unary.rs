//! The functions of one operand.

use symopt_dsl::Function;

use super::TileOperand;
use crate::math::Real;
use crate::simd_dispatch;

macro_rules! tile_unary {
    (
        unary { $($unary:ident $unary_fn:ident,)* }
        binary { $($binary:ident $binary_fn:ident,)* }
        ternary { $($ternary:ident $ternary_fn:ident,)* }
    ) => {
        simd_dispatch! {
            /// `out = function(x)`.
            pub fn apply(function: Function, x: &TileOperand<'_>, out: &mut [f32]) {
                match function {
                    $(Function::$unary => map!(out, x, |a| Real::$unary_fn(a)),)*
                    _ => {}
                }
            }
        }
    };
}
element_wise_functions!(tile_unary);

simd_dispatch! {
    /// `out = x`.
    pub fn copy(x: &TileOperand<'_>, out: &mut [f32]) {
        map!(out, x, |a| a)
    }
}
