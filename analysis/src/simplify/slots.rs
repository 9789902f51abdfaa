//! Reasoning about the state: slots that follow from others, slots that stay at zero, and changes
//! of variable.
//!
//! Where the next value of a slot is a linear combination of slots and of other values (the inputs
//! of the recurrence), its coefficients are numbers that can be reasoned with: all state starts at
//! zero, so a combination of slots that no input ever feeds stays at zero, and one of its slots
//! follows from the rest. A slot may also be kept in another unit, which is worth while where the
//! rest of the program does not mind.

use std::collections::{BTreeMap, BTreeSet};

use egg::{Id, Language};
use symopt_dsl::function::Function;
use symopt_dsl::program::{Numerics, ParameterKind, Program, Signature, SlotId, VarId};
use symopt_dsl::types::Type;

use crate::simplify::assembly::{Naming, assemble};
use crate::simplify::derivation::{Reason, StepKind};
use crate::simplify::extraction::cost;
use crate::simplify::facts::nonnegative_slots;
use crate::simplify::label::{Label, SlotMap};
use crate::simplify::proposal::Proposal;
use crate::simplify::term::{Builder, Leaf, Term, TermFlow};

/// Coefficients closer to each other than this share are the same number.
const TOLERANCE: f64 = 1e-12;

/// Multiplications that the search for slots that follow from others may take, at most: some
/// hundred slots that read each other.
const MOST_WORK: usize = 2_000_000;

/// Nodes that are simplified in all in the search for slots in another unit.
const MOST_NODES: usize = 20_000;

/// Changes of the state that make the program cheaper, the surest first. `saturated` simplifies a
/// flow.
pub(crate) fn propose(
    program: &Program,
    flow: &TermFlow,
    saturated: impl Fn(&TermFlow) -> Option<TermFlow>,
) -> Vec<Proposal> {
    let names: Vec<String> =
        program.signature().slots().map(|slot| program.variable_name(slot).to_string()).collect();
    let state = State { program, flow, names };
    let mut proposals: Vec<Proposal> = Vec::new();
    proposals.extend(state.zero_slot(&saturated));
    proposals.extend(state.dependent_slot(&saturated));
    if proposals.is_empty() {
        proposals.extend(state.rescaled_slot(&saturated));
    }
    proposals
}

struct State<'a> {
    program: &'a Program,
    flow: &'a TermFlow,
    names: Vec<String>,
}

/// A value as a linear combination: of slots, of other values, and a constant.
#[derive(Clone, Debug, Default)]
struct Linear {
    /// Coefficients of slots.
    slots: BTreeMap<u16, f64>,
    /// Coefficients of values that are no combinations themselves; `None` is the number 1.
    others: BTreeMap<Option<Id>, f64>,
}

impl Linear {
    fn add(&mut self, other: &Linear, factor: f64) {
        for (slot, coefficient) in &other.slots {
            *self.slots.entry(*slot).or_insert(0.0) += factor * coefficient;
        }
        for (value, coefficient) in &other.others {
            *self.others.entry(*value).or_insert(0.0) += factor * coefficient;
        }
    }

    fn scaled(&self, factor: f64) -> Linear {
        let mut scaled = Linear::default();
        scaled.add(self, factor);
        scaled
    }
}

