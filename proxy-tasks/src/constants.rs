//! Constants of a program on a task, and where they come from.

use serde::{Deserialize, Serialize};

/// How a program is run on one task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tuned {
    /// The zoo program.
    pub program: String,
    /// Peak learning rate.
    pub peak_lr: f64,
    /// Hyperparameters that differ from the program's defaults.
    pub hyperparameters: Vec<(String, f64)>,
    /// Whether the shares of averages, such as the betas, were tuned too. A program may have
    /// constants of both kinds; what fitness is measured against are those without.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub averages: bool,
    /// Where these come from: what is said of a program that is run with them, and of all that is
    /// compared with it.
    #[serde(default, skip_serializing_if = "Origin::is_stated")]
    pub origin: Origin,
}

/// Where the constants of a program on a task come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// They were tuned on the task.
    Tuned {
        /// Training runs of the tuning.
        runs: usize,
        /// Tuning seeds that judged them.
        seeds: usize,
    },
    /// The suite does not say. In built-in suites they are tuned; in others that is not known, so
    /// that they are [`Origin::Given`] to a [`Suite`](crate::suite::Suite).
    #[default]
    Stated,
    /// The user gave them.
    Given,
    /// They are the program's own defaults: nobody has tuned anything.
    Untuned,
}

impl Origin {
    fn is_stated(&self) -> bool {
        *self == Origin::Stated
    }

    /// Whether they were tuned on the task.
    pub fn is_tuned(self) -> bool {
        matches!(self, Origin::Tuned { .. } | Origin::Stated)
    }

    /// A name with this in front or behind it: "tuned AdamW", "AdamW as given", "untuned AdamW".
    pub fn of(self, name: &str) -> String {
        match self {
            Origin::Tuned { .. } | Origin::Stated => format!("tuned {name}"),
            Origin::Given => format!("{name} as given"),
            Origin::Untuned => format!("untuned {name}"),
        }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Tuned { runs, seeds } => {
                write!(f, "tuned for this task with {runs} runs on {seeds} seeds")
            }
            Origin::Stated => f.write_str("tuned for this task"),
            Origin::Given => f.write_str("as given, not tuned here"),
            Origin::Untuned => f.write_str("untuned: the program's own"),
        }
    }
}

/// Says what is wrong with constants of a suite.
pub(crate) fn check(constants: &[Tuned]) -> Result<(), String> {
    for tuned in constants {
        if !(tuned.peak_lr > 0.0 && tuned.peak_lr.is_finite()) {
            return Err(format!(
                "`peak_lr` = {} of {} must be above 0",
                tuned.peak_lr, tuned.program
            ));
        }
        let Some(entry) = symopt_programs::find(&tuned.program) else {
            return Err(format!(
                "`tuned` names `{}`, which is no program of the zoo; `symopt programs` lists them",
                tuned.program
            ));
        };
        let program = entry.program();
        let known: Vec<&str> = program
            .signature()
            .hyperparameters()
            .map(|(_, parameter)| parameter.name.as_str())
            .collect();
        if let Some((name, _)) =
            tuned.hyperparameters.iter().find(|(name, _)| !known.contains(&name.as_str()))
        {
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(format!(
                "`tuned` sets `{name}`, which is no hyperparameter of {}; it has: {known}",
                tuned.program
            ));
        }
    }
    Ok(())
}
