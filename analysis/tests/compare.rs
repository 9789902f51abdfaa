//! Comparison: what is found, what is refused, and what holds for any two programs.

use proptest::prelude::*;
use symopt_analysis::compare::{
    Assigned, Assignment, Comparison, Relation, Side, compare, data_flow_distance,
};
use symopt_analysis::simplify::Label;
use symopt_dsl::function::FUNCTIONS;
use symopt_dsl::program::{Operand, ParameterKind, Program, Statement, VarId};
use symopt_dsl::{Graph, parse};
use symopt_testing::random::Random;
use symopt_testing::texts::random_program;

fn program(text: &str) -> Program {
    parse(text).unwrap_or_else(|fault| panic!("{}", fault.render("test", text, false)))
}

/// A program of one slot with these lines, separated by `;`.
fn body(name: &str, hyperparameters: &str, lines: &str) -> Program {
    let star =
        if hyperparameters.is_empty() { String::new() } else { format!(", *, {hyperparameters}") };
    let lines: String = lines.split(';').map(|line| format!("  {}\n", line.trim())).collect();
    program(&format!("def {name}(w, g, m, lr{star}):\n{lines}  return update, m\n"))
}

fn words(a: &Program, b: &Program) -> String {
    compare(a, b).to_string()
}

fn numbers(comparison: &Comparison) -> Vec<(String, f64)> {
    let name = |of: &Assigned| match of {
        Assigned::Hyperparameter(name) => name.clone(),
        Assigned::LearningRate | Assigned::LearningRateFactor => "lr".to_owned(),
        Assigned::Constant(constant) => format!("{constant:?}"),
    };
    comparison
        .relation
        .assignment()
        .iter()
        .map(|Assignment { of, value, .. }| (name(of), *value))
        .collect()
}

fn is_different(comparison: &Comparison) -> bool {
    matches!(comparison.relation, Relation::Different { .. })
}

#[test]
fn lion_without_its_search_is_lion_on_a_function_of_the_gradient() {
    let simple = program(
        "def simple(w, g, v, lr):
  g = arcsin(clip(g, lr))
  m = interp(g, v, 0.8999999761581421)
  v = interp(g, v, 0.99822)
  update = sign(m) * (lr * 0.0002171761734643951)
  decay = w * (lr * 0.0002171761734643951 * 0.4601978361606598)
  update = update + decay
  return update, v",
    );
    let lion = body(
        "lion",
        "beta1=0.9, beta2=0.99, weight_decay=0.0",
        "c = interp(g, m, beta1); m = interp(g, m, beta2); update = (sign(c) + w * weight_decay) * lr",
    );
    let comparison = compare(&simple, &lion);
    assert_eq!(
        comparison.to_string(),
        "equal up to hyperparameters: simple = lion with beta1 = 0.9, beta2 = 0.99822, weight_decay = 0.460198, lr = 0.000217176 on g' = \
         arcsin(clip(g, lr)) (over the reals; rounding differs)"
    );
    // The numbers are those of the text, not roots that were computed.
    let expected = [
        ("beta1", 0.8999999761581421),
        ("beta2", 0.99822),
        ("weight_decay", 0.4601978361606598),
        ("lr", 0.0002171761734643951),
    ];
    assert_eq!(numbers(&comparison), expected.map(|(name, value)| (name.to_owned(), value)));
    // The other way round it is the same relation.
    let Relation::UpToHyperparameters { general, gradient: Some(gradient), label, .. } =
        compare(&lion, &simple).relation
    else {
        panic!("{}", words(&lion, &simple))
    };
    assert_eq!((general, gradient.side, label), (Side::Left, Side::Right, Label::Real));
}

