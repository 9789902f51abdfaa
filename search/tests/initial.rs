//! Searches that start from several programs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use symopt_cancel::CancelToken;
use symopt_dsl::{Graph, Program};
use symopt_proxy_tasks::suite::Fitness;
use symopt_search::config::{Form, Initial};
use symopt_search::engine::evolution::Evolution;
use symopt_search::engine::individual::Individual;
use symopt_search::engine::lineage::lineage;
use symopt_search::engine::mutation::MutationKind;
use symopt_search::judge::evaluation::Evaluation;
use symopt_search::launch::{InitialPrograms, Launch, LaunchError};
use symopt_search::{Journal, SearchConfig, SearchResult, StopReason};

const NAMES: [&str; 3] = ["adamw-paper", "lion", "signum"];

fn config() -> SearchConfig {
    let mut config = SearchConfig { seed: 3, suite: "smoke".to_owned(), ..SearchConfig::default() };
    config.initial = Initial::from(NAMES.map(str::to_owned).to_vec());
    (config.evolution.population, config.evolution.lag) = (40, 16);
    config.limits.programs = 1000;
    config
}

fn program(name: &str) -> Program {
    symopt_programs::find(name).unwrap().program()
}

fn found(config: &SearchConfig) -> InitialPrograms {
    InitialPrograms::find(config, &CancelToken::new()).unwrap()
}

/// Runs a search up to a number of programs.
fn run(launch: Launch, threads: usize, stop_at: u64) -> SearchResult {
    let cancel = CancelToken::new();
    let observe = |progress: &symopt_search::engine::Progress| {
        if progress.statistics.generated >= stop_at {
            cancel.cancel();
        }
    };
    launch.run(threads, &cancel, &mut { observe }).unwrap().result
}

fn new(store: &Path) -> Launch {
    Launch::new(config(), store, &CancelToken::new()).unwrap()
}

#[test]
fn each_program_gets_the_places_of_the_population_in_turn() {
    let evaluation = |fitness| Evaluation::new(Fitness::Improvement(fitness), Arc::from([]));
    let first = Arc::new(program(NAMES[0]));
    let individual =
        Individual::initial(&first, &Graph::new(&first).unwrap(), &evaluation(0.0), 0.0);
    let mut config = config();
    (config.evolution.population, config.evolution.islands) = (20, 3);
    let others = NAMES[1..].iter().map(|name| Arc::new(program(name))).collect();
    let mut evolution = Evolution::new(individual, &config, None).with_others(others);
    for index in 0..2 {
        let child = evolution.breed(index);
        assert_eq!((child.mutation.kind, child.parent), (MutationKind::Initial, None));
        assert_eq!(child.hash, Graph::new(&program(NAMES[index as usize + 1])).unwrap().hash());
        evolution.absorb_initial(&child.individual(index, &evaluation(0.5), 0.0), index);
    }
    let order: Vec<Option<u64>> = evolution.population().map(|i| i.index).collect();
    let turns = [None, Some(0), Some(1)].into_iter().cycle().take(20);
    assert_eq!(order, turns.collect::<Vec<_>>());
    assert_eq!(evolution.breed(2).mutation.kind as usize / 3, 0, "then it mutates");
}

