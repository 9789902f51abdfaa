//! A program as data for tools: one JSON object.
//!
//! | key | value |
//! |---|---|
//! | `format`, `format_version` | `"symopt program"` and 1; the version goes up when a key changes its meaning or goes away, not when one is added |
//! | `symopt` | the version that wrote the file |
//! | `name`, `doc`, `hash` | of the program; `doc` may be null; the hash has 32 hexadecimal digits |
//! | `numerics` | `"ieee"`, or `"guarded"` for a program marked so |
//! | `parameters` | in order: `name`; `kind` (`weights`, `gradients`, `slot`, `learning_rate`, `step`, `hyperparameter`); `default`, a number or null; for `learning_rate` and hyperparameters `range`: `low` and `high`, a number or null, and `low_in` and `high_in`, whether the bound itself is in the range; for slots `live`: whether a later step depends on it |
//! | `statements` | in order: `target`; `function`, by the name that it has under the program's numerics; `arguments`, each `{"variable": NAME}` or `{"constant": NUMBER}`; `type` of the value (`scalar`, `per_array`, `tree`, `transposed`, `rows_by_rows`, `columns_by_columns`); `status` (`live`, or why the statement can go) |
//! | `returns` | the variables of the update and of the next slots |
//! | `plan` | how the program is computed in as few passes over the arrays as its sums allow, see below; null for a program with functions of matrices |
//! | `formula` | `unicode` and `latex` |
//!
//! The plan is that of [`Plan`]. `smalls`: numbers (of one step, or with `per_array` of each
//! array), each an `operation` with its `operands`, which are places in this list; `null` for those
//! that a pass sums up. `passes`, each: `smalls` to compute first; `instructions` on each element,
//! whose values are counted from 0 within the pass; `reductions`, sums over the products of two
//! values, or over one where `y` is null, with the small that takes them as `target`. The last pass
//! writes `update` and `slots` (the live ones). A source is `"weights"`, `"gradients"`, `{"slot":
//! PLACE}` among the live slots, `{"value": PLACE}` or `{"small": PLACE}`.
//!
//! Keys stand in a fixed order. A number has the fewest digits from which its f64 can be read
//! again; JSON has no others, so the strings `"NaN"`, `"Infinity"` and `"-Infinity"` stand for
//! them.

use serde::{Serialize, Serializer};
use symopt_dsl::graph::Redundancy;
use symopt_dsl::plan::{Instruction, Operation, Plan, Reduction, Small, SmallOperation, Source};
use symopt_dsl::program::{Operand, ParameterKind, VarId};
use symopt_dsl::range::{Range, ranges};
use symopt_dsl::{Graph, Numerics, Program, Type, escape};

use crate::Formula;

/// The version of the format.
pub const FORMAT_VERSION: usize = 1;

/// A value of JSON, whose objects keep the order of their keys.
enum Json {
    Null,
    Bool(bool),
    Number(f64),
    Count(usize),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(&'static str, Json)>),
}

impl Json {
    fn text(text: impl Into<String>) -> Json {
        Json::Text(text.into())
    }

    fn counts(list: &[usize]) -> Json {
        Json::List(list.iter().map(|count| Json::Count(*count)).collect())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Json::Null => serializer.serialize_none(),
            Json::Bool(value) => serializer.serialize_bool(*value),
            Json::Number(number) if number.is_nan() => serializer.serialize_str("NaN"),
            Json::Number(number) if number.is_infinite() => {
                serializer.serialize_str(if *number > 0.0 { "Infinity" } else { "-Infinity" })
            }
            Json::Number(number) => serializer.serialize_f64(*number),
            Json::Count(count) => serializer.serialize_u64(*count as u64),
            Json::Text(text) => serializer.serialize_str(text),
            Json::List(items) => serializer.collect_seq(items),
            Json::Object(items) => {
                serializer.collect_map(items.iter().map(|(key, value)| (key, value)))
            }
        }
    }
}

