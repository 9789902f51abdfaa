use symopt_dsl::{Graph, Program};
fn main() {
    let s = |p: &Program| p.pruned(&Graph::new(p).unwrap());
    let [a, b] = ["nesterov", "qhm"].map(|n| s(&symopt_programs::find(n).unwrap().program()));
    println!("{}", symopt_dsl::compare::compare(&a, &b));
}
