//! The formula of a program: the update and the next value of each live slot, as mathematics.
//!
//! A [`Formula`] is a list of equations in two notations. In Unicode a slot `m` has the next value
//! `m′`; in LaTeX times are indices, `m_t` follows from `m_{t-1}` and `w_{t+1}` from `w_t`. A value
//! that is used more than once, a large one, and a fraction inside a fraction get an equation of
//! their own, under the name of the program's own variable where there is one. So the formula is
//! never longer than the program's graph by more than a factor, whatever is shared.
//!
//! Numbers are never rounded: each stands with the fewest digits that give the same f64.
//!
//! | module | what it holds |
//! |---|---|
//! | `expression` | expressions without a notation, and how they are read off a graph |
//! | `symbol`, `number` | names and numbers |
//! | `unicode`, `latex` | the two notations |

mod expression;
mod latex;
mod number;
mod symbol;
mod unicode;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use symopt_dsl::function::Function;
use symopt_dsl::graph::provenance::{is_call, node_ids, statements_of_nodes};
use symopt_dsl::graph::{Graph, NodeId, NodeKind};
use symopt_dsl::program::{ParameterKind, Program, VarId};

use expression::{
    CLIP, COLUMN_MEAN, COLUMNS, COSINE, Expression, MEAN, NEWTON_SCHULZ, Operator, ROW_MEAN, ROWS,
    Reader, SIZE, WHERE, constant_symbols,
};
use symbol::{Mark, Symbol, latex_text};

/// Columns of Unicode that the right side of an equation may take, as far as names allow.
const WIDTH: usize = 64;

/// How deep calls may nest in one equation.
const DEPTH: usize = 7;

/// One equation in both notations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Equation {
    /// Left side in Unicode: `m′`.
    pub name: String,
    /// Right side in Unicode.
    pub unicode: String,
    /// Left side in LaTeX.
    pub latex_name: String,
    /// Right side in LaTeX.
    pub latex: String,
}

/// Meaning of a symbol or a notation. Each notation lists those that it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Meaning {
    unicode: Option<(String, String)>,
    latex: Option<(String, String)>,
}

/// The formula of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Formula {
    /// The update. In LaTeX the equation is that of the next weights.
    pub update: Equation,
    /// The next values of the live slots, in the order of the signature.
    pub slots: Vec<Equation>,
    /// Definitions that the equations above use, each after those that it uses itself.
    pub definitions: Vec<Equation>,
    /// In LaTeX the equation of the update, where more than the next weights need it: both sides.
    latex_update: Option<(String, String)>,
    legend: Vec<Meaning>,
}

impl Formula {
    /// The formula of a program. `graph` must be the program's own.
    pub fn new(program: &Program, graph: &Graph) -> Formula {
        let variables = variables_of_nodes(program, graph);
        let outline = Outline::new(program, graph, &variables);
        Writer::new(program, outline, &variables).formula()
    }

    /// The formula in Unicode: an equation a line, aligned at the equality sign, then what the
    /// symbols stand for.
    pub fn unicode(&self) -> String {
        let equations = || std::iter::once(&self.update).chain(&self.slots);
        let width = equations()
            .chain(&self.definitions)
            .map(|equation| unicode::columns(&equation.name))
            .max()
            .unwrap_or(0);
        let line = |equation: &Equation| {
            let margin = " ".repeat(width - unicode::columns(&equation.name).min(width));
            format!("{margin}{} = {}\n", equation.name, equation.unicode)
        };
        let mut text: String = equations().map(line).collect();
        if !self.definitions.is_empty() {
            text.push_str("where\n");
            text.extend(self.definitions.iter().map(line));
        }
        let items: Vec<String> = self
            .legend
            .iter()
            .filter_map(|m| m.unicode.as_ref())
            .map(|(symbol, meaning)| format!("{symbol}: {meaning}"))
            .collect();
        if !items.is_empty() {
            text.push_str(&format!("\n{}\n", filled(&items, ", ", 100).join(",\n")));
        }
        text
    }

