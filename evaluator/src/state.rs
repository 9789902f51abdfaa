//! An optimizer's state in a file: safetensors, with the program's hash inside.
//!
//! A file holds one tensor for each live slot and parameter array, named `SLOT/ARRAY`, F32 or BF16,
//! and one metadata entry, `symopt`, a JSON object with the format version, the program's name and
//! functional hash, the step count, the hyperparameters with their overrides, and the seed of
//! stochastic rounding if that is in use. Loading a state that does not fit the optimizer is an
//! error, never a silent reset.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use half::bf16;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use crate::engine::saved_state::SavedState;
use crate::error::{OptimizerError, StateError};
use crate::hyperparameters::Override;
use crate::optimizer::Optimizer;
use crate::storage::{Rounding, SlotValues, Storage, Values};

/// Goes up when a file of an earlier version can't be read as if it were of this one.
///
/// Version 2 has overrides, bf16 slots and the seed of stochastic rounding; files of version 1 are
/// read as having none of them.
pub const STATE_FORMAT_VERSION: u32 = 2;

const METADATA_KEY: &str = "symopt";

#[derive(Debug, Serialize, Deserialize)]
struct Metadata {
    version: u32,
    program: String,
    hash: String,
    step: u64,
    hyperparameters: Vec<(String, Number)>,
    /// Pattern, name and value of each override.
    #[serde(default)]
    overrides: Vec<(String, String, Number)>,
    /// The seed of stochastic rounding; none where numbers are rounded to the nearest.
    #[serde(default)]
    rounding_seed: Option<u64>,
}

/// The part of the metadata that every version has.
#[derive(Debug, Deserialize)]
struct Version {
    version: u32,
}

/// A hyperparameter's value. JSON has no word for what is not finite, so that is a string: `NaN`,
/// `inf` or `-inf`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Number {
    Finite(f64),
    NotFinite(String),
}

impl Number {
    fn new(value: f64) -> Number {
        if value.is_finite() { Number::Finite(value) } else { Number::NotFinite(value.to_string()) }
    }

    fn value(&self) -> Option<f64> {
        match self {
            Number::Finite(value) => Some(*value),
            Number::NotFinite(word) => word.parse().ok(),
        }
    }
}

fn dtype(storage: Storage) -> Dtype {
    match storage {
        Storage::F32 => Dtype::F32,
        Storage::Bf16 => Dtype::BF16,
    }
}

impl Optimizer {
    /// The state as the bytes of a safetensors file. The same state gives the same bytes.
    pub fn save_bytes(&self) -> Result<Vec<u8>, OptimizerError> {
        let metadata = Metadata {
            version: STATE_FORMAT_VERSION,
            program: self.program_name().to_owned(),
            hash: self.hash().to_string(),
            step: self.steps(),
            hyperparameters: self
                .hyperparameters()
                .iter()
                .map(|h| (h.name.clone(), Number::new(h.value)))
                .collect(),
            overrides: self
                .overrides()
                .iter()
                .map(|o| (o.pattern.clone(), o.name.clone(), Number::new(o.value)))
                .collect(),
            rounding_seed: match self.rounding() {
                Rounding::Nearest => None,
                Rounding::Stochastic { seed } => Some(seed),
            },
        };
        let malformed = |reason: String| StateError::Malformed { reason };
        let json = serde_json::to_string(&metadata).map_err(|e| malformed(e.to_string()))?;
        let mut tensors: Vec<(String, Vec<usize>, Dtype, Vec<u8>)> = Vec::new();
        for (slot, values) in self.slots() {
            for array in self.layout().arrays() {
                let bytes = match values {
                    Values::F32(values) => {
                        values[array.range.clone()].iter().flat_map(|x| x.to_le_bytes()).collect()
                    }
                    Values::Bf16(values) => {
                        values[array.range.clone()].iter().flat_map(|x| x.to_le_bytes()).collect()
                    }
                };
                tensors.push((
                    format!("{slot}/{}", array.name),
                    array.shape.clone(),
                    dtype(values.storage()),
                    bytes,
                ));
            }
        }
        let mut views = Vec::new();
        for (name, shape, dtype, bytes) in &tensors {
            let view = TensorView::new(*dtype, shape.clone(), bytes)
                .map_err(|e| malformed(e.to_string()))?;
            views.push((name.as_str(), view));
        }
        // A map with one key: its order can't differ from run to run.
        let header = HashMap::from([(METADATA_KEY.to_owned(), json)]);
        Ok(safetensors::serialize(views, Some(header)).map_err(|e| malformed(e.to_string()))?)
    }

