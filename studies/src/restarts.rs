//! Campaigns: repeats of a search, restarts from the best program, and ladders of suites.
//!
//! A campaign is a directory with a store for each of its searches, which are ordinary searches,
//! and a file that says which of them have ended and with what:
//!
//! 1. `repeat-1` to `repeat-R` start from the initial program, with the seeds s, s + 1, ...
//! 2. `restart-1` to `restart-K` start from the best program of all searches before.
//! 3. `then-1`, ... start from the best program of all searches before, on other suites.
//!
//! Each of them has a seed of its own, which goes on counting. [`plan`] says all that from the
//! settings alone. The best program follows from the searches that have ended: the best of each is
//! judged on [fresh seeds](crate::fresh_seeds), the same for all, on the suite that the next search
//! has; a program that is no direction as it stands, since the search goes on with it as it stands.
//! So a campaign that was interrupted goes on in the search that it was in, and ends as if nothing
//! had happened.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use symopt_cancel::{CancelToken, Cancelled};
use symopt_dsl::Program;
use symopt_dsl::shell::Command;
use symopt_files::WriteError;
use symopt_programs::source;
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_proxy_tasks::suite::{BaselineOrigin, Fitness};
use symopt_search::config::{Limits, RestartConfig, SearchConfig};
use symopt_search::directory::{Kind, Making, MakingError};
use symopt_search::engine::SearchResult;
use symopt_search::journal::{Journal, JournalError};
use symopt_search::judge::inner_tuning::{Setting, median};
use symopt_search::judge::purpose::Purpose;
use symopt_search::launch::{self, InitialPrograms, Launch, LaunchError, Launcher};
use symopt_search::store::stop_reason::StopReason;

use crate::checked_json;
use crate::error::StudyError;
use crate::fresh_seeds::{Entrant, Judged, Judging, Progress, Protocol, check_suite};

const FORMAT: &str = "symopt campaign";
const FORMAT_VERSION: u32 = 1;
/// The file in the directory of a campaign.
pub const FILE: &str = symopt_search::store::CAMPAIGN;
/// Campaigns, for [`crate::directory`].
static KIND: Kind = Kind { manifest: FILE, ..symopt_search::store::KIND };
/// Fresh seeds that decide what a restart begins with.
const SEEDS: usize = 16;

/// Program that a search of a campaign starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The initial program of the settings.
    Initial,
    /// The best program of all searches before.
    Best,
}

/// A search of a campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlannedSearch {
    /// The name of its store in the directory.
    pub name: String,
    /// Its seed.
    pub seed: u64,
    /// Its suite.
    pub suite: String,
    /// Program that it starts from.
    pub start: Start,
}

/// The searches that settings ask for, in order.
pub fn plan(config: &SearchConfig) -> Vec<PlannedSearch> {
    let RestartConfig { repeats, restarts, then } = &config.restarts;
    let repeats = (1..=*repeats).map(|i| (format!("repeat-{i}"), &config.suite, Start::Initial));
    let restarts = (1..=*restarts).map(|i| (format!("restart-{i}"), &config.suite, Start::Best));
    let then = then.iter().zip(1..).map(|(suite, i)| (format!("then-{i}"), suite, Start::Best));
    let all = repeats.chain(restarts).chain(then);
    let step = |((name, suite, start), i): ((String, &String, Start), u64)| PlannedSearch {
        name,
        seed: config.seed.wrapping_add(i),
        suite: suite.clone(),
        start,
    };
    all.zip(0..).map(step).collect()
}

/// The best program of a search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Found {
    /// Its functional hash, in hexadecimal.
    pub hash: String,
    /// Its fitness in the search.
    pub fitness: Fitness,
    /// Its text.
    pub program: String,
    /// Where a direction did best, as the median over the tasks.
    pub start: Option<Setting>,
}

/// A search that has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Ended {
    /// The name of its store.
    pub name: String,
    /// Why it ended.
    pub stop: StopReason,
    /// Programs generated.
    pub generated: u64,
    /// Programs evaluated.
    pub evaluated: u64,
    /// Its best program.
    pub best: Found,
}

