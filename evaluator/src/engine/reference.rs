//! The reference interpreter: a program run statement by statement over ndarray. Nothing else
//! defines what a program means.
//!
//! It is written to be read, not to be fast. Trees are arrays of `T`; scalars and per-array values
//! are f64 and are rounded to `T` where they enter the arithmetic of arrays, as Python floats are
//! in eager array libraries. While a step runs, the parameter arrays of a tree stand one behind the
//! other.
//!
//! The functions of matrices for one array are in [`crate::engine::matrix`].

use std::borrow::Cow;
use std::marker::PhantomData;
use std::ops::Range;

use ndarray::{Array1, ArrayD, IxDyn, Zip, s};
use smallvec::SmallVec;
use symopt_dsl::program::ParameterKind;
use symopt_dsl::types::matrix_shape;
use symopt_dsl::{Function, Graph, Operand, Program, Statement, Type, semantics};

use crate::engine::{kernel, matrix};
use crate::error::OptimizerError;
use crate::hyperparameters::{Hyperparameter, Hyperparameters};
use crate::math::Real;
use crate::reduce;

/// A value while a step runs.
#[derive(Clone, Debug)]
enum Value<T> {
    Scalar(f64),
    /// A scalar of a program whose hyperparameters differ from array to array.
    ScalarByArray(Vec<f64>),
    /// One number for each parameter array.
    PerArray(Vec<f64>),
    /// The numbers of all parameter arrays.
    Tree(Array1<T>),
    /// The numbers of a matrix of another shape for each parameter array.
    Matrices(Type, Array1<T>),
}

impl<T> Value<T> {
    fn ty(&self) -> Type {
        match self {
            Value::Scalar(_) | Value::ScalarByArray(_) => Type::Scalar,
            Value::PerArray(_) => Type::PerArray,
            Value::Tree(_) => Type::Tree,
            Value::Matrices(ty, _) => *ty,
        }
    }

    /// The value of an array type that has these numbers.
    fn of(ty: Type, numbers: Array1<T>) -> Value<T> {
        if ty == Type::Tree { Value::Tree(numbers) } else { Value::Matrices(ty, numbers) }
    }

    /// The numbers of all arrays; `None` for what is no array.
    fn numbers(&self) -> Option<&Array1<T>> {
        match self {
            Value::Tree(numbers) | Value::Matrices(_, numbers) => Some(numbers),
            _ => None,
        }
    }

    /// The same.
    fn into_numbers(self) -> Option<Array1<T>> {
        match self {
            Value::Tree(numbers) | Value::Matrices(_, numbers) => Some(numbers),
            _ => None,
        }
    }

    /// The number at an array of what is no tree.
    fn at(&self, array: usize) -> f64 {
        match self {
            Value::Scalar(x) => *x,
            Value::ScalarByArray(values) | Value::PerArray(values) => values[array],
            Value::Tree(_) | Value::Matrices(..) => f64::NAN,
        }
    }

    /// A scalar with each of its numbers put through a function.
    fn map_scalar(&self, f: impl Fn(f64) -> f64) -> Value<T> {
        match self {
            Value::ScalarByArray(values) => {
                Value::ScalarByArray(values.iter().map(|x| f(*x)).collect())
            }
            other => Value::Scalar(f(other.at(0))),
        }
    }
}

/// The oracle without its state: one step of a program over flat arrays.
#[derive(Clone, Debug)]
struct Interpreter<T> {
    program: Program,
    /// Rows and columns of each array.
    matrices: Vec<[usize; 2]>,
    /// Where the numbers of each array stand in a tree.
    ranges: Vec<Range<usize>>,
    /// Whether numbers that are no floats of the program's text or of its settings are rounded to
    /// f32.
    scalars_in_f32: bool,
    numbers: PhantomData<T>,
}

/// The numbers of a matrix for each array, one behind the other, and where each matrix stands among
/// them.
type Matrices<'a, T> = (&'a [T], Cow<'a, [Range<usize>]>);

/// Inputs of a step, all arrays one behind the other.
struct Inputs<'a, T> {
    weights: Array1<T>,
    gradients: Array1<T>,
    /// By slot of the signature.
    slots: Vec<Array1<T>>,
    lr: f64,
    step: u64,
    hyperparameters: &'a [Hyperparameter],
}

