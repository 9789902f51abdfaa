//! `symopt train`

mod contender;
mod report;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use symopt_cancel::CancelToken;
use symopt_proxy_tasks::error::{SnapshotError, TaskError};
use symopt_proxy_tasks::run::snapshot::{Snapshot, weights_to_bytes};
use symopt_proxy_tasks::run::snapshot_store::SnapshotStore;
use symopt_proxy_tasks::run::{Checkpoint, Run, StopReason};
use symopt_proxy_tasks::suite::{Suite, WeightedTask};
use symopt_proxy_tasks::task::{ResumableTask, Verdict};
use symopt_proxy_tasks::tuning::rule_of_thumb::{self, AdamwConstants};

use crate::external::TaskCommand;
use crate::failure::Failure;
use crate::progress::TrainingLine;
use crate::{files, interrupt, options, progress, terminal};
use contender::{Contender, Task, Wanted};
use report::{SeedRun, Training};

#[derive(Args)]
pub struct Arguments {
    /// Task of a built-in suite, TASK or SUITE/TASK (`symopt tasks` lists them), or of your own,
    /// FILE/TASK
    #[arg(long, required_unless_present = "task_command", conflicts_with = "task_command")]
    task: Option<String>,
    #[command(flatten)]
    command: TaskCommand,
    /// Program to train with: zoo name, file, `-` or STORE:HASH; may be given several times: all
    /// train on the same seeds
    #[arg(long = "program", value_name = "PROGRAM", required = true)]
    programs: Vec<String>,
    /// Another program, as it stands, that all others are compared with; without it that is AdamW
    /// if it is among them, or the first
    #[arg(long, value_name = "PROGRAM")]
    vs: Option<String>,
    /// Set a hyperparameter, or the peak learning rate as `lr`, for all programs that have it;
    /// PROGRAM:NAME=VALUE for one of them
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = options::setting, allow_hyphen_values = true)]
    settings: Vec<(String, f64)>,
    /// Take constants that work with AdamW: sign-like programs such as lion train with lr / 3 and
    /// decay × 3, and with lr / 10 and decay × 10
    #[arg(long, value_name = "lr=LR,wd=DECAY")]
    from_adamw: Option<AdamwConstants>,
    /// With --from-adamw: divide and multiply by this instead of by 3 and by 10; may be given
    /// several times
    #[arg(long = "factor", value_name = "F", requires = "from_adamw", value_parser = options::factor, allow_negative_numbers = true)]
    factors: Vec<f64>,
    /// How many seeds to train with
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = options::between::<1, 1000>, allow_negative_numbers = true)]
    seeds: u16,
    /// Write all curves into FILE as a table: program, seed, step, losses, accuracy
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write the curves into FILE as a picture: means over the seeds with their standard errors
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Keep every run in DIR, checkpoint by checkpoint; the same command goes on from there, and
    /// ends with the same bits
    #[arg(long, value_name = "DIR")]
    checkpoint: Option<PathBuf>,
    /// Write the final weights into FILE, safetensors: of one run as ARRAY, of several as
    /// PROGRAM/SEED/ARRAY
    #[arg(long, value_name = "FILE.safetensors")]
    save: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let cancel = interrupt::token()?;
    // Programs train as they stand: so does AdamW, unless somebody wants it tuned.
    let task = arguments.command.or_named(arguments.task.as_deref(), 0, arguments.json, &cancel)?;
    let mut factors = arguments.factors.clone();
    factors.dedup();
    let wanted = Wanted {
        programs: &arguments.programs,
        vs: arguments.vs.as_deref(),
        settings: &arguments.settings,
        from_adamw: arguments.from_adamw,
        factors: if factors.is_empty() { &rule_of_thumb::ENDS } else { &factors },
    };
    let again = || arguments.command.or_named(arguments.task.as_deref(), 0, true, &cancel);
    let on = Task { task: &task, again: &again, cancel: &cancel };
    let (contenders, reference) = contender::contenders(&on, &wanted)?;
    // Output paths are checked before any work begins.
    for path in [&arguments.csv, &arguments.svg, &arguments.save].into_iter().flatten() {
        files::check_writable(path)?;
    }
    let seeds = Suite::held_out_seeds(usize::from(arguments.seeds));
    let keeper = Keeper::new(&task, arguments.checkpoint.as_deref(), arguments.save.is_some())?;
    let _lock = arguments
        .checkpoint
        .as_deref()
        .zip(keeper.as_ref())
        .map(|(path, keeper)| keeper.wait(path, &cancel))
        .transpose()?;
    if let Some(keeper) = &keeper {
        keeper.check(&contenders, &seeds)?;
    }
    let mut line = TrainingLine::new(contenders.len() * seeds.len() * task.task.checkpoints());
    let (mut trainings, mut finals) = (Vec::new(), Vec::new());
    for (place, contender) in contenders.iter().enumerate() {
        let mut runs = Vec::new();
        for seed in seeds.iter().take_while(|_| !cancel.is_cancelled()) {
            let (run, last) =
                train(&task, keeper.as_ref(), (place, contender), *seed, &cancel, &mut line)?;
            finals.extend(
                last.filter(|_| run.completed())
                    .map(|snapshot| (contender.label.as_str(), snapshot)),
            );
            runs.push(run);
        }
        if !runs.is_empty() {
            trainings.push(Training::new(contender, runs));
        }
    }
    line.finish();
    if cancel.is_cancelled() && trainings.iter().all(Training::is_empty) {
        return Err(Failure::Work("interrupted before the first checkpoint of any run".to_owned()));
    }
    report::compare(&mut trainings, reference);
    let all_completed = finals.len() == contenders.len() * seeds.len();
    let save = arguments.save.as_ref().filter(|_| all_completed);
    if let Some(path) = save {
        let finals: Vec<(&str, &Snapshot)> =
            finals.iter().map(|(name, snapshot)| (*name, snapshot)).collect();
        files::write_bytes(path, &weights_to_bytes(&finals).map_err(Failure::Work)?)?;
    }
    let curves = report::curves(task.task.name(), &trainings);
    if let Some(path) = &arguments.csv {
        files::write(path, &curves.csv().map_err(|error| Failure::Work(error.to_string()))?)?;
    }
    if let Some(path) = &arguments.svg {
        files::write(path, &curves.chart().svg())?;
    }
    let mut out = terminal::output();
    if arguments.json {
        report::print_json(&mut out, &trainings)?;
        if let Some(directory) = arguments.checkpoint.as_deref().filter(|_| cancel.is_cancelled()) {
            progress::note(&report::interrupted(directory));
        }
    } else {
        report::print(&mut out, &curves, &trainings, arguments.from_adamw)?;
        let written = [arguments.csv.as_ref(), arguments.svg.as_ref(), save]
            .into_iter()
            .flatten()
            .map(PathBuf::as_path);
        report::print_end(
            &mut out,
            written,
            arguments.checkpoint.as_deref().filter(|_| cancel.is_cancelled()),
        )?;
    }
    match &arguments.save {
        Some(path) if !all_completed => Err(Failure::Work(format!(
            "`{}` is not written: not every run completed, so not all weights are final",
            path.display()
        ))),
        _ => Ok(()),
    }
}

