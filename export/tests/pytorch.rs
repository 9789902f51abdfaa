//! Exported files as text. That they run, and compute what the reference does, is shown by the
//! conformance suite.

use symopt_dsl::{Function, Type, parse};
use symopt_export::python::pytorch::operations::{
    Action, Holder, Operand, Operation, Value, allocate,
};
use symopt_export::{Target, export, export_plain};

fn exported(text: &str, target: Target) -> String {
    let program = parse(text).unwrap_or_else(|faults| panic!("{faults}\n{text}"));
    export(&program, target).unwrap_or_else(|error| panic!("{error}"))
}

/// The file without what all files of the target have in common.
fn own_part(file: &str) -> String {
    let start = file.find("def _numbers").unwrap_or(0);
    let end = file.find("\n# The slots in the state of each parameter.").unwrap_or(file.len());
    file[start..end].to_owned()
}

#[test]
fn pytorch() {
    insta::assert_snapshot!(
        "pytorch_lion",
        exported(include_str!("../../programs/zoo/lion.opt"), Target::PyTorch)
    );
    for (name, text) in [
        ("pytorch_adamw", include_str!("../../programs/zoo/adamw.opt")),
        ("pytorch_lion_raw", include_str!("../../programs/zoo/lion-raw.opt")),
        (
            "pytorch_trust_ratio",
            "def trust(w, g, m, lr):\n  g = clip(g, 1.0)\n  m = interp(g, m, 0.9)\n  ratio = norm(w) / norm(m)\n  \
             update = m * ratio * lr\n  return update, m\n",
        ),
        (
            "pytorch_swap",
            "def swap(w, g, a, b, lr):\n  update = (1 - a) * lr\n  c = max(b, 1 / g)\n  b = a\n  a = c\n  return update, a, b\n",
        ),
    ] {
        insta::assert_snapshot!(name, own_part(&exported(text, Target::PyTorch)));
    }
}