impl State<'_> {
    /// Every node as a linear combination.
    fn linear_forms(&self) -> Vec<Linear> {
        let nodes = self.flow.nodes();
        let mut forms: Vec<Linear> = Vec::with_capacity(nodes.len());
        for (index, node) in nodes.iter().enumerate() {
            let children = node.children();
            let form = |place: usize| &forms[usize::from(children[place])];
            let number = |place: usize| {
                nodes[usize::from(children[place])].constant().filter(|value| value.is_finite())
            };
            let combined = match node {
                Term::Leaf(Leaf::Slot(slot)) => {
                    Some(Linear { slots: BTreeMap::from([(*slot, 1.0)]), ..Linear::default() })
                }
                Term::Constant(_) => {
                    node.constant().filter(|value| value.is_finite()).map(|value| Linear {
                        others: BTreeMap::from([(None, value)]),
                        ..Linear::default()
                    })
                }
                Term::Call(Function::Add, _) => {
                    let mut sum = form(0).clone();
                    sum.add(form(1), 1.0);
                    Some(sum)
                }
                Term::Call(Function::Subtract, _) => {
                    let mut sum = form(0).clone();
                    sum.add(form(1), -1.0);
                    Some(sum)
                }
                Term::Call(Function::Negative, _) => Some(form(0).scaled(-1.0)),
                Term::Call(Function::Multiply, _) => match (number(0), number(1)) {
                    (Some(factor), _) => Some(form(1).scaled(factor)),
                    (_, Some(factor)) => Some(form(0).scaled(factor)),
                    _ => None,
                },
                Term::Call(Function::Divide, _) => number(1)
                    .filter(|divisor| *divisor != 0.0)
                    .map(|divisor| form(0).scaled(1.0 / divisor)),
                Term::Call(Function::Interp, _) => number(2).map(|weight| {
                    let mut sum = form(0).scaled(1.0 - weight);
                    sum.add(form(1), weight);
                    sum
                }),
                _ => None,
            };
            forms.push(combined.unwrap_or_else(|| Linear {
                others: BTreeMap::from([(Some(Id::from(index)), 1.0)]),
                ..Linear::default()
            }));
        }
        forms
    }

    fn next(&self, slot: usize) -> Option<Id> {
        self.flow.outputs().get(slot + 1).copied()
    }

    /// A slot that starts at zero and is zero whenever it was zero before.
    fn zero_slot(&self, saturated: &impl Fn(&TermFlow) -> Option<TermFlow>) -> Option<Proposal> {
        let slot = (0..self.names.len()).find(|slot| self.stays_zero(*slot))?;
        let name = &self.names[slot];
        let text = format!("{name} starts at zero, and its next value is zero as long as it is");
        self.eliminate(slot, &BTreeMap::new(), "a slot that stays at zero", text, saturated)
    }

    fn stays_zero(&self, slot: usize) -> bool {
        let nodes = self.flow.nodes();
        let mut zero: Vec<bool> = Vec::with_capacity(nodes.len());
        for node in nodes {
            let of = |place: usize| {
                node.children().get(place).is_some_and(|child| zero[usize::from(*child)])
            };
            use Function as F;
            let is_zero = match node {
                Term::Leaf(leaf) => *leaf == Leaf::Slot(slot as u16),
                Term::Constant(bits) => f64::from_bits(*bits) == 0.0,
                Term::Call(F::Multiply | F::Dot, _) => of(0) || of(1),
                Term::Call(F::Divide | F::GuardedDivide | F::Clip, _) => of(0),
                Term::Call(F::Where, _) => of(1) && of(2),
                Term::Call(F::Add | F::Subtract | F::Maximum | F::Minimum | F::Interp, _) => {
                    of(0) && of(1)
                }
                Term::Call(
                    F::Abs
                    | F::Sin
                    | F::Tan
                    | F::Arcsin
                    | F::Arctan
                    | F::Sinh
                    | F::Tanh
                    | F::Arcsinh
                    | F::Arctanh
                    | F::Sign
                    | F::Square
                    | F::Sqrt
                    | F::Cube
                    | F::Cbrt
                    | F::Negative
                    | F::Expm1
                    | F::Log1p
                    | F::Norm
                    | F::GlobalNorm
                    | F::Mean
                    | F::GuardedSqrt,
                    _,
                ) => of(0),
                _ => false,
            };
            zero.push(is_zero);
        }
        self.next(slot).is_some_and(|next| zero[usize::from(next)])
    }

    /// A slot that is always the same combination of others.
    fn dependent_slot(
        &self,
        saturated: &impl Fn(&TermFlow) -> Option<TermFlow>,
    ) -> Option<Proposal> {
        let count = self.names.len();
        if count < 2 {
            return None;
        }
        let forms = self.linear_forms();
        let next: Vec<&Linear> =
            (0..count).filter_map(|slot| Some(&forms[usize::from(self.next(slot)?)])).collect();
        let is_alone = |(slot, form): (usize, &&Linear)| {
            form.slots.keys().all(|read| usize::from(*read) == slot)
        };
        let unfed = if next.iter().enumerate().all(is_alone) {
            unfed_beside(&next)
        } else {
            unfed_together(&next)
        }?;
        let slot = (0..count).rev().find(|slot| {
            unfed[*slot].abs() > 1e-3 * unfed.iter().fold(0.0, |m: f64, x| m.max(x.abs()))
        })?;
        let terms: BTreeMap<usize, f64> = (0..count)
            .filter(|other| *other != slot && unfed[*other].abs() > TOLERANCE)
            .map(|other| (other, tidy(-unfed[other] / unfed[slot])))
            .collect();
        let sum = combination(
            &terms
                .iter()
                .map(|(other, factor)| (*factor, self.names[*other].clone()))
                .collect::<Vec<_>>(),
        );
        let text = format!(
            "{} = {sum} at every step, since both start at zero and the same inputs feed them",
            self.names[slot]
        );
        self.eliminate(slot, &terms, "a slot that follows from others", text, saturated)
    }

    /// The program without a slot, which is a combination of others.
    fn eliminate(
        &self,
        slot: usize,
        terms: &BTreeMap<usize, f64>,
        rule: &str,
        text: String,
        saturated: &impl Fn(&TermFlow) -> Option<TermFlow>,
    ) -> Option<Proposal> {
        let (signature, place) = without_slot(self.program.signature(), slot)?;
        let moved = |leaf: Leaf| match leaf {
            Leaf::Slot(other) if usize::from(other) > slot => Leaf::Slot(other - 1),
            Leaf::Hyperparameter(variable) if variable.index() > place => {
                Leaf::Hyperparameter(VarId(variable.0 - 1))
            }
            leaf => leaf,
        };
        let mut builder = Builder::default();
        let stand_in = |builder: &mut Builder| {
            let mut sum = None;
            for (other, factor) in terms {
                let leaf = builder.add(Term::Leaf(moved(Leaf::Slot(*other as u16))));
                let factor = builder.add(Term::number(*factor));
                let product = builder.call(Function::Multiply, &[factor, leaf]);
                sum = Some(sum.map_or(product, |sum| builder.call(Function::Add, &[sum, product])));
            }
            sum.unwrap_or_else(|| {
                let zero = builder.add(Term::number(0.0));
                builder.add(Term::Cast(Type::Tree, [zero]))
            })
        };
        let renumbered = rewrite(self.flow, &mut builder, |builder, leaf| {
            if leaf == Leaf::Slot(slot as u16) {
                stand_in(builder)
            } else {
                builder.add(Term::Leaf(moved(leaf)))
            }
        });
        let outputs: Vec<Id> = self
            .flow
            .outputs()
            .iter()
            .enumerate()
            .filter(|(output, _)| *output != slot + 1)
            .map(|(_, id)| renumbered[usize::from(*id)])
            .collect();
        let after = builder.finish(&outputs);
        let after = saturated(&after).unwrap_or(after);
        let after = assemble(&signature, &after, Naming::Kept)?;
        let reasons = vec![Reason { rule: rule.to_owned(), label: Label::Real, text }];
        Some(Proposal {
            kind: StepKind::Slots,
            label: Label::Real,
            after,
            reasons,
            slots: Vec::new(),
            conditions: Vec::new(),
            stand_in: None,
        })
    }

    /// A slot in another unit, where that makes the program cheaper.
    fn rescaled_slot(
        &self,
        saturated: &impl Fn(&TermFlow) -> Option<TermFlow>,
    ) -> Option<Proposal> {
        let forms = self.linear_forms();
        let before = cost(self.flow);
        let mut nodes = 0;
        for slot in 0..self.names.len() {
            let Some(next) = self.next(slot) else { continue };
            let form = &forms[usize::from(next)];
            let own = form.slots.get(&(slot as u16)).copied().unwrap_or(0.0);
            let fed: Vec<f64> =
                form.others.values().copied().filter(|coefficient| *coefficient != 0.0).collect();
            let [fed] = fed.as_slice() else { continue };
            if form.slots.len() > 1 || own == 1.0 {
                continue;
            }
            // As an average, and with its input as it is.
            for unit in [tidy(fed / (1.0 - own)), *fed] {
                if !unit.is_finite() || unit == 0.0 || (unit - 1.0).abs() < TOLERANCE {
                    continue;
                }
                nodes += self.flow.nodes().len();
                if nodes > MOST_NODES {
                    return None;
                }
                let mut builder = Builder::default();
                let renumbered = rewrite(self.flow, &mut builder, |builder, leaf| {
                    let id = builder.add(Term::Leaf(leaf));
                    if leaf != Leaf::Slot(slot as u16) {
                        return id;
                    }
                    let factor = builder.add(Term::number(unit));
                    builder.call(Function::Multiply, &[factor, id])
                });
                let mut outputs: Vec<Id> =
                    self.flow.outputs().iter().map(|id| renumbered[usize::from(*id)]).collect();
                let back = builder.add(Term::number(tidy(1.0 / unit)));
                outputs[slot + 1] = builder.call(Function::Multiply, &[back, outputs[slot + 1]]);
                let Some(after) = saturated(&builder.finish(&outputs))
                    .filter(|after| cost(after).is_shorter_than(&before))
                else {
                    continue;
                };
                let Some(after) = assemble(self.program.signature(), &after, Naming::Kept) else {
                    continue;
                };
                let name = &self.names[slot];
                let text = format!(
                    "{name} is kept in another unit: what was {name} is {} {name}",
                    symopt_dsl::printer::number(unit)
                );
                let reasons =
                    vec![Reason { rule: "change of unit".to_owned(), label: Label::Real, text }];
                let slots =
                    vec![SlotMap { after: name.clone(), terms: vec![(1.0 / unit, name.clone())] }];
                return Some(Proposal {
                    kind: StepKind::Slots,
                    label: Label::Real,
                    after,
                    reasons,
                    slots,
                    conditions: Vec::new(),
                    stand_in: None,
                });
            }
        }
        None
    }
}

