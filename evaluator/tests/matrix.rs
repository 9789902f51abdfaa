//! Functions of matrices on arrays of all shapes, and the optimizer that runs them between its
//! passes against the oracle.

use half::bf16;
use ndarray::{ArrayD, IxDyn};
use symopt_dsl::plan::MatrixOperation;
use symopt_dsl::{Graph, Plan, Program, parse};
use symopt_evaluator::options::ParameterArray;
use symopt_evaluator::{Layout, Optimizer, Options, Reference, Rounding, Storage, Threads};
use symopt_testing::draws::{Draw, Flavour, compare_with_reference, join, listing, numbers, split};
use symopt_testing::random::Random;

fn program(text: &str) -> Program {
    parse(text).unwrap_or_else(|faults| panic!("{faults}\n{text}"))
}

/// The update that a body gives for one array of gradients (and weights of 1), in f64.
fn update(body: &str, shape: &[usize], gradients: &[f64]) -> Vec<f64> {
    let program = program(&format!("def f(w, g, lr):\n{body}\n  return u\n"));
    let mut reference = Reference::<f64>::new(&program, &[shape.to_vec()]).expect("it types");
    let gradients = ArrayD::from_shape_vec(IxDyn(shape), gradients.to_vec())
        .expect("as many as the shape says");
    let weights = ArrayD::ones(IxDyn(shape));
    let update = reference.update(&[weights], &[gradients], 0.5).expect("it fits");
    update[0].iter().copied().collect()
}

#[test]
fn of_a_matrix_rows_and_columns_are_what_they_should_be() {
    let g = [1.0, 2.0, 3.0, 4.0, 5.0, 12.0];
    assert_eq!(update("  u = row_mean(g)", &[2, 3], &g), [2.0, 2.0, 2.0, 7.0, 7.0, 7.0]);
    assert_eq!(update("  u = column_mean(g)", &[2, 3], &g), [2.5, 3.5, 7.5, 2.5, 3.5, 7.5]);
    assert_eq!(
        update("  u = g * rows(g) + 10 * columns(g)", &[2, 3], &g),
        [32.0, 34.0, 36.0, 38.0, 40.0, 54.0]
    );
    assert_eq!(update("  u = w * rows(transpose(g))", &[2, 3], &g), [3.0; 6]);
    // [[14, 50], [50, 185]] from the left, and what it makes of the columns.
    assert_eq!(
        update("  u = matmul(matmul(g, transpose(g)), g)", &[2, 3], &g),
        [214.0, 278.0, 642.0, 790.0, 1025.0, 2370.0]
    );
    assert_eq!(
        update(
            "  u = w * norm(matmul(g, transpose(g))) / norm(matmul(transpose(g), g))",
            &[2, 3],
            &g
        ),
        [1.0; 6]
    );
    assert_eq!(update("  u = transpose(transpose(g) + 1.0)", &[2, 3], &g), g.map(|x| x + 1.0));
    assert_eq!(update("  u = w * dot(transpose(g), transpose(w))", &[2, 3], &g), [27.0; 6]);
    assert_eq!(
        update("  u = matmul(w, matmul(transpose(w), g) * 0.0 + norm(w))", &[2, 2], &g[..4]),
        [4.0; 4]
    );
}

#[test]
fn three_and_four_dimensions_are_the_first_by_the_rest() {
    let g: Vec<f64> = (0..24).map(f64::from).collect();
    for shape in [&[2, 12][..], &[2, 3, 4], &[2, 3, 2, 2], &[2, 1, 12, 1]] {
        for function in ["row_mean", "column_mean", "newton_schulz"] {
            let body = format!("  u = {function}(g)");
            assert_eq!(
                update(&body, shape, &g),
                update(&body, &[2, 12], &g),
                "{function} {shape:?}"
            );
        }
        assert_eq!(update("  u = w * columns(g)", shape, &g), [12.0; 24]);
    }
}

