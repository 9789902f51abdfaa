//! Which blend of gradients the signs of a program's updates are the signs of.
//!
//! The model is `sign(c0 g(t) + A (beta g(t-1) + beta^2 g(t-2) + ...))`: the current gradient and a
//! geometric tail over the older ones, that is one stored average. A sign tells on which side of
//! zero the blend is, so each number of the stream bounds `c0 / A` from one side; where the model
//! holds, all bounds agree, and what is left between them shrinks with the number of signs rather
//! than with its square root, as it would for a correlation. Nothing monotone and odd around the
//! blend changes any of this.

use super::streams::{BURN_IN, LANES, Lanes, STEPS, stream};

/// A blend, and how well it tells the signs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kernel {
    /// The decay of the tail.
    pub(super) beta: f64,
    /// The weight of the current gradient over what the tail extrapolates to there. Infinite where
    /// there is no tail.
    pub(super) ratio: f64,
    /// The share of the signs that it tells, where gradients are pure noise.
    pub(super) agreement: f64,
    /// The same where they have a drifting mean.
    pub(super) agreement_with_drift: f64,
}

/// Where the search for `beta` starts: `1 - beta`, down to a memory much longer than the stream.
const FORGETTING: [f64; 16] = [
    0.7, 0.45, 0.3, 0.18, 0.11, 0.07, 0.045, 0.028, 0.018, 0.011, 0.007, 0.0045, 0.0028, 0.0014,
    0.0005, 0.00005,
];

/// Halvings of the gap around the best of them.
const HALVINGS: usize = 9;

/// The best blend for the signs of these updates; `None` where there are no signs.
pub(super) fn fit(updates: &[f64]) -> Option<Kernel> {
    let mut fitted: Vec<Bound> =
        FORGETTING.iter().map(|forgetting| ratio(updates, *forgetting)).collect::<Option<_>>()?;
    let best =
        |fitted: &[Bound]| (0..fitted.len()).rev().max_by_key(|i| fitted[*i].agreeing).unwrap_or(0);
    let at = best(&fitted);
    // The best in the middle of two neighbours, where it has two.
    let mut around = fitted.split_off(at.saturating_sub(1));
    around.truncate(if at == 0 { 2 } else { 3 });
    for _ in 0..HALVINGS {
        let mut finer = Vec::with_capacity(5);
        for pair in around.windows(2) {
            finer.extend([
                pair[0],
                ratio(updates, (pair[0].forgetting * pair[1].forgetting).sqrt())?,
            ]);
        }
        finer.extend(around.last());
        let at = best(&finer);
        let from = at.saturating_sub(1);
        around = finer[from..(at + 2).min(finer.len())].to_vec();
    }
    let found = around[best(&around)];
    let beta = 1.0 - found.forgetting;
    let [agreement, agreement_with_drift] =
        [Lanes::Noise, Lanes::Drift].map(|lanes| agreement(updates, beta, found.ratio, lanes));
    Some(Kernel { beta, ratio: found.ratio, agreement, agreement_with_drift })
}

/// The best ratio for one beta.
#[derive(Clone, Copy)]
struct Bound {
    forgetting: f64,
    ratio: f64,
    agreeing: u32,
}

/// Root mean square of a tail of noise of size 1.
fn tail_size(beta: f64) -> f64 {
    beta / (1.0 - beta * beta).sqrt()
}

/// The ratio with which most signs agree, by counting bounds in bins. The bins divide evenly what a
/// ratio is of itself and the size of the tail.
fn ratio(updates: &[f64], forgetting: f64) -> Option<Bound> {
    const BINS: usize = 4096;
    let beta = 1.0 - forgetting;
    let size = tail_size(beta);
    let mut at_least = vec![0_u32; BINS];
    let mut at_most = vec![0_u32; BINS];
    let mut count = 0;
    for_each_sign(updates, beta, Lanes::Noise, |gradient, tail, sign| {
        if gradient == 0.0 {
            return;
        }
        count += 1;
        // ratio * gradient + tail has the sign of the update on one side of this.
        let bound = -tail / gradient;
        let bin = ((bound / (bound.abs() + size) + 1.0) * (BINS as f64 / 2.0)) as usize;
        let bins = if sign * gradient > 0.0 { &mut at_least } else { &mut at_most };
        bins[bin.min(BINS - 1)] += 1;
    });
    if count == 0 {
        return None;
    }
    // Ratios between the bins: at the start of bin 0 all upper bounds hold and no lower one.
    let mut agreeing: u32 = at_most.iter().sum();
    let (mut most, mut first, mut last) = (agreeing, 0, 0);
    for bin in 0..BINS {
        agreeing = agreeing + at_least[bin] - at_most[bin];
        if agreeing > most {
            (most, first) = (agreeing, bin + 1);
        }
        if agreeing == most {
            last = bin + 1;
        }
    }
    let share = (first + last) as f64 / BINS as f64 - 1.0;
    let ratio = if last == BINS { f64::INFINITY } else { size * share / (1.0 - share.abs()) };
    Some(Bound { forgetting, ratio, agreeing: most })
}

/// The share of the signs that a blend tells.
fn agreement(updates: &[f64], beta: f64, ratio: f64, lanes: Lanes) -> f64 {
    let mut counts = [0_u32; 2];
    for_each_sign(updates, beta, lanes, |gradient, tail, sign| {
        let blend = if ratio.is_finite() { ratio * gradient + tail } else { gradient };
        counts[usize::from(blend * sign > 0.0)] += 1;
    });
    let [wrong, right] = counts;
    f64::from(right) / f64::from((wrong + right).max(1))
}

/// Calls a function with the gradient, the tail and the sign of the update at each place that has a
/// sign.
fn for_each_sign(updates: &[f64], beta: f64, lanes: Lanes, mut then: impl FnMut(f64, f64, f64)) {
    let mut tails = [0.0; LANES / 2];
    let steps = stream().gradients.chunks_exact(LANES).zip(updates.chunks_exact(LANES));
    for (step, (gradients, updates)) in steps.enumerate() {
        let gradients = gradients.iter().skip(lanes as usize).step_by(2);
        let updates = updates.iter().skip(lanes as usize).step_by(2);
        for ((gradient, update), tail) in gradients.zip(updates).zip(&mut tails) {
            if step >= BURN_IN && update.is_finite() && *update != 0.0 {
                then(*gradient, *tail, update.signum());
            }
            *tail = beta * (*tail + gradient);
        }
    }
}

impl Kernel {
    /// The blend along the stream, step by step and coordinate by coordinate.
    pub(super) fn blends(&self) -> Vec<f64> {
        let mut tails = [0.0; LANES];
        let mut blends = Vec::with_capacity(STEPS * LANES);
        for gradients in stream().gradients.chunks_exact(LANES) {
            for (gradient, tail) in gradients.iter().zip(&mut tails) {
                blends.push(if self.ratio.is_finite() {
                    self.ratio * gradient + *tail
                } else {
                    *gradient
                });
                *tail = self.beta * (*tail + gradient);
            }
        }
        blends
    }
}

/// How much of a blend of pure noise the tail is: its root mean square over that of the blend.
pub(super) fn tail_share(beta: f64, ratio: f64) -> f64 {
    let tail = tail_size(beta);
    tail / (ratio * ratio + tail * tail).sqrt()
}
