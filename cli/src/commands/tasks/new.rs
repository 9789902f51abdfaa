//! `symopt tasks new`

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use symopt_dsl::shell::Command;
use symopt_proxy_tasks::external::{HELPER, HELPER_FILE, Template};

use crate::failure::Failure;
use crate::hint;
use crate::terminal;

#[derive(Args)]
pub struct Arguments {
    /// Framework that the script trains with
    #[arg(long, value_name = "FRAMEWORK", value_enum)]
    external: Framework,
    /// Import symopt's side from the Python package, which runs the script then, and write no
    /// symopt_task.py
    #[arg(long)]
    package: bool,
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
    /// Nothing: the module symopt_task.py alone, which is for any training in Python
    Helper,
}

/// Names of what the scripts import.
const IMPORTED: [&str; 8] =
    ["importlib", "jax", "json", "numpy", "optax", "queue", "symopt_task", "torch"];

impl Framework {
    /// The script; `None` where only the module is wanted.
    fn template(self) -> Option<Template> {
        match self {
            Framework::Pytorch => Some(Template::Pytorch),
            Framework::Jax => Some(Template::Jax),
            Framework::Helper => None,
        }
    }
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let template = arguments.external.template();
    if arguments.package && template.is_none() {
        return Err(Failure::Input(
            "the Python package has the module already, as symopt.task; --package goes with \
             --external pytorch or jax"
                .to_owned(),
        ));
    }
    let text = match template {
        None => HELPER.to_owned(),
        Some(template) if arguments.package => template.text_with_package(),
        Some(template) => template.text().to_owned(),
    };
    let mut out = terminal::output();
    let Some(path) = &arguments.output else { return Ok(out.write_all(text.as_bytes())?) };
    if template.is_some()
        && path.file_stem().is_some_and(|stem| IMPORTED.iter().any(|name| stem == *name))
    {
        return Err(Failure::Input(format!(
            "{}: Python would import the script in place of the library of this name; choose another name",
            path.display()
        )));
    }
    let helper = path.with_file_name(HELPER_FILE);
    let needs_helper = template.is_some() && !arguments.package;
    let has_helper = !needs_helper || is_helper(&helper)?;
    write_new(path, &text)?;
    if !has_helper {
        write_new(&helper, HELPER)?;
    }
    writeln!(out, "written: {}", path.display())?;
    let Some(template) = template else { return Ok(()) };
    if needs_helper {
        let what = if has_helper { "was there" } else { "written" };
        writeln!(out, "{what}: {}, which it imports", helper.display())?;
    }
    writeln!(out, "\nto train with it:")?;
    // The command is itself a line for a shell.
    let script = Command::of_words(["python".into()]).operand(path).to_string();
    let command = Command::new("train")
        .option("--task-command", script)
        .option("--task-export", template.name())
        .option("--program", "lion");
    Ok(hint::print(&mut out, &command)?)
}

/// Whether the module is there already; something else of its name would be imported in its place.
fn is_helper(path: &Path) -> Result<bool, Failure> {
    match std::fs::read(path) {
        Ok(found) if found == HELPER.as_bytes() => Ok(true),
        Ok(_) => Err(Failure::Input(format!(
            "{}: another file of this name is there, or one of another release, which the script would import; write the script into a folder of its \
             own, or remove that file",
            path.display()
        ))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Failure::Input(format!("{}: {error}", path.display()))),
    }
}

/// Writes a file that must not be there: somebody may have worked on it.
fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let wrong = |error: std::io::Error| {
        Failure::Input(format!("{}: can't be written: {error}", path.display()))
    };
    let mut file =
        std::fs::File::options().write(true).create_new(true).open(path).map_err(wrong)?;
    file.write_all(text.as_bytes()).map_err(wrong)
}
