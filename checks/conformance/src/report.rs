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

    /// A table of exported programs beside the libraries' own implementations, a column for each
    /// case.
    pub fn peers_markdown(&self) -> String {
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
        let mut text = format!(
            "| export | program | beside | {} |\n|---|---|---|{}\n",
            cases.join(" | "),
            "---|".repeat(cases.len())
        );
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
            let cells: Vec<String> = cases.iter().map(found).collect();
            let _ = writeln!(text, "| {engine} | {program} | {peer} | {} |", cells.join(" | "));
        }
        text
    }

    /// The table in Markdown, with the versions of the libraries.
    pub fn markdown(
        &self,
        programs: &[&str],
        tolerance: impl Fn(&str, &str) -> Tolerance,
    ) -> String {
        let engines = self.engines();
        let mut text = format!(
            "| program | {} |\n|---|{}\n",
            engines.join(" | "),
            "---|".repeat(engines.len())
        );
        for program in programs {
            let cells: Vec<String> = engines
                .iter()
                .map(|engine| self.cell(engine, program, tolerance(engine, program)))
                .collect();
            let _ = writeln!(text, "| {program} | {} |", cells.join(" | "));
        }
        let versions: BTreeMap<&str, &str> = self
            .findings
            .iter()
            .filter(|finding| !finding.version.is_empty())
            .map(|finding| (finding.engine.as_str(), finding.version.as_str()))
            .collect();
        if !versions.is_empty() {
            let versions: Vec<String> = engines
                .iter()
                .filter_map(|engine| {
                    versions.get(engine).map(|version| format!("{engine}: {version}"))
                })
                .collect();
            let _ = writeln!(text, "\n{}.", versions.join("; "));
        }
        text
    }
}
