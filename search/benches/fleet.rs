//! How busy many workers would be with one search: the engine in virtual time, with times of real
//! evaluations, for up to 10,000 workers, by lag, size of packs and rounds. Prints Markdown; some
//! minutes on one core.
//!
//! The evaluations of a search are timed on `quick` and on `1x`, early stopping included, and their
//! times are drawn again and again. A task of minutes on a GPU has the times of `1x`, scaled to a
//! mean of three minutes. Fitness comes from `smoke`, whose evaluations are real and quick.

use std::sync::Arc;

use cpu_time::ThreadTime;
use symopt_cancel::CancelToken;
use symopt_dsl::Program;
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_search::SearchConfig;
use symopt_search::engine::virtual_time::{Fleet, Usage, simulate};
use symopt_search::judge::{Judge, Request, SuiteJudge};

/// Lags that are tried; the default is 256.
const LAGS: [usize; 5] = [64, 256, 1024, 4096, 16384];
/// Numbers of workers.
const WORKERS: [usize; 6] = [1, 4, 16, 100, 1000, 10_000];

fn judge_of(suite: &str) -> SuiteJudge {
    let source = SuiteSource::find(suite).expect("it is built in");
    let suite = Arc::new(source.suite().expect("it is built in"));
    SuiteJudge::new(suite, &CancelToken::new()).expect("the suite is tuned")
}

fn config(lag: usize) -> SearchConfig {
    let mut config = SearchConfig::default();
    config.evolution.lag = lag;
    config
}

fn initial() -> Program {
    let config = SearchConfig::default();
    let program =
        symopt_programs::find(&config.initial.to_string()).expect("it is in the zoo").program();
    let mut signature = program.signature().clone();
    signature.numerics = config.numerics.into();
    program.with_signature(signature)
}

/// Seconds of the first evaluations of a search on a suite, in their order.
fn times(suite: &str, evaluations: u64) -> Vec<f64> {
    let judge = judge_of(suite);
    let mut times = Vec::new();
    let mut evaluate = |request: &Request| {
        let begin = ThreadTime::now();
        let mut watch = |checkpoint, running| request.verdict(checkpoint, running);
        let evaluation = judge.judge(request, &CancelToken::new(), &mut watch)?;
        times.push(begin.elapsed().as_secs_f64());
        Ok((evaluation, 1.0))
    };
    let ended =
        simulate(&config(256), &judge, &initial(), &Fleet::new(2), evaluations, &mut evaluate);
    let _ = ended.expect("the search runs");
    times
}

/// A search on `smoke` whose evaluations take the given times.
fn run(fleet: &Fleet, lag: usize, times: &[f64]) -> Usage {
    // Long enough that each worker has some, and that the population has filled.
    let evaluations = (4 * fleet.workers as u64).clamp(2000, 40_000);
    let judge = judge_of("smoke");
    let mut next = times.iter().copied().cycle();
    let mut evaluate = |request: &Request| {
        let mut watch = |checkpoint, running| request.verdict(checkpoint, running);
        let evaluation = judge.judge(request, &CancelToken::new(), &mut watch)?;
        Ok((evaluation, next.next().unwrap_or(1.0)))
    };
    simulate(&config(lag), &judge, &initial(), fleet, evaluations, &mut evaluate)
        .expect("the search runs")
}

fn mean(times: &[f64]) -> f64 {
    times.iter().sum::<f64>() / times.len() as f64
}

fn table(title: &str, times: &[f64], fleet: impl Fn(usize) -> Fleet) {
    println!("\n## {title}\n");
    println!("Mean time of an evaluation: {:.3} s.\n", mean(times));
    let heads: Vec<String> = WORKERS.iter().map(|workers| format!(" {workers} |")).collect();
    println!("| lag |{}", heads.concat());
    println!("|---|{}", "---|".repeat(WORKERS.len()));
    for lag in LAGS {
        print!("| {lag} |");
        for workers in WORKERS {
            let fleet = fleet(workers);
            print!(" {:.0} % |", 100.0 * run(&fleet, lag, times).busy(&fleet));
        }
        println!();
    }
}

fn main() {
    let quick = times("quick", 2000);
    let once = times("1x", 400);
    let factor = 180.0 / mean(&once);
    let minutes: Vec<f64> = once.iter().map(|time| factor * time).collect();
    println!("# How busy a fleet is with one search");
    println!("\nShare of the workers' time in evaluations, by lag and number of workers.");
    table("`quick`, whole evaluations", &quick, Fleet::new);
    table("`1x`, whole evaluations", &once, Fleet::new);
    table("Minutes on a GPU, whole evaluations", &minutes, |workers| Fleet {
        pack: f64::INFINITY,
        ..Fleet::new(workers)
    });
    table("Minutes on a GPU, in packs of 20 s", &minutes, |workers| Fleet {
        pack: 20.0,
        ..Fleet::new(workers)
    });
    table(
        "Minutes on a GPU, packs of 20 s in 5 rounds, workers lost every 4 hours, one pack of 100 ten times as slow",
        &minutes,
        |workers| Fleet {
            pack: 20.0,
            rounds: 5,
            losses: 1.0 / (4.0 * 3600.0),
            slow: 0.01,
            ..Fleet::new(workers)
        },
    );
}