/// Outputs of a step.
struct Outputs<T> {
    update: Array1<T>,
    /// By slot of the signature.
    slots: Vec<Array1<T>>,
}

/// A program with its state, run by the oracle in `f32` or `f64`.
#[derive(Clone, Debug)]
pub struct Reference<T> {
    interpreter: Interpreter<T>,
    shapes: Vec<Vec<usize>>,
    slots: Vec<Vec<ArrayD<T>>>,
    hyperparameters: Hyperparameters,
    step: u64,
}

impl<T: Real> Reference<T> {
    /// A program with zero state for parameter arrays of the given shapes.
    pub fn new(program: &Program, shapes: &[Vec<usize>]) -> Result<Reference<T>, OptimizerError> {
        Graph::new(program).map_err(|errors| OptimizerError::Type {
            program: program.signature().name.clone(),
            errors,
        })?;
        let zeros: Vec<ArrayD<T>> =
            shapes.iter().map(|shape| ArrayD::from_elem(IxDyn(shape), T::from_f64(0.0))).collect();
        Ok(Reference {
            interpreter: Interpreter::new(program, shapes.iter().map(Vec::as_slice)),
            slots: program.signature().slots().map(|_| zeros.clone()).collect(),
            hyperparameters: Hyperparameters::new(program),
            shapes: shapes.to_vec(),
            step: 0,
        })
    }

    /// The same program in a library whose scalars are f32, such as JAX: the learning rate, the
    /// step count, sums over arrays and all that is computed from them are rounded to f32. This is
    /// not what the program means; it tells how much that matters.
    pub fn with_scalars_in_f32(mut self) -> Reference<T> {
        self.interpreter.scalars_in_f32 = true;
        self
    }

    /// Sets a hyperparameter.
    pub fn set(&mut self, name: &str, value: f64) -> Result<(), OptimizerError> {
        self.hyperparameters.set(name, value, &self.array_names())
    }

    /// Sets a hyperparameter for the arrays whose names match a pattern, as
    /// [`Optimizer::set_for`](crate::Optimizer::set_for) does. The arrays are called `array0`,
    /// `array1` and so on.
    pub fn set_for(
        &mut self,
        pattern: &str,
        name: &str,
        value: f64,
    ) -> Result<usize, OptimizerError> {
        self.hyperparameters.set_for(pattern, name, value, &self.array_names())
    }

    fn array_names(&self) -> Vec<String> {
        (0..self.shapes.len()).map(|i| format!("array{i}")).collect()
    }

    /// The state slots, in the order of the signature: for each an array of the shape of each
    /// parameter array.
    pub fn slots(&self) -> &[Vec<ArrayD<T>>] {
        &self.slots
    }

    /// The same, to be changed: storage in a smaller type is rounded from outside.
    pub fn slots_mut(&mut self) -> &mut [Vec<ArrayD<T>>] {
        &mut self.slots
    }

    /// Back to the first step: zero state, as after [`Reference::new`]. Hyperparameters stay as
    /// they are.
    pub fn restart(&mut self) {
        self.step = 0;
        for array in self.slots.iter_mut().flatten() {
            array.fill(T::from_f64(0.0));
        }
    }

    /// One step: `weights` become `weights - update`.
    pub fn step(
        &mut self,
        weights: &mut [ArrayD<T>],
        gradients: &[ArrayD<T>],
        lr: f64,
    ) -> Result<(), OptimizerError> {
        let update = self.update(weights, gradients, lr)?;
        for (weights, update) in weights.iter_mut().zip(&update) {
            Zip::from(weights).and(update).for_each(|w, u| *w = w.subtract(*u));
        }
        Ok(())
    }

