//! The optimizer that a training loop uses: a program with its hyperparameters and state, over
//! named parameter arrays.

use symopt_dsl::{FunctionalHash, Graph, Plan, Program};

use crate::engine::passes::{Engine, Machine};
use crate::engine::saved_state::SavedState;
use crate::engine::step::{Buffers, StepInputs};
use crate::engine::stretch::CompiledPass;
use crate::engine::tile_machine::TileMachine;
use crate::error::OptimizerError;
use crate::hyperparameters::{Hyperparameter, Hyperparameters, Override, array_names};
use crate::layout::Layout;
use crate::options::{Options, ParameterArray};
use crate::storage::{Rounding, SlotValues, Values};

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
/// Large steps are spread over the threads of the rayon pool ([`Threads`](crate::Threads)). A step
/// that is called from a thread of the pool (a training loop inside `ThreadPool::install`) profits
/// already from a size at which one that is called from outside would lose more than it gains.
///
/// A program with functions of matrices has no passes that could be fused: it is run statement by
/// statement, by the operations of the [`Reference`](crate::Reference) interpreter and with its
/// bits. Such a step allocates the arrays that it computes.
#[derive(Clone, Debug)]
pub struct Optimizer {
    hash: FunctionalHash,
    slot_names: Vec<String>,
    hyperparameters: Hyperparameters,
    layout: Layout,
    machine: Box<Machine>,
    step: u64,
}

impl Optimizer {
    /// A program over the arrays of a layout, with its default hyperparameters and f32 state, run
    /// by the tile machine.
    pub fn new(program: &Program, layout: &Layout) -> Result<Optimizer, OptimizerError> {
        Optimizer::with_options(program, layout, Options::default())
    }

    /// The same with other options.
    pub fn with_options(
        program: &Program,
        layout: &Layout,
        options: Options,
    ) -> Result<Optimizer, OptimizerError> {
        let graph = Graph::new(program).map_err(|errors| OptimizerError::Type {
            program: program.signature().name.clone(),
            errors,
        })?;
        Ok(Optimizer::from_graph(&graph, program, layout, options))
    }

    /// The same from a graph that was already made from the program.
    pub fn from_graph(
        graph: &Graph,
        program: &Program,
        layout: &Layout,
        options: Options,
    ) -> Optimizer {
        let plan = Plan::new(graph, program);
        let engine = Engine::Tiles(TileMachine::new(&plan));
        Optimizer::with_engine(graph, program, plan, engine, layout, options)
    }

    /// The same with passes that were compiled from the program's plan. With passes of another
    /// plan, results mean nothing, and a step may panic.
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

    fn with_engine(
        graph: &Graph,
        program: &Program,
        plan: Plan,
        engine: Engine,
        layout: &Layout,
        options: Options,
    ) -> Optimizer {
        let slots: Vec<_> = program.signature().slots().collect();
        let hyperparameters = Hyperparameters::new(program);
        Optimizer {
            hash: graph.hash(),
            slot_names: graph
                .live_slots()
                .map(|(slot, _)| program.variable_name(slots[slot.index()]).to_string())
                .collect(),
            machine: Box::new(Machine::new(plan, engine, layout, hyperparameters.all(), options)),
            hyperparameters,
            layout: layout.clone(),
            step: 0,
        }
    }

