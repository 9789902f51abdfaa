//! Random streams of weights and gradients, of several kinds, and the learning rates that go with
//! them. The same seed gives the same numbers on every machine.

/// SplitMix64 (Steele et al. 2014): small, fast, and good enough to look for counterexamples.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, n: usize) -> usize {
        (self.bits() % n.max(1) as u64) as usize
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    pub(crate) fn sign(&mut self) -> f64 {
        if self.bits() >> 63 == 0 { 1.0 } else { -1.0 }
    }

    /// Mean 0 and variance 1, bell-shaped: a sum of three uniform numbers.
    pub(crate) fn bell(&mut self) -> f64 {
        2.0 * (self.unit() + self.unit() + self.unit()) - 3.0
    }

    fn pick(&mut self, from: &[f64]) -> f64 {
        from[self.below(from.len())]
    }
}

/// Kind of numbers in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ordinary,
    Drifting,
    Small,
    Large,
    Mixed,
    Sparse,
    Positive,
    Special,
    Extreme,
}

impl Kind {
    /// All of finite numbers that leave room for arithmetic.
    pub(crate) const MODERATE: [Kind; 8] = [
        Kind::Ordinary,
        Kind::Drifting,
        Kind::Small,
        Kind::Large,
        Kind::Mixed,
        Kind::Sparse,
        Kind::Positive,
        Kind::Special,
    ];

    /// In words, for people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Ordinary => "ordinary numbers",
            Kind::Drifting => "gradients with a drifting mean",
            Kind::Small => "small numbers (1e-6)",
            Kind::Large => "large numbers (1e4)",
            Kind::Mixed => "mixed magnitudes (1e-12 to 1e12)",
            Kind::Sparse => "sparse gradients",
            Kind::Positive => "positive numbers",
            Kind::Special => "zeros, ones and halves",
            Kind::Extreme => "extreme numbers",
        }
    }
}

/// Small numbers that meet each other and stand at the edges of domains.
const SPECIAL: [f64; 12] = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 1.0, -1.0, 3.0, 0.25];

/// Where the arithmetic of f32 ends: denormals, numbers whose squares underflow or overflow,
/// infinities, NaN.
const EXTREME: [f64; 16] = [
    0.0,
    -0.0,
    1e-45,
    -1e-40,
    f32::MIN_POSITIVE as f64,
    1e-25,
    -1e-25,
    1.0,
    -1.0,
    1e25,
    -1e25,
    -3e38,
    f32::MAX as f64,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
];

/// Weights and gradients of one kind. The weights are a walk that knows nothing of the updates, so
/// that every program sees the same numbers and none amplifies its own rounding through them.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) kind: Kind,
    random: Random,
    weights: Vec<f64>,
    means: Vec<f64>,
    /// Lengths of the parameter arrays; a sparse stream leaves out whole arrays.
    arrays: Vec<usize>,
}

impl Stream {
    pub(crate) fn new(kind: Kind, seed: u64, arrays: &[usize]) -> Stream {
        let numbers = arrays.iter().sum();
        let mut stream = Stream {
            kind,
            random: Random::new(seed ^ (kind as u64 + 1).wrapping_mul(0xd6e8_feb8_6659_fd93)),
            weights: vec![0.0; numbers],
            means: vec![0.0; numbers],
            arrays: arrays.to_vec(),
        };
        for i in 0..numbers {
            stream.means[i] = stream.random.bell();
            stream.weights[i] = match kind {
                Kind::Small => 1e-6 * stream.random.bell(),
                Kind::Large => 1e4 * stream.random.bell(),
                Kind::Sparse if stream.random.chance(0.3) => 0.0,
                Kind::Positive => 0.1 + 2.0 * stream.random.unit(),
                _ => stream.random.bell(),
            };
        }
        stream
    }