/// The best programs of searches against each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Comparison {
    /// The search that they were compared for.
    pub step: String,
    /// Its suite.
    pub suite: String,
    /// The searches, with the gain of their best programs over AdamW.
    pub gains: Vec<(String, Judged)>,
    /// The search whose program is the best.
    pub best: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct State {
    format: String,
    version: u32,
    config: SearchConfig,
    /// Text of the initial program, so that a campaign does not depend on a file.
    initial: String,
    /// Texts of further initial programs, likewise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    others: Vec<String>,
    /// Names and texts of the suites of the steps.
    suites: Vec<(String, String)>,
    ended: Vec<Ended>,
    comparisons: Vec<Comparison>,
}

/// A campaign.
#[derive(Debug)]
pub struct Campaign {
    path: PathBuf,
    state: State,
    launcher: Launcher,
}

/// Whether a directory is that of a campaign.
pub fn is_campaign(path: &Path) -> bool {
    path.join(FILE).is_file()
}

/// Whether a campaign can be made at a path.
fn check_vacant(path: &Path) -> Result<(), StudyError> {
    use symopt_search::directory::Occupancy;
    match KIND.look(path).map_err(|e| WriteError::of_directory(path, e))? {
        Occupancy::Vacant => Ok(()),
        Occupancy::Whole => Err(StudyError::File {
            path: path.to_owned(),
            reason: format!(
                "a campaign is there already; go on with `{}`",
                Command::new("resume").operand(path)
            ),
        }),
        // It may be a store, which has a way out of its own.
        Occupancy::Taken(_) if Journal::is_at(path) => Ok(Journal::check_vacant(path)?),
        Occupancy::Taken(reason) => {
            Err(JournalError::Taken { path: path.to_owned(), reason }.into())
        }
    }
}

/// Why the directory of a campaign can't be made.
fn unmade(path: &Path, error: MakingError) -> StudyError {
    match error {
        MakingError::File { path, source } => WriteError::of_file(&path, source).into(),
        error => StudyError::File { path: path.to_owned(), reason: error.to_string() },
    }
}

/// The stores of a campaign's directory that are there, in order; of any other path that path
/// itself.
pub fn stores(path: &Path) -> Result<Vec<PathBuf>, StudyError> {
    if !is_campaign(path) {
        return Ok(vec![path.to_owned()]);
    }
    let campaign = Campaign::open(path)?;
    Ok(plan(campaign.config())
        .iter()
        .map(|step| campaign.store(step))
        .filter(|store| Journal::is_at(store))
        .collect())
}

impl Campaign {
    /// A new campaign. All that can be wrong with settings, programs and suites is found before the
    /// directory is made.
    pub fn create(
        config: SearchConfig,
        path: &Path,
        cancel: &CancelToken,
    ) -> Result<Campaign, StudyError> {
        Campaign::create_with(config, path, cancel, &mut Ok)
    }

    /// The same with suites in the form that `prepare` gives them, when nothing else can be wrong:
    /// perhaps under another name.
    pub fn create_with<E: From<StudyError>>(
        mut config: SearchConfig,
        path: &Path,
        cancel: &CancelToken,
        prepare: &mut dyn FnMut(SuiteSource) -> Result<SuiteSource, E>,
    ) -> Result<Campaign, E> {
        let (mut initial, sources) = Campaign::check(&config, path, cancel)?;
        let others = initial.programs.split_off(1);
        let mut suites: Vec<(String, String)> = Vec::new();
        for source in sources {
            let asked = source.name.clone();
            let SuiteSource { name, text } = prepare(source)?;
            for suite in std::iter::once(&mut config.suite)
                .chain(&mut config.restarts.then)
                .filter(|suite| **suite == asked)
            {
                suite.clone_from(&name);
            }
            suites.push((name, text));
        }
        let state = State {
            format: FORMAT.to_owned(),
            version: FORMAT_VERSION,
            config,
            initial: initial.programs.iter().map(Program::to_string).collect(),
            others: others.iter().map(Program::to_string).collect(),
            suites,
            ended: Vec::new(),
            comparisons: Vec::new(),
        };
        let campaign = Campaign { path: path.to_owned(), state, launcher: Launcher::default() };
        let text = campaign.text()?;
        let making = match Making::begin(path, &KIND) {
            Err(MakingError::Exists | MakingError::Taken(_)) => {
                check_vacant(path)?;
                return Err(StudyError::File {
                    path: path.to_owned(),
                    reason: MakingError::Busy.to_string(),
                }
                .into());
            }
            making => making.map_err(|error| unmade(path, error))?,
        };
        making.finish(&text).map_err(|error| unmade(path, error))?;
        Ok(campaign)
    }

