//! The check of what simplification claims: both programs are run on the same random streams.
//!
//! | module | what it holds |
//! |---|---|
//! | `streams` | weights and gradients of several kinds, from a seed |
//! | `flow` | a program as a list of operations |
//! | `noise` | stochastic arithmetic: how well a number is conditioned, and whether it depends on an overflow |
//! | `exact` | the check of the label *exact*: bits |
//! | `forced` | the check of the labels *real* and *domain*: step by step from the same state |
//! | `tally` | what has been seen so far |

mod exact;
mod flow;
mod forced;
mod noise;
pub(crate) mod streams;
mod tally;

use ndarray::{ArrayD, IxDyn};
use symopt_dsl::graph::NodeKind;
use symopt_dsl::graph::schedule::reduces_tree;
use symopt_dsl::program::ParameterKind;
use symopt_dsl::{Function, Graph, Program, semantics};
use symopt_evaluator::math::Real;
use symopt_evaluator::{OptimizerError, Reference};

use crate::simplify::check::{Checker, Claim, Evidence, Requirement};
use crate::simplify::label::Label;
use streams::{Kind, Random, Stream, learning_rate};
use tally::Tally;

/// Checks claims on random streams. The same seed and claim give the same evidence on every
/// machine.
///
/// **Streams.** Ordinary numbers, gradients with a drifting mean, small (1e-6), large (1e4) and
/// mixed magnitudes (1e-12 to 1e12), sparse gradients (whole arrays of zeros included), positive
/// numbers, and zeros, ones and halves that meet each other; for the label *exact* also extreme
/// ones (denormals, f32's largest, infinities, NaN). Every 32 steps a stream starts again from zero
/// state with another schedule of `lr`, which begins at 0; and where both programs have the same
/// hyperparameters, these have other values than their defaults every second time. The weights are
/// random walks that know nothing of the updates.
///
/// **Exact.** Both programs run on their own from zero state, in f32 and, for a quarter of the
/// steps more, in f64. Every update and every slot must have the same bits; all NaN are one.
///
/// **Real and domain.** In f64. At each step the slots of `after` are set from those of `before` by
/// the claim; both take the step; the updates and the next slots are compared. So a claim that
/// holds at each step holds for a whole run: by induction, as both start at zero. Rounding alone
/// makes programs differ, by as much as the numbers are badly conditioned. So where two numbers
/// differ by more than 1e-9 of their size, both programs are run again with every operation's
/// result off by a random 1e-10 or less, relative, and the numbers may differ by ten times the
/// spread that this makes (some ten million times more than rounding does). That is: as if each
/// result on the way could be off by 1e-9. A condition "at least d away from zero" marks a rule
/// that neglects the guard 1e-8 of a division; there the 1e-9 becomes 10 * 1e-8 / d (1e-5 for d =
/// 0.01). A number that a comparison or a sign makes jump as far, with every result off by that
/// much, is outside the judgement. Before a deviation counts as a violation the inputs are made
/// noisy as well, so that a program is not held to a value that it has at a single point only, such
/// as `power(-2, g)` at whole gradients.
///
/// **Outside** the judgement are numbers where a condition of the claim fails (where reductions mix
/// numbers: all that depend on the value of the condition there, or the whole step if `before` does
/// not compute this value), that depend on something of `before` that is not finite, nearly out of
/// range or nothing but the rounding of a sum that cancels, that noise makes finite or not, or that
/// are so badly conditioned that more than a tenth of them could be rounding. An `after` that is
/// not finite is a violation wherever nothing of that is the case.
///
/// A claim of which fewer than 200 numbers and less than a hundredth could be compared is not
/// proven. Slots of `after` that no later step reads are not compared.
#[derive(Clone, Debug)]
pub struct RandomStreams {
    seed: u64,
    steps: usize,
}

/// Steps from zero state until a stream starts again.
const STRETCH: usize = 32;

/// Lengths and shapes of the parameter arrays of a stream.
const ARRAYS: [(usize, &[usize]); 3] = [(5, &[5]), (6, &[2, 3]), (1, &[1])];

/// Numbers of a stream at each step.
const NUMBERS: usize = 12;

impl RandomStreams {
    /// Steps of a check, over all streams, unless [`RandomStreams::with_steps`] says otherwise.
    pub const STEPS: usize = 1024;

