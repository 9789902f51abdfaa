//! Parsing valid texts, and that no text whatever makes the parser panic.

use proptest::prelude::*;
use symopt_dsl::program::{Numerics, ParameterKind};
use symopt_dsl::{Program, parse};
use symopt_testing::random::Random;
use symopt_testing::texts::random_program;

/// The programs of the paper, copied unchanged.
const PAPER: [(&str, &str, usize); 7] = [
    ("program 1", include_str!("programs/program-1-lion.opt"), 6),
    ("program 3", include_str!("programs/program-3-adamw.opt"), 9),
    ("program 4", include_str!("programs/program-4-found.opt"), 12),
    ("program 5", include_str!("programs/program-5-stronger-regularisation.opt"), 12),
    ("program 6", include_str!("programs/program-6-adagrad-like.opt"), 11),
    ("program 7", include_str!("programs/program-7-adabelief-like.opt"), 10),
    ("program 8", include_str!("programs/program-8-raw.opt"), 21),
];

fn parsed(text: &str) -> Program {
    parse(text).unwrap_or_else(|fault| panic!("{}", fault.render("text", text, false)))
}

/// The statements of a body over `w, g, m, lr` that returns `update`, as printed.
fn lowered(body: &str) -> Vec<String> {
    let text = format!("def p(w, g, m, lr, *, a=0.5):\n  {body}\n  return update, m\n");
    parsed(&text)
        .to_string()
        .lines()
        .skip(1)
        .map(|line| line.trim().to_string())
        .filter(|line| !line.starts_with("return"))
        .collect()
}

#[test]
fn the_programs_of_the_paper_paste_in_unchanged() {
    for (name, text, statements) in PAPER {
        for text in [
            text.to_string(),
            format!("@guarded\n{text}"),
            text.replace('\n', "\r\n"),
            format!("\u{feff}{text}"),
            text.replace("  ", "\t"),
        ] {
            let program = parsed(&text);
            assert_eq!(program.statements.len(), statements, "{name}");
            assert_eq!(parsed(&program.to_string()), program, "{name}");
            assert_eq!(program.signature().numerics == Numerics::Guarded, text.starts_with('@'));
        }
    }
}

#[test]
fn the_free_names_of_the_published_lion_become_hyperparameters() {
    let program = parsed(PAPER[0].1);
    let found: Vec<(&str, Option<f64>)> =
        program.signature().hyperparameters().map(|(_, p)| (p.name.as_str(), p.default)).collect();
    assert_eq!(found, [("beta1", Some(0.9)), ("beta2", Some(0.99)), ("lambda_", Some(0.0))]);
    // A declared one keeps its default.
    let program = parsed("def p(w, g, *, beta1=0.5):\n  u = g * beta1 * beta2\n  return u\n");
    let found: Vec<(&str, Option<f64>)> =
        program.signature().hyperparameters().map(|(_, p)| (p.name.as_str(), p.default)).collect();
    assert_eq!(found, [("beta1", Some(0.5)), ("beta2", Some(0.99))]);
}

#[test]
fn parameters_have_their_kinds() {
    let program = parsed(
        "def p(weights, gradient, t, m, v, lr=1e-3, *, eps=-1e-8):\n  u = gradient * lr\n  return u, m, v\n",
    );
    let kinds: Vec<ParameterKind> = program.signature().parameters.iter().map(|p| p.kind).collect();
    use ParameterKind::*;
    use symopt_dsl::SlotId;
    assert_eq!(
        kinds,
        [Weights, Gradients, Step, Slot(SlotId(0)), Slot(SlotId(1)), LearningRate, Hyperparameter]
    );
    assert_eq!(program.signature().peak_learning_rate(), 1e-3);
    assert_eq!(program.signature().parameters[6].default, Some(-1e-8));
}

#[test]
fn nested_expressions_lower_to_one_call_statements() {
    assert_eq!(
        lowered("update = sign(interp(g, m, a)) + a * w"),
        [
            "update_1 = interp(g, m, a)",
            "update_2 = sign(update_1)",
            "update_3 = a * w",
            "update = update_2 + update_3"
        ]
    );
}