    /// The initial programs and the suites of a campaign, with a look at all that can be wrong.
    fn check(
        config: &SearchConfig,
        path: &Path,
        cancel: &CancelToken,
    ) -> Result<(InitialPrograms, Vec<SuiteSource>), StudyError> {
        config.check().map_err(LaunchError::from)?;
        check_vacant(path)?;
        let initial = launch::named(config, cancel)?;
        let mut suites: Vec<SuiteSource> = Vec::new();
        for step in plan(config) {
            if !suites.iter().any(|source| source.name == step.suite) {
                let source = SuiteSource::find(&step.suite)?;
                check_suite(&source.suite()?)?;
                suites.push(source);
            }
        }
        Ok((initial, suites))
    }

    /// Whether a directory holds the campaign of these settings, whatever its limits and the names
    /// of its suites, whose texts `is_suite` knows.
    pub fn holds(
        path: &Path,
        config: &SearchConfig,
        is_suite: &dyn Fn(&SuiteSource, &str) -> bool,
        cancel: &CancelToken,
    ) -> Result<bool, Cancelled> {
        let Ok(campaign) = Campaign::open(path) else { return Ok(false) };
        let initial = match InitialPrograms::find(config, cancel).map_err(StudyError::from) {
            Ok(initial) => initial,
            Err(StudyError::Cancelled(cancelled)) => return Err(cancelled),
            Err(_) => return Ok(false),
        };
        let state = &campaign.state;
        let (steps, kept) = (plan(config), plan(&state.config));
        let same_suite = |(step, kept): (&PlannedSearch, &PlannedSearch)| {
            let (source, kept) = (SuiteSource::find(&step.suite), campaign.source(&kept.suite));
            source.is_ok_and(|source| kept.is_ok_and(|kept| is_suite(&source, &kept.text)))
        };
        let mut config = SearchConfig {
            limits: state.config.limits.clone(),
            suite: state.config.suite.clone(),
            ..config.clone()
        };
        config.restarts.then.clone_from(&state.config.restarts.then);
        let texts = std::iter::once(&state.initial).chain(&state.others);
        let same_settings = config == state.config
            && initial.programs.iter().map(Program::to_string).eq(texts.cloned());
        let same_steps = steps.len() == kept.len() && steps.iter().zip(&kept).all(same_suite);
        Ok(same_settings && same_steps)
    }

    /// The campaign of a directory.
    pub fn open(path: &Path) -> Result<Campaign, StudyError> {
        let file = path.join(FILE);
        let wrong = |reason: String| StudyError::File { path: file.clone(), reason };
        let bytes = fs::read(&file).map_err(|e| wrong(e.to_string()))?;
        let damaged = |e: &dyn std::fmt::Display| {
            wrong(format!(
                "not the file of a campaign ({e}); restore it from a copy, or begin a new one"
            ))
        };
        let state: State = checked_json::from_text(&bytes).map_err(|e| damaged(&e))?;
        if state.format != FORMAT {
            return Err(damaged(&format_args!("it says it is {:?}", state.format)));
        }
        if state.version > FORMAT_VERSION {
            let found = state.version;
            return Err(wrong(format!(
                "the campaign has format version {found}, this release reads up to {FORMAT_VERSION}; use a newer one"
            )));
        }
        state.config.check().map_err(|e| damaged(&e))?;
        let steps = plan(&state.config);
        let in_order = state.ended.len() <= steps.len()
            && state.ended.iter().zip(&steps).all(|(ended, step)| ended.name == step.name);
        if !in_order {
            return Err(damaged(&"its searches are not those of its settings"));
        }
        Ok(Campaign { path: path.to_owned(), state, launcher: Launcher::default() })
    }