    /// Streams from a seed.
    pub fn new(seed: u64) -> RandomStreams {
        RandomStreams { seed, steps: RandomStreams::STEPS }
    }

    /// The same streams for about so many steps over all of them, and at least one of each.
    pub fn with_steps(self, steps: usize) -> RandomStreams {
        RandomStreams { steps, ..self }
    }

    fn run(&self, claim: &Claim<'_>, tally: &mut Tally) -> Result<(), Refusal> {
        let setting = Setting::new(claim, self)?;
        match claim.label {
            Label::Exact => {
                exact::check::<f32>(&setting, "f32", setting.steps_per_stream, tally)?;
                exact::check::<f64>(&setting, "f64", setting.steps_per_stream.div_ceil(4), tally)
            }
            // Stochastic arithmetic knows numbers and sums, but no matrices.
            _ => match setting.before.matrix_function().or(setting.after.matrix_function()) {
                Some(function) => Err(Refusal(format!(
                    "programs with `{}` are compared bit for bit only",
                    function.name()
                ))),
                None => forced::check(&setting, tally),
            },
        }
    }
}

impl Default for RandomStreams {
    fn default() -> RandomStreams {
        RandomStreams::new(0)
    }
}

impl Checker for RandomStreams {
    fn check(&mut self, claim: &Claim<'_>) -> Evidence {
        if claim.label == Label::Fitness {
            return Evidence::unchecked();
        }
        let mut tally = Tally::default();
        let refusal = self.run(claim, &mut tally).err();
        tally.evidence(refusal.map(|refusal| refusal.0))
    }
}

/// Why a claim does not stand, in a sentence.
#[derive(Debug)]
struct Refusal(String);

impl From<OptimizerError> for Refusal {
    fn from(error: OptimizerError) -> Refusal {
        Refusal(format!("the programs can't be run: {error}"))
    }
}

/// A claim made ready, and the streams that it is checked on.
struct Setting<'a> {
    claim: &'a Claim<'a>,
    before: Graph,
    after: Graph,
    /// Graphs of the conditions' probes.
    probes: Vec<Graph>,
    /// For each slot after the step the slots before it, with factors.
    slots: Vec<Vec<(f64, usize)>>,
    /// Whether whole arrays are reduced to numbers somewhere, so that numbers mix.
    mixing: bool,
    /// Whether `t` matters.
    counts_steps: bool,
    /// How far a result may be off, relative.
    tolerance: f64,
    groups: Vec<Vec<Kind>>,
    steps_per_stream: usize,
    seed: u64,
}

impl<'a> Setting<'a> {
    fn new(claim: &'a Claim<'a>, streams: &RandomStreams) -> Result<Setting<'a>, Refusal> {
        let [before, after] = [graph(claim.before, "before")?, graph(claim.after, "after")?];
        let probes = claim
            .conditions
            .iter()
            .map(|c| graph(&c.probe, &c.text))
            .collect::<Result<Vec<Graph>, Refusal>>()?;
        let slot_names: Vec<&str> = slot_names(claim.before).collect();
        for condition in claim.conditions {
            if claim.before.signature().parameters != condition.probe.signature().parameters {
                return Err(Refusal(format!(
                    "the condition {} has other parameters than the program before",
                    condition.text
                )));
            }
        }
        let slots = slot_names_after(claim, &slot_names)?;
        let graphs = || [&before, &after].into_iter().chain(&probes);
        let nodes = || graphs().flat_map(|g| g.nodes().iter().map(move |node| (node, g.nodes())));
        let mixes = |function| matches!(function, Function::Rows | Function::Columns);
        let mixing = nodes().any(|(node, all)| matches!(node.kind, NodeKind::Call(f) if mixes(f) || reduces_tree(f, node, all)));
        let counts_steps = nodes().any(|(node, _)| node.kind == NodeKind::Step);
        let mut tolerance = forced::TOLERANCE;
        for condition in claim.conditions {
            if let Requirement::AwayFromZero(distance) = condition.requirement
                && distance > 0.0
            {
                // Ten times what the guard of a division makes at the edge of the condition, and
                // never so much that anything would do.
                tolerance = tolerance.max((10.0 * semantics::EPSILON / distance).min(1e-2));
            }
        }
        let mut kinds = Kind::MODERATE.to_vec();
        if claim.label == Label::Exact {
            kinds.push(Kind::Extreme);
        }
        Ok(Setting {
            claim,
            slots,
            mixing,
            counts_steps,
            tolerance,
            steps_per_stream: streams.steps.div_ceil(kinds.len()).max(1),
            // Programs that work on each number by itself can tell neither arrays nor streams
            // apart: all streams run side by side as one array.
            groups: if mixing {
                kinds.into_iter().map(|kind| vec![kind]).collect()
            } else {
                vec![kinds]
            },
            seed: streams.seed,
            before,
            after,
            probes,
        })
    }

    /// The shapes of the parameter arrays: the same for every group of streams.
    fn shapes(&self) -> Vec<Vec<usize>> {
        let streams = self.groups.first().map_or(0, Vec::len);
        if self.mixing {
            ARRAYS.iter().map(|(_, shape)| shape.to_vec()).collect()
        } else {
            vec![vec![streams * NUMBERS]]
        }
    }

    /// Whether a slot of the program after matters to any later update.
    fn slot_matters(&self, slot: usize) -> bool {
        self.after.slots().get(slot).is_some_and(Option::is_some)
    }
}

