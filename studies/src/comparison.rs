//! Programs against each other on seeds that no search has seen.

use rayon::prelude::*;
use serde::Serialize;
use symopt_cancel::CancelToken;
use symopt_dsl::Program;
use symopt_proxy_tasks::constants::Origin;
use symopt_proxy_tasks::sample::{Gain, standard_error};
use symopt_proxy_tasks::suite::{BASELINE, Baseline, Fitness, Outcome, Suite, WeightedTask};
use symopt_proxy_tasks::task::{Candidate, Verdict};
use symopt_search::config::{Form, SearchConfig};
use symopt_search::engine::SearchResult;
use symopt_search::judge::Settled;

use crate::error::{StudyError, pool};
use crate::trials::Observe;

/// A program to compare, in its own form.
#[derive(Clone, Debug)]
pub enum Contender {
    /// A zoo program, run with each task's constants for it.
    Tuned(String),
    /// The same with constants among which the shares of averages were tuned too.
    TunedAverages(String),
    /// A program as it stands, under a name, with its fitness in the search where that can't be
    /// made again, or was not measured on the suite's own seeds.
    AsIs(String, Program, Option<Fitness>),
    /// A direction with the learning rate and the decay that suited it best on each task, likewise;
    /// `None` if there are none.
    Direction(String, Option<Settled>, Fitness),
}

/// How a contender did.
#[derive(Clone, Debug, Serialize)]
#[must_use]
#[non_exhaustive]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Fitness on seeds that a search has seen.
    pub search_seeds: Fitness,
    /// Fitness on held-out seeds.
    pub held_out: Fitness,
    /// Standard error of the fitness over the held-out seeds; `None` with fewer than two, or if a
    /// run diverged.
    pub standard_error: Option<f64>,
    /// By how much the first of the contenders saves more on the held-out seeds, paired; `None` for
    /// itself, and if a run of one of the two diverged.
    pub first_ahead: Option<Gain>,
    /// Mean improvement on each task over the held-out seeds; empty if a run diverged, since the
    /// runs after it are missing.
    pub tasks: Vec<(String, f64)>,
}

/// Returns the programs that the result of a search is compared with at its end: the best program
/// beside AdamW, Lion, AdamW with tuned betas and Muon where these are tuned, and the program that
/// it started from.
pub fn contenders(
    result: &SearchResult,
    pruned: &Program,
    config: &SearchConfig,
    suite: &Suite,
    cancel: &CancelToken,
) -> Result<Vec<Contender>, StudyError> {
    let (best, initial) = match config.fitness.form {
        Form::Program => {
            let known = (suite.is_external() || config.fitness.rotate > 0)
                .then_some((result.best.fitness, result.initial_evaluation.fitness));
            let (of_best, of_initial) = known.unzip();
            let best = Contender::AsIs("best found".to_owned(), pruned.clone(), of_best);
            (
                best,
                Contender::AsIs("initial".to_owned(), result.initial.as_ref().clone(), of_initial),
            )
        }
        Form::Direction => {
            let settled =
                |program: &Program, settings| Settled::new(program, settings, &suite.tasks, cancel);
            let best = settled(&result.best.program, &result.best.settings)?;
            let initial = settled(&result.initial, &result.initial_evaluation.settings)?;
            (
                Contender::Direction("best found".to_owned(), best, result.best.fitness),
                Contender::Direction(
                    "initial".to_owned(),
                    initial,
                    result.initial_evaluation.fitness,
                ),
            )
        }
    };
    let mut contenders = vec![best, Contender::Tuned(BASELINE.to_owned())];
    if suite.tasks.iter().all(|task| task.constants(BASELINE, true).is_some()) {
        contenders.push(Contender::TunedAverages(BASELINE.to_owned()));
    }
    contenders.push(Contender::Tuned("lion".to_owned()));
    // Muon is hard to beat where matrices are trained; its defaults suit other sizes.
    if has_constants(suite, "muon") {
        contenders.push(Contender::Tuned("muon".to_owned()));
    }
    contenders.push(initial);
    Ok(contenders)
}

