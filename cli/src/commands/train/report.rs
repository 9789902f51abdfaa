//! Output of `symopt train`.

use std::io::Write;
use std::path::Path;

use serde::Serialize;
use symopt_proxy_tasks::constants::Origin;
use symopt_proxy_tasks::run::{Metrics, Run, StopReason};
use symopt_proxy_tasks::sample::standard_error;
use symopt_proxy_tasks::tuning::rule_of_thumb::{AdamwConstants, ENDS};
use symopt_studies::training_curves::{ProgramCurves, TrainingCurves};

use super::contender::Contender;
use crate::failure::Failure;
use crate::terminal::Output;
use crate::{table, terminal};

/// Columns of the chart at most: a wider one is no easier to read.
const CHART: usize = 100;

/// How a program trained.
#[derive(Serialize)]
pub struct Training {
    program: String,
    /// Functional hash of the program.
    hash: String,
    constants: String,
    /// Where the constants come from, of a program of the zoo.
    origin: Option<Origin>,
    #[serde(skip)]
    called: String,
    peak_lr: f64,
    hyperparameters: Vec<(String, f64)>,
    runs: Vec<SeedRun>,
    /// Means over the seeds; `None` unless every run completed.
    mean: Option<Metrics>,
    /// Standard error of the validation loss over the seeds.
    standard_error: Option<f64>,
    /// Against the program that all others are compared with; `None` for that one.
    against: Option<Comparison>,
}

#[derive(Serialize)]
pub struct SeedRun {
    seed: u64,
    milliseconds: f64,
    /// Steps that an earlier session had done.
    #[serde(skip_serializing_if = "Option::is_none")]
    resumed_at: Option<usize>,
    #[serde(flatten)]
    run: Run,
}

/// A program against another one on the same seeds.
#[derive(Serialize)]
struct Comparison {
    program: String,
    /// With how it is run, if that is not tuned.
    called: String,
    /// Mean share of the other's validation loss that is saved; `None` unless every run of both
    /// completed.
    saved: Option<f64>,
    /// Standard error of that over the seeds.
    standard_error: Option<f64>,
}

impl SeedRun {
    pub fn new(seed: u64, run: Run, resumed_at: Option<usize>) -> SeedRun {
        SeedRun { seed, milliseconds: 1e3 * run.elapsed.as_secs_f64(), resumed_at, run }
    }

