//! Faults of a program text: where, why, and a way out.

use std::fmt;
use std::ops::Range;

use ariadne::{
    CharSet, Color, Config, IndexType, Label as ReportLabel, Report, ReportKind, Source,
};

use crate::escape::{self, is_hidden};

/// How many diagnostics one report holds; the rest are counted.
pub const MAXIMUM_DIAGNOSTICS: usize = 20;

/// Longest line, in characters, that a report shows the text of.
const LONGEST_SHOWN_LINE: usize = 300;

/// Longest piece of the user's text that a message repeats, in characters.
const LONGEST_QUOTE: usize = 40;

/// The kinds of faults that a program text can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DiagnosticKind {
    /// The text is longer, wider or deeper than the parser takes.
    TooLarge,
    /// A character that no program contains outside comments and the doc string.
    StrayCharacter,
    /// A bracket without its partner.
    UnbalancedBracket,
    /// Quotes that are never closed.
    UnclosedQuotes,
    /// A line that is indented in another way than its neighbours.
    Indentation,
    /// A text without a program, or a program without a body.
    Empty,
    /// More than one program in a text.
    SecondProgram,
    /// Valid Python that is not part of the language.
    NotInLanguage,
    /// A line that is not made as statements are.
    Syntax,
    /// A number that is malformed or not finite.
    BadConstant,
    /// The parameters are not those of an update program.
    BadSignature,
    /// A name that cannot be assigned: a keyword or a function's name.
    ReservedName,
    /// A call of a function that does not exist.
    UnknownFunction,
    /// A call with too few or too many arguments.
    ArgumentCount,
    /// A variable that is read before it has a value.
    Unassigned,
    /// An argument or a returned value of the wrong type.
    Type,
    /// A return list other than the update and then every state slot.
    ReturnList,
    /// No `return` line.
    MissingReturn,
    /// Statements that follow `return`.
    AfterReturn,
}

impl DiagnosticKind {
    /// A stable name for scripts and searches, such as `unknown-function`.
    pub fn code(self) -> &'static str {
        match self {
            DiagnosticKind::TooLarge => "too-large",
            DiagnosticKind::StrayCharacter => "stray-character",
            DiagnosticKind::UnbalancedBracket => "unbalanced-bracket",
            DiagnosticKind::UnclosedQuotes => "unclosed-quotes",
            DiagnosticKind::Indentation => "indentation",
            DiagnosticKind::Empty => "empty",
            DiagnosticKind::SecondProgram => "second-program",
            DiagnosticKind::NotInLanguage => "not-in-language",
            DiagnosticKind::Syntax => "syntax",
            DiagnosticKind::BadConstant => "bad-constant",
            DiagnosticKind::BadSignature => "bad-signature",
            DiagnosticKind::ReservedName => "reserved-name",
            DiagnosticKind::UnknownFunction => "unknown-function",
            DiagnosticKind::ArgumentCount => "argument-count",
            DiagnosticKind::Unassigned => "unassigned",
            DiagnosticKind::Type => "type",
            DiagnosticKind::ReturnList => "return-list",
            DiagnosticKind::MissingReturn => "missing-return",
            DiagnosticKind::AfterReturn => "after-return",
        }
    }
}

/// A remark about a place in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Byte range in the text.
    pub span: Range<usize>,
    /// Message about it.
    pub text: String,
}

/// One fault of a program text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Kind of the fault.
    pub kind: DiagnosticKind,
    /// Description of the fault, in one line.
    pub message: String,
    /// Where: a byte range in the text.
    pub span: Range<usize>,
    /// Message about that place.
    pub label: String,
    /// Other places that matter, such as the assignment that gave a variable its type.
    pub secondary: Vec<Label>,
    /// A way out.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A diagnostic without secondary labels or help.
    pub fn new(
        kind: DiagnosticKind,
        span: Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic {
            kind,
            message: message.into(),
            span,
            label: label.into(),
            secondary: Vec::new(),
            help: None,
        }
    }

    /// The same with a way out.
    pub fn with_help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }

    /// The same with one more place that matters.
    pub fn with_secondary(mut self, span: Range<usize>, text: impl Into<String>) -> Diagnostic {
        self.secondary.push(Label { span, text: text.into() });
        self
    }
}

/// A place in a text, for people: both counts start at 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    line: usize,
    column: usize,
}

