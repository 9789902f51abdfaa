//! A store that is read.

use std::collections::HashMap;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use symopt_dsl::FunctionalHash;
use symopt_proxy_tasks::suite::Baseline;

use super::error::{JournalError, store_error};
use super::lock::{take_lock, take_lock_to_read};
use super::log::{Digits, Found, Log, LogError, Summary, Tail};
use super::manifest::check_manifest;
use super::record::{EvaluationRecord, Improvement, Origin, Place, Proposal, Settings};
use super::witness::read_witness;
use super::{INDEX, JOURNAL, LAST_SLED, LOG, old};
use crate::directory::no_follow;
use crate::judge::evaluation::Evaluation;
use crate::store::statistics::Statistics;

/// Treatment of a store that has lost acknowledged evaluations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Salvage {
    /// It is refused.
    No,
    /// Its intact parts are used. A search evaluates again what is missing.
    Yes,
}

/// Loss of a damaged store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Lost {
    /// Evaluations that are there.
    pub there: u64,
    /// Evaluations that had been acknowledged, as far as that is known.
    pub acknowledged: u64,
    /// Bytes of the log that can't be read.
    pub bytes: u64,
}

/// A store that is in order. Reading it takes no lock and touches nothing.
pub struct CheckedStore {
    pub(super) path: PathBuf,
    pub(super) log: Log,
    pub(super) summary: Summary,
    /// Whether the log is a temporary one, made of a store of an earlier format.
    pub(super) is_old: bool,
    pub(super) lost: Option<Lost>,
    /// Held if the store is to be opened.
    pub(super) lock: Option<File>,
}

/// An evaluation of a store that was found by its hash.
#[derive(Clone, Copy, Debug)]
pub struct FoundEvaluation(Found);

impl FoundEvaluation {
    /// Returns which child or revision was evaluated.
    pub fn place(&self) -> Place {
        self.0.place
    }

    /// Its functional hash.
    pub fn hash(&self) -> FunctionalHash {
        self.0.hash
    }
}

impl CheckedStore {
    /// Checks a store to read it, also while another process uses it.
    pub fn of(path: &Path) -> Result<CheckedStore, JournalError> {
        check(path, Access::Read, None)
    }

    /// Checks a store that is to be opened, and holds it for this process.
    pub fn held(path: &Path, salvage: Salvage) -> Result<CheckedStore, JournalError> {
        check(path, Access::Write(salvage), None)
    }

    /// Returns the settings that the search of a store was started with; nothing else of the store
    /// is looked at, unless it is of an earlier format.
    pub fn settings_of(path: &Path) -> Result<Settings, JournalError> {
        if check_manifest(path)? <= LAST_SLED {
            return Ok(CheckedStore::of(path)?.summary.settings);
        }
        let log_path = path.join(LOG);
        let file = File::open(&log_path).map_err(|e| store_error(path, &log_path, &e))?;
        Log::settings(file, path, &log_path).map_err(|error| match error {
            LogError::Damaged(reason) => {
                JournalError::Damaged { path: path.to_owned(), reason, salvage: false }
            }
            LogError::File(error) => store_error(path, &log_path, &error),
        })
    }

    /// Checks as much of a store as it takes to find the evaluations of the programs whose hashes
    /// begin with digits: for each hash the first one. Parts that an index covers are not read
    /// through.
    pub fn find(
        path: &Path,
        digits: &str,
    ) -> Result<(CheckedStore, Vec<FoundEvaluation>), JournalError> {
        let digits = Digits::of(digits);
        let mut store = check(path, Access::Read, digits)?;
        // Among equal programs the first is kept; a child comes before all of the elite.
        let mut found = std::mem::take(&mut store.summary.found);
        found.sort_by_key(|found| (found.hash, found.place));
        found.dedup_by_key(|found| found.hash);
        Ok((store, found.into_iter().map(FoundEvaluation).collect()))
    }

    /// The record of an evaluation that was found in this store.
    pub fn record(&self, found: &FoundEvaluation) -> Result<EvaluationRecord, JournalError> {
        self.log.record_of(&found.0)
    }

    /// The records of the evaluations that are wanted, children and the elite, in the order of the
    /// log. Nothing is held of the others.
    pub fn records_where(
        &self,
        wanted: impl FnMut(Place, FunctionalHash, &Evaluation) -> bool,
    ) -> Result<Vec<(Place, EvaluationRecord)>, JournalError> {
        self.log.records_where(wanted)
    }

    /// Returns the settings that the search was started with.
    pub fn settings(&self) -> &Settings {
        &self.summary.settings
    }

    /// Every evaluation, of children and of the elite, in the order of the log.
    pub fn each_evaluation(
        &self,
        f: impl FnMut(Place, FunctionalHash, &Evaluation),
    ) -> Result<(), JournalError> {
        self.log.each_evaluation(f)
    }

    /// Returns the loss, if the store was damaged and is salvaged.
    pub fn lost(&self) -> Option<Lost> {
        self.lost
    }

    /// The acknowledged evaluations with the numbers of their children, in order.
    pub fn evaluations(&self) -> Result<Vec<(u64, EvaluationRecord)>, JournalError> {
        self.log.records(true)
    }

