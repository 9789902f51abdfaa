//! Runs a search that is set up, and reports what it found.

use std::io::Write;
use std::path::Path;

use serde::Serialize;
use symopt_analysis::equivalence::RandomStreams;
use symopt_analysis::simplify::{Label, Options, simplify};
use symopt_cancel::CancelToken;
use symopt_dsl::shell::Command;
use symopt_dsl::{Graph, Program};
use symopt_proxy_tasks::constants::Tuned;
use symopt_proxy_tasks::error::TaskError;
use symopt_proxy_tasks::sample::Gain;
use symopt_proxy_tasks::suite::{BASELINE, BaselineOrigin, Suite, WeightedTask};
use symopt_proxy_tasks::task::RunCount;
use symopt_search::StopReason;
use symopt_search::config::{Form, MutationConfig, SearchConfig};
use symopt_search::engine::SearchResult;
use symopt_search::engine::operators::OperatorYield;
use symopt_search::journal::CheckedStore;
use symopt_search::judge::{Settled, first_seeds};
use symopt_search::launch::{Finished, Launch, LaunchError};
use symopt_search::store::failures::Failures;
use symopt_search::store::hall_of_fame::{Entry, hall_of_fame};
use symopt_search::store::statistics::Statistics;
use symopt_studies::StudyError;
use symopt_studies::comparison::{self, Row};
use symopt_studies::finalists::Race;

use super::finalists;
use crate::commands::top::print_short_front;
use crate::execution::{Execution, count_of};
use crate::failure::Failure;
use crate::progress::{CountLine, ProgressLine, clock};
use crate::{hint, progress, table, terminal};

/// Output of `--json`.
#[derive(Serialize)]
struct Report {
    store: String,
    stop: StopReason,
    seconds: f64,
    evaluating_seconds: f64,
    /// Since the search began or was resumed, what was done in that time. Like the other times
    /// these are not the search's result, and differ from run to run.
    session_seconds: f64,
    generated_in_session_seconds: u64,
    evaluated_in_session_seconds: u64,
    statistics: Statistics,
    /// Yield of each operator.
    operators: Vec<OperatorYield>,
    /// The programs that no other beats in all of fitness, length and memory, as `symopt top` lists
    /// them.
    front: Vec<Entry>,
    /// The same over the programs generated: what the paper's figure shows.
    history: Vec<Statistics>,
    cache_hit_rate: f64,
    redundant_share: f64,
    best: BestReport,
    /// Evaluations that failed, by what went wrong.
    failures: Vec<Failures>,
    /// AdamW, which all fitness is measured against: its constants on each task, and where they
    /// come from.
    baseline: Vec<BaselineReport>,
    /// Training runs of the user's commands in this session.
    #[serde(skip_serializing_if = "Option::is_none")]
    command_runs: Option<RunCount>,
    comparison: Option<Vec<Row>>,
    /// The front on fresh seeds.
    race: Option<Race>,
}

#[derive(Serialize)]
struct BaselineReport {
    task: String,
    #[serde(flatten)]
    tuned: Tuned,
}

impl BaselineReport {
    fn of(suite: &Suite) -> Vec<BaselineReport> {
        let of_task = |task: &WeightedTask| {
            let mut tuned = task.constants(BASELINE, false)?.clone();
            // Said in any case.
            tuned.origin = task.origin(BASELINE);
            Some(BaselineReport { task: task.task.name().to_owned(), tuned })
        };
        suite.tasks.iter().filter_map(of_task).collect()
    }
}

#[derive(Serialize)]
struct BestReport {
    hash: String,
    fitness: symopt_proxy_tasks::suite::Fitness,
    program: String,
    pruned: String,
    /// By algebra.
    simplified: String,
    /// In which sense that is equal.
    label: Label,
}

