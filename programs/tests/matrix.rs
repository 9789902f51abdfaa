//! Muon and Adafactor against implementations that are not ours: `golden/matrix.json`, which
//! `golden/reference_matrix.py` writes in float64.

use ndarray::{ArrayD, IxDyn};
use serde_json::Value;
use symopt_evaluator::{Layout, Reference};
use symopt_programs::find;

/// An array's name, shape and seed, and its weights by number of steps.
struct Case<'a> {
    name: &'a str,
    shape: Vec<usize>,
    seed: u64,
    after: &'a Value,
}

/// The integer hash lowbias32, its upper 24 bits as a number in [-1, 1).
fn unit(seed: u64, index: u64) -> f64 {
    let mut x = (seed * 0x9e37_79b9 + index) as u32;
    x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
    x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
    x ^= x >> 16;
    f64::from(x >> 8) / f64::from(1 << 23) - 1.0
}

fn array(seed: u64, first: u64, shape: &[usize]) -> ArrayD<f64> {
    let count = shape.iter().product::<usize>() as u64;
    let numbers = (0..count).map(|i| unit(seed, first + i)).collect();
    ArrayD::from_shape_vec(IxDyn(shape), numbers).expect("as many numbers as the shape says")
}

/// Zero now and then; for the array named `column` always zero in the first row.
fn gradient(case: &Case, step: u64) -> ArrayD<f64> {
    let mut g = array(case.seed + 1, 1000 * step, &case.shape);
    g.mapv_inplace(|x| if x.abs() < 0.1 { 0.0 } else { x });
    if case.name == "column" {
        g[[0, 0]] = 0.0;
    }
    g
}

/// Runs a program beside an implementation, all its arrays at once, and holds the weights to a
/// tolerance relative to 1.
fn compare(program: &str, implementation: &str, tolerance: f64) {
    let golden: Value =
        serde_json::from_str(include_str!("golden/matrix.json")).expect("the golden file is JSON");
    let golden = &golden[program];
    let cases: Vec<Case> = golden[implementation]
        .as_object()
        .expect("arrays by name")
        .iter()
        .map(|(name, case)| Case {
            name,
            shape: case["shape"]
                .as_array()
                .expect("a shape")
                .iter()
                .map(|axis| axis.as_u64().expect("a length") as usize)
                .collect(),
            seed: case["seed"].as_u64().expect("a seed"),
            after: &case["after"],
        })
        .collect();
    assert!(cases.len() >= 5);
    let shapes: Vec<Vec<usize>> = cases.iter().map(|case| case.shape.clone()).collect();
    let mut reference =
        Reference::<f64>::new(&find(program).expect("in the zoo").program(), &shapes)
            .expect("it types");
    let mut lr = 0.0;
    for (name, value) in golden["hyperparameters"].as_object().expect("hyperparameters by name") {
        let value = value.as_f64().expect("a number");
        if name == "lr" {
            lr = value
        } else {
            reference.set(name, value).expect("the program has it")
        }
    }
    let mut weights: Vec<ArrayD<f64>> =
        cases.iter().map(|case| array(case.seed, 0, &case.shape)).collect();
    for step in 1..=50 {
        let gradients: Vec<ArrayD<f64>> = cases.iter().map(|case| gradient(case, step)).collect();
        reference.step(&mut weights, &gradients, lr).expect("shapes fit");
        for (case, found) in cases.iter().zip(&weights) {
            let Some(expected) = case.after[step.to_string()].as_array() else { continue };
            assert_eq!(found.len(), expected.len());
            for (i, (x, y)) in found.iter().zip(expected).enumerate() {
                let y = y.as_f64().expect("a number");
                let deviation = (x - y).abs() / y.abs().max(1.0);
                assert!(
                    deviation <= tolerance,
                    "{program} and {implementation}, {}, step {step}, number {i}: {x}, there {y}",
                    case.name
                );
            }
        }
    }
}

/// Roundings in f64 in another order; the five steps blow those of small singular values up by some
/// hundreds.
#[test]
fn muon_is_the_authors_formula_for_matrices_and_convolutions() {
    compare("muon", "authors", 1e-12);
}

/// PyTorch divides by the norm or 1e-7, whichever is larger, and not by the norm plus 1e-7. That
/// makes 1e-7 over the norm at each step, and the norm is between 0.05 and 2 here.
#[test]
fn muon_is_pytorchs_muon_but_for_its_epsilon_and_its_bfloat16() {
    compare("muon", "torch", 1e-6);
}

#[test]
fn adafactor_is_pytorchs_adafactor_for_matrices_and_vectors() {
    compare("adafactor", "torch", 1e-12);
}

/// Optax computes t^-0.8 in f32 (6e-8 relative), whatever the type of the arrays.
#[test]
fn adafactor_is_optaxs_adafactor_for_matrices_and_vectors() {
    compare("adafactor", "optax", 1e-8);
}

/// Arrays without numbers, single numbers and vectors beside matrices of three and four dimensions:
/// each has the step that it has alone.
#[test]
fn arrays_of_any_shape_are_stepped_as_if_each_were_alone() {
    let shapes: [&[usize]; 8] =
        [&[], &[0], &[7], &[3, 0], &[0, 3], &[4, 5], &[3, 2, 4], &[2, 3, 1, 2]];
    for program in ["muon", "adafactor"] {
        let program = find(program).expect("in the zoo");
        let layout = Layout::new(
            shapes.iter().enumerate().map(|(i, shape)| (format!("a{i}"), shape.to_vec())),
        )
        .expect("a layout");
        let start: Vec<f32> = (0..layout.len()).map(|i| unit(1, i as u64) as f32).collect();
        let gradients = |step: u64| -> Vec<f32> {
            (0..layout.len()).map(|i| unit(2 + step, i as u64) as f32).collect()
        };
        let mut together = program.optimizer(&layout);
        let mut weights = start.clone();
        for step in 0..5 {
            together.step(&mut weights, &gradients(step), 0.1).expect("it fits");
        }
        assert!(weights.iter().zip(&start).all(|(w, before)| w.is_finite() && w != before));
        for spec in layout.arrays() {
            let alone = Layout::new([(spec.name.clone(), spec.shape.clone())]).expect("a layout");
            let mut optimizer = program.optimizer(&alone);
            let mut expected = start[spec.range.clone()].to_vec();
            for step in 0..5 {
                optimizer
                    .step(&mut expected, &gradients(step)[spec.range.clone()], 0.1)
                    .expect("it fits");
            }
            assert_eq!(weights[spec.range.clone()], expected, "{} {:?}", program.name, spec.shape);
        }
    }
}
