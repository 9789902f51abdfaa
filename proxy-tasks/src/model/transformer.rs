//! Pre-norm Transformer (Vaswani et al. 2017; Xiong et al. 2020), as a causal language model and as
//! a classifier of images (ViT, Dosovitskiy et al. 2021).

use super::attention;
use super::product::{
    self, multiply, multiply_left_transposed, multiply_right_transposed, transpose,
};
use super::workspace::take;
use super::{
    Activation, Batch, Evaluation, Inputs, Model, ModelError, Parameters, Scalar, Start, Workspace,
    check_depth, check_parameters, check_sizes, cross_entropy, normalization, reduction,
};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The sizes of the blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransformerSizes {
    /// Blocks.
    pub layers: usize,
    /// Features of the residual stream.
    pub width: usize,
    /// Attention heads; they share the width.
    pub heads: usize,
    /// Hidden units of the perceptron of a block.
    pub hidden: usize,
    /// The perceptron's activation.
    pub activation: Activation,
}

/// The shape of an image and of its square patches, in pixels. Images are stored channel by
/// channel, row by row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Channels.
    pub channels: usize,
    /// Side of a patch; divides height and width.
    pub patch: usize,
}

/// How a classifier makes one vector of the positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// Their mean.
    Mean,
    /// A learned extra position, the first.
    ClassToken,
}

#[derive(Clone, Debug)]
enum Entry {
    Tokens {
        embedding: Range<usize>,
    },
    Patches {
        image: Image,
        weight: Range<usize>,
        bias: Range<usize>,
        class_token: Option<Range<usize>>,
    },
}

/// A stack of blocks `x += attention(norm(x)); x += perceptron(norm(x))`, a last norm and a linear
/// head.
///
/// Positions are learned. Matrices begin normal with standard deviation 1 / sqrt(inputs); those
/// that write into the residual stream are divided by sqrt(2 layers), the head has 0.1 /
/// sqrt(width); embeddings and positions 0.1; biases are zero.
#[derive(Clone, Debug)]
pub struct Transformer {
    sizes: TransformerSizes,
    positions: usize,
    /// Logits of a label.
    classes: usize,
    /// None: a label for each position, and no position sees a later one.
    pooling: Option<Pooling>,
    entry: Entry,
    position: Range<usize>,
    blocks: Vec<Block>,
    norm: Range<usize>,
    head_weight: Range<usize>,
    head_bias: Range<usize>,
    parameters: Parameters,
}

/// Places of the parameters of a block. Neighbours are one range: scale and bias of a norm; query,
/// key and value.
#[derive(Clone, Debug)]
struct Block {
    attention_norm: Range<usize>,
    projection_weights: Range<usize>,
    projection_biases: Range<usize>,
    output_weight: Range<usize>,
    output_bias: Range<usize>,
    perceptron_norm: Range<usize>,
    up_weight: Range<usize>,
    up_bias: Range<usize>,
    down_weight: Range<usize>,
    down_bias: Range<usize>,
}

impl Transformer {
    /// A causal language model over sequences of `context` tokens.
    pub fn language(
        sizes: TransformerSizes,
        vocabulary: usize,
        context: usize,
    ) -> Result<Self, ModelError> {
        check_sizes(&[("the vocabulary", vocabulary), ("the context", context)])?;
        check_sizes_of(&sizes)?;
        let mut parameters = Parameters::default();
        let embedding =
            parameters.add("token.embedding", &[vocabulary, sizes.width], Start::Normal(0.1));
        Self::build(sizes, context, vocabulary, None, Entry::Tokens { embedding }, parameters)
    }

