//! A plan: how a graph is computed in as few passes over the parameter arrays as its reductions
//! allow ([`schedule`]). Every fast engine starts from it: the tile machine interprets it, and the
//! loops of the compiled zoo are written from it. The exports are written from a listing, which
//! keeps the names of the program's text, and is cut where the same schedule says.
//!
//! Everything that is not a `Tree` is a *small value*: a number, or one number for each array, in
//! f64. Small values are computed between passes. A pass goes over all arrays element by element:
//! it runs its instructions, adds up its reductions, and the last pass also writes the weights and
//! the slots. A tree that two passes need is computed in both: reading it back would cost more than
//! computing it again.

use crate::graph::schedule::{self, reduces_tree};
use crate::graph::{NodeId, NodeKind};
use crate::program::VarId;
use crate::{Function, Graph, Program, Type};

/// Where an instruction reads from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The weights.
    Weights,
    /// The gradients.
    Gradients,
    /// The value that a live slot had when the step began; slots are counted among the live ones.
    Slot(usize),
    /// The value of an instruction of the same pass.
    Value(usize),
    /// A small value, rounded to f32.
    Small(usize),
}

/// What an instruction computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// An element-wise function of one, two or three operands.
    Function(Function),
    /// `rest * x + weight * y`, where both factors are small values: `interp` with `rest` = 1 -
    /// `weight`.
    Blend {
        /// The factor of x.
        rest: usize,
        /// The factor of y.
        weight: usize,
    },
    /// The first operand itself, spread over all elements.
    Copy,
}

/// One operation on arrays, element by element. Instruction i of a pass defines
/// [`Source::Value`]`(i)`, once and for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// What is computed.
    pub operation: Operation,
    /// First operand.
    pub x: Source,
    /// Second operand; the same as the first for unary operations.
    pub y: Source,
    /// Third operand; the same as the first for operations of fewer.
    pub z: Source,
}

/// The sum of a tree, or of the products of two, over each array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reduction {
    /// What is summed, or the first factor: never a small value.
    pub x: Source,
    /// Second factor, likewise; `None` where x itself is summed.
    pub y: Option<Source>,
    /// The small value (one for each array) that takes the sums.
    pub target: usize,
}

/// How a small value is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SmallOperation {
    /// A constant.
    Constant(f64),
    /// `lr`.
    LearningRate,
    /// `t`.
    Step,
    /// A hyperparameter, counted among the hyperparameters.
    Hyperparameter(usize),
    /// A function of small values, on scalars or array by array.
    Function(Function, [usize; 3]),
    /// Square root, array by array: a norm from a sum of squares.
    SquareRoot(usize),
    /// The sum over all arrays.
    Total(usize),
    /// How many numbers each array has.
    Size,
    /// The cosine from the totals of x·y, x·x and y·y.
    Cosine([usize; 3]),
    /// The factor of `clip` from the total of squares and the limit.
    ClipFactor(usize, usize),
}

/// A small value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Small {
    /// How it is computed; `None` for the target of a reduction, which a pass fills.
    pub operation: Option<SmallOperation>,
    /// Whether it holds one number for each array.
    pub per_array: bool,
}

/// One pass over the parameter arrays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pass {
    /// Small values to compute before the pass, in order.
    pub smalls: Vec<usize>,
    /// The instructions, in order.
    pub instructions: Vec<Instruction>,
    /// Sums to take. Only the passes before the last one take sums.
    pub reductions: Vec<Reduction>,
}

/// How a graph is computed. See the module's documentation.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The small values.
    pub smalls: Vec<Small>,
    /// The passes; the last one writes.
    pub passes: Vec<Pass>,
    /// Where the last pass finds the update.
    pub update: Source,
    /// Where the last pass finds the next value of each live slot.
    pub slots: Vec<Source>,
}

/// Why a graph has no plan: it does more than work on numbers one by one and add them up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` works on the matrix of an array as a whole, which passes over the numbers of an array cannot do", function.name())]
pub struct NoPlan {
    /// The first function of matrices.
    pub function: Function,
}

impl Plan {
    /// The plan of a graph, if it has one ([`Graph::matrix_function`] says what stands in the way).
    /// The program is the one that the graph was made from: it lists the hyperparameters.
    pub fn try_new(graph: &Graph, program: &Program) -> Result<Plan, NoPlan> {
        match graph.matrix_function() {
            Some(function) => Err(NoPlan { function }),
            None => Ok(Plan::new(graph, program)),
        }
    }

