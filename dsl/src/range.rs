//! The values that a hyperparameter may have, by how a program uses it.
//!
//! | use | range |
//! |---|---|
//! | `lr`; a hyperparameter named `weight_decay` | at least 0 |
//! | `interp(x, slot, h)`, and `1 - h` or `1 - power(h, ...)`: a decay, which would never let anything in at 1 | [0, 1) |
//! | `interp(x, y, h)` otherwise | [0, 1] |
//! | `slot * h` in what becomes the same slot: a decay; one named `beta...` is below 1 | [0, 1] |
//! | `interp(x, y, power(t, h))` | at most 0 |
//! | `x / h` | above 0 |
//! | `x / h` in `maximum(1, x / h)`: a limit up to which nothing is cut | at least 1 |
//! | one of the choices that a `where` has besides 1: a factor by which something grows or shrinks | above 1, or in (0, 1) |
//! | `maximum(x, h)`, and `x + h` and `x * h` below a root or a fraction line, where x is never negative | at least 0 |
//! | any other | finite |
//!
//! These are the ranges that the authors' and the frameworks' own implementations of the zoo's
//! programs check. Where a program's default lies outside of a bound, the program means it, and the
//! bound does not hold. Every range is of finite numbers only.

use std::fmt;

use crate::graph::{Graph, NodeId, NodeKind};
use crate::program::{Parameter, ParameterKind, Program, VarId};
use crate::{Function, SlotId, Type};

/// An interval of finite numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The lower bound, if there is one, and whether it is in the range itself.
    pub low: Option<(f64, bool)>,
    /// The upper bound, if there is one, and whether it is in the range itself.
    pub high: Option<(f64, bool)>,
}

impl Range {
    /// All finite numbers.
    pub const FINITE: Range = Range { low: None, high: None };

    /// Zero and all above it.
    const NOT_NEGATIVE: Range = Range { low: Some((0.0, true)), high: None };

    /// Whether a number is in the range.
    pub fn contains(&self, number: f64) -> bool {
        number.is_finite()
            && self.low.is_none_or(|bound| above(number, bound))
            && self.high.is_none_or(|bound| below(number, bound))
    }

    /// Takes the narrower of two lower and of two upper bounds.
    fn narrow(&mut self, other: Range) {
        if let Some(bound) = other.low
            && self.low.is_none_or(|own| bound.0 > own.0 || (bound.0 == own.0 && own.1))
        {
            self.low = Some(bound);
        }
        if let Some(bound) = other.high
            && self.high.is_none_or(|own| bound.0 < own.0 || (bound.0 == own.0 && own.1))
        {
            self.high = Some(bound);
        }
    }
}

fn above(number: f64, (bound, is_in): (f64, bool)) -> bool {
    number > bound || (is_in && number == bound)
}

fn below(number: f64, (bound, is_in): (f64, bool)) -> bool {
    number < bound || (is_in && number == bound)
}

impl fmt::Display for Range {
    /// As people write it: `in [0, 1)`, `at least 0`, `finite`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.low, self.high) {
            (Some((low, low_is_in)), Some((high, high_is_in))) => {
                write!(
                    f,
                    "in {}{low}, {high}{}",
                    if low_is_in { '[' } else { '(' },
                    if high_is_in { ']' } else { ')' }
                )
            }
            (Some((low, is_in)), None) => {
                write!(f, "finite and {} {low}", if is_in { "at least" } else { "above" })
            }
            (None, Some((high, is_in))) => {
                write!(f, "finite and {} {high}", if is_in { "at most" } else { "below" })
            }
            (None, None) => f.write_str("finite"),
        }
    }
}

/// The range of each parameter of a program, in the order of the signature; those that are not
/// numbers, and `t`, have [`Range::FINITE`]. `graph` must be the program's own.
pub fn ranges(program: &Program, graph: &Graph) -> Vec<Range> {
    let uses = Uses::new(program, graph);
    let range = |(index, parameter): (usize, &Parameter)| {
        let mut range = match parameter.kind {
            ParameterKind::LearningRate => Range::NOT_NEGATIVE,
            ParameterKind::Hyperparameter => uses.range(VarId(index as u16), &parameter.name),
            _ => Range::FINITE,
        };
        if let Some(default) = parameter.default {
            range.low = range.low.filter(|bound| above(default, *bound));
            range.high = range.high.filter(|bound| below(default, *bound));
        }
        range
    };
    program.signature().parameters.iter().enumerate().map(range).collect()
}

/// Known facts about the values of a graph.
struct Uses<'a> {
    graph: &'a Graph,
    /// The default of each parameter.
    defaults: Vec<Option<f64>>,
    /// Whether each value is never negative.
    not_negative: Vec<bool>,
    /// Whether each value has to be positive, or 0 at least: it is below a root, or a divisor, or a
    /// part of one.
    demanded: Vec<bool>,
    /// For each slot, the values that its next one is made of.
    inside: Vec<Vec<bool>>,
}

