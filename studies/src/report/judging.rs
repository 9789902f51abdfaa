//! Programs judged again: what is to be judged is collected, each program once for each judge, and
//! then done on many threads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use symopt_cancel::CancelToken;
use symopt_dsl::{Graph, Program};
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_proxy_tasks::suite::Suite;
use symopt_proxy_tasks::task::Verdict;
use symopt_search::config::{Form, SearchConfig};
use symopt_search::judge::evaluation::Evaluation;
use symopt_search::judge::{self, Judge, Request};
use symopt_search::launch::Launcher;

use super::history::History;
use crate::error::{StudyError, pool};
use crate::trials::Observe;

/// Seeds of searches count modulo this where seeds of tasks are made of them.
const SEARCHES: u64 = 1 << 20;

/// The judges of a report; one for all stores that can share it.
pub(super) struct Judges {
    judges: Vec<Box<dyn Judge>>,
    known: BTreeMap<String, usize>,
    seeds: usize,
    /// In place of the seed of a search: none of the stores has it.
    search: u64,
    launcher: Launcher,
}

impl Judges {
    pub fn new(histories: &[History], seeds: usize, launcher: &Launcher) -> Judges {
        let taken =
            |seed: u64| histories.iter().any(|history| history.config.seed % SEARCHES == seed);
        let search = (0..SEARCHES).rev().find(|seed| !taken(*seed)).unwrap_or(SEARCHES - 1);
        let (judges, known, launcher) = (Vec::new(), BTreeMap::new(), launcher.clone());
        Judges { judges, known, seeds, search, launcher }
    }

    /// The judge of a search, as it was.
    pub fn own(&mut self, history: &History, cancel: &CancelToken) -> Result<usize, StudyError> {
        self.find("own", &history.config, &history.suite, cancel, |_| {})
    }

    /// A judge of the same form on fresh seeds of a suite.
    pub fn fresh(
        &mut self,
        history: &History,
        source: &SuiteSource,
        cancel: &CancelToken,
    ) -> Result<usize, StudyError> {
        let mut config = history.config.clone();
        config.seed = self.search;
        config.fitness.seeds = self.seeds;
        config.fitness.rotate = 0;
        // Screens belong to the search: another suite has other gradients to pass them on.
        config.fitness.screens = Vec::new();
        let seeds = self.seeds;
        self.find("fresh", &config, source, cancel, |suite| {
            suite.seeds = Suite::held_out_seeds(seeds)
        })
    }

    fn find(
        &mut self,
        kind: &str,
        config: &SearchConfig,
        source: &SuiteSource,
        cancel: &CancelToken,
        change: impl FnOnce(&mut Suite),
    ) -> Result<usize, StudyError> {
        let fitness = &config.fitness;
        // All that the numbers depend on.
        let seed = (fitness.form == Form::Direction || fitness.rotate > 0).then_some(config.seed);
        let key = format!("{kind} {fitness:?} {seed:?} {}", source.text);
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        let mut suite = source.suite_on(self.launcher.executor())?;
        change(&mut suite);
        self.judges.push(judge::of_config(config, &Arc::new(suite), cancel)?);
        self.known.insert(key, self.judges.len() - 1);
        Ok(self.judges.len() - 1)
    }
}

/// Programs to judge.
#[derive(Default)]
pub(super) struct Work {
    jobs: Vec<(usize, Arc<Program>)>,
    known: BTreeMap<(usize, u128), usize>,
}

impl Work {
    /// Adds a program; returns where its evaluation will be.
    pub fn add(&mut self, judge: usize, program: &Arc<Program>) -> usize {
        let next = self.jobs.len();
        let at = match Graph::new(program) {
            Ok(graph) => *self.known.entry((judge, graph.hash().0)).or_insert(next),
            Err(_) => next,
        };
        if at == next {
            self.jobs.push((judge, Arc::clone(program)));
        }
        at
    }

    /// Judges all, in order.
    pub fn run(
        self,
        judges: &Judges,
        threads: usize,
        cancel: &CancelToken,
        observe: Observe,
    ) -> Result<Vec<Evaluation>, StudyError> {
        let pool = pool(threads)?;
        let (done, total) = (AtomicUsize::new(0), self.jobs.len());
        let judge = |(judge, program): &(usize, Arc<Program>)| -> Result<Evaluation, StudyError> {
            let (judge, request) = (&judges.judges[*judge], Request::new(program));
            let evaluation = judge.judge(&request, cancel, &mut |_, _| Verdict::Continue)?;
            observe(done.fetch_add(1, Ordering::Relaxed) + 1, total);
            Ok(evaluation)
        };
        // The first error in order, so that it is the same every time.
        let results: Vec<Result<Evaluation, StudyError>> =
            pool.install(|| self.jobs.par_iter().map(judge).collect());
        results.into_iter().collect()
    }
}

/// The standard error of an evaluation, if it is known.
pub(super) fn spread(evaluation: &Evaluation) -> Option<f64> {
    (evaluation.seeds > 1 && evaluation.fitness.improvement().is_some())
        .then_some(evaluation.standard_error)
}
