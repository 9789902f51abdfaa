//! History of a search, read from the journal of its store.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use symopt_dsl::{FunctionalHash, Graph, Program};
use symopt_programs::source;
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_proxy_tasks::suite::{Fitness, Suite};
use symopt_search::config::{Form, SearchConfig};
use symopt_search::journal::{CheckedStore, EvaluationRecord, Improvement, Place, epoch_of};
use symopt_search::judge::evaluation::Evaluation;
use symopt_search::store::failures::{Failures, failures};
use symopt_search::store::program_source::ProgramError;
use symopt_search::store::statistics::Statistics;

use super::BestProgram;
use crate::error::StudyError;

/// How far a search had come, and the best fitness then.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CurvePoint {
    /// Programs generated.
    pub programs: u64,
    /// Programs evaluated, those of the elite on new seeds among them.
    pub evaluations: u64,
    /// Training runs of these evaluations; `None` where the journal does not tell, for directions.
    pub training_runs: Option<f64>,
    /// The best fitness.
    pub best: Fitness,
}

/// Rates over the programs generated so far.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RatePoint {
    /// Programs generated.
    pub programs: u64,
    /// Share of them whose fitness was known.
    pub cache_hit_rate: f64,
    /// Mean share of redundant statements.
    pub redundant_share: f64,
}

/// The best program from some place on.
pub(super) struct BestSoFar {
    /// Programs generated when it became the best.
    pub programs: u64,
    pub index: Option<u64>,
    pub hash: String,
    pub fitness: Fitness,
    pub program: Arc<Program>,
}

impl BestSoFar {
    pub fn best_program(&self) -> BestProgram {
        BestProgram {
            index: self.index,
            hash: self.hash.clone(),
            fitness: self.fitness,
            program: self.program.to_string(),
        }
    }
}

/// Contents of a store.
pub(super) struct History {
    pub store: String,
    pub config: SearchConfig,
    pub suite: SuiteSource,
    pub initial: Arc<Program>,
    pub initial_hash: String,
    /// The best programs one after the other, without the initial one.
    pub bests_so_far: Vec<BestSoFar>,
    pub without_text: usize,
    /// The fitness of the best after the programs generated, where it changes.
    best: BTreeMap<u64, Fitness>,
    /// Evaluations and training runs after the programs generated.
    compute: Vec<(u64, u64, f64)>,
    /// Whether the training runs are known.
    counted: bool,
    pub rates: Vec<RatePoint>,
    pub failures: Vec<Failures>,
    /// The end; its fitness is not meant.
    pub end: CurvePoint,
}

/// A program becomes the best.
struct Event<'a> {
    /// Programs generated at the time.
    programs: u64,
    index: Option<u64>,
    hash: &'a str,
    fitness: Fitness,
    /// Where its text is.
    record: Option<&'a EvaluationRecord>,
}

/// The evaluations that say which program was the best when; of most, that is few.
struct Leading {
    improvements: Vec<Improvement>,
    /// In order.
    revisions: Vec<(u64, EvaluationRecord)>,
    /// Children that may be those of the improvements or of the elite, in order.
    children: Vec<(u64, EvaluationRecord)>,
}

impl Leading {
    fn read(store: &CheckedStore, penalty: f64) -> Result<Leading, StudyError> {
        let improvements = store.improvements()?;
        let revisions = store.revisions()?;
        let hashes: HashSet<FunctionalHash> =
            (improvements.iter().map(|improvement| &improvement.hash))
                .chain(revisions.iter().map(|(_, record)| &record.hash))
                .filter_map(|hash| FunctionalHash::from_hex(hash))
                .collect();
        // The cache may know a program by another one of its kind, which has its fitness.
        let fitnesses: BTreeSet<Fitness> =
            improvements.iter().map(|improvement| improvement.fitness).collect();
        let mut same: BTreeMap<Fitness, u64> = BTreeMap::new();
        store.each_evaluation(|place, _, evaluation| {
            let score = evaluation.score(penalty);
            if let (Place::Child(number), true) = (place, fitnesses.contains(&score)) {
                let first = same.entry(score).or_insert(number);
                *first = number.min(*first);
            }
        })?;
        let wanted: BTreeSet<u64> = improvements
            .iter()
            .map(|improvement| improvement.index)
            .chain(same.into_values())
            .collect();
        let records = store
            .records_where(|place, hash, _| matches!(place, Place::Child(number) if wanted.contains(&number) || hashes.contains(&hash)))?;
        let mut children: Vec<_> = records
            .into_iter()
            .map(|(Place::Child(n) | Place::Revision(n), record)| (n, record))
            .collect();
        children.sort_by_key(|(number, _)| *number);
        Ok(Leading { improvements, revisions, children })
    }
}

