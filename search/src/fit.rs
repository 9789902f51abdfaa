//! Programs in the form and the numerics of a search.

use symopt_dsl::Program;

use crate::config::{Form, SearchConfig};
use crate::judge::form::{self, SplitError};

/// Name of the programs of a search: after its first mutation a program is no longer the one that
/// the search started from.
const EVOLVED: &str = "train";

/// A program in the form and the numerics of a search.
pub(crate) fn fitted(config: &SearchConfig, program: &Program) -> Result<Program, SplitError> {
    let mut signature = program.signature().clone();
    signature.numerics = config.numerics.into();
    signature.name = EVOLVED.to_owned();
    signature.doc = None;
    let fitted = program.with_signature(signature);
    match config.fitness.form {
        Form::Program => Ok(fitted),
        Form::Direction => form::split(&fitted),
    }
}
