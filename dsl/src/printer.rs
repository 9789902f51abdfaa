//! Program to text: the canonical form, which parses to the same program.

use std::collections::BTreeMap;
use std::fmt;

use crate::escape::{self, is_hidden, push_escaped};
use crate::function::Function;
use crate::program::{CommentPlace, Numerics, Operand, ParameterKind, Program, Statement, VarId};

/// Width that the `def` and `return` lines are broken at.
const WIDTH: usize = 120;

/// The canonical text: `parse(&program.to_string())` gives the same program.
///
/// Indentation is two spaces, operators are used where there are any, numbers have the fewest
/// digits that give the same f64.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signature = self.signature();
        let mut comments = Comments::new();
        for comment in self.comments() {
            comments.entry(comment.place).or_default().push(&comment.text);
        }
        write_comments(&comments, CommentPlace::Header, "", f)?;
        if let Some(doc) = &signature.doc {
            write_doc(doc, f)?;
        }
        if signature.numerics == Numerics::Guarded {
            writeln!(f, "@guarded")?;
        }
        write_list(&format!("def {}(", signature.name), &parameters(self), "):", "", f)?;
        end_line(&comments, CommentPlace::BesideDef, f)?;
        for (index, statement) in self.statements.iter().enumerate() {
            write_comments(&comments, CommentPlace::Above(index), "  ", f)?;
            write!(f, "  ")?;
            self.write_statement(statement, f)?;
            end_line(&comments, CommentPlace::Beside(index), f)?;
        }
        write_comments(&comments, CommentPlace::AboveReturn, "  ", f)?;
        let returned: Vec<String> = std::iter::once(self.update)
            .chain(signature.slots())
            .map(|id| self.variable_name(id).to_string())
            .collect();
        let fits =
            returned.iter().map(|name| name.len() + 2).sum::<usize>() + "  return ".len() <= WIDTH;
        if fits {
            write!(f, "  return {}", returned.join(", "))?;
        } else {
            write_list("  return (", &returned, ")", "  ", f)?;
        }
        end_line(&comments, CommentPlace::BesideReturn, f)?;
        write_comments(&comments, CommentPlace::Footer, "", f)
    }
}

impl Program {
    fn write_statement(&self, statement: &Statement, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = ", self.variable_name(statement.target))?;
        match (statement.function, statement.arguments(), statement.function.row().operator) {
            (Function::Copy, [argument], _) => self.write_operand(argument, f),
            // A minus before a number is part of the number, so negation of a number stays a call.
            (Function::Negative, [Operand::Variable(id)], _) => {
                write!(f, "-{}", self.variable_name(*id))
            }
            (_, [left, right], Some(operator)) => {
                self.write_operand(left, f)?;
                write!(f, " {operator} ")?;
                self.write_operand(right, f)
            }
            (function, arguments, _) => {
                write!(f, "{}(", function.name())?;
                for (index, argument) in arguments.iter().enumerate() {
                    write!(f, "{}", if index > 0 { ", " } else { "" })?;
                    self.write_operand(argument, f)?;
                }
                write!(f, ")")
            }
        }
    }

    fn write_operand(&self, operand: &Operand, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match operand {
            Operand::Variable(id) => write!(f, "{}", self.variable_name(*id)),
            Operand::Constant(value) => write!(f, "{}", number(*value)),
        }
    }

    /// One statement as the program's text has it, without indentation and comments.
    pub fn statement_text(&self, statement: &Statement) -> impl fmt::Display + '_ {
        StatementText { program: self, statement: *statement }
    }
}

type Comments<'a> = BTreeMap<CommentPlace, Vec<&'a str>>;

fn write_comments(
    comments: &Comments<'_>,
    place: CommentPlace,
    indentation: &str,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    for text in comments.get(&place).into_iter().flatten() {
        writeln!(f, "{indentation}{}", comment_line(text))?;
    }
    Ok(())
}

/// The rest of a line: the comments at its end, if there are any.
fn end_line(
    comments: &Comments<'_>,
    place: CommentPlace,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    for text in comments.get(&place).into_iter().flatten() {
        write!(f, "  {}", comment_line(text))?;
    }
    writeln!(f)
}

struct StatementText<'a> {
    program: &'a Program,
    statement: Statement,
}

impl fmt::Display for StatementText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.program.write_statement(&self.statement, f)
    }
}

