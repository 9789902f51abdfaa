//! One logical line to names and expressions, through the pest grammar. Valid Python that is not in
//! the language is reported here.

use std::collections::HashSet;
use std::ops::Range;

use pest::Parser as _;
use pest::error::InputLocation;
use pest::iterators::Pair;
use pest::unicode::{XID_CONTINUE, XID_START};

use super::layout::{Line, begins_with_word};
use super::{hints, limits};
use crate::diagnostic::{Diagnostic, DiagnosticKind, quote};
use crate::function::Function;

/// Code that pest generates from the grammar; a module of its own because the generated items have
/// no documentation.
mod grammar {
    /// The parser of `grammar.pest`.
    #[derive(pest_derive::Parser)]
    #[grammar = "grammar.pest"]
    pub struct Grammar;
}

use grammar::{Grammar, Rule};

/// A name and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Name<'a> {
    pub text: &'a str,
    pub span: Range<usize>,
}

/// The `def` line.
#[derive(Debug)]
pub(super) struct Definition<'a> {
    pub name: Name<'a>,
    pub parameters: Vec<Parameter<'a>>,
    /// Where `*` stands, if it does.
    pub star: Option<Range<usize>>,
    /// From the opening to the closing parenthesis.
    pub parentheses: Range<usize>,
}

/// A parameter of the `def` line.
#[derive(Debug)]
pub(super) struct Parameter<'a> {
    pub name: Name<'a>,
    pub keyword_only: bool,
    pub default: Option<Default>,
}

/// Default after the `=` of a parameter.
#[derive(Debug)]
pub(super) struct Default {
    pub span: Range<usize>,
    /// The number, or `None` if it has been reported.
    pub value: Option<f64>,
}

/// A line of the body.
#[derive(Debug)]
pub(super) enum Statement<'a> {
    /// `target = value`.
    Assignment { target: Name<'a>, value: Expression<'a> },
    /// `return` and its list; `None` if it has been reported.
    Return { values: Option<Vec<Expression<'a>>> },
    /// A line that has been reported, and the variables that it may have been meant to assign.
    Unknown { targets: Vec<&'a str> },
}

/// An expression in the order of evaluation: operands before what is applied to them. Flat, so that
/// nothing recurses over it.
pub(super) type Expression<'a> = Vec<Node<'a>>;

/// A step of an expression.
#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    pub step: Step<'a>,
    /// The token, or for a call and for parentheses all from their beginning to their end.
    pub span: Range<usize>,
}

