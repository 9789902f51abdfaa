//! Random valid programs for all engines and exports: the calls that nobody thinks of.
//!
//! A program is drawn statement by statement, so that it types by construction. Most operands are
//! what was computed last, so that programs hang together. A drawn program is kept, under those
//! cases in which the tolerance says something about it: the reference must stay within the
//! tolerance of itself when its inputs move by a rounding, and must be NaN, infinite and finite in
//! the same places in f32, in f64 and with moved inputs. All else would be an alarm without a
//! fault. How many programs are left out, and why, is counted.

use symopt_dsl::function::{Profile, Typing};
use symopt_dsl::program::{Parameter, ParameterKind};
use symopt_dsl::{
    Function, Graph, Numerics, Operand, Program, Signature, SlotId, Statement, Type, VarId,
};

use super::case::Case;
use super::expected::{self, Outcome};
use super::subject::Subject;
use super::{distance, tolerance};
use crate::tolerance::Tolerance;

/// Shapes of the parameter arrays: a matrix, a vector, a single number, three dimensions.
pub const SHAPES: &[&[usize]] = &[&[3, 2], &[5], &[], &[2, 1, 3]];

/// Statements of a program, at most, before its slots and its update are made arrays.
const STATEMENTS: usize = 14;

/// Variables beside the parameters.
const LOCALS: usize = 6;

/// Literals, and defaults of hyperparameters: ordinary ones, and awkward ones that are valid all
/// the same.
const NUMBERS: [f64; 16] = [
    0.9,
    0.999,
    0.1,
    1.0,
    -1.0,
    2.0,
    0.5,
    1e-8,
    0.0,
    -0.0,
    3.0,
    -0.37,
    1e-3,
    16_777_217.0,
    1e-30,
    0.123_456_789_012_345_67,
];

/// A number beyond f32, which is drawn seldom.
const BEYOND: f64 = 1e39;

/// SplitMix64 (Steele et al. 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `n`, which is not 0.
    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn number(&mut self) -> f64 {
        match self.below(40) {
            0 => BEYOND,
            1..25 => self.pick(&NUMBERS),
            _ => (self.next() >> 11) as f64 / (1_u64 << 52) as f64 - 1.0,
        }
    }
}

/// A program while its statements are drawn.
struct Draft {
    signature: Signature,
    types: Vec<Option<Type>>,
    statements: Vec<Statement>,
    latest: VarId,
}

impl Draft {
    fn new(name: String, random: &mut Random) -> Draft {
        let mut parameters = Vec::new();
        let mut types = Vec::new();
        let mut push = |name: String, kind, default, ty| {
            parameters.push(Parameter { name, kind, default });
            types.push(Some(ty));
        };
        push("w".to_owned(), ParameterKind::Weights, None, Type::Tree);
        push("g".to_owned(), ParameterKind::Gradients, None, Type::Tree);
        for slot in 0..random.below(4) {
            push(format!("s{slot}"), ParameterKind::Slot(SlotId(slot as u16)), None, Type::Tree);
        }
        if random.one_in(2) {
            push("t".to_owned(), ParameterKind::Step, None, Type::Scalar);
        }
        if !random.one_in(5) {
            push("lr".to_owned(), ParameterKind::LearningRate, Some(0.1), Type::Scalar);
        }
        for index in 0..random.below(3) {
            let name = if index == 0 && random.one_in(2) {
                "weight_decay".to_owned()
            } else {
                format!("h{index}")
            };
            // A value of 1 is a share to an export, and the suite would move it to 1.5, which is
            // none.
            let default = match random.number() {
                1.0 => 0.75,
                number => number,
            };
            push(name, ParameterKind::Hyperparameter, Some(default), Type::Scalar);
        }
        types.resize(types.len() + LOCALS, None);
        let numerics = if random.one_in(3) { Numerics::Guarded } else { Numerics::Ieee };
        let signature = Signature { name, doc: None, numerics, parameters };
        Draft { signature, types, statements: Vec::new(), latest: VarId(1) }
    }

    fn ty(&self, operand: Operand) -> Type {
        match operand {
            Operand::Variable(id) => self.types[id.index()].unwrap_or(Type::Scalar),
            Operand::Constant(_) => Type::Scalar,
        }
    }

    fn variables(&self, fits: impl Fn(Type) -> bool) -> Vec<VarId> {
        (0..self.types.len())
            .filter(|index| self.types[*index].is_some_and(&fits))
            .map(|index| VarId(index as u16))
            .collect()
    }

    /// A value; a `Scalar` if it must be.
    fn operand(&self, random: &mut Random, scalar: bool) -> Operand {
        let variables = self.variables(|ty| !scalar || ty == Type::Scalar);
        if variables.is_empty() || random.one_in(5) {
            return Operand::Constant(random.number());
        }
        if variables.contains(&self.latest) && random.one_in(2) {
            return Operand::Variable(self.latest);
        }
        Operand::Variable(random.pick(&variables))
    }

