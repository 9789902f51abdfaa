//! Programs against each other on tasks that nothing before has seen, tuned with equal budgets: on
//! each task for itself, and with one setting for all tasks.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use symopt_cancel::{CancelToken, Cancelled};
use symopt_dsl::Program;
use symopt_proxy_tasks::error::TaskError;
use symopt_proxy_tasks::sample::{Difference, Gain, holm};
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_proxy_tasks::suite::{BASELINE, Baseline, Suite};
use symopt_proxy_tasks::task::{Candidate, Verdict};
use symopt_proxy_tasks::tuning::pattern_search::{self, End};
use symopt_search::judge::purpose::Purpose;
use symopt_search::judge::size_on;

use super::protocol::HeldOutProtocol;
use crate::checked_json::{self, checksum};
use crate::error::{StudyError, pool};
use crate::trials::Observe;

/// A program to compare.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub name: String,
    pub program: Program,
    /// Whether its steps may have any size.
    pub is_direction: bool,
}

/// A setting: the peak learning rate and the other hyperparameters that were tuned.
pub type Setting = (f64, Vec<(String, f64)>);

/// A program that was tuned for one task or for all, and its losses on the seeds of the comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Measured {
    /// The setting; `None` if all that were tried diverge.
    setting: Option<Setting>,
    tuning_runs: usize,
    /// By task and seed; `None` where it diverged.
    losses: Vec<Vec<Option<f64>>>,
}

/// Everything that a measurement depends on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Key {
    /// Checksum of the suite's text.
    suite: String,
    tuning_seeds: usize,
    budget: usize,
    seeds: usize,
    /// Checksum of the program's text.
    program: String,
    /// The task; `None` for all.
    task: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Known {
    key: Key,
    measured: Measured,
}

/// Known measurements and the file that keeps them: each takes minutes.
struct Record {
    path: PathBuf,
    known: Mutex<Vec<Known>>,
}

#[derive(Serialize)]
struct Written<'a> {
    measured: &'a [Known],
}

#[derive(Deserialize)]
struct Read {
    measured: Vec<Known>,
}

impl Record {
    fn open(path: PathBuf) -> Result<Record, StudyError> {
        let wrong = |reason: String| StudyError::File { path: path.clone(), reason };
        symopt_files::check_writable(&path)?;
        let known = match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(wrong(error.to_string())),
            Ok(bytes) => {
                let read: Read = checked_json::from_text(&bytes).map_err(|reason| {
                    wrong(format!("no results of a discovery; move it away ({reason})"))
                })?;
                read.measured
            }
        };
        Ok(Record { path, known: Mutex::new(known) })
    }

    fn get(&self, key: &Key) -> Option<Measured> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|known| known.key == *key).map(|known| known.measured.clone())
    }

    fn keep(&self, key: Key, measured: Measured) -> Result<(), StudyError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.push(Known { key, measured });
        // Whoever ended first, the file is the same.
        known.sort_by(|a, b| a.key.cmp(&b.key));
        let text = checked_json::to_text(&Written { measured: &known })
            .map_err(|e| StudyError::File { path: self.path.clone(), reason: e.to_string() })?;
        Ok(symopt_files::write(&self.path, &text)?)
    }
}

/// How the champion does against a program.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Versus {
    /// The champion's gain less the program's, paired over the seeds.
    pub difference: Gain,
    /// The chance of such a difference or a larger one where there is none.
    pub p_value: f64,
    /// The same adjusted for the number of programs, by Holm's procedure.
    pub adjusted: f64,
}

/// A program in a comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Row {
    /// Its name.
    pub program: String,
    /// The gain over AdamW, paired over the seeds; `None` if it diverged on any.
    pub gain: Option<Gain>,
    /// The same on each task.
    pub tasks: Vec<Option<Gain>>,
    /// The setting on each task, or one for all; `None` where all that were tried diverge.
    pub settings: Vec<Option<Setting>>,
    /// How the champion does against it; `None` for the champion, or where one of them diverged.
    pub champion: Option<Versus>,
}

/// All programs, tuned in one way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[must_use]
#[non_exhaustive]
pub struct Comparison {
    /// The programs, the best first.
    pub rows: Vec<Row>,
}

impl Comparison {
    /// The programs that the champion is better than, at a level of the adjusted chance.
    pub fn beaten(&self, level: f64) -> Vec<&str> {
        let is_beaten = |row: &&Row| row.champion.is_some_and(|versus| versus.adjusted < level);
        self.rows.iter().filter(is_beaten).map(|row| row.program.as_str()).collect()
    }
}

/// The comparison on held-out tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[must_use]
#[non_exhaustive]
pub struct HeldOut {
    /// The tasks, with their weights.
    pub tasks: Vec<(String, f64)>,
    /// Every program at its own best setting on each task.
    pub per_task: Comparison,
    /// Every program at the one setting that is best over all tasks.
    pub one_setting: Comparison,
    /// Training runs of both, those of tuning included.
    pub runs: usize,
}

