//! Compares two programs.
//!
//! [`compare`] takes two programs that are as simple as they get, and looks for the closest of
//! these relations:
//!
//! - [`Relation::Equal`]: one functional hash;
//! - [`Relation::UpToRounding`]: the same over the reals, grouped in another way;
//! - [`Relation::UpToHyperparameters`]: one program is the other with certain values of its
//!   hyperparameters or constants, possibly on a function of the gradient;
//! - [`Relation::UpToSlotScale`]: the same after slots are measured in other units as well;
//! - [`Relation::Different`]: with how far the data flows are apart, and the statements without a
//!   partner.
//!
//! The answer is sound, not complete: every relation that is found holds over the reals, to nine
//! digits of the numbers in it; programs that take deeper algebra to be seen as equal are called
//! different. Where a relation holds bit for bit, its label says so.
//!
//! One program is taken as the general one, whose numbers are unknowns, and the other one as it
//! stands, with its defaults; then the other way round. Matching gives a list of equations between
//! the numbers, which has to have a solution: a hyperparameter that is used twice gets one value.
//! `lr` has an unknown factor too, so that a program that holds its peak learning rate inside
//! matches one that does not.

mod flow;
mod form;
mod matching;
mod scalar;
mod shape;

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use symopt_dsl::function::Function;
use symopt_dsl::graph::Graph;
use symopt_dsl::program::{Operand, Program, Statement, VarId};

use crate::simplify::Label;
use flow::{DataFlow, number};
use form::{Form, Manner};
use scalar::{Equation, Free, Problem, Scalars, Solution, Unknown};

/// One of two programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The first program.
    Left,
    /// The second program.
    Right,
}

impl Side {
    /// The other one.
    pub fn other(self) -> Side {
        match self {
            Side::Left => Side::Right,
            Side::Right => Side::Left,
        }
    }

    fn index(self) -> usize {
        self as usize
    }
}

/// Quantity that gets a value.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Assigned {
    /// A hyperparameter of the general program, by name.
    Hyperparameter(String),
    /// The learning rate. The other program takes the value of a schedule with peak 1 and holds
    /// this peak inside.
    LearningRate,
    /// A factor of the learning rate, where both programs take the learning rate itself.
    LearningRateFactor,
    /// A constant in the text of the general program. The same number may stand in several places,
    /// and get another value in each.
    Constant(f64),
}

/// A value that a hyperparameter, a constant or the learning rate of the general program has to
/// have.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Assignment {
    /// Quantity that gets the value.
    pub of: Assigned,
    /// The value.
    pub value: f64,
    /// The hyperparameter of the other program that it is, with its default for the value.
    pub hyperparameter: Option<String>,
}

/// A function of the gradient that one program has in the place of the other's gradient.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GradientFunction {
    /// The program that has it.
    pub side: Side,
    /// The function, in that program's terms: with the values that are set, and its own learning
    /// rate.
    pub text: String,
}

/// A slot of the general program, in terms of the other program's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SlotScale {
    /// Name of the general program's slot.
    pub slot: String,
    /// `slot = factor * of`.
    pub factor: f64,
    /// Name of the other program's slot.
    pub of: String,
}

/// Relation between two programs, from the closest on.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// The same functional hash: the same bits.
    Equal,
    /// The same over the reals, hyperparameters included; rounding differs.
    UpToRounding,
    /// The same for certain values of the general program's hyperparameters and constants.
    UpToHyperparameters {
        /// The program whose numbers are set; the other one stands as it is.
        general: Side,
        /// The values, in the order of the parameters; what has the same name and default in both
        /// programs is left out.
        assignment: Vec<Assignment>,
        /// The function of the gradient that one of them is on.
        gradient: Option<GradientFunction>,
        /// `Exact` where the functional hashes are equal with the values put in, `Real` where
        /// rounding differs.
        label: Label,
    },
    /// The same once slots are multiplied by constants, for certain values as above. Over the
    /// reals.
    UpToSlotScale {
        /// The program whose numbers are set and whose slots are multiples of the other's.
        general: Side,
        /// The slots that differ by a factor.
        scales: Vec<SlotScale>,
        /// The values.
        assignment: Vec<Assignment>,
        /// The function of the gradient that one of them is on.
        gradient: Option<GradientFunction>,
    },
    /// None of the above.
    Different {
        /// How far the data flows are apart, numbers aside: from 0, the same functions on the same
        /// arguments, to 1, no function in common. Symmetric.
        distance: f64,
        /// Statements of the first program without a partner in the second.
        only_left: Vec<String>,
        /// Statements of the second program without a partner in the first.
        only_right: Vec<String>,
    },
}

