//! A program as a NumPy class: the plain reference among the exports.
//!
//! Arrays keep their type; what is smaller than f32 is computed in f32 and rounded as it is stored.
//! Each array counts its own steps. Scalars are Python floats, which NumPy rounds where they meet
//! an array, as the reference interpreter does. Sums over elements are taken in f64.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::LazyLock;

use symopt_dsl::{Function, Graph, Profile, Program, Type};

use crate::listing::{
    Callee, Expression, Line, Listing, ListingOptions, ScalarParameter, UNDERSCORED,
};
use crate::notation::{Level, Notation, written, written_within};
use crate::python::{self, bracketed, class_name, helpers};
use crate::runtime::{self, Helpers};
use crate::spelling::{lacks_row, spelling};

/// Names that the file itself uses.
const RESERVED: &[&str] = &[
    "np",
    "weights",
    "gradients",
    "index",
    "array",
    "gradient",
    "dtype",
    "step",
    "TypeError",
    UNDERSCORED,
];

/// Helpers for Python floats, for files whose other helpers are for the tensors of a library.
pub(super) static OF_FLOATS: Helpers =
    LazyLock::new(|| runtime::helpers(include_str!("../../runtime/numpy/floats.py")));

static HELPERS: Helpers = LazyLock::new(|| {
    let divide = OF_FLOATS.iter().filter(|(name, _)| *name == "_divide").copied();
    divide.chain(runtime::helpers(include_str!("../../runtime/numpy/helpers.py"))).collect()
});

/// How NumPy writes expressions, with scalars as Python floats.
pub(super) struct NumpyNotation;

/// How a function of Python floats alone is written in the file of another library.
pub(super) fn of_floats(function: Function) -> Option<Cow<'static, str>> {
    let text = NumpyNotation.spelling(Callee::Function(function), Type::Scalar)?;
    // The name of the helper itself is the library's own, so that of floats differs.
    match text.strip_prefix("float(_").and_then(|rest| rest.strip_suffix(')')) {
        Some(helper) => Some(format!("_float_{helper}").into()),
        None => Some(text),
    }
}

impl Notation for NumpyNotation {
    fn spelling(&self, callee: Callee, ty: Type) -> Option<Cow<'static, str>> {
        match callee {
            Callee::ClipFactor => Some("_clip_factor({x}, {y})".into()),
            Callee::Spread => {
                Some(if ty.is_array() { "np.full_like({y}, {x})" } else { "{x}" }.into())
            }
            Callee::Function(
                function @ (Function::Norm
                | Function::Mean
                | Function::Size
                | Function::Rows
                | Function::Columns),
            ) => spelling(function).map(|row| row.numpy.into()),
            // A product of the parameters' shape is an array of theirs again.
            Callee::Function(Function::Matmul) if ty == Type::Tree => {
                Some("_matmul({x}, {y}).reshape(WEIGHTS.shape)".into())
            }
            Callee::Function(Function::Transpose) if ty == Type::Tree => {
                Some("_transpose({x}).reshape(WEIGHTS.shape)".into())
            }
            Callee::Function(function)
                if !ty.is_array() && function.row().profile == Profile::Select =>
            {
                Some(
                    match function {
                        Function::Less => "{x!} < {y!}",
                        Function::LessEqual => "{x!} <= {y!}",
                        Function::Greater => "{x!} > {y!}",
                        Function::GreaterEqual => "{x!} >= {y!}",
                        Function::Equal => "{x!} == {y!}",
                        _ => "{y} if {x} else {z}",
                    }
                    .into(),
                )
            }
            Callee::Function(function) => {
                let text = spelling(function)?.numpy;
                // A NumPy scalar, unlike a float, would turn the arrays that it meets into f64.
                Some(if ty.is_array() { text.into() } else { format!("float({text})").into() })
            }
        }
    }

    fn operator(
        &self,
        function: Function,
        ty: Type,
        arguments: &[Expression],
    ) -> Option<Cow<'static, str>> {
        // Python raises where a float is divided by zero.
        match (function, arguments) {
            (Function::Divide, [_, Expression::Number(divisor)]) if *divisor != 0.0 => None,
            (Function::Divide, _) if !ty.is_array() => Some("_divide({x}, {y})".into()),
            (Function::Reciprocal, _) if !ty.is_array() => Some("_divide(1, {x})".into()),
            _ => None,
        }
    }
}

