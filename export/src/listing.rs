//! A program as lines of code that are in no language yet: what all exports are written from.
//!
//! A listing has the live values of a program's graph, each under the name that the program's text
//! gives it, or inside the expression that uses it where the text nested it. It is cut into
//! *stages* where a number is needed that depends on all parameter arrays (a global norm, a dot
//! product): a stage goes over the arrays one by one and takes sums, then scalars are computed from
//! the totals, then comes the next stage. The last stage gives the update and the next values of
//! the slots. A value of an array that two stages need is computed in both.

use std::collections::{BTreeMap, BTreeSet};

use symopt_dsl::graph::provenance::{node_ids, statements_of_nodes};
use symopt_dsl::graph::schedule;
use symopt_dsl::graph::{NodeId, NodeKind};
use symopt_dsl::program::{ParameterKind, VarId};
use symopt_dsl::range::{Range, ranges};
use symopt_dsl::semantics::EPSILON;
use symopt_dsl::{Function, FunctionalHash, Graph, Program, Type, escape};

/// Callee of a call in an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callee {
    /// A function of the language. `interp`, `dot`, `cosine_sim`, `global_norm`, and `clip` are not
    /// among them, nor are the guarded functions but `guarded_log1p`: the listing says what they
    /// are made of.
    Function(Function),
    /// The factor of `clip` from a global norm and a limit: 1 if the norm is at most the limit, or
    /// else their quotient.
    ClipFactor,
    /// The first argument, which is a number, spread: to an array it is rounded, and stands at each
    /// place of the second argument, an array of the type of the call; to a `PerArray` it is
    /// itself, and there is no second argument.
    Spread,
}

/// A value in the making.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// A parameter, a line or a total, by its name.
    Name(String, Type),
    /// A number.
    Number(f64),
    /// A call.
    Call(Callee, Type, Vec<Expression>),
}

impl Expression {
    /// The type of its value.
    pub fn ty(&self) -> Type {
        match self {
            Expression::Name(_, ty) | Expression::Call(_, ty, _) => *ty,
            Expression::Number(_) => Type::Scalar,
        }
    }

    fn call(function: Function, arguments: Vec<Expression>) -> Expression {
        let ty = arguments.iter().map(Expression::ty).fold(Type::Scalar, Type::join);
        Expression::Call(Callee::Function(function), ty, arguments)
    }

    /// How many names, numbers and calls it is made of.
    pub fn size(&self) -> usize {
        match self {
            Expression::Name(..) | Expression::Number(_) => 1,
            Expression::Call(.., arguments) => {
                1 + arguments.iter().map(Expression::size).sum::<usize>()
            }
        }
    }

    /// Calls a function with each callee inside and the type of its value.
    pub fn visit(&self, f: &mut impl FnMut(Callee, Type)) {
        if let Expression::Call(callee, ty, arguments) = self {
            f(*callee, *ty);
            arguments.iter().for_each(|argument| argument.visit(f));
        }
    }

    /// Whether it reads a name.
    pub fn reads(&self, name: &str) -> bool {
        match self {
            Expression::Name(own, _) => own == name,
            Expression::Number(_) => false,
            Expression::Call(.., arguments) => {
                arguments.iter().any(|argument| argument.reads(name))
            }
        }
    }
}

/// An assignment.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The name that is bound.
    pub name: String,
    /// Its value.
    pub value: Expression,
}

/// A sum of the products of two values over all elements of an array, and over all arrays. Where
/// one value is an array, the other one is too. Where neither value is an array, the product itself
/// stands for the array.
#[derive(Clone, Debug, PartialEq)]
pub struct Sum {
    /// The name of the total.
    pub name: String,
    /// First factor.
    pub x: Expression,
    /// Second factor.
    pub y: Expression,
    /// Whether each array keeps a total of its own: the name then stands for as many numbers as
    /// there are arrays.
    pub per_array: bool,
}

impl Sum {
    /// Returns the summand as text, made from the text of each factor; a factor of 1 is left out.
    pub fn written(&self, factor: impl Fn(&Expression) -> String) -> String {
        let x = factor(&self.x);
        if self.y == Expression::Number(1.0) { x } else { format!("{x} * {}", factor(&self.y)) }
    }

    /// Whether it is taken over the elements of arrays.
    pub fn is_of_trees(&self) -> bool {
        self.x.ty().join(self.y.ty()).is_array()
    }
}

/// A stage of a step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stage {
    /// Scalars that are computed before the arrays are gone through, in order.
    pub scalars: Vec<Line>,
    /// Computation on each array, in order. It may read the weights, the gradients and the slots,
    /// and all scalars and totals so far.
    pub lines: Vec<Line>,
    /// The sums that are taken; none in the last stage.
    pub sums: Vec<Sum>,
}

/// A parameter of the program other than its arrays.
#[derive(Clone, Debug, PartialEq)]
pub struct ScalarParameter {
    /// Its name in the listing.
    pub name: String,
    /// Its name in the program text.
    pub given: String,
    /// The default; for the learning rate, the conventional peak if the program states one.
    pub default: Option<f64>,
    /// Whether the step reads it.
    pub used: bool,
    /// The values that it may have.
    pub range: Range,
}

/// A program as lines of code.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing {
    /// The name of the program.
    pub name: String,
    /// Its doc string.
    pub doc: Option<String>,
    /// Its functional hash.
    pub hash: FunctionalHash,
    /// Its hyperparameters, in order; those that are not used too, so that an interface stays what
    /// the text says.
    pub hyperparameters: Vec<ScalarParameter>,
    /// The learning rate, or the value of the schedule, if the program takes it.
    pub learning_rate: Option<ScalarParameter>,
    /// The step count, if the program takes it.
    pub step: Option<ScalarParameter>,
    /// The name of the weights.
    pub weights: String,
    /// The name of the gradients.
    pub gradients: String,
    /// The names of the live slots, in order.
    pub slots: Vec<String>,
    /// The stages, one at least.
    pub stages: Vec<Stage>,
    /// Expression that is subtracted from the weights.
    pub update: Expression,
    /// The next value of each live slot.
    pub next_slots: Vec<Expression>,
}