impl Relation {
    /// The place of the relation in the order of closeness: 0 for equal programs, the largest for
    /// different ones.
    pub fn class(&self) -> usize {
        match self {
            Relation::Equal => 0,
            Relation::UpToRounding => 1,
            Relation::UpToHyperparameters { gradient: None, .. } => 2,
            Relation::UpToHyperparameters { gradient: Some(_), .. } => 3,
            Relation::UpToSlotScale { gradient: None, .. } => 4,
            Relation::UpToSlotScale { gradient: Some(_), .. } => 5,
            Relation::Different { .. } => 6,
        }
    }

    /// The program whose numbers are set, where one is: the other one is a case of it.
    pub fn general(&self) -> Option<Side> {
        match self {
            Relation::UpToHyperparameters { general, .. }
            | Relation::UpToSlotScale { general, .. } => Some(*general),
            _ => None,
        }
    }

    /// The values that are set.
    pub fn assignment(&self) -> &[Assignment] {
        match self {
            Relation::UpToHyperparameters { assignment, .. }
            | Relation::UpToSlotScale { assignment, .. } => assignment,
            _ => &[],
        }
    }

    /// The relation in a few words, without the details.
    pub fn name(&self) -> &'static str {
        match self {
            Relation::Equal => "equal",
            Relation::UpToRounding => "equal up to rounding",
            Relation::UpToHyperparameters { .. } => "equal up to hyperparameters",
            Relation::UpToSlotScale { .. } => "equal up to a slot rescaling",
            Relation::Different { .. } => "different",
        }
    }
}

/// Result of comparing two programs. Its text is for people.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Name of the first program.
    pub left: String,
    /// Name of the second program.
    pub right: String,
    /// The closest relation that was found.
    pub relation: Relation,
}

impl Comparison {
    /// The distance of the data flows; 0 where the programs are equal in some sense.
    pub fn distance(&self) -> f64 {
        match self.relation {
            Relation::Different { distance, .. } => distance,
            _ => 0.0,
        }
    }

    /// The closer comparison first: by relation, then by how many values are set and by distance.
    pub fn order(&self, other: &Comparison) -> std::cmp::Ordering {
        let rank = |comparison: &Comparison| {
            (comparison.relation.class(), comparison.relation.assignment().len())
        };
        rank(self).cmp(&rank(other)).then(self.distance().total_cmp(&other.distance()))
    }

    /// The same with other names for the programs: a zoo name for that of the function.
    pub fn named(self, left: &str, right: &str) -> Comparison {
        Comparison { left: left.to_owned(), right: right.to_owned(), relation: self.relation }
    }

    /// Returns what differs, without the names of the programs: `beta1 = 0.9, weight_decay = 0`.
    /// Empty where nothing does.
    pub fn differences(&self) -> String {
        match &self.relation {
            Relation::Equal | Relation::UpToRounding => String::new(),
            Relation::UpToHyperparameters { general, assignment, gradient, .. } => {
                self.changes(*general, &[], assignment, gradient)
            }
            Relation::UpToSlotScale { general, scales, assignment, gradient } => {
                self.changes(*general, scales, assignment, gradient)
            }
            Relation::Different { only_left, only_right, .. } => {
                let only = |name: &str, statements: &[String]| {
                    (!statements.is_empty())
                        .then(|| format!("only in {name}: {}", statements.join("; ")))
                };
                let parts: Vec<String> =
                    [only(&self.left, only_left), only(&self.right, only_right)]
                        .into_iter()
                        .flatten()
                        .collect();
                if parts.is_empty() {
                    "the same calls, with numbers or connections that do not fit".to_owned()
                } else {
                    parts.join("; ")
                }
            }
        }
    }

