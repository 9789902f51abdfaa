//! A plan: how a graph is computed in as few passes over the parameter arrays as its reductions allow.
//!
//! Everything that is not a `Tree` is a *small value*: a number, or one number for each array, in f64. Small values are computed between passes.
//! A pass goes over all arrays tile by tile: it runs its tile instructions, adds up its reductions, and the last pass also writes the weights
//! and the slots. A tree that two passes need is computed in both: reading it back would cost more than computing it again.

use std::collections::BTreeMap;

use symopt_dsl::graph::{NodeId, NodeKind, reduces_tree};
use symopt_dsl::program::VarId;
use symopt_dsl::{Function, Graph, Program, Type};

/// Where a tile instruction reads from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The tile of the weights.
    Weights,
    /// The tile of the gradients.
    Gradients,
    /// The tile of a live slot, counted among the live slots.
    Slot(usize),
    /// A scratch tile.
    Register(usize),
    /// A small value, rounded to f32.
    Small(usize),
}

/// What a tile instruction computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A unary or binary element-wise function.
    Function(Function),
    /// `(1 - a) * x + a * y`, where `a` is a small scalar.
    Interp {
        /// The small value of `a`.
        a: usize,
    },
    /// The first operand itself.
    Copy,
}

/// One operation on tiles. The destination is never one of the operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TileInstruction {
    /// What is computed.
    pub operation: Operation,
    /// First operand.
    pub x: Source,
    /// Second operand; the same as the first for unary operations.
    pub y: Source,
    /// Register that takes the result.
    pub target: usize,
}

/// The sum of the products of two trees over each array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reduction {
    /// First factor: a register or an input, never a small value.
    pub x: Source,
    /// Second factor, likewise.
    pub y: Source,
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
    /// Tile instructions, in order.
    pub instructions: Vec<TileInstruction>,
    /// Sums to take after the instructions.
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
    /// Scratch tiles that the widest pass needs.
    pub registers: usize,
}

impl Plan {
    /// The plan of a graph. The program is the one that the graph was made from: it lists the hyperparameters.
    pub fn new(graph: &Graph, program: &Program) -> Plan {
        let mut hyperparameters: Vec<VarId> = program.signature().hyperparameters().map(|(id, _)| id).collect();
        hyperparameters.sort_unstable();
        let mut planner = Planner {
            graph,
            hyperparameters,
            live_slot: graph
                .slots()
                .iter()
                .scan(0, |next, slot| Some(std::mem::replace(next, *next + usize::from(slot.is_some()))))
                .collect(),
            levels: levels(graph),
            smalls: Vec::new(),
            small_levels: Vec::new(),
            small_of_node: BTreeMap::new(),
            sums: BTreeMap::new(),
            reductions: Vec::new(),
        };
        planner.plan()
    }

    /// Whether results depend on where one array ends and the next begins. Where they don't, all arrays can be run as one.
    pub fn depends_on_arrays(&self) -> bool {
        self.smalls.iter().any(|small| small.per_array)
    }
}

/// Of each node the first pass in which it can be computed.
fn levels(graph: &Graph) -> Vec<usize> {
    let mut levels: Vec<usize> = Vec::with_capacity(graph.nodes().len());
    for node in graph.nodes() {
        let reduces = matches!(node.kind, NodeKind::Call(function) if reduces_tree(function, node, graph.nodes()));
        let level_of = |arguments: &[NodeId]| arguments.iter().map(|a| levels[a.index()]).max().unwrap_or(0);
        levels.push(match node.arguments() {
            // The norm is taken of x alone: the limit may come from a later pass, which then needs no pass after it.
            [x, limit] if reduces && node.kind == NodeKind::Call(Function::Clip) => (level_of(&[*x]) + 1).max(level_of(&[*limit])),
            arguments => level_of(arguments) + usize::from(reduces),
        });
    }
    levels
}

