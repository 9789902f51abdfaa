//! The studies that made Lion convincing, on any suite and any programs.
//!
//! A study is a grid of cells, each a program on a task at one of its sizes or with some of its
//! hyperparameters set; each cell is tuned on the tuning seeds, and what is best there is run on
//! other seeds, which no tuning and no search sees. From that come a table of all cells, figures,
//! and a verdict in sentences.
//!
//! | module | what it holds |
//! |---|---|
//! | [`lr_decay`] | losses over learning rate and decay: how robust each program is |
//! | [`batch_size`] | the same epochs in batches of several sizes: who prefers which |
//! | [`betas`] | averages that are kept apart, or made one |
//! | [`scale`] | the same task at several widths and horizons |
//! | [`memory_speed`] | bytes of state, seconds of a step and of training |
//! | [`lion`] | all of them for Lion against AdamW, beside the claims of its paper |
//! | [`findings`], [`table`] | what a study ends with |
//! | [`runner`], [`journal`] | how the runs are made, and kept |
//!
//! Every finished run is kept in the study's directory, so that a study that was killed goes on where
//! it was and ends with the same bytes. All runs are counted, those that diverged included. But for
//! measured times, the same study has the same bytes on any number of threads.

pub mod batch_size;
pub mod betas;
mod cells;
pub mod findings;
pub mod journal;
pub mod lion;
pub mod lr_decay;
pub mod memory_speed;
pub mod runner;
pub mod scale;
pub mod table;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use symopt_cancel::CancelToken;
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_proxy_tasks::suite::BASELINE;

use crate::checked_json;
use crate::error::{StudyError, pool};
use crate::landscape::Entry;
use crate::trials::Observe;
use findings::Findings;
use journal::Journal;

/// Which study it is, with what it varies.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Study {
    /// Losses over learning rate and weight decay.
    LrDecay(lr_decay::Settings),
    /// Batches of several sizes.
    BatchSize(batch_size::Settings),
    /// Averages made one.
    Betas(betas::Settings),
    /// Widths and horizons.
    Scale(scale::Settings),
    /// State and times.
    MemorySpeed(memory_speed::Settings),
}

impl Study {
    /// The five, in their default sizes.
    pub fn all() -> [Study; 5] {
        [
            Study::LrDecay(lr_decay::Settings::default()),
            Study::BatchSize(batch_size::Settings::default()),
            Study::Betas(betas::Settings::default()),
            Study::Scale(scale::Settings::default()),
            Study::MemorySpeed(memory_speed::Settings::default()),
        ]
    }

    /// Returns its name on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Study::LrDecay(_) => "lr-decay",
            Study::BatchSize(_) => "batch-size",
            Study::Betas(_) => "betas",
            Study::Scale(_) => "scale",
            Study::MemorySpeed(_) => "memory-speed",
        }
    }
}

/// On which tasks and with which programs a study is done.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The suite.
    pub suite: SuiteSource,
    /// The programs, each under a name of its own. The first is what the study is about.
    pub programs: Vec<Entry>,
}

impl Subject {
    /// The program that the others are held against: AdamW if it is there, or else the last; `None`
    /// where there is one program.
    pub(crate) fn reference(&self) -> Option<usize> {
        let adamw = self.programs.iter().position(|entry| entry.name == BASELINE);
        adamw.or(self.programs.len().checked_sub(1)).filter(|_| self.programs.len() > 1)
    }

    /// The programs but for that.
    pub(crate) fn others(&self) -> impl Iterator<Item = (usize, &Entry)> {
        let reference = self.reference();
        self.programs.iter().enumerate().filter(move |(index, _)| Some(*index) != reference)
    }
}

/// How a study is done.
pub struct Work<'a> {
    /// Where the finished runs are kept, and the results go.
    pub directory: &'a Path,
    /// Threads that train; but for measured times nothing depends on their number.
    pub threads: usize,
    /// Ends the study; what is finished is kept.
    pub cancel: &'a CancelToken,
    /// Told how many runs have been done, and how many there are at most.
    pub observe: Observe<'a>,
}

/// The file that says which study is in a directory.
pub const MANIFEST: &str = "study.json";
const FORMAT: &str = "symopt study";
const FORMAT_VERSION: u32 = 1;

/// Description of the study in a directory.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Manifest {
    format: String,
    version: u32,
    /// The study with its settings.
    study: serde_json::Value,
    /// The text of the suite.
    suite: String,
    /// Names and texts of the programs, and whether each is a direction.
    programs: Vec<(String, String, bool)>,
}

