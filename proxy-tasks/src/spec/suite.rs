//! A suite as TOML, and the built-in ones.

use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::task::TaskSpec;
use crate::constants::{Origin, Tuned};
use crate::error::TaskError;
use crate::executor::{Elsewhere, Executor};
use crate::external::ExternalSpec;
use crate::job::SuiteText;
use crate::suite::{BASELINE, Suite, WeightedTask};
use crate::training_run::TaskElsewhere;

/// A suite.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuiteSpec {
    /// Name.
    pub name: String,
    /// One line for people.
    #[serde(default)]
    pub summary: String,
    /// The seeds that a search sees.
    pub seeds: Vec<u64>,
    /// The tasks, in the order in which they are run.
    #[serde(default, rename = "task")]
    pub tasks: Vec<toml::Spanned<TaskSpec>>,
    /// Commands, which are run after them.
    #[serde(default, rename = "external")]
    pub externals: Vec<toml::Spanned<ExternalSpec>>,
}

/// The text of a suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuiteSource {
    /// The name of a built-in suite, or a path.
    pub name: String,
    /// TOML.
    pub text: String,
}

/// Names and texts of the built-in suites, in the order in which they are listed.
const BUILT_IN: &[(&str, &str)] = &[
    ("quick", include_str!("../../suites/quick.toml")),
    ("smoke", include_str!("../../suites/smoke.toml")),
    ("lion", include_str!("../../suites/lion.toml")),
    ("1x", include_str!("../../suites/1x.toml")),
    ("10x", include_str!("../../suites/10x.toml")),
    ("100x", include_str!("../../suites/100x.toml")),
    ("held-out", include_str!("../../suites/held-out.toml")),
    ("real-1x", include_str!("../../suites/real-1x.toml")),
    ("real-10x", include_str!("../../suites/real-10x.toml")),
    ("real-100x", include_str!("../../suites/real-100x.toml")),
    ("real-held-out", include_str!("../../suites/real-held-out.toml")),
];

/// Names and texts of the presets: suites that need the user's data.
const PRESETS: &[(&str, &str)] = &[
    ("vit-paper", include_str!("../../suites/presets/vit-paper.toml")),
    ("lm-paper", include_str!("../../suites/presets/lm-paper.toml")),
];

impl SuiteSource {
    /// The built-in suites.
    pub fn built_in() -> impl Iterator<Item = SuiteSource> {
        BUILT_IN
            .iter()
            .map(|(name, text)| SuiteSource { name: (*name).to_owned(), text: (*text).to_owned() })
    }

    /// The presets: suites to copy, since they need the user's data.
    pub fn presets() -> impl Iterator<Item = SuiteSource> {
        PRESETS
            .iter()
            .map(|(name, text)| SuiteSource { name: (*name).to_owned(), text: (*text).to_owned() })
    }

    /// The preset of a name.
    pub fn preset(name: &str) -> Result<SuiteSource, TaskError> {
        SuiteSource::presets().find(|source| source.name == name).ok_or_else(|| {
            let names: Vec<&str> = PRESETS.iter().map(|(name, _)| *name).collect();
            let reason = format!(
                "there is none of this name{}; presets: {}",
                suggestion(name, &names),
                names.join(", ")
            );
            TaskError::Description { place: format!("preset `{name}`"), reason }
        })
    }

    /// The built-in suite of a name, or the TOML file at a path.
    pub fn find(name_or_path: &str) -> Result<SuiteSource, TaskError> {
        if let Some(source) = SuiteSource::built_in().find(|source| source.name == name_or_path) {
            return Ok(source);
        }
        match std::fs::read_to_string(name_or_path) {
            Ok(text) => Ok(SuiteSource { name: name_or_path.to_owned(), text }),
            Err(_) if PRESETS.iter().any(|(name, _)| *name == name_or_path) => {
                let reason = format!(
                    "it is a preset, which needs data of yours: write it to a file with `symopt tasks --preset {name_or_path} > mine.toml`, \
                     fill in the paths there, and give that file"
                );
                Err(TaskError::Description { place: format!("suite `{name_or_path}`"), reason })
            }
            Err(error) => {
                let names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
                let reason = match error.kind() {
                    std::io::ErrorKind::NotFound => {
                        "no built-in suite and no file has this name".to_owned()
                    }
                    _ => format!("no built-in suite, and as a file it cannot be read: {error}"),
                };
                let suggestion = suggestion(name_or_path, &names);
                let reason = format!("{reason}{suggestion}; built-in suites: {}", names.join(", "));
                Err(TaskError::Description { place: format!("suite `{name_or_path}`"), reason })
            }
        }
    }

