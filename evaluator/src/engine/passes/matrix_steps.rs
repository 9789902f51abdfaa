//! Operations of a plan on whole arrays between passes: functions of matrices, and all operations
//! on values of other shapes than the parameters'. Array by array, one after the other; only the
//! products of large matrices are spread over threads.

use std::ops::Range;

use symopt_dsl::plan::{MatrixOperation, MatrixStep, Operation, Plan, Source};
use symopt_dsl::{Function, Type};

use super::smalls::Smalls;
use crate::engine::kernel::{Post, TileOperand, TileOperation};
use crate::engine::matrix::{Matrix, ranges};
use crate::engine::matrix_kernels as kernels;
use crate::reduce;

/// The array types, in the order in which [`Arrays`] counts them.
const TYPES: [Type; 4] = [Type::Tree, Type::Transposed, Type::RowsByRows, Type::ColumnsByColumns];

/// The arrays that exist between passes.
#[derive(Clone, Debug)]
struct Arrays {
    /// Rows and columns of each parameter array.
    matrices: Vec<[usize; 2]>,
    /// By array type: where the numbers of each array stand.
    ranges: [Vec<Range<usize>>; 4],
    /// The kept trees.
    kept: Vec<Vec<f32>>,
    /// The arrays of other shapes, and their types.
    others: Vec<Vec<f32>>,
    types: Vec<Type>,
}

/// A plan's steps between passes.
#[derive(Clone, Debug)]
pub(super) struct MatrixSteps {
    arrays: Arrays,
    scratch: kernels::Scratch,
    /// Whether products may be spread over threads.
    threads: bool,
}

impl Arrays {
    fn type_of(&self, source: Source) -> Type {
        match source {
            Source::Matrix(place) => self.types.get(place).copied().unwrap_or(Type::Tree),
            _ => Type::Tree,
        }
    }

    /// The place of an array type's numbers for a parameter array.
    fn range(&self, ty: Type, array: usize) -> Range<usize> {
        let place = TYPES.iter().position(|other| *other == ty).unwrap_or(0);
        self.ranges[place][array].clone()
    }

    /// The matrix of an operand for a parameter array.
    fn matrix(&self, source: Source, array: usize) -> Matrix<'_, f32> {
        let numbers = match source {
            Source::Kept(place) => self.kept.get(place),
            Source::Matrix(place) => self.others.get(place),
            _ => None,
        };
        let ty = self.type_of(source);
        let numbers = numbers.and_then(|numbers| numbers.get(self.range(ty, array)));
        Matrix { shape: ty.shape(self.matrices[array]), numbers: numbers.unwrap_or_default() }
    }

    fn place(&mut self, source: Source) -> Option<&mut Vec<f32>> {
        match source {
            Source::Kept(place) => self.kept.get_mut(place),
            Source::Matrix(place) => self.others.get_mut(place),
            _ => None,
        }
    }
}

impl MatrixSteps {
    pub(super) fn new(plan: &Plan, matrices: &[[usize; 2]], threads: bool) -> MatrixSteps {
        let mut arrays = Arrays {
            matrices: matrices.to_vec(),
            ranges: TYPES.map(|ty| ranges(matrices, ty)),
            kept: Vec::new(),
            others: Vec::new(),
            types: plan.matrices.clone(),
        };
        let zeros = |ty: Type| {
            let last = matrices.len().checked_sub(1).map(|last| arrays.range(ty, last).end);
            vec![0.0; last.unwrap_or(0)]
        };
        let kept = (0..plan.kept).map(|_| zeros(Type::Tree)).collect();
        let others = plan.matrices.iter().map(|ty| zeros(*ty)).collect();
        (arrays.kept, arrays.others) = (kept, others);
        MatrixSteps { arrays, scratch: kernels::Scratch::default(), threads }
    }

    /// Where the kept trees are.
    pub(super) fn kept(&mut self) -> impl Iterator<Item = *mut f32> {
        self.arrays.kept.iter_mut().map(|numbers| numbers.as_mut_ptr())
    }

    /// Does what is done after a pass.
    pub(super) fn run(&mut self, steps: &[MatrixStep], smalls: &mut Smalls) {
        let MatrixSteps { arrays, scratch, threads } = self;
        for step in steps {
            if let Source::Small(small) = step.target {
                for array in 0..arrays.matrices.len() {
                    let [x, y] =
                        [step.x, step.y].map(|source| arrays.matrix(source, array).numbers);
                    let sum = match step.operation {
                        MatrixOperation::Sum => reduce::sum(x),
                        _ => reduce::sum_of_products(x, y),
                    };
                    smalls.set(small, array, sum);
                }
                continue;
            }
            // No step reads the place that it writes to.
            let mut results = arrays.place(step.target).map(std::mem::take).unwrap_or_default();
            let ty = arrays.type_of(step.target);
            for array in 0..arrays.matrices.len() {
                let result = &mut results[arrays.range(ty, array)];
                match step.operation {
                    MatrixOperation::ElementWise(operation) => {
                        element_wise(operation, step, arrays, array, smalls.row(array), result);
                    }
                    MatrixOperation::Function(function) => {
                        let x = arrays.matrix(step.x, array);
                        match function {
                            Function::Transpose => kernels::transpose(x, result),
                            Function::Matmul => {
                                let y = arrays.matrix(step.y, array);
                                kernels::product(x, y, *threads, scratch, result);
                            }
                            Function::RowMean => kernels::row_mean(x, result),
                            Function::ColumnMean => kernels::column_mean(x, scratch, result),
                            _ => kernels::newton_schulz(x, *threads, scratch, result),
                        }
                    }
                    // Their targets are small values.
                    MatrixOperation::Sum | MatrixOperation::SumOfProducts => {}
                }
            }
            if let Some(place) = arrays.place(step.target) {
                *place = results;
            }
        }
    }
}

fn element_wise(
    operation: Operation,
    step: &MatrixStep,
    arrays: &Arrays,
    array: usize,
    smalls: &[f32],
    result: &mut [f32],
) {
    let operand = |source: Source| match source {
        Source::Small(small) => TileOperand::Number(smalls[small]),
        other => TileOperand::Tile(arrays.matrix(other, array).numbers),
    };
    let [x, y, z] = [step.x, step.y, step.z].map(operand);
    let operation = match operation {
        Operation::Copy => TileOperation::Copy,
        Operation::Blend { rest, weight } => {
            let weights = [smalls[rest], smalls[weight]];
            TileOperation::Linear { weights, square: false, post: Post::None }
        }
        Operation::Function(function) => match function.arity() {
            1 => TileOperation::Unary(function),
            2 => TileOperation::Binary(function),
            _ => TileOperation::Ternary(function),
        },
    };
    operation.run(&x, &y, &z, result);
}
