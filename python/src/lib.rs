//! The module `symopt._symopt`: what the Python package `symopt` calls. Texts, numbers and JSON go
//! through it; classes with documentation for people are Python's, in `symopt/`.
//!
//! | module | what it holds |
//! |---|---|
//! | `desk` | searches whose training runs are made in Python |
//! | `dlpack` | tensors of other libraries without a copy |
//! | `error` | errors as exceptions of `symopt` |
//! | `work` | long calls: without the GIL, ended by Ctrl-C |
//! | `optimizer` | steps of NumPy arrays in place |
//! | `program` | programs and what is known of them |
//! | `study` | searches and their stores |

mod desk;
mod dlpack;
mod error;
mod optimizer;
mod program;
mod study;
mod work;

use std::ffi::OsString;
use std::io::Write;

use pyo3::prelude::*;

/// The module.
#[pymodule]
mod _symopt {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::desk::Asking;
    #[pymodule_export]
    use super::optimizer::Optimizer;
    #[pymodule_export]
    use super::program::Program;
    #[pymodule_export]
    use super::program::simplification_limits;
    #[pymodule_export]
    use super::program::targets;
    #[pymodule_export]
    use super::program::zoo;
    #[pymodule_export]
    use super::run_command;
    #[pymodule_export]
    use super::study::default_settings;
    #[pymodule_export]
    use super::study::is_store;
    #[pymodule_export]
    use super::study::report_on;
    #[pymodule_export]
    use super::study::search;
    #[pymodule_export]
    use super::study::start;
    #[pymodule_export]
    use super::study::store_contents;
    #[pymodule_export]
    use super::study::store_front;
    #[pymodule_export]
    use super::study::task_helper;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        super::work::remember(module.py())?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}

/// Runs the command line with these words, the name of the command first, and returns the exit
/// code.
#[pyfunction]
fn run_command(py: Python<'_>, words: Vec<OsString>) -> u8 {
    py.detach(|| {
        let code = symopt::command_line::main(words);
        // At the end of the process nobody else does it: the process is Python's.
        let _ = std::io::stdout().flush();
        code
    })
}
