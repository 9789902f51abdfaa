//! A program as a PyTorch optimizer that a person might have written: one path, tensor by tensor,
//! each line of the program a line of Python.
//!
//! The bits are those of the single-tensor path of the full file. Where Python's operator would
//! round in another way, a function stands instead: a number over an array, which PyTorch takes for
//! a product with a reciprocal.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write;

use symopt_dsl::{Function, Graph, Program, Type};

use super::eager::{EagerNotation, callable, compared, is_zero_in_f32};
use super::names::Names;
use super::operations::{is_comparison, mirrored};
use super::{RESERVED, Writer, names, text};
use crate::listing::{Callee, Expression, Line, Listing, ListingOptions, Stage};
use crate::notation::{Level, Notation, written, written_within};
use crate::python::{self, bracketed, calls, class_name, helpers};
use crate::runtime::{after_head, filled};

/// Expressions of arrays as Python has them, and of numbers as the full file has them.
struct PlainNotation<'a> {
    weights: &'a str,
}

impl Notation for PlainNotation<'_> {
    fn spelling(&self, callee: Callee, ty: Type) -> Option<Cow<'static, str>> {
        let weights = self.weights;
        let function = match callee {
            Callee::Spread if ty == Type::Tree => {
                return Some(format!("(torch.ones_like({weights}) * {{x!}})").into());
            }
            Callee::Spread if ty.is_array() => return Some("(torch.ones_like({y}) * {x!})".into()),
            Callee::Function(function) if ty.is_array() => function,
            _ => return EagerNotation { weights }.spelling(callee, ty),
        };
        Some(match function {
            Function::Copy => "{x}.clone()".into(),
            Function::Matmul if ty == Type::Tree => {
                format!("_placed(_matmul({{x}}, {{y}}).reshape({weights}.shape), {weights})").into()
            }
            Function::Transpose if ty == Type::Tree => {
                format!("_placed(_transpose({{x}}).reshape({weights}.shape), {weights})").into()
            }
            function => {
                let arguments =
                    ["{x}", "{x}, {y}", "{x}, {y}, {z}"][function.arity().clamp(1, 3) - 1];
                format!("{}({arguments})", callable(function)).into()
            }
        })
    }

    fn operator(
        &self,
        function: Function,
        ty: Type,
        arguments: &[Expression],
    ) -> Option<Cow<'static, str>> {
        let weights = self.weights;
        if !ty.is_array() {
            return EagerNotation { weights }.operator(function, ty, arguments);
        }
        let first_is_number = arguments.first().is_some_and(|x| !x.ty().is_array());
        let bound = |number: &Expression, place: &str| match number {
            Expression::Number(number) if number.abs() <= f64::from(f32::MAX) => {
                format!("{{{place}}}")
            }
            _ => format!("_rounded({{{place}}}, {weights})"),
        };
        match (function, arguments) {
            (Function::Where, [condition, ..]) => Some(match condition {
                Expression::Call(Callee::Function(function), _, sides)
                    if is_comparison(*function) =>
                {
                    let [x, y] = [0, 1].map(|side| written_within(self, &sides[side], Level::Sum));
                    format!("_where_like({weights}, {}, {{y}}, {{z}})", compared(*function, &x, &y))
                        .into()
                }
                _ => format!("_where_like({weights}, {{x}}, {{y}}, {{z}})").into(),
            }),
            (Function::Divide | Function::Power, [..]) if first_is_number => {
                let name = if function == Function::Divide { "div" } else { "pow" };
                Some(format!("torch.{name}(torch.ones_like({{y}}) * {{x!}}, {{y}})").into())
            }
            (Function::Power, [_, Expression::Number(exponent)]) if is_zero_in_f32(*exponent) => {
                Some("torch.pow({x}, 0.0)".into())
            }
            (Function::Reciprocal, _) => Some("torch.reciprocal({x})".into()),
            (Function::Maximum | Function::Minimum, [x, y]) => {
                let side = if function == Function::Maximum { "min" } else { "max" };
                match (x.ty().is_array(), y.ty().is_array()) {
                    (true, false) => {
                        Some(format!("torch.clamp({{x}}, {side}={})", bound(y, "y")).into())
                    }
                    (false, true) => {
                        Some(format!("torch.clamp({{y}}, {side}={})", bound(x, "x")).into())
                    }
                    _ => None,
                }
            }
            (function, [_, _]) if is_comparison(function) && first_is_number => {
                Some(format!("_{}({{y}}, {{x}})", mirrored(function).name()).into())
            }
            _ => None,
        }
    }
}

