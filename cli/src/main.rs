//! The command `symopt`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(symopt::command_line::main(std::env::args_os()))
}
