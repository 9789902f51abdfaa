//! The tile machine: runs a [`Plan`] over flat f32 arrays, tile by tile, with no compile step.
//!
//! Results do not depend on the number of threads: element-wise work has no order, and sums are taken block by block ([`reduce::BLOCK`]) and
//! added in a fixed tree.

use rayon::prelude::*;
use symopt_dsl::semantics;

use crate::kernel::{self, TileOperand, TileOperation};
use crate::layout::Layout;
use crate::plan::{Operation, Pass, Plan, SmallOperation, Source};
use crate::reduce;

/// Numbers in a tile: the block of the fixed-order sums, small enough that the registers of a plan stay in the L1 or L2 cache.
pub const TILE: usize = reduce::BLOCK;

/// Parameters from which a step is worth spreading over threads.
const PARALLEL_FROM: usize = 1 << 18;

/// Tiles that a thread takes at a time.
const TILES_PER_TASK: usize = 32;

/// A plan with its state, for one layout.
#[derive(Clone, Debug)]
pub struct TileMachine {
    plan: Plan,
    /// The arrays that the machine tells apart; one for all of them where the plan does not.
    arrays: Vec<std::ops::Range<usize>>,
    length: usize,
    /// The live slots, one after another, each as long as the layout.
    slots: Vec<f32>,
    /// Values of the plan's small values; those per array have one number for each array.
    smalls: Vec<Vec<f64>>,
    /// Sums of the blocks of each reduction of the running pass.
    partials: Vec<Vec<f64>>,
    scratch: Scratch,
}

/// The scratch tiles of one thread.
#[derive(Clone, Debug, Default)]
struct Scratch {
    registers: Vec<Vec<f32>>,
}

impl Scratch {
    fn new(plan: &Plan, longest: usize) -> Scratch {
        Scratch { registers: vec![vec![0.0; longest.min(TILE)]; plan.registers] }
    }
}

/// A stretch of one array that one thread works on.
struct Stretch<'a> {
    array: usize,
    weights: &'a mut [f32],
    gradients: &'a [f32],
    slots: Vec<&'a mut [f32]>,
    /// For each reduction the sums of this stretch's blocks.
    partials: Vec<&'a mut [f64]>,
}

/// The numbers that the outside gives a step.
#[derive(Clone, Copy, Debug)]
pub struct StepInputs<'a> {
    /// `lr`.
    pub lr: f64,
    /// `t`, from 1.
    pub step: u64,
    /// The hyperparameters, in the order of the signature.
    pub hyperparameters: &'a [(String, f64)],
}

impl TileMachine {
    /// A machine with zero state.
    pub fn new(plan: Plan, layout: &Layout) -> TileMachine {
        let arrays: Vec<_> = if plan.depends_on_arrays() {
            layout.arrays().iter().map(|array| array.range.clone()).collect()
        } else {
            std::iter::once(0..layout.len()).collect()
        };
        let longest = arrays.iter().map(ExactSizeIterator::len).max().unwrap_or(0);
        let blocks: usize = arrays.iter().map(|range| range.len().div_ceil(TILE)).sum();
        let reductions = plan.passes.iter().map(|pass| pass.reductions.len()).max().unwrap_or(0);
        TileMachine {
            smalls: plan.smalls.iter().map(|small| vec![0.0; if small.per_array { arrays.len() } else { 1 }]).collect(),
            partials: vec![vec![0.0; blocks]; reductions],
            scratch: Scratch::new(&plan, longest),
            slots: vec![0.0; plan.slots.len() * layout.len()],
            length: layout.len(),
            arrays,
            plan,
        }
    }

    /// The live slots' values, each as long as the layout.
    pub fn slots(&self) -> impl Iterator<Item = &[f32]> {
        self.slots.chunks(self.length.max(1))
    }

    /// The live slots' values, to be overwritten.
    pub fn slots_mut(&mut self) -> impl Iterator<Item = &mut [f32]> {
        self.slots.chunks_mut(self.length.max(1))
    }

    /// Goes back to zero state.
    pub fn reset(&mut self) {
        self.slots.fill(0.0);
    }