    /// `lion_raw = lion with beta1 = 0.9 on g' = arcsin(clip(g, lr))`
    fn changes(
        &self,
        general: Side,
        scales: &[SlotScale],
        assignment: &[Assignment],
        gradient: &Option<GradientFunction>,
    ) -> String {
        let (fixed, mut with) = (self.name(general.other()), self.name(general).to_owned());
        if !assignment.is_empty() {
            let list: Vec<String> = assignment.iter().map(Assignment::to_string).collect();
            with.push_str(&format!(" with {}", list.join(", ")));
        }
        let mut text = match gradient {
            Some(gradient) if gradient.side == general => {
                format!("{with} = {fixed} on g' = {}", gradient.text)
            }
            Some(gradient) => format!("{fixed} = {with} on g' = {}", gradient.text),
            None => format!("{fixed} = {with}"),
        };
        if !scales.is_empty() {
            let scale = |SlotScale { slot, factor, of }: &SlotScale| match *factor {
                -1.0 => format!("its {slot} = -{of}"),
                factor => format!("its {slot} = {} {of}", number(factor)),
            };
            let list: Vec<String> = scales.iter().map(scale).collect();
            text.push_str(&format!(", where {}", list.join(" and ")));
        }
        text
    }

    fn name(&self, side: Side) -> &str {
        match side {
            Side::Left => &self.left,
            Side::Right => &self.right,
        }
    }
}

impl fmt::Display for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.of {
            Assigned::Hyperparameter(name) => write!(f, "{name} = {}", number(self.value)),
            Assigned::LearningRate => write!(f, "lr = {}", number(self.value)),
            Assigned::LearningRateFactor => write!(f, "lr = {} lr", number(self.value)),
            Assigned::Constant(constant) => {
                write!(f, "{} for {}", number(self.value), number(*constant))
            }
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (left, right) = (&self.left, &self.right);
        match &self.relation {
            Relation::Equal => {
                write!(f, "{left} and {right} are equal: they compute the same bits")
            }
            Relation::UpToRounding => {
                write!(f, "{left} and {right} are equal over the reals; rounding differs")
            }
            Relation::UpToHyperparameters { label, .. } => {
                let rounding = if *label == Label::Exact {
                    "bit for bit"
                } else {
                    "over the reals; rounding differs"
                };
                write!(f, "equal up to hyperparameters: {} ({rounding})", self.differences())
            }
            Relation::UpToSlotScale { .. } => {
                write!(
                    f,
                    "equal up to a slot rescaling: {} (over the reals; rounding differs)",
                    self.differences()
                )
            }
            Relation::Different { distance, only_left, only_right } => {
                write!(
                    f,
                    "{left} and {right} are different: their data flows are {distance:.3} apart (0: the same shape, 1: nothing in common)"
                )?;
                for (name, statements) in [(left, only_left), (right, only_right)] {
                    if !statements.is_empty() {
                        write!(f, "\nonly in {name}:")?;
                        for statement in statements {
                            write!(f, "\n  {statement}")?;
                        }
                    }
                }
                if only_left.is_empty() && only_right.is_empty() {
                    write!(
                        f,
                        "\nThey make the same calls, with numbers or connections that do not fit."
                    )?;
                }
                Ok(())
            }
        }
    }
}

/// Values in the data flow of a program, at most, for which relations beside equality are looked
/// for. Programs of people and searches have a tenth of this.
const MOST_VALUES: usize = 1000;
/// Hyperparameters that are tried at 0 and 1, alone and in pairs, at most.
const MOST_SET: usize = 5;
/// Functions of the gradient that are tried at most.
const MOST_GRADIENTS: usize = 12;

