//! Early stopping of hopeless evaluations: at each checkpoint of the suite, far below what the
//! population had there.

use std::sync::Arc;

use crate::config::HurdleConfig;
use crate::engine::individual::Individual;
use crate::store::{StateReader, StateWriter};

/// The running fitness at each checkpoint below which an evaluation is hopeless.
pub type Thresholds = Arc<[f64]>;

/// Takes the thresholds from a population.
#[derive(Clone, Debug)]
pub struct Hurdle {
    config: HurdleConfig,
    checkpoints: usize,
    thresholds: Thresholds,
}

impl Hurdle {
    /// A hurdle that stops nothing yet. The last checkpoint never stops an evaluation: it is over
    /// then.
    pub fn new(config: HurdleConfig, checkpoints: usize) -> Hurdle {
        Hurdle { config, checkpoints, thresholds: Arc::from(vec![f64::NEG_INFINITY; checkpoints]) }
    }

    /// Writes what it has taken from the population.
    pub(crate) fn save(&self, state: &mut StateWriter) {
        let Hurdle { config: _, checkpoints: _, thresholds } = self;
        state.length(thresholds.len());
        thresholds.iter().for_each(|threshold| state.real(*threshold));
    }

    /// Reads what [`Hurdle::save`] wrote.
    pub(crate) fn restore(&mut self, state: &mut StateReader) -> Option<()> {
        let length = state.length()?;
        let thresholds: Thresholds = (0..length).map(|_| state.real()).collect::<Option<_>>()?;
        (length == self.checkpoints).then(|| self.thresholds = thresholds)
    }

    /// The thresholds for child number `index`. They are taken anew from the population at every
    /// so-manieth child, so they depend on nothing but the search itself.
    pub fn thresholds<'i, P: Iterator<Item = &'i Individual> + Clone>(
        &mut self,
        index: u64,
        population: P,
    ) -> Thresholds {
        if self.config.quantile > 0.0 && index.is_multiple_of(self.config.every) {
            let size = population.clone().count();
            let mut values = Vec::with_capacity(size);
            let rank = (self.config.quantile * size.saturating_sub(1) as f64).floor() as usize;
            let threshold = |checkpoint: usize| {
                values.clear();
                // Those that never came so far count as worse than any.
                values.extend(
                    population
                        .clone()
                        .map(|i| i.curve.get(checkpoint).copied().unwrap_or(f64::NEG_INFINITY)),
                );
                if values.is_empty() {
                    return f64::NEG_INFINITY;
                }
                let (_, value, _) = values.select_nth_unstable_by(rank, f64::total_cmp);
                *value - self.config.margin
            };
            self.thresholds = (0..self.checkpoints).map(threshold).collect();
        }
        Arc::clone(&self.thresholds)
    }
}