#[test]
fn a_vector_is_one_column_and_a_number_is_one_by_one() {
    let g = [3.0, -4.0, 0.0];
    assert_eq!(update("  u = row_mean(g)", &[3], &g), g);
    assert_eq!(update("  u = column_mean(g)", &[3], &[3.0, -4.0, 4.0]), [1.0; 3]);
    assert_eq!(update("  u = w * rows(g) + 10 * columns(g)", &[3], &g), [13.0; 3]);
    assert_eq!(update("  u = matmul(g, matmul(transpose(g), g))", &[3], &g), [75.0, -100.0, 0.0]);
    assert_eq!(update("  u = matmul(matmul(g, transpose(g)), g)", &[3], &g), [75.0, -100.0, 0.0]);
    let done = update("  u = newton_schulz(g)", &[3], &g);
    let size = symopt_dsl::semantics::newton_schulz(5.0);
    for (x, g) in done.iter().zip(g) {
        assert!((x - size * g / 5.0).abs() < 1e-12, "{x}");
    }
    for body in ["  u = row_mean(g)", "  u = column_mean(g)", "  u = transpose(transpose(g))"] {
        assert_eq!(update(body, &[], &[-2.5]), [-2.5], "{body}");
    }
    assert_eq!(
        update("  u = newton_schulz(g)", &[], &[-2.5]),
        [symopt_dsl::semantics::newton_schulz(-2.5)]
    );
    // Functions of matrices take numbers that are no arrays.
    assert_eq!(update("  u = w * newton_schulz(norm(g))", &[3], &g), [size; 3]);
    assert_eq!(
        update("  u = w * (matmul(norm(g), lr) + rows(norm(g)) + row_mean(norm(g)))", &[3], &g),
        [8.5; 3]
    );
}

#[test]
fn arrays_without_numbers_have_nothing_to_compute() {
    for shape in [&[0][..], &[0, 3], &[3, 0], &[2, 0, 3]] {
        for body in [
            "  u = row_mean(g) + column_mean(g) + newton_schulz(g)",
            "  u = matmul(matmul(g, transpose(g)), g)",
            "  u = matmul(g, matmul(transpose(g), g))",
            "  u = w * global_norm(matmul(g, transpose(g))) + rows(g) / columns(g)",
        ] {
            assert!(update(body, shape, &[]).is_empty());
        }
    }
    // The product over no columns is zero, not nothing.
    let program = program(
        "def f(w, g, lr):\n  u = g + global_norm(matmul(w, transpose(w)) + 1.0)\n  return u\n",
    );
    let mut reference = Reference::<f64>::new(&program, &[vec![3, 0], vec![1]]).expect("it types");
    let arrays = [ArrayD::zeros(IxDyn(&[3, 0])), ArrayD::zeros(IxDyn(&[1]))];
    let update = reference.update(&arrays, &arrays, 0.5).expect("it fits");
    assert_eq!(update[1].iter().copied().collect::<Vec<_>>(), [10.0_f64.sqrt()]);
}

/// A slot that matters, one that is dead, all kinds of shapes, and a hyperparameter that may differ
/// from array to array.
const PROGRAM: &str = "def f(w, g, m, dead, lr, t, *, beta=0.9, decay=0.1):
  m = interp(newton_schulz(g), m, beta)
  gram = matmul(transpose(m), m) / t
  update = matmul(m, gram + 1.0) * sqrt(maximum(rows(g), columns(g)))
  update = update / sqrt(row_mean(square(g)) + column_mean(square(w)) + 1e-8)
  update = lr * (clip(update, 10.0) + decay * w)
  dead = square(g)
  return update, m, dead
";

fn layout() -> Layout {
    let arrays = [
        ("weight", vec![5, 3]),
        ("kernel", vec![2, 3, 2]),
        ("bias", vec![7]),
        ("empty", vec![0, 2]),
        ("scale", vec![]),
    ];
    Layout::new(arrays).expect("a layout")
}

fn optimizer(options: Options) -> Optimizer {
    Optimizer::with_options(&program(PROGRAM), &layout(), options).expect("it types")
}

fn shapes() -> Vec<Vec<usize>> {
    layout().arrays().iter().map(|array| array.shape.clone()).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }).collect()
}

