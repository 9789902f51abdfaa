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
//!
//! Functions of matrices work on arrays as a whole. They are computed between passes, by
//! [`MatrixStep`]s: a pass keeps what they need, and what they give is kept for the passes after
//! it. Values of other shapes than the parameters' exist between passes only, so whatever is done
//! with them, element by element or by sums, is a step as well.

use crate::function::Profile;
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
    /// A tree that an earlier pass, or a step after it, has kept.
    Kept(usize),
    /// An array of another shape than the parameters', which steps alone read and write.
    Matrix(usize),
}

/// Computation of an instruction.
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
    /// Operation that is computed.
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
    /// Summand, or the first factor: never a small value.
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
    /// How many numbers a value of this type has for each array.
    Size(Type),
    /// How many rows.
    Rows(Type),
    /// How many columns.
    Columns(Type),
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
    /// Values that the pass keeps for later, each with the number of its place among the kept
    /// trees. Only the passes before the last one keep anything.
    pub kept: Vec<(Source, usize)>,
    /// Operations on whole arrays after the pass, in order.
    pub matrix_steps: Vec<MatrixStep>,
}

/// Operation of a [`MatrixStep`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatrixOperation {
    /// A function of matrices.
    Function(Function),
    /// An operation of [`Instruction`]s, on values of another shape than the parameters'.
    ElementWise(Operation),
    /// The sum over the first operand.
    Sum,
    /// The sum over the products of the first two.
    SumOfProducts,
}

/// One operation on whole arrays, array by array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatrixStep {
    /// The operation.
    pub operation: MatrixOperation,
    /// First operand: a kept tree, a matrix, or for element-wise operations a small value.
    pub x: Source,
    /// Second operand; the same as the first for unary operations.
    pub y: Source,
    /// Third operand; the same as the first for operations of fewer.
    pub z: Source,
    /// Where the result goes: a kept tree or a matrix that nothing else is written to; of a sum a
    /// small value, with one number for each array.
    pub target: Source,
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
    /// How many trees are kept from one pass to another.
    pub kept: usize,
    /// The types of the arrays of other shapes.
    pub matrices: Vec<Type>,
}

/// Why passes alone can't compute a graph: it does more than work on numbers one by one and add them
/// up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` works on the matrix of an array as a whole, which passes over the numbers of an array cannot do", function.name())]
pub struct NoPlan {
    /// The first function of matrices.
    pub function: Function,
}

impl Plan {
    /// The plan of a graph that passes alone can compute, without steps for matrices
    /// ([`Graph::matrix_function`] says what stands in the way): one that can be written as loops.
    /// The program is the one that the graph was made from: it lists the hyperparameters.
    pub fn try_new(graph: &Graph, program: &Program) -> Result<Plan, NoPlan> {
        match graph.matrix_function() {
            Some(function) => Err(NoPlan { function }),
            None => Ok(Plan::new(graph, program)),
        }
    }

    /// The plan of a graph. The program is the one that the graph was made from: it lists the
    /// hyperparameters.
    pub fn new(graph: &Graph, program: &Program) -> Plan {
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
            ones: Vec::new(),
            places: vec![None; nodes],
            kept: 0,
            matrices: Vec::new(),
        };
        planner.plan()
    }

    /// Whether anything is done between passes.
    pub fn has_matrix_steps(&self) -> bool {
        self.passes.iter().any(|pass| !pass.matrix_steps.is_empty())
    }

    /// Whether results depend on where one array ends and the next begins. Where they don't, all
    /// arrays can be run as one.
    pub fn depends_on_arrays(&self) -> bool {
        self.smalls.iter().any(|small| small.per_array) || self.has_matrix_steps()
    }

    /// Whether a pass has nothing to do, since all is done between passes.
    pub fn is_idle(&self, pass: usize) -> bool {
        let Pass { reductions, kept, .. } = &self.passes[pass];
        !self.writes(pass) && reductions.is_empty() && kept.is_empty()
    }

    /// Whether the last pass writes: it does, and no other one.
    pub fn writes(&self, pass: usize) -> bool {
        pass + 1 == self.passes.len()
    }

    /// All that a pass reads: operands of its instructions, factors of its sums, what it keeps and,
    /// in the last pass, the results.
    pub fn reads(&self, pass: usize) -> impl Iterator<Item = Source> + '_ {
        let Pass { instructions, reductions, kept, .. } = &self.passes[pass];
        let results: &[Source] = if self.writes(pass) { &self.slots } else { &[] };
        let update = self.writes(pass).then_some(self.update);
        let operands = instructions
            .iter()
            .flat_map(|instruction| [instruction.x, instruction.y, instruction.z]);
        operands
            .chain(reductions.iter().flat_map(|r| [r.x, r.y.unwrap_or(r.x)]))
            .chain(kept.iter().map(|(source, _)| *source))
            .chain(results.iter().copied())
            .chain(update)
    }
}

