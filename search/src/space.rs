//! The space of a search: the functions that mutations draw, and the parameters that programs have.
//!
//! `mutation.functions` lists it. The name of a [`Profile`] stands for it and all before it in the
//! order of [`PROFILES`]; the name of a function adds that one; with `-` before it a profile (only
//! itself) or a function is left out. The last word counts. Profiles without functions add
//! parameters: `step` the step count `t`, `slots` state slots up to [`SLOTS`].

use symopt_dsl::function::{FUNCTIONS, Profile};
use symopt_dsl::program::{Parameter, ParameterKind, SlotId};
use symopt_dsl::{Function, Program};

/// The profiles, each including those before it.
pub const PROFILES: [Profile; 6] = [
    Profile::Paper,
    Profile::Step,
    Profile::Slots,
    Profile::Select,
    Profile::Reduce,
    Profile::Matrix,
];

/// State slots of the profile `slots`.
pub const SLOTS: usize = 4;

/// Why a list of functions is no space.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpaceError {
    /// A word that is neither a profile nor a function.
    #[error(
        "mutation.functions has `{word}`, which is no profile and no function{suggestion}; profiles: \
         {}; functions are named as programs call them",
        PROFILES.map(Profile::name).join(", ")
    )]
    Unknown {
        /// The word.
        word: String,
        /// Suggested name, as a part of a sentence; empty if none is near.
        suggestion: String,
    },
    /// A function that no search draws.
    #[error(
        "mutation.functions has `{word}`, which programs are written with but no search draws: it \
         is made of others"
    )]
    Notation {
        /// The word.
        word: String,
    },
    /// Nothing is left.
    #[error(
        "mutation.functions leaves no function to draw; begin with a profile such as \"paper\""
    )]
    Empty,
}

/// State slots of the published search's programs, which programs of every space may have.
const PAPER_SLOTS: usize = 2;

/// Why a program is none of a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
pub enum Misfit {
    /// A function that mutations do not draw.
    #[error("`{}` is not among mutation.functions", .0.row().name)]
    Function(Function),
    /// More slots than the space has.
    #[error("more than {most} state slots, which \"slots\" of mutation.functions would allow")]
    Slots {
        /// Slots that the space has.
        most: usize,
    },
    /// The step count.
    #[error("it reads t, which \"step\" of mutation.functions would allow")]
    Step,
}

/// Functions and parameters that programs of a search may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    /// In the order of the function table.
    functions: Vec<Function>,
    /// Whether programs may read the step count.
    step: bool,
    /// State slots that programs have, at least.
    slots: usize,
}

impl Space {
    /// The space of a list of words.
    pub fn parse<S: AsRef<str>>(words: &[S]) -> Result<Space, SpaceError> {
        let mut drawn = vec![false; FUNCTIONS.len()];
        let (mut step, mut slots) = (false, false);
        for word in words.iter().map(|word| word.as_ref().trim()) {
            let (adds, name) = match word.strip_prefix('-') {
                Some(name) => (false, name.trim_start()),
                None => (true, word),
            };
            let place = PROFILES.iter().position(|profile| profile.name() == name);
            if let Some(place) = place {
                // Added with all before it, left out alone.
                let first = if adds { 0 } else { place };
                let profiles = &PROFILES[first..=place];
                for (is_drawn, row) in drawn.iter_mut().zip(FUNCTIONS) {
                    if profiles.contains(&row.profile) {
                        *is_drawn = adds;
                    }
                }
                if profiles.contains(&Profile::Step) {
                    step = adds;
                }
                if profiles.contains(&Profile::Slots) {
                    slots = adds;
                }
                continue;
            }
            let Some(function) = Function::from_name(name) else {
                return Err(SpaceError::Unknown {
                    word: word.to_owned(),
                    suggestion: suggestion(name, words_known()),
                });
            };
            if function.row().profile == Profile::Language {
                return Err(SpaceError::Notation { word: word.to_owned() });
            }
            drawn[function as usize] = adds;
        }
        let functions: Vec<Function> = FUNCTIONS
            .iter()
            .zip(&drawn)
            .filter(|(_, is_drawn)| **is_drawn)
            .map(|(row, _)| row.function)
            .collect();
        if functions.is_empty() {
            return Err(SpaceError::Empty);
        }
        Ok(Space { functions, step, slots: if slots { SLOTS } else { 0 } })
    }

