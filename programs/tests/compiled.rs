//! The compiled zoo gives the bits of the reference interpreter and of the tile machine: for every
//! program, at every level of vector instructions, on any number of threads, in one buffer or in
//! many. The level is that of the process, so this is one test.

use half::bf16;
use ndarray::{ArrayD, IxDyn};
use symopt_evaluator::simd::{self, Level};
use symopt_evaluator::{Layout, Optimizer, Options, ParameterArray, Reference, Storage, Threads};
use symopt_programs::{ZooEntry, zoo};

/// Lengths around those of vectors, blocks and units.
const SIZES: [usize; 6] = [1, 4097, 0, 15, 20_000, 64];

/// The integer hash lowbias32 as a stream of numbers, most of them between -1 and 1, with zeros,
/// denormals, infinities and NaN between.
fn numbers(seed: u32, nasty: bool) -> Vec<f32> {
    let special =
        [0.0, -0.0, 1e-40, 3e38, -1e25, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1e-25];
    (0..SIZES.iter().sum::<usize>() as u32)
        .map(|i| {
            let mut x = seed.wrapping_mul(0x9e37_79b9).wrapping_add(i);
            x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
            x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
            x ^= x >> 16;
            match x % 16 {
                0 => 0.0,
                1 if nasty => special[(x >> 8) as usize % special.len()],
                _ => (x >> 8) as f32 / (1 << 23) as f32 - 1.0,
            }
        })
        .collect()
}

fn layout() -> Layout {
    Layout::new(SIZES.iter().enumerate().map(|(i, size)| (format!("array{i}"), vec![*size])))
        .expect("a layout")
}

fn split(layout: &Layout, flat: &[f32]) -> Vec<ArrayD<f32>> {
    let array = |a: &symopt_evaluator::ArraySpec| {
        ArrayD::from_shape_vec(IxDyn(&a.shape), flat[a.range.clone()].to_vec()).expect("it fits")
    };
    layout.arrays().iter().map(array).collect()
}

/// Weights and live slots, one after another.
type Trajectory = Vec<Vec<f32>>;

const STEPS: u32 = 3;

fn by_reference(entry: &ZooEntry, nasty: bool, state: Storage) -> Trajectory {
    let (program, layout) = (entry.program(), layout());
    let shapes: Vec<Vec<usize>> = SIZES.iter().map(|size| vec![*size]).collect();
    let mut reference = Reference::<f32>::new(&program, &shapes).expect("the zoo types");
    let mut weights = split(&layout, &numbers(1, nasty));
    let live = symopt_dsl::Graph::new(&program).expect("the zoo types").slots().to_vec();
    let mut trajectory = Vec::new();
    for step in 0..STEPS {
        reference
            .step(&mut weights, &split(&layout, &numbers(2 + step, nasty)), 0.01)
            .expect("it fits");
        if state == Storage::Bf16 {
            let round =
                |array: &mut ArrayD<f32>| array.mapv_inplace(|x| bf16::from_f32(x).to_f32());
            reference.slots_mut().iter_mut().flatten().for_each(round);
        }
        let flat = |arrays: &[ArrayD<f32>]| {
            arrays.iter().flat_map(|array| array.iter().copied()).collect()
        };
        trajectory.push(flat(&weights));
        trajectory.extend(
            reference
                .slots()
                .iter()
                .zip(&live)
                .filter(|(_, live)| live.is_some())
                .map(|(slot, _)| flat(slot)),
        );
    }
    trajectory
}

fn by_optimizer(mut optimizer: Optimizer, nasty: bool, apart: bool) -> Trajectory {
    let layout = layout();
    let mut weights = numbers(1, nasty);
    let mut trajectory = Vec::new();
    for step in 0..STEPS {
        let gradients = numbers(2 + step, nasty);
        if apart {
            let mut buffers: Vec<Vec<f32>> =
                layout.arrays().iter().map(|a| weights[a.range.clone()].to_vec()).collect();
            let mut arrays: Vec<ParameterArray> = (layout.arrays().iter().zip(&mut buffers))
                .map(|(array, weights)| {
                    ParameterArray::new(&array.name, weights, &gradients[array.range.clone()])
                })
                .collect();
            optimizer.step_arrays(&mut arrays, 0.01).expect("it fits");
            weights = buffers.concat();
        } else {
            optimizer.step(&mut weights, &gradients, 0.01).expect("it fits");
        }
        trajectory.push(weights.clone());
        trajectory.extend(optimizer.slots().map(|(_, values)| values.to_f32().into_owned()));
    }
    trajectory
}

