//! Classifies a program as an optimizer: AdamW-like, Signum-like, Lion-like, or none of these. Told
//! twice, each by itself: by what it does to a fixed stream of gradients, and by its simplified
//! form.
//!
//! | structure | what it means here |
//! |---|---|
//! | Lion-like | sign-like; the current gradient weighs at least twice what the geometric tail over older gradients extrapolates to; the tail is one slow average (beta of 0.9 or more); decoupled weight decay |
//! | Signum-like | sign-like; one geometric average of the gradients, the current one included: it weighs from half to twice what the tail extrapolates to |
//! | AdamW-like | such an average, at most with Nesterov's look-ahead, over the root of a long average of squared gradients; decoupled weight decay |
//! | Muon-like | an orthogonalised momentum: of matrices whose gradients have very different singular values the update has nearly equal ones; earlier gradients matter |
//! | other | everything else |
//!
//! Sign-like means: all numbers of a step have one size, whatever the size of the gradients, and
//! the program is odd. A function that is a sign for ordinary gradients and soft for tiny ones,
//! such as `tanh(1e6 * x)`, is sign-like: it has to hold for gradients of sizes from 0.03 to 3 and
//! for thirty times that; what happens to gradients of a thirtieth is measured and told. A soft
//! sign, such as `x / sqrt(EMA of x^2)`, is not.
//!
//! Where there is no stored average (SignSGD, RMSProp) a program is none of the three, as are Adam
//! and NAdam, which have no decoupled decay, and AdaBelief, whose average is not one of squared
//! gradients. A hyperparameter `weight_decay` that is off by default is on here: the program can
//! decay.
//!
//! ```
//! use symopt_analysis::simplify::{Label, canonical};
//! use symopt_analysis::structure::{Structure, classify};
//!
//! let found = classify(&symopt_programs::lion().program(), |program| canonical(program, Label::Domain));
//! assert_eq!(found.by_probes, Structure::LionLike);
//! assert_eq!(found.by_form, Some(Structure::LionLike));
//! let text = "Lion-like by probes (beta of the stored average 0.990, current gradient 11.0 times its tail) and by form";
//! assert_eq!(found.to_string(), text);
//! ```

mod form;
mod kernel;
mod matrices;
mod probes;
mod streams;

use std::fmt;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use symopt_dsl::Program;
use symopt_dsl::program::ParameterKind;

pub use matrices::Matrices;
pub use probes::{Blend, Decay, Probes, Rescaled, Size};

/// The least share of finite numbers other than zero in a direction.
pub const LEAST_MOVING: f64 = 0.9;
/// The least share of a step's numbers within 10 % of their median size in something sign-like. A
/// function that is a sign for all but the smallest blends has a few soft ones.
pub const LEAST_EQUAL_SIZES: f64 = 0.9;
/// The least cosine between directions from which a program is invariant to the size of the
/// gradients, and odd. Clipping by the norm, which weighs the steps anew, stays above.
pub const LEAST_COSINE: f64 = 0.95;
/// Where the size of the direction for gradients thirty times as large, over that for gradients as
/// they are, is that of an invariant program.
pub const EQUAL_FACTORS: RangeInclusive<f64> = 1.0 / 1.1..=1.1;
/// The least share of signs that a blend has to tell.
pub const LEAST_AGREEMENT: f64 = 0.96;
/// The least share of the tail in the blend: with less there is no stored average to speak of.
pub const LEAST_TAIL_SHARE: f64 = 0.05;
/// From here on a beta is one of a memory that never forgets.
pub const ENDLESS_BETA: f64 = 0.9998;
/// The least beta of a slow average: 0.9, less what the probes may be off.
pub const LEAST_SLOW_BETA: f64 = 0.899;
/// From here on the current gradient has a weight of its own beside the tail.
pub const LION_RATIO: f64 = 2.0;
/// The least weight of the current gradient in an average that it belongs to.
pub const LEAST_AVERAGE_RATIO: f64 = 0.5;
/// Nesterov's look-ahead gives the current gradient 1 + 1 / beta times the weight of the tail:
/// AdamW-like programs stay below this.
pub const MOST_LOOK_AHEAD: f64 = 3.0;
/// The least cosine with Adam's direction.
pub const LEAST_ADAM_COSINE: f64 = 0.98;
/// The least coefficient of weight decay, for directions of size 1.
pub const LEAST_DECAY: f64 = 1e-5;
/// The largest share of the weights' effect that decoupled decay leaves unexplained.
pub const MOST_DECAY_RESIDUAL: f64 = 0.01;
/// The largest spread of the squared singular values of an orthogonalised update. Muon's five steps
/// of Newton-Schulz leave 0.3 to 0.4, a random square matrix has 1.
pub const MOST_SPREAD: f64 = 0.5;
/// The value of a hyperparameter `weight_decay` that is off by default.
const DECAY: f64 = 0.1;

