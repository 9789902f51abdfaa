//! The discovery of an optimizer that is better on tasks which no search has seen: searches, a
//! funnel, a simplification and one comparison, by a frozen protocol.
//!
//! The protocol is a file, such as `discovery/protocol.toml`. The selection of one stage is judged
//! at the next on seeds and tasks of its own:
//!
//! 1. **Searches** on small tasks, each with a seed of its own ([`restarts`](crate::restarts)).
//! 2. **A funnel** of their best programs through larger suites on fresh seeds
//!    ([`funnel`]). The best of those that beat AdamW on all of them is the
//!    champion.
//! 3. **Simplification** of the champion by algebra and ablation, on other seeds of the searches'
//!    suite.
//! 4. **One comparison** with programs of the literature on held-out tasks, where everything is
//!    tuned with the same budget, shares of averages included: on each task for itself, and with
//!    one setting for all tasks, as whoever can't tune on every task has it.
//!
//! Each stage keeps what it has measured in the directory, so that the same command goes on where
//! it was interrupted, to the same end. Results do not depend on the number of threads.

mod held_out;
mod protocol;
mod report;

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use symopt_analysis::RandomStreams;
use symopt_analysis::identify::identify;
use symopt_analysis::simplify::{Label, Options, canonical};
use symopt_cancel::CancelToken;
use symopt_dsl::{Graph, Program};
use symopt_programs::source;
use symopt_proxy_tasks::sample::Criterion;
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_search::config::{RestartConfig, SearchConfig};
use symopt_search::engine;
use symopt_search::judge::purpose::Purpose;
use symopt_search::judge::{form, judge_of_directions};
use symopt_search::launch::Finished;
use symopt_search::store::stop_reason::StopReason;

use crate::checked_json;
use crate::error::StudyError;
use crate::fresh_seeds;
use crate::funnel::{self, Funnel, FunnelProgress, FunnelReport, Ranked};
use crate::restarts::{Campaign, Ended, is_campaign};
use crate::simplification::simplify_on_tasks;
use crate::trials::Trials;
use held_out::Entry;

pub use held_out::{Comparison, HeldOut, Row, Setting, Versus};
pub use protocol::{FunnelProtocol, HeldOutProtocol, PROTOCOL, Protocol, SimplificationProtocol};

/// The level of Holm's adjusted chance below which one program is said to be better than another.
pub const LEVEL: f64 = 0.01;

/// Name of the champion in the comparison.
pub const CHAMPION: &str = "found";

/// How a discovery stands.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// Programs of two searches are compared.
    Comparing(fresh_seeds::Progress),
    /// The best programs go through suites.
    Funnel(FunnelProgress<'a>),
    /// A batch of the simplification: what was trained, and how much there is.
    Simplification(usize, usize),
    /// Training runs of the comparison, and how many there are at most.
    HeldOut(usize, usize),
}

/// Observer of a discovery.
pub trait Observer: Sync {
    /// Told often how a search stands.
    fn search(&self, name: &str, progress: &engine::Progress);

    /// Told that a search has ended.
    fn ended(&self, search: &Ended);

    /// Told, from all threads, how what comes after the searches stands.
    fn progress(&self, progress: Progress);
}

/// The champion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[must_use]
#[non_exhaustive]
pub struct Champion {
    /// Where it was found: STORE:HASH.
    pub found: String,
    /// The direction as it was bred, without redundant statements.
    pub program: String,
    /// The whole program that simplification leaves.
    pub simplified: String,
    /// The weakest label of a step.
    pub label: String,
    /// Programs that were trained for the simplification.
    pub trained: usize,
    /// The nearest program of the zoo, and what it has to do with it.
    pub nearest: Option<(String, String)>,
}

/// Result of a discovery.
#[derive(Clone, Debug, Serialize)]
#[must_use]
#[non_exhaustive]
pub struct Report {
    /// How it was made.
    pub protocol: Protocol,
    /// The searches.
    pub searches: Vec<Ended>,
    /// The funnel of their best programs.
    pub funnel: FunnelReport,
    /// The best that came through; `None` if none did.
    pub champion: Option<Champion>,
    /// The comparison; `None` without a champion.
    pub held_out: Option<HeldOut>,
}

/// A discovery that is set up in its directory.
pub struct Discovery {
    protocol: Protocol,
    directory: PathBuf,
    campaign: Campaign,
    threads: usize,
}

impl Discovery {
    /// Makes the directory, or goes on in it. `text` is that of the protocol; results of another
    /// one must not be there.
    pub fn new(
        place: &str,
        text: &str,
        first_seed: u64,
        directory: &Path,
        threads: usize,
        cancel: &CancelToken,
    ) -> Result<Discovery, StudyError> {
        let protocol = Protocol::from_toml(place, text)?;
        let kept = format!("# seed = {first_seed}\n{text}");
        crate::rediscovery::keep_protocol(directory, &kept)?;
        let searches = directory.join("searches");
        let campaign = if is_campaign(&searches) {
            Campaign::open(&searches)?
        } else {
            let restarts = RestartConfig {
                repeats: protocol.searches,
                restarts: 0,
                ..RestartConfig::default()
            };
            let config = SearchConfig { seed: first_seed, restarts, ..protocol.search.clone() };
            Campaign::create(config, &searches, cancel)?
        };
        let directory = directory.to_owned();
        Ok(Discovery { protocol, directory, campaign, threads: threads.max(1) })
    }

    /// The protocol.
    pub fn protocol(&self) -> &Protocol {
        &self.protocol
    }