/// Why NumPy can't express a function, if it can't.
pub fn lacks(function: Function) -> Option<String> {
    lacks_row(function, |row| row.numpy, &HELPERS)
}

/// The file. `graph` must be the program's own.
pub fn file(program: &Program, graph: &Graph) -> String {
    let reserved: Vec<&str> = RESERVED.iter().chain(python::KEYWORDS).copied().collect();
    let options = ListingOptions { reserved: &reserved, rebind: true, array_sums_inside: true };
    let listing = Listing::with_own_steps(program, graph, options, "");
    let class = class(&listing);
    let head = python::head(
        &listing,
        "NumPy: one step after another on a list of arrays, which are updated in place.",
    );
    format!("{head}\nimport numpy as np\n{}\n\n{class}", helpers(&class, &HELPERS))
}

fn class(listing: &Listing) -> String {
    let mut text = format!("class {}:\n", class_name(listing));
    text += "    \"\"\"Updates a list of arrays in place: `optimizer.step(gradients)`.\"\"\"\n\n";
    let scalars: Vec<&ScalarParameter> = listing.hyperparameters.iter().collect();
    let rate = listing.learning_rate.iter();
    let mut parameters = vec!["self".to_owned(), "weights".to_owned()];
    parameters.extend(rate.clone().map(python::parameter));
    if !scalars.is_empty() {
        parameters.push("*".to_owned());
        parameters.extend(scalars.iter().map(|p| python::parameter(p)));
    }
    text += &bracketed(4, "def __init__(", &parameters, "):");
    text += &python::range_checks(8, rate.clone().chain(scalars.iter().copied()), false);
    text += "        for array in weights:\n";
    text +=
        "            # Types with other names than `float`, such as bfloat16, are of the kind V.\n";
    text += "            if array.dtype.kind not in \"fV\":\n";
    let message = "f\"an array of {array.dtype}: train its real numbers as floats\"".to_owned();
    text += &bracketed(16, "raise TypeError(", &[message], ")");
    text += "        self.weights = weights\n";
    for parameter in rate.clone().chain(scalars.iter().copied()) {
        let _ = writeln!(text, "        self.{0} = {0}", parameter.name);
    }
    for parameter in listing.step.iter().filter(|step| step.used) {
        let _ = writeln!(text, "        self.{} = [0 for _ in weights]", parameter.name);
    }
    for slot in &listing.slots {
        let _ = writeln!(text, "        self.{slot} = [np.zeros_like(array) for array in weights]");
    }
    text += "\n    def step(self, gradients):\n        \"\"\"One step: for each of the weights a gradient, or None to leave it.\"\"\"\n";
    for parameter in rate.chain(scalars).filter(|p| p.used) {
        // A number of NumPy's own would turn the arrays that it meets into f64.
        let _ = writeln!(text, "        {0} = float(self.{0})", parameter.name);
    }
    text +=
        "        # NaN and infinities are values, as in NumPy itself, but without its warnings.\n";
    text += "        with np.errstate(all=\"ignore\"):\n";
    let by_array = listing.scalars_by_array("");
    (0..listing.stages.len()).for_each(|stage| write_stage(&mut text, listing, stage, &by_array));
    text.replace(WEIGHTS, &listing.weights)
}

/// The spellings stand for the name of the weights.
const WEIGHTS: &str = "WEIGHTS";

