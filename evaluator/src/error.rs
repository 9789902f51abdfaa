//! Errors of an optimizer: of its program, its arrays, its hyperparameters and its state.

use std::path::PathBuf;

use symopt_dsl::TypeError;

use crate::layout::LayoutError;

/// Why an optimizer can't be made, set, stepped or loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OptimizerError {
    /// The program does not type. Programs that the parser gave always do.
    #[error("the program {program} is not well typed: {errors:?}")]
    Type {
        /// Name of the program.
        program: String,
        /// The type errors.
        errors: Vec<TypeError>,
    },
    /// The arrays of the model can't be laid out.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// No hyperparameter has this name.
    #[error("{program} has no hyperparameter {name:?}; {}", if known.is_empty() { "it has none at all".to_owned() } else { format!("it has: {}", known.join(", ")) })]
    UnknownHyperparameter {
        /// Name of the program.
        program: String,
        /// The name that was asked for.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// The arrays that were given don't fit the layout.
    #[error("the parameter arrays don't fit: expected {expected}")]
    Shape {
        /// Description of the expected arrays.
        expected: String,
    },
    /// The pattern of an override is not one.
    #[error(
        "{pattern:?} is no pattern for the names of arrays: {reason}; `*` stands for any letters, `?` for one, `[ab]` for either"
    )]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Description of the fault.
        reason: String,
    },
    /// The pattern of an override names no array.
    #[error("no parameter array matches {pattern:?}; they are: {}", abridged(names))]
    NoArray {
        /// The pattern.
        pattern: String,
        /// The names of the arrays.
        names: Vec<String>,
    },
    /// A state file can't be read or written, or belongs to something else.
    #[error(transparent)]
    State(#[from] StateError),
}

/// The first few names.
fn abridged(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let more = names.len().saturating_sub(SHOWN);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ") + &rest
}

/// Why a state can't be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The file can't be written.
    #[error(transparent)]
    Write(#[from] symopt_files::WriteError),
    /// The file can't be read.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The bytes are not a state file.
    #[error("not an optimizer state: {reason}; it should be a file that was saved by this program")]
    Malformed {
        /// Description of the fault.
        reason: String,
    },
    /// A newer release wrote it.
    #[error(
        "the state has format version {found}, this release reads up to {newest}; use a newer release"
    )]
    Version {
        /// The version inside.
        found: u32,
        /// The newest version that this release reads.
        newest: u32,
    },
    /// Another program wrote it.
    #[error(
        "the state was saved by the program {found_program} ({found_hash}), this optimizer runs {program} ({hash}); load it into the program that saved it"
    )]
    Program {
        /// The program in the file.
        found_program: String,
        /// Its hash.
        found_hash: String,
        /// The program of the optimizer.
        program: String,
        /// Its hash.
        hash: String,
    },
    /// A tensor is missing, or is there and should not be, or has another shape.
    #[error("the state does not fit the parameter arrays: {reason}")]
    Mismatch {
        /// Description of the mismatch.
        reason: String,
    },
}
