//! Identification, and that what comparisons claim of programs is so: both are run side by side.

use std::cell::RefCell;
use std::collections::HashMap;

use ndarray::{ArrayD, IxDyn};
use symopt_analysis::compare::{Assigned, Comparison, GradientFunction, Relation, Side, compare};
use symopt_analysis::identify::identify;
use symopt_analysis::simplify::{Label, canonical};
use symopt_dsl::program::{Numerics, ParameterKind, Signature};
use symopt_dsl::{Graph, Program, parse};
use symopt_evaluator::Reference;
use symopt_programs::{find, zoo};
use symopt_testing::random::Random;

fn pruned(program: &Program) -> Program {
    program.pruned(&Graph::new(program).expect("well typed"))
}

fn zoo_program(name: &str) -> Program {
    find(name).expect("in the zoo").program()
}

fn differences(left: &str, right: &str) -> String {
    compare(&pruned(&zoo_program(left)), &pruned(&zoo_program(right)))
        .named(left, right)
        .differences()
}

#[test]
fn every_program_of_the_zoo_is_identified_as_itself() {
    // Each canonical form is found once: that takes far longer than the comparisons with it.
    let known = RefCell::new(HashMap::new());
    let canonical = |program: &Program| -> Program {
        known
            .borrow_mut()
            .entry(program.to_string())
            .or_insert_with(|| canonical(program, Label::Domain))
            .clone()
    };
    for entry in zoo() {
        let found = identify(&entry.program(), canonical);
        assert_eq!(found.len(), zoo().len());
        assert_eq!(found[0].entry.name, entry.name);
        assert_eq!(found[0].comparison.relation, Relation::Equal, "{}", entry.name);
        assert!(
            found[1..].iter().all(|other| other.comparison.relation != Relation::Equal),
            "{}",
            entry.name
        );
        let classes: Vec<usize> =
            found.iter().map(|found| found.comparison.relation.class()).collect();
        assert!(classes.is_sorted(), "{}: {classes:?}", entry.name);
        let distances: Vec<f64> = found.iter().map(|found| found.comparison.distance()).collect();
        assert!(distances.is_sorted(), "{}: {distances:?}", entry.name);
    }
}

#[test]
fn the_relations_of_the_zoo_are_found() {
    assert_eq!(differences("adam", "adamw"), "adam = adamw with weight_decay = 0");
    assert_eq!(differences("signum", "tiger"), "signum = tiger with beta = 0.9");
    assert_eq!(differences("tiger", "lion"), "tiger = lion with beta1 = 0.965, beta2 = 0.965");
    assert_eq!(differences("lion", "signsgd"), "signsgd = lion with beta1 = 0");
    assert_eq!(differences("sgd", "momentum"), "sgd = momentum with momentum_decay = 0");
    assert_eq!(
        differences("momentum", "qhm"),
        "momentum = qhm with beta = 0.9, nu = 1, lr = 10 lr, where its m = 0.1 m"
    );
    // As Ma and Yarats say of quasi-hyperbolic momentum: Nesterov's is the case nu = beta.
    assert_eq!(
        differences("nesterov", "qhm"),
        "nesterov = qhm with beta = 0.9, nu = 0.9, lr = 10 lr, where its m = 0.1 m"
    );
    for (left, right) in [
        ("momentum", "nesterov"),
        ("rmsprop", "adagrad"),
        ("adamw", "adabelief"),
        ("adam", "nadam"),
    ] {
        let relation = compare(&pruned(&zoo_program(left)), &pruned(&zoo_program(right))).relation;
        assert!(matches!(relation, Relation::Different { .. }), "{left} and {right}: {relation:?}");
    }
}

#[test]
fn a_program_is_identified_as_a_case_of_a_more_general_one_first() {
    let found = identify(&zoo_program("signum"), pruned);
    let names: Vec<&str> = found.iter().take(4).map(|found| found.entry.name).collect();
    assert_eq!(names, ["signum", "tiger", "lion", "signsgd"]);
}

#[test]
fn a_guarded_program_is_nearest_to_what_it_is_in_its_own_numerics() {
    let guarded = |name: &str| {
        let program = zoo_program(name);
        program.with_signature(Signature {
            numerics: Numerics::Guarded,
            ..program.signature().clone()
        })
    };
    for (name, called) in
        [("adam", "adam (guarded)"), ("lion", "lion"), ("adagrad", "adagrad (guarded)")]
    {
        let found = identify(&guarded(name), pruned);
        assert_eq!(
            (found[0].called().as_str(), found[0].comparison.distance()),
            (called, 0.0),
            "{:?}",
            found[0].comparison
        );
    }
}

