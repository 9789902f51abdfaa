//! Ablation: what makes no difference on the tasks goes.
//!
//! [`bypasses`] lists the ways to do without a statement. [`ablate_once`] trains them all beside
//! the program as it stands and keeps one out: among those that pass the test of
//! [`trials`](crate::trials) the one with the best mean difference, so that the least important
//! goes first, and among equals the one that leaves the fewest calls. [`ablate`] repeats that until
//! none passes. [`shorten_constants`] does the same with the digits of numbers.
//!
//! A change must leave fewer calls in the graph, or as many and fewer slots. So ablation comes to
//! an end, also where an algebraic simplifier, which never adds calls, runs in between.

use std::collections::{BTreeMap, BTreeSet};

use symopt_analysis::simplify::derivation::{Reason, Step, StepKind, Support, Trial};
use symopt_analysis::simplify::label::Label;
use symopt_dsl::graph::Redundancy;
use symopt_dsl::printer::number;
use symopt_dsl::program::{Operand, ParameterKind};
use symopt_dsl::{Function, FunctionalHash, Graph, Program, Statement, Type, VarId};

use crate::error::StudyError;
use crate::trials::Trials;

/// Digits that a constant is tried with.
const DIGITS: std::ops::RangeInclusive<usize> = 1..=4;

/// Result of an ablation.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Ablation {
    /// The changes that were kept, in order: each begins with the program that the one before ended
    /// with.
    pub steps: Vec<Step>,
    /// The last trials, none of which passed; those that passed, and those beside them, are in the
    /// steps.
    pub trials: Vec<Trial>,
}

impl Ablation {
    /// The program at the end, if anything was changed.
    pub fn result(&self) -> Option<&Program> {
        self.steps.last().map(|step| &step.after)
    }
}

/// The ways to do without a statement, each with its name for people.
///
/// The statement becomes a copy of one of its arguments, where that has the type of the statement's
/// value; or it is deleted, where its target already has a value of that type, which it keeps. A
/// broadcast is no bypass: a number in place of an array means something else. Programs that are
/// not well typed are left out, and so is what computes the same as the program or as an earlier
/// bypass. There may be none, as for the norm of an array.
///
/// A copy of a variable to itself is nothing, and that statement is gone.
pub fn bypasses(program: &Program, statement: usize) -> Vec<(String, Program)> {
    let (Ok(graph), Some(old)) = (Graph::new(program), program.statements.get(statement)) else {
        return Vec::new();
    };
    let Some(ty) = graph.statement_types().get(statement).copied() else { return Vec::new() };
    let right_side = program.statement_text(old).to_string();
    let right_side = right_side.split_once(" = ").map_or(right_side.as_str(), |(_, right)| right);
    let type_before = |variable: VarId| type_before(program, &graph, statement, variable);

    let mut found: Vec<(String, Program)> = Vec::new();
    let mut seen = BTreeSet::from([graph.hash()]);
    let mut add = |name: String, change: &dyn Fn(&mut Vec<Statement>)| {
        let mut changed = program.clone();
        changed.clear_comments();
        change(&mut changed.statements);
        if Graph::new(&changed).is_ok_and(|graph| seen.insert(graph.hash())) {
            found.push((name, changed));
        }
    };
    for argument in old.arguments() {
        let argument_type = match argument {
            Operand::Variable(variable) => type_before(*variable),
            Operand::Constant(_) => Some(Type::Scalar),
        };
        if argument_type != Some(ty) {
            continue;
        }
        let copy = Statement::new(old.target, Function::Copy, &[*argument]);
        add(format!("{right_side} bypassed: {}", program.statement_text(&copy)), &|statements| {
            if *argument == Operand::Variable(old.target) {
                statements.remove(statement);
            } else if let Some(place) = statements.get_mut(statement) {
                *place = copy;
            }
        });
    }
    if type_before(old.target) == Some(ty) {
        let target = program.variable_name(old.target);
        add(
            format!("{} deleted: {target} keeps its value", program.statement_text(old)),
            &|statements| {
                statements.remove(statement);
            },
        );
    }
    found
}

/// The type of the value that a variable holds when a statement runs; `None` if it holds none.
fn type_before(
    program: &Program,
    graph: &Graph,
    statement: usize,
    variable: VarId,
) -> Option<Type> {
    let assigned = program.statements.iter().take(statement).rposition(|s| s.target == variable);
    match assigned {
        Some(index) => graph.statement_types().get(index).copied(),
        None => {
            program.signature().parameters.get(variable.index()).map(|parameter| {
                match parameter.kind {
                    ParameterKind::Weights | ParameterKind::Gradients | ParameterKind::Slot(_) => {
                        Type::Tree
                    }
                    ParameterKind::LearningRate
                    | ParameterKind::Step
                    | ParameterKind::Hyperparameter => Type::Scalar,
                }
            })
        }
    }
}

