//! `symopt inspect PROGRAM --tasks SUITE`

use std::io::Write;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use symopt_proxy_tasks::sample::Criterion;
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_search::judge::judge_of_directions;
use symopt_search::judge::purpose::Purpose;
use symopt_search::store::program_source::Found;
use symopt_studies::importance::{Importance, ImportanceReport, importance};
use symopt_studies::trials::Trials;

use crate::failure::Failure;
use crate::progress::CountLine;
use crate::{interrupt, named_program, options, table, terminal};

#[derive(Args)]
pub struct ImportanceOptions {
    /// Show how much each statement matters on the tasks of a suite: what changes when it is
    /// bypassed
    #[arg(long, value_name = "SUITE")]
    pub tasks: Option<String>,
    /// With --tasks: how many seeds to train with
    #[arg(
        long,
        default_value_t = 16,
        value_name = "N",
        requires = "tasks",
        value_parser = options::between::<2, 1000>,
        allow_negative_numbers = true
    )]
    seeds: u16,
}

/// Output of `--json`.
#[derive(Serialize)]
struct Json<'a> {
    program: &'a str,
    suite: &'a str,
    #[serde(flatten)]
    report: &'a ImportanceReport,
}

/// Prints the importance of each statement of a PROGRAM argument on a suite.
pub fn run(
    name: &str,
    suite: &str,
    options: &ImportanceOptions,
    json: bool,
) -> Result<(), Failure> {
    let Found { program, direction } = named_program::found(name)?;
    let source = SuiteSource::find(suite)?;
    let tasks = Arc::new(source.suite()?);
    let cancel = interrupt::token()?;
    let line = CountLine::new("trainings");
    let observe = |done: usize, total: usize| line.draw(done as u64, total as u64);
    let zoo_name = symopt_programs::find(name).map(|entry| entry.name);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let seeds = usize::from(options.seeds);
    let judge = direction.map(|direction| {
        let tuning_seeds = direction.fitness.tuning_seeds;
        judge_of_directions(&tasks, Purpose::Simplification, seeds, tuning_seeds, &cancel)
    });
    let judge = judge.transpose()?;
    let trials = match &judge {
        Some(judge) => {
            let criterion = Criterion::default();
            Trials::of_directions(&tasks, judge, seeds, criterion, threads, &cancel, &observe)
        }
        None => Trials::new(
            &tasks,
            zoo_name,
            &Trials::seeds(seeds),
            Criterion::default(),
            threads,
            &cancel,
            &observe,
        ),
    };
    let report = trials.and_then(|mut trials| {
        trials.tune(&program)?;
        importance(&program, &mut trials)
    });
    line.finish();
    let report = report?;
    let mut out = terminal::output();
    if json {
        serde_json::to_writer_pretty(
            &mut out,
            &Json { program: &program.signature().name, suite: &tasks.name, report: &report },
        )?;
        return Ok(out.write_all(b"\n")?);
    }
    let (name, against) = (&program.signature().name, tasks.baseline_origin().behind());
    let text = format!(
        "{name} on the suite {}, over {} seeds: fitness {}{against}",
        tasks.name, report.seeds, report.fitness
    );
    table::paragraph(&mut out, &text)?;
    if judge.is_some() {
        table::paragraph(
            &mut out,
            "a direction: with every change at the learning rate and the decay that suit it on each task",
        )?;
    }
    Ok(print(&mut out, &report)?)
}

fn print(out: &mut impl Write, report: &ImportanceReport) -> std::io::Result<()> {
    if report.factors.iter().any(|(_, factor)| *factor != 1.0) {
        let factors: Vec<String> =
            report.factors.iter().map(|(task, factor)| format!("{task} {factor:.3}")).collect();
        table::paragraph(
            out,
            &format!("its update is multiplied by what suits each task: {}", factors.join(", ")),
        )?;
    }
    let text = "changes when a statement is bypassed in the way that costs the least (± is the standard error, paired over the seeds):";
    table::paragraph(out, &format!("{text}\n"))?;
    let mut rows = vec![["STATEMENT", "FITNESS", "UPDATE", "BYPASS"].map(str::to_owned).to_vec()];
    for Importance {
        text, bypass, fitness_change, standard_error, diverges, update_change, ..
    } in &report.statements
    {
        let error =
            standard_error.map_or_else(String::new, |error| format!(" ± {:.2}", 100.0 * error));
        let fitness = match fitness_change {
            Some(change) => format!("{:+.2}{error} %", 100.0 * change),
            None => (if *diverges { "diverges" } else { "-" }).to_owned(),
        };
        let update = match update_change {
            Some(change) if *change < 10.0 => format!("{:.1} %", 100.0 * change),
            Some(change) => format!("{change:.0} times"),
            None => (if bypass.is_some() { "not finite" } else { "-" }).to_owned(),
        };
        rows.push(vec![
            text.clone(),
            fitness,
            update,
            bypass.clone().unwrap_or_else(|| "none".to_owned()),
        ]);
    }
    table::print(out, &rows, &[1, 2], &[(0, usize::MAX), (3, usize::MAX)])
}
