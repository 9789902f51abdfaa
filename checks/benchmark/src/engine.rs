//! The engines of this workspace, made ready to be stepped over and over.

use ndarray::{ArrayD, IxDyn};
use symopt_dsl::Graph;
use symopt_evaluator::aligned::Aligned;
use symopt_evaluator::{
    Layout, Optimizer, OptimizerError, Options, ParameterArray, Reference, Storage,
};
use symopt_programs::ZooEntry;

use super::bandwidth::Traffic;

/// The learning rate of a benchmark as a share of the program's peak: too small to move the weights
/// far in any number of steps.
const SHARE_OF_PEAK: f64 = 1e-6;
/// With decay, so that no factor is zero.
const WEIGHT_DECAY: f64 = 0.1;

/// Weights and gradients that the engines of one cell take in turns, so that all of them work in
/// the same memory.
#[derive(Debug)]
pub struct Buffers {
    pub weights: Aligned<f32>,
    pub gradients: Aligned<f32>,
    pub lr: f64,
}

impl Buffers {
    /// Seeded buffers for a program.
    pub fn new(entry: &ZooEntry, parameters: usize) -> Buffers {
        Buffers {
            weights: noise(1, parameters),
            gradients: noise(2, parameters),
            lr: entry.program().signature().peak_learning_rate() * SHARE_OF_PEAK,
        }
    }
}

/// Numbers of size 0.25 to 1 and either sign, without a pattern: never zero, never near a denormal
/// number.
pub fn noise(seed: u32, length: usize) -> Aligned<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9);
    // At the beginning of a page, where large arrays mostly begin.
    let mut numbers = Aligned::zeros_at_quarter(length, 0);
    // All are written, so that no page of the memory is made in a measurement.
    numbers.fill_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let size = 0.25 + 0.75 * (state >> 9) as f32 / (1 << 23) as f32;
        if state & 256 == 0 { size } else { -size }
    });
    numbers
}

/// Something that can do a number of steps.
pub trait Stepper: Send {
    /// Does so many steps.
    fn steps(&mut self, buffers: &mut Buffers, count: u64) -> Result<(), OptimizerError>;
}

/// The optimizer that runs a program by the tile machine.
pub fn tile_machine(entry: &ZooEntry, layout: &Layout) -> Result<Optimizer, OptimizerError> {
    let optimizer = Optimizer::new(&entry.program(), layout)?;
    Ok(with_decay(optimizer))
}

/// The optimizer that runs a program by its compiled kernel, with slots in f32 or bf16.
pub fn compiled(entry: &ZooEntry, layout: &Layout, state: Storage) -> Optimizer {
    with_decay(entry.optimizer_with(layout, Options { state, ..Options::default() }))
}

fn with_decay(mut optimizer: Optimizer) -> Optimizer {
    // Not every program has one, and that is the only way to fail.
    let _ = optimizer.set("weight_decay", WEIGHT_DECAY);
    optimizer
}

/// Makes the plan of a program's graph and drops it.
pub fn plan(graph: &Graph, program: &symopt_dsl::Program) {
    std::hint::black_box(symopt_dsl::Plan::new(
        std::hint::black_box(graph),
        std::hint::black_box(program),
    ));
}

/// An optimizer over flat arrays.
pub struct Flat(pub Optimizer);

impl Stepper for Flat {
    fn steps(&mut self, buffers: &mut Buffers, count: u64) -> Result<(), OptimizerError> {
        (0..count)
            .try_for_each(|_| self.0.step(&mut buffers.weights, &buffers.gradients, buffers.lr))
    }
}

/// An optimizer over arrays in separate buffers, which it brings with it.
pub struct Separate {
    optimizer: Optimizer,
    names: Vec<String>,
    weights: Vec<Aligned<f32>>,
    gradients: Vec<Aligned<f32>>,
}

impl Separate {
    pub fn new(optimizer: Optimizer) -> Separate {
        let specs = optimizer.layout().arrays();
        let arrays = |first: u32| {
            (first..).zip(specs).map(|(seed, spec)| noise(seed, spec.range.len())).collect()
        };
        let names = specs.iter().map(|spec| spec.name.clone()).collect();
        Separate { names, weights: arrays(1), gradients: arrays(10_001), optimizer }
    }
}

impl Stepper for Separate {
    fn steps(&mut self, buffers: &mut Buffers, count: u64) -> Result<(), OptimizerError> {
        let arrays = self.names.iter().zip(&mut self.weights).zip(&self.gradients);
        let mut arrays: Vec<ParameterArray> = arrays
            .map(|((name, weights), gradients)| {
                ParameterArray::new(name, &mut weights[..], &gradients[..])
            })
            .collect();
        (0..count).try_for_each(|_| self.optimizer.step_arrays(&mut arrays, buffers.lr))
    }
}

/// The reference interpreter.
pub struct Oracle {
    reference: Reference<f32>,
    weights: [ArrayD<f32>; 1],
    gradients: [ArrayD<f32>; 1],
}

impl Oracle {
    pub fn new(entry: &ZooEntry, parameters: usize) -> Result<Oracle, OptimizerError> {
        let mut reference = Reference::new(&entry.program(), &[vec![parameters]])?;
        // As in `with_decay`.
        let _ = reference.set("weight_decay", WEIGHT_DECAY);
        let array = |seed| {
            let numbers = noise(seed, parameters);
            [ArrayD::from_shape_fn(IxDyn(&[parameters]), |index| numbers[index[0]])]
        };
        Ok(Oracle { reference, weights: array(1), gradients: array(2) })
    }
}

impl Stepper for Oracle {
    fn steps(&mut self, buffers: &mut Buffers, count: u64) -> Result<(), OptimizerError> {
        (0..count)
            .try_for_each(|_| self.reference.step(&mut self.weights, &self.gradients, buffers.lr))
    }
}

impl Stepper for Traffic {
    fn steps(&mut self, buffers: &mut Buffers, count: u64) -> Result<(), OptimizerError> {
        for _ in 0..count {
            self.step(&mut buffers.weights, &buffers.gradients);
        }
        Ok(())
    }
}
