//! A lineage is what the search did: it leads from the initial program to the wanted one, mutation
//! by mutation, with the journal's fitness.

use std::collections::HashMap;
use std::path::Path;

use symopt_cancel::CancelToken;
use symopt_dsl::Graph;
use symopt_proxy_tasks::suite::Fitness;
use symopt_search::engine::lineage::{Ancestor, LineageError, lineage};
use symopt_search::engine::mutation::MutationKind;
use symopt_search::launch::Launch;
use symopt_search::{Journal, SearchConfig, StopReason};

fn config() -> SearchConfig {
    let mut config = SearchConfig { seed: 4, suite: "smoke".to_owned(), ..SearchConfig::default() };
    config.evolution.population = 40;
    config.evolution.lag = 16;
    config.limits.programs = 2500;
    config
}

/// A search in a new store, ended after `stop_at` programs.
fn search(store: &Path, stop_at: u64) {
    let launch = Launch::new(config(), store, &CancelToken::new()).unwrap();
    run(launch, stop_at);
}

fn run(launch: Launch, stop_at: u64) -> StopReason {
    let cancel = CancelToken::new();
    let observe = |progress: &symopt_search::engine::Progress| {
        if progress.statistics.generated >= stop_at {
            cancel.cancel();
        }
    };
    launch.run(2, &cancel, &mut { observe }).unwrap().result.stop
}

fn lineage_of(store: &Path, hash: &str) -> Vec<Ancestor> {
    lineage(&format!("{}:{hash}", store.display()), &CancelToken::new(), &mut |_, _| {}).unwrap()
}

/// Replays the changes on the statements, and checks all that the journal says.
fn check(store: &Path, lineage: &[Ancestor]) {
    let journal = Journal::open(store).unwrap();
    let known: HashMap<String, Fitness> =
        journal.evaluations().unwrap().into_iter().map(|(_, r)| (r.hash, r.fitness)).collect();
    assert_eq!((lineage[0].index, &lineage[0].change), (None, &None));
    assert_eq!(lineage[0].program.to_string(), journal.settings().initial);
    for ancestor in lineage {
        assert_eq!(ancestor.hash, Graph::new(&ancestor.program).unwrap().hash());
        let fitness = if ancestor.hash == lineage[0].hash {
            lineage[0].fitness
        } else {
            known[&ancestor.hash.to_string()]
        };
        assert_eq!(ancestor.fitness, fitness);
    }
    for pair in lineage.windows(2) {
        let [parent, child] = pair else { unreachable!() };
        assert!(parent.index < child.index);
        let change = child.change.as_ref().unwrap();
        let texts = |ancestor: &Ancestor| -> Vec<String> {
            ancestor
                .program
                .statements
                .iter()
                .map(|s| ancestor.program.statement_text(s).to_string())
                .collect()
        };
        let mut statements = texts(parent);
        match change.kind {
            MutationKind::Insert => {
                statements.insert(change.statement, change.after.clone().unwrap())
            }
            MutationKind::Delete => {
                assert_eq!(Some(statements.remove(change.statement)), change.before)
            }
            MutationKind::Modify => {
                let old = std::mem::replace(
                    &mut statements[change.statement],
                    change.after.clone().unwrap(),
                );
                assert_eq!(Some(old), change.before);
            }
            _ => panic!("no search of this test draws {}", change.kind),
        }
        assert_eq!(
            (change.before.is_none(), change.after.is_none()),
            match change.kind {
                MutationKind::Insert => (true, false),
                MutationKind::Delete => (false, true),
                MutationKind::Modify => (false, false),
                _ => panic!("no search of this test draws {}", change.kind),
            }
        );
        assert_eq!(statements, texts(child));
        assert_eq!(change.neutral, parent.hash == child.hash);
    }
}

#[test]
fn every_ancestor_follows_from_the_one_before_and_has_the_journals_fitness() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    search(&store, u64::MAX);
    let evaluations = Journal::open(&store).unwrap().evaluations().unwrap();
    let mut kinds = [0; 3];
    let mut longest = 0;
    for (index, record) in
        evaluations.iter().step_by(evaluations.len() / 12).chain(evaluations.last())
    {
        let lineage = lineage_of(&store, &record.hash[..16]);
        check(&store, &lineage);
        let last = lineage.last().unwrap();
        assert_eq!(last.index, Some(*index));
        assert_eq!(
            (last.hash.to_string(), last.program.to_string()),
            (record.hash.clone(), record.program.clone())
        );
        assert_eq!(last.fitness, record.fitness);
        for change in lineage.iter().filter_map(|ancestor| ancestor.change.as_ref()) {
            kinds[change.kind as usize] += 1;
        }
        longest = longest.max(lineage.len());
    }
    assert!(longest > 20 && kinds.iter().all(|count| *count > 5), "{longest} {kinds:?}");

    // The initial program has itself alone.
    let initial = Journal::open(&store).unwrap().settings().initial.clone();
    let hash = Graph::new(&symopt_dsl::parse(&initial).unwrap()).unwrap().hash().to_string();
    let lineage = lineage_of(&store, &hash);
    assert_eq!(lineage.len(), 1);
    check(&store, &lineage);
}

#[test]
fn an_interrupted_store_tells_what_an_uninterrupted_one_does_before_and_after_it_is_resumed() {
    let directory = tempfile::tempdir().unwrap();
    let [whole, parts] = ["whole", "parts"].map(|name| directory.path().join(name));
    search(&whole, u64::MAX);
    search(&parts, 900);
    let json = |store: &Path, hash: &str| serde_json::to_string(&lineage_of(store, hash)).unwrap();
    let same = |stores: [&Path; 2]| {
        let evaluations = Journal::open(stores[0]).unwrap().evaluations().unwrap();
        for (_, record) in evaluations.iter().rev().step_by(evaluations.len() / 5).take(5) {
            assert_eq!(json(stores[0], &record.hash), json(stores[1], &record.hash));
            check(stores[0], &lineage_of(stores[0], &record.hash));
        }
        evaluations.len()
    };
    // The last evaluated children were still under way when the search ended.
    let interrupted = same([&parts, &whole]);
    assert_eq!(
        run(Launch::resume(&parts, |_| {}, &CancelToken::new()).unwrap(), u64::MAX),
        StopReason::Programs
    );
    assert!(same([&parts, &whole]) > interrupted);
}

#[test]
fn what_is_not_in_a_store_or_does_not_belong_to_it_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    search(&store, 300);
    let of = |name: &str| lineage(name, &CancelToken::new(), &mut |_, _| {}).unwrap_err();
    assert!(matches!(of("lion"), LineageError::NoStore { .. }));
    assert!(matches!(of("-"), LineageError::NoStore { .. }));
    assert!(of("linon").to_string().contains("did you mean lion"));
    assert!(of(&format!("{}:xyz", store.display())).to_string().contains("no functional hash"));
}
