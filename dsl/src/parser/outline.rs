//! The parts of a text: doc string, marker, `def` line, body, comments, and how the body is
//! indented.

use super::layout::{Item, Line, begins_with_word};
use super::syntax::{Definition, Reader, Statement, names};
use crate::diagnostic::{Diagnostic, DiagnosticKind, quote};
use crate::escape::{self, read_escaped};

/// The parts of a program text.
#[derive(Debug)]
pub(super) struct Outline<'a> {
    pub doc: Option<String>,
    pub guarded: bool,
    pub definition: Definition<'a>,
    /// Comments above `def`.
    pub header: Vec<String>,
    /// The comment at the end of the `def` line.
    pub beside_definition: Option<String>,
    /// The lines of the body; `return`, if there is one, is the last.
    pub body: Vec<BodyLine<'a>>,
    /// Comments below the last line of the body.
    pub footer: Vec<String>,
    /// The end of the body's last line.
    pub end: usize,
}

/// A line of the body with its comments.
#[derive(Debug)]
pub(super) struct BodyLine<'a> {
    pub above: Vec<String>,
    pub statement: Statement<'a>,
    pub span: std::ops::Range<usize>,
    pub beside: Option<String>,
}

/// Example of a program, for a text without one.
const SKELETON: &str =
    "a program looks like this:\n  def sgd(w, g, lr):\n    update = g * lr\n    return update";

/// The outline of a text, or `None` if it has no program or its `def` line cannot be read.
pub(super) fn outline<'a>(
    source: &'a str,
    items: Vec<Item>,
    problems: &mut Vec<Diagnostic>,
) -> Option<Outline<'a>> {
    let lines = || {
        items.iter().filter_map(|item| if let Item::Line(line) = item { Some(line) } else { None })
    };
    let is_definition = |line: &Line| begins_with_word(&source[line.code.clone()], "def");
    if !lines().any(is_definition) {
        let (span, message, label) = match lines().next() {
            None => (0..0, "the text holds no program", ""),
            // A fault that breaks a line may hide the `def` line too, and has been reported.
            Some(_) if lines().any(|line| line.broken) => return None,
            Some(line) => (
                line.code.clone(),
                "the text holds no program: no line begins with `def`",
                "the text begins here",
            ),
        };
        problems
            .push(Diagnostic::new(DiagnosticKind::Empty, span, message, label).with_help(SKELETON));
        return None;
    }
    let reader = Reader::new(source, problems);
    let mut builder = Builder {
        source,
        reader,
        doc: None,
        guarded: false,
        comments: Vec::new(),
        definition: None,
        body: Vec::new(),
        indentation: Indentation::default(),
        foreign_block: None,
        returned: None,
        said_outside: false,
    };
    for item in items {
        match item {
            Item::Comment(comment) => builder.comment(&source[comment]),
            Item::Line(line) if builder.definition.is_none() => {
                builder.line_before_definition(&line)
            }
            Item::Line(line) => {
                if builder.begins_second_program(&line) {
                    break;
                }
                builder.line_of_body(&line);
            }
        }
    }
    builder.finish()
}

struct Builder<'a, 'p> {
    source: &'a str,
    reader: Reader<'a, 'p>,
    doc: Option<String>,
    guarded: bool,
    /// Comments that wait for the line below them.
    comments: Vec<String>,
    definition: Option<Head<'a>>,
    body: Vec<BodyLine<'a>>,
    indentation: Indentation<'a>,
    /// The indentation of a block of Python that the language does not have, while its lines last.
    foreign_block: Option<&'a str>,
    /// Where `return` stands, and whether lines after it have been reported.
    returned: Option<(std::ops::Range<usize>, bool)>,
    /// Whether a line above `def` has been reported.
    said_outside: bool,
}

struct Head<'a> {
    /// `None` if the line cannot be read.
    definition: Option<Definition<'a>>,
    header: Vec<String>,
    beside: Option<String>,
    indentation: &'a str,
    span: std::ops::Range<usize>,
}

