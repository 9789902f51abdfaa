//! The outline of a text to a [`Program`]: parameters, names, one-call statements, types.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::outline::Outline;
use super::syntax::{Definition, Expression, Name, Statement as Line, Step};
use super::{IMPLICIT_HYPERPARAMETERS, hints, limits};
use crate::diagnostic::{Diagnostic, DiagnosticKind, MAXIMUM_DIAGNOSTICS, quote};
use crate::function::Function;
use crate::graph::{Graph, TypeError};
use crate::program::{
    Comment, CommentPlace, Numerics, Operand, Parameter, ParameterKind, Program, Signature, SlotId,
    Statement, VarId,
};
use crate::types::Type;

/// Longest part of a target's name that the names of its temporaries repeat, in characters; the
/// rest is left for their number.
const TEMPORARY_NAME_CHARACTERS: usize = limits::NAME_CHARACTERS - 10;

/// The program of an outline, or `None` after saying what is wrong.
pub(super) fn lower(
    source: &str,
    outline: Outline<'_>,
    problems: &mut Vec<Diagnostic>,
) -> Option<Program> {
    let mut lowering = Lowering {
        source,
        problems,
        parameters: Vec::new(),
        parameter_spans: Vec::new(),
        locals: Vec::new(),
        variables: HashMap::new(),
        knowledge: Vec::new(),
        statements: Vec::new(),
        origins: Vec::new(),
        temporaries: HashMap::new(),
        mentioned: HashSet::new(),
        assignments: HashMap::new(),
        unknown_names: HashSet::new(),
    };
    lowering.collect_names(&outline);
    let is_signature_sound = lowering.signature(&outline);
    let comments = lowering.comments_above(&outline);
    lowering.body(outline, comments, is_signature_sound)
}

/// Knowledge of a variable where the parser stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Knowledge {
    /// Nothing has assigned it.
    Unassigned,
    /// It has a value.
    Assigned,
    /// A faulty statement assigns it, so that nothing can be said about it.
    Faulty,
}

/// Where a statement comes from.
struct Origin {
    /// The name that is assigned; `None` for a temporary.
    target: Option<Range<usize>>,
    arguments: Vec<Range<usize>>,
}

/// A value on the way to becoming an argument: `None` if it is faulty.
struct Value {
    operand: Option<Operand>,
    span: Range<usize>,
}

struct Lowering<'a, 'p> {
    source: &'a str,
    problems: &'p mut Vec<Diagnostic>,
    parameters: Vec<Parameter>,
    /// Where each parameter stands; an implicit hyperparameter stands where it is read first.
    parameter_spans: Vec<Range<usize>>,
    locals: Vec<String>,
    variables: HashMap<String, VarId>,
    /// For each variable.
    knowledge: Vec<Knowledge>,
    statements: Vec<Statement>,
    /// For each statement.
    origins: Vec<Origin>,
    /// How many temporaries each target has.
    temporaries: HashMap<String, usize>,
    /// All names of the text: a temporary takes none of them.
    mentioned: HashSet<&'a str>,
    /// Where each variable is assigned first.
    assignments: HashMap<&'a str, Range<usize>>,
    /// Names that have been reported as unassigned: once is enough.
    unknown_names: HashSet<&'a str>,
}

/// The text cannot be lowered further.
struct GiveUp;

