//! The reference interpreter: a program run statement by statement over ndarray. Nothing else defines what a program means.
//!
//! It is written to be read, not to be fast. Trees are arrays of `T`; scalars and per-array values are f64 and are rounded to `T` where they
//! enter the arithmetic of arrays, as Python floats are in eager array libraries.

use ndarray::{ArrayD, IxDyn, Zip};
use symopt_dsl::program::ParameterKind;
use symopt_dsl::{Function, Graph, Operand, Program, Statement, Type, semantics};

use crate::kernel;
use crate::math::Real;
use crate::optimizer::OptimizerError;
use crate::reduce;

/// A value while a step runs.
#[derive(Clone, Debug)]
enum Value<T> {
    Scalar(f64),
    /// One number for each parameter array.
    PerArray(Vec<f64>),
    /// One array for each parameter array.
    Tree(Vec<ArrayD<T>>),
}

impl<T> Value<T> {
    fn ty(&self) -> Type {
        match self {
            Value::Scalar(_) => Type::Scalar,
            Value::PerArray(_) => Type::PerArray,
            Value::Tree(_) => Type::Tree,
        }
    }
}

/// A program with its state, run by the oracle in `f32` or `f64`.
#[derive(Clone, Debug)]
pub struct Reference<T> {
    program: Program,
    shapes: Vec<Vec<usize>>,
    slots: Vec<Vec<ArrayD<T>>>,
    hyperparameters: Vec<(String, f64)>,
    step: u64,
}

impl<T: Real> Reference<T> {
    /// A program with zero state for parameter arrays of the given shapes.
    pub fn new(program: &Program, shapes: &[Vec<usize>]) -> Result<Reference<T>, OptimizerError> {
        Graph::new(program).map_err(|errors| OptimizerError::Type { program: program.signature().name.clone(), errors })?;
        let signature = program.signature();
        let zeros: Vec<ArrayD<T>> = shapes.iter().map(|shape| ArrayD::from_elem(IxDyn(shape), T::from_f64(0.0))).collect();
        Ok(Reference {
            slots: signature.slots().map(|_| zeros.clone()).collect(),
            hyperparameters: signature.hyperparameters().map(|(_, p)| (p.name.clone(), p.default.unwrap_or(0.0))).collect(),
            program: program.clone(),
            shapes: shapes.to_vec(),
            step: 0,
        })
    }

    /// Sets a hyperparameter.
    pub fn set(&mut self, name: &str, value: f64) -> Result<(), OptimizerError> {
        crate::optimizer::set_hyperparameter(&self.program.signature().name, &mut self.hyperparameters, name, value)
    }

    /// The state slots, in the order of the signature: for each an array of the shape of each parameter array.
    pub fn slots(&self) -> &[Vec<ArrayD<T>>] {
        &self.slots
    }

    /// One step: `weights` become `weights - update`.
    pub fn step(&mut self, weights: &mut [ArrayD<T>], gradients: &[ArrayD<T>], lr: f64) -> Result<(), OptimizerError> {
        let fits = |arrays: &[ArrayD<T>]| arrays.len() == self.shapes.len() && arrays.iter().zip(&self.shapes).all(|(a, s)| a.shape() == s);
        if !fits(weights) || !fits(gradients) {
            return Err(OptimizerError::Shape { expected: format!("arrays of shapes {:?}", self.shapes) });
        }
        self.step += 1;
        let signature = self.program.signature();
        let mut environment: Vec<Option<Value<T>>> = vec![None; self.program.variable_count()];
        let mut hyperparameters = self.hyperparameters.iter();
        for (variable, parameter) in environment.iter_mut().zip(&signature.parameters) {
            *variable = Some(match parameter.kind {
                ParameterKind::Weights => Value::Tree(weights.to_vec()),
                ParameterKind::Gradients => Value::Tree(gradients.to_vec()),
                ParameterKind::LearningRate => Value::Scalar(lr),
                ParameterKind::Step => Value::Scalar(self.step as f64),
                ParameterKind::Slot(slot) => Value::Tree(self.slots[slot.index()].clone()),
                ParameterKind::Hyperparameter => Value::Scalar(hyperparameters.next().map_or(0.0, |(_, value)| *value)),
            });
        }
        for statement in &self.program.statements {
            let value = self.call(statement, &environment);
            environment[statement.target.index()] = Some(value);
        }
        for (slot, variable) in self.slots.iter_mut().zip(signature.slots()) {
            if let Some(Value::Tree(arrays)) = environment[variable.index()].take() {
                *slot = arrays;
            }
        }
        // The update comes last: a program may return a slot as its update. A slot that was taken above is read back from the state.
        let update = match environment[self.program.update.index()].take() {
            Some(Value::Tree(arrays)) => arrays,
            _ => match signature.slots().position(|slot| slot == self.program.update) {
                Some(slot) => self.slots[slot].clone(),
                None => return Ok(()),
            },
        };
        for (weights, update) in weights.iter_mut().zip(&update) {
            Zip::from(weights).and(update).for_each(|w, u| *w = w.subtract(*u));
        }
        Ok(())
    }

