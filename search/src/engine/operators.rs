//! The operators that make children, what each brought, and by choice a bandit that shares the
//! children out among them by that.
//!
//! Without the bandit a crossover or a proposal has the probability that the settings say, and the
//! mutations share the rest by their weights. With it these are where the shares begin: an
//! operator's share follows how many of its children that were evaluated were better than their
//! parents, with what is long ago counting less, and never falls below a fifth of what the settings
//! say. Operators that are off stay off. The counts follow from the evaluations in the order of the
//! children, so that a resumed search has the same.

use rand::{Rng, RngExt};
use serde::Serialize;
use symopt_proxy_tasks::suite::Fitness;

use crate::config::MutationConfig;
use crate::engine::individual::Child;
use crate::engine::mutation::MutationKind;
use crate::store::{StateReader, StateWriter};

/// The part of the shares that the bandit leaves as the settings have them.
const KEPT: f64 = 0.2;
/// Factor by which earlier counts fade with each evaluation by any operator.
const MEMORY: f64 = 0.999;
/// Evaluations that every operator is taken to have had before its first, one of them good.
const PRIOR: f64 = 20.0;

/// Yield of an operator.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct OperatorYield {
    /// The operator.
    pub operator: MutationKind,
    /// Children that came in.
    pub children: u64,
    /// Number of those that were evaluated.
    pub evaluated: u64,
    /// Number of those that were better than their parent.
    pub better: u64,
    /// Attempts that gave no child: answers of a command that were none.
    pub failed: u64,
    /// The share of the children that it gets now, as far as that is decided before the parent is
    /// known: a program that can't grow gets no insertion.
    pub share: f64,
}

/// An operator.
#[derive(Clone, Debug)]
struct Operator {
    kind: MutationKind,
    /// The share that the settings give it.
    share: f64,
    children: u64,
    evaluated: u64,
    better: u64,
    failed: u64,
    /// The counts that fade.
    tried: f64,
    gained: f64,
}

/// The operators of a search.
#[derive(Clone, Debug)]
pub(crate) struct Operators {
    operators: Vec<Operator>,
    crossover: f64,
    proposals: f64,
    adapts: bool,
}

impl Operators {
    pub fn new(config: &MutationConfig) -> Operators {
        let MutationConfig { insert, delete, modify, crossover, proposals, .. } = *config;
        let rest = (1.0 - crossover - proposals).max(0.0) / (insert + delete + modify);
        let shares = [
            (MutationKind::Insert, rest * insert),
            (MutationKind::Delete, rest * delete),
            (MutationKind::Modify, rest * modify),
            (MutationKind::Crossover, crossover),
            (MutationKind::Proposal, proposals),
        ];
        let operator = |(kind, share)| Operator {
            kind,
            share,
            children: 0,
            evaluated: 0,
            better: 0,
            failed: 0,
            tried: 0.0,
            gained: 0.0,
        };
        Operators {
            operators: shares.into_iter().map(operator).collect(),
            crossover,
            proposals,
            adapts: config.bandit,
        }
    }

    /// Draws the operator of a child; `None` is a mutation by its weight. Where there is no choice
    /// nothing is drawn.
    pub fn draw(&self, rng: &mut impl Rng) -> Option<MutationKind> {
        if self.adapts {
            let shares = self.shares();
            let mut left = rng.random::<f64>();
            let drawn = self.operators.iter().zip(&shares).find(|(_, share)| {
                left -= **share;
                left < 0.0
            });
            // Rounding may leave a little.
            return drawn.map(|(operator, _)| operator.kind);
        }
        if self.crossover == 0.0 && self.proposals == 0.0 {
            return None;
        }
        let drawn = rng.random::<f64>();
        if drawn < self.crossover {
            Some(MutationKind::Crossover)
        } else if drawn < self.crossover + self.proposals {
            Some(MutationKind::Proposal)
        } else {
            None
        }
    }

    /// The share of each operator.
    fn shares(&self) -> Vec<f64> {
        if !self.adapts {
            return self.operators.iter().map(|operator| operator.share).collect();
        }
        let rate = |o: &Operator| o.share * (o.gained + 1.0) / (o.tried + PRIOR);
        let sum: f64 = self.operators.iter().map(rate).sum();
        let share = |o: &Operator| KEPT * o.share + (1.0 - KEPT) * rate(o) / sum;
        self.operators.iter().map(share).collect()
    }

