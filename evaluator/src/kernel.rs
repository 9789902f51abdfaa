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

#[inline(always)]
fn map(out: &mut [f32], x: TileOperand, f: impl Fn(f32) -> f32) {
    match x {
        TileOperand::Tile(x) => out.iter_mut().zip(x).for_each(|(out, x)| *out = f(*x)),
        TileOperand::Number(x) => out.fill(f(x)),
    }
}

#[inline(always)]
fn zip(out: &mut [f32], x: TileOperand, y: TileOperand, f: impl Fn(f32, f32) -> f32) {
    match (x, y) {
        (TileOperand::Tile(x), TileOperand::Tile(y)) => out.iter_mut().zip(x).zip(y).for_each(|((out, x), y)| *out = f(*x, *y)),
        (TileOperand::Tile(x), TileOperand::Number(y)) => out.iter_mut().zip(x).for_each(|(out, x)| *out = f(*x, y)),
        (TileOperand::Number(x), TileOperand::Tile(y)) => out.iter_mut().zip(y).for_each(|(out, y)| *out = f(x, *y)),
        (TileOperand::Number(x), TileOperand::Number(y)) => out.fill(f(x, y)),
    }
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
                TileOperation::Copy => map(out, x, |x| x),
                TileOperation::Blend { weights: [a, b] } => zip(out, x, y, |x, y| a * x + b * y),
                $(TileOperation::Unary(Function::$unary) => map(out, x, |x| Real::$unary_fn(x)),)*
                $(TileOperation::Binary(Function::$binary) => zip(out, x, y, |x, y| Real::$binary_fn(x, y)),)*
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
