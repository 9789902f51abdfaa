//! The optimizer that a training loop uses: a program with its hyperparameters and state, over named parameter arrays.

use symopt_dsl::{FunctionalHash, Graph, Program, TypeError};

use crate::layout::{Layout, LayoutError};
use crate::plan::Plan;
use crate::tile_machine::{StepInputs, TileMachine};

/// Why an optimizer can't be made, set, stepped or loaded.
#[derive(Debug, thiserror::Error)]
pub enum OptimizerError {
    /// The program does not type. Programs that the parser gave always do.
    #[error("the program {program} is not well typed: {errors:?}")]
    Type {
        /// Name of the program.
        program: String,
        /// What is wrong.
        errors: Vec<TypeError>,
    },
    /// The arrays of the model can't be laid out.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// No hyperparameter has this name.
    #[error("{program} has no hyperparameter {name:?}; {}", if known.is_empty() { "it has none at all".to_owned() } else { format!("it has: {}", known.join(", ")) })]
    UnknownHyperparameter {
        /// Name of the program.
        program: String,
        /// The name that was asked for.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// The arrays that were given don't fit the layout.
    #[error("the parameter arrays don't fit: expected {expected}")]
    Shape {
        /// What was expected.
        expected: String,
    },
    /// A state file can't be read or written, or belongs to something else.
    #[error(transparent)]
    State(#[from] crate::state::StateError),
}

/// Sets a hyperparameter in a list of them.
pub(crate) fn set_hyperparameter(program: &str, all: &mut [(String, f64)], name: &str, value: f64) -> Result<(), OptimizerError> {
    match all.iter_mut().find(|(known, _)| known == name) {
        Some((_, place)) => {
            *place = value;
            Ok(())
        }
        None => Err(OptimizerError::UnknownHyperparameter {
            program: program.to_owned(),
            name: name.to_owned(),
            known: all.iter().map(|(name, _)| name.clone()).collect(),
        }),
    }
}

/// One parameter array of a model whose arrays lie in separate buffers.
#[derive(Debug)]
pub struct ParameterArray<'a> {
    /// Name, as in the layout.
    pub name: &'a str,
    /// Weights, updated in place.
    pub weights: &'a mut [f32],
    /// Gradients, as many as weights.
    pub gradients: &'a [f32],
}

/// A program in use: state starts at zero, weights are updated in place.
///
/// ```
/// use symopt_evaluator::{Layout, Optimizer};
///
/// let program = symopt_dsl::parse("def sgd(w, g, lr):\n  update = g * lr\n  return update\n")?;
/// let layout = Layout::new([("weight", vec![2]), ("bias", vec![])])?;
/// let mut optimizer = Optimizer::new(&program, &layout)?;
/// let mut weights = [1.0, 2.0, 3.0];
/// optimizer.step(&mut weights, &[1.0, 0.0, -1.0], 0.5)?;
/// assert_eq!(weights, [0.5, 2.0, 3.5]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Optimizer {
    program_name: String,
    hash: FunctionalHash,
    slot_names: Vec<String>,
    hyperparameters: Vec<(String, f64)>,
    layout: Layout,
    machine: TileMachine,
    step: u64,
    /// The arrays joined, for callers whose arrays lie apart.
    joined: [Vec<f32>; 2],
}

impl Optimizer {
    /// A program over the arrays of a layout, with its default hyperparameters.
    pub fn new(program: &Program, layout: &Layout) -> Result<Optimizer, OptimizerError> {
        let graph = Graph::new(program).map_err(|errors| OptimizerError::Type { program: program.signature().name.clone(), errors })?;
        Ok(Optimizer::from_graph(&graph, program, layout))
    }