#[test]
fn the_optimizer_has_the_bits_of_the_oracle_in_one_buffer_or_in_many() {
    let layout = layout();
    for flavour in [Flavour::Tame, Flavour::Anything] {
        let mut random = Random(1);
        let start = numbers(&mut random, layout.len(), flavour);
        let mut reference = Reference::<f32>::new(&program(PROGRAM), &shapes()).expect("it types");
        let (mut flat, mut apart) = (
            optimizer(Options::default()),
            optimizer(Options { threads: Threads::All, ..Options::default() }),
        );
        for optimizer in [&mut flat, &mut apart] {
            optimizer.set("beta", 0.8).expect("it has a beta");
            assert_eq!(optimizer.set_for("*i*", "decay", 0.5).expect("it has a decay"), 2);
            assert!(!optimizer.is_compiled());
            assert_eq!(optimizer.slots().map(|(name, _)| name).collect::<Vec<_>>(), ["m"]);
        }
        reference.set("beta", 0.8).expect("it has a beta");
        reference.set_for("array[02]", "decay", 0.5).expect("it has a decay");
        let mut expected = split(&layout, &start);
        let (mut w, mut buffers) = (
            start.clone(),
            layout.arrays().iter().map(|a| start[a.range.clone()].to_vec()).collect::<Vec<_>>(),
        );
        for _ in 0..4 {
            let g = numbers(&mut random, layout.len(), flavour);
            reference.step(&mut expected, &split(&layout, &g), 0.1).expect("it fits");
            flat.step(&mut w, &g, 0.1).expect("it fits");
            let mut arrays: Vec<ParameterArray> = (layout.arrays().iter().zip(&mut buffers))
                .map(|(array, weights)| {
                    ParameterArray::new(&array.name, weights, &g[array.range.clone()])
                })
                .collect();
            apart.step_arrays(&mut arrays, 0.1).expect("it fits");
            assert_eq!(bits(&w), bits(&join(&expected)));
            assert_eq!(bits(&buffers.concat()), bits(&w));
            for optimizer in [&flat, &apart] {
                let (_, m) = optimizer.slots().next().expect("a slot");
                assert_eq!(bits(&m.to_f32()), bits(&join(&reference.slots()[0])));
            }
        }
    }
}

