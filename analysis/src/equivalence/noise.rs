//! A small evaluator of data flow in f64 for stochastic arithmetic: each operation's result may be
//! off by a random relative amount, and the spread of an output over a few runs says how well it is
//! conditioned.
//!
//! Without noise it gives the bits of the reference interpreter in f64; a test holds it to that.

use std::ops::Range;

use symopt_dsl::graph::NodeKind;
use symopt_dsl::{Function, Type, semantics};
use symopt_evaluator::reduce;

use super::flow::{Operation, OperationFlow};
use super::streams::Random;

/// How far an operation's result is off in a noisy run, relative: far above the rounding of f64
/// (1e-16), far below what matters.
pub(crate) const NOISE: f64 = 1e-10;

/// Magnitudes outside this range are close to where f64 itself ends: what they lead to says nothing
/// about an identity.
const ORDINARY: Range<f64> = 1e-150..1e150;

/// Inputs of a program's step. All arrays stand one behind the other.
#[derive(Clone, Copy)]
pub(crate) struct Inputs<'a> {
    pub(crate) weights: &'a [f64],
    pub(crate) gradients: &'a [f64],
    /// By slot of the signature.
    pub(crate) slots: &'a [Vec<f64>],
    pub(crate) lr: f64,
    pub(crate) t: f64,
    /// By parameter of the signature; read for hyperparameters only.
    pub(crate) hyperparameters: &'a [f64],
}

/// Evaluates the flow of one program over arrays of given lengths.
pub(crate) struct FlowEvaluator {
    flow: OperationFlow,
    /// The part of each array in the flat buffers.
    arrays: Vec<Range<usize>>,
    /// The array of each number.
    array_of: Vec<usize>,
    /// The value of each operation: one number, one for each array, or one for each number of the
    /// arrays.
    values: Vec<Vec<f64>>,
    /// Whether each of those numbers is marked.
    marks: Vec<Vec<bool>>,
    /// Whether each of those numbers was nothing but rounding in the last careful run.
    is_rounding: Vec<Vec<bool>>,
}

impl FlowEvaluator {
    pub(crate) fn new(flow: OperationFlow, lengths: &[usize]) -> FlowEvaluator {
        let mut arrays: Vec<Range<usize>> = Vec::new();
        for length in lengths {
            let start = arrays.last().map_or(0, |a| a.end);
            arrays.push(start..start + length);
        }
        let array_of: Vec<usize> = lengths
            .iter()
            .enumerate()
            .flat_map(|(i, length)| std::iter::repeat_n(i, *length))
            .collect();
        let size = |ty: Type| match ty {
            Type::Scalar => 1,
            Type::PerArray => arrays.len(),
            // Programs with matrices of other shapes are refused before.
            _ => array_of.len(),
        };
        FlowEvaluator {
            values: flow.operations.iter().map(|operation| vec![0.0; size(operation.ty)]).collect(),
            marks: flow
                .operations
                .iter()
                .map(|operation| vec![false; size(operation.ty)])
                .collect(),
            is_rounding: flow
                .operations
                .iter()
                .map(|operation| vec![false; size(operation.ty)])
                .collect(),
            flow,
            arrays,
            array_of,
        }
    }

    /// The flow.
    pub(crate) fn flow(&self) -> &OperationFlow {
        &self.flow
    }

    /// The numbers of the update, as last evaluated.
    pub(crate) fn update(&self) -> &[f64] {
        &self.values[self.flow.update]
    }

    /// The numbers of a slot after the step, as last evaluated; `None` for a dead slot.
    pub(crate) fn slot(&self, slot: usize) -> Option<&[f64]> {
        let place = (*self.flow.slots.get(slot)?)?;
        Some(&self.values[place])
    }

    /// Whether the numbers of the update are marked.
    pub(crate) fn update_marks(&self) -> &[bool] {
        &self.marks[self.flow.update]
    }

    /// The same of a slot.
    pub(crate) fn slot_marks(&self, slot: usize) -> Option<&[bool]> {
        let place = (*self.flow.slots.get(slot)?)?;
        Some(&self.marks[place])
    }

