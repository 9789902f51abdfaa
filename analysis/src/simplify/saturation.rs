//! Equality saturation: all that the rules can make of a flow, the cheapest of it, and why it is
//! equal.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::LazyLock;
use std::time::Duration;

use egg::{
    Applier, BackoffScheduler, EGraph, ENodeOrVar, Id, Language, Pattern, PatternAst, Rewrite,
    Runner, SearchMatches, Searcher, StopReason, Subst, Symbol, TreeTerm, Var,
};
use symopt_cancel::CancelToken;
use symopt_dsl::function::{Function, Typing};
use symopt_dsl::types::Type;

use crate::simplify::check::Requirement;
use crate::simplify::e_graph::{FOLDED, Graph, Knowledge, literal};
use crate::simplify::extraction::{self, Digits};
use crate::simplify::facts::{Facts, facts_of_all, nonnegative_slots};
use crate::simplify::label::Label;
use crate::simplify::rules::{Given, RULES, Rule};
use crate::simplify::term::{Builder, Term, TermFlow, node_type};

/// Limits of one saturation. Nodes and rounds are the same on every machine; the time limit is
/// there for programs that nobody has thought of, and a result that was cut short by it says so.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Nodes of the e-graph.
    pub nodes: usize,
    /// Rounds of all rules.
    pub rounds: usize,
    /// Wall-clock time.
    pub time: Duration,
    /// Ends it soon; what there is by then is the result.
    pub cancel: CancelToken,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            nodes: 2_000,
            rounds: 8,
            time: Duration::from_secs(20),
            cancel: CancelToken::new(),
        }
    }
}

/// The name under which a rule goes where its condition is known to hold.
const KNOWN: &str = " (known to hold)";
/// Where a search ended whose rules contradict each other.
pub(crate) const CONTRADICTION: &str =
    "rules that contradict each other here, as where something is divided by zero";
/// The name of taking in a broadcast.
const BROADCAST: &str = "broadcast taken in";
/// Whether a flow computes something from numbers that is no finite number: an identity has been
/// used where it does not hold.
fn has_infinite_scalar(flow: &TermFlow) -> bool {
    facts_of_all(flow.nodes(), &[])
        .iter()
        .any(|facts| facts.constant.is_some_and(|value| !value.is_finite()))
}

/// Whether a class is equal to two different numbers: rules have been applied outside of their
/// domains, as where something is divided by what turns out to be zero, and nothing that was found
/// can be relied on.
fn is_contradictory(egraph: &Graph) -> bool {
    egraph.classes().any(|class| {
        let mut numbers = class.nodes.iter().filter_map(Term::constant);
        numbers.next().is_some_and(|first| {
            numbers.any(|other| (first - other).abs() > 1e-6 * first.abs().max(other.abs()))
        })
    })
}

