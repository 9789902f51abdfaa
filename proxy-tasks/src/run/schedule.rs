//! Learning-rate schedules: the share of the peak learning rate at each step.

use serde::{Deserialize, Serialize};

/// How the learning rate moves over a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// Linear from 0 to 1 over the first part of the steps, then half a cosine wave down to 0.
    WarmupCosine {
        /// The part of the steps that warm up, from 0 to 1.
        warmup: f64,
    },
    /// Always 1.
    Constant,
}

impl Default for Schedule {
    fn default() -> Schedule {
        Schedule::WarmupCosine { warmup: 0.05 }
    }
}

impl Schedule {
    /// The value in [0, 1] at a step, counted from 0, of a run of `steps`. Warm-up step i has (i + 1)
    /// / warm-up steps, so no step is without effect at the start, and the last step of all is just
    /// above 0.
    pub fn value(self, step: usize, steps: usize) -> f64 {
        match self {
            Schedule::Constant => 1.0,
            Schedule::WarmupCosine { warmup } => {
                let warmup_steps = (warmup.clamp(0.0, 1.0) * steps as f64).round() as usize;
                if step < warmup_steps {
                    return (step + 1) as f64 / warmup_steps as f64;
                }
                let done = (step - warmup_steps) as f64 / (steps - warmup_steps).max(1) as f64;
                0.5 * (1.0 + libm::cos(std::f64::consts::PI * done.min(1.0)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warms_up_linearly_to_one_and_falls_to_nearly_zero() {
        let schedule = Schedule::WarmupCosine { warmup: 0.1 };
        let values: Vec<f64> = (0..100).map(|step| schedule.value(step, 100)).collect();
        assert!(
            (values[0] - 0.1).abs() < 1e-12
                && (values[9] - 1.0).abs() < 1e-12
                && (values[10] - 1.0).abs() < 1e-12
        );
        assert!(values[10..].windows(2).all(|pair| pair[1] < pair[0]));
        assert!(values[99] > 0.0 && values[99] < 0.01);
    }
}
