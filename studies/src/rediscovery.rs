//! The rediscovery of Lion, or of Muon: the same search from AdamW under many seeds, each ended by
//! its budget or by a program of the target's structure, and what became of every one of them.
//!
//! The protocol is a file, such as `rediscovery/protocol.toml`: a target, a suite, how often a search is repeated,
//! its settings, and how finals are simplified and judged. A search that is going to end somewhere
//! else does so early, so a seed is a series of short searches, each from the initial program with
//! a seed of its own, until one ends there or there have been enough. All finals go the same
//! way, whatever they are: algebra; the sign of some value in the place of the update, if that
//! costs no more than the tolerance; ablation. Everything is judged on seeds that the search has
//! not seen, each program at its own best peak learning rate and weight decay.

mod attempt;
mod kept;
mod protocol;
mod report;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use symopt_analysis::RandomStreams;
use symopt_analysis::simplify::{Label, Options, reduced};
use symopt_analysis::structure::{self, Structure};
use symopt_cancel::CancelToken;
use symopt_dsl::{Function, Graph, Operand, Program, Statement};
use symopt_proxy_tasks::sample::{Criterion, mean, standard_error};
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_proxy_tasks::suite::Suite;
use symopt_search::config::{LAST_SEED, SearchConfig};
use symopt_search::journal::Journal;
use symopt_search::judge::{DirectionJudge, form};
use symopt_search::launch::{Finished, Launch, Launcher};
use symopt_search::store::stop_reason::StopReason;

use crate::error::StudyError;
use crate::simplification::simplify_on_tasks;
use crate::trials::Trials;
use kept::{Kept, Time, keep, kept};

pub use attempt::{Attempt, ClassChange, Final, Searched};
pub use protocol::{Finals, PROTOCOL, PROTOCOLS, Peer, Protocol, keep_protocol};
pub use report::Summary;

/// Seeds of searches, which the seeds that change follow from, that no search has: for the
/// simplification of finals, for the choice of the betas of the programs that finals are compared
/// with, and for the figures that are reported. They are above [`LAST_SEED`], as those of
/// [`fresh_seeds`](crate::fresh_seeds).
const SIMPLIFICATION: u64 = 0xf_fff0;
const CHOICE: u64 = 0xf_fff1;
const REPORT: u64 = 0xf_fff2;

/// Observer of a rediscovery.
pub trait Observer {
    /// Told often how the search under a seed stands.
    fn progress(&mut self, seed: u64, progress: &symopt_search::engine::Progress);
}

/// A peer with its betas chosen and its scores on the report's seeds.
struct JudgedPeer {
    name: String,
    by_seed: Vec<f64>,
}

/// A rediscovery that is set up: the suite, the judges of finals and the peers.
pub struct Rediscovery {
    protocol: Protocol,
    suite: Arc<Suite>,
    simplification: DirectionJudge,
    report: DirectionJudge,
    peers: Vec<JudgedPeer>,
    threads: usize,
    launcher: Launcher,
}

impl Rediscovery {
    /// Loads the suite and judges the peers.
    pub fn new(
        protocol: Protocol,
        threads: usize,
        cancel: &CancelToken,
    ) -> Result<Rediscovery, StudyError> {
        Rediscovery::launched_by(Launcher::default(), protocol, threads, cancel)
    }

