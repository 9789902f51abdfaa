//! How fast the programs of the zoo run on this machine: by each engine, against the bandwidth of
//! its memory, plain C loops and Python libraries.
//!
//! | module | what it holds |
//! |---|---|
//! | [`size`] | numbers of parameters: 4Ki, 16Mi |
//! | [`machine`] | what the numbers depend on |
//! | `engine`, `contender` | the engines of this workspace, and what takes turns in a cell |
//! | [`bandwidth`] | the limit: a loop with a program's array traffic and next to no arithmetic |
//! | [`baseline`], [`peer`] | the plain C loops, and how a process of others is asked for its times |
//! | [`measurement`] | medians, and ratios round by round |
//! | [`cell`], [`report`], [`target`] | what was found, and what is to be reached |
//!
//! A *cell* is a program, a size and a number of threads. Within a cell all engines and peers are
//! measured in turns, a few milliseconds each, round after round: what the machine does meanwhile
//! hits all of them alike. Times are medians over the rounds; ratios are medians of the ratios of
//! each round.

pub mod bandwidth;
pub mod baseline;
pub mod cell;
mod contender;
mod engine;
pub mod machine;
pub mod measurement;
pub mod peer;
pub mod report;
pub mod size;
pub mod target;

use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use rayon::ThreadPool;
use symopt_cancel::CancelToken;
use symopt_dsl::{Graph, TypeError};
use symopt_evaluator::layout::LayoutError;
use symopt_evaluator::{Layout, OptimizerError, Storage};
use symopt_programs::ZooEntry;

use bandwidth::{Traffic, Width};
use baseline::Baseline;
use cell::{Cell, Engine, PlanTime, Row};
use contender::{Contender, Fault, Peers, Ring, Source};
use engine::{Buffers, Flat, Oracle, Separate, Stepper};
use machine::Machine;
use measurement::{Samples, fastest, median, median_ratio};
use peer::{Patience, Peer, PeerError};
use report::Report;
use size::Size;

const PEERS: &str = include_str!("../peers/peers.py");

/// A sample lasts at least this long, or one step: then the clock's own error is nothing.
const SHORTEST_SAMPLE: Duration = Duration::from_millis(2);
/// No longer, unless one step is: then a round is over before the machine changes, and an interrupt
/// is soon heard.
const LONGEST_SAMPLE: Duration = Duration::from_millis(20);
/// With more time than for these, samples last longer first.
const GOOD_ROUNDS: f64 = 50.0;
/// Fewer have no median to speak of.
const LEAST_ROUNDS: usize = 5;
/// The reference interpreter is no engine for speed: it is measured once, up to this size.
const LARGEST_REFERENCE: usize = 64 << 10;
/// From this size on, all threads move more than one does.
const SPREAD_FROM: usize = 1 << 20;

/// A model of 200 arrays: 50 layers of a matrix, its bias, and the scale and bias of a norm.
pub(crate) const MODEL: [usize; 200] = {
    let mut lengths = [128; 200];
    let mut layer = 0;
    while layer < 50 {
        lengths[4 * layer] = 128 * 128;
        layer += 1;
    }
    lengths
};
/// So small that what a step costs whatever its size is what counts.
pub(crate) const SMALL: Size = match Size::new(1000) {
    Some(size) => size,
    None => Size::MOST,
};

/// Settings of a benchmark.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Programs of the zoo.
    pub programs: Vec<&'static ZooEntry>,
    /// Sizes; `None` for those of the targets, with the small one and the model of 200 arrays.
    pub sizes: Option<Vec<Size>>,
    /// Numbers of threads.
    pub threads: Vec<usize>,
    /// Seconds to measure each engine of a cell for; slower engines than the compiled kernel may
    /// take longer.
    pub seconds: f64,
    /// Whether to measure the reference interpreter at sizes where it takes long.
    pub reference_all: bool,
    /// Whether to measure plain C loops.
    pub c: bool,
    /// A Python interpreter whose libraries are measured, too.
    pub python: Option<OsString>,
}

/// Where a benchmark stands.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Progress {
    /// Cells that are done.
    pub done: usize,
    /// All cells.
    pub total: usize,
    /// Name of the case or preparation that comes now.
    pub what: String,
}

