//! The cheapest flow of an e-graph.
//!
//! Shared values count once, so this is not a tree cost: the search is greedy over sets of classes
//! (each class keeps the cheapest set of choices found for it), then single choices are changed as
//! long as that makes the whole cheaper.

use std::collections::{BTreeMap, BTreeSet};

use egg::{Id, Language};
use symopt_dsl::function::{Function, Typing};
use symopt_dsl::types::Type;

use crate::simplify::e_graph::Graph;
use crate::simplify::term::{Builder, Leaf, Term, TermFlow};

/// Cost of the digits of numbers that a program did not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Digits {
    /// They decide between flows that are equal in all else.
    Last,
    /// A number is more to read than a statement, and some of its digits are as much.
    AsStatements,
}

/// Digits that are as much to read as a statement.
const DIGITS_OF_A_STATEMENT: usize = 4;

/// Cost of a flow, compared part by part: statements first, then passes over the arrays that
/// reductions need, then slots that are read, then how plain the functions are and how much they
/// feed each other, then the digits of numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cost {
    statements: usize,
    reductions: usize,
    slots: usize,
    weight: usize,
    /// Digits of numbers that the program did not have.
    digits: usize,
}

impl Cost {
    fn of(node: &Term, is_tree: bool) -> Cost {
        match node {
            Term::Call(function, _) => Cost {
                statements: 1,
                reductions: usize::from(is_tree && reduces(*function)),
                slots: 0,
                digits: 0,
                // Arithmetic on scalars is done once, on trees for every parameter.
                weight: if is_tree { 2 * weight(*function) } else { weight(*function) },
            },
            Term::Leaf(Leaf::Slot(_)) => Cost { slots: 1, ..Cost::default() },
            // Few numbers with few digits are easier to read: 0.9 rather than the
            // 0.8999999999999999 that some ways of computing it give.
            Term::Constant(bits) => {
                Cost { digits: digits(f64::from_bits(*bits)), ..Cost::default() }
            }
            _ => Cost::default(),
        }
    }

    /// Whether it is worth a step of its own: fewer statements, reductions or slots, not only
    /// plainer functions.
    pub(crate) fn is_shorter_than(&self, other: &Cost) -> bool {
        (self.statements, self.reductions, self.slots)
            < (other.statements, other.reductions, other.slots)
    }

    /// Whether its functions are plainer, at the same number of statements.
    pub(crate) fn is_plainer_than(&self, other: &Cost) -> bool {
        (self.statements, self.reductions, self.slots, self.weight)
            < (other.statements, other.reductions, other.slots, other.weight)
    }

    fn plus(self, other: Cost) -> Cost {
        Cost {
            statements: self.statements + other.statements,
            reductions: self.reductions + other.reductions,
            slots: self.slots + other.slots,
            weight: self.weight + other.weight,
            digits: self.digits + other.digits,
        }
    }
}

fn reduces(function: Function) -> bool {
    // A size is known beforehand.
    let is_reduction =
        matches!(function.row().typing, Typing::PerArrayReduction | Typing::GlobalReduction)
            && function != Function::Size;
    is_reduction || function == Function::Clip
}

/// The weight of a value that feeds another one, beside the weights of functions: a program is
/// plainer where inputs feed it directly.
const FEED: usize = 4;

/// How much there is to read in a function: between equally short programs, plain ones win. A guard
/// is never dropped for that, so guarded functions weigh a little less than plain ones.
fn weight(function: Function) -> usize {
    use Function as F;
    match function {
        F::Sign | F::Abs => 90,
        F::Square | F::Negative | F::Add | F::Subtract | F::Multiply | F::Interp => 100,
        F::Maximum
        | F::Minimum
        | F::Less
        | F::LessEqual
        | F::Greater
        | F::GreaterEqual
        | F::Equal
        | F::Where => 110,
        F::GuardedSqrt | F::GuardedDivide => 119,
        F::Sqrt | F::Cube | F::Divide | F::Reciprocal => 120,
        F::GuardedLog | F::GuardedLog2 | F::GuardedLog10 | F::GuardedLog1p => 199,
        _ => 200,
    }
}

/// Significant digits of the shortest text of a number.
pub(crate) fn digits(value: f64) -> usize {
    let text = format!("{:e}", value.abs());
    text.split('e').next().map_or(0, |digits| digits.bytes().filter(u8::is_ascii_digit).count())
}

