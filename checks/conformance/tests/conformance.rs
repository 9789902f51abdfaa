//! The conformance suite: its data files are what the reference makes, and the engines of the
//! library equal them bit for bit.

use std::fs;
use std::path::Path;

use symopt_conformance::case::{self, SHAPES};
use symopt_conformance::engines::{self, Engine};
use symopt_conformance::expected::{self, Outcome};
use symopt_conformance::finding::{Distance, Finding, Measured};
use symopt_conformance::report::Report;
use symopt_conformance::subject::Subject;
use symopt_conformance::suite::Suite;
use symopt_conformance::tolerance::{Bound, Tolerance};
use symopt_conformance::{exports, mixed};
use symopt_dsl::Function;
use symopt_dsl::function::Profile;
use symopt_evaluator::Reference;

/// With `SYMOPT_WRITE_CONFORMANCE=1` the files are written instead of compared.
#[test]
fn the_data_files_are_what_the_reference_makes() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
    let entries = Suite::of_zoo().subjects;
    if std::env::var_os("SYMOPT_WRITE_CONFORMANCE").is_some() {
        exports::write_suite(&here, &entries, &case::cases()).expect("the files can be written");
    }
    let made = tempfile::tempdir().expect("a directory");
    exports::write_suite(made.path(), &entries, &case::cases()).expect("the files can be written");
    let read =
        |directory: &Path, name: &str| fs::read_to_string(directory.join(name)).unwrap_or_default();
    let names = entries
        .iter()
        .map(|entry| format!("expected/{}.json", entry.name))
        .chain(["inputs.json".to_owned()]);
    for name in names {
        // Not `assert_eq`: the files are long.
        assert!(
            read(&here, &name) == read(made.path(), &name),
            "conformance/{name} is out of date: run this test with SYMOPT_WRITE_CONFORMANCE=1"
        );
    }
    let files = fs::read_dir(here.join("expected")).expect("the directory is there").count();
    assert_eq!(files, entries.len(), "a file in python/expected belongs to no program");
}

fn bits(outcome: &Outcome<f32>) -> Vec<Vec<u32>> {
    let pattern = |x: &f32| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() };
    let arrays = outcome.weights.iter().chain(outcome.slots.values().flatten());
    arrays.map(|array| array.iter().map(pattern).collect()).collect()
}

#[test]
fn every_engine_equals_the_reference_bit_for_bit() {
    for Suite { subjects, cases, .. } in [Suite::of_zoo(), Suite::mixed(), Suite::random(40, 0)] {
        for subject in &subjects {
            let Subject { name, program, .. } = subject;
            for case in &cases {
                let reference =
                    expected::outcome::<f32>(program, case).expect("the reference runs");
                for engine in Engine::ALL {
                    let optimizer = engine
                        .optimizer(subject, &engines::layout(case))
                        .expect("the engine takes it");
                    let Some(mut optimizer) = optimizer else { continue };
                    let found = engines::outcome(&mut optimizer, program, case).expect("it steps");
                    assert_eq!(
                        found.slots.keys().collect::<Vec<_>>(),
                        reference.slots.keys().collect::<Vec<_>>()
                    );
                    assert_eq!(
                        bits(&found),
                        bits(&reference),
                        "{name} in the {}, case {}\n{program}",
                        engine.name(),
                        case.name
                    );
                }
            }
        }
    }
}