fn write_stage(text: &mut String, listing: &Listing, place: usize, by_array: &[String]) {
    let (stage, is_last) = (&listing.stages[place], place + 1 == listing.stages.len());
    let assign = |text: &mut String, margin: usize, line: &Line| {
        *text += &python::assignment(margin, &line.name, &written(&NumpyNotation, &line.value));
    };
    stage
        .scalars
        .iter()
        .filter(|line| !by_array.contains(&line.name))
        .for_each(|line| assign(text, 12, line));
    for sum in &stage.sums {
        let _ = writeln!(text, "            {} = 0.0", sum.name);
    }
    let count = listing.step.as_ref().filter(|step| step.used).map(|step| step.name.as_str());
    let margin = " ".repeat(16);
    let mut body = String::new();
    // The arrays that this stage reads; the weights and the slots are written in the last one.
    let mut bind = |name: &str, value: &str| {
        let _ = writeln!(body, "{margin}{name} = np.asarray({value}, dtype)");
    };
    if is_last || listing.stage_reads(place, &listing.weights) {
        bind(&listing.weights, "array");
    }
    if listing.stage_reads(place, &listing.gradients) {
        bind(&listing.gradients, "gradient");
    }
    for slot in listing.slots.iter().filter(|slot| listing.stage_reads(place, slot)) {
        bind(slot, &format!("self.{slot}[index]"));
    }
    if let Some(step) = count.filter(|step| listing.reads_by_array(place, by_array, step)) {
        let _ = writeln!(body, "{margin}{step} = self.{step}[index] + 1.0");
    }
    let lines = listing.lines_by_array(place, by_array).into_iter().chain(&stage.lines);
    lines.for_each(|line| assign(&mut body, 16, line));
    for sum in &stage.sums {
        let (x, y) = (written(&NumpyNotation, &sum.x), written(&NumpyNotation, &sum.y));
        if sum.is_of_trees() {
            let _ = writeln!(body, "{margin}{} += _dot({x}, {y})", sum.name);
        } else {
            let product = Expression::Call(
                Callee::Function(Function::Multiply),
                Type::PerArray,
                vec![sum.x.clone(), sum.y.clone()],
            );
            let _ = writeln!(body, "{margin}{} += {}", sum.name, written(&NumpyNotation, &product));
        }
    }
    let is_line = |name: &str| stage.lines.iter().any(|line| line.name == name);
    if is_last {
        for (slot, value) in listing.slots.iter().zip(&listing.next_slots) {
            let make = match value {
                Expression::Name(name, _) if name == slot && !is_line(name) => continue,
                // Another array of the step's must not become the slot's own.
                Expression::Name(name, _) if !is_line(name) => "np.array",
                _ => "np.asarray",
            };
            body += &python::assignment(
                16,
                &format!("self.{slot}[index]"),
                &format!("{make}({}, array.dtype)", written(&NumpyNotation, value)),
            );
        }
        if let Some(step) = count {
            let _ = writeln!(body, "{margin}self.{step}[index] += 1");
        }
        let (weights, update) =
            (&listing.weights, written_within(&NumpyNotation, &listing.update, Level::Product));
        body += &python::assignment(16, "array[...]", &format!("{weights} - {update}"));
    }
    let (head, values) = ("array, gradient", "zip(self.weights, gradients, strict=True)");
    if body.contains("[index]") {
        let one = format!("            for index, ({head}) in enumerate({values}):\n");
        if one.trim_end().chars().count() <= python::WIDTH {
            *text += &one;
        } else {
            *text += &bracketed(
                12,
                &format!("for index, ({head}) in enumerate("),
                &[values.to_owned()],
                "):",
            )
            .replace(",\n            ):", "\n            ):");
        }
    } else {
        let _ = writeln!(text, "            for {head} in {values}:");
    }
    let _ = writeln!(text, "{margin}if gradient is None:\n{margin}    continue");
    if python::calls(&body, "dtype") {
        let _ = writeln!(text, "{margin}dtype = np.promote_types(array.dtype, np.float32)");
    }
    *text += &body;
}
