//! Derivations as people read them, and what holds for every one of them: of the zoo's programs, of
//! small programs that need one kind of reasoning each, of programs of real searches, and of
//! programs that reach the limits.

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use ndarray::{ArrayD, IxDyn};
use symopt_analysis::RandomStreams;
use symopt_analysis::compare::{Assigned, Relation, Side, compare};
use symopt_analysis::simplify::{
    Checker, Claim, Derivation, Evidence, Label, Limits, Options, StepKind, Support, Unchecked,
    Verdict, canonical, simplify,
};
use symopt_dsl::{Function, Graph, Operand, Program, parse};
use symopt_evaluator::Reference;

const LION: &str = include_str!("../../programs/zoo/lion.opt");
const LION_RAW: &str = include_str!("../../programs/zoo/lion-raw.opt");
const LION_FOUND: &str = include_str!("../../programs/zoo/lion-found.opt");
const LATE_PROGRAMS: &str = include_str!("corpus/late_programs.txt");

fn program(text: &str) -> Program {
    parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Names and programs of the zoo, in order.
fn zoo() -> Vec<(String, Program)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../programs/zoo");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|ending| ending == "opt")).collect();
    paths.sort();
    assert!(paths.len() >= 22, "{paths:?}");
    let named = |path: std::path::PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (name, program(&std::fs::read_to_string(path).unwrap()))
    };
    paths.into_iter().map(named).collect()
}

fn late_programs(count: usize) -> Vec<Program> {
    LATE_PROGRAMS.split("---\n").take(count).map(program).collect()
}

fn with_label(program: &Program, label: Label) -> Derivation {
    simplify(program, &Options { label, ..Options::default() }, &mut RandomStreams::default())
}

fn simplified(program: &Program) -> Derivation {
    with_label(program, Label::Domain)
}

fn hash(program: &Program) -> String {
    Graph::new(program).expect("well typed").hash().to_string()
}

/// Asserts what holds for every derivation, whatever its checker says of the steps.
fn assert_is_sound(derivation: &Derivation) {
    let mut last = &derivation.original;
    for step in &derivation.steps {
        assert_eq!(&step.before, last, "a step begins where the one before ended");
        assert_ne!(step.before.to_string(), step.after.to_string(), "a step changes something");
        assert!(
            step.after.statements.len() <= step.before.statements.len(),
            "{}\n{}",
            step.before,
            step.after
        );
        last = &step.after;
    }
    assert_eq!(derivation.result(), last);
    for step in derivation.steps.iter().chain(&derivation.rejected) {
        assert!(
            step.touched.iter().all(|index| *index < step.before.statements.len()),
            "{:?}\n{}",
            step.touched,
            step.before
        );
        assert!(step.touched.is_sorted_by(|a, b| a < b), "{:?}", step.touched);
        assert!(!step.reasons.is_empty(), "{}", step.after);
        assert_eq!(
            step.reasons.iter().map(|reason| reason.label).max(),
            Some(step.label),
            "{:?}",
            step.reasons
        );
        assert_eq!(
            step.label == Label::Domain,
            !step.conditions.is_empty(),
            "{:?} {:?}",
            step.reasons,
            step.conditions
        );
        // The printed text is a program, and the same one.
        assert_eq!(hash(&program(&step.after.to_string())), hash(&step.after), "{}", step.after);
    }
    let weakest = derivation.steps.iter().map(|step| step.label).max();
    assert_eq!(derivation.label(), weakest.unwrap_or(Label::Exact));
}

/// Beside that, that every step was checked and stands.
fn assert_is_checked(derivation: &Derivation) {
    assert_is_sound(derivation);
    assert!(derivation.rejected.is_empty(), "{:#?}", derivation.rejected);
    for step in &derivation.steps {
        let Support::Check(evidence) = &step.support else { panic!("not checked: {step:?}") };
        assert_eq!(evidence.verdict, Verdict::Holds);
        assert!(evidence.steps >= 1000 && evidence.compared > 200, "{evidence:?}");
        if step.label == Label::Exact {
            assert_eq!((evidence.largest_deviation, evidence.sign_flips), (0.0, 0), "{evidence:?}");
        }
    }
}