/// Each function on each kind of operand, or the suite would not show what it is for.
#[test]
fn the_mixed_programs_call_every_function_and_end_in_numbers() {
    let suite = Suite::mixed();
    let text: String = suite.subjects.iter().map(|subject| subject.program.to_string()).collect();
    for function in Function::all().filter(|function| function.row().profile != Profile::Language) {
        let is_called = match function.row().operator {
            Some(operator) => text.contains(&format!(" {operator} ")),
            None => text.contains(&format!("{}(", function.name())),
        };
        assert!(is_called || function.arity() == 0, "{}", function.name());
    }
    for Subject { name, program, .. } in &suite.subjects {
        for case in &suite.cases {
            let outcome = expected::outcome::<f32>(program, case).expect("the reference runs");
            assert!(
                outcome.weights.concat().iter().all(|x| x.is_finite()),
                "{name}, {}",
                case.name
            );
            assert!(
                outcome.weights.concat().is_empty() || outcome.weights != case.weights,
                "{name}, {}",
                case.name
            );
        }
    }
    assert!(mixed::SHAPES.iter().any(|shape| shape.contains(&0)));
    // The slot's value counts: the reference runs live slots only.
    for Subject { name, program, .. } in
        suite.subjects.iter().filter(|subject| subject.name.starts_with("mixed-"))
    {
        let outcome =
            expected::outcome::<f32>(program, &suite.cases[0]).expect("the reference runs");
        assert!(outcome.slots["m"].concat().iter().any(|x| *x != 0.0), "{name}");
    }
}

/// Programs that exports got wrong, with their right values over the known gradients: [[1, -2], [3,
/// 4]] and [0.5, -1, 2].
#[test]
fn the_found_programs_have_their_right_values() {
    let suite = Suite::mixed();
    let case = suite.cases.iter().find(|case| case.name == "known").expect("the case is there");
    let of_array = |program: &str| {
        let subject =
            suite.subjects.iter().find(|subject| subject.name == program).expect("it is there");
        let outcome = expected::outcome::<f64>(&subject.program, case).expect("the reference runs");
        // From weights of 1.
        outcome.weights.iter().map(|array| 1.0 - array[0]).collect::<Vec<f64>>()
    };
    let near = |program: &str, expected: [f64; 2]| {
        for (found, expected) in of_array(program).into_iter().zip(expected) {
            assert!(
                (found - expected).abs() < 1e-3 * expected.abs(),
                "{program}: {found}, not {expected}"
            );
        }
    };
    // The hyperparameter and the learning rate are spread too: their cosines cancel.
    near("cosine-of-a-number", [0.859, 0.859]);
    near("cosine-of-norms", [0.908, 0.908]);
    // lr, t, and a, the product of the weights and the gradients, the norms.
    let moved = 1.5_f64;
    let numbers =
        0.1_f64.powi(3) + 1.0 + moved.powi(3) + 0.75_f64.powi(3) + 35.25_f64.powf(1.5) / 8.0;
    near(
        "cubes-of-numbers",
        [numbers + 30.0_f64.powf(1.5) / 2.0, numbers + 5.25_f64.powf(1.5) / 2.0],
    );
    near(
        "guarded-log1p",
        [
            2.0_f64.ln() + 3.5_f64.ln() + (1.0 + 30.0_f64.sqrt()).ln() + 1.5_f64.ln(),
            1.5_f64.ln() * 2.0 + 3.5_f64.ln() + (1.0 + 5.25_f64.sqrt()).ln(),
        ],
    );
    near("sizes-of-numbers", [7.0 + 32.0 + 128.0 + 1024.0 + 2.0, 7.0 + 24.0 + 192.0 + 512.0 + 2.0]);
    near("size-of-a-sum", [2.0, 1.5]);
    near("reads-weights-only", [1.0_f64.cos(), 1.0_f64.cos()]);
    // The hyperparameter is moved to 0.4, and the learning rate is 0.5.
    let apart = 1.0 + 0.35 + (0.4_f64.ln() / 1e39_f64.ln() + 1.0) + 0.5 * 0.4;
    near("floats-apart", [apart, apart]);
    // Twice the gradients, 1 and 0.5, and a share of them.
    near("one-long-result", [0.2 + 0.005_065_3, 0.1 + 0.002_532_65]);
    // All gradients that are first in their array are positive.
    near("negative-zeros", [2.0 + 4.0 + 16.0 + 64.0 + 1.0, 2.0 + 4.0 + 16.0 + 64.0 + 0.5]);
}

