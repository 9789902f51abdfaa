//! The check of what simplification claims: true claims stand, false ones do not, and what can't be
//! told is said.

use symopt_analysis::RandomStreams;
use symopt_analysis::simplify::check::{Condition, Requirement};
use symopt_analysis::simplify::label::SlotMap;
use symopt_analysis::simplify::{Checker, Claim, Evidence, Label, Verdict};
use symopt_dsl::program::ParameterKind;
use symopt_dsl::{Function, Graph, Numerics, Operand, Program, SlotId, Statement, VarId, parse};
use symopt_testing::draws::{Draw, disguised, listing};
use symopt_testing::random::Random;

fn program(text: &str) -> Program {
    parse(text).unwrap_or_else(|faults| panic!("{faults}\n{text}"))
}

/// A program of the zoo.
fn zoo(name: &str) -> Program {
    let path = format!("{}/../programs/zoo/{name}.opt", env!("CARGO_MANIFEST_DIR"));
    program(&std::fs::read_to_string(&path).unwrap_or_else(|fault| panic!("{path}: {fault}")))
}

/// A program without its redundant statements and its dead slots.
fn pruned(program: &Program) -> Program {
    program.pruned(&Graph::new(program).expect("it types"))
}

/// A program with a slot m, whose statements give `u`.
fn body(statements: &str) -> String {
    let lines: String = statements.split(';').map(|line| format!("  {}\n", line.trim())).collect();
    format!("def f(w, g, m, lr):\n{lines}  return u, m\n")
}

fn run(
    label: Label,
    before: &Program,
    after: &Program,
    slots: &[SlotMap],
    conditions: &[Condition],
) -> Evidence {
    RandomStreams::new(1).check(&Claim { before, after, label, slots, conditions })
}

fn check(label: Label, before: &str, after: &str) -> Evidence {
    run(label, &program(&body(before)), &program(&body(after)), &[], &[])
}

fn check_domain(
    guarded: bool,
    before: &str,
    after: &str,
    value: &str,
    requirement: Requirement,
) -> Evidence {
    let text = |statements: &str| {
        program(&format!("{}{}", if guarded { "@guarded\n" } else { "" }, body(statements)))
    };
    let condition = Condition {
        probe: text(&format!("{before}; u = {value}")),
        requirement,
        text: value.to_owned(),
    };
    run(Label::Domain, &text(before), &text(after), &[], &[condition])
}

#[track_caller]
fn holds(evidence: &Evidence) {
    assert_eq!(evidence.verdict, Verdict::Holds, "{evidence:#?}");
    assert!(evidence.steps >= 1000 && evidence.compared >= 1000, "{evidence:#?}");
}

#[track_caller]
fn violated(evidence: &Evidence) -> &str {
    match &evidence.verdict {
        Verdict::Violated(reason) => reason,
        _ => panic!("{evidence:#?}"),
    }
}

#[test]
fn exact_identities_stand_bit_for_bit() {
    for (before, after) in [
        ("u = g * g", "u = square(g)"),
        ("u = g * m; m = u + w", "u = m * g; m = w + u"),
        ("u = sqrt(square(g)) * 2.0", "a = sqrt(g * g); u = a + a"),
        ("u = g - 0.0; m = log(u)", "u = g; m = log(g)"),
        ("u = clip(g * lr, 0.5)", "u = clip(lr * g, 0.5)"),
        ("u = exp(g) / cosh(g); m = norm(g) * u", "u = exp(g) / cosh(g); m = u * norm(g)"),
        ("u = g / g", "u = g / g; m = m + 0.0 * u; m = m - m"),
    ] {
        let (before, after) = (body(before), body(after));
        let dead = !before.contains("m =");
        let evidence = run(Label::Exact, &program(&before), &program(&after), &[], &[]);
        holds(&evidence);
        assert_eq!(
            (evidence.outside, evidence.sign_flips, evidence.largest_deviation),
            (0, 0, 0.0),
            "{before}{after}"
        );
        assert_eq!(evidence.largest_at, None);
        assert!(dead || evidence.compared > 15_000, "{evidence:#?}");
    }
}

