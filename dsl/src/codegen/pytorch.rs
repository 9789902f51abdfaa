//! A program as a PyTorch optimizer: a subclass of `torch.optim.Optimizer`.
//!
//! | module | what it holds |
//! |---|---|
//! | [`operations`] | a step as single operations on arrays, and the arrays that they write |
//! | [`eager`] | how PyTorch runs them: tensor by tensor, or on lists of tensors |
//! | [`kernel`] | the same step as a Triton kernel |
//! | [`text`] | what all files have in common |
//!
//! Roundings are those of the reference interpreter: the program's order, no fused multiply-adds (so no `alpha=`, `lerp` or `addcmul`, which fuse
//! on some machines and not on others), scalars in f64 that are rounded where they meet a tensor. All ways to run a step give the same bits where
//! the functions of PyTorch do, with these exceptions.
//! - PyTorch's `sign` gives 0 for NaN, on CPU and CUDA, where the reference gives NaN. To keep it would cost two more operations; the Triton kernel
//!   does as `torch.sign`, so that an optimizer is the same one on all paths. A zero has the positive sign after it.
//! - PyTorch's `sqrt` of longer tensors on CPU comes from a vector library and is not always the nearest f32: 33 of 5000 random numbers were one
//!   unit in the last place off (PyTorch 2.15 with AVX-512). The kernel's is.
//! - `maximum` and `minimum` of zeros of either sign may give either zero.
//! - Transcendental functions are those of the device: within a few units in the last place of the reference's.
//! - A compiled step computes what Inductor makes of it, which may fuse multiply-adds.
//! - Products of matrices are summed in f64 in an order of the library's, as means are, and rounded once; `PRODUCTS` in the file makes it another
//!   type.
//! - Parameters in bf16 and f16 are computed with in f32, and rounded as they are written. f64 stays f64.

pub mod eager;
pub mod kernel;
pub mod operations;
pub mod text;

use std::collections::BTreeSet;
use std::fmt::Write;

use self::eager::{Eager, EagerNotation, Style, scratch_to_give};
use self::operations::{Flattening, Operations, Value, allocate};
use super::listing::{Callee, Expression, Line, Listing, ListingOptions, ScalarParameter, Stage};
use super::notation::written;
use super::python::{self, bracketed, class_name, helpers};
use crate::{Function, Graph, Program, Type};

/// What the file itself calls things.
const RESERVED: &[&str] = &[
    "torch",
    "os",
    "threading",
    "params",
    "maximize",
    "foreach",
    "fused",
    "state_dtype",
    "step",
    "group",
    "totals",
    "tensor",
    "closure",
    "loss",
    "defaults",
    "lists",
    "numbers",
    "scratch",
];