    /// Whether all steps were done.
    pub fn completed(&self) -> bool {
        self.run.stop == StopReason::Completed
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

impl Training {
    pub fn new(contender: &Contender, runs: Vec<SeedRun>) -> Training {
        let finals: Option<Vec<Metrics>> = runs.iter().map(|run| run.run.final_metrics()).collect();
        let finals = finals.filter(|finals| !finals.is_empty());
        let losses = |finals: &[Metrics]| finals.iter().map(|m| m.loss).collect::<Vec<f64>>();
        let hash = symopt_dsl::Graph::new(&contender.program)
            .map_or_else(|_| String::new(), |graph| graph.hash().to_string());
        Training {
            program: contender.label.clone(),
            hash,
            constants: contender.constants(),
            origin: contender.origin(),
            called: contender.called(),
            peak_lr: contender.peak_lr,
            hyperparameters: contender.hyperparameters.clone(),
            mean: finals.as_deref().map(|finals| Metrics {
                loss: mean(&losses(finals)),
                accuracy: finals
                    .iter()
                    .map(|m| m.accuracy)
                    .collect::<Option<Vec<f64>>>()
                    .map(|values| mean(&values)),
            }),
            standard_error: finals.as_deref().and_then(|finals| standard_error(&losses(finals))),
            runs,
            against: None,
        }
    }

    /// Whether no run has come to a checkpoint.
    pub fn is_empty(&self) -> bool {
        self.runs.iter().all(|run| {
            run.run.curve.is_empty() && matches!(run.run.stop, StopReason::Stopped { .. })
        })
    }

    /// The share of another's validation loss that is saved, seed by seed.
    fn saved(&self, other: &Training) -> Option<Vec<f64>> {
        if self.runs.len() != other.runs.len() {
            return None;
        }
        let pairs = self.runs.iter().zip(&other.runs).map(|(a, b)| {
            let (a, b) = (a.run.final_metrics()?.loss, b.run.final_metrics()?.loss);
            Some((b - a) / b)
        });
        pairs.collect::<Option<Vec<f64>>>().filter(|differences| !differences.is_empty())
    }
}

/// Compares all trainings with the one at a place, if it took place.
pub fn compare(trainings: &mut [Training], reference: usize) {
    let Some(other) = trainings.get(reference) else { return };
    let of = |training: &Training| {
        let saved = training.saved(other);
        let (saved, standard_error) =
            (saved.as_deref().map(mean), saved.as_deref().and_then(standard_error));
        Comparison {
            program: other.program.clone(),
            called: other.called.clone(),
            saved,
            standard_error,
        }
    };
    let comparisons: Vec<Comparison> = trainings.iter().map(of).collect();
    for (place, (training, comparison)) in trainings.iter_mut().zip(comparisons).enumerate() {
        training.against = (place != reference).then_some(comparison);
    }
}

/// The curves of all runs.
pub fn curves(task: &str, trainings: &[Training]) -> TrainingCurves {
    let of = |training: &Training| ProgramCurves {
        name: training.program.clone(),
        runs: training.runs.iter().map(|run| (run.seed, run.run.curve.clone())).collect(),
    };
    TrainingCurves { task: task.to_owned(), programs: trainings.iter().map(of).collect() }
}

pub fn print_json(out: &mut impl Write, trainings: &[Training]) -> Result<(), Failure> {
    serde_json::to_writer_pretty(&mut *out, &trainings)?;
    Ok(out.write_all(b"\n")?)
}

/// All of it, for people.
pub fn print(
    out: &mut Output,
    curves: &TrainingCurves,
    trainings: &[Training],
    from_adamw: Option<AdamwConstants>,
) -> Result<(), Failure> {
    writeln!(out, "task {}", curves.task)?;
    if let Some(constants) = from_adamw {
        print_rule(out, constants)?;
    }
    for training in trainings {
        print_training(out, training)?;
    }
    if curves.programs.iter().any(|program| program.runs.iter().any(|(_, curve)| !curve.is_empty()))
    {
        writeln!(out)?;
        out.write_painted(
            &curves.validation_chart().text(terminal::columns().min(CHART), terminal::color()),
        )?;
    }
    let mut before = "\n";
    for training in trainings {
        let Some(comparison) = &training.against else { continue };
        print_comparison(out, before, training, comparison)?;
        before = "";
    }
    Ok(())
}

/// Both ends of the rule of thumb.
fn print_rule(out: &mut impl Write, constants: AdamwConstants) -> std::io::Result<()> {
    let AdamwConstants { peak_lr, weight_decay } = constants;
    let [near, far] = ENDS;
    let [product, peak, decay] =
        [peak_lr * weight_decay, peak_lr, weight_decay].map(table::rounded);
    table::paragraph(
        out,
        &format!(
            "\nAdamW's learning rate {peak} and weight decay {decay} are, by the rule of thumb for sign-like programs:"
        ),
    )?;
    for factor in [near, far] {
        let [peak, decay] = [peak_lr / factor, weight_decay * factor].map(table::rounded);
        table::indented(
            out,
            &format!(
                "learning rate / {factor} = {peak}, weight decay × {factor} = {decay}; their product stays {product}"
            ),
        )?;
    }
    Ok(())
}

fn print_training(out: &mut impl Write, training: &Training) -> std::io::Result<()> {
    let hyperparameters: Vec<String> = training
        .hyperparameters
        .iter()
        .map(|(name, value)| format!(", {name} {}", table::rounded(*value)))
        .collect();
    let Training { program, constants, peak_lr, .. } = training;
    table::paragraph(
        out,
        &format!(
            "\n{program}: peak learning rate {}{} ({constants})",
            table::rounded(*peak_lr),
            hyperparameters.concat()
        ),
    )?;
    let mut lines =
        vec![["STEP", "TRAINING LOSS", "VALIDATION LOSS", "ACCURACY"].map(str::to_owned).to_vec()];
    if let Some(first) = training.runs.first() {
        writeln!(out, "curve of seed {}, {:.1} ms:", first.seed, first.milliseconds)?;
        for checkpoint in &first.run.curve {
            lines.push(vec![
                checkpoint.step.to_string(),
                format!("{:.4}", checkpoint.training_loss),
                format!("{:.4}", checkpoint.validation.loss),
                accuracy(checkpoint.validation),
            ]);
        }
        table::print(out, &lines, &[0, 1, 2, 3], &[])?;
    }
    for run in &training.runs {
        if let Some(step) = run.resumed_at {
            writeln!(out, "seed {}: resumed at step {step}", run.seed)?;
        }
        match &run.run.stop {
            StopReason::Completed => {}
            StopReason::Failed(failure) => {
                table::paragraph(out, &format!("seed {}: failed: {failure}", run.seed))?
            }
            StopReason::Diverged { step } => {
                writeln!(out, "seed {}: diverged at step {step}", run.seed)?
            }
            StopReason::Stopped { step } => {
                writeln!(out, "seed {}: interrupted at step {step}", run.seed)?
            }
        }
    }
    if let Some(mean) = training.mean {
        let spread =
            training.standard_error.map_or_else(String::new, |error| format!(" ± {error:.4}"));
        let accuracy =
            mean.accuracy.map_or_else(String::new, |a| format!(", accuracy {:.2} %", 100.0 * a));
        table::paragraph(
            out,
            &format!(
                "final validation loss over {} seeds: {:.4}{spread}{accuracy}",
                training.runs.len(),
                mean.loss
            ),
        )?;
    }
    Ok(())
}

fn accuracy(metrics: Metrics) -> String {
    metrics.accuracy.map_or_else(|| "-".to_owned(), |accuracy| format!("{:.2} %", 100.0 * accuracy))
}

fn print_comparison(
    out: &mut impl Write,
    before: &str,
    training: &Training,
    comparison: &Comparison,
) -> std::io::Result<()> {
    let (a, b) = (&training.program, &comparison.called);
    let Some(saved) = comparison.saved else {
        return table::paragraph(
            out,
            &format!("{before}no comparison of {a} with {b}: not every run completed"),
        );
    };
    let spread = comparison
        .standard_error
        .map_or_else(String::new, |error| format!(" ± {:.2}", 100.0 * error));
    let seeds = training.runs.len();
    table::paragraph(
        out,
        &format!(
            "{before}{a} against {b}: {:+.2}{spread} % validation loss saved, paired over {seeds} seeds",
            100.0 * saved
        ),
    )
}

/// Prints the written files, and how to resume an interrupted training.
pub fn print_end<'a>(
    out: &mut impl Write,
    written: impl Iterator<Item = &'a Path>,
    interrupted: Option<&Path>,
) -> Result<(), Failure> {
    let mut before = "\n";
    for path in written {
        writeln!(out, "{before}written: {}", path.display())?;
        before = "";
    }
    if let Some(directory) = interrupted {
        writeln!(out, "{before}{}", self::interrupted(directory))?;
    }
    Ok(())
}

/// Returns the message at the end of an interrupted training.
pub fn interrupted(checkpoints: &Path) -> String {
    format!(
        "interrupted; the same command goes on from the checkpoints in {}",
        checkpoints.display()
    )
}
