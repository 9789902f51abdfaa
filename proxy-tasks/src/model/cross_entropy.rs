//! Softmax cross-entropy over the rows of a matrix of logits.
//!
//! Logits are [classes, samples]: a class is a row, so that sixteen samples are computed at once
//! and no sum runs across a vector.

use super::scalar::Scalar;
use multiversion::multiversion;

/// Samples that are computed at once.
const LANES: usize = 16;

/// Puts (softmax - one-hot) / samples in the place of the logits, and returns the mean loss in
/// nats.
///
/// `losses` is room for one number for each sample.
///
/// # Panics
/// If `logits` is not a matrix of `labels.len()` columns, or a label is no row of it.
pub fn loss_and_gradient<T: Scalar>(logits: &mut [T], labels: &[u16], losses: &mut [T]) -> f64 {
    let n = labels.len();
    let losses = &mut losses[..n];
    gradient(logits, labels, losses);
    losses.iter().map(|x| x.to_f64()).sum::<f64>() / n as f64
}

/// The sum of the losses in nats and the number of samples whose label has the largest logit,
/// alone.
///
/// # Panics
/// As [`loss_and_gradient`].
pub fn loss_and_hits<T: Scalar>(logits: &[T], labels: &[u16], losses: &mut [T]) -> (f64, usize) {
    let losses = &mut losses[..labels.len()];
    let hits = judge(logits, labels, losses);
    (losses.iter().map(|x| x.to_f64()).sum(), hits)
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn gradient<T: Scalar>(logits: &mut [T], labels: &[u16], losses: &mut [T]) {
    let n = labels.len();
    let mut j = 0;
    while j + LANES <= n {
        gradient_of::<T, LANES>(logits, labels, losses, n, j);
        j += LANES;
    }
    while j < n {
        gradient_of::<T, 1>(logits, labels, losses, n, j);
        j += 1;
    }
}

#[inline(always)]
fn gradient_of<T: Scalar, const W: usize>(
    logits: &mut [T],
    labels: &[u16],
    losses: &mut [T],
    n: usize,
    j: usize,
) {
    let labels = &labels[j..j + W];
    let (largest, picked) = largest_and_picked::<T, W>(logits, labels, n, j);
    let mut sum = [T::ZERO; W];
    for row in logits.chunks_exact_mut(n) {
        let row = &mut row[j..j + W];
        for l in 0..W {
            row[l] = (row[l] - largest[l]).exp();
            sum[l] += row[l];
        }
    }
    let share = T::from_f64(1.0 / n as f64);
    let mut factor = [T::ZERO; W];
    for l in 0..W {
        factor[l] = share / sum[l];
        losses[j + l] = sum[l].ln() + (largest[l] - picked[l]);
    }
    for row in logits.chunks_exact_mut(n) {
        let row = &mut row[j..j + W];
        for l in 0..W {
            row[l] = row[l] * factor[l];
        }
    }
    for l in 0..W {
        logits[usize::from(labels[l]) * n + j + l] -= share;
    }
}

#[inline(always)]
fn largest_and_picked<T: Scalar, const W: usize>(
    logits: &[T],
    labels: &[u16],
    n: usize,
    j: usize,
) -> ([T; W], [T; W]) {
    let mut picked = [T::ZERO; W];
    for l in 0..W {
        picked[l] = logits[usize::from(labels[l]) * n + j + l];
    }
    // From the label's own logit on, so that a NaN there stays in the result.
    let mut largest = picked;
    for row in logits.chunks_exact(n) {
        let row = &row[j..j + W];
        for l in 0..W {
            largest[l] = row[l].larger(largest[l]);
        }
    }
    (largest, picked)
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn judge<T: Scalar>(logits: &[T], labels: &[u16], losses: &mut [T]) -> usize {
    let n = labels.len();
    let mut hits = 0;
    let mut j = 0;
    while j + LANES <= n {
        hits += judge_of::<T, LANES>(logits, labels, losses, n, j);
        j += LANES;
    }
    while j < n {
        hits += judge_of::<T, 1>(logits, labels, losses, n, j);
        j += 1;
    }
    hits
}

#[inline(always)]
fn judge_of<T: Scalar, const W: usize>(
    logits: &[T],
    labels: &[u16],
    losses: &mut [T],
    n: usize,
    j: usize,
) -> usize {
    let (largest, picked) = largest_and_picked::<T, W>(logits, &labels[j..j + W], n, j);
    let mut sum = [T::ZERO; W];
    let mut at_least = [T::ZERO; W];
    for row in logits.chunks_exact(n) {
        let row = &row[j..j + W];
        for l in 0..W {
            sum[l] += (row[l] - largest[l]).exp();
            at_least[l] += if row[l] >= picked[l] { T::ONE } else { T::ZERO };
        }
    }
    for l in 0..W {
        losses[j + l] = sum[l].ln() + (largest[l] - picked[l]);
    }
    at_least.iter().filter(|&&count| count == T::ONE).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn huge_logits_give_finite_losses_and_nan_stays_nan() {
        let labels = [0_u16, 1];
        let mut losses = [0.0; 2];
        let logits = [1e30_f32, -1e30, 0.0, 1e4];
        let (loss, hits) = loss_and_hits(&logits, &labels, &mut losses);
        assert_eq!((loss, hits), (0.0, 2));
        let mut logits = [f32::NAN, 0.0, 0.0, 0.0];
        let (loss, hits) = loss_and_hits(&logits, &labels, &mut losses);
        assert!(loss.is_nan() && hits == 0);
        assert!(loss_and_gradient(&mut logits, &labels, &mut losses).is_nan());
    }

    #[test]
    fn equal_logits_are_no_hit() {
        let mut losses = [0.0; 3];
        let (loss, hits) = loss_and_hits(&[0.5_f64; 12], &[0, 1, 2], &mut losses);
        assert!((loss - 3.0 * 4.0_f64.ln()).abs() < 1e-12);
        assert_eq!(hits, 0);
    }
}
