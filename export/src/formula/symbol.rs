//! Names of a program as symbols of mathematics.

/// The Greek letters that names may spell, in Unicode; the command of LaTeX is the name.
const GREEK: &[(&str, &str)] = &[
    ("alpha", "α"),
    ("beta", "β"),
    ("gamma", "γ"),
    ("delta", "δ"),
    ("epsilon", "ε"),
    ("zeta", "ζ"),
    ("eta", "η"),
    ("theta", "θ"),
    ("iota", "ι"),
    ("kappa", "κ"),
    ("lambda", "λ"),
    ("mu", "μ"),
    ("nu", "ν"),
    ("xi", "ξ"),
    ("rho", "ρ"),
    ("sigma", "σ"),
    ("tau", "τ"),
    ("phi", "φ"),
    ("chi", "χ"),
    ("psi", "ψ"),
    ("omega", "ω"),
];

/// Mark that tells a symbol from the one that it is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// A new value under the name of an input.
    Prime,
    /// A value under the name of a slot that is not the slot's next value.
    Tilde,
}

/// A symbol in both notations. In LaTeX its time index is added where it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Symbol {
    pub unicode: String,
    /// The letter or word.
    base: String,
    /// Subscript, which stands before the time.
    subscript: Option<String>,
    prime: bool,
}

impl Symbol {
    fn new(
        unicode: impl Into<String>,
        base: impl Into<String>,
        subscript: Option<String>,
    ) -> Symbol {
        Symbol { unicode: unicode.into(), base: base.into(), subscript, prime: false }
    }

    /// The symbol of a variable.
    pub fn of_name(name: &str) -> Symbol {
        match name {
            "lr" => return Symbol::new("lr", r"\eta", None),
            "update" => return Symbol::new("update", "u", None),
            "weight_decay" => return Symbol::new("λ", r"\lambda", None),
            "eps" => return Symbol::of_name("epsilon"),
            _ => {}
        }
        for (ending, combining, command) in
            [("_hat", '\u{302}', r"\hat"), ("_bar", '\u{304}', r"\bar")]
        {
            if let Some(stem) = name.strip_suffix(ending)
                && let Some(letter) = letter(stem)
            {
                return Symbol::new(
                    format!("{}{combining}", letter.0),
                    format!("{command}{{{}}}", letter.1),
                    None,
                );
            }
        }
        let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let digits = &name[stem.len()..];
        if !digits.is_empty()
            && let Some(letter) = letter(stem.trim_end_matches('_'))
        {
            return Symbol::new(
                format!("{}{}", letter.0, subscript_digits(digits)),
                letter.1,
                Some(digits.to_string()),
            );
        }
        if let Some(letter) = letter(name) {
            return Symbol::new(letter.0, letter.1, None);
        }
        if let Some((stem, rest)) = name.split_once('_')
            && let Some(letter) = letter(stem)
            && !rest.trim_matches('_').is_empty()
        {
            return Symbol::new(name, letter.1, Some(format!(r"\mathrm{{{}}}", latex_text(rest))));
        }
        Symbol::spelled_out(name)
    }

    /// A name as it stands.
    pub fn spelled_out(name: &str) -> Symbol {
        Symbol::new(name, format!(r"\mathrm{{{}}}", latex_text(name)), None)
    }

    /// A letter with a number below it.
    pub fn numbered(letter: char, number: usize) -> Symbol {
        let digits = number.to_string();
        Symbol::new(
            format!("{letter}{}", subscript_digits(&digits)),
            letter.to_string(),
            Some(digits),
        )
    }

    /// A number that has a symbol of its own.
    pub fn constant(unicode: &str, latex: &str) -> Symbol {
        Symbol::new(unicode, latex, None)
    }

    /// This symbol with a mark.
    pub fn marked(&self, mark: Mark) -> Symbol {
        let mut symbol = self.clone();
        match mark {
            Mark::Prime => {
                symbol.unicode.push('′');
                symbol.prime = true;
            }
            Mark::Tilde => {
                let first = symbol.unicode.chars().next().map_or(0, char::len_utf8);
                symbol.unicode.insert(first, '\u{303}');
                symbol.base = format!(r"\tilde{{{}}}", symbol.base);
            }
        }
        symbol
    }

