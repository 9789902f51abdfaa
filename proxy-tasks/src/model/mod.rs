//! Models with hand-written gradients: parameters in one flat buffer, no allocation in a step.
//!
//! | model | file | input |
//! |---|---|---|
//! | [`Linear`]: softmax regression | `linear.rs` | vectors |
//! | [`Mlp`]: layers with tanh, ReLU or GELU between them | `mlp.rs` | vectors |
//! | [`Transformer`]: pre-norm blocks, as language model or image classifier | `transformer.rs` | tokens or images |
//!
//! Inside, arrays are [features, samples]: the samples of a batch lie side by side, so that
//! softmax, layer normalisation and attention fill the vectors of the machine whatever the width of
//! a small model. Results do not depend on threads: a model runs on the thread that calls it.
//! Everything is generic over `f32` and `f64`; the tests check each gradient in `f64` against
//! central differences.

mod activation;
mod attention;
mod cross_entropy;
mod linear;
mod mlp;
mod normalization;
mod product;
mod reduction;
mod scalar;
mod transformer;
mod workspace;

pub use activation::Activation;
pub use linear::Linear;
pub use mlp::Mlp;
pub(crate) use product::transpose;
pub use scalar::Scalar;
pub use transformer::{Image, Pooling, Transformer, TransformerSizes};
pub use workspace::Workspace;

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use std::ops::Range;

/// The inputs of a batch.
#[derive(Clone, Copy, Debug)]
pub enum Inputs<'a, T> {
    /// Vectors of features, or images channel by channel and row by row, in two layouts of the same
    /// numbers.
    Vectors {
        /// [batch, features].
        rows: &'a [T],
        /// [features, batch].
        columns: &'a [T],
    },
    /// Token ids, [positions, batch].
    Tokens(&'a [u16]),
}

/// A batch: inputs with their labels.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a, T> {
    /// Vectors or sequences.
    pub size: usize,
    /// The inputs.
    pub inputs: Inputs<'a, T>,
    /// The right class of each vector, or the right next token at each place of [positions, batch].
    pub labels: &'a [u16],
}

/// A model's evaluation of a batch, without learning from it. Sums, so that batches can be added.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// The sum of the cross-entropies, in nats.
    pub total_loss: f64,
    /// Labels that had the largest logit alone.
    pub hits: usize,
    /// Labels.
    pub count: usize,
}

impl Evaluation {
    /// Mean cross-entropy in nats.
    pub fn loss(&self) -> f64 {
        self.total_loss / self.count as f64
    }

    /// Share of the labels that were right, 0 to 1.
    pub fn accuracy(&self) -> f64 {
        self.hits as f64 / self.count as f64
    }
}

impl std::ops::AddAssign for Evaluation {
    fn add_assign(&mut self, other: Evaluation) {
        self.total_loss += other.total_loss;
        self.hits += other.hits;
        self.count += other.count;
    }
}

/// How a parameter array begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Start {
    /// All the same number.
    Constant(f64),
    /// Independent normal numbers of mean 0 and this standard deviation.
    Normal(f64),
}

/// One named array in the flat parameter buffer.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterArray {
    /// Such as `layer.0.weight`.
    pub name: String,
    /// Sizes, slowest first; weights are [outputs, inputs].
    pub shape: Vec<usize>,
    /// Its place in the buffer.
    pub range: Range<usize>,
    /// How it begins.
    pub start: Start,
}

/// The parameter arrays of a model, in the order of the buffer and without gaps.
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    arrays: Vec<ParameterArray>,
}

impl Parameters {
    /// Appends an array and returns its place.
    fn add(&mut self, name: impl Into<String>, shape: &[usize], start: Start) -> Range<usize> {
        let from = self.len();
        // A length that saturates is above all that `check_parameters` accepts.
        let length = shape.iter().fold(1_usize, |product, size| product.saturating_mul(*size));
        let range = from..from.saturating_add(length);
        self.arrays.push(ParameterArray {
            name: name.into(),
            shape: shape.to_vec(),
            range: range.clone(),
            start,
        });
        range
    }

    /// The arrays.
    pub fn arrays(&self) -> &[ParameterArray] {
        &self.arrays
    }