/// One rule as egg applies it.
struct RuleApplier {
    given: Vec<(Given, Vec<(&'static str, Var)>)>,
    /// Conditions of the rule, which a number must not fail.
    domain: Vec<(Requirement, Var)>,
    variables: Vec<Var>,
    /// The right side as it stands, and broadcast to each larger type: what it becomes must have
    /// the type that was there.
    right: [PatternAst<Term>; 3],
}

impl RuleApplier {
    fn right_type(&self, egraph: &Graph, subst: &Subst) -> Type {
        let mut types: Vec<Type> = Vec::new();
        for node in self.right[0].as_ref() {
            types.push(match node {
                ENodeOrVar::Var(var) => egraph[subst[*var]].data.ty,
                ENodeOrVar::ENode(node) => {
                    let children: Vec<Type> =
                        node.children().iter().map(|child| types[usize::from(*child)]).collect();
                    node_type(node, &children)
                }
            });
        }
        types.last().copied().unwrap_or(Type::Tree)
    }
}

impl Applier<Term, Knowledge> for RuleApplier {
    fn apply_one(
        &self,
        egraph: &mut Graph,
        eclass: Id,
        subst: &Subst,
        ast: Option<&PatternAst<Term>>,
        name: Symbol,
    ) -> Vec<Id> {
        let known = |(given, variables): &(Given, Vec<(&'static str, Var)>)| {
            given.holds(|name| match variables.iter().find(|(variable, _)| *variable == name) {
                Some((_, variable)) => facts_of(egraph, subst[*variable]),
                None => Facts::unknown(Type::Tree),
            })
        };
        let is_refuted = |(requirement, variable): &(Requirement, Var)| {
            literal(egraph, subst[*variable]).is_some_and(|value| !requirement.holds(value))
        };
        if !self.given.iter().all(known) || self.domain.iter().any(is_refuted) {
            return Vec::new();
        }
        let (left, right) = (egraph[eclass].data.ty, self.right_type(egraph, subst));
        let right = match (left, right) {
            (left, right) if left == right => &self.right[0],
            (Type::PerArray, Type::Scalar) => &self.right[1],
            (Type::Tree, Type::Scalar | Type::PerArray) => &self.right[2],
            _ => return Vec::new(),
        };
        let (id, changed) = match ast {
            // Numbers are put in place of what is equal to them, so that the proof says why it is.
            Some(ast) => {
                let mut subst = subst.clone();
                for variable in &self.variables {
                    if let Some(value) = literal(egraph, subst[*variable]) {
                        let number = egraph.add_uncanonical(Term::number(value));
                        subst.insert(*variable, number);
                    }
                }
                egraph.union_instantiations(ast, right, &subst, name)
            }
            None => {
                let id = egraph.add_instantiation(right, subst);
                (id, egraph.union(eclass, id))
            }
        };
        if changed { vec![id] } else { Vec::new() }
    }
}

/// Returns the facts about a class, with its number if it is equal to one.
fn facts_of(egraph: &Graph, id: Id) -> Facts {
    match literal(egraph, id) {
        Some(value) => Facts::number(value),
        None => Facts { constant: None, ..egraph[id].data },
    }
}

/// Element-wise functions take in broadcasts: `f(cast(x), y)` is `f(x, y)` where y is as large, and
/// else the broadcast of that.
struct Uncast;

impl Searcher<Term, Knowledge> for Uncast {
    fn search_eclass_with_limit(
        &self,
        egraph: &Graph,
        eclass: Id,
        _limit: usize,
    ) -> Option<SearchMatches<'_, Term>> {
        let has_cast =
            |id: &Id| egraph[*id].nodes.iter().any(|node| matches!(node, Term::Cast(..)));
        let found = egraph[eclass]
            .nodes
            .iter()
            .any(|node| takes_in(node) && node.children().iter().any(has_cast));
        found.then(|| SearchMatches { eclass, substs: vec![Subst::default()], ast: None })
    }

    fn search_with_limit(&self, egraph: &Graph, limit: usize) -> Vec<SearchMatches<'_, Term>> {
        let mut classes = BTreeSet::new();
        for ty in [Type::PerArray, Type::Tree] {
            for id in egraph
                .classes_for_op(&Term::Cast(ty, [Id::from(0)]).discriminant())
                .into_iter()
                .flatten()
            {
                classes.extend(egraph[id].parents().map(|parent| egraph.find(parent)));
            }
        }
        classes
            .into_iter()
            .filter_map(|class| self.search_eclass_with_limit(egraph, class, limit))
            .take(limit)
            .collect()
    }

    fn vars(&self) -> Vec<Var> {
        Vec::new()
    }
}

/// Whether a call works on each number by itself, so that broadcasts may come later.
fn takes_in(node: &Term) -> bool {
    matches!(node, Term::Call(function, _) if matches!(function.row().typing, Typing::ElementWise) || *function == Function::Interp)
}

impl Applier<Term, Knowledge> for Uncast {
    fn apply_one(
        &self,
        egraph: &mut Graph,
        eclass: Id,
        _: &Subst,
        _: Option<&PatternAst<Term>>,
        name: Symbol,
    ) -> Vec<Id> {
        let mut changed = Vec::new();
        for node in egraph[eclass].nodes.clone() {
            if !takes_in(&node) {
                continue;
            }
            for place in 0..node.children().len() {
                let cast = egraph[node.children()[place]]
                    .nodes
                    .iter()
                    .find(|node| matches!(node, Term::Cast(..)))
                    .cloned();
                let Some(Term::Cast(ty, [inner])) = cast else { continue };
                let cast = egraph.add_uncanonical(Term::Cast(ty, [inner]));
                let mut left = node.clone();
                left.children_mut()[place] = cast;
                let left = egraph.add_uncanonical(left);
                let mut right = node.clone();
                right.children_mut()[place] = inner;
                let types: Vec<Type> =
                    right.children().iter().map(|child| egraph[*child].data.ty).collect();
                let wanted = egraph[eclass].data.ty;
                let smaller = node_type(&right, &types) < wanted;
                let mut right = egraph.add_uncanonical(right);
                if smaller {
                    right = egraph.add_uncanonical(Term::Cast(wanted, [right]));
                }
                if egraph.union_trusted(left, right, name) {
                    changed.push(right);
                }
            }
        }
        changed
    }
}

/// A pattern with a broadcast around it.
fn cast_pattern(pattern: &PatternAst<Term>, ty: Type) -> PatternAst<Term> {
    let mut cast = pattern.clone();
    let root = Id::from(cast.as_ref().len() - 1);
    cast.add(ENodeOrVar::ENode(Term::Cast(ty, [root])));
    cast
}

/// A rule in the forms in which it is applied.
struct Prepared {
    rule: &'static Rule,
    left: Pattern<Term>,
    label: Label,
    rewrite: Rewrite<Term, Knowledge>,
}

fn pattern(text: &str) -> Option<Pattern<Term>> {
    text.parse().ok()
}

fn prepare(rule: &'static Rule, name: String, label: Label, given: Vec<Given>) -> Option<Prepared> {
    let (left, right) = (pattern(rule.left)?, pattern(rule.right)?);
    let variables: Vec<(&'static str, Var)> =
        variable_names(rule).filter_map(|name| Some((name, name.parse().ok()?))).collect();
    let given = given.into_iter().map(|given| (given, variables.clone())).collect();
    let domain = rule
        .domain
        .iter()
        .filter_map(|(requirement, name)| Some((*requirement, name.parse().ok()?)))
        .collect();
    let right = [
        right.ast.clone(),
        cast_pattern(&right.ast, Type::PerArray),
        cast_pattern(&right.ast, Type::Tree),
    ];
    let rewrite = Rewrite::new(
        name,
        left.clone(),
        RuleApplier {
            given,
            domain,
            variables: variables.iter().map(|(_, variable)| *variable).collect(),
            right,
        },
    )
    .ok()?;
    Some(Prepared { rule, left, label, rewrite })
}

/// The variables of a rule, by the names that its conditions use.
pub(crate) fn variable_names(rule: &Rule) -> impl Iterator<Item = &'static str> {
    let left = rule.left;
    ["?x", "?y", "?z", "?a", "?b", "?s", "?r"].into_iter().filter(move |name| left.contains(name))
}

static PREPARED: LazyLock<Vec<Prepared>> = LazyLock::new(|| {
    let mut prepared = Vec::new();
    for rule in RULES {
        prepared.extend(prepare(rule, rule.name.to_owned(), rule.label, rule.given.to_vec()));
        let known: Option<Vec<Given>> = rule
            .domain
            .iter()
            .map(|(requirement, variable)| requirement.as_given(variable))
            .collect();
        if let (Label::Domain, Some(known)) = (rule.label, known) {
            let given = rule.given.iter().copied().chain(known).collect();
            prepared.extend(prepare(rule, format!("{}{KNOWN}", rule.name), Label::Real, given));
        }
    }
    prepared
});

static UNCAST: LazyLock<Option<Rewrite<Term, Knowledge>>> =
    LazyLock::new(|| Rewrite::new(BROADCAST, Uncast, Uncast).ok());

/// A rule that was applied on the way from one flow to the other.
#[derive(Clone, Debug)]
pub(crate) struct Application {
    /// Its name.
    pub(crate) name: String,
    /// Its label.
    pub(crate) label: Label,
    /// Value before the rule; `to` is the value after; both are in [`Proof::arena`].
    pub(crate) from: Id,
    /// See `from`.
    pub(crate) to: Id,
    /// Conditions on values in the arena.
    pub(crate) conditions: Vec<(Requirement, Id)>,
}

/// Why two flows are equal.
pub(crate) struct Proof {
    /// Holds all terms that the proof speaks of, and the flow before with its names.
    pub(crate) arena: Builder,
    /// Names of nodes of the flow before.
    pub(crate) names: BTreeMap<Id, String>,
    /// The rules applied, each application once.
    pub(crate) applications: Vec<Application>,
}

/// Result of saturating a flow.
pub(crate) struct Saturated {
    /// The cheapest flow found.
    pub(crate) flow: TermFlow,
    /// Why it is equal, if that was asked for.
    pub(crate) proof: Option<Proof>,
}

/// Saturates a flow with the rules of up to a label and takes out the cheapest equal flow: `None`
/// where that is no cheaper. Beside it the limit that was reached, if one was.
pub(crate) fn saturate(
    flow: &TermFlow,
    strongest: Label,
    limits: &Limits,
    explain: bool,
) -> (Option<Saturated>, Option<String>) {
    saturate_by(Digits::Last, flow, strongest, limits, explain)
}

/// The same, where digits of numbers may count more.
pub(crate) fn saturate_by(
    digits: Digits,
    flow: &TermFlow,
    strongest: Label,
    limits: &Limits,
    explain: bool,
) -> (Option<Saturated>, Option<String>) {
    let knowledge = Knowledge {
        slots: nonnegative_slots(flow.nodes(), flow.outputs()),
        is_conditional: strongest >= Label::Domain,
        is_exact: strongest == Label::Exact,
    };
    let mut egraph = EGraph::new(knowledge);
    if explain {
        egraph = egraph.with_explanations_enabled().without_explanation_length_optimization();
    }
    let root = egraph.add_expr_uncanonical(&flow.term);
    let rewrites = PREPARED
        .iter()
        .filter(|prepared| prepared.label <= strongest)
        .map(|prepared| &prepared.rewrite);
    let rewrites: Vec<&Rewrite<Term, Knowledge>> = rewrites.chain(UNCAST.iter()).collect();
    let runner = Runner::<Term, Knowledge, ()>::new(Knowledge::default())
        .with_egraph(egraph)
        .with_node_limit(limits.nodes)
        .with_iter_limit(limits.rounds)
        .with_time_limit(limits.time)
        .with_hook({
            let cancel = limits.cancel.clone();
            move |_| if cancel.is_cancelled() { Err("cancelled".to_owned()) } else { Ok(()) }
        })
        .with_scheduler(
            BackoffScheduler::default().with_initial_match_limit(200).with_ban_length(2),
        )
        .run(rewrites);
    let limit = match &runner.stop_reason {
        // Facts about a value come one call further in a round: where there are as many rounds as
        // calls, they have come everywhere.
        Some(StopReason::IterationLimit(_)) if flow.calls().count() <= limits.rounds => None,
        Some(StopReason::IterationLimit(_)) => {
            Some(format!("its limit of {} rounds (--rounds)", limits.rounds))
        }
        Some(StopReason::NodeLimit(_)) => {
            Some(format!("its limit of {} nodes (--nodes)", limits.nodes))
        }
        Some(StopReason::TimeLimit(_)) => Some(format!(
            "its limit of {} seconds, with less than its {} nodes (--nodes)",
            limits.time.as_secs(),
            limits.nodes
        )),
        _ => None,
    };
    let mut egraph = runner.egraph;
    if is_contradictory(&egraph) {
        return (None, Some(CONTRADICTION.to_owned()));
    }
    let Some(best) = extraction::extract(&egraph, egraph.find(root), flow, digits) else {
        return (None, limit);
    };
    if !extraction::cost(&best).is_plainer_than(&extraction::cost(flow))
        || strongest > Label::Exact && has_infinite_scalar(&best)
    {
        return (None, limit);
    }
    let proof = explain.then(|| {
        let target = egraph.add_expr_uncanonical(&best.term);
        let explanation = egraph.explain_id_equivalence(root, target);
        read_proof(flow, &explanation.explanation_trees)
    });
    (Some(Saturated { flow: best, proof }), limit)
}

/// Reads the rules that were applied out of egg's proof, whose shared parts are looked at once.
fn read_proof(flow: &TermFlow, trees: &[Rc<TreeTerm<Term>>]) -> Proof {
    let mut arena = Builder::default();
    let mut renumbered: Vec<Id> = Vec::new();
    for node in flow.nodes() {
        let node = node.clone().map_children(|child| renumbered[usize::from(child)]);
        renumbered.push(arena.add(node));
    }
    let names =
        flow.names.iter().map(|(id, name)| (renumbered[usize::from(*id)], name.clone())).collect();
    let mut reader =
        Reader { arena, seen: BTreeMap::new(), applications: Vec::new(), known: BTreeSet::new() };
    reader.read(trees);
    Proof { arena: reader.arena, names, applications: reader.applications }
}

struct Reader {
    arena: Builder,
    /// Terms that were read, by their address: the first and the last form.
    seen: BTreeMap<usize, (Id, Id)>,
    applications: Vec<Application>,
    known: BTreeSet<(String, Id, Id)>,
}

impl Reader {
    /// Reads a chain of terms; gives its first and its last form.
    fn read(&mut self, chain: &[Rc<TreeTerm<Term>>]) -> (Id, Id) {
        let mut ends: Option<(Id, Id)> = None;
        for tree in chain {
            let (first, last) = self.read_term(tree);
            if let Some((_, before)) = ends {
                if let Some(rule) = tree.forward_rule {
                    self.applied(rule, before, first);
                }
                if let Some(rule) = tree.backward_rule {
                    self.applied(rule, first, before);
                }
            }
            ends = Some((ends.map_or(first, |(begin, _)| begin), last));
        }
        ends.unwrap_or((Id::from(0), Id::from(0)))
    }