#[test]
fn state_and_weights_in_bf16_are_rounded_where_they_are_written() {
    let layout = layout();
    let mut random = Random(2);
    let start: Vec<bf16> =
        numbers(&mut random, layout.len(), Flavour::Tame).into_iter().map(bf16::from_f32).collect();
    let mut reference = Reference::<f32>::new(&program(PROGRAM), &shapes()).expect("it types");
    let mut optimizer = optimizer(Options { state: Storage::Bf16, ..Options::default() });
    assert_eq!(optimizer.state_bytes(), 2 * layout.len());
    let widened: Vec<f32> = start.iter().map(|x| x.to_f32()).collect();
    let mut expected = split(&layout, &widened);
    let mut buffers: Vec<Vec<bf16>> =
        layout.arrays().iter().map(|a| start[a.range.clone()].to_vec()).collect();
    for _ in 0..4 {
        let g = numbers(&mut random, layout.len(), Flavour::Tame);
        reference.step(&mut expected, &split(&layout, &g), 0.1).expect("it fits");
        for array in expected.iter_mut().chain(reference.slots_mut().iter_mut().flatten()) {
            array.mapv_inplace(|x| bf16::from_f32(x).to_f32());
        }
        let mut arrays: Vec<ParameterArray> = (layout.arrays().iter().zip(&mut buffers))
            .map(|(array, weights)| {
                ParameterArray::new(&array.name, weights, &g[array.range.clone()])
            })
            .collect();
        optimizer.step_arrays(&mut arrays, 0.1).expect("it fits");
        let found: Vec<f32> = buffers.iter().flatten().map(|x| x.to_f32()).collect();
        assert_eq!(bits(&found), bits(&join(&expected)));
    }
    // At random: neighbours of what is right, the same for the same seed, and others for another.
    let run = |seed: u64| {
        let options = Options {
            state: Storage::Bf16,
            rounding: Rounding::Stochastic { seed },
            ..Options::default()
        };
        let mut optimizer =
            Optimizer::with_options(&program(PROGRAM), &layout, options).expect("it types");
        let mut w = widened.clone();
        optimizer
            .step(&mut w, &numbers(&mut Random(3), layout.len(), Flavour::Tame), 0.1)
            .expect("it fits");
        optimizer.slots().next().map(|(_, m)| m.to_f32().into_owned())
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn a_saved_state_goes_on_with_the_same_bits() {
    let layout = layout();
    for state in [Storage::F32, Storage::Bf16] {
        let options = Options { state, ..Options::default() };
        let mut first = optimizer(options);
        first.set_for("weight", "beta", 0.5).expect("it has a beta");
        let mut w = numbers(&mut Random(4), layout.len(), Flavour::Tame);
        let step = |optimizer: &mut Optimizer, w: &mut [f32]| {
            let g = numbers(&mut Random(10 + optimizer.steps()), layout.len(), Flavour::Tame);
            optimizer.step(w, &g, 0.1).expect("it fits");
        };
        (0..3).for_each(|_| step(&mut first, &mut w));
        let mut second = optimizer(options);
        second.load_bytes(&first.save_bytes().expect("a state")).expect("its own state");
        let mut again = w.clone();
        for _ in 0..3 {
            step(&mut first, &mut w);
            step(&mut second, &mut again);
        }
        assert_eq!(bits(&w), bits(&again));
        first.reset();
        assert!(
            first.steps() == 0
                && first.slots().all(|(_, values)| values.to_f32().iter().all(|x| *x == 0.0))
        );
    }
}

#[test]
fn threads_do_not_change_a_step_of_large_matrices() {
    let text = "def f(w, g, lr):\n  update = newton_schulz(g) * lr\n  return update\n";
    let layout = Layout::new([("a", vec![130, 131]), ("b", vec![3, 2])]).expect("a layout");
    let run = |threads: Threads| {
        let mut optimizer = Optimizer::with_options(
            &program(text),
            &layout,
            Options { threads, ..Options::default() },
        )
        .expect("it types");
        let mut w = vec![0.0; layout.len()];
        optimizer
            .step(&mut w, &numbers(&mut Random(5), layout.len(), Flavour::Tame), 1.0)
            .expect("it fits");
        bits(&w)
    };
    assert_eq!(run(Threads::One), run(Threads::All));
}

#[test]
fn random_programs_of_matrices_give_the_bits_of_the_oracle() {
    let layouts: [Vec<Vec<usize>>; 3] = [
        vec![vec![3, 5], vec![4], vec![], vec![2, 3, 2], vec![3, 3]],
        vec![vec![17, 9], vec![0, 3], vec![1, 40]],
        vec![vec![33, 70]],
    ];
    let mut random = Random(21);
    let (mut compared, mut of_other_shapes, mut sums) = (0, 0, 0);
    for index in 0..9000 {
        let program = Draw::matrices([4, 8, 14][index % 3]).program(&mut random);
        let plan = Plan::new(&Graph::new(&program).expect("drawn programs type"), &program);
        of_other_shapes += usize::from(!plan.matrices.is_empty());
        sums += usize::from(plan.passes.iter().flat_map(|pass| &pass.matrix_steps).any(|step| {
            matches!(step.operation, MatrixOperation::Sum | MatrixOperation::SumOfProducts)
        }));
        let shapes = if index % 20 == 0 { &layouts[2] } else { &layouts[index % 2] };
        let flavour = random.pick(&[Flavour::Tame, Flavour::Finite, Flavour::Anything]);
        match compare_with_reference(&program, shapes, 3, flavour, &mut random) {
            Ok(numbers) => compared += usize::from(plan.has_matrix_steps() && numbers > 0.5),
            Err(difference) => panic!("{difference}\n{}", listing(&program)),
        }
    }
    assert!(compared > 500, "only {compared} programs with steps left numbers to compare");
    assert!(of_other_shapes > 100, "only {of_other_shapes} had arrays of other shapes");
    assert!(sums > 10, "only {sums} had sums of these");
}