/// Does a study, or goes on with it.
pub fn run(study: &Study, subject: &Subject, work: &Work) -> Result<Findings, StudyError> {
    // Faults of the request show before anything is written.
    let suite = subject.suite.suite()?;
    if subject.programs.is_empty() {
        return Err(refused(study, "there is no program; name some with --program".to_owned()));
    }
    match study {
        Study::LrDecay(settings) => lr_decay::check(settings)?,
        Study::BatchSize(settings) => drop(batch_size::tasks(settings, &subject.suite)?),
        Study::Betas(settings) => betas::check(settings, subject)?,
        Study::Scale(settings) => drop(scale::tasks(settings, &subject.suite)?),
        Study::MemorySpeed(settings) => memory_speed::check(settings)?,
    }
    drop(suite);
    claim(study, subject, work.directory)?;
    let journal = Journal::open(work.directory)?;
    let pool = pool(work.threads)?;
    pool.install(|| match study {
        Study::LrDecay(settings) => lr_decay::run(settings, subject, work, &journal),
        Study::BatchSize(settings) => batch_size::run(settings, subject, work, &journal),
        Study::Betas(settings) => betas::run(settings, subject, work, &journal),
        Study::Scale(settings) => scale::run(settings, subject, work, &journal),
        Study::MemorySpeed(settings) => memory_speed::run(settings, subject, work, &journal),
    })
}

/// A study that can't be done, and why.
fn refused(study: &Study, reason: String) -> StudyError {
    StudyError::Study { study: study.name(), reason }
}

/// Makes a directory that of a study, unless it is that already.
fn claim(study: &Study, subject: &Subject, directory: &Path) -> Result<(), StudyError> {
    let path = directory.join(MANIFEST);
    let failed = |path: &Path, reason: String| StudyError::File { path: path.to_owned(), reason };
    let program =
        |entry: &Entry| (entry.name.clone(), entry.program.to_string(), entry.is_direction);
    let manifest = Manifest {
        format: FORMAT.to_owned(),
        version: FORMAT_VERSION,
        study: serde_json::to_value(study).map_err(|error| failed(&path, error.to_string()))?,
        suite: subject.suite.text.clone(),
        programs: subject.programs.iter().map(program).collect(),
    };
    match std::fs::read(&path) {
        Ok(bytes) => {
            let found: Manifest = checked_json::from_text(&bytes).map_err(|reason| {
                failed(
                    &path,
                    format!("it says of no study ({reason}); give another directory with -o"),
                )
            })?;
            if found == manifest {
                return Ok(());
            }
            let differs = if found.study != manifest.study {
                "another study, or one with other settings"
            } else if found.suite != manifest.suite {
                "a study of another suite"
            } else {
                "a study of other programs"
            };
            let reason = format!("{differs} is in this directory; give another one with -o");
            Err(failed(directory, reason))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            symopt_files::create_directory(directory)?;
            let mut entries = std::fs::read_dir(directory)
                .map_err(|error| failed(directory, error.to_string()))?;
            if entries.next().is_some() {
                let reason = "there are files in it, and they are of no study; give a directory that is empty or not there with -o";
                return Err(failed(directory, reason.to_owned()));
            }
            let text = checked_json::to_text(&manifest)
                .map_err(|error| failed(&path, error.to_string()))?;
            Ok(symopt_files::write(&path, &text)?)
        }
        Err(error) => Err(failed(&path, error.to_string())),
    }
}

/// Writes what a study has found into its directory; returns the files.
pub fn write(findings: &Findings, directory: &Path) -> Result<Vec<PathBuf>, StudyError> {
    let failed =
        |name: &str, reason: String| StudyError::File { path: directory.join(name), reason };
    let csv = findings.table.csv().map_err(|error| failed("table.csv", error.to_string()))?;
    let mut json = serde_json::to_string_pretty(&findings.json())
        .map_err(|error| failed("findings.json", error.to_string()))?;
    json.push('\n');
    let mut files = vec![
        ("table.csv".to_owned(), csv),
        ("findings.json".to_owned(), json),
        ("report.md".to_owned(), findings.markdown()),
    ];
    files.extend(findings.figures.iter().map(|figure| (figure.file.clone(), figure.chart.svg())));
    let mut paths = Vec::new();
    for (name, text) in files {
        let path = directory.join(name);
        symopt_files::write(&path, text.as_bytes())?;
        paths.push(path);
    }
    Ok(paths)
}
