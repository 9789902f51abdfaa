//! `symopt tasks new`

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use symopt_dsl::shell::Command;
use symopt_proxy_tasks::external::Template;

use crate::failure::Failure;
use crate::hint;
use crate::terminal;

#[derive(Args)]
pub struct Arguments {
    /// What the script trains with
    #[arg(long, value_name = "FRAMEWORK", value_enum)]
    external: Framework,
    /// Write it into FILE, which must not be there, instead of printing it
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Framework {
    /// PyTorch
    Pytorch,
    /// JAX with Optax
    Jax,
}

/// Names of what the scripts import.
const IMPORTED: [&str; 9] = ["importlib", "jax", "json", "math", "numpy", "optax", "queue", "threading", "torch"];

impl From<Framework> for Template {
    fn from(framework: Framework) -> Template {
        match framework {
            Framework::Pytorch => Template::Pytorch,
            Framework::Jax => Template::Jax,
        }
    }
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let template = Template::from(arguments.external);
    let mut out = terminal::output();
    let Some(path) = &arguments.output else { return Ok(out.write_all(template.text().as_bytes())?) };
    if path.file_stem().is_some_and(|stem| IMPORTED.iter().any(|name| stem == *name)) {
        return Err(Failure::Input(format!(
            "{}: Python would import the script in place of the library of this name; choose another name",
            path.display()
        )));
    }
    let wrong = |error: std::io::Error| Failure::Input(format!("{}: the script can't be written: {error}", path.display()));
    // Somebody may have worked on it.
    let mut file = std::fs::File::options().write(true).create_new(true).open(path).map_err(wrong)?;
    file.write_all(template.text().as_bytes()).map_err(wrong)?;
    writeln!(out, "written: {}\n\nto train with it:", path.display())?;
    // The command is itself a line for a shell.
    let script = Command::of_words(["python".into()]).operand(path).to_string();
    let command =
        Command::new("train").option("--task-command", script).option("--task-export", template.name()).option("--program", "lion");
    Ok(hint::print(&mut out, &command)?)
}
