//! A synthetic language: Zipf's vocabulary under a hidden Markov model.
//!
//! A hidden state moves among a few successors of its own; each state emits tokens by Zipf's law,
//! p(rank r) ∝ 1 / r^exponent, over its own order of the vocabulary. Guessing the state from the
//! tokens before is what a model can learn, from a loss near the logarithm of the effective
//! vocabulary down to the entropy rate, which is known: the exact forward algorithm gives it.

use crate::rng::{Purpose, stream};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// The sizes of a language.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LanguageSizes {
    /// Tokens of the vocabulary.
    pub vocabulary: usize,
    /// Hidden states.
    pub states: usize,
    /// Successors of a state.
    pub successors: usize,
    /// The exponent of Zipf's law.
    pub exponent: f64,
    /// Which language of these sizes.
    pub seed: u64,
}

/// A language: the tables of the hidden Markov model.
#[derive(Clone, Debug)]
pub struct Language {
    sizes: LanguageSizes,
    /// [states, successors]: next states, and the sums of their probabilities up to each.
    next: Vec<usize>,
    next_up_to: Vec<f64>,
    /// [states, vocabulary]: the token of each rank.
    token: Vec<u16>,
    /// The sums of the probabilities of the ranks up to each; the same for all states.
    rank_up_to: Vec<f64>,
}

impl Language {
    /// The language of these sizes and this seed. Sizes are at least 1; `successors` at most
    /// `states`.
    pub fn new(sizes: LanguageSizes) -> Self {
        let LanguageSizes { vocabulary, states, successors, exponent, seed } = sizes;
        let mut random = stream(seed, Purpose::Language);
        let (mut next, mut next_up_to, mut token) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..states {
            let order = permutation(states, &mut random);
            next.extend(&order[..successors]);
            // Halving probabilities: one successor is likely, the last two are equally rare.
            let mut sum = 0.0;
            for i in 0..successors {
                sum += libm::pow(0.5, (i + 1).min(successors - 1) as f64);
                next_up_to.push(sum);
            }
            token.extend(permutation(vocabulary, &mut random).iter().map(|&x| x as u16));
        }
        let mut rank_up_to = Vec::with_capacity(vocabulary);
        let mut sum = 0.0;
        for rank in 1..=vocabulary {
            sum += libm::pow(rank as f64, -exponent);
            rank_up_to.push(sum);
        }
        for value in &mut rank_up_to {
            *value /= sum;
        }
        Language { sizes, next, next_up_to, token, rank_up_to }
    }

    /// The sizes.
    pub fn sizes(&self) -> &LanguageSizes {
        &self.sizes
    }

    /// A text of so many tokens.
    pub fn text(&self, length: usize, random: &mut ChaCha8Rng) -> Vec<u16> {
        let LanguageSizes { vocabulary, states, successors, .. } = self.sizes;
        let mut state = random.random_range(0..states as u32) as usize;
        let mut text = Vec::with_capacity(length);
        for _ in 0..length {
            let successor =
                first_above(&self.next_up_to[state * successors..][..successors], random.random());
            state = self.next[state * successors + successor];
            let rank = first_above(&self.rank_up_to, random.random());
            text.push(self.token[state * vocabulary + rank]);
        }
        text
    }

    /// The entropy rate in nats a token, estimated as the mean surprise -ln p(token | all tokens
    /// before) of a fixed text of `length` tokens under the language itself. No model can have a
    /// lower expected loss.
    pub fn entropy_rate(&self, length: usize) -> f64 {
        let LanguageSizes { vocabulary, states, successors, seed, .. } = self.sizes;
        let text = self.text(length, &mut stream(seed, Purpose::EntropyRate));
        let step = |sums: &[f64], i: usize| if i == 0 { sums[0] } else { sums[i] - sums[i - 1] };
        let mut emission = vec![0.0; states * vocabulary];
        for state in 0..states {
            for rank in 0..vocabulary {
                let token = usize::from(self.token[state * vocabulary + rank]);
                emission[token * states + state] = step(&self.rank_up_to, rank);
            }
        }
        let mut belief = vec![1.0 / states as f64; states];
        let mut moved = vec![0.0; states];
        let mut surprise = 0.0;
        for &token in &text {
            moved.fill(0.0);
            for (state, &p) in belief.iter().enumerate() {
                let sums = &self.next_up_to[state * successors..][..successors];
                for i in 0..successors {
                    moved[self.next[state * successors + i]] += p * step(sums, i);
                }
            }
            let emission = &emission[usize::from(token) * states..][..states];
            let total: f64 = moved.iter().zip(emission).map(|(p, e)| p * e).sum();
            for ((belief, moved), e) in belief.iter_mut().zip(&moved).zip(emission) {
                *belief = moved * e / total;
            }
            surprise -= libm::log(total);
        }
        surprise / length.max(1) as f64
    }
}

fn permutation(count: usize, random: &mut ChaCha8Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        order.swap(last, random.random_range(0..=last as u32) as usize);
    }
    order
}

/// The first place whose sum is above x; the last if none is, as can happen by rounding.
fn first_above(sums: &[f64], x: f64) -> usize {
    sums.partition_point(|&sum| sum <= x).min(sums.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: LanguageSizes =
        LanguageSizes { vocabulary: 20, states: 6, successors: 3, exponent: 2.0, seed: 1 };

    #[test]
    fn probabilities_of_successors_and_ranks_add_up_to_one() {
        for successors in [1, 2, 3, 6] {
            let language = Language::new(LanguageSizes { successors, ..SIZES });
            for sums in language.next_up_to.chunks(successors) {
                assert!((sums[successors - 1] - 1.0).abs() < 1e-12, "{sums:?}");
            }
            assert!((language.rank_up_to[19] - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn entropy_rate_of_a_memoryless_language_is_that_of_zipfs_law() {
        let language = Language::new(LanguageSizes { states: 1, successors: 1, ..SIZES });
        let mut exact = 0.0;
        let mut before = 0.0;
        for &sum in &language.rank_up_to {
            let p: f64 = sum - before;
            exact -= p * p.ln();
            before = sum;
        }
        assert!((language.entropy_rate(200_000) - exact).abs() < 0.01);
    }

    #[test]
    fn context_lowers_the_entropy_below_that_of_single_tokens() {
        let language = Language::new(SIZES);
        let text = language.text(100_000, &mut stream(3, Purpose::TrainingExamples));
        let mut counts = [0.0_f64; 20];
        for &token in &text {
            counts[usize::from(token)] += 1e-5;
        }
        let single: f64 = counts.iter().filter(|&&p| p > 0.0).map(|p| -p * p.ln()).sum();
        let rate = language.entropy_rate(100_000);
        assert!(rate > 0.5 && rate + 0.2 < single, "{rate} {single}");
        assert!((rate - language.entropy_rate(50_000)).abs() < 0.03);
    }

    #[test]
    fn a_language_depends_on_its_seed_and_a_text_on_its_stream() {
        let text = |language_seed, seed| {
            Language::new(LanguageSizes { seed: language_seed, ..SIZES })
                .text(50, &mut stream(seed, Purpose::TrainingExamples))
        };
        assert_eq!(text(1, 1), text(1, 1));
        assert_ne!(text(1, 1), text(1, 2));
        assert_ne!(text(1, 1), text(2, 1));
    }
}
