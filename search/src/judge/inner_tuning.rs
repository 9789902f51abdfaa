//! The small tuning that gives each direction its own best peak learning rate and weight decay on a
//! task, as practitioners tune optimizers.
//!
//! Both are tuned in coordinates in which directions are alike, whatever their size: x is log2(lr *
//! RMS), the size of a step at the peak of the schedule, and z is log2(RMS / weight_decay), the
//! size of weights at which the decay holds the direction up, where RMS is the root mean square of
//! the direction on recorded gradients. A compass search moves along both from where the parent did
//! best, by whole steps and then by halves; each point is first tried on half of the tuning seeds,
//! and on the others only if it is better there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Where a direction is run: x and z, both in halves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Setting {
    /// Twice log2(lr * RMS).
    pub x: i16,
    /// Twice log2(RMS / weight_decay).
    pub z: i16,
}

/// Where the tuning of a direction that has no parent begins: between what suits AdamW and what
/// suits signs.
pub const START: Setting = Setting { x: -13, z: 0 };

/// Bounds of x and z. Beyond the last z the decay is without effect in a short training.
const X: std::ops::RangeInclusive<i16> = -40..=8;
const Z: std::ops::RangeInclusive<i16> = -12..=20;

/// Twice the log2 of the largest lr * weight_decay: one eighth. Beyond that the decay does not
/// regularize training any more, but makes the weights a copy of the last directions.
const MOST_SHRINKING: i16 = -6;

/// Moves at one length, at most.
const MOVES: usize = 12;

impl Setting {
    /// The peak learning rate of a direction of a size.
    pub fn peak_lr(self, rms: f64) -> f64 {
        libm::exp2(f64::from(self.x) / 2.0) / rms
    }

    /// The weight decay of a direction of a size.
    pub fn weight_decay(self, rms: f64) -> f64 {
        rms / libm::exp2(f64::from(self.z) / 2.0)
    }

    /// The setting one step further along x or z, if that is within the bounds.
    fn moved(self, axis: usize, by: i16) -> Option<Setting> {
        let moved = if axis == 0 {
            Setting { x: self.x.saturating_add(by), ..self }
        } else {
            Setting { z: self.z.saturating_add(by), ..self }
        };
        (X.contains(&moved.x) && Z.contains(&moved.z) && moved.x - moved.z <= MOST_SHRINKING)
            .then_some(moved)
    }
}

/// The median of settings in each coordinate, the lower one of two.
pub fn median(settings: &[Setting]) -> Option<Setting> {
    let middle = |of: &dyn Fn(&Setting) -> i16| {
        let mut values: Vec<i16> = settings.iter().map(of).collect();
        values.sort_unstable();
        values.get(values.len().saturating_sub(1) / 2).copied()
    };
    Some(Setting { x: middle(&|s| s.x)?, z: middle(&|s| s.z)? })
}

/// The tuning of one direction on one task.
pub struct Tuning<F> {
    /// The loss in a setting on a tuning seed, by its number; infinite if it diverges.
    loss: F,
    seeds: usize,
    /// Known losses, by setting and seed.
    known: BTreeMap<(Setting, usize), f64>,
    /// The best setting so far.
    pub best: Setting,
}

impl<E, F: FnMut(Setting, usize) -> Result<f64, E>> Tuning<F> {
    /// A tuning that begins at a setting.
    pub fn new(start: Setting, seeds: usize, loss: F) -> Tuning<F> {
        Tuning { loss, seeds, known: BTreeMap::new(), best: start }
    }

    /// The mean loss in a setting over the first `count` seeds.
    pub fn mean(&mut self, setting: Setting, count: usize) -> Result<f64, E> {
        let mut sum = 0.0;
        for seed in 0..count {
            sum += match self.known.get(&(setting, seed)) {
                Some(loss) => *loss,
                None => {
                    let loss = (self.loss)(setting, seed)?;
                    self.known.insert((setting, seed), loss);
                    loss
                }
            };
            if !sum.is_finite() {
                return Ok(f64::INFINITY);
            }
        }
        Ok(sum / count as f64)
    }

    /// Moves to better settings by steps of one length, in halves, until none is better.
    pub fn search(&mut self, by: i16) -> Result<(), E> {
        let half = self.seeds.div_ceil(2);
        let mut moves = 0;
        loop {
            let before = self.best;
            for (axis, sign) in [(0, 1), (0, -1), (1, 1), (1, -1)] {
                // On in the same direction as long as it goes well.
                while let Some(next) = self.best.moved(axis, sign * by) {
                    let better = moves < MOVES
                        && self.mean(next, half)? < self.mean(self.best, half)?
                        && self.mean(next, self.seeds)? < self.mean(self.best, self.seeds)?;
                    if !better {
                        break;
                    }
                    moves += 1;
                    self.best = next;
                }
            }
            if self.best == before {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_optimum_of_a_broad_valley_is_found_and_divergence_is_avoided() {
        let mut runs = 0;
        let mut tuning = Tuning::new(START, 4, |s: Setting, seed| {
            runs += 1;
            let (x, z) = (f64::from(s.x) / 2.0, f64::from(s.z) / 2.0);
            let loss = (x + 4.0).powi(2) + 0.1 * (z - 3.0).powi(2) + seed as f64;
            Ok::<f64, ()>(if x > -3.0 { f64::INFINITY } else { loss })
        });
        for by in [2, 1] {
            tuning.search(by).unwrap();
        }
        assert_eq!(tuning.best, Setting { x: -8, z: 6 });
        assert!(runs < 80, "{runs}");
    }

    #[test]
    fn learning_rate_and_decay_follow_the_size_of_the_direction() {
        let setting = Setting { x: -12, z: -2 };
        assert!((setting.peak_lr(0.5) - 2.0 / 64.0).abs() < 1e-12);
        assert!((setting.weight_decay(0.5) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_median_is_taken_in_each_coordinate() {
        let setting = |x, z| Setting { x, z };
        assert_eq!(median(&[setting(1, 9), setting(3, 7), setting(2, 8)]), Some(setting(2, 8)));
        assert_eq!(median(&[setting(4, 0), setting(2, 5)]), Some(setting(2, 0)));
        assert_eq!(median(&[]), None);
    }
}
