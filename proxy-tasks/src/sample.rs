//! Samples over seeds: their means, how sure these are, and whether a difference is one.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The mean of a sample; 0 of an empty one.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The standard error of the mean of a sample; `None` for fewer than two numbers.
pub fn standard_error(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    Some((variance / count).sqrt())
}

/// The least and the greatest number of a sample; `None` for fewer than two.
pub fn range(values: &[f64]) -> Option<(f64, f64)> {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (values.len() > 1).then_some((least, greatest))
}

/// The mean of a sample less and plus its standard error; `None` for fewer than two numbers.
pub fn error_band(values: &[f64]) -> Option<(f64, f64)> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    standard_error(values).map(|error| (mean - error, mean + error))
}

/// A gain over tuned AdamW.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gain {
    /// Share of AdamW's validation loss that is saved, mean over the held-out seeds.
    pub mean: f64,
    /// Its standard error over the seeds; `None` for a single seed.
    pub standard_error: Option<f64>,
}

impl Gain {
    /// The gain over seeds; `None` if it is not finite on all.
    pub fn of(values: &[f64]) -> Option<Gain> {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        mean.is_finite().then(|| Gain { mean, standard_error: standard_error(values) })
    }

    /// In percent, for a table.
    pub fn text(gain: Option<Gain>) -> String {
        let Some(gain) = gain else { return "diverged".to_owned() };
        let error = gain
            .standard_error
            .map_or_else(String::new, |error| format!(" ± {:.2}", 100.0 * error));
        format!("{:+.2} %{error}", 100.0 * gain.mean)
    }
}

/// When a change may stay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Criterion {
    /// How much lower the fitness may be: 0.005 is half a percent of the baseline's validation
    /// loss.
    pub tolerance: f64,
    /// How sure it must be that the drop is not larger, from 0.5 to below 1: 0.95 lets one in
    /// twenty changes pass that cost just more than the tolerance.
    pub confidence: f64,
}

impl Default for Criterion {
    /// In Lion on the suite quick, what matters costs four points and more, and the clip of the
    /// gradients 1.3, with a standard error of 0.3 over 16 seeds.
    fn default() -> Criterion {
        Criterion { tolerance: 0.02, confidence: 0.95 }
    }
}

/// The fitness of a program on each seed; `None` if it diverged on any.
pub type Scores = Option<Arc<[f64]>>;

/// A difference of fitness, paired over the seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub struct Difference {
    /// Mean over the seeds of the fitness after less the fitness before.
    pub mean: f64,
    /// Standard error of that mean; `None` with fewer than two seeds.
    pub standard_error: Option<f64>,
    /// Seeds.
    pub seeds: usize,
}

impl Difference {
    /// The difference of two programs; `None` if one of them diverged.
    pub fn between(before: &Scores, after: &Scores) -> Option<Difference> {
        let (Some(before), Some(after)) = (before, after) else { return None };
        let differences: Vec<f64> =
            after.iter().zip(before.iter()).map(|(after, before)| after - before).collect();
        Some(Difference {
            mean: mean(&differences),
            standard_error: standard_error(&differences),
            seeds: differences.len(),
        })
    }

    /// The difference of a sample from zero.
    pub fn of(values: &[f64]) -> Difference {
        Difference {
            mean: mean(values),
            standard_error: standard_error(values),
            seeds: values.len(),
        }
    }

    /// The chance of such a mean or a larger one where there is none, by Student's distribution;
    /// `None` with fewer than two seeds.
    pub fn p_value(&self) -> Option<f64> {
        let error = self.standard_error?;
        let t = if error > 0.0 { self.mean / error } else { self.mean * f64::INFINITY };
        // The mean may be 0, and the same on all seeds.
        Some(if t.is_nan() { 1.0 } else { 1.0 - student_cumulative(t, self.seeds - 1) })
    }

