//! A program as a gradient transformation for Optax.
//!
//! Where the update is `lr * (direction + weight_decay * w)`, or `lr * direction`, and neither the
//! direction nor the slots read `lr` or the weights, the file has a `scale_by_NAME` that gives the
//! direction, and `NAME` chains it with Optax's own decay and learning rate: the same roundings in
//! the same order. Any other program is written out.
//!
//! Numerics. Arrays are computed in f32 at least; slots are stored in the types that they came in,
//! and an update has the widest type of the arrays that it is made of. Hyperparameters are Python
//! floats, which JAX rounds where they meet an array, as the reference interpreter does; so without
//! `jit` an element-wise program that takes no `t` has the reference's bits. JAX numbers, though,
//! are f32 unless `jax_enable_x64` is set, where the reference has f64: `t` (a correction such as
//! `1 - 0.999^t` is off by up to 3e-5 of itself at the first steps), sums over elements (1e-6 of
//! the sum of the magnitudes), schedules, and hyperparameters under `inject_hyperparams`. Sums of
//! products beyond 3.4e38 are infinite in f32, and norms beyond 1.8e19. Means of rows and columns
//! and products of matrices are summed in the type of the arrays. Under `jit` XLA may contract a
//! product and a sum into one rounding. On CPU it takes denormal numbers for zero, and so the
//! reciprocals of numbers beyond 2^126, by which it multiplies arrays instead of dividing.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::LazyLock;

use symopt_dsl::graph::provenance::node_ids;
use symopt_dsl::graph::{NodeId, NodeKind};
use symopt_dsl::{Function, Graph, Program, Type};

use super::casts::numpy_import;
use crate::listing::{
    Callee, Expression, Line, Listing, ListingOptions, ScalarParameter, Sum, UNDERSCORED,
};
use crate::notation::{Level, Notation, comparison_sign, written, written_within};
use crate::python::{self, bracketed, class_name, helpers};
use crate::runtime::{self, Helpers};
use crate::spelling::{lacks_row, spelling};

/// Names that the file itself uses.
pub(super) const RESERVED: &[&str] = &[
    "np",
    "jax",
    "jnp",
    "optax",
    "base_layer",
    "optimizers",
    "praxis",
    "callable",
    "TypeError",
    "extra_args",
    "numbers",
    "inner",
    "Any",
    "NamedTuple",
    "params",
    "updates",
    "state",
    "count",
    "step",
    "steps",
    "mask",
    "decays",
    "shape",
    "mu_dtype",
    "learning_rate",
    "init_fn",
    "update_fn",
    "init_partition_spec_fn",
];

pub(super) static HELPERS: Helpers = LazyLock::new(|| {
    let own = runtime::helpers(include_str!("../../runtime/optax/helpers.py"));
    python::ARGUMENTS.iter().copied().chain(own).collect()
});

/// How JAX writes expressions. Numbers that may be Python floats are computed in f64, as floats
/// are: a number of JAX's would be f32.
struct JaxNotation {
    /// The scalars that are JAX's, never floats.
    of_jax: BTreeSet<String>,
}

impl JaxNotation {
    fn new(listing: &Listing) -> JaxNotation {
        let totals =
            listing.stages.iter().flat_map(|stage| &stage.sums).map(|sum| sum.name.clone());
        let mut notation = JaxNotation {
            of_jax: totals.chain(listing.step.iter().map(|step| step.name.clone())).collect(),
        };
        // A name may be bound twice: it is JAX's if it is once.
        let lines = || listing.stages.iter().flat_map(|stage| &stage.scalars);
        while let Some(line) = lines().find(|line| {
            !notation.of_jax.contains(&line.name) && !notation.may_be_float(&line.value)
        }) {
            notation.of_jax.insert(line.name.clone());
        }
        notation
    }