fn graph(program: &Program, which: &str) -> Result<Graph, Refusal> {
    Graph::new(program)
        .map_err(|errors| Refusal(format!("the program {which} does not type: {errors:?}")))
}

fn slot_names(program: &Program) -> impl Iterator<Item = &str> {
    program
        .signature()
        .parameters
        .iter()
        .filter(|p| matches!(p.kind, ParameterKind::Slot(_)))
        .map(|p| p.name.as_str())
}

/// For each slot of the program after the slots before that it follows from.
fn slot_names_after(claim: &Claim<'_>, before: &[&str]) -> Result<Vec<Vec<(f64, usize)>>, Refusal> {
    let place = |name: &str| before.iter().position(|known| *known == name);
    let of_slot = |after: &str| {
        let Some(map) = claim.slots.iter().find(|map| map.after == after) else {
            let same = place(after).ok_or_else(|| {
                Refusal(format!(
                    "nothing says how the slot {after} follows from the program before"
                ))
            })?;
            return Ok(vec![(1.0, same)]);
        };
        let term = |(factor, name): &(f64, String)| match place(name) {
            Some(slot) => Ok((*factor, slot)),
            None => Err(Refusal(format!(
                "the slot {after} follows from {name}, which is no slot of the program before"
            ))),
        };
        map.terms.iter().map(term).collect()
    };
    slot_names(claim.after).map(of_slot).collect()
}

/// The slots after the step, as the claim has them follow from the slots before.
fn map_slots(
    maps: &[Vec<(f64, usize)>],
    before: &[Vec<f64>],
    numbers: usize,
    after: &mut Vec<Vec<f64>>,
) {
    after.resize(maps.len(), Vec::new());
    for (terms, slot) in maps.iter().zip(after) {
        // The first term as it is: added to zero it would lose the sign of its zeros.
        let mut terms = terms.iter();
        slot.clear();
        if let Some((factor, first)) = terms.next() {
            slot.extend(before[*first].iter().map(|x| factor * x));
        }
        slot.resize(numbers, 0.0);
        for (factor, other) in terms {
            slot.iter_mut().zip(&before[*other]).for_each(|(sum, x)| *sum += factor * x);
        }
    }
}

/// The hyperparameters of both programs, by parameter of the signature, for a stretch.
struct Hyperparameters {
    before: Vec<f64>,
    after: Vec<f64>,
}

impl Hyperparameters {
    /// The defaults in even stretches. In odd ones other values, the same for both programs by
    /// name: half to all of the default, or something small where that is 0. A hyperparameter that
    /// `after` brings in stands for something of `before` that is not known here, so then all stay
    /// at their defaults.
    fn new(claim: &Claim<'_>, stretch: usize, seed: u64) -> Hyperparameters {
        let defaults = |program: &Program| {
            program
                .signature()
                .parameters
                .iter()
                .map(|p| p.default.unwrap_or(0.0))
                .collect::<Vec<f64>>()
        };
        let mut values =
            Hyperparameters { before: defaults(claim.before), after: defaults(claim.after) };
        let [before, after] = [claim.before.signature(), claim.after.signature()];
        let known = after
            .hyperparameters()
            .all(|(_, p)| before.hyperparameters().any(|(_, q)| p.name == q.name));
        if stretch.is_multiple_of(2) || !known {
            return values;
        }
        let mut random = Random::new(seed ^ (stretch as u64).wrapping_mul(0xc2b2_ae3d_27d4_eb4f));
        for (variable, parameter) in before.hyperparameters() {
            let default = values.before[variable.index()];
            let value = if default == 0.0 {
                0.01 + 0.09 * random.unit()
            } else {
                default * (0.5 + 0.5 * random.unit())
            };
            values.before[variable.index()] = value;
            for (other, _) in after.hyperparameters().filter(|(_, p)| p.name == parameter.name) {
                values.after[other.index()] = value;
            }
        }
        values
    }

