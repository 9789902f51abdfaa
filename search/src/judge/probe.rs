//! Probes of directions on recorded gradients: their size, what they do, and whether they pass the
//! screens.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use symopt_cancel::CancelToken;
use symopt_dsl::{FunctionalHash, Program};
use symopt_evaluator::{Layout, Optimizer, Options};
use symopt_proxy_tasks::error::TaskError;
use symopt_proxy_tasks::suite::{BASELINE, Suite, WeightedTask};
use symopt_proxy_tasks::task::Recording;

use super::{Probe, Rejection};
use crate::config::Screen;
use crate::judge::form::WEIGHT_DECAY;

/// The seed whose gradients are recorded: none that a program is judged on.
const RECORDED: u64 = (1 << 62) - 1;

/// Steps that screens look at.
const SCREENED_STEPS: usize = 24;

/// How far, relative to its size, a direction may be from what a screen demands.
const TOLERANCE: f64 = 2e-2;

/// The gradients of an array that are smaller than this share of the largest array's, as root mean
/// squares, are rounding errors: those of the key biases of attention, say, which make no difference
/// under a softmax. Normalisation array by array makes a direction of them that the scale of the
/// loss changes, and training doesn't feel it.
const ROUNDING: f64 = 1e-6;

/// Projections of a direction, of size 1 over a whole recording, that make its fingerprint, and the
/// grid that they are rounded to. Rounding errors, and the guards of the functions at small
/// gradients, rarely move a projection across a line of so coarse a grid, and other directions
/// nearly always do.
const PROJECTIONS: usize = 2;
const GRID: f64 = 0.02;

/// The long stream of [`Screen::Steady`]: steps in each of three windows, the last two of which are
/// compared.
const WINDOW: usize = 1500;
/// The most that the size of the direction may change from window to window.
const STEADY: f64 = 1.6;
/// In two other runs, over it and over its negative, the first gradients are so many of this size,
/// the same in both, and the directions of the last steps must be opposite by this cosine: what
/// began long ago is forgotten, and what comes is followed.
const PULSE: usize = 100;
const PULSE_SIZE: f32 = 10.0;
const COMPARED: usize = 100;
const FORGOTTEN: f64 = 0.7;

/// Gradients to probe with.
pub(super) struct Prober {
    recordings: Vec<Option<Recording>>,
    screens: Vec<Screen>,
    /// The recording that screens look at, by its position, and which numbers of a step they compare
    /// there.
    screened: Option<(usize, Vec<bool>)>,
    /// Weights of the projections, by task, step and place.
    projections: Vec<Vec<[f32; PROJECTIONS]>>,
    long: Recording,
    /// It and its negative, both with the same much larger gradients in the beginning.
    pulsed: [Recording; 2],
}