/// A measurement that is set up.
struct Measurement<'a> {
    protocol: &'a HeldOutProtocol,
    suite: Suite,
    entries: &'a [Entry],
    /// AdamW's losses on the tuning seeds, at the constants of the suite: what makes the losses of
    /// tasks one number.
    scale: Baseline,
    seeds: Vec<u64>,
    cancel: &'a CancelToken,
    observe: Observe<'a>,
    done: AtomicUsize,
    total: usize,
}

/// Compares programs, of which the first is the champion. Measurements are kept in a file, and not
/// repeated.
pub(super) fn compare(
    source: &SuiteSource,
    protocol: &HeldOutProtocol,
    entries: &[Entry],
    file: &Path,
    threads: usize,
    cancel: &CancelToken,
    observe: Observe,
) -> Result<HeldOut, StudyError> {
    let record = Record::open(file.to_owned())?;
    let pool = pool(threads)?;
    let suite = source.suite()?;
    let tasks = suite.tasks.len();
    let key = |entry: &Entry, task: Option<usize>| Key {
        suite: checksum(&source.text),
        tuning_seeds: protocol.tuning_seeds,
        budget: protocol.budget,
        seeds: protocol.seeds,
        program: checksum(&entry.program.to_string()),
        task: task.map(|task| suite.tasks[task].task.name().to_owned()),
    };
    // Those over all tasks are the longest.
    let units: Vec<(Option<usize>, usize)> = std::iter::once(None)
        .chain((0..tasks).map(Some))
        .flat_map(|task| (0..entries.len()).map(move |entry| (task, entry)))
        .collect();
    let keys: Vec<Key> = units.iter().map(|(task, entry)| key(&entries[*entry], *task)).collect();
    let open: Vec<usize> =
        (0..units.len()).filter(|unit| record.get(&keys[*unit]).is_none()).collect();
    if !open.is_empty() {
        let runs = protocol.budget + protocol.seeds;
        let total = open
            .iter()
            .map(|unit| if units[*unit].0.is_none() { runs * tasks } else { runs })
            .sum();
        let seeds = Suite::tuning_seeds(protocol.tuning_seeds);
        let scale = pool.install(|| -> Result<Baseline, StudyError> {
            let parts: Vec<Result<Baseline, TaskError>> =
                seeds.par_iter().map(|seed| suite.baseline(&[*seed], cancel)).collect();
            Ok(Baseline::joined(parts.into_iter().collect::<Result<_, _>>()?))
        })?;
        let measurement = Measurement {
            protocol,
            suite: source.suite()?,
            entries,
            scale,
            seeds: Suite::rotating_seeds(Purpose::Discovery.search(), 0, protocol.seeds),
            cancel,
            observe,
            done: AtomicUsize::new(0),
            total,
        };
        let measure = |unit: &usize| -> Result<(), StudyError> {
            let (task, entry) = units[*unit];
            record.keep(keys[*unit].clone(), measurement.measure(entry, task)?)
        };
        let results: Vec<Result<(), StudyError>> =
            pool.install(|| open.par_iter().map(measure).collect());
        results.into_iter().collect::<Result<(), _>>()?;
    }
    let measured: Vec<Measured> = keys
        .iter()
        .map(|key| record.get(key).ok_or_else(|| Cancelled::default().into()))
        .collect::<Result<_, StudyError>>()?;
    let (for_all, for_each) = measured.split_at(entries.len());
    let runs = |measured: &Measured| {
        let seeds = measured.losses.iter().map(Vec::len).sum::<usize>();
        measured.tuning_runs + if measured.setting.is_some() { seeds } else { 0 }
    };
    let weights: Vec<f64> = suite.tasks.iter().map(|task| task.weight).collect();
    let of_entry = |entry: usize| -> Sample {
        let tasks = for_each.chunks(entries.len().max(1)).map(|task| &task[entry]);
        Sample {
            settings: tasks.clone().map(|measured| measured.setting.clone()).collect(),
            losses: tasks.flat_map(|measured| measured.losses.clone()).collect(),
        }
    };
    let for_all = |entry: usize| Sample {
        settings: vec![for_all[entry].setting.clone()],
        losses: for_all[entry].losses.clone(),
    };
    Ok(HeldOut {
        tasks: suite.tasks.iter().map(|task| (task.task.name().to_owned(), task.weight)).collect(),
        per_task: comparison(entries, &weights, of_entry)?,
        one_setting: comparison(entries, &weights, for_all)?,
        runs: measured.iter().map(runs).sum(),
    })
}

