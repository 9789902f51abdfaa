//! A program as a Rust module that needs the standard library only, for the editions 2021 and 2024.
//!
//! `step` takes one array with its gradients and its slots, and is called for each array of a
//! model. Only where a program takes a sum over all arrays (a global norm, a dot product) it takes
//! slices of them. The state belongs to the caller, who sets it to zero at first.
//!
//! Scalars are f64 and are rounded to f32 where they meet arrays; sums over elements are taken in
//! f64, in the order of the reference interpreter; Rust never fuses a product with a sum. So a
//! program of `+ - * /`, `sqrt`, `abs`, `sign`, `maximum`, `minimum`, comparisons, `where` and sums
//! is meant to have the reference's bits; in the conformance suite, on x86-64, those of the zoo
//! have them. Other functions are the standard library's, that is, the C library's, whose last
//! places differ from one library to the next. Functions of matrices are refused.
//!
//! The loops that the zoo is compiled to come from [`rust`](super::fused_loops): they are
//! dispatched at run time to what the processor has, run over parts of arrays on several threads,
//! and take slots in bf16 too, for which they need the evaluator.
//!
//! The text is laid out as rustfmt has it by default.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::LazyLock;

use symopt_dsl::{Function, Graph, Profile, Program, Range, Type};

use super::loops::{Loop, Loops, step_words};
use crate::listing::{
    Callee, Expression, Line, Listing, ListingOptions, ScalarParameter, UNDERSCORED,
};
use crate::notation::{
    Level, Notation, comparison, condition, shortest, written, written_in_array, written_within,
};
use crate::python::{calls, wrapped};
use crate::runtime::{self, Helpers};
use crate::spelling::{lacks_matrix, spelling};

/// Columns that a line may take.
const WIDTH: usize = 100;

/// Columns that the arguments of a call, or a chain of method calls, may take before rustfmt puts
/// them on lines of their own.
const CALL_WIDTH: usize = 60;

/// Columns of a struct literal that stands on one line.
const LITERAL_WIDTH: usize = 18;

/// Arguments that clippy lets a function have.
const ARGUMENTS: usize = 7;

/// Names that no variable can have: words of Rust, and what the file itself calls things.
const RESERVED: &[&str] = &[
    "BLOCK",
    "Default",
    "Err",
    "Hyperparameters",
    "LANES",
    "None",
    "Ok",
    "Self",
    "Some",
    "TreeSum",
    "abstract",
    "array",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "chunk",
    "clip_factor",
    "const",
    "continue",
    "crate",
    "do",
    "dyn",
    "else",
    "end",
    "enum",
    "extern",
    "f32",
    "f64",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "hyperparameters",
    "i",
    "if",
    "impl",
    "in",
    "lane",
    "lanes",
    "lanes_sum",
    "length",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "pub",
    "ref",
    "return",
    "self",
    "start",
    "static",
    "std",
    "step",
    "struct",
    "sums",
    "super",
    "totals",
    "trait",
    "trees",
    "true",
    "try",
    "type",
    "typeof",
    "u64",
    "unsafe",
    "unsized",
    "update_array",
    "use",
    "usize",
    "virtual",
    "where",
    "while",
    "yield",
];

/// Helpers for f32; those for f64 are made of them. Some go around the standard library: its inverse
/// hyperbolic functions overflow from half of the largest number on, and its inverse hyperbolic
/// tangent loses its digits near -1.
static HELPERS: Helpers =
    LazyLock::new(|| runtime::functions(include_str!("../../runtime/rust/functions.rs")));

/// Parts that a file may call besides, by the name that it calls.
const PARTS: [(&str, &str); 3] = [
    ("clip_factor", include_str!("../../runtime/rust/clip_factor.rs")),
    ("TreeSum", include_str!("../../runtime/rust/tree_sum.rs")),
    ("lanes_sum", include_str!("../../runtime/rust/lanes_sum.rs")),
];

/// Why Rust can't express a function.
pub fn lacks(function: Function) -> Option<String> {
    lacks_matrix(function)
}

/// Rust, with the names of the arrays, whose elements are read.
struct RustNotation<'a> {
    arrays: Vec<&'a str>,
}