    /// The formula as an `align*` block for LaTeX with amsmath.
    pub fn latex(&self) -> String {
        let mut rows: Vec<String> = Vec::new();
        let mut row =
            |word: &str, left: &str, right: &str| rows.push(format!("  {word}{left} &= {right}"));
        row("", &self.update.latex_name, &self.update.latex);
        if let Some((left, right)) = &self.latex_update {
            row("", left, right);
        }
        for equation in &self.slots {
            row("", &equation.latex_name, &equation.latex);
        }
        for (index, equation) in self.definitions.iter().enumerate() {
            row(
                if index == 0 { r"\text{where}\quad " } else { "" },
                &equation.latex_name,
                &equation.latex,
            );
        }
        let items: Vec<String> = self
            .legend
            .iter()
            .filter_map(|m| m.latex.as_ref())
            .map(|(symbol, meaning)| format!(r"{symbol}\colon\ {meaning}"))
            .collect();
        let mut text = rows.join(" \\\\\n");
        for (index, line) in filled(&items, r",\quad ", 100).into_iter().enumerate() {
            text.push_str(if index == 0 { " \\\\[1ex]\n" } else { " \\\\\n" });
            text.push_str(&format!("  & {line}"));
        }
        format!("\\begin{{align*}}\n{text}\n\\end{{align*}}\n")
    }
}

/// Items joined into lines of at most `width` columns, or of one item.
fn filled(items: &[String], separator: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for item in items {
        match lines.last_mut() {
            Some(line)
                if unicode::columns(line) + separator.len() + unicode::columns(item) <= width =>
            {
                line.push_str(separator);
                line.push_str(item);
            }
            _ => lines.push(item.clone()),
        }
    }
    lines
}

/// The variables that each node of the graph is the value of, in the order of the statements, each
/// once. Only calls have any, and the variables that nested expressions were lowered with
/// (`update_2` of `update`) are left out.
fn variables_of_nodes(program: &Program, graph: &Graph) -> Vec<Vec<VarId>> {
    let statements = statements_of_nodes(program, graph);
    let names: Vec<String> = (0..program.variable_count())
        .map(|i| program.variable_name(VarId(i as u16)).to_string())
        .collect();
    let known: HashSet<&str> = names.iter().map(String::as_str).collect();
    let is_temporary = |variable: VarId| {
        let stem = names[variable.index()].trim_end_matches(|c: char| c.is_ascii_digit());
        stem.len() < names[variable.index()].len()
            && stem.strip_suffix('_').is_some_and(|stem| known.contains(stem))
    };
    let of_node = |(index, statements): (usize, Vec<usize>)| {
        let mut variables = Vec::new();
        if is_call(&graph.nodes()[index]) {
            for statement in statements {
                let target = program.statements[statement].target;
                if !variables.contains(&target) && !is_temporary(target) {
                    variables.push(target);
                }
            }
        }
        variables
    };
    statements.into_iter().enumerate().map(of_node).collect()
}

/// The parameter that a node is, if it is an input.
fn parameter_of(program: &Program, kind: NodeKind) -> Option<VarId> {
    let wanted = match kind {
        NodeKind::Weights => ParameterKind::Weights,
        NodeKind::Gradients => ParameterKind::Gradients,
        NodeKind::LearningRate => ParameterKind::LearningRate,
        NodeKind::Step => ParameterKind::Step,
        NodeKind::Slot(slot) => ParameterKind::Slot(slot),
        NodeKind::Hyperparameter(variable) => return Some(variable),
        NodeKind::Constant(_) | NodeKind::Call(_) => return None,
    };
    program
        .signature()
        .parameters
        .iter()
        .position(|p| p.kind == wanted)
        .map(|index| VarId(index as u16))
}

/// Whether each node depends on a node of these kinds, itself included.
fn depends_on(graph: &Graph, is_source: impl Fn(NodeKind) -> bool) -> Vec<bool> {
    let mut depends: Vec<bool> = Vec::with_capacity(graph.nodes().len());
    for node in graph.nodes() {
        let answer = is_source(node.kind) || node.arguments().iter().any(|a| depends[a.index()]);
        depends.push(answer);
    }
    depends
}

fn is_quotient(kind: NodeKind) -> bool {
    matches!(
        kind,
        NodeKind::Call(Function::Divide | Function::GuardedDivide | Function::Reciprocal)
    )
}

