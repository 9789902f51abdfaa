//! The landscape of a suite: how much better or worse than AdamW the optimizers of the literature
//! are on it, all tuned with the same budget.
//!
//! On each task every program is tuned by [`pattern_search`] on the tuning seeds, AdamW like the
//! others. The best setting is trained on held-out seeds, which no tuning and no search uses, the
//! same for all programs; the gain of a program on a seed is the share of AdamW's validation loss
//! that it saves there. So the gains are paired, those of AdamW are 0, and the spread over the
//! seeds says how sure a mean is. The gain over the suite is the mean over the tasks by their
//! weights, seed by seed.
//!
//! [`zoo`] lists the programs that are compared if none are named: those that state a conventional
//! learning rate. The programs of the published search hold learning rate and decay as constants
//! for other tasks; whoever names one sees it with its `lr`, of which the constant is a multiple,
//! tuned. A program without `lr` has no rate to tune, and [`Landscape::notes`] says so.
//!
//! The same suite, programs and settings give the same numbers on any number of threads.

use std::fmt::Write;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use symopt_cancel::{CancelToken, Cancelled};
use symopt_dsl::Program;
use symopt_dsl::escape::markdown;
use symopt_figures::chart::{Dot, DotChart, DotGroup};
use symopt_programs::ZooEntry;
use symopt_proxy_tasks::sample::Gain;
use symopt_proxy_tasks::suite::{BASELINE, Suite, WeightedTask};
use symopt_proxy_tasks::task::Verdict;
use symopt_proxy_tasks::tuning::pattern_search::{self, End, Protocol, Trial, Tuning};
use symopt_search::judge::size_on;

use crate::error::{StudyError, pool};
use crate::trials::Observe;

/// A program to compare.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Display name.
    pub name: String,
    /// The program.
    pub program: Program,
    /// Whether it is a completed direction, whose steps may have any size: it is tuned in units of
    /// that on each task.
    pub is_direction: bool,
}

impl Entry {
    /// A program of the zoo.
    pub fn of_zoo(entry: &ZooEntry) -> Entry {
        Entry { name: entry.name.to_owned(), program: entry.program(), is_direction: false }
    }
}

/// The programs of the zoo that state a conventional learning rate, in the order of the zoo.
pub fn zoo() -> Vec<Entry> {
    let states_rate = |program: &Program| {
        let signature = program.signature();
        signature
            .learning_rate()
            .and_then(|id| signature.parameters.get(id.index()))
            .is_some_and(|parameter| parameter.default.is_some())
    };
    let entries = symopt_programs::zoo().iter().map(Entry::of_zoo);
    entries.filter(|entry| states_rate(&entry.program)).collect()
}

/// How a landscape is measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// How each program is tuned on each task.
    pub tuning: Protocol,
    /// How many held-out seeds the tuned programs are compared on.
    pub seeds: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { tuning: Protocol::default(), seeds: 32 }
    }
}

fn dot(gain: Gain) -> Dot {
    Dot { value: 100.0 * gain.mean, error: gain.standard_error.map(|error| 100.0 * error) }
}

/// How a program did on a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[must_use]
#[non_exhaustive]
pub struct TaskResult {
    /// The gain over tuned AdamW; `None` if the program diverged.
    pub gain: Option<Gain>,
    /// The gain on each held-out seed; empty if the program diverged on any.
    #[serde(skip)]
    pub gains: Vec<f64>,
    /// Mean validation loss over the held-out seeds; `None` if it diverged on any.
    pub loss: Option<f64>,
    /// On how many of the held-out seeds it diverged.
    pub diverged_seeds: usize,
    /// Best trial of the tuning; `None` if all settings diverged.
    pub tuned: Option<Trial>,
    /// Training runs that tuning took.
    pub tuning_runs: usize,
    /// Why tuning ended.
    pub tuning_end: End,
}

/// How a program did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Row {
    /// The program.
    pub program: String,
    /// Names of what was tuned: `lr`, `weight_decay` and the shares of averages.
    pub tuned: Vec<String>,
    /// Its gain over the suite; `None` if it diverged on a task, or if not all tasks were measured.
    pub gain: Option<Gain>,
    /// For each task.
    pub tasks: Vec<TaskResult>,
}

