//! The tile machine: interprets a [`Plan`] over stretches of arrays, tile by tile, with no compile
//! step.
//!
//! The instructions of a pass are put together into as few operations on tiles as it takes
//! ([`TileOperation`]; `lowering`): a product that is only added, a sign of a blend, a square root
//! of a quotient need no tile of their own; the update is subtracted as it is computed; a slot is
//! overwritten in place where nothing reads its old value any more. All of this keeps the bits.
//! Tiles are as long as lets the arrays' and the scratch tiles stay in the first-level cache
//! together.

mod lowering;

use std::ops::Range;

use symopt_dsl::plan::{Plan, Source};

use crate::aligned::Aligned;
use crate::engine::kernel::{Averages, BlendPair, MomentStep, TileOperand, TileOperation};
use crate::engine::stretch::Stretch;
use crate::math::GUARD;
use crate::reduce::{self, BLOCK, BlockSum};

/// Bytes that the tiles of a pass may take together: three quarters of the smallest first-level
/// cache that is common.
const CACHE: usize = 24 << 10;

/// The shortest tile: below it, choosing the operation costs more than a cache miss.
const SHORTEST: usize = 512;

/// A number of an operation: its place in a table that is made when a pass runs. First come the
/// small values, then the same negated, then 1, -1 and the guard of divisors.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Number(usize);

/// The places of numbers in the table.
#[derive(Clone, Copy, Debug)]
struct Numbers {
    smalls: usize,
}

impl Numbers {
    fn one(self) -> Number {
        Number(2 * self.smalls)
    }

    fn guard(self) -> Number {
        Number(2 * self.smalls + 2)
    }

    fn count(self) -> usize {
        2 * self.smalls + 3
    }

    fn negated(self, Number(place): Number) -> Number {
        let one = 2 * self.smalls;
        Number(match place {
            place if place < self.smalls => place + self.smalls,
            place if place < one => place - self.smalls,
            // 1 and -1. The guard is only ever added to a divisor.
            place => one + usize::from(place == one),
        })
    }

    fn fill(table: &mut Vec<f32>, smalls: &[f32]) {
        table.clear();
        table.extend_from_slice(smalls);
        table.extend(smalls.iter().map(|small| -small));
        table.extend([1.0, -1.0, GUARD as f32]);
    }
}

/// Operation of a step; `N` is the type of its numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind<N> {
    /// It has one result, in the target.
    Single(TileOperation<N>),
    /// The first blend goes to the target, the second to this slot, which is also the second
    /// operand.
    BlendPair(BlendPair<N>, usize),
    /// The first average is in the target, the second in this slot.
    Averages(Averages<N>, usize),
    /// The target is the weights; the averages are in these slots.
    MomentStep(MomentStep<N>, [usize; 2]),
}

impl<N: Copy> Kind<N> {
    fn map<M>(self, number: impl Fn(N) -> M + Copy) -> Kind<M> {
        match self {
            Kind::Single(operation) => Kind::Single(operation.map(number)),
            Kind::BlendPair(BlendPair { first, post, second }, slot) => Kind::BlendPair(
                BlendPair {
                    first: first.map(number),
                    post: post.map(number),
                    second: second.map(number),
                },
                slot,
            ),
            Kind::Averages(Averages { weights, squares }, slot) => Kind::Averages(
                Averages { weights: weights.map(|weights| weights.map(number)), squares },
                slot,
            ),
            Kind::MomentStep(MomentStep { weights, divisors, shift, guarded, then }, slots) => {
                let weights = weights.map(|weights| weights.map(number));
                let (divisors, shift) = (divisors.map(|d| d.map(number)), shift.map(number));
                Kind::MomentStep(
                    MomentStep { weights, divisors, shift, guarded, then: then.map(number) },
                    slots,
                )
            }
        }
    }
}

/// An operation on its way to a step.
type Op = TileOperation<Number>;

/// Where an operation reads from.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Operand {
    /// An array or the value of an instruction; a small value only before registers are assigned.
    Source(Source),
    Number(Number),
    /// Value that the target holds.
    Output,
    Register(usize),
}

/// Where an operation writes to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Target {
    Weights,
    Slot(usize),
    /// The value of an instruction, before registers are assigned.
    Value(usize),
    Register(usize),
}

