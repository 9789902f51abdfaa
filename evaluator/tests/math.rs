//! The f32 functions of `math` against the correctly rounded values of the f64 `libm`, their
//! special values, their laws, and the identity of their bits at every SIMD level; the fixed order
//! of the sums of `reduce`.
//!
//! Every f32 test below runs on a sample of all bit patterns. With `SYMOPT_EXHAUSTIVE=1` in the
//! environment the unary functions run on all 2^32 of them (about 40 s each on two cores, the
//! trigonometric ones 3 min; all, or the one named in `SYMOPT_EXHAUSTIVE_FUNCTION`) and report
//! their errors: `SYMOPT_EXHAUSTIVE=1 cargo test --release -p symopt-evaluator --test math --
//! --nocapture every_unary`.

use proptest::prelude::*;
use std::f32::consts::{FRAC_PI_2, PI};
use symopt_evaluator::math::Real;
use symopt_evaluator::reduce::{
    BLOCK, TreeSum, block_dot, block_sum, combine, sum, sum_of_products,
};

/// Largest permitted distance from the correctly rounded value, in steps from one f32 to the next.
const MAX_STEPS: u32 = 1;

/// Largest permitted error in units in the last place, of which correct rounding alone takes a
/// half. Only `cube`, which is defined with two roundings, is exempt.
const MAX_ERROR: f64 = 0.52;

/// Arguments between two samples of the bit patterns: prime, so that all exponents and low bits are
/// met.
const STRIDE: u64 = 2_039;

/// Neighbours on either side of an interesting argument that are tested too.
const NEIGHBOURS: u32 = 300;

/// A function over a slice, compiled for one SIMD level: to be called only where [`levels`] says
/// so.
type UnaryLevel = unsafe fn(&[f32], &mut [f32]);

/// As [`UnaryLevel`], of two arguments.
type BinaryLevel = unsafe fn(&[f32], &[f32], &mut [f32]);

/// A unary function.
struct Unary {
    name: &'static str,
    /// Its f32 form over a slice, compiled for the baseline of the target.
    apply: fn(&[f32], &mut [f32]),
    /// The same, compiled for each of [`levels`].
    levels: &'static [UnaryLevel],
    /// Its f64 form.
    double: fn(f64) -> f64,
    /// Its definition in f64, which does not come from the code under test.
    exact: fn(f64) -> f64,
}

/// A binary function; the fields are as in [`Unary`].
struct Binary {
    name: &'static str,
    apply: fn(&[f32], &[f32], &mut [f32]),
    levels: &'static [BinaryLevel],
}

/// Whether the machine has each of the SIMD levels that functions are compiled for here, in the
/// order of their tables.
#[cfg(target_arch = "x86_64")]
fn levels() -> Vec<bool> {
    vec![
        is_x86_feature_detected!("sse4.1"),
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma"),
    ]
}

/// Other machines are tested at their baseline alone.
#[cfg(not(target_arch = "x86_64"))]
fn levels() -> Vec<bool> {
    Vec::new()
}

/// A method of [`Real`] over slices, compiled with the given CPU features.
macro_rules! at_level {
    ($name:ident, $features:literal, $($argument:ident),*) => {{
        #[target_feature(enable = $features)]
        fn apply($($argument: &[f32],)* out: &mut [f32]) {
            let n = out.len();
            $(let $argument = &$argument[..n];)*
            for i in 0..n {
                out[i] = Real::$name($($argument[i]),*);
            }
        }
        apply
    }};
}

/// A method of [`Real`] at each of [`levels`].
#[cfg(target_arch = "x86_64")]
macro_rules! at_levels {
    ($name:ident, $($argument:ident),*) => {
        &[
            at_level!($name, "sse4.1", $($argument),*),
            at_level!($name, "avx2,fma", $($argument),*),
            at_level!($name, "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma", $($argument),*),
        ]
    };
}

/// Other machines are tested at their baseline alone.
#[cfg(not(target_arch = "x86_64"))]
macro_rules! at_levels {
    ($name:ident, $($argument:ident),*) => {
        &[]
    };
}

/// A row of the table of unary functions: the name of a method of [`Real`], and its definition in
/// f64.
macro_rules! unary {
    ($name:ident, $exact:expr) => {
        Unary {
            name: stringify!($name),
            apply: |x, out| {
                for (out, x) in out.iter_mut().zip(x) {
                    *out = Real::$name(*x);
                }
            },
            levels: at_levels!($name, x),
            double: Real::$name,
            exact: $exact,
        }
    };
}

