//! From a program to source text of other languages.
//!
//! | module | what it holds |
//! |---|---|
//! | [`listing`] | a program as lines of code that are in no language yet |
//! | [`notation`] | how expressions are written in a language |
//! | [`spelling`] | how each function is spelled in each language |
//! | [`python`] | PyTorch, Optax, Praxis, Keras, TensorFlow, NumPy |
//! | [`native`] | C and Rust, and the loops that the zoo is compiled to |
//! | [`latex`], [`json`] | other languages |
//! | `runtime` | what the files of all programs have in common, under `export/runtime` |
//! | [`formula`] | a program as mathematics, in Unicode and in LaTeX |

pub mod formula;
pub mod json;
pub mod latex;
pub mod listing;
pub mod native;
pub mod notation;
pub mod python;
mod runtime;
pub mod spelling;

pub use formula::Formula;

use std::fmt;

use symopt_dsl::graph::NodeKind;
use symopt_dsl::graph::provenance::statements_of_nodes;
use symopt_dsl::{Function, Graph, Program, TypeError};

use native::{c, rust_function};
use python::{keras, numpy, optax, praxis, pytorch, tensorflow};

macro_rules! targets {
    ($($variant:ident $name:literal $extension:literal, $doc:literal;)*) => {
        /// Target of an export.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Target { $(#[doc = $doc] $variant),* }

        impl Target {
            /// All targets.
            pub const ALL: &'static [Target] = &[$(Target::$variant),*];

            /// Its name on the command line.
            pub fn name(self) -> &'static str {
                match self { $(Target::$variant => $name),* }
            }

            /// How the names of its files end, without the dot.
            pub fn extension(self) -> &'static str {
                match self { $(Target::$variant => $extension),* }
            }

            /// Returns its description in one line.
            pub fn summary(self) -> &'static str {
                match self { $(Target::$variant => $doc),* }
            }
        }
    };
}

targets! {
    PyTorch "pytorch" "py", "PyTorch: a torch.optim.Optimizer, with a Triton kernel for CUDA";
    Optax "optax" "py", "Optax: a GradientTransformation, and scale_by_... where the program splits that way";
    Praxis "praxis" "py", "Praxis: a ShardedGradientTransformation and the optimizer's class";
    Keras "keras" "py", "Keras 3: an optimizer for any of its backends";
    Tf2 "tf2" "py", "TensorFlow 2: a tf.Module with apply_gradients";
    Tf1 "tf1" "py", "TensorFlow 1: a tf.compat.v1.train.Optimizer";
    Numpy "numpy" "py", "NumPy: the plain reference, a class over a list of arrays";
    Rust "rust" "rs", "Rust: a module that needs the standard library only";
    C "c" "h", "C: one header with a loop that gcc vectorises; C99, or C++";
    Latex "latex" "tex", "LaTeX: the formula, an `align*` block for amsmath";
    Json "json" "json", "JSON: the program, its plan and its formula as data for tools";
}

impl Target {
    /// The target of this name.
    pub fn from_name(name: &str) -> Option<Target> {
        Target::ALL.iter().copied().find(|target| target.name() == name)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a program can't be exported.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The program does not type.
    #[error("the program {program} does not type: {errors:?}; see `symopt inspect`")]
    Type {
        /// Its name.
        program: String,
        /// The type errors.
        errors: Vec<TypeError>,
    },
    /// The target has no way to say what a statement says.
    #[error(
        "{target} cannot express {program}, statement {statement}: {text}\n{reason}; export to another target ({others})"
    )]
    Inexpressible {
        /// The target.
        target: Target,
        /// The program's name.
        program: String,
        /// The number of the statement, from 1.
        statement: usize,
        /// The statement.
        text: String,
        /// Reason why the target can't express it.
        reason: String,
        /// Other targets.
        others: String,
    },
    /// There is no plain form of a target's files.
    #[error(
        "{target} has one form of a file only, which is plain already: leave out `--plain`, or export to pytorch, which has both"
    )]
    NoPlain {
        /// The target.
        target: Target,
    },
}

