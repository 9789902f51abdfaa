//! Averages that are kept apart, or made one: an ablation of the betas.
//!
//! The shares that a program's averages keep (`beta1` and the like) are set to its defaults, and then
//! all of them to each one of these; learning rate and decay are tuned anew for each.

use serde::Serialize;
use symopt_figures::chart::{Dot, DotChart, DotGroup};
use symopt_proxy_tasks::tuning::pattern_search::{Quantity, dimensions};

use super::cells::{self, Cells, default_settings, protocol, total};
use super::findings::{Chart, Estimate, Figure, Findings, names, over_tasks};
use super::journal::Journal;
use super::runner::{Cell, How, Measured, Runner, SizedTask};
use super::table::{Entry as Number, Table};
use super::{Study, Subject, Work, refused};
use crate::error::StudyError;
use crate::landscape::{self, Entry};

/// The claim of the paper.
pub const CLAIM: &str = "Lion needs two betas: with one (the sign of a single average, 0.9 or 0.99) it is worse, and below AdamW.";

/// How the study is done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// How each program is tuned with each of its betas.
    pub tuning: landscape::Settings,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { tuning: default_settings() }
    }
}

/// A program with its averages as they are, or made one.
#[derive(Clone, Debug, PartialEq)]
struct Variant {
    name: String,
    fixed: Vec<(String, f64)>,
}

/// The variants of a program, its defaults first; these alone where it has fewer than two averages.
fn variants(entry: &Entry) -> Vec<Variant> {
    let mut shares: Vec<(String, f64)> = Vec::new();
    for dimension in dimensions(&entry.program, true) {
        if let Quantity::Share { name, start } = dimension.quantity {
            shares.push((name, start));
        }
    }
    let set = |(name, value): &(String, f64)| format!("{name} {value}");
    let own = shares.iter().map(set).collect::<Vec<_>>().join(", ");
    let own = if own.is_empty() { "as it is".to_owned() } else { own };
    let mut variants = vec![Variant { name: own, fixed: shares.clone() }];
    if shares.len() < 2 {
        return variants;
    }
    let mut values: Vec<f64> = shares.iter().map(|(_, value)| *value).collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    for value in values {
        let fixed: Vec<(String, f64)> =
            shares.iter().map(|(name, _)| (name.clone(), value)).collect();
        // Where all are the same by default, there is nothing to make one.
        if fixed != shares {
            variants.push(Variant { name: format!("one beta {value}"), fixed });
        }
    }
    variants
}

/// Says what is wrong with settings, or with programs none of which has two averages.
pub(super) fn check(settings: &Settings, subject: &Subject) -> Result<(), StudyError> {
    let refused = |reason: String| refused(&Study::Betas(settings.clone()), reason);
    cells::check(&settings.tuning).map_err(refused)?;
    if subject.programs.iter().all(|entry| variants(entry).len() < 2) {
        return Err(refused(format!(
            "none of the programs ({}) has two averages that differ, so there is nothing to make one; name one with --program, such as lion",
            names(subject).join(", ")
        )));
    }
    Ok(())
}

/// Does the study.
pub(super) fn run(
    settings: &Settings,
    subject: &Subject,
    work: &Work,
    journal: &Journal,
) -> Result<Findings, StudyError> {
    let suite = subject.suite.suite()?;
    let tasks: Vec<SizedTask> = suite
        .tasks
        .into_iter()
        .map(|weighted| SizedTask {
            base: weighted.task.name().to_owned(),
            at: Vec::new(),
            weighted,
        })
        .collect();
    let all: Vec<(&Entry, Variant)> = subject
        .programs
        .iter()
        .flat_map(|entry| variants(entry).into_iter().map(move |variant| (entry, variant)))
        .collect();
    let cells: Vec<Cell> = tasks
        .iter()
        .flat_map(|task| {
            all.iter().map(move |(program, variant)| Cell {
                task,
                program,
                fixed: variant.fixed.clone(),
            })
        })
        .collect();
    let runner =
        Runner::new(journal, work.cancel, work.observe, total(cells.len(), &settings.tuning));
    let how = How::Pattern(&settings.tuning.tuning);
    let measured = runner.measure(&cells, how, settings.tuning.seeds)?;
    let cells = Cells { subject, cells: &cells, measured: &measured };
    Ok(findings(settings, suite.name, &tasks, &all, &cells))
}

