//! `symopt export`

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use symopt_cancel::CancelToken;
use symopt_export::{Target, export, export_plain};

use crate::failure::Failure;
use crate::{files, named_program, terminal};

#[derive(Args)]
pub struct Arguments {
    /// Zoo name, file, `-` or STORE:HASH
    program: String,
    /// Target to export to
    #[arg(long, value_name = "TARGET", value_parser = target, help = help())]
    to: Target,
    /// One way to compute a step, tensor by tensor, in a short file to read (pytorch)
    #[arg(long)]
    plain: bool,
    /// Write to a file instead of the standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

fn help() -> String {
    let names: Vec<&str> = Target::ALL.iter().map(|target| target.name()).collect();
    format!("What to export to: {}", names.join(", "))
}

/// An export by its name.
pub fn target(text: &str) -> Result<Target, String> {
    let names: Vec<&str> = Target::ALL.iter().map(|target| target.name()).collect();
    Target::from_name(text).ok_or_else(|| format!("expected one of {}", names.join(", ")))
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    arguments.output.iter().try_for_each(|path| files::check_writable(path))?;
    let program = named_program::find_with_constants(&arguments.program, &CancelToken::new())?;
    let text = if arguments.plain {
        export_plain(&program, arguments.to)?
    } else {
        export(&program, arguments.to)?
    };
    match &arguments.output {
        Some(path) => files::write(path, &text),
        None => Ok(terminal::output().write_all(text.as_bytes())?),
    }
}