    /// One step that leaves the weights alone: the state goes on, and what [`Reference::step`]
    /// would take from the weights is returned.
    pub fn update(
        &mut self,
        weights: &[ArrayD<T>],
        gradients: &[ArrayD<T>],
        lr: f64,
    ) -> Result<Vec<ArrayD<T>>, OptimizerError> {
        let fits = |arrays: &[ArrayD<T>]| {
            arrays.len() == self.shapes.len()
                && arrays.iter().zip(&self.shapes).all(|(a, s)| a.shape() == s)
        };
        if !fits(weights) || !fits(gradients) {
            return Err(OptimizerError::Shape {
                expected: format!("arrays of shapes {:?}", self.shapes),
            });
        }
        self.step += 1;
        let inputs = Inputs {
            weights: self.gather(weights),
            gradients: self.gather(gradients),
            slots: self.slots.iter().map(|slot| self.gather(slot)).collect(),
            lr,
            step: self.step,
            hyperparameters: self.hyperparameters.all(),
        };
        let outputs = self.interpreter.run(inputs);
        let ranges = &self.interpreter.ranges;
        let put = |tree: &Array1<T>, arrays: &mut [ArrayD<T>]| {
            for (array, range) in arrays.iter_mut().zip(ranges) {
                array
                    .iter_mut()
                    .zip(tree.slice(s![range.clone()]))
                    .for_each(|(place, x)| *place = *x);
            }
        };
        for (slot, next) in self.slots.iter_mut().zip(&outputs.slots) {
            put(next, slot);
        }
        let mut update = gradients.to_vec();
        put(&outputs.update, &mut update);
        Ok(update)
    }

    /// The numbers of arrays of the parameters' shapes as a tree.
    fn gather(&self, arrays: &[ArrayD<T>]) -> Array1<T> {
        let mut numbers = Vec::with_capacity(self.interpreter.length());
        for array in arrays {
            match array.as_slice() {
                Some(slice) => numbers.extend_from_slice(slice),
                // An array from outside that is laid out in another order.
                None => numbers.extend(array.iter().copied()),
            }
        }
        Array1::from_vec(numbers)
    }
}