impl RustNotation<'_> {
    fn in_type(spelling: &str, ty: Type) -> String {
        match (ty, spelling.starts_with(|c: char| c.is_ascii_lowercase())) {
            (Type::Tree, _) => spelling.to_owned(),
            (_, true) => spelling.replacen('(', "_f64(", 1),
            (_, false) => spelling.replace("_f32", "_f64"),
        }
    }
}

impl Notation for RustNotation<'_> {
    fn spelling(&self, callee: Callee, ty: Type) -> Option<Cow<'static, str>> {
        match callee {
            Callee::ClipFactor => Some("clip_factor({x}, {y})".into()),
            // At an element, rounding does it.
            Callee::Spread => Some("{x}".into()),
            Callee::Function(Function::Size) => Some("length as f64".into()),
            Callee::Function(function) => {
                Some(RustNotation::in_type(spelling(function)?.rust?, ty).into())
            }
        }
    }

    fn operator(
        &self,
        function: Function,
        ty: Type,
        arguments: &[Expression],
    ) -> Option<Cow<'static, str>> {
        let real = if ty == Type::Tree { "f32" } else { "f64" };
        let call = || Expression::Call(Callee::Function(function), ty, arguments.to_vec());
        if let (Function::Where, [test, ..]) = (function, arguments) {
            let helper = if ty == Type::Tree { "select" } else { "select_f64" };
            return Some(format!("{helper}({}, {{y}}, {{z}})", condition(self, ty, test)).into());
        }
        if let Some(comparison) = comparison(self, &call()) {
            return Some(format!("{real}::from({comparison})").into());
        }
        // A number that a method is called on says what it is.
        let ([Expression::Number(number), ..], Some(text)) =
            (arguments, spelling(function).and_then(|row| row.rust))
        else {
            return None;
        };
        // A number that is not finite has its type in its name.
        let suffixed = |text: String, suffix: &str| {
            if text.contains("::") { format!("({text})") } else { format!("({text}{suffix})") }
        };
        let literal = match ty {
            Type::PerArray | Type::Scalar => suffixed(self.number(*number), "_f64"),
            _ => suffixed(float(*number as f32), "_f32"),
        };
        let is_plain = number.is_finite() && !number.is_sign_negative();
        let literal = if is_plain { literal.trim_matches(['(', ')']).to_owned() } else { literal };
        text.contains("{x!}")
            .then(|| RustNotation::in_type(text, ty).replace("{x!}", &literal).into())
    }

    fn rounded(&self, value: &Expression) -> Option<(String, Level)> {
        Some(match value {
            Expression::Number(number) => {
                let level = if number.is_sign_negative() { Level::Negative } else { Level::Atom };
                (float(*number as f32), level)
            }
            value => (
                format!("{} as f32", written_within(self, value, Level::Negative)),
                Level::Negative,
            ),
        })
    }

    fn number(&self, number: f64) -> String {
        if number.is_finite() { shortest(number) } else { not_finite("f64", number) }
    }

    fn name(&self, name: &str, ty: Type) -> String {
        if ty == Type::Tree && self.arrays.contains(&name) {
            format!("{name}[i]")
        } else {
            name.to_owned()
        }
    }
}

fn not_finite(ty: &str, number: f64) -> String {
    if number.is_nan() {
        format!("{ty}::NAN")
    } else {
        format!("{ty}::{}INFINITY", if number > 0.0 { "" } else { "NEG_" })
    }
}

/// A number as a literal of the type f32.
fn float(number: f32) -> String {
    if !number.is_finite() {
        return not_finite("f32", f64::from(number));
    }
    let (plain, scientific) = (format!("{number:?}"), format!("{number:e}"));
    if number != 0.0 && scientific.len() < plain.len() { scientific } else { plain }
}

