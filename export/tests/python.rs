//! Exports as text: what people get is read here before any framework runs it.

use symopt_dsl::function::Profile;
use symopt_dsl::{Function, Program, parse};
use symopt_export::spelling::{SPELLINGS, Spelling};
use symopt_export::{Target, export, export_plain};

const LION: &str = include_str!("../../programs/zoo/lion.opt");
const ADAMW: &str = include_str!("../../programs/zoo/adamw.opt");
const LION_RAW: &str = include_str!("../../programs/zoo/lion-raw.opt");
/// Norms of each array, and a decay that enters them; an old value that becomes a slot's next one.
const LAYERED: &str = "\"\"\"Layered: steps in proportion to the weights.\"\"\"\ndef layered(w, g, m, old, t, lr=0.1, *, momentum=0.9, weight_decay=0.01):\n  \
                       d = g + w * weight_decay\n  ratio = norm(w) / (norm(d) + 1e-9)\n  m = m * momentum + d * ratio\n  \
                       update = (m + 0.1 * old) * (lr * (1 - power(momentum, t)))\n  old = g\n  return update, m, old\n";

fn program(text: &str) -> Program {
    parse(text).unwrap_or_else(|faults| panic!("{faults}\n{text}"))
}

/// The file, without the program's version, which changes with each release.
fn exported(text: &str, target: Target) -> String {
    let file = export(&program(text), target).unwrap_or_else(|error| panic!("{error}"));
    file.replace(concat!("symopt ", env!("CARGO_PKG_VERSION")), "symopt VERSION")
}

#[test]
fn optax() {
    for (name, text) in
        [("lion", LION), ("adamw", ADAMW), ("lion_raw", LION_RAW), ("layered", LAYERED)]
    {
        insta::assert_snapshot!(format!("optax_{name}"), exported(text, Target::Optax));
    }
}

#[test]
fn praxis() {
    for (name, text) in [("lion", LION), ("lion_raw", LION_RAW)] {
        insta::assert_snapshot!(format!("praxis_{name}"), exported(text, Target::Praxis));
    }
}

#[test]
fn keras() {
    for (name, text) in
        [("lion", LION), ("adamw", ADAMW), ("lion_raw", LION_RAW), ("layered", LAYERED)]
    {
        insta::assert_snapshot!(format!("keras_{name}"), exported(text, Target::Keras));
    }
}

#[test]
fn tensorflow_2() {
    for (name, text) in
        [("lion", LION), ("adamw", ADAMW), ("lion_raw", LION_RAW), ("layered", LAYERED)]
    {
        insta::assert_snapshot!(format!("tf2_{name}"), exported(text, Target::Tf2));
    }
}

#[test]
fn tensorflow_1() {
    for (name, text) in
        [("lion", LION), ("adamw", ADAMW), ("lion_raw", LION_RAW), ("layered", LAYERED)]
    {
        insta::assert_snapshot!(format!("tf1_{name}"), exported(text, Target::Tf1));
    }
}

#[test]
fn a_scale_by_function_is_there_only_where_the_program_splits_that_way() {
    let splits = |text: &str| exported(text, Target::Optax).contains("def scale_by_");
    assert!(splits(LION) && splits(ADAMW));
    // The learning rate enters the clipping; the decay enters the slots; the direction is the
    // gradient itself; the rate is squared.
    assert!(!splits(LION_RAW) && !splits(LAYERED));
    assert!(!splits("def f(w, g, lr):\n  update = g * lr\n  return update\n"));
    assert!(!splits(
        "def f(w, g, m, lr):\n  m = m + g\n  update = m * lr * lr\n  return update, m\n"
    ));
    // Another order of rounding than Optax' chain has.
    assert!(!splits(
        "def f(w, g, m, lr, *, weight_decay=0.1):\n  m = m + g\n  update = m * lr + w * weight_decay * lr\n  return update, m\n"
    ));
}