    /// The plan of a graph that is known to have no function of matrices. The program is the one
    /// that the graph was made from: it lists the hyperparameters.
    ///
    /// # Panics
    ///
    /// For a graph with a function of matrices. [`Plan::try_new`] does not.
    pub fn new(graph: &Graph, program: &Program) -> Plan {
        if let Some(function) = graph.matrix_function() {
            panic!("no plan for {}: {}", program.signature().name, NoPlan { function });
        }
        let mut hyperparameters: Vec<VarId> =
            program.signature().hyperparameters().map(|(id, _)| id).collect();
        hyperparameters.sort_unstable();
        let nodes = graph.nodes().len();
        let mut planner = Planner {
            graph,
            hyperparameters,
            live_slot: graph
                .slots()
                .iter()
                .scan(0, |next, slot| {
                    Some(std::mem::replace(next, *next + usize::from(slot.is_some())))
                })
                .collect(),
            levels: schedule::passes(
                graph,
                |_, node| matches!(node.kind, NodeKind::Call(f) if reduces_tree(f, node, graph.nodes())),
            ),
            smalls: Vec::with_capacity(nodes),
            small_levels: Vec::with_capacity(nodes),
            small_of_node: vec![None; nodes],
            sums: Vec::new(),
            reductions: Vec::new(),
            ones: Vec::new(),
        };
        planner.plan()
    }

    /// Whether results depend on where one array ends and the next begins. Where they don't, all
    /// arrays can be run as one.
    pub fn depends_on_arrays(&self) -> bool {
        self.smalls.iter().any(|small| small.per_array)
    }

    /// Whether the last pass writes: it does, and no other one.
    pub fn writes(&self, pass: usize) -> bool {
        pass + 1 == self.passes.len()
    }

    /// All that a pass reads: operands of its instructions, factors of its sums and, in the last
    /// pass, the results.
    pub fn reads(&self, pass: usize) -> impl Iterator<Item = Source> + '_ {
        let Pass { instructions, reductions, .. } = &self.passes[pass];
        let results: &[Source] = if self.writes(pass) { &self.slots } else { &[] };
        let update = self.writes(pass).then_some(self.update);
        let operands = instructions
            .iter()
            .flat_map(|instruction| [instruction.x, instruction.y, instruction.z]);
        operands
            .chain(reductions.iter().flat_map(|r| [r.x, r.y.unwrap_or(r.x)]))
            .chain(results.iter().copied())
            .chain(update)
    }
}

/// What is summed over each array: a node, or the products of two; and the small value that takes
/// the sums.
type Sum = (NodeId, Option<NodeId>, usize);

struct Planner<'a> {
    graph: &'a Graph,
    hyperparameters: Vec<VarId>,
    /// Of each slot of the signature its place among the live ones.
    live_slot: Vec<usize>,
    levels: Vec<usize>,
    smalls: Vec<Small>,
    /// Of each small value the pass before which it is computed.
    small_levels: Vec<usize>,
    /// By node. For a `clip` of a tree: the factor that it multiplies by.
    small_of_node: Vec<Option<usize>>,
    /// Nodes that are summed, or pairs whose products are, and the small value that holds the sums.
    sums: Vec<Sum>,
    /// For each pass the sums that it takes.
    reductions: Vec<Vec<Sum>>,
    /// The constant 1, where a pass has asked for it: pass and small value.
    ones: Vec<(usize, usize)>,
}

