//! A program as an optimizer of burn.
//!
//! [`ProgramOptimizer`] steps a whole module, as burn's own `ModuleOptimizer` does: it knows the
//! arrays by their paths in the module, runs programs with norms over all arrays as well, and keeps
//! its state in safetensors files. [`ArrayOptimizer`] implements burn's `Optimizer`, for what takes
//! nothing else: burn's learner, parameter groups, burnpack records.
//!
//! ```
//! use burn_core::module::{Module, Param};
//! use burn_core::tensor::{Device, Tensor};
//! use burn_core as burn;
//! use burn_optim::GradientsParams;
//! use symopt_evaluator::adapters::burn::ProgramOptimizer;
//! use symopt_evaluator::adapters::MissingGradients;
//! use symopt_evaluator::{Layout, Optimizer};
//!
//! #[derive(Module, Debug)]
//! struct Layer {
//!     weight: Param<Tensor<2>>,
//!     bias: Param<Tensor<1>>,
//! }
//!
//! // Or a compiled program of the zoo: symopt_programs::lion().optimizer(&Layout::default()).
//! let lion = symopt_dsl::parse(include_str!("../../../programs/zoo/lion.opt"))?;
//! let mut lion = Optimizer::new(&lion, &Layout::default())?;
//! lion.set("weight_decay", 0.1)?;
//!
//! let device = Device::flex().autodiff();
//! let mut layer = Layer {
//!     weight: Param::from_tensor(Tensor::ones([3, 1], &device)),
//!     bias: Param::from_tensor(Tensor::zeros([1], &device)),
//! };
//! let mut optimizer = ProgramOptimizer::new(&layer, &lion, MissingGradients::Refuse)?;
//! optimizer.optimizer_mut().set_for("bias", "weight_decay", 0.0)?;
//!
//! let inputs = Tensor::<2>::ones([4, 3], &device);
//! let loss = (inputs.matmul(layer.weight.val()) + layer.bias.val().unsqueeze()).mean();
//! let gradients = GradientsParams::from_grads(loss.backward(), &layer);
//! layer = optimizer.step(1e-3, layer, gradients)?;
//!
//! let state = optimizer.optimizer().save_bytes()?;
//! optimizer.optimizer_mut().load_bytes(&state)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Copies: burn lends no memory, but its CPU backend `flex` gives it away and takes it back. So
//! nothing is copied where weights and gradients are f32 or bf16, lie in row-major order and belong
//! to nobody else. A clone of the module, or of a tensor in it, that lives through a step makes
//! that step copy what they share (burn 0.22 does so twice). On other backends each step copies
//! weights and gradients to the CPU and weights back.

use std::collections::BTreeMap;
use std::fmt;

use burn_core::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn_core::tensor::{
    DType, Device, ExecutionError, GradientCheckpointingStrategy, Tensor, TensorData,
};
use burn_optim::{GradientsParams, LearningRate, RecordState, StateSink, StateSource};
use half::bf16;

use super::{AdapterError, MissingGradients};
use crate::engine::saved_state::SavedState;
use crate::error::OptimizerError;
use crate::layout::Layout;
use crate::optimizer::Optimizer;
use crate::options::ParameterArray;
use crate::storage::{SlotValues, Storage, Values, ValuesMut};

/// A program that trains the float parameters of a burn module that require gradients. They are
/// named by their paths: `layer.weight`.
#[derive(Clone, Debug)]
pub struct ProgramOptimizer {
    optimizer: Optimizer,
    missing_gradients: MissingGradients,
    /// In place of missing gradients.
    zeros: Vec<f32>,
}

impl ProgramOptimizer {
    /// The program of a prototype, whose layout does not matter, over the parameters of a module.
    pub fn new<M: Module>(
        module: &M,
        prototype: &Optimizer,
        missing_gradients: MissingGradients,
    ) -> Result<ProgramOptimizer, AdapterError> {
        let arrays = Arrays::of(module, None)?;
        if arrays.found.is_empty() {
            return Err(AdapterError::NoArrays {
                hint: "make the module on a device with autodiff, and don't freeze all of it",
            });
        }
        let layout = Layout::new(arrays.found.into_iter().map(|array| (array.name, array.shape)))
            .map_err(OptimizerError::from)?;
        Ok(ProgramOptimizer {
            optimizer: prototype.for_layout(&layout)?,
            missing_gradients,
            zeros: Vec::new(),
        })
    }

    /// The optimizer inside: hyperparameters, slots, the number of steps, saving.
    pub fn optimizer(&self) -> &Optimizer {
        &self.optimizer
    }

