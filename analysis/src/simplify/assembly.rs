//! From a flow back to a program: an order of statements and names for their values.

use std::collections::{BTreeMap, BTreeSet};

use egg::{Id, Language};
use symopt_dsl::function::Function;
use symopt_dsl::graph::Graph;
use symopt_dsl::program::{
    Numerics, Operand, Parameter, ParameterKind, Program, Signature, Statement, VarId,
};
use symopt_dsl::types::Type;

use crate::simplify::term::{Leaf, Term, TermFlow};

/// Where names come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// Values keep the names that they had, so that a reader finds them again.
    Kept,
    /// Names by what values are: `update`, `decay`, `g2`.
    Fresh,
}

/// The program of a flow, under a signature whose slots are the flow's. `None` if there are more
/// variables than a program can have, or a broadcast that no program can spell.
pub(crate) fn assemble(signature: &Signature, flow: &TermFlow, naming: Naming) -> Option<Program> {
    let numerics = numerics(flow);
    let signature = Signature { doc: None, numerics, ..signature.clone() };
    let mut assembly = Assembly::new(&signature, flow, naming)?;
    assembly.order();
    let program = assembly.spell(signature.clone())?;
    Graph::new(&program).ok()?;
    Some(program)
}

/// Guarded functions are spelled as plain ones under the marker, if all of them can be.
fn numerics(flow: &TermFlow) -> Numerics {
    let functions: BTreeSet<Function> = flow
        .nodes()
        .iter()
        .filter_map(|node| match node {
            Term::Call(function, _) => Some(*function),
            _ => None,
        })
        .collect();
    let has_guarded = functions.iter().any(|function| plain_of(*function).is_some());
    let has_unguarded = functions.iter().any(|function| function.row().guarded.is_some());
    if has_guarded && !has_unguarded { Numerics::Guarded } else { Numerics::Ieee }
}

/// The function that a marked program spells a guarded one by.
fn plain_of(guarded: Function) -> Option<Function> {
    Function::all().find(|function| function.row().guarded == Some(guarded))
}

struct Assembly<'a> {
    flow: &'a TermFlow,
    naming: Naming,
    parameters: Vec<Parameter>,
    /// The calls in the order of the statements.
    order: Vec<usize>,
    /// Number of calls and outputs that read each node.
    uses: Vec<usize>,
    /// Slots whose next value each node becomes.
    slot_values: BTreeMap<usize, Vec<usize>>,
    /// Calls that read the old value of each slot.
    readers: Vec<Vec<usize>>,
    /// Nodes that each node depends on.
    depends: Vec<BTreeSet<usize>>,
    /// The calls from the update back along its main argument, as long as nothing else reads them.
    spine: BTreeSet<usize>,
}