const UNARY: &[Unary] = &[
    unary!(abs, libm::fabs),
    unary!(cos, libm::cos),
    unary!(sin, libm::sin),
    unary!(tan, libm::tan),
    unary!(arcsin, libm::asin),
    unary!(arccos, libm::acos),
    unary!(arctan, libm::atan),
    unary!(exp, libm::exp),
    unary!(log, libm::log),
    unary!(sinh, libm::sinh),
    unary!(cosh, libm::cosh),
    unary!(tanh, libm::tanh),
    unary!(arcsinh, libm::asinh),
    // libm 0.2.16's acosh gives numbers for some arguments below 1.
    unary!(arccosh, |x| if x < 1.0 { f64::NAN } else { libm::acosh(x) }),
    unary!(arctanh, libm::atanh),
    unary!(sign, |x| if x == 0.0 || x.is_nan() { x } else { x.signum() }),
    unary!(exp2, libm::exp2),
    unary!(exp10, libm::exp10),
    unary!(expm1, libm::expm1),
    unary!(log10, libm::log10),
    unary!(log2, libm::log2),
    unary!(log1p, libm::log1p),
    unary!(square, |x| x * x),
    unary!(sqrt, libm::sqrt),
    unary!(cube, |x| x * x * x),
    unary!(cbrt, libm::cbrt),
    unary!(reciprocal, |x| 1.0 / x),
    unary!(negative, |x| -x),
    unary!(guarded_sqrt, |x| libm::sqrt(libm::fabs(x))),
    unary!(guarded_log, |x| libm::log(libm::fabs(x))),
    unary!(guarded_log10, |x| libm::log10(libm::fabs(x))),
    unary!(guarded_log2, |x| libm::log2(libm::fabs(x))),
    unary!(guarded_log1p, |x| if x < -1.0 { libm::log(-1.0 - x) } else { libm::log1p(x) }),
];

/// A row of the table of binary functions.
macro_rules! binary {
    ($name:ident) => {
        Binary {
            name: stringify!($name),
            apply: |x, y, out| {
                for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
                    *out = Real::$name(*x, *y);
                }
            },
            levels: at_levels!($name, x, y),
        }
    };
}

const BINARY: &[Binary] = &[
    binary!(add),
    binary!(subtract),
    binary!(multiply),
    binary!(divide),
    binary!(power),
    binary!(maximum),
    binary!(minimum),
    binary!(guarded_divide),
];

/// The place of `x` among all f32 in order; adjacent numbers are 1 apart, and -0 and +0 too.
fn place(x: f32) -> i64 {
    let size = (x.to_bits() & 0x7FFF_FFFF) as i64;
    if x.is_sign_negative() { -1 - size } else { size }
}

/// Distance in units in the last place; zeros of different sign are 1 apart; NaN is at distance 0
/// from NaN alone.
fn distance(x: f32, y: f32) -> u32 {
    match (x.is_nan(), y.is_nan()) {
        (true, true) => 0,
        (false, false) => place(x).abs_diff(place(y)) as u32,
        _ => u32::MAX,
    }
}

/// The bits of `x`, with all NaN alike.
fn bits(x: f32) -> u32 {
    if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }
}

/// The bits of `x`, with all NaN alike.
fn bits_64(x: f64) -> u64 {
    if x.is_nan() { f64::NAN.to_bits() } else { x.to_bits() }
}

/// A stream of 64-bit words from a seed (Steele, Lea and Flood's SplitMix64), for reproducible
/// samples.
struct Words(u64);

impl Words {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Any bit pattern.
    fn any(&mut self) -> f32 {
        f32::from_bits(self.next() as u32)
    }

    /// Evenly spread over [low, high).
    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * ((self.next() >> 11) as f64 / (1u64 << 53) as f64)
    }
}

/// Arguments at which a function may change its behaviour: zeros, powers of two, domain ends,
/// multiples of pi/2, thresholds of overflow and underflow, ends of the ranges of argument
/// reduction.
fn landmarks() -> Vec<f32> {
    let mut x = vec![
        0.0,
        f32::MIN_POSITIVE,
        f32::from_bits(1),
        f32::MAX,
        f32::INFINITY,
        f32::NAN,
        // Ends of the ranges of exp, expm1, sinh and cosh, exp2, exp10: where they over- and
        // underflow.
        88.722_84,
        87.336_55,
        103.278_93,
        103.972_08,
        89.415_99,
        126.0,
        128.0,
        149.0,
        150.0,
        38.531_84,
        37.929_78,
        44.853_47,
        45.154_5,
        // Where tanh and expm1 saturate, and arctan and arcsin change formula.
        9.010_913,
        17.328_68,
        0.414_213_57,
        2.414_213_7,
        0.5,
        1.0 / 3.0,
        std::f32::consts::SQRT_2,
        std::f32::consts::FRAC_1_SQRT_2,
        2.0,
        3.0,
        10.0,
        100.0,
        1e10,
        1.125_899_9e15,
        1.511_157_3e23,
        2.028_241e31,
        // The f32 that comes closest to a multiple of pi/2, relative to its size.
        f32::from_bits(0x6F5B_CD80),
    ];
    x.extend((1..200).map(|i| i as f32 * FRAC_PI_2));
    x.extend((1..50).map(|i| i as f32 * 0.5 * std::f32::consts::LN_2));
    x.extend((1..11).map(|i| 10f32.powi(i)));
    x.extend((-149..128).map(|i| 2f64.powi(i) as f32));
    x.extend([PI, std::f32::consts::E]);
    x.iter().flat_map(|&x| [x, -x]).collect()
}