    /// The same, to set hyperparameters and to load a state. burn gives the learning rate to each
    /// step, so a state file does not hold it.
    pub fn optimizer_mut(&mut self) -> &mut Optimizer {
        &mut self.optimizer
    }

    /// One step: gives the module back with its parameters updated. The learning rate is the value
    /// of the schedule for a program that holds its peak learning rate as a constant. On an error
    /// the optimizer has not changed, and the error holds the module as it was.
    ///
    /// # Panics
    ///
    /// Where burn itself does: if a gradient was registered by hand that has not as many axes as
    /// its parameter.
    pub fn step<M: Module>(
        &mut self,
        learning_rate: LearningRate,
        module: M,
        gradients: GradientsParams,
    ) -> Result<M, StepError<M>> {
        let arrays = Arrays::of(&module, Some((&gradients, self.missing_gradients)));
        if let Err(error) = arrays.and_then(|arrays| self.check(&arrays.found)) {
            return Err(StepError { module: Some(Box::new(module)), error });
        }
        let mut take =
            Take { path: Vec::new(), gradients, taken: BTreeMap::new(), failed: None, lost: false };
        let module = module.map(&mut take);
        let Take { mut taken, failed, lost, .. } = take;
        let stepped = failed.map_or_else(|| self.update(&mut taken, learning_rate), Err);
        let module = module.map(&mut Put { path: Vec::new(), taken });
        match stepped {
            Ok(()) => Ok(module),
            Err(error) => Err(StepError { module: (!lost).then(|| Box::new(module)), error }),
        }
    }

    /// Whether the module still has the arrays of the layout.
    fn check(&self, found: &[Found]) -> Result<(), AdapterError> {
        let mut found = found.iter();
        for spec in self.optimizer.layout().arrays() {
            let same = found
                .next()
                .is_some_and(|array| array.name == spec.name && array.shape == spec.shape);
            if !same {
                return Err(AdapterError::Changed {
                    reason: format!(
                        "it has no array {:?} of shape {:?} in its place",
                        spec.name, spec.shape
                    ),
                });
            }
        }
        match found.next() {
            Some(array) => Err(AdapterError::Changed {
                reason: format!("it has another array {:?} to train", array.name),
            }),
            None => Ok(()),
        }
    }

    fn update(
        &mut self,
        taken: &mut BTreeMap<String, Taken>,
        learning_rate: f64,
    ) -> Result<(), AdapterError> {
        let longest = taken
            .values()
            .filter(|taken| taken.gradient.is_none())
            .map(|taken| taken.weights.num_elements())
            .max();
        self.zeros.resize(longest.unwrap_or(0).max(self.zeros.len()), 0.0);
        let mut by_name: BTreeMap<&str, ParameterArray> = BTreeMap::new();
        for (name, Taken { weights, gradient, .. }) in taken {
            let gradients = match gradient {
                Some(gradient) => {
                    values(gradient).map_err(|error| unsupported("the gradient", name, error))?
                }
                None => Values::F32(&self.zeros[..weights.num_elements()]),
            };
            let weights =
                values_mut(weights).map_err(|error| unsupported("the weights", name, error))?;
            by_name.insert(name, ParameterArray { name, weights, gradients });
        }
        let specs = self.optimizer.layout().arrays();
        let mut arrays: Vec<_> =
            specs.iter().filter_map(|spec| by_name.remove(spec.name.as_str())).collect();
        Ok(self.optimizer.step_arrays(&mut arrays, learning_rate)?)
    }
}

/// Why a step was not done.
#[derive(thiserror::Error)]
#[error("{error}")]
pub struct StepError<M> {
    /// The module as it was before; none if its device failed while it gave the weights away.
    pub module: Option<Box<M>>,
    /// The error.
    pub error: AdapterError,
}

/// Without the module, whose tensors burn would print number by number.
impl<M> fmt::Debug for StepError<M> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<M> From<StepError<M>> for AdapterError {
    fn from(error: StepError<M>) -> AdapterError {
        error.error
    }
}

fn unsupported(what: &'static str, name: &str, reason: impl ToString) -> AdapterError {
    AdapterError::Unsupported { what, name: name.to_owned(), reason: reason.to_string() }
}

const TYPE: &str = "its numbers are neither f32 nor bf16; cast the module";

