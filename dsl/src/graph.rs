//! Abstract execution: one pass over a program gives its data-flow [`Graph`], or what is wrong with
//! its types.
//!
//! From the same pass come the types of the statements, the statements that are redundant (within a
//! step and across steps), the functional hash and the cost. A search does this for every program
//! that it breeds, so a [`Graph`] is made to be used again: [`Graph::rebuild`] reuses all of its
//! buffers.
//!
//! Nodes are hash-consed, so equal computations are one node, and calls are put into a normal form
//! by identities that hold bit for bit in IEEE arithmetic, NaN and signed zeros included: commuted
//! arguments, folded constants, `x * x` for `square(x)`, and the like (`Graph::call`). Identities
//! that change a rounding are the simplifier's business, not this module's.

pub mod provenance;
pub mod schedule;

use std::fmt;

use self::schedule::reduces_tree;
use crate::function::{Function, Profile, Typing};
use crate::program::{Operand, ParameterKind, Program, SlotId, Statement, VarId};
use crate::types::Type;

/// A value of the data flow. Arguments of a node always have smaller ids than the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

impl NodeId {
    /// Stands for a missing argument, and for the value of a variable that has none.
    const NONE: NodeId = NodeId(u32::MAX);

    /// Position in [`Graph::nodes`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Kind of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeKind {
    /// The weights.
    Weights,
    /// The gradients.
    Gradients,
    /// `lr`.
    LearningRate,
    /// `t`.
    Step,
    /// The value of a state slot when the step begins.
    Slot(SlotId),
    /// A hyperparameter, by its parameter's variable.
    Hyperparameter(VarId),
    /// A number, by its bits.
    Constant(u64),
    /// A function call.
    Call(Function),
}

/// One value of the data flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its kind.
    pub kind: NodeKind,
    /// Its type.
    pub ty: Type,
    arguments: [NodeId; 3],
}

impl Node {
    /// The arguments of a call, as many as the function takes; none for other kinds.
    pub fn arguments(&self) -> &[NodeId] {
        match self.kind {
            NodeKind::Call(function) => &self.arguments[..function.arity()],
            _ => &[],
        }
    }

    /// The number, if the node is a constant.
    pub fn constant(&self) -> Option<f64> {
        match self.kind {
            NodeKind::Constant(bits) => Some(f64::from_bits(bits)),
            _ => None,
        }
    }
}

/// The functional hash: equal for programs that compute the same up to variable names, statement
/// order, dead code, commuted arguments and exact identities. Stable across runs, machines and
/// releases of one format version ([`FunctionalHash::FORMAT_VERSION`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionalHash(pub u128);

impl FunctionalHash {
    /// Goes up when the same program would get another hash.
    pub const FORMAT_VERSION: u32 = 1;

    /// The hash that is written as 32 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<FunctionalHash> {
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        u128::from_str_radix(text, 16).ok().map(FunctionalHash)
    }
}

impl fmt::Display for FunctionalHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Why a statement does or does not matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redundancy {
    /// Some later update depends on it.
    Live,
    /// It only feeds state that no later step reads before writing.
    AcrossSteps,
    /// No output of the step depends on it (the paper's dependency sets).
    WithinStep,
}

/// Cost of a step of a program. A function of whole matrices counts as one pass; what it moves and
/// computes inside does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Function calls that are left after normalisation.
    pub calls: usize,
    /// Passes over the parameter arrays: one, and one more for each reduction that has to be known
    /// before another can start.
    pub array_passes: usize,
    /// Bytes moved per parameter and step with f32 arrays and fused passes: reads of each pass, and
    /// the writes of the last one.
    pub bytes_per_parameter: usize,
    /// Bytes of f32 state kept per parameter: four for each live slot.
    pub state_bytes_per_parameter: usize,
}

