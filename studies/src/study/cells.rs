//! Parts that the studies with tuning share: the table of their cells, and the change of a gain
//! along an axis.

use symopt_figures::chart::{Axis, LineChart, Panel, Point, Series};

use super::Subject;
use super::findings::{Chart, Estimate, Figure, Runs, over_tasks};
use super::runner::{Cell, Measured};
use super::table::{Entry, Table};
use crate::landscape;

/// Columns that every such table ends with.
const MEASURED: [(&str, &str); 14] = [
    ("program", "program"),
    ("loss", "loss on reporting seeds (nats)"),
    ("loss_error", "± (nats)"),
    ("gain", "gain (%)"),
    ("gain_error", "± (%)"),
    ("seeds", "reporting seeds"),
    ("diverged_seeds", "diverged on"),
    ("peak_lr", "learning rate"),
    ("hyperparameters", "other settings"),
    ("tuning_loss", "loss on tuning seeds (nats)"),
    ("tuning_runs", "tuning runs"),
    ("tuning_seeds", "tuning seeds"),
    ("diverged_settings", "settings that diverged"),
    ("converged", "tuned to the end"),
];

/// The two ends of an axis on a task, if it has both.
pub(super) type Ends<'a> = &'a dyn Fn(&str) -> Option<(Vec<f64>, Vec<f64>)>;
/// The places along an axis on a task, each with its number.
pub(super) type Along<'a> = &'a dyn Fn(&str) -> Vec<(f64, Vec<f64>)>;

/// The cells of a study with what came of them.
pub(super) struct Cells<'a> {
    pub subject: &'a Subject,
    pub cells: &'a [Cell<'a>],
    pub measured: &'a [Measured],
}