    /// This symbol with a number below it, if there is nothing yet.
    pub fn with_number(&self, number: usize) -> Option<Symbol> {
        if self.subscript.is_some() || self.unicode.ends_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let digits = number.to_string();
        let unicode = format!("{}{}", self.unicode, subscript_digits(&digits));
        Some(Symbol { unicode, subscript: Some(digits), ..self.clone() })
    }

    /// The symbol in LaTeX, at a time: `m_{t-1}`.
    pub fn latex(&self, time: Option<&str>) -> String {
        let below: Vec<&str> = self.subscript.as_deref().into_iter().chain(time).collect();
        let below = below.join(",");
        let prime = if self.prime { "'" } else { "" };
        match below.chars().count() {
            0 => format!("{}{prime}", self.base),
            1 => format!("{}{prime}_{below}", self.base),
            _ => format!("{}{prime}_{{{below}}}", self.base),
        }
    }

    /// Whether a power needs braces around it: TeX takes a prime for an exponent.
    pub fn is_primed(&self) -> bool {
        self.prime
    }
}

/// A name that is one letter, Latin or Greek, in Unicode and in LaTeX.
fn letter(name: &str) -> Option<(&str, String)> {
    if let Some((command, letter)) =
        GREEK.iter().find(|(command, letter)| *command == name || *letter == name)
    {
        return Some((letter, format!(r"\{command}")));
    }
    (name.len() == 1 && name.chars().all(|c| c.is_ascii_alphabetic()))
        .then(|| (name, name.to_string()))
}

fn subscript_digits(digits: &str) -> String {
    digits
        .chars()
        .map(|c| c.to_digit(10).and_then(|d| char::from_u32('₀' as u32 + d)).unwrap_or(c))
        .collect()
}

/// A name or a remark inside `\mathrm`, `\text` or `\texttt`: what LaTeX takes for commands is
/// escaped, what its plain fonts lack is a question mark.
pub(super) fn latex_text(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '_' | '&' | '%' | '$' | '#' | '{' | '}' => escaped.extend(['\\', character]),
            '\\' | '^' | '~' => escaped.push('?'),
            ' '..='~' => escaped.push(character),
            _ => escaped.push('?'),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_symbols() {
        let both = |name: &str| {
            let symbol = Symbol::of_name(name);
            (symbol.unicode.clone(), symbol.latex(Some("t-1")))
        };
        let cases = [
            ("m", "m", "m_{t-1}"),
            ("v845", "v₈₄₅", "v_{845,t-1}"),
            ("beta1", "β₁", r"\beta_{1,t-1}"),
            ("beta_2", "β₂", r"\beta_{2,t-1}"),
            ("weight_decay", "λ", r"\lambda_{t-1}"),
            ("eps", "ε", r"\epsilon_{t-1}"),
            ("lr", "lr", r"\eta_{t-1}"),
            ("v_hat", "v\u{302}", r"\hat{v}_{t-1}"),
            ("m_slow", "m_slow", r"m_{\mathrm{slow},t-1}"),
            ("momentum_decay", "momentum_decay", r"\mathrm{momentum\_decay}_{t-1}"),
            ("_", "_", r"\mathrm{\_}_{t-1}"),
            ("m_", "m_", r"\mathrm{m\_}_{t-1}"),
            ("größe", "größe", r"\mathrm{gr??e}_{t-1}"),
            ("λ", "λ", r"\lambda_{t-1}"),
        ];
        for (name, unicode, latex) in cases {
            assert_eq!(both(name), (unicode.to_string(), latex.to_string()), "{name}");
        }
    }

    #[test]
    fn marks_and_numbers_tell_symbols_apart() {
        let g = Symbol::of_name("g");
        assert_eq!(
            (
                g.marked(Mark::Prime).unicode.as_str(),
                g.marked(Mark::Prime).latex(Some("t")).as_str()
            ),
            ("g′", "g'_t")
        );
        assert_eq!(
            (g.marked(Mark::Tilde).unicode.as_str(), g.marked(Mark::Tilde).latex(None).as_str()),
            ("g\u{303}", r"\tilde{g}")
        );
        assert_eq!(g.with_number(2), Some(Symbol::of_name("g2")));
        assert_eq!(Symbol::of_name("g2").with_number(1), None);
    }
}