    /// One step in place. Both slices must be as long as the layout.
    pub fn step(&mut self, weights: &mut [f32], gradients: &[f32], inputs: StepInputs) {
        for pass in 0..self.plan.passes.len() {
            for index in 0..self.plan.passes[pass].smalls.len() {
                let small = self.plan.passes[pass].smalls[index];
                self.compute_small(small, inputs);
            }
            self.run_pass(pass, weights, gradients);
            let mut first_block = 0;
            for (array, range) in self.arrays.iter().enumerate() {
                let blocks = first_block..first_block + range.len().div_ceil(TILE);
                first_block = blocks.end;
                for (reduction, partials) in self.plan.passes[pass].reductions.iter().zip(&self.partials) {
                    self.smalls[reduction.target][array] = reduce::combine(&partials[blocks.clone()]);
                }
            }
        }
    }

    fn compute_small(&mut self, small: usize, inputs: StepInputs) {
        let Some(operation) = self.plan.smalls[small].operation else { return };
        let mut values = std::mem::take(&mut self.smalls[small]);
        let smalls = &self.smalls;
        // A scalar stands for every array.
        let at = |small: usize, array: usize| if self.plan.smalls[small].per_array { smalls[small][array] } else { smalls[small][0] };
        let total = |small: usize| reduce::combine(&smalls[small]);
        for (array, value) in values.iter_mut().enumerate() {
            *value = match operation {
                SmallOperation::Constant(value) => value,
                SmallOperation::LearningRate => inputs.lr,
                SmallOperation::Step => inputs.step as f64,
                SmallOperation::Hyperparameter(index) => inputs.hyperparameters.get(index).map_or(0.0, |(_, value)| *value),
                SmallOperation::Function(function, operands) => {
                    let mut x = [0.0; 3];
                    for (x, operand) in x.iter_mut().zip(&operands[..function.arity()]) {
                        *x = at(*operand, array);
                    }
                    function.on_scalars(x)
                }
                SmallOperation::SquareRoot(x) => libm::sqrt(at(x, array)),
                SmallOperation::Total(x) => total(x),
                SmallOperation::Cosine([xy, xx, yy]) => semantics::cosine_similarity(at(xy, 0), at(xx, 0), at(yy, 0)),
                SmallOperation::ClipFactor(squares, limit) => semantics::clip_factor(libm::sqrt(at(squares, 0)), at(limit, 0)),
            };
        }
        self.smalls[small] = values;
    }

    fn run_pass(&mut self, index: usize, weights: &mut [f32], gradients: &[f32]) {
        let plan = &self.plan;
        let smalls = &self.smalls;
        let pass = &plan.passes[index];
        let outputs = (index + 1 == plan.passes.len()).then_some(plan);
        let parallel = self.length >= PARALLEL_FROM && rayon::current_num_threads() > 1;
        let mut stretches = Stretches {
            weights,
            gradients,
            slots: self.slots.chunks_mut(self.length.max(1)).collect(),
            partials: self.partials.iter_mut().take(pass.reductions.len()).map(Vec::as_mut_slice).collect(),
        };
        if !parallel {
            for (array, range) in self.arrays.iter().enumerate() {
                stretches.take(array, range.len()).run(pass, outputs, smalls, &mut self.scratch);
            }
            return;
        }
        let mut tasks = Vec::new();
        for (array, range) in self.arrays.iter().enumerate() {
            let mut left = range.len();
            while left > 0 {
                let length = left.min(TILE * TILES_PER_TASK);
                tasks.push(stretches.take(array, length));
                left -= length;
            }
        }
        let scratch = &self.scratch;
        tasks.into_par_iter().for_each_init(|| scratch.clone(), |scratch, mut stretch| stretch.run(pass, outputs, smalls, scratch));
    }
}

/// What is left of the arrays to be handed out in stretches.
struct Stretches<'a> {
    weights: &'a mut [f32],
    gradients: &'a [f32],
    slots: Vec<&'a mut [f32]>,
    partials: Vec<&'a mut [f64]>,
}

