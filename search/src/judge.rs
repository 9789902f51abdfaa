//! What gives a program its fitness.

use symopt_dsl::Program;
use symopt_proxy_tasks::suite::{Baseline, Suite};
use symopt_proxy_tasks::task::{TaskError, Verdict};

use crate::cache::Evaluation;

/// Gives programs their fitness. The same program always gets the same evaluation, bit for bit.
pub trait Judge: Sync {
    /// Checkpoints of a completed evaluation.
    fn checkpoints(&self) -> usize;

    /// Evaluates a program. `watch` sees each checkpoint's number and running fitness; when it says stop, the fitness is hopeless.
    fn judge(&self, program: &Program, watch: &mut dyn FnMut(usize, f64) -> Verdict) -> Result<Evaluation, TaskError>;
}

/// The judge of the paper's form of search: a suite, with the learning rate's schedule value passed in and everything else inside the program.
pub struct SuiteJudge<'a> {
    suite: &'a Suite,
    baseline: Baseline,
}

impl<'a> SuiteJudge<'a> {
    /// Trains the baseline on the suite's own seeds.
    pub fn new(suite: &'a Suite) -> Result<SuiteJudge<'a>, TaskError> {
        Ok(SuiteJudge::with_baseline(suite, suite.baseline(&suite.seeds)?))
    }

    /// Takes a baseline that was trained before, on the suite's own seeds.
    pub fn with_baseline(suite: &'a Suite, baseline: Baseline) -> SuiteJudge<'a> {
        SuiteJudge { suite, baseline }
    }
}

impl Judge for SuiteJudge<'_> {
    fn checkpoints(&self) -> usize {
        self.suite.checkpoints(self.suite.seeds.len())
    }

    fn judge(&self, program: &Program, watch: &mut dyn FnMut(usize, f64) -> Verdict) -> Result<Evaluation, TaskError> {
        let outcome = self.suite.evaluate(program, None, &self.baseline, watch)?;
        // A curve value can be infinite where a loss overflows; the journal keeps finite numbers only.
        let curve = outcome.curve.iter().map(|value| if value.is_finite() { *value } else { f64::MIN }).collect();
        let fitness = outcome.fitness;
        debug_assert!(fitness.improvement().is_none_or(f64::is_finite));
        Ok(Evaluation { fitness, curve })
    }
}
