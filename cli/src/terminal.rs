//! The standard output and the standard error stream: what can be shown there, and what must not
//! reach a terminal.

use std::io::{IsTerminal, StdoutLock, Write};

use symopt_dsl::escape;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::words;

/// The standard output. Hidden characters are escaped, whatever text they come with: in JSON they
/// stay what they are.
pub struct Output(StdoutLock<'static>);

/// Opens the standard output.
pub fn output() -> Output {
    Output(std::io::stdout().lock())
}

impl Output {
    /// Writes a text with colours of our own as it is.
    pub fn write_painted(&mut self, text: &str) -> std::io::Result<()> {
        self.0.write_all(text.as_bytes())
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // Formatting and JSON write whole characters at a time.
        for chunk in bytes.utf8_chunks() {
            self.0.write_all(escape::lines(chunk.valid()).as_bytes())?;
            if !chunk.invalid().is_empty() {
                write!(self.0, "{}", char::REPLACEMENT_CHARACTER)?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// Writes a message to the standard error stream. If nobody reads it, the exit code must do.
pub fn say(message: &str) {
    let arguments =
        words::arguments().iter().map(|argument| argument.to_string_lossy().into_owned());
    let _ =
        writeln!(std::io::stderr(), "{}", escape::message(&escape::quoting(message, arguments)));
}

/// Columns where a terminal does not say how many it has.
const USUAL: usize = 80;
/// Fewer are taken for so many: nothing can be shown in them.
const LEAST: usize = 20;

/// Columns for a chart on the standard output; 100 where there is no terminal.
pub fn columns() -> usize {
    columns_of_output().unwrap_or(100).clamp(40, 240)
}

/// Columns that the standard output has; `None` where it is no terminal, and takes lines of any
/// length.
pub fn columns_of_output() -> Option<usize> {
    std::io::stdout().is_terminal().then(|| {
        #[cfg(unix)]
        return size_of(std::io::stdout());
        #[cfg(not(unix))]
        named()
    })
}

/// Columns of the terminal behind the standard error stream.
pub fn columns_of_errors() -> usize {
    #[cfg(unix)]
    return size_of(std::io::stderr());
    #[cfg(not(unix))]
    named()
}

#[cfg(unix)]
fn size_of(stream: impl std::os::fd::AsFd) -> usize {
    let columns = rustix::termios::tcgetwinsize(stream)
        .ok()
        .map(|size| usize::from(size.ws_col))
        .filter(|columns| *columns > 0);
    columns.map_or_else(named, |columns| columns.max(LEAST))
}

/// As the environment has it, for terminals that do not say.
fn named() -> usize {
    std::env::var("COLUMNS")
        .ok()
        .and_then(|columns| columns.parse().ok())
        .unwrap_or(USUAL)
        .max(LEAST)
}

/// Whether the standard output may be coloured.
pub fn color() -> bool {
    std::io::stdout().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether reports on the standard error stream may be coloured.
pub fn color_of_messages() -> bool {
    std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// How many columns a text takes.
pub fn width_of(text: &str) -> usize {
    text.width()
}

/// The beginning of a text in so many columns, with `…` where something is missing.
pub fn shortened(text: &str, columns: usize) -> String {
    if width_of(text) <= columns {
        return text.to_owned();
    }
    let mut short = String::new();
    let mut width = 1;
    for character in text.chars() {
        width += character.width().unwrap_or(0);
        if width > columns {
            break;
        }
        short.push(character);
    }
    if columns > 0 {
        short.push('…');
    }
    short
}

/// A text of which the middle is missing, if it is wider than so many columns.
pub fn shortened_in_the_middle(text: &str, columns: usize) -> String {
    if width_of(text) <= columns {
        return text.to_owned();
    }
    let end_width = columns.saturating_sub(1) / 2;
    let mut end: Vec<char> = Vec::new();
    let mut width = 0;
    for character in text.chars().rev() {
        width += character.width().unwrap_or(0);
        if width > end_width {
            break;
        }
        end.push(character);
    }
    let end: String = end.into_iter().rev().collect();
    // The end mark of `shortened` stands for the middle.
    format!("{}{end}", shortened(text, columns.saturating_sub(width_of(&end))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_shortened_to_columns_and_not_to_characters() {
        assert_eq!(
            (shortened("abcdef", 6), shortened("abcdefg", 6)),
            ("abcdef".to_owned(), "abcde…".to_owned())
        );
        assert_eq!((shortened("漢字漢字", 5), width_of("漢字漢字")), ("漢字…".to_owned(), 8));
        assert_eq!(shortened_in_the_middle("published-adabelief-like", 15), "publish…ef-like");
        for columns in 0..10 {
            assert!(width_of(&shortened("漢字漢字abc", columns)) <= columns);
            assert!(width_of(&shortened_in_the_middle("漢字漢字abc", columns)) <= columns);
        }
    }
}