/// Runs a search that is set up, and reports.
pub fn execute(
    launch: Launch,
    store: &Path,
    execution: &Execution,
    cancel: &CancelToken,
) -> Result<(), Failure> {
    let threads = execution.threads();
    if !execution.json {
        let config = launch.config();
        let mut out = terminal::output();
        writeln!(out, "store: {}", store.display())?;
        writeln!(
            out,
            "search from {} on the suite {}, seed {}, {}",
            config.initial,
            config.suite,
            config.seed,
            count_of(threads)
        )?;
    }
    let (searched, limits, stored_limits) = (
        launch.config().suite.clone(),
        launch.config().limits.clone(),
        launch.stored_limits().clone(),
    );
    let config = launch.config().clone();
    let launch = asking(launch, execution)?;
    execution.show(store)?;
    let adamw = launch.suite().baseline_origin();
    if !execution.json && !adamw.is_tuned() {
        writeln!(terminal::output(), "fitness is measured against {adamw}")?;
    }
    let mut line = ProgressLine::new(&config.limits).against(&adamw);
    let result = launch.run(threads, cancel, &mut |progress| line.draw(progress));
    line.finish();
    let Finished { result, suite, history, .. } =
        result.map_err(|error| interrupted_first(error, store))?;
    // The search is over, so that nothing is lost where it can't be read.
    let front = CheckedStore::of(store).and_then(|store| hall_of_fame(&store)).unwrap_or_default();
    let graph =
        Graph::new(&result.best.program).map_err(|errors| Failure::Work(format!("{errors:?}")))?;
    let pruned = result.best.program.pruned(&graph);
    let derivation =
        simplify(&result.best.program, &Options::default(), &mut RandomStreams::default());

    let held_out = execution.held_out(suite.is_external());
    let compared = match held_out {
        // An interrupted search reports what it has at once.
        0 => Ok(None),
        _ if cancel.is_cancelled() => Ok(None),
        held_out => {
            compare(&result, &pruned, &config, &suite, usize::from(held_out), threads, cancel)
        }
    };
    // The search's result is reported even if the comparison fails.
    let (comparison, failed) = match compared {
        Ok(rows) => (rows, None),
        Err(error) => (None, Some(error)),
    };
    let settled = match config.fitness.form {
        Form::Program => None,
        Form::Direction => {
            let best = &result.best;
            match Settled::new(&best.program, &best.settings, &suite.tasks, cancel) {
                // An interrupted search is reported at once, without the runs that this takes.
                Err(TaskError::Cancelled(_)) => None,
                settled => settled?,
            }
        }
    };
    let raced = match held_out {
        // Every run of a command is the user's time.
        _ if failed.is_some() || suite.is_external() => Ok(None),
        0 => Ok(None),
        _ => {
            let size = (held_out, result.statistics.evaluated);
            finalists::race(&front, &suite, config.fitness.form, size, threads, cancel)
        }
    };
    let (race, failed) = match raced {
        Ok(race) => (race, failed),
        Err(error) => (None, Some(error)),
    };
    // The search has ended, and its comparison has not: that is made again when the search is
    // resumed as it is.
    let compared = !cancel.is_cancelled() || result.stop == StopReason::Cancelled;
    let further = if compared { hint::further(&result, &limits) } else { limits };
    let resume = execution.given(hint::resume(store, &further, &stored_limits));
    let mut out = terminal::output();
    if execution.json {
        let report = Report {
            store: store.display().to_string(),
            stop: result.stop,
            seconds: result.elapsed.as_secs_f64(),
            evaluating_seconds: result.evaluating.as_secs_f64(),
            session_seconds: result.session.elapsed.as_secs_f64(),
            generated_in_session_seconds: result.session.generated,
            evaluated_in_session_seconds: result.session.evaluated,
            cache_hit_rate: result.statistics.cache_hit_rate(),
            redundant_share: result.statistics.redundant_share(),
            best: BestReport {
                hash: result.best.hash.to_string(),
                fitness: result.best.fitness,
                program: result.best.program.to_string(),
                pruned: pruned.to_string(),
                simplified: derivation.result().to_string(),
                label: derivation.label(),
            },
            statistics: result.statistics,
            operators: result.operators,
            front,
            failures: result.failures,
            history,
            baseline: BaselineReport::of(&suite),
            command_runs: suite.is_external().then(|| suite.run_count()),
            comparison,
            race,
        };
        serde_json::to_writer_pretty(&mut out, &report)?;
        out.write_all(b"\n")?;
        if cancel.is_cancelled() {
            progress::note(&format!("interrupted; `{resume}` goes on"));
        }
        return failed.map_or(Ok(()), Err);
    }
    print_result(&mut out, &result, &pruned.to_string(), &adamw, threads)?;
    if !front.is_empty() {
        table::paragraph(
            &mut out,
            "\nthe front, which no other program beats in all of fitness, length and memory:\n",
        )?;
        print_short_front(&mut out, &front)?;
    }
    print_operators(&mut out, &result.operators, &config)?;
    if let Some(settled) = &settled {
        print_constants(&mut out, settled, &suite)?;
    }
    if suite.is_external() {
        let RunCount { made, failed } = suite.run_count();
        writeln!(out, "\nruns of the command in this session: {made}, {failed} of them failed")?;
    }
    let (before, after) =
        (derivation.original.statements.len(), derivation.result().statements.len());
    if after < pruned.statements.len() {
        writeln!(
            out,
            "\nsimplified by algebra, from {before} statements to {after} (equal in the sense of the label `{}`):\n",
            derivation.label()
        )?;
        writeln!(out, "{}", derivation.result().to_string().trim_end())?;
    }
    if let Some(rows) = &comparison {
        print_comparison(&mut out, rows, &adamw, config.fitness.form, held_out)?;
    }
    if let Some(race) = &race {
        finalists::print(&mut out, race, store)?;
    }
    let best = hint::program(store, &result.best.hash.to_string());
    writeln!(out, "\nto go on:")?;
    hint::print(&mut out, &Command::new("inspect").operand(&best).flag("--lineage"))?;
    hint::print(
        &mut out,
        &Command::new("simplify")
            .operand(&best)
            .flag("--ablate")
            .option_operand("--suite", &searched),
    )?;
    if let Some(task) = suite.tasks.first() {
        let task = format!("{searched}/{}", task.task.name());
        let train =
            Command::new("train").option_operand("--task", task).option_operand("--program", &best);
        hint::print(&mut out, &train.option("--vs", "adamw"))?;
    }
    hint::print(&mut out, &resume)?;
    let store = store.display();
    writeln!(out, "store: {store}")?;
    failed.map_or(Ok(()), Err)
}

