//! Crossover: blocks of statements of a second parent.

use std::collections::BTreeSet;
use std::path::Path;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use symopt_cancel::CancelToken;
use symopt_dsl::{Function, Graph, Operand, Program, VarId};
use symopt_search::config::{ConfigError, MutationConfig};
use symopt_search::engine::lineage::lineage;
use symopt_search::engine::mutation::{MutationKind, Mutator};
use symopt_search::judge::form;
use symopt_search::launch::Launch;
use symopt_search::{Journal, SearchConfig, SearchResult};

fn program(name: &str) -> Program {
    symopt_programs::find(name).unwrap().program()
}

/// Children of a pair of programs.
fn children(config: &MutationConfig, parent: &Program, donor: &Program) -> Vec<(Program, usize)> {
    let mut mutator = Mutator::new(config.clone());
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let crossed = (0..400).filter_map(|_| mutator.cross(parent, donor, &mut rng));
    crossed
        .map(|(child, mutation)| {
            assert_eq!(mutation.kind, MutationKind::Crossover);
            assert!(Graph::new(&child).is_ok());
            (child, mutation.statement)
        })
        .collect()
}

#[test]
fn a_child_has_its_parents_statements_and_one_of_them_reads_a_block_of_the_donor() {
    let (parent, donor) = (program("adamw-paper"), program("lion"));
    let children = children(&MutationConfig::default(), &parent, &donor);
    assert_eq!(children.len(), 400);
    let of_donor: BTreeSet<Function> = donor.statements.iter().map(|s| s.function).collect();
    let mut added = BTreeSet::new();
    for (child, reader) in &children {
        let more = child.statements.len() - parent.statements.len();
        added.insert(more);
        let first = reader - more;
        let (before, rest) = child.statements.split_at(first);
        let (block, rest) = rest.split_at(more);
        assert_eq!(before, &parent.statements[..first]);
        assert_eq!(rest[1..], parent.statements[first + 1..]);
        assert!(block.iter().all(|statement| of_donor.contains(&statement.function)));
        let (new, old) = (rest[0], parent.statements[first]);
        assert_eq!((new.target, new.function), (old.target, old.function));
        // It may have read the slot before that the block updates.
        let differ = new.arguments().iter().zip(old.arguments()).filter(|(new, old)| new != old);
        assert!(differ.count() <= 1, "{child}");
        let reads = |target: VarId| new.arguments().contains(&Operand::Variable(target));
        assert!(block.iter().any(|statement| reads(statement.target)), "{child}");
    }
    assert!(added.len() > 3 && added.contains(&1), "{added:?}");
}

#[test]
fn a_slot_comes_with_its_update_into_one_that_nothing_used() {
    // Momentum has one slot, and room for another.
    let parent =
        symopt_dsl::parse("def f(w, g, m, v, lr):\n  m = m * 0.9\n  m = m + g\n  update = m * lr\n  return update, m, v")
            .unwrap();
    let donor = symopt_dsl::parse(
        "def f(w, g, a, b, lr):\n  x = g * g\n  b = interp(x, b, 0.99)\n  update = g / b\n  return update, a, b",
    )
    .unwrap();
    let children = children(&MutationConfig::default(), &parent, &donor);
    let (v, m) = (VarId(3), VarId(2));
    let takes = children.iter().filter(|(child, _)| child.statements.iter().any(|s| s.target == v));
    let updates_m = |child: &Program| child.statements.iter().filter(|s| s.target == m).count();
    assert!(takes.clone().count() > 100);
    assert!(takes.clone().all(|(child, _)| updates_m(child) == 2));
    // Without the state the block reads the slot of the same number, and updates none.
    assert!(children.iter().any(|(child, _)| {
        child.statements.len() > 3 && child.statements.iter().filter(|s| s.target == v).count() == 0
    }));
}

#[test]
fn hidden_parameters_stay_unread_and_long_programs_do_not_grow() {
    let direction = |name: &str| form::split(&program(name)).unwrap();
    let (parent, donor) = (direction("lion"), program("adamw-paper"));
    let config =
        MutationConfig { hidden: form::hidden(&parent), max_statements: 6, ..Default::default() };
    let children = children(&config, &parent, &donor);
    assert!(!children.is_empty());
    let hidden = |id: VarId| {
        let name = parent.signature().parameters.get(id.index()).map(|p| &p.name);
        name.is_some_and(|name| config.hidden.contains(name))
    };
    for (child, _) in &children {
        assert!(child.statements.len() <= 6);
        let mut read = child.statements.iter().flat_map(|statement| statement.arguments());
        assert!(!read.any(|a| matches!(a, Operand::Variable(id) if hidden(*id))), "{child}");
    }
}

fn config(crossover: f64) -> SearchConfig {
    let mut config = SearchConfig { seed: 5, suite: "smoke".to_owned(), ..SearchConfig::default() };
    config.initial = vec!["adamw-paper".to_owned(), "lion".to_owned()].into();
    (config.evolution.population, config.evolution.lag) = (40, 16);
    (config.mutation.crossover, config.limits.programs) = (crossover, 800);
    config
}

fn run(launch: Launch, threads: usize, stop_at: u64) -> SearchResult {
    let cancel = CancelToken::new();
    let observe = |progress: &symopt_search::engine::Progress| {
        if progress.statistics.generated >= stop_at {
            cancel.cancel();
        }
    };
    launch.run(threads, &cancel, &mut { observe }).unwrap().result
}

#[test]
fn a_search_with_crossover_is_the_same_on_any_threads_and_lineages_name_both_parents() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let new = |name: &str| Launch::new(config(0.5), &at(name), &CancelToken::new()).unwrap();
    let contents = |path: &Path| Journal::open(path).unwrap().contents().unwrap();
    let _ = run(new("one"), 1, u64::MAX);
    let _ = run(new("three"), 3, 300);
    let again = Launch::resume(&at("three"), |_| {}, &CancelToken::new()).unwrap();
    let _ = run(again, 2, u64::MAX);
    assert!(contents(&at("three")) == contents(&at("one")));
    let evaluations = Journal::open(&at("one")).unwrap().evaluations().unwrap();
    let mut crossed = 0;
    for (_, record) in evaluations.iter().rev().step_by(evaluations.len() / 12) {
        let name = format!("{}:{}", at("one").display(), record.hash);
        let lineage = lineage(&name, &CancelToken::new(), &mut |_, _| {}).unwrap();
        for pair in lineage.windows(2) {
            let change = pair[1].change.as_ref().unwrap();
            assert_eq!(change.second.is_some(), change.kind == MutationKind::Crossover);
            crossed += usize::from(change.second.is_some());
            if let Some(second) = &change.second {
                let more = pair[1].program.statements.len() - pair[0].program.statements.len();
                assert_eq!(second.statements, more);
                assert!(second.index < pair[1].index && change.before != change.after);
            }
        }
    }
    assert!(crossed > 10, "{crossed}");
}

#[test]
fn crossover_is_refused_where_nothing_is_crossed() {
    for other in ["evolution.strategy = \"random\"", "mutation.constants_only = true"] {
        let error = SearchConfig::from_toml(&format!("mutation.crossover = 0.1\n{other}\n"));
        let error = error.unwrap_err();
        assert!(matches!(error, ConfigError::Idle { .. }) && error.to_string().contains(other));
    }
    let error = SearchConfig::from_toml("mutation.crossover = 1.5\n").unwrap_err().to_string();
    assert!(error.starts_with("mutation.crossover"), "{error}");
}