/// The closest relation between two programs, both as simple as they get. See the [module](self).
///
/// A program whose types are wrong has nothing in common with any other.
pub fn compare(a: &Program, b: &Program) -> Comparison {
    let comparison = |relation| Comparison {
        left: a.signature().name.clone(),
        right: b.signature().name.clone(),
        relation,
    };
    let (Ok(left), Ok(right)) = (Graph::new(a), Graph::new(b)) else {
        return comparison(Relation::Different {
            distance: 1.0,
            only_left: Vec::new(),
            only_right: Vec::new(),
        });
    };
    if left.hash() == right.hash() {
        return comparison(Relation::Equal);
    }
    let (left, right) = (Subject::new(a, &left), Subject::new(b, &right));
    if left.flow.nodes.len().max(right.flow.nodes.len()) <= MOST_VALUES
        && let Some(relation) = closest(&left, &right)
    {
        return comparison(relation);
    }
    let distance = shape::distance(&left.flow, &right.flow);
    let [only_left, only_right] = shape::unpaired(&left.pruned, &right.pruned);
    comparison(Relation::Different { distance, only_left, only_right })
}

/// The distance of the data flows of two programs, as in [`Relation::Different`], whatever else
/// they have to do with each other; 1 where the types of one of them are wrong.
pub fn data_flow_distance(a: &Program, b: &Program) -> f64 {
    match (Graph::new(a), Graph::new(b)) {
        (Ok(left), Ok(right)) => {
            shape::distance(&DataFlow::new(&left, a), &DataFlow::new(&right, b))
        }
        _ => 1.0,
    }
}

/// A program that is compared.
struct Subject {
    pruned: Program,
    flow: DataFlow,
    /// The flow with hyperparameters at 0 or 1, which may fold it: their variables and values.
    variants: Vec<(Vec<(VarId, f64)>, DataFlow)>,
}

impl Subject {
    fn new(program: &Program, graph: &Graph) -> Subject {
        let flow = DataFlow::new(graph, program);
        let hyperparameters: Vec<VarId> = flow.hyperparameters().take(MOST_SET).collect();
        let mut settings: Vec<Vec<(VarId, f64)>> = Vec::new();
        for (place, first) in hyperparameters.iter().enumerate() {
            for value in [0.0, 1.0] {
                settings.push(vec![(*first, value)]);
                for second in &hyperparameters[place + 1..] {
                    settings
                        .extend([0.0, 1.0].map(|other| vec![(*first, value), (*second, other)]));
                }
            }
        }
        settings.sort_by_key(Vec::len);
        let variant = |setting: Vec<(VarId, f64)>| {
            let mut set = program.clone();
            set.clear_comments();
            let numbers = setting.iter().map(|(variable, value)| {
                Statement::new(*variable, Function::Copy, &[Operand::Constant(*value)])
            });
            set.statements.splice(0..0, numbers.collect::<Vec<_>>());
            let graph = Graph::new(&set).ok()?;
            Some((setting, DataFlow::new(&graph, &set)))
        };
        let variants = settings.into_iter().filter_map(variant).collect();
        Subject { pruned: program.pruned(graph), flow, variants }
    }
}

/// The closest relation beside equality.
fn closest(left: &Subject, right: &Subject) -> Option<Relation> {
    let subjects = [left, right];
    let mut gradients: Vec<Option<(Side, usize)>> = vec![None];
    for side in [Side::Left, Side::Right] {
        let candidates = subjects[side.index()].flow.gradient_candidates();
        gradients
            .extend(candidates.into_iter().take(MOST_GRADIENTS).map(|index| Some((side, index))));
    }
    // Candidates depend on the function of the gradient alone and are made once for it: the sides
    // as they stand, and as they may change.
    let mut prepared: Vec<Option<[Candidates; 2]>> = gradients.iter().map(|_| None).collect();
    for scales in [false, true] {
        for (gradient, prepared) in gradients.iter().zip(&mut prepared) {
            let candidates = prepared.get_or_insert_with(|| {
                [Side::Left, Side::Right].map(|side| {
                    subjects[side.index()].candidates(gradient.filter(|(of, _)| *of == side))
                })
            });
            for constants in [false, true] {
                let free = Free { rate: true, scales, constants };
                for general in [Side::Right, Side::Left] {
                    let fixed = &candidates[general.other().index()].fixed;
                    // A number that was put in is not one to be moved again.
                    let may_change = candidates[general.index()]
                        .changing
                        .iter()
                        .filter(|changed| !constants || changed.set.is_empty());
                    let may_change = may_change.filter(|changed| scales || changed.negated == 0);
                    for changed in may_change {
                        let Some(found) = (Attempt { fixed, general: changed, free }).run() else {
                            continue;
                        };
                        let gradient = gradient.map(|(side, index)| GradientFunction {
                            side,
                            text: subjects[side.index()].flow.expression(index),
                        });
                        return Some(found.relation(general, gradient));
                    }
                }
            }
        }
    }
    None
}

