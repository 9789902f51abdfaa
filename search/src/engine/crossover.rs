//! Crossover: a block of one program's statements in another.
//!
//! A *block* is a live statement of the donor with all that it depends on within a step. By a fair
//! draw it keeps the state that it reads: then the statements that update those slots belong to it,
//! and slots that the other program does not use take them, or those of the same numbers. The block
//! stands before a random statement of the other program, which reads its value in place of one of
//! its arguments. Weights, gradients, `lr` and `t` stay what they are, hyperparameters go by their
//! names, and one that the other program lacks becomes its default.

use std::collections::{BTreeMap, BTreeSet};

use rand::Rng;
use symopt_dsl::graph::Redundancy;
use symopt_dsl::program::{Parameter, ParameterKind};
use symopt_dsl::{Graph, Operand, Program, Statement, VarId};

use crate::config::MutationConfig;
use crate::engine::random::below;

/// A block of a program.
struct Block {
    /// Indices of its statements in the donor.
    statements: BTreeSet<usize>,
    /// The one whose value it is.
    root: usize,
    /// The slots whose state it keeps, with the statement that updates each, if one does.
    kept: BTreeMap<VarId, Option<usize>>,
}

/// Puts a random block of a donor, whose graph is given, into a program. Gives the index of the
/// statement that reads it, or `None` if the attempt came to nothing: then the program may have been
/// changed. It need not be valid.
pub(super) fn cross(
    child: &mut Program,
    donor: &Program,
    graph: &Graph,
    config: &MutationConfig,
    rng: &mut impl Rng,
) -> Option<usize> {
    let live: Vec<usize> = (0..donor.statements.len())
        .filter(|index| graph.redundancy().get(*index) == Some(&Redundancy::Live))
        .collect();
    if live.is_empty() || child.statements.is_empty() {
        return None;
    }
    let block = block(donor, live[below(rng, live.len())], below(rng, 2) == 1);
    let reader = below(rng, child.statements.len());
    let arity = child.statements[reader].function.arity();
    if arity == 0 || child.statements.len() + block.statements.len() > config.max_statements {
        return None;
    }
    let position = below(rng, arity);
    let slots = slots(child, donor, &block)?;
    let mut values: BTreeMap<VarId, Operand> = BTreeMap::new();
    let mut value = None;
    for (place, index) in block.statements.iter().enumerate() {
        let Statement { target, function, .. } = donor.statements[*index];
        let mut arguments = donor.statements[*index].arguments().to_vec();
        for argument in &mut arguments {
            if let Operand::Variable(id) = *argument {
                *argument = match values.get(&id) {
                    Some(known) => *known,
                    None => parameter(child, donor, id, &slots, config)?,
                };
            }
        }
        let is_update = block.kept.get(&target) == Some(&Some(*index));
        let new = match slots.get(&target) {
            Some(slot) if is_update => *slot,
            _ => child.fresh_variable()?,
        };
        child.statements.insert(reader + place, Statement::new(new, function, &arguments));
        values.insert(target, Operand::Variable(new));
        if *index == block.root {
            value = Some(Operand::Variable(new));
        }
    }
    let reader = reader + block.statements.len();
    child.statements[reader].arguments_mut()[position] = value?;
    Some(reader)
}

/// A statement of a donor with all that it depends on, and by choice with the updates of the slots
/// that these read.
fn block(donor: &Program, root: usize, keeps_state: bool) -> Block {
    let is_slot = |id: VarId| {
        let parameter = donor.signature().parameters.get(id.index());
        parameter.is_some_and(|p| matches!(p.kind, ParameterKind::Slot(_)))
    };
    let last = |before: usize, id: VarId| {
        donor.statements[..before].iter().rposition(|statement| statement.target == id)
    };
    let mut block = Block { statements: BTreeSet::new(), root, kept: BTreeMap::new() };
    let mut open = vec![root];
    let keep = |block: &mut Block, open: &mut Vec<usize>, slot: VarId| {
        if keeps_state && !block.kept.contains_key(&slot) {
            let update = last(donor.statements.len(), slot);
            block.kept.insert(slot, update);
            open.extend(update);
        }
    };
    if is_slot(donor.statements[root].target) {
        keep(&mut block, &mut open, donor.statements[root].target);
    }
    while let Some(index) = open.pop() {
        if !block.statements.insert(index) {
            continue;
        }
        for argument in donor.statements[index].arguments() {
            let Operand::Variable(id) = *argument else { continue };
            match last(index, id) {
                Some(definition) => open.push(definition),
                None if is_slot(id) => keep(&mut block, &mut open, id),
                None => {}
            }
        }
    }
    block
}

/// The slots of the child that stand for those of the donor. `None` if it has too few.
fn slots(child: &Program, donor: &Program, block: &Block) -> Option<BTreeMap<VarId, VarId>> {
    let of_child: Vec<VarId> = child.signature().slots().collect();
    let is_used = |slot: VarId| {
        child.statements.iter().any(|statement| {
            statement.target == slot || statement.arguments().contains(&Operand::Variable(slot))
        })
    };
    let mut free = of_child.iter().copied().filter(|slot| !is_used(*slot));
    let mut taken = BTreeMap::new();
    for (number, slot) in donor.signature().slots().enumerate() {
        let same = of_child.get(number).copied();
        if !block.kept.contains_key(&slot) {
            if let Some(same) = same {
                taken.insert(slot, same);
            }
            continue;
        }
        let own = |taken: &BTreeMap<VarId, VarId>, wish: &VarId| {
            !block.kept.keys().any(|kept| taken.get(kept) == Some(wish))
        };
        let place = free.next().or_else(|| same.filter(|same| own(&taken, same)))?;
        taken.insert(slot, place);
    }
    Some(taken)
}

/// Returns the child's operand in place of a parameter of the donor; `None` if there is none, or if
/// the settings hide it.
fn parameter(
    child: &Program,
    donor: &Program,
    id: VarId,
    slots: &BTreeMap<VarId, VarId>,
    config: &MutationConfig,
) -> Option<Operand> {
    let wanted = donor.signature().parameters.get(id.index())?;
    let parameters = &child.signature().parameters;
    let place = |good: &dyn Fn(&Parameter) -> bool| {
        parameters.iter().position(good).map(|index| VarId(index as u16))
    };
    let found = match wanted.kind {
        ParameterKind::Slot(_) => slots.get(&id).copied(),
        ParameterKind::Hyperparameter => {
            let same = |p: &Parameter| p.kind == wanted.kind && p.name == wanted.name;
            match place(&same) {
                None => return wanted.default.map(Operand::Constant),
                found => found,
            }
        }
        kind => place(&|p| p.kind == kind),
    }?;
    let name = &parameters.get(found.index())?.name;
    (!config.hidden.contains(name)).then_some(Operand::Variable(found))
}
