//! The small values of a plan while its steps run.

use std::ops::Range;

use symopt_dsl::plan::{Plan, SmallOperation};
use symopt_dsl::{Type, semantics};

use crate::engine::step::StepInputs;
use crate::hyperparameters::Hyperparameter;
use crate::reduce;

/// The small values: each has one number, or one for each array.
#[derive(Clone, Debug, Default)]
pub(super) struct Smalls {
    values: Vec<f64>,
    /// Part of `values` that holds each small value.
    places: Vec<Range<usize>>,
    /// Row after row the small values of an array, rounded; one row if they are the same for all
    /// arrays.
    rounded: Vec<f32>,
    pub(super) rows: usize,
    /// Whether every small value has exactly one number, at its own place: the usual case, and the
    /// fast one.
    single: bool,
    /// For each pass the small values that differ from step to step.
    pub(super) changing: Vec<Vec<usize>>,
    /// Whether the others have to be computed as well.
    pub(super) stale: bool,
    /// Rows and columns of each array.
    matrices: Vec<[usize; 2]>,
}

impl Smalls {
    /// `matrices` has rows and columns of the arrays that are told apart.
    pub(super) fn new(
        plan: &Plan,
        hyperparameters: &[Hyperparameter],
        matrices: &[[usize; 2]],
    ) -> Smalls {
        let mut varies: Vec<bool> = Vec::with_capacity(plan.smalls.len());
        let mut places = Vec::with_capacity(plan.smalls.len());
        let mut length = 0;
        let mut changes: Vec<bool> = Vec::with_capacity(plan.smalls.len());
        for small in &plan.smalls {
            changes.push(match small.operation {
                Some(
                    SmallOperation::Constant(_)
                    | SmallOperation::Hyperparameter(_)
                    | SmallOperation::Size(_)
                    | SmallOperation::Rows(_)
                    | SmallOperation::Columns(_),
                ) => false,
                Some(SmallOperation::Function(function, operands)) => {
                    operands[..function.arity()].iter().any(|o| changes[*o])
                }
                _ => true,
            });
            // Beside what the plan tells apart, values that come from a hyperparameter with
            // overrides. The operands come first.
            let overridden = match small.operation {
                Some(SmallOperation::Hyperparameter(index)) => {
                    hyperparameters.get(index).is_some_and(|h| !h.by_array.is_empty())
                }
                Some(SmallOperation::Function(function, operands)) => {
                    operands[..function.arity()].iter().any(|o| varies[*o])
                }
                Some(SmallOperation::SquareRoot(x)) => varies[x],
                Some(SmallOperation::ClipFactor(_, limit)) => varies[limit],
                _ => false,
            };
            varies.push(small.per_array || overridden);
            let width = if small.per_array || overridden { matrices.len() } else { 1 };
            places.push(length..length + width);
            length += width;
        }
        let rows = if varies.contains(&true) { matrices.len().max(1) } else { 1 };
        Smalls {
            values: vec![0.0; length],
            single: places.iter().all(|place| place.len() == 1),
            places,
            rounded: vec![0.0; rows * plan.smalls.len()],
            rows,
            changing: plan
                .passes
                .iter()
                .map(|pass| pass.smalls.iter().copied().filter(|small| changes[*small]).collect())
                .collect(),
            stale: true,
            matrices: matrices.to_vec(),
        }
    }

    /// Rows and columns of a value of a type for an array.
    fn shape(&self, ty: Type, array: usize) -> [usize; 2] {
        ty.shape(self.matrices.get(array).copied().unwrap_or_default())
    }

    /// The value at an array.
    fn at(&self, small: usize, array: usize) -> f64 {
        if self.single {
            return self.values[small];
        }
        let place = &self.places[small];
        self.values[place.start + if place.len() == 1 { 0 } else { array }]
    }

    fn all(&self, small: usize) -> &[f64] {
        &self.values[self.places[small].clone()]
    }

    pub(super) fn compute(&mut self, small: usize, operation: SmallOperation, inputs: StepInputs) {
        for array in 0..if self.single { 1 } else { self.places[small].len() } {
            let value = match operation {
                SmallOperation::Constant(value) => value,
                SmallOperation::LearningRate => inputs.lr,
                SmallOperation::Step => inputs.step as f64,
                SmallOperation::Hyperparameter(index) => {
                    inputs.hyperparameters.get(index).map_or(0.0, |h| h.at(array))
                }
                SmallOperation::Function(function, operands) => {
                    let mut x = [0.0; 3];
                    for (x, operand) in x.iter_mut().zip(&operands[..function.arity()]) {
                        *x = self.at(*operand, array);
                    }
                    function.on_scalars(x)
                }
                SmallOperation::SquareRoot(x) => libm::sqrt(self.at(x, array)),
                SmallOperation::Size(ty) => self.shape(ty, array).iter().product::<usize>() as f64,
                SmallOperation::Rows(ty) => self.shape(ty, array)[0] as f64,
                SmallOperation::Columns(ty) => self.shape(ty, array)[1] as f64,
                SmallOperation::Total(x) => reduce::combine(self.all(x)),
                SmallOperation::Cosine([xy, xx, yy]) => {
                    semantics::cosine_similarity(self.at(xy, 0), self.at(xx, 0), self.at(yy, 0))
                }
                SmallOperation::ClipFactor(squares, limit) => {
                    semantics::clip_factor(libm::sqrt(self.at(squares, 0)), self.at(limit, array))
                }
            };
            self.set(small, array, value);
        }
    }

    pub(super) fn set(&mut self, small: usize, array: usize, value: f64) {
        if self.single {
            self.values[small] = value;
            self.rounded[small] = value as f32;
            return;
        }
        let place = &self.places[small];
        self.values[place.start + array] = value;
        let columns = self.places.len();
        if place.len() == self.rows {
            self.rounded[array * columns + small] = value as f32;
        } else {
            self.rounded[small..]
                .iter_mut()
                .step_by(columns)
                .for_each(|number| *number = value as f32);
        }
    }

    pub(super) fn row(&self, array: usize) -> &[f32] {
        let columns = self.places.len();
        let row = if self.rows == 1 { 0 } else { array };
        &self.rounded[row * columns..(row + 1) * columns]
    }
}