impl Measurement<'_> {
    /// Tunes a program for a task or for all, and trains it on the seeds of the comparison.
    fn measure(&self, entry: usize, task: Option<usize>) -> Result<Measured, StudyError> {
        let entry = &self.entries[entry];
        let tasks: Vec<usize> = match task {
            Some(task) => vec![task],
            None => (0..self.suite.tasks.len()).collect(),
        };
        let size = self.size(entry, &tasks)?;
        let loss = |candidate: &Candidate, seed: u64, is_first: bool| {
            let place = Suite::tuning_seeds(self.protocol.tuning_seeds)
                .iter()
                .position(|known| *known == seed)
                .unwrap_or(0);
            let (mut sum, mut weights) = (0.0, 0.0);
            for task in &tasks {
                let weighted = &self.suite.tasks[*task];
                let run =
                    weighted.task.run(candidate, seed, self.cancel, &mut |_| Verdict::Continue)?;
                let run = if is_first { run.or_failed(weighted.task.name())? } else { run };
                let Some(metrics) = run.final_metrics() else { return Ok(None) };
                let scale = self.scale.final_loss(place, *task).unwrap_or(f64::NAN);
                sum += weighted.weight * (metrics.loss / scale);
                weights += weighted.weight;
            }
            Ok(Some(sum / weights))
        };
        let protocol = pattern_search::Protocol {
            seeds: self.protocol.tuning_seeds,
            budget: self.protocol.budget,
            shares: true,
        };
        let used = |runs: usize| self.count(runs * tasks.len());
        let tuning =
            pattern_search::search_by(&loss, &entry.program, size, &protocol, self.cancel, &used)?;
        // A part of a tuning is no fair one.
        if tuning.end == End::Cancelled {
            return Err(Cancelled::default().into());
        }
        let left = protocol.points() * protocol.seeds - tuning.runs;
        self.count(left * tasks.len());
        let best = tuning.best();
        let jobs: Vec<(usize, u64)> = tasks
            .iter()
            .flat_map(|task| self.seeds.iter().map(move |seed| (*task, *seed)))
            .collect();
        let train = |(task, seed): &(usize, u64)| -> Result<Option<f64>, StudyError> {
            self.count(1);
            let Some(best) = best else { return Ok(None) };
            let task = &self.suite.tasks[*task].task;
            let candidate = best.candidate(&entry.program);
            let run = task.run(&candidate, *seed, self.cancel, &mut |_| Verdict::Continue)?;
            Ok(run.final_metrics().map(|metrics| metrics.loss).filter(|loss| loss.is_finite()))
        };
        let losses: Vec<Result<Option<f64>, StudyError>> = jobs.par_iter().map(train).collect();
        let losses: Vec<Option<f64>> = losses.into_iter().collect::<Result<_, _>>()?;
        Ok(Measured {
            setting: best.map(|best| (best.peak_lr, best.hyperparameters.clone())),
            tuning_runs: tuning.runs * tasks.len(),
            losses: losses.chunks(self.seeds.len().max(1)).map(<[_]>::to_vec).collect(),
        })
    }

    /// The size of a direction's steps: the geometric mean over tasks.
    fn size(&self, entry: &Entry, tasks: &[usize]) -> Result<f64, StudyError> {
        if !entry.is_direction {
            return Ok(1.0);
        }
        let mut sum = 0.0;
        for task in tasks {
            // One that is not finite on the task's gradients diverges in whatever units.
            let size = size_on(&self.suite.tasks[*task], &entry.program, self.cancel)?;
            sum += libm::log(size.unwrap_or(1.0));
        }
        Ok(libm::exp(sum / tasks.len().max(1) as f64))
    }

    fn count(&self, runs: usize) {
        let done = self.done.fetch_add(runs, Ordering::Relaxed) + runs;
        (self.observe)(done, self.total);
    }
}

/// A program in one way of tuning.
struct Sample {
    settings: Vec<Option<Setting>>,
    /// By task and seed.
    losses: Vec<Vec<Option<f64>>>,
}

