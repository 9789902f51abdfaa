//! Functions of matrices: types by shape, normal form, and what passes alone cannot compute.

use symopt_dsl::{Function, Graph, NoPlan, Plan, Program, Type, parse};

fn program(body: &str) -> Program {
    let text = format!("def p(w, g, m, lr):\n{body}  return update, m\n");
    parse(&text).unwrap_or_else(|faults| panic!("{faults}\n{text}"))
}

fn graph(body: &str) -> Graph {
    Graph::new(&program(body)).expect("what the parser gives types")
}

#[test]
fn shapes_follow_from_the_arguments_and_numbers_broadcast_into_each() {
    let graph = graph(
        "  a = transpose(g)
  b = matmul(g, a)
  c = matmul(a, g)
  b = b * lr + norm(g)
  c = newton_schulz(1 - c)
  n = norm(b) * rows(a)
  d = row_mean(matmul(a, b))
  update = matmul(matmul(b, g), c) * n + transpose(d)
  m = column_mean(transpose(a))
",
    );
    let types: Vec<Type> = graph.statement_types().to_vec();
    for ty in
        [Type::PerArray, Type::Transposed, Type::RowsByRows, Type::ColumnsByColumns, Type::Tree]
    {
        assert!(types.contains(&ty), "{ty} in {types:?}");
    }
    assert_eq!(types.last(), Some(&Type::Tree));
}

#[test]
fn norms_dots_and_clips_take_all_shapes_as_long_as_they_are_one() {
    let graph = graph(
        "  a = transpose(g)
  b = matmul(a, g)
  n = dot(a, transpose(w)) + cosine_sim(b, b) + global_norm(b)
  a = clip(a, n)
  update = transpose(interp(a, transpose(w), 0.5))
",
    );
    assert_eq!(graph.statement_types().last(), Some(&Type::Tree));
}

#[test]
fn a_program_with_functions_of_matrices_says_so_and_is_no_plan_of_passes_alone() {
    let text = "  update = newton_schulz(g) * sqrt(rows(g))\n  m = g\n";
    assert_eq!(graph(text).matrix_function(), Some(Function::NewtonSchulz));
    let refused = Plan::try_new(&graph(text), &program(text)).expect_err("no passes for matrices");
    assert_eq!(refused, NoPlan { function: Function::NewtonSchulz });
    assert!(
        refused
            .to_string()
            .starts_with("`newton_schulz` works on the matrix of an array as a whole"),
        "{refused}"
    );
    let text = "  update = g * norm(g)\n  m = g\n";
    assert_eq!(graph(text).matrix_function(), None);
    assert_eq!(
        Plan::try_new(&graph(text), &program(text)),
        Ok(Plan::new(&graph(text), &program(text)))
    );
}

#[test]
fn equal_up_to_what_is_exact_is_one_hash() {
    let hash = |line: &str| graph(&format!("  {line}\n  m = g\n")).hash();
    for (a, b) in [
        ("update = transpose(transpose(g))", "update = g"),
        ("update = g * row_mean(norm(w))", "update = g * norm(w)"),
        ("update = g * (matmul(lr, norm(w)))", "update = (norm(w) * lr) * g"),
        ("update = g * newton_schulz(0.5)", "update = g * newton_schulz(0.25 + 0.25)"),
        ("update = g * (rows(7) * 3)", "update = g * 3"),
    ] {
        assert_eq!(hash(a), hash(b), "{a} and {b}");
    }
    // A dead transpose needs no matrices.
    assert_eq!(graph("  update = transpose(transpose(g))\n  m = g\n").matrix_function(), None);
    let different = [
        "row_mean(g)",
        "column_mean(g)",
        "newton_schulz(g)",
        "g * rows(g)",
        "g * columns(g)",
        "matmul(g, matmul(transpose(w), g))",
    ];
    let hashes: std::collections::BTreeSet<_> =
        different.iter().map(|e| graph(&format!("  update = {e}\n  m = g\n")).hash()).collect();
    assert_eq!(hashes.len(), different.len());
}

#[test]
fn a_function_of_matrices_is_a_pass_of_its_own() {
    assert_eq!(graph("  update = newton_schulz(g)\n  m = g\n").cost().array_passes, 2);
    assert_eq!(graph("  update = newton_schulz(g * norm(g))\n  m = g\n").cost().array_passes, 3);
    assert_eq!(graph("  update = g * rows(g)\n  m = g\n").cost().array_passes, 1);
}