/// Decides which nodes get an equation of their own.
struct Outline<'a> {
    graph: &'a Graph,
    /// Whether each node has a name in the program that says something.
    named: Vec<bool>,
    defined: Vec<bool>,
    depends_on_slot: Vec<bool>,
}

impl<'a> Outline<'a> {
    fn new(program: &Program, graph: &'a Graph, variables: &[Vec<VarId>]) -> Outline<'a> {
        let parameters = program.signature().parameters.len();
        let says_something = |variable: VarId| {
            let name = program.variable_name(variable).to_string();
            let numbered =
                name.strip_prefix('v').is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
            variable.index() >= parameters && variable != program.update && !numbered
        };
        let named = variables.iter().map(|list| list.iter().any(|v| says_something(*v))).collect();
        let depends_on_slot = depends_on(graph, |kind| matches!(kind, NodeKind::Slot(_)));
        let mut outline =
            Outline { graph, named, defined: vec![false; graph.nodes().len()], depends_on_slot };

        let mut uses = vec![0_usize; graph.nodes().len()];
        for node in graph.nodes() {
            for (position, argument) in node.arguments().iter().enumerate() {
                // interp writes its weight twice.
                uses[argument.index()] += if position == 2 { 2 } else { 1 };
            }
        }
        uses[graph.update().index()] += 1;
        for (_, next) in graph.live_slots() {
            uses[next.index()] += 1;
            outline.defined[next.index()] = is_call(graph.node(next));
        }
        for id in node_ids(graph) {
            if is_call(graph.node(id)) && uses[id.index()] > 1 && !outline.is_small(id) {
                outline.defined[id.index()] = true;
            }
        }
        for id in node_ids(graph).filter(|id| is_call(graph.node(*id))) {
            outline.fit(id);
        }
        outline
    }

    /// Whether a node is written as shortly as a name: the square of a symbol, and the like.
    fn is_small(&self, id: NodeId) -> bool {
        use Function as F;
        let node = self.graph.node(id);
        let is_short = matches!(
            node.kind,
            NodeKind::Call(F::Square | F::Cube | F::Abs | F::Negative | F::Norm | F::GlobalNorm)
        );
        is_short
            && node
                .arguments()
                .iter()
                .all(|a| !is_call(self.graph.node(*a)) || self.defined[a.index()])
    }

    /// Gives names to what node `root` is made of until its equation is easy to read. Its parts
    /// have been through this before.
    fn fit(&mut self, root: NodeId) {
        if is_quotient(self.graph.node(root).kind) {
            for argument in self.graph.node(root).arguments().to_vec() {
                self.name_quotients(argument);
            }
        }
        while self.columns(root) > WIDTH || self.depth(root) > DEPTH {
            let mut parts = Vec::new();
            self.parts(root, &mut parts);
            // Prefers the part that saves most, and rather one that has a name.
            let gain = |id: NodeId| {
                let columns = self.columns(id).saturating_sub(4);
                if self.depth(root) > DEPTH && self.depth(id) < DEPTH / 2 {
                    0
                } else if self.named[id.index()] {
                    columns * 3
                } else {
                    columns * 2
                }
            };
            let Some(best) = parts
                .into_iter()
                .max_by_key(|id| (gain(*id), std::cmp::Reverse(*id)))
                .filter(|id| gain(*id) > 0)
            else {
                return;
            };
            self.defined[best.index()] = true;
        }
    }

    /// Names the quotients in a part of an equation, or what has a name and holds them.
    fn name_quotients(&mut self, id: NodeId) {
        let node = *self.graph.node(id);
        if self.defined[id.index()] || !is_call(&node) || !self.holds_quotient(id) {
            return;
        }
        if self.named[id.index()] || is_quotient(node.kind) {
            self.defined[id.index()] = true;
        } else {
            for argument in node.arguments() {
                self.name_quotients(*argument);
            }
        }
    }

    fn holds_quotient(&self, id: NodeId) -> bool {
        let node = self.graph.node(id);
        let mut parts = Vec::new();
        self.parts(id, &mut parts);
        is_quotient(node.kind) || parts.iter().any(|part| is_quotient(self.graph.node(*part).kind))
    }

    /// The calls that are written out inside the equation of a node, without the node.
    fn parts(&self, id: NodeId, parts: &mut Vec<NodeId>) {
        for argument in self.graph.node(id).arguments() {
            if is_call(self.graph.node(*argument)) && !self.defined[argument.index()] {
                parts.push(*argument);
                self.parts(*argument, parts);
            }
        }
    }

    fn depth(&self, id: NodeId) -> usize {
        let below = self
            .graph
            .node(id)
            .arguments()
            .iter()
            .filter(|a| is_call(self.graph.node(**a)) && !self.defined[a.index()]);
        1 + below.map(|argument| self.depth(*argument)).max().unwrap_or(0)
    }

    /// Columns of a node's equation, with short names for all symbols.
    fn columns(&self, id: NodeId) -> usize {
        let placeholder = Symbol::of_name("x1");
        let symbol = |id: NodeId| {
            let written_out = is_call(self.graph.node(id)) && !self.defined[id.index()];
            let is_number = self.graph.node(id).constant().is_some();
            (!written_out && !is_number).then(|| Expression::Symbol(placeholder.clone(), None))
        };
        let reader =
            Reader { graph: self.graph, depends_on_slot: &self.depends_on_slot, symbol: &symbol };
        unicode::columns(&unicode::text(&reader.write_out(id)))
    }
}

/// Writes the equations.
struct Writer<'a> {
    program: &'a Program,
    outline: Outline<'a>,
    /// The symbol of each input and of each node with an equation, with its time.
    symbols: Vec<Option<(Symbol, Option<&'static str>)>>,
    update: Symbol,
    weights: Symbol,
    /// The symbols of the slots, dead ones included.
    slots: Vec<Symbol>,
    /// The symbols of the parameters that matter.
    inputs: Vec<(VarId, Symbol)>,
}

/// The symbols that are taken, by how they look in each notation.
#[derive(Default)]
struct Taken {
    unicode: HashSet<String>,
    latex: HashSet<String>,
    /// The last number that was given to a letter.
    last: usize,
}

impl Taken {
    fn is_free(&self, symbol: &Symbol) -> bool {
        !self.unicode.contains(&symbol.unicode) && !self.latex.contains(&symbol.latex(None))
    }

