//! Classification of structure: the zoo, and known optimizers in disguise.

use symopt_analysis::simplify::{Label, canonical};
use symopt_analysis::structure::Structure::{AdamwLike, LionLike, MuonLike, Other, SignumLike};
use symopt_analysis::structure::{
    Classification, Classifier, Probes, Structure, by_probes, classify,
};
use symopt_dsl::{Program, parse};
use symopt_programs::{find, zoo};

fn simplify(program: &Program) -> Program {
    canonical(program, Label::Domain)
}

/// A program from the statements of its direction `d`, as a loop with decay outside completes it.
fn direction(body: &str) -> Program {
    let completed =
        format!("{body}; decay = w * weight_decay; update = d + decay; update = update * lr");
    program("w, g, m, v, lr, *, weight_decay=0.0", &completed)
}

fn program(parameters: &str, body: &str) -> Program {
    let lines: String = body.split(';').map(|line| format!("  {}\n", line.trim())).collect();
    let text = format!("@guarded\ndef p({parameters}):\n{lines}  return update, m, v\n");
    parse(&text).unwrap_or_else(|faults| panic!("{faults}\n{text}"))
}

fn probes(program: &Program) -> Probes {
    by_probes(program).2.expect("it runs")
}

fn has_reason(found: &Classification, start: &str) -> bool {
    found.reasons.iter().any(|reason| reason.starts_with(start))
}

/// Asserts the classes of directions, by probes and by form.
fn assert_classes(cases: &[(&str, Structure, Option<Structure>)]) {
    let classifier = Classifier::new(simplify);
    for (body, by_probes, by_form) in cases {
        let found = classifier.classify(&direction(body));
        assert_eq!(
            (found.by_probes, found.by_form),
            (*by_probes, *by_form),
            "{body}\n{:#?}",
            found.reasons
        );
    }
}

#[test]
fn an_orthogonalised_momentum_is_muon_like_however_it_is_written() {
    assert_classes(&[
        ("m = interp(g, m, 0.9); d = newton_schulz(m)", MuonLike, None),
        ("m = m * 0.9 + g; v = interp(g, m, 0.9); d = newton_schulz(v)", MuonLike, None),
        // No average, and an average that is not orthogonalised.
        ("d = newton_schulz(g)", Other, None),
        ("m = interp(g, m, 0.9); d = m / row_mean(abs(m))", Other, None),
        (
            "m = interp(g, m, 0.9); d = sign(m) + transpose(transpose(m)) * 0.0",
            SignumLike,
            Some(SignumLike),
        ),
        // By products alone: one step of the iteration does not do, several do.
        (
            "m = interp(g, m, 0.9); a = m / norm(m); b = matmul(a, transpose(a)); \
             d = a * 1.5 - matmul(b, a) * 0.5",
            Other,
            None,
        ),
    ]);
}

