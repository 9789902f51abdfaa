//! The tile machine: interprets a [`Plan`] over stretches of arrays, tile by tile, with no compile step.
//!
//! The instructions of a pass are put together into as few operations on tiles as it takes ([`TileOperation`]): a product that is only added,
//! a sign of a blend, a square root of a quotient need no tile of their own; the update is subtracted as it is computed; a slot is
//! overwritten in place where nothing reads its old value any more. All of this keeps the bits. Tiles are as long as lets the arrays'
//! and the scratch tiles stay in the first-level cache together.

use symopt_dsl::Function;
use symopt_dsl::plan::{Instruction, Operation, Plan, Source};

use crate::kernel::{self, Post, TileOperand, TileOperation};
use crate::math::GUARD;
use crate::reduce::{self, BLOCK, BlockSum};
use crate::stretch::Stretch;

/// Bytes that the tiles of a pass may take together: three quarters of the smallest first-level cache that is common.
const CACHE: usize = 24 << 10;

/// The shortest tile: below it, choosing the operation costs more than a cache miss.
const SHORTEST: usize = 512;

/// A number of an operation, taken from the small values when the operation runs.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Number {
    One,
    MinusOne,
    Guard,
    Small(usize),
    /// The small value, negated.
    Minus(usize),
}

impl Number {
    fn negated(self) -> Number {
        match self {
            Number::One => Number::MinusOne,
            Number::MinusOne => Number::One,
            Number::Small(small) => Number::Minus(small),
            Number::Minus(small) => Number::Small(small),
            // The guard is only ever added to a divisor.
            Number::Guard => Number::Guard,
        }
    }

    #[inline]
    fn value(self, numbers: &[f32]) -> f32 {
        match self {
            Number::One => 1.0,
            Number::MinusOne => -1.0,
            Number::Guard => GUARD as f32,
            Number::Small(small) => numbers[small],
            Number::Minus(small) => -numbers[small],
        }
    }
}

/// What is done to a value before it is stored.
#[derive(Clone, Copy, Debug, PartialEq)]
enum After {
    Nothing,
    Function(Function),
    Scale(Number),
}

/// A [`TileOperation`] whose numbers are still to be filled in.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Unary(Function),
    Binary(Function),
    Product(After),
    Quotient(After),
    ShiftedQuotient(Number),
    /// Where y is a number, it stands for the whole second term.
    Linear {
        weights: [Number; 2],
        square: bool,
        after: After,
    },
    LinearStep {
        weights: [Number; 2],
        scale: Number,
    },
    Copy,
}

/// Where an operation reads from.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Operand {
    /// An array or the value of an instruction; a small value only before registers are assigned.
    Source(Source),
    Number(Number),
    /// What the target holds.
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
    kind: Kind,
    x: Operand,
    y: Operand,
    target: Target,
}

/// The steps of one pass.
#[derive(Clone, Debug, Default)]
struct TilePass {
    steps: Vec<Step>,
    /// The factors of the sums that the pass takes.
    sums: Vec<[Operand; 2]>,
    tile: usize,
}

/// A plan, made ready to be run tile by tile.
#[derive(Clone, Debug)]
pub struct TileMachine {
    passes: Vec<TilePass>,
    registers: usize,
}

/// The scratch tiles of one thread, and the running sums of its block.
#[derive(Clone, Debug, Default)]
pub struct Registers {
    tiles: Vec<Vec<f32>>,
    sums: Vec<BlockSum>,
}

impl TileMachine {
    /// The machine of a plan.
    pub fn new(plan: &Plan) -> TileMachine {
        let mut registers = 0;
        let passes: Vec<TilePass> = (0..plan.passes.len())
            .map(|pass| {
                let (pass, used) = Lowering::new(plan, pass).lower(plan);
                registers = registers.max(used);
                pass
            })
            .collect();
        TileMachine { passes, registers }
    }

    /// Scratch tiles for a thread that runs this machine over stretches of at most `longest` elements.
    pub fn registers(&self, longest: usize) -> Registers {
        let tile = self.passes.iter().map(|pass| pass.tile).max().unwrap_or(0).min(longest);
        let sums = self.passes.iter().map(|pass| pass.sums.len()).max().unwrap_or(0);
        Registers { tiles: vec![vec![0.0; tile]; self.registers], sums: vec![BlockSum::default(); sums] }
    }

    /// How many operations on tiles a pass takes.
    pub fn operations(&self, pass: usize) -> usize {
        self.passes[pass].steps.len()
    }

