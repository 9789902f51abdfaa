//! Mutation and abstract execution together: how fast a search can breed. The target is 150,000
//! programs a second on one core.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use symopt_dsl::Program;
use symopt_search::config::MutationConfig;
use symopt_search::engine::mutation::Mutator;

/// A program as a search has it after many mutations, of about 30 statements.
fn evolved() -> Program {
    let mut mutator = Mutator::new(MutationConfig::default());
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut program = symopt_programs::find("adamw-paper").expect("it is in the zoo").program();
    while program.statements.len() < 30 {
        program = mutator.mutate(&program, &mut rng).0;
    }
    program
}

fn breeding(c: &mut Criterion) {
    let mut group = c.benchmark_group("breeding");
    group.throughput(Throughput::Elements(1));
    let seeds = [
        ("adamw-paper", symopt_programs::find("adamw-paper").expect("it is in the zoo").program()),
        ("30 statements", evolved()),
    ];
    for (name, program) in seeds {
        let mut mutator = Mutator::new(MutationConfig::default());
        let mut index = 0;
        group.bench_function(name, |b| {
            b.iter_batched(
                || {
                    index += 1;
                    index
                },
                |index| {
                    // As the search does it: a random stream for each child.
                    let mut rng = ChaCha8Rng::seed_from_u64(7);
                    rng.set_stream(index);
                    mutator.mutate(&program, &mut rng)
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, breeding);
criterion_main!(benches);
