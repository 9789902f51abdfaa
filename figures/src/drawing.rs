//! The data flow of a program as a picture: an SVG laid out here, and a description for Graphviz.
//!
//! Inputs and slots stand above, the calls below the values that they use, and the update and the
//! slots' next values at the bottom. Numbers and hyperparameters are not boxes of their own but
//! part of the calls that use them. Equal programs give equal pictures, byte for byte.
//!
//! | module | what it holds |
//! |---|---|
//! | `layout` | where boxes and edges go |
//! | `svg`, `dot` | the two formats |

mod dot;
mod layout;
mod svg;

use symopt_dsl::function::Function;
use symopt_dsl::graph::provenance::{node_ids, statements_of_nodes};
use symopt_dsl::graph::{Graph, NodeId, NodeKind};
use symopt_dsl::printer::number;
use symopt_dsl::program::{ParameterKind, Program, VarId};
use symopt_dsl::types::Type;

use layout::{Item, Place};

/// Longer names and texts are cut in the picture.
const LONGEST_TEXT: usize = 40;

/// Role of a box in the data flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Weights, gradients, learning rate or step count.
    Input,
    /// A slot's value when the step begins.
    Slot,
    /// A function call.
    Call,
    /// The update or a slot's next value.
    Output,
}

/// A box of the picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Name in the Graphviz description.
    pub id: String,
    /// Its role in the data flow.
    pub role: Role,
    /// The name of the input or the function.
    pub label: String,
    /// The numbers and hyperparameters among a call's arguments.
    pub detail: Option<String>,
    /// The statements that compute it, as the program's text has them.
    pub statements: Vec<String>,
    /// Left edge.
    pub x: f64,
    /// Upper edge.
    pub y: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
}

/// An arrow of the picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrow {
    /// Index of the box that it starts at.
    pub from: usize,
    /// Index of the box that it points to.
    pub to: usize,
    /// Which argument it is, where the order matters and the call has more than one arrow: `x`, `y`
    /// or `a`.
    pub argument: Option<&'static str>,
    /// The type of the value.
    pub ty: Type,
    /// Points at which the line is vertical, from its start to its end.
    pub points: Vec<(f64, f64)>,
}

/// The picture of a program's data flow.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawing {
    /// Name of the program.
    pub title: String,
    /// The boxes.
    pub shapes: Vec<Shape>,
    /// The arrows.
    pub arrows: Vec<Arrow>,
    /// Width of the space that boxes and arrows take.
    width: f64,
    /// Height of the space that boxes and arrows take.
    height: f64,
}

impl Drawing {
    /// The picture of a program. `graph` must be the program's own.
    pub fn new(program: &Program, graph: &Graph) -> Drawing {
        let mut drawing = Drawing {
            title: program.signature().name.clone(),
            shapes: Vec::new(),
            arrows: Vec::new(),
            width: 0.0,
            height: 0.0,
        };
        drawing.collect(program, graph);
        drawing.lay_out();
        drawing
    }

    /// The picture, for a page that has its own colours for the dark.
    pub fn svg(&self) -> String {
        svg::write(self)
    }

    /// The picture as a file of its own, which is dark where the reader has asked for that.
    pub fn svg_file(&self) -> String {
        svg::write_file(self)
    }

    /// A description for Graphviz.
    pub fn dot(&self) -> String {
        dot::write(self)
    }

    /// Boxes and arrows, without places.
    fn collect(&mut self, program: &Program, graph: &Graph) {
        let statements = statements_of_nodes(program, graph);
        let text = |index: &usize| program.statement_text(&program.statements[*index]).to_string();
        let mut place: Vec<Option<usize>> = vec![None; graph.nodes().len()];
        for id in node_ids(graph) {
            let node = graph.node(id);
            let parameter = |kind: ParameterKind| {
                let index = program.signature().parameters.iter().position(|p| p.kind == kind);
                index.map_or_else(String::new, |index| {
                    program.variable_name(VarId(index as u16)).to_string()
                })
            };
            let (role, label, detail) = match node.kind {
                NodeKind::Weights => (Role::Input, parameter(ParameterKind::Weights), None),
                NodeKind::Gradients => (Role::Input, parameter(ParameterKind::Gradients), None),
                NodeKind::LearningRate => {
                    (Role::Input, parameter(ParameterKind::LearningRate), None)
                }
                NodeKind::Step => (Role::Input, parameter(ParameterKind::Step), None),
                NodeKind::Slot(slot) => (Role::Slot, parameter(ParameterKind::Slot(slot)), None),
                NodeKind::Call(function) => {
                    let arguments: Vec<Option<String>> =
                        node.arguments().iter().map(|a| inline_text(program, graph, *a)).collect();
                    let (label, detail) = call_text(function, &arguments);
                    (Role::Call, label, detail)
                }
                NodeKind::Constant(_) | NodeKind::Hyperparameter(_) => continue,
            };
            let to = self.shapes.len();
            place[id.index()] = Some(to);
            let statements = statements[id.index()].iter().map(text).collect();
            self.shapes.push(shape(
                format!("n{}", id.index()),
                role,
                &label,
                detail.as_deref(),
                statements,
            ));
            let NodeKind::Call(function) = node.kind else { continue };
            let drawn = node
                .arguments()
                .iter()
                .enumerate()
                .filter_map(|(position, a)| place[a.index()].map(|from| (position, from, *a)));
            let drawn: Vec<(usize, usize, NodeId)> = drawn.collect();
            for (position, from, argument) in &drawn {
                let named = drawn.len() > 1 && !function.row().commutative;
                let argument_name =
                    argument_names(function).get(*position).copied().filter(|_| named);
                let ty = graph.node(*argument).ty;
                self.arrows.push(Arrow {
                    from: *from,
                    to,
                    argument: argument_name,
                    ty,
                    points: Vec::new(),
                });
            }
        }
        let mut output = |id: String, label: String, node: NodeId| {
            if let Some(from) = place[node.index()] {
                let to = self.shapes.len();
                self.shapes.push(shape(id, Role::Output, &label, None, Vec::new()));
                self.arrows.push(Arrow {
                    from,
                    to,
                    argument: None,
                    ty: graph.node(node).ty,
                    points: Vec::new(),
                });
            }
        };
        output("update".to_string(), "update".to_string(), graph.update());
        let names: Vec<String> = program
            .signature()
            .slots()
            .map(|slot| program.variable_name(slot).to_string())
            .collect();
        for (slot, next) in graph.live_slots() {
            let name = names.get(slot.index()).map_or("", String::as_str);
            output(format!("next{}", slot.index()), format!("next {name}"), next);
        }
    }

