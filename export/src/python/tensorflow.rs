//! A program as an optimizer for TensorFlow: in version 2 a `tf.Module` with `apply_gradients`, in
//! version 1 a `tf.compat.v1.train.Optimizer`.
//!
//! Arrays are computed in the type of the variable, f32 at least, and rounded to it as they are
//! stored. Each variable counts its own steps. The learning rate, the step count and sums over
//! elements are f64 tensors, hyperparameters are Python floats; both are rounded where they meet an
//! array, as in the reference interpreter. Differences: TensorFlow's own functions have their own
//! rounding (`exp`, `pow` and the like are within a few units in the last place), `log2`, `log10`
//! and `cbrt` go through f64, products of matrices are summed in the type of the arrays (on GPUs as
//! TensorFloat-32 unless that is turned off), under `tf.function` with `jit_compile` XLA may
//! contract a product and a sum into one rounding, and on CPU denormal numbers are taken for zero.
//!
//! Sums over all variables are taken over those of one replica: under a distribution strategy they
//! don't see the other replicas' gradients.

use std::fmt::Write;
use std::sync::LazyLock;

use symopt_dsl::{Function, Graph, Profile, Program};

use super::casts::{self, Casts, Library, WEIGHT_DECAY, numpy_import};
use super::keras::KERAS_NAMES;
use crate::listing::{Callee, Listing, ScalarParameter};
use crate::python::{self, bracketed, class_name, helpers};
use crate::runtime::{self, Helpers};
use crate::spelling::lacks_row;

const LIBRARY: Library = Library {
    module: "tf",
    constant: "tf.constant",
    scalar_type: "tf.float64",
    spelling: |row| row.tensorflow,
    cast: "tf.cast({x}, dtype)",
    spread: "tf.fill(tf.shape({y}), {x})",
    copy: |name| format!("tf.raw_ops.DeepCopy(x={name})"),
    scalar: Some("_scalar({x})"),
    reserved: &[
        "tf",
        "callable",
        "dict",
        "property",
        "step",
        "submodules",
        "trainable_variables",
        "non_trainable_variables",
        "name_scope",
        "with_name_scope",
        "get_config",
        "grads_and_vars",
        "apply_gradients",
        "global_step",
        "use_locking",
        "update_ops",
        "grad",
        "var",
        "var_list",
        "zero",
        "zeros",
        "compute_gradients",
        "minimize",
        "get_name",
        "get_slot",
        "get_slot_names",
        // With an underscore before them, what version 1's optimizers have for themselves.
        "add_trackable_child",
        "add_variable_with_custom_getter",
        "apply_dense",
        "apply_sparse",
        "apply_sparse_duplicate_indices",
        "assert_valid_dtypes",
        "call_if_callable",
        "checkpoint_adapter",
        "checkpoint_dependencies",
        "copy_trackable_to_cpu",
        "create_non_slot_variable",
        "create_or_restore_slot_variable",
        "create_slots",
        "deferred_dependencies",
        "deferred_slot_restorations",
        "deserialization_dependencies",
        "deserialize_from_proto",
        "distributed_apply",
        "export_to_saved_model_graph",
        "finish",
        "gather_saveables_for_checkpoint",
        "get_non_slot_variable",
        "get_or_make_slot",
        "get_or_make_slot_with_initializer",
        "handle_deferred_dependencies",
        "learning_rate_tensor",
        "lookup_dependency",
        "maybe_initialize_trackable",
        "name_based_attribute_restore",
        "name_based_restores",
        "no_dependency",
        "non_slot_dict",
        "non_slot_variables",
        "object_identifier",
        "preload_simple_restoration",
        "prepare",
        "resource_apply_dense",
        "resource_apply_sparse",
        "resource_apply_sparse_duplicate_indices",
        "restore_from_tensors",
        "restore_slot_variable",
        "scale_loss",
        "serialize_to_proto",
        "serialize_to_tensors",
        "setattr_tracking",
        "slot_dict",
        "slots",
        "tf_api_names",
        "tf_api_names_v1",
        "track_trackable",
        "trackable_children",
        "unconditional_checkpoint_dependencies",
        "unconditional_dependency_names",
        "update_uid",
        "use_own_namescope_for_non_slot_vars",
        "valid_dtypes",
        "zeros_slot",
        "scalars",
        "slot",
    ],
};

static HELPERS: Helpers =
    LazyLock::new(|| runtime::helpers(include_str!("../../runtime/tensorflow/helpers.py")));