    fn call(&self, statement: &Statement, environment: &[Option<Value<T>>]) -> Value<T> {
        let function = statement.function.under(self.program.signature().numerics);
        let arguments: Vec<Value<T>> = statement
            .arguments()
            .iter()
            .map(|operand| match operand {
                Operand::Constant(value) => Value::Scalar(*value),
                // Abstract execution has shown that every variable is assigned before it is read.
                Operand::Variable(id) => environment[id.index()].clone().unwrap_or(Value::Scalar(f64::NAN)),
            })
            .collect();
        let largest = arguments.iter().map(Value::ty).max().unwrap_or(Type::Scalar);
        if largest == Type::Scalar {
            let scalar = |i: usize| match arguments.get(i) {
                Some(Value::Scalar(x)) => *x,
                _ => 0.0,
            };
            return Value::Scalar(function.on_scalars([scalar(0), scalar(1), scalar(2)]));
        }
        match function {
            Function::Norm => match &arguments[0] {
                Value::Tree(_) => Value::PerArray(self.products(&arguments[0], &arguments[0]).into_iter().map(libm::sqrt).collect()),
                _ => self.per_array(function, &arguments),
            },
            Function::GlobalNorm => Value::Scalar(self.global_norm(&arguments[0])),
            Function::Dot => Value::Scalar(self.dot(&arguments[0], &arguments[1])),
            Function::CosineSim => {
                let [x, y] = [&arguments[0], &arguments[1]];
                // Broadcast first, so that both are vectors of one length.
                let (x, y) = (self.broadcast(x, largest), self.broadcast(y, largest));
                Value::Scalar(semantics::cosine_similarity(self.dot(&x, &y), self.dot(&x, &x), self.dot(&y, &y)))
            }
            Function::Clip => {
                let Value::Scalar(limit) = arguments[1] else { return arguments[0].clone() };
                let factor = semantics::clip_factor(self.global_norm(&arguments[0]), limit);
                self.element_wise(Function::Multiply, &[arguments[0].clone(), Value::Scalar(factor)])
            }
            Function::Interp => {
                let Value::Scalar(a) = arguments[2] else { return arguments[0].clone() };
                let x = self.element_wise(Function::Multiply, &[Value::Scalar(1.0 - a), arguments[0].clone()]);
                let y = self.element_wise(Function::Multiply, &[Value::Scalar(a), arguments[1].clone()]);
                self.element_wise_in(largest, Function::Add, &[x, y])
            }
            _ => self.element_wise(function, &arguments),
        }
    }

    fn element_wise(&self, function: Function, arguments: &[Value<T>]) -> Value<T> {
        let largest = arguments.iter().map(Value::ty).max().unwrap_or(Type::Scalar);
        self.element_wise_in(largest, function, arguments)
    }

    fn element_wise_in(&self, ty: Type, function: Function, arguments: &[Value<T>]) -> Value<T> {
        if ty != Type::Tree {
            return self.per_array(function, arguments);
        }
        let mut trees = arguments.iter().map(|value| match self.broadcast(value, Type::Tree) {
            Value::Tree(arrays) => arrays,
            _ => Vec::new(),
        });
        let mut result = trees.next().unwrap_or_default();
        if let Some(f) = kernel::unary::<T>(function) {
            result.iter_mut().for_each(|array| array.mapv_inplace(f));
        } else if let (Some(f), Some(other)) = (kernel::binary::<T>(function), trees.next()) {
            for (x, y) in result.iter_mut().zip(&other) {
                Zip::from(x).and(y).for_each(|x, y| *x = f(*x, *y));
            }
        }
        Value::Tree(result)
    }

    /// An element-wise function of values that are no trees; a `Scalar` if all arguments are.
    fn per_array(&self, function: Function, arguments: &[Value<T>]) -> Value<T> {
        let at = |array: usize| {
            let mut x = [0.0; 3];
            for (x, argument) in x.iter_mut().zip(arguments) {
                *x = match argument {
                    Value::Scalar(x) => *x,
                    Value::PerArray(values) => values[array],
                    Value::Tree(_) => f64::NAN,
                };
            }
            function.on_scalars(x)
        };
        if arguments.iter().all(|a| a.ty() == Type::Scalar) {
            return Value::Scalar(at(0));
        }
        Value::PerArray((0..self.shapes.len()).map(at).collect())
    }

    fn broadcast(&self, value: &Value<T>, ty: Type) -> Value<T> {
        let tree = |number: &dyn Fn(usize) -> f64| {
            let fill = |(i, shape): (usize, &Vec<usize>)| ArrayD::from_elem(IxDyn(shape), T::from_f64(number(i)));
            Value::Tree(self.shapes.iter().enumerate().map(fill).collect())
        };
        match (value, ty) {
            (Value::Scalar(x), Type::PerArray) => Value::PerArray(vec![*x; self.shapes.len()]),
            (Value::Scalar(x), Type::Tree) => tree(&|_| *x),
            (Value::PerArray(values), Type::Tree) => tree(&|i| values[i]),
            _ => value.clone(),
        }
    }

    /// For each array the sum of the products of two values, in the fixed order of [`reduce`].
    fn products(&self, x: &Value<T>, y: &Value<T>) -> Vec<f64> {
        let largest = x.ty().max(y.ty());
        match (self.broadcast(x, largest), self.broadcast(y, largest)) {
            (Value::Tree(x), Value::Tree(y)) => {
                let contiguous = |array: &ArrayD<T>| array.iter().copied().collect::<Vec<T>>();
                x.iter().zip(&y).map(|(x, y)| reduce::sum_of_products(&contiguous(x), &contiguous(y))).collect()
            }
            (Value::PerArray(x), Value::PerArray(y)) => x.iter().zip(&y).map(|(x, y)| x * y).collect(),
            (Value::Scalar(x), Value::Scalar(y)) => vec![x * y],
            _ => Vec::new(),
        }
    }

    fn dot(&self, x: &Value<T>, y: &Value<T>) -> f64 {
        reduce::combine(&self.products(x, y))
    }

    fn global_norm(&self, x: &Value<T>) -> f64 {
        libm::sqrt(self.dot(x, x))
    }
}
