//! The functions of the language, one at a time.

use symopt_dsl::Function;

use super::TileOperand;
use crate::math::Real;
use crate::simd_dispatch;

macro_rules! tile_functions {
    (
        unary { $($unary:ident $unary_fn:ident,)* }
        binary { $($binary:ident $binary_fn:ident,)* }
        ternary { $($ternary:ident $ternary_fn:ident,)* }
    ) => {
        simd_dispatch! {
            /// `out = function(x)`.
            pub fn apply_unary(function: Function, x: &TileOperand<'_>, out: &mut [f32]) {
                match function {
                    $(Function::$unary => map!(out, x, |a| Real::$unary_fn(a)),)*
                    _ => {}
                }
            }
        }

        simd_dispatch! {
            /// `out = function(x, y)`.
            pub fn apply_binary(function: Function, x: &TileOperand<'_>, y: &TileOperand<'_>, out: &mut [f32]) {
                match function {
                    $(Function::$binary => zip!(out, x, y, |a, b| Real::$binary_fn(a, b)),)*
                    _ => {}
                }
            }
        }

        simd_dispatch! {
            /// `out = function(x, y, z)`.
            pub fn apply_ternary(function: Function, x: &TileOperand<'_>, y: &TileOperand<'_>, z: &TileOperand<'_>, out: &mut [f32]) {
                match function {
                    $(Function::$ternary => zip3!(out, x, y, z, |a, b, c| Real::$ternary_fn(a, b, c)),)*
                    _ => {}
                }
            }
        }
    };
}
element_wise_functions!(tile_functions);

simd_dispatch! {
    /// `out = x`.
    pub fn copy(x: &TileOperand<'_>, out: &mut [f32]) {
        map!(out, x, |a| a)
    }
}