#[test]
fn one_hyperparameter_has_one_value() {
    let tiger = body("tiger", "beta=0.9", "m = interp(g, m, beta); update = sign(m) * lr");
    let twice = "c = interp(g, m, 0.9); m = interp(g, m, 0.9); update = sign(c) * lr";
    assert_eq!(numbers(&compare(&body("p", "", twice), &tiger)), [("beta".to_owned(), 0.9)]);
    let unlike =
        body("p", "", "c = interp(g, m, 0.9); m = interp(g, m, 0.99); update = sign(c) * lr");
    assert!(is_different(&compare(&unlike, &tiger)), "{}", words(&unlike, &tiger));
    // Neither does algebra help: the blend of the update and that of the state are two numbers.
    let hyperparameters = body(
        "p",
        "a=0.9, b=0.99",
        "c = interp(g, m, a); m = interp(g, m, b); update = sign(c) * lr",
    );
    let comparison = compare(&hyperparameters, &tiger);
    assert_eq!(comparison.relation.general(), Some(Side::Left), "{comparison}");
    assert_eq!(numbers(&comparison), [("a".to_owned(), 0.9), ("b".to_owned(), 0.9)]);
    assert_eq!(comparison.relation.assignment()[0].hyperparameter.as_deref(), Some("beta"));
    // Two uses of the learning rate as well.
    let inside = body("p", "", "m = interp(g, m, 0.9); update = clip(m, lr) * (lr * 0.5)");
    let outside = body("q", "", "m = interp(g, m, 0.9); update = clip(m, lr) * lr");
    assert_eq!(
        compare(&inside, &outside)
            .relation
            .assignment()
            .iter()
            .filter(|a| a.of == Assigned::LearningRate)
            .count(),
        0
    );
}

#[test]
fn a_term_that_is_missing_is_one_that_is_zero() {
    let with = body(
        "decayed",
        "beta=0.9, decay=0.01",
        "m = interp(g, m, beta); update = (sign(m) + w * decay) * lr",
    );
    let without = body("plain", "beta=0.9", "m = interp(g, m, beta); update = sign(m) * lr");
    for (a, b, general) in [(&without, &with, Side::Right), (&with, &without, Side::Left)] {
        let comparison = compare(a, b);
        assert_eq!(comparison.relation.general(), Some(general));
        assert_eq!(comparison.differences(), "plain = decayed with decay = 0");
    }
    // Calls other than sums fold away at 1 or 0 too.
    let power = body("power_of", "p=0.5", "m = interp(g, m, 0.9); update = power(abs(m), p) * lr");
    let plain = body("plain", "", "m = interp(g, m, 0.9); update = abs(m) * lr");
    assert_eq!(numbers(&compare(&plain, &power)), [("p".to_owned(), 1.0)]);
    let sgd = body("sgd", "", "update = g * lr");
    let blend = body("blend", "nu=0.7", "m = interp(g, m, 0.9); update = interp(g, m, nu) * lr");
    assert_eq!(numbers(&compare(&sgd, &blend)), [("nu".to_owned(), 0.0)]);
}

#[test]
fn the_peak_learning_rate_may_stand_inside() {
    let outside = body("outside", "", "m = interp(g, m, 0.9); update = m * lr");
    let inside = body("inside", "", "m = interp(g, m, 0.9); update = m * (lr * 0.0002)");
    assert_eq!(compare(&inside, &outside).differences(), "inside = outside with lr = 0.0002");
    let named =
        body("named", "peak_lr=0.001", "m = interp(g, m, 0.9); update = m * (lr * peak_lr)");
    // As a case of the named one, and the named one as it stands.
    assert_eq!(numbers(&compare(&inside, &named)), [("peak_lr".to_owned(), 0.0002)]);
    assert_eq!(numbers(&compare(&named, &outside)), [("lr".to_owned(), 0.001)]);
}