    /// Counts a child that comes in. `first` is whether it was evaluated, and not an earlier
    /// program of its key.
    pub fn count(&mut self, child: &Child, first: bool, fitness: Fitness) {
        let kind = child.mutation.kind;
        let [parent, _] = child.parents;
        let Some(parent) = parent else { return };
        let better = first && fitness.is_better_than(parent.fitness);
        if first {
            self.fade();
        }
        if let Some(operator) = self.operators.iter_mut().find(|o| o.kind == kind) {
            operator.children += 1;
            operator.evaluated += u64::from(first);
            operator.better += u64::from(better);
            operator.tried += f64::from(u8::from(first));
            operator.gained += f64::from(u8::from(better));
        }
    }

    /// Counts an attempt that gave no child.
    pub fn count_failed(&mut self, kind: MutationKind) {
        self.fade();
        if let Some(operator) = self.operators.iter_mut().find(|o| o.kind == kind) {
            operator.failed += 1;
            operator.tried += 1.0;
        }
    }

    fn fade(&mut self) {
        for operator in &mut self.operators {
            operator.tried *= MEMORY;
            operator.gained *= MEMORY;
        }
    }

    /// Writes what the operators brought.
    pub fn save(&self, state: &mut StateWriter) {
        for Operator { kind: _, share: _, children, evaluated, better, failed, tried, gained } in
            &self.operators
        {
            for count in [children, evaluated, better, failed] {
                state.number(*count);
            }
            for count in [tried, gained] {
                state.real(*count);
            }
        }
    }

    /// Reads what [`Operators::save`] wrote.
    pub fn restore(&mut self, state: &mut StateReader) -> Option<()> {
        for operator in &mut self.operators {
            operator.children = state.number()?;
            operator.evaluated = state.number()?;
            operator.better = state.number()?;
            operator.failed = state.number()?;
            operator.tried = state.real()?;
            operator.gained = state.real()?;
        }
        Some(())
    }

    /// Returns the yield of each operator that is on.
    pub fn yields(&self) -> Vec<OperatorYield> {
        let of = |(operator, share): (&Operator, f64)| OperatorYield {
            operator: operator.kind,
            children: operator.children,
            evaluated: operator.evaluated,
            better: operator.better,
            failed: operator.failed,
            share,
        };
        let on = |yielded: &OperatorYield| yielded.share > 0.0 || yielded.children > 0;
        self.operators.iter().zip(self.shares()).map(of).filter(on).collect()
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn operators(crossover: f64, bandit: bool) -> Operators {
        Operators::new(&MutationConfig { crossover, bandit, ..MutationConfig::default() })
    }

    fn counted(operators: &mut Operators, kind: MutationKind, tried: u64, better: u64) {
        for index in 0..tried {
            operators.fade();
            let operator = operators.operators.iter_mut().find(|o| o.kind == kind).unwrap();
            operator.tried += 1.0;
            operator.gained += f64::from(u8::from(index < better));
        }
    }

    #[test]
    fn without_choice_nothing_is_drawn() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let (before, _) = (rng.clone(), operators(0.0, false).draw(&mut rng));
        assert_eq!(rng, before);
        let drawn = (0..1000).filter_map(|_| operators(0.3, false).draw(&mut rng));
        let count = drawn.filter(|kind| *kind == MutationKind::Crossover).count();
        assert!((250..350).contains(&count), "{count}");
    }

    #[test]
    fn shares_follow_what_operators_bring_and_none_that_is_on_dies() {
        let mut operators = operators(0.25, true);
        let shares = operators.shares();
        assert!(
            shares.iter().zip([0.25, 0.25, 0.25, 0.25, 0.0]).all(|(a, b)| (a - b).abs() < 1e-12)
        );
        counted(&mut operators, MutationKind::Crossover, 200, 100);
        counted(&mut operators, MutationKind::Delete, 200, 0);
        let shares = operators.shares();
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(shares[3] > 0.5 && shares[1] < 0.1 && shares[1] >= KEPT * 0.25, "{shares:?}");
        assert_eq!(shares[4], 0.0, "what is off stays off");
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let drawn = (0..1000).filter_map(|_| operators.draw(&mut rng));
        let crossed = drawn.filter(|kind| *kind == MutationKind::Crossover).count() as f64;
        assert!((crossed / 1000.0 - shares[3]).abs() < 0.05, "{crossed} {shares:?}");
    }
}