/// Why a benchmark can't be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchmarkError {
    /// The interpreter for the peers is not one.
    #[error(
        "can't run the Python peers with `{python}`: {error}; --peers takes a Python interpreter (3.9 or newer), such as python3"
    )]
    Python {
        /// The interpreter.
        python: String,
        /// Cause of the failure.
        error: PeerError,
    },
    /// A directory for the peers' programs can't be made or written.
    #[error("can't keep the peers' programs in a temporary directory: {0}")]
    Directory(#[from] std::io::Error),
    /// The threads can't be started.
    #[error("can't start {threads} threads: {error}; ask for fewer")]
    Threads {
        /// How many.
        threads: usize,
        /// Cause of the failure.
        error: rayon::ThreadPoolBuildError,
    },
    /// An engine refused a zoo program.
    #[error(transparent)]
    Optimizer(#[from] OptimizerError),
    /// A zoo program does not type.
    #[error("the zoo program {program} is not well typed: {errors:?}")]
    Type {
        /// Its name.
        program: &'static str,
        /// Type errors of the program.
        errors: Vec<TypeError>,
    },
    /// A zoo program has no compiled kernel to be measured.
    #[error(
        "{program} has functions of matrices and no compiled loops to be measured; leave it out"
    )]
    NoPasses {
        /// Its name.
        program: &'static str,
    },
    /// The arrays can't be laid out.
    #[error(transparent)]
    Layout(#[from] LayoutError),
}

/// Measures everything. Cancelled, it ends with what there is by then.
pub fn run(
    settings: &Settings,
    progress: &mut dyn FnMut(Progress),
    cancel: &CancelToken,
) -> Result<Report, BenchmarkError> {
    if let Some(entry) = settings.programs.iter().find(|entry| !entry.is_compiled()) {
        return Err(BenchmarkError::NoPasses { program: entry.name });
    }
    let directory = tempfile::Builder::new().prefix("symopt-bench-").tempdir()?;
    let mut bench = Bench {
        settings,
        directory: directory.path(),
        cancel,
        baseline: None,
        notes: Vec::new(),
        barred: Vec::new(),
    };
    let mut cells = Vec::new();
    let cases = bench.cases();
    let mut done = 0;
    let stopped = || cancel.is_cancelled();
    if settings.python.is_some() {
        progress(Progress {
            done,
            total: cases.len(),
            what: "starting the Python peers".to_owned(),
        });
    }
    // The first thing that can be refused comes first.
    let mut first_peers =
        settings.threads.first().map(|threads| bench.python(*threads)).transpose()?.flatten();
    progress(Progress { done, total: cases.len(), what: "plans".to_owned() });
    let plans = bench.plans()?;
    if settings.c && !stopped() {
        progress(Progress { done, total: cases.len(), what: "compiling the C loops".to_owned() });
        match Baseline::compile(directory.path()) {
            Ok(baseline) => bench.baseline = Some(baseline),
            Err(note) => bench.note(note),
        }
    }
    for (index, threads) in settings.threads.iter().copied().enumerate() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(|error| BenchmarkError::Threads { threads, error })?;
        let mut peers: Vec<Peers> =
            bench.c(threads).map(|peer| (Engine::C, peer)).into_iter().collect();
        if !stopped() {
            let python =
                match if index == 0 { Ok(first_peers.take()) } else { bench.python(threads) } {
                    // It could be started before: no reason to throw away what was measured.
                    Err(error @ BenchmarkError::Python { .. }) => {
                        bench.note(format!("no Python peers on {threads} threads: {error}"));
                        None
                    }
                    python => python?,
                };
            peers.extend(python.map(|peer| (Engine::Python, peer)));
        }
        for case in cases.iter().filter(|case| case.threads == threads) {
            if stopped() {
                break;
            }
            progress(Progress { done, total: cases.len(), what: case.to_string() });
            cells.extend(bench.cell(case, &pool, &mut peers)?);
            done += 1;
        }
    }
    // Threads came outermost, so that there is one process of peers at a time; in the table they
    // come last.
    let place = |cell: &Cell| settings.programs.iter().position(|entry| entry.name == cell.program);
    cells.sort_by_key(|cell| (place(cell), cell.parameters, cell.threads));
    Ok(Report {
        machine: Machine::this(),
        c_compiler: bench.baseline.map(|baseline| baseline.command),
        complete: !stopped(),
        notes: bench.notes,
        targets: target::targets(&cells, &plans),
        cells,
        plans,
    })
}

/// A cell to be measured.
struct Case {
    entry: &'static ZooEntry,
    /// Lengths of the arrays; one, or those of the model.
    arrays: Vec<usize>,
    parameters: Size,
    threads: usize,
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let threads = if self.threads == 1 {
            "1 thread".to_owned()
        } else {
            format!("{} threads", self.threads)
        };
        match self.arrays.len() {
            1 => write!(f, "{} at {}, {threads}", self.entry.name, self.parameters),
            arrays => write!(f, "{} over {arrays} arrays, {threads}", self.entry.name),
        }
    }
}

