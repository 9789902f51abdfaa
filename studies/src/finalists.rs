//! The finalists of a search: its hall of fame, raced on seeds that neither the search nor any
//! report has seen.
//!
//! A search's own fitness of its best programs is too good: it selected them by what they did on
//! its own seeds, so that a part of their fitness is luck there. A race tells the two apart. All
//! finalists train on the same fresh seeds, some at a time. A finalist that is worse than the
//! leader, by the paired differences and at a confidence, is out. The race ends when the leader is
//! alone or the seeds are used up. The leader is not the finalist with the best mean but the one
//! with the best lower bound. Which finalists gain anything over AdamW at all is decided for all of
//! them together, so that at most a given share of those that are said to is there by chance.
//!
//! How far the search's own seeds promise more than fresh ones give, the *winner's curse*, is a
//! number: the mean over the finalists, and that of the search's best.
//!
//! Results do not depend on the number of threads.

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use serde::Serialize;
use symopt_cancel::CancelToken;
use symopt_dsl::Program;
use symopt_programs::source;
use symopt_proxy_tasks::sample::{Difference, Gain, discoveries, mean, standard_error};
use symopt_proxy_tasks::suite::{Baseline, Suite};
use symopt_proxy_tasks::task::{Candidate, Verdict};
use symopt_search::config::Form;
use symopt_search::judge::Settled;
use symopt_search::judge::inner_tuning::Setting;
use symopt_search::judge::purpose::Purpose;
use symopt_search::store::hall_of_fame::Entry;

use crate::error::{StudyError, pool};
use crate::trials::Observe;

/// How finalists are raced.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Protocol {
    /// Finalists, at most: the first of the hall of fame.
    pub finalists: usize,
    /// Seeds, at most.
    pub seeds: usize,
    /// Seeds between two decisions.
    pub round: usize,
    /// How sure it must be that a finalist is worse than the leader before it is out, and the
    /// confidence of the lower bounds.
    pub confidence: f64,
    /// The share of those said to be better than AdamW that may be there by chance.
    pub false_discoveries: f64,
}

impl Default for Protocol {
    fn default() -> Protocol {
        Protocol { finalists: 8, seeds: 32, round: 8, confidence: 0.95, false_discoveries: 0.05 }
    }
}

/// A program that runs in a race.
#[derive(Clone, Debug)]
pub struct Entrant {
    /// Its place in the hall of fame.
    pub place: usize,
    /// Functional hash.
    pub hash: String,
    /// The program; a direction without what stands outside.
    pub program: Program,
    /// For a direction, where it did best on each task.
    pub settings: Vec<Setting>,
    /// The fitness on the search's own seeds, with its standard error there.
    pub own: Gain,
    /// How many own seeds.
    pub own_seeds: u32,
}

impl Entrant {
    /// An entry of a hall of fame; `None` if its program can't be read.
    pub fn of(entry: &Entry) -> Option<Entrant> {
        Some(Entrant {
            place: entry.place,
            hash: entry.hash.clone(),
            program: source::parse("a program of the hall of fame", &entry.program).ok()?,
            settings: entry.settings.clone(),
            own: Gain {
                mean: entry.fitness,
                standard_error: (entry.seeds > 1).then_some(entry.standard_error),
            },
            own_seeds: entry.seeds,
        })
    }
}

/// A finalist after the race.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[must_use]
#[non_exhaustive]
pub struct Finalist {
    /// Its place in the hall of fame: `STORE:PLACE`.
    pub place: usize,
    /// Functional hash.
    pub hash: String,
    /// The fitness on the search's own seeds, with its standard error there.
    pub own: Gain,
    /// How many own seeds.
    pub own_seeds: u32,
    /// The gain over AdamW on fresh seeds; `None` if it diverged on one, or can't be trained.
    pub fresh: Option<Gain>,
    /// The fresh seeds that it trained on.
    pub seeds: usize,
    /// The lower bound of that gain.
    pub lower_bound: Option<f64>,
    /// The chance of such a gain, or a larger one, where there is none.
    pub p_value: Option<f64>,
    /// Whether it is said to be better than AdamW.
    pub is_discovery: bool,
    /// Whether it was in the race until the end.
    pub is_in: bool,
}

/// A race.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[must_use]
#[non_exhaustive]
pub struct Race {
    /// How it was run.
    pub protocol: Protocol,
    /// By their places in the hall of fame.
    pub finalists: Vec<Finalist>,
    /// The place, in the hall of fame, of the leader; `None` if all diverged.
    pub leader: Option<usize>,
    /// By how much own seeds promise more than fresh ones give: the mean over the finalists that
    /// did not diverge, with its standard error over them.
    pub winners_curse: Option<Gain>,
    /// The same of the first of the hall of fame, with the standard error of its fresh gain.
    pub winners_curse_of_best: Option<Gain>,
    /// Training runs, those of AdamW included.
    pub runs: usize,
}