fn values(data: &TensorData) -> Result<Values<'_>, String> {
    match data.dtype() {
        DType::F32 => data.as_slice::<f32>().map(Values::F32).map_err(|error| error.to_string()),
        DType::BF16 => data.as_slice::<bf16>().map(Values::Bf16).map_err(|error| error.to_string()),
        _ => Err(TYPE.to_owned()),
    }
}

fn values_mut(data: &mut TensorData) -> Result<ValuesMut<'_>, String> {
    match data.dtype() {
        DType::F32 => {
            data.as_mut_slice::<f32>().map(ValuesMut::F32).map_err(|error| error.to_string())
        }
        DType::BF16 => {
            data.as_mut_slice::<bf16>().map(ValuesMut::Bf16).map_err(|error| error.to_string())
        }
        _ => Err(TYPE.to_owned()),
    }
}

/// A parameter to train.
struct Found {
    name: String,
    shape: Vec<usize>,
}

/// Finds the parameters to train, and looks whether all is there for a step.
struct Arrays<'a> {
    path: Vec<String>,
    /// For a step: its gradients, and what to do about missing ones.
    gradients: Option<(&'a GradientsParams, MissingGradients)>,
    found: Vec<Found>,
    /// Names by the ids of parameters.
    ids: BTreeMap<u64, String>,
    failed: Option<AdapterError>,
}

impl<'a> Arrays<'a> {
    fn of<M: Module>(
        module: &M,
        gradients: Option<(&'a GradientsParams, MissingGradients)>,
    ) -> Result<Arrays<'a>, AdapterError> {
        let mut arrays = Arrays {
            path: Vec::new(),
            gradients,
            found: Vec::new(),
            ids: BTreeMap::new(),
            failed: None,
        };
        module.visit(&mut arrays);
        match arrays.failed.take() {
            Some(error) => Err(error),
            None => Ok(arrays),
        }
    }

    fn look<const D: usize>(
        &mut self,
        name: &str,
        param: &Param<Tensor<D>>,
    ) -> Result<(), AdapterError> {
        let shape = param.dims().to_vec();
        if let Some(first) = self.ids.insert(param.id.val(), name.to_owned()) {
            return Err(AdapterError::Shared { first, second: name.to_owned() });
        }
        if !matches!(param.dtype(), DType::F32 | DType::BF16) {
            return Err(unsupported("the weights", name, TYPE));
        }
        let Some((gradients, missing)) = self.gradients else { return Ok(()) };
        match gradients.get::<D>(param.id) {
            None if missing == MissingGradients::Zeros => Ok(()),
            None => Err(AdapterError::NoGradient { name: name.to_owned() }),
            Some(gradient) if gradient.dims().to_vec() != shape => Err(unsupported(
                "the gradient",
                name,
                format!("its shape is {:?}, not {shape:?}", gradient.dims()),
            )),
            Some(gradient) if !matches!(gradient.dtype(), DType::F32 | DType::BF16) => {
                Err(unsupported("the gradient", name, TYPE))
            }
            Some(_) => Ok(()),
        }
    }
}

impl ModuleVisitor for Arrays<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.failed.is_some() || !param.is_require_grad() {
            return;
        }
        let name = self.path.join(".");
        match self.look(&name, param) {
            Ok(()) => self.found.push(Found { name, shape: param.dims().to_vec() }),
            Err(error) => self.failed = Some(error),
        }
    }
}

/// A parameter out of its module.
struct Taken {
    weights: TensorData,
    gradient: Option<TensorData>,
    device: Device,
    checkpointing: Option<GradientCheckpointingStrategy>,
    distributed: bool,
}

/// Takes the parameters to train out of a module, and leaves empty tensors in their places: only
/// what belongs to nobody else comes without a copy.
struct Take {
    path: Vec<String>,
    gradients: GradientsParams,
    taken: BTreeMap<String, Taken>,
    /// Why not all could be taken.
    failed: Option<AdapterError>,
    /// Whether some of them are nowhere any more.
    lost: bool,
}

impl Take {
    fn fail(&mut self, name: &str, error: ExecutionError) {
        self.failed = Some(AdapterError::Framework { reason: format!("{name}: {error}") });
    }
}