    /// The same, with the searches set up by a launcher.
    pub fn launched_by(
        launcher: Launcher,
        protocol: Protocol,
        threads: usize,
        cancel: &CancelToken,
    ) -> Result<Rediscovery, StudyError> {
        let suite = launcher.suite(&SuiteSource::find(&protocol.search.suite)?)?;
        let judge = |seed: u64, seeds: usize| {
            let mut config = protocol.search.clone();
            config.seed = seed;
            config.fitness.seeds = seeds;
            config.fitness.tuning_seeds = protocol.finals.tuning_seeds;
            // Programs that a search may not train may still be compared.
            config.fitness.screens.clear();
            DirectionJudge::new(Arc::clone(&suite), &config, cancel)
        };
        let finals = &protocol.finals;
        let simplification = judge(SIMPLIFICATION, finals.simplification_seeds)?;
        let report = judge(REPORT, finals.report_seeds)?;
        let choice = judge(CHOICE, finals.simplification_seeds)?;
        let mut peers = Vec::new();
        for peer in &finals.peers {
            peers.push(judge_peer(peer, &choice, &report, cancel)?);
        }
        let threads = threads.max(1);
        Ok(Rediscovery { suite, simplification, report, peers, threads, launcher, protocol })
    }

    /// The protocol.
    pub fn protocol(&self) -> &Protocol {
        &self.protocol
    }

    /// The names of the peers with their betas, and the gain of each over the suite's tuned AdamW
    /// on the report's seeds, with its standard error.
    pub fn peers(&self) -> Vec<(String, f64, f64)> {
        self.peers
            .iter()
            .map(|peer| {
                (
                    peer.name.clone(),
                    mean(&peer.by_seed),
                    standard_error(&peer.by_seed).unwrap_or(0.0),
                )
            })
            .collect()
    }

    /// The seeds of the searches under one seed: no two searches of any two seeds have the same
    /// one.
    fn seeds(&self, seed: u64) -> Result<Range<u64>, StudyError> {
        let repeats = self.protocol.repeats;
        let most = (LAST_SEED + 1) / repeats;
        if seed >= most {
            let reason = format!(
                "the seed {seed} is reserved: with {repeats} searches each, seeds go up to {}",
                most.saturating_sub(1)
            );
            return Err(StudyError::Protocol { place: "the seeds".to_owned(), reason });
        }
        Ok(seed * repeats..(seed + 1) * repeats)
    }

    /// One search with its own seed, new or where its store ends. All that is looked at on the way
    /// is looked at again, so that it ends as if it had not been cancelled.
    fn search(
        &self,
        of: u64,
        seed: u64,
        store: &Path,
        time: &mut Time,
        cancel: &CancelToken,
        observer: &mut dyn Observer,
    ) -> Result<Searched, StudyError> {
        let launch = self.launch(seed, store, cancel)?;
        // The search's own token: a rediscovery ends the search as well.
        let end = cancel.child();
        let mut classes: Vec<ClassChange> = Vec::new();
        let mut known = None;
        let mut next_try = 0;
        let mut found = None;
        let mut failure = None;
        let mut generated_then = None;
        let ended = launch.run(self.threads, &end, &mut |progress| {
            observer.progress(of, progress);
            time.note();
            if end.is_cancelled() {
                return;
            }
            let (best, generated) = (progress.best, progress.statistics.generated);
            if known.map(|(hash, _)| hash) != Some(best.hash) {
                let now = class_of(&best.program);
                known = Some((best.hash, now));
                if classes.last().map(|c| (c.structure, c.of_sign)) != Some(now) {
                    classes.push(ClassChange {
                        generated,
                        seconds: time.seconds(),
                        structure: now.0,
                        of_sign: now.1,
                        fitness: best.fitness,
                    });
                }
            }
            let promising = known.is_some_and(|(_, classes)| self.is_promising(classes));
            if !promising || generated < next_try {
                return;
            }
            next_try = generated + self.protocol.finals.every;
            match self.finish(&best.program, cancel) {
                Ok(last) if last.structure == self.protocol.target => {
                    found = Some(last);
                    generated_then = Some(progress.statistics.clone());
                    end.cancel();
                }
                Ok(_) => {}
                Err(error) => {
                    failure = Some(error);
                    end.cancel();
                }
            }
        });
        let Finished { result, .. } = ended?;
        if let Some(error) = failure {
            return Err(error);
        }
        cancel.check()?;
        let rediscovered = found.is_some();
        let last = match found {
            Some(last) => last,
            None => self.finish(&result.best.program, cancel)?,
        };
        let statistics = generated_then.unwrap_or(result.statistics);
        let stop = if rediscovered { StopReason::TargetProgram } else { result.stop };
        Ok(Searched { seed, stop, seconds: time.seconds(), statistics, classes, last })
    }

