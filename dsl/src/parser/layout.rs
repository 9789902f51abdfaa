//! The lines of a text: comments taken off, lines that brackets join joined, everything that the
//! grammar must not see refused.

use std::ops::Range;

use pest::unicode::{XID_CONTINUE, XID_START};

use super::{hints, limits};
use crate::diagnostic::{Diagnostic, DiagnosticKind, quote};

/// How many different stray characters are reported for a line.
const STRAY_CHARACTERS_OF_A_LINE: usize = 4;

/// A text with more faults than this is not a program: it is not read to its end.
const ENOUGH_PROBLEMS: usize = 1_000;

/// Part of a text, blank lines aside.
#[derive(Debug)]
pub(super) enum Item {
    /// A comment on a line of its own, with its `#`.
    Comment(Range<usize>),
    /// A logical line.
    Line(Line),
}

/// A logical line: one line of the text, or several that brackets join.
#[derive(Debug)]
pub(super) struct Line {
    /// The blanks before it.
    pub indentation: Range<usize>,
    /// The line itself, without the comment beside it.
    pub code: Range<usize>,
    /// Comments within its brackets.
    pub comments_within: Vec<Range<usize>>,
    /// The comment at its end.
    pub comment_beside: Option<Range<usize>>,
    /// Whether it has been reported already, so that the grammar must not look at it.
    pub broken: bool,
}

impl Line {
    fn at(indentation: Range<usize>, start: usize) -> Line {
        Line {
            indentation,
            code: start..start,
            comments_within: Vec::new(),
            comment_beside: None,
            broken: false,
        }
    }
}

/// The items of a text, or `None` if the text as a whole is refused.
pub(super) fn lay_out(source: &str, problems: &mut Vec<Diagnostic>) -> Option<Vec<Item>> {
    if source.len() > limits::TEXT_BYTES {
        let message = format!(
            "the text has {} bytes; a program has at most {}",
            source.len(),
            limits::TEXT_BYTES
        );
        problems.push(
            Diagnostic::new(DiagnosticKind::TooLarge, 0..0, message, "")
                .with_help("check that this is the right file"),
        );
        return None;
    }
    if let Some(at) = source.bytes().position(|byte| byte == 0) {
        problems.push(
            Diagnostic::new(
                DiagnosticKind::StrayCharacter,
                at..at + 1,
                "the text holds a NUL byte: it is not a text file",
                "here",
            )
            .with_help("save the program as UTF-8 text"),
        );
        return None;
    }
    let start = if source.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    Scanner { source, at: start, physical_start: start, items: Vec::new(), problems }.scan()
}

struct Scanner<'a> {
    source: &'a str,
    at: usize,
    /// Where the line of the text begins, or where its last quotes end: only code counts towards
    /// the length of a line.
    physical_start: usize,
    items: Vec<Item>,
    problems: &'a mut Vec<Diagnostic>,
}

/// Why the whole text is given up.
struct GiveUp;