impl<'a> Assembly<'a> {
    fn new(signature: &'a Signature, flow: &'a TermFlow, naming: Naming) -> Option<Assembly<'a>> {
        let nodes = flow.nodes();
        let (root, inner) = nodes.split_last()?;
        if inner.iter().any(|node| matches!(node, Term::Cast(..)))
            || root.children().len() != 1 + signature.slots().count()
        {
            return None;
        }
        let mut uses = vec![0; nodes.len()];
        let mut depends: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); nodes.len()];
        let mut readers = vec![Vec::new(); root.children().len() - 1];
        for (index, node) in nodes.iter().enumerate() {
            for child in node.children().iter().map(|child| usize::from(*child)) {
                uses[child] += 1;
                let of_child = depends[child].clone();
                depends[index].extend(of_child);
                depends[index].insert(child);
                if let (Term::Leaf(Leaf::Slot(slot)), Term::Call(..)) = (&nodes[child], node) {
                    readers[usize::from(*slot)].push(index);
                }
            }
        }
        let mut slot_values: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (slot, next) in root.children()[1..].iter().enumerate() {
            slot_values.entry(usize::from(*next)).or_default().push(slot);
        }
        let parameters = signature.parameters.clone();
        let mut assembly = Assembly {
            flow,
            naming,
            parameters,
            order: Vec::new(),
            uses,
            slot_values,
            readers,
            depends,
            spine: BTreeSet::new(),
        };
        assembly.find_spine();
        Some(assembly)
    }

    fn node(&self, index: usize) -> &Term {
        &self.flow.nodes()[index]
    }

    fn is_call(&self, index: usize) -> bool {
        matches!(self.node(index), Term::Call(..))
    }

    fn children(&self, index: usize) -> Vec<usize> {
        self.node(index).children().iter().map(|child| usize::from(*child)).collect()
    }

    fn update(&self) -> usize {
        self.flow.outputs().first().map_or(0, |id| usize::from(*id))
    }

    fn is_tree(&self, index: usize) -> bool {
        self.flow.ty(Id::from(index)) == Type::Tree
    }

    /// The argument of a call that the update goes on from: the only one that is a call with no
    /// other use, or the one that holds more.
    fn main_argument(&self, index: usize) -> Option<usize> {
        let own = |child: &usize| {
            self.is_call(*child)
                && self.is_tree(*child)
                && self.uses[*child] == 1
                && !self.slot_values.contains_key(child)
        };
        let size =
            |child: &usize| self.depends[*child].iter().filter(|node| self.is_call(**node)).count();
        let is_decay = |child: &usize| {
            matches!(self.node(*child), Term::Call(Function::Multiply, _))
                && self.reads_weights(*child)
        };
        let mut children = self.children(index);
        // A quotient goes on from what is divided.
        if let Term::Call(function, _) = self.node(index)
            && !function.row().commutative
            && *function != Function::Interp
        {
            children.truncate(1);
        }
        children
            .into_iter()
            .filter(own)
            .max_by_key(|child| (!is_decay(child), size(child), std::cmp::Reverse(*child)))
    }

    fn reads_weights(&self, index: usize) -> bool {
        self.children(index).iter().any(|child| *self.node(*child) == Term::Leaf(Leaf::Weights))
    }

    fn find_spine(&mut self) {
        let mut at = Some(self.update());
        while let Some(index) =
            at.filter(|index| self.is_call(*index) && !self.slot_values.contains_key(index))
        {
            self.spine.insert(index);
            at = self.main_argument(index);
        }
    }

    /// Returns the node of the update before it is decayed and multiplied by the learning rate.
    fn direction(&self) -> usize {
        let mut at = self.update();
        loop {
            let Term::Call(function, _) = self.node(at) else { return at };
            let children = self.children(at);
            let is_scalar = |child: &usize| !self.is_tree(*child);
            let next = match function {
                Function::Multiply if children.iter().any(is_scalar) => {
                    children.iter().copied().find(|child| !is_scalar(child))
                }
                Function::Add | Function::Subtract => {
                    let decays = |child: &usize| {
                        self.is_call(*child) && self.reads_weights(*child)
                            || *self.node(*child) == Term::Leaf(Leaf::Weights)
                    };
                    match (
                        children.iter().copied().find(decays),
                        children.iter().copied().find(|child| !decays(child)),
                    ) {
                        (Some(_), Some(rest)) => Some(rest),
                        _ => None,
                    }
                }
                _ => None,
            };
            match next {
                Some(next) => at = next,
                None => return at,
            }
        }
    }

    /// Data-flow order: the direction of the update, then the state, then decay and learning rate.
    /// A call that overwrites a slot comes after all that read its old value, wherever that is
    /// possible.
    fn order(&mut self) {
        let mut state = vec![0_u8; self.flow.nodes().len()];
        let direction = self.direction();
        let next: Vec<usize> =
            self.flow.outputs().iter().skip(1).map(|id| usize::from(*id)).collect();
        self.visit(direction, &mut state);
        for node in next {
            self.visit(node, &mut state);
        }
        self.visit(self.update(), &mut state);
    }

    fn visit(&mut self, index: usize, state: &mut [u8]) {
        if state[index] != 0 || !self.is_call(index) {
            return;
        }
        state[index] = 1;
        let mut children = self.children(index);
        // The update's own way first, then in the order of the arguments; where that means nothing,
        // the longer way first, so that short computations stand next to where they are used.
        let commutes =
            matches!(self.node(index), Term::Call(function, _) if function.row().commutative);
        let length = |child: &usize| if commutes { self.depends[*child].len() } else { 0 };
        let places: BTreeMap<usize, usize> =
            children.iter().enumerate().rev().map(|(place, child)| (*child, place)).collect();
        children.sort_by_key(|child| {
            (
                !self.spine.contains(child),
                std::cmp::Reverse(length(child)),
                places.get(child).copied(),
            )
        });
        for child in children {
            self.visit(child, state);
        }
        for slot in self.slot_values.get(&index).cloned().unwrap_or_default() {
            for reader in self.readers[slot].clone() {
                if reader != index && !self.depends[reader].contains(&index) {
                    self.visit(reader, state);
                }
            }
        }
        state[index] = 2;
        self.order.push(index);
    }

    /// The statements, with names.
    fn spell(&self, signature: Signature) -> Option<Program> {
        let parameters = signature.parameters.len();
        let slot_variables: Vec<VarId> = signature.slots().collect();
        // Variables by name; the value that each holds; and how many readers each value still has.
        let mut names: Vec<String> =
            signature.parameters.iter().map(|parameter| parameter.name.clone()).collect();
        let mut holds: Vec<Option<usize>> = vec![None; parameters];
        let mut variable_of: BTreeMap<usize, VarId> = BTreeMap::new();
        for (index, node) in self.flow.nodes().iter().enumerate() {
            let Term::Leaf(leaf) = node else { continue };
            let variable = match leaf {
                Leaf::Hyperparameter(variable) => Some(*variable),
                Leaf::Slot(slot) => slot_variables.get(usize::from(*slot)).copied(),
                leaf => signature
                    .parameters
                    .iter()
                    .position(|p| kind_of(*leaf) == Some(p.kind))
                    .map(|place| VarId(place as u16)),
            }?;
            holds[variable.index()] = Some(index);
            variable_of.insert(index, variable);
        }
        let mut left = self.uses.clone();
        let mut statements = Vec::new();
        // Slots whose next value has to wait in another variable, or is no call.
        let mut late: Vec<(usize, usize)> = Vec::new();
        for (place, &index) in self.order.iter().enumerate() {
            let Term::Call(function, _) = self.node(index) else { continue };
            let mut children = self.children(index);
            if function.row().commutative {
                // Large before small, the spine first.
                let rank = |child: &usize| {
                    (
                        !self.is_tree(*child),
                        !self.spine.contains(child),
                        self.is_leaf_constant(*child),
                        *child,
                    )
                };
                children.sort_by_key(rank);
            }
            let operands: Option<Vec<Operand>> = children
                .iter()
                .map(|child| match self.node(*child) {
                    Term::Constant(bits) => Some(Operand::Constant(f64::from_bits(*bits)))
                        .filter(|_| f64::from_bits(*bits).is_finite()),
                    _ => variable_of.get(child).map(|variable| Operand::Variable(*variable)),
                })
                .collect();
            let operands = operands?;
            for child in &children {
                left[*child] = left[*child].saturating_sub(1);
            }
            let free = |variable: VarId, left: &[usize], holds: &[Option<usize>]| {
                holds[variable.index()].is_none_or(|value| left[value] == 0)
            };
            // A slot takes its next value at once if nobody needs the old one any more.
            let mut target = None;
            for &slot in self.slot_values.get(&index).into_iter().flatten() {
                let variable = slot_variables[slot];
                let is_read_later =
                    self.order[place + 1..].iter().any(|later| self.readers[slot].contains(later))
                        || self.is_returned(slot);
                if target.is_none() && !is_read_later {
                    target = Some(variable);
                } else {
                    late.push((slot, index));
                }
            }
            let target = match target {
                Some(variable) => variable,
                None => {
                    let wanted = self.names_for(index, function, &children, &names, &variable_of);
                    let mut found = None;
                    for name in wanted {
                        match names.iter().position(|known| *known == name) {
                            // A parameter that nobody reads any more may be used again, but slots
                            // keep to their state.
                            Some(known) => {
                                let variable = VarId(known as u16);
                                let is_slot = slot_variables.contains(&variable);
                                let reusable =
                                    known >= parameters || self.may_reuse(variable, &signature);
                                if !is_slot && reusable && free(variable, &left, &holds) {
                                    found = Some(variable);
                                    break;
                                }
                            }
                            None => {
                                names.push(name);
                                holds.push(None);
                                found = Some(VarId((names.len() - 1) as u16));
                                break;
                            }
                        }
                    }
                    found?
                }
            };
            if names.len() >= usize::from(u16::MAX) {
                return None;
            }
            let spelled = match signature.numerics {
                Numerics::Guarded => plain_of(*function).unwrap_or(*function),
                Numerics::Ieee => *function,
            };
            // x + -1 reads better as x - 1, which is the same to the bit.
            let statement = match operands.as_slice() {
                [rest, Operand::Constant(value)]
                    if spelled == Function::Add && value.is_sign_negative() =>
                {
                    Statement::new(target, Function::Subtract, &[*rest, Operand::Constant(-value)])
                }
                operands => Statement::new(target, spelled, operands),
            };
            statements.push(statement);
            holds[target.index()] = Some(index);
            variable_of.insert(index, target);
        }
        // The update may have to be saved before slots are set; slots may swap.
        let mut update = variable_of.get(&self.update()).copied();
        for (slot, next) in self.flow.outputs().iter().skip(1).enumerate() {
            let next = usize::from(*next);
            if !self.is_call(next) && *self.node(next) != Term::Leaf(Leaf::Slot(slot as u16)) {
                late.push((slot, next));
            }
        }
        let mut saved: BTreeMap<usize, VarId> = BTreeMap::new();
        let overwritten: Vec<VarId> = late.iter().map(|(slot, _)| slot_variables[*slot]).collect();
        let update_node = self.update();
        for value in late.iter().map(|(_, value)| *value).chain([update_node]) {
            let variable = *variable_of.get(&value)?;
            if overwritten.contains(&variable)
                && !saved.contains_key(&value)
                && !(late.len() == 1 && value == late[0].1 && value != update_node)
            {
                let mut name = "saved".to_owned();
                while names.contains(&name) {
                    name.push('_');
                }
                names.push(name);
                let copy = VarId((names.len() - 1) as u16);
                statements.push(Statement::new(
                    copy,
                    Function::Copy,
                    &[Operand::Variable(variable)],
                ));
                saved.insert(value, copy);
            }
        }
        for (slot, value) in late {
            let source = saved.get(&value).or_else(|| variable_of.get(&value)).copied()?;
            statements.push(Statement::new(
                slot_variables[slot],
                Function::Copy,
                &[Operand::Variable(source)],
            ));
        }
        if let Some(copy) = saved.get(&update_node) {
            update = Some(*copy);
        }
        Some(Program::new(signature, names.split_off(parameters), statements, update?, Vec::new()))
    }

    /// Whether the old value of a slot is the update, or the next value of another slot.
    fn is_returned(&self, slot: usize) -> bool {
        let is_old = |id: &Id| *self.node(usize::from(*id)) == Term::Leaf(Leaf::Slot(slot as u16));
        self.flow.outputs().iter().enumerate().any(|(place, id)| place != slot + 1 && is_old(id))
    }

    fn is_leaf_constant(&self, index: usize) -> bool {
        matches!(self.node(index), Term::Constant(_))
    }

    /// Parameters whose name a value may take over: the gradients (`g = clip(g, lr)`), and nothing
    /// else in fresh names.
    fn may_reuse(&self, variable: VarId, signature: &Signature) -> bool {
        match signature.parameters[variable.index()].kind {
            ParameterKind::Gradients => true,
            ParameterKind::LearningRate | ParameterKind::Step => self.naming == Naming::Kept,
            _ => false,
        }
    }

    /// Names for a value, from the one that is wanted most to one that is always free.
    fn names_for(
        &self,
        index: usize,
        function: &Function,
        children: &[usize],
        known: &[String],
        variables: &BTreeMap<usize, VarId>,
    ) -> impl Iterator<Item = String> + use<> {
        let mut wanted: Vec<String> = Vec::new();
        let name_of = |child: usize| {
            variables.get(&child).and_then(|variable| known.get(variable.index())).cloned()
        };
        if self.naming == Naming::Kept {
            wanted.extend(self.flow.names.get(&Id::from(index)).cloned());
        }
        if self.spine.contains(&index) {
            wanted.push("update".to_owned());
        }
        let first = children.first().copied();
        let of_first = first.and_then(name_of);
        let reads_gradients_only = self.depends[index].iter().all(|node| match self.node(*node) {
            Term::Leaf(leaf) => !matches!(leaf, Leaf::Weights | Leaf::Slot(_)),
            _ => true,
        });
        let named = |name: String| if name.len() <= 12 { vec![name] } else { Vec::new() };
        match function {
            Function::Multiply if self.reads_weights(index) => wanted.push("decay".to_owned()),
            Function::Multiply
                if !self.is_tree(index)
                    && children
                        .iter()
                        .any(|child| *self.node(*child) == Term::Leaf(Leaf::LearningRate)) =>
            {
                wanted.push("step".to_owned());
            }
            Function::Square => {
                wanted.extend(of_first.iter().flat_map(|name| named(format!("{name}2"))))
            }
            Function::Sqrt | Function::GuardedSqrt => {
                wanted.extend(of_first.iter().flat_map(|name| named(format!("sqrt_{name}"))))
            }
            Function::Abs => {
                wanted.extend(of_first.iter().flat_map(|name| named(format!("abs_{name}"))))
            }
            Function::Sign => {
                wanted.extend(of_first.iter().flat_map(|name| named(format!("sign_{name}"))))
            }
            // A value made of gradients alone takes their place, where they are not needed as they
            // were.
            _ if reads_gradients_only
                && self.is_tree(index)
                && of_first.as_deref().is_some_and(|name| self.is_gradients_name(name)) =>
            {
                wanted.extend(of_first.clone());
            }
            _ => {}
        }
        let prefix = if self.is_tree(index) { "x" } else { "s" };
        wanted.into_iter().chain((1..).map(move |number| format!("{prefix}{number}")))
    }

    fn is_gradients_name(&self, name: &str) -> bool {
        self.parameters
            .iter()
            .any(|parameter| parameter.kind == ParameterKind::Gradients && parameter.name == name)
    }
}

fn kind_of(leaf: Leaf) -> Option<ParameterKind> {
    match leaf {
        Leaf::Weights => Some(ParameterKind::Weights),
        Leaf::Gradients => Some(ParameterKind::Gradients),
        Leaf::LearningRate => Some(ParameterKind::LearningRate),
        Leaf::Step => Some(ParameterKind::Step),
        Leaf::Slot(_) | Leaf::Hyperparameter(_) => None,
    }
}
