//! The optimizer that a training loop uses: a program with its hyperparameters and state, over named parameter arrays.

use symopt_dsl::{FunctionalHash, Graph, Plan, Program, TypeError};

use crate::engine::passes::{Buffers, Engine, Machine, StepInputs};
use crate::engine::statement_machine::StatementMachine;
use crate::engine::stretch::CompiledPass;
use crate::engine::tile_machine::TileMachine;
use crate::layout::{Layout, LayoutError};
use crate::storage::{Rounding, SlotValues, Storage, Values, ValuesMut};

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
    /// The pattern of an override is not one.
    #[error("{pattern:?} is no pattern for the names of arrays: {reason}; `*` stands for any letters, `?` for one, `[ab]` for either")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The pattern of an override names no array.
    #[error("no parameter array matches {pattern:?}; they are: {}", abridged(names))]
    NoArray {
        /// The pattern.
        pattern: String,
        /// The names of the arrays.
        names: Vec<String>,
    },
    /// A state file can't be read or written, or belongs to something else.
    #[error(transparent)]
    State(#[from] crate::state::StateError),
}

/// The first few names.
fn abridged(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let more = names.len().saturating_sub(SHOWN);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ") + &rest
}

/// A hyperparameter of a program in use.
#[derive(Clone, Debug, PartialEq)]
pub struct Hyperparameter {
    /// Name in the program.
    pub name: String,
    /// Its value, for all arrays that have none of their own.
    pub value: f64,
    /// The value at each array; empty unless some array has a value of its own.
    pub by_array: Vec<f64>,
}

impl Hyperparameter {
    /// The value at an array.
    pub fn at(&self, array: usize) -> f64 {
        self.by_array.get(array).copied().unwrap_or(self.value)
    }
}

/// A hyperparameter's value for some arrays only.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    /// Which arrays: a pattern that their names match.
    pub pattern: String,
    /// Name of the hyperparameter.
    pub name: String,
    /// Its value there.
    pub value: f64,
}

/// The hyperparameters of a program with their overrides.
#[derive(Clone, Debug)]
pub(crate) struct Hyperparameters {
    program: String,
    all: Vec<Hyperparameter>,
    overrides: Vec<Override>,
}

impl Hyperparameters {
    pub(crate) fn new(program: &Program) -> Hyperparameters {
        let default = |p: &symopt_dsl::program::Parameter| Hyperparameter {
            name: p.name.clone(),
            value: p.default.unwrap_or(0.0),
            by_array: Vec::new(),
        };
        let signature = program.signature();
        Hyperparameters {
            program: signature.name.clone(),
            all: signature.hyperparameters().map(|(_, p)| default(p)).collect(),
            overrides: Vec::new(),
        }
    }

    /// The same with other values.
    pub(crate) fn with(
        &self,
        values: &[(String, f64)],
        overrides: &[Override],
        arrays: &[impl AsRef<str>],
    ) -> Result<Hyperparameters, OptimizerError> {
        let mut changed = Hyperparameters { overrides: Vec::new(), ..self.clone() };
        for (name, value) in values {
            changed.set(name, *value, arrays)?;
        }
        for Override { pattern, name, value } in overrides {
            changed.set_for(pattern, name, *value, arrays)?;
        }
        Ok(changed)
    }

    pub(crate) fn all(&self) -> &[Hyperparameter] {
        &self.all
    }

    pub(crate) fn overrides(&self) -> &[Override] {
        &self.overrides
    }

    fn find(&self, name: &str) -> Result<usize, OptimizerError> {
        self.all.iter().position(|h| h.name == name).ok_or_else(|| OptimizerError::UnknownHyperparameter {
            program: self.program.clone(),
            name: name.to_owned(),
            known: self.all.iter().map(|h| h.name.clone()).collect(),
        })
    }

