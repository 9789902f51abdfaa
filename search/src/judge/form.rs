//! Directions: programs whose learning rate and weight decay stand outside.
//!
//! A direction is a program that returns, in place of the update, what the training loop multiplies
//! by the learning rate after it has added the decoupled weight decay: `w -= lr * (direction +
//! weight_decay * w)`. It neither reads nor assigns `w`, `lr` and `weight_decay`, which are among
//! its parameters so that [`complete`] is nothing but three more statements.

use symopt_dsl::program::{Parameter, ParameterKind};
use symopt_dsl::{Function, Graph, Operand, Program, Statement, VarId};

/// The hyperparameter of a completed direction.
pub const WEIGHT_DECAY: &str = "weight_decay";

/// Why a program can't be split into a direction and what stands outside.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the program can't be split into a direction and its learning rate and weight decay: {0}; a direction program reads neither `w` nor `lr`, \
     and a program that is split ends in `update = lr * (direction + weight_decay * w)` or a part of that"
)]
pub struct SplitError(String);

/// The direction of a program: without the last product with the learning rate, and without the sum
/// with a multiple of the weights before it. A program that reads neither is a direction already.
pub fn split(program: &Program) -> Result<Program, SplitError> {
    let error = |reason: &str| SplitError(reason.to_owned());
    let graph = Graph::new(program).map_err(|_| error("it is not well typed"))?;
    let mut direction = program.clone();
    direction.clear_comments();
    // Without redundant statements, which may assign anything.
    direction.statements = live(program, &graph);
    let weights = VarId(0);
    let lr = program.signature().learning_rate();
    let mut update = direction.update;
    if let Some(lr) = lr
        && let Some(at) = definition(&direction.statements, update)
        && let Some(rest) = factor_beside(&direction.statements, at, &|operand| {
            is_rate(&direction.statements, at, operand, lr)
        })
    {
        direction.statements.truncate(at);
        update = rest;
    }
    if let Some(at) = definition(&direction.statements, update)
        && let Some(rest) = summand_beside(&direction.statements, at, &|operand| {
            is_decay(&direction.statements, at, operand, weights)
        })
    {
        // Statements after it may assign slots.
        direction.statements.remove(at);
        if direction.statements.iter().skip(at).any(|s| s.target == rest) {
            return Err(error("the direction's variable is assigned again"));
        }
        update = rest;
    }
    direction.update = update;
    let graph = Graph::new(&direction).map_err(|_| error("what is left is not well typed"))?;
    direction.statements = live(&direction, &graph);
    let direction = with_parameters(&direction);
    for name in hidden(&direction) {
        let uses = |s: &Statement| {
            let is = |id: VarId| {
                direction.signature().parameters.get(id.index()).is_some_and(|p| p.name == name)
            };
            is(s.target)
                || s.arguments().iter().any(|a| matches!(a, Operand::Variable(id) if is(*id)))
        };
        if direction.statements.iter().any(uses) {
            return Err(SplitError(format!("`{name}` is used in what would be the direction")));
        }
    }
    Ok(direction)
}

/// The names of the parameters that a direction must not touch.
pub fn hidden(direction: &Program) -> Vec<String> {
    let is_hidden = |p: &&Parameter| {
        matches!(p.kind, ParameterKind::Weights | ParameterKind::LearningRate)
            || (p.kind == ParameterKind::Hyperparameter && p.name == WEIGHT_DECAY)
    };
    direction.signature().parameters.iter().filter(is_hidden).map(|p| p.name.clone()).collect()
}

/// The whole program of a direction: the learning rate is `lr`, the decay the hyperparameter
/// `weight_decay`. `None` if the program is not a direction that [`split`] gave, or was bred from
/// one.
pub fn complete(direction: &Program) -> Option<Program> {
    let signature = direction.signature();
    let find = |good: &dyn Fn(&Parameter) -> bool| {
        signature.parameters.iter().position(good).map(|i| VarId(i as u16))
    };
    let weights = find(&|p| p.kind == ParameterKind::Weights)?;
    let lr = find(&|p| p.kind == ParameterKind::LearningRate)?;
    let weight_decay =
        find(&|p| p.kind == ParameterKind::Hyperparameter && p.name == WEIGHT_DECAY)?;
    let mut program = direction.clone();
    let mut add = |function, a, b| {
        let target = program.fresh_variable()?;
        program.statements.push(Statement::new(
            target,
            function,
            &[Operand::Variable(a), Operand::Variable(b)],
        ));
        Some(target)
    };
    let decay = add(Function::Multiply, weights, weight_decay)?;
    let sum = add(Function::Add, direction.update, decay)?;
    program.update = add(Function::Multiply, sum, lr)?;
    Some(program)
}

fn live(program: &Program, graph: &Graph) -> Vec<Statement> {
    let kept = program
        .statements
        .iter()
        .zip(graph.redundancy())
        .filter(|(_, r)| **r == symopt_dsl::graph::Redundancy::Live);
    kept.map(|(s, _)| *s).collect()
}