/// The inputs that feed some slots.
fn inputs_of<'a>(next: impl Iterator<Item = &'a Linear>) -> BTreeSet<Option<Id>> {
    next.flat_map(|form| form.others.keys().copied()).collect()
}

/// How an input feeds each of some slots.
fn fed_by<'a>(input: Option<Id>, next: impl Iterator<Item = &'a Linear>) -> Vec<f64> {
    next.map(|form| form.others.get(&input).copied().unwrap_or(0.0)).collect()
}

/// A combination of slots that no input ever feeds, where none of them reads another: only slots
/// that decay alike can make one, so that those of each decay are looked at by themselves.
fn unfed_beside(next: &[&Linear]) -> Option<Vec<f64>> {
    let decay = |slot: usize| next[slot].slots.get(&(slot as u16)).copied().unwrap_or(0.0);
    let mut alike: Vec<(u64, Vec<usize>)> = Vec::new();
    let mut places: BTreeMap<u64, usize> = BTreeMap::new();
    for slot in 0..next.len() {
        let bits = tidy(decay(slot)).to_bits();
        let place = *places.entry(bits).or_insert_with(|| {
            alike.push((bits, Vec::new()));
            alike.len() - 1
        });
        alike[place].1.push(slot);
    }
    alike.iter().find_map(|(_, slots)| {
        let of_slots = || slots.iter().map(|slot| next[*slot]);
        let rows: Vec<Vec<f64>> =
            inputs_of(of_slots()).into_iter().map(|input| fed_by(input, of_slots())).collect();
        if rows.len().saturating_mul(slots.len()).saturating_mul(slots.len()) > MOST_WORK {
            return None;
        }
        let mut unfed = vec![0.0; next.len()];
        for (slot, factor) in slots.iter().zip(null_vector(&rows, slots.len())?) {
            unfed[*slot] = factor;
        }
        Some(unfed)
    })
}