#[test]
fn names_of_a_program_do_not_hide_those_of_the_frameworks() {
    let text = "def jax(w, g, m, lr, *, optax=0.9, ops=0.99, tf=0.5):\n  params = interp(g, m, optax)\n  dtype = sign(params)\n  m = interp(g, m, ops)\n  \
                update = dtype * lr * tf\n  return update, m\n";
    for target in [Target::Optax, Target::Praxis] {
        let file = exported(text, target);
        assert!(file.contains("optax2=0.9") && file.contains("params2 ="), "{file}");
    }
    for target in [Target::Tf1, Target::Tf2] {
        let file = exported(text, target);
        assert!(file.contains("tf2=0.5") && file.contains("dtype2 ="), "{file}");
    }
    assert!(exported(text, Target::Keras).contains("ops2=0.99"));
}

#[test]
fn a_decay_that_keras_can_turn_off_is_never_bound_to_itself_in_a_loop() {
    let text = "def f(w, g, m, lr, *, weight_decay=0.1):\n  lr = lr * (1 - weight_decay)\n  m = clip(g, 1.0) + m\n  update = m * lr\n  return update, m\n";
    let file = exported(text, Target::Keras);
    assert!(!file.contains("            lr = lr"), "{file}");
}

/// A tensor of f32 would lose what a float has: the factor of a clip of floats is one, and no name
/// stands for a float here and for a tensor there.
#[test]
fn numbers_of_hyperparameters_alone_stay_floats_in_keras() {
    let text = "def f(w, g, lr, *, a=0.7):\n  c = a * 1e39\n  x = clip(c, 1e38) / c\n  y = log(c)\n  c = lr * a\n  update = g * c + x + y\n  return update\n";
    let file = exported(text, Target::Keras);
    assert!(file.contains("        c = a * 1e39\n"), "{file}");
    assert!(file.contains("        c2 = lr * a\n"), "{file}");
    assert!(!file.contains("_clip_factor"), "{file}");
}

#[test]
fn a_single_result_of_optax_is_a_list_on_many_lines_too() {
    let text = "def f(w, g):\n  sum = g * 0.050653\n  sum_2 = (sum + (g + where(-0.050653, g, -1.0))) * 0.1\n  return sum_2\n";
    for target in [Target::Optax, Target::Praxis] {
        let file = exported(text, target);
        assert!(file.contains("            return [\n"), "{target}: {file}");
    }
}

#[test]
fn every_function_of_the_paper_is_expressed_by_each_of_these_targets() {
    for function in Function::all().filter(|function| function.row().profile == Profile::Paper) {
        let arguments = ["g", "m", "0.3"];
        let arguments = match function {
            Function::Clip => "g, 0.3".to_owned(),
            _ => arguments[..function.arity()].join(", "),
        };
        let text = format!(
            "def f(w, g, m):\n  x = {}({arguments})\n  m = m + x * g\n  update = m * 0.1\n  return update, m\n",
            function.name()
        );
        for target in [Target::Optax, Target::Praxis, Target::Keras, Target::Tf2, Target::Tf1] {
            let file = exported(&text, target);
            assert!(!file.contains('?'), "{target} {}: {file}", function.name());
        }
    }
}

/// The targets whose files are Python.
const PYTHON: [Target; 7] = [
    Target::PyTorch,
    Target::Optax,
    Target::Praxis,
    Target::Keras,
    Target::Tf2,
    Target::Tf1,
    Target::Numpy,
];

/// A program for each function and each way to mix numbers, numbers of each array and arrays among
/// its arguments.
fn calls_of_mixed_kinds() -> Vec<Program> {
    let kinds = ["0.5", "-1e39", "a", "lr", "t", "s", "n", "g"];
    let mut programs = Vec::new();
    for function in Function::all()
        .filter(|function| !function.name().starts_with("guarded_") && *function != Function::Copy)
    {
        let arity = function.arity();
        for number in 0..kinds.len().pow(arity.min(2) as u32) {
            let at = |place: usize| kinds[number / kinds.len().pow(place as u32) % kinds.len()];
            let third = if function == Function::Interp { "a" } else { at(1) };
            let arguments = [at(0), at(1), third][..arity].join(", ");
            let guarded = function.row().guarded.map(|_| "@guarded\n");
            for numerics in std::iter::once("").chain(guarded) {
                let text = format!(
                    "{numerics}def f(w, g, m, t, lr, *, a=0.7):\n  s = dot(w, g)\n  n = norm(g)\n  x = {}({arguments})\n  \
                     m = m + x * n + s * a\n  update = m * lr + x * g\n  return update, m\n",
                    function.name()
                );
                programs.extend(
                    parse(&text).ok().filter(|program| symopt_dsl::Graph::new(program).is_ok()),
                );
            }
        }
    }
    programs
}

