//! Runs the steps of a [`Plan`]: small values, passes over the arrays, threads. The engine decides
//! how a pass processes a stretch of an array: the [`TileMachine`], or functions that were compiled
//! from the same plan.
//!
//! Results do not depend on the number of threads: element-wise work has no order, and sums are
//! taken block by block ([`reduce::BLOCK`]) and added in a fixed tree. A step allocates nothing.
//!
//! Operations on whole arrays between passes are in `matrix_steps`, the small values are in
//! `smalls`, and the buffers of a step in `buffers`.

mod buffers;
mod matrix_steps;
mod smalls;

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rayon::prelude::*;
use symopt_dsl::plan::{Plan, SmallOperation, Source};
use symopt_dsl::types::matrix_shape;

use self::buffers::{Pointer, Pointers, STAGE, Staged, stage_of};
use self::matrix_steps::MatrixSteps;
use self::smalls::Smalls;
use crate::aligned::Aligned;
use crate::engine::step::{Buffers, StepInputs};
use crate::engine::stretch::{CompiledPass, Stretch, Sums};
use crate::engine::tile_machine::{Registers, TileMachine};
use crate::hyperparameters::Hyperparameter;
use crate::layout::Layout;
use crate::options::{Options, Threads};
use crate::reduce::{self, BLOCK};
use crate::storage::{self, Rounding, SlotValues, Storage};

/// Elements that one of several threads takes at a time: an eighth of all, but no fewer and no more
/// than these.
const UNITS: [usize; 2] = [8 * BLOCK, 64 * BLOCK];

/// Instructions times elements from which a step is spread over threads. Measured, so that two
/// threads are not slower than one: handing a part to a thread that is still awake costs about a
/// microsecond, waking it some tens of them, and more from outside the pool, which then has to wake
/// the caller as well.
struct ParallelFrom {
    awake: usize,
    asleep: usize,
}

/// Where the step is called from a thread of the pool.
const PARALLEL_FROM_INSIDE: ParallelFrom = ParallelFrom { awake: 1 << 18, asleep: 3 << 20 };

/// Where it is not.
const PARALLEL_FROM_OUTSIDE: ParallelFrom = ParallelFrom { awake: 1 << 21, asleep: 1 << 24 };

/// For so long after a step the threads of the pool are taken to be awake: an idle thread yields
/// some dozens of times before it sleeps.
const AWAKE: Duration = Duration::from_micros(20);

/// Bytes of the weights from which the arrays of a step are taken not to stay in the cache of a
/// core.
const STREAMS_FROM: usize = 1 << 20;

