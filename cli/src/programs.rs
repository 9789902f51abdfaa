//! PROGRAM arguments.

use std::io::IsTerminal;

use symopt_dsl::Program;
use symopt_search::program_source;

use crate::failure::Failure;

/// A program by zoo name, file, `-` (standard input) or `STORE:HASH`.
pub fn find(name: &str) -> Result<Program, Failure> {
    Ok(program_source::find_program(name, color())?)
}

/// Whether reports on the standard error stream may be coloured.
pub fn color() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
