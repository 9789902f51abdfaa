//! A step allocates nothing once the optimizer has done one.

use std::alloc::{GlobalAlloc, Layout as MemoryLayout, System};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use symopt_evaluator::{Layout, Optimizer, Options, ParameterArray, Storage, Threads};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is handed to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: MemoryLayout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
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

const TEXT: &str = "def f(w, g, m, v, t, lr, *, beta=0.9, decay=0.1):
  g = clip(g, 1.0)
  m = interp(g, m, beta)
  v = interp(square(g), v, 0.999)
  update = m / (sqrt(v / (1 - power(0.999, t))) + 1e-8) * norm(w)
  update = lr * (update + decay * w)
  return update, m, v
";

#[test]
fn a_step_allocates_nothing_on_one_thread_or_two_flat_or_in_arrays_in_f32_or_bf16() {
    let program = symopt_dsl::parse(TEXT).unwrap_or_else(|faults| panic!("{faults}"));
    let sizes = [100_000, 1, 40_000, 128];
    let layout =
        Layout::new(sizes.iter().enumerate().map(|(i, size)| (format!("array{i}"), vec![*size])))
            .expect("a layout");
    let mut weights = vec![0.5_f32; layout.len()];
    let gradients = vec![0.1_f32; layout.len()];
    for threads in [1, 2] {
        let pool =
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a thread pool");
        for state in [Storage::F32, Storage::Bf16] {
            let mut optimizer = Optimizer::with_options(
                &program,
                &layout,
                Options { state, threads: Threads::All, ..Options::default() },
            )
            .expect("it types");
            optimizer.set_for("array1", "decay", 0.0).expect("there is such an array");
            let mut buffers: Vec<Vec<f32>> = sizes.iter().map(|size| vec![0.5; *size]).collect();
            let mut arrays: Vec<ParameterArray> = (layout.arrays().iter().zip(&mut buffers))
                .map(|(array, weights)| {
                    ParameterArray::new(&array.name, weights, &gradients[array.range.clone()])
                })
                .collect();
            pool.install(|| {
                if threads > 1 {
                    // The other thread takes something over for the first time: what the pool needs
                    // for that is not the step's.
                    let taken = AtomicBool::new(false);
                    let wait = || {
                        while !taken.load(Ordering::Relaxed) {
                            std::thread::yield_now();
                        }
                    };
                    rayon::join(wait, || taken.store(true, Ordering::Relaxed));
                }
                let mut later = 0;
                for round in 0..20 {
                    // The first round makes the scratch of the threads, but of one that takes no
                    // part in it, since the machine has other work.
                    let before = ALLOCATIONS.load(Ordering::Relaxed);
                    optimizer.step(&mut weights, &gradients, 1e-3).expect("the arrays fit");
                    optimizer.step_arrays(&mut arrays, 1e-3).expect("the arrays fit");
                    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
                    later += if round == 0 { 0 } else { allocations };
                }
                assert!(
                    later < threads,
                    "{later} allocations on {threads} threads, state {state:?}"
                );
            });
        }
    }
}