/// The names that begin with an underscore and are called, or passed to a function that calls them,
/// and are no attributes.
fn helpers_called(file: &str) -> std::collections::BTreeSet<&str> {
    let code = file.lines().filter(|line| !line.trim_start().starts_with('#'));
    let words = code.flat_map(|line| {
        line.split_inclusive(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'))
    });
    words
        .filter_map(|word| word.strip_suffix(['(', ',']))
        .filter(|word| {
            word.len() > 1
                && word.starts_with('_')
                && !word.starts_with("__")
                && !word.contains('.')
        })
        .collect()
}

#[test]
fn a_file_defines_each_helper_that_it_calls_once_and_no_other() {
    let programs = calls_of_mixed_kinds();
    assert!(programs.len() > 1000);
    for program in programs {
        let plain = (
            Target::PyTorch,
            export_plain(&program, Target::PyTorch).unwrap_or_else(|error| panic!("{error}")),
        );
        let files = PYTHON.map(|target| {
            (target, export(&program, target).unwrap_or_else(|error| panic!("{error}")))
        });
        for (target, file) in files.into_iter().chain([plain]) {
            for mark in ["# where ", "# end ", "__CLASS__", "__TOTALS__"] {
                assert!(!file.contains(mark), "{target}: a mark of a template is left: {file}");
            }
            assert!(!file.contains('?') || file.contains(":?"), "{target}: {file}");
            for helper in helpers_called(&file) {
                let definitions = [
                    format!("def {helper}("),
                    format!("\n{helper} = "),
                    format!("class {helper}("),
                    format!("class {helper}:"),
                ];
                let count: usize = definitions
                    .iter()
                    .map(|definition| file.matches(definition.as_str()).count())
                    .sum();
                assert_eq!(count, 1, "{target}, {helper}:\n{program}\n{file}");
            }
            for definition in file.lines().filter_map(|line| line.strip_prefix("def _")) {
                let name = format!("_{}", definition.split('(').next().unwrap_or_default());
                assert!(
                    file.matches(name.as_str()).count() > 1,
                    "{target}, {name} is not called:\n{program}\n{file}"
                );
            }
        }
        for target in [Target::C, Target::Rust] {
            // Matrices are refused.
            let Ok(file) = export(&program, target) else { continue };
            assert!(!file.contains("(?") && !file.contains(" ?;"), "{target}: {file}");
            for (helper, definition) in helpers_of_compiled(target) {
                let call = format!("{helper}(");
                let calls = file.match_indices(&call).filter(|(at, _)| {
                    let before = &file[..*at];
                    !before.ends_with(|c: char| {
                        c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':')
                    }) && !before.ends_with(definition)
                });
                let definitions = file.matches(&format!("{definition}{call}")).count();
                let is_called = calls.count() > 0;
                assert!(
                    definitions == usize::from(is_called),
                    "{target}, {helper}: {definitions} definitions\n{program}\n{file}"
                );
            }
        }
    }
}

