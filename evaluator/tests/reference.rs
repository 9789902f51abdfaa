//! Checks of the reference interpreter: the meaning of programs against numbers worked out by hand,
//! and the distance of f32 from f64.

use ndarray::{ArrayD, IxDyn};
use symopt_dsl::{Program, parse};
use symopt_evaluator::{OptimizerError, Reference};
use symopt_testing::draws::{Flavour, join, layout, numbers, split};
use symopt_testing::random::Random;

fn program(text: &str) -> Program {
    parse(text).unwrap_or_else(|faults| panic!("{faults}\n{text}"))
}

fn vector(values: &[f64]) -> ArrayD<f64> {
    ArrayD::from_shape_vec(IxDyn(&[values.len()]), values.to_vec()).expect("a vector")
}

/// The updates that a body (statements that assign `u`) gives for two arrays of weights and
/// gradients, in f64.
fn updates(body: &str) -> [Vec<f64>; 2] {
    let program = program(&format!("def f(w, g, lr, t):\n{body}\n  return u\n"));
    let mut reference = Reference::<f64>::new(&program, &[vec![2], vec![1]]).expect("it types");
    let before = [vector(&[1.0, -2.0]), vector(&[4.0])];
    let mut weights = before.clone();
    reference
        .step(&mut weights, &[vector(&[3.0, 4.0]), vector(&[12.0])], 0.5)
        .expect("the arrays fit");
    // Differences of small integers and halves are exact, and so are these weights' as long as the
    // updates are of their size.
    [0, 1].map(|i| (&before[i] - &weights[i]).into_raw_vec_and_offset().0)
}

#[test]
fn scalars_and_per_array_values_broadcast_into_trees() {
    assert_eq!(updates("  u = g * lr"), [vec![1.5, 2.0], vec![6.0]]);
    assert_eq!(updates("  u = w + t"), [vec![2.0, -1.0], vec![5.0]]);
    assert_eq!(updates("  u = w * norm(g)"), [vec![5.0, -10.0], vec![48.0]]);
    assert_eq!(updates("  n = norm(g) + 1.0\n  u = w * n"), [vec![6.0, -12.0], vec![52.0]]);
}

#[test]
fn norms_are_of_each_array_and_global_norms_of_all_together() {
    let zero = "  u = w * 0.0";
    assert_eq!(updates(&format!("{zero}\n  u = u + norm(g)")), [vec![5.0, 5.0], vec![12.0]]);
    assert_eq!(
        updates(&format!("{zero}\n  u = u + global_norm(g)")),
        [vec![13.0, 13.0], vec![13.0]]
    );
    assert_eq!(updates(&format!("{zero}\n  u = u + dot(w, g)")), [vec![43.0, 43.0], vec![43.0]]);
    // A number for each array is a vector with one entry for each array; a scalar is the same
    // number in every place.
    assert_eq!(
        updates(&format!("{zero}\n  u = u + global_norm(norm(g))")),
        [vec![13.0, 13.0], vec![13.0]]
    );
    assert_eq!(
        updates(&format!("{zero}\n  u = u + dot(norm(g), 2.0)")),
        [vec![34.0, 34.0], vec![34.0]]
    );
    assert_eq!(updates(&format!("{zero}\n  u = u + dot(g, 2.0)")), [vec![38.0, 38.0], vec![38.0]]);
    assert_eq!(
        updates(&format!("{zero}\n  u = u + cosine_sim(g, g)")),
        [vec![1.0, 1.0], vec![1.0]]
    );
    assert_eq!(updates(&format!("{zero}\n  u = u + norm(lr - 1.0)")), [vec![0.5, 0.5], vec![0.5]]);
}

#[test]
fn clip_scales_down_to_the_limit_and_leaves_what_is_within_it() {
    assert_eq!(updates("  u = clip(g, 6.5)"), [vec![1.5, 2.0], vec![6.0]]);
    assert_eq!(updates("  u = clip(g, 13.0)"), [vec![3.0, 4.0], vec![12.0]]);
    assert_eq!(updates("  u = clip(g, 100.0)"), [vec![3.0, 4.0], vec![12.0]]);
}

#[test]
fn interp_goes_from_the_first_argument_to_the_second() {
    assert_eq!(updates("  u = interp(g, w, 0.25)"), [vec![2.5, 2.5], vec![10.0]]);
    assert_eq!(updates("  u = interp(g, 1.0, 0.5)"), [vec![2.0, 2.5], vec![6.5]]);
    assert_eq!(updates("  u = interp(2.0, w, 0.5)"), [vec![1.5, 0.0], vec![3.0]]);
}

