//! From a function of the language to the code that computes it element by element.
//!
//! [`unary`], [`binary`] and [`ternary`] serve the reference interpreter; [`TileOperation`]s apply
//! a function to a whole tile in one vectorised loop. Both go through the same functions of
//! [`crate::math`], so they agree bit for bit.
//!
//! The loops of each kind of operation have a module of their own: there are hundreds of them,
//! three times over, and the compiler takes several times as long where they are one function.

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
                GuardedDivide guarded_divide, Less less, LessEqual less_equal, Greater greater, GreaterEqual greater_equal, Equal equal,
            }
            ternary {
                Where select,
            }
        }
    };
}

#[macro_use]
mod loops;
mod averages;
mod functions;
mod linear;
mod moment_step;
mod products;
mod root_quotient;

macro_rules! scalar_lookup {
    (
        unary { $($unary:ident $unary_fn:ident,)* }
        binary { $($binary:ident $binary_fn:ident,)* }
        ternary { $($ternary:ident $ternary_fn:ident,)* }
    ) => {
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

        /// The code of a ternary element-wise function; `None` for any other function.
        pub fn ternary<T: Real>(function: Function) -> Option<fn(T, T, T) -> T> {
            match function {
                $(Function::$ternary => Some(<T as Real>::$ternary_fn),)*
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
    /// Value that the place of the result holds before the operation. Only the second operand of a
    /// linear operation can be this.
    Output,
}

impl TileOperand<'_> {
    /// The number for one element.
    #[inline(always)]
    fn at(&self, place: usize) -> f32 {
        match self {
            TileOperand::Tile(tile) => tile[place],
            TileOperand::Number(number) => *number,
            TileOperand::Output => 0.0,
        }
    }
}

/// Function applied to the value of a cheap operation before it is stored: a second function
/// without a second trip through the cache.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Post<N = f32> {
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
    Scale(N),
}

/// Use of the value of an operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Then<N = f32> {
    /// It is stored.
    Store,
    /// `out = weights[0] * value + weights[1] * out`.
    Blend([N; 2]),
    /// `out = out - scale * (weights[0] * value + weights[1] * out)`.
    Step {
        /// The two weights.
        weights: [N; 2],
        /// The factor of the sum.
        scale: N,
    },
}

/// An operation on tiles: a function of the language, or a super-operation that stands for several
/// of them with the same bits. `N` is the type of its numbers: f32, or what they are to be made
/// from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TileOperation<N = f32> {
    /// A function of the first operand.
    Unary(Function),
    /// A function of two operands.
    Binary(Function),
    /// A function of three operands.
    Ternary(Function),
    /// `x * y`, and what comes after it.
    Product(Post<N>),
    /// `x / y`, and what comes after it.
    Quotient(Post<N>),
    /// `x / (y + shift)`.
    ShiftedQuotient {
        /// Keeps the divisor away from zero.
        shift: N,
    },
    /// `weights[0] * x + weights[1] * y`, and what comes after it. Sums, differences, blends and
    /// affine forms are all of this kind: a product with 1 or -1 is exact. With a number y,
    /// `weights[0] * x + y`.
    Linear {
        /// The two weights.
        weights: [N; 2],
        /// Whether the square of x stands for x.
        square: bool,
        /// Function applied to the sum.
        post: Post<N>,
    },
    /// `out - scale * (weights[0] * x + weights[1] * y)`: an update that is subtracted as it is
    /// computed. With a number y, `out - scale * (weights[0] * x + y)`.
    LinearStep {
        /// The two weights.
        weights: [N; 2],
        /// The factor of the sum.
        scale: N,
    },
    /// A step of gradient descent on a root mean square: `(x / x_divisor) / (sqrt(y / y_divisor) +
    /// shift)`.
    RootQuotient {
        /// Divisors of x and y, if they have any.
        divisors: Option<[N; 2]>,
        /// Keeps the divisor away from zero, where there is something to do so.
        shift: Option<N>,
        /// Whether the root is of |y|.
        guarded: bool,
        /// Use of the quotient.
        then: Then<N>,
    },
    /// The first operand itself.
    Copy,
}

/// Two blends of the same operands: `post(first[0] * x + first[1] * y)` goes to `out`, `second[0] *
/// x + second[1] * y` takes the place of y. An optimizer with two decay rates blends its momentum
/// this way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BlendPair<N = f32> {
    /// The weights of the first blend.
    pub first: [N; 2],
    /// Function applied to the first blend.
    pub post: Post<N>,
    /// The weights of the second blend.
    pub second: [N; 2],
}

/// Two averages of one array, each in a place of its own: `out = weights[0] * x + weights[1] *
/// out`, where the square of x may stand for x. An optimizer averages its first and second moments
/// this way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Averages<N = f32> {
    /// The weights of both.
    pub weights: [[N; 2]; 2],
    /// Whether the square of x stands for x.
    pub squares: [bool; 2],
}

/// A whole step of an adaptive optimizer: two averages of x and of its square, each in a place of
/// its own, and with them, as `a` and `b`, the weights: `(a / divisors[0]) / (sqrt(b / divisors[1]) +
/// shift)`, as `then` says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MomentStep<N = f32> {
    /// The weights of both averages.
    pub weights: [[N; 2]; 2],
    /// Divisors of the averages, if they have any.
    pub divisors: Option<[N; 2]>,
    /// Keeps the divisor away from zero, where there is something to do so.
    pub shift: Option<N>,
    /// Whether the root is of |b|.
    pub guarded: bool,
    /// Use of the quotient, which is not just stored.
    pub then: Then<N>,
}

