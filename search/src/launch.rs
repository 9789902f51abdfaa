//! Sets a search up, new or resumed: from settings to the initial program, the suite and the
//! journal.

mod initial;

use std::path::Path;
use std::sync::Arc;

use symopt_cancel::{CancelToken, Cancelled};
use symopt_dsl::{FunctionalHash, Graph, Program};
use symopt_programs::source;
use symopt_proxy_tasks::error::TaskError;
use symopt_proxy_tasks::executor::Executor;
use symopt_proxy_tasks::external::runner::Hands;
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_proxy_tasks::suite::Suite;
use symopt_proxy_tasks::task::Verdict;

use crate::config::{ConfigError, Form, Limits, SearchConfig};
use crate::engine::proposal::{CommandProposer, Terms};
use crate::engine::{Progress, Search, SearchError, SearchResult};
use crate::journal::{
    CheckedStore, EvaluationRecord, Journal, JournalError, Lost, Salvage, Settings,
};
use crate::judge::form::{self, SplitError};
use crate::judge::{self, Judge, Request};
use crate::space::suggestion;
use crate::store::program_source::{self, ProgramError};
use crate::store::statistics::Statistics;

pub use self::initial::{InitialPrograms, LeftOut, Reason};

/// Why a search can't be set up or fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// A program.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The settings.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The initial program is no direction, and can't be made one.
    #[error(transparent)]
    Split(#[from] SplitError),
    /// There is nothing to tune.
    #[error(
        "with mutation.constants_only = true the constants of the initial program are tuned, and {name} has none among its statements"
    )]
    NoConstants {
        /// The initial program.
        name: String,
    },
    /// A name that is hidden from mutations is no parameter.
    #[error("mutation.hidden names `{name}`, which is no parameter of {program}{}; its parameters: {}", suggestion(name, known.iter().map(String::as_str)), known.join(", "))]
    Hidden {
        /// The name.
        name: String,
        /// The initial program.
        program: String,
        /// The parameters that it has.
        known: Vec<String>,
    },
    /// No program of the zoo is one to start from.
    #[error(
        "initial = \"zoo\" gives {left_out}; allow more functions, slots or statements, or name a \
         program"
    )]
    NoInitial {
        /// Which were left out, and why.
        left_out: String,
    },
    /// More initial programs than places.
    #[error(
        "{programs} initial programs do not fit into evolution.population = {population}; raise \
         that to {programs} or more, or name fewer programs"
    )]
    Crowded {
        /// Initial programs.
        programs: usize,
        /// Places of the population.
        population: usize,
    },
    /// The suite.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The store.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The search itself.
    #[error(transparent)]
    Search(#[from] SearchError),
}

impl LaunchError {
    /// Whether it was cancelled before there was anything to report.
    pub fn is_cancelled(&self) -> bool {
        match self {
            LaunchError::Task(error) | LaunchError::Search(SearchError::Task(error)) => {
                error.is_cancelled()
            }
            _ => false,
        }
    }
}

impl From<Cancelled> for LaunchError {
    fn from(cancelled: Cancelled) -> LaunchError {
        LaunchError::Task(cancelled.into())
    }
}

/// A search that has ended, and what it ran on.
#[must_use]
#[non_exhaustive]
pub struct Finished {
    /// Result of the search.
    pub result: SearchResult,
    /// The suite.
    pub suite: Arc<Suite>,
    /// Its statistics over time, as the journal holds them.
    pub history: Vec<Statistics>,
}

/// A search that is set up, with its store open.
pub struct Launch {
    config: SearchConfig,
    /// The limits that the store holds.
    stored_limits: Limits,
    suite: Arc<Suite>,
    judge: Box<dyn Judge>,
    initial: Program,
    /// Further programs that the search starts from.
    others: Vec<Program>,
    target: Option<FunctionalHash>,
    journal: Journal,
    /// A command that is asked for proposals.
    proposer: Option<String>,
}

