//! How far an engine may be from the reference, by its order of rounding.
//!
//! - Where the operations of a program are done one by one in its order, each rounded to the
//!   nearest f32, and scalars and sums are in f64, every bit is the reference's. This holds as long
//!   as the program has no function on arrays of which the engine has an approximation of its own:
//!   exponentials, powers and trigonometric functions in every library, products of matrices in
//!   TensorFlow and PyTorch (in an order of their own), and in PyTorch also square roots (those of
//!   its vector library are not always the nearest) and sums over an array.
//! - Elsewhere each result is another rounding of the same formula. The distance of the references
//!   in f32 and f64, the gap, shows what roundings make of a program in a case. Two ways to round
//!   are two samples of that kind: their distance is within twice the gap, and within twice that
//!   since the largest of many numbers fluctuates. Where the reference happens to be exact the gap
//!   says nothing, so half a unit in the last place for each step is added, for the rounding of
//!   what is stored.
//! - JAX, and Keras but for TensorFlow, compute scalars in f32. One minus a power of beta close to
//!   1 then keeps the rounding of 1, which is 1 / (1 - beta) roundings of itself in the first step:
//!   1000 for a beta of 0.999. This counts for programs that read the step.
//! - Other effects of scalars in f32 on a program in a case are measured: the reference runs once
//!   more with scalars in f32, and its distance from the one with scalars in f64 counts like the
//!   gap. Where this makes other places infinite or NaN, nothing is to be compared.

use serde::Serialize;
use symopt_dsl::graph::NodeKind;
use symopt_dsl::{Function, Graph, Program};

use super::case::STEPS;
use super::finding::Distance;
use super::subject::Subject;

/// Half a unit in the last place of f32, relative.
const ROUNDING: f64 = 1.0 / (1_u64 << 24) as f64;

/// How far an engine may be from the reference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub enum Bound {
    /// Every bit: the same operations in the same order, each rounded once.
    Bits,
    /// Rounded otherwise, so far from the reference as roundings matter in the case: so many
    /// relative roundings of f32, and so many times the distance of the references in f32 and in
    /// f64.
    Rounded {
        /// Roundings.
        roundings: f64,
        /// Times the gap.
        gaps: f64,
    },
}

/// How far an engine may be from the reference, and the cases in which it computes something else,
/// with the reason.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Tolerance {
    /// In all other cases.
    pub bound: Bound,
    /// Whether it computes scalars in f32, where the reference has f64.
    pub scalars_in_f32: bool,
    /// Names of cases, and why they are not judged.
    pub exceptions: &'static [(&'static str, &'static str)],
}

impl Tolerance {
    /// Every bit, in every case.
    pub const BITS: Tolerance =
        Tolerance { bound: Bound::Bits, scalars_in_f32: false, exceptions: &[] };

    /// Whether the case is one in which the engine computes something else.
    pub fn excepts(&self, case: &str) -> bool {
        self.exceptions.iter().any(|(name, _)| *name == case)
    }

    /// Whether a distance is within it; `scalars` is how far the reference goes from itself where
    /// its scalars are f32.
    pub fn allows(&self, distance: &Distance, scalars: Option<&Distance>) -> bool {
        let scalars = scalars.filter(|_| self.scalars_in_f32);
        match self.bound {
            Bound::Bits => distance.same_bits,
            Bound::Rounded { roundings, gaps } => {
                let gap =
                    scalars.map_or(distance.gap, |scalars| distance.gap.max(scalars.deviation));
                scalars.is_some_and(|scalars| scalars.mismatches > 0)
                    || distance.mismatches == 0
                        && distance.deviation <= roundings * ROUNDING + gaps * gap
            }
        }
    }

    /// The tolerance in words.
    pub fn explained(&self) -> String {
        let bound = match self.bound {
            Bound::Bits => {
                "every bit: the same operations in the same order, each rounded once".to_owned()
            }
            Bound::Rounded { roundings, gaps } => format!(
                "{roundings} roundings of f32 (2^-24 each) and {gaps} times the distance between the references in f32 and f64 of the case"
            ),
        };
        let scalars = if self.scalars_in_f32 {
            ", or of the references with scalars in f64 and in f32, if that is more"
        } else {
            ""
        };
        let exceptions = self
            .exceptions
            .iter()
            .map(|(case, reason)| format!("; not in the case {case}: {reason}"));
        bound + scalars + &exceptions.collect::<String>()
    }
}

/// Treatment of denormal numbers by some libraries: signs of what is left tell, and so do sums of
/// squares that fall below 1e-38.
const FLUSHES: (&str, &str) = ("extremes", "denormal numbers are taken as zero");

/// Underflow of squares of small numbers in sums in f32.
const UNDERFLOWS: (&str, &str) =
    ("extremes", "sums are in f32, where the squares of numbers below 1e-23 are zero");

/// Sign that PyTorch gives NaN.
const SIGN_OF_NAN: (&str, &str) = ("not-finite", "the sign of NaN is 0");

/// Times the distance of the references in f32 and f64.
const GAPS: f64 = 4.0;

/// Roundings of one minus a power of beta, in f32.
const POWERS_OF_BETA: f64 = 1000.0;

/// Rounded otherwise than the reference.
pub const ROUNDED: Bound = Bound::Rounded { roundings: STEPS as f64, gaps: GAPS };