#[test]
fn slots_in_other_units_are_found() {
    let heavy = body("heavy", "mu=0.9", "m = m * mu + g; update = m * lr");
    let average = body("average", "beta=0.99", "m = interp(g, m, beta); update = m * lr");
    let comparison = compare(&heavy, &average);
    assert_eq!(
        comparison.differences(),
        "heavy = average with beta = 0.9, lr = 10, where its m = 0.1 m"
    );
    assert!(
        matches!(&comparison.relation, Relation::UpToSlotScale { scales, general: Side::Right, .. } if scales.len() == 1)
    );
    // The sign forgets the factor: no other learning rate.
    let heavy = body("heavy", "mu=0.9", "m = m * mu + g; update = sign(m) * lr");
    let average = body("average", "beta=0.99", "m = interp(g, m, beta); update = sign(m) * lr");
    assert_eq!(
        compare(&heavy, &average).differences(),
        "heavy = average with beta = 0.9, where its m = 0.1 m"
    );
    // A function that does not let a factor through is in the way.
    let heavy = body("heavy", "mu=0.9", "m = m * mu + g; update = tanh(m) * lr");
    let average = body("average", "beta=0.99", "m = interp(g, m, beta); update = tanh(m) * lr");
    assert!(is_different(&compare(&heavy, &average)), "{}", words(&heavy, &average));
}

#[test]
fn slots_of_the_other_sign_are_found() {
    let average = body("average", "beta=0.99", "m = interp(g, m, beta); update = m * lr");
    let against = body("against", "mu=0.9", "m = interp(-g, m, mu); update = -m * lr");
    for (a, b, words) in [
        (&against, &average, "against = average with beta = 0.9, where its m = -m"),
        (&average, &against, "average = against with mu = 0.99, where its m = -m"),
    ] {
        assert_eq!(compare(a, b).differences(), words);
    }
    let heavy = body("heavy", "mu=0.9", "m = m * mu - g; update = -(sign(m) * lr)");
    let sign = body("soft", "beta=0.99", "m = interp(g, m, beta); update = sign(m) * lr");
    assert_eq!(
        compare(&heavy, &sign).differences(),
        "heavy = soft with beta = 0.9, where its m = -0.1 m"
    );
    // A function that is not odd is in the way.
    let heavy = body("heavy", "mu=0.9", "m = m * mu - g; update = exp(m) * lr");
    let plain = body("plain", "mu=0.9", "m = m * mu + g; update = exp(m) * lr");
    assert!(is_different(&compare(&heavy, &plain)), "{}", words(&heavy, &plain));
}

#[test]
fn the_root_of_a_negative_factor_is_not_equal_to_another() {
    let root = |name: &str, factor: &str| {
        body(name, "", &format!("m = interp(g, m, 0.9); update = sqrt({factor} * m) * lr"))
    };
    let comparison = compare(&root("two", "-2.0"), &root("three", "-3.0"));
    assert!(
        numbers(&comparison).iter().any(|(name, _)| name == "lr" || name == "-3.0")
            || is_different(&comparison),
        "{comparison}"
    );
}

#[test]
fn a_divisor_that_becomes_zero_is_no_way_to_be_equal() {
    // Over (1 - b), the sum in the sign is g + b / (1 - b) * w: at b = 1 it is w, not nothing.
    let blend = body("blend", "b=0.5", "update = sign(interp(g, w, b)) * lr + g * lr");
    let plain = body("plain", "", "update = g * lr");
    assert!(
        numbers(&compare(&plain, &blend)).iter().all(|(name, value)| name != "b" || *value != 1.0),
        "{}",
        words(&plain, &blend)
    );
}

#[test]
fn slots_are_told_apart_by_what_is_stored_in_them() {
    let adam = |name: &str, slots: &str, lines: &str| {
        let lines: String = lines.split(';').map(|line| format!("  {}\n", line.trim())).collect();
        program(&format!(
            "def {name}(w, g, {slots}, lr, *, a=0.9, b=0.999):\n{lines}  return update, {slots}\n"
        ))
    };
    let one = adam(
        "one",
        "m, v",
        "m = interp(g, m, a); v = interp(square(g), v, b); update = m / sqrt(v) * lr",
    );
    let other = adam(
        "other",
        "v, m",
        "m = interp(g, m, b); v = interp(square(g), v, a); update = lr * (m / sqrt(v))",
    );
    assert_eq!(numbers(&compare(&one, &other)), [("a".to_owned(), 0.999), ("b".to_owned(), 0.9)]);
}