/// Options of a target for its listing.
#[derive(Clone, Copy, Debug)]
pub struct ListingOptions<'a> {
    /// Names that are taken: keywords of the language, and what the export itself calls things.
    pub reserved: &'a [&'a str],
    /// Whether a name may be bound again once the value that it had is not needed any more. A number
    /// that is made of hyperparameters and constants alone never shares its name with another: in
    /// some libraries the one is a float in f64 and the other one a tensor in f32.
    pub rebind: bool,
    /// Whether the sums of a single array's elements are taken inside expressions, as array
    /// libraries do: `norm` is then a function like others. If not, they too end a stage, every
    /// line of a stage is element-wise, and numbers of an array get lines of their own.
    pub array_sums_inside: bool,
}

/// Stands among reserved names for all that begin with an underscore: Python changes those of
/// classes, frameworks have their own, and so have C's compilers. They lose it.
pub const UNDERSCORED: &str = "_*";

/// Stands among reserved names for all that begin with two capitals, as macros of C do.
pub const CAPITALS: &str = "AA*";

/// About how many columns an expression may take before one of its parts gets a line of its own.
const WIDEST: usize = 60;

/// Columns of a name that is not known yet.
const NAME: usize = 8;

/// How many elements, rows or columns a parameter array has, where arrays are not spoken of as a
/// whole: a call without arguments.
const fn shape_of_parameters(function: Function) -> Expression {
    Expression::Call(Callee::Function(function), Type::PerArray, Vec::new())
}

/// How many elements, rows or columns a value of a type has, by the shape of the parameter array.
fn shape_of(ty: Type, function: Function) -> Expression {
    use Function::{Columns, Multiply, Rows, Size};
    let [rows, columns] = match ty {
        Type::Scalar => return Expression::Number(1.0),
        Type::PerArray => {
            return Expression::Call(Callee::Spread, Type::PerArray, vec![Expression::Number(1.0)]);
        }
        Type::Tree => [Rows, Columns],
        Type::Transposed => [Columns, Rows],
        Type::RowsByRows => [Rows, Rows],
        Type::ColumnsByColumns => [Columns, Columns],
    };
    match function {
        Rows => shape_of_parameters(rows),
        Columns => shape_of_parameters(columns),
        _ if rows == columns => Expression::call(
            Multiply,
            vec![shape_of_parameters(rows), shape_of_parameters(columns)],
        ),
        _ => shape_of_parameters(Size),
    }
}

/// A scalar that is read several times gets a line of its own if it takes more columns than `1 -
/// beta1`.
const SHORT: usize = 20;

impl Listing {
    /// The listing of a program. `graph` must be the program's own.
    pub fn new(program: &Program, graph: &Graph, options: ListingOptions) -> Listing {
        Writer::new(program, graph, options).listing()
    }

    /// The listing of a program that has a part of its update as its update.
    pub fn of_part(
        program: &Program,
        graph: &Graph,
        options: ListingOptions,
        update: NodeId,
    ) -> Listing {
        Writer { update, ..Writer::new(program, graph, options) }.listing()
    }

    /// The scalars that depend on a name.
    pub fn dependent_scalars(&self, name: &str) -> Vec<String> {
        let mut dependent: Vec<String> = Vec::new();
        for line in self.stages.iter().flat_map(|stage| &stage.scalars) {
            if line.value.reads(name) || dependent.iter().any(|name| line.value.reads(name)) {
                dependent.push(line.name.clone());
            }
        }
        dependent
    }

    /// The listing of a program that counts the steps of each array by itself: scalars that depend
    /// on the step count, or on another name, are computed for each array, so none of them may be
    /// bound to what is computed of its own earlier value.
    pub fn with_own_steps(
        program: &Program,
        graph: &Graph,
        options: ListingOptions,
        other: &str,
    ) -> Listing {
        let listing = Listing::new(program, graph, options);
        let mut names: BTreeSet<&str> =
            listing.learning_rate.iter().map(|p| p.name.as_str()).collect();
        let mut scalars = listing.stages.iter().flat_map(|stage| &stage.scalars);
        let is_safe = listing.scalars_by_array(other).is_empty()
            || scalars.all(|line| names.insert(&line.name));
        if is_safe {
            listing
        } else {
            Listing::new(program, graph, ListingOptions { rebind: false, ..options })
        }
    }

    /// The scalars that depend on the step count or on another name.
    pub fn scalars_by_array(&self, other: &str) -> Vec<String> {
        let mut names = self.dependent_scalars(other);
        for step in self.step.iter().filter(|step| step.used) {
            names.extend(self.dependent_scalars(&step.name));
        }
        names
    }

    /// The lines of those scalars that a stage needs for each array, in order.
    pub fn lines_by_array(&self, stage: usize, scalars: &[String]) -> Vec<&Line> {
        let mut needed: Vec<&Line> = Vec::new();
        let lines: Vec<&Line> =
            self.stages[..=stage].iter().flat_map(|stage| &stage.scalars).collect();
        for line in lines.into_iter().rev().filter(|line| scalars.contains(&line.name)) {
            if self.stage_reads(stage, &line.name)
                || needed.iter().any(|later| later.value.reads(&line.name))
            {
                needed.push(line);
            }
        }
        needed.reverse();
        needed
    }

    /// Whether a stage reads a name for each array, in its lines or in the scalars that are
    /// computed there.
    pub fn reads_by_array(&self, stage: usize, scalars: &[String], name: &str) -> bool {
        self.stage_reads(stage, name)
            || self.lines_by_array(stage, scalars).iter().any(|line| line.value.reads(name))
    }