#[test]
fn identities_of_the_reals_are_not_exact_but_real() {
    for (before, after) in [
        ("u = (g * w) * m; m = interp(g, m, 0.9)", "u = g * (w * m); m = interp(g, m, 0.9)"),
        (
            "m = interp(g, m, 0.9); u = interp(g, m, 1.1)",
            "u = interp(g, m, 0.99); m = interp(g, m, 0.9)",
        ),
        ("m = (g + w) + m; u = m", "m = g + (w + m); u = m"),
        ("u = g * 0.3 * lr * 0.7", "u = g * lr * 0.21"),
        ("u = clip(g * 3.0, 1.5)", "u = clip(g, 0.5) * 3.0"),
        ("u = norm(g * lr) * w", "u = norm(g) * lr * w"),
        ("u = dot(g * 0.1, w) + g", "u = dot(g, w * 0.1) + g"),
        ("u = dot(g, w + g) * w", "u = (dot(g, w) + dot(g, g)) * w"),
        ("u = cosine_sim(g * 3.0, w) * w", "u = cosine_sim(g, w * 7.0) * w"),
        ("a = exp(g); b = exp(0.0 - g); u = (a - b) / (a + b)", "u = tanh(g)"),
        ("u = sinh(g)", "u = (exp(g) - exp(0.0 - g)) / 2.0"),
        ("u = exp(log1p(square(g)))", "u = 1.0 + square(g)"),
        ("u = g + 1e8; u = u - 1e8", "u = g"),
        ("u = g", "u = g + 1e8; u = u - 1e8"),
        ("u = sign(g + w - g)", "u = sign(w)"),
        ("u = sign((g + w) - g - w)", "u = g * 0.0"),
        ("u = max(g, w) - m; m = m + g", "u = max(g - m, w - m); m = m + g"),
        ("u = max(g, 0.3) / 0.3; m = u + m", "u = max(g * 3.3333333333333335, 1.0); m = u + m"),
        ("u = abs(g * 0.3) / 0.3", "u = abs(g)"),
        ("u = sqrt(square(g * 0.1))", "u = abs(g) * 0.1"),
        ("u = cbrt(cube(g))", "u = g"),
        ("a = g - 0.1; u = square(a)", "u = square(g) - 0.2 * g + 0.01"),
    ] {
        let evidence = check(Label::Exact, before, after);
        let reason = if evidence.verdict == Verdict::Holds { "none" } else { violated(&evidence) };
        assert!(
            reason.contains(" in f32") || reason.contains(" in f64"),
            "{before} to {after}: {reason}"
        );
        holds(&check(Label::Real, before, after));
    }
}

#[test]
fn false_identities_of_the_reals_are_found() {
    for (before, after) in [
        ("m = interp(g, m, 0.9); u = m", "m = interp(g, m, 0.900001); u = m"),
        (
            "m = interp(g, m, 0.9); u = interp(g, m, 1.1)",
            "u = interp(g, m, 0.991); m = interp(g, m, 0.9)",
        ),
        ("u = g * 0.3", "u = g * 0.30000001"),
        ("u = sign(m); m = interp(g, m, 0.9)", "u = m / sqrt(m * m); m = interp(g, m, 0.9)"),
        ("u = g", "u = exp(log(g))"),
        ("u = abs(g)", "u = g"),
        ("u = sqrt(square(g))", "u = g"),
        ("u = max(g, 0.0)", "u = abs(g)"),
        ("u = arcsin(sin(g))", "u = g"),
        ("u = clip(g, 1.0)", "u = g"),
        ("u = clip(g, lr)", "u = g"),
        ("u = clip(g, 2.0)", "u = clip(g, 1.0) * 2.0"),
        ("u = norm(g) * w", "u = global_norm(g) * w"),
        ("u = dot(g, w) * w", "u = dot(g, g) * w"),
        ("u = g * w", "u = g * w + 1e-9"),
        ("u = g + 1e8; u = u - 1e8", "u = g * 1.001"),
        ("u = g * lr", "u = g"),
        ("u = w * 0.0", "u = g * 1e-9"),
        ("u = sign(g + w)", "u = sign(g)"),
        ("u = g / (abs(g) + 1e-8)", "u = sign(g)"),
        // Only the state differs.
        ("m = interp(g, m, 0.9); u = g", "m = interp(g, m, 0.8); u = g; u = u + m * 0.0"),
        ("u = m; m = m + g", "u = m; m = m - g"),
    ] {
        violated(&check(Label::Real, before, after));
        violated(&check(Label::Exact, before, after));
    }
}

