//! Manifest, which marks a directory as a store and states its format.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::{JournalError, store_error};
use super::{FORMAT, FORMAT_VERSION, MANIFEST};

#[derive(Serialize, Deserialize)]
pub(super) struct Manifest {
    pub format: String,
    pub version: u32,
}

impl Manifest {
    /// This release's.
    pub fn text() -> Vec<u8> {
        format!(r#"{{"format":"{FORMAT}","version":{FORMAT_VERSION}}}"#).into_bytes()
    }
}

/// The version of a store.
pub(super) fn check_manifest(path: &Path) -> Result<u32, JournalError> {
    let foreign = |reason: String| JournalError::Foreign { path: path.to_owned(), reason };
    if !path.is_dir() {
        return Err(foreign("it is not a directory".to_owned()));
    }
    let manifest_path = path.join(MANIFEST);
    let text = fs::read(&manifest_path).map_err(|e| match e.kind() {
        ErrorKind::NotFound => foreign(format!("it has no {MANIFEST}")),
        _ => store_error(path, &manifest_path, &e),
    })?;
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|e| foreign(format!("{MANIFEST}: {e}")))?;
    if manifest.format != FORMAT {
        return Err(foreign(format!("{MANIFEST} says it is {:?}", manifest.format)));
    }
    if manifest.version > FORMAT_VERSION {
        return Err(JournalError::Newer { path: path.to_owned(), found: manifest.version });
    }
    Ok(manifest.version)
}
