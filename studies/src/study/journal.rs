//! The finished runs of a study, in its directory.
//!
//! A line for each run: a checksum, then what was run and what came of it. A process that is killed
//! leaves at most a part of its last line, which is cut off when the study goes on. So no run that
//! was finished is made again, and a study that was killed ends with what it would have had.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::checked_json::checksum;
use crate::error::StudyError;

/// The file in the directory of a study.
pub const FILE: &str = "runs.jsonl";
/// Digits of a checksum, and the space behind it.
const HEAD: usize = 17;

/// Kind of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The final validation loss.
    Loss,
    /// The seconds of a whole training run.
    TrainingSeconds,
    /// The seconds of a step of the optimizer.
    StepSeconds,
}

/// Which run it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunKey {
    /// The measured quantity.
    pub what: What,
    /// The task, at its size.
    pub task: String,
    /// The program.
    pub program: String,
    /// Peak learning rate.
    pub peak_lr: f64,
    /// Hyperparameters that differ from the program's defaults.
    pub hyperparameters: Vec<(String, f64)>,
    /// The seed, or the number of the repeat.
    pub seed: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(flatten)]
    key: RunKey,
    /// `None` if the run diverged.
    value: Option<f64>,
}

struct Kept {
    file: File,
    known: HashMap<String, Option<f64>>,
}

/// The finished runs.
pub struct Journal {
    path: PathBuf,
    kept: Mutex<Kept>,
}

impl Journal {
    /// The journal in a directory. One process at a time has it.
    pub fn open(directory: &Path) -> Result<Journal, StudyError> {
        let path = directory.join(FILE);
        let failed = |reason: String| StudyError::File { path: path.clone(), reason };
        let file = OpenOptions::new().read(true).append(true).create(true).open(&path);
        let mut file = file.map_err(|error| failed(error.to_string()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let reason = "another process is at this study; wait for it, or give another directory with -o";
                return Err(failed(reason.to_owned()));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error.to_string())),
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|error| failed(error.to_string()))?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let mut known = HashMap::new();
        for (number, line) in bytes[..whole].split(|byte| *byte == b'\n').enumerate() {
            if line.is_empty() {
                continue;
            }
            let Some((key, value)) = read(line) else {
                return Err(failed(format!(
                    "line {} was changed or damaged; move the directory away, and begin anew",
                    number + 1
                )));
            };
            known.insert(key, value);
        }
        if whole < bytes.len() {
            let cut = file.set_len(whole as u64).and_then(|()| file.seek(SeekFrom::End(0)));
            cut.map_err(|error| failed(error.to_string()))?;
        }
        Ok(Journal { path, kept: Mutex::new(Kept { file, known }) })
    }

    /// The result of a run: from the journal, or made now and kept.
    pub fn value<E: From<StudyError>>(
        &self,
        key: &RunKey,
        make: impl FnOnce() -> Result<Option<f64>, E>,
    ) -> Result<Option<f64>, E> {
        let failed = |reason: String| StudyError::File { path: self.path.clone(), reason };
        let text = serde_json::to_string(key).map_err(|error| failed(error.to_string()))?;
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = kept().known.get(&text) {
            return Ok(*value);
        }
        let value = make()?.filter(|value| value.is_finite());
        let line = Line { key: key.clone(), value };
        let line = serde_json::to_string(&line).map_err(|error| failed(error.to_string()))?;
        let line = format!("{} {line}\n", checksum(&line));
        let mut kept = kept();
        // At once, so that a process that is killed leaves no part of a line but at the end.
        kept.file.write_all(line.as_bytes()).map_err(|error| failed(error.to_string()))?;
        kept.known.insert(text, value);
        Ok(value)
    }
}

/// The run of a line and what came of it; `None` where the line is not as it was written.
fn read(line: &[u8]) -> Option<(String, Option<f64>)> {
    let line = std::str::from_utf8(line).ok()?;
    let (sum, text) = line.split_at_checked(HEAD)?;
    if sum.trim_end() != checksum(text) {
        return None;
    }
    let Line { key, value } = serde_json::from_str(text).ok()?;
    Some((serde_json::to_string(&key).ok()?, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u64) -> RunKey {
        RunKey {
            what: What::Loss,
            task: "a \"task\"\n".to_owned(),
            program: "naïve".to_owned(),
            peak_lr: 0.1 + 0.2,
            hyperparameters: vec![("weight_decay".to_owned(), 1e-7)],
            seed,
        }
    }

    fn value(journal: &Journal, seed: u64, made: Option<f64>) -> Option<f64> {
        journal.value::<StudyError>(&key(seed), || Ok(made)).unwrap()
    }

    #[test]
    fn what_was_kept_is_not_made_again_whatever_was_cut_off() {
        let directory = tempfile::tempdir().unwrap();
        let open = || Journal::open(directory.path());
        let journal = open().unwrap();
        assert!(open().err().unwrap().to_string().contains("another process"));
        assert_eq!(value(&journal, 1, Some(0.5)), Some(0.5));
        assert_eq!(value(&journal, 2, None), None);
        assert_eq!(value(&journal, 3, Some(f64::INFINITY)), None);
        assert_eq!(value(&journal, 1, Some(0.7)), Some(0.5));
        drop(journal);
        let path = directory.path().join(FILE);
        let whole = std::fs::read(&path).unwrap();
        let lines: Vec<usize> =
            whole.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1).collect();
        assert_eq!(lines.len(), 3);
        for length in (0..=whole.len()).rev() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let journal = open().unwrap();
            let kept = lines.iter().filter(|end| **end <= length).count();
            let known = journal.kept.lock().unwrap().known.len();
            assert_eq!(known, kept, "{length} bytes");
            if kept > 0 {
                assert_eq!(value(&journal, 1, Some(0.9)), Some(0.5));
            }
        }
        // The cut line is made again, behind the rest.
        std::fs::write(&path, &whole[..lines[0] + 9]).unwrap();
        assert_eq!(value(&open().unwrap(), 2, Some(0.25)), Some(0.25));
        assert_eq!(value(&open().unwrap(), 2, None), Some(0.25));
    }

    #[test]
    fn damage_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        value(&Journal::open(directory.path()).unwrap(), 1, Some(0.5));
        let path = directory.path().join(FILE);
        let whole = std::fs::read(&path).unwrap();
        for place in 0..whole.len() - 1 {
            let mut damaged = whole.clone();
            damaged[place] ^= 1;
            std::fs::write(&path, &damaged).unwrap();
            let error = Journal::open(directory.path()).err().unwrap().to_string();
            assert!(error.contains("line 1 was changed"), "{place}: {error}");
        }
    }
}