#[test]
fn a_search_from_several_programs_is_the_same_on_any_threads_and_when_it_is_resumed() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let whole = run(new(&at("whole")), 1, u64::MAX);
    assert_eq!((whole.stop, whole.initial_count), (StopReason::Programs, 3));
    let _ = run(new(&at("threads")), 3, u64::MAX);
    let contents = |name: &str| Journal::open(&at(name)).unwrap().contents().unwrap();
    assert!(contents("threads") == contents("whole"));
    // Interrupted while the initial programs come in, and later.
    let mut stops = [1, 2, 300, u64::MAX].into_iter();
    let mut last = run(new(&at("parts")), 2, stops.next().unwrap());
    for stop_at in stops {
        let launch = Launch::resume(&at("parts"), |_| {}, &CancelToken::new()).unwrap();
        last = run(launch, 2, stop_at);
    }
    assert_eq!(last.best.hash, whole.best.hash);
    assert!(contents("parts") == contents("whole"));

    // Each initial program was judged, and the best of them is the one that the result names.
    let store = Journal::open(&at("whole")).unwrap();
    let evaluations: BTreeMap<u64, _> = store.evaluations().unwrap().into_iter().collect();
    let fitness = |index: u64| evaluations[&index].fitness;
    assert_eq!(store.settings().others.len(), 2);
    let best = [fitness(0), fitness(1), whole.initial_evaluation.fitness].into_iter().max();
    assert_eq!(best, Some(whole.initial_evaluation.fitness));

    // Lineages begin with the initial program that a program descends from.
    let mut roots = BTreeMap::<Option<u64>, usize>::new();
    for (index, record) in evaluations.iter().step_by(evaluations.len() / 15) {
        let name = format!("{}:{}", at("whole").display(), record.hash);
        let lineage = lineage(&name, &CancelToken::new(), &mut |_, _| {}).unwrap();
        let (first, last) = (&lineage[0], &lineage[lineage.len() - 1]);
        assert_eq!((&first.change, last.index), (&None, Some(*index)));
        assert!(first.index.is_none_or(|index| index < 2));
        *roots.entry(first.index).or_default() += 1;
    }
    assert!(roots.len() > 1, "{roots:?}");
}

#[test]
fn the_zoo_stands_for_what_fits_and_says_what_does_not_and_why() {
    let mut config = config();
    config.evolution.population = 60;
    config.initial = Initial::from(vec!["adamw-paper".to_owned(), "zoo".to_owned()]);
    let narrow = found(&config);
    assert_eq!(narrow.programs.len() + narrow.left_out.len(), 48);
    let reason = |found: &InitialPrograms, name: &str| {
        let left_out = found.left_out.iter().find(|left_out| left_out.name == name);
        left_out.map(|left_out| left_out.reason.to_string())
    };
    assert_eq!(reason(&narrow, "lion"), None);
    assert!(reason(&narrow, "muon").unwrap().contains("is not among mutation.functions"));
    assert!(narrow.to_string().contains("more than 2 state slots"), "{narrow}");
    assert!(reason(&narrow, "adamw").unwrap().contains("it reads t"));
    assert!(narrow.to_string().contains(&format!("{} left out: ", narrow.left_out.len())));
    // An open space takes more of it.
    config.mutation.functions = vec!["matrix".to_owned()];
    let open = found(&config);
    assert!(open.programs.len() > narrow.programs.len());
    assert!(reason(&open, "muon").is_none() && reason(&open, "adan").is_none());
    // As directions, some equal others, which the paper's form tells apart by their constants.
    config.fitness.form = Form::Direction;
    let directions = found(&config);
    let equal = |name: &str| reason(&directions, name).is_some_and(|r| r.starts_with("equal to"));
    assert!(directions.left_out.iter().any(|left_out| equal(&left_out.name)), "{directions}");
    assert!(directions.left_out.iter().any(|o| o.reason.to_string().contains("no direction")));
}

#[test]
fn programs_that_do_not_fit_together_are_refused_with_a_way_out() {
    let refused = |change: &dyn Fn(&mut SearchConfig)| {
        let mut config = config();
        change(&mut config);
        InitialPrograms::find(&config, &CancelToken::new()).unwrap_err().to_string()
    };
    assert!(refused(&|c| c.evolution.population = 2).contains("raise that to 3 or more"));
    assert!(
        refused(&|c| c.initial = vec!["lion".to_owned(), "linon".to_owned()].into())
            .contains("did you mean lion")
    );
    assert!(refused(&|c| c.mutation.hidden = vec!["gg".to_owned()]).contains("`gg`"));
    let nothing = refused(&|c| {
        c.initial = "zoo".into();
        c.mutation.functions = vec!["newton_schulz".to_owned()];
    });
    assert!(nothing.contains("48 left out") && nothing.contains("allow more"), "{nothing}");
    // A program that is named twice is one.
    let mut config = config();
    config.initial = vec!["lion".to_owned(), "lion".to_owned()].into();
    assert_eq!(found(&config).programs.len(), 1);
    assert!(matches!(
        InitialPrograms::find(
            &SearchConfig { initial: Vec::new().into(), ..config },
            &CancelToken::new()
        ),
        Err(LaunchError::NoInitial { .. })
    ));
}
