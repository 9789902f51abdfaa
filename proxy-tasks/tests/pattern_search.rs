//! The pattern search, on tasks whose best setting is known.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use symopt_cancel::CancelToken;
use symopt_dsl::{Program, parse};
use symopt_proxy_tasks::error::TaskError;
use symopt_proxy_tasks::run::{Checkpoint, Metrics, Run, StopReason};
use symopt_proxy_tasks::spec::find_task;
use symopt_proxy_tasks::task::{Candidate, Task, TaskDescription, Verdict};
use symopt_proxy_tasks::tuning::pattern_search::{
    End, Protocol, Tuning, dimensions, search, search_in_units,
};

/// The loss is a quadratic in the logarithms of learning rate and decay, tilted, and of what is
/// left of the shares; large learning rates diverge.
struct Bowl {
    /// Logarithms to base two.
    learning_rate: f64,
    decay: f64,
    share: f64,
    diverges_above: f64,
    runs: AtomicUsize,
}

impl Bowl {
    fn new(learning_rate: f64, decay: f64, share: f64) -> Bowl {
        Bowl {
            learning_rate,
            decay,
            share,
            diverges_above: f64::INFINITY,
            runs: AtomicUsize::new(0),
        }
    }
}

impl Task for Bowl {
    fn name(&self) -> &str {
        "bowl"
    }

    fn describe(&self) -> Result<TaskDescription, TaskError> {
        unreachable!("nobody asks")
    }

    fn checkpoints(&self) -> usize {
        1
    }

    fn run(
        &self,
        candidate: &Candidate,
        seed: u64,
        _: &CancelToken,
        watch: &mut dyn FnMut(&Checkpoint) -> Verdict,
    ) -> Result<Run, TaskError> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        if candidate.peak_lr > self.diverges_above {
            return Ok(Run {
                curve: Vec::new(),
                stop: StopReason::Diverged { step: 1 },
                elapsed: Duration::ZERO,
            });
        }
        let x = candidate.peak_lr.log2() - self.learning_rate;
        let mut loss = 1.0 + 0.01 * (seed % 7) as f64;
        let mut z = 0.0;
        for (name, value) in candidate.hyperparameters {
            match name.as_str() {
                "weight_decay" => z = value.log2() - self.decay,
                _ => loss += 0.1 * ((1.0 - value).log2() - self.share).powi(2),
            }
        }
        loss += 0.1 * (x * x + z * z + 0.9 * x * z);
        let checkpoint = Checkpoint {
            step: 1,
            training_loss: loss,
            validation: Metrics { loss, accuracy: None },
        };
        watch(&checkpoint);
        Ok(Run { curve: vec![checkpoint], stop: StopReason::Completed, elapsed: Duration::ZERO })
    }
}

fn zoo(name: &str) -> Program {
    symopt_programs::find(name).unwrap().program()
}

fn tune(task: &dyn Task, name: &str, protocol: &Protocol) -> Tuning {
    search(task, &zoo(name), protocol, &CancelToken::new(), &|_| {}).unwrap()
}