impl Prober {
    /// Records what AdamW meets on each task.
    pub(super) fn new(
        suite: &Suite,
        screens: &[Screen],
        cancel: &CancelToken,
    ) -> Result<Prober, TaskError> {
        let adamw = symopt_programs::adamw().program();
        let mut random = ChaCha8Rng::seed_from_u64(0x7072_6f62_6573);
        let recordings: Vec<Option<Recording>> = suite
            .tasks
            .iter()
            .map(|task| record(task, &adamw, cancel))
            .collect::<Result<_, TaskError>>()?;
        let fewest = recordings
            .iter()
            .enumerate()
            .filter_map(|(place, recording)| Some((place, recording.as_ref()?)))
            .min_by_key(|(_, recording)| recording.layout.len());
        let screened = fewest.map(|(place, recording)| (place, beyond_rounding(recording)));
        let mut normal = || -> f32 { StandardNormal.sample(&mut random) };
        let projections = recordings
            .iter()
            .map(|recording| {
                let numbers = recording.as_ref().map_or(0, |r| r.gradients.len() * r.layout.len());
                (0..numbers).map(|_| std::array::from_fn(|_| normal())).collect()
            })
            .collect();
        let shape =
            Layout::new([("a", vec![4]), ("b", vec![2])]).map_err(|e| TaskError::Description {
                place: "the stream of the probes".to_owned(),
                reason: e.to_string(),
            })?;
        let mut mean = vec![0.0; shape.len()];
        let gradients: Vec<Vec<f32>> = (0..3 * WINDOW)
            .map(|_| {
                for mean in &mut mean {
                    *mean = 0.98 * *mean + 0.1 * normal();
                }
                mean.iter().map(|mean| 0.1 * (mean + normal())).collect()
            })
            .collect();
        // As large in every place, so that a memory of sizes is off by the same factor everywhere.
        let pulse: Vec<f32> = mean.iter().map(|_| PULSE_SIZE.copysign(normal())).collect();
        let stream = |gradients| Recording { layout: shape.clone(), gradients };
        let pulsed = [1.0, -1.0].map(|sign| {
            let mut gradients: Vec<Vec<f32>> = gradients
                .iter()
                .map(|gradient| gradient.iter().map(|x| sign * x).collect())
                .collect();
            gradients[..PULSE].fill(pulse.clone());
            stream(gradients)
        });
        Ok(Prober {
            recordings,
            screens: screens.to_vec(),
            screened,
            projections,
            pulsed,
            long: stream(gradients),
        })
    }

    /// Whether there are gradients of a task to probe with.
    pub(super) fn has_recordings(&self) -> bool {
        self.recordings.iter().any(Option::is_some)
    }

    /// Probes a completed direction.
    pub(super) fn probe(&self, program: &Program) -> Probe {
        let mut rms = Vec::with_capacity(self.recordings.len());
        // Most programs fail here, so it comes first.
        let mut rejected = self.screen(program);
        let mut fingerprint = 0xcbf2_9ce4_8422_2325_u128;
        let mut mix = |number: i64| {
            fingerprint = (fingerprint ^ u128::from(number as u64))
                .wrapping_mul(0x0100_0000_0000_0000_0000_013b)
        };
        let all = if rejected.is_none() { self.recordings.len() } else { 0 };
        for (recording, projections) in self.recordings.iter().zip(&self.projections).take(all) {
            let Some(recording) = recording else {
                rms.push(1.0);
                continue;
            };
            let mut sum = 0.0;
            let mut sums = [0.0_f64; PROJECTIONS];
            let mut places = projections.iter();
            let finite = Runner::new(program, &recording.layout).is_some_and(|mut runner| {
                runner.run(recording, recording.gradients.len(), 1.0, &mut |direction| {
                    for (d, weights) in direction.iter().zip(&mut places) {
                        let d = f64::from(*d);
                        sum += d * d;
                        for (sum, weight) in sums.iter_mut().zip(weights) {
                            *sum += d * f64::from(*weight);
                        }
                    }
                    true
                })
            });
            let size = libm::sqrt(sum);
            let Some(of_task) = size_of(recording, size).filter(|_| finite) else {
                rejected = Some(Rejection::NotFinite);
                break;
            };
            rms.push(of_task);
            for sum in sums {
                // The projections of a direction of size 1 are normal numbers.
                mix((sum / size / GRID).round() as i64);
            }
        }
        Probe { fingerprint: FunctionalHash(fingerprint), rms: rms.into(), rejected }
    }