#[test]
fn what_holds_on_a_domain_is_judged_there_only() {
    let (ratio, sign) =
        ("m = interp(g, m, 0.9); u = m / sqrt(m * m)", "m = interp(g, m, 0.9); u = sign(m)");
    let evidence = check_domain(false, ratio, sign, "m", Requirement::NonZero);
    holds(&evidence);
    assert!(evidence.outside > 0);
    holds(&check_domain(false, sign, ratio, "m", Requirement::NonZero));
    holds(&check_domain(false, "u = exp(log(g))", "u = g", "g", Requirement::Positive));
    holds(&check_domain(false, "u = g", "u = exp(log(g))", "g", Requirement::Positive));
    violated(&check_domain(false, "u = g", "u = exp(log(g))", "g", Requirement::NonZero));
    violated(&check_domain(false, "u = abs(g)", "u = g", "g", Requirement::NonZero));
    holds(&check_domain(false, "u = abs(g)", "u = g", "g", Requirement::NonNegative));
    holds(&check_domain(false, "u = arcsin(sin(g))", "u = g", "g", Requirement::Within(-1.5, 1.5)));
    violated(&check_domain(
        false,
        "u = arcsin(sin(g))",
        "u = g",
        "g",
        Requirement::Within(-1.7, 1.7),
    ));
    // A wrong constant is found in a domain as well.
    violated(&check_domain(
        false,
        ratio,
        "m = interp(g, m, 0.9); u = sign(m) * 1.000001",
        "m",
        Requirement::NonZero,
    ));
}

#[test]
fn rules_that_neglect_the_guard_of_a_division_need_distance_from_zero() {
    let (ratio, sign) =
        ("m = interp(g, m, 0.9); u = m / sqrt(m * m)", "m = interp(g, m, 0.9); u = sign(m)");
    violated(&check_domain(true, ratio, sign, "m", Requirement::NonZero));
    let evidence = check_domain(true, ratio, sign, "m", Requirement::AwayFromZero(1e-2));
    holds(&evidence);
    assert!((1e-8..1e-6).contains(&evidence.largest_deviation), "{evidence:#?}");
    // At zero the one is 0 / 1e-8 and the other the sign of 0; close to it they are far apart,
    // which is reported, not judged.
    assert!(evidence.outside > 1000 && evidence.largest_outside > 0.4, "{evidence:#?}");
    violated(&check_domain(true, ratio, sign, "m", Requirement::AwayFromZero(1e-7)));
    // With decay the update cancels now and then, which makes the same error relatively larger.
    let with_decay = |rest: &str| format!("m = interp(g, m, 0.9); u = {rest} + 0.46 * w");
    let (ratio, sign) = (with_decay("m / sqrt(m * m)"), with_decay("sign(m)"));
    holds(&check_domain(true, &ratio, &sign, "m", Requirement::AwayFromZero(1e-2)));
    violated(&check_domain(
        true,
        &ratio,
        &with_decay("1.0001 * sign(m)"),
        "m",
        Requirement::AwayFromZero(1e-2),
    ));
    // A reduction above the quotient makes no number depend on others than its own; one below it
    // makes all depend on all.
    let clipped = |rest: &str| format!("m = interp(clip(g, 5.0), m, 0.9); u = {rest}");
    let evidence = check_domain(
        true,
        &clipped("m / sqrt(m * m)"),
        &clipped("sign(m)"),
        "m",
        Requirement::AwayFromZero(1e-2),
    );
    holds(&evidence);
    assert_ne!((evidence.outside / 2) % 12, 0, "{evidence:#?}");
    let scaled = |rest: &str| format!("m = interp(g, m, 0.1); u = clip({rest}, 1.0)");
    let evidence = check_domain(
        true,
        &scaled("m / sqrt(m * m)"),
        &scaled("sign(m)"),
        "m",
        Requirement::AwayFromZero(1e-2),
    );
    holds(&evidence);
    // The slot m itself depends on no reduction.
    let updates_outside = evidence.outside - (24 * 1024 - evidence.compared - evidence.outside);
    assert!(updates_outside > 0, "{evidence:#?}");
    violated(&check_domain(
        true,
        &scaled("m / sqrt(m * m)"),
        &clipped("sign(m)"),
        "m",
        Requirement::AwayFromZero(1e-2),
    ));
}

#[test]
fn a_comparison_that_the_neglected_guard_turns_is_left_out() {
    // Where g is at most 2, 1 / (1 + 1e-8) is below 1 and 1 is not.
    let [before, after] = ["greater_equal(2.0, g) / 1.0", "greater_equal(2.0, g)"]
        .map(|side| format!("u = greater(1.0, {side})"));
    let evidence =
        check_domain(true, &before, &after, "1.0 + 0.0 * w", Requirement::AwayFromZero(1e-2));
    holds(&evidence);
    assert!(evidence.outside > 1000, "{evidence:#?}");
    // The guard turns no comparison whose sides differ by more.
    let after = "u = greater(1.0, greater_equal(2.0, g) + 0.001)";
    violated(&check_domain(
        true,
        &before,
        after,
        "100.0 + 0.0 * w",
        Requirement::AwayFromZero(100.0),
    ));
    violated(&check(Label::Real, "u = greater(1.0, g)", "u = greater(1.1, g)"));
}