    /// Whether a stage reads a name in what it does with each array: its lines and sums, and in the
    /// last one the results.
    pub fn stage_reads(&self, stage: usize, name: &str) -> bool {
        let Some(Stage { lines, sums, .. }) = self.stages.get(stage) else { return false };
        let is_last = stage + 1 == self.stages.len();
        let results = self.next_slots.iter().chain([&self.update]).filter(|_| is_last);
        let values = lines
            .iter()
            .map(|line| &line.value)
            .chain(sums.iter().flat_map(|sum| [&sum.x, &sum.y]));
        values.chain(results).any(|expression| expression.reads(name))
    }

    /// All expressions, in order.
    pub fn expressions(&self) -> impl Iterator<Item = &Expression> {
        let stages = self.stages.iter().flat_map(|Stage { scalars, lines, sums }| {
            let values = scalars.iter().chain(lines).map(|line| &line.value);
            values.chain(sums.iter().flat_map(|sum| [&sum.x, &sum.y]))
        });
        stages.chain(std::iter::once(&self.update)).chain(&self.next_slots)
    }

    /// Whether the step reads a name.
    pub fn reads(&self, name: &str) -> bool {
        self.expressions().any(|expression| expression.reads(name))
    }
}

/// Whether a name is one that the parser gives to a call inside another one: `update_2` for a call
/// that `update` is made of.
fn is_part_of_another(name: &str, variables: &BTreeSet<String>) -> bool {
    let Some((base, number)) = name.rsplit_once('_') else { return false };
    !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && variables.contains(base)
}

/// Summand of a reduction: x, or the product of x and y.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Summand {
    x: NodeId,
    /// The second factor; `None` where x itself is summed.
    y: Option<NodeId>,
    /// The array to whose places factors that are no arrays are spread first, so that each counts
    /// once for each place.
    like: Option<NodeId>,
    /// Whether each array has a total of its own.
    per_array: bool,
}

impl Summand {
    fn new(x: NodeId, y: NodeId) -> Summand {
        Summand { x, y: Some(y), like: None, per_array: false }
    }

    fn of_each_array(x: NodeId, y: Option<NodeId>) -> Summand {
        Summand { x, y, like: None, per_array: true }
    }

    /// The values that it is made of.
    fn values(&self) -> impl Iterator<Item = NodeId> + use<> {
        std::iter::once(self.x).chain(self.y).chain(self.like)
    }
}

/// A sum that is taken at the end of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SumOf {
    stage: usize,
    of: Summand,
}

/// A place in the order in which a step computes: stages, and in each the scalars, the lines and
/// the sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Position {
    Scalars(usize, usize),
    Lines(usize, usize),
    /// The sums of a stage, or the results of the last one.
    End(usize),
}

/// State while a listing is made.
struct Writer<'a> {
    program: &'a Program,
    graph: &'a Graph,
    options: ListingOptions<'a>,
    update: NodeId,
    /// The name in the program text of each node that has one.
    given: Vec<Option<String>>,
    /// The first stage in which each node can be computed.
    levels: Vec<usize>,
    sums: Vec<SumOf>,
    /// The scalars that get a line, by stage.
    scalar_lines: Vec<Vec<NodeId>>,
    /// The values of arrays that get a line, by stage.
    array_lines: Vec<Vec<NodeId>>,
    /// The names of parameters, scalars and totals; those of arrays change from stage to stage.
    names: BTreeMap<NodeId, String>,
    sum_names: Vec<String>,
    factor_names: BTreeMap<NodeId, String>,
    taken: BTreeSet<String>,
}

