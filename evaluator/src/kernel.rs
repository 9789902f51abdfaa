//! From a function of the language to the code that computes it element by element.
//!
//! [`unary`], [`binary`] and [`ternary`] serve the reference interpreter; [`TileOperation`]s apply a function to a whole tile in one vectorised loop. Both go
//! through the same functions of [`crate::math`], so they agree bit for bit.

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
    /// What the place of the result holds before the operation. Only the second operand of a linear operation can be this.
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

/// What is done to the value of a cheap operation before it is stored: a second function without a second trip through the cache.
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

/// What becomes of the value of an operation.
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

/// An operation on tiles: a function of the language, or a super-operation that stands for several of them with the same bits. `N` is the type
/// of its numbers: f32, or what they are to be made from.
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
    /// `weights[0] * x + weights[1] * y`, and what comes after it. Sums, differences, blends and affine forms are all of this kind: a product
    /// with 1 or -1 is exact. With a number y, `weights[0] * x + y`.
    Linear {
        /// The two weights.
        weights: [N; 2],
        /// Whether the square of x stands for x.
        square: bool,
        /// What comes after it.
        post: Post<N>,
    },
    /// `out - scale * (weights[0] * x + weights[1] * y)`: an update that is subtracted as it is computed. With a number y,
    /// `out - scale * (weights[0] * x + y)`.
    LinearStep {
        /// The two weights.
        weights: [N; 2],
        /// The factor of the sum.
        scale: N,
    },
    /// A step of gradient descent on a root mean square: `(x / x_divisor) / (sqrt(y / y_divisor) + shift)`.
    RootQuotient {
        /// What the operands are divided by before.
        divisors: Option<[N; 2]>,
        /// Keeps the divisor away from zero, where there is something to do so.
        shift: Option<N>,
        /// Whether the root is of |y|.
        guarded: bool,
        /// What becomes of it.
        then: Then<N>,
    },
    /// The first operand itself.
    Copy,
}

/// Two blends of the same operands: `post(first[0] * x + first[1] * y)` goes to `out`, `second[0] * x + second[1] * y` takes the place of y.
/// What an optimizer with two decay rates does with its momentum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BlendPair<N = f32> {
    /// The weights of the first blend.
    pub first: [N; 2],
    /// What is done to the first blend.
    pub post: Post<N>,
    /// The weights of the second blend.
    pub second: [N; 2],
}

/// Two averages of one array, each in a place of its own: `out = weights[0] * x + weights[1] * out`, where the square of x may stand for x. What
/// an optimizer does with its first and second moments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Averages<N = f32> {
    /// The weights of both.
    pub weights: [[N; 2]; 2],
    /// Whether the square of x stands for x.
    pub squares: [bool; 2],
}

/// A whole step of an adaptive optimizer: two averages of x and of its square, each in a place of its own, and with them, as `a` and `b`, the
/// weights: `(a / divisors[0]) / (sqrt(b / divisors[1]) + shift)`, as `then` says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MomentStep<N = f32> {
    /// The weights of both averages.
    pub weights: [[N; 2]; 2],
    /// What the averages are divided by before.
    pub divisors: Option<[N; 2]>,
    /// Keeps the divisor away from zero, where there is something to do so.
    pub shift: Option<N>,
    /// Whether the root is of |b|.
    pub guarded: bool,
    /// What becomes of the quotient; it is not just stored.
    pub then: Then<N>,
}

