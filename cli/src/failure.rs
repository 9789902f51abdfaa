//! How a command fails: exit code 1 where the work failed, 2 where the usage or the input is bad.

use std::io::Write;

use symopt_benchmark::BenchmarkError;
use symopt_cancel::Cancelled;
use symopt_conformance::exports::ConformanceError;
use symopt_evaluator::OptimizerError;
use symopt_export::ExportError;
use symopt_files::WriteError;
use symopt_live::LiveError;
use symopt_pages::searches::DetailError;
use symopt_programs::source::SourceError;
use symopt_proxy_tasks::error::{SnapshotError, TaskError};
use symopt_proxy_tasks::tuning::rule_of_thumb::RuleError;
use symopt_search::SearchError;
use symopt_search::config::ConfigError;
use symopt_search::engine::lineage::LineageError;
use symopt_search::journal::JournalError;
use symopt_search::launch::LaunchError;
use symopt_search::store::program_source::ProgramError;
use symopt_studies::StudyError;

use crate::terminal;

/// Why a command ends without having done its work.
#[derive(Debug)]
pub enum Failure {
    /// The usage or the input is bad: exit code 2.
    Input(String),
    /// A rendered report of the faults in a text, with a heading of its own: exit code 2.
    Report(String),
    /// The work failed: exit code 1.
    Work(String),
    /// Nobody reads the output any more.
    OutputClosed,
}

impl Failure {
    /// Says why on the standard error stream, and returns the exit code.
    pub fn report(self) -> u8 {
        match self {
            Failure::Input(text) => {
                terminal::say(&format!("error: {}", text.trim_end()));
                2
            }
            Failure::Report(text) => {
                // It is escaped where it is made, since it may have colours. If nobody reads the
                // standard error stream either, the exit code must do.
                let _ = writeln!(std::io::stderr(), "{}", text.trim_end());
                2
            }
            Failure::Work(text) => {
                terminal::say(&format!("error: {}", text.trim_end()));
                1
            }
            // As for a program that dies of SIGPIPE: quietly.
            Failure::OutputClosed => 0,
        }
    }
}

impl From<ProgramError> for Failure {
    fn from(error: ProgramError) -> Failure {
        match error {
            ProgramError::Source(error) => error.into(),
            ProgramError::Journal(error) => error.into(),
            error => Failure::Input(error.to_string()),
        }
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Failure {
        match error {
            SourceError::Text(text) => Failure::Report(text.render(terminal::color_of_messages())),
            error => Failure::Input(error.to_string()),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Failure {
        Failure::Input(error.to_string())
    }
}

impl From<ExportError> for Failure {
    fn from(error: ExportError) -> Failure {
        Failure::Input(error.to_string())
    }
}

impl From<ConformanceError> for Failure {
    fn from(error: ConformanceError) -> Failure {
        match error {
            ConformanceError::Python { .. } => Failure::Input(error.to_string()),
            ConformanceError::Write(error) => error.into(),
            error => Failure::Work(error.to_string()),
        }
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Failure {
        if error.is_failed_work() {
            Failure::Work(error.to_string())
        } else {
            Failure::Input(error.to_string())
        }
    }
}

impl From<OptimizerError> for Failure {
    fn from(error: OptimizerError) -> Failure {
        Failure::Input(error.to_string())
    }
}

impl From<BenchmarkError> for Failure {
    fn from(error: BenchmarkError) -> Failure {
        match error {
            BenchmarkError::Python { .. } | BenchmarkError::NoPasses { .. } => {
                Failure::Input(error.to_string())
            }
            error => Failure::Work(error.to_string()),
        }
    }
}

impl From<TaskError> for Failure {
    fn from(error: TaskError) -> Failure {
        match error {
            TaskError::Cancelled(_) | TaskError::TimeLimit { .. } | TaskError::Elsewhere { .. } => {
                Failure::Work(error.to_string())
            }
            error => Failure::Input(error.to_string()),
        }
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Failure {
        match error.is_misplaced() {
            true => Failure::Input(error.to_string()),
            false => Failure::Work(error.to_string()),
        }
    }
}

impl From<SnapshotError> for Failure {
    fn from(error: SnapshotError) -> Failure {
        match error {
            SnapshotError::Write(error) => error.into(),
            error => Failure::Input(error.to_string()),
        }
    }
}

impl From<RuleError> for Failure {
    fn from(error: RuleError) -> Failure {
        Failure::Input(error.to_string())
    }
}

impl From<LaunchError> for Failure {
    fn from(error: LaunchError) -> Failure {
        match error {
            LaunchError::Program(error) => error.into(),
            LaunchError::Config(error) => error.into(),
            LaunchError::Split(_)
            | LaunchError::NoConstants { .. }
            | LaunchError::Hidden { .. } => Failure::Input(error.to_string()),
            LaunchError::Task(error) => error.into(),
            LaunchError::Journal(error) => error.into(),
            LaunchError::Search(SearchError::Journal(error)) => error.into(),
            LaunchError::Search(SearchError::Task(
                error @ (TaskError::Failed { .. }
                | TaskError::Cancelled(_)
                | TaskError::TimeLimit { .. }),
            )) => error.into(),
            error => Failure::Work(error.to_string()),
        }
    }
}

impl From<LineageError> for Failure {
    fn from(error: LineageError) -> Failure {
        match error {
            LineageError::Program(error) => error.into(),
            LineageError::Journal(error) => error.into(),
            error => Failure::Input(error.to_string()),
        }
    }
}

impl From<DetailError> for Failure {
    fn from(error: DetailError) -> Failure {
        match error {
            DetailError::Journal(error) => error.into(),
            _ => Failure::Work("interrupted before there was a result".to_owned()),
        }
    }
}

impl From<LiveError> for Failure {
    fn from(error: LiveError) -> Failure {
        match error {
            LiveError::Journal(error) => error.into(),
            LiveError::Campaign(error) => error.into(),
            LiveError::System(_) => Failure::Work(error.to_string()),
            error => Failure::Input(error.to_string()),
        }
    }
}

impl From<StudyError> for Failure {
    fn from(error: StudyError) -> Failure {
        match error {
            StudyError::Cancelled(_) => {
                Failure::Work("interrupted before there was a result".to_owned())
            }
            StudyError::Program(error) => error.into(),
            StudyError::Journal(error) => error.into(),
            StudyError::Launch(error) => error.into(),
            StudyError::Task(error) => error.into(),
            StudyError::Write(error) => error.into(),
            StudyError::Threads(_) => Failure::Work(error.to_string()),
            error => Failure::Input(error.to_string()),
        }
    }
}

impl From<Cancelled> for Failure {
    fn from(cancelled: Cancelled) -> Failure {
        Failure::Work(cancelled.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Failure::OutputClosed,
            _ => Failure::Work(format!("can't write the output: {error}")),
        }
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Failure {
        // Distinguishes I/O errors from serialization errors.
        match error.io_error_kind() {
            Some(kind) => std::io::Error::from(kind).into(),
            None => Failure::Work(error.to_string()),
        }
    }
}