/// Returns the name by which a program's file of a target is used: that of the class or the
/// function that makes its optimizer, or does its step. `None` for files that are not code.
pub fn entry_point(program: &Program, target: Target) -> Option<String> {
    let signature = program.signature();
    match target {
        Target::PyTorch
        | Target::Praxis
        | Target::Keras
        | Target::Tf2
        | Target::Tf1
        | Target::Numpy => Some(python::class_named(&signature.name, signature.doc.as_deref())),
        Target::Optax => Some(optax::free_name(&signature.name)),
        Target::Rust => Some("step".to_owned()),
        Target::C => Some(format!("{}_step", signature.name)),
        Target::Latex | Target::Json => None,
    }
}

/// Why a target can't express a function; `None` where it can.
type Lacks = fn(Function) -> Option<String>;

/// The file of a program.
type File = fn(&Program, &Graph) -> String;

/// Returns the check for functions that a target can't express, and the writer of its files.
fn exporter(target: Target) -> (Lacks, File) {
    match target {
        Target::PyTorch => (pytorch::lacks, pytorch::file),
        Target::Optax => (optax::lacks, optax::file),
        Target::Praxis => (praxis::lacks, praxis::file),
        Target::Keras => (keras::lacks, keras::file),
        Target::Tf2 => (tensorflow::lacks, tensorflow::file),
        Target::Tf1 => (tensorflow::lacks, tensorflow::file_of_version_1),
        Target::Numpy => (numpy::lacks, numpy::file),
        Target::Rust => (rust_function::lacks, rust_function::file),
        Target::C => (c::lacks, c::file),
        Target::Latex => (|_| None, latex::file),
        Target::Json => (|_| None, json::file),
    }
}

fn graph_of(program: &Program) -> Result<Graph, ExportError> {
    Graph::new(program)
        .map_err(|errors| ExportError::Type { program: program.signature().name.clone(), errors })
}

/// A program as a file of a target: readable, self-contained, with the program's hash, version and
/// doc string on top.
pub fn export(program: &Program, target: Target) -> Result<String, ExportError> {
    let graph = graph_of(program)?;
    let (lacks, file) = exporter(target);
    refuse(program, &graph, target, lacks)?;
    Ok(file(program, &graph))
}

/// A program as a file that has one way to compute a step where [`export`] writes several: only
/// PyTorch has such a form.
pub fn export_plain(program: &Program, target: Target) -> Result<String, ExportError> {
    match target {
        Target::PyTorch => Ok(pytorch::plain::file(program, &graph_of(program)?)),
        target => Err(ExportError::NoPlain { target }),
    }
}

/// The first function of a graph that a target can't express, by its node, and why.
fn lacking(graph: &Graph, lacks: impl Fn(Function) -> Option<String>) -> Option<(usize, String)> {
    graph.nodes().iter().enumerate().find_map(|(index, node)| match node.kind {
        NodeKind::Call(function) => lacks(function).map(|reason| (index, reason)),
        _ => None,
    })
}

/// Refuses a program with a function for which `lacks` gives a reason, and names the statement and
/// the targets that can express the program.
fn refuse(
    program: &Program,
    graph: &Graph,
    target: Target,
    lacks: impl Fn(Function) -> Option<String>,
) -> Result<(), ExportError> {
    let Some((index, reason)) = lacking(graph, lacks) else { return Ok(()) };
    let statement = statements_of_nodes(program, graph)[index].first().copied().unwrap_or(0);
    let can = |other: &&Target| **other != target && lacking(graph, exporter(**other).0).is_none();
    let others: Vec<&str> = Target::ALL.iter().filter(can).map(|other| other.name()).collect();
    Err(ExportError::Inexpressible {
        target,
        program: program.signature().name.clone(),
        statement: statement + 1,
        text: program
            .statements
            .get(statement)
            .map_or_else(String::new, |s| program.statement_text(s).to_string()),
        reason,
        others: others.join(", "),
    })
}
