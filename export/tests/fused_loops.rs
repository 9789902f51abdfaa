//! The Rust that plans are compiled to, as text: the loops are read here before they run anywhere.

use symopt_dsl::{Graph, Plan, parse};
use symopt_export::native::fused_loops;

fn passes(text: &str) -> String {
    let program = parse(text).unwrap_or_else(|faults| panic!("{faults}\n{text}"));
    fused_loops::passes(
        &program.signature().name,
        &Plan::new(&Graph::new(&program).expect("it types"), &program),
    )
}

#[test]
fn an_element_wise_program_becomes_one_loop() {
    let lion = "def lion(w, g, m, lr, *, beta1=0.9, beta2=0.99, weight_decay=0.1):\n  update = sign(interp(g, m, beta1))\n  \
                m = interp(g, m, beta2)\n  update = (update + w * weight_decay) * lr\n  return update, m\n";
    insta::assert_snapshot!(passes(lion));
}

#[test]
fn a_program_with_reductions_becomes_as_many_loops_as_it_needs_and_takes_its_sums_together() {
    let clipped = "def clipped(w, g, m, lr):\n  g = clip(g, 1.0)\n  ratio = norm(w) / norm(m)\n  m = interp(g, m, 0.9)\n  \
                   update = m * ratio * lr\n  return update, m\n";
    insta::assert_snapshot!(passes(clipped));
}

#[test]
fn the_same_plan_becomes_the_same_text() {
    let text = "def f(w, g, a, b, lr):\n  a = max(a, abs(g))\n  b = -b / (a + 1e-8)\n  update = lr * dot(a, b) * exp(b)\n  return update, a, b\n";
    assert_eq!(passes(text), passes(text));
}
