//! A stretch of one parameter array: what a pass of an engine works on at a time.

use smallvec::SmallVec;

/// Stretches of up to this many slots and sums need no memory of their own.
const INLINE: usize = 4;

/// Part of one parameter array, with the same part of its gradients and slots, all of one length, in f32.
#[derive(Debug)]
pub struct Stretch<'a> {
    /// Weights, updated by the last pass.
    pub weights: &'a mut [f32],
    /// Gradients.
    pub gradients: &'a [f32],
    /// The live slots, updated by the last pass.
    pub slots: SmallVec<[&'a mut [f32]; INLINE]>,
    /// For each reduction of the pass the sums of the stretch's blocks of [`BLOCK`](crate::reduce::BLOCK) elements; a stretch with sums begins
    /// at a block's beginning.
    pub sums: SmallVec<[&'a mut [f64]; INLINE]>,
}

/// A pass of a compiled program over a stretch; the numbers are the plan's small values at the stretch's array, rounded to f32.
pub type CompiledPass = fn(stretch: &mut Stretch<'_>, numbers: &[f32]);
