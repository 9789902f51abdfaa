//! Programs against each other on seeds that no search has seen.

use serde::Serialize;
use symopt_dsl::Program;
use symopt_proxy_tasks::suite::{Fitness, Outcome, Suite, WeightedTask};
use symopt_proxy_tasks::task::{TaskError, Verdict};

/// A program to compare: a zoo program with constants tuned for each task, or a program as it stands.
#[derive(Clone, Debug)]
pub enum Contender {
    /// A zoo program, run with each task's tuned constants for it.
    Tuned(String),
    /// A program as it stands, under a name.
    AsIs(String, Program),
}

/// How a contender did.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Fitness on the suite's own seeds, which a search has seen.
    pub search_seeds: Fitness,
    /// Fitness on held-out seeds.
    pub held_out: Fitness,
    /// Standard error of the fitness over the held-out seeds; `None` with fewer than two, or if a run diverged.
    pub standard_error: Option<f64>,
    /// Mean improvement on each task over the held-out seeds; empty if a run diverged, since the runs after it are missing.
    pub tasks: Vec<(String, f64)>,
}

/// Runs every contender on the suite's own seeds and on `held_out` others; all on the same ones, so that rows are paired.
/// `interrupted` is asked at every checkpoint.
pub fn compare(
    suite: &Suite,
    contenders: &[Contender],
    held_out: usize,
    interrupted: &dyn Fn() -> bool,
) -> Result<Option<Vec<Row>>, TaskError> {
    let own = suite.baseline(&suite.seeds)?;
    let fresh = suite.baseline(&Suite::held_out_seeds(held_out))?;
    let mut rows = Vec::new();
    for contender in contenders {
        let (name, program, tuned) = match contender {
            Contender::AsIs(name, program) => (name, program.clone(), false),
            Contender::Tuned(name) => match symopt_programs::find(name) {
                Some(entry) => (name, entry.program(), true),
                None => continue,
            },
        };
        let tuned_as = tuned.then_some(name.as_str());
        let mut stopped = false;
        let mut watch = |_: usize, _: f64| {
            stopped |= interrupted();
            if stopped { Verdict::Stop } else { Verdict::Continue }
        };
        let on_own = suite.evaluate(&program, tuned_as, &own, &mut watch)?;
        let on_fresh = suite.evaluate(&program, tuned_as, &fresh, &mut watch)?;
        if stopped {
            return Ok(None);
        }
        rows.push(Row {
            name: name.clone(),
            search_seeds: on_own.fitness,
            held_out: on_fresh.fitness,
            standard_error: on_fresh.by_seed(suite).and_then(|values| standard_error(&values)),
            tasks: task_means(&on_fresh, suite),
        });
    }
    Ok(Some(rows))
}

/// The standard error of the mean of a sample; `None` for fewer than two numbers.
pub fn standard_error(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    Some((variance / count).sqrt())
}

fn task_means(outcome: &Outcome, suite: &Suite) -> Vec<(String, f64)> {
    if outcome.fitness.improvement().is_none() {
        return Vec::new();
    }
    let mean = |task: &WeightedTask| {
        let name = task.task.name().to_owned();
        let values: Vec<f64> = outcome.results.iter().filter(|r| r.task == name).map(|r| r.improvement).collect();
        (!values.is_empty()).then(|| (name, values.iter().sum::<f64>() / values.len() as f64))
    };
    suite.tasks.iter().filter_map(mean).collect()
}