impl Planner<'_> {
    fn plan(&mut self) -> Plan {
        // All small values first, in the order of the nodes: it is an order in which they can be
        // computed.
        for index in 0..self.graph.nodes().len() {
            let id = NodeId(index as u32);
            let node = self.graph.node(id);
            if node.ty != Type::Tree {
                self.small(id);
            } else if let NodeKind::Call(Function::Clip) = node.kind {
                self.clip_factor(id);
            }
        }
        let graph = self.graph;
        let last = self.reductions.len();
        let mut passes = Vec::with_capacity(last + 1);
        let (mut update, mut slots) = (Source::Weights, Vec::new());
        for pass in 0..=last {
            let sums = self.reductions.get(pass).cloned().unwrap_or_default();
            let mut instructions = Instructions::new(self, pass);
            for (x, y, _) in &sums {
                instructions.need(*x);
                y.iter().for_each(|y| instructions.need(*y));
            }
            if pass == last {
                instructions.need(graph.update());
                graph.live_slots().for_each(|(_, node)| instructions.need(node));
            }
            instructions.compute();
            let reductions = sums
                .iter()
                .map(|(x, y, target)| Reduction {
                    x: instructions.tree(*x),
                    y: y.map(|y| instructions.tree(y)),
                    target: *target,
                })
                .collect();
            if pass == last {
                update = instructions.tree(graph.update());
                slots = graph.live_slots().map(|(_, node)| instructions.tree(node)).collect();
            }
            passes.push(Pass { smalls: Vec::new(), instructions: instructions.list, reductions });
        }
        for (small, level) in self.small_levels.iter().enumerate() {
            if self.smalls[small].operation.is_some() {
                passes[*level].smalls.push(small);
            }
        }
        Plan { smalls: std::mem::take(&mut self.smalls), passes, update, slots }
    }

    fn push_small(
        &mut self,
        operation: Option<SmallOperation>,
        per_array: bool,
        level: usize,
    ) -> usize {
        self.smalls.push(Small { operation, per_array });
        self.small_levels.push(level);
        self.smalls.len() - 1
    }

    /// The small value of a node that is no tree.
    fn small(&mut self, id: NodeId) -> usize {
        if let Some(small) = self.small_of_node[id.index()] {
            return small;
        }
        let node = *self.graph.node(id);
        let level = self.levels[id.index()];
        let per_array = node.ty == Type::PerArray;
        let operation = match node.kind {
            NodeKind::LearningRate => SmallOperation::LearningRate,
            NodeKind::Step => SmallOperation::Step,
            NodeKind::Constant(bits) => SmallOperation::Constant(f64::from_bits(bits)),
            NodeKind::Hyperparameter(variable) => SmallOperation::Hyperparameter(
                self.hyperparameters.iter().position(|v| *v == variable).unwrap_or(0),
            ),
            NodeKind::Call(function) => {
                let all_scalar =
                    node.arguments().iter().all(|a| self.graph.node(*a).ty == Type::Scalar);
                match (function, node.arguments()) {
                    (Function::Norm, [x]) if self.graph.node(*x).ty == Type::Tree => {
                        SmallOperation::SquareRoot(self.sum(*x, *x))
                    }
                    (Function::Mean, [x]) if self.graph.node(*x).ty == Type::Tree => {
                        let sum = self.sum_of_tree(*x, None);
                        let size = self.push_small(Some(SmallOperation::Size), true, level);
                        SmallOperation::Function(Function::Divide, [sum, size, 0])
                    }
                    (Function::Size, [x]) if self.graph.node(*x).ty == Type::Tree => {
                        SmallOperation::Size
                    }
                    (Function::GlobalNorm, [x]) if !all_scalar => {
                        let squares = self.sum(*x, *x);
                        let total =
                            self.push_small(Some(SmallOperation::Total(squares)), false, level);
                        SmallOperation::SquareRoot(total)
                    }
                    (Function::Dot, [x, y]) if !all_scalar => {
                        SmallOperation::Total(self.sum(*x, *y))
                    }
                    (Function::CosineSim, [x, y]) if !all_scalar => {
                        // Both factors are broadcast to the larger type before their own squares
                        // are taken.
                        let totals = [(*x, *y), (*x, *x), (*y, *y)].map(|(a, b)| {
                            let sums = self.sum_as(
                                a,
                                b,
                                self.graph.node(*x).ty.join(self.graph.node(*y).ty),
                            );
                            self.push_small(Some(SmallOperation::Total(sums)), false, level)
                        });
                        SmallOperation::Cosine(totals)
                    }
                    (Function::Clip, [x, limit]) if !all_scalar => {
                        let squares = self.sum(*x, *x);
                        let total =
                            self.push_small(Some(SmallOperation::Total(squares)), false, level);
                        let limit = self.small(*limit);
                        let factor = self.push_small(
                            Some(SmallOperation::ClipFactor(total, limit)),
                            false,
                            level,
                        );
                        SmallOperation::Function(Function::Multiply, [self.small(*x), factor, 0])
                    }
                    (_, arguments) => {
                        let mut operands = [0; 3];
                        for (operand, argument) in operands.iter_mut().zip(arguments) {
                            *operand = self.small(*argument);
                        }
                        SmallOperation::Function(function, operands)
                    }
                }
            }
            // Trees only: they are never asked for here.
            NodeKind::Weights | NodeKind::Gradients | NodeKind::Slot(_) => {
                SmallOperation::Constant(f64::NAN)
            }
        };
        let small = self.push_small(Some(operation), per_array, level);
        self.small_of_node[id.index()] = Some(small);
        small
    }

    /// The factor of a `clip` call on a tree.
    fn clip_factor(&mut self, id: NodeId) -> usize {
        if let Some(small) = self.small_of_node[id.index()] {
            return small;
        }
        let arguments = self.graph.node(id).arguments();
        let (x, limit, level) = (arguments[0], arguments[1], self.levels[id.index()]);
        let squares = self.sum(x, x);
        let total = self.push_small(Some(SmallOperation::Total(squares)), false, level);
        let limit = self.small(limit);
        let factor = self.push_small(Some(SmallOperation::ClipFactor(total, limit)), false, level);
        self.small_of_node[id.index()] = Some(factor);
        factor
    }

    /// The small value that holds, for each array, the sum of the products of two nodes.
    fn sum(&mut self, x: NodeId, y: NodeId) -> usize {
        self.sum_as(x, y, self.graph.node(x).ty.join(self.graph.node(y).ty))
    }

    fn sum_as(&mut self, x: NodeId, y: NodeId, ty: Type) -> usize {
        let level = self.levels[x.index()].max(self.levels[y.index()]);
        if ty != Type::Tree {
            let (x, y) = (self.small(x), self.small(y));
            return self.push_small(
                Some(SmallOperation::Function(Function::Multiply, [x, y, 0])),
                true,
                level,
            );
        }
        self.sum_of_tree(x, Some(y))
    }

    /// The small value that holds the sums of a node, or of its products with another one, over
    /// trees.
    fn sum_of_tree(&mut self, x: NodeId, y: Option<NodeId>) -> usize {
        let level = self.levels[x.index()].max(y.map_or(0, |y| self.levels[y.index()]));
        if let Some((.., small)) = self.sums.iter().find(|(a, b, _)| (*a, *b) == (x, y)) {
            return *small;
        }
        for factor in std::iter::once(x).chain(y) {
            if self.graph.node(factor).ty != Type::Tree {
                self.small(factor);
            }
        }
        let target = self.push_small(None, true, level);
        if self.reductions.len() <= level {
            self.reductions.resize(level + 1, Vec::new());
        }
        self.reductions[level].push((x, y, target));
        self.sums.push((x, y, target));
        target
    }
}