    /// Appends a call if it types.
    fn push(&mut self, target: VarId, function: Function, arguments: &[Operand]) -> bool {
        let types: Vec<Type> = arguments.iter().map(|argument| self.ty(*argument)).collect();
        let Ok(ty) = function.result_type(&types) else { return false };
        // One array must stay.
        if ty != Type::Tree && self.variables(|ty| ty == Type::Tree) == [target] {
            return false;
        }
        self.statements.push(Statement::new(target, function, arguments));
        self.types[target.index()] = Some(ty);
        self.latest = target;
        true
    }

    fn draw(&mut self, random: &mut Random, functions: &[Function]) {
        let function = random.pick(functions);
        let arity = function.arity();
        let is_scaled = function.row().typing == Typing::ScaledBy;
        let arguments: Vec<Operand> =
            (0..arity).map(|place| self.operand(random, is_scaled && place + 1 == arity)).collect();
        let target = VarId(random.below(self.types.len()) as u16);
        // The weights and the gradients stay what they are, mostly.
        let target = if target.index() < 2 && !random.one_in(4) {
            VarId((self.types.len() - 1) as u16)
        } else {
            target
        };
        self.push(target, function, &arguments);
    }

    /// The program, with its slots and its update made arrays.
    fn finish(mut self, random: &mut Random) -> Program {
        let trees = self.variables(|ty| ty == Type::Tree);
        let tree = random.pick(&trees);
        let latest = self.latest;
        for slot in self.signature.slots().collect::<Vec<VarId>>() {
            if self.types[slot.index()] != Some(Type::Tree) {
                let of_shape = self.types[slot.index()].is_some_and(Type::is_array);
                let value = if of_shape { Operand::Constant(0.5) } else { Operand::Variable(slot) };
                self.push(slot, Function::Multiply, &[value, Operand::Variable(tree)]);
            }
        }
        let update = VarId((self.types.len() - 1) as u16);
        let value = match self.types[latest.index()] {
            Some(ty) if ty.is_array() && ty != Type::Tree => Operand::Variable(tree),
            _ => Operand::Variable(latest),
        };
        // The slots' values enter too, or they would be dead.
        self.push(update, Function::Add, &[value, Operand::Variable(tree)]);
        for slot in self.signature.slots().collect::<Vec<VarId>>() {
            self.push(update, Function::Add, &[Operand::Variable(update), Operand::Variable(slot)]);
        }
        let rate = self.signature.learning_rate();
        self.push(
            update,
            Function::Multiply,
            &[Operand::Variable(update), rate.map_or(Operand::Constant(0.1), Operand::Variable)],
        );
        Program::new(self.signature, Vec::new(), self.statements, update, Vec::new())
    }
}

/// The functions that a program is drawn from: those of loops over elements, or matrices as well.
fn functions(with_matrices: bool) -> Vec<Function> {
    let all = Function::all()
        .filter(|function| with_matrices || function.row().profile != Profile::Matrix);
    let mut functions: Vec<Function> =
        all.filter(|function| !matches!(function.row().profile, Profile::Language)).collect();
    functions.push(Function::Negative);
    // Functions that most programs are made of, and functions that mix sizes, are drawn more often.
    for often in [
        Function::Add,
        Function::Subtract,
        Function::Multiply,
        Function::Divide,
        Function::Norm,
        Function::Interp,
        Function::Where,
    ] {
        functions.extend([often; 3]);
    }
    functions
}

fn draw(name: String, random: &mut Random) -> Program {
    let functions = functions(random.one_in(4));
    let mut draft = Draft::new(name, random);
    for _ in 0..3 + random.below(STATEMENTS - 2) {
        draft.draw(random, &functions);
    }
    draft.finish(random)
}

/// Inputs of a case, each moved by one unit in the last place or left.
fn moved(case: &Case, random: &mut Random) -> Case {
    let mut case = case.clone();
    let mut numbers: Vec<&mut f32> = case.weights.iter_mut().flatten().collect();
    numbers.extend(case.gradients.iter_mut().flatten().flatten());
    for number in numbers {
        *number = match random.below(3) {
            0 => number.next_up(),
            1 => number.next_down(),
            _ => *number,
        };
        // A zero is one, not the smallest number.
        if number.is_subnormal() {
            *number = 0.0;
        }
    }
    case
}

/// How often inputs are moved.
const MOVES: usize = 4;

/// Why the tolerance says nothing about a program under a case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Unfit {
    /// It has few operations.
    Small,
    /// No weight is finite.
    NotFinite,
    /// Where f32 is infinite or NaN, f64 is something else.
    Overflows,
    /// It takes the sign of NaN, which some libraries have as 0.
    SignOfNan,
    /// Roundings lead it further apart than the tolerance.
    Chaotic,
}

impl Unfit {
    const ALL: [Unfit; 5] =
        [Unfit::Small, Unfit::NotFinite, Unfit::Overflows, Unfit::SignOfNan, Unfit::Chaotic];

