//! Arrays that begin where a cache line does.

use std::ops::{Deref, DerefMut};

use bytemuck::{Pod, Zeroable};

/// A cache line, as wide as the widest vector.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Bytes in a page of memory. Accesses whose places in their pages overlap are held up as if they
/// were to the same place.
const PAGE: usize = 4096;

/// Numbers that begin at the start of a cache line. Large arrays of the system's allocator begin 16
/// bytes after one, and then every access of a wide vector takes two lines.
#[derive(Debug)]
pub struct Aligned<T> {
    lines: Vec<Line>,
    /// Lines before the first number.
    start: usize,
    length: usize,
    place: Option<usize>,
    of: std::marker::PhantomData<T>,
}

impl<T> Default for Aligned<T> {
    fn default() -> Aligned<T> {
        Aligned {
            lines: Vec::new(),
            start: 0,
            length: 0,
            place: None,
            of: std::marker::PhantomData,
        }
    }
}

impl<T: Pod> Aligned<T> {
    /// So many zeros.
    pub fn zeros(length: usize) -> Aligned<T> {
        Aligned::allocate(length, None)
    }

    /// So many zeros that begin at a quarter of a page. A loop over several large arrays is fastest
    /// where they begin at different places.
    pub fn zeros_at_quarter(length: usize, quarter: usize) -> Aligned<T> {
        Aligned::allocate(length, Some(quarter % 4 * (PAGE / 4)))
    }

    fn allocate(length: usize, place: Option<usize>) -> Aligned<T> {
        const LINE: usize = size_of::<Line>();
        let bytes = length * size_of::<T>();
        // A buffer far smaller than a page is not worth one.
        let place = place.filter(|_| bytes >= PAGE / 4);
        let spare = if place.is_some() { PAGE / LINE } else { 0 };
        let lines = vec![Line::zeroed(); bytes.div_ceil(LINE) + spare];
        let start =
            place.map_or(0, |place| (place + PAGE - lines.as_ptr().addr() % PAGE) % PAGE / LINE);
        Aligned { lines, start, length, place, of: std::marker::PhantomData }
    }
}

impl<T: Pod> Clone for Aligned<T> {
    fn clone(&self) -> Aligned<T> {
        let mut clone = Aligned::allocate(self.length, self.place);
        clone.copy_from_slice(self);
        clone
    }
}

impl<T: Pod + PartialEq> PartialEq for Aligned<T> {
    fn eq(&self, other: &Aligned<T>) -> bool {
        self[..] == other[..]
    }
}

impl<T: Pod> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &bytemuck::cast_slice(&self.lines[self.start..])[..self.length]
    }
}

impl<T: Pod> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut bytemuck::cast_slice_mut(&mut self.lines[self.start..])[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_of_any_length_begin_at_a_cache_line() {
        for length in [0, 1, 15, 16, 17, 1000, 1 << 20] {
            let mut array = Aligned::<f32>::zeros(length);
            assert!(
                array.as_ptr().addr().is_multiple_of(64)
                    && array.len() == length
                    && array.iter().all(|x| *x == 0.0)
            );
            array.fill(1.0);
            assert_eq!(array.iter().sum::<f32>(), length as f32);
            let clone = array.clone();
            assert!(clone.as_ptr().addr().is_multiple_of(64) && clone == array);
            let halves = Aligned::<half::bf16>::zeros(length);
            assert!(halves.as_ptr().addr().is_multiple_of(64) && halves.len() == length);
        }
    }

    #[test]
    fn large_arrays_begin_at_the_quarter_of_a_page_that_they_are_to() {
        for quarter in 0..4 {
            let mut array = Aligned::<f32>::zeros_at_quarter(5000, quarter);
            array[4999] = 1.0;
            let clone = array.clone();
            assert!(
                [&array, &clone]
                    .iter()
                    .all(|array| array.as_ptr().addr() % PAGE == quarter * PAGE / 4)
            );
            assert_eq!((clone.len(), clone[0], clone[4999]), (5000, 0.0, 1.0));
        }
    }
}
