use symopt_dsl::{Graph, Program};
fn main() {
    let s = |p: &Program| p.pruned(&Graph::new(p).unwrap());
    let a: Vec<_> = symopt_programs::zoo().iter().collect();
    for x in &a {
        let t = std::time::Instant::now();
        for i in symopt_programs::identify::identify(&x.program(), s).into_iter().take(6) {
            println!("{:28} {:28} {:30} {:.3} {}", x.name, i.entry.name, i.comparison.relation.name(), i.comparison.distance(), i.comparison.differences().chars().take(150).collect::<String>());
        }
        println!("   {:?}", t.elapsed());
    }
    let parse = |t| symopt_dsl::parse(t).unwrap();
    let raw = parse("def raw(w, g, v, lr):\n  g = arcsin(clip(g, lr))\n  m = interp(g, v, 0.8999999761581421)\n  v = interp(g, v, 0.99822)\n  update = (sign(m) + 0.4601978361606598 * w) * (lr * 0.0002171761734643951)\n  return update, v");
    for i in symopt_programs::identify::identify(&raw, s).into_iter().take(3) { println!("{}\n{:?}", i.comparison, i.comparison); }
}