#[derive(Default)]
struct Indentation<'a> {
    /// Indentation of the first line of the body.
    body: Option<&'a str>,
    /// The last indentation that was reported, so that its neighbours are not.
    reported: Option<&'a str>,
}

impl<'a> Builder<'a, '_> {
    fn comment(&mut self, text: &str) {
        self.comments.push(comment_text(text));
    }

    fn comments_of(&mut self, line: &Line) -> Option<String> {
        for comment in &line.comments_within {
            self.comments.push(comment_text(&self.source[comment.clone()]));
        }
        line.comment_beside.clone().map(|comment| comment_text(&self.source[comment]))
    }

    fn code(&self, line: &Line) -> &'a str {
        &self.source[line.code.clone()]
    }

    fn problem(
        &mut self,
        kind: DiagnosticKind,
        span: std::ops::Range<usize>,
        message: impl Into<String>,
        label: &str,
        help: &str,
    ) {
        self.reader.problems.push(Diagnostic::new(kind, span, message, label).with_help(help));
    }

    fn line_before_definition(&mut self, line: &Line) {
        let code = self.code(line);
        let beside = self.comments_of(line);
        if begins_with_word(code, "def") {
            let definition = self.reader.definition(line);
            let indentation = &self.source[line.indentation.clone()];
            let header = std::mem::take(&mut self.comments);
            self.definition =
                Some(Head { definition, header, beside, indentation, span: line.code.clone() });
            return;
        }
        self.comments.extend(beside);
        if code.starts_with('@') {
            self.guarded |= self.reader.marker(line);
        } else if let Some(text) = doc_string(code) {
            self.doc_string(text, line);
        } else if !line.broken && !std::mem::replace(&mut self.said_outside, true) {
            let word = code.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
            let help = match word {
                "async" => "write a plain `def`",
                "import" | "from" => "drop it: all functions are known by their plain names",
                _ => {
                    "move it below the `def` line, or drop it; a constant is a hyperparameter, declared after `*`"
                }
            };
            let message = format!("`{}` stands above the program", quote(code));
            self.problem(
                DiagnosticKind::NotInLanguage,
                line.code.clone(),
                message,
                "outside of the program",
                help,
            );
        }
    }

    fn doc_string(&mut self, text: String, line: &Line) {
        if self.doc.is_none() {
            self.doc = Some(text);
        } else if !line.broken {
            let help =
                "keep one doc string, above `def` or first in the body; other remarks begin with #";
            self.problem(
                DiagnosticKind::NotInLanguage,
                line.code.clone(),
                "a second doc string",
                "here",
                help,
            );
        }
    }

    /// Whether a line ends the program because another one begins; reports it.
    fn begins_second_program(&mut self, line: &Line) -> bool {
        let Some(head) = &self.definition else {
            return false;
        };
        let code = self.code(line);
        let is_outside = line.indentation.len() <= head.indentation.len();
        let first = head.span.clone();
        let begins = begins_with_word(code, "def") || code.starts_with("@guarded");
        if !is_outside || !begins {
            return false;
        }
        let problem = Diagnostic::new(
            DiagnosticKind::SecondProgram,
            line.code.clone(),
            "a second program in one text",
            "the second begins here",
        )
        .with_secondary(first, "the first")
        .with_help("put each program into a file of its own");
        self.reader.problems.push(problem);
        true
    }

    fn line_of_body(&mut self, line: &Line) {
        let code = self.code(line);
        let indentation = &self.source[line.indentation.clone()];
        if let Some(block) = self.foreign_block {
            if indentation.len() > block.len() {
                // Part of a statement that was reported as a whole.
                if let Some(BodyLine { statement: Statement::Unknown { targets }, .. }) =
                    self.body.last_mut()
                {
                    targets.extend(names(code));
                }
                return;
            }
            self.foreign_block = None;
        }
        if let Some((place, said)) = &mut self.returned {
            if !line.broken && !std::mem::replace(said, true) {
                let problem = Diagnostic::new(
                    DiagnosticKind::AfterReturn,
                    line.code.clone(),
                    "a line after `return`",
                    "never reached",
                )
                .with_secondary(place.clone(), "the program ends here")
                .with_help("`return` is the last line: delete what follows, or move it above");
                self.reader.problems.push(problem);
            }
            return;
        }
        self.check_indentation(indentation, line);
        let beside = self.comments_of(line);
        if let Some(text) = doc_string(code) {
            self.comments.extend(beside);
            if self.body.is_empty() {
                self.doc_string(text, line);
            } else if !line.broken {
                let help = "a doc string stands above `def` or first in the body; other remarks begin with #";
                self.problem(
                    DiagnosticKind::NotInLanguage,
                    line.code.clone(),
                    "a text between statements",
                    "here",
                    help,
                );
            }
            return;
        }
        let statement = self.reader.statement(line);
        if code.ends_with(':') && matches!(statement, Statement::Unknown { .. }) {
            self.foreign_block = Some(indentation);
        }
        if matches!(statement, Statement::Return { .. }) {
            self.returned = Some((line.code.clone(), false));
        }
        self.body.push(BodyLine {
            above: std::mem::take(&mut self.comments),
            statement,
            span: line.code.clone(),
            beside,
        });
    }

    fn check_indentation(&mut self, indentation: &'a str, line: &Line) {
        let outer = self.definition.as_ref().map_or("", |head| head.indentation);
        let Some(body) = self.indentation.body else {
            self.indentation.body = Some(indentation);
            if indentation.len() <= outer.len() || !indentation.starts_with(outer) {
                let help = "indent each line of the body by two spaces";
                self.problem(
                    DiagnosticKind::Indentation,
                    line.code.clone(),
                    "the body is not indented",
                    "not deeper than `def`",
                    help,
                );
            }
            return;
        };
        if indentation == body || self.indentation.reported == Some(indentation) {
            return;
        }
        self.indentation.reported = Some(indentation);
        let help = "indent all lines of the body alike, by two spaces";
        let (message, label) = if !indentation.starts_with(body) && !body.starts_with(indentation) {
            (
                "tabs and spaces are mixed in the indentation".to_string(),
                "indented by other characters than the lines above",
            )
        } else if indentation.len() > body.len() {
            ("this line is indented deeper than the body".to_string(), "too deep")
        } else if indentation.len() <= outer.len() {
            ("this line is not indented".to_string(), "outside of the body")
        } else {
            ("this line is indented less than the body".to_string(), "not deep enough")
        };
        self.problem(DiagnosticKind::Indentation, line.code.clone(), message, label, help);
    }

    fn finish(self) -> Option<Outline<'a>> {
        let head = self.definition?;
        let is_on_definition_line = |p: &Diagnostic| {
            p.kind == DiagnosticKind::Indentation && head.span.contains(&p.span.start)
        };
        if self.body.is_empty() && self.reader.problems.iter().any(is_on_definition_line) {
            return None;
        }
        if self.body.is_empty() {
            let name =
                head.definition.as_ref().map_or("the program", |definition| definition.name.text);
            let message = format!("`{}` has no statements", quote(name));
            let at = head.span.clone();
            let problem =
                Diagnostic::new(DiagnosticKind::Empty, at, message, "nothing follows this line")
                    .with_help(SKELETON);
            self.reader.problems.push(problem);
            return None;
        }
        let end = self.body.last().map_or(head.span.end, |line| line.span.end);
        Some(Outline {
            doc: self.doc,
            guarded: self.guarded,
            definition: head.definition?,
            header: head.header,
            beside_definition: head.beside,
            body: self.body,
            footer: self.comments,
            end,
        })
    }
}

