//! Scripts to begin with.

/// A script that works as it stands, and is meant to be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Template {
    /// Trains with PyTorch.
    Pytorch,
    /// Trains with JAX and Optax.
    Jax,
}

/// The module that the scripts import: the protocol, with nothing but Python's standard library.
pub const HELPER: &str = include_str!("../../templates/symopt_task.py");
/// Name that its file must have.
pub const HELPER_FILE: &str = "symopt_task.py";

impl Template {
    /// All of them.
    pub const ALL: [Template; 2] = [Template::Pytorch, Template::Jax];

    /// Returns its name; also the export that it wants.
    pub fn name(self) -> &'static str {
        match self {
            Template::Pytorch => "pytorch",
            Template::Jax => "jax",
        }
    }

    /// The script.
    pub fn text(self) -> &'static str {
        match self {
            Template::Pytorch => include_str!("../../templates/pytorch_task.py"),
            Template::Jax => include_str!("../../templates/jax_task.py"),
        }
    }

    /// The script, for those who have the Python package, which has the module that it imports.
    pub fn text_with_package(self) -> String {
        self.text()
            .replace("from symopt_task import", "from symopt.task import")
            .replace(
                "symopt's side is in `symopt_task.py`,\nwhich lies beside this file (`symopt tasks new --external helper` prints it);",
                "symopt's side is the module\n`symopt.task` of its Python package;",
            )
    }
}