    /// Sets a hyperparameter; arrays that have a value of their own keep it.
    pub(crate) fn set(&mut self, name: &str, value: f64, arrays: &[impl AsRef<str>]) -> Result<(), OptimizerError> {
        let index = self.find(name)?;
        self.all[index].value = value;
        self.resolve(arrays)
    }

    /// Sets a hyperparameter for the arrays whose names match a pattern, and says how many they are. The last override that matches holds.
    pub(crate) fn set_for(&mut self, pattern: &str, name: &str, value: f64, arrays: &[impl AsRef<str>]) -> Result<usize, OptimizerError> {
        self.find(name)?;
        let matcher = compile(pattern)?;
        let count = arrays.iter().filter(|array| matcher.matches(array.as_ref())).count();
        if count == 0 {
            let names = arrays.iter().map(|name| name.as_ref().to_owned()).collect();
            return Err(OptimizerError::NoArray { pattern: pattern.to_owned(), names });
        }
        self.overrides.retain(|known| (known.pattern.as_str(), known.name.as_str()) != (pattern, name));
        self.overrides.push(Override { pattern: pattern.to_owned(), name: name.to_owned(), value });
        self.resolve(arrays)?;
        Ok(count)
    }

    fn resolve(&mut self, arrays: &[impl AsRef<str>]) -> Result<(), OptimizerError> {
        for hyperparameter in &mut self.all {
            hyperparameter.by_array.clear();
            for Override { pattern, value, .. } in self.overrides.iter().filter(|o| o.name == hyperparameter.name) {
                let matcher = compile(pattern)?;
                hyperparameter.by_array.resize(arrays.len(), hyperparameter.value);
                for (at, _) in hyperparameter.by_array.iter_mut().zip(arrays).filter(|(_, array)| matcher.matches(array.as_ref())) {
                    *at = *value;
                }
            }
        }
        Ok(())
    }
}

pub(crate) fn array_names(layout: &Layout) -> Vec<&str> {
    layout.arrays().iter().map(|array| array.name.as_str()).collect()
}

fn compile(pattern: &str) -> Result<glob::Pattern, OptimizerError> {
    glob::Pattern::new(pattern).map_err(|error| OptimizerError::Pattern { pattern: pattern.to_owned(), reason: error.msg.to_owned() })
}

/// Which steps are spread over the threads of the rayon pool. Results are the same bits either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Threads {
    /// Those that gain by it: large ones, and ones in the middle when the threads have just been at work.
    #[default]
    Auto,
    /// None: for many small optimizers side by side.
    One,
    /// All that have more than one part.
    All,
}

/// How an optimizer keeps its numbers and does its steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The state slots in memory: bf16 takes half of it.
    pub state: Storage,
    /// How numbers are rounded to bf16: those of bf16 slots and of bf16 weights.
    pub rounding: Rounding,
    /// Which steps are spread over threads.
    pub threads: Threads,
}

/// One parameter array of a model whose arrays lie in separate buffers.
#[derive(Debug)]
pub struct ParameterArray<'a> {
    /// Name, as in the layout.
    pub name: &'a str,
    /// Weights, updated in place.
    pub weights: ValuesMut<'a>,
    /// Gradients, as many as weights.
    pub gradients: Values<'a>,
}

impl<'a> ParameterArray<'a> {
    /// An array of f32 or bf16 weights with gradients of either kind.
    pub fn new(name: &'a str, weights: impl Into<ValuesMut<'a>>, gradients: impl Into<Values<'a>>) -> ParameterArray<'a> {
        ParameterArray { name, weights: weights.into(), gradients: gradients.into() }
    }
}

/// What a state file holds.
pub(crate) struct SavedState {
    pub step: u64,
    pub slots: Vec<SlotValues>,
    pub hyperparameters: Vec<(String, f64)>,
    pub overrides: Vec<Override>,
    pub rounding: Rounding,
}

/// What does the steps.
#[derive(Clone, Debug)]
enum Runner {
    /// Passes over the arrays.
    Passes(Box<Machine>),
    /// Statement by statement: programs with functions of matrices.
    Statements(Box<StatementMachine>),
}

impl Runner {
    fn slots(&self) -> &[SlotValues] {
        match self {
            Runner::Passes(machine) => machine.slots(),
            Runner::Statements(machine) => machine.slots(),
        }
    }