/// The file. `graph` must be the program's own.
pub fn file(program: &Program, graph: &Graph) -> String {
    let signature = program.signature();
    let formula = Formula::new(program, graph);
    let returns = std::iter::once(program.update)
        .chain(signature.slots())
        .map(|id| Json::text(program.variable_name(id).to_string()));
    let object = Json::Object(vec![
        ("format", Json::text("symopt program")),
        ("format_version", Json::Count(FORMAT_VERSION)),
        ("symopt", Json::text(env!("CARGO_PKG_VERSION"))),
        ("name", Json::text(&signature.name)),
        ("doc", signature.doc.as_ref().map_or(Json::Null, Json::text)),
        ("hash", Json::text(graph.hash().to_string())),
        (
            "numerics",
            Json::text(if signature.numerics == Numerics::Guarded { "guarded" } else { "ieee" }),
        ),
        ("parameters", parameters(program, graph)),
        ("statements", statements(program, graph)),
        ("returns", Json::List(returns.collect())),
        ("plan", Plan::try_new(graph, program).map_or(Json::Null, |passes| plan(program, &passes))),
        (
            "formula",
            Json::Object(vec![
                ("unicode", Json::text(formula.unicode())),
                ("latex", Json::text(formula.latex())),
            ]),
        ),
    ]);
    // Strings as keys and numbers that are finite: there is nothing that could fail.
    escape::json(&serde_json::to_string_pretty(&object).unwrap_or_default()).into_owned() + "\n"
}

fn parameters(program: &Program, graph: &Graph) -> Json {
    let parameter = |(parameter, range): (&symopt_dsl::program::Parameter, Range)| {
        let kind = match parameter.kind {
            ParameterKind::Weights => "weights",
            ParameterKind::Gradients => "gradients",
            ParameterKind::LearningRate => "learning_rate",
            ParameterKind::Step => "step",
            ParameterKind::Slot(_) => "slot",
            ParameterKind::Hyperparameter => "hyperparameter",
        };
        let mut items = vec![("name", Json::text(&parameter.name)), ("kind", Json::text(kind))];
        items.push(("default", parameter.default.map_or(Json::Null, Json::Number)));
        if matches!(parameter.kind, ParameterKind::LearningRate | ParameterKind::Hyperparameter) {
            let bound = |bound: Option<(f64, bool)>| {
                bound.map_or(Json::Null, |(bound, _)| Json::Number(bound))
            };
            let is_in =
                |bound: Option<(f64, bool)>| Json::Bool(bound.is_some_and(|(_, is_in)| is_in));
            let range = vec![
                ("low", bound(range.low)),
                ("low_in", is_in(range.low)),
                ("high", bound(range.high)),
                ("high_in", is_in(range.high)),
            ];
            items.push(("range", Json::Object(range)));
        }
        if let ParameterKind::Slot(slot) = parameter.kind {
            items.push(("live", Json::Bool(graph.slots()[slot.index()].is_some())));
        }
        Json::Object(items)
    };
    Json::List(
        program.signature().parameters.iter().zip(ranges(program, graph)).map(parameter).collect(),
    )
}

fn statements(program: &Program, graph: &Graph) -> Json {
    let signature = program.signature();
    let is_tree = |kind: ParameterKind| {
        matches!(kind, ParameterKind::Weights | ParameterKind::Gradients | ParameterKind::Slot(_))
    };
    let mut types: Vec<Type> = vec![Type::Scalar; program.variable_count()];
    for (ty, parameter) in types.iter_mut().zip(&signature.parameters) {
        *ty = if is_tree(parameter.kind) { Type::Tree } else { Type::Scalar };
    }
    let mut list = Vec::with_capacity(program.statements.len());
    for (statement, redundancy) in program.statements.iter().zip(graph.redundancy()) {
        let type_of = |operand: &Operand| match operand {
            Operand::Variable(id) => types[id.index()],
            Operand::Constant(_) => Type::Scalar,
        };
        let arguments: Vec<Type> = statement.arguments().iter().map(type_of).collect();
        // The graph has been made, so every statement types.
        let ty = statement.function.result_type(&arguments).unwrap_or(Type::Tree);
        types[statement.target.index()] = ty;
        let name = |id: VarId| Json::text(program.variable_name(id).to_string());
        let argument = |operand: &Operand| match operand {
            Operand::Variable(id) => Json::Object(vec![("variable", name(*id))]),
            Operand::Constant(number) => Json::Object(vec![("constant", Json::Number(*number))]),
        };
        list.push(Json::Object(vec![
            ("target", name(statement.target)),
            ("function", Json::text(statement.function.under(signature.numerics).name())),
            ("arguments", Json::List(statement.arguments().iter().map(argument).collect())),
            ("type", Json::text(type_name(ty))),
            ("status", Json::text(status(*redundancy))),
        ]));
    }
    Json::List(list)
}

fn type_name(ty: Type) -> &'static str {
    match ty {
        Type::Scalar => "scalar",
        Type::PerArray => "per_array",
        Type::Tree => "tree",
        Type::Transposed => "transposed",
        Type::RowsByRows => "rows_by_rows",
        Type::ColumnsByColumns => "columns_by_columns",
    }
}