impl Scanner<'_> {
    fn scan(mut self) -> Option<Vec<Item>> {
        while self.at < self.source.len() && self.problems.len() < ENOUGH_PROBLEMS {
            let indentation_start = self.at;
            self.physical_start = self.at;
            self.skip_while(|c| matches!(c, ' ' | '\t' | '\x0c'));
            let indentation = indentation_start..self.at;
            match self.peek() {
                None => {}
                Some('\n' | '\r') => self.skip_newline(),
                Some('#') => {
                    let comment = self.comment();
                    self.items.push(Item::Comment(comment));
                }
                Some(_) => {
                    let line = self.logical_line(indentation).ok()?;
                    self.items.push(Item::Line(line));
                }
            }
        }
        (self.problems.len() < ENOUGH_PROBLEMS).then_some(self.items)
    }

    fn peek(&self) -> Option<char> {
        self.source[self.at..].chars().next()
    }

    fn skip_while(&mut self, belongs: impl Fn(char) -> bool) {
        let rest = &self.source[self.at..];
        self.at += rest.find(|c| !belongs(c)).unwrap_or(rest.len());
    }

    fn skip_newline(&mut self) {
        self.at += if self.source[self.at..].starts_with("\r\n") { 2 } else { 1 };
        self.physical_start = self.at;
    }

    fn comment(&mut self) -> Range<usize> {
        let start = self.at;
        self.skip_while(|c| !matches!(c, '\n' | '\r'));
        start..self.at
    }

    /// Refuses a line whose code is too long.
    fn measure(&mut self) -> Result<(), GiveUp> {
        let code = self.physical_start..self.at;
        if code.len() <= limits::LINE_CHARACTERS {
            return Ok(());
        }
        let length = self.source[code.clone()].chars().count();
        if length <= limits::LINE_CHARACTERS {
            return Ok(());
        }
        let message = format!(
            "the line has {length} characters; a line has at most {}",
            limits::LINE_CHARACTERS
        );
        let help = "split it into several statements, or break it within brackets";
        self.problems.push(
            Diagnostic::new(DiagnosticKind::TooLarge, code.start..code.start, message, "this line")
                .with_help(help),
        );
        Err(GiveUp)
    }

    fn logical_line(&mut self, indentation: Range<usize>) -> Result<Line, GiveUp> {
        let start = self.at;
        let mut line = Line::at(indentation, start);
        let mut strays = Vec::new();
        let mut brackets: Vec<(char, usize)> = Vec::new();
        let mut too_deep = false;
        let mut last = ' ';
        let is_definition = begins_with_word(&self.source[start..], "def");
        while let Some(character) = self.peek() {
            match character {
                '\n' | '\r' => {
                    self.measure()?;
                    if brackets.is_empty() {
                        self.skip_newline();
                        break;
                    }
                    self.skip_newline();
                    if self.looks_like_a_new_statement(&line, is_definition, last) {
                        break;
                    }
                    continue;
                }
                '#' => {
                    self.measure()?;
                    let comment = self.comment();
                    self.physical_start = self.at;
                    if brackets.is_empty() {
                        line.comment_beside = Some(comment);
                    } else {
                        line.comments_within.push(comment);
                    }
                    continue;
                }
                '\\' if self.source[self.at + 1..].starts_with(['\n', '\r']) => {
                    self.measure()?;
                    self.at += 1;
                    self.skip_newline();
                    continue;
                }
                '"' | '\'' => {
                    self.measure()?;
                    if !self.skip_quotes(character) {
                        line.broken = true;
                    }
                    self.physical_start = self.at;
                    line.code.end = self.at;
                    last = character;
                    continue;
                }
                '(' | '[' | '{' => {
                    brackets.push((character, self.at));
                    if brackets.len() > limits::NESTING && !too_deep {
                        (too_deep, line.broken) = (true, true);
                        let message = format!("brackets nested more than {} deep", limits::NESTING);
                        self.problem(DiagnosticKind::TooLarge, message, "one too many").help =
                            Some("give the inner part a name in a statement of its own".into());
                    }
                }
                ')' | ']' | '}' => {
                    let opening = match character {
                        ')' => '(',
                        ']' => '[',
                        _ => '{',
                    };
                    match brackets.pop() {
                        Some((open, _)) if open == opening => {}
                        Some((open, place)) => {
                            line.broken = true;
                            let message = format!("`{character}` closes `{open}`");
                            let problem = self.problem(
                                DiagnosticKind::UnbalancedBracket,
                                message,
                                "closed here",
                            );
                            problem.secondary.push(crate::diagnostic::Label {
                                span: place..place + 1,
                                text: "opened here".into(),
                            });
                        }
                        None => {
                            line.broken = true;
                            let message = format!("`{character}` without a `{opening}` before it");
                            self.problem(
                                DiagnosticKind::UnbalancedBracket,
                                message,
                                "closes nothing",
                            )
                            .help = Some(format!("delete it, or add the missing `{opening}`"));
                        }
                    }
                }
                ';' if brackets.is_empty() => {
                    self.problem(DiagnosticKind::NotInLanguage, "`;` between statements", "here")
                        .help = Some("put each statement on a line of its own".into());
                    self.measure()?;
                    self.at += 1;
                    self.skip_while(|c| matches!(c, ' ' | '\t' | '\x0c'));
                    // A comment, or the end of the line, may follow the last `;`.
                    if !matches!(self.peek(), None | Some('\n' | '\r' | '#')) {
                        let next = Line::at(line.indentation.clone(), self.at);
                        self.items.push(Item::Line(std::mem::replace(&mut line, next)));
                        strays.clear();
                    }
                    continue;
                }
                ' ' | '\t' | '\x0c' => {
                    self.at += 1;
                    continue;
                }
                _ if hints::is_program_character(character)
                    || XID_START(character)
                    || XID_CONTINUE(character) => {}
                _ => {
                    line.broken = true;
                    self.stray(character, &mut strays);
                    line.code.end = self.at;
                    continue;
                }
            }
            self.at += character.len_utf8();
            line.code.end = self.at;
            last = character;
        }
        self.measure()?;
        if let Some((open, place)) = brackets.pop() {
            line.broken = true;
            let problem = self.problem(
                DiagnosticKind::UnbalancedBracket,
                format!("`{open}` is never closed"),
                "opened here",
            );
            problem.span = place..place + 1;
            let closing = match open {
                '(' => ')',
                '[' => ']',
                _ => '}',
            };
            problem.help = Some(format!("add the missing `{closing}`"));
        }
        Ok(line)
    }

    /// Reports a fault at the current character.
    fn problem(
        &mut self,
        kind: DiagnosticKind,
        message: impl Into<String>,
        label: &str,
    ) -> &mut Diagnostic {
        let end = self.at + self.peek().map_or(0, char::len_utf8);
        let index = self.problems.len();
        self.problems.push(Diagnostic::new(kind, self.at..end, message, label));
        &mut self.problems[index]
    }

    /// Reports a character that no program contains, unless the line has several already, and skips
    /// it and its repetitions.
    fn stray(&mut self, character: char, known: &mut Vec<char>) {
        let start = self.at;
        self.skip_while(|c| c == character);
        if known.contains(&character) || known.len() >= STRAY_CHARACTERS_OF_A_LINE {
            return;
        }
        known.push(character);
        let shown = if character == '`' {
            "a backquote".to_string()
        } else if character.is_control() || character.is_whitespace() {
            format!("the character U+{:04X}", u32::from(character))
        } else {
            format!("`{}`", quote(&character.to_string()))
        };
        let mut problem = Diagnostic::new(
            DiagnosticKind::StrayCharacter,
            start..self.at,
            format!("{shown} has no meaning in a program"),
            "here",
        );
        problem.help = hints::for_character(character).map(str::to_string);
        self.problems.push(problem);
    }

    /// Skips quoted text. Returns whether it is closed.
    fn skip_quotes(&mut self, quote: char) -> bool {
        let start = self.at;
        let triple: String = std::iter::repeat_n(quote, 3).collect();
        let closing =
            if self.source[self.at..].starts_with(&triple) { triple } else { quote.to_string() };
        self.at += closing.len();
        while let Some(character) = self.peek() {
            if self.source[self.at..].starts_with(&closing) {
                self.at += closing.len();
                return true;
            }
            if closing.len() == 1 && matches!(character, '\n' | '\r') {
                break;
            }
            self.at += character.len_utf8();
            if character == '\\' {
                self.at += self.peek().map_or(0, char::len_utf8);
            }
        }
        let label = "opened here";
        let message = format!("quotes that are never closed by {closing}");
        self.problems.push(
            Diagnostic::new(
                DiagnosticKind::UnclosedQuotes,
                start..start + closing.len(),
                message,
                label,
            )
            .with_help("a doc string begins and ends with \"\"\"; a remark begins with #"),
        );
        false
    }

    /// Whether the line of the text that begins here is a statement, although brackets before it
    /// are open: then the brackets are at fault.
    fn looks_like_a_new_statement(&self, line: &Line, is_definition: bool, last: char) -> bool {
        let rest = &self.source[self.at..];
        let text = rest.trim_start_matches([' ', '\t', '\x0c']);
        if is_definition && last == ':' {
            return true;
        }
        if begins_with_word(text, "return") || begins_with_word(text, "def") {
            return true;
        }
        let name = text.find(|c| !XID_CONTINUE(c)).unwrap_or(text.len());
        let after = text[name..].trim_start_matches([' ', '\t']);
        let assigns = name > 0 && after.starts_with('=') && !after.starts_with("==");
        !is_definition && assigns && rest.len() - text.len() <= line.indentation.len()
    }
}

/// Whether a text begins with a word, and not with a longer name.
pub(super) fn begins_with_word(text: &str, word: &str) -> bool {
    text.strip_prefix(word).is_some_and(|rest| !rest.starts_with(XID_CONTINUE))
}