fn plain(text: &str) -> String {
    let program = parse(text).unwrap_or_else(|faults| panic!("{faults}\n{text}"));
    export_plain(&program, Target::PyTorch).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_plain_file_is_short() {
    let lion = plain(include_str!("../../programs/zoo/lion.opt"));
    assert!(lion.lines().count() <= 120, "{} lines\n{lion}", lion.lines().count());
    insta::assert_snapshot!("pytorch_lion_plain", lion);
    insta::assert_snapshot!(
        "pytorch_lamb_plain",
        plain(include_str!("../../programs/zoo/lamb.opt"))
    );
}

#[test]
fn only_a_target_with_several_ways_has_a_plain_form_beside() {
    let program = parse(include_str!("../../programs/zoo/lion.opt"))
        .unwrap_or_else(|faults| panic!("{faults}"));
    for target in Target::ALL.iter().filter(|target| **target != Target::PyTorch) {
        let error = export_plain(&program, *target).unwrap_or_else(|error| error.to_string());
        assert!(
            error.starts_with(&format!("{target} has one form")) && error.contains("pytorch"),
            "{error}"
        );
    }
}

#[test]
fn a_refusal_names_targets_that_can_do_it() {
    let program = parse(include_str!("../../programs/zoo/muon.opt"))
        .unwrap_or_else(|faults| panic!("{faults}"));
    let mut refused = 0;
    for target in Target::ALL {
        let Err(error) = export(&program, *target) else { continue };
        refused += 1;
        let text = error.to_string();
        let (_, others) = text.rsplit_once("another target (").unwrap_or_else(|| panic!("{text}"));
        for other in others.trim_end_matches(')').split(", ") {
            let other = Target::from_name(other).unwrap_or_else(|| panic!("{text}"));
            assert!(export(&program, other).is_ok(), "{target} recommends {other}");
        }
    }
    assert!(refused >= 2);
}

#[test]
fn hyperparameters_and_slots_have_the_names_of_torch() {
    let slots = |text: &str| {
        let file = exported(text, Target::PyTorch);
        let line = file.lines().find(|line| line.starts_with("_SLOTS")).map(str::to_owned);
        line.unwrap_or_else(|| panic!("{file}"))
    };
    for (text, expected) in [
        (include_str!("../../programs/zoo/adamw.opt"), "_SLOTS = (\"exp_avg\", \"exp_avg_sq\")"),
        (
            include_str!("../../programs/zoo/amsgrad.opt"),
            "_SLOTS = (\"exp_avg\", \"exp_avg_sq\", \"max_exp_avg_sq\")",
        ),
        (include_str!("../../programs/zoo/adamax.opt"), "_SLOTS = (\"exp_avg\", \"exp_inf\")"),
        (
            include_str!("../../programs/zoo/adadelta.opt"),
            "_SLOTS = (\"square_avg\", \"acc_delta\")",
        ),
        (include_str!("../../programs/zoo/momentum.opt"), "_SLOTS = (\"momentum_buffer\",)"),
        (include_str!("../../programs/zoo/adagrad.opt"), "_SLOTS = (\"sum\",)"),
        (include_str!("../../programs/zoo/rmsprop.opt"), "_SLOTS = (\"square_avg\",)"),
        // An average written with operators; two of a kind, and one that averages something else,
        // keep their names.
        (
            "def f(w, g, m, lr, *, b=0.9):\n  m = m * b + g * (1 - b)\n  update = m * lr\n  return update, m\n",
            "_SLOTS = (\"exp_avg\",)",
        ),
        (
            include_str!("../../programs/zoo/ademamix.opt"),
            "_SLOTS = (\"m1\", \"m2\", \"exp_avg_sq\")",
        ),
        (
            "def f(w, g, m, lr, *, b=0.9):\n  m = interp(sign(g), m, b)\n  update = m * lr\n  return update, m\n",
            "_SLOTS = (\"m\",)",
        ),
        // The count of steps has the name.
        (
            "def f(w, g, step, t, lr):\n  step = step + g / t\n  update = step * lr\n  return update, step\n",
            "_SLOTS = (\"step_\",)",
        ),
    ] {
        assert_eq!(slots(text), expected, "{text}");
    }
    let file = exported(
        "def f(w, g, m, lr, *, params=0.5, foreach=0.25, lambda_=0.125, initial_lr=2.0, betas=3.0, epsilon=1e-8):\n  m = m * params + g * foreach + lambda_\n  \
         update = m * initial_lr * betas / epsilon * lr\n  return update, m\n",
        Target::PyTorch,
    );
    for expected in [
        "params_: float = 0.5",
        "foreach_: float = 0.25",
        "initial_lr_: float = 2.0",
        "betas_: float = 3.0",
        "eps: float = 1e-8",
    ] {
        assert!(file.contains(expected), "{expected} is missing in\n{file}");
    }
}

#[test]
fn the_size_of_a_product_is_that_of_its_own_shape() {
    let text = "def gram(w, g, lr):\n  rows_by_rows = matmul(g, transpose(g))\n  columns_by_columns = matmul(transpose(g), g)\n  \
                update = g * mean(rows_by_rows) / size(columns_by_columns)\n  update = update * rows(transpose(g)) * size(g) * lr\n  return update\n";
    let file = own_part(&exported(text, Target::PyTorch));
    for expected in
        ["_scalar(torch.div, sum2, _rows(w) * _rows(w))", "_columns(w) * _columns(w)", "w.numel()"]
    {
        assert!(file.contains(expected), "{expected} is missing in\n{file}");
    }
    // Only what is summed is computed: a product whose size alone is asked for is not.
    assert_eq!(file.matches("_matmul(").count(), 1, "{file}");
}

#[test]
fn numbers_that_are_more_than_terms_and_factors_stay_floats() {
    let blocks = |text: &str| {
        let file = exported(text, Target::PyTorch);
        let start = file.find("def _update_blocks").unwrap_or(0);
        file[start..start + 600].to_owned()
    };
    let text = |of: &str| {
        format!(
            "def train(w, g, lr, *, a=0.5, b=0.25):\n  update = g * a\n  update = {of}\n  update = update * lr\n  return update\n"
        )
    };
    assert!(
        blocks(&text("update + b")).contains(
            "    scalars = torch.tensor(scalars, dtype=dtype, device=\"cpu\").unbind()\n"
        )
    );
    // In the order in which the update reads them: a, b, lr.
    for other in ["update ** b", "max(update, b)", "where(update > b, update, 0.0)"] {
        assert!(blocks(&text(other)).contains("    floats = {1}\n"), "{}", blocks(&text(other)));
    }
}

#[test]
fn scratch_arrays_are_as_few_as_values_that_live_at_once() {
    let call = |function, x, y| {
        let operands = vec![Operand::Array(x), Operand::Array(y)];
        Operation { action: Action::Function(function), operands, ty: Type::Tree }
    };
    // (w * g) + (m * g), and m * g is read again: two values live, and the slot takes the second.
    let operations = [
        call(Function::Multiply, Value::Weights, Value::Gradients),
        call(Function::Multiply, Value::Slot(0), Value::Gradients),
        call(Function::Add, Value::Result(0), Value::Result(1)),
    ];
    let allocation = allocate(&operations, &[Value::Result(1)], &[Value::Result(2)]);
    assert_eq!(allocation.places, [Holder::Scratch(0), Holder::Slot(0), Holder::Scratch(0)]);
    assert_eq!(allocation.scratch, 1);
    // A slot that is read to the end keeps its array until then.
    let allocation = allocate(&operations[1..2], &[Value::Result(0)], &[Value::Slot(0)]);
    assert_eq!(allocation.places, [Holder::Scratch(0)]);
}
