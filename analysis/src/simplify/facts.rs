//! Facts about the value of a node, whatever the inputs: its type, its number if it is a constant,
//! and coarse bounds.

use symopt_dsl::function::Function;
use symopt_dsl::types::Type;

use crate::simplify::term::{Leaf, Term, node_type};

/// Facts about a value. Bounds and signs hold where the value is a number; NaN is always possible.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    /// Its type.
    pub(crate) ty: Type,
    /// Its number, if it is a constant.
    pub(crate) constant: Option<f64>,
    /// Bounds, out of a few numbers, so that facts that follow from each other in a circle come to
    /// an end.
    pub(crate) low: f64,
    /// See `low`.
    pub(crate) high: f64,
    /// Whether it is never zero (but may be as small as you like).
    pub(crate) nonzero: bool,
    /// Whether it is a number for all numbers that it is made of: sums and products are, quotients
    /// need not be.
    pub(crate) total: bool,
}

/// The numbers that bounds are rounded to, outwards.
const BOUNDS: [f64; 5] = [f64::NEG_INFINITY, -1.0, 0.0, 1.0, f64::INFINITY];

fn round_down(x: f64) -> f64 {
    BOUNDS.iter().copied().filter(|bound| *bound <= x).fold(f64::NEG_INFINITY, f64::max)
}

fn round_up(x: f64) -> f64 {
    BOUNDS.iter().copied().filter(|bound| *bound >= x).fold(f64::INFINITY, f64::min)
}

impl Facts {
    /// Nothing but a type.
    pub(crate) fn unknown(ty: Type) -> Facts {
        Facts {
            ty,
            constant: None,
            low: f64::NEG_INFINITY,
            high: f64::INFINITY,
            nonzero: false,
            total: false,
        }
    }

    /// Bounds that may be of any precision, NaN for no bound.
    fn between(ty: Type, low: f64, high: f64, nonzero: bool) -> Facts {
        Facts {
            ty,
            constant: None,
            low: round_down(low),
            high: round_up(high),
            nonzero: nonzero || low > 0.0 || high < 0.0,
            total: false,
        }
    }

    /// All that can be known of a number.
    pub(crate) fn number(value: f64) -> Facts {
        Facts {
            constant: Some(value),
            total: value.is_finite(),
            ..Facts::between(Type::Scalar, value, value, value != 0.0 && !value.is_nan())
        }
    }

    /// Never below zero.
    pub(crate) fn is_nonnegative(&self) -> bool {
        self.low >= 0.0
    }

    /// Above zero.
    pub(crate) fn is_positive(&self) -> bool {
        self.low >= 0.0 && self.nonzero
    }

    /// Bounds of the value; exact for a constant.
    pub(crate) fn range(&self) -> (f64, f64) {
        self.constant.map_or((self.low, self.high), |value| (value, value))
    }

    /// Merges two sets of facts about one value into the first. True where the first has learned
    /// something.
    pub(crate) fn meet(&mut self, other: &Facts) -> bool {
        let before = *self;
        // NaN never contradicts.
        self.constant = self.constant.or(other.constant);
        self.low = self.low.max(other.low);
        self.high = self.high.min(other.high);
        self.nonzero |= other.nonzero;
        self.total |= other.total;
        !self.same(&before)
    }

    /// Reduces the first of two sets of facts to what holds for both values. True where the first
    /// has lost something.
    pub(crate) fn join(&mut self, other: &Facts) -> bool {
        let before = *self;
        self.constant = self
            .constant
            .filter(|value| other.constant.is_some_and(|other| other.to_bits() == value.to_bits()));
        self.low = self.low.min(other.low);
        self.high = self.high.max(other.high);
        self.nonzero &= other.nonzero;
        self.total &= other.total;
        !self.same(&before)
    }