fn kinds(derivation: &Derivation) -> Vec<StepKind> {
    derivation.steps.iter().map(|step| step.kind).collect()
}

/// The text of a result without its head, to be compared with what is expected.
fn body(program: &Program) -> String {
    let text = program.to_string();
    let body = text.lines().filter(|line| line.starts_with("  ") && !line.starts_with("    "));
    body.map(|line| line.trim_start().to_owned() + "\n").collect()
}

#[test]
fn published_programs_read_like_this() {
    for name in [
        "lion-raw",
        "lion-found",
        "published-regularized",
        "published-adagrad-like",
        "published-adabelief-like",
        "adamw-paper",
    ] {
        let (_, program) = zoo().into_iter().find(|(found, _)| found == name).unwrap();
        let derivation = simplified(&program);
        assert_is_checked(&derivation);
        insta::assert_snapshot!(name.to_owned(), derivation.markdown());
    }
}

/// A slot that is always three times the other one.
const DEPENDENT: &str = "def dependent(w, g, m, v, lr):
  m = m * 0.9
  m = m + g
  v = v * 0.9
  x = 3 * g
  v = v + x
  update = m + v
  update = update * lr
  return update, m, v
";

/// A slot that nothing feeds.
const ZERO: &str = "def zero(w, g, m, v, lr):
  x = v * 0.5
  v = tanh(x)
  m = interp(g, m, 0.9)
  update = m + v
  update = update * lr
  return update, m, v
";

/// A sum whose unit only its sign can tell.
const UNIT: &str = "def unit(w, g, m, lr):
  m = m * 0.95
  g = g * 0.3
  m = m + g
  update = sign(m)
  update = update * lr
  return update, m
";

/// A sign, spelled out.
const SIGN: &str = "def spelled_out(w, g, m, lr):
  m = interp(g, m, 0.9)
  m2 = m * m
  root = sqrt(m2)
  update = m / root
  update = update * lr
  return update, m
";

/// Minima, maxima and clips that do less than they seem to.
const BOUNDS: &str = "def bounds(w, g, m, lr):
  a = maximum(g, m)
  a = minimum(g, a)
  b = clip(a, 0.5)
  b = clip(b, 0.25)
  c = -m
  c = maximum(m, c)
  m = interp(b, m, 0.9)
  update = b * c
  update = update * lr
  return update, m
";

#[test]
fn small_programs_read_like_this() {
    for (name, text) in [
        ("dependent", DEPENDENT),
        ("zero", ZERO),
        ("unit", UNIT),
        ("sign", SIGN),
        ("bounds", BOUNDS),
    ] {
        let derivation = simplified(&program(text));
        assert_is_checked(&derivation);
        insta::assert_snapshot!(name, derivation.markdown());
    }
    for label in [Label::Exact, Label::Real] {
        let derivation = with_label(&program(BOUNDS), label);
        assert_is_checked(&derivation);
        insta::assert_snapshot!(format!("bounds_{label}"), derivation.markdown());
    }
}

#[test]
fn small_programs_end_as_a_person_would_end_them() {
    for text in [DEPENDENT, ZERO, UNIT, SIGN, BOUNDS] {
        let (largest, compared) = deviation(&simplified(&program(text)), 200);
        assert!(largest < 1e-6 && compared > 1000, "{largest:e} of {compared}: {text}");
    }
    let cases = [
        (
            DEPENDENT,
            "x1 = m * 0.9\nm = g + x1\nupdate = m * lr\nreturn update, m\n",
            [StepKind::Slots].as_slice(),
        ),
        (ZERO, "m = interp(g, m, beta)\nupdate = m * lr\nreturn update, m\n", &[StepKind::Slots]),
        (
            UNIT,
            "m = interp(g, m, beta)\nupdate = sign(m)\nupdate = update * lr\nreturn update, m\n",
            &[StepKind::Slots],
        ),
        (
            SIGN,
            "m = interp(g, m, beta)\nupdate = sign(m)\nupdate = update * lr\nreturn update, m\n",
            &[StepKind::Identity; 2],
        ),
    ];
    for (text, expected, kinds) in cases {
        let derivation = simplified(&program(text));
        assert_eq!(body(derivation.result()), expected);
        let found: Vec<StepKind> = derivation
            .steps
            .iter()
            .map(|step| step.kind)
            .filter(|kind| *kind < StepKind::Constants)
            .collect();
        assert_eq!(found, kinds);
    }
    let bounds = simplified(&program(BOUNDS));
    assert_eq!(bounds.result().statements.len(), 5);
    assert_eq!(bounds.label(), Label::Real);
    let unit = simplified(&program(UNIT));
    assert_eq!(unit.steps[0].slots[0].terms, [(1.0 / 6.0, "m".to_owned())]);
}

