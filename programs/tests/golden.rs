//! Lion against the trajectories of its published implementations, bit for bit.
//! `golden/lion_official.json` says in `formula` how its weights and gradients are made and in
//! `exact_arithmetic` in which order each implementation rounds.

use ndarray::ArrayD;
use serde_json::Value;
use symopt_evaluator::{Layout, Optimizer, Reference};
use symopt_programs::lion;

const CHECKPOINTS: [usize; 4] = [1, 2, 10, 50];
/// Half a unit in the last place of a number in [1, 2): the largest relative error of a rounding to
/// f32.
const U: f64 = 1.0 / (1 << 24) as f64;

/// The integer hash lowbias32.
fn lowbias32(x: u64) -> u32 {
    let mut x = x as u32;
    x = (x ^ (x >> 16)).wrapping_mul(0x7feb352d);
    x = (x ^ (x >> 15)).wrapping_mul(0x846ca68b);
    x ^ (x >> 16)
}

fn unit(seed: u64, i: u64) -> f32 {
    (lowbias32(seed * 0x9e3779b9 + i) >> 8) as f32 / (1 << 23) as f32 - 1.0
}

struct Case {
    golden: Value,
    seed: u64,
    weights: Vec<f32>,
    learning_rates: Vec<f32>,
    beta1: f64,
    beta2: f64,
    weight_decay: f64,
}

impl Case {
    fn read(name: &str) -> Case {
        let file: Value = serde_json::from_str(include_str!("golden/lion_official.json"))
            .expect("the golden file is JSON");
        let golden = file["cases"][name].clone();
        let number = |key: &str| golden[key].as_f64().expect("a number");
        let seed = number("seed") as u64;
        assert_eq!((number("params"), number("steps")), (257.0, 50.0));
        Case {
            seed,
            weights: (0..257).map(|i| unit(seed, i)).collect(),
            learning_rates: bits(&golden["lr_bits"]),
            beta1: number("beta1"),
            beta2: number("beta2"),
            weight_decay: number("weight_decay"),
            golden,
        }
    }

    fn gradients(&self, step: usize) -> Vec<f32> {
        let gradient = |i: u64| {
            let place = 257 * step as u64 + i;
            let zero = lowbias32(place + 77 * self.seed).is_multiple_of(16) || i.is_multiple_of(64);
            if zero { 0.0 } else { unit(self.seed + 1, place) * 2.0_f32.powi(-2 * (i % 9) as i32) }
        };
        (0..257).map(gradient).collect()
    }

    /// Weights and momentum of an implementation after so many steps.
    fn published(&self, implementation: &str, steps: usize) -> [Vec<f32>; 2] {
        let state = &self.golden["impl"][implementation][format!("step{steps}")];
        [bits(&state["w_bits"]), bits(&state["m_bits"])]
    }

    fn assert_equals(&self, implementation: &str, steps: usize, weights: &[f32], momentum: &[f32]) {
        let [w, m] = self.published(implementation, steps);
        for (what, found, expected) in [("weight", weights, &w), ("momentum", momentum, &m)] {
            for (i, (x, y)) in found.iter().zip(expected).enumerate() {
                assert_eq!(
                    x.to_bits(),
                    y.to_bits(),
                    "{implementation}, step {steps}, {what} {i}: {x:e}, published {y:e}"
                );
            }
        }
    }
}

fn bits(list: &Value) -> Vec<f32> {
    let list = list.as_array().expect("a list of bit patterns");
    list.iter().map(|bits| f32::from_bits(bits.as_u64().expect("a bit pattern") as u32)).collect()
}

const CASES: [&str; 2] = ["A_const_nowd", "B_cosine_wd"];

