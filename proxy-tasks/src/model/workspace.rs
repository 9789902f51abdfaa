//! Scratch memory that is reused from step to step.

use super::scalar::Scalar;

/// Scratch memory of a model for batches up to some size.
#[derive(Clone, Debug)]
pub struct Workspace<T> {
    numbers: Vec<T>,
}

impl<T: Scalar> Workspace<T> {
    pub(super) fn new(length: usize) -> Self {
        Workspace { numbers: vec![T::ZERO; length] }
    }

    pub(super) fn numbers(&mut self) -> &mut [T] {
        &mut self.numbers
    }
}

/// Cuts the first `count` numbers off.
///
/// # Panics
/// If fewer are left: the batch is larger than the workspace was made for.
pub(super) fn take<'a, T>(rest: &mut &'a mut [T], count: usize) -> &'a mut [T] {
    let (taken, left) = std::mem::take(rest).split_at_mut(count);
    *rest = left;
    taken
}