#[test]
fn a_derivation_is_no_weaker_than_asked_for() {
    let texts = [DEPENDENT, ZERO, UNIT, SIGN, BOUNDS, LION_RAW, LION_FOUND];
    for program in texts.map(program) {
        let lengths = [Label::Exact, Label::Real, Label::Domain].map(|label| {
            let derivation = with_label(&program, label);
            assert_is_checked(&derivation);
            assert!(derivation.label() <= label, "{label}: {}", derivation.markdown());
            derivation.result().statements.len()
        });
        assert!(lengths.is_sorted_by(|exact, weaker| exact >= weaker), "{lengths:?} {program}");
    }
    // Each label has something of its own to add to this one.
    assert_eq!(
        [Label::Exact, Label::Real, Label::Domain]
            .map(|label| with_label(&program(SIGN), label).result().statements.len()),
        [5, 4, 3]
    );
}

#[test]
fn the_raw_program_becomes_lion_by_algebra_alone() {
    let product = 0.8999999761581421 * 1.109133005142212;
    let cases = [
        (LION_RAW, [0.8999999761581421, product, 0.4601978361606598, 0.0002171761734643951], true),
        (LION_FOUND, [0.899, 0.899 * 1.109, 0.4602, 0.0002], false),
    ];
    for (text, [beta1, beta2, weight_decay, peak], has_redundant) in cases {
        let raw = program(text);
        let derivation = simplified(&raw);
        assert_is_checked(&derivation);
        let kinds = kinds(&derivation);
        assert_eq!(kinds.contains(&StepKind::Redundant), has_redundant);
        assert_eq!(kinds.iter().filter(|kind| **kind == StepKind::DeadSlot).count(), 1);
        assert!(!kinds.contains(&StepKind::Slots), "{kinds:?}");

        // sign(interp(g', m, beta1)), the momentum of g', decoupled decay, one slot.
        let result = derivation.result();
        let lines = "g = clip(g, lr)\ng = arcsin(g)\nupdate = interp(g, m, beta1)\nupdate = sign(update)\nm = interp(g, m, beta2)\n\
            decay = w * weight_decay\nupdate = update + decay\nstep = lr * peak_lr\nupdate = update * step\nreturn update, m\n";
        assert_eq!(body(result), lines);
        let defaults: Vec<(&str, Option<f64>)> = result
            .signature()
            .parameters
            .iter()
            .map(|parameter| (parameter.name.as_str(), parameter.default))
            .collect();
        let near = |name: &str, value: f64| {
            let found =
                defaults.iter().find(|(found, _)| *found == name).and_then(|(_, default)| *default);
            assert!(
                found.is_some_and(|found| (found - value).abs() <= 1e-15),
                "{name}: {defaults:?}"
            );
        };
        near("beta1", beta1);
        near("beta2", beta2);
        near("weight_decay", weight_decay);
        near("peak_lr", peak);
        assert_eq!(result.signature().slots().count(), 1);

        // By the comparison, with numbers in place.
        let comparison = compare(&canonical(&raw, Label::Domain), &program(LION));
        let Relation::UpToHyperparameters { general, assignment, gradient, .. } =
            &comparison.relation
        else {
            panic!("{comparison}");
        };
        assert_eq!(*general, Side::Right);
        let value = |wanted: &Assigned| {
            assignment
                .iter()
                .find(|assignment| assignment.of == *wanted)
                .map(|assignment| assignment.value)
        };
        let close = |found: Option<f64>, wanted: f64| {
            assert!(found.is_some_and(|x| (x / wanted - 1.0).abs() < 1e-9), "{comparison}")
        };
        close(value(&Assigned::Hyperparameter("beta1".to_owned())), beta1);
        close(value(&Assigned::Hyperparameter("beta2".to_owned())), beta2);
        close(value(&Assigned::Hyperparameter("weight_decay".to_owned())), weight_decay);
        close(value(&Assigned::LearningRate), peak);
        let gradient = gradient.as_ref().expect("a function of the gradient");
        assert_eq!((gradient.side, gradient.text.as_str()), (Side::Left, "arcsin(clip(g, lr))"));
    }
}