/// The table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[must_use]
#[non_exhaustive]
pub struct Landscape {
    /// The suite.
    pub suite: String,
    /// Name of the program that gains are measured against.
    pub baseline: String,
    /// How many held-out seeds there are.
    pub seeds: usize,
    /// How each program was tuned on each task.
    pub tuning: Protocol,
    /// Whether all tasks were measured; an interrupt leaves out those that were not done.
    pub complete: bool,
    /// Names and weights of the tasks that were measured.
    pub tasks: Vec<(String, f64)>,
    /// The programs, the best first.
    pub rows: Vec<Row>,
    /// Training runs, all in all.
    pub runs: usize,
}

/// Measures the landscape of a suite. AdamW is added to the programs if it is not there. Cancelled
/// after its first task, it has the tasks that are done. `observe` is told training runs, of which
/// there may be fewer in the end.
pub fn measure(
    suite: &Suite,
    entries: &[Entry],
    settings: &Settings,
    threads: usize,
    cancel: &CancelToken,
    observe: Observe,
) -> Result<Landscape, StudyError> {
    let pool = pool(threads)?;
    let mut entries = entries.to_vec();
    let baseline = entries.iter().position(|entry| entry.name == BASELINE).unwrap_or_else(|| {
        entries.insert(0, Entry::of_zoo(symopt_programs::adamw()));
        0
    });
    let counter = Counter::new(suite, &entries, settings, observe);
    let mut measured: Vec<Measured> = Vec::new();
    for weighted in &suite.tasks {
        let of_task = || measure_task(weighted, &entries, baseline, settings, cancel, &counter);
        match pool.install(of_task) {
            Ok(results) => measured.push(results),
            Err(StudyError::Cancelled(_)) if !measured.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    let complete = measured.len() == suite.tasks.len();
    let weights: Vec<f64> = suite.tasks.iter().map(|task| task.weight).collect();
    let mut rows: Vec<Row> = entries
        .iter()
        .enumerate()
        .map(|(index, entry)| {
            let of_program: Vec<&(TaskResult, Option<Vec<f64>>)> =
                measured.iter().filter_map(|task| task.get(index)).collect();
            let by_seed = if complete { suite_gains(&of_program, &weights) } else { None };
            Row {
                program: entry.name.clone(),
                tuned: pattern_search::dimensions(&entry.program, settings.tuning.shares)
                    .iter()
                    .map(|d| d.name().to_owned())
                    .collect(),
                gain: by_seed.and_then(|values| Gain::of(&values)),
                tasks: of_program.into_iter().map(|(result, _)| result.clone()).collect(),
            }
        })
        .collect();
    let rank = |row: &Row| row.gain.map_or(f64::NEG_INFINITY, |gain| gain.mean);
    rows.sort_by(|a, b| rank(b).total_cmp(&rank(a)));
    let tasks: Vec<(String, f64)> = suite
        .tasks
        .iter()
        .take(measured.len())
        .map(|task| (task.task.name().to_owned(), task.weight))
        .collect();
    let tuning_runs: usize =
        rows.iter().flat_map(|row| &row.tasks).map(|task| task.tuning_runs).sum();
    let trained =
        rows.iter().flat_map(|row| &row.tasks).filter(|task| task.tuned.is_some()).count();
    Ok(Landscape {
        suite: suite.name.clone(),
        baseline: BASELINE.to_owned(),
        seeds: settings.seeds,
        tuning: settings.tuning,
        complete,
        tasks,
        rows,
        runs: tuning_runs + trained * settings.seeds,
    })
}

/// For each program how it did on a task, and its gains seed by seed unless it diverged.
type Measured = Vec<(TaskResult, Option<Vec<f64>>)>;

fn measure_task(
    weighted: &WeightedTask,
    entries: &[Entry],
    baseline: usize,
    settings: &Settings,
    cancel: &CancelToken,
    counter: &Counter,
) -> Result<Measured, StudyError> {
    let task = weighted.task.as_ref();
    // All tuning before the held-out seeds: a task keeps the data of a few dozen seeds at most.
    let tune = |entry: &Entry| -> Result<Tuning, StudyError> {
        let used = |runs: usize| counter.add(runs);
        // One that is not finite on the task's gradients diverges in whatever units.
        let size = if entry.is_direction {
            size_on(weighted, &entry.program, cancel)?.unwrap_or(1.0)
        } else {
            1.0
        };
        let (program, protocol) = (&entry.program, &settings.tuning);
        let tuning = pattern_search::search_in_units(task, program, size, protocol, cancel, &used)?;
        // A part of a tuning is no fair one.
        if tuning.end == End::Cancelled {
            return Err(Cancelled::default().into());
        }
        counter.add(settings.tuning.points() * settings.tuning.seeds - tuning.runs);
        Ok(tuning)
    };
    let tunings: Vec<Tuning> =
        entries.par_iter().map(tune).collect::<Vec<_>>().into_iter().collect::<Result<_, _>>()?;

    let train = |seed: &u64| -> Result<Vec<Option<f64>>, StudyError> {
        let train = |(entry, tuning): (&Entry, &Tuning)| {
            let Some(best) = tuning.best() else { return Ok(None) };
            let candidate = best.candidate(&entry.program);
            let run = task.run(&candidate, *seed, cancel, &mut |_| Verdict::Continue)?;
            counter.add(1);
            Ok(run.final_metrics().map(|metrics| metrics.loss).filter(|loss| loss.is_finite()))
        };
        entries.iter().zip(&tunings).map(train).collect()
    };
    let seeds = Suite::held_out_seeds(settings.seeds);
    // By seed, then by program.
    let losses: Vec<Vec<Option<f64>>> =
        seeds.par_iter().map(train).collect::<Vec<_>>().into_iter().collect::<Result<_, _>>()?;
    let of_program = |index: usize| -> Vec<Option<f64>> {
        losses.iter().map(|seed| seed.get(index).copied().flatten()).collect()
    };

    let missing = |place| StudyError::Baseline { task: task.name().to_owned(), place };
    if tunings.get(baseline).is_none_or(|tuning| tuning.best().is_none()) {
        return Err(missing("with every setting that was tried"));
    }
    let reference: Option<Vec<f64>> = of_program(baseline).into_iter().collect();
    let reference =
        reference.ok_or_else(|| missing("on a held-out seed with its tuned setting"))?;

    let result = |(index, tuning): (usize, Tuning)| {
        let losses = of_program(index);
        let diverged_seeds = if tuning.best().is_some() {
            losses.iter().filter(|loss| loss.is_none()).count()
        } else {
            0
        };
        let losses: Option<Vec<f64>> = losses.into_iter().collect();
        let gains: Option<Vec<f64>> = losses.as_ref().map(|losses| {
            losses
                .iter()
                .zip(&reference)
                .map(|(loss, reference)| (reference - loss) / reference)
                .collect()
        });
        let result = TaskResult {
            gain: gains.as_deref().and_then(Gain::of),
            gains: gains.clone().unwrap_or_default(),
            loss: losses.map(|losses| losses.iter().sum::<f64>() / losses.len() as f64),
            diverged_seeds,
            tuned: tuning.best().cloned(),
            tuning_runs: tuning.runs,
            tuning_end: tuning.end,
        };
        (result, gains)
    };
    Ok(tunings.into_iter().enumerate().map(result).collect())
}

/// The gains over all tasks, seed by seed.
fn suite_gains(tasks: &[&(TaskResult, Option<Vec<f64>>)], weights: &[f64]) -> Option<Vec<f64>> {
    let by_task: Vec<&Vec<f64>> =
        tasks.iter().map(|(_, gains)| gains.as_ref()).collect::<Option<_>>()?;
    let sum: f64 = weights.iter().sum();
    let on_seed = |seed: usize| {
        by_task
            .iter()
            .zip(weights)
            .map(|(gains, weight)| weight * gains.get(seed).unwrap_or(&f64::NAN))
            .sum::<f64>()
            / sum
    };
    Some((0..by_task.first()?.len()).map(on_seed).collect())
}

/// Counts training runs for whoever observes.
struct Counter<'a> {
    observe: Observe<'a>,
    done: std::sync::atomic::AtomicUsize,
    total: usize,
}

impl<'a> Counter<'a> {
    fn new(
        suite: &Suite,
        entries: &[Entry],
        settings: &Settings,
        observe: Observe<'a>,
    ) -> Counter<'a> {
        let for_each = settings.tuning.points() * settings.tuning.seeds + settings.seeds;
        let total = suite.tasks.len().saturating_mul(entries.len()).saturating_mul(for_each);
        Counter { observe, done: Default::default(), total }
    }

    fn add(&self, runs: usize) {
        let done = self.done.fetch_add(runs, std::sync::atomic::Ordering::Relaxed) + runs;
        (self.observe)(done, self.total);
    }
}

