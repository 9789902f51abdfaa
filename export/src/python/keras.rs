//! A program as an optimizer for Keras 3, on any of its backends.
//!
//! Keras has a decoupled decay of its own, `weight_decay`, which it takes off the weights before
//! the step. A program that has a hyperparameter of that name decays by itself: the class turns
//! Keras' own decay off, and what `exclude_from_weight_decay` excludes has no decay in the program.
//! In any other program the argument means what it means in Keras.
//!
//! Arrays are computed in the type of the variable, f32 at least, and rounded to it as they are
//! stored; each variable counts its own steps, in variables of the optimizer, where Keras's own
//! take `iterations` for all; hyperparameters are Python floats. The learning rate is an f32
//! variable, as Keras has it. With TensorFlow other scalars (the step count, sums over elements)
//! are f64; with JAX and PyTorch they are f32, because neither has f64 on all of its devices: a
//! correction such as `1 - 0.999^t` is off by up to 3e-5 of itself at the first steps. Products of
//! matrices are summed in the type of the arrays, and on GPUs with the precision that the backend
//! is set to. Compiled steps (`jit_compile`, and JAX always in `fit`) may contract a product and a
//! sum into one rounding. PyTorch's sign of NaN is 0, and on CPU JAX and TensorFlow take denormal
//! numbers for zero. A program with sums over all variables takes those of one replica: it does not
//! run under `tf.distribute` with several.

use std::fmt::Write;
use std::sync::LazyLock;

use symopt_dsl::{Function, Graph, Program};

use super::casts::{self, Casts, Library, WEIGHT_DECAY, numpy_import};
use crate::listing::{Listing, ScalarParameter};
use crate::python::{self, bracketed, class_name, helpers};
use crate::runtime::{self, Helpers};
use crate::spelling::lacks_row;

const LIBRARY: Library = Library {
    module: "ops",
    constant: "ops.convert_to_tensor",
    scalar_type: "_SCALAR",
    spelling: |row| row.keras,
    cast: "ops.cast({x}, dtype)",
    spread: "ops.broadcast_to({x}, ops.shape({y}))",
    copy: |name| format!("ops.copy({name})"),
    scalar: None,
    reserved: &[
        "keras",
        "ops",
        "built",
        "trainable_variables",
        "grads",
        "clipnorm",
        "clipvalue",
        "global_clipnorm",
        "use_ema",
        "ema_momentum",
        "ema_overwrite_frequency",
        "loss_scale_factor",
        "gradient_accumulation_steps",
        "add_variable",
        "add_variable_from_reference",
        "add_optimizer_variables",
        "assign",
        "assign_add",
        "assign_sub",
        "update_step",
        "apply",
        "apply_gradients",
        "stateless_apply",
        "scale_loss",
        "set_weights",
        "save_own_variables",
        "load_own_variables",
        "exclude_from_weight_decay",
        "finalize_variable_values",
        "get_config",
        "from_config",
    ],
};

/// Names in programs and in the optimizers of Keras, where these differ.
pub(super) const KERAS_NAMES: &[(&str, &str)] = &[
    ("beta1", "beta_1"),
    ("beta2", "beta_2"),
    ("beta3", "beta_3"),
    ("momentum_decay", "momentum"),
    ("beta", "momentum"),
];

static HELPERS: Helpers =
    LazyLock::new(|| runtime::helpers(include_str!("../../runtime/keras/helpers.py")));

/// Why Keras can't express a function, if it can't.
pub fn lacks(function: Function) -> Option<String> {
    lacks_row(function, LIBRARY.spelling, &HELPERS)
}

/// The file. `graph` must be the program's own.
pub fn file(program: &Program, graph: &Graph) -> String {
    let listing = casts::listing(program, graph, &LIBRARY);
    let body = class(&listing);
    let head = python::head(&listing, "Keras 3: an optimizer for any of its backends.");
    let helpers = helpers(&body, &casts::with_numpy(&HELPERS));
    // One empty line between the imports and what is no definition.
    let helpers = if helpers.starts_with("\n\n#") { &helpers[1..] } else { &helpers };
    let ops = if python::calls(&format!("{helpers}{body}"), "ops") {
        "from keras import ops\n"
    } else {
        ""
    };
    format!(
        "{head}\nimport keras\n{}{ops}{helpers}\n\n{body}",
        numpy_import(&format!("{helpers}{body}"))
    )
}