impl<'a> Uses<'a> {
    fn new(program: &Program, graph: &'a Graph) -> Uses<'a> {
        let count = graph.nodes().len();
        let inside = graph
            .slots()
            .iter()
            .map(|next| next.map_or_else(|| vec![false; count], |next| parts(graph, next)))
            .collect();
        let defaults =
            program.signature().parameters.iter().map(|parameter| parameter.default).collect();
        let mut uses = Uses {
            graph,
            defaults,
            not_negative: vec![true; count],
            demanded: vec![false; count],
            inside,
        };
        uses.find_signs();
        uses.find_demands();
        uses
    }

    fn next_of(&self, slot: SlotId) -> Option<NodeId> {
        self.graph.slots().get(slot.index()).copied().flatten()
    }

    /// Begins with all that could be and drops what is not, until nothing changes: slots begin at
    /// zero.
    fn find_signs(&mut self) {
        use Function as F;
        let mut changed = true;
        while changed {
            changed = false;
            for (index, node) in self.graph.nodes().iter().enumerate() {
                let all = |places: &[usize]| {
                    places.iter().all(|place| self.not_negative[node.arguments()[*place].index()])
                };
                let holds = match node.kind {
                    NodeKind::Weights | NodeKind::Gradients => false,
                    NodeKind::LearningRate | NodeKind::Step => true,
                    NodeKind::Slot(slot) => {
                        self.next_of(slot).is_none_or(|next| self.not_negative[next.index()])
                    }
                    NodeKind::Hyperparameter(id) => {
                        self.defaults[id.index()].is_some_and(|default| default >= 0.0)
                    }
                    NodeKind::Constant(bits) => f64::from_bits(bits) >= 0.0,
                    NodeKind::Call(function) => match function {
                        F::Abs
                        | F::Square
                        | F::Sqrt
                        | F::GuardedSqrt
                        | F::Exp
                        | F::Exp2
                        | F::Exp10
                        | F::Cosh => true,
                        F::Norm | F::GlobalNorm | F::Size | F::Rows | F::Columns => true,
                        F::Less | F::LessEqual | F::Greater | F::GreaterEqual | F::Equal => true,
                        F::Add
                        | F::Multiply
                        | F::Divide
                        | F::GuardedDivide
                        | F::Minimum
                        | F::Interp => all(&[0, 1]),
                        F::Cube
                        | F::Cbrt
                        | F::Reciprocal
                        | F::Mean
                        | F::RowMean
                        | F::ColumnMean
                        | F::Transpose
                        | F::Clip
                        | F::Power => all(&[0]),
                        F::Maximum => all(&[0]) || all(&[1]),
                        F::Where => all(&[1, 2]),
                        _ => false,
                    },
                };
                if self.not_negative[index] && !holds {
                    self.not_negative[index] = false;
                    changed = true;
                }
            }
        }
    }

    fn find_demands(&mut self) {
        use Function as F;
        let mut open = Vec::new();
        for node in self.graph.nodes() {
            match (node.kind, node.arguments()) {
                (
                    NodeKind::Call(
                        F::Sqrt | F::GuardedSqrt | F::Reciprocal | F::Log | F::GuardedLog,
                    ),
                    [x, ..],
                ) => open.push(*x),
                (NodeKind::Call(F::Divide | F::GuardedDivide), [_, y]) => open.push(*y),
                _ => {}
            }
        }
        while let Some(id) = open.pop() {
            if std::mem::replace(&mut self.demanded[id.index()], true) {
                continue;
            }
            let node = self.graph.node(id);
            match node.kind {
                NodeKind::Slot(slot) => open.extend(self.next_of(slot)),
                NodeKind::Call(
                    F::Add
                    | F::Multiply
                    | F::Divide
                    | F::GuardedDivide
                    | F::Interp
                    | F::Maximum
                    | F::Minimum,
                ) => {
                    open.extend(&node.arguments()[..2]);
                }
                NodeKind::Call(
                    F::Sqrt | F::RowMean | F::ColumnMean | F::Mean | F::Transpose | F::Power,
                ) => open.extend(&node.arguments()[..1]),
                NodeKind::Call(F::Where) => open.extend(&node.arguments()[1..]),
                _ => {}
            }
        }
    }

    /// Whether a value is a slot's of the last step, or may be.
    fn is_slot(&self, id: NodeId) -> bool {
        let node = self.graph.node(id);
        match node.kind {
            NodeKind::Slot(_) => true,
            NodeKind::Call(Function::Where) => {
                node.arguments()[1..].iter().any(|side| self.is_slot(*side))
            }
            _ => false,
        }
    }

    /// Whether a value is no plain number and never negative.
    fn is_size(&self, id: NodeId) -> bool {
        self.graph.node(id).ty != Type::Scalar && self.not_negative[id.index()]
    }

    /// Whether a value is 1, or a choice that has 1 among the values to choose from.
    fn is_choice(&self, id: NodeId, is_one: &impl Fn(NodeId) -> bool) -> bool {
        let node = self.graph.node(id);
        is_one(id)
            || (node.kind == NodeKind::Call(Function::Where)
                && node.arguments()[1..].iter().any(|side| self.is_choice(*side, is_one)))
    }

    fn range(&self, hyperparameter: VarId, name: &str) -> Range {
        use Function as F;
        const ZERO: Option<(f64, bool)> = Some((0.0, true));
        const DECAY: Range = Range { low: ZERO, high: Some((1.0, false)) };
        const SHARE: Range = Range { low: ZERO, high: Some((1.0, true)) };
        let is = |id: NodeId| self.graph.node(id).kind == NodeKind::Hyperparameter(hyperparameter);
        let power = |id: NodeId, place: usize| {
            let node = self.graph.node(id);
            node.kind == NodeKind::Call(F::Power) && is(node.arguments()[place])
        };
        let is_one = |id: NodeId| self.graph.node(id).constant() == Some(1.0);
        let is_step = |id: NodeId| self.graph.node(id).kind == NodeKind::Step;
        let default = self.defaults.get(hyperparameter.index()).copied().flatten().unwrap_or(1.0);
        let mut range = if name == "weight_decay" { Range::NOT_NEGATIVE } else { Range::FINITE };
        for (index, node) in self.graph.nodes().iter().enumerate() {
            let NodeKind::Call(function) = node.kind else { continue };
            match (function, node.arguments()) {
                (F::Interp, [_, y, h]) if is(*h) => {
                    range.narrow(if self.is_slot(*y) { DECAY } else { SHARE })
                }
                (F::Interp, [.., h])
                    if power(*h, 1) && is_step(self.graph.node(*h).arguments()[0]) =>
                {
                    range.narrow(Range { low: None, high: ZERO });
                }
                (F::Subtract, [one, h]) if is_one(*one) && (is(*h) || power(*h, 0)) => {
                    range.narrow(DECAY)
                }
                (F::Where, [_, x, y])
                    if (is(*x) && self.is_choice(*y, &is_one))
                        || (is(*y) && self.is_choice(*x, &is_one)) =>
                {
                    let above = Range { low: Some((1.0, false)), high: None };
                    range.narrow(if default > 1.0 {
                        above
                    } else {
                        Range { low: Some((0.0, false)), high: Some((1.0, false)) }
                    });
                }
                (F::Multiply, [x, y]) if is(*x) || is(*y) => {
                    let other = if is(*x) { *y } else { *x };
                    if self.demanded[index] && self.is_size(other) {
                        range.narrow(Range::NOT_NEGATIVE);
                    }
                    let other = self.graph.node(other);
                    let is_kept = |slot: SlotId| {
                        self.inside.get(slot.index()).is_some_and(|inside| inside[index])
                    };
                    if matches!(other.kind, NodeKind::Slot(slot) if is_kept(slot)) {
                        range.narrow(if name.starts_with("beta") { DECAY } else { SHARE });
                    }
                }
                (F::Divide | F::GuardedDivide, [_, h]) | (F::Reciprocal, [h]) if is(*h) => {
                    range.narrow(Range { low: Some((0.0, false)), high: None });
                }
                (F::Maximum | F::Add, [x, y]) if is(*x) || is(*y) => {
                    let other = if is(*x) { *y } else { *x };
                    if self.is_size(other) && (function == F::Maximum || self.demanded[index]) {
                        range.narrow(Range::NOT_NEGATIVE);
                    }
                }
                (F::Maximum, [x, y]) if is_one(*x) || is_one(*y) => {
                    let other = self.graph.node(if is_one(*x) { *y } else { *x });
                    if other.kind == NodeKind::Call(F::Divide) && is(other.arguments()[1]) {
                        range.narrow(Range { low: Some((1.0, true)), high: None });
                    }
                }
                _ => {}
            }
        }
        range
    }
}

/// The values that a value is made of, itself included.
fn parts(graph: &Graph, id: NodeId) -> Vec<bool> {
    let mut found = vec![false; graph.nodes().len()];
    let mut open = vec![id];
    while let Some(id) = open.pop() {
        if !std::mem::replace(&mut found[id.index()], true) {
            open.extend(graph.node(id).arguments());
        }
    }
    found
}
