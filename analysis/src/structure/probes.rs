//! The numbers that a program's structure is told by.

use serde::Serialize;
use symopt_dsl::{Graph, Program};

use super::kernel::{self, Kernel};
use super::matrices::{self, Matrices};
use super::streams::{BURN_IN, LANES, SHORT, STEPS, Setting, stream, updates};

/// Measurements of a program on the fixed stream: 96 coordinates whose gradients have sizes from
/// 0.03 to 3, half of them pure noise and half with a drifting mean, over 420 steps from zero
/// state, the first 100 left out. The direction is the update at weights of zero; a step of it that
/// is all zeros counts for nothing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Probes {
    /// The share of the numbers of the direction that are finite and not zero.
    pub moving: f64,
    /// How equal the sizes of a step's numbers are: the share within 10 % of their median. 1 for a
    /// sign.
    pub equal_sizes: f64,
    /// Mean over root mean square of the sizes of a step, averaged over the steps: 1 for a sign,
    /// 0.80 for bell-shaped numbers. A soft sign has more than 0.9 and still no equal sizes.
    pub flatness: f64,
    /// The root mean square of the last third of the steps over that of the first third: 1 for a
    /// sign. A program can hold a schedule of its own in the size of its state.
    pub late_size: f64,
    /// With gradients thirty times as large.
    pub large_gradients: Rescaled,
    /// With gradients a thirtieth as large: below some size, a steep function is a sign no longer.
    pub small_gradients: Rescaled,
    /// With gradients of the other sign: minus the cosine between the directions. 1 for an odd
    /// program.
    pub oddness: f64,
    /// Blend whose signs the direction has; `None` if it has none.
    pub blend: Option<Blend>,
    /// Sizes of the direction compared with those of the blend.
    pub size: Option<Size>,
    /// How the update depends on the weights.
    pub decay: Decay,
    /// Effect on matrices whose gradients have very different singular values; `None` if the
    /// program has no matrix function.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matrices: Option<Matrices>,
}

/// The direction with gradients of another size.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rescaled {
    /// The cosine between the directions, averaged over the steps.
    pub cosine: f64,
    /// The root mean square of the direction over that with gradients as they are.
    pub size: f64,
    /// As [`Probes::equal_sizes`].
    pub equal_sizes: f64,
}

/// The blend `c0 g(t) + A (beta g(t-1) + beta^2 g(t-2) + ...)` whose signs are most often those of
/// the direction.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Blend {
    /// The decay of the geometric tail: the beta of the stored average.
    pub beta: f64,
    /// `c0 / A`: the weight of the current gradient over what the tail extrapolates to there. 1 for
    /// a plain average; `None` if there is no tail.
    pub current_over_tail: Option<f64>,
    /// The root mean square of the tail over that of the blend, for pure noise.
    pub tail_share: f64,
    /// The share of the signs that the blend tells, where gradients are pure noise. For another
    /// linear blend this is 1 - angle / pi, with the angle between the two lists of weights: 0.97
    /// are 5 degrees.
    pub agreement: f64,
    /// The same where gradients have a drifting mean.
    pub agreement_with_drift: f64,
}

/// Sizes of the direction compared with those of the blend.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Size {
    /// The cosine between the direction and the blend itself, averaged over the steps: 1 for
    /// gradient descent with momentum.
    pub linear_cosine: f64,
    /// The decay of the average of squared gradients whose root the blend is best divided by.
    pub beta2: f64,
    /// The cosine between the direction and the blend over this root, averaged over the steps: 1
    /// for Adam.
    pub adam_cosine: f64,
}

/// The difference that weights make to the update, as `coefficient * size * w` with one
/// coefficient, where size is the root mean square of the direction.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decay {
    /// The coefficient; 0 where weights make no difference.
    pub coefficient: f64,
    /// Remainder of the difference, over the difference: 0 for decoupled decay.
    pub residual: f64,
}

const FACTOR: f64 = 30.0;

/// A third of the steps after the burn-in.
const THIRD: usize = (STEPS - BURN_IN) / 3;