fn class(listing: &Listing) -> String {
    let casts = Casts::new(listing, &LIBRARY);
    let decays = listing.hyperparameters.iter().any(|p| p.name == WEIGHT_DECAY);
    let mut text = "@keras.saving.register_keras_serializable(package=\"symopt\")\n".to_owned();
    let _ = writeln!(text, "class {}(keras.optimizers.Optimizer):", class_name(listing));
    text += &doc(listing, decays);
    write_constructor(&mut text, listing, decays);
    if decays {
        text += "\n    def _apply_weight_decay(self, variables):\n        \"\"\"Nothing: the program decays by itself.\"\"\"\n";
    }
    if !listing.slots.is_empty() || casts.count().is_some() {
        let counts = if casts.count().is_some() {
            "Makes the slots, and counts the steps of each variable."
        } else {
            "Makes the slots."
        };
        let _ = writeln!(text, "\n    def build(self, variables):\n        \"\"\"{counts}\"\"\"");
        text += "        if self.built:\n            return\n        super().build(variables)\n";
        for slot in &listing.slots {
            let _ = writeln!(
                text,
                "        self.{slot} = self.add_optimizer_variables(variables, \"{slot}\")"
            );
        }
        if let Some(count) = casts.count() {
            let value = format!(
                "self.add_variable((), dtype=\"int\", name=\"{count}\") for _ in variables"
            );
            text += &bracketed(8, &format!("self.{count} = ["), &[value], "]")
                .replace(",\n        ]", "\n        ]");
        }
    }
    if let Some(count) = casts.count() {
        let file = include_str!("../../runtime/keras/optimizer.py");
        // The counts are the last of an optimizer's variables, so a state has them at its end.
        text += &runtime::methods(file, &[], &[("COUNT", count)]);
    }
    write_step(&mut text, &casts);
    text += "\n    def get_config(self):\n        \"\"\"The arguments of the constructor.\"\"\"\n";
    let own = listing.hyperparameters.iter().filter(|p| p.name != WEIGHT_DECAY);
    let items: Vec<String> = own.map(|p| format!("\"{0}\": self.{0}", p.name)).collect();
    if items.is_empty() {
        text += "        return super().get_config()\n";
    } else {
        text += "        config = super().get_config()\n";
        let one = format!("        config.update({{{}}})\n", items.join(", "));
        if one.trim_end().chars().count() <= python::WIDTH {
            text += &one;
        } else {
            text += "        config.update(\n";
            text += &bracketed(12, "{", &items, "}");
            text += "        )\n";
        }
        text += "        return config\n";
    }
    text
}

fn doc(listing: &Listing, decays: bool) -> String {
    let rate =
        "a float, a schedule of Keras, or a function without parameters that gives a number.";
    let rate = if listing.learning_rate.is_some() { rate } else { "not read by the program." };
    let mut lines = vec![format!("learning_rate: {rate}")];
    let names: Vec<&str> = listing.hyperparameters.iter().map(|p| p.name.as_str()).collect();
    if !names.is_empty() {
        lines.push(format!("{}: as in the program.", names.join(", ")));
    }
    let other = if decays { "" } else { " and its own `weight_decay`" };
    lines.push(format!(
        "kwargs: what all optimizers of Keras take, such as `global_clipnorm`{other}."
    ));
    let lines: String =
        lines.iter().map(|line| format!("{}\n", python::wrapped_within(line, 8, 12, 0))).collect();
    format!("    \"\"\"`{}`.\n\n    Args:\n{lines}    \"\"\"\n", listing.name)
}

fn write_constructor(text: &mut String, listing: &Listing, decays: bool) {
    let default = listing.learning_rate.as_ref().and_then(|p| p.default).unwrap_or(1.0);
    let mut parameters =
        vec!["self".to_owned(), format!("learning_rate={}", python::python_float(default))];
    parameters.extend(listing.hyperparameters.iter().map(python::parameter));
    parameters.push("name=None".to_owned());
    let aliases = python::aliases(listing, KERAS_NAMES);
    if !aliases.is_empty() {
        parameters.push("*".to_owned());
        parameters.extend(aliases.iter().map(|(_, alias)| format!("{alias}=None")));
    }
    parameters.push("**kwargs".to_owned());
    text.push('\n');
    *text += &bracketed(4, "def __init__(", &parameters, "):");
    *text += &python::take_aliases(8, &aliases);
    let rate = listing
        .learning_rate
        .iter()
        .map(|p| ScalarParameter { name: "learning_rate".to_owned(), ..p.clone() });
    let checked: Vec<ScalarParameter> =
        rate.chain(listing.hyperparameters.iter().cloned()).collect();
    *text += &python::range_checks(8, checked.iter(), true);
    let mut arguments = vec!["learning_rate=learning_rate".to_owned()];
    arguments.extend(decays.then(|| "weight_decay=weight_decay".to_owned()));
    arguments.extend(["name=name".to_owned(), "**kwargs".to_owned()]);
    let call = bracketed(8, "super().__init__(", &arguments, ")");
    *text += &call;
    for parameter in listing.hyperparameters.iter().filter(|p| p.name != WEIGHT_DECAY) {
        let _ = writeln!(text, "        self.{0} = {0}", parameter.name);
    }
}