/// Why TensorFlow can't express a function, if it can't.
pub fn lacks(function: Function) -> Option<String> {
    lacks_row(function, LIBRARY.spelling, &HELPERS)
}

/// The file for TensorFlow 2. `graph` must be the program's own.
pub fn file(program: &Program, graph: &Graph) -> String {
    let listing = casts::listing(program, graph, &LIBRARY);
    finished(&listing, "TensorFlow 2: a tf.Module with apply_gradients.", &module(&listing))
}

/// The file for TensorFlow 1. `graph` must be the program's own.
pub fn file_of_version_1(program: &Program, graph: &Graph) -> String {
    let listing = casts::listing(program, graph, &LIBRARY);
    finished(
        &listing,
        "TensorFlow 1: an optimizer for graphs and sessions, also as tf.compat.v1.",
        &optimizer(&listing),
    )
}

fn finished(listing: &Listing, title: &str, body: &str) -> String {
    let head = python::head(listing, title);
    let body = format!("{}\n\n{body}", helpers(body, &casts::with_numpy(&HELPERS)));
    format!("{head}\n{}import tensorflow as tf\n{body}", numpy_import(&body))
}

fn doc(listing: &Listing, title: &str, rate: &str) -> String {
    let mut lines = Vec::new();
    if listing.learning_rate.is_some() {
        lines.push(format!("learning_rate: {rate}"));
    }
    let names: Vec<&str> = listing.hyperparameters.iter().map(|p| p.name.as_str()).collect();
    if !names.is_empty() {
        lines.push(format!("{}: as in the program.", names.join(", ")));
    }
    let title = python::wrapped_within(title, 4, 4, 6);
    if lines.is_empty() {
        return format!("    \"\"\"{}\"\"\"\n", title.trim_start());
    }
    let lines: String =
        lines.iter().map(|line| format!("{}\n", python::wrapped_within(line, 8, 12, 0))).collect();
    format!("    \"\"\"{}\n\n    Args:\n{lines}    \"\"\"\n", title.trim_start())
}

/// The parameters of a constructor.
fn parameters(listing: &Listing) -> Vec<String> {
    let mut parameters = vec!["self".to_owned()];
    let rate = listing
        .learning_rate
        .iter()
        .map(|p| ScalarParameter { name: "learning_rate".to_owned(), ..p.clone() });
    parameters.extend(rate.map(|p| python::parameter(&p)));
    parameters.extend(listing.hyperparameters.iter().map(python::parameter));
    parameters
}

/// Refuses numbers outside of their ranges.
fn checks(listing: &Listing) -> String {
    let rate = listing
        .learning_rate
        .iter()
        .map(|p| ScalarParameter { name: "learning_rate".to_owned(), ..p.clone() });
    let checked: Vec<ScalarParameter> =
        rate.chain(listing.hyperparameters.iter().cloned()).collect();
    python::range_checks(8, checked.iter(), true)
}

/// Binds the hyperparameters that a text reads.
fn bindings(listing: &Listing, margin: usize, prefix: &str, text: &str) -> String {
    let used = listing.hyperparameters.iter().filter(|p| python::calls(text, &p.name));
    used.map(|p| format!("{}{} = self.{prefix}{}\n", " ".repeat(margin), p.name, p.name)).collect()
}

/// Whether the rows and columns of arrays matter.
fn has_matrices(listing: &Listing) -> bool {
    let mut found = false;
    let mut look = |callee, _| {
        found |= matches!(callee, Callee::Function(function) if function.row().profile == Profile::Matrix)
    };
    listing.expressions().for_each(|expression| expression.visit(&mut look));
    found
}

/// Binds the arrays that a stage reads.
fn arrays(
    casts: &Casts,
    stage: usize,
    margin: usize,
    [gradient, variable]: [&str; 2],
    slot: impl Fn(&str) -> String,
) -> String {
    let listing = casts.listing;
    let mut text = String::new();
    let space = " ".repeat(margin);
    if listing.stage_reads(stage, &listing.gradients) {
        // A graph may not know the shape of a gradient, but that of its variable.
        let cast = format!("tf.cast({gradient}, dtype)");
        let value =
            if has_matrices(listing) { format!("tf.ensure_shape({cast}, shape)") } else { cast };
        let _ = writeln!(text, "{space}{} = {value}", listing.gradients);
    }
    if listing.stage_reads(stage, &listing.weights) {
        let _ = writeln!(text, "{space}{} = tf.cast({variable}, dtype)", listing.weights);
    }
    for name in listing.slots.iter().filter(|slot| listing.stage_reads(stage, slot)) {
        let _ = writeln!(text, "{space}{name} = tf.cast({}, dtype)", slot(name));
    }
    if let Some(step) = casts.step(stage) {
        let _ = writeln!(text, "{space}{step} = _scalar({}) + 1", slot(step));
    }
    text
}