/// The last statement that assigns a variable.
fn definition(statements: &[Statement], variable: VarId) -> Option<usize> {
    statements.iter().rposition(|s| s.target == variable)
}

/// The definition of an operand as statement `before` reads it.
fn definition_of(statements: &[Statement], before: usize, operand: Operand) -> Option<usize> {
    match operand {
        Operand::Variable(id) => definition(&statements[..before], id),
        Operand::Constant(_) => None,
    }
}

fn beside(
    statements: &[Statement],
    at: usize,
    function: Function,
    is_other: &dyn Fn(Operand) -> bool,
) -> Option<VarId> {
    let statement = &statements[at];
    if statement.function != function {
        return None;
    }
    let &[left, right] = statement.arguments() else { return None };
    match (left, right) {
        (Operand::Variable(rest), other) if is_other(other) => Some(rest),
        (other, Operand::Variable(rest)) if is_other(other) => Some(rest),
        _ => None,
    }
}

fn factor_beside(
    statements: &[Statement],
    at: usize,
    is_other: &dyn Fn(Operand) -> bool,
) -> Option<VarId> {
    beside(statements, at, Function::Multiply, is_other)
}

fn summand_beside(
    statements: &[Statement],
    at: usize,
    is_other: &dyn Fn(Operand) -> bool,
) -> Option<VarId> {
    beside(statements, at, Function::Add, is_other)
}

/// Whether an operand is the learning rate, or a multiple of it.
fn is_rate(statements: &[Statement], before: usize, operand: Operand, lr: VarId) -> bool {
    match definition_of(statements, before, operand) {
        None => operand == Operand::Variable(lr),
        Some(at) => {
            statements[at].function == Function::Multiply
                && statements[at].arguments().iter().all(|a| match *a {
                    Operand::Constant(_) => true,
                    a @ Operand::Variable(id) => id == lr && is_rate(statements, at, a, lr),
                })
        }
    }
}

/// Whether an operand is a multiple of the weights.
fn is_decay(statements: &[Statement], before: usize, operand: Operand, weights: VarId) -> bool {
    let Some(at) = definition_of(statements, before, operand) else { return false };
    let is_weights = |a: &Operand| {
        *a == Operand::Variable(weights) && definition_of(statements, at, *a).is_none()
    };
    // A number or a hyperparameter, neither of which a statement has computed.
    let is_factor = |a: &Operand| definition_of(statements, at, *a).is_none() && !is_weights(a);
    match statements[at].arguments() {
        [a, b] => {
            statements[at].function == Function::Multiply
                && (is_weights(a) && is_factor(b) || is_weights(b) && is_factor(a))
        }
        _ => false,
    }
}

/// The program with the parameters that [`complete`] needs, where it lacks them: a simplifier drops
/// what nothing reads.
pub fn with_parameters(program: &Program) -> Program {
    let mut program = program.clone();
    let parameters = &program.signature().parameters;
    if !parameters.iter().any(|p| p.kind == ParameterKind::LearningRate) {
        let is_hyperparameter = |p: &Parameter| p.kind == ParameterKind::Hyperparameter;
        let place = parameters.iter().position(is_hyperparameter).unwrap_or(parameters.len());
        let parameter =
            Parameter { name: "lr".to_owned(), kind: ParameterKind::LearningRate, default: None };
        program = program.with_parameter(place, parameter);
    }
    let parameters = &program.signature().parameters;
    if !parameters.iter().any(|p| p.name == WEIGHT_DECAY) {
        let parameter = Parameter {
            name: WEIGHT_DECAY.to_owned(),
            kind: ParameterKind::Hyperparameter,
            default: Some(0.0),
        };
        program = program.with_parameter(parameters.len(), parameter);
    }
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direction_of(name: &str) -> Program {
        split(&symopt_programs::find(name).unwrap().program()).unwrap()
    }

    #[test]
    fn adamw_and_lion_are_split_and_completed() {
        for (name, statements) in [("adamw-paper", 5), ("lion", 3), ("signum", 2)] {
            let direction = direction_of(name);
            assert_eq!(direction.statements.len(), statements, "{direction}");
            let whole = complete(&direction).unwrap();
            let text = whole.to_string();
            // The text is a program again, and the same one.
            let parsed = symopt_dsl::parse(&text).unwrap();
            assert_eq!(
                Graph::new(&parsed).unwrap().hash(),
                Graph::new(&whole).unwrap().hash(),
                "{text}"
            );
            assert_eq!(split(&whole).unwrap().statements.len(), statements, "{text}");
            assert_eq!(
                Graph::new(&split(&direction).unwrap()).unwrap().hash(),
                Graph::new(&direction).unwrap().hash()
            );
        }
        let lion = symopt_programs::find("lion").unwrap().program();
        let same = Graph::new(&complete(&direction_of("lion")).unwrap()).unwrap().hash();
        assert_eq!(same, Graph::new(&lion).unwrap().hash());
    }

    #[test]
    fn what_is_not_of_that_form_is_refused() {
        let error =
            split(&symopt_programs::find("published-regularized").unwrap().program()).unwrap_err();
        assert!(error.to_string().contains("`w` is used"), "{error}");
    }
}
