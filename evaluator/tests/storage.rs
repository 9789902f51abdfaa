//! bf16 slots, weights and gradients: the arithmetic is that of f32, and what is stored is rounded.

use half::bf16;
use symopt_dsl::{Program, parse};
use symopt_evaluator::storage::{Values, ValuesMut};
use symopt_evaluator::{
    Layout, Optimizer, Options, ParameterArray, Reference, Rounding, Storage, Threads,
};
use symopt_testing::draws::{Draw, Flavour, difference, join, layout, listing, numbers, split};
use symopt_testing::random::Random;

const BF16_STATE: Options =
    Options { state: Storage::Bf16, rounding: Rounding::Nearest, threads: Threads::Auto };

fn narrowed(values: &[f32]) -> Vec<bf16> {
    values.iter().map(|x| bf16::from_f32(*x)).collect()
}

fn widened(values: &[bf16]) -> Vec<f32> {
    values.iter().map(|x| x.to_f32()).collect()
}

/// Weights in one buffer for each array.
enum Buffers {
    F32(Vec<Vec<f32>>),
    Bf16(Vec<Vec<bf16>>),
}

impl Buffers {
    fn new(layout: &Layout, storage: Storage, values: &[f32]) -> Buffers {
        let parts = layout.arrays().iter().map(|array| &values[array.range.clone()]);
        match storage {
            Storage::F32 => Buffers::F32(parts.map(<[f32]>::to_vec).collect()),
            Storage::Bf16 => Buffers::Bf16(parts.map(narrowed).collect()),
        }
    }

    fn flat(&self) -> Vec<f32> {
        match self {
            Buffers::F32(buffers) => buffers.concat(),
            Buffers::Bf16(buffers) => buffers.iter().flat_map(|buffer| widened(buffer)).collect(),
        }
    }

    fn values_mut(&mut self) -> Vec<ValuesMut<'_>> {
        match self {
            Buffers::F32(buffers) => buffers.iter_mut().map(ValuesMut::from).collect(),
            Buffers::Bf16(buffers) => buffers.iter_mut().map(ValuesMut::from).collect(),
        }
    }

    fn values(&self) -> Vec<Values<'_>> {
        match self {
            Buffers::F32(buffers) => buffers.iter().map(Values::from).collect(),
            Buffers::Bf16(buffers) => buffers.iter().map(Values::from).collect(),
        }
    }
}

fn step(
    optimizer: &mut Optimizer,
    layout: &Layout,
    weights: &mut Buffers,
    gradients: &Buffers,
    lr: f64,
) {
    let mut arrays: Vec<ParameterArray> =
        (layout.arrays().iter().zip(weights.values_mut()).zip(gradients.values()))
            .map(|((array, weights), gradients)| {
                ParameterArray::new(&array.name, weights, gradients)
            })
            .collect();
    optimizer.step_arrays(&mut arrays, lr).expect("the arrays fit");
}

fn round_all(values: &mut [ndarray::ArrayD<f32>]) {
    values.iter_mut().for_each(|array| array.mapv_inplace(|x| bf16::from_f32(x).to_f32()));
}

#[test]
fn every_mix_of_bf16_and_f32_gives_the_bits_of_a_reference_that_is_rounded_after_each_step() {
    let mut random = Random(31);
    let storages = [Storage::F32, Storage::Bf16];
    for index in 0..600 {
        let draw = if index % 2 == 0 { Draw::everything(12) } else { Draw::fused(10) };
        let program = draw.program(&mut random);
        let shapes = if index % 40 == 0 {
            vec![vec![5000], vec![3]]
        } else {
            vec![vec![7], vec![], vec![33]]
        };
        let [state, of_weights, of_gradients] = [(); 3].map(|()| random.pick(&storages));
        let flavour = random.pick(&[Flavour::Tame, Flavour::Finite, Flavour::Anything]);
        let layout = layout(&shapes);
        let mut optimizer =
            Optimizer::with_options(&program, &layout, Options { state, ..Options::default() })
                .expect("it types");
        let mut reference = Reference::<f32>::new(&program, &shapes).expect("it types");
        let mut weights =
            Buffers::new(&layout, of_weights, &numbers(&mut random, layout.len(), flavour));
        let mut reference_weights = split(&layout, &weights.flat());
        for _ in 0..3 {
            let gradients =
                Buffers::new(&layout, of_gradients, &numbers(&mut random, layout.len(), flavour));
            step(&mut optimizer, &layout, &mut weights, &gradients, 0.1);
            reference
                .step(&mut reference_weights, &split(&layout, &gradients.flat()), 0.1)
                .expect("the arrays fit");
            if of_weights == Storage::Bf16 {
                round_all(&mut reference_weights);
            }
            if state == Storage::Bf16 {
                reference.slots_mut().iter_mut().for_each(|slot| round_all(slot));
            }
            let what = || {
                format!(
                    "state {state:?}, weights {of_weights:?}, gradients {of_gradients:?}\n{}",
                    listing(&program)
                )
            };
            assert_eq!(difference(&weights.flat(), &join(&reference_weights)), None, "{}", what());
            let names: Vec<String> = program
                .signature()
                .slots()
                .map(|id| program.variable_name(id).to_string())
                .collect();
            for (name, values) in optimizer.slots() {
                assert_eq!(values.storage(), state);
                let slot =
                    names.iter().position(|known| known == name).expect("a slot of the program");
                assert_eq!(
                    difference(&values.to_f32(), &join(&reference.slots()[slot])),
                    None,
                    "slot {name}, {}",
                    what()
                );
            }
        }
    }
}

