//! The model of a task.

use serde::{Deserialize, Serialize};

use super::data::DataSpec;
use super::limits::at_least_one;
use crate::model::{Activation, Pooling};

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

impl ModelSpec {
    /// Says what is wrong with the description for such data, of which a share of the labels is
    /// random.
    pub(super) fn check(&self, data: &DataSpec, label_noise: f64) -> Result<(), String> {
        match self {
            ModelSpec::Linear {} | ModelSpec::Mlp { .. } if data.is_text() => {
                Err("text data needs `kind = \"transformer\"` in [task.model]".to_owned())
            }
            ModelSpec::Linear {} | ModelSpec::Mlp { .. } => Ok(()),
            ModelSpec::Transformer { context, patch, pooling, .. } => {
                if data.is_text() {
                    if patch.is_some() || pooling.is_some() {
                        return Err(
                            "`patch` and `pooling` are for images; a language model has neither"
                                .to_owned(),
                        );
                    }
                    if label_noise > 0.0 {
                        return Err("`label_noise` is for classification; a language model has no labels but its text".to_owned());
                    }
                    let context = context
                        .ok_or("a language model needs `context`, the tokens of a window")?;
                    return at_least_one("context", context);
                }
                if context.is_some() {
                    return Err("`context` is for text; images have `patch`".to_owned());
                }
                if !data.is_images() {
                    return Err("the inputs of a teacher or a table are no images; use `kind = \"linear\"` or \"mlp\"".to_owned());
                }
                let patch = patch
                    .ok_or("a classifier of images needs `patch`, the side of a patch in pixels")?;
                at_least_one("patch", patch)
            }
        }
    }
}