impl ModuleMapper for Take {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.failed.is_some() || !param.is_require_grad() {
            return param;
        }
        let (id, tensor, mapper) = param.consume();
        let name = self.path.join(".");
        let gradient = match self.gradients.remove::<D>(id).map(Tensor::try_into_data).transpose() {
            Ok(gradient) => gradient,
            Err(error) => {
                self.fail(&name, error);
                return Param::from_mapped_value(id, tensor, mapper);
            }
        };
        let (device, checkpointing) = (tensor.device(), tensor.gradient_checkpointing_strategy());
        let distributed = tensor.is_distributed();
        let empty = Tensor::empty([0; D], &device);
        match tensor.inner().try_into_data() {
            Ok(weights) => {
                self.taken
                    .insert(name, Taken { weights, gradient, device, checkpointing, distributed });
            }
            Err(error) => {
                self.fail(&name, error);
                self.lost = true;
            }
        }
        Param::from_mapped_value(id, empty, mapper)
    }
}

/// Puts them back.
struct Put {
    path: Vec<String>,
    taken: BTreeMap<String, Taken>,
}

impl ModuleMapper for Put {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let taken = self.taken.remove(&self.path.join("."));
        let Some(Taken { weights, device, checkpointing, distributed, .. }) = taken else {
            return param;
        };
        let (id, _, mapper) = param.consume();
        let dtype = weights.dtype();
        let mut tensor = Tensor::from_inner(Tensor::from_data(weights, (&device.inner(), dtype)));
        if let Some(strategy) = checkpointing {
            tensor = tensor.with_gradient_checkpointing_strategy(strategy);
        }
        tensor = tensor.require_grad();
        if distributed {
            tensor = tensor.set_distributed(id);
        }
        Param::from_mapped_value(id, tensor, mapper)
    }
}

/// A program as burn's own kind of optimizer, which steps one array at a time and does not know its
/// name: `burn_optim::ModuleOptimizer::from(ArrayOptimizer::new(&lion)?)`. Arrays without a
/// gradient are skipped, as burn does. Numbers that are neither f32 nor bf16 are rounded to f32 for
/// the step: the weights of an f64 module lose what f32 does not hold. [`ProgramOptimizer`] refuses
/// them.
///
/// Records hold the slots and the number of steps, but not the hyperparameters. burn's trait has no
/// way to say that a record belongs to another program; such a record is left aside, as burn does
/// with what it can't read, and the state starts at zero. [`ProgramOptimizer`] refuses it.
#[derive(Clone, Debug)]
pub struct ArrayOptimizer {
    prototype: Optimizer,
}

impl ArrayOptimizer {
    /// The program of a prototype with its hyperparameters, but without values that hold for some
    /// arrays only. An error if the program takes a norm or a dot product over all arrays.
    pub fn new(prototype: &Optimizer) -> Result<ArrayOptimizer, AdapterError> {
        if prototype.couples_arrays() {
            return Err(AdapterError::Coupled { program: prototype.program_name().to_owned() });
        }
        Ok(ArrayOptimizer { prototype: prototype.for_layout(&Layout::flat(1))? })
    }
}

/// The state of one array.
#[derive(Clone, Debug)]
pub enum ArrayState {
    /// In use.
    Running(Box<Optimizer>),
    /// As a record has it.
    Loaded {
        /// Hash of the program.
        hash: u128,
        /// How many steps have been done.
        step: u64,
        /// The live slots, in order.
        slots: Vec<TensorData>,
    },
}

impl ArrayState {
    /// The optimizer of an array that goes on from a state; from zero if there is none, or it
    /// belongs to another program.
    fn resume(
        state: Option<ArrayState>,
        prototype: &Optimizer,
        shape: Vec<usize>,
    ) -> Result<Box<Optimizer>, AdapterError> {
        let (hash, step, slots) = match state {
            Some(ArrayState::Running(optimizer)) => return Ok(optimizer),
            Some(ArrayState::Loaded { hash, step, slots }) => (hash, step, slots),
            None => (prototype.hash().0, 0, Vec::new()),
        };
        let layout = Layout::new([(ARRAY, shape)]).map_err(OptimizerError::from)?;
        let mut optimizer = prototype.for_layout(&layout)?;
        let kept: Vec<Storage> = optimizer.slots().map(|(_, values)| values.storage()).collect();
        let slots: Option<Vec<SlotValues>> =
            slots.iter().enumerate().map(|(index, data)| slot(data, index, layout.len())).collect();
        let fits = |slots: &Vec<SlotValues>| {
            slots.iter().map(|slot| slot.as_values().storage()).eq(kept.iter().copied())
        };
        if let Some(slots) = slots.filter(fits).filter(|_| hash == prototype.hash().0) {
            optimizer.restore(SavedState {
                step,
                slots,
                hyperparameters: prototype
                    .hyperparameters()
                    .iter()
                    .map(|h| (h.name.clone(), h.value))
                    .collect(),
                overrides: prototype.overrides().to_vec(),
                rounding: prototype.rounding(),
            })?;
        }
        Ok(Box::new(optimizer))
    }
}

