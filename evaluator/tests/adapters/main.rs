//! Programs as optimizers of candle and burn: `cargo test -p symopt-evaluator --features
//! candle,burn --test adapters`.

#![cfg(any(feature = "candle", feature = "burn"))]

#[cfg(feature = "burn")]
mod burn;
#[cfg(feature = "candle")]
mod candle;
use std::alloc::{GlobalAlloc, Layout as MemoryLayout, System};
use std::cell::Cell;

use symopt_dsl::{Program, parse};
use symopt_evaluator::{Layout, Optimizer, Options, Threads};
use symopt_testing::random::Random;

/// Counts the bytes that each thread asks for.
struct Counting;

thread_local! {
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is handed to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: MemoryLayout) -> *mut u8 {
        BYTES.with(|bytes| bytes.set(bytes.get() + layout.size()));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: MemoryLayout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Does something, and says how many bytes this thread asked for meanwhile.
fn bytes_of<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = BYTES.get();
    let done = work();
    (BYTES.get() - before, done)
}

const LION: &str = include_str!("../../../programs/zoo/lion.opt");
const ADAMW: &str = include_str!("../../../programs/zoo/adamw.opt");

/// The momentum at a fixed length over all arrays together.
const COUPLED: &str = "def coupled(w, g, m, lr, *, beta=0.9):
  m = interp(g, m, beta)
  update = m / (global_norm(m) + 1e-12) * lr
  return update, m
";

fn program(text: &str) -> Program {
    parse(text).unwrap_or_else(|faults| panic!("{faults}\n{text}"))
}

/// A prototype, whose layout does not matter, that works on the calling thread.
fn prototype(text: &str, values: &[(&str, f64)]) -> Optimizer {
    let options = Options { threads: Threads::One, ..Options::default() };
    let mut optimizer =
        Optimizer::with_options(&program(text), &Layout::default(), options).expect("it types");
    for (name, value) in values {
        optimizer.set(name, *value).expect("there is such a hyperparameter");
    }
    optimizer
}

/// So many seeded numbers in [-1, 1).
fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut random = Random(seed);
    (0..count).map(|_| random.signed() as f32).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}
