//! Programs under the suite, and the suites.

use symopt_dsl::Program;
use symopt_programs::{ZooEntry, zoo};

use super::case::{self, Case};
use super::{mixed, random};

/// A program under the suite.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its name in tables and of its files.
    pub name: String,
    /// The program.
    pub program: Program,
    /// Its entry, if it is one of the zoo's: then there is a compiled kernel.
    pub entry: Option<&'static ZooEntry>,
}

impl Subject {
    /// A program that is not in the zoo.
    pub fn new(name: &str, program: Program) -> Subject {
        Subject { name: name.to_owned(), program, entry: None }
    }

    /// A program of the zoo.
    pub fn of_zoo(entry: &'static ZooEntry) -> Subject {
        Subject { name: entry.name.to_owned(), program: entry.program(), entry: Some(entry) }
    }
}

/// Programs and the cases under which they are run.
#[derive(Clone, Debug)]
pub struct Suite {
    /// The programs.
    pub subjects: Vec<Subject>,
    /// The cases.
    pub cases: Vec<Case>,
}

impl Suite {
    /// The programs of the zoo, 50 steps under five cases.
    pub fn of_zoo() -> Suite {
        Suite { subjects: zoo().iter().map(Subject::of_zoo).collect(), cases: case::cases() }
    }

    /// The programs that mix the kinds of operands.
    pub fn mixed() -> Suite {
        Suite { subjects: mixed::subjects(), cases: case::brief(mixed::SHAPES) }
    }

    /// Random valid programs, the same ones for the same seed.
    pub fn random(count: usize, seed: u64) -> Suite {
        let cases = case::brief(random::SHAPES);
        Suite { subjects: random::subjects(count, seed, &cases), cases }
    }
}
