//! Where programs come from: the zoo, files, the standard input, the stores of searches.

use std::path::{Path, PathBuf};

use symopt_cancel::{CancelToken, Cancelled};
use symopt_dsl::program::Signature;
use symopt_dsl::shell::Command;
use symopt_dsl::{Graph, Program};
use symopt_programs::source::{self, SourceError};
use symopt_proxy_tasks::error::TaskError;
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_proxy_tasks::suite::Fitness;

use crate::config::{FitnessConfig, Form};
use crate::journal::{CheckedStore, FoundEvaluation, JournalError, Place, Settings, epoch_of};
use crate::judge::Settled;
use crate::judge::form::complete;
use crate::judge::inner_tuning::Setting;
use crate::store::hall_of_fame::hall_of_fame;

/// Why a program can't be found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// It is in no store, and there is none of this name, or its text is wrong.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A store has no such program.
    #[error("{store}: {reason}")]
    NotInStore {
        /// The store.
        store: PathBuf,
        /// Description of the fault.
        reason: String,
    },
    /// The store can't be opened.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// A program that was asked for, in the form that it has where it comes from.
pub struct Found {
    /// The program; of a store of directions the direction, without what stands outside.
    pub program: Program,
    /// Further data of a direction; `None` for a whole program.
    pub direction: Option<FoundDirection>,
}

/// Data that a store has of a direction beside the program.
#[non_exhaustive]
pub struct FoundDirection {
    /// `STORE:HASH`, with the whole hash.
    pub name: String,
    /// The suite of the search.
    pub suite: SuiteSource,
    /// Where the direction did best on each task of the suite; empty if it was never trained to the
    /// end, or if the store does not say.
    pub settings: Vec<Setting>,
    /// How the search judged.
    pub fitness: FitnessConfig,
}

impl Found {
    /// The whole program: of a direction with `lr` and `weight_decay` as parameters, as training
    /// applies it.
    pub fn whole(&self) -> Program {
        self.documented(None)
    }

    /// The same with the learning rate and the decay that suited a direction best, as the mean over
    /// the tasks of its search, for their defaults. For that, AdamW is trained once on each of
    /// these, unless they are commands; where they can't be had, there are no defaults.
    pub fn with_constants(&self, cancel: &CancelToken) -> Result<Program, Cancelled> {
        let Some(direction) =
            self.direction.as_ref().filter(|direction| !direction.settings.is_empty())
        else {
            return Ok(self.whole());
        };
        let suite = direction.suite.suite();
        let settled = suite.and_then(|suite| {
            Settled::new(&self.program, &direction.settings, &suite.tasks, cancel)
        });
        let settled = match settled {
            Ok(settled) => settled,
            Err(TaskError::Cancelled(cancelled)) => return Err(cancelled),
            // Without the data of the search, the program is still what it is.
            Err(_) => None,
        };
        Ok(self.documented(settled.map(|settled| settled.with_defaults())))
    }

    fn documented(&self, with_defaults: Option<Program>) -> Program {
        let Some(direction) = &self.direction else { return self.program.clone() };
        let constants = match with_defaults {
            Some(_) => {
                "The defaults of lr and weight_decay are what suited it in the search, as the mean over the tasks."
            }
            None => "lr and weight_decay have to be tuned for it.",
        };
        let Some(program) = with_defaults.or_else(|| complete(&self.program)) else {
            return self.program.clone();
        };
        let doc = format!(
            "The direction {}, as a whole program: w -= lr * (direction + weight_decay * w).\n\n{constants}",
            direction.name
        );
        program.with_signature(Signature { doc: Some(doc), ..program.signature().clone() })
    }
}

/// A whole program by zoo name, `STORE:HASH` (the first digits of a hash are enough), file, or `-`
/// for the standard input. A direction of a store is completed.
pub fn find_program(name: &str) -> Result<Program, ProgramError> {
    Ok(find(name)?.whole())
}

/// The same in the form that the program has where it comes from.
pub fn find(name: &str) -> Result<Found, ProgramError> {
    if !Path::new(name).exists()
        && let Some((store, hash)) = store_and_hash(name)
    {
        let (checked, stored) = find_in_store(store, hash)?;
        let name = format!("{}:{}", store.display(), stored.hash);
        let program = source::parse(&name, &stored.text)?;
        let settings = checked.settings();
        let direction = (settings.config.fitness.form == Form::Direction).then(|| FoundDirection {
            name,
            suite: SuiteSource {
                name: settings.config.suite.clone(),
                text: settings.suite.clone(),
            },
            settings: stored.settings,
            fitness: settings.config.fitness.clone(),
        });
        return Ok(Found { program, direction });
    }
    Ok(Found { program: source::find(name)?, direction: None })
}

/// The further programs that a search starts from, of the settings of its store.
pub(crate) fn others_of(settings: &Settings) -> Result<Vec<Program>, ProgramError> {
    let parse = |text: &String| Ok(source::parse("an initial program of the store", text)?);
    settings.others.iter().map(parse).collect()
}

/// Meaning of a name that is not a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    /// `best`: what the search calls its best program.
    Best,
    /// A place of the hall of fame, from 1.
    Place(usize),
}

/// Parses a name that is not a hash: `best`, or a number of at most two digits, which is too short
/// for a hash.
fn place_of(text: &str) -> Option<Named> {
    match text {
        "best" => Some(Named::Best),
        _ if text.len() <= 2 => text.parse().ok().filter(|place| *place > 0).map(Named::Place),
        _ => None,
    }
}