#[test]
fn every_program_of_the_zoo_has_its_structure() {
    let classifier = Classifier::new(simplify);
    let found: Vec<_> =
        zoo().iter().map(|entry| (entry.name, classifier.classify(&entry.program()))).collect();
    let table: Vec<_> =
        found.iter().map(|(name, found)| (*name, found.by_probes, found.by_form)).collect();
    let expected = [
        ("lion", LionLike, Some(LionLike)),
        ("adamw", AdamwLike, Some(AdamwLike)),
        ("adamw-paper", AdamwLike, Some(AdamwLike)),
        ("lion-raw", LionLike, Some(LionLike)),
        ("lion-found", LionLike, Some(LionLike)),
        ("published-regularized", Other, None),
        ("published-adagrad-like", Other, None),
        ("published-adabelief-like", Other, None),
        ("sgd", Other, None),
        ("momentum", Other, None),
        ("nesterov", Other, None),
        ("qhm", Other, None),
        ("signsgd", Other, Some(Other)),
        ("signum", SignumLike, Some(SignumLike)),
        ("rmsprop", Other, Some(Other)),
        ("adagrad", Other, None),
        ("adam", Other, Some(Other)),
        ("nadam", Other, None),
        ("adabelief", Other, None),
        ("addsign", Other, None),
        ("powersign", Other, None),
        ("tiger", SignumLike, Some(SignumLike)),
        ("lion-smooth", Other, None),
        ("lion-refined", Other, None),
        ("cautious-lion", Other, None),
        ("cautious-adamw", Other, None),
        ("cautious-decay-lion", Other, None),
        ("cautious-decay-adamw", Other, None),
        ("mars-lion", Other, None),
        ("grams", Other, None),
        ("sophia-clip", Other, None),
        ("lars", Other, None),
        ("lamb", Other, None),
        ("novograd", Other, None),
        ("adamax", Other, None),
        ("amsgrad", Other, None),
        ("radam", Other, None),
        ("adopt", Other, None),
        ("laprop", Other, None),
        ("yogi", Other, None),
        ("adan", Other, None),
        ("ademamix", AdamwLike, None),
        ("adadelta", Other, None),
        ("rprop", Other, None),
        ("schedule-free-sgd", Other, None),
        ("schedule-free-adamw", Other, None),
        ("muon", MuonLike, Some(MuonLike)),
        ("adafactor", Other, None),
    ];
    assert_eq!(table, expected);
    // Reasons that keep the near ones out.
    let of = |name: &str| &found.iter().find(|(other, _)| *other == name).expect("in the zoo").1;
    for name in ["adam", "nadam", "rmsprop"] {
        assert!(has_reason(of(name), "no decoupled decay"), "{name}");
        let size = probes(&find(name).expect("in the zoo").program()).size.expect("it has signs");
        assert!(size.adam_cosine > 0.999, "{name}: {size:?}");
    }
    for name in ["signsgd", "rmsprop", "sgd"] {
        assert!(has_reason(of(name), "its signs are those of the current gradient"), "{name}");
    }
    for name in ["adabelief", "published-adabelief-like"] {
        assert!(
            of(name)
                .probes
                .as_ref()
                .and_then(|probes| probes.size.as_ref())
                .is_some_and(|size| size.adam_cosine < 0.975),
            "{name}"
        );
    }
    assert!(has_reason(
        of("cautious-decay-lion"),
        "no decoupled decay: weights make another difference"
    ));
    assert!(has_reason(
        of("lion-smooth"),
        "gradients thirty times as large give another direction"
    ));
    assert!(has_reason(of("grams"), "its signs are those of the current gradient"));
    assert!(has_reason(
        of("mars-lion"),
        "its signs are not those of a current gradient and one geometric tail"
    ));
    for name in ["amsgrad", "radam", "laprop", "yogi"] {
        assert!(has_reason(of(name), "no decoupled decay: weights make no difference"), "{name}");
    }
    assert!(has_reason(
        of("momentum"),
        "gradients thirty times as large give steps 30.000 times as large"
    ));
}

#[test]
fn a_disguised_sign_is_a_sign() {
    let blend = |d: &str| format!("x = interp(g, m, 0.9); d = {d}; m = interp(g, m, 0.99)");
    for (sign, by_form) in [
        ("sign(x)", Some(LionLike)),
        ("x / sqrt(x * x)", Some(LionLike)),
        ("sign(cbrt(x))", Some(LionLike)),
        ("sign(sinh(x))", Some(LionLike)),
        ("sign(x + cube(x))", Some(LionLike)),
        // No sign over the reals, so no form, but as good as one.
        ("minimum(maximum(x * 1e6, -1), 1)", None),
        ("tanh(x * 1e6)", None),
        ("arctan(x * 1e6)", None),
    ] {
        assert_classes(&[(&blend(sign), LionLike, by_form)]);
    }
    // Where the blend is measured in units of the gradients, its size makes no difference.
    let scaled = "v = interp(g * g, v, 0.99); x = interp(g, m, 0.9) / sqrt(v); d = tanh(x * 1e3); m = interp(g, m, 0.99)";
    assert_classes(&[(scaled, LionLike, None)]);
    assert!(probes(&direction(scaled)).small_gradients.equal_sizes > 0.98);
}

