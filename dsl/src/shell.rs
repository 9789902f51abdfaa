//! Commands as one types them into a shell: each word is quoted where it must be, so that a hint
//! can be copied whatever the names in it.
//!
//! Commands are written for POSIX shells. Characters that a terminal must not show
//! (`escape::is_shown`) are written in `$'...'`, which bash, zsh and the standard of 2024 read.

use std::ffi::{OsStr, OsString};
use std::fmt;

use crate::escape::is_hidden;

/// A command of symopt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    words: Vec<OsString>,
}

impl Command {
    /// `symopt NAME`
    pub fn new(name: &str) -> Command {
        Command { words: vec!["symopt".into(), name.into()] }
    }

    /// The program and the arguments of a process, such as this one.
    pub fn of_words(words: impl IntoIterator<Item = OsString>) -> Command {
        Command { words: words.into_iter().collect() }
    }

    /// A path, a program or a suite: anything that is no option, whatever it begins with.
    pub fn operand(mut self, operand: impl AsRef<OsStr>) -> Command {
        self.words.push(no_option(operand.as_ref()));
        self
    }

    /// An option without a value.
    pub fn flag(mut self, flag: &str) -> Command {
        self.words.push(flag.into());
        self
    }

    /// An option with a value.
    pub fn option(self, option: &str, value: impl ToString) -> Command {
        let value = value.to_string();
        // A negative number, which is one word with its option.
        if value.starts_with('-') {
            self.flag(&format!("{option}={value}"))
        } else {
            self.flag(option).flag(&value)
        }
    }

    /// An option whose value is a path, a program or a suite.
    pub fn option_operand(self, option: &str, value: impl AsRef<OsStr>) -> Command {
        self.flag(option).operand(value)
    }

    /// Whether every shell reads it: no word needs `$'...'`.
    pub fn is_portable(&self) -> bool {
        self.words.iter().all(|word| word.to_str().is_some_and(|text| text.chars().all(is_shown)))
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, word) in self.words.iter().enumerate() {
            let space = if place == 0 { "" } else { " " };
            write!(f, "{space}{}", quoted(word))?;
        }
        Ok(())
    }
}

/// A path that no command takes for an option.
fn no_option(operand: &OsStr) -> OsString {
    if operand.len() > 1 && operand.as_encoded_bytes().starts_with(b"-") {
        let mut path = OsString::from("./");
        path.push(operand);
        return path;
    }
    operand.to_owned()
}

/// A word as a shell reads it back: as it is where it holds nothing that a shell minds, and else
/// quoted.
pub fn quoted(word: impl AsRef<OsStr>) -> String {
    let word = word.as_ref();
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:=,+@%".contains(c);
    match word.to_str() {
        Some(text) if !text.is_empty() && !text.starts_with('=') && text.chars().all(is_plain) => {
            text.to_owned()
        }
        // The easier one to read, where it protects all that there is.
        Some(text) if text.chars().all(|c| is_shown(c) && !"\"$`\\!".contains(c)) => {
            format!("\"{text}\"")
        }
        Some(text) if text.chars().all(is_shown) => format!("'{}'", text.replace('\'', r"'\''")),
        _ => escaped(word),
    }
}

/// Whether a terminal may show a character: it is no control character, does not change the
/// direction of the text, and is no separator of lines.
fn is_shown(character: char) -> bool {
    !is_hidden(character) && !matches!(character, '\n' | '\t')
}

/// A word in `$'...'`.
fn escaped(word: &OsStr) -> String {
    let mut text = String::from("$'");
    for chunk in word.as_encoded_bytes().utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\'' | '\\' => text.extend(['\\', character]),
                '\n' => text.push_str("\\n"),
                '\t' => text.push_str("\\t"),
                character if is_shown(character) => text.push(character),
                character => character
                    .encode_utf8(&mut [0; 4])
                    .bytes()
                    .for_each(|byte| text.push_str(&format!("\\x{byte:02x}"))),
            }
        }
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    text.push('\'');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 22] = [
        "runs/quick-seed0",
        "a b",
        "a'b",
        "a\"b",
        "$(id)",
        "`id`",
        "$HOME",
        "a\\b",
        "a|b;c&d<e>f(g)*?[h]{i,j}~!#",
        "~",
        "#a",
        "=a",
        "",
        "é ü",
        "a\nb",
        "\x1b[31mred\x07",
        "a\u{202e}b",
        "'''",
        "\"\"\"",
        "a\tb",
        "!!",
        "x=y z",
    ];

    #[test]
    fn a_shell_reads_every_word_back() {
        for shell in ["sh", "bash"] {
            for name in NAMES {
                let command = Command::new("resume").operand(name);
                if shell == "sh" && !command.is_portable() {
                    continue;
                }
                let script = format!("set -- {command}; printf %s \"$#:$3\"");
                let Ok(output) = std::process::Command::new(shell).args(["-c", &script]).output()
                else {
                    continue;
                };
                assert_eq!(
                    String::from_utf8_lossy(&output.stdout),
                    format!("3:{name}"),
                    "{shell}: {command}"
                );
            }
        }
    }

    #[test]
    fn no_word_shows_what_a_terminal_must_not() {
        assert_eq!(quoted("a\n\x1b\u{202e}'b\\"), "$'a\\n\\x1b\\xe2\\x80\\xae\\'b\\\\'");
        assert!(NAMES.iter().all(|name| quoted(name).chars().all(is_shown)));
    }

    #[test]
    fn what_begins_like_an_option_is_none() {
        let command = Command::new("resume")
            .operand("-x")
            .option("--target-fitness", -0.5)
            .option_operand("--suite", "-s y")
            .operand("-");
        assert_eq!(
            command.to_string(),
            "symopt resume ./-x --target-fitness=-0.5 --suite \"./-s y\" -"
        );
    }

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_no_text_are_kept() {
        use std::os::unix::ffi::OsStrExt;
        assert_eq!(quoted(OsStr::from_bytes(b"a\xff b")), "$'a\\xff b'");
    }
}