impl<'a> Stretches<'a> {
    fn take(&mut self, array: usize, length: usize) -> Stretch<'a> {
        fn split<'a, T>(rest: &mut &'a mut [T], length: usize) -> &'a mut [T] {
            let (first, second) = std::mem::take(rest).split_at_mut(length);
            *rest = second;
            first
        }
        let (gradients, rest) = self.gradients.split_at(length);
        self.gradients = rest;
        Stretch {
            array,
            weights: split(&mut self.weights, length),
            gradients,
            slots: self.slots.iter_mut().map(|slot| split(slot, length)).collect(),
            partials: self.partials.iter_mut().map(|partials| split(partials, length.div_ceil(TILE))).collect(),
        }
    }
}

impl Stretch<'_> {
    fn run(&mut self, pass: &Pass, outputs: Option<&Plan>, smalls: &[Vec<f64>], scratch: &mut Scratch) {
        let length = self.weights.len();
        for (block, start) in (0..length).step_by(TILE).enumerate() {
            let tile = start..length.min(start + TILE);
            for instruction in &pass.instructions {
                // The target is never an operand, so taking it out leaves every operand in place.
                let mut target = std::mem::take(&mut scratch.registers[instruction.target]);
                let x = self.operand(instruction.x, &tile, smalls, scratch);
                let y = self.operand(instruction.y, &tile, smalls, scratch);
                let operation = match instruction.operation {
                    Operation::Function(function) if function.arity() == 1 => TileOperation::Unary(function),
                    Operation::Function(function) => TileOperation::Binary(function),
                    Operation::Interp { a } => {
                        let a = smalls[a][0];
                        TileOperation::Blend { weights: [(1.0 - a) as f32, a as f32] }
                    }
                    Operation::Copy => TileOperation::Copy,
                };
                kernel::tile(operation, x, y, &mut target[..tile.len()]);
                scratch.registers[instruction.target] = target;
            }
            for (index, reduction) in pass.reductions.iter().enumerate() {
                let sum = match (self.operand(reduction.x, &tile, smalls, scratch), self.operand(reduction.y, &tile, smalls, scratch)) {
                    (TileOperand::Tile(x), TileOperand::Tile(y)) => reduce::block_dot(x, y),
                    _ => f64::NAN,
                };
                self.partials[index][block] = sum;
            }
            if let Some(plan) = outputs {
                self.write(plan, &tile, scratch);
            }
        }
    }

    fn operand<'a>(&'a self, source: Source, tile: &std::ops::Range<usize>, smalls: &[Vec<f64>], scratch: &'a Scratch) -> TileOperand<'a> {
        match source {
            Source::Weights => TileOperand::Tile(&self.weights[tile.clone()]),
            Source::Gradients => TileOperand::Tile(&self.gradients[tile.clone()]),
            Source::Slot(slot) => TileOperand::Tile(&self.slots[slot][tile.clone()]),
            Source::Register(register) => TileOperand::Tile(&scratch.registers[register][..tile.len()]),
            Source::Small(small) => {
                let values = &smalls[small];
                TileOperand::Number(values[if values.len() == 1 { 0 } else { self.array }] as f32)
            }
        }
    }

    fn write(&mut self, plan: &Plan, tile: &std::ops::Range<usize>, scratch: &Scratch) {
        let weights = &mut self.weights[tile.clone()];
        let subtract = |weights: &mut [f32], update: &[f32]| weights.iter_mut().zip(update).for_each(|(w, u)| *w -= *u);
        match plan.update {
            Source::Register(register) => subtract(weights, &scratch.registers[register][..tile.len()]),
            Source::Gradients => subtract(weights, &self.gradients[tile.clone()]),
            Source::Slot(slot) => subtract(weights, &self.slots[slot][tile.clone()]),
            Source::Weights | Source::Small(_) => weights.iter_mut().for_each(|w| *w -= *w),
        }
        for (slot, source) in self.slots.iter_mut().zip(&plan.slots) {
            if let Source::Register(register) = source {
                slot[tile.clone()].copy_from_slice(&scratch.registers[*register][..tile.len()]);
            }
        }
    }
}