/// Runner of the passes.
#[derive(Clone, Debug)]
pub(crate) enum Engine {
    Tiles(TileMachine),
    Compiled(&'static [CompiledPass]),
}

/// An array or a part of one: what a thread takes at a time.
#[derive(Clone, Copy, Debug)]
struct Unit {
    array: usize,
    /// Place of the first element in the array.
    start: usize,
    length: usize,
    /// Place of the first element among those of all arrays, as slots are laid out.
    place: usize,
    /// Number of the first block among those of all arrays.
    block: usize,
}

/// The work of a pass.
#[derive(Clone, Debug, Default)]
struct Work {
    /// The arrays as they are: for one thread, as long loops are the fastest.
    arrays: Vec<Unit>,
    /// The arrays in parts: for several threads.
    parts: Vec<Unit>,
}

impl Work {
    fn new(arrays: &[Range<usize>]) -> Work {
        let cut = |longest: usize| {
            let mut units = Vec::new();
            let mut block = 0;
            for (array, range) in arrays.iter().enumerate() {
                for start in (0..range.len()).step_by(longest) {
                    let length = longest.min(range.len() - start);
                    units.push(Unit {
                        array,
                        start,
                        length,
                        place: range.start + start,
                        block: block + start / BLOCK,
                    });
                }
                block += range.len().div_ceil(BLOCK);
            }
            units
        };
        let all: usize = arrays.iter().map(ExactSizeIterator::len).sum();
        let eighth = all.div_ceil(8).next_multiple_of(BLOCK);
        Work { arrays: cut(usize::MAX), parts: cut(eighth.clamp(UNITS[0], UNITS[1])) }
    }
}

/// The next unit that a thread takes, apart from those of other threads in the cache.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Cursor(AtomicUsize);

/// A thread's own scratch for the tile machine.
#[derive(Clone, Debug, Default)]
struct PassScratch {
    registers: Registers,
    /// The row of small values that the registers are prepared for in the running pass.
    row: Option<usize>,
}

/// A thread's own scratch.
#[derive(Clone, Debug, Default)]
struct Scratch {
    pass: PassScratch,
    /// f32 tiles of the weights, the gradients and the slots, for those that are bf16 in memory.
    stages: Vec<Aligned<f32>>,
}

/// A plan with its state, for one layout.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    plan: Plan,
    engine: Engine,
    layout: Vec<Range<usize>>,
    /// Rows and columns of each array.
    matrices: Vec<[usize; 2]>,
    length: usize,
    options: Options,
    /// Over the arrays that are told apart: one for all of them where neither the plan nor an
    /// override tells them apart.
    work: Work,
    /// Over the arrays of the layout; empty if that is what `work` is, or until a step needs it.
    work_by_array: Work,
    told_apart: bool,
    /// Whether the arrays are too large for the cache of a core.
    streams: bool,
    slots: Vec<SlotValues>,
    /// Runner of the operations between passes; `None` in a plan without any.
    matrix_steps: Option<Box<MatrixSteps>>,
    smalls: Smalls,
    /// Sums of the blocks of each reduction of the running pass.
    partials: Vec<f64>,
    blocks: usize,
    scratch: Vec<Scratch>,
    cursors: Vec<Cursor>,
    /// When the last pass ended that was large enough to ask.
    last_pass: Option<Instant>,
    pointers: Pointers,
}

impl Clone for Cursor {
    fn clone(&self) -> Cursor {
        Cursor::default()
    }
}

impl Machine {
    /// A machine with zero state.
    pub(crate) fn new(
        plan: Plan,
        engine: Engine,
        layout: &Layout,
        hyperparameters: &[Hyperparameter],
        options: Options,
    ) -> Machine {
        let matrices: Vec<[usize; 2]> =
            layout.arrays().iter().map(|array| matrix_shape(&array.shape)).collect();
        let mut machine = Machine {
            matrix_steps: plan.has_matrix_steps().then(|| {
                Box::new(MatrixSteps::new(&plan, &matrices, options.threads != Threads::One))
            }),
            matrices,
            slots: (0..plan.slots.len())
                .map(|slot| SlotValues::zeros(options.state, layout.len(), slot))
                .collect(),
            layout: layout.arrays().iter().map(|array| array.range.clone()).collect(),
            length: layout.len(),
            streams: layout.len().saturating_mul(size_of::<f32>()) >= STREAMS_FROM,
            options,
            work: Work::default(),
            work_by_array: Work::default(),
            told_apart: false,
            smalls: Smalls::default(),
            partials: Vec::new(),
            blocks: 0,
            scratch: Vec::new(),
            cursors: Vec::new(),
            last_pass: None,
            pointers: Pointers::default(),
            engine,
            plan,
        };
        machine.arrange(hyperparameters);
        machine
    }

    /// The same plan, engine and options over other arrays, with zero state.
    pub(crate) fn for_layout(
        &self,
        layout: &Layout,
        hyperparameters: &[Hyperparameter],
    ) -> Machine {
        Machine::new(self.plan.clone(), self.engine.clone(), layout, hyperparameters, self.options)
    }

