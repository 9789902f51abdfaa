//! The same epochs in batches of several sizes, each program tuned at each: who prefers which.
//!
//! Steps times batch stay the same, so that all see as many examples.

use serde::Serialize;
use symopt_figures::chart::Axis;
use symopt_proxy_tasks::sample::mean;
use symopt_proxy_tasks::spec::SuiteSource;

use super::cells::{self, Cells, default_settings, protocol, total};
use super::findings::{Findings, names};
use super::journal::Journal;
use super::runner::{Cell, How, Runner, SizedTask};
use super::table::{Entry, Table, digits};
use super::{Study, Subject, Work, refused};
use crate::error::StudyError;
use crate::landscape;

/// The claim of the paper.
pub const CLAIM: &str = "AdamW is best at a batch of 256 and Lion at 4,096, with the same epochs: Lion prefers larger batches, and is \
robust down to 64.";

/// How the study is done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// Batches; if there are none, each task's own times [`Settings::factors`].
    pub batches: Vec<usize>,
    /// Factors of each task's own batch.
    pub factors: Vec<f64>,
    /// How each program is tuned at each batch.
    pub tuning: landscape::Settings,
}

impl Default for Settings {
    /// From a quarter of each task's batch to eight times that.
    fn default() -> Settings {
        let factors = vec![0.25, 0.5, 1.0, 2.0, 4.0, 8.0];
        Settings { batches: Vec::new(), factors, tuning: default_settings() }
    }
}

/// The tasks at their batches, and what could not be done.
pub(super) fn tasks(
    settings: &Settings,
    source: &SuiteSource,
) -> Result<(Vec<SizedTask>, Vec<String>), StudyError> {
    let refused = |reason: String| refused(&Study::BatchSize(settings.clone()), reason);
    cells::check(&settings.tuning).map_err(refused)?;
    if settings.batches.contains(&0) {
        return Err(refused("a batch has at least one example".to_owned()));
    }
    let spec = source.spec()?;
    let (mut sized, mut notes) = (Vec::new(), Vec::new());
    for task in spec.tasks.into_iter().map(|task| task.into_inner()) {
        let place = format!("suite {}, task {}", source.name, task.name);
        let training = task.clone().task(&place)?.task.describe()?.training_examples;
        let mut batches: Vec<usize> = if settings.batches.is_empty() {
            let batch = |factor: &f64| ((task.batch as f64 * factor).round() as usize).max(1);
            settings.factors.iter().map(batch).collect()
        } else {
            settings.batches.clone()
        };
        batches.sort_unstable();
        batches.dedup();
        for batch in batches {
            match task.at_batch(batch, training) {
                Ok(changed) => sized.push(SizedTask {
                    base: task.name.clone(),
                    at: vec![batch as f64, changed.steps as f64, batch as f64 / task.batch as f64],
                    weighted: changed.task(&place)?,
                }),
                Err(reason) => notes.push(format!("{}: {reason}; it is left out.", task.name)),
            }
        }
    }
    for external in &spec.externals {
        let name = &external.get_ref().name;
        notes.push(format!(
            "{name} is a command of the user's, whose batch is its own business; it is left out."
        ));
    }
    if sized.is_empty() {
        let why = if notes.is_empty() { "no task is left".to_owned() } else { notes.join(" ") };
        return Err(refused(format!(
            "suite {} has no task whose batch can be changed: {why}",
            source.name
        )));
    }
    Ok((sized, notes))
}

/// Does the study.
pub(super) fn run(
    settings: &Settings,
    subject: &Subject,
    work: &Work,
    journal: &Journal,
) -> Result<Findings, StudyError> {
    let (tasks, notes) = tasks(settings, &subject.suite)?;
    let suite = subject.suite.spec()?.name;
    let cells: Vec<Cell> = tasks
        .iter()
        .flat_map(|task| {
            subject.programs.iter().map(move |program| Cell { task, program, fixed: Vec::new() })
        })
        .collect();
    let runner =
        Runner::new(journal, work.cancel, work.observe, total(cells.len(), &settings.tuning));
    let how = How::Pattern(&settings.tuning.tuning);
    let measured = runner.measure(&cells, how, settings.tuning.seeds)?;
    let cells = Cells { subject, cells: &cells, measured: &measured };
    Ok(findings(settings, suite, &tasks, notes, &cells))
}