/// The cost of a flow.
pub(crate) fn cost(flow: &TermFlow) -> Cost {
    let nodes = flow.nodes();
    let of = |node: &Term| {
        let inner = node
            .children()
            .iter()
            .filter(|child| matches!(nodes[usize::from(**child)], Term::Call(..)))
            .count();
        let own = Cost::of(node, reads_tree(node, |child| flow.ty(child)));
        own.plus(Cost { weight: FEED * inner, ..Cost::default() })
    };
    nodes.iter().map(of).fold(Cost::default(), Cost::plus)
}

fn reads_tree(node: &Term, ty: impl Fn(Id) -> Type) -> bool {
    node.children().iter().any(|child| ty(*child) == Type::Tree)
}

/// A set of classes, one bit each.
#[derive(Clone, PartialEq)]
struct Classes(Vec<u64>);

impl Classes {
    fn new(classes: usize) -> Classes {
        Classes(vec![0; classes.div_ceil(64)])
    }

    fn insert(&mut self, class: usize) {
        self.0[class / 64] |= 1 << (class % 64);
    }

    fn contains(&self, class: usize) -> bool {
        self.0[class / 64] >> (class % 64) & 1 == 1
    }

    fn extend(&mut self, other: &Classes) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word |= other);
    }

    fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(index, word)| {
            let mut word = *word;
            std::iter::from_fn(move || {
                (word != 0).then(|| {
                    let bit = word.trailing_zeros() as usize;
                    word &= word - 1;
                    64 * index + bit
                })
            })
        })
    }
}

/// The e-graph with its classes numbered from 0 in the order of their ids, and every node with its
/// cost.
struct Choices {
    ids: Vec<Id>,
    /// Nodes of each class, each with the classes of its children and its own cost.
    nodes: Vec<Vec<(Term, Vec<usize>, Cost)>>,
}

impl Choices {
    /// Numbers in `known` cost nothing: a program keeps its own.
    fn new(egraph: &Graph, known: &BTreeSet<u64>, digits: Digits) -> Choices {
        let mut ids: Vec<Id> = egraph.classes().map(|class| class.id).collect();
        ids.sort_unstable();
        let places: BTreeMap<Id, usize> =
            ids.iter().enumerate().map(|(place, id)| (*id, place)).collect();
        let nodes = ids.iter().map(|id| {
            let spelled = egraph[*id].nodes.iter().filter(|node| !matches!(node, Term::Cast(..)));
            let mut nodes: Vec<(Term, Vec<usize>, Cost)> = spelled
                .map(|node| {
                    let children =
                        node.children().iter().map(|child| places[&egraph.find(*child)]).collect();
                    let is_tree = reads_tree(node, |child| egraph[child].data.ty);
                    let is_known = matches!(node, Term::Constant(bits) if known.contains(bits));
                    let mut cost = if is_known { Cost::default() } else { Cost::of(node, is_tree) };
                    if digits == Digits::AsStatements && cost.digits > 0 {
                        cost.statements += 2 + cost.digits / DIGITS_OF_A_STATEMENT;
                    }
                    (node.clone(), children, cost)
                })
                .collect();
            nodes.sort();
            nodes.dedup();
            nodes
        });
        let nodes = nodes.collect();
        Choices { ids, nodes }
    }

    /// The classes that a choice of nodes needs, arguments first; `None` if it goes in a circle or
    /// a class has no choice.
    fn needed(&self, chosen: &[Option<usize>], root: usize) -> Option<Vec<usize>> {
        // 0: not seen, 1: under way, 2: done.
        let mut state = vec![0_u8; self.nodes.len()];
        let mut order = Vec::new();
        let mut stack = vec![(root, 0)];
        while let Some((class, child)) = stack.pop() {
            let (_, children, _) = &self.nodes[class][chosen[class]?];
            state[class] = 1;
            match children.get(child) {
                Some(next) => {
                    stack.push((class, child + 1));
                    match state[*next] {
                        0 => stack.push((*next, 0)),
                        1 => return None,
                        _ => {}
                    }
                }
                None => {
                    state[class] = 2;
                    order.push(class);
                }
            }
        }
        Some(order)
    }