/// The landmarks with their neighbours, and a sample of all f32.
fn sample() -> Vec<f32> {
    let mut x: Vec<f32> =
        (0..1u64 << 32).step_by(STRIDE as usize).map(|bits| f32::from_bits(bits as u32)).collect();
    for landmark in landmarks() {
        let bits = landmark.to_bits();
        let first = bits.saturating_sub(NEIGHBOURS);
        x.extend((first..=bits.saturating_add(NEIGHBOURS)).map(f32::from_bits));
    }
    x
}

/// Errors found in a comparison of many values.
#[derive(Clone, Copy, Default)]
struct Errors {
    /// Largest distance from the correctly rounded value, and an argument where it occurs.
    steps: (u32, f32),
    /// Largest error of a finite value in units in the last place, and an argument where it occurs.
    error: (f64, f32),
    /// Number of values that are not correctly rounded.
    misrounded: u64,
}

impl Errors {
    fn note(&mut self, x: f32, actual: f32, exact: f64) {
        let rounded = exact as f32;
        let steps = distance(actual, rounded);
        self.misrounded += (steps > 0) as u64;
        if steps > self.steps.0 {
            self.steps = (steps, x);
        }
        if actual.is_finite() && rounded.is_finite() {
            let size = rounded.abs();
            let unit = size.next_up() as f64 - size as f64;
            let error = (actual as f64 - exact).abs() / unit;
            if error > self.error.0 {
                self.error = (error, x);
            }
        }
    }

    fn merge(self, other: Errors) -> Errors {
        Errors {
            steps: if other.steps.0 > self.steps.0 { other.steps } else { self.steps },
            error: if other.error.0 > self.error.0 { other.error } else { self.error },
            misrounded: self.misrounded + other.misrounded,
        }
    }
}

fn check(function: &Unary, x: &[f32]) -> Errors {
    let mut out = vec![0.0; x.len()];
    (function.apply)(x, &mut out);
    let mut errors = Errors::default();
    for (&x, &actual) in x.iter().zip(&out) {
        errors.note(x, actual, (function.exact)(x as f64));
    }
    errors
}

/// All 2^32 arguments, in two halves side by side.
fn check_exhaustively(function: &Unary) -> Errors {
    let half = |sign: u32| {
        let mut errors = Errors::default();
        for first in (0..1u32 << 31).step_by(1 << 16) {
            let x: Vec<f32> =
                (first..first + (1 << 16)).map(|bits| f32::from_bits(bits | sign)).collect();
            errors = errors.merge(check(function, &x));
        }
        errors
    };
    std::thread::scope(|scope| {
        let negative = scope.spawn(|| half(1 << 31));
        half(0).merge(negative.join().unwrap())
    })
}

#[test]
fn every_unary_function_is_within_one_ulp_of_correct_rounding() {
    let exhaustive = std::env::var("SYMOPT_EXHAUSTIVE").is_ok_and(|value| value == "1");
    // With a function's name in it, only that function runs exhaustively.
    let only = std::env::var("SYMOPT_EXHAUSTIVE_FUNCTION").ok();
    let x = sample();
    let mut failures = Vec::new();
    for function in UNARY {
        let run = exhaustive && only.as_ref().is_none_or(|name| name == function.name);
        let errors = if run { check_exhaustively(function) } else { check(function, &x) };
        println!(
            "{:14} {} steps at {:e}, {:.4} ulp at {:e}, {} not correctly rounded{}",
            function.name,
            errors.steps.0,
            errors.steps.1,
            errors.error.0,
            errors.error.1,
            errors.misrounded,
            if run { " of all 2^32" } else { "" }
        );
        if errors.steps.0 > MAX_STEPS || errors.error.0 > MAX_ERROR && function.name != "cube" {
            failures.push((function.name, errors.steps, errors.error));
        }
    }
    assert!(failures.is_empty(), "beyond {MAX_STEPS} step or {MAX_ERROR} ulp: {failures:?}");
}