impl History {
    /// Reads a store, also while its search runs.
    pub fn read(path: &Path) -> Result<History, StudyError> {
        let store = CheckedStore::of(path)?;
        let settings = store.settings().clone();
        let leading = Leading::read(&store, settings.config.fitness.penalty)?;
        let statistics = store.statistics()?;
        let initial = Arc::new(
            source::parse("the store's initial program", &settings.initial)
                .map_err(ProgramError::from)?,
        );
        let initial_hash =
            Graph::new(&initial).map_or_else(|_| String::new(), |graph| graph.hash().to_string());
        let suite =
            SuiteSource { name: settings.config.suite.clone(), text: settings.suite.clone() };
        let mut history = History {
            store: path.display().to_string(),
            config: settings.config,
            initial,
            initial_hash,
            bests_so_far: Vec::new(),
            without_text: 0,
            best: statistics.iter().map(|row| (row.generated, row.best)).collect(),
            compute: Vec::new(),
            counted: false,
            rates: statistics.iter().map(rates).collect(),
            failures: failures(
                store.records_where(|_, _, evaluation| evaluation.failure.is_some())?,
            ),
            end: CurvePoint {
                programs: 0,
                evaluations: 0,
                training_runs: None,
                best: Fitness::Diverged,
            },
            suite,
        };
        history.follow(&leading)?;
        history.count(&store)?;
        let programs = statistics
            .last()
            .map_or(0, |row| row.generated)
            .max(history.compute.last().map_or(0, |(programs, ..)| *programs));
        history.end = history.point(programs, Fitness::Diverged);
        Ok(history)
    }

    pub fn penalty(&self) -> f64 {
        self.config.fitness.penalty
    }

    /// Which program was the best when. Where the seeds change, the best of the elite on old and
    /// new seeds is.
    fn follow(&mut self, leading: &Leading) -> Result<(), StudyError> {
        let Leading { improvements, revisions, children } = leading;
        let mut by_hash: BTreeMap<&str, (&EvaluationRecord, u64)> = BTreeMap::new();
        let mut known: BTreeMap<&str, Evaluation> = BTreeMap::new();
        for (index, record) in children {
            by_hash.entry(&record.hash).or_insert((record, *index));
            known.entry(&record.hash).or_insert_with(|| record.evaluation());
        }
        let by_index: BTreeMap<u64, &EvaluationRecord> =
            children.iter().map(|(index, record)| (*index, record)).collect();
        let penalty = self.penalty();
        let rotate = self.config.fitness.rotate;
        let mut epochs: BTreeMap<u64, Vec<&EvaluationRecord>> = BTreeMap::new();
        for (number, record) in revisions {
            epochs.entry(epoch_of(*number)).or_default().push(record);
        }
        // Seeds change before the next child is bred.
        let mut events: Vec<Event> = Vec::new();
        for improvement in improvements {
            let Improvement { index, hash, fitness } = improvement;
            // Whoever is better than all before is new, unless the seeds have changed.
            let record = by_index.get(index).filter(|record| record.hash == *hash).copied();
            let record = record.or_else(|| by_hash.get(hash.as_str()).map(|(record, _)| *record));
            // The cache may know the program by another one of its kind.
            let same = || {
                children
                    .iter()
                    .map(|(_, record)| record)
                    .find(|record| record.evaluation().score(penalty) == *fitness)
            };
            events.push(Event {
                programs: index + 1,
                index: Some(*index),
                hash,
                fitness: *fitness,
                record: record.or_else(same),
            });
        }
        for (epoch, elite) in &epochs {
            let mut best: Option<(&EvaluationRecord, Fitness)> = None;
            for record in elite {
                let new = record.evaluation();
                let merged = known
                    .get(record.hash.as_str())
                    .map_or_else(|| new.clone(), |old| old.with(&new));
                let fitness = merged.score(penalty);
                known.insert(&record.hash, merged);
                if best.is_none_or(|(_, best)| fitness.is_better_than(best)) {
                    best = Some((record, fitness));
                }
            }
            if let Some((record, fitness)) = best {
                let index = by_hash.get(record.hash.as_str()).map(|(_, index)| *index);
                events.push(Event {
                    programs: epoch.saturating_mul(rotate),
                    index,
                    hash: &record.hash,
                    fitness,
                    record: Some(record),
                });
            }
        }
        events.sort_by_key(|event| event.programs);
        for Event { programs, index, hash, fitness, record } in events {
            self.best.insert(programs, fitness);
            let Some(record) = record else {
                self.without_text += 1;
                continue;
            };
            let program = Arc::new(
                source::parse(&format!("{}:{}", self.store, record.hash), &record.program)
                    .map_err(ProgramError::from)?,
            );
            self.bests_so_far.push(BestSoFar {
                programs,
                index,
                hash: hash.to_owned(),
                fitness,
                program,
            });
        }
        Ok(())
    }