#[test]
fn finds_the_bottom_of_a_tilted_bowl() {
    let protocol = Protocol { seeds: 3, budget: 3 * 400, shares: true };
    for (learning_rate, decay, share) in
        [(-6.2, 1.3, -5.0), (-14.0, 4.9, -2.0), (6.0, -6.0, -8.7), (-7.0, -9.0, -3.3)]
    {
        let task = Bowl::new(learning_rate, decay, share);
        let tuning = tune(&task, "lion", &protocol);
        assert_eq!(tuning.end, End::Converged, "{} trials", tuning.trials.len());
        let best = tuning.best().unwrap();
        // Half of a factor of √2, and some more for the tilt and for three digits.
        let near = |value: f64, wanted: f64| (value.log2() - wanted).abs() < 0.55;
        assert!(near(best.peak_lr, learning_rate), "{best:?}");
        let named: Vec<&str> = best.hyperparameters.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(named, ["beta1", "beta2", "weight_decay"]);
        for (name, value) in &best.hyperparameters {
            let (value, wanted) =
                if name == "weight_decay" { (*value, decay) } else { (1.0 - value, share) };
            assert!(near(value, wanted), "{name}: {best:?}");
        }
        // It is the best of all that were tried, and nothing was tried twice.
        let lowest =
            tuning.trials.iter().filter_map(|trial| trial.loss).fold(f64::INFINITY, f64::min);
        assert_eq!(best.loss, Some(lowest));
        let longer = [("beta1".to_owned(), 0.975), ("beta2".to_owned(), 0.9975)];
        assert!(
            tuning.trials.iter().any(|trial| trial.hyperparameters[..2] == longer),
            "the second start"
        );
        let mut settings: Vec<String> = tuning
            .trials
            .iter()
            .map(|trial| format!("{} {:?}", trial.peak_lr, trial.hyperparameters))
            .collect();
        settings.sort();
        settings.dedup();
        assert_eq!(settings.len(), tuning.trials.len());
        assert!(tuning.trials.len() < 250, "{} trials", tuning.trials.len());
    }
}

#[test]
fn no_budget_is_overdrawn() {
    for (seeds, budget) in [(1, 1), (4, 3), (4, 40), (4, 43), (2, 60), (3, 150), (5, 100)] {
        let task = Bowl::new(-20.0, 7.0, -11.0);
        let protocol = Protocol { seeds, budget, shares: true };
        let tuning = tune(&task, "adamw", &protocol);
        assert_eq!(tuning.runs, task.runs.load(Ordering::Relaxed));
        assert_eq!(tuning.runs, tuning.trials.len() * seeds);
        // One point must be tried, even where the budget is too small for its seeds.
        assert!(tuning.runs <= budget.max(seeds), "{} runs of {budget}", tuning.runs);
        assert_eq!(
            (tuning.end, tuning.trials.len()),
            (End::Budget, protocol.points()),
            "{seeds} seeds, budget {budget}"
        );
    }
    // With a budget of a few points these still span the grid.
    let tuning = tune(
        &Bowl::new(-20.0, 7.0, -11.0),
        "adamw",
        &Protocol { seeds: 1, budget: 10, shares: false },
    );
    let rates: Vec<f64> = tuning.trials.iter().take(5).map(|trial| trial.peak_lr).collect();
    assert!(rates[0] < 1e-3 && rates[4] > 10.0, "{rates:?}");
}

#[test]
fn a_point_that_diverges_is_out_and_paid_in_full() {
    let task = Bowl { diverges_above: 0.01, ..Bowl::new(0.0, 0.0, -4.0) };
    let tuning = tune(&task, "lion", &Protocol { seeds: 4, budget: 4000, shares: true });
    let best = tuning.best().unwrap();
    assert!(best.peak_lr <= 0.01 && best.peak_lr > 0.005, "{best:?}");
    assert_eq!(tuning.runs, 4 * tuning.trials.len());
    assert!(task.runs.load(Ordering::Relaxed) < tuning.runs);
    assert!(tuning.trials.iter().all(|trial| trial.loss.is_none() == (trial.peak_lr > 0.01)));

    // Below the whole grid.
    let task = Bowl { diverges_above: 3e-6, ..Bowl::new(-20.0, 0.0, -4.0) };
    let best = tune(&task, "sgd", &Protocol { seeds: 2, budget: 200, shares: true })
        .best()
        .cloned()
        .unwrap();
    assert!((best.peak_lr.log2() + 20.0).abs() < 0.3, "{best:?}");

    let task = Bowl { diverges_above: 0.0, ..Bowl::new(0.0, 0.0, 0.0) };
    let tuning = tune(&task, "sgd", &Protocol { seeds: 2, budget: 200, shares: true });
    assert_eq!((tuning.best(), tuning.end), (None, End::Converged));
}

