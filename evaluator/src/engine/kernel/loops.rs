//! The loops over tiles that the operations have in common. They are macros because a closure would
//! stay a call for each element: in a function of many arms the compiler stops inlining closures,
//! and nothing vectorises then.

/// `out[i] = body` for each element of a tile, or for a number.
macro_rules! map {
    ($out:ident, $x:ident, |$element:ident| $body:expr) => {
        match *$x {
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
        match (*$x, *$y) {
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

/// `out[i] = body` for each triple of elements of three tiles; a number stands for a tile of it. A
/// first operand that is a number comes up where somebody chooses between arrays by one number: one
/// slow loop does for all of its forms.
macro_rules! zip3 {
    ($out:ident, $x:ident, $y:ident, $z:ident, |$a:ident, $b:ident, $c:ident| $body:expr) => {
        match (*$x, *$y, *$z) {
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
            (TileOperand::Output, ..) | (_, TileOperand::Output, _) | (.., TileOperand::Output) => {
            }
        }
    };
}

/// `out[i] = body` for each pair of elements of two tiles, where `old` is the old `out[i]` in
/// `body`.
macro_rules! zip_with_old {
    ($out:ident, $x:ident, $y:ident, |$a:ident, $b:ident, $old:ident| $body:expr) => {
        if let (TileOperand::Tile(x), TileOperand::Tile(y)) = (*$x, *$y) {
            for ((out, $a), $b) in $out.iter_mut().zip(x).zip(y) {
                let ($a, $b, $old) = (*$a, *$b, *out);
                *out = $body;
            }
        }
    };
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
