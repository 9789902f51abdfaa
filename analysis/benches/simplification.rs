//! How far and how fast programs of real searches simplify: `cargo bench -p symopt-analysis --bench
//! simplification`.

use std::time::Instant;

use symopt_analysis::equivalence::RandomStreams;
use symopt_analysis::simplify::{Options, simplify};
use symopt_dsl::{Graph, parse};

/// The last 200 programs that were evaluated in each of five searches: `symopt search --seed N
/// --programs 150000`, N from 11 to 15.
const LATE_PROGRAMS: &str = include_str!("../tests/corpus/late_programs.txt");

fn main() {
    let (mut left, mut pruned, mut milliseconds) = (Vec::new(), Vec::new(), Vec::new());
    let (mut rejected, mut steps) = (0, 0);
    for text in LATE_PROGRAMS.split("---\n") {
        let Ok(program) = parse(text) else { continue };
        let Ok(graph) = Graph::new(&program) else { continue };
        let begin = Instant::now();
        let derivation = simplify(&program, &Options::default(), &mut RandomStreams::default());
        milliseconds.push(1e3 * begin.elapsed().as_secs_f64());
        let before = program.statements.len() as f64;
        left.push(derivation.result().statements.len() as f64 / before);
        pruned.push(program.pruned(&graph).statements.len() as f64 / before);
        rejected += derivation.rejected.len();
        steps += derivation.steps.len();
    }
    println!("{} programs, {steps} steps, {rejected} rejected by their checks", left.len());
    println!("                                   mean   25 %    50 %    75 %    most");
    for (name, values) in [
        ("statements left, redundancy alone", &mut pruned),
        ("statements left", &mut left),
        ("milliseconds", &mut milliseconds),
    ] {
        values.sort_by(f64::total_cmp);
        let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
        let at = |share: f64| {
            values
                .get((share * values.len().saturating_sub(1) as f64) as usize)
                .copied()
                .unwrap_or(f64::NAN)
        };
        println!(
            "{name:<33} {mean:>6.3} {:>7.3} {:>7.3} {:>7.3} {:>7.3}",
            at(0.25),
            at(0.5),
            at(0.75),
            at(1.0)
        );
    }
}