impl<'a> Lowering<'a, '_> {
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

    fn collect_names(&mut self, outline: &Outline<'a>) {
        self.mentioned
            .extend(outline.definition.parameters.iter().map(|parameter| parameter.name.text));
        for line in &outline.body {
            let expressions = match &line.statement {
                Line::Assignment { target, value } => {
                    self.mentioned.insert(target.text);
                    self.assignments.entry(target.text).or_insert(target.span.clone());
                    std::slice::from_ref(value)
                }
                Line::Return { values } => values.as_deref().unwrap_or_default(),
                Line::Unknown { targets } => {
                    self.mentioned.extend(targets);
                    &[]
                }
            };
            self.mentioned.extend(expressions.iter().flatten().filter_map(
                |node| match node.step {
                    Step::Variable(name) => Some(name),
                    _ => None,
                },
            ));
        }
    }

    /// Makes the parameters. Returns whether they are those of an update program.
    fn signature(&mut self, outline: &Outline<'a>) -> bool {
        let before = self.problems.len();
        let Definition { parameters, star, parentheses, name } = &outline.definition;
        let kind = DiagnosticKind::BadSignature;
        let positional = parameters.iter().filter(|parameter| !parameter.keyword_only).count();
        let mut seen: HashMap<&str, Range<usize>> = HashMap::new();
        let mut slots = 0;
        for (index, parameter) in parameters.iter().enumerate() {
            let (text, span) = (parameter.name.text, parameter.name.span.clone());
            if let Some(first) = seen.get(text) {
                let problem = Diagnostic::new(
                    kind,
                    span.clone(),
                    format!("two parameters are called `{}`", quote(text)),
                    "the second",
                )
                .with_secondary(first.clone(), "the first")
                .with_help("give one of them another name");
                self.problems.push(problem);
                continue;
            }
            seen.insert(text, span.clone());
            let role = match (parameter.keyword_only, index, text) {
                (true, _, "lr" | "t") => {
                    let help = format!("move `{text}` before the `*`, after the gradients");
                    self.report(
                        kind,
                        span.clone(),
                        format!("`{text}` cannot be a hyperparameter"),
                        "after `*`",
                        help,
                    );
                    ParameterKind::Hyperparameter
                }
                (true, ..) => ParameterKind::Hyperparameter,
                (false, 0 | 1, "lr" | "t") => {
                    let help = "begin with the weights and the gradients, as in `(w, g, m, lr)`";
                    self.report(
                        kind,
                        span.clone(),
                        "the first two parameters are the weights and the gradients",
                        "not weights or gradients",
                        help,
                    );
                    if text == "lr" { ParameterKind::LearningRate } else { ParameterKind::Step }
                }
                (false, 0, _) => ParameterKind::Weights,
                (false, 1, _) => ParameterKind::Gradients,
                (false, _, "lr") => ParameterKind::LearningRate,
                (false, _, "t") => ParameterKind::Step,
                (false, ..) => {
                    let slot = SlotId(u16::try_from(slots).unwrap_or(u16::MAX));
                    slots += 1;
                    ParameterKind::Slot(slot)
                }
            };
            let default = self.default(parameter, role, index + 1 == positional);
            self.declare(
                text.to_string(),
                Parameter { name: text.to_string(), kind: role, default },
                span,
            );
        }
        if positional < 2 {
            let message = format!(
                "`{}` takes no {}",
                quote(name.text),
                if positional == 0 { "weights and gradients" } else { "gradients" }
            );
            let help = "begin with the weights and the gradients, as in `(w, g, m, lr)`";
            self.report(
                kind,
                parentheses.clone(),
                message,
                "the first two parameters are missing",
                help,
            );
        }
        if let Some(star) = star
            && positional == parameters.len()
        {
            let help =
                "drop it, or name hyperparameters with defaults after it, as in `*, beta1=0.9`";
            self.report(kind, star.clone(), "nothing follows the `*`", "here", help);
        }
        self.implicit_hyperparameters(outline);
        self.problems.len() == before
    }

    fn default(
        &mut self,
        parameter: &super::syntax::Parameter<'a>,
        role: ParameterKind,
        is_last_positional: bool,
    ) -> Option<f64> {
        let (text, span) = (quote(parameter.name.text), parameter.name.span.clone());
        let kind = DiagnosticKind::BadSignature;
        match (&parameter.default, role) {
            (Some(default), ParameterKind::Hyperparameter) => return default.value,
            (None, ParameterKind::Hyperparameter) => {
                let help = format!("write `{text}=` and a number");
                self.report(
                    kind,
                    span,
                    format!("the hyperparameter `{text}` has no default"),
                    "a default is missing",
                    help,
                );
            }
            (Some(default), ParameterKind::LearningRate) => {
                if !is_last_positional {
                    let help = "put `lr` last among the parameters before `*`, as Python wants defaults last";
                    self.report(
                        kind,
                        span,
                        "`lr` has a default, but other parameters follow it",
                        "must come last",
                        help,
                    );
                }
                return default.value;
            }
            (Some(default), ParameterKind::Slot(_)) => {
                let message = format!("the state slot `{text}` has a default");
                let help = format!(
                    "a slot starts at zero: drop the default; if `{text}` is a hyperparameter, put it after `*`, as in `*, {text}={}`",
                    quote(&self.source[default.span.clone()])
                );
                self.report(kind, default.span.clone(), message, "slots have no default", help);
            }
            (Some(default), _) => {
                self.report(
                    kind,
                    default.span.clone(),
                    format!("`{text}` has a default"),
                    "only `lr` may have one here",
                    "drop the default",
                );
            }
            (None, _) => {}
        }
        None
    }

    fn declare(&mut self, written: String, parameter: Parameter, span: Range<usize>) {
        // More parameters than variables are refused with the first statement; here they only must
        // not wrap around.
        let id = VarId(u16::try_from(self.parameters.len()).unwrap_or(u16::MAX));
        self.variables.insert(written, id);
        self.parameters.push(parameter);
        self.parameter_spans.push(span);
        self.knowledge.push(Knowledge::Assigned);
    }

    /// Declares the published texts' free names that this text reads and never assigns.
    fn implicit_hyperparameters(&mut self, outline: &Outline<'a>) {
        let mut first_reads: HashMap<&str, Range<usize>> = HashMap::new();
        for line in &outline.body {
            let expressions = match &line.statement {
                Line::Assignment { value, .. } => std::slice::from_ref(value),
                Line::Return { values } => values.as_deref().unwrap_or_default(),
                Line::Unknown { .. } => &[],
            };
            for node in expressions.iter().flatten() {
                if let Step::Variable(name) = node.step {
                    first_reads.entry(name).or_insert(node.span.clone());
                }
            }
        }
        for row in IMPLICIT_HYPERPARAMETERS {
            let Some(span) = first_reads.get(row.written) else { continue };
            let is_free = |name: &str| {
                !self.variables.contains_key(name) && !self.assignments.contains_key(name)
            };
            if is_free(row.written) && is_free(row.name) {
                let parameter = Parameter {
                    name: row.name.to_string(),
                    kind: ParameterKind::Hyperparameter,
                    default: Some(row.default),
                };
                let id = VarId(u16::try_from(self.parameters.len()).unwrap_or(u16::MAX));
                self.declare(row.written.to_string(), parameter, span.clone());
                self.variables.insert(row.name.to_string(), id);
            }
        }
    }

    fn comments_above(&self, outline: &Outline<'a>) -> Vec<Comment> {
        let header = outline.header.iter().map(|text| (CommentPlace::Header, text));
        let beside = outline.beside_definition.iter().map(|text| (CommentPlace::BesideDef, text));
        header.chain(beside).map(|(place, text)| Comment { place, text: text.clone() }).collect()
    }

    fn body(
        mut self,
        outline: Outline<'a>,
        mut comments: Vec<Comment>,
        is_signature_sound: bool,
    ) -> Option<Program> {
        if self.parameters.len() > limits::VARIABLES {
            let _ = self.too_many_variables(outline.definition.parentheses.clone());
            return None;
        }
        let mut update = None;
        let mut returned = None;
        for line in outline.body {
            let first = self.statements.len();
            let (above, beside) = match line.statement {
                Line::Assignment { target, value } => {
                    self.assign(&target, value).ok()?;
                    (
                        CommentPlace::Above(first),
                        CommentPlace::Beside(self.statements.len().saturating_sub(1)),
                    )
                }
                Line::Unknown { targets } => {
                    for target in targets {
                        self.unknown_names.insert(target);
                        if let Some(id) = self.variables.get(target) {
                            self.knowledge[id.index()] = Knowledge::Faulty;
                        }
                    }
                    (CommentPlace::Above(first), CommentPlace::Beside(first))
                }
                Line::Return { values } => {
                    let spans = values.as_ref().map(|list| {
                        list.iter().map(|e| e.last().map_or(0..0, |n| n.span.clone())).collect()
                    });
                    update = self.returned(values, &line.span);
                    returned = Some(spans.unwrap_or_else(Vec::new));
                    (CommentPlace::AboveReturn, CommentPlace::BesideReturn)
                }
            };
            comments.extend(line.above.into_iter().map(|text| Comment { place: above, text }));
            comments.extend(line.beside.map(|text| Comment { place: beside, text }));
        }
        comments.extend(
            outline.footer.into_iter().map(|text| Comment { place: CommentPlace::Footer, text }),
        );
        if returned.is_none() {
            let end = outline.end..outline.end;
            let help = format!("end the body with `{}`", self.expected_return("update"));
            self.report(
                DiagnosticKind::MissingReturn,
                end,
                "the program returns nothing",
                "`return` is missing here",
                help,
            );
        }
        if !is_signature_sound {
            return None;
        }
        let signature = Signature {
            name: outline.definition.name.text.to_string(),
            doc: outline.doc,
            numerics: if outline.guarded { Numerics::Guarded } else { Numerics::Ieee },
            parameters: std::mem::take(&mut self.parameters),
        };
        let locals = std::mem::take(&mut self.locals);
        let statements = std::mem::take(&mut self.statements);
        // Where the update is faulty, the weights stand in for it: what is said about them is
        // dropped.
        let program =
            Program::new(signature, locals, statements, update.unwrap_or(VarId(0)), comments);
        if let Err(errors) = Graph::new(&program) {
            let spans = returned.unwrap_or_default();
            for error in errors {
                self.type_error(&program, error, update, &spans);
            }
        }
        if self.problems.is_empty()
            && program.statements.len() > MANY_STATEMENTS
            && program.to_string().len() > limits::TEXT_BYTES
        {
            let message = format!(
                "the program's text would have more than {} bytes once its expressions are taken apart",
                limits::TEXT_BYTES
            );
            self.report(
                DiagnosticKind::TooLarge,
                0..0,
                message,
                "",
                "use shorter names or fewer statements",
            );
        }
        self.problems.is_empty().then_some(program)
    }

    fn too_many_variables(&mut self, span: Range<usize>) -> GiveUp {
        let message = format!("more than {} variables", limits::VARIABLES);
        self.report(
            DiagnosticKind::TooLarge,
            span,
            message,
            "one too many",
            "use variables again that are not needed any more",
        );
        GiveUp
    }

    /// The variable of a name that is assigned.
    fn local(&mut self, name: &str, span: &Range<usize>) -> Result<VarId, GiveUp> {
        if let Some(id) = self.variables.get(name) {
            return Ok(*id);
        }
        let index = self.knowledge.len();
        match u16::try_from(index) {
            Ok(id) if index < limits::VARIABLES => {
                self.variables.insert(name.to_string(), VarId(id));
                self.locals.push(name.to_string());
                self.knowledge.push(Knowledge::Unassigned);
                Ok(VarId(id))
            }
            _ => Err(self.too_many_variables(span.clone())),
        }
    }

    /// A new variable for a part of what `target` is assigned.
    fn temporary(&mut self, target: &Name<'a>) -> Result<VarId, GiveUp> {
        let stem: String = target.text.chars().take(TEMPORARY_NAME_CHARACTERS).collect();
        let count = self.temporaries.entry(stem.clone()).or_default();
        let name = loop {
            *count += 1;
            let name = format!("{stem}_{count}");
            let is_taken = self.mentioned.contains(name.as_str())
                || self.variables.contains_key(&name)
                || Function::from_name(&name).is_some();
            if !is_taken {
                break name;
            }
        };
        self.local(&name, &target.span)
    }

    /// Lowers `target = value`.
    fn assign(&mut self, target: &Name<'a>, value: Expression<'a>) -> Result<(), GiveUp> {
        let last_call = value.iter().rposition(|node| {
            matches!(node.step, Step::Negate | Step::Operator(_) | Step::Call { .. })
        });
        let mut stack: Vec<Value> = Vec::new();
        let mut is_assigned = false;
        for (index, node) in value.iter().enumerate() {
            let operands = match &node.step {
                Step::Number(_) | Step::Variable(_) => 0,
                Step::Negate | Step::Parentheses => 1,
                Step::Operator(_) => 2,
                Step::Call { arguments, .. } => *arguments,
                Step::Unknown(operands) => *operands,
            };
            let arguments = stack.split_off(stack.len().saturating_sub(operands));
            let span = arguments.iter().fold(node.span.clone(), |span, v| {
                span.start.min(v.span.start)..span.end.max(v.span.end)
            });
            let operand = match &node.step {
                Step::Number(number) => Some(Operand::Constant(*number)),
                Step::Variable(name) => self.read(name, &node.span).map(Operand::Variable),
                Step::Parentheses => arguments.first().and_then(|value| value.operand),
                Step::Unknown(_) => None,
                Step::Negate
                    if matches!(
                        arguments[..],
                        [Value { operand: Some(Operand::Constant(_)), .. }]
                    ) =>
                {
                    match arguments[0].operand {
                        Some(Operand::Constant(number)) => Some(Operand::Constant(-number)),
                        _ => None,
                    }
                }
                Step::Negate | Step::Operator(_) | Step::Call { .. } => {
                    let function = match &node.step {
                        Step::Negate => Some(Function::Negative),
                        Step::Operator(function) => Some(*function),
                        Step::Call { name, arguments } => self.function(name, *arguments, &span),
                        _ => None,
                    };
                    let operands: Option<Vec<Operand>> =
                        arguments.iter().map(|value| value.operand).collect();
                    match (function, operands) {
                        (Some(function), Some(operands)) => {
                            let is_last = last_call == Some(index);
                            // The last call assigns the target itself, unless something unknown is
                            // still to be done with it.
                            let is_root = is_last
                                && value[index + 1..]
                                    .iter()
                                    .all(|node| matches!(node.step, Step::Parentheses));
                            let id = if is_root {
                                self.local(target.text, &target.span)?
                            } else {
                                self.temporary(target)?
                            };
                            let origin = Origin {
                                target: is_root.then(|| target.span.clone()),
                                arguments: arguments.into_iter().map(|value| value.span).collect(),
                            };
                            self.emit(Statement::new(id, function, &operands), origin)?;
                            is_assigned |= is_root;
                            Some(Operand::Variable(id))
                        }
                        _ => None,
                    }
                }
            };
            stack.push(Value { operand, span });
        }
        if is_assigned {
            return Ok(());
        }
        let id = self.local(target.text, &target.span)?;
        match stack.pop() {
            Some(Value { operand: Some(operand), span }) => {
                let origin = Origin { target: Some(target.span.clone()), arguments: vec![span] };
                self.emit(Statement::new(id, Function::Copy, &[operand]), origin)
            }
            _ => {
                self.knowledge[id.index()] = Knowledge::Faulty;
                Ok(())
            }
        }
    }

    fn emit(&mut self, statement: Statement, origin: Origin) -> Result<(), GiveUp> {
        if self.statements.len() >= limits::STATEMENTS {
            let span = origin.target.or(origin.arguments.first().cloned()).unwrap_or(0..0);
            let message =
                format!("more than {} statements, counting each call as one", limits::STATEMENTS);
            self.report(
                DiagnosticKind::TooLarge,
                span,
                message,
                "one too many",
                "a program of this length is not an optimizer: check the text",
            );
            return Err(GiveUp);
        }
        self.knowledge[statement.target.index()] = Knowledge::Assigned;
        self.statements.push(statement);
        self.origins.push(origin);
        Ok(())
    }

    /// The function of a call, or `None` after saying what is wrong with its name or the number of
    /// its arguments.
    fn function(
        &mut self,
        name: &Name<'a>,
        arguments: usize,
        span: &Range<usize>,
    ) -> Option<Function> {
        let Some(function) = Function::from_name(name.text) else {
            let is_faulty = self
                .variables
                .get(name.text)
                .is_some_and(|id| self.knowledge[id.index()] == Knowledge::Faulty);
            if is_faulty || !self.unknown_names.insert(name.text) {
                return None;
            }
            let kind = DiagnosticKind::UnknownFunction;
            let shown = quote(name.text);
            let mut problem = if self.variables.contains_key(name.text) {
                Diagnostic::new(
                    kind,
                    name.span.clone(),
                    format!("`{shown}` is a variable, not a function"),
                    "called here",
                )
                .with_help(format!("a product is written `{shown} * (...)`"))
            } else {
                Diagnostic::new(
                    kind,
                    name.span.clone(),
                    format!("unknown function `{shown}`"),
                    "not a function of the language",
                )
            };
            if problem.help.is_none() && self.is_worth_a_search(name.text) {
                problem.help = hints::for_function(name.text);
            }
            self.problems.push(problem);
            return None;
        };
        let row = function.row();
        if row.arity() != arguments {
            let takes = match row.arity() {
                0 => "no arguments".to_string(),
                1 => "one argument".to_string(),
                arity => format!("{arity} arguments"),
            };
            let message = format!("`{}` takes {takes}, not {arguments}", name.text);
            let label = if arguments == 1 {
                "one is given".to_string()
            } else {
                format!("{arguments} are given")
            };
            let help = format!("`{}`: {}", hints::form(row), row.doc);
            self.report(DiagnosticKind::ArgumentCount, span.clone(), message, &label, help);
            return None;
        }
        Some(function)
    }

    /// Whether the nearest name is looked for: not for a name that is too long, and not once enough
    /// has been said.
    fn is_worth_a_search(&self, name: &str) -> bool {
        name.len() <= limits::NAME_CHARACTERS && self.problems.len() < MAXIMUM_DIAGNOSTICS
    }

    /// The variable that a name means where the parser stands, or `None` if that is not known; says
    /// so if it has not been said.
    fn read(&mut self, name: &'a str, span: &Range<usize>) -> Option<VarId> {
        let id = self.variables.get(name).copied();
        match id.map(|id| self.knowledge[id.index()]) {
            Some(Knowledge::Assigned) => return id,
            Some(Knowledge::Faulty) => return None,
            Some(Knowledge::Unassigned) | None => {}
        }
        if !self.unknown_names.insert(name) {
            return None;
        }
        let shown = quote(name);
        let mut problem =
            Diagnostic::new(DiagnosticKind::Unassigned, span.clone(), "", "has no value here");
        if let Some(function) = Function::from_name(name) {
            problem.message = format!("`{shown}` is a function, not a variable");
            problem.help = Some(format!("call it: `{}`", hints::form(function.row())));
        } else if matches!(name.to_ascii_lowercase().as_str(), "nan" | "inf" | "infinity") {
            problem.kind = DiagnosticKind::BadConstant;
            problem.message = format!("`{shown}` is not a constant of the language");
            problem.label = "not a finite number".to_string();
            problem.help = Some("constants are finite numbers".to_string());
        } else if let Some(row) =
            IMPLICIT_HYPERPARAMETERS.iter().find(|row| row.written == name && row.name != name)
        {
            problem.kind = DiagnosticKind::ReservedName;
            problem.message = format!("`{shown}` is a keyword of Python");
            problem.label = "a keyword".to_string();
            problem.help = Some(format!("write `{}`, as elsewhere in this program", row.name));
        } else if let Some(later) = self.assignments.get(name) {
            problem.message = format!("`{shown}` is read before it is assigned");
            problem = problem.with_secondary(later.clone(), "assigned only here");
            problem.help =
                Some("move the assignment up; a value that lasts from step to step is a state slot, a positional parameter".to_string());
        } else {
            problem.message = format!("nothing assigns `{shown}`");
            let near = self.is_worth_a_search(name).then(|| {
                let known = self
                    .variables
                    .iter()
                    .filter(|(_, id)| self.knowledge[id.index()] == Knowledge::Assigned);
                let mut known: Vec<&str> = known.map(|(name, _)| name.as_str()).collect();
                known.sort_unstable();
                hints::nearest(name, known.into_iter()).map(str::to_string)
            });
            problem.help = Some(match (near.flatten(), hints::for_constant(name)) {
                (Some(near), _) => format!("did you mean `{near}`?"),
                (None, Some(help)) => help.to_string(),
                (None, None) => format!(
                    "assign it above, or declare it after `*` with a default, as in `*, {shown}=0.1`"
                ),
            });
        }
        self.problems.push(problem);
        None
    }

    fn slots(&self) -> Vec<String> {
        self.parameters
            .iter()
            .filter(|p| matches!(p.kind, ParameterKind::Slot(_)))
            .map(|p| p.name.clone())
            .collect()
    }

    fn expected_return(&self, update: &str) -> String {
        let list: Vec<String> = std::iter::once(update.to_string()).chain(self.slots()).collect();
        // A hostile text can have thousands of slots.
        if list.len() > 30 {
            "return update, ...".to_string()
        } else {
            format!("return {}", list.join(", "))
        }
    }

    /// The variable that is returned first, or `None` after saying what is wrong with the list.
    fn returned(
        &mut self,
        values: Option<Vec<Expression<'a>>>,
        line: &Range<usize>,
    ) -> Option<VarId> {
        let values = values?;
        let mut names = Vec::with_capacity(values.len());
        for value in &values {
            let steps: Vec<&Step<'_>> = value
                .iter()
                .map(|node| &node.step)
                .filter(|step| !matches!(step, Step::Parentheses))
                .collect();
            if let [Step::Variable(name)] = steps[..] {
                names.push(*name);
                continue;
            }
            let start = value.iter().map(|node| node.span.start).min().unwrap_or(line.start);
            let end = value.iter().map(|node| node.span.end).max().unwrap_or(line.end);
            let help = format!(
                "give it a name first: `update = {}`, then `{}`",
                quote(&self.source[start..end]),
                self.expected_return("update")
            );
            self.report(
                DiagnosticKind::ReturnList,
                start..end,
                "`return` gives variables only",
                "not a variable",
                help,
            );
            return None;
        }
        let slots = self.slots();
        if names.get(1..).is_none_or(|rest| rest != slots) {
            self.wrong_return_list(&names, &slots, line);
            return None;
        }
        let span = values[0].last().map_or(line.clone(), |node| node.span.clone());
        // Slots are parameters and so have values; whether they are arrays, the types say.
        let before = self.problems.len();
        let update = self.read(names[0], &span);
        if self.problems.len() > before
            && let Some(problem) = self
                .problems
                .last_mut()
                .filter(|p| p.kind == DiagnosticKind::Unassigned && p.secondary.is_empty())
            && !problem.help.as_ref().is_some_and(|help| help.starts_with("did you mean"))
        {
            problem.help = Some(format!("assign it above: `{} = ...`", quote(names[0])));
        }
        update
    }

    fn wrong_return_list(&mut self, names: &[&str], slots: &[String], line: &Range<usize>) {
        // Sets, because a hostile text can have thousands of slots.
        let slot_names: HashSet<&str> = slots.iter().map(String::as_str).collect();
        let is_slot = |name: &str| slot_names.contains(name);
        let update = match names.first() {
            Some(first) if names.len() == slots.len() + 1 || !is_slot(first) => first,
            _ => "update",
        };
        let returned_slots = names.get(1..).unwrap_or_default();
        let returned_names: HashSet<&str> = returned_slots.iter().copied().collect();
        let label =
            if names.iter().copied().eq(slots.iter().map(String::as_str)) && !names.is_empty() {
                "the update is missing".to_string()
            } else if let Some(missing) =
                slots.iter().find(|slot| !returned_names.contains(slot.as_str()))
            {
                if names.is_empty() {
                    "nothing is returned".to_string()
                } else {
                    format!("`{}` is missing", quote(missing))
                }
            } else if let Some(extra) = returned_slots.iter().find(|name| !is_slot(name)) {
                format!("`{}` is not a state slot", quote(extra))
            } else if returned_slots.len() > slots.len() {
                "a state slot is returned twice".to_string()
            } else if names.is_empty() {
                "nothing is returned".to_string()
            } else {
                "not in the order of the parameters".to_string()
            };
        let mut help = format!("write `{}`", self.expected_return(update));
        // A slot of one letter is meant as a slot; a longer name that nothing assigns is more
        // likely a setting.
        let looks_like_a_setting = |slot: &&String| {
            slot.len() > 1
                && !returned_names.contains(slot.as_str())
                && !self.assignments.contains_key(slot.as_str())
        };
        if let Some(slot) = slots.iter().find(looks_like_a_setting) {
            help.push_str(&format!(
                "; if `{0}` is a hyperparameter, put it after `*` with a default: `*, {0}=0.9`",
                quote(slot)
            ));
        }
        let message =
            "`return` gives the update, then every state slot in the order of the parameters";
        self.report(DiagnosticKind::ReturnList, line.clone(), message, &label, help);
    }

    fn type_error(
        &mut self,
        program: &Program,
        error: TypeError,
        update: Option<VarId>,
        returned: &[Range<usize>],
    ) {
        match error {
            TypeError::NotScalar { statement, argument, found } => {
                self.not_scalar(program, statement, argument, found)
            }
            TypeError::ShapeMismatch { statement, argument, found, other } => {
                self.shapes(program, statement, argument, [other, found])
            }
            TypeError::ReturnNotTree { variable, found } => {
                // The update is faulty and has a stand-in, or a faulty statement assigns the slot.
                let is_known = self.knowledge.get(variable.index()) == Some(&Knowledge::Assigned);
                let is_slot = program.signature().slots().any(|slot| slot == variable);
                if !is_known || (update.is_none() && !is_slot) {
                    return;
                }
                let place = if update == Some(variable) {
                    Some(0)
                } else {
                    program.signature().slots().position(|s| s == variable).map(|i| i + 1)
                };
                let Some(span) = place.and_then(|place| returned.get(place)).cloned() else {
                    return;
                };
                let name = program.variable_name(variable).to_string();
                let role = if place == Some(0) { "update" } else { "state slot" };
                let message =
                    format!("the {role} `{}` must be a Tree, but is a {found}", quote(&name));
                let help = match (role, found) {
                    (_, Type::Transposed) => {
                        "it has columns x rows numbers: `transpose` turns it back"
                    }
                    (_, Type::RowsByRows) => {
                        "it has rows x rows numbers: a product with a Tree, `matmul(x, g)`, has one number for each parameter"
                    }
                    (_, Type::ColumnsByColumns) => {
                        "it has columns x columns numbers: a product with a Tree, `matmul(g, x)`, has one number for each parameter"
                    }
                    ("update", _) => {
                        "the update has one number for each parameter: let it depend on the weights, the gradients or a slot element by element"
                    }
                    (_, Type::Scalar | Type::PerArray | Type::Tree) => {
                        "a slot has one number for each parameter: give the smaller value a variable of its own"
                    }
                };
                let mut problem =
                    Diagnostic::new(DiagnosticKind::Type, span, message, format!("a {found}"))
                        .with_help(help);
                self.explain(program, variable, program.statements.len(), found, &mut problem);
                self.problems.push(problem);
            }
            // Names have been checked with their places in the text, so these repeat what has been
            // said.
            TypeError::Undefined { statement, argument, .. } => {
                if self.problems.is_empty() {
                    let span = self
                        .origins
                        .get(statement)
                        .and_then(|o| o.arguments.get(argument))
                        .cloned()
                        .unwrap_or(0..0);
                    self.problems.push(Diagnostic::new(
                        DiagnosticKind::Unassigned,
                        span,
                        "a variable is read before it is assigned",
                        "here",
                    ));
                }
            }
            TypeError::UndefinedReturn { .. } => {
                if self.problems.is_empty() {
                    let span = returned.first().cloned().unwrap_or(0..0);
                    self.problems.push(Diagnostic::new(
                        DiagnosticKind::Unassigned,
                        span,
                        "a returned variable is never assigned",
                        "here",
                    ));
                }
            }
        }
    }

    /// Reports an argument whose shape does not go with that of the arguments before it.
    fn shapes(
        &mut self,
        program: &Program,
        statement: usize,
        argument: usize,
        [other, found]: [Type; 2],
    ) {
        let (Some(call), Some(origin)) =
            (program.statements.get(statement), self.origins.get(statement))
        else {
            return;
        };
        let Some(span) = origin.arguments.get(argument).cloned() else { return };
        let function = call.function;
        let text = quote(&self.source[span.clone()]);
        let first = origin.arguments.first().cloned().filter(|first| *first != span);
        let (message, help) = if function == Function::Matmul {
            let message = format!(
                "`matmul` of {} by {}: the columns of the first must be the rows of the second",
                in_words(other),
                in_words(found)
            );
            let help = match (other.is_array(), found.is_array()) {
                (true, true) if other.product(found.transposed()).is_some() => {
                    "transpose the second: `matmul(x, transpose(y))`"
                }
                (true, true) if other.transposed().product(found).is_some() => {
                    "transpose the first: `matmul(transpose(x), y)`"
                }
                (true, true) => "change the order of the two, or transpose one of them",
                _ => "a number and a matrix are multiplied by `x * y`",
            };
            (message, help)
        } else {
            let name = function.name();
            let message = format!(
                "`{name}` works place by place, but `{text}` is {} beside {}",
                in_words(found),
                in_words(other)
            );
            let help = if found.transposed() == other {
                "transpose one of the two: `transpose(x)`"
            } else {
                "bring both to one shape: `transpose` and `matmul` change it, `norm` and `global_norm` reduce to one number"
            };
            (message, help)
        };
        let mut problem = Diagnostic::new(DiagnosticKind::Type, span, message, found.shape_text())
            .with_help(help);
        if let Some(first) = first.filter(|_| argument == 1) {
            problem = problem.with_secondary(first, other.shape_text());
        }
        if let Some(Operand::Variable(id)) = call.arguments().get(argument) {
            self.explain(program, *id, statement, found, &mut problem);
        }
        self.problems.push(problem);
    }

    fn not_scalar(&mut self, program: &Program, statement: usize, argument: usize, found: Type) {
        let (Some(call), Some(origin)) =
            (program.statements.get(statement), self.origins.get(statement))
        else {
            return;
        };
        let Some(span) = origin.arguments.get(argument).cloned() else { return };
        let function = call.function;
        let message = format!(
            "argument {} of `{}` must be a Scalar, but `{}` is a {found}",
            argument + 1,
            function.name(),
            quote(&self.source[span.clone()])
        );
        let help = match (function, found) {
            (_, Type::PerArray) => {
                "it has one number for each array; `global_norm`, `dot` and `cosine_sim` give one number for all".to_string()
            }
            (Function::Interp, _) => {
                "the weight of a blend is one number; to blend element by element, write `x + a * (y - x)`".to_string()
            }
            (Function::Clip, _) => {
                "the limit of the global norm is one number; to limit each element, write `minimum(maximum(x, -s), s)`".to_string()
            }
            _ => format!("`{}`: {}", hints::form(function.row()), function.row().doc),
        };
        let mut problem =
            Diagnostic::new(DiagnosticKind::Type, span, message, format!("a {found}"))
                .with_help(help);
        if let Some(Operand::Variable(id)) = call.arguments().get(argument) {
            self.explain(program, *id, statement, found, &mut problem);
        }
        self.problems.push(problem);
    }

    /// Adds to a problem why a variable has its type before statement `before`: where it was
    /// assigned, and what made that so large.
    fn explain(
        &self,
        program: &Program,
        variable: VarId,
        before: usize,
        found: Type,
        problem: &mut Diagnostic,
    ) {
        if self.problems.len() >= MAXIMUM_DIAGNOSTICS {
            return;
        }
        let types = types_of(program);
        let (mut variable, mut before) = (variable, before);
        for _ in 0..EXPLANATION_STEPS {
            let assigned = program.statements[..before]
                .iter()
                .rposition(|statement| statement.target == variable);
            let Some(index) = assigned else {
                if let (Some(parameter), Some(span)) = (
                    program.signature().parameters.get(variable.index()),
                    self.parameter_spans.get(variable.index()),
                ) {
                    let role = match parameter.kind {
                        ParameterKind::Weights => "the weights",
                        ParameterKind::Gradients => "the gradients",
                        ParameterKind::LearningRate => "the learning rate",
                        ParameterKind::Step => "the step count",
                        ParameterKind::Slot(_) => "a state slot",
                        ParameterKind::Hyperparameter => "a hyperparameter",
                    };
                    problem.secondary.push(crate::diagnostic::Label {
                        span: span.clone(),
                        text: format!("{role}: a {found}"),
                    });
                }
                return;
            };
            if let Some(span) = self.origins.get(index).and_then(|origin| origin.target.clone()) {
                problem.secondary.push(crate::diagnostic::Label {
                    span,
                    text: format!("assigned here, as {found}"),
                });
            }
            // The argument that made the result as large as it is.
            let cause =
                program.statements[index].arguments().iter().find_map(|argument| match argument {
                    Operand::Variable(id) if type_before(program, &types, *id, index) == found => {
                        Some(*id)
                    }
                    _ => None,
                });
            let Some(cause) = cause.filter(|_| found != Type::Scalar) else { return };
            (variable, before) = (cause, index);
        }
    }
}