    /// The settings.
    pub fn config(&self) -> &SearchConfig {
        &self.state.config
    }

    /// The searches that have ended, in order.
    pub fn ended(&self) -> &[Ended] {
        &self.state.ended
    }

    /// The comparisons that restarts began with.
    pub fn comparisons(&self) -> &[Comparison] {
        &self.state.comparisons
    }

    /// The same, with its searches set up by a launcher.
    pub fn launched_by(self, launcher: Launcher) -> Campaign {
        Campaign { launcher, ..self }
    }

    /// The store of a search.
    pub fn store(&self, step: &PlannedSearch) -> PathBuf {
        self.path.join(&step.name)
    }

    /// Sets limits for the searches that have not ended.
    pub fn set_limits(&mut self, limits: Limits) -> Result<(), StudyError> {
        if self.state.config.limits == limits {
            return Ok(());
        }
        self.state.config.limits = limits;
        self.state.config.check().map_err(LaunchError::from)?;
        self.write()
    }

    /// The search that comes next; `None` if all have ended.
    pub fn next(&self) -> Option<PlannedSearch> {
        plan(&self.state.config).into_iter().nth(self.state.ended.len())
    }

    /// Sets the next search up, new or where it was interrupted, with the name of what it starts
    /// from. For a new one that starts from the best, that is found first.
    pub fn launch(
        &mut self,
        step: &PlannedSearch,
        threads: usize,
        cancel: &CancelToken,
        observe: &(dyn Fn(Progress) + Sync),
    ) -> Result<Launch, StudyError> {
        let store = self.store(step);
        let limits = self.state.config.limits.clone();
        if Journal::is_at(&store) {
            return Ok(self.launcher.resume(&store, |config| config.limits = limits, cancel)?);
        }
        // The place of the store is checked before the programs are compared.
        Journal::check_vacant(&store)?;
        let (initial, texts) = match step.start {
            Start::Initial => {
                let texts = std::iter::once(&self.state.initial).chain(&self.state.others);
                (self.state.config.initial.clone(), texts.cloned().collect())
            }
            Start::Best => {
                let best = self.best_for(step, threads, cancel, observe)?;
                (format!("{}:{}", best.name, best.best.hash).into(), vec![best.best.program])
            }
        };
        let name = initial.to_string();
        let programs = texts
            .iter()
            .map(|text| source::parse(&name, text))
            .collect::<Result<Vec<Program>, _>>()
            .map_err(|error| LaunchError::Program(error.into()))?;
        let config = SearchConfig {
            seed: step.seed,
            suite: step.suite.clone(),
            initial,
            restarts: RestartConfig::default(),
            ..self.config().clone()
        };
        let source = self.source(&step.suite)?;
        Ok(self.launcher.begin_with(config, &programs, source, &store, cancel)?)
    }

    /// Notes that the next search has ended.
    pub fn end(&mut self, result: &SearchResult) -> Result<(), StudyError> {
        let Some(step) = self.next() else { return Ok(()) };
        self.state.ended.push(Ended {
            name: step.name,
            stop: result.stop,
            generated: result.statistics.generated,
            evaluated: result.statistics.evaluated,
            best: Found {
                hash: result.best.hash.to_string(),
                fitness: result.best.fitness,
                program: result.best.program.to_string(),
                start: median(&result.best.settings),
            },
        });
        self.write()
    }

    /// Where the constants of AdamW on the suite of the last search come from.
    pub fn baseline_origin(&self) -> Result<BaselineOrigin, StudyError> {
        let Some(last) = plan(self.config()).pop() else { return Ok(BaselineOrigin::default()) };
        Ok(self.source(&last.suite)?.suite()?.baseline_origin())
    }

    /// The best programs of all searches on the suite of the last one, on seeds that nothing else
    /// has seen, in the order of the searches.
    pub fn report(
        &self,
        seeds: usize,
        threads: usize,
        cancel: &CancelToken,
        observe: &(dyn Fn(Progress) + Sync),
    ) -> Result<Vec<(String, Judged)>, StudyError> {
        let Some(last) = plan(self.config()).pop() else { return Ok(Vec::new()) };
        self.judge(&last.suite, Purpose::Report, seeds, self.ended(), threads, cancel, observe)
    }