    /// The same space with at least the parameters that programs have.
    pub fn with_parameters_of<'p>(
        mut self,
        programs: impl IntoIterator<Item = &'p Program>,
    ) -> Space {
        for program in programs {
            let signature = program.signature();
            self.slots = self.slots.max(signature.slots().count());
            self.step |= signature.parameters.iter().any(|p| p.kind == ParameterKind::Step);
        }
        self
    }

    /// State slots that programs have at most.
    pub fn most_slots(&self) -> usize {
        self.slots.max(PAPER_SLOTS)
    }

    /// Why a program is none of the space.
    pub fn misfit(&self, program: &Program) -> Option<Misfit> {
        let signature = program.signature();
        let drawn = |function: Function| {
            function.row().profile == Profile::Language || self.functions.contains(&function)
        };
        let foreign = program.statements.iter().find(|statement| !drawn(statement.function));
        let most = self.most_slots();
        if let Some(foreign) = foreign {
            Some(Misfit::Function(foreign.function))
        } else if signature.slots().count() > most {
            Some(Misfit::Slots { most })
        } else if !self.step && signature.parameters.iter().any(|p| p.kind == ParameterKind::Step) {
            Some(Misfit::Step)
        } else {
            None
        }
    }

    /// The functions that mutations draw, in the order of the function table.
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// The same program with the parameters of the space: it reads none of those that it gets, so
    /// that it does what it did.
    pub fn extend(&self, program: &Program) -> Program {
        let mut program = program.clone();
        let parameters = |program: &Program| program.signature().parameters.clone();
        let name = |program: &Program, wish: &str| {
            let names = parameters(program);
            let is_free = |name: &String| names.iter().all(|known| known.name != *name);
            let others = (2..).map(|i| format!("{wish}{i}"));
            std::iter::once(wish.to_owned()).chain(others).find(is_free).unwrap_or_default()
        };
        while program.signature().slots().count() < self.slots {
            let known = parameters(&program);
            // After the last slot, or after weights and gradients.
            let is_slot = |p: &Parameter| matches!(p.kind, ParameterKind::Slot(_));
            let place = known.iter().rposition(is_slot).map_or(2, |last| last + 1);
            let slot = SlotId(program.signature().slots().count() as u16);
            let name = name(&program, &format!("s{}", slot.index() + 1));
            let parameter = Parameter { name, kind: ParameterKind::Slot(slot), default: None };
            program = program.with_parameter(place.min(known.len()), parameter);
        }
        let known = parameters(&program);
        if self.step && !known.iter().any(|p| p.kind == ParameterKind::Step) {
            // Before `lr`, which comes last as it may have a default.
            let is_behind = |p: &Parameter| {
                matches!(p.kind, ParameterKind::LearningRate | ParameterKind::Hyperparameter)
            };
            let place = known.iter().position(is_behind).unwrap_or(known.len());
            let name = name(&program, "t");
            // The language knows the step count by its name; another parameter of it stays.
            if name == "t" {
                let parameter = Parameter { name, kind: ParameterKind::Step, default: None };
                program = program.with_parameter(place, parameter);
            }
        }
        program
    }
}

/// The words that a list of functions may have.
fn words_known() -> impl Iterator<Item = &'static str> {
    PROFILES.map(Profile::name).into_iter().chain(FUNCTIONS.iter().map(|row| row.name))
}

/// Returns a suggestion for an unknown name, as a part of a sentence; empty if no known name is
/// near.
pub(crate) fn suggestion<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let distance = |known| (strsim::damerau_levenshtein(name, known), known);
    match known.into_iter().map(distance).min() {
        Some((distance, known)) if distance <= 1 + known.len() / 3 => {
            format!(" (did you mean `{known}`?)")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(words: &[&str]) -> Vec<&'static str> {
        Space::parse(words).unwrap().functions().iter().map(|f| f.row().name).collect()
    }

    #[test]
    fn profiles_include_those_before_them_and_words_count_in_order() {
        assert_eq!(names(&["paper"]).len(), 43);
        assert_eq!(names(&["slots"]).len(), 43);
        let matrix = names(&["matrix"]);
        for name in ["add", "where", "mean", "newton_schulz"] {
            assert!(matrix.contains(&name), "{name}");
        }
        assert!(!matrix.contains(&"copy"), "no notation");
        let without = names(&["matrix", "-newton_schulz", "-reduce"]);
        assert!(!without.contains(&"newton_schulz") && !without.contains(&"mean"));
        assert!(without.contains(&"matmul") && without.contains(&"where"));
        assert_eq!(names(&["-paper", "add", "where"]), ["add", "where"]);
        assert_eq!(names(&["paper", "-add", "add"]).len(), 43);
    }

    #[test]
    fn words_that_say_nothing_are_refused_with_a_way_out() {
        let error = |words: &[&str]| Space::parse(words).unwrap_err().to_string();
        assert!(error(&["matrx"]).contains("did you mean `matrix`?"));
        assert!(error(&["paper", "-newton_schulzz"]).contains("did you mean `newton_schulz`?"));
        assert!(error(&["copy"]).contains("no search draws"));
        assert!(error(&["paper", "-paper"]).contains("leaves no function"));
        assert!(error(&[]).contains("leaves no function"));
    }

    #[test]
    fn programs_get_the_parameters_of_the_space_and_do_what_they_did() {
        let all = Space::parse(&["matrix"]).unwrap();
        for entry in symopt_programs::zoo() {
            let before = entry.program();
            let after = all.extend(&before);
            let signature = after.signature();
            assert_eq!(signature.slots().count().max(SLOTS), signature.slots().count());
            assert!(signature.parameters.iter().any(|p| p.kind == ParameterKind::Step));
            let hash = |program: &Program| symopt_dsl::Graph::new(program).unwrap().hash();
            assert_eq!(hash(&before), hash(&after), "{}", entry.name);
            let text = after.to_string();
            assert_eq!(symopt_dsl::parse(&text).unwrap().to_string(), text);
        }
        let paper = Space::parse(&["paper"]).unwrap();
        let adamw = symopt_programs::adamw().program();
        assert_eq!(paper.extend(&adamw), adamw);
    }
}