impl Landscape {
    /// How it was measured, in two lines.
    pub fn protocol(&self) -> String {
        let shares = if self.tuning.shares {
            "learning rate, weight decay and betas"
        } else {
            "learning rate and weight decay"
        };
        format!(
            "Every program tuned per task ({shares}) with at most {} training runs on {} tuning seeds.\n\
             Gain over tuned AdamW in validation loss on {} held-out seeds, paired, ± standard error.",
            self.tuning.budget, self.tuning.seeds, self.seeds
        )
    }

    /// Returns notes on single programs for readers of the table: which run at a rate that nobody
    /// has tuned, and why.
    pub fn notes(&self) -> Vec<String> {
        let note = |row: &Row| {
            let rest = match row.tuned.as_slice() {
                [] => "it runs as it stands".to_owned(),
                tuned => format!("only {} is tuned", tuned.join(", ")),
            };
            format!("{} takes no `lr`, so its learning rate is not tuned: {rest}", row.program)
        };
        self.rows
            .iter()
            .filter(|row| !row.tuned.iter().any(|name| name == "lr"))
            .map(note)
            .collect()
    }

    /// The gains as a table with a heading: the program, the suite, the tasks.
    pub fn table(&self) -> Vec<Vec<String>> {
        let heading = ["PROGRAM".to_owned(), "SUITE".to_owned()]
            .into_iter()
            .chain(self.tasks.iter().map(|(name, _)| name.clone()));
        let row = |row: &Row| {
            let suite = if self.complete { Gain::text(row.gain) } else { "-".to_owned() };
            [row.program.clone(), suite]
                .into_iter()
                .chain(row.tasks.iter().map(|task| Gain::text(task.gain)))
                .collect()
        };
        std::iter::once(heading.collect()).chain(self.rows.iter().map(row)).collect()
    }