impl<T: Real> Interpreter<T> {
    /// An interpreter of a well-typed program for arrays of the given shapes.
    fn new<'a>(program: &Program, shapes: impl Iterator<Item = &'a [usize]>) -> Interpreter<T> {
        let matrices: Vec<[usize; 2]> = shapes.map(matrix_shape).collect();
        let ranges = matrix::ranges(&matrices, Type::Tree);
        Interpreter {
            program: program.clone(),
            ranges,
            matrices,
            scalars_in_f32: false,
            numbers: PhantomData,
        }
    }

    /// How many numbers a tree has.
    fn length(&self) -> usize {
        self.ranges.last().map_or(0, |range| range.end)
    }

    /// One step. The inputs are as long as all arrays together, and there is one for each slot and
    /// hyperparameter of the signature.
    fn run(&self, inputs: Inputs<'_, T>) -> Outputs<T> {
        let Inputs { weights, gradients, slots, lr, step, hyperparameters } = inputs;
        let signature = self.program.signature();
        let mut environment: Vec<Option<Value<T>>> = vec![None; self.program.variable_count()];
        let (mut weights, mut gradients) = (Some(weights), Some(gradients));
        let (mut slots, mut hyperparameters) = (slots.into_iter(), hyperparameters.iter());
        for (variable, parameter) in environment.iter_mut().zip(&signature.parameters) {
            *variable = match parameter.kind {
                ParameterKind::Weights => weights.take().map(Value::Tree),
                ParameterKind::Gradients => gradients.take().map(Value::Tree),
                ParameterKind::LearningRate => Some(Value::Scalar(self.rounded(lr))),
                ParameterKind::Step => Some(Value::Scalar(self.rounded(step as f64))),
                ParameterKind::Slot(_) => slots.next().map(Value::Tree),
                ParameterKind::Hyperparameter => Some(match hyperparameters.next() {
                    Some(Hyperparameter { value, by_array, .. }) if by_array.is_empty() => {
                        Value::Scalar(*value)
                    }
                    Some(Hyperparameter { by_array, .. }) => Value::ScalarByArray(by_array.clone()),
                    None => Value::Scalar(0.0),
                }),
            };
        }
        // Floats, and what is computed from floats alone, are f64 in every library.
        let mut floats: Vec<bool> = signature
            .parameters
            .iter()
            .map(|parameter| parameter.kind == ParameterKind::Hyperparameter)
            .collect();
        floats.resize(environment.len(), false);
        for statement in &self.program.statements {
            let of_floats = statement.arguments().iter().all(|argument| match argument {
                Operand::Constant(_) => true,
                Operand::Variable(id) => floats[id.index()],
            });
            let is_rounded = self.scalars_in_f32 && !of_floats;
            let value = self.call(statement, &environment, is_rounded);
            let value = if is_rounded { self.rounded_value(value) } else { value };
            floats[statement.target.index()] = of_floats;
            environment[statement.target.index()] = Some(value);
        }
        // Abstract execution has shown that what is returned are trees.
        let tree =
            |value: Option<&Value<T>>| value.and_then(Value::numbers).cloned().unwrap_or_default();
        Outputs {
            update: tree(environment[self.program.update.index()].as_ref()),
            slots: signature
                .slots()
                .map(|variable| tree(environment[variable.index()].as_ref()))
                .collect(),
        }
    }

    /// A number as the scalars of this interpreter are.
    fn rounded(&self, x: f64) -> f64 {
        if self.scalars_in_f32 { f64::from(x as f32) } else { x }
    }

    fn rounded_value(&self, value: Value<T>) -> Value<T> {
        let all = |values: Vec<f64>| values.into_iter().map(|x| self.rounded(x)).collect();
        match value {
            Value::Scalar(x) => Value::Scalar(self.rounded(x)),
            Value::ScalarByArray(values) => Value::ScalarByArray(all(values)),
            Value::PerArray(values) => Value::PerArray(all(values)),
            arrays => arrays,
        }
    }

    /// Where the numbers of each array stand in a value of a type.
    fn ranges(&self, ty: Type) -> Cow<'_, [Range<usize>]> {
        match ty {
            Type::RowsByRows | Type::ColumnsByColumns => {
                Cow::Owned(matrix::ranges(&self.matrices, ty))
            }
            _ => Cow::Borrowed(&self.ranges),
        }
    }

    /// The value of a statement; `is_rounded` says whether floats are rounded as they meet other
    /// numbers.
    fn call(
        &self,
        statement: &Statement,
        environment: &[Option<Value<T>>],
        is_rounded: bool,
    ) -> Value<T> {
        let function = statement.function.under(self.program.signature().numerics);
        let variable = |operand: &Operand| match operand {
            Operand::Constant(_) => None,
            Operand::Variable(id) => environment[id.index()].as_ref(),
        };
        // Where they meet arrays they are rounded anyway.
        let is_rounded = is_rounded
            && !statement
                .arguments()
                .iter()
                .filter_map(variable)
                .any(|value| value.ty().is_array());
        // A number that is tested meets no other: a float is compared with 0 as it is.
        let is_rounded_at = |i: usize| is_rounded && !(i == 0 && function == Function::Where);
        // Constants, and NaN for a variable that has no value: abstract execution has shown that
        // every variable is assigned before it is read.
        let numbers: [Value<T>; 3] = std::array::from_fn(|i| match statement.arguments().get(i) {
            Some(Operand::Constant(value)) if is_rounded_at(i) => {
                Value::Scalar(self.rounded(*value))
            }
            Some(Operand::Constant(value)) => Value::Scalar(*value),
            Some(operand) if is_rounded_at(i) => variable(operand)
                .map_or(Value::Scalar(f64::NAN), |value| self.rounded_value(value.clone())),
            _ => Value::Scalar(f64::NAN),
        });
        let arguments: SmallVec<[&Value<T>; 3]> = statement
            .arguments()
            .iter()
            .zip(&numbers)
            .enumerate()
            .map(|(i, (operand, number))| {
                variable(operand).filter(|_| !is_rounded_at(i)).unwrap_or(number)
            })
            .collect();
        let largest = arguments.iter().map(|a| a.ty()).max().unwrap_or(Type::Scalar);
        if largest == Type::Scalar {
            return self.per_array(function, &arguments);
        }
        match function {
            Function::Norm => match arguments[0] {
                Value::Tree(_) | Value::Matrices(..) => Value::PerArray(
                    self.products(arguments[0], arguments[0]).into_iter().map(libm::sqrt).collect(),
                ),
                _ => self.per_array(function, &arguments),
            },
            Function::Mean => match arguments[0].numbers() {
                Some(numbers) => Value::PerArray(means(numbers, &self.ranges(arguments[0].ty()))),
                None => self.per_array(function, &arguments),
            },
            Function::Size => match arguments[0].numbers() {
                Some(_) => Value::PerArray(
                    self.ranges(arguments[0].ty()).iter().map(|range| range.len() as f64).collect(),
                ),
                None => self.per_array(function, &arguments),
            },
            Function::GlobalNorm => Value::Scalar(self.global_norm(arguments[0])),
            Function::Dot => Value::Scalar(self.dot(arguments[0], arguments[1])),
            Function::CosineSim => {
                // Broadcast first, so that both are vectors of one length.
                let (x, y) =
                    (self.broadcast(arguments[0], largest), self.broadcast(arguments[1], largest));
                Value::Scalar(semantics::cosine_similarity(
                    self.dot(&x, &y),
                    self.dot(&x, &x),
                    self.dot(&y, &y),
                ))
            }
            Function::Clip => {
                let norm = self.global_norm(arguments[0]);
                let factor = arguments[1].map_scalar(|limit| semantics::clip_factor(norm, limit));
                self.element_wise(Function::Multiply, &[arguments[0], &factor])
            }
            Function::Interp => {
                let rest = arguments[2].map_scalar(|a| 1.0 - a);
                let x = self.element_wise(Function::Multiply, &[&rest, arguments[0]]);
                let y = self.element_wise(Function::Multiply, &[arguments[2], arguments[1]]);
                self.element_wise_in(largest, Function::Add, &[&x, &y])
            }
            Function::Transpose
            | Function::Matmul
            | Function::RowMean
            | Function::ColumnMean
            | Function::NewtonSchulz
            | Function::Rows
            | Function::Columns => self.of_matrices(function, &arguments),
            _ => self.element_wise(function, &arguments),
        }
    }

    /// A function of matrices, array by array.
    fn of_matrices(&self, function: Function, arguments: &[&Value<T>]) -> Value<T> {
        let types: SmallVec<[Type; 3]> = arguments.iter().map(|a| a.ty()).collect();
        // Abstract execution has shown that the shapes go together.
        let (Some(first), Ok(ty)) =
            (types.first().filter(|ty| ty.is_array()), function.result_type(&types))
        else {
            return self.per_array(function, arguments);
        };
        let shapes = |ty: Type| self.matrices.iter().map(move |matrix| ty.shape(*matrix));
        if let Function::Rows | Function::Columns = function {
            let axis = usize::from(function == Function::Columns);
            return Value::PerArray(shapes(*first).map(|shape| shape[axis] as f64).collect());
        }
        let mut operands: SmallVec<[Matrices<T>; 3]> = SmallVec::new();
        for (argument, ty) in arguments.iter().zip(&types) {
            operands.push((
                argument.numbers().and_then(|numbers| numbers.as_slice()).unwrap_or_default(),
                self.ranges(*ty),
            ));
        }
        let mut numbers = Vec::new();
        for (array, matrix) in self.matrices.iter().enumerate() {
            let operand = |index: usize| {
                let (numbers, ranges) = &operands[index];
                matrix::Matrix {
                    shape: types[index].shape(*matrix),
                    numbers: &numbers[ranges[array].clone()],
                }
            };
            let x = operand(0);
            numbers.extend(match function {
                Function::Transpose => matrix::transpose(x),
                Function::Matmul => matrix::product(x, operand(1)),
                Function::RowMean => matrix::row_mean(x),
                Function::ColumnMean => matrix::column_mean(x),
                // Divided by a norm that is infinite in f32 alone.
                _ if self.scalars_in_f32
                    && is_infinite_in_f32(reduce::sum_of_products(x.numbers, x.numbers)) =>
                {
                    vec![T::from_f64(0.0); x.numbers.len()]
                }
                _ => matrix::newton_schulz(x),
            });
        }
        Value::of(ty, Array1::from_vec(numbers))
    }

    fn element_wise(&self, function: Function, arguments: &[&Value<T>]) -> Value<T> {
        let largest = arguments.iter().map(|a| a.ty()).max().unwrap_or(Type::Scalar);
        self.element_wise_in(largest, function, arguments)
    }

    fn element_wise_in(&self, ty: Type, function: Function, arguments: &[&Value<T>]) -> Value<T> {
        if !ty.is_array() {
            return self.per_array(function, arguments);
        }
        let [first, rest @ ..] = arguments else { return Value::Scalar(f64::NAN) };
        let Some(mut result) = self.broadcast(first, ty).into_numbers() else {
            return Value::Scalar(f64::NAN);
        };
        if let Some(f) = kernel::unary::<T>(function) {
            result.mapv_inplace(f);
        } else if let (Some(f), [second, third]) = (kernel::ternary::<T>(function), rest) {
            if let (Some(second), Some(third)) = (
                self.broadcast(second, ty).into_numbers(),
                self.broadcast(third, ty).into_numbers(),
            ) {
                Zip::from(&mut result)
                    .and(&second)
                    .and(&third)
                    .for_each(|x, y, z| *x = f(*x, *y, *z));
            }
        } else if let (Some(f), [second, ..]) = (kernel::binary::<T>(function), rest) {
            match second {
                Value::Tree(second) | Value::Matrices(_, second) => {
                    Zip::from(&mut result).and(second).for_each(|x, y| *x = f(*x, *y))
                }
                Value::Scalar(number) => {
                    let y = T::from_f64(*number);
                    result.mapv_inplace(|x| f(x, y));
                }
                _ => {
                    if let Some(second) = self.broadcast(second, ty).into_numbers() {
                        Zip::from(&mut result).and(&second).for_each(|x, y| *x = f(*x, *y));
                    }
                }
            }
        }
        Value::of(ty, result)
    }

    /// A function of values that are no trees, number by number; a scalar if all arguments are.
    fn per_array(&self, function: Function, arguments: &[&Value<T>]) -> Value<T> {
        let at = |array: usize| {
            let mut x = [0.0; 3];
            for (x, argument) in x.iter_mut().zip(arguments) {
                *x = argument.at(array);
            }
            function.on_scalars(x)
        };
        if arguments.iter().all(|a| matches!(a, Value::Scalar(_))) {
            return Value::Scalar(at(0));
        }
        let values = (0..self.matrices.len()).map(at).collect();
        if arguments.iter().all(|a| a.ty() == Type::Scalar) {
            Value::ScalarByArray(values)
        } else {
            Value::PerArray(values)
        }
    }

    fn broadcast(&self, value: &Value<T>, ty: Type) -> Value<T> {
        match (value, ty) {
            (Value::Tree(_) | Value::Matrices(..), _) | (_, Type::Scalar) => value.clone(),
            (_, Type::PerArray) => {
                Value::PerArray((0..self.matrices.len()).map(|i| value.at(i)).collect())
            }
            (Value::Scalar(x), _) => Value::of(
                ty,
                Array1::from_elem(
                    self.ranges(ty).last().map_or(0, |range| range.end),
                    T::from_f64(*x),
                ),
            ),
            _ => {
                let array = |(i, range): (usize, &Range<usize>)| {
                    std::iter::repeat_n(T::from_f64(value.at(i)), range.len())
                };
                Value::of(ty, self.ranges(ty).iter().enumerate().flat_map(array).collect())
            }
        }
    }

    /// For each array the sum of the products of two values, in the fixed order of [`reduce`].
    fn products(&self, x: &Value<T>, y: &Value<T>) -> Vec<f64> {
        let largest = x.ty().max(y.ty());
        match (self.broadcast(x, largest), self.broadcast(y, largest)) {
            (Value::Tree(x), Value::Tree(y)) | (Value::Matrices(_, x), Value::Matrices(_, y)) => {
                let array = |range: &Range<usize>| match (
                    x.slice(s![range.clone()]).to_slice(),
                    y.slice(s![range.clone()]).to_slice(),
                ) {
                    (Some(x), Some(y)) => self.rounded(reduce::sum_of_products(x, y)),
                    _ => f64::NAN,
                };
                self.ranges(largest).iter().map(array).collect()
            }
            (Value::PerArray(x), Value::PerArray(y)) => {
                x.iter().zip(&y).map(|(x, y)| x * y).collect()
            }
            (Value::Scalar(x), Value::Scalar(y)) => vec![x * y],
            _ => Vec::new(),
        }
    }

    fn dot(&self, x: &Value<T>, y: &Value<T>) -> f64 {
        self.rounded(reduce::combine(&self.products(x, y)))
    }

    fn global_norm(&self, x: &Value<T>) -> f64 {
        libm::sqrt(self.dot(x, x))
    }
}

fn is_infinite_in_f32(x: f64) -> bool {
    x.is_finite() && (x as f32).is_infinite()
}

/// Returns the mean of each array: its sum in the fixed order of [`reduce`], divided by its size.
fn means<T: Real>(numbers: &Array1<T>, ranges: &[Range<usize>]) -> Vec<f64> {
    let mean = |range: &Range<usize>| match numbers.slice(s![range.clone()]).to_slice() {
        Some(numbers) => reduce::sum(numbers) / numbers.len() as f64,
        None => f64::NAN,
    };
    ranges.iter().map(mean).collect()
}