    /// A classifier of images.
    pub fn vision(
        sizes: TransformerSizes,
        image: Image,
        classes: usize,
        pooling: Pooling,
    ) -> Result<Self, ModelError> {
        check_sizes(&[
            ("the height of the image", image.height),
            ("the width of the image", image.width),
            ("the number of channels", image.channels),
            ("the patch size", image.patch),
            ("the number of classes", classes),
        ])?;
        check_sizes_of(&sizes)?;
        let Image { height, width, channels, patch } = image;
        if !height.is_multiple_of(patch) || !width.is_multiple_of(patch) {
            return Err(ModelError::Patches { patch, height, width });
        }
        let inputs = channels * patch * patch;
        let mut parameters = Parameters::default();
        let start = Start::Normal(1.0 / (inputs as f64).sqrt());
        let weight = parameters.add("patch.weight", &[sizes.width, inputs], start);
        let bias = parameters.add("patch.bias", &[sizes.width], Start::Constant(0.0));
        let class_token = match pooling {
            Pooling::Mean => None,
            Pooling::ClassToken => {
                Some(parameters.add("class_token", &[sizes.width], Start::Normal(0.1)))
            }
        };
        let positions = (height / patch) * (width / patch) + usize::from(class_token.is_some());
        let entry = Entry::Patches { image, weight, bias, class_token };
        Self::build(sizes, positions, classes, Some(pooling), entry, parameters)
    }

    fn build(
        sizes: TransformerSizes,
        positions: usize,
        classes: usize,
        pooling: Option<Pooling>,
        entry: Entry,
        mut parameters: Parameters,
    ) -> Result<Self, ModelError> {
        if classes > 1 << 16 {
            return Err(ModelError::TooManyClasses(classes));
        }
        let TransformerSizes { layers, width, hidden, .. } = sizes;
        let position = parameters.add("position", &[positions, width], Start::Normal(0.1));
        let matrix = |inputs: usize, gain: f64| Start::Normal(gain / (inputs as f64).sqrt());
        let (zero, one) = (Start::Constant(0.0), Start::Constant(1.0));
        let residual = 1.0 / (2.0 * layers as f64).sqrt();
        let mut blocks = Vec::new();
        for i in 0..layers {
            let mut add = |name: &str, shape: &[usize], start| {
                parameters.add(format!("block.{i}.{name}"), shape, start)
            };
            let norm_scale = add("attention.norm.scale", &[width], one);
            let norm_bias = add("attention.norm.bias", &[width], zero);
            let query_weight = add("attention.query.weight", &[width, width], matrix(width, 1.0));
            add("attention.key.weight", &[width, width], matrix(width, 1.0));
            let value_weight = add("attention.value.weight", &[width, width], matrix(width, 1.0));
            let query_bias = add("attention.query.bias", &[width], zero);
            add("attention.key.bias", &[width], zero);
            let value_bias = add("attention.value.bias", &[width], zero);
            let output_weight =
                add("attention.output.weight", &[width, width], matrix(width, residual));
            let output_bias = add("attention.output.bias", &[width], zero);
            let second_scale = add("perceptron.norm.scale", &[width], one);
            let second_bias = add("perceptron.norm.bias", &[width], zero);
            let up_weight = add("perceptron.up.weight", &[hidden, width], matrix(width, 1.0));
            let up_bias = add("perceptron.up.bias", &[hidden], zero);
            let down_weight =
                add("perceptron.down.weight", &[width, hidden], matrix(hidden, residual));
            let down_bias = add("perceptron.down.bias", &[width], zero);
            blocks.push(Block {
                attention_norm: norm_scale.start..norm_bias.end,
                projection_weights: query_weight.start..value_weight.end,
                projection_biases: query_bias.start..value_bias.end,
                output_weight,
                output_bias,
                perceptron_norm: second_scale.start..second_bias.end,
                up_weight,
                up_bias,
                down_weight,
                down_bias,
            });
            check_parameters(&parameters)?;
        }
        let scale = parameters.add("norm.scale", &[width], one);
        let bias = parameters.add("norm.bias", &[width], zero);
        let head_weight = parameters.add("head.weight", &[classes, width], matrix(width, 0.1));
        let head_bias = parameters.add("head.bias", &[classes], zero);
        check_parameters(&parameters)?;
        Ok(Transformer {
            sizes,
            positions,
            classes,
            pooling,
            entry,
            position,
            blocks,
            norm: scale.start..bias.end,
            head_weight,
            head_bias,
            parameters,
        })
    }

    /// Positions of a sequence, the class token included.
    pub fn positions(&self) -> usize {
        self.positions
    }

    fn attention_sizes(&self, batch: usize) -> attention::Sizes {
        attention::Sizes {
            heads: self.sizes.heads,
            head_width: self.sizes.width / self.sizes.heads,
            positions: self.positions,
            batch,
            causal: self.pooling.is_none(),
        }
    }

