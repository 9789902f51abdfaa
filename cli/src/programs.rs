//! PROGRAM arguments.

use std::io::{IsTerminal, Read};

use symopt_dsl::Program;
use symopt_search::launch;

use crate::failure::Failure;

/// More than any program needs; the parser refuses less than this, with a message of its own.
const STANDARD_INPUT_LIMIT: u64 = 16 << 20;

/// A program by zoo name, file, `-` (standard input) or `STORE:HASH`.
pub fn find(name: &str) -> Result<Program, Failure> {
    if name != "-" {
        return Ok(launch::find_program(name, color())?);
    }
    let mut bytes = Vec::new();
    let read = std::io::stdin().take(STANDARD_INPUT_LIMIT).read_to_end(&mut bytes);
    read.map_err(|error| Failure::Input(format!("the standard input can't be read: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        Failure::Input(format!("standard input: not a program: byte {place} is not UTF-8 text"))
    })?;
    Ok(launch::parse_program("standard input", &text, color())?)
}

/// Whether reports on the standard error stream may be coloured.
pub fn color() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
