//! From a function of the language to the code that computes it element by element.
//!
//! [`unary`] and [`binary`] serve the reference interpreter; [`tile`] applies a function to a whole tile in one vectorised loop. Both go through
//! the same functions of [`crate::math`], so they agree bit for bit.

use symopt_dsl::Function;

use crate::math::Real;
use crate::simd_dispatch;

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

/// An operand of a tile operation.
#[derive(Clone, Copy, Debug)]
pub enum TileOperand<'a> {
    /// One number for each element of the result.
    Tile(&'a [f32]),
    /// The same number for all elements.
    Number(f32),
    /// What the place of the result holds before the operation. Only the second operand of a linear operation can be this.
    Output,
}

/// What is done to the value of a cheap operation before it is stored: a second function without a second trip through the cache.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Post {
    /// Nothing.
    None,
    /// Its sign.
    Sign,
    /// Its absolute value.
    Abs,
    /// Its square.
    Square,
    /// Its square root.
    Sqrt,
    /// The square root of its absolute value.
    GuardedSqrt,
    /// Times a number.
    Scale(f32),
}

/// An operation on tiles: a function of the language, or a super-operation that stands for several of them with the same bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TileOperation {
    /// A function of the first operand.
    Unary(Function),
    /// A function of two operands.
    Binary(Function),
    /// `x * y`, and what comes after it.
    Product(Post),
    /// `x / y`, and what comes after it.
    Quotient(Post),
    /// `x / (y + shift)`.
    ShiftedQuotient {
        /// Keeps the divisor away from zero.
        shift: f32,
    },
    /// `weights[0] * x + weights[1] * y`, and what comes after it. Sums, differences, blends and affine forms are all of this kind: a product
    /// with 1 or -1 is exact. With a number y, `weights[0] * x + y`.
    Linear {
        /// The two weights.
        weights: [f32; 2],
        /// Whether the square of x stands for x.
        square: bool,
        /// What comes after it.
        post: Post,
    },
    /// `out - scale * (weights[0] * x + weights[1] * y)`: an update that is subtracted as it is computed. With a number y,
    /// `out - scale * (weights[0] * x + y)`.
    LinearStep {
        /// The two weights.
        weights: [f32; 2],
        /// The factor of the sum.
        scale: f32,
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
            TileOperand::Output => {}
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
            (TileOperand::Output, _) | (_, TileOperand::Output) => {}
        }
    };
}

/// `out[i] = body` for a linear operation: x is a tile; y is a tile, a number or the old `out[i]`. `sum` is the weighted sum in `body`, `old`
/// the old `out[i]`.
macro_rules! linear {
    ($out:ident, $x:ident, $y:ident, $weights:ident, |$a:ident| $of_x:expr, |$sum:ident, $old:ident| $body:expr) => {{
        let [p, q] = $weights;
        match ($x, $y) {
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

/// A loop for each [`Post`]: `store` is a macro that takes what to do with the value.
macro_rules! for_each_post {
    ($post:expr, $loop:ident!($($arguments:tt)*)) => {
        match $post {
            Post::None => $loop!($($arguments)* |value| value),
            Post::Sign => $loop!($($arguments)* |value| Real::sign(value)),
            Post::Abs => $loop!($($arguments)* |value| Real::abs(value)),
            Post::Square => $loop!($($arguments)* |value| Real::square(value)),
            Post::Sqrt => $loop!($($arguments)* |value| Real::sqrt(value)),
            Post::GuardedSqrt => $loop!($($arguments)* |value| Real::guarded_sqrt(value)),
            Post::Scale(factor) => $loop!($($arguments)* |value| value * factor),
        }
    };
}

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

macro_rules! tile_lookup {
    (unary { $($unary:ident $unary_fn:ident,)* } binary { $($binary:ident $binary_fn:ident,)* }) => {
        simd_dispatch! {
            /// Applies an operation to tiles. `out` and all tiles must have one length. Operands that an operation does not take, and functions
            /// that are not element-wise, leave `out` as it is: a [`TileMachine`](crate::tile_machine::TileMachine) never asks for them.
            pub fn tile(operation: TileOperation, x: TileOperand<'_>, y: TileOperand<'_>, out: &mut [f32]) {
                match operation {
                    TileOperation::Copy => map!(out, x, |a| a),
                    TileOperation::Product(post) => for_each_post!(post, product!(out, x, y,)),
                    TileOperation::Quotient(post) => for_each_post!(post, quotient!(out, x, y,)),
                    TileOperation::ShiftedQuotient { shift } => zip!(out, x, y, |a, b| a / (b + shift)),
                    TileOperation::Linear { weights, square: false, post } => for_each_post!(post, linear_of_x!(out, x, y, weights,)),
                    TileOperation::Linear { weights, square: true, post } => for_each_post!(post, linear_of_square!(out, x, y, weights,)),
                    TileOperation::LinearStep { weights, scale } => {
                        linear!(out, x, y, weights, |a| a, |sum, old| old - sum * scale)
                    }
                    $(TileOperation::Unary(Function::$unary) => map!(out, x, |a| Real::$unary_fn(a)),)*
                    $(TileOperation::Binary(Function::$binary) => zip!(out, x, y, |a, b| Real::$binary_fn(a, b)),)*
                    TileOperation::Unary(_) | TileOperation::Binary(_) => {}
                }
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
