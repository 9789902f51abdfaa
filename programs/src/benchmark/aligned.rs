//! Arrays that begin where a cache line does.

use std::ops::{Deref, DerefMut};

/// Bytes in a cache line, and in the widest vector.
const LINE: usize = 64;

/// Numbers that begin at the start of a cache line, as the allocators of the array libraries and the C loops have it. Large arrays of the system's
/// allocator begin 16 bytes after it, and every wide access to them takes two lines.
#[derive(Debug)]
pub struct Aligned {
    numbers: Vec<f32>,
    start: usize,
    length: usize,
}

impl Aligned {
    /// So many numbers, each made by a call. All are written, so that no page of the memory is made in a measurement.
    pub fn new(length: usize, mut number: impl FnMut() -> f32) -> Aligned {
        const SPARE: usize = LINE / size_of::<f32>();
        let mut numbers: Vec<f32> = Vec::with_capacity(length + SPARE);
        // Where that can't be told, the array is as good as any other.
        let start = numbers.as_ptr().align_offset(LINE).min(SPARE);
        numbers.resize(start, 0.0);
        numbers.extend((0..length).map(|_| number()));
        Aligned { numbers, start, length }
    }
}

impl Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.numbers[self.start..self.start + self.length]
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.numbers[self.start..self.start + self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_of_any_length_begin_at_a_cache_line() {
        for length in [0, 1, 15, 16, 17, 1000, 1 << 20] {
            let mut count = 0.0;
            let next = || {
                count += 1.0;
                count
            };
            let array = Aligned::new(length, next);
            assert_eq!((array.as_ptr().addr() % LINE, array.len()), (0, length));
            assert!(array.iter().zip(1..).all(|(x, i)| *x == i as f32));
        }
    }
}