    /// Runs one step; with noise if there is a source of it.
    pub(crate) fn run(&mut self, inputs: Inputs<'_>, mut noise: Option<Noise<'_>>) {
        for index in 0..self.values.len() {
            let node = self.flow.operations[index];
            let (before, rest) = self.values.split_at_mut(index);
            let out = &mut rest[0];
            match node.kind {
                NodeKind::Weights => out.copy_from_slice(inputs.weights),
                NodeKind::Gradients => out.copy_from_slice(inputs.gradients),
                NodeKind::Slot(slot) => out.copy_from_slice(&inputs.slots[slot.index()]),
                NodeKind::LearningRate => out[0] = inputs.lr,
                NodeKind::Step => out[0] = inputs.t,
                NodeKind::Hyperparameter(variable) => {
                    out[0] = inputs.hyperparameters[variable.index()]
                }
                NodeKind::Constant(bits) => out[0] = f64::from_bits(bits),
                NodeKind::Call(function) => {
                    let [x, y, z] =
                        std::array::from_fn(|i| argument(&self.flow, before, node.arguments(), i));
                    let places = Places { arrays: &self.arrays, array_of: &self.array_of };
                    call(function, node.ty, [x, y, z], out, places, &mut noise);
                }
            }
        }
    }

    /// Runs one step without noise, after a few runs with noise that show which of its numbers are
    /// nothing but rounding: where two numbers cancel to the last digits, what is left is zero over
    /// the reals, and as good as random for what divides by it or takes its sign. A zero can be all
    /// that rounding has left too, as of `(lr - w) + w` beside a huge w: one that noise on the
    /// results that were rounded moves. A zero of exact results, as `1 - 1`, is none.
    pub(crate) fn run_carefully(&mut self, inputs: Inputs<'_>, noise: &mut Random) {
        const RUNS: usize = 3;
        /// The rounding of f64, as a share of the noise.
        const ROUNDING: f64 = 1e-16 / NOISE;
        /// A number that is off by this share says nothing.
        const MOST: f64 = 1e-3;
        self.run(inputs, None);
        let values = self.values.clone();
        let mut spread: Vec<Vec<f64>> =
            values.iter().map(|numbers| vec![0.0; numbers.len()]).collect();
        for _ in 0..RUNS {
            self.run(inputs, Some(Noise::new(noise)));
            for (spread, (noisy, exact)) in spread
                .iter_mut()
                .flatten()
                .zip(self.values.iter().flatten().zip(values.iter().flatten()))
            {
                *spread = spread.max((noisy - exact).abs());
            }
        }
        let mut moved: Vec<Vec<bool>> =
            values.iter().map(|numbers| vec![false; numbers.len()]).collect();
        self.run(inputs, Some(Noise::on_rounded(noise)));
        for (moved, (noisy, exact)) in moved
            .iter_mut()
            .flatten()
            .zip(self.values.iter().flatten().zip(values.iter().flatten()))
        {
            *moved = noisy != exact;
        }
        for (flag, (spread, exact)) in self
            .is_rounding
            .iter_mut()
            .flatten()
            .zip(spread.iter().flatten().zip(values.iter().flatten()))
        {
            *flag = *exact != 0.0 && spread * ROUNDING > MOST * exact.abs();
        }
        for (flag, (moved, exact)) in self
            .is_rounding
            .iter_mut()
            .flatten()
            .zip(moved.iter().flatten().zip(values.iter().flatten()))
        {
            *flag |= *exact == 0.0 && *moved;
        }
        self.values = values;
    }