#[test]
fn lion_in_the_reference_interpreter_equals_the_published_eager_jax_order_bit_for_bit() {
    for case in CASES.map(Case::read) {
        let mut reference =
            Reference::<f32>::new(&lion().program(), &[vec![257]]).expect("it types");
        for (name, value) in
            [("beta1", case.beta1), ("beta2", case.beta2), ("weight_decay", case.weight_decay)]
        {
            reference.set(name, value).expect("Lion has it");
        }
        let mut weights =
            [ArrayD::from_shape_vec(vec![257], case.weights.clone()).expect("257 weights")];
        for (step, lr) in case.learning_rates.iter().enumerate() {
            let gradients =
                [ArrayD::from_shape_vec(vec![257], case.gradients(step)).expect("257 gradients")];
            reference.step(&mut weights, &gradients, f64::from(*lr)).expect("sizes fit");
            if CHECKPOINTS.contains(&(step + 1)) {
                let flat = |array: &ArrayD<f32>| array.iter().copied().collect::<Vec<f32>>();
                case.assert_equals(
                    "automl_optax_eager",
                    step + 1,
                    &flat(&weights[0]),
                    &flat(&reference.slots()[0][0]),
                );
            }
        }
    }
}

#[test]
fn lion_in_the_tile_machine_equals_the_published_eager_jax_order_bit_for_bit() {
    for case in CASES.map(Case::read) {
        run_optimizer(&case, |step, weights, momentum| {
            if CHECKPOINTS.contains(&step) {
                case.assert_equals("automl_optax_eager", step, weights, momentum);
            }
        });
    }
}

/// Runs Lion in the tile machine and shows weights and momentum after each step.
fn run_optimizer(case: &Case, mut look: impl FnMut(usize, &[f32], &[f32])) {
    let layout = Layout::flat(257);
    let mut optimizer = Optimizer::new(&lion().program(), &layout).expect("it types");
    for (name, value) in
        [("beta1", case.beta1), ("beta2", case.beta2), ("weight_decay", case.weight_decay)]
    {
        optimizer.set(name, value).expect("Lion has it");
    }
    let mut weights = case.weights.clone();
    for (step, lr) in case.learning_rates.iter().enumerate() {
        optimizer.step(&mut weights, &case.gradients(step), f64::from(*lr)).expect("sizes fit");
        let (_, momentum) = optimizer.slots().next().expect("Lion has a slot");
        look(step + 1, &weights, &momentum.to_f32());
    }
}

/// Lion in the published PyTorch order: the decay is a factor, and the second average is a fused
/// multiply-add.
struct Torch {
    w: Vec<f32>,
    m: Vec<f32>,
}

impl Torch {
    fn step(&mut self, case: &Case, g: &[f32], lr: f32) -> Vec<f32> {
        let (b1, b2) = (case.beta1 as f32, case.beta2 as f32);
        let (rest1, rest2) = ((1.0 - case.beta1) as f32, (1.0 - case.beta2) as f32);
        let keep = (1.0 - f64::from(lr) * case.weight_decay) as f32;
        let mut signs = Vec::new();
        for ((w, m), g) in self.w.iter_mut().zip(&mut self.m).zip(g) {
            let c = *m * b1 + *g * rest1;
            let sign = if c > 0.0 { 1.0 } else { c };
            let sign = if c < 0.0 { -1.0 } else { sign };
            *w = *w * keep - lr * sign;
            *m = g.mul_add(rest2, *m * b2);
            signs.push(sign);
        }
        signs
    }
}

/// How far Lion's momentum and weights may be from PyTorch's by the two orders of rounding alone,
/// as long as all signs agree.
///
/// To first order in [`U`], with e the distance before the step and every rounding off by at most
/// `U` times what it rounds:
/// - momentum: both round beta2 * m, the eager order also rounds (1 - beta2) * g, and both round
///   the sum: `e' = beta2 * e + U * (2 * beta2 * |m| + (1 - beta2) * |g| + 2 * |m'|)`.
/// - weights: the eager order rounds w * decay, its sum with the sign, that times lr, and the
///   difference; PyTorch rounds 1 - lr * decay, the product with it, and the difference. The f32
///   decay itself is off by `U`: `e' = e + U * (4 * lr * decay * |w| + 2 * lr + 2 * |w| + 2 * |w'|)`,
///   and without decay both are the same operations: `e' = e`.
#[derive(Clone, Copy, Default)]
struct Bound {
    w: f64,
    m: f64,
}

