//! Multi-layer perceptron.

use super::product::{self, multiply, multiply_left_transposed, multiply_right_transposed};
use super::workspace::take;
use super::{
    Activation, Batch, Evaluation, Inputs, Model, ModelError, Parameters, Scalar, Start, Workspace,
    check_depth, check_parameters, check_sizes, cross_entropy, reduction,
};
use std::ops::Range;

/// Linear layers with an activation between them; the last gives the logits.
///
/// Parameters of layer i: `layer.i.weight` [outputs, inputs], normal with standard deviation gain /
/// sqrt(inputs) (gain 1 for tanh, sqrt 2 for ReLU and GELU, 0.1 in the last layer), and
/// `layer.i.bias` \[outputs\], zero.
#[derive(Clone, Debug)]
pub struct Mlp {
    layers: Vec<Layer>,
    activation: Activation,
    parameters: Parameters,
}

#[derive(Clone, Debug)]
struct Layer {
    inputs: usize,
    outputs: usize,
    weight: Range<usize>,
    bias: Range<usize>,
}

impl Mlp {
    /// A model with layers from `features` numbers over the `hidden` widths to `classes` logits.
    pub fn new(
        features: usize,
        hidden: &[usize],
        classes: usize,
        activation: Activation,
    ) -> Result<Self, ModelError> {
        check_depth(hidden.len())?;
        check_sizes(&[("the number of features", features), ("the number of classes", classes)])?;
        for &width in hidden {
            check_sizes(&[("the width of a hidden layer", width)])?;
        }
        if classes > 1 << 16 {
            return Err(ModelError::TooManyClasses(classes));
        }
        let widths: Vec<usize> = [&[features], hidden, &[classes]].concat();
        let mut parameters = Parameters::default();
        let mut layers = Vec::new();
        for (i, pair) in widths.windows(2).enumerate() {
            let (inputs, outputs) = (pair[0], pair[1]);
            let gain = match activation {
                _ if i + 2 == widths.len() => 0.1,
                Activation::Tanh => 1.0,
                Activation::Relu | Activation::Gelu => std::f64::consts::SQRT_2,
            };
            let deviation = gain / (inputs as f64).sqrt();
            let weight = parameters.add(
                format!("layer.{i}.weight"),
                &[outputs, inputs],
                Start::Normal(deviation),
            );
            let bias = parameters.add(format!("layer.{i}.bias"), &[outputs], Start::Constant(0.0));
            layers.push(Layer { inputs, outputs, weight, bias });
            check_parameters(&parameters)?;
        }
        Ok(Mlp { layers, activation, parameters })
    }

    fn hidden_width(&self) -> usize {
        self.layers[..self.layers.len() - 1].iter().map(|layer| layer.outputs).sum()
    }

    fn widest(&self) -> usize {
        self.layers.iter().map(|layer| layer.outputs).max().unwrap_or(0)
    }

    /// Fills `before` and `after` with the hidden layers one after the other, and the logits.
    fn forward<T: Scalar>(
        &self,
        parameters: &[T],
        batch: &Batch<T>,
        before: &mut [T],
        after: &mut [T],
        logits: &mut [T],
    ) {
        let Inputs::Vectors { columns, .. } = batch.inputs else {
            panic!("a perceptron takes vectors")
        };
        let n = batch.size;
        let mut done = 0;
        for (i, layer) in self.layers.iter().enumerate() {
            let (earlier, later) = after.split_at_mut(done);
            let input = if i == 0 { columns } else { &earlier[done - layer.inputs * n..] };
            let last = i + 1 == self.layers.len();
            let output =
                if last { &mut *logits } else { &mut before[done..done + layer.outputs * n] };
            let bias = product::Start::Rows(&parameters[layer.bias.clone()]);
            multiply(
                output,
                bias,
                &parameters[layer.weight.clone()],
                input,
                [layer.outputs, layer.inputs, n],
            );
            if !last {
                self.activation.forward(output, &mut later[..layer.outputs * n]);
                done += layer.outputs * n;
            }
        }
    }
}

impl<T: Scalar> Model<T> for Mlp {
    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn workspace_length(&self, batch: usize) -> u128 {
        (2 * self.hidden_width() as u128 + 3 * self.widest() as u128 + 1) * batch as u128
    }

    fn loss_and_gradient(
        &self,
        parameters: &[T],
        batch: &Batch<T>,
        gradient: &mut [T],
        workspace: &mut Workspace<T>,
    ) -> f64 {
        let n = batch.size;
        let Inputs::Vectors { rows, .. } = batch.inputs else {
            panic!("a perceptron takes vectors")
        };
        let mut rest = workspace.numbers();
        let before = take(&mut rest, self.hidden_width() * n);
        let after = take(&mut rest, self.hidden_width() * n);
        let mut output_gradient = take(&mut rest, self.widest() * n);
        let mut input_gradient = take(&mut rest, self.widest() * n);
        let scratch = take(&mut rest, self.widest() * n);

        let classes = self.layers[self.layers.len() - 1].outputs;
        self.forward(parameters, batch, before, after, &mut output_gradient[..classes * n]);
        let loss = cross_entropy::loss_and_gradient(
            &mut output_gradient[..classes * n],
            batch.labels,
            rest,
        );

        let mut left = self.hidden_width() * n;
        for (i, layer) in self.layers.iter().enumerate().rev() {
            let above = &output_gradient[..layer.outputs * n];
            reduction::sum_rows(&mut gradient[layer.bias.clone()], above);
            let weight = &mut gradient[layer.weight.clone()];
            if i == 0 {
                multiply(
                    weight,
                    product::Start::Zero,
                    above,
                    rows,
                    [layer.outputs, n, layer.inputs],
                );
                break;
            }
            let place = left - layer.inputs * n..left;
            left = place.start;
            multiply_right_transposed(
                weight,
                above,
                &after[place.clone()],
                [layer.outputs, n, layer.inputs],
                scratch,
            );
            let below = &mut input_gradient[..layer.inputs * n];
            let shape = [layer.inputs, layer.outputs, n];
            multiply_left_transposed(
                below,
                product::Start::Zero,
                &parameters[layer.weight.clone()],
                above,
                shape,
            );
            self.activation.backward(&before[place.clone()], &after[place], below);
            std::mem::swap(&mut output_gradient, &mut input_gradient);
        }
        loss
    }

    fn evaluate(
        &self,
        parameters: &[T],
        batch: &Batch<T>,
        workspace: &mut Workspace<T>,
    ) -> Evaluation {
        let n = batch.size;
        let mut rest = workspace.numbers();
        let before = take(&mut rest, self.hidden_width() * n);
        let after = take(&mut rest, self.hidden_width() * n);
        let logits = take(&mut rest, self.layers[self.layers.len() - 1].outputs * n);
        self.forward(parameters, batch, before, after, logits);
        let (total_loss, hits) = cross_entropy::loss_and_hits(logits, batch.labels, rest);
        Evaluation { total_loss, hits, count: batch.labels.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::gradient_check::{Example, check};

    #[test]
    fn gradient_of_perceptrons_equals_finite_differences() {
        use Activation::{Gelu, Relu, Tanh};
        for (features, hidden, classes, activation, batch) in [
            (6, &[5][..], 3, Tanh, 9),
            (16, &[32], 8, Tanh, 16),
            (7, &[9, 4], 3, Relu, 17),
            (5, &[8, 3, 6], 4, Gelu, 33),
            (4, &[], 3, Tanh, 5),
        ] {
            check(
                &Mlp::new(features, hidden, classes, activation).unwrap(),
                Example::vectors(features, classes, batch),
            );
        }
    }
}
