//! Tasks and suites as TOML: adding a task is adding a table.
//!
//! A suite is one text: `name`, `summary`, `seeds`, and a `[[task]]` table for each task. The built-in ones are the files in `suites/`, which
//! are also the examples to copy from. Every key:
//!
//! | key of a task | meaning | default |
//! |---|---|---|
//! | `name` | unique in the suite | |
//! | `weight` | weight in the fitness, above 0 | 1 |
//! | `steps`, `batch` | training steps, examples in a batch | |
//! | `checkpoints` | how often the validation loss is taken | 4 |
//! | `schedule` | `"constant"` or `{ warmup_cosine = { warmup = 0.05 } }` | the latter |
//! | `training`, `validation` | examples (windows of text) used | training: what the data has, validation: 512 |
//! | `label_noise` | share of the training labels that are drawn uniformly from all classes | 0 |
//! | `data` | see [`DataSpec`] | |
//! | `model` | see [`ModelSpec`] | |
//! | `tuned` | tables of [`Tuned`] constants; `symopt tune` finds them | none |
//!
//! A table of `tuned` has `program`, `peak_lr`, `hyperparameters`, and, if it is there, `origin`: `{ tuned = { runs = 48, seeds = 2 } }`, `"given"` or
//! `"untuned"`. All that is compared with AdamW says which of these it is. Without it they are `"given"`, but for tasks of built-in suites, also copied ones.
//!
//! A suite may also have `[[external]]` tables, tasks that are [commands](crate::external) of the user's; they come after the others.
//!
//! | key of an external task | meaning | default |
//! |---|---|---|
//! | `name`, `weight`, `tuned` | as above; without constants for AdamW `symopt search` tunes them first; elsewhere its own defaults are used, and all numbers name it untuned | |
//! | `command` | the command, as the shell reads it | |
//! | `steps` | training steps that it is asked for | its own business |
//! | `checkpoints` | points of the curve that hopeless runs are stopped by; 1 is the result alone | 4 |
//! | `seconds` | the time limit of a run | 600 |
//! | `startup_seconds` | so many more for a process that was just started | 60 |
//! | `export` | what programs are written as for it | `"program"` |

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::data::language::{Language, LanguageSizes};
use crate::data::raw_images::{ImageSizes, raw_images};
use crate::data::tabular::{Table, TableSizes};
use crate::data::teacher::{Teacher, TeacherSizes, Weights};
use crate::data::text::{Text, Unit, text};
use crate::data::{DataError, Vectors, cifar10, digits, mnist};
use crate::error::TaskError;
use crate::external::ExternalSpec;
use crate::memory;
use crate::model::{Activation, Image, Linear, Mlp, Model, ModelError, Pooling, Transformer, TransformerSizes};
use crate::rng::{Purpose, stream};
use crate::run::problem::{Bound, TextProblem, VectorProblem};
use crate::run::schedule::Schedule;
use crate::run::training::{Problem, ProblemBuilder, TrainingTask};
use crate::suite::{BASELINE, Suite, WeightedTask};
use crate::tuning::grid::{Origin, Tuned};

/// Where the examples come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum DataSpec {
    /// The 1,797 UCI digits. A seed shuffles them; the first are for validation, the next for training.
    // With braces, as every kind: only so are unknown keys refused.
    Digits {},
    /// MNIST, or what is published in its form. A seed shuffles both sets; validation examples come from the test set.
    Mnist {
        /// The folder with the four files, compressed (`.gz`) or not.
        path: PathBuf,
    },
    /// CIFAR-10, binary version. A seed shuffles both sets; validation examples come from the test set.
    Cifar10 {
        /// The folder with the six files, or with the archive of them (`cifar-10-binary.tar.gz`).
        path: PathBuf,
    },
    /// Images of any size as raw bytes; see [`raw_images`](crate::data::raw_images). A seed shuffles them; the first are for validation, the next
    /// for training.
    RawImages {
        /// The file of pixels: N x height x width x channels bytes.
        images: PathBuf,
        /// The file of labels: N times two bytes, little endian.
        labels: PathBuf,
        /// Rows of an image.
        height: usize,
        /// Columns of an image.
        width: usize,
        /// Bytes of a pixel.
        channels: usize,
        /// Labels are below this.
        classes: usize,
    },
    /// A synthetic table for each seed; see [`tabular`](crate::data::tabular). `training` rows (2,048 by default).
    Tabular {
        /// Numeric columns.
        numeric: usize,
        /// The number of categories of each categorical column; none by default.
        #[serde(default)]
        categories: Vec<usize>,
        /// Classes.
        classes: usize,
        /// Decision trees that the labels follow.
        trees: usize,
        /// Decisions on the way to a leaf.
        depth: usize,
        /// The deviation of the logits: the larger, the less of a label is chance.
        scale: f64,
    },
    /// A random teacher for each seed; `training` examples (1,024 by default).
    Teacher {
        /// Inputs.
        features: usize,
        /// Classes.
        classes: usize,
        /// Hidden tanh units; 0 (the default) for a softmax regression.
        #[serde(default)]
        hidden: usize,
        /// Distribution of the weights.
        weights: Weights,
        /// Scale of the logits.
        scale: f64,
    },
    /// The synthetic language; `training` windows (2,048 by default).
    Language {
        /// Tokens of the vocabulary.
        vocabulary: usize,
        /// Hidden states.
        states: usize,
        /// Successors of a state.
        successors: usize,
        /// The exponent of Zipf's law.
        exponent: f64,
        /// Which language of these sizes; 0 by default.
        #[serde(default)]
        seed: u64,
    },
    /// A text file. The last `held_out` part is for validation.
    Text {
        /// The file.
        path: PathBuf,
        /// Tokens: bytes, characters or words.
        unit: Unit,
        /// The most tokens, for words: the most frequent have their own, all others share one.
        vocabulary: Option<usize>,
        /// The part that is for validation, above 0 and below 1; 0.1 by default.
        #[serde(default = "a_tenth")]
        held_out: f64,
    },
}

