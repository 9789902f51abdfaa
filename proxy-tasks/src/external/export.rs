//! What a request's `export` file holds.

use symopt_dsl::Program;

/// The target that is the program's own text.
pub const PROGRAM: &str = "program";

/// A program as a file that a training script can use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// What the file is called.
    pub file: String,
    /// What is in it.
    pub text: String,
    /// The class or function in it, or the program's name.
    pub name: String,
}

/// Makes the file of a program for a target, or says why that can't be.
pub type Exporter = dyn Fn(&Program, &str) -> Result<Exported, String> + Send + Sync;

/// The exports that this release has.
pub(super) fn export(program: &Program, target: &str) -> Result<Exported, String> {
    match target {
        PROGRAM => Ok(Exported { file: "program.opt".to_owned(), text: program.to_string(), name: program.signature().name.clone() }),
        target => Err(format!("this release has no export to {target:?}; use {PROGRAM:?}, the program's text")),
    }
}
