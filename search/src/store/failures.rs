//! Failed evaluations of a search, by what went wrong.

use std::collections::BTreeMap;

use serde::Serialize;
use symopt_proxy_tasks::error::{Failure, FailureKind};

use crate::journal::{EvaluationRecord, Place};

/// The failures of a kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Failures {
    /// The kind.
    pub kind: FailureKind,
    /// How many there are.
    pub count: u64,
    /// The functional hash, in hexadecimal, of the first program that failed so.
    pub hash: String,
    /// Failure of that program.
    pub first: Failure,
}

/// The failures among evaluations, by kind; the first of each is the first child, or the first of
/// the elite.
pub fn failures(mut records: Vec<(Place, EvaluationRecord)>) -> Vec<Failures> {
    records.sort_by_key(|(place, _)| *place);
    let mut kinds: BTreeMap<FailureKind, Failures> = BTreeMap::new();
    for (_, record) in records {
        let EvaluationRecord { hash, failure: Some(first), .. } = record else { continue };
        kinds
            .entry(first.kind)
            .or_insert_with(|| Failures { kind: first.kind, count: 0, hash, first })
            .count += 1;
    }
    kinds.into_values().collect()
}

impl std::fmt::Display for Failures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Failures { kind, count, hash, first } = self;
        let what = match kind {
            FailureKind::Start => "could not be started",
            FailureKind::Export => "could not be exported",
            FailureKind::Ended => "ended without an answer",
            FailureKind::Closed => "closed the output without an answer",
            FailureKind::Timeout => "took too long",
            FailureKind::Garbage => "answered what is not of the protocol",
            FailureKind::Flood => "wrote too much",
            FailureKind::Reported => "failed, as the command says",
            FailureKind::Lost => "ended the workers that tried",
        };
        write!(
            f,
            "{count} {what}, the first one {}: {}",
            hash.get(..12).unwrap_or(hash),
            first.reason
        )?;
        // The last line is mostly the one that says it.
        match first.stderr.trim_end().lines().next_back() {
            Some(line) => write!(f, " ({line})"),
            None => Ok(()),
        }
    }
}
