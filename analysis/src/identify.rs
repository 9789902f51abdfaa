//! Which programs of the zoo a program is nearest to, and what differs.

use symopt_dsl::Program;
use symopt_dsl::program::{Numerics, Signature};
use symopt_programs::{ZooEntry, zoo};

use crate::compare::{Comparison, Relation, Side, compare};

/// A program of the zoo, and what another program has to do with it.
#[derive(Clone, Debug)]
pub struct Identification {
    /// The program of the zoo.
    pub entry: &'static ZooEntry,
    /// The numerics that the zoo's program is read with, where they are not its own: those of the
    /// other program, which it is nearer to in them.
    pub read_as: Option<Numerics>,
    /// The other program is the left one, under its own name; the zoo's is the right one, under the
    /// name that it is [called](Identification::called).
    pub comparison: Comparison,
}

impl Identification {
    /// The name of the zoo's program, with the numerics that it is read with where they are not its
    /// own: `adamw (guarded)`.
    pub fn called(&self) -> String {
        called(self.entry, self.read_as)
    }
}

fn called(entry: &ZooEntry, read_as: Option<Numerics>) -> String {
    match read_as {
        None => entry.name.to_owned(),
        Some(Numerics::Guarded) => format!("{} (guarded)", entry.name),
        Some(Numerics::Ieee) => format!("{} (unguarded)", entry.name),
    }
}

/// All programs of the zoo, the nearest first: equal ones, those that are equal up to
/// hyperparameters, up to a slot rescaling, and the others by the distance of their data flows.
/// Among those that are equal up to something, the ones that the program is a case of come before
/// those that are a case of it. Equally near ones stand in the order of the zoo. A program of the
/// zoo that is nothing like it is also read with its numerics: a search writes `@guarded` programs,
/// whose roots and quotients are other functions than those of the literature.
///
/// Programs are compared in the form that `simplify` gives them.
pub fn identify(program: &Program, simplify: impl Fn(&Program) -> Program) -> Vec<Identification> {
    let simple = simplify(program);
    let name = program.signature().name.as_str();
    let mut found = Vec::new();
    for entry in zoo() {
        let known = entry.program();
        let mut nearest = Identification {
            entry,
            read_as: None,
            comparison: compare(&simple, &simplify(&known)).named(name, entry.name),
        };
        let numerics = program.signature().numerics;
        if matches!(nearest.comparison.relation, Relation::Different { .. })
            && known.signature().numerics != numerics
        {
            let read_so = known.with_signature(Signature { numerics, ..known.signature().clone() });
            let comparison =
                compare(&simple, &simplify(&read_so)).named(name, &called(entry, Some(numerics)));
            if comparison.order(&nearest.comparison).is_lt() {
                nearest = Identification { entry, read_as: Some(numerics), comparison };
            }
        }
        found.push(nearest);
    }
    let is_case_of_it = |comparison: &Comparison| comparison.relation.general() == Some(Side::Left);
    found.sort_by(|a, b| {
        let (a, b) = (&a.comparison, &b.comparison);
        a.relation
            .class()
            .cmp(&b.relation.class())
            .then(is_case_of_it(a).cmp(&is_case_of_it(b)))
            .then(a.order(b))
    });
    found
}