impl<'a> Writer<'a> {
    fn new(program: &'a Program, graph: &'a Graph, options: ListingOptions<'a>) -> Writer<'a> {
        let variables: BTreeSet<String> = (0..program.variable_count())
            .map(|index| program.variable_name(VarId(index as u16)).to_string())
            .collect();
        let given = statements_of_nodes(program, graph)
            .into_iter()
            .map(|statements| {
                let targets =
                    statements.into_iter().map(|statement| program.statements[statement].target);
                let names = targets
                    .filter(|target| program.has_given_name(*target))
                    .map(|target| program.variable_name(target).to_string());
                names.into_iter().find(|name| !is_part_of_another(name, &variables))
            })
            .collect();
        let mut writer = Writer {
            program,
            graph,
            options,
            update: graph.update(),
            given,
            levels: Vec::new(),
            sums: Vec::new(),
            scalar_lines: Vec::new(),
            array_lines: Vec::new(),
            names: BTreeMap::new(),
            sum_names: Vec::new(),
            factor_names: BTreeMap::new(),
            taken: options.reserved.iter().map(|name| (*name).to_owned()).collect(),
        };
        writer.find_sums();
        writer
    }

    fn ty(&self, id: NodeId) -> Type {
        self.graph.node(id).ty
    }

    /// The function of a call and its arguments.
    fn called(&self, id: NodeId) -> Option<(Function, &'a [NodeId])> {
        let node = self.graph.node(id);
        match node.kind {
            NodeKind::Call(function) => Some((function, node.arguments())),
            _ => None,
        }
    }

    /// The sums that a call takes over all elements of arrays, or of one array.
    fn sums_of(&self, id: NodeId) -> Vec<Summand> {
        let Some((function, arguments)) = self.called(id) else { return Vec::new() };
        let is_scalar = |id: &NodeId| self.ty(*id) == Type::Scalar;
        // Vectors of one length: what is no array is spread over the other one.
        let product = |x: NodeId, y: NodeId, other: NodeId| {
            let smaller = [x, y].iter().any(|id| !self.ty(*id).is_array());
            let like = [x, y, other].into_iter().find(|id| smaller && self.ty(*id).is_array());
            Summand { like, ..Summand::new(x, y) }
        };
        match (function, arguments) {
            (Function::GlobalNorm | Function::Clip, [x, ..]) if !is_scalar(x) => {
                vec![Summand::new(*x, *x)]
            }
            (Function::Dot, [x, y]) if !(is_scalar(x) && is_scalar(y)) => vec![product(*x, *y, *y)],
            (Function::CosineSim, [x, y]) if !(is_scalar(x) && is_scalar(y)) => {
                vec![product(*x, *y, *y), product(*x, *x, *y), product(*y, *y, *x)]
            }
            (Function::Norm, [x]) if self.ty(*x).is_array() && !self.options.array_sums_inside => {
                vec![Summand::of_each_array(*x, Some(*x))]
            }
            (Function::Mean, [x]) if self.ty(*x).is_array() && !self.options.array_sums_inside => {
                vec![Summand::of_each_array(*x, None)]
            }
            _ => Vec::new(),
        }
    }

    /// Finds for each node the stage from which on it can be computed, and the sums with the stages
    /// that take them.
    fn find_sums(&mut self) {
        let needed = self.needed();
        self.levels = schedule::passes(self.graph, |id, _| {
            needed[id.index()] && !self.sums_of(id).is_empty()
        });
        for of in node_ids(self.graph)
            .filter(|id| needed[id.index()])
            .flat_map(|id| self.sums_of(id))
            .collect::<Vec<_>>()
        {
            let stage = of.values().map(|id| self.levels[id.index()]).max().unwrap_or(0);
            let sum = SumOf { stage, of };
            if !self.sums.contains(&sum) {
                self.sums.push(sum);
            }
        }
    }

    /// Which values a step computes: not those of which only the shape is asked for.
    fn needed(&self) -> Vec<bool> {
        let mut needed = vec![false; self.graph.nodes().len()];
        let mut open = vec![self.update];
        open.extend(self.graph.live_slots().map(|(_, node)| node));
        while let Some(id) = open.pop() {
            if !std::mem::replace(&mut needed[id.index()], true) {
                open.extend(self.parts(id));
                open.extend(self.sums_of(id).iter().flat_map(Summand::values));
            }
        }
        needed
    }

    fn stages(&self) -> usize {
        self.sums.iter().map(|sum| sum.stage + 2).max().unwrap_or(1)
    }

    /// The values of arrays that a stage has to have at its end.
    fn results(&self, stage: usize) -> Vec<NodeId> {
        let mut results: Vec<NodeId> = self
            .sums
            .iter()
            .filter(|sum| sum.stage == stage)
            .flat_map(|sum| sum.of.values())
            .collect();
        if stage + 1 == self.stages() {
            results.push(self.update);
            results.extend(self.graph.live_slots().map(|(_, node)| node));
        }
        results
    }

    /// The arguments whose values a node's own expression is made of. Those of a reduction stand in
    /// its sums.
    fn parts(&self, id: NodeId) -> Vec<NodeId> {
        let Some((function, arguments)) = self.called(id) else { return Vec::new() };
        match (self.sums_of(id).is_empty(), function) {
            // Only the shape of an array is asked for.
            (true, Function::Size | Function::Rows | Function::Columns)
                if !(self.options.array_sums_inside && self.ty(arguments[0]).is_array()) =>
            {
                Vec::new()
            }
            (true, _) => arguments.to_vec(),
            (false, Function::Clip) => vec![arguments[0], arguments[1]],
            (false, _) => Vec::new(),
        }
    }

    /// Decides which values get a line of their own.
    fn choose_lines(&mut self) {
        let stages = self.stages();
        let count = self.graph.nodes().len();
        // How often the lines and results of arrays read each scalar, and whether they do.
        let mut scalar_uses = vec![0_usize; count];
        let mut in_arrays = vec![false; count];
        for stage in 0..stages {
            let mut uses = vec![0_usize; count];
            let mut needed = vec![false; count];
            for id in self.results(stage) {
                uses[id.index()] += 1;
                needed[id.index()] = true;
            }
            let ids: Vec<NodeId> = node_ids(self.graph).collect();
            for id in ids.iter().rev().filter(|id| self.ty(**id) != Type::Scalar) {
                if needed[id.index()] {
                    for part in self.parts(*id) {
                        uses[part.index()] += 1;
                        needed[part.index()] = true;
                    }
                }
            }
            let mut sizes = self.leaf_sizes();
            let mut lines = Vec::new();
            for id in ids.iter().copied().filter(|id| needed[id.index()]) {
                if self.ty(id) == Type::Scalar {
                    scalar_uses[id.index()] += uses[id.index()];
                    in_arrays[id.index()] = true;
                } else if self.called(id).is_some() {
                    let size = self.shortened(id, &mut sizes, &mut lines);
                    let hoisted = self.ty(id) == Type::PerArray && !self.options.array_sums_inside;
                    if hoisted || self.given[id.index()].is_some() || uses[id.index()] > 1 {
                        lines.push(id);
                    } else {
                        sizes[id.index()] = size;
                    }
                }
            }
            lines.sort_unstable();
            self.array_lines.push(lines);
        }
        self.choose_scalar_lines(scalar_uses, &in_arrays);
    }

    fn choose_scalar_lines(&mut self, mut uses: Vec<usize>, in_arrays: &[bool]) {
        let ids: Vec<NodeId> =
            node_ids(self.graph).filter(|id| self.ty(*id) == Type::Scalar).collect();
        for id in node_ids(self.graph) {
            // The factor of a clip is a scalar too.
            if let (Some((Function::Clip, [_, limit])), false) =
                (self.called(id), self.sums_of(id).is_empty())
            {
                uses[limit.index()] += 1;
            }
        }
        for id in ids.iter().rev().filter(|id| self.called(**id).is_some()) {
            if uses[id.index()] > 0 {
                self.parts(*id).iter().for_each(|part| uses[part.index()] += 1);
            }
        }
        let mut sizes = self.leaf_sizes();
        self.scalar_lines = vec![Vec::new(); self.stages()];
        let calls: Vec<NodeId> = ids
            .into_iter()
            .filter(|id| self.called(*id).is_some() && uses[id.index()] > 0)
            .collect();
        let mut lines = Vec::new();
        for id in calls {
            let size = self.shortened(id, &mut sizes, &mut lines);
            let hoisted = in_arrays[id.index()] && !self.options.array_sums_inside;
            // A dot product is its total.
            if matches!(self.called(id), Some((Function::Dot, _))) && !self.sums_of(id).is_empty() {
                sizes[id.index()] = NAME;
            } else if self.given[id.index()].is_some()
                || hoisted
                || (uses[id.index()] > 1 && size > SHORT)
            {
                lines.push(id);
            } else {
                sizes[id.index()] = size;
            }
        }
        lines.sort_unstable();
        for id in lines {
            self.scalar_lines[self.levels[id.index()]].push(id);
        }
    }

    /// About how many columns a node's expression takes, once its largest parts have got lines of
    /// their own until the rest is short enough.
    fn shortened(&self, id: NodeId, sizes: &mut [usize], lines: &mut Vec<NodeId>) -> usize {
        let is_scalar = self.ty(id) == Type::Scalar;
        loop {
            let size = self.size(id, sizes);
            let is_inside = |part: &NodeId| {
                let is_own =
                    (self.ty(*part) == Type::Scalar) == is_scalar && self.called(*part).is_some();
                is_own && sizes[part.index()] > SHORT && !lines.contains(part)
            };
            match self
                .parts(id)
                .into_iter()
                .filter(is_inside)
                .max_by_key(|part| sizes[part.index()])
            {
                Some(part) if size > WIDEST => {
                    lines.push(part);
                    sizes[part.index()] = NAME;
                }
                _ => return size,
            }
        }
    }

    /// About how many columns the name or the number of each node takes that is read under one.
    fn leaf_sizes(&self) -> Vec<usize> {
        let size = |id: NodeId| match (&self.given[id.index()], self.graph.node(id).constant()) {
            (Some(name), _) => name.len(),
            (None, Some(number)) => number.to_string().len(),
            (None, None) => match self.graph.node(id).kind {
                NodeKind::Hyperparameter(variable) => {
                    self.program.variable_name(variable).to_string().len()
                }
                _ => NAME,
            },
        };
        node_ids(self.graph).map(size).collect()
    }

    /// About how many columns a node's expression takes, where those of its parts are known.
    fn size(&self, id: NodeId, sizes: &[usize]) -> usize {
        let parts: usize = self.parts(id).iter().map(|part| sizes[part.index()]).sum();
        // Numbers are kept from becoming arrays by a call around them.
        let parts = parts + if self.ty(id).is_array() { 0 } else { 7 };
        match self.called(id) {
            Some((Function::Interp, [.., weight])) => 16 + parts + sizes[weight.index()],
            Some((function, _)) if function.row().operator.is_some() => 3 + parts,
            Some((function, _)) => 8 + function.name().len() + parts,
            None => parts,
        }
    }

    fn is_line(&self, id: NodeId, stage: usize) -> bool {
        if self.ty(id) == Type::Scalar {
            self.scalar_lines[self.levels[id.index()]].contains(&id)
        } else {
            self.array_lines[stage].contains(&id)
        }
    }

    /// Notes in `last` that the names inside the expression of a node are read at a place.
    fn note_reads(
        &self,
        id: NodeId,
        place: Position,
        stage: usize,
        last: &mut BTreeMap<NodeId, Position>,
    ) {
        for part in self.parts(id) {
            if self.called(part).is_none() || self.is_line(part, stage) {
                last.insert(part, place);
            } else {
                self.note_reads(part, place, stage, last);
            }
        }
    }

    /// The last place at which each parameter, scalar and line is read. Lines of arrays are looked
    /// at in one stage only.
    fn last_reads(&self, of_stage: Option<usize>) -> BTreeMap<NodeId, Position> {
        let mut last = BTreeMap::new();
        for stage in 0..self.stages() {
            if of_stage.is_some_and(|of_stage| of_stage != stage) {
                continue;
            }
            for (index, id) in self.scalar_lines[stage].iter().enumerate() {
                self.note_reads(*id, Position::Scalars(stage, index), stage, &mut last);
            }
            for (index, id) in self.array_lines[stage].iter().enumerate() {
                self.note_reads(*id, Position::Lines(stage, index), stage, &mut last);
            }
            for id in self.results(stage) {
                if self.called(id).is_none() || self.is_line(id, stage) {
                    last.insert(id, Position::End(stage));
                } else {
                    self.note_reads(id, Position::End(stage), stage, &mut last);
                }
            }
        }
        for id in node_ids(self.graph) {
            if let (Some((Function::Clip, [_, limit])), false) =
                (self.called(id), self.sums_of(id).is_empty())
            {
                let place = Position::Scalars(self.levels[id.index()], usize::MAX);
                let later = last.get(limit).is_none_or(|known| *known < place);
                if later {
                    last.insert(*limit, place);
                }
            }
        }
        last
    }

    /// A name that nothing has yet, and marks it as taken.
    fn fresh(&mut self, base: &str) -> String {
        let mut base = base.to_owned();
        if base.starts_with('_') && self.options.reserved.contains(&UNDERSCORED) {
            let rest = base.trim_start_matches('_');
            base = if rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
                rest.to_owned()
            } else {
                format!("v{rest}")
            };
        }
        let is_of_macro = |c: char| c.is_ascii_uppercase() || c == '_';
        if base.len() > 1
            && base.starts_with(|c: char| c.is_ascii_uppercase())
            && base[1..].starts_with(is_of_macro)
        {
            base =
                if self.options.reserved.contains(&CAPITALS) { format!("v_{base}") } else { base };
        }
        let base = base.as_str();
        let mut name = base.to_owned();
        let mut number = 1;
        while self.taken.contains(&name) {
            number += 1;
            // A name that ends in a digit would seem to count on.
            let separator = if base.ends_with(|c: char| c.is_ascii_digit()) { "_" } else { "" };
            name = format!("{base}{separator}{number}");
        }
        self.taken.insert(name.clone());
        name
    }