/// A finalist on its way.
struct Runner<'a> {
    entrant: &'a Entrant,
    settled: Option<Settled>,
    /// The gains over AdamW by seed; `None` once it has diverged.
    gains: Option<Vec<f64>>,
    is_in: bool,
}

impl Runner<'_> {
    fn difference(&self) -> Option<Difference> {
        self.gains.as_ref().filter(|gains| !gains.is_empty()).map(|gains| Difference::of(gains))
    }

    fn lower_bound(&self, protocol: &Protocol) -> Option<f64> {
        self.difference().and_then(|difference| difference.lower_bound(protocol.confidence))
    }

    /// Whether it is worse than the leader, on the seeds that both have.
    fn is_worse_than(&self, leader: &[f64], protocol: &Protocol) -> bool {
        let Some(own) = &self.gains else { return true };
        let ahead: Vec<f64> = leader.iter().zip(own).map(|(leader, own)| leader - own).collect();
        let bound = Difference::of(&ahead).lower_bound(protocol.confidence);
        bound.is_some_and(|bound| bound > 0.0)
    }
}

/// Races programs on a suite, the first ones of those given. `form` is that of the search's
/// programs.
pub fn race(
    suite: &Suite,
    entrants: &[Entrant],
    form: Form,
    protocol: Protocol,
    threads: usize,
    cancel: &CancelToken,
    observe: Observe,
) -> Result<Race, StudyError> {
    let pool = pool(threads)?;
    let entrants = &entrants[..entrants.len().min(protocol.finalists)];
    let mut runners = Vec::with_capacity(entrants.len());
    for entrant in entrants {
        let settled = match form {
            Form::Program => None,
            Form::Direction => {
                Settled::new(&entrant.program, &entrant.settings, &suite.tasks, cancel)?
            }
        };
        let is_trainable = form == Form::Program || settled.is_some();
        runners.push(Runner { entrant, settled, gains: is_trainable.then(Vec::new), is_in: true });
    }
    let seeds = Suite::rotating_seeds(Purpose::Finalists.search(), 0, protocol.seeds);
    let (mut runs, done) = (0, AtomicUsize::new(0));
    let total = protocol.seeds.div_ceil(protocol.round.max(1)) * runners.len();
    for seeds in seeds.chunks(protocol.round.max(1)) {
        let train = |seed: &u64| suite.baseline(&[*seed], cancel);
        let baseline: Vec<Result<Baseline, _>> =
            pool.install(|| seeds.par_iter().map(train).collect());
        let baseline = Baseline::joined(baseline.into_iter().collect::<Result<Vec<_>, _>>()?);
        let gains = |runner: &Runner| -> Result<Option<Vec<f64>>, StudyError> {
            if !runner.is_in || runner.gains.is_none() {
                return Ok(None);
            }
            let candidates = match &runner.settled {
                Some(settled) => settled.candidates(),
                None => vec![Candidate::new(&runner.entrant.program); suite.tasks.len()],
            };
            let outcome =
                suite.evaluate_as(&candidates, &baseline, cancel, &mut |_, _| Verdict::Continue)?;
            observe(done.fetch_add(1, Ordering::Relaxed) + 1, total);
            Ok(outcome.by_seed(suite))
        };
        let results: Vec<Result<Option<Vec<f64>>, StudyError>> =
            pool.install(|| runners.par_iter().map(gains).collect());
        runs += seeds.len() * suite.tasks.len();
        for (runner, result) in runners.iter_mut().zip(results) {
            let result = result?;
            if !runner.is_in || runner.gains.is_none() {
                continue;
            }
            runs += seeds.len() * suite.tasks.len();
            match (&mut runner.gains, result) {
                (Some(known), Some(gains)) => known.extend(gains),
                _ => runner.gains = None,
            }
        }
        if decide(&mut runners, &protocol) {
            break;
        }
    }
    Ok(summarize(&runners, protocol, runs))
}

/// Puts those out that are worse than the leader, and says whether the race is over.
fn decide(runners: &mut [Runner], protocol: &Protocol) -> bool {
    let Some(leader) = leader(runners, protocol) else {
        runners.iter_mut().for_each(|runner| runner.is_in = false);
        return true;
    };
    let gains = runners[leader].gains.clone().unwrap_or_default();
    for (place, runner) in runners.iter_mut().enumerate() {
        runner.is_in &= place == leader || !runner.is_worse_than(&gains, protocol);
    }
    runners.iter().filter(|runner| runner.is_in).count() <= 1
}