fn momentum() -> Program {
    parse("def f(w, g, m, lr):\n  m = interp(g, m, 0.99)\n  update = m * lr\n  return update, m\n")
        .unwrap_or_else(|faults| panic!("{faults}"))
}

/// Weights and momentum as bf16 after some steps.
fn run(rounding: Rounding, threads: usize, split_in_arrays: bool) -> (Vec<f32>, Vec<f32>) {
    let layout = if split_in_arrays {
        layout(&[vec![300_000], vec![5], vec![99_995]])
    } else {
        Layout::flat(400_000)
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a thread pool");
    let options = Options { state: Storage::Bf16, rounding, threads: Threads::All };
    pool.install(|| {
        let mut optimizer =
            Optimizer::with_options(&momentum(), &layout, options).expect("it types");
        let mut random = Random(41);
        let mut weights = Buffers::new(
            &layout,
            Storage::Bf16,
            &numbers(&mut random, layout.len(), Flavour::Tame),
        );
        for _ in 0..4 {
            let gradients = Buffers::new(
                &layout,
                Storage::F32,
                &numbers(&mut random, layout.len(), Flavour::Tame),
            );
            step(&mut optimizer, &layout, &mut weights, &gradients, 0.01);
        }
        let momentum = optimizer.slots().next().expect("a slot").1.to_f32().into_owned();
        (weights.flat(), momentum)
    })
}

#[test]
fn stochastic_rounding_is_a_function_of_the_seed_and_not_of_threads_or_arrays() {
    let seeded = |seed| Rounding::Stochastic { seed };
    let first = run(seeded(1), 1, false);
    assert_eq!(first, run(seeded(1), 2, false));
    assert_eq!(first, run(seeded(1), 2, true));
    assert_ne!(first, run(seeded(2), 1, false));
    assert_ne!(first, run(Rounding::Nearest, 1, false));
}

#[test]
fn stochastic_rounding_keeps_a_slow_average_moving_where_rounding_to_the_nearest_does_not() {
    // 0.999 * m + 0.001 * g moves m by less than half a unit of bf16.
    let program = parse(
        "def f(w, g, m, lr):\n  m = interp(g, m, 0.999)\n  update = m * lr\n  return update, m\n",
    )
    .expect("it parses");
    let mean = |rounding| {
        let layout = Layout::flat(1000);
        let mut optimizer =
            Optimizer::with_options(&program, &layout, Options { rounding, ..BF16_STATE })
                .expect("it types");
        let mut weights = vec![0.0; 1000];
        for _ in 0..2000 {
            optimizer.step(&mut weights, &[1.0; 1000], 0.0).expect("the arrays fit");
        }
        optimizer.slots().next().expect("a slot").1.to_f32().iter().sum::<f32>() / 1000.0
    };
    let exact = 1.0 - 0.999_f32.powi(2000);
    assert!(
        (mean(Rounding::Stochastic { seed: 3 }) - exact).abs() < 0.01,
        "the mean should be about {exact}"
    );
    assert!(
        (mean(Rounding::Nearest) - exact).abs() > 0.1,
        "rounding to the nearest should get stuck"
    );
}

#[test]
fn a_bf16_slot_takes_two_bytes_and_a_dead_one_none() {
    let text = "def f(w, g, a, b, lr):\n  b = b + g\n  update = b * lr\n  a = cosh(update)\n  return update, a, b\n";
    let program = parse(text).unwrap_or_else(|faults| panic!("{faults}"));
    let bytes = |options| {
        Optimizer::with_options(&program, &Layout::flat(100), options)
            .expect("it types")
            .state_bytes()
    };
    assert_eq!((bytes(Options::default()), bytes(BF16_STATE)), (400, 200));
}

#[test]
fn a_bf16_state_goes_on_from_a_file_to_the_same_bits() {
    for rounding in [Rounding::Nearest, Rounding::Stochastic { seed: 9 }] {
        let layout = Layout::flat(50);
        let new = || {
            Optimizer::with_options(&momentum(), &layout, Options { rounding, ..BF16_STATE })
                .expect("it types")
        };
        let mut random = Random(51);
        let (mut uninterrupted, mut weights) = (new(), vec![0.5; 50]);
        let step = |optimizer: &mut Optimizer, weights: &mut [f32], gradients: &[f32]| {
            optimizer.step(weights, gradients, 0.1).expect("the arrays fit");
        };
        step(&mut uninterrupted, &mut weights, &numbers(&mut random, 50, Flavour::Tame));
        let bytes = uninterrupted.save_bytes().expect("it can be saved");
        // The seed of the rounding is part of the state: it need not be given again.
        let mut resumed =
            Optimizer::with_options(&momentum(), &layout, BF16_STATE).expect("it types");
        resumed.load_bytes(&bytes).expect("it can be loaded");
        let mut resumed_weights = weights.clone();
        for _ in 0..3 {
            let gradients = numbers(&mut random, 50, Flavour::Tame);
            step(&mut uninterrupted, &mut weights, &gradients);
            step(&mut resumed, &mut resumed_weights, &gradients);
        }
        assert_eq!(difference(&weights, &resumed_weights), None);
        assert_eq!(
            uninterrupted.save_bytes().expect("it can be saved"),
            resumed.save_bytes().expect("it can be saved")
        );

        let mut in_f32 = Optimizer::new(&momentum(), &layout).expect("it types");
        let error = in_f32.load_bytes(&bytes).expect_err("the slots are bf16").to_string();
        assert!(error.contains("m/weights is BF16 [50], expected F32 [50]"), "{error}");
    }
}
