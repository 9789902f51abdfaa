//! The programs that a search starts from.

use std::collections::BTreeMap;
use std::fmt;

use symopt_cancel::CancelToken;
use symopt_dsl::{FunctionalHash, Graph, Program};
use symopt_programs::source;

use super::LaunchError;
use crate::config::{ConfigError, Form, SearchConfig, ZOO};
use crate::engine::mutation;
use crate::fit::fitted;
use crate::judge::form;
use crate::space::{Misfit, Space};
use crate::store::program_source::{self, ProgramError, find_program};

/// The programs that a search starts from, as they were found: none is fitted to it yet.
#[derive(Clone, Debug)]
#[must_use]
#[non_exhaustive]
pub struct InitialPrograms {
    /// The programs, the first one first; at least one.
    pub programs: Vec<Program>,
    /// Programs of the zoo that were left out, and programs that were named twice, in order.
    pub left_out: Vec<LeftOut>,
}

/// A program that a search does not start from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftOut {
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: Reason,
}

/// Why a search does not start from a program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// It has what programs of this search do not have.
    #[error(transparent)]
    Misfit(#[from] Misfit),
    /// Its statements.
    #[error("more than {most} statements, which mutation.max_statements allows")]
    Long {
        /// Statements that the settings allow.
        most: usize,
    },
    /// It is no direction, and can't be made one.
    #[error("no direction can be split off")]
    NoDirection,
    /// Only constants are tuned, and it has none.
    #[error("no constants, which mutation.constants_only tunes")]
    NoConstants,
    /// It computes what another one does.
    #[error("equal to {0}")]
    Equal(String),
}

/// In one sentence, with the names of each reason together.
impl fmt::Display for InitialPrograms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.programs.len();
        write!(f, "{count} initial program{}", if count == 1 { "" } else { "s" })?;
        if self.left_out.is_empty() {
            return Ok(());
        }
        let mut by_reason: BTreeMap<&Reason, Vec<&str>> = BTreeMap::new();
        for LeftOut { name, reason } in &self.left_out {
            by_reason.entry(reason).or_default().push(name);
        }
        let reasons: Vec<String> = by_reason
            .into_iter()
            .map(|(reason, names)| format!("{} ({reason})", names.join(", ")))
            .collect();
        write!(f, "; {} left out: {}", self.left_out.len(), reasons.join("; "))
    }
}

impl InitialPrograms {
    /// Finds the programs that the settings name. A program that is named must fit; one of the zoo
    /// that is not named itself is left out if it does not.
    pub fn find(
        config: &SearchConfig,
        cancel: &CancelToken,
    ) -> Result<InitialPrograms, LaunchError> {
        let names = config.initial.names();
        let mut found: Vec<(String, Program)> = Vec::new();
        let mut left_out = Vec::new();
        for name in names {
            if name != ZOO {
                found.push((name.clone(), named(name, config, cancel)?));
                continue;
            }
            for entry in symopt_programs::zoo() {
                let program = entry.program();
                match misfit(&program, config)? {
                    None => found.push((entry.name.to_owned(), program)),
                    Some(reason) => {
                        left_out.push(LeftOut { name: entry.name.to_owned(), reason });
                    }
                }
            }
        }
        // A program found twice under one name is kept once, and not reported as left out.
        let mut programs: Vec<Program> = Vec::new();
        let mut known: Vec<(FunctionalHash, String)> = Vec::new();
        for (name, program) in found {
            let hash = hash_of(config, &program)?;
            match known.iter().find(|(other, _)| *other == hash) {
                // Named, and one of the zoo.
                Some((_, first)) if *first == name => {}
                Some((_, first)) => {
                    left_out.push(LeftOut { name, reason: Reason::Equal(first.clone()) });
                }
                None => {
                    known.push((hash, name));
                    programs.push(program);
                }
            }
        }
        if programs.is_empty() {
            let left_out = InitialPrograms { programs, left_out };
            return Err(LaunchError::NoInitial { left_out: left_out.to_string() });
        }
        check_hidden(config, &programs)?;
        let population = config.evolution.population;
        if programs.len() > population {
            return Err(LaunchError::Crowded { programs: programs.len(), population });
        }
        Ok(InitialPrograms { programs, left_out })
    }
}

