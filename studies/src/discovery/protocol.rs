//! The protocol: what is searched, who goes on, and how the champion is simplified and compared.

use serde::{Deserialize, Serialize};
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_search::config::{ConfigError, Form, RestartConfig, SearchConfig};

use crate::error::StudyError;
use crate::fresh_seeds::check_suite;

/// The frozen protocol.
pub const PROTOCOL: &str = include_str!("protocol.toml");

/// The protocol of a discovery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    /// Searches, each with a seed of its own.
    pub searches: usize,
    /// Whom the best programs have to beat.
    pub funnel: FunnelProtocol,
    /// How the champion is simplified.
    pub simplification: SimplificationProtocol,
    /// How it is compared on held-out tasks.
    pub held_out: HeldOutProtocol,
    /// The settings of the searches.
    pub search: SearchConfig,
}

/// How the best programs of the searches go through suites.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunnelProtocol {
    /// The suites, in order.
    pub suites: Vec<String>,
    /// Programs that come in, at most.
    pub keep: usize,
    /// Seeds that judge.
    pub seeds: usize,
    /// Other seeds, which programs are tuned on.
    pub tuning_seeds: usize,
    /// How sure it must be that a program beats AdamW.
    pub confidence: f64,
}

/// How the champion is simplified, on the suite of the searches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimplificationProtocol {
    /// Seeds that judge.
    pub seeds: usize,
    /// Other seeds, which programs are tuned on.
    pub tuning_seeds: usize,
    /// How much fitness a step may cost.
    pub tolerance: f64,
    /// How sure that must be.
    pub confidence: f64,
}

/// How the champion is compared on tasks that nothing before has seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldOutProtocol {
    /// The suite.
    pub suite: String,
    /// Seeds that each setting is tried on.
    pub tuning_seeds: usize,
    /// Training runs, at most, that every program is tuned with on a task; for the one setting for
    /// all tasks so many runs of the whole suite.
    pub budget: usize,
    /// Other seeds, which the tuned programs are compared on.
    pub seeds: usize,
    /// Programs of the zoo. AdamW, which gains are over, must be among them.
    pub peers: Vec<String>,
}

impl Protocol {
    /// The protocol of a TOML text. All that can be wrong with it is found here: its numbers, its
    /// suites and its peers.
    pub fn from_toml(place: &str, text: &str) -> Result<Protocol, StudyError> {
        let wrong = |reason: String| StudyError::Protocol { place: place.to_owned(), reason };
        let protocol: Protocol = toml::from_str(text).map_err(|e| wrong(e.to_string()))?;
        let Protocol { searches, funnel, simplification, held_out, search } = &protocol;
        search.check().map_err(|e: ConfigError| wrong(e.to_string()))?;
        let counts = [
            ("searches", *searches, 1),
            ("funnel.keep", funnel.keep, 1),
            ("funnel.seeds", funnel.seeds, 2),
            ("funnel.tuning_seeds", funnel.tuning_seeds, 1),
            ("simplification.seeds", simplification.seeds, 2),
            ("simplification.tuning_seeds", simplification.tuning_seeds, 1),
            ("held_out.tuning_seeds", held_out.tuning_seeds, 1),
            ("held_out.seeds", held_out.seeds, 2),
        ];
        if let Some((name, count, least)) =
            counts.into_iter().find(|(_, count, least)| !(*least..=1_000).contains(count))
        {
            return Err(wrong(format!(
                "{name} = {count} is out of range; expected a whole number from {least} to 1000"
            )));
        }
        if !(held_out.tuning_seeds..=1_000_000).contains(&held_out.budget) {
            return Err(wrong(format!(
                "held_out.budget = {} is out of range; expected a whole number from held_out.tuning_seeds to 1000000",
                held_out.budget
            )));
        }
        let confidences = [
            ("funnel.confidence", funnel.confidence),
            ("simplification.confidence", simplification.confidence),
        ];
        if let Some((name, confidence)) =
            confidences.into_iter().find(|(_, confidence)| !(0.5..1.0).contains(confidence))
        {
            return Err(wrong(format!(
                "{name} = {confidence} is out of range; expected a share from 0.5 to below 1"
            )));
        }
        let tolerance = simplification.tolerance;
        if !(tolerance >= 0.0 && tolerance.is_finite()) {
            return Err(wrong(format!(
                "simplification.tolerance = {tolerance} is out of range; expected a share of 0 or more, such as 0.005"
            )));
        }
        if search.fitness.form != Form::Direction {
            return Err(wrong(
                "`form` of [search.fitness] must be \"direction\": the champion is judged at its own learning rate and decay".to_owned(),
            ));
        }
        if search.restarts != RestartConfig::default() {
            return Err(wrong(
                "[search.restarts] does nothing here, where `searches` says how many there are; leave it out".to_owned(),
            ));
        }
        if funnel.suites.is_empty() {
            return Err(wrong(
                "funnel.suites = [] is no suite to judge on; name one, such as \"real-10x\""
                    .to_owned(),
            ));
        }
        let suites = funnel.suites.iter().chain([&held_out.suite, &search.suite]);
        for name in suites {
            check_suite(&SuiteSource::find(name)?.suite()?)?;
        }
        let unknown = held_out.peers.iter().find(|name| symopt_programs::find(name).is_none());
        if let Some(name) = unknown {
            return Err(wrong(format!(
                "held_out.peers: no program of the zoo is called `{name}`; `symopt programs` lists them"
            )));
        }
        if !held_out.peers.iter().any(|name| name == symopt_proxy_tasks::suite::BASELINE) {
            return Err(wrong(
                "held_out.peers: `adamw`, which gains are over, must be among them".to_owned(),
            ));
        }
        Ok(protocol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frozen_protocol_is_one_and_each_fault_is_named() {
        let protocol = Protocol::from_toml("the frozen protocol", PROTOCOL).unwrap();
        assert_eq!(protocol.search.suite, protocol.funnel.suites[0]);
        for (from, to, expected) in [
            ("searches = 3", "searches = 0", "searches = 0 is out of range"),
            ("keep = 8", "keep = 0", "funnel.keep = 0 is out of range"),
            ("budget = 60", "budget = 0", "held_out.budget = 0 is out of range"),
            ("tolerance = 0.005", "tolerance = -1.0", "simplification.tolerance = -1 is out"),
            ("form = \"direction\"", "form = \"program\"", "fitness.form = \"direction\""),
            ("\"adamw\", ", "", "`adamw`, which gains are over"),
            ("\"nadam\"", "\"nadamm\"", "no program of the zoo is called `nadamm`"),
            ("\"real-10x\"]", "\"real-10\"]", "real-10"),
            ("suites = [\"real-1x\", \"real-10x\"]", "suites = []", "funnel.suites = []"),
            ("[search.limits]", "[search.restarts]\nrepeats = 2\n[search.limits]", "restarts"),
            (
                "form = \"direction\"\nseeds = 4\ntuning_seeds = 2\nrotate = 20000\nelite = 16\npenalty = 1.0\nscreens = [\"odd\", \"invariant\", \"steady\"]",
                "",
                "form",
            ),
        ] {
            let text = PROTOCOL.replace(from, to);
            assert_ne!(text, PROTOCOL, "{from}");
            let error = Protocol::from_toml("mine.toml", &text).unwrap_err().to_string();
            assert!(error.contains(expected), "{from}: {error}");
        }
    }
}