    /// Takes over the state, the step count and the hyperparameters from the bytes of a state file.
    /// On an error nothing has changed.
    pub fn load_bytes(&mut self, bytes: &[u8]) -> Result<(), OptimizerError> {
        let malformed = |reason: String| StateError::Malformed { reason };
        let (_, header) =
            SafeTensors::read_metadata(bytes).map_err(|e| malformed(e.to_string()))?;
        let json = header.metadata().as_ref().and_then(|m| m.get(METADATA_KEY));
        let json =
            json.ok_or_else(|| malformed(format!("it has no metadata entry {METADATA_KEY:?}")))?;
        // The version alone first: a later one may have changed the rest.
        let Version { version } =
            serde_json::from_str(json).map_err(|e| malformed(e.to_string()))?;
        if version > STATE_FORMAT_VERSION {
            return Err(StateError::Version { found: version, newest: STATE_FORMAT_VERSION }.into());
        }
        let metadata: Metadata =
            serde_json::from_str(json).map_err(|e| malformed(e.to_string()))?;
        if metadata.hash != self.hash().to_string() {
            return Err(StateError::Program {
                found_program: metadata.program,
                found_hash: metadata.hash,
                program: self.program_name().to_owned(),
                hash: self.hash().to_string(),
            }
            .into());
        }
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| malformed(e.to_string()))?;
        let mismatch = |reason: String| StateError::Mismatch { reason };
        let mut slots = Vec::new();
        let mut expected = 0;
        for (index, (slot, kept)) in self.slots().enumerate() {
            let mut values = SlotValues::zeros(kept.storage(), self.layout().len(), index);
            for array in self.layout().arrays() {
                expected += 1;
                let name = format!("{slot}/{}", array.name);
                let tensor =
                    tensors.tensor(&name).map_err(|_| mismatch(format!("{name} is missing")))?;
                let dtype = dtype(kept.storage());
                if tensor.dtype() != dtype || tensor.shape() != array.shape {
                    let found = format!(
                        "{name} is {:?} {:?}, expected {dtype:?} {:?}",
                        tensor.dtype(),
                        tensor.shape(),
                        array.shape
                    );
                    return Err(mismatch(found).into());
                }
                match &mut values {
                    SlotValues::F32(values) => {
                        let (chunks, _) = tensor.data().as_chunks::<4>();
                        values[array.range.clone()]
                            .iter_mut()
                            .zip(chunks)
                            .for_each(|(value, bytes)| *value = f32::from_le_bytes(*bytes));
                    }
                    SlotValues::Bf16(values) => {
                        let (chunks, _) = tensor.data().as_chunks::<2>();
                        values[array.range.clone()]
                            .iter_mut()
                            .zip(chunks)
                            .for_each(|(value, bytes)| *value = bf16::from_le_bytes(*bytes));
                    }
                }
            }
            slots.push(values);
        }
        if tensors.len() != expected {
            return Err(mismatch(format!("{} tensors, expected {expected}", tensors.len())).into());
        }
        let number = |name: &str, value: &Number| {
            value.value().ok_or_else(|| {
                malformed(format!("the value of the hyperparameter {name:?} is no number"))
            })
        };
        let (mut hyperparameters, mut overrides) = (Vec::new(), Vec::new());
        for (name, value) in &metadata.hyperparameters {
            hyperparameters.push((name.clone(), number(name, value)?));
        }
        for (pattern, name, value) in &metadata.overrides {
            overrides.push(Override {
                pattern: pattern.clone(),
                name: name.clone(),
                value: number(name, value)?,
            });
        }
        let rounding =
            metadata.rounding_seed.map_or(Rounding::Nearest, |seed| Rounding::Stochastic { seed });
        self.restore(SavedState {
            step: metadata.step,
            slots,
            hyperparameters,
            overrides,
            rounding,
        })
    }

    /// Saves the state to a file. The file is replaced as a whole: a crash leaves the old one or
    /// the new one.
    pub fn save(&self, path: &Path) -> Result<(), OptimizerError> {
        let bytes = self.save_bytes()?;
        Ok(symopt_files::write(path, &bytes).map_err(StateError::from)?)
    }

    /// Loads the state from a file.
    pub fn load(&mut self, path: &Path) -> Result<(), OptimizerError> {
        let bytes =
            fs::read(path).map_err(|source| StateError::File { path: path.to_owned(), source })?;
        self.load_bytes(&bytes)
    }
}
