//! How much two data flows have in common when the numbers in them do not count: a distance, and
//! what has no partner.

use std::collections::{BTreeMap, BTreeSet};

use symopt_dsl::function::Function;
use symopt_dsl::graph::{Graph, NodeKind};
use symopt_dsl::program::{Operand, Program, Statement};

use super::flow::{DataFlow, FlowNode};

/// The depths to which parts are compared, beside as they are in full.
const DEPTHS: usize = 4;
/// How deep a part is looked at in full, at most.
const FULL_DEPTH: usize = 1000;
/// Statements, at most, that are paired by what they compute; those of longer programs are paired
/// by their text.
const MOST_STATEMENTS: usize = 200;
/// The depths to which partners are alike: the most alike first. To the depth 0, all calls are
/// alike as arguments.
const PARTNER_DEPTHS: [usize; 6] = [8, 4, 3, 2, 1, 0];

fn hash(parts: impl IntoIterator<Item = u64>) -> u64 {
    // FNV-1a over words, with its low bits mixed: labels are the same on every machine.
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for part in parts {
        hash = (hash ^ part).wrapping_mul(0x0000_0100_0000_01b3);
        hash ^= hash >> 29;
        hash = hash.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash ^= hash >> 32;
    }
    hash
}

/// Labels every node by itself.
fn first_labels(flow: &DataFlow) -> Vec<u64> {
    flow.nodes
        .iter()
        .map(|node| match node.kind {
            _ if node.is_number => 1,
            NodeKind::Weights => 2,
            NodeKind::Gradients => 3,
            NodeKind::LearningRate => 4,
            NodeKind::Step => 5,
            NodeKind::Slot(_) => 6,
            NodeKind::Call(function) => hash([7, function as u64]),
            NodeKind::Constant(_) | NodeKind::Hyperparameter(_) => 1,
        })
        .collect()
}

/// Labels every node one level deeper. A slot is what is stored in it, so that labels see through
/// the steps.
fn deeper(flow: &DataFlow, labels: &[u64]) -> Vec<u64> {
    flow.nodes
        .iter()
        .zip(labels)
        .map(|(node, label)| match node.kind {
            _ if node.is_number => 1,
            NodeKind::Slot(slot) => hash([
                6,
                flow.slots.get(slot.index()).copied().flatten().map_or(0, |next| labels[next]),
            ]),
            NodeKind::Call(function) => {
                let mut arguments = [0; 3];
                for (place, argument) in arguments.iter_mut().zip(&node.arguments) {
                    *place = labels[*argument];
                }
                if function.row().commutative && arguments[1] < arguments[0] {
                    arguments.swap(0, 1);
                }
                hash([7, function as u64].into_iter().chain(arguments))
            }
            _ => *label,
        })
        .collect()
}

fn is_call(node: &FlowNode) -> bool {
    matches!(node.kind, NodeKind::Call(_)) && !node.is_number
}

fn count(mut labels: Vec<u64>) -> usize {
    labels.sort_unstable();
    labels.dedup();
    labels.len()
}

/// The share of the parts of two data flows that they do not have in common: 0 where the flows are
/// the same but for their numbers and the names of their slots, 1 where not even a function is
/// called in both.
///
/// The parts of a flow are its calls, each to several depths: the function alone; with what its
/// arguments are; and so on, a slot being what is stored in it; and in full. Calls that differ in
/// nothing but numbers count once. The update counts as a part of its own. The distance is the
/// weighted Jaccard distance of the two multisets of parts.
pub(super) fn distance(a: &DataFlow, b: &DataFlow) -> f64 {
    let flows = [a, b];
    let mut labels = flows.map(first_labels);
    let mut levels: [Vec<Vec<u64>>; 2] = [vec![labels[0].clone()], vec![labels[1].clone()]];
    let together = |labels: &[Vec<u64>; 2]| count(labels.concat());
    let mut classes = together(&labels);
    let mut rounds = 0;
    loop {
        labels = [deeper(a, &labels[0]), deeper(b, &labels[1])];
        for (levels, labels) in levels.iter_mut().zip(&labels) {
            if levels.len() < DEPTHS {
                levels.push(labels.clone());
            }
        }
        let now = together(&labels);
        rounds += 1;
        if (now == classes && levels[0].len() == DEPTHS) || rounds == FULL_DEPTH {
            break;
        }
        classes = now;
    }
    let parts: Vec<BTreeMap<(usize, bool, u64), f64>> = (0..2)
        .map(|side| {
            let (flow, full) = (flows[side], &labels[side]);
            let mut parts = BTreeMap::new();
            let mut counted = BTreeSet::new();
            for (index, node) in flow.nodes.iter().enumerate() {
                if !is_call(node) || !counted.insert(full[index]) {
                    continue;
                }
                for (depth, labels) in levels[side].iter().enumerate() {
                    *parts.entry((depth, false, labels[index])).or_insert(0.0) += 1.0;
                }
                *parts.entry((DEPTHS, false, full[index])).or_insert(0.0) += 1.0;
            }
            for (depth, labels) in levels[side].iter().enumerate() {
                parts.insert((depth, true, labels[flow.update]), 1.0);
            }
            parts.insert((DEPTHS, true, full[flow.update]), 1.0);
            parts
        })
        .collect();
    let keys: BTreeSet<_> = parts.iter().flat_map(BTreeMap::keys).collect();
    let (mut common, mut all) = (0.0, 0.0);
    for key in keys {
        let [x, y] = [0, 1].map(|side| parts[side].get(key).copied().unwrap_or(0.0));
        common += f64::min(x, y);
        all += f64::max(x, y);
    }
    1.0 - common / all
}

