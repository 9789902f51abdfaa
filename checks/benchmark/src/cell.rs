//! A cell of the table: all engines over one program, size and number of threads.

use serde::Serialize;

use super::measurement::{self, Samples};
use super::size::Size;

/// Engine that ran the steps of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// The reference interpreter.
    Reference,
    /// The tile machine.
    TileMachine,
    /// The compiled kernel.
    Compiled,
    /// The compiled kernel with slots in bf16.
    CompiledBf16,
    /// The plain C loop.
    C,
    /// A Python library.
    Python,
}

/// One engine over one program, size and number of threads.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Row {
    /// Engine that ran the steps.
    pub engine: Engine,
    /// Its name, for people.
    pub name: String,
    /// Version of a peer.
    pub version: Option<String>,
    /// In how many separate arrays the parameters lay.
    pub arrays: usize,
    /// Median time of a step.
    pub nanoseconds_per_step: f64,
    /// The fastest and the slowest round.
    pub range: [f64; 2],
    /// Rounds that were measured.
    pub rounds: usize,
    /// Median time of a step per parameter.
    pub nanoseconds_per_parameter: f64,
    /// Bytes that a step has to move per parameter.
    pub bytes_per_parameter: usize,
    /// The bytes that have to be moved, over the median time.
    pub gigabytes_per_second: f64,
    /// The time over that of moving the same bytes with next to no arithmetic: median over the
    /// rounds.
    pub ratio_to_bandwidth: Option<f64>,
    /// Time of a step in each round.
    #[serde(skip)]
    pub samples: Samples,
}

/// All engines over one program, size and number of threads, measured in turns.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Cell {
    /// Name of the zoo program.
    pub program: &'static str,
    /// Number of parameters.
    pub parameters: Size,
    /// Number of threads.
    pub threads: usize,
    /// This machine's bandwidth for the program's traffic at this size, on these threads.
    pub bandwidth_gigabytes_per_second: Option<f64>,
    /// The engines, slowest kind first.
    pub rows: Vec<Row>,
}

impl Cell {
    /// The row of an engine over so many arrays.
    pub fn row(&self, engine: Engine, arrays: usize) -> Option<&Row> {
        self.rows.iter().find(|row| row.engine == engine && row.arrays == arrays)
    }

    /// The row of a peer.
    pub fn peer(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.engine == Engine::Python && row.name == name)
    }
}

impl Row {
    /// How many times as long a step takes as another row's, round by round.
    pub fn ratio(&self, other: &Row) -> Option<f64> {
        measurement::median_ratio(&self.samples, &other.samples)
    }
}

/// Time that a plan takes.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct PlanTime {
    /// Name of the zoo program.
    pub program: &'static str,
    /// Median time to make a plan from its graph.
    pub microseconds: f64,
}
