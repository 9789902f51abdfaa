//! Programs that mix the sizes and kinds of operands: every function on literals, hyperparameters,
//! the learning rate, the step count, computed scalars, numbers of each array and arrays, and
//! numbers beyond f32.
//!
//! Programs of the zoo hardly mix them, but an export writes each kind in its own way: a Python
//! float, a scalar tensor, a tensor. All results of a program flow into its slot and its update,
//! each with a weight of its own, so few programs with many calls tell what is wrong. Values that
//! may be infinite or NaN enter as a small number that says which, so that they hide nothing.
//! Beside them stand programs that were found to go wrong, and programs of the zoo on arrays that
//! they seldom see.

use std::fmt::Write;

use symopt_dsl::function::Profile;
use symopt_dsl::{Function, Graph, Operand, Program, Statement};

use super::case::{self, Case};
use super::subject::Subject;

/// Shapes of the parameter arrays: matrices, a vector, a single number, three dimensions, and
/// arrays without elements.
pub const SHAPES: &[&[usize]] = &[&[3, 2], &[5], &[], &[2, 1, 3], &[0, 3], &[0]];

/// Arrays of one element, rows and columns.
const SLIM: &[&[usize]] = &[&[1], &[1, 3], &[3, 1], &[], &[1, 1], &[2, 0], &[1, 2, 2]];

/// Arrays without elements alone: sums over nothing.
const EMPTY: &[&[usize]] = &[&[0], &[0, 3], &[3, 0]];

/// The cases: three steps on arrays of all shapes, slim ones, and none but empty ones; and
/// gradients whose cosines and norms are known.
pub fn cases() -> Vec<Case> {
    let mut cases = case::brief(SHAPES);
    cases.push(case::brief_case(
        SLIM,
        ("slim", "arrays of one element, of one row and of one column"),
    ));
    cases.push(case::brief_case(EMPTY, ("empty", "arrays without elements")));
    cases.push(case::known());
    cases
}

/// Sources of operands, with a name for each kind; all but the last one are no arrays. Half of the
/// calls read the slot `m` in its place.
const KINDS: [&str; 7] = ["0.3", "a", "lr", "t", "s", "n", "g"];

/// Numbers beyond f32, the smallest that f32 takes for zero, and a zero with a sign.
const BEYOND: [&str; 6] = ["1e39", "-1e300", "big", "1e-60", "1e-46", "-0.0"];

/// Results beyond this size count as infinite.
const LARGEST: &str = "100.0";

/// A program under construction.
struct Draft {
    name: String,
    guarded: bool,
    calls: Vec<String>,
    /// Whether results may be infinite, NaN or large.
    is_wild: bool,
}

impl Draft {
    fn new(name: &str, is_wild: bool) -> Draft {
        Draft { name: format!("mixed_{name}"), guarded: false, calls: Vec::new(), is_wild }
    }

    /// All pairs of kinds, and of arrays.
    fn of_pairs(function: Function, is_wild: bool) -> Draft {
        let mut draft = Draft::new(function.name(), is_wild);
        let name = function.name();
        for (index, x) in KINDS.iter().enumerate() {
            for (other, y) in KINDS.iter().enumerate().filter(|(other, _)| index + other > 0) {
                draft.calls.push(format!("{name}({}, {})", array_of(x, other), array_of(y, index)));
            }
        }
        draft.calls.extend([
            format!("{name}(g, h)"),
            format!("{name}(m, g)"),
            format!("{name}(g, m)"),
        ]);
        draft
    }

    /// Functions of one argument on every kind.
    fn of_each(name: &str, functions: &[Function], is_wild: bool) -> Draft {
        let mut draft = Draft::new(name, is_wild);
        let kinds = || KINDS.iter().chain(&["m"]);
        draft.calls = functions
            .iter()
            .flat_map(|function| kinds().map(|x| format!("{}({x})", function.name())))
            .collect();
        draft
    }

    fn with(mut self, calls: impl IntoIterator<Item = String>) -> Draft {
        self.calls.extend(calls);
        self
    }

