//! Arrays that begin where a cache line does.

use std::ops::{Deref, DerefMut};

use bytemuck::{Pod, Zeroable};

/// A cache line, as wide as the widest vector.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Numbers that begin at the start of a cache line. Large arrays of the system's allocator begin 16 bytes after one, and then every access of a
/// wide vector takes two lines.
#[derive(Clone, Debug, PartialEq)]
pub struct Aligned<T> {
    lines: Vec<Line>,
    length: usize,
    of: std::marker::PhantomData<T>,
}

impl<T> Default for Aligned<T> {
    fn default() -> Aligned<T> {
        Aligned { lines: Vec::new(), length: 0, of: std::marker::PhantomData }
    }
}

impl<T: Pod> Aligned<T> {
    /// So many zeros.
    pub fn zeros(length: usize) -> Aligned<T> {
        let lines = (length * size_of::<T>()).div_ceil(size_of::<Line>());
        Aligned { lines: vec![Line::zeroed(); lines], length, of: std::marker::PhantomData }
    }
}

impl<T: Pod> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &bytemuck::cast_slice(&self.lines)[..self.length]
    }
}

impl<T: Pod> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_of_any_length_begin_at_a_cache_line() {
        for length in [0, 1, 15, 16, 17, 1000, 1 << 20] {
            let mut array = Aligned::<f32>::zeros(length);
            assert!(array.as_ptr().addr().is_multiple_of(64) && array.len() == length && array.iter().all(|x| *x == 0.0));
            array.fill(1.0);
            assert_eq!(array.iter().sum::<f32>(), length as f32);
            let halves = Aligned::<half::bf16>::zeros(length);
            assert!(halves.as_ptr().addr().is_multiple_of(64) && halves.len() == length);
        }
    }
}