const SIZE: usize = 5;
const STEPS: usize = 12;

fn array(numbers: Vec<f64>) -> ArrayD<f64> {
    ArrayD::from_shape_vec(IxDyn(&[SIZE]), numbers).expect("as many numbers as the shape says")
}

/// The updates of a program over the same stream of weights and gradients.
fn updates(
    program: &Program,
    set: &[(String, f64)],
    rate: f64,
    gradient: Option<&(Reference<f64>, f64)>,
) -> Vec<f64> {
    let mut random = Random(17);
    let mut numbers = move || (0..SIZE).map(|_| random.signed()).collect::<Vec<f64>>();
    let mut reference = Reference::<f64>::new(program, &[vec![SIZE]]).expect("it runs");
    for (name, value) in set {
        reference.set(name, *value).expect("a hyperparameter");
    }
    let mut all = Vec::new();
    for step in 0..STEPS {
        let lr = 0.5 / (step + 1) as f64;
        let (weights, mut gradients) = (array(numbers()), array(numbers()));
        if let Some((function, rate)) = gradient {
            // Its update is the function: weights of zero become the negative of it.
            let mut value = [array(vec![0.0; SIZE])];
            function.clone().step(&mut value, &[gradients], lr * rate).expect("a step");
            gradients = -value[0].clone();
        }
        let mut after = [weights.clone()];
        reference.step(&mut after, &[gradients], lr * rate).expect("a step");
        all.extend((weights - &after[0]).iter());
    }
    all
}

/// The function of the gradient as a program of its own.
fn gradient_program(of: &Program, gradient: &GradientFunction) -> Program {
    let name = |kind| {
        of.signature().parameters.iter().find(|p| p.kind == kind).map_or("unused", |p| &p.name)
    };
    let hyperparameters: Vec<String> = of
        .signature()
        .hyperparameters()
        .map(|(_, p)| format!("{}={:?}", p.name, p.default.unwrap_or(0.0)))
        .collect();
    let star = if hyperparameters.is_empty() {
        String::new()
    } else {
        format!(", *, {}", hyperparameters.join(", "))
    };
    let (w, g) = (name(ParameterKind::Weights), name(ParameterKind::Gradients));
    parse(&format!("def f({w}, {g}, lr{star}):\n  update = {}\n  return update\n", gradient.text))
        .expect("an expression")
}

/// Runs both programs as the comparison has them, and compares their updates. Whether there was
/// anything to compare.
fn assert_claim_holds(left: &Program, right: &Program, comparison: &Comparison) -> bool {
    let (general, gradient) = match &comparison.relation {
        Relation::Different { .. } => return false,
        Relation::Equal | Relation::UpToRounding => (Side::Right, None),
        Relation::UpToHyperparameters { general, gradient, .. }
        | Relation::UpToSlotScale { general, gradient, .. } => (*general, gradient.as_ref()),
    };
    let programs = match general {
        Side::Right => [left, right],
        Side::Left => [right, left],
    };
    // Hyperparameters of one name and one default are the same in both, at values of their own too.
    let shared = |program: &Program, other: &Program| -> Vec<(String, f64)> {
        let is_shared = |name: &str, default| {
            other.signature().hyperparameters().any(|(_, p)| p.name == name && p.default == default)
        };
        program
            .signature()
            .hyperparameters()
            .filter(|(_, p)| is_shared(&p.name, p.default))
            .map(|(_, p)| (p.name.clone(), p.default.unwrap_or(0.0)))
            .collect()
    };
    let mut set = shared(programs[1], programs[0]);
    let mut rate = 1.0;
    for assignment in comparison.relation.assignment() {
        match &assignment.of {
            Assigned::Hyperparameter(name) => set.push((name.clone(), assignment.value)),
            Assigned::LearningRate | Assigned::LearningRateFactor => rate = assignment.value,
            // The text of the program would have to be changed.
            Assigned::Constant(_) => return false,
        }
    }
    let mut functions = [None, None];
    if let Some(gradient) = gradient {
        // The program that has the function gets the gradient, and the other one the function of
        // it, in the first one's numbers.
        let (place, set, rate) =
            if gradient.side == general { (0, set.as_slice(), rate) } else { (1, &[][..], 1.0) };
        let owner = if gradient.side == Side::Left { left } else { right };
        let mut function =
            Reference::new(&gradient_program(owner, gradient), &[vec![SIZE]]).expect("it runs");
        for (name, value) in set {
            function.set(name, *value).expect("a hyperparameter");
        }
        functions[place] = Some((function, rate));
    }
    let fixed = updates(programs[0], &[], 1.0, functions[0].as_ref());
    let changed = updates(programs[1], &set, rate, functions[1].as_ref());
    for (a, b) in fixed.iter().zip(&changed) {
        let alike = (a - b).abs() <= 1e-7 * (1.0 + a.abs().max(b.abs()))
            || (a.is_nan() && b.is_nan())
            || a == b;
        assert!(
            alike || !a.is_finite() || !b.is_finite(),
            "{a} and {b}\n{comparison}\n{left}\n{right}"
        );
    }
    true
}