/// Whether no hyperparameter of the fixed side would need two values to be the constants that stand
/// for it on the general side.
fn are_moved_consistently(
    fixed: &Scalars,
    general: &Scalars,
    pairs: &[matching::Pair],
    solution: &Solution,
) -> bool {
    let mut values: BTreeMap<scalar::ScalarId, u64> = BTreeMap::new();
    pairs.iter().all(|(left, right)| {
        let Some(left) = left.filter(|left| fixed.has_hyperparameters(*left)) else { return true };
        match general.as_unknown(*right) {
            Some(Unknown::Constant(bits)) => *values.entry(left).or_insert(bits) == bits,
            // A constant that is moved within a formula can't be attributed to one hyperparameter.
            _ => !solution
                .moved
                .iter()
                .any(|(bits, _)| general.depends_on(*right, Unknown::Constant(*bits))),
        }
    })
}

/// A flow in the forms in which it is matched.
struct Candidate {
    flow: DataFlow,
    /// Hyperparameters that are set in the flow already.
    set: Vec<(VarId, f64)>,
    /// The slots that are taken with the other sign, as bits.
    negated: u32,
    literal: Form,
    algebraic: Form,
}

impl Candidate {
    fn new(flow: DataFlow, set: &[(VarId, f64)], changes: bool) -> Candidate {
        Candidate::negated(flow, set, changes, 0)
    }

    fn negated(flow: DataFlow, set: &[(VarId, f64)], changes: bool, negated: u32) -> Candidate {
        let [literal, algebraic] = [Manner::Literal, Manner::Algebraic]
            .map(|manner| Form::new(&flow, manner, changes, negated));
        Candidate { flow, set: set.to_vec(), negated, literal, algebraic }
    }

    fn form(&self, manner: Manner) -> &Form {
        match manner {
            Manner::Literal => &self.literal,
            Manner::Algebraic => &self.algebraic,
        }
    }
}

impl Subject {
    /// With a value taken for the gradient, the program is taken whole only: values have other
    /// indices where something is set.
    fn candidates(&self, gradient: Option<(Side, usize)>) -> Candidates {
        match gradient {
            Some((_, index)) => {
                let flow = self.flow.with_gradient(index);
                Candidates {
                    fixed: Candidate::new(flow.clone(), &[], false),
                    changing: vec![Candidate::new(flow, &[], true)],
                }
            }
            None => {
                let mut changing = vec![Candidate::new(self.flow.clone(), &[], true)];
                changing.extend(
                    self.variants.iter().map(|(set, flow)| Candidate::new(flow.clone(), set, true)),
                );
                changing.extend(
                    self.flow
                        .negated_slots()
                        .map(|negated| Candidate::negated(self.flow.clone(), &[], true, negated)),
                );
                Candidates { fixed: Candidate::new(self.flow.clone(), &[], false), changing }
            }
        }
    }
}

/// A program in what it can be taken for.
struct Candidates {
    /// As it stands.
    fixed: Candidate,
    /// With unknowns: whole first, then with hyperparameters set.
    changing: Vec<Candidate>,
}

/// One flow as it stands against another one with unknowns.
struct Attempt<'a> {
    fixed: &'a Candidate,
    general: &'a Candidate,
    free: Free,
}