/// The hash of what a search calls its best program: the last improvement, or where the seeds have
/// changed since, the best of the elite on the new ones. `None` if it is the initial program.
fn best_hash(store: &CheckedStore) -> Result<Option<String>, ProgramError> {
    let improvement = store.improvements()?.pop();
    let FitnessConfig { rotate, penalty, .. } = store.settings().config.fitness;
    let revisions = store.revisions()?;
    let epoch = revisions.iter().map(|(number, _)| epoch_of(*number)).max();
    let Some(epoch) = epoch else {
        return Ok(improvement.map(|improvement| improvement.hash));
    };
    if let Some(improvement) = improvement.filter(|i| i.index >= epoch.saturating_mul(rotate)) {
        return Ok(Some(improvement.hash));
    }
    let of_epoch = revisions.into_iter().filter(|(number, _)| epoch_of(*number) == epoch);
    let mut best: Option<(Fitness, String)> = None;
    for (_, record) in of_epoch {
        let score = record.evaluation().score(penalty);
        if best.as_ref().is_none_or(|(other, _)| score.is_better_than(*other)) {
            best = Some((score, record.hash));
        }
    }
    Ok(best.map(|(_, hash)| hash))
}

/// The hash of the program of a store that a name speaks of.
fn hash_of(path: &Path, named: Named) -> Result<String, ProgramError> {
    let store = CheckedStore::of(path)?;
    match named {
        Named::Best => match best_hash(&store)? {
            Some(hash) => Ok(hash),
            // Nothing was better than the initial program.
            None => {
                let text = &store.settings().initial;
                let initial = source::parse("the store's initial program", text)?;
                Ok(Graph::new(&initial).map(|graph| graph.hash().to_string()).unwrap_or_default())
            }
        },
        Named::Place(place) => {
            let front = hall_of_fame(&store)?;
            let count = front.len();
            let entry = front.into_iter().nth(place - 1);
            entry.map(|entry| entry.hash).ok_or_else(|| ProgramError::NotInStore {
                store: path.to_owned(),
                reason: format!(
                    "its hall of fame has {count} programs, no place {place}; `{}` lists them",
                    Command::new("top").operand(path)
                ),
            })
        }
    }
}

/// Whether a text can be the first digits of a functional hash.
fn is_hash(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Where a program of a store comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bred {
    /// It is the initial program.
    Initial,
    /// It is the child of this number, the first one of its key.
    Child(u64),
    /// It shares the key of an earlier child, and was the one of the elite that was judged on the
    /// seeds of this epoch.
    Elite(u64),
}

/// An evaluated program of a store.
pub struct Stored {
    /// Where it comes from.
    pub bred: Bred,
    /// Its functional hash, in hexadecimal.
    pub hash: String,
    /// Its text.
    pub text: String,
    /// Where a direction did best on each task, if that is known.
    pub settings: Vec<Setting>,
}

/// The store and the hash that the name of a program speaks of, if it is one of a store:
/// `STORE:HASH`.
pub fn store_and_hash(name: &str) -> Option<(&Path, &str)> {
    if name == "-" || symopt_programs::find(name).is_some() || Path::new(name).exists() {
        return None;
    }
    // A name that ends like a hash was meant as one, even if there is no store.
    let (store, hash) = name.rsplit_once(':')?;
    (!store.is_empty() && (Path::new(store).exists() || is_hash(hash)))
        .then_some((Path::new(store), hash))
}

/// The program of a store whose hash begins with the given digits, or that has a place of its
/// [`hall_of_fame`], and the store.
pub fn find_in_store(path: &Path, digits: &str) -> Result<(CheckedStore, Stored), ProgramError> {
    let not_there = |reason: String| ProgramError::NotInStore { store: path.to_owned(), reason };
    let of_place = place_of(digits).map(|place| hash_of(path, place)).transpose()?;
    let digits = of_place.as_deref().unwrap_or(digits);
    if !is_hash(digits) {
        return Err(not_there(format!(
            "{digits:?} is no functional hash: it should be hexadecimal digits, the first few are \
             enough; or `best`, or a place of the hall of fame"
        )));
    }
    let (store, evaluations) = CheckedStore::find(path, digits)?;
    let digits = digits.to_ascii_lowercase();
    let initial_text = &store.settings().initial;
    let initial = source::parse("the store's initial program", initial_text)?;
    let initial = Graph::new(&initial)
        .map(|graph| graph.hash())
        .ok()
        .filter(|hash| hash.to_string().starts_with(&digits));
    // Among equal programs the first counts, and that is the initial one.
    let evaluations: Vec<&FoundEvaluation> =
        evaluations.iter().filter(|found| Some(found.hash()) != initial).collect();
    let count = evaluations.len() + usize::from(initial.is_some());
    if count > 1 {
        return Err(not_there(format!(
            "{count} programs have hashes that begin with {digits}; give more digits"
        )));
    }
    let is_direction = store.settings().config.fitness.form == Form::Direction;
    let stored = match (initial, evaluations.first()) {
        (Some(hash), _) => Stored {
            bred: Bred::Initial,
            hash: hash.to_string(),
            text: initial_text.clone(),
            settings: if is_direction {
                store.initial()?.map_or_else(Vec::new, |record| record.settings)
            } else {
                Vec::new()
            },
        },
        (None, Some(found)) => {
            let record = store.record(found)?;
            Stored {
                bred: match found.place() {
                    Place::Child(index) => Bred::Child(index),
                    Place::Revision(number) => Bred::Elite(epoch_of(number)),
                },
                hash: record.hash,
                text: record.program,
                settings: if is_direction { record.settings } else { Vec::new() },
            }
        }
        (None, None) => {
            return Err(not_there(format!(
                "no evaluated program has a hash that begins with {digits}; `{}` ends with the hash of the best one",
                Command::new("resume").operand(path)
            )));
        }
    };
    Ok((store, stored))
}
