//! Softmax regression.

use super::product::{self, multiply};
use super::workspace::take;
use super::{
    Batch, Evaluation, Inputs, Model, ModelError, Parameters, Scalar, Start, Workspace,
    check_parameters, check_sizes, cross_entropy, reduction,
};
use std::ops::Range;

/// Softmax regression: `logits = weight · input + bias`.
///
/// Parameters: `weight` [classes, features], normal with standard deviation 0.1 / sqrt(features),
/// and `bias` \[classes\], zero.
#[derive(Clone, Debug)]
pub struct Linear {
    features: usize,
    classes: usize,
    parameters: Parameters,
    weight: Range<usize>,
    bias: Range<usize>,
}

impl Linear {
    /// A model of vectors of `features` numbers in `classes` classes.
    pub fn new(features: usize, classes: usize) -> Result<Self, ModelError> {
        check_sizes(&[("the number of features", features), ("the number of classes", classes)])?;
        if classes > 1 << 16 {
            return Err(ModelError::TooManyClasses(classes));
        }
        let mut parameters = Parameters::default();
        let weight = parameters.add(
            "weight",
            &[classes, features],
            Start::Normal(0.1 / (features as f64).sqrt()),
        );
        let bias = parameters.add("bias", &[classes], Start::Constant(0.0));
        check_parameters(&parameters)?;
        Ok(Linear { features, classes, parameters, weight, bias })
    }

    fn logits<T: Scalar>(&self, parameters: &[T], batch: &Batch<T>, logits: &mut [T]) {
        let Inputs::Vectors { columns, .. } = batch.inputs else {
            panic!("softmax regression takes vectors")
        };
        let bias = product::Start::Rows(&parameters[self.bias.clone()]);
        multiply(
            logits,
            bias,
            &parameters[self.weight.clone()],
            columns,
            [self.classes, self.features, batch.size],
        );
    }
}

impl<T: Scalar> Model<T> for Linear {
    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn workspace_length(&self, batch: usize) -> u128 {
        (self.classes as u128 + 1) * batch as u128
    }

    fn loss_and_gradient(
        &self,
        parameters: &[T],
        batch: &Batch<T>,
        gradient: &mut [T],
        workspace: &mut Workspace<T>,
    ) -> f64 {
        let mut rest = workspace.numbers();
        let logits = take(&mut rest, self.classes * batch.size);
        self.logits(parameters, batch, logits);
        let loss = cross_entropy::loss_and_gradient(logits, batch.labels, rest);
        let Inputs::Vectors { rows, .. } = batch.inputs else {
            panic!("softmax regression takes vectors")
        };
        let shape = [self.classes, batch.size, self.features];
        multiply(&mut gradient[self.weight.clone()], product::Start::Zero, logits, rows, shape);
        reduction::sum_rows(&mut gradient[self.bias.clone()], logits);
        loss
    }

    fn evaluate(
        &self,
        parameters: &[T],
        batch: &Batch<T>,
        workspace: &mut Workspace<T>,
    ) -> Evaluation {
        let mut rest = workspace.numbers();
        let logits = take(&mut rest, self.classes * batch.size);
        self.logits(parameters, batch, logits);
        let (total_loss, hits) = cross_entropy::loss_and_hits(logits, batch.labels, rest);
        Evaluation { total_loss, hits, count: batch.labels.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::gradient_check::{Example, check};

    #[test]
    fn gradient_of_softmax_regression_equals_finite_differences() {
        for (features, classes, batch) in [(1, 2, 1), (5, 3, 7), (64, 10, 16), (9, 4, 37)] {
            check(
                &Linear::new(features, classes).unwrap(),
                Example::vectors(features, classes, batch),
            );
        }
    }

    #[test]
    fn zero_and_huge_sizes_are_refused() {
        assert_eq!(Linear::new(0, 3).unwrap_err(), ModelError::Zero("the number of features"));
        assert_eq!(Linear::new(3, 70_000).unwrap_err(), ModelError::TooManyClasses(70_000));
        assert_eq!(Linear::new(usize::MAX, 3).unwrap_err(), ModelError::TooLarge);
    }
}