/// The file. `graph` must be the program's own.
pub fn file(program: &Program, graph: &Graph) -> String {
    let own: Vec<String> = HELPERS
        .iter()
        .flat_map(|(helper, _)| [(*helper).to_owned(), format!("{helper}_f64")])
        .chain((1..=program.statements.len() + 1).map(|loop_| format!("sums{loop_}")))
        .chain(
            program.signature().parameters.iter().map(|parameter| format!("{}_i", parameter.name)),
        )
        .collect();
    let reserved: Vec<&str> = RESERVED
        .iter()
        .copied()
        .chain([UNDERSCORED])
        .chain(own.iter().map(String::as_str))
        .collect();
    let listing = Listing::new(
        program,
        graph,
        ListingOptions { reserved: &reserved, rebind: false, array_sums_inside: false },
    );
    let mut arrays = vec![listing.weights.as_str(), listing.gradients.as_str()];
    arrays.extend(listing.slots.iter().map(String::as_str));
    let notation = RustNotation { arrays };
    let fits = |line: &Line, inside: bool| {
        let text = if inside {
            written_in_array(&notation, &line.value)
        } else {
            written(&notation, &line.value)
        };
        let margin = if inside { 16 } else { 8 };
        margin + format!("let {} = {text};", line.name).chars().count() <= WIDTH
            && calls_fit(&notation, &line.value)
    };
    let loops = Loops::new(&listing, &fits);
    Writer { listing: &listing, loops: &loops, notation: &notation }.file()
}

/// Whether the calls inside an expression are short enough to stay on one line.
fn calls_fit(notation: &RustNotation, expression: &Expression) -> bool {
    let Expression::Call(callee, ty, arguments) = expression else { return true };
    let is_call = notation.spelling(*callee, *ty).is_some() || is_select(*callee);
    let text = if *ty == Type::Tree {
        written_in_array(notation, expression)
    } else {
        written(notation, expression)
    };
    (!is_call || text.chars().count() <= CALL_WIDTH)
        && arguments.iter().all(|argument| calls_fit(notation, argument))
}

/// Whether a call is one of those that are written with Rust's comparisons.
fn is_select(callee: Callee) -> bool {
    matches!(callee, Callee::Function(function) if function.row().profile == Profile::Select)
}

struct Writer<'a> {
    listing: &'a Listing,
    loops: &'a Loops,
    notation: &'a RustNotation<'a>,
}