/// A program that is named. A direction of another store goes on as a whole program, with the
/// learning rate and the decay that suited it, where whole programs are searched for.
fn named(name: &str, config: &SearchConfig, cancel: &CancelToken) -> Result<Program, LaunchError> {
    let program = match config.fitness.form {
        Form::Program => program_source::find(name)?.with_constants(cancel)?,
        Form::Direction => find_program(name)?,
    };
    if config.fitness.form == Form::Direction {
        form::split(&program)?;
    }
    if config.mutation.constants_only && mutation::constants(&fitted(config, &program)?).is_empty()
    {
        return Err(LaunchError::NoConstants { name: name.to_owned() });
    }
    Ok(program)
}

/// Why a program of the zoo is none to start from.
fn misfit(program: &Program, config: &SearchConfig) -> Result<Option<Reason>, LaunchError> {
    if config.fitness.form == Form::Direction && form::split(program).is_err() {
        return Ok(Some(Reason::NoDirection));
    }
    let fitted = fitted(config, program)?;
    let most = config.mutation.max_statements;
    let constants_only = config.mutation.constants_only;
    Ok(if let Some(misfit) = space(config)?.misfit(&fitted) {
        Some(misfit.into())
    } else if fitted.statements.len() > most {
        Some(Reason::Long { most })
    } else if constants_only && mutation::constants(&fitted).is_empty() {
        Some(Reason::NoConstants)
    } else {
        None
    })
}

fn hash_of(config: &SearchConfig, program: &Program) -> Result<FunctionalHash, LaunchError> {
    let graph = Graph::new(&fitted(config, program)?);
    Ok(graph.map_or(FunctionalHash(0), |graph| graph.hash()))
}

/// The programs that a search starts from, fitted to it, and what the settings get from them. All
/// have the state slots that any of them has, and the step count if one reads it, so that each can
/// take up what another does with them.
pub(super) fn prepare(
    config: &mut SearchConfig,
    programs: &[Program],
) -> Result<Vec<Program>, LaunchError> {
    let fitted: Vec<Program> =
        programs.iter().map(|program| fitted(config, program)).collect::<Result<_, _>>()?;
    if config.fitness.form == Form::Direction {
        fitted.iter().for_each(|program| hide(config, program));
    }
    let mut space = space(config)?;
    if fitted.len() > 1 {
        space = space.with_parameters_of(&fitted);
    }
    // As a resumed search will have it: the text leaves out variables that are not used, after
    // which the names of new ones go.
    let as_text = |program: &Program| {
        let text = space.extend(program).to_string();
        Ok(source::parse("the initial program", &text).map_err(ProgramError::from)?)
    };
    fitted.iter().map(as_text).collect()
}

/// The functions and parameters that programs of a search may have.
fn space(config: &SearchConfig) -> Result<Space, LaunchError> {
    Ok(Space::parse(&config.mutation.functions).map_err(ConfigError::from)?)
}

/// Refuses names that are hidden from mutations, and that no initial program has a parameter of.
fn check_hidden(config: &SearchConfig, programs: &[Program]) -> Result<(), LaunchError> {
    let space = space(config)?;
    let mut known: Vec<String> = Vec::new();
    for program in programs {
        for parameter in &space.extend(program).signature().parameters {
            if !known.contains(&parameter.name) {
                known.push(parameter.name.clone());
            }
        }
    }
    match config.mutation.hidden.iter().find(|name| !known.contains(name)) {
        None => Ok(()),
        Some(name) => Err(LaunchError::Hidden {
            name: name.clone(),
            program: config.initial.to_string(),
            known,
        }),
    }
}

/// A direction does not touch what stands outside.
fn hide(config: &mut SearchConfig, initial: &Program) {
    for name in form::hidden(initial) {
        if !config.mutation.hidden.contains(&name) {
            config.mutation.hidden.push(name);
        }
    }
}