/// The same of slots that may read each other; `None` also where there are too many to find out.
fn unfed_together(next: &[&Linear]) -> Option<Vec<f64>> {
    let count = next.len();
    let inputs = inputs_of(next.iter().copied());
    if inputs.len().saturating_mul(count).saturating_mul(count).saturating_mul(count) > MOST_WORK {
        return None;
    }
    // Combinations of slots that no input feeds, now or after any number of steps.
    let mut constraints: Vec<Vec<f64>> =
        inputs.into_iter().map(|input| fed_by(input, next.iter().copied())).collect();
    // A combination a is unfed for good if a is orthogonal to B, A B, A A B ...: A maps inputs on.
    let mut columns = constraints.clone();
    for _ in 1..count {
        columns = columns
            .iter()
            .map(|column| {
                next.iter()
                    .map(|form| {
                        form.slots
                            .iter()
                            .map(|(old, factor)| factor * column[usize::from(*old)])
                            .sum()
                    })
                    .collect()
            })
            .collect();
        constraints.extend(columns.iter().cloned());
    }
    null_vector(&constraints, count)
}

/// A flow's nodes in another builder, with leaves replaced; gives their new ids.
pub(crate) fn rewrite(
    flow: &TermFlow,
    builder: &mut Builder,
    mut leaf: impl FnMut(&mut Builder, Leaf) -> Id,
) -> Vec<Id> {
    let mut renumbered: Vec<Id> = Vec::with_capacity(flow.nodes().len());
    for node in flow.nodes() {
        let id = match node {
            Term::Leaf(found) => leaf(builder, *found),
            // The root belongs to the old flow.
            Term::Outputs(_) => Id::from(0),
            node => {
                let node = node.clone().map_children(|child| renumbered[usize::from(child)]);
                builder.add(node)
            }
        };
        renumbered.push(id);
    }
    renumbered
}