    /// The same program, engine, options and hyperparameters over the arrays of another layout, at
    /// zero state and step 0. An error if a value is set for arrays ([`Optimizer::set_for`]) that
    /// the layout does not have.
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
        let values: Vec<_> =
            self.hyperparameters().iter().map(|h| (h.name.clone(), h.value)).collect();
        let hyperparameters =
            self.hyperparameters.with(&values, self.overrides(), &array_names(layout))?;
        let machine = Box::new(self.machine.for_layout(layout, hyperparameters.all()));
        Ok(Optimizer {
            hyperparameters,
            machine,
            layout: layout.clone(),
            step: 0,
            slot_names: self.slot_names.clone(),
            hash: self.hash,
        })
    }

    /// Whether what happens to one array depends on the others: by a norm or a dot product over all
    /// of them.
    pub fn couples_arrays(&self) -> bool {
        self.machine.couples_arrays()
    }

    /// Sets a hyperparameter. Arrays with a value of their own ([`Optimizer::set_for`]) keep it.
    pub fn set(&mut self, name: &str, value: f64) -> Result<(), OptimizerError> {
        self.machine.hyperparameters_changed();
        self.hyperparameters.set(name, value, &array_names(&self.layout))
    }

    /// Sets a hyperparameter for the arrays whose names match a pattern, such as `*.bias`, and says
    /// how many they are. In a pattern `*` stands for any letters, `?` for one, `[ab]` for either.
    /// Where several patterns match, the one that was set last holds.
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
    pub fn set_for(
        &mut self,
        pattern: &str,
        name: &str,
        value: f64,
    ) -> Result<usize, OptimizerError> {
        let count =
            self.hyperparameters.set_for(pattern, name, value, &array_names(&self.layout))?;
        self.machine.arrange(self.hyperparameters.all());
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

    /// Whether compiled passes run the program, and not the tile machine.
    pub fn is_compiled(&self) -> bool {
        self.machine.is_compiled()
    }

    /// How numbers are rounded to bf16.
    pub fn rounding(&self) -> Rounding {
        self.machine.rounding()
    }

    /// The live slots: name and values, laid out as the weights are. Dead slots are not kept.
    pub fn slots(&self) -> impl Iterator<Item = (&str, Values<'_>)> {
        self.slot_names
            .iter()
            .map(String::as_str)
            .zip(self.machine.slots().iter().map(SlotValues::as_values))
    }

    /// Bytes of memory that the state takes.
    pub fn state_bytes(&self) -> usize {
        self.slots().map(|(_, values)| values.len() * values.storage().bytes()).sum()
    }

    /// Takes over a saved state. The slots have the lengths and the storage of this optimizer's.
    pub(crate) fn restore(&mut self, saved: SavedState) -> Result<(), OptimizerError> {
        self.hyperparameters = self.hyperparameters.with(
            &saved.hyperparameters,
            &saved.overrides,
            &array_names(&self.layout),
        )?;
        self.step = saved.step;
        self.machine.slots_mut().iter_mut().zip(saved.slots).for_each(|(to, from)| *to = from);
        self.machine.set_rounding(saved.rounding);
        self.machine.arrange(self.hyperparameters.all());
        Ok(())
    }

    /// Goes back to zero state and step 0; hyperparameters stay as they are.
    pub fn reset(&mut self) {
        self.step = 0;
        self.machine.slots_mut().iter_mut().for_each(SlotValues::clear);
    }

    /// One step over all arrays in one flat buffer, laid out as [`Layout`] says: `weights` become
    /// `weights - update`. `lr` is the learning rate, or the value of the schedule for a program
    /// that holds its peak learning rate as a constant.
    pub fn step(
        &mut self,
        weights: &mut [f32],
        gradients: &[f32],
        lr: f64,
    ) -> Result<(), OptimizerError> {
        if weights.len() != self.layout.len() || gradients.len() != self.layout.len() {
            let expected = format!(
                "{} weights and gradients, not {} and {}",
                self.layout.len(),
                weights.len(),
                gradients.len()
            );
            return Err(OptimizerError::Shape { expected });
        }
        self.run(Buffers::Flat(weights, gradients), lr);
        Ok(())
    }

    /// One step over arrays that lie in separate buffers, in the order of the layout: f32 or bf16,
    /// each as it is.
    pub fn step_arrays(
        &mut self,
        arrays: &mut [ParameterArray],
        lr: f64,
    ) -> Result<(), OptimizerError> {
        let specs = self.layout.arrays();
        let fits = arrays.len() == specs.len()
            && arrays.iter().zip(specs).all(|(array, spec)| {
                array.name == spec.name
                    && array.weights.len() == spec.range.len()
                    && array.gradients.len() == spec.range.len()
            });
        if !fits {
            let list: Vec<String> =
                specs.iter().map(|spec| format!("{} {:?}", spec.name, spec.shape)).collect();
            return Err(OptimizerError::Shape {
                expected: format!("the arrays {} in this order", list.join(", ")),
            });
        }
        self.run(Buffers::Arrays(arrays), lr);
        Ok(())
    }

    fn run(&mut self, buffers: Buffers, lr: f64) {
        self.step += 1;
        let inputs =
            StepInputs { lr, step: self.step, hyperparameters: self.hyperparameters.all() };
        self.machine.step(buffers, inputs);
    }
}