    /// Whether a value may be a Python float.
    fn may_be_float(&self, expression: &Expression) -> bool {
        match expression {
            Expression::Number(_) => true,
            Expression::Name(name, ty) => *ty == Type::Scalar && !self.of_jax.contains(name),
            Expression::Call(
                Callee::Function(
                    Function::Norm
                    | Function::Mean
                    | Function::Size
                    | Function::Rows
                    | Function::Columns,
                ),
                ..,
            ) => false,
            Expression::Call(_, ty, arguments) => {
                !ty.is_array() && arguments.iter().all(|argument| self.may_be_float(argument))
            }
        }
    }

    /// Returns the test of a `jnp.where` of a type: a comparison itself, or whether a number is not
    /// 0. Beside arrays it is rounded first, as all numbers are.
    fn condition(&self, ty: Type, test: &Expression) -> String {
        let compared = match test {
            Expression::Call(Callee::Function(function), _, arguments) => match &arguments[..] {
                [x, y] => self.compared(*function, x, y),
                _ => None,
            },
            _ => None,
        };
        compared.unwrap_or_else(|| match ty.is_array() && !test.ty().is_array() {
            true => format!("jnp.float32({}) != 0", written(self, test)),
            false => format!("{} != 0", written_within(self, test, Level::Sum)),
        })
    }

    /// A comparison, whose value is true or false.
    fn compared(&self, function: Function, x: &Expression, y: &Expression) -> Option<String> {
        let side = |value| written_within(self, value, Level::Sum);
        comparison_sign(function).map(|sign| format!("{} {sign} {}", side(x), side(y)))
    }

    /// Returns the term that an array adds to a sum.
    fn product(&self, sum: &Sum) -> String {
        if sum.is_of_trees() {
            return format!("_dot({}, {})", written(self, &sum.x), written(self, &sum.y));
        }
        let product = Expression::Call(
            Callee::Function(Function::Multiply),
            Type::PerArray,
            vec![sum.x.clone(), sum.y.clone()],
        );
        written(self, &product)
    }

    fn assign(&self, text: &mut String, margin: usize, line: &Line) {
        *text += &python::assignment(margin, &line.name, &written(self, &line.value));
    }
}

impl Notation for JaxNotation {
    fn spelling(&self, callee: Callee, ty: Type) -> Option<Cow<'static, str>> {
        match callee {
            Callee::ClipFactor => Some("_clip_factor({x}, {y})".into()),
            Callee::Spread => {
                Some(if ty.is_array() { "jnp.full_like({y}, {x})" } else { "{x}" }.into())
            }
            // A product of the parameters' shape is an array of theirs again.
            Callee::Function(Function::Matmul) if ty == Type::Tree => {
                Some("_matmul({x}, {y}).reshape(shape)".into())
            }
            Callee::Function(Function::Transpose) if ty == Type::Tree => {
                Some("_transpose({x}).reshape(shape)".into())
            }
            Callee::Function(function) => Some(spelling(function)?.jax.into()),
        }
    }

    fn operator(
        &self,
        function: Function,
        ty: Type,
        arguments: &[Expression],
    ) -> Option<Cow<'static, str>> {
        let of_floats =
            !ty.is_array() && arguments.iter().all(|argument| self.may_be_float(argument));
        let choice = if of_floats { "_choice" } else { "jnp.where" };
        match (function, arguments) {
            (Function::Divide, [_, Expression::Number(divisor)])
                if *divisor != 0.0 && divisor.abs() <= LARGEST_DIVISOR =>
            {
                None
            }
            // Python raises where a float is divided by zero.
            (Function::Divide, [_, divisor])
                if of_floats
                    || !ty.is_array()
                        && self.may_be_float(divisor)
                        && *divisor != Expression::Number(0.0) =>
            {
                Some("_number(\"divide\", {x}, {y})".into())
            }
            (Function::Reciprocal, _) if of_floats => Some("_number(\"divide\", 1.0, {x})".into()),
            (Function::Divide, _) if !ty.is_array() => Some("jnp.divide({x}, {y})".into()),
            (Function::Reciprocal, _) if !ty.is_array() => Some("jnp.divide(1.0, {x})".into()),
            (Function::Where, [test, x, y]) => {
                let value = |value| python::float_or(value, || written(self, value));
                Some(
                    format!("{choice}({}, {}, {})", self.condition(ty, test), value(x), value(y))
                        .into(),
                )
            }
            (_, [x, y]) if comparison_sign(function).is_some() => self
                .compared(function, x, y)
                .map(|test| format!("{choice}({test}, 1.0, 0.0)").into()),
            _ if of_floats => of_numbers(function),
            _ => None,
        }
    }
}