    /// The same from a graph that was already made from the program.
    pub fn from_graph(graph: &Graph, program: &Program, layout: &Layout) -> Optimizer {
        let signature = program.signature();
        let slots: Vec<_> = signature.slots().collect();
        Optimizer {
            program_name: signature.name.clone(),
            hash: graph.hash(),
            slot_names: graph.live_slots().map(|(slot, _)| program.variable_name(slots[slot.index()]).to_string()).collect(),
            hyperparameters: signature.hyperparameters().map(|(_, p)| (p.name.clone(), p.default.unwrap_or(0.0))).collect(),
            machine: TileMachine::new(Plan::new(graph, program), layout),
            layout: layout.clone(),
            step: 0,
            joined: [Vec::new(), Vec::new()],
        }
    }

    /// Sets a hyperparameter.
    pub fn set(&mut self, name: &str, value: f64) -> Result<(), OptimizerError> {
        set_hyperparameter(&self.program_name, &mut self.hyperparameters, name, value)
    }

    /// The hyperparameters with their values, in the order of the signature.
    pub fn hyperparameters(&self) -> &[(String, f64)] {
        &self.hyperparameters
    }

    /// Name of the program.
    pub fn program_name(&self) -> &str {
        &self.program_name
    }

    /// Functional hash of the program.
    pub fn hash(&self) -> FunctionalHash {
        self.hash
    }

    /// The arrays that the optimizer was made for.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// How many steps have been done.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// The live slots: name and values, laid out as the weights are. Dead slots are not kept.
    pub fn slots(&self) -> impl Iterator<Item = (&str, &[f32])> {
        self.slot_names.iter().map(String::as_str).zip(self.machine.slots())
    }

    pub(crate) fn restore(&mut self, step: u64, slots: &[Vec<f32>]) {
        self.step = step;
        for (to, from) in self.machine.slots_mut().zip(slots) {
            to.copy_from_slice(from);
        }
    }

    /// Goes back to zero state and step 0; hyperparameters stay as they are.
    pub fn reset(&mut self) {
        self.step = 0;
        self.machine.reset();
    }

    /// One step over all arrays in one flat buffer, laid out as [`Layout`] says: `weights` become `weights - update`.
    /// `lr` is the learning rate, or the value of the schedule for a program that holds its peak learning rate as a constant.
    pub fn step(&mut self, weights: &mut [f32], gradients: &[f32], lr: f64) -> Result<(), OptimizerError> {
        if weights.len() != self.layout.len() || gradients.len() != self.layout.len() {
            let expected = format!("{} weights and gradients, not {} and {}", self.layout.len(), weights.len(), gradients.len());
            return Err(OptimizerError::Shape { expected });
        }
        self.step += 1;
        let inputs = StepInputs { lr, step: self.step, hyperparameters: &self.hyperparameters };
        self.machine.step(weights, gradients, inputs);
        Ok(())
    }

    /// One step over arrays that lie in separate buffers, in the order of the layout.
    pub fn step_arrays(&mut self, arrays: &mut [ParameterArray], lr: f64) -> Result<(), OptimizerError> {
        let specs = self.layout.arrays();
        let fits = arrays.len() == specs.len()
            && arrays.iter().zip(specs).all(|(array, spec)| {
                array.name == spec.name && array.weights.len() == spec.range.len() && array.gradients.len() == spec.range.len()
            });
        if !fits {
            let list: Vec<String> = specs.iter().map(|spec| format!("{} {:?}", spec.name, spec.shape)).collect();
            return Err(OptimizerError::Shape { expected: format!("the arrays {} in this order", list.join(", ")) });
        }
        let [mut weights, mut gradients] = std::mem::take(&mut self.joined);
        weights.clear();
        gradients.clear();
        for array in arrays.iter() {
            weights.extend_from_slice(array.weights);
            gradients.extend_from_slice(array.gradients);
        }
        let result = self.step(&mut weights, &gradients, lr);
        for (array, spec) in arrays.iter_mut().zip(self.layout.arrays()) {
            array.weights.copy_from_slice(&weights[spec.range.clone()]);
        }
        self.joined = [weights, gradients];
        result
    }
}