struct Found {
    assignment: Vec<Assignment>,
    scales: Vec<SlotScale>,
    label: Label,
}

impl Found {
    fn relation(self, general: Side, gradient: Option<GradientFunction>) -> Relation {
        let Found { assignment, scales, label } = self;
        if !scales.is_empty() {
            Relation::UpToSlotScale { general, scales, assignment, gradient }
        } else if assignment.is_empty() && gradient.is_none() && label != Label::Exact {
            Relation::UpToRounding
        } else {
            Relation::UpToHyperparameters { general, assignment, gradient, label }
        }
    }
}

impl Attempt<'_> {
    fn run(&self) -> Option<Found> {
        if !self.free.scales
            && let Some(found) = self.in_manner(Manner::Literal)
        {
            return Some(found);
        }
        self.in_manner(Manner::Algebraic)
    }

    fn in_manner(&self, manner: Manner) -> Option<Found> {
        let (fixed, general) = (self.fixed.form(manner), self.general.form(manner));
        let (fixed_flow, general_flow) = (&self.fixed.flow, &self.general.flow);
        let own = |unknown: Unknown| match unknown {
            Unknown::Hyperparameter(variable) => fixed_flow.hyperparameter(variable).1,
            Unknown::Constant(bits) => f64::from_bits(bits),
            Unknown::Rate | Unknown::Scale(_) => 1.0,
        };
        let default = |unknown: Unknown| match unknown {
            Unknown::Hyperparameter(variable) => general_flow.hyperparameter(variable).1,
            Unknown::Constant(bits) => f64::from_bits(bits),
            Unknown::Rate | Unknown::Scale(_) => 1.0,
        };
        let preferred = |unknown: Unknown| match unknown {
            Unknown::Hyperparameter(variable) => {
                let name = general_flow.hyperparameter(variable).0;
                fixed_flow
                    .hyperparameters()
                    .map(|id| fixed_flow.hyperparameter(id))
                    .find(|(other, _)| *other == name)
                    .map(|(_, value)| value)
            }
            _ => None,
        };
        let likely: Vec<f64> = fixed.scalars.numbers().into_iter().map(own).collect();
        let divides = |id: &scalar::ScalarId| fixed.scalars.evaluate(*id, &own) != 0.0;
        if !fixed.divisors.iter().all(divides) {
            return None;
        }
        let mut solve = |pairs: &[matching::Pair]| {
            let equation = |(left, right): &matching::Pair| Equation {
                left: left.map_or(0.0, |left| fixed.scalars.evaluate(left, &own)),
                right: *right,
            };
            let equations: Vec<Equation> = pairs.iter().map(equation).collect();
            // The root of a negative factor was taken out of a root: what is left inside is another
            // value than it was.
            if manner == Manner::Algebraic
                && equations.iter().any(|equation| equation.left.is_nan())
            {
                return None;
            }
            let problem = Problem {
                scalars: &general.scalars,
                equations: &equations,
                free: self.free,
                default: &default,
                likely: &likely,
                divisors: &general.divisors,
                preferred: &preferred,
            };
            let solution = problem.solve()?;
            if !are_moved_consistently(&fixed.scalars, &general.scalars, pairs, &solution) {
                return None;
            }
            // A hyperparameter that is, wherever it stands by itself, a hyperparameter of the other
            // program.
            let mut origins = Vec::new();
            for (left, right) in pairs {
                if let (Some(left), Some(Unknown::Hyperparameter(of))) =
                    (left, general.scalars.as_unknown(*right))
                    && let Some(Unknown::Hyperparameter(origin)) = fixed.scalars.as_unknown(*left)
                {
                    origins.push((of, origin));
                }
            }
            // The same calls on the same bits.
            let is_exact = manner == Manner::Literal
                && equations.iter().all(|equation| solution.gives_the_bits(equation, &problem));
            Some((solution, origins, is_exact))
        };
        let ((solution, origins, is_exact), slots) =
            matching::match_forms(fixed, general, &mut solve)?;
        Some(self.found(solution, &origins, &slots, is_exact))
    }

    fn found(
        &self,
        solution: Solution,
        origins: &[(VarId, VarId)],
        slots: &matching::Slots,
        is_exact: bool,
    ) -> Found {
        let value = |unknown: Unknown| solution.values.get(&unknown).copied();
        let mut hyperparameters: Vec<(VarId, f64)> = self.general.set.to_vec();
        hyperparameters.extend(solution.values.iter().filter_map(
            |(unknown, value)| match unknown {
                Unknown::Hyperparameter(variable) => Some((*variable, *value)),
                _ => None,
            },
        ));
        hyperparameters.sort_by_key(|(variable, _)| *variable);
        let rate = value(Unknown::Rate).unwrap_or(1.0);

        let mut assignment = Vec::new();
        for (variable, value) in &hyperparameters {
            let name = self.general.flow.hyperparameter(*variable).0;
            let mut of: Vec<&str> = origins
                .iter()
                .filter(|(of, _)| of == variable)
                .map(|(_, origin)| self.fixed.flow.hyperparameter(*origin).0)
                .collect();
            of.sort_unstable();
            of.dedup();
            let hyperparameter = match of.as_slice() {
                [one] => Some(*one),
                _ => None,
            };
            // A hyperparameter with one name and one default in both programs needs no word.
            let own = self.general.flow.hyperparameter(*variable);
            let same = |id: VarId| self.fixed.flow.hyperparameter(id) == own && own.1 == *value;
            if !self.fixed.flow.hyperparameters().any(same) {
                let of = Assigned::Hyperparameter(name.to_owned());
                assignment.push(Assignment {
                    of,
                    value: *value,
                    hyperparameter: hyperparameter.map(str::to_owned),
                });
            }
        }
        if rate != 1.0 {
            let of = if self.fixed.flow.states_its_peak() {
                Assigned::LearningRateFactor
            } else {
                Assigned::LearningRate
            };
            assignment.push(Assignment { of, value: rate, hyperparameter: None });
        }
        for (constant, value) in &solution.moved {
            let of = Assigned::Constant(f64::from_bits(*constant));
            assignment.push(Assignment { of, value: f64::from_bits(*value), hyperparameter: None });
        }

        let mut scales = Vec::new();
        for (fixed, general) in slots.iter().enumerate() {
            let Some(general) = general else { continue };
            let sign = if form::is_negated(self.general.negated, *general) { -1.0 } else { 1.0 };
            let factor = sign * value(Unknown::Scale(*general)).unwrap_or(1.0);
            if factor != 1.0 {
                let name =
                    |names: &[String], slot: usize| names.get(slot).cloned().unwrap_or_default();
                let (slot, of) = (
                    name(&self.general.flow.slot_names, *general),
                    name(&self.fixed.flow.slot_names, fixed),
                );
                scales.push(SlotScale { slot, factor, of });
            }
        }
        // With other constants in its text the general program is another program: that is told
        // from the match alone.
        let is_exact = is_exact
            || (scales.is_empty()
                && solution.moved.is_empty()
                && self.have_one_hash(&hyperparameters, rate));
        let label = if is_exact { Label::Exact } else { Label::Real };
        Found { assignment, scales, label }
    }

    /// Whether both flows have one functional hash with the values put in.
    fn have_one_hash(&self, hyperparameters: &[(VarId, f64)], rate: f64) -> bool {
        let set = |variable: VarId| {
            let found = hyperparameters
                .iter()
                .find(|(other, _)| *other == variable)
                .map(|(_, value)| *value);
            found.unwrap_or(self.general.flow.hyperparameter(variable).1)
        };
        let default = |variable: VarId| self.fixed.flow.hyperparameter(variable).1;
        let hash = |program: Option<Program>| {
            program.and_then(|program| Graph::new(&program).ok()).map(|graph| graph.hash())
        };
        let (fixed, general) = (
            hash(self.fixed.flow.program(&default, 1.0)),
            hash(self.general.flow.program(&set, rate)),
        );
        fixed.is_some() && fixed == general
    }
}
