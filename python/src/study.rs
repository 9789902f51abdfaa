//! Searches: started, resumed, and what their stores hold.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};
use symopt_cancel::CancelToken;
use symopt_dsl::Program as Text;
use symopt_programs::source;
use symopt_proxy_tasks::constants::{Origin, Tuned};
use symopt_proxy_tasks::error::TaskError;
use symopt_proxy_tasks::external::ExternalSpec;
use symopt_proxy_tasks::external::runner::Hands;
use symopt_proxy_tasks::run::Run;
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_proxy_tasks::suite::BASELINE;
use symopt_proxy_tasks::tuning::grid::{Budget, tune_within};
use symopt_search::SearchError;
use symopt_search::config::{ConfigError, Preset, SearchConfig};
use symopt_search::engine::Progress;
use symopt_search::journal::{CheckedStore, Journal, JournalError};
use symopt_search::launch::{self, Finished, Launch, LaunchError, Launcher};
use symopt_search::store::hall_of_fame::hall_of_fame;
use symopt_studies::report::{Options, report};

use crate::desk::{Asking, Desk};
use crate::error::{Raise, failed, input};
use crate::work::{self, Cancelling, Work};

/// Longest pause between two reports on the progress.
const PAUSE: Duration = Duration::from_millis(200);

impl Raise for JournalError {
    fn raise(self) -> PyErr {
        if self.is_failed_work() { failed(self) } else { input(self) }
    }
}

impl Raise for ConfigError {
    fn raise(self) -> PyErr {
        input(self)
    }
}

impl Raise for LaunchError {
    fn raise(self) -> PyErr {
        match self {
            LaunchError::Program(error) => error.raise(),
            LaunchError::Config(error) => error.raise(),
            LaunchError::Split(_)
            | LaunchError::NoConstants { .. }
            | LaunchError::Hidden { .. } => input(self),
            LaunchError::Task(error) => error.raise(),
            LaunchError::Journal(error) | LaunchError::Search(SearchError::Journal(error)) => {
                error.raise()
            }
            LaunchError::Search(SearchError::Task(
                error @ (TaskError::Failed { .. }
                | TaskError::Cancelled(_)
                | TaskError::TimeLimit { .. }),
            )) => error.raise(),
            error => failed(error),
        }
    }
}

/// Puts settings in the place of others, table by table.
fn merge(settings: &mut Value, others: Value) {
    match (settings, others) {
        (Value::Object(settings), Value::Object(others)) => {
            for (key, value) in others {
                merge(settings.entry(key).or_insert(Value::Null), value);
            }
        }
        (settings, others) => *settings = others,
    }
}

/// Settings from a text of TOML, with others, as JSON, in the place of those that it has.
fn settings(text: &str, others: &str) -> PyResult<SearchConfig> {
    let mut settings: Value =
        toml::from_str(text).map_err(ConfigError::from).map_err(Raise::raise)?;
    merge(&mut settings, serde_json::from_str(others).map_err(input)?);
    let text = toml::to_string(&settings).map_err(input)?;
    let config = SearchConfig::from_toml(&text).map_err(Raise::raise)?;
    if !config.restarts.is_plain() {
        return Err(input(
            "the settings ask for a campaign of several searches; `symopt search --config FILE` runs it",
        ));
    }
    if config.mutation.proposals > 0.0 {
        return Err(input(
            "mutation.proposals asks a command for children; `symopt search --proposals COMMAND` has that",
        ));
    }
    Ok(config)
}

/// Limits that were given, as JSON, in the place of those of some settings.
fn change_limits(config: &mut SearchConfig, limits: &Value) -> PyResult<()> {
    let mut settings = serde_json::to_value(&config.limits).map_err(input)?;
    merge(&mut settings, limits.clone());
    config.limits = serde_json::from_value(settings).map_err(input)?;
    config.check().map_err(Raise::raise)
}

/// Whom to tell how a search goes, now and then; what they raise ends it.
struct Observer {
    callback: Option<Py<PyAny>>,
    last: Option<Instant>,
    raised: Option<PyErr>,
}

impl Observer {
    fn see(&mut self, progress: &Progress<'_>, cancel: &CancelToken) {
        let Some(callback) = &self.callback else { return };
        if self.raised.is_some() || self.last.is_some_and(|last| last.elapsed() < PAUSE) {
            return;
        }
        self.last = Some(Instant::now());
        let said = Python::attach(|py| {
            callback.call1(
                py,
                (
                    progress.statistics.generated,
                    progress.statistics.evaluated,
                    progress.best.fitness.improvement(),
                    progress.best.program.to_string(),
                    progress.elapsed.as_secs_f64(),
                ),
            )
        });
        if let Err(error) = said {
            self.raised = Some(error);
            cancel.cancel();
        }
    }
}