/// How a function of numbers that may be Python floats is written; `None` where it is as that of
/// arrays.
fn of_numbers(function: Function) -> Option<Cow<'static, str>> {
    let text = spelling(function)?.jax;
    match (function, text.strip_prefix("jnp.").and_then(|rest| rest.split_once('('))) {
        (_, Some((name, arguments))) => Some(format!("_number(\"{name}\", {arguments}").into()),
        (Function::GuardedLog1p, _) => Some("_number_guarded_log1p({x})".into()),
        (Function::NewtonSchulz, _) => Some("_number_newton_schulz({x})".into()),
        _ => None,
    }
}

/// Why Optax can't express a function, if it can't.
pub fn lacks(function: Function) -> Option<String> {
    lacks_row(function, |row| row.jax, &HELPERS)
}

/// The part of a program that is left without its learning rate and its decay.
struct Split {
    direction: NodeId,
    /// Whether `weight_decay * w` is added to it.
    decays: bool,
}

impl Split {
    fn of(listing: &Listing, program: &Program, graph: &Graph) -> Option<Split> {
        let call = |id: NodeId, function: Function| {
            let node = graph.node(id);
            if node.kind == NodeKind::Call(function) {
                <[NodeId; 2]>::try_from(node.arguments()).ok()
            } else {
                None
            }
        };
        let is = |id: NodeId, kind: NodeKind| graph.node(id).kind == kind;
        let other = |[x, y]: [NodeId; 2], test: &dyn Fn(NodeId) -> bool| match (test(x), test(y)) {
            (true, _) => Some(y),
            (_, true) => Some(x),
            _ => None,
        };
        let decay = program
            .signature()
            .hyperparameters()
            .find(|(_, p)| p.name == WEIGHT_DECAY)
            .map(|(id, _)| id);
        let is_decay = |id: NodeId| {
            let factor = call(id, Function::Multiply)
                .and_then(|pair| other(pair, &|id| is(id, NodeKind::Weights)));
            factor
                .zip(decay)
                .is_some_and(|(factor, decay)| is(factor, NodeKind::Hyperparameter(decay)))
        };
        let scaled =
            other(call(graph.update(), Function::Multiply)?, &|id| is(id, NodeKind::LearningRate))?;
        let undecayed = call(scaled, Function::Add).and_then(|pair| other(pair, &is_decay));
        let split = Split { direction: undecayed.unwrap_or(scaled), decays: undecayed.is_some() };
        let mut needed = vec![false; graph.nodes().len()];
        needed[split.direction.index()] = true;
        graph.live_slots().for_each(|(_, id)| needed[id.index()] = true);
        let ids: Vec<NodeId> = node_ids(graph).collect();
        for id in ids.iter().rev() {
            if needed[id.index()] {
                graph
                    .node(*id)
                    .arguments()
                    .iter()
                    .for_each(|argument| needed[argument.index()] = true);
            }
        }
        let taken_out = |kind: NodeKind| match kind {
            NodeKind::Weights | NodeKind::LearningRate => true,
            NodeKind::Hyperparameter(id) => split.decays && Some(id) == decay,
            _ => false,
        };
        let reads = ids.into_iter().any(|id| needed[id.index()] && taken_out(graph.node(id).kind));
        // A program of which the direction is the gradient itself needs no state of its own.
        (!reads && listing.learning_rate.is_some() && !is(split.direction, NodeKind::Gradients))
            .then_some(split)
    }
}