impl Target {
    /// The source that the target overwrites.
    fn overwritten(self) -> Option<Source> {
        match self {
            Target::Weights => Some(Source::Weights),
            Target::Slot(slot) => Some(Source::Slot(slot)),
            Target::Value(_) | Target::Register(_) => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Step {
    kind: Kind<Number>,
    x: Operand,
    y: Operand,
    /// The third operand of a ternary function; the first one again for the rest.
    z: Operand,
    target: Target,
}

/// A step with its numbers filled in.
#[derive(Clone, Copy, Debug)]
struct Ready {
    kind: Kind<f32>,
    x: Place,
    y: Place,
    z: Place,
    target: Target,
}

/// Where an operand is when a step runs.
#[derive(Clone, Copy, Debug)]
enum Place {
    Weights,
    Gradients,
    Slot(usize),
    Register(usize),
    Number(f32),
    Output,
}

/// The steps of one pass.
#[derive(Clone, Debug, Default)]
struct TilePass {
    steps: Vec<Step>,
    /// The factors of the sums that the pass takes, or what is summed itself.
    sums: Vec<(Operand, Option<Operand>)>,
    tile: usize,
}

/// A plan, made ready to be run tile by tile.
#[derive(Clone, Debug)]
pub struct TileMachine {
    passes: Vec<TilePass>,
    registers: usize,
    smalls: usize,
}

/// The scratch of one thread: tiles, the running sums of a block, and the numbers and steps of the
/// running pass.
#[derive(Clone, Debug, Default)]
pub struct Registers {
    tiles: Vec<Aligned<f32>>,
    sums: Vec<BlockSum>,
    numbers: Vec<f32>,
    steps: Vec<Ready>,
}

impl TileMachine {
    /// The machine of a plan.
    pub fn new(plan: &Plan) -> TileMachine {
        let mut registers = 0;
        let lower = |pass| {
            let (pass, used) = lowering::lower(plan, pass);
            registers = registers.max(used);
            pass
        };
        let passes = (0..plan.passes.len()).map(lower).collect();
        TileMachine { passes, registers, smalls: plan.smalls.len() }
    }

    /// Scratch for a thread that runs this machine over stretches of at most `longest` elements.
    pub fn registers(&self, longest: usize) -> Registers {
        let tile = self.passes.iter().map(|pass| pass.tile).max().unwrap_or(0).min(longest);
        let sums = self.passes.iter().map(|pass| pass.sums.len()).max().unwrap_or(0);
        Registers {
            tiles: (0..self.registers)
                .map(|register| Aligned::zeros_at_quarter(tile, register + 3))
                .collect(),
            sums: vec![BlockSum::default(); sums],
            numbers: Vec::with_capacity(Numbers { smalls: self.smalls }.count()),
            steps: Vec::with_capacity(
                self.passes.iter().map(|pass| pass.steps.len()).max().unwrap_or(0),
            ),
        }
    }

    /// How many operations on tiles a pass takes.
    pub fn operations(&self, pass: usize) -> usize {
        self.passes[pass].steps.len()
    }

    /// How many scratch tiles a thread needs.
    pub fn scratch_tiles(&self) -> usize {
        self.registers
    }

    /// Fills in the numbers of a pass: the plan's small values, rounded to f32. To be done before
    /// the pass is run, and again when they change.
    pub fn prepare(&self, pass: usize, numbers: &[f32], registers: &mut Registers) {
        let Registers { numbers: table, steps, .. } = registers;
        Numbers::fill(table, numbers);
        steps.clear();
        steps.extend(self.passes[pass].steps.iter().map(|step| step.ready(table)));
    }

    /// Runs a pass over a stretch. `streams` says that the arrays are too large for the cache of a
    /// core.
    pub fn run(
        &self,
        pass: usize,
        stretch: &mut Stretch,
        registers: &mut Registers,
        streams: bool,
    ) {
        let steps = std::mem::take(&mut registers.steps);
        run_tiles(&self.passes[pass], &steps, stretch, registers, streams);
        registers.steps = steps;
    }
}

fn run_tiles(
    pass: &TilePass,
    steps: &[Ready],
    stretch: &mut Stretch<'_>,
    registers: &mut Registers,
    streams: bool,
) {
    let tile = if streams { pass.tile.min(SHORTEST) } else { pass.tile };
    let length = stretch.weights.len();
    let mut start = 0;
    while start < length {
        let end = length.min(start + tile);
        for step in steps {
            step.run(start..end, stretch, registers);
        }
        pass.add_sums(start..end, stretch, registers);
        start = end;
    }
}

impl Ready {
    #[inline(always)]
    fn run(&self, tile: Range<usize>, stretch: &mut Stretch, registers: &mut Registers) {
        // The target is never an operand, so taking it out leaves every operand in place.
        let mut register = Aligned::default();
        let mut array: &mut [f32] = &mut [];
        let out = match self.target {
            Target::Register(index) | Target::Value(index) => {
                register = std::mem::take(&mut registers.tiles[index]);
                &mut register[..tile.len()]
            }
            Target::Weights => {
                array = std::mem::take(&mut stretch.weights);
                &mut array[tile.clone()]
            }
            Target::Slot(slot) => {
                array = std::mem::take(&mut stretch.slots[slot]);
                &mut array[tile.clone()]
            }
        };
        match self.kind {
            // The operands stay where they are made: moving them on at once makes the processor
            // wait for each.
            Kind::Single(ref operation) => operation.run(
                &self.x.operand(&tile, stretch, registers),
                &self.y.operand(&tile, stretch, registers),
                &self.z.operand(&tile, stretch, registers),
                out,
            ),
            Kind::BlendPair(pair, slot) => {
                let other = std::mem::take(&mut stretch.slots[slot]);
                if let TileOperand::Tile(x) = self.x.operand(&tile, stretch, registers) {
                    pair.run(x, &mut other[tile], out);
                }
                stretch.slots[slot] = other;
            }
            Kind::MomentStep(moments, slots) => {
                let [first, second] = slots.map(|slot| std::mem::take(&mut stretch.slots[slot]));
                if let TileOperand::Tile(x) = self.x.operand(&tile, stretch, registers) {
                    moments.run(x, &mut first[tile.clone()], &mut second[tile], out);
                }
                for (slot, values) in slots.into_iter().zip([first, second]) {
                    stretch.slots[slot] = values;
                }
            }
            Kind::Averages(averages, slot) => {
                let other = std::mem::take(&mut stretch.slots[slot]);
                if let TileOperand::Tile(x) = self.x.operand(&tile, stretch, registers) {
                    averages.run(x, out, &mut other[tile]);
                }
                stretch.slots[slot] = other;
            }
        }
        match self.target {
            Target::Register(index) | Target::Value(index) => registers.tiles[index] = register,
            Target::Weights => stretch.weights = array,
            Target::Slot(slot) => stretch.slots[slot] = array,
        }
    }
}

impl Place {
    #[inline(always)]
    fn operand<'a>(
        self,
        tile: &Range<usize>,
        stretch: &'a Stretch,
        registers: &'a Registers,
    ) -> TileOperand<'a> {
        match self {
            Place::Weights => TileOperand::Tile(&stretch.weights[tile.clone()]),
            Place::Gradients => TileOperand::Tile(&stretch.gradients[tile.clone()]),
            Place::Slot(slot) => TileOperand::Tile(&stretch.slots[slot][tile.clone()]),
            Place::Register(register) => {
                TileOperand::Tile(&registers.tiles[register][..tile.len()])
            }
            Place::Number(number) => TileOperand::Number(number),
            Place::Output => TileOperand::Output,
        }
    }
}

impl Operand {
    fn place(self, numbers: &[f32]) -> Place {
        match self {
            Operand::Source(Source::Weights) => Place::Weights,
            Operand::Source(Source::Gradients) => Place::Gradients,
            Operand::Source(Source::Slot(slot)) => Place::Slot(slot),
            // Lowering has made a slot of it, and passes don't read the other shapes.
            Operand::Source(Source::Kept(slot) | Source::Matrix(slot)) => Place::Slot(slot),
            Operand::Register(register) | Operand::Source(Source::Value(register)) => {
                Place::Register(register)
            }
            Operand::Number(Number(place)) | Operand::Source(Source::Small(place)) => {
                Place::Number(numbers[place])
            }
            Operand::Output => Place::Output,
        }
    }
}

impl Step {
    fn ready(&self, numbers: &[f32]) -> Ready {
        Ready {
            kind: self.kind.map(|number: Number| numbers[number.0]),
            x: self.x.place(numbers),
            y: self.y.place(numbers),
            z: self.z.place(numbers),
            target: self.target,
        }
    }
}

impl TilePass {
    /// Adds a tile's products to the running sums, and stores the sums of the blocks that are
    /// complete.
    fn add_sums(&self, tile: Range<usize>, stretch: &mut Stretch, registers: &mut Registers) {
        let complete = tile.end.is_multiple_of(BLOCK) || tile.end == stretch.weights.len();
        for (index, (x, y)) in self.sums.iter().enumerate() {
            let mut sum = registers.sums[index];
            let operand = |factor: &Operand| factor.place(&[]).operand(&tile, stretch, registers);
            // Summands, and the factors of products, are trees.
            match (operand(x), y.as_ref().map(operand)) {
                (TileOperand::Tile(x), Some(TileOperand::Tile(y))) => {
                    reduce::add_products(&mut sum, x, y)
                }
                (TileOperand::Tile(x), None) => reduce::add_numbers(&mut sum, x),
                _ => {}
            }
            if complete {
                stretch.sums[index][(tile.end - 1) / BLOCK] = std::mem::take(&mut sum).total();
            }
            registers.sums[index] = sum;
        }
    }
}
