//! The funnel of the published search: the best programs of some searches go through ever larger
//! suites, and who beats AdamW on one goes on to the next.
//!
//! - **Who comes in** ([`candidates`]): the evaluated programs of each store by the fitness that
//!   its search selected by (less the penalty for its spread, with what the search measured again
//!   on new seeds), of each form one. Two programs have one form if their functional hashes are
//!   equal, or what algebra leaves of them is, apart from the size of numbers: the best one stands
//!   for all. The fitness of different suites can't be compared, so of several stores the first
//!   programs come before all second ones.
//! - **How they are judged** ([`fresh_seeds`](crate::fresh_seeds)): on seeds that no search has,
//!   paired with AdamW; a direction at its own best learning rate and decay on each task, a whole
//!   program with its update multiplied by the factor that suits the task, since its own learning
//!   rate comes from other tasks.
//! - **Who goes on**: whose mean gain is above 0 and, at a confidence, is so by the lower bound of
//!   Student's distribution. With twenty programs that are as good as AdamW, one gets through a
//!   stage at 95 percent; so what gets through the last one is to be reported on other seeds still.
//!
//! All that was judged is in a file, so that the same funnel, or one with more programs or stages,
//! goes on where it was.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use symopt_analysis::equivalence::RandomStreams;
use symopt_analysis::identify::identify;
use symopt_analysis::simplify::{Label, Limits, Options, canonical, simplify};
use symopt_analysis::structure::{Classification, Classifier};
use symopt_cancel::CancelToken;
use symopt_dsl::{Function, FunctionalHash, Graph, Operand, Program, VarId};
use symopt_programs::source;
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_proxy_tasks::suite::{BaselineOrigin, Fitness, Suite};
use symopt_search::config::Form;
use symopt_search::journal::{CheckedStore, EvaluationRecord, Place};
use symopt_search::judge::evaluation::Evaluation;
use symopt_search::judge::form::complete;
use symopt_search::judge::inner_tuning::{Setting, median};
use symopt_search::judge::purpose::Purpose;
use symopt_search::launch::Launcher;
use symopt_search::store::program_source::ProgramError;

use crate::checked_json::{self, checksum};
use crate::error::StudyError;
use crate::fresh_seeds::{Entrant, Judged, Judging, Progress, Protocol, check_suite};

/// Programs of a store that are looked at in search of distinct ones, at most.
const LOOKED_AT: usize = 2_000;

const FORMAT: &str = "symopt funnel";
const FORMAT_VERSION: u32 = 1;
/// The file in the directory of a funnel.
pub const FILE: &str = "funnel.json";

/// A program that comes into a funnel.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Candidate {
    /// The store that it comes from.
    pub store: String,
    /// Its functional hash, in hexadecimal.
    pub hash: String,
    /// Number of the child.
    pub index: u64,
    /// Form that it is judged in.
    pub form: Form,
    /// The suite of its search.
    pub suite: String,
    /// Its fitness in the search.
    pub fitness: Fitness,
    /// The standard error of that; 0 where it is not known.
    pub standard_error: f64,
    /// Text of the program as it was bred.
    pub program: String,
    /// Where a direction did best, as the median over the tasks of its search.
    pub start: Option<Setting>,
    #[serde(skip)]
    parsed: Option<Program>,
}

impl Candidate {
    /// The whole program, with what stands outside of a direction.
    fn whole(&self) -> Option<Program> {
        let program = self.parsed.as_ref()?;
        match self.form {
            Form::Program => Some(program.clone()),
            Form::Direction => complete(program),
        }
    }
}

/// The best programs of stores, of each form one, `keep` at most.
pub fn candidates(stores: &[PathBuf], keep: usize) -> Result<Vec<Candidate>, StudyError> {
    let mut ranked = Vec::new();
    for store in stores {
        ranked.extend(of_store(store, keep)?.into_iter().enumerate());
    }
    // By rank in their stores; the sort is stable, so equal ones stay in the order of the stores.
    ranked.sort_by_key(|(rank, _)| *rank);
    let mut forms = BTreeSet::new();
    let mut found = Vec::new();
    for (_, candidate) in ranked {
        // A text that is a direction in one store may be a whole program in another.
        let is_direction = candidate.form == Form::Direction;
        if found.len() < keep
            && candidate
                .parsed
                .as_ref()
                .is_some_and(|program| forms.insert((is_direction, form_of(program))))
        {
            found.push(candidate);
        }
    }
    if found.is_empty() {
        let names: Vec<String> = stores.iter().map(|store| store.display().to_string()).collect();
        return Err(StudyError::Empty { stores: names.join(", ") });
    }
    Ok(found)
}

