//! Synthetic classification: inputs from N(0, I), labels from a random teacher.
//!
//! The teacher is a softmax regression or a perceptron with one layer of tanh units. Its labels are
//! sampled from its softmax, so the lowest reachable loss is the mean entropy of the teacher, not
//! zero. A teacher of signs, all of whose weights have one magnitude, suits optimizers whose
//! updates have one magnitude; a normal teacher does not. Which one a task uses is part of what it
//! measures.

use super::{Vectors, sample_softmax};
use crate::rng::{Purpose, stream};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

/// How a teacher's weights are distributed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weights {
    /// +1 or -1.
    Signs,
    /// N(0, 1).
    Normal,
}

/// The sizes of a teacher.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TeacherSizes {
    /// Inputs.
    pub features: usize,
    /// Hidden tanh units; 0 for a softmax regression.
    pub hidden: usize,
    /// Classes.
    pub classes: usize,
    /// The distribution of all weights before scaling.
    pub weights: Weights,
    /// The scale of the logits: they are `scale / sqrt(n)` times the sum over the n inputs of the
    /// last layer. Hidden units get their sum divided by `sqrt(features)`.
    pub scale: f64,
}

/// A random teacher.
#[derive(Clone, Debug)]
pub struct Teacher {
    sizes: TeacherSizes,
    /// [hidden, features].
    hidden: Vec<f64>,
    /// [classes, hidden or features].
    output: Vec<f64>,
}

impl Teacher {
    /// The teacher of a seed. Features and classes are at least 1.
    pub fn new(sizes: TeacherSizes, seed: u64) -> Self {
        let mut random = stream(seed, Purpose::Teacher);
        let mut draw = |count: usize, factor: f64| -> Vec<f64> {
            (0..count)
                .map(|_| match sizes.weights {
                    Weights::Signs => factor * if random.random::<bool>() { 1.0 } else { -1.0 },
                    Weights::Normal => {
                        let normal: f64 = StandardNormal.sample(&mut random);
                        factor * normal
                    }
                })
                .collect()
        };
        let hidden = draw(sizes.hidden * sizes.features, 1.0 / (sizes.features as f64).sqrt());
        let last = if sizes.hidden == 0 { sizes.features } else { sizes.hidden };
        let output = draw(sizes.classes * last, sizes.scale / (last as f64).sqrt());
        Teacher { sizes, hidden, output }
    }

    /// So many examples with sampled labels.
    pub fn examples(&self, count: usize, random: &mut ChaCha8Rng) -> Vectors {
        let TeacherSizes { features, hidden, classes, .. } = self.sizes;
        let mut rows = Vec::with_capacity(count * features);
        let mut labels = Vec::with_capacity(count);
        let mut units = vec![0.0; hidden];
        let mut shares = vec![0.0; classes];
        for _ in 0..count {
            let from = rows.len();
            rows.extend((0..features).map(|_| {
                let normal: f32 = StandardNormal.sample(random);
                normal
            }));
            let input: Vec<f64> = rows[from..].iter().map(|&x| f64::from(x)).collect();
            for (unit, weights) in units.iter_mut().zip(self.hidden.chunks_exact(features)) {
                *unit = libm::tanh(dot(weights, &input));
            }
            let last: &[f64] = if hidden == 0 { &input } else { &units };
            for (share, weights) in shares.iter_mut().zip(self.output.chunks_exact(last.len())) {
                *share = dot(weights, last);
            }
            labels.push(sample_softmax(&mut shares, random));
        }
        Vectors { features, classes, rows, labels }
    }
}

fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(x, y)| x * y).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_follow_the_teacher_more_often_the_larger_its_scale() {
        let right = |scale, hidden| {
            let sizes =
                TeacherSizes { features: 16, hidden, classes: 4, weights: Weights::Signs, scale };
            let teacher = Teacher::new(sizes, 1);
            let examples = teacher.examples(2_000, &mut stream(1, Purpose::TrainingExamples));
            // A teacher of a huge scale labels the same inputs with its most likely class.
            let sure = Teacher::new(TeacherSizes { scale: 1e6, ..sizes }, 1)
                .examples(2_000, &mut stream(1, Purpose::TrainingExamples));
            assert_eq!(examples.rows, sure.rows);
            examples.labels.iter().zip(&sure.labels).filter(|(a, b)| a == b).count()
        };
        for hidden in [0, 24] {
            let (weak, strong) = (right(0.5, hidden), right(4.0, hidden));
            assert!(
                weak > 600 && weak < strong && strong > 1_400 && strong < 2_000,
                "{weak} {strong}"
            );
        }
    }
}