    fn read_term(&mut self, tree: &Rc<TreeTerm<Term>>) -> (Id, Id) {
        let address = Rc::as_ptr(tree) as usize;
        if let Some(ends) = self.seen.get(&address) {
            return *ends;
        }
        let children: Vec<(Id, Id)> =
            tree.child_proofs.iter().map(|chain| self.read(chain)).collect();
        let with = |arena: &mut Builder, pick: &dyn Fn(&(Id, Id)) -> Id| {
            let mut node = tree.node.clone();
            node.children_mut()
                .iter_mut()
                .zip(&children)
                .for_each(|(place, ends)| *place = pick(ends));
            arena.add(node)
        };
        let first = with(&mut self.arena, &|ends| ends.0);
        let last = with(&mut self.arena, &|ends| ends.1);
        self.seen.insert(address, (first, last));
        (first, last)
    }

    fn applied(&mut self, rule: Symbol, from: Id, to: Id) {
        let name = rule.to_string();
        if !self.known.insert((name.clone(), from, to)) {
            return;
        }
        let prepared = PREPARED.iter().find(|prepared| prepared.rewrite.name == rule);
        let mut conditions = Vec::new();
        if let Some(prepared) = prepared.filter(|prepared| prepared.label == Label::Domain) {
            let mut bound = BTreeMap::new();
            if match_pattern(&self.arena, &prepared.left.ast, from, &mut bound) {
                for (requirement, variable) in prepared.rule.domain {
                    if let Some(id) =
                        variable.parse().ok().and_then(|variable: Var| bound.get(&variable))
                    {
                        conditions.push((*requirement, *id));
                    }
                }
            }
        }
        let label = prepared.map_or(Label::Real, |prepared| prepared.label);
        let label = if name == FOLDED { Label::Exact } else { label };
        self.applications.push(Application { name, label, from, to, conditions });
    }
}

/// Matches a pattern against one term of the arena.
fn match_pattern(
    arena: &Builder,
    pattern: &PatternAst<Term>,
    id: Id,
    bound: &mut BTreeMap<Var, Id>,
) -> bool {
    fn go(
        arena: &Builder,
        nodes: &[ENodeOrVar<Term>],
        at: usize,
        id: Id,
        bound: &mut BTreeMap<Var, Id>,
    ) -> bool {
        match &nodes[at] {
            ENodeOrVar::Var(variable) => *bound.entry(*variable).or_insert(id) == id,
            ENodeOrVar::ENode(node) => {
                let found = arena.node(id).clone();
                node.matches(&found)
                    && node
                        .children()
                        .iter()
                        .zip(found.children())
                        .all(|(child, id)| go(arena, nodes, usize::from(*child), *id, bound))
            }
        }
    }
    let nodes = pattern.as_ref();
    go(arena, nodes, nodes.len() - 1, id, bound)
}