/// Runs a search that is set up, to its end.
fn run(
    launch: Launch,
    threads: usize,
    callback: Option<Py<PyAny>>,
    cancel: &CancelToken,
) -> PyResult<String> {
    let mut observer = Observer { callback, last: None, raised: None };
    let cancel = cancel.child();
    let finished = launch.run(threads, &cancel, &mut |progress| observer.see(progress, &cancel));
    if let Some(error) = observer.raised {
        return Err(error);
    }
    let Finished { result, .. } = finished.map_err(Raise::raise)?;
    let found = json!({
        "stop": result.stop,
        "seconds": result.elapsed.as_secs_f64(),
        "generated": result.statistics.generated,
        "evaluated": result.statistics.evaluated,
        "fitness": result.best.fitness.improvement(),
        "hash": result.best.hash.to_string(),
        "program": result.best.program.to_string(),
    });
    Ok(found.to_string())
}

fn threads_or_all(threads: Option<usize>) -> PyResult<usize> {
    match threads {
        Some(threads) if (1..=1024).contains(&threads) => Ok(threads),
        Some(threads) => {
            Err(input(format!("threads is {threads}, and should be between 1 and 1024")))
        }
        None => Ok(std::thread::available_parallelism().map_or(1, usize::from)),
    }
}

/// A training script that a search is on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TaskOptions {
    spec: ExternalSpec,
    /// Seeds that programs are judged on.
    seeds: usize,
    /// Runs that AdamW is tuned with, at most; 0 leaves it at its defaults.
    tune: usize,
}

/// The suite of a store's search by a script.
const SUITE: &str = "suite.toml";

impl TaskOptions {
    /// The suite, with the constants of AdamW: those that were given, those that the store has, or
    /// those that a tuning finds.
    fn suite(
        mut self,
        store: &Path,
        threads: usize,
        hands: Option<&Hands>,
        cancel: &CancelToken,
    ) -> PyResult<SuiteSource> {
        let place = store.join(SUITE).display().to_string();
        if self.spec.tuned.is_empty() && self.tune > 0 {
            self.spec.tuned = match CheckedStore::settings_of(store) {
                Ok(kept) => SuiteSource { name: place.clone(), text: kept.suite }
                    .spec()
                    .map_err(Raise::raise)?
                    .externals
                    .into_iter()
                    .flat_map(|external| external.into_inner().tuned)
                    .filter(|tuned| matches!(tuned.origin, Origin::Tuned { .. }))
                    .collect(),
                Err(_) => vec![self.tuned(threads, hands, cancel)?],
            };
        }
        SuiteSource::of_command(&place, &self.spec, self.seeds).map_err(Raise::raise)
    }

    fn tuned(
        &self,
        threads: usize,
        hands: Option<&Hands>,
        cancel: &CancelToken,
    ) -> PyResult<Tuned> {
        let task = self.spec.clone().task("task").map_err(Raise::raise)?;
        if let Some(hands) = hands {
            task.task.give_to(hands);
        }
        let adamw = symopt_programs::adamw().program();
        let budget = Budget { runs: self.tune, ..Budget::default() };
        let tune =
            || tune_within(task.task.as_ref(), BASELINE, &adamw, budget, cancel, &|_: &Run| ());
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(|error| failed(format!("can't start threads: {error}")))?;
        Ok(pool.install(tune).map_err(Raise::raise)?.tuned)
    }
}

/// Arguments of a search: TOML; settings as JSON that replace those of the TOML; texts of programs,
/// which stand in place of names; and a task as JSON, beside which there is no other suite.
type Given = (String, String, Option<Vec<String>>, Option<String>);