#[test]
fn functions_that_ieee_754_defines_exactly_are_exact() {
    for name in ["abs", "sign", "square", "sqrt", "reciprocal", "negative", "guarded_sqrt"] {
        let function = UNARY.iter().find(|f| f.name == name).unwrap();
        assert_eq!(check(function, &sample()).steps.0, 0, "{name}");
    }
    for x in sample() {
        assert_eq!(bits(Real::cube(x)), bits((x * x) * x), "cube of {x:e}");
    }
}

#[test]
fn every_unary_function_of_f64_is_the_one_that_its_name_says() {
    for function in UNARY {
        for x in sample().into_iter().step_by(11) {
            let x = x as f64;
            let (actual, exact) = ((function.double)(x), (function.exact)(x));
            assert!(
                bits_64(actual) == bits_64(exact) || (actual - exact).abs() <= 1e-15 * exact.abs(),
                "{}({x:e}) is {actual:e}, not {exact:e}",
                function.name
            );
        }
    }
}

/// A function's name, the function, and pairs of argument and value.
type UnaryCases<T> = (&'static str, fn(T) -> T, &'static [(f64, f64)]);

/// A function's name, the function, and triples of two arguments and value.
type BinaryCases<T> = (&'static str, fn(T, T) -> T, &'static [(f64, f64, f64)]);

