//! Bytes of state, seconds of a step and seconds of training, in the tasks of a suite.
//!
//! The bytes are counted. The times are measured on the machine that does the study, one run at a
//! time, all programs in turn, so that what else the machine does meets them alike; the middle one of
//! some repeats counts. Measured times are kept like runs, so that a study which goes on has those
//! that it had; another study has others.

use std::time::Instant;

use serde::Serialize;
use symopt_dsl::Graph;
use symopt_figures::chart::{Dot, DotChart, DotGroup};
use symopt_proxy_tasks::suite::{Suite, WeightedTask};
use symopt_proxy_tasks::task::Verdict;

use super::findings::{Chart, Estimate, Figure, Findings, Runs, names};
use super::journal::{Journal, RunKey, What};
use super::table::{Entry as Number, Table, digits};
use super::{Study, Subject, Work, refused};
use crate::error::StudyError;
use crate::landscape::Entry;
use crate::step_time::{self, Effort};

/// The claim of the paper.
pub const CLAIM: &str = "Lion keeps one state slot in place of AdamW's two, half of the additional memory, and makes 2 to 15 % more steps \
per second than AdamW and Adafactor.";

/// How a step is timed.
const EFFORT: Effort = Effort { least_seconds: 0.004, rounds: 5 };

/// How the study is done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// How often each time is measured.
    pub repeats: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { repeats: 9 }
    }
}

/// Says what is wrong with settings.
pub(super) fn check(settings: &Settings) -> Result<(), StudyError> {
    if settings.repeats == 0 {
        let study = Study::MemorySpeed(settings.clone());
        return Err(refused(&study, "times are measured at least once".to_owned()));
    }
    Ok(())
}

/// Times of a program on a task, in seconds, repeat by repeat; `None` where a run did not complete,
/// or the task's parameters are not known.
#[derive(Default)]
struct Times {
    training: Vec<Option<f64>>,
    step: Vec<Option<f64>>,
}

/// Does the study.
pub(super) fn run(
    settings: &Settings,
    subject: &Subject,
    work: &Work,
    journal: &Journal,
) -> Result<Findings, StudyError> {
    let suite = subject.suite.suite()?;
    let programs = &subject.programs;
    let total = suite.tasks.len() * programs.len() * settings.repeats;
    let mut done = 0;
    (work.observe)(done, total);
    let mut times: Vec<Vec<Times>> = Vec::new();
    for task in &suite.tasks {
        let mut of_task: Vec<Times> = programs.iter().map(|_| Times::default()).collect();
        for repeat in 0..settings.repeats {
            for (entry, times) in programs.iter().zip(&mut of_task) {
                let key = |what| RunKey {
                    what,
                    task: task.task.name().to_owned(),
                    program: entry.name.clone(),
                    peak_lr: 0.0,
                    hyperparameters: Vec::new(),
                    seed: repeat as u64,
                };
                let training = || training_seconds(task, entry, work);
                times.training.push(journal.value(&key(What::TrainingSeconds), training)?);
                let step = || step_seconds(task, entry);
                times.step.push(journal.value(&key(What::StepSeconds), step)?);
                done += 1;
                (work.observe)(done, total);
            }
        }
        times.push(of_task);
    }
    Ok(findings(settings, subject, &suite, &times))
}

/// The seconds of a training run with the task's constants of the program, or the program's own.
fn training_seconds(
    task: &WeightedTask,
    entry: &Entry,
    work: &Work,
) -> Result<Option<f64>, StudyError> {
    // All repeats are the same run.
    let seed = Suite::held_out_seeds(1).into_iter().next().unwrap_or_default();
    let candidate = task.candidate(&entry.program, Some(&entry.name));
    // The data is made before the clock starts, where the task says how.
    if let Some(resumable) = task.task.resumable() {
        resumable.layout(seed)?;
    }
    let begin = Instant::now();
    let run = task.task.run(&candidate, seed, work.cancel, &mut |_| Verdict::Continue)?;
    let seconds = begin.elapsed().as_secs_f64();
    Ok(run.final_metrics().map(|_| seconds))
}

/// The seconds of a step of the optimizer alone on the task's parameters, on one thread.
fn step_seconds(task: &WeightedTask, entry: &Entry) -> Result<Option<f64>, StudyError> {
    let Some(resumable) = task.task.resumable() else { return Ok(None) };
    let layout = resumable.layout(0)?;
    Ok(step_time::seconds(&entry.program, &layout, EFFORT))
}

