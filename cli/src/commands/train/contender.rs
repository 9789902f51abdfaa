//! Contender of `symopt train`: a program with its constants.

use std::path::Path;

use symopt_cancel::CancelToken;
use symopt_dsl::Program;
use symopt_proxy_tasks::constants::Origin;
use symopt_proxy_tasks::error::TaskError;
use symopt_proxy_tasks::suite::{Suite, WeightedTask};
use symopt_proxy_tasks::task::Candidate;
use symopt_proxy_tasks::tuning::rule_of_thumb::{self, AdamwConstants};
use symopt_search::judge::Settled;
use symopt_search::judge::inner_tuning::{START, median};
use symopt_search::store::program_source::FoundDirection;

use crate::failure::Failure;
use crate::named_program;

/// A program with the constants that it is trained with.
pub struct Contender {
    /// Name in the report, different from all others.
    pub label: String,
    /// How the program was asked for.
    pub argument: String,
    pub program: Program,
    pub peak_lr: f64,
    /// Hyperparameters that differ from the program's defaults.
    pub hyperparameters: Vec<(String, f64)>,
    /// Where the constants come from, before any `--set`.
    source: String,
    /// The same as a fact, of a program of the zoo.
    origin: Option<Origin>,
    /// Whether some are set by hand.
    is_set: bool,
}

/// Task that programs are trained on.
pub struct Task<'a> {
    pub task: &'a WeightedTask,
    /// The same task once more.
    pub again: &'a dyn Fn() -> Result<WeightedTask, Failure>,
    pub cancel: &'a CancelToken,
}

impl Contender {
    /// A program as it was asked for: one of the zoo with its constants for the task, a direction
    /// of a store at its best, another one as it stands.
    fn found(on: &Task, argument: &str) -> Result<Contender, Failure> {
        let found = named_program::found(argument)?;
        match &found.direction {
            Some(direction) => Contender::direction(on, argument, &found.program, direction),
            None => Ok(Contender::new(on.task, argument, found.program)),
        }
    }

    /// A direction: at the settings that its search found on the task, or, on another task, at
    /// those that a tuning finds there.
    fn direction(
        on: &Task,
        argument: &str,
        program: &Program,
        direction: &FoundDirection,
    ) -> Result<Contender, Failure> {
        let task = on.task;
        let same = |other: &WeightedTask| {
            other.task.name() == task.task.name()
                && other
                    .task
                    .describe()
                    .ok()
                    .zip(task.task.describe().ok())
                    .is_some_and(|(a, b)| a == b)
        };
        let interrupted = |error: TaskError| match error {
            TaskError::Cancelled(_) => {
                Failure::Work(format!("interrupted while {argument} was tuned"))
            }
            error => error.into(),
        };
        let place = direction.suite.suite()?.tasks.iter().position(same);
        let known = place.and_then(|place| direction.settings.get(place)).copied();
        let (settled, source) = match known {
            Some(setting) => (
                Settled::new(program, &[setting], std::slice::from_ref(task), on.cancel)
                    .map_err(interrupted)?,
                "its best on this task in its search".to_owned(),
            ),
            // As many runs as a tuning takes are too many for a command that nobody asked for them.
            None if task.task.is_external() => {
                let setting = median(&direction.settings).unwrap_or(START);
                (
                    Settled::new(program, &[setting], std::slice::from_ref(task), on.cancel)
                        .map_err(interrupted)?,
                    "from other tasks, not tuned for this one".to_owned(),
                )
            }
            None => {
                let seeds = direction.fitness.tuning_seeds;
                let suite = Suite {
                    name: task.task.name().to_owned(),
                    tasks: vec![(on.again)()?],
                    seeds: vec![1],
                    elsewhere: None,
                };
                let start = median(&direction.settings);
                let settled =
                    Settled::tuned(program, suite, start, seeds, on.cancel).map_err(interrupted)?;
                (settled, format!("tuned for this task on {seeds} seeds"))
            }
        };
        let name = task.task.name();
        let settled = settled.ok_or_else(|| {
            Failure::Work(format!(
                "{argument}: the direction diverges on {name} with every learning rate tried"
            ))
        })?;
        let Some((peak_lr, hyperparameters)) = settled.constants.into_iter().next() else {
            return Err(Failure::Work(format!("{argument}: no learning rate was found on {name}")));
        };
        Ok(Contender {
            label: argument.to_owned(),
            argument: argument.to_owned(),
            program: settled.program,
            peak_lr,
            hyperparameters,
            source: format!("a direction: {source}"),
            origin: None,
            is_set: false,
        })
    }

