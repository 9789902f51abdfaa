//! Messages of the parser about faulty texts, as a terminal shows them.

use symopt_dsl::diagnostic::DiagnosticKind;
use symopt_dsl::parse;

fn report(text: &str) -> String {
    match parse(text) {
        Ok(program) => panic!("accepted:\n{program}"),
        Err(fault) => format!("{fault}\n\n{}", fault.render("program.opt", text, false)),
    }
}

/// A body over weights, gradients, one slot and the learning rate.
fn body(lines: &str) -> String {
    let lines: String = lines.lines().map(|line| format!("  {line}\n")).collect();
    format!("def p(w, g, m, lr, *, beta=0.9):\n{lines}")
}

/// One test for each fault; the snapshot has its name.
macro_rules! faults {
    ($($name:ident: $text:expr;)*) => {
        $(#[test]
        fn $name() {
            insta::assert_snapshot!(stringify!($name), report($text.as_ref()));
        })*
    };
}

faults! {
    // Functions and arguments.
    unknown_function_with_a_near_name: body("update = interq(g, m, beta)\nreturn update, m");
    unknown_function_that_other_libraries_have: body("a = ema(g, m, 0.9)\nb = mean(g)\nc = where(g, m, w)\nd = clip_norm(g, 1)\ne = lerp(g, m, 0.1)\nreturn w, m");
    unknown_function_without_a_near_name: body("update = frobnicate(g)\nreturn update, m");
    variable_called_as_a_function: body("update = lr(g)\nreturn update, m");
    too_few_arguments: body("update = interp(g, m)\nreturn update, m");
    too_many_arguments: body("update = sqrt(g, m, w)\nreturn update, m");
    arguments_for_a_constant: body("update = g * get_pi(g)\nreturn update, m");
    keyword_argument: body("update = interp(g, m, a=0.9)\nreturn update, m");
    unpacked_argument: body("update = sqrt(*g)\nreturn update, m");
    function_of_a_module: body("update = np.sqrt(g)\nm = jax.numpy.square(m)\nc = math.pi\nreturn update, m");
    method_call: body("update = g.sqrt()\nreturn update, m");

    // Variables.
    misspelled_variable: body("update = grad * lr\nmomentum = m\nm = momentun * 0.9\nreturn update, m");
    variable_that_is_assigned_later: body("update = decay + g\ndecay = w * 0.1\nreturn update, m");
    variable_that_nothing_assigns: body("update = g * weight_decay\nreturn update, m");
    variable_that_other_languages_define: body("update = g / (sqrt(m) + eps) * pi\nx = step * learning_rate\nreturn update, m");
    function_used_as_a_variable: body("update = g * sign\nreturn update, m");
    faults_are_reported_once_and_not_what_follows_from_them: body("a = foo(g)\nb = a * 2\nc = interp(g, m, b)\nd = nothing\ne = nothing + d\nupdate = c\nreturn update, m");
    lambda_beside_its_replacement: "def p(w, g, *, lambda_=0.1):\n  u = w * lambda\n  return u\n";

    // Types.
    blend_by_a_tree: body("a = square(g)\nupdate = interp(g, m, a)\nreturn update, m");
    blend_by_a_nested_tree: body("update = sign(interp(g, m, w * beta + 1))\nreturn update, m");
    clip_by_a_norm_of_each_array: body("limit = norm(g)\nupdate = clip(g, limit)\nreturn update, m");
    clip_by_a_slot: body("update = clip(g, m)\nreturn update, m");
    slot_that_is_a_scalar: body("m = dot(g, w)\nreturn g, m");
    update_that_is_a_scalar: body("update = lr * 2\nreturn update, m");
    matrices_whose_sizes_do_not_meet: body("a = square(g)\nupdate = matmul(a, w)\nreturn update, m");
    matrices_whose_sizes_do_not_meet_either_way: body("update = matmul(g, matmul(w, transpose(g)))\nreturn update, m");
    matrix_times_a_number: body("update = matmul(g, lr)\nreturn update, m");
    sum_of_a_matrix_and_a_transposed_one: body("a = transpose(w)\nupdate = g + a\nreturn update, m");
    blend_of_two_shapes: body("update = interp(g, matmul(g, transpose(w)), beta)\nreturn update, m");
    dot_of_two_shapes: body("update = g * dot(transpose(g), g)\nreturn update, m");
    update_with_rows_by_rows_numbers: body("update = matmul(g, transpose(g))\nreturn update, m");
    slot_that_is_transposed: body("m = transpose(g)\nreturn g, m");
    function_of_matrices_that_other_libraries_have: body("update = svd(g)\nreturn update, m");
    type_fault_beside_another_fault: body("a = foo(g)\nupdate = interp(g, m, g)\nreturn update, m");

    // Return statements.
    slot_missing_in_return: "def p(w, g, m, v, lr):\n  update = g * lr\n  return update, m\n";
    slots_returned_in_another_order: "def p(w, g, m, v, lr):\n  update = g * lr\n  return update, v, m\n";
    update_missing_in_return: "def p(w, g, m, v, lr):\n  update = g * lr\n  return m, v\n";
    local_returned_as_a_slot: body("update = g * lr\nx = m\nreturn update, m, x");
    hyperparameter_among_the_slots: "def p(w, g, m, lr, beta):\n  update = interp(g, m, 0.9)\n  m = g\n  return update, m\n";
    expression_in_return: body("return g * lr, m");
    return_of_nothing: body("update = g\nreturn");
    missing_return: body("update = g * lr");
    statements_after_return: body("update = g\nreturn update, m\nupdate = w\nm = w");
    update_that_nothing_assigns: body("m = g\nreturn update, m");

    // Constants.
    constant_that_overflows: body("update = g * 1e999\nreturn update, m");
    constant_that_is_not_a_number: body("update = g * nan + inf\nreturn update, m");
    malformed_constants: body("a = 1.2.3\nb = 0x1f\nc = 1__0\nd = 2g\ne = 1e\nf = 007\nh = 3j\ni = 1_\nreturn g, m");
    true_and_none: body("a = True\nb = None\nreturn g, m");

    // The signature.
    duplicated_parameter: "def p(w, g, m, m):\n  return g, m, m\n";
    no_parameters: "def p():\n  u = 1\n  return u\n";
    no_gradients: "def p(w, lr):\n  u = w * lr\n  return u\n";
    hyperparameter_without_default: "def p(w, g, *, beta):\n  u = g * beta\n  return u\n";
    default_of_a_slot: "def p(w, g, m=0.0):\n  u = g\n  return u, m\n";
    default_of_the_weights: "def p(w=1, g=2):\n  return g\n";
    default_of_the_learning_rate_before_a_slot: "def p(w, g, lr=0.1, m):\n  u = g * lr\n  return u, m\n";
    default_that_is_no_number: "def p(w, g, *, a=1/3, b=w, c=1e999, d=\"x\"):\n  return g\n";
    learning_rate_after_the_star: "def p(w, g, *, lr=0.1):\n  u = g * lr\n  return u\n";
    star_without_hyperparameters: "def p(w, g, *):\n  return g\n";
    collectors_and_annotations: "def p(w: Tree, g, /, *slots, **rest) -> Tree:\n  return g\n";
    parameter_called_as_a_keyword_or_function: "def p(w, g, sign, *, lambda=0.1):\n  return g, sign\n";
    def_without_parentheses: "def p w, g:\n  return g\n";
    def_without_colon: "def p(w, g)\n  return g\n";
    def_with_a_fault: "def p(w, g m):\n  return g, m\n";
    body_on_the_def_line: "def p(w, g): return g\n";

    // Names that cannot be assigned.
    assignment_to_a_function: body("min = g\nclip_by_global_norm = g\nreturn g, m");
    assignment_to_a_keyword: body("lambda = 0.1\nclass = g\nreturn = g\nreturn g, m");
    assignment_to_something_else: body("sqrt(g) = m\n3 = g\ng.x = m\ng[0] = m\n-x = m\nreturn g, m");

    // Python that the language does not have.
    augmented_assignment: body("m += g\nm *= g + w\nm **= 2\nm //= 2\nreturn g, m");
    walrus_annotation_and_chain: body("a := g\nb: float = g\nc = d = g\ne, f = g, m\nh = g, m\nreturn g, m");
    conditional_statement: body("if lr > 0:\n  update = g\nelse:\n  update = w\nreturn update, m");
    loop_import_and_pass: body("for i in range(3):\n  g = sqrt(g)\nwhile g:\n  g = m\nimport numpy as np\npass\nreturn g, m");
    comparison_and_conditional_expression: body("a = g > 0\nb = g if lr else w\nc = not g\nd = g and m\nreturn g, m");
    lambda_expression: body("f = lambda x: x * 2\nupdate = f(g)\nreturn update, m");
    other_operators: body("a = g // 2\nb = g % 2\nc = g @ m\nd = g ^ 2\ne = ~g\nreturn g, m");
    lists_indices_and_texts: body("a = [g, m]\nb = g[0]\nc = {}\nd = \"text\"\ne = (g, m)\nf = g.shape\nreturn g, m");
    expression_without_assignment: body("sqrt(g)\ng\nprint(g)\nreturn g, m");
    several_statements_on_a_line: body("update = g; m = g\nreturn update, m;");
    inner_function: body("def f(x):\n  return x\nreturn g, m");
    unknown_marker: "@jax.jit\ndef p(w, g):\n  return g\n";
    lines_above_the_program: "import numpy as np\nbeta = 0.9\ndef p(w, g):\n  return g\n";
    text_between_statements: body("update = g\n\"\"\"remark\"\"\"\nreturn update, m");

    // Syntax.
    value_missing: body("a = g +\nb = * g\nc = interp(g, , m)\nd =\ne = ()\nf = g * / m\nreturn g, m");
    operator_missing: body("a = g m\nb = 2 g\nc = (g) m\nd = sqrt g\nreturn g, m");
    unclosed_parenthesis: body("a = sqrt((g)\nb = square(g)\nreturn g, m");
    unopened_parenthesis: body("a = sqrt(g))\nb = (g]\nreturn g, m");
    unclosed_parenthesis_of_def: "def p(w, g:\n  return g\n";
    unclosed_doc_string: "\"\"\"A doc string\ndef p(w, g):\n  return g\n";
    unclosed_text: body("a = \"text\nreturn g, m");

    // Characters.
    letters_beyond_ascii: body("β1 = 0.9\nupdate = interp(g, m, β1)\nschön = g\nreturn update, m");
    stray_characters: body("a = g × m\nb = g²\nc = “g”\nd = g − m\ne = $g ? g\nf =\u{a0}g\nreturn g, m");
    code_fence: "```python\ndef p(w, g):\n  return g\n```\n";
    nul_byte: "def p(w, g):\n  return g\0\n";
    terminal_escape: body("a = g \u{1b}[31m\nreturn g, m");

    // Indentation.
    body_not_indented: "def p(w, g):\nu = g\nu = u * 2\nreturn u\n";
    line_too_deep: "def p(w, g):\n  u = g\n    u = u * 2\n  return u\n";
    line_not_deep_enough: "def p(w, g):\n    u = g\n  u = u * 2\n  return u\n";
    return_not_indented: "def p(w, g):\n  u = g\nreturn u\n";
    tabs_and_spaces: "def p(w, g):\n        u = g\n\tu = u * 2\n        return u\n";

    // The whole text.
    empty_text: "";
    text_of_comments: "# nothing\n\n# here\n";
    text_without_def: "update = g * lr\nreturn update\n";
    program_without_body: "def p(w, g):\n";
    program_with_a_doc_string_only: "def p(w, g):\n  \"\"\"Doc.\"\"\"\n  # to do\n";
    two_programs: "def p(w, g):\n  return g\n\n@guarded\ndef q(w, g):\n  return w\n";
    long_line: body(&format!("update = {}g\nreturn update, m", "g + ".repeat(2_500)));
    long_text: "# remark\n".repeat(120_000);
    many_statements: body(&format!("{}return g, m", "u = g\n".repeat(10_001)));
    many_variables: format!("def p(\n  w, g, {}):\n  return g\n", (0..60_000).map(|i| format!("s{i},\n")).collect::<String>());
    text_that_grows_when_it_is_taken_apart: body(&format!("{}return g, m", format!("{} = g{}\n", "x".repeat(200), " + g".repeat(1_900)).repeat(5)));
    long_name: body(&format!("{} = g\nreturn g, m", "x".repeat(251)));
    deep_brackets: body(&format!("a = {}g{}\nreturn g, m", "(".repeat(65), ")".repeat(65)));
    deep_signs_and_powers: body(&format!("a = {}g\nb = g{}\nreturn g, m", "-".repeat(65), " ** g".repeat(65)));
    more_faults_than_are_listed: body(&format!("{}return g, m", (0..30).map(|i| format!("a = foo{i}(g)\n")).collect::<String>()));
}