    fn patch_inputs(&self) -> usize {
        match &self.entry {
            Entry::Tokens { .. } => 0,
            Entry::Patches { image, .. } => image.channels * image.patch * image.patch,
        }
    }

    /// Samples that the head sees: all positions, or one pooled vector of each sequence.
    fn head_columns(&self, batch: usize) -> u128 {
        let positions = if self.pooling.is_none() { self.positions } else { 1 };
        positions as u128 * batch as u128
    }

    /// Numbers that a block keeps for the way back.
    fn kept_of_block(&self, batch: usize) -> u128 {
        let (positions, TransformerSizes { width, hidden, heads, .. }) =
            (self.positions as u128, self.sizes);
        let probabilities = heads as u128 * positions;
        (8 * width as u128 + 2 * hidden as u128 + 2 + probabilities) * positions * batch as u128
    }

    /// The widest matrix that goes through the scratch buffers.
    fn widest(&self) -> usize {
        self.sizes.width.max(self.sizes.hidden).max(self.patch_inputs())
    }
}

fn check_sizes_of(sizes: &TransformerSizes) -> Result<(), ModelError> {
    check_depth(sizes.layers)?;
    check_sizes(&[
        ("the number of layers", sizes.layers),
        ("the width", sizes.width),
        ("the number of heads", sizes.heads),
        ("the hidden width", sizes.hidden),
    ])?;
    if !sizes.width.is_multiple_of(sizes.heads) {
        return Err(ModelError::Heads { width: sizes.width, heads: sizes.heads });
    }
    Ok(())
}

/// Values that the forward pass leaves behind, cut from the workspace.
struct Kept<'a, T> {
    /// [patch inputs, patches, batch].
    patches: &'a mut [T],
    /// One region for each block.
    blocks: &'a mut [T],
    normal: &'a mut [T],
    inverse: &'a mut [T],
    normed: &'a mut [T],
    /// [width, batch], if pooled.
    pooled: &'a mut [T],
    /// [classes, head columns].
    logits: &'a mut [T],
    /// The residual stream; later its gradient.
    stream: &'a mut [T],
    /// [widest, n], two of them.
    scratch: &'a mut [T],
    more_scratch: &'a mut [T],
}

/// The region of a block.
struct KeptBlock<'a, T> {
    attention_normal: &'a mut [T],
    attention_inverse: &'a mut [T],
    attention_input: &'a mut [T],
    /// Query, key and value, [3 width, n].
    projections: &'a mut [T],
    probabilities: &'a mut [T],
    attended: &'a mut [T],
    perceptron_normal: &'a mut [T],
    perceptron_inverse: &'a mut [T],
    perceptron_input: &'a mut [T],
    before: &'a mut [T],
    after: &'a mut [T],
}

impl Transformer {
    fn kept_length(&self, batch: usize) -> u128 {
        let batch_wide = batch as u128;
        let (n, d) = (self.positions as u128 * batch_wide, self.sizes.width as u128);
        self.patch_inputs() as u128 * n
            + self.sizes.layers as u128 * self.kept_of_block(batch)
            + (3 * d + 1 + 2 * self.widest() as u128) * n
            + d * batch_wide
            + self.classes as u128 * self.head_columns(batch)
    }

