//! Parts that all Python files of exports share: names, heads and the layout of long lines as
//! Python's formatters have it.

pub mod casts;
pub mod keras;
pub mod numpy;
pub mod optax;
pub mod praxis;
pub mod pytorch;
pub mod tensorflow;

use std::sync::LazyLock;

use crate::listing::{Expression, Listing, ScalarParameter};
use crate::notation::python_number;
use crate::runtime::{self, Helpers};

/// Columns that a line may take.
pub const WIDTH: usize = 88;

/// Words that no variable can have as its name.
pub const KEYWORDS: &[&str] = &[
    "False",
    "None",
    "True",
    "and",
    "as",
    "assert",
    "async",
    "await",
    "break",
    "class",
    "continue",
    "def",
    "del",
    "elif",
    "else",
    "except",
    "finally",
    "for",
    "from",
    "global",
    "if",
    "import",
    "in",
    "is",
    "lambda",
    "nonlocal",
    "not",
    "or",
    "pass",
    "raise",
    "return",
    "try",
    "while",
    "with",
    "yield",
    "__debug__",
    // Built-in functions that files call.
    "abs",
    "all",
    "any",
    "bool",
    "callable",
    "dict",
    "enumerate",
    "filter",
    "float",
    "getattr",
    "hasattr",
    "id",
    "int",
    "isinstance",
    "len",
    "list",
    "map",
    "max",
    "min",
    "next",
    "object",
    "print",
    "property",
    "range",
    "reversed",
    "round",
    "self",
    "set",
    "setattr",
    "sorted",
    "str",
    "sum",
    "super",
    "tuple",
    "type",
    "zip",
    "TypeError",
    "ValueError",
];

/// Whether a name is a word of the language, or of a function that the files call.
pub fn is_keyword(name: &str) -> bool {
    KEYWORDS.contains(&name)
}

/// The name of the class for a listing's program.
pub fn class_name(listing: &Listing) -> String {
    class_named(&listing.name, listing.doc.as_deref())
}

/// The name of the class for a program: `AdamW` for `adamw` whose doc string begins with `AdamW:`,
/// or else its words with capitals.
pub fn class_named(name: &str, doc: Option<&str>) -> String {
    let letters = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>();
    let title = letters(doc.and_then(|doc| doc.trim_start().split(':').next()).unwrap_or_default());
    if title.to_lowercase() == letters(name).to_lowercase()
        && title.starts_with(|c: char| c.is_ascii_uppercase())
    {
        return free(title);
    }
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().map_or_else(String::new, |first| {
            first.to_ascii_uppercase().to_string() + letters.as_str()
        })
    };
    let name: String = name.split('_').map(capital).collect();
    // A name of underscores alone, or one that would begin with a digit.
    free(if name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        name
    } else {
        format!("Optimizer{name}")
    })
}

/// A class's name that is not one of those that a file reads: of Python itself, of an import, or of
/// what TensorFlow keeps beside a variable.
fn free(name: String) -> String {
    let is_taken = matches!(
        name.as_str(),
        "None"
            | "True"
            | "False"
            | "Any"
            | "NamedTuple"
            | "Assign"
            | "Read"
            | "Initializer"
            | "IsInitialized"
    ) || name.ends_with("Error")
        || name.ends_with("Exception");
    if is_taken { format!("{name}Optimizer") } else { name }
}

/// The doc string at the head of a file: what the program says of itself, and where the file comes
/// from.
pub fn head(listing: &Listing, title: &str) -> String {
    let doc = listing.doc.as_deref().map(str::trim).unwrap_or_default();
    let doc = if doc.is_empty() {
        format!("{}, an optimizer", listing.name)
    } else {
        doc.replace('\\', "\\\\").replace("\"\"\"", "'''")
    };
    let doc = wrapped(&doc);
    format!(
        "\"\"\"{doc}\n\n{title}\nWritten by symopt {} from the program `{}` with the functional hash\n{}.\n\"\"\"\n",
        env!("CARGO_PKG_VERSION"),
        listing.name,
        listing.hash
    )
}

/// A text whose paragraphs are filled anew to the width of a line; indented lines stay as they are.
pub fn wrapped(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut open = false;
    for line in text.lines().map(str::trim_end) {
        if line.is_empty() || line.starts_with(' ') {
            lines.push(line.to_owned());
            open = false;
            continue;
        }
        for word in line.split(' ') {
            match lines.last_mut() {
                Some(last) if open && last.chars().count() + 1 + word.chars().count() <= WIDTH => {
                    last.push(' ');
                    last.push_str(word);
                }
                _ => lines.push(word.to_owned()),
            }
            open = true;
        }
    }
    lines.join("\n")
}

/// A parameter of the signature with its default.
pub fn parameter(parameter: &ScalarParameter) -> String {
    let default = parameter.default.unwrap_or(1.0);
    format!("{}={}", parameter.name, python_float(default))
}

