//! A program as an optimizer of candle, which has SGD and AdamW but no Lion of its own.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use candle_nn::{Module, Optimizer as _, VarBuilder, VarMap};
//! use symopt_evaluator::adapters::candle::{Config, ProgramOptimizer};
//! use symopt_evaluator::{Layout, Optimizer};
//!
//! // Or a compiled program of the zoo: symopt_programs::lion().optimizer(&Layout::default()).
//! let lion = symopt_dsl::parse(include_str!("../../../programs/zoo/lion.opt"))?;
//! let mut lion = Optimizer::new(&lion, &Layout::default())?;
//! lion.set("weight_decay", 0.1)?;
//!
//! let model = VarMap::new();
//! let builder = VarBuilder::from_varmap(&model, DType::F32, &Device::Cpu);
//! let layer = candle_nn::linear(3, 1, builder.pp("layer"))?;
//! let mut optimizer = ProgramOptimizer::from_var_map(&model, Config::new(1e-3, lion))?;
//! optimizer.optimizer_mut().set_for("*.bias", "weight_decay", 0.0)?;
//!
//! let inputs = Tensor::ones((4, 3), DType::F32, &Device::Cpu)?;
//! let loss = layer.forward(&inputs)?.sqr()?.mean_all()?;
//! optimizer.backward_step(&loss)?;
//!
//! let state = optimizer.optimizer().save_bytes()?;
//! optimizer.optimizer_mut().load_bytes(&state)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Copies: none, where weights and gradients are f32 or bf16, on the CPU, and the gradients lie in
//! row-major order. A gradient that is a view in another order (that of a `transpose`, say) is
//! copied into row-major order first. Variables on other devices and of other types are refused.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, DType, InplaceOp1, Storage, Tensor, Var};
use candle_nn::VarMap;

use super::{AdapterError, MissingGradients};
use crate::layout::{ArraySpec, Layout};
use crate::optimizer::Optimizer;
use crate::options::ParameterArray;
use crate::storage::{Values, ValuesMut};

/// Settings that make an optimizer.
#[derive(Clone, Debug)]
pub struct Config {
    /// The learning rate, or the value of the schedule for a program that holds its peak learning
    /// rate as a constant.
    pub learning_rate: f64,
    /// The program with its options and hyperparameters; its layout does not matter.
    pub program: Optimizer,
    /// Treatment of variables that took no part in the loss.
    pub missing_gradients: MissingGradients,
}

impl Config {
    /// A program at a learning rate; a missing gradient is an error.
    pub fn new(learning_rate: f64, program: Optimizer) -> Config {
        Config { learning_rate, program, missing_gradients: MissingGradients::Refuse }
    }
}

/// A program that trains the variables of a candle model.
///
/// [`ProgramOptimizer::from_var_map`] knows the variables by their names. An optimizer from
/// `candle_nn::Optimizer::new` knows them by their number in the list (`0`, `1`, ...), so state
/// files and patterns need the same order in every run, which `VarMap::all_vars` does not give.
#[derive(Debug)]
pub struct ProgramOptimizer {
    vars: Vec<Var>,
    layout: Layout,
    optimizer: Optimizer,
    learning_rate: f64,
    missing_gradients: MissingGradients,
    /// In place of missing gradients.
    zeros: Vec<f32>,
}

impl ProgramOptimizer {
    /// Trains the float variables of a map, in the order of their names. Variables that the map
    /// gets later are not trained.
    pub fn from_var_map(map: &VarMap, config: Config) -> Result<ProgramOptimizer, AdapterError> {
        // A thread that panicked while it held the map has left a map all the same.
        let data = map.data().lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut named: Vec<(String, Var)> =
            data.iter().map(|(name, var)| (name.clone(), var.clone())).collect();
        named.sort_by(|(a, _), (b, _)| a.cmp(b));
        ProgramOptimizer::from_named(named, config)
    }

    /// Trains the float variables among these, in this order, under these names.
    pub fn from_named(
        named: Vec<(String, Var)>,
        config: Config,
    ) -> Result<ProgramOptimizer, AdapterError> {
        let named: Vec<_> = named.into_iter().filter(|(_, var)| var.dtype().is_float()).collect();
        let mut names = BTreeMap::new();
        for (name, var) in &named {
            if let Some(first) = names.insert(address(var), name) {
                return Err(AdapterError::Shared { first: first.clone(), second: name.clone() });
            }
            if let Some(reason) = obstacle(var) {
                return Err(unsupported("the weights", name, reason));
            }
        }
        let layout =
            Layout::new(named.iter().map(|(name, var)| (name.as_str(), var.dims().to_vec())))
                .map_err(crate::OptimizerError::from)?;
        Ok(ProgramOptimizer {
            optimizer: config.program.for_layout(&layout)?,
            vars: named.into_iter().map(|(_, var)| var).collect(),
            layout,
            learning_rate: config.learning_rate,
            missing_gradients: config.missing_gradients,
            zeros: Vec::new(),
        })
    }

