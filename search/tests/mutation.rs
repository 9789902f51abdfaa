//! The mutations of the paper: always valid, each kind with its weight, every part of the search
//! space within reach.

use std::collections::{BTreeMap, BTreeSet};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use symopt_dsl::{Function, Graph, Operand, Program};
use symopt_search::config::MutationConfig;
use symopt_search::engine::mutation::{Mutation, MutationKind, Mutator};

fn adamw() -> Program {
    symopt_programs::find("adamw-paper").unwrap().program()
}

#[test]
fn a_long_chain_of_mutations_stays_valid_and_prints_and_parses() {
    let mut mutator = Mutator::new(MutationConfig::default());
    let mut program = adamw();
    for index in 0..3000 {
        let mut rng = ChaCha8Rng::seed_from_u64(42);
        rng.set_stream(index);
        program = mutator.mutate(&program, &mut rng).0;
        let graph = Graph::new(&program).unwrap();
        assert_eq!(graph.hash(), mutator.graph().hash());
        assert!(program.statements.len() <= MutationConfig::default().max_statements);
        if index % 50 == 0 {
            let parsed = symopt_dsl::parse(&program.to_string()).unwrap();
            assert_eq!(parsed, program);
            assert_eq!(Graph::new(&parsed).unwrap().hash(), graph.hash());
        }
    }
}

#[test]
fn every_kind_comes_with_its_weight() {
    let config =
        MutationConfig { insert: 3.0, delete: 1.0, modify: 2.0, ..MutationConfig::default() };
    let mut mutator = Mutator::new(config);
    let program = adamw();
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let mut counts: BTreeMap<MutationKind, f64> = BTreeMap::new();
    let trials = 12_000.0;
    for _ in 0..trials as usize {
        let (child, Mutation { kind, .. }) = mutator.mutate(&program, &mut rng);
        *counts.entry(kind).or_default() += 1.0;
        let expected = match kind {
            MutationKind::Insert => program.statements.len() + 1,
            MutationKind::Delete => program.statements.len() - 1,
            MutationKind::Modify => program.statements.len(),
            _ => unreachable!("not a mutation"),
        };
        assert_eq!(child.statements.len(), expected);
    }
    let expected = [
        (MutationKind::Insert, 0.5),
        (MutationKind::Delete, 1.0 / 6.0),
        (MutationKind::Modify, 1.0 / 3.0),
    ];
    let chi_square: f64 = expected
        .iter()
        .map(|(kind, share)| (counts[kind] - trials * share).powi(2) / (trials * share))
        .sum();
    // Two degrees of freedom: above 13.8 once in a thousand seeds.
    assert!(chi_square < 13.8, "{counts:?}");
}

#[test]
fn inserts_reach_every_function_and_modifications_every_kind_of_argument() {
    let mut mutator = Mutator::new(MutationConfig::default());
    let program = adamw();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut functions = BTreeSet::new();
    let (
        mut scaled,
        mut redrawn,
        mut to_variable,
        mut to_constant,
        mut new_targets,
        mut old_targets,
    ) = (0, 0, 0, 0, 0, 0);
    for _ in 0..20_000 {
        let (child, Mutation { kind, .. }) = mutator.mutate(&program, &mut rng);
        match kind {
            MutationKind::Insert => {
                let place = (0..program.statements.len())
                    .find(|i| child.statements[*i] != program.statements[*i])
                    .unwrap_or(program.statements.len());
                let statement = child.statements[place];
                functions.insert(statement.function);
                if statement.target.index() < program.variable_count() {
                    old_targets += 1
                } else {
                    new_targets += 1
                }
            }
            MutationKind::Modify => {
                for (new, old) in child.statements.iter().zip(&program.statements) {
                    for (new, old) in new.arguments().iter().zip(old.arguments()) {
                        match (old, new) {
                            (Operand::Constant(old), Operand::Constant(new)) if old != new => {
                                // Scaling by a power of two keeps the sign; a new draw often
                                // changes it.
                                if old.signum() == new.signum() {
                                    scaled += 1
                                } else {
                                    redrawn += 1
                                }
                            }
                            (Operand::Constant(_), Operand::Variable(_)) => to_variable += 1,
                            (Operand::Variable(_), Operand::Constant(_)) => to_constant += 1,
                            _ => {}
                        }
                    }
                }
            }
            _ => {}
        }
    }
    assert_eq!(
        functions.len(),
        43,
        "missing: {:?}",
        Function::all().filter(|f| !functions.contains(f)).collect::<Vec<_>>()
    );
    for count in [scaled, redrawn, to_variable, to_constant, new_targets, old_targets] {
        assert!(
            count > 50,
            "{:?}",
            [scaled, redrawn, to_variable, to_constant, new_targets, old_targets]
        );
    }
}