/// Sum over each array: of x, or of the product of x and y.
#[derive(Clone, Copy)]
struct Sum {
    x: NodeId,
    /// The second factor.
    y: Option<NodeId>,
    /// The array type that both are broadcast to.
    ty: Type,
    /// The small value that takes the sums.
    target: usize,
}

struct Planner<'a> {
    graph: &'a Graph,
    hyperparameters: Vec<VarId>,
    /// Place of each slot of the signature among the live ones.
    live_slot: Vec<usize>,
    levels: Vec<usize>,
    smalls: Vec<Small>,
    /// Pass before which each small value is computed.
    small_levels: Vec<usize>,
    /// By node. For a `clip` of a tree: the factor that it multiplies by.
    small_of_node: Vec<Option<usize>>,
    /// For each pass the sums that it takes, or that steps take after it.
    sums: Vec<Vec<Sum>>,
    /// The constant 1, where a pass has asked for it: pass and small value.
    ones: Vec<(usize, usize)>,
    /// Where nodes are from one pass to another, by node: in a kept tree or in a matrix.
    places: Vec<Option<Source>>,
    kept: usize,
    matrices: Vec<Type>,
}

impl Planner<'_> {
    fn plan(&mut self) -> Plan {
        // All small values first, in the order of the nodes: it is an order in which they can be
        // computed.
        for index in 0..self.graph.nodes().len() {
            let id = NodeId(index as u32);
            let node = self.graph.node(id);
            if !node.ty.is_array() {
                self.small(id);
            } else if let NodeKind::Call(Function::Clip) = node.kind {
                self.clip_factor(id);
            }
        }
        let graph = self.graph;
        let wanted = self.operands_of_matrix_calls();
        let calls = (0..graph.nodes().len()).filter(|index| self.is_matrix_call(*index));
        let last = calls.map(|index| self.levels[index]).max().unwrap_or(0).max(self.sums.len());
        let mut passes = Vec::with_capacity(last + 1);
        let (mut update, mut slots) = (Source::Weights, Vec::new());
        for pass in 0..=last {
            let sums = self.sums.get(pass).cloned().unwrap_or_default();
            let of_trees: Vec<Sum> =
                sums.iter().copied().filter(|sum| sum.ty == Type::Tree).collect();
            let to_keep: Vec<NodeId> =
                wanted.iter().copied().filter(|id| self.levels[id.index()] == pass).collect();
            let mut instructions = Instructions::new(self, pass);
            for sum in &of_trees {
                instructions.need(sum.x);
                sum.y.iter().for_each(|y| instructions.need(*y));
            }
            to_keep.iter().for_each(|id| instructions.need(*id));
            if pass == last {
                instructions.need(graph.update());
                graph.live_slots().for_each(|(_, node)| instructions.need(node));
            }
            instructions.compute();
            let reductions = of_trees
                .iter()
                .map(|sum| Reduction {
                    x: instructions.tree(sum.x),
                    y: sum.y.map(|y| instructions.tree(y)),
                    target: sum.target,
                })
                .collect();
            if pass == last {
                update = instructions.tree(graph.update());
                slots = graph.live_slots().map(|(_, node)| instructions.tree(node)).collect();
            }
            let sources: Vec<Source> = to_keep.iter().map(|id| instructions.tree(*id)).collect();
            let instructions = instructions.list;
            let mut kept = Vec::with_capacity(to_keep.len());
            for (id, source) in to_keep.into_iter().zip(sources) {
                self.places[id.index()] = Some(Source::Kept(self.kept));
                kept.push((source, self.kept));
                self.kept += 1;
            }
            let matrix_steps = self.matrix_steps(pass, &sums);
            passes.push(Pass { smalls: Vec::new(), instructions, reductions, kept, matrix_steps });
        }
        for (small, level) in self.small_levels.iter().enumerate() {
            if self.smalls[small].operation.is_some() {
                passes[*level].smalls.push(small);
            }
        }
        Plan {
            smalls: std::mem::take(&mut self.smalls),
            passes,
            update,
            slots,
            kept: self.kept,
            matrices: std::mem::take(&mut self.matrices),
        }
    }

    /// Whether a node is a function of matrices that works on whole arrays.
    fn is_matrix_call(&self, index: usize) -> bool {
        let node = &self.graph.nodes()[index];
        let NodeKind::Call(function) = node.kind else { return false };
        node.ty.is_array() && function.row().profile == Profile::Matrix
    }

    /// The trees that functions of matrices take and that passes compute, in the order of the
    /// nodes.
    fn operands_of_matrix_calls(&self) -> Vec<NodeId> {
        let nodes = self.graph.nodes();
        let mut wanted = vec![false; nodes.len()];
        for (index, node) in nodes.iter().enumerate().filter(|(i, _)| self.is_matrix_call(*i)) {
            debug_assert!(self.levels[index] > 0);
            for argument in node.arguments() {
                wanted[argument.index()] = nodes[argument.index()].ty == Type::Tree
                    && !self.is_matrix_call(argument.index());
            }
        }
        (0..nodes.len()).filter(|index| wanted[*index]).map(|i| NodeId(i as u32)).collect()
    }

    /// Returns the steps after a pass: all that is known by then of arrays of other shapes, the
    /// sums of these, and the functions of matrices whose operands are known.
    fn matrix_steps(&mut self, pass: usize, sums: &[Sum]) -> Vec<MatrixStep> {
        let graph = self.graph;
        let mut steps = Vec::new();
        for (index, node) in graph.nodes().iter().enumerate() {
            let NodeKind::Call(function) = node.kind else { continue };
            let is_of_other_shape = node.ty.is_array() && node.ty != Type::Tree;
            if self.levels[index] == pass && is_of_other_shape && !self.is_matrix_call(index) {
                let mut instructions = Instructions::of_matrices(self, pass, node.ty);
                let id = NodeId(index as u32);
                let place = instructions.call(id, function, node.arguments());
                steps.append(&mut instructions.steps);
                self.places[index] = Some(place);
            }
        }
        for sum in sums.iter().filter(|sum| sum.ty != Type::Tree) {
            let mut instructions = Instructions::of_matrices(self, pass, sum.ty);
            let x = instructions.tree(sum.x);
            let y = sum.y.map(|y| instructions.tree(y));
            steps.append(&mut instructions.steps);
            let operation =
                if y.is_some() { MatrixOperation::SumOfProducts } else { MatrixOperation::Sum };
            let target = Source::Small(sum.target);
            steps.push(MatrixStep { operation, x, y: y.unwrap_or(x), z: x, target });
        }
        for (index, node) in graph.nodes().iter().enumerate() {
            let NodeKind::Call(function) = node.kind else { continue };
            let [first, ..] = node.arguments() else { continue };
            if self.levels[index] != pass + 1 || !self.is_matrix_call(index) {
                continue;
            }
            // Operands are arrays, and they are there: a number is 1 x 1, and so is what comes of
            // it.
            let place = |id: &NodeId| self.places[id.index()].unwrap_or(Source::Gradients);
            let x = place(first);
            let y = node.arguments().get(1).map_or(x, place);
            let target = self.new_place(node.ty);
            let operation = MatrixOperation::Function(function);
            steps.push(MatrixStep { operation, x, y, z: x, target });
            self.places[index] = Some(target);
        }
        steps
    }

    /// A place between passes that nothing else has.
    fn new_place(&mut self, ty: Type) -> Source {
        if ty == Type::Tree {
            self.kept += 1;
            Source::Kept(self.kept - 1)
        } else {
            self.matrices.push(ty);
            Source::Matrix(self.matrices.len() - 1)
        }
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
                    (Function::Norm, [x]) if self.graph.node(*x).ty.is_array() => {
                        SmallOperation::SquareRoot(self.sum(*x, *x))
                    }
                    (Function::Mean, [x]) if self.graph.node(*x).ty.is_array() => {
                        let ty = self.graph.node(*x).ty;
                        let sum = self.sum_of_array(*x, None, ty);
                        let size = self.push_small(Some(SmallOperation::Size(ty)), true, level);
                        SmallOperation::Function(Function::Divide, [sum, size, 0])
                    }
                    (Function::Size, [x]) if self.graph.node(*x).ty.is_array() => {
                        SmallOperation::Size(self.graph.node(*x).ty)
                    }
                    (Function::Rows, [x]) if self.graph.node(*x).ty.is_array() => {
                        SmallOperation::Rows(self.graph.node(*x).ty)
                    }
                    (Function::Columns, [x]) if self.graph.node(*x).ty.is_array() => {
                        SmallOperation::Columns(self.graph.node(*x).ty)
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
            // Arrays only: they are never asked for here.
            NodeKind::Weights | NodeKind::Gradients | NodeKind::Slot(_) => {
                SmallOperation::Constant(f64::NAN)
            }
        };
        let small = self.push_small(Some(operation), per_array, level);
        self.small_of_node[id.index()] = Some(small);
        small
    }

    /// The factor of a `clip` call on arrays.
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
        if !ty.is_array() {
            let (x, y) = (self.small(x), self.small(y));
            return self.push_small(
                Some(SmallOperation::Function(Function::Multiply, [x, y, 0])),
                true,
                level,
            );
        }
        self.sum_of_array(x, Some(y), ty)
    }

    /// The small value that holds the sums of a node, or of its products with another one, over
    /// arrays of a type.
    fn sum_of_array(&mut self, x: NodeId, y: Option<NodeId>, ty: Type) -> usize {
        let level = self.levels[x.index()].max(y.map_or(0, |y| self.levels[y.index()]));
        let known = self.sums.iter().flatten().find(|sum| (sum.x, sum.y, sum.ty) == (x, y, ty));
        if let Some(sum) = known {
            return sum.target;
        }
        for factor in std::iter::once(x).chain(y) {
            if !self.graph.node(factor).ty.is_array() {
                self.small(factor);
            }
        }
        let target = self.push_small(None, true, level);
        if self.sums.len() <= level {
            self.sums.resize(level + 1, Vec::new());
        }
        self.sums[level].push(Sum { x, y, ty, target });
        target
    }
}

