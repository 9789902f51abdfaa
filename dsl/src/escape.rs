//! Text of any origin as each medium can show it: names, doc strings, paths and messages hold what
//! a user, a file or a peer wrote.
//!
//! Hidden characters ([`is_hidden`]) are written as `\u202e`, in two units of UTF-16 beyond the
//! first plane. It is the escape of JSON, which reads it back, and of doc strings. One function for
//! each medium does that and what else the medium needs.

use std::borrow::Cow;

/// Whether a character shows nothing of its own and changes how a reader sees its neighbours:
/// control characters except the line feed and the tab, separators of lines, what has no width,
/// what turns the direction of a text, and what no Unicode text may hold.
pub fn is_hidden(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' => {
            true
        }
        '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' => true,
        '\u{3164}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{fffe}'
        | '\u{ffff}' => true,
        '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}' => true,
        _ => character.is_control(),
    }
}

/// Appends a character as its escape.
pub(crate) fn push_escaped(text: &mut String, character: char) {
    for unit in character.encode_utf16(&mut [0; 2]) {
        text.push_str(&format!("\\u{unit:04x}"));
    }
}

/// The character whose escape a text begins with, and the bytes that the escape takes; `None` for
/// characters that need none, so that `\u0041` and `\upsilon` stand for themselves.
pub(crate) fn read_escaped(text: &str) -> Option<(char, usize)> {
    const LENGTH: usize = "\\u202e".len();
    let unit = |at: usize| {
        let digits = text.get(at..at + LENGTH)?.strip_prefix("\\u")?;
        digits
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit())
            .then(|| u16::from_str_radix(digits, 16).ok())
            .flatten()
    };
    let first = unit(0)?;
    let (character, length) = match char::from_u32(u32::from(first)) {
        Some(character) => (character, LENGTH),
        None => (char::decode_utf16([first, unit(LENGTH)?]).next()?.ok()?, 2 * LENGTH),
    };
    (is_hidden(character) || character.is_whitespace()).then_some((character, length))
}

fn escaped(text: &str, is_shown: impl Fn(char) -> bool) -> Cow<'_, str> {
    if text.chars().all(&is_shown) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_shown(character) {
            escaped.push(character)
        } else {
            push_escaped(&mut escaped, character)
        }
    }
    Cow::Owned(escaped)
}

/// A text of several lines for terminals, comments and doc strings: without hidden characters.
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |character| !is_hidden(character))
}

/// A text on one line, such as a name within a table: without hidden characters, line feeds and
/// tabs.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, |character| !is_hidden(character) && !matches!(character, '\n' | '\t'))
}

/// A message in which none of these texts, such as arguments of a command line and the paths among
/// them, takes several lines: what follows a line feed of theirs would look like a line of the
/// message's own.
pub fn quoting<'a>(message: &'a str, texts: impl Iterator<Item = String>) -> Cow<'a, str> {
    let mut message = Cow::Borrowed(message);
    for text in texts {
        // For `--name=value`, a message has the value.
        let value = text.split_once('=').map_or("", |(_, value)| value);
        for part in [text.as_str(), value]
            .into_iter()
            .filter(|part| part.contains('\n') && !part.trim().is_empty())
        {
            if !message.contains(part) {
                continue;
            }
            message = Cow::Owned(message.replace(part, &line(part)));
        }
    }
    message
}

/// A text between the tags of XML and HTML, or in an attribute's quotes.
pub fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in line(text).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            character => escaped.push(character),
        }
    }
    escaped
}

/// A text within the prose or a table of Markdown: it stands for itself, without markup, links and
/// HTML.
pub fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let line = line(text);
    for (at, character) in line.char_indices() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '$' => {
                escaped.extend(['\\', character])
            }
            '#' if at == 0 => escaped.push_str("\\#"),
            character => escaped.push(character),
        }
    }
    escaped
}