fn of_store(path: &Path, keep: usize) -> Result<Vec<Candidate>, StudyError> {
    let store = CheckedStore::of(path)?;
    let config = &store.settings().config;
    let penalty = config.fitness.penalty;
    let mut revisions: HashMap<FunctionalHash, Vec<(u64, Evaluation)>> = HashMap::new();
    store.each_evaluation(|place, hash, evaluation| {
        if let Place::Revision(number) = place {
            revisions.entry(hash).or_default().push((number, evaluation.clone()));
        }
    })?;
    // Only the ranking value of each program is kept.
    let mut scores: Vec<(Fitness, u64)> = Vec::new();
    let mut revised: BTreeMap<u64, (FunctionalHash, Evaluation)> = BTreeMap::new();
    store.each_evaluation(|place, hash, evaluation| match place {
        Place::Child(index) if revisions.contains_key(&hash) => {
            drop(revised.insert(index, (hash, evaluation.clone())))
        }
        Place::Child(index) if evaluation.fitness.improvement().is_some() => {
            scores.push((evaluation.score(penalty), index))
        }
        _ => {}
    })?;
    // As the search has it: what was measured again goes together with what was known.
    for (index, (hash, known)) in &mut revised {
        let mut again = revisions.remove(hash).unwrap_or_default();
        again.sort_by_key(|(number, _)| *number);
        for (_, evaluation) in again {
            *known = known.with(&evaluation);
        }
        if known.fitness.improvement().is_some() {
            scores.push((known.score(penalty), *index));
        }
    }
    scores.sort_by(|(a, first), (b, second)| b.cmp(a).then(first.cmp(second)));
    scores.truncate(LOOKED_AT);
    let wanted: HashSet<u64> = scores.iter().map(|(_, index)| *index).collect();
    let records = store.records_where(
        |place, _, _| matches!(place, Place::Child(index) if wanted.contains(&index)),
    )?;
    let mut records: HashMap<Place, EvaluationRecord> = records.into_iter().collect();
    let mut forms = BTreeSet::new();
    let mut found = Vec::new();
    for (_, index) in scores {
        if found.len() == keep {
            break;
        }
        let Some(record) = records.remove(&Place::Child(index)) else { continue };
        let evaluation = revised
            .remove(&index)
            .map_or_else(|| record.evaluation(), |(_, evaluation)| evaluation);
        let program =
            source::parse(&format!("{}:{}", path.display(), record.hash), &record.program)
                .map_err(ProgramError::from)?;
        if !forms.insert(form_of(&program)) {
            continue;
        }
        found.push(Candidate {
            store: path.display().to_string(),
            hash: record.hash,
            index,
            form: config.fitness.form,
            suite: config.suite.clone(),
            fitness: evaluation.fitness,
            standard_error: evaluation.standard_error,
            program: record.program,
            start: median(&evaluation.settings),
            parsed: Some(program),
        });
    }
    Ok(found)
}

/// The hash of what algebra leaves up to the size of its numbers: those of a sign are the same, a
/// factor is none, and what is made of numbers alone is a number, whatever functions it goes
/// through.
fn form_of(program: &Program) -> FunctionalHash {
    let mut form = canonical(program, Label::Domain);
    let mut numbers: BTreeMap<VarId, f64> = BTreeMap::new();
    for statement in &mut form.statements {
        let number = |operand: &Operand| match operand {
            Operand::Constant(value) => Some(*value),
            Operand::Variable(id) => numbers.get(id).copied(),
        };
        let target = statement.target;
        let values: Option<Vec<f64>> = statement.arguments().iter().map(number).collect();
        // A product or quotient of a variable and a number becomes the variable or its negative.
        let unsized_operand = |operand: &Operand| {
            number(operand).map_or(*operand, |value| Operand::Constant(1f64.copysign(value)))
        };
        let arguments: Vec<Operand> = statement.arguments().iter().map(unsized_operand).collect();
        let factor = |operand: &Operand| match operand {
            Operand::Constant(value) => {
                Some(if value.is_sign_negative() { Function::Negative } else { Function::Copy })
            }
            Operand::Variable(_) => None,
        };
        let without_factor = match (statement.function, arguments.as_slice()) {
            (Function::Multiply, [x, y]) if factor(x).is_none() => {
                factor(y).map(|function| (function, vec![*x]))
            }
            (Function::Multiply, [x, y]) if factor(y).is_none() => {
                factor(x).map(|function| (function, vec![*y]))
            }
            (Function::Divide, [x, y]) if factor(x).is_none() => {
                factor(y).map(|function| (function, vec![*x]))
            }
            _ => None,
        };
        let (function, arguments) = without_factor.unwrap_or((statement.function, arguments));
        *statement = symopt_dsl::Statement::new(target, function, &arguments);
        match values {
            Some(values) => {
                let mut x = [0.0; 3];
                x.iter_mut().zip(&values).for_each(|(x, value)| *x = *value);
                let value = statement.function.on_scalars(x);
                numbers.insert(target, if value.is_finite() { value } else { 1.0 });
            }
            None => {
                numbers.remove(&target);
            }
        }
    }
    Graph::new(&form).map_or(FunctionalHash(0), |graph| graph.hash())
}

