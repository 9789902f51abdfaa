//! Abstract execution of a 30-statement program: typing, redundancy, functional hash and cost. The
//! target is 2 µs; the published search space takes 114 ms for the same work.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use symopt_dsl::{Graph, parse};

/// The published raw program (22 statements) with eight more that a search could have inserted.
const THIRTY_STATEMENTS: &str = "\
@guarded
def train(w, g, m, v, lr):
  g = clip(g, lr)
  m = clip(m, lr)
  v845 = sqrt(0.6270633339881897)
  v968 = sign(v)
  v968 = v - v
  g = arcsin(g)
  m = interp(g, v, 0.8999999761581421)
  v1 = m * m
  v = interp(g, m, 1.109133005142212)
  v845 = tanh(v845)
  lr = lr * 0.0002171761734643951
  update = m * lr
  v1 = sqrt(v1)
  update = update / v1
  wd = lr * 0.4601978361606598
  v1 = square(v1)
  wd = wd * w
  m = cosh(update)
  lr = tan(1.4572199583053589)
  update = update + wd
  v2 = norm(g)
  v3 = v2 * update
  v4 = dot(g, w)
  v5 = maximum(v3, v4)
  v6 = exp(v5)
  v7 = g + v6
  v7 = abs(v7)
  v = v + 0.0
  lr = cos(v845)
  v8 = v7 - v6
  return update, m, v
";

fn abstract_execution(c: &mut Criterion) {
    let program = parse(THIRTY_STATEMENTS).expect("the program is valid");
    assert_eq!(program.statements.len(), 30);
    let mut graph = Graph::default();
    c.bench_function("abstract execution, 30 statements", |b| {
        b.iter(|| {
            graph.rebuild(black_box(&program)).expect("the program is valid");
            black_box(graph.hash())
        });
    });
}

criterion_group!(benches, abstract_execution);
criterion_main!(benches);
