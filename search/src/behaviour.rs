//! Behaviour of a program, as far as the cells of the hall of fame tell programs apart.

use std::fmt;
use std::sync::OnceLock;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::Serialize;
use symopt_dsl::{Graph, Program};
use symopt_evaluator::{Layout, Optimizer, Options};

/// Steps that a program is looked at.
const STEPS: usize = 24;
/// How much larger the gradients are that a scale-free program must not notice.
const SCALE: f32 = 30.0;
/// How far, relative to its size, an update may be from what is asked.
const TOLERANCE: f64 = 2e-2;

/// A cell of the hall of fame: programs that are alike in what they keep and how they step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[non_exhaustive]
pub struct Cell {
    /// State slots that matter.
    pub slots: usize,
    /// Whether it has functions of matrices.
    pub matrix: bool,
    /// Whether gradients of the other sign give the update of the other sign.
    pub odd: bool,
    /// Whether gradients that are thirty times as large give the same update.
    pub scale_free: bool,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cell { slots, matrix, odd, scale_free } = *self;
        write!(f, "{slots} slot{}", if slots == 1 { "" } else { "s" })?;
        for (word, is_so) in [("matrix", matrix), ("odd", odd), ("scale-free", scale_free)] {
            if is_so {
                write!(f, ", {word}")?;
            }
        }
        Ok(())
    }
}

/// Returns the parts of a program's cell that its text shows: the number of live slots, and whether
/// it has functions of matrices.
pub fn structure(graph: &Graph) -> (usize, bool) {
    (graph.live_slots().count(), graph.matrix_function().is_some())
}

/// The cell of a program, whose graph is given. It runs for some steps on made gradients of a matrix
/// and a vector, with weights of zero and a learning rate of 1; one that can't, or whose updates are
/// not finite or nothing but zero, is neither odd nor scale-free.
pub fn cell(program: &Program, graph: &Graph) -> Cell {
    let (slots, matrix) = structure(graph);
    let updates = |factor: f32| updates(program, factor);
    let Some(plain) = updates(1.0).filter(|updates| updates.iter().any(|update| *update != 0.0))
    else {
        return Cell { slots, matrix, odd: false, scale_free: false };
    };
    let is_near = |other: Option<Vec<f32>>, factor: f64| {
        other.is_some_and(|other| {
            let (mut off, mut size) = (0.0, 0.0);
            for (plain, other) in plain.iter().zip(other) {
                let wanted = factor * f64::from(*plain);
                off += (f64::from(other) - wanted).powi(2);
                size += wanted.powi(2);
            }
            off <= TOLERANCE * TOLERANCE * size
        })
    };
    Cell {
        slots,
        matrix,
        odd: is_near(updates(-1.0), -1.0),
        scale_free: is_near(updates(SCALE), 1.0),
    }
}

/// The updates of all steps, one after the other; `None` if one is not finite.
fn updates(program: &Program, factor: f32) -> Option<Vec<f32>> {
    let gradients = gradients();
    let layout = Layout::new([("matrix", vec![4, 3]), ("vector", vec![3])]).ok()?;
    let mut optimizer: Optimizer =
        symopt_programs::optimizer(program, &layout, Options::default()).ok()?;
    let mut updates = Vec::with_capacity(STEPS * layout.len());
    let mut weights = vec![0.0; layout.len()];
    for gradient in gradients.chunks_exact(layout.len()) {
        let scaled: Vec<f32> = gradient.iter().map(|g| factor * g).collect();
        weights.fill(0.0);
        optimizer.step(&mut weights, &scaled, 1.0).ok()?;
        updates.extend(weights.iter().map(|weight| -weight));
    }
    updates.iter().all(|update| update.is_finite()).then_some(updates)
}

/// Gradients of all steps: noise around means that wander.
fn gradients() -> &'static [f32] {
    static GRADIENTS: OnceLock<Vec<f32>> = OnceLock::new();
    GRADIENTS.get_or_init(|| {
        let mut random = ChaCha8Rng::seed_from_u64(0x63_656c_6c73);
        let mut normal = || -> f32 { StandardNormal.sample(&mut random) };
        let mut means: Vec<f32> = (0..15).map(|_| normal()).collect();
        let mut gradients = Vec::with_capacity(STEPS * means.len());
        for _ in 0..STEPS {
            for mean in &mut means {
                *mean = 0.9 * *mean + 0.3 * normal();
                gradients.push(0.1 * (*mean + 0.5 * normal()));
            }
        }
        gradients
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_of_the_zoo_come_into_their_cells() {
        let of = |name: &str| {
            let program = symopt_programs::find(name).unwrap().program();
            cell(&program, &Graph::new(&program).unwrap()).to_string()
        };
        assert_eq!(of("sgd"), "0 slots, odd");
        assert_eq!(of("momentum"), "1 slot, odd");
        assert_eq!(of("signsgd"), "0 slots, odd, scale-free");
        assert_eq!(of("lion"), "1 slot, odd, scale-free");
        assert_eq!(of("adamw"), "2 slots, odd, scale-free");
        assert_eq!(of("muon"), "1 slot, matrix, odd, scale-free");
        let square = symopt_dsl::parse("def f(w, g, lr):\n  x = g * g\n  return x").unwrap();
        assert_eq!(cell(&square, &Graph::new(&square).unwrap()).to_string(), "0 slots");
        let nothing = symopt_dsl::parse("def f(w, g, lr):\n  x = g * 0.0\n  return x").unwrap();
        assert!(!cell(&nothing, &Graph::new(&nothing).unwrap()).odd);
    }
}