#[test]
fn slots_may_be_rescaled_added_and_dropped() {
    let before = program(
        "def f(w, g, m, v):\n  m = interp(g, m, 0.9)\n  v = interp(g, v, 0.99)\n  u = m + v\n  return u, m, v\n",
    );
    let map = |after: &str, terms: &[(f64, &str)]| SlotMap {
        after: after.to_owned(),
        terms: terms.iter().map(|(factor, name)| (*factor, (*name).to_owned())).collect(),
    };
    let doubled = program(
        "def f(w, g, m2, v):\n  m2 = 0.9 * m2 + 0.2 * g\n  v = interp(g, v, 0.99)\n  u = 0.5 * m2 + v\n  return u, m2, v\n",
    );
    holds(&run(Label::Real, &before, &doubled, &[map("m2", &[(2.0, "m")])], &[]));
    violated(&run(Label::Real, &before, &doubled, &[map("m2", &[(2.1, "m")])], &[]));
    violated(&run(Label::Real, &before, &doubled, &[map("m2", &[(2.0, "v")])], &[]));
    assert!(violated(&run(Label::Real, &before, &doubled, &[], &[])).contains("the slot m2"));
    assert!(violated(&run(Label::Exact, &before, &doubled, &[], &[])).contains("the slot m2"));
    assert!(
        violated(&run(Label::Real, &before, &doubled, &[map("m2", &[(2.0, "n")])], &[]))
            .contains('n')
    );

    // s = 3 m - 2 v moves on by itself only together with one of them.
    let mixed = program(
        "def f(w, g, s, v):\n  s = 0.9 * s - 0.18 * v + 0.28 * g\n  v = interp(g, v, 0.99)\n  m = (s + 2.0 * v) / 3.0\n  u = m + v\n  return u, s, v\n",
    );
    holds(&run(Label::Real, &before, &mixed, &[map("s", &[(3.0, "m"), (-2.0, "v")])], &[]));
    violated(&run(Label::Real, &before, &mixed, &[map("s", &[(3.0, "m"), (2.0, "v")])], &[]));

    // A dead slot goes, and with it what only feeds it.
    let raw = program(
        "def f(w, g, m, v):\n  m = cosh(g)\n  v = interp(g, v, 0.99)\n  u = v * 2.0\n  return u, m, v\n",
    );
    let short =
        program("def f(w, g, v):\n  v = interp(g, v, 0.99)\n  u = v * 2.0\n  return u, v\n");
    holds(&run(Label::Exact, &raw, &short, &[], &[]));
    holds(&run(Label::Real, &raw, &short, &[], &[]));
    // A power of two changes no bits but those of the scale.
    let twice = program("def f(w, g, x):\n  x = 0.99 * x + 0.02 * g\n  u = x\n  return u, x\n");
    let once =
        program("def f(w, g, v):\n  v = 0.99 * v + 0.01 * g\n  u = v * 2.0\n  return u, v\n");
    let evidence = run(Label::Exact, &once, &twice, &[map("x", &[(2.0, "v")])], &[]);
    assert!(
        violated(&evidence).starts_with("the update")
            || violated(&evidence).starts_with("the slot x"),
        "denormals round: {evidence:#?}"
    );
    holds(&run(Label::Real, &once, &twice, &[map("x", &[(2.0, "v")])], &[]));
}

#[test]
fn hyperparameters_the_step_count_and_the_learning_rate_are_tried_at_several_values() {
    let text = |head: &str, statements: &str| {
        program(&format!(
            "def f(w, g, m, {head}):\n  {}\n  return u, m\n",
            statements.replace("; ", "\n  ")
        ))
    };
    let head = "t, lr=1e-3, *, beta=0.9, decay=0.0";
    let before =
        text(head, "m = interp(g, m, beta); u = m / (1.0 - power(beta, t)) * lr + decay * w");
    holds(&run(
        Label::Real,
        &before,
        &text(
            head,
            "m = beta * m + (1.0 - beta) * g; u = lr * m / (1.0 - power(beta, t)) + decay * w",
        ),
        &[],
        &[],
    ));
    for wrong in [
        // The default in the place of the hyperparameter.
        "m = interp(g, m, 0.9); u = m / (1.0 - power(beta, t)) * lr + decay * w",
        "m = interp(g, m, beta); u = m / (1.0 - power(beta, t)) * lr",
        "m = interp(g, m, beta); u = m / (1.0 - beta) * lr + decay * w",
        "m = interp(g, m, beta); u = m / (1.0 - power(beta, t)) * 1e-3 + decay * w",
    ] {
        violated(&run(Label::Real, &before, &text(head, wrong), &[], &[]));
        violated(&run(Label::Exact, &before, &text(head, wrong), &[], &[]));
    }
    // A constant that gets a name.
    let constant = text("lr", "m = interp(g, m, 0.9); u = m * lr");
    let named = text("lr, *, beta=0.9", "m = interp(g, m, beta); u = m * lr");
    holds(&run(Label::Exact, &constant, &named, &[], &[]));
    violated(&run(
        Label::Exact,
        &constant,
        &text("lr, *, beta=0.99", "m = interp(g, m, beta); u = m * lr"),
        &[],
        &[],
    ));
    violated(&run(Label::Exact, &named, &constant, &[], &[]));
}