/// The special values of every function, of which NumPy and IEEE 754 leave no doubt:
/// `function(arguments) = value`.
fn check_special_values<T: Real>() {
    const INF: f64 = f64::INFINITY;
    const NAN: f64 = f64::NAN;
    let unary: &[UnaryCases<T>] = &[
        ("abs", T::abs, &[(-0.0, 0.0), (-INF, INF), (NAN, NAN)]),
        ("cos", T::cos, &[(0.0, 1.0), (-0.0, 1.0), (INF, NAN), (-INF, NAN), (NAN, NAN)]),
        ("sin", T::sin, &[(0.0, 0.0), (-0.0, -0.0), (INF, NAN), (-INF, NAN), (NAN, NAN)]),
        ("tan", T::tan, &[(0.0, 0.0), (-0.0, -0.0), (INF, NAN), (-INF, NAN), (NAN, NAN)]),
        ("arcsin", T::arcsin, &[(0.0, 0.0), (-0.0, -0.0), (2.0, NAN), (-INF, NAN), (NAN, NAN)]),
        ("arccos", T::arccos, &[(1.0, 0.0), (2.0, NAN), (-2.0, NAN), (INF, NAN), (NAN, NAN)]),
        ("arctan", T::arctan, &[(0.0, 0.0), (-0.0, -0.0), (NAN, NAN)]),
        (
            "exp",
            T::exp,
            &[
                (0.0, 1.0),
                (-0.0, 1.0),
                (INF, INF),
                (-INF, 0.0),
                (1e4, INF),
                (-1e4, 0.0),
                (NAN, NAN),
            ],
        ),
        (
            "log",
            T::log,
            &[
                (1.0, 0.0),
                (0.0, -INF),
                (-0.0, -INF),
                (-1.0, NAN),
                (-INF, NAN),
                (INF, INF),
                (NAN, NAN),
            ],
        ),
        (
            "sinh",
            T::sinh,
            &[(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -INF), (-1e4, -INF), (NAN, NAN)],
        ),
        ("cosh", T::cosh, &[(0.0, 1.0), (INF, INF), (-INF, INF), (-1e4, INF), (NAN, NAN)]),
        (
            "tanh",
            T::tanh,
            &[(0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0), (1e4, 1.0), (NAN, NAN)],
        ),
        ("arcsinh", T::arcsinh, &[(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -INF), (NAN, NAN)]),
        (
            "arccosh",
            T::arccosh,
            &[(1.0, 0.0), (0.5, NAN), (-6645.0, NAN), (-INF, NAN), (INF, INF), (NAN, NAN)],
        ),
        (
            "arctanh",
            T::arctanh,
            &[
                (0.0, 0.0),
                (-0.0, -0.0),
                (1.0, INF),
                (-1.0, -INF),
                (1.5, NAN),
                (INF, NAN),
                (NAN, NAN),
            ],
        ),
        (
            "sign",
            T::sign,
            &[(0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0), (-1e-40, -1.0), (NAN, NAN)],
        ),
        (
            "exp2",
            T::exp2,
            &[(0.0, 1.0), (10.0, 1024.0), (-1.0, 0.5), (INF, INF), (-INF, 0.0), (NAN, NAN)],
        ),
        (
            "exp10",
            T::exp10,
            &[(0.0, 1.0), (2.0, 100.0), (10.0, 1e10), (INF, INF), (-INF, 0.0), (NAN, NAN)],
        ),
        (
            "expm1",
            T::expm1,
            &[(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -1.0), (-1e4, -1.0), (NAN, NAN)],
        ),
        (
            "log10",
            T::log10,
            &[
                (1.0, 0.0),
                (1000.0, 3.0),
                (1e10, 10.0),
                (0.0, -INF),
                (-1.0, NAN),
                (INF, INF),
                (NAN, NAN),
            ],
        ),
        (
            "log2",
            T::log2,
            &[
                (1.0, 0.0),
                (1024.0, 10.0),
                (0.125, -3.0),
                (-0.0, -INF),
                (-1.0, NAN),
                (INF, INF),
                (NAN, NAN),
            ],
        ),
        (
            "log1p",
            T::log1p,
            &[
                (0.0, 0.0),
                (-0.0, -0.0),
                (-1.0, -INF),
                (-1.5, NAN),
                (-INF, NAN),
                (INF, INF),
                (NAN, NAN),
            ],
        ),
        ("square", T::square, &[(-0.0, 0.0), (-3.0, 9.0), (-INF, INF), (NAN, NAN)]),
        (
            "sqrt",
            T::sqrt,
            &[(0.0, 0.0), (-0.0, -0.0), (-1.0, NAN), (-INF, NAN), (INF, INF), (NAN, NAN)],
        ),
        ("cube", T::cube, &[(-0.0, -0.0), (-3.0, -27.0), (-INF, -INF), (NAN, NAN)]),
        (
            "cbrt",
            T::cbrt,
            &[(0.0, 0.0), (-0.0, -0.0), (-27.0, -3.0), (INF, INF), (-INF, -INF), (NAN, NAN)],
        ),
        ("reciprocal", T::reciprocal, &[(0.0, INF), (-0.0, -INF), (-INF, -0.0), (NAN, NAN)]),
        ("negative", T::negative, &[(0.0, -0.0), (-0.0, 0.0), (NAN, NAN)]),
        ("guarded_sqrt", T::guarded_sqrt, &[(-4.0, 2.0), (-0.0, 0.0), (-INF, INF), (NAN, NAN)]),
        ("guarded_log", T::guarded_log, &[(-1.0, 0.0), (-0.0, -INF), (-INF, INF), (NAN, NAN)]),
        (
            "guarded_log10",
            T::guarded_log10,
            &[(-100.0, 2.0), (-0.0, -INF), (-INF, INF), (NAN, NAN)],
        ),
        ("guarded_log2", T::guarded_log2, &[(-8.0, 3.0), (-0.0, -INF), (-INF, INF), (NAN, NAN)]),
        (
            "guarded_log1p",
            T::guarded_log1p,
            &[(0.0, 0.0), (-1.0, -INF), (-2.0, 0.0), (-INF, INF), (INF, INF), (NAN, NAN)],
        ),
    ];
    for (name, function, cases) in unary {
        for &(x, expected) in *cases {
            let actual = function(T::from_f64(x)).to_f64();
            assert_eq!(
                bits_64(actual),
                bits_64(expected),
                "{name}({x:?}) is {actual:?}, not {expected:?}"
            );
        }
    }
    let binary: &[BinaryCases<T>] = &[
        ("add", Real::add, &[(-0.0, 0.0, 0.0), (-0.0, -0.0, -0.0), (INF, -INF, NAN)]),
        ("subtract", T::subtract, &[(0.0, 0.0, 0.0), (INF, INF, NAN)]),
        ("multiply", T::multiply, &[(-0.0, 2.0, -0.0), (0.0, INF, NAN)]),
        ("divide", T::divide, &[(1.0, -0.0, -INF), (0.0, 0.0, NAN), (INF, INF, NAN)]),
        (
            "guarded_divide",
            T::guarded_divide,
            &[(0.0, 0.0, 0.0), (1.0, -INF, -0.0), (NAN, 1.0, NAN)],
        ),
        (
            "power",
            T::power,
            &[
                (0.0, 0.0, 1.0),
                (NAN, 0.0, 1.0),
                (NAN, -0.0, 1.0),
                (INF, 0.0, 1.0),
                (1.0, NAN, 1.0),
                (1.0, INF, 1.0),
                (-1.0, INF, 1.0),
                (-1.0, -INF, 1.0),
                (-1.0, NAN, NAN),
                (2.0, NAN, NAN),
                (NAN, 2.0, NAN),
                (-8.0, 1.0 / 3.0, NAN),
                (-8.0, 3.0, -512.0),
                (-8.0, 2.0, 64.0),
                (-2.0, -1.0, -0.5),
                (-1.0, 16_777_215.0, -1.0),
                (-1.0, 16_777_216.0, 1.0),
                (-1.0, 8_388_607.5, NAN),
                (0.0, 3.0, 0.0),
                (-0.0, 3.0, -0.0),
                (-0.0, 2.0, 0.0),
                (-0.0, 0.5, 0.0),
                (0.0, -3.0, INF),
                (-0.0, -3.0, -INF),
                (-0.0, -2.0, INF),
                (-0.0, -0.5, INF),
                (0.0, INF, 0.0),
                (0.0, -INF, INF),
                (0.5, INF, 0.0),
                (-0.5, INF, 0.0),
                (0.5, -INF, INF),
                (2.0, INF, INF),
                (-2.0, INF, INF),
                (2.0, -INF, 0.0),
                (INF, 2.0, INF),
                (INF, -2.0, 0.0),
                (-INF, 3.0, -INF),
                (-INF, 2.0, INF),
                (-INF, 0.5, INF),
                (-INF, -3.0, -0.0),
                (-INF, -2.0, 0.0),
                (-INF, -0.5, 0.0),
                (-INF, INF, INF),
                (-INF, -INF, 0.0),
            ],
        ),
        (
            "maximum",
            T::maximum,
            &[
                (-0.0, 0.0, 0.0),
                (0.0, -0.0, 0.0),
                (-0.0, -0.0, -0.0),
                (1.0, INF, INF),
                (NAN, 1.0, NAN),
                (INF, NAN, NAN),
            ],
        ),
        (
            "minimum",
            T::minimum,
            &[
                (-0.0, 0.0, -0.0),
                (0.0, -0.0, -0.0),
                (0.0, 0.0, 0.0),
                (1.0, -INF, -INF),
                (NAN, 1.0, NAN),
                (-INF, NAN, NAN),
            ],
        ),
    ];
    for (name, function, cases) in binary {
        for &(x, y, expected) in *cases {
            let actual = function(T::from_f64(x), T::from_f64(y)).to_f64();
            assert_eq!(
                bits_64(actual),
                bits_64(expected),
                "{name}({x:?}, {y:?}) is {actual:?}, not {expected:?}"
            );
        }
    }
}

