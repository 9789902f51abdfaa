//! Numbers that play a known part become named hyperparameters, with the number as the default.

use egg::Id;
use symopt_dsl::function::Function;
use symopt_dsl::program::{
    Operand, Parameter, ParameterKind, Program, Signature, Statement, VarId,
};

use crate::simplify::assembly::{Naming, assemble};
use crate::simplify::derivation::{Reason, StepKind};
use crate::simplify::label::Label;
use crate::simplify::proposal::Proposal;
use crate::simplify::slots::rewrite;
use crate::simplify::term::{Builder, Leaf, Term, TermFlow};

/// The largest number that is taken for an epsilon where it is added.
const LARGEST_EPSILON: f64 = 1e-4;

/// Names the numbers of a program that play a known part: the peak learning rate, weight decay, the
/// weights of blends with the state, epsilon.
///
/// A peak becomes the default of `lr` where steps may have conditions: `lr` is another number then.
/// Elsewhere it gets a name of its own.
pub(crate) fn name(program: &Program, weakest: Label) -> Option<Proposal> {
    let flow = TermFlow::of(program);
    let mut reasons = Vec::new();
    let mut signature = program.signature().clone();
    // `lr` can't have a default before parameters that have none, as `t`: then the peak gets a name
    // of its own.
    let can_hold_peak = weakest >= Label::Domain
        && signature.learning_rate().is_some_and(|lr| {
            signature
                .parameters
                .iter()
                .skip(lr.index() + 1)
                .all(|parameter| parameter.default.is_some())
        });
    let peak = peak_learning_rate(&flow)
        .map(|peak| Peak { is_alone: peak.is_alone && can_hold_peak, ..peak });
    let mut flow = flow;
    if let Some(Peak { node, value, .. }) = peak.filter(|peak| peak.is_alone) {
        flow = without_peak(&flow, node)?;
        let place = signature.learning_rate()?;
        let default = &mut signature.parameters[place.index()].default;
        *default = Some(default.unwrap_or(1.0) * value);
        reasons.push(Reason {
            label: Label::Domain,
            ..reason(format!(
                "lr = {}: the peak learning rate, which the training loop multiplies with the schedule",
                symopt_dsl::printer::number(value)
            ))
        });
    }
    // In the order in which the statements will stand, so that beta1 comes before beta2.
    let ordered = assemble(&signature, &flow, Naming::Kept)?;
    let mut naming = HyperparameterNaming::new(&ordered);
    let statements: Vec<Statement> =
        ordered.statements.iter().map(|statement| naming.replace(&ordered, *statement)).collect();
    reasons.extend(naming.found.iter().map(|(_, name, value)| {
        reason(format!("{name} = {}", symopt_dsl::printer::number(*value)))
    }));
    if reasons.is_empty() {
        return None;
    }
    let after = naming.program(&ordered, statements);
    let stand_in = match peak.filter(|peak| peak.is_alone) {
        Some(peak) => Some((
            with_peak(&after, peak.value)?,
            format!("lr is {} times what it was", symopt_dsl::printer::number(peak.value)),
        )),
        None => None,
    };
    let label = if stand_in.is_some() { Label::Domain } else { Label::Exact };
    Some(Proposal {
        kind: StepKind::Constants,
        label,
        after,
        reasons,
        slots: Vec::new(),
        conditions: Vec::new(),
        stand_in,
    })
}

fn reason(text: String) -> Reason {
    Reason { rule: "a number gets a name".to_owned(), label: Label::Exact, text }
}

/// `lr * value`.
#[derive(Clone, Copy)]
struct Peak {
    node: usize,
    value: f64,
    /// Whether nothing else reads `lr`.
    is_alone: bool,
}