/// The best program beside others on held-out seeds; `None` if somebody wants the end.
fn compare(
    result: &SearchResult,
    pruned: &Program,
    config: &SearchConfig,
    suite: &Suite,
    held_out: usize,
    threads: usize,
    cancel: &CancelToken,
) -> Result<Option<Vec<Row>>, Failure> {
    let contenders = match comparison::contenders(result, pruned, config, suite, cancel) {
        Err(StudyError::Cancelled(_)) => return Ok(None),
        contenders => contenders?,
    };
    let line = CountLine::new("of the comparison on held-out seeds");
    let rows = comparison::compare(
        suite,
        &contenders,
        &first_seeds(config, suite),
        held_out,
        threads,
        cancel,
        &|done, total| line.draw(done as u64, total as u64),
    );
    line.finish();
    match rows {
        Ok(rows) => Ok(Some(rows)),
        Err(StudyError::Cancelled(_)) => Ok(None),
        Err(error) => Err(Failure::Work(format!("no comparison on held-out seeds: {error}"))),
    }
}

/// Prints the constants that a direction was run with on each task.
fn print_constants(out: &mut impl Write, settled: &Settled, suite: &Suite) -> std::io::Result<()> {
    writeln!(
        out,
        "\na direction: training applies w -= lr * (direction + weight_decay * w), at its best with"
    )?;
    for (candidate, task) in settled.candidates().iter().zip(&suite.tasks) {
        let decay = candidate.hyperparameters.first().map_or(0.0, |(_, value)| *value);
        writeln!(
            out,
            "  {}: lr {}, weight_decay {}",
            task.task.name(),
            table::rounded(candidate.peak_lr),
            table::rounded(decay)
        )?;
    }
    Ok(())
}

/// The search with the command that proposes children of it, if one is given.
fn asking(launch: Launch, execution: &Execution) -> Result<Launch, Failure> {
    if execution.proposals.is_some() && launch.config().mutation.proposals == 0.0 {
        return Err(Failure::Input(
            "the search was begun without proposals (mutation.proposals = 0), so no command is \
             asked for any; leave --proposals out, or begin another search"
                .to_owned(),
        ));
    }
    Ok(launch.with_proposer(execution.proposals.clone()))
}

/// Prints the yields of the operators, where there is more than mutations by fixed weights.
fn print_operators(
    out: &mut impl Write,
    operators: &[OperatorYield],
    config: &SearchConfig,
) -> std::io::Result<()> {
    let MutationConfig { crossover, proposals, bandit, .. } = config.mutation;
    if crossover == 0.0 && proposals == 0.0 && !bandit {
        return Ok(());
    }
    let heading = ["OPERATOR", "SHARE", "CHILDREN", "EVALUATED", "BETTER", "YIELD", "FAILED"];
    let mut lines = vec![heading.map(str::to_owned).to_vec()];
    for operator in operators {
        let gain = match operator.evaluated {
            0 => "-".to_owned(),
            evaluated => format!("{:.2} %", 100.0 * operator.better as f64 / evaluated as f64),
        };
        lines.push(vec![
            operator.operator.to_string(),
            format!("{:.1} %", 100.0 * operator.share),
            operator.children.to_string(),
            operator.evaluated.to_string(),
            operator.better.to_string(),
            gain,
            operator.failed.to_string(),
        ]);
    }
    writeln!(out)?;
    table::print(out, &lines, &[1, 2, 3, 4, 5, 6], &[])?;
    let text = "share of the children at the end, children, evaluated ones, those better than their \
                parent (and as a share of the evaluated), answers that were no program";
    table::paragraph(out, text)
}