    /// Marks the numbers of the last run, which has to be a careful one, that depend on what is not
    /// finite, nearly out of range, underflowed to zero, or nothing but rounding.
    pub(crate) fn mark_strange(&mut self) {
        self.mark(|evaluator, index, i| {
            let node = evaluator.flow.operations[index];
            let value = evaluator.values[index][i];
            let nonzero = |a: &usize| {
                evaluator.values[*a][evaluator.read(*a, &node, i)].iter().all(|x| *x != 0.0)
            };
            let vanished = value == 0.0
                && matches!(node.kind, NodeKind::Call(f) if vanishes(f))
                && node.arguments().iter().all(nonzero);
            // A constant is what it is; what is made of it may be out of range.
            let in_range = if matches!(node.kind, NodeKind::Constant(_)) {
                value.is_finite()
            } else {
                value == 0.0 || ORDINARY.contains(&value.abs())
            };
            vanished || !in_range || evaluator.is_rounding[index][i]
        });
    }

    /// Marks the numbers that depend on some of the numbers of some operations.
    pub(crate) fn mark_dependent(&mut self, on: &[(usize, Vec<bool>)]) {
        self.mark(|_, index, i| on.iter().any(|(node, flags)| *node == index && flags[i]));
    }

    /// Marks numbers by node and place, and all that depend on them.
    fn mark(&mut self, own: impl Fn(&FlowEvaluator, usize, usize) -> bool) {
        let mut marks = std::mem::take(&mut self.marks);
        for (index, node) in self.flow.operations.iter().enumerate() {
            let (before, rest) = marks.split_at_mut(index);
            for (i, mark) in rest[0].iter_mut().enumerate() {
                let inherited = node
                    .arguments()
                    .iter()
                    .any(|a| before[*a][self.read(*a, node, i)].contains(&true));
                *mark = inherited || own(self, index, i);
            }
        }
        self.marks = marks;
    }

    /// Returns the range of an argument that the i-th number of an operation reads.
    fn read(&self, argument: usize, node: &Operation, i: usize) -> Range<usize> {
        match (self.flow.operations[argument].ty, node.ty) {
            _ if matches!(node.kind, NodeKind::Call(f) if mixes(f, node.ty)) => {
                0..self.values[argument].len()
            }
            (Type::PerArray, Type::Tree) => self.array_of[i]..self.array_of[i] + 1,
            (Type::Tree, Type::PerArray) => self.arrays[i].clone(),
            (Type::Scalar, _) => 0..1,
            _ => i..i + 1,
        }
    }
}

/// Whether the function's result goes to zero only with an argument, so that zero from other
/// numbers is an underflow.
fn vanishes(function: Function) -> bool {
    use Function as F;
    matches!(
        function,
        F::Multiply
            | F::Divide
            | F::GuardedDivide
            | F::Square
            | F::Cube
            | F::Reciprocal
            | F::Power
            | F::Exp
            | F::Exp2
            | F::Exp10
    )
}

/// Whether each number of the result depends on all numbers of the first argument.
fn mixes(function: Function, ty: Type) -> bool {
    use Function as F;
    matches!(function, F::GlobalNorm | F::Dot | F::CosineSim)
        || function == F::Clip && ty != Type::Scalar
}

/// Where the arrays lie in the flat buffers.
#[derive(Clone, Copy)]
struct Places<'a> {
    arrays: &'a [Range<usize>],
    array_of: &'a [usize],
}

/// An argument of a call.
#[derive(Clone, Copy)]
struct Argument<'a> {
    ty: Type,
    values: &'a [f64],
}

impl Argument<'_> {
    /// Returns the number at a place of a value of some type.
    #[inline]
    fn at(&self, ty: Type, place: usize, places: Places<'_>) -> f64 {
        match (self.ty, ty) {
            (Type::Scalar, _) => self.values[0],
            (Type::PerArray, Type::Tree) => self.values[places.array_of[place]],
            _ => self.values[place],
        }
    }

    fn broadcast(&self, ty: Type, places: Places<'_>) -> Vec<f64> {
        let size = match ty {
            Type::Scalar => 1,
            Type::PerArray => places.arrays.len(),
            _ => places.array_of.len(),
        };
        (0..size).map(|place| self.at(ty, place, places)).collect()
    }
}