/// All that is wrong with a program text, in the order of the text: never empty.
///
/// `Display` gives one line for each fault (`line:column: message`); [`Diagnostics::render`] shows
/// them in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    positions: Vec<Position>,
    omitted: usize,
}

impl Diagnostics {
    /// The diagnostics of `source`, or `None` if the list is empty.
    pub(crate) fn new(source: &str, mut list: Vec<Diagnostic>) -> Option<Diagnostics> {
        if list.is_empty() {
            return None;
        }
        list.sort_by_key(|diagnostic| diagnostic.span.start);
        let omitted = list.len().saturating_sub(MAXIMUM_DIAGNOSTICS);
        list.truncate(MAXIMUM_DIAGNOSTICS);
        let lines = Lines::new(source);
        let positions =
            list.iter().map(|diagnostic| lines.position(diagnostic.span.start)).collect();
        Some(Diagnostics { list, positions, omitted })
    }

    /// The diagnostic of a text that is no program, where nothing better is known.
    pub(crate) fn unreadable(source: &str) -> Diagnostics {
        let list =
            vec![Diagnostic::new(DiagnosticKind::Syntax, 0..0, "the text is not a program", "")];
        let positions = vec![Lines::new(source).position(0)];
        Diagnostics { list, positions, omitted: 0 }
    }

    /// The diagnostics, in the order of the text; at most [`MAXIMUM_DIAGNOSTICS`].
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    /// The first diagnostic in the text.
    pub fn first(&self) -> &Diagnostic {
        &self.list[0]
    }

    /// Where each of them begins: the line and the column in characters, both from 1.
    pub fn places(&self) -> impl Iterator<Item = (usize, usize)> {
        self.positions.iter().map(|position| (position.line, position.column))
    }

    /// How many more faults there are than are listed.
    pub fn omitted(&self) -> usize {
        self.omitted
    }

    /// The diagnostics shown in the text that they are about, for a terminal: `source_name` is what
    /// to call the text (a path, or `<stdin>`), `source` the text that was parsed.
    pub fn render(&self, source_name: &str, source: &str, color: bool) -> String {
        let lines = Lines::new(source);
        let source_name = escape::line(source_name).into_owned();
        // Control characters of the text must not reach the terminal; one character for one keeps
        // the columns.
        let shown = Source::from(source.chars().map(printable).collect::<String>());
        let mut rendered = String::new();
        for (diagnostic, position) in self.list.iter().zip(&self.positions) {
            let labels: Vec<&Range<usize>> = std::iter::once(&diagnostic.span)
                .chain(diagnostic.secondary.iter().map(|l| &l.span))
                .collect();
            // A fault of the text as a whole has no label, and shows no line either.
            let is_shown = !diagnostic.label.is_empty()
                && labels.iter().all(|span| lines.length_around(span.start) <= LONGEST_SHOWN_LINE);
            let report = is_shown
                .then(|| self.report(diagnostic, &lines, &source_name, &shown, color))
                .flatten();
            rendered
                .push_str(&report.unwrap_or_else(|| plain(diagnostic, *position, &source_name)));
            rendered.push('\n');
        }
        if self.omitted > 0 {
            rendered.push_str(&format!("and {} more\n", self.omitted));
        }
        rendered
    }

    fn report(
        &self,
        diagnostic: &Diagnostic,
        lines: &Lines,
        source_name: &str,
        shown: &Source,
        color: bool,
    ) -> Option<String> {
        let at = |span: &Range<usize>| (source_name, lines.characters_on_one_line(span));
        let configuration = Config::default()
            .with_color(color)
            .with_index_type(IndexType::Char)
            .with_char_set(CharSet::Unicode);
        let mut report = Report::build(ReportKind::Error, at(&diagnostic.span))
            .with_config(configuration)
            .with_code(diagnostic.kind.code())
            .with_message(&diagnostic.message);
        let secondary =
            diagnostic.secondary.iter().map(|label| (&label.span, &label.text, Color::Blue));
        let mut labels: Vec<_> = std::iter::once((&diagnostic.span, &diagnostic.label, Color::Red))
            .chain(secondary)
            .collect();
        // Out of order, they would be shown as pieces of several texts.
        labels.sort_by_key(|(span, ..)| span.start);
        for (span, text, color) in labels {
            report =
                report.with_label(ReportLabel::new(at(span)).with_message(text).with_color(color));
        }
        if let Some(help) = &diagnostic.help {
            report = report.with_help(help);
        }
        let mut bytes = Vec::new();
        report.finish().write((source_name, shown), &mut bytes).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        // Trailing blanks differ between terminals and would make snapshots brittle.
        Some(text.lines().flat_map(|line| [line.trim_end(), "\n"]).collect())
    }
}

