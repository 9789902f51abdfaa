//! A store that the first release wrote is read, and its search goes on as it began.

use std::path::Path;

use symopt_cancel::CancelToken;
use symopt_proxy_tasks::error::TaskError;
use symopt_proxy_tasks::suite::Fitness;
use symopt_proxy_tasks::task::Verdict;
use symopt_search::journal::{CheckedStore, Salvage};
use symopt_search::judge::evaluation::Evaluation;
use symopt_search::judge::{Judge, Request};
use symopt_search::{Journal, Search, SearchConfig, StopReason};

/// Output of [`Journal::contents`] there: a search of 120 programs.
const CONTENTS: &str = include_str!("data/store-1.txt");

/// Knows the fitness that the initial program had, and no other.
struct Initial;

impl Judge for Initial {
    fn checkpoints(&self) -> usize {
        4
    }

    fn judge(
        &self,
        request: &Request,
        _: &CancelToken,
        _: &mut dyn FnMut(usize, f64) -> Verdict,
    ) -> Result<Evaluation, TaskError> {
        let hash = symopt_dsl::Graph::new(request.program).unwrap().hash().0;
        assert_eq!(
            *request.program,
            symopt_programs::find("adamw-paper").unwrap().program(),
            "something is evaluated again"
        );
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
            Some((prefix, number)) => {
                [prefix.as_bytes(), b"/", &number.parse::<u64>().unwrap().to_be_bytes()].concat()
            }
            None => name.as_bytes().to_vec(),
        };
        database.insert(key, value).unwrap();
    }
    std::fs::write(path.join("acknowledged"), format!("{evaluations:020}\n")).unwrap();
    std::fs::write(path.join("symopt-store.json"), r#"{"format":"symopt store","version":1}"#)
        .unwrap();
}

/// The files below a directory, the lock left out.
fn files(path: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut open = vec![path.to_owned()];
    while let Some(next) = open.pop() {
        if next.is_dir() {
            open.extend(std::fs::read_dir(&next).unwrap().map(|entry| entry.unwrap().path()));
        } else if next.file_name().unwrap() != "lock" {
            files.push((next.clone(), std::fs::read(&next).unwrap()));
        }
    }
    files.sort();
    files
}

#[test]
fn an_old_store_is_read_as_it_is_and_becomes_a_log_when_it_is_opened_to_write() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    write_store(path);
    std::fs::write(path.join("lock"), "").unwrap();
    // sled writes its snapshots under such names before it renames them; the newest is the last by
    // name.
    std::fs::write(path.join("journal/snap.7FFFFFFFFFFFFFFF.generating"), [1; 5]).unwrap();
    // A conversion that was cut short before the manifest said that it was done.
    std::fs::write(path.join("journal/log"), "half").unwrap();
    std::fs::write(path.join("journal/log.new"), "half").unwrap();
    let before = files(path);
    let store = CheckedStore::of(path).unwrap();
    assert_eq!(store.evaluations().unwrap().len(), 50);
    assert!(files(path) == before, "a store that was read was changed");
    drop(store);
    drop(Journal::open(path).unwrap());
    let names: Vec<_> = files(path)
        .into_iter()
        .map(|(file, _)| file.strip_prefix(path).unwrap().display().to_string())
        .collect();
    assert_eq!(names, ["acknowledged", "journal/log", "symopt-store.json"]);
    assert!(Journal::open(path).unwrap().contents().unwrap() == CONTENTS, "the journal differs");
    // Programs of a search have most of their text in common with its initial program.
    assert!(std::fs::metadata(path.join("journal/log")).unwrap().len() < 50 * 200 + 8000);
}

#[test]
fn an_old_store_that_lost_evaluations_is_refused_and_salvaged_on_request() {
    let directory = tempfile::tempdir().unwrap();
    write_store(directory.path());
    let database = sled::open(directory.path().join("journal")).unwrap();
    database.remove([b"evaluation/".as_slice(), &0u64.to_be_bytes()].concat()).unwrap().unwrap();
    drop(database);
    let before = files(directory.path());
    let error = Journal::open(directory.path()).map(drop).unwrap_err().to_string();
    assert!(error.contains("49 evaluations are there") && error.contains("--salvage"), "{error}");
    assert!(files(directory.path()) == before, "a refused store was changed");
    let checked = CheckedStore::held(directory.path(), Salvage::Yes).unwrap();
    assert_eq!(checked.lost().map(|lost| (lost.there, lost.acknowledged)), Some((49, 50)));
    assert_eq!(Journal::of(checked).unwrap().evaluations().unwrap().len(), 49);
}

#[test]
fn a_store_of_the_first_release_is_opened_and_bred_again_without_one_new_evaluation() {
    let directory = tempfile::tempdir().unwrap();
    write_store(directory.path());
    let mut journal = Journal::open(directory.path()).unwrap();
    let mut expected = SearchConfig { seed: 5, ..SearchConfig::default() };
    (expected.evolution.population, expected.evolution.lag) = (20, 16);
    (expected.hurdle.margin, expected.limits.programs) = (0.1, 120);
    // Settings that could not be chosen then have the values that stand for what it did.
    let config = journal.settings().config.clone();
    assert_eq!(config, expected);
    let initial = symopt_dsl::parse(&journal.settings().initial).unwrap();
    let result = Search::new(config, None, &Initial, &mut journal, 2)
        .run(initial, &CancelToken::new(), &mut |_| {})
        .unwrap();
    let statistics = &result.statistics;
    assert_eq!(result.stop, StopReason::Programs);
    assert_eq!(
        (statistics.generated, statistics.evaluated, statistics.hopeless, statistics.diverged),
        (120, 50, 10, 4)
    );
    assert_eq!((result.best.index, result.best.fitness), (Some(15), Fitness::Improvement(0.994)));
    assert_eq!(statistics.redundant_sum, 22.677_308_802_308_79);
    assert!(journal.contents().unwrap() == CONTENTS, "the journal differs");
}
