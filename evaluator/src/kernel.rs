//! From a function of the language to the code that computes it element by element.
//!
//! [`unary`] and [`binary`] serve the reference interpreter; [`tile`] applies a function to a whole tile in one vectorised loop. Both go through
//! the same functions of [`crate::math`], so they agree bit for bit.

use multiversion::multiversion;
use symopt_dsl::Function;

use crate::math::Real;

/// One line for each element-wise function: its name in the table and its function in [`Real`].
macro_rules! element_wise_functions {
    ($use:ident) => {
        $use! {
            unary {
                Abs abs, Cos cos, Sin sin, Tan tan, Arcsin arcsin, Arccos arccos, Arctan arctan, Exp exp, Log log, Sinh sinh, Cosh cosh,
                Tanh tanh, Arcsinh arcsinh, Arccosh arccosh, Arctanh arctanh, Sign sign, Exp2 exp2, Exp10 exp10, Expm1 expm1, Log10 log10,
                Log2 log2, Log1p log1p, Square square, Sqrt sqrt, Cube cube, Cbrt cbrt, Reciprocal reciprocal, Negative negative,
                GuardedLog guarded_log, GuardedLog10 guarded_log10, GuardedLog2 guarded_log2, GuardedLog1p guarded_log1p,
                GuardedSqrt guarded_sqrt,
            }
            binary {
                Add add, Subtract subtract, Multiply multiply, Divide divide, Power power, Maximum maximum, Minimum minimum,
                GuardedDivide guarded_divide,
            }
        }
    };
}

macro_rules! scalar_lookup {
    (unary { $($unary:ident $unary_fn:ident,)* } binary { $($binary:ident $binary_fn:ident,)* }) => {
        /// The code of a unary element-wise function; `None` for any other function.
        pub fn unary<T: Real>(function: Function) -> Option<fn(T) -> T> {
            match function {
                Function::Copy => Some(|x| x),
                $(Function::$unary => Some(<T as Real>::$unary_fn),)*
                _ => None,
            }
        }

        /// The code of a binary element-wise function; `None` for any other function.
        pub fn binary<T: Real>(function: Function) -> Option<fn(T, T) -> T> {
            match function {
                $(Function::$binary => Some(<T as Real>::$binary_fn),)*
                _ => None,
            }
        }
    };
}
element_wise_functions!(scalar_lookup);

/// An operand of a tile operation: a tile of the same length as the result, or one number for all of it.
#[derive(Clone, Copy, Debug)]
pub enum TileOperand<'a> {
    /// One number for each element.
    Tile(&'a [f32]),
    /// The same number for all elements.
    Number(f32),
}

/// An operation on tiles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TileOperation {
    /// A function of the first operand.
    Unary(Function),
    /// A function of two operands.
    Binary(Function),
    /// `weights[0] * x + weights[1] * y`.
    Blend {
        /// The two weights.
        weights: [f32; 2],
    },
    /// The first operand itself.
    Copy,
}

// The loops are macros because a closure would stay a call for each element: in a function of this many arms the compiler stops inlining
// closures, and nothing vectorises then.

/// `out[i] = body` for each element of a tile, or for a number.
macro_rules! map {
    ($out:ident, $x:ident, |$element:ident| $body:expr) => {
        match $x {
            TileOperand::Tile(tile) => {
                for (out, $element) in $out.iter_mut().zip(tile) {
                    let $element = *$element;
                    *out = $body;
                }
            }
            TileOperand::Number($element) => $out.fill($body),
        }
    };
}

/// `out[i] = body` for each pair of elements of two tiles; a number pairs with every element.
macro_rules! zip {
    ($out:ident, $x:ident, $y:ident, |$a:ident, $b:ident| $body:expr) => {
        match ($x, $y) {
            (TileOperand::Tile(x), TileOperand::Tile(y)) => {
                for ((out, $a), $b) in $out.iter_mut().zip(x).zip(y) {
                    let ($a, $b) = (*$a, *$b);
                    *out = $body;
                }
            }
            (TileOperand::Tile(x), TileOperand::Number($b)) => {
                for (out, $a) in $out.iter_mut().zip(x) {
                    let $a = *$a;
                    *out = $body;
                }
            }
            (TileOperand::Number($a), TileOperand::Tile(y)) => {
                for (out, $b) in $out.iter_mut().zip(y) {
                    let $b = *$b;
                    *out = $body;
                }
            }
            (TileOperand::Number($a), TileOperand::Number($b)) => $out.fill($body),
        }
    };
}

macro_rules! tile_lookup {
    (unary { $($unary:ident $unary_fn:ident,)* } binary { $($binary:ident $binary_fn:ident,)* }) => {
        /// Applies an operation to tiles. `out` and all tiles must have one length. Functions that are not element-wise leave `out` as it is:
        /// a [`Plan`](crate::plan::Plan) never asks for them.
        #[multiversion(targets(
            "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2+lzcnt+popcnt",
            "x86_64+avx2+fma+bmi1+bmi2+lzcnt+popcnt",
        ))]
        pub fn tile(operation: TileOperation, x: TileOperand, y: TileOperand, out: &mut [f32]) {
            match operation {
                TileOperation::Copy => map!(out, x, |a| a),
                TileOperation::Blend { weights: [p, q] } => zip!(out, x, y, |a, b| p * a + q * b),
                $(TileOperation::Unary(Function::$unary) => map!(out, x, |a| Real::$unary_fn(a)),)*
                $(TileOperation::Binary(Function::$binary) => zip!(out, x, y, |a, b| Real::$binary_fn(a, b)),)*
                TileOperation::Unary(_) | TileOperation::Binary(_) => {}
            }
        }
    };
}
element_wise_functions!(tile_lookup);

#[cfg(test)]
mod tests {
    use symopt_dsl::function::{FUNCTIONS, Typing};

    #[test]
    fn every_element_wise_function_of_the_table_has_a_kernel() {
        for row in FUNCTIONS.iter().filter(|row| row.typing == Typing::ElementWise) {
            let found = match row.arity() {
                1 => super::unary::<f32>(row.function).is_some() && super::unary::<f64>(row.function).is_some(),
                _ => super::binary::<f32>(row.function).is_some() && super::binary::<f64>(row.function).is_some(),
            };
            assert!(found, "{} has a row in the function table but no kernel", row.name);
        }
    }
}