#[test]
fn a_sign_that_is_soft_for_tiny_gradients_says_so() {
    // Blends of gradients of 0.03 to 3 are mostly beyond 0.001, a thirtieth of them is not.
    let program = direction("x = interp(g, m, 0.9); d = tanh(x * 1e3); m = interp(g, m, 0.99)");
    let found = Classifier::new(simplify).classify(&program);
    assert_eq!(found.by_probes, LionLike, "{:#?}", found.reasons);
    assert!(has_reason(&found, "sign-like for ordinary gradients (93."), "{:#?}", found.reasons);
    let probes = probes(&program);
    assert!(probes.large_gradients.equal_sizes > 0.99 && probes.small_gradients.equal_sizes < 0.3);
    // Steeper by a factor of ten it is a sign everywhere, less steep by one it is none.
    assert_classes(&[
        ("x = interp(g, m, 0.9); d = tanh(x * 1e5); m = interp(g, m, 0.99)", LionLike, None),
        ("x = interp(g, m, 0.9); d = tanh(x * 1e2); m = interp(g, m, 0.99)", Other, None),
    ]);
}

#[test]
fn lion_in_another_state_is_lion() {
    assert_classes(&[
        // Slots in other units.
        ("d = sign(g * 10 + m * 0.9); m = m * 0.99 + g", LionLike, Some(LionLike)),
        ("d = sign(interp(g, m * 0.01, 0.9)); m = m * 0.99 + g", LionLike, Some(LionLike)),
        // The average before the sign.
        ("m = interp(g, m, 0.99); d = sign(interp(g, m, 0.9))", LionLike, Some(LionLike)),
        // Two slots for one average, and a slot for what is forgotten.
        (
            "d = sign(g * 0.1 + m * 0.5 + v * 0.4); m = interp(g, m, 0.99); v = interp(g, v, 0.99)",
            LionLike,
            Some(LionLike),
        ),
        ("v = interp(g, m, 0.9); d = sign(v); m = interp(g, m, 0.99)", LionLike, Some(LionLike)),
        // Other numbers.
        ("d = sign(interp(g, m, 0.986)); m = interp(g, m, 0.998)", LionLike, Some(LionLike)),
        ("d = sign(interp(g, m, 0.5)); m = interp(g, m, 0.99)", LionLike, Some(LionLike)),
        // Nesterov's look-ahead counts the current gradient 1 + 1 / beta times.
        ("m = m * 0.95 + g; d = sign(g + m * 0.95)", LionLike, Some(LionLike)),
    ]);
}

#[test]
fn what_is_not_lion_is_not() {
    let blend = |d: &str| format!("x = interp(g, m, 0.9); m = interp(g, m, 0.99); {d}");
    assert_classes(&[
        ("m = interp(g, m, 0.9); d = sign(m)", SignumLike, Some(SignumLike)),
        ("m = m * 0.99 + g; d = m / sqrt(m * m)", SignumLike, Some(SignumLike)),
        ("d = sign(g)", Other, Some(Other)),
        // An average that lags behind, or forgets faster than it is used.
        ("d = sign(m); m = interp(g, m, 0.9)", Other, Some(Other)),
        ("d = sign(interp(g, m, 0.9)); m = interp(g, m, 0.5)", Other, Some(Other)),
        // A fast average is no current gradient.
        ("m = interp(g, m, 0.9); v = interp(g, v, 0.99); d = sign(m + v)", Other, None),
        ("m = interp(g, m, 0.9); v = interp(m, v, 0.9); d = sign(v)", Other, None),
        // A memory that grows or never forgets.
        ("m = m / 0.967 + g; d = sign(m)", Other, None),
        ("d = sign(g * 10 + m); m = m + g", Other, None),
        // Soft signs.
        (&blend("v = interp(x * x, v, 0.5); d = x / sqrt(v)"), Other, None),
        (&blend("v = interp(x * x, v, 0.1); d = x / sqrt(v)"), Other, None),
        (&blend("v = interp(x * x, v, 0.9); d = tanh(x / sqrt(v))"), Other, None),
        (&blend("d = cbrt(x)"), Other, None),
        (&blend("d = sign(x) * abs(x)"), Other, None),
        (&blend("d = interp(sign(x), sign(g), 0.2)"), Other, None),
        // Signs of something else.
        (&blend("d = sign(x) * norm(g)"), Other, None),
        (&blend("d = abs(sign(x))"), Other, None),
        (&blend("d = sign(x) * -1"), Other, None),
        ("g = sign(g); d = sign(interp(g, m, 0.9)); m = interp(g, m, 0.99)", Other, Some(Other)),
        // Nothing.
        ("d = g - g", Other, None),
    ]);
    let soft = probes(&direction(&blend("v = interp(x * x, v, 0.5); d = x / sqrt(v)")));
    assert!(soft.flatness > 0.9 && soft.equal_sizes < 0.5, "{soft:?}");
}