fn plan(program: &Program, plan: &Plan) -> Json {
    let passes = plan.passes.iter().map(|pass| {
        Json::Object(vec![
            ("smalls", Json::counts(&pass.smalls)),
            ("instructions", Json::List(pass.instructions.iter().map(instruction).collect())),
            ("reductions", Json::List(pass.reductions.iter().map(reduction).collect())),
        ])
    });
    Json::Object(vec![
        ("smalls", Json::List(plan.smalls.iter().map(|value| small(program, value)).collect())),
        ("passes", Json::List(passes.collect())),
        ("update", source(plan.update)),
        ("slots", Json::List(plan.slots.iter().map(|slot| source(*slot)).collect())),
    ])
}

fn source(source: Source) -> Json {
    match source {
        Source::Weights => Json::text("weights"),
        Source::Gradients => Json::text("gradients"),
        Source::Slot(slot) => Json::Object(vec![("slot", Json::Count(slot))]),
        Source::Value(value) => Json::Object(vec![("value", Json::Count(value))]),
        Source::Small(small) => Json::Object(vec![("small", Json::Count(small))]),
        Source::Kept(kept) => Json::Object(vec![("kept", Json::Count(kept))]),
        Source::Matrix(matrix) => Json::Object(vec![("matrix", Json::Count(matrix))]),
    }
}

fn instruction(Instruction { operation, x, y, z }: &Instruction) -> Json {
    let (name, count, factors) = match operation {
        Operation::Function(function) => (function.name(), function.arity(), None),
        Operation::Blend { rest, weight } => ("blend", 2, Some([*rest, *weight])),
        Operation::Copy => ("copy", 1, None),
    };
    let operands = [*x, *y, *z].into_iter().take(count).map(source).collect();
    let mut items = vec![("operation", Json::text(name)), ("operands", Json::List(operands))];
    if let Some(factors) = factors {
        items.push(("factors", Json::counts(&factors)));
    }
    Json::Object(items)
}

fn reduction(reduction: &Reduction) -> Json {
    Json::Object(vec![
        ("x", source(reduction.x)),
        ("y", reduction.y.map_or(Json::Null, source)),
        ("target", Json::Count(reduction.target)),
    ])
}

fn small(program: &Program, small: &Small) -> Json {
    let operands = |operands: &[usize]| Json::counts(operands);
    let (name, operands, more) = match small.operation {
        None => (Json::Null, operands(&[]), None),
        Some(SmallOperation::Constant(number)) => {
            (Json::text("constant"), operands(&[]), Some(("number", Json::Number(number))))
        }
        Some(SmallOperation::LearningRate) => (Json::text("learning_rate"), operands(&[]), None),
        Some(SmallOperation::Step) => (Json::text("step"), operands(&[]), None),
        Some(SmallOperation::Hyperparameter(place)) => {
            let name = program
                .signature()
                .hyperparameters()
                .nth(place)
                .map(|(_, parameter)| Json::text(&parameter.name));
            (Json::text("hyperparameter"), operands(&[]), name.map(|name| ("name", name)))
        }
        Some(SmallOperation::Function(function, list)) => {
            (Json::text(function.name()), operands(&list[..function.arity()]), None)
        }
        Some(SmallOperation::SquareRoot(x)) => (Json::text("sqrt"), operands(&[x]), None),
        Some(SmallOperation::Total(x)) => (Json::text("total"), operands(&[x]), None),
        Some(SmallOperation::Size(_)) => (Json::text("size"), operands(&[]), None),
        Some(SmallOperation::Rows(_)) => (Json::text("rows"), operands(&[]), None),
        Some(SmallOperation::Columns(_)) => (Json::text("columns"), operands(&[]), None),
        Some(SmallOperation::Cosine(totals)) => (Json::text("cosine"), operands(&totals), None),
        Some(SmallOperation::ClipFactor(total, limit)) => {
            (Json::text("clip_factor"), operands(&[total, limit]), None)
        }
    };
    let items = [("operation", name), ("operands", operands)].into_iter().chain(more);
    Json::Object(items.chain([("per_array", Json::Bool(small.per_array))]).collect())
}

fn status(redundancy: Redundancy) -> &'static str {
    match redundancy {
        Redundancy::Live => "live",
        Redundancy::AcrossSteps => "redundant across steps",
        Redundancy::WithinStep => "redundant within the step",
    }
}