fn findings(
    settings: &Settings,
    suite: String,
    tasks: &[SizedTask],
    all: &[(&Entry, Variant)],
    cells: &Cells,
) -> Findings {
    let subject = cells.subject;
    let at =
        |task: usize, variant: usize| -> &Measured { &cells.measured[task * all.len() + variant] };
    // The same program as it is.
    let own = |variant: usize| {
        let name = &all[variant].0.name;
        all.iter().position(|(entry, _)| entry.name == *name).unwrap_or(variant)
    };
    let reference = subject.reference().map(|index| subject.programs[index].name.clone());
    let of_reference =
        reference.as_ref().and_then(|name| all.iter().position(|(entry, _)| entry.name == *name));
    let gains = |variant: usize, other: usize| -> Vec<Option<Vec<f64>>> {
        (0..tasks.len()).map(|task| at(task, variant).gains_over(at(task, other))).collect()
    };
    let over = |gains: Vec<Option<Vec<f64>>>| -> Option<Estimate> {
        let weighted = gains.into_iter().zip(tasks);
        let weighted = weighted.map(|(gains, task)| Some((task.weighted.weight, gains?)));
        over_tasks(&weighted.collect::<Option<Vec<_>>>()?)
    };
    let mut summary = Table::new(
        "What one beta costs, the mean over the tasks",
        &[
            ("program", "program"),
            ("betas", "betas"),
            ("gain", "gain over its own betas (%)"),
            ("gain_error", "± (%)"),
            ("gain_over_reference", "gain over the reference (%)"),
            ("gain_over_reference_error", "± (%)"),
        ],
    );
    let mut verdict = Vec::new();
    let mut rows = Vec::new();
    for (place, (entry, variant)) in all.iter().enumerate() {
        let gain = over(gains(place, own(place)));
        let beyond = of_reference.and_then(|other| over(gains(place, other)));
        summary.rows.push(vec![
            entry.name.as_str().into(),
            variant.name.as_str().into(),
            Number::number(gain.map(|gain| 100.0 * gain.mean)),
            Number::number(gain.and_then(|gain| gain.error).map(|error| 100.0 * error)),
            Number::number(beyond.map(|gain| 100.0 * gain.mean)),
            Number::number(beyond.and_then(|gain| gain.error).map(|error| 100.0 * error)),
        ]);
        if place == own(place) {
            continue;
        }
        rows.push(place);
        let diverged = || format!("{} with {} diverged on a task.", entry.name, variant.name);
        verdict.push(gain.map_or_else(diverged, |gain| {
            let word = match (gain.is_sure(), gain.mean > 0.0) {
                (true, true) => "surely better",
                (true, false) => "surely worse",
                (false, _) => "not surely better or worse",
            };
            let beyond = beyond.zip(reference.as_ref()).filter(|(_, name)| **name != entry.name);
            let beyond = beyond.map_or_else(String::new, |(gain, name)| {
                format!("; it saves {} of {name}'s loss", gain.percent())
            });
            format!(
                "{} with {} is {word} than with its own betas: it saves {} of the loss{beyond}.",
                entry.name,
                variant.name,
                gain.percent()
            )
        }));
    }
    let notes = subject
        .programs
        .iter()
        .filter(|entry| variants(entry).len() < 2)
        .map(|entry| format!("{} has no two averages that differ: it is run as it is.", entry.name))
        .collect();
    let table_at = |place: usize| vec![all[place % all.len()].1.name.as_str().into()];
    let gain_of = |place: usize| {
        let (task, variant) = (place / all.len(), place % all.len());
        Estimate::of(&at(task, variant).gains_over(at(task, own(variant)))?)
    };
    let dot = |gain: Option<Estimate>| {
        gain.map(|gain| Dot { value: 100.0 * gain.mean, error: gain.error.map(|e| 100.0 * e) })
    };
    let mut groups = Vec::new();
    if tasks.len() > 1 {
        let dots = rows.iter().map(|row| dot(over(gains(*row, own(*row))))).collect();
        groups.push(DotGroup { name: "whole suite".to_owned(), dots });
    }
    for (place, task) in tasks.iter().enumerate() {
        let dots = rows.iter().map(|row| dot(gain_of(place * all.len() + row))).collect();
        groups.push(DotGroup { name: task.base.clone(), dots });
    }
    let title = "Averages made one".to_owned();
    let first = subject.programs.first().map_or("", |entry| entry.name.as_str());
    let category = |row: &usize| format!("{}, {}", all[*row].0.name, all[*row].1.name);
    let chart = DotChart {
        title: title.clone(),
        subtitle: format!(
            "learning rate and decay tuned for each; {} reporting seeds, paired, ± standard error",
            settings.tuning.seeds
        ),
        label: "loss saved against its own betas (%)".to_owned(),
        categories: rows.iter().map(category).collect(),
        groups,
        missing: "diverged".to_owned(),
        highlighted: rows.iter().filter(|row| all[**row].0.name == first).map(category).collect(),
    };
    Findings {
        study: "betas",
        title: "Whether two betas are needed".to_owned(),
        claim: CLAIM,
        suite,
        programs: names(subject),
        verdict,
        protocol: protocol(&settings.tuning, "on each task with each of its betas"),
        notes,
        summary,
        table: cells.table(
            "Every choice of betas",
            &[("betas", "betas")],
            &settings.tuning,
            &table_at,
            &gain_of,
        ),
        figures: vec![Figure {
            file: "betas.svg".to_owned(),
            title,
            sentence: "Share of the loss with its own betas that each program saves where all of its averages keep the same share; to the left of 0 the one beta is worse.".to_owned(),
            chart: Chart::Dots(chart),
        }],
        runs: cells.runs(),
        is_measured: false,
    }
}