#[test]
fn where_the_sign_flips_is_said() {
    let derivation = simplified(&program(LION_RAW));
    let step = derivation
        .steps
        .iter()
        .find(|step| step.label == Label::Domain)
        .expect("a step that is true on a domain");
    assert_eq!(step.conditions, ["|m| >= 0.01"]);
    let Support::Check(evidence) = &step.support else { panic!("{step:?}") };
    assert!(evidence.outside > 0 && evidence.largest_outside > 1e-2, "{evidence:?}");
    assert!(evidence.largest_deviation < 1e-3, "{evidence:?}");
    let place = evidence.outside_at.as_ref().expect("where it is worst");
    assert!(!place.stream.is_empty() && place.step >= 1, "{place:?}");
    let text = derivation.markdown();
    assert!(
        text.contains("- where `|m| >= 0.01`") && text.contains("updates change their sign"),
        "{text}"
    );
}

/// The factor of `lr` with which a training loop calls the result: a peak that was inside is the
/// default outside.
fn peak(derivation: &Derivation) -> f64 {
    let default = |program: &Program| {
        let signature = program.signature();
        signature
            .learning_rate()
            .and_then(|lr| signature.parameters[lr.index()].default)
            .unwrap_or(1.0)
    };
    default(derivation.result()) / default(&derivation.original)
}

/// The largest relative deviation between the updates of both ends of a derivation, each with its
/// own state, and how many were compared.
fn deviation(derivation: &Derivation, steps: usize) -> (f64, usize) {
    let shapes = [vec![4, 3], vec![5]];
    let [mut before, mut after] = [&derivation.original, derivation.result()]
        .map(|program| Reference::<f64>::new(program, &shapes).expect("runs"));
    let mut state = 0x9e37_79b9_u64;
    let mut normal = || {
        // A sum of twelve uniform numbers.
        let uniform = (0..12).map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        });
        uniform.sum::<f64>() - 6.0
    };
    let mut draw = |scale: f64| -> Vec<ArrayD<f64>> {
        shapes
            .iter()
            .map(|shape| ArrayD::from_shape_simple_fn(IxDyn(shape), || scale * normal()))
            .collect()
    };
    let mut weights = draw(0.5);
    let peak = peak(derivation);
    let (mut largest, mut compared) = (0.0_f64, 0);
    for step in 0..steps {
        let gradients = draw(0.1);
        let lr = 1.0 - step as f64 / (2 * steps) as f64;
        let expected = before.update(&weights, &gradients, lr).expect("a step");
        let found = after.update(&weights, &gradients, lr * peak).expect("a step");
        for ((weights, expected), found) in weights.iter_mut().zip(&expected).zip(&found) {
            for ((w, x), y) in weights.iter_mut().zip(expected).zip(found) {
                if !x.is_finite() {
                    continue;
                }
                if x != y {
                    let deviation = (x - y).abs() / x.abs().max(y.abs());
                    largest = largest.max(if y.is_finite() { deviation } else { f64::INFINITY });
                }
                compared += 1;
                // Small steps: programs with their peak inside would run away at lr = 1.
                *w -= 1e-3 * x.clamp(-1.0, 1.0);
            }
        }
    }
    (largest, compared)
}