    fn text(&self) -> String {
        let mut text = if self.guarded { "@guarded\n".to_owned() } else { String::new() };
        let _ = writeln!(text, "def {}(w, g, m, t, lr=0.3125, *, a=0.7, big=3e38):", self.name);
        // A scalar between -1 and 1, a number of each array below 1, and an array of numbers that
        // are not those of the gradients.
        text += "  s = dot(w, g) / (global_norm(w) * global_norm(g) + 1.0)\n  n = norm(w) / (norm(w) + 1.0)\n  h = w * 0.75 + m * 0.25 - 0.1\n";
        text += "  u = w * 0.125 + m * 0.0625\n";
        for (index, call) in self.calls.iter().enumerate() {
            // Weights that differ, so that one result does not stand for another.
            let weight = 1.0 + (index * 7 % 32) as f64 / 32.0;
            let _ = writeln!(text, "  x = {call}");
            if self.is_wild {
                let _ = writeln!(
                    text,
                    "  x = where(abs(x) < {LARGEST}, x, where(x > 0.0, 0.25, where(x < 0.0, 0.5, 0.75)))"
                );
            }
            let _ = writeln!(text, "  u = u + {weight:?} * x");
        }
        // Between -1 and 1, so that what the slot holds makes no program chaotic.
        text += "  m = interp(u / (abs(u) + 1.0), m, 0.5)\n  update = u * lr\n  return update, m\n";
        text
    }

    fn program(&self) -> Program {
        let text = self.text();
        let program = symopt_dsl::parse(&text).unwrap_or_else(|faults| panic!("{faults}"));
        // A test makes all of them.
        Graph::new(&program).unwrap_or_else(|errors| panic!("{errors:?}\n{text}"));
        program
    }
}

fn drafts() -> Vec<Draft> {
    use Function::*;
    let exact = [Abs, Sign, Square, Cube, Negative, Norm, GlobalNorm, Mean, Size];
    let rooted = [Sqrt, Reciprocal];
    let waves = [Cos, Sin, Tan, Arctan, Tanh, Sinh, Cosh, Arcsinh];
    let bounded = [Arcsin, Arccos, Arccosh, Arctanh];
    let powers = [Exp, Exp2, Exp10, Expm1, Cbrt];
    let logarithms = [Log, Log2, Log10, Log1p];
    let mut drafts = vec![
        Draft::of_each("exact", &exact, true),
        Draft::of_each("rooted", &rooted, true),
        Draft::of_each("waves", &waves, true),
        Draft::of_each("bounded", &bounded, true),
        Draft::of_each("powers", &powers, true),
        Draft::of_each("logarithms", &logarithms, true),
        Draft {
            guarded: true,
            ..Draft::of_each("guarded", &[Sqrt, Log, Log2, Log10, Log1p], true)
        },
        Draft {
            guarded: true,
            name: "mixed_guarded_divide".to_owned(),
            ..Draft::of_pairs(Divide, true)
        },
    ];
    for function in [
        Add,
        Subtract,
        Multiply,
        Maximum,
        Minimum,
        Less,
        LessEqual,
        Greater,
        GreaterEqual,
        Equal,
        Dot,
    ] {
        drafts.push(Draft::of_pairs(function, false));
    }
    // The quotient of a norm that is zero; a cosine beside an array of zeros.
    for function in [CosineSim, Divide, Power] {
        drafts.push(Draft::of_pairs(function, true));
    }
    drafts.push(Draft::new("interp", false).with(of_three("interp", &["0.3", "a", "lr", "s"])));
    drafts.push(Draft::new("where", false).with(of_three("where", &KINDS)));
    let scalars = ["0.3", "a", "lr", "t", "s"];
    let clips =
        KINDS.iter().chain(&["m"]).flat_map(|x| scalars.map(|limit| format!("clip({x}, {limit})")));
    drafts.push(Draft::new("clip", false).with(clips));
    for (name, sums) in BEYOND_NAMES.into_iter().zip([false, true]) {
        let calls = beyond()
            .into_iter()
            .filter(|(function, _)| matches!(function, Dot | CosineSim | Clip) == sums);
        drafts.push(Draft::new(name, true).with(calls.map(|(_, call)| call)));
    }
    // Beside the learning rate they are beyond f32 in libraries whose scalars are f32.
    let (beside_scalars, alone): (Vec<String>, Vec<String>) =
        beyond_alone().into_iter().partition(|call| call.contains("lr"));
    drafts.push(Draft::new("beyond_alone", true).with(alone));
    drafts.push(Draft::new("beyond_beside_scalars", true).with(beside_scalars));
    drafts.push(
        Draft::of_each(
            "matrices",
            &[Transpose, RowMean, ColumnMean, NewtonSchulz, Rows, Columns],
            true,
        )
        .with(of_matrices()),
    );
    for draft in &mut drafts {
        draft.calls.retain(|call| {
            symopt_dsl::parse(&of_one(call)).is_ok_and(|program| Graph::new(&program).is_ok())
        });
    }
    drafts
}