#[test]
fn lion_stays_within_the_roundings_of_the_published_pytorch_order() {
    /// The farthest within 50 steps, in units of 2^-23 of the weight.
    const FARTHEST_WEIGHT_ULPS: f64 = 11.0;
    /// The same in units of 2^-23 of the largest momentum so far: a momentum near zero is a
    /// cancelled sum.
    const FARTHEST_MOMENTUM_ULPS: f64 = 3.0;
    /// The terms of second order in U, generously.
    const SECOND_ORDER: f64 = 1.0 + 1e-4;

    for (name, case) in CASES.iter().zip(CASES.map(Case::read)) {
        let mut torch = Torch { w: case.weights.clone(), m: vec![0.0; 257] };
        let mut bounds = [Bound::default(); 257];
        let mut before = (case.weights.clone(), vec![0.0_f32; 257]);
        let (mut farthest_ulps, mut differ) = ([0.0_f64; 2], 0);
        let mut largest_momentum = [f64::MIN_POSITIVE; 257];
        run_optimizer(&case, |step, weights, momentum| {
            let (g, lr) = (case.gradients(step - 1), case.learning_rates[step - 1]);
            let signs = torch.step(&case, &g, lr);
            if CHECKPOINTS.contains(&step) {
                // The stated order is the published trajectory: its last bit can be explained, so
                // the bound below is about the real thing.
                case.assert_equals("torch", step, &torch.w, &torch.m);
            }
            for i in 0..257 {
                let c = (1.0 - case.beta1) as f32 * g[i] + case.beta1 as f32 * before.1[i];
                assert_eq!(
                    c.partial_cmp(&0.0),
                    signs[i].partial_cmp(&0.0),
                    "{name}, step {step}, weight {i}: the signs differ"
                );
                let absolute = |x: f32| f64::from(x.abs());
                let bound = &mut bounds[i];
                let kept =
                    2.0 * case.beta2 * absolute(before.1[i]) + (1.0 - case.beta2) * absolute(g[i]);
                bound.m = SECOND_ORDER
                    * (case.beta2 * bound.m + U * (kept + 2.0 * absolute(momentum[i])));
                if case.weight_decay != 0.0 {
                    let lr = f64::from(lr);
                    let decayed = 4.0 * lr * case.weight_decay * absolute(before.0[i]) + 2.0 * lr;
                    bound.w += SECOND_ORDER
                        * U
                        * (decayed + 2.0 * absolute(before.0[i]) + 2.0 * absolute(weights[i]));
                }
                for (kind, (x, y, bound)) in
                    [(weights[i], torch.w[i], bound.w), (momentum[i], torch.m[i], bound.m)]
                        .into_iter()
                        .enumerate()
                {
                    let distance = (f64::from(x) - f64::from(y)).abs();
                    assert!(
                        distance <= bound,
                        "{name}, step {step}, number {i}: {x:e} and PyTorch's {y:e} are farther than {bound:e}"
                    );
                    differ += usize::from(x.to_bits() != y.to_bits());
                    // Relative to the weight, and to the largest momentum so far.
                    largest_momentum[i] = largest_momentum[i].max(absolute(momentum[i]));
                    let scale = [absolute(x).max(f64::MIN_POSITIVE), largest_momentum[i]][kind];
                    farthest_ulps[kind] = farthest_ulps[kind].max(distance / (scale * 2.0 * U));
                }
            }
            before = (weights.to_vec(), momentum.to_vec());
        });
        assert!(differ > 0, "the orders differ somewhere, or the bound is about nothing");
        if case.weight_decay == 0.0 {
            assert_eq!(
                farthest_ulps[0], 0.0,
                "{name}: without decay the weights are the same bits"
            );
        }
        // The largest distances in this golden data, for quoting, stay within these bounds.
        let [weight, momentum] = farthest_ulps;
        assert!(
            weight <= FARTHEST_WEIGHT_ULPS && momentum <= FARTHEST_MOMENTUM_ULPS,
            "{name}: {weight} and {momentum} ulps"
        );
    }
}