    /// Whether a direction of some structure, whose sign has another, may be simplified to the
    /// target: of something sign-like, a soft sign may become one.
    fn is_promising(&self, (own, of_sign): (Structure, Structure)) -> bool {
        match self.protocol.target {
            target @ (Structure::LionLike | Structure::SignumLike) => of_sign == target,
            target => own == target,
        }
    }

    fn launch(&self, seed: u64, store: &Path, cancel: &CancelToken) -> Result<Launch, StudyError> {
        let failed = |reason: String| StudyError::File { path: store.to_owned(), reason };
        if !Journal::is_at(store) {
            let config = SearchConfig { seed, ..self.protocol.search.clone() };
            return Ok(self.launcher.begin(config, store, cancel)?);
        }
        let launch = self.launcher.resume(store, |_| {}, cancel)?;
        match launch.config().seed {
            found if found == seed => Ok(launch),
            found => Err(failed(format!(
                "the store of a search with the seed {found}, not {seed}; move it away"
            ))),
        }
    }

    /// Simplifies a direction, classifies it, and judges it on the report's seeds.
    pub fn finish(&self, best: &Program, cancel: &CancelToken) -> Result<Final, StudyError> {
        let finals = &self.protocol.finals;
        let criterion = Criterion { tolerance: finals.tolerance, confidence: finals.confidence };
        let pruned = Graph::new(best).map_or_else(|_| best.clone(), |graph| best.pruned(&graph));
        let mut trials = Trials::of_directions(
            &self.suite,
            &self.simplification,
            finals.simplification_seeds,
            criterion,
            self.threads,
            cancel,
            &|_, _| {},
        )?;
        let derivation = simplify_on_tasks(
            &pruned,
            &Options::default(),
            &mut RandomStreams::default(),
            &mut trials,
        )?;
        let simplified = form::with_parameters(derivation.result());
        let whole = form::complete(&simplified).unwrap_or_else(|| simplified.clone());
        let classification =
            structure::classify(&whole, |program| reduced(program, Label::Domain).result().clone());
        let scores = self.report.scores(&simplified, 0, cancel)?;
        let gains = match &scores {
            Some(scores) => self.peers.iter().map(|peer| gain(&scores.by_seed, peer)).collect(),
            None => Vec::new(),
        };
        Ok(Final {
            program: pruned.to_string(),
            simplified: whole.to_string(),
            label: derivation.label().to_string(),
            structure: classification.by_probes,
            by_form: classification.by_form,
            classification: match classification.open_reasons() {
                [] => classification.to_string(),
                reasons => format!("{classification}: {}", reasons.join("; ")),
            },
            fitness: scores.map(|scores| {
                (mean(&scores.by_seed), standard_error(&scores.by_seed).unwrap_or(0.0))
            }),
            gains,
        })
    }
}

/// The structure of a direction, and that of its sign.
fn class_of(program: &Program) -> (Structure, Structure) {
    let of = |direction: &Program| {
        form::complete(direction).map_or(Structure::Other, |whole| structure::by_probes(&whole).0)
    };
    let mut sign = program.clone();
    let of_sign = match sign.fresh_variable() {
        Some(target) => {
            sign.statements.push(Statement::new(
                target,
                Function::Sign,
                &[Operand::Variable(program.update)],
            ));
            sign.update = target;
            of(&sign)
        }
        None => Structure::Other,
    };
    (of(program), of_sign)
}

