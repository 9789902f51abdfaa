//! A program as a PyTorch optimizer: a subclass of `torch.optim.Optimizer`.
//!
//! | module | what it holds |
//! |---|---|
//! | [`operations`] | a step as single operations on arrays, and the arrays that they write |
//! | [`eager`] | how PyTorch runs them: tensor by tensor, or on lists of tensors |
//! | [`kernel`] | the same step as a Triton kernel |
//! | [`plain`] | the same step as a file that a person might have written |
//! | [`names`] | what users of PyTorch call hyperparameters and slots |
//! | [`text`] | what all files have in common |
//!
//! Roundings are those of the reference interpreter: the program's order, no fused multiply-adds
//! (so no `alpha=`, `lerp` or `addcmul`, which fuse on some machines and not on others), scalars in
//! f64 that are rounded where they meet a tensor. All ways to run a step give the same bits where
//! the functions of PyTorch do, with these exceptions.
//! - PyTorch's `sign` gives 0 for NaN, on CPU and CUDA, where the reference gives NaN. To keep it
//!   would cost two more operations; the Triton kernel does as `torch.sign`, so that an optimizer
//!   is the same one on all paths. A zero has the positive sign after it.
//! - PyTorch's `sqrt` of longer tensors on CPU comes from a vector library and is not always the
//!   nearest f32: 33 of 5000 random numbers were one unit in the last place off (PyTorch 2.15 with
//!   AVX-512). The kernel's is.
//! - `maximum` and `minimum` of zeros of either sign may give either zero.
//! - Transcendental functions are those of the device: within a few units in the last place of the
//!   reference's.
//! - A compiled step computes what Inductor makes of it, which may fuse multiply-adds.
//! - Products of matrices are summed in f64 in an order of the library's, as means are, and rounded
//!   once; `PRODUCTS` in the file makes it another type.
//! - Parameters in bf16 and f16 are computed with in f32, and rounded as they are written. f64
//!   stays f64.

pub mod eager;
pub mod kernel;
pub mod names;
pub mod operations;
pub mod plain;
pub mod text;

use std::collections::BTreeSet;
use std::fmt::Write;

use symopt_dsl::{Function, Graph, Program, Type};

use self::eager::{Eager, EagerNotation, OUT, Style, scratch_to_give};
use self::names::Names;
use self::operations::{Flattening, Operations, Value, allocate};
use crate::listing::{Callee, Expression, Line, Listing, ListingOptions, ScalarParameter, Stage};
use crate::notation::written;
use crate::python::{self, bracketed, calls, class_name, helpers};
use crate::runtime::{after_head, filled};

/// Names that the file itself uses.
const RESERVED: &[&str] = &[
    "torch",
    "operator",
    "os",
    "threading",
    "Any",
    "Callable",
    "NamedTuple",
    "Sequence",
    "Tensor",
    "Tensors",
    "ParamsT",
    "group",
    "totals",
    "tensor",
    "scratch",
    OUT,
];

/// Why PyTorch can't express a function; it can express all.
pub fn lacks(_function: Function) -> Option<String> {
    None
}

