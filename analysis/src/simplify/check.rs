//! Claims of steps, and their checkers.

use serde::Serialize;
use symopt_dsl::program::Program;

use crate::simplify::label::{Label, SlotMap};

/// A condition on a value inside the program before a step: where it fails, the step may change the
/// result.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// The program before with the value as its update: the same signature, the same slots.
    pub probe: Program,
    /// Requirement on the value.
    pub requirement: Requirement,
    /// The condition for people: `m != 0`.
    pub text: String,
}

/// Requirement on a value for a rule to hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Requirement {
    /// Its absolute value is at least this. The rule neglects the guard of a division: it is not
    /// true to the last digit there either, but up to the guard's share of the value.
    AwayFromZero(f64),
    /// It is a number: neither infinite nor NaN.
    Finite,
    /// It is not zero.
    NonZero,
    /// It is above zero.
    Positive,
    /// It is zero or above.
    NonNegative,
    /// It is above -1.
    AboveMinusOne,
    /// It is between two numbers, both included.
    Within(f64, f64),
}

impl Requirement {
    /// The requirement on a value for people.
    pub fn text(self, value: &str) -> String {
        match self {
            Requirement::AwayFromZero(distance) => format!("|{value}| >= {distance}"),
            Requirement::Finite => format!("{value} is finite"),
            Requirement::NonZero => format!("{value} != 0"),
            Requirement::Positive => format!("{value} > 0"),
            Requirement::NonNegative => format!("{value} >= 0"),
            Requirement::AboveMinusOne => format!("{value} > -1"),
            Requirement::Within(low, high) => format!("{low} <= {value} <= {high}"),
        }
    }

    /// Whether a value is as required; NaN never is.
    pub fn holds(self, x: f64) -> bool {
        match self {
            Requirement::AwayFromZero(distance) => x.abs() >= distance,
            Requirement::Finite => x.is_finite(),
            Requirement::NonZero => x != 0.0 && !x.is_nan(),
            Requirement::Positive => x > 0.0,
            Requirement::NonNegative => x >= 0.0,
            Requirement::AboveMinusOne => x > -1.0,
            Requirement::Within(low, high) => low <= x && x <= high,
        }
    }
}

/// The claim that two programs do the same.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The program before.
    pub before: &'a Program,
    /// The program after.
    pub after: &'a Program,
    /// In which sense they are the same: exact, real or domain.
    pub label: Label,
    /// The slots after from the slots before; slots of the same name are the same where nothing is
    /// said.
    pub slots: &'a [SlotMap],
    /// Where the claim is made, for the label `domain`.
    pub conditions: &'a [Condition],
}

/// Whether a claim stood its check.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nobody checked it.
    Unchecked,
    /// Nothing was found that breaks the label.
    Holds,
    /// Nothing speaks against it, and too little for it; this says why.
    Unproven(String),
    /// The label is wrong; this is what was seen.
    Violated(String),
}

/// The place of the largest deviation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Place {
    /// The random stream, in words.
    pub stream: String,
    /// The step, from 1.
    pub step: usize,
    /// Deviating quantity: `update`, or the name of a slot after the step.
    pub quantity: String,
    /// The gradient there.
    pub gradient: f64,
    /// The value before.
    pub before: f64,
    /// The value after.
    pub after: f64,
}

/// Results of a check.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evidence {
    /// Whether the claim stands.
    pub verdict: Verdict,
    /// Steps that both programs ran, over all streams.
    pub steps: usize,
    /// Numbers that were compared: the updates and the slots.
    pub compared: u64,
    /// Numbers that were left out of the judgement: a condition of the step fails there, or the
    /// program before leaves the finite numbers.
    pub outside: u64,
    /// The largest relative deviation among the numbers compared: `|after - before| / max(|after|, |before|)`.
    pub largest_deviation: f64,
    /// Where that was.
    pub largest_at: Option<Place>,
    /// The largest relative deviation among the numbers that were left out, where both are finite.
    pub largest_outside: f64,
    /// Where that was.
    pub outside_at: Option<Place>,
    /// Updates, compared or left out, whose signs differ.
    pub sign_flips: u64,
}

impl Evidence {
    /// Returns the evidence for a claim that nobody checked.
    pub fn unchecked() -> Evidence {
        Evidence {
            verdict: Verdict::Unchecked,
            steps: 0,
            compared: 0,
            outside: 0,
            largest_deviation: 0.0,
            largest_at: None,
            largest_outside: 0.0,
            outside_at: None,
            sign_flips: 0,
        }
    }
}

/// Checks claims by running both programs: [`RandomStreams`](crate::RandomStreams) does.
pub trait Checker {
    /// Runs both programs of a claim and says what was seen.
    fn check(&mut self, claim: &Claim<'_>) -> Evidence;
}

/// Checks nothing: for what is checked elsewhere, as the canonical form of a cache key.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unchecked;

impl Checker for Unchecked {
    fn check(&mut self, _claim: &Claim<'_>) -> Evidence {
        Evidence::unchecked()
    }
}