#[test]
fn guarded_programs_stay_finite_where_others_give_nan() {
    let text = "def f(w, g, lr):\n  a = sqrt(g)\n  b = log(g)\n  c = g - g\n  d = c / c\n  u = a + b + d\n  return u\n";
    for (text, finite) in [(text.to_owned(), false), (format!("@guarded\n{text}"), true)] {
        let mut reference = Reference::<f64>::new(&program(&text), &[vec![1]]).expect("it types");
        let mut weights = [vector(&[0.0])];
        reference.step(&mut weights, &[vector(&[-4.0])], 0.1).expect("the array fits");
        assert_eq!(weights[0][0].is_finite(), finite, "{text}");
        if finite {
            assert_eq!(weights[0][0], -(2.0 + 4.0_f64.ln()));
        }
    }
}

#[test]
fn a_constant_is_rounded_to_f32_where_it_meets_an_array_and_not_before() {
    // 1 - 0.9 in f64, then rounded: as a Python float is in an eager array library.
    let program = program("def f(w, g):\n  a = 1.0 - 0.9\n  u = g * a\n  return u\n");
    let mut reference = Reference::<f32>::new(&program, &[vec![]]).expect("it types");
    let mut weights = [ArrayD::from_elem(IxDyn(&[]), 0.0_f32)];
    reference
        .step(&mut weights, &[ArrayD::from_elem(IxDyn(&[]), 1.0_f32)], 1.0)
        .expect("the array fits");
    assert_eq!(weights[0].first(), Some(&-((1.0_f64 - 0.9) as f32)));
    assert_ne!((1.0_f64 - 0.9) as f32, 1.0 - 0.9_f32, "the two orders can be told apart");
}

#[test]
fn the_step_count_begins_at_one_and_slots_at_zero() {
    let program = program("def f(w, g, m, t):\n  u = m * 10.0 + t\n  m = m + g\n  return u, m\n");
    let mut reference = Reference::<f64>::new(&program, &[vec![1]]).expect("it types");
    let mut weights = [vector(&[0.0])];
    for (step, expected) in [(1, -1.0), (2, -23.0), (3, -66.0)] {
        reference.step(&mut weights, &[vector(&[2.0])], 1.0).expect("the array fits");
        assert_eq!(weights[0][0], expected, "step {step}");
    }
    assert_eq!(reference.slots()[0][0][0], 6.0);
}

#[test]
fn a_program_may_return_a_slot_or_an_input_as_its_update() {
    for (text, expected) in [
        ("def f(w, g, m):\n  m = m + g\n  return m, m\n", 1.0 - 2.0),
        ("def f(w, g, m):\n  return m, m\n", 1.0),
        ("def f(w, g):\n  return g\n", 1.0 - 2.0),
        ("def f(w, g):\n  return w\n", 0.0),
        ("def f(w, g):\n  w = w * 3.0\n  return w\n", 1.0 - 3.0),
    ] {
        let mut reference = Reference::<f64>::new(&program(text), &[vec![1]]).expect("it types");
        let mut weights = [vector(&[1.0])];
        reference.step(&mut weights, &[vector(&[2.0])], 1.0).expect("the array fits");
        assert_eq!(weights[0][0], expected, "{text}");
    }
}

#[test]
fn an_update_can_be_had_without_taking_it_from_the_weights_and_a_run_can_start_again() {
    let program =
        program("def f(w, g, m, lr, t):\n  m = m + g\n  u = m * lr + w * t\n  return u, m\n");
    let mut reference = Reference::<f64>::new(&program, &[vec![2], vec![]]).expect("it types");
    let weights = [vector(&[1.0, 2.0]), ArrayD::from_elem(IxDyn(&[]), 3.0)];
    let gradients = [vector(&[4.0, 8.0]), ArrayD::from_elem(IxDyn(&[]), 16.0)];
    let mut stepped = (reference.clone(), weights.clone());
    let mut seen = Vec::new();
    for _ in 0..2 {
        let update = reference.update(&weights, &gradients, 0.5).expect("the arrays fit");
        stepped.1 = weights.clone();
        stepped.0.step(&mut stepped.1, &gradients, 0.5).expect("the arrays fit");
        for ((w, u), moved) in weights.iter().zip(&update).zip(&stepped.1) {
            assert_eq!(&(w - u), moved);
        }
        assert_eq!(reference.slots(), stepped.0.slots());
        seen.push((update, reference.slots().to_vec()));
    }
    assert_eq!(seen[1].0, [vector(&[6.0, 12.0]), ArrayD::from_elem(IxDyn(&[]), 22.0)]);
    reference.restart();
    for (update, slots) in seen {
        assert_eq!(reference.update(&weights, &gradients, 0.5).expect("the arrays fit"), update);
        assert_eq!(reference.slots(), slots);
    }
    assert!(matches!(
        reference.update(&weights[..1], &gradients, 0.5),
        Err(OptimizerError::Shape { .. })
    ));
}