/// A library's own implementation of a program, whose formula is equal in real numbers only.
pub const PEER: Tolerance = Tolerance {
    bound: ROUNDED,
    scalars_in_f32: false,
    exceptions: &[(
        "not-finite",
        "formulas that are equal in real numbers make NaN of infinities in different places",
    )],
};

/// How far an engine, by the name that it has in a report, may be from the reference on a program.
pub fn tolerance(engine: &str, program: &Program) -> Tolerance {
    let bits_but_for = |functions: &[&[Function]]| {
        if calls_on_arrays(program, functions) { ROUNDED } else { Bound::Bits }
    };
    let in_f32 = match reads_step(program) {
        true => Bound::Rounded { roundings: STEPS as f64 + POWERS_OF_BETA, gaps: GAPS },
        false => ROUNDED,
    };
    let target = engine.split(' ').next().unwrap_or_default();
    let (bound, exceptions): (Bound, &[_]) = match (target, engine) {
        ("numpy" | "c" | "rust", _) => (bits_but_for(&[APPROXIMATED]), &[]),
        ("pytorch", _) => {
            (bits_but_for(&[APPROXIMATED, PRODUCTS, OTHERWISE_IN_PYTORCH]), &[SIGN_OF_NAN])
        }
        (_, "keras torch") => (in_f32, &[SIGN_OF_NAN, UNDERFLOWS]),
        (_, "keras tensorflow") => (ROUNDED, &[FLUSHES]),
        (_, "tf2") => (bits_but_for(&[APPROXIMATED, PRODUCTS]), &[FLUSHES]),
        ("tf2" | "tf1", _) => (ROUNDED, &[FLUSHES]),
        ("optax" | "praxis" | "keras", _) => (in_f32, &[FLUSHES]),
        _ => (Bound::Bits, &[]),
    };
    Tolerance { bound, scalars_in_f32: scalars_in_f32(engine), exceptions }
}

/// How far engines may be from the reference, in words: engines that are judged alike together, in
/// their order, each with the bound for most programs and then those for others.
pub fn explained<'a>(
    engines: &[&'a str],
    subjects: &[Subject],
) -> Vec<(Vec<&'a str>, Vec<String>)> {
    let mut alike: Vec<(Vec<&str>, Vec<String>)> = Vec::new();
    for engine in engines {
        let mut by_bound: Vec<(String, Vec<&str>)> = Vec::new();
        for Subject { name, program, .. } in subjects {
            let explained = tolerance(engine, program).explained();
            match by_bound.iter_mut().find(|(known, _)| *known == explained) {
                Some((_, names)) => names.push(name),
                None => by_bound.push((explained, vec![name])),
            }
        }
        by_bound.sort_by_key(|(_, names)| std::cmp::Reverse(names.len()));
        let said = |(index, (explained, names)): (usize, &(String, Vec<&str>))| match index {
            0 => explained.clone(),
            _ => format!("for {}: {explained}", names.join(", ")),
        };
        let explained: Vec<String> = by_bound.iter().enumerate().map(said).collect();
        match alike.iter_mut().find(|(_, known)| *known == explained) {
            Some((engines, _)) => engines.push(engine),
            None => alike.push((vec![engine], explained)),
        }
    }
    alike
}

/// Whether an engine computes scalars in f32: libraries in which they are JAX's or those of Keras
/// beside TensorFlow.
pub fn scalars_in_f32(engine: &str) -> bool {
    ["optax", "praxis", "keras"].iter().any(|target| engine.starts_with(target))
        && engine != "keras tensorflow"
}

/// Functions whose values are a library's approximations, not the nearest numbers.
const APPROXIMATED: &[Function] = {
    use Function::*;
    &[
        Cos,
        Sin,
        Tan,
        Arcsin,
        Arccos,
        Arctan,
        Exp,
        Log,
        Sinh,
        Cosh,
        Tanh,
        Arcsinh,
        Arccosh,
        Arctanh,
        Exp2,
        Exp10,
        Expm1,
        Log10,
        Log2,
        Log1p,
        Cbrt,
        Power,
        GuardedLog,
        GuardedLog10,
        GuardedLog2,
        GuardedLog1p,
    ]
};

/// Functions whose products and sums TensorFlow and PyTorch take in an order of their own.
const PRODUCTS: &[Function] =
    &[Function::RowMean, Function::ColumnMean, Function::Matmul, Function::NewtonSchulz];

/// Other functions that PyTorch computes otherwise than the reference: its vector library's roots
/// are not always the nearest numbers, and sums over an array are in an order of its own.
const OTHERWISE_IN_PYTORCH: &[Function] = {
    use Function::*;
    &[Sqrt, GuardedSqrt, Clip, CosineSim, Dot, GlobalNorm, Mean, Norm]
};

/// Whether a program calls one of some functions on an array.
fn calls_on_arrays(program: &Program, functions: &[&[Function]]) -> bool {
    let Ok(graph) = Graph::new(program) else { return true };
    graph.nodes().iter().any(|node| match node.kind {
        NodeKind::Call(function) if functions.iter().any(|list| list.contains(&function)) => {
            node.ty.is_array()
                || node.arguments().iter().any(|argument| graph.node(*argument).ty.is_array())
        }
        _ => false,
    })
}

fn reads_step(program: &Program) -> bool {
    Graph::new(program)
        .is_ok_and(|graph| graph.nodes().iter().any(|node| node.kind == NodeKind::Step))
}