fn a_tenth() -> f64 {
    0.1
}

/// The model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ModelSpec {
    /// Softmax regression.
    // With braces, as every kind: only so are unknown keys refused.
    Linear {},
    /// Multi-layer perceptron.
    Mlp {
        /// Widths of the hidden layers.
        hidden: Vec<usize>,
        /// Between the layers.
        activation: Activation,
    },
    /// Transformer: with images a classifier of patches, with text a causal language model.
    Transformer {
        /// Blocks.
        layers: usize,
        /// Features of the residual stream.
        width: usize,
        /// Attention heads.
        heads: usize,
        /// Hidden units of each block's perceptron.
        hidden: usize,
        /// The perceptron's activation; GELU by default.
        #[serde(default = "gelu")]
        activation: Activation,
        /// Tokens of a window; for text.
        context: Option<usize>,
        /// Side of a patch in pixels; for images.
        patch: Option<usize>,
        /// How positions become one vector; for images. The mean by default.
        pooling: Option<Pooling>,
    },
}

fn gelu() -> Activation {
    Activation::Gelu
}

/// A task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSpec {
    /// Unique in the suite.
    pub name: String,
    /// Weight in the fitness.
    #[serde(default = "one")]
    pub weight: f64,
    /// Training steps.
    pub steps: usize,
    /// Examples in a batch.
    pub batch: usize,
    /// How often the validation loss is taken.
    #[serde(default = "four")]
    pub checkpoints: usize,
    /// Schedule of the learning rate.
    #[serde(default)]
    pub schedule: Schedule,
    /// Training examples.
    pub training: Option<usize>,
    /// Validation examples.
    #[serde(default = "five_hundred_and_twelve")]
    pub validation: usize,
    /// Share of the training labels that are random.
    #[serde(default)]
    pub label_noise: f64,
    /// Where the examples come from.
    pub data: DataSpec,
    /// The model.
    pub model: ModelSpec,
    /// Tuned constants of zoo programs.
    #[serde(default)]
    pub tuned: Vec<Tuned>,
}

fn one() -> f64 {
    1.0
}

fn four() -> usize {
    4
}

fn five_hundred_and_twelve() -> usize {
    512
}

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
    ("quick", include_str!("../suites/quick.toml")),
    ("smoke", include_str!("../suites/smoke.toml")),
    ("lion", include_str!("../suites/lion.toml")),
    ("1x", include_str!("../suites/1x.toml")),
    ("10x", include_str!("../suites/10x.toml")),
    ("100x", include_str!("../suites/100x.toml")),
    ("held-out", include_str!("../suites/held-out.toml")),
];

/// Names and texts of the presets: suites that need the user's data.
const PRESETS: &[(&str, &str)] =
    &[("vit-paper", include_str!("../suites/presets/vit-paper.toml")), ("lm-paper", include_str!("../suites/presets/lm-paper.toml"))];

/// Largest accepted value of any count in a description, so that no size overflows or fills the memory by a slip of the finger.
const LARGEST: usize = 100_000_000;

/// Training rows of a table, if nothing else is said.
const TABLE_ROWS: usize = 2048;

impl SuiteSource {
    /// The built-in suites.
    pub fn built_in() -> impl Iterator<Item = SuiteSource> {
        BUILT_IN.iter().map(|(name, text)| SuiteSource { name: (*name).to_owned(), text: (*text).to_owned() })
    }

    /// The presets: suites to copy, since they need the user's data.
    pub fn presets() -> impl Iterator<Item = SuiteSource> {
        PRESETS.iter().map(|(name, text)| SuiteSource { name: (*name).to_owned(), text: (*text).to_owned() })
    }