    /// Returns the reason why the screens reject a program, on the recording with the fewest
    /// parameters.
    fn screen(&self, program: &Program) -> Option<Rejection> {
        let (place, compared) = self.screened.as_ref()?;
        let recording = self.recordings.get(*place)?.as_ref()?;
        let Some(mut runner) = Runner::new(program, &recording.layout) else {
            return Some(Rejection::NotFinite);
        };
        let mut plain = Vec::with_capacity(SCREENED_STEPS * recording.layout.len());
        let finite = runner.run(recording, SCREENED_STEPS, 1.0, &mut |direction| {
            plain.extend_from_slice(direction);
            true
        });
        if !finite || square(&plain) == 0.0 {
            return Some(Rejection::NotFinite);
        }
        let is_compared = || compared.iter().cycle();
        let size: f64 = plain
            .iter()
            .zip(is_compared())
            .map(|(d, is)| if *is { f64::from(*d).powi(2) } else { 0.0 })
            .sum();
        let most = TOLERANCE * TOLERANCE * size;
        for screen in &self.screens {
            let (factor, expected) = match screen {
                Screen::Odd => (-1.0, -1.0),
                Screen::Invariant => (30.0, 1.0),
                // In its own time.
                Screen::Steady => continue,
            };
            let (mut off, mut places) = (0.0, plain.iter());
            let passes = runner.run(recording, SCREENED_STEPS, factor, &mut |direction| {
                for ((scaled, is), plain) in direction.iter().zip(compared).zip(&mut places) {
                    if *is {
                        off += (f64::from(*scaled) - expected * f64::from(*plain)).powi(2);
                    }
                }
                off <= most
            });
            if !passes {
                return Some(Rejection::Screen(*screen));
            }
        }
        None
    }

    /// Whether a direction settles on a long stream: its size no longer changes, how the stream
    /// began no longer matters, and gradients of the other sign give the other direction.
    pub(super) fn is_steady(&self, program: &Program) -> bool {
        let Some(mut runner) = Runner::new(program, &self.long.layout) else { return false };
        let mut windows = [0.0; 3];
        let mut step = 0;
        let finite = runner.run(&self.long, 3 * WINDOW, 1.0, &mut |direction| {
            windows[(step / WINDOW).min(2)] += square(direction);
            step += 1;
            true
        });
        let change = libm::sqrt(windows[2] / windows[1]);
        if !finite || !(1.0 / STEADY..=STEADY).contains(&change) {
            return false;
        }
        let mut last = |recording: &Recording| {
            let (mut step, mut last) = (0, Vec::new());
            let finite = runner.run(recording, 3 * WINDOW, 1.0, &mut |direction| {
                step += 1;
                if step > 3 * WINDOW - COMPARED {
                    last.extend_from_slice(direction);
                }
                true
            });
            finite.then_some(last)
        };
        let [Some(a), Some(b)] = self.pulsed.each_ref().map(&mut last) else { return false };
        let product: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        -product >= FORGOTTEN * libm::sqrt(square(&a) * square(&b))
    }
}

/// Which numbers of a step are of arrays whose gradients are more than rounding errors.
fn beyond_rounding(recording: &Recording) -> Vec<bool> {
    let steps = || recording.gradients.iter().take(SCREENED_STEPS);
    let mean_square = |range: &std::ops::Range<usize>| {
        let of_step = |gradients: &Vec<f32>| gradients.get(range.clone()).map_or(0.0, square);
        steps().map(of_step).sum::<f64>() / range.len().max(1) as f64
    };
    let arrays: Vec<(&std::ops::Range<usize>, f64)> = recording
        .layout
        .arrays()
        .iter()
        .map(|array| (&array.range, mean_square(&array.range)))
        .collect();
    let largest = arrays.iter().map(|(_, mean)| *mean).fold(0.0, f64::max);
    let mut beyond = vec![false; recording.layout.len()];
    for (range, mean) in arrays {
        if let Some(places) = beyond.get_mut(range.clone()) {
            places.fill(mean > ROUNDING * ROUNDING * largest);
        }
    }
    beyond
}

/// The gradients that AdamW meets on a task.
fn record(
    task: &WeightedTask,
    adamw: &Program,
    cancel: &CancelToken,
) -> Result<Option<Recording>, TaskError> {
    task.task.record(&task.candidate(adamw, Some(BASELINE)), RECORDED, cancel)
}

