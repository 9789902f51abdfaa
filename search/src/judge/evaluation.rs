//! Result of judging a program.

use std::sync::Arc;

use symopt_proxy_tasks::error::Failure;
use symopt_proxy_tasks::suite::Fitness;

use super::inner_tuning::Setting;

/// Result of an evaluation.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Evaluation {
    /// The fitness.
    pub fitness: Fitness,
    /// The running fitness at the checkpoints of the suite, as far as it went.
    pub curve: Arc<[f64]>,
    /// Standard error of the fitness over the seeds; 0 where it is not known.
    pub standard_error: f64,
    /// Seeds that the fitness is a mean of; 0 where that is not told.
    pub seeds: u32,
    /// For a direction, where it did best on each task.
    pub settings: Arc<[Setting]>,
    /// Failure, if the fitness is [`Fitness::Failed`].
    pub failure: Option<Arc<Failure>>,
}

impl Evaluation {
    /// An evaluation that tells a fitness and nothing about its spread.
    pub fn new(fitness: Fitness, curve: Arc<[f64]>) -> Evaluation {
        Evaluation {
            fitness,
            curve,
            standard_error: 0.0,
            seeds: 0,
            settings: Arc::from([]),
            failure: None,
        }
    }

    /// One that a failed run of an external task ended.
    pub fn failed(failure: Failure, curve: Arc<[f64]>) -> Evaluation {
        Evaluation { failure: Some(Arc::new(failure)), ..Evaluation::new(Fitness::Failed, curve) }
    }

    /// Returns the fitness that selection uses: less so many standard errors.
    pub fn score(&self, penalty: f64) -> Fitness {
        match self.fitness {
            Fitness::Improvement(value) => {
                Fitness::Improvement(value - penalty * self.standard_error)
            }
            other => other,
        }
    }

    /// This evaluation and one of the same program on other seeds, as one. The older one counts for
    /// at most three times the seeds of the new one, so that what was measured long ago fades. A
    /// failed run says nothing about the program.
    pub fn with(&self, again: &Evaluation) -> Evaluation {
        if again.fitness == Fitness::Failed {
            return self.clone();
        }
        let (Fitness::Improvement(old), Fitness::Improvement(new)) = (self.fitness, again.fitness)
        else {
            return again.clone();
        };
        let (a, b) =
            (f64::from(self.seeds.min(again.seeds.saturating_mul(3))), f64::from(again.seeds));
        if a + b == 0.0 {
            return again.clone();
        }
        let error = libm::hypot(a * self.standard_error, b * again.standard_error) / (a + b);
        Evaluation {
            fitness: Fitness::Improvement((a * old + b * new) / (a + b)),
            standard_error: error,
            seeds: (a + b) as u32,
            ..again.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use symopt_proxy_tasks::error::FailureKind;

    use super::*;

    fn evaluation(fitness: f64, standard_error: f64, seeds: u32) -> Evaluation {
        Evaluation {
            standard_error,
            seeds,
            ..Evaluation::new(Fitness::Improvement(fitness), Arc::from([fitness]))
        }
    }

    #[test]
    fn two_evaluations_on_other_seeds_are_pooled_and_old_ones_fade() {
        let pooled = evaluation(0.1, 0.03, 8).with(&evaluation(0.3, 0.04, 8));
        let Fitness::Improvement(mean) = pooled.fitness else { panic!("{pooled:?}") };
        assert!(
            (mean - 0.2).abs() < 1e-12
                && (pooled.standard_error - 0.025).abs() < 1e-12
                && pooled.seeds == 16
        );
        assert_eq!(*pooled.curve, [0.3]);
        // By seeds: three parts of four.
        let Fitness::Improvement(mean) =
            evaluation(0.1, 0.0, 4).with(&evaluation(0.3, 0.0, 12)).fitness
        else {
            panic!()
        };
        assert!((mean - 0.25).abs() < 1e-12);
        // A hundred old seeds count as three times the new ones, however often that goes on.
        let mut long = evaluation(0.0, 0.0, 100);
        for rest in [0.75, 0.5625] {
            long = long.with(&evaluation(1.0, 0.0, 8));
            let Fitness::Improvement(mean) = long.fitness else { panic!() };
            assert!((mean - (1.0 - rest)).abs() < 1e-12, "{mean}");
            assert_eq!(long.seeds, 32);
        }
    }

    #[test]
    fn what_has_no_fitness_is_not_pooled() {
        let diverged = Evaluation::new(Fitness::Diverged, Arc::from([]));
        let good = evaluation(0.3, 0.1, 8);
        assert_eq!(good.with(&diverged), diverged);
        assert_eq!(diverged.with(&good), good);
        // A failure changes nothing, and counts for nothing.
        let failure = Failure {
            kind: FailureKind::Timeout,
            reason: "no answer".to_owned(),
            stderr: String::new(),
        };
        let failed = Evaluation::failed(failure, Arc::from([]));
        assert_eq!(good.with(&failed), good);
        assert_eq!(failed.with(&good), good);
        // Seeds that are not told: the newer one.
        assert_eq!(
            evaluation(0.1, 0.0, 0).with(&evaluation(0.2, 0.0, 0)).fitness,
            Fitness::Improvement(0.2)
        );
    }

    #[test]
    fn the_score_is_the_fitness_less_so_many_standard_errors() {
        let Fitness::Improvement(score) = evaluation(0.3, 0.04, 8).score(1.5) else { panic!() };
        assert!((score - 0.24).abs() < 1e-12);
        assert_eq!(evaluation(0.3, 0.04, 8).score(0.0), Fitness::Improvement(0.3));
        let hopeless = Fitness::Hopeless { checkpoint: 2 };
        assert_eq!(
            Evaluation { standard_error: 1.0, ..Evaluation::new(hopeless, Arc::from([])) }
                .score(1.0),
            hopeless
        );
    }
}