    fn kept<'a, T: Scalar>(&self, batch: usize, rest: &mut &'a mut [T]) -> Kept<'a, T> {
        let (n, d) = (self.positions * batch, self.sizes.width);
        Kept {
            patches: take(rest, self.patch_inputs() * n),
            blocks: take(rest, self.sizes.layers * self.kept_of_block(batch) as usize),
            normal: take(rest, d * n),
            inverse: take(rest, n),
            normed: take(rest, d * n),
            pooled: take(rest, d * batch),
            logits: take(rest, self.classes * self.head_columns(batch) as usize),
            stream: take(rest, d * n),
            scratch: take(rest, self.widest() * n),
            more_scratch: take(rest, self.widest() * n),
        }
    }

    fn kept_block<'a, T: Scalar>(&self, batch: usize, mut region: &'a mut [T]) -> KeptBlock<'a, T> {
        let (n, d) = (self.positions * batch, self.sizes.width);
        let rest = &mut region;
        KeptBlock {
            attention_normal: take(rest, d * n),
            attention_inverse: take(rest, n),
            attention_input: take(rest, d * n),
            projections: take(rest, 3 * d * n),
            probabilities: take(rest, self.attention_sizes(batch).probabilities()),
            attended: take(rest, d * n),
            perceptron_normal: take(rest, d * n),
            perceptron_inverse: take(rest, n),
            perceptron_input: take(rest, d * n),
            before: take(rest, self.sizes.hidden * n),
            after: take(rest, self.sizes.hidden * n),
        }
    }

    fn embed<T: Scalar>(&self, parameters: &[T], batch: &Batch<T>, kept: &mut Kept<T>) {
        let (b, d) = (batch.size, self.sizes.width);
        let n = self.positions * b;
        let position = &parameters[self.position.clone()];
        match (&self.entry, batch.inputs) {
            (Entry::Tokens { embedding }, Inputs::Tokens(tokens)) => {
                let embedding = &parameters[embedding.clone()];
                let rows = &mut kept.scratch[..n * d];
                for ((row, &token), i) in rows.chunks_exact_mut(d).zip(tokens).zip(0..) {
                    let token = &embedding[usize::from(token) * d..][..d];
                    let position = &position[i / b * d..][..d];
                    for ((x, &token), &position) in row.iter_mut().zip(token).zip(position) {
                        *x = token + position;
                    }
                }
                transpose(kept.stream, rows, [n, d]);
            }
            (
                Entry::Patches { image, weight, bias, class_token },
                Inputs::Vectors { columns, .. },
            ) => {
                let inputs = self.patch_inputs();
                let first = usize::from(class_token.is_some());
                let m = n - first * b;
                for (row, target) in kept.patches[..inputs * m].chunks_exact_mut(b).enumerate() {
                    let pixel = image.pixel(row);
                    target.copy_from_slice(&columns[pixel * b..(pixel + 1) * b]);
                }
                let embedded = &mut kept.scratch[..d * m];
                let bias = product::Start::Rows(&parameters[bias.clone()]);
                multiply(
                    embedded,
                    bias,
                    &parameters[weight.clone()],
                    &kept.patches[..inputs * m],
                    [d, inputs, m],
                );
                for (i, (feature, embedded)) in
                    kept.stream.chunks_exact_mut(n).zip(embedded.chunks_exact(m)).enumerate()
                {
                    if let Some(class_token) = class_token {
                        feature[..b].fill(parameters[class_token.start + i]);
                    }
                    feature[first * b..].copy_from_slice(embedded);
                    for (t, samples) in feature.chunks_exact_mut(b).enumerate() {
                        let shift = position[t * d + i];
                        for x in samples {
                            *x += shift;
                        }
                    }
                }
            }
            _ => panic!("the batch has inputs of another kind than the model"),
        }
    }

    fn forward<T: Scalar>(&self, parameters: &[T], batch: &Batch<T>, kept: &mut Kept<T>) {
        let TransformerSizes { width: d, hidden, activation, .. } = self.sizes;
        let b = batch.size;
        let n = self.positions * b;
        let bias_of = |range: &Range<usize>| product::Start::Rows(&parameters[range.clone()]);
        self.embed(parameters, batch, kept);
        for (block, region) in
            self.blocks.iter().zip(kept.blocks.chunks_exact_mut(self.kept_of_block(b) as usize))
        {
            let kept_block = self.kept_block(b, region);
            let (scale, bias) = parameters[block.attention_norm.clone()].split_at(d);
            let (normal, inverse) = (kept_block.attention_normal, kept_block.attention_inverse);
            normalization::forward(
                kept.stream,
                scale,
                bias,
                normal,
                kept_block.attention_input,
                inverse,
            );
            multiply(
                kept_block.projections,
                bias_of(&block.projection_biases),
                &parameters[block.projection_weights.clone()],
                kept_block.attention_input,
                [3 * d, d, n],
            );
            let (query, rest) = kept_block.projections.split_at(d * n);
            let (key, value) = rest.split_at(d * n);
            let (probabilities, attended) = (kept_block.probabilities, kept_block.attended);
            attention::forward(self.attention_sizes(b), query, key, value, probabilities, attended);
            let output = &mut kept.scratch[..d * n];
            multiply(
                output,
                bias_of(&block.output_bias),
                &parameters[block.output_weight.clone()],
                attended,
                [d, d, n],
            );
            add(kept.stream, output);

            let (scale, bias) = parameters[block.perceptron_norm.clone()].split_at(d);
            let (normal, inverse) = (kept_block.perceptron_normal, kept_block.perceptron_inverse);
            normalization::forward(
                kept.stream,
                scale,
                bias,
                normal,
                kept_block.perceptron_input,
                inverse,
            );
            let (before, after) = (kept_block.before, kept_block.after);
            let up = &parameters[block.up_weight.clone()];
            multiply(
                before,
                bias_of(&block.up_bias),
                up,
                kept_block.perceptron_input,
                [hidden, d, n],
            );
            activation.forward(before, after);
            let output = &mut kept.scratch[..d * n];
            multiply(
                output,
                bias_of(&block.down_bias),
                &parameters[block.down_weight.clone()],
                after,
                [d, hidden, n],
            );
            add(kept.stream, output);
        }
        let (scale, bias) = parameters[self.norm.clone()].split_at(d);
        normalization::forward(kept.stream, scale, bias, kept.normal, kept.normed, kept.inverse);
        let read: &[T] = match self.pooling {
            None => kept.normed,
            Some(pooling) => {
                let share = T::from_f64(1.0 / self.positions as f64);
                for (feature, pooled) in
                    kept.normed.chunks_exact(n).zip(kept.pooled.chunks_exact_mut(b))
                {
                    match pooling {
                        Pooling::ClassToken => pooled.copy_from_slice(&feature[..b]),
                        Pooling::Mean => {
                            pooled.fill(T::ZERO);
                            for samples in feature.chunks_exact(b) {
                                for (sum, &x) in pooled.iter_mut().zip(samples) {
                                    *sum += x * share;
                                }
                            }
                        }
                    }
                }
                kept.pooled
            }
        };
        let shape = [self.classes, d, self.head_columns(b) as usize];
        multiply(
            kept.logits,
            bias_of(&self.head_bias),
            &parameters[self.head_weight.clone()],
            read,
            shape,
        );
    }

    /// From the gradient of the residual stream at the entry to those of embeddings and positions.
    fn embed_backward<T: Scalar>(&self, batch: &Batch<T>, kept: &mut Kept<T>, gradient: &mut [T]) {
        let (b, d) = (batch.size, self.sizes.width);
        let n = self.positions * b;
        let rows = &mut kept.scratch[..n * d];
        transpose(rows, kept.stream, [d, n]);
        let position = &mut gradient[self.position.clone()];
        position.fill(T::ZERO);
        for (i, row) in rows.chunks_exact(d).enumerate() {
            add(&mut position[i / b * d..][..d], row);
        }
        match (&self.entry, batch.inputs) {
            (Entry::Tokens { embedding }, Inputs::Tokens(tokens)) => {
                let embedding = &mut gradient[embedding.clone()];
                embedding.fill(T::ZERO);
                for (row, &token) in rows.chunks_exact(d).zip(tokens) {
                    add(&mut embedding[usize::from(token) * d..][..d], row);
                }
            }
            (Entry::Patches { weight, bias, class_token, .. }, _) => {
                let inputs = self.patch_inputs();
                let first = usize::from(class_token.is_some());
                let m = n - first * b;
                if let Some(class_token) = class_token {
                    let class_token = &mut gradient[class_token.clone()];
                    class_token.fill(T::ZERO);
                    for row in rows[..b * d].chunks_exact(d) {
                        add(class_token, row);
                    }
                }
                let embedded = &mut kept.scratch[..d * m];
                for (target, feature) in
                    embedded.chunks_exact_mut(m).zip(kept.stream.chunks_exact(n))
                {
                    target.copy_from_slice(&feature[first * b..]);
                }
                reduction::sum_rows(&mut gradient[bias.clone()], embedded);
                let (weight, patches) =
                    (&mut gradient[weight.clone()], &kept.patches[..inputs * m]);
                multiply_right_transposed(
                    weight,
                    embedded,
                    patches,
                    [d, m, inputs],
                    kept.more_scratch,
                );
            }
            _ => panic!("the batch has inputs of another kind than the model"),
        }
    }
}

