//! The results of a seed in a file, and the time that its searches took.

use std::path::Path;
use std::time::Instant;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::attempt::Searched;
use crate::checked_json;
use crate::error::StudyError;

/// State of a search that is kept in a file.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Wall-clock seconds of all its sessions, of those that were killed up to [`NOTED_EVERY`]
    /// before that.
    pub(super) seconds: f64,
    /// `None` while it can go on.
    pub(super) ended: Option<Searched>,
}

/// Seconds after which the time of a search that goes on is noted.
pub(super) const NOTED_EVERY: f64 = 10.0;

/// The time that a search takes, over its sessions.
pub(super) struct Time<'a> {
    /// Where it is noted.
    pub(super) path: &'a Path,
    pub(super) before: f64,
    pub(super) begin: Instant,
    pub(super) noted: f64,
}

impl Time<'_> {
    pub(super) fn new(path: &Path, before: f64) -> Time<'_> {
        Time { path, before, begin: Instant::now(), noted: before }
    }

    pub(super) fn seconds(&self) -> f64 {
        self.before + self.begin.elapsed().as_secs_f64()
    }

    /// Notes it from time to time, so that a session which is killed counts too.
    pub(super) fn note(&mut self) {
        let seconds = self.seconds();
        if seconds - self.noted >= NOTED_EVERY {
            self.noted = seconds;
            // Where it can't be written, the end of the search says so.
            let _ = keep(self.path, &Kept { seconds, ended: None });
        }
    }
}

/// The result in a file; `None` if there is no such file.
pub(super) fn kept<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StudyError> {
    let failed = |reason: String| StudyError::File { path: path.to_owned(), reason };
    match std::fs::read(path) {
        Ok(bytes) => {
            let hint = "no result of a rediscovery; move it away";
            checked_json::from_text(&bytes)
                .map(Some)
                .map_err(|reason| failed(format!("{hint} ({reason})")))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(failed(e.to_string())),
    }
}

pub(super) fn keep(path: &Path, result: &impl Serialize) -> Result<(), StudyError> {
    let text = checked_json::to_text(result)
        .map_err(|e| StudyError::File { path: path.to_owned(), reason: e.to_string() })?;
    Ok(symopt_files::write(path, &text)?)
}
