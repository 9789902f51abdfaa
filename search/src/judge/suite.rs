//! The judge of the paper's form of search.

use std::sync::Arc;

use symopt_cancel::CancelToken;
use symopt_proxy_tasks::error::TaskError;
use symopt_proxy_tasks::sample::standard_error;
use symopt_proxy_tasks::suite::{Baseline, Suite};
use symopt_proxy_tasks::task::Verdict;

use super::judgement::{self, Bench};
use super::{Baselines, Judge, PerEpoch, Request, finite};
use crate::config::{FitnessConfig, Form};
use crate::judge::evaluation::Evaluation;

/// The judge of the paper's form of search: a suite, with the learning rate's schedule value passed
/// in and everything else inside the program.
pub struct SuiteJudge {
    suite: Arc<Suite>,
    /// For seeds that change, the seed of the search; `None` for the suite's own.
    search: Option<u64>,
    baselines: PerEpoch<Baseline>,
    kept: Baselines,
}

impl SuiteJudge {
    /// Trains the baseline on the suite's own seeds, which are those of every epoch.
    pub fn new(suite: Arc<Suite>, cancel: &CancelToken) -> Result<SuiteJudge, TaskError> {
        SuiteJudge::on(suite, None, Baselines::default(), cancel)
    }

    /// With as many seeds as the suite has, other ones in every epoch of a search.
    pub fn rotating(
        suite: Arc<Suite>,
        search: u64,
        cancel: &CancelToken,
    ) -> Result<SuiteJudge, TaskError> {
        SuiteJudge::on(suite, Some(search), Baselines::default(), cancel)
    }

    pub(super) fn on(
        suite: Arc<Suite>,
        search: Option<u64>,
        kept: Baselines,
        cancel: &CancelToken,
    ) -> Result<SuiteJudge, TaskError> {
        let judge = SuiteJudge { suite, search, baselines: PerEpoch::new(), kept };
        // The first baseline shows faults of the suite now.
        judge.baseline(judge.kept.first(), cancel)?;
        Ok(judge)
    }

    fn baseline(&self, epoch: u64, cancel: &CancelToken) -> Result<Arc<Baseline>, TaskError> {
        match self.search {
            None => {
                let seeds = &self.suite.seeds;
                self.baselines.of(0, || self.kept.of(0, &self.suite, seeds, cancel))
            }
            Some(search) => {
                let seeds = Suite::rotating_seeds(search, epoch, self.suite.seeds.len());
                self.baselines.of(epoch, || self.kept.of(epoch, &self.suite, &seeds, cancel))
            }
        }
    }
}

impl Judge for SuiteJudge {
    fn is_repeatable(&self) -> bool {
        !self.suite.is_external()
    }

    fn new_baselines(&self) -> Vec<(u64, Baseline)> {
        self.kept.take_new()
    }

    fn checkpoints(&self) -> usize {
        self.suite.checkpoints(self.suite.seeds.len())
    }

    fn judge(
        &self,
        request: &Request,
        cancel: &CancelToken,
        watch: &mut dyn FnMut(usize, f64) -> Verdict,
    ) -> Result<Evaluation, TaskError> {
        let baseline = self.baseline(request.epoch, cancel)?;
        if let Some(elsewhere) = &self.suite.elsewhere {
            let bench = Bench {
                fitness: FitnessConfig { form: Form::Program, ..FitnessConfig::default() },
                search: self.search,
                seeds: self.suite.seeds.clone(),
                // Without seeds that change there is but one.
                epoch: self.search.map_or(0, |_| request.epoch),
                baseline: Baseline::clone(&baseline),
            };
            return match judgement::judge(elsewhere, bench, request, cancel, watch) {
                Ok((evaluation, _)) => Ok(evaluation),
                // The workers that tried were lost.
                Err(TaskError::Failed { failure, .. }) => {
                    Ok(Evaluation::failed(failure, Arc::from([])))
                }
                Err(error) => Err(error),
            };
        }
        let outcome = self.suite.evaluate(request.program, None, &baseline, cancel, watch)?;
        let curve: Arc<[f64]> = outcome.curve.iter().map(|value| finite(*value)).collect();
        let spread = outcome.by_seed(&self.suite).and_then(|values| standard_error(&values));
        if let Some(failure) = outcome.failure {
            return Ok(Evaluation::failed(failure, curve));
        }
        Ok(Evaluation {
            standard_error: spread.unwrap_or(0.0),
            seeds: self.suite.seeds.len() as u32,
            ..Evaluation::new(outcome.fitness, curve)
        })
    }
}