    fn best_for(
        &mut self,
        step: &PlannedSearch,
        threads: usize,
        cancel: &CancelToken,
        observe: &(dyn Fn(Progress) + Sync),
    ) -> Result<Ended, StudyError> {
        let nothing = || StudyError::File {
            path: self.path.join(FILE),
            reason: "no search has ended".to_owned(),
        };
        let known = |name: &str| {
            let mut gains = self
                .state
                .comparisons
                .iter()
                .filter(|comparison| comparison.suite == step.suite)
                .flat_map(|c| &c.gains);
            gains.find(|(other, _)| other == name).map(|(_, judged)| judged.clone())
        };
        let unknown: Vec<Ended> = match self.ended() {
            // There is nothing to choose.
            [_] => Vec::new(),
            ended => ended.iter().filter(|ended| known(&ended.name).is_none()).cloned().collect(),
        };
        let new =
            self.judge(&step.suite, Purpose::Restart, SEEDS, &unknown, threads, cancel, observe)?;
        let judged = |name: &str| {
            known(name).or_else(|| {
                new.iter().find(|(other, _)| other == name).map(|(_, judged)| judged.clone())
            })
        };
        let mut gains: Vec<(String, Judged)> = self
            .ended()
            .iter()
            .filter_map(|ended| Some((ended.name.clone(), judged(&ended.name)?)))
            .collect();
        let in_order = gains.clone();
        // The sort is stable: the earlier of equals comes first.
        gains.sort_by(|a, b| a.1.better_first(&b.1));
        let best = gains
            .first()
            .and_then(|(name, _)| self.ended().iter().find(|ended| ended.name == *name));
        let best = best.or_else(|| self.ended().first()).cloned().ok_or_else(nothing)?;
        if !in_order.is_empty() {
            let comparison = Comparison {
                step: step.name.clone(),
                suite: step.suite.clone(),
                gains: in_order,
                best: best.name.clone(),
            };
            self.state.comparisons.retain(|comparison| comparison.step != step.name);
            self.state.comparisons.push(comparison);
            self.write()?;
        }
        Ok(best)
    }

    #[allow(clippy::too_many_arguments)]
    fn judge(
        &self,
        suite: &str,
        purpose: Purpose,
        seeds: usize,
        searches: &[Ended],
        threads: usize,
        cancel: &CancelToken,
        observe: &(dyn Fn(Progress) + Sync),
    ) -> Result<Vec<(String, Judged)>, StudyError> {
        if searches.is_empty() {
            return Ok(Vec::new());
        }
        let suite = self.launcher.suite(&self.source(suite)?)?;
        let fitness = &self.config().fitness;
        let protocol =
            Protocol { purpose, seeds, tuning_seeds: fitness.tuning_seeds, scaled: false };
        let mut entrants = Vec::new();
        for ended in searches {
            let program: Program = source::parse(&ended.name, &ended.best.program)
                .map_err(|error| LaunchError::Program(error.into()))?;
            entrants.push(Entrant { form: fitness.form, program, start: ended.best.start });
        }
        let judged = Judging::new(&suite, protocol, threads, cancel, observe)?
            .judge(&entrants, &|_, _| {})?;
        Ok(searches.iter().map(|ended| ended.name.clone()).zip(judged).collect())
    }

    fn source(&self, suite: &str) -> Result<SuiteSource, StudyError> {
        let known = self.state.suites.iter().find(|(name, _)| name == suite);
        let (name, text) = known.ok_or_else(|| StudyError::File {
            path: self.path.join(FILE),
            reason: format!("the text of the suite {suite} is missing; restore the file from a copy, or begin a new campaign"),
        })?;
        Ok(SuiteSource { name: name.clone(), text: text.clone() })
    }

    fn text(&self) -> Result<Vec<u8>, StudyError> {
        checked_json::to_text(&self.state)
            .map_err(|e| StudyError::File { path: self.path.join(FILE), reason: e.to_string() })
    }

    fn write(&self) -> Result<(), StudyError> {
        Ok(symopt_files::write(&self.path.join(FILE), &self.text()?)?)
    }
}