    /// Returns the name of a value: its name in the program text, or else one made from its call.
    fn base_name(&self, id: NodeId) -> String {
        if let Some(given) = &self.given[id.index()] {
            return given.clone();
        }
        let name = |id: &NodeId| self.names.get(id).or(self.given[id.index()].as_ref());
        let one = |id: &NodeId| self.graph.node(*id).constant() == Some(1.0);
        match self.called(id) {
            Some((Function::Subtract, [x, y])) if one(x) && name(y).is_some() => {
                name(y).map_or_else(String::new, |y| format!("one_minus_{y}"))
            }
            Some((Function::Norm | Function::GlobalNorm, [x])) => {
                name(x).map_or_else(|| "norm".to_owned(), |x| format!("{x}_norm"))
            }
            Some((Function::Square, [x])) => {
                name(x).map_or_else(|| "squares".to_owned(), |x| format!("{x}_squared"))
            }
            Some((Function::Interp, [.., weight]))
                if self.ty(id) == Type::Tree && name(weight).is_some() =>
            {
                "blend".to_owned()
            }
            Some((Function::Clip, [x, _])) => {
                name(x).map_or_else(|| "clipped".to_owned(), |x| format!("{x}_clipped"))
            }
            _ if self.ty(id) == Type::Scalar => "scalar".to_owned(),
            _ => "value".to_owned(),
        }
    }

