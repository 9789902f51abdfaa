//! The same task at several widths and horizons, each program tuned at each.
//!
//! One is changed at a time: widths at the task's own horizon, horizons at its own width.

use serde::Serialize;
use symopt_figures::chart::Axis;
use symopt_proxy_tasks::spec::SuiteSource;

use super::cells::{self, Cells, default_settings, protocol, total};
use super::findings::{Estimate, Findings, names, over_tasks};
use super::journal::Journal;
use super::runner::{Cell, How, Runner, SizedTask};
use super::table::{Entry, Table};
use super::{Study, Subject, Work, refused};
use crate::error::StudyError;
use crate::landscape;

/// The claim of the paper.
pub const CLAIM: &str = "Lion \"achieves greater profits with greater Transformers\".";

/// How the study is done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// Widths, as multiples of each task's own.
    pub widths: Vec<f64>,
    /// Horizons, as multiples of each task's own.
    pub horizons: Vec<f64>,
    /// How each program is tuned at each size.
    pub tuning: landscape::Settings,
}

impl Default for Settings {
    /// Half, once and twice the width; half, once, twice and four times the horizon.
    fn default() -> Settings {
        Settings {
            widths: vec![0.5, 1.0, 2.0],
            horizons: vec![0.5, 1.0, 2.0, 4.0],
            tuning: default_settings(),
        }
    }
}

/// The place of a task's own size.
const OWN: [f64; 2] = [1.0, 1.0];