#[test]
fn constants_may_differ_in_each_place() {
    let one = body(
        "one",
        "",
        "c = interp(g, m, 0.9); m = interp(g, m, 0.9); update = sign(c) * (lr * 0.001) + 0.25 * w",
    );
    let other = body(
        "other",
        "",
        "c = interp(g, m, 0.8); m = interp(g, m, 0.7); update = sign(c) * (lr * 0.001) + w * 0.25",
    );
    let comparison = compare(&one, &other);
    assert_eq!(numbers(&comparison), [("0.7".to_owned(), 0.9), ("0.8".to_owned(), 0.9)]);
    assert_eq!(comparison.differences(), "one = other with 0.9 for 0.7, 0.9 for 0.8");
    assert!(matches!(
        comparison.relation,
        Relation::UpToHyperparameters { label: Label::Exact, gradient: None, .. }
    ));
}

#[test]
fn other_grouping_is_rounding() {
    let one = body("one", "d=0.1", "m = interp(g, m, 0.9); update = (sign(m) + w * d) * lr");
    let other =
        body("other", "d=0.1", "m = interp(g, m, 0.9); update = sign(m) * lr + w * (d * lr)");
    assert_eq!(compare(&one, &other).relation, Relation::UpToRounding);
    assert_eq!(words(&one, &other), "one and other are equal over the reals; rounding differs");
}

#[test]
fn a_hyperparameter_that_cancels_gets_no_value() {
    let plain = body("plain", "", "update = m * lr");
    let average = body("average", "a=0.3", "c = interp(m, m, a); update = c * lr");
    let zero = body("zero", "a=0.3", "c = m * a; d = a * m; e = c - d; f = m + e; update = f * lr");
    for other in [average, zero] {
        assert_eq!(compare(&plain, &other).relation, Relation::UpToRounding, "{other}");
        assert_eq!(compare(&other, &plain).relation, Relation::UpToRounding, "{other}");
    }
}

#[test]
fn betas_near_one_are_found() {
    let lion = body(
        "lion",
        "beta1=0.9, beta2=0.99",
        "c = interp(g, m, beta1); m = interp(g, m, beta2); update = sign(c) * lr",
    );
    for (a, b) in [(0.99, 0.95), (0.995, 0.99), (0.998, 0.99), (0.9995, 0.998), (0.99998, 0.9999)] {
        let chain = body(
            "chain",
            "",
            &format!("m = interp(g, m, {a}); c = interp(g, m, {b}); update = sign(c) * lr"),
        );
        let comparison = compare(&chain, &lion);
        assert_eq!(comparison.relation.general(), Some(Side::Right), "{comparison}");
        let found = numbers(&comparison);
        assert!((found[0].1 - a * b).abs() < 1e-9 && found[1].1 == a, "{comparison}");
    }
}