/// Fault of a statement, or of what the program returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeError {
    /// A variable is read that nothing has assigned yet.
    Undefined {
        /// Index of the statement that reads it.
        statement: usize,
        /// Which of its arguments, from 0.
        argument: usize,
        /// The variable.
        variable: VarId,
    },
    /// An argument must be a `Scalar`.
    NotScalar {
        /// Index of the statement.
        statement: usize,
        /// Which of its arguments, from 0.
        argument: usize,
        /// The type that it has.
        found: Type,
    },
    /// An argument is of another shape than the call allows.
    ShapeMismatch {
        /// Index of the statement.
        statement: usize,
        /// Which of its arguments, from 0.
        argument: usize,
        /// The type that it has.
        found: Type,
        /// The type of the arguments before it.
        other: Type,
    },
    /// The returned variable has never been assigned.
    UndefinedReturn {
        /// The variable.
        variable: VarId,
    },
    /// The returned variable (the update or a slot) is not a `Tree`.
    ReturnNotTree {
        /// The variable.
        variable: VarId,
        /// The type that it has.
        found: Type,
    },
}

/// The data flow of a program: live nodes only, equal computations shared.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    update: u32,
    slots: Vec<Option<NodeId>>,
    hash: FunctionalHash,
    cost: Cost,
    statement_types: Vec<Type>,
    redundancy: Vec<Redundancy>,
    scratch: Scratch,
}

/// Buffers that [`Graph::rebuild`] reuses.
#[derive(Clone, Debug, Default)]
struct Scratch {
    table: Table,
    /// The node that each variable holds; `NONE` where it holds none.
    environment: Vec<NodeId>,
    /// Values of the slots when the step ends.
    slot_values: Vec<NodeId>,
    slot_live: Vec<bool>,
    live: Vec<bool>,
    renumbered: Vec<NodeId>,
    hashes: Vec<u128>,
    slot_labels: Vec<u128>,
    classes: Vec<u128>,
    needed: Vec<bool>,
    levels: Vec<(u32, u64)>,
    pass_reads: Vec<u64>,
}

/// The index of hash-consing: open addressing, emptied by a new stamp.
#[derive(Clone, Debug, Default)]
struct Table {
    entries: Vec<(u32, NodeId)>,
    stamp: u32,
}

impl Table {
    fn clear(&mut self, capacity: usize) {
        let size = (capacity * 2).next_power_of_two().max(64);
        self.stamp = self.stamp.wrapping_add(1);
        if self.entries.len() < size || self.stamp == 0 {
            self.entries.clear();
            self.entries.resize(size, (0, NodeId::NONE));
            self.stamp = 1;
        }
    }
}

impl Graph {
    /// Abstract execution of a program; on failure every type error, in the order of the
    /// statements.
    pub fn new(program: &Program) -> Result<Graph, Vec<TypeError>> {
        let mut graph = Graph::default();
        let mut errors = Vec::new();
        if graph.build(program, |error| {
            errors.push(error);
            true
        }) {
            Ok(graph)
        } else {
            Err(errors)
        }
    }

    /// Abstract execution of another program into this graph's buffers; on failure the first type
    /// error, and the graph then holds nothing of use.
    pub fn rebuild(&mut self, program: &Program) -> Result<(), TypeError> {
        let mut first = None;
        self.build(program, |error| {
            first = Some(error);
            false
        });
        first.map_or(Ok(()), Err)
    }

    /// The live nodes; arguments come before the calls that use them.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// A node by its id.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// The node of the update.
    pub fn update(&self) -> NodeId {
        NodeId(self.update)
    }

    /// For each slot of the signature the node of its next value, `None` where the slot is dead:
    /// nothing that matters ever reads it.
    pub fn slots(&self) -> &[Option<NodeId>] {
        &self.slots
    }