/// The statements of a constructor that refuse numbers outside of their ranges. Where `traced`
/// values may come, arrays and schedules among them, only numbers are looked at, and the text calls
/// `_is_number`.
pub fn range_checks<'a>(
    margin: usize,
    parameters: impl Iterator<Item = &'a ScalarParameter>,
    traced: bool,
) -> String {
    let check = |parameter: &ScalarParameter| {
        let (name, range, space) = (&parameter.name, &parameter.range, " ".repeat(margin));
        let sign = |is_in: bool| if is_in { "<=" } else { "<" };
        let condition = match (range.low, range.high) {
            (None, None) => format!("abs({name}) < float(\"inf\")"),
            (low, high) => {
                let low = low.map_or_else(
                    || "float(\"-inf\") <".to_owned(),
                    |(low, is_in)| format!("{} {}", python_number(low), sign(is_in)),
                );
                let high = high.map_or_else(
                    || "< float(\"inf\")".to_owned(),
                    |(high, is_in)| format!("{} {}", sign(is_in), python_number(high)),
                );
                format!("{low} {name} {high}")
            }
        };
        let asked = if traced { format!("_is_number({name}) and ") } else { String::new() };
        let message = format!("f\"{name} is {{{name}}}, but must be {range}\"");
        format!(
            "{space}if {asked}not {condition}:\n{}",
            bracketed(margin + 4, "raise ValueError(", &[message], ")")
        )
    };
    parameters.map(check).collect()
}

/// The hyperparameters that a framework has other names for, out of pairs of a program's name and
/// the framework's; each with that name, where it is free.
pub fn aliases(
    listing: &Listing,
    names: &[(&str, &'static str)],
) -> Vec<(ScalarParameter, &'static str)> {
    let is_taken = |alias: &str| {
        let scalars =
            listing.hyperparameters.iter().chain(&listing.learning_rate).chain(&listing.step);
        let mut arrays = listing.slots.iter().chain([&listing.weights, &listing.gradients]);
        scalars.into_iter().any(|p| p.name == alias || p.given == alias)
            || arrays.any(|name| name == alias)
    };
    let mut aliases: Vec<(ScalarParameter, &'static str)> = Vec::new();
    for (name, alias) in names.iter().filter(|(_, alias)| !is_taken(alias)) {
        let parameter = listing.hyperparameters.iter().find(|parameter| parameter.given == *name);
        // The first of two that have the same other name gets it.
        if let Some(parameter) =
            parameter.filter(|_| aliases.iter().all(|(_, known)| known != alias))
        {
            aliases.push((parameter.clone(), alias));
        }
    }
    aliases
}

/// Binds hyperparameters to what was given under their other names. The text calls `_either`.
pub fn take_aliases(margin: usize, aliases: &[(ScalarParameter, &str)]) -> String {
    let bind = |(parameter, alias): &(ScalarParameter, &str)| {
        let (name, default) = (&parameter.name, python_float(parameter.default.unwrap_or(1.0)));
        let arguments = [
            format!("\"{name}\""),
            name.clone(),
            default,
            format!("\"{alias}\""),
            (*alias).to_owned(),
        ];
        bracketed(margin, &format!("{name} = _either("), &arguments, ")")
    };
    aliases.iter().map(bind).collect()
}

/// Helpers for the arguments of constructors. `_either` chooses between the two names of a
/// hyperparameter; `inject_hyperparams` of Optax gives the first one whatever the caller gave, as an
/// array. `_is_number` tells numbers, which can be compared, from traced arrays, variables of a
/// graph and schedules.
pub static ARGUMENTS: Helpers =
    LazyLock::new(|| runtime::helpers(include_str!("../runtime/python/arguments.py")));

/// A number that Python takes for a float.
pub fn python_float(number: f64) -> String {
    let text = python_number(number);
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
        format!("{text}.0")
    } else {
        text
    }
}

/// A number as a float, so that a library does not take it for an integer; any other value as it is
/// written.
pub fn float_or(value: &Expression, written: impl FnOnce() -> String) -> String {
    match value {
        Expression::Number(number) => python_float(*number),
        _ => written(),
    }
}

/// `OPEN ITEMS CLOSE` on one line if it fits, or else with each item on a line of its own, as the
/// formatters have it.
pub fn bracketed(indent: usize, open: &str, items: &[String], close: &str) -> String {
    let margin = " ".repeat(indent);
    let one = format!("{margin}{open}{}{close}", items.join(", "));
    if one.chars().count() <= WIDTH {
        return format!("{one}\n");
    }
    let inner = " ".repeat(indent + 4);
    let joined = format!("{inner}{}", items.join(", "));
    if joined.chars().count() <= WIDTH && !open.starts_with("def ") && !open.ends_with(['{', '[']) {
        return format!("{margin}{open}\n{joined}\n{margin}{close}\n");
    }
    let lines: String = items.iter().map(|item| format!("{inner}{item},\n")).collect();
    format!("{margin}{open}\n{lines}{margin}{close}\n")
}

/// A text within the width of a line, with margins for its first line and for the others; `taken`
/// more columns of the first line are used.
pub fn wrapped_within(text: &str, first: usize, others: usize, taken: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let more = if lines.len() == 1 { taken } else { 0 };
        match lines.last_mut() {
            Some(last) if last.chars().count() + 1 + word.chars().count() + more <= WIDTH => {
                last.push(' ');
                last.push_str(word);
            }
            _ => lines.push(format!(
                "{}{word}",
                " ".repeat(if lines.is_empty() { first } else { others })
            )),
        }
    }
    lines.join("\n")
}

/// `TARGET = VALUE`, in brackets on a line of its own if it is too long, as the formatters have it.
pub fn assignment(indent: usize, target: &str, value: &str) -> String {
    let margin = " ".repeat(indent);
    let one = format!("{margin}{target} = {value}");
    let arguments = value.split_once('(').and_then(|(callee, rest)| {
        let is_name = callee.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
        rest.strip_suffix(')')
            .filter(|rest| is_name && !callee.is_empty() && is_balanced(rest))
            .map(|rest| (callee, rest))
    });
    match arguments {
        _ if one.chars().count() <= WIDTH => format!("{one}\n"),
        Some((callee, arguments)) => {
            bracketed(indent, &format!("{target} = {callee}("), &items(arguments), ")")
        }
        None => {
            if let Some((head, arguments)) = last_call(value) {
                return bracketed(indent, &format!("{target} = {head}("), &items(arguments), ")");
            }
            let inner = format!("{margin}    {value}");
            let value = if inner.chars().count() <= WIDTH {
                inner
            } else {
                operands(value, &format!("{margin}    "))
            };
            format!("{margin}{target} = (\n{value}\n{margin})\n")
        }
    }
}

/// Returns the text before the bracket of a call that is the last operand of two, and the arguments
/// of the call: formatters break a line there.
fn last_call(value: &str) -> Option<(&str, &str)> {
    let loosest = [[" + ", " - "], [" * ", " / "]].map(|operators| {
        let mut depth = 0_i32;
        let mut found = |(at, c): (usize, char)| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            c == ' '
                && depth == 0
                && operators.iter().any(|operator| value[at..].starts_with(operator))
        };
        value.char_indices().filter(|place| found(*place)).count()
    });
    let inner = value.strip_suffix(')')?;
    let mut depth = 1_i32;
    let open = inner.char_indices().rev().find(|(_, c)| {
        depth += i32::from(*c == ')') - i32::from(*c == '(');
        depth == 0
    });
    let (head, arguments) = (&inner[..open?.0], &inner[open?.0 + 1..]);
    let is_call = head.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    (is_call && matches!(loosest, [1, _] | [0, 1])).then_some((head, arguments))
}