#[test]
fn special_values_are_those_of_ieee_754_in_f32() {
    check_special_values::<f32>();
}

#[test]
fn special_values_are_those_of_ieee_754_in_f64() {
    check_special_values::<f64>();
}

/// Pairs of arguments for binary functions: all pairs of special values, and random pairs of any
/// bits.
fn pairs() -> Vec<(f32, f32)> {
    let mut special = Vec::new();
    for x in [
        0.0,
        f32::from_bits(1),
        f32::MIN_POSITIVE,
        1e-8,
        1.0 / 3.0,
        0.5,
        1.0 - f32::EPSILON / 2.0,
        1.0,
        1.0 + f32::EPSILON,
        1.5,
        2.0,
        2.5,
        3.0,
        7.0,
        8.0,
        100.0,
        127.0,
        128.0,
        149.0,
        150.0,
        151.0,
        8_388_607.5,
        8_388_609.0,
        16_777_215.0,
        16_777_216.0,
        33_554_432.0,
        f32::MAX,
        f32::INFINITY,
        f32::NAN,
    ] {
        special.extend([x, -x]);
    }
    let mut words = Words(1);
    special
        .iter()
        .flat_map(|&x| special.iter().map(move |&y| (x, y)))
        .chain((0..200_000).map(|_| (words.any(), words.any())))
        .collect()
}

#[test]
fn power_is_within_one_ulp_of_correct_rounding() {
    let mut words = Words(2);
    let mut cases = pairs();
    for _ in 0..400_000 {
        // Any base, and an exponent that takes it anywhere in the range of f32 or a little beyond.
        let x = words.any().abs();
        let y = words.between(-153.0, 130.0) / libm::log2(x as f64);
        cases.push((x, y as f32));
        // A base near 1, of either sign, with a large exponent that may be an integer.
        let x = 1.0 + words.between(-1e-3, 1e-3);
        let y = (words.between(-100.0, 90.0) / libm::log(x)).round();
        cases.push((x as f32, y as f32));
        cases.push((-x as f32, y as f32));
        // Small powers of ordinary numbers, of which integer ones of a negative base.
        let (x, y) = (words.between(-12.0, 12.0), words.between(-9.0, 9.0));
        cases.push((x as f32, y as f32));
        cases.push((x as f32, y.round() as f32));
        cases.push((x.round() as f32, y.round() as f32));
        // Results that are denormal.
        let x = words.any().abs();
        cases.push((x, (words.between(-151.0, -125.0) / libm::log2(x as f64)) as f32));
    }
    let mut errors = Errors::default();
    for &(x, y) in &cases {
        errors.note(x, Real::power(x, y), libm::pow(x as f64, y as f64));
    }
    println!(
        "power: {} steps, {:.4} ulp, {} of {} not correctly rounded",
        errors.steps.0,
        errors.error.0,
        errors.misrounded,
        cases.len()
    );
    assert!(errors.steps.0 <= MAX_STEPS && errors.error.0 <= MAX_ERROR);
}

