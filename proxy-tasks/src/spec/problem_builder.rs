//! From the description of a task to its problems: the examples of a seed, and a model bound to
//! them.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::data::DataSpec;
use super::limits::{LARGEST, TABLE_ROWS};
use super::model::ModelSpec;
use crate::data::bundled::{self, BundledTable, BundledText};
use crate::data::csv::{self, Columns};
use crate::data::language::{Language, LanguageSizes};
use crate::data::raw_images::{ImageSizes, raw_images};
use crate::data::tabular::{Table, TableSizes};
use crate::data::teacher::{Teacher, TeacherSizes, Weights};
use crate::data::text::{Text, text};
use crate::data::{DataError, Vectors, cifar10, digits, mnist};
use crate::error::TaskError;
use crate::memory;
use crate::model::{Image, Linear, Mlp, Model, ModelError, Pooling, Transformer, TransformerSizes};
use crate::rng::{Purpose, stream};
use crate::run::problem::{Bound, TextProblem, VectorProblem};
use crate::run::training::{Problem, ProblemBuilder};

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

/// The part of a text inside the crate that is for validation.
const BUNDLED_HELD_OUT: f64 = 0.1;

impl Examples {
    /// The rows of a table: images of one row, as far as a model asks.
    fn table(set: Vectors) -> Examples {
        let image = [1, set.features, 1];
        Examples::Images { set: Arc::new(set), image }
    }

    /// A text whose last part is for validation.
    fn text(text: Text, held_out: f64) -> Examples {
        let training = ((1.0 - held_out) * text.tokens.len() as f64) as usize;
        Examples::Text { text: Arc::new(text), training }
    }
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

/// Requirements of a task on its examples.
pub(super) struct Wanted {
    /// Name of the task.
    pub task: String,
    /// Where the description stands, for errors.
    pub place: String,
    /// Examples in a batch.
    pub batch: usize,
    /// Training examples; what the data has if it is not said.
    pub training: Option<usize>,
    /// Validation examples.
    pub validation: usize,
    /// Share of the training labels that are random.
    pub label_noise: f64,
}

/// Makes the problems of a [`TaskSpec`](super::TaskSpec).
pub(super) struct Builder {
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
    /// A builder that has loaded nothing yet.
    pub(super) fn new(data: DataSpec, model: ModelSpec, wanted: Wanted) -> Builder {
        let Wanted { task, place, batch, training, validation, label_noise } = wanted;
        let (source, examples) = (Source::new(data), Mutex::new(None));
        Builder { task, place, batch, training, validation, label_noise, source, model, examples }
    }

    fn data_error(&self, error: &DataError) -> TaskError {
        TaskError::Data { task: self.task.clone(), reason: error.to_string() }
    }

    fn model_error(&self, error: &ModelError) -> TaskError {
        TaskError::Description { place: self.place.clone(), reason: error.to_string() }
    }

    fn wrong(&self, reason: &str) -> TaskError {
        TaskError::Description { place: self.place.clone(), reason: reason.to_owned() }
    }