    fn slots_mut(&mut self) -> &mut [SlotValues] {
        match self {
            Runner::Passes(machine) => machine.slots_mut(),
            Runner::Statements(machine) => machine.slots_mut(),
        }
    }

    fn rounding(&self) -> Rounding {
        match self {
            Runner::Passes(machine) => machine.rounding(),
            Runner::Statements(machine) => machine.rounding(),
        }
    }

    fn set_rounding(&mut self, rounding: Rounding) {
        match self {
            Runner::Passes(machine) => machine.set_rounding(rounding),
            Runner::Statements(machine) => machine.set_rounding(rounding),
        }
    }

    /// To be called when the value of a hyperparameter has changed. Statements read them at each step.
    fn hyperparameters_changed(&mut self) {
        if let Runner::Passes(machine) = self {
            machine.hyperparameters_changed();
        }
    }

    /// To be called when hyperparameters get overrides or lose them.
    fn arrange(&mut self, hyperparameters: &[Hyperparameter]) {
        if let Runner::Passes(machine) = self {
            machine.arrange(hyperparameters);
        }
    }

    fn step(&mut self, buffers: Buffers, inputs: StepInputs) {
        match self {
            Runner::Passes(machine) => machine.step(buffers, inputs),
            Runner::Statements(machine) => machine.step(buffers, inputs),
        }
    }
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
///
/// Large steps are spread over the threads of the rayon pool ([`Threads`]). A step that is called from a thread of the pool (a training loop
/// inside `ThreadPool::install`) profits already from a size at which one that is called from outside would lose more than it gains.
///
/// A program with functions of matrices has no passes that could be fused: it is run statement by statement, by the operations of the
/// [`Reference`](crate::Reference) interpreter and with its bits. Such a step allocates the arrays that it computes.
#[derive(Clone, Debug)]
pub struct Optimizer {
    hash: FunctionalHash,
    slot_names: Vec<String>,
    hyperparameters: Hyperparameters,
    layout: Layout,
    runner: Runner,
    step: u64,
}

impl Optimizer {
    /// A program over the arrays of a layout, with its default hyperparameters and f32 state, run by the tile machine; or statement by statement,
    /// if it has functions of matrices.
    pub fn new(program: &Program, layout: &Layout) -> Result<Optimizer, OptimizerError> {
        Optimizer::with_options(program, layout, Options::default())
    }

    /// The same with other options.
    pub fn with_options(program: &Program, layout: &Layout, options: Options) -> Result<Optimizer, OptimizerError> {
        let graph = Graph::new(program).map_err(|errors| OptimizerError::Type { program: program.signature().name.clone(), errors })?;
        Ok(Optimizer::from_graph(&graph, program, layout, options))
    }

    /// The same from a graph that was already made from the program.
    pub fn from_graph(graph: &Graph, program: &Program, layout: &Layout, options: Options) -> Optimizer {
        match Plan::try_new(graph, program) {
            Ok(plan) => {
                let engine = Engine::Tiles(TileMachine::new(&plan));
                Optimizer::with_engine(graph, program, plan, engine, layout, options)
            }
            Err(_) => Optimizer::with_runner(graph, program, layout, |_| {
                Runner::Statements(Box::new(StatementMachine::new(graph, program, layout, options)))
            }),
        }
    }

    /// The same with passes that were compiled from the program's plan. With passes of another plan, results mean nothing, and a step may panic.
    pub fn from_compiled(
        graph: &Graph,
        program: &Program,
        plan: Plan,
        passes: &'static [CompiledPass],
        layout: &Layout,
        options: Options,
    ) -> Optimizer {
        Optimizer::with_engine(graph, program, plan, Engine::Compiled(passes), layout, options)
    }

