//! Reports on searches: from their stores to figures and tables.
//!
//! A store says how the best fitness went, how many evaluations the cache saved and how many
//! statements were redundant. A fitness that a search has climbed says little about programs, since
//! the search has seen its seeds; so the last best program of each store is judged again on fresh
//! seeds of its suite, and on request a sample of the programs that were best at some time is
//! judged on another suite (*meta-validation*): where that curve falls while the fitness rises, the
//! search overfits its tasks. Directions are tuned anew in both, on tuning seeds that are fresh as
//! well. All stores of one suite and form are judged on the same seeds, against AdamW on these.
//!
//! Stores are only read, also while their searches run; nothing in them is touched. Nothing of a
//! report is kept: it is the same every time.

mod figures;
mod history;
mod judging;
mod markdown;

use std::path::PathBuf;

use serde::Serialize;
use symopt_cancel::CancelToken;
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_proxy_tasks::suite::{BaselineOrigin, Fitness};

pub use self::figures::Figure;
use self::history::{BestSoFar, History};
pub use self::history::{CurvePoint, RatePoint};
use self::judging::{Judges, Work};
use symopt_proxy_tasks::sample::standard_error;
use symopt_search::config::{Form, Strategy};
use symopt_search::launch::Launcher;
use symopt_search::store::failures::Failures;

use crate::error::StudyError;
use crate::trials::Observe;

/// Quantity that searches are compared over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    /// Programs generated.
    Programs,
    /// Programs evaluated.
    Evaluations,
    /// Training runs: what an evaluation that was stopped early, or diverged, took counts as the
    /// part of the runs that was done.
    TrainingRuns,
}

impl Over {
    fn label(self) -> &'static str {
        match self {
            Over::Programs => "programs generated",
            Over::Evaluations => "programs evaluated",
            Over::TrainingRuns => "training runs",
        }
    }

    /// The place of a point.
    fn of(self, point: &CurvePoint) -> f64 {
        match self {
            Over::Programs => point.programs as f64,
            Over::Evaluations => point.evaluations as f64,
            Over::TrainingRuns => point.training_runs.unwrap_or(f64::NAN),
        }
    }
}

/// Options of a report.
#[derive(Clone, Debug)]
pub struct Options {
    /// The suite of the meta-validation, if there is to be one.
    pub validate: Option<SuiteSource>,
    /// Fresh seeds that programs are judged on.
    pub seeds: usize,
    /// Programs of each store that are validated, at most.
    pub sample: usize,
    /// Quantity that groups of stores are compared over; by default training runs, or evaluations
    /// if runs are not counted.
    pub over: Option<Over>,
    /// Threads that train.
    pub threads: usize,
    /// How the training runs are done.
    pub launcher: Launcher,
}

/// A program judged on fresh seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FreshFitness {
    /// Its fitness there.
    pub fitness: Fitness,
    /// The standard error over the seeds; `None` if it is not known.
    pub standard_error: Option<f64>,
}

/// A program that was the best at some time.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct BestProgram {
    /// Number of the child; `None` for the initial program.
    pub index: Option<u64>,
    /// Its functional hash, in hexadecimal.
    pub hash: String,
    /// Its fitness as the search had it.
    pub fitness: Fitness,
    /// Its text.
    pub program: String,
}

/// A point of a meta-validation curve.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Validated {
    /// Programs generated.
    pub programs: u64,
    /// The functional hash of the program that was the best then.
    pub hash: String,
    /// Its fitness as the search had it.
    pub fitness: Fitness,
    /// On the suite of the meta-validation.
    pub validation: FreshFitness,
}

/// A search, by its store.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StoreReport {
    /// The store.
    pub store: String,
    /// The group that it belongs to.
    pub group: String,
    /// The settings that are not the defaults.
    pub settings: Vec<String>,
    /// Its suite.
    pub suite: String,
    /// Form of its programs.
    pub form: Form,
    /// Programs generated, evaluated, and so on, at the end.
    pub end: CurvePoint,
    /// Rates at the end; `None` for a search that ended before the first row.
    pub rates_at_end: Option<RatePoint>,
    /// The program that it started from.
    pub initial: BestProgram,
    /// That on fresh seeds.
    pub initial_fresh: FreshFitness,
    /// The best program at the end.
    pub best: BestProgram,
    /// That on fresh seeds.
    pub best_fresh: FreshFitness,
    /// The meta-validation, if asked for.
    pub validation: Vec<Validated>,
    /// Programs that were the best and whose text the journal does not hold, so that they can't be
    /// validated.
    pub without_text: usize,
    /// The best fitness over the search, where it changes, and at the end.
    pub curve: Vec<CurvePoint>,
    /// Rates over the search.
    pub rates: Vec<RatePoint>,
    /// Evaluations that failed, by what went wrong.
    pub failures: Vec<Failures>,
}