    fn insert(&mut self, symbol: &Symbol) {
        self.unicode.insert(symbol.unicode.clone());
        self.latex.insert(symbol.latex(None));
    }

    /// The first of the candidates that is free, or a letter with a number; from now on taken.
    fn take(&mut self, candidates: impl IntoIterator<Item = Symbol>, letter: char) -> Symbol {
        let mut candidates = candidates.into_iter();
        let symbol = loop {
            let symbol = candidates.next().unwrap_or_else(|| {
                self.last += 1;
                Symbol::numbered(letter, self.last)
            });
            if self.is_free(&symbol) {
                break symbol;
            }
        };
        self.insert(&symbol);
        symbol
    }
}

impl<'a> Writer<'a> {
    fn new(program: &'a Program, outline: Outline<'a>, variables: &[Vec<VarId>]) -> Writer<'a> {
        let graph = outline.graph;
        let mut taken = Taken::default();
        constant_symbols().iter().for_each(|(_, symbol)| taken.insert(symbol));
        let mut symbols: Vec<Option<(Symbol, Option<&'static str>)>> =
            vec![None; graph.nodes().len()];
        let name = |variable: VarId| program.variable_name(variable).to_string();

        // The parameters that matter, in the order of the signature. Those that do not leave their
        // names to others.
        let mut nodes: BTreeMap<VarId, NodeId> = BTreeMap::new();
        for id in node_ids(graph) {
            if let Some(variable) = parameter_of(program, graph.node(id).kind) {
                nodes.insert(variable, id);
            }
        }
        let live_slots: BTreeSet<usize> =
            graph.live_slots().map(|(slot, _)| slot.index()).collect();
        let mut inputs = Vec::new();
        let mut slots = Vec::new();
        let mut weights = Symbol::of_name("w");
        for (index, parameter) in program.signature().parameters.iter().enumerate() {
            let variable = VarId(index as u16);
            let used = nodes.get(&variable);
            let live = match parameter.kind {
                ParameterKind::Weights => true,
                ParameterKind::Slot(slot) => used.is_some() || live_slots.contains(&slot.index()),
                _ => used.is_some(),
            };
            if !live {
                if let ParameterKind::Slot(_) = parameter.kind {
                    slots.push(Symbol::of_name(&parameter.name));
                }
                continue;
            }
            let symbol = taken.take(
                [Symbol::of_name(&parameter.name), Symbol::spelled_out(&parameter.name)],
                'x',
            );
            let time = match parameter.kind {
                ParameterKind::Weights | ParameterKind::Gradients | ParameterKind::LearningRate => {
                    Some("t")
                }
                ParameterKind::Slot(_) => Some("t-1"),
                ParameterKind::Step | ParameterKind::Hyperparameter => None,
            };
            match parameter.kind {
                ParameterKind::Weights => weights = symbol.clone(),
                ParameterKind::Slot(_) => slots.push(symbol.clone()),
                _ => {}
            }
            if let Some(node) = used {
                symbols[node.index()] = Some((symbol.clone(), time));
            }
            inputs.push((variable, symbol));
        }
        let update = taken.take([Symbol::of_name("update"), Symbol::spelled_out("update")], 'u');

        // A slot's next value: its symbol in LaTeX, at another time.
        let mut is_next = vec![false; graph.nodes().len()];
        for (slot, next) in graph.live_slots() {
            if let Some(symbol) = slots.get(slot.index())
                && is_call(graph.node(next))
                && symbols[next.index()].is_none()
            {
                symbols[next.index()] = Some((symbol.clone(), Some("t")));
                is_next[next.index()] = true;
            }
            if let Some(symbol) = slots.get(slot.index()) {
                taken.insert(&symbol.marked(Mark::Prime));
            }
        }

        // Other equations that share a variable are numbered.
        let varies = depends_on(graph, |kind| {
            !matches!(kind, NodeKind::Hyperparameter(_) | NodeKind::Constant(_) | NodeKind::Call(_))
        });
        let mut groups: BTreeMap<VarId, Vec<NodeId>> = BTreeMap::new();
        let mut unnamed = Vec::new();
        let is_input = |variable: &VarId| inputs.iter().any(|(input, _)| input == variable);
        for id in node_ids(graph).filter(|id| outline.defined[id.index()]) {
            if symbols[id.index()].is_some() {
                continue;
            }
            if id == graph.update() {
                symbols[id.index()] = Some((update.clone(), Some("t")));
                continue;
            }
            let own = variables[id.index()].iter().filter(|variable| **variable != program.update);
            match own.min_by_key(|variable| is_input(variable)) {
                Some(variable) => groups.entry(*variable).or_default().push(id),
                None => unnamed.push(id),
            }
        }
        let time = |id: NodeId| varies[id.index()].then_some("t");
        for (variable, ids) in groups {
            let plain = Symbol::of_name(&name(variable));
            let is_slot = matches!(
                program.signature().parameters.get(variable.index()).map(|p| p.kind),
                Some(ParameterKind::Slot(_))
            );
            let mark = if is_slot { Mark::Tilde } else { Mark::Prime };
            for (index, id) in ids.iter().enumerate() {
                let candidates = if ids.len() > 1 {
                    vec![plain.with_number(index + 1)]
                } else if is_input(&variable) {
                    vec![Some(plain.marked(mark))]
                } else {
                    vec![Some(plain.clone()), Some(Symbol::spelled_out(&name(variable)))]
                };
                let free = candidates.into_iter().flatten().find(|symbol| taken.is_free(symbol));
                match free {
                    Some(symbol) => {
                        taken.insert(&symbol);
                        symbols[id.index()] = Some((symbol, time(*id)));
                    }
                    None => unnamed.push(*id),
                }
            }
        }
        unnamed.sort_unstable();
        for id in unnamed {
            symbols[id.index()] = Some((taken.take([], 'c'), time(id)));
        }

        // In Unicode a slot's next value is told from the slot by a prime.
        for (entry, is_next) in symbols.iter_mut().zip(&is_next) {
            if let (Some((symbol, _)), true) = (entry, is_next) {
                symbol.unicode.push('′');
            }
        }
        Writer { program, outline, symbols, update, weights, slots, inputs }
    }