/// A number as Python and the parser read it back to the same bits, in the fewest digits: `0.9`,
/// `1e-8`, `2.0`.
pub fn number(value: f64) -> impl fmt::Display {
    // `Debug` of f64 is the shortest text that parses back, always with a point or an exponent.
    format!("{value:?}")
}

fn parameters(program: &Program) -> Vec<String> {
    let mut texts = Vec::new();
    let mut has_star = false;
    for (index, parameter) in program.signature().parameters.iter().enumerate() {
        let name = program.variable_name(VarId(index as u16)).to_string();
        let is_hyperparameter = parameter.kind == ParameterKind::Hyperparameter;
        if is_hyperparameter && !std::mem::replace(&mut has_star, true) {
            texts.push("*".to_string());
        }
        texts.push(match parameter.default {
            Some(default) => format!("{name}={}", number(default)),
            None => name,
        });
    }
    texts
}

/// A list between brackets, on one line or, if that is too wide, with its items filled into lines
/// of their own.
fn write_list(
    open: &str,
    items: &[String],
    close: &str,
    indentation: &str,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let width = open.len() + items.iter().map(|item| item.len() + 2).sum::<usize>() + close.len();
    if width <= WIDTH + 2 {
        return write!(f, "{open}{}{close}", items.join(", "));
    }
    write!(f, "{open}")?;
    let mut column = WIDTH;
    for (index, item) in items.iter().enumerate() {
        let comma = if index + 1 < items.len() { "," } else { "" };
        if column + item.len() + 2 > WIDTH {
            write!(f, "\n{indentation}    {item}{comma}")?;
            column = indentation.len() + 4 + item.len() + 1;
        } else {
            write!(f, " {item}{comma}")?;
            column += item.len() + 2;
        }
    }
    write!(f, "\n{indentation}{close}")
}

/// A comment as it stands in the text, on one line whatever the text holds.
fn comment_line(text: &str) -> String {
    let text = text.replace('\n', " ");
    format!("# {}", escape::lines(text.trim())).trim_end().to_string()
}

/// Writes a doc string so that it is read as exactly the same text: what readers would take off or
/// change is escaped.
fn write_doc(doc: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let starts = doc.len() - doc.trim_start_matches('\n').len();
    let ends = doc.trim_end_matches('\n').len();
    let mut escaped = String::with_capacity(doc.len());
    for (at, character) in doc.char_indices() {
        let rest = &doc[at + character.len_utf8()..];
        match character {
            '\\' => escaped.push_str("\\\\"),
            // Three of them, or the last one beside the mark, would end the text.
            '"' if rest.is_empty() || is_among_three_quotes(doc, at) => escaped.push_str("\\\""),
            '\n' if at < starts || at >= ends => push_escaped(&mut escaped, character),
            _ if is_hidden(character) => push_escaped(&mut escaped, character),
            // Readers take off the blanks at the end of a line.
            '\n' => escaped.push(character),
            _ if character.is_whitespace() && (rest.is_empty() || rest.starts_with('\n')) => {
                push_escaped(&mut escaped, character)
            }
            _ => escaped.push(character),
        }
    }
    // Readers take off the margin of all lines but the first. Where that would change the text, it
    // begins on a line of its own.
    let is_indented = |line: &str| line.starts_with([' ', '\t']);
    let all_are_indented = |mut lines: std::str::Lines<'_>| {
        lines.by_ref().filter(|line| !line.is_empty()).all(is_indented)
    };
    let mut rest = escaped.lines();
    let first = rest.next().unwrap_or_default();
    let rest_is_indented = escaped.contains('\n') && all_are_indented(rest);
    if !rest_is_indented && !is_indented(first) {
        return writeln!(f, "\"\"\"{escaped}\"\"\"");
    }
    if all_are_indented(escaped.lines())
        && let Some(blank) = escaped.chars().next()
    {
        let mut first = String::new();
        push_escaped(&mut first, blank);
        escaped.replace_range(..blank.len_utf8(), &first);
    }
    writeln!(f, "\"\"\"\n{escaped}\n\"\"\"")
}

/// Whether a quote stands among three or more.
fn is_among_three_quotes(text: &str, at: usize) -> bool {
    let before = text[..at].len() - text[..at].trim_end_matches('"').len();
    let after = text[at..].len() - text[at..].trim_start_matches('"').len();
    before + after >= 3
}