/// Sets searches up whose training runs an executor does, if there is one, and otherwise the threads
/// of the search. Their results are the same.
#[derive(Clone, Default)]
pub struct Launcher {
    executor: Option<Arc<dyn Executor>>,
    /// Hands that make the runs of external tasks, in place of their commands.
    hands: Option<Hands>,
}

impl std::fmt::Debug for Launcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Launcher")
            .field("has_executor", &self.executor.is_some())
            .field("has_hands", &self.hands.is_some())
            .finish()
    }
}

impl Launcher {
    /// A launcher for an executor.
    pub fn new(executor: Option<Arc<dyn Executor>>) -> Launcher {
        Launcher { executor, hands: None }
    }

    fn by(hands: Option<&Hands>) -> Launcher {
        Launcher { executor: None, hands: hands.cloned() }
    }

    /// A suite, with its training runs done as those of the searches.
    pub fn suite(&self, source: &SuiteSource) -> Result<Arc<Suite>, TaskError> {
        let suite = source.suite_on(self.executor())?;
        if let Some(hands) = &self.hands {
            suite.give_to(hands);
        }
        Ok(Arc::new(suite))
    }

    /// Returns the executor of the training runs; `None` if the threads of the search do them.
    pub fn executor(&self) -> Option<&Arc<dyn Executor>> {
        self.executor.as_ref()
    }

    /// As [`Launch::new`].
    pub fn begin(
        &self,
        config: SearchConfig,
        store: &Path,
        cancel: &CancelToken,
    ) -> Result<Launch, LaunchError> {
        let InitialPrograms { programs, .. } = initial(&config, store, cancel)?;
        let source = SuiteSource::find(&config.suite)?;
        self.begin_with(config, &programs, source, store, cancel)
    }

    /// As [`Launch::of_parts`].
    pub fn begin_with(
        &self,
        mut config: SearchConfig,
        programs: &[Program],
        source: SuiteSource,
        store: &Path,
        cancel: &CancelToken,
    ) -> Result<Launch, LaunchError> {
        config.check()?;
        Journal::check_vacant(store)?;
        let mut programs = initial::prepare(&mut config, programs)?.into_iter();
        let Some(initial) = programs.next() else { return Err(ConfigError::NoInitial.into()) };
        let others: Vec<Program> = programs.collect();
        let suite = self.suite(&source)?;
        let target = target_of(&config)?;
        let judge = judge::of_config(&config, &suite, cancel)?;
        let kept = kept_initial(judge.as_ref(), &suite, &initial, cancel)?;
        let settings = Settings {
            config: config.clone(),
            initial: initial.to_string(),
            others: others.iter().map(Program::to_string).collect(),
            suite: source.text,
            target: target.map(|hash| hash.to_string()),
            hash_version: FunctionalHash::FORMAT_VERSION,
        };
        let mut journal = Journal::create(store, settings)?;
        journal.keep_baselines(&judge.new_baselines())?;
        if let Some(record) = kept {
            journal.keep_initial(&record)?;
        }
        Ok(Launch {
            stored_limits: config.limits.clone(),
            config,
            suite,
            judge,
            initial,
            others,
            target,
            journal,
            proposer: None,
        })
    }

    /// As [`Launch::resume`].
    pub fn resume(
        &self,
        store: &Path,
        change_limits: impl FnOnce(&mut SearchConfig),
        cancel: &CancelToken,
    ) -> Result<Launch, LaunchError> {
        self.resume_checked(CheckedStore::held(store, Salvage::No)?, change_limits, cancel)
    }

    /// As [`Launch::salvage`].
    pub fn salvage(
        &self,
        store: &Path,
        change_limits: impl FnOnce(&mut SearchConfig),
        cancel: &CancelToken,
    ) -> Result<(Launch, Option<Lost>), LaunchError> {
        let checked = CheckedStore::held(store, Salvage::Yes)?;
        let lost = checked.lost();
        Ok((self.resume_checked(checked, change_limits, cancel)?, lost))
    }