/// The file. `graph` must be the program's own.
pub fn file(program: &Program, graph: &Graph) -> String {
    let own: Vec<String> = program
        .signature()
        .parameters
        .iter()
        .flat_map(|p| {
            [
                format!("{}_pointers", p.name),
                format!("next_{}", p.name),
                format!("update_of_{}", p.name),
                format!("{}_before", p.name),
            ]
        })
        .chain((2..64).map(|number| format!("scratch{number}")))
        .collect();
    let reserved: Vec<&str> = RESERVED
        .iter()
        .chain(kernel::RESERVED)
        .chain(python::KEYWORDS)
        .copied()
        .chain(text::HELPERS.iter().map(|(name, _)| *name))
        .chain(own.iter().map(String::as_str))
        .collect();
    let mut listing = Listing::new(
        program,
        graph,
        ListingOptions { reserved: &reserved, rebind: false, array_sums_inside: false },
    );
    let names = Names::new(program, graph, &listing);
    hoist_scalars(&mut listing);
    let writer = Writer {
        listing: &listing,
        names: &names,
        takes_complex: graph.matrix_function().is_none(),
    };
    let last = listing.stages.len() - 1;
    let with_kernel = kernel::exists(&listing);
    let mut functions = String::new();
    for stage in 0..last {
        functions += &format!("\n\n{}", writer.numbers(stage));
        functions += &format!("\n\n{}", writer.sums(stage));
    }
    functions += &format!("\n\n{}", writer.numbers(last));
    for style in [Style::Single, Style::Foreach] {
        functions += &format!("\n\n{}", writer.update(style));
    }
    let (imports, definitions) = if with_kernel {
        kernel::definitions(&listing, &writer.read(last).0)
    } else {
        <_>::default()
    };
    let machinery = writer.machinery(with_kernel);
    let class = writer.class(with_kernel);
    let all = format!("{functions}{machinery}{class}");
    let helpers = helpers(&all, &text::HELPERS);
    let callable = if calls(&format!("{all}{helpers}"), "Callable") { "Callable, " } else { "" };
    let standard = format!(
        "{}from collections.abc import {callable}Sequence\nfrom typing import Any, NamedTuple\n",
        if with_kernel { "import operator\nimport os\nimport threading\n" } else { "" }
    );
    let imports = if imports.is_empty() { String::new() } else { format!("\n{imports}") };
    let definitions =
        if definitions.is_empty() { String::new() } else { format!("\n\n{definitions}") };
    let basics = writer.basics();
    format!(
        "{}\n{standard}\nimport torch\nfrom torch import Tensor\nfrom torch.optim.optimizer import ParamsT\n{imports}{basics}{helpers}{functions}{definitions}{machinery}\n\n{class}",
        writer.head(with_kernel)
    )
}

/// Gives each scalar that is computed inside the expression of an array a line of its own: it is
/// computed once, and in f64.
fn hoist_scalars(listing: &mut Listing) {
    let mut taken: BTreeSet<String> =
        listing.slots.iter().chain([&listing.weights, &listing.gradients]).cloned().collect();
    taken.extend(
        listing
            .learning_rate
            .iter()
            .chain(&listing.step)
            .chain(&listing.hyperparameters)
            .map(|p| p.name.clone()),
    );
    for Stage { scalars, lines, sums } in &listing.stages {
        taken.extend(
            scalars
                .iter()
                .chain(lines)
                .map(|line| line.name.clone())
                .chain(sums.iter().map(|sum| sum.name.clone())),
        );
    }
    let mut hoisted = Hoisted { lines: Vec::new(), taken };
    for stage in &mut listing.stages {
        let known = hoisted.lines.len();
        stage.lines.iter_mut().for_each(|line| hoisted.within(&mut line.value));
        stage.sums.iter_mut().for_each(|sum| {
            [&mut sum.x, &mut sum.y].into_iter().for_each(|factor| hoisted.within(factor))
        });
        stage.scalars.extend_from_slice(&hoisted.lines[known..]);
    }
    let known = hoisted.lines.len();
    listing
        .next_slots
        .iter_mut()
        .chain([&mut listing.update])
        .for_each(|value| hoisted.within(value));
    if let Some(last) = listing.stages.last_mut() {
        last.scalars.extend_from_slice(&hoisted.lines[known..]);
    }
}

/// Scalars that have got a line of their own.
struct Hoisted {
    lines: Vec<Line>,
    taken: BTreeSet<String>,
}

impl Hoisted {
    fn within(&mut self, expression: &mut Expression) {
        match expression {
            Expression::Call(_, Type::Scalar, _) => {
                let name = self.name(expression);
                *expression = Expression::Name(name, Type::Scalar);
            }
            Expression::Call(.., arguments) => {
                arguments.iter_mut().for_each(|argument| self.within(argument))
            }
            Expression::Name(..) | Expression::Number(_) => {}
        }
    }

    fn name(&mut self, value: &Expression) -> String {
        if let Some(line) = self.lines.iter().find(|line| line.value == *value) {
            return line.name.clone();
        }
        let base = match value {
            Expression::Call(Callee::Function(Function::Subtract), _, arguments) => {
                match arguments.as_slice() {
                    [Expression::Number(one), Expression::Name(name, _)] if *one == 1.0 => {
                        format!("one_minus_{name}")
                    }
                    _ => "number".to_owned(),
                }
            }
            _ => "number".to_owned(),
        };
        let mut name = base.clone();
        let mut count = 1;
        while !self.taken.insert(name.clone()) {
            count += 1;
            name = format!("{base}{count}");
        }
        self.lines.push(Line { name: name.clone(), value: value.clone() });
        name
    }
}

