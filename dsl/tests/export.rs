//! Exports as text: what people get is read here before any framework runs it.

use symopt_dsl::codegen::{Target, export};
use symopt_dsl::function::Profile;
use symopt_dsl::{Function, Program, parse};

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
    for (name, text) in [("lion", LION), ("adamw", ADAMW), ("lion_raw", LION_RAW), ("layered", LAYERED)] {
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
    for (name, text) in [("lion", LION), ("adamw", ADAMW), ("lion_raw", LION_RAW), ("layered", LAYERED)] {
        insta::assert_snapshot!(format!("keras_{name}"), exported(text, Target::Keras));
    }
}

#[test]
fn tensorflow_2() {
    for (name, text) in [("lion", LION), ("adamw", ADAMW), ("lion_raw", LION_RAW), ("layered", LAYERED)] {
        insta::assert_snapshot!(format!("tf2_{name}"), exported(text, Target::Tf2));
    }
}

#[test]
fn tensorflow_1() {
    for (name, text) in [("lion", LION), ("adamw", ADAMW), ("lion_raw", LION_RAW), ("layered", LAYERED)] {
        insta::assert_snapshot!(format!("tf1_{name}"), exported(text, Target::Tf1));
    }
}

#[test]
fn a_scale_by_function_is_there_only_where_the_program_splits_that_way() {
    let splits = |text: &str| exported(text, Target::Optax).contains("def scale_by_");
    assert!(splits(LION) && splits(ADAMW));
    // The learning rate enters the clipping; the decay enters the slots; the direction is the gradient itself; the rate is squared.
    assert!(!splits(LION_RAW) && !splits(LAYERED));
    assert!(!splits("def f(w, g, lr):\n  update = g * lr\n  return update\n"));
    assert!(!splits("def f(w, g, m, lr):\n  m = m + g\n  update = m * lr * lr\n  return update, m\n"));
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

#[test]
fn every_function_of_the_paper_is_expressed_by_each_of_these_targets() {
    for function in Function::all().filter(|function| function.row().profile == Profile::Paper) {
        let arguments = ["g", "m", "0.3"];
        let arguments = match function {
            Function::Clip => "g, 0.3".to_owned(),
            _ => arguments[..function.arity()].join(", "),
        };
        let text =
            format!("def f(w, g, m):\n  x = {}({arguments})\n  m = m + x * g\n  update = m * 0.1\n  return update, m\n", function.name());
        for target in [Target::Optax, Target::Praxis, Target::Keras, Target::Tf2, Target::Tf1] {
            let file = exported(&text, target);
            assert!(!file.contains('?'), "{target} {}: {file}", function.name());
        }
    }
}