#[test]
fn the_zoo_comes_out_no_longer_and_does_the_same() {
    for (name, program) in zoo() {
        let derivation = simplified(&program);
        assert_is_checked(&derivation);
        let result = derivation.result();
        assert!(result.statements.len() <= program.statements.len(), "{name}: {result}");
        assert!(
            result.signature().slots().count() <= program.signature().slots().count(),
            "{name}: {result}"
        );
        // Dead slots are found where the paper's programs have them, and nowhere else.
        let has_dead_slot = kinds(&derivation).contains(&StepKind::DeadSlot);
        assert_eq!(has_dead_slot, ["lion-raw", "lion-found"].contains(&name.as_str()), "{name}");
        for function in [Function::Cosh, Function::Sinh, Function::Arcsin] {
            let count = |program: &Program| {
                program.statements.iter().filter(|statement| statement.function == function).count()
            };
            assert!(count(result) <= count(&program), "{name}: {result}");
        }

        // A run of each with its own state.
        let derivation = with_label(&program, Label::Real);
        assert_is_checked(&derivation);
        let (largest, numbers) = deviation(&derivation, 200);
        assert!(largest < 1e-6, "{name}: {largest:e}\n{}", derivation.markdown());
        assert!(numbers > 1000, "{name}: {numbers}");
    }
}

#[test]
fn a_derivation_is_the_same_each_time() {
    let programs = zoo()
        .into_iter()
        .map(|(_, program)| program)
        .chain(late_programs(20))
        .chain([DEPENDENT, UNIT, BOUNDS].map(program));
    for program in programs {
        let [first, second] = [0, 1].map(|_| format!("{:?}", simplified(&program)));
        assert!(first == second, "{program}");
    }
}

#[test]
fn what_is_simple_stays_as_it_is() {
    let named = zoo().into_iter().chain(
        late_programs(100).into_iter().enumerate().map(|(index, p)| (format!("late {index}"), p)),
    );
    let (mut count, mut changed) = (0, String::new());
    let mut failures = 0;
    for (name, program) in named {
        count += 1;
        let once = canonical(&program, Label::Domain);
        let twice = canonical(&once, Label::Domain);
        if hash(&once) != hash(&twice) {
            failures += 1;
            let _ = writeln!(changed, "{name}:\n{once}{twice}");
        }
    }
    assert!(failures * 20 <= count, "{failures} of {count} change again\n{changed}");
    println!("{failures} of {count} change again\n{changed}");
}

/// Refuses every second claim, and has the others checked.
struct EverySecond {
    claims: usize,
    streams: RandomStreams,
}

impl Checker for EverySecond {
    fn check(&mut self, claim: &Claim<'_>) -> Evidence {
        self.claims += 1;
        if self.claims.is_multiple_of(2) {
            return Evidence {
                verdict: Verdict::Violated("refused by the test".to_owned()),
                ..Evidence::unchecked()
            };
        }
        self.streams.check(claim)
    }
}

#[test]
fn a_step_that_breaks_its_label_is_rejected_and_the_derivation_goes_on() {
    let programs = [LION_RAW, LION_FOUND, DEPENDENT, ZERO, UNIT, SIGN, BOUNDS].map(program);
    for program in programs.into_iter().chain(late_programs(10)) {
        let mut checker = EverySecond { claims: 0, streams: RandomStreams::default() };
        let derivation = simplify(&program, &Options::default(), &mut checker);
        assert_is_sound(&derivation);
        assert_eq!(derivation.steps.len() + derivation.rejected.len(), checker.claims, "{program}");
        assert_eq!(derivation.rejected.len(), checker.claims / 2, "{program}");
        for step in &derivation.rejected {
            let Support::Check(evidence) = &step.support else { panic!("{step:?}") };
            assert!(
                matches!(&evidence.verdict, Verdict::Violated(reason) if reason == "refused by the test"),
                "{evidence:?}"
            );
            // It begins with a program of the derivation, which the next step begins with too.
            let begins = |other: &Program| *other == step.before;
            assert!(
                begins(derivation.result())
                    || derivation.steps.iter().any(|step| begins(&step.before))
            );
        }
        let text = derivation.markdown();
        assert_eq!(
            text.contains("## Rejected") && text.contains("BROKEN: refused by the test"),
            !derivation.rejected.is_empty()
        );
    }
    // The program left after the refusals does what the original did.
    for program in [LION_RAW, LION_FOUND, DEPENDENT, ZERO, UNIT, SIGN, BOUNDS].map(program) {
        let mut checker = EverySecond { claims: 0, streams: RandomStreams::default() };
        let derivation =
            simplify(&program, &Options { label: Label::Real, ..Options::default() }, &mut checker);
        let (largest, compared) = deviation(&derivation, 100);
        assert!(
            largest < 1e-6 && compared > 1000,
            "{largest:e} of {compared}: {}",
            derivation.markdown()
        );
    }
    // Nothing at all is taken from a checker that refuses all.
    struct Never;
    impl Checker for Never {
        fn check(&mut self, _: &Claim<'_>) -> Evidence {
            Evidence { verdict: Verdict::Violated("no".to_owned()), ..Evidence::unchecked() }
        }
    }
    let derivation = simplify(&program(LION_RAW), &Options::default(), &mut Never);
    assert!(
        derivation.steps.is_empty() && derivation.rejected.len() >= 2,
        "{}",
        derivation.markdown()
    );
    assert_eq!(derivation.result(), &derivation.original);
}

