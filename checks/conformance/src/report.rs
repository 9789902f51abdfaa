//! A table program × engine: how far each is from the reference.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::finding::{Distance, Finding, Measured};
use super::tolerance::{self, Tolerance};

/// All that was found.
#[derive(Clone, Debug, Default, Serialize)]
#[must_use]
pub struct Report {
    /// A finding for each engine, program and case.
    pub findings: Vec<Finding>,
    /// The same beside implementations of libraries.
    pub peers: Vec<Finding>,
    /// Programs that a target can't express: engine, program and the reason.
    pub refusals: Vec<Refusal>,
}

/// A program that a target can't express.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The target.
    pub engine: String,
    /// The program.
    pub program: String,
    /// Why not.
    pub reason: String,
}

impl Report {
    /// The engines, in the order in which they were found.
    pub fn engines(&self) -> Vec<&str> {
        let mut engines: Vec<&str> = Vec::new();
        for engine in self
            .findings
            .iter()
            .map(|f| f.engine.as_str())
            .chain(self.refusals.iter().map(|r| r.engine.as_str()))
        {
            if !engines.contains(&engine) {
                engines.push(engine);
            }
        }
        engines
    }

    /// Lists the findings outside of the tolerance of their engine and program, a line each.
    pub fn faults(&self, of: impl Fn(&str, &str) -> Tolerance) -> Vec<String> {
        let fault = |finding: &Finding| {
            let Finding { engine, program, case, peer, scalars, .. } = finding;
            let beside = peer.as_ref().map_or_else(String::new, |peer| format!(" beside {peer}"));
            let tolerance = if peer.is_some() { tolerance::PEER } else { of(engine, program) };
            match &finding.result {
                Measured::Error { error } => {
                    Some(format!("{engine}, {program}{beside}, {case}: {error}"))
                }
                Measured::Distance(distance)
                    if tolerance.excepts(case) || tolerance.allows(distance, scalars.as_ref()) =>
                {
                    None
                }
                Measured::Distance(Distance { deviation, gap, mismatches, .. }) => Some(format!(
                    "{engine}, {program}{beside}, {case}: deviation {deviation:.1e} where roundings make {gap:.1e}, {mismatches} places finite in one alone"
                )),
            }
        };
        self.findings.iter().chain(&self.peers).filter_map(fault).collect()
    }

    /// A cell of the table: what an engine made of a program, over all cases, with those that are
    /// no matter of rounding by themselves.
    fn cell(&self, engine: &str, program: &str, tolerance: Tolerance) -> String {
        if let Some(refusal) =
            self.refusals.iter().find(|r| r.engine == engine && r.program == program)
        {
            return format!("cannot: {}", refusal.reason);
        }
        let mut findings =
            self.findings.iter().filter(|f| f.engine == engine && f.program == program).peekable();
        if findings.peek().is_none() {
            return "not run".to_owned();
        }
        let mut all = Distance { deviation: 0.0, gap: 0.0, mismatches: 0, same_bits: true };
        let mut apart = String::new();
        for finding in findings {
            match &finding.result {
                Measured::Error { .. } => return "failed".to_owned(),
                Measured::Distance(distance)
                    if tolerance.excepts(&finding.case) && !tolerance.allows(distance, None) =>
                {
                    let _ = write!(apart, " ({}: {})", finding.case, distance.written());
                }
                Measured::Distance(distance) => {
                    all.deviation = all.deviation.max(distance.deviation);
                    all.mismatches += distance.mismatches;
                    all.same_bits &= distance.same_bits;
                }
            }
        }
        all.written() + &apart
    }

    /// A table of exported programs beside the libraries' own implementations, with a heading: a
    /// column for each case.
    pub fn peers_table(&self) -> Vec<Vec<String>> {
        let mut rows: Vec<(&str, &str, &str)> = Vec::new();
        let mut cases: Vec<&str> = Vec::new();
        for Finding { engine, program, peer, case, .. } in &self.peers {
            let row = (engine.as_str(), program.as_str(), peer.as_deref().unwrap_or_default());
            if !rows.contains(&row) {
                rows.push(row);
            }
            if !cases.contains(&case.as_str()) {
                cases.push(case);
            }
        }
        let heading = ["export", "program", "beside"].iter().chain(&cases);
        let mut table = vec![heading.map(|title| (*title).to_owned()).collect::<Vec<_>>()];
        for (engine, program, peer) in rows {
            let found = |case: &&str| {
                let is_it = |f: &&Finding| {
                    f.engine == engine
                        && f.program == program
                        && f.peer.as_deref() == Some(peer)
                        && f.case == *case
                };
                match self.peers.iter().find(is_it).map(|finding| &finding.result) {
                    Some(Measured::Distance(distance)) => distance.written(),
                    Some(Measured::Error { .. }) => "failed".to_owned(),
                    None => "not run".to_owned(),
                }
            };
            let names = [engine, program, peer].map(str::to_owned).into_iter();
            table.push(names.chain(cases.iter().map(found)).collect());
        }
        table
    }

    /// The same in Markdown.
    pub fn peers_markdown(&self) -> String {
        markdown(&self.peers_table())
    }

    /// The table with a heading: a row for each program, a column for each engine.
    pub fn table(
        &self,
        programs: &[&str],
        tolerance: impl Fn(&str, &str) -> Tolerance,
    ) -> Vec<Vec<String>> {
        let engines = self.engines();
        let heading = std::iter::once("program").chain(engines.iter().copied());
        let row = |program: &&str| {
            let cell = |engine: &&str| self.cell(engine, program, tolerance(engine, program));
            std::iter::once((*program).to_owned()).chain(engines.iter().map(cell)).collect()
        };
        std::iter::once(heading.map(str::to_owned).collect())
            .chain(programs.iter().map(row))
            .collect()
    }

    /// The versions of the libraries that engines are of, in the order of the engines.
    pub fn versions(&self) -> Vec<(&str, &str)> {
        let versions: BTreeMap<&str, &str> = self
            .findings
            .iter()
            .filter(|finding| !finding.version.is_empty())
            .map(|finding| (finding.engine.as_str(), finding.version.as_str()))
            .collect();
        let engines = self.engines().into_iter();
        engines.filter_map(|engine| Some((engine, *versions.get(engine)?))).collect()
    }

    /// The table in Markdown, with the versions of the libraries.
    pub fn markdown(
        &self,
        programs: &[&str],
        tolerance: impl Fn(&str, &str) -> Tolerance,
    ) -> String {
        let mut text = markdown(&self.table(programs, tolerance));
        let versions = self.versions();
        if !versions.is_empty() {
            let versions: Vec<String> =
                versions.iter().map(|(engine, version)| format!("{engine}: {version}")).collect();
            let _ = writeln!(text, "\n{}.", versions.join("; "));
        }
        text
    }
}

/// A table with a heading, in Markdown.
fn markdown(rows: &[Vec<String>]) -> String {
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        // Writing into a String does not fail.
        let _ = writeln!(text, "| {} |", row.join(" | "));
        if number == 0 {
            let _ = writeln!(text, "|{}", "---|".repeat(row.len()));
        }
    }
    text
}
