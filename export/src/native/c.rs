//! A program as one C header: C99 that also compiles as C++, with nothing but `math.h` and
//! `stddef.h`.
//!
//! `NAME_step` takes one array with its gradients and its slots, and is called for each array of a
//! model. Only where a program takes a sum over all arrays (a global norm, a dot product) it takes
//! lists of them. The state belongs to the caller, who sets it to zero at first.
//!
//! Scalars are `double` and are rounded to `float` where they meet arrays; sums over elements are
//! taken in `double`, in the order of the reference interpreter. So a program of `+ - * /`, `sqrt`,
//! `abs`, `sign`, `maximum`, `minimum`, comparisons, `where` and sums is meant to have the
//! reference's bits; in the conformance suite, on x86-64 with gcc 12, those of the zoo have them.
//! Other functions are the C library's, whose last places differ from one library to the next.
//! Functions of matrices are refused. Intended behaviour by compiler and flags:
//!
//! - gcc (only 12 was tried): the header turns fused multiply-adds off for its own functions by
//!   `#pragma GCC optimize("fp-contract=off")`, which holds at `-O3 -march=native` too, where gcc
//!   by itself fuses; it ignores `#pragma STDC FP_CONTRACT`. clang is to heed the latter, to the
//!   end of the file that includes the header, and MSVC has a pragma of its own; neither compiler
//!   was tried.
//! - gcc vectorises the loops at `-O3`. `sqrtf` may set `errno`, which prevents that, so the header
//!   declares it again as `const`; for clang, there is `-fno-math-errno`. Other functions of
//!   `math.h` are not vectorised.
//! - `-ffast-math` breaks all of this, and so does arithmetic wider than float (x87:
//!   `FLT_EVAL_METHOD` other than 0).
//!
//! The text is laid out as clang-format has it in its LLVM style with 100 columns, where the return
//! type has no line of its own (`PenaltyReturnTypeOnItsOwnLine: 1000`).

use std::borrow::Cow;
use std::fmt::Write;

use symopt_dsl::{Function, Graph, Program, Type};

use super::loops::{Loop, Loops, step_words};
use crate::listing::{
    CAPITALS, Callee, Expression, Line, Listing, ListingOptions, ScalarParameter, UNDERSCORED,
};
use crate::notation::{
    Level, Notation, comparison, condition, shortest, written, written_in_array, written_within,
};
use crate::python::{calls, wrapped};
use crate::runtime;
use crate::spelling::{SPELLINGS, lacks_matrix, spelling};

/// Columns that a line may take.
const WIDTH: usize = 100;

/// Names that no variable can have: words of C and C++, macros, and what the file itself calls
/// things.
const RESERVED: &[&str] = &[
    "NULL",
    "NAN",
    "INFINITY",
    "HUGE_VAL",
    "I",
    "alignas",
    "alignof",
    "and",
    "and_eq",
    "array",
    "arrays",
    "asm",
    "auto",
    "bitand",
    "bitor",
    "block",
    "bool",
    "break",
    "case",
    "catch",
    "char",
    "chunk",
    "class",
    "complex",
    "compl",
    "concept",
    "const",
    "constexpr",
    "const_cast",
    "continue",
    "decltype",
    "default",
    "delete",
    "do",
    "double",
    "dynamic_cast",
    "else",
    "end",
    "enum",
    "errno",
    "explicit",
    "export",
    "extern",
    "false",
    "float",
    "for",
    "friend",
    "goto",
    "hyperparameters",
    "i",
    "if",
    "imaginary",
    "inline",
    "int",
    "lane",
    "lanes",
    "length",
    "lengths",
    "linux",
    "long",
    "math_errhandling",
    "mutable",
    "namespace",
    "new",
    "noexcept",
    "not",
    "not_eq",
    "nullptr",
    "operator",
    "or",
    "or_eq",
    "private",
    "protected",
    "public",
    "register",
    "reinterpret_cast",
    "requires",
    "restrict",
    "return",
    "short",
    "signed",
    "size_t",
    "sizeof",
    "start",
    "static",
    "static_assert",
    "static_cast",
    "struct",
    "sums",
    "switch",
    "template",
    "this",
    "thread_local",
    "throw",
    "totals",
    "trees",
    "true",
    "try",
    "typedef",
    "typeid",
    "typename",
    "typeof",
    "union",
    "unix",
    "unsigned",
    "used",
    "using",
    "virtual",
    "void",
    "volatile",
    "wchar_t",
    "while",
    "xor",
    "xor_eq",
];

