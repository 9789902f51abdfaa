//! The strategies that evolution is compared with: random programs, and nothing but constants.

use std::collections::BTreeSet;
use std::path::Path;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use symopt_cancel::CancelToken;
use symopt_dsl::{Function, Graph, Operand, Program, VarId};
use symopt_search::SearchResult;
use symopt_search::config::{ConfigError, MutationConfig, SearchConfig, Strategy};
use symopt_search::engine::lineage;
use symopt_search::engine::mutation::{MutationKind, Mutator, constants};
use symopt_search::journal::Journal;
use symopt_search::judge::form;
use symopt_search::launch::{Launch, LaunchError};

fn adamw() -> Program {
    symopt_programs::find("adamw-paper").unwrap().program()
}

/// A program with numbers in place of its constants.
fn without_constants(program: &Program) -> Program {
    let mut program = program.clone();
    for (statement, position) in constants(&program) {
        program.statements[statement].arguments_mut()[position] = Operand::Constant(1.0);
    }
    program
}

#[test]
fn random_programs_are_valid_of_all_lengths_and_of_all_functions() {
    let adamw = adamw();
    let mut mutator = Mutator::new(MutationConfig::default());
    let (mut lengths, mut functions, mut hashes) =
        (vec![0; 2 * adamw.statements.len() + 1], BTreeSet::new(), BTreeSet::new());
    let trials = 4000;
    for index in 0..trials {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        rng.set_stream(index);
        let (program, mutation) = mutator.random(&adamw, &mut rng);
        assert_eq!(mutation.kind, MutationKind::Random);
        let graph = Graph::new(&program).unwrap();
        assert_eq!(graph.hash(), mutator.graph().hash());
        assert_eq!(program.signature(), adamw.signature());
        assert_eq!(program.statements.last().unwrap().target, program.update);
        lengths[program.statements.len()] += 1;
        functions.extend(program.statements.iter().map(|s| s.function));
        hashes.insert(graph.hash());
        let parsed = symopt_dsl::parse(&program.to_string()).unwrap();
        assert_eq!(Graph::new(&parsed).unwrap().hash(), graph.hash(), "{program}");
    }
    assert_eq!(lengths[0], 0);
    let expected = f64::from(trials as u32) / (lengths.len() - 1) as f64;
    for (length, count) in lengths.iter().enumerate().skip(1) {
        // Each length as often as another, but for six standard deviations.
        assert!(
            (f64::from(*count) - expected).abs() < 6.0 * expected.sqrt(),
            "{length}: {count} of {trials}"
        );
    }
    assert_eq!(
        functions.len(),
        43,
        "missing: {:?}",
        Function::all().filter(|f| !functions.contains(f)).collect::<Vec<_>>()
    );
    assert!(hashes.len() > trials as usize / 2, "{}", hashes.len());
}

#[test]
fn random_directions_leave_alone_what_stands_outside() {
    let direction = form::split(&adamw()).unwrap();
    let config = MutationConfig { hidden: form::hidden(&direction), ..MutationConfig::default() };
    assert_eq!(config.hidden, ["w", "lr", "weight_decay"]);
    let mut mutator = Mutator::new(config);
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    for _ in 0..500 {
        let (program, _) = mutator.random(&direction, &mut rng);
        let parameters = &program.signature().parameters;
        let hidden = |id: VarId| {
            parameters
                .get(id.index())
                .is_some_and(|p| ["w", "lr", "weight_decay"].contains(&p.name.as_str()))
        };
        for statement in &program.statements {
            let reads =
                |argument: &Operand| matches!(argument, Operand::Variable(id) if hidden(*id));
            assert!(
                !hidden(statement.target) && !statement.arguments().iter().any(reads),
                "{program}"
            );
        }
        assert!(
            form::complete(&program).is_some_and(|whole| Graph::new(&whole).is_ok()),
            "{program}"
        );
    }
}

#[test]
fn where_everything_is_hidden_there_is_an_end() {
    let adamw = adamw();
    let hidden: Vec<String> = adamw.signature().parameters.iter().map(|p| p.name.clone()).collect();
    let config = MutationConfig { hidden, max_statements: 2, ..MutationConfig::default() };
    let mut mutator = Mutator::new(config);
    let (program, _) = mutator.random(&adamw, &mut ChaCha8Rng::seed_from_u64(1));
    assert_eq!(Graph::new(&program).unwrap().hash(), mutator.graph().hash());
}