    /// The text of a suite with one external task and so many seeds. `name` is what the suite is
    /// called where it is used, such as the path that the text is written to.
    pub fn of_command(
        name: &str,
        task: &ExternalSpec,
        seeds: usize,
    ) -> Result<SuiteSource, TaskError> {
        #[derive(Serialize)]
        struct Written<'a> {
            name: &'a str,
            summary: &'a str,
            seeds: Vec<u64>,
            external: [&'a ExternalSpec; 1],
        }
        let written = Written {
            name: &task.name,
            summary: &task.command,
            seeds: (1..=seeds.max(1) as u64).collect(),
            external: [task],
        };
        let text = toml::to_string(&written).map_err(|error| TaskError::Description {
            place: format!("suite {name}"),
            reason: error.to_string(),
        })?;
        Ok(SuiteSource { name: name.to_owned(), text })
    }

    /// Parses the text, without looking at data.
    pub fn spec(&self) -> Result<SuiteSpec, TaskError> {
        toml::from_str(&self.text).map_err(|error| TaskError::Description {
            place: match error.span() {
                Some(span) => self.place(span.start),
                None => format!("suite {}", self.name),
            },
            reason: reason(error.message()),
        })
    }

    /// The suite: parsed, checked, with its models built. Data is loaded when a task is first run
    /// or described.
    pub fn suite(&self) -> Result<Suite, TaskError> {
        let spec = self.spec()?;
        let wrong = |place: String, reason: &str| TaskError::Description {
            place,
            reason: reason.to_owned(),
        };
        let whole = || format!("suite {}", self.name);
        if spec.tasks.is_empty() && spec.externals.is_empty() {
            return Err(wrong(whole(), "it has no [[task]] and no [[external]]"));
        }
        if spec.seeds.is_empty() {
            return Err(wrong(whole(), "`seeds` is empty; give at least one, such as seeds = [1]"));
        }
        if let Some(seed) = spec.seeds.iter().find(|&&seed| seed >= 1_000_000) {
            return Err(wrong(
                whole(),
                &format!(
                    "the seed {seed} is reserved for held-out and tuning runs; use seeds below 1,000,000"
                ),
            ));
        }
        let mut seen = HashSet::with_capacity(spec.seeds.len());
        if let Some(seed) = spec.seeds.iter().find(|seed| !seen.insert(**seed)) {
            return Err(wrong(whole(), &format!("`seeds` has {seed} twice")));
        }
        let mut tasks: Vec<WeightedTask> = Vec::new();
        let mut names = HashSet::new();
        let mut add =
            |start: usize, name: &str, make: &dyn Fn(&str) -> Result<WeightedTask, TaskError>| {
                let place = format!("{}, task {name}", self.place(start));
                if !names.insert(name.to_owned()) {
                    return Err(wrong(place, "another task of the suite has this name"));
                }
                tasks.push(make(&place)?);
                Ok(())
            };
        let known = self.tuned_tasks()?;
        for task in &spec.tasks {
            add(task.span().start, &task.get_ref().name, &|place| {
                known.task(task.get_ref(), place)
            })?;
        }
        for task in &spec.externals {
            add(task.span().start, &task.get_ref().name, &|place| {
                known.external(task.get_ref(), place)
            })?;
        }
        Ok(Suite { name: spec.name, tasks, seeds: spec.seeds, elsewhere: None })
    }