impl<N: Copy> Then<N> {
    /// The same with other numbers.
    #[inline]
    pub fn map<M>(self, number: impl Fn(N) -> M + Copy) -> Then<M> {
        match self {
            Then::Store => Then::Store,
            Then::Blend(weights) => Then::Blend(weights.map(number)),
            Then::Step { weights, scale } => {
                Then::Step { weights: weights.map(number), scale: number(scale) }
            }
        }
    }
}

impl<N: Copy> Post<N> {
    /// The same with other numbers.
    #[inline]
    pub fn map<M>(self, number: impl Fn(N) -> M) -> Post<M> {
        match self {
            Post::None => Post::None,
            Post::Sign => Post::Sign,
            Post::Abs => Post::Abs,
            Post::Square => Post::Square,
            Post::Sqrt => Post::Sqrt,
            Post::GuardedSqrt => Post::GuardedSqrt,
            Post::Scale(factor) => Post::Scale(number(factor)),
        }
    }

    /// The function as something that is done to a value before it is stored, if it can be that.
    pub fn of(function: Function) -> Option<Post<N>> {
        match function {
            Function::Sign => Some(Post::Sign),
            Function::Abs => Some(Post::Abs),
            Function::Square => Some(Post::Square),
            Function::Sqrt => Some(Post::Sqrt),
            Function::GuardedSqrt => Some(Post::GuardedSqrt),
            _ => None,
        }
    }
}

impl<N: Copy> TileOperation<N> {
    /// The same with other numbers.
    #[inline]
    pub fn map<M>(self, number: impl Fn(N) -> M + Copy) -> TileOperation<M> {
        match self {
            TileOperation::Unary(function) => TileOperation::Unary(function),
            TileOperation::Binary(function) => TileOperation::Binary(function),
            TileOperation::Ternary(function) => TileOperation::Ternary(function),
            TileOperation::Product(post) => TileOperation::Product(post.map(number)),
            TileOperation::Quotient(post) => TileOperation::Quotient(post.map(number)),
            TileOperation::ShiftedQuotient { shift } => {
                TileOperation::ShiftedQuotient { shift: number(shift) }
            }
            TileOperation::Linear { weights, square, post } => TileOperation::Linear {
                weights: weights.map(number),
                square,
                post: post.map(number),
            },
            TileOperation::LinearStep { weights, scale } => {
                TileOperation::LinearStep { weights: weights.map(number), scale: number(scale) }
            }
            TileOperation::RootQuotient { divisors, shift, guarded, then } => {
                let (divisors, shift) = (divisors.map(|d| d.map(number)), shift.map(number));
                TileOperation::RootQuotient { divisors, shift, guarded, then: then.map(number) }
            }
            TileOperation::Copy => TileOperation::Copy,
        }
    }
}

impl TileOperation {
    /// Applies the operation. `out` and all tiles must have one length. Operands that an operation
    /// does not take, and functions that are not element-wise, leave `out` as it is: a
    /// [`TileMachine`](crate::engine::tile_machine::TileMachine) never asks for them.
    pub fn run(&self, x: &TileOperand, y: &TileOperand, z: &TileOperand, out: &mut [f32]) {
        match *self {
            TileOperation::Copy => functions::copy(x, out),
            TileOperation::Unary(function) => functions::apply_unary(function, x, out),
            TileOperation::Binary(function) => functions::apply_binary(function, x, y, out),
            TileOperation::Ternary(function) => functions::apply_ternary(function, x, y, z, out),
            TileOperation::Product(post) => products::multiply(post, x, y, out),
            TileOperation::Quotient(post) => products::divide(post, x, y, out),
            TileOperation::ShiftedQuotient { shift } => products::divide_shifted(shift, x, y, out),
            TileOperation::Linear { weights, square, post } => {
                linear::combine(weights, square, post, x, y, out)
            }
            TileOperation::LinearStep { weights, scale } => linear::step(weights, scale, x, y, out),
            TileOperation::RootQuotient { divisors, shift, guarded, then } => {
                root_quotient::apply(divisors, shift, guarded, then, x, y, out);
            }
        }
    }
}

impl BlendPair {
    /// Applies both blends. All slices have one length.
    pub fn run(self, x: &[f32], y: &mut [f32], out: &mut [f32]) {
        averages::blend(self, x, y, out);
    }
}

impl Averages {
    /// Updates both. All slices have one length.
    pub fn run(self, x: &[f32], first: &mut [f32], second: &mut [f32]) {
        averages::update(self, x, first, second);
    }
}

impl MomentStep {
    /// Updates the weights and both averages. All slices have one length.
    pub fn run(self, x: &[f32], first: &mut [f32], second: &mut [f32], out: &mut [f32]) {
        moment_step::apply(self, x, first, second, out);
    }
}

#[cfg(test)]
mod tests {
    use symopt_dsl::function::{FUNCTIONS, Typing};

    #[test]
    fn every_element_wise_function_of_the_table_has_a_kernel() {
        for row in FUNCTIONS.iter().filter(|row| row.typing == Typing::ElementWise) {
            let found = match row.arity() {
                1 => {
                    super::unary::<f32>(row.function).is_some()
                        && super::unary::<f64>(row.function).is_some()
                }
                2 => {
                    super::binary::<f32>(row.function).is_some()
                        && super::binary::<f64>(row.function).is_some()
                }
                _ => {
                    super::ternary::<f32>(row.function).is_some()
                        && super::ternary::<f64>(row.function).is_some()
                }
            };
            assert!(found, "{} has a row in the function table but no kernel", row.name);
        }
    }
}
