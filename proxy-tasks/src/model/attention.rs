//! Multi-head scaled dot-product attention (Vaswani et al. 2017).
//!
//! Arrays are [features, positions, batch] with the batch innermost: the matrices of one sequence
//! are too small for a matrix product, but sixteen sequences side by side fill the vectors.

use super::scalar::Scalar;
use multiversion::multiversion;

const LANES: usize = 16;

/// The sizes of an attention.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Heads.
    pub heads: usize,
    /// Features of one head.
    pub head_width: usize,
    /// Positions of a sequence.
    pub positions: usize,
    /// Sequences.
    pub batch: usize,
    /// Whether a position sees only itself and those before it.
    pub causal: bool,
}

impl Sizes {
    /// Numbers in a query, key, value or output array.
    fn features(&self) -> usize {
        self.heads * self.head_width * self.positions * self.batch
    }

    /// Numbers in the array of attention probabilities [heads, positions, positions, batch].
    pub fn probabilities(&self) -> usize {
        self.heads * self.positions * self.positions * self.batch
    }

    /// How many positions position t sees.
    #[inline(always)]
    fn seen(&self, t: usize) -> usize {
        if self.causal { t + 1 } else { self.positions }
    }
}

/// `output = softmax(query · key / sqrt(head width)) · value`; keeps the probabilities for the way
/// back.
pub fn forward<T: Scalar>(
    sizes: Sizes,
    query: &[T],
    key: &[T],
    value: &[T],
    probabilities: &mut [T],
    output: &mut [T],
) {
    let length = sizes.features();
    assert!(
        query.len() == length
            && key.len() == length
            && value.len() == length
            && output.len() == length
    );
    assert!(probabilities.len() == sizes.probabilities());
    attend(sizes, query, key, value, probabilities, output);
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn attend<T: Scalar>(
    sizes: Sizes,
    query: &[T],
    key: &[T],
    value: &[T],
    probabilities: &mut [T],
    output: &mut [T],
) {
    let plane = sizes.positions * sizes.batch;
    for head in 0..sizes.heads {
        let features = head * sizes.head_width * plane..(head + 1) * sizes.head_width * plane;
        let pairs = head * sizes.positions * plane..(head + 1) * sizes.positions * plane;
        let (query, key, value) =
            (&query[features.clone()], &key[features.clone()], &value[features.clone()]);
        let (probabilities, output) = (&mut probabilities[pairs], &mut output[features]);
        let mut b = 0;
        while b + LANES <= sizes.batch {
            attend_of::<T, LANES>(sizes, query, key, value, probabilities, output, b);
            b += LANES;
        }
        while b < sizes.batch {
            attend_of::<T, 1>(sizes, query, key, value, probabilities, output, b);
            b += 1;
        }
    }
}

#[inline(always)]
fn lanes<T: Scalar, const W: usize>(array: &[T], at: usize) -> [T; W] {
    let mut block = [T::ZERO; W];
    block.copy_from_slice(&array[at..at + W]);
    block
}

#[inline(always)]
fn attend_of<T: Scalar, const W: usize>(
    sizes: Sizes,
    query: &[T],
    key: &[T],
    value: &[T],
    probabilities: &mut [T],
    output: &mut [T],
    b: usize,
) {
    let (batch, plane) = (sizes.batch, sizes.positions * sizes.batch);
    let scale = T::from_f64(1.0 / (sizes.head_width as f64).sqrt());
    for t in 0..sizes.positions {
        let seen = sizes.seen(t);
        let row = &mut probabilities[t * plane..(t + 1) * plane];
        let mut largest = [T::ZERO; W];
        for s in 0..seen {
            let mut score = [T::ZERO; W];
            for (query, key) in query.chunks_exact(plane).zip(key.chunks_exact(plane)) {
                let (query, key) = (&query[t * batch + b..][..W], &key[s * batch + b..][..W]);
                for l in 0..W {
                    score[l] = query[l].mul_add(key[l], score[l]);
                }
            }
            for l in 0..W {
                score[l] = score[l] * scale;
                largest[l] = if s == 0 { score[l] } else { score[l].larger(largest[l]) };
            }
            row[s * batch + b..][..W].copy_from_slice(&score);
        }
        let mut sum = [T::ZERO; W];
        for s in 0..seen {
            let place = &mut row[s * batch + b..][..W];
            for l in 0..W {
                place[l] = (place[l] - largest[l]).exp();
                sum[l] += place[l];
            }
        }
        let mut factor = [T::ZERO; W];
        for l in 0..W {
            factor[l] = T::ONE / sum[l];
        }
        for s in 0..seen {
            let place = &mut row[s * batch + b..][..W];
            for l in 0..W {
                place[l] = place[l] * factor[l];
            }
        }
        for (value, output) in value.chunks_exact(plane).zip(output.chunks_exact_mut(plane)) {
            let mut sum = [T::ZERO; W];
            for s in 0..seen {
                let (p, v) = (&row[s * batch + b..][..W], &value[s * batch + b..][..W]);
                for l in 0..W {
                    sum[l] = p[l].mul_add(v[l], sum[l]);
                }
            }
            output[t * batch + b..][..W].copy_from_slice(&sum);
        }
    }
}

/// The gradients with respect to query, key and value (overwritten) from that with respect to the
/// output.
///
/// `score_gradient` is room for as many numbers as there are probabilities of one head.
pub fn backward<T: Scalar>(
    sizes: Sizes,
    [query, key, value]: [&[T]; 3],
    probabilities: &[T],
    output_gradient: &[T],
    [query_gradient, key_gradient, value_gradient]: [&mut [T]; 3],
    score_gradient: &mut [T],
) {
    let length = sizes.features();
    assert!(
        query.len() == length
            && key.len() == length
            && value.len() == length
            && output_gradient.len() == length
    );
    assert!(
        query_gradient.len() == length
            && key_gradient.len() == length
            && value_gradient.len() == length
    );
    assert!(probabilities.len() == sizes.probabilities());
    go_back(
        sizes,
        [query, key, value],
        probabilities,
        output_gradient,
        [query_gradient, key_gradient, value_gradient],
        score_gradient,
    );
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn go_back<T: Scalar>(
    sizes: Sizes,
    inputs: [&[T]; 3],
    probabilities: &[T],
    output_gradient: &[T],
    gradients: [&mut [T]; 3],
    score_gradient: &mut [T],
) {
    let plane = sizes.positions * sizes.batch;
    let [query_gradient, key_gradient, value_gradient] = gradients;
    for head in 0..sizes.heads {
        let features = head * sizes.head_width * plane..(head + 1) * sizes.head_width * plane;
        let pairs = head * sizes.positions * plane..(head + 1) * sizes.positions * plane;
        let inputs = [
            &inputs[0][features.clone()],
            &inputs[1][features.clone()],
            &inputs[2][features.clone()],
        ];
        let (probabilities, output_gradient) =
            (&probabilities[pairs], &output_gradient[features.clone()]);
        let query_gradient = &mut query_gradient[features.clone()];
        let key_gradient = &mut key_gradient[features.clone()];
        let value_gradient = &mut value_gradient[features];
        let mut b = 0;
        while b < sizes.batch {
            let gradients = [&mut *query_gradient, &mut *key_gradient, &mut *value_gradient];
            if b + LANES <= sizes.batch {
                go_back_of::<T, LANES>(
                    sizes,
                    inputs,
                    probabilities,
                    output_gradient,
                    gradients,
                    score_gradient,
                    b,
                );
                b += LANES;
            } else {
                go_back_of::<T, 1>(
                    sizes,
                    inputs,
                    probabilities,
                    output_gradient,
                    gradients,
                    score_gradient,
                    b,
                );
                b += 1;
            }
        }
    }
}

#[inline(always)]
fn go_back_of<T: Scalar, const W: usize>(
    sizes: Sizes,
    [query, key, value]: [&[T]; 3],
    probabilities: &[T],
    output_gradient: &[T],
    [query_gradient, key_gradient, value_gradient]: [&mut [T]; 3],
    score_gradient: &mut [T],
    b: usize,
) {
    let (positions, batch, plane) = (sizes.positions, sizes.batch, sizes.positions * sizes.batch);
    let scale = T::from_f64(1.0 / (sizes.head_width as f64).sqrt());
    let scores = &mut score_gradient[..positions * positions * W];
    for t in 0..positions {
        let seen = sizes.seen(t);
        let row = &mut scores[t * positions * W..(t + 1) * positions * W];
        let probabilities = &probabilities[t * plane..(t + 1) * plane];
        let mut along = [T::ZERO; W];
        for s in 0..seen {
            let mut gradient = [T::ZERO; W];
            for (output, value) in
                output_gradient.chunks_exact(plane).zip(value.chunks_exact(plane))
            {
                let (output, value) = (&output[t * batch + b..][..W], &value[s * batch + b..][..W]);
                for l in 0..W {
                    gradient[l] = output[l].mul_add(value[l], gradient[l]);
                }
            }
            let p = &probabilities[s * batch + b..][..W];
            for l in 0..W {
                along[l] = p[l].mul_add(gradient[l], along[l]);
            }
            row[s * W..][..W].copy_from_slice(&gradient);
        }
        for s in 0..seen {
            let (p, place) = (&probabilities[s * batch + b..][..W], &mut row[s * W..][..W]);
            for l in 0..W {
                place[l] = p[l] * (place[l] - along[l]) * scale;
            }
        }
        for (key, gradient) in key.chunks_exact(plane).zip(query_gradient.chunks_exact_mut(plane)) {
            let mut sum = [T::ZERO; W];
            for s in 0..seen {
                let (ds, k) = (&row[s * W..][..W], &key[s * batch + b..][..W]);
                for l in 0..W {
                    sum[l] = ds[l].mul_add(k[l], sum[l]);
                }
            }
            gradient[t * batch + b..][..W].copy_from_slice(&sum);
        }
    }
    for s in 0..positions {
        let first = if sizes.causal { s } else { 0 };
        let inputs = query.chunks_exact(plane).zip(output_gradient.chunks_exact(plane));
        let outputs =
            key_gradient.chunks_exact_mut(plane).zip(value_gradient.chunks_exact_mut(plane));
        for ((query, output), (key_gradient, value_gradient)) in inputs.zip(outputs) {
            let (mut key_sum, mut value_sum) = ([T::ZERO; W], [T::ZERO; W]);
            for t in first..positions {
                let ds = lanes::<T, W>(scores, (t * positions + s) * W);
                let q = lanes::<T, W>(query, t * batch + b);
                let p = lanes::<T, W>(probabilities, t * plane + s * batch + b);
                let o = lanes::<T, W>(output, t * batch + b);
                for l in 0..W {
                    key_sum[l] = ds[l].mul_add(q[l], key_sum[l]);
                    value_sum[l] = p[l].mul_add(o[l], value_sum[l]);
                }
            }
            key_gradient[s * batch + b..][..W].copy_from_slice(&key_sum);
            value_gradient[s * batch + b..][..W].copy_from_slice(&value_sum);
        }
    }
}