    /// Counts evaluations and training runs.
    fn count(&mut self, store: &CheckedStore) -> Result<(), StudyError> {
        self.counted = self.config.fitness.form == Form::Program;
        let suite = self.suite.suite()?;
        let runs = runs_at_checkpoints(&suite);
        let runs_of = |evaluation: &Evaluation| {
            let passed = match evaluation.curve.len() {
                0 => 0.0,
                passed => runs.get(passed - 1).or(runs.last()).copied().unwrap_or(0.0),
            };
            // The run that failed was made as well.
            if evaluation.failure.is_some() { passed.floor() + 1.0 } else { passed }
        };
        let rotate = self.config.fitness.rotate;
        let mut costs: Vec<(u64, Place, f64)> = Vec::new();
        store.each_evaluation(|place, _, evaluation| {
            let programs = match place {
                Place::Child(index) => index.saturating_add(1),
                Place::Revision(number) => epoch_of(number).saturating_mul(rotate),
            };
            costs.push((programs, place, runs_of(evaluation)));
        })?;
        // The sum does not depend on the order in which they were acknowledged.
        costs.sort_unstable_by_key(|(programs, place, _)| (*programs, *place));
        let mut sum = 0.0;
        for (count, (programs, _, runs)) in costs.into_iter().enumerate() {
            sum += runs;
            self.compute.push((programs, count as u64 + 1, sum));
        }
        Ok(())
    }

    fn point(&self, programs: u64, best: Fitness) -> CurvePoint {
        let passed = self.compute.partition_point(|(place, ..)| *place <= programs);
        let (evaluations, runs) = passed
            .checked_sub(1)
            .and_then(|last| self.compute.get(last))
            .map_or((0, 0.0), |(_, e, r)| (*e, *r));
        CurvePoint { programs, evaluations, training_runs: self.counted.then_some(runs), best }
    }

    /// The best fitness from the initial program's on, where it changes, and at the end.
    pub fn curve(&self, initial: Fitness) -> Vec<CurvePoint> {
        let mut curve = vec![self.point(0, initial)];
        let mut last = initial;
        for (programs, best) in &self.best {
            if *best != last {
                curve.push(self.point(*programs, *best));
                last = *best;
            }
        }
        if curve.last().is_some_and(|point| point.programs < self.end.programs) {
            curve.push(self.point(self.end.programs, last));
        }
        curve
    }

    /// The best programs to be validated, at most so many, with the programs generated: those at
    /// regular intervals and, as far as there is room, improvements at regular ranks. `None` is the
    /// initial program.
    pub fn sample(&self, most: usize) -> Vec<(u64, Option<&BestSoFar>)> {
        let end = self.end.programs;
        let at = |programs: u64| {
            let passed =
                self.bests_so_far.partition_point(|best_so_far| best_so_far.programs <= programs);
            passed.checked_sub(1).and_then(|last| self.bests_so_far.get(last))
        };
        let intervals = (most / 2).max(1) as u64;
        let mut places: Vec<u64> = (0..=intervals)
            .map(|i| (u128::from(end) * u128::from(i) / u128::from(intervals)) as u64)
            .collect();
        let room = most.saturating_sub(places.len());
        let improvements = self.bests_so_far.len();
        let ranks = room.min(improvements);
        places.extend(
            (0..ranks)
                .filter_map(|i| self.bests_so_far.get(i * improvements / ranks))
                .map(|best_so_far| best_so_far.programs),
        );
        places.sort_unstable();
        places.dedup();
        places.into_iter().map(|programs| (programs, at(programs))).collect()
    }

    /// The settings that are not the defaults, each as a line of TOML with its full name.
    pub fn changed_settings(&self) -> Vec<String> {
        let table = |config: &SearchConfig| toml::Table::try_from(config).unwrap_or_default();
        let mut lines = Vec::new();
        differences("", &table(&self.config), &table(&SearchConfig::default()), &mut lines);
        lines
    }
}

fn differences(prefix: &str, table: &toml::Table, default: &toml::Table, lines: &mut Vec<String>) {
    for (name, value) in table {
        match (value, default.get(name)) {
            (toml::Value::Table(table), Some(toml::Value::Table(default))) => {
                differences(&format!("{prefix}{name}."), table, default, lines);
            }
            (value, default) if default != Some(value) => {
                lines.push(format!("{prefix}{name} = {value}"))
            }
            _ => {}
        }
    }
}

fn rates(row: &Statistics) -> RatePoint {
    RatePoint {
        programs: row.generated,
        cache_hit_rate: row.cache_hit_rate(),
        redundant_share: row.redundant_share(),
    }
}

/// Training runs that are done at each checkpoint of an evaluation.
fn runs_at_checkpoints(suite: &Suite) -> Vec<f64> {
    let mut runs = Vec::new();
    let mut done = 0.0;
    for _ in &suite.seeds {
        for task in &suite.tasks {
            let checkpoints = task.task.checkpoints();
            runs.extend((1..=checkpoints).map(|passed| done + passed as f64 / checkpoints as f64));
            done += 1.0;
        }
    }
    runs
}