    /// Runs a pass over a stretch. The numbers are the plan's small values, rounded to f32.
    pub fn run(&self, pass: usize, stretch: &mut Stretch, numbers: &[f32], registers: &mut Registers) {
        let pass = &self.passes[pass];
        let length = stretch.weights.len();
        let mut start = 0;
        while start < length {
            let end = length.min(start + pass.tile);
            pass.compute(start..end, stretch, numbers, registers);
            pass.add_sums(start..end, stretch, registers);
            start = end;
        }
    }
}

impl TilePass {
    fn compute(&self, tile: std::ops::Range<usize>, stretch: &mut Stretch, numbers: &[f32], registers: &mut Registers) {
        let length = tile.len();
        for step in &self.steps {
            // The target is never an operand, so taking it out leaves every operand in place.
            match step.target {
                Target::Weights => {
                    let weights = std::mem::take(&mut stretch.weights);
                    step.run(&tile, stretch, numbers, registers, &mut weights[tile.clone()]);
                    stretch.weights = weights;
                }
                Target::Slot(slot) => {
                    let values = std::mem::take(&mut stretch.slots[slot]);
                    step.run(&tile, stretch, numbers, registers, &mut values[tile.clone()]);
                    stretch.slots[slot] = values;
                }
                Target::Register(register) | Target::Value(register) => {
                    let mut values = std::mem::take(&mut registers.tiles[register]);
                    step.run(&tile, stretch, numbers, registers, &mut values[..length]);
                    registers.tiles[register] = values;
                }
            }
        }
    }

    /// Adds a tile's products to the running sums, and stores the sums of the blocks that are complete.
    fn add_sums(&self, tile: std::ops::Range<usize>, stretch: &mut Stretch, registers: &mut Registers) {
        let complete = tile.end.is_multiple_of(BLOCK) || tile.end == stretch.weights.len();
        for (index, [x, y]) in self.sums.iter().enumerate() {
            let mut sum = registers.sums[index];
            let (x, y) = (tile_operand(*x, &tile, stretch, &[], registers), tile_operand(*y, &tile, stretch, &[], registers));
            // The factors of a sum are trees.
            if let (TileOperand::Tile(x), TileOperand::Tile(y)) = (x, y) {
                reduce::add_products(&mut sum, x, y);
            }
            if complete {
                stretch.sums[index][(tile.end - 1) / BLOCK] = std::mem::take(&mut sum).total();
            }
            registers.sums[index] = sum;
        }
    }
}

fn tile_operand<'a>(
    operand: Operand,
    tile: &std::ops::Range<usize>,
    stretch: &'a Stretch,
    numbers: &[f32],
    registers: &'a Registers,
) -> TileOperand<'a> {
    match operand {
        Operand::Source(Source::Weights) => TileOperand::Tile(&stretch.weights[tile.clone()]),
        Operand::Source(Source::Gradients) => TileOperand::Tile(&stretch.gradients[tile.clone()]),
        Operand::Source(Source::Slot(slot)) => TileOperand::Tile(&stretch.slots[slot][tile.clone()]),
        Operand::Register(register) | Operand::Source(Source::Value(register)) => {
            TileOperand::Tile(&registers.tiles[register][..tile.len()])
        }
        Operand::Number(number) => TileOperand::Number(number.value(numbers)),
        Operand::Source(Source::Small(small)) => TileOperand::Number(numbers[small]),
        Operand::Output => TileOperand::Output,
    }
}

impl Step {
    #[inline]
    fn run(&self, tile: &std::ops::Range<usize>, stretch: &Stretch, numbers: &[f32], registers: &Registers, out: &mut [f32]) {
        let post = |after: After| match after {
            After::Nothing => Post::None,
            After::Scale(number) => Post::Scale(number.value(numbers)),
            After::Function(function) => post_of(function).unwrap_or(Post::None),
        };
        let operation = match self.kind {
            Kind::Unary(function) => TileOperation::Unary(function),
            Kind::Binary(function) => TileOperation::Binary(function),
            Kind::Product(after) => TileOperation::Product(post(after)),
            Kind::Quotient(after) => TileOperation::Quotient(post(after)),
            Kind::ShiftedQuotient(shift) => TileOperation::ShiftedQuotient { shift: shift.value(numbers) },
            Kind::Linear { weights, square, after } => {
                TileOperation::Linear { weights: weights.map(|w| w.value(numbers)), square, post: post(after) }
            }
            Kind::LinearStep { weights, scale } => {
                TileOperation::LinearStep { weights: weights.map(|w| w.value(numbers)), scale: scale.value(numbers) }
            }
            Kind::Copy => TileOperation::Copy,
        };
        let x = tile_operand(self.x, tile, stretch, numbers, registers);
        let y = tile_operand(self.y, tile, stretch, numbers, registers);
        kernel::tile(operation, x, y, out);
    }
}