/// The program without its redundant statements and dead slots.
fn pruned(program: &Program) -> Program {
    Graph::new(program).map_or_else(|_| program.clone(), |graph| program.pruned(&graph))
}

/// How a funnel is run.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Settings {
    /// Seeds that judge.
    pub seeds: usize,
    /// Other seeds, which programs are tuned on.
    pub tuning_seeds: usize,
    /// How sure it must be that a program beats AdamW for it to go on, from 0.5 to below 1.
    pub confidence: f64,
}

impl FunnelReport {
    /// Returns the origin of AdamW's constants on all suites, which tells how to name it in
    /// statements about all of them.
    pub fn adamw(&self) -> BaselineOrigin {
        BaselineOrigin::joined(self.suites.iter().map(String::as_str).zip(&self.baselines))
    }
}

impl Settings {
    fn protocol(self) -> Protocol {
        Protocol {
            purpose: Purpose::Funnel,
            seeds: self.seeds,
            tuning_seeds: self.tuning_seeds,
            scaled: true,
        }
    }
}

/// How a program did on a suite.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[must_use]
#[non_exhaustive]
pub struct Stage {
    /// The suite.
    pub suite: String,
    /// The gain, and how it was run.
    pub judged: Judged,
    /// Whether it beats AdamW there and goes on.
    pub passed: bool,
}

/// The nearest program of the zoo.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Nearest {
    /// Its name, with the numerics that it is read with where they are not its own.
    pub name: String,
    /// Relation to the program.
    pub relation: &'static str,
    /// The distance of the data flows.
    pub distance: f64,
}

/// A program in the ranking.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Ranked {
    /// The program.
    #[serde(flatten)]
    pub candidate: Candidate,
    /// The stages that it came to.
    pub stages: Vec<Stage>,
    /// Whether it got through all.
    pub survived: bool,
    /// Statements of the whole program as it was bred, and after simplification by algebra.
    pub statements: [usize; 2],
    /// The whole program simplified by algebra.
    pub simplified: String,
    /// In which sense that is equal.
    pub label: Label,
    /// The nearest program of the zoo.
    pub nearest: Option<Nearest>,
    /// Its kind of optimizer.
    pub structure: Classification,
}

/// Result of a funnel.
#[derive(Clone, Debug, Serialize)]
#[must_use]
#[non_exhaustive]
pub struct FunnelReport {
    /// The suites.
    pub suites: Vec<String>,
    /// Where the constants of AdamW on each of them come from.
    pub baselines: Vec<BaselineOrigin>,
    /// How it was run.
    pub settings: Settings,
    /// The programs: who got furthest first, then by the gain on the last suite.
    pub ranking: Vec<Ranked>,
}

/// How a funnel stands.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct FunnelProgress<'a> {
    /// The suite.
    pub suite: &'a str,
    /// Its judging.
    pub judging: Progress,
}

/// Everything that a gain depends on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Key {
    suite: String,
    /// Checksum of the suite's text.
    suite_text: String,
    protocol: Protocol,
    direction: bool,
    /// Functional hash, in hexadecimal.
    program: String,
    start: Option<Setting>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Known {
    key: Key,
    judged: Judged,
}

#[derive(Deserialize)]
struct Read {
    format: String,
    version: u32,
    #[serde(default)]
    judged: Vec<Known>,
}

#[derive(Serialize)]
struct Written<'a> {
    format: &'static str,
    version: u32,
    judged: &'a [Known],
    report: Option<&'a FunnelReport>,
}

/// Known gains and the file that keeps them.
struct Record {
    path: PathBuf,
    known: Mutex<Vec<Known>>,
}

