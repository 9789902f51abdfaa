//! All studies for Lion against AdamW, beside the claims of Lion's paper.

use std::path::PathBuf;

use symopt_dsl::escape::markdown;
use symopt_programs as programs;
use symopt_proxy_tasks::error::TaskError;
use symopt_proxy_tasks::spec::SuiteSource;

use super::findings::{Findings, Runs};
use super::{Study, Subject, Work};
use crate::error::StudyError;
use crate::landscape::Entry;

/// The suite that the studies are done on if nothing else is said: images, texts and a table, all
/// real.
pub const SUITE: &str = "real-1x";

/// Lion and AdamW on a suite.
pub fn subject(suite: &str) -> Result<Subject, TaskError> {
    let named = ["lion", "adamw"].iter().filter_map(|name| programs::find(name));
    Ok(Subject { suite: SuiteSource::find(suite)?, programs: named.map(Entry::of_zoo).collect() })
}

/// The findings of all studies, each in a directory of its own name.
pub struct All {
    /// In the order of [`Study::all`].
    pub findings: Vec<Findings>,
    /// The files that were written.
    pub files: Vec<PathBuf>,
}

/// Does some studies one after the other, each in a directory of its own below that of the work, and
/// writes what each finds as soon as it is done.
pub fn run(studies: &[Study], subject: &Subject, work: &Work) -> Result<All, StudyError> {
    let mut all = All { findings: Vec::new(), files: Vec::new() };
    for study in studies {
        let directory = work.directory.join(study.name());
        let own = Work { directory: &directory, ..*work };
        let findings = super::run(study, subject, &own)?;
        all.files.extend(super::write(&findings, &directory)?);
        all.findings.push(findings);
    }
    let path = work.directory.join("report.md");
    symopt_files::write(&path, all.markdown().as_bytes())?;
    all.files.push(path);
    Ok(all)
}

impl All {
    /// All runs.
    pub fn runs(&self) -> Runs {
        self.findings.iter().map(|findings| findings.runs).fold(Runs::default(), Runs::with)
    }

    /// Returns its title.
    pub fn title(&self) -> String {
        let names = self.findings.first().map_or(&[][..], |findings| &findings.programs);
        format!("The studies of {}", names.join(" against "))
    }

    /// A page of Markdown: claims beside findings, then each study.
    pub fn markdown(&self) -> String {
        let mut text = format!("# {}\n\n", markdown(&self.title()));
        text.push_str("| study | the claim | what was found |\n|---|---|---|\n");
        for findings in &self.findings {
            text.push_str(&format!(
                "| {} | {} | {} |\n",
                findings.study,
                markdown(findings.claim),
                markdown(&findings.verdict.join(" "))
            ));
        }
        text.push('\n');
        for findings in &self.findings {
            text.push_str(&format!(
                "## {}\n\n{}",
                markdown(&findings.title),
                findings.markdown_body(3, &format!("{}/", findings.study))
            ));
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
        text
    }
}
