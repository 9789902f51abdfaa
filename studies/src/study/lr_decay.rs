//! Losses over learning rate and weight decay: how robust a program is to both.
//!
//! All programs are tried on the same plane, so that a share of it means the same for each. A pair
//! is judged by its mean loss over the tuning seeds; a program's share is that of the pairs within
//! [`CLOSE`] of its best one. The best pair is then run on the reporting seeds.

use serde::Serialize;
use symopt_figures::chart::{Better, Cell as MapCell, HeatMap, Plane as MapPlane};
use symopt_proxy_tasks::sample::mean;

use super::findings::{Chart, Estimate, Figure, Findings, Runs, names, over_tasks};
use super::journal::Journal;
use super::runner::{Cell, How, Measured, Plane, Runner, SizedTask, Trial, WEIGHT_DECAY, axes};
use super::table::{Entry as Number, Table, digits};
use super::{Study, Subject, Work, refused};
use crate::error::StudyError;
use crate::tuning_map::label;

/// Up to this share above the best loss a pair is close to it.
pub const CLOSE: f64 = 0.05;

/// The claim of the paper.
pub const CLAIM: &str = "\"Lion is more robust to different hyperparameter choices\" than AdamW, in a heat map of accuracy over both; \
its learning rate is 3 to 10 times smaller than AdamW's and its decay 3 to 10 times larger.";

/// How the study is done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// The plane.
    pub plane: Plane,
    /// Reporting seeds.
    pub seeds: usize,
}

impl Default for Settings {
    /// Learning rates from 1e-5 to 1 and decays from 0.01 to 10, two to a decade.
    fn default() -> Settings {
        let half_decades = |from: i32, to: i32| -> Vec<f64> {
            let value = |half: i32| {
                let value = libm::pow(10.0, f64::from(half) / 2.0);
                format!("{value:.2e}").parse().unwrap_or(value)
            };
            (from..=to).map(value).collect()
        };
        let plane =
            Plane { peak_lr: half_decades(-10, 0), weight_decay: half_decades(-4, 2), seeds: 4 };
        Settings { plane, seeds: 16 }
    }
}

