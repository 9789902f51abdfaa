//! A program as an optimizer for Praxis: the transformation of the [Optax export](super::optax),
//! with the partition specs of its state, and the class that a Praxis experiment names.
//!
//! Each slot is sharded as its weights are, and the step count is replicated. The learning rate is
//! what the class of Praxis says it is: its `learning_rate` times its `lr_schedule`. That class has
//! a decay of its own, `decoupled_weight_decay`; a program that decays by itself is given its own
//! `weight_decay`, and the other one stays None.
//!
//! Praxis pins versions of its dependencies that are long gone (NumPy 1.26, JAX 0.4.26), so tests
//! run this export against a stand-in that has the interfaces of Praxis 1.4, not in Praxis itself.
//! Once, by hand, it was run with the module `optimizers` of Praxis 1.4.0 itself and stubs for what
//! that imports: the exported Lion then took the same 20 steps, bit for bit, as the Lion of that
//! module with its clipping off. Numerics are those of the Optax export.

use symopt_dsl::{Function, Graph, Program};

use super::casts::numpy_import;
use super::optax::{self, Whole, fields};
use crate::listing::{Listing, ListingOptions, UNDERSCORED};
use crate::python::{self, bracketed, class_name};
use crate::runtime;
use crate::spelling::lacks_row;

/// Names that the class of Praxis has itself.
const FIELDS: &[&str] = &[
    "copy",
    "spec",
    "self",
    "cls",
    "name",
    "config",
    "hparams",
    "params",
    "instantiate",
    "make",
    "freeze",
    "clone",
    "set",
    "get_grad_transformation",
    "get_learning_rate",
    "ema_decay_fn",
    "slots",
    "inner",
    "lr_schedule",
    "l1_regularizer_weight",
    "l2_regularizer_weight",
    "skip_lp_1d_vectors",
    "decoupled_weight_decay",
    "clip_gradient_norm_to_value",
    "clip_gradient_single_norm_to_value",
    "ema_decay",
    "ewc_regularizer_weight",
    "ewc_weight_per_var",
];

/// Why Praxis can't express a function, if it can't.
pub fn lacks(function: Function) -> Option<String> {
    lacks_row(function, |row| row.jax, &optax::HELPERS)
}

/// The file. `graph` must be the program's own.
pub fn file(program: &Program, graph: &Graph) -> String {
    let reserved: Vec<&str> = optax::RESERVED
        .iter()
        .chain(python::KEYWORDS)
        .chain(FIELDS)
        .chain(&[UNDERSCORED])
        .copied()
        .collect();
    let listing = Listing::new(
        program,
        graph,
        ListingOptions { reserved: &reserved, rebind: true, array_sums_inside: true },
    );
    let mut whole = Whole::new(&listing);
    // The class has that name.
    if whole.name == class_name(&listing) {
        whole.name.push('_');
    }
    // Praxis pins a version of Optax that has no `safe_increment`.
    let text = whole
        .text()
        .replace("optax.safe_increment(state.count)", "state.count + 1")
        .replace("GradientTransformationExtraArgs", "GradientTransformation");
    let body = format!("{text}{}", wrapper(&listing, &whole));
    let head = python::head(
        &listing,
        "Praxis: a ShardedGradientTransformation, and the optimizer that an experiment names.",
    );
    let typing = match (body.contains("Any"), body.contains("(NamedTuple)")) {
        (true, true) => "from typing import Any, NamedTuple\n\n",
        (true, false) => "from typing import Any\n\n",
        (false, true) => "from typing import NamedTuple\n\n",
        (false, false) => "",
    };
    let copy = if body.contains("copy.deepcopy") { "import copy\n" } else { "" };
    let gap = if !copy.is_empty() && typing.is_empty() { "\n" } else { "" };
    let helpers = python::helpers(&body, &optax::HELPERS);
    let jnp = if python::calls(&format!("{body}{helpers}"), "jnp") {
        "import jax.numpy as jnp\n"
    } else {
        ""
    };
    let numpy = numpy_import(&helpers);
    let layer = if body.contains("base_layer.") { "base_layer, " } else { "" };
    format!(
        "{head}\n{copy}{gap}{typing}import jax\n{jnp}{numpy}import optax\nfrom praxis import {layer}optimizers\n{helpers}{body}"
    )
}

fn wrapper(listing: &Listing, whole: &Whole) -> String {
    let name = &whole.name;
    let sharded = format!("sharded_{}", listing.name);
    let has_slots = !listing.slots.is_empty();
    let mut text = format!("\n\n{}", whole.signature(&sharded));
    text +=
        "    \"\"\"The same, with partition specs: slots are sharded as their weights are.\"\"\"\n";
    let arguments = whole.arguments();
    text += &bracketed(4, &format!("inner = {name}("), &arguments, ")");
    let keeps_state = text_keeps_state(whole);
    let mut items = vec!["count=count".to_owned()];
    items.extend(fields(listing).iter().map(|field| format!("{field}=slots()")));
    let state = format!("return {}State(", class_name(listing));
    let partition = runtime::filled(
        include_str!("../../runtime/praxis/partition.py"),
        &[("state", keeps_state), ("slots", keeps_state && has_slots)],
        &[],
    );
    let partition = runtime::indented(partition.trim_start());
    // It is broken into lines for the margin that it has inside of the function.
    let state = bracketed(8, &state, &items, ")");
    text.push('\n');
    text += &partition.replace("        __STATE__\n", &state);
    text += "\n    return optimizers.ShardedGradientTransformation(\n        init=inner.init,\n        update=inner.update,\n        init_partition_spec=init_partition_spec_fn,\n    )\n";
    text += &format!("\n\nclass {}(optimizers.BaseOptimizer):\n", class_name(listing));
    text +=
        &format!("    \"\"\"`{}` with the learning rate and the schedule of Praxis.", listing.name);
    if listing.hyperparameters.iter().any(|p| p.given == "weight_decay") {
        text += "\n\n    It decays by itself: leave `decoupled_weight_decay` at None.\n    ";
    }
    text += "\"\"\"\n";
    let mut own = Vec::new();
    for parameter in &listing.hyperparameters {
        own.push(format!(
            "    {}: float = {}\n",
            parameter.name,
            python::python_float(parameter.default.unwrap_or(1.0))
        ));
    }
    let rest = arguments.iter().filter(|name| ["mask", "mu_dtype"].contains(&name.as_str()));
    own.extend(rest.map(|name| format!("    {name}: Any = None\n")));
    if !own.is_empty() {
        text += &format!("\n{}", own.concat());
    }
    text += "\n    def _get_raw_grad_transformation(self, lr):\n";
    let rate = if listing.learning_rate.is_some() { "lr" } else { "" };
    if rate.is_empty() {
        text += "        del lr\n";
    }
    let values: Vec<String> = arguments
        .iter()
        .map(|name| if name == "learning_rate" { rate.to_owned() } else { format!("self.{name}") })
        .collect();
    text += &bracketed(8, &format!("return {sharded}("), &values, ")");
    text
}

fn text_keeps_state(whole: &Whole) -> bool {
    whole.text().contains("(NamedTuple)")
}