fn peak_learning_rate(flow: &TermFlow) -> Option<Peak> {
    let nodes = flow.nodes();
    let lr = nodes.iter().position(|node| *node == Term::Leaf(Leaf::LearningRate))?;
    let readers: Vec<usize> = (0..nodes.len())
        .filter(|index| {
            egg::Language::children(&nodes[*index]).iter().any(|child| usize::from(*child) == lr)
        })
        .collect();
    let multiple = |index: &usize| match &nodes[*index] {
        Term::Call(Function::Multiply, [x, y, _]) => {
            let other = if usize::from(*x) == lr { y } else { x };
            nodes[usize::from(*other)].constant().filter(|value| value.is_finite() && *value > 0.0)
        }
        _ => None,
    };
    let (node, value) = readers.iter().find_map(|index| Some((*index, multiple(index)?)))?;
    Some(Peak { node, value, is_alone: readers.len() == 1 })
}

/// The flow with `lr` in place of `lr * value`.
fn without_peak(flow: &TermFlow, node: usize) -> Option<TermFlow> {
    let mut builder = Builder::default();
    let lr = builder.add(Term::Leaf(Leaf::LearningRate));
    let mut renumbered: Vec<Id> = Vec::new();
    for (index, found) in flow.nodes().iter().enumerate() {
        renumbered.push(match found {
            _ if index == node => lr,
            Term::Outputs(_) => Id::from(0),
            found => builder.add(egg::Language::map_children(found.clone(), |child| {
                renumbered[usize::from(child)]
            })),
        });
    }
    let outputs: Vec<Id> = flow.outputs().iter().map(|id| renumbered[usize::from(*id)]).collect();
    let mut after = builder.finish(&outputs);
    after.names =
        flow.names.iter().map(|(id, name)| (renumbered[usize::from(*id)], name.clone())).collect();
    Some(after)
}

/// The program as the training loop of the one before would call it: `lr` times the peak in place
/// of `lr`.
fn with_peak(program: &Program, value: f64) -> Option<Program> {
    let flow = TermFlow::of(program);
    let mut builder = Builder::default();
    let renumbered = rewrite(&flow, &mut builder, |builder, leaf| {
        let id = builder.add(Term::Leaf(leaf));
        if leaf != Leaf::LearningRate {
            return id;
        }
        let factor = builder.add(Term::number(value));
        builder.call(Function::Multiply, &[id, factor])
    });
    let outputs: Vec<Id> = flow.outputs().iter().map(|id| renumbered[usize::from(*id)]).collect();
    assemble(program.signature(), &builder.finish(&outputs), Naming::Kept)
}

/// The part that a number plays.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Blend,
    Share,
    Epsilon,
    Peak,
    Decay,
}

struct HyperparameterNaming {
    /// Blends with the state that the program has.
    blends: usize,
    /// Names that are taken.
    taken: Vec<String>,
    /// Named numbers: the parts, the names, the numbers. The variables follow the parameters in
    /// this order.
    found: Vec<(Part, String, f64)>,
    /// The first variable of a new hyperparameter.
    first: usize,
}

impl HyperparameterNaming {
    fn new(program: &Program) -> HyperparameterNaming {
        let blends = program
            .statements
            .iter()
            .filter(|statement| matches!(part(program, statement), Some((Part::Blend, _))))
            .count();
        let taken = (0..program.variable_count())
            .map(|index| program.variable_name(VarId(index as u16)).to_string())
            .collect();
        HyperparameterNaming {
            blends,
            taken,
            found: Vec::new(),
            first: program.signature().parameters.len(),
        }
    }

    /// The statement with its number named, if it plays a part. New variables are numbered behind
    /// the parameters, locals as they were.
    fn replace(&mut self, program: &Program, mut statement: Statement) -> Statement {
        let Some((part, place)) = part(program, &statement) else { return statement };
        let Some(Operand::Constant(value)) = statement.arguments().get(place).copied() else {
            return statement;
        };
        let several = |number: usize| {
            if self.blends > 1 { format!("beta{number}") } else { "beta".to_owned() }
        };
        let wanted = match part {
            Part::Blend => {
                several(1 + self.found.iter().filter(|(part, ..)| *part == Part::Blend).count())
            }
            Part::Share => "alpha".to_owned(),
            Part::Epsilon => "epsilon".to_owned(),
            Part::Peak => "peak_lr".to_owned(),
            Part::Decay => "weight_decay".to_owned(),
        };
        let mut name = wanted.clone();
        let mut number = 2;
        while self.taken.contains(&name) {
            name = format!("{wanted}_{number}");
            number += 1;
        }
        self.taken.push(name.clone());
        // Marked for now by its place among the new ones; `program` gives the final variables.
        statement.arguments_mut()[place] =
            Operand::Variable(VarId(u16::MAX - self.found.len() as u16));
        self.found.push((part, name, value));
        statement
    }