    /// Equality with NaN equal to itself.
    pub(crate) fn same(&self, other: &Facts) -> bool {
        let bits = |facts: &Facts| {
            (
                facts.ty,
                facts.constant.map(f64::to_bits),
                facts.low.to_bits(),
                facts.high.to_bits(),
                facts.nonzero,
                facts.total,
            )
        };
        bits(self) == bits(other)
    }

    /// The facts about a node from those about its children. `slots` says which slots are never
    /// negative.
    pub(crate) fn of(node: &Term, children: &[Facts], slots: &[bool]) -> Facts {
        let types: Vec<Type> = children.iter().map(|facts| facts.ty).collect();
        let ty = node_type(node, &types);
        let total = is_total(node, children);
        let facts = match node {
            Term::Leaf(Leaf::Slot(slot)) if slots.get(usize::from(*slot)) == Some(&true) => {
                Facts::between(ty, 0.0, f64::INFINITY, false)
            }
            Term::Leaf(Leaf::LearningRate) => Facts::between(ty, 0.0, f64::INFINITY, false),
            Term::Leaf(Leaf::Step) => Facts::between(ty, 1.0, f64::INFINITY, true),
            Term::Leaf(_) | Term::Outputs(_) => Facts::unknown(ty),
            Term::Constant(bits) => Facts::number(f64::from_bits(*bits)),
            Term::Cast(ty, _) => Facts { ty: *ty, constant: None, ..children[0] },
            Term::Call(function, _) => {
                let constants: Option<Vec<f64>> =
                    children.iter().map(|facts| facts.constant).collect();
                match constants {
                    Some(values) => {
                        let mut x = [0.0; 3];
                        x.iter_mut().zip(&values).for_each(|(x, value)| *x = *value);
                        Facts::number(function.on_scalars(x))
                    }
                    None => of_call(*function, children, ty),
                }
            }
        };
        Facts { total: total && facts.constant.is_none_or(f64::is_finite), ..facts }
    }
}

/// Whether a node is a number wherever its children are and these always are.
fn is_total(node: &Term, children: &[Facts]) -> bool {
    use Function as F;
    let all = children.iter().all(|child| child.total);
    let at = |place: usize| children.get(place);
    match node {
        Term::Leaf(_) | Term::Cast(..) => all,
        Term::Constant(bits) => f64::from_bits(*bits).is_finite(),
        Term::Outputs(_) => false,
        Term::Call(function, _) => {
            all && match function {
                F::Arcsin | F::Arccos | F::Arctanh => {
                    at(0).is_some_and(|x| x.low >= -1.0 && x.high <= 1.0 && *function != F::Arctanh)
                }
                F::Arccosh => at(0).is_some_and(|x| x.low >= 1.0),
                F::Log | F::Log2 | F::Log10 => at(0).is_some_and(Facts::is_positive),
                F::GuardedLog | F::GuardedLog2 | F::GuardedLog10 | F::Reciprocal => {
                    at(0).is_some_and(|x| x.nonzero)
                }
                F::Log1p | F::Sqrt => at(0).is_some_and(Facts::is_nonnegative),
                F::Divide => at(1).is_some_and(|x| x.nonzero),
                F::GuardedDivide => at(1).is_some_and(Facts::is_nonnegative),
                F::Power => at(0).is_some_and(Facts::is_positive),
                // The mean of an array without numbers is NaN.
                F::Tan | F::GuardedLog1p | F::CosineSim | F::Mean => false,
                // No wildcard: a new function must say so.
                F::Abs
                | F::Cos
                | F::Sin
                | F::Arctan
                | F::Exp
                | F::Sinh
                | F::Cosh
                | F::Tanh
                | F::Arcsinh
                | F::Sign
                | F::Exp2
                | F::Exp10
                | F::Expm1
                | F::Square
                | F::Cube
                | F::Cbrt
                | F::Add
                | F::Subtract
                | F::Multiply
                | F::Maximum
                | F::Minimum
                | F::Norm
                | F::GlobalNorm
                | F::Dot
                | F::Clip
                | F::Interp
                | F::GetPi
                | F::GetE
                | F::GetEps
                | F::Negative
                | F::Copy
                | F::GuardedSqrt
                | F::Where
                | F::Less
                | F::LessEqual
                | F::Greater
                | F::GreaterEqual
                | F::Equal
                | F::Size
                | F::Transpose
                | F::Matmul
                | F::RowMean
                | F::ColumnMean
                | F::NewtonSchulz
                | F::Rows
                | F::Columns => true,
            }
        }
    }
}