#[test]
fn lion_needs_decoupled_decay() {
    let classifier = Classifier::new(simplify);
    let signed = "x = interp(g, m, 0.9); m = interp(g, m, 0.99); update = sign(x)";
    let parameters = "w, g, m, v, lr";
    let without = classifier.classify(&program(parameters, &format!("{signed} * lr")));
    assert_eq!((without.by_probes, without.by_form), (Other, Some(Other)));
    assert!(
        has_reason(&without, "no decoupled decay: weights make no difference"),
        "{:#?}",
        without.reasons
    );
    // Through the gradient, or not in proportion.
    let coupled =
        "g = g + w * 0.1; x = interp(g, m, 0.9); m = interp(g, m, 0.99); update = sign(x) * lr";
    let coupled = classifier.classify(&program(parameters, coupled));
    assert_eq!(coupled.by_probes, Other);
    assert!(
        has_reason(&coupled, "no decoupled decay: weights make another difference"),
        "{:#?}",
        coupled.reasons
    );
    for decay in ["square(w) * 0.1", "w * norm(w) * 0.1", "sign(w) * 0.1", "w * -0.1"] {
        let found = classifier
            .classify(&program(parameters, &format!("{signed} + {decay}; update = update * lr")));
        assert!(
            found.by_probes == Other && has_reason(&found, "no decoupled decay"),
            "{decay}: {:#?}",
            found.reasons
        );
    }
    let constant = classifier.classify(&program(
        parameters,
        &format!("{signed} + w * 0.3; update = update * (lr * 0.0002)"),
    ));
    assert_eq!(
        (constant.by_probes, constant.by_form),
        (LionLike, Some(LionLike)),
        "{:#?}",
        constant.reasons
    );
    let decay = constant.probes.expect("it runs").decay;
    assert!((decay.coefficient - 0.3).abs() < 1e-9 && decay.residual < 1e-9, "{decay:?}");
}

#[test]
fn adamw_in_disguise_is_adamw() {
    assert_classes(&[
        (
            "m = interp(g, m, 0.9); v = interp(square(g), v, 0.999); d = m / sqrt(v)",
            AdamwLike,
            Some(AdamwLike),
        ),
        (
            "m = interp(g, m, 0.95); v = interp(g * g, v, 0.98); d = m / sqrt(v) * 0.001",
            AdamwLike,
            Some(AdamwLike),
        ),
        // In other units the small number that a guarded division adds is another epsilon.
        ("m = m * 0.9 + g; v = v * 0.99 + g * g; d = m / sqrt(v)", AdamwLike, Some(AdamwLike)),
        // The first beta of zero, and other roots.
        ("v = interp(g * g, v, 0.999); d = g / sqrt(v)", Other, Some(Other)),
        ("m = interp(g, m, 0.9); v = interp(m * m, v, 0.999); d = m / sqrt(v)", Other, None),
        ("m = interp(g, m, 0.998); v = interp(m * m, v, 0.95); d = m / sqrt(v)", Other, None),
        ("m = interp(g, m, 0.9); v = interp(abs(g), v, 0.999); d = m / square(v)", Other, None),
    ]);
    // NAdam with decay has no known form.
    let ahead =
        "m = interp(g, m, 0.9); v = interp(g * g, v, 0.999); d = interp(g, m, 0.9) / sqrt(v)";
    assert_classes(&[(ahead, AdamwLike, None)]);
}

