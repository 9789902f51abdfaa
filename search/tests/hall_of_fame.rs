//! The hall of fame of a store: its front, its cells, and where programs come from.

use std::collections::BTreeMap;
use std::path::Path;

use symopt_cancel::CancelToken;
use symopt_search::engine::Progress;
use symopt_search::engine::lineage::lineage;
use symopt_search::journal::CheckedStore;
use symopt_search::launch::Launch;
use symopt_search::store::hall_of_fame::{all, cells, hall_of_fame};
use symopt_search::{Journal, SearchConfig};

fn config() -> SearchConfig {
    let mut config = SearchConfig { seed: 8, suite: "smoke".to_owned(), ..SearchConfig::default() };
    config.initial = vec!["adamw-paper".to_owned(), "lion".to_owned()].into();
    (config.evolution.population, config.evolution.lag) = (40, 16);
    (config.mutation.crossover, config.fitness.rotate, config.fitness.elite) = (0.2, 300, 6);
    config.limits.programs = 1000;
    config
}

fn run(launch: Launch, observe: &mut dyn FnMut(&Progress, &CancelToken)) {
    let cancel = CancelToken::new();
    let mut observe = |progress: &Progress| observe(progress, &cancel);
    let _ = launch.run(2, &cancel, &mut observe).unwrap();
}

fn json(store: &Path) -> String {
    let store = CheckedStore::of(store).unwrap();
    let (front, cells) = (hall_of_fame(&store).unwrap(), cells(&store, 2).unwrap());
    serde_json::to_string(&(front, cells, all(&store).unwrap())).unwrap()
}

#[test]
fn it_is_there_while_a_search_runs_survives_restarts_and_names_parents() {
    let directory = tempfile::tempdir().unwrap();
    let [whole, parts] = ["whole", "parts"].map(|name| directory.path().join(name));
    let new = |store: &Path| Launch::new(config(), store, &CancelToken::new()).unwrap();
    let mut while_it_ran = 0;
    run(new(&whole), &mut |progress, _| {
        if progress.statistics.generated == 500 {
            let store = CheckedStore::of(&whole).unwrap();
            while_it_ran = cells(&store, 3).unwrap().len();
            assert!(!hall_of_fame(&store).unwrap().is_empty());
        }
    });
    assert!(while_it_ran > 3, "{while_it_ran}");
    run(new(&parts), &mut |progress, cancel| {
        if progress.statistics.generated >= 400 {
            cancel.cancel();
        }
    });
    run(Launch::resume(&parts, |_| {}, &CancelToken::new()).unwrap(), &mut |_, _| {});
    assert!(json(&parts) == json(&whole));

    let store = CheckedStore::of(&whole).unwrap();
    let held = cells(&store, 2).unwrap();
    let mut by_cell = BTreeMap::<_, Vec<_>>::new();
    held.iter().for_each(|entry| by_cell.entry(entry.cell()).or_default().push(entry));
    assert!(by_cell.len() > 3, "{by_cell:?}");
    for (cell, entries) in &by_cell {
        assert!(
            entries.len() <= 2 && entries.is_sorted_by(|a, b| a.fitness >= b.fitness),
            "{cell}"
        );
        assert!(entries.iter().enumerate().all(|(place, entry)| entry.place == place + 1));
    }
    // The first of the front is the best of its cell.
    let front = hall_of_fame(&store).unwrap();
    let first = by_cell[&front[0].cell()][0];
    assert_eq!((&first.hash, first.fitness), (&front[0].hash, front[0].fitness));
    // Those that were judged again have the mean over all seeds, as the search has it.
    assert!(all(&store).unwrap().iter().any(|program| program.epoch == Some(1)));

    // The parents are those of the lineages.
    for entry in front.iter().chain(&held).filter(|entry| entry.child.is_some()) {
        let name = format!("{}:{}", whole.display(), entry.hash);
        let lineage = lineage(&name, &CancelToken::new(), &mut |_, _| {}).unwrap();
        let last = lineage.last().unwrap();
        let parent = lineage.iter().rev().nth(1).map(|parent| parent.hash.to_string());
        assert_eq!(entry.parent, parent);
        let change = last.change.as_ref();
        assert_eq!(
            entry.operator.as_deref(),
            Some(change.map_or("initial".to_owned(), |c| c.kind.to_string()).as_str())
        );
        let second = change.and_then(|change| change.second.as_ref());
        assert_eq!(entry.second_parent, second.map(|second| second.hash.to_string()));
    }
    let evaluated = all(&store).unwrap();
    let journal = Journal::open(&whole).unwrap();
    let (children, revisions) = (journal.evaluations().unwrap(), journal.revisions().unwrap());
    assert_eq!(evaluated.len(), children.len() + revisions.len());
    assert!(evaluated.iter().all(|p| p.child.is_some() == p.operator.is_some()));
    assert!(evaluated.iter().any(|program| program.second_parent.is_some()));
    assert!(evaluated.iter().any(|program| program.outcome != "completed"));
}