/// The bypasses of all live statements, with the index of the statement; what computes the same
/// stands once.
fn all_bypasses(program: &Program, graph: &Graph) -> Vec<(usize, String, Program)> {
    let mut seen: BTreeSet<FunctionalHash> = BTreeSet::new();
    let mut all = Vec::new();
    for (index, redundancy) in graph.redundancy().iter().enumerate() {
        if *redundancy != Redundancy::Live {
            continue;
        }
        for (name, changed) in bypasses(program, index) {
            if Graph::new(&changed).is_ok_and(|graph| seen.insert(graph.hash())) {
                all.push((index, name, changed));
            }
        }
    }
    all
}

/// Whether a statement multiplies or divides by a number or a hyperparameter. To bypass it is to
/// set that to 1: another setting of the same program, and not a shorter one once its numbers are
/// hyperparameters.
fn is_setting(program: &Program, statement: &Statement) -> bool {
    let is_number = |argument: &Operand| match argument {
        Operand::Constant(_) => true,
        Operand::Variable(id) => {
            let parameter = program.signature().parameters.get(id.index());
            parameter.is_some_and(|parameter| parameter.kind == ParameterKind::Hyperparameter)
        }
    };
    matches!(statement.function, Function::Multiply | Function::Divide)
        && statement.arguments().iter().any(is_number)
}

/// How large a program is: calls, then slots.
fn size(graph: &Graph) -> (usize, usize) {
    (graph.cost().calls, graph.live_slots().count())
}

/// One round of ablation: at most one step. The program should be well typed; the step ends with a
/// program without redundant statements.
pub fn ablate_once(program: &Program, trials: &mut Trials) -> Result<Ablation, StudyError> {
    let Ok(graph) = Graph::new(program) else {
        return Ok(Ablation { steps: Vec::new(), trials: Vec::new() });
    };
    let mut places = Vec::new();
    let mut changes = Vec::new();
    for (index, name, changed) in all_bypasses(program, &graph) {
        if program.statements.get(index).is_some_and(|statement| is_setting(program, statement)) {
            continue;
        }
        let Ok(changed_graph) = Graph::new(&changed) else { continue };
        if size(&changed_graph) < size(&graph) {
            places.push((index, size(&changed_graph)));
            changes.push((name, changed));
        }
    }
    if changes.is_empty() {
        return Ok(Ablation { steps: Vec::new(), trials: Vec::new() });
    }
    let mut results = trials.compare(program, &changes)?;
    let passing = (0..results.len()).filter(|i| results[*i].kept);
    let difference = |i: &usize| results[*i].difference.unwrap_or(f64::NEG_INFINITY);
    // The first of equals: `max_by` would take the last.
    let best = passing.reduce(|best, i| {
        let order = difference(&i)
            .total_cmp(&difference(&best))
            .then_with(|| places[best].1.cmp(&places[i].1));
        if order.is_gt() { i } else { best }
    });
    for (index, trial) in results.iter_mut().enumerate() {
        trial.kept = Some(index) == best;
    }
    let Some(best) = best else { return Ok(Ablation { steps: Vec::new(), trials: results }) };
    let (statement, changed) = (places[best].0, &changes[best].1);
    let deleted = changed.statements.len() < program.statements.len();
    let Ok(changed_graph) = Graph::new(changed) else {
        return Ok(Ablation { steps: Vec::new(), trials: results });
    };
    // Statements of the program before: the one that is bypassed, and those that nothing needs any
    // more.
    let stays = |index: usize| {
        let place = if deleted && index > statement { index - 1 } else { index };
        index != statement && changed_graph.redundancy().get(place) == Some(&Redundancy::Live)
    };
    let step = Step {
        kind: StepKind::Ablation,
        label: Label::Fitness,
        before: program.clone(),
        after: changed.pruned(&changed_graph),
        touched: (0..program.statements.len()).filter(|index| !stays(*index)).collect(),
        reasons: vec![reason("bypass", &results[best], trials)],
        conditions: Vec::new(),
        slots: Vec::new(),
        support: Support::Trials(results),
    };
    Ok(Ablation { steps: vec![step], trials: Vec::new() })
}