    /// A zoo program starts from its tuned constants for the task, another one from its own.
    fn new(task: &WeightedTask, argument: &str, program: Program) -> Contender {
        let origin = symopt_programs::find(argument).map(|_| task.origin(argument));
        let Candidate { peak_lr, hyperparameters, .. } = task.candidate(&program, Some(argument));
        Contender {
            label: argument.to_owned(),
            argument: argument.to_owned(),
            peak_lr,
            hyperparameters: hyperparameters.to_vec(),
            source: origin
                .map_or_else(|| "the program's own".to_owned(), |origin| origin.to_string()),
            origin,
            is_set: false,
            program,
        }
    }

    /// The program with constants that follow from AdamW's, one contender for each factor; AdamW
    /// itself has its own, once.
    fn by_rule(
        argument: &str,
        program: &Program,
        constants: AdamwConstants,
        factors: &[f64],
    ) -> Result<Vec<Contender>, Failure> {
        let is_adamw = rule_of_thumb::is_adamw(program);
        let factors = if is_adamw { &[1.0] } else { factors };
        let contender = |factor: &f64| {
            let tuned = constants.convert(argument, program, *factor)?;
            Ok(Contender {
                label: if is_adamw {
                    argument.to_owned()
                } else {
                    format!("{argument} lr/{factor}")
                },
                argument: argument.to_owned(),
                program: program.clone(),
                peak_lr: tuned.peak_lr,
                hyperparameters: tuned.hyperparameters,
                origin: Some(Origin::Given),
                source: if is_adamw {
                    "as given".to_owned()
                } else {
                    format!("AdamW's lr / {factor}, weight decay × {factor}")
                },
                is_set: false,
            })
        };
        factors.iter().map(contender).collect()
    }

    /// The program and how it is to be run.
    pub fn candidate(&self) -> Candidate<'_> {
        Candidate {
            program: &self.program,
            peak_lr: self.peak_lr,
            hyperparameters: &self.hyperparameters,
        }
    }

    /// Where the constants come from, for people.
    pub fn constants(&self) -> String {
        format!("{}{}", self.source, if self.is_set { ", with your settings" } else { "" })
    }

    /// The same as a fact; `None` for a program that is not of the zoo.
    pub fn origin(&self) -> Option<Origin> {
        if self.is_set { Some(Origin::Given) } else { self.origin }
    }

    /// Returns its name for comparisons with it: a program of the zoo says how it is run, unless it
    /// is tuned.
    pub fn called(&self) -> String {
        match self.origin() {
            Some(origin) if !origin.is_tuned() => origin.of(&self.label),
            _ => self.label.clone(),
        }
    }

    /// Returns names of a program besides the one it was asked for by.
    fn other_names(&self) -> Vec<&str> {
        let stem = if symopt_programs::find(&self.argument).is_some() {
            None
        } else {
            Path::new(&self.argument).file_stem()
        };
        let mut names: Vec<&str> = stem.and_then(|stem| stem.to_str()).into_iter().collect();
        names.push(&self.program.signature().name);
        names.retain(|name| *name != self.argument);
        names.dedup();
        names
    }

    /// How it was asked for, with what else it may be called.
    fn known_as(&self) -> String {
        let others = self.other_names();
        if others.is_empty() {
            self.argument.clone()
        } else {
            format!("{} (or {})", self.argument, others.join(", "))
        }
    }

    /// The names of what can be set.
    fn names(&self) -> Vec<&str> {
        let signature = self.program.signature();
        let rate = signature.learning_rate().map(|_| "lr");
        rate.into_iter()
            .chain(signature.hyperparameters().map(|(_, parameter)| parameter.name.as_str()))
            .collect()
    }

    /// Sets a constant, if the program has it.
    fn set(&mut self, name: &str, value: f64) -> bool {
        if !self.names().contains(&name) {
            return false;
        }
        if name == "lr" {
            self.peak_lr = value;
        } else if let Some((_, place)) =
            self.hyperparameters.iter_mut().find(|(known, _)| known == name)
        {
            *place = value;
        } else {
            self.hyperparameters.push((name.to_owned(), value));
        }
        self.is_set = true;
        true
    }

    fn has(&self) -> String {
        let names = self.names();
        if names.is_empty() { "none at all".to_owned() } else { names.join(", ") }
    }
}

