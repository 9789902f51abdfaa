//! `symopt tune --map`

use std::path::Path;

use symopt_cancel::CancelToken;
use symopt_proxy_tasks::suite::WeightedTask;
use symopt_proxy_tasks::tuning::grid::Trial;
use symopt_studies::tuning_map::TuningMap;

use crate::failure::Failure;
use crate::files;

/// File format of a map.
#[derive(Clone, Copy)]
pub enum Format {
    Svg,
    Csv,
}

impl Format {
    /// By the ending of the file's name; fails where the file can't be written.
    pub fn of(path: &Path) -> Result<Format, Failure> {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        let format = match ending.as_deref() {
            Some("svg") => Format::Svg,
            Some("csv") => Format::Csv,
            _ => {
                let reason = "the file's name must end with .svg (a picture) or .csv";
                return Err(Failure::Input(format!(
                    "can't tell from `{}` how to write the map: {reason}",
                    path.display()
                )));
            }
        };
        files::check_writable(path)?;
        Ok(format)
    }
}

/// Writes the trials of a grid as a map of gains over AdamW, or of losses where the task has no
/// constants for it. Returns the baseline of the gains.
pub fn write(
    path: &Path,
    format: Format,
    task: &WeightedTask,
    program: &str,
    trials: &[Trial],
    seeds: usize,
    cancel: &CancelToken,
) -> Result<Option<String>, Failure> {
    let map = TuningMap::new(task, program, trials, seeds, cancel)?;
    let text = match format {
        Format::Svg => map.chart().svg(),
        Format::Csv => map.csv().map_err(|error| Failure::Work(error.to_string()))?,
    };
    files::write(path, &text)?;
    Ok(map.against())
}
