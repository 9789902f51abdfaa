//! Errors as exceptions of the Python package, by the rule of the command line: what it ends with
//! exit code 2 for is an `InputError`, what it ends with 1 for a `WorkError`.

use pyo3::prelude::*;
use symopt_cancel::Cancelled;
use symopt_export::ExportError;
use symopt_programs::source::{FaultyText, SourceError};
use symopt_proxy_tasks::error::TaskError;
use symopt_search::store::program_source::ProgramError as FindError;
use symopt_studies::StudyError;

pyo3::import_exception!(symopt._errors, InputError);
pyo3::import_exception!(symopt._errors, ProgramError);
pyo3::import_exception!(symopt._errors, WorkError);

/// An error that can be raised in Python.
pub trait Raise {
    /// The exception.
    fn raise(self) -> PyErr;
}

/// Bad input, in words.
pub fn input(message: impl ToString) -> PyErr {
    InputError::new_err(message.to_string())
}

/// Work that failed, in words.
pub fn failed(message: impl ToString) -> PyErr {
    WorkError::new_err(message.to_string())
}

impl Raise for PyErr {
    fn raise(self) -> PyErr {
        self
    }
}

impl Raise for FaultyText {
    fn raise(self) -> PyErr {
        let faults: Vec<_> = self
            .faults
            .iter()
            .zip(self.faults.places())
            .map(|(fault, (line, column))| {
                (line, column, fault.kind.code(), fault.message.clone(), fault.help.clone())
            })
            .collect();
        ProgramError::new_err((self.render(false).trim_end().to_owned(), faults))
    }
}

impl Raise for SourceError {
    fn raise(self) -> PyErr {
        match self {
            SourceError::Text(text) => text.raise(),
            error => input(error),
        }
    }
}

impl Raise for FindError {
    fn raise(self) -> PyErr {
        match self {
            FindError::Source(error) => error.raise(),
            FindError::Journal(error) if error.is_failed_work() => failed(error),
            error => input(error),
        }
    }
}

impl Raise for ExportError {
    fn raise(self) -> PyErr {
        input(self)
    }
}

impl Raise for Cancelled {
    fn raise(self) -> PyErr {
        failed(self)
    }
}

impl Raise for TaskError {
    fn raise(self) -> PyErr {
        match self {
            TaskError::Cancelled(_) | TaskError::TimeLimit { .. } => failed(self),
            error => input(error),
        }
    }
}

impl Raise for StudyError {
    fn raise(self) -> PyErr {
        match self {
            StudyError::Program(error) => error.raise(),
            StudyError::Task(error) => error.raise(),
            StudyError::Cancelled(_) | StudyError::Threads(_) => failed(self),
            error => input(error),
        }
    }
}
