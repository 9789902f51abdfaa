//! A stretch of one parameter array: what a pass of an engine works on at a time.

use half::bf16;
use smallvec::SmallVec;

/// Stretches of up to this many slots and sums need no memory of their own.
const INLINE: usize = 4;

/// Part of one parameter array, with the same part of its gradients and slots, all of one length;
/// the slots in f32 or bf16.
#[derive(Debug)]
pub struct Stretch<'a, S = f32> {
    /// Weights, updated by the last pass.
    pub weights: &'a mut [f32],
    /// Gradients.
    pub gradients: &'a [f32],
    /// The live slots, updated by the last pass.
    pub slots: SmallVec<[&'a mut [S]; INLINE]>,
    /// For each reduction of the pass the sums of the stretch's blocks of
    /// [`BLOCK`](crate::reduce::BLOCK) elements; a stretch with sums begins at a block's beginning.
    pub sums: Sums<'a>,
}

/// For each reduction of a pass the sums of some blocks.
pub type Sums<'a> = SmallVec<[&'a mut [f64]; INLINE]>;

/// A pass of a compiled program over a stretch. The numbers are the plan's small values at the
/// stretch's array, rounded to f32.
#[derive(Clone, Copy, Debug)]
pub struct CompiledPass {
    /// With slots in f32.
    pub f32: fn(stretch: &mut Stretch<'_, f32>, numbers: &[f32]),
    /// With slots in bf16, rounded to the nearest.
    pub bf16: fn(stretch: &mut Stretch<'_, bf16>, numbers: &[f32]),
}
