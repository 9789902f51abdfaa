//! The form in which two data flows are matched: sums of terms, each a number times values over
//! values.
//!
//! There are two ways to make it. Literally, every call stands for itself, and only numbers are
//! expressions. Algebraically, sums, differences, products, quotients and averages are multiplied
//! out, and numbers are moved out of functions that let them through (`sqrt(c x)`), so that it does
//! not matter how a program groups its sums and factors. That is algebra over the reals.

use std::collections::HashMap;

use symopt_dsl::function::Function;
use symopt_dsl::graph::NodeKind;
use symopt_dsl::semantics::EPSILON;

use super::flow::DataFlow;
use super::scalar::{ScalarId, Scalars, Unknown};

pub(super) type PolyId = usize;
pub(super) type AtomId = usize;

/// A value that is not taken apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Atom {
    Weights,
    Gradients,
    LearningRate,
    Step,
    Slot(usize),
    Call(Function, Vec<PolyId>),
    /// A sum in a product or quotient, with 1 as the factor of its leading term.
    Sum(PolyId),
}

/// Values and how often each of them is a factor, in order.
pub(super) type Factors = Vec<(AtomId, u32)>;

/// A number times values over values. A value that stands above and below is not cancelled: it may
/// be zero.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Term {
    pub(super) coefficient: ScalarId,
    pub(super) over: Factors,
    pub(super) under: Factors,
}

/// A sum of terms.
pub(super) type Poly = Vec<Term>;

/// Terms of a sum at most; larger products are not multiplied out.
const MOST_TERMS: usize = 24;

/// How deep the labels of atoms look.
const DEPTH: usize = 3;

/// Facts about an atom, beside the atom itself.
#[derive(Clone, Debug)]
struct About {
    has_weights: bool,
    has_slots: bool,
    /// Hashes of the atom, to each depth, without numbers and without the names of slots.
    labels: [u64; DEPTH + 1],
}

/// A data flow in the form.
#[derive(Clone, Debug, Default)]
pub(super) struct Form {
    pub(super) scalars: Scalars,
    pub(super) polys: Vec<Poly>,
    pub(super) atoms: Vec<Atom>,
    about: Vec<About>,
    poly_ids: HashMap<Poly, PolyId>,
    atom_ids: HashMap<Atom, AtomId>,
    pub(super) update: PolyId,
    /// Numbers that were moved out of functions and sums: they must not be zero, or what they were
    /// moved out of was not what it looks like.
    pub(super) divisors: Vec<ScalarId>,
    pub(super) slots: Vec<Option<PolyId>>,
}

/// Whether a slot is taken with the other sign.
pub(super) fn is_negated(negated: u32, slot: usize) -> bool {
    u32::try_from(slot)
        .ok()
        .and_then(|slot| negated.checked_shr(slot))
        .is_some_and(|bits| bits & 1 == 1)
}

/// How a form is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    Literal,
    Algebraic,
}

impl Form {
    /// `changes` puts an unknown factor above 0 to `lr` and to each slot: the side that changes.
    /// Slots whose bits are set in `negated` are taken with the other sign as well.
    pub(super) fn new(flow: &DataFlow, manner: Manner, changes: bool, negated: u32) -> Form {
        let mut form = Form::default();
        let mut values: Vec<Poly> = Vec::with_capacity(flow.nodes.len());
        for node in &flow.nodes {
            let value = if node.is_number {
                let coefficient = form.scalar(node.kind, &node.arguments, &values);
                match manner {
                    Manner::Literal => {
                        vec![Term { coefficient, over: Vec::new(), under: Vec::new() }]
                    }
                    Manner::Algebraic => form.number(coefficient),
                }
            } else {
                let arguments: Vec<&Poly> =
                    node.arguments.iter().map(|argument| &values[*argument]).collect();
                match (node.kind, manner) {
                    (NodeKind::Call(function), Manner::Literal) => {
                        let arguments = arguments.into_iter().cloned().collect();
                        form.opaque(function, arguments)
                    }
                    (NodeKind::Call(function), Manner::Algebraic) => {
                        let arguments = arguments.into_iter().cloned().collect();
                        form.apply(function, arguments)
                    }
                    (kind, manner) => {
                        let leaf = form.leaf(kind, manner == Manner::Algebraic && changes);
                        match kind {
                            NodeKind::Slot(slot) if is_negated(negated, slot.index()) => {
                                form.negative(&leaf)
                            }
                            _ => leaf,
                        }
                    }
                }
            };
            values.push(value);
        }
        form.update = form.poly(values[flow.update].clone());
        for (slot, next) in flow.slots.iter().enumerate() {
            let next = next.map(|next| {
                let mut value = values[next].clone();
                if manner == Manner::Algebraic && changes {
                    let scale = form.scalars.unknown(Unknown::Scale(slot));
                    let inverse = form.scalars.power(scale, -1);
                    value = form.scaled(&value, inverse);
                }
                if is_negated(negated, slot) {
                    value = form.negative(&value);
                }
                form.poly(value)
            });
            form.slots.push(next);
        }
        form
    }