/// The tasks at their sizes, and what could not be done.
pub(super) fn tasks(
    settings: &Settings,
    source: &SuiteSource,
) -> Result<(Vec<SizedTask>, Vec<String>), StudyError> {
    let refused = |reason: String| refused(&Study::Scale(settings.clone()), reason);
    cells::check(&settings.tuning).map_err(refused)?;
    let is_good = |factor: &f64| factor.is_finite() && (1e-3..=1e3).contains(factor);
    if !settings.widths.iter().chain(&settings.horizons).all(is_good) {
        return Err(refused("widths and horizons are factors from 0.001 to 1000".to_owned()));
    }
    let spec = source.spec()?;
    let (mut sized, mut notes) = (Vec::new(), Vec::new());
    let mut places: Vec<[f64; 2]> = vec![OWN];
    places.extend(settings.widths.iter().map(|width| [*width, 1.0]));
    places.extend(settings.horizons.iter().map(|horizon| [1.0, *horizon]));
    places.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
    places.dedup();
    for task in spec.tasks.into_iter().map(|task| task.into_inner()) {
        let place = format!("suite {}, task {}", source.name, task.name);
        let (mut own, mut lacks) = (Vec::new(), Vec::new());
        for [width, horizon] in &places {
            match task.scaled(*width, *horizon) {
                Ok(changed) => own.push(SizedTask {
                    base: task.name.clone(),
                    at: vec![*width, *horizon],
                    weighted: changed.task(&place)?,
                }),
                Err(reason) if !lacks.contains(&reason) => lacks.push(reason),
                Err(_) => {}
            }
        }
        notes.extend(
            lacks.into_iter().map(|reason| format!("{}: {reason}; that is left out.", task.name)),
        );
        sized.extend(own);
    }
    for external in &spec.externals {
        let name = &external.get_ref().name;
        notes.push(format!(
            "{name} is a command of the user's, whose size is its own business; it is left out."
        ));
    }
    if sized.is_empty() {
        let why = if notes.is_empty() { "no task is left".to_owned() } else { notes.join(" ") };
        return Err(refused(format!(
            "suite {} has no task whose size can be changed: {why}",
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

/// One of the two that are changed.
struct Dimension {
    name: &'static str,
    /// Its place in a task's size.
    place: usize,
    axis: &'static str,
}

const DIMENSIONS: [Dimension; 2] = [
    Dimension { name: "width", place: 0, axis: "width as a multiple of the task's own" },
    Dimension { name: "horizon", place: 1, axis: "training steps as a multiple of the task's own" },
];

impl Dimension {
    /// The sizes of a task that differ from its own in this alone, from the smallest.
    fn sizes(&self, tasks: &[SizedTask], base: &str) -> Vec<(f64, Vec<f64>)> {
        let other = 1 - self.place;
        let mut sizes: Vec<(f64, Vec<f64>)> = tasks
            .iter()
            .filter(|task| task.base == base && task.at[other] == 1.0)
            .map(|task| (task.at[self.place], task.at.clone()))
            .collect();
        sizes.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        sizes
    }
}

fn findings(
    settings: &Settings,
    suite: String,
    tasks: &[SizedTask],
    notes: Vec<String>,
    cells: &Cells,
) -> Findings {
    let subject = cells.subject;
    let (mut verdict, mut figures) = (Vec::new(), Vec::new());
    let mut summary = Table::new(
        "Gains by size, the mean over the tasks that have it",
        &[
            ("program", "program"),
            ("width", "width (times)"),
            ("horizon", "horizon (times)"),
            ("gain", "gain (%)"),
            ("gain_error", "± (%)"),
            ("tasks", "tasks"),
        ],
    );
    let mut places: Vec<&Vec<f64>> = tasks.iter().map(|task| &task.at).collect();
    places.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
    places.dedup();
    for (index, entry) in subject.others() {
        let Some(reference) = subject.reference() else { break };
        let reference = &subject.programs[reference].name;
        for at in &places {
            let gains: Vec<(f64, Vec<f64>)> = cells
                .tasks()
                .into_iter()
                .filter_map(|(base, weight)| Some((weight, cells.gains(base, at, &entry.name)?)))
                .collect();
            let gain: Option<Estimate> = over_tasks(&gains);
            summary.rows.push(vec![
                entry.name.as_str().into(),
                Entry::Number(at[0]),
                Entry::Number(at[1]),
                Entry::number(gain.map(|gain| 100.0 * gain.mean)),
                Entry::number(gain.and_then(|gain| gain.error).map(|error| 100.0 * error)),
                Entry::count(gains.len()),
            ]);
        }
        for dimension in &DIMENSIONS {
            let ends = |base: &str| {
                let sizes = dimension.sizes(tasks, base);
                let (first, last) = (sizes.first()?, sizes.last()?);
                (sizes.len() > 1).then(|| (first.1.clone(), last.1.clone()))
            };
            let name = dimension.name;
            if let Some(change) = cells.change(&entry.name, &ends) {
                verdict.push(change.sentence(
                    &entry.name,
                    reference,
                    [&format!("the smallest {name}"), "the largest"],
                    [
                        &format!("its gain surely grows with the {name}"),
                        &format!("its gain surely shrinks with the {name}"),
                        &format!("no sure change with the {name}"),
                    ],
                ));
            }
            let ticks = match dimension.place {
                0 => &settings.widths,
                _ => &settings.horizons,
            };
            figures.push(cells.gain_figure(
                format!("scale-{name}-{}.svg", index + 1),
                format!("{} against {reference} by {name}", entry.name),
                format!(
                    "Share of the loss of {reference} that {} saves at each {name}, both tuned there; a line for each task.",
                    entry.name
                ),
                &entry.name,
                Axis::log(dimension.axis).with_ticks(ticks),
                &|base| dimension.sizes(tasks, base),
            ));
        }
    }
    for (number, (base, _)) in cells.tasks().into_iter().enumerate() {
        for dimension in &DIMENSIONS {
            let sizes = dimension.sizes(tasks, base);
            if sizes.len() < 2 {
                continue;
            }
            let ticks: Vec<f64> = sizes.iter().map(|(size, _)| *size).collect();
            figures.push(cells.loss_figure(
                format!("scale-{}-{}.svg", dimension.name, base_file(number)),
                base,
                Axis::log(dimension.axis).with_ticks(&ticks),
                dimension.name,
                &sizes,
            ));
        }
    }
    let at = |place: usize| {
        let at = &cells.cells[place].task.at;
        vec![Entry::Number(at[0]), Entry::Number(at[1])]
    };
    Findings {
        study: "scale",
        title: "The same tasks at several widths and horizons".to_owned(),
        claim: CLAIM,
        suite,
        programs: names(subject),
        verdict,
        protocol: protocol(&settings.tuning, "at each size of each task"),
        notes,
        summary,
        table: cells.table(
            "Every size",
            &[("width", "width (times)"), ("horizon", "horizon (times)")],
            &settings.tuning,
            &at,
            &|place| cells.gain_of(place),
        ),
        figures,
        runs: cells.runs(),
        is_measured: false,
    }
}

/// Tasks in the names of files are numbers: their names may hold anything.
fn base_file(number: usize) -> String {
    format!("task-{}", number + 1)
}