impl Record {
    fn open(directory: &Path) -> Result<Record, StudyError> {
        let path = directory.join(FILE);
        let wrong = |reason: String| StudyError::File { path: path.clone(), reason };
        symopt_files::create_directory(directory)?;
        symopt_files::check_writable(&path)?;
        let known = match fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(wrong(error.to_string())),
            Ok(bytes) => {
                let hint = "remove it, or choose another directory with -o";
                let read: Read = checked_json::from_text(&bytes)
                    .map_err(|e| wrong(format!("not the file of a funnel ({e}); {hint}")))?;
                if read.format != FORMAT || read.version > FORMAT_VERSION {
                    return Err(wrong(format!(
                        "{:?} of version {}, which this release can't read; {hint}",
                        read.format, read.version
                    )));
                }
                read.judged
            }
        };
        Ok(Record { path, known: Mutex::new(known) })
    }

    fn get(&self, key: &Key) -> Option<Judged> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|known| known.key == *key).map(|known| known.judged.clone())
    }

    /// Keeps a result, and all in the file: it is on the disk when this returns.
    fn keep(&self, key: Key, judged: Judged) -> Result<(), StudyError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.push(Known { key, judged });
        // Whoever ended first, the file is the same.
        known.sort_by(|a, b| a.key.cmp(&b.key));
        self.write(&known, None)
    }

    fn finish(&self, report: &FunnelReport) -> Result<(), StudyError> {
        self.write(&self.known.lock().unwrap_or_else(PoisonError::into_inner), Some(report))
    }

    fn write(&self, judged: &[Known], report: Option<&FunnelReport>) -> Result<(), StudyError> {
        let written = Written { format: FORMAT, version: FORMAT_VERSION, judged, report };
        let text = checked_json::to_text(&written)
            .map_err(|e| StudyError::File { path: self.path.clone(), reason: e.to_string() })?;
        Ok(symopt_files::write(&self.path, &text)?)
    }
}

/// A funnel that is set up: suites and file are in order.
pub struct Funnel {
    stages: Vec<(SuiteSource, Arc<Suite>)>,
    settings: Settings,
    record: Record,
}

impl Funnel {
    /// Builds the suites and opens the file, before anything is trained.
    pub fn new(
        suites: &[String],
        settings: Settings,
        directory: &Path,
    ) -> Result<Funnel, StudyError> {
        Funnel::launched_by(&Launcher::default(), suites, settings, directory)
    }

    /// The same, with the training runs done as those of the searches of a launcher.
    pub fn launched_by(
        launcher: &Launcher,
        suites: &[String],
        settings: Settings,
        directory: &Path,
    ) -> Result<Funnel, StudyError> {
        let mut stages = Vec::new();
        for name in suites {
            let source = SuiteSource::find(name)?;
            let suite = launcher.suite(&source)?;
            check_suite(&suite)?;
            stages.push((source, suite));
        }
        Ok(Funnel { stages, settings, record: Record::open(directory)? })
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.record.path
    }

    /// Judges programs, stage by stage. `observe` is called from all threads.
    pub fn run(
        &self,
        candidates: Vec<Candidate>,
        threads: usize,
        cancel: &CancelToken,
        observe: &(dyn Fn(FunnelProgress) + Sync),
    ) -> Result<FunnelReport, StudyError> {
        let mut results: Vec<(Candidate, Vec<Stage>)> =
            candidates.into_iter().map(|candidate| (candidate, Vec::new())).collect();
        for (number, (source, suite)) in self.stages.iter().enumerate() {
            let goes_on = |stages: &[Stage]| {
                stages.len() == number && stages.last().is_none_or(|stage| stage.passed)
            };
            let mut open = Vec::new();
            for (place, (candidate, stages)) in
                results.iter().enumerate().filter(|(_, (_, stages))| goes_on(stages))
            {
                let Some(program) = &candidate.parsed else { continue };
                // Tuning starts at the best setting on the suite before.
                let start = stages.last().map_or(candidate.start, |stage| stage.judged.setting());
                let key = Key {
                    suite: suite.name.clone(),
                    suite_text: checksum(&source.text),
                    protocol: self.settings.protocol(),
                    direction: candidate.form == Form::Direction,
                    program: candidate.hash.clone(),
                    start,
                };
                open.push((
                    place,
                    key,
                    Entrant { form: candidate.form, program: program.clone(), start },
                ));
            }
            for (place, judged) in self.stage(suite, open, threads, cancel, observe)? {
                let passed = judged.beats_baseline(self.settings.confidence);
                results[place].1.push(Stage { suite: source.name.clone(), judged, passed });
            }
        }
        let report = self.report(results);
        self.record.finish(&report)?;
        Ok(report)
    }