    /// Whether a sum over all arrays enters the results.
    pub(crate) fn couples_arrays(&self) -> bool {
        let total = |operation: &SmallOperation| {
            matches!(
                operation,
                SmallOperation::Total(_)
                    | SmallOperation::Cosine(_)
                    | SmallOperation::ClipFactor(..)
            )
        };
        self.plan.smalls.iter().filter_map(|small| small.operation.as_ref()).any(total)
    }

    /// Settles which arrays are told apart. To be called when hyperparameters get overrides or lose
    /// them.
    pub(crate) fn arrange(&mut self, hyperparameters: &[Hyperparameter]) {
        self.told_apart =
            self.plan.depends_on_arrays() || hyperparameters.iter().any(|h| !h.by_array.is_empty());
        let (whole, column) = (0..self.length, [self.length, 1]);
        let (arrays, matrices) = if self.told_apart {
            (&self.layout[..], &self.matrices[..])
        } else {
            (std::slice::from_ref(&whole), std::slice::from_ref(&column))
        };
        self.work = Work::new(arrays);
        self.work_by_array = Work::default();
        self.smalls = Smalls::new(&self.plan, hyperparameters, matrices);
        self.blocks = arrays.iter().map(|range| range.len().div_ceil(BLOCK)).sum();
        let reductions =
            self.plan.passes.iter().map(|pass| pass.reductions.len()).max().unwrap_or(0);
        self.partials = vec![0.0; reductions * self.blocks];
        // Scratch is as long as the longest array that is told apart.
        self.scratch.clear();
    }

    /// The live slots' values, each as long as the layout.
    pub(crate) fn slots(&self) -> &[SlotValues] {
        &self.slots
    }

    /// The same, to be overwritten by values of the same length and storage.
    pub(crate) fn slots_mut(&mut self) -> &mut [SlotValues] {
        &mut self.slots
    }

    /// Whether compiled passes run.
    pub(crate) fn is_compiled(&self) -> bool {
        matches!(self.engine, Engine::Compiled(_))
    }

    /// How numbers are rounded to bf16.
    pub(crate) fn rounding(&self) -> Rounding {
        self.options.rounding
    }

    /// To be called when the value of a hyperparameter has changed.
    pub(crate) fn hyperparameters_changed(&mut self) {
        self.smalls.stale = true;
    }

    pub(crate) fn set_rounding(&mut self, rounding: Rounding) {
        self.options.rounding = rounding;
    }

    /// One step in place. The buffers fit the layout.
    pub(crate) fn step(&mut self, buffers: Buffers, inputs: StepInputs) {
        let by_array = matches!(buffers, Buffers::Arrays(_)) && !self.told_apart;
        if by_array && self.work_by_array.arrays.is_empty() {
            self.work_by_array = Work::new(&self.layout);
        }
        self.point_to(buffers);
        for pass in 0..self.plan.passes.len() {
            self.compute_smalls(pass, inputs);
            self.run_pass(pass, by_array, inputs.step);
            let mut first_block = 0;
            for (array, range) in
                self.layout.iter().enumerate().take(if self.told_apart { usize::MAX } else { 0 })
            {
                let blocks = first_block..first_block + range.len().div_ceil(BLOCK);
                first_block = blocks.end;
                for (index, reduction) in self.plan.passes[pass].reductions.iter().enumerate() {
                    let of_reduction =
                        &self.partials[index * self.blocks..(index + 1) * self.blocks];
                    self.smalls.set(
                        reduction.target,
                        array,
                        reduce::combine(&of_reduction[blocks.clone()]),
                    );
                }
            }
            if let Some(matrix_steps) = &mut self.matrix_steps {
                matrix_steps.run(&self.plan.passes[pass].matrix_steps, &mut self.smalls);
                self.pointers.slots.truncate(self.slots.len());
                self.pointers.slots.extend(matrix_steps.kept().map(Pointer::F32));
            }
        }
        self.smalls.stale = false;
        self.pointers.arrays.clear();
        self.pointers.slots.clear();
        self.pointers.partials = None;
    }

