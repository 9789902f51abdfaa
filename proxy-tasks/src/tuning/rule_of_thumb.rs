//! From AdamW's constants to those of a program whose steps are signs, such as Lion.
//!
//! Every step of such a program has the size of the learning rate in every coordinate, which is
//! more than AdamW's. So Chen et al. 2023 (section 5 of "Symbolic Discovery of Optimization
//! Algorithms", arXiv 2302.06675) divide AdamW's learning rate by 3 to 10 and multiply its decay by
//! the same, so that their product, which is what decays the weights, stays as it is.

use std::str::FromStr;

use rand::RngExt;
use symopt_dsl::{Graph, Program};
use symopt_evaluator::{Layout, Optimizer, OptimizerError};

use crate::constants::{Origin, Tuned};
use crate::rng::{Purpose, stream};

/// The ends of the rule: what the learning rate is divided by, and the decay multiplied by.
pub const ENDS: [f64; 2] = [3.0, 10.0];

const WEIGHT_DECAY: &str = "weight_decay";

/// Constants that work with AdamW.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamwConstants {
    /// Peak learning rate.
    pub peak_lr: f64,
    /// Decay, which AdamW multiplies with the learning rate.
    pub weight_decay: f64,
}

impl FromStr for AdamwConstants {
    type Err = String;

    /// From `lr=1e-3,wd=0.1`; `weight_decay` is as good as `wd`.
    fn from_str(text: &str) -> Result<AdamwConstants, String> {
        const EXPECTED: &str = "expected lr=VALUE,wd=VALUE, such as lr=1e-3,wd=0.1";
        let (mut peak_lr, mut weight_decay) = (None, None);
        for part in text.split(',') {
            let (name, value) = part.split_once('=').ok_or(EXPECTED)?;
            let place = match name.trim() {
                "lr" => &mut peak_lr,
                "wd" | WEIGHT_DECAY => &mut weight_decay,
                other => return Err(format!("{EXPECTED}, and no `{other}`")),
            };
            let value =
                value.trim().parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0);
            let value = value.ok_or_else(|| {
                format!("expected a finite number of 0 or more after `{}=`", name.trim())
            })?;
            if place.replace(value).is_some() {
                return Err(format!("`{}` is there twice", name.trim()));
            }
        }
        let (peak_lr, weight_decay) = (peak_lr.ok_or(EXPECTED)?, weight_decay.ok_or(EXPECTED)?);
        if peak_lr == 0.0 {
            return Err("expected a learning rate above 0".to_owned());
        }
        Ok(AdamwConstants { peak_lr, weight_decay })
    }
}

/// Why the rule says nothing about a program.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// It does not take its peak learning rate from outside.
    #[error(
        "{program} holds its peak learning rate as a constant, so AdamW's can't be converted for it; write it with `lr=` in its head, or let `symopt tune` find a factor for it"
    )]
    ConstantRate {
        /// The program.
        program: String,
    },
    /// It has no decay to set.
    #[error(
        "{program} has no hyperparameter weight_decay, so the rule of thumb, which keeps learning rate × decay, says nothing about it; set its learning rate by hand, or let `symopt tune` find it"
    )]
    NoDecay {
        /// The program.
        program: String,
    },
    /// Its steps are not signs.
    #[error(
        "the steps of {program} are not all of one size, as those of sign-like programs such as lion are, so the rule of thumb says nothing about it; set its constants by hand, or let `symopt tune` find them"
    )]
    NoSigns {
        /// The program.
        program: String,
    },
    /// It can't be run.
    #[error(transparent)]
    Optimizer(#[from] OptimizerError),
}

impl AdamwConstants {
    /// The constants of a sign-like program at one place of the rule: learning rate divided, decay
    /// multiplied by `factor`. `name` is what the program is called. AdamW itself takes its
    /// constants as they are, whatever the factor.
    pub fn convert(&self, name: &str, program: &Program, factor: f64) -> Result<Tuned, RuleError> {
        let called = || name.to_owned();
        let signature = program.signature();
        let states_rate = signature
            .learning_rate()
            .is_some_and(|id| signature.parameters[id.index()].default.is_some());
        if !states_rate {
            return Err(RuleError::ConstantRate { program: called() });
        }
        if !signature.hyperparameters().any(|(_, parameter)| parameter.name == WEIGHT_DECAY) {
            return Err(RuleError::NoDecay { program: called() });
        }
        let factor = if is_adamw(program) {
            1.0
        } else if has_signs_for_steps(program)? {
            factor
        } else {
            return Err(RuleError::NoSigns { program: called() });
        };
        Ok(Tuned {
            program: called(),
            peak_lr: self.peak_lr / factor,
            hyperparameters: vec![(WEIGHT_DECAY.to_owned(), self.weight_decay * factor)],
            averages: false,
            origin: Origin::Given,
        })
    }
}

