use symopt_dsl::simplify::*;
fn main() {
    let path = std::env::args().nth(1).unwrap();
    let show = std::env::args().nth(2).map(|x| x.parse::<usize>().unwrap());
    let arg = |n: &str, d: usize| std::env::var(n).ok().and_then(|x| x.parse().ok()).unwrap_or(d);
    let options = Options {
        limits: Limits { nodes: arg("NODES", 3000), rounds: arg("ROUNDS", 12), ..Limits::default() },
        explain: arg("EXPLAIN", 1) == 1,
        ..Options::default()
    };
    let every = arg("EVERY", 1);
    let text = std::fs::read_to_string(&path).unwrap();
    let (mut ratios, mut pruned, mut times) = (vec![], vec![], vec![]);
    for (i, text) in text.split("---\n").enumerate() {
        if show.is_some_and(|s| s != i) || i % every != 0 {
            continue;
        }
        let program = symopt_dsl::parse(text).unwrap();
        let graph = symopt_dsl::Graph::new(&program).unwrap();
        let begin = std::time::Instant::now();
        let derivation = simplify(&program, &options, &mut Unchecked);
        times.push(1e3 * begin.elapsed().as_secs_f64());
        let n = program.statements.len() as f64;
        if show.is_some() {
            println!("{program}");
            println!("{}", program.pruned(&graph));
            println!("{}", derivation.result());
            println!("{:?}", derivation.limits);
            for step in &derivation.steps {
                println!("{} {}", step.kind, step.label);
            }
        }
        ratios.push(derivation.result().statements.len() as f64 / n);
        pruned.push(program.pruned(&graph).statements.len() as f64 / n);
    }
    for (name, v) in [("after/before", &mut ratios), ("redundancy removal alone", &mut pruned), ("ms", &mut times)] {
        v.sort_by(f64::total_cmp);
        let q = |p: f64| v[(p * (v.len() - 1) as f64) as usize];
        println!(
            "{name}: mean {:.3} quartiles {:.3} {:.3} {:.3} max {:.3} n {}",
            v.iter().sum::<f64>() / v.len() as f64,
            q(0.25),
            q(0.5),
            q(0.75),
            q(1.0),
            v.len()
        );
    }
}