/// Helpers: each in float and in double, where `REAL` is the type, `NAME` has the program's name
/// before it, and `0#` is a number of the type.
const HELPERS: &[(&str, &str, &str)] = &[
    ("sign", "REAL x", "return x > 0# ? 1# : x < 0# ? -1# : x;"),
    ("square", "REAL x", "return x * x;"),
    ("cube", "REAL x", "return x * x * x;"),
    (
        "maximum",
        "REAL x, REAL y",
        "return x != x ? x : x > y || (x == y && COPYSIGN(1#, x) > 0#) ? x : y;",
    ),
    (
        "minimum",
        "REAL x, REAL y",
        "return x != x ? x : x < y || (x == y && COPYSIGN(1#, x) < 0#) ? x : y;",
    ),
    ("guarded_log1p", "REAL x", "return x < -1# ? LOG(-(1# + x)) : LOG1P(x);"),
];

/// A file of helpers, in which `NAME` stands for the program's name.
fn helper_file(file: &str, name: &str) -> String {
    format!("{}\n", runtime::after_head(file).trim_start().replace("NAME", name))
}

/// Why C can't express a function.
pub fn lacks(function: Function) -> Option<String> {
    lacks_matrix(function)
}

/// C, with the name of the program, which the names of helpers begin with, and those of arrays,
/// whose elements are read.
struct CNotation<'a> {
    program: &'a str,
    arrays: Vec<&'a str>,
}

impl CNotation<'_> {
    /// A spelling for floats as one for doubles.
    fn in_double(spelling: &str) -> String {
        match spelling.strip_prefix("symopt_") {
            Some(helper) => format!("symopt_{}", helper.replacen('(', "_double(", 1)),
            None => spelling.replacen("f(", "(", 1).replace("10.0f", "10.0"),
        }
    }
}

impl Notation for CNotation<'_> {
    fn spelling(&self, callee: Callee, ty: Type) -> Option<Cow<'static, str>> {
        let text = match callee {
            Callee::ClipFactor => "symopt_clip_factor({x}, {y})".to_owned(),
            // At an element, rounding does it.
            Callee::Spread => "{x}".to_owned(),
            Callee::Function(Function::Size) => "(double)length".to_owned(),
            Callee::Function(function) => {
                let text = spelling(function)?.c?;
                if ty == Type::Tree { text.to_owned() } else { CNotation::in_double(text) }
            }
        };
        Some(text.replace("symopt_", &format!("{}_", self.program)).into())
    }

    fn operator(
        &self,
        function: Function,
        ty: Type,
        arguments: &[Expression],
    ) -> Option<Cow<'static, str>> {
        let call = || Expression::Call(Callee::Function(function), ty, arguments.to_vec());
        match (function, arguments) {
            (Function::Where, [test, ..]) => {
                Some(format!("{} ? {{y}} : {{z}}", condition(self, ty, test)).into())
            }
            _ => Some(
                format!(
                    "({})({})",
                    if ty == Type::Tree { "float" } else { "double" },
                    comparison(self, &call())?
                )
                .into(),
            ),
        }
    }

    fn rounded(&self, value: &Expression) -> Option<(String, Level)> {
        Some(match value {
            Expression::Number(number) => {
                let level = if number.is_sign_negative() { Level::Negative } else { Level::Atom };
                (float(*number as f32), level)
            }
            value => {
                (format!("(float){}", written_within(self, value, Level::Atom)), Level::Negative)
            }
        })
    }

    fn number(&self, number: f64) -> String {
        if number.is_finite() { shortest(number) } else { not_finite(number) }
    }

    fn name(&self, name: &str, ty: Type) -> String {
        if ty == Type::Tree && self.arrays.contains(&name) {
            format!("{name}[i]")
        } else {
            name.to_owned()
        }
    }
}

