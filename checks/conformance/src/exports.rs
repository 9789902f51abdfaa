//! Exported files under the suite: they are written to a directory, together with the suite, and a
//! Python program runs them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};
use symopt_export::{ExportError, Target, export, export_plain};

use super::case::{Case, Inputs};
use super::expected::Expected;
use super::report::{Refusal, Report};
use super::subject::Subject;
use crate::finding::Finding;

/// The program that runs exports, and a module for each target that can be run.
const SCRIPTS: &[(&str, &str)] = &[
    ("run.py", include_str!("../python/run.py")),
    ("targets/__init__.py", include_str!("../python/targets/__init__.py")),
    ("targets/pytorch.py", include_str!("../python/targets/pytorch.py")),
    ("targets/optax.py", include_str!("../python/targets/optax.py")),
    ("targets/praxis.py", include_str!("../python/targets/praxis.py")),
    ("targets/keras.py", include_str!("../python/targets/keras.py")),
    ("targets/tf2.py", include_str!("../python/targets/tf2.py")),
    ("targets/tf1.py", include_str!("../python/targets/tf1.py")),
    ("targets/numpy.py", include_str!("../python/targets/numpy.py")),
    ("targets/rust.py", include_str!("../python/targets/rust.py")),
    ("targets/c.py", include_str!("../python/targets/c.py")),
];

/// Why exports can't be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConformanceError {
    /// The file system says no.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// A file can't be written.
    #[error(transparent)]
    Write(#[from] symopt_files::WriteError),
    /// Python can't be started.
    #[error(
        "`{python}` can't be started: {source}; name a Python that has the libraries with --python"
    )]
    Python {
        /// The command.
        python: String,
        /// The reason.
        source: std::io::Error,
    },
    /// Python did not come to its end.
    #[error("the exports of {target} were not run to the end ({status}):\n{message}")]
    Ended {
        /// The target.
        target: Target,
        /// How it ended.
        status: String,
        /// The end of what it said.
        message: String,
    },
    /// It said something else than findings.
    #[error("{line:?} is no finding: {source}")]
    Garbage {
        /// The line.
        line: String,
        /// Error of the JSON parser.
        source: serde_json::Error,
    },
    /// A program can't be run by the reference, or exported.
    #[error("{program}: {reason}")]
    Program {
        /// The program.
        program: String,
        /// Why not.
        reason: String,
    },
}

/// Whether a target's files can be run.
pub fn is_run(target: Target) -> bool {
    let file = format!("targets/{target}.py");
    SCRIPTS.iter().any(|(name, _)| *name == file)
}

fn write(path: &Path, text: &str) -> Result<(), ConformanceError> {
    path.parent().map_or(Ok(()), symopt_files::create_directory)?;
    Ok(symopt_files::write(path, text.as_bytes())?)
}

/// Writes the suite into a directory: `inputs.json` and `expected/PROGRAM.json`.
pub fn write_suite(
    directory: &Path,
    subjects: &[Subject],
    cases: &[Case],
) -> Result<(), ConformanceError> {
    write(&directory.join("inputs.json"), &json(&Inputs::new(cases)))?;
    for subject in subjects {
        let name = &subject.name;
        let failed = |reason: String| ConformanceError::Program { program: name.clone(), reason };
        let expected = Expected::new(subject, cases).map_err(|error| failed(error.to_string()))?;
        write(&directory.join("expected").join(format!("{name}.json")), &json(&expected))?;
    }
    Ok(())
}

fn json(value: &impl Serialize) -> String {
    // Strings, numbers that are finite, and maps with strings as their keys: nothing that JSON
    // can't say.
    serde_json::to_string(value).map(|text| text + "\n").unwrap_or_default()
}

/// Which exports are run, and how.
#[derive(Clone, Copy, Debug)]
pub struct Exports<'a> {
    /// The targets.
    pub targets: &'a [Target],
    /// The command of a Python that has what they need.
    pub python: &'a str,
    /// Ways to run an export that are left out, such as `pytorch kernel`.
    pub without: &'a [String],
    /// Where the suite and the exported files are left, if they are to be.
    pub keep: Option<&'a Path>,
}

/// One line of output from `run.py`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Said {
    Cannot { engine: String, program: String, cannot: String },
    Finding(Finding),
}

/// Writes the program that runs exports, with what it needs, into a directory.
pub fn write_scripts(directory: &Path) -> Result<(), ConformanceError> {
    SCRIPTS.iter().try_for_each(|(name, text)| write(&directory.join(name), text))
}

/// Exports programs to a target and runs them under the suite, in a directory that holds the suite
/// and the scripts.
pub fn run(
    directory: &Path,
    exports: &Exports,
    target: Target,
    subjects: &[Subject],
) -> Result<Report, ConformanceError> {
    let Exports { python, without, .. } = *exports;
    let mut report = Report::default();
    let mut refusals = Vec::new();
    for Subject { name, program, .. } in subjects {
        match export(program, target) {
            Ok(text) => {
                write(
                    &directory.join(format!("exports/{target}/{name}.{}", target.extension())),
                    &text,
                )?;
                if let Ok(plain) = export_plain(program, target) {
                    write(
                        &directory
                            .join(format!("exports/{target}-plain/{name}.{}", target.extension())),
                        &plain,
                    )?;
                }
            }
            Err(ExportError::Inexpressible { reason, .. }) => refusals.push((name.clone(), reason)),
            Err(error) => {
                return Err(ConformanceError::Program {
                    program: name.clone(),
                    reason: error.to_string(),
                });
            }
        }
    }
    let output = Command::new(python)
        .arg(directory.join("run.py"))
        .arg(directory)
        .arg(target.name())
        .args(subjects.iter().flat_map(|subject| ["--program", subject.name.as_str()]))
        .args(without.iter().flat_map(|variant| ["--without", variant]))
        .stdin(Stdio::null())
        .output()
        .map_err(|source| ConformanceError::Python { python: python.to_owned(), source })?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = message.lines().collect();
        let message = lines[lines.len().saturating_sub(12)..].join("\n");
        return Err(ConformanceError::Ended { target, status: output.status.to_string(), message });
    }
    let mut engines: Vec<String> = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let said = serde_json::from_str(line)
            .map_err(|source| ConformanceError::Garbage { line: line.to_owned(), source })?;
        let finding = match said {
            Said::Cannot { engine, program, cannot } => {
                report.refusals.push(Refusal { engine, program, reason: cannot });
                continue;
            }
            Said::Finding(finding) => finding,
        };
        if !engines.contains(&finding.engine) {
            engines.push(finding.engine.clone());
        }
        if finding.peer.is_some() {
            report.peers.push(finding)
        } else {
            report.findings.push(finding)
        }
    }
    let refused = |engine: &String| {
        let refusal = |(program, reason): &(String, String)| Refusal {
            engine: engine.clone(),
            program: program.clone(),
            reason: reason.clone(),
        };
        refusals.iter().map(refusal).collect::<Vec<Refusal>>()
    };
    report.refusals.extend(engines.iter().flat_map(refused));
    Ok(report)
}