    /// The optimizer inside: hyperparameters, slots, the number of steps, saving.
    pub fn optimizer(&self) -> &Optimizer {
        &self.optimizer
    }

    /// The same, to set hyperparameters and to load a state. A state file does not hold the
    /// learning rate.
    pub fn optimizer_mut(&mut self) -> &mut Optimizer {
        &mut self.optimizer
    }

    /// One step, as that of the trait but with the adapter's own errors. On an error nothing has
    /// changed.
    pub fn step_with(&mut self, gradients: &GradStore) -> Result<(), AdapterError> {
        let gradients = self.gradients(gradients)?;
        let specs = self.layout.arrays();
        let longest = specs
            .iter()
            .zip(&gradients)
            .filter(|(_, gradient)| gradient.is_none())
            .map(|(spec, _)| spec.range.len())
            .max();
        self.zeros.resize(longest.unwrap_or(0).max(self.zeros.len()), 0.0);
        let guards: Vec<_> = gradients
            .iter()
            .map(|gradient| gradient.as_ref().map(Tensor::storage_and_layout))
            .collect();
        let mut arrays = Vec::with_capacity(specs.len());
        for ((spec, var), guard) in specs.iter().zip(&self.vars).zip(&guards) {
            let gradient = match guard {
                None => Values::F32(&self.zeros[..spec.range.len()]),
                Some((storage, layout)) => match &**storage {
                    Storage::Cpu(storage) => values(storage, layout)
                        .map_err(|error| unsupported("the gradient", &spec.name, error))?,
                    _ => return Err(unsupported("the gradient", &spec.name, DEVICE)),
                },
            };
            arrays.push((spec, var, gradient));
        }
        step(&arrays, &mut self.optimizer, self.learning_rate)
    }

    /// The gradients in row-major order, none of them in the memory of a variable.
    fn gradients(&self, gradients: &GradStore) -> Result<Vec<Option<Tensor>>, AdapterError> {
        let weights: BTreeSet<usize> = self.vars.iter().map(|var| address(var)).collect();
        let ready = |(spec, var): (&ArraySpec, &Var)| match gradients.get(var) {
            None if self.missing_gradients == MissingGradients::Zeros => Ok(None),
            None => Err(AdapterError::NoGradient { name: spec.name.clone() }),
            Some(gradient) if gradient.dims() != spec.shape => {
                let reason = format!("its shape is {:?}, not {:?}", gradient.dims(), spec.shape);
                Err(unsupported("the gradient", &spec.name, reason))
            }
            Some(gradient) => {
                // A variable is locked while it is updated: its memory can't be read as a gradient
                // as well.
                let gradient = if weights.contains(&address(gradient)) {
                    gradient.copy()
                } else {
                    Ok(gradient.clone())
                };
                let gradient = gradient.and_then(|gradient| gradient.contiguous());
                Ok(Some(gradient.map_err(|error| unsupported("the gradient", &spec.name, error))?))
            }
        };
        self.layout.arrays().iter().zip(&self.vars).map(ready).collect()
    }
}

impl candle_nn::Optimizer for ProgramOptimizer {
    type Config = Config;

    fn new(vars: Vec<Var>, config: Config) -> candle_core::Result<ProgramOptimizer> {
        let named =
            vars.into_iter().enumerate().map(|(index, var)| (index.to_string(), var)).collect();
        ProgramOptimizer::from_named(named, config).map_err(candle_core::Error::wrap)
    }

    fn step(&mut self, gradients: &GradStore) -> candle_core::Result<()> {
        self.step_with(gradients).map_err(candle_core::Error::wrap)
    }

    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn set_learning_rate(&mut self, learning_rate: f64) {
        self.learning_rate = learning_rate;
    }
}

/// Where the memory of a tensor is kept: the same for all of its views.
fn address(tensor: &Tensor) -> usize {
    let (storage, _) = tensor.storage_and_layout();
    std::ptr::from_ref::<Storage>(&storage).addr()
}

fn unsupported(what: &'static str, name: &str, reason: impl ToString) -> AdapterError {
    AdapterError::Unsupported { what, name: name.to_owned(), reason: reason.to_string() }
}