/// A signature without one of its slots, and the place where that was.
fn without_slot(signature: &Signature, slot: usize) -> Option<(Signature, usize)> {
    let place = signature.slots().nth(slot)?.index();
    let mut parameters = signature.parameters.clone();
    parameters.remove(place);
    let mut next = 0;
    for parameter in &mut parameters {
        if let ParameterKind::Slot(slot) = &mut parameter.kind {
            *slot = SlotId(next);
            next += 1;
        }
    }
    Some((Signature { parameters, numerics: Numerics::Ieee, ..signature.clone() }, place))
}

/// The usual names of one or two slots: `v` for what is never negative, as an average of squares,
/// and `m` for the rest. Beside the signature the renamings.
pub(crate) fn fresh_names(program: &Program, flow: &TermFlow) -> (Signature, Vec<SlotMap>) {
    let mut signature = program.signature().clone();
    let variables: Vec<VarId> = signature.slots().collect();
    let nonnegative = nonnegative_slots(flow.nodes(), flow.outputs());
    let wanted: Vec<&str> =
        nonnegative.iter().map(|nonnegative| if *nonnegative { "v" } else { "m" }).collect();
    let is_free = |name: &str| {
        let others = signature
            .parameters
            .iter()
            .enumerate()
            .filter(|(index, _)| !variables.contains(&VarId(*index as u16)));
        others.into_iter().all(|(_, parameter)| parameter.name != name)
    };
    let distinct = wanted.len() == 1 || wanted.len() == 2 && wanted[0] != wanted[1];
    if !distinct || !wanted.iter().all(|name| is_free(name)) {
        return (signature, Vec::new());
    }
    let mut maps = Vec::new();
    for (variable, name) in variables.into_iter().zip(wanted) {
        let parameter = &mut signature.parameters[variable.index()];
        if parameter.name != name {
            maps.push(SlotMap {
                after: name.to_owned(),
                terms: vec![(1.0, parameter.name.clone())],
            });
            parameter.name = name.to_owned();
        }
    }
    (signature, maps)
}