#[test]
fn a_program_at_its_limit_never_grows() {
    let program = adamw();
    let config =
        MutationConfig { max_statements: program.statements.len(), ..MutationConfig::default() };
    let mut mutator = Mutator::new(config);
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for _ in 0..500 {
        assert!(mutator.mutate(&program, &mut rng).0.statements.len() <= program.statements.len());
    }
}

#[test]
fn hidden_parameters_are_no_argument_and_no_target_and_weights_come_from_the_grid() {
    let program =
        symopt_search::judge::form::split(&symopt_programs::find("lion").unwrap().program())
            .unwrap();
    let hidden = symopt_search::judge::form::hidden(&program);
    assert_eq!(hidden, ["w", "lr", "weight_decay"]);
    let is_hidden = |program: &Program, index: usize| {
        program.signature().parameters.get(index).is_some_and(|p| hidden.contains(&p.name))
    };
    let grid = [0.25, 0.5, 0.75, 1.0 / 3.0];
    let config = MutationConfig {
        hidden: hidden.clone(),
        interp_weights: grid.to_vec(),
        ..MutationConfig::default()
    };
    let mut mutator = Mutator::new(config);
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let own: Vec<Operand> = program
        .statements
        .iter()
        .filter(|s| s.function == Function::Interp)
        .map(|s| s.arguments()[2])
        .collect();
    let mut seen = BTreeSet::new();
    for _ in 0..20 {
        let mut child = program.clone();
        for _ in 0..300 {
            child = mutator.mutate(&child, &mut rng).0;
            for statement in &child.statements {
                assert!(!is_hidden(&child, statement.target.index()), "{child}");
                for argument in statement.arguments() {
                    assert!(
                        !matches!(argument, Operand::Variable(id) if is_hidden(&child, id.index())),
                        "{child}"
                    );
                }
                if statement.function == Function::Interp {
                    match statement.arguments()[2] {
                        Operand::Constant(weight) if grid.contains(&weight) => {
                            seen.insert(weight.to_bits());
                        }
                        other => assert!(own.contains(&other), "{child}"),
                    }
                }
            }
        }
    }
    assert_eq!(seen.len(), grid.len());
}

#[test]
fn settings_that_leave_nothing_to_draw_or_to_do_end_in_no_panic_and_no_endless_loop() {
    let program = adamw();
    let all = program.signature().parameters.iter().map(|p| p.name.clone()).collect();
    let settings = [
        MutationConfig {
            hidden: all,
            constant: 0.0,
            new_variable: 0.0,
            ..MutationConfig::default()
        },
        MutationConfig { insert: 0.0, modify: 0.0, ..MutationConfig::default() },
        MutationConfig { insert: 0.0, modify: 0.0, max_statements: 1, ..MutationConfig::default() },
    ];
    for config in settings {
        let mut mutator = Mutator::new(config);
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut child = symopt_dsl::parse("def f(w, g, m, v, lr):\n  return g, m, v").unwrap();
        for _ in 0..5 {
            child = mutator.mutate(&child, &mut rng).0;
        }
        let mut child = program.clone();
        for _ in 0..25 {
            child = mutator.mutate(&child, &mut rng).0;
            assert!(Graph::new(&child).is_ok());
        }
    }
}
