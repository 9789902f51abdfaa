//! Two forms against each other: which slot is which, and which numbers would have to be equal.

use std::collections::BTreeSet;

use super::form::{Atom, AtomId, Factors, Form, PolyId, Term};
use super::scalar::ScalarId;

/// A number of the fixed side (`None` for 0) that a number of the general side has to equal.
pub(super) type Pair = (Option<ScalarId>, ScalarId);

/// Pair that has to be matched yet.
#[derive(Clone, Debug)]
enum Goal {
    Polys(PolyId, PolyId),
    /// The terms from the given one on; of the general side those without a partner yet.
    Terms(PolyId, PolyId, usize, u64),
    Factors(Factors, Factors),
}

#[derive(Clone, Debug)]
struct State {
    goals: Vec<Goal>,
    matched: BTreeSet<(PolyId, PolyId)>,
    pairs: Vec<Pair>,
    /// For each slot of the fixed side the slot of the general side.
    slots: Vec<Option<usize>>,
}

/// Matching slots: those of the general side by those of the fixed side.
pub(super) type Slots = Vec<Option<usize>>;

/// Steps of one match at most. Programs of a hundred statements take some hundreds; only ones with
/// many like terms come near the limit.
const MOST_STEPS: usize = 4000;
/// Lists of equations at most that are tried to be solved.
const MOST_SOLUTIONS: usize = 60;

struct Matcher<'a> {
    fixed: &'a Form,
    general: &'a Form,
    steps: usize,
    solutions: usize,
}

/// Matches two forms. `solve` takes the pairs of numbers that have to be equal, and says whether
/// they can be.
pub(super) fn match_forms<S>(
    fixed: &Form,
    general: &Form,
    solve: &mut dyn FnMut(&[Pair]) -> Option<S>,
) -> Option<(S, Slots)> {
    let state = State {
        goals: vec![Goal::Polys(fixed.update, general.update)],
        matched: BTreeSet::new(),
        pairs: Vec::new(),
        slots: vec![None; fixed.slots.len()],
    };
    Matcher { fixed, general, steps: 0, solutions: 0 }.run(state, solve)
}