impl Writer<'_> {
    fn file(&self) -> String {
        let mut items = Vec::new();
        if !self.listing.hyperparameters.is_empty() {
            items.push(self.hyperparameters());
        }
        let mut body = vec![self.step()];
        if self.loops.loops.len() > 1 {
            body.extend((0..self.loops.loops.len()).map(|place| self.loop_function(place)));
        }
        items.extend(body.iter().cloned());
        items.extend(helpers(&body.concat()));
        let text = items.join("\n");
        format!("{}{}\n{text}", self.head(), self.allowances())
    }

    fn head(&self) -> String {
        let listing = self.listing;
        let doc = listing.doc.as_deref().map(str::trim).filter(|doc| !doc.is_empty());
        let doc = doc.map_or_else(|| format!("{}, an optimizer", listing.name), str::to_owned);
        let text = format!(
            "{}\n\nThe state is zero before the first step.\nWritten by symopt {} from the program `{}` with the functional hash\n{}.",
            fenced(&wrapped(&doc)),
            env!("CARGO_PKG_VERSION"),
            listing.name,
            listing.hash
        );
        doc_comment("//!", &text)
    }

    /// Returns an `allow` attribute for the lints that the text violates, if there are any.
    fn allowances(&self) -> String {
        let mut lints = BTreeSet::new();
        let expressions = || {
            let of_loops = self.loops.loops.iter().flat_map(|l| {
                let lines = l.numbers.iter().chain(&l.lines).map(|line| &line.value);
                lines.chain(l.results.iter().map(|(_, value)| value))
            });
            of_loops.chain(
                self.loops
                    .rounds
                    .iter()
                    .flat_map(|round| round.scalars.iter().map(|line| &line.value)),
            )
        };
        let defaults =
            self.listing.hyperparameters.iter().filter_map(|parameter| parameter.default);
        if expressions()
            .any(|e| any(e, &|e| matches!(e, Expression::Number(n) if is_near_constant(*n))))
            || defaults.into_iter().any(is_near_constant)
        {
            lints.insert("clippy::approx_constant");
        }
        // A program may combine a value with itself, which gives 0, or 1, or NaN.
        if expressions().any(|e| any(e, &|e| matches!(e, Expression::Call(.., arguments) if matches!(&arguments[..], [x, y] if x == y)))) {
            lints.insert("clippy::eq_op");
        }
        let is_copy = |line: &Line| matches!(line.value, Expression::Name(_, Type::Tree));
        if self.loops.loops.iter().any(|l| l.lines.iter().any(is_copy)) {
            lints.insert("clippy::manual_swap");
        }
        let names = self.loops.loops.iter().flat_map(|l| {
            l.numbers
                .iter()
                .chain(&l.lines)
                .map(|line| &line.name)
                .chain(&l.arrays)
                .chain(&l.scalars)
        });
        let parameters = self.listing.hyperparameters.iter().map(|parameter| &parameter.name);
        if names
            .chain(parameters)
            .any(|name| name.contains("__") || name.contains(|c: char| c.is_ascii_uppercase()))
        {
            lints.insert("non_snake_case");
        }
        let lints: Vec<&str> = lints.into_iter().collect();
        if lints.is_empty() {
            String::new()
        } else {
            format!("\n#![allow({})]\n", lints.join(", "))
        }
    }

    fn hyperparameters(&self) -> String {
        let parameters = &self.listing.hyperparameters;
        let mut text = "/// What a step can be told.\n#[derive(Clone, Copy, Debug, PartialEq)]\npub struct Hyperparameters {\n".to_owned();
        let default =
            |parameter: &ScalarParameter| self.notation.number(parameter.default.unwrap_or(0.0));
        for parameter in parameters {
            let _ = writeln!(
                text,
                "    /// `{}` of the program, {}; {} by default.",
                parameter.given,
                parameter.range,
                default(parameter)
            );
            let _ = writeln!(text, "    pub {}: f64,", parameter.name);
        }
        text += "}\n\nimpl Default for Hyperparameters {\n    fn default() -> Self {\n";
        let fields: Vec<String> = parameters
            .iter()
            .map(|parameter| format!("{}: {}", parameter.name, default(parameter)))
            .collect();
        let one = fields.join(", ");
        if one.chars().count() <= LITERAL_WIDTH {
            let _ = writeln!(text, "        Self {{ {one} }}");
        } else {
            text += "        Self {\n";
            fields.iter().for_each(|field| {
                let _ = writeln!(text, "            {field},");
            });
            text += "        }\n";
        }
        text += "    }\n}\n\nimpl Hyperparameters {\n    /// Says which value is out of its range, for a caller that takes them from elsewhere.\n";
        text += "    #[allow(dead_code)]\n    pub fn check(&self) -> Result<(), &'static str> {\n";
        for ScalarParameter { name, range, .. } in parameters {
            let condition = self.condition(&format!("self.{name}"), *range);
            let is_call = condition.ends_with(')') && !condition.contains(" && ");
            let condition =
                if is_call { format!("!{condition}") } else { format!("!({condition})") };
            let _ = writeln!(text, "        if {condition} {{");
            let _ =
                writeln!(text, "            return Err(\"{name} must be {range}\");\n        }}");
        }
        text + "        Ok(())\n    }\n}\n"
    }

    /// Whether a value is in its range, as an expression.
    fn condition(&self, value: &str, range: Range) -> String {
        let sign = |is_in: bool| if is_in { "=" } else { "" };
        let bound = |number: f64| self.notation.number(number);
        match (range.low, range.high) {
            (Some((low, true)), Some((high, high_is_in))) => {
                let dots = if high_is_in { "..=" } else { ".." };
                format!("({}{dots}{}).contains(&{value})", bound(low), bound(high))
            }
            (Some((low, low_is_in)), Some((high, high_is_in))) => {
                format!(
                    "{value} >{} {} && {value} <{} {}",
                    sign(low_is_in),
                    bound(low),
                    sign(high_is_in),
                    bound(high)
                )
            }
            (Some((low, true)), None) => format!("({}..=f64::MAX).contains(&{value})", bound(low)),
            (Some((low, false)), None) => {
                format!("{value}.is_finite() && {value} > {}", bound(low))
            }
            (None, Some((high, is_in))) => {
                format!("{value}.is_finite() && {value} <{} {}", sign(is_in), bound(high))
            }
            (None, None) => format!("{value}.is_finite()"),
        }
    }

    fn line(&self, line: &Line) -> String {
        let (real, value) = match line.value.ty() {
            Type::PerArray | Type::Scalar => ("f64", written(self.notation, &line.value)),
            _ => ("f32", written_in_array(self.notation, &line.value)),
        };
        // A literal alone does not say what it is.
        let ty = if is_literal(&line.value) { format!(": {real}") } else { String::new() };
        format!("let {}{ty} = {value};", line.name)
    }

    fn function_of(&self, place: usize) -> String {
        if place + 1 == self.loops.loops.len() {
            "update_array".to_owned()
        } else {
            format!("sums{}", place + 1)
        }
    }

    fn loop_function(&self, place: usize) -> String {
        let this = &self.loops.loops[place];
        let Loop { arrays, written, scalars, numbers, sums, .. } = this;
        let mut parameters: Vec<String> = Vec::new();
        if takes_arrays(this) {
            parameters
                .extend(arrays.iter().map(|array| array_parameter(array, written.contains(array))));
        }
        parameters.extend(scalars.iter().map(|scalar| format!("{scalar}: f64")));
        let mut text = if sums.is_empty() {
            "/// Steps an array.\n"
        } else {
            "/// Takes sums over an array.\n"
        }
        .to_owned();
        let result =
            if sums.is_empty() { String::new() } else { format!(" -> [f64; {}]", sums.len()) };
        text += &function(&format!("fn {}", self.function_of(place)), &parameters, &result);
        let needs_length = arrays.len() > 1 || this.reads_size || !sums.is_empty();
        if takes_arrays(this) && needs_length {
            self.lengths(&mut text, arrays, written);
        }
        for line in numbers {
            let _ = writeln!(text, "    {}", self.line(line));
        }
        if sums.is_empty() {
            self.writing_loop(&mut text, place)
        } else {
            self.summing_loop(&mut text, place)
        }
        text + "}\n"
    }

    /// One length for all lets the compiler drop the checks of places.
    fn lengths(&self, text: &mut String, arrays: &[String], written: &[String]) {
        let Some((first, rest)) = arrays.split_first() else { return };
        let _ = writeln!(text, "    let length = {first}.len();");
        for array in rest {
            let _ = writeln!(
                text,
                "    let {array} = &{}{array}[..length];",
                if written.contains(array) { "mut " } else { "" }
            );
        }
    }

    fn writing_loop(&self, text: &mut String, place: usize) {
        let Loop { arrays, lines, results, .. } = &self.loops.loops[place];
        let only_weights = arrays.len() == 1;
        // With one array, clippy would have it gone through by an iterator.
        let element = |text: String| {
            if !only_weights {
                return text;
            }
            let (place, element) =
                (format!("{}[i]", self.listing.weights), format!("{}_i", arrays[0]));
            // A method is called on what a reference refers to.
            text.replace(&format!("{place}."), &format!("{element}."))
                .replace(&place, &format!("*{element}"))
        };
        if only_weights {
            let _ = writeln!(text, "    for {0}_i in {0}.iter_mut() {{", arrays[0]);
        } else {
            *text += "    for i in 0..length {\n";
        }
        for line in lines {
            let _ = writeln!(text, "        {}", element(self.line(line)));
        }
        for (array, value) in results {
            let operator = if *array == self.listing.weights { "-=" } else { "=" };
            let _ = writeln!(
                text,
                "        {}",
                element(format!(
                    "{array}[i] {operator} {};",
                    written_in_array(self.notation, value)
                ))
            );
        }
        *text += "    }\n";
    }

    fn summing_loop(&self, text: &mut String, place: usize) {
        let Loop { lines, sums, .. } = &self.loops.loops[place];
        let trees = sums.iter().filter(|sum| sum.is_of_trees()).count();
        if trees > 0 {
            let _ = writeln!(text, "    let mut trees = [TreeSum::EMPTY; {trees}];");
            *text += "    for start in (0..length).step_by(BLOCK) {\n        let end = length.min(start + BLOCK);\n";
            let _ = writeln!(text, "        let mut lanes = [[0.0; LANES]; {trees}];");
            *text += "        for chunk in (start..end).step_by(LANES) {\n";
            *text += "            for (lane, i) in (chunk..end.min(chunk + LANES)).enumerate() {\n";
            for line in lines {
                let _ = writeln!(text, "                {}", self.line(line));
            }
            let factor = |factor: &Expression| match factor {
                Expression::Number(number) => self.notation.number(f64::from(*number as f32)),
                factor => format!("f64::from({})", written_in_array(self.notation, factor)),
            };
            for (tree, sum) in sums.iter().filter(|sum| sum.is_of_trees()).enumerate() {
                let _ = writeln!(
                    text,
                    "                lanes[{tree}][lane] += {};",
                    sum.written(factor)
                );
            }
            *text += "            }\n        }\n        for (tree, lanes) in trees.iter_mut().zip(lanes) {\n";
            *text += "            tree.add(lanes_sum(lanes));\n        }\n    }\n";
        }
        let mut tree = 0;
        let values = sums.iter().map(|sum| {
            if sum.is_of_trees() {
                tree += 1;
                format!("trees[{}].sum()", tree - 1)
            } else {
                let factor =
                    |factor: &Expression| written_within(self.notation, factor, Level::Negative);
                sum.written(factor)
            }
        });
        let values: Vec<String> = values.collect();
        *text += &vertical(4, "[", &values, "]");
    }

    fn step(&self) -> String {
        let listing = self.listing;
        let one = self.loops.is_of_one_array();
        let last = &self.loops.loops[self.loops.loops.len() - 1];
        let arrays: Vec<&String> =
            [&listing.weights, &listing.gradients].into_iter().chain(&listing.slots).collect();
        let is_read = |array: &str| {
            self.loops.loops.iter().any(|l| takes_arrays(l) && l.arrays.iter().any(|a| a == array))
        };
        let quiet =
            |name: &str, used: bool| if used { name.to_owned() } else { format!("_{name}") };
        let mut parameters: Vec<String> = Vec::new();
        for array in &arrays {
            let (name, written) = (quiet(array, is_read(array)), last.written.contains(array));
            let constant = if written { "mut " } else { "" };
            let of_many = format!("{name}: &{constant}[&{constant}[f32]]");
            parameters.push(if one { array_parameter(&name, written) } else { of_many });
        }
        parameters.extend(
            listing
                .learning_rate
                .iter()
                .map(|rate| format!("{}: f64", quiet(&rate.name, rate.used))),
        );
        parameters.extend(
            listing.step.iter().map(|step| format!("{}: u64", quiet(&step.name, step.used))),
        );
        if !listing.hyperparameters.is_empty() {
            let used = listing.hyperparameters.iter().any(|parameter| parameter.used);
            parameters.push(format!("{}: &Hyperparameters", quiet("hyperparameters", used)));
        }
        let mut text = self.step_comment(one);
        text += &function("pub fn step", &parameters, "");
        for step in listing.step.iter().filter(|step| step.used) {
            let _ = writeln!(text, "    let {0} = {0} as f64;", step.name);
        }
        for parameter in listing.hyperparameters.iter().filter(|parameter| parameter.used) {
            let _ = writeln!(text, "    let {0} = hyperparameters.{0};", parameter.name);
        }
        for round in 0..self.loops.rounds.len() {
            self.round(&mut text, round);
        }
        text + "}\n"
    }

    fn step_comment(&self, one: bool) -> String {
        let first = if one {
            "One step of an array; call it for each array of a model."
        } else {
            "One step of a list of arrays."
        };
        let panics = "\n\n# Panics\n\nIf the arrays differ in length.";
        doc_comment("///", &format!("{}{panics}", wrapped(&step_words(self.listing, first))))
    }

    fn round(&self, text: &mut String, round: usize) {
        let one = self.loops.is_of_one_array();
        let is_last = round + 1 == self.loops.rounds.len();
        let round = &self.loops.rounds[round];
        for line in &round.scalars {
            let _ = writeln!(text, "    {}", self.line(line));
        }
        if self.loops.loops.len() == 1 {
            let Loop { arrays, written, reads_size, numbers, .. } = &self.loops.loops[0];
            if arrays.len() > 1 || *reads_size {
                self.lengths(text, arrays, written);
            }
            for line in numbers {
                let _ = writeln!(text, "    {}", self.line(line));
            }
            self.writing_loop(text, 0);
            return;
        }
        let last = round.loops[round.loops.len() - 1];
        let sums = &self.loops.loops[last].sums;
        let totals: Vec<(usize, &str)> = sums
            .iter()
            .enumerate()
            .filter(|(_, sum)| !sum.per_array)
            .map(|(index, sum)| (index, sum.name.as_str()))
            .collect();
        let number = last + 1;
        if !is_last {
            let _ =
                writeln!(text, "    let mut totals{number} = [TreeSum::EMPTY; {}];", totals.len());
        }
        let indent = if one { 4 } else { 8 };
        let lists: BTreeSet<&String> =
            round.loops.iter().flat_map(|place| &self.loops.loops[*place].arrays).collect();
        let only_list = lists.first().filter(|_| lists.len() == 1);
        match only_list {
            _ if one => {}
            // Clippy would have a single list gone through by an iterator.
            Some(list) => {
                let _ = writeln!(
                    text,
                    "    for {list} in {list}.iter{}() {{",
                    if is_last { "_mut" } else { "" }
                );
            }
            None => {
                let _ = writeln!(text, "    for array in 0..{}.len() {{", self.listing.weights);
            }
        }
        for place in &round.loops {
            self.call(text, indent, *place, &round.loops, one || only_list.is_some());
        }
        if !is_last {
            for (index, (sum, _)) in totals.iter().enumerate() {
                let _ = writeln!(
                    text,
                    "{}totals{number}[{index}].add(sums{number}[{sum}]);",
                    " ".repeat(indent)
                );
            }
        }
        if !one {
            *text += "    }\n";
        }
        if !is_last {
            for (index, (_, total)) in totals.iter().enumerate() {
                let _ = writeln!(text, "    let {total} = totals{number}[{index}].sum();");
            }
        }
    }

    /// The call of the function that runs a loop, and the totals of the array that it gives.
    fn call(
        &self,
        text: &mut String,
        indent: usize,
        place: usize,
        round: &[usize],
        is_of_one: bool,
    ) {
        let this = &self.loops.loops[place];
        let margin = " ".repeat(indent);
        let own = |array: &String| match (is_of_one, this.written.contains(array)) {
            (true, _) => array.clone(),
            (false, true) => format!("&mut *{array}[array]"),
            (false, false) => format!("{array}[array]"),
        };
        let mut arguments: Vec<String> =
            if takes_arrays(this) { this.arrays.iter().map(own).collect() } else { Vec::new() };
        arguments.extend(this.scalars.iter().cloned());
        let binding =
            if this.sums.is_empty() { String::new() } else { format!("let sums{} = ", place + 1) };
        *text +=
            &vertical(indent, &format!("{binding}{}(", self.function_of(place)), &arguments, ");");
        for (index, sum) in this
            .sums
            .iter()
            .enumerate()
            .filter(|(_, sum)| sum.per_array && self.loops.is_read(&sum.name, round))
        {
            let _ = writeln!(text, "{margin}let {} = sums{}[{index}];", sum.name, place + 1);
        }
    }
}