fn argument<'a>(
    flow: &OperationFlow,
    values: &'a [Vec<f64>],
    arguments: &[usize],
    position: usize,
) -> Argument<'a> {
    match arguments.get(position) {
        Some(place) => Argument { ty: flow.operations[*place].ty, values: &values[*place] },
        None => Argument { ty: Type::Scalar, values: &[0.0] },
    }
}

/// A source of factors close to 1.
pub(crate) struct Noise<'a> {
    random: &'a mut Random,
    /// How far a factor is from 1 at most.
    amplitude: f64,
    /// Whether results that were not rounded stay as they are.
    only_rounded: bool,
}

impl<'a> Noise<'a> {
    /// Noise of the usual size.
    pub(crate) fn new(random: &'a mut Random) -> Noise<'a> {
        Noise { random, amplitude: NOISE, only_rounded: false }
    }

    /// Noise of another size.
    pub(crate) fn of(amplitude: f64, random: &'a mut Random) -> Noise<'a> {
        Noise { random, amplitude, only_rounded: false }
    }

    /// Noise of the usual size on the results that were rounded.
    pub(crate) fn on_rounded(random: &'a mut Random) -> Noise<'a> {
        Noise { random, amplitude: NOISE, only_rounded: true }
    }

    /// A factor close to 1, never so close that it does nothing.
    pub(crate) fn factor(&mut self) -> f64 {
        1.0 + self.amplitude * self.random.sign() * (0.5 + 0.5 * self.random.unit())
    }
}

fn disturb(values: &mut [f64], noise: &mut Option<Noise<'_>>) {
    if let Some(noise) = noise {
        values.iter_mut().for_each(|x| *x *= noise.factor());
    }
}

/// Disturbs the results of a function that works on each number by itself. `arguments` gives what a
/// result is made of.
fn disturb_results(
    function: Function,
    out: &mut [f64],
    arguments: impl Fn(usize) -> [f64; 2],
    noise: &mut Option<Noise<'_>>,
) {
    let Some(noise) = noise else { return };
    for (place, out) in out.iter_mut().enumerate() {
        if !noise.only_rounded || is_rounded(function, arguments(place), *out) {
            *out *= noise.factor();
        }
    }
}

/// Whether a result may differ from that over the reals; of functions that are no arithmetic it is
/// taken for granted.
fn is_rounded(function: Function, [x, y]: [f64; 2], result: f64) -> bool {
    use Function as F;
    match function {
        // The rounding of a sum is a number itself (Knuth 1969).
        F::Add | F::Subtract => {
            let y = if function == F::Subtract { -y } else { y };
            let of_y = result - x;
            (x - (result - of_y)) + (y - of_y) != 0.0
        }
        F::Multiply => libm::fma(x, y, -result) != 0.0,
        F::Square => libm::fma(x, x, -result) != 0.0,
        F::Divide => libm::fma(result, y, -x) != 0.0,
        F::Reciprocal => libm::fma(result, x, -1.0) != 0.0,
        F::Sqrt => libm::fma(result, result, -x) != 0.0,
        _ => true,
    }
}

fn call(
    function: Function,
    ty: Type,
    [x, y, z]: [Argument<'_>; 3],
    out: &mut [f64],
    places: Places<'_>,
    noise: &mut Option<Noise<'_>>,
) {
    use Function as F;
    let largest = if function.arity() > 1 { x.ty.max(y.ty) } else { x.ty };
    match function {
        F::Mean if x.ty == Type::Tree => {
            // The terms, as their sum may cancel.
            let mut terms = x.values.to_vec();
            disturb(&mut terms, noise);
            for (out, array) in out.iter_mut().zip(places.arrays) {
                *out = reduce::sum(&terms[array.clone()]) / array.len() as f64;
            }
        }
        F::Size if x.ty == Type::Tree => {
            out.iter_mut().zip(places.arrays).for_each(|(out, array)| *out = array.len() as f64)
        }
        F::Norm if x.ty == Type::Tree => {
            for (out, products) in out.iter_mut().zip(products(x, x, places, &mut None)) {
                *out = libm::sqrt(products);
            }
        }
        F::GlobalNorm if largest > Type::Scalar => out[0] = global_norm(x, places),
        F::Dot if largest > Type::Scalar => {
            out[0] = reduce::combine(&products(x, y, places, noise))
        }
        F::CosineSim if largest > Type::Scalar => {
            let (x, y) = (x.broadcast(largest, places), y.broadcast(largest, places));
            let (x, y) =
                (Argument { ty: largest, values: &x }, Argument { ty: largest, values: &y });
            let dot = |x, y, noise: &mut Option<Noise<'_>>| {
                reduce::combine(&products(x, y, places, noise))
            };
            out[0] = semantics::cosine_similarity(
                dot(x, y, noise),
                dot(x, x, &mut None),
                dot(y, y, &mut None),
            );
        }
        F::Clip if x.ty > Type::Scalar => {
            let mut norm = [global_norm(x, places)];
            disturb(&mut norm, noise);
            let factor = semantics::clip_factor(norm[0], y.values[0]);
            for (place, out) in out.iter_mut().enumerate() {
                *out = x.at(ty, place, places) * factor;
            }
            if factor == 1.0 {
                // A product with 1 is exact.
                return;
            }
        }
        F::Interp => {
            let mut rest = [1.0 - z.values[0]];
            disturb_results(F::Subtract, &mut rest, |_| [1.0, z.values[0]], noise);
            for (place, out) in out.iter_mut().enumerate() {
                let factors =
                    [[rest[0], x.at(ty, place, places)], [z.values[0], y.at(ty, place, places)]];
                let mut terms = factors.map(|[x, y]| x * y);
                disturb_results(F::Multiply, &mut terms, |term| factors[term], noise);
                let mut sum = [terms[0] + terms[1]];
                disturb_results(F::Add, &mut sum, |_| terms, noise);
                *out = sum[0];
            }
            return;
        }
        _ => match function.arity() {
            1 => out
                .iter_mut()
                .zip(x.values)
                .for_each(|(out, x)| *out = function.on_scalars([*x, 0.0, 0.0])),
            2 => {
                for (place, out) in out.iter_mut().enumerate() {
                    *out = function.on_scalars([
                        x.at(ty, place, places),
                        y.at(ty, place, places),
                        0.0,
                    ]);
                }
            }
            _ => {
                for (place, out) in out.iter_mut().enumerate() {
                    *out = function
                        .on_scalars([x, y, z].map(|argument| argument.at(ty, place, places)));
                }
            }
        },
    }
    // These round nothing.
    let chooses = matches!(
        function,
        F::Abs | F::Sign | F::Negative | F::Copy | F::Maximum | F::Minimum | F::Where | F::Size
    );
    let compares =
        matches!(function, F::Less | F::LessEqual | F::Greater | F::GreaterEqual | F::Equal);
    if function.arity() > 0 && !chooses && !compares {
        let works_alone = largest <= ty
            && !matches!(
                function,
                F::Clip | F::Mean | F::Norm | F::GlobalNorm | F::Dot | F::CosineSim
            );
        match works_alone {
            true => disturb_results(
                function,
                out,
                |place| [x, y].map(|argument| argument.at(ty, place, places)),
                noise,
            ),
            false => disturb(out, noise),
        }
    }
}

fn global_norm(x: Argument<'_>, places: Places<'_>) -> f64 {
    libm::sqrt(reduce::combine(&products(x, x, places, &mut None)))
}

/// For each array the sum of the products, as the reference interpreter has it: for values that are
/// no trees, the products themselves. With noise on the products, as their sum may cancel.
fn products(
    x: Argument<'_>,
    y: Argument<'_>,
    places: Places<'_>,
    noise: &mut Option<Noise<'_>>,
) -> Vec<f64> {
    let largest = x.ty.max(y.ty);
    let (mut x, y) = (x.broadcast(largest, places), y.broadcast(largest, places));
    disturb(&mut x, noise);
    match largest {
        Type::Tree => places
            .arrays
            .iter()
            .map(|array| reduce::sum_of_products(&x[array.clone()], &y[array.clone()]))
            .collect(),
        _ => x.iter().zip(&y).map(|(x, y)| x * y).collect(),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{ArrayD, IxDyn};
    use symopt_dsl::{Graph, Program, parse};

    use super::*;
    use symopt_evaluator::Reference;

    fn flows(program: &Program) -> [OperationFlow; 2] {
        let graph = Graph::new(program).expect("it types");
        [OperationFlow::of_statements(program, &graph), OperationFlow::of_graph(&graph)]
    }

    fn evaluator(text: &str, lengths: &[usize]) -> FlowEvaluator {
        let [statements, _] = flows(&parse(text).expect("a program"));
        FlowEvaluator::new(statements, lengths)
    }

    fn run<'a>(
        evaluator: &'a mut FlowEvaluator,
        gradients: &[f64],
        noise: Option<Noise<'_>>,
    ) -> &'a [f64] {
        let weights = vec![1.0; gradients.len()];
        let inputs = Inputs {
            weights: &weights,
            gradients,
            slots: &[],
            lr: 0.5,
            t: 1.0,
            hyperparameters: &[],
        };
        evaluator.run(inputs, noise);
        evaluator.update()
    }

    /// Every function on trees, on values for each array, on scalars and on mixtures of them.
    #[test]
    fn without_noise_it_gives_the_bits_of_the_reference_interpreter() {
        let lengths = [5, 6, 1];
        let mut random = Random::new(3);
        for numerics in ["", "@guarded\n"] {
            for function in Function::fused().filter(|f| f.arity() > 0 && *f != Function::Copy) {
                let operands: &[&str] = &["w", "g", "n", "lr", "t", "0.7"];
                for first in operands {
                    for second in &operands[..if function.arity() > 1 { 6 } else { 1 }] {
                        let arguments = match function {
                            Function::Clip => format!("{first}, lr"),
                            Function::Interp => format!("{first}, {second}, lr"),
                            Function::Where => format!("{second}, {first}, g"),
                            _ if function.arity() == 1 => (*first).to_owned(),
                            _ => format!("{first}, {second}"),
                        };
                        let text = format!(
                            "{numerics}def f(w, g, lr, t):\n  n = norm(g) - 1.5\n  u = {}({arguments})\n  u = u + w\n  return u\n",
                            function.name()
                        );
                        let program =
                            parse(&text).unwrap_or_else(|faults| panic!("{faults}\n{text}"));
                        let shapes = lengths.map(|l| vec![l]);
                        let mut reference =
                            Reference::<f64>::new(&program, &shapes).expect("it types");
                        let [w, g]: [Vec<f64>; 2] =
                            std::array::from_fn(|_| (0..12).map(|_| random.bell()).collect());
                        let split = |flat: &[f64]| {
                            let mut rest = flat;
                            lengths.map(|l| {
                                let (head, tail) = rest.split_at(l);
                                rest = tail;
                                ArrayD::from_shape_vec(IxDyn(&[l]), head.to_vec()).expect("it fits")
                            })
                        };
                        let expected =
                            reference.update(&split(&w), &split(&g), 0.3).expect("it fits");
                        let inputs = Inputs {
                            weights: &w,
                            gradients: &g,
                            slots: &[],
                            lr: 0.3,
                            t: 1.0,
                            hyperparameters: &[],
                        };
                        for flow in flows(&program) {
                            let mut evaluator = FlowEvaluator::new(flow, &lengths);
                            evaluator.run(inputs, None);
                            for (found, expected) in
                                evaluator.update().iter().zip(expected.iter().flatten())
                            {
                                let same = found.to_bits() == expected.to_bits()
                                    || (found.is_nan() && expected.is_nan());
                                assert!(same, "{found:e} and {expected:e}\n{text}");
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn noise_shows_how_well_an_output_is_conditioned() {
        let spread = |text: &str| {
            let mut evaluator = evaluator(text, &[1]);
            let plain = run(&mut evaluator, &[0.75], None)[0];
            let mut random = Random::new(1);
            (0..5)
                .map(|_| {
                    (run(&mut evaluator, &[0.75], Some(Noise::new(&mut random)))[0] - plain).abs()
                })
                .fold(0.0, f64::max)
        };
        let good = spread("def f(w, g):\n  u = g * 3.0\n  return u\n");
        assert!((0.5e-10..4e-10).contains(&good), "{good:e}");
        let cancelled = spread("def f(w, g):\n  u = g + 1e6\n  u = u - 1e6\n  return u\n");
        assert!((0.5e-4..2e-4).contains(&cancelled), "{cancelled:e}");
        let blend =
            spread("def f(w, g):\n  u = interp(g, 3e6, 1e-6)\n  u = u - 3.75\n  return u\n");
        assert!((1e-11..1e-9).contains(&blend), "{blend:e}");
        assert_eq!(
            spread("def f(w, g):\n  u = abs(g)\n  u = max(u, w)\n  u = sign(u)\n  return u\n"),
            0.0
        );
        // 0.1 + 0.2 has been rounded, and -0.3 takes everything else away; a number of the text is
        // what it is.
        assert!(
            spread(
                "def f(w, g):\n  a = 0.1 + 0.2\n  u = g * 0.0\n  u = u + a\n  u = u - 0.3\n  return u\n"
            ) > 1e-12
        );
    }

    #[test]
    fn a_zero_that_only_rounding_has_left_says_nothing() {
        let marked = |body: &str, gradient: f64| {
            let mut evaluator = evaluator(&format!("def f(w, g):\n{body}  return u\n"), &[1]);
            let inputs = Inputs {
                weights: &[1.0],
                gradients: &[gradient],
                slots: &[],
                lr: 0.5,
                t: 1.0,
                hyperparameters: &[],
            };
            evaluator.run_carefully(inputs, &mut Random::new(1));
            evaluator.mark_strange();
            (evaluator.update()[0], evaluator.update_marks()[0])
        };
        let swamped = "  a = w - g\n  a = a + g\n  u = arcsinh(a)\n  u = sin(u)\n";
        assert_eq!(marked(swamped, 1e26), (0.0, true));
        assert!(!marked(swamped, 0.25).1);
        assert_eq!(marked("  a = w - g\n  u = a + g\n  u = u - w\n", 0.25), (0.0, false));
        assert_eq!(marked("  a = g * 0.1\n  u = a - a\n", 3.0), (0.0, false));
        assert_eq!(marked("  a = g * 0.1\n  u = max(a, 0)\n", -3.0), (0.0, false));
        assert_eq!(marked("  a = w / g\n  u = a - w\n", 1.0), (0.0, false));
        assert_eq!(marked("  a = interp(g, w, 0.5)\n  u = a - w\n", 1.0), (0.0, false));
    }

    #[test]
    fn numbers_that_depend_on_an_overflow_or_an_underflow_are_marked() {
        let marked = |body: &str| {
            let mut evaluator = evaluator(&format!("def f(w, g):\n{body}  return u\n"), &[2, 1]);
            run(&mut evaluator, &[400.0, 0.0, -2.0], None);
            evaluator.mark_strange();
            evaluator.update_marks().to_vec()
        };
        assert_eq!(marked("  u = exp(g)\n"), [true, false, false]);
        assert_eq!(marked("  u = exp(g)\n  u = 1.0 / u\n  u = u + w\n"), [true, false, false]);
        assert_eq!(marked("  u = log(g)\n  u = sign(u)\n"), [false, true, true]);
        assert_eq!(marked("  u = g * 1e-200\n  u = u * u\n"), [true, false, true]);
        assert_eq!(marked("  u = g * g\n  u = u * 0.0\n"), [false; 3]);
        assert_eq!(marked("  u = exp(g)\n  n = norm(u)\n  u = w * n\n"), [true, true, false]);
        assert_eq!(marked("  u = exp(g)\n  n = global_norm(u)\n  u = w * n\n"), [true; 3]);
        assert_eq!(marked("  u = exp(g)\n  u = clip(u, 1.0)\n"), [true; 3]);
    }
}