    fn name_parameters(&mut self) -> BTreeMap<VarId, String> {
        let mut by_variable = BTreeMap::new();
        for (index, parameter) in self.program.signature().parameters.iter().enumerate() {
            let dead = matches!(parameter.kind, ParameterKind::Slot(slot) if self.graph.slots()[slot.index()].is_none());
            if !dead {
                let name = self.fresh(&parameter.name);
                by_variable.insert(VarId(index as u16), name);
            }
        }
        let variable = |kind: ParameterKind| {
            let parameters = &self.program.signature().parameters;
            parameters.iter().position(|p| p.kind == kind).map(|index| VarId(index as u16))
        };
        for id in node_ids(self.graph) {
            let parameter = match self.graph.node(id).kind {
                NodeKind::Weights => variable(ParameterKind::Weights),
                NodeKind::Gradients => variable(ParameterKind::Gradients),
                NodeKind::LearningRate => variable(ParameterKind::LearningRate),
                NodeKind::Step => variable(ParameterKind::Step),
                NodeKind::Slot(slot) => variable(ParameterKind::Slot(slot)),
                NodeKind::Hyperparameter(variable) => Some(variable),
                NodeKind::Constant(_) | NodeKind::Call(_) => None,
            };
            if let Some(name) = parameter.and_then(|parameter| by_variable.get(&parameter)) {
                self.names.insert(id, name.clone());
            }
        }
        by_variable
    }

    /// Which values are made of hyperparameters and constants alone.
    fn of_numbers(&self) -> Vec<bool> {
        let mut of_numbers = vec![false; self.graph.nodes().len()];
        for id in node_ids(self.graph) {
            let node = self.graph.node(id);
            of_numbers[id.index()] = match node.kind {
                NodeKind::Constant(_) | NodeKind::Hyperparameter(_) => true,
                NodeKind::Call(_) => node.arguments().iter().all(|id| of_numbers[id.index()]),
                _ => false,
            };
        }
        of_numbers
    }

    /// Whether a line may bind a name that is bound already: what it is bound to must not be read
    /// after the line.
    fn may_rebind(
        &self,
        name: &str,
        bound: &BTreeMap<String, NodeId>,
        last: &BTreeMap<NodeId, Position>,
        place: Position,
    ) -> bool {
        self.options.rebind
            && bound
                .get(name)
                .is_some_and(|holder| last.get(holder).is_none_or(|last| *last <= place))
    }

    /// Names scalars, totals and the factors of clips.
    fn name_scalars(&mut self) {
        let last = self.last_reads(None);
        let of_numbers = self.of_numbers();
        let learning_rate =
            node_ids(self.graph).find(|id| self.graph.node(*id).kind == NodeKind::LearningRate);
        let mut bound: BTreeMap<String, NodeId> = learning_rate
            .and_then(|id| self.names.get(&id).map(|name| (name.clone(), id)))
            .into_iter()
            .collect();
        for stage in 0..self.stages() {
            for (index, id) in self.scalar_lines[stage].clone().into_iter().enumerate() {
                let base = self.base_name(id);
                let rebinds =
                    self.may_rebind(&base, &bound, &last, Position::Scalars(stage, index))
                        && bound.get(&base).is_some_and(|holder| {
                            of_numbers[holder.index()] == of_numbers[id.index()]
                        });
                let name = if rebinds { base } else { self.fresh(&base) };
                bound.insert(name.clone(), id);
                self.names.insert(id, name);
            }
            let clips: Vec<(NodeId, NodeId)> = node_ids(self.graph)
                .filter_map(|id| match self.called(id) {
                    Some((Function::Clip, [x, _]))
                        if self.levels[id.index()] == stage && !self.sums_of(id).is_empty() =>
                    {
                        Some((id, *x))
                    }
                    _ => None,
                })
                .collect();
            for (id, x) in clips {
                let base = format!("{}_factor", self.known_name(x).unwrap_or("clip"));
                let name = self.fresh(&base);
                self.factor_names.insert(id, name);
            }
            for SumOf { of, .. } in self.sums.clone().into_iter().filter(|sum| sum.stage == stage) {
                let Summand { x, y, .. } = of;
                let product = node_ids(self.graph).find(|id| {
                    matches!(self.called(*id), Some((Function::Dot, _)))
                        && self.sums_of(*id) == [of]
                });
                let given = product.and_then(|id| self.given[id.index()].as_deref());
                let base = match (self.known_name(x), y.and_then(|y| self.known_name(y))) {
                    _ if given.is_some() => given.unwrap_or_default().to_owned(),
                    (Some(name), _) if y.is_none() => format!("{name}_sum"),
                    (Some(name), _) if y == Some(x) => format!("{name}_squares"),
                    (Some(x), Some(y)) => format!("{x}_dot_{y}"),
                    _ if y.is_none() => "sum".to_owned(),
                    _ if y == Some(x) => "squares".to_owned(),
                    _ => "products".to_owned(),
                };
                let name = self.fresh(&base);
                self.sum_names.push(name);
            }
        }
    }