    fn compute_smalls(&mut self, pass: usize, inputs: StepInputs) {
        // Taken out for a moment: to compute a value changes the others' places in no way.
        let changing = std::mem::take(&mut self.smalls.changing);
        let smalls =
            if self.smalls.stale { &self.plan.passes[pass].smalls } else { &changing[pass] };
        for small in smalls {
            if let Some(operation) = self.plan.smalls[*small].operation {
                self.smalls.compute(*small, operation, inputs);
            }
        }
        self.smalls.changing = changing;
    }

    fn point_to(&mut self, buffers: Buffers) {
        let Pointers { arrays, slots, partials } = &mut self.pointers;
        arrays.clear();
        match buffers {
            Buffers::Flat(weights, gradients) => {
                let [w, g] = [weights.as_mut_ptr(), gradients.as_ptr().cast_mut()];
                if self.told_apart {
                    // `wrapping_add` would do for any place, and these are within the buffers.
                    let pointers = |range: &Range<usize>| {
                        [w, g].map(|start| Pointer::F32(start.wrapping_add(range.start)))
                    };
                    arrays.extend(self.layout.iter().map(pointers));
                } else {
                    arrays.push([w, g].map(Pointer::F32));
                }
            }
            Buffers::Arrays(all) => {
                arrays.extend(all.iter_mut().map(|array| {
                    [Pointer::of_mut(&mut array.weights), Pointer::of(array.gradients)]
                }));
            }
        }
        slots.clear();
        slots.extend(self.slots.iter_mut().map(|slot| match slot {
            SlotValues::F32(values) => Pointer::F32(values.as_mut_ptr()),
            SlotValues::Bf16(values) => Pointer::Bf16(values.as_mut_ptr()),
        }));
        if let Some(matrix_steps) = &mut self.matrix_steps {
            slots.extend(matrix_steps.kept().map(Pointer::F32));
        }
        *partials = Some(self.partials.as_mut_ptr());
    }

    fn run_pass(&mut self, pass: usize, by_array: bool, step: u64) {
        if self.plan.is_idle(pass) {
            return;
        }
        let parts = if by_array { self.work_by_array.parts.len() } else { self.work.parts.len() };
        let work = self.length.saturating_mul(self.plan.passes[pass].instructions.len().max(1));
        let threads = self.threads(work).min(parts).max(1);
        let mut scratch = std::mem::take(&mut self.scratch);
        while scratch.len() < threads {
            scratch.push(self.new_scratch());
        }
        scratch.iter_mut().for_each(|scratch| scratch.pass.row = None);
        if self.cursors.len() < threads {
            self.cursors.resize_with(threads, Cursor::default);
        }
        let Work { arrays, parts } = if by_array { &self.work_by_array } else { &self.work };
        if threads == 1 {
            for unit in arrays {
                self.run_unit(pass, *unit, step, &mut scratch[0]);
            }
        } else {
            let first = |thread: usize| parts.len() * thread / threads;
            for (thread, cursor) in self.cursors.iter().enumerate().take(threads) {
                cursor.0.store(first(thread), Ordering::Relaxed);
            }
            // Every thread works through a part of its own, so that it finds in its caches what it
            // left there at the last step, and then helps the others.
            scratch[..threads].par_iter_mut().with_max_len(1).enumerate().for_each(
                |(thread, scratch)| {
                    for owner in (thread..threads).chain(0..thread) {
                        loop {
                            let part = self.cursors[owner].0.fetch_add(1, Ordering::Relaxed);
                            if part >= first(owner + 1) {
                                break;
                            }
                            self.run_unit(pass, parts[part], step, scratch);
                        }
                    }
                },
            );
        }
        self.scratch = scratch;
        if work >= PARALLEL_FROM_INSIDE.awake {
            self.last_pass = Some(Instant::now());
        }
    }