/// The text of a comment, without `#` and blanks; hidden characters are written out, since a
/// comment has no escapes.
fn comment_text(comment: &str) -> String {
    let text = comment.trim_start_matches(['\u{feff}']).strip_prefix('#').unwrap_or(comment);
    escape::lines(text.trim()).into_owned()
}

/// The content of a line that is nothing but quoted text.
fn doc_string(code: &str) -> Option<String> {
    let prefix = code
        .find(['"', '\''])
        .filter(|at| *at <= 2 && code[..*at].bytes().all(|b| b.is_ascii_alphabetic()))?;
    let raw = code[..prefix].contains(['r', 'R']);
    let quoted = &code[prefix..];
    let mark = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|mark| quoted.starts_with(mark))?;
    let inside = &quoted[mark.len()..];
    let mut at = 0;
    while !inside[at..].starts_with(mark) {
        let mut characters = inside[at..].chars();
        // Unclosed quotes have been reported; what there is of the text is the doc string.
        let Some(character) = characters.next() else {
            return Some(unescaped(&clean(inside), raw));
        };
        let escaped = if character == '\\' { characters.next() } else { None };
        at += character.len_utf8() + escaped.map_or(0, char::len_utf8);
    }
    (&inside[at..] == mark).then(|| unescaped(&clean(&inside[..at]), raw))
}

