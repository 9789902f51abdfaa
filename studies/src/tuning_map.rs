//! The trials of a grid of learning rates and weight decays as a map.

use symopt_cancel::CancelToken;
use symopt_figures::chart::{Better, Cell, HeatMap, Plane};
use symopt_proxy_tasks::constants::Origin;
use symopt_proxy_tasks::error::TaskError;
use symopt_proxy_tasks::suite::{BASELINE, Suite, WeightedTask};
use symopt_proxy_tasks::task::Verdict;
use symopt_proxy_tasks::tuning::grid::{Trial, best};

/// Losses over peak learning rate and weight decay.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct TuningMap {
    /// The program.
    pub program: String,
    /// The task.
    pub task: String,
    /// How many tuning seeds a loss is the mean of.
    pub seeds: usize,
    /// The pairs that were tried.
    pub trials: Vec<Trial>,
    /// The mean loss of AdamW over the same seeds, for gains, and where its constants come from;
    /// without it the map shows losses.
    pub baseline: Option<(f64, Origin)>,
}

impl TuningMap {
    /// The map of a program's trials on a task, each the mean over that many tuning seeds. AdamW
    /// runs with the task's constants for it; the map of AdamW itself, where nobody has tuned or
    /// given any, is against the best of its trials.
    pub fn new(
        task: &WeightedTask,
        program: &str,
        trials: &[Trial],
        seeds: usize,
        cancel: &CancelToken,
    ) -> Result<TuningMap, TaskError> {
        let origin = task.origin(BASELINE);
        let mut baseline = None;
        if program == BASELINE && origin == Origin::Untuned {
            let runs = trials.len() * seeds;
            baseline = best(trials)
                .and_then(|trial| trial.loss)
                .map(|loss| (loss, Origin::Tuned { runs, seeds }));
        } else if task.constants(BASELINE, false).is_some() {
            let adamw = symopt_programs::adamw().program();
            let mut losses = Vec::with_capacity(seeds);
            for seed in Suite::tuning_seeds(seeds) {
                let candidate = task.candidate(&adamw, Some(BASELINE));
                let run = task.task.run(&candidate, seed, cancel, &mut |_| Verdict::Continue)?;
                let run = run.or_failed(task.task.name())?;
                losses.push(run.final_metrics().map(|metrics| metrics.loss));
            }
            let sum: Option<f64> = losses.into_iter().sum();
            baseline = sum
                .map(|sum| sum / seeds as f64)
                .filter(|loss| loss.is_finite())
                .map(|loss| (loss, origin));
        }
        let (program, task) = (program.to_owned(), task.task.name().to_owned());
        Ok(TuningMap { program, task, seeds, trials: trials.to_vec(), baseline })
    }

    fn gain(&self, trial: &Trial) -> Option<f64> {
        self.baseline.zip(trial.loss).map(|((baseline, _), loss)| (baseline - loss) / baseline)
    }

    /// Returns the name of the baseline: "tuned AdamW" only where it is tuned; `None` if the map
    /// shows losses.
    pub fn against(&self) -> Option<String> {
        self.baseline.map(|(_, origin)| origin.of("AdamW"))
    }

    /// One line for each pair; empty where a run diverged. Gains are shares, against what the last
    /// column says.
    pub fn csv(&self) -> Result<String, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record([
            "task",
            "program",
            "peak_lr",
            "weight_decay",
            "validation_loss",
            "gain",
            "against",
        ])?;
        let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
        let against = self.against().unwrap_or_default();
        for trial in &self.trials {
            let (peak_lr, weight_decay) =
                (trial.peak_lr.to_string(), trial.weight_decay.to_string());
            let (loss, gain) = (number(trial.loss), number(self.gain(trial)));
            writer.write_record([
                &self.task,
                &self.program,
                &peak_lr,
                &weight_decay,
                &loss,
                &gain,
                &against,
            ])?;
        }
        let bytes = writer.into_inner().map_err(|error| error.into_error())?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The map as a picture: gains in percent, or losses.
    pub fn chart(&self) -> HeatMap {
        let axis = |value: &dyn Fn(&Trial) -> f64| {
            let mut values: Vec<f64> = self.trials.iter().map(value).collect();
            values.sort_by(f64::total_cmp);
            values.dedup();
            values
        };
        let (columns, rows) = (axis(&|trial| trial.peak_lr), axis(&|trial| trial.weight_decay));
        let mut cells = vec![vec![Cell::Untried; columns.len()]; rows.len()];
        for trial in &self.trials {
            let place =
                |values: &[f64], value: f64| values.iter().position(|other| *other == value);
            let (Some(row), Some(column)) =
                (place(&rows, trial.weight_decay), place(&columns, trial.peak_lr))
            else {
                continue;
            };
            let value = if self.baseline.is_some() {
                self.gain(trial).map(|gain| 100.0 * gain)
            } else {
                trial.loss
            };
            if let Some(cell) = cells.get_mut(row).and_then(|cells| cells.get_mut(column)) {
                *cell = value.map_or(Cell::Diverged, Cell::Value);
            }
        }
        let (what, value_label, better) = match self.against() {
            Some(adamw) => {
                (format!("validation loss saved against {adamw} (%)"), "gain (%)", Better::Higher)
            }
            None => ("validation loss (nats)".to_owned(), "loss (nats)", Better::Lower),
        };
        HeatMap {
            title: format!("{} on {}", self.program, self.task),
            subtitle: format!("{what}, mean over {} tuning seeds", self.seeds),
            x_label: "peak learning rate".to_owned(),
            y_label: "weight decay".to_owned(),
            value_label: value_label.to_owned(),
            better,
            planes: vec![Plane {
                columns: columns.iter().copied().map(label).collect(),
                rows: rows.iter().copied().map(label).collect(),
                cells,
                ..Plane::default()
            }],
        }
    }
}

/// A learning rate or a decay beside an axis.
pub(crate) fn label(value: f64) -> String {
    if value != 0.0 && value.abs() < 1e-3 { format!("{value:e}") } else { value.to_string() }
}
