//! A model bound to the examples of one seed: what the training loop runs.

use std::sync::Arc;

use symopt_evaluator::Layout;

use crate::data::Vectors;
use crate::digest::Digest;
use crate::memory;
use crate::model::{self, Batch, Evaluation, Inputs, Model};
use crate::rng::{Purpose, stream};
use crate::run::Metrics;
use crate::run::training::{Problem, Workspace};

/// Validation examples that are evaluated at a time, at most. Not the size of the training batch,
/// so that the metrics of the same weights have the same bits whatever the batch.
const VALIDATION_CHUNK: usize = 64;

/// Slots of the optimizer that all others are held against.
const LEAST_SLOTS: u128 = 2;

/// Bytes that a run takes beside its examples and the slots of its optimizer: weights, gradients
/// and the scratch memory of the model.
fn run_bytes(model: &dyn Model<f32>, batch: usize) -> u128 {
    let part =
        batch.min(model.batch_at_a_time()).max(VALIDATION_CHUNK.min(model.batch_at_a_time()));
    let arrays = if batch > part { 3 } else { 2 };
    4 * (arrays * model.parameters().len() as u128 + model.workspace_length(part))
}

/// Parts that all problems share: a model and its parameters before training.
pub(crate) struct Bound {
    model: Arc<dyn Model<f32>>,
    layout: Layout,
    initial: Vec<f32>,
}

impl Bound {
    /// The model with its parameters under a seed, where the memory holds a run of it with batches
    /// of so many examples.
    pub(crate) fn new(model: Arc<dyn Model<f32>>, batch: usize, seed: u64) -> Result<Self, String> {
        let parameters = 4 * model.parameters().len() as u128;
        memory::check(parameters + run_bytes(model.as_ref(), batch) + LEAST_SLOTS * parameters)
            .map_err(|shortage| shortage.to_string())?;
        let layout = Layout::new(
            model
                .parameters()
                .arrays()
                .iter()
                .map(|array| (array.name.as_str(), array.shape.clone())),
        )
        .map_err(|error| error.to_string())?;
        let initial = model.initialize(&mut stream(seed, Purpose::Initialization));
        Ok(Bound { model, layout, initial })
    }

    /// A digest of the arrays and their values before training.
    fn digest(&self) -> Digest {
        let mut digest = Digest::new();
        for array in self.layout.arrays() {
            digest.bytes(array.name.as_bytes());
            array.shape.iter().for_each(|length| digest.number(*length as u64));
        }
        digest.floats(&self.initial);
        digest
    }

    fn validation_chunk(&self) -> usize {
        VALIDATION_CHUNK.min(self.model.batch_at_a_time())
    }
}

/// Validation examples in the model's layout, made once.
struct Chunk {
    size: usize,
    rows: Vec<f32>,
    columns: Vec<f32>,
    tokens: Vec<u16>,
    labels: Vec<u16>,
}

impl Chunk {
    fn new() -> Self {
        Chunk {
            size: 0,
            rows: Vec::new(),
            columns: Vec::new(),
            tokens: Vec::new(),
            labels: Vec::new(),
        }
    }