/// The loops that take the sums of all stages but the last, with the scalars of all stages.
fn sums(
    casts: &Casts,
    margin: usize,
    base: &str,
    index: &str,
    slot: impl Fn(&str) -> String + Copy,
) -> String {
    let listing = casts.listing;
    let space = " ".repeat(margin);
    let mut text = String::new();
    for stage in 0..listing.stages.len() {
        casts.write_scalars(&mut text, margin, stage);
        if stage + 1 == listing.stages.len() {
            break;
        }
        let sums = casts.sums(stage);
        sums.iter()
            .for_each(|(name, _)| text.push_str(&format!("{space}{name} = {}\n", casts.zero())));
        let mut body = arrays(casts, stage, margin + 4, ["gradient", "variable"], slot);
        casts.write_lines(&mut body, margin + 4, stage);
        for (name, term) in sums {
            body += &python::assignment(margin + 4, &name, &format!("{name} + {term}"));
        }
        let _ = write!(
            text,
            "{space}for gradient, variable in {base}:\n{}{body}",
            preamble(&body, margin + 4, "variable.dtype.base_dtype", index)
        );
    }
    text
}

/// Returns the assignments before a variable's arrays: the `dtype`, `shape` and `index` that the
/// body reads.
fn preamble(body: &str, margin: usize, dtype: &str, index: &str) -> String {
    let space = " ".repeat(margin);
    let mut text = String::new();
    if python::calls(body, "dtype") {
        let _ = writeln!(text, "{space}dtype = _wide({dtype})");
    }
    if python::calls(body, "shape") {
        let variable = dtype.split('.').next().unwrap_or(dtype);
        let _ = writeln!(text, "{space}shape = {variable}.shape");
    }
    if body.contains("[index]") {
        let _ = writeln!(text, "{space}index = {index}");
    }
    text
}