fn findings(
    settings: &Settings,
    suite: String,
    tasks: &[SizedTask],
    notes: Vec<String>,
    cells: &Cells,
) -> Findings {
    let subject = cells.subject;
    let of_task =
        |base: &str| -> Vec<&SizedTask> { tasks.iter().filter(|task| task.base == base).collect() };
    let mut summary = Table::new(
        "The best batch of each program",
        &[
            ("task", "task"),
            ("program", "program"),
            ("batch", "best batch"),
            ("steps", "steps there"),
            ("loss", "loss there (nats)"),
            ("loss_error", "± (nats)"),
            ("own_batch", "batch of the suite"),
        ],
    );
    // The best batch of a program on a task.
    let best = |base: &str, program: &str| {
        let losses = of_task(base)
            .into_iter()
            .filter_map(|task| Some((task, cells.find(base, &task.at, program)?.loss()?)));
        losses.min_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(task, _)| task)
    };
    let mut figures = Vec::new();
    for (place, (base, _)) in cells.tasks().into_iter().enumerate() {
        let points: Vec<(f64, Vec<f64>)> =
            of_task(base).iter().map(|task| (task.at[0], task.at.clone())).collect();
        let ticks: Vec<f64> = points.iter().map(|(batch, _)| *batch).collect();
        figures.push(cells.loss_figure(
            format!("batch-size-{}.svg", place + 1),
            base,
            Axis::log("batch (examples); the same epochs for all").with_ticks(&ticks),
            "batch",
            &points,
        ));
        for entry in &subject.programs {
            let found = best(base, &entry.name);
            let cell = found.and_then(|task| cells.find(base, &task.at, &entry.name));
            summary.rows.push(vec![
                base.into(),
                entry.name.as_str().into(),
                Entry::number(found.map(|task| task.at[0])),
                Entry::number(found.map(|task| task.at[1])),
                Entry::number(cell.and_then(|cell| cell.loss())),
                Entry::number(cell.and_then(|cell| cell.error())),
                Entry::number(of_task(base).first().map(|task| task.at[0] / task.at[2])),
            ]);
        }
    }
    let mut verdict = Vec::new();
    if let Some(reference) = subject.reference() {
        let reference = subject.programs[reference].name.clone();
        let ticks = settings.factors.clone();
        for (index, entry) in subject.others() {
            let ends = |base: &str| {
                let of_task = of_task(base);
                let (first, last) = (of_task.first()?, of_task.last()?);
                (of_task.len() > 1).then(|| (first.at.clone(), last.at.clone()))
            };
            if let Some(change) = cells.change(&entry.name, &ends) {
                verdict.push(change.sentence(
                    &entry.name,
                    &reference,
                    ["the smallest batches", "the largest"],
                    [
                        "it surely prefers larger batches than the other",
                        "it surely prefers smaller batches than the other",
                        "no sure preference for large or small batches",
                    ],
                ));
            }
            let bases: Vec<&str> = cells.tasks().into_iter().map(|(base, _)| base).collect();
            let ratio = |base: &&str| {
                let (own, other) = (best(base, &entry.name)?, best(base, &reference)?);
                Some(libm::log(own.at[0] / other.at[0]))
            };
            let ratios: Option<Vec<f64>> = bases.iter().map(ratio).collect();
            if let Some(ratios) = ratios {
                verdict.push(format!(
                    "The best batch of {} is {} times that of {reference} (geometric mean over {} tasks).",
                    entry.name,
                    digits((100.0 * libm::exp(mean(&ratios))).round() / 100.0),
                    bases.len()
                ));
            }
            let axis = Axis::log("batch as a multiple of the task's own; the same epochs for all");
            figures.push(cells.gain_figure(
                format!("batch-size-gain-{}.svg", index + 1),
                format!("{} against {reference} by batch", entry.name),
                format!("Share of the loss of {reference} that {} saves at each batch, both tuned there; a line for each task.", entry.name),
                &entry.name,
                if settings.batches.is_empty() { axis.with_ticks(&ticks) } else { axis },
                &|base| of_task(base).iter().map(|task| (task.at[2], task.at.clone())).collect(),
            ));
        }
    } else if let Some(entry) = subject.programs.first() {
        for (base, _) in cells.tasks() {
            if let Some(task) = best(base, &entry.name) {
                verdict.push(format!(
                    "On {base}, {} is best at a batch of {}.",
                    entry.name, task.at[0]
                ));
            }
        }
    }
    let at = |place: usize| {
        let at = &cells.cells[place].task.at;
        vec![Entry::Number(at[0]), Entry::Number(at[1])]
    };
    Findings {
        study: "batch-size",
        title: "Who prefers which batch".to_owned(),
        claim: CLAIM,
        suite,
        programs: names(subject),
        verdict,
        protocol: [
            vec!["Steps times batch are the same at every batch.".to_owned()],
            protocol(&settings.tuning, "at each batch of each task"),
        ]
        .concat(),
        notes,
        summary,
        table: cells.table(
            "Every batch",
            &[("batch", "batch"), ("steps", "steps")],
            &settings.tuning,
            &at,
            &|place| cells.gain_of(place),
        ),
        figures,
        runs: cells.runs(),
        is_measured: false,
    }
}