    fn poly(&mut self, poly: Poly) -> PolyId {
        if let Some(id) = self.poly_ids.get(&poly) {
            return *id;
        }
        let id = self.polys.len();
        self.polys.push(poly.clone());
        self.poly_ids.insert(poly, id);
        id
    }

    fn atom(&mut self, atom: Atom) -> AtomId {
        if let Some(id) = self.atom_ids.get(&atom) {
            return *id;
        }
        let id = self.atoms.len();
        self.about.push(self.describe(&atom));
        self.atoms.push(atom.clone());
        self.atom_ids.insert(atom, id);
        id
    }

    fn scalar(&mut self, kind: NodeKind, arguments: &[usize], values: &[Poly]) -> ScalarId {
        match kind {
            NodeKind::Constant(bits) => self.scalars.unknown(Unknown::Constant(bits)),
            NodeKind::Hyperparameter(variable) => {
                self.scalars.unknown(Unknown::Hyperparameter(variable))
            }
            NodeKind::Call(function) => {
                let arguments: Vec<ScalarId> =
                    arguments.iter().map(|argument| self.as_number(&values[*argument])).collect();
                self.scalars.call(function, &arguments)
            }
            _ => self.scalars.literal(1.0),
        }
    }

    /// The number that a sum of numbers is.
    fn as_number(&mut self, poly: &Poly) -> ScalarId {
        match poly.first() {
            Some(term) => term.coefficient,
            None => self.scalars.literal(0.0),
        }
    }

    /// The value of a sum of numbers that has no hyperparameters in it.
    fn known(&self, poly: &Poly) -> Option<f64> {
        match poly.as_slice() {
            [] => Some(0.0),
            [term] => self.scalars.known(term.coefficient),
            _ => None,
        }
    }

    fn is_number(poly: &Poly) -> bool {
        poly.iter().all(|term| term.over.is_empty() && term.under.is_empty())
    }

    fn number(&mut self, coefficient: ScalarId) -> Poly {
        if self.scalars.is_zero(coefficient) {
            Vec::new()
        } else {
            vec![Term { coefficient, over: Vec::new(), under: Vec::new() }]
        }
    }

    fn single(&mut self, atom: Atom, coefficient: ScalarId) -> Poly {
        let atom = self.atom(atom);
        vec![Term { coefficient, over: vec![(atom, 1)], under: Vec::new() }]
    }

    fn leaf(&mut self, kind: NodeKind, changes: bool) -> Poly {
        let mut coefficient = self.scalars.literal(1.0);
        let atom = match kind {
            NodeKind::Weights => Atom::Weights,
            NodeKind::Gradients => Atom::Gradients,
            NodeKind::LearningRate => {
                if changes {
                    coefficient = self.scalars.unknown(Unknown::Rate);
                }
                Atom::LearningRate
            }
            NodeKind::Slot(slot) => {
                if changes {
                    coefficient = self.scalars.unknown(Unknown::Scale(slot.index()));
                }
                Atom::Slot(slot.index())
            }
            _ => Atom::Step,
        };
        self.single(atom, coefficient)
    }

    fn opaque(&mut self, function: Function, arguments: Vec<Poly>) -> Poly {
        let arguments = arguments.into_iter().map(|argument| self.poly(argument)).collect();
        let one = self.scalars.literal(1.0);
        self.single(Atom::Call(function, arguments), one)
    }