/// A type with its shape.
fn in_words(ty: Type) -> String {
    format!("a {ty} ({})", ty.shape_text())
}

/// How far the reason for a type is followed.
const EXPLANATION_STEPS: usize = 4;

/// A program with more statements than this is printed before it is accepted, to see that its text
/// would be accepted.
const MANY_STATEMENTS: usize = 1_000;

/// The type of each statement's result.
fn types_of(program: &Program) -> Vec<Type> {
    let mut current: Vec<Type> = vec![Type::Scalar; program.variable_count()];
    for (index, parameter) in program.signature().parameters.iter().enumerate() {
        current[index] = type_of_parameter(parameter.kind);
    }
    let mut results = Vec::with_capacity(program.statements.len());
    for statement in &program.statements {
        let arguments: Vec<Type> = statement
            .arguments()
            .iter()
            .map(|argument| match argument {
                Operand::Variable(id) => current[id.index()],
                Operand::Constant(_) => Type::Scalar,
            })
            .collect();
        let result = statement.function.result_type(&arguments).unwrap_or(Type::Tree);
        current[statement.target.index()] = result;
        results.push(result);
    }
    results
}

fn type_before(program: &Program, types: &[Type], variable: VarId, before: usize) -> Type {
    match program.statements[..before].iter().rposition(|statement| statement.target == variable) {
        Some(index) => types[index],
        None => program
            .signature()
            .parameters
            .get(variable.index())
            .map_or(Type::Scalar, |p| type_of_parameter(p.kind)),
    }
}

fn type_of_parameter(kind: ParameterKind) -> Type {
    match kind {
        ParameterKind::Weights | ParameterKind::Gradients | ParameterKind::Slot(_) => Type::Tree,
        ParameterKind::LearningRate | ParameterKind::Step | ParameterKind::Hyperparameter => {
            Type::Scalar
        }
    }
}