impl StoreReport {
    /// The point of the meta-validation where it was highest, and the last one.
    pub fn validation_peak_and_end(&self) -> Option<(&Validated, &Validated)> {
        // Reversed, so that the first of equals is the peak.
        let peak = self.validation.iter().rev().max_by_key(|point| point.validation.fitness)?;
        Some((peak, self.validation.last()?))
    }

    fn best_at(&self, over: Over, place: f64) -> Option<f64> {
        self.curve.iter().take_while(|point| over.of(point) <= place).last()?.best.improvement()
    }
}

/// A mean over stores.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// The standard error over the stores; `None` for a single one.
    pub standard_error: Option<f64>,
    /// The lowest.
    pub low: f64,
    /// The highest.
    pub high: f64,
}

impl Mean {
    fn of(values: &[Option<f64>]) -> Option<Mean> {
        // A mean without those that diverged would be too good.
        let values: Vec<f64> = values.iter().copied().collect::<Option<_>>()?;
        if values.is_empty() {
            return None;
        }
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Some(Mean { mean, standard_error: standard_error(&values), low, high })
    }
}

/// Searches of the same kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Group {
    /// Description of what its stores have in common.
    pub name: String,
    /// How many there are.
    pub stores: usize,
    /// Mean compute of a search, in what the groups are compared over.
    pub compute: f64,
    /// Best fitness at the compute that all stores of the report have; `None` if one of them has
    /// none by then.
    pub at_common_compute: Option<Mean>,
    /// Best fitness at the end.
    pub at_end: Option<Mean>,
    /// That of the last best programs on fresh seeds; `None` if one diverges there.
    pub fresh: Option<Mean>,
}

/// Report on searches.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[must_use]
#[non_exhaustive]
pub struct Report {
    /// Fresh seeds that programs were judged on.
    pub seeds: usize,
    /// The suite of the meta-validation.
    pub validation_suite: Option<String>,
    /// Where the constants of AdamW, which all fitness is measured against, come from, by the names
    /// of the suites.
    pub baselines: Vec<(String, BaselineOrigin)>,
    /// Quantity that the groups are compared over.
    pub over: Over,
    /// The compute that all stores have, in that.
    pub common_compute: f64,
    /// Searches of the same kind together.
    pub groups: Vec<Group>,
    /// Each store.
    pub stores: Vec<StoreReport>,
}

/// Reads stores, and judges their programs. `observe` sees how many programs have been judged, and
/// how many there are to judge.
pub fn report(
    stores: &[PathBuf],
    options: &Options,
    cancel: &CancelToken,
    observe: Observe,
) -> Result<Report, StudyError> {
    let histories =
        stores.iter().map(|store| History::read(store)).collect::<Result<Vec<_>, _>>()?;
    let counted = |history: &&History| history.end.training_runs.is_none();
    let over = match (options.over, histories.iter().find(counted)) {
        (Some(Over::TrainingRuns), Some(history)) => {
            return Err(StudyError::NoRuns { store: history.store.clone() });
        }
        (Some(over), _) => over,
        (None, Some(_)) => Over::Evaluations,
        (None, None) => Over::TrainingRuns,
    };
    let names = group_names(&histories);

    // All judges stand before the first program is judged, so that what is wrong with a suite shows
    // at once.
    let mut judges = Judges::new(&histories, options.seeds, &options.launcher);
    let mut work = Work::default();
    let mut wanted = Vec::new();
    for history in &histories {
        let (own, fresh) =
            (judges.own(history, cancel)?, judges.fresh(history, &history.suite, cancel)?);
        let last = history.bests_so_far.last();
        let initial = work.add(own, &history.initial);
        let initial_fresh = work.add(fresh, &history.initial);
        let best_fresh =
            last.map_or(initial_fresh, |best_so_far| work.add(fresh, &best_so_far.program));
        let mut validation = Vec::new();
        if let Some(suite) = &options.validate {
            let judge = judges.fresh(history, suite, cancel)?;
            for (programs, best_so_far) in history.sample(options.sample) {
                let program =
                    best_so_far.map_or(&history.initial, |best_so_far| &best_so_far.program);
                validation.push((programs, best_so_far, work.add(judge, program)));
            }
        }
        wanted.push((initial, initial_fresh, best_fresh, validation));
    }
    let results = work.run(&judges, options.threads, cancel, observe)?;

    let judged = |at: usize| FreshFitness {
        fitness: results[at].fitness,
        standard_error: judging::spread(&results[at]),
    };
    let mut reports = Vec::new();
    for ((history, name), (initial, initial_fresh, best_fresh, validation)) in
        histories.iter().zip(&names).zip(wanted)
    {
        let initial_program = BestProgram {
            index: None,
            hash: history.initial_hash.clone(),
            fitness: results[initial].score(history.penalty()),
            program: history.initial.to_string(),
        };
        let best = history
            .bests_so_far
            .last()
            .map_or_else(|| initial_program.clone(), BestSoFar::best_program);
        let validated = |(programs, best_so_far, at): (u64, Option<&BestSoFar>, usize)| {
            let (hash, fitness) = best_so_far
                .map_or((&initial_program.hash, initial_program.fitness), |s| (&s.hash, s.fitness));
            Validated { programs, hash: hash.clone(), fitness, validation: judged(at) }
        };
        reports.push(StoreReport {
            store: history.store.clone(),
            group: name.clone(),
            settings: history.changed_settings(),
            suite: history.suite.name.clone(),
            form: history.config.fitness.form,
            rates_at_end: history.rates.last().cloned(),
            validation: validation.into_iter().map(validated).collect(),
            without_text: history.without_text,
            curve: history.curve(initial_program.fitness),
            end: CurvePoint { best: best.fitness, ..history.end.clone() },
            rates: history.rates.clone(),
            failures: history.failures.clone(),
            initial: initial_program,
            initial_fresh: judged(initial_fresh),
            best,
            best_fresh: judged(best_fresh),
        });
    }
    let common_compute =
        reports.iter().map(|store| over.of(&store.end)).fold(f64::INFINITY, f64::min);
    Ok(Report {
        seeds: options.seeds,
        validation_suite: options.validate.as_ref().map(|suite| suite.name.clone()),
        baselines: baselines(&histories, options)?,
        over,
        common_compute,
        groups: groups(&reports, over, common_compute),
        stores: reports,
    })
}