/// A search that was interrupted before it had a result says how it goes on.
fn interrupted_first(error: LaunchError, store: &Path) -> Failure {
    if error.is_cancelled() {
        return Failure::Work(format!(
            "interrupted before the first program was judged; `{}` goes on",
            Command::new("resume").operand(store)
        ));
    }
    error.into()
}

fn print_result(
    out: &mut impl Write,
    result: &SearchResult,
    pruned: &str,
    adamw: &BaselineOrigin,
    threads: usize,
) -> std::io::Result<()> {
    let statistics = &result.statistics;
    let seconds = result.elapsed.as_secs_f64().max(1e-3);
    let session = &result.session;
    // A resumed search has what an earlier session did, which took a time that nobody knows.
    let rate = |all: u64, now: u64| match session.rate(now) {
        _ if now == 0 && all > 0 => "none in this session".to_owned(),
        rate if now < all => format!("{now} in this session, {rate:.0}/s"),
        rate => format!("{rate:.0}/s"),
    };
    writeln!(out, "ended after {}: {}", clock(result.elapsed), result.stop)?;
    // Only a search that has screens speaks of them.
    let screened = if statistics.screened > 0 {
        format!("{} screened, ", statistics.screened)
    } else {
        String::new()
    };
    let counts = format!(
        "{} programs generated ({}), {screened}{} evaluated ({}; {} stopped as hopeless, {} diverged{})",
        statistics.generated,
        rate(statistics.generated, session.generated),
        statistics.evaluated,
        rate(statistics.evaluated, session.evaluated),
        statistics.hopeless,
        statistics.diverged,
        if statistics.failed > 0 {
            format!(", {} failed", statistics.failed)
        } else {
            String::new()
        }
    );
    table::paragraph(out, &counts)?;
    for failures in &result.failures {
        writeln!(out, "failed: {failures}")?;
    }
    let shares = format!(
        "cache hits {:.1} %, redundant statements {:.1} %, {:.1} % of the time of {} in evaluations",
        100.0 * statistics.cache_hit_rate(),
        100.0 * statistics.redundant_share(),
        100.0 * result.evaluating.as_secs_f64() / (seconds * threads as f64),
        count_of(threads)
    );
    table::paragraph(out, &shares)?;
    if result.best.index.is_none() {
        writeln!(out, "\nno program was better than the one that the search started from")?;
    } else if result.best.index.is_some_and(|index| index + 1 < result.initial_count as u64) {
        let count = result.initial_count;
        writeln!(
            out,
            "\nno program was better than the best of {count} that the search started from"
        )?;
    }
    writeln!(
        out,
        "\nbest program, fitness {}{} (redundant statements removed):\n\n{}",
        result.best.fitness,
        adamw.behind(),
        pruned.trim_end()
    )
}

fn print_comparison(
    out: &mut impl Write,
    rows: &[Row],
    adamw: &BaselineOrigin,
    form: Form,
    held_out: u16,
) -> std::io::Result<()> {
    let directions = if form == Form::Direction {
        "; directions at their best learning rate and decay on each task"
    } else {
        ""
    };
    let text = format!(
        "validation loss saved against {adamw} (more is better; ± is the standard error over {held_out} held-out seeds{directions}):"
    );
    table::paragraph(out, &format!("\n{text}\n"))?;
    let tasks: Vec<String> = rows
        .iter()
        .map(|row| &row.tasks)
        .max_by_key(|tasks| tasks.len())
        .into_iter()
        .flatten()
        .map(|(t, _)| t.clone())
        .collect();
    let mut lines = vec![
        ["PROGRAM", "SEARCH SEEDS", "HELD-OUT SEEDS", "BEST AHEAD BY"]
            .map(str::to_owned)
            .into_iter()
            .chain(tasks.clone())
            .collect::<Vec<_>>(),
    ];
    for row in rows {
        let spread =
            row.standard_error.map_or_else(String::new, |error| format!(" ± {:.2}", 100.0 * error));
        let mut cells = vec![
            row.name.clone(),
            row.search_seeds.to_string(),
            format!("{}{spread}", row.held_out),
            row.first_ahead.map_or_else(|| "-".to_owned(), |gain| Gain::text(Some(gain))),
        ];
        for task in &tasks {
            let mean = row.tasks.iter().find(|(name, _)| name == task);
            cells.push(
                mean.map_or_else(|| "-".to_owned(), |(_, mean)| format!("{:+.2} %", 100.0 * mean)),
            );
        }
        lines.push(cells);
    }
    let right: Vec<usize> = (1..lines[0].len()).collect();
    table::print(out, &lines, &right, &[])
}