#[test]
fn temporaries_take_no_name_of_the_text() {
    assert_eq!(
        lowered("update_1 = g\n  update = -g * w\n  update = -update * update_1"),
        [
            "update_1 = g",
            "update_2 = -g",
            "update = update_2 * w",
            "update_3 = -update",
            "update = update_3 * update_1"
        ]
    );
}

#[test]
fn operators_have_pythons_precedence() {
    assert_eq!(lowered("update = -g ** 2"), ["update_1 = power(g, 2.0)", "update = -update_1"]);
    assert_eq!(lowered("update = g ** -2"), ["update = power(g, -2.0)"]);
    assert_eq!(lowered("update = -2 ** g"), ["update_1 = power(2.0, g)", "update = -update_1"]);
    assert_eq!(
        lowered("update = g ** w ** m"),
        ["update_1 = power(w, m)", "update = power(g, update_1)"]
    );
    assert_eq!(
        lowered("update = g ** -w ** m"),
        ["update_1 = power(w, m)", "update_2 = -update_1", "update = power(g, update_2)"]
    );
    assert_eq!(lowered("update = g - w - m"), ["update_1 = g - w", "update = update_1 - m"]);
    assert_eq!(lowered("update = g / w * m"), ["update_1 = g / w", "update = update_1 * m"]);
    assert_eq!(lowered("update = g - w * m"), ["update_1 = w * m", "update = g - update_1"]);
    assert_eq!(lowered("update = (g - w) * m"), ["update_1 = g - w", "update = update_1 * m"]);
    assert_eq!(lowered("update = -g * w"), ["update_1 = -g", "update = update_1 * w"]);
    assert_eq!(lowered("update = g - -0.5"), ["update = g - -0.5"]);
    assert_eq!(lowered("update = +g - +0.5"), ["update = g - 0.5"]);
    assert_eq!(lowered("update = --g"), ["update_1 = -g", "update = -update_1"]);
    assert_eq!(lowered("update = g * -(0.5)"), ["update = g * -0.5"]);
}

#[test]
fn comparisons_are_calls_and_bind_loosest() {
    assert_eq!(
        lowered("update = g + 1.0 < m * 2.0"),
        ["update_1 = g + 1.0", "update_2 = m * 2.0", "update = less(update_1, update_2)"]
    );
    for (operator, name) in [
        ("<", "less"),
        ("<=", "less_equal"),
        (">", "greater"),
        (">=", "greater_equal"),
        ("==", "equal"),
    ] {
        assert_eq!(
            lowered(&format!("update = g {operator} m")),
            [format!("update = {name}(g, m)")]
        );
    }
    assert_eq!(
        lowered("update = where((g < m) * (m < w), g, -g)"),
        [
            "update_1 = less(g, m)",
            "update_2 = less(m, w)",
            "update_3 = update_1 * update_2",
            "update_4 = -g",
            "update = where(update_3, g, update_4)"
        ]
    );
    // Python's chains mean something else.
    assert!(parse("def p(w, g):\n  u = w < g < w\n  return u\n").is_err());
    assert!(parse("def p(w, g):\n  u = w < (g < w)\n  return u\n").is_ok());
}

#[test]
fn a_program_says_which_profiles_it_needs() {
    let names = |text: &str| {
        parsed(text).profiles().into_iter().map(|profile| profile.name()).collect::<Vec<_>>()
    };
    assert_eq!(names("def p(w, g, m, v, lr):\n  u = -g * lr\n  return u, m, v\n"), ["paper"]);
    assert_eq!(
        names("def p(w, g, a, b, c, t):\n  u = g * t\n  return u, a, b, c\n"),
        ["paper", "step", "slots"]
    );
    assert_eq!(
        names("def p(w, g):\n  u = where(g > 0.0, g, 0.0)\n  return u\n"),
        ["paper", "select"]
    );
    assert_eq!(
        names("def p(w, g):\n  u = g * mean(g > size(g))\n  return u\n"),
        ["paper", "select", "reduce"]
    );
}

#[test]
fn a_minus_before_a_number_is_part_of_it_and_a_call_is_not() {
    assert_eq!(lowered("c = -0.0\n  update = g * c"), ["c = -0.0", "update = g * c"]);
    assert_eq!(
        lowered("c = negative(0.0)\n  update = g * c"),
        ["c = negative(0.0)", "update = g * c"]
    );
}