const HELPERS: &[(&str, &str)] = &[
    ("_exp10", "def _exp10(x):\n    return torch.pow(10.0, x)\n"),
    ("_cube", "def _cube(x):\n    return x * x * x\n"),
    (
        "_cbrt",
        "def _cbrt(x):\n    \"\"\"The cube root, by way of f64.\"\"\"\n    root = torch.pow(x.double().abs(), 1 / 3)\n    return torch.copysign(root, x).to(x.dtype)\n",
    ),
    (
        "_guarded_log1p",
        "def _guarded_log1p(x):\n    \"\"\"The logarithm of |1 + x|, accurate near 0.\"\"\"\n    return torch.where(x < -1, torch.log(-(1 + x)), torch.log1p(x))\n",
    ),
    (
        "_scalar",
        "def _scalar(function, *numbers):\n    \"\"\"A function of numbers in f64, which gives NaN and infinities where Python would raise.\"\"\"\n    value = function(*(torch.as_tensor(x, dtype=torch.float64) for x in numbers))\n    return value if torch.compiler.is_compiling() else value.item()\n",
    ),
    (
        "_clip_factor",
        "def _clip_factor(norm, limit):\n    \"\"\"The factor that makes a norm at most a limit.\"\"\"\n    if torch.compiler.is_compiling():\n        limit = torch.as_tensor(limit, dtype=torch.float64, device=norm.device)\n        return torch.where(norm <= limit, torch.ones_like(norm), limit / norm)\n    return 1.0 if norm <= limit else _scalar(torch.div, limit, norm)\n",
    ),
    (
        "_dot",
        "def _dot(x, y):\n    \"\"\"The sum of the products of all elements, in f64, a stretch at a time.\"\"\"\n    x, y = x.reshape(-1), y.reshape(-1)\n    total = torch.zeros((), dtype=torch.float64, device=x.device)\n    for start in range(0, x.numel(), 1 << 22):\n        part = slice(start, start + (1 << 22))\n        total += (x[part].double() * y[part]).sum()\n    return total\n",
    ),
    ("_sum", "def _sum(x):\n    \"\"\"The sum of all elements, in f64.\"\"\"\n    return x.sum(dtype=torch.float64)\n"),
    (
        "_rounded",
        r#"def _rounded(number, like):
    """A number as clamps take it: beyond the type of a tensor it is infinite."""
    if isinstance(number, torch.Tensor) or abs(number) <= torch.finfo(like.dtype).max:
        return number
    return torch.tensor(number, dtype=like.dtype).item()
"#,
    ),
    ("_where", "def _where(condition, x, y):\n    return torch.where(condition != 0, x, y)\n"),
    (
        "_where_like",
        r#"def _where_like(like, condition, x, y):
    """x where the condition is not 0 and y where it is: a new tensor like another one."""
    if not isinstance(condition, torch.Tensor):
        chosen = x if condition else y
        is_tensor = isinstance(chosen, torch.Tensor)
        return chosen.clone() if is_tensor else torch.ones_like(like) * chosen
    x, y = _rounded(x, like), _rounded(y, like)
    if not isinstance(x, torch.Tensor) and not isinstance(y, torch.Tensor):
        x = torch.full_like(like, x)
    if condition.dtype != torch.bool:
        condition = condition.to(like.device) != 0
    return torch.where(condition, x, y).to(like.dtype)
"#,
    ),
    ("_less", "def _less(x, y):\n    return torch.lt(x, y).to(x.dtype)\n"),
    ("_less_equal", "def _less_equal(x, y):\n    return torch.le(x, y).to(x.dtype)\n"),
    ("_greater", "def _greater(x, y):\n    return torch.gt(x, y).to(x.dtype)\n"),
    ("_greater_equal", "def _greater_equal(x, y):\n    return torch.ge(x, y).to(x.dtype)\n"),
    ("_equal", "def _equal(x, y):\n    return torch.eq(x, y).to(x.dtype)\n"),
    ("_rows", "def _rows(x):\n    return x.shape[0] if x.dim() else 1\n"),
    ("_columns", "def _columns(x):\n    return x.shape[1:].numel()\n"),
    (
        "_matrix",
        r#"def _matrix(x):
    """An array as a matrix: its first dimension by the rest; a vector is a column."""
    return x.reshape(x.shape[0] if x.dim() else 1, x.shape[1:].numel())
"#,
    ),
    ("_transpose", "def _transpose(x):\n    return _matrix(x).t().clone(memory_format=torch.contiguous_format)\n"),
    (
        "_matmul",
        r#"# The type in which products of matrices are summed; f32 is faster on most devices.
PRODUCTS = torch.float64


def _matmul(x, y):
    """The product of two matrices."""
    x, y = _matrix(x), _matrix(y)
    dtype = torch.promote_types(x.dtype, PRODUCTS)
    return torch.matmul(x.to(dtype), y.to(dtype)).to(x.dtype)
"#,
    ),
    (
        "_row_mean",
        r#"def _row_mean(x):
    """The mean of each row, at every place of the row."""
    y = _matrix(x)
    mean = y.mean(1, keepdim=True, dtype=torch.float64).to(y.dtype)
    return mean.expand_as(y).reshape(x.shape).contiguous()
"#,
    ),
    (
        "_column_mean",
        r#"def _column_mean(x):
    """The mean of each column, at every place of the column."""
    y = _matrix(x)
    mean = y.mean(0, keepdim=True, dtype=torch.float64).to(y.dtype)
    return mean.expand_as(y).reshape(x.shape).contiguous()
"#,
    ),
    (
        "_newton_schulz",
        r#"def _newton_schulz(x):
    """Five steps of Muon's iteration: the singular values come close to 1."""
    y = _matrix(x)
    tall = y.shape[0] > y.shape[1]
    y = y.t() if tall else y
    y = y / (y.double().square().sum().sqrt() + 1e-7).to(y.dtype)
    for _ in range(5):
        a = _matmul(y, y.t())
        y = 3.4445 * y + _matmul(-4.775 * a + 2.0315 * _matmul(a, a), y)
    return (y.t() if tall else y).reshape(x.shape)
"#,
    ),
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
            [format!("{}_pointers", p.name), format!("next_{}", p.name), format!("update_of_{}", p.name), format!("{}_before", p.name)]
        })
        .chain((2..64).map(|number| format!("scratch{number}")))
        .collect();
    let reserved: Vec<&str> =
        RESERVED.iter().chain(kernel::RESERVED).chain(python::KEYWORDS).copied().chain(own.iter().map(String::as_str)).collect();
    let mut listing = Listing::new(program, graph, ListingOptions { reserved: &reserved, rebind: false, array_sums_inside: false });
    hoist_scalars(&mut listing);
    let writer = Writer { listing: &listing };
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
    let (imports, definitions) = if with_kernel { kernel::definitions(&listing, &writer.read(last).0) } else { <_>::default() };
    let machinery = writer.machinery(with_kernel);
    let class = writer.class(with_kernel);
    let head = python::head(&listing, text::TITLE);
    let all = format!("{functions}{machinery}{class}");
    let imports_of_blocks = if writer.depends_on_arrays() { "" } else { "import threading\n" };
    let standard = format!("{}{imports_of_blocks}", if with_kernel { "import os\n" } else { "" });
    let standard = if standard.is_empty() { standard } else { format!("{standard}\n") };
    let imports = if imports.is_empty() { String::new() } else { format!("\n{imports}") };
    let definitions = if definitions.is_empty() { String::new() } else { format!("\n\n{definitions}") };
    format!("{head}\n{standard}import torch\n{imports}{}{functions}{definitions}{machinery}\n\n{class}", helpers(&all, HELPERS))
}

