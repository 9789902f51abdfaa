//! What does the steps of an optimizer: passes, or statements.

use super::passes::Machine;
use super::statement_machine::StatementMachine;
use super::step::{Buffers, StepInputs};
use crate::hyperparameters::Hyperparameter;
use crate::storage::{Rounding, SlotValues};

/// What does the steps.
#[derive(Clone, Debug)]
pub(crate) enum Runner {
    /// Passes over the arrays.
    Passes(Box<Machine>),
    /// Statement by statement: programs with functions of matrices.
    Statements(Box<StatementMachine>),
}

impl Runner {
    pub(crate) fn slots(&self) -> &[SlotValues] {
        match self {
            Runner::Passes(machine) => machine.slots(),
            Runner::Statements(machine) => machine.slots(),
        }
    }

    pub(crate) fn slots_mut(&mut self) -> &mut [SlotValues] {
        match self {
            Runner::Passes(machine) => machine.slots_mut(),
            Runner::Statements(machine) => machine.slots_mut(),
        }
    }

    pub(crate) fn rounding(&self) -> Rounding {
        match self {
            Runner::Passes(machine) => machine.rounding(),
            Runner::Statements(machine) => machine.rounding(),
        }
    }

    pub(crate) fn set_rounding(&mut self, rounding: Rounding) {
        match self {
            Runner::Passes(machine) => machine.set_rounding(rounding),
            Runner::Statements(machine) => machine.set_rounding(rounding),
        }
    }

    /// To be called when the value of a hyperparameter has changed. Statements read them at each
    /// step.
    pub(crate) fn hyperparameters_changed(&mut self) {
        if let Runner::Passes(machine) = self {
            machine.hyperparameters_changed();
        }
    }

    /// To be called when hyperparameters get overrides or lose them.
    pub(crate) fn arrange(&mut self, hyperparameters: &[Hyperparameter]) {
        if let Runner::Passes(machine) = self {
            machine.arrange(hyperparameters);
        }
    }

    pub(crate) fn step(&mut self, buffers: Buffers, inputs: StepInputs) {
        match self {
            Runner::Passes(machine) => machine.step(buffers, inputs),
            Runner::Statements(machine) => machine.step(buffers, inputs),
        }
    }
}