/// The function as something that is done to a value before it is stored.
fn post_of(function: Function) -> Option<Post> {
    match function {
        Function::Sign => Some(Post::Sign),
        Function::Abs => Some(Post::Abs),
        Function::Square => Some(Post::Square),
        Function::Sqrt => Some(Post::Sqrt),
        Function::GuardedSqrt => Some(Post::GuardedSqrt),
        _ => None,
    }
}

/// A pass on its way from the instructions of a plan to steps.
struct Lowering {
    /// For each instruction the step that computes its value; `None` once another step computes it along the way.
    steps: Vec<Option<Step>>,
    /// How often the value of each instruction is read.
    uses: Vec<usize>,
    pass: usize,
}

impl Lowering {
    fn new(plan: &Plan, pass: usize) -> Lowering {
        let count = plan.passes[pass].instructions.len();
        let mut uses = vec![0; count];
        for instruction in &plan.passes[pass].instructions {
            count_use(&mut uses, instruction.x);
            if is_binary(instruction.operation) {
                count_use(&mut uses, instruction.y);
            }
        }
        for reduction in &plan.passes[pass].reductions {
            count_use(&mut uses, reduction.x);
            count_use(&mut uses, reduction.y);
        }
        if plan.writes(pass) {
            count_use(&mut uses, plan.update);
            plan.slots.iter().for_each(|slot| count_use(&mut uses, *slot));
        }
        Lowering { steps: Vec::with_capacity(count), uses, pass }
    }

    fn lower(mut self, plan: &Plan) -> (TilePass, usize) {
        let pass = &plan.passes[self.pass];
        for (index, instruction) in pass.instructions.iter().enumerate() {
            let (kind, x, y) = self.fuse(*instruction);
            self.steps.push(Some(Step { kind, x, y, target: Target::Value(index) }));
        }
        let mut copies = Vec::new();
        if plan.writes(self.pass) {
            self.write(plan, &mut copies);
        }
        let steps: Vec<Step> = std::mem::take(&mut self.steps).into_iter().flatten().chain(copies).collect();
        let sums: Vec<_> = pass.reductions.iter().map(|r| [Operand::Source(r.x), Operand::Source(r.y)]).collect();
        assign_registers(steps, sums, self.uses.len(), plan.slots.len())
    }

    /// The step of a value that nothing else reads, if it is one that another step can take up.
    fn only_use(&self, operand: Source) -> Option<(usize, Step)> {
        match operand {
            Source::Value(value) if self.uses[value] == 1 => self.steps[value].map(|step| (value, step)),
            _ => None,
        }
    }

    fn fuse(&mut self, Instruction { operation, x, y }: Instruction) -> (Kind, Operand, Operand) {
        let plain = |kind| (kind, Operand::from(x), Operand::from(y));
        match operation {
            Operation::Copy => plain(Kind::Copy),
            Operation::Blend { rest, weight } => {
                self.linear([Number::Small(rest), Number::Small(weight)], [Operand::from(x), Operand::from(y)])
            }
            Operation::Function(Function::Add) => self.sum(x, y, false),
            Operation::Function(Function::Subtract) => self.sum(x, y, true),
            Operation::Function(Function::Multiply) => {
                let scaled = match (x, y) {
                    (Source::Small(small), value) | (value, Source::Small(small)) => Some((value, Number::Small(small))),
                    _ => None,
                };
                if let Some((value, number)) = scaled {
                    return self.after(value, After::Scale(number)).unwrap_or((
                        Kind::Product(After::Nothing),
                        value.into(),
                        Operand::Number(number),
                    ));
                }
                plain(Kind::Product(After::Nothing))
            }
            Operation::Function(Function::Divide) => {
                if let Some((value, Step { kind, x: divisor, y: Operand::Number(shift), .. })) = self.only_use(y)
                    && matches!(kind, Kind::Linear { weights: [Number::One, _], square: false, after: After::Nothing })
                {
                    self.steps[value] = None;
                    return (Kind::ShiftedQuotient(shift), x.into(), divisor);
                }
                plain(Kind::Quotient(After::Nothing))
            }
            Operation::Function(Function::GuardedDivide) => plain(Kind::ShiftedQuotient(Number::Guard)),
            Operation::Function(function) if function.arity() == 1 => {
                let fused = post_of(function).and_then(|_| self.after(x, After::Function(function)));
                fused.unwrap_or(plain(Kind::Unary(function)))
            }
            Operation::Function(function) => plain(Kind::Binary(function)),
        }
    }