/// The reciprocal of what is beyond this, 2^126, is a denormal number, which XLA takes for zero on
/// CPU; in a compiled step it multiplies by the reciprocal of a constant divisor. Numbers are
/// divided otherwise; of arrays no quotient by such a number is kept from that, compiled or not.
const LARGEST_DIVISOR: f64 = (1_u128 << 126) as f64;

/// The hyperparameter that a mask turns off.
const WEIGHT_DECAY: &str = "weight_decay";

/// The file. `graph` must be the program's own.
pub fn file(program: &Program, graph: &Graph) -> String {
    let reserved: Vec<&str> =
        RESERVED.iter().chain(python::KEYWORDS).chain(&[UNDERSCORED]).copied().collect();
    let options = ListingOptions { reserved: &reserved, rebind: true, array_sums_inside: true };
    let listing = Listing::new(program, graph, options);
    let (body, title) = match Split::of(&listing, program, graph) {
        Some(split) => {
            let part = Listing::of_part(program, graph, options, split.direction);
            (
                split_in_two(&listing, &part, split.decays),
                "Optax: a GradientTransformation, and the part of it without learning rate and decay.",
            )
        }
        None => (Whole::new(&listing).text(), "Optax: a GradientTransformation."),
    };
    let head = python::head(&listing, title);
    let import =
        if body.contains("(NamedTuple)") { "from typing import Any, NamedTuple\n\n" } else { "" };
    let (any, helpers) = (body.contains("Any\n"), helpers(&body, &HELPERS));
    let import = if any { import } else { &import.replace("Any, ", "") };
    let numpy = numpy_import(&helpers);
    format!(
        "{head}\n{import}import jax\nimport jax.numpy as jnp\n{numpy}import optax\n{helpers}{body}"
    )
}

/// A program's name, or one like it that is not taken: by the file, by Python or by a helper, all
/// of which begin with an underscore.
pub(crate) fn free_name(name: &str) -> String {
    if RESERVED.contains(&name) || python::KEYWORDS.contains(&name) || name.starts_with("_") {
        format!("{}_", name.trim_start_matches('_'))
    } else {
        name.to_owned()
    }
}

/// The name of the function for a program.
fn function_name(listing: &Listing) -> String {
    let name = &listing.name;
    free_name(name)
}

/// The names of the slots as fields of a named tuple, which must not begin with an underscore.
pub(super) fn fields(listing: &Listing) -> Vec<String> {
    let field = |slot: &String| {
        let mut name = if slot.starts_with('_') { format!("slot{slot}") } else { slot.clone() };
        while name != *slot && listing.slots.contains(&name) {
            name.push('_');
        }
        name
    };
    listing.slots.iter().map(field).collect()
}

fn split_in_two(listing: &Listing, part: &Listing, decays: bool) -> String {
    let name = function_name(listing);
    let scale_by = format!("scale_by_{}", listing.name);
    let used: Vec<&ScalarParameter> =
        part.hyperparameters.iter().filter(|p| part.reads(&p.name)).collect();
    let mut text = Transformation {
        listing: part,
        state: format!("ScaleBy{}State", class_name(listing)),
        masks: false,
        sign: "",
    }
    .text(
        &scale_by,
        &used,
        &format!(
            "The direction of `{}`: its update without learning rate{}.",
            listing.name,
            if decays { " and weight decay" } else { "" }
        ),
    );
    text += "\n\n";
    let aliases = python::aliases(listing, OPTAX_NAMES);
    text += &signature(
        &name,
        listing.learning_rate.iter().chain(&listing.hyperparameters),
        decays,
        !part.slots.is_empty(),
        &aliases,
    );
    text += &docs(
        listing,
        &format!("`{}` as a whole; its updates are what is added to the weights.", listing.name),
        decays,
    );
    text += &python::take_aliases(4, &aliases);
    let mut inner: Vec<String> = used.iter().map(|p| p.name.clone()).collect();
    if !part.slots.is_empty() {
        inner.push("mu_dtype".to_owned());
    }
    let unchecked: Vec<ScalarParameter> = listing
        .learning_rate
        .iter()
        .chain(&listing.hyperparameters)
        .filter(|parameter| !used.iter().any(|used| used.name == parameter.name))
        .map(as_argument)
        .collect();
    text += &python::range_checks(4, unchecked.iter(), true);
    text += "    return optax.chain(\n";
    text += &bracketed(8, &format!("{scale_by}("), &inner, "),");
    if decays {
        text += "        optax.add_decayed_weights(weight_decay, mask),\n";
    }
    text += "        optax.scale_by_learning_rate(learning_rate),\n    )\n";
    text
}