/// Name of the only array.
const ARRAY: &str = "weights";

fn slot(data: &TensorData, index: usize, length: usize) -> Option<SlotValues> {
    let values = values(data).ok().filter(|values| values.len() == length)?;
    let mut slot = SlotValues::zeros(values.storage(), length, index);
    match (&mut slot, values) {
        (SlotValues::F32(slot), Values::F32(values)) => slot.copy_from_slice(values),
        (SlotValues::Bf16(slot), Values::Bf16(values)) => slot.copy_from_slice(values),
        _ => return None,
    }
    Some(slot)
}

/// The upper and the lower half of a hash: a record has no wider numbers.
fn halves(hash: u128) -> [u64; 2] {
    [(hash >> 64) as u64, hash as u64]
}

impl RecordState for ArrayState {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        let (hash, step, slots) = match self {
            ArrayState::Loaded { hash, step, slots } => (*hash, *step, slots.clone()),
            ArrayState::Running(optimizer) => {
                let shape = optimizer
                    .layout()
                    .arrays()
                    .first()
                    .map(|array| array.shape.clone())
                    .unwrap_or_default();
                let data = |values| match values {
                    Values::F32(values) => TensorData::new(values.to_vec(), shape.clone()),
                    Values::Bf16(values) => TensorData::new(values.to_vec(), shape.clone()),
                };
                (
                    optimizer.hash().0,
                    optimizer.steps(),
                    optimizer.slots().map(|(_, values)| data(values)).collect(),
                )
            }
        };
        let [upper, lower] = halves(hash);
        for (leaf, number) in [
            ("hash_upper", upper),
            ("hash_lower", lower),
            ("step", step),
            ("slots", slots.len() as u64),
        ] {
            out.push_scalar(prefix, leaf, number.into());
        }
        for (index, data) in slots.into_iter().enumerate() {
            out.push_tensor(prefix, &format!("slot{index}"), data);
        }
    }

    fn state_unflatten(
        prefix: &str,
        source: &mut StateSource,
        _device: &Device,
    ) -> Option<ArrayState> {
        let mut number = |leaf: &str| {
            source.take_scalar(prefix, leaf).and_then(|scalar| u64::try_from(scalar).ok())
        };
        let (upper, lower, step, slots) =
            (number("hash_upper")?, number("hash_lower")?, number("step")?, number("slots")?);
        let slots = (0..slots)
            .map(|index| source.take_tensor(prefix, &format!("slot{index}")))
            .collect::<Option<_>>()?;
        Some(ArrayState::Loaded {
            hash: (u128::from(upper) << 64) | u128::from(lower),
            step,
            slots,
        })
    }
}

impl burn_optim::Optimizer for ArrayOptimizer {
    type State<const D: usize> = ArrayState;

    /// # Panics
    ///
    /// If the device fails, as burn's own reads do, or if the array has another size than before:
    /// the trait has no errors.
    fn step<const D: usize>(
        &self,
        learning_rate: LearningRate,
        tensor: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<ArrayState>,
    ) -> (Tensor<D>, Option<ArrayState>) {
        let (device, dtype) = (tensor.device(), tensor.dtype());
        let stepped = ArrayState::resume(state, &self.prototype, tensor.dims().to_vec()).and_then(
            |mut optimizer| {
                let (mut weights, gradient) = (floats(tensor), floats(gradient));
                let gradients =
                    values(&gradient).map_err(|error| unsupported("the gradient", ARRAY, error))?;
                let array = values_mut(&mut weights)
                    .map_err(|error| unsupported("the weights", ARRAY, error))?;
                optimizer.step_arrays(
                    &mut [ParameterArray { name: ARRAY, weights: array, gradients }],
                    learning_rate,
                )?;
                Ok((weights, optimizer))
            },
        );
        match stepped {
            Ok((weights, optimizer)) => {
                (Tensor::from_data(weights, (&device, dtype)), Some(ArrayState::Running(optimizer)))
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn to_device<const D: usize>(state: ArrayState, _device: &Device) -> ArrayState {
        state
    }
}

/// The numbers of a tensor on the CPU: f32 or bf16 as they are, others as f32.
fn floats<const D: usize>(tensor: Tensor<D>) -> TensorData {
    match tensor.dtype() {
        DType::F32 | DType::BF16 => tensor.into_data(),
        _ => tensor.cast(DType::F32).into_data(),
    }
}
