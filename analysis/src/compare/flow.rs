//! A program's live data flow, to be taken apart: a part of it can be made the gradient, and it can
//! be written out as a program again.

use std::fmt::Write;

use symopt_dsl::function::{Function, Numerics};
use symopt_dsl::graph::{Graph, NodeKind};
use symopt_dsl::program::{
    Operand, Parameter, ParameterKind, Program, Signature, SlotId, Statement, VarId,
};
use symopt_dsl::types::Type;

/// A value of the data flow.
#[derive(Clone, Debug)]
pub(super) struct FlowNode {
    pub(super) kind: NodeKind,
    pub(super) arguments: Vec<usize>,
    pub(super) ty: Type,
    /// Whether it is a number that is known before training: made of constants and hyperparameters
    /// only.
    pub(super) is_number: bool,
}

/// The data flow of a program. Arguments of a node come before it.
#[derive(Clone, Debug)]
pub(super) struct DataFlow {
    pub(super) nodes: Vec<FlowNode>,
    pub(super) update: usize,
    /// The node of each slot's next value; `None` for a dead slot.
    pub(super) slots: Vec<Option<usize>>,
    pub(super) slot_names: Vec<String>,
    parameters: Vec<Parameter>,
}

impl DataFlow {
    pub(super) fn new(graph: &Graph, program: &Program) -> DataFlow {
        let mut nodes: Vec<FlowNode> = Vec::with_capacity(graph.nodes().len());
        for node in graph.nodes() {
            let arguments: Vec<usize> =
                node.arguments().iter().map(|argument| argument.index()).collect();
            let is_number = match node.kind {
                NodeKind::Constant(_) | NodeKind::Hyperparameter(_) => true,
                NodeKind::Call(_) => arguments.iter().all(|argument| nodes[*argument].is_number),
                _ => false,
            };
            nodes.push(FlowNode { kind: node.kind, arguments, ty: node.ty, is_number });
        }
        let signature = program.signature();
        DataFlow {
            nodes,
            update: graph.update().index(),
            slots: graph.slots().iter().map(|slot| slot.map(|node| node.index())).collect(),
            slot_names: signature
                .slots()
                .map(|slot| program.variable_name(slot).to_string())
                .collect(),
            parameters: signature.parameters.clone(),
        }
    }

    pub(super) fn hyperparameter(&self, variable: VarId) -> (&str, f64) {
        self.parameters
            .get(variable.index())
            .map_or(("", 0.0), |p| (p.name.as_str(), p.default.unwrap_or(0.0)))
    }