#[test]
fn the_numbers_of_a_blend_are_measured() {
    for (beta1, beta2) in
        [(0.9, 0.99), (0.95, 0.98), (0.986, 0.998), (0.7, 0.9), (0.99, 0.995), (0.9, 0.9)]
    {
        let blend = probes(&direction(&format!(
            "d = sign(interp(g, m, {beta1})); m = interp(g, m, {beta2})"
        )))
        .blend
        .expect("signs");
        let expected = (1.0 - beta1) * beta2 / (beta1 * (1.0 - beta2));
        let ratio = blend.current_over_tail.expect("a tail");
        assert!(((blend.beta - beta2) / (1.0 - beta2)).abs() < 0.02, "{beta1}, {beta2}: {blend:?}");
        assert!(
            (ratio / expected - 1.0).abs() < 0.01,
            "{beta1}, {beta2}: {expected} and {blend:?}"
        );
        assert!(blend.agreement > 0.999 && blend.agreement_with_drift > 0.999, "{blend:?}");
    }
    let size =
        probes(&direction("m = interp(g, m, 0.9); v = interp(g * g, v, 0.98); d = m / sqrt(v)"))
            .size
            .expect("signs");
    assert!((size.beta2 - 0.98).abs() < 1e-3 && size.adam_cosine > 0.999, "{size:?}");
    // A schedule in the state is no matter of structure, but told.
    let growing =
        "v = v + sign(g) * sign(g); d = sign(interp(g, m, 0.9)) * v; m = interp(g, m, 0.99)";
    let found = Classifier::new(simplify).classify(&direction(growing));
    assert!(
        found.by_probes == LionLike && has_reason(&found, "its size changes by itself"),
        "{:#?}",
        found.reasons
    );
}

#[test]
fn what_is_reported_is_the_same_each_time_and_holds_no_nan() {
    let classifier = Classifier::new(simplify);
    for body in [
        "d = log(g) / (g - g)",
        "d = exp(exp(exp(w + g)))",
        "m = m / 0.1 + g; d = m * m",
        "d = g / norm(w)",
        "d = sign(g) * w",
    ] {
        let program = program("w, g, m, v, lr", &format!("{body}; update = d * lr"));
        for program in [
            program.clone(),
            parse(&program.to_string().replace("@guarded\n", "")).expect("a program"),
        ] {
            let found = classifier.classify(&program);
            assert_eq!(found, classifier.classify(&program));
            assert_eq!(found.by_probes, Other);
            let numbers = serde_json::to_value(found.probes.expect("it runs")).expect("JSON");
            // A number that is none would be null, apart from objects that may be missing as a
            // whole.
            let objects = numbers
                .as_object()
                .expect("an object")
                .iter()
                .filter(|(name, _)| !["blend", "size"].contains(&name.as_str()));
            for (name, value) in objects {
                let numbers = value
                    .as_object()
                    .map_or_else(|| vec![value], |object| object.values().collect());
                assert!(
                    numbers.iter().all(|number| number.is_number()),
                    "{body}: {name} is {value}"
                );
            }
        }
    }
}

/// The reason is part of what people read: a form that is known and none of the kinds is named,
/// factors of slots included.
#[test]
fn a_known_form_that_is_none_of_the_kinds_is_named() {
    let text = |body: &str| {
        let program = parse(body).expect("a program");
        let found = classify(&program, |program| canonical(program, Label::Domain));
        assert_eq!(found.to_string(), "other by probes and by form");
        assert!(
            found.reasons.iter().any(|reason| reason.starts_with("no decoupled decay")),
            "{:?}",
            found.reasons
        );
        found.known_form
    };
    assert_eq!(
        text(
            "def p(w, g, m, lr):\n  u = 0.009 * m + 0.1 * g\n  m = 0.99 * m + g\n  update = sign(u) * lr\n  return update, m\n"
        ),
        Some("lion with beta1 = 0.9, beta2 = 0.99, weight_decay = 0".to_owned())
    );
}
