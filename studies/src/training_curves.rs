//! The curves of several programs' runs on a task.

use symopt_figures::chart::{Axis, LineChart, Panel, Series};
use symopt_proxy_tasks::run::Checkpoint;
use symopt_proxy_tasks::sample;

/// The runs of a program, under several seeds.
#[derive(Clone, Debug, PartialEq)]
pub struct ProgramCurves {
    /// Name of the program.
    pub name: String,
    /// The curve of each seed.
    pub runs: Vec<(u64, Vec<Checkpoint>)>,
}

/// The runs of several programs, on the same seeds.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingCurves {
    /// The task.
    pub task: String,
    /// The programs, in the order in which they are shown.
    pub programs: Vec<ProgramCurves>,
}

impl ProgramCurves {
    /// The line of the mean over the seeds, with one standard error to each side; it ends where the
    /// first run does.
    fn series(&self, value: fn(&Checkpoint) -> Option<f64>) -> Series {
        let shortest = self.runs.iter().map(|(_, curve)| curve.len()).min().unwrap_or(0);
        let points = |curve: &[Checkpoint]| {
            curve
                .iter()
                .take(shortest)
                .filter_map(|at| Some((at.step as f64, value(at)?)))
                .collect()
        };
        let runs: Vec<Vec<(f64, f64)>> = self.runs.iter().map(|(_, curve)| points(curve)).collect();
        Series::over_runs(&self.name, &runs, sample::error_band)
    }
}

impl TrainingCurves {
    /// One line for each point of each curve; the accuracy is empty where the task has none.
    pub fn csv(&self) -> Result<String, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record([
            "program",
            "seed",
            "step",
            "training_loss",
            "validation_loss",
            "accuracy",
        ])?;
        for ProgramCurves { name, runs } in &self.programs {
            for (seed, curve) in runs {
                for Checkpoint { step, training_loss, validation } in curve {
                    let accuracy = validation
                        .accuracy
                        .map_or_else(String::new, |accuracy| accuracy.to_string());
                    let numbers = [
                        seed.to_string(),
                        step.to_string(),
                        training_loss.to_string(),
                        validation.loss.to_string(),
                        accuracy,
                    ];
                    writer.write_record(std::iter::once(name.clone()).chain(numbers))?;
                }
            }
        }
        let bytes = writer.into_inner().map_err(|error| error.into_error())?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn panel(&self, label: &str, value: fn(&Checkpoint) -> Option<f64>) -> Panel {
        let mut series: Vec<Series> =
            self.programs.iter().map(|program| program.series(value)).collect();
        // The first program is what the others are run beside.
        if let [first, _, ..] = series.as_mut_slice() {
            *first = first.clone().highlighted();
        }
        Panel { y: Axis::linear(label), series }
    }

    /// The validation loss over the steps, and below it the training loss.
    pub fn chart(&self) -> LineChart {
        let seeds = self.programs.iter().map(|program| program.runs.len()).max().unwrap_or(0);
        let subtitle = match seeds {
            0 | 1 => "one seed".to_owned(),
            seeds => format!("mean over {seeds} seeds, with one standard error to each side"),
        };
        LineChart {
            title: format!("Training on {}", self.task),
            subtitle,
            x: Axis::linear("steps"),
            panels: vec![
                self.panel("validation loss (nats)", |at| Some(at.validation.loss)),
                self.panel("training loss (nats)", |at| Some(at.training_loss)),
            ],
        }
    }

    /// The validation loss alone, for a terminal.
    pub fn validation_chart(&self) -> LineChart {
        let mut chart = self.chart();
        chart.panels.truncate(1);
        LineChart {
            title: format!(
                "{}, {}",
                chart.title,
                chart.subtitle.split(',').next().unwrap_or_default()
            ),
            ..chart
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use symopt_proxy_tasks::run::Metrics;

    fn curve(losses: &[f64]) -> Vec<Checkpoint> {
        let point = |(index, loss): (usize, &f64)| Checkpoint {
            step: 10 * (index + 1),
            training_loss: loss / 2.0,
            validation: Metrics { loss: *loss, accuracy: (index > 0).then_some(0.5) },
        };
        losses.iter().enumerate().map(point).collect()
    }

    fn curves() -> TrainingCurves {
        let lion = ProgramCurves {
            name: "lion".to_owned(),
            runs: vec![(7, curve(&[1.0, 0.5])), (8, curve(&[3.0, 1.5]))],
        };
        let stopped = ProgramCurves {
            name: "a, b".to_owned(),
            runs: vec![(7, curve(&[1.0])), (8, curve(&[2.0, 1.0]))],
        };
        TrainingCurves { task: "mine".to_owned(), programs: vec![lion, stopped] }
    }

    #[test]
    fn every_point_of_every_run_is_a_line_of_the_table() {
        let csv = curves().csv().unwrap();
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines.len(), 1 + 7, "{csv}");
        assert_eq!(lines[0], "program,seed,step,training_loss,validation_loss,accuracy");
        assert_eq!(lines[1], "lion,7,10,0.5,1,");
        assert_eq!(lines[4], "lion,8,20,0.75,1.5,0.5");
        assert_eq!(lines[5], "\"a, b\",7,10,0.5,1,");
    }

    #[test]
    fn the_chart_has_means_with_their_errors_as_far_as_all_runs_go() {
        let chart = curves().chart();
        let points: Vec<Vec<(f64, f64)>> = chart.panels[0]
            .series
            .iter()
            .map(|series| series.points.iter().map(|point| (point.x, point.y)).collect())
            .collect();
        assert_eq!(points, [vec![(10.0, 2.0), (20.0, 1.0)], vec![(10.0, 1.5)]]);
        assert_eq!(chart.panels[0].series[0].points[0].band, Some((1.0, 3.0)));
        assert_eq!(chart.panels[1].series[0].points[0].y, 1.0);
        assert_eq!(curves().validation_chart().title, "Training on mine, mean over 2 seeds");
    }
}
