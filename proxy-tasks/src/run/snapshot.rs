//! A training run in the middle: all that it takes to go on and end with the same bits.
//!
//! A snapshot is taken at a checkpoint of the curve. As a file it is safetensors: the weights as
//! `weights/ARRAY`, the optimizer's state file as the bytes of one tensor, `optimizer`, and one
//! metadata entry, `symopt`, with which run it is, the curve so far, and a checksum of all of it.
//! The batches of a run are a function of its seed, drawn in order, so the number of steps done is
//! also the position of its random numbers.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use symopt_evaluator::Layout;

use crate::digest::Digest;
use crate::error::SnapshotError;
use crate::run::Checkpoint;

/// Goes up when a file of an earlier version can't be read as if it were of this one.
pub const SNAPSHOT_FORMAT_VERSION: u32 = 1;

const METADATA_KEY: &str = "symopt";
const OPTIMIZER: &str = "optimizer";
const WEIGHTS: &str = "weights/";

/// Which run of which task: runs of one identity have the same bits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunIdentity {
    /// Name of the task.
    pub task: String,
    /// Digest of everything that the task consists of under this seed: data, model, weights before
    /// training, steps, batch, schedule, checkpoints.
    pub fingerprint: String,
    /// The seed.
    pub seed: u64,
    /// Name of the program, for people.
    pub program: String,
    /// Its functional hash.
    pub hash: String,
    /// The learning rate at the peak of the schedule.
    pub peak_lr: f64,
    /// All hyperparameters of the program.
    pub hyperparameters: Vec<(String, f64)>,
}

/// A run at one of its checkpoints.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Which run it is.
    pub run: RunIdentity,
    /// The curve so far; its last point is where the run stands.
    pub curve: Vec<Checkpoint>,
    /// The parameter arrays.
    pub layout: Layout,
    /// The weights, laid out as `layout` says.
    pub weights: Vec<f32>,
    /// The optimizer's state, as [`Optimizer::save_bytes`](symopt_evaluator::Optimizer::save_bytes)
    /// has it.
    pub optimizer: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Metadata {
    version: u32,
    checksum: String,
    snapshot: Body,
}

/// The part of the metadata that every version has.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct Body {
    run: RunIdentity,
    curve: Vec<Checkpoint>,
}

impl RunIdentity {
    /// Returns the first difference between two runs, the most important first: the thing, and its
    /// value in each.
    fn difference(&self, other: &RunIdentity) -> Option<(String, String, String)> {
        let of = |what: &str, a: &dyn std::fmt::Display, b: &dyn std::fmt::Display| {
            Some((what.to_owned(), a.to_string(), b.to_string()))
        };
        if self.task != other.task {
            return of("the task", &self.task, &other.task);
        }
        if self.seed != other.seed {
            return of("the seed", &self.seed, &other.seed);
        }
        if self.fingerprint != other.fingerprint {
            return of(
                "what the task is made of (data, model, steps, schedule)",
                &self.fingerprint,
                &other.fingerprint,
            );
        }
        if self.hash != other.hash {
            let program = |run: &RunIdentity| format!("{} ({})", run.program, run.hash);
            return of("the program", &program(self), &program(other));
        }
        if self.peak_lr != other.peak_lr {
            return of("the peak learning rate", &self.peak_lr, &other.peak_lr);
        }
        let value = |run: &RunIdentity, name: &str| {
            run.hyperparameters.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
        };
        let named = self.hyperparameters.iter().chain(&other.hyperparameters).map(|(name, _)| name);
        let text = |value: Option<f64>| {
            value.map_or_else(|| "absent".to_owned(), |value| value.to_string())
        };
        let changed = named
            .map(|name| (name, value(self, name), value(other, name)))
            .find(|(_, a, b)| a != b);
        changed.map(|(name, a, b)| (name.clone(), text(a), text(b)))
    }

    /// Fails where this is not the run that is expected. `place` says where this stands.
    pub(crate) fn check(&self, expected: &RunIdentity, place: &str) -> Result<(), SnapshotError> {
        let Some((what, found, expected)) = self.difference(expected) else { return Ok(()) };
        Err(SnapshotError::OtherRun { place: place.to_owned(), what, found, expected })
    }
}

impl Snapshot {
    /// Steps done.
    pub fn step(&self) -> usize {
        self.curve.last().map_or(0, |checkpoint| checkpoint.step)
    }

    fn checksum(body: &str, weights: &[f32], optimizer: &[u8]) -> String {
        let mut digest = Digest::new();
        digest.bytes(body.as_bytes());
        digest.floats(weights);
        digest.bytes(optimizer);
        digest.hex()
    }