fn module(listing: &Listing) -> String {
    let casts = Casts::new(listing, &LIBRARY);
    let mut text = format!("class {}(tf.Module):\n", class_name(listing));
    let title =
        format!("`{}`: `optimizer.apply_gradients(zip(gradients, variables))`.", listing.name);
    text += &doc(
        listing,
        &title,
        "a number, a variable, or a schedule: a function of the number of steps so far.",
    );
    let mut parameters = parameters(listing);
    parameters.push(format!("name=\"{}\"", listing.name));
    let aliases = python::aliases(listing, KERAS_NAMES);
    if !aliases.is_empty() {
        parameters.push("*".to_owned());
        parameters.extend(aliases.iter().map(|(_, alias)| format!("{alias}=None")));
    }
    text.push('\n');
    text += &bracketed(4, "def __init__(", &parameters, "):");
    text += &python::take_aliases(8, &aliases);
    text += &checks(listing);
    text += "        super().__init__(name=name)\n";
    if listing.learning_rate.is_some() {
        text += "        if isinstance(learning_rate, (int, float)):\n            learning_rate = tf.Variable(\n                learning_rate, dtype=tf.float64, trainable=False, name=\"learning_rate\"\n            )\n        self.learning_rate = learning_rate\n";
    }
    text += "        self.iterations = tf.Variable(0, dtype=tf.int64, trainable=False)\n";
    for parameter in &listing.hyperparameters {
        // As in Keras, None is no decay.
        let other = if parameter.name == WEIGHT_DECAY { " or 0.0" } else { "" };
        let _ = writeln!(text, "        self.{0} = {0}{other}", parameter.name);
    }
    let lists: Vec<&str> = listing.slots.iter().map(String::as_str).chain(casts.count()).collect();
    for slot in &lists {
        let _ = writeln!(text, "        self.{slot} = []");
    }
    if !lists.is_empty() {
        text += "        # Not for checkpoints, which want names as keys.\n        object.__setattr__(self, \"_positions\", {})\n";
    }
    text += "\n    def get_config(self):\n        \"\"\"The hyperparameters, as the constructor takes them.\"\"\"\n";
    let mut items: Vec<String> =
        listing.hyperparameters.iter().map(|p| format!("\"{0}\": self.{0}", p.name)).collect();
    items.push("\"name\": self.name".to_owned());
    text += &bracketed(8, "return {", &items, "}");
    let mut appends: String = listing
        .slots
        .iter()
        .map(|slot| {
            format!("                self.{slot}.append(tf.Variable(zeros, trainable=False))\n")
        })
        .collect();
    if let Some(count) = casts.count() {
        let value = "tf.Variable(0, dtype=tf.int64, trainable=False)".to_owned();
        appends += &bracketed(16, &format!("self.{count}.append("), &[value], ")");
    }
    text += &runtime::methods(
        include_str!("../../runtime/tensorflow/build.py"),
        &[("lists", !lists.is_empty()), ("slots", !listing.slots.is_empty())],
        &[("APPENDS", &appends)],
    );
    text += "\n    def apply_gradients(self, grads_and_vars):\n        \"\"\"One step of each variable that has a gradient.\"\"\"\n";
    text += "        pairs = [pair for pair in grads_and_vars if pair[0] is not None]\n";
    text += "        if any(isinstance(gradient, tf.IndexedSlices) for gradient, _ in pairs):\n";
    let message = format!("\"{} needs dense gradients: use tf.convert_to_tensor\"", listing.name);
    text += &bracketed(12, "raise TypeError(", &[message], ")");
    text += "        self.build([variable for _, variable in pairs])\n";
    let rate = listing.learning_rate.as_ref().filter(|p| p.used);
    if let Some(rate) = rate {
        let name = &rate.name;
        let _ = writeln!(
            text,
            "        {name} = self.learning_rate\n        {name} = _scalar({name}(self.iterations) if callable({name}) else {name})"
        );
    }
    text += "        self.iterations.assign_add(1)\n";
    let slot = |name: &str| format!("self.{name}[index]");
    let index = "self._positions[variable.ref()]";
    let mut step = sums(&casts, 8, "pairs", index, slot);
    let last = listing.stages.len() - 1;
    let mut body = arrays(&casts, last, 12, ["gradient", "variable"], slot);
    casts.write_lines(&mut body, 12, last);
    let (update, slots) = casts.write_results(&mut body, 12);
    for (place, value) in slots {
        let value = vec![format!("tf.cast({value}, variable.dtype)")];
        body +=
            &bracketed(12, &format!("self.{}[index].assign(", listing.slots[place]), &value, ")");
    }
    let _ = writeln!(body, "            variable.assign_sub(tf.cast({update}, variable.dtype))");
    if let Some(count) = casts.count() {
        let _ = writeln!(body, "            self.{count}[index].assign_add(1)");
    }
    let _ = write!(
        step,
        "        for gradient, variable in pairs:\n{}{body}",
        preamble(&body, 12, "variable.dtype", index)
    );
    text += &bindings(listing, 8, "", &step);
    text += &step;
    text
}

