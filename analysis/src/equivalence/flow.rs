//! The data flow of a program as a list of operations: as its statements have it, or in the normal
//! form of its graph.

use symopt_dsl::graph::{NodeKind, Redundancy};
use symopt_dsl::program::ParameterKind;
use symopt_dsl::{Function, Graph, Operand, Program, Type};

/// One value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Operation {
    pub(super) kind: NodeKind,
    pub(super) ty: Type,
    arguments: [usize; 3],
}

impl Operation {
    fn new(kind: NodeKind, ty: Type, arguments: impl IntoIterator<Item = usize>) -> Operation {
        let mut operation = Operation { kind, ty, arguments: [0; 3] };
        operation
            .arguments
            .iter_mut()
            .zip(arguments)
            .for_each(|(place, argument)| *place = argument);
        operation
    }

    /// The arguments of a call: places in the flow before its own.
    pub(super) fn arguments(&self) -> &[usize] {
        match self.kind {
            NodeKind::Call(function) => &self.arguments[..function.arity()],
            _ => &[],
        }
    }
}

/// Operations that a step computes for this and later updates.
#[derive(Clone, Debug)]
pub(super) struct OperationFlow {
    pub(super) operations: Vec<Operation>,
    /// The place of the update.
    pub(super) update: usize,
    /// The places of the next values of the slots; `None` where a slot is dead.
    pub(super) slots: Vec<Option<usize>>,
}

impl OperationFlow {
    /// The normal form of a graph.
    pub(super) fn of_graph(graph: &Graph) -> OperationFlow {
        let operations = graph
            .nodes()
            .iter()
            .map(|n| Operation::new(n.kind, n.ty, n.arguments().iter().map(|a| a.index())));
        OperationFlow {
            operations: operations.collect(),
            update: graph.update().index(),
            slots: graph.slots().iter().map(|slot| slot.map(|node| node.index())).collect(),
        }
    }

    /// The live statements of a program as they stand, nothing folded: what rounding does to them,
    /// and where they overflow, is not always what it does to the normal form. `graph` is the graph
    /// of the program.
    pub(super) fn of_statements(program: &Program, graph: &Graph) -> OperationFlow {
        let signature = program.signature();
        let mut operations = Vec::new();
        for (index, parameter) in signature.parameters.iter().enumerate() {
            let (kind, ty) = match parameter.kind {
                ParameterKind::Weights => (NodeKind::Weights, Type::Tree),
                ParameterKind::Gradients => (NodeKind::Gradients, Type::Tree),
                ParameterKind::LearningRate => (NodeKind::LearningRate, Type::Scalar),
                ParameterKind::Step => (NodeKind::Step, Type::Scalar),
                ParameterKind::Slot(slot) => (NodeKind::Slot(slot), Type::Tree),
                ParameterKind::Hyperparameter => {
                    (NodeKind::Hyperparameter(symopt_dsl::VarId(index as u16)), Type::Scalar)
                }
            };
            operations.push(Operation::new(kind, ty, []));
        }
        // Where each variable's value stands; a variable without one is never read.
        let mut environment: Vec<usize> = (0..program.variable_count())
            .map(|v| if v < operations.len() { v } else { 0 })
            .collect();
        let live =
            program.statements.iter().zip(graph.redundancy().iter().zip(graph.statement_types()));
        for (statement, (_, ty)) in
            live.filter(|(_, (redundancy, _))| **redundancy == Redundancy::Live)
        {
            let argument = |operand: &Operand| match *operand {
                Operand::Variable(variable) => environment[variable.index()],
                Operand::Constant(value) => push(
                    &mut operations,
                    Operation::new(NodeKind::Constant(value.to_bits()), Type::Scalar, []),
                ),
            };
            let arguments: Vec<usize> = statement.arguments().iter().map(argument).collect();
            let place = match statement.function.under(signature.numerics) {
                Function::Copy => arguments[0],
                function => {
                    push(&mut operations, Operation::new(NodeKind::Call(function), *ty, arguments))
                }
            };
            environment[statement.target.index()] = place;
        }
        let slots = signature
            .slots()
            .zip(graph.slots())
            .map(|(v, live)| live.map(|_| environment[v.index()]))
            .collect();
        OperationFlow { slots, update: environment[program.update.index()], operations }
    }

    /// Where this flow computes the update of another one, if it does.
    pub(super) fn place_of_update_of(&self, other: &OperationFlow) -> Option<usize> {
        let mut found: Vec<Option<usize>> = Vec::with_capacity(other.operations.len());
        for operation in &other.operations {
            let arguments: Option<Vec<usize>> =
                operation.arguments().iter().map(|a| found[*a]).collect();
            let commutes =
                matches!(operation.kind, NodeKind::Call(function) if function.row().commutative);
            let same = |candidate: &Operation| {
                candidate.kind == operation.kind
                    && arguments.as_deref().is_some_and(|arguments| {
                        candidate.arguments() == arguments
                            || commutes && candidate.arguments().iter().eq(arguments.iter().rev())
                    })
            };
            found.push(self.operations.iter().position(same));
        }
        found[other.update]
    }
}

/// The place of an operation, which is appended if it is not there yet: the same call of the same
/// values rounds in the same way.
fn push(operations: &mut Vec<Operation>, operation: Operation) -> usize {
    operations.iter().position(|known| *known == operation).unwrap_or_else(|| {
        operations.push(operation);
        operations.len() - 1
    })
}