/// A kind of optimizer. See the [module](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Structure {
    /// Momentum over the root of an average of squared gradients, with decoupled decay.
    AdamwLike,
    /// The sign of one average of the gradients.
    SignumLike,
    /// The sign of a slow average and the current gradient, which counts more, with decoupled
    /// decay.
    LionLike,
    /// An orthogonalised momentum: the updates of matrices have nearly equal singular values.
    MuonLike,
    /// None of these.
    Other,
}

impl fmt::Display for Structure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Structure::AdamwLike => "AdamW-like",
            Structure::SignumLike => "Signum-like",
            Structure::LionLike => "Lion-like",
            Structure::MuonLike => "Muon-like",
            Structure::Other => "other",
        })
    }
}

/// Classification of a program by kind of optimizer. Its text is one line for people.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Classification {
    /// By what it does.
    pub by_probes: Structure,
    /// By its simplified form: that of a known program with certain values of its hyperparameters.
    /// `None` if it is that of none.
    pub by_form: Option<Structure>,
    /// The known program that it is by form, and with which values: `lion with beta1 = 0.9,
    /// weight_decay = 0`. `None` if it is none.
    pub known_form: Option<String>,
    /// Measurements; `None` if the program can't be run.
    pub probes: Option<Probes>,
    /// Why it is what it is, in sentences for people.
    pub reasons: Vec<String>,
}

impl fmt::Display for Classification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by probes", self.by_probes)?;
        if self.by_probes != Structure::Other
            && let Some(blend) = self.probes.as_ref().and_then(|probes| probes.blend.as_ref())
            && let Some(ratio) = blend.current_over_tail
        {
            write!(
                f,
                " (beta of the stored average {:.3}, current gradient {ratio:.1} times its tail)",
                blend.beta
            )?;
        }
        match self.by_form {
            Some(structure) if structure == self.by_probes => f.write_str(" and by form"),
            Some(structure) => write!(f, ", {structure} by form"),
            None => f.write_str(", no known form"),
        }
    }
}

impl Classification {
    /// The reasons that the line for people leaves open: of what is like none of the known ones, or
    /// like another one by its form. Empty where it says all.
    pub fn open_reasons(&self) -> &[String] {
        let is_clear = self.by_probes != Structure::Other
            && self.by_form.is_none_or(|by_form| by_form == self.by_probes);
        if is_clear { &[] } else { &self.reasons }
    }
}

/// Classifies programs: known programs are simplified once.
pub struct Classifier<S> {
    simplify: S,
    known: Vec<form::Known>,
}

impl<S: Fn(&Program) -> Program> Classifier<S> {
    /// A classifier that takes programs in the form that `simplify` gives them, known ones as well.
    pub fn new(simplify: S) -> Classifier<S> {
        Classifier { known: form::known(&simplify), simplify }
    }

    /// Classifies a program that is complete: its update holds the learning rate and the decay.
    pub fn classify(&self, program: &Program) -> Classification {
        let program = with_decay(program);
        let probes = Probes::measure(&program);
        let (by_probes, mut reasons) = match &probes {
            Some(probes) => judge(probes),
            None => (Structure::Other, vec!["it can't be run".to_owned()]),
        };
        let simple = (self.simplify)(&program);
        let mut by_form = form::by_form(&simple, &self.known);
        // The form says nothing about a function of the gradient that the known program stands on:
        // whether that changes what it is.
        if let Some(found) = &mut by_form
            && found.on_a_function
            && found.structure != by_probes
        {
            found.structure = Structure::Other;
        }
        reasons.push(match &by_form {
            Some(found) => format!("by form: {}", found.words),
            None => "by form: none of the known programs".to_owned(),
        });
        let known_form = by_form
            .as_ref()
            .map(|found| found.words.strip_prefix("it = ").unwrap_or(&found.words).to_owned());
        Classification {
            by_probes,
            by_form: by_form.map(|found| found.structure),
            known_form,
            probes,
            reasons,
        }
    }
}

/// Classifies one program: see [`Classifier`], which is faster for many.
pub fn classify(program: &Program, simplify: impl Fn(&Program) -> Program) -> Classification {
    Classifier::new(simplify).classify(program)
}

/// Classifies a program by probes alone, with reasons and measurements: some twenty milliseconds.
pub fn by_probes(program: &Program) -> (Structure, Vec<String>, Option<Probes>) {
    match Probes::measure(&with_decay(program)) {
        Some(probes) => {
            let (structure, reasons) = judge(&probes);
            (structure, reasons, Some(probes))
        }
        None => (Structure::Other, vec!["it can't be run".to_owned()], None),
    }
}

