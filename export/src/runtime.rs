//! The files under `export/runtime`: what exported files have that is the same for all programs, in
//! the languages that it is written in.
//!
//! Each of them is a file of its language, which its linter and its formatter read. An export takes
//! what comes after the head, which is a comment and imports. There are two kinds.
//!
//! - Helpers: definitions at the margin, with two empty lines before each. An export takes those
//!   that it calls, in the order of the file: a helper may call those before it.
//! - Templates, which are taken as a whole and filled. Lines between the comments `where NAME` and
//!   `end NAME` stay where the condition of that name holds, those after `where not NAME` where it
//!   does not. A name in capitals between two underscores on each side, such as `__CLASS__`, stands
//!   for a text; alone on its line, for lines with the margin that they have.

use std::sync::LazyLock;

/// Definitions by their names, in the order of their file.
pub type Helpers = LazyLock<Vec<(&'static str, &'static str)>>;

/// The definitions of a Python file, each with the comments before it.
pub fn helpers(file: &'static str) -> Vec<(&'static str, &'static str)> {
    parts(file, "\n\n\n")
}

/// The functions of a Rust file, which have no empty lines inside, each with its documentation.
pub fn functions(file: &'static str) -> Vec<(&'static str, &'static str)> {
    parts(file, "\n\n")
}

fn parts(file: &'static str, gap: &str) -> Vec<(&'static str, &'static str)> {
    let mut rest = after_head(file).trim_start_matches('\n');
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let (part, others) = match rest.find(gap) {
            Some(at) => (&rest[..=at], &rest[at + gap.len()..]),
            None => (rest, ""),
        };
        parts.push((defined(part), part));
        rest = others;
    }
    parts
}

/// The name that a definition gives to a function or a value.
fn defined(part: &str) -> &str {
    let line = part.lines().find(|line| !line.starts_with(['#', '@', '/'])).unwrap_or_default();
    let line = ["def ", "fn "].iter().find_map(|word| line.strip_prefix(word)).unwrap_or(line);
    let end = line.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(line.len());
    &line[..end]
}

/// A file without its head, with the empty lines before its first definition.
pub fn after_head(file: &str) -> &str {
    let body = match file.strip_prefix("\"\"\"").and_then(|rest| rest.split_once("\"\"\"\n")) {
        Some((_, body)) => body,
        None => file,
    };
    let mut end = 0;
    let mut at = 0;
    for line in body.split_inclusive('\n') {
        at += line.len();
        let is_head = ["import ", "from ", "#include ", "//! "].iter().any(|s| line.starts_with(s));
        match is_head {
            true => end = at,
            false if line.trim().is_empty() => {}
            false => break,
        }
    }
    &body[end..]
}

/// A template with the lines whose conditions hold, and texts for names. Conditions are given by
/// their names, texts by their names without underscores around them.
pub fn filled(file: &str, conditions: &[(&str, bool)], texts: &[(&str, &str)]) -> String {
    let holds = |name: &str| match name.strip_prefix("not ") {
        Some(name) => conditions.iter().find(|(known, _)| *known == name).map(|(_, holds)| !holds),
        None => conditions.iter().find(|(known, _)| *known == name).map(|(_, holds)| *holds),
    };
    let mut text = String::new();
    let mut inside: Vec<bool> = Vec::new();
    for line in after_head(file).split_inclusive('\n') {
        let words = line.trim();
        if let Some(holds) = words.strip_prefix("# where ").and_then(holds) {
            inside.push(holds);
        } else if words.starts_with("# end ") {
            inside.pop();
        } else if inside.iter().all(|holds| *holds) {
            let own = words.strip_prefix("__").and_then(|name| name.strip_suffix("__"));
            match own.and_then(|name| texts.iter().find(|(known, _)| *known == name)) {
                Some((_, lines)) => text += lines,
                None => text += &with_texts(line, texts),
            }
        }
    }
    text
}

/// The methods of the class in a template, filled, with an empty line before them.
pub fn methods(file: &str, conditions: &[(&str, bool)], texts: &[(&str, &str)]) -> String {
    let class = filled(file, conditions, texts);
    class.split_once(":\n").map_or_else(String::new, |(_, methods)| format!("\n{methods}"))
}

/// A text as it stands inside of a function.
pub fn indented(text: &str) -> String {
    let line = |line: &str| if line.is_empty() { "\n".to_owned() } else { format!("    {line}\n") };
    text.lines().map(line).collect()
}

/// A line with texts for names. The texts themselves stay as they are.
fn with_texts(line: &str, texts: &[(&str, &str)]) -> String {
    let (mut text, mut rest) = (String::new(), line);
    loop {
        let places = texts.iter().filter_map(|(name, value)| {
            let name = format!("__{name}__");
            rest.find(&name).map(|at| (at, at + name.len(), value))
        });
        let Some((start, end, value)) = places.min_by_key(|(start, ..)| *start) else {
            return text + rest;
        };
        text += &rest[..start];
        text += value;
        rest = &rest[end..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn helpers_have_their_names_and_comments() {
        let file = "\"\"\"Head.\"\"\"\n\nimport a\nfrom b import c\n\n\n# Why.\nONE = 1\n\n\n@d\ndef two(x):\n    y = x\n\n    return y\n";
        assert_eq!(
            helpers(file),
            [("ONE", "# Why.\nONE = 1\n"), ("two", "@d\ndef two(x):\n    y = x\n\n    return y\n")]
        );
    }

    #[test]
    fn templates_keep_what_holds_and_take_texts() {
        let file = "import a\n\n\nclass __NAME__:\n    __LINES__\n    # where x\n    1\n    # where not y\n    2\n    # end y\n    # end x\n    # where not x\n    3\n    # end x\n";
        let filled = |x| {
            filled(file, &[("x", x), ("y", false)], &[("NAME", "A"), ("LINES", "    b\n    c\n")])
        };
        assert_eq!(filled(true), "\n\nclass A:\n    b\n    c\n    1\n    2\n");
        assert_eq!(filled(false), "\n\nclass A:\n    b\n    c\n    3\n");
    }
}