#[test]
fn what_differs_is_named() {
    let one = body("one", "", "m = interp(g, m, 0.9); update = sign(m) * lr");
    let other = body("other", "", "m = interp(g, m, 0.9); update = tanh(m) * lr + norm(w)");
    insta::assert_snapshot!(words(&one, &other), @r"
    one and other are different: their data flows are 0.864 apart (0: the same shape, 1: nothing in common)
    only in one:
      update_1 = sign(m)
    only in other:
      update_1 = tanh(m)
      update_3 = norm(w)
      update = update_2 + update_3
    ");
    let nothing = compare(&body("sgd", "", "update = g * lr"), &body("decay", "", "update = w"));
    assert_eq!(nothing.distance(), 1.0);
}

#[test]
fn large_programs_and_many_like_terms_end_soon() {
    let mut lines = String::from("a = g");
    for index in 0..3000 {
        lines.push_str(&format!("; a = sin(a + {}.5)", index % 7));
    }
    let large = body("large", "", &format!("{lines}; update = a * lr"));
    let larger = body("larger", "", &format!("{lines}; a = cos(a); update = a * lr"));
    assert!(is_different(&compare(&large, &larger)));
    // Products of sums that would have 2^40 terms, and shared values that would be written out 2^40
    // times.
    let doubled = |last: &str| {
        let lines: String =
            (0..40).map(|i| format!("a = (a + w * 0.{}) * (a + m); ", i % 9 + 1)).collect();
        body("p", "", &format!("a = sin(g); {lines} m = a; update = {last}(a) * lr"))
    };
    assert!(is_different(&compare(&doubled("tanh"), &doubled("sinh"))));
    // Sums of like terms, in any order.
    let sum = |name: &str, from: usize| {
        let terms: Vec<String> =
            (0..12).map(|i| format!("tanh(g * 0.{})", (i * 5 + from) % 12 + 11)).collect();
        body(name, "", &format!("update = ({}) * lr", terms.join(" + ")))
    };
    let comparison = compare(&sum("one", 0), &sum("other", 3));
    assert!(!is_different(&comparison), "{comparison}");
}

/// A random program as it is compared: without what is redundant.
fn random_pruned(seed: u64) -> Program {
    let program = random_program(seed, false);
    program.pruned(&Graph::new(&program).expect("random programs are well typed"))
}

/// The program with every hyperparameter renamed.
fn renamed(program: &Program) -> Program {
    let mut signature = program.signature().clone();
    for parameter in &mut signature.parameters {
        if parameter.kind == ParameterKind::Hyperparameter {
            parameter.name = format!("renamed_{}", parameter.name);
        }
    }
    program.with_signature(signature)
}

fn hash(program: &Program) -> symopt_dsl::FunctionalHash {
    Graph::new(program).expect("well typed").hash()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_program_is_equal_to_itself_renamed_reordered_and_commuted(seed: u64) {
        let program = random_pruned(seed);
        prop_assert_eq!(compare(&program, &program).relation, Relation::Equal);
        prop_assert_eq!(data_flow_distance(&program, &program), 0.0);
        let mut other = program.clone();
        let mut random = Random(seed);
        for statement in &mut other.statements {
            if statement.function.row().commutative && random.one_in(2) {
                statement.arguments_mut().swap(0, 1);
            }
        }
        // A statement that neither reads nor writes what the one before it does changes places with
        // it.
        for index in 1..other.statements.len() {
            let (a, b) = (other.statements[index - 1], other.statements[index]);
            let reads = |s: &Statement, id: VarId| s.arguments().contains(&Operand::Variable(id));
            if a.target != b.target && !reads(&b, a.target) && !reads(&a, b.target) {
                other.statements.swap(index - 1, index);
            }
        }
        prop_assert_eq!(compare(&program, &other).relation, Relation::Equal);
    }

    #[test]
    fn renamed_hyperparameters_are_exactly_the_assignment(seed: u64) {
        let program = random_pruned(seed);
        let other = renamed(&program);
        let comparison = compare(&program, &other);
        if hash(&program) == hash(&other) {
            prop_assert_eq!(comparison.relation, Relation::Equal);
        } else {
            let graph = Graph::new(&program).expect("well typed");
            // A number over itself leaves nothing that could get a value.
            prop_assume!(!graph.nodes().iter().any(|node| node.arguments().len() == 2 && node.arguments()[0] == node.arguments()[1]));
            let used = |id: VarId| graph.nodes().iter().any(|node| node.kind == symopt_dsl::graph::NodeKind::Hyperparameter(id));
            let expected: Vec<(String, f64)> = program.signature().hyperparameters().filter(|(id, _)| used(*id))
                .map(|(_, p)| (format!("renamed_{}", p.name), p.default.unwrap_or(0.0))).collect();
            let found = numbers(&comparison);
            prop_assert!(matches!(comparison.relation, Relation::UpToHyperparameters { gradient: None, .. }), "{}\n{}", comparison, program);
            prop_assert!(found.len() == expected.len() && found.iter().zip(&expected).all(|(a, b)| a.0 == b.0 && a.1.to_bits() == b.1.to_bits()),
                "{:?} {:?}\n{}", found, expected, program);
        }
    }

    #[test]
    fn other_defaults_are_found_and_the_shape_is_the_same(seed: u64) {
        let program = random_pruned(seed);
        let mut random = Random(seed);
        let mut signature = program.signature().clone();
        for parameter in &mut signature.parameters {
            if parameter.kind == ParameterKind::Hyperparameter {
                parameter.default = Some(0.1 + random.below(1000) as f64 / 2000.0);
            }
        }
        let other = program.with_signature(signature);
        let comparison = compare(&program, &other);
        prop_assert_eq!(data_flow_distance(&program, &other), 0.0);
        if hash(&program) != hash(&other) {
            let default = |name: &str| program.signature().hyperparameters().find(|(_, p)| p.name == name).and_then(|(_, p)| p.default);
            prop_assert!(comparison.relation.class() <= 2, "{}\n{}", comparison, program);
            for (name, value) in numbers(&comparison) {
                prop_assert_eq!(default(&name).map(f64::to_bits), Some(value.to_bits()), "{}\n{}", comparison, program);
            }
        }
    }

    #[test]
    fn the_distance_is_symmetric_and_a_changed_function_changes_it(a: u64, b: u64) {
        let (p, q) = (random_pruned(a), random_pruned(b));
        let distance = data_flow_distance(&p, &q);
        prop_assert!((0.0..=1.0).contains(&distance));
        prop_assert_eq!(distance, data_flow_distance(&q, &p));
        let (comparison, turned) = (compare(&p, &q), compare(&q, &p));
        prop_assert_eq!(comparison.relation.class(), turned.relation.class());
        prop_assert_eq!(comparison.distance(), turned.distance());
        if is_different(&comparison) {
            prop_assert_eq!(comparison.distance(), distance);
        }
        // A call of another function of the same type, where something is computed by it.
        let mut random = Random(a ^ b);
        let mut changed = p.clone();
        if !changed.statements.is_empty() {
            let index = random.below(changed.statements.len());
            let statement = changed.statements[index];
            let alike: Vec<_> = FUNCTIONS.iter().filter(|row| row.typing == statement.function.row().typing
                && row.arity() == statement.function.arity() && row.function != statement.function).collect();
            if !alike.is_empty() {
                let function = random.pick(&alike).function;
                changed.statements[index] = Statement::new(statement.target, function, statement.arguments());
                let same_literally = literal_shape(&p) == literal_shape(&changed);
                prop_assert_eq!(data_flow_distance(&p, &changed) == 0.0, same_literally, "{}\n{}", p, changed);
            }
        }
    }
}

/// The update of a program as an expression with its numbers left out, unrolled over steps until
/// nothing new can come: another way to say that two shapes are the same.
fn literal_shape(program: &Program) -> Vec<u64> {
    use symopt_dsl::graph::NodeKind;
    let graph = Graph::new(program).expect("well typed");
    let mut number: Vec<bool> = Vec::new();
    for node in graph.nodes() {
        let of_arguments = node.arguments().iter().all(|a| number[a.index()]);
        number.push(match node.kind {
            NodeKind::Constant(_) | NodeKind::Hyperparameter(_) => true,
            NodeKind::Call(_) => of_arguments,
            _ => false,
        });
    }
    let hash = |text: String| {
        text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| {
            (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    };
    let mut labels = vec![0u64; graph.nodes().len()];
    let mut shape = Vec::new();
    for _ in 0..150 {
        let next: Vec<u64> = graph
            .nodes()
            .iter()
            .enumerate()
            .map(|(index, node)| match node.kind {
                _ if number[index] => hash("number".to_owned()),
                NodeKind::Slot(slot) => hash(format!(
                    "slot {:?}",
                    graph.slots()[slot.index()].map(|next| labels[next.index()])
                )),
                NodeKind::Call(function) => {
                    let mut arguments: Vec<u64> =
                        node.arguments().iter().map(|a| labels[a.index()]).collect();
                    if function.row().commutative {
                        arguments.sort_unstable();
                    }
                    hash(format!("{function:?} {arguments:?}"))
                }
                kind => hash(format!("{kind:?}")),
            })
            .collect();
        labels = next;
        shape.push(labels[graph.update().index()]);
    }
    shape
}