    /// The live slots with the nodes of their next values.
    pub fn live_slots(&self) -> impl Iterator<Item = (SlotId, NodeId)> + '_ {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(index, node)| node.map(|node| (SlotId(index as u16), node)))
    }

    /// The functional hash.
    pub fn hash(&self) -> FunctionalHash {
        self.hash
    }

    /// The cost of a step.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// The type of each statement's value.
    pub fn statement_types(&self) -> &[Type] {
        &self.statement_types
    }

    /// Whether each statement matters.
    pub fn redundancy(&self) -> &[Redundancy] {
        &self.redundancy
    }

    /// The first function of profile [`Matrix`](Profile::Matrix) that is left after normalisation.
    /// A graph that has one cannot be computed element by element: its [`Plan`](crate::Plan) works on
    /// whole arrays between its passes, and there is no export of it to element-wise loops.
    pub fn matrix_function(&self) -> Option<Function> {
        self.nodes.iter().find_map(|node| match node.kind {
            NodeKind::Call(function) if function.row().profile == Profile::Matrix => Some(function),
            _ => None,
        })
    }

    /// How many statements matter to some later update.
    pub fn live_statements(&self) -> usize {
        self.redundancy.iter().filter(|r| **r == Redundancy::Live).count()
    }

    /// Runs the program on abstract values. `report` takes each error and says whether to go on.
    /// True if there was none.
    fn build(&mut self, program: &Program, mut report: impl FnMut(TypeError) -> bool) -> bool {
        let signature = program.signature();
        let variables = program.variable_count();
        // An upper bound on the nodes: parameters, a call for each statement, and its constants.
        self.scratch.table.clear(signature.parameters.len() + 4 * program.statements.len());
        self.nodes.clear();
        self.statement_types.clear();
        self.scratch.environment.clear();
        self.scratch.environment.resize(variables, NodeId::NONE);
        for (index, parameter) in signature.parameters.iter().enumerate() {
            let (kind, ty) = match parameter.kind {
                ParameterKind::Weights => (NodeKind::Weights, Type::Tree),
                ParameterKind::Gradients => (NodeKind::Gradients, Type::Tree),
                ParameterKind::LearningRate => (NodeKind::LearningRate, Type::Scalar),
                ParameterKind::Step => (NodeKind::Step, Type::Scalar),
                ParameterKind::Slot(slot) => (NodeKind::Slot(slot), Type::Tree),
                ParameterKind::Hyperparameter => {
                    (NodeKind::Hyperparameter(VarId(index as u16)), Type::Scalar)
                }
            };
            self.scratch.environment[index] =
                self.intern(Node { kind, ty, arguments: [NodeId::NONE; 3] });
        }

        let mut sound = true;
        for (index, statement) in program.statements.iter().enumerate() {
            match self.execute(index, statement, program) {
                Ok(node) => {
                    self.scratch.environment[statement.target.index()] = node;
                    self.statement_types.push(self.nodes[node.index()].ty);
                }
                Err(error) => {
                    sound = false;
                    if let Some(error) = error
                        && !report(error)
                    {
                        return false;
                    }
                    // Consequences of a wrong value are not reported again.
                    self.scratch.environment[statement.target.index()] = POISON;
                    self.statement_types.push(Type::Tree);
                }
            }
        }
        for variable in std::iter::once(program.update).chain(signature.slots()) {
            let error = match self.scratch.environment[variable.index()] {
                POISON => continue,
                NodeId::NONE => TypeError::UndefinedReturn { variable },
                node => match self.nodes[node.index()].ty {
                    Type::Tree => continue,
                    found => TypeError::ReturnNotTree { variable, found },
                },
            };
            sound = false;
            if !report(error) {
                return false;
            }
        }
        if !sound {
            return false;
        }

        self.update = self.scratch.environment[program.update.index()].0;
        self.scratch.slot_values.clear();
        for slot in signature.slots() {
            self.scratch.slot_values.push(self.scratch.environment[slot.index()]);
        }
        self.keep_live_nodes();
        self.hash = self.functional_hash(program);
        self.cost = self.measure_cost();
        self.find_redundant_statements(program);
        true
    }

    /// The node of a statement's value. `Err(None)` where an argument was already wrong.
    fn execute(
        &mut self,
        index: usize,
        statement: &Statement,
        program: &Program,
    ) -> Result<NodeId, Option<TypeError>> {
        let mut arguments = [NodeId::NONE; 3];
        let mut types = [Type::Scalar; 3];
        let operands = statement.arguments();
        for (position, operand) in operands.iter().enumerate() {
            let node = match *operand {
                Operand::Constant(value) => self.constant(value),
                Operand::Variable(variable) => match self.scratch.environment[variable.index()] {
                    POISON => return Err(None),
                    NodeId::NONE => {
                        return Err(Some(TypeError::Undefined {
                            statement: index,
                            argument: position,
                            variable,
                        }));
                    }
                    node => node,
                },
            };
            arguments[position] = node;
            types[position] = self.nodes[node.index()].ty;
        }
        match statement.function.result_type(&types[..operands.len()]) {
            Ok(ty) => {
                Ok(self.call(statement.function.under(program.signature().numerics), arguments, ty))
            }
            Err(argument) => {
                let found = types[argument];
                let wants_scalar = statement.function.row().typing == Typing::ScaledBy
                    && argument + 1 == operands.len();
                Err(Some(if wants_scalar {
                    TypeError::NotScalar { statement: index, argument, found }
                } else {
                    let other = types[..argument].iter().copied().fold(Type::Scalar, Type::join);
                    TypeError::ShapeMismatch { statement: index, argument, found, other }
                }))
            }
        }
    }

    fn constant(&mut self, value: f64) -> NodeId {
        let bits = if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() };
        self.intern(Node {
            kind: NodeKind::Constant(bits),
            ty: Type::Scalar,
            arguments: [NodeId::NONE; 3],
        })
    }

    fn kind(&self, id: NodeId) -> NodeKind {
        self.nodes[id.index()].kind
    }

    fn is_constant(&self, id: NodeId, value: f64) -> bool {
        self.kind(id) == NodeKind::Constant(value.to_bits())
    }

    /// The argument of `function(argument)`, if the node is that call.
    fn argument_of(&self, id: NodeId, function: Function) -> Option<NodeId> {
        (self.kind(id) == NodeKind::Call(function)).then(|| self.nodes[id.index()].arguments[0])
    }

    /// The node of a call, in normal form. Every rewriting here is exact: same bits for all inputs,
    /// NaN (as one value), infinities and signed zeros included.
    fn call(&mut self, function: Function, mut arguments: [NodeId; 3], ty: Type) -> NodeId {
        use Function as F;
        let arity = function.arity();
        if function == F::Copy {
            return arguments[0];
        }
        if arguments[..arity].iter().all(|a| matches!(self.kind(*a), NodeKind::Constant(_))) {
            let mut values = [0.0; 3];
            for (value, argument) in values.iter_mut().zip(&arguments[..arity]) {
                *value = self.nodes[argument.index()].constant().unwrap_or(0.0);
            }
            return self.constant(function.on_scalars(values));
        }
        let [x, y, _] = arguments;
        let unary = |function| (function, [x, NodeId::NONE, NodeId::NONE]);
        let mut function = function;
        match function {
            // A reduction over a single number.
            F::Norm | F::GlobalNorm if self.nodes[x.index()].ty == Type::Scalar => {
                return self.call(F::Abs, arguments, ty);
            }
            F::Dot
                if self.nodes[x.index()].ty == Type::Scalar
                    && self.nodes[y.index()].ty == Type::Scalar =>
            {
                return self.call(F::Multiply, arguments, ty);
            }
            // Matrices of one number.
            F::Transpose | F::RowMean | F::ColumnMean if !ty.is_array() => return x,
            F::Matmul if !ty.is_array() && !self.nodes[x.index()].ty.is_array() => {
                return self.call(F::Multiply, arguments, ty);
            }
            F::Transpose => {
                if let Some(inner) = self.argument_of(x, F::Transpose) {
                    return inner;
                }
            }
            F::Multiply if x == y => (function, arguments) = unary(F::Square),
            F::Multiply if self.is_constant(x, 1.0) => return y,
            F::Multiply | F::Divide if self.is_constant(y, 1.0) => return x,
            F::Multiply | F::Divide if self.is_constant(y, -1.0) => {
                return self.call(F::Negative, [x, NodeId::NONE, NodeId::NONE], ty);
            }
            F::Multiply if self.is_constant(x, -1.0) => {
                return self.call(F::Negative, [y, NodeId::NONE, NodeId::NONE], ty);
            }
            F::Multiply if self.argument_of(x, F::Square) == Some(y) => {
                (function, arguments) = (F::Cube, [y, NodeId::NONE, NodeId::NONE])
            }
            F::Multiply if self.argument_of(y, F::Square) == Some(x) => {
                (function, arguments) = unary(F::Cube)
            }
            F::Divide if self.is_constant(x, 1.0) => {
                (function, arguments) = (F::Reciprocal, [y, NodeId::NONE, NodeId::NONE])
            }
            F::Add if x == y => {
                let two = self.constant(2.0);
                (function, arguments) = (F::Multiply, [x, two, NodeId::NONE]);
            }
            F::Add if self.argument_of(y, F::Negative).is_some() => {
                let y = self.nodes[y.index()].arguments[0];
                return self.call(F::Subtract, [x, y, NodeId::NONE], ty);
            }
            F::Add if self.argument_of(x, F::Negative).is_some() => {
                let x = self.nodes[x.index()].arguments[0];
                return self.call(F::Subtract, [y, x, NodeId::NONE], ty);
            }
            F::Subtract if self.is_constant(y, 0.0) => return x,
            F::Subtract if self.argument_of(y, F::Negative).is_some() => {
                let y = self.nodes[y.index()].arguments[0];
                return self.call(F::Add, [x, y, NodeId::NONE], ty);
            }
            F::Maximum | F::Minimum if x == y => return x,
            F::Greater => (function, arguments) = (F::Less, [y, x, NodeId::NONE]),
            F::GreaterEqual => (function, arguments) = (F::LessEqual, [y, x, NodeId::NONE]),
            // The mean of a value that is one number for each array is that value.
            F::Mean if !self.nodes[x.index()].ty.is_array() => return x,
            F::Negative => {
                if let Some(inner) = self.argument_of(x, F::Negative) {
                    return inner;
                }
            }
            F::Sign if self.kind(x) == NodeKind::Call(F::Sign) => return x,
            // Even functions forget the sign of their argument.
            F::Abs
            | F::Square
            | F::Norm
            | F::GlobalNorm
            | F::GuardedSqrt
            | F::GuardedLog
            | F::GuardedLog2
            | F::GuardedLog10 => {
                if let Some(inner) =
                    self.argument_of(x, F::Negative).or_else(|| self.argument_of(x, F::Abs))
                {
                    return if function == F::Abs && self.kind(x) == NodeKind::Call(F::Abs) {
                        x
                    } else {
                        self.call(function, [inner, NodeId::NONE, NodeId::NONE], ty)
                    };
                }
                let never_negative =
                    [F::Square, F::Norm, F::GlobalNorm, F::GuardedSqrt, F::Exp, F::Exp2, F::Exp10];
                if function == F::Abs
                    && never_negative.iter().any(|f| self.kind(x) == NodeKind::Call(*f))
                {
                    return x;
                }
            }
            _ => {}
        }
        if function.row().commutative && arguments[1] < arguments[0] {
            arguments.swap(0, 1);
        }
        self.intern(Node { kind: NodeKind::Call(function), ty, arguments })
    }

    fn intern(&mut self, node: Node) -> NodeId {
        let table = &mut self.scratch.table;
        let mask = table.entries.len() - 1;
        let mut place = node_key(&node) as usize & mask;
        loop {
            let (stamp, id) = table.entries[place];
            if stamp != table.stamp {
                let id = NodeId(self.nodes.len() as u32);
                table.entries[place] = (table.stamp, id);
                self.nodes.push(node);
                return id;
            }
            if self.nodes[id.index()] == node {
                return id;
            }
            place = (place + 1) & mask;
        }
    }

    /// Marks what the update needs, this step and later (a slot is live when a live node reads it),
    /// and drops the rest.
    fn keep_live_nodes(&mut self) {
        let Scratch { slot_values, slot_live, live, renumbered, .. } = &mut self.scratch;
        slot_live.clear();
        slot_live.resize(slot_values.len(), false);
        live.clear();
        live.resize(self.nodes.len(), false);
        live[self.update as usize] = true;
        let mut grew = true;
        while grew {
            grew = false;
            for index in (0..self.nodes.len()).rev() {
                if !live[index] {
                    continue;
                }
                let node = &self.nodes[index];
                for argument in node.arguments() {
                    live[argument.index()] = true;
                }
                if let NodeKind::Slot(slot) = node.kind
                    && !slot_live[slot.index()]
                {
                    slot_live[slot.index()] = true;
                    live[slot_values[slot.index()].index()] = true;
                    grew = true;
                }
            }
        }

        renumbered.clear();
        renumbered.resize(self.nodes.len(), NodeId::NONE);
        let mut kept = 0;
        for index in 0..self.nodes.len() {
            if !live[index] {
                continue;
            }
            let mut node = self.nodes[index];
            for argument in &mut node.arguments {
                if *argument != NodeId::NONE {
                    *argument = renumbered[argument.index()];
                }
            }
            renumbered[index] = NodeId(kept as u32);
            self.nodes[kept] = node;
            kept += 1;
        }
        self.nodes.truncate(kept);
        self.update = renumbered[self.update as usize].0;
        self.slots.clear();
        self.slots.extend(
            slot_values
                .iter()
                .zip(slot_live.iter())
                .map(|(value, live)| live.then(|| renumbered[value.index()])),
        );
    }

    /// The functional hash of the live nodes.
    ///
    /// Slots have no names in it: they are told apart by what is stored in them. Partition
    /// refinement starts with all slots alike and splits them by the hashes of their next values
    /// until nothing changes. Slots that stay alike hold equal values at every step, since all
    /// start at zero, so giving them one label is exact. The classes are numbered in the order of
    /// their hashes.
    fn functional_hash(&mut self, program: &Program) -> FunctionalHash {
        let mut scratch = std::mem::take(&mut self.scratch);
        let Scratch { hashes, slot_labels, classes, .. } = &mut scratch;
        slot_labels.clear();
        slot_labels.resize(self.slots.len(), 0);
        let live_slots = self.slots.iter().flatten().count();
        let mut class_count = usize::from(live_slots > 0);
        while class_count < live_slots {
            self.hash_nodes(program, hashes, slot_labels);
            classes.clear();
            classes.extend(self.slots.iter().flatten().map(|node| hashes[node.index()]));
            classes.sort_unstable();
            classes.dedup();
            for (label, node) in slot_labels.iter_mut().zip(&self.slots) {
                if let Some(node) = node {
                    let class = classes.partition_point(|class| *class < hashes[node.index()]);
                    *label = class as u128 + 1;
                }
            }
            if classes.len() == class_count {
                break;
            }
            class_count = classes.len();
        }
        self.hash_nodes(program, hashes, slot_labels);
        classes.clear();
        classes.extend(self.slots.iter().zip(&*slot_labels).filter_map(|(node, label)| {
            node.map(|n| hash_parts(*label as u64, &[hashes[n.index()]]))
        }));
        classes.sort_unstable();
        classes.dedup();
        classes.push(hashes[self.update as usize]);
        let hash = FunctionalHash(hash_parts(
            name_tag("program") ^ u64::from(FunctionalHash::FORMAT_VERSION),
            classes,
        ));
        self.scratch = scratch;
        hash
    }

    fn hash_nodes(&self, program: &Program, hashes: &mut Vec<u128>, slot_labels: &[u128]) {
        hashes.clear();
        for node in &self.nodes {
            let hash = match node.kind {
                NodeKind::Weights => hash_parts(const { name_tag("weights") }, &[]),
                NodeKind::Gradients => hash_parts(const { name_tag("gradients") }, &[]),
                NodeKind::LearningRate => hash_parts(const { name_tag("lr") }, &[]),
                NodeKind::Step => hash_parts(const { name_tag("t") }, &[]),
                NodeKind::Slot(slot) => {
                    hash_parts(const { name_tag("slot") }, &[slot_labels[slot.index()]])
                }
                NodeKind::Hyperparameter(variable) => {
                    // Settable from outside by its name, so the name is part of what the program
                    // computes.
                    let parameter = &program.signature().parameters[variable.index()];
                    let default = parameter.default.unwrap_or(0.0).to_bits();
                    hash_parts(
                        const { name_tag("hyperparameter") },
                        &[u128::from(name_tag(&parameter.name)), u128::from(default)],
                    )
                }
                NodeKind::Constant(bits) => {
                    hash_parts(const { name_tag("constant") }, &[u128::from(bits)])
                }
                NodeKind::Call(function) => {
                    let mut parts = [0; 3];
                    let arguments = node.arguments();
                    for (part, argument) in parts.iter_mut().zip(arguments) {
                        *part = hashes[argument.index()];
                    }
                    if function.row().commutative && parts[1] < parts[0] {
                        parts.swap(0, 1);
                    }
                    hash_parts(FUNCTION_TAGS[function as usize], &parts[..arguments.len()])
                }
            };
            hashes.push(hash);
        }
    }

    /// The cost of the live nodes.
    fn measure_cost(&mut self) -> Cost {
        let Scratch { levels, pass_reads, .. } = &mut self.scratch;
        // For each node: the pass in which it can first be computed, and the arrays that computing
        // it in a tile reads (bits 0: w, 1: g, 2..: slots).
        levels.clear();
        pass_reads.clear();
        let mut calls = 0;
        for node in &self.nodes {
            let entry = match node.kind {
                NodeKind::Weights => (0, 1),
                NodeKind::Gradients => (0, 2),
                NodeKind::Slot(slot) => (0, 4 << slot.index().min(61)),
                NodeKind::Call(function) => {
                    calls += 1;
                    let reads = node
                        .arguments()
                        .iter()
                        .fold(0, |reads, argument| reads | levels[argument.index()].1);
                    let pass_of = |id: NodeId| levels[id.index()].0 as usize;
                    let reduces = reduces_tree(function, node, &self.nodes);
                    let pass = schedule::pass(node, reduces, pass_of) as u32;
                    if reduces {
                        let summed_in = schedule::summed_in(node, pass_of);
                        if pass_reads.len() <= summed_in {
                            pass_reads.resize(summed_in + 1, 0);
                        }
                        pass_reads[summed_in] |= reads;
                        // Clip scales what it has summed: the same arrays are read again.
                        (pass, if function == Function::Clip { reads } else { 0 })
                    } else {
                        (pass, if node.ty.is_array() { reads } else { 0 })
                    }
                }
                _ => (0, 0),
            };
            levels.push(entry);
        }
        let outputs = self
            .slots
            .iter()
            .flatten()
            .map(|n| n.index())
            .chain(std::iter::once(self.update as usize));
        let last_pass = outputs.fold(1, |reads, node| reads | levels[node].1);
        let live_slots = self.slots.iter().flatten().count();
        let words = pass_reads.iter().map(|reads| reads.count_ones() as usize).sum::<usize>()
            + last_pass.count_ones() as usize
            + 1
            + live_slots;
        Cost {
            calls,
            array_passes: pass_reads.len() + 1,
            bytes_per_parameter: 4 * words,
            state_bytes_per_parameter: 4 * live_slots,
        }
    }

    fn find_redundant_statements(&mut self, program: &Program) {
        let signature = program.signature();
        let needed = &mut self.scratch.needed;
        let slot_live = &mut self.scratch.slot_live;
        let redundancy = &mut self.redundancy;
        redundancy.clear();
        redundancy.resize(program.statements.len(), Redundancy::WithinStep);

        // Within a step: all slots are outputs.
        needed.clear();
        needed.resize(self.scratch.environment.len(), false);
        needed[program.update.index()] = true;
        for slot in signature.slots() {
            needed[slot.index()] = true;
        }
        walk_back(program, needed, |index| redundancy[index] = Redundancy::AcrossSteps);

        // Across steps: a slot is an output only if a statement that matters reads it at the start
        // of the step.
        slot_live.clear();
        slot_live.resize(self.slots.len(), false);
        loop {
            needed.fill(false);
            needed[program.update.index()] = true;
            for (index, slot) in signature.slots().enumerate() {
                needed[slot.index()] |= slot_live[index];
            }
            walk_back(program, needed, |index| redundancy[index] = Redundancy::Live);
            let mut grew = false;
            for (index, slot) in signature.slots().enumerate() {
                if needed[slot.index()] && !slot_live[index] {
                    slot_live[index] = true;
                    grew = true;
                }
            }
            if !grew {
                break;
            }
        }
    }
}