/// Whether a value is written as a number.
fn is_literal(value: &Expression) -> bool {
    match value {
        Expression::Number(_) => true,
        Expression::Call(Callee::Spread, _, arguments) => {
            matches!(arguments.first(), Some(Expression::Number(_)))
        }
        _ => false,
    }
}

fn takes_arrays(this: &Loop) -> bool {
    this.has_elements() || this.reads_size
}

fn array_parameter(name: &str, written: bool) -> String {
    format!("{name}: &{}[f32]", if written { "mut " } else { "" })
}

/// The head of a function, down to the brace.
fn function(name: &str, parameters: &[String], result: &str) -> String {
    let allowance =
        if parameters.len() > ARGUMENTS { "#[allow(clippy::too_many_arguments)]\n" } else { "" };
    let one = format!("{name}({}){result} {{\n", parameters.join(", "));
    if one.chars().count() <= WIDTH + 1 {
        return format!("{allowance}{one}");
    }
    let lines: String = parameters.iter().map(|parameter| format!("    {parameter},\n")).collect();
    format!("{allowance}{name}(\n{lines}){result} {{\n")
}

/// `HEAD ITEMS TAIL` on one line, or each item on a line of its own.
fn vertical(indent: usize, head: &str, items: &[String], tail: &str) -> String {
    let margin = " ".repeat(indent);
    let joined = items.join(", ");
    let one = format!("{margin}{head}{joined}{tail}\n");
    if joined.chars().count() <= CALL_WIDTH && one.chars().count() <= WIDTH + 1 {
        return one;
    }
    let lines: String = items.iter().map(|item| format!("{margin}    {item},\n")).collect();
    format!("{margin}{head}\n{lines}{margin}{tail}\n")
}