impl<N: Copy> Then<N> {
    /// The same with other numbers.
    #[inline]
    pub fn map<M>(self, number: impl Fn(N) -> M + Copy) -> Then<M> {
        match self {
            Then::Store => Then::Store,
            Then::Blend(weights) => Then::Blend(weights.map(number)),
            Then::Step { weights, scale } => Then::Step { weights: weights.map(number), scale: number(scale) },
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
            TileOperation::ShiftedQuotient { shift } => TileOperation::ShiftedQuotient { shift: number(shift) },
            TileOperation::Linear { weights, square, post } => {
                TileOperation::Linear { weights: weights.map(number), square, post: post.map(number) }
            }
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

/// `out[i] = body` for each triple of elements of three tiles; a number stands for a tile of it. A first operand that is a number comes up where
/// somebody chooses between arrays by one number: one slow loop does for all of its forms.
macro_rules! zip3 {
    ($out:ident, $x:ident, $y:ident, $z:ident, |$a:ident, $b:ident, $c:ident| $body:expr) => {
        match ($x, $y, $z) {
            (TileOperand::Tile(x), TileOperand::Tile(y), TileOperand::Tile(z)) => {
                for (((out, $a), $b), $c) in $out.iter_mut().zip(x).zip(y).zip(z) {
                    let ($a, $b, $c) = (*$a, *$b, *$c);
                    *out = $body;
                }
            }
            (TileOperand::Tile(x), TileOperand::Tile(y), TileOperand::Number($c)) => {
                for ((out, $a), $b) in $out.iter_mut().zip(x).zip(y) {
                    let ($a, $b) = (*$a, *$b);
                    *out = $body;
                }
            }
            (TileOperand::Tile(x), TileOperand::Number($b), TileOperand::Tile(z)) => {
                for ((out, $a), $c) in $out.iter_mut().zip(x).zip(z) {
                    let ($a, $c) = (*$a, *$c);
                    *out = $body;
                }
            }
            (TileOperand::Tile(x), TileOperand::Number($b), TileOperand::Number($c)) => {
                for (out, $a) in $out.iter_mut().zip(x) {
                    let $a = *$a;
                    *out = $body;
                }
            }
            (TileOperand::Number($a), y, z) => {
                for (i, out) in $out.iter_mut().enumerate() {
                    let ($b, $c) = (y.at(i), z.at(i));
                    *out = $body;
                }
            }
            (TileOperand::Output, ..) | (_, TileOperand::Output, _) | (.., TileOperand::Output) => {}
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

impl Averages {
    /// Updates both. All slices have one length.
    #[inline(always)]
    pub fn run(self, x: &[f32], first: &mut [f32], second: &mut [f32]) {
        let [p, q] = self.weights;
        let average = |[p, q]: [f32; 2], x: f32, out: f32| p * x + q * out;
        macro_rules! averages {
            (|$x:ident| $of_first:expr, $of_second:expr) => {
                for ((first, second), $x) in first.iter_mut().zip(second.iter_mut()).zip(x) {
                    let $x = *$x;
                    *first = average(p, $of_first, *first);
                    *second = average(q, $of_second, *second);
                }
            };
        }
        match self.squares {
            [false, false] => averages!(|x| x, x),
            [false, true] => averages!(|x| x, x * x),
            [true, false] => averages!(|x| x * x, x),
            [true, true] => averages!(|x| x * x, x * x),
        }
    }
}

macro_rules! blend_pair {
    ($out:ident, $x:ident, $y:ident, $first:ident, $second:ident, |$value:ident| $post:expr) => {
        for ((out, x), y) in $out.iter_mut().zip($x).zip($y.iter_mut()) {
            let $value = $first[0] * *x + $first[1] * *y;
            *y = $second[0] * *x + $second[1] * *y;
            *out = $post;
        }
    };
}

impl BlendPair {
    /// Applies both blends. All slices have one length.
    #[inline(always)]
    pub fn run(self, x: &[f32], y: &mut [f32], out: &mut [f32]) {
        let BlendPair { first, post, second } = self;
        for_each_post!(post, blend_pair!(out, x, y, first, second,))
    }
}

/// `out[i] = body` for each pair of elements of two tiles, where `old` is the old `out[i]` in `body`.
macro_rules! zip_with_old {
    ($out:ident, $x:ident, $y:ident, |$a:ident, $b:ident, $old:ident| $body:expr) => {
        if let (TileOperand::Tile(x), TileOperand::Tile(y)) = ($x, $y) {
            for ((out, $a), $b) in $out.iter_mut().zip(x).zip(y) {
                let ($a, $b, $old) = (*$a, *$b, *out);
                *out = $body;
            }
        }
    };
}

/// A root quotient and what becomes of it.
macro_rules! root_quotient_then {
    ($out:ident, $x:ident, $y:ident, $then:ident, |$a:ident, $b:ident| $value:expr) => {
        match $then {
            Then::Store => zip!($out, $x, $y, |$a, $b| $value),
            Then::Blend([p, q]) => zip_with_old!($out, $x, $y, |$a, $b, old| p * $value + q * old),
            Then::Step { weights: [p, q], scale } => {
                zip_with_old!($out, $x, $y, |$a, $b, old| old - (p * $value + q * old) * scale)
            }
        }
    };
}

/// `(x / d) / (sqrt(y / c) + shift)`, with or without its parts: a loop for each form.
macro_rules! root_quotient {
    ($loop:ident!($($arguments:tt)*), $divisors:ident, $shift:ident, $root:ident) => {
        match ($divisors, $shift) {
            (Some([d, c]), Some(shift)) => $loop!($($arguments)* |a, b| ((a / d) / (Real::$root(b / c) + shift))),
            (Some([d, c]), None) => $loop!($($arguments)* |a, b| ((a / d) / Real::$root(b / c))),
            (None, Some(shift)) => $loop!($($arguments)* |a, b| (a / (Real::$root(b) + shift))),
            (None, None) => $loop!($($arguments)* |a, b| (a / Real::$root(b))),
        }
    };
}

/// The weights, and two averages by the weights `p` and `q`.
macro_rules! moment_step {
    ($out:ident, $x:ident, $first:ident, $second:ident, $p:ident, $q:ident, $then:ident, |$a:ident, $b:ident| $value:expr) => {
        match $then {
            Then::Store => {}
            Then::Blend([u, v]) => {
                moment_step!(@loop $out, $x, $first, $second, $p, $q, |$a, $b, old| u * $value + v * old);
            }
            Then::Step { weights: [u, v], scale } => {
                moment_step!(@loop $out, $x, $first, $second, $p, $q, |$a, $b, old| old - (u * $value + v * old) * scale);
            }
        }
    };
    (@loop $out:ident, $x:ident, $first:ident, $second:ident, $p:ident, $q:ident, |$a:ident, $b:ident, $old:ident| $body:expr) => {
        for (((out, x), first), second) in $out.iter_mut().zip($x).zip($first.iter_mut()).zip($second.iter_mut()) {
            let $old = *out;
            let $a = $p[0] * *x + $p[1] * *first;
            let $b = $q[0] * (*x * *x) + $q[1] * *second;
            *out = $body;
            *first = $a;
            *second = $b;
        }
    };
}

impl MomentStep {
    /// Updates the weights and both averages. All slices have one length.
    #[inline(always)]
    pub fn run(self, x: &[f32], first: &mut [f32], second: &mut [f32], out: &mut [f32]) {
        let MomentStep { weights: [p, q], divisors, shift, guarded, then } = self;
        if guarded {
            root_quotient!(moment_step!(out, x, first, second, p, q, then,), divisors, shift, guarded_sqrt);
        } else {
            root_quotient!(moment_step!(out, x, first, second, p, q, then,), divisors, shift, sqrt);
        }
    }
}

macro_rules! tile_lookup {
    (
        unary { $($unary:ident $unary_fn:ident,)* }
        binary { $($binary:ident $binary_fn:ident,)* }
        ternary { $($ternary:ident $ternary_fn:ident,)* }
    ) => {
        impl TileOperation {
            /// Applies the operation. `out` and all tiles must have one length. Operands that an operation does not take, and functions that
            /// are not element-wise, leave `out` as it is: a [`TileMachine`](crate::tile_machine::TileMachine) never asks for them.
            #[inline(always)]
            pub fn run(self, x: TileOperand, y: TileOperand, z: TileOperand, out: &mut [f32]) {
                match self {
                    TileOperation::Copy => map!(out, x, |a| a),
                    TileOperation::Product(post) => for_each_post!(post, product!(out, x, y,)),
                    TileOperation::Quotient(post) => for_each_post!(post, quotient!(out, x, y,)),
                    TileOperation::ShiftedQuotient { shift } => zip!(out, x, y, |a, b| a / (b + shift)),
                    TileOperation::RootQuotient { divisors, shift, guarded: false, then } => {
                        root_quotient!(root_quotient_then!(out, x, y, then,), divisors, shift, sqrt)
                    }
                    TileOperation::RootQuotient { divisors, shift, guarded: true, then } => {
                        root_quotient!(root_quotient_then!(out, x, y, then,), divisors, shift, guarded_sqrt)
                    }
                    TileOperation::Linear { weights, square: false, post } => for_each_post!(post, linear_of_x!(out, x, y, weights,)),
                    TileOperation::Linear { weights, square: true, post } => for_each_post!(post, linear_of_square!(out, x, y, weights,)),
                    TileOperation::LinearStep { weights, scale } => {
                        linear!(out, x, y, weights, |a| a, |sum, old| old - sum * scale)
                    }
                    $(TileOperation::Unary(Function::$unary) => map!(out, x, |a| Real::$unary_fn(a)),)*
                    $(TileOperation::Binary(Function::$binary) => zip!(out, x, y, |a, b| Real::$binary_fn(a, b)),)*
                    $(TileOperation::Ternary(Function::$ternary) => zip3!(out, x, y, z, |a, b, c| Real::$ternary_fn(a, b, c)),)*
                    TileOperation::Unary(_) | TileOperation::Binary(_) | TileOperation::Ternary(_) => {}
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
                2 => super::binary::<f32>(row.function).is_some() && super::binary::<f64>(row.function).is_some(),
                _ => super::ternary::<f32>(row.function).is_some() && super::ternary::<f64>(row.function).is_some(),
            };
            assert!(found, "{} has a row in the function table but no kernel", row.name);
        }
    }
}