    /// The one-sided lower bound of the mean at a confidence between 0.5 and 1, by Student's
    /// distribution; `None` with fewer than two seeds.
    pub fn lower_bound(&self, confidence: f64) -> Option<f64> {
        let error = self.standard_error?;
        Some(self.mean - error * student_quantile(confidence, self.seeds - 1))
    }

    /// Whether the fitness does not drop by more than the tolerance, at the confidence. Never with
    /// fewer than two seeds.
    pub fn passes(&self, criterion: Criterion) -> bool {
        let margin = self.mean + criterion.tolerance;
        match self.standard_error {
            Some(error) if error > 0.0 => {
                student_cumulative(margin / error, self.seeds - 1) >= criterion.confidence
            }
            Some(_) => margin >= 0.0,
            None => false,
        }
    }
}

/// The cumulative distribution of Student's t for a whole number of degrees of freedom, by its
/// finite sum (Abramowitz and Stegun, 26.7.3 and 4).
fn student_cumulative(t: f64, freedom: usize) -> f64 {
    if !t.is_finite() || freedom == 0 {
        return if t > 0.0 { 1.0 } else { 0.0 };
    }
    let angle = libm::atan(t / libm::sqrt(freedom as f64));
    let (sine, cosine) = (libm::sin(angle), libm::cos(angle));
    let odd = freedom % 2 == 1;
    // 1 + 1/2 c^2 + 1*3/(2*4) c^4 + ... for even numbers, c + 2/3 c^3 + 2*4/(3*5) c^5 + ... for odd
    // ones.
    let mut term = if odd { cosine } else { 1.0 };
    let mut sum = 0.0;
    let mut k = if odd { 1 } else { 0 };
    while k + 2 <= freedom {
        sum += term;
        term *= cosine * cosine * (k + 1) as f64 / (k + 2) as f64;
        k += 2;
    }
    let within = if odd { (angle + sine * sum) / std::f64::consts::FRAC_PI_2 } else { sine * sum };
    0.5 + 0.5 * within
}

/// The inverse of [`student_cumulative`] from 0.5 on, to ten digits.
fn student_quantile(confidence: f64, freedom: usize) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while student_cumulative(high, freedom) < confidence && high < 1e12 {
        high *= 2.0;
    }
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if student_cumulative(middle, freedom) < confidence {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// Which of several findings stay when at most this share of those that stay may be by chance:
/// Benjamini and Hochberg's procedure (1995) over their p-values.
pub fn discoveries(p_values: &[f64], share: f64) -> Vec<bool> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let count = p_values.len().max(1) as f64;
    let stays = |rank: &usize| {
        order.get(*rank).is_some_and(|i| p_values[*i] <= share * (*rank + 1) as f64 / count)
    };
    let last = (0..p_values.len()).rev().find(stays);
    let mut found = vec![false; p_values.len()];
    for place in order.iter().take(last.map_or(0, |last| last + 1)) {
        found[*place] = true;
    }
    found
}

