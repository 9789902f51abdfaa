//! Campaigns of `symopt search` and `symopt resume`: several searches in one directory.

use std::io::Write;
use std::path::Path;

use serde::Serialize;
use symopt_cancel::CancelToken;
use symopt_dsl::shell::Command;
use symopt_proxy_tasks::sample::Gain;
use symopt_proxy_tasks::suite::BaselineOrigin;
use symopt_search::StopReason;
use symopt_search::launch::Finished;
use symopt_studies::StudyError;
use symopt_studies::fresh_seeds::{Judged, Progress};
use symopt_studies::restarts::{Campaign, Comparison, Ended, PlannedSearch, plan};

use crate::execution::Execution;
use crate::failure::Failure;
use crate::progress::{CountLine, ProgressLine};
use crate::{hint, progress, table, terminal};

/// Output of `--json`.
#[derive(Serialize)]
struct Report<'a> {
    campaign: String,
    interrupted: bool,
    searches: Vec<Search<'a>>,
    comparisons: &'a [Comparison],
    /// Where the constants of AdamW on the last suite, which gains are over, come from.
    baseline: BaselineOrigin,
    held_out_seeds: u16,
}

#[derive(Serialize)]
struct Search<'a> {
    #[serde(flatten)]
    ended: &'a Ended,
    suite: &'a str,
    seed: u64,
    /// On seeds that nothing else has seen, on the suite of the last search; none if that was left
    /// out.
    held_out: Option<&'a Judged>,
}

/// Runs a campaign to its end or until somebody wants it to stop, and reports.
pub fn execute(
    mut campaign: Campaign,
    path: &Path,
    execution: &Execution,
    cancel: &CancelToken,
) -> Result<(), Failure> {
    let threads = execution.threads();
    let mut interrupted = false;
    execution.show(path)?;
    if !execution.json {
        let config = campaign.config();
        let steps = plan(config);
        let mut out = terminal::output();
        writeln!(out, "campaign: {}", path.display())?;
        writeln!(
            out,
            "{} searches from {}, seed {}, {} of them done",
            steps.len(),
            config.initial,
            config.seed,
            campaign.ended().len()
        )?;
    }
    while let Some(step) = campaign.next() {
        match search(&mut campaign, &step, execution, threads, cancel) {
            Ok(true) => {}
            Err(error) if !error.is_cancelled() => return Err(error.into()),
            Ok(false) | Err(_) => {
                interrupted = true;
                break;
            }
        }
    }
    let held_out_seeds = execution.held_out(false);
    let mut held_out = Vec::new();
    if !interrupted && held_out_seeds > 0 {
        let line = CountLine::new("best programs on held-out seeds");
        let draw = |progress: Progress| line.draw(progress.done as u64, progress.total as u64);
        let judged = campaign.report(usize::from(held_out_seeds), threads, cancel, &draw);
        line.finish();
        match judged {
            Ok(judged) => held_out = judged,
            Err(error) if error.is_cancelled() => interrupted = true,
            Err(error) => return Err(error.into()),
        }
    }
    let steps = plan(campaign.config());
    let of_name =
        |name: &str| held_out.iter().find(|(other, _)| other == name).map(|(_, judged)| judged);
    let rows = steps.iter().zip(campaign.ended());
    let searches: Vec<Search> = rows
        .map(|(step, ended)| Search {
            ended,
            suite: &step.suite,
            seed: step.seed,
            held_out: of_name(&ended.name),
        })
        .collect();
    let mut out = terminal::output();
    if execution.json {
        let report = Report {
            campaign: path.display().to_string(),
            interrupted,
            searches,
            comparisons: campaign.comparisons(),
            baseline: campaign.baseline_origin()?,
            held_out_seeds,
        };
        serde_json::to_writer_pretty(&mut out, &report)?;
        out.write_all(b"\n")?;
        if interrupted {
            progress::note(&format!(
                "interrupted; `{}` goes on",
                execution.given(Command::new("resume").operand(path))
            ));
        }
        return Ok(());
    }
    print(&mut out, &searches, steps.last(), &campaign.baseline_origin()?, held_out_seeds)?;
    writeln!(out, "\nto go on:")?;
    if interrupted {
        hint::print(&mut out, &execution.given(Command::new("resume").operand(path)))?;
    }
    let best = searches.iter().filter(|search| search.held_out.is_some()).min_by(|a, b| {
        match (a.held_out, b.held_out) {
            (Some(a), Some(b)) => a.better_first(b),
            _ => std::cmp::Ordering::Equal,
        }
    });
    if let Some(best) = best.or(searches.last()) {
        let program = hint::program(&path.join(&best.ended.name), &best.ended.best.hash);
        hint::print(&mut out, &Command::new("inspect").operand(program).flag("--lineage"))?;
    }
    Ok(hint::print(&mut out, &Command::new("funnel").operand(path))?)
}

/// Runs the next search. False if somebody wants it to stop.
fn search(
    campaign: &mut Campaign,
    step: &PlannedSearch,
    execution: &Execution,
    threads: usize,
    cancel: &CancelToken,
) -> Result<bool, StudyError> {
    let line = CountLine::new("best programs compared");
    let draw = |progress: Progress| line.draw(progress.done as u64, progress.total as u64);
    let launch = campaign.launch(step, threads, cancel, &draw);
    line.finish();
    let launch = launch?.with_proposer(execution.proposals.clone());
    let from = launch.config().initial.clone();
    let adamw = launch.suite().baseline_origin();
    let mut line = ProgressLine::new(&launch.config().limits).against(&adamw);
    let result = launch.run(threads, cancel, &mut |progress| line.draw(progress));
    line.finish();
    let Finished { result, .. } = result?;
    let ended = result.stop != StopReason::Cancelled;
    if ended {
        campaign.end(&result)?;
    }
    if !execution.json {
        // A reader that has gone away is noticed at the end.
        let _ = writeln!(
            terminal::output(),
            "{} on the suite {}, seed {}, from {from}: best {}{}, {} programs; {}",
            step.name,
            step.suite,
            step.seed,
            result.best.fitness,
            adamw.behind(),
            result.statistics.generated,
            result.stop
        );
    }
    Ok(ended && !cancel.is_cancelled())
}

fn print(
    out: &mut impl Write,
    searches: &[Search],
    last: Option<&PlannedSearch>,
    adamw: &BaselineOrigin,
    held_out: u16,
) -> std::io::Result<()> {
    if searches.is_empty() {
        return Ok(());
    }
    let with_gains = searches.iter().any(|search| search.held_out.is_some());
    writeln!(out)?;
    if let (true, Some(last)) = (with_gains, last) {
        let over = format!(
            "on the suite {} (± is the standard error over {held_out} held-out seeds)",
            last.suite
        );
        table::paragraph(out, &format!("gain of the best programs over {adamw} {over}:\n"))?;
    }
    let mut heading = vec!["SEARCH", "SUITE", "SEED", "PROGRAMS", "EVALUATED", "SEARCH SEEDS"];
    if with_gains {
        heading.push("HELD-OUT SEEDS");
    }
    let mut lines = vec![heading.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    for search in searches {
        let Ended { name, generated, evaluated, best, .. } = search.ended;
        let mut cells = vec![
            name.clone(),
            search.suite.to_owned(),
            search.seed.to_string(),
            generated.to_string(),
            evaluated.to_string(),
        ];
        cells.push(best.fitness.to_string());
        cells.extend(search.held_out.map(|judged| Gain::text(judged.gain)));
        lines.push(cells);
    }
    table::print(out, &lines, &[2, 3, 4, 5, 6], &[])
}