impl Image {
    /// The place in the image of row r of the patch matrix [channels, rows of a patch, columns of a
    /// patch, patches].
    fn pixel(&self, r: usize) -> usize {
        let across = self.width / self.patch;
        let patches = across * (self.height / self.patch);
        let (inside, patch) = (r / patches, r % patches);
        let (channel, inside) =
            (inside / (self.patch * self.patch), inside % (self.patch * self.patch));
        let row = patch / across * self.patch + inside / self.patch;
        let column = patch % across * self.patch + inside % self.patch;
        (channel * self.height + row) * self.width + column
    }
}

fn add<T: Scalar>(sum: &mut [T], more: &[T]) {
    for (sum, &x) in sum.iter_mut().zip(more) {
        *sum += x;
    }
}

impl<T: Scalar> Model<T> for Transformer {
    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn batch_at_a_time(&self) -> usize {
        // Rows of 256 numbers: with 1,024, all rows of a matrix share a few sets of the first
        // cache, and a step takes twice as long. At least the sixteen sequences that fill a vector.
        (256 / self.positions / 16 * 16).max(16)
    }

    fn workspace_length(&self, batch: usize) -> u128 {
        let (positions, width) = (self.positions as u128, self.sizes.width as u128);
        // On the way back: the gradients of the projections, and the scores of sixteen sequences.
        let back = 3 * width * positions * batch as u128 + positions * positions * 16;
        self.kept_length(batch) + back + self.head_columns(batch)
    }