    fn lay_out(&mut self) {
        let last_named = |index: usize| {
            self.arrows.iter().any(|arrow| arrow.to == index && arrow.argument.is_some())
        };
        let sizes: Vec<(f64, f64)> = self
            .shapes
            .iter()
            .enumerate()
            .map(|(index, shape)| svg::size(shape, last_named(index)))
            .collect();
        let items: Vec<Item> = self
            .shapes
            .iter()
            .zip(&sizes)
            .map(|(shape, (width, height))| Item {
                width: *width,
                height: *height,
                place: match shape.role {
                    Role::Input | Role::Slot => Place::Top,
                    Role::Call => Place::Between,
                    Role::Output => Place::Bottom,
                },
            })
            .collect();
        let edges: Vec<(usize, usize)> =
            self.arrows.iter().map(|arrow| (arrow.from, arrow.to)).collect();
        let layout = layout::layout(&items, &edges);
        for ((shape, (width, height)), (x, y)) in
            self.shapes.iter_mut().zip(sizes).zip(&layout.centres)
        {
            (shape.x, shape.y, shape.width, shape.height) =
                (x - width / 2.0, y - height / 2.0, width, height);
        }
        for (arrow, course) in self.arrows.iter_mut().zip(layout.courses) {
            arrow.points = course.points;
        }
        (self.width, self.height) = (layout.width, layout.height);
    }
}

fn shape(
    id: String,
    role: Role,
    label: &str,
    detail: Option<&str>,
    statements: Vec<String>,
) -> Shape {
    let (label, detail) = (shortened(label), detail.map(shortened));
    Shape { id, role, label, detail, statements, x: 0.0, y: 0.0, width: 0.0, height: 0.0 }
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= LONGEST_TEXT {
        return text.to_string();
    }
    text.chars().take(LONGEST_TEXT - 1).chain(['…']).collect()
}

/// A number or a hyperparameter as a part of the call that uses it; nothing for other values.
fn inline_text(program: &Program, graph: &Graph, id: NodeId) -> Option<String> {
    match graph.node(id).kind {
        NodeKind::Constant(bits) => Some(number(f64::from_bits(bits)).to_string()),
        NodeKind::Hyperparameter(variable) => Some(program.variable_name(variable).to_string()),
        _ => None,
    }
}

/// Names of a function's arguments, as its documentation has them.
fn argument_names(function: Function) -> &'static [&'static str] {
    match function {
        Function::Clip => &["x", "s"],
        Function::Where => &["c", "x", "y"],
        _ => &["x", "y", "a"],
    }
}

/// The text of a call: its label, and the arguments that have no arrow.
fn call_text(function: Function, arguments: &[Option<String>]) -> (String, Option<String>) {
    use Function as F;
    let sign = match function {
        F::Add => "+",
        F::Subtract => "−",
        F::Multiply => "×",
        F::Divide | F::GuardedDivide => "÷",
        F::Power => "^",
        F::Less => "<",
        F::LessEqual => "≤",
        F::Greater => ">",
        F::GreaterEqual => "≥",
        F::Equal => "=",
        _ => "",
    };
    let guard = if function == F::GuardedDivide { Some("y + 1e-8") } else { None };
    if let (false, [x, y]) = (sign.is_empty(), arguments) {
        let guarded =
            |y: &str| if guard.is_some() { format!("({y} + 1e-8)") } else { y.to_string() };
        let label = match (x, y) {
            (None, None) if matches!(function, F::Add | F::Multiply) => sign.to_string(),
            (None, None) => format!("x {sign} {}", guarded("y")),
            (Some(x), None) if matches!(function, F::Add | F::Multiply) => format!("{sign} {x}"),
            (None, Some(y)) => format!("{sign} {}", guarded(y)),
            (Some(x), None) => format!("{x} {sign} {}", guarded("x")),
            (Some(x), Some(y)) => format!("{x} {sign} {}", guarded(y)),
        };
        return (label, None);
    }
    let label = match function {
        F::Negative => "−x",
        F::Square => "x²",
        F::Cube => "x³",
        F::Reciprocal => "1 ÷ x",
        F::GuardedSqrt => "sqrt |x|",
        F::GuardedLog => "log |x|",
        F::GuardedLog2 => "log2 |x|",
        F::GuardedLog10 => "log10 |x|",
        F::GuardedLog1p => "log |1 + x|",
        other => other.name(),
    };
    let names = argument_names(function);
    let unary = arguments.len() == 1;
    let details: Vec<String> = arguments
        .iter()
        .zip(names)
        .filter_map(|(text, name)| {
            text.as_ref().map(|text| if unary { text.clone() } else { format!("{name} = {text}") })
        })
        .collect();
    (label.to_string(), (!details.is_empty()).then(|| details.join(", ")))
}