/// The instructions of one pass, as they are made.
struct Instructions<'a, 'b> {
    planner: &'a mut Planner<'b>,
    pass: usize,
    list: Vec<Instruction>,
    /// Whether the pass needs a node, by node.
    needed: Vec<bool>,
    /// Where the value of a tree is, by node, once computed.
    places: Vec<Option<Source>>,
}

impl<'a, 'b> Instructions<'a, 'b> {
    fn new(planner: &'a mut Planner<'b>, pass: usize) -> Instructions<'a, 'b> {
        let nodes = planner.graph.nodes().len();
        Instructions {
            planner,
            pass,
            list: Vec::with_capacity(nodes),
            needed: vec![false; nodes],
            places: vec![None; nodes],
        }
    }

    /// Says that the pass needs the value of a node.
    fn need(&mut self, id: NodeId) {
        self.needed[id.index()] = true;
    }

    /// Computes the trees that are needed. Arguments have smaller ids than what uses them.
    fn compute(&mut self) {
        let graph = self.planner.graph;
        for (index, node) in graph.nodes().iter().enumerate().rev() {
            if self.needed[index] && node.ty == Type::Tree {
                node.arguments().iter().for_each(|argument| self.needed[argument.index()] = true);
            }
        }
        for (index, node) in graph.nodes().iter().enumerate() {
            if !self.needed[index] || node.ty != Type::Tree {
                continue;
            }
            self.places[index] = match node.kind {
                NodeKind::Weights => Some(Source::Weights),
                NodeKind::Gradients => Some(Source::Gradients),
                NodeKind::Slot(slot) => Some(Source::Slot(self.planner.live_slot[slot.index()])),
                NodeKind::Call(function) => {
                    Some(self.call(NodeId(index as u32), function, node.arguments()))
                }
                // Not trees.
                _ => None,
            };
        }
    }

