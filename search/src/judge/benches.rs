//! Does judgements that come as jobs.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde_json::Value;
use symopt_cancel::CancelToken;
use symopt_proxy_tasks::error::TaskError;
use symopt_proxy_tasks::job::SuiteText;
use symopt_proxy_tasks::suite::Suite;

use super::judgement::{Bench, Evaluated, Judged, Judgement};
use super::{Baselines, DirectionJudge, Judge, Request, SuiteJudge};
use crate::config::{Form, SearchConfig};

/// Benches that are kept: those of a few searches, each with a few epochs.
const KEPT: usize = 16;

/// Judges by what they judge with, those used last.
#[derive(Default)]
pub struct Benches(Mutex<Vec<Arc<Entry>>>);

struct Entry {
    suite: SuiteText,
    bench: Bench,
    /// Made once, while the others wait that need it.
    judge: Mutex<Option<Arc<JudgeOf>>>,
}

enum JudgeOf {
    Program(SuiteJudge),
    Direction(Box<DirectionJudge>),
}

impl Benches {
    /// Judges what the body of a [judgement](symopt_proxy_tasks::job::JobKind::Judgement) says, on
    /// a suite that `make` makes of its text. The result is the job's
    /// [`Done`](symopt_proxy_tasks::job::Outcome::Done).
    pub fn judge(
        &self,
        body: &Value,
        suite: &SuiteText,
        make: &dyn Fn() -> Result<Suite, TaskError>,
        cancel: &CancelToken,
    ) -> Result<Value, TaskError> {
        let wrong = |reason: String| TaskError::Elsewhere {
            place: format!("a judgement on the suite {}", suite.name),
            reason,
        };
        let judgement: Judgement =
            Judgement::deserialize(body).map_err(|error| wrong(error.to_string()))?;
        let program = judgement.program.program()?;
        let entry = self.entry(suite, &judgement.bench);
        let judge = entry.judge(make, cancel)?;
        let request = Request {
            program: &program,
            epoch: judgement.bench.epoch,
            start: &judgement.start,
            thresholds: &judgement.thresholds,
        };
        let mut watch = |checkpoint, running| request.verdict(checkpoint, running);
        let judged = match judge.as_ref() {
            JudgeOf::Program(judge) => {
                judge.judge(&request, cancel, &mut watch).map(|evaluation| (evaluation, Vec::new()))
            }
            JudgeOf::Direction(judge) => judge.evaluate(&request, cancel, &mut watch),
        };
        let judged = match judged {
            Ok((evaluation, by_seed)) => Judged::Evaluated(Evaluated::new(&evaluation, by_seed)),
            Err(TaskError::Failed { task, failure }) => Judged::Failed { task, failure },
            Err(error) => return Err(error),
        };
        serde_json::to_value(judged).map_err(|error| wrong(error.to_string()))
    }

    fn entry(&self, suite: &SuiteText, bench: &Bench) -> Arc<Entry> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.iter().position(|entry| entry.suite == *suite && entry.bench == *bench);
        let entry = match known {
            Some(place) => kept.remove(place),
            None => Arc::new(Entry {
                suite: suite.clone(),
                bench: bench.clone(),
                judge: Mutex::default(),
            }),
        };
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push(Arc::clone(&entry));
        entry
    }
}

impl Entry {
    fn judge(
        &self,
        make: &dyn Fn() -> Result<Suite, TaskError>,
        cancel: &CancelToken,
    ) -> Result<Arc<JudgeOf>, TaskError> {
        let mut judge = self.judge.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(judge) = judge.as_ref() {
            return Ok(Arc::clone(judge));
        }
        let Bench { fitness, search, seeds, epoch, baseline } = &self.bench;
        let known = Baselines::new(vec![(*epoch, baseline.clone())], None);
        let suite = Arc::new(Suite { seeds: seeds.clone(), ..make()? });
        let made = Arc::new(match fitness.form {
            Form::Program => JudgeOf::Program(SuiteJudge::on(suite, *search, known, cancel)?),
            Form::Direction => {
                let config = SearchConfig {
                    seed: search.unwrap_or_default(),
                    fitness: fitness.clone(),
                    ..SearchConfig::default()
                };
                JudgeOf::Direction(Box::new(DirectionJudge::with_baselines(
                    suite, &config, known, cancel,
                )?))
            }
        });
        *judge = Some(Arc::clone(&made));
        Ok(made)
    }
}