    fn program(&self, program: &Program, statements: Vec<Statement>) -> Program {
        let mut order: Vec<usize> = (0..self.found.len()).collect();
        order.sort_by_key(|index| (self.found[*index].0, *index));
        let added = self.found.len();
        let new_id = |id: VarId| {
            let marked = usize::from(u16::MAX - id.0);
            if marked < added {
                let place = order.iter().position(|index| *index == marked).unwrap_or(0);
                VarId((self.first + place) as u16)
            } else if id.index() >= self.first {
                VarId(id.0 + added as u16)
            } else {
                id
            }
        };
        let old = program.signature();
        let mut parameters = old.parameters.clone();
        parameters.extend(order.iter().map(|index| {
            let (_, name, value) = &self.found[*index];
            Parameter {
                name: name.clone(),
                kind: ParameterKind::Hyperparameter,
                default: Some(*value),
            }
        }));
        let locals = (self.first..program.variable_count())
            .map(|index| program.variable_name(VarId(index as u16)).to_string())
            .collect();
        let statements =
            statements.into_iter().map(|statement| statement.map_variables(new_id)).collect();
        let signature = Signature { parameters, ..old.clone() };
        Program::new(signature, locals, statements, new_id(program.update), Vec::new())
    }
}

/// The part that a number of a statement plays, and the place of the argument.
fn part(program: &Program, statement: &Statement) -> Option<(Part, usize)> {
    let parameters = &program.signature().parameters;
    let kind = |operand: &Operand| match operand {
        Operand::Variable(id) => parameters.get(id.index()).map(|parameter| parameter.kind),
        Operand::Constant(_) => None,
    };
    let number = |operand: &Operand| match operand {
        Operand::Constant(value) => Some(*value),
        Operand::Variable(_) => None,
    };
    let arguments = statement.arguments();
    match (statement.function, arguments) {
        // The state is on one side of the blend. A slot's name may hold its next value already,
        // which is the state of this step.
        (Function::Interp, [x, y, weight]) if number(weight).is_some() => {
            let is_state = |operand| matches!(kind(operand), Some(ParameterKind::Slot(_)));
            // The weight that keeps the state is a beta; the weight of the other value is its
            // complement.
            match (is_state(x), is_state(y)) {
                (_, true) => Some((Part::Blend, 2)),
                (true, false) => Some((Part::Share, 2)),
                _ => None,
            }
        }
        (Function::Add, [_, small])
            if number(small).is_some_and(|value| 0.0 < value && value <= LARGEST_EPSILON) =>
        {
            Some((Part::Epsilon, 1))
        }
        (Function::Multiply, [x, y]) => {
            let place = usize::from(number(x).is_none());
            let other = if place == 0 { y } else { x };
            number(&arguments[place])?;
            match kind(other) {
                // A multiple of the weights decays them where it is added to something.
                Some(ParameterKind::Weights) => {
                    let reads = |other: &&Statement| {
                        other.arguments().contains(&Operand::Variable(statement.target))
                    };
                    let reader = program
                        .statements
                        .iter()
                        .skip_while(|other| *other != statement)
                        .skip(1)
                        .find(reads)?;
                    matches!(reader.function, Function::Add | Function::Subtract)
                        .then_some((Part::Decay, place))
                }
                Some(ParameterKind::LearningRate) => Some((Part::Peak, place)),
                _ => None,
            }
        }
        _ => None,
    }
}
