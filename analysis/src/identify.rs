//! Which programs of the zoo a program is nearest to, and what differs.

use symopt_dsl::Program;
use symopt_programs::{ZooEntry, zoo};

use crate::compare::{Comparison, Side, compare};

/// A program of the zoo, and what another program has to do with it.
#[derive(Clone, Debug)]
pub struct Identification {
    /// The program of the zoo.
    pub entry: &'static ZooEntry,
    /// The other program is the left one, under its own name; the zoo's is the right one, under its zoo name.
    pub comparison: Comparison,
}

/// All programs of the zoo, the nearest first: equal ones, those that are equal up to hyperparameters, up to a slot rescaling, and the others by
/// the distance of their data flows. Of those that are equal up to something, the ones that the program is a case of come before those that are
/// a case of it. Equally near ones stand in the order of the zoo.
///
/// Programs are compared in the form that `simplify` gives them.
pub fn identify(program: &Program, simplify: impl Fn(&Program) -> Program) -> Vec<Identification> {
    let simple = simplify(program);
    let name = program.signature().name.as_str();
    let mut found = Vec::new();
    for entry in zoo() {
        let comparison = compare(&simple, &simplify(&entry.program())).named(name, entry.name);
        found.push(Identification { entry, comparison });
    }
    let is_case_of_it = |comparison: &Comparison| comparison.relation.general() == Some(Side::Left);
    found.sort_by(|a, b| {
        let (a, b) = (&a.comparison, &b.comparison);
        a.relation.class().cmp(&b.relation.class()).then(is_case_of_it(a).cmp(&is_case_of_it(b))).then(a.order(b))
    });
    found
}