    /// The step of `value` with something done to it before it is stored.
    fn after(&mut self, value: Source, what: After) -> Option<(Kind, Operand, Operand)> {
        let (value, mut step) = self.only_use(value)?;
        match &mut step.kind {
            Kind::Product(after @ After::Nothing)
            | Kind::Quotient(after @ After::Nothing)
            | Kind::Linear { after: after @ After::Nothing, .. } => *after = what,
            _ => return None,
        }
        self.steps[value] = None;
        Some((step.kind, step.x, step.y))
    }

    /// `x + y`, or `x - y`. Products with a number that only the sum reads become weights of it.
    fn sum(&mut self, x: Source, y: Source, subtract: bool) -> (Kind, Operand, Operand) {
        let mut term = |source: Source| {
            if let Some((value, Step { kind: Kind::Product(After::Nothing), x, y: Operand::Number(number), .. })) = self.only_use(source) {
                self.steps[value] = None;
                return (number, x);
            }
            (Number::One, source.into())
        };
        let (p, x) = term(x);
        let (q, y) = term(y);
        let q = if subtract { q.negated() } else { q };
        self.linear([p, q], [x, y])
    }

    /// `p * x + q * y`. At least one of the two is no number.
    fn linear(&mut self, [mut p, mut q]: [Number; 2], [mut x, mut y]: [Operand; 2]) -> (Kind, Operand, Operand) {
        let number = |weight: Number, operand: Operand| match operand {
            Operand::Source(Source::Small(small)) if weight == Number::MinusOne => Operand::Number(Number::Minus(small)),
            Operand::Source(Source::Small(small)) => Operand::Number(Number::Small(small)),
            other => other,
        };
        (x, y) = (number(p, x), number(q, y));
        let squared = |lowering: &Lowering, operand: Operand| match operand {
            Operand::Source(source) => lowering
                .only_use(source)
                .filter(|(_, step)| step.kind == Kind::Unary(Function::Square))
                .map(|(value, step)| (value, step.x)),
            _ => None,
        };
        if matches!(x, Operand::Number(_)) || (squared(self, x).is_none() && squared(self, y).is_some()) {
            std::mem::swap(&mut p, &mut q);
            std::mem::swap(&mut x, &mut y);
        }
        let mut square = false;
        if let Some((value, operand)) = squared(self, x) {
            self.steps[value] = None;
            (x, square) = (operand, true);
        }
        (Kind::Linear { weights: [p, q], square, after: After::Nothing }, x, y)
    }

    /// The writes of the last pass: slots in place where that is possible, the weights, and the other slots.
    fn write(&mut self, plan: &Plan, copies: &mut Vec<Step>) {
        let copy = |x: Operand, target| Step { kind: Kind::Copy, x, y: x, target };
        let mut update = plan.update;
        let mut slots = plan.slots.clone();
        // What would be overwritten before it is read gets a value of its own.
        let keep = |lowering: &mut Lowering, source: Source| {
            lowering.steps.push(Some(copy(source.into(), Target::Value(lowering.steps.len()))));
            lowering.uses.push(1);
            Source::Value(lowering.steps.len() - 1)
        };
        for (slot, source) in slots.iter_mut().enumerate() {
            if matches!(source, Source::Weights | Source::Slot(_)) && *source != Source::Slot(slot) {
                *source = keep(self, *source);
            }
        }
        if update == Source::Weights {
            update = keep(self, update);
        }

        let mut step = match self.only_use(update) {
            Some((value, Step { kind: Kind::Linear { weights, square: false, after }, x, y, .. }))
                if !matches!(after, After::Function(_)) =>
            {
                self.steps[value] = None;
                let scale = if let After::Scale(number) = after { number } else { Number::One };
                Step { kind: Kind::LinearStep { weights, scale }, x, y, target: Target::Weights }
            }
            Some((value, Step { kind: Kind::Product(After::Nothing), x, y: Operand::Number(number), .. })) => {
                self.steps[value] = None;
                subtract(x, number)
            }
            _ => subtract(update.into(), Number::One),
        };
        if !step.read_own_target() {
            // Both factors are the weights: one of them is read from a copy.
            let kept = keep(self, Source::Weights);
            step.x = kept.into();
            step.read_own_target();
        }
        self.steps.push(Some(step));

        for (slot, source) in slots.into_iter().enumerate() {
            if source != Source::Slot(slot) && !self.write_in_place(slot, source) {
                copies.push(copy(source.into(), Target::Slot(slot)));
            }
        }
        // Two slots may get one value: it is where the first of them has it.
        for copy in copies {
            if let Operand::Source(Source::Value(value)) = copy.x
                && let Some(Step { target: Target::Slot(slot), .. }) = self.steps[value]
            {
                copy.x = Operand::Source(Source::Slot(slot));
            }
        }
    }

