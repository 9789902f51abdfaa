//! When the values of a step are known.
//!
//! A step goes over the parameter arrays in *passes*: a first one, and one more for each reduction
//! whose value has to be known before the next can start. The cost of a graph, its
//! [`Plan`](crate::Plan) and the listings that exports are written from all cut a step as this file
//! says.

use super::{Graph, Node, NodeId, NodeKind};
use crate::function::{Function, Profile};

/// Whether a call has to go over whole arrays before its value is known.
pub fn reduces_tree(function: Function, node: &Node, nodes: &[Node]) -> bool {
    let first_is_tree = node.arguments().first().is_some_and(|a| nodes[a.index()].ty.is_array());
    let any_is_tree = || node.arguments().iter().any(|a| nodes[a.index()].ty.is_array());
    match function {
        Function::Norm | Function::GlobalNorm | Function::Clip | Function::Mean => first_is_tree,
        Function::Dot | Function::CosineSim => any_is_tree(),
        // The shape is known beforehand.
        Function::Rows | Function::Columns => false,
        _ => function.row().profile == Profile::Matrix && any_is_tree(),
    }
}

/// The pass in which a reduction takes its sums. `pass_of` says in which pass an argument is known.
pub fn summed_in(node: &Node, pass_of: impl Fn(NodeId) -> usize) -> usize {
    match node.arguments() {
        // The norm is taken of the first argument alone: the limit may come later.
        [x, ..] if node.kind == NodeKind::Call(Function::Clip) => pass_of(*x),
        arguments => arguments.iter().map(|argument| pass_of(*argument)).max().unwrap_or(0),
    }
}

/// The first pass in which a node can be computed. `reduces` says whether it has to go over the
/// arrays first.
pub fn pass(node: &Node, reduces: bool, pass_of: impl Fn(NodeId) -> usize) -> usize {
    let of_arguments =
        node.arguments().iter().map(|argument| pass_of(*argument)).max().unwrap_or(0);
    if reduces { of_arguments.max(summed_in(node, pass_of) + 1) } else { of_arguments }
}

/// Returns the first pass in which each node can be computed, where `reduces` says which nodes have
/// to go over the arrays first.
pub fn passes(graph: &Graph, reduces: impl Fn(NodeId, &Node) -> bool) -> Vec<usize> {
    let mut passes: Vec<usize> = Vec::with_capacity(graph.nodes().len());
    for (index, node) in graph.nodes().iter().enumerate() {
        let reduces = reduces(NodeId(index as u32), node);
        passes.push(pass(node, reduces, |id| passes[id.index()]));
    }
    passes
}