/// The search of a store, to be run: new, or resumed if it is there. Given nothing, it is one that
/// is there. Others may make the runs of its training script.
fn prepared(
    store: PathBuf,
    given: Option<Given>,
    limits: &str,
    threads: Option<usize>,
    callback: Option<Py<PyAny>>,
    hands: Option<Hands>,
) -> PyResult<impl FnOnce(&CancelToken) -> PyResult<String> + Send + 'static> {
    let threads = threads_or_all(threads)?;
    let limits: Value = serde_json::from_str(limits).map_err(input)?;
    let given = given.map(|given| Asked::new(given, &limits)).transpose()?;
    Ok(move |cancel: &CancelToken| {
        let launch = match given {
            Some(given) => given.launch(&store, threads, hands.as_ref(), cancel)?,
            None => resumed(&store, &limits, hands.as_ref(), cancel)?,
        };
        if hands.is_some() && !launch.suite().is_external() {
            return Err(input(format!(
                "{} holds a search on the suite {}, whose training is symopt's own; search() goes on with it",
                store.display(),
                launch.suite().name,
            )));
        }
        run(launch, threads, callback, cancel)
    })
}

/// A search that was asked for.
struct Asked {
    config: SearchConfig,
    programs: Option<Vec<Text>>,
    task: Option<TaskOptions>,
}

impl Asked {
    fn new((config, others, programs, task): Given, limits: &Value) -> PyResult<Asked> {
        let mut config = settings(&config, &others)?;
        let task = task.map(|task| serde_json::from_str(&task)).transpose().map_err(input)?;
        change_limits(&mut config, limits)?;
        let programs: Option<Vec<Text>> = programs
            .map(|texts| texts.iter().map(|text| source::parse("<string>", text)).collect())
            .transpose()
            .map_err(Raise::raise)?;
        Ok(Asked { config, programs, task })
    }

    fn launch(
        self,
        store: &Path,
        threads: usize,
        hands: Option<&Hands>,
        cancel: &CancelToken,
    ) -> PyResult<Launch> {
        let Asked { mut config, programs, task } = self;
        // Faults show before anything is tuned.
        let programs = match programs {
            Some(programs) => programs,
            None => launch::named(&config, cancel).map_err(Raise::raise)?.programs,
        };
        let is_there = Journal::is_at(store);
        if !is_there {
            Journal::check_vacant(store).map_err(Raise::raise)?;
        }
        let has_task = task.is_some();
        let source = match task {
            Some(task) => task.suite(store, threads, hands, cancel)?,
            None => {
                let source = SuiteSource::find(&config.suite).map_err(Raise::raise)?;
                check_tuned(&source)?;
                source
            }
        };
        config.suite.clone_from(&source.name);
        let launch = if is_there {
            // A task has the constants of the store already, if it is to have any.
            let is_suite = |kept: &str| match has_task {
                true => source.text == kept,
                false => source.is_kept_as(kept),
            };
            if !Launch::holds(store, config.clone(), &programs, is_suite) {
                return Err(input(format!(
                    "{} holds another search; give another store, or the store alone to go on with what is there",
                    store.display()
                )));
            }
            Launch::resume_by(hands, store, |stored| stored.limits = config.limits, cancel)
        } else {
            let text = source.text.clone();
            let launch = Launch::of_parts_by(hands, config, &programs, source, store, cancel);
            if has_task && launch.is_ok() {
                // For all that comes after, as the command line keeps it.
                symopt_files::write(&store.join(SUITE), text.as_bytes()).map_err(failed)?;
            }
            launch
        };
        launch.map_err(Raise::raise)
    }
}

/// A search that goes on where its journal ends, with some limits changed.
fn resumed(
    store: &Path,
    limits: &Value,
    hands: Option<&Hands>,
    cancel: &CancelToken,
) -> PyResult<Launch> {
    let mut wrong = None;
    let change = |config: &mut SearchConfig| {
        wrong = change_limits(config, limits).err();
        if wrong.is_none() && config.mutation.proposals > 0.0 {
            wrong = Some(input(
                "the search asks a command for children; `symopt resume --proposals COMMAND` goes on with it",
            ));
        }
    };
    let launch = Launch::resume_by(hands, store, change, cancel);
    match wrong {
        Some(error) => Err(error),
        None => launch.map_err(Raise::raise),
    }
}

/// Runs a search, new or resumed, to its end. `command` makes the runs of its training script in
/// place of the one that the store names.
#[pyfunction]
pub fn search(
    py: Python<'_>,
    store: PathBuf,
    given: Option<Given>,
    limits: &str,
    threads: Option<usize>,
    callback: Option<Py<PyAny>>,
    command: Option<String>,
) -> PyResult<String> {
    let hands = command.map(Hands::Command);
    let work = prepared(store, given, limits, threads, callback, hands)?;
    work::run(py, Cancelling::Soon, work)?
}