fn not_finite(number: f64) -> String {
    if number.is_nan() {
        "NAN"
    } else if number > 0.0 {
        "INFINITY"
    } else {
        "-INFINITY"
    }
    .to_owned()
}

/// A number as a literal of the type float.
fn float(number: f32) -> String {
    if !number.is_finite() {
        return not_finite(f64::from(number));
    }
    let (plain, scientific) = (format!("{number:?}"), format!("{number:e}"));
    let text = if number != 0.0 && scientific.len() < plain.len() { scientific } else { plain };
    format!("{text}f")
}

/// The file. `graph` must be the program's own.
pub fn file(program: &Program, graph: &Graph) -> String {
    let name = &program.signature().name;
    let own: Vec<String> =
        ["tree", "lanes_sum", "clip_factor", "step", "update", "defaults", "hyperparameters"]
            .into_iter()
            .chain(HELPERS.iter().map(|(helper, ..)| *helper))
            .flat_map(|helper| [format!("{name}_{helper}"), format!("{name}_{helper}_double")])
            .chain(
                (1..=program.statements.len() + 1)
                    .flat_map(|loop_| [format!("sums{loop_}"), format!("{name}_sums{loop_}")]),
            )
            .collect();
    // The functions of `math.h` that the file may call.
    let called: Vec<String> = SPELLINGS
        .iter()
        .filter_map(|row| row.c)
        .flat_map(|text| {
            let float: String = text.chars().take_while(char::is_ascii_alphanumeric).collect();
            [float.trim_end_matches('f').to_owned(), float]
        })
        .chain(["copysign", "copysignf"].map(str::to_owned))
        .collect();
    let own = own.iter().chain(&called).map(String::as_str);
    let reserved: Vec<&str> =
        RESERVED.iter().copied().chain([UNDERSCORED, CAPITALS]).chain(own).collect();
    let listing = Listing::new(
        program,
        graph,
        ListingOptions { reserved: &reserved, rebind: false, array_sums_inside: false },
    );
    let mut arrays = vec![listing.weights.as_str(), listing.gradients.as_str()];
    arrays.extend(listing.slots.iter().map(String::as_str));
    let notation = CNotation { program: name, arrays };
    let fits = |line: &Line, inside: bool| {
        let ty = if line.value.ty() == Type::Tree { "float" } else { "double" };
        let margin = if inside { 8 } else { 4 };
        let text = if inside {
            written_in_array(&notation, &line.value)
        } else {
            written(&notation, &line.value)
        };
        margin + format!("const {ty} {} = {text};", line.name).chars().count() <= WIDTH
    };
    let loops = Loops::new(&listing, &fits);
    Writer { listing: &listing, loops: &loops, notation: &notation }.file()
}

struct Writer<'a> {
    listing: &'a Listing,
    loops: &'a Loops,
    notation: &'a CNotation<'a>,
}