impl<'a> Cells<'a> {
    /// The cell of a program on a task at a place of the axes.
    pub fn find(&self, base: &str, at: &[f64], program: &str) -> Option<&'a Measured> {
        let place = self.cells.iter().position(|cell| {
            cell.task.base == base && cell.task.at == at && cell.program.name == program
        })?;
        self.measured.get(place)
    }

    /// Returns the gain of a program over the reference on a task at a place, seed by seed.
    pub fn gains(&self, base: &str, at: &[f64], program: &str) -> Option<Vec<f64>> {
        let reference = self.subject.programs.get(self.subject.reference()?)?;
        let own = self.find(base, at, program)?;
        own.gains_over(self.find(base, at, &reference.name)?)
    }

    /// Names and weights of the tasks, each once.
    pub fn tasks(&self) -> Vec<(&'a str, f64)> {
        let mut tasks: Vec<(&str, f64)> = Vec::new();
        for cell in self.cells {
            if tasks.iter().all(|(name, _)| *name != cell.task.base) {
                tasks.push((&cell.task.base, cell.task.weighted.weight));
            }
        }
        tasks
    }

    /// All runs.
    pub fn runs(&self) -> Runs {
        let runs = self.measured.iter().map(|measured| Runs {
            tuning: measured.tuning_runs,
            diverged_settings: measured.diverged_settings(),
            reporting: measured.losses.len(),
            diverged: measured.diverged_seeds(),
        });
        runs.fold(Runs::default(), Runs::with)
    }

    /// All cells: the task, the axes, and what was measured. `gain` says what a cell gains over what
    /// it is compared with.
    pub fn table(
        &self,
        caption: &str,
        axes: &[(&'static str, &str)],
        settings: &landscape::Settings,
        at: &dyn Fn(usize) -> Vec<Entry>,
        gain: &dyn Fn(usize) -> Option<Estimate>,
    ) -> Table {
        let columns = [&[("task", "task")][..], axes, &MEASURED].concat();
        let mut table = Table::new(caption, &columns);
        for (place, (cell, measured)) in self.cells.iter().zip(self.measured).enumerate() {
            let gain = gain(place);
            let best = measured.best.as_ref();
            let others = best.map(|best| {
                let set = |(name, value): &(String, f64)| format!("{name}={value}");
                best.hyperparameters.iter().map(set).collect::<Vec<_>>().join(" ")
            });
            let mut row = vec![cell.task.base.as_str().into()];
            row.extend(at(place));
            row.extend([
                cell.program.name.as_str().into(),
                Entry::number(measured.loss()),
                Entry::number(measured.error()),
                Entry::number(gain.map(|gain| 100.0 * gain.mean)),
                Entry::number(gain.and_then(|gain| gain.error).map(|error| 100.0 * error)),
                Entry::count(measured.losses.len()),
                Entry::count(measured.diverged_seeds()),
                Entry::number(best.map(|best| best.peak_lr)),
                others.map_or(Entry::Nothing, Entry::Text),
                Entry::number(best.and_then(|best| best.loss)),
                Entry::count(measured.tuning_runs),
                Entry::count(settings.tuning.seeds),
                Entry::count(measured.diverged_settings()),
                if measured.converged { "yes".into() } else { "no".into() },
            ]);
            table.rows.push(row);
        }
        table
    }

    /// The gain of each program over the reference at its own task and place.
    pub fn gain_of(&self, place: usize) -> Option<Estimate> {
        let cell = self.cells.get(place)?;
        let gains = self.gains(&cell.task.base, &cell.task.at, &cell.program.name)?;
        Estimate::of(&gains)
    }

    /// How a program's gain over the reference changes from one place to another, on the tasks that
    /// have both: the gain at each, and the change, all paired by seed.
    pub fn change(&self, program: &str, ends: Ends) -> Option<Change> {
        let (mut first, mut last, mut between) = (Vec::new(), Vec::new(), Vec::new());
        let mut diverged = 0;
        for (base, weight) in self.tasks() {
            let Some((from, to)) = ends(base) else { continue };
            let gains = self.gains(base, &from, program).zip(self.gains(base, &to, program));
            let Some((from, to)) = gains else {
                diverged += 1;
                continue;
            };
            let difference = from.iter().zip(&to).map(|(from, to)| to - from).collect();
            first.push((weight, from));
            last.push((weight, to));
            between.push((weight, difference));
        }
        Some(Change {
            tasks: first.len(),
            diverged,
            first: over_tasks(&first)?,
            last: over_tasks(&last)?,
            between: over_tasks(&between)?,
        })
    }

    /// A figure of a program's gain over the reference along an axis, a line for each task.
    pub fn gain_figure(
        &self,
        file: String,
        title: String,
        sentence: String,
        program: &str,
        axis: Axis,
        points: Along,
    ) -> Figure {
        let line = |base: &str| {
            let point = |(x, at): (f64, Vec<f64>)| {
                let gain = Estimate::of(&self.gains(base, &at, program)?)?;
                Some(point(x, gain))
            };
            Series {
                name: base.to_owned(),
                points: points(base).into_iter().filter_map(point).collect(),
                ..Series::default()
            }
        };
        let series = self.tasks().iter().map(|(base, _)| line(base)).collect();
        let reference = self.subject.reference().and_then(|index| self.subject.programs.get(index));
        let reference = reference.map_or("", |entry| entry.name.as_str());
        let y = Axis::linear(&format!("loss saved against {reference} (%)"));
        let chart = LineChart {
            title: title.clone(),
            subtitle: "above 0 it is better; bands are one standard error over the reporting seeds"
                .to_owned(),
            x: axis,
            panels: vec![Panel { y, series }],
        };
        Figure { file, title, sentence, chart: Chart::Lines(chart) }
    }

    /// A figure of the losses of all programs on a task along an axis.
    pub fn loss_figure(
        &self,
        file: String,
        base: &str,
        axis: Axis,
        along: &str,
        points: &[(f64, Vec<f64>)],
    ) -> Figure {
        let line = |(index, entry): (usize, &landscape::Entry)| {
            let point = |(x, at): &(f64, Vec<f64>)| {
                let losses = self.find(base, at, &entry.name)?.finite()?;
                let loss = Estimate::of(&losses)?;
                let band = loss.error.map(|error| (loss.mean - error, loss.mean + error));
                Some(Point { x: *x, y: loss.mean, band })
            };
            let series = Series {
                name: entry.name.clone(),
                points: points.iter().filter_map(point).collect(),
                ..Series::default()
            };
            if index == 0 && self.subject.programs.len() > 1 {
                series.highlighted()
            } else {
                series
            }
        };
        let title = format!("Loss over {along} on {base}");
        let chart = LineChart {
            title: title.clone(),
            subtitle:
                "each program tuned at each; bands are one standard error over the reporting seeds"
                    .to_owned(),
            x: axis,
            panels: vec![Panel {
                y: Axis::linear("validation loss (nats)"),
                series: self.subject.programs.iter().enumerate().map(line).collect(),
            }],
        };
        let sentence = format!(
            "Validation loss on {base} on the reporting seeds, each program tuned anew at each {along}. A program has no point where a run diverged."
        );
        Figure { file, title, sentence, chart: Chart::Lines(chart) }
    }
}

fn point(x: f64, gain: Estimate) -> Point {
    let y = 100.0 * gain.mean;
    Point { x, y, band: gain.error.map(|error| (y - 100.0 * error, y + 100.0 * error)) }
}

/// How a gain changes.
pub(super) struct Change {
    pub tasks: usize,
    /// Tasks that are left out since a run diverged at an end.
    pub diverged: usize,
    pub first: Estimate,
    pub last: Estimate,
    pub between: Estimate,
}

impl Change {
    /// In a sentence. `places` are the two ends, and `words` what it means if the gain surely rises,
    /// surely falls, or neither.
    pub fn sentence(
        &self,
        program: &str,
        reference: &str,
        places: [&str; 2],
        words: [&str; 3],
    ) -> String {
        let [rises, falls, neither] = words;
        let word = match (self.between.is_sure(), self.between.mean > 0.0) {
            (true, true) => rises,
            (true, false) => falls,
            (false, _) => neither,
        };
        let over = match (self.tasks, self.diverged) {
            (1, 0) => String::new(),
            (tasks, 0) => format!(" (mean over {tasks} tasks)"),
            (tasks, diverged) => {
                format!(" (over {tasks} tasks, without {diverged} on which a run diverged)")
            }
        };
        format!(
            "{program} saves {} of {reference}'s loss at {} and {} at {}{over}, a change of {} points: {word}.",
            self.first.percent(),
            places[0],
            self.last.percent(),
            places[1],
            self.between.percent().trim_end_matches(" %")
        )
    }
}

/// How a study that tunes was done, in sentences.
pub(super) fn protocol(settings: &landscape::Settings, what: &str) -> Vec<String> {
    let tuning = settings.tuning;
    vec![format!(
        "Every program tuned {what} by a pattern search over {} with at most {} training runs on {} tuning seeds, and run with its best \
         setting on {} other seeds, the same for all; gains are paired by seed, ± is one standard error, and \"surely\" is more than two.",
        if tuning.shares {
            "learning rate, weight decay and betas"
        } else {
            "learning rate and weight decay"
        },
        tuning.budget,
        tuning.seeds,
        settings.seeds
    )]
}

/// How cells are tuned if nothing else is said: learning rate and decay, 160 runs on four seeds, and
/// 16 reporting seeds.
pub(super) fn default_settings() -> landscape::Settings {
    landscape::Settings {
        tuning: symopt_proxy_tasks::tuning::pattern_search::Protocol {
            seeds: 4,
            budget: 160,
            shares: false,
        },
        seeds: 16,
    }
}

/// Checks how cells are to be tuned.
pub(super) fn check(settings: &landscape::Settings) -> Result<(), String> {
    if settings.tuning.seeds == 0 || settings.seeds == 0 || settings.tuning.budget == 0 {
        return Err("it needs at least one tuning seed, one reporting seed and one run".to_owned());
    }
    Ok(())
}

/// The training runs of some cells at most.
pub(super) fn total(cells: usize, settings: &landscape::Settings) -> usize {
    cells.saturating_mul(settings.tuning.points() * settings.tuning.seeds + settings.seeds)
}
