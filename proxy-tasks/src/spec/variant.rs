//! The same task at another width, batch or horizon: what a ranking of optimizers should survive.

use serde::Serialize;

use super::model::ModelSpec;
use super::suite::SuiteSource;
use super::task::TaskSpec;
use crate::error::TaskError;

/// How a task differs from the one in the suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// Hidden layers, or the residual stream and its perceptrons, of twice the width.
    Wide,
    /// Four times as many examples in a batch.
    Batch,
    /// Twice as many steps.
    Long,
}

impl Variant {
    /// All of them.
    pub const ALL: [Variant; 3] = [Variant::Wide, Variant::Batch, Variant::Long];

    /// One word for it, which stands behind the names of tasks.
    pub fn name(self) -> &'static str {
        match self {
            Variant::Wide => "wide",
            Variant::Batch => "batch",
            Variant::Long => "long",
        }
    }

    /// The name of the variant of a task.
    pub fn name_of(self, task: &str) -> String {
        format!("{task} {}", self.name())
    }

    /// The task so changed; `None` where there is nothing to change.
    fn of(self, task: &TaskSpec) -> Option<TaskSpec> {
        let mut changed = TaskSpec { name: self.name_of(&task.name), ..task.clone() };
        match self {
            Variant::Wide => match &mut changed.model {
                ModelSpec::Linear {} => return None,
                ModelSpec::Mlp { hidden, .. } => {
                    hidden.iter_mut().for_each(|width| *width = width.saturating_mul(2));
                }
                ModelSpec::Transformer { width, hidden, .. } => {
                    *width = width.saturating_mul(2);
                    *hidden = hidden.saturating_mul(2);
                }
            },
            Variant::Batch => {
                changed.batch = task.batch.saturating_mul(4);
                if task.training.is_some_and(|training| changed.batch > training) {
                    return None;
                }
            }
            Variant::Long => changed.steps = task.steps.saturating_mul(2),
        }
        Some(changed)
    }
}

impl SuiteSource {
    /// The suite with its tasks, each followed by its variants. Commands of the user's have none.
    pub fn with_variants(&self) -> Result<SuiteSource, TaskError> {
        let mut spec = self.spec()?;
        let tasks = std::mem::take(&mut spec.tasks);
        for task in tasks {
            let changed = Variant::ALL.map(|variant| variant.of(task.get_ref()));
            let span = task.span();
            spec.tasks.push(task);
            let spanned = |task| toml::Spanned::new(span.clone(), task);
            spec.tasks.extend(changed.into_iter().flatten().map(spanned));
        }
        let text = toml::to_string(&spec).map_err(|error| TaskError::Description {
            place: format!("suite {}", self.name),
            reason: error.to_string(),
        })?;
        Ok(SuiteSource { name: self.name.clone(), text })
    }
}
