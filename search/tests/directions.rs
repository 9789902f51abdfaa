//! Directions are judged at their own best learning rate and decay, screened, and known by what
//! they do.

use std::sync::Arc;

use symopt_cancel::CancelToken;
use symopt_dsl::Program;
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_proxy_tasks::suite::Suite;
use symopt_proxy_tasks::task::Verdict;
use symopt_search::SearchConfig;
use symopt_search::config::{Form, Screen};
use symopt_search::judge::purpose::Purpose;
use symopt_search::judge::{
    DirectionJudge, Judge, Probe, Rejection, Request, Settled, form, judge_of_directions,
};

fn judge(screens: &[Screen]) -> DirectionJudge {
    let mut config = SearchConfig::default();
    config.fitness.form = Form::Direction;
    config.fitness.screens = screens.to_vec();
    config.fitness.seeds = 8;
    let suite = Arc::new(SuiteSource::find("lion").unwrap().suite().unwrap());
    DirectionJudge::new(suite, &config, &CancelToken::new()).unwrap()
}

/// A direction from the lines of its body.
fn direction_of(body: &[&str]) -> Program {
    let lines: String = body.iter().map(|line| format!("  {line}\n")).collect();
    let text = format!(
        "@guarded\ndef train(w, g, m, v, lr, *, weight_decay=0.0):\n{lines}  return update, m, v\n"
    );
    form::split(&symopt_dsl::parse(&text).unwrap()).unwrap()
}

fn zoo(name: &str) -> Program {
    form::split(&symopt_programs::find(name).unwrap().program()).unwrap()
}

const ADAMW: &[&str] =
    &["m = interp(g, m, 0.9)", "v = interp(square(g), v, 0.999)", "update = m / sqrt(v)"];
const SIGNUM: &[&str] = &["m = interp(g, m, 0.99)", "update = sign(m)"];
const LION: &[&str] = &["update = sign(interp(g, m, 0.98))", "m = interp(g, m, 0.995)"];

fn fitness(judge: &DirectionJudge, program: &Program) -> f64 {
    let evaluation = judge
        .judge(&Request::new(program), &CancelToken::new(), &mut |_, _| Verdict::Continue)
        .unwrap();
    evaluation.fitness.improvement().unwrap()
}

#[test]
fn on_the_disclosed_family_the_order_is_adamw_signum_lion_and_the_size_of_a_direction_makes_no_difference()
 {
    let judge = judge(&[]);
    let [adamw, signum, lion] =
        [ADAMW, SIGNUM, LION].map(|body| fitness(&judge, &direction_of(body)));
    assert!(
        adamw.abs() < 0.02 && signum > adamw + 0.03 && lion > signum + 0.02,
        "{adamw} {signum} {lion}"
    );
    let larger =
        direction_of(&["update = 1024 * sign(interp(g, m, 0.98))", "m = interp(g, m, 0.995)"]);
    assert!((fitness(&judge, &larger) - lion).abs() < 1e-3);
    // The bias correction of AdamW changes little here.
    assert!((fitness(&judge, &zoo("adamw")) - adamw).abs() < 0.02);
}

#[test]
fn the_same_request_gives_the_same_evaluation_and_other_epochs_have_other_seeds() {
    let program = direction_of(SIGNUM);
    let of_epoch = |judge: &DirectionJudge, epoch| {
        let request = Request { epoch, ..Request::new(&program) };
        judge.judge(&request, &CancelToken::new(), &mut |_, _| Verdict::Continue).unwrap()
    };
    let (first, second) = (judge(&[]), judge(&[]));
    assert_eq!(of_epoch(&first, 0), of_epoch(&second, 0));
    assert_ne!(of_epoch(&first, 0).fitness, of_epoch(&first, 1).fitness);
    assert_eq!(of_epoch(&first, 1), of_epoch(&second, 1));
    // Where it did best is a good start: the tuning from there does not end far away.
    let evaluation = of_epoch(&first, 0);
    let again = Request { start: &evaluation.settings, ..Request::new(&program) };
    let again = first.judge(&again, &CancelToken::new(), &mut |_, _| Verdict::Continue).unwrap();
    assert!(
        (again.fitness.improvement().unwrap() - evaluation.fitness.improvement().unwrap()).abs()
            < 0.01
    );
    assert_eq!(evaluation.settings.len(), 3);
    assert!(evaluation.standard_error > 0.0);
}

#[test]
fn a_watcher_stops_a_hopeless_direction_at_the_first_checkpoint() {
    let judge = judge(&[]);
    let mut seen = Vec::new();
    let program = direction_of(ADAMW);
    let evaluation = judge
        .judge(&Request::new(&program), &CancelToken::new(), &mut |checkpoint, _| {
            seen.push(checkpoint);
            Verdict::Stop
        })
        .unwrap();
    assert_eq!(seen, [0]);
    assert_eq!(evaluation.fitness.improvement(), None);
    assert_eq!(evaluation.curve.len(), 1);
}

fn rejection(judge: &DirectionJudge, body: &[&str]) -> Option<Rejection> {
    judge.probe(&direction_of(body)).unwrap().rejected
}