    /// The gains and the tuned settings as Markdown.
    pub fn markdown(&self) -> String {
        let mut text =
            format!("# Landscape of the suite {}\n\n{}\n", markdown(&self.suite), self.protocol());
        if !self.complete {
            text.push_str("\nIt was interrupted: the other tasks are missing.\n");
        }
        markdown_table(&mut text, &self.table());
        for note in self.notes() {
            text.push_str(&format!("\n{}.\n", markdown(&note)));
        }
        text.push_str("\n## Tuned settings\n");
        let heading = ["TASK", "PROGRAM", "PEAK LR", "HYPERPARAMETERS", "LOSS", "TUNING RUNS"]
            .map(str::to_owned)
            .to_vec();
        let mut rows = vec![heading];
        for (index, (name, _)) in self.tasks.iter().enumerate() {
            for row in &self.rows {
                let Some(task) = row.tasks.get(index) else { continue };
                let (peak_lr, hyperparameters) = settings(task.tuned.as_ref(), ", ");
                let loss =
                    task.loss.map_or_else(|| "diverged".to_owned(), |loss| format!("{loss:.4}"));
                let runs = match task.tuning_end {
                    End::Budget => format!("{} (all)", task.tuning_runs),
                    End::Converged | End::Cancelled => task.tuning_runs.to_string(),
                };
                rows.push(vec![
                    name.clone(),
                    row.program.clone(),
                    peak_lr,
                    hyperparameters,
                    loss,
                    runs,
                ]);
            }
        }
        markdown_table(&mut text, &rows);
        text
    }