    fn known_name(&self, id: NodeId) -> Option<&str> {
        self.names.get(&id).or(self.given[id.index()].as_ref()).map(String::as_str)
    }

    /// The names of the lines of a stage, and those of the arrays that they start from.
    fn name_lines(&mut self, stage: usize) -> BTreeMap<NodeId, String> {
        let mut last = self.last_reads(Some(stage));
        let arrays = |kind: NodeKind| {
            matches!(kind, NodeKind::Weights | NodeKind::Gradients | NodeKind::Slot(_))
        };
        let mut bound: BTreeMap<String, NodeId> = BTreeMap::new();
        for id in node_ids(self.graph).filter(|id| arrays(self.graph.node(*id).kind)) {
            if let Some(name) = self.names.get(&id) {
                bound.insert(name.clone(), id);
            }
            // The update is subtracted from the weights.
            if self.graph.node(id).kind == NodeKind::Weights {
                last.insert(id, Position::End(stage));
            }
        }
        let taken = self.taken.clone();
        let mut local = BTreeMap::new();
        for (index, id) in self.array_lines[stage].clone().into_iter().enumerate() {
            let base = self.base_name(id);
            let rebinds = self.may_rebind(&base, &bound, &last, Position::Lines(stage, index));
            let name = if rebinds { base } else { self.fresh(&base) };
            bound.insert(name.clone(), id);
            local.insert(id, name);
        }
        // The next stage goes over the arrays anew, under the same names.
        self.taken = taken;
        local
    }

    fn stage(&mut self, stage: usize) -> (Stage, BTreeMap<NodeId, String>) {
        let local = self.name_lines(stage);
        let none = BTreeMap::new();
        let line = |name: &str, value| Line { name: name.to_owned(), value };
        let mut scalars: Vec<Line> = self.scalar_lines[stage]
            .iter()
            .map(|id| line(&self.names[id], self.call(*id, &none)))
            .collect();
        for (id, name) in &self.factor_names {
            if let (true, Some((_, [x, limit]))) =
                (self.levels[id.index()] == stage, self.called(*id))
            {
                let norm = Expression::call(Function::Sqrt, vec![self.total(Summand::new(*x, *x))]);
                scalars.push(line(
                    name,
                    Expression::Call(
                        Callee::ClipFactor,
                        Type::Scalar,
                        vec![norm, self.expression(*limit, &none)],
                    ),
                ));
            }
        }
        let lines = self.array_lines[stage]
            .iter()
            .map(|id| line(&local[id], self.call(*id, &local)))
            .collect();
        let factor = |id: NodeId, like: Option<NodeId>| {
            let value = self.expression(id, &local);
            match like {
                Some(like) if !self.ty(id).is_array() => Expression::Call(
                    Callee::Spread,
                    self.ty(like),
                    vec![value, self.expression(like, &local)],
                ),
                _ => value,
            }
        };
        let sums = self.sums.iter().zip(&self.sum_names).filter(|(sum, _)| sum.stage == stage).map(
            |(SumOf { of, .. }, name)| Sum {
                name: name.clone(),
                x: factor(of.x, of.like),
                y: of.y.map_or(Expression::Number(1.0), |y| factor(y, of.like)),
                per_array: of.per_array,
            },
        );
        let sums = sums.collect();
        (Stage { scalars, lines, sums }, local)
    }

    /// A total by its name.
    fn total(&self, of: Summand) -> Expression {
        let place = self.sums.iter().position(|sum| sum.of == of);
        let ty = if of.per_array { Type::PerArray } else { Type::Scalar };
        place.map_or(Expression::Number(f64::NAN), |place| {
            Expression::Name(self.sum_names[place].clone(), ty)
        })
    }

    /// A value as others read it: by its name if it has one.
    fn expression(&self, id: NodeId, local: &BTreeMap<NodeId, String>) -> Expression {
        let node = self.graph.node(id);
        match (local.get(&id).or_else(|| self.names.get(&id)), node.constant()) {
            (Some(name), _) => Expression::Name(name.clone(), node.ty),
            (None, Some(number)) => Expression::Number(number),
            (None, None) => self.call(id, local),
        }
    }

