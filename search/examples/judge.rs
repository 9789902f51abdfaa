//! Judges the directions of a file over several epochs.

use std::sync::Arc;
use symopt_proxy_tasks::{spec::SuiteSource, task::Verdict};
use symopt_search::{
    SearchConfig, direction,
    judge::{self, Request},
};
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let mut config = SearchConfig::from_toml(&std::fs::read_to_string(&args[1]).unwrap()).unwrap();
    let epochs: u64 = args[2].parse().unwrap();
    config.seed = 555;
    config.fitness.seeds = 16;
    config.fitness.tuning_seeds = 16;
    let suite = Arc::new(SuiteSource::find(&config.suite).unwrap().suite().unwrap());
    let j = judge::of_config(&config, &suite).unwrap();
    for p in &args[3..] {
        let text = std::fs::read_to_string(p).unwrap();
        for body in text.split("----\n") {
            let program = symopt_dsl::parse(body).map_err(|e| e.render("x", body, false)).unwrap();
            let d = direction::split(&program).unwrap();
            let mut fits = vec![];
            let mut last = None;
            let mut start: Arc<[_]> = Arc::from([]);
            for e in 0..epochs {
                let ev = j.judge(&Request { program: &d, epoch: e, start: &start }, &mut |_, _| Verdict::Continue).unwrap();
                start = Arc::clone(&ev.settings);
                fits.push(ev.fitness.improvement().unwrap_or(f64::NAN));
                last = Some(ev);
            }
            let n = fits.len() as f64;
            let m = fits.iter().sum::<f64>() / n;
            let se = (fits.iter().map(|f| (f - m).powi(2)).sum::<f64>() / (n - 1.0).max(1.0) / n).sqrt();
            let s: Vec<String> = last.unwrap().settings.iter().map(|s| format!("({},{})", s.x as f64 / 2.0, s.z as f64 / 2.0)).collect();
            println!(
                "{:+.2} ± {:.2} %  {}  {}",
                100.0 * m,
                100.0 * se,
                s.join(" "),
                body.lines().filter(|l| l.starts_with("  ")).map(|l| l.trim()).collect::<Vec<_>>().join("; ")
            );
        }
    }
}