/// The helpers of C and Rust that functions are spelled with, in f32 and in f64, and what stands
/// before the name in a definition.
fn helpers_of_compiled(target: Target) -> Vec<(String, &'static str)> {
    let spelled = |row: &Spelling| if target == Target::C { row.c } else { row.rust };
    let names = SPELLINGS.iter().filter_map(spelled).filter_map(|text| text.split('(').next());
    match target {
        Target::C => names
            .filter_map(|name| name.strip_prefix("symopt_"))
            .flat_map(|name| {
                [
                    (format!("f_{name}"), "static inline float "),
                    (format!("f_{name}_double"), "static inline double "),
                ]
            })
            .collect(),
        _ => names
            .filter(|name| {
                name.bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit())
            })
            .map(|name| (name.to_owned(), "fn "))
            .collect(),
    }
}

#[test]
fn a_number_counts_once_for_each_element_of_the_array_beside_it() {
    let text = "def f(w, g, lr, *, a=0.5):\n  x = cosine_sim(a, abs(g))\n  y = dot(norm(g), w)\n  update = g * x * y * lr\n  return update\n";
    for (target, spread) in [
        (Target::Numpy, "np.full_like("),
        (Target::Optax, "jnp.full_like("),
        (Target::Keras, "ops.broadcast_to("),
        (Target::Tf2, "tf.fill(tf.shape("),
        (Target::PyTorch, "torch.ones_like("),
        (Target::C, "(float)a;"),
        (Target::Rust, "a as f32;"),
    ] {
        let file = exported(text, target);
        assert!(file.contains(spread), "{target}: {file}");
    }
}

#[test]
fn names_are_left_to_python_to_the_frameworks_and_to_macros() {
    let text = "def value_error(w, g, _dot, weight_decay, lr, *, M_PI=0.5, any=0.5, iterations=0.5, __x=0.5):\n  _dot = _dot + g * M_PI * any\n  \
                weight_decay = weight_decay * iterations + _dot\n  update = weight_decay * lr * __x\n  return update, _dot, weight_decay\n";
    for target in [Target::Keras, Target::Tf2, Target::Tf1, Target::Numpy] {
        let file = exported(text, target);
        assert!(file.contains("class ValueErrorOptimizer"), "{file}");
        assert!(!python_names(&file).any(|name| ["_dot", "__x", "any"].contains(&name)), "{file}");
    }
    let keras = exported(text, Target::Keras);
    assert!(
        keras.contains("self.weight_decay2 = self.add") && keras.contains("iterations2=0.5"),
        "{keras}"
    );
    assert!(exported(text, Target::C).contains("double v_M_PI;"));
}

/// The names that a file binds or takes as arguments.
fn python_names(file: &str) -> impl Iterator<Item = &str> {
    file.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name.trim())
}

#[test]
fn each_variable_counts_its_own_steps() {
    for (target, count) in [
        (Target::Keras, "self.t[index] + 1"),
        (Target::Tf2, "self.t[index]"),
        (Target::Tf1, "self.get_slot(var, \"t\")"),
        (Target::Numpy, "self.t[index] + 1.0"),
    ] {
        let file = exported(ADAMW, target);
        assert!(file.contains(count) && !file.contains("self.iterations + 1"), "{file}");
    }
}

#[test]
fn the_frameworks_names_of_hyperparameters_are_taken_too() {
    for (target, name) in [
        (Target::Optax, "b1=None"),
        (Target::Optax, "eps=None"),
        (Target::Keras, "beta_1=None"),
        (Target::Tf2, "beta_2=None"),
    ] {
        let file = exported(ADAMW, target);
        assert!(file.contains(name), "{target} {name}: {file}");
    }
}

#[test]
fn a_total_is_a_tensor_where_nothing_but_numbers_is_added() {
    let text = "def f(w, g, lr):\n  x = cosine_sim(norm(g), 0.3)\n  update = g * x * lr\n  return update\n";
    for (target, zero) in [
        (Target::Tf2, "= tf.constant(0.0, tf.float64)"),
        (Target::Tf1, "= tf.constant(0.0, tf.float64)"),
        (Target::Keras, "= ops.convert_to_tensor(0.0, _SCALAR)"),
    ] {
        let file = exported(text, target);
        assert!(file.matches(zero).count() == 3 && !file.contains(" = 0.0\n"), "{target}: {file}");
    }
}

