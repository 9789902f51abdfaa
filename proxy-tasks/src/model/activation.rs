//! The element-wise functions between two layers.

use super::scalar::Scalar;
use multiversion::multiversion;
use serde::{Deserialize, Serialize};

/// An element-wise function and its derivative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// Hyperbolic tangent.
    Tanh,
    /// max(x, 0); its derivative at 0 is 0.
    Relu,
    /// x / (1 + exp(-2u)), u = sqrt(2/π) (x + 0.044715 x³): the tanh form of GELU (Hendrycks and
    /// Gimpel 2016).
    Gelu,
}

impl Activation {
    /// `after = f(before)`, element by element.
    pub fn forward<T: Scalar>(self, before: &[T], after: &mut [T]) {
        match self {
            Activation::Tanh => tanh(before, after),
            Activation::Relu => relu(before, after),
            Activation::Gelu => gelu(before, after),
        }
    }

    /// Turns the gradient with respect to `after` into that with respect to `before`, in place.
    pub fn backward<T: Scalar>(self, before: &[T], after: &[T], gradient: &mut [T]) {
        match self {
            Activation::Tanh => tanh_backward(after, gradient),
            Activation::Relu => relu_backward(before, gradient),
            Activation::Gelu => gelu_backward(before, gradient),
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn tanh<T: Scalar>(before: &[T], after: &mut [T]) {
    for (x, y) in before.iter().zip(after) {
        *y = x.tanh();
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn tanh_backward<T: Scalar>(after: &[T], gradient: &mut [T]) {
    for (&y, g) in after.iter().zip(gradient) {
        *g = *g * (T::ONE - y * y);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn relu<T: Scalar>(before: &[T], after: &mut [T]) {
    for (&x, y) in before.iter().zip(after) {
        // Written so that a NaN passes.
        *y = if x < T::ZERO { T::ZERO } else { x };
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn relu_backward<T: Scalar>(before: &[T], gradient: &mut [T]) {
    for (&x, g) in before.iter().zip(gradient) {
        *g = if x > T::ZERO { *g } else { T::ZERO };
    }
}

/// sqrt(2/π).
const GELU_SLOPE: f64 = 0.797_884_560_802_865_4;
const GELU_CUBIC: f64 = 0.044_715;

/// The factor s of gelu(x) = x s.
#[inline(always)]
fn gelu_gate<T: Scalar>(x: T) -> T {
    let linear = T::from_f64(-2.0 * GELU_SLOPE);
    let cubic = T::from_f64(-2.0 * GELU_SLOPE * GELU_CUBIC);
    T::ONE / (T::ONE + (x * (linear + cubic * (x * x))).exp())
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn gelu<T: Scalar>(before: &[T], after: &mut [T]) {
    for (&x, y) in before.iter().zip(after) {
        *y = x * gelu_gate(x);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn gelu_backward<T: Scalar>(before: &[T], gradient: &mut [T]) {
    let linear = T::from_f64(2.0 * GELU_SLOPE);
    let cubic = T::from_f64(6.0 * GELU_SLOPE * GELU_CUBIC);
    for (&x, g) in before.iter().zip(gradient) {
        let s = gelu_gate(x);
        let slope = linear + cubic * (x * x);
        *g = *g * (s + x * (s * (T::ONE - s)) * slope);
    }
}