/// The helpers that a text calls, in the order of the list.
fn helpers(body: &str) -> Vec<String> {
    let mut list = Vec::new();
    for (helper, definition) in HELPERS.iter() {
        if calls(body, helper) {
            list.push((*definition).to_owned());
        }
        let in_double = format!("{helper}_f64");
        if calls(body, &in_double) {
            let definition = definition
                .replace(" as f32", "")
                .replace("f64::from(x)", "x")
                .replace("f32", "f64");
            list.push(definition.replace(&format!("fn {helper}("), &format!("fn {in_double}(")));
        }
    }
    list.extend(
        PARTS
            .iter()
            .filter(|(name, _)| calls(body, name))
            .map(|(_, definition)| (*definition).to_owned()),
    );
    list
}

/// Lines that are indented in a doc string, as a block that is no code to be run.
fn fenced(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut inside = false;
    let all: Vec<&str> = text.lines().collect();
    for (index, line) in all.iter().enumerate() {
        let goes_on = line.starts_with(' ')
            || (inside
                && line.is_empty()
                && all.get(index + 1).is_some_and(|next| next.starts_with(' ')));
        if goes_on != inside {
            lines.push(if goes_on { "```text" } else { "```" }.to_owned());
            inside = goes_on;
        }
        lines.push(line.strip_prefix("    ").unwrap_or(line).to_owned());
    }
    if inside {
        lines.push("```".to_owned());
    }
    lines.join("\n")
}