#[test]
fn nobody_checks_where_nobody_is_asked_to() {
    let derivation = simplify(&program(LION_RAW), &Options::default(), &mut Unchecked);
    assert_is_sound(&derivation);
    assert_eq!(body(derivation.result()), body(simplified(&program(LION_RAW)).result()));
    assert!(derivation.markdown().contains("Not checked."));
    // Without reasons the way is the same.
    let silent = simplify(
        &program(LION_RAW),
        &Options { explain: false, ..Options::default() },
        &mut Unchecked,
    );
    assert_eq!(body(silent.result()), body(derivation.result()));
}

#[test]
fn limits_are_kept_and_reported() {
    let limits = Limits { nodes: 50, rounds: 1, ..Limits::default() };
    let mut reported = 0;
    // Where no identities are looked for, no limit is met.
    let has_rules =
        |program: &Program| Graph::new(program).expect("it types").matrix_function().is_none();
    for program in
        zoo().into_iter().map(|(_, program)| program).filter(has_rules).chain(late_programs(10))
    {
        let derivation = simplify(
            &program,
            &Options { limits: limits.clone(), ..Options::default() },
            &mut RandomStreams::default(),
        );
        assert_is_checked(&derivation);
        for limit in &derivation.notes {
            assert!(
                limit.contains("its limit of 50 nodes") || limit.contains("its limit of 1 rounds"),
                "{limit}"
            );
            assert!(derivation.markdown().contains(&format!("Note: {limit}.")));
        }
        reported += usize::from(!derivation.notes.is_empty());
        assert_eq!(
            derivation.notes.len(),
            derivation.notes.iter().collect::<std::collections::BTreeSet<_>>().len()
        );
    }
    assert!(reported >= 20, "{reported}");
}

/// A program of so many statements after some lines, in a form that names its constants apart.
fn with_lines(lines: impl Iterator<Item = String>) -> Program {
    let lines: String = lines.map(|line| format!("  {line}\n")).collect();
    program(&format!("def long(w, g, m, v, lr):\n{lines}  return update, m, v\n"))
}

/// A program of so many slots that are summed up.
fn with_slots(count: usize, next: impl Fn(usize) -> String) -> Program {
    let slots: Vec<String> = (0..count).map(|slot| format!("s{slot}")).collect();
    let lines: String = (0..count).map(|slot| format!("  s{slot} = {}\n", next(slot))).collect();
    let sum: String = (1..count).map(|slot| format!("  sum = sum + s{slot}\n")).collect();
    let slots = slots.join(", ");
    program(&format!(
        "def many(w, g, {slots}, lr):\n{lines}  sum = s0\n{sum}  update = sum * lr\n  return update, {slots}\n"
    ))
}