    fn resume_checked(
        &self,
        checked: CheckedStore,
        change_limits: impl FnOnce(&mut SearchConfig),
        cancel: &CancelToken,
    ) -> Result<Launch, LaunchError> {
        let settings = checked.settings();
        let mut config = settings.config.clone();
        change_limits(&mut config);
        config.check()?;
        let initial = source::parse("the store's initial program", &settings.initial)
            .map_err(ProgramError::from)?;
        let others = program_source::others_of(settings)?;
        let source = SuiteSource { name: config.suite.clone(), text: settings.suite.clone() };
        let suite = self.suite(&source)?;
        let target = if config.limits.target_program == settings.config.limits.target_program {
            settings.target.as_deref().and_then(FunctionalHash::from_hex)
        } else {
            target_of(&config)?
        };
        let judge = judge::with_baselines(&config, &suite, checked.baselines()?, cancel)?;
        // The baseline is known, so nothing else would show that a command no longer works, before
        // it fails with all programs.
        suite.check_commands(&suite.seeds, cancel)?;
        let mut journal = Journal::of(checked)?;
        if journal.children() == 0
            && journal.initial()?.is_none()
            && let Some(record) = kept_initial(judge.as_ref(), &suite, &initial, cancel)?
        {
            // The process that made the store was killed before it was kept.
            journal.keep_baselines(&judge.new_baselines())?;
            journal.keep_initial(&record)?;
        }
        let stored_limits = journal.settings().config.limits.clone();
        Ok(Launch {
            config,
            stored_limits,
            suite,
            judge,
            initial,
            others,
            target,
            journal,
            proposer: None,
        })
    }
}

impl Launch {
    /// A new search with a new store. The store is made last, when nothing about the settings, the
    /// programs or the suite's data can be wrong.
    pub fn new(
        config: SearchConfig,
        store: &Path,
        cancel: &CancelToken,
    ) -> Result<Launch, LaunchError> {
        Launcher::default().begin(config, store, cancel)
    }

    /// The same with the initial programs, at least one, and the suite at hand, whatever the settings
    /// call them.
    pub fn of_parts(
        config: SearchConfig,
        programs: &[Program],
        source: SuiteSource,
        store: &Path,
        cancel: &CancelToken,
    ) -> Result<Launch, LaunchError> {
        Launch::of_parts_by(None, config, programs, source, store, cancel)
    }

    /// The same, and others make the runs of the suite's external tasks.
    pub fn of_parts_by(
        hands: Option<&Hands>,
        config: SearchConfig,
        programs: &[Program],
        source: SuiteSource,
        store: &Path,
        cancel: &CancelToken,
    ) -> Result<Launch, LaunchError> {
        Launcher::by(hands).begin_with(config, programs, source, store, cancel)
    }

    /// Whether a store holds the search of these settings, whatever its limits and the name of its
    /// suite, whose text `is_suite` knows.
    pub fn holds(
        store: &Path,
        mut config: SearchConfig,
        programs: &[Program],
        is_suite: impl FnOnce(&str) -> bool,
    ) -> bool {
        let (Ok(stored), Ok(programs)) =
            (CheckedStore::settings_of(store), initial::prepare(&mut config, programs))
        else {
            return false;
        };
        config.limits = stored.config.limits.clone();
        config.suite.clone_from(&stored.config.suite);
        let texts = std::iter::once(&stored.initial).chain(&stored.others);
        config == stored.config
            && programs.iter().map(Program::to_string).eq(texts.cloned())
            && is_suite(&stored.suite)
    }

    /// A search that goes on where its journal ends. `change_limits` may set other limits than it
    /// was started with.
    pub fn resume(
        store: &Path,
        change_limits: impl FnOnce(&mut SearchConfig),
        cancel: &CancelToken,
    ) -> Result<Launch, LaunchError> {
        Launcher::default().resume(store, change_limits, cancel)
    }

    /// The same, and others make the runs of the suite's external tasks.
    pub fn resume_by(
        hands: Option<&Hands>,
        store: &Path,
        change_limits: impl FnOnce(&mut SearchConfig),
        cancel: &CancelToken,
    ) -> Result<Launch, LaunchError> {
        Launcher::by(hands).resume(store, change_limits, cancel)
    }

