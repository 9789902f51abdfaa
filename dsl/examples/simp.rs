use symopt_dsl::simplify::*;
fn main() {
    for path in std::env::args().skip(1) {
        let text = std::fs::read_to_string(&path).unwrap();
        let program = symopt_dsl::parse(&text).unwrap();
        let begin = std::time::Instant::now();
        let derivation = simplify(&program, &Options::default(), &mut Unchecked);
        let t = begin.elapsed();
        println!("=== {path} {} -> {} in {t:?}", program.statements.len(), derivation.result().statements.len());
        for step in &derivation.steps {
            println!("--- {} [{}]", step.kind, step.label);
            for r in &step.reasons {
                println!("      {} [{}]: {}", r.rule, r.label, r.text);
            }
            println!("{}", step.after);
        }
        println!("{:?}", derivation.limits);
    }
}