    /// The same, with all training runs done by an executor, if there is one. Data that are files
    /// of this machine can't be sent to others.
    pub fn suite_on(&self, executor: Option<&Arc<dyn Executor>>) -> Result<Suite, TaskError> {
        let suite = self.suite()?;
        let Some(executor) = executor else { return Ok(suite) };
        for task in self.spec()?.tasks {
            if let Some(path) = task.get_ref().data.files().first() {
                return Err(TaskError::Elsewhere {
                    place: format!("suite {}, task {}", self.name, task.get_ref().name),
                    reason: format!(
                        "its data are files of this machine ({}), and other machines do not get \
                         them; leave out --server to train on this one",
                        path.display()
                    ),
                });
            }
        }
        let text = SuiteText { name: self.name.clone(), text: self.text.clone() };
        let elsewhere = Elsewhere::new(Arc::clone(executor), text);
        let tasks = suite.tasks.into_iter().map(|weighted| WeightedTask {
            task: Box::new(TaskElsewhere::new(weighted.task, elsewhere.clone())),
            ..weighted
        });
        Ok(Suite { tasks: tasks.collect(), elsewhere: Some(elsewhere), ..suite })
    }

    /// The suite with another command in the place of those of its external tasks.
    pub fn with_command(&self, command: &str) -> Result<SuiteSource, TaskError> {
        let mut spec = self.spec()?;
        for external in &mut spec.externals {
            external.get_mut().command = command.to_owned();
        }
        self.written(&spec)
    }

    /// The names of the external tasks of the suite for which nobody has tuned or given constants
    /// of AdamW.
    pub fn untuned(&self) -> Result<Vec<String>, TaskError> {
        let externals = self.spec()?.externals.into_iter().map(toml::Spanned::into_inner);
        let untuned = externals
            .filter(|task| constants_of(task).is_none_or(|tuned| tuned.origin == Origin::Untuned));
        Ok(untuned.map(|task| task.name).collect())
    }

    /// The suite with constants of AdamW for external tasks of it, by their names. It is written
    /// anew, without the comments of the text.
    pub fn with_constants(&self, constants: &[(String, Tuned)]) -> Result<SuiteSource, TaskError> {
        let mut spec = self.spec()?;
        for external in &mut spec.externals {
            let external = external.get_mut();
            if let Some((_, tuned)) = constants.iter().find(|(name, _)| *name == external.name) {
                external.tuned.retain(|other| other.program != BASELINE);
                external.tuned.push(tuned.clone());
            }
        }
        self.written(&spec)
    }

    /// The text of a spec, as a suite of the same name.
    fn written(&self, spec: &SuiteSpec) -> Result<SuiteSource, TaskError> {
        let text = toml::to_string(spec).map_err(|error| TaskError::Description {
            place: format!("suite {}", self.name),
            reason: error.to_string(),
        })?;
        Ok(SuiteSource { name: self.name.clone(), text })
    }

    /// Whether another text is this suite, with constants that were tuned for AdamW where this one
    /// has none.
    pub fn is_kept_as(&self, text: &str) -> bool {
        let Ok(untuned) = self.untuned() else { return false };
        if untuned.is_empty() {
            return self.text == text;
        }
        let kept = SuiteSource { name: self.name.clone(), text: text.to_owned() };
        let Ok(kept) = kept.spec() else { return false };
        let constants_for = |task: String| {
            let of_name = kept
                .externals
                .iter()
                .map(toml::Spanned::get_ref)
                .find(|other| other.name == task)?;
            let tuned = constants_of(of_name)
                .filter(|tuned| matches!(tuned.origin, Origin::Tuned { .. }))?
                .clone();
            Some((task, tuned))
        };
        let constants: Option<Vec<(String, Tuned)>> =
            untuned.into_iter().map(constants_for).collect();
        constants
            .and_then(|constants| self.with_constants(&constants).ok())
            .is_some_and(|source| source.text == text)
    }

    /// The tasks whose constants are tuned ones although they do not say where they come from.
    fn tuned_tasks(&self) -> Result<TunedTasks, TaskError> {
        if SuiteSource::built_in()
            .any(|source| source.name == self.name || source.text == self.text)
        {
            return Ok(TunedTasks::All);
        }
        let mut known = Vec::new();
        for source in SuiteSource::built_in() {
            known.extend(source.spec()?.tasks.into_iter().map(toml::Spanned::into_inner));
        }
        Ok(TunedTasks::Of(known))
    }

    fn place(&self, offset: usize) -> String {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        format!("suite {}, line {}", self.name, before.matches('\n').count() + 1)
    }
}

/// The constants of AdamW.
fn constants_of(task: &ExternalSpec) -> Option<&Tuned> {
    task.tuned.iter().find(|tuned| tuned.program == BASELINE && !tuned.averages)
}