#[test]
fn kinds_and_places_can_be_told_by_a_program() {
    let text = body("update = interq(g, m, beta)\nreturn update, m");
    let fault = parse(&text).unwrap_err();
    let first = fault.first();
    assert_eq!(
        (first.kind, first.kind.code()),
        (DiagnosticKind::UnknownFunction, "unknown-function")
    );
    assert_eq!(&text[first.span.clone()], "interq");
    assert_eq!(fault.to_string(), "2:12: unknown function `interq`");
}

#[test]
fn positions_count_characters_whatever_the_line_breaks() {
    for newline in ["\n", "\r\n", "\r"] {
        let text = format!(
            "\u{feff}# äöü{newline}def p(w, g):{newline}  u = foo(g){newline}  return u{newline}"
        );
        assert_eq!(parse(&text).unwrap_err().to_string(), "3:7: unknown function `foo`");
        assert!(
            parse(&text).unwrap_err().render("x", &text, false).contains("x:3:7"),
            "{newline:?}"
        );
    }
}

#[test]
fn color_is_used_only_when_asked_for() {
    let text = body("update = interq(g, m, beta)\nreturn update, m");
    let fault = parse(&text).unwrap_err();
    assert!(!fault.render("x", &text, false).contains('\u{1b}'));
    assert!(fault.render("x", &text, true).contains('\u{1b}'));
}