#[test]
fn random_programs_are_those_of_their_seed() {
    let texts = |count: usize, seed: u64| -> Vec<String> {
        Suite::random(count, seed)
            .subjects
            .iter()
            .map(|subject| subject.program.to_string())
            .collect()
    };
    assert_eq!(texts(5, 3), texts(8, 3)[..5]);
    assert_ne!(texts(5, 3), texts(5, 4));
    let suite = Suite::random(40, 3);
    // Some are run under the cases alone in which the tolerance says something about them.
    assert!(
        suite
            .subjects
            .iter()
            .all(|subject| subject.only.as_ref().is_some_and(|cases| !cases.is_empty()))
    );
    assert!(suite.left_out.iter().all(|(_, count)| *count > 0));
    // Among the programs of this seed is one that takes the sign of roots of negative gradients.
    let left_out = Suite::random(60, 2).left_out;
    assert!(left_out.iter().any(|(reason, _)| reason.contains("sign of NaN")), "{left_out:?}");
}

/// The suite must have what it says it has.
#[test]
fn the_cases_hold_zeros_denormals_infinities_nan_and_near_ties() {
    let cases = case::cases();
    let numbers = |name: &str| {
        let case = cases.iter().find(|case| case.name == name).expect("the case is there");
        case.gradients.concat().concat()
    };
    assert!(numbers("plain").contains(&0.0) && numbers("plain").iter().all(|x| x.is_finite()));
    assert!(numbers("extremes").iter().any(|x| x.is_subnormal()));
    assert!(numbers("extremes").iter().any(|x| *x == 0.0 && x.is_sign_negative()));
    let not_finite = numbers("not-finite");
    assert!(
        not_finite.contains(&f32::INFINITY)
            && not_finite.contains(&f32::NEG_INFINITY)
            && not_finite.iter().any(|x| x.is_nan())
    );

    // Lion's blend in the second step of the near ties: a rounding decides its sign.
    let ties = cases.iter().find(|case| case.name == "near-ties").expect("the case is there");
    let lion = symopt_programs::lion().program();
    let shapes: Vec<Vec<usize>> = SHAPES.iter().map(|shape| shape.to_vec()).collect();
    let mut reference = Reference::<f64>::new(&lion, &shapes).expect("it runs");
    let arrays = |numbers: &[Vec<f32>]| -> Vec<ndarray::ArrayD<f64>> {
        let array = |(numbers, shape): (&Vec<f32>, &Vec<usize>)| {
            ndarray::ArrayD::from_shape_vec(
                ndarray::IxDyn(shape),
                numbers.iter().map(|x| f64::from(*x)).collect(),
            )
            .expect("it fits")
        };
        numbers.iter().zip(&shapes).map(array).collect()
    };
    reference.step(&mut arrays(&ties.weights), &arrays(&ties.gradients[0]), 0.1).expect("it steps");
    let momentum: Vec<f64> =
        reference.slots()[0].iter().flat_map(|array| array.iter().copied()).collect();
    let near = momentum.iter().zip(ties.gradients[1].concat()).filter(|(m, g)| {
        let blend = 0.1 * f64::from(*g) + 0.9 * **m;
        *g != 0.0 && blend.abs() < 1e-6 * f64::from(*g).abs()
    });
    assert!(near.count() > 20);
}

#[test]
fn a_deviation_beyond_the_tolerance_is_a_fault() {
    let distance = Distance { deviation: 1e-6, gap: 1e-7, mismatches: 0, same_bits: false };
    let finding = |result| Finding {
        engine: "numpy".to_owned(),
        version: String::new(),
        program: "lion".to_owned(),
        case: "plain".to_owned(),
        peer: None,
        scalars: None,
        result,
    };
    let report = |result| Report { findings: vec![finding(result)], ..Report::default() };
    let rounded = |roundings, gaps| Tolerance {
        bound: Bound::Rounded { roundings, gaps },
        ..Tolerance::BITS
    };
    let tight = |_: &str, _: &str| rounded(4.0, 4.0);
    let loose = |_: &str, _: &str| rounded(0.0, 11.0);
    assert_eq!(report(Measured::Distance(distance)).faults(tight).len(), 1);
    assert_eq!(report(Measured::Distance(distance)).faults(loose), Vec::<String>::new());
    assert_eq!(report(Measured::Distance(distance)).faults(|_, _| Tolerance::BITS).len(), 1);
    let same = Distance { deviation: 0.0, same_bits: true, ..distance };
    assert_eq!(
        report(Measured::Distance(same)).faults(|_, _| Tolerance::BITS),
        Vec::<String>::new()
    );
    let not_finite = Distance { mismatches: 1, ..distance };
    assert_eq!(report(Measured::Distance(not_finite)).faults(loose).len(), 1);
    let excepted =
        |_: &str, _: &str| Tolerance { exceptions: &[("plain", "a reason")], ..rounded(4.0, 4.0) };
    assert_eq!(report(Measured::Distance(not_finite)).faults(excepted), Vec::<String>::new());
    assert_eq!(
        report(Measured::Error { error: "no".to_owned() }).faults(loose),
        ["numpy, lion, plain: no"]
    );
}

