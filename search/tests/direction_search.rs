//! A search of directions on a real suite, with all that keeps it honest: the same on one thread
//! and on two, resumed, and told by its lineage.

use std::path::Path;

use symopt_cancel::CancelToken;
use symopt_dsl::Graph;
use symopt_search::config::{CacheKey, Form, Screen};
use symopt_search::engine::lineage::lineage;
use symopt_search::engine::{Progress, SearchResult};
use symopt_search::launch::Launch;
use symopt_search::{Journal, SearchConfig, StopReason};

fn config() -> SearchConfig {
    let mut config = SearchConfig { seed: 8, suite: "smoke".to_owned(), ..SearchConfig::default() };
    let fitness = &mut config.fitness;
    (fitness.form, fitness.seeds, fitness.tuning_seeds) = (Form::Direction, 2, 2);
    (fitness.rotate, fitness.elite, fitness.penalty) = (100, 4, 0.5);
    fitness.screens = vec![Screen::Odd];
    (config.evolution.population, config.evolution.lag, config.evolution.islands) = (40, 16, 2);
    (config.evolution.parsimony, config.evolution.copies) = (0.002, 0.2);
    config.mutation.interp_weights = vec![0.0, 0.5, 0.9, 0.99];
    (config.cache.key, config.limits.programs) = (CacheKey::Probe, 350);
    config
}

fn run(launch: Launch, threads: usize, stop_at: u64) -> SearchResult {
    let cancel = CancelToken::new();
    let mut observe = |progress: &Progress| {
        if progress.statistics.generated >= stop_at {
            cancel.cancel();
        }
    };
    launch.run(threads, &cancel, &mut observe).unwrap().result
}

fn contents(store: &Path) -> String {
    Journal::open(store).unwrap().contents().unwrap()
}

#[test]
fn a_search_of_directions_is_the_same_on_two_threads_and_after_it_was_resumed_and_its_lineage_is_told()
 {
    let directory = tempfile::tempdir().unwrap();
    let [one, two, parts] = ["one", "two", "parts"].map(|name| directory.path().join(name));
    let result = run(Launch::new(config(), &one, &CancelToken::new()).unwrap(), 1, u64::MAX);
    let statistics = &result.statistics;
    assert_eq!((result.stop, statistics.generated), (StopReason::Programs, 350));
    assert!(statistics.screened > 10 && statistics.evaluated > 10, "{statistics:?}");
    let content = contents(&one);
    for epoch in 1..=3 {
        assert!(content.contains(&format!("revision/{}\t", epoch << 16)), "epoch {epoch}");
    }

    let other = run(Launch::new(config(), &two, &CancelToken::new()).unwrap(), 2, u64::MAX);
    assert!(contents(&two) == content, "the journal differs with two threads");
    assert_eq!(
        (&other.statistics, other.best.hash, other.best.fitness),
        (statistics, result.best.hash, result.best.fitness)
    );
    assert_eq!(other.best.settings, result.best.settings);

    assert_eq!(
        run(Launch::new(config(), &parts, &CancelToken::new()).unwrap(), 2, 130).stop,
        StopReason::Cancelled
    );
    assert_eq!(
        run(Launch::resume(&parts, |_| {}, &CancelToken::new()).unwrap(), 1, 210).stop,
        StopReason::Cancelled
    );
    assert_eq!(
        run(Launch::resume(&parts, |_| {}, &CancelToken::new()).unwrap(), 2, u64::MAX).stop,
        StopReason::Programs
    );
    assert!(contents(&parts) == content, "the journal differs after interruptions");

    // The lineages of programs of every epoch, with the fitness that the journal has.
    let evaluations = Journal::open(&one).unwrap().evaluations().unwrap();
    for (index, record) in
        evaluations.iter().step_by(evaluations.len() / 6).chain(evaluations.last())
    {
        let lineage = lineage(
            &format!("{}:{}", one.display(), record.hash),
            &CancelToken::new(),
            &mut |_, _| {},
        )
        .unwrap();
        let last = lineage.last().unwrap();
        assert_eq!(
            (last.index, last.hash.to_string(), last.fitness),
            (Some(*index), record.hash.clone(), record.fitness)
        );
        assert_eq!(last.program.to_string(), record.program);
        for pair in lineage.windows(2) {
            assert_eq!(
                pair[1].change.as_ref().map(|change| change.neutral),
                Some(pair[0].hash == pair[1].hash)
            );
        }
    }
    // Programs of the elite that share the key of an earlier child are found as well, the best one
    // among them.
    let revisions = Journal::open(&one).unwrap().revisions().unwrap();
    assert!(
        revisions.iter().any(|(_, record)| evaluations
            .iter()
            .all(|(_, evaluated)| evaluated.hash != record.hash))
    );
    let hashes = revisions.iter().map(|(_, record)| record.hash.clone());
    for hash in hashes.chain([result.best.hash.to_string()]) {
        let lineage =
            lineage(&format!("{}:{hash}", one.display()), &CancelToken::new(), &mut |_, _| {})
                .unwrap();
        assert_eq!(lineage.last().unwrap().hash.to_string(), hash);
    }
    // No program touches what stands outside.
    for individual in &result.population {
        assert!(Graph::new(&individual.program).is_ok());
        assert_eq!(
            symopt_search::judge::form::split(&individual.program)
                .map(|direction| direction.statements.len()),
            Ok(individual.live)
        );
    }
}