fn optimizer(listing: &Listing) -> String {
    let casts = Casts::new(listing, &LIBRARY);
    let last = listing.stages.len() - 1;
    let slot = |name: &str| format!("self.get_slot(var, \"{name}\")");
    let mut body = arrays(&casts, last, 8, ["grad", "var"], slot);
    casts.write_lines(&mut body, 8, last);
    let (update, slots) = casts.write_results(&mut body, 8);
    let mut scalars = scalars_of_step(&casts);
    scalars.retain(|name| python::calls(&body, name));
    let mut text = format!("class {}(tf.compat.v1.train.Optimizer):\n", class_name(listing));
    text += &doc(
        listing,
        &format!("`{}`.", listing.name),
        "a number, a tensor, or a function without parameters that gives one.",
    );
    let mut parameters = parameters(listing);
    parameters.push("use_locking=False".to_owned());
    parameters.push(format!("name=\"{}\"", class_name(listing)));
    text.push('\n');
    text += &bracketed(4, "def __init__(", &parameters, "):");
    text += &checks(listing);
    text += "        super().__init__(use_locking, name)\n";
    if listing.learning_rate.is_some() {
        text += "        self._learning_rate = learning_rate\n";
    }
    for parameter in &listing.hyperparameters {
        let _ = writeln!(text, "        self._{0} = {0}", parameter.name);
    }
    if last > 0 {
        text += "        self._pairs = []\n";
    }
    if !scalars.is_empty() {
        text += "        self._scalars = {}\n";
    }
    if last > 0 {
        let file = include_str!("../../runtime/tensorflow/pairs.py");
        text += &runtime::methods(file, &[], &[]);
    }
    let count = casts.count();
    if count.is_some() || !listing.slots.is_empty() {
        text += "\n    def _create_slots(self, var_list):\n        for variable in var_list:\n";
        for slot in &listing.slots {
            let _ =
                writeln!(text, "            self._zeros_slot(variable, \"{slot}\", self._name)");
        }
        if let Some(count) = count {
            text += "            zero = tf.compat.v1.zeros_initializer()\n            self._get_or_make_slot_with_initializer(\n";
            let _ = writeln!(
                text,
                "                variable, zero, tf.TensorShape([]), tf.int64, \"{count}\", self._name\n            )"
            );
        }
    }
    write_prepare(&mut text, &casts, &scalars);

    text += "\n    def _apply_dense(self, grad, var):\n        return self._resource_apply_dense(grad, var)\n";
    text += "\n    def _resource_apply_dense(self, grad, var):\n";
    let cast = |value: &str| format!("tf.cast({value}, var.dtype.base_dtype)");
    let mut values = vec![update.clone()];
    values.extend(slots.iter().map(|(_, value)| value.clone()));
    scalars
        .iter()
        .for_each(|name| text.push_str(&format!("        {name} = self._scalars[\"{name}\"]\n")));
    text += &bindings(listing, 8, "_", &body);
    text += &preamble(&body, 8, "var.dtype.base_dtype", "");
    text += &body;
    text += "        # All values are known before any variable changes.\n";
    text += &bracketed(8, "with tf.control_dependencies([", &values, "]):");
    text += "            return tf.group(\n";
    for (place, value) in slots {
        text += &bracketed(
            16,
            &format!("{}.assign(", slot(&listing.slots[place])),
            &[cast(&value), "self._use_locking".to_owned()],
            "),",
        );
    }
    text +=
        &bracketed(16, "var.assign_sub(", &[cast(&update), "self._use_locking".to_owned()], "),");
    if let Some(count) = count {
        text += &bracketed(
            16,
            &format!("{}.assign_add(", slot(count)),
            &["1".to_owned(), "self._use_locking".to_owned()],
            "),",
        );
    }
    text += "            )\n";
    text += "\n    def _apply_sparse(self, grad, var):\n";
    let message = format!("\"{} needs dense gradients: use tf.convert_to_tensor\"", listing.name);
    text += &bracketed(8, "raise TypeError(", &[message], ")");
    text += "\n    def _resource_apply_sparse(self, grad, handle, indices):\n        return self._apply_sparse(grad, handle)\n";
    text
}

/// The scalars that a step computes once for all variables.
fn scalars_of_step(casts: &Casts) -> Vec<String> {
    let listing = casts.listing;
    let mut names: Vec<String> =
        listing.learning_rate.iter().filter(|p| p.used).map(|p| p.name.clone()).collect();
    for stage in &listing.stages {
        names.extend(
            stage
                .scalars
                .iter()
                .map(|line| line.name.clone())
                .chain(stage.sums.iter().map(|sum| sum.name.clone())),
        );
    }
    names.retain(|name| {
        !casts.by_variable.contains(name)
            || listing.learning_rate.as_ref().is_some_and(|p| p.name == *name)
    });
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

/// The method that computes the scalars of a step.
fn write_prepare(text: &mut String, casts: &Casts, scalars: &[String]) {
    let listing = casts.listing;
    let mut start = String::new();
    if let Some(rate) = listing.learning_rate.as_ref().filter(|p| p.used) {
        let name = &rate.name;
        let _ = writeln!(
            start,
            "        {name} = self._learning_rate\n        {name} = _scalar({name}() if callable({name}) else {name})"
        );
    }
    let slot = |name: &str| format!("self.get_slot(variable, \"{name}\")");
    let body = sums(casts, 8, "self._pairs", "", slot);
    if start.is_empty() && body.is_empty() {
        return;
    }
    *text += "\n    def _prepare(self):\n";
    *text += &start;
    if listing.stages.len() > 1 {
        *text += "        if any(isinstance(gradient, tf.IndexedSlices) for gradient, _ in self._pairs):\n            self._apply_sparse(None, None)\n";
    }
    *text += &bindings(listing, 8, "_", &body);
    *text += &body;
    let items: Vec<String> = scalars.iter().map(|name| format!("\"{name}\": {name}")).collect();
    *text += &bracketed(8, "self._scalars = {", &items, "}");
}
