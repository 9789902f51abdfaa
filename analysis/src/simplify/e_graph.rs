//! The graph of terms that are equal, with what is known about each class of them.

use egg::{Analysis, DidMerge, EGraph, Id, Language};
use symopt_dsl::function::Function;
use symopt_dsl::types::Type;

use crate::simplify::facts::Facts;
use crate::simplify::term::Term;

/// The name of computing with numbers.
pub(crate) const FOLDED: &str = "numbers computed";

/// Facts that saturation knows beside the terms.
#[derive(Clone, Debug, Default)]
pub(crate) struct Knowledge {
    /// Which slots are never negative.
    pub(crate) slots: Vec<bool>,
    /// Whether values may be equal on a domain only. Then what is known about one of them need not
    /// be so for the other, and only what is known of both counts: a proof would not say that it
    /// needs the domain.
    pub(crate) is_conditional: bool,
    /// Whether only what programs compute themselves is computed. Otherwise numbers may come from
    /// other roads, with other roundings.
    pub(crate) is_exact: bool,
}

pub(crate) type Graph = EGraph<Term, Knowledge>;

impl Analysis<Term> for Knowledge {
    type Data = Facts;

    fn make(egraph: &mut Graph, node: &Term, _id: Id) -> Facts {
        let children: Vec<Facts> =
            node.children().iter().map(|child| egraph[*child].data).collect();
        let mut facts = Facts::of(node, &children, &egraph.analysis.slots);
        if let Term::Call(Function::Multiply, [x, y, _]) = node
            && egraph.find(*x) == egraph.find(*y)
        {
            facts.meet(&Facts { low: 0.0, ..Facts::unknown(facts.ty) });
        }
        facts
    }

    fn merge(&mut self, a: &mut Facts, b: Facts) -> DidMerge {
        let changed = if self.is_conditional { a.join(&b) } else { a.meet(&b) };
        DidMerge(changed, !a.same(&b))
    }

    fn modify(egraph: &mut Graph, id: Id) {
        let Facts { ty: Type::Scalar, .. } = egraph[id].data else { return };
        // A call is computed from the numbers that its arguments are equal to, and a proof says why
        // they are.
        let computable = |node: &Term| {
            let Term::Call(function, _) = node else { return None };
            let values: Option<Vec<f64>> =
                node.children().iter().map(|child| literal(egraph, *child)).collect();
            let mut x = [0.0; 3];
            x.iter_mut().zip(values?).for_each(|(x, value)| *x = value);
            let is_good = egraph.analysis.is_exact || is_well_conditioned(*function, x);
            is_good.then(|| (node.clone(), Term::number(function.on_scalars(x))))
        };
        // A number that is not finite stays as it is spelled: no rule of algebra holds for it.
        let finite = |(_, number): &(Term, Term)| number.constant().is_some_and(f64::is_finite);
        let Some((mut node, number)) = egraph[id].nodes.iter().filter_map(computable).find(finite)
        else {
            return;
        };
        if egraph[id].nodes.contains(&number) {
            return;
        }
        for place in 0..node.children().len() {
            if let Some(value) = literal(egraph, node.children()[place]) {
                node.children_mut()[place] = egraph.add_uncanonical(Term::number(value));
            }
        }
        let call = egraph.add_uncanonical(node);
        let number = egraph.add_uncanonical(number);
        egraph.union_trusted(call, number, FOLDED);
    }
}

/// Whether a function of numbers keeps their digits: `1 - 1 + 1e-16` must not be 0 in one order and
/// 1e-16 in another.
fn is_well_conditioned(function: Function, x: [f64; 3]) -> bool {
    const SHIFT: f64 = 1e-12;
    const MOST: f64 = 1e-8;
    let value = function.on_scalars(x);
    (0..function.arity()).all(|place| {
        let mut shifted = x;
        shifted[place] *= 1.0 + SHIFT;
        (function.on_scalars(shifted) - value).abs() <= MOST * value.abs()
    })
}

/// The number that a class is equal to, if there is one in it.
pub(crate) fn literal(egraph: &Graph, id: Id) -> Option<f64> {
    egraph[id].nodes.iter().find_map(Term::constant)
}