    fn stage(
        &self,
        suite: &Arc<Suite>,
        open: Vec<(usize, Key, Entrant)>,
        threads: usize,
        cancel: &CancelToken,
        observe: &(dyn Fn(FunnelProgress) + Sync),
    ) -> Result<Vec<(usize, Judged)>, StudyError> {
        let mut judged: Vec<(usize, Option<Judged>)> =
            open.iter().map(|(place, key, _)| (*place, self.record.get(key))).collect();
        let (mut entrants, mut keys, mut places) = (Vec::new(), Vec::new(), Vec::new());
        for (at, (_, key, entrant)) in open.into_iter().enumerate() {
            if judged[at].1.is_none() {
                places.push(at);
                keys.push(key);
                entrants.push(entrant);
            }
        }
        if !entrants.is_empty() {
            let failed: Mutex<Option<StudyError>> = Mutex::new(None);
            let tell = |judging: Progress| observe(FunnelProgress { suite: &suite.name, judging });
            let judging = Judging::new(suite, self.settings.protocol(), threads, cancel, &tell)?;
            let new = judging.judge(&entrants, &|place, judged| {
                if let Err(error) = self.record.keep(keys[place].clone(), judged.clone()) {
                    failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                }
            })?;
            if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
                return Err(error);
            }
            for (place, new) in places.into_iter().zip(new) {
                judged[place].1 = Some(new);
            }
        }
        Ok(judged.into_iter().filter_map(|(place, judged)| Some((place, judged?))).collect())
    }

    fn report(&self, results: Vec<(Candidate, Vec<Stage>)>) -> FunnelReport {
        let form = |program: &Program| canonical(program, Label::Domain);
        let classifier = Classifier::new(form);
        // The same on every machine, however slow it is.
        let options = Options {
            limits: Limits { time: Duration::MAX, ..Limits::default() },
            ..Options::default()
        };
        let ranked = |(candidate, stages): (Candidate, Vec<Stage>)| {
            let whole = candidate.whole()?;
            let derivation = simplify(&whole, &options, &mut RandomStreams::default());
            // Where a check can't tell, the simplifier leaves a program as it is; what no output
            // depends on is not worth a reader's time either way.
            let result = pruned(derivation.result());
            let nearest = identify(&whole, form).into_iter().next().map(|found| Nearest {
                name: found.called(),
                relation: found.comparison.relation.name(),
                distance: found.comparison.distance(),
            });
            let survived = stages.len() == self.stages.len()
                && stages.last().is_some_and(|stage| stage.passed);
            Some(Ranked {
                stages,
                survived,
                statements: [whole.statements.len(), result.statements.len()],
                simplified: result.to_string(),
                label: derivation.label(),
                nearest,
                structure: classifier.classify(&whole),
                candidate,
            })
        };
        let mut ranking: Vec<Ranked> = results.into_iter().filter_map(ranked).collect();
        ranking.sort_by(|a, b| {
            let further = b.stages.len().cmp(&a.stages.len()).then(b.survived.cmp(&a.survived));
            further.then_with(|| match (a.stages.last(), b.stages.last()) {
                (Some(a), Some(b)) => {
                    b.passed.cmp(&a.passed).then_with(|| a.judged.better_first(&b.judged))
                }
                _ => std::cmp::Ordering::Equal,
            })
        });
        let (suites, baselines) = self
            .stages
            .iter()
            .map(|(source, suite)| (source.name.clone(), suite.baseline_origin()))
            .unzip();
        FunnelReport { suites, baselines, settings: self.settings, ranking }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_that_are_one_up_to_constants_come_in_once() {
        let form = |body: &str| {
            let text =
                format!("def p(w, g, m, lr):\n  m = interp(g, m, 0.9)\n{body}  return update, m\n");
            form_of(&source::parse("p", &text).unwrap())
        };
        let plain = form("  update = sign(m) * lr\n");
        for other in [
            "  update = sign(m) * lr * 0.3\n",
            "  s = cos(0.7)\n  update = sign(m) * lr * s\n",
            "  s = exp(log(0.2) / 3.0)\n  u = sign(m) / s\n  update = u * lr\n",
            "  s = lr * 2.0\n  update = sign(m) * s\n",
        ] {
            assert_eq!(form(other), plain, "{other}");
        }
        assert_eq!(
            form("  update = m * sin(lr * 0.3)\n"),
            form("  update = m * sin(lr * 1.7) * 2.0\n")
        );
        assert_eq!(form("  update = tanh(m * 3.0) * lr\n"), form("  update = tanh(m) * lr\n"));
        // A sign, a term and a function are more than the size of a number.
        for other in [
            "  update = sign(m) * lr * -0.3\n",
            "  update = (sign(m) + 0.1) * lr\n",
            "  update = tanh(m) * lr\n",
            "  update = sign(m) * sqrt(lr)\n",
        ] {
            assert_ne!(form(other), plain, "{other}");
        }
    }
}