/// Whether a program computes what AdamW does.
pub fn is_adamw(program: &Program) -> bool {
    let hash = |program: &Program| Graph::new(program).ok().map(|graph| graph.hash());
    hash(program).is_some_and(|own| Some(own) == hash(&symopt_programs::adamw().program()))
}

/// Whether the steps of a program, but for those that are left out as 0, have one size in all
/// coordinates: seen on random gradients, without decay.
fn has_signs_for_steps(program: &Program) -> Result<bool, OptimizerError> {
    const COORDINATES: usize = 64;
    const STEPS: usize = 30;
    /// Steps of one size differ by rounding alone; those of AdamW by a factor of ten and more.
    const SPREAD: f32 = 1.05;
    let mut optimizer = Optimizer::new(program, &Layout::flat(COORDINATES))?;
    optimizer.set(WEIGHT_DECAY, 0.0)?;
    let mut random = stream(0, Purpose::Probe);
    let mut weights = vec![0.0; COORDINATES];
    for _ in 0..STEPS {
        // Gradients of very different sizes, so that no average of them has one size by chance.
        let gradients: Vec<f32> =
            (0..COORDINATES).map(|_| random.random_range(-1.0_f32..1.0).powi(3)).collect();
        weights.fill(0.0);
        optimizer.step(&mut weights, &gradients, 1.0)?;
    }
    let sizes = || weights.iter().map(|step| step.abs()).filter(|size| *size > 0.0);
    let (least, most) = (sizes().fold(f32::INFINITY, f32::min), sizes().fold(0.0, f32::max));
    Ok(most.is_finite() && most > 0.0 && most <= SPREAD * least)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONSTANTS: AdamwConstants = AdamwConstants { peak_lr: 1e-3, weight_decay: 0.1 };

    fn converted(name: &str, factor: f64) -> Result<Tuned, RuleError> {
        CONSTANTS.convert(name, &symopt_programs::find(name).unwrap().program(), factor)
    }

    #[test]
    fn lion_gets_both_ends_with_the_product_kept_and_adamw_its_own() {
        for factor in ENDS {
            let Tuned { peak_lr, hyperparameters, .. } = converted("lion", factor).unwrap();
            let [(name, decay)] = hyperparameters.as_slice() else { panic!("{hyperparameters:?}") };
            assert_eq!(
                (name.as_str(), peak_lr, *decay),
                ("weight_decay", 1e-3 / factor, 0.1 * factor)
            );
            assert!((peak_lr * decay - 1e-4).abs() < 1e-18);
            let own = converted("adamw", factor).unwrap();
            assert_eq!((own.peak_lr, own.hyperparameters[0].1), (1e-3, 0.1));
        }
    }

    #[test]
    fn of_the_zoo_only_programs_whose_steps_are_signs_have_the_rule() {
        for name in ["lion", "signsgd", "signum", "tiger"] {
            assert!(converted(name, 3.0).is_ok(), "{name}: {:?}", converted(name, 3.0));
        }
        assert!(matches!(converted("adabelief", 3.0), Err(RuleError::NoSigns { .. })));
        assert!(matches!(converted("lion-raw", 3.0), Err(RuleError::ConstantRate { .. })));
        assert!(matches!(converted("momentum", 3.0), Err(RuleError::NoDecay { .. })));
        assert!(matches!(converted("adamw-paper", 3.0), Err(RuleError::ConstantRate { .. })));
        let scaled = symopt_dsl::parse(
            "def f(w, g, lr=0.1, *, weight_decay=0.0):\n  update = g + w * weight_decay\n  update = update * lr\n  return update\n",
        );
        assert!(matches!(
            CONSTANTS.convert("f", &scaled.unwrap(), 3.0),
            Err(RuleError::NoSigns { .. })
        ));
    }

    #[test]
    fn constants_are_read_from_both_spellings_and_nothing_else() {
        for text in ["lr=1e-3,wd=0.1", "weight_decay=0.1, lr=0.001"] {
            assert_eq!(text.parse(), Ok(CONSTANTS), "{text}");
        }
        for text in [
            "",
            "lr=1e-3",
            "wd=0.1",
            "lr=0,wd=0",
            "lr=x,wd=0",
            "lr=1,wd=-1",
            "lr=1,lr=2,wd=0",
            "lr=1,wd=0,beta1=0.9",
            "lr=inf,wd=0",
        ] {
            assert!(AdamwConstants::from_str(text).is_err(), "{text}");
        }
    }
}