/// The program with its weight decay on.
fn with_decay(program: &Program) -> Program {
    let mut signature = program.signature().clone();
    for parameter in &mut signature.parameters {
        let is_off = parameter.default.is_none_or(|value| value <= 0.0);
        if parameter.kind == ParameterKind::Hyperparameter
            && parameter.name == "weight_decay"
            && is_off
        {
            parameter.default = Some(DECAY);
        }
    }
    program.with_signature(signature)
}

/// Classifies the sign of a blend, by its beta, the weight of the current gradient over that of the
/// tail, and whether there is decoupled decay.
fn blend_structure(beta: f64, ratio: f64, decays: bool) -> Structure {
    if kernel::tail_share(beta, ratio) < LEAST_TAIL_SHARE {
        Structure::Other
    } else if ratio >= LION_RATIO {
        if beta >= LEAST_SLOW_BETA && decays { Structure::LionLike } else { Structure::Other }
    } else if ratio >= LEAST_AVERAGE_RATIO {
        Structure::SignumLike
    } else {
        Structure::Other
    }
}

/// The structure that the numbers tell, and why.
fn judge(probes: &Probes) -> (Structure, Vec<String>) {
    let mut reasons = Vec::new();
    if probes.moving < LEAST_MOVING {
        reasons.push(format!(
            "only {:.1} % of the numbers of its updates are finite and not zero",
            100.0 * probes.moving
        ));
        return (Structure::Other, reasons);
    }
    if let Some(matrices) = &probes.matrices {
        if orthogonalises(matrices, &mut reasons) {
            return (Structure::MuonLike, reasons);
        }
        if matrices.as_vectors < LEAST_COSINE {
            reasons.push(format!(
                "matrices get another direction than vectors of the same numbers (cosine {:.3})",
                matrices.as_vectors
            ));
            return (Structure::Other, reasons);
        }
    }
    let is_invariant = is_invariant(probes, &mut reasons);
    let has_equal_sizes = has_equal_sizes(probes, &mut reasons);
    let decays = decays(probes, &mut reasons);
    let Some((beta, ratio)) = stored_average(probes, &mut reasons) else {
        return (Structure::Other, reasons);
    };
    if !is_invariant {
        return (Structure::Other, reasons);
    }
    if has_equal_sizes {
        return (blend_structure(beta, ratio, decays), reasons);
    }
    let divides_by_root = probes
        .size
        .as_ref()
        .is_some_and(|size| size.adam_cosine >= LEAST_ADAM_COSINE && size.beta2 >= LEAST_SLOW_BETA);
    let is_average = (LEAST_AVERAGE_RATIO..MOST_LOOK_AHEAD).contains(&ratio);
    if let Some(size) = &probes.size {
        let (cosine, beta2, linear) = (size.adam_cosine, size.beta2, size.linear_cosine);
        reasons.push(format!(
            "a cosine of {cosine:.3} with the blend over the root of squared gradients averaged with beta {beta2:.4}, of {linear:.3} with the \
             blend itself"
        ));
    }
    let structure = if divides_by_root && is_average && decays {
        Structure::AdamwLike
    } else {
        Structure::Other
    };
    (structure, reasons)
}

fn orthogonalises(matrices: &Matrices, reasons: &mut Vec<String>) -> bool {
    let Matrices { spread, spread_of_gradients, memory, .. } = *matrices;
    if spread > MOST_SPREAD {
        reasons.push(format!(
            "does not orthogonalise: squared singular values of matrix updates are spread by \
             {spread:.2} of their mean, those of the gradients by {spread_of_gradients:.2}"
        ));
        return false;
    }
    let remembers = memory < LEAST_COSINE;
    reasons.push(format!(
        "orthogonalises: squared singular values of matrix updates are spread by {spread:.2} of \
         their mean, those of the gradients by {spread_of_gradients:.2}"
    ));
    if !remembers {
        reasons.push(
            "earlier gradients make no difference: there is no stored average to speak of"
                .to_owned(),
        );
    }
    remembers
}