    fn loss_and_gradient(
        &self,
        parameters: &[T],
        batch: &Batch<T>,
        gradient: &mut [T],
        workspace: &mut Workspace<T>,
    ) -> f64 {
        let TransformerSizes { width: d, hidden, activation, .. } = self.sizes;
        let b = batch.size;
        let n = self.positions * b;
        let mut rest = workspace.numbers();
        let mut kept = self.kept(b, &mut rest);
        let projection_gradient = take(&mut rest, 3 * d * n);
        let score_gradient = take(&mut rest, self.positions * self.positions * 16);
        let zero = product::Start::Zero;

        self.forward(parameters, batch, &mut kept);
        let loss = cross_entropy::loss_and_gradient(kept.logits, batch.labels, rest);

        // The head and the pooling: more_scratch becomes the gradient of the last norm's output.
        let columns = self.head_columns(b) as usize;
        let head_shape = [self.classes, columns, d];
        let read: &[T] = if self.pooling.is_none() { kept.normed } else { kept.pooled };
        let head = &mut gradient[self.head_weight.clone()];
        multiply_right_transposed(head, kept.logits, read, head_shape, kept.scratch);
        reduction::sum_rows(&mut gradient[self.head_bias.clone()], kept.logits);
        let read_gradient = &mut kept.scratch[..d * columns];
        let head = &parameters[self.head_weight.clone()];
        multiply_left_transposed(
            read_gradient,
            zero,
            head,
            kept.logits,
            [d, self.classes, columns],
        );
        let normed_gradient = &mut kept.more_scratch[..d * n];
        match self.pooling {
            None => normed_gradient.copy_from_slice(read_gradient),
            Some(Pooling::ClassToken) => {
                normed_gradient.fill(T::ZERO);
                for (feature, pooled) in
                    normed_gradient.chunks_exact_mut(n).zip(read_gradient.chunks_exact(b))
                {
                    feature[..b].copy_from_slice(pooled);
                }
            }
            Some(Pooling::Mean) => {
                let share = T::from_f64(1.0 / self.positions as f64);
                for (feature, pooled) in
                    normed_gradient.chunks_exact_mut(n).zip(read_gradient.chunks_exact(b))
                {
                    for samples in feature.chunks_exact_mut(b) {
                        for (x, &pooled) in samples.iter_mut().zip(pooled) {
                            *x = pooled * share;
                        }
                    }
                }
            }
        }
        // From here on the stream's buffer holds its gradient.
        kept.stream.fill(T::ZERO);
        let scale = &parameters[self.norm.start..self.norm.start + d];
        let (scale_gradient, bias_gradient) = gradient[self.norm.clone()].split_at_mut(d);
        normalization::backward(
            normed_gradient,
            kept.normal,
            kept.inverse,
            scale,
            kept.stream,
            scale_gradient,
            bias_gradient,
        );

        let region = self.kept_of_block(b) as usize;
        for (block, region) in self.blocks.iter().zip(kept.blocks.chunks_exact_mut(region)).rev() {
            let kept_block = self.kept_block(b, region);

            reduction::sum_rows(&mut gradient[block.down_bias.clone()], kept.stream);
            let down = &mut gradient[block.down_weight.clone()];
            multiply_right_transposed(
                down,
                kept.stream,
                kept_block.after,
                [d, n, hidden],
                kept.scratch,
            );
            let hidden_gradient = &mut kept.more_scratch[..hidden * n];
            let down = &parameters[block.down_weight.clone()];
            multiply_left_transposed(hidden_gradient, zero, down, kept.stream, [hidden, d, n]);
            activation.backward(kept_block.before, kept_block.after, hidden_gradient);
            reduction::sum_rows(&mut gradient[block.up_bias.clone()], hidden_gradient);
            let up = &mut gradient[block.up_weight.clone()];
            multiply_right_transposed(
                up,
                hidden_gradient,
                kept_block.perceptron_input,
                [hidden, n, d],
                kept.scratch,
            );
            let normed_gradient = &mut kept.scratch[..d * n];
            let up = &parameters[block.up_weight.clone()];
            multiply_left_transposed(normed_gradient, zero, up, hidden_gradient, [d, hidden, n]);
            let scale = &parameters[block.perceptron_norm.start..block.perceptron_norm.start + d];
            let (scale_gradient, bias_gradient) =
                gradient[block.perceptron_norm.clone()].split_at_mut(d);
            let (normal, inverse) = (kept_block.perceptron_normal, kept_block.perceptron_inverse);
            normalization::backward(
                normed_gradient,
                normal,
                inverse,
                scale,
                kept.stream,
                scale_gradient,
                bias_gradient,
            );

            reduction::sum_rows(&mut gradient[block.output_bias.clone()], kept.stream);
            let output = &mut gradient[block.output_weight.clone()];
            multiply_right_transposed(
                output,
                kept.stream,
                kept_block.attended,
                [d, n, d],
                kept.scratch,
            );
            let attended_gradient = &mut kept.more_scratch[..d * n];
            let output = &parameters[block.output_weight.clone()];
            multiply_left_transposed(attended_gradient, zero, output, kept.stream, [d, d, n]);
            let (query, rest) = kept_block.projections.split_at(d * n);
            let (key, value) = rest.split_at(d * n);
            let (query_gradient, rest) = projection_gradient.split_at_mut(d * n);
            let (key_gradient, value_gradient) = rest.split_at_mut(d * n);
            attention::backward(
                self.attention_sizes(b),
                [query, key, value],
                kept_block.probabilities,
                attended_gradient,
                [query_gradient, key_gradient, value_gradient],
                score_gradient,
            );
            reduction::sum_rows(
                &mut gradient[block.projection_biases.clone()],
                projection_gradient,
            );
            let projections = &mut gradient[block.projection_weights.clone()];
            multiply_right_transposed(
                projections,
                projection_gradient,
                kept_block.attention_input,
                [3 * d, n, d],
                kept.scratch,
            );
            let normed_gradient = &mut kept.scratch[..d * n];
            let projections = &parameters[block.projection_weights.clone()];
            multiply_left_transposed(
                normed_gradient,
                zero,
                projections,
                projection_gradient,
                [d, 3 * d, n],
            );
            let scale = &parameters[block.attention_norm.start..block.attention_norm.start + d];
            let (scale_gradient, bias_gradient) =
                gradient[block.attention_norm.clone()].split_at_mut(d);
            let (normal, inverse) = (kept_block.attention_normal, kept_block.attention_inverse);
            normalization::backward(
                normed_gradient,
                normal,
                inverse,
                scale,
                kept.stream,
                scale_gradient,
                bias_gradient,
            );
        }
        self.embed_backward(batch, &mut kept, gradient);
        loss
    }