    fn batch(&self) -> Batch<'_, f32> {
        let inputs = if self.tokens.is_empty() {
            Inputs::Vectors { rows: &self.rows, columns: &self.columns }
        } else {
            Inputs::Tokens(&self.tokens)
        };
        Batch { size: self.size, inputs, labels: &self.labels }
    }

    fn digest(&self, digest: &mut Digest) {
        digest.floats(&self.rows);
        self.tokens.iter().chain(&self.labels).for_each(|number| digest.number(u64::from(*number)));
    }

    /// Fills the chunk with examples of a set of vectors.
    fn gather_vectors(
        &mut self,
        vectors: &Vectors,
        places: impl ExactSizeIterator<Item = (usize, u16)>,
    ) {
        self.size = places.len();
        self.rows.clear();
        self.labels.clear();
        for (row, label) in places {
            self.rows.extend_from_slice(vectors.row(row));
            self.labels.push(label);
        }
        self.columns.resize(self.rows.len(), 0.0);
        model::transpose(&mut self.columns, &self.rows, [self.size, vectors.features]);
    }

    /// Fills the chunk with windows of a text; window i begins at token i * context, and its labels
    /// are one token later.
    fn gather_windows(
        &mut self,
        text: &[u16],
        context: usize,
        windows: impl ExactSizeIterator<Item = usize> + Clone,
    ) {
        self.size = windows.len();
        self.tokens.clear();
        self.labels.clear();
        for position in 0..context {
            for window in windows.clone() {
                let at = window * context + position;
                self.tokens.push(text[at]);
                self.labels.push(text[at + 1]);
            }
        }
    }
}

/// A model of vectors with its examples.
pub(crate) struct VectorProblem {
    bound: Bound,
    examples: Arc<Vectors>,
    /// For each training example, its row and its label after noise.
    training: Vec<(u32, u16)>,
    validation: Vec<Chunk>,
}

impl VectorProblem {
    /// `training` and `validation` name rows with their labels, of one set each.
    pub(crate) fn new(
        bound: Bound,
        examples: Arc<Vectors>,
        training: Vec<(u32, u16)>,
        validation_examples: &Vectors,
        validation: &[u32],
    ) -> Self {
        let chunks = validation.chunks(bound.validation_chunk()).map(|rows| {
            let mut chunk = Chunk::new();
            let place = |&row: &u32| (row as usize, validation_examples.labels[row as usize]);
            chunk.gather_vectors(validation_examples, rows.iter().map(place));
            chunk
        });
        let validation = chunks.collect();
        VectorProblem { bound, examples, training, validation }
    }
}

impl Problem for VectorProblem {
    fn layout(&self) -> &Layout {
        &self.bound.layout
    }

    fn initial_weights(&self) -> &[f32] {
        &self.bound.initial
    }

    fn training_examples(&self) -> usize {
        self.training.len()
    }

    fn run_bytes(&self, batch: usize) -> u128 {
        let inputs = 8 * batch as u128 * self.examples.features as u128;
        run_bytes(self.bound.model.as_ref(), batch) + inputs
    }

    fn validation_examples(&self) -> usize {
        self.validation.iter().map(|chunk| chunk.size).sum()
    }

    fn fingerprint(&self) -> String {
        let mut digest = self.bound.digest();
        for (row, label) in &self.training {
            digest.floats(self.examples.row(*row as usize));
            digest.number(u64::from(*label));
        }
        self.validation.iter().for_each(|chunk| chunk.digest(&mut digest));
        digest.hex()
    }

    fn workspace(&self) -> Box<dyn Workspace + '_> {
        Box::new(Buffers::new(&self.bound, &self.validation, |chunk: &mut Chunk, batch: &[u32]| {
            let places = batch.iter().map(|&i| {
                let (row, label) = self.training[i as usize];
                (row as usize, label)
            });
            chunk.gather_vectors(&self.examples, places);
        }))
    }
}

/// A language model with its texts.
pub(crate) struct TextProblem {
    bound: Bound,
    context: usize,
    training: Arc<Vec<u16>>,
    windows: usize,
    validation: Vec<Chunk>,
}

impl TextProblem {
    /// The training text as so many windows of `context` tokens, and the windows of the validation
    /// text that are used.
    pub(crate) fn new(
        bound: Bound,
        context: usize,
        training: Arc<Vec<u16>>,
        windows: usize,
        validation_text: &[u16],
        validation: &[u32],
    ) -> Self {
        let chunks = validation.chunks(bound.validation_chunk()).map(|windows| {
            let mut chunk = Chunk::new();
            chunk.gather_windows(
                validation_text,
                context,
                windows.iter().map(|&window| window as usize),
            );
            chunk
        });
        let validation = chunks.collect();
        TextProblem { bound, context, training, windows, validation }
    }
}

