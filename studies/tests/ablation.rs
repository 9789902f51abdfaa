//! Bypasses are other programs of the right types; what makes no difference goes, and what does
//! stays.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use symopt_analysis::simplify::derivation::{StepKind, Support};
use symopt_analysis::simplify::label::Label;
use symopt_cancel::CancelToken;
use symopt_dsl::{Graph, Program, parse};
use symopt_proxy_tasks::sample::Criterion;
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_proxy_tasks::suite::{Fitness, Suite};
use symopt_proxy_tasks::task::Verdict;
use symopt_studies::ablation::{Ablation, ablate, ablate_once, bypasses, shorten_constants};
use symopt_studies::importance::importance;
use symopt_studies::trials::Trials;

fn suite() -> Suite {
    SuiteSource::find("smoke").unwrap().suite().unwrap()
}

fn zoo(name: &str) -> Program {
    symopt_programs::find(name).unwrap().program()
}

fn criterion() -> Criterion {
    Criterion { tolerance: 0.03, confidence: 0.95 }
}

fn trials<'a>(suite: &'a Suite, name: Option<&str>, threads: usize) -> Trials<'a> {
    Trials::new(
        suite,
        name,
        &Trials::seeds(8),
        criterion(),
        threads,
        &CancelToken::new(),
        &|_, _| {},
    )
    .unwrap()
}

/// Lion with a statement that does next to nothing, and one that nothing needs.
fn with_arctan() -> Program {
    let text = "def f(w, g, m, lr=0.0316):
  unused = g * g
  g = arctan(g)
  c = interp(g, m, 0.8999999761581421)
  m = interp(g, m, 0.98765)
  update = sign(c)
  update = update * lr
  return update, m";
    parse(text).unwrap()
}

#[test]
fn every_bypass_in_the_zoo_is_well_typed_and_another_program() {
    let mut count = 0;
    for entry in symopt_programs::zoo() {
        let program = entry.program();
        let hash = Graph::new(&program).unwrap().hash();
        for statement in 0..program.statements.len() {
            let mut seen = BTreeSet::from([hash]);
            for (name, changed) in bypasses(&program, statement) {
                let graph = Graph::new(&changed)
                    .unwrap_or_else(|errors| panic!("{} {name}: {errors:?}", entry.name));
                assert!(seen.insert(graph.hash()), "{} {name}: nothing new", entry.name);
                assert_eq!(
                    parse(&changed.to_string()).map(|p| p.to_string()),
                    Ok(changed.to_string())
                );
                count += 1;
            }
        }
    }
    assert!(count > 200, "{count}");
}

