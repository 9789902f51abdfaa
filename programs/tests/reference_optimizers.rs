//! The zoo against implementations that are not ours. `golden/optimizers.json` has the final
//! weights of torch.optim, of Optax or, where neither has the optimizer, of the published formula
//! in NumPy, all in f64; `golden/reference_optimizers.py` made it and says how.

use std::collections::BTreeSet;

use ndarray::ArrayD;
use serde_json::Value;
use symopt_evaluator::Reference;
use symopt_programs::{find, zoo};

/// Both sides compute in f64: what is left are roundings (1e-16 each) in another order over 30
/// steps, relative to a weight of at least 0.001.
const TOLERANCE: f64 = 1e-12;
const SMALLEST_SCALE: f64 = 1e-3;

/// Programs that came before the file, and have their published equations in `equations.rs` or
/// their trajectories in `golden.rs`.
const WITHOUT_REFERENCE: [&str; 24] = [
    // They have references of their own: tests/matrix.rs.
    "muon",
    "adafactor",
    "lion",
    "adamw",
    "adamw-paper",
    "lion-raw",
    "lion-found",
    "published-regularized",
    "published-adagrad-like",
    "published-adabelief-like",
    "sgd",
    "momentum",
    "nesterov",
    "qhm",
    "signsgd",
    "signum",
    "rmsprop",
    "adagrad",
    "adam",
    "nadam",
    "adabelief",
    "addsign",
    "powersign",
    "tiger",
];

/// The integer hash lowbias32.
fn lowbias32(x: u64) -> u32 {
    let mut x = x as u32;
    x = (x ^ (x >> 16)).wrapping_mul(0x7feb352d);
    x = (x ^ (x >> 15)).wrapping_mul(0x846ca68b);
    x ^ (x >> 16)
}

fn unit(seed: u64, place: u64) -> f64 {
    f64::from(lowbias32(seed * 0x9e3779b9 + place) >> 8) / f64::from(1 << 23) - 1.0
}

fn gradient(step: u64, i: u64) -> f64 {
    let place = 1000 * step + i;
    if lowbias32(place).is_multiple_of(8) {
        0.0
    } else {
        unit(2, place) * 2.0_f64.powi(2 - (i % 5) as i32)
    }
}

fn arrays(shapes: &[Vec<usize>], number: impl Fn(u64) -> f64) -> Vec<ArrayD<f64>> {
    let mut next = 0;
    let array = |shape: &Vec<usize>| {
        let count: usize = shape.iter().product();
        let numbers = (0..count as u64).map(|i| number(next + i)).collect();
        next += count as u64;
        ArrayD::from_shape_vec(shape.clone(), numbers).expect("sizes fit")
    };
    shapes.iter().map(array).collect()
}

fn file() -> Value {
    serde_json::from_str(include_str!("golden/optimizers.json")).expect("the golden file is JSON")
}

fn numbers(list: &Value) -> Vec<f64> {
    list.as_array()
        .expect("a list")
        .iter()
        .map(|number| number.as_f64().expect("a number"))
        .collect()
}

#[test]
fn programs_of_the_zoo_end_where_the_implementations_of_others_do() {
    let file = file();
    let shapes: Vec<Vec<usize>> = file["shapes"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|shape| numbers(shape).iter().map(|n| *n as usize).collect())
        .collect();
    let steps = file["steps"].as_u64().expect("a number");
    let mut farthest = (0.0, String::new());
    for (name, entry) in file["optimizers"].as_object().expect("an object") {
        let program = find(name).unwrap_or_else(|| panic!("{name} is not in the zoo")).program();
        let mut reference = Reference::<f64>::new(&program, &shapes).expect("it types");
        let mut lr = f64::NAN;
        for (setting, value) in entry["settings"].as_object().expect("an object") {
            let value = value.as_f64().expect("a number");
            match setting.as_str() {
                "lr" => lr = value,
                other => {
                    reference.set(other, value).unwrap_or_else(|error| panic!("{name}: {error}"))
                }
            }
        }
        let mut weights = arrays(&shapes, |i| unit(1, i));
        let start = weights.clone();
        for step in 1..=steps {
            reference
                .step(&mut weights, &arrays(&shapes, |i| gradient(step, i)), lr)
                .expect("sizes fit");
        }
        let expected = numbers(&entry["weights"]);
        let found: Vec<f64> = weights.iter().flatten().copied().collect();
        assert_eq!(found.len(), expected.len());
        for (i, (x, y)) in found.iter().zip(&expected).enumerate() {
            let distance = (x - y).abs() / y.abs().max(SMALLEST_SCALE);
            assert!(
                distance <= TOLERANCE,
                "{name}, weight {i}: {x:e}, and {y:e} by {}: {distance:e} apart",
                entry["reference"]
            );
            if distance > farthest.0 {
                farthest = (distance, name.clone());
            }
        }
        let moved =
            weights.iter().flatten().zip(start.iter().flatten()).filter(|(x, y)| x != y).count();
        assert_eq!(moved, found.len(), "{name} moves all weights");
    }
    println!("farthest: {} by {:e}", farthest.1, farthest.0);
}

#[test]
fn every_program_has_a_reference_or_is_known_to_have_none() {
    let file = file();
    let with_reference: BTreeSet<&str> =
        file["optimizers"].as_object().expect("an object").keys().map(String::as_str).collect();
    for entry in zoo() {
        let is_exempt = WITHOUT_REFERENCE.contains(&entry.name);
        assert_ne!(
            with_reference.contains(entry.name),
            is_exempt,
            "{}: add it to golden/reference_optimizers.py",
            entry.name
        );
    }
}

/// So that a change of a default can hide nothing.
#[test]
fn the_references_set_every_hyperparameter() {
    let file = file();
    for (name, entry) in file["optimizers"].as_object().expect("an object") {
        let program = find(name).expect("in the zoo").program();
        for (_, parameter) in program.signature().hyperparameters() {
            assert!(
                entry["settings"][&parameter.name].is_f64()
                    || entry["settings"][&parameter.name].is_i64(),
                "{name}: {}",
                parameter.name
            );
        }
    }
}
