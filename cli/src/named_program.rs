//! PROGRAM arguments.

use symopt_analysis::simplify::{Derivation, Label, reduced};
use symopt_cancel::CancelToken;
use symopt_dsl::Program;
use symopt_search::store::program_source::{self, Found};

use crate::failure::Failure;

/// A program by zoo name, file, `-` (standard input) or `STORE:HASH`.
pub fn find(name: &str) -> Result<Program, Failure> {
    Ok(program_source::find_program(name)?)
}

/// The same in the form that the program has where it comes from.
pub fn found(name: &str) -> Result<Found, Failure> {
    Ok(program_source::find(name)?)
}

/// A whole program for use: a direction of a store with the learning rate and the decay that suited
/// it in its search as its defaults.
pub fn find_with_constants(name: &str, cancel: &CancelToken) -> Result<Program, Failure> {
    Ok(found(name)?.with_constants(cancel)?)
}

/// Returns the name of a program that was asked for: its zoo name if it was asked for by it, or the
/// name of its function.
pub fn name(argument: &str, program: &Program) -> String {
    symopt_programs::find(argument)
        .map_or_else(|| program.signature().name.clone(), |entry| entry.name.to_owned())
}

/// The way to the form in which programs are compared: what algebra leaves of it, with its numbers
/// in place.
pub fn simplified(program: &Program) -> Derivation {
    reduced(program, Label::Domain)
}
