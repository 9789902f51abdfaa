//! The structure that a program's simplified form has.

use symopt_dsl::program::Numerics;
use symopt_dsl::{Program, parse};
use symopt_programs::find;

use super::{LEAST_SLOW_BETA, Structure, blend_structure, with_decay};
use crate::compare::{Assigned, Relation, Side, compare};

/// AdamW without bias correction: what a search can write that has no step count.
const ADAMW_UNCORRECTED: &str = include_str!("adamw-uncorrected.opt");

/// A known program in both numerics, simplified.
pub(super) struct Known {
    name: &'static str,
    ieee: Program,
    guarded: Program,
}

/// Classification by form.
pub(super) struct Found {
    pub(super) structure: Structure,
    /// Description for people.
    pub(super) words: String,
    /// The known program stands on a function of the gradient, about which the form says nothing.
    pub(super) on_a_function: bool,
}

/// The programs that are compared with.
pub(super) fn known(simplify: impl Fn(&Program) -> Program) -> Vec<Known> {
    let simplified = |program: &Program, numerics: Numerics| {
        let mut signature = program.signature().clone();
        signature.numerics = numerics;
        simplify(&program.with_signature(signature))
    };
    let of_zoo = ["lion", "adamw", "signum", "muon"]
        .into_iter()
        .filter_map(|name| Some((name, find(name)?.program())));
    // The text is compiled in, and a test meets it.
    let own = parse(ADAMW_UNCORRECTED).map(|program| ("adamw without bias correction", program));
    let known = of_zoo.chain(own).map(|(name, program)| {
        let program = with_decay(&program);
        Known {
            name,
            ieee: simplified(&program, Numerics::Ieee),
            guarded: simplified(&program, Numerics::Guarded),
        }
    });
    known.collect()
}

/// Classifies a simplified program by its form: a case of one of the known programs. `None` if it
/// is none.
pub(super) fn by_form(simple: &Program, known: &[Known]) -> Option<Found> {
    let mut nearest: Option<(Relation, &Known, String)> = None;
    for known in known {
        let other = match simple.signature().numerics {
            Numerics::Ieee => &known.ieee,
            Numerics::Guarded => &known.guarded,
        };
        let comparison = compare(simple, other).named("it", known.name);
        // Where the known program is a case of it, it may well be something else itself.
        let is_case = comparison.relation.general() != Some(Side::Left)
            && comparison.relation.class() < different();
        if is_case
            && nearest
                .as_ref()
                .is_none_or(|(relation, ..)| comparison.relation.class() < relation.class())
        {
            let words = if comparison.relation.general().is_some() {
                comparison.differences()
            } else {
                comparison.to_string()
            };
            nearest = Some((comparison.relation, known, words));
        }
    }
    let (relation, known, words) = nearest?;
    let structure = structure(&relation, known);
    let on_a_function = match &relation {
        Relation::UpToHyperparameters { gradient, .. }
        | Relation::UpToSlotScale { gradient, .. } => gradient.is_some(),
        _ => false,
    };
    Some(Found { structure, words, on_a_function })
}

/// The class of relations that are none.
fn different() -> usize {
    Relation::Different { distance: 1.0, only_left: Vec::new(), only_right: Vec::new() }.class()
}

/// The structure of a known program with the values that make it the program in question.
fn structure(relation: &Relation, known: &Known) -> Structure {
    let assignment = relation.assignment();
    let signature = known.ieee.signature();
    // As assigned, or else as in the known program.
    let value = |name: &str| {
        let assigned = assignment
            .iter()
            .find(|a| a.of == Assigned::Hyperparameter(name.to_owned()))
            .map(|a| a.value);
        assigned.or_else(|| {
            signature.hyperparameters().find(|(_, p)| p.name == name).and_then(|(_, p)| p.default)
        })
    };
    let decays = value("weight_decay").is_some_and(|decay| decay > 0.0);
    let is_average = |beta: f64| beta > 0.0 && beta < 1.0;
    match known.name {
        "lion" => {
            let (Some(beta1), Some(beta2)) = (value("beta1"), value("beta2")) else {
                return Structure::Other;
            };
            if !is_average(beta1) || !is_average(beta2) {
                return Structure::Other;
            }
            // sign(beta1 m + (1 - beta1) g), where m is a sum of (1 - beta2) beta2^(k-1) times
            // gradients that are k steps old.
            blend_structure(beta2, (1.0 - beta1) * beta2 / (beta1 * (1.0 - beta2)), decays)
        }
        "muon" if value("momentum").is_some_and(is_average) => Structure::MuonLike,
        "signum" if value("beta").is_some_and(is_average) => Structure::SignumLike,
        "adamw" | "adamw without bias correction" => {
            let is_slow = value("beta2").is_some_and(|beta| (LEAST_SLOW_BETA..1.0).contains(&beta));
            let is_adamw = decays && is_slow && value("beta1").is_some_and(is_average);
            if is_adamw { Structure::AdamwLike } else { Structure::Other }
        }
        _ => Structure::Other,
    }
}