impl Matcher<'_> {
    fn run<S>(
        &mut self,
        mut state: State,
        solve: &mut dyn FnMut(&[Pair]) -> Option<S>,
    ) -> Option<(S, Slots)> {
        while let Some(goal) = state.goals.pop() {
            self.steps += 1;
            if self.steps > MOST_STEPS || self.solutions > MOST_SOLUTIONS {
                return None;
            }
            match goal {
                Goal::Polys(a, b) => {
                    if state.matched.insert((a, b)) {
                        state.goals.push(Goal::Terms(a, b, 0, 0));
                    }
                }
                Goal::Terms(a, b, next, used) => {
                    let (terms, others) = (&self.fixed.polys[a], &self.general.polys[b]);
                    // The set of used terms has 64 places.
                    if others.len() > 64 || terms.len() > others.len() {
                        return None;
                    }
                    let Some(term) = terms.get(next) else {
                        let left =
                            others.iter().enumerate().filter(|(place, _)| used & (1 << place) == 0);
                        state.pairs.extend(left.map(|(_, term)| (None, term.coefficient)));
                        continue;
                    };
                    let mut candidates: Vec<(bool, usize)> = Vec::new();
                    for (place, other) in others.iter().enumerate() {
                        if used & (1 << place) == 0 && self.may_match(term, other) {
                            // Those that are alike to a depth come first.
                            candidates
                                .push((self.fixed.rank(term) != self.general.rank(other), place));
                        }
                    }
                    candidates.sort_unstable();
                    let mut alternatives = candidates.into_iter().map(|(_, place)| {
                        let other = &others[place];
                        let goals = [
                            Goal::Terms(a, b, next + 1, used | 1 << place),
                            Goal::Factors(term.under.clone(), other.under.clone()),
                            Goal::Factors(term.over.clone(), other.over.clone()),
                        ];
                        (Some((Some(term.coefficient), other.coefficient)), goals.to_vec(), None)
                    });
                    match self.choose(&mut state, &mut alternatives, solve) {
                        Choice::One => {}
                        Choice::Done(result) => return result,
                    }
                }
                Goal::Factors(mut a, b) => {
                    let Some((atom, exponent)) = a.pop() else {
                        if b.is_empty() {
                            continue;
                        }
                        return None;
                    };
                    let mut alternatives = Vec::new();
                    for (place, (other, other_exponent)) in b.iter().enumerate() {
                        if exponent != *other_exponent || !self.may_be(atom, *other) {
                            continue;
                        }
                        let mut rest = b.clone();
                        rest.remove(place);
                        let after = Goal::Factors(a.clone(), rest);
                        alternatives.extend(
                            self.inside(atom, *other, &state.slots).into_iter().map(
                                |(mut goals, slots)| {
                                    goals.insert(0, after.clone());
                                    (None, goals, slots)
                                },
                            ),
                        );
                    }
                    match self.choose(&mut state, &mut alternatives.into_iter(), solve) {
                        Choice::One => {}
                        Choice::Done(result) => return result,
                    }
                }
            }
        }
        self.solutions += 1;
        let solution = solve(&state.pairs)?;
        Some((solution, state.slots))
    }

    /// Goes on with the only alternative in the same state; tries several one after the other.
    fn choose<S>(
        &mut self,
        state: &mut State,
        alternatives: &mut dyn Iterator<Item = Alternative>,
        solve: &mut dyn FnMut(&[Pair]) -> Option<S>,
    ) -> Choice<S> {
        let Some(first) = alternatives.next() else { return Choice::Done(None) };
        let rest: Vec<Alternative> = alternatives.collect();
        if rest.is_empty() {
            state.take(first);
            return Choice::One;
        }
        for alternative in std::iter::once(first).chain(rest) {
            let mut state = state.clone();
            state.take(alternative);
            if let Some(found) = self.run(state, solve) {
                return Choice::Done(Some(found));
            }
        }
        Choice::Done(None)
    }

    /// Returns the goals that have to match for two atoms of one kind to match, in each of the ways
    /// there are.
    fn inside(&self, a: AtomId, b: AtomId, slots: &Slots) -> Vec<(Vec<Goal>, Option<Slots>)> {
        match (&self.fixed.atoms[a], &self.general.atoms[b]) {
            (Atom::Slot(a), Atom::Slot(b)) => {
                let bound = slots.get(*a).copied().flatten();
                if bound == Some(*b) {
                    return vec![(Vec::new(), None)];
                }
                let (Some(Some(next)), Some(Some(other))) =
                    (self.fixed.slots.get(*a), self.general.slots.get(*b))
                else {
                    return Vec::new();
                };
                if bound.is_some() || slots.contains(&Some(*b)) {
                    return Vec::new();
                }
                let mut slots = slots.clone();
                slots[*a] = Some(*b);
                vec![(vec![Goal::Polys(*next, *other)], Some(slots))]
            }
            (Atom::Sum(a), Atom::Sum(b)) => vec![(vec![Goal::Polys(*a, *b)], None)],
            (Atom::Call(function, x), Atom::Call(_, y)) => {
                let goals = |x: &[PolyId], y: &[PolyId]| {
                    x.iter().zip(y).map(|(x, y)| Goal::Polys(*x, *y)).collect::<Vec<_>>()
                };
                let mut ways = vec![(goals(x, y), None)];
                if function.row().commutative
                    && let ([_, _], [first, second]) = (x.as_slice(), y.as_slice())
                {
                    ways.push((goals(x, &[*second, *first]), None));
                    // A way that takes a number for an array leads nowhere.
                    ways.retain(|(goals, _)| goals.iter().all(|goal| self.same_kind(goal)));
                }
                ways
            }
            _ => vec![(Vec::new(), None)],
        }
    }

    fn same_kind(&self, goal: &Goal) -> bool {
        match goal {
            Goal::Polys(a, b) => {
                let (x, y) = (&self.fixed.polys[*a], &self.general.polys[*b]);
                x.len() <= y.len()
                    && (self.fixed.poly_is_number(*a) || !self.general.poly_is_number(*b))
            }
            _ => true,
        }
    }

    /// Whether two atoms are of one kind.
    fn may_be(&self, a: AtomId, b: AtomId) -> bool {
        match (&self.fixed.atoms[a], &self.general.atoms[b]) {
            (Atom::Slot(_), Atom::Slot(_)) | (Atom::Sum(_), Atom::Sum(_)) => true,
            (Atom::Call(f, x), Atom::Call(g, y)) => f == g && x.len() == y.len(),
            (a, b) => a == b,
        }
    }

    fn may_match(&self, a: &Term, b: &Term) -> bool {
        let factors = |x: &Factors, y: &Factors| {
            x.len() == y.len()
                && x.iter().all(|(atom, e)| {
                    y.iter().any(|(other, f)| e == f && self.may_be(*atom, *other))
                })
        };
        factors(&a.over, &b.over) && factors(&a.under, &b.under)
    }
}

/// A pair of numbers, goals, and the slots if they change.
type Alternative = (Option<Pair>, Vec<Goal>, Option<Slots>);

enum Choice<S> {
    One,
    Done(Option<(S, Slots)>),
}

impl State {
    fn take(&mut self, (pair, goals, slots): Alternative) {
        self.pairs.extend(pair);
        self.goals.extend(goals);
        if let Some(slots) = slots {
            self.slots = slots;
        }
    }
}
