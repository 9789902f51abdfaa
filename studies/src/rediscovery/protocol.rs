//! The protocol: what is searched, how often, and how finals are simplified and judged.

use std::path::Path;

use serde::{Deserialize, Serialize};
use symopt_analysis::structure::Structure;
use symopt_search::config::{ConfigError, SearchConfig};

use crate::error::StudyError;

/// The frozen protocol of Lion.
pub const PROTOCOL: &str = include_str!("protocol.toml");

/// The frozen protocols, by the names of what they look for.
pub const PROTOCOLS: [(&str, &str); 3] = [
    ("lion", PROTOCOL),
    ("muon", include_str!("muon.toml")),
    ("muon-by-products", include_str!("muon-by-products.toml")),
];

pub(super) fn lion_like() -> Structure {
    Structure::LionLike
}

/// The protocol of a rediscovery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    /// The structure that is looked for; Lion-like by default.
    #[serde(default = "lion_like")]
    pub target: Structure,
    /// Searches under one seed, at most: the next one begins where the last has ended without being
    /// of the target's structure.
    pub repeats: u64,
    /// How finals are simplified and judged.
    pub finals: Finals,
    /// The settings of the searches.
    pub search: SearchConfig,
}

/// How finals are simplified and judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finals {
    /// A best program is tried as a final when it may be of the target's structure and so many programs have been
    /// generated since the last try.
    pub every: u64,
    /// Seeds that learning rate and decay are tuned on.
    pub tuning_seeds: usize,
    /// Seeds that a simplification is judged on.
    pub simplification_seeds: usize,
    /// Seeds that results are reported on.
    pub report_seeds: usize,
    /// How much fitness a simplification may cost.
    pub tolerance: f64,
    /// How sure that must be.
    pub confidence: f64,
    /// The programs that a final is held against.
    pub peers: Vec<Peer>,
}

/// A zoo program that finals are held against, with the betas that it may choose from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// The zoo program.
    pub program: String,
    /// Names of hyperparameters.
    pub names: Vec<String>,
    /// Values of these, of which the best on other seeds are used.
    pub values: Vec<Vec<f64>>,
}

impl Protocol {
    /// The protocol of a TOML text.
    pub fn from_toml(place: &str, text: &str) -> Result<Protocol, StudyError> {
        let wrong = |reason: String| StudyError::Protocol { place: place.to_owned(), reason };
        let protocol: Protocol = toml::from_str(text).map_err(|e| wrong(e.to_string()))?;
        protocol.search.check().map_err(|e: ConfigError| wrong(e.to_string()))?;
        if !(1..=1_000).contains(&protocol.repeats) {
            return Err(wrong(format!(
                "repeats = {} is out of range; expected a whole number from 1 to 1000",
                protocol.repeats
            )));
        }
        let Finals {
            tuning_seeds, simplification_seeds, report_seeds, tolerance, confidence, ..
        } = protocol.finals;
        let counts = [
            ("tuning_seeds", tuning_seeds),
            ("simplification_seeds", simplification_seeds),
            ("report_seeds", report_seeds),
        ];
        if let Some((name, count)) =
            counts.into_iter().find(|(_, count)| !(2..=1_000).contains(count))
        {
            return Err(wrong(format!(
                "finals.{name} = {count} is out of range; expected a whole number from 2 to 1000"
            )));
        }
        if !(tolerance >= 0.0 && tolerance.is_finite()) {
            return Err(wrong(format!(
                "finals.tolerance = {tolerance} is out of range; expected a share of 0 or more, such as 0.005"
            )));
        }
        if !(0.5..1.0).contains(&confidence) {
            return Err(wrong(format!(
                "finals.confidence = {confidence} is out of range; expected a share from 0.5 to below 1"
            )));
        }
        if protocol.search.fitness.form != symopt_search::config::Form::Direction {
            return Err(wrong(
                "`form` of [search.fitness] must be \"direction\": finals are judged at their own learning rate and decay".to_owned(),
            ));
        }
        Ok(protocol)
    }
}

/// Writes the protocol into a directory of results, or checks that it is the one that is there:
/// results of two protocols must not be mixed.
pub fn keep_protocol(directory: &Path, text: &str) -> Result<(), StudyError> {
    let path = directory.join("protocol.toml");
    match std::fs::read_to_string(&path) {
        Ok(known) if known == text => Ok(()),
        Ok(_) => {
            let reason = "results of another protocol are in this directory; choose another one with --output".to_owned();
            Err(StudyError::File { path, reason })
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            symopt_files::create_directory(directory)?;
            Ok(symopt_files::write(&path, text.as_bytes())?)
        }
        Err(e) => Err(StudyError::File { path, reason: e.to_string() }),
    }
}