/// The middle of some times; `None` if one is missing.
fn middle(times: &[Option<f64>]) -> Option<f64> {
    let mut known: Vec<f64> = times.iter().copied().collect::<Option<_>>()?;
    known.sort_by(f64::total_cmp);
    let half = known.len() / 2;
    if known.len() % 2 == 1 {
        known.get(half).copied()
    } else {
        Some((known.get(half.checked_sub(1)?)? + known.get(half)?) / 2.0)
    }
}

/// The logarithms of how many steps a program makes for one of another, repeat by repeat.
fn speedups(own: &[Option<f64>], other: &[Option<f64>]) -> Option<Vec<f64>> {
    let ratio = |(own, other): (&Option<f64>, &Option<f64>)| {
        Some(libm::log((*other)? / (*own)?)).filter(|ratio: &f64| ratio.is_finite())
    };
    own.iter().zip(other).map(ratio).collect()
}

/// By which share more steps are made, from the mean of logarithms: one time that is far too long
/// does not make all of it.
fn share(logarithm: Estimate) -> Estimate {
    let factor = libm::exp(logarithm.mean);
    Estimate { mean: factor - 1.0, error: logarithm.error.map(|error| factor * error) }
}

/// Bytes of state for each parameter in f32.
fn state_bytes(entry: &Entry) -> Option<f64> {
    Graph::new(&entry.program).ok().map(|graph| graph.cost().state_bytes_per_parameter as f64)
}

fn findings(
    settings: &Settings,
    subject: &Subject,
    suite: &Suite,
    times: &[Vec<Times>],
) -> Findings {
    let programs = &subject.programs;
    let mut table = Table::new(
        "Every task, measured times on this machine",
        &[
            ("task", "task"),
            ("program", "program"),
            ("parameters", "parameters"),
            ("state_bytes", "state (bytes)"),
            ("step_microseconds", "step (µs, measured)"),
            ("training_milliseconds", "training run (ms, measured)"),
            ("repeats", "repeats"),
        ],
    );
    let mut runs = Runs::default();
    for (task, of_task) in suite.tasks.iter().zip(times) {
        let parameters = task.task.describe().ok().map(|d| d.parameters as f64);
        for (entry, times) in programs.iter().zip(of_task) {
            let state = parameters.zip(state_bytes(entry)).map(|(count, bytes)| count * bytes);
            table.rows.push(vec![
                task.task.name().into(),
                entry.name.as_str().into(),
                Number::number(parameters),
                Number::number(state),
                Number::number(middle(&times.step).map(|seconds| 1e6 * seconds)),
                Number::number(middle(&times.training).map(|seconds| 1e3 * seconds)),
                Number::count(times.training.len()),
            ]);
            runs.reporting += times.training.len();
            runs.diverged += times.training.iter().filter(|time| time.is_none()).count();
        }
    }
    let mut summary = Table::new(
        "State, and measured speed against the reference",
        &[
            ("program", "program"),
            ("state_bytes_per_parameter", "state (bytes a parameter)"),
            ("step_speedup", "more steps of the optimizer a second (%, measured)"),
            ("step_speedup_error", "± (%)"),
            ("training_speedup", "more training steps a second (%, measured)"),
            ("training_speedup_error", "± (%)"),
        ],
    );
    let reference = subject.reference();
    // The mean over the tasks, repeat by repeat.
    let speedup = |index: usize, of: &dyn Fn(&Times) -> &Vec<Option<f64>>| -> Option<Estimate> {
        let reference = reference.filter(|reference| *reference != index)?;
        let by_task: Vec<(f64, Vec<f64>)> = times
            .iter()
            .filter_map(|of_task| {
                let (own, other) = (of_task.get(index)?, of_task.get(reference)?);
                Some((1.0, speedups(of(own), of(other))?))
            })
            .collect();
        super::findings::over_tasks(&by_task).map(share)
    };
    let mut verdict = Vec::new();
    for (index, entry) in programs.iter().enumerate() {
        let step = speedup(index, &|times| &times.step);
        let training = speedup(index, &|times| &times.training);
        let percent = |value: Option<f64>| Number::number(value.map(|value| 100.0 * value));
        summary.rows.push(vec![
            entry.name.as_str().into(),
            Number::number(state_bytes(entry)),
            percent(step.map(|speedup| speedup.mean)),
            percent(step.and_then(|speedup| speedup.error)),
            percent(training.map(|speedup| speedup.mean)),
            percent(training.and_then(|speedup| speedup.error)),
        ]);
        let Some(other) = reference.filter(|other| *other != index).and_then(|i| programs.get(i))
        else {
            continue;
        };
        if let (Some(own), Some(of_other)) = (state_bytes(entry), state_bytes(other)) {
            verdict.push(format!(
                "{} keeps {} bytes of state for each parameter, {} keeps {}.",
                entry.name,
                digits(own),
                other.name,
                digits(of_other)
            ));
        }
        for (what, speedup) in
            [("steps of the optimizer alone", step), ("training steps", training)]
        {
            if let Some(speedup) = speedup {
                verdict.push(format!(
                    "Measured on this machine, {} {} {what} a second than {}: {}, the geometric mean over the tasks.",
                    entry.name,
                    match (speedup.is_sure(), speedup.mean > 0.0) {
                        (true, true) => "surely makes more",
                        (true, false) => "surely makes fewer",
                        (false, _) => "does not surely make more or fewer",
                    },
                    other.name,
                    speedup.percent()
                ));
            }
        }
    }
    let figures = figures(subject, suite, times);
    Findings {
        study: "memory-speed",
        title: "State, and the time of a step and of training".to_owned(),
        claim: CLAIM,
        suite: suite.name.clone(),
        programs: names(subject),
        verdict,
        protocol: vec![format!(
            "State is counted, in f32. Times were measured on this machine and differ from study to study: {} repeats of each, all programs \
             in turn, one run at a time on one thread; the middle one is in the table, and speeds are compared by the mean of \
             their logarithms. The step of the optimizer alone is the shortest of {} rounds. ± is one standard error over the repeats, and \"surely\" is \
             more than two.",
            settings.repeats, EFFORT.rounds
        )],
        notes: Vec::new(),
        summary,
        table,
        figures,
        runs,
        is_measured: true,
    }
}