/// The head of a function that makes a transformation.
fn signature<'a>(
    name: &str,
    scalars: impl Iterator<Item = &'a ScalarParameter>,
    masks: bool,
    has_slots: bool,
    aliases: &[(ScalarParameter, &str)],
) -> String {
    let mut parameters: Vec<String> = scalars.map(|p| python::parameter(&as_argument(p))).collect();
    parameters.extend(masks.then(|| "mask=None".to_owned()));
    parameters.extend(has_slots.then(|| "mu_dtype=None".to_owned()));
    if !aliases.is_empty() {
        parameters.push("*".to_owned());
        parameters.extend(aliases.iter().map(|(_, alias)| format!("{alias}=None")));
    }
    bracketed(0, &format!("def {name}("), &parameters, "):")
}

/// Names in programs and in Optax, where these differ.
const OPTAX_NAMES: &[(&str, &str)] = &[
    ("beta1", "b1"),
    ("beta2", "b2"),
    ("beta3", "b3"),
    ("epsilon", "eps"),
    ("momentum_decay", "momentum"),
    ("beta", "momentum"),
];

/// A parameter as Optax calls it.
fn as_argument(parameter: &ScalarParameter) -> ScalarParameter {
    let name =
        if parameter.given == "lr" { "learning_rate".to_owned() } else { parameter.name.clone() };
    ScalarParameter { name, ..parameter.clone() }
}

/// The doc string of a function that makes a transformation.
fn docs(listing: &Listing, title: &str, masks: bool) -> String {
    let mut lines = Vec::new();
    if listing.learning_rate.is_some() {
        lines.push(
            "learning_rate: a number, or a schedule: a function of the number of steps so far."
                .to_owned(),
        );
    }
    let names: Vec<&str> = listing.hyperparameters.iter().map(|p| p.name.as_str()).collect();
    if !names.is_empty() {
        lines.push(format!("{}: as in the program.", names.join(", ")));
    }
    if masks {
        lines.push(
            "mask: where to decay, as in `optax.add_decayed_weights`; None is everywhere."
                .to_owned(),
        );
    }
    if !listing.slots.is_empty() {
        lines.push(
            "mu_dtype: the type that the slots are stored in; None is that of the weights."
                .to_owned(),
        );
    }
    let title = python::wrapped_within(title, 4, 4, 6);
    if lines.is_empty() {
        return format!("    \"\"\"{}\"\"\"\n", title.trim_start());
    }
    let lines: String =
        lines.iter().map(|line| format!("{}\n", python::wrapped_within(line, 8, 12, 0))).collect();
    format!("    \"\"\"{}\n\n    Args:\n{lines}    \"\"\"\n", title.trim_start())
}

/// A program that is written out.
pub(super) struct Whole<'a> {
    listing: &'a Listing,
    masks: bool,
    /// The name of the function.
    pub(super) name: String,
}