/// A doc string with the characters that its escapes stand for.
fn unescaped(content: &str, raw: bool) -> String {
    if raw {
        return content.to_owned();
    }
    let mut text = String::with_capacity(content.len());
    let mut rest = content;
    while let Some(character) = rest.chars().next() {
        let mut length = character.len_utf8();
        // A doc string is for people and often holds formulas, so \beta and \theta stand for
        // themselves: only quotes, the backslash itself and characters that can't be seen are
        // escaped.
        match rest[length..].chars().next() {
            Some(escaped @ ('\\' | '"' | '\'')) if character == '\\' => {
                text.push(escaped);
                length += escaped.len_utf8();
            }
            _ => match read_escaped(rest) {
                Some((hidden, width)) => {
                    text.push(hidden);
                    length = width;
                }
                None => text.push(character),
            },
        }
        rest = &rest[length..];
    }
    text
}

/// A doc string without the indentation that it has in the text: as Python's `inspect.cleandoc`,
/// and without blanks at the ends of lines.
fn clean(content: &str) -> String {
    let content = content.replace("\r\n", "\n").replace('\r', "\n");
    let lines: Vec<&str> = content.split('\n').map(str::trim_end).collect();
    let indentation = |line: &str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let margin = lines
        .iter()
        .skip(1)
        .filter(|line| !line.is_empty())
        .map(|line| indentation(line))
        .min()
        .unwrap_or(0);
    let mut cleaned: Vec<&str> = Vec::with_capacity(lines.len());
    for (index, line) in lines.iter().enumerate() {
        cleaned.push(if index == 0 {
            line.trim_start_matches([' ', '\t'])
        } else {
            line.get(margin..).unwrap_or_default()
        });
    }
    cleaned.join("\n").trim_matches('\n').to_string()
}

#[cfg(test)]
mod tests {
    use super::{clean, doc_string};

    #[test]
    fn a_doc_string_loses_the_indentation_of_the_text() {
        assert_eq!(
            clean("Lion.\n\n    One slot.\n      More.\n    "),
            "Lion.\n\nOne slot.\n  More."
        );
        assert_eq!(clean("\n  a\n    b\n"), "a\n  b");
        assert_eq!(clean(" "), "");
    }

    #[test]
    fn only_quotes_and_backslashes_are_escaped_in_a_doc_string() {
        assert_eq!(doc_string(r#""""\beta \\ \" " x""""#).as_deref(), Some(r#"\beta \ " " x"#));
        assert_eq!(doc_string(r#"r'''\\beta'''"#).as_deref(), Some(r"\\beta"));
        assert_eq!(doc_string("'a' + 'b'"), None);
        assert_eq!(doc_string("x = 'a'"), None);
    }
}