    /// How many threads are worth their while for so much work. Only the time depends on the clock,
    /// not the results.
    fn threads(&self, work: usize) -> usize {
        match self.options.threads {
            Threads::Auto if work >= PARALLEL_FROM_INSIDE.awake => {}
            Threads::Auto | Threads::One => return 1,
            Threads::All => return rayon::current_num_threads(),
        }
        let inside = rayon::current_thread_index().is_some();
        let from = if inside { PARALLEL_FROM_INSIDE } else { PARALLEL_FROM_OUTSIDE };
        let awake = self.last_pass.is_some_and(|last| last.elapsed() < AWAKE);
        let worth = work >= if awake { from.awake } else { from.asleep };
        if worth { rayon::current_num_threads() } else { 1 }
    }

    fn new_scratch(&self) -> Scratch {
        let longest = self.layout.iter().map(ExactSizeIterator::len).max().unwrap_or(0);
        let longest = if self.told_apart { longest } else { self.length };
        // The first array's storage is mostly that of all; stages that are still missing are made
        // when they are needed.
        let of_array = self.pointers.arrays.first().into_iter().flatten();
        Scratch {
            pass: PassScratch {
                registers: match &self.engine {
                    Engine::Tiles(machine) => machine.registers(longest),
                    Engine::Compiled(_) => Registers::default(),
                },
                row: None,
            },
            stages: (of_array.chain(&self.pointers.slots))
                .map(|pointer| {
                    if matches!(pointer, Pointer::Bf16(_)) {
                        Aligned::zeros(BLOCK.min(longest))
                    } else {
                        Aligned::default()
                    }
                })
                .collect(),
        }
    }

    #[inline]
    fn run_engine(
        &self,
        pass: usize,
        array: usize,
        stretch: &mut Stretch,
        scratch: &mut PassScratch,
    ) {
        let numbers = self.smalls.row(array);
        match &self.engine {
            Engine::Tiles(machine) => {
                let row = if self.smalls.rows == 1 { 0 } else { array };
                if scratch.row != Some(row) {
                    machine.prepare(pass, numbers, &mut scratch.registers);
                    scratch.row = Some(row);
                }
                machine.run(pass, stretch, &mut scratch.registers, self.streams);
            }
            Engine::Compiled(passes) => (passes[pass].f32)(stretch, numbers),
        }
    }

    /// Runs a pass over a unit. No unit is run twice in a pass, so that no two threads have the
    /// same elements.
    #[inline]
    fn run_unit(&self, pass: usize, unit: Unit, step: u64, scratch: &mut Scratch) {
        let [weights, gradients] = self.pointers.arrays[unit.array];
        let reductions = self.plan.passes[pass].reductions.len();
        let mut sums = Sums::new();
        if let Some(partials) = self.pointers.partials {
            for reduction in 0..reductions {
                let first = reduction * self.blocks + unit.block;
                // SAFETY: `partials` has `blocks` sums for each reduction; the blocks of a unit are
                // those of no other one.
                sums.push(unsafe {
                    std::slice::from_raw_parts_mut(partials.add(first), unit.length.div_ceil(BLOCK))
                });
            }
        }
        match (weights, gradients, self.options.state, &self.engine) {
            (Pointer::F32(weights), Pointer::F32(gradients), Storage::F32, _) => {
                // SAFETY: the unit lies within the array, whose buffers are borrowed for this step,
                // and no other unit has its elements.
                let mut stretch =
                    unsafe { self.stretch(unit, weights, gradients, sums, Pointer::f32) };
                self.run_engine(pass, unit.array, &mut stretch, &mut scratch.pass);
            }
            (
                Pointer::F32(weights),
                Pointer::F32(gradients),
                Storage::Bf16,
                Engine::Compiled(passes),
            ) if self.options.rounding == Rounding::Nearest => {
                // SAFETY: as above.
                let mut stretch =
                    unsafe { self.stretch(unit, weights, gradients, sums, Pointer::bf16) };
                (passes[pass].bf16)(&mut stretch, self.smalls.row(unit.array));
            }
            _ => self.run_unit_in_stages(pass, unit, step, sums, scratch),
        }
    }