#[test]
fn symmetric_functions_commute_bit_for_bit() {
    for (x, y) in pairs() {
        for name in ["add", "multiply", "maximum", "minimum"] {
            let function = BINARY.iter().find(|f| f.name == name).unwrap();
            let mut out = [0.0; 2];
            (function.apply)(&[x, y], &[y, x], &mut out);
            assert_eq!(bits(out[0]), bits(out[1]), "{name} of {x:e} and {y:e}");
        }
    }
}

#[test]
fn maximum_and_minimum_are_one_of_their_arguments_in_order() {
    for (x, y) in pairs() {
        let (low, high) = (Real::minimum(x, y), Real::maximum(x, y));
        if x.is_nan() || y.is_nan() {
            assert!(low.is_nan() && high.is_nan());
        } else if place(x) < place(y) {
            assert_eq!((bits(low), bits(high)), (bits(x), bits(y)));
        } else {
            assert_eq!((bits(low), bits(high)), (bits(y), bits(x)));
        }
    }
}

#[test]
fn guarded_division_adds_the_guard_to_the_divisor() {
    for (x, y) in pairs() {
        assert_eq!(bits(Real::guarded_divide(x, y)), bits(x / (y + 1e-8_f32)));
        let (x, y) = (x as f64, y as f64);
        assert_eq!(bits_64(Real::guarded_divide(x, y)), bits_64(x / (y + 1e-8)));
    }
}

#[test]
fn bits_do_not_depend_on_the_simd_level() {
    let available = levels();
    // A length that leaves a scalar tail behind the vectorised part of every loop.
    let x: Vec<f32> = sample().into_iter().step_by(7).collect();
    let x = &x[..x.len() / 64 * 64 - 1];
    for function in UNARY {
        let mut expected = vec![0.0; x.len()];
        (function.apply)(x, &mut expected);
        let mut actual = vec![0.0; x.len()];
        for (level, apply) in
            function.levels.iter().enumerate().filter(|(level, _)| available[*level])
        {
            // SAFETY: `levels` has found the CPU features that this version is compiled for.
            unsafe { apply(x, &mut actual) };
            for ((&x, &a), &e) in x.iter().zip(&actual).zip(&expected) {
                assert_eq!(bits(a), bits(e), "{}({x:e}) at level {level}", function.name);
            }
        }
    }
    let (x, y): (Vec<f32>, Vec<f32>) = pairs().into_iter().unzip();
    for function in BINARY {
        let mut expected = vec![0.0; x.len()];
        (function.apply)(&x, &y, &mut expected);
        let mut actual = vec![0.0; x.len()];
        for (level, apply) in
            function.levels.iter().enumerate().filter(|(level, _)| available[*level])
        {
            // SAFETY: `levels` has found the CPU features that this version is compiled for.
            unsafe { apply(&x, &y, &mut actual) };
            for (i, (&a, &e)) in actual.iter().zip(&expected).enumerate() {
                assert_eq!(
                    bits(a),
                    bits(e),
                    "{}({:e}, {:e}) at level {level}",
                    function.name,
                    x[i],
                    y[i]
                );
            }
        }
    }
}

/// The definition of a block's sum, one element at a time: lane i mod 16, then the fixed tree.
fn sum_by_lanes(terms: &[f64]) -> f64 {
    let mut lanes = [0.0; 16];
    for (i, term) in terms.iter().enumerate() {
        lanes[i % 16] += term;
    }
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = lanes;
    let (even, odd) =
        (((a + i) + (e + m)) + ((c + k) + (g + o)), ((b + j) + (f + n)) + ((d + l) + (h + p)));
    even + odd
}

fn random(n: usize, seed: u64) -> Vec<f32> {
    let mut words = Words(seed);
    (0..n)
        .map(|_| (words.between(-1.0, 1.0) * libm::exp2(words.between(-8.0, 8.0))) as f32)
        .collect()
}

