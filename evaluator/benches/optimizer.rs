//! Time of an optimizer step by the tile machine and by the reference interpreter, and of making a
//! plan.
//!
//! `cargo bench -p symopt-evaluator --bench optimizer`; criterion reports the throughput in
//! parameters per second.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::ArrayD;
use std::hint::black_box;
use symopt_dsl::{Graph, Plan, Program, parse};
use symopt_evaluator::{Layout, Optimizer, Reference};

/// The zoo's programs of these names: the zoo stands above this crate and can't be used here.
const PROGRAMS: [(&str, &str); 3] = [
    (
        "lion",
        "def lion(w, g, m, lr, *, beta1=0.9, beta2=0.99, weight_decay=0.1):
  update = interp(g, m, beta1)
  update = sign(update)
  m = interp(g, m, beta2)
  decay = w * weight_decay
  update = update + decay
  update = update * lr
  return update, m
",
    ),
    (
        "adamw",
        "def adamw(w, g, m, v, t, lr, *, beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=0.01):
  m = interp(g, m, beta1)
  v = interp(square(g), v, beta2)
  m_hat = m / (1 - power(beta1, t))
  v_hat = v / (1 - power(beta2, t))
  update = m_hat / (sqrt(v_hat) + epsilon)
  update = update + w * weight_decay
  update = update * lr
  return update, m, v
",
    ),
    (
        "adamw-paper",
        "def train(w, g, m, v, lr):
  g2 = square(g)
  m = interp(g, m, 0.9)
  v = interp(g2, v, 0.999)
  sqrt_v = sqrt(v)
  update = m / sqrt_v
  wd = w * 0.01
  update = update + wd
  lr = lr * 0.001
  update = update * lr
  return update, m, v
",
    ),
];

fn program(text: &str) -> Program {
    parse(text).unwrap_or_else(|faults| panic!("{faults}\n{text}"))
}

/// Numbers between -1 and 1 without a pattern that a branch predictor could learn.
fn noise(length: usize) -> Vec<f32> {
    (0..length as u32)
        .map(|i| {
            (i.wrapping_mul(0x9e37_79b9) ^ i.wrapping_mul(0x85eb_ca6b).rotate_left(13)) as i32
                as f32
                / 2.2e9
        })
        .collect()
}

fn tile_machine(criterion: &mut Criterion) {
    for (name, text) in PROGRAMS {
        let mut group = criterion.benchmark_group(format!("tile_machine/{name}"));
        for parameters in [1000, 4 << 10, 64 << 10, 1 << 20] {
            group.throughput(Throughput::Elements(parameters as u64));
            let mut optimizer =
                Optimizer::new(&program(text), &Layout::flat(parameters)).expect("it types");
            let (mut weights, gradients) = (noise(parameters), noise(parameters));
            group.bench_function(BenchmarkId::from_parameter(parameters), |bencher| {
                bencher.iter(|| {
                    optimizer
                        .step(black_box(&mut weights), black_box(&gradients), 1e-5)
                        .expect("the arrays fit")
                });
            });
        }
    }
}

fn reference(criterion: &mut Criterion) {
    const PARAMETERS: usize = 4 << 10;
    let mut group = criterion.benchmark_group("reference");
    group.throughput(Throughput::Elements(PARAMETERS as u64));
    for (name, text) in PROGRAMS {
        let mut reference =
            Reference::<f32>::new(&program(text), &[vec![PARAMETERS]]).expect("it types");
        let array =
            || ArrayD::from_shape_vec(vec![PARAMETERS], noise(PARAMETERS)).expect("one array");
        let (mut weights, gradients) = ([array()], [array()]);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                reference
                    .step(black_box(&mut weights), black_box(&gradients), 1e-5)
                    .expect("the arrays fit")
            });
        });
    }
}

fn plan(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("plan");
    for (name, text) in PROGRAMS {
        let program = program(text);
        let graph = Graph::new(&program).expect("it types");
        group.bench_function(name, |bencher| {
            bencher.iter(|| Plan::new(black_box(&graph), black_box(&program)))
        });
    }
}

criterion_group!(benches, tile_machine, reference, plan);
criterion_main!(benches);