/// Programs that saturation could grow without end.
fn pathological() -> Vec<(&'static str, Program)> {
    let lines = |first: &str, count: usize, line: &dyn Fn(usize) -> String, last: &str| {
        with_lines(
            [first.to_owned()].into_iter().chain((0..count).map(line)).chain([last.to_owned()]),
        )
    };
    let leaf = |index: usize| ["w", "g", "m", "v"][index % 4];
    // Sixty different values.
    let terms = |operator: &str| {
        let values = (0..60)
            .map(|index| format!("x{index} = {} * {}", leaf(index), 1.5 + index as f64 / 8.0));
        let first = ["update = sin(x0)".to_owned()].into_iter();
        let rest =
            (1..60).map(|index| format!("y = tanh(x{index})\n  update = update {operator} y"));
        let state = ["m = interp(g, m, 0.9)", "v = interp(w, v, 0.99)"].map(str::to_owned);
        with_lines(values.chain(first).chain(rest).chain(state))
    };
    let functions =
        ["tanh", "sin", "square", "exp", "abs", "sqrt", "arctan", "log1p", "cbrt", "sign"];
    vec![
        ("squares", lines("x = g", 30, &|_| "x = x * x".to_owned(), "update = x * lr")),
        ("doubles", lines("x = g", 30, &|_| "x = x + x".to_owned(), "update = x * lr")),
        (
            "blends",
            lines(
                "x = g",
                40,
                &|index| format!("x = interp(x, {}, 0.{})", leaf(index), 1 + index),
                "update = x * lr",
            ),
        ),
        ("sum", terms("+")),
        ("product", terms("*")),
        (
            "maxima",
            lines(
                "x = g",
                60,
                &|index| format!("x = maximum(x, {})", leaf(index)),
                "update = x * lr",
            ),
        ),
        // Numbers alone do not tell so many decays apart: none of these slots follows from others.
        ("decays", with_slots(60, |slot| format!("interp(g, s{slot}, 0.{})", 900 + slot))),
        ("400 decays", with_slots(400, |slot| format!("interp(g, s{slot}, 0.{})", 1100 + slot))),
        ("equal slots", with_slots(120, |slot| format!("interp(g, s{slot}, 0.9)"))),
        ("a ring of slots", with_slots(120, |slot| format!("0.5 * s{} + g", (slot + 1) % 120))),
        (
            "long",
            with_lines((0..300).map(|index| match index {
                0 => "update = g * 1.0".to_owned(),
                _ if index % 3 == 0 => {
                    format!("update = {}(update)", functions[index % functions.len()])
                }
                _ if index % 3 == 1 => format!("update = update * {}", leaf(index / 3)),
                _ => format!("update = update + {}", leaf(index / 2)),
            })),
        ),
        (
            "slots",
            with_lines((0..300).map(|index| match index % 3 {
                0 => "m = interp(g, m, 0.99)".to_owned(),
                1 => "v = interp(m, v, 0.999)".to_owned(),
                _ => "update = m + v".to_owned(),
            })),
        ),
    ]
}

#[test]
fn programs_that_nobody_has_thought_of_end_in_reasonable_time() {
    let mut reported = 0;
    for (name, program) in pathological() {
        let began = Instant::now();
        let derivation = simplified(&program);
        let took = began.elapsed();
        println!(
            "{name}: {} -> {} in {took:?}, {:?}",
            program.statements.len(),
            derivation.result().statements.len(),
            derivation.notes
        );
        // Far more than it takes: this is about programs on which it would take for ever.
        assert!(took < Duration::from_secs(120), "{name}: {took:?}");
        reported += usize::from(!derivation.notes.is_empty());
        assert_is_sound(&derivation);
        assert!(derivation.rejected.is_empty(), "{name}: {:#?}", derivation.rejected);
        let has_finite_constants = |program: &Program| {
            let arguments = program.statements.iter().flat_map(|statement| statement.arguments());
            arguments
                .into_iter()
                .all(|argument| !matches!(argument, Operand::Constant(value) if !value.is_finite()))
        };
        assert!(has_finite_constants(derivation.result()), "{name}: {}", derivation.result());
    }
    assert!(reported >= 4, "{reported}");
}

#[test]
fn a_peak_is_no_default_before_parameters_that_have_none() {
    let text = "def p(w, g, m, lr, t):\n  m = interp(g, m, 0.9)\n  s = lr * 0.01\n  x = m / t\n  update = x * s\n  return update, m\n";
    let derivation = simplified(&program(text));
    assert_is_checked(&derivation);
    let result = derivation.result();
    assert!(result.to_string().contains("(w, g, m, lr, t, *, beta=0.9, peak_lr=0.01)"), "{result}");
    // With `t` before it, `lr` can hold it.
    let derivation = simplified(&program(&text.replace("lr, t)", "t, lr)")));
    assert_is_checked(&derivation);
    let result = derivation.result();
    assert!(result.to_string().contains("(w, g, m, t, lr=0.01, *, beta=0.9)"), "{result}");
}

