//! How far apart two programs are in what they do: the distance of their updates on the same random
//! streams.

use ndarray::{ArrayD, IxDyn};
use serde::Serialize;
use symopt_dsl::{Program, semantics};
use symopt_evaluator::Reference;

use crate::equivalence::streams::Random;

/// The distance of two programs' updates, with small and with ordinary weights.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Behaviour {
    /// With weights of size 0.001: what the programs make of the gradients, whatever their weight
    /// decay.
    pub small_weights: Option<Distance>,
    /// With weights of size 1: decoupled weight decay counts as well.
    pub ordinary_weights: Option<Distance>,
}

/// How far the updates `a` of one program are from the updates `b` of another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Distance {
    /// Steps that were compared, over all streams.
    pub steps: usize,
    /// The share of the numbers in these steps that were finite in both programs; the others are
    /// left out.
    pub finite: f64,
    /// The factor that brings `a` closest to `b`: programs differ in their learning rates. All that
    /// follows is of `factor * a`.
    pub factor: f64,
    /// The cosine of the angle between the updates of a step, averaged over the steps.
    pub cosine: f64,
    /// `|a - b| / |b|` over a step: the median of the steps.
    pub median_deviation: f64,
    /// The largest over the steps.
    pub largest_deviation: f64,
    /// The share of the numbers whose signs differ.
    pub sign_disagreement: f64,
}

/// Streams of a distance.
const STREAMS: u64 = 3;

/// Steps of a stream that are compared.
const STEPS: usize = 200;

/// Steps before: the memories of the programs fill.
const BURN_IN: usize = 200;

/// The parameter arrays.
const SHAPES: [&[usize]; 3] = [&[8], &[3, 4], &[4]];

/// How far apart the updates of two programs are when both run on their own from zero state on the
/// same gradients, in f64 and with their default hyperparameters. `None` where there is nothing to
/// compare: no step has finite numbers of both programs that are not all zero.
///
/// A gradient is a mean that drifts over some 50 steps plus noise three times as large, as in
/// training; the size of gradients goes from 0.01 to 1 over the places. The learning rate warms up
/// and then stays at the programs' conventional peaks. Weights are held fixed but for small random
/// moves: an update is not applied.
pub fn behavioural_distance(a: &Program, b: &Program, seed: u64) -> Option<Behaviour> {
    let behaviour = Behaviour {
        small_weights: distance(a, b, seed, 1e-3),
        ordinary_weights: distance(a, b, seed, 1.0),
    };
    (behaviour.small_weights.is_some() || behaviour.ordinary_weights.is_some()).then_some(behaviour)
}

/// The updates of a step: those numbers of both programs that are finite in both.
struct Updates {
    a: Vec<f64>,
    b: Vec<f64>,
}