    /// Numbers in all arrays.
    pub fn len(&self) -> usize {
        self.arrays.last().map_or(0, |array| array.range.end)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A differentiable model with a softmax cross-entropy loss.
///
/// The lengths of the slices are those of [`Model::parameters`] and of a batch that the model was
/// built for, at most as large as the workspace: that is the caller's part, and the methods panic
/// where it is broken.
pub trait Model<T: Scalar>: Send + Sync {
    /// Names, shapes and places of the parameters.
    fn parameters(&self) -> &Parameters;

    /// The largest batch whose arrays stay in the fast caches. A larger one is better computed in
    /// parts, whose gradients are averaged.
    fn batch_at_a_time(&self) -> usize {
        usize::MAX
    }

    /// Numbers in the scratch memory for batches of up to `batch` vectors or sequences; of any
    /// size, as no memory may hold them.
    fn workspace_length(&self, batch: usize) -> u128;

    /// Scratch memory for batches of up to `batch` vectors or sequences.
    ///
    /// # Panics
    /// If the memory does not have it: see [`Model::workspace_length`].
    fn workspace(&self, batch: usize) -> Workspace<T> {
        Workspace::new(usize::try_from(self.workspace_length(batch)).unwrap_or(usize::MAX))
    }

    /// Mean cross-entropy in nats over the labels of the batch; overwrites `gradient` with its
    /// gradient.
    fn loss_and_gradient(
        &self,
        parameters: &[T],
        batch: &Batch<T>,
        gradient: &mut [T],
        workspace: &mut Workspace<T>,
    ) -> f64;

    /// Loss and accuracy of the batch.
    fn evaluate(
        &self,
        parameters: &[T],
        batch: &Batch<T>,
        workspace: &mut Workspace<T>,
    ) -> Evaluation;

    /// Fresh parameters, drawn from `random` in the order of the buffer.
    fn initialize(&self, random: &mut ChaCha8Rng) -> Vec<T> {
        let mut values = Vec::with_capacity(self.parameters().len());
        for array in self.parameters().arrays() {
            values.extend(array.range.clone().map(|_| match array.start {
                Start::Constant(value) => T::from_f64(value),
                Start::Normal(deviation) => {
                    let normal: f64 = StandardNormal.sample(random);
                    T::from_f64(deviation * normal)
                }
            }));
        }
        values
    }
}

/// Why a model cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A size is zero.
    #[error("{0} must be at least 1")]
    Zero(&'static str),
    /// The heads do not share the width.
    #[error(
        "a width of {width} cannot be shared by {heads} heads; make the width a multiple of the heads"
    )]
    Heads {
        /// Features of the residual stream.
        width: usize,
        /// Attention heads.
        heads: usize,
    },
    /// The patches do not tile the image.
    #[error(
        "patches of {patch} x {patch} do not tile an image of {height} x {width}; choose a patch size that divides both"
    )]
    Patches {
        /// Side of a patch in pixels.
        patch: usize,
        /// Pixels.
        height: usize,
        /// Pixels.
        width: usize,
    },
    /// More than the supported number of parameters.
    #[error("the model would have more than {} parameters; make it smaller", MAXIMUM_PARAMETERS)]
    TooLarge,
    /// More than the supported number of layers.
    #[error("the model would have more than {} layers; make it shallower", MAXIMUM_LAYERS)]
    TooDeep,
    /// Labels and tokens are 16-bit numbers.
    #[error("{0} classes are more than 65,536")]
    TooManyClasses(usize),
}

/// Parameters of the largest model that is accepted (4 GB in f32).
pub const MAXIMUM_PARAMETERS: usize = 1 << 30;

/// Layers, or blocks, of the deepest model that is accepted. Each has arrays with names of their
/// own, whose number counts whatever their sizes.
pub const MAXIMUM_LAYERS: usize = 1 << 14;

/// Refuses more layers than are supported.
fn check_depth(layers: usize) -> Result<(), ModelError> {
    if layers > MAXIMUM_LAYERS { Err(ModelError::TooDeep) } else { Ok(()) }
}

/// Refuses sizes that are zero, or of which some product could overflow.
fn check_sizes(sizes: &[(&'static str, usize)]) -> Result<(), ModelError> {
    for &(what, size) in sizes {
        if size == 0 {
            return Err(ModelError::Zero(what));
        }
        if size > 1 << 20 {
            return Err(ModelError::TooLarge);
        }
    }
    Ok(())
}

fn check_parameters(parameters: &Parameters) -> Result<(), ModelError> {
    if parameters.len() > MAXIMUM_PARAMETERS { Err(ModelError::TooLarge) } else { Ok(()) }
}

#[cfg(test)]
pub(crate) mod gradient_check;