#[test]
fn bypasses_have_names_for_people_and_respect_types() {
    let names = |program: &Program, statement| {
        bypasses(program, statement).into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    let raw = zoo("lion-raw");
    assert_eq!(names(&raw, 0), ["clip(g, lr) bypassed: g = g"]);
    assert_eq!(names(&raw, 5), ["arcsin(g) bypassed: g = g"]);
    assert_eq!(
        names(&raw, 8),
        [
            "interp(g, m, 1.109133005142212) bypassed: v = g",
            "interp(g, m, 1.109133005142212) bypassed: v = m",
            "v = interp(g, m, 1.109133005142212) deleted: v keeps its value",
        ]
    );
    // An unused statement can't be bypassed to any effect, a scalar is no stand-in for an array,
    // and there is no statement 99.
    assert_eq!(names(&raw, 2), [""; 0]);
    assert_eq!(names(&raw, 16), ["wd * w bypassed: wd = w"]);
    assert_eq!(names(&raw, 99), [""; 0]);
    let normalized = parse("def f(w, g, lr):\n  n = norm(g)\n  update = g / n\n  update = update * lr\n  return update").unwrap();
    assert_eq!(names(&normalized, 0), [""; 0]);
    assert_eq!(names(&normalized, 1), ["g / n bypassed: update = g"]);
    // A copy of a variable to itself is no statement at all.
    let bypassed = &bypasses(&raw, 0)[0].1;
    assert_eq!(bypassed.statements.len(), raw.statements.len() - 1);
}

#[test]
fn scores_are_the_fitness_of_the_suite_on_each_seed() {
    let suite = suite();
    for name in ["lion", "adamw-paper"] {
        let mut trials = trials(&suite, Some(name), 2);
        assert_eq!(trials.is_tuned(), name == "lion");
        let program = zoo(name);
        let baseline = suite.baseline(&Trials::seeds(8), &CancelToken::new()).unwrap();
        let outcome = suite
            .evaluate(&program, Some(name), &baseline, &CancelToken::new(), &mut |_, _| {
                Verdict::Continue
            })
            .unwrap();
        assert_eq!(
            trials.scores(&[&program]).unwrap()[0].as_deref(),
            outcome.by_seed(&suite).as_deref()
        );
        let Fitness::Improvement(fitness) = outcome.fitness else { panic!("{name} diverges") };
        let Fitness::Improvement(of_trials) = trials.fitness(&program).unwrap() else {
            panic!("{name} diverges")
        };
        assert!((fitness - of_trials).abs() < 1e-12);
        assert_eq!(trials.trained(), 1, "the same program was trained twice");
    }
    let diverging = parse("def f(w, g, lr):\n  update = g * -1e9\n  return update").unwrap();
    let mut trials = trials(&suite, None, 2);
    assert_eq!(trials.scores(&[&diverging]).unwrap(), [None]);
    assert_eq!(trials.fitness(&diverging).unwrap(), Fitness::Diverged);
}

#[test]
fn a_program_that_is_not_tuned_gets_the_size_of_its_steps() {
    let suite = suite();
    let slow = parse("def f(w, g, lr):\n  update = sign(g)\n  lr = lr * 1e-5\n  update = update * lr\n  return update").unwrap();
    let mut trials = trials(&suite, None, 2);
    let before = trials.fitness(&slow).unwrap();
    trials.tune(&slow).unwrap();
    assert!(trials.factors().iter().all(|(_, factor)| *factor > 100.0), "{:?}", trials.factors());
    assert!(trials.fitness(&slow).unwrap() > before);
    // And one that goes much too fast.
    let fast = parse("def f(w, g, lr):\n  update = sign(g)\n  lr = lr * 100.0\n  update = update * lr\n  return update").unwrap();
    trials.tune(&fast).unwrap();
    assert!(trials.factors().iter().all(|(_, factor)| *factor < 0.01), "{:?}", trials.factors());
    assert!(trials.fitness(&fast).unwrap() > before);
    // A zoo program with tuned constants is left as it is.
    let mut trials = self::trials(&suite, Some("lion"), 2);
    trials.tune(&zoo("lion")).unwrap();
    assert!(trials.factors().iter().all(|(_, factor)| *factor == 1.0));
}

#[test]
fn what_does_nothing_goes_and_what_matters_stays() {
    let suite = suite();
    let program = with_arctan();
    let Ablation { steps, trials: last } = ablate(&program, &mut trials(&suite, None, 2)).unwrap();
    let text = steps.last().unwrap().after.to_string();
    assert!(!text.contains("arctan") && !text.contains("unused"), "{text}");
    assert!(text.contains("sign") && text.matches("interp").count() == 2, "{text}");
    assert_eq!(steps.len(), 1);
    let step = &steps[0];
    assert_eq!(
        (step.kind, step.label, step.touched.as_slice()),
        (StepKind::Ablation, Label::Fitness, [0, 1].as_slice())
    );
    assert_eq!(step.before, program);
    assert!(
        step.reasons[0].text.starts_with("arctan(g) bypassed: g = g; the fitness changes by"),
        "{}",
        step.reasons[0].text
    );
    let Support::Trials(tried) = &step.support else { panic!("no trials") };
    assert_eq!(
        tried
            .iter()
            .filter(|trial| trial.kept)
            .map(|trial| trial.change.as_str())
            .collect::<Vec<_>>(),
        ["arctan(g) bypassed: g = g"]
    );
    assert!(tried.len() > 4 && tried.iter().all(|trial| trial.fitness_before.is_some()));
    // The last round is there to be read, with numbers that say why nothing passed.
    assert!(!last.is_empty() && last.iter().all(|trial| !trial.kept));
    let sign = last.iter().find(|trial| trial.change.contains("sign(c) bypassed")).unwrap();
    assert!(sign.difference.is_none_or(|difference| difference < -0.5), "{sign:?}");
    assert_eq!(ablate_once(&step.after, &mut trials(&suite, None, 1)).unwrap().steps, []);
}

#[test]
fn of_the_published_raw_program_the_clip_and_the_arcsin_go_and_lion_stays() {
    // lion-raw as algebra leaves it.
    let program = parse(
        "@guarded
def f(w, g, m, lr):
  g = clip(g, lr)
  g = arcsin(g)
  c = interp(g, m, 0.8999999761581421)
  m = interp(g, m, 0.9982197)
  update = sign(c)
  decay = w * 0.4601978361606598
  update = update + decay
  lr = lr * 0.0002171761734643951
  update = update * lr
  return update, m",
    )
    .unwrap();
    let suite = SuiteSource::find("quick").unwrap().suite().unwrap();
    let mut trials = Trials::new(
        &suite,
        None,
        &Trials::seeds(16),
        Criterion::default(),
        2,
        &CancelToken::new(),
        &|_, _| {},
    )
    .unwrap();
    let Fitness::Improvement(untuned) = trials.fitness(&program).unwrap() else {
        panic!("it diverges")
    };
    trials.tune(&program).unwrap();
    let Fitness::Improvement(tuned) = trials.fitness(&program).unwrap() else {
        panic!("it diverges")
    };
    // Its own learning rate is for training a thousand times as long.
    assert!(untuned < -2.0 && tuned > -0.1, "{untuned} {tuned}");
    let Ablation { steps, trials: last } = ablate(&program, &mut trials).unwrap();
    let gone: Vec<&str> = steps
        .iter()
        .map(|step| step.reasons[0].text.split(';').next().unwrap_or_default())
        .collect();
    assert_eq!(gone, ["arcsin(g) bypassed: g = g", "clip(g, lr) bypassed: g = g"]);
    // All that is left is far from passing.
    assert!(
        last.iter().all(|trial| trial.difference.is_none_or(|difference| difference < -0.04)),
        "{last:?}"
    );
}

#[test]
fn ablation_and_importance_are_the_same_on_any_number_of_threads() {
    let suite = suite();
    let all = |threads| {
        let mut trials = trials(&suite, None, threads);
        trials.tune(&with_arctan()).unwrap();
        let ablation = ablate(&with_arctan(), &mut trials).unwrap();
        let constants = shorten_constants(&with_arctan(), &mut trials).unwrap();
        (trials.factors(), ablation, constants, importance(&with_arctan(), &mut trials).unwrap())
    };
    let one = all(1);
    for threads in [2, 5] {
        assert!(all(threads) == one, "{threads} threads give something else");
    }
}

#[test]
fn many_small_losses_do_not_add_up() {
    // Steps that are smaller and smaller: each costs less than the tolerance, all together much
    // more.
    let suite = suite();
    let mut trials = trials(&suite, None, 2);
    let program = |k: i32| {
        let factor = 0.97f64.powi(k);
        parse(&format!(
            "def f(w, g, lr):\n  lr = lr * {factor:?}\n  update = g * lr\n  return update"
        ))
        .unwrap()
    };
    trials.tune(&program(0)).unwrap();
    let Fitness::Improvement(first) = trials.fitness(&program(0)).unwrap() else {
        panic!("it diverges")
    };
    let mut kept = 0;
    let mut fitness = first;
    let refused = (1..200).find_map(|k| {
        let trial = trials
            .compare(&program(k - 1), &[("smaller".to_owned(), program(k))])
            .unwrap()
            .remove(0);
        if trial.kept {
            kept += 1;
            fitness = trial.fitness_after.unwrap();
            None
        } else {
            Some(trial)
        }
    });
    let refused = refused.expect("there is an end to it");
    assert!(kept > 0 && fitness > first - criterion().tolerance, "{kept} {first} {fitness}");
    assert!(
        refused.difference.unwrap() > -criterion().tolerance,
        "the last step alone would not have passed: {refused:?}"
    );
}

#[test]
fn constants_get_the_fewest_digits_that_pass() {
    let suite = suite();
    let program = with_arctan();
    let Ablation { steps, .. } = shorten_constants(&program, &mut trials(&suite, None, 2)).unwrap();
    let after = &steps.last().unwrap().after;
    let text = after.to_string();
    assert!(text.contains("interp(g, m, 0.9)") && text.contains("lr=0.03"), "{text}");
    assert!(!text.contains("0.98765"), "{text}");
    let mut before = &program;
    for step in &steps {
        assert_eq!((step.kind, step.label), (StepKind::Constants, Label::Fitness));
        assert_eq!(&step.before, before);
        let Support::Trials(tried) = &step.support else { panic!("no trials") };
        // All that had fewer digits failed.
        assert!(tried.last().unwrap().kept && tried.iter().rev().skip(1).all(|trial| !trial.kept));
        before = &step.after;
    }
    assert_eq!(
        steps.iter().map(|step| step.touched.clone()).collect::<Vec<_>>(),
        [vec![], vec![2], vec![3]]
    );
    // Constants that are short already are not tried.
    let short = parse(
        "def f(w, g, m, lr=0.03):\n  m = interp(g, m, 0.9)\n  update = m * lr\n  return update, m",
    )
    .unwrap();
    assert_eq!(
        shorten_constants(&short, &mut trials(&suite, None, 2)).unwrap(),
        Ablation { steps: vec![], trials: vec![] }
    );
    // A program that is tuned for the tasks has no use for its defaults.
    assert_eq!(
        shorten_constants(&zoo("lion"), &mut trials(&suite, Some("lion"), 2)).unwrap(),
        Ablation { steps: vec![], trials: vec![] }
    );
}

#[test]
fn importance_tells_what_matters_most() {
    let suite = suite();
    let program = zoo("lion");
    let report = importance(&program, &mut trials(&suite, Some("lion"), 2)).unwrap();
    assert_eq!(
        report.statements.iter().map(|s| s.statement).collect::<Vec<_>>(),
        (0..program.statements.len()).collect::<Vec<_>>()
    );
    let change = |text: &str| report.statements.iter().find(|s| s.text.contains(text)).unwrap();
    assert!(
        change("sign").fitness_change.unwrap()
            < change("update + decay").fitness_change.unwrap() - 0.5,
        "{report:?}"
    );
    assert!(change("sign").standard_error.unwrap() > 0.0);
    assert!(change("lr").diverges && change("lr").fitness_change.is_none());
    let of_update = |text: &str| change(text).update_change.unwrap();
    // With the tuned weight decay: at its default of 0 there would be no change at all.
    assert!(
        of_update("update + decay") > 1e-6 && of_update("sign") > of_update("update + decay"),
        "{report:?}"
    );

    let normalized = parse("def f(w, g, lr=0.1):\n  n = norm(g)\n  update = g / n\n  update = update * lr\n  return update").unwrap();
    let report = importance(&normalized, &mut trials(&suite, None, 2)).unwrap();
    let norm = &report.statements[0];
    assert_eq!(
        (&norm.bypass, norm.fitness_change, norm.diverges, norm.update_change),
        (&None, None, false, None)
    );
}

#[test]
fn trials_end_when_they_are_cancelled_and_tell_how_far_they_are() {
    let suite = suite();
    let cancelled_after = |limit: usize| {
        let (seen, cancel) = (AtomicUsize::new(0), CancelToken::new());
        let observe = |_: usize, _: usize| {
            if seen.fetch_add(1, Ordering::Relaxed) + 1 == limit {
                cancel.cancel();
            }
        };
        if limit == 0 {
            cancel.cancel();
        }
        Trials::new(&suite, None, &Trials::seeds(8), criterion(), 2, &cancel, &observe)
            .and_then(|mut trials| ablate(&with_arctan(), &mut trials))
    };
    for limit in [0, 1, 9, 40, 150] {
        assert!(cancelled_after(limit).is_err_and(|error| error.is_cancelled()), "{limit}");
    }
    assert!(cancelled_after(usize::MAX).is_ok());

    let (calls, last) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let observe = |done: usize, total: usize| {
        assert!(done <= total);
        calls.fetch_add(1, Ordering::Relaxed);
        last.fetch_max(done, Ordering::Relaxed);
    };
    let (seeds, cancel) = (Trials::seeds(3), CancelToken::new());
    let mut trials = Trials::new(&suite, None, &seeds, criterion(), 2, &cancel, &observe).unwrap();
    assert_eq!((calls.load(Ordering::Relaxed), last.load(Ordering::Relaxed)), (3, 3));
    trials.fitness(&with_arctan()).unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 3 + 3 * suite.tasks.len());
}