/// Returns the finalist in the race with the best lower bound; the first of equals.
fn leader(runners: &[Runner], protocol: &Protocol) -> Option<usize> {
    let bound = |place: &usize| runners[*place].lower_bound(protocol).unwrap_or(f64::NEG_INFINITY);
    (0..runners.len())
        .filter(|place| runners[*place].is_in && runners[*place].gains.is_some())
        .reduce(|best, place| if bound(&place) > bound(&best) { place } else { best })
}

fn summarize(runners: &[Runner], protocol: Protocol, runs: usize) -> Race {
    let leader = leader(runners, &protocol).map(|place| runners[place].entrant.place);
    let differences: Vec<Option<Difference>> = runners.iter().map(Runner::difference).collect();
    let p_value = |difference: &Option<Difference>| difference.and_then(|d| d.p_value());
    // A diverged program is no discovery, but it was tried.
    let p_values: Vec<f64> = differences.iter().map(|d| p_value(d).unwrap_or(1.0)).collect();
    let found = discoveries(&p_values, protocol.false_discoveries);
    let finalists: Vec<Finalist> = runners
        .iter()
        .zip(&differences)
        .zip(found)
        .map(|((runner, difference), is_discovery)| Finalist {
            place: runner.entrant.place,
            hash: runner.entrant.hash.clone(),
            own: runner.entrant.own,
            own_seeds: runner.entrant.own_seeds,
            fresh: runner.gains.as_ref().and_then(|gains| Gain::of(gains)),
            seeds: runner.gains.as_ref().map_or(0, Vec::len),
            lower_bound: runner.lower_bound(&protocol),
            p_value: p_value(difference),
            is_discovery,
            is_in: runner.is_in && runner.gains.is_some(),
        })
        .collect();
    let excess = |finalist: &Finalist| finalist.fresh.map(|fresh| finalist.own.mean - fresh.mean);
    let all: Vec<f64> = finalists.iter().filter_map(excess).collect();
    let winners_curse =
        (!all.is_empty()).then(|| Gain { mean: mean(&all), standard_error: standard_error(&all) });
    let winners_curse_of_best = finalists.first().and_then(|best| {
        Some(Gain { mean: excess(best)?, standard_error: best.fresh?.standard_error })
    });
    Race { protocol, finalists, leader, winners_curse, winners_curse_of_best, runs }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entrant(place: usize, fitness: f64) -> Entrant {
        Entrant {
            place,
            hash: place.to_string(),
            program: symopt_programs::lion().program(),
            settings: Vec::new(),
            own: Gain { mean: fitness, standard_error: Some(0.0) },
            own_seeds: 2,
        }
    }

    fn runner(entrant: &Entrant, gains: Option<Vec<f64>>) -> Runner<'_> {
        Runner { entrant, settled: None, gains, is_in: true }
    }

    #[test]
    fn the_leader_has_the_best_lower_bound_and_who_is_worse_is_out() {
        let entrants = [entrant(1, 0.2), entrant(2, 0.1), entrant(3, 0.1), entrant(4, 0.1)];
        let mut runners = [
            // The best mean, but nobody knows.
            runner(&entrants[0], Some(vec![0.9, -0.5, 0.4, -0.3])),
            runner(&entrants[1], Some(vec![0.05, 0.06, 0.05, 0.06])),
            runner(&entrants[2], Some(vec![0.01, 0.02, 0.01, 0.02])),
            runner(&entrants[3], None),
        ];
        let protocol = Protocol::default();
        assert!(!decide(&mut runners, &protocol));
        assert_eq!(runners.each_ref().map(|runner| runner.is_in), [true, true, false, false]);
        let race = summarize(&runners, protocol, 0);
        assert_eq!(race.leader, Some(2));
        let found: Vec<bool> = race.finalists.iter().map(|f| f.is_discovery).collect();
        assert_eq!(found, [false, true, true, false]);
        // 0.2 - 0.125, 0.1 - 0.055, 0.1 - 0.015.
        let curse = race.winners_curse.unwrap().mean;
        assert!((curse - (0.075 + 0.045 + 0.085) / 3.0).abs() < 1e-12, "{curse}");
        assert!((race.winners_curse_of_best.unwrap().mean - 0.075).abs() < 1e-12);
    }

    #[test]
    fn where_all_diverge_there_is_no_leader_and_no_curse() {
        let entrants = [entrant(1, 0.2)];
        let mut runners = [runner(&entrants[0], None)];
        assert!(decide(&mut runners, &Protocol::default()));
        let race = summarize(&runners, Protocol::default(), 0);
        assert_eq!(
            (race.leader, race.winners_curse, race.finalists[0].p_value),
            (None, None, None)
        );
    }
}