impl<'a> Whole<'a> {
    pub(super) fn new(listing: &'a Listing) -> Whole<'a> {
        Whole { listing, masks: can_mask(listing), name: function_name(listing) }
    }

    /// The head of a function with the same parameters.
    pub(super) fn signature(&self, name: &str) -> String {
        let Whole { listing, masks, .. } = self;
        signature(
            name,
            listing.learning_rate.iter().chain(&listing.hyperparameters),
            *masks,
            !listing.slots.is_empty(),
            &[],
        )
    }

    /// The names of the parameters.
    pub(super) fn arguments(&self) -> Vec<String> {
        let scalars = self.listing.learning_rate.iter().chain(&self.listing.hyperparameters);
        let mut names: Vec<String> = scalars.map(|p| as_argument(p).name).collect();
        names.extend(self.masks.then(|| "mask".to_owned()));
        names.extend((!self.listing.slots.is_empty()).then(|| "mu_dtype".to_owned()));
        names
    }

    /// The state's class and the function.
    pub(super) fn text(&self) -> String {
        let Whole { listing, masks, name } = self;
        let used: Vec<&ScalarParameter> =
            listing.learning_rate.iter().chain(&listing.hyperparameters).collect();
        let title = format!("`{}`; its updates are what is added to the weights.", listing.name);
        Transformation {
            listing,
            state: format!("{}State", class_name(listing)),
            masks: *masks,
            sign: "-",
        }
        .text(name, &used, &title)
    }
}

/// Whether `weight_decay` can differ from array to array: it must not enter a sum over all of them.
fn can_mask(listing: &Listing) -> bool {
    let Some(decay) = listing.hyperparameters.iter().find(|p| p.given == WEIGHT_DECAY && p.used)
    else {
        return false;
    };
    let (dependent, last) = (listing.dependent_scalars(&decay.name), listing.stages.len() - 1);
    let is_read = |stage: usize| {
        listing.stage_reads(stage, &decay.name)
            || dependent.iter().any(|name| listing.stage_reads(stage, name))
    };
    // A name that is bound again could not be bound inside the function of a single array.
    let mut names: Vec<&str> = listing.learning_rate.iter().map(|p| p.name.as_str()).collect();
    names.extend(
        listing.stages.iter().flat_map(|stage| &stage.scalars).map(|line| line.name.as_str()),
    );
    let is_bound_once =
        dependent.iter().all(|name| names.iter().filter(|other| *other == name).count() == 1);
    is_bound_once
        && !(0..last).any(|stage| {
            is_read(stage)
                || listing.stages[stage].scalars.iter().any(|line| dependent.contains(&line.name))
        })
}

struct Transformation<'a> {
    listing: &'a Listing,
    state: String,
    masks: bool,
    /// Sign before the update: empty or `-`.
    sign: &'static str,
}

