//! The distance of programs by what they do.

use symopt_analysis::behaviour::{Behaviour, Distance, behavioural_distance};
use symopt_dsl::{Program, parse};

fn program(text: &str) -> Program {
    parse(text).unwrap_or_else(|faults| panic!("{faults}\n{text}"))
}

fn zoo(name: &str) -> Program {
    let path = format!("{}/../programs/zoo/{name}.opt", env!("CARGO_MANIFEST_DIR"));
    program(&std::fs::read_to_string(&path).unwrap_or_else(|fault| panic!("{path}: {fault}")))
}

fn behaviour(a: &Program, b: &Program) -> Behaviour {
    behavioural_distance(a, b, 1).expect("there are finite numbers")
}

fn small(a: &Program, b: &Program) -> Distance {
    behaviour(a, b).small_weights.expect("there are finite numbers")
}

fn ordinary(a: &Program, b: &Program) -> Distance {
    behaviour(a, b).ordinary_weights.expect("there are finite numbers")
}

#[test]
fn a_program_is_at_no_distance_from_itself_whatever_its_learning_rate() {
    for name in ["lion", "adamw", "lion-raw", "sgd"] {
        let program = zoo(name);
        for distance in [small(&program, &program), ordinary(&program, &program)] {
            assert_eq!(
                (distance.steps, distance.finite, distance.sign_disagreement),
                (600, 1.0, 0.0),
                "{name}"
            );
            assert!(
                (distance.factor - 1.0).abs() < 1e-12 && (distance.cosine - 1.0).abs() < 1e-12,
                "{name}: {distance:?}"
            );
            assert!(distance.largest_deviation < 1e-12, "{name}: {distance:?}");
        }
    }
    let (fast, slow) = (
        program("def f(w, g, lr=1e-2):\n  u = g * lr\n  return u\n"),
        program("def f(w, g, lr=1e-4):\n  u = g * lr * 3.0\n  return u\n"),
    );
    let distance = ordinary(&fast, &slow);
    assert!(
        (distance.factor - 0.03).abs() < 1e-12 && distance.largest_deviation < 1e-12,
        "{distance:?}"
    );
    let back = program("def f(w, g):\n  u = -2.0 * g\n  return u\n");
    let distance = ordinary(&fast, &back);
    assert!(
        (distance.factor + 200.0).abs() < 1e-9 && (distance.cosine - 1.0).abs() < 1e-12,
        "{distance:?}"
    );
}

#[test]
fn distances_are_in_the_order_that_one_expects() {
    let lion = zoo("lion");
    let text =
        std::fs::read_to_string(format!("{}/../programs/zoo/lion.opt", env!("CARGO_MANIFEST_DIR")))
            .expect("it is there");
    let close = program(&text.replace("beta2=0.99", "beta2=0.98"));
    let named = [
        ("close", small(&close, &lion)),
        ("adam", small(&zoo("adam"), &lion)),
        ("sgd", small(&zoo("sgd"), &lion)),
    ];
    for pair in named.windows(2) {
        assert!(
            pair[0].1.cosine > pair[1].1.cosine
                && pair[0].1.median_deviation < pair[1].1.median_deviation,
            "{pair:?}"
        );
    }
    let close = &named[0].1;
    assert!(
        close.cosine < 0.999 && close.sign_disagreement > 0.001 && close.sign_disagreement < 0.1,
        "{close:?}"
    );
    let beta = |beta: &str| {
        program(&format!(
            "def f(w, g, m, lr):\n  m = interp(g, m, {beta})\n  u = m * lr\n  return u, m\n"
        ))
    };
    let [near, far] = ["0.91", "0.95"].map(|b| small(&beta(b), &beta("0.9")));
    assert!(
        near.median_deviation < far.median_deviation && near.median_deviation > 0.0,
        "{near:?} {far:?}"
    );
    assert_eq!(
        behavioural_distance(&beta("0.9"), &beta("0.8"), 5),
        behavioural_distance(&beta("0.9"), &beta("0.8"), 5)
    );
}

#[test]
fn weight_decay_shows_with_ordinary_weights_only() {
    let head = "def f(w, g, m, lr):\n  m = interp(g, m, 0.9)\n  u = sign(m)";
    let (plain, decayed) = (
        program(&format!("{head}\n  u = u * lr\n  return u, m\n")),
        program(&format!("{head} + w * 0.5\n  u = u * lr\n  return u, m\n")),
    );
    let behaviour = behaviour(&decayed, &plain);
    let (small, ordinary) =
        (behaviour.small_weights.expect("finite"), behaviour.ordinary_weights.expect("finite"));
    assert!(small.largest_deviation < 1e-3 && small.sign_disagreement == 0.0, "{small:?}");
    assert!(ordinary.median_deviation > 0.2, "{ordinary:?}");
}

#[test]
fn there_is_no_distance_where_there_is_nothing_to_compare() {
    let good = program("def f(w, g):\n  return g\n");
    for text in [
        "def f(w, g):\n  u = sqrt(-1.0 - abs(g))\n  return u\n",
        "def f(w, g):\n  u = g * 0.0\n  return u\n",
    ] {
        assert_eq!(behavioural_distance(&program(text), &good, 1), None);
        assert_eq!(behavioural_distance(&good, &program(text), 1), None);
    }
    let mut untyped = good.clone();
    untyped.update = symopt_dsl::VarId(30);
    assert_eq!(behavioural_distance(&good, &untyped, 1), None);
    // Half of the numbers are NaN.
    let half = small(&program("def f(w, g):\n  u = sqrt(g)\n  return u\n"), &good);
    assert!((0.3..0.7).contains(&half.finite) && half.cosine > 0.5, "{half:?}");
    // Updates whose squares overflow or vanish.
    for (scale, other) in [("1e200", "1e-200"), ("1e-300", "1e300")] {
        let [a, b] = [scale, other]
            .map(|scale| program(&format!("def f(w, g):\n  u = g * {scale}\n  return u\n")));
        let distance = small(&a, &b);
        assert!(
            (distance.cosine - 1.0).abs() < 1e-9 && distance.largest_deviation < 1e-9,
            "{distance:?}"
        );
    }
}
