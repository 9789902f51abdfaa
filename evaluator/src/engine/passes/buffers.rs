//! Where the numbers of a step are, and how those that are bf16 get to the engines, which work on
//! f32.

use half::bf16;

use crate::aligned::Aligned;
use crate::storage::{self, Rounding, RoundingStream, Values, ValuesMut};

/// Elements that are widened from bf16 at a time. A pass that takes sums works on whole blocks.
pub(super) const STAGE: usize = 1024;

#[derive(Clone, Copy, Debug)]
pub(super) enum Pointer {
    F32(*mut f32),
    Bf16(*mut bf16),
}

impl Pointer {
    pub(super) fn f32(self) -> Option<*mut f32> {
        if let Pointer::F32(pointer) = self { Some(pointer) } else { None }
    }

    pub(super) fn bf16(self) -> Option<*mut bf16> {
        if let Pointer::Bf16(pointer) = self { Some(pointer) } else { None }
    }

    pub(super) fn of(values: Values) -> Pointer {
        match values {
            Values::F32(values) => Pointer::F32(values.as_ptr().cast_mut()),
            Values::Bf16(values) => Pointer::Bf16(values.as_ptr().cast_mut()),
        }
    }

    pub(super) fn of_mut(values: &mut ValuesMut) -> Pointer {
        match values {
            ValuesMut::F32(values) => Pointer::F32(values.as_mut_ptr()),
            ValuesMut::Bf16(values) => Pointer::Bf16(values.as_mut_ptr()),
        }
    }
}

/// Where the numbers of a step are. Filled when a step begins and emptied before it returns.
#[derive(Debug, Default)]
pub(super) struct Pointers {
    /// Weights and gradients of each array.
    pub(super) arrays: Vec<[Pointer; 2]>,
    /// The slots, and behind them the trees that are kept from one pass to another.
    pub(super) slots: Vec<Pointer>,
    pub(super) partials: Option<*mut f64>,
}

// SAFETY: the pointers are only followed while a step holds the borrows that they were made from,
// and then every thread follows them to units of its own (see `Machine::run_unit`).
unsafe impl Send for Pointers {}
// SAFETY: as above.
unsafe impl Sync for Pointers {}

impl Clone for Pointers {
    /// Pointers belong to a step of one machine.
    fn clone(&self) -> Pointers {
        Pointers::default()
    }
}

/// The first `length` numbers of a stage, which grows to that length when it is used for the first
/// time.
pub(super) fn stage_of(stage: &mut Aligned<f32>, length: usize) -> &mut [f32] {
    if stage.len() < length {
        *stage = Aligned::zeros(length.max(STAGE));
    }
    &mut stage[..length]
}

/// Numbers of an array as f32: themselves, or a widened copy.
pub(super) enum Staged<'a> {
    InPlace(&'a mut [f32]),
    Widened(&'a mut [f32], &'a mut [bf16]),
}

impl<'a> Staged<'a> {
    /// # Safety
    ///
    /// From `start` on there are `length` elements that nothing else refers to as long as this
    /// lives.
    pub(super) unsafe fn new(
        pointer: Pointer,
        start: usize,
        length: usize,
        stage: &'a mut Aligned<f32>,
    ) -> Staged<'a> {
        match pointer {
            // SAFETY: the caller's promise.
            Pointer::F32(pointer) => Staged::InPlace(unsafe {
                std::slice::from_raw_parts_mut(pointer.add(start), length)
            }),
            Pointer::Bf16(pointer) => {
                // SAFETY: the caller's promise.
                let values = unsafe { std::slice::from_raw_parts_mut(pointer.add(start), length) };
                let stage = stage_of(stage, length);
                storage::widen(values, stage);
                Staged::Widened(stage, values)
            }
        }
    }

    pub(super) fn values(&mut self) -> &mut [f32] {
        match self {
            Staged::InPlace(values) | Staged::Widened(values, _) => values,
        }
    }

    pub(super) fn store(self, rounding: Rounding, step: u64, target: u64, place: u64) {
        if let Staged::Widened(from, to) = self {
            match rounding {
                Rounding::Nearest => storage::narrow(from, to),
                Rounding::Stochastic { seed } => storage::narrow_stochastic(
                    from,
                    to,
                    RoundingStream::new(seed, step, target),
                    place,
                ),
            }
        }
    }
}