    /// The same with what is whole of a store that has lost some of what was acknowledged. Also
    /// gives what was lost, if anything was.
    pub fn salvage(
        store: &Path,
        change_limits: impl FnOnce(&mut SearchConfig),
        cancel: &CancelToken,
    ) -> Result<(Launch, Option<Lost>), LaunchError> {
        Launcher::default().salvage(store, change_limits, cancel)
    }

    /// The file that holds what the log had after its damage, if it was damaged when the search was
    /// set up.
    pub fn kept_end(&self) -> Option<&Path> {
        self.journal.kept_end()
    }

    /// The settings.
    pub fn config(&self) -> &SearchConfig {
        &self.config
    }

    /// The limits that the store holds: what a resumed search has if no others are given.
    pub fn stored_limits(&self) -> &Limits {
        &self.stored_limits
    }

    /// The suite.
    pub fn suite(&self) -> &Suite {
        &self.suite
    }

    /// The same with a command that is asked for the proposals that the journal does not have, where
    /// the settings have proposals.
    pub fn with_proposer(self, command: Option<String>) -> Launch {
        Launch { proposer: command, ..self }
    }

    /// Runs the search. Afterwards the store is closed.
    pub fn run(
        mut self,
        threads: usize,
        cancel: &CancelToken,
        observe: &mut dyn FnMut(&Progress),
    ) -> Result<Finished, LaunchError> {
        let terms = Terms::new(&self.config, &self.initial);
        let proposer = self
            .proposer
            .filter(|_| self.config.mutation.proposals > 0.0)
            .zip(terms)
            .map(|(command, terms)| CommandProposer::new(&command, &self.config, terms));
        let mut search =
            Search::new(self.config, self.target, self.judge.as_ref(), &mut self.journal, threads)
                .with_others(self.others);
        if let Some(proposer) = proposer {
            search = search.with_proposer(Box::new(proposer));
        }
        let result = search.run(self.initial, cancel, observe)?;
        let history = self.journal.statistics()?;
        Ok(Finished { result, suite: self.suite, history })
    }
}

/// The programs that a search begins with, and a look at all else that can be wrong with it but for
/// the suite: for what takes time before the search is set up.
pub fn initial(
    config: &SearchConfig,
    store: &Path,
    cancel: &CancelToken,
) -> Result<InitialPrograms, LaunchError> {
    config.check()?;
    Journal::check_vacant(store)?;
    named(config, cancel)
}

/// The same, whatever stands where the store will be.
pub fn named(config: &SearchConfig, cancel: &CancelToken) -> Result<InitialPrograms, LaunchError> {
    config.check()?;
    // The standard input can be read only once.
    if config.limits.target_program != "-" {
        target_of(config)?;
    }
    InitialPrograms::find(config, cancel)
}

/// The evaluation of the initial program, where it can't be made again. It must not fail.
fn kept_initial(
    judge: &dyn Judge,
    suite: &Suite,
    initial: &Program,
    cancel: &CancelToken,
) -> Result<Option<EvaluationRecord>, LaunchError> {
    let Ok(graph) = Graph::new(initial) else { return Ok(None) };
    if judge.is_repeatable() {
        return Ok(None);
    }
    let evaluation = judge.judge(&Request::new(initial), cancel, &mut |_, _| Verdict::Continue)?;
    match &evaluation.failure {
        Some(failure) => {
            let task = format!("{} with the initial program", suite.name);
            Err(TaskError::Failed { task, failure: failure.as_ref().clone() }.into())
        }
        None => Ok(Some(EvaluationRecord::new(graph.hash(), initial, &evaluation))),
    }
}

fn target_of(config: &SearchConfig) -> Result<Option<FunctionalHash>, LaunchError> {
    if config.limits.target_program.is_empty() {
        return Ok(None);
    }
    let found = program_source::find(&config.limits.target_program)?;
    let program = match config.fitness.form {
        Form::Program => found.whole(),
        // As the search breeds it.
        Form::Direction => form::split(&found.program).unwrap_or(found.program),
    };
    Ok(Graph::new(&program).ok().map(|graph| graph.hash()))
}