#[test]
fn a_float_that_may_be_beyond_f32_is_rounded_by_its_library_where_it_meets_an_array() {
    let text = "def f(w, g, lr, *, a=0.5, big=1e37):\n  x = minimum(g, a / lr) + (1 - a) * w\n  y = g * exp(a) + maximum(w, 1e39)\n  \
                update = (x + y * big * big) * lr\n  return update\n";
    for target in [Target::Tf2, Target::Tf1, Target::Keras] {
        let file = exported(text, target);
        assert!(
            file.contains("w * (1 - a)") && file.contains("_rounded(1e39, dtype)"),
            "{target}: {file}"
        );
        assert!(
            file.contains("_rounded(float(np.exp(a)), dtype)")
                && file.contains("_rounded(big, dtype) *"),
            "{target}: {file}"
        );
    }
}

#[test]
fn numbers_that_may_be_floats_are_computed_in_f64_for_jax() {
    let text = "def f(w, g, t, lr, *, a=1e-30):\n  x = sqrt(a * a) / a + where(a > 0.5, 1e39, lr)\n  y = sqrt(t) / t\n  update = g * (x + y)\n  \
                return update\n";
    for target in [Target::Optax, Target::Praxis] {
        let file = exported(text, target);
        assert!(
            ["_number(\"sqrt\", ", "_number(\"divide\", ", "_choice("]
                .iter()
                .all(|call| file.contains(call)),
            "{file}"
        );
        assert!(file.contains("jnp.sqrt(t)") && file.contains("import numpy as np"), "{file}");
        let element_wise = exported(LION, target);
        assert!(
            !element_wise.contains("_number(\"") && !element_wise.contains("import numpy"),
            "{element_wise}"
        );
    }
}

/// TensorFlow keeps one tensor for equal floats, so -0.0 would stand for 0.0, or the other way
/// round.
#[test]
fn floats_that_may_be_negative_zeros_meet_tensors_as_arrays() {
    let text = "def f(w, g, t, lr, *, a=0.0, b=0.5):\n  x = g / -0.0 + maximum(g, a * -1.0) + g * (1.0 - b)\n  y = t * -a\n  \
                update = (x + y + where(g > 0.0, -0.0, g)) * lr\n  return update\n";
    for target in [Target::Tf2, Target::Tf1, Target::Keras] {
        let file = exported(text, target);
        assert!(file.contains("g / _rounded(-0.0, dtype)"), "{target}\n{file}");
        // The same float, among arrays and among numbers.
        let number = if target == Target::Keras {
            "_rounded(scalar, _SCALAR)"
        } else {
            "_rounded(scalar, tf.float64)"
        };
        assert!(
            file.contains("scalar = -a\n") && file.contains("maximum(g, _rounded(scalar, dtype))"),
            "{target}\n{file}"
        );
        assert!(file.contains(number), "{target}\n{file}");
        assert!(!file.contains("_rounded(1 - b, dtype)"), "{target}\n{file}");
        assert!(!file.contains(", -0.0, "), "{target}\n{file}");
    }
}

/// PyTorch takes an exponent in f64, where a negative number has no power 1e-60; in f32 it is 0.
#[test]
fn exponents_that_are_zero_in_f32_are_zero_in_pytorch() {
    let text =
        program("def f(w, g):\n  update = g ** 1e-60 + g ** -1e-46 + g ** 1e-3\n  return update\n");
    for file in [export(&text, Target::PyTorch), export_plain(&text, Target::PyTorch)] {
        let file = file.expect("PyTorch expresses it");
        // In the kernel the literal is of f32 itself.
        let powers: Vec<&str> =
            file.lines().filter(|line| line.contains("torch.") && line.contains("pow")).collect();
        assert!(
            powers.iter().any(|line| line.contains("1e-3") || line.contains("0.001"))
                && powers.iter().any(|line| line.contains("g, 0.0")),
            "{powers:?}"
        );
        assert!(
            !powers.iter().any(|line| line.contains("e-60") || line.contains("e-46")),
            "{powers:?}"
        );
    }
}