#[test]
fn numbers_are_read_as_python_reads_them() {
    for (text, value) in [
        ("0", 0.0),
        ("00", 0.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("1_000.5_0", 1000.5),
        ("1E+3", 1e3),
        ("01e1", 10.0),
        ("1e-999", 0.0),
        ("5e-324", 5e-324),
        ("1.7976931348623157e308", f64::MAX),
    ] {
        let program = parsed(&format!("def p(w, g):\n  u = g * {text}\n  return u\n"));
        assert_eq!(
            program.statements[0].arguments()[1],
            symopt_dsl::Operand::Constant(value),
            "{text}"
        );
    }
}

#[test]
fn layout_is_as_free_as_pythons() {
    let plain =
        parsed("\"\"\"Doc.\"\"\"\ndef p(w, g, m):\n  m = interp(m, g, 0.5)\n  return m, m\n");
    for text in [
        "def p(w, g, m):\n  \"\"\"Doc.\"\"\"\n  m = interp(m, g, 0.5)\n  return m, m",
        "'Doc.'\n\n\ndef p(w, g, m):\n\n      m = interp(m,\n  g, 0.5\n)\n\n      return (m, m)\n\n",
        "r\"\"\"\nDoc.\n\"\"\"\rdef p(w,\r  g,\r  m,\r):\r\tm = interp(m, g, 0.5)\r\treturn m, m,\r",
        "  \"\"\"Doc.\"\"\"\n  def p(w, g, m):\n    m = \\\n  interp(m, g, 0.5)\n    return m, m\n",
        "def p(w, g, m):\n  '''Doc.\n  '''\n  m = interp(m, g, .5)\n   \n  return m, m\n",
    ] {
        assert_eq!(parsed(text), plain, "{text}");
    }
}

#[test]
fn a_program_without_statements_returns_a_parameter() {
    let program = parsed("def p(w, g):\n  return g\n");
    assert!(program.statements.is_empty());
    assert_eq!(parsed(&program.to_string()), program);
}

/// Pieces that bring a random text near to a program.
const TOKENS: [&str; 72] = [
    "def ",
    "p",
    "(",
    ")",
    "(w, g, m, lr):",
    ":",
    "\n",
    "\n  ",
    "\n\t",
    "\r\n",
    "\r",
    "  ",
    "\t",
    "return ",
    "update",
    "w",
    "g",
    "m",
    "lr",
    ", ",
    ",",
    " = ",
    "=",
    "==",
    "+=",
    ":=",
    "**",
    "*",
    "/",
    "//",
    "+",
    "-",
    "%",
    "@",
    "@guarded\n",
    "<",
    "not ",
    "lambda ",
    "lambda x: ",
    "if ",
    "else ",
    "for ",
    "in ",
    "import np",
    "np.",
    ".",
    "[",
    "]",
    "{",
    "}",
    "\"",
    "\"\"\"",
    "'",
    "#",
    "# remark",
    ";",
    "\\",
    "\\\n",
    "$",
    "`",
    "×",
    "β",
    "\u{feff}",
    "\0",
    "1",
    "0.9",
    "1e999",
    "1.2.3",
    "interp(g, m, 0.9)",
    "sqrt(",
    "nan",
    "def p(w, g, m, lr):\n  update = g\n  return update, m\n",
];

/// Parses, and uses everything that a fault offers.
fn survives(text: &str) {
    match parse(text) {
        Ok(program) => {
            let printed = program.to_string();
            match parse(&printed) {
                Ok(again) => assert_eq!(again, program, "{text:?}"),
                Err(fault) => panic!("{text:?}\n{printed}\n{fault}"),
            }
        }
        Err(fault) => {
            assert!(fault.iter().count() > 0);
            for diagnostic in fault.iter() {
                assert!(!diagnostic.message.is_empty());
                for span in std::iter::once(&diagnostic.span)
                    .chain(diagnostic.secondary.iter().map(|label| &label.span))
                {
                    assert!(
                        text.get(span.clone()).is_some(),
                        "{text:?}: {span:?} of {diagnostic:?}"
                    );
                }
            }
            assert!(!fault.render("text", text, false).is_empty());
            // A report about another text than the one that was parsed is useless, but must not
            // bring the program down.
            let _ = fault.render("other", "x", true);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_do_not_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        survives(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn random_characters_do_not_make_it_panic(text in "\\PC{0,80}") {
        survives(&format!("def p(w, g):\n  u = {text}\n  return u"));
        survives(&text);
    }

    #[test]
    fn soups_of_tokens_do_not_make_it_panic(picks in proptest::collection::vec(0..TOKENS.len(), 0..60)) {
        let soup: String = picks.iter().map(|&i| TOKENS[i]).collect();
        survives(&soup);
        survives(&format!("def p(w, g, m, lr):\n  {soup}\n  return g, m\n"));
    }

    #[test]
    fn changed_programs_do_not_make_it_panic(seed: u64) {
        let mut text = random_program(seed, true).to_string();
        let mut random = Random(seed);
        for _ in 0..1 + random.below(4) {
            let places: Vec<usize> = (0..=text.len()).filter(|&at| text.is_char_boundary(at)).collect();
            let (a, b) = (random.pick(&places), random.pick(&places));
            let (start, end) = (a.min(b), a.max(b));
            match random.below(4) {
                0 => text.insert_str(start, TOKENS[random.below(TOKENS.len())]),
                1 => text.replace_range(start..*places.iter().find(|&&at| at > start).unwrap_or(&start), ""),
                2 => {
                    let piece = text[start..end].to_string();
                    text.insert_str(random.pick(&places), &piece);
                }
                _ => text.truncate(start),
            }
            if text.len() > 20_000 {
                break;
            }
        }
        survives(&text);
    }
}

#[test]
fn hostile_texts_need_neither_much_time_nor_much_stack() {
    let body = |line: String| format!("def p(w, g):\n  u = {line}\n  return u\n");
    let texts = vec![
        body(format!("{}g{}", "(".repeat(4000), ")".repeat(4000))),
        body(format!("{}g{}", "sqrt(".repeat(64), ")".repeat(64))),
        body(format!("{}g{}", "sqrt(".repeat(65), ")".repeat(65))),
        body(format!("{}g", "-".repeat(9000))),
        body(format!("{}g", "+ ".repeat(4000))),
        body(format!("{}g", "not ".repeat(2000))),
        body(format!("{}g", "lambda: ".repeat(1000))),
        body(format!("g{}", " ** g".repeat(1900))),
        body(format!("g{}", " + g".repeat(2400))),
        body(format!("g{}", " < g".repeat(2400))),
        body(format!("g{}", "[0]".repeat(3000))),
        body(format!("g{}", "(g)".repeat(3000))),
        body(format!("g{}", ".g".repeat(4000))),
        body(format!("{}{}", "[".repeat(64), "]".repeat(64))),
        body("1".repeat(9000)),
        body("x".repeat(9000)),
        body("×".repeat(9000)),
        body("g; ".repeat(3000)),
        "(".repeat(1 << 20),
        "def ".repeat(1 << 18),
        "\n".repeat(1 << 20),
        "#\n".repeat(1 << 19),
        ";".repeat(9999),
        "@".repeat(1 << 19),
        "\"".repeat(1 << 20),
        "(\n".repeat(1 << 19),
        "def p(w, g,\n".to_string() + &"x = \n".repeat(200_000),
        format!("def p(w, g):\n{}", "  u = foo(nothing)\n".repeat(50_000)),
        format!("def p(w, g):\n{}", "  if x:\n    y = 3\n".repeat(50_000)),
        format!("def p(w, g):\n{}", "  u = (g\n".repeat(100_000)),
        format!("def p(w, g):\n{}  return u\n", "  u = g * g\n".repeat(10_000)),
        format!("def p(w, g):\n{}  return u\n", "  u = g * g\n".repeat(10_001)),
        format!(
            "def p(w, g, {}):\n  return g\n",
            (0..30_000).map(|i| format!("s{i},\n")).collect::<String>()
        ),
    ];
    // Were the time quadratic in the length of such a text, this test would not come to its end.
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(move || {
        for text in &texts {
            match parse(text) {
                Ok(program) => {
                    assert!(parse(&program.to_string()).is_ok_and(|again| again == program))
                }
                Err(fault) => assert!(!fault.render("text", text, false).is_empty()),
            }
        }
    });
    thread.unwrap().join().unwrap();
}