/// Starts a search, new or resumed, in the background, whose training runs are asked for.
#[pyfunction]
pub fn start(
    store: PathBuf,
    given: Option<Given>,
    limits: &str,
    threads: Option<usize>,
    callback: Option<Py<PyAny>>,
    is_checked: bool,
) -> PyResult<Asking> {
    let desk = Arc::new(Desk::new(is_checked));
    let hands = Hands::Runner(desk.clone());
    let work = prepared(store, given, limits, threads, callback, Some(hands))?;
    let inner = Arc::clone(&desk);
    let work = Work::start(move |cancel| {
        let _close = CloseOnDrop(inner);
        work(cancel)
    })?;
    Ok(Asking::new(desk, work))
}

/// Lets go whoever waits for requests, however a search ends.
struct CloseOnDrop(Arc<Desk>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Refuses a suite with scripts for which AdamW is not tuned.
fn check_tuned(source: &SuiteSource) -> PyResult<()> {
    let untuned = source.untuned().map_err(Raise::raise)?;
    if untuned.is_empty() {
        return Ok(());
    }
    Err(input(format!(
        "AdamW is not tuned for the tasks by commands of {} ({}); `symopt search --suite` tunes it first, and keeps the suite with the search",
        source.name,
        untuned.join(", ")
    )))
}

/// Whether a store is at a path.
#[pyfunction]
pub fn is_store(store: PathBuf) -> bool {
    Journal::is_at(&store)
}

/// Returns the contents of a store as JSON: its settings, how many seeds its suite has, its
/// statistics over the programs generated, and its improvements.
#[pyfunction]
pub fn store_contents(py: Python<'_>, store: PathBuf) -> PyResult<String> {
    py.detach(|| {
        let store = CheckedStore::of(&store).map_err(Raise::raise)?;
        let settings = store.settings();
        let source =
            SuiteSource { name: settings.config.suite.clone(), text: settings.suite.clone() };
        let contents = json!({
            "settings": settings.config,
            "seeds": source.spec().map_err(Raise::raise)?.seeds.len(),
            "history": store.statistics().map_err(Raise::raise)?,
            "improvements": store.improvements().map_err(Raise::raise)?,
        });
        Ok(contents.to_string())
    })
}

/// The hall of fame of a store, as JSON.
#[pyfunction]
pub fn store_front(py: Python<'_>, store: PathBuf) -> PyResult<String> {
    py.detach(|| {
        let store = CheckedStore::of(&store).map_err(Raise::raise)?;
        let front = hall_of_fame(&store).map_err(Raise::raise)?;
        serde_json::to_string(&front).map_err(failed)
    })
}

/// A report on stores: the names of its files, with their texts.
#[pyfunction]
pub fn report_on(
    py: Python<'_>,
    stores: Vec<PathBuf>,
    seeds: usize,
    validate: Option<String>,
    sample: usize,
    threads: Option<usize>,
) -> PyResult<Vec<(String, String)>> {
    for (name, value, least, most) in [("seeds", seeds, 1, 1000), ("sample", sample, 2, 10_000)] {
        if !(least..=most).contains(&value) {
            return Err(input(format!("{name} is {value}, and should be from {least} to {most}")));
        }
    }
    let threads = threads_or_all(threads)?;
    work::run(py, Cancelling::Soon, move |cancel| {
        let validate = validate.as_deref().map(SuiteSource::find).transpose();
        let validate = validate.map_err(Raise::raise)?;
        let launcher = Launcher::default();
        let options = Options { validate, seeds, sample, over: None, threads, launcher };
        let report = report(&stores, &options, cancel, &|_, _| ()).map_err(Raise::raise)?;
        let figures = report.figures().into_iter();
        let mut files: Vec<_> =
            figures.map(|figure| (figure.file.to_owned(), figure.svg)).collect();
        files.push(("report.md".to_owned(), report.markdown("symopt.Study.report")));
        let json = serde_json::to_string_pretty(&report).map_err(failed)?;
        files.push(("report.json".to_owned(), json + "\n"));
        Ok(files)
    })?
}

/// The settings of a preset, as TOML with comments.
#[pyfunction]
pub fn default_settings(preset: &str) -> PyResult<&'static str> {
    match preset {
        "real" => Ok(Preset::Real.text()),
        "paper" => Ok(Preset::Paper.text()),
        other => Err(input(format!("the preset is {other:?}, and should be real or paper"))),
    }
}

/// The module for training scripts.
#[pyfunction]
pub fn task_helper() -> &'static str {
    symopt_proxy_tasks::external::HELPER
}