/// A text as a span of code in Markdown, within a table too.
pub fn markdown_code(text: &str) -> String {
    let text = line(text).replace('|', "\\|");
    let longest = text.split(|character| character != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let margin = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{margin}{text}{margin}{fence}")
}

/// A text as a fenced block of Markdown, with a language or none.
pub fn markdown_block(language: &str, text: &str) -> String {
    let longest = text.split(|character| character != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let text = lines(text);
    format!("{fence}{language}\n{}\n{fence}", text.strip_suffix('\n').unwrap_or(&text))
}

/// A text of JSON whose strings hold no hidden characters either.
pub fn json(text: &str) -> Cow<'_, str> {
    // Outside of strings JSON has none, so each is within one, where this is its escape.
    lines(text)
}

/// A text of at most so many characters: of a longer one the beginning, `…`, and the end.
pub fn abridged(text: &str, longest: usize) -> Cow<'_, str> {
    let length = text.chars().count();
    if length <= longest {
        return Cow::Borrowed(text);
    }
    let end = longest / 3;
    let start = longest.saturating_sub(end + 1);
    let kept = text.chars().take(start).chain(['…']).chain(text.chars().skip(length - end));
    Cow::Owned(kept.collect())
}

/// A message for people that quotes text of any origin: without hidden characters, enormous words
/// and lines abridged.
pub fn message(text: &str) -> String {
    /// Paths and hashes are shorter.
    const LONGEST_WORD: usize = 240;
    /// Lists of all programs of the zoo are shorter.
    const LONGEST_LINE: usize = 2_000;
    let text = lines(text);
    let line = |line: &str| {
        let words: Vec<Cow<'_, str>> =
            line.split(' ').map(|word| abridged(word, LONGEST_WORD)).collect();
        abridged(&words.join(" "), LONGEST_LINE).into_owned()
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_that_a_message_quotes_stays_on_one_line() {
        let arguments =
            || ["inspect", "a\nerror: b", "--store=c\nd", "\n"].map(str::to_owned).into_iter();
        let found =
            quoting("error: a\nerror: b/x is no store\ngive another than c\nd", arguments());
        assert_eq!(found, "error: a\\u000aerror: b/x is no store\ngive another than c\\u000ad");
        assert!(matches!(quoting("one line\nand another", arguments()), Cow::Borrowed(_)));
    }

    #[test]
    fn hidden_characters_are_escaped_for_each_medium_and_read_back() {
        for character in [
            '\0',
            '\r',
            '\x1b',
            '\x7f',
            '\u{9b}',
            '\u{202e}',
            '\u{2066}',
            '\u{200d}',
            '\u{61c}',
            '\u{feff}',
            '\u{e0001}',
        ] {
            let text = format!("a{character}b");
            let escape = lines(&text).into_owned();
            assert!(escape.is_ascii() && !escape.chars().any(char::is_control), "{escape:?}");
            assert_eq!([line(&text).into_owned(), xml(&text)], [escape.clone(), escape.clone()]);
            assert_eq!(read_escaped(&escape[1..]), Some((character, escape.len() - 2)));
            assert_eq!(serde_json::from_str::<String>(&format!("\"{escape}\"")).unwrap(), text);
        }
        assert_eq!(
            (lines("ä\tβ\n").as_ref(), line("ä\tβ\n").as_ref()),
            ("ä\tβ\n", "ä\\u0009β\\u000a")
        );
        assert_eq!(
            ["\\u0041", "\\upsilon", "\\u12", "\\ud800", "\\ud800\\u0041"].map(read_escaped),
            [None; 5]
        );
    }

    #[test]
    fn markdown_shows_a_text_as_it_is() {
        assert_eq!(
            markdown("a|b <script> [x](y) `c` *d* _e_ h\\i"),
            "a\\|b &lt;script> \\[x\\](y) \\`c\\` \\*d\\* \\_e\\_ h\\\\i"
        );
        assert_eq!(markdown_code("a``b`"), "``` a``b` ```");
        assert_eq!(markdown_block("", "```\nx\n"), "````\n```\nx\n````");
    }

    #[test]
    fn long_texts_are_abridged() {
        assert_eq!(
            (abridged("abcdef", 6).as_ref(), abridged("abcdefg", 6).as_ref()),
            ("abcdef", "abc…fg")
        );
        assert!(message(&"x".repeat(5_000)).chars().count() <= 240);
        assert!(message(&"x ".repeat(5_000)).chars().count() <= 2_000);
    }
}