    fn apply(&mut self, function: Function, arguments: Vec<Poly>) -> Poly {
        use Function as F;
        match (function, arguments.as_slice()) {
            (F::Add, [x, y]) => self.sum(x, y),
            (F::Subtract, [x, y]) => {
                let y = self.negative(y);
                self.sum(x, &y)
            }
            (F::Negative, [x]) => self.negative(x),
            (F::Multiply, [x, y]) => self.product(x, y),
            (F::Square, [x]) => self.power(x, 2),
            (F::Cube, [x]) => self.power(x, 3),
            (F::Divide, [x, y]) if !y.is_empty() => {
                let inverse = self.inverse(y);
                self.product(x, &inverse)
            }
            (F::Reciprocal, [x]) if !x.is_empty() => self.inverse(x),
            (F::Power, [x, y]) if Form::is_number(y) => match self.known(y) {
                // In floating point too, whatever x is.
                Some(0.0) => {
                    let one = self.scalars.literal(1.0);
                    self.number(one)
                }
                Some(1.0) => x.clone(),
                Some(2.0) => self.power(x, 2),
                Some(3.0) => self.power(x, 3),
                _ => self.opaque(function, arguments),
            },
            // Whatever the weight is: it has no value to be found.
            (F::Interp, [x, y, _]) if x == y => x.clone(),
            (F::Interp, [x, y, a]) => {
                let one = self.scalars.literal(1.0);
                let one = self.number(one);
                let minus = self.negative(a);
                let rest = self.sum(&one, &minus);
                let (x, y) = (self.product(&rest, x), self.product(a, y));
                self.sum(&x, &y)
            }
            (
                F::Abs | F::Sign | F::Sqrt | F::GuardedSqrt | F::Cbrt | F::Norm | F::GlobalNorm,
                [x],
            ) => {
                let (factor, x) = self.normalized(x);
                // A norm lets out what an absolute value does.
                let outside =
                    if matches!(function, F::Norm | F::GlobalNorm) { F::Abs } else { function };
                let factor = self.scalars.homogeneous(outside, factor);
                let call = self.opaque(function, vec![x]);
                self.scaled(&call, factor)
            }
            (F::Dot | F::CosineSim, [x, y]) => {
                let ((a, x), (b, y)) = (self.normalized(x), self.normalized(y));
                let mut factor = self.scalars.multiply(a, b);
                if function == F::CosineSim {
                    factor = self.scalars.homogeneous(F::Sign, factor);
                }
                let call = self.opaque(function, vec![x, y]);
                self.scaled(&call, factor)
            }
            (F::GuardedDivide, [x, y]) => {
                // Its guard is a number like any other that is added to a denominator.
                let guard = self.scalars.literal(EPSILON);
                let guard = self.number(guard);
                let y = self.sum(y, &guard);
                if y.is_empty() {
                    return self.opaque(function, arguments);
                }
                let inverse = self.inverse(&y);
                self.product(x, &inverse)
            }
            _ => self.opaque(function, arguments),
        }
    }

    fn scaled(&mut self, poly: &Poly, factor: ScalarId) -> Poly {
        if self.scalars.is_zero(factor) {
            return Vec::new();
        }
        poly.iter()
            .map(|term| Term {
                coefficient: self.scalars.multiply(term.coefficient, factor),
                over: term.over.clone(),
                under: term.under.clone(),
            })
            .collect()
    }

    fn negative(&mut self, poly: &Poly) -> Poly {
        let minus = self.scalars.literal(-1.0);
        self.scaled(poly, minus)
    }

    /// Like terms are added up, and the terms are put in order.
    fn collected(&mut self, terms: Vec<Term>) -> Poly {
        let mut poly: Poly = Vec::with_capacity(terms.len());
        let mut places: HashMap<(Factors, Factors), usize> = HashMap::new();
        for term in terms {
            let key = (term.over.clone(), term.under.clone());
            match places.get(&key) {
                Some(place) => {
                    poly[*place].coefficient =
                        self.scalars.add_like_terms(poly[*place].coefficient, term.coefficient)
                }
                None => {
                    places.insert(key, poly.len());
                    poly.push(term);
                }
            }
        }
        poly.retain(|term| !self.scalars.is_zero(term.coefficient));
        poly.sort_by(|a, b| (&a.over, &a.under).cmp(&(&b.over, &b.under)));
        poly
    }

    fn sum(&mut self, x: &Poly, y: &Poly) -> Poly {
        if x.len() + y.len() > MOST_TERMS && !x.is_empty() && !y.is_empty() {
            let (x, y) = (self.closed(x), self.closed(y));
            return self.collected(x.into_iter().chain(y).collect());
        }
        self.collected(x.iter().chain(y).cloned().collect())
    }

    fn product(&mut self, x: &Poly, y: &Poly) -> Poly {
        if x.len() * y.len() > MOST_TERMS {
            let (x, y) = (self.closed(x), self.closed(y));
            return self.product(&x, &y);
        }
        let mut terms = Vec::with_capacity(x.len() * y.len());
        for a in x {
            for b in y {
                terms.push(Term {
                    coefficient: self.scalars.multiply(a.coefficient, b.coefficient),
                    over: joined(&a.over, &b.over),
                    under: joined(&a.under, &b.under),
                });
            }
        }
        self.collected(terms)
    }

    fn power(&mut self, x: &Poly, exponent: u32) -> Poly {
        let closed = self.closed(x);
        closed
            .iter()
            .map(|term| Term {
                coefficient: self.scalars.power(term.coefficient, exponent as i32),
                over: raised(&term.over, exponent),
                under: raised(&term.under, exponent),
            })
            .collect()
    }

    /// One over a sum that is not empty.
    fn inverse(&mut self, x: &Poly) -> Poly {
        let closed = self.closed(x);
        closed
            .iter()
            .map(|term| Term {
                coefficient: self.scalars.power(term.coefficient, -1),
                over: term.under.clone(),
                under: term.over.clone(),
            })
            .collect()
    }

