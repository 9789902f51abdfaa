//! Derivations: lists of steps from a program to a simpler one.

use std::fmt;

use serde::{Serialize, Serializer};
use symopt_dsl::program::Program;

use crate::simplify::check::Evidence;
use crate::simplify::label::{Label, SlotMap};

/// Kind of simplification. The order is the order in which they are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// Statements that no output of the step needs go (dependency sets).
    Redundant,
    /// A slot that no later step reads before it is written goes, and all that only feeds it.
    DeadSlot,
    /// Equality saturation over the rules of algebra.
    Identity,
    /// Reasoning about the state: changes of variable, slots that follow from others.
    Slots,
    /// A statement that makes no difference on the tasks goes.
    Ablation,
    /// Numbers become named hyperparameters, or get fewer digits.
    Constants,
    /// Names and the order of statements.
    Names,
}

impl fmt::Display for StepKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            StepKind::Redundant => "redundant",
            StepKind::DeadSlot => "dead slot",
            StepKind::Identity => "identity",
            StepKind::Slots => "slots",
            StepKind::Ablation => "ablation",
            StepKind::Constants => "constants",
            StepKind::Names => "names and order",
        })
    }
}

/// Why a step is right: one rule that was applied, in people's terms.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reason {
    /// Name of the rule.
    pub rule: String,
    /// Its label.
    pub label: Label,
    /// The change, or a sentence.
    pub text: String,
}

/// Evidence for a step beside its reasons.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Support {
    /// Both programs were run on the same random streams.
    Check(Box<Evidence>),
    /// Programs were trained on a suite.
    Trials(Vec<Trial>),
}

/// A program with a statement bypassed, trained on a suite beside the program as it stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trial {
    /// Description of the change, in people's terms.
    pub change: String,
    /// Fitness of the program as it stands; `None` if it diverged.
    pub fitness_before: Option<f64>,
    /// Fitness with the change; `None` if it diverged.
    pub fitness_after: Option<f64>,
    /// Mean over the seeds of the fitness after less the fitness before.
    pub difference: Option<f64>,
    /// Standard error of that mean.
    pub standard_error: Option<f64>,
    /// Whether the change was kept.
    pub kept: bool,
}

/// One step of a derivation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// Its kind.
    pub kind: StepKind,
    /// In which sense the programs are equal.
    pub label: Label,
    /// The program before.
    #[serde(serialize_with = "program_text")]
    pub before: Program,
    /// The program after.
    #[serde(serialize_with = "program_text")]
    pub after: Program,
    /// Statements of the program before, by index, that are gone or changed.
    pub touched: Vec<usize>,
    /// Why it is right.
    pub reasons: Vec<Reason>,
    /// Conditions, in people's terms, under which a step of the label `domain` holds.
    pub conditions: Vec<String>,
    /// The change of variable, where the slots have changed.
    pub slots: Vec<SlotMap>,
    /// The check that was run, or the trials.
    pub support: Support,
}

fn program_text<S: Serializer>(program: &Program, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(program)
}

/// A derivation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Derivation {
    /// The program that was given.
    #[serde(serialize_with = "program_text")]
    pub original: Program,
    /// The steps. Each begins with the program that the one before ended with.
    pub steps: Vec<Step>,
    /// Steps that broke their own label in the check: bugs of the simplifier, to be reported. The
    /// derivation goes on without them.
    pub rejected: Vec<Step>,
    /// Further remarks, each in a sentence: limits that were reached, how tasks were run.
    pub notes: Vec<String>,
}

impl Derivation {
    /// A derivation without steps.
    pub fn new(original: Program) -> Derivation {
        Derivation { original, steps: Vec::new(), rejected: Vec::new(), notes: Vec::new() }
    }

    /// The program at the end.
    pub fn result(&self) -> &Program {
        self.steps.last().map_or(&self.original, |step| &step.after)
    }

    /// The weakest label of all steps.
    pub fn label(&self) -> Label {
        self.steps.iter().map(|step| step.label).max().unwrap_or(Label::Exact)
    }
}
