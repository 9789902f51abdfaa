//! Formulas of programs.

use std::collections::{BTreeMap, BTreeSet};

use symopt_dsl::graph::NodeKind;
use symopt_dsl::program::ParameterKind;
use symopt_dsl::{Function, Graph, Program, parse};
use symopt_export::Formula;
use symopt_testing::random::Random;
use symopt_testing::texts;

fn zoo(name: &str) -> Program {
    let path = format!("{}/../programs/zoo/{name}.opt", env!("CARGO_MANIFEST_DIR"));
    parse(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn zoo_names() -> Vec<String> {
    let fmer = format!("{}/../programs/zoo", env!("CARGO_MANIFEST_DIR"));
    let names = std::fs::read_dir(fmer)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> =
        names.filter_map(|name| name.strip_suffix(".opt").map(str::to_owned)).collect();
    names.sort();
    names
}

/// The zoo, small random programs, and large ones with many shared values.
fn programs() -> Vec<Program> {
    let mut programs: Vec<Program> = zoo_names().iter().map(|name| zoo(name)).collect();
    programs.extend((0..500).map(|seed| texts::random_program(seed, false)));
    programs.extend((0..200).map(|seed| texts::dense_program(seed, 5 + seed as usize / 2)));
    programs
}

fn formula(program: &Program) -> Formula {
    Formula::new(program, &Graph::new(program).unwrap())
}

fn of(text: &str) -> Formula {
    formula(&parse(text).unwrap())
}

const HEAD: &str = "def f(w, g, m, t, lr, *, beta=0.9, weight_decay=0.1):\n  update = g * m\n";

/// The formula of an expression, in both notations.
fn text(expression: &str) -> (String, String) {
    let formula = of(&format!("{HEAD}  m = {expression}\n  return update, m"));
    (formula.slots[0].unicode.clone(), formula.slots[0].latex.clone())
}

/// The formula of an expression with guarded functions, in Unicode.
fn guarded(expression: &str) -> String {
    of(&format!("@guarded\n{HEAD}  m = {expression}\n  return update, m")).slots[0].unicode.clone()
}

#[track_caller]
fn check(expression: &str, unicode: &str, latex: &str) {
    assert_eq!(text(expression), (unicode.to_string(), latex.to_string()), "{expression}");
}

#[test]
fn formulas_of_known_programs() {
    for name in ["lion", "adamw", "lion-raw", "published-regularized", "nadam"] {
        let formula = formula(&zoo(name));
        insta::assert_snapshot!(format!("{}_unicode", name.replace('-', "_")), formula.unicode());
        insta::assert_snapshot!(format!("{}_latex", name.replace('-', "_")), formula.latex());
    }
}

#[test]
fn operators_bind_as_in_mathematics() {
    check("(g + w) * lr", "lr·(w + g)", r"\eta_t\,(w_t + g_t)");
    check("g - (w + m)", "g − (m + w)", "g_t - (m_{t-1} + w_t)");
    check("g - (w - m)", "g − (w − m)", "g_t - (w_t - m_{t-1})");
    check("(g - w) - m", "g − w − m", "g_t - w_t - m_{t-1}");
    check("g + -2.0 * w", "g − 2·w", "g_t - 2 w_t");
    check("-(g + w)", "−(w + g)", "-(w_t + g_t)");
    check("(-g) * w", "−w·g", "-w_t g_t");
    check("-g / w", "−g / w", r"-\frac{g_t}{w_t}");
    check("g / (w * m)", "g / (w·m)", r"\frac{g_t}{w_t m_{t-1}}");
    check("g * (w / m)", "g·(w / m)", r"g_t\,\frac{w_t}{m_{t-1}}");
    check("power(-g, 2.0)", "(−g)²", "(-g_t)^{2}");
    check("square(square(g))", "(g²)²", "(g_t^{2})^{2}");
    check("square(g * w)", "(w·g)²", "(w_t g_t)^{2}");
    check("square(sqrt(g))", "(√g)²", r"\sqrt{g_t}^{2}");
    check("exp2(g + w)", "2^(w + g)", "2^{w_t + g_t}");
    check("power(beta, t) * g", "β^t·g", r"\beta^{t} g_t");
    check("g * 2.0 * (w * 3.0)", "2·g·3·w", r"2 g_t \cdot 3 w_t");
    check("g * weight_decay * beta * 7.0", "7·β·λ·g", r"7 \beta \lambda g_t");
}

#[test]
fn functions_of_matrices_are_told_from_what_works_place_by_place() {
    check(
        "matmul(matmul(g, transpose(w)), m)",
        "(g @ wᵀ) @ m",
        r"(g_t \mathbin{@} w_t^{\top}) \mathbin{@} m_{t-1}",
    );
    check(
        "matmul(g, matmul(transpose(w), m)) * lr",
        "lr·(g @ (wᵀ @ m))",
        r"\eta_t\,(g_t \mathbin{@} (w_t^{\top} \mathbin{@} m_{t-1}))",
    );
    check("transpose(square(transpose(g)))", "((gᵀ)²)ᵀ", r"((g_t^{\top})^{2})^{\top}");
    check(
        "row_mean(g) * column_mean(g)",
        "rowmean(g)·colmean(g)",
        r"\operatorname{rowmean}(g_t) \operatorname{colmean}(g_t)",
    );
    let scale = r"\sqrt{\frac{\operatorname{rows}(g_t)}{\operatorname{cols}(g_t)}} \operatorname{NS}_5(g_t)";
    check("newton_schulz(g) * sqrt(rows(g) / columns(g))", "√(rows(g) / cols(g))·NS₅(g)", scale);
}

#[test]
fn fractions_inside_fractions_have_names() {
    let (unicode, latex) = text("g / (w / m + 1.0)");
    assert_eq!((unicode.as_str(), latex.as_str()), ("g / (c₁ + 1)", r"\frac{g_t}{c_{1,t} + 1}"));
}

#[test]
fn numbers_are_exact() {
    check("g * 1e-8", "10⁻⁸·g", "10^{-8} g_t");
    check("g * 2.5e-9", "2.5·10⁻⁹·g", r"2.5 \cdot 10^{-9} g_t");
    check("g * 0.0002171761734643951", "0.0002171761734643951·g", "0.0002171761734643951 g_t");
    check("g * get_pi() + get_e()", "π·g + e", r"\pi g_t + \mathrm{e}");
    check("g * (2.0 / 0.0)", "∞·g", r"\infty g_t");
    check("g * log(-1.0)", "NaN·g", r"\mathrm{NaN}\,g_t");
    check("g * -0.0", "−0·g", "-0 g_t");
}

#[test]
fn interp_is_an_affine_form() {
    check("interp(g, w, beta)", "β·w + (1 − β)·g", r"\beta w_t + (1 - \beta) g_t");
    check("interp(g, w, 0.9)", "0.9·w + 0.1·g", "0.9 w_t + 0.1 g_t");
    check("interp(g, w, 0.25)", "0.75·g + 0.25·w", "0.75 g_t + 0.25 w_t");
    check("interp(g, w, 1.109)", "1.109·w − 0.109·g", "1.109 w_t - 0.109 g_t");
    check("interp(g, w, 1e-8)", "(1 − 10⁻⁸)·g + 10⁻⁸·w", "(1 - 10^{-8}) g_t + 10^{-8} w_t");
    check("interp(g + w, -g, 0.5)", "0.5·(w + g) − 0.5·g", r"0.5\,(w_t + g_t) - 0.5 g_t");
    // The weight stands twice, so it has a name.
    assert_eq!(text("interp(g, w, 1 - beta)").0, "c₁·w + (1 − c₁)·g");
}

#[test]
fn norms_and_other_reductions_are_told_apart() {
    check("norm(g) * w", "‖g‖ₐ·w", r"\lVert g_t \rVert_{\mathrm{array}} w_t");
    check("global_norm(g) * w", "‖g‖₂·w", r"\lVert g_t \rVert_2 w_t");
    check("norm(norm(g)) * w", "‖g‖ₐ·w", r"\lVert g_t \rVert_{\mathrm{array}} w_t");
    check("dot(g, w) * w", "⟨w, g⟩·w", r"\langle w_t, g_t \rangle w_t");
    check("cosine_sim(g, w) * g", "cossim(w, g)·g", r"\operatorname{cossim}(w_t, g_t) g_t");
    check("clip(g, lr)", "clip(g, lr)", r"\operatorname{clip}(g_t, \eta_t)");
    let text = "def lars(w, g, lr):\n  scale = norm(w) / (norm(g) + 1e-8)\n  update = clip(g, 1.0) / global_norm(w) * scale * lr\n  return update";
    insta::assert_snapshot!("norms_unicode", of(text).unicode());
    insta::assert_snapshot!("norms_latex", of(text).latex());
}

#[test]
fn guarded_functions_are_shown_as_what_they_are() {
    let cases = [
        ("g / w", "g / (w + 10⁻⁸)"),
        ("sqrt(g + w)", "√|w + g|"),
        ("sqrt(square(g))", "√(g²)"),
        ("log(g)", "log|g|"),
        ("log2(g) * log10(w)", "log₂|g|·log₁₀|w|"),
        ("log1p(g)", "log|1 + g|"),
        ("square(log(g))", "(log|g|)²"),
        ("log(log(g))", "log(abs(log|g|))"),
    ];
    for (expression, expected) in cases {
        assert_eq!(guarded(expression), expected, "{expression}");
    }
    check("log1p(g)", "log(1 + g)", r"\log(1 + g_t)");
    check("expm1(g)", "exp(g) − 1", r"\exp(g_t) - 1");
}

#[test]
fn names_are_the_program_s_own_and_never_mean_two_things() {
    // A new value under the name of an input, of a slot, of a local, and of the update.
    let formula = of("def f(w, g, m, c1, lr):
  g = tanh(g + w)
  slow = sin(g) * exp(g)
  update = cos(slow) * slow
  update = update * sinh(update)
  m = interp(m, g, 0.9)
  m = m * tan(m)
  c1 = interp(c1, slow, 0.9) + m
  lr = lr * 0.5
  update = update * lr + m / (lr + c1)
  return update, m, c1");
    insta::assert_snapshot!("names_unicode", formula.unicode());
    insta::assert_snapshot!("names_latex", formula.latex());
}

#[test]
fn slots_may_hold_inputs_and_the_update() {
    let formula = of(
        "def f(w, g, last, twin, lr):\n  update = (g - last) * twin * lr\n  last = g\n  twin = update\n  return update, last, twin",
    );
    insta::assert_snapshot!("slots_of_inputs_unicode", formula.unicode());
    let formula = of(
        "def f(w, g, m, v, lr):\n  m = m * lr + g\n  update = m * v\n  v = m\n  return update, m, v",
    );
    insta::assert_snapshot!("twin_slots_latex", formula.latex());
    // The update is used by a value that is not a slot's own.
    let formula =
        of("def f(w, g, m, lr):\n  update = g * lr + m\n  m = tanh(update)\n  return update, m");
    insta::assert_snapshot!("update_used_latex", formula.latex());
}

#[test]
fn shared_values_do_not_blow_up() {
    let chain = |line: &str, times: usize| {
        let text = format!(
            "def deep(w, g, lr):\n  x = g\n{}  update = x * lr\n  return update",
            format!("  {line}\n").repeat(times)
        );
        of(&text)
    };
    let squares = chain("x = x * x", 30);
    assert!(squares.unicode().len() < 700, "{}", squares.unicode());
    insta::assert_snapshot!("squares_unicode", squares.unicode());
    let shared = chain("x = x * sin(x)", 30);
    assert_eq!(shared.definitions.len(), 29);
    assert!(shared.unicode().len() < 1500 && shared.latex().len() < 2500, "{}", shared.unicode());
    insta::assert_snapshot!("shared_latex", shared.latex());
}

/// Nothing here may take time that grows with the square of a large program, or worse.
#[test]
fn large_programs_have_formulas() {
    let mut text = "def long(w, g, m, lr):\n  update = g + m\n".to_string();
    for index in 0..4000 {
        text.push_str(if index % 3 == 0 {
            "  update = update * sin(update)\n"
        } else {
            "  update = update + w\n"
        });
    }
    text.push_str("  m = update + m\n  return update, m\n");
    let formula = of(&text);
    assert!(formula.definitions.len() > 1000, "{}", formula.definitions.len());
    assert!(formula.unicode().len() < 200_000);
}

/// The equations of a formula, by their left sides in Unicode.
fn equations(formula: &Formula) -> BTreeMap<String, String> {
    let mut equations = BTreeMap::new();
    for equation in
        std::iter::once(&formula.update).chain(&formula.slots).chain(&formula.definitions)
    {
        let before = equations.insert(equation.name.clone(), equation.unicode.clone());
        assert_eq!(before, None, "{} stands twice", equation.name);
    }
    equations
}

/// A name of a parameter as formulas have it in Unicode.
fn written(name: &str) -> String {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let letter = match stem {
        "weight_decay" => "λ",
        "alpha" => "α",
        "beta" => "β",
        "gamma" => "γ",
        "epsilon" => "ε",
        "nu" => "ν",
        "rho" => "ρ",
        letter if letter.len() == 1 => letter,
        _ => return name.to_string(),
    };
    let below = |c: char| {
        c.to_digit(10).and_then(|digit| "₀₁₂₃₄₅₆₇₈₉".chars().nth(digit as usize)).unwrap_or(c)
    };
    letter.chars().chain(name[stem.len()..].chars().map(below)).collect()
}

#[test]
fn the_update_and_every_live_slot_have_an_equation_that_is_not_too_long() {
    for program in programs() {
        let graph = Graph::new(&program).unwrap();
        let formula = Formula::new(&program, &graph);
        assert_eq!(formula.slots.len(), graph.live_slots().count());
        let names: Vec<String> = program
            .signature()
            .slots()
            .map(|slot| program.variable_name(slot).to_string())
            .collect();
        for ((slot, _), equation) in graph.live_slots().zip(&formula.slots) {
            assert_eq!(equation.name, format!("{}′", written(&names[slot.index()])));
        }
        for (name, right) in equations(&formula) {
            assert!(right.chars().count() <= 100, "{name} = {right}");
        }
        let latex: BTreeSet<&str> = formula
            .slots
            .iter()
            .chain(&formula.definitions)
            .map(|equation| equation.latex_name.as_str())
            .collect();
        assert_eq!(
            latex.len(),
            formula.slots.len() + formula.definitions.len(),
            "{}",
            formula.latex()
        );
        let calls = graph.cost().calls;
        assert!(formula.definitions.len() <= calls);
        assert!(formula.unicode().len() <= 400 + 60 * calls, "{program}\n{}", formula.unicode());
        assert!(formula.latex().len() <= 600 + 150 * calls, "{program}\n{}", formula.latex());
        assert_eq!(formula, self::formula(&program));
    }
}

#[test]
fn latex_is_balanced() {
    for program in programs() {
        let latex = formula(&program).latex();
        assert!(
            latex.starts_with("\\begin{align*}\n") && latex.ends_with("\n\\end{align*}\n"),
            "{latex}"
        );
        for row in latex.lines() {
            let row = row.replace("\\_", "");
            let mut depth = 0_i32;
            for character in row.chars() {
                depth += match character {
                    '{' => 1,
                    '}' => -1,
                    _ => 0,
                };
                assert!(depth >= 0, "{row}");
            }
            assert_eq!(depth, 0, "{row}");
            for (open, close) in [
                (r"\left", r"\right"),
                (r"\lvert", r"\rvert"),
                (r"\lVert", r"\rVert"),
                (r"\langle", r"\rangle"),
                ("(", ")"),
            ] {
                assert_eq!(
                    row.matches(open).count(),
                    row.matches(close).count(),
                    "{open} in {row}"
                );
            }
            assert!(
                !row.contains("}^{}") && row.matches('&').count() <= 1 && row.is_ascii(),
                "{row}"
            );
        }
    }
}

/// Computes formulas from their Unicode text, with arrays of one number. Written for this test
/// only, to know nothing of how they are made.
struct Evaluator {
    equations: BTreeMap<String, String>,
    values: BTreeMap<String, f64>,
}

const DIGITS_ABOVE: &str = "⁰¹²³⁴⁵⁶⁷⁸⁹";

struct Cursor<'a> {
    rest: &'a str,
}

impl Cursor<'_> {
    fn peek(&self) -> char {
        self.rest.chars().next().unwrap_or('\0')
    }

    fn take(&mut self, token: &str) -> bool {
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, token: &str) {
        assert!(self.take(token), "{token} expected before {}", self.rest);
    }

    fn take_while(&mut self, accepts: impl Fn(char) -> bool) -> String {
        let length = self.rest.find(|c| !accepts(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken.to_string()
    }

    fn superscript(&mut self) -> Option<i32> {
        let text = self.take_while(|c| c == '⁻' || DIGITS_ABOVE.contains(c));
        let digit = |c: char| {
            DIGITS_ABOVE
                .chars()
                .position(|digit| digit == c)
                .map_or("-".to_string(), |digit| digit.to_string())
        };
        (!text.is_empty()).then(|| text.chars().map(digit).collect::<String>().parse().unwrap())
    }
}

impl Evaluator {
    fn value(&mut self, name: &str) -> f64 {
        if let Some(value) = self.values.get(name) {
            return *value;
        }
        let text = self
            .equations
            .get(name)
            .unwrap_or_else(|| panic!("{name} has no meaning in {:?}", self.equations))
            .clone();
        let mut cursor = Cursor { rest: &text };
        let value = self.sum(&mut cursor);
        assert_eq!(cursor.rest, "", "in {text}");
        self.values.insert(name.to_string(), value);
        value
    }

    fn sum(&mut self, text: &mut Cursor<'_>) -> f64 {
        let minus = text.take("−");
        let first = self.quotient(text);
        let mut sum = if minus { -first } else { first };
        loop {
            if text.take(" + ") {
                sum += self.quotient(text);
            } else if text.take(" − ") {
                sum -= self.quotient(text);
            } else {
                return sum;
            }
        }
    }

    fn quotient(&mut self, text: &mut Cursor<'_>) -> f64 {
        let mut value = self.power(text);
        while text.take("·") {
            value *= self.power(text);
        }
        // Between numbers, a product of matrices is a product.
        while text.take(" @ ") {
            value *= self.power(text);
        }
        if text.take(" / ") { value / self.power(text) } else { value }
    }

    fn power(&mut self, text: &mut Cursor<'_>) -> f64 {
        let start = text.rest;
        let base = self.atom(text);
        let number = &start[..start.len() - text.rest.len()];
        // Transposed, a number is itself.
        while text.take("ᵀ") {}
        match text.superscript() {
            // The digits of a number, not a power that is rounded.
            Some(exponent) if number == "10" => format!("1e{exponent}").parse().unwrap(),
            Some(exponent) => base.powi(exponent),
            None if text.take("^") => Function::Power.on_scalars([base, self.atom(text), 0.0]),
            None => base,
        }
    }

    fn atom(&mut self, text: &mut Cursor<'_>) -> f64 {
        match text.peek() {
            '(' | '|' => self.between(text),
            '√' | '∛' => {
                let root = text.take("√");
                let _ = root || text.take("∛");
                let inner = self.atom(text);
                (if root { Function::Sqrt } else { Function::Cbrt }).on_scalars([inner, 0.0, 0.0])
            }
            '‖' => {
                text.expect("‖");
                let inner = self.sum(text);
                text.expect("‖");
                assert!(text.take("₂") || text.take("ₐ"));
                inner.abs()
            }
            '⟨' => {
                text.expect("⟨");
                let x = self.sum(text);
                text.expect(", ");
                let y = self.sum(text);
                text.expect("⟩");
                x * y
            }
            '[' => {
                text.expect("[");
                let x = self.sum(text);
                let signs = [
                    (" < ", Function::Less),
                    (" > ", Function::Greater),
                    (" ≤ ", Function::LessEqual),
                    (" ≥ ", Function::GreaterEqual),
                    (" = ", Function::Equal),
                ];
                let (_, function) =
                    signs.into_iter().find(|(sign, _)| text.take(sign)).expect("a comparison");
                let y = self.sum(text);
                text.expect("]");
                function.on_scalars([x, y, 0.0])
            }
            '0'..='9' => text.take_while(|c| c.is_ascii_digit() || c == '.').parse().unwrap(),
            _ => {
                let is_name = |c: char| {
                    (c.is_alphanumeric() && !DIGITS_ABOVE.contains(c) && c != 'ᵀ')
                        || "_∞′₀₁₂₃₄₅₆₇₈₉".contains(c)
                        || ('\u{300}'..='\u{36f}').contains(&c)
                };
                let name = text.take_while(is_name);
                match (name.as_str(), text.peek()) {
                    ("∞", _) => f64::INFINITY,
                    ("NaN", _) => f64::NAN,
                    ("π", _) => std::f64::consts::PI,
                    ("e", _) => std::f64::consts::E,
                    (_, '(') => self.call(&name, text),
                    ("log" | "log₂" | "log₁₀", '|') => self.call(&name, text),
                    (_, '|') if Function::from_name(in_the_language(&name)).is_some() => {
                        self.call(&name, text)
                    }
                    _ => self.value(&name),
                }
            }
        }
    }

    fn between(&mut self, text: &mut Cursor<'_>) -> f64 {
        if text.take("|") {
            let value = self.sum(text).abs();
            text.expect("|");
            return value;
        }
        text.expect("(");
        let value = self.sum(text);
        text.expect(")");
        value
    }

    fn call(&mut self, name: &str, text: &mut Cursor<'_>) -> f64 {
        let mut arguments = Vec::new();
        if text.peek() == '|' {
            arguments.push(self.between(text));
        } else {
            text.expect("(");
            arguments.push(self.sum(text));
            while text.take(", ") {
                arguments.push(self.sum(text));
            }
            text.expect(")");
        }
        let name = in_the_language(name);
        let function = Function::from_name(name).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(arguments.len(), function.arity(), "{name}");
        arguments.resize(3, 0.0);
        function.on_scalars([arguments[0], arguments[1], arguments[2]])
    }
}

/// Returns the language's name of a function, given its name in formulas.
fn in_the_language(name: &str) -> &str {
    match name {
        "log₂" => "log2",
        "log₁₀" => "log10",
        "cossim" => "cosine_sim",
        "rowmean" => "row_mean",
        "colmean" => "column_mean",
        "NS₅" => "newton_schulz",
        "cols" => "columns",
        name => name,
    }
}

/// The formula computes what the program does, up to rounding.
#[test]
fn formulas_mean_what_the_programs_do() {
    let mut random = Random(7);
    let (mut finite, mut off) = (0, 0);
    for program in programs() {
        let graph = Graph::new(&program).unwrap();
        let formula = Formula::new(&program, &graph);
        // Inputs by the names that they have in the formula.
        let mut inputs = BTreeMap::new();
        let values: Vec<f64> = program
            .signature()
            .parameters
            .iter()
            .map(|_| 0.1 + random.below(1000) as f64 / 700.0)
            .collect();
        for (parameter, value) in program.signature().parameters.iter().zip(&values) {
            inputs.insert(written(&parameter.name), *value);
        }
        let parameter = |wanted: ParameterKind| {
            program.signature().parameters.iter().position(|p| p.kind == wanted).unwrap()
        };
        let mut computed: Vec<f64> = Vec::new();
        for node in graph.nodes() {
            computed.push(match node.kind {
                NodeKind::Weights => values[parameter(ParameterKind::Weights)],
                NodeKind::Gradients => values[parameter(ParameterKind::Gradients)],
                NodeKind::LearningRate => values[parameter(ParameterKind::LearningRate)],
                NodeKind::Step => values[parameter(ParameterKind::Step)],
                NodeKind::Slot(slot) => values[parameter(ParameterKind::Slot(slot))],
                NodeKind::Hyperparameter(variable) => values[variable.index()],
                NodeKind::Constant(bits) => f64::from_bits(bits),
                NodeKind::Call(function) => {
                    let mut arguments = [0.0; 3];
                    arguments
                        .iter_mut()
                        .zip(node.arguments())
                        .for_each(|(value, id)| *value = computed[id.index()]);
                    function.on_scalars(arguments)
                }
            });
        }
        let equations = equations(&formula);
        // A dead parameter leaves its name to others.
        inputs.retain(|name, _| !equations.contains_key(name));
        let mut evaluator = Evaluator { equations, values: inputs };
        let outputs = std::iter::once((formula.update.name.clone(), graph.update()));
        let slots = formula
            .slots
            .iter()
            .zip(graph.live_slots())
            .map(|(equation, (_, id))| (equation.name.clone(), id));
        for (name, id) in outputs.chain(slots) {
            let (read, expected) = (evaluator.value(&name), computed[id.index()]);
            if !expected.is_finite() || expected.abs() > 1e100 {
                continue;
            }
            finite += 1;
            // Sums and products in another order round differently, and some functions make much of
            // that.
            if (read - expected).abs() > 1e-6 * expected.abs().max(1e-6) {
                off += 1;
                println!("{name}: {read} for {expected}\n{program}\n{}", formula.unicode());
            }
        }
        for name in evaluator.equations.keys() {
            assert!(
                evaluator.values.contains_key(name),
                "{name} is never used in\n{}",
                formula.unicode()
            );
        }
    }
    assert!(finite > 500, "{finite}");
    assert_eq!(off, 0);
}