struct Writer<'a> {
    listing: &'a Listing,
    names: &'a Names,
    /// Whether parameters may be complex: they are pairs of real numbers, which matrices can't be
    /// of.
    takes_complex: bool,
}

/// The names in an expression that are not of arrays: scalars, and numbers for each array.
fn names(expression: &Expression, found: &mut Vec<(String, Type)>) {
    match expression {
        Expression::Name(name, ty)
            if !ty.is_array() && !found.iter().any(|(known, _)| known == name) =>
        {
            found.push((name.clone(), *ty))
        }
        Expression::Call(.., arguments) => {
            arguments.iter().for_each(|argument| names(argument, found))
        }
        _ => {}
    }
}

impl Writer<'_> {
    fn is_last(&self, stage: usize) -> bool {
        stage + 1 == self.listing.stages.len()
    }

    /// The scalars and the numbers for each array that the lines of a stage read from outside.
    fn read(&self, stage: usize) -> (Vec<String>, Vec<String>) {
        let Stage { lines, sums, .. } = &self.listing.stages[stage];
        let mut found = Vec::new();
        for line in lines {
            names(&line.value, &mut found);
        }
        for sum in sums {
            names(&sum.x, &mut found);
            names(&sum.y, &mut found);
        }
        if self.is_last(stage) {
            self.listing
                .next_slots
                .iter()
                .chain([&self.listing.update])
                .for_each(|value| names(value, &mut found));
        }
        found.retain(|(name, _)| !lines.iter().any(|line| line.name == *name));
        let of = |ty: Type| {
            found.iter().filter(|(_, own)| *own == ty).map(|(name, _)| name.clone()).collect()
        };
        (of(Type::Scalar), of(Type::PerArray))
    }

    fn suffix(&self, stage: usize) -> String {
        if self.is_last(stage) { String::new() } else { format!("_{}", stage + 1) }
    }

    fn parameters(&self) -> impl Iterator<Item = &ScalarParameter> {
        self.listing.learning_rate.iter().chain(&self.listing.hyperparameters)
    }

    fn totals(&self) -> impl Iterator<Item = &str> {
        self.listing.stages.iter().flat_map(|stage| &stage.sums).map(|sum| sum.name.as_str())
    }

    fn notation(&self) -> EagerNotation<'_> {
        EagerNotation { weights: &self.listing.weights }
    }

    /// `_numbers`: what a stage reads that is no array.
    fn numbers(&self, stage: usize) -> String {
        let notation = self.notation();
        let (scalars, per_array) = self.read(stage);
        let mut needed: BTreeSet<String> = scalars.iter().cloned().collect();
        let mut lines: Vec<&Line> = Vec::new();
        for line in self.listing.stages[..=stage].iter().flat_map(|stage| &stage.scalars).rev() {
            if needed.contains(&line.name) {
                lines.push(line);
                let mut found = Vec::new();
                names(&line.value, &mut found);
                needed.extend(found.into_iter().map(|(name, _)| name));
            }
        }
        let reads_totals =
            self.totals().any(|total| needed.contains(total)) || !per_array.is_empty();
        let step = self.listing.step.iter().filter(|step| needed.contains(&step.name));
        let read: Vec<String> = self
            .parameters()
            .zip(&self.names.places)
            .filter(|(parameter, _)| needed.contains(&parameter.name))
            .map(|(p, place)| format!("    {} = _number({})\n", p.name, place.read()))
            .chain(step.map(|step| format!("    {0} = _number(totals[\"{0}\"])\n", step.name)))
            .collect();
        let mut text = format!(
            "def _numbers{}(group: dict[str, Any], totals: dict[str, Any]) -> tuple[Any, Any]:\n",
            self.suffix(stage)
        );
        let _ = writeln!(
            text,
            "    \"\"\"{}\"\"\"",
            if self.is_last(stage) {
                "The numbers that an update reads."
            } else {
                "The numbers that the sums read."
            }
        );
        text += &read.concat();
        if reads_totals {
            for total in self.totals().filter(|total| needed.contains(*total)) {
                let _ = writeln!(text, "    {total} = totals[\"{total}\"]");
            }
        }
        for line in lines.iter().rev() {
            let _ = writeln!(text, "    {} = {}", line.name, written(&notation, &line.value));
        }
        let own: Vec<String> = per_array.iter().map(|name| format!("totals[\"{name}\"]")).collect();
        let tuple = |items: &[String]| match items {
            [] => "()".to_owned(),
            [one] => format!("({one},)"),
            items => format!("({})", items.join(", ")),
        };
        let one = format!("    return {}, {}\n", tuple(&scalars), tuple(&own));
        text += &if one.chars().count() <= python::WIDTH + 1 {
            one
        } else {
            let lines: String = scalars.iter().map(|name| format!("        {name},\n")).collect();
            format!("    scalars = (\n{lines}    )\n    return scalars, {}\n", tuple(&own))
        };
        text
    }

    fn arrays(&self) -> Vec<String> {
        [&self.listing.weights, &self.listing.gradients]
            .into_iter()
            .chain(&self.listing.slots)
            .cloned()
            .collect()
    }

    /// The parameters of a function of a stage, with their types.
    fn signature(&self, stage: usize, style: Style, out: bool) -> Vec<String> {
        let (scalars, per_array) = self.read(stage);
        let (array, number) =
            if style == Style::Single { ("Tensor", "float") } else { ("Tensors", "list[float]") };
        let of = |names: Vec<String>, ty: &str| {
            names.into_iter().map(|name| format!("{name}: {ty}")).collect::<Vec<_>>()
        };
        let out = out.then(|| format!("{OUT}: Sequence[Tensor | None]"));
        of(self.arrays(), array)
            .into_iter()
            .chain(out)
            .chain(of(scalars, "float"))
            .chain(of(per_array, number))
            .collect()
    }

    /// `_sums_1` and so on: the sums of a stage over one array.
    fn sums(&self, stage: usize) -> String {
        let notation = self.notation();
        let Stage { lines, sums, .. } = &self.listing.stages[stage];
        let mut flattening = Flattening::new(self.listing, &notation);
        lines.iter().for_each(|line| flattening.line(line));
        let factors: Vec<Option<Vec<Value>>> =
            sums.iter().map(|sum| sum.is_of_trees().then(|| flattening.factors(sum))).collect();
        let operations = flattening.finish();
        let results: Vec<Value> = factors.iter().flatten().flatten().copied().collect();
        let allocation = allocate(&operations.operations, &[], &results);
        let eager = Eager {
            listing: self.listing,
            operations: &operations,
            allocation: &allocation,
            style: Style::Single,
            given: Vec::new(),
        };
        let values: Vec<String> = sums
            .iter()
            .zip(&factors)
            .map(|(sum, factors)| match factors {
                Some(factors) => match factors.as_slice() {
                    [x, y] => format!("_dot({}, {})", eager.name(*x), eager.name(*y)),
                    factors => format!(
                        "_sum({})",
                        factors.iter().map(|x| eager.name(*x)).collect::<String>()
                    ),
                },
                None => {
                    let factors = vec![sum.x.clone(), sum.y.clone()];
                    written(
                        &notation,
                        &Expression::Call(
                            Callee::Function(Function::Multiply),
                            Type::PerArray,
                            factors,
                        ),
                    )
                }
            })
            .collect();
        let signature = self.signature(stage, Style::Single, false);
        let mut text = bracketed(
            0,
            &format!("def _sums{}(", self.suffix(stage)),
            &signature,
            ") -> list[Any]:",
        );
        let names: Vec<&str> = sums.iter().map(|sum| sum.name.as_str()).collect();
        let _ = writeln!(text, "    \"\"\"What one tensor adds to {}.\"\"\"", names.join(", "));
        text += &eager.body();
        text += &bracketed(4, "return [", &values, "]");
        text
    }

    /// The operations of the last stage, the update and the next values of the slots.
    fn last_stage(&self, notation: &EagerNotation) -> (Operations, Value, Vec<Value>) {
        let mut flattening = Flattening::new(self.listing, notation);
        self.listing
            .stages
            .iter()
            .skip(self.listing.stages.len() - 1)
            .flat_map(|stage| &stage.lines)
            .for_each(|line| flattening.line(line));
        let next_slots: Vec<Value> =
            self.listing.next_slots.iter().map(|value| flattening.array(value)).collect();
        let update = flattening.array(&self.listing.update);
        (flattening.finish(), update, next_slots)
    }

    /// `_update` and `_update_foreach`.
    fn update(&self, style: Style) -> String {
        let notation = self.notation();
        let (operations, update, next_slots) = self.last_stage(&notation);
        let allocation = allocate(&operations.operations, &next_slots, &[update]);
        let (name, doc, given) = match style {
            Style::Single => (
                "_update",
                "A step of one tensor, in place.",
                scratch_to_give(&operations.operations, &allocation),
            ),
            Style::Foreach => {
                ("_update_foreach", "A step of a list of tensors, in place.", Vec::new())
            }
        };
        let eager = Eager {
            listing: self.listing,
            operations: &operations,
            allocation: &allocation,
            style,
            given,
        };
        let parameters =
            self.signature(self.listing.stages.len() - 1, style, style == Style::Single);
        let mut text = bracketed(0, &format!("def {name}("), &parameters, ") -> None:");
        let _ = writeln!(text, "    \"\"\"{doc}\"\"\"");
        text += &eager.body();
        text += &eager.end(update, &next_slots);
        text
    }

    /// `_update_blocks` and what it calls.
    fn blocks(&self, operations: &Operations) -> String {
        let (scalars, _) = self.read(self.listing.stages.len() - 1);
        // Numbers that are no operands of arithmetic, such as exponents, stay what they are.
        let kept: Vec<String> = (0..scalars.len())
            .filter(|i| !operations.is_term_or_factor(&scalars[*i]))
            .map(|i| i.to_string())
            .collect();
        let conditions = [
            ("tensors", !scalars.is_empty() && kept.is_empty()),
            ("some_tensors", !kept.is_empty()),
        ];
        filled(text::BLOCKS, &conditions, &[("KEPT", &kept.join(", "))])
    }

    /// Returns the code around the functions of the program, and the code that runs a step.
    fn machinery(&self, with_kernel: bool) -> String {
        let mut text = String::from("\n");
        text += "\n# The slots in the state of each parameter.\n";
        text += &quoted("_SLOTS", &self.names.slots);
        let renamed: Vec<String> = self
            .names
            .renamed_slots()
            .map(|(given, name)| format!("\"{given}\": \"{name}\""))
            .collect();
        if !renamed.is_empty() {
            text += "\n# Those that mean the same as `torch.optim`'s have its names, not the program's.\n";
            text += &bracketed(0, "_RENAMED = {", &renamed, "}");
        }
        let notation = self.notation();
        let (operations, update, next_slots) = self.last_stage(&notation);
        let allocation = allocate(&operations.operations, &next_slots, &[update]);
        let scratch = scratch_to_give(&operations.operations, &allocation).len();
        let _ =
            writeln!(text, "\n# How many scratch tensors an update takes.\n_SCRATCH = {scratch}");
        let last = self.listing.stages.len() - 1;
        if last > 0 {
            text += "\n# Sums that are taken before the update: of what, and whether each tensor keeps its own.\n_SUMS: tuple[tuple[Any, Any, list[tuple[str, bool]]], ...] = (\n";
            for stage in 0..last {
                let names: Vec<String> = self.listing.stages[stage]
                    .sums
                    .iter()
                    .map(|sum| {
                        format!(
                            "(\"{}\", {})",
                            sum.name,
                            if sum.per_array { "True" } else { "False" }
                        )
                    })
                    .collect();
                text += &format!(
                    "    (\n        _numbers_{0},\n        _sums_{0},\n        [\n",
                    stage + 1
                );
                for name in names {
                    let _ = writeln!(text, "            {name},");
                }
                text += "        ],\n    ),\n";
            }
            text += ")\n";
        }
        if last > 0 {
            text += after_head(text::REDUCE);
        }
        if with_kernel {
            text += &self.blocks(&operations);
            text += after_head(text::FUSED);
        }
        let counts = self.names.counts_steps;
        let mut apply = filled(text::APPLY, &[("kernel", with_kernel), ("counts", counts)], &[]);
        if !with_kernel {
            apply = apply.replace("    elif foreach", "    if foreach");
        }
        if !counts {
            apply = apply.replace("lists, steps, totals", "lists, _, totals");
        }
        text += &apply;
        text += after_head(text::ROUNDS);
        if self.has_state() {
            let is_renamed = self.names.renamed_slots().next().is_some();
            let known =
                if is_renamed { "{_RENAMED.get(name, name) for name in own}" } else { "own" };
            text += &filled(text::HIDE, &[], &[("KNOWN", known)]);
        }
        text
    }

    fn has_state(&self) -> bool {
        self.names.counts_steps || !self.names.slots.is_empty()
    }

    /// The head of the file, with what is in it.
    fn head(&self, with_kernel: bool) -> String {
        let title = if with_kernel { text::TITLE } else { text::TITLE_WITHOUT_KERNEL };
        let head = python::head(self.listing, title);
        let sums = if self.listing.stages.len() > 1 { "_sums_1, ..., " } else { "" };
        let mut contents = vec![
            (format!("{sums}_update"), "the step of the program, tensor by tensor"),
            ("_update_foreach".to_owned(), "the same on lists of tensors"),
        ];
        if with_kernel {
            contents.push(("_kernel".to_owned(), "the same in Triton"));
            contents.push(("_update_blocks".to_owned(), "how it is run on CPU"));
            contents.push(("_update_fused".to_owned(), "how it is run by Triton"));
        }
        contents.push(("_apply".to_owned(), "which of these takes a step"));
        contents.push((class_name(self.listing), "the optimizer"));
        let width = contents.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 2;
        let lines: String =
            contents.iter().map(|(name, what)| format!("    {name:width$}{what}\n")).collect();
        format!(
            "{}\nContents:\n{lines}\n{}\n\"\"\"\n",
            head.strip_suffix("\"\"\"\n").unwrap_or(&head),
            text::LICENSE
        )
    }

    /// Returns the code before all functions.
    fn basics(&self) -> String {
        let mut text = after_head(text::BASICS).to_owned();
        let elsewhere: Vec<String> = self
            .names
            .elsewhere()
            .map(|place| {
                let index =
                    place.index.map_or_else(|| "None".to_owned(), |index| index.to_string());
                format!("    \"{}\": (\"{}\", {index}),\n", place.own, place.key)
            })
            .collect();
        if !elsewhere.is_empty() {
            text += "\n\n# Where a group has what the program calls otherwise: as `torch.optim` does.\n";
            text += &format!(
                "_ELSEWHERE: dict[str, tuple[str, int | None]] = {{\n{}}}\n",
                elsewhere.concat()
            );
            text += after_head(text::SETTLE);
        }
        text
    }

    /// The hyperparameters as `torch.optim` has them: key, type and default, and whether it is one
    /// of the program's own name.
    fn keys(&self) -> Vec<(String, String, String)> {
        let mut keys: Vec<(String, Vec<String>, bool)> = Vec::new();
        for (parameter, place) in self.parameters().zip(&self.names.places) {
            let default = python::python_float(parameter.default.unwrap_or(1.0));
            match keys.iter_mut().find(|(key, ..)| *key == place.key) {
                Some((_, defaults, _)) => defaults.push(default),
                None => keys.push((place.key.clone(), vec![default], place.index.is_some())),
            }
        }
        let typed = |(key, defaults, is_tuple): (String, Vec<String>, bool)| {
            let floats = vec!["float"; defaults.len()].join(", ");
            let tuple = if defaults.len() == 1 {
                format!("({},)", defaults[0])
            } else {
                format!("({})", defaults.join(", "))
            };
            match (is_tuple, key.as_str()) {
                (true, _) => (key, format!("tuple[{floats}]"), tuple),
                (false, "lr") => (key, "float | Tensor".to_owned(), defaults.concat()),
                (false, _) => (key, "float".to_owned(), defaults.concat()),
            }
        };
        keys.into_iter().map(typed).collect()
    }

    /// `__init__`.
    fn constructor(&self, with_kernel: bool) -> String {
        let keys = self.keys();
        let mut parameters = vec!["self".to_owned(), "params: ParamsT".to_owned()];
        parameters.extend(keys.iter().map(|(key, ty, default)| format!("{key}: {ty} = {default}")));
        parameters.push("*".to_owned());
        parameters.extend(
            self.names.elsewhere().map(|place| format!("{}: float | None = None", place.own)),
        );
        parameters.push("maximize: bool = False".to_owned());
        parameters.push("foreach: bool | None = None".to_owned());
        parameters.push("fused: bool | None = None".to_owned());
        parameters.push("state_dtype: torch.dtype | None = None".to_owned());
        let mut text = bracketed(4, "def __init__(", &parameters, ") -> None:");
        text += "        defaults: dict[str, Any] = {\n";
        for (key, ..) in &keys {
            let _ = writeln!(text, "            \"{key}\": {key},");
        }
        if self.names.lacks_rate {
            text += "            \"lr\": 1.0,  # Nothing reads it, and no scheduler may move it.\n";
        }
        if self.names.lacks_momentum {
            text += "            \"momentum\": 0.0,  # Nothing reads it: for schedulers that move one.\n";
        }
        for (key, value) in self.names.unread() {
            let _ = writeln!(
                text,
                "            \"{key}\": {value},  # Nothing reads it but `torch.optim`, from a state."
            );
        }
        text += "            \"maximize\": maximize,\n            \"foreach\": foreach,\n            \"fused\": fused,\n            \"state_dtype\": state_dtype,\n        }\n";
        let elsewhere: Vec<String> =
            self.names.elsewhere().map(|place| format!("\"{0}\": {0}", place.own)).collect();
        if !elsewhere.is_empty() {
            text += &bracketed(8, "given = {", &elsewhere, "}");
            text += "        own = {name: x for name, x in given.items() if x is not None}\n";
            for (key, _, default) in keys
                .iter()
                .filter(|(key, ..)| self.names.elsewhere().any(|place| place.key == *key))
            {
                let _ = writeln!(
                    text,
                    "        if {key} != {default}:\n            _refuse_both(own, \"{key}\")"
                );
            }
            text += "        defaults.update(own)\n        _settle(defaults)\n";
        }
        if !with_kernel {
            text += "        if fused:\n            raise RuntimeError(\"steps are not element by element: leave out `fused`\")\n";
        }
        text + "        super().__init__(params, defaults)\n"
    }

    /// Refusals of numbers outside of their ranges.
    fn ranges(&self) -> String {
        let mut text = String::new();
        for (parameter, place) in self.parameters().zip(&self.names.places) {
            let checked = ScalarParameter { name: place.own.clone(), ..parameter.clone() };
            let _ = writeln!(text, "        {} = {}", place.own, place.read());
            text += &python::range_checks(8, std::iter::once(&checked), false);
        }
        text
    }

    fn class(&self, with_kernel: bool) -> String {
        let step = self.listing.step.as_ref();
        let totals = step.map_or_else(
            || "{}".to_owned(),
            |step| format!("{{\"{}\": counts[indices[0]]}}", step.name),
        );
        let counts = self.names.counts_steps;
        let conditions = [
            ("kernel", with_kernel),
            ("settles", self.names.elsewhere().next().is_some()),
            ("state", self.has_state()),
            ("slots", !self.names.slots.is_empty()),
            ("renamed", self.names.renamed_slots().next().is_some()),
            ("counts", counts),
            ("step", step.is_some()),
            ("sums", self.listing.stages.len() > 1),
            ("complex", self.takes_complex),
            ("no_rate", self.names.lacks_rate),
        ];
        let texts = [
            ("CLASS", &class_name(self.listing)[..]),
            ("NAMES", &self.described()),
            ("CONSTRUCTOR", &self.constructor(with_kernel)),
            ("RANGES", &self.ranges()),
            ("AND_COUNT", if step.is_some() { " and step count" } else { "" }),
            ("TOTALS", &totals),
        ];
        let template = match counts {
            true => text::OPTIMIZER.to_owned(),
            false => text::OPTIMIZER.replace(", count: float = 0.0", ""),
        };
        filled(&template, &conditions, &texts).trim_start().to_owned()
    }

    /// The hyperparameters of the class's doc string, where they have two names.
    fn described(&self) -> String {
        let mut text = String::new();
        for (key, ..) in self.keys() {
            let own: Vec<&str> = self
                .names
                .elsewhere()
                .filter(|place| place.key == key)
                .map(|place| place.own.as_str())
                .collect();
            if !own.is_empty() {
                let _ = writeln!(text, "        {key}: of the program: {}.", own.join(", "));
            }
        }
        text
    }
}

/// A tuple of names.
fn quoted(name: &str, names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    match quoted.as_slice() {
        [] => format!("{name}: tuple[str, ...] = ()\n"),
        [one] => format!("{name} = ({one},)\n"),
        names => bracketed(0, &format!("{name} = ("), names, ")"),
    }
}