impl Probes {
    /// Measures a program. `None` if it can't be run.
    pub(super) fn measure(program: &Program) -> Option<Probes> {
        // Code that makes no difference only takes time.
        let graph = Graph::new(program).ok()?;
        let live = program.pruned(&graph);
        let run = |steps, gradients, weights| updates(&live, Setting { steps, gradients, weights });
        let direction = run(STEPS, 1.0, 0.0)?;
        let large = run(SHORT, FACTOR, 0.0)?;
        let small = run(SHORT, 1.0 / FACTOR, 0.0)?;
        let opposite = run(SHORT, -1.0, 0.0)?;
        let weighted = run(SHORT, 1.0, 1.0)?;

        let after_burn_in = direction.iter().skip(BURN_IN * LANES);
        let moving = after_burn_in.filter(|x| x.is_finite() && **x != 0.0).count() as f64
            / ((STEPS - BURN_IN) * LANES) as f64;
        let rescaled = |other: &[f64]| Rescaled {
            cosine: cosine(other, &direction),
            size: ratio(size(steps(other)), size(steps(&direction[..other.len()]))),
            equal_sizes: equal_sizes(other),
        };
        let kernel = kernel::fit(&direction);
        let blend = kernel.map(|kernel| Blend {
            beta: kernel.beta,
            current_over_tail: Some(kernel.ratio).filter(|ratio| ratio.is_finite()),
            tail_share: kernel::tail_share(kernel.beta, kernel.ratio),
            agreement: kernel.agreement,
            agreement_with_drift: kernel.agreement_with_drift,
        });
        Some(Probes {
            moving,
            equal_sizes: equal_sizes(&direction),
            flatness: flatness(&direction),
            late_size: ratio(
                size(steps(&direction).skip(2 * THIRD)),
                size(steps(&direction).take(THIRD)),
            ),
            large_gradients: rescaled(&large),
            small_gradients: rescaled(&small),
            oddness: -cosine(&opposite, &direction),
            blend,
            size: kernel.map(|kernel| sizes(&direction, &kernel)),
            decay: decay(&direction, &weighted),
            matrices: graph.matrix_function().and_then(|_| matrices::measure(&live)),
        })
    }
}

/// The steps after the burn-in.
fn steps(numbers: &[f64]) -> impl Iterator<Item = &[f64]> + Clone {
    numbers.chunks_exact(LANES).skip(BURN_IN)
}

/// The mean of what is a number; 0 where nothing is.
fn mean(numbers: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0);
    for number in numbers.filter(|x| x.is_finite()) {
        sum += number;
        count += 1;
    }
    sum / f64::from(count.max(1))
}

/// The cosine of two directions, averaged over the steps that both have. Coordinates where one of
/// them is no finite number are left out.
fn cosine(a: &[f64], b: &[f64]) -> f64 {
    mean(steps(a).zip(steps(b)).map(|(a, b)| step_cosine(a, b)))
}

/// NaN where one of them is all zeros.
fn step_cosine(a: &[f64], b: &[f64]) -> f64 {
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    // By the largest first, so that no square overflows or vanishes.
    let (most_a, most_b) = (largest(a), largest(b));
    for (x, y) in a.iter().zip(b).filter(|(x, y)| x.is_finite() && y.is_finite()) {
        let (x, y) = (x / most_a, y / most_b);
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    ab / (aa * bb).sqrt()
}

fn largest(step: &[f64]) -> f64 {
    step.iter().filter(|x| x.is_finite()).fold(0.0, |most: f64, x| most.max(x.abs()))
}

/// Root mean square over steps, by the largest number first.
fn size<'a>(steps: impl Iterator<Item = &'a [f64]> + Clone) -> f64 {
    let most = steps.clone().map(largest).fold(0.0, f64::max);
    most * mean(steps.flatten().map(|x| (x / most) * (x / most))).sqrt()
}

/// 0 where there is nothing to compare with.
fn ratio(size: f64, of: f64) -> f64 {
    let ratio = size / of;
    if ratio.is_finite() { ratio } else { 0.0 }
}

fn equal_sizes(direction: &[f64]) -> f64 {
    /// How far from the median a size may be.
    const WITHIN: f64 = 0.1;
    mean(steps(direction).map(|step| {
        let mut sizes: Vec<f64> =
            step.iter().map(|x| x.abs()).filter(|x| x.is_finite() && *x > 0.0).collect();
        sizes.sort_unstable_by(f64::total_cmp);
        let Some(median) = sizes.get(sizes.len() / 2).copied() else { return f64::NAN };
        sizes.iter().filter(|size| (*size - median).abs() <= WITHIN * median).count() as f64
            / sizes.len() as f64
    }))
}

