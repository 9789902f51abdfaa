//! `symopt completions`

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::failure::Failure;
use crate::terminal;

#[derive(Args)]
pub struct Arguments {
    /// The shell
    shell: Shell,
}

pub fn run<C: CommandFactory>(arguments: Arguments) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut C::command(), "symopt", &mut script);
    std::io::Write::write_all(&mut terminal::output(), &script)?;
    Ok(())
}