/// A text as a documentation comment.
fn doc_comment(mark: &str, text: &str) -> String {
    text.lines().map(|line| format!("{mark} {line}").trim_end().to_owned() + "\n").collect()
}

/// Whether something inside an expression is so.
fn any(expression: &Expression, holds: &dyn Fn(&Expression) -> bool) -> bool {
    let inside = match expression {
        Expression::Call(.., arguments) => arguments.iter().any(|argument| any(argument, holds)),
        Expression::Name(..) | Expression::Number(_) => false,
    };
    inside || holds(expression)
}

/// Whether a number is so near to one of the constants of the standard library that clippy takes it
/// for a bad copy.
fn is_near_constant(number: f64) -> bool {
    use std::f64::consts as c;
    let constants = [
        c::E,
        c::PI,
        c::TAU,
        c::FRAC_1_PI,
        c::FRAC_1_SQRT_2,
        c::FRAC_2_PI,
        c::FRAC_2_SQRT_PI,
        c::FRAC_PI_2,
        c::FRAC_PI_3,
        c::FRAC_PI_4,
        c::FRAC_PI_6,
        c::FRAC_PI_8,
        c::LN_2,
        c::LN_10,
        c::LOG10_2,
        c::LOG10_E,
        c::LOG2_10,
        c::LOG2_E,
        c::SQRT_2,
        1.618_033_988_749_895,
        0.577_215_664_901_532_9,
    ];
    constants.iter().any(|constant| (number.abs() / constant - 1.0).abs() < 1e-2)
}