/// Tries to put the sign of a value in the place of the whole update: a soft sign, such as x /
/// sqrt(average of x²), becomes a hard one. At most one step: of those that pass the best, and of
/// equals the smallest.
pub fn harden(program: &Program, trials: &mut Trials) -> Result<Ablation, StudyError> {
    let nothing = |trials| Ok(Ablation { steps: Vec::new(), trials });
    let Ok(graph) = Graph::new(program) else { return nothing(Vec::new()) };
    let mut seen = BTreeSet::from([graph.hash()]);
    let mut changes = Vec::new();
    let mut sizes = Vec::new();
    for place in 0..program.statements.len() {
        if graph.redundancy().get(place) != Some(&Redundancy::Live) {
            continue;
        }
        let mut changed = program.clone();
        let Some(sign) = changed.fresh_variable() else { continue };
        let value = program.statements[place].target;
        changed
            .statements
            .insert(place + 1, Statement::new(sign, Function::Sign, &[Operand::Variable(value)]));
        changed.update = sign;
        let Ok(changed_graph) = Graph::new(&changed) else { continue };
        if seen.insert(changed_graph.hash()) {
            sizes.push(size(&changed_graph));
            let text = program.statement_text(&program.statements[place]);
            changes.push((
                format!("the update is the sign of {}, of `{text}`", program.variable_name(value)),
                changed,
            ));
        }
    }
    if changes.is_empty() {
        return nothing(Vec::new());
    }
    let mut results = trials.compare(program, &changes)?;
    let difference = |i: usize| results[i].difference.unwrap_or(f64::NEG_INFINITY);
    let passing = (0..results.len()).filter(|i| results[*i].kept);
    let best = passing.reduce(|best, i| {
        let order = difference(i).total_cmp(&difference(best)).then(sizes[best].cmp(&sizes[i]));
        if order.is_gt() { i } else { best }
    });
    for (index, trial) in results.iter_mut().enumerate() {
        trial.kept = Some(index) == best;
    }
    let Some(best) = best else { return nothing(results) };
    let changed = &changes[best].1;
    let Ok(changed_graph) = Graph::new(changed) else { return nothing(results) };
    let step = Step {
        kind: StepKind::Ablation,
        label: Label::Fitness,
        before: program.clone(),
        after: changed.pruned(&changed_graph),
        touched: (0..program.statements.len()).collect(),
        reasons: vec![reason("sign", &results[best], trials)],
        conditions: Vec::new(),
        slots: Vec::new(),
        support: Support::Trials(results),
    };
    Ok(Ablation { steps: vec![step], trials: Vec::new() })
}

/// Bypasses statements as long as one passes.
pub fn ablate(program: &Program, trials: &mut Trials) -> Result<Ablation, StudyError> {
    let mut program = program.clone();
    let mut steps = Vec::new();
    loop {
        let mut round = ablate_once(&program, trials)?;
        match round.steps.pop() {
            Some(step) => {
                program = step.after.clone();
                steps.push(step);
            }
            None => return Ok(Ablation { steps, trials: round.trials }),
        }
    }
}

fn reason(rule: &str, trial: &Trial, trials: &Trials) -> Reason {
    let criterion = trials.criterion();
    let percent = |value: f64| format!("{:+.2}", 100.0 * value);
    let error =
        trial.standard_error.map_or_else(String::new, |error| format!(" ± {:.2}", 100.0 * error));
    let text = format!(
        "{}; the fitness changes by {}{error} points over {} seeds: no drop of more than {:.2} points, with {} % confidence",
        trial.change,
        percent(trial.difference.unwrap_or(f64::NAN)),
        trials.seed_count(),
        100.0 * criterion.tolerance,
        number_for_people(100.0 * criterion.confidence),
    );
    Reason { rule: rule.to_owned(), label: Label::Fitness, text }
}

/// Without the digits that a product of decimals leaves behind.
fn number_for_people(value: f64) -> f64 {
    libm::round(value * 1e6) / 1e6
}

/// Where a number of a program stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// The default of a parameter, by its position.
    Default(usize),
    /// An argument of a statement.
    Argument(usize, usize),
}

