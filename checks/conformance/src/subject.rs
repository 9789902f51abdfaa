//! Programs under a suite.

use symopt_dsl::Program;
use symopt_programs::ZooEntry;

use super::case::Case;

/// A program under the suite.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its name in tables and of its files.
    pub name: String,
    /// The program.
    pub program: Program,
    /// Its entry, if it is one of the zoo's: then there is a compiled kernel.
    pub entry: Option<&'static ZooEntry>,
    /// The program for the reference in f64, where its own would not be another rounding of f32:
    /// numbers of its text are beyond f32.
    pub wide: Option<Program>,
    /// The names of the cases under which it is run, if not all.
    pub only: Option<Vec<&'static str>>,
}

impl Subject {
    /// A program that is not in the zoo.
    pub fn new(name: &str, program: Program) -> Subject {
        Subject { name: name.to_owned(), program, entry: None, wide: None, only: None }
    }

    /// Whether it is run under a case.
    pub fn takes(&self, case: &Case) -> bool {
        self.only.as_ref().is_none_or(|names| names.contains(&case.name))
    }

    /// The program whose outcome in f64 says how much roundings matter.
    pub fn in_f64(&self) -> &Program {
        self.wide.as_ref().unwrap_or(&self.program)
    }

    /// A program of the zoo.
    pub fn of_zoo(entry: &'static ZooEntry) -> Subject {
        Subject {
            name: entry.name.to_owned(),
            program: entry.program(),
            entry: Some(entry),
            wide: None,
            only: None,
        }
    }
}