/// The gains of all programs over AdamW, and of the first over each other.
fn comparison(
    entries: &[Entry],
    weights: &[f64],
    sample: impl Fn(usize) -> Sample,
) -> Result<Comparison, StudyError> {
    let samples: Vec<Sample> = (0..entries.len()).map(sample).collect();
    let missing = || StudyError::Protocol {
        place: "the comparison on held-out tasks".to_owned(),
        reason: "AdamW diverges there, so that there is nothing to compare with".to_owned(),
    };
    let baseline = entries.iter().position(|entry| entry.name == BASELINE).ok_or_else(missing)?;
    let finite = |losses: &[Option<f64>]| losses.iter().copied().collect::<Option<Vec<f64>>>();
    let reference: Vec<Vec<f64>> = samples[baseline]
        .losses
        .iter()
        .map(|losses| finite(losses))
        .collect::<Option<_>>()
        .ok_or_else(missing)?;
    // By program, by task, by seed.
    let gains: Vec<Vec<Option<Vec<f64>>>> = samples
        .iter()
        .map(|sample| {
            let of_task = |(losses, reference): (&Vec<Option<f64>>, &Vec<f64>)| {
                let losses = finite(losses)?;
                Some(losses.iter().zip(reference).map(|(l, r)| (r - l) / r).collect())
            };
            sample.losses.iter().zip(&reference).map(of_task).collect()
        })
        .collect();
    let over_all = |tasks: &Vec<Option<Vec<f64>>>| -> Option<Vec<f64>> {
        let tasks: Vec<&Vec<f64>> = tasks.iter().map(Option::as_ref).collect::<Option<_>>()?;
        let sum: f64 = weights.iter().sum();
        let on_seed = |seed: usize| {
            tasks.iter().zip(weights).map(|(gains, weight)| weight * gains[seed]).sum::<f64>() / sum
        };
        Some((0..tasks.first()?.len()).map(on_seed).collect())
    };
    let by_seed: Vec<Option<Vec<f64>>> = gains.iter().map(over_all).collect();
    let difference = |other: usize| -> Option<(Gain, f64)> {
        let (Some(champion), Some(other)) = (by_seed.first()?, &by_seed[other]) else {
            return None;
        };
        let differences: Vec<f64> = champion.iter().zip(other).map(|(a, b)| a - b).collect();
        Some((Gain::of(&differences)?, Difference::of(&differences).p_value()?))
    };
    let differences: Vec<Option<(Gain, f64)>> =
        (0..entries.len()).map(|other| if other == 0 { None } else { difference(other) }).collect();
    let adjusted = holm(&differences.iter().flatten().map(|(_, p)| *p).collect::<Vec<_>>());
    let mut adjusted = adjusted.into_iter();
    let mut rows = Vec::with_capacity(entries.len());
    for (((entry, sample), (gains, by_seed)), difference) in
        entries.iter().zip(samples).zip(gains.iter().zip(&by_seed)).zip(differences)
    {
        let champion = difference.map(|(difference, p_value)| Versus {
            difference,
            p_value,
            adjusted: adjusted.next().unwrap_or(1.0),
        });
        rows.push(Row {
            program: entry.name.clone(),
            gain: by_seed.as_ref().and_then(|gains| Gain::of(gains)),
            tasks: gains.iter().map(|gains| gains.as_ref().and_then(|g| Gain::of(g))).collect(),
            settings: sample.settings,
            champion,
        });
    }
    let rank = |row: &Row| row.gain.map_or(f64::NEG_INFINITY, |gain| gain.mean);
    rows.sort_by(|a, b| rank(b).total_cmp(&rank(a)));
    Ok(Comparison { rows })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gains_are_over_adamw_and_the_champion_is_held_against_each() {
        let entry = |name: &str| Entry {
            name: name.to_owned(),
            program: symopt_programs::lion().program(),
            is_direction: false,
        };
        let entries = [entry("found"), entry("lion"), entry(BASELINE), entry("bad")];
        let losses = [
            vec![vec![Some(0.8), Some(0.82), Some(0.79)], vec![Some(1.8); 3]],
            vec![vec![Some(0.9); 3], vec![Some(1.9); 3]],
            vec![vec![Some(1.0); 3], vec![Some(2.0); 3]],
            vec![vec![Some(1.0); 3], vec![Some(2.0), None, Some(2.0)]],
        ];
        let sample = |entry: usize| Sample { settings: vec![None], losses: losses[entry].clone() };
        let Comparison { rows } = comparison(&entries, &[1.0, 3.0], sample).unwrap();
        let names: Vec<&str> = rows.iter().map(|row| row.program.as_str()).collect();
        assert_eq!(names, ["found", "lion", BASELINE, "bad"]);
        let of_lion = &rows[1];
        assert!((of_lion.gain.unwrap().mean - (0.1 + 3.0 * 0.05) / 4.0).abs() < 1e-12);
        assert!((of_lion.tasks[0].unwrap().mean - 0.1).abs() < 1e-12);
        assert_eq!(rows[0].champion, None);
        assert_eq!(rows[3].gain, None);
        assert!(rows[3].tasks[0].is_some() && rows[3].champion.is_none());
        // Two comparisons: the smaller chance is doubled.
        let versus = |row: &Row| row.champion.unwrap();
        let (lion, adamw) = (versus(&rows[1]), versus(&rows[2]));
        assert!(adamw.p_value < lion.p_value);
        assert_eq!(adamw.adjusted, 2.0 * adamw.p_value);
        assert_eq!(lion.adjusted, lion.p_value.max(adamw.adjusted));
    }
}