fn flatness(direction: &[f64]) -> f64 {
    mean(steps(direction).map(|step| {
        let most = largest(step);
        let sizes = || step.iter().map(|x| x.abs() / most).filter(|x| x.is_finite());
        mean(sizes()) / mean(sizes().map(|x| x * x)).sqrt()
    }))
}

/// The blend itself, and over the root of an average of squared gradients, against the direction.
fn sizes(direction: &[f64], kernel: &Kernel) -> Size {
    /// Where the search starts: `1 - beta2`.
    const FORGETTING: [f64; 7] = [0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0001];
    const HALVINGS: usize = 5;
    /// One step of so many is compared.
    const EVERY: usize = 4;
    let blends = kernel.blends();
    let over_root = |forgetting: f64| {
        let mut squares = [0.0; LANES];
        let mut cosines = Vec::new();
        let steps = blends
            .chunks_exact(LANES)
            .zip(stream().gradients.chunks_exact(LANES))
            .zip(direction.chunks_exact(LANES));
        for (step, ((blends, gradients), direction)) in steps.enumerate() {
            // A factor that all coordinates of a step share makes no difference, so bias correction
            // is not needed.
            gradients.iter().zip(&mut squares).for_each(|(gradient, square)| {
                *square += forgetting * (gradient * gradient - *square)
            });
            if step >= BURN_IN && step.is_multiple_of(EVERY) {
                let found: Vec<f64> = blends
                    .iter()
                    .zip(&squares)
                    .map(|(blend, square)| blend / square.sqrt())
                    .collect();
                cosines.push(step_cosine(&found, direction));
            }
        }
        (forgetting, mean(cosines.into_iter()))
    };
    let mut around: Vec<(f64, f64)> =
        FORGETTING.iter().map(|forgetting| over_root(*forgetting)).collect();
    let best = |found: &[(f64, f64)]| {
        (0..found.len()).rev().max_by(|a, b| found[*a].1.total_cmp(&found[*b].1)).unwrap_or(0)
    };
    for halving in 0..=HALVINGS {
        if halving > 0 {
            let between: Vec<(f64, f64)> =
                around.windows(2).map(|pair| over_root((pair[0].0 * pair[1].0).sqrt())).collect();
            around.extend(between);
            around.sort_by(|a, b| b.0.total_cmp(&a.0));
        }
        let at = best(&around);
        around = around[at.saturating_sub(1)..(at + 2).min(around.len())].to_vec();
    }
    let (forgetting, adam_cosine) = around[best(&around)];
    Size { linear_cosine: cosine(&blends, direction), beta2: 1.0 - forgetting, adam_cosine }
}

fn decay(direction: &[f64], weighted: &[f64]) -> Decay {
    let size = size(steps(&direction[..weighted.len()]));
    // Differences in units of the direction, and weights. Weights differ in size, so one
    // coefficient for all says that it is linear.
    let each = || {
        let numbers = steps(weighted)
            .zip(steps(direction))
            .flat_map(|(with, without)| with.iter().zip(without).zip(&stream().weights));
        let numbers = numbers.filter(|((_, without), _)| without.is_finite());
        numbers.map(|((with, without), weight)| ((with - without) / size, *weight))
    };
    let (mut dw, mut ww, mut dd) = (0.0, 0.0, 0.0);
    for (difference, weight) in each() {
        dw += difference * weight;
        ww += weight * weight;
        dd += difference * difference;
    }
    if dd == 0.0 {
        return Decay { coefficient: 0.0, residual: 0.0 };
    }
    let coefficient = dw / ww;
    let rest = |(difference, weight): (f64, f64)| difference - coefficient * weight;
    let residual = (each().map(rest).map(|rest| rest * rest).sum::<f64>() / dd).sqrt();
    // Weights that turn numbers into what is none.
    if residual.is_finite() {
        Decay { coefficient, residual }
    } else {
        Decay { coefficient: 0.0, residual: 1.0 }
    }
}