#[test]
fn engines_with_scalars_in_f32_may_be_as_far_as_such_scalars_lead_the_reference() {
    let distance =
        |deviation, mismatches| Distance { deviation, gap: 1e-7, mismatches, same_bits: false };
    let rounded = Tolerance {
        bound: Bound::Rounded { roundings: 4.0, gaps: 4.0 },
        scalars_in_f32: true,
        exceptions: &[],
    };
    assert!(!rounded.allows(&distance(1e-3, 0), Some(&distance(1e-5, 0))));
    assert!(rounded.allows(&distance(1e-3, 0), Some(&distance(1e-3, 0))));
    assert!(!rounded.allows(&distance(1e-3, 1), Some(&distance(1e-3, 0))));
    assert!(rounded.allows(&distance(1e-3, 1), Some(&distance(1e-3, 1))));
    let in_f64 = Tolerance { scalars_in_f32: false, ..rounded };
    assert!(!in_f64.allows(&distance(1e-3, 0), Some(&distance(1e-3, 0))));
    assert!(!in_f64.allows(&distance(1e-3, 1), Some(&distance(1e-3, 1))));
}

/// Squares of 3e18 are within f32, those of 3e38 are not; what is computed of floats alone stays in
/// f64.
#[test]
fn scalars_in_f32_overflow_where_sums_do() {
    let outcomes = |number: &str| {
        let text = format!(
            "def f(w, g):\n  c = cosine_sim(g, {number})\n  update = g * c\n  return update\n"
        );
        let program = symopt_dsl::parse(&text).expect("it parses");
        let case = case::known();
        let single = expected::outcome::<f32>(&program, &case).expect("it runs");
        (
            single.weights.concat(),
            expected::outcome_with_scalars_in_f32(&program, &case)
                .expect("it runs")
                .weights
                .concat(),
        )
    };
    let near = |(x, y): (&f32, &f32)| (x - y).abs() < 1e-6;
    let (single, narrow) = outcomes("3e18");
    assert!(single.iter().zip(&narrow).all(near), "{single:?} {narrow:?}");
    let (single, narrow) = outcomes("3e38");
    assert!(
        single.iter().all(|x| x.is_finite()) && !single.iter().zip(&narrow).all(near),
        "{single:?} {narrow:?}"
    );
    // A float is rounded as it meets the learning rate.
    let program = symopt_dsl::parse(
        "def f(w, g, lr, *, a=1e39):\n  update = g * (a * lr / a)\n  return update\n",
    )
    .expect("it parses");
    let case = case::known();
    assert!(
        expected::outcome::<f32>(&program, &case)
            .expect("it runs")
            .weights
            .concat()
            .iter()
            .all(|x| x.is_finite())
    );
    let narrow = expected::outcome_with_scalars_in_f32(&program, &case).expect("it runs");
    assert!(narrow.weights.concat().iter().all(|x| x.is_nan()), "{narrow:?}");
    let floats = symopt_dsl::parse(
        "def f(w, g, *, a=0.9999999):\n  update = g * ((1.0 - a) * 1e7)\n  return update\n",
    )
    .expect("it parses");
    let case = case::brief(SHAPES).remove(0);
    let single = expected::outcome::<f32>(&floats, &case).expect("it runs");
    assert_eq!(
        bits(&single),
        bits(&expected::outcome_with_scalars_in_f32(&floats, &case).expect("it runs"))
    );
}