#[test]
fn arrays_that_are_laid_out_in_another_order_mean_what_they_show() {
    let program = program("def f(w, g):\n  u = g + w\n  return u\n");
    let mut reference = Reference::<f64>::new(&program, &[vec![2, 3]]).expect("it types");
    let array = |numbers: [f64; 6]| {
        ArrayD::from_shape_vec(IxDyn(&[2, 3]), numbers.to_vec()).expect("six numbers")
    };
    let turned = ArrayD::from_shape_vec(IxDyn(&[3, 2]), vec![1.0, 4.0, 2.0, 5.0, 3.0, 6.0])
        .expect("six numbers")
        .reversed_axes();
    let update = reference.update(&[array([0.0; 6])], &[turned], 0.5).expect("the arrays fit");
    assert_eq!(update, [array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])]);
}

#[test]
fn arrays_of_other_shapes_and_unknown_hyperparameters_are_refused() {
    let program = program("def f(w, g, lr, *, beta=0.9):\n  u = g * lr * beta\n  return u\n");
    let mut reference = Reference::<f64>::new(&program, &[vec![2]]).expect("it types");
    let mut weights = [vector(&[1.0, 2.0])];
    for gradients in [vec![], vec![vector(&[1.0])], vec![vector(&[1.0, 1.0]), vector(&[1.0, 1.0])]]
    {
        assert!(matches!(
            reference.step(&mut weights, &gradients, 1.0),
            Err(OptimizerError::Shape { .. })
        ));
    }
    assert_eq!(weights, [vector(&[1.0, 2.0])]);
    assert!(matches!(
        reference.set("gamma", 1.0),
        Err(OptimizerError::UnknownHyperparameter { .. })
    ));
    reference.set("beta", 0.5).expect("it has it");
    reference.step(&mut weights, &[vector(&[1.0, 1.0])], 1.0).expect("the array fits");
    assert_eq!(weights, [vector(&[0.5, 1.5])]);
}

#[test]
fn f32_stays_close_to_f64_on_programs_of_practice() {
    // Weights are about 1 and move by about 0.01 a step, so the distance is a few roundings of f32
    // (6e-8) after 100 steps, unless an error is amplified: the reciprocal roots of Adam and the
    // ratios of norms do so mildly.
    const TOLERANCE: f64 = 2e-6;
    let texts = [
        "def lion(w, g, m, lr):\n  u = (sign(interp(g, m, 0.9)) + w * 0.1) * lr\n  m = interp(g, m, 0.99)\n  return u, m\n",
        "def adam(w, g, m, v, t, lr):\n  m = interp(g, m, 0.9)\n  v = interp(square(g), v, 0.999)\n  m_hat = m / (1 - power(0.9, t))\n  \
         v_hat = v / (1 - power(0.999, t))\n  u = m_hat / (sqrt(v_hat) + 1e-8) * lr\n  return u, m, v\n",
        "def lamb(w, g, m, v, lr):\n  m = interp(g, m, 0.9)\n  v = interp(square(g), v, 0.99)\n  d = m / (sqrt(v) + 1e-6)\n  \
         u = d * norm(w) / norm(d) * lr * 0.1\n  return u, m, v\n",
        "def clipped(w, g, m, lr):\n  m = m * 0.9 + clip(g, 1.0)\n  u = m * lr + w * dot(g, w) * 1e-5\n  return u, m\n",
        "def smooth(w, g, m, lr):\n  m = interp(g, m, 0.95)\n  u = tanh(m * 5.0) * exp(cosine_sim(g, m)) * lr + arctan(cbrt(m)) * lr\n  return u, m\n",
    ];
    let shapes = [vec![3], vec![10, 10], vec![]];
    let layout = layout(&shapes);
    for text in texts {
        let program = program(text);
        let mut random = Random(20);
        let start = numbers(&mut random, layout.len(), Flavour::Tame);
        let widened = |values: &[f32]| values.iter().map(|x| f64::from(*x)).collect::<Vec<f64>>();
        let mut single = Reference::<f32>::new(&program, &shapes).expect("it types");
        let mut double = Reference::<f64>::new(&program, &shapes).expect("it types");
        let mut single_weights = split(&layout, &start);
        let mut double_weights = split(&layout, &widened(&start));
        for _ in 0..100 {
            let gradients = numbers(&mut random, layout.len(), Flavour::Tame);
            single
                .step(&mut single_weights, &split(&layout, &gradients), 0.01)
                .expect("the arrays fit");
            double
                .step(&mut double_weights, &split(&layout, &widened(&gradients)), 0.01)
                .expect("the arrays fit");
        }
        let distances = join(&single_weights)
            .into_iter()
            .zip(join(&double_weights))
            .map(|(x, y)| (f64::from(x) - y).abs());
        let farthest = distances.fold(0.0, f64::max);
        assert!(farthest <= TOLERANCE, "{farthest:e}\n{text}");
        assert!(farthest > 0.0, "f32 rounds\n{text}");
    }
}