    fn reason(self) -> &'static str {
        match self {
            Unfit::Small => "have few operations",
            Unfit::NotFinite => "end in no finite number",
            Unfit::Overflows => "leave the range of f32, but not that of f64",
            Unfit::SignOfNan => "take the sign of NaN, which is 0 in PyTorch",
            Unfit::Chaotic => "are led apart by roundings",
        }
    }
}

/// Returns a code for NaN and for each infinity, and 0 for finite numbers.
fn class(x: f64) -> u8 {
    match x {
        x if x.is_nan() => 1,
        f64::INFINITY => 2,
        f64::NEG_INFINITY => 3,
        _ => 0,
    }
}

fn classes(outcome: &Outcome<f32>) -> Vec<u8> {
    outcome
        .weights
        .iter()
        .chain(outcome.slots.values().flatten())
        .flatten()
        .map(|x| class(f64::from(*x)))
        .collect()
}

/// A program whose signs of NaN are 0, as they are in PyTorch.
fn with_zeros_as_signs_of_nan(program: &Program) -> Program {
    let is_number = VarId(program.variable_count() as u16);
    let statements = program.statements.iter().flat_map(|statement| {
        let Statement { target, function, .. } = *statement;
        match (function, statement.arguments()) {
            (Function::Sign, [x]) => vec![
                Statement::new(is_number, Function::Equal, &[*x, *x]),
                Statement::new(target, Function::Sign, &[*x]),
                Statement::new(
                    target,
                    Function::Where,
                    &[
                        Operand::Variable(is_number),
                        Operand::Variable(target),
                        Operand::Constant(0.0),
                    ],
                ),
            ],
            _ => vec![*statement],
        }
    });
    Program::new(
        program.signature().clone(),
        Vec::new(),
        statements.collect(),
        program.update,
        Vec::new(),
    )
}

/// Whether the tolerance says something about a program under a case.
fn check(program: &Program, case: &Case, random: &mut Random) -> Result<(), Unfit> {
    let (Ok(single), Ok(double)) =
        (expected::outcome::<f32>(program, case), expected::outcome::<f64>(program, case))
    else {
        return Err(Unfit::NotFinite);
    };
    if !single.weights.concat().iter().any(|x| x.is_finite()) {
        return Err(Unfit::NotFinite);
    }
    let own = classes(&single);
    // A number beyond f32 in f64 is infinite in f32.
    let wide: Vec<u8> = double
        .weights
        .iter()
        .chain(double.slots.values().flatten())
        .flatten()
        .map(|x| class(f64::from(*x as f32)))
        .collect();
    if own != wide {
        return Err(Unfit::Overflows);
    }
    let otherwise = expected::outcome::<f32>(&with_zeros_as_signs_of_nan(program), case);
    if !otherwise.is_ok_and(|found| {
        classes(&found) == own && distance(&found, &single, &double).deviation == 0.0
    }) {
        return Err(Unfit::SignOfNan);
    }
    let rounded = Tolerance { bound: tolerance::ROUNDED, ..Tolerance::BITS };
    let is_steady = distance(&single, &single, &double).gap < 1e-4
        && (0..MOVES).all(|_| {
            expected::outcome::<f32>(program, &moved(case, random)).is_ok_and(|found| {
                classes(&found) == own && rounded.allows(&distance(&found, &single, &double), None)
            })
        });
    if is_steady { Ok(()) } else { Err(Unfit::Chaotic) }
}

/// Programs of a seed, with the names `random-SEED-1` and so on, and how many were left out for
/// which reason.
pub fn subjects(
    count: usize,
    seed: u64,
    cases: &[Case],
) -> (Vec<Subject>, Vec<(&'static str, usize)>) {
    let mut random = Random(seed);
    let mut subjects = Vec::with_capacity(count);
    let mut left_out: Vec<Unfit> = Vec::new();
    while subjects.len() < count {
        let name = format!("random_{seed}_{}", subjects.len() + 1);
        let program = draw(name.clone(), &mut random);
        if Graph::new(&program).is_ok_and(|graph| graph.nodes().len() < 8) {
            left_out.push(Unfit::Small);
            continue;
        }
        let checks: Vec<Result<(), Unfit>> =
            cases.iter().map(|case| check(&program, case, &mut random)).collect();
        let only: Vec<&'static str> = cases
            .iter()
            .zip(&checks)
            .filter(|(_, check)| check.is_ok())
            .map(|(case, _)| case.name)
            .collect();
        if only.is_empty() {
            left_out.extend(checks.into_iter().filter_map(Result::err).max());
        } else {
            subjects.push(Subject {
                only: Some(only),
                ..Subject::new(&name.replace('_', "-"), program)
            });
        }
    }
    let counted = Unfit::ALL
        .map(|unfit| (unfit.reason(), left_out.iter().filter(|other| **other == unfit).count()));
    (subjects, counted.into_iter().filter(|(_, count)| *count > 0).collect())
}