    /// Does all that is not done yet.
    pub fn run(
        &mut self,
        cancel: &CancelToken,
        observer: &dyn Observer,
    ) -> Result<Report, StudyError> {
        self.search(cancel, observer)?;
        let funnel = self.funnel(cancel, observer)?;
        let best = funnel.ranking.iter().find(|ranked| ranked.survived).cloned();
        let champion = match &best {
            Some(best) => Some(self.simplify(best, cancel, observer)?),
            None => None,
        };
        let held_out = match &champion {
            Some(champion) => Some(self.compare(champion, cancel, observer)?),
            None => None,
        };
        Ok(Report {
            protocol: self.protocol.clone(),
            searches: self.campaign.ended().to_vec(),
            funnel,
            champion,
            held_out,
        })
    }

    fn search(&mut self, cancel: &CancelToken, observer: &dyn Observer) -> Result<(), StudyError> {
        while let Some(step) = self.campaign.next() {
            cancel.check()?;
            let compared = |progress| observer.progress(Progress::Comparing(progress));
            let launch = self.campaign.launch(&step, self.threads, cancel, &compared)?;
            let Finished { result, .. } = launch.run(self.threads, cancel, &mut |progress| {
                observer.search(&step.name, progress);
            })?;
            if result.stop == StopReason::Cancelled {
                cancel.check()?;
            }
            self.campaign.end(&result)?;
            if let Some(ended) = self.campaign.ended().last() {
                observer.ended(ended);
            }
        }
        Ok(())
    }

    fn funnel(
        &self,
        cancel: &CancelToken,
        observer: &dyn Observer,
    ) -> Result<FunnelReport, StudyError> {
        let FunnelProtocol { suites, keep, seeds, tuning_seeds, confidence } =
            &self.protocol.funnel;
        let stores = crate::restarts::stores(&self.directory.join("searches"))?;
        let settings = funnel::Settings {
            seeds: *seeds,
            tuning_seeds: *tuning_seeds,
            confidence: *confidence,
        };
        let funnel = Funnel::new(suites, settings, &self.directory.join("funnel"))?;
        let observe = |progress: FunnelProgress| observer.progress(Progress::Funnel(progress));
        funnel.run(funnel::candidates(&stores, *keep)?, self.threads, cancel, &observe)
    }

    fn simplify(
        &self,
        best: &Ranked,
        cancel: &CancelToken,
        observer: &dyn Observer,
    ) -> Result<Champion, StudyError> {
        let path = self.directory.join("champion.json");
        let candidate = &best.candidate;
        let found = format!("{}:{}", candidate.store, candidate.hash);
        let wrong = |reason: &dyn Display| StudyError::File {
            path: path.clone(),
            reason: reason.to_string(),
        };
        match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(wrong(&error)),
            Ok(bytes) => {
                let champion: Champion = checked_json::from_text(&bytes).map_err(|reason| {
                    wrong(&format_args!("no champion of a discovery; move it away ({reason})"))
                })?;
                if champion.found == found {
                    return Ok(champion);
                }
            }
        }
        let SimplificationProtocol { seeds, tuning_seeds, tolerance, confidence } =
            self.protocol.simplification;
        let suite = Arc::new(SuiteSource::find(&self.protocol.search.suite)?.suite()?);
        let judge =
            judge_of_directions(&suite, Purpose::Simplification, seeds, tuning_seeds, cancel)?;
        let bred = parsed(&found, &candidate.program)?;
        let pruned = Graph::new(&bred).map_or_else(|_| bred.clone(), |graph| bred.pruned(&graph));
        let observe = |done: usize, of: usize| {
            observer.progress(Progress::Simplification(done, of));
        };
        let mut trials = Trials::of_directions(
            &suite,
            &judge,
            seeds,
            Criterion { tolerance, confidence },
            self.threads,
            cancel,
            &observe,
        )?;
        let mut streams = RandomStreams::default();
        let derivation =
            simplify_on_tasks(&pruned, &Options::default(), &mut streams, &mut trials)?;
        let simplified = form::with_parameters(derivation.result());
        let whole = form::complete(&simplified).unwrap_or_else(|| simplified.clone());
        let nearest = identify(&whole, |program| canonical(program, Label::Domain));
        let champion = Champion {
            found,
            program: pruned.to_string(),
            simplified: whole.to_string(),
            label: derivation.label().to_string(),
            trained: trials.trained(),
            nearest: nearest
                .into_iter()
                .next()
                .map(|nearest| (nearest.called(), nearest.comparison.relation.name().to_owned())),
        };
        let text = checked_json::to_text(&champion).map_err(|error| wrong(&error))?;
        symopt_files::write(&path, &text)?;
        Ok(champion)
    }

    fn compare(
        &self,
        champion: &Champion,
        cancel: &CancelToken,
        observer: &dyn Observer,
    ) -> Result<HeldOut, StudyError> {
        let protocol = &self.protocol.held_out;
        let mut entries = vec![Entry {
            name: CHAMPION.to_owned(),
            program: parsed(&champion.found, &champion.simplified)?,
            is_direction: true,
        }];
        entries.extend(protocol.peers.iter().filter_map(|name| symopt_programs::find(name)).map(
            |entry| Entry {
                name: entry.name.to_owned(),
                program: entry.program(),
                is_direction: false,
            },
        ));
        held_out::compare(
            &SuiteSource::find(&protocol.suite)?,
            protocol,
            &entries,
            &self.directory.join("held-out.json"),
            self.threads,
            cancel,
            &|done, of| observer.progress(Progress::HeldOut(done, of)),
        )
    }
}

fn parsed(place: &str, text: &str) -> Result<Program, StudyError> {
    source::parse(place, text).map_err(|error| StudyError::Protocol {
        place: place.to_owned(),
        reason: error.to_string(),
    })
}