fn judge_peer(
    peer: &Peer,
    choice: &DirectionJudge,
    report: &DirectionJudge,
    cancel: &CancelToken,
) -> Result<JudgedPeer, StudyError> {
    let wrong = |reason: String| StudyError::Protocol {
        place: format!("the peer {}", peer.program),
        reason,
    };
    let entry = symopt_programs::find(&peer.program)
        .ok_or_else(|| wrong("no program of the zoo has this name".to_owned()))?;
    let mut best: Option<(f64, Program, String)> = None;
    let defaults = Vec::new();
    for values in std::iter::once(&defaults).chain(&peer.values) {
        let mut program = entry.program();
        let mut signature = program.signature().clone();
        let mut name = peer.program.clone();
        for (hyperparameter, value) in peer.names.iter().zip(values) {
            let parameter = signature.parameters.iter_mut().find(|p| p.name == *hyperparameter);
            let parameter = parameter
                .ok_or_else(|| wrong(format!("it has no hyperparameter `{hyperparameter}`")))?;
            parameter.default = Some(*value);
            name.push_str(&format!(" {hyperparameter}={value}"));
        }
        program = program.with_signature(signature);
        let direction = form::split(&program).map_err(|e| wrong(e.to_string()))?;
        let Some(scores) = choice.scores(&direction, 0, cancel)? else { continue };
        let fitness = mean(&scores.by_seed);
        if best.as_ref().is_none_or(|(other, ..)| fitness > *other) {
            best = Some((fitness, direction, name));
        }
    }
    let (_, direction, name) =
        best.ok_or_else(|| wrong("it diverges on the suite with all betas".to_owned()))?;
    let scores = report
        .scores(&direction, 0, cancel)?
        .ok_or_else(|| wrong("it diverges on the report's seeds".to_owned()))?;
    Ok(JudgedPeer { name, by_seed: scores.by_seed })
}

fn gain(by_seed: &[f64], peer: &JudgedPeer) -> (String, f64, f64) {
    let differences: Vec<f64> = by_seed.iter().zip(&peer.by_seed).map(|(a, b)| a - b).collect();
    (peer.name.clone(), mean(&differences), standard_error(&differences).unwrap_or(0.0))
}

impl Rediscovery {
    /// The attempt of a seed in a directory of results: the one that is there, or one that goes on
    /// where it was interrupted, or a new one, which is kept there. The searches of a seed that
    /// have ended are kept beside their stores, and the one that has not goes on in its store.
    /// `None` if it was cancelled.
    pub fn attempt_in(
        &self,
        directory: &Path,
        seed: u64,
        cancel: &CancelToken,
        observer: &mut dyn Observer,
    ) -> Result<Option<Attempt>, StudyError> {
        let path = directory.join(format!("seed-{seed}.json"));
        if let Some(attempt) = kept(&path)? {
            return Ok(Some(attempt));
        }
        let seeds = self.seeds(seed)?;
        let stores = directory.join(format!("seed-{seed}"));
        symopt_files::create_directory(&stores)?;
        symopt_files::check_writable(&path)?;
        let target = self.protocol.target;
        let mut attempt = Attempt { seed, target, searches: Vec::new() };
        for (own, place) in seeds.zip(1..) {
            let (store, ended) = (
                stores.join(format!("search-{place}")),
                stores.join(format!("search-{place}.json")),
            );
            let before: Kept = kept(&ended)?.unwrap_or_default();
            let searched = match before.ended {
                Some(searched) => searched,
                None => {
                    let mut time = Time::new(&ended, before.seconds);
                    let searched = match self.search(seed, own, &store, &mut time, cancel, observer)
                    {
                        Err(StudyError::Cancelled(_)) => None,
                        searched => Some(searched?),
                    };
                    keep(&ended, &Kept { seconds: time.seconds(), ended: searched.clone() })?;
                    let Some(searched) = searched else { return Ok(None) };
                    searched
                }
            };
            attempt.searches.push(searched);
            if attempt.rediscovered() {
                break;
            }
        }
        keep(&path, &attempt)?;
        Ok(Some(attempt))
    }
}