const DEVICE: &str = "its numbers are not on the CPU; move the model there, or export the program to a framework that trains on this device";
const TYPE: &str = "its numbers are neither f32 nor bf16; convert the model with to_dtype";
const ORDER: &str = "its numbers are not in row-major order; make it contiguous";

fn values<'a>(
    storage: &'a CpuStorage,
    layout: &candle_core::Layout,
) -> Result<Values<'a>, &'static str> {
    let (start, end) = layout.contiguous_offsets().ok_or(ORDER)?;
    match storage {
        CpuStorage::F32(values) => Ok(Values::F32(&values[start..end])),
        CpuStorage::BF16(values) => Ok(Values::Bf16(&values[start..end])),
        _ => Err(TYPE),
    }
}

fn values_mut<'a>(
    storage: &'a mut CpuStorage,
    layout: &candle_core::Layout,
) -> Result<ValuesMut<'a>, &'static str> {
    let (start, end) = layout.contiguous_offsets().ok_or(ORDER)?;
    match storage {
        CpuStorage::F32(values) => Ok(ValuesMut::F32(&mut values[start..end])),
        CpuStorage::BF16(values) => Ok(ValuesMut::Bf16(&mut values[start..end])),
        _ => Err(TYPE),
    }
}

/// Why a variable can't be updated in place.
fn obstacle(var: &Var) -> Option<&'static str> {
    match var.dtype() {
        _ if !var.device().is_cpu() => Some(DEVICE),
        DType::F32 | DType::BF16 if var.is_contiguous() => None,
        DType::F32 | DType::BF16 => Some(ORDER),
        _ => Some(TYPE),
    }
}

/// An array with its variable and its gradient.
type Array<'a> = (&'a ArraySpec, &'a Var, Values<'a>);

/// Variables up to which the stack of any thread is deep enough, at less than a kilobyte for each.
const SHALLOW: usize = 512;

/// Stack that is set aside for each variable beyond.
const STACK_BYTES: usize = 4096;

/// One step over variables that can all be updated in place.
fn step(
    arrays: &[Array],
    optimizer: &mut Optimizer,
    learning_rate: f64,
) -> Result<(), AdapterError> {
    let mut all = || hold(arrays, Vec::with_capacity(arrays.len()), optimizer, learning_rate);
    let done = if arrays.len() <= SHALLOW {
        all()
    } else {
        let builder = thread::Builder::new().stack_size(arrays.len() * STACK_BYTES);
        let joined =
            thread::scope(|scope| builder.spawn_scoped(scope, all).map(|thread| thread.join()));
        match joined.map_err(|error| AdapterError::Framework {
            reason: format!("no thread for the step: {error}"),
        })? {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    };
    done.map_err(|error| AdapterError::Framework { reason: error.to_string() })
}

/// Takes hold of the variables' weights, one after another, and does the step when it has them all.
/// candle lends the memory of one variable for the time of one operation, so the operation on a
/// variable contains those on all that follow.
fn hold(
    arrays: &[Array],
    held: Vec<ParameterArray>,
    optimizer: &mut Optimizer,
    learning_rate: f64,
) -> candle_core::Result<()> {
    let Some((&(spec, var, gradients), rest)) = arrays.split_first() else {
        let mut held = held;
        return optimizer.step_arrays(&mut held, learning_rate).map_err(candle_core::Error::wrap);
    };
    let (held, optimizer) = (Cell::new(held), Cell::new(Some(optimizer)));
    var.inplace_op1(&Hold { name: &spec.name, gradients, rest, held, optimizer, learning_rate })
}

/// The operation on a variable.
struct Hold<'a> {
    name: &'a str,
    gradients: Values<'a>,
    rest: &'a [Array<'a>],
    held: Cell<Vec<ParameterArray<'a>>>,
    optimizer: Cell<Option<&'a mut Optimizer>>,
    learning_rate: f64,
}

impl InplaceOp1 for Hold<'_> {
    fn name(&self) -> &'static str {
        "symopt-step"
    }

    fn cpu_fwd(
        &self,
        storage: &mut CpuStorage,
        layout: &candle_core::Layout,
    ) -> candle_core::Result<()> {
        let weights = values_mut(storage, layout).map_err(candle_core::Error::msg)?;
        let mut held: Vec<ParameterArray> = self.held.take();
        held.push(ParameterArray { name: self.name, weights, gradients: self.gradients });
        match self.optimizer.take() {
            Some(optimizer) => hold(self.rest, held, optimizer, self.learning_rate),
            // candle runs an operation once.
            None => Err(candle_core::Error::msg("the operation was run twice")),
        }
    }
}