/// The names of the programs whose numbers beyond f32 all meet arrays: element by element; and in
/// sums, which leave the range of f32 where their operands do not.
const BEYOND_NAMES: [&str; 2] = ["beyond", "beyond_sums"];

/// A kind of operand, with the slot for the gradients at every other place.
fn array_of(kind: &str, place: usize) -> &str {
    if kind == "g" && place % 2 == 1 { "m" } else { kind }
}

/// A program of a call alone, to see whether it types: a matrix that is transposed once is of
/// another shape than the weights.
fn of_one(call: &str) -> String {
    format!(
        "def f(w, g, m, t, lr, *, a=0.7, big=1.0):\n  s = dot(w, g)\n  n = norm(w)\n  h = w * 0.75\n  x = {call}\n  update = g * x\n  \
         return update, m\n"
    )
}

/// Calls of three arguments: the third of each kind beside pairs that go through all kinds.
fn of_three(function: &str, last: &[&str]) -> Vec<String> {
    let mut calls = Vec::new();
    for (index, x) in KINDS.iter().enumerate() {
        for (other, y) in KINDS.iter().enumerate() {
            let third = last[(index + other) % last.len()];
            calls.push(format!(
                "{function}({}, {}, {})",
                array_of(x, other),
                array_of(y, index),
                array_of(third, index + other)
            ));
        }
    }
    calls.extend([
        format!("{function}(g, h, {})", last[0]),
        format!("{function}(h, w, {})", last[1]),
    ]);
    calls
}

/// Numbers beyond f32 where they meet an array: they are infinite, or zero, there.
fn beyond() -> Vec<(Function, String)> {
    let mut calls = Vec::new();
    for number in BEYOND {
        for function in Function::all()
            .filter(|function| matches!(function.row().profile, Profile::Paper | Profile::Select))
        {
            let name = function.name();
            let of_function = match function {
                Function::Where => {
                    vec![format!("where(g > 0.0, {number}, g)"), format!("where({number}, g, h)")]
                }
                Function::Interp => {
                    vec![format!("interp(g, {number}, a)"), format!("interp({number}, g, a)")]
                }
                Function::Clip => vec![format!("clip(g, {number})")],
                _ if function.arity() == 2 => {
                    vec![format!("{name}(g, {number})"), format!("{name}({number}, g)")]
                }
                _ => Vec::new(),
            };
            calls.extend(of_function.into_iter().map(|call| (function, call)));
        }
    }
    calls.extend(
        ["where(g > 0.0, 1e39, -1e300)", "where(g > 0.0, big, -1e39)"]
            .map(|call| (Function::Where, call.to_owned())),
    );
    calls
}

/// Numbers beyond f32 among numbers, which are computed in f64, made numbers within f32 again.
fn beyond_alone() -> Vec<String> {
    let mut calls = Vec::new();
    for number in ["1e39", "big", "1e-46", "1e-60"] {
        for function in Function::all()
            .filter(|function| matches!(function.row().profile, Profile::Paper | Profile::Select))
        {
            let name = function.name();
            // A hyperparameter, so that nothing is folded.
            let x = format!("(a * {number})");
            match function {
                Function::Where => calls.extend([
                    format!("log(where(a > 0.5, {x}, 1.0))"),
                    format!("where({x}, a, lr)"),
                ]),
                Function::Interp => calls.extend([
                    format!("log(abs(interp({x}, 1.0, a)))"),
                    format!("interp(a, lr, {x}) / {x}"),
                ]),
                Function::Clip => calls.push(format!("log(clip({x}, {number}))")),
                Function::Dot | Function::CosineSim => calls.push(format!("{name}({x}, a) / {x}")),
                _ if function.arity() == 2 => {
                    calls.extend([
                        format!("log(abs({name}({x}, a)) + 1e-9)"),
                        format!("log(abs({name}(a, {x})) + 1e-9)"),
                    ]);
                }
                _ if function.arity() == 1 => calls.push(format!("log(abs({name}({x})) + 1e-70)")),
                _ => {}
            }
        }
    }
    calls.push("newton_schulz(a * 1e39)".to_owned());
    calls
}