/// The tasks whose constants are tuned ones although they do not say where they come from: those of
/// built-in suites, also where they are copied.
enum TunedTasks {
    All,
    Of(Vec<TaskSpec>),
}

impl TunedTasks {
    fn task(&self, spec: &TaskSpec, place: &str) -> Result<WeightedTask, TaskError> {
        let same = |other: &TaskSpec| {
            TaskSpec { name: spec.name.clone(), weight: spec.weight, ..other.clone() } == *spec
        };
        let is_tuned = match self {
            TunedTasks::All => true,
            TunedTasks::Of(known) => known.iter().any(same),
        };
        let task = spec.clone().task(place)?;
        Ok(if is_tuned { task } else { as_given(task) })
    }

    fn external(&self, spec: &ExternalSpec, place: &str) -> Result<WeightedTask, TaskError> {
        Ok(as_given(spec.clone().task(place)?))
    }
}

/// A task of the user's own: nobody knows how constants came about that do not say so.
fn as_given(mut task: WeightedTask) -> WeightedTask {
    for tuned in &mut task.tuned {
        if tuned.origin == Origin::Stated {
            tuned.origin = Origin::Given;
        }
    }
    task
}

/// A message of the parser without the names of Rust's types, and with what an unknown name may
/// have been meant to be.
fn reason(message: &str) -> String {
    let reason = message
        .replace("expected usize", "expected a whole number")
        .replace("expected u64", "expected a whole number");
    // Its names stand between backquotes: the unknown one, then those that there are.
    let mut names = message.split('`').skip(1).step_by(2);
    match names.next() {
        Some(unknown) if message.starts_with("unknown ") => {
            let suggestion = suggestion(unknown, &names.collect::<Vec<_>>());
            reason + &suggestion
        }
        _ => reason,
    }
}

fn suggestion(name: &str, known: &[&str]) -> String {
    let nearest = known.iter().map(|known| (strsim::damerau_levenshtein(name, known), known)).min();
    match nearest {
        Some((distance, known)) if distance <= 1 + known.len() / 3 => {
            format!(" (did you mean `{known}`?)")
        }
        _ => String::new(),
    }
}

/// A task of a built-in suite by `SUITE/TASK`, or by its name alone (then the first suite that has
/// it), or of a suite file by `FILE/TASK`.
pub fn find_task(name: &str) -> Result<WeightedTask, TaskError> {
    if let Some((file, task)) = name.rsplit_once('/')
        && (file.ends_with(".toml") || std::path::Path::new(file).is_file())
    {
        let source = SuiteSource::find(file)?;
        let SuiteSpec { tasks, externals, .. } = source.spec()?;
        let place = |start: usize| format!("{}, task {task}", source.place(start));
        let known = source.tuned_tasks()?;
        if let Some(found) = tasks.iter().find(|found| found.get_ref().name == task) {
            return known.task(found.get_ref(), &place(found.span().start));
        }
        if let Some(found) = externals.iter().find(|found| found.get_ref().name == task) {
            return known.external(found.get_ref(), &place(found.span().start));
        }
        let names = tasks.iter().map(|task| task.get_ref().name.as_str());
        let names: Vec<&str> =
            names.chain(externals.iter().map(|task| task.get_ref().name.as_str())).collect();
        let reason = format!(
            "no task of it is called `{task}`{}; tasks: {}",
            suggestion(task, &names),
            names.join(", ")
        );
        return Err(TaskError::Description { place: format!("suite {file}"), reason });
    }
    let mut known = Vec::new();
    for source in SuiteSource::built_in() {
        let spec = source.spec()?;
        for task in &spec.tasks {
            let full = format!("{}/{}", source.name, task.get_ref().name);
            if name == full || name == task.get_ref().name {
                return task.get_ref().clone().task(&format!("task {full}"));
            }
            known.push(full);
        }
    }
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let shorts: Vec<&str> =
        known.iter().map(|full| full.rsplit('/').next().unwrap_or(full)).collect();
    let suggestion = suggestion(name, if name.contains('/') { &known } else { &shorts });
    Err(TaskError::Description {
        place: format!("task `{name}`"),
        reason: format!("no built-in suite has it{suggestion}; tasks: {}", known.join(", ")),
    })
}
