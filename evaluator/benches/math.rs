//! Time per element of each element-wise f32 function and of the block reductions, over slices of
//! 4096 elements (which stay in the first-level cache), under the same run-time SIMD dispatch as
//! the evaluator's kernels.
//!
//! `cargo bench -p symopt-evaluator --bench math`; criterion reports the throughput in elements per
//! second.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use symopt_evaluator::math::Real;
use symopt_evaluator::reduce::{block_dot, block_sum};
use symopt_evaluator::simd_dispatch;

const ELEMENTS: usize = 4096;

/// `ELEMENTS` values spread evenly over [low, high].
fn ramp(low: f32, high: f32) -> Vec<f32> {
    (0..ELEMENTS).map(|i| low + (high - low) * (i as f32 / (ELEMENTS - 1) as f32)).collect()
}

/// Benchmarks each unary function over its own range of arguments.
macro_rules! unary {
    ($group:ident: $($function:ident($low:expr, $high:expr);)*) => {$(
        {
            simd_dispatch! {
                fn apply(x: &[f32], out: &mut [f32]) {
                    for (out, x) in out.iter_mut().zip(x) {
                        *out = Real::$function(*x);
                    }
                }
            }
            let (x, mut out) = (ramp($low, $high), vec![0.0; ELEMENTS]);
            $group.bench_function(stringify!($function), |bencher| {
                bencher.iter(|| apply(black_box(&x), black_box(&mut out)));
            });
        }
    )*};
}

/// Benchmarks each binary function.
macro_rules! binary {
    ($group:ident: $($function:ident)*) => {$(
        {
            simd_dispatch! {
                fn apply(x: &[f32], y: &[f32], out: &mut [f32]) {
                    for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
                        *out = Real::$function(*x, *y);
                    }
                }
            }
            let (x, y, mut out) = (ramp(0.01, 8.0), ramp(-3.0, 3.0), vec![0.0; ELEMENTS]);
            $group.bench_function(stringify!($function), |bencher| {
                bencher.iter(|| apply(black_box(&x), black_box(&y), black_box(&mut out)));
            });
        }
    )*};
}

fn functions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("math");
    group.throughput(Throughput::Elements(ELEMENTS as u64));
    unary! { group:
        abs(-4.0, 4.0);
        cos(-10.0, 10.0);
        sin(-10.0, 10.0);
        tan(-10.0, 10.0);
        arcsin(-1.0, 1.0);
        arccos(-1.0, 1.0);
        arctan(-4.0, 4.0);
        exp(-10.0, 10.0);
        log(0.01, 10.0);
        sinh(-10.0, 10.0);
        cosh(-10.0, 10.0);
        tanh(-4.0, 4.0);
        arcsinh(-10.0, 10.0);
        arccosh(1.0, 10.0);
        arctanh(-1.0, 1.0);
        sign(-4.0, 4.0);
        exp2(-10.0, 10.0);
        exp10(-10.0, 10.0);
        expm1(-4.0, 4.0);
        log10(0.01, 10.0);
        log2(0.01, 10.0);
        log1p(-0.9, 10.0);
        square(-4.0, 4.0);
        sqrt(0.0, 10.0);
        cube(-4.0, 4.0);
        cbrt(-10.0, 10.0);
        reciprocal(0.01, 10.0);
        negative(-4.0, 4.0);
        guarded_sqrt(-4.0, 4.0);
        guarded_log(-4.0, 4.0);
        guarded_log10(-4.0, 4.0);
        guarded_log2(-4.0, 4.0);
        guarded_log1p(-4.0, 4.0);
    }
    binary! { group: add subtract multiply divide power maximum minimum guarded_divide }
    group.finish();
}

fn reductions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reduce");
    group.throughput(Throughput::Elements(ELEMENTS as u64));
    let (x, y) = (ramp(-1.0, 1.0), ramp(-3.0, 3.0));
    group.bench_function("block_dot", |bencher| {
        bencher.iter(|| block_dot(black_box(&x), black_box(&y)));
    });
    group.bench_function("block_sum", |bencher| {
        bencher.iter(|| block_sum(black_box(&x)));
    });
    group.finish();
}

criterion_group!(benches, functions, reductions);
criterion_main!(benches);