    /// A sum as one term: itself if it has one, or its leading factor times the rest as one value.
    fn closed(&mut self, x: &Poly) -> Poly {
        if x.len() <= 1 {
            return x.clone();
        }
        let (factor, rest) = self.normalized(x);
        let rest = self.poly(rest);
        self.single(Atom::Sum(rest), factor)
    }

    /// The factor of the leading term, and the sum over it.
    fn normalized(&mut self, x: &Poly) -> (ScalarId, Poly) {
        let one = self.scalars.literal(1.0);
        let Some(leading) = x
            .iter()
            .map(|term| (self.rank(term), term.coefficient))
            .min()
            .map(|(_, coefficient)| coefficient)
        else {
            return (one, x.clone());
        };
        if x.len() > 1 && !self.divisors.contains(&leading) {
            self.divisors.push(leading);
        }
        let inverse = self.scalars.power(leading, -1);
        (leading, self.scaled(x, inverse))
    }

    /// Returns the key by which both sides order terms: terms without weights first, then those
    /// without state; then by what they are made of. Decay, which has weights, is the term that
    /// most often is missing on one side.
    pub(super) fn rank(&self, term: &Term) -> (bool, bool, u64) {
        let mut rank = (false, false, 0u64);
        for ((atom, exponent), side) in factors(term) {
            let about = &self.about[*atom];
            rank.0 |= about.has_weights;
            rank.1 |= about.has_slots;
            // Added up, so that the order of the factors does not matter.
            rank.2 =
                rank.2.wrapping_add(mix(about.labels[DEPTH], side * 16 + u64::from(*exponent)));
        }
        rank
    }

    /// Derives the facts about an atom from those that it is made of.
    fn describe(&self, atom: &Atom) -> About {
        let mut about = About {
            has_weights: *atom == Atom::Weights,
            has_slots: matches!(atom, Atom::Slot(_)),
            labels: [0; DEPTH + 1],
        };
        let inside: &[PolyId] = match atom {
            Atom::Call(_, arguments) => arguments,
            Atom::Sum(poly) => std::slice::from_ref(poly),
            _ => &[],
        };
        for (atom, _) in inside
            .iter()
            .flat_map(|poly| &self.polys[*poly])
            .flat_map(factors)
            .map(|(factor, _)| factor)
        {
            about.has_weights |= self.about[*atom].has_weights;
            about.has_slots |= self.about[*atom].has_slots;
        }
        for depth in 0..=DEPTH {
            about.labels[depth] = match atom {
                Atom::Weights => 11,
                Atom::Gradients => 12,
                Atom::LearningRate => 13,
                Atom::Step => 14,
                Atom::Slot(_) => 15,
                Atom::Sum(poly) => mix(16, self.poly_label(*poly, depth)),
                Atom::Call(function, arguments) => {
                    let start = mix(17, *function as u64);
                    let labels = arguments.iter().map(|argument| self.poly_label(*argument, depth));
                    if function.row().commutative {
                        labels.fold(start, |hash, label| hash.wrapping_add(mix(label, 1)))
                    } else {
                        labels.fold(start, mix)
                    }
                }
            };
        }
        about
    }

    fn poly_label(&self, poly: PolyId, depth: usize) -> u64 {
        let Some(below) = depth.checked_sub(1) else { return 0 };
        self.polys[poly].iter().fold(3, |hash, term| {
            let label = factors(term).fold(7u64, |hash, ((atom, exponent), side)| {
                hash.wrapping_add(mix(
                    self.about[*atom].labels[below],
                    side * 16 + u64::from(*exponent),
                ))
            });
            hash.wrapping_add(mix(label, 5))
        })
    }

    /// Whether every part is a number.
    pub(super) fn poly_is_number(&self, poly: PolyId) -> bool {
        Form::is_number(&self.polys[poly])
    }
}

/// The factors of a term, with 1 for those above and 2 for those below.
fn factors(term: &Term) -> impl Iterator<Item = (&(AtomId, u32), u64)> {
    term.over.iter().map(|factor| (factor, 1)).chain(term.under.iter().map(|factor| (factor, 2)))
}

fn mix(a: u64, b: u64) -> u64 {
    let mut x = a ^ b.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn joined(a: &Factors, b: &Factors) -> Factors {
    let mut all: Factors = a.clone();
    for (atom, exponent) in b {
        match all.iter_mut().find(|(other, _)| other == atom) {
            Some((_, e)) => *e = e.saturating_add(*exponent),
            None => all.push((*atom, *exponent)),
        }
    }
    all.sort_unstable();
    all
}

fn raised(factors: &Factors, exponent: u32) -> Factors {
    factors.iter().map(|(atom, e)| (*atom, e.saturating_mul(exponent))).collect()
}