    /// The weights and gradients of the next step. All of them are f32 numbers, so that programs in
    /// f32 and f64 see the same.
    pub(crate) fn next(&mut self, weights: &mut [f64], gradients: &mut [f64]) {
        let Stream { kind, random, weights: walk, means, arrays } = self;
        let mut i = 0;
        for length in arrays.iter() {
            // In a sparse stream whole arrays, and now and then everything, have no gradient.
            let array_share = if *kind == Kind::Sparse && random.chance(0.3) { 0.0 } else { 0.5 };
            for _ in 0..*length {
                let (weight, gradient) = match kind {
                    Kind::Ordinary => (walk[i] + 0.1 * random.bell(), random.bell()),
                    Kind::Drifting => {
                        means[i] += 0.2 * random.bell();
                        (walk[i] + 0.1 * random.bell(), means[i] + 0.3 * random.bell())
                    }
                    Kind::Small => (walk[i] + 1e-7 * random.bell(), 1e-6 * random.bell()),
                    Kind::Large => (walk[i] + 1e3 * random.bell(), 1e4 * random.bell()),
                    Kind::Mixed => (any_magnitude(random), any_magnitude(random)),
                    Kind::Sparse => {
                        let weight =
                            if walk[i] == 0.0 { 0.0 } else { walk[i] + 0.1 * random.bell() };
                        (weight, if random.chance(array_share) { random.bell() } else { 0.0 })
                    }
                    Kind::Positive => (
                        (walk[i] + 0.05 * random.bell()).abs().max(0.01),
                        0.001 + 2.0 * random.unit(),
                    ),
                    Kind::Special => (random.pick(&SPECIAL), random.pick(&SPECIAL)),
                    Kind::Extreme => (extreme(random), extreme(random)),
                };
                walk[i] = weight;
                weights[i] = f64::from(weight as f32);
                gradients[i] = f64::from(gradient as f32);
                i += 1;
            }
        }
    }
}

/// Log-uniform from 1e-12 to 1e12, of either sign.
fn any_magnitude(random: &mut Random) -> f64 {
    random.sign() * libm::exp10(24.0 * random.unit() - 12.0)
}

/// An edge of f32, any f32 at all, or an ordinary number.
fn extreme(random: &mut Random) -> f64 {
    match random.below(4) {
        0 => f64::from(f32::from_bits(random.bits() as u32)),
        1 => random.bell(),
        _ => random.pick(&EXTREME),
    }
}

/// The learning rate at a step (from 1) of a stretch of so many steps: 0 at first, a short warm-up,
/// then down in a straight line. The peak is another one in each stretch: 1 is that of programs
/// that hold their own as a constant.
pub(crate) fn learning_rate(stretch: usize, step: usize, steps: usize) -> f64 {
    const WARM_UP: usize = 4;
    let peak = [1.0, 1e-3, 1.0, 0.1][stretch % 4];
    let done = step.saturating_sub(1);
    let share = if done < WARM_UP {
        done as f64 / WARM_UP as f64
    } else {
        1.0 - 0.9 * (done - WARM_UP) as f64 / steps.max(1) as f64
    };
    peak * share
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_follow_their_seed_and_are_as_their_kind_says() {
        let arrays = [5, 6, 1];
        let all = |kind, seed| {
            let mut stream = Stream::new(kind, seed, &arrays);
            let mut numbers = Vec::new();
            for _ in 0..50 {
                let (mut w, mut g) = ([0.0; 12], [0.0; 12]);
                stream.next(&mut w, &mut g);
                numbers.push((w, g));
            }
            numbers
        };
        let gradients = |kind| all(kind, 1).iter().flat_map(|(_, g)| *g).collect::<Vec<f64>>();
        for kind in Kind::MODERATE {
            assert_eq!(all(kind, 1), all(kind, 1));
            assert_ne!(all(kind, 1), all(kind, 2));
            assert!(
                all(kind, 3).iter().all(|(w, g)| w
                    .iter()
                    .chain(g)
                    .all(|x| x.is_finite() && f64::from(*x as f32) == *x)),
                "{kind:?}"
            );
        }
        let zeros = |kind| gradients(kind).iter().filter(|g| **g == 0.0).count();
        assert_eq!(zeros(Kind::Ordinary), 0);
        assert!(zeros(Kind::Sparse) > 200);
        assert!(all(Kind::Sparse, 1).iter().any(|(_, g)| g[..5].iter().all(|g| *g == 0.0)));
        assert!(gradients(Kind::Positive).iter().all(|g| *g > 0.0));
        assert!(gradients(Kind::Small).iter().all(|g| g.abs() < 1e-5));
        let mixed = gradients(Kind::Mixed);
        assert!(mixed.iter().any(|g| g.abs() < 1e-10) && mixed.iter().any(|g| g.abs() > 1e10));
        let extreme = gradients(Kind::Extreme);
        assert!(extreme.iter().any(|g| g.is_nan()) && extreme.contains(&f64::INFINITY));
    }

    #[test]
    fn learning_rates_warm_up_from_zero() {
        let rates: Vec<f64> = (1..=32).map(|step| learning_rate(0, step, 32)).collect();
        assert_eq!(rates[..5], [0.0, 0.25, 0.5, 0.75, 1.0]);
        assert!(rates[5..].is_sorted_by(|a, b| a > b) && rates[31] > 0.1);
        assert_eq!(learning_rate(1, 5, 32), 1e-3);
    }
}
