//! How much each statement of a program matters: what changes when it is bypassed, in the fitness
//! on tasks and in the update itself.

use ndarray::{ArrayD, IxDyn};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::Serialize;
use symopt_analysis::simplify::derivation::Trial;
use symopt_dsl::graph::Redundancy;
use symopt_dsl::{Graph, Program};
use symopt_evaluator::Reference;
use symopt_proxy_tasks::suite::Fitness;
use symopt_proxy_tasks::task::Candidate;

use crate::ablation::bypasses;
use crate::error::StudyError;
use crate::trials::Trials;

/// How much a live statement matters. It is judged by the bypass that costs the least: what the
/// best way to do without it loses.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Importance {
    /// Index of the statement, from 0.
    pub statement: usize,
    /// Its text.
    pub text: String,
    /// The bypass that costs the least; `None` if the statement can't be bypassed, as the norm of
    /// an array.
    pub bypass: Option<String>,
    /// Mean over the seeds of the fitness with the bypass less the fitness without; `None` if there
    /// is no bypass, or if every bypass diverges.
    pub fitness_change: Option<f64>,
    /// Standard error of that mean.
    pub standard_error: Option<f64>,
    /// Whether there are bypasses and all of them diverge.
    pub diverges: bool,
    /// Change of the update with the bypass on random streams, relative to its size: 0 is none, 1
    /// is as large as the update itself; `None` if there is no bypass, or where updates are not
    /// finite.
    pub update_change: Option<f64>,
}

/// The importance of all live statements of a program.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[must_use]
#[non_exhaustive]
pub struct ImportanceReport {
    /// The fitness of the program as it stands.
    pub fitness: Fitness,
    /// Seeds.
    pub seeds: usize,
    /// For each task the factor of the update that all was trained with; see [`Trials::tune`].
    pub factors: Vec<(String, f64)>,
    /// The live statements, in order.
    pub statements: Vec<Importance>,
}

/// Bypasses each live statement of a program in every way, and says what the best of them costs.
pub fn importance(program: &Program, trials: &mut Trials) -> Result<ImportanceReport, StudyError> {
    let live = match Graph::new(program) {
        Ok(graph) => (0..program.statements.len())
            .filter(|i| graph.redundancy().get(*i) == Some(&Redundancy::Live))
            .collect(),
        Err(_) => Vec::new(),
    };
    let ways: Vec<(usize, Vec<(String, Program)>)> =
        live.into_iter().map(|index| (index, bypasses(program, index))).collect();
    // All at once, so that all threads have work.
    let all: Vec<(String, Program)> =
        ways.iter().flat_map(|(_, ways)| ways.iter().cloned()).collect();
    let tried = trials.compare(program, &all)?;
    let mut tried = tried.iter().zip(&all);
    let mut statements = Vec::new();
    for (index, ways) in &ways {
        let mut best: Option<(&Trial, &Program)> = None;
        for (trial, (_, changed)) in tried.by_ref().take(ways.len()) {
            let difference = |trial: &Trial| trial.difference.unwrap_or(f64::NEG_INFINITY);
            if best.is_none_or(|(best, _)| difference(trial) > difference(best)) {
                best = Some((trial, changed));
            }
        }
        statements.push(Importance {
            statement: *index,
            text: program
                .statements
                .get(*index)
                .map_or_else(String::new, |s| program.statement_text(s).to_string()),
            bypass: best.map(|(trial, _)| trial.change.clone()),
            fitness_change: best.and_then(|(trial, _)| trial.difference),
            standard_error: best.and_then(|(trial, _)| trial.standard_error),
            diverges: best.is_some_and(|(trial, _)| trial.fitness_after.is_none()),
            update_change: best.and_then(|(_, changed)| {
                change_of_update(program, changed, &trials.candidate(program))
            }),
        });
    }
    Ok(ImportanceReport {
        fitness: trials.fitness(program)?,
        seeds: trials.seed_count(),
        factors: trials.factors(),
        statements,
    })
}

/// Seed of the random streams. Part of what is reported, so it never changes.
const STREAM_SEED: u64 = 4;
/// Sizes of the gradients, one for each stream: as in training, so that what is made for small
/// numbers (arcsin) sees small numbers.
const SCALES: [f64; 3] = [1e-3, 1e-2, 1e-1];
/// Steps of a stream.
const STEPS: usize = 100;

/// How far apart the updates of two programs are on the same random streams, in f64: the norm of
/// the difference by the norm of the updates of the first, averaged over the streams. The weights
/// do not follow the updates, so that both programs see the same everywhere. `settings` are the
/// peak learning rate and the hyperparameters of both.
fn change_of_update(before: &Program, after: &Program, settings: &Candidate) -> Option<f64> {
    let shapes = [vec![4, 3], vec![5]];
    let mut rng = ChaCha8Rng::seed_from_u64(STREAM_SEED);
    let mut normal = |scale: f64| -> Vec<ArrayD<f64>> {
        let mut number =
            |_| scale * <StandardNormal as Distribution<f64>>::sample(&StandardNormal, &mut rng);
        shapes.iter().map(|shape| ArrayD::from_shape_fn(IxDyn(shape), &mut number)).collect()
    };
    let mut sum = 0.0;
    for scale in SCALES {
        let mut programs = [
            Reference::<f64>::new(before, &shapes).ok()?,
            Reference::<f64>::new(after, &shapes).ok()?,
        ];
        for program in &mut programs {
            for (name, value) in settings.hyperparameters {
                program.set(name, *value).ok()?;
            }
        }
        let mut weights = normal(0.1);
        // Gradients that agree in part from step to step.
        let common = normal(0.5 * scale);
        let (mut difference, mut size) = (0.0, 0.0);
        for step in 0..STEPS {
            let gradients: Vec<ArrayD<f64>> = normal(scale)
                .into_iter()
                .zip(&common)
                .map(|(noise, common)| noise + common)
                .collect();
            let lr = settings.peak_lr * (1.0 - step as f64 / STEPS as f64);
            let mut updates = Vec::new();
            for program in &mut programs {
                updates.push(program.update(&weights, &gradients, lr).ok()?);
            }
            if let [before, after] = updates.as_slice() {
                for (before, after) in before.iter().zip(after) {
                    difference += (after - before).mapv(|x| x * x).sum();
                    size += before.mapv(|x| x * x).sum();
                }
            }
            weights = weights
                .into_iter()
                .zip(normal(0.01))
                .map(|(weights, change)| weights + change)
                .collect();
        }
        sum += libm::sqrt(difference / size);
    }
    Some(sum / SCALES.len() as f64).filter(|change| change.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(update: &str) -> Program {
        symopt_dsl::parse(&format!(
            "def f(w, g, m, lr):\n  m = interp(g, m, 0.9)\n  update = {update}\n  return update, m"
        ))
        .unwrap()
    }

    #[test]
    fn the_change_of_the_update_is_relative_to_it() {
        let change = |a: &str, b: &str| {
            change_of_update(&program(a), &program(b), &Candidate::new(&program(a)))
        };
        assert_eq!(change("m * lr", "lr * m"), Some(0.0));
        assert!((change("m * lr", "1.25 * (m * lr)").unwrap() - 0.25).abs() < 1e-9);
        assert!((change("m * lr", "0.0 * m").unwrap() - 1.0).abs() < 1e-9);
        assert!(change("m * lr", "g * lr").unwrap() > 0.5);
        assert_eq!(change("m * lr", "m / 0.0"), None);
        assert_eq!(change("0.0 * m", "m * lr"), None);
    }
}