fn distance(a: &Program, b: &Program, seed: u64, weight_size: f64) -> Option<Distance> {
    let mut updates = Vec::new();
    for stream in 0..STREAMS {
        run(
            a,
            b,
            seed.wrapping_add(stream.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            weight_size,
            &mut updates,
        )?;
    }
    let numbers: usize = SHAPES.iter().map(|shape| shape.iter().product::<usize>()).sum();
    let of_all = updates.len() * numbers;
    // Steps in which one of the two does nothing have no angle and no size to compare with.
    updates.retain(|step| step.a.iter().any(|x| *x != 0.0) && step.b.iter().any(|x| *x != 0.0));
    // Scaled by the largest number first, so that no square overflows or vanishes.
    let largest = |of: fn(&Updates) -> &Vec<f64>| {
        updates.iter().flat_map(of).fold(0.0, |most: f64, x| most.max(x.abs()))
    };
    let (size_a, size_b) = (largest(|step| &step.a), largest(|step| &step.b));
    if updates.is_empty() {
        return None;
    }
    for step in &mut updates {
        step.a.iter_mut().for_each(|x| *x /= size_a);
        step.b.iter_mut().for_each(|x| *x /= size_b);
    }
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    let total = |of: fn(&Updates) -> (&Vec<f64>, &Vec<f64>)| {
        updates.iter().map(|step| dot(of(step).0, of(step).1)).sum::<f64>()
    };
    let factor = total(|step| (&step.a, &step.b)) / total(|step| (&step.a, &step.a));

    let (mut cosine, mut deviations, mut differing) = (0.0, Vec::new(), 0);
    for Updates { a, b } in &updates {
        let size = dot(b, b).sqrt();
        let scaled_cosine = semantics::cosine_similarity(dot(a, b), dot(a, a), dot(b, b))
            * if factor < 0.0 { -1.0 } else { 1.0 };
        cosine += if scaled_cosine.is_finite() { scaled_cosine } else { 0.0 };
        let apart =
            a.iter().zip(b).map(|(a, b)| (factor * a - b) * (factor * a - b)).sum::<f64>().sqrt();
        // Squares that vanish beside the largest step.
        deviations.push(if size > 0.0 { apart / size } else { f64::from(u8::from(apart > 0.0)) });
        differing += a
            .iter()
            .zip(b)
            .filter(|(a, b)| semantics::sign(factor * **a) != semantics::sign(**b))
            .count();
    }
    deviations.sort_by(f64::total_cmp);
    let compared: usize = updates.iter().map(|step| step.a.len()).sum();
    Some(Distance {
        steps: updates.len(),
        finite: compared as f64 / of_all as f64,
        factor: factor * (size_b / size_a),
        cosine: cosine / updates.len() as f64,
        median_deviation: deviations[deviations.len() / 2],
        largest_deviation: deviations[deviations.len() - 1],
        sign_disagreement: differing as f64 / compared as f64,
    })
}

/// Runs both programs on one stream. `None` if they can't be run.
fn run(
    a: &Program,
    b: &Program,
    seed: u64,
    weight_size: f64,
    updates: &mut Vec<Updates>,
) -> Option<()> {
    const WARM_UP: usize = 10;
    let shapes: Vec<Vec<usize>> = SHAPES.iter().map(|shape| shape.to_vec()).collect();
    let mut programs =
        [Reference::<f64>::new(a, &shapes).ok()?, Reference::<f64>::new(b, &shapes).ok()?];
    let peaks = [a, b].map(|program| program.signature().peak_learning_rate());
    let mut random = Random::new(seed);
    let zeros: Vec<ArrayD<f64>> = shapes.iter().map(|shape| ArrayD::zeros(IxDyn(shape))).collect();
    let (mut weights, mut means, mut gradients) = (zeros.clone(), zeros.clone(), zeros.clone());
    weights.iter_mut().flatten().for_each(|w| *w = weight_size * random.bell());
    means.iter_mut().flatten().for_each(|mean| *mean = random.bell());
    let sizes: Vec<f64> =
        zeros.iter().flatten().map(|_| libm::exp10(-2.0 * random.unit())).collect();
    for step in 0..BURN_IN + STEPS {
        weights.iter_mut().flatten().for_each(|w| *w += 1e-3 * weight_size * random.bell());
        // Variance 1 and a correlation of 0.98 from step to step.
        means.iter_mut().flatten().for_each(|mean| *mean = 0.98 * *mean + 0.2 * random.bell());
        for ((gradient, mean), size) in
            gradients.iter_mut().flatten().zip(means.iter().flatten()).zip(&sizes)
        {
            *gradient = size * (mean + 3.0 * random.bell());
        }
        let share = (step + 1).min(WARM_UP) as f64 / WARM_UP as f64;
        let [a, b] = &mut programs;
        let a = a.update(&weights, &gradients, share * peaks[0]).ok()?;
        let b = b.update(&weights, &gradients, share * peaks[1]).ok()?;
        if step >= BURN_IN {
            let both = a
                .iter()
                .flatten()
                .zip(b.iter().flatten())
                .filter(|(a, b)| a.is_finite() && b.is_finite());
            let (a, b) = both.unzip();
            updates.push(Updates { a, b });
        }
    }
    Some(())
}
