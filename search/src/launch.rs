//! Sets a search up, new or resumed: from settings to the initial program, the suite and the journal.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use symopt_dsl::{FunctionalHash, Graph, Program};
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_proxy_tasks::suite::Suite;
use symopt_proxy_tasks::task::TaskError;

use crate::config::SearchConfig;
use crate::engine::{Progress, Search, SearchError, SearchResult};
use crate::journal::{Journal, JournalError, Settings};
use crate::judge::SuiteJudge;

/// Why a program can't be found.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// Neither a zoo program nor a file.
    #[error(
        "{name:?} is no zoo program and no file{}; `symopt programs` lists the zoo",
        nearest.map_or_else(String::new, |n| format!("; did you mean {n}?"))
    )]
    Unknown {
        /// What was asked for.
        name: String,
        /// The zoo program of the nearest name.
        nearest: Option<&'static str>,
    },
    /// The file can't be read.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The text is wrong; this is the rendered report.
    #[error("{report}")]
    Text {
        /// The report, with the places in the text.
        report: String,
    },
    /// A store has no such program.
    #[error("{store}: {reason}")]
    NotInStore {
        /// The store.
        store: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The store can't be opened.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Parses a text; on an error the report shows the places in it.
pub fn parse_program(name: &str, text: &str, color: bool) -> Result<Program, ProgramError> {
    symopt_dsl::parse(text).map_err(|faults| ProgramError::Text { report: faults.render(name, text, color) })
}

/// A program by zoo name, `STORE:HASH` (the first digits of a hash are enough) or file.
pub fn find_program(name: &str, color: bool) -> Result<Program, ProgramError> {
    if let Some(entry) = symopt_programs::find(name) {
        return Ok(entry.program());
    }
    let path = Path::new(name);
    if !path.exists() {
        if let Some((store, hash)) = name.rsplit_once(':')
            && Path::new(store).is_dir()
        {
            return program_in_store(Path::new(store), hash, color);
        }
        return Err(ProgramError::Unknown { name: name.to_owned(), nearest: symopt_programs::nearest(name) });
    }
    let bytes = std::fs::read(path).map_err(|source| ProgramError::File { path: path.to_owned(), source })?;
    let text = String::from_utf8(bytes).map_err(|e| ProgramError::Text {
        report: format!("{name}: not a text file: byte {} is not valid UTF-8", e.utf8_error().valid_up_to()),
    })?;
    parse_program(name, &text, color)
}

fn program_in_store(store: &Path, hash: &str, color: bool) -> Result<Program, ProgramError> {
    let not_there = |reason: String| ProgramError::NotInStore { store: store.to_owned(), reason };
    if hash.is_empty() || !hash.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(not_there(format!("{hash:?} is no functional hash: it should be hexadecimal digits, the first few are enough")));
    }
    let journal = Journal::open(store)?;
    let hash = hash.to_ascii_lowercase();
    let mut found: Vec<(String, String)> = Vec::new();
    for (_, record) in journal.evaluations()? {
        if record.hash.starts_with(&hash) {
            found.push((record.hash, record.program));
        }
    }
    let initial = parse_program("the store's initial program", &journal.settings().initial, color)?;
    if let Ok(graph) = Graph::new(&initial)
        && graph.hash().to_string().starts_with(&hash)
    {
        found.push((graph.hash().to_string(), journal.settings().initial.clone()));
    }
    found.sort();
    found.dedup_by(|a, b| a.0 == b.0);
    match found.as_slice() {
        [] => Err(not_there(format!("no evaluated program has a hash that begins with {hash}"))),
        [(hash, text)] => parse_program(&format!("{}:{hash}", store.display()), text, color),
        several => Err(not_there(format!("{} programs have hashes that begin with {hash}; give more digits", several.len()))),
    }
}

/// Why a search can't be set up or fails.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// A program.
    #[error(transparent)]
    Program(#[from] ProgramError),
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

/// A search that is set up, with its store open.
pub struct Launch {
    config: SearchConfig,
    suite: Suite,
    initial: Program,
    target: Option<FunctionalHash>,
    journal: Journal,
}

impl Launch {
    /// A new search with a new store.
    pub fn new(config: SearchConfig, store: &Path, color: bool) -> Result<Launch, LaunchError> {
        let program = find_program(&config.initial, color)?;
        let mut signature = program.signature().clone();
        signature.numerics = config.numerics.into();
        let initial = program.with_signature(signature);
        let source = SuiteSource::find(&config.suite)?;
        let suite = source.suite()?;
        let target = target_of(&config, color)?;
        let settings = Settings {
            config: config.clone(),
            initial: initial.to_string(),
            suite: source.text,
            hash_version: FunctionalHash::FORMAT_VERSION,
        };
        let journal = Journal::create(store, settings)?;
        Ok(Launch { config, suite, initial, target, journal })
    }

    /// A search that goes on where its journal ends. `change_limits` may set other limits than it was started with.
    pub fn resume(store: &Path, color: bool, change_limits: impl FnOnce(&mut SearchConfig)) -> Result<Launch, LaunchError> {
        let journal = Journal::open(store)?;
        let mut config = journal.settings().config.clone();
        change_limits(&mut config);
        let initial = parse_program("the store's initial program", &journal.settings().initial, color)?;
        let source = SuiteSource { name: config.suite.clone(), text: journal.settings().suite.clone() };
        let suite = source.suite()?;
        let target = target_of(&config, color)?;
        Ok(Launch { config, suite, initial, target, journal })
    }

    /// The settings.
    pub fn config(&self) -> &SearchConfig {
        &self.config
    }

    /// The suite.
    pub fn suite(&self) -> &Suite {
        &self.suite
    }

    /// The program that the search starts from.
    pub fn initial(&self) -> &Program {
        &self.initial
    }

    /// Runs the search. Afterwards the store is closed.
    pub fn run(
        mut self,
        threads: usize,
        interrupt: &AtomicBool,
        observe: &mut dyn FnMut(&Progress),
    ) -> Result<(SearchResult, Suite), LaunchError> {
        let judge = SuiteJudge::new(&self.suite)?;
        let search = Search::new(self.config, self.target, &judge, &mut self.journal, threads);
        let result = search.run(self.initial, interrupt, observe)?;
        drop(judge);
        Ok((result, self.suite))
    }
}

fn target_of(config: &SearchConfig, color: bool) -> Result<Option<FunctionalHash>, LaunchError> {
    if config.limits.target_program.is_empty() {
        return Ok(None);
    }
    let program = find_program(&config.limits.target_program, color)?;
    Ok(Graph::new(&program).ok().map(|graph| graph.hash()))
}