    /// The examples in files, loaded once.
    fn load(&self, data: &DataSpec) -> Result<Examples, TaskError> {
        let mut kept = self.examples.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(examples) = &*kept {
            return Ok(examples.clone());
        }
        let loaded = match data {
            DataSpec::Digits {} => {
                Ok(Examples::Images { set: Arc::new(digits::digits()), image: [8, 8, 1] })
            }
            DataSpec::FashionMnist {} => {
                bundled::fashion_mnist().map(|(training, validation)| Examples::Split {
                    training: Arc::new(training),
                    validation: Arc::new(validation),
                    image: [bundled::FASHION_SIDE, bundled::FASHION_SIDE, 1],
                })
            }
            DataSpec::BundledTable { table, label } => {
                bundled::table(*table, label.as_deref()).map(Examples::table)
            }
            DataSpec::BundledText { text, unit, vocabulary } => {
                bundled::text(*text, *unit, *vocabulary)
                    .map(|text| Examples::text(text, BUNDLED_HELD_OUT))
            }
            DataSpec::Csv { path, label, categorical, delimiter } => {
                let label = label.as_deref();
                let columns = Columns { label, categorical, delimiter: *delimiter };
                csv::csv(path, &columns).map(Examples::table)
            }
            DataSpec::Mnist { path } => {
                mnist::mnist(path).map(|(training, validation, [height, width])| Examples::Split {
                    training: Arc::new(training),
                    validation: Arc::new(validation),
                    image: [height, width, 1],
                })
            }
            DataSpec::Cifar10 { path } => {
                cifar10::cifar10(path).map(|(training, validation)| Examples::Split {
                    training: Arc::new(training),
                    validation: Arc::new(validation),
                    image: [32, 32, 3],
                })
            }
            DataSpec::RawImages { images, labels, height, width, channels, classes } => {
                let sizes = ImageSizes {
                    height: *height,
                    width: *width,
                    channels: *channels,
                    classes: *classes,
                };
                let image = [*height, *width, *channels];
                raw_images(images, labels, sizes)
                    .map(|set| Examples::Images { set: Arc::new(set), image })
            }
            DataSpec::Text { path, unit, vocabulary, held_out } => {
                text(path, *unit, *vocabulary).map(|text| Examples::text(text, *held_out))
            }
            DataSpec::Teacher { .. } | DataSpec::Tabular { .. } | DataSpec::Language { .. } => {
                return Err(self.wrong("its examples are drawn, not loaded"));
            }
        };
        let examples = loaded.map_err(|error| self.data_error(&error))?;
        *kept = Some(examples.clone());
        Ok(examples)
    }

    fn vector_model(
        &self,
        features: usize,
        classes: usize,
        image: Option<Shape>,
    ) -> Result<Arc<dyn Model<f32>>, TaskError> {
        let model = match &self.model {
            ModelSpec::Linear {} => {
                Linear::new(features, classes).map(|model| Arc::new(model) as Arc<dyn Model<f32>>)
            }
            ModelSpec::Mlp { hidden, activation } => {
                Mlp::new(features, hidden, classes, *activation)
                    .map(|model| Arc::new(model) as Arc<dyn Model<f32>>)
            }
            ModelSpec::Transformer {
                layers,
                width,
                heads,
                hidden,
                activation,
                patch,
                pooling,
                ..
            } => {
                let sizes = TransformerSizes {
                    layers: *layers,
                    width: *width,
                    heads: *heads,
                    hidden: *hidden,
                    activation: *activation,
                };
                let [rows, columns, channels] = image.unwrap_or([1, features, 1]);
                let image =
                    Image { height: rows, width: columns, channels, patch: patch.unwrap_or(1) };
                Transformer::vision(sizes, image, classes, pooling.unwrap_or(Pooling::Mean))
                    .map(|model| Arc::new(model) as Arc<dyn Model<f32>>)
            }
        };
        model.map_err(|error| self.model_error(&error))
    }

    fn language_model(&self, vocabulary: usize) -> Result<(Arc<dyn Model<f32>>, usize), TaskError> {
        let ModelSpec::Transformer { layers, width, heads, hidden, activation, context, .. } =
            &self.model
        else {
            return Err(self.wrong("text data needs a transformer"));
        };
        let context = context.unwrap_or(1);
        let sizes = TransformerSizes {
            layers: *layers,
            width: *width,
            heads: *heads,
            hidden: *hidden,
            activation: *activation,
        };
        let model = Transformer::language(sizes, vocabulary, context)
            .map_err(|error| self.model_error(&error))?;
        Ok((Arc::new(model), context))
    }

    fn bound(&self, model: Arc<dyn Model<f32>>, seed: u64) -> Result<Bound, TaskError> {
        Bound::new(model, self.batch, seed)
            .map_err(|reason| TaskError::Description { place: self.place.clone(), reason })
    }

    /// Refuses examples that the memory does not hold, in so many bytes.
    fn check_memory(&self, bytes: u128) -> Result<(), TaskError> {
        memory::check(bytes).map_err(|shortage| TaskError::Description {
            place: self.place.clone(),
            reason: shortage.to_string(),
        })
    }