/// The statements of each program that have no partner in the other, as text. Statements are
/// partners when they call the same function on arguments of one kind: numbers, weights, gradients,
/// `lr`, `t`, slots, or the values of calls. The most alike are paired first. A statement that only
/// gives a number, or the value of another variable, needs no partner.
pub(super) fn unpaired(a: &Program, b: &Program) -> [Vec<String>; 2] {
    let programs = [a, b];
    let is_long = programs.iter().any(|program| program.statements.len() > MOST_STATEMENTS);
    let labels = programs.map(if is_long { statement_texts } else { statement_labels });
    let mut open: [Vec<usize>; 2] =
        [0, 1].map(|side| (0..labels[side].len()).filter(|i| labels[side][*i].is_some()).collect());
    for place in 0..PARTNER_DEPTHS.len() {
        let label = |side: usize, index: usize| labels[side][index].map(|labels| labels[place]);
        let mut index = 0;
        while index < open[0].len() {
            let wanted = label(0, open[0][index]);
            match open[1].iter().position(|other| label(1, *other) == wanted) {
                Some(partner) => {
                    open[0].remove(index);
                    open[1].remove(partner);
                }
                None => index += 1,
            }
        }
    }
    [0, 1].map(|side| {
        open[side]
            .iter()
            .map(|index| {
                programs[side].statement_text(&programs[side].statements[*index]).to_string()
            })
            .collect()
    })
}

/// The texts of the statements for labels.
fn statement_texts(program: &Program) -> Vec<Option<[u64; PARTNER_DEPTHS.len()]>> {
    let label =
        |statement| hash(program.statement_text(statement).to_string().bytes().map(u64::from));
    program
        .statements
        .iter()
        .map(|statement| Some([label(statement); PARTNER_DEPTHS.len()]))
        .collect()
}

/// The labels of the values of the statements, at the depths at which partners are looked for.
fn statement_labels(program: &Program) -> Vec<Option<[u64; PARTNER_DEPTHS.len()]>> {
    let weights = Operand::Variable(symopt_dsl::program::VarId(0));
    (0..program.statements.len())
        .map(|index| {
            let statement = program.statements[index];
            if statement.function == Function::Copy {
                return None;
            }
            // The value of a statement is seen through a program that returns it: w to its power is
            // an update of the type that an update must have, and a call that stays as it is.
            let mut probe = program.clone();
            probe.clear_comments();
            let found = program.fresh_variable()?;
            let weights_kept = symopt_dsl::program::VarId(found.0.checked_add(1)?);
            let mut statements = Vec::with_capacity(probe.statements.len() + 2);
            statements.push(Statement::new(weights_kept, Function::Copy, &[weights]));
            statements.extend_from_slice(&probe.statements[..=index]);
            statements.push(Statement::new(
                found,
                Function::Power,
                &[Operand::Variable(weights_kept), Operand::Variable(statement.target)],
            ));
            statements.extend_from_slice(&probe.statements[index + 1..]);
            probe.statements = statements;
            probe.update = found;
            let flow = DataFlow::new(&Graph::new(&probe).ok()?, &probe);
            let value = *flow.nodes.get(flow.update)?.arguments.get(1)?;
            if flow.nodes[value].is_number {
                return None;
            }
            let mut labels = first_labels(&flow);
            let mut found = [0; PARTNER_DEPTHS.len()];
            let kinds: Vec<u64> = flow
                .nodes
                .iter()
                .zip(&labels)
                .map(|(node, label)| if is_call(node) { 8 } else { *label })
                .collect();
            found[PARTNER_DEPTHS.len() - 1] = deeper(&flow, &kinds)[value];
            for depth in 1..=PARTNER_DEPTHS[0] {
                labels = deeper(&flow, &labels);
                for (place, _) in
                    PARTNER_DEPTHS.iter().enumerate().filter(|(_, wanted)| **wanted == depth)
                {
                    found[place] = labels[value];
                }
            }
            Some(found)
        })
        .collect()
}