#[test]
fn where_takes_one_of_two_values_and_comparisons_are_one_or_zero() {
    assert_eq!(updates("  u = where(w > 2.0, g, w)"), [vec![1.0, -2.0], vec![12.0]]);
    assert_eq!(updates("  u = where(w, 5.0, 7.0)"), [vec![5.0, 5.0], vec![5.0]]);
    assert_eq!(updates("  u = where(w - 1.0, 5.0, 7.0)"), [vec![7.0, 5.0], vec![5.0]]);
    assert_eq!(updates("  u = where(t == 1.0, g, w)"), [vec![3.0, 4.0], vec![12.0]]);
    assert_eq!(updates("  u = where(norm(g) >= 12.0, g, w)"), [vec![1.0, -2.0], vec![12.0]]);
    let comparisons =
        [("less", [0.0, 1.0, 0.0]), ("less_equal", [1.0, 1.0, 0.0]), ("greater", [0.0, 0.0, 1.0])];
    let others = [("greater_equal", [1.0, 0.0, 1.0]), ("equal", [1.0, 0.0, 0.0])];
    for (name, [a, b, c]) in comparisons.into_iter().chain(others) {
        assert_eq!(updates(&format!("  u = {name}(w, 1.0)")), [vec![a, b], vec![c]], "{name}");
        // NaN compares false, and is not zero.
        assert_eq!(
            updates(&format!("  n = w * 0.0\n  n = n / n\n  u = {name}(n, n)")),
            [vec![0.0, 0.0], vec![0.0]],
            "{name}"
        );
    }
    assert_eq!(
        updates("  n = w * 0.0\n  n = n / n\n  u = where(n, 2.0, 3.0)"),
        [vec![2.0, 2.0], vec![2.0]]
    );
    // Zeros of both signs are equal, and neither is a reason to take the first value.
    assert_eq!(
        updates("  z = w * 0.0\n  u = where(z, 1.0, z == 0.0)"),
        [vec![1.0, 1.0], vec![1.0]]
    );
}

#[test]
fn means_and_sizes_are_of_each_array() {
    assert_eq!(updates("  u = w * mean(g)"), [vec![3.5, -7.0], vec![48.0]]);
    assert_eq!(updates("  u = w * size(g)"), [vec![2.0, -4.0], vec![4.0]]);
    // The mean of a single number is the number itself, and its size is 1.
    assert_eq!(updates("  u = w * mean(norm(g))"), [vec![5.0, -10.0], vec![48.0]]);
    assert_eq!(updates("  u = w * size(norm(g))"), [vec![1.0, -2.0], vec![4.0]]);
    assert_eq!(updates("  u = w * mean(lr)"), [vec![0.5, -1.0], vec![2.0]]);
    assert_eq!(updates("  u = w * size(lr)"), [vec![1.0, -2.0], vec![4.0]]);
    // The mean of a mask is the share of what it keeps.
    assert_eq!(updates("  u = w * mean(w > 0.0)"), [vec![0.5, -1.0], vec![4.0]]);
}