    /// The hyperparameters that the update depends on.
    pub(super) fn hyperparameters(&self) -> impl Iterator<Item = VarId> + '_ {
        self.nodes.iter().filter_map(|node| match node.kind {
            NodeKind::Hyperparameter(variable) => Some(variable),
            _ => None,
        })
    }

    /// Sets of live slots, as bits, that are tried with the other sign: each by itself, of up to
    /// three also several, and all of them.
    pub(super) fn negated_slots(&self) -> impl Iterator<Item = u32> {
        let live: Vec<u32> = (0u32..32)
            .zip(&self.slots)
            .filter(|(_, next)| next.is_some())
            .map(|(slot, _)| 1 << slot)
            .collect();
        let (all, few) = (live.iter().sum::<u32>(), live.len() <= 3);
        let mut sets = live.clone();
        if few {
            sets.extend(live.iter().map(|slot| all & !slot));
        }
        sets.push(all);
        sets.retain(|set| *set != 0);
        sets.sort_unstable_by_key(|set| (set.count_ones(), *set));
        sets.dedup();
        sets.into_iter()
    }

    /// Whether `lr` has a conventional value: then it is the learning rate, and not a schedule with
    /// peak 1.
    pub(super) fn states_its_peak(&self) -> bool {
        self.parameters.iter().any(|p| p.kind == ParameterKind::LearningRate && p.default.is_some())
    }

    /// Marks the nodes that the update depends on, this step and later, with `cut` taken for a node
    /// without arguments.
    fn reached(&self, cut: Option<usize>) -> Vec<bool> {
        let mut reached = vec![false; self.nodes.len()];
        let mut open = vec![self.update];
        while let Some(index) = open.pop() {
            if std::mem::replace(&mut reached[index], true) || cut == Some(index) {
                continue;
            }
            open.extend(&self.nodes[index].arguments);
            if let NodeKind::Slot(slot) = self.nodes[index].kind {
                open.extend(self.slots[slot.index()]);
            }
        }
        reached
    }

    /// The values that can be taken for the gradient, the smallest first: made of gradients, `lr`,
    /// `t` and numbers, and all that depends on the gradients does so through them.
    pub(super) fn gradient_candidates(&self) -> Vec<usize> {
        let mut pure: Vec<bool> = Vec::new();
        let mut has_gradients: Vec<bool> = Vec::new();
        for node in &self.nodes {
            let through = |of: &[bool]| node.arguments.iter().any(|argument| of[*argument]);
            has_gradients.push(node.kind == NodeKind::Gradients || through(&has_gradients));
            let impure = matches!(node.kind, NodeKind::Weights | NodeKind::Slot(_))
                || node.arguments.iter().any(|a| !pure[*a]);
            pure.push(!impure);
        }
        let is_candidate = |index: &usize| {
            let node = &self.nodes[*index];
            matches!(node.kind, NodeKind::Call(_))
                && node.ty == Type::Tree
                && pure[*index]
                && has_gradients[*index]
                && {
                    let reached = self.reached(Some(*index));
                    reached[*index]
                        && self
                            .nodes
                            .iter()
                            .zip(&reached)
                            .all(|(node, reached)| !reached || node.kind != NodeKind::Gradients)
                }
        };
        (0..self.nodes.len()).filter(is_candidate).collect()
    }

    /// The same flow with a value taken for the gradient.
    pub(super) fn with_gradient(&self, index: usize) -> DataFlow {
        let mut flow = self.clone();
        flow.nodes[index] = FlowNode {
            kind: NodeKind::Gradients,
            arguments: Vec::new(),
            ty: Type::Tree,
            is_number: false,
        };
        flow
    }

    /// The flow as a program, with numbers for the hyperparameters and a factor for `lr`: for its
    /// functional hash. `None` if it has more values than a program has variables.
    pub(super) fn program(&self, number: &dyn Fn(VarId) -> f64, rate: f64) -> Option<Program> {
        let parameter = |name: &str, kind| Parameter { name: name.to_owned(), kind, default: None };
        let mut parameters =
            vec![parameter("w", ParameterKind::Weights), parameter("g", ParameterKind::Gradients)];
        let slots = self.slots.len();
        parameters.extend(
            (0..slots).map(|slot| {
                parameter(&format!("s{slot}"), ParameterKind::Slot(SlotId(slot as u16)))
            }),
        );
        parameters.push(parameter("t", ParameterKind::Step));
        parameters.push(parameter("lr", ParameterKind::LearningRate));
        let (step, scaled_rate) = (slots + 2, slots + 4);
        let first = slots + 5;
        u16::try_from(first + self.nodes.len() + 1).ok()?;

        let variable = |index: usize| VarId(index as u16);
        let lr = Operand::Variable(variable(slots + 3));
        let mut statements = vec![Statement::new(
            variable(scaled_rate),
            Function::Multiply,
            &[lr, Operand::Constant(rate)],
        )];
        let reached = self.reached(None);
        let mut operands: Vec<Operand> = Vec::with_capacity(self.nodes.len());
        for (index, node) in self.nodes.iter().enumerate() {
            operands.push(match node.kind {
                NodeKind::Weights => Operand::Variable(variable(0)),
                NodeKind::Gradients => Operand::Variable(variable(1)),
                NodeKind::Slot(slot) => Operand::Variable(variable(2 + slot.index())),
                NodeKind::Step => Operand::Variable(variable(step)),
                NodeKind::LearningRate => Operand::Variable(variable(scaled_rate)),
                NodeKind::Hyperparameter(id) => Operand::Constant(number(id)),
                NodeKind::Constant(bits) => Operand::Constant(f64::from_bits(bits)),
                NodeKind::Call(function) => {
                    if reached[index] {
                        let arguments: Vec<Operand> =
                            node.arguments.iter().map(|argument| operands[*argument]).collect();
                        statements.push(Statement::new(
                            variable(first + index),
                            function,
                            &arguments,
                        ));
                    }
                    Operand::Variable(variable(first + index))
                }
            });
        }
        let update = variable(first + self.nodes.len());
        statements.push(Statement::new(update, Function::Copy, &[operands[self.update]]));
        // Two slots may swap their values, so all of them are read before any is written; what is
        // read is no parameter then.
        let next: Vec<(usize, usize)> = self
            .slots
            .iter()
            .enumerate()
            .filter_map(|(slot, next)| next.filter(|next| reached[*next]).map(|next| (slot, next)))
            .collect();
        let base = first + self.nodes.len() + 1;
        u16::try_from(base + next.len()).ok()?;
        for (place, (_, next)) in next.iter().enumerate() {
            statements.push(Statement::new(
                variable(base + place),
                Function::Copy,
                &[operands[*next]],
            ));
        }
        for (place, (slot, _)) in next.iter().enumerate() {
            statements.push(Statement::new(
                variable(2 + slot),
                Function::Copy,
                &[Operand::Variable(variable(base + place))],
            ));
        }
        let signature =
            Signature { name: "p".to_owned(), doc: None, numerics: Numerics::Ieee, parameters };
        Some(Program::new(signature, Vec::new(), statements, update, Vec::new()))
    }

    /// A value as an expression; long ones are cut short.
    pub(super) fn expression(&self, index: usize) -> String {
        let mut text = String::new();
        self.write_expression(index, &mut text);
        if text.chars().count() > LONGEST_EXPRESSION {
            text = text.chars().take(LONGEST_EXPRESSION - 1).collect();
            text.push('…');
        }
        text
    }

    fn write_expression(&self, index: usize, text: &mut String) {
        // Shared values are written out wherever they stand, which takes exponentially long texts
        // without this.
        if text.len() > 4 * LONGEST_EXPRESSION {
            return;
        }
        let node = &self.nodes[index];
        let parameter = |kind: ParameterKind| {
            self.parameters.iter().find(|p| p.kind == kind).map_or("", |p| p.name.as_str())
        };
        match node.kind {
            NodeKind::Weights => text.push_str(parameter(ParameterKind::Weights)),
            NodeKind::Gradients => text.push_str(parameter(ParameterKind::Gradients)),
            NodeKind::LearningRate => text.push_str(parameter(ParameterKind::LearningRate)),
            NodeKind::Step => text.push_str(parameter(ParameterKind::Step)),
            NodeKind::Slot(slot) => {
                text.push_str(self.slot_names.get(slot.index()).map_or("", String::as_str))
            }
            NodeKind::Hyperparameter(id) => text.push_str(self.hyperparameter(id).0),
            NodeKind::Constant(bits) => text.push_str(&number(f64::from_bits(bits))),
            NodeKind::Call(function) => {
                match (function.row().operator, node.arguments.as_slice()) {
                    (Some(operator), [left, right]) => {
                        self.write_operand(*left, text);
                        let _ = write!(text, " {operator} ");
                        self.write_operand(*right, text);
                    }
                    (_, arguments) => {
                        text.push_str(function.name());
                        text.push('(');
                        for (place, argument) in arguments.iter().enumerate() {
                            text.push_str(if place > 0 { ", " } else { "" });
                            self.write_expression(*argument, text);
                        }
                        text.push(')');
                    }
                }
            }
        }
    }

    fn write_operand(&self, index: usize, text: &mut String) {
        let in_brackets = matches!(self.nodes[index].kind, NodeKind::Call(function) if function.row().operator.is_some());
        text.push_str(if in_brackets { "(" } else { "" });
        self.write_expression(index, text);
        text.push_str(if in_brackets { ")" } else { "" });
    }
}

/// Characters of an expression that are shown at most.
const LONGEST_EXPRESSION: usize = 160;

/// A number for people, with six significant digits: 0.998222, 1e-8.
pub(super) fn number(value: f64) -> String {
    if !value.is_finite() || value == 0.0 {
        return value.to_string();
    }
    let rounded: f64 = format!("{value:.5e}").parse().unwrap_or(value);
    if !(1e-4..1e9).contains(&rounded.abs()) { format!("{rounded:e}") } else { rounded.to_string() }
}
