//! Time of a step of Muon beside the time that its matrix products alone take by `gemm` in f32, one
//! thread, in turns.
//!
//! `cargo bench -p symopt-evaluator --bench matrices` prints a table: the fastest of the rounds, as
//! whatever else the machine does only makes them slower, and the ratio of these.

use std::hint::black_box;
use std::time::{Duration, Instant};

use symopt_dsl::parse;
use symopt_evaluator::{Layout, Optimizer, Options, Threads};

/// The zoo's, which stands above this crate.
const MUON: &str = "def muon(w, g, m, lr, *, momentum=0.95, weight_decay=0.0):
  m = interp(g, m, momentum)
  update = interp(g, m, momentum)
  update = newton_schulz(update)
  scale = sqrt(maximum(1.0, rows(g) / columns(g)))
  update = update * scale
  update = update + w * weight_decay
  update = update * lr
  return update, m
";

/// Rows and columns. The first ones are those of small proxy tasks.
const SHAPES: [[usize; 2]; 7] =
    [[24, 24], [32, 196], [24, 96], [128, 128], [128, 512], [512, 512], [512, 2048]];

const ROUNDS: usize = 60;
/// A sample lasts at least this long.
const SAMPLE: Duration = Duration::from_millis(1);

fn noise(length: usize) -> Vec<f32> {
    (0..length as u32).map(|i| i.wrapping_mul(0x9e37_79b9) as i32 as f32 / 2.2e9).collect()
}

/// `z = x y`, or `x` times the transpose of y, row after row.
fn gemm([rows, inner, columns]: [usize; 3], x: &[f32], y: &[f32], is_turned: bool, z: &mut [f32]) {
    assert!(x.len() == rows * inner && y.len() == inner * columns && z.len() == rows * columns);
    let (y_columns, y_rows) = if is_turned { (inner, 1) } else { (1, columns) };
    // SAFETY: the sizes are those of the slices.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            inner,
            z.as_mut_ptr(),
            1,
            columns as isize,
            false,
            x.as_ptr(),
            1,
            inner as isize,
            y.as_ptr(),
            y_columns as isize,
            y_rows as isize,
            0.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// Seconds of one call.
fn time(mut call: impl FnMut()) -> f64 {
    let start = Instant::now();
    let mut calls = 0;
    while calls == 0 || start.elapsed() < SAMPLE {
        call();
        calls += 1;
    }
    start.elapsed().as_secs_f64() / f64::from(calls)
}

fn main() {
    println!("matrix       Muon's step    its products by gemm    ratio");
    let program = parse(MUON).unwrap_or_else(|faults| panic!("{faults}"));
    for [rows, columns] in SHAPES {
        let layout = Layout::new([("matrix", vec![rows, columns])]).expect("a layout");
        let options = Options { threads: Threads::One, ..Options::default() };
        let mut optimizer = Optimizer::with_options(&program, &layout, options).expect("it types");
        let (mut weights, gradients) = (noise(rows * columns), noise(rows * columns));
        let (short, long) = (rows.min(columns), rows.max(columns));
        let x = noise(short * long);
        let (mut gram, mut square) = (vec![0.0; short * short], vec![0.0; short * short]);
        let mut next = vec![0.0; short * long];
        let (mut fastest_step, mut fastest_products) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..ROUNDS {
            let step = time(|| {
                optimizer
                    .step(black_box(&mut weights), black_box(&gradients), 1e-5)
                    .expect("the arrays fit");
            });
            let of_products = time(|| {
                for _ in 0..symopt_dsl::semantics::NEWTON_SCHULZ_STEPS {
                    gemm([short, long, short], black_box(&x), &x, true, &mut gram);
                    gemm([short; 3], &gram, &gram, false, &mut square);
                    gemm([short, short, long], &square, &x, false, &mut next);
                }
                black_box(&next);
            });
            fastest_step = fastest_step.min(step);
            fastest_products = fastest_products.min(of_products);
        }
        println!(
            "{:<11} {:>9.1} us {:>20.1} us {:>9.2}",
            format!("{rows} x {columns}"),
            1e6 * fastest_step,
            1e6 * fastest_products,
            fastest_step / fastest_products,
        );
    }
}
