//! A store that the first release wrote is read, and its search goes on as it began.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use symopt_proxy_tasks::suite::Fitness;
use symopt_proxy_tasks::task::{TaskError, Verdict};
use symopt_search::cache::Evaluation;
use symopt_search::judge::{Judge, Request};
use symopt_search::{Journal, Search, SearchConfig, StopReason};

/// What [`Journal::contents`] gave there: a search of 120 programs.
const CONTENTS: &str = include_str!("data/store-1.txt");

/// Knows the fitness that the initial program had, and no other.
struct Initial;

impl Judge for Initial {
    fn checkpoints(&self) -> usize {
        4
    }

    fn judge(&self, request: &Request, _: &mut dyn FnMut(usize, f64) -> Verdict) -> Result<Evaluation, TaskError> {
        let hash = symopt_dsl::Graph::new(request.program).unwrap().hash().0;
        assert_eq!(*request.program, symopt_programs::find("adamw-paper").unwrap().program(), "something is evaluated again");
        let fitness = (hash % 1000) as f64 / 1000.0;
        let curve = (1..=4).map(|checkpoint| fitness * f64::from(checkpoint) / 4.0).collect();
        Ok(Evaluation::new(Fitness::Improvement(fitness), curve))
    }
}

fn write_store(path: &Path) {
    let database = sled::open(path.join("journal")).unwrap();
    let mut evaluations = 0;
    for line in CONTENTS.lines() {
        let (name, value) = line.split_once('\t').unwrap();
        evaluations += u64::from(name.starts_with("evaluation/"));
        let key = match name.split_once('/') {
            Some((prefix, number)) => [prefix.as_bytes(), b"/", &number.parse::<u64>().unwrap().to_be_bytes()].concat(),
            None => name.as_bytes().to_vec(),
        };
        database.insert(key, value).unwrap();
    }
    std::fs::write(path.join("acknowledged"), format!("{evaluations:020}\n")).unwrap();
    std::fs::write(path.join("symopt-store.json"), r#"{"format":"symopt store","version":1}"#).unwrap();
}

#[test]
fn a_store_of_the_first_release_is_opened_and_bred_again_without_one_new_evaluation() {
    let directory = tempfile::tempdir().unwrap();
    write_store(directory.path());
    let mut journal = Journal::open(directory.path()).unwrap();
    let mut expected = SearchConfig { seed: 5, ..SearchConfig::default() };
    (expected.evolution.population, expected.evolution.lag) = (20, 16);
    (expected.hurdle.margin, expected.limits.programs) = (0.1, 120);
    // What there was not to choose has the values that stand for what it did.
    let config = journal.settings().config.clone();
    assert_eq!(config, expected);
    let initial = symopt_dsl::parse(&journal.settings().initial).unwrap();
    let result = Search::new(config, None, &Initial, &mut journal, 2).run(initial, &AtomicBool::new(false), &mut |_| {}).unwrap();
    let statistics = &result.statistics;
    assert_eq!(result.stop, StopReason::Programs);
    assert_eq!((statistics.generated, statistics.evaluated, statistics.hopeless, statistics.diverged), (120, 50, 10, 4));
    assert_eq!((result.best.index, result.best.fitness), (Some(15), Fitness::Improvement(0.994)));
    assert_eq!(statistics.redundant_sum, 22.677_308_802_308_79);
    assert!(journal.contents().unwrap() == CONTENTS, "the journal differs");
}