    fn with_engine(graph: &Graph, program: &Program, plan: Plan, engine: Engine, layout: &Layout, options: Options) -> Optimizer {
        Optimizer::with_runner(graph, program, layout, |hyperparameters| {
            Runner::Passes(Box::new(Machine::new(plan, engine, layout, hyperparameters, options)))
        })
    }

    fn with_runner(graph: &Graph, program: &Program, layout: &Layout, runner: impl FnOnce(&[Hyperparameter]) -> Runner) -> Optimizer {
        let slots: Vec<_> = program.signature().slots().collect();
        let hyperparameters = Hyperparameters::new(program);
        Optimizer {
            hash: graph.hash(),
            slot_names: graph.live_slots().map(|(slot, _)| program.variable_name(slots[slot.index()]).to_string()).collect(),
            runner: runner(hyperparameters.all()),
            hyperparameters,
            layout: layout.clone(),
            step: 0,
        }
    }

    /// The same program, engine, options and hyperparameters over the arrays of another layout, at zero state and step 0. An error if a value
    /// is set for arrays ([`Optimizer::set_for`]) that the layout does not have.
    ///
    /// ```
    /// use symopt_evaluator::{Layout, Optimizer};
    ///
    /// let text = "def sgd(w, g, lr, *, scale=1.0):\n  update = g * lr * scale\n  return update\n";
    /// let mut prototype = Optimizer::new(&symopt_dsl::parse(text)?, &Layout::default())?;
    /// prototype.set("scale", 2.0)?;
    /// let mut optimizer = prototype.for_layout(&Layout::new([("weight", vec![2])])?)?;
    /// let mut weights = [1.0, 1.0];
    /// optimizer.step(&mut weights, &[1.0, 0.0], 0.25)?;
    /// assert_eq!(weights, [0.5, 1.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn for_layout(&self, layout: &Layout) -> Result<Optimizer, OptimizerError> {
        let values: Vec<_> = self.hyperparameters().iter().map(|h| (h.name.clone(), h.value)).collect();
        let hyperparameters = self.hyperparameters.with(&values, self.overrides(), &array_names(layout))?;
        let runner = match &self.runner {
            Runner::Passes(machine) => Runner::Passes(Box::new(machine.for_layout(layout, hyperparameters.all()))),
            Runner::Statements(machine) => Runner::Statements(Box::new(machine.for_layout(layout))),
        };
        Ok(Optimizer { hyperparameters, runner, layout: layout.clone(), step: 0, slot_names: self.slot_names.clone(), hash: self.hash })
    }

    /// Whether what happens to one array depends on the others: by a norm or a dot product over all of them.
    pub fn couples_arrays(&self) -> bool {
        match &self.runner {
            Runner::Passes(machine) => machine.couples_arrays(),
            Runner::Statements(machine) => machine.couples_arrays(),
        }
    }

    /// Sets a hyperparameter. Arrays with a value of their own ([`Optimizer::set_for`]) keep it.
    pub fn set(&mut self, name: &str, value: f64) -> Result<(), OptimizerError> {
        self.runner.hyperparameters_changed();
        self.hyperparameters.set(name, value, &array_names(&self.layout))
    }