#[test]
fn where_nothing_can_be_compared_nothing_is_claimed() {
    let evidence = check(Label::Real, "u = sqrt(-1.0 - exp(g))", "u = sqrt(-1.0 - exp(g)) + 1.0");
    assert!(matches!(evidence.verdict, Verdict::Unproven(_)), "{evidence:#?}");
    assert!(evidence.compared == 0 && evidence.outside > 10_000);
    let evidence = check_domain(
        false,
        "u = g",
        "u = g * 2.0",
        "square(g) + 1.0",
        Requirement::Within(-1.0, 0.0),
    );
    assert!(matches!(evidence.verdict, Verdict::Unproven(_)), "{evidence:#?}");
    // Exact is exact where everything is NaN.
    holds(&check(Label::Exact, "u = sqrt(-1.0 - exp(g))", "u = sqrt(-1.0 - exp(g)) + 1.0"));
    // A state that leaves the finite numbers starts again, so that there is something to compare.
    for (after, stands) in
        [("m = cube(m + g); u = m * 2.0", true), ("m = cube(m + g); u = m * 2.00001", false)]
    {
        for last in ["", "; u = u + 0.0 * global_norm(w)"] {
            let evidence = check(
                Label::Real,
                &format!("m = cube(m + g); u = m + m{last}"),
                &format!("{after}{last}"),
            );
            assert_eq!(evidence.verdict == Verdict::Holds, stands, "{evidence:#?}");
        }
    }
}

#[test]
fn overflow_underflow_and_domain_edges_of_the_program_before_are_left_out() {
    let evidence = check(Label::Real, "u = exp(g) / exp(w)", "u = exp(g - w)");
    holds(&evidence);
    assert!(evidence.outside > 100 && evidence.outside < 10_000, "{evidence:#?}");
    // Where everything before is finite, an overflow after counts.
    violated(&check(Label::Real, "u = exp(g - w)", "u = exp(g) / exp(w)"));
    // A difference that is lost in rounding after makes log2 see a negative number.
    holds(&check(
        Label::Real,
        "u = log2(interp(w, g, 0.999999999999))",
        "u = log2(w + (g - w) * 0.999999999999)",
    ));
    // A negative number has powers at whole exponents only.
    holds(&check(
        Label::Real,
        "u = power(-2.0, g * 3.0)",
        "u = power(-2.0, (g * 0.7 + g * 0.3) * 3.0)",
    ));
    violated(&check(Label::Real, "u = power(w, 3.0)", "u = power(w, 3.0000000000000004)"));
    // The constants that the normal form folds have been infinite.
    holds(&check(
        Label::Real,
        "a = log(0.0); b = exp(a) + 1.0; u = g * b; m = m + u",
        "a = log(0.0); b = exp(a * 0.7 + a * 0.3) + 1.0; u = g * b; m = m + u",
    ));
    // A norm of exactly 1 can come out as more.
    holds(&check(
        Label::Real,
        "u = arccos(clip(g * 3.0, 1.0))",
        "u = arccos(clip(g, 1.0 / 3.0) * 3.0)",
    ));
}