    /// Makes the step that computes the slot's next value write it to its place, if no later step reads the slot's old value.
    fn write_in_place(&mut self, slot: usize, source: Source) -> bool {
        let Source::Value(value) = source else { return false };
        let old = Operand::Source(Source::Slot(slot));
        let reads_later = self.steps[value + 1..].iter().flatten().any(|step| step.x == old || step.y == old);
        let Some(mut step) = self.steps[value].filter(|step| step.target == Target::Value(value) && !reads_later) else { return false };
        step.target = Target::Slot(slot);
        if !step.read_own_target() {
            return false;
        }
        self.steps[value] = Some(step);
        for reader in self.steps[value + 1..].iter_mut().flatten() {
            for operand in [&mut reader.x, &mut reader.y] {
                if *operand == Operand::Source(source) {
                    *operand = old;
                }
            }
        }
        true
    }
}

/// `w - number * x`, as `-number * x + w`, which has the same bits.
fn subtract(x: Operand, number: Number) -> Step {
    let kind = Kind::Linear { weights: [number.negated(), Number::One], square: false, after: After::Nothing };
    Step { kind, x, y: Operand::Source(Source::Weights), target: Target::Weights }
}

impl Step {
    /// Makes an operand that is the target itself an [`Operand::Output`]. False if the operation can't do that.
    fn read_own_target(&mut self) -> bool {
        let Some(own) = self.target.overwritten().map(Operand::Source) else { return true };
        if self.x != own && self.y != own {
            return true;
        }
        match &mut self.kind {
            Kind::Linear { weights, square: false, .. } | Kind::LinearStep { weights, .. } if self.x == own && self.y != own => {
                if matches!(self.y, Operand::Number(_)) {
                    return false;
                }
                weights.swap(0, 1);
                (self.x, self.y) = (self.y, Operand::Output);
                true
            }
            Kind::Linear { .. } | Kind::LinearStep { .. } if self.x != own => {
                self.y = Operand::Output;
                true
            }
            _ => false,
        }
    }
}

impl From<Source> for Operand {
    fn from(source: Source) -> Operand {
        Operand::Source(source)
    }
}

fn is_binary(operation: Operation) -> bool {
    match operation {
        Operation::Function(function) => function.arity() == 2,
        Operation::Blend { .. } => true,
        Operation::Copy => false,
    }
}

fn count_use(uses: &mut [usize], source: Source) {
    if let Source::Value(value) = source {
        uses[value] += 1;
    }
}

/// Gives every value a scratch tile, for as long as something reads it.
fn assign_registers(mut steps: Vec<Step>, mut sums: Vec<[Operand; 2]>, values: usize, slots: usize) -> (TilePass, usize) {
    let mut last_read = vec![0; values];
    let mut note = |operand: Operand, at: usize| {
        if let Operand::Source(Source::Value(value)) = operand {
            last_read[value] = at;
        }
    };
    for (at, step) in steps.iter().enumerate() {
        note(step.x, at);
        note(step.y, at);
    }
    for operand in sums.iter().flatten() {
        note(*operand, steps.len());
    }
    let mut register_of = vec![0; values];
    let (mut free, mut count) = (Vec::new(), 0);
    for (at, step) in steps.iter_mut().enumerate() {
        let target = match step.target {
            Target::Value(value) => {
                register_of[value] = free.pop().unwrap_or_else(|| {
                    count += 1;
                    count - 1
                });
                Target::Register(register_of[value])
            }
            other => other,
        };
        let single = step.x == step.y;
        for operand in [&mut step.x, &mut step.y] {
            if let Operand::Source(Source::Value(value)) = *operand {
                *operand = Operand::Register(register_of[value]);
                if last_read[value] == at && !(single && free.contains(&register_of[value])) {
                    free.push(register_of[value]);
                }
            }
        }
        step.target = target;
    }
    for operand in sums.iter_mut().flatten() {
        if let Operand::Source(Source::Value(value)) = *operand {
            *operand = Operand::Register(register_of[value]);
        }
    }
    let tiles = count + slots + 2;
    let mut tile = BLOCK;
    while tile > SHORTEST && tile * tiles * size_of::<f32>() > CACHE {
        tile /= 2;
    }
    (TilePass { steps, sums, tile }, count)
}
