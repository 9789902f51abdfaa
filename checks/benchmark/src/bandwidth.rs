//! How fast this machine can move what a program has to move: the limit that an optimizer step is
//! measured against.

use multiversion::multiversion;
use symopt_evaluator::aligned::Aligned;

/// A loop with the array traffic of a program and next to no arithmetic: it reads the gradients,
/// and reads and writes the weights and each slot.
#[derive(Debug)]
pub struct Traffic {
    slots: Vec<Aligned<f32>>,
    /// Threads that share the arrays, each with one stretch of all of them.
    threads: usize,
    width: Width,
}

/// The widest vectors that a loop uses. Which of the two moves more depends on the machine and on
/// the cache that the arrays fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 512 bits, where there are any.
    Full,
    /// 256 bits.
    Half,
}

/// `x = gradient - x` in each array: every array is read and written, and after two times
/// everything is as before.
macro_rules! exchange {
    ($($full:ident, $half:ident: $($array:ident),+;)*) => {
        $(
            exchange!(
                $full: $($array),+;
                "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2+lzcnt+popcnt",
                "x86_64+avx2+fma+bmi1+bmi2+lzcnt+popcnt"
            );
            exchange!($half: $($array),+; "x86_64+avx2+fma+bmi1+bmi2+lzcnt+popcnt");
        )*
    };
    ($name:ident: $($array:ident),+; $($target:literal),+) => {
        #[multiversion(targets($($target),+))]
        fn $name(gradients: &[f32], $($array: &mut [f32]),+) {
            // One length for all, so that no access is checked.
            $(let $array = &mut $array[..gradients.len()];)+
            for i in 0..gradients.len() {
                $($array[i] = gradients[i] - $array[i];)+
            }
        }
    };
}
exchange! {
    full_1, half_1: a;
    full_2, half_2: a, b;
    full_3, half_3: a, b, c;
    full_4, half_4: a, b, c, d;
}

impl Traffic {
    /// The traffic of a program with so many live slots over flat arrays.
    pub fn new(slots: usize, parameters: usize, threads: usize, width: Width) -> Traffic {
        // Where an optimizer has them.
        let slot = |index| {
            let mut slot = Aligned::zeros_at_quarter(parameters, index + 1);
            slot.fill(0.5);
            slot
        };
        Traffic { slots: (0..slots).map(slot).collect(), threads, width }
    }

    /// Bytes that a step moves per parameter.
    pub fn bytes_per_parameter(slots: usize) -> usize {
        let (reads, writes) = (2 + slots, 1 + slots);
        size_of::<f32>() * (reads + writes)
    }

    /// Moves everything once. Both slices must have the length that the traffic was made for.
    pub fn step(&mut self, weights: &mut [f32], gradients: &[f32]) {
        let slots = self.slots.iter_mut().map(|slot| &mut slot[..]);
        spread(
            std::iter::once(weights).chain(slots).collect(),
            gradients,
            self.threads,
            self.width,
        );
    }
}

/// Static split: each thread has one stretch.
fn spread(mut arrays: Vec<&mut [f32]>, gradients: &[f32], threads: usize, width: Width) {
    if threads <= 1 {
        // A fifth array would need a second loop; no program of the zoo has one.
        for group in arrays.chunks_mut(4) {
            match (group, width) {
                ([a], Width::Full) => full_1(gradients, a),
                ([a], Width::Half) => half_1(gradients, a),
                ([a, b], Width::Full) => full_2(gradients, a, b),
                ([a, b], Width::Half) => half_2(gradients, a, b),
                ([a, b, c], Width::Full) => full_3(gradients, a, b, c),
                ([a, b, c], Width::Half) => half_3(gradients, a, b, c),
                ([a, b, c, d], Width::Full) => full_4(gradients, a, b, c, d),
                ([a, b, c, d], Width::Half) => half_4(gradients, a, b, c, d),
                _ => {}
            }
        }
        return;
    }
    let first = threads / 2;
    let middle = gradients.len() * first / threads;
    let (left, right): (Vec<_>, Vec<_>) =
        arrays.into_iter().map(|array| array.split_at_mut(middle)).unzip();
    let gradients = gradients.split_at(middle);
    rayon::join(
        || spread(left, gradients.0, first, width),
        || spread(right, gradients.1, threads - first, width),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_arrays_are_exchanged_on_any_number_of_threads() {
        for slots in 0..=5 {
            for (threads, width) in
                (1..=5).flat_map(|threads| [(threads, Width::Full), (threads, Width::Half)])
            {
                let mut traffic = Traffic::new(slots, 11, threads, width);
                let before: Vec<f32> = (0..11).map(|i| i as f32).collect();
                let gradients = [32.0; 11];
                let mut weights = before.clone();
                traffic.step(&mut weights, &gradients);
                assert!(weights.iter().zip(&before).all(|(after, before)| *after == 32.0 - before));
                assert!(traffic.slots.iter().flat_map(|slot| slot.iter()).all(|x| *x == 31.5));
                traffic.step(&mut weights, &gradients);
                assert_eq!(weights, before);
            }
        }
    }

    #[test]
    fn lion_reads_three_arrays_and_writes_two() {
        assert_eq!(Traffic::bytes_per_parameter(1), 4 * (3 + 2));
        assert_eq!(Traffic::bytes_per_parameter(2), 4 * (4 + 3));
    }
}