/// Gives each scalar that is computed inside the expression of an array a line of its own: it is computed once, and in f64.
fn hoist_scalars(listing: &mut Listing) {
    let mut taken: BTreeSet<String> = listing.slots.iter().chain([&listing.weights, &listing.gradients]).cloned().collect();
    taken.extend(listing.learning_rate.iter().chain(&listing.step).chain(&listing.hyperparameters).map(|p| p.name.clone()));
    for Stage { scalars, lines, sums } in &listing.stages {
        taken.extend(scalars.iter().chain(lines).map(|line| line.name.clone()).chain(sums.iter().map(|sum| sum.name.clone())));
    }
    let mut hoisted = Hoisted { lines: Vec::new(), taken };
    for stage in &mut listing.stages {
        let known = hoisted.lines.len();
        stage.lines.iter_mut().for_each(|line| hoisted.within(&mut line.value));
        stage.sums.iter_mut().for_each(|sum| [&mut sum.x, &mut sum.y].into_iter().for_each(|factor| hoisted.within(factor)));
        stage.scalars.extend_from_slice(&hoisted.lines[known..]);
    }
    let known = hoisted.lines.len();
    listing.next_slots.iter_mut().chain([&mut listing.update]).for_each(|value| hoisted.within(value));
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
            Expression::Call(.., arguments) => arguments.iter_mut().for_each(|argument| self.within(argument)),
            Expression::Name(..) | Expression::Number(_) => {}
        }
    }

    fn name(&mut self, value: &Expression) -> String {
        if let Some(line) = self.lines.iter().find(|line| line.value == *value) {
            return line.name.clone();
        }
        let base = match value {
            Expression::Call(Callee::Function(Function::Subtract), _, arguments) => match arguments.as_slice() {
                [Expression::Number(one), Expression::Name(name, _)] if *one == 1.0 => format!("one_minus_{name}"),
                _ => "number".to_owned(),
            },
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
}

/// The names in an expression that are not of arrays: scalars, and numbers for each array.
fn names(expression: &Expression, found: &mut Vec<(String, Type)>) {
    match expression {
        Expression::Name(name, ty) if !ty.is_array() && !found.iter().any(|(known, _)| known == name) => found.push((name.clone(), *ty)),
        Expression::Call(.., arguments) => arguments.iter().for_each(|argument| names(argument, found)),
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
            self.listing.next_slots.iter().chain([&self.listing.update]).for_each(|value| names(value, &mut found));
        }
        found.retain(|(name, _)| !lines.iter().any(|line| line.name == *name));
        let of = |ty: Type| found.iter().filter(|(_, own)| *own == ty).map(|(name, _)| name.clone()).collect();
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
        let reads_totals = self.totals().any(|total| needed.contains(total)) || !per_array.is_empty();
        let step = self.listing.step.iter().filter(|step| needed.contains(&step.name));
        let read: Vec<String> = self
            .parameters()
            .filter(|parameter| needed.contains(&parameter.name))
            .map(|p| format!("    {0} = _number(group[\"{0}\"])\n", p.name))
            .chain(step.map(|step| format!("    {} = _number(group[\"step\"])\n", step.name)))
            .collect();
        let mut text = format!("def _numbers{}({}, {}):\n", self.suffix(stage), "group", "totals");
        let _ = writeln!(
            text,
            "    \"\"\"{}\"\"\"",
            if self.is_last(stage) { "The numbers that an update reads." } else { "The numbers that the sums read." }
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
        [&self.listing.weights, &self.listing.gradients].into_iter().chain(&self.listing.slots).cloned().collect()
    }

    fn signature(&self, stage: usize) -> Vec<String> {
        let (scalars, per_array) = self.read(stage);
        self.arrays().into_iter().chain(scalars).chain(per_array).collect()
    }

    /// `_sums_1` and so on: the sums of a stage over one array.
    fn sums(&self, stage: usize) -> String {
        let notation = self.notation();
        let Stage { lines, sums, .. } = &self.listing.stages[stage];
        let mut flattening = Flattening::new(self.listing, &notation);
        lines.iter().for_each(|line| flattening.line(line));
        let factors: Vec<Option<Vec<Value>>> = sums.iter().map(|sum| sum.is_of_trees().then(|| flattening.factors(sum))).collect();
        let operations = flattening.finish();
        let results: Vec<Value> = factors.iter().flatten().flatten().copied().collect();
        let allocation = allocate(&operations.operations, &[], &results);
        let eager =
            Eager { listing: self.listing, operations: &operations, allocation: &allocation, style: Style::Single, given: Vec::new() };
        let values: Vec<String> = sums
            .iter()
            .zip(&factors)
            .map(|(sum, factors)| match factors {
                Some(factors) => match factors.as_slice() {
                    [x, y] => format!("_dot({}, {})", eager.name(*x), eager.name(*y)),
                    factors => format!("_sum({})", factors.iter().map(|x| eager.name(*x)).collect::<String>()),
                },
                None => {
                    let factors = vec![sum.x.clone(), sum.y.clone()];
                    written(&notation, &Expression::Call(Callee::Function(Function::Multiply), Type::PerArray, factors))
                }
            })
            .collect();
        let mut text = bracketed(0, &format!("def _sums{}(", self.suffix(stage)), &self.signature(stage), "):");
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
        let next_slots: Vec<Value> = self.listing.next_slots.iter().map(|value| flattening.array(value)).collect();
        let update = flattening.array(&self.listing.update);
        (flattening.finish(), update, next_slots)
    }

    /// `_update` and `_update_foreach`.
    fn update(&self, style: Style) -> String {
        let notation = self.notation();
        let (operations, update, next_slots) = self.last_stage(&notation);
        let allocation = allocate(&operations.operations, &next_slots, &[update]);
        let (name, doc, given) = match style {
            Style::Single => ("_update", "A step of one tensor, in place.", scratch_to_give(&operations.operations, &allocation)),
            Style::Foreach => ("_update_foreach", "A step of a list of tensors, in place.", Vec::new()),
        };
        let eager = Eager { listing: self.listing, operations: &operations, allocation: &allocation, style, given };
        let scratch = eager.given.iter().map(|number| eager.scratch_name(*number));
        let (scalars, per_array) = self.read(self.listing.stages.len() - 1);
        let parameters: Vec<String> = self.arrays().into_iter().chain(scratch).chain(scalars).chain(per_array).collect();
        let mut text = bracketed(0, &format!("def {name}("), &parameters, "):");
        let _ = writeln!(text, "    \"\"\"{doc}\"\"\"");
        text += &eager.body();
        text += &eager.end(update, &next_slots);
        text
    }

    /// How the numbers of an update become tensors on CPU: those that are no operands of arithmetic, such as exponents, stay what they are.
    fn numbers_as_tensors(&self, operations: &Operations) -> String {
        let (scalars, _) = self.read(self.listing.stages.len() - 1);
        let kept: Vec<String> = (0..scalars.len()).filter(|i| !operations.is_term_or_factor(&scalars[*i])).map(|i| i.to_string()).collect();
        match (scalars.is_empty(), kept.as_slice()) {
            (true, _) => String::new(),
            (false, []) => text::TENSORS.to_owned(),
            (false, kept) => text::SOME_TENSORS.replace("@KEPT@", &kept.join(", ")),
        }
    }

    /// What surrounds the functions of the program, and how a step is run.
    fn machinery(&self, with_kernel: bool) -> String {
        let slots: Vec<String> = self.listing.slots.iter().map(|slot| format!("\"{slot}\"")).collect();
        let mut text = String::from("\n\n# The state that each parameter has.\n");
        text += &match slots.as_slice() {
            [] => "_SLOTS = ()\n".to_owned(),
            [one] => format!("_SLOTS = ({one},)\n"),
            slots => bracketed(0, "_SLOTS = (", slots, ")"),
        };
        let notation = self.notation();
        let (operations, update, next_slots) = self.last_stage(&notation);
        let allocation = allocate(&operations.operations, &next_slots, &[update]);
        let scratch = scratch_to_give(&operations.operations, &allocation).len();
        let _ = writeln!(text, "\n# How many scratch tensors an update takes.\n_SCRATCH = {scratch}");
        let last = self.listing.stages.len() - 1;
        if last > 0 {
            text += "\n# Sums that are taken before the update: of what, and whether each tensor keeps its own.\n_SUMS = (\n";
            for stage in 0..last {
                let names: Vec<String> = self.listing.stages[stage]
                    .sums
                    .iter()
                    .map(|sum| format!("(\"{}\", {})", sum.name, if sum.per_array { "True" } else { "False" }))
                    .collect();
                text += &format!("    (\n        _numbers_{0},\n        _sums_{0},\n        [\n", stage + 1);
                for name in names {
                    let _ = writeln!(text, "            {name},");
                }
                text += "        ],\n    ),\n";
            }
            text += ")\n";
        }
        text += text::NUMBER;
        if last > 0 {
            text += text::REDUCE;
        }
        if !self.depends_on_arrays() {
            text += &text::BLOCKS.replace("@TENSORS@", &self.numbers_as_tensors(&operations));
        }
        if with_kernel {
            text += text::FUSED;
        }
        text += &text::APPLY
            .replace("@FUSED@", if with_kernel { text::TRY_FUSED } else { "" })
            .replace("@BLOCKS@", if self.depends_on_arrays() { "" } else { text::TRY_BLOCKS });
        text
    }

    /// Whether the last stage reads numbers that differ from array to array.
    fn depends_on_arrays(&self) -> bool {
        !kernel::exists(self.listing)
    }

    fn class(&self, with_kernel: bool) -> String {
        let name = class_name(self.listing);
        let mut parameters = vec!["self".to_owned(), "params".to_owned()];
        parameters.extend(self.listing.learning_rate.iter().map(python::parameter));
        parameters.push("*".to_owned());
        parameters.extend(self.listing.hyperparameters.iter().map(python::parameter));
        parameters.extend(["maximize=False", "foreach=None", "fused=None", "state_dtype=None"].map(str::to_owned));
        let mut text = format!("class {name}(torch.optim.Optimizer):\n{}\n", text::CLASS_DOC.replace("@NAME@", &name));
        text += &bracketed(4, "def __init__(", &parameters, "):");
        text += &python::range_checks(8, self.parameters(), false);
        text += "        defaults = {\n";
        for parameter in self.parameters() {
            let _ = writeln!(text, "            \"{0}\": {0},", parameter.name);
        }
        text += "            \"maximize\": maximize,\n            \"foreach\": foreach,\n            \"fused\": fused,\n            \"state_dtype\": state_dtype,\n        }\n";
        if !with_kernel {
            text += "        if fused:\n            raise RuntimeError(\"steps are not element by element: leave out `fused`\")\n";
        }
        text += "        super().__init__(params, defaults)\n";
        let reduce = if self.listing.stages.len() > 1 { "        _reduce(batches)\n" } else { "" };
        let (state, load) = if self.listing.slots.is_empty() { ("", "") } else { (text::STATE, text::LOAD) };
        let (init_step, count) = if self.listing.step.is_some() { (text::INIT_STEP, text::COUNT) } else { ("", "") };
        text += &text::METHODS
            .replace("@LISTS@", if self.listing.slots.is_empty() { "[params, grads]" } else { "[params, grads, *slots]" })
            .replace("@STATE@", state)
            .replace("@LOAD@", load)
            .replace("@INIT_STEP@", init_step)
            .replace("@COUNT@", count)
            .replace("@REDUCE@", reduce);
        text
    }
}