    fn symbol(&self, id: NodeId) -> Option<Expression> {
        self.symbols[id.index()]
            .as_ref()
            .map(|(symbol, time)| Expression::Symbol(symbol.clone(), *time))
    }

    fn formula(&self) -> Formula {
        let graph = self.outline.graph;
        let symbol = |id| self.symbol(id);
        let reader =
            Reader { graph, depends_on_slot: &self.outline.depends_on_slot, symbol: &symbol };
        let mut written: Vec<Expression> = Vec::new();
        let mut equation = |name: String, latex_name: String, right: Expression| {
            let equation = Equation {
                name,
                unicode: unicode::text(&right),
                latex_name,
                latex: latex::text(&right),
            };
            written.push(right);
            equation
        };

        let mut slots = Vec::new();
        let mut slot_values: Vec<NodeId> = Vec::new();
        for (slot, next) in graph.live_slots() {
            let Some(symbol) = self.slots.get(slot.index()) else { continue };
            // Among slots with the same next value the first one has the equation; a next value
            // that is an input has none.
            let is_new = is_call(graph.node(next)) && !slot_values.contains(&next);
            let right = if is_new { reader.write_out(next) } else { reader.read(next) };
            slot_values.push(next);
            slots.push(equation(format!("{}′", symbol.unicode), symbol.latex(Some("t")), right));
        }

        let id = graph.update();
        let is_new = is_call(graph.node(id)) && !slot_values.contains(&id);
        let right = if is_new { reader.write_out(id) } else { reader.read(id) };
        let is_used_elsewhere = is_new && self.outline.defined[id.index()];
        let mut update =
            equation(self.update.unicode.clone(), self.update.latex(Some("t")), right.clone());
        let latex_update =
            is_used_elsewhere.then(|| (update.latex_name.clone(), update.latex.clone()));
        let subtracted = if is_used_elsewhere {
            Expression::Symbol(self.update.clone(), Some("t"))
        } else {
            right
        };
        let weights = Expression::Symbol(self.weights.clone(), Some("t"));
        update.latex_name = self.weights.latex(Some("t+1"));
        update.latex = latex::text(&Expression::Sum(vec![(false, weights), (true, subtracted)]));

        let mut definitions = Vec::new();
        for other in node_ids(graph).filter(|other| {
            self.outline.defined[other.index()] && *other != id && !slot_values.contains(other)
        }) {
            if let Some((symbol, time)) = &self.symbols[other.index()] {
                definitions.push(equation(
                    symbol.unicode.clone(),
                    symbol.latex(*time),
                    reader.write_out(other),
                ));
            }
        }
        Formula { update, slots, definitions, latex_update, legend: self.legend(&written) }
    }