    /// Returns the expression of a call.
    fn call(&self, id: NodeId, local: &BTreeMap<NodeId, String>) -> Expression {
        let Some((function, arguments)) = self.called(id) else {
            return self.expression(id, local);
        };
        let at = |index: usize| {
            arguments
                .get(index)
                .map_or(Expression::Number(f64::NAN), |id| self.expression(*id, local))
        };
        let call =
            |function: Function, arguments: Vec<Expression>| Expression::call(function, arguments);
        let multiply = |x, y| call(Function::Multiply, vec![x, y]);
        let root = |x| call(Function::Sqrt, vec![x]);
        let magnitude = |x| call(Function::Abs, vec![x]);
        let sums = self.sums_of(id);
        let total = |index: usize| self.total(sums[index]);
        let is_of_array =
            |index: usize| arguments.get(index).is_some_and(|id| self.ty(*id).is_array());
        match (function, sums.len()) {
            (Function::GlobalNorm, 1) => root(total(0)),
            (Function::Mean, 1) => call(
                Function::Divide,
                vec![total(0), shape_of(self.ty(arguments[0]), Function::Size)],
            ),
            (Function::Norm, 1) => root(total(0)),
            (Function::Dot, 1) => total(0),
            (Function::CosineSim, 3) => {
                call(Function::Divide, vec![total(0), multiply(root(total(1)), root(total(2)))])
            }
            (Function::Clip, 1) => {
                let factor = self.factor_names.get(&id).map_or(Expression::Number(f64::NAN), |f| {
                    Expression::Name(f.clone(), Type::Scalar)
                });
                multiply(at(0), factor)
            }
            (Function::Norm, _) if is_of_array(0) => {
                Expression::Call(Callee::Function(Function::Norm), Type::PerArray, vec![at(0)])
            }
            (Function::Mean | Function::Size | Function::Rows | Function::Columns, _)
                if is_of_array(0) && self.options.array_sums_inside =>
            {
                Expression::Call(Callee::Function(function), Type::PerArray, vec![at(0)])
            }
            (Function::Size | Function::Rows | Function::Columns, _) => {
                shape_of(self.ty(arguments[0]), function)
            }
            // A number is a matrix of one row and one column.
            (
                Function::Mean | Function::Transpose | Function::RowMean | Function::ColumnMean,
                _,
            ) if !is_of_array(0) => at(0),
            (Function::Matmul, _) if !is_of_array(0) && !is_of_array(1) => multiply(at(0), at(1)),
            (Function::Norm | Function::GlobalNorm, _) => magnitude(at(0)),
            (Function::Dot, _) => multiply(at(0), at(1)),
            (Function::CosineSim, _) => {
                let squares = |index| call(Function::Square, vec![at(index)]);
                call(
                    Function::Divide,
                    vec![multiply(at(0), at(1)), multiply(root(squares(0)), root(squares(1)))],
                )
            }
            (Function::Clip, _) => multiply(
                at(0),
                Expression::Call(Callee::ClipFactor, Type::Scalar, vec![magnitude(at(0)), at(1)]),
            ),
            (Function::Interp, _) => {
                let rest = call(Function::Subtract, vec![Expression::Number(1.0), at(2)]);
                call(Function::Add, vec![multiply(rest, at(0)), multiply(at(2), at(1))])
            }
            (Function::GuardedSqrt, _) => root(magnitude(at(0))),
            (Function::GuardedLog, _) => call(Function::Log, vec![magnitude(at(0))]),
            (Function::GuardedLog2, _) => call(Function::Log2, vec![magnitude(at(0))]),
            (Function::GuardedLog10, _) => call(Function::Log10, vec![magnitude(at(0))]),
            (Function::GuardedDivide, _) => {
                // A number meets the array first, and is rounded to its type before it is guarded.
                let divisor = match at(1) {
                    number if is_of_array(0) && !number.ty().is_array() => {
                        Expression::Call(Callee::Spread, self.ty(arguments[0]), vec![number, at(0)])
                    }
                    divisor => divisor,
                };
                let guarded = call(Function::Add, vec![divisor, Expression::Number(EPSILON)]);
                call(Function::Divide, vec![at(0), guarded])
            }
            // The result of a matrix function has another shape than its operands.
            _ => Expression::Call(
                Callee::Function(function),
                self.ty(id),
                (0..arguments.len()).map(at).collect(),
            ),
        }
    }

    fn listing(mut self) -> Listing {
        self.sums.sort_by_key(|sum| sum.stage);
        self.choose_lines();
        let parameters = self.name_parameters();
        self.name_scalars();
        let count = self.stages();
        let mut stages = Vec::with_capacity(count);
        let mut local = BTreeMap::new();
        for stage in 0..count {
            let (done, names) = self.stage(stage);
            stages.push(done);
            local = names;
        }
        let signature = self.program.signature();
        let name_of = |kind: ParameterKind| {
            let index = signature.parameters.iter().position(|p| p.kind == kind)?;
            parameters.get(&VarId(index as u16)).cloned()
        };
        let mut listing = Listing {
            name: signature.name.clone(),
            doc: signature.doc.as_deref().map(|doc| escape::lines(doc).into_owned()),
            hash: self.graph.hash(),
            hyperparameters: Vec::new(),
            learning_rate: None,
            step: None,
            weights: name_of(ParameterKind::Weights).unwrap_or_default(),
            gradients: name_of(ParameterKind::Gradients).unwrap_or_default(),
            slots: signature.slots().filter_map(|slot| parameters.get(&slot).cloned()).collect(),
            stages,
            update: self.expression(self.update, &local),
            next_slots: self
                .graph
                .live_slots()
                .map(|(_, node)| self.expression(node, &local))
                .collect(),
        };
        let ranges = ranges(self.program, self.graph);
        let needed = self.needed();
        for (index, parameter) in signature.parameters.iter().enumerate() {
            let Some(name) = parameters.get(&VarId(index as u16)) else { continue };
            // A name that is bound again is read as another value too; what matters is whether the
            // graph has the parameter's node.
            let used = node_ids(self.graph).any(|id| {
                needed[id.index()] && self.names.get(&id) == Some(name) && self.called(id).is_none()
            });
            let range = ranges.get(index).copied().unwrap_or(Range::FINITE);
            let scalar = ScalarParameter {
                name: name.clone(),
                given: parameter.name.clone(),
                default: parameter.default,
                used,
                range,
            };
            match parameter.kind {
                ParameterKind::Hyperparameter => listing.hyperparameters.push(scalar),
                ParameterKind::LearningRate => listing.learning_rate = Some(scalar),
                ParameterKind::Step => listing.step = Some(scalar),
                ParameterKind::Weights | ParameterKind::Gradients | ParameterKind::Slot(_) => {}
            }
        }
        listing
    }
}