    fn emit(&mut self, operation: Operation, x: Source, y: Source) -> Source {
        self.emit_ternary(operation, x, y, x)
    }

    fn emit_ternary(&mut self, operation: Operation, x: Source, y: Source, z: Source) -> Source {
        self.list.push(Instruction { operation, x, y, z });
        Source::Value(self.list.len() - 1)
    }

    fn call(&mut self, id: NodeId, function: Function, arguments: &[NodeId]) -> Source {
        match (function, arguments) {
            (Function::Clip, [x, _]) => {
                let factor = self.planner.clip_factor(id);
                let x = self.place(*x);
                self.emit(Operation::Function(Function::Multiply), x, Source::Small(factor))
            }
            (Function::Interp, [x, y, a]) => {
                let weight = self.planner.small(*a);
                let one = self.one();
                let rest = self.small_call(Function::Subtract, [one, weight, 0]);
                match (self.place(*x), self.place(*y)) {
                    // A product of small values is one, and is rounded once.
                    (Source::Small(x), y) => {
                        let x = self.small_call(Function::Multiply, [rest, x, 0]);
                        let y = self.emit(
                            Operation::Function(Function::Multiply),
                            y,
                            Source::Small(weight),
                        );
                        self.emit(Operation::Function(Function::Add), y, Source::Small(x))
                    }
                    (x, Source::Small(y)) => {
                        let y = self.small_call(Function::Multiply, [weight, y, 0]);
                        let x = self.emit(
                            Operation::Function(Function::Multiply),
                            x,
                            Source::Small(rest),
                        );
                        self.emit(Operation::Function(Function::Add), x, Source::Small(y))
                    }
                    (x, y) => self.emit(Operation::Blend { rest, weight }, x, y),
                }
            }
            (_, [x]) => {
                let x = self.place(*x);
                self.emit(Operation::Function(function), x, x)
            }
            (_, [x, y]) => {
                let (x, y) = (self.place(*x), self.place(*y));
                self.emit(Operation::Function(function), x, y)
            }
            (_, [x, y, z, ..]) => {
                let (x, y, z) = (self.place(*x), self.place(*y), self.place(*z));
                self.emit_ternary(Operation::Function(function), x, y, z)
            }
            // Constants are no trees.
            (_, []) => Source::Weights,
        }
    }

    /// The constant 1.
    fn one(&mut self) -> usize {
        if let Some((_, one)) = self.planner.ones.iter().find(|(pass, _)| *pass == self.pass) {
            return *one;
        }
        let one = self.planner.push_small(Some(SmallOperation::Constant(1.0)), false, self.pass);
        self.planner.ones.push((self.pass, one));
        one
    }

    /// A function of small values. Two blends by one weight share what they compute.
    fn small_call(&mut self, function: Function, operands: [usize; 3]) -> usize {
        let operation = Some(SmallOperation::Function(function, operands));
        let level = self.pass;
        let known = (0..self.planner.smalls.len()).find(|small| {
            self.planner.small_levels[*small] == level
                && self.planner.smalls[*small].operation == operation
        });
        known.unwrap_or_else(|| {
            let per_array =
                operands[..function.arity()].iter().any(|o| self.planner.smalls[*o].per_array);
            self.planner.push_small(operation, per_array, level)
        })
    }

    /// Where the value of an argument is.
    fn place(&mut self, id: NodeId) -> Source {
        match self.places[id.index()] {
            Some(place) => place,
            None => Source::Small(self.planner.small(id)),
        }
    }

    /// The value of a node as a tree: a small value is spread.
    fn tree(&mut self, id: NodeId) -> Source {
        match self.place(id) {
            small @ Source::Small(_) => {
                let place = self.emit(Operation::Copy, small, small);
                self.places[id.index()] = Some(place);
                place
            }
            place => place,
        }
    }
}