impl Problem for TextProblem {
    fn layout(&self) -> &Layout {
        &self.bound.layout
    }

    fn initial_weights(&self) -> &[f32] {
        &self.bound.initial
    }

    fn training_examples(&self) -> usize {
        self.windows
    }

    fn run_bytes(&self, batch: usize) -> u128 {
        run_bytes(self.bound.model.as_ref(), batch) + 4 * batch as u128 * self.context as u128
    }

    fn validation_examples(&self) -> usize {
        self.validation.iter().map(|chunk| chunk.size).sum()
    }

    fn fingerprint(&self) -> String {
        let mut digest = self.bound.digest();
        digest.number(self.context as u64);
        digest.number(self.windows as u64);
        self.training.iter().for_each(|token| digest.number(u64::from(*token)));
        self.validation.iter().for_each(|chunk| chunk.digest(&mut digest));
        digest.hex()
    }

    fn workspace(&self) -> Box<dyn Workspace + '_> {
        Box::new(Buffers::new(&self.bound, &self.validation, |chunk: &mut Chunk, batch: &[u32]| {
            chunk.gather_windows(&self.training, self.context, batch.iter().map(|&i| i as usize));
        }))
    }
}

/// The buffers of a run, with a way to fill a batch.
struct Buffers<'a, F> {
    bound: &'a Bound,
    validation: &'a [Chunk],
    gather: F,
    batch: Chunk,
    /// The gradient of a part of a batch.
    part: Vec<f32>,
    /// The scratch memory, and the largest batch that it is for.
    scratch: model::Workspace<f32>,
    capacity: usize,
}

impl<'a, F: Fn(&mut Chunk, &[u32])> Buffers<'a, F> {
    fn new(bound: &'a Bound, validation: &'a [Chunk], gather: F) -> Self {
        let capacity = validation.iter().map(|chunk| chunk.size).max().unwrap_or(0);
        let scratch = bound.model.workspace(capacity);
        Buffers {
            bound,
            validation,
            gather,
            batch: Chunk::new(),
            part: Vec::new(),
            scratch,
            capacity,
        }
    }

    fn of_part(&mut self, weights: &[f32], batch: &[u32], gradients: &mut [f32]) -> f64 {
        if batch.len() > self.capacity {
            self.capacity = batch.len();
            self.scratch = self.bound.model.workspace(batch.len());
        }
        (self.gather)(&mut self.batch, batch);
        self.bound.model.loss_and_gradient(
            weights,
            &self.batch.batch(),
            gradients,
            &mut self.scratch,
        )
    }
}

impl<F: Fn(&mut Chunk, &[u32])> Workspace for Buffers<'_, F> {
    fn loss_and_gradient(&mut self, weights: &[f32], batch: &[u32], gradients: &mut [f32]) -> f64 {
        let at_a_time = self.bound.model.batch_at_a_time();
        if batch.len() <= at_a_time {
            return self.of_part(weights, batch, gradients);
        }
        let mut part = std::mem::take(&mut self.part);
        part.resize(gradients.len(), 0.0);
        gradients.fill(0.0);
        let mut loss = 0.0;
        for examples in batch.chunks(at_a_time) {
            let share = examples.len() as f64 / batch.len() as f64;
            loss += share * self.of_part(weights, examples, &mut part);
            for (sum, &x) in gradients.iter_mut().zip(&part) {
                *sum += share as f32 * x;
            }
        }
        self.part = part;
        loss
    }

    fn validate(&mut self, weights: &[f32]) -> Metrics {
        let mut sum = Evaluation::default();
        for chunk in self.validation {
            sum += self.bound.model.evaluate(weights, &chunk.batch(), &mut self.scratch);
        }
        Metrics { loss: sum.loss(), accuracy: Some(sum.accuracy()) }
    }
}