/// The file. `graph` must be the program's own.
pub fn file(program: &Program, graph: &Graph) -> String {
    let reserved: Vec<&str> = RESERVED
        .iter()
        .chain(python::KEYWORDS)
        .copied()
        .chain(text::HELPERS.iter().map(|(name, _)| *name))
        .collect();
    let listing = Listing::new(
        program,
        graph,
        ListingOptions { reserved: &reserved, rebind: true, array_sums_inside: false },
    );
    let names = Names::new(program, graph, &listing);
    let writer = Writer {
        listing: &listing,
        names: &names,
        takes_complex: graph.matrix_function().is_none(),
    };
    Plain { writer: &writer, notation: PlainNotation { weights: &listing.weights } }.file()
}

struct Plain<'a> {
    writer: &'a Writer<'a>,
    notation: PlainNotation<'a>,
}

impl Plain<'_> {
    fn file(&self) -> String {
        let (listing, names) = (self.writer.listing, self.writer.names);
        let last = listing.stages.len() - 1;
        let mut functions: String =
            (0..=last).map(|stage| format!("\n\n{}", self.function(stage))).collect();
        let class = self.class();
        if last > 0 {
            functions = format!("{functions}\n\n{}", self.table());
        }
        let all = format!("{functions}{class}");
        let mut helpers = helpers(&all, &text::HELPERS);
        if calls(&helpers, "_PLAIN") {
            helpers = format!("\n\n_PLAIN: set[type] = {{Tensor, torch.nn.Parameter}}\n{helpers}");
        }
        let callable =
            if calls(&helpers, "Callable") { "from collections.abc import Callable\n" } else { "" };
        let head = python::head(listing, text::TITLE_OF_PLAIN);
        let head = format!(
            "{}{}\n\"\"\"\n",
            head.strip_suffix("\"\"\"\n").unwrap_or(&head),
            text::LICENSE
        );
        let slots = format!("\n{}", super::quoted("_SLOTS", &names.slots));
        format!(
            "{head}\n{callable}from typing import Any\n\nimport torch\nfrom torch import Tensor\nfrom torch.optim.optimizer import ParamsT\n{slots}{helpers}{functions}\n\n{class}"
        )
    }

    /// Whether the functions of a stage are given numbers beside the group's.
    fn reads_totals(&self) -> bool {
        self.writer.listing.step.is_some() || self.writer.listing.stages.len() > 1
    }

    /// The step of one tensor, or the sums over it that a stage takes.
    fn function(&self, stage: usize) -> String {
        let listing = self.writer.listing;
        let Stage { lines, sums, .. } = &listing.stages[stage];
        let mut parameters: Vec<String> =
            self.writer.arrays().into_iter().map(|name| format!("{name}: Tensor")).collect();
        parameters.push("group: dict[str, Any]".to_owned());
        if self.reads_totals() {
            parameters.push("totals: dict[str, Any]".to_owned());
        }
        let is_last = self.writer.is_last(stage);
        let mut text = if is_last {
            bracketed(0, "def _update(", &parameters, ") -> tuple[Tensor, ...]:")
                + "    \"\"\"The weights and the slots of one tensor after a step.\"\"\"\n"
        } else {
            let names: Vec<&str> = sums.iter().map(|sum| sum.name.as_str()).collect();
            bracketed(0, &format!("def _sums_{}(", stage + 1), &parameters, ") -> list[Any]:")
                + &format!("    \"\"\"What one tensor adds to {}.\"\"\"\n", names.join(", "))
        };
        text += &self.numbers(stage);
        for line in lines {
            text += &self.line(line);
        }
        if is_last {
            return text + &self.end();
        }
        let values: Vec<String> = sums
            .iter()
            .map(|sum| {
                let [x, y] = [&sum.x, &sum.y].map(|factor| written(&self.notation, factor));
                match (sum.is_of_trees(), sum.y == Expression::Number(1.0)) {
                    (true, true) => format!("_sum({x})"),
                    (true, false) => format!("_dot({x}, {y})"),
                    _ => written(
                        &self.notation,
                        &Expression::Call(
                            Callee::Function(Function::Multiply),
                            Type::PerArray,
                            vec![sum.x.clone(), sum.y.clone()],
                        ),
                    ),
                }
            })
            .collect();
        text + &bracketed(4, "return [", &values, "]")
    }

    fn line(&self, line: &Line) -> String {
        let text = written(&self.notation, &line.value);
        // An array that comes in is written to later, and so must not go by another name.
        let is_alias = matches!(&line.value, Expression::Name(_, ty) if ty.is_array());
        python::assignment(4, &line.name, &if is_alias { format!("{text}.clone()") } else { text })
    }

    /// The numbers that a stage reads.
    fn numbers(&self, stage: usize) -> String {
        let listing = self.writer.listing;
        let (scalars, per_array) = self.writer.read(stage);
        let mut needed: BTreeSet<String> = scalars.into_iter().chain(per_array).collect();
        let mut lines: Vec<&Line> = Vec::new();
        for line in listing.stages[..=stage].iter().flat_map(|stage| &stage.scalars).rev() {
            if needed.contains(&line.name) {
                lines.push(line);
                let mut found = Vec::new();
                names(&line.value, &mut found);
                needed.extend(found.into_iter().map(|(name, _)| name));
            }
        }
        let mut text = String::new();
        for (parameter, place) in self
            .writer
            .parameters()
            .zip(&self.writer.names.places)
            .filter(|(p, _)| needed.contains(&p.name))
        {
            let _ = writeln!(text, "    {} = float({})", parameter.name, place.read());
        }
        let totals = listing.step.iter().map(|step| step.name.as_str()).chain(self.writer.totals());
        for total in totals.filter(|total| needed.contains(*total)) {
            let _ = writeln!(text, "    {total} = totals[\"{total}\"]");
        }
        for line in lines.iter().rev() {
            text += &python::assignment(4, &line.name, &written(&self.notation, &line.value));
        }
        text
    }

    /// Returns the `return` statement of a step's function: the weights and the slots after the
    /// step.
    fn end(&self) -> String {
        let listing = self.writer.listing;
        let lines = listing.stages.last().map_or(&[][..], |stage| &stage.lines);
        let is_line = |name: &str| lines.iter().any(|line| line.name == name);
        let after = |(slot, value): (&String, &Expression)| match value {
            // An array of the step's must not become another slot's own.
            Expression::Name(name, _)
                if value.ty().is_array() && name != slot && !is_line(name) =>
            {
                format!("{name}.clone()")
            }
            value if value.ty().is_array() => written(&self.notation, value),
            value => format!(
                "torch.ones_like({slot}) * {}",
                written_within(&self.notation, value, Level::Atom)
            ),
        };
        let weights = format!(
            "{} - {}",
            listing.weights,
            written_within(&self.notation, &listing.update, Level::Product)
        );
        let slots = listing.slots.iter().zip(&listing.next_slots).map(after);
        let values: Vec<String> = std::iter::once(weights).chain(slots).collect();
        match values.as_slice() {
            [one] => format!("    return ({one},)\n"),
            values => {
                let one = format!("    return {}\n", values.join(", "));
                if one.chars().count() <= python::WIDTH + 1 {
                    one
                } else {
                    bracketed(4, "return (", values, ")")
                }
            }
        }
    }

    /// The sums of all stages.
    fn table(&self) -> String {
        let stages = &self.writer.listing.stages;
        let said =
            "# Sums that are taken before the update, and whether each tensor keeps its own.\n";
        let start = "_SUMS: tuple[tuple[Any, list[tuple[str, bool]]], ...] = (";
        let mut text = format!("{said}{start}\n");
        for (index, stage) in stages[..stages.len() - 1].iter().enumerate() {
            let names: Vec<String> = stage
                .sums
                .iter()
                .map(|sum| {
                    format!("(\"{}\", {})", sum.name, if sum.per_array { "True" } else { "False" })
                })
                .collect();
            text += &bracketed(4, &format!("(_sums_{}, [", index + 1), &names, "]),");
        }
        let lines: Vec<&str> = text.lines().collect();
        if let [_, _, row] = lines.as_slice()
            && start.len() + row.trim().len() < python::WIDTH
        {
            text = format!("{said}{start}{})\n", row.trim());
            return text + after_head(text::PLAIN_REDUCE);
        }
        text + ")\n" + after_head(text::PLAIN_REDUCE)
    }

    fn constructor(&self) -> String {
        let names = self.writer.names;
        let keys = self.writer.keys();
        let mut parameters = vec!["self".to_owned(), "params: ParamsT".to_owned()];
        parameters.extend(keys.iter().map(|(key, ty, default)| format!("{key}: {ty} = {default}")));
        let mut text = bracketed(4, "def __init__(", &parameters, ") -> None:");
        for (parameter, place) in self.writer.parameters().zip(&names.places) {
            let value = place
                .index
                .map_or_else(|| place.key.clone(), |index| format!("{}[{index}]", place.key));
            let sign = |is_in: bool| if is_in { "<=" } else { "<" };
            let low = parameter.range.low.map_or_else(
                || "-torch.inf <".to_owned(),
                |(low, is_in)| format!("{low} {}", sign(is_in)),
            );
            let high = parameter.range.high.map_or_else(
                || "< torch.inf".to_owned(),
                |(high, is_in)| format!("{} {high}", sign(is_in)),
            );
            let _ = writeln!(text, "        if not {low} {value} {high}:");
            let message =
                format!("f\"{} is {{{value}}}, but must be {}\"", place.own, parameter.range);
            text += &bracketed(12, "raise ValueError(", &[message], ")");
        }
        let mut defaults: Vec<String> =
            keys.iter().map(|(key, ..)| format!("\"{key}\": {key}")).collect();
        if names.lacks_rate {
            defaults.push("\"lr\": 1.0".to_owned());
        }
        if names.lacks_momentum {
            defaults.push("\"momentum\": 0.0".to_owned());
        }
        defaults.extend(names.unread().iter().map(|(key, value)| format!("\"{key}\": {value}")));
        text += &bracketed(8, "defaults = {", &defaults, "}");
        text + "        super().__init__(params, defaults)\n"
    }

    fn class(&self) -> String {
        let Writer { listing, names, takes_complex } = *self.writer;
        let step = listing.step.as_ref();
        // A parameter that is there twice has made a step by then; sums are taken before.
        let sums = listing.stages.len() > 1;
        let totals = step.filter(|_| sums).map_or_else(
            || "{}".to_owned(),
            |step| format!("{{\"{}\": state[\"step\"].item() + 1}}", step.name),
        );
        let conditions = [
            ("state", self.writer.has_state()),
            ("slots", !names.slots.is_empty()),
            ("counts", names.counts_steps),
            ("step_now", step.is_some() && !sums),
            ("sums", sums),
            ("complex", takes_complex),
            ("no_rate", names.lacks_rate),
        ];
        let texts = [
            ("CLASS", &class_name(listing)[..]),
            ("CONSTRUCTOR", &self.constructor()),
            ("STEP", step.map_or("", |step| &step.name)),
            ("TOTALS", &totals),
            (
                "UPDATE",
                if self.reads_totals() {
                    "_update(*(*arrays, group, totals))"
                } else {
                    "_update(*(*arrays, group))"
                },
            ),
        ];
        filled(text::PLAIN, &conditions, &texts).trim_start().to_owned()
    }
}