/// Products of bounds where 0 times infinity is 0: bounds are limits, not values.
fn product(x: f64, y: f64) -> f64 {
    if x == 0.0 || y == 0.0 { 0.0 } else { x * y }
}

fn of_call(function: Function, x: &[Facts], ty: Type) -> Facts {
    use Function as F;
    const INFINITY: f64 = f64::INFINITY;
    let unknown = Facts::unknown(ty);
    let Some(first) = x.first() else { return unknown };
    let (low, high) = first.range();
    let nonzero = first.nonzero;
    let nonnegative = |nonzero| Facts::between(ty, 0.0, INFINITY, nonzero);
    let second = x.get(1).unwrap_or(first);
    let (other_low, other_high) = second.range();
    let sum = |a: f64, b: f64, fallback: f64| if (a + b).is_nan() { fallback } else { a + b };
    match function {
        F::Abs | F::GlobalNorm | F::Norm => {
            let bound = if low >= 0.0 {
                low
            } else if high <= 0.0 {
                -high
            } else {
                0.0
            };
            // A norm is no smaller than zero; how large it is depends on how many numbers there
            // are.
            if function == F::Abs || ty == Type::Scalar && first.ty == Type::Scalar {
                Facts::between(ty, bound, high.abs().max(low.abs()), nonzero)
            } else {
                nonnegative(nonzero)
            }
        }
        F::Square => nonnegative(false),
        F::Exp | F::Exp2 | F::Exp10 => nonnegative(true),
        F::Cosh => Facts::between(ty, 1.0, INFINITY, true),
        F::Cos | F::Sin => Facts::between(ty, -1.0, 1.0, false),
        F::Tanh => Facts::between(
            ty,
            if low >= 0.0 { 0.0 } else { -1.0 },
            if high <= 0.0 { 0.0 } else { 1.0 },
            nonzero,
        ),
        F::Sign => Facts::between(
            ty,
            if low >= 0.0 { if nonzero { 1.0 } else { 0.0 } } else { -1.0 },
            if high <= 0.0 { if nonzero { -1.0 } else { 0.0 } } else { 1.0 },
            nonzero,
        ),
        F::Sqrt | F::GuardedSqrt | F::Arccos | F::Arccosh => {
            nonnegative(nonzero && matches!(function, F::Sqrt | F::GuardedSqrt))
        }
        // Odd and rising: the sign stays.
        F::Arcsin
        | F::Arctan
        | F::Sinh
        | F::Arcsinh
        | F::Arctanh
        | F::Cube
        | F::Cbrt
        | F::Expm1 => Facts::between(
            ty,
            if low >= 0.0 { 0.0 } else { -INFINITY },
            if high <= 0.0 { 0.0 } else { INFINITY },
            nonzero,
        ),
        F::Log1p if low >= 0.0 => nonnegative(nonzero),
        F::Reciprocal => Facts::between(
            ty,
            if low >= 0.0 { 0.0 } else { -INFINITY },
            if high <= 0.0 { 0.0 } else { INFINITY },
            true,
        ),
        F::Negative => Facts::between(ty, -high, -low, nonzero),
        F::Add => Facts::between(
            ty,
            sum(low, other_low, -INFINITY),
            sum(high, other_high, INFINITY),
            (first.is_positive() && second.is_nonnegative())
                || (first.is_nonnegative() && second.is_positive()),
        ),
        F::Subtract => Facts::between(
            ty,
            sum(low, -other_high, -INFINITY),
            sum(high, -other_low, INFINITY),
            false,
        ),
        F::Multiply => {
            let corners = [
                product(low, other_low),
                product(low, other_high),
                product(high, other_low),
                product(high, other_high),
            ];
            let (least, most) =
                corners.iter().fold((INFINITY, -INFINITY), |(a, b), c| (a.min(*c), b.max(*c)));
            // The product of two numbers above zero may still underflow: nonzero holds over the
            // reals.
            Facts::between(ty, least, most, nonzero && second.nonzero)
        }
        F::Divide => {
            let sign_known = |facts: &Facts| facts.low >= 0.0 || facts.high <= 0.0;
            if sign_known(first) && sign_known(second) {
                let same = (low >= 0.0) == (other_low >= 0.0);
                if same {
                    nonnegative(nonzero)
                } else {
                    Facts::between(ty, -INFINITY, 0.0, nonzero)
                }
            } else {
                Facts { nonzero, ..unknown }
            }
        }
        F::GuardedDivide if other_low >= 0.0 && low >= 0.0 => nonnegative(nonzero),
        F::GuardedDivide if other_low >= 0.0 && high <= 0.0 => {
            Facts::between(ty, -INFINITY, 0.0, nonzero)
        }
        F::Power if low >= 0.0 => nonnegative(nonzero),
        F::Maximum => Facts::between(ty, low.max(other_low), high.max(other_high), false),
        F::Minimum => Facts::between(
            ty,
            low.min(other_low),
            high.min(other_high),
            first.is_positive() && second.is_positive(),
        ),
        F::Clip if other_low >= 0.0 => Facts::between(
            ty,
            if low >= 0.0 { 0.0 } else { -INFINITY },
            if high <= 0.0 { 0.0 } else { INFINITY },
            false,
        ),
        F::Interp => {
            let weight = x.get(2).and_then(|facts| facts.constant);
            if weight.is_some_and(|a| (0.0..=1.0).contains(&a)) {
                Facts::between(
                    ty,
                    low.min(other_low),
                    high.max(other_high),
                    first.is_positive() && second.is_positive(),
                )
            } else {
                unknown
            }
        }
        F::Less | F::LessEqual | F::Greater | F::GreaterEqual | F::Equal => {
            Facts::between(ty, 0.0, 1.0, false)
        }
        F::Where => {
            let third = x.get(2).unwrap_or(second);
            let (third_low, third_high) = third.range();
            Facts::between(
                ty,
                other_low.min(third_low),
                other_high.max(third_high),
                second.nonzero && third.nonzero,
            )
        }
        F::Mean => Facts::between(ty, low, high, first.is_positive()),
        F::Size => nonnegative(false),
        F::GetPi | F::GetE | F::GetEps => unknown,
        _ => unknown,
    }
}

/// The facts about each node of a flow.
pub(crate) fn facts_of_all(nodes: &[Term], slots: &[bool]) -> Vec<Facts> {
    let mut facts: Vec<Facts> = Vec::with_capacity(nodes.len());
    for node in nodes {
        let children: Vec<Facts> =
            egg::Language::children(node).iter().map(|child| facts[usize::from(*child)]).collect();
        facts.push(Facts::of(node, &children, slots));
    }
    facts
}

/// Which slots are never negative: all start at zero, and the largest set is wanted whose next
/// values are never negative if the set's old ones are not.
pub(crate) fn nonnegative_slots(nodes: &[Term], outputs: &[egg::Id]) -> Vec<bool> {
    let mut slots = vec![true; outputs.len().saturating_sub(1)];
    loop {
        let facts = facts_of_all(nodes, &slots);
        let mut changed = false;
        for (slot, next) in slots.iter_mut().zip(outputs.iter().skip(1)) {
            if *slot && !facts[usize::from(*next)].is_nonnegative() {
                *slot = false;
                changed = true;
            }
        }
        if !changed {
            return slots;
        }
    }
}