    /// Sets them in an interpreter.
    fn apply<T: Real>(
        values: &[f64],
        program: &Program,
        reference: &mut Reference<T>,
    ) -> Result<(), OptimizerError> {
        program
            .signature()
            .hyperparameters()
            .try_for_each(|(variable, p)| reference.set(&p.name, values[variable.index()]))
    }
}

/// The inputs of a group of streams, step by step.
struct Feed<'a> {
    setting: &'a Setting<'a>,
    streams: Vec<Stream>,
    weights: Vec<f64>,
    gradients: Vec<f64>,
    lr: f64,
    /// From 1, counted anew in each stretch.
    step: usize,
    stretch: usize,
    left: usize,
    /// Whether this step is the first from zero state.
    fresh: bool,
}

impl<'a> Feed<'a> {
    fn new(setting: &'a Setting<'a>, kinds: &[Kind], steps: usize) -> Feed<'a> {
        let lengths = ARRAYS.map(|(length, _)| length);
        let numbers = kinds.len() * NUMBERS;
        Feed {
            setting,
            streams: kinds.iter().map(|kind| Stream::new(*kind, setting.seed, &lengths)).collect(),
            weights: vec![0.0; numbers],
            gradients: vec![0.0; numbers],
            lr: 0.0,
            step: 0,
            stretch: 0,
            left: steps,
            fresh: true,
        }
    }

    /// Goes on to the next step; false after the last one. With `again` a stretch begins there in
    /// any case.
    fn advance(&mut self, again: bool) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        self.fresh = self.step == 0;
        if again || self.step == STRETCH {
            self.stretch += 1;
            self.step = 0;
            self.fresh = true;
        }
        self.step += 1;
        self.lr = learning_rate(self.stretch, self.step, STRETCH);
        for (stream, (w, g)) in self.streams.iter_mut().zip(
            self.weights.chunks_exact_mut(NUMBERS).zip(self.gradients.chunks_exact_mut(NUMBERS)),
        ) {
            stream.next(w, g);
        }
        true
    }

    fn hyperparameters(&self) -> Hyperparameters {
        Hyperparameters::new(self.setting.claim, self.stretch, self.setting.seed)
    }

    /// The stream of a number, in words.
    fn stream_name(&self, place: usize) -> &'static str {
        self.streams.get(place / NUMBERS).map_or("", |stream| stream.kind.name())
    }
}

/// Zeros in arrays of these shapes.
fn zeros<T: Real>(shapes: &[Vec<usize>]) -> Vec<ArrayD<T>> {
    shapes.iter().map(|shape| ArrayD::from_elem(IxDyn(shape), T::from_f64(0.0))).collect()
}

/// Puts flat numbers into arrays, which are as [`zeros`] makes them.
fn scatter<T: Real>(mut flat: &[f64], arrays: &mut [ArrayD<T>]) {
    for array in arrays {
        let (head, rest) = flat.split_at(array.len().min(flat.len()));
        flat = rest;
        let places = array.as_slice_mut().unwrap_or(&mut []);
        places.iter_mut().zip(head).for_each(|(place, value)| *place = T::from_f64(*value));
    }
}

/// Takes the numbers of all slots.
fn gather_slots<T: Real>(slots: &[Vec<ArrayD<T>>], flat: &mut Vec<Vec<f64>>) {
    flat.resize(slots.len(), Vec::new());
    for (arrays, flat) in slots.iter().zip(flat) {
        gather(arrays, flat);
    }
}

/// Takes the numbers of arrays.
fn gather<T: Real>(arrays: &[ArrayD<T>], flat: &mut Vec<f64>) {
    flat.clear();
    for array in arrays {
        match array.as_slice() {
            Some(numbers) => flat.extend(numbers.iter().map(|x| x.to_f64())),
            None => flat.extend(array.iter().map(|x| x.to_f64())),
        }
    }
}