#[test]
fn what_is_tuned_follows_from_the_program() {
    let names = |name: &str, shares: bool| -> Vec<String> {
        dimensions(&zoo(name), shares).iter().map(|dimension| dimension.name().to_owned()).collect()
    };
    assert_eq!(names("adamw", true), ["lr", "beta1", "beta2", "weight_decay"]);
    assert_eq!(names("adamw", false), ["lr", "weight_decay"]);
    assert_eq!(names("sgd", true), ["lr"]);
    assert_eq!(names("rmsprop", true), ["lr", "alpha"]);
    assert_eq!(names("qhm", true), ["lr", "beta", "nu"]);
    // Their alpha is the strength of the sign, no share.
    assert_eq!(names("addsign", true), ["lr", "beta"]);
    assert_eq!(names("powersign", true), ["lr", "beta"]);
    // Its learning rate is inside, and a multiple of the one that it takes, which has no default.
    assert_eq!(names("lion-raw", true), ["lr"]);
    let tuning = tune(&Bowl::new(-10.0, 0.0, 0.0), "lion-raw", &Protocol::default());
    assert_eq!(tuning.best().unwrap().peak_lr.log2().round(), -10.0);
    // Without one there is nothing to tune from outside.
    let program = parse("def still(w, g):\n  update = g * 0.01\n  return update").unwrap();
    assert!(dimensions(&program, true).is_empty());
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let task = find_task("smoke/smoke-linear").unwrap();
    let protocol = Protocol { seeds: 3, budget: 3 * 50, shares: true };
    let with_threads = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| tune(task.task.as_ref(), "lion", &protocol))
    };
    let alone = with_threads(1);
    assert_eq!(alone, with_threads(2));
    assert_eq!(alone, with_threads(5));
    assert!(alone.trials.len() > 30);
}

#[test]
fn a_cancelled_search_says_so_and_keeps_what_it_has() {
    let task = Bowl::new(-6.0, 1.0, -5.0);
    let used = AtomicUsize::new(0);
    let protocol = Protocol { seeds: 2, budget: 1000, shares: true };
    let cancel = CancelToken::new();
    let count = |runs| {
        if used.fetch_add(runs, Ordering::Relaxed) + runs >= 100 {
            cancel.cancel();
        }
    };
    let tuning = search(&task, &zoo("lion"), &protocol, &cancel, &count).unwrap();
    assert_eq!((tuning.end, tuning.trials.len()), (End::Cancelled, 50));
    assert!(tuning.best().is_some());
}

#[test]
fn steps_of_another_size_are_tried_in_units_of_it() {
    let program = parse("def f(w, g, lr, *, weight_decay=0.0):\n  update = (g + w * weight_decay) * lr\n  return update\n").unwrap();
    let protocol = Protocol { seeds: 1, budget: 60, shares: false };
    let cancel = CancelToken::new();
    // Steps a thousand times as large need a rate of a thousandth, and the decay in these units is
    // a thousand times as large.
    let plain = search(&Bowl::new(-3.0, -2.0, 0.0), &program, &protocol, &cancel, &|_| {}).unwrap();
    let thousand = 1000.0_f64.log2();
    let bowl = Bowl::new(-3.0 - thousand, -2.0 + thousand, 0.0);
    let scaled = search_in_units(&bowl, &program, 1000.0, &protocol, &cancel, &|_| {}).unwrap();
    assert_eq!(plain.trials.len(), scaled.trials.len());
    for (plain, scaled) in plain.trials.iter().zip(&scaled.trials) {
        assert!(
            (plain.peak_lr / scaled.peak_lr / 1000.0 - 1.0).abs() < 0.01,
            "{plain:?} {scaled:?}"
        );
        assert!(
            (plain.hyperparameters[0].1 / scaled.hyperparameters[0].1 * 1000.0 - 1.0).abs() < 0.01,
            "{plain:?} {scaled:?}"
        );
    }
    assert_eq!(plain.best, scaled.best);
}