#[test]
fn what_is_claimed_of_the_zoo_holds() {
    let mut claims = 0;
    for left in zoo() {
        for right in zoo() {
            let (left, right) = (left.program(), right.program());
            let comparison = compare(&pruned(&left), &pruned(&right));
            claims += usize::from(assert_claim_holds(&pruned(&left), &pruned(&right), &comparison));
        }
    }
    assert!(claims >= 40, "{claims}");
}

/// A program of a family in which many are the same up to something.
fn cousin(seed: u64) -> Program {
    let mut random = Random(seed);
    let mut hyperparameters = Vec::new();
    let mut number = |random: &mut Random, values: &[&str]| {
        let value = random.pick(values).to_owned();
        if random.bits().is_multiple_of(2) {
            return value;
        }
        let name = format!("h{}", hyperparameters.len());
        hyperparameters.push(format!("{name}={value}"));
        name
    };
    let rates = ["0.9", "0.5", "0.99"];
    let (a, b, c, d) = (
        number(&mut random, &rates),
        number(&mut random, &rates),
        number(&mut random, &["2.0", "0.1", "0.5"]),
        number(&mut random, &["0.0", "0.1", "0.01"]),
    );
    let input = random.pick(&["g", "g", "sign(g)", "clip(g, lr)", "arcsin(clip(g, lr))"]);
    let memory = match random.bits() % 5 {
        0 => format!("m * {a} + x"),
        4 => format!("m * {a} - x"),
        1 => format!("{c} * x + m * {a}"),
        _ => format!("interp(x, m, {a})"),
    };
    let blend = match random.bits() % 6 {
        0 => "m".to_owned(),
        4 => "-m".to_owned(),
        5 => format!("x - m * {b}"),
        1 => format!("interp(x, m, {b})"),
        2 => format!("x + m * {b}"),
        _ => format!("m * {c}"),
    };
    let shape = match random.bits() % 7 {
        0 => "sign(u)".to_owned(),
        1 => format!("tanh(u * {c})"),
        2 => "u / (sqrt(square(m)) + 0.001)".to_owned(),
        3 => "u / norm(m)".to_owned(),
        4 => "sqrt(abs(u)) * sign(u)".to_owned(),
        5 => format!("sign(x + w * {b})"),
        _ => "u".to_owned(),
    };
    let decayed = match random.bits() % 4 {
        0 => "u * lr".to_owned(),
        1 => format!("(u + w * {d}) * lr"),
        2 => format!("(u + w * {d}) * (lr * {c})"),
        _ => format!("u * (lr * {c}) + lr * {d} * w"),
    };
    let star = if hyperparameters.is_empty() {
        String::new()
    } else {
        format!(", *, {}", hyperparameters.join(", "))
    };
    let (first, second) = if random.bits().is_multiple_of(2) {
        (format!("u = {blend}"), format!("m = {memory}"))
    } else {
        (format!("m = {memory}"), format!("u = {blend}"))
    };
    let text = format!(
        "def p{seed}(w, g, m, lr{star}):\n  x = {input}\n  {first}\n  {second}\n  u = {shape}\n  u = {decayed}\n  return u, m\n"
    );
    parse(&text).unwrap_or_else(|faults| panic!("{faults}\n{text}"))
}

#[test]
fn what_is_claimed_of_cousins_holds() {
    let programs: Vec<Program> = (0..300).map(|seed| pruned(&cousin(seed))).collect();
    let mut claims = [0; 7];
    for (index, left) in programs.iter().enumerate() {
        for right in &programs[index + 1..(index + 12).min(programs.len())] {
            let comparison = compare(left, right);
            if assert_claim_holds(left, right, &comparison) {
                claims[comparison.relation.class()] += 1;
            }
            // The same relation the other way round, perhaps by another assignment.
            let turned = compare(right, left);
            assert_eq!(
                turned.relation.class(),
                comparison.relation.class(),
                "{comparison}\n{turned}\n{left}\n{right}"
            );
            assert_claim_holds(right, left, &turned);
        }
    }
    assert!(claims[2] > 10 && claims[3] > 3 && claims[4] > 3, "{claims:?}");
}