#[test]
fn what_was_seen_is_reported() {
    let evidence = check(Label::Real, "u = g * 0.3 * w", "u = g * (w * 0.3)");
    let place = evidence.largest_at.clone().expect("roundings differ somewhere");
    assert!(
        evidence.largest_deviation > 0.0 && evidence.largest_deviation < 1e-14,
        "{evidence:#?}"
    );
    assert_eq!(place.quantity, "update");
    assert!(place.step >= 1 && place.step <= 32 && !place.stream.is_empty());
    assert_eq!(
        (place.after / place.before - 1.0).abs(),
        evidence.largest_deviation.max((place.after / place.before - 1.0).abs())
    );
    // 8 kinds of streams, 12 numbers each; m is dead.
    assert_eq!(evidence.steps, RandomStreams::STEPS);
    assert_eq!(evidence.compared + evidence.outside, 12 * RandomStreams::STEPS as u64);

    let flipped = check(Label::Real, "u = g", "u = 0.0 - g");
    let reason = violated(&flipped);
    assert!(
        flipped.sign_flips > 50 && reason.contains("the update is") && reason.contains("step 1"),
        "{reason}"
    );
    assert_eq!(flipped.largest_deviation, 2.0);

    let claim = Claim {
        before: &zoo("lion"),
        after: &zoo("sgd"),
        label: Label::Fitness,
        slots: &[],
        conditions: &[],
    };
    assert_eq!(RandomStreams::new(1).check(&claim), Evidence::unchecked());
}

#[test]
fn the_same_seed_gives_the_same_evidence_and_steps_can_be_chosen() {
    let (before, after) =
        (program(&body("u = g + w - g; m = m + u")), program(&body("u = w; m = m + w")));
    let claim =
        Claim { before: &before, after: &after, label: Label::Real, slots: &[], conditions: &[] };
    let check = |seed, steps| RandomStreams::new(seed).with_steps(steps).check(&claim);
    assert_eq!(check(1, 1024), check(1, 1024));
    assert_ne!(check(1, 1024), check(2, 1024));
    for steps in [0, 1, 100, 5000] {
        let evidence = check(3, steps);
        assert!(
            (steps.max(8)..steps + 8).contains(&evidence.steps) || steps < 8 && evidence.steps == 8,
            "{evidence:#?}"
        );
    }
}

#[test]
fn programs_that_do_not_run_are_refused_and_not_run() {
    let good = program(&body("u = g"));
    let mut bad = good.clone();
    bad.update = VarId(40);
    let mut scalar = good.clone();
    scalar.statements.push(symopt_dsl::Statement::new(
        scalar.update,
        symopt_dsl::Function::Add,
        &[Operand::Constant(1.0); 2],
    ));
    for label in [Label::Exact, Label::Real, Label::Domain] {
        for wrong in [&bad, &scalar] {
            assert!(violated(&run(label, &good, wrong, &[], &[])).contains("after"));
            assert!(violated(&run(label, wrong, &good, &[], &[])).contains("before"));
            let condition = Condition {
                probe: wrong.clone(),
                requirement: Requirement::NonZero,
                text: "x != 0".to_owned(),
            };
            assert!(violated(&run(label, &good, &good, &[], &[condition])).contains("x != 0"));
        }
        let probe = program("def f(w, g, lr):\n  return g\n");
        let condition =
            Condition { probe, requirement: Requirement::NonZero, text: "g != 0".to_owned() };
        assert!(
            violated(&run(label, &good, &good, &[], &[condition])).contains("other parameters")
        );
    }
}

/// Programs of every function of the table, in other words and without what is redundant: exact,
/// and so real as well wherever there is something to compare.
#[test]
fn random_programs_are_what_they_are_in_other_words() {
    let mut random = Random(11);
    let draw = Draw::everything(8);
    let mut nothing = 0;
    for _ in 0..150 {
        let before = draw.program(&mut random);
        let after = pruned(&before);
        let evidence = run(Label::Exact, &before, &after, &[], &[]);
        assert_eq!(
            evidence.verdict,
            Verdict::Holds,
            "{evidence:#?}\n{}{}",
            listing(&before),
            listing(&after)
        );
        let other = disguised(&before, &mut random);
        let slot_name = |p: &Program, i| {
            let found =
                p.signature().parameters.iter().find(|q| q.kind == ParameterKind::Slot(SlotId(i)));
            found.map_or(String::new(), |q| q.name.clone())
        };
        let maps: Vec<SlotMap> = (0..before.signature().slots().count() as u16)
            .map(|i| SlotMap {
                after: slot_name(&other, i),
                terms: vec![(1.0, slot_name(&before, i))],
            })
            .collect();
        for label in [Label::Exact, Label::Real] {
            let evidence = run(label, &before, &other, &maps, &[]);
            match &evidence.verdict {
                Verdict::Unproven(_) if label == Label::Real => nothing += 1,
                verdict => assert_eq!(
                    *verdict,
                    Verdict::Holds,
                    "{evidence:#?}\n{}{}",
                    listing(&before),
                    listing(&other)
                ),
            }
        }
    }
    assert!(nothing < 30, "{nothing} of 150 programs give nothing to compare");
}