/// A benchmark that is running.
struct Bench<'a> {
    settings: &'a Settings,
    directory: &'a Path,
    cancel: &'a CancelToken,
    baseline: Option<Baseline>,
    notes: Vec<String>,
    /// Peers that hung or crashed: they would again.
    barred: Vec<String>,
}

impl<'a> Bench<'a> {
    fn stopped(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Keeps a note once.
    fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    fn cases(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        for threads in self.settings.threads.iter().copied() {
            for entry in &self.settings.programs {
                let mut add = |arrays: &[usize]| {
                    let parameters = Size::new(arrays.iter().sum());
                    cases.extend(parameters.map(|parameters| Case {
                        entry,
                        arrays: arrays.to_vec(),
                        parameters,
                        threads,
                    }));
                };
                let sizes = self.settings.sizes.as_deref();
                if sizes.is_none() && threads == 1 && entry.name == "adamw" {
                    add(&[SMALL.get()]);
                }
                for size in sizes.unwrap_or(&target::SIZES) {
                    add(&[size.get()]);
                }
                if sizes.is_none() && entry.name == "lion" {
                    add(&MODEL);
                }
            }
        }
        cases
    }

    /// The C loops, as a process.
    fn c(&mut self, threads: usize) -> Option<Peer> {
        let baseline = self.baseline.as_ref()?;
        if threads > 1 && !baseline.parallel {
            self.note(
                "no C loops for several threads: the C compiler has no OpenMP (-fopenmp)"
                    .to_owned(),
            );
            return None;
        }
        let started = Peer::start(
            &baseline.executable,
            vec![threads.to_string().into()],
            Patience::default(),
            self.cancel,
        );
        match started {
            Ok(peer) => Some(peer),
            Err(PeerError::Cancelled(_)) => None,
            Err(error) => {
                self.note(format!("no C loops: {error}"));
                None
            }
        }
    }

    /// The Python peers, as a process.
    fn python(&mut self, threads: usize) -> Result<Option<Peer>, BenchmarkError> {
        let Some(python) = &self.settings.python else { return Ok(None) };
        let script = self.directory.join("peers.py");
        std::fs::write(&script, PEERS)?;
        match Peer::start(
            python,
            vec![script.into(), threads.to_string().into()],
            Patience::default(),
            self.cancel,
        ) {
            Ok(peer) => {
                if peer.offers().is_empty() {
                    self.note(format!(
                        "{} has none of numpy, optax with jax, torch",
                        python.to_string_lossy()
                    ));
                }
                Ok(Some(peer))
            }
            Err(PeerError::Cancelled(_)) => Ok(None),
            Err(error) => {
                Err(BenchmarkError::Python { python: python.to_string_lossy().into_owned(), error })
            }
        }
    }

    /// Times of plans, in turns, for all programs of the zoo that have one.
    fn plans(&self) -> Result<Vec<PlanTime>, BenchmarkError> {
        const PLANS: u32 = 100;
        const ROUNDS: usize = 15;

        let mut entries = Vec::new();
        for entry in symopt_programs::zoo().iter().filter(|entry| entry.is_compiled()) {
            let program = entry.program();
            let graph = Graph::new(&program)
                .map_err(|errors| BenchmarkError::Type { program: entry.name, errors })?;
            entries.push((entry.name, program, graph, Vec::new()));
        }
        for _ in 0..ROUNDS {
            for (_, program, graph, samples) in &mut entries {
                let start = Instant::now();
                (0..PLANS).for_each(|_| engine::plan(graph, program));
                samples.push(1e6 * start.elapsed().as_secs_f64() / f64::from(PLANS));
            }
        }
        Ok(entries
            .into_iter()
            .filter_map(|(program, _, _, samples)| {
                Some(PlanTime { program, microseconds: median(samples)? })
            })
            .collect())
    }

    /// Measures a cell; `None` if it could not be.
    fn cell(
        &mut self,
        case: &Case,
        pool: &ThreadPool,
        peers: &mut [Peers],
    ) -> Result<Option<Cell>, BenchmarkError> {
        let entry = case.entry;
        let parameters = case.parameters.get();
        let program = entry.program();
        let graph = Graph::new(&program)
            .map_err(|errors| BenchmarkError::Type { program: entry.name, errors })?;
        let slots = graph.live_slots().count();
        if !self.fits_memory(case, slots, peers) {
            return Ok(None);
        }
        let mut contenders = self.contenders(case, &graph, peers)?;
        let sample = Duration::try_from_secs_f64(self.settings.seconds / GOOD_ROUNDS)
            .unwrap_or(LONGEST_SAMPLE);
        let sample = sample.clamp(SHORTEST_SAMPLE, LONGEST_SAMPLE);
        let mut ring = Ring {
            pool,
            buffers: Buffers::new(entry, parameters),
            peers,
            arrays: &case.arrays,
            sample,
        };
        for contender in &mut contenders {
            if self.stopped() {
                return Ok(None);
            }
            let result = contender.prepare(&mut ring);
            self.bear(case, result)?;
        }
        // As many rounds as the time allows, by the compiled kernel: the comparisons are with it.
        let kernel = contenders
            .iter()
            .filter(|contender| contender.engine == Some(Engine::Compiled))
            .find_map(Contender::step);
        let turn = (kernel.unwrap_or(0.0) / 1e9).max(ring.sample.as_secs_f64());
        let rounds = ((self.settings.seconds / turn) as usize).max(LEAST_ROUNDS);
        for round in 0..rounds {
            // Another one begins each round, so that none always comes after the same one.
            let count = contenders.len();
            for place in 0..count {
                let contender = &mut contenders[(place + round) % count];
                if self.stopped() {
                    break;
                }
                if round > 0 && contender.engine == Some(Engine::Reference) {
                    continue;
                }
                let result = contender.turn(&mut ring);
                self.bear(case, result)?;
            }
        }
        Ok(Some(table(case, &contenders)))
    }

    /// Notes the fault of a peer; a fault of our own ends the benchmark.
    fn bear(&mut self, case: &Case, result: Result<(), Fault>) -> Result<(), BenchmarkError> {
        match result {
            Ok(()) | Err(Fault::Peer { error: PeerError::Cancelled(_), .. }) => Ok(()),
            Err(Fault::Optimizer(error)) => Err(error.into()),
            Err(Fault::Peer { offer, error: PeerError::Refused(message) }) => {
                self.note(format!("{offer}: {case}: {message}"));
                Ok(())
            }
            Err(Fault::Peer { offer, error }) => {
                self.note(format!("{offer}: {case}: {error}; it is left out from here on"));
                self.barred.push(offer);
                Ok(())
            }
        }
    }

    /// Notes where a cell would not fit into the memory.
    fn fits_memory(&mut self, case: &Case, slots: usize, peers: &[Peers]) -> bool {
        let offers = peers
            .iter()
            .flat_map(|(_, peer)| peer.offers())
            .filter(|offer| offer.program == case.entry.name)
            .count();
        // Weights and gradients, the slots of at most eight engines and loops, and of each peer
        // weights, gradients, slots and something in between.
        let arrays = 2 + 8 * slots + offers * (slots + 3);
        let needed = 4 * arrays as u64 * case.parameters.get() as u64;
        match machine::available_memory() {
            Some(available) if needed > available => {
                let gigabytes = |bytes: u64| bytes as f64 / f64::from(1 << 30);
                let (needed, available) = (gigabytes(needed), gigabytes(available));
                self.note(format!("{case}: left out, it needs {needed:.1} GiB of memory and {available:.1} GiB are free"));
                false
            }
            _ => true,
        }
    }

    fn contenders(
        &self,
        case: &Case,
        graph: &Graph,
        peers: &[Peers],
    ) -> Result<Vec<Contender>, BenchmarkError> {
        let Case { entry, threads, .. } = *case;
        let parameters = case.parameters.get();
        let slots = graph.live_slots().count();
        let bytes_per_parameter = graph.cost().bytes_per_parameter;
        let arrays = case.arrays.len();
        let flat = Layout::flat(parameters);
        let mut contenders = Vec::new();
        let mut add =
            |engine: Option<Engine>, name: &str, arrays: usize, stepper: Box<dyn Stepper>| {
                contenders.push(Contender {
                    engine,
                    name: name.to_owned(),
                    version: None,
                    arrays,
                    bytes_per_parameter,
                    source: Source::Local { stepper, step: 0.0 },
                    samples: Samples::new(),
                });
            };

        // Where waking the other threads may take longer than it saves, one thread may be the
        // limit.
        let spreads =
            if threads > 1 && parameters < SPREAD_FROM { vec![1, threads] } else { vec![threads] };
        for threads in spreads {
            for width in [Width::Full, Width::Half] {
                add(
                    None,
                    "bandwidth",
                    1,
                    Box::new(Traffic::new(slots, parameters, threads, width)),
                );
            }
        }
        if threads == 1
            && arrays == 1
            && (parameters <= LARGEST_REFERENCE || self.settings.reference_all)
        {
            add(Some(Engine::Reference), "reference", 1, Box::new(Oracle::new(entry, parameters)?));
        }
        add(
            Some(Engine::TileMachine),
            "tile machine",
            1,
            Box::new(Flat(engine::tile_machine(entry, &flat)?)),
        );
        add(
            Some(Engine::Compiled),
            "compiled",
            1,
            Box::new(Flat(engine::compiled(entry, &flat, Storage::F32))),
        );
        if arrays == 1 && entry.name == "lion" && case.parameters == self.largest() {
            let optimizer = engine::compiled(entry, &flat, Storage::Bf16);
            add(Some(Engine::CompiledBf16), "compiled, bf16 state", 1, Box::new(Flat(optimizer)));
        }
        if arrays > 1 {
            let layout = Layout::new(
                case.arrays
                    .iter()
                    .enumerate()
                    .map(|(index, length)| (index.to_string(), vec![*length])),
            )?;
            let tile_machine = engine::tile_machine(entry, &layout)?;
            add(
                Some(Engine::TileMachine),
                "tile machine",
                arrays,
                Box::new(Separate::new(tile_machine)),
            );
            let compiled = engine::compiled(entry, &layout, Storage::F32);
            add(Some(Engine::Compiled), "compiled", arrays, Box::new(Separate::new(compiled)));
        }
        for contender in &mut contenders {
            match contender.engine {
                None => contender.bytes_per_parameter = Traffic::bytes_per_parameter(slots),
                // Each slot is read and written once, at two bytes in place of four.
                Some(Engine::CompiledBf16) => contender.bytes_per_parameter -= 2 * 2 * slots,
                Some(_) => {}
            }
        }

        for (process, (engine, peer)) in peers.iter().enumerate() {
            let offers = peer
                .offers()
                .iter()
                .filter(|offer| offer.program == entry.name && !self.barred.contains(&offer.name));
            for offer in offers {
                contenders.push(Contender {
                    engine: Some(*engine),
                    name: if *engine == Engine::C {
                        "C loop".to_owned()
                    } else {
                        offer.name.clone()
                    },
                    version: Some(offer.version.clone()),
                    arrays,
                    bytes_per_parameter,
                    source: Source::Peer { process, offer: offer.name.clone() },
                    samples: Samples::new(),
                });
            }
        }
        Ok(contenders)
    }

    fn largest(&self) -> Size {
        self.settings
            .sizes
            .as_deref()
            .unwrap_or(&target::SIZES)
            .iter()
            .max()
            .copied()
            .unwrap_or(Size::MOST)
    }
}

/// The rows of a cell. An engine without any time has none.
fn table(case: &Case, contenders: &[Contender]) -> Cell {
    let parameters = case.parameters.get() as f64;
    let traffic: Vec<&Contender> =
        contenders.iter().filter(|contender| contender.engine.is_none()).collect();
    let none = Samples::new();
    let limit = fastest(traffic.iter().map(|contender| &contender.samples)).unwrap_or(&none);
    let limit_bytes = traffic.first().map_or(0, |contender| contender.bytes_per_parameter) as f64;
    let row = |contender: &Contender| {
        let times = || contender.samples.iter().copied().flatten();
        let nanoseconds_per_step = median(times())?;
        let bytes = contender.bytes_per_parameter as f64;
        Some(Row {
            engine: contender.engine?,
            name: contender.name.clone(),
            version: contender.version.clone(),
            arrays: contender.arrays,
            nanoseconds_per_step,
            range: [times().fold(f64::INFINITY, f64::min), times().fold(0.0, f64::max)],
            rounds: times().count(),
            nanoseconds_per_parameter: nanoseconds_per_step / parameters,
            bytes_per_parameter: contender.bytes_per_parameter,
            gigabytes_per_second: bytes * parameters / nanoseconds_per_step,
            // The limit's traffic is that of one pass in f32; more or fewer bytes take accordingly
            // more or less time.
            ratio_to_bandwidth: median_ratio(&contender.samples, limit)
                .map(|ratio| ratio * limit_bytes / bytes),
            samples: contender.samples.clone(),
        })
    };
    Cell {
        program: case.entry.name,
        parameters: case.parameters,
        threads: case.threads,
        bandwidth_gigabytes_per_second: median(limit.iter().copied().flatten())
            .map(|time| limit_bytes * parameters / time),
        rows: contenders.iter().filter_map(row).collect(),
    }
}
