//! How templates escape.

use std::fmt;

use askama::filters::Escaper;
use symopt_dsl::escape::xml;

/// Shows a text as it is: markup and hidden characters are escaped, lines stay.
#[derive(Clone, Copy, Default)]
pub(crate) struct Shown;

impl Escaper for Shown {
    fn write_escaped_str<W: fmt::Write>(&self, mut out: W, text: &str) -> fmt::Result {
        for (number, line) in text.split('\n').enumerate() {
            if number > 0 {
                out.write_char('\n')?;
            }
            out.write_str(&xml(line))?;
        }
        Ok(())
    }
}