#[test]
fn what_is_shorter_and_longer_to_read_is_not_taken() {
    // As one blend under the sign it would have a weight of 16 digits.
    let text = "def p(w, g, m, lr):\n  u = sign(0.95 * m + 0.06 * g)\n  m = u * 2.0\n  update = u * lr\n  return update, m\n";
    let result = simplified(&program(text)).result().to_string();
    let digits = |word: &str| word.chars().filter(char::is_ascii_digit).count();
    assert!(result.split([' ', ',', '(', ')', '=']).all(|word| digits(word) <= 4), "{result}");
    // A program that is shorter in every way is taken.
    let text =
        "def p(w, g, m, lr):\n  m = 0.95 * m + 0.05 * g\n  update = m * lr\n  return update, m\n";
    let result = simplified(&program(text)).result().to_string();
    assert!(result.contains("m = interp(g, m, beta)"), "{result}");
}

#[test]
fn hyperparameters_that_nothing_reads_go() {
    let text = "def p(w, g, m, lr, *, beta=0.9, unused=0.5, decay=0.1):\n  m = interp(g, m, beta)\n  x = w * unused\n  update = m * lr + w * decay\n  \
                return update, m\n";
    let derivation = simplified(&program(text));
    let names: Vec<&str> = derivation
        .result()
        .signature()
        .hyperparameters()
        .map(|(_, parameter)| parameter.name.as_str())
        .collect();
    assert_eq!(names, ["beta", "decay"], "{}", derivation.markdown());
    let step = derivation
        .steps
        .iter()
        .find(|step| step.reasons[0].rule == "hyperparameters that nothing reads")
        .expect("a step");
    assert_eq!((step.label, step.reasons[0].text.as_str()), (Label::Exact, "unused"));
}

#[test]
fn a_step_that_gives_lr_another_meaning_says_so() {
    let halved = program(
        "def p(w, g, lr=0.001):\n  step = lr * 0.5\n  update = sign(g) * step\n  return update\n",
    );
    let derivation = simplified(&halved);
    let step =
        derivation.steps.iter().find(|step| step.kind == StepKind::Constants).expect("a step");
    assert_eq!(
        (step.label, step.conditions.as_slice()),
        (Label::Domain, ["lr is 0.5 times what it was".to_owned()].as_slice())
    );
    assert_eq!(derivation.result().signature().peak_learning_rate(), 0.0005);
    assert!(
        derivation.markdown().contains("- where `lr is 0.5 times what it was`"),
        "{}",
        derivation.markdown()
    );
    // Where nothing may have a condition, `lr` stays what it is.
    for label in [Label::Exact, Label::Real] {
        let derivation = with_label(&halved, label);
        assert_eq!(
            derivation.result().signature().peak_learning_rate(),
            0.001,
            "{}",
            derivation.markdown()
        );
        assert!(derivation.label() <= label);
    }
}

#[test]
fn limits_are_named_with_their_options_and_only_where_they_can_matter() {
    let short = simplified(&program(
        "def p(w, g, m, lr):\n  m = 0.95 * m + 0.05 * g\n  update = m * lr\n  return update, m\n",
    ));
    assert!(short.notes.is_empty(), "{:?}", short.notes);
    let long: String =
        (0..12).map(|i| format!("  x = x * {}.5 + sin(w)\n  w = w * x\n", i)).collect();
    let notes = simplified(&program(&format!(
        "def p(w, g, lr):\n  x = g\n{long}  update = x * lr\n  return update\n"
    )))
    .notes;
    assert!(
        notes.iter().any(|note| note.contains("(--nodes)") || note.contains("(--rounds)")),
        "{notes:?}"
    );
}

#[test]
fn a_step_that_is_right_where_a_huge_number_swallows_the_others_is_taken() {
    let swamped = "@guarded\ndef p(w, g, s0, lr):\n  v0 = cube(g)\n  w = interp(g, norm(v0), 1.893623)\n  s2 = arcsinh((lr - w) + w)\n  \
                   v10 = (s2 + s0) - s0\n  update = sin(sqrt(v10))\n  return update, s0\n";
    let derivation = simplified(&program(swamped));
    assert!(derivation.rejected.is_empty(), "{}", derivation.markdown());
}
