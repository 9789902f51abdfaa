//! Records of a journal: the settings, the evaluations, improvements.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use symopt_dsl::{FunctionalHash, Program};
use symopt_proxy_tasks::error::Failure;
use symopt_proxy_tasks::suite::Fitness;

use crate::config::SearchConfig;
use crate::engine::mutation::MutationKind;
use crate::judge::evaluation::Evaluation;
use crate::judge::inner_tuning::Setting;

/// Inputs that a search was started with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The settings.
    pub config: SearchConfig,
    /// Text of the program that the search starts from, so that a resumed search does not depend on
    /// a file or on the release's zoo.
    pub initial: String,
    /// Texts of further programs that it starts from, likewise: its first children.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<String>,
    /// Text of the suite, likewise.
    pub suite: String,
    /// Functional hash of the program whose rediscovery ends the search, in hexadecimal.
    pub target: Option<String>,
    /// Version of the functional hash.
    pub hash_version: u32,
}

/// An acknowledged evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvaluationRecord {
    /// Functional hash, in hexadecimal.
    pub hash: String,
    /// Program text.
    pub program: String,
    /// Fitness.
    pub fitness: Fitness,
    /// Running fitness at the checkpoints.
    pub curve: Vec<f64>,
    /// Standard error of the fitness over the seeds.
    #[serde(default)]
    pub standard_error: f64,
    /// Seeds that the fitness is a mean of.
    #[serde(default)]
    pub seeds: u32,
    /// For a direction, where it did best on each task.
    #[serde(default)]
    pub settings: Vec<Setting>,
    /// Failure, if a run failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

impl EvaluationRecord {
    /// The record of an evaluation.
    pub fn new(
        hash: FunctionalHash,
        program: &Program,
        evaluation: &Evaluation,
    ) -> EvaluationRecord {
        EvaluationRecord::of_text(hash, program.to_string(), evaluation)
    }

    /// The same of a program's text.
    pub(super) fn of_text(
        hash: FunctionalHash,
        program: String,
        evaluation: &Evaluation,
    ) -> EvaluationRecord {
        EvaluationRecord {
            hash: hash.to_string(),
            program,
            fitness: evaluation.fitness,
            curve: evaluation.curve.to_vec(),
            standard_error: evaluation.standard_error,
            seeds: evaluation.seeds,
            settings: evaluation.settings.to_vec(),
            failure: evaluation.failure.as_deref().cloned(),
        }
    }

    /// Returns the result of the evaluation.
    pub fn evaluation(&self) -> Evaluation {
        Evaluation {
            fitness: self.fitness,
            curve: Arc::from(self.curve.as_slice()),
            standard_error: self.standard_error,
            seeds: self.seeds,
            settings: Arc::from(self.settings.as_slice()),
            failure: self.failure.clone().map(Arc::new),
        }
    }
}

/// Answer of a command that was asked for a child.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proposal {
    /// The text of a program.
    Program(String),
    /// Nothing that will do, and why.
    Failed(String),
}

/// Where a program comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// The operator.
    pub operator: MutationKind,
    /// The functional hash of its parent, if it has one, and of the second parent.
    pub parents: [Option<FunctionalHash>; 2],
}

impl Origin {
    /// Makes an origin from an operator and parents.
    pub fn new(operator: MutationKind, parents: [Option<FunctionalHash>; 2]) -> Origin {
        Origin { operator, parents }
    }
}

/// An evaluation that has ended, of a program that was bred.
#[derive(Clone, Debug)]
pub struct Evaluated {
    /// Functional hash.
    pub hash: FunctionalHash,
    /// The program.
    pub program: Arc<Program>,
    /// Result of the evaluation.
    pub evaluation: Evaluation,
    /// Where it comes from, if it is a child.
    pub origin: Option<Origin>,
}

/// Subject of an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The child of a number.
    Child(u64),
    /// A program of the elite, on new seeds, by [`revision`].
    Revision(u64),
}

/// The number of a revision: the epoch of its seeds and its rank in the elite.
pub fn revision(epoch: u64, rank: usize) -> u64 {
    (epoch << 16) | (rank as u64 & 0xffff)
}

/// The epoch of a revision.
pub fn epoch_of(revision: u64) -> u64 {
    revision >> 16
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Child(index) => write!(f, "child {index}"),
            Place::Revision(number) => write!(
                f,
                "program {} of the elite at change {} of the seeds",
                number & 0xffff,
                epoch_of(*number)
            ),
        }
    }
}

/// A program that was better than all before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Improvement {
    /// Number of the child.
    pub index: u64,
    /// Functional hash, in hexadecimal.
    pub hash: String,
    /// Fitness.
    pub fitness: Fitness,
}
