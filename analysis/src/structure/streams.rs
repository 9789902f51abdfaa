//! The fixed stream of gradients that programs are probed on, and a program's updates on it.

use std::sync::OnceLock;

use ndarray::{ArrayD, IxDyn};
use symopt_dsl::Program;
use symopt_evaluator::Reference;

/// Coordinates, in so many parameter arrays of equal length.
pub(super) const LANES: usize = 96;
const ARRAYS: usize = 4;

/// Steps of the longest run.
pub(super) const STEPS: usize = 420;

/// Steps before anything is measured: the memories of a program fill. The fitted average starts at
/// zero as a program does, so slower memories need no longer.
pub(super) const BURN_IN: usize = 100;

/// Steps of the runs that are held against the first steps of the longest one.
pub(super) const SHORT: usize = 180;

/// Sizes of gradients: one after the other along the coordinates, at equal distances on a
/// logarithmic scale.
const SIZES: [f64; 5] = [0.03, 0.1, 0.3, 1.0, 3.0];

/// How large the drifting mean of a coordinate is beside the noise, one after the other along the
/// coordinates with a mean.
const MEANS: [f64; 3] = [0.3, 1.0, 3.0];

/// Kind of gradients of a coordinate. Coordinates of both kinds alternate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lanes {
    /// Pure noise, each gradient independent of the others.
    Noise,
    /// A mean that drifts over some 50 steps, and noise.
    Drift,
}

/// Gradients for all steps, coordinate by coordinate, and weights.
pub(super) struct Stream {
    pub(super) gradients: Vec<f64>,
    pub(super) weights: Vec<f64>,
}

/// The stream: the same for every program, made once.
pub(super) fn stream() -> &'static Stream {
    static STREAM: OnceLock<Stream> = OnceLock::new();
    STREAM.get_or_init(|| {
        let mut random = Random(5);
        let weights = (0..LANES).map(|_| random.bell()).collect();
        let mut means: Vec<f64> = (0..LANES).map(|_| random.bell()).collect();
        let mut gradients = Vec::with_capacity(STEPS * LANES);
        for _ in 0..STEPS {
            for (lane, mean) in means.iter_mut().enumerate() {
                // Variance 1 and a correlation of 0.98 from step to step.
                *mean = 0.98 * *mean + 0.2 * random.bell();
                let drift = if lane % 2 == Lanes::Noise as usize {
                    0.0
                } else {
                    MEANS[(lane / 2) % MEANS.len()] * *mean
                };
                gradients.push(SIZES[(lane / 2) % SIZES.len()] * (drift + random.bell()));
            }
        }
        Stream { gradients, weights }
    })
}

/// How a program is run.
#[derive(Clone, Copy)]
pub(super) struct Setting {
    pub(super) steps: usize,
    /// Gradients are those of the stream times this.
    pub(super) gradients: f64,
    /// Weights are those of the stream times this, in every step: updates are not applied.
    pub(super) weights: f64,
}

/// The updates of a program from zero state on, step by step and coordinate by coordinate, at its
/// conventional peak learning rate. `None` if it can't be run.
pub(super) fn updates(program: &Program, setting: Setting) -> Option<Vec<f64>> {
    let stream = stream();
    let shapes = vec![vec![LANES / ARRAYS]; ARRAYS];
    let mut reference = Reference::<f64>::new(program, &shapes).ok()?;
    let lr = program.signature().peak_learning_rate();
    let mut weights: Vec<ArrayD<f64>> =
        shapes.iter().map(|shape| ArrayD::zeros(IxDyn(shape))).collect();
    let mut gradients = weights.clone();
    let fill = |arrays: &mut [ArrayD<f64>], numbers: &[f64], factor: f64| {
        arrays
            .iter_mut()
            .flatten()
            .zip(numbers)
            .for_each(|(place, number)| *place = factor * number);
    };
    fill(&mut weights, &stream.weights, setting.weights);
    let mut updates = Vec::with_capacity(setting.steps * LANES);
    for numbers in stream.gradients.chunks_exact(LANES).take(setting.steps) {
        fill(&mut gradients, numbers, setting.gradients);
        updates.extend(reference.update(&weights, &gradients, lr).ok()?.iter().flatten());
    }
    Some(updates)
}

/// SplitMix64 (Steele et al. 2014).
pub(super) struct Random(pub(super) u64);

impl Random {
    /// In [0, 1).
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (z >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Mean 0 and variance 1, bell-shaped: a sum of six uniform numbers. Not by a logarithm, which
    /// may differ from machine to machine.
    pub(super) fn bell(&mut self) -> f64 {
        let sum: f64 = (0..6).map(|_| self.unit()).sum();
        std::f64::consts::SQRT_2 * (sum - 3.0)
    }
}