/// An expression with each operand of its loosest operators on a line of its own.
fn operands(value: &str, margin: &str) -> String {
    for operators in [[" + ", " - "], [" * ", " / "]] {
        let (mut depth, mut broken) = (0_i32, String::new());
        for (at, c) in value.char_indices() {
            depth += i32::from(c == '(') - i32::from(c == ')');
            if c == ' '
                && depth == 0
                && operators.iter().any(|operator| value[at..].starts_with(operator))
            {
                broken.push('\n');
                broken.push_str(margin);
            } else {
                broken.push(c);
            }
        }
        if broken != value {
            return format!("{margin}{broken}");
        }
    }
    format!("{margin}{value}")
}

/// Whether no bracket is closed that was not opened.
fn is_balanced(text: &str) -> bool {
    let mut depth = 0_i32;
    text.chars().all(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth >= 0
    })
}

/// The arguments of a call.
fn items(text: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let mut depth = 0_i32;
    for c in text.chars() {
        depth += i32::from(c == '(') - i32::from(c == ')');
        match items.last_mut() {
            Some(_) if c == ',' && depth == 0 => items.push(String::new()),
            Some(item) => item.push(c),
            None => {}
        }
    }
    items.into_iter().map(|item| item.trim().to_owned()).collect()
}

/// Definitions of those helpers whose names a text calls, in the order of the list, each with two
/// empty lines before it. A helper may call those before it.
pub fn helpers(text: &str, list: &[(&str, &str)]) -> String {
    let mut used = vec![false; list.len()];
    let mut all = text.to_owned();
    for (index, (name, definition)) in list.iter().enumerate().rev() {
        if calls(&all, name) {
            used[index] = true;
            all.push_str(definition);
        }
    }
    list.iter()
        .zip(&used)
        .filter(|(_, used)| **used)
        .map(|((_, definition), _)| format!("\n\n{definition}"))
        .collect()
}

/// Whether a text calls or names a function.
pub fn calls(text: &str, name: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back().is_some_and(is_word);
        let after = text[at + name.len()..].chars().next().is_some_and(is_word);
        !before && !after
    })
}