    /// The stretch of a unit, whose slots are all of the type that `slot` takes.
    ///
    /// # Safety
    ///
    /// The unit lies within the arrays that the pointers point to, and nothing else refers to its
    /// elements as long as the stretch lives.
    #[inline]
    unsafe fn stretch<'a, S>(
        &self,
        unit: Unit,
        weights: *mut f32,
        gradients: *mut f32,
        sums: Sums<'a>,
        slot: impl Fn(Pointer) -> Option<*mut S>,
    ) -> Stretch<'a, S> {
        Stretch {
            // SAFETY: the caller's promise.
            weights: unsafe {
                std::slice::from_raw_parts_mut(weights.add(unit.start), unit.length)
            },
            // SAFETY: the caller's promise; gradients are only read.
            gradients: unsafe {
                std::slice::from_raw_parts(gradients.add(unit.start), unit.length)
            },
            slots: (self.pointers.slots.iter().filter_map(|pointer| slot(*pointer)))
                // SAFETY: a slot is as long as all arrays together, and `place` is where the unit
                // lies among them.
                .map(|slot| unsafe {
                    std::slice::from_raw_parts_mut(slot.add(unit.place), unit.length)
                })
                .collect(),
            sums,
        }
    }

    /// The same where some arrays are bf16: they are widened, stage by stage, and what is written
    /// is rounded.
    fn run_unit_in_stages(
        &self,
        pass: usize,
        unit: Unit,
        step: u64,
        mut sums: Sums,
        scratch: &mut Scratch,
    ) {
        let [weights, gradients] = self.pointers.arrays[unit.array];
        let writes = self.plan.writes(pass);
        let length = if sums.is_empty() { STAGE } else { BLOCK };
        let read_gradients = self.plan.reads(pass).any(|source| source == Source::Gradients);
        let Scratch { pass: pass_scratch, stages } = scratch;
        let (stage_of_arrays, stage_of_slots) = stages.split_at_mut(2);
        let [stage_of_weights, stage_of_gradients] = stage_of_arrays else { return };
        for start in (0..unit.length).step_by(length) {
            let length = length.min(unit.length - start);
            // SAFETY: the stage lies within the unit; see `run_unit`. The same holds for the
            // gradients and slots below.
            let mut weights =
                unsafe { Staged::new(weights, unit.start + start, length, stage_of_weights) };
            let mut slots: smallvec::SmallVec<[Staged; 4]> =
                (self.pointers.slots.iter().zip(stage_of_slots.iter_mut()))
                    // SAFETY: as above.
                    .map(|(slot, stage)| unsafe {
                        Staged::new(*slot, unit.place + start, length, stage)
                    })
                    .collect();
            let mut stretch = Stretch {
                weights: weights.values(),
                gradients: match gradients {
                    // SAFETY: as above; gradients are only read.
                    Pointer::F32(gradients) => unsafe {
                        std::slice::from_raw_parts(gradients.add(unit.start + start), length)
                    },
                    Pointer::Bf16(gradients) => {
                        // SAFETY: as above.
                        let values = unsafe {
                            std::slice::from_raw_parts(gradients.add(unit.start + start), length)
                        };
                        let stage = stage_of(stage_of_gradients, length);
                        if read_gradients {
                            storage::widen(values, stage);
                        }
                        stage
                    }
                },
                slots: slots.iter_mut().map(Staged::values).collect(),
                sums: sums
                    .iter_mut()
                    .map(|sums| &mut sums[start / BLOCK..start / BLOCK + length.div_ceil(BLOCK)])
                    .collect(),
            };
            self.run_engine(pass, unit.array, &mut stretch, pass_scratch);
            drop(stretch);
            if writes {
                let place = (unit.place + start) as u64;
                for (target, staged) in std::iter::once(weights).chain(slots).enumerate() {
                    staged.store(self.options.rounding, step, target as u64, place);
                }
            }
        }
    }
}
