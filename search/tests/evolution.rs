//! The population: who wins, who comes in, who belongs to which island.

use std::collections::BTreeMap;
use std::sync::Arc;

use symopt_dsl::{FunctionalHash, Graph, Program};
use symopt_proxy_tasks::suite::Fitness;
use symopt_search::SearchConfig;
use symopt_search::engine::evolution::Evolution;
use symopt_search::engine::individual::Individual;
use symopt_search::judge::evaluation::Evaluation;

fn adamw() -> Arc<Program> {
    Arc::new(symopt_programs::find("adamw-paper").unwrap().program())
}

fn evaluation(fitness: f64) -> Evaluation {
    Evaluation::new(Fitness::Improvement(fitness), Arc::from([]))
}

fn initial() -> Individual {
    let program = adamw();
    Individual::initial(&program, &Graph::new(&program).unwrap(), &evaluation(0.0), 0.0)
}

fn individual(index: u64, key: u128, fitness: f64, live: usize) -> Individual {
    Individual {
        index: Some(index),
        key: FunctionalHash(key),
        fitness: Fitness::Improvement(fitness),
        live,
        ..initial()
    }
}

fn population_of(config: &SearchConfig) -> Evolution<'static> {
    Evolution::new(initial(), config, None)
}

fn config(population: usize) -> SearchConfig {
    let mut config = SearchConfig::default();
    config.evolution.population = population;
    config
}

fn keys(evolution: &Evolution) -> BTreeMap<FunctionalHash, usize> {
    let mut keys = BTreeMap::new();
    for individual in evolution.population() {
        *keys.entry(individual.key).or_default() += 1;
    }
    keys
}

#[test]
fn no_key_but_the_initial_one_ever_has_more_than_its_share() {
    let mut config = config(40);
    (config.evolution.copies, config.evolution.islands) = (0.1, 3);
    let mut evolution = population_of(&config);
    let first = initial().key;
    assert_eq!(keys(&evolution), BTreeMap::from([(first, 40)]));
    // A copy of the initial program does not come in, and nobody goes for it.
    let mut copy = individual(0, 0, 1.0, 5);
    copy.key = first;
    assert_eq!(evolution.absorb(copy, 0).and_then(|gone| gone.index), Some(0));
    assert_eq!(keys(&evolution), BTreeMap::from([(first, 40)]));
    let (mut refused, mut taken) = (0, 0);
    for index in 1..3000_u64 {
        // Now one key of thirty, now another, the small ones far more often.
        let drawn = index.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let key = u128::from((drawn % 30) * (drawn / 30 % 30) / 30);
        let gone = evolution.absorb(individual(index, key, 0.1, 5), (index % 3) as usize);
        if gone.and_then(|gone| gone.index) == Some(index) {
            refused += 1
        } else {
            taken += 1
        }
        let keys = keys(&evolution);
        assert_eq!(keys.values().sum::<usize>(), 40);
        assert!(keys.iter().all(|(key, count)| *count <= 4 || *key == first), "{keys:?}");
        let sizes = (0..3).map(|island| {
            evolution.population().filter(|i| i.index.is_some_and(|i| i % 3 == island)).count()
        });
        assert!(sizes.into_iter().all(|size| size <= 14));
    }
    assert!(refused > 100 && taken > 40, "{refused} {taken}");
    // Without the limit one key may take all.
    let mut evolution = population_of(&self::config(40));
    for index in 0..40 {
        assert_eq!(
            evolution.absorb(individual(index, 7, 0.1, 5), 0).map(|gone| gone.index),
            Some(None)
        );
    }
    assert_eq!(keys(&evolution), BTreeMap::from([(FunctionalHash(7), 40)]));
}