    /// Sets a hyperparameter for the arrays whose names match a pattern, such as `*.bias`, and says how many they are. In a pattern `*`
    /// stands for any letters, `?` for one, `[ab]` for either. Where several patterns match, the one that was set last holds.
    ///
    /// ```
    /// use symopt_evaluator::{Layout, Optimizer};
    ///
    /// let text = "def sgd(w, g, lr, *, weight_decay=0.1):\n  update = lr * (g + w * weight_decay)\n  return update\n";
    /// let layout = Layout::new([("layer.weight", vec![2]), ("layer.bias", vec![])])?;
    /// let mut optimizer = Optimizer::new(&symopt_dsl::parse(text)?, &layout)?;
    /// assert_eq!(optimizer.set_for("*.bias", "weight_decay", 0.0)?, 1);
    /// let mut weights = [1.0, 1.0, 1.0];
    /// optimizer.step(&mut weights, &[0.0; 3], 1.0)?;
    /// assert_eq!(weights, [0.9, 0.9, 1.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_for(&mut self, pattern: &str, name: &str, value: f64) -> Result<usize, OptimizerError> {
        let count = self.hyperparameters.set_for(pattern, name, value, &array_names(&self.layout))?;
        self.runner.arrange(self.hyperparameters.all());
        Ok(count)
    }

    /// The hyperparameters with their values, in the order of the signature.
    pub fn hyperparameters(&self) -> &[Hyperparameter] {
        self.hyperparameters.all()
    }

    /// The values that hold for some arrays only, in the order in which they were set.
    pub fn overrides(&self) -> &[Override] {
        self.hyperparameters.overrides()
    }

    /// Name of the program.
    pub fn program_name(&self) -> &str {
        &self.hyperparameters.program
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

    /// Whether compiled passes run the program, and not the tile machine or statement by statement.
    pub fn is_compiled(&self) -> bool {
        matches!(&self.runner, Runner::Passes(machine) if machine.is_compiled())
    }

    /// How numbers are rounded to bf16.
    pub fn rounding(&self) -> Rounding {
        self.runner.rounding()
    }

    /// The live slots: name and values, laid out as the weights are. Dead slots are not kept.
    pub fn slots(&self) -> impl Iterator<Item = (&str, Values<'_>)> {
        self.slot_names.iter().map(String::as_str).zip(self.runner.slots().iter().map(SlotValues::as_values))
    }

    /// Bytes of memory that the state takes.
    pub fn state_bytes(&self) -> usize {
        self.slots().map(|(_, values)| values.len() * values.storage().bytes()).sum()
    }

    /// Takes over a saved state. The slots have the lengths and the storage of this optimizer's.
    pub(crate) fn restore(&mut self, saved: SavedState) -> Result<(), OptimizerError> {
        self.hyperparameters = self.hyperparameters.with(&saved.hyperparameters, &saved.overrides, &array_names(&self.layout))?;
        self.step = saved.step;
        self.runner.slots_mut().iter_mut().zip(saved.slots).for_each(|(to, from)| *to = from);
        self.runner.set_rounding(saved.rounding);
        self.runner.arrange(self.hyperparameters.all());
        Ok(())
    }

    /// Goes back to zero state and step 0; hyperparameters stay as they are.
    pub fn reset(&mut self) {
        self.step = 0;
        self.runner.slots_mut().iter_mut().for_each(SlotValues::clear);
    }

    /// One step over all arrays in one flat buffer, laid out as [`Layout`] says: `weights` become `weights - update`.
    /// `lr` is the learning rate, or the value of the schedule for a program that holds its peak learning rate as a constant.
    pub fn step(&mut self, weights: &mut [f32], gradients: &[f32], lr: f64) -> Result<(), OptimizerError> {
        if weights.len() != self.layout.len() || gradients.len() != self.layout.len() {
            let expected = format!("{} weights and gradients, not {} and {}", self.layout.len(), weights.len(), gradients.len());
            return Err(OptimizerError::Shape { expected });
        }
        self.run(Buffers::Flat(weights, gradients), lr);
        Ok(())
    }

    /// One step over arrays that lie in separate buffers, in the order of the layout: f32 or bf16, each as it is.
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
        self.run(Buffers::Arrays(arrays), lr);
        Ok(())
    }

    fn run(&mut self, buffers: Buffers, lr: f64) {
        self.step += 1;
        let inputs = StepInputs { lr, step: self.step, hyperparameters: self.hyperparameters.all() };
        self.runner.step(buffers, inputs);
    }
}
