//! A program without its redundant statements and dead slots.

use crate::graph::{Graph, Redundancy};
use crate::program::{
    Operand, Parameter, ParameterKind, Program, Signature, SlotId, Statement, VarId,
};

impl Program {
    /// The same program without the statements that no later update needs, and without the slots
    /// that are dead. `graph` must be the program's own.
    ///
    /// A dead slot's variable may still be used within a step; it then becomes a local of the same
    /// name.
    pub fn pruned(&self, graph: &Graph) -> Program {
        let statements: Vec<Statement> = self
            .statements
            .iter()
            .zip(graph.redundancy())
            .filter(|(_, r)| **r == Redundancy::Live)
            .map(|(s, _)| *s)
            .collect();
        let signature = self.signature();
        let is_dead = |kind: ParameterKind| matches!(kind, ParameterKind::Slot(slot) if graph.slots()[slot.index()].is_none());

        // Parameters that stay, then the variables that are left, in the order of their old ids.
        let mut renumbered: Vec<Option<VarId>> = vec![None; self.variable_count()];
        let mut parameters: Vec<Parameter> = Vec::new();
        let mut slots = 0;
        for (place, parameter) in renumbered.iter_mut().zip(&signature.parameters) {
            if is_dead(parameter.kind) {
                continue;
            }
            *place = Some(VarId(parameters.len() as u16));
            let mut parameter = parameter.clone();
            if let ParameterKind::Slot(slot) = &mut parameter.kind {
                *slot = SlotId(slots);
                slots += 1;
            }
            parameters.push(parameter);
        }
        let mut used = vec![false; renumbered.len()];
        used[self.update.index()] = true;
        for statement in &statements {
            used[statement.target.index()] = true;
            for argument in statement.arguments() {
                if let Operand::Variable(id) = argument {
                    used[id.index()] = true;
                }
            }
        }
        let mut locals = Vec::new();
        for (index, place) in renumbered.iter_mut().enumerate() {
            if used[index] && place.is_none() {
                *place = Some(VarId((parameters.len() + locals.len()) as u16));
                locals.push(self.variable_name(VarId(index as u16)).to_string());
            }
        }

        let new_id = |id: VarId| renumbered[id.index()].unwrap_or(id);
        let statements =
            statements.into_iter().map(|statement| statement.map_variables(new_id)).collect();
        let signature = Signature {
            name: signature.name.clone(),
            doc: signature.doc.clone(),
            numerics: signature.numerics,
            parameters,
        };
        Program::new(signature, locals, statements, new_id(self.update), Vec::new())
    }
}