impl Writer<'_> {
    fn name(&self) -> &str {
        &self.listing.name
    }

    /// A word of the file's own, in capitals: the macros'.
    fn capitals(&self, word: &str) -> String {
        format!("{}_{word}", self.name().to_uppercase())
    }

    fn file(&self) -> String {
        let body = self.body();
        let (guard, restrict) = (self.capitals("H"), self.capitals("RESTRICT"));
        let mut text = self.head();
        let _ = writeln!(
            text,
            "#ifndef {guard}\n#define {guard}\n\n#include <math.h>\n#include <stddef.h>\n"
        );
        let _ = writeln!(
            text,
            "#ifdef __cplusplus\n#define {restrict} __restrict\n#else\n#define {restrict} restrict\n#endif\n"
        );
        text += "/* Each product and each sum is rounded by itself: no fused multiply-adds. */\n#if defined(__clang__)\n";
        text += "#pragma STDC FP_CONTRACT OFF\n#elif defined(__GNUC__)\n#pragma GCC push_options\n";
        text += "#pragma GCC optimize(\"fp-contract=off\", \"no-trapping-math\")\n#elif defined(_MSC_VER)\n#pragma fp_contract(off)\n#endif\n\n";
        if calls(&body, "sqrtf") {
            text += "/* What may set errno keeps gcc from vectorising a loop. */\n#if defined(__GNUC__) && !defined(__clang__)\n";
            text += "#ifdef __cplusplus\nextern \"C\" float sqrtf(float) __attribute__((const));\n#else\n";
            text += "extern float sqrtf(float) __attribute__((const));\n#endif\n#endif\n\n";
        }
        text += &self.hyperparameters();
        text += &self.helpers(&body);
        text += &body;
        let _ = write!(
            text,
            "\n#if defined(__GNUC__) && !defined(__clang__)\n#pragma GCC pop_options\n#endif\n\n#undef {restrict}\n\n#endif\n"
        );
        text
    }

    fn head(&self) -> String {
        let listing = self.listing;
        let doc = listing.doc.as_deref().map(str::trim).filter(|doc| !doc.is_empty());
        let doc = doc.map_or_else(|| format!("{}, an optimizer", self.name()), str::to_owned);
        let text = format!(
            "{doc}\n\nC99, or C++. The state is zero before the first step.\nWritten by symopt {} from the program `{}` with the functional hash\n{}.",
            env!("CARGO_PKG_VERSION"),
            self.name(),
            listing.hash
        );
        comment(&text, true)
    }

    fn hyperparameters(&self) -> String {
        let parameters = &self.listing.hyperparameters;
        if parameters.is_empty() {
            return String::new();
        }
        let name = self.name();
        let mut text = "typedef struct {\n".to_owned();
        let longest =
            parameters.iter().map(|parameter| parameter.name.len()).max().unwrap_or_default();
        parameters.iter().for_each(|parameter| {
            let declared = format!("double {};", parameter.name);
            let _ = writeln!(
                text,
                "  {declared:width$} /* {} */",
                parameter.range,
                width = longest + "double ;".len()
            );
        });
        let _ = writeln!(text, "}} {name}_hyperparameters;\n");
        let signature = format!("static inline {name}_hyperparameters {name}_defaults(void)");
        let _ = writeln!(text, "{signature} {{\n  {name}_hyperparameters hyperparameters;");
        for ScalarParameter { name, default, .. } in parameters {
            let _ = writeln!(
                text,
                "  hyperparameters.{name} = {};",
                self.notation.number(default.unwrap_or(0.0))
            );
        }
        text + "  return hyperparameters;\n}\n\n"
    }

    /// The helpers that a text calls.
    fn helpers(&self, body: &str) -> String {
        let mut text = String::new();
        let name = self.name();
        for (helper, parameters, value) in HELPERS {
            for (real, suffix, name_suffix) in [("float", "f", ""), ("double", "", "_double")] {
                let own = format!("{name}_{helper}{name_suffix}");
                if !calls(body, &own) {
                    continue;
                }
                let number = |text: String, digit: &str| {
                    text.replace(&format!("{digit}#"), &format!("{digit}.0{suffix}"))
                };
                let value = number(number((*value).to_owned(), "0"), "1")
                    .replace("COPYSIGN", &format!("copysign{suffix}"))
                    .replace("LOG1P", &format!("log1p{suffix}"))
                    .replace("LOG", &format!("log{suffix}"));
                text += &short_function(
                    &format!("static inline {real} {own}({})", parameters.replace("REAL", real)),
                    &value,
                );
            }
        }
        if calls(body, &format!("{name}_clip_factor")) {
            text += "/* The factor that makes a norm at most a limit. */\n";
            let signature =
                format!("static inline double {name}_clip_factor(double norm, double limit)");
            text += &short_function(&signature, "return norm <= limit ? 1.0 : limit / norm;");
        }
        if calls(body, &format!("{name}_tree")) {
            text += &helper_file(include_str!("../../runtime/c/tree.h"), name);
        }
        if calls(body, &format!("{name}_lanes_sum")) {
            text += &helper_file(include_str!("../../runtime/c/lanes.h"), name);
        }
        text
    }

    fn body(&self) -> String {
        let mut text = String::new();
        if self.loops.loops.len() > 1 {
            (0..self.loops.loops.len()).for_each(|place| text += &self.loop_function(place));
        }
        text + &self.step()
    }

    fn line(&self, line: &Line) -> String {
        match line.value.ty() {
            Type::PerArray | Type::Scalar => {
                format!("const double {} = {};", line.name, written(self.notation, &line.value))
            }
            _ => format!(
                "const float {} = {};",
                line.name,
                written_in_array(self.notation, &line.value)
            ),
        }
    }

    /// The name of the function that runs a loop.
    fn function_of(&self, place: usize) -> String {
        if place + 1 == self.loops.loops.len() {
            format!("{}_update", self.name())
        } else {
            format!("{}_sums{}", self.name(), place + 1)
        }
    }

    fn array_parameter(&self, array: &str, written: &[String]) -> String {
        let constant = if written.iter().any(|w| w == array) { "" } else { "const " };
        format!("{constant}float *{} {array}", self.capitals("RESTRICT"))
    }

    fn loop_function(&self, place: usize) -> String {
        let Loop { arrays, written, reads_size, scalars, numbers, sums, .. } =
            &self.loops.loops[place];
        let mut parameters: Vec<String> = Vec::new();
        if self.loops.loops[place].has_elements() {
            parameters.extend(arrays.iter().map(|array| self.array_parameter(array, written)));
        }
        if self.loops.loops[place].has_elements() || *reads_size {
            parameters.push("size_t length".to_owned());
        }
        parameters.extend(scalars.iter().map(|scalar| format!("double {scalar}")));
        if !sums.is_empty() {
            parameters.push("double *sums".to_owned());
        }
        let mut text = if sums.is_empty() {
            "/* Steps an array. */\n"
        } else {
            "/* Takes sums over an array. */\n"
        }
        .to_owned();
        text += &list(
            0,
            &format!("static inline void {}(", self.function_of(place)),
            &parameters,
            ") {",
        );
        for line in numbers {
            let _ = writeln!(text, "  {}", self.line(line));
        }
        if sums.is_empty() {
            self.writing_loop(&mut text, place)
        } else {
            self.summing_loop(&mut text, place)
        }
        text + "}\n\n"
    }

    fn writing_loop(&self, text: &mut String, place: usize) {
        let Loop { lines, results, .. } = &self.loops.loops[place];
        *text += "  for (size_t i = 0; i < length; i++) {\n";
        for line in lines {
            let _ = writeln!(text, "    {}", self.line(line));
        }
        for (array, value) in results {
            let operator = if *array == self.listing.weights { "-=" } else { "=" };
            let _ = writeln!(
                text,
                "    {array}[i] {operator} {};",
                written_in_array(self.notation, value)
            );
        }
        *text += "  }\n";
    }

    fn summing_loop(&self, text: &mut String, place: usize) {
        let Loop { lines, sums, .. } = &self.loops.loops[place];
        let name = self.name();
        let trees = sums.iter().filter(|sum| sum.is_of_trees()).count();
        if trees > 0 {
            let _ = writeln!(text, "  {name}_tree trees[{trees}] = {{{{{{0.0}}, 0}}}};");
            *text += "  for (size_t start = 0; start < length; start += 4096) {\n";
            *text += "    const size_t end = length - start < 4096 ? length : start + 4096;\n";
            let _ = writeln!(text, "    double lanes[{trees}][16] = {{{{0.0}}}};");
            *text += "    for (size_t chunk = start; chunk < end; chunk += 16) {\n";
            *text += "      const size_t used = end - chunk < 16 ? end - chunk : 16;\n";
            *text += "      for (size_t lane = 0; lane < used; lane++) {\n        const size_t i = chunk + lane;\n";
            for line in lines {
                let _ = writeln!(text, "        {}", self.line(line));
            }
            let factor = |factor: &Expression| {
                format!("(double){}", written_in_array(self.notation, factor))
            };
            for (tree, sum) in sums.iter().filter(|sum| sum.is_of_trees()).enumerate() {
                let _ = writeln!(text, "        lanes[{tree}][lane] += {};", sum.written(factor));
            }
            *text += "      }\n    }\n";
            for tree in 0..trees {
                let _ = writeln!(
                    text,
                    "    {name}_tree_add(&trees[{tree}], {name}_lanes_sum(lanes[{tree}]));"
                );
            }
            *text += "  }\n";
        }
        let mut tree = 0;
        for (index, sum) in sums.iter().enumerate() {
            if sum.is_of_trees() {
                let _ = writeln!(text, "  sums[{index}] = {name}_tree_sum(&trees[{tree}]);");
                tree += 1;
            } else {
                let factor =
                    |factor: &Expression| written_within(self.notation, factor, Level::Negative);
                let _ = writeln!(text, "  sums[{index}] = {};", sum.written(factor));
            }
        }
    }

    fn step(&self) -> String {
        let listing = self.listing;
        let one = self.loops.is_of_one_array();
        let last = &self.loops.loops[self.loops.loops.len() - 1];
        let arrays: Vec<&String> =
            [&listing.weights, &listing.gradients].into_iter().chain(&listing.slots).collect();
        let mut parameters = Vec::new();
        if one {
            parameters
                .extend(arrays.iter().map(|array| self.array_parameter(array, &last.written)));
            parameters.push("size_t length".to_owned());
        } else {
            parameters.push("size_t arrays".to_owned());
            parameters.extend(arrays.iter().map(|array| {
                let constant = if last.written.contains(array) { "" } else { "const " };
                format!("{constant}float *const *{array}")
            }));
            parameters.push("const size_t *lengths".to_owned());
        }
        let scalars: Vec<&ScalarParameter> =
            listing.learning_rate.iter().chain(&listing.step).collect();
        parameters.extend(scalars.iter().map(|scalar| format!("double {}", scalar.name)));
        if !listing.hyperparameters.is_empty() {
            parameters.push(format!("{}_hyperparameters hyperparameters", self.name()));
        }
        let mut text = self.step_comment(one);
        text += &list(0, &format!("static inline void {}_step(", self.name()), &parameters, ") {");
        let is_read = |array: &str| {
            self.loops.loops.iter().any(|l| l.has_elements() && l.arrays.iter().any(|a| a == array))
        };
        for unused in arrays.iter().filter(|array| !is_read(array)) {
            let _ = writeln!(text, "  (void){unused};");
        }
        for unused in scalars.iter().filter(|scalar| !scalar.used) {
            let _ = writeln!(text, "  (void){};", unused.name);
        }
        if !listing.hyperparameters.is_empty()
            && listing.hyperparameters.iter().all(|parameter| !parameter.used)
        {
            text += "  (void)hyperparameters;\n";
        }
        for parameter in listing.hyperparameters.iter().filter(|parameter| parameter.used) {
            let _ = writeln!(text, "  const double {0} = hyperparameters.{0};", parameter.name);
        }
        for round in 0..self.loops.rounds.len() {
            self.round(&mut text, round);
        }
        text + "}\n"
    }

    fn step_comment(&self, one: bool) -> String {
        let first = if one {
            "One step of an array of `length` numbers; call it for each array of a model."
        } else {
            "One step of `arrays` arrays; array k has `lengths[k]` numbers."
        };
        comment(&step_words(self.listing, first), false)
    }

    fn round(&self, text: &mut String, round: usize) {
        let (one, name) = (self.loops.is_of_one_array(), self.name());
        let is_last = round + 1 == self.loops.rounds.len();
        let round = &self.loops.rounds[round];
        for line in &round.scalars {
            let _ = writeln!(text, "  {}", self.line(line));
        }
        if self.loops.loops.len() == 1 {
            for line in &self.loops.loops[0].numbers {
                let _ = writeln!(text, "  {}", self.line(line));
            }
            self.writing_loop(text, 0);
            return;
        }
        let last = round.loops[round.loops.len() - 1];
        let totals: Vec<(usize, &str)> = self.loops.loops[last]
            .sums
            .iter()
            .enumerate()
            .map(|(i, sum)| (i, sum.name.as_str()))
            .collect();
        let totals: Vec<(usize, &str)> = totals
            .into_iter()
            .filter(|(i, _)| !self.loops.loops[last].sums[*i].per_array)
            .collect();
        let number = last + 1;
        if !is_last {
            let _ = writeln!(
                text,
                "  {name}_tree totals{number}[{}] = {{{{{{0.0}}, 0}}}};",
                totals.len()
            );
        }
        let margin = if one { 2 } else { 4 };
        if !one {
            *text += "  for (size_t array = 0; array < arrays; array++) {\n";
        }
        for place in &round.loops {
            self.call(text, margin, *place, &round.loops);
        }
        let margin = " ".repeat(margin);
        if !is_last {
            for (index, (sum, _)) in totals.iter().enumerate() {
                let _ = writeln!(
                    text,
                    "{margin}{name}_tree_add(&totals{number}[{index}], sums{number}[{sum}]);"
                );
            }
        }
        if !one {
            *text += "  }\n";
        }
        if !is_last {
            for (index, (_, total)) in totals.iter().enumerate() {
                let _ = writeln!(
                    text,
                    "  const double {total} = {name}_tree_sum(&totals{number}[{index}]);"
                );
            }
        }
    }

    /// The call of the function that runs a loop, and the totals of the array that it gives.
    fn call(&self, text: &mut String, indent: usize, place: usize, round: &[usize]) {
        let Loop { arrays, reads_size, scalars, sums, .. } = &self.loops.loops[place];
        let one = self.loops.is_of_one_array();
        let margin = " ".repeat(indent);
        let own = |name: &str| if one { name.to_owned() } else { format!("{name}[array]") };
        let mut arguments: Vec<String> = Vec::new();
        if self.loops.loops[place].has_elements() {
            arguments.extend(arrays.iter().map(|array| own(array)));
        }
        if self.loops.loops[place].has_elements() || *reads_size {
            arguments.push(if one { "length".to_owned() } else { "lengths[array]".to_owned() });
        }
        arguments.extend(scalars.iter().cloned());
        if !sums.is_empty() {
            let _ = writeln!(text, "{margin}double sums{}[{}];", place + 1, sums.len());
            arguments.push(format!("sums{}", place + 1));
        }
        *text += &list(indent, &format!("{margin}{}(", self.function_of(place)), &arguments, ");");
        for (index, sum) in sums
            .iter()
            .enumerate()
            .filter(|(_, sum)| sum.per_array && self.loops.is_read(&sum.name, round))
        {
            let _ =
                writeln!(text, "{margin}const double {} = sums{}[{index}];", sum.name, place + 1);
        }
    }
}