    /// The bytes of a file. The same snapshot gives the same bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, String> {
        let body = Body { run: self.run.clone(), curve: self.curve.clone() };
        let text = serde_json::to_string(&body).map_err(|error| error.to_string())?;
        let checksum = Snapshot::checksum(&text, &self.weights, &self.optimizer);
        let metadata = Metadata { version: SNAPSHOT_FORMAT_VERSION, checksum, snapshot: body };
        let mut arrays = named_arrays(&self.layout, &self.weights, WEIGHTS);
        arrays.push((
            OPTIMIZER.to_owned(),
            Dtype::U8,
            vec![self.optimizer.len()],
            self.optimizer.clone(),
        ));
        tensors_to_bytes(
            &arrays,
            serde_json::to_string(&metadata).map_err(|error| error.to_string())?,
        )
    }

    /// The snapshot of a run over the arrays of a layout in the bytes of a file. `path` is for
    /// errors.
    pub fn from_bytes(
        bytes: &[u8],
        run: &RunIdentity,
        layout: &Layout,
        path: &Path,
    ) -> Result<Snapshot, SnapshotError> {
        let damaged = |reason: String| SnapshotError::Damaged { path: path.to_owned(), reason };
        let Metadata { checksum, snapshot, .. } = read_metadata(bytes, path)?;
        // Before the arrays: those of another model don't fit.
        snapshot.run.check(run, &path.display().to_string())?;
        let tensors =
            SafeTensors::deserialize(bytes).map_err(|error| damaged(error.to_string()))?;
        let tensor =
            |name: &str| tensors.tensor(name).map_err(|_| damaged(format!("{name} is missing")));
        let mut weights = vec![0.0; layout.len()];
        for array in layout.arrays() {
            let name = format!("{WEIGHTS}{}", array.name);
            let found = tensor(&name)?;
            if found.dtype() != Dtype::F32 || found.shape() != array.shape {
                let found = format!(
                    "{name} is {:?} {:?}, expected F32 {:?}",
                    found.dtype(),
                    found.shape(),
                    array.shape
                );
                return Err(damaged(found));
            }
            let (numbers, _) = found.data().as_chunks::<4>();
            weights[array.range.clone()]
                .iter_mut()
                .zip(numbers)
                .for_each(|(to, from)| *to = f32::from_le_bytes(*from));
        }
        let optimizer = tensor(OPTIMIZER)?.data().to_vec();
        let text = serde_json::to_string(&snapshot).map_err(|error| damaged(error.to_string()))?;
        if Snapshot::checksum(&text, &weights, &optimizer) != checksum {
            return Err(damaged("its checksum is wrong".to_owned()));
        }
        let Body { run, curve } = snapshot;
        Ok(Snapshot { run, curve, layout: layout.clone(), weights, optimizer })
    }
}

fn read_metadata(bytes: &[u8], path: &Path) -> Result<Metadata, SnapshotError> {
    let damaged = |reason: String| SnapshotError::Damaged { path: path.to_owned(), reason };
    let (_, header) =
        SafeTensors::read_metadata(bytes).map_err(|error| damaged(error.to_string()))?;
    let json = header.metadata().as_ref().and_then(|metadata| metadata.get(METADATA_KEY));
    let json = json.ok_or_else(|| damaged(format!("it has no metadata entry {METADATA_KEY:?}")))?;
    // The version alone first: a later one may have changed the rest.
    let Version { version } =
        serde_json::from_str(json).map_err(|error| damaged(error.to_string()))?;
    if version != SNAPSHOT_FORMAT_VERSION {
        return Err(SnapshotError::Version {
            path: path.to_owned(),
            found: version,
            expected: SNAPSHOT_FORMAT_VERSION,
        });
    }
    serde_json::from_str(json).map_err(|error| damaged(error.to_string()))
}

/// A tensor of a file: name, type, shape, bytes.
type Tensor = (String, Dtype, Vec<usize>, Vec<u8>);

/// The arrays of a flat buffer, with something before their names.
fn named_arrays(layout: &Layout, values: &[f32], before: &str) -> Vec<Tensor> {
    let bytes = |range: std::ops::Range<usize>| {
        values[range].iter().flat_map(|x| x.to_le_bytes()).collect()
    };
    let tensor = |array: &symopt_evaluator::ArraySpec| {
        (
            format!("{before}{}", array.name),
            Dtype::F32,
            array.shape.clone(),
            bytes(array.range.clone()),
        )
    };
    layout.arrays().iter().map(tensor).collect()
}

fn tensors_to_bytes(tensors: &[Tensor], metadata: String) -> Result<Vec<u8>, String> {
    let mut views = Vec::with_capacity(tensors.len());
    for (name, dtype, shape, bytes) in tensors {
        views.push((
            name.as_str(),
            TensorView::new(*dtype, shape.clone(), bytes).map_err(|error| error.to_string())?,
        ));
    }
    // A map with one key: its order can't differ from run to run.
    let header = HashMap::from([(METADATA_KEY.to_owned(), metadata)]);
    safetensors::serialize(views, Some(header)).map_err(|error| error.to_string())
}

/// The weights of runs as the bytes of a safetensors file, for use elsewhere: those of one run as
/// `ARRAY`, those of several as `NAME/SEED/ARRAY`, with a list of the runs as the metadata entry
/// `symopt`.
pub fn weights_to_bytes(runs: &[(&str, &Snapshot)]) -> Result<Vec<u8>, String> {
    let before = |name: &str, snapshot: &Snapshot| {
        if runs.len() == 1 { String::new() } else { format!("{name}/{}/", snapshot.run.seed) }
    };
    let tensors: Vec<Tensor> = runs
        .iter()
        .flat_map(|(name, snapshot)| {
            named_arrays(&snapshot.layout, &snapshot.weights, &before(name, snapshot))
        })
        .collect();
    let identities: Vec<&RunIdentity> = runs.iter().map(|(_, snapshot)| &snapshot.run).collect();
    tensors_to_bytes(
        &tensors,
        serde_json::to_string(&identities).map_err(|error| error.to_string())?,
    )
}