#[test]
fn tuning_changes_one_constant_and_keeps_its_sign() {
    let adamw = adamw();
    let places = constants(&adamw);
    assert_eq!(places.len(), 4);
    let config = MutationConfig { constants_only: true, ..MutationConfig::default() };
    let mut mutator = Mutator::new(config.clone());
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut changed = BTreeSet::new();
    for _ in 0..300 {
        let (child, mutation) = mutator.mutate(&adamw, &mut rng);
        assert_eq!(
            without_constants(&child),
            without_constants(&{
                let mut plain = adamw.clone();
                plain.clear_comments();
                plain
            })
        );
        let differs = |(s, p): &&(usize, usize)| {
            child.statements[*s].arguments()[*p] != adamw.statements[*s].arguments()[*p]
        };
        let different: Vec<_> = places.iter().filter(differs).collect();
        assert_eq!(different.len(), 1);
        let (statement, position) = *different[0];
        assert_eq!(mutation.statement, statement);
        let Operand::Constant(value) = child.statements[statement].arguments()[position] else {
            panic!("{child}")
        };
        assert!(value > 0.0 && value.is_finite());
        changed.insert((statement, position));
        assert_eq!(Graph::new(&child).unwrap().hash(), mutator.graph().hash());
    }
    assert_eq!(changed.len(), 4);

    // Weights of interp stay on their grid.
    let mut on_grid =
        Mutator::new(MutationConfig { interp_weights: vec![0.5, 0.25], ..config.clone() });
    for _ in 0..100 {
        let (child, mutation) = on_grid.mutate(&adamw, &mut rng);
        let statement = &child.statements[mutation.statement];
        if statement.function == Function::Interp {
            assert!(
                [Operand::Constant(0.5), Operand::Constant(0.25)]
                    .contains(&statement.arguments()[2]),
                "{child}"
            );
        }
    }

    // Nothing to tune: the child is its parent.
    let signum = symopt_programs::find("signum").unwrap().program();
    assert!(constants(&signum).is_empty());
    let (child, _) = Mutator::new(config).mutate(&signum, &mut rng);
    assert_eq!(child.statements, signum.statements);
    assert_eq!(Graph::new(&child).unwrap().hash(), Graph::new(&signum).unwrap().hash());
}

fn smoke(change: impl FnOnce(&mut SearchConfig)) -> SearchConfig {
    let mut config = SearchConfig { suite: "smoke".to_owned(), ..SearchConfig::default() };
    config.evolution.population = 50;
    config.limits.programs = 2000;
    change(&mut config);
    config
}

fn search(config: SearchConfig, store: &Path, threads: usize) -> SearchResult {
    let launch = Launch::new(config, store, &CancelToken::new()).unwrap();
    launch.run(threads, &CancelToken::new(), &mut |_| {}).unwrap().result
}

fn contents(store: &Path) -> String {
    Journal::open(store).unwrap().contents().unwrap()
}

#[test]
fn both_run_as_searches_that_are_the_same_on_any_number_of_threads_and_go_on_where_they_ended() {
    let directory = tempfile::tempdir().unwrap();
    let configs = [
        ("random", smoke(|config| config.evolution.strategy = Strategy::Random)),
        ("constants", smoke(|config| config.mutation.constants_only = true)),
    ];
    for (name, config) in configs {
        let at = |kind: &str| directory.path().join(format!("{name}-{kind}"));
        let result = search(config.clone(), &at("one"), 1);
        assert_eq!(result.statistics.generated, 2000);
        let _ = search(config.clone(), &at("two"), 2);
        assert_eq!(contents(&at("one")), contents(&at("two")));

        // Half of it, and then the rest.
        let mut half = config.clone();
        half.limits.programs = 1000;
        let _ = search(half, &at("half"), 1);
        let launch = Launch::resume(
            &at("half"),
            |config| config.limits.programs = 2000,
            &CancelToken::new(),
        )
        .unwrap();
        let resumed = launch.run(1, &CancelToken::new(), &mut |_| {}).unwrap().result;
        assert_eq!(
            (resumed.best.hash, resumed.statistics.evaluated),
            (result.best.hash, result.statistics.evaluated)
        );

        if config.mutation.constants_only {
            assert_eq!(
                without_constants(&result.best.program).statements,
                without_constants(&result.initial).statements
            );
            assert!(result.best.fitness > result.population.last().unwrap().fitness);
            assert!(result.best.index.is_some());
        } else {
            // The lineage tells the origin of a random program, and nothing is evaluated again for
            // that.
            let index =
                Journal::open(&at("one")).unwrap().evaluations().unwrap().last().unwrap().clone();
            let name = format!("{}:{}", at("one").display(), index.1.hash);
            let lineage = lineage::lineage(&name, &CancelToken::new(), &mut |_, _| {}).unwrap();
            assert_eq!(lineage.len(), 2);
            let change = lineage[1].change.as_ref().unwrap();
            assert_eq!(
                (change.kind, &change.before, &change.after),
                (MutationKind::Random, &None, &None)
            );
            // Random search does not get far: evolution from the same program in the same number of
            // programs is better.
            let evolution = search(smoke(|_| {}), &at("evolution"), 1);
            assert!(evolution.best.fitness > result.best.fitness);
        }
    }
}

#[test]
fn what_can_not_work_is_refused_with_the_reason() {
    let both = "[evolution]\nstrategy = \"random\"\n[mutation]\nconstants_only = true\n";
    assert!(matches!(SearchConfig::from_toml(both).unwrap_err(), ConfigError::RandomConstants));
    let error =
        SearchConfig::from_toml("[evolution]\nstrategy = \"annealing\"\n").unwrap_err().to_string();
    assert!(error.contains("regularized") && error.contains("random"), "{error}");

    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    let config = smoke(|config| {
        config.mutation.constants_only = true;
        config.initial = "signum".into();
    });
    let Err(error) = Launch::new(config, &store, &CancelToken::new()) else {
        panic!("nothing to tune")
    };
    assert!(matches!(error, LaunchError::NoConstants { .. }));
    let config = smoke(|config| config.mutation.hidden = vec!["lr".to_owned(), "nope".to_owned()]);
    let Err(error) = Launch::new(config, &store, &CancelToken::new()) else {
        panic!("there is no such parameter")
    };
    let text = error.to_string();
    assert!(
        text.contains("mutation.hidden names `nope`") && text.contains("w, g, m, v, lr"),
        "{text}"
    );
    assert!(!store.exists());
}