    /// One line for each program and task, and one for the suite with the task `(suite)`: gains as
    /// shares.
    pub fn csv(&self) -> Result<String, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record([
            "suite",
            "task",
            "weight",
            "program",
            "gain",
            "standard_error",
            "seeds",
            "diverged_seeds",
            "validation_loss",
            "peak_lr",
            "hyperparameters",
            "tuning_loss",
            "tuning_runs",
            "converged",
        ])?;
        let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
        for row in &self.rows {
            let seeds = self.seeds.to_string();
            let (gain, error) = (
                number(row.gain.map(|gain| gain.mean)),
                number(row.gain.and_then(|gain| gain.standard_error)),
            );
            writer.write_record([
                &self.suite,
                "(suite)",
                "",
                &row.program,
                &gain,
                &error,
                &seeds,
                "",
                "",
                "",
                "",
                "",
                "",
                "",
            ])?;
            for ((task, weight), result) in self.tasks.iter().zip(&row.tasks) {
                let (peak_lr, hyperparameters) = match &result.tuned {
                    Some(_) => settings(result.tuned.as_ref(), ";"),
                    None => Default::default(),
                };
                writer.write_record([
                    &self.suite,
                    task,
                    &weight.to_string(),
                    &row.program,
                    &number(result.gain.map(|gain| gain.mean)),
                    &number(result.gain.and_then(|gain| gain.standard_error)),
                    &seeds,
                    &result.diverged_seeds.to_string(),
                    &number(result.loss),
                    &peak_lr,
                    &hyperparameters,
                    &number(result.tuned.as_ref().and_then(|trial| trial.loss)),
                    &result.tuning_runs.to_string(),
                    &(result.tuning_end == End::Converged).to_string(),
                ])?;
            }
        }
        let bytes = writer.into_inner().map_err(|error| error.into_error())?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The gains as a picture.
    pub fn chart(&self) -> DotChart {
        let dots = |gain: &dyn Fn(&Row) -> Option<Gain>| {
            self.rows.iter().map(|row| gain(row).map(dot)).collect()
        };
        let mut groups = Vec::new();
        if self.complete && self.tasks.len() > 1 {
            groups.push(DotGroup { name: "whole suite".to_owned(), dots: dots(&|row| row.gain) });
        }
        for (index, (name, _)) in self.tasks.iter().enumerate() {
            groups.push(DotGroup {
                name: name.clone(),
                dots: dots(&|row| row.tasks.get(index).and_then(|task| task.gain)),
            });
        }
        DotChart {
            title: format!("Landscape of the suite {}", self.suite),
            subtitle: format!(
                "each program tuned with the same budget; {} held-out seeds, paired, ± standard error",
                self.seeds
            ),
            label: "validation loss saved against tuned AdamW (%)".to_owned(),
            categories: self.rows.iter().map(|row| row.program.clone()).collect(),
            groups,
            missing: "diverged".to_owned(),
            highlighted: self.of_interest(),
        }
    }

    /// The programs that pictures are about: those that are not of the zoo, or else Lion.
    pub fn of_interest(&self) -> Vec<String> {
        let names = || self.rows.iter().map(|row| row.program.clone());
        let own: Vec<String> =
            names().filter(|name| symopt_programs::find(name).is_none()).collect();
        if own.is_empty() { names().filter(|name| name == "lion").collect() } else { own }
    }

    /// The landscape that [`serde_json`] wrote, as `--json` of the command prints it.
    pub fn from_json(text: &str) -> Result<Landscape, serde_json::Error> {
        serde_json::from_str(text)
    }
}

/// Peak learning rate and hyperparameters, for people.
fn settings(tuned: Option<&Trial>, separator: &str) -> (String, String) {
    let Some(tuned) = tuned else { return ("-".to_owned(), "-".to_owned()) };
    let hyperparameters: Vec<String> =
        tuned.hyperparameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
    (tuned.peak_lr.to_string(), hyperparameters.join(separator))
}

pub(crate) fn markdown_table(text: &mut String, rows: &[Vec<String>]) {
    text.push('\n');
    for (index, row) in rows.iter().enumerate() {
        let cells: Vec<String> = row.iter().map(|text| markdown(text)).collect();
        // Writing into a String does not fail.
        let _ = writeln!(text, "| {} |", cells.join(" | "));
        if index == 0 {
            let _ = writeln!(text, "|{}", "---|".repeat(row.len()));
        }
    }
}