fn is_invariant(probes: &Probes, reasons: &mut Vec<String>) -> bool {
    let large = &probes.large_gradients;
    let keeps_direction = large.cosine >= LEAST_COSINE;
    if !keeps_direction {
        reasons.push(format!(
            "gradients thirty times as large give another direction (cosine {:.3})",
            large.cosine
        ));
    }
    let keeps_size = EQUAL_FACTORS.contains(&large.size);
    if !keeps_size {
        reasons.push(format!(
            "gradients thirty times as large give steps {} times as large",
            factor(large.size)
        ));
    }
    let is_odd = probes.oddness >= LEAST_COSINE;
    if !is_odd {
        reasons.push(format!(
            "gradients of the other sign do not give the opposite direction (cosine {:.3})",
            -probes.oddness
        ));
    }
    let small = &probes.small_gradients;
    if keeps_direction
        && keeps_size
        && (small.cosine < LEAST_COSINE || !EQUAL_FACTORS.contains(&small.size))
    {
        let (cosine, size) = (small.cosine, factor(small.size));
        reasons.push(format!("gradients of a thirtieth give another direction (cosine {cosine:.3}) or size (times {size})"));
    }
    keeps_direction && keeps_size && is_odd
}

/// A factor of any magnitude.
fn factor(factor: f64) -> String {
    if (1e-3..1e4).contains(&factor) { format!("{factor:.3}") } else { format!("{factor:.1e}") }
}

fn has_equal_sizes(probes: &Probes, reasons: &mut Vec<String>) -> bool {
    let (ordinary, large, small) = (
        probes.equal_sizes,
        probes.large_gradients.equal_sizes,
        probes.small_gradients.equal_sizes,
    );
    let is_sign = ordinary >= LEAST_EQUAL_SIZES && large >= LEAST_EQUAL_SIZES;
    if !is_sign {
        let is_soft = probes.flatness > 0.9 && probes.large_gradients.cosine >= LEAST_COSINE;
        let soft = if is_soft { ": a soft sign" } else { "" };
        reasons.push(format!(
            "not sign-like: {:.1} % of a step's numbers have its median size{soft}",
            100.0 * ordinary.min(large)
        ));
    } else if small >= LEAST_EQUAL_SIZES {
        reasons.push(format!(
            "sign-like: {:.1} % of a step's numbers have its median size",
            100.0 * ordinary
        ));
    } else {
        reasons.push(format!(
            "sign-like for ordinary gradients ({:.1} % of a step's numbers have its median size), soft for gradients of a thirtieth ({:.1} %)",
            100.0 * ordinary,
            100.0 * small
        ));
    }
    if is_sign && !EQUAL_FACTORS.contains(&probes.late_size) {
        reasons.push(format!(
            "its size changes by itself: late steps are {} times as large as early ones",
            factor(probes.late_size)
        ));
    }
    is_sign
}

fn decays(probes: &Probes, reasons: &mut Vec<String>) -> bool {
    let Decay { coefficient, residual } = probes.decay;
    if coefficient == 0.0 && residual == 0.0 {
        reasons.push("no decoupled decay: weights make no difference".to_owned());
        return false;
    }
    let is_decoupled = residual <= MOST_DECAY_RESIDUAL && coefficient >= LEAST_DECAY;
    reasons.push(if is_decoupled {
        format!("decoupled decay of {coefficient:.4} of the weights, for directions of size 1")
    } else if residual > MOST_DECAY_RESIDUAL {
        format!("no decoupled decay: weights make another difference ({:.1} % of it are no multiple of them)", 100.0 * residual)
    } else {
        format!("no decoupled decay: its coefficient is {coefficient:.1e}")
    });
    is_decoupled
}

/// The beta of the stored average and the weight of the current gradient over that of the tail,
/// where the signs are those of such a blend.
fn stored_average(probes: &Probes, reasons: &mut Vec<String>) -> Option<(f64, f64)> {
    let Some(blend) = &probes.blend else {
        reasons.push("its directions have no signs".to_owned());
        return None;
    };
    let agreement = blend.agreement.min(blend.agreement_with_drift);
    if agreement < LEAST_AGREEMENT {
        let percent = 100.0 * agreement;
        reasons.push(format!("its signs are not those of a current gradient and one geometric tail: at best {percent:.1} % agree"));
        return None;
    }
    let Some(ratio) = blend.current_over_tail.filter(|_| blend.tail_share >= LEAST_TAIL_SHARE)
    else {
        reasons.push(
            "its signs are those of the current gradient: there is no stored average to speak of"
                .to_owned(),
        );
        return None;
    };
    let beta = blend.beta;
    if beta >= ENDLESS_BETA {
        reasons.push("its memory never forgets".to_owned());
        return None;
    }
    reasons.push(format!(
        "{:.1} % of its signs are those of a blend where the current gradient weighs {ratio:.2} times what a geometric tail of beta {beta:.4} \
         extrapolates to",
        100.0 * agreement
    ));
    if ratio >= LION_RATIO && beta < LEAST_SLOW_BETA {
        reasons.push("the stored average is not slow: its beta is below 0.9".to_owned());
    }
    if ratio < LEAST_AVERAGE_RATIO {
        reasons.push("the current gradient weighs too little to belong to the average".to_owned());
    }
    Some((beta, ratio))
}