/// The same program over the reals: each call that has another form, in that form.
fn detoured(program: &Program) -> Program {
    use Function as F;
    let fresh = VarId(program.variable_count() as u16);
    let (spare, number) = (Operand::Variable(fresh), Operand::Constant);
    let ieee = program.signature().numerics == Numerics::Ieee;
    let mut statements = Vec::new();
    for statement in &program.statements {
        let target = statement.target;
        let mut put = |target, function, arguments: &[Operand]| {
            statements.push(Statement::new(target, function, arguments))
        };
        match (statement.function, statement.arguments()) {
            (F::Interp, [x, y, a]) => {
                put(fresh, F::Subtract, &[*y, *x]);
                put(fresh, F::Multiply, &[spare, *a]);
                put(target, F::Add, &[*x, spare]);
            }
            (F::Divide, [x, y]) if ieee => {
                put(fresh, F::Reciprocal, &[*y]);
                put(target, F::Multiply, &[*x, spare]);
            }
            (F::Multiply, [x, y]) => {
                put(fresh, F::Multiply, &[*x, number(0.7)]);
                put(fresh, F::Multiply, &[spare, *y]);
                put(target, F::Multiply, &[spare, number(1.0 / 0.7)]);
            }
            (F::Add | F::Subtract, [x, y]) => {
                put(fresh, F::Multiply, &[*x, number(0.7)]);
                put(fresh, F::Subtract, &[*x, spare]);
                put(fresh, statement.function, &[spare, *y]);
                let second = VarId(fresh.0 + 1);
                put(second, F::Multiply, &[*x, number(0.7)]);
                put(target, F::Add, &[spare, Operand::Variable(second)]);
            }
            (F::Norm | F::GlobalNorm | F::Abs | F::Cbrt, [x]) => {
                let power = if statement.function == F::Cbrt { 0.343 } else { 0.7 };
                put(fresh, F::Multiply, &[*x, number(power)]);
                put(fresh, statement.function, &[spare]);
                put(target, F::Multiply, &[spare, number(1.0 / 0.7)]);
            }
            (F::Exp, [x]) => {
                put(fresh, F::Multiply, &[*x, number(0.5)]);
                put(fresh, F::Exp, &[spare]);
                put(target, F::Square, &[spare]);
            }
            (F::Log, [x]) if ieee => {
                put(fresh, F::Multiply, &[*x, number(4.0)]);
                put(fresh, F::Log, &[spare]);
                put(target, F::Subtract, &[spare, number(4.0_f64.ln())]);
            }
            (F::Cube, [x]) => {
                put(fresh, F::Square, &[*x]);
                put(target, F::Multiply, &[*x, spare]);
            }
            _ => statements.push(*statement),
        }
    }
    Program::new(program.signature().clone(), Vec::new(), statements, program.update, Vec::new())
}

/// Roundings, cancellations, jumps, overflows and edges of domains of random programs must not look
/// like violations; a wrong number must.
#[test]
fn detours_over_the_reals_stand_in_random_programs() {
    let mut random = Random(5);
    let (mut nothing, mut found, mut wrong) = (0, 0, 0);
    const PROGRAMS: u32 = 400;
    for _ in 0..PROGRAMS {
        let before = Draw::everything(8).program(&mut random);
        let after = detoured(&before);
        let evidence = run(Label::Real, &before, &after, &[], &[]);
        match &evidence.verdict {
            Verdict::Unproven(_) => nothing += 1,
            verdict => assert_eq!(
                *verdict,
                Verdict::Holds,
                "{evidence:#?}\n{}{}",
                listing(&before),
                listing(&after)
            ),
        }
        let scaled = |by: f64| {
            let mut wrong = before.clone();
            let arguments = [Operand::Variable(wrong.update), Operand::Constant(by)];
            wrong.statements.push(Statement::new(wrong.update, Function::Multiply, &arguments));
            run(Label::Real, &before, &wrong, &[], &[]).verdict
        };
        // A program whose update is always zero stays what it is.
        if matches!(scaled(2.0), Verdict::Violated(_)) {
            wrong += 1;
            found += u32::from(matches!(scaled(1.00001), Verdict::Violated(_)));
        }
    }
    assert!(nothing < PROGRAMS / 10 && wrong > PROGRAMS / 2, "{nothing} {wrong}");
    // Some updates are nothing but rounding errors wherever they are numbers at all.
    assert!(found * 1000 >= wrong * 995, "{found} of {wrong}");
}