/// Programs and settings that were asked for.
pub struct Wanted<'a> {
    pub programs: &'a [String],
    /// The program to compare with.
    pub vs: Option<&'a str>,
    pub settings: &'a [(String, f64)],
    pub from_adamw: Option<AdamwConstants>,
    pub factors: &'a [f64],
}

/// The contenders, and the place of the one that all others are compared with.
pub fn contenders(on: &Task, wanted: &Wanted) -> Result<(Vec<Contender>, usize), Failure> {
    let mut all: Vec<Contender> = Vec::new();
    for (place, argument) in wanted.programs.iter().enumerate() {
        if wanted.programs[..place].contains(argument) {
            return Err(Failure::Input(format!("`--program {argument}` is there twice")));
        }
        match wanted.from_adamw {
            Some(constants) => {
                let program = named_program::find_with_constants(argument, on.cancel)?;
                all.extend(Contender::by_rule(argument, &program, constants, wanted.factors)?);
            }
            None => all.push(Contender::found(on, argument)?),
        }
    }
    let asked = all.len();
    if let Some(argument) = wanted.vs {
        let found = Contender::found(on, argument)?;
        // Whoever names AdamW's constants wants to compare with AdamW as it has them.
        let mut other = match wanted.from_adamw {
            Some(constants) if rule_of_thumb::is_adamw(&found.program) => {
                Contender::by_rule(argument, &found.program, constants, &[])?
            }
            _ => vec![found],
        };
        if all.iter().any(|contender| contender.label == argument) {
            other.iter_mut().for_each(|other| other.label = format!("{argument} as it stands"));
        }
        all.extend(other);
    }
    // Settings for one program override those for all, whatever their order.
    for of_one in [false, true] {
        for (name, value) in wanted.settings.iter().filter(|(name, _)| name.contains(':') == of_one)
        {
            set(&mut all, asked, name, *value)?;
        }
    }
    let reference = if wanted.vs.is_some() {
        asked
    } else {
        all.iter().position(|other| rule_of_thumb::is_adamw(&other.program)).unwrap_or(0)
    };
    Ok((all, reference))
}

/// Sets NAME for the first `asked` contenders that have it, or PROGRAM:NAME for those of that
/// program.
fn set(all: &mut [Contender], asked: usize, name: &str, value: f64) -> Result<(), Failure> {
    let (of, name) = match name.rsplit_once(':') {
        Some((program, name)) => (Some(program), name),
        None => (None, name),
    };
    let argument = of.map(|program| argument_of(all, program, name)).transpose()?;
    let named = |contender: &Contender| {
        argument.as_ref().is_none_or(|argument| contender.argument == *argument)
    };
    // The one to compare with stays as it stands, unless it alone is meant.
    let count = if all.iter().take(asked).any(named) { asked } else { all.len() };
    let mut meant: Vec<&mut Contender> =
        all.iter_mut().take(count).filter(|contender| named(contender)).collect();
    let mut any = false;
    meant.iter_mut().for_each(|contender| any |= contender.set(name, value));
    if any {
        return Ok(());
    }
    let message = match meant.as_slice() {
        [only] => {
            format!("{} has no hyperparameter {name:?}; it has: {}", only.argument, only.has())
        }
        several => {
            let has: Vec<String> = several
                .iter()
                .map(|contender| format!("{} has: {}", contender.argument, contender.has()))
                .collect();
            format!("no program has a hyperparameter {name:?}; {}", has.join("; "))
        }
    };
    Err(Failure::Input(message))
}

/// The argument of the program that PROGRAM means in `--set PROGRAM:NAME=VALUE`: as it was asked
/// for, or else its file without folder and ending, or the name that it gives itself, if it is the
/// only one of that.
fn argument_of(all: &[Contender], program: &str, name: &str) -> Result<String, Failure> {
    if let Some(contender) = all.iter().find(|contender| contender.argument == program) {
        return Ok(contender.argument.clone());
    }
    let mut meant: Vec<&str> = all
        .iter()
        .filter(|contender| contender.other_names().contains(&program))
        .map(|contender| contender.argument.as_str())
        .collect();
    meant.dedup();
    let message = match meant.as_slice() {
        [argument] => return Ok((*argument).to_owned()),
        [] => {
            let mut known: Vec<String> = all.iter().map(Contender::known_as).collect();
            known.dedup();
            format!(
                "`--set {program}:{name}` is for no program that is trained; they are: {}",
                known.join(", ")
            )
        }
        several => {
            format!(
                "`--set {program}:{name}` can mean several programs; name one of them as it was asked for: {}",
                several.join(", ")
            )
        }
    };
    Err(Failure::Input(message))
}