/// A node id for the value of a variable whose statement is already known to be wrong.
const POISON: NodeId = NodeId(u32::MAX - 1);

/// Walks the statements backwards from the variables that are needed at the end, calls `visit` for
/// each one that is needed, and leaves in `needed` the variables that are needed at the start.
fn walk_back(program: &Program, needed: &mut [bool], mut visit: impl FnMut(usize)) {
    for (index, statement) in program.statements.iter().enumerate().rev() {
        if !needed[statement.target.index()] {
            continue;
        }
        visit(index);
        needed[statement.target.index()] = false;
        for argument in statement.arguments() {
            if let Operand::Variable(variable) = argument {
                needed[variable.index()] = true;
            }
        }
    }
}

/// FNV-1a of a name: a number for it that does not change when the table does.
const fn name_tag(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let mut tag = 0xcbf2_9ce4_8422_2325_u64;
    let mut index = 0;
    while index < bytes.len() {
        tag = (tag ^ bytes[index] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        index += 1;
    }
    tag
}

static FUNCTION_TAGS: [u64; crate::function::FUNCTIONS.len()] = {
    let mut tags = [0; crate::function::FUNCTIONS.len()];
    let mut index = 0;
    while index < tags.len() {
        tags[index] = name_tag(crate::function::FUNCTIONS[index].name);
        index += 1;
    }
    tags
};

/// A key for the hash-consing table; it lives for one abstract execution only.
fn node_key(node: &Node) -> u64 {
    let kind = match node.kind {
        NodeKind::Weights => 1,
        NodeKind::Gradients => 2,
        NodeKind::LearningRate => 3,
        NodeKind::Step => 4,
        NodeKind::Slot(slot) => 0x100 + u64::from(slot.0),
        NodeKind::Hyperparameter(variable) => 0x1_0000 + u64::from(variable.0),
        NodeKind::Constant(bits) => bits ^ 0x5555_5555_0000_0000,
        NodeKind::Call(function) => 0x20 + function as u64,
    };
    let [x, y, z] = node.arguments.map(|a| u64::from(a.0));
    let key = kind.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ (x | y << 32).wrapping_mul(0xc2b2_ae3d_27d4_eb4f)
        ^ z.wrapping_mul(0x1656_67b1_9e37_79f9);
    (key ^ key >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93) >> 20
}

/// 128 bits from a tag and parts, in two lanes that feed each other; every step is a bijection of
/// the state for a fixed part.
#[inline]
fn hash_parts(tag: u64, parts: &[u128]) -> u128 {
    let mut low = tag ^ 0x9e37_79b9_7f4a_7c15;
    let mut high = tag.rotate_left(32) ^ 0xc2b2_ae3d_27d4_eb4f ^ parts.len() as u64;
    for part in parts {
        low = (low ^ *part as u64).wrapping_mul(0xff51_afd7_ed55_8ccd);
        low ^= low >> 32;
        high = (high ^ (*part >> 64) as u64).wrapping_add(low).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        high ^= high >> 29;
        low = low.wrapping_add(high.rotate_left(23));
    }
    low = (low ^ high >> 31).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    low ^= low >> 27;
    high = high.wrapping_add(low).wrapping_mul(0x94d0_49bb_1331_11eb);
    high ^= high >> 31;
    low = low.wrapping_add(high.rotate_left(17));
    u128::from(high) << 64 | u128::from(low)
}