#[test]
fn blocks_are_summed_by_lane_and_then_in_a_tree() {
    for n in (0..100).chain([1000, BLOCK - 1, BLOCK]) {
        let (x, y) = (random(n, 3), random(n, 4));
        let products: Vec<f64> = x.iter().zip(&y).map(|(&x, &y)| x as f64 * y as f64).collect();
        let terms: Vec<f64> = x.iter().map(|&x| x as f64).collect();
        assert_eq!(block_dot(&x, &y).to_bits(), sum_by_lanes(&products).to_bits(), "{n} elements");
        assert_eq!(block_sum(&x).to_bits(), sum_by_lanes(&terms).to_bits(), "{n} elements");
        assert_eq!(
            block_sum(&products).to_bits(),
            sum_by_lanes(&products).to_bits(),
            "{n} elements"
        );
    }
}

#[test]
fn sums_of_arrays_are_the_combined_sums_of_their_blocks() {
    for n in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 17, 23 * BLOCK] {
        let (x, y) = (random(n, 5), random(n, 6));
        let dots: Vec<f64> =
            x.chunks(BLOCK).zip(y.chunks(BLOCK)).map(|(x, y)| block_dot(x, y)).collect();
        let sums: Vec<f64> = x.chunks(BLOCK).map(block_sum).collect();
        assert_eq!(sum_of_products(&x, &y).to_bits(), combine(&dots).to_bits(), "{n} elements");
        assert_eq!(sum(&x).to_bits(), combine(&sums).to_bits(), "{n} elements");
    }
}

#[test]
fn combine_splits_at_the_largest_power_of_two_below_the_length() {
    let x: Vec<f64> = random(7, 7).iter().map(|&x| x as f64).collect();
    assert_eq!(combine(&x[..0]).to_bits(), 0.0_f64.to_bits());
    assert_eq!(combine(&x[..1]), x[0]);
    assert_eq!(combine(&x[..3]), (x[0] + x[1]) + x[2]);
    assert_eq!(combine(&x[..4]), (x[0] + x[1]) + (x[2] + x[3]));
    assert_eq!(combine(&x[..6]), ((x[0] + x[1]) + (x[2] + x[3])) + (x[4] + x[5]));
    assert_eq!(combine(&x), ((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + x[6]));
}

/// [`TreeSum`]'s total of the partial sums.
fn tree_sum(partials: &[f64]) -> f64 {
    let mut sum = TreeSum::new();
    for &partial in partials {
        sum.push(partial);
    }
    assert_eq!(sum.count(), partials.len() as u64);
    sum.total()
}

#[test]
fn tree_sum_has_the_bits_of_combine_for_every_length_up_to_300() {
    let x: Vec<f64> = random(300, 8).iter().map(|&x| x as f64 * 1.1).collect();
    for n in 0..=300 {
        assert_eq!(tree_sum(&x[..n]).to_bits(), combine(&x[..n]).to_bits(), "{n} blocks");
    }
}

proptest! {
    #[test]
    fn tree_sum_has_the_bits_of_combine_for_any_values(x in prop::collection::vec(prop::num::f64::ANY, 0..300)) {
        prop_assert_eq!(bits_64(tree_sum(&x)), bits_64(combine(&x)));
    }
}

#[test]
fn sums_carry_nan_and_infinity() {
    for place in [0, 15, 16, BLOCK - 1, BLOCK, 2 * BLOCK + 3] {
        let ones = vec![1.0_f32; 2 * BLOCK + 5];
        let mut x = ones.clone();
        x[place] = f32::NAN;
        assert!(
            sum(&x).is_nan()
                && sum_of_products(&x, &ones).is_nan()
                && sum_of_products(&ones, &x).is_nan()
        );
        x[place] = f32::NEG_INFINITY;
        assert_eq!(sum(&x), f64::NEG_INFINITY);
        assert_eq!(sum_of_products(&x, &x), f64::INFINITY);
        x[place ^ 1] = f32::INFINITY;
        assert!(sum(&x).is_nan());
    }
    // No f32 product overflows in f64.
    assert_eq!(sum_of_products(&[f32::MAX; 4], &[f32::MAX; 4]), 4.0 * (f32::MAX as f64).powi(2));
}

#[test]
fn sums_are_as_accurate_as_f64_allows() {
    let n = 300_001;
    let (x, y) = (random(n, 9), random(n, 10));
    // Neumaier's compensated sum, as if in twice the precision.
    let (mut exact, mut correction, mut size) = (0.0_f64, 0.0_f64, 0.0_f64);
    for (&x, &y) in x.iter().zip(&y) {
        let term = x as f64 * y as f64;
        let next = exact + term;
        correction +=
            if exact.abs() >= term.abs() { (exact - next) + term } else { (term - next) + exact };
        exact = next;
        size += term.abs();
    }
    let error = (sum_of_products(&x, &y) - (exact + correction)).abs();
    assert!(error <= 1e-15 * size, "off by {error:e} in {size:e}");
}