struct Planner<'a> {
    graph: &'a Graph,
    hyperparameters: Vec<VarId>,
    /// Of each slot of the signature its place among the live ones.
    live_slot: Vec<usize>,
    levels: Vec<usize>,
    smalls: Vec<Small>,
    /// Of each small value the pass before which it is computed.
    small_levels: Vec<usize>,
    small_of_node: BTreeMap<NodeId, usize>,
    /// The small value that holds the sums of products of two nodes.
    sums: BTreeMap<(NodeId, NodeId), usize>,
    /// For each pass the sums that it takes: two factors and the small value.
    reductions: Vec<Vec<(NodeId, NodeId, usize)>>,
}

impl Planner<'_> {
    fn plan(&mut self) -> Plan {
        // All small values first, in the order of the nodes: it is an order in which they can be computed.
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
        let slots: Vec<NodeId> = graph.live_slots().map(|(_, node)| node).collect();
        let last = self.reductions.len();
        let mut passes = Vec::new();
        let mut registers = 0;
        let (mut update, mut slot_sources) = (Source::Weights, Vec::new());
        for pass in 0..=last {
            let sums = self.reductions.get(pass).cloned().unwrap_or_default();
            let mut roots: Vec<NodeId> = sums.iter().flat_map(|(x, y, _)| [*x, *y]).collect();
            if pass == last {
                roots.push(graph.update());
                roots.extend(&slots);
            }
            let mut tiles = Tiles::new(self, &roots, pass);
            let reductions = sums.iter().map(|(x, y, target)| {
                let (x, y) = (tiles.tile(*x), tiles.tile(*y));
                Reduction { x, y, target: *target }
            });
            let reductions = reductions.collect();
            if pass == last {
                update = tiles.tile(graph.update());
                // Writing goes update first, then slot by slot: a slot whose next value is another input is read into a register before.
                slot_sources = slots.iter().enumerate().map(|(slot, node)| tiles.output(slot, *node)).collect();
            }
            registers = registers.max(tiles.register_count);
            let instructions = tiles.instructions;
            passes.push(Pass { smalls: Vec::new(), instructions, reductions });
        }
        for (small, level) in self.small_levels.iter().enumerate() {
            if self.smalls[small].operation.is_some() {
                passes[*level].smalls.push(small);
            }
        }
        Plan { smalls: std::mem::take(&mut self.smalls), passes, update, slots: slot_sources, registers }
    }

    fn push_small(&mut self, operation: Option<SmallOperation>, per_array: bool, level: usize) -> usize {
        self.smalls.push(Small { operation, per_array });
        self.small_levels.push(level);
        self.smalls.len() - 1
    }

    /// The small value of a node that is no tree.
    fn small(&mut self, id: NodeId) -> usize {
        if let Some(small) = self.small_of_node.get(&id) {
            return *small;
        }
        let node = *self.graph.node(id);
        let level = self.levels[id.index()];
        let per_array = node.ty == Type::PerArray;
        let operation = match node.kind {
            NodeKind::LearningRate => SmallOperation::LearningRate,
            NodeKind::Step => SmallOperation::Step,
            NodeKind::Constant(bits) => SmallOperation::Constant(f64::from_bits(bits)),
            NodeKind::Hyperparameter(variable) => {
                SmallOperation::Hyperparameter(self.hyperparameters.iter().position(|v| *v == variable).unwrap_or(0))
            }
            NodeKind::Call(function) => {
                let all_scalar = node.arguments().iter().all(|a| self.graph.node(*a).ty == Type::Scalar);
                match (function, node.arguments()) {
                    (Function::Norm, [x]) if self.graph.node(*x).ty == Type::Tree => SmallOperation::SquareRoot(self.sum(*x, *x)),
                    (Function::GlobalNorm, [x]) if !all_scalar => {
                        let squares = self.sum(*x, *x);
                        let total = self.push_small(Some(SmallOperation::Total(squares)), false, level);
                        SmallOperation::SquareRoot(total)
                    }
                    (Function::Dot, [x, y]) if !all_scalar => SmallOperation::Total(self.sum(*x, *y)),
                    (Function::CosineSim, [x, y]) if !all_scalar => {
                        // Both factors are broadcast to the larger type before their own squares are taken.
                        let totals = [(*x, *y), (*x, *x), (*y, *y)].map(|(a, b)| {
                            let sums = self.sum_as(a, b, self.graph.node(*x).ty.join(self.graph.node(*y).ty));
                            self.push_small(Some(SmallOperation::Total(sums)), false, level)
                        });
                        SmallOperation::Cosine(totals)
                    }
                    (Function::Clip, [x, limit]) if !all_scalar => {
                        let squares = self.sum(*x, *x);
                        let total = self.push_small(Some(SmallOperation::Total(squares)), false, level);
                        let limit = self.small(*limit);
                        let factor = self.push_small(Some(SmallOperation::ClipFactor(total, limit)), false, level);
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
            NodeKind::Weights | NodeKind::Gradients | NodeKind::Slot(_) => SmallOperation::Constant(f64::NAN),
        };
        let small = self.push_small(Some(operation), per_array, level);
        self.small_of_node.insert(id, small);
        small
    }

    /// The factor of a `clip` call on a tree.
    fn clip_factor(&mut self, id: NodeId) -> usize {
        if let Some(small) = self.small_of_node.get(&id) {
            return *small;
        }
        let arguments = self.graph.node(id).arguments();
        let (x, limit, level) = (arguments[0], arguments[1], self.levels[id.index()]);
        let squares = self.sum(x, x);
        let total = self.push_small(Some(SmallOperation::Total(squares)), false, level);
        let limit = self.small(limit);
        let factor = self.push_small(Some(SmallOperation::ClipFactor(total, limit)), false, level);
        self.small_of_node.insert(id, factor);
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
            return self.push_small(Some(SmallOperation::Function(Function::Multiply, [x, y, 0])), true, level);
        }
        if let Some(small) = self.sums.get(&(x, y)) {
            return *small;
        }
        for factor in [x, y] {
            if self.graph.node(factor).ty != Type::Tree {
                self.small(factor);
            }
        }
        let target = self.push_small(None, true, level);
        if self.reductions.len() <= level {
            self.reductions.resize(level + 1, Vec::new());
        }
        self.reductions[level].push((x, y, target));
        self.sums.insert((x, y), target);
        target
    }
}

/// The tile instructions of one pass.
struct Tiles<'a, 'b> {
    planner: &'a mut Planner<'b>,
    pass: usize,
    instructions: Vec<TileInstruction>,
    /// Where the value of a node is, once computed.
    places: BTreeMap<NodeId, Source>,
    /// How many uses of a node's register are still to come.
    uses: BTreeMap<NodeId, usize>,
    free: Vec<usize>,
    register_count: usize,
}

impl<'a, 'b> Tiles<'a, 'b> {
    fn new(planner: &'a mut Planner<'b>, roots: &[NodeId], pass: usize) -> Tiles<'a, 'b> {
        let graph = planner.graph;
        // Count the uses of each tree that the roots need; a root is used once more at the end of the pass, so it keeps its register.
        let mut uses: BTreeMap<NodeId, usize> = BTreeMap::new();
        let mut open: Vec<NodeId> = roots.to_vec();
        let mut seen = std::collections::BTreeSet::new();
        for root in roots {
            *uses.entry(*root).or_default() += 1;
        }
        while let Some(id) = open.pop() {
            if graph.node(id).ty != Type::Tree || !seen.insert(id) {
                continue;
            }
            for argument in graph.node(id).arguments() {
                *uses.entry(*argument).or_default() += 1;
                open.push(*argument);
            }
        }
        let mut tiles =
            Tiles { planner, pass, instructions: Vec::new(), places: BTreeMap::new(), uses, free: Vec::new(), register_count: 0 };
        for id in seen {
            tiles.compute(id);
        }
        tiles
    }

    fn allocate(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.register_count += 1;
            self.register_count - 1
        })
    }

    fn emit(&mut self, operation: Operation, x: Source, y: Source) -> Source {
        let target = self.allocate();
        self.instructions.push(TileInstruction { operation, x, y, target });
        Source::Register(target)
    }

    /// Computes a tree whose arguments have been computed. Nodes come in the order of their ids, so they have.
    fn compute(&mut self, id: NodeId) {
        let node = *self.planner.graph.node(id);
        let place = match node.kind {
            NodeKind::Weights => Source::Weights,
            NodeKind::Gradients => Source::Gradients,
            NodeKind::Slot(slot) => Source::Slot(self.planner.live_slot[slot.index()]),
            NodeKind::Call(function) => {
                let place = self.compute_call(id, function, node.arguments());
                for argument in node.arguments() {
                    self.release(*argument);
                }
                place
            }
            // Not trees.
            _ => return,
        };
        self.places.insert(id, place);
    }

    fn compute_call(&mut self, id: NodeId, function: Function, arguments: &[NodeId]) -> Source {
        match (function, arguments) {
            (Function::Clip, [x, _]) => {
                let factor = self.planner.clip_factor(id);
                let x = self.place(*x);
                self.emit(Operation::Function(Function::Multiply), x, Source::Small(factor))
            }
            (Function::Interp, [x, y, a]) => {
                let a = self.planner.small(*a);
                match (self.place(*x), self.place(*y)) {
                    (Source::Small(x), y) => {
                        let one = self.planner.push_small(Some(SmallOperation::Constant(1.0)), false, self.pass);
                        let rest = self.small_call(Function::Subtract, [one, a, 0]);
                        let x = self.small_call(Function::Multiply, [rest, x, 0]);
                        let y = self.emit(Operation::Function(Function::Multiply), y, Source::Small(a));
                        self.sum_of_two(y, Source::Small(x))
                    }
                    (x, Source::Small(y)) => {
                        let one = self.planner.push_small(Some(SmallOperation::Constant(1.0)), false, self.pass);
                        let rest = self.small_call(Function::Subtract, [one, a, 0]);
                        let y = self.small_call(Function::Multiply, [a, y, 0]);
                        let x = self.emit(Operation::Function(Function::Multiply), x, Source::Small(rest));
                        self.sum_of_two(x, Source::Small(y))
                    }
                    (x, y) => self.emit(Operation::Interp { a }, x, y),
                }
            }
            (_, [x]) => {
                let x = self.place(*x);
                self.emit(Operation::Function(function), x, x)
            }
            (_, [x, y, ..]) => {
                let (x, y) = (self.place(*x), self.place(*y));
                self.emit(Operation::Function(function), x, y)
            }
            (_, []) => Source::Weights,
        }
    }

    /// `x + y`, where x is a register that nothing else needs.
    fn sum_of_two(&mut self, x: Source, y: Source) -> Source {
        let sum = self.emit(Operation::Function(Function::Add), x, y);
        if let Source::Register(register) = x {
            self.free.push(register);
        }
        sum
    }

    fn small_call(&mut self, function: Function, operands: [usize; 3]) -> usize {
        let per_array = operands[..function.arity()].iter().any(|o| self.planner.smalls[*o].per_array);
        let level = self.pass;
        self.planner.push_small(Some(SmallOperation::Function(function, operands)), per_array, level)
    }

    /// Where the value of an argument is.
    fn place(&mut self, id: NodeId) -> Source {
        match self.places.get(&id) {
            Some(place) => *place,
            None => Source::Small(self.planner.small(id)),
        }
    }

    /// One use less; a register that has none left is free.
    fn release(&mut self, id: NodeId) {
        if let Some(uses) = self.uses.get_mut(&id) {
            *uses -= 1;
            if *uses == 0
                && let Some(Source::Register(register)) = self.places.get(&id)
            {
                self.free.push(*register);
            }
        }
    }

    /// The value of a root as a tile: a small value is spread over a register.
    fn tile(&mut self, id: NodeId) -> Source {
        match self.place(id) {
            small @ Source::Small(_) => {
                let place = self.emit(Operation::Copy, small, small);
                self.places.insert(id, place);
                place
            }
            place => place,
        }
    }

    /// Where the next value of a slot can be read after the weights and the slots before it have been written.
    fn output(&mut self, slot: usize, id: NodeId) -> Source {
        match self.place(id) {
            place @ Source::Register(_) => place,
            Source::Slot(own) if own == slot => Source::Slot(own),
            other => self.emit(Operation::Copy, other, other),
        }
    }
}