/// The published raw program against what is left of it without its redundant statements and its
/// dead slot, and with the quotient as a sign.
#[test]
fn the_published_raw_program_is_lion_of_clipped_gradients() {
    let raw = zoo("lion-raw");
    let pruned = pruned(&raw);
    let evidence = run(Label::Exact, &raw, &pruned, &[], &[]);
    holds(&evidence);

    let text = "@guarded\ndef lion_raw(w, g, v, lr):\n  g = arcsin(clip(g, lr))\n  m = interp(g, v, 0.8999999761581421)\n  v = interp(g, v, BETA)\n  \
                u = (sign(m) + 0.4601978361606598 * w) * lr * 0.0002171761734643951\n  return u, v\n";
    let beta = 1.0 - (1.0 - 0.8999999761581421) * 1.109133005142212 - (1.0 - 1.109133005142212);
    // v' = (1 - b) g + b m with m = (1 - a) g + a v: the weight of v is a b.
    let product: f64 = 0.8999999761581421 * 1.109133005142212;
    assert!((beta - product).abs() < 1e-15);
    let short = program(&text.replace("BETA", &format!("{product:?}")));
    let probe = program(
        "@guarded\ndef lion_raw(w, g, m, v, lr):\n  g = arcsin(clip(g, lr))\n  x = interp(g, v, 0.8999999761581421)\n  v = interp(g, x, 1.109133005142212)\n  return x, m, v\n",
    );
    let condition = Condition {
        probe,
        requirement: Requirement::AwayFromZero(1e-2),
        text: "|m| >= 0.01".to_owned(),
    };
    let evidence = run(Label::Domain, &raw, &short, &[], std::slice::from_ref(&condition));
    holds(&evidence);
    let wrong = program(&text.replace("BETA", "0.998"));
    violated(&run(Label::Domain, &raw, &wrong, &[], &[condition]));
}

/// Where a huge number swallows the others, the program before computes nothing of what it is over
/// the reals: no reason to reject a step, and no excuse for a wrong one where the numbers are
/// ordinary.
#[test]
fn a_cancellation_that_swamps_a_value_is_no_violation_and_hides_none() {
    let before = program(
        "@guarded\ndef p(w, g, s0, lr):\n  v0 = cube(g)\n  w = interp(g, norm(v0), 1.893623)\n  s2 = arcsinh((lr - w) + w)\n  \
         v10 = (s2 + s0) - s0\n  update = sin(sqrt(v10))\n  return update, s0\n",
    );
    let after = |value: &str| {
        program(&format!(
            "@guarded\ndef p(w, g, s0, lr):\n  u = (g - g) + arcsinh({value})\n  u = sin(sqrt(u))\n  return u, s0\n"
        ))
    };
    holds(&run(Label::Real, &before, &after("lr"), &[], &[]));
    violated(&run(Label::Real, &before, &after("lr * 1.00001"), &[], &[]));
    violated(&run(Label::Real, &before, &after("lr * 0.0"), &[], &[]));
    // Tests with a bounded function, a sign and a comparison behind the zero.
    for (function, wrong) in [
        ("tanh(x)", "-lr"),
        ("sign(x)", "-lr"),
        ("cos(sqrt(abs(x)))", "lr * 0.5"),
        ("where(less(x, 0.5), 1.0, 3.0)", "-lr"),
    ] {
        let with = |value: &str| {
            program(&format!(
                "def p(w, g, lr):\n  x = {value}\n  u = {function}\n  u = u * 0.5 + (g - g)\n  return u\n"
            ))
        };
        holds(&run(Label::Real, &with("(lr - cube(g)) + cube(g)"), &with("lr"), &[], &[]));
        violated(&run(Label::Real, &with("(lr - cube(g)) + cube(g)"), &with(wrong), &[], &[]));
    }
}

#[test]
fn two_programs_of_matrices_are_compared_bit_for_bit_and_no_further() {
    let before = program(
        "def f(w, g, lr):\n  a = transpose(g)\n  a = transpose(a)\n  u = newton_schulz(a) * lr\n  return u\n",
    );
    let after = program("def f(w, g, lr):\n  u = lr * newton_schulz(g)\n  return u\n");
    let other = program("def f(w, g, lr):\n  u = lr * newton_schulz(w)\n  return u\n");
    let mut streams = RandomStreams::new(1);
    let mut check = |after: &Program, label: Label| {
        streams.check(&Claim { before: &before, after, label, slots: &[], conditions: &[] }).verdict
    };
    assert_eq!(check(&after, Label::Exact), Verdict::Holds);
    assert!(matches!(check(&other, Label::Exact), Verdict::Violated(_)));
    assert!(
        matches!(check(&after, Label::Real), Verdict::Violated(reason) if reason.contains("bit for bit"))
    );
    assert_eq!(Graph::new(&before).map(|g| g.hash()), Graph::new(&after).map(|g| g.hash()));
}