/// A program in which numbers beyond f32 are what f32 takes them for: what f64 has to compute to be
/// compared with f32, where they meet arrays.
fn within_f32(program: &Program) -> Program {
    let rounded = |number: f64| {
        let single = f64::from(number as f32);
        if single.is_finite() && (single != 0.0 || number == 0.0) { number } else { single }
    };
    let operand = |operand: &Operand| match operand {
        Operand::Constant(number) => Operand::Constant(rounded(*number)),
        variable => *variable,
    };
    let statement = |statement: &Statement| {
        let arguments: Vec<Operand> = statement.arguments().iter().map(operand).collect();
        Statement::new(statement.target, statement.function, &arguments)
    };
    let statements = program.statements.iter().map(statement).collect();
    Program::new(program.signature().clone(), Vec::new(), statements, program.update, Vec::new())
}

/// Matrices of other shapes than the weights beside numbers, made arrays of the weights' shape
/// again.
fn of_matrices() -> Vec<String> {
    let rows = "matmul(g, transpose(h))";
    let columns = "matmul(transpose(g), h)";
    let mut calls = Vec::new();
    for x in &KINDS[..KINDS.len() - 1] {
        calls.push(format!("matmul({x}, 0.3)"));
        calls.push(format!("matmul({x}, n)"));
        for matrix in [rows, columns, "transpose(g)"] {
            calls.extend([format!("dot({x}, {matrix})"), format!("cosine_sim({matrix}, {x})")]);
        }
        calls.push(format!("matmul(maximum({x}, {rows}), g)"));
        calls.push(format!("matmul(g, {x} - {columns})"));
        calls.push(format!("transpose(where({x} > transpose(g), {x}, transpose(g)))"));
    }
    calls
        .extend([format!("matmul(0.5 ** {rows}, g)"), "transpose(0.5 ** transpose(g))".to_owned()]);
    calls.extend([
        format!("size({rows})"),
        format!("rows({columns})"),
        "columns(transpose(g))".to_owned(),
        format!("mean({rows})"),
    ]);
    calls
}

/// Programs that exports once got wrong, and others that are made to be hard, as files.
const FOUND: &[(&str, &str)] = &[
    ("cosine-of-a-number", include_str!("../found/cosine_of_a_number.opt")),
    ("cosine-of-norms", include_str!("../found/cosine_of_norms.opt")),
    ("cubes-of-numbers", include_str!("../found/cubes_of_numbers.opt")),
    ("guarded-log1p", include_str!("../found/guarded_log1p.opt")),
    ("size-of-a-sum", include_str!("../found/size_of_a_sum.opt")),
    ("sizes-of-numbers", include_str!("../found/sizes_of_numbers.opt")),
    ("reads-weights-only", include_str!("../found/reads_weights_only.opt")),
    ("negative-zeros", include_str!("../found/negative_zeros.opt")),
    ("nested-sums", include_str!("../found/nested_sums.opt")),
    ("numbers-only", include_str!("../found/numbers_only.opt")),
    ("rebound-slot", include_str!("../found/rebound_slot.opt")),
    ("shared-products", include_str!("../found/shared_products.opt")),
    ("one-long-result", include_str!("../found/one_long_result.opt")),
    ("guarded-divisors", include_str!("../found/guarded_divisors.opt")),
    ("floats-apart", include_str!("../found/floats_apart.opt")),
    ("floats-beyond", include_str!("../found/floats_beyond.opt")),
];

/// Programs of the zoo with norms, means and matrices, which see arrays of these shapes here.
const OF_ZOO: &[&str] = &["muon", "adafactor", "lamb", "lars", "novograd"];

/// The programs: those that are made here have names that begin with `mixed-`.
pub fn subjects() -> Vec<Subject> {
    let of_draft = |draft: &Draft| {
        let program = draft.program();
        let wide = BEYOND_NAMES
            .iter()
            .any(|name| draft.name == format!("mixed_{name}"))
            .then(|| within_f32(&program));
        Subject { wide, ..Subject::new(&draft.name.replace('_', "-"), program) }
    };
    let mut subjects: Vec<Subject> = drafts().iter().map(of_draft).collect();
    subjects.extend(FOUND.iter().map(|(name, text)| {
        // A test parses them all.
        Subject::new(
            name,
            symopt_dsl::parse(text).unwrap_or_else(|faults| panic!("{name}: {faults}")),
        )
    }));
    subjects
        .extend(OF_ZOO.iter().filter_map(|name| symopt_programs::find(name)).map(Subject::of_zoo));
    subjects
}