/// A report without the text, for lines that are too long to show.
fn plain(diagnostic: &Diagnostic, position: Position, source_name: &str) -> String {
    let Position { line, column } = position;
    let mut text = format!(
        "[{}] Error: {}\n  at {source_name}:{line}:{column}\n",
        diagnostic.kind.code(),
        diagnostic.message
    );
    if let Some(help) = &diagnostic.help {
        text.push_str(&format!("  Help: {}\n", help.replace('\n', "\n        ")));
    }
    text
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (diagnostic, position)) in self.list.iter().zip(&self.positions).enumerate() {
            let separator = if index > 0 { "\n" } else { "" };
            write!(f, "{separator}{}:{}: {}", position.line, position.column, diagnostic.message)?;
        }
        if self.omitted > 0 {
            write!(f, "\nand {} more", self.omitted)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// A piece of the user's text as a message repeats it: on one line, without hidden characters, not
/// too long.
pub(crate) fn quote(text: &str) -> String {
    let mut words = String::new();
    for (length, character) in text.chars().enumerate() {
        // Far longer texts than are shown are not read to their end.
        if length > 4 * LONGEST_QUOTE || words.chars().count() > LONGEST_QUOTE {
            words = words.chars().take(LONGEST_QUOTE).collect();
            words.push('…');
            break;
        }
        match character {
            _ if matches!(character, ' ' | '\t' | '\r' | '\n' | '\x0c') => {
                if !words.ends_with(' ') {
                    words.push(' ');
                }
            }
            _ => words.push_str(&escape::line(character.encode_utf8(&mut [0; 4]))),
        }
    }
    words
}

/// The character itself, or a stand-in for one that would change how a terminal shows its
/// neighbours.
fn printable(character: char) -> char {
    if is_hidden(character) && character != '\r' { '\u{fffd}' } else { character }
}

/// Where the lines of a text begin and end.
struct Lines<'a> {
    source: &'a str,
    /// For each line: the bytes without the line break, and the number of characters before it.
    lines: Vec<(Range<usize>, usize)>,
}

impl<'a> Lines<'a> {
    fn new(source: &'a str) -> Lines<'a> {
        let (mut lines, mut start, mut characters, mut at) = (Vec::new(), 0, 0, 0);
        let bytes = source.as_bytes();
        while at <= bytes.len() {
            let width = match bytes.get(at..) {
                None | Some([]) => 1,
                Some([b'\r', b'\n', ..]) => 2,
                Some([b'\r' | b'\n', ..]) => 1,
                Some(_) => {
                    at += 1;
                    continue;
                }
            };
            lines.push((start..at, characters));
            at += width;
            let end = at.min(bytes.len());
            characters += source.get(start..end).map_or(0, |line| line.chars().count());
            start = end;
        }
        Lines { source, lines }
    }

    fn line_of(&self, at: usize) -> &(Range<usize>, usize) {
        let after = self.lines.partition_point(|(bytes, _)| bytes.start <= at);
        &self.lines[after.saturating_sub(1)]
    }

    /// Number of characters from the beginning of the line to `at`; places within a character count
    /// as its beginning.
    fn column(&self, bytes: &Range<usize>, at: usize) -> usize {
        let line = &self.source[bytes.clone()];
        line.char_indices()
            .take_while(|(offset, character)| bytes.start + offset + character.len_utf8() <= at)
            .count()
    }

    fn position(&self, at: usize) -> Position {
        let after = self.lines.partition_point(|(bytes, _)| bytes.start <= at);
        let (bytes, _) = &self.lines[after.saturating_sub(1)];
        Position { line: after.max(1), column: self.column(bytes, at) + 1 }
    }

    /// Length in bytes of the line that holds `at`.
    fn length_around(&self, at: usize) -> usize {
        self.line_of(at).0.len()
    }

    /// A byte range as a range of characters, cut at the end of its first line: reports of several
    /// lines are hard to read.
    fn characters_on_one_line(&self, span: &Range<usize>) -> Range<usize> {
        let (bytes, before) = self.line_of(span.start);
        let start = before + self.column(bytes, span.start);
        let end = before + self.column(bytes, span.end.min(bytes.end));
        start..end.max(start)
    }
}
