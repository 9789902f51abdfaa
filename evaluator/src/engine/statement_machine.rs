//! Runs the steps of a program that has no plan, since it works on whole matrices: statement by
//! statement over f32 arrays, by the operations of the oracle itself, so with its bits. Every value
//! of a step is an array of its own, so that such a step needs more memory and time than passes do;
//! only the products of matrices are spread over threads.

use std::ops::Range;

use half::bf16;
use ndarray::Array1;
use symopt_dsl::function::{Function, Typing};
use symopt_dsl::graph::NodeKind;
use symopt_dsl::graph::schedule::reduces_tree;
use symopt_dsl::{Graph, Program};

use crate::engine::reference::{Inputs, Interpreter, Outputs};
use crate::engine::step::{Buffers, StepInputs};
use crate::layout::Layout;
use crate::options::{Options, Threads};
use crate::storage::{self, Rounding, RoundingStream, SlotValues, Values, ValuesMut};

/// A program with its state.
#[derive(Clone, Debug)]
pub(crate) struct StatementMachine {
    interpreter: Interpreter<f32>,
    /// Of each slot of the signature its place among the live ones; `None` for a dead one, whose
    /// value nothing that matters reads.
    live: Vec<Option<usize>>,
    slots: Vec<SlotValues>,
    /// Where each array stands among the numbers of all.
    ranges: Vec<Range<usize>>,
    options: Options,
    rounding: Rounding,
    couples_arrays: bool,
}

impl StatementMachine {
    /// A machine with zero state. The graph is that of the program.
    pub(crate) fn new(
        graph: &Graph,
        program: &Program,
        layout: &Layout,
        options: Options,
    ) -> StatementMachine {
        let shapes = layout.arrays().iter().map(|array| array.shape.as_slice());
        let mut count = 0;
        let place = |slot: &Option<_>| {
            slot.map(|_| {
                count += 1;
                count - 1
            })
        };
        let live: Vec<Option<usize>> = graph.slots().iter().map(place).collect();
        StatementMachine {
            interpreter: Interpreter::new(program, shapes, options.threads != Threads::One),
            live,
            slots: (0..count).map(|slot| SlotValues::zeros(options.state, layout.len(), slot)).collect(),
            ranges: layout.arrays().iter().map(|array| array.range.clone()).collect(),
            options,
            rounding: options.rounding,
            couples_arrays: graph.nodes().iter().any(|node| {
                let is_global = |function: Function| matches!(function.row().typing, Typing::GlobalReduction) || function == Function::Clip;
                matches!(node.kind, NodeKind::Call(function) if is_global(function) && reduces_tree(function, node, graph.nodes()))
            }),
        }
    }

    /// The same program and options over other arrays, with zero state.
    pub(crate) fn for_layout(&self, layout: &Layout) -> StatementMachine {
        let shapes = layout.arrays().iter().map(|array| array.shape.as_slice());
        StatementMachine {
            interpreter: Interpreter::new(
                self.interpreter.program(),
                shapes,
                self.options.threads != Threads::One,
            ),
            live: self.live.clone(),
            slots: (0..self.slots.len())
                .map(|slot| SlotValues::zeros(self.options.state, layout.len(), slot))
                .collect(),
            ranges: layout.arrays().iter().map(|array| array.range.clone()).collect(),
            options: self.options,
            rounding: self.options.rounding,
            couples_arrays: self.couples_arrays,
        }
    }

    /// Whether a number that depends on all arrays enters the results.
    pub(crate) fn couples_arrays(&self) -> bool {
        self.couples_arrays
    }

    /// The live slots' values, each as long as the layout.
    pub(crate) fn slots(&self) -> &[SlotValues] {
        &self.slots
    }

    /// The same, to be overwritten by values of the same length and storage.
    pub(crate) fn slots_mut(&mut self) -> &mut [SlotValues] {
        &mut self.slots
    }

    /// How numbers are rounded to bf16.
    pub(crate) fn rounding(&self) -> Rounding {
        self.rounding
    }

    pub(crate) fn set_rounding(&mut self, rounding: Rounding) {
        self.rounding = rounding;
    }

    /// One step in place. The buffers fit the layout.
    pub(crate) fn step(&mut self, buffers: Buffers, inputs: StepInputs) {
        let StepInputs { lr, step, hyperparameters } = inputs;
        let length = self.interpreter.length();
        let all = 0..length;
        let (mut weights, gradients): (Vec<ValuesMut>, Vec<Values>) = match buffers {
            Buffers::Flat(weights, gradients) => {
                (vec![ValuesMut::F32(weights)], vec![Values::F32(gradients)])
            }
            Buffers::Arrays(arrays) => {
                let gradients = arrays.iter().map(|array| array.gradients).collect();
                (arrays.iter_mut().map(|array| reborrow(&mut array.weights)).collect(), gradients)
            }
        };
        let ranges = if weights.len() == self.ranges.len() {
            &self.ranges[..]
        } else {
            std::slice::from_ref(&all)
        };
        let before: Vec<f32> =
            weights.iter().flat_map(|array| array.as_values().to_f32().into_owned()).collect();
        let slot = |live: &Option<usize>| match live {
            Some(place) => Array1::from_vec(self.slots[*place].as_values().to_f32().into_owned()),
            None => Array1::zeros(length),
        };
        let Outputs { update, slots } = self.interpreter.run(Inputs {
            weights: Array1::from_vec(before.clone()),
            gradients: gradients.iter().flat_map(|array| array.to_f32().into_owned()).collect(),
            slots: self.live.iter().map(slot).collect(),
            lr,
            step,
            hyperparameters,
        });
        let after: Vec<f32> =
            before.iter().zip(&update).map(|(weight, update)| weight - update).collect();
        let write =
            |from: &[f32], to: ValuesMut, target: usize, place: usize| match (to, self.rounding) {
                (ValuesMut::F32(to), _) => to.copy_from_slice(from),
                (ValuesMut::Bf16(to), Rounding::Nearest) => storage::narrow(from, to),
                (ValuesMut::Bf16(to), Rounding::Stochastic { seed }) => {
                    storage::narrow_stochastic(
                        from,
                        to,
                        RoundingStream::new(seed, step, target as u64),
                        place as u64,
                    );
                }
            };
        for (array, range) in weights.iter_mut().zip(ranges) {
            write(&after[range.clone()], reborrow(array), 0, range.start);
        }
        for (next, live) in slots.iter().zip(&self.live) {
            if let (Some(place), Some(next)) = (live, next.as_slice()) {
                let to = match &mut self.slots[*place] {
                    SlotValues::F32(values) => ValuesMut::F32(values),
                    SlotValues::Bf16(values) => ValuesMut::Bf16(values),
                };
                write(next, to, place + 1, 0);
            }
        }
    }
}

/// The same numbers for a shorter time.
fn reborrow<'a>(values: &'a mut ValuesMut<'_>) -> ValuesMut<'a> {
    match values {
        ValuesMut::F32(values) => ValuesMut::F32(values),
        ValuesMut::Bf16(values) => ValuesMut::<'a>::Bf16(values as &'a mut [bf16]),
    }
}