    /// The acknowledged evaluations of the elite on new seeds, in order, by
    /// [`revision`](super::record::revision).
    pub fn revisions(&self) -> Result<Vec<(u64, EvaluationRecord)>, JournalError> {
        self.log.records(false)
    }

    /// The evaluation of the initial program, if it was kept.
    pub fn initial(&self) -> Result<Option<EvaluationRecord>, JournalError> {
        self.log.initial()
    }

    /// The baselines that were kept, by epoch.
    pub fn baselines(&self) -> Result<Vec<(u64, Baseline)>, JournalError> {
        self.log.baselines()
    }

    /// Where the children that were evaluated come from, by number. An earlier release did not keep
    /// that.
    pub fn origins(&self) -> Result<HashMap<u64, Origin>, JournalError> {
        self.log.origins()
    }

    /// The proposals with the numbers of their children, in order.
    pub fn proposals(&self) -> Result<Vec<(u64, Proposal)>, JournalError> {
        self.log.proposals()
    }

    /// The improvements, in order.
    pub fn improvements(&self) -> Result<Vec<Improvement>, JournalError> {
        self.log.improvements()
    }

    /// The rows of statistics, in order.
    pub fn statistics(&self) -> Result<Vec<Statistics>, JournalError> {
        self.log.statistics()
    }

    /// The log, to be read in the order of time.
    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// The number after the last child that was evaluated.
    pub(crate) fn children(&self) -> u64 {
        self.summary.children
    }
}

#[derive(Clone, Copy)]
enum Access {
    Read,
    Write(Salvage),
}

fn check(
    path: &Path,
    access: Access,
    wanted: Option<Digits>,
) -> Result<CheckedStore, JournalError> {
    if !path.exists() {
        return Err(JournalError::Missing { path: path.to_owned() });
    }
    let version = check_manifest(path)?;
    let log_path = path.join(LOG);
    // A log from an interrupted conversion of an earlier format is not the journal.
    let is_old = version <= LAST_SLED && (old::is_there(path) || !log_path.is_file());
    let lock = match access {
        Access::Write(_) => Some(take_lock(path)?),
        // sled's files change while they are read, and a search of an earlier release waits for its
        // end.
        Access::Read if is_old => take_lock_to_read(path)?,
        Access::Read => None,
    };
    let salvage = matches!(access, Access::Write(Salvage::Yes));
    let damaged = |reason: String, salvage: bool| JournalError::Damaged {
        path: path.to_owned(),
        reason,
        salvage,
    };
    // It is read before the log, which only grows.
    let claimed = match read_witness(path) {
        Ok(claimed) => claimed,
        Err(_) if salvage => 0,
        Err(reason) => return Err(damaged(reason, true)),
    };
    if !path.join(JOURNAL).is_dir() {
        return Err(damaged(format!("{JOURNAL} is missing"), false));
    }
    let file = match is_old {
        true => old::log_of(path, claimed, salvage)?,
        false => {
            let opened = match access {
                Access::Read => File::open(&log_path),
                Access::Write(_) => {
                    no_follow(File::options().read(true).write(true)).open(&log_path)
                }
            };
            opened.map_err(|e| match e.kind() {
                ErrorKind::NotFound => damaged(format!("{LOG} is missing"), false),
                _ => store_error(path, &log_path, &e),
            })?
        }
    };
    let length = file.metadata().map_err(|e| store_error(path, &log_path, &e))?.len();
    let index = match (access, wanted) {
        (Access::Read, Some(digits)) if !is_old => {
            File::open(path.join(INDEX)).ok().map(|index| (index, digits))
        }
        _ => None,
    };
    let scanned = match index {
        Some((index, digits)) => Log::scan_with_index(file, &index, path, &log_path, digits),
        None => Log::scan(file, path, &log_path, wanted),
    };
    let (log, summary) = scanned.map_err(|error| match error {
        LogError::Damaged(reason) => damaged(reason, false),
        LogError::File(error) => store_error(path, &log_path, &error),
    })?;
    let hash_version = summary.settings.hash_version;
    if hash_version != FunctionalHash::FORMAT_VERSION {
        let ours = FunctionalHash::FORMAT_VERSION;
        let reason = format!(
            "its functional hashes have version {hash_version}, this release's have {ours}: use the release that made it"
        );
        return Err(damaged(reason, false));
    }
    let (there, bytes) = (summary.evaluations, length.saturating_sub(log.end));
    let mut lost = None;
    if there < claimed {
        if !salvage {
            let counts = format!("{there} evaluations are there, but {claimed} were acknowledged");
            let reason = match summary.tail {
                Tail::Damaged => format!("{counts}: {LOG} is damaged at byte {}", log.end),
                Tail::Whole | Tail::CutOff => format!("{counts}: the end of {LOG} is missing"),
            };
            return Err(damaged(reason, true));
        }
        lost = Some(Lost { there, acknowledged: claimed, bytes });
    }
    Ok(CheckedStore { path: path.to_owned(), log, summary, is_old, lost, lock })
}