/// Action of a step of an expression.
#[derive(Clone, Debug)]
pub(super) enum Step<'a> {
    /// Gives a number.
    Number(f64),
    /// Gives the value of a variable.
    Variable(&'a str),
    /// Changes the sign of one operand.
    Negate,
    /// Applies an operator to two operands.
    Operator(Function),
    /// Calls a function on as many operands.
    Call { name: Name<'a>, arguments: usize },
    /// Changes nothing: parentheses around one operand.
    Parentheses,
    /// Takes as many operands and gives a value that nothing is known about: it has been reported.
    Unknown(usize),
}

/// An operator that waits for its right operand.
struct Pending {
    step: StepOperator,
    precedence: u8,
    span: Range<usize>,
}

impl Pending {
    /// Whether it is a comparison.
    fn compares(&self) -> bool {
        self.precedence == 0 && matches!(self.step, StepOperator::Binary(_))
    }
}

#[derive(Clone, Copy)]
enum StepOperator {
    Negate,
    Binary(Function),
    Foreign(usize),
}

/// Reads lines one after the other and collects what is wrong with them.
pub(super) struct Reader<'a, 'p> {
    source: &'a str,
    pub problems: &'p mut Vec<Diagnostic>,
    /// Names that have been reported: once is enough.
    refused: HashSet<&'a str>,
    /// Where the current line begins in the source.
    offset: usize,
}

impl<'a, 'p> Reader<'a, 'p> {
    pub fn new(source: &'a str, problems: &'p mut Vec<Diagnostic>) -> Reader<'a, 'p> {
        Reader { source, problems, refused: HashSet::new(), offset: 0 }
    }

    fn report(
        &mut self,
        kind: DiagnosticKind,
        span: Range<usize>,
        message: impl Into<String>,
        label: &str,
        help: impl Into<String>,
    ) {
        self.problems.push(Diagnostic::new(kind, span, message, label).with_help(help));
    }

    fn foreign(&mut self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.report(DiagnosticKind::NotInLanguage, span, message, "not part of the language", help);
    }

    fn span(&self, pair: &Pair<'_, Rule>) -> Range<usize> {
        // A rule may end in blanks before something optional that is not there.
        let start = self.offset + pair.as_span().start();
        start..start + pair.as_str().trim_end().len()
    }

    fn text(&self, span: &Range<usize>) -> &'a str {
        &self.source[span.clone()]
    }

    fn parse(&mut self, rule: Rule, line: &Line) -> Result<Pair<'a, Rule>, usize> {
        self.offset = line.code.start;
        match Grammar::parse(rule, &self.source[line.code.clone()]) {
            Ok(mut pairs) => pairs.next().ok_or(line.code.start),
            Err(error) => Err(match error.location {
                InputLocation::Pos(at) | InputLocation::Span((at, _)) => line.code.start + at,
            }),
        }
    }

    /// A name, reported the first time that it is not one in ASCII or is too long.
    fn name(&mut self, pair: &Pair<'a, Rule>) -> Name<'a> {
        let name = Name { text: pair.as_str(), span: self.span(pair) };
        let too_long = name.text.len() > limits::NAME_CHARACTERS
            && name.text.chars().count() > limits::NAME_CHARACTERS;
        if too_long && self.refused.insert(name.text) {
            let message = format!("a name of more than {} characters", limits::NAME_CHARACTERS);
            self.report(
                DiagnosticKind::TooLarge,
                name.span.clone(),
                message,
                "this name",
                "choose a shorter one",
            );
        } else if !name.text.is_ascii() && self.refused.insert(name.text) {
            let help = match hints::in_ascii(name.text) {
                Some(ascii) => format!("call it `{ascii}`"),
                None => "spell it with a to z, A to Z, digits and `_`".to_string(),
            };
            let message = format!("the name `{}` has letters beyond ASCII", quote(name.text));
            self.report(
                DiagnosticKind::StrayCharacter,
                name.span.clone(),
                message,
                "this name",
                help,
            );
        }
        name
    }

    /// Whether a name can be assigned; reports it if not. `what` says what is to be called so.
    pub fn check_assignable(&mut self, name: &Name<'a>, what: &str) -> bool {
        let (message, label) = if hints::KEYWORDS.contains(&name.text) {
            (format!("`{}` is a keyword of Python and cannot name {what}", name.text), "a keyword")
        } else if Function::from_name(name.text).is_some() {
            (format!("`{}` is a function and cannot name {what}", name.text), "a function")
        } else {
            return true;
        };
        let help = format!("choose another name, such as `{}_`", name.text);
        self.report(DiagnosticKind::ReservedName, name.span.clone(), message, label, help);
        false
    }

    /// Whether the line is `@guarded`; anything else is reported.
    pub fn marker(&mut self, line: &Line) -> bool {
        if line.broken {
            return false;
        }
        if let Ok(marker) = self.parse(Rule::marker, line)
            && let Some(name) = marker.into_inner().next()
            && name.as_str() == "guarded"
        {
            return true;
        }
        let message = format!("unknown marker `{}`", quote(self.text(&line.code)));
        self.foreign(line.code.clone(), message, "the only marker above `def` is `@guarded`, for the published search's guarded functions");
        false
    }

    /// The `def` line, or `None` if it cannot be read.
    pub fn definition(&mut self, line: &Line) -> Option<Definition<'a>> {
        if line.broken {
            return None;
        }
        let pair = match self.parse(Rule::definition, line) {
            Ok(pair) => pair,
            Err(at) => {
                self.definition_error(line, at);
                return None;
            }
        };
        let text = pair.as_str();
        let mut name = None;
        let (mut parameters, mut star) = (Vec::new(), None);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::name => name = Some(self.name(&part)),
                Rule::parameter => self.parameter(part, &mut parameters, &mut star),
                Rule::result_type => {
                    let span = self.span(&part);
                    self.foreign(span, "a result type", "drop it: types are inferred");
                }
                Rule::same_line => {
                    let span = self.span(&part);
                    let help = "put each statement on an indented line of its own below";
                    self.report(
                        DiagnosticKind::Indentation,
                        span,
                        "a statement on the `def` line",
                        "belongs on its own line",
                        help,
                    );
                }
                _ => {}
            }
        }
        let open = text.find('(').unwrap_or(0);
        let close = text.rfind(')').map_or(text.len(), |at| at + 1);
        let name = name?;
        self.check_assignable(&name, "a program");
        Some(Definition {
            name,
            parameters,
            star,
            parentheses: self.offset + open..self.offset + close,
        })
    }

    fn parameter(
        &mut self,
        pair: Pair<'a, Rule>,
        parameters: &mut Vec<Parameter<'a>>,
        star: &mut Option<Range<usize>>,
    ) {
        let mut name = None;
        let mut default = None;
        for part in pair.into_inner() {
            let span = self.span(&part);
            match part.as_rule() {
                Rule::name => name = Some(self.name(&part)),
                Rule::star if part.as_str() == "*" && star.is_none() => *star = Some(span),
                Rule::star => {
                    let help = "name each parameter: slots first, then `*`, then hyperparameters with defaults";
                    self.foreign(
                        span,
                        format!("`{}` among the parameters", quote(part.as_str())),
                        help,
                    );
                }
                Rule::slash => self.foreign(span, "`/` among the parameters", "drop it"),
                Rule::annotation => {
                    self.foreign(span, "a type beside a parameter", "drop it: types are inferred")
                }
                Rule::default => {
                    if let Some(expression) = part.into_inner().next() {
                        default = Some(self.default(expression));
                    }
                }
                _ => {}
            }
        }
        if let Some(name) = name {
            self.check_assignable(&name, "a parameter");
            parameters.push(Parameter { name, keyword_only: star.is_some(), default });
        }
    }

    fn default(&mut self, pair: Pair<'a, Rule>) -> Default {
        let span = self.span(&pair);
        let before = self.problems.len();
        let expression = self.expression(pair);
        let mut value = None;
        for node in &expression {
            value = match (&node.step, value) {
                (Step::Number(number), None) => Some(*number),
                (Step::Negate, Some(number)) => Some(-number),
                (Step::Parentheses, number) => number,
                _ => {
                    value = None;
                    break;
                }
            };
        }
        if value.is_none() && self.problems.len() == before {
            let message = format!("the default `{}` is not a number", quote(self.text(&span)));
            self.report(
                DiagnosticKind::BadConstant,
                span.clone(),
                message,
                "must be a number",
                "write it out, as in `beta1=0.9`",
            );
        }
        Default { span, value }
    }

    fn definition_error(&mut self, line: &Line, at: usize) {
        let code = self.text(&line.code);
        let end = line.code.end..line.code.end;
        let help = "a program begins with a line such as `def lion(w, g, m, lr, *, beta1=0.9):`";
        if !code.contains('(') {
            self.report(
                DiagnosticKind::Syntax,
                line.code.clone(),
                "a `def` line without parameters",
                "no parentheses",
                help,
            );
        } else if code.ends_with(')') {
            self.report(
                DiagnosticKind::Syntax,
                end,
                "a `:` is missing at the end of the `def` line",
                "here",
                help,
            );
        } else {
            let rest = self.skip_blanks(at, line.code.end);
            let token = self.token(rest, line.code.end);
            let message = if token.is_empty() {
                "the `def` line ends too early".to_string()
            } else {
                format!("`{}` cannot stand here in the `def` line", quote(self.text(&token)))
            };
            let follows_name =
                self.text(&(line.code.start..rest)).trim_end().ends_with(XID_CONTINUE);
            if follows_name
                && self.text(&token).starts_with(XID_START)
                && rest > line.code.start + "def".len() + 1
            {
                let help = "parameters are separated by commas";
                let message = format!("a comma is missing before `{}`", quote(self.text(&token)));
                self.report(DiagnosticKind::Syntax, token, message, "here", help);
            } else {
                self.report(DiagnosticKind::Syntax, token, message, "here", help);
            }
        }
    }

    /// A line of the body.
    pub fn statement(&mut self, line: &Line) -> Statement<'a> {
        let code = self.text(&line.code);
        let is_return = begins_with_word(code, "return") && !self.assigns(&code["return".len()..]);
        if line.broken {
            return if is_return {
                Statement::Return { values: None }
            } else {
                Statement::Unknown { targets: assigned_names(code) }
            };
        }
        let word = &code[..code.find(|c| !XID_CONTINUE(c)).unwrap_or(code.len())];
        if let Some(help) = hints::for_statement(word)
            && !self.assigns(&code[word.len()..])
        {
            let span = line.code.start..line.code.start + word.len();
            self.foreign(span, format!("`{word}` statements are not part of the language"), help);
            return Statement::Unknown { targets: names(code) };
        }
        let pair = match self.parse(Rule::statement, line) {
            Ok(pair) => pair,
            Err(at) => {
                self.syntax_error(line, at);
                return if is_return {
                    Statement::Return { values: None }
                } else {
                    Statement::Unknown { targets: assigned_names(code) }
                };
            }
        };
        match pair.into_inner().next() {
            Some(inner) if inner.as_rule() == Rule::return_statement => {
                Statement::Return { values: self.returned(inner) }
            }
            Some(inner) => self.assignment(line, inner),
            None => Statement::Unknown { targets: Vec::new() },
        }
    }

    /// Whether what follows a word makes it the target of an assignment.
    fn assigns(&self, rest: &str) -> bool {
        let rest = rest.trim_start();
        rest.starts_with('=') && !rest.starts_with("==")
    }

    fn returned(&mut self, pair: Pair<'a, Rule>) -> Option<Vec<Expression<'a>>> {
        let Some(mut values) = pair.into_inner().find(|part| part.as_rule() == Rule::values) else {
            return Some(Vec::new());
        };
        // `return (update, m)` is the same list.
        if let Some(inner) = only(values.clone())
            && inner.as_rule() == Rule::value
            && let Some(expression) = only(inner)
            && let Some(primary) = only(expression)
            && let Some(group) = only(primary)
            && group.as_rule() == Rule::group
            && let Some(inside) = group.into_inner().next()
        {
            values = inside;
        }
        let before = self.problems.len();
        let list = values
            .into_inner()
            .filter(|part| part.as_rule() == Rule::value)
            .map(|part| self.argument(part))
            .collect();
        (self.problems.len() == before).then_some(list)
    }

    fn assignment(&mut self, line: &Line, pair: Pair<'a, Rule>) -> Statement<'a> {
        let code = self.text(&line.code);
        let unknown = || Statement::Unknown { targets: assigned_names(code) };
        let (mut lists, mut operators, mut annotation) = (Vec::new(), Vec::new(), None);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::values => lists.push(part),
                Rule::assign => operators.push((part.as_str(), self.span(&part))),
                Rule::annotation => annotation = Some(self.span(&part)),
                _ => {}
            }
        }
        let annotated = annotation.is_some();
        if let Some(span) = annotation {
            self.foreign(span, "a type beside a variable", "drop it: types are inferred");
        }
        let mut lists = lists.into_iter();
        let Some(target) = lists.next() else {
            return unknown();
        };
        let Some((operator, operator_span)) = operators.first().cloned() else {
            if !annotated {
                let message = "this value is not assigned to a variable";
                let help = if begins_with_word(code, "print") {
                    "drop the line".to_string()
                } else {
                    format!("write `update = {}`, or drop the line", quote(code))
                };
                self.report(
                    DiagnosticKind::Syntax,
                    line.code.clone(),
                    message,
                    "has no effect",
                    help,
                );
            }
            return Statement::Unknown { targets: names(code) };
        };
        if operators.len() > 1 {
            let help = "write one assignment for each variable";
            self.foreign(operators[1].1.clone(), "two assignments in one statement", help);
            return unknown();
        }
        let Some(target) = self.target(target) else {
            return unknown();
        };
        if !self.check_assignable(&target, "a variable") {
            return unknown();
        }
        let Some(values) = lists.next() else {
            return unknown();
        };
        let span = self.span(&values);
        let Some(first) = only(values) else {
            self.foreign(
                span,
                "several values in one assignment",
                "write one assignment for each variable",
            );
            return unknown();
        };
        let mut value = self.argument(first);
        if operator == ":=" {
            self.foreign(operator_span, "`:=`", "write `=`");
        } else if operator != "=" {
            let symbol = &operator[..operator.len() - 1];
            let text = quote(self.text(&span));
            let text = if value.len() > 1
                && !matches!(
                    value.last().map(|n| &n.step),
                    Some(Step::Parentheses | Step::Call { .. })
                ) {
                format!("({text})")
            } else {
                text
            };
            let help = match operator_of(symbol) {
                Some(_) => format!("write `{0} = {0} {symbol} {text}`", target.text),
                None => format!(
                    "write an assignment, `{} = ...`, with `+ - * / **` and functions",
                    target.text
                ),
            };
            self.foreign(
                operator_span.clone(),
                format!("the augmented assignment `{operator}`"),
                help,
            );
            let variable = Node { step: Step::Variable(target.text), span: target.span.clone() };
            value.insert(0, variable);
            let step = operator_of(symbol).map_or(Step::Unknown(2), Step::Operator);
            value.push(Node { step, span: operator_span });
        }
        Statement::Assignment { target, value }
    }

    /// The variable that a list before `=` is, or `None` after saying why it is not one.
    fn target(&mut self, list: Pair<'a, Rule>) -> Option<Name<'a>> {
        let span = self.span(&list);
        let inner: Vec<_> = list.into_inner().collect();
        let help = "write one assignment for each variable";
        let [argument] = &inner[..] else {
            self.foreign(span, "an assignment to several variables", help);
            return None;
        };
        let primary = only(argument.clone())
            .and_then(only)
            .filter(|part| part.as_rule() == Rule::primary)
            .and_then(only);
        match primary {
            Some(name) if name.as_rule() == Rule::name => Some(self.name(&name)),
            Some(group) if group.as_rule() == Rule::group && group.as_str().contains(',') => {
                self.foreign(span, "an assignment to several variables", help);
                None
            }
            _ => {
                let message = format!("`{}` cannot be assigned", quote(self.text(&span)));
                let help = "the left side of `=` is the name of one variable";
                self.report(DiagnosticKind::Syntax, span, message, "not a variable", help);
                None
            }
        }
    }

    fn argument(&mut self, pair: Pair<'a, Rule>) -> Expression<'a> {
        let mut expression = Vec::new();
        self.append_argument(None, pair, &mut expression);
        expression
    }

    /// Appends an argument of `function`, or a value that stands outside of any call.
    fn append_argument(
        &mut self,
        function: Option<&str>,
        pair: Pair<'a, Rule>,
        out: &mut Expression<'a>,
    ) {
        for part in pair.into_inner() {
            let span = self.span(&part);
            match part.as_rule() {
                Rule::expression => self.append_expression(part, out),
                Rule::keyword_argument => {
                    let form = function
                        .and_then(Function::from_name)
                        .map(|function| format!(": `{}`", hints::form(function.row())));
                    let help = format!(
                        "give the arguments by position, without names{}",
                        form.unwrap_or_default()
                    );
                    self.foreign(
                        span,
                        format!("the keyword argument `{}`", quote(part.as_str())),
                        help,
                    );
                }
                _ if function.is_some() => self.foreign(
                    span,
                    format!("unpacking with `{}`", part.as_str()),
                    "write each argument out",
                ),
                _ => {
                    let message = format!("a value is missing before `{}`", part.as_str());
                    let help = "give the operator or the call a value here";
                    self.report(
                        DiagnosticKind::Syntax,
                        span,
                        message,
                        "a value is missing here",
                        help,
                    );
                }
            }
        }
    }

    fn expression(&mut self, pair: Pair<'a, Rule>) -> Expression<'a> {
        let mut expression = Vec::new();
        self.append_expression(pair, &mut expression);
        expression
    }

    /// Appends an expression in the order of evaluation: the shunting-yard algorithm with Python's
    /// precedence.
    fn append_expression(&mut self, pair: Pair<'a, Rule>, out: &mut Expression<'a>) {
        let whole = self.span(&pair);
        let mut pending: Vec<Pending> = Vec::new();
        let mut said_foreign = false;
        let mut too_deep = false;
        let mut is_lambda = false;
        let start = out.len();
        for part in pair.into_inner() {
            let span = self.span(&part);
            is_lambda |= part.as_rule() == Rule::prefix && part.as_str().starts_with("lambda");
            match part.as_rule() {
                Rule::prefix if part.as_str() == "+" => {}
                Rule::prefix => {
                    let step = if part.as_str() == "-" {
                        StepOperator::Negate
                    } else {
                        StepOperator::Foreign(1)
                    };
                    if matches!(step, StepOperator::Foreign(_))
                        && !std::mem::replace(&mut said_foreign, true)
                    {
                        self.foreign_operator(part.as_str(), span.clone());
                    }
                    pending.push(Pending { step, precedence: 3, span });
                }
                Rule::infix => {
                    let (step, precedence) = match (operator_of(part.as_str()), part.as_str()) {
                        (Some(function), "+" | "-") => (StepOperator::Binary(function), 1),
                        (Some(function), "**") => (StepOperator::Binary(function), 4),
                        (Some(function), "<" | "<=" | ">" | ">=" | "==") => {
                            (StepOperator::Binary(function), 0)
                        }
                        (Some(function), _) => (StepOperator::Binary(function), 2),
                        (None, _) => (StepOperator::Foreign(2), 0),
                    };
                    if matches!(step, StepOperator::Foreign(_))
                        && !std::mem::replace(&mut said_foreign, true)
                    {
                        self.foreign_operator(part.as_str(), span.clone());
                    }
                    if precedence == 0
                        && pending.iter().any(Pending::compares)
                        && !std::mem::replace(&mut said_foreign, true)
                    {
                        let help =
                            "multiply two comparisons: `(a < b) * (b < c)` is 1 where both hold";
                        self.foreign(span.clone(), "a chain of comparisons", help);
                    }
                    // Powers associate to the right: one that waits goes on waiting for the next.
                    while let Some(top) = pending.pop_if(|top| {
                        top.precedence >= precedence && !(precedence == 4 && top.precedence == 4)
                    }) {
                        apply(top, out);
                    }
                    pending.push(Pending { step, precedence, span });
                }
                Rule::primary => self.append_primary(part, out),
                _ => {}
            }
            if pending.len() > limits::NESTING && !std::mem::replace(&mut too_deep, true) {
                let message = format!("signs or powers nested more than {} deep", limits::NESTING);
                let help = "give the inner part a name in a statement of its own";
                self.report(
                    DiagnosticKind::TooLarge,
                    whole.clone(),
                    message,
                    "this expression",
                    help,
                );
            }
        }
        while let Some(top) = pending.pop() {
            apply(top, out);
        }
        if is_lambda {
            // Its parameters are no variables of the program: nothing is to be said about them.
            out.truncate(start);
            out.push(Node { step: Step::Unknown(0), span: whole });
        }
    }

    fn foreign_operator(&mut self, text: &str, span: Range<usize>) {
        let help = match text {
            "!=" => "write `1 - (x == y)`",
            "not" => "a comparison is 1 or 0: write `1 - (x < y)`",
            "and" => "a comparison is 1 or 0: write a product, `(a < b) * (c < d)`",
            "or" => "a comparison is 1 or 0: write `maximum(a < b, c < d)`",
            "is" => "write `x == y`, which is 1 or 0",
            "if" | "else" => "write `where(c, x, y)`: x where c is not 0, y where it is",
            "in" => "a program has no lists: compare numbers, `(x == a) + (x == b)`",
            "//" | "%" => "there is no integer division: use `/`",
            "@" => "matrices are not in the paper profile: use `dot` for a sum of products",
            "^" => "a power is written `**` or `power(x, y)`",
            "for" => "a program has no loops: functions already work on all parameters at once",
            _ if text.starts_with("lambda") => {
                "write the expression out where it is needed; the published Lion's `lambda` stands alone, as in `w * lambda`"
            }
            _ => "programs compute with real numbers: use `+ - * / **` and functions",
        };
        self.foreign(span, format!("the operator `{}`", quote(text)), help);
    }

    fn append_primary(&mut self, pair: Pair<'a, Rule>, out: &mut Expression<'a>) {
        let whole = self.span(&pair);
        let mut parts = pair.into_inner().peekable();
        let Some(atom) = parts.next() else {
            out.push(Node { step: Step::Unknown(0), span: whole });
            return;
        };
        if atom.as_rule() == Rule::name {
            let mut name = self.name(&atom);
            let mut dotted = Vec::new();
            while let Some(attribute) = parts.next_if(|part| part.as_rule() == Rule::attribute) {
                let span = self.span(&attribute);
                if let Some(last) = only(attribute) {
                    dotted.push((self.name(&last), span));
                }
            }
            let call = parts.next_if(|part| part.as_rule() == Rule::call);
            if let Some((last, dot)) = dotted.pop() {
                let before = name.span.start..last.span.start;
                let path = self.text(&before);
                let is_module = MODULES.contains(&name.text);
                let help = if is_module && (call.is_some() || last.text != "pi" && last.text != "e")
                {
                    format!("drop `{}`: functions are known by their plain names", quote(path))
                } else if is_module {
                    format!("write `get_{}()`", last.text)
                } else if let Some(call) = &call {
                    let more =
                        if call.clone().into_inner().next().is_some() { ", ..." } else { "" };
                    format!("write `{}({}{more})`", last.text, quote(path.trim_end_matches('.')))
                } else {
                    "values have no attributes; constants and settings are hyperparameters: declare them after `*`".to_string()
                };
                let span = if is_module { before.clone() } else { dot };
                self.foreign(
                    span,
                    format!(
                        "`{}` is not in the language",
                        quote(self.text(&(before.start..last.span.end)))
                    ),
                    help,
                );
                if is_module && call.is_some() {
                    name = last;
                } else {
                    out.push(Node { step: Step::Unknown(0), span: whole });
                    return;
                }
            }
            match call {
                Some(call) => self.append_call(name, call, out),
                None => self.append_variable(name, out),
            }
        } else {
            self.append_atom(atom, out);
        }
        for part in parts {
            let span = self.span(&part);
            match part.as_rule() {
                Rule::subscript => self.foreign(
                    span.clone(),
                    "indexing",
                    "statements work on all parameters at once; state slots are parameters of their own",
                ),
                Rule::attribute => {
                    self.foreign(span.clone(), "an attribute of a value", "values have no attributes: call the function on the value")
                }
                _ => self.report(
                    DiagnosticKind::Syntax,
                    span.clone(),
                    "a value is called as a function",
                    "called here",
                    "only functions of the language can be called; a product is written `a * (b)`",
                ),
            }
            out.push(Node { step: Step::Unknown(1), span: whole.start..span.end });
        }
    }

    fn append_call(&mut self, name: Name<'a>, pair: Pair<'a, Rule>, out: &mut Expression<'a>) {
        let span = name.span.start..self.span(&pair).end;
        let mut arguments = 0;
        if let Some(list) = only(pair) {
            for argument in list.into_inner() {
                self.append_argument(Some(name.text), argument, out);
                arguments += 1;
            }
        }
        out.push(Node { step: Step::Call { name, arguments }, span });
    }

    fn append_variable(&mut self, name: Name<'a>, out: &mut Expression<'a>) {
        let step = match name.text {
            "True" | "False" | "None" => {
                let message = format!("`{}` is not a number", name.text);
                self.report(
                    DiagnosticKind::BadConstant,
                    name.span.clone(),
                    message,
                    "not a number",
                    "write 1.0 or 0.0",
                );
                Step::Unknown(0)
            }
            // The published Lion has a variable of this name.
            "lambda" => Step::Variable(name.text),
            word if hints::KEYWORDS.contains(&word) => {
                let message = format!("a value is missing before the keyword `{word}`");
                self.report(
                    DiagnosticKind::Syntax,
                    name.span.clone(),
                    message,
                    "a keyword of Python",
                    "a keyword cannot be a variable",
                );
                Step::Unknown(0)
            }
            _ => Step::Variable(name.text),
        };
        out.push(Node { step, span: name.span });
    }

    fn append_atom(&mut self, atom: Pair<'a, Rule>, out: &mut Expression<'a>) {
        let span = self.span(&atom);
        let mut step = Step::Unknown(0);
        match atom.as_rule() {
            Rule::number => {
                if let Some(value) = self.number(atom.as_str(), span.clone()) {
                    step = Step::Number(value);
                }
            }
            Rule::group => {
                let inner: Vec<_> =
                    only(atom).map(|values| values.into_inner().collect()).unwrap_or_default();
                match &inner[..] {
                    [] => {
                        let help = "put a value between the parentheses";
                        self.report(DiagnosticKind::Syntax, span.clone(), "parentheses around nothing", "a value is missing", help);
                    }
                    [argument] => {
                        self.append_argument(None, argument.clone(), out);
                        step = Step::Parentheses;
                    }
                    _ => self.foreign(
                        span.clone(),
                        "a tuple",
                        "a value is one scalar or one number for each parameter: use one variable for each",
                    ),
                }
            }
            Rule::string => self.foreign(
                span.clone(),
                "a text as a value",
                "values are numbers; a remark begins with #",
            ),
            _ => self.foreign(
                span.clone(),
                "a list or dictionary",
                "a value is one scalar or one number for each parameter: use one variable for each",
            ),
        }
        out.push(Node { step, span });
    }

    /// The value of a number as Python writes it, or `None` after saying what is wrong.
    fn number(&mut self, text: &str, span: Range<usize>) -> Option<f64> {
        let problem = match decimal(text) {
            Ok(value) if value.is_finite() => return Some(value),
            Ok(_) => Diagnostic::new(
                DiagnosticKind::BadConstant,
                span,
                format!("the number {} is too large", quote(text)),
                "infinite as f64",
            )
            .with_help("the largest number is about 1.8e308"),
            Err(help) => Diagnostic::new(
                DiagnosticKind::BadConstant,
                span,
                format!("`{}` is not a number", quote(text)),
                "malformed",
            )
            .with_help(help),
        };
        self.problems.push(problem);
        None
    }

    /// Says what is wrong where the grammar could not go on: in terms of the tokens before and
    /// after, since the rules that pest expected there mean nothing to the reader.
    fn syntax_error(&mut self, line: &Line, at: usize) {
        let at = self.skip_blanks(at, line.code.end);
        let token = self.token(at, line.code.end);
        let before = self.text(&(line.code.start..at)).trim_end();
        let after_value = before.ends_with(|c: char| {
            XID_CONTINUE(c) || matches!(c, ')' | ']' | '}' | '.' | '"' | '\'')
        });
        let last = before.rsplit(|c: char| c.is_whitespace()).next().unwrap_or_default();
        let next = self.text(&token);
        let begins_value = next.starts_with(|c: char| {
            XID_CONTINUE(c) || matches!(c, '(' | '[' | '{' | '.' | '"' | '\'')
        });
        let (message, label, help) = if next.is_empty() {
            let help = "give the operator its right side, or delete it";
            (format!("a value is missing after `{}`", quote(last)), "the line ends here", help)
        } else if after_value && begins_value {
            let message = format!("an operator or a comma is missing before `{}`", quote(next));
            (
                message,
                "what is it to do?",
                "write an operator between the two values, such as `*`; calls need parentheses and commas",
            )
        } else if !after_value {
            (
                format!("a value is missing before `{}`", quote(next)),
                "a value is missing here",
                "give the operator or the call a value here",
            )
        } else {
            (
                format!("`{}` cannot stand here", quote(next)),
                "here",
                "a statement is `target = expression`; the last line is `return update, ...`",
            )
        };
        self.report(DiagnosticKind::Syntax, token, message, label, help);
    }

    /// The first place from `at` that is neither blank nor part of a comment.
    fn skip_blanks(&self, at: usize, end: usize) -> usize {
        let mut at = at.min(end);
        loop {
            let rest = self.text(&(at..end));
            let word = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\\');
            at = end - word.len();
            if !word.starts_with('#') {
                return at;
            }
            at += word.find(['\n', '\r']).unwrap_or(word.len());
        }
    }

    /// The token that begins at `at`: a word, or one character.
    fn token(&self, at: usize, end: usize) -> Range<usize> {
        let rest = self.text(&(at..end));
        let word = rest.find(|c| !XID_CONTINUE(c) && c != '.').unwrap_or(rest.len());
        at..at + if word > 0 { word } else { rest.chars().next().map_or(0, char::len_utf8) }
    }
}

/// Names of modules that programs from elsewhere put before functions.
const MODULES: [&str; 9] = ["np", "numpy", "jnp", "jax", "math", "torch", "tf", "cmath", "F"];

fn apply(operator: Pending, out: &mut Expression<'_>) {
    let step = match operator.step {
        StepOperator::Negate => Step::Negate,
        StepOperator::Binary(function) => Step::Operator(function),
        StepOperator::Foreign(operands) => Step::Unknown(operands),
    };
    out.push(Node { step, span: operator.span });
}

/// The function that an operator of Python stands for, if the language has it.
fn operator_of(symbol: &str) -> Option<Function> {
    match symbol {
        "+" => Some(Function::Add),
        "-" => Some(Function::Subtract),
        "*" => Some(Function::Multiply),
        "/" => Some(Function::Divide),
        "**" => Some(Function::Power),
        "<" => Some(Function::Less),
        "<=" => Some(Function::LessEqual),
        ">" => Some(Function::Greater),
        ">=" => Some(Function::GreaterEqual),
        "==" => Some(Function::Equal),
        _ => None,
    }
}

/// The only child of a pair, if it has exactly one.
fn only(pair: Pair<'_, Rule>) -> Option<Pair<'_, Rule>> {
    let mut inner = pair.into_inner();
    inner.next().filter(|_| inner.next().is_none())
}

/// A number in Python's decimal notation, possibly infinite, or what to write instead.
fn decimal(text: &str) -> Result<f64, String> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    // Underscores stand between digits only.
    let digits = |part: &str| {
        !part.is_empty()
            && part
                .split('_')
                .all(|group| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let exponent_digits = exponent.map(|part| part.strip_prefix(['+', '-']).unwrap_or(part));
    let valid = match fraction {
        Some(fraction) => {
            (digits(whole) || whole.is_empty())
                && (digits(fraction) || fraction.is_empty())
                && mantissa != "."
        }
        None => digits(whole),
    } && exponent_digits.is_none_or(digits);
    if !valid {
        return Err(not_a_number(text));
    }
    let is_integer = fraction.is_none() && exponent.is_none();
    if is_integer
        && whole.starts_with('0')
        && whole.bytes().any(|byte| !matches!(byte, b'0' | b'_'))
    {
        return Err(format!(
            "Python does not take leading zeros: write {}",
            quote(whole.trim_start_matches(['0', '_']))
        ));
    }
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    plain.parse().map_err(|_| not_a_number(text))
}

fn not_a_number(text: &str) -> String {
    let leading = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(leading);
    if text.to_ascii_lowercase().starts_with("0x")
        || text.to_ascii_lowercase().starts_with("0b")
        || text.to_ascii_lowercase().starts_with("0o")
    {
        "numbers are decimal".to_string()
    } else if matches!(rest, "j" | "J") {
        "numbers are real".to_string()
    } else if number.matches('.').count() > 1 {
        "a number has one decimal point, as in 0.9 or 1e-3".to_string()
    } else if !number.is_empty()
        && rest.starts_with(|c: char| c.is_ascii_alphabetic() && !matches!(c, 'e' | 'E'))
        && !rest.contains('.')
    {
        format!("a product is written `{} * {}`", quote(number), quote(rest))
    } else {
        "numbers are written as 0.9, 2, 1e-3 or 1_000".to_string()
    }
}

/// The names in a line, once each.
pub(super) fn names(code: &str) -> Vec<&str> {
    let mut found: Vec<&str> = code
        .split(|c| !XID_CONTINUE(c))
        .filter(|word| word.starts_with(|c: char| c == '_' || !c.is_ascii_digit()))
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// The names before the last `=` of a line: what it may have been meant to assign.
fn assigned_names(code: &str) -> Vec<&str> {
    let bytes = code.as_bytes();
    let last = (0..bytes.len()).rev().find(|&at| {
        bytes[at] == b'='
            && bytes.get(at + 1) != Some(&b'=')
            && !(at > 0 && matches!(bytes[at - 1], b'=' | b'!' | b'<' | b'>'))
    });
    last.map(|at| names(&code[..at])).unwrap_or_default()
}