/// The instructions of one pass, or steps after it, as they are made.
struct Instructions<'a, 'b> {
    planner: &'a mut Planner<'b>,
    pass: usize,
    list: Vec<Instruction>,
    /// The type of the results, if they are steps.
    of_matrices: Option<Type>,
    steps: Vec<MatrixStep>,
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
            of_matrices: None,
            steps: Vec::new(),
            needed: vec![false; nodes],
            places: vec![None; nodes],
        }
    }

    /// Steps that compute values of another shape than the parameters'.
    fn of_matrices(planner: &'a mut Planner<'b>, pass: usize, ty: Type) -> Instructions<'a, 'b> {
        let places = planner.places.clone();
        Instructions { of_matrices: Some(ty), places, ..Instructions::new(planner, pass) }
    }

    /// Says that the pass needs the value of a node.
    fn need(&mut self, id: NodeId) {
        self.needed[id.index()] = true;
    }

    /// Computes the trees that are needed. Arguments have smaller ids than what uses them.
    fn compute(&mut self) {
        let graph = self.planner.graph;
        for (index, node) in graph.nodes().iter().enumerate().rev() {
            if self.needed[index] && node.ty == Type::Tree && !self.planner.is_matrix_call(index) {
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
                NodeKind::Call(_) if self.planner.is_matrix_call(index) => {
                    self.planner.places[index]
                }
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
        if let Some(ty) = self.of_matrices {
            let target = self.planner.new_place(ty);
            let operation = MatrixOperation::ElementWise(operation);
            self.steps.push(MatrixStep { operation, x, y, z, target });
            return target;
        }
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
