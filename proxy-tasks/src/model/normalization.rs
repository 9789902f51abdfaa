//! Layer normalisation over the rows of a matrix [features, samples] (Ba et al. 2016).

use super::reduction::{dot_rows, sum_rows};
use super::scalar::Scalar;
use multiversion::multiversion;

const LANES: usize = 16;
/// Added to the variance before the root.
const EPSILON: f64 = 1e-5;

/// For each column: `normal = (input - mean) / sd`, `output = scale * normal + bias`, `inverse = 1
/// / sd`.
///
/// `input`, `normal` and `output` are [features, n]; `inverse` is [n].
pub fn forward<T: Scalar>(
    input: &[T],
    scale: &[T],
    bias: &[T],
    normal: &mut [T],
    output: &mut [T],
    inverse: &mut [T],
) {
    let length = scale.len() * inverse.len();
    assert!(
        input.len() == length
            && normal.len() == length
            && output.len() == length
            && bias.len() == scale.len()
    );
    normalize(input, scale, bias, normal, output, inverse);
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn normalize<T: Scalar>(
    input: &[T],
    scale: &[T],
    bias: &[T],
    normal: &mut [T],
    output: &mut [T],
    inverse: &mut [T],
) {
    let n = inverse.len();
    let mut j = 0;
    while j + LANES <= n {
        normalize_of::<T, LANES>(input, scale, bias, normal, output, inverse, j);
        j += LANES;
    }
    while j < n {
        normalize_of::<T, 1>(input, scale, bias, normal, output, inverse, j);
        j += 1;
    }
}

#[inline(always)]
fn normalize_of<T: Scalar, const W: usize>(
    input: &[T],
    scale: &[T],
    bias: &[T],
    normal: &mut [T],
    output: &mut [T],
    inverse: &mut [T],
    j: usize,
) {
    let n = inverse.len();
    let share = T::from_f64(1.0 / scale.len() as f64);
    let mut mean = [T::ZERO; W];
    for row in input.chunks_exact(n) {
        let row = &row[j..j + W];
        for l in 0..W {
            mean[l] += row[l];
        }
    }
    for mean in &mut mean {
        *mean = *mean * share;
    }
    let mut variance = [T::ZERO; W];
    for row in input.chunks_exact(n) {
        let row = &row[j..j + W];
        for l in 0..W {
            let x = row[l] - mean[l];
            variance[l] = x.mul_add(x, variance[l]);
        }
    }
    let epsilon = T::from_f64(EPSILON);
    let inverse = &mut inverse[j..j + W];
    for l in 0..W {
        inverse[l] = T::ONE / (variance[l] * share + epsilon).sqrt();
    }
    let rows =
        input.chunks_exact(n).zip(normal.chunks_exact_mut(n)).zip(output.chunks_exact_mut(n));
    for (((input, normal), output), (&scale, &bias)) in rows.zip(scale.iter().zip(bias)) {
        let (input, normal, output) =
            (&input[j..j + W], &mut normal[j..j + W], &mut output[j..j + W]);
        for l in 0..W {
            let x = (input[l] - mean[l]) * inverse[l];
            normal[l] = x;
            output[l] = scale.mul_add(x, bias);
        }
    }
}

/// Adds the gradient with respect to the input to `input_gradient`, and writes those of scale and
/// bias.
pub fn backward<T: Scalar>(
    output_gradient: &[T],
    normal: &[T],
    inverse: &[T],
    scale: &[T],
    input_gradient: &mut [T],
    scale_gradient: &mut [T],
    bias_gradient: &mut [T],
) {
    let length = scale.len() * inverse.len();
    assert!(
        output_gradient.len() == length && normal.len() == length && input_gradient.len() == length
    );
    dot_rows(scale_gradient, output_gradient, normal);
    sum_rows(bias_gradient, output_gradient);
    add_input_gradient(output_gradient, normal, inverse, scale, input_gradient);
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn add_input_gradient<T: Scalar>(
    output_gradient: &[T],
    normal: &[T],
    inverse: &[T],
    scale: &[T],
    input_gradient: &mut [T],
) {
    let n = inverse.len();
    let mut j = 0;
    while j + LANES <= n {
        add_input_gradient_of::<T, LANES>(
            output_gradient,
            normal,
            inverse,
            scale,
            input_gradient,
            j,
        );
        j += LANES;
    }
    while j < n {
        add_input_gradient_of::<T, 1>(output_gradient, normal, inverse, scale, input_gradient, j);
        j += 1;
    }
}

#[inline(always)]
fn add_input_gradient_of<T: Scalar, const W: usize>(
    output_gradient: &[T],
    normal: &[T],
    inverse: &[T],
    scale: &[T],
    input_gradient: &mut [T],
    j: usize,
) {
    let n = inverse.len();
    let share = T::from_f64(1.0 / scale.len() as f64);
    let (mut mean, mut along) = ([T::ZERO; W], [T::ZERO; W]);
    for ((gradient, normal), &scale) in
        output_gradient.chunks_exact(n).zip(normal.chunks_exact(n)).zip(scale)
    {
        let (gradient, normal) = (&gradient[j..j + W], &normal[j..j + W]);
        for l in 0..W {
            let g = gradient[l] * scale;
            mean[l] += g;
            along[l] = g.mul_add(normal[l], along[l]);
        }
    }
    let inverse = &inverse[j..j + W];
    for l in 0..W {
        mean[l] = mean[l] * share;
        along[l] = along[l] * share;
    }
    let rows = output_gradient
        .chunks_exact(n)
        .zip(normal.chunks_exact(n))
        .zip(input_gradient.chunks_exact_mut(n));
    for (((gradient, normal), input), &scale) in rows.zip(scale) {
        let (gradient, normal, input) =
            (&gradient[j..j + W], &normal[j..j + W], &mut input[j..j + W]);
        for l in 0..W {
            input[l] += inverse[l] * (gradient[l] * scale - mean[l] - normal[l] * along[l]);
        }
    }
}