fn write_step(text: &mut String, casts: &Casts) {
    let listing = casts.listing;
    let last = listing.stages.len() - 1;
    let mut start = String::new();
    let used = |parameter: &Option<ScalarParameter>| {
        parameter.as_ref().filter(|p| p.used).map(|p| p.name.clone())
    };
    if let Some(rate) = used(&listing.learning_rate) {
        let _ = writeln!(start, "        {rate} = ops.cast(learning_rate, _SCALAR)");
    }
    let mut body = String::new();
    for stage in 0..=last {
        casts.write_scalars(&mut body, 8, stage);
        let margin = if last == 0 { 8 } else { 12 };
        let sums = if stage < last { casts.sums(stage) } else { Vec::new() };
        sums.iter()
            .for_each(|(name, _)| body.push_str(&format!("        {name} = {}\n", casts.zero())));
        if last > 0 {
            body += "        for gradient, variable in pairs:\n";
        }
        let mut inner = arrays(casts, stage, margin);
        casts.write_lines(&mut inner, margin, stage);
        for (name, term) in sums {
            inner += &python::assignment(margin, &name, &format!("{name} + {term}"));
        }
        if stage == last {
            let (update, slots) = casts.write_results(&mut inner, margin);
            let space = " ".repeat(margin);
            for (place, value) in slots {
                let _ = writeln!(
                    inner,
                    "{space}self.assign(self.{}[index], {value})",
                    listing.slots[place]
                );
            }
            let _ = writeln!(inner, "{space}self.assign_sub(variable, {update})");
            if let Some(count) = casts.count() {
                let _ = writeln!(inner, "{space}self.assign_add(self.{count}[index], 1)");
            }
        }
        body += &preamble(&inner, margin);
        body += &inner;
    }
    if last == 0 {
        *text += "\n    def update_step(self, gradient, variable, learning_rate):\n        \"\"\"A step of one variable.\"\"\"\n";
    } else {
        *text += "\n    def _backend_update_step(self, grads, trainable_variables, learning_rate):\n        \"\"\"A step of all variables at once, because of the sums over all of them.\"\"\"\n";
        *text += "        pairs = list(zip(grads, trainable_variables, strict=True))\n";
    }
    *text += &start;
    for parameter in listing
        .hyperparameters
        .iter()
        .filter(|p| p.name != WEIGHT_DECAY && python::calls(&body, &p.name))
    {
        let _ = writeln!(text, "        {0} = self.{0}", parameter.name);
    }
    *text += &body;
}

/// Binds the arrays that a stage reads, and the decay.
fn arrays(casts: &Casts, stage: usize, margin: usize) -> String {
    let listing = casts.listing;
    let space = " ".repeat(margin);
    let mut text = String::new();
    if casts.decays(stage) {
        let _ = writeln!(
            text,
            "{space}decays = self._use_weight_decay(variable)\n{space}weight_decay = (self.weight_decay or 0.0) if decays else 0.0"
        );
    }
    if listing.stage_reads(stage, &listing.gradients) {
        let _ = writeln!(text, "{space}{} = _dense(gradient, variable, dtype)", listing.gradients);
    }
    if listing.stage_reads(stage, &listing.weights) {
        let _ = writeln!(text, "{space}{} = ops.cast(variable, dtype)", listing.weights);
    }
    for slot in listing.slots.iter().filter(|slot| listing.stage_reads(stage, slot)) {
        let _ = writeln!(text, "{space}{slot} = ops.cast(self.{slot}[index], dtype)");
    }
    if let Some(step) = casts.step(stage) {
        let _ = writeln!(text, "{space}{step} = ops.cast(self.{step}[index] + 1, _SCALAR)");
    }
    text
}

/// Returns the assignments before a variable's arrays: the `dtype`, `shape` and `index` that the
/// body reads.
fn preamble(body: &str, margin: usize) -> String {
    let space = " ".repeat(margin);
    let mut text = String::new();
    if python::calls(body, "dtype") {
        let _ = writeln!(text, "{space}dtype = _wide(variable)");
    }
    if python::calls(body, "shape") {
        let _ = writeln!(text, "{space}shape = variable.shape");
    }
    if body.contains("[index]") {
        let _ = writeln!(text, "{space}index = self._get_variable_index(variable)");
    }
    text
}
