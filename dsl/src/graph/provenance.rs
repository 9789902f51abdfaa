//! Which statements compute which node of a graph.

use std::collections::HashMap;

use crate::function::Function;
use crate::graph::{Graph, Node, NodeId, NodeKind};
use crate::program::{Operand, Program, Statement, VarId};

/// For each node of the program's graph the statements whose value it is, in their order. A node
/// that only came from a rewriting or a parameter has none.
///
/// The graph itself does not keep this, since a search makes graphs by the million. Instead the
/// program is run once more with every statement kept alive, and the nodes of both graphs are
/// compared by their structure.
pub fn statements_of_nodes(program: &Program, graph: &Graph) -> Vec<Vec<usize>> {
    let mut statements = vec![Vec::new(); graph.nodes().len()];
    let Some(probe) = with_all_statements_alive(program) else { return statements };
    let Ok(probe_graph) = Graph::new(&probe) else { return statements };

    let mut known: HashMap<(NodeKind, Vec<usize>), usize> = HashMap::new();
    for (index, node) in graph.nodes().iter().enumerate() {
        known.insert((node.kind, node.arguments().iter().map(|a| a.index()).collect()), index);
    }
    let mut same: Vec<Option<usize>> = Vec::with_capacity(probe_graph.nodes().len());
    for node in probe_graph.nodes() {
        let arguments: Option<Vec<usize>> =
            node.arguments().iter().map(|a| same[a.index()]).collect();
        same.push(arguments.and_then(|arguments| known.get(&(node.kind, arguments)).copied()));
    }
    let mut chain = probe_graph.update();
    for index in (0..program.statements.len()).rev() {
        let &[before, value] = probe_graph.node(chain).arguments() else { break };
        if let Some(node) = same[value.index()] {
            statements[node].push(index);
        }
        chain = before;
    }
    statements.iter_mut().for_each(|list| list.reverse());
    statements
}

/// The program with a variable of its own for every statement, and the update a chain of calls that
/// reads each of them. `None` if there are not enough variables.
fn with_all_statements_alive(program: &Program) -> Option<Program> {
    let count = program.statements.len();
    let first = program.variable_count();
    if first + 2 * count >= usize::from(u16::MAX) {
        return None;
    }
    let variable = |index: usize| VarId(index as u16);
    let mut current: Vec<VarId> = (0..first).map(variable).collect();
    let mut statements = Vec::with_capacity(2 * count);
    for (index, statement) in program.statements.iter().enumerate() {
        let mut statement = *statement;
        for argument in statement.arguments_mut() {
            if let Operand::Variable(id) = argument {
                *id = current[id.index()];
            }
        }
        current[statement.target.index()] = variable(first + index);
        statement.target = variable(first + index);
        statements.push(statement);
    }
    // The weights are the first parameter. A power of an array is never rewritten into another
    // call.
    let mut chain = VarId(0);
    for index in 0..count {
        let next = variable(first + count + index);
        let arguments = [Operand::Variable(chain), Operand::Variable(variable(first + index))];
        statements.push(Statement::new(next, Function::Power, &arguments));
        chain = next;
    }
    for slot in program.signature().slots() {
        statements.push(Statement::new(
            slot,
            Function::Copy,
            &[Operand::Variable(current[slot.index()])],
        ));
    }
    Some(Program::new(program.signature().clone(), Vec::new(), statements, chain, Vec::new()))
}

/// Whether the node is the value of some call, rather than a parameter or a number.
pub fn is_call(node: &Node) -> bool {
    matches!(node.kind, NodeKind::Call(_))
}

/// The ids of a graph's nodes, arguments before the calls that use them.
pub fn node_ids(graph: &Graph) -> impl Iterator<Item = NodeId> + use<> {
    (0..graph.nodes().len()).map(|index| NodeId(index as u32))
}