fn assert_same(found: &Trajectory, expected: &Trajectory, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (part, (found, expected)) in found.iter().zip(expected).enumerate() {
        let differs =
            |(x, y): (&f32, &f32)| x.to_bits() != y.to_bits() && !(x.is_nan() && y.is_nan());
        let place = found.iter().zip(expected).position(differs);
        assert!(
            place.is_none(),
            "{what}: part {part} differs at {place:?}: {:?}",
            place.map(|i| (found[i], expected[i]))
        );
    }
}

#[test]
fn compiled_tile_machine_and_reference_agree_bit_for_bit() {
    let best = simd::level();
    for entry in zoo() {
        for (nasty, state) in [
            (false, Storage::F32),
            (true, Storage::F32),
            (false, Storage::Bf16),
            (true, Storage::Bf16),
        ] {
            let expected = by_reference(entry, nasty, state);
            if !nasty {
                let finite = expected[0].iter().filter(|w| w.is_finite()).count();
                // Raw IEEE programs divide by zero where a weight has had no gradient yet.
                assert!(
                    10 * finite > 9 * expected[0].len(),
                    "{}: too few numbers to compare",
                    entry.name
                );
            }
            for level in Level::ALL.into_iter().filter(|level| *level <= best) {
                simd::limit(level);
                for threads in [1, 2] {
                    let pool = rayon::ThreadPoolBuilder::new()
                        .num_threads(threads)
                        .build()
                        .expect("a pool");
                    for apart in [false, true] {
                        let what = format!(
                            "{} nasty {nasty} {state:?} {} threads {threads} apart {apart}",
                            entry.name,
                            level.name()
                        );
                        let options =
                            Options { state, threads: Threads::All, ..Options::default() };
                        let compiled = pool.install(|| {
                            by_optimizer(entry.optimizer_with(&layout(), options), nasty, apart)
                        });
                        assert_same(&compiled, &expected, &format!("compiled {what}"));
                        let tiles = Optimizer::with_options(&entry.program(), &layout(), options)
                            .expect("the zoo types");
                        let tiles = pool.install(|| by_optimizer(tiles, nasty, apart));
                        assert_same(&tiles, &expected, &format!("tile machine {what}"));
                    }
                }
            }
        }
    }
    simd::limit(best);
}

#[test]
fn an_equal_program_under_other_names_runs_compiled_and_any_other_by_the_tile_machine() {
    let text = "def mine(x, dx, velocity, lr=1e-4, *, beta1=0.9, beta2=0.99, weight_decay=0.0):\n  u = sign(interp(dx, velocity, beta1))\n  \
                velocity = interp(dx, velocity, beta2)\n  u = lr * (u + weight_decay * x)\n  return u, velocity\n";
    let layout = Layout::flat(3);
    for (text, compiled) in [(text.to_owned(), true), (text.replace("sign", "tanh"), false)] {
        let program = symopt_dsl::parse(&text).unwrap_or_else(|faults| panic!("{faults}"));
        let mut optimizer =
            symopt_programs::optimizer(&program, &layout, Options::default()).expect("it types");
        assert_eq!(optimizer.is_compiled(), compiled, "{text}");
        let mut weights = [1.0, 2.0, 3.0];
        optimizer.step(&mut weights, &[1.0, -1.0, 0.0], 0.5).expect("it fits");
        let mut tiles = [1.0, 2.0, 3.0];
        Optimizer::new(&program, &layout)
            .expect("it types")
            .step(&mut tiles, &[1.0, -1.0, 0.0], 0.5)
            .expect("it fits");
        assert_eq!(weights, tiles);
        assert_eq!(optimizer.slots().map(|(name, _)| name).collect::<Vec<_>>(), ["velocity"]);
    }
}

#[test]
fn a_compiled_program_stays_compiled_over_another_layout() {
    let prototype = symopt_programs::lion().optimizer(&Layout::default());
    let mut optimizer = prototype.for_layout(&Layout::flat(3)).expect("it has no overrides");
    assert!(optimizer.is_compiled());
    let mut weights = [1.0, 2.0, 3.0];
    optimizer.step(&mut weights, &[1.0, -1.0, 0.0], 0.5).expect("it fits");
    assert_eq!(weights, [0.5, 2.5, 3.0]);
}