/// Snapshots of the runs: takes and keeps them.
struct Keeper<'a> {
    task: &'a dyn ResumableTask,
    /// `None` where only the last snapshot is wanted.
    store: Option<SnapshotStore>,
}

impl<'a> Keeper<'a> {
    /// `None` if no snapshots are wanted.
    fn new(
        task: &'a WeightedTask,
        directory: Option<&Path>,
        saves: bool,
    ) -> Result<Option<Keeper<'a>>, Failure> {
        let option = match (directory, saves) {
            (Some(_), _) => "--checkpoint",
            (None, true) => "--save",
            (None, false) => return Ok(None),
        };
        let Some(resumable) = task.task.resumable() else {
            let reason = format!(
                "{} trains outside of symopt, so its weights can't be kept: {option} is for other tasks",
                task.task.name()
            );
            return Err(Failure::Input(reason));
        };
        let store = directory.map(SnapshotStore::open).transpose()?;
        Ok(Some(Keeper { task: resumable, store }))
    }

    /// Waits while another process trains into the same directory: all runs that it ends are there
    /// then.
    fn wait(&self, path: &Path, cancel: &CancelToken) -> Result<Option<File>, Failure> {
        let Some(store) = &self.store else { return Ok(None) };
        let mut told = false;
        loop {
            if let Some(lock) = store.lock() {
                return Ok(Some(lock));
            }
            if !told {
                // If nobody reads it, nothing is lost.
                let _ = writeln!(
                    std::io::stderr(),
                    "waiting for another process that trains into `{}`",
                    path.display()
                );
                told = true;
            }
            if cancel.is_cancelled() {
                return Err(Failure::Work(format!(
                    "interrupted while another process trained into `{}`",
                    path.display()
                )));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Where a run stands; `None` if it has not begun.
    fn load(
        &self,
        (place, contender): (usize, &Contender),
        seed: u64,
    ) -> Result<Option<Snapshot>, Failure> {
        let Some(store) = self.store.as_ref().filter(|store| store.path(place, seed).exists())
        else {
            return Ok(None);
        };
        let identity = self.task.identity(&contender.candidate(), seed)?;
        Ok(store.load(place, &identity, &self.task.layout(seed)?)?)
    }

    /// Fails where there is something that a run can't go on from, before any run begins.
    fn check(&self, contenders: &[Contender], seeds: &[u64]) -> Result<(), Failure> {
        for contender in contenders.iter().enumerate() {
            for seed in seeds {
                self.load(contender, *seed)?;
            }
        }
        Ok(())
    }
}

/// One run, and its last snapshot where there is a keeper.
fn train(
    task: &WeightedTask,
    keeper: Option<&Keeper>,
    (place, contender): (usize, &Contender),
    seed: u64,
    cancel: &CancelToken,
    line: &mut TrainingLine,
) -> Result<(SeedRun, Option<Snapshot>), Failure> {
    let name = format!("{}, seed {seed}", contender.label);
    let mut done = 0;
    let mut see = |checkpoint: &Checkpoint, line: &mut TrainingLine| {
        done += 1;
        line.draw(&name, checkpoint);
    };
    let Some(keeper) = keeper else {
        let mut seen = Vec::new();
        let run = task.task.run(&contender.candidate(), seed, cancel, &mut |checkpoint| {
            seen.push(*checkpoint);
            see(checkpoint, line);
            Verdict::Continue
        });
        let run = or_stopped(run, seen)?.or_failed(task.task.name())?;
        line.skip(task.task.checkpoints().saturating_sub(done));
        return Ok((SeedRun::new(seed, run, None), None));
    };
    let mut last = keeper.load((place, contender), seed)?;
    let from = last.clone();
    line.skip(from.as_ref().map_or(0, |from| from.curve.len()));
    let mut unwritten: Option<SnapshotError> = None;
    let mut keep = |snapshot: Snapshot| {
        if let Some(Err(error)) = keeper.store.as_ref().map(|store| store.save(place, &snapshot)) {
            unwritten = Some(error);
            return Verdict::Stop;
        }
        if let Some(checkpoint) = snapshot.curve.last() {
            see(checkpoint, line);
        }
        last = Some(snapshot);
        Verdict::Continue
    };
    let run = keeper.task.run_from(&contender.candidate(), seed, from.as_ref(), cancel, &mut keep);
    let run = or_stopped(run, last.as_ref().map_or_else(Vec::new, |last| last.curve.clone()))?;
    if let Some(error) = unwritten {
        return Err(error.into());
    }
    line.skip(task.task.checkpoints().saturating_sub(run.curve.len()));
    Ok((SeedRun::new(seed, run, from.map(|from| from.step())), last))
}

/// A run; one that was interrupted between two checkpoints ends with the last one.
fn or_stopped(run: Result<Run, TaskError>, seen: Vec<Checkpoint>) -> Result<Run, TaskError> {
    match run {
        Err(TaskError::Cancelled(_)) => {
            let step = seen.last().map_or(0, |last| last.step);
            Ok(Run { curve: seen, stop: StopReason::Stopped { step }, elapsed: Duration::ZERO })
        }
        run => run,
    }
}