    /// The same for vectors that are drawn or copied; validation examples lie in the memory as rows
    /// and as columns, beside where they came from.
    fn check_vectors(
        &self,
        training: usize,
        held: usize,
        features: usize,
    ) -> Result<(), TaskError> {
        let rows = training as u128 + 3 * held as u128;
        self.check_memory(4 * rows * (features as u128 + 2))
    }

    /// How many of the available examples are used.
    fn count(
        &self,
        what: &'static str,
        wanted: Option<usize>,
        available: usize,
    ) -> Result<usize, TaskError> {
        let wanted = wanted.unwrap_or(available);
        if wanted == 0 || wanted > available {
            return Err(self.data_error(&DataError::TooFew {
                what,
                wanted: wanted.max(1),
                available,
            }));
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

    fn vectors(
        &self,
        training: Arc<Vectors>,
        rows: &[u32],
        validation: &Vectors,
        held: &[u32],
        image: Option<Shape>,
        seed: u64,
    ) -> Built {
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
            let reason =
                format!("`batch` = {} is more than the {examples} training examples", self.batch);
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
                let shape = if *hidden == 0 {
                    format!("{features}-{classes}")
                } else {
                    format!("{features}-{hidden}-{classes}")
                };
                format!("random teacher {shape}, weights {weights}, scale {scale}")
            }
            Source::Table(sizes) => {
                let TableSizes { numeric, categories, classes, trees, depth, scale } = sizes;
                let categories: Vec<String> = categories.iter().map(usize::to_string).collect();
                let categories = if categories.is_empty() {
                    String::new()
                } else {
                    format!(" and {} categories", categories.join("+"))
                };
                format!(
                    "table of {numeric} numbers{categories}, {classes} classes by {trees} trees of depth {depth}, scale {scale}"
                )
            }
            Source::Language { sizes, language } => {
                let rate =
                    language.get_or_init(|| Arc::new(Language::new(*sizes))).entropy_rate(20_000);
                format!(
                    "hidden Markov language: {} tokens, {} states, entropy rate {rate:.3} nats",
                    sizes.vocabulary, sizes.states
                )
            }
            Source::Files(DataSpec::Digits {}) => "UCI digits, 8 × 8".to_owned(),
            Source::Files(DataSpec::FashionMnist {}) => "Fashion-MNIST, 14 × 14".to_owned(),
            Source::Files(DataSpec::BundledTable { table, label }) => {
                let table = match table {
                    BundledTable::Flights => "table of flights",
                    BundledTable::Diamonds => "table of diamonds",
                };
                format!("{table}: the {}", label.as_deref().unwrap_or("last column"))
            }
            Source::Files(DataSpec::BundledText { text, unit, .. }) => {
                let text = match text {
                    BundledText::Glosses => "definitions of nouns",
                    BundledText::PythonSources => "sources in Python",
                };
                format!("{text} by {}", format!("{unit:?}").to_lowercase())
            }
            Source::Files(DataSpec::Csv { path, .. }) => format!("table {}", path.display()),
            Source::Files(DataSpec::Mnist { path }) => format!("MNIST files in {}", path.display()),
            Source::Files(DataSpec::Cifar10 { path }) => {
                format!("CIFAR-10 files in {}", path.display())
            }
            Source::Files(DataSpec::RawImages { images, height, width, .. }) => {
                format!("images {height} × {width} in {}", images.display())
            }
            Source::Files(DataSpec::Text { path, .. }) => format!("text {}", path.display()),
            Source::Files(
                DataSpec::Teacher { .. } | DataSpec::Tabular { .. } | DataSpec::Language { .. },
            ) => String::new(),
        };
        let model = match &self.model {
            ModelSpec::Linear {} => "softmax regression".to_owned(),
            ModelSpec::Mlp { hidden, activation } => {
                let widths: Vec<String> = hidden.iter().map(usize::to_string).collect();
                format!(
                    "perceptron with hidden {} ({})",
                    widths.join("-"),
                    format!("{activation:?}").to_lowercase()
                )
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
                self.check_memory(
                    8 * (hidden as u128 * features as u128 + classes as u128 * last as u128),
                )?;
                let count = self.training.unwrap_or(1024);
                self.check_vectors(count, self.validation, features)?;
                let teacher = Teacher::new(*sizes, seed);
                let training =
                    teacher.examples(count, &mut stream(seed, Purpose::TrainingExamples));
                let validation = teacher
                    .examples(self.validation, &mut stream(seed, Purpose::ValidationExamples));
                return self.drawn(training, &validation, seed);
            }
            Source::Table(sizes) => {
                let rows = self.training.unwrap_or(TABLE_ROWS);
                let columns = sizes
                    .categories
                    .iter()
                    .fold(sizes.numeric, |sum, count| sum.saturating_add(*count));
                // The rows, and what the trees say of each.
                self.check_vectors(rows, self.validation, columns)?;
                self.check_memory(
                    (8 * sizes.trees as u128 * sizes.classes as u128) << sizes.depth,
                )?;
                let table = Table::new(sizes.clone(), seed);
                let (training, validation) = table.examples(rows, self.validation, seed);
                return self.drawn(training, &validation, seed);
            }
            Source::Language { sizes, language } => {
                let (states, words) = (sizes.states as u128, sizes.vocabulary as u128);
                // The tokens of each state, their probabilities where the entropy is told, and the
                // next states.
                self.check_memory(
                    10 * states * words + 8 * (states + 2 * sizes.successors as u128) * states,
                )?;
                let language = language.get_or_init(|| Arc::new(Language::new(*sizes)));
                let (model, context) = self.language_model(sizes.vocabulary)?;
                let windows = self.training.unwrap_or(2048);
                let length = |windows: usize| windows.saturating_mul(context).saturating_add(1);
                if length(windows).max(length(self.validation)) > LARGEST {
                    let reason = format!(
                        "texts of more than {LARGEST} tokens; lower `training`, `validation` or `context`"
                    );
                    return Err(TaskError::Description { place: self.place.clone(), reason });
                }
                let training =
                    language.text(length(windows), &mut stream(seed, Purpose::TrainingExamples));
                let validation = language
                    .text(length(self.validation), &mut stream(seed, Purpose::ValidationExamples));
                let held: Vec<u32> = (0..self.validation as u32).collect();
                let bound = self.bound(model, seed)?;
                return Ok(Arc::new(TextProblem::new(
                    bound,
                    context,
                    Arc::new(training),
                    windows,
                    &validation,
                    &held,
                )));
            }
            Source::Files(data) => data,
        };
        let mut random = stream(seed, Purpose::Split);
        match self.load(data)? {
            Examples::Images { set, image } => {
                let held = self.count(
                    "validation examples",
                    Some(self.validation),
                    set.len().saturating_sub(1),
                )?;
                let used = self.count("training examples", self.training, set.len() - held)?;
                let order = shuffled(set.len(), &mut random);
                let (held, rest) = order.split_at(held);
                self.vectors(Arc::clone(&set), &rest[..used], &set, held, Some(image), seed)
            }
            Examples::Split { training, validation, image } => {
                let used = self.count("training examples", self.training, training.len())?;
                let held =
                    self.count("validation examples", Some(self.validation), validation.len())?;
                let rows = shuffled(training.len(), &mut random);
                let held_rows = shuffled(validation.len(), &mut random);
                self.vectors(
                    training,
                    &rows[..used],
                    &validation,
                    &held_rows[..held],
                    Some(image),
                    seed,
                )
            }
            Examples::Text { text, training } => {
                let (model, context) = self.language_model(text.vocabulary)?;
                let (learned, held) = text.tokens.split_at(training);
                let windows = self.count(
                    "training windows of text",
                    self.training,
                    windows_of(learned.len(), context),
                )?;
                let available = windows_of(held.len(), context);
                let used =
                    self.count("validation windows of text", Some(self.validation), available)?;
                // Evenly spread over the held-out part.
                let held_windows: Vec<u32> =
                    (0..used).map(|i| (i * available / used) as u32).collect();
                let bound = self.bound(model, seed)?;
                let learned = Arc::new(learned.to_vec());
                Ok(Arc::new(TextProblem::new(
                    bound,
                    context,
                    learned,
                    windows,
                    held,
                    &held_windows,
                )))
            }
        }
    }
}