/// Says what is wrong with settings.
pub(super) fn check(settings: &Settings) -> Result<(), StudyError> {
    let study = || Study::LrDecay(settings.clone());
    let Plane { peak_lr, weight_decay, seeds } = &settings.plane;
    let sorted = |values: &[f64]| {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted.dedup();
        sorted.len() == values.len()
    };
    if peak_lr.is_empty() || weight_decay.is_empty() || *seeds == 0 || settings.seeds == 0 {
        let reason = "it needs at least one learning rate, one decay and one seed of each kind";
        return Err(refused(&study(), reason.to_owned()));
    }
    let is_good = |value: &f64| value.is_finite() && *value >= 0.0;
    if !peak_lr.iter().all(|rate| rate.is_finite() && *rate > 0.0)
        || !weight_decay.iter().all(is_good)
    {
        let reason = "learning rates must be above 0, and decays 0 or above";
        return Err(refused(&study(), reason.to_owned()));
    }
    if !sorted(peak_lr) || !sorted(weight_decay) {
        return Err(refused(&study(), "a learning rate or a decay is named twice".to_owned()));
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
    let sized = suite.tasks.into_iter().map(|weighted| SizedTask {
        base: weighted.task.name().to_owned(),
        at: Vec::new(),
        weighted,
    });
    let tasks: Vec<SizedTask> = sized.collect();
    let cells: Vec<Cell> = tasks
        .iter()
        .flat_map(|task| {
            subject.programs.iter().map(move |program| Cell { task, program, fixed: Vec::new() })
        })
        .collect();
    let plane = &settings.plane;
    let runs_of_a_cell =
        plane.peak_lr.len() * plane.weight_decay.len() * plane.seeds + settings.seeds;
    let runner = Runner::new(journal, work.cancel, work.observe, cells.len() * runs_of_a_cell);
    let measured = runner.measure(&cells, How::Plane(plane), settings.seeds)?;
    Ok(findings(settings, subject, &suite.name, &tasks, &measured))
}

/// The share of the pairs that are within [`CLOSE`] of the best, with the standard error of the
/// jackknife over the seeds; `None` where all diverged, or where there is one pair.
fn share(trials: &[Trial]) -> Option<Estimate> {
    let seeds = trials.iter().map(|trial| trial.by_seed.len()).max()?;
    let without = |left_out: Option<usize>| -> Option<f64> {
        let loss = |trial: &Trial| -> Option<f64> {
            let kept = trial.by_seed.iter().enumerate().filter(|(seed, _)| Some(*seed) != left_out);
            let losses: Option<Vec<f64>> = kept.map(|(_, loss)| *loss).collect();
            losses.filter(|losses| !losses.is_empty()).map(|losses| mean(&losses))
        };
        let losses: Vec<Option<f64>> = trials.iter().map(loss).collect();
        let best = losses.iter().flatten().copied().min_by(f64::total_cmp)?;
        let most = best + CLOSE * best.abs();
        let close = losses.iter().flatten().filter(|loss| **loss <= most).count();
        Some(close as f64 / losses.len() as f64)
    };
    if trials.len() < 2 {
        return None;
    }
    let whole = without(None)?;
    let parts: Option<Vec<f64>> = (0..seeds).map(|seed| without(Some(seed))).collect();
    let error = parts.filter(|parts| parts.len() > 1).map(|parts| {
        let (count, middle) = (parts.len() as f64, mean(&parts));
        let squares: f64 = parts.iter().map(|part| (part - middle) * (part - middle)).sum();
        ((count - 1.0) / count * squares).sqrt()
    });
    Some(Estimate { mean: whole, error })
}

/// Independent shares as their mean, with its standard error.
fn joined(shares: &[Option<Estimate>]) -> Option<Estimate> {
    let known: Vec<&Estimate> = shares.iter().flatten().collect();
    if known.is_empty() || known.len() < shares.len() {
        return None;
    }
    let count = known.len() as f64;
    let squares: Option<f64> =
        known.iter().map(|share| share.error.map(|error| error * error)).sum();
    Some(Estimate {
        mean: known.iter().map(|share| share.mean).sum::<f64>() / count,
        error: squares.map(|squares| squares.sqrt() / count),
    })
}

fn findings(
    settings: &Settings,
    subject: &Subject,
    suite: &str,
    tasks: &[SizedTask],
    measured: &[Measured],
) -> Findings {
    let programs = &subject.programs;
    let at = |task: usize, program: usize| &measured[task * programs.len() + program];
    let mut summary = Table::new(
        "How much of the plane is close to each program's best",
        &[
            ("task", "task"),
            ("program", "program"),
            ("close_share", "within 5 % of its best (% of the plane)"),
            ("close_share_error", "± (%)"),
            ("peak_lr", "best learning rate"),
            ("weight_decay", "best weight decay"),
            ("loss", "its loss on reporting seeds (nats)"),
            ("loss_error", "± (nats)"),
            ("seeds", "reporting seeds"),
            ("diverged_settings", "settings that diverged"),
        ],
    );
    let mut table = Table::new(
        "Every pair",
        &[
            ("task", "task"),
            ("program", "program"),
            ("peak_lr", "peak learning rate"),
            ("weight_decay", "weight decay"),
            ("loss", "loss over the tuning seeds (nats)"),
            ("seeds", "tuning seeds"),
            ("diverged_seeds", "diverged on"),
        ],
    );
    let (mut figures, mut runs) = (Vec::new(), Runs::default());
    for (place, task) in tasks.iter().enumerate() {
        let mut planes = Vec::new();
        for (index, program) in programs.iter().enumerate() {
            let cell = at(place, index);
            let share = share(&cell.trials);
            runs = runs.with(Runs {
                tuning: cell.tuning_runs,
                diverged_settings: cell.diverged_settings(),
                reporting: cell.losses.len(),
                diverged: cell.diverged_seeds(),
            });
            summary.rows.push(vec![
                task.base.as_str().into(),
                program.name.as_str().into(),
                Number::number(share.map(|share| 100.0 * share.mean)),
                Number::number(share.and_then(|share| share.error).map(|error| 100.0 * error)),
                Number::number(cell.best.as_ref().map(|best| best.peak_lr)),
                Number::number(cell.best.as_ref().map(Trial::weight_decay)),
                Number::number(cell.loss()),
                Number::number(cell.error()),
                Number::count(cell.losses.len()),
                Number::count(cell.diverged_settings()),
            ]);
            for trial in &cell.trials {
                table.rows.push(vec![
                    task.base.as_str().into(),
                    program.name.as_str().into(),
                    Number::Number(trial.peak_lr),
                    Number::Number(trial.weight_decay()),
                    Number::number(trial.loss),
                    Number::count(trial.by_seed.len()),
                    Number::count(trial.by_seed.iter().filter(|loss| loss.is_none()).count()),
                ]);
            }
            let note = share.map_or_else(String::new, |share| {
                format!("{} of the plane close to its best", percent(share))
            });
            planes.push(plane(program, &settings.plane, &cell.trials, note));
        }
        let title = format!("Loss over learning rate and weight decay on {}", task.base);
        figures.push(Figure {
            file: format!("lr-decay-{}.svg", place + 1),
            title: title.clone(),
            sentence: format!(
                "Mean validation loss over {} tuning seeds of each pair, darker where it is nearer to the program's own best, which is outlined; \
                 × where a run diverged.",
                settings.plane.seeds
            ),
            chart: Chart::Map(HeatMap {
                title,
                subtitle: format!("mean over {} tuning seeds", settings.plane.seeds),
                x_label: "peak learning rate".to_owned(),
                y_label: "weight decay".to_owned(),
                value_label: "validation loss (nats)".to_owned(),
                better: Better::Lower,
                planes,
            }),
        });
    }
    let shares: Vec<Option<Estimate>> = (0..programs.len())
        .map(|index| {
            let of_task = |place: usize| share(&at(place, index).trials);
            joined(&(0..tasks.len()).map(of_task).collect::<Vec<_>>())
        })
        .collect();
    let Plane { peak_lr, weight_decay, seeds } = &settings.plane;
    Findings {
        study: "lr-decay",
        title: "How robust learning rate and weight decay are".to_owned(),
        claim: CLAIM,
        suite: suite.to_owned(),
        programs: names(subject),
        verdict: verdict(subject, tasks, &shares, &at),
        protocol: vec![
            format!(
                "{} learning rates from {} to {} with {} weight decays from {} to {}, the same for all programs, each pair on {seeds} tuning seeds;",
                peak_lr.len(),
                bound(peak_lr, f64::min),
                bound(peak_lr, f64::max),
                weight_decay.len(),
                bound(weight_decay, f64::min),
                bound(weight_decay, f64::max)
            ),
            format!(
                "the best pair of each on {} other seeds. Shares of the plane have the standard error of the jackknife over the tuning seeds.",
                settings.seeds
            ),
        ],
        notes: notes(subject),
        summary,
        table,
        figures,
        runs,
        is_measured: false,
    }
}

fn bound(values: &[f64], choose: fn(f64, f64) -> f64) -> String {
    values.iter().copied().reduce(choose).map_or_else(String::new, digits)
}

fn percent(share: Estimate) -> String {
    let error = share.error.map_or_else(String::new, |error| format!(" ± {:.1}", 100.0 * error));
    format!("{:.1}{error} %", 100.0 * share.mean)
}

/// Returns notes on programs that have only a part of the plane.
fn notes(subject: &Subject) -> Vec<String> {
    let note = |entry: &crate::landscape::Entry| {
        let signature = entry.program.signature();
        let has_rate = signature.learning_rate().is_some();
        let has_decay =
            signature.hyperparameters().any(|(_, parameter)| parameter.name == WEIGHT_DECAY);
        let lacks = match (has_rate, has_decay) {
            (true, true) => return None,
            (true, false) => "takes no `weight_decay`: its plane is a line of learning rates",
            (false, true) => "takes no `lr`: its plane is a line of weight decays",
            (false, false) => "takes neither `lr` nor `weight_decay`: it runs as it stands",
        };
        Some(format!("{} {lacks}, and its share is not to be compared.", entry.name))
    };
    subject.programs.iter().filter_map(note).collect()
}

/// The plane of a program as a picture.
fn plane(
    program: &crate::landscape::Entry,
    plane: &Plane,
    trials: &[Trial],
    note: String,
) -> MapPlane {
    let (rates, decays) = axes(program, plane);
    let columns = sorted(rates);
    let rows = sorted(decays.into_iter().map(|decay| decay.unwrap_or(0.0)).collect());
    let mut cells = vec![vec![MapCell::Untried; columns.len()]; rows.len()];
    // The trials are in the order of the plane: decays, and within each its learning rates.
    let (all_rates, all_decays) = axes(program, plane);
    let pairs = all_decays.iter().flat_map(|decay| all_rates.iter().map(move |rate| (rate, decay)));
    for ((rate, decay), trial) in pairs.zip(trials) {
        let column = columns.iter().position(|other| other == rate);
        let row = rows.iter().position(|other| *other == decay.unwrap_or(0.0));
        if let Some(cell) = row
            .zip(column)
            .and_then(|(row, column)| cells.get_mut(row).and_then(|cells| cells.get_mut(column)))
        {
            *cell = trial.loss.map_or(MapCell::Diverged, MapCell::Value);
        }
    }
    MapPlane {
        name: program.name.clone(),
        note,
        columns: columns.into_iter().map(label).collect(),
        rows: rows.into_iter().map(label).collect(),
        cells,
    }
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

fn verdict<'a>(
    subject: &Subject,
    tasks: &[SizedTask],
    shares: &[Option<Estimate>],
    at: &dyn Fn(usize, usize) -> &'a Measured,
) -> Vec<String> {
    let programs = &subject.programs;
    let mut verdict = Vec::new();
    let parts: Vec<String> = programs
        .iter()
        .zip(shares)
        .filter_map(|(entry, share)| Some(format!("{} {}", entry.name, percent((*share)?))))
        .collect();
    if !parts.is_empty() {
        let over = if tasks.len() > 1 {
            format!(", the mean over {} tasks", tasks.len())
        } else {
            String::new()
        };
        verdict.push(format!(
            "Within 5 % of its own best loss lie these shares of the plane{over}: {}.",
            parts.join(", ")
        ));
    }
    let Some(reference) = subject.reference() else { return verdict };
    let reference_name = &programs[reference].name;
    for (index, entry) in subject.others() {
        if let (Some(own), Some(other)) = (shares[index], shares[reference]) {
            let difference = Estimate {
                mean: own.mean - other.mean,
                error: own.error.zip(other.error).map(|(a, b)| a.hypot(b)),
            };
            let word = match (difference.is_sure(), difference.mean > 0.0) {
                (true, true) => "more robust than",
                (true, false) => "less robust than",
                (false, _) => "not surely more or less robust than",
            };
            verdict.push(format!(
                "{} is {word} {reference_name}: the shares differ by {} points.",
                entry.name,
                difference.percent().trim_end_matches(" %")
            ));
        }
        verdict.extend(ratios(entry, reference_name, tasks.len(), &|place| {
            (at(place, index), at(place, reference))
        }));
        let gains = tasks
            .iter()
            .enumerate()
            .map(|(place, task)| {
                let gains = at(place, index).gains_over(at(place, reference))?;
                Some((task.weighted.weight, gains))
            })
            .collect::<Option<Vec<_>>>();
        if let Some(gain) = gains.and_then(|gains| over_tasks(&gains)) {
            verdict.push(format!(
                "With the best pair of each, {} saves {} of the loss of {reference_name} on the reporting seeds.",
                entry.name,
                gain.percent()
            ));
        }
    }
    verdict
}

/// By how much the best learning rates and decays of two programs differ.
fn ratios<'a>(
    entry: &crate::landscape::Entry,
    reference: &str,
    tasks: usize,
    pair: &dyn Fn(usize) -> (&'a Measured, &'a Measured),
) -> Option<String> {
    let ratio = |of: &dyn Fn(&Trial) -> f64| -> Option<f64> {
        let logarithm = |place: usize| {
            let (own, other) = pair(place);
            let (own, other) = (of(own.best.as_ref()?), of(other.best.as_ref()?));
            (own > 0.0 && other > 0.0).then(|| libm::log(own / other))
        };
        let logarithms: Option<Vec<f64>> = (0..tasks).map(logarithm).collect();
        logarithms.map(|logarithms| libm::exp(mean(&logarithms)))
    };
    let rate = ratio(&|trial| trial.peak_lr)?;
    let times = |ratio: f64| match ratio {
        ratio if (0.95..1.05).contains(&ratio) => "as large".to_owned(),
        ratio if ratio > 1.0 => format!("{} times larger", digits_of(ratio)),
        ratio => format!("{} times smaller", digits_of(1.0 / ratio)),
    };
    let decay = ratio(&Trial::weight_decay)
        .map_or_else(String::new, |ratio| format!(", and its best decay {}", times(ratio)));
    let over = if tasks > 1 { " (geometric mean over the tasks)" } else { "" };
    Some(format!(
        "Beside that of {reference}, the best learning rate of {} is {}{decay}{over}.",
        entry.name,
        times(rate)
    ))
}

fn digits_of(ratio: f64) -> String {
    if ratio < 10.0 { format!("{ratio:.1}") } else { format!("{ratio:.0}") }
}
