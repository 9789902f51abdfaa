//! Ways out of common mistakes: tables of names and characters, and the nearest name.

use crate::function::{FUNCTIONS, FunctionRow};

/// Python's keywords: they cannot be names.
pub(super) const KEYWORDS: [&str; 35] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue",
    "def", "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import",
    "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while",
    "with", "yield",
];

/// Keywords that begin a statement of Python that the language does not have, and what to do
/// instead.
const FOREIGN_STATEMENTS: [(&str, &str); 25] = [
    (
        "if",
        "a program has no branches: write `where(c, x, y)`, which is x where c is not 0 and y where it is",
    ),
    (
        "elif",
        "a program has no branches: write `where(c, x, y)`, which is x where c is not 0 and y where it is",
    ),
    (
        "else",
        "a program has no branches: write `where(c, x, y)`, which is x where c is not 0 and y where it is",
    ),
    ("for", "a program has no loops: statements already work on all parameters at once"),
    ("while", "a program has no loops: statements already work on all parameters at once"),
    ("import", "drop it: all functions are known by their plain names"),
    ("from", "drop it: all functions are known by their plain names"),
    ("class", "a text holds one program: `def name(w, g, ...):` and its statements"),
    ("def", "a program has no inner functions: write their statements out"),
    ("async", "write a plain `def`"),
    ("with", "drop it and unindent its body"),
    ("try", "drop it and unindent its body: NaN and infinities are values, as in NumPy"),
    ("except", "drop it: NaN and infinities are values, as in NumPy"),
    ("finally", "drop it and unindent its body"),
    ("pass", "a program has at least a `return` line"),
    ("del", "drop it: a variable that is not read costs nothing"),
    (
        "global",
        "drop it: what must last from step to step is a state slot, a parameter that is returned",
    ),
    (
        "nonlocal",
        "drop it: what must last from step to step is a state slot, a parameter that is returned",
    ),
    ("raise", "drop it: NaN and infinities are values, as in NumPy"),
    ("assert", "drop it"),
    ("break", "a program has no loops"),
    ("continue", "a program has no loops"),
    ("yield", "use `return`"),
    ("await", "drop it"),
    ("lambda", "write its expression out where it is called"),
];

/// The way out for a statement that begins with this keyword, if the language has no such
/// statement.
pub(super) fn for_statement(keyword: &str) -> Option<&'static str> {
    FOREIGN_STATEMENTS.iter().find(|(word, _)| *word == keyword).map(|(_, help)| *help)
}

/// Names of functions that other libraries have, and what to write here.
const FOREIGN_FUNCTIONS: [(&[&str], &str); 25] = [
    (
        &["ema", "lerp", "mix", "blend", "moving_average", "exponential_moving_average"],
        "write `interp(x, y, a)`: (1 - a) * x + a * y",
    ),
    (
        &["clip_norm", "clip_grad_norm", "clip_grad_norm_", "clip_by_norm"],
        "write `clip(x, limit)`: x scaled to a global norm of at most the limit",
    ),
    (&["clamp", "clip_by_value"], "write `minimum(maximum(x, low), high)`"),
    (
        &["sum", "average", "median", "var", "std", "numel"],
        "reduce by `mean` (a sum is `mean(x) * size(x)`), `norm`, `global_norm`, `dot` or `cosine_sim` reduce",
    ),
    (
        &["select", "cond", "if_else", "ifelse", "choose"],
        "write `where(c, x, y)`: x where c is not 0, y where it is; c may be a comparison, such as `less(x, y)`",
    ),
    (
        &["einsum", "outer", "inner", "svd", "qr", "inv"],
        "of matrices there are `transpose`, `matmul`, `row_mean`, `column_mean`, `newton_schulz`, `rows` and `columns`",
    ),
    (&["pow", "float_power"], "write `power(x, y)` or `x ** y`"),
    (&["neg"], "write `-x`"),
    (&["add_", "plus"], "write `x + y`"),
    (&["sub", "minus"], "write `x - y`"),
    (&["mul", "times"], "write `x * y`"),
    (&["div", "true_divide"], "write `x / y`"),
    (&["rsqrt"], "write `1 / sqrt(x)`"),
    (&["sqr", "pow2"], "write `square(x)`"),
    (&["absolute", "fabs", "norm1"], "write `abs(x)`"),
    (&["sgn", "signum"], "write `sign(x)`"),
    (
        &["asin", "acos", "atan", "asinh", "acosh", "atanh"],
        "the inverse functions are called `arcsin`, `arccos`, `arctan`, `arcsinh`, `arccosh` and `arctanh`",
    ),
    (&["ln", "log_e"], "write `log(x)`"),
    (&["inverse", "recip"], "write `reciprocal(x)`"),
    (
        &["l2_norm", "norm2", "total_norm"],
        "write `global_norm(x)` over all parameters, or `norm(x)` for each array by itself",
    ),
    (&["zeros", "zeros_like"], "state slots start at zero; a zero is written `0.0`"),
    (
        &["ones", "ones_like", "full", "full_like", "array", "tensor", "float"],
        "write the number itself: it is broadcast to every parameter",
    ),
    (
        &["sigmoid", "relu", "softplus"],
        "compose it: sigmoid is `1 / (1 + exp(-x))`, relu is `maximum(x, 0)`, softplus is `log1p(exp(x))`",
    ),
    (
        &["random", "normal", "uniform", "dropout"],
        "a program is deterministic: the same inputs give the same update",
    ),
    (
        &["print", "len", "range", "tree_map", "map"],
        "drop it: functions already work on all parameters at once",
    ),
];