/// Gives the constants of live statements, and the defaults of the learning rate and of
/// hyperparameters that these need, the fewest digits that pass: each number is tried with 1, 2, 3
/// and 4 significant digits, the first that passes stays, and the next number is tried in the
/// program that is left. Places that hold the same number change together. With tuned constants the
/// defaults are left alone, since they are not used.
///
/// Every number that is shortened is a step, with the trials of that number.
pub fn shorten_constants(program: &Program, trials: &mut Trials) -> Result<Ablation, StudyError> {
    let mut program = program.clone();
    let mut result = Ablation { steps: Vec::new(), trials: Vec::new() };
    for (value, places) in constants(&program, trials.is_tuned()) {
        let mut tried = Vec::new();
        let mut last = None;
        for digits in DIGITS {
            // 0.998 is 1 with one digit and with two.
            let Some(shorter) =
                rounded(value, digits).filter(|shorter| last.replace(*shorter) != Some(*shorter))
            else {
                continue;
            };
            // Rounded to what it is: no fewer digits will do.
            if shorter == value {
                break;
            }
            let after = with_value(&program, &places, shorter);
            if Graph::new(&after).is_err() {
                continue;
            }
            let change =
                format!("{} becomes {}", name_of(&program, value, &places), number(shorter));
            let mut trial = trials.compare(&program, &[(change, after.clone())])?;
            let kept = trial.iter().any(|trial| trial.kept);
            tried.append(&mut trial);
            if !kept {
                continue;
            }
            let statements: BTreeSet<usize> = places
                .iter()
                .filter_map(|place| match place {
                    Place::Argument(statement, _) => Some(*statement),
                    Place::Default(_) => None,
                })
                .collect();
            result.steps.push(Step {
                kind: StepKind::Constants,
                label: Label::Fitness,
                before: std::mem::replace(&mut program, after.clone()),
                after,
                touched: statements.into_iter().collect(),
                reasons: tried
                    .last()
                    .map(|trial| reason("fewer digits", trial, trials))
                    .into_iter()
                    .collect(),
                conditions: Vec::new(),
                slots: Vec::new(),
                support: Support::Trials(std::mem::take(&mut tried)),
            });
            break;
        }
        result.trials.append(&mut tried);
    }
    Ok(result)
}

/// The numbers of a program with their places, defaults first, each number once, in the order of
/// their first places.
fn constants(program: &Program, is_tuned: bool) -> Vec<(f64, Vec<Place>)> {
    let Ok(graph) = Graph::new(program) else { return Vec::new() };
    let live = || {
        program
            .statements
            .iter()
            .enumerate()
            .zip(graph.redundancy())
            .filter(|(_, r)| **r == Redundancy::Live)
            .map(|(s, _)| s)
    };
    let is_used =
        |variable: VarId| live().any(|(_, s)| s.arguments().contains(&Operand::Variable(variable)));
    let mut by_place = BTreeMap::new();
    for (index, parameter) in program.signature().parameters.iter().enumerate() {
        if let Some(default) = parameter.default
            && !is_tuned
            && is_used(VarId(index as u16))
        {
            by_place.insert(Place::Default(index), default);
        }
    }
    for (index, statement) in live() {
        for (position, argument) in statement.arguments().iter().enumerate() {
            if let Operand::Constant(value) = argument {
                by_place.insert(Place::Argument(index, position), *value);
            }
        }
    }
    let mut numbers: Vec<(f64, Vec<Place>)> = Vec::new();
    for (place, value) in by_place {
        // Defaults have names, and a name of its own is a number of its own.
        let same = numbers.iter_mut().find(|(other, places)| {
            other.to_bits() == value.to_bits()
                && matches!(place, Place::Argument(..))
                && places.iter().all(|place| matches!(place, Place::Argument(..)))
        });
        match same {
            Some((_, places)) => places.push(place),
            None => numbers.push((value, vec![place])),
        }
    }
    numbers
}

/// A number with so many significant decimal digits, if that is finite and not 0.
fn rounded(value: f64, digits: usize) -> Option<f64> {
    format!("{value:.*e}", digits.saturating_sub(1))
        .parse()
        .ok()
        .filter(|rounded: &f64| rounded.is_finite() && *rounded != 0.0)
}

fn with_value(program: &Program, places: &[Place], value: f64) -> Program {
    let mut changed = program.clone();
    for place in places {
        match *place {
            Place::Argument(statement, position) => {
                let argument = changed
                    .statements
                    .get_mut(statement)
                    .and_then(|s| s.arguments_mut().get_mut(position));
                if let Some(argument) = argument {
                    *argument = Operand::Constant(value);
                }
            }
            Place::Default(index) => {
                let mut signature = changed.signature().clone();
                if let Some(parameter) = signature.parameters.get_mut(index) {
                    parameter.default = Some(value);
                }
                changed = changed.with_signature(signature);
            }
        }
    }
    changed
}

fn name_of(program: &Program, value: f64, places: &[Place]) -> String {
    match places.first() {
        Some(Place::Default(index)) => {
            format!("{} = {}", program.variable_name(VarId(*index as u16)), number(value))
        }
        _ => number(value).to_string(),
    }
}