    /// The preset of a name.
    pub fn preset(name: &str) -> Result<SuiteSource, TaskError> {
        SuiteSource::presets().find(|source| source.name == name).ok_or_else(|| {
            let names: Vec<&str> = PRESETS.iter().map(|(name, _)| *name).collect();
            let reason = format!("there is none of this name{}; presets: {}", suggestion(name, &names), names.join(", "));
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
                    std::io::ErrorKind::NotFound => "no built-in suite and no file has this name".to_owned(),
                    _ => format!("no built-in suite, and as a file it cannot be read: {error}"),
                };
                let suggestion = suggestion(name_or_path, &names);
                let reason = format!("{reason}{suggestion}; built-in suites: {}", names.join(", "));
                Err(TaskError::Description { place: format!("suite `{name_or_path}`"), reason })
            }
        }
    }

    /// The text of a suite with one external task and so many seeds. `name` is what the suite is called where it is used, such as the path that the
    /// text is written to.
    pub fn of_command(name: &str, task: &ExternalSpec, seeds: usize) -> Result<SuiteSource, TaskError> {
        #[derive(Serialize)]
        struct Written<'a> {
            name: &'a str,
            summary: &'a str,
            seeds: Vec<u64>,
            external: [&'a ExternalSpec; 1],
        }
        let written = Written { name: &task.name, summary: &task.command, seeds: (1..=seeds.max(1) as u64).collect(), external: [task] };
        let text = toml::to_string(&written)
            .map_err(|error| TaskError::Description { place: format!("suite {name}"), reason: error.to_string() })?;
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

    /// The suite: parsed, checked, with its models built. Data is loaded when a task is first run or described.
    pub fn suite(&self) -> Result<Suite, TaskError> {
        let spec = self.spec()?;
        let wrong = |place: String, reason: &str| TaskError::Description { place, reason: reason.to_owned() };
        let whole = || format!("suite {}", self.name);
        if spec.tasks.is_empty() && spec.externals.is_empty() {
            return Err(wrong(whole(), "it has no [[task]] and no [[external]]"));
        }
        if spec.seeds.is_empty() {
            return Err(wrong(whole(), "`seeds` is empty; give at least one, such as seeds = [1]"));
        }
        if let Some(seed) = spec.seeds.iter().find(|&&seed| seed >= 1_000_000) {
            return Err(wrong(whole(), &format!("the seed {seed} is reserved for held-out and tuning runs; use seeds below 1,000,000")));
        }
        let mut seen = HashSet::with_capacity(spec.seeds.len());
        if let Some(seed) = spec.seeds.iter().find(|seed| !seen.insert(**seed)) {
            return Err(wrong(whole(), &format!("`seeds` has {seed} twice")));
        }
        let mut tasks: Vec<WeightedTask> = Vec::new();
        let mut names = HashSet::new();
        let mut add = |start: usize, name: &str, make: &dyn Fn(&str) -> Result<WeightedTask, TaskError>| {
            let place = format!("{}, task {name}", self.place(start));
            if !names.insert(name.to_owned()) {
                return Err(wrong(place, "another task of the suite has this name"));
            }
            tasks.push(make(&place)?);
            Ok(())
        };
        let known = self.tuned_tasks()?;
        for task in &spec.tasks {
            add(task.span().start, &task.get_ref().name, &|place| known.task(task.get_ref(), place))?;
        }
        for task in &spec.externals {
            add(task.span().start, &task.get_ref().name, &|place| known.external(task.get_ref(), place))?;
        }
        Ok(Suite { name: spec.name, tasks, seeds: spec.seeds })
    }

    /// The names of the external tasks of the suite for which nobody has tuned or given constants of AdamW.
    pub fn untuned(&self) -> Result<Vec<String>, TaskError> {
        let externals = self.spec()?.externals.into_iter().map(toml::Spanned::into_inner);
        let untuned = externals.filter(|task| constants_of(task).is_none_or(|tuned| tuned.origin == Origin::Untuned));
        Ok(untuned.map(|task| task.name).collect())
    }

    /// The suite with constants of AdamW for external tasks of it, by their names. It is written anew, without the comments of the text.
    pub fn with_constants(&self, constants: &[(String, Tuned)]) -> Result<SuiteSource, TaskError> {
        let mut spec = self.spec()?;
        for external in &mut spec.externals {
            let external = external.get_mut();
            if let Some((_, tuned)) = constants.iter().find(|(name, _)| *name == external.name) {
                external.tuned.retain(|other| other.program != BASELINE);
                external.tuned.push(tuned.clone());
            }
        }
        let text = toml::to_string(&spec)
            .map_err(|error| TaskError::Description { place: format!("suite {}", self.name), reason: error.to_string() })?;
        Ok(SuiteSource { name: self.name.clone(), text })
    }

    /// Whether another text is this suite, with constants that were tuned for AdamW where this one has none.
    pub fn is_kept_as(&self, text: &str) -> bool {
        let Ok(untuned) = self.untuned() else { return false };
        if untuned.is_empty() {
            return self.text == text;
        }
        let kept = SuiteSource { name: self.name.clone(), text: text.to_owned() };
        let Ok(kept) = kept.spec() else { return false };
        let constants_for = |task: String| {
            let of_name = kept.externals.iter().map(toml::Spanned::get_ref).find(|other| other.name == task)?;
            let tuned = constants_of(of_name).filter(|tuned| matches!(tuned.origin, Origin::Tuned { .. }))?.clone();
            Some((task, tuned))
        };
        let constants: Option<Vec<(String, Tuned)>> = untuned.into_iter().map(constants_for).collect();
        constants.and_then(|constants| self.with_constants(&constants).ok()).is_some_and(|source| source.text == text)
    }

    /// The tasks whose constants are tuned ones although they do not say where they come from.
    fn tuned_tasks(&self) -> Result<TunedTasks, TaskError> {
        if SuiteSource::built_in().any(|source| source.name == self.name || source.text == self.text) {
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
    task.tuned.iter().find(|tuned| tuned.program == BASELINE)
}

/// The tasks whose constants are tuned ones although they do not say where they come from: those of built-in suites, also where they are copied.
enum TunedTasks {
    All,
    Of(Vec<TaskSpec>),
}

impl TunedTasks {
    fn task(&self, spec: &TaskSpec, place: &str) -> Result<WeightedTask, TaskError> {
        let same = |other: &TaskSpec| TaskSpec { name: spec.name.clone(), weight: spec.weight, ..other.clone() } == *spec;
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

/// A message of the parser without the names of Rust's types, and with what an unknown name may have been meant to be.
fn reason(message: &str) -> String {
    let reason = message.replace("expected usize", "expected a whole number").replace("expected u64", "expected a whole number");
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
        Some((distance, known)) if distance <= 1 + known.len() / 3 => format!(" (did you mean `{known}`?)"),
        _ => String::new(),
    }
}

/// A task of a built-in suite by `SUITE/TASK`, or by its name alone (then the first suite that has it), or of a suite file by `FILE/TASK`.
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
        let names: Vec<&str> = names.chain(externals.iter().map(|task| task.get_ref().name.as_str())).collect();
        let reason = format!("no task of it is called `{task}`{}; tasks: {}", suggestion(task, &names), names.join(", "));
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
    let shorts: Vec<&str> = known.iter().map(|full| full.rsplit('/').next().unwrap_or(full)).collect();
    let suggestion = suggestion(name, if name.contains('/') { &known } else { &shorts });
    Err(TaskError::Description {
        place: format!("task `{name}`"),
        reason: format!("no built-in suite has it{suggestion}; tasks: {}", known.join(", ")),
    })
}

impl TaskSpec {
    /// The task. `place` says in errors where the description stands.
    pub fn task(self, place: &str) -> Result<WeightedTask, TaskError> {
        self.check().map_err(|reason| TaskError::Description { place: place.to_owned(), reason })?;
        let TaskSpec { name, weight, steps, batch, checkpoints, schedule, training, validation, label_noise, data, model, tuned } = self;
        let builder = Builder {
            task: name.clone(),
            training,
            validation,
            label_noise,
            source: Source::new(data),
            model,
            examples: Mutex::new(None),
            place: place.to_owned(),
            batch,
        };
        let task = TrainingTask::new(name, Box::new(builder), steps, batch, schedule, checkpoints);
        Ok(WeightedTask { task: Box::new(task), weight, tuned })
    }

    /// What is wrong with the description, as far as it shows without its data.
    fn check(&self) -> Result<(), String> {
        let at_least_one = |what: &str, value: usize| match value {
            0 => Err(format!("`{what}` must be at least 1")),
            _ if value > LARGEST => Err(format!("`{what}` = {value} is too large; at most {LARGEST}")),
            _ => Ok(()),
        };
        if self.name.trim().is_empty() || self.name.contains('/') {
            return Err("`name` must not be empty and has no `/`".to_owned());
        }
        at_least_one("steps", self.steps)?;
        at_least_one("batch", self.batch)?;
        at_least_one("checkpoints", self.checkpoints)?;
        at_least_one("validation", self.validation)?;
        at_least_one("training", self.training.unwrap_or(1))?;
        if self.steps.saturating_mul(self.batch) > 1 << 31 {
            return Err("`steps` times `batch` is above 2^31".to_owned());
        }
        if self.checkpoints > self.steps {
            return Err(format!("`checkpoints` = {} are more than the {} steps", self.checkpoints, self.steps));
        }
        if !(self.weight > 0.0 && self.weight.is_finite()) {
            return Err(format!("`weight` = {} must be above 0", self.weight));
        }
        if !(0.0..=1.0).contains(&self.label_noise) {
            return Err(format!("`label_noise` = {} must be from 0 to 1", self.label_noise));
        }
        if let Schedule::WarmupCosine { warmup } = self.schedule
            && !(0.0..=1.0).contains(&warmup)
        {
            return Err(format!("`warmup` = {warmup} must be from 0 to 1, the part of the steps that warm up"));
        }
        check_tuned(&self.tuned)?;
        match &self.data {
            DataSpec::Digits {} | DataSpec::Mnist { .. } | DataSpec::Cifar10 { .. } => {}
            DataSpec::RawImages { height, width, channels, classes, .. } => {
                at_least_one("height", *height)?;
                at_least_one("width", *width)?;
                at_least_one("channels", *channels)?;
                at_least_one("classes", *classes)?;
                if *classes > 1 << 16 {
                    return Err("labels of two bytes have at most 65,536 classes".to_owned());
                }
            }
            DataSpec::Tabular { numeric, categories, classes, trees, depth, scale } => {
                at_least_one("classes", *classes)?;
                if categories.contains(&0) {
                    return Err("`categories` has a 0; each categorical column has at least 1 category".to_owned());
                }
                let features = categories.iter().fold(*numeric, |sum, count| sum.saturating_add(*count));
                if features == 0 || features > 1 << 16 || *classes > 1 << 16 {
                    return Err(
                        "a table has from 1 to 65,536 numeric columns and categories together, and at most 65,536 classes".to_owned()
                    );
                }
                if *depth > 12 || *trees > 1 << 12 || (trees << depth).saturating_mul(*classes) > LARGEST {
                    return Err(
                        "`depth` is at most 12, `trees` at most 4,096, and trees × 2^depth × classes at most 100,000,000".to_owned()
                    );
                }
                if !scale.is_finite() {
                    return Err(format!("`scale` = {scale} must be a finite number"));
                }
                // Categories of the decisions, and the rows themselves.
                let rows = self.training.unwrap_or(TABLE_ROWS).max(self.validation);
                if rows.saturating_mul(features) > 10 * LARGEST {
                    return Err(format!("{rows} rows of {features} columns are too large a table; lower `training` or `validation`"));
                }
            }
            DataSpec::Teacher { features, classes, hidden, scale, .. } => {
                at_least_one("features", *features)?;
                at_least_one("classes", *classes)?;
                if *hidden > 1 << 16 || *features > 1 << 16 || *classes > 1 << 16 {
                    return Err("a teacher has at most 65,536 features, hidden units and classes".to_owned());
                }
                if !scale.is_finite() {
                    return Err(format!("`scale` = {scale} must be a finite number"));
                }
            }
            DataSpec::Language { vocabulary, states, successors, exponent, .. } => {
                at_least_one("vocabulary", *vocabulary)?;
                at_least_one("states", *states)?;
                at_least_one("successors", *successors)?;
                if successors > states {
                    return Err(format!("`successors` = {successors} are more than the {states} states"));
                }
                if *vocabulary > 1 << 16 || *states > 1 << 12 {
                    return Err("a language has at most 65,536 tokens and 4,096 states".to_owned());
                }
                if !(0.0..=10.0).contains(exponent) {
                    return Err(format!("`exponent` = {exponent} must be from 0 to 10"));
                }
            }
            DataSpec::Text { held_out, unit, vocabulary, .. } => {
                match (unit, vocabulary) {
                    (Unit::Words, None) => return Err("words need `vocabulary`, the most tokens, such as vocabulary = 3000".to_owned()),
                    (Unit::Words, Some(vocabulary)) if !(2..=1 << 16).contains(vocabulary) => {
                        return Err(format!("`vocabulary` = {vocabulary} must be from 2 to 65,536"));
                    }
                    (Unit::Bytes | Unit::Characters, Some(_)) => {
                        return Err("`vocabulary` is for words; bytes and characters all have their own tokens".to_owned());
                    }
                    _ => {}
                }
                if !(*held_out > 0.0 && *held_out < 1.0) {
                    return Err(format!("`held_out` = {held_out} must be above 0 and below 1"));
                }
            }
        }
        let text = matches!(self.data, DataSpec::Language { .. } | DataSpec::Text { .. });
        match &self.model {
            ModelSpec::Linear {} | ModelSpec::Mlp { .. } if text => {
                Err("text data needs `kind = \"transformer\"` in [task.model]".to_owned())
            }
            ModelSpec::Linear {} | ModelSpec::Mlp { .. } => Ok(()),
            ModelSpec::Transformer { context, patch, pooling, .. } => {
                if text {
                    if patch.is_some() || pooling.is_some() {
                        return Err("`patch` and `pooling` are for images; a language model has neither".to_owned());
                    }
                    if self.label_noise > 0.0 {
                        return Err("`label_noise` is for classification; a language model has no labels but its text".to_owned());
                    }
                    let context = context.ok_or("a language model needs `context`, the tokens of a window")?;
                    return at_least_one("context", context);
                }
                if context.is_some() {
                    return Err("`context` is for text; images have `patch`".to_owned());
                }
                if matches!(self.data, DataSpec::Teacher { .. } | DataSpec::Tabular { .. }) {
                    return Err("the inputs of a teacher or a table are no images; use `kind = \"linear\"` or \"mlp\"".to_owned());
                }
                let patch = patch.ok_or("a classifier of images needs `patch`, the side of a patch in pixels")?;
                at_least_one("patch", patch)
            }
        }
    }
}

/// What is wrong with tuned constants.
pub(crate) fn check_tuned(constants: &[Tuned]) -> Result<(), String> {
    for tuned in constants {
        if !(tuned.peak_lr > 0.0 && tuned.peak_lr.is_finite()) {
            return Err(format!("`peak_lr` = {} of {} must be above 0", tuned.peak_lr, tuned.program));
        }
        let Some(entry) = symopt_programs::find(&tuned.program) else {
            return Err(format!("`tuned` names `{}`, which is no program of the zoo; `symopt programs` lists them", tuned.program));
        };
        let program = entry.program();
        let known: Vec<&str> = program.signature().hyperparameters().map(|(_, parameter)| parameter.name.as_str()).collect();
        if let Some((name, _)) = tuned.hyperparameters.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(format!("`tuned` sets `{name}`, which is no hyperparameter of {}; it has: {known}", tuned.program));
        }
    }
    Ok(())
}

/// The examples of a task that do not depend on the seed, once they are loaded.
enum Source {
    Files(DataSpec),
    Teacher(TeacherSizes),
    Table(TableSizes),
    Language { sizes: LanguageSizes, language: OnceLock<Arc<Language>> },
}

/// Loaded examples.
#[derive(Clone)]
enum Examples {
    /// Training and validation come from the same set.
    Images {
        set: Arc<Vectors>,
        image: Shape,
    },
    Split {
        training: Arc<Vectors>,
        validation: Arc<Vectors>,
        image: Shape,
    },
    Text {
        text: Arc<Text>,
        training: usize,
    },
}

/// Height, width and channels.
type Shape = [usize; 3];

impl Source {
    fn new(data: DataSpec) -> Self {
        match data {
            DataSpec::Teacher { features, classes, hidden, weights, scale } => {
                Source::Teacher(TeacherSizes { features, hidden, classes, weights, scale })
            }
            DataSpec::Tabular { numeric, categories, classes, trees, depth, scale } => {
                Source::Table(TableSizes { numeric, categories, classes, trees, depth, scale })
            }
            DataSpec::Language { vocabulary, states, successors, exponent, seed } => {
                let sizes = LanguageSizes { vocabulary, states, successors, exponent, seed };
                Source::Language { sizes, language: OnceLock::new() }
            }
            files => Source::Files(files),
        }
    }
}

/// Makes the problems of a [`TaskSpec`].
struct Builder {
    task: String,
    place: String,
    batch: usize,
    training: Option<usize>,
    validation: usize,
    label_noise: f64,
    source: Source,
    model: ModelSpec,
    examples: Mutex<Option<Examples>>,
}

impl Builder {
    fn data_error(&self, error: &DataError) -> TaskError {
        TaskError::Data { task: self.task.clone(), reason: error.to_string() }
    }

    fn model_error(&self, error: &ModelError) -> TaskError {
        TaskError::Description { place: self.place.clone(), reason: error.to_string() }
    }

    /// The examples in files, loaded once.
    fn load(&self, data: &DataSpec) -> Result<Examples, TaskError> {
        let mut kept = self.examples.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(examples) = &*kept {
            return Ok(examples.clone());
        }
        let loaded = match data {
            DataSpec::Digits {} => Ok(Examples::Images { set: Arc::new(digits::digits()), image: [8, 8, 1] }),
            DataSpec::Mnist { path } => mnist::mnist(path).map(|(training, validation, [height, width])| Examples::Split {
                training: Arc::new(training),
                validation: Arc::new(validation),
                image: [height, width, 1],
            }),
            DataSpec::Cifar10 { path } => cifar10::cifar10(path).map(|(training, validation)| Examples::Split {
                training: Arc::new(training),
                validation: Arc::new(validation),
                image: [32, 32, 3],
            }),
            DataSpec::RawImages { images, labels, height, width, channels, classes } => {
                let sizes = ImageSizes { height: *height, width: *width, channels: *channels, classes: *classes };
                let image = [*height, *width, *channels];
                raw_images(images, labels, sizes).map(|set| Examples::Images { set: Arc::new(set), image })
            }
            DataSpec::Text { path, unit, vocabulary, held_out } => text(path, *unit, *vocabulary).map(|text| {
                let training = ((1.0 - held_out) * text.tokens.len() as f64) as usize;
                Examples::Text { text: Arc::new(text), training }
            }),
            DataSpec::Teacher { .. } | DataSpec::Tabular { .. } | DataSpec::Language { .. } => {
                unreachable!("their examples are drawn, not loaded")
            }
        };
        let examples = loaded.map_err(|error| self.data_error(&error))?;
        *kept = Some(examples.clone());
        Ok(examples)
    }

    fn vector_model(&self, features: usize, classes: usize, image: Option<Shape>) -> Result<Arc<dyn Model<f32>>, TaskError> {
        let model = match &self.model {
            ModelSpec::Linear {} => Linear::new(features, classes).map(|model| Arc::new(model) as Arc<dyn Model<f32>>),
            ModelSpec::Mlp { hidden, activation } => {
                Mlp::new(features, hidden, classes, *activation).map(|model| Arc::new(model) as Arc<dyn Model<f32>>)
            }
            ModelSpec::Transformer { layers, width, heads, hidden, activation, patch, pooling, .. } => {
                let sizes = TransformerSizes { layers: *layers, width: *width, heads: *heads, hidden: *hidden, activation: *activation };
                let [rows, columns, channels] = image.unwrap_or([1, features, 1]);
                let image = Image { height: rows, width: columns, channels, patch: patch.unwrap_or(1) };
                Transformer::vision(sizes, image, classes, pooling.unwrap_or(Pooling::Mean))
                    .map(|model| Arc::new(model) as Arc<dyn Model<f32>>)
            }
        };
        model.map_err(|error| self.model_error(&error))
    }

    fn language_model(&self, vocabulary: usize) -> Result<(Arc<dyn Model<f32>>, usize), TaskError> {
        let ModelSpec::Transformer { layers, width, heads, hidden, activation, context, .. } = &self.model else {
            unreachable!("a description with text and another model is refused");
        };
        let context = context.unwrap_or(1);
        let sizes = TransformerSizes { layers: *layers, width: *width, heads: *heads, hidden: *hidden, activation: *activation };
        let model = Transformer::language(sizes, vocabulary, context).map_err(|error| self.model_error(&error))?;
        Ok((Arc::new(model), context))
    }

    fn bound(&self, model: Arc<dyn Model<f32>>, seed: u64) -> Result<Bound, TaskError> {
        Bound::new(model, self.batch, seed).map_err(|reason| TaskError::Description { place: self.place.clone(), reason })
    }

    /// Refuses examples that the memory does not hold, in so many bytes.
    fn check_memory(&self, bytes: u128) -> Result<(), TaskError> {
        memory::check(bytes).map_err(|shortage| TaskError::Description { place: self.place.clone(), reason: shortage.to_string() })
    }

    /// The same for vectors that are drawn or copied; validation examples lie in the memory as rows and as columns, beside where they came from.
    fn check_vectors(&self, training: usize, held: usize, features: usize) -> Result<(), TaskError> {
        let rows = training as u128 + 3 * held as u128;
        self.check_memory(4 * rows * (features as u128 + 2))
    }

    /// How many of the available examples are used.
    fn count(&self, what: &'static str, wanted: Option<usize>, available: usize) -> Result<usize, TaskError> {
        let wanted = wanted.unwrap_or(available);
        if wanted == 0 || wanted > available {
            return Err(self.data_error(&DataError::TooFew { what, wanted: wanted.max(1), available }));
        }
        Ok(wanted)
    }

    /// The rows with their labels, some of them replaced by random ones.
    fn with_noise(&self, set: &Vectors, rows: &[u32], seed: u64) -> Vec<(u32, u16)> {
        let mut random = stream(seed, Purpose::LabelNoise);
        rows.iter()
            .map(|&row| {
                let noisy = random.random::<f64>() < self.label_noise;
                let other = random.random_range(0..set.classes as u32) as u16;
                (row, if noisy { other } else { set.labels[row as usize] })
            })
            .collect()
    }

    fn vectors(&self, training: Arc<Vectors>, rows: &[u32], validation: &Vectors, held: &[u32], image: Option<Shape>, seed: u64) -> Built {
        self.check_vectors(0, held.len(), training.features)?;
        let model = self.vector_model(training.features, training.classes, image)?;
        let bound = self.bound(model, seed)?;
        let labelled = self.with_noise(&training, rows, seed);
        Ok(Arc::new(VectorProblem::new(bound, training, labelled, validation, held)))
    }

    /// The problem of examples that were drawn for it: all of them are used.
    fn drawn(&self, training: Vectors, validation: &Vectors, seed: u64) -> Built {
        let rows: Vec<u32> = (0..training.len() as u32).collect();
        let held: Vec<u32> = (0..validation.len() as u32).collect();
        self.vectors(Arc::new(training), &rows, validation, &held, None, seed)
    }
}

type Built = Result<Arc<dyn Problem>, TaskError>;

fn shuffled(count: usize, random: &mut ChaCha8Rng) -> Vec<u32> {
    let mut order: Vec<u32> = (0..count as u32).collect();
    for last in (1..count).rev() {
        order.swap(last, random.random_range(0..=last as u32) as usize);
    }
    order
}

/// Windows of `context` tokens, and the token after the last, that a text holds.
fn windows_of(tokens: usize, context: usize) -> usize {
    tokens.saturating_sub(1) / context
}

impl ProblemBuilder for Builder {
    fn build(&self, seed: u64) -> Built {
        let problem = self.problem(seed)?;
        let examples = problem.training_examples();
        if self.batch > examples {
            let reason = format!("`batch` = {} is more than the {examples} training examples", self.batch);
            return Err(TaskError::Description { place: self.place.clone(), reason });
        }
        Ok(problem)
    }

    fn describe(&self) -> (String, String, f64) {
        let data = match &self.source {
            Source::Teacher(TeacherSizes { features, hidden, classes, weights, scale }) => {
                let weights = match weights {
                    Weights::Signs => "±1",
                    Weights::Normal => "N(0, 1)",
                };
                let shape = if *hidden == 0 { format!("{features}-{classes}") } else { format!("{features}-{hidden}-{classes}") };
                format!("random teacher {shape}, weights {weights}, scale {scale}")
            }
            Source::Table(sizes) => {
                let TableSizes { numeric, categories, classes, trees, depth, scale } = sizes;
                let categories: Vec<String> = categories.iter().map(usize::to_string).collect();
                let categories = if categories.is_empty() { String::new() } else { format!(" and {} categories", categories.join("+")) };
                format!("table of {numeric} numbers{categories}, {classes} classes by {trees} trees of depth {depth}, scale {scale}")
            }
            Source::Language { sizes, language } => {
                let rate = language.get_or_init(|| Arc::new(Language::new(*sizes))).entropy_rate(20_000);
                format!("hidden Markov language: {} tokens, {} states, entropy rate {rate:.3} nats", sizes.vocabulary, sizes.states)
            }
            Source::Files(DataSpec::Digits {}) => "UCI digits, 8 × 8".to_owned(),
            Source::Files(DataSpec::Mnist { path }) => format!("MNIST files in {}", path.display()),
            Source::Files(DataSpec::Cifar10 { path }) => format!("CIFAR-10 files in {}", path.display()),
            Source::Files(DataSpec::RawImages { images, height, width, .. }) => {
                format!("images {height} × {width} in {}", images.display())
            }
            Source::Files(DataSpec::Text { path, .. }) => format!("text {}", path.display()),
            Source::Files(DataSpec::Teacher { .. } | DataSpec::Tabular { .. } | DataSpec::Language { .. }) => String::new(),
        };
        let model = match &self.model {
            ModelSpec::Linear {} => "softmax regression".to_owned(),
            ModelSpec::Mlp { hidden, activation } => {
                let widths: Vec<String> = hidden.iter().map(usize::to_string).collect();
                format!("perceptron with hidden {} ({})", widths.join("-"), format!("{activation:?}").to_lowercase())
            }
            ModelSpec::Transformer { layers, width, heads, context, patch, .. } => {
                let input = match (context, patch) {
                    (Some(context), _) => format!("context {context}"),
                    (_, Some(patch)) => format!("patch {patch}"),
                    _ => String::new(),
                };
                format!("transformer {layers} × {width}, {heads} heads, {input}")
            }
        };
        (data, model, self.label_noise)
    }

    fn model(&self) -> String {
        // A description that came from a text has no numbers that JSON can't hold.
        serde_json::to_string(&self.model).unwrap_or_default()
    }
}

impl Builder {
    fn problem(&self, seed: u64) -> Built {
        let data = match &self.source {
            Source::Teacher(sizes) => {
                let TeacherSizes { features, hidden, classes, .. } = *sizes;
                let last = if hidden == 0 { features } else { hidden };
                self.check_memory(8 * (hidden as u128 * features as u128 + classes as u128 * last as u128))?;
                let count = self.training.unwrap_or(1024);
                self.check_vectors(count, self.validation, features)?;
                let teacher = Teacher::new(*sizes, seed);
                let training = teacher.examples(count, &mut stream(seed, Purpose::TrainingExamples));
                let validation = teacher.examples(self.validation, &mut stream(seed, Purpose::ValidationExamples));
                return self.drawn(training, &validation, seed);
            }
            Source::Table(sizes) => {
                let rows = self.training.unwrap_or(TABLE_ROWS);
                let columns = sizes.categories.iter().fold(sizes.numeric, |sum, count| sum.saturating_add(*count));
                // The rows, and what the trees say of each.
                self.check_vectors(rows, self.validation, columns)?;
                self.check_memory((8 * sizes.trees as u128 * sizes.classes as u128) << sizes.depth)?;
                let table = Table::new(sizes.clone(), seed);
                let (training, validation) = table.examples(rows, self.validation, seed);
                return self.drawn(training, &validation, seed);
            }
            Source::Language { sizes, language } => {
                let (states, words) = (sizes.states as u128, sizes.vocabulary as u128);
                // The tokens of each state, their probabilities where the entropy is told, and the next states.
                self.check_memory(10 * states * words + 8 * (states + 2 * sizes.successors as u128) * states)?;
                let language = language.get_or_init(|| Arc::new(Language::new(*sizes)));
                let (model, context) = self.language_model(sizes.vocabulary)?;
                let windows = self.training.unwrap_or(2048);
                let length = |windows: usize| windows.saturating_mul(context).saturating_add(1);
                if length(windows).max(length(self.validation)) > LARGEST {
                    let reason = format!("texts of more than {LARGEST} tokens; lower `training`, `validation` or `context`");
                    return Err(TaskError::Description { place: self.place.clone(), reason });
                }
                let training = language.text(length(windows), &mut stream(seed, Purpose::TrainingExamples));
                let validation = language.text(length(self.validation), &mut stream(seed, Purpose::ValidationExamples));
                let held: Vec<u32> = (0..self.validation as u32).collect();
                let bound = self.bound(model, seed)?;
                return Ok(Arc::new(TextProblem::new(bound, context, Arc::new(training), windows, &validation, &held)));
            }
            Source::Files(data) => data,
        };
        let mut random = stream(seed, Purpose::Split);
        match self.load(data)? {
            Examples::Images { set, image } => {
                let held = self.count("validation examples", Some(self.validation), set.len().saturating_sub(1))?;
                let used = self.count("training examples", self.training, set.len() - held)?;
                let order = shuffled(set.len(), &mut random);
                let (held, rest) = order.split_at(held);
                self.vectors(Arc::clone(&set), &rest[..used], &set, held, Some(image), seed)
            }
            Examples::Split { training, validation, image } => {
                let used = self.count("training examples", self.training, training.len())?;
                let held = self.count("validation examples", Some(self.validation), validation.len())?;
                let rows = shuffled(training.len(), &mut random);
                let held_rows = shuffled(validation.len(), &mut random);
                self.vectors(training, &rows[..used], &validation, &held_rows[..held], Some(image), seed)
            }
            Examples::Text { text, training } => {
                let (model, context) = self.language_model(text.vocabulary)?;
                let (learned, held) = text.tokens.split_at(training);
                let windows = self.count("training windows of text", self.training, windows_of(learned.len(), context))?;
                let available = windows_of(held.len(), context);
                let used = self.count("validation windows of text", Some(self.validation), available)?;
                // Evenly spread over the held-out part.
                let held_windows: Vec<u32> = (0..used).map(|i| (i * available / used) as u32).collect();
                let bound = self.bound(model, seed)?;
                let learned = Arc::new(learned.to_vec());
                Ok(Arc::new(TextProblem::new(bound, context, learned, windows, held, &held_windows)))
            }
        }
    }
}