/// A comment: on one line if it fits and may, or else a block.
fn comment(text: &str, block: bool) -> String {
    // Neither end may stand inside.
    let text = text.replace("*/", "* /").replace("/*", "/ *");
    let one = format!("/* {text} */\n");
    if !block && one.chars().count() <= WIDTH + 1 {
        return one;
    }
    let line =
        |line: &str| if line.is_empty() { " *\n".to_owned() } else { format!(" * {line}\n") };
    format!("/*\n{} */\n", wrapped(&text).lines().map(line).collect::<String>())
}

/// A function of one statement: on one line if it fits.
fn short_function(signature: &str, statement: &str) -> String {
    let one = format!("{signature} {{ {statement} }}");
    if one.chars().count() <= WIDTH {
        return format!("{one}\n\n");
    }
    format!("{signature} {{\n  {statement}\n}}\n\n")
}

/// `HEAD ITEMS TAIL`, filled; further lines begin below the first item, or four columns in where
/// there is no room.
fn list(indent: usize, head: &str, items: &[String], tail: &str) -> String {
    let fill = |margin: usize, first: &str| {
        let mut lines = vec![first.to_owned()];
        for (index, item) in items.iter().enumerate() {
            let end = if index + 1 == items.len() { tail.to_owned() } else { ",".to_owned() };
            let mut line = lines.pop().unwrap_or_default();
            let is_start = line.trim().is_empty() || line == head;
            let separator = if is_start { "" } else { " " };
            if !is_start
                && line.chars().count() + 1 + item.chars().count() + end.chars().count() > WIDTH
            {
                lines.push(line);
                line = format!("{}{item}{end}", " ".repeat(margin));
            } else {
                line += &format!("{separator}{item}{end}");
            }
            lines.push(line);
        }
        lines
    };
    if items.is_empty() {
        return format!("{head}{tail}\n");
    }
    let mut lines = fill(head.chars().count(), head);
    if lines.iter().any(|line| line.chars().count() > WIDTH) {
        lines = vec![head.to_owned()];
        lines.extend(fill(indent + 4, &" ".repeat(indent + 4)));
    }
    lines.join("\n") + "\n"
}