/// A sum for people: `0.5 m - v`.
fn combination(terms: &[(f64, String)]) -> String {
    if terms.is_empty() {
        return "0".to_owned();
    }
    let mut text = String::new();
    for (index, (factor, name)) in terms.iter().enumerate() {
        let sign = if *factor < 0.0 { "-" } else { "+" };
        match (index, sign) {
            (0, "+") => {}
            (0, _) => text.push('-'),
            _ => text.push_str(&format!(" {sign} ")),
        }
        if factor.abs() == 1.0 {
            text.push_str(name);
        } else {
            text.push_str(&format!("{} {name}", symopt_dsl::printer::number(factor.abs())));
        }
    }
    text
}

/// A number without the last digits that its computation has left: the nearest one of 12 digits, if
/// that is as near as rounding explains.
fn tidy(value: f64) -> f64 {
    let short: f64 = format!("{value:.11e}").parse().unwrap_or(value);
    if (short - value).abs() <= 1e-14 * value.abs() { short } else { value }
}

/// A vector that is orthogonal to all rows; `None` if there is none but zero.
fn null_vector(rows: &[Vec<f64>], size: usize) -> Option<Vec<f64>> {
    let mut rows: Vec<Vec<f64>> = rows.to_vec();
    let scale = |row: &[f64]| row.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
    // Each row counts the same, however large its numbers are.
    for row in &mut rows {
        let most = scale(row);
        if !most.is_finite() {
            return None;
        }
        if most > 0.0 {
            row.iter_mut().for_each(|x| *x /= most);
        }
    }
    let mut pivots: Vec<(usize, Vec<f64>)> = Vec::new();
    loop {
        // The largest number that is left is the next pivot.
        let best = rows
            .iter()
            .enumerate()
            .flat_map(|(r, row)| row.iter().enumerate().map(move |(c, x)| (x.abs(), r, c)))
            .fold(
                (0.0, 0, 0),
                |best: (f64, usize, usize), next| if next.0 > best.0 { next } else { best },
            );
        if best.0 <= TOLERANCE * 100.0 {
            break;
        }
        let (_, r, c) = best;
        let mut pivot = rows.swap_remove(r);
        let lead = pivot[c];
        pivot.iter_mut().for_each(|x| *x /= lead);
        let clear = |row: &mut Vec<f64>| {
            let factor = row[c];
            row.iter_mut().zip(&pivot).for_each(|(x, p)| *x -= factor * p);
            row[c] = 0.0;
        };
        rows.iter_mut().for_each(clear);
        pivots.iter_mut().for_each(|(_, row)| clear(row));
        pivots.push((c, pivot));
    }
    let free = (0..size).find(|column| pivots.iter().all(|(pivot, _)| pivot != column))?;
    let mut vector = vec![0.0; size];
    vector[free] = 1.0;
    for (column, row) in &pivots {
        vector[*column] = -row[free];
    }
    Some(vector)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_null_vector_is_orthogonal_to_all_rows() {
        let rows = vec![vec![1.0, 2.0, 3.0], vec![2.0, 4.0, 6.0], vec![0.0, 1.0, -1.0]];
        let vector = null_vector(&rows, 3).unwrap();
        for row in &rows {
            let product: f64 = row.iter().zip(&vector).map(|(a, b)| a * b).sum();
            assert!(product.abs() < 1e-12, "{row:?} {vector:?}");
        }
        assert!(vector.iter().any(|x| x.abs() >= 1.0));
        assert_eq!(null_vector(&[vec![1.0, 0.0], vec![1.0, 1.0]], 2), None);
        assert_eq!(null_vector(&[], 1), Some(vec![1.0]));
    }

    #[test]
    fn numbers_lose_only_the_digits_that_rounding_left() {
        assert_eq!(tidy(0.1 + 0.2), 0.3);
        assert_eq!(tidy(0.8999999761581421), 0.8999999761581421);
    }
}