#[test]
fn within_the_tolerance_the_shorter_wins_and_outside_of_it_the_fitter() {
    let parent = |parsimony: f64, longer: f64| {
        let mut config = config(2);
        // As many draws as it takes to see both.
        (config.evolution.parsimony, config.evolution.tournament) = (parsimony, 60);
        let mut evolution = population_of(&config);
        evolution.absorb(individual(0, 1, 0.5, 3), 0);
        evolution.absorb(individual(1, 2, longer, 9), 0);
        let parents: Vec<_> = (0..20).map(|index| evolution.breed(index).parent).collect();
        assert!(parents.iter().all(|parent| *parent == parents[0]));
        parents[0]
    };
    const SHORTER: Option<u64> = Some(0);
    const LONGER: Option<u64> = Some(1);
    assert_eq!(parent(0.01, 0.509), SHORTER);
    assert_eq!(parent(0.01, 0.4), SHORTER);
    assert_eq!(parent(0.01, 0.511), LONGER);
    assert_eq!(parent(0.0, 0.500_001), LONGER);
}

#[test]
fn of_programs_as_short_the_fitter_wins_whatever_the_tolerance() {
    let mut config = config(2);
    (config.evolution.parsimony, config.evolution.tournament) = (1.0, 60);
    let mut evolution = population_of(&config);
    evolution.absorb(individual(0, 1, 0.5, 3), 0);
    evolution.absorb(individual(1, 2, 0.6, 3), 0);
    assert_eq!(evolution.breed(0).parent, Some(1));
}

/// Children whose parent is of another island, and how many children have a parent that is a child,
/// after some generations.
fn strangers(islands: usize, migration: f64) -> (usize, usize) {
    let mut config = config(30);
    (config.evolution.islands, config.evolution.migration) = (islands, migration);
    let mut evolution = population_of(&config);
    let (mut strangers, mut of_children) = (0, 0);
    for index in 0..1500_u64 {
        let child = evolution.breed(index);
        assert_eq!(child.island as u64, index % islands as u64);
        if let Some(parent) = child.parent {
            of_children += 1;
            strangers += usize::from(parent % islands as u64 != index % islands as u64);
        }
        let island = child.island;
        evolution
            .absorb(child.individual(index, &evaluation((index * 7919 % 101) as f64), 0.0), island);
    }
    (strangers, of_children)
}

#[test]
fn a_child_belongs_to_its_island_and_without_migration_so_do_its_ancestors() {
    for islands in [2, 4, 7, 30] {
        let (strangers, of_children) = strangers(islands, 0.0);
        assert!(
            strangers == 0 && of_children > 1000,
            "{islands} islands: {strangers} {of_children}"
        );
    }
    // With migration as often as it is drawn, and the other island is not one's own.
    let share = |(strangers, of_children): (usize, usize)| strangers as f64 / of_children as f64;
    let some = share(strangers(4, 0.2));
    assert!((some - 0.15).abs() < 0.04, "{some}");
    let all = share(strangers(4, 1.0));
    assert!((all - 0.75).abs() < 0.05, "{all}");
}

#[test]
fn the_elite_are_the_best_of_different_keys_and_a_revision_reaches_all_copies() {
    let mut evolution = population_of(&config(6));
    for (index, (key, fitness)) in
        [(1, 0.3), (2, 0.5), (1, 0.3), (3, 0.4), (4, 0.4)].into_iter().enumerate()
    {
        evolution.absorb(individual(index as u64, key, fitness, 5), 0);
    }
    let mut diverged = individual(5, 9, 0.0, 5);
    diverged.fitness = Fitness::Diverged;
    evolution.absorb(diverged, 0);
    let elite = |evolution: &Evolution, count| -> Vec<Option<u64>> {
        evolution.elite(count).into_iter().map(|i| i.index).collect()
    };
    assert_eq!(elite(&evolution, 3), [Some(1), Some(3), Some(4)]);
    assert_eq!(elite(&evolution, 10), [Some(1), Some(3), Some(4), Some(0)]);
    let revised = Evaluation { standard_error: 0.05, ..evaluation(0.7) };
    evolution.revise(&[(FunctionalHash(1), revised)].into(), 2.0);
    let fitness: Vec<_> = evolution.population().map(|i| i.fitness).collect();
    assert_eq!([fitness[0], fitness[2]], [Fitness::Improvement(0.7 - 0.1); 2]);
    assert_eq!(elite(&evolution, 1), [Some(0)]);
}
