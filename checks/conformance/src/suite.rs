//! Suites: programs and cases.

use symopt_programs::zoo;

use super::case::{self, Case};
use super::subject::Subject;
use super::tolerance::{Tolerance, tolerance};
use super::{mixed, random};

/// Programs and the cases under which they are run.
#[derive(Clone, Debug)]
pub struct Suite {
    /// The programs.
    pub subjects: Vec<Subject>,
    /// The cases.
    pub cases: Vec<Case>,
    /// Reasons for which drawn programs were left out, each with the number of programs.
    pub left_out: Vec<(&'static str, usize)>,
}

impl Suite {
    /// The programs of the zoo, 50 steps under five cases.
    pub fn of_zoo() -> Suite {
        Suite {
            subjects: zoo().iter().map(Subject::of_zoo).collect(),
            cases: case::cases(),
            left_out: Vec::new(),
        }
    }

    /// The programs that mix the kinds of operands.
    pub fn mixed() -> Suite {
        Suite { subjects: mixed::subjects(), cases: mixed::cases(), left_out: Vec::new() }
    }

    /// Random valid programs, the same ones for the same seed.
    pub fn random(count: usize, seed: u64) -> Suite {
        let mut cases = case::brief(random::SHAPES);
        cases.push(case::first(random::SHAPES));
        let (subjects, left_out) = random::subjects(count, seed, &cases);
        Suite { subjects, cases, left_out }
    }

    /// How far an engine may be from the reference on a program, both by their names.
    pub fn tolerance(&self, engine: &str, program: &str) -> Tolerance {
        let subject = self.subjects.iter().find(|subject| subject.name == program);
        subject.map_or(Tolerance::BITS, |subject| tolerance(engine, &subject.program))
    }

    /// Names of the programs.
    pub fn names(&self) -> Vec<&str> {
        self.subjects.iter().map(|subject| subject.name.as_str()).collect()
    }

    /// Reasons for which programs were left out, in a sentence; `None` if none was.
    pub fn omissions(&self) -> Option<String> {
        if self.left_out.is_empty() {
            return None;
        }
        let reasons: Vec<String> =
            self.left_out.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        let count: usize = self.left_out.iter().map(|(_, count)| count).sum();
        Some(format!(
            "{count} programs were drawn and left out, since no comparison says anything of them: {}",
            reasons.join(", ")
        ))
    }
}