impl Transformation<'_> {
    fn text(&self, name: &str, parameters: &[&ScalarParameter], title: &str) -> String {
        let listing = self.listing;
        let has_rate = parameters.iter().any(|p| p.given == "lr");
        let keeps_state =
            !listing.slots.is_empty() || self.reads_step() || (has_rate && self.reads_rate());
        let mut text = String::new();
        if keeps_state {
            let _ = write!(text, "\n\nclass {}(NamedTuple):\n", self.state);
            text += "    \"\"\"The number of steps so far, and the slots as trees like the parameters.\"\"\"\n\n    count: jax.Array\n";
            fields(listing).iter().for_each(|field| text.push_str(&format!("    {field}: Any\n")));
        }
        text += "\n\n";
        let aliases = python::aliases(
            &Listing {
                hyperparameters: parameters.iter().map(|p| (*p).clone()).collect(),
                ..listing.clone()
            },
            OPTAX_NAMES,
        );
        text += &signature(
            name,
            parameters.iter().copied(),
            self.masks,
            !listing.slots.is_empty(),
            &aliases,
        );
        if has_rate {
            text += &docs(listing, title, self.masks);
        } else {
            text += &format!(
                "    \"\"\"{}\"\"\"\n",
                python::wrapped_within(title, 4, 4, 6).trim_start()
            );
        }
        text += &python::take_aliases(4, &aliases);
        let checked: Vec<ScalarParameter> =
            parameters.iter().map(|parameter| as_argument(parameter)).collect();
        text += &python::range_checks(4, checked.iter(), true);
        text += "\n    def init_fn(params):\n";
        if keeps_state {
            self.write_init(&mut text);
        } else {
            text += "        del params\n        return optax.EmptyState()\n";
        }
        text += "\n    def update_fn(updates, state, params=None, **extra_args):\n        del extra_args\n";
        self.write_update(&mut text, keeps_state);
        text += "\n    return optax.GradientTransformationExtraArgs(init_fn, update_fn)\n";
        text
    }

    fn reads_step(&self) -> bool {
        self.listing.step.as_ref().is_some_and(|p| p.used && self.listing.reads(&p.name))
    }

    fn reads_rate(&self) -> bool {
        self.listing.learning_rate.as_ref().is_some_and(|p| p.used)
    }

    fn write_init(&self, text: &mut String) {
        let mut items = vec!["count=jnp.zeros([], jnp.int32)".to_owned()];
        items.extend(fields(self.listing).iter().map(|field| format!("{field}=zeros()")));
        if self.listing.slots.is_empty() {
            *text += "        del params\n";
        } else {
            *text += "        jax.tree.map(_wide, params)\n\n        def zeros():\n            return jax.tree.map(lambda w: jnp.zeros_like(w, mu_dtype), params)\n\n";
        }
        *text += &bracketed(8, &format!("return {}(", self.state), &items, ")");
    }

    fn write_update(&self, text: &mut String, keeps_state: bool) {
        let listing = self.listing;
        let notation = JaxNotation::new(listing);
        let last = listing.stages.len() - 1;
        let reads_weights = (0..=last).any(|stage| listing.stage_reads(stage, &listing.weights));
        if reads_weights || self.masks {
            *text += "        if params is None:\n";
            let message = format!("\"{} reads the weights: pass params to update\"", listing.name);
            *text += &bracketed(12, "raise ValueError(", &[message], ")");
        } else {
            *text += "        del params\n";
        }
        if keeps_state {
            *text += "        count = optax.safe_increment(state.count)\n";
        }
        if self.reads_step() {
            let name = listing.step.as_ref().map_or("t", |p| p.name.as_str());
            let _ = writeln!(text, "        {name} = count * 1.0");
        }
        if let (true, Some(rate)) =
            (self.reads_rate() && !self.sign.is_empty(), &listing.learning_rate)
        {
            let name = &rate.name;
            let _ = writeln!(
                text,
                "        {name} = learning_rate\n        if callable({name}):\n            {name} = {name}(state.count)"
            );
        }
        if self.masks {
            *text += "        decays = _masked(weight_decay, mask, params)\n";
        }
        for (stage, content) in listing.stages.iter().enumerate() {
            let inside = if self.masks && stage == last {
                listing.dependent_scalars(WEIGHT_DECAY)
            } else {
                Vec::new()
            };
            let (within, before): (Vec<&Line>, Vec<&Line>) =
                content.scalars.iter().partition(|line| inside.contains(&line.name));
            before.into_iter().for_each(|line| notation.assign(text, 8, line));
            if stage < last {
                self.write_sums(text, stage);
            } else {
                self.write_step(text, &within, reads_weights);
            }
        }
        if keeps_state {
            let mut items = vec!["count=count".to_owned()];
            items.extend(
                fields(listing)
                    .iter()
                    .zip(&listing.slots)
                    .map(|(field, slot)| format!("{field}={slot}")),
            );
            let one = format!("        return updates, {}({})\n", self.state, items.join(", "));
            if one.trim_end().chars().count() <= python::WIDTH {
                *text += &one;
            } else {
                *text += &bracketed(8, &format!("state = {}(", self.state), &items, ")");
                *text += "        return updates, state\n";
            }
        } else {
            *text += "        return updates, state\n";
        }
    }

    fn write_sums(&self, text: &mut String, stage: usize) {
        let listing = self.listing;
        let notation = JaxNotation::new(listing);
        let content = &listing.stages[stage];
        content.sums.iter().for_each(|sum| text.push_str(&format!("        {} = 0.0\n", sum.name)));
        let (mut names, mut trees) = (vec![listing.gradients.clone()], vec!["updates".to_owned()]);
        if listing.stage_reads(stage, &listing.weights) {
            names.push(listing.weights.clone());
            trees.push("params".to_owned());
        }
        for (slot, field) in listing
            .slots
            .iter()
            .zip(fields(listing))
            .filter(|(slot, _)| listing.stage_reads(stage, slot))
        {
            names.push(slot.clone());
            trees.push(format!("state.{field}"));
        }
        let names = if names.len() == 1 { format!("[{}]", names[0]) } else { names.join(", ") };
        *text += &bracketed(8, &format!("for {names} in _leaves("), &trees, "):");
        let mut body = String::new();
        content.lines.iter().for_each(|line| notation.assign(&mut body, 12, line));
        content.sums.iter().for_each(|sum| {
            body.push_str(&format!("            {} += {}\n", sum.name, notation.product(sum)))
        });
        *text += &self.with_shape(&body);
    }

    fn write_step(&self, text: &mut String, scalars: &[&Line], reads_weights: bool) {
        let listing = self.listing;
        let Some(stage) = listing.stages.last() else { return };
        let notation = JaxNotation::new(listing);
        let mut parameters = vec![listing.gradients.clone()];
        let mut trees = Vec::new();
        if reads_weights {
            parameters.push(listing.weights.clone());
            trees.push("params".to_owned());
        }
        if self.masks {
            parameters.push(WEIGHT_DECAY.to_owned());
        }
        parameters.extend(listing.slots.iter().cloned());
        text.push('\n');
        *text += &bracketed(8, "def step(", &parameters, "):");
        let mut body = String::new();
        scalars
            .iter()
            .copied()
            .chain(&stage.lines)
            .for_each(|line| notation.assign(&mut body, 12, line));
        let mut results = vec![match self.sign {
            "" => written(&notation, &listing.update),
            sign => {
                format!("{sign}{}", written_within(&notation, &listing.update, Level::Negative))
            }
        }];
        for (index, value) in listing.next_slots.iter().enumerate() {
            results.push(match value {
                // Two trees must not share a buffer: it could not be donated.
                Expression::Name(name, _) if self.is_shared(name, index) => {
                    format!("jnp.copy({name})")
                }
                value => written(&notation, value),
            });
        }
        let one = format!(
            "            return {}",
            if results.len() == 1 { format!("[{}]", results[0]) } else { results.join(", ") }
        );
        if one.chars().count() <= python::WIDTH {
            body += &format!("{one}\n");
        } else if results.len() == 1 {
            // In round brackets a single result would be no sequence of one.
            body += &bracketed(12, "return [", &results, "]");
        } else {
            body += &bracketed(12, "return (", &results, ")");
        }
        *text += &self.with_shape(&body);
        let mut arguments = vec!["step".to_owned(), "updates".to_owned()];
        let old: Vec<String> =
            fields(listing).iter().map(|field| format!("state.{field}")).collect();
        arguments.push(format!("[{}]", old.join(", ")));
        arguments.extend(trees);
        arguments.extend(self.masks.then(|| "numbers=[decays]".to_owned()));
        let target = if listing.slots.is_empty() {
            "_".to_owned()
        } else {
            format!("[{}]", listing.slots.join(", "))
        };
        text.push('\n');
        *text += &bracketed(8, &format!("updates, {target} = _step("), &arguments, ")");
    }

    /// Returns the body of a function of an array, after a line that binds the shape if the body
    /// reads it.
    fn with_shape(&self, body: &str) -> String {
        let shape = if python::calls(body, "shape") {
            format!("            shape = {}.shape\n", self.listing.gradients)
        } else {
            String::new()
        };
        shape + body
    }

    /// Whether the next value of a slot is an array that stands elsewhere too.
    fn is_shared(&self, name: &str, index: usize) -> bool {
        let listing = self.listing;
        let is_line = listing
            .stages
            .last()
            .is_some_and(|stage| stage.lines.iter().any(|line| line.name == name));
        let is_name =
            |value: &Expression| matches!(value, Expression::Name(other, _) if other == name);
        let own = listing.slots[index] == name && !is_line;
        let update = self.sign.is_empty() && is_name(&listing.update);
        !own && (!is_line || update || listing.next_slots[..index].iter().any(is_name))
    }
}
