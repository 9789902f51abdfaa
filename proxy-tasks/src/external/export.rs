//! Content of a request's `export` file.

use symopt_dsl::Program;
use symopt_export::Target;

/// The target that is the program's own text.
pub const PROGRAM: &str = "program";

/// Another name for the export to Optax: a script says what it trains with.
const JAX: &str = "jax";

/// A program as a file that a training script can use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Name of the file.
    pub file: String,
    /// Content of the file.
    pub text: String,
    /// The class or function in it, or the program's name.
    pub name: String,
}

/// Makes the file of a program for a target, or says why that can't be.
pub type Exporter = dyn Fn(&Program, &str) -> Result<Exported, String> + Send + Sync;

/// The exports that this release has: those of `symopt export`, and the program's text.
pub(super) fn export(program: &Program, name: &str) -> Result<Exported, String> {
    let own = program.signature().name.clone();
    if name == PROGRAM {
        return Ok(Exported {
            file: "program.opt".to_owned(),
            text: program.to_string(),
            name: own,
        });
    }
    let target = if name == JAX { Some(Target::Optax) } else { Target::from_name(name) };
    let Some(target) = target else {
        let names: Vec<&str> = [PROGRAM, JAX]
            .into_iter()
            .chain(Target::ALL.iter().map(|target| target.name()))
            .collect();
        return Err(format!("there is no export to {name:?}; use one of {}", names.join(", ")));
    };
    let text = symopt_export::export(program, target).map_err(|error| error.to_string())?;
    let name = symopt_export::entry_point(program, target).unwrap_or(own);
    Ok(Exported { file: format!("optimizer.{}", target.extension()), text, name })
}