/// The size of a completed direction on a task as `Prober::probe` measures it: 1 where no gradients
/// can be recorded, `None` if it is not finite.
pub fn size_on(
    task: &WeightedTask,
    program: &Program,
    cancel: &CancelToken,
) -> Result<Option<f64>, TaskError> {
    let Some(recording) = record(task, &symopt_programs::adamw().program(), cancel)? else {
        return Ok(Some(1.0));
    };
    let mut sum = 0.0;
    let finite = Runner::new(program, &recording.layout).is_some_and(|mut runner| {
        runner.run(&recording, recording.gradients.len(), 1.0, &mut |direction| {
            direction.iter().for_each(|d| sum += f64::from(*d) * f64::from(*d));
            true
        })
    });
    Ok(size_of(&recording, libm::sqrt(sum)).filter(|_| finite))
}

/// The root mean square of a direction whose norm over a recording is known; `None` if it is none
/// to train with.
fn size_of(recording: &Recording, norm: f64) -> Option<f64> {
    let numbers = recording.gradients.len() * recording.layout.len();
    Some(norm / libm::sqrt(numbers.max(1) as f64)).filter(|size| (1e-12..1e12).contains(size))
}

fn square(numbers: &[f32]) -> f64 {
    numbers.iter().map(|d| f64::from(*d).powi(2)).sum()
}

/// A completed direction that is ready to run over recordings of one layout, any number of them.
struct Runner {
    optimizer: Optimizer,
    /// Room for a step.
    weights: Vec<f32>,
    gradients: Vec<f32>,
}

impl Runner {
    /// `None` for a program that can't run.
    fn new(program: &Program, layout: &Layout) -> Option<Runner> {
        let mut optimizer = symopt_programs::optimizer(program, layout, Options::default()).ok()?;
        optimizer.set(WEIGHT_DECAY, 0.0).ok()?;
        Some(Runner {
            optimizer,
            weights: vec![0.0; layout.len()],
            gradients: vec![0.0; layout.len()],
        })
    }

    /// Runs from zero state over recorded gradients times a factor, with weights of zero, and shows
    /// the direction of each step. False if a step gives what is not finite, or `see` has seen
    /// enough.
    fn run(
        &mut self,
        recording: &Recording,
        steps: usize,
        factor: f32,
        see: &mut dyn FnMut(&[f32]) -> bool,
    ) -> bool {
        self.optimizer.reset();
        recording.gradients.iter().take(steps).all(|gradients| {
            self.weights.fill(0.0);
            for (scaled, gradient) in self.gradients.iter_mut().zip(gradients) {
                *scaled = factor * gradient;
            }
            if self.optimizer.step(&mut self.weights, &self.gradients, 1.0).is_err() {
                return false;
            }
            // The step subtracts the direction from zero.
            for weight in &mut self.weights {
                *weight = -*weight;
            }
            self.weights.iter().all(|d| d.is_finite()) && see(&self.weights)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::form::{complete, split};
    use symopt_proxy_tasks::spec::SuiteSource;

    #[test]
    fn screens_pass_what_is_normalised_array_by_array_where_gradients_are_rounding_errors() {
        let cancel = CancelToken::new();
        // The suite's transformers have key biases.
        let suite = SuiteSource::find("real-1x").unwrap().suite().unwrap();
        let screens = [Screen::Odd, Screen::Invariant];
        let mut prober = Prober::new(&suite, &screens, &cancel).unwrap();
        let places: Vec<usize> = (0..prober.recordings.len()).collect();
        let rejected = |prober: &Prober, name: &str| {
            let program = symopt_programs::find(name).unwrap().program();
            prober.screen(&complete(&split(&program).unwrap()).unwrap())
        };
        let mut left_out = 0;
        for place in places {
            let beyond = beyond_rounding(prober.recordings[place].as_ref().unwrap());
            left_out += beyond.iter().filter(|beyond| !**beyond).count();
            prober.screened = Some((place, beyond));
            assert_eq!(rejected(&prober, "muon"), None, "{place}");
            assert_eq!(rejected(&prober, "lion"), None, "{place}");
            let invariant = Some(Rejection::Screen(Screen::Invariant));
            assert_eq!(rejected(&prober, "momentum"), invariant, "{place}");
        }
        // Key biases of width 24, 24 and 16.
        assert_eq!(left_out, 64);
    }
}