fn figures(subject: &Subject, suite: &Suite, times: &[Vec<Times>]) -> Vec<Figure> {
    let Some(reference) = subject.reference() else { return Vec::new() };
    let others: Vec<(usize, &Entry)> = subject.others().collect();
    let name = &subject.programs[reference].name;
    let group = |title: &str, of: &dyn Fn(&Times) -> &Vec<Option<f64>>, index: usize| DotGroup {
        name: title.to_owned(),
        dots: times
            .iter()
            .map(|of_task| {
                let (own, other) = (of_task.get(index)?, of_task.get(reference)?);
                let speedup = share(Estimate::of(&speedups(of(own), of(other))?)?);
                Some(Dot {
                    value: 100.0 * speedup.mean,
                    error: speedup.error.map(|error| 100.0 * error),
                })
            })
            .collect(),
    };
    let figure = |(number, (index, entry)): (usize, &(usize, &Entry))| {
        let title = format!("Measured speed of {} against {name}", entry.name);
        let chart = DotChart {
            title: title.clone(),
            subtitle: "measured on one machine; ± standard error over the repeats".to_owned(),
            label: "more steps a second (%)".to_owned(),
            categories: suite.tasks.iter().map(|task| task.task.name().to_owned()).collect(),
            groups: vec![
                group("optimizer alone", &|times| &times.step, *index),
                group("training", &|times| &times.training, *index),
            ],
            missing: "not measured".to_owned(),
            highlighted: Vec::new(),
        };
        Figure {
            file: format!("memory-speed-{}.svg", number + 1),
            title,
            sentence: format!(
                "By how much more steps {} makes in a second than {name}, of the optimizer alone and in training, task by task. Times are measured.",
                entry.name
            ),
            chart: Chart::Dots(chart),
        }
    };
    others.iter().enumerate().map(figure).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_some_times_and_their_ratios() {
        assert_eq!(middle(&[Some(3.0), Some(1.0), Some(2.0)]), Some(2.0));
        assert_eq!(middle(&[Some(3.0), Some(1.0)]), Some(2.0));
        assert_eq!((middle(&[]), middle(&[Some(1.0), None])), (None, None));
        let speedups = speedups(&[Some(1.0), Some(2.0)], &[Some(1.1), Some(2.2)]).unwrap();
        let faster = share(Estimate::of(&speedups).unwrap());
        assert!((faster.mean - 0.1).abs() < 1e-12 && faster.error.unwrap() < 1e-12, "{faster:?}");
        assert_eq!(super::speedups(&[Some(0.0)], &[Some(1.1)]), None);
    }
}