/// Runs every contender on `own` seeds, which the search has seen, where its fitness there is not
/// known, and on `held_out` others; all on the same ones, so that rows are paired. Contenders go
/// side by side. A task that is a command is not asked again for what is known: its AdamW is the
/// baseline, and a zoo program that it has no constants for is left out.
pub fn compare(
    suite: &Suite,
    contenders: &[Contender],
    own: &[u64],
    held_out: usize,
    threads: usize,
    cancel: &CancelToken,
    observe: Observe,
) -> Result<Vec<Row>, StudyError> {
    let pool = pool(threads)?;
    let done = std::sync::atomic::AtomicUsize::new(0);
    let contenders: Vec<&Contender> =
        contenders.iter().filter(|contender| !is_left_out(suite, contender)).collect();
    let fresh = Suite::held_out_seeds(held_out);
    // Baselines seed by seed, since there may be threads for it.
    let total = fresh.len() + contenders.len();
    let one_more = || observe(done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1, total);
    let baseline = |seeds: &[u64]| -> Result<Baseline, StudyError> {
        let parts: Vec<Result<Baseline, StudyError>> = seeds
            .par_iter()
            .map(|seed| {
                let part = suite.baseline(&[*seed], cancel)?;
                one_more();
                Ok(part)
            })
            .collect();
        Ok(Baseline::joined(parts.into_iter().collect::<Result<Vec<_>, _>>()?))
    };
    pool.install(|| {
        let needs_own = contenders.iter().any(|contender| match contender {
            Contender::Tuned(name) => !is_the_baseline(suite, name),
            Contender::TunedAverages(_) => true,
            Contender::AsIs(_, _, known) => known.is_none(),
            Contender::Direction(..) => false,
        });
        let on_own = if needs_own { suite.baseline(own, cancel)? } else { Baseline::default() };
        let on_fresh = baseline(&fresh)?;
        let rows: Vec<Result<WithGains, StudyError>> = contenders
            .par_iter()
            .map(|contender| {
                let row = row(suite, contender, &on_own, &on_fresh, cancel)?;
                one_more();
                Ok(row)
            })
            .collect();
        let rows = rows.into_iter().collect::<Result<Vec<_>, StudyError>>()?;
        let first = rows.first().and_then(|(_, by_seed)| by_seed.clone());
        let ahead_of = |by_seed: &Option<Vec<f64>>| {
            let (first, by_seed) = (first.as_ref()?, by_seed.as_ref()?);
            let ahead: Vec<f64> = first.iter().zip(by_seed).map(|(a, b)| a - b).collect();
            Gain::of(&ahead)
        };
        let with_lead = |(place, (row, by_seed)): (usize, WithGains)| Row {
            first_ahead: if place == 0 { None } else { ahead_of(&by_seed) },
            ..row
        };
        Ok(rows.into_iter().enumerate().map(with_lead).collect())
    })
}

/// Whether all tasks have constants for a zoo program.
fn has_constants(suite: &Suite, name: &str) -> bool {
    suite.tasks.iter().all(|task| task.origin(name) != Origin::Untuned)
}

fn is_left_out(suite: &Suite, contender: &Contender) -> bool {
    match contender {
        Contender::Tuned(name) if name == BASELINE => false,
        Contender::Tuned(name) => {
            symopt_programs::find(name).is_none()
                || (suite.is_external() && !has_constants(suite, name))
        }
        Contender::TunedAverages(_) | Contender::AsIs(..) | Contender::Direction(..) => false,
    }
}

/// Whether a zoo program is what is measured against, and would only be trained once more by the
/// user's command.
fn is_the_baseline(suite: &Suite, name: &str) -> bool {
    name == BASELINE && suite.is_external()
}

/// The name of a zoo program, with what its constants are if they are not tuned.
fn called(suite: &Suite, name: &str) -> String {
    let origins = || suite.tasks.iter().map(|task| task.origin(name));
    match () {
        () if origins().all(Origin::is_tuned) => name.to_owned(),
        () if origins().any(|origin| origin == Origin::Untuned) => format!("{name} (untuned)"),
        () => format!("{name} (as given)"),
    }
}