#[test]
fn screens_reject_what_they_are_for_and_let_known_optimizers_through() {
    let judge = judge(&[Screen::Odd, Screen::Invariant, Screen::Steady]);
    for body in [
        ADAMW,
        SIGNUM,
        LION,
        &["m = interp(g, m, 0.98)", "v = interp(square(m), v, 0.9)", "update = m / sqrt(v)"],
    ] {
        assert_eq!(rejection(&judge, body), None, "{body:?}");
        assert!(fitness(&judge, &direction_of(body)).is_finite(), "{body:?}");
    }
    for (body, screen) in [
        (&["update = sign(square(g))"][..], Screen::Odd),
        (&["update = sign(g + 0.01)"], Screen::Odd),
        (&["update = g"], Screen::Invariant),
        (&["update = cbrt(g)"], Screen::Invariant),
        (&["update = tanh(g)"], Screen::Invariant),
    ] {
        assert_eq!(rejection(&judge, body), Some(Rejection::Screen(screen)), "{body:?}");
    }
    for body in [&["update = m"][..], &["update = log(m)"], &["update = exp(1000 * sign(g))"]] {
        assert_eq!(rejection(&judge, body), Some(Rejection::NotFinite), "{body:?}");
    }
    // A memory that never forgets, one that grows, and a clock that makes the direction ever
    // larger: seen on the long stream only.
    for body in [
        &["m = m + g", "update = sign(m)"][..],
        &["m = 1.01 * m + g", "update = sign(m)"],
        &["update = sign(interp(g / 0.646, m, 0.998))", "m = interp(g, m, 0.999) / 0.958"],
        &["m = m + square(sign(g))", "update = m * sign(g)"],
        // It grows up to a point, the same one whatever comes.
        &["update = sign(interp(g, v, 0.995))", "v = log1p(interp(g, m, 0.999))", "m = v / 0.956"],
    ] {
        assert_eq!(rejection(&judge, body), None, "{body:?}");
        let program = direction_of(body);
        let evaluation = judge
            .judge(&Request::new(&program), &CancelToken::new(), &mut |_, _| Verdict::Continue)
            .unwrap();
        assert_eq!(evaluation.fitness.to_string(), "screened", "{body:?}");
    }
}

#[test]
fn programs_that_do_the_same_share_a_fingerprint() {
    let judge = judge(&[]);
    let probe = |body: &[&str]| -> Probe { judge.probe(&direction_of(body)).unwrap() };
    let signum = probe(SIGNUM);
    for body in [
        &["m = interp(g, m, 0.99)", "update = m / sqrt(m * m)"][..],
        &["m = interp(g, m, 0.99)", "v = interp(square(g), v, 0.9)", "update = sign(m / sqrt(v))"],
        &["m = interp(g, m, 0.99)", "update = 3 * sign(m)"],
    ] {
        assert_eq!(probe(body).fingerprint, signum.fingerprint, "{body:?}");
    }
    for body in [LION, ADAMW, &["m = interp(g, m, 0.98)", "update = sign(m)"]] {
        assert_ne!(probe(body).fingerprint, signum.fingerprint, "{body:?}");
    }
    assert!(signum.rms.iter().all(|rms| (rms - 1.0).abs() < 1e-2), "{:?}", signum.rms);
}

#[test]
fn a_direction_in_its_settings_does_on_a_suite_what_its_judge_says() {
    let suite = Arc::new(SuiteSource::find("smoke").unwrap().suite().unwrap());
    let judge = judge_of_directions(&suite, Purpose::Report, 3, 2, &CancelToken::new()).unwrap();
    for name in ["adamw-paper", "signum"] {
        let direction = zoo(name);
        let evaluation = judge
            .judge(&Request::new(&direction), &CancelToken::new(), &mut |_, _| Verdict::Continue)
            .unwrap();
        let settled =
            Settled::new(&direction, &evaluation.settings, &suite.tasks, &CancelToken::new())
                .unwrap()
                .unwrap();
        let seeds = Suite::rotating_seeds(Purpose::Report.search(), 0, 5).split_off(2);
        let baseline = suite.baseline(&seeds, &CancelToken::new()).unwrap();
        let outcome = suite
            .evaluate_as(&settled.candidates(), &baseline, &CancelToken::new(), &mut |_, _| {
                Verdict::Continue
            })
            .unwrap();
        let (judged, trained) =
            (evaluation.fitness.improvement().unwrap(), outcome.fitness.improvement().unwrap());
        assert!((judged - trained).abs() < 1e-12, "{name}: {judged} {trained}");
        // The defaults of the whole program are in the middle of the tasks.
        let whole = settled.with_defaults();
        let peak = whole.signature().peak_learning_rate();
        let rates: Vec<f64> = settled.constants.iter().map(|(peak_lr, _)| *peak_lr).collect();
        assert!(
            rates.iter().any(|rate| *rate <= 1.01 * peak)
                && rates.iter().any(|rate| *rate >= 0.99 * peak),
            "{peak}: {rates:?}"
        );
    }
    assert!(
        Settled::new(&zoo("signum"), &[], &suite.tasks, &CancelToken::new()).unwrap().is_none(),
        "nothing is known of it"
    );
}