/// The p-values of several hypotheses, adjusted so that the chance of any false rejection is at
/// most the level that they are held against: Holm's procedure (1979).
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut least: f64 = 0.0;
    for (rank, place) in order.into_iter().enumerate() {
        least = least.max(p_values[place] * (p_values.len() - rank) as f64).min(1.0);
        adjusted[place] = least;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adjusted_chances_are_holms() {
        // R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm").
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (found, expected) in adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((found - expected).abs() < 1e-15, "{adjusted:?}");
        }
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }

    #[test]
    fn lower_bounds_and_chances_are_those_of_students_distribution() {
        let difference = Difference { mean: 0.02, standard_error: Some(0.01), seeds: 8 };
        assert!((difference.lower_bound(0.95).unwrap() - (0.02 - 0.018946)).abs() < 1e-6);
        assert!((difference.p_value().unwrap() - 0.042808).abs() < 1e-5);
        let sure = Difference { mean: 0.02, standard_error: Some(0.0), seeds: 8 };
        assert_eq!((sure.p_value(), sure.lower_bound(0.99)), (Some(0.0), Some(0.02)));
        let nothing = Difference { mean: 0.0, standard_error: Some(0.0), seeds: 8 };
        assert_eq!(nothing.p_value(), Some(1.0));
        let one = Difference { mean: 0.5, standard_error: None, seeds: 1 };
        assert_eq!((one.p_value(), one.lower_bound(0.95)), (None, None));
    }

    #[test]
    fn findings_stay_up_to_the_last_that_is_rare_enough_for_its_rank() {
        // The example of the paper's section 3.3: four of fifteen stay.
        let p = [
            0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262,
            0.5719, 0.6528, 0.7590, 1.0,
        ];
        assert_eq!(discoveries(&p, 0.05).iter().filter(|found| **found).count(), 4);
        // One that is not rare enough for its own rank stays with a later one that is.
        assert_eq!(discoveries(&[0.04, 0.03, 0.035], 0.05), [true; 3]);
        assert_eq!(discoveries(&[0.9, 0.04], 0.05), [false; 2]);
        assert!(discoveries(&[], 0.05).is_empty());
    }

    #[test]
    fn students_distribution_has_the_published_quantiles() {
        // Degrees of freedom, quantiles of 0.95 and 0.99.
        let table = [
            (1, 6.3138, 31.8205),
            (2, 2.9200, 6.9646),
            (3, 2.3534, 4.5407),
            (7, 1.8946, 2.9980),
            (10, 1.8125, 2.7638),
        ];
        for (freedom, q95, q99) in table.into_iter().chain([
            (15, 1.7531, 2.6025),
            (30, 1.6973, 2.4573),
            (31, 1.6955, 2.4528),
        ]) {
            assert!(
                (student_cumulative(q95, freedom) - 0.95).abs() < 1e-5,
                "{freedom}: {}",
                student_cumulative(q95, freedom)
            );
            assert!(
                (student_cumulative(q99, freedom) - 0.99).abs() < 1e-5,
                "{freedom}: {}",
                student_cumulative(q99, freedom)
            );
            assert!((student_cumulative(-q95, freedom) - 0.05).abs() < 1e-5);
            assert_eq!(student_cumulative(0.0, freedom), 0.5);
        }
        assert_eq!(
            [f64::INFINITY, f64::NEG_INFINITY].map(|t| student_cumulative(t, 3)),
            [1.0, 0.0]
        );
        assert_eq!(student_cumulative(f64::NAN, 3), 0.0);
    }

    #[test]
    fn a_change_passes_by_its_lower_bound_and_never_on_one_seed() {
        let criterion = Criterion { tolerance: 0.01, confidence: 0.95 };
        let between = |after: &[f64]| {
            let zeros = Some(Arc::from(vec![0.0; after.len()]));
            Difference::between(&zeros, &Some(Arc::from(after))).unwrap()
        };
        assert!(between(&[0.0; 8]).passes(criterion));
        assert!(between(&[-0.01; 8]).passes(criterion));
        assert!(!between(&[-0.011; 8]).passes(criterion));
        assert!(!between(&[0.5]).passes(criterion));
        // Mean -0.005 with a standard error of 0.001, and of 0.005: t is 5 and 1 on three degrees
        // of freedom, of which 2.35 are needed.
        let spread = |error: f64| {
            let deviation = error * 3f64.sqrt();
            between(&[
                -0.005 - deviation,
                -0.005 - deviation,
                -0.005 + deviation,
                -0.005 + deviation,
            ])
        };
        assert!((spread(0.001).standard_error.unwrap() - 0.001).abs() < 1e-12);
        assert!(spread(0.001).passes(criterion));
        assert!(!spread(0.005).passes(criterion));
        assert_eq!(Difference::between(&None, &Some(Arc::from([0.0]))), None);
    }
}
