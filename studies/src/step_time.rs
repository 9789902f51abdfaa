//! The measured time of a step of an optimizer alone.

use std::time::Instant;

use symopt_dsl::Program;
use symopt_evaluator::{Layout, Options, Threads};

/// A measurement takes at most so many steps in a round.
const MOST_STEPS: usize = 1 << 20;

/// How long a measurement takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
    /// Seconds that a round takes at least.
    pub least_seconds: f64,
    /// Rounds; the shortest counts, since others were held up by something else.
    pub rounds: usize,
}

/// Measures the seconds of a step of a program over the arrays of a layout, on one thread. `None` if
/// the program can't be run there.
pub fn seconds(program: &Program, layout: &Layout, effort: Effort) -> Option<f64> {
    let options = Options { threads: Threads::One, ..Options::default() };
    let mut optimizer = symopt_programs::optimizer(program, layout, options).ok()?;
    // Numbers of all signs and sizes, the same for all programs.
    let number = |place: usize| libm::sin(0.37 * place as f64) as f32;
    let mut weights: Vec<f32> = (0..layout.len()).map(number).collect();
    let gradients: Vec<f32> = (0..layout.len()).map(|place| number(place + 1)).collect();
    let mut steps = 1;
    let mut rounds: Vec<f64> = Vec::with_capacity(effort.rounds);
    loop {
        let begin = Instant::now();
        for _ in 0..steps {
            optimizer.step(&mut weights, &gradients, 1e-6).ok()?;
        }
        let seconds = begin.elapsed().as_secs_f64();
        // Shorter rounds warm up.
        if seconds < effort.least_seconds && steps < MOST_STEPS && rounds.is_empty() {
            steps *= 2;
            continue;
        }
        rounds.push(seconds / steps as f64);
        if rounds.len() >= effort.rounds {
            return rounds.into_iter().min_by(f64::total_cmp);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_takes_time_and_more_of_it_over_more_parameters() {
        let effort = Effort { least_seconds: 0.001, rounds: 3 };
        let of =
            |length| seconds(&symopt_programs::lion().program(), &Layout::flat(length), effort);
        let (small, large) = (of(64).unwrap(), of(1 << 16).unwrap());
        assert!(small > 0.0 && large > small, "{small} {large}");
    }
}