    fn evaluate(
        &self,
        parameters: &[T],
        batch: &Batch<T>,
        workspace: &mut Workspace<T>,
    ) -> Evaluation {
        let mut rest = workspace.numbers();
        let mut kept = self.kept(batch.size, &mut rest);
        self.forward(parameters, batch, &mut kept);
        let (total_loss, hits) = cross_entropy::loss_and_hits(kept.logits, batch.labels, rest);
        Evaluation { total_loss, hits, count: batch.labels.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::gradient_check::{Example, check};

    fn sizes(
        layers: usize,
        width: usize,
        heads: usize,
        hidden: usize,
        activation: Activation,
    ) -> TransformerSizes {
        TransformerSizes { layers, width, heads, hidden, activation }
    }

    #[test]
    fn gradient_of_language_models_equals_finite_differences() {
        for (sizes, vocabulary, context, batch) in [
            (sizes(1, 8, 2, 12, Activation::Gelu), 11, 5, 3),
            (sizes(2, 6, 3, 7, Activation::Relu), 5, 4, 17),
            (sizes(1, 4, 1, 8, Activation::Tanh), 6, 1, 32),
        ] {
            check(
                &Transformer::language(sizes, vocabulary, context).unwrap(),
                Example::tokens(vocabulary, context, batch),
            );
        }
    }

    #[test]
    fn gradient_of_image_classifiers_equals_finite_differences() {
        let small = Image { height: 4, width: 6, channels: 2, patch: 2 };
        let digit = Image { height: 8, width: 8, channels: 1, patch: 4 };
        for (image, pooling, batch) in [
            (small, Pooling::Mean, 3),
            (small, Pooling::ClassToken, 18),
            (digit, Pooling::ClassToken, 2),
            (digit, Pooling::Mean, 16),
        ] {
            let model =
                Transformer::vision(sizes(2, 8, 2, 10, Activation::Gelu), image, 3, pooling)
                    .unwrap();
            check(&model, Example::vectors(image.height * image.width * image.channels, 3, batch));
        }
    }

    #[test]
    fn patches_cover_every_pixel_once() {
        let image = Image { height: 6, width: 4, channels: 3, patch: 2 };
        let mut pixels: Vec<usize> = (0..72).map(|row| image.pixel(row)).collect();
        // The second row of the first patch's first channel begins below its first pixel.
        assert_eq!((pixels[0], pixels[1], pixels[2 * 6]), (0, 2, 4));
        pixels.sort_unstable();
        assert_eq!(pixels, (0..72).collect::<Vec<_>>());
    }

    #[test]
    fn a_language_model_sees_no_later_token() {
        let model = Transformer::language(sizes(2, 8, 2, 8, Activation::Gelu), 7, 4).unwrap();
        let parameters: Vec<f64> =
            model.initialize(&mut crate::rng::stream(1, crate::rng::Purpose::Initialization));
        let mut workspace = model.workspace(1);
        // The loss of the first position alone: the label at the other positions stays, so the sum
        // changes only if theirs do.
        let mut first = |tokens: &[u16]| {
            let mut rest = workspace.numbers();
            let mut kept = model.kept(1, &mut rest);
            model.forward(
                &parameters,
                &Batch { size: 1, inputs: Inputs::Tokens(tokens), labels: &[0; 4] },
                &mut kept,
            );
            kept.logits.chunks(4).map(|row| row[1]).collect::<Vec<f64>>()
        };
        let before = first(&[1, 2, 3, 4]);
        assert_eq!(before, first(&[1, 2, 6, 0]));
        assert_ne!(before, first(&[2, 2, 3, 4]));
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused_with_the_reason() {
        let error = Transformer::language(sizes(1, 8, 3, 8, Activation::Gelu), 7, 4).unwrap_err();
        assert_eq!(error, ModelError::Heads { width: 8, heads: 3 });
        let image = Image { height: 8, width: 8, channels: 1, patch: 3 };
        let error =
            Transformer::vision(sizes(1, 8, 2, 8, Activation::Gelu), image, 10, Pooling::Mean)
                .unwrap_err();
        assert!(error.to_string().contains("3 x 3"), "{error}");
    }
}