    fn cost(&self, chosen: &[Option<usize>], order: &[usize]) -> Cost {
        let is_call = |class: usize| {
            chosen[class].is_some_and(|node| matches!(self.nodes[class][node].0, Term::Call(..)))
        };
        let of = |class: &usize| {
            let (_, children, own) = &self.nodes[*class][chosen[*class]?];
            Some(own.plus(Cost {
                weight: FEED * children.iter().filter(|child| is_call(**child)).count(),
                ..Cost::default()
            }))
        };
        order.iter().filter_map(of).fold(Cost::default(), Cost::plus)
    }
}

/// The cheapest flow for a root that was found, for a program that is `original` so far; `None` if
/// there is none, which does not happen for a flow that was added.
pub(crate) fn extract(
    egraph: &Graph,
    root: Id,
    original: &TermFlow,
    digits: Digits,
) -> Option<TermFlow> {
    let numbers = original.nodes().iter().filter_map(|node| match node {
        Term::Constant(bits) => Some(*bits),
        _ => None,
    });
    let choices = Choices::new(egraph, &numbers.collect(), digits);
    let root = choices.ids.binary_search(&root).ok()?;
    let mut chosen = greedy(&choices);
    let mut order = choices.needed(&chosen, root)?;
    let mut cost = choices.cost(&chosen, &order);
    // Changes of one choice at a time, from the first class on, until none helps.
    let mut improved = true;
    while improved {
        improved = false;
        for class in order.clone() {
            for node in 0..choices.nodes[class].len() {
                let before = chosen[class];
                if before == Some(node) {
                    continue;
                }
                chosen[class] = Some(node);
                match choices
                    .needed(&chosen, root)
                    .map(|order| (choices.cost(&chosen, &order), order))
                {
                    Some((cheaper, new_order)) if cheaper < cost => {
                        (cost, order, improved) = (cheaper, new_order, true);
                    }
                    _ => chosen[class] = before,
                }
            }
        }
    }

    let mut builder = Builder::default();
    let mut built: BTreeMap<usize, Id> = BTreeMap::new();
    let mut outputs = Vec::new();
    for class in order {
        let (node, children, _) = &choices.nodes[class][chosen[class]?];
        let children: Vec<Id> =
            children.iter().filter_map(|child| built.get(child).copied()).collect();
        if class == root {
            outputs = children;
            break;
        }
        let node = match node {
            Term::Call(function, _) => Term::call(*function, &children),
            other => other.clone(),
        };
        built.insert(class, builder.add(node));
    }
    Some(builder.finish(&outputs))
}

/// For every class the node whose needs, all together, are cheapest, as far as it can be told class
/// by class.
fn greedy(choices: &Choices) -> Vec<Option<usize>> {
    let count = choices.nodes.len();
    let mut chosen: Vec<Option<usize>> = vec![None; count];
    let mut sets: Vec<Option<(Classes, Cost)>> = vec![None; count];
    let mut parents: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); count];
    for (class, nodes) in choices.nodes.iter().enumerate() {
        for child in nodes.iter().flat_map(|(_, children, _)| children) {
            parents[*child].insert(class);
        }
    }
    let mut pending: BTreeSet<usize> = (0..count).collect();
    // Every change makes a class cheaper, so this ends; the bound is for what nobody has thought
    // of.
    let mut left = 50 * count;
    while let Some(class) = pending.pop_first() {
        if left == 0 {
            break;
        }
        left -= 1;
        let mut changed = false;
        for (place, (_, children, own)) in choices.nodes[class].iter().enumerate() {
            let mut set = Classes::new(count);
            let known = children.iter().all(|child| match &sets[*child] {
                Some((other, _)) => {
                    set.extend(other);
                    true
                }
                None => false,
            });
            if !known || set.contains(class) {
                continue;
            }
            let of_children = set
                .iter()
                .filter_map(|child| Some(choices.nodes[child][chosen[child]?].2))
                .fold(Cost::default(), Cost::plus);
            let cost = of_children.plus(*own);
            if sets[class].as_ref().is_none_or(|(_, best)| cost < *best) {
                set.insert(class);
                sets[class] = Some((set, cost));
                chosen[class] = Some(place);
                changed = true;
            }
        }
        if changed {
            pending.extend(&parents[class]);
        }
    }
    chosen
}