/// Suggests what to write in place of an unknown function.
pub(super) fn for_function(name: &str) -> Option<String> {
    if let Some((_, help)) = FOREIGN_FUNCTIONS.iter().find(|(names, _)| names.contains(&name)) {
        return Some((*help).to_string());
    }
    let names = FUNCTIONS
        .iter()
        .flat_map(|row| std::iter::once(row.name).chain(row.aliases.iter().copied()));
    nearest(name, names).map(|near| format!("did you mean `{near}`?"))
}

/// How a function is called, with the names that its documentation uses: `interp(x, y, a)`.
pub(super) fn form(row: &FunctionRow) -> String {
    let parameters = match (row.arity(), row.name) {
        (0, _) => "",
        (1, _) => "x",
        (2, "clip") => "x, s",
        (2, _) => "x, y",
        (_, "where") => "c, x, y",
        _ => "x, y, a",
    };
    format!("{}({parameters})", row.name)
}

/// The candidate that a misspelled name is most likely to mean, if any is near enough.
pub(super) fn nearest<'a>(
    name: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    // A third of the letters may differ, at least one; a name of one letter is near only to its
    // other case.
    let length = name.chars().count();
    let allowed = (length / 3).max(1);
    candidates
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&name.to_lowercase(), &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(distance, candidate)| {
            *distance <= allowed && *distance < length.min(candidate.chars().count())
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Help for a variable that nobody assigns but that other languages define.
pub(super) fn for_constant(name: &str) -> Option<&'static str> {
    match name {
        "pi" | "PI" => Some("write `get_pi()`"),
        "e" | "E" => Some("write `get_e()`"),
        "eps" | "epsilon" | "EPS" => Some(
            "write `get_eps()`, a number such as `1e-8`, or declare a hyperparameter after `*`",
        ),
        "step" | "step_count" | "iteration" | "count" => {
            Some("the step count is the parameter `t`: add it after the gradients")
        }
        "grad" | "grads" | "gradient" | "gradients" => {
            Some("the gradients are the second parameter")
        }
        "weight" | "weights" | "param" | "params" => Some("the weights are the first parameter"),
        "learning_rate" | "eta" => Some("the learning rate is the parameter `lr`"),
        _ => None,
    }
}

/// Whether a character that is neither a letter nor a digit can stand in a line that the grammar is
/// able to report on.
pub(super) fn is_program_character(character: char) -> bool {
    matches!(
        character,
        '_' | '+'
            | '-'
            | '*'
            | '/'
            | '='
            | ','
            | ':'
            | '.'
            | '@'
            | '<'
            | '>'
            | '!'
            | '%'
            | '&'
            | '|'
            | '^'
            | '~'
    )
}

/// Suggests what to write in place of a character that programs do not contain.
pub(super) fn for_character(character: char) -> Option<&'static str> {
    Some(match character {
        '×' | '·' | '∙' | '⋅' | '∗' | '⊙' | '∘' => "write `*`",
        '÷' | '∕' | '⁄' => "write `/`",
        '−' | '–' | '—' | '‐' | '‑' => "write the hyphen `-`",
        '“' | '”' | '„' | '‘' | '’' | '«' | '»' => {
            "curly quotes: type straight ones, as in \"\"\"doc string\"\"\""
        }
        '²' => "write `square(x)` or `x ** 2`",
        '³' => "write `cube(x)` or `x ** 3`",
        '√' => "write `sqrt(x)`",
        '←' | '≔' => "write `=`",
        '∞' => "numbers are finite",
        '\u{a0}' | '\u{2007}' | '\u{202f}' | '\u{3000}' => "replace this space by an ordinary one",
        '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' => "delete this invisible character",
        '`' => "paste the program only, without the marks around it",
        '$' | '?' | '\\' => "delete it",
        '（' | '）' | '，' | '：' | '＝' | '＋' | '＊' => "type the plain ASCII character",
        _ => return None,
    })
}

/// A name in ASCII for a name with other letters, where there is an obvious one.
pub(super) fn in_ascii(name: &str) -> Option<String> {
    let mut ascii = String::new();
    for character in name.chars() {
        match character {
            _ if character.is_ascii() => ascii.push(character),
            'α' => ascii.push_str("alpha"),
            'β' => ascii.push_str("beta"),
            'γ' => ascii.push_str("gamma"),
            'δ' | 'Δ' => ascii.push_str("delta"),
            'ε' | 'ϵ' => ascii.push_str("epsilon"),
            'η' => ascii.push_str("eta"),
            'θ' => ascii.push_str("theta"),
            'λ' => ascii.push_str("lambda_"),
            'μ' | 'µ' => ascii.push_str("mu"),
            'ν' => ascii.push_str("nu"),
            'ρ' => ascii.push_str("rho"),
            'σ' => ascii.push_str("sigma"),
            'τ' => ascii.push_str("tau"),
            'φ' => ascii.push_str("phi"),
            'ω' => ascii.push_str("omega"),
            '₀'..='₉' => {
                ascii.push(char::from(b'0' + (u32::from(character) - u32::from('₀')) as u8))
            }
            _ => return None,
        }
    }
    Some(ascii)
}