/// How a contender did, and its gains on the held-out seeds; `None` if a run diverged.
type WithGains = (Row, Option<Vec<f64>>);

fn row(
    suite: &Suite,
    contender: &Contender,
    own: &Baseline,
    fresh: &Baseline,
    cancel: &CancelToken,
) -> Result<WithGains, StudyError> {
    let evaluate = |candidates: &[Candidate], on: &Baseline| -> Result<Outcome, StudyError> {
        Ok(suite.evaluate_as(candidates, on, cancel, &mut |_, _| Verdict::Continue)?)
    };
    let measured = |name: String, known: Option<Fitness>, candidates: &[Candidate]| {
        let search_seeds = match known {
            Some(known) => known,
            None => evaluate(candidates, own)?.fitness,
        };
        let on_fresh = evaluate(candidates, fresh)?;
        let by_seed = on_fresh.by_seed(suite);
        let row = Row {
            name,
            search_seeds,
            held_out: on_fresh.fitness,
            standard_error: by_seed.as_ref().and_then(|values| standard_error(values)),
            first_ahead: None,
            tasks: task_means(&on_fresh, suite),
        };
        Ok((row, by_seed))
    };
    let as_tuned = |program: &'_ Program, name: &str| {
        let candidates: Vec<Candidate> =
            suite.tasks.iter().map(|task| task.candidate(program, Some(name))).collect();
        measured(called(suite, name), None, &candidates)
    };
    match contender {
        Contender::Tuned(name) if is_the_baseline(suite, name) => {
            let tasks = suite.tasks.iter().map(|task| (task.task.name().to_owned(), 0.0));
            let row = Row {
                name: called(suite, name),
                search_seeds: Fitness::Improvement(0.0),
                held_out: Fitness::Improvement(0.0),
                standard_error: Some(0.0),
                first_ahead: None,
                tasks: tasks.collect(),
            };
            Ok((row, Some(vec![0.0; fresh.seeds()])))
        }
        Contender::Tuned(name) => match symopt_programs::find(name) {
            Some(entry) => as_tuned(&entry.program(), name),
            None => Ok(untrainable(name, Fitness::Screened)),
        },
        Contender::TunedAverages(name) => match symopt_programs::find(name) {
            Some(entry) => {
                let program = entry.program();
                let constants = suite.tasks.iter().map(|task| task.constants(name, true));
                let candidates: Vec<Candidate> = constants
                    .map(|tuned| {
                        tuned.map_or(Candidate::new(&program), |tuned| Candidate {
                            program: &program,
                            peak_lr: tuned.peak_lr,
                            hyperparameters: &tuned.hyperparameters,
                        })
                    })
                    .collect();
                measured(format!("{name}, betas tuned"), None, &candidates)
            }
            None => Ok(untrainable(name, Fitness::Screened)),
        },
        Contender::AsIs(name, program, known) => {
            let candidates = vec![Candidate::new(program); suite.tasks.len()];
            measured(name.clone(), *known, &candidates)
        }
        Contender::Direction(name, Some(settled), known) => {
            measured(name.clone(), Some(*known), &settled.candidates())
        }
        Contender::Direction(name, None, known) => Ok(untrainable(name, *known)),
    }
}

/// Makes the row of a program without constants that it could be trained with.
fn untrainable(name: &str, known: Fitness) -> WithGains {
    let row = Row {
        name: name.to_owned(),
        search_seeds: known,
        held_out: Fitness::Diverged,
        standard_error: None,
        first_ahead: None,
        tasks: Vec::new(),
    };
    (row, None)
}

fn task_means(outcome: &Outcome, suite: &Suite) -> Vec<(String, f64)> {
    if outcome.fitness.improvement().is_none() {
        return Vec::new();
    }
    let mean = |task: &WeightedTask| {
        let name = task.task.name().to_owned();
        let values: Vec<f64> =
            outcome.results.iter().filter(|r| r.task == name).map(|r| r.improvement).collect();
        (!values.is_empty()).then(|| (name, values.iter().sum::<f64>() / values.len() as f64))
    };
    suite.tasks.iter().filter_map(mean).collect()
}