impl Report {
    /// Returns the origin of AdamW's constants on all suites, which tells how to name it in
    /// statements about all of them.
    pub fn adamw(&self) -> BaselineOrigin {
        BaselineOrigin::joined(
            self.baselines.iter().map(|(name, origins)| (name.as_str(), origins)),
        )
    }
}

/// Where the constants of AdamW come from on each suite.
fn baselines(
    histories: &[History],
    options: &Options,
) -> Result<Vec<(String, BaselineOrigin)>, StudyError> {
    let mut found: Vec<(String, BaselineOrigin)> = Vec::new();
    for source in histories.iter().map(|history| &history.suite).chain(&options.validate) {
        let origins = (source.name.clone(), source.suite()?.baseline_origin());
        if !found.contains(&origins) {
            found.push(origins);
        }
    }
    Ok(found)
}

/// Names each store in comparisons: by how it searched, and by the differences from the others that
/// matter for its numbers.
fn group_names(histories: &[History]) -> Vec<String> {
    let differ = |of: &dyn Fn(&History) -> String| {
        let mut all: Vec<String> = histories.iter().map(of).collect();
        all.sort();
        all.dedup();
        all.len() > 1
    };
    let form = |history: &History| match history.config.fitness.form {
        Form::Program => "whole programs".to_owned(),
        Form::Direction => "directions".to_owned(),
    };
    let suite = |history: &History| history.suite.name.clone();
    let initial = |history: &History| history.config.initial.to_string();
    // The text may differ under the same name, but then a longer name would not help either.
    let (forms, suites, initials) = (differ(&form), differ(&suite), differ(&initial));
    let name = |history: &History| {
        let mut name =
            match (history.config.evolution.strategy, history.config.mutation.constants_only) {
                (Strategy::Random, _) => "random search",
                (Strategy::Regularized, true) => "constants only",
                (Strategy::Regularized, false) => "evolution",
            }
            .to_owned();
        if forms {
            name += &format!(" of {}", form(history));
        }
        if history.config.mutation.crossover > 0.0 {
            name += &format!(" with crossover {}", history.config.mutation.crossover);
        }
        if initials {
            name += &format!(" from {}", initial(history));
        }
        if suites {
            name += &format!(" on {}", suite(history));
        }
        name
    };
    histories.iter().map(name).collect()
}

fn groups(stores: &[StoreReport], over: Over, common_compute: f64) -> Vec<Group> {
    let mut names: Vec<&String> = Vec::new();
    for store in stores {
        if !names.contains(&&store.group) {
            names.push(&store.group);
        }
    }
    let group = |name: &String| {
        let members: Vec<&StoreReport> =
            stores.iter().filter(|store| store.group == *name).collect();
        let mean = |of: &dyn Fn(&StoreReport) -> Option<f64>| {
            Mean::of(&members.iter().map(|store| of(store)).collect::<Vec<_>>())
        };
        Group {
            name: name.clone(),
            stores: members.len(),
            compute: members.iter().map(|store| over.of(&store.end)).sum::<f64>()
                / members.len().max(1) as f64,
            at_common_compute: mean(&|store| store.best_at(over, common_compute)),
            at_end: mean(&|store| store.best.fitness.improvement()),
            fresh: mean(&|store| store.best_fresh.fitness.improvement()),
        }
    };
    names.into_iter().map(group).collect()
}