    /// Returns the meanings of the symbols and notations that are not plain.
    fn legend(&self, written: &[Expression]) -> Vec<Meaning> {
        let mut legend = Vec::new();
        for (variable, symbol) in &self.inputs {
            let name = self.program.variable_name(*variable).to_string();
            let latex = symbol.latex(None);
            legend.push(Meaning {
                unicode: (symbol.unicode != name).then(|| (symbol.unicode.clone(), name.clone())),
                latex: (latex != name && *symbol != Symbol::spelled_out(&name))
                    .then(|| (latex, format!(r"\texttt{{{}}}", latex_text(&name)))),
            });
        }
        let live: Vec<String> = self
            .outline
            .graph
            .live_slots()
            .filter_map(|(s, _)| self.slots.get(s.index()))
            .map(|s| format!("{}′", s.unicode))
            .collect();
        if !live.is_empty() {
            let meaning =
                if live.len() == 1 { "the slot's next value" } else { "the slots' next values" };
            legend.push(Meaning {
                unicode: Some((live.join(" "), meaning.to_string())),
                latex: None,
            });
        }
        let mut used = Vec::new();
        written.iter().for_each(|expression| notations(expression, &mut used));
        let mut explain =
            |is_used: bool, unicode: &str, latex: &str, meaning: String, latex_meaning: String| {
                if is_used {
                    legend.push(Meaning {
                        unicode: Some((unicode.to_string(), meaning)),
                        latex: Some((latex.to_string(), latex_meaning)),
                    });
                }
            };
        let operators = [
            (Operator::GlobalNorm, "‖x‖₂", r"\lVert x \rVert_2", "norm over all parameter arrays"),
            (
                Operator::ArrayNorm,
                "‖x‖ₐ",
                r"\lVert x \rVert_{\mathrm{array}}",
                "norm of each parameter array",
            ),
            (
                Operator::Dot,
                "⟨x, y⟩",
                r"\langle x, y \rangle",
                "dot product over all parameter arrays",
            ),
            (MEAN, "mean(x)", r"\operatorname{mean}(x)", "mean of each parameter array"),
            (
                SIZE,
                "size(x)",
                r"\operatorname{size}(x)",
                "number of elements of each parameter array",
            ),
            (
                WHERE,
                "where(c, x, y)",
                r"\operatorname{where}(c, x, y)",
                "x where c is not 0, and y where it is",
            ),
            (
                COSINE,
                "cossim(x, y)",
                r"\operatorname{cossim}(x, y)",
                "cosine over all parameter arrays",
            ),
            (
                CLIP,
                "clip(x, s)",
                r"\operatorname{clip}(x, s)",
                "x scaled to a norm of at most s over all parameter arrays",
            ),
            (Operator::Transpose, "xᵀ", r"x^{\top}", "x transposed"),
            (
                Operator::MatrixProduct,
                "x @ y",
                r"x \mathbin{@} y",
                "product of matrices, for each parameter array",
            ),
            (
                ROW_MEAN,
                "rowmean(x)",
                r"\operatorname{rowmean}(x)",
                "the mean of each row of each parameter array, all over the row",
            ),
            (
                COLUMN_MEAN,
                "colmean(x)",
                r"\operatorname{colmean}(x)",
                "the mean of each column of each parameter array, all over the column",
            ),
            (
                NEWTON_SCHULZ,
                "NS₅(x)",
                r"\operatorname{NS}_5(x)",
                "five Newton-Schulz steps: singular values brought close to 1",
            ),
            (
                ROWS,
                "rows(x)",
                r"\operatorname{rows}(x)",
                "the rows of each parameter array: its first dimension",
            ),
            (
                COLUMNS,
                "cols(x)",
                r"\operatorname{cols}(x)",
                "the columns of each parameter array: its other dimensions together",
            ),
        ];
        for (operator, unicode, latex, meaning) in operators {
            let is_used = used
                .iter()
                .any(|notation| matches!(notation, Notation::Operator(used) if *used == operator));
            let words = |word: &str| match word {
                "x" | "s" | "y" | "c" => format!("${word}$"),
                word => latex_text(word),
            };
            let latex_meaning = meaning.split(' ').map(words).collect::<Vec<_>>().join(" ");
            explain(
                is_used,
                unicode,
                latex,
                meaning.to_string(),
                format!(r"\text{{{latex_meaning}}}"),
            );
        }
        let compares = used
            .iter()
            .any(|notation| matches!(notation, Notation::Operator(Operator::Comparison(..))));
        explain(
            compares,
            "[x < y]",
            "[x < y]",
            "1 where it holds, else 0".to_string(),
            r"\text{1 where it holds, else 0}".to_string(),
        );
        for (value, symbol) in constant_symbols() {
            let is_used = used
                .iter()
                .any(|notation| matches!(notation, Notation::Symbol(used) if **used == symbol));
            explain(
                is_used,
                &symbol.unicode,
                &symbol.latex(None),
                value.to_string(),
                value.to_string(),
            );
        }
        legend
    }
}

/// Operator or symbol that may need an explanation.
enum Notation<'a> {
    Operator(Operator),
    Symbol(&'a Symbol),
}

/// The notations in an expression.
fn notations<'a>(expression: &'a Expression, found: &mut Vec<Notation<'a>>) {
    match expression {
        Expression::Symbol(symbol, _) => found.push(Notation::Symbol(symbol)),
        Expression::Number(_) => {}
        Expression::Sum(terms) => terms.iter().for_each(|(_, term)| notations(term, found)),
        Expression::Product(factors) => factors.iter().for_each(|factor| notations(factor, found)),
        Expression::Quotient(left, right) | Expression::Power(left, right) => {
            notations(left, found);
            notations(right, found);
        }
        Expression::Negative(inner) => notations(inner, found),
        Expression::Apply(operator, arguments) => {
            found.push(Notation::Operator(*operator));
            arguments.iter().for_each(|argument| notations(argument, found));
        }
    }
}
