//! The attempts of all seeds together, and their report.

use serde::Serialize;

use super::Rediscovery;
use super::attempt::{Attempt, ClassChange, Searched};

/// All attempts together.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[must_use]
#[non_exhaustive]
pub struct Summary {
    /// Attempts: seeds.
    pub attempts: usize,
    /// Those that end with the target's structure.
    pub rediscovered: usize,
    /// Searches of all attempts; as many as are `rediscovered` end so.
    pub searches: usize,
    /// Median of the seconds of all attempts.
    pub median_seconds: f64,
}

impl Summary {
    /// The summary of attempts.
    pub fn of(attempts: &[Attempt]) -> Summary {
        let mut seconds: Vec<f64> = attempts.iter().map(Attempt::seconds).collect();
        seconds.sort_by(f64::total_cmp);
        let middle = |place: usize| seconds.get(place).copied().unwrap_or(0.0);
        let median = if seconds.is_empty() {
            0.0
        } else {
            (middle((seconds.len() - 1) / 2) + middle(seconds.len() / 2)) / 2.0
        };
        Summary {
            attempts: attempts.len(),
            rediscovered: attempts.iter().filter(|attempt| attempt.rediscovered()).count(),
            searches: attempts.iter().map(|attempt| attempt.searches.len()).sum(),
            median_seconds: median,
        }
    }
}

impl Rediscovery {
    /// A report in Markdown: every attempt, failures included.
    pub fn report(&self, attempts: &[Attempt]) -> String {
        let mut text = String::new();
        let summary = Summary::of(attempts);
        let (search, target) = (&self.protocol.search, self.protocol.target);
        let percent =
            |(mean, error): (f64, f64)| format!("{:+.2} ± {:.2} %", 100.0 * mean, 100.0 * error);
        text.push_str(&format!(
            "# Rediscovery of {}\n\n{} of {} seeds end {target}, from {} on the suite {}; so do {} of the {} searches, of which a seed has up to \
             {}. Median time of all seeds: {:.0} s.\n\n",
            target.to_string().trim_end_matches("-like"),
            summary.rediscovered,
            summary.attempts,
            search.initial,
            search.suite,
            summary.rediscovered,
            summary.searches,
            self.protocol.repeats,
            summary.median_seconds
        ));
        text.push_str(
            "Made by `symopt rediscover`; the protocol is in `protocol.toml` beside this file. Fitness is validation loss saved against the suite's \
             tuned AdamW. Programs are compared on seeds that no search has seen, each at its own best peak learning rate and weight decay on each \
             task, paired, with the standard error over the seeds.\n\n| compared with | fitness |\n|---|---|\n",
        );
        for (name, mean, error) in self.peers() {
            text.push_str(&format!("| {name} | {} |\n", percent((mean, error))));
        }
        text.push_str("\n| seed | search | final | by form | seconds | generated | evaluated | cache hits | fitness |");
        for peer in &self.peers {
            text.push_str(&format!(" over {} |", peer.name));
        }
        text.push_str(&format!(
            "\n|---|---|---|---|---|---|---|---|---|{}\n",
            "---|".repeat(self.peers.len())
        ));
        let searches = || {
            attempts.iter().flat_map(|attempt| {
                attempt
                    .searches
                    .iter()
                    .zip(1..)
                    .map(|(search, place)| (attempt.seed, place, search))
            })
        };
        for (seed, place, Searched { statistics, seconds, last, .. }) in searches() {
            text.push_str(&format!(
                "| {seed} | {place} | {} | {} | {seconds:.0} | {} | {} | {:.1} % | {} |",
                last.structure,
                last.by_form.map_or_else(|| "-".to_owned(), |form| form.to_string()),
                statistics.generated,
                statistics.evaluated,
                100.0 * statistics.cache_hit_rate(),
                last.fitness.map_or_else(|| "-".to_owned(), percent)
            ));
            for peer in &self.peers {
                let gain = last.gains.iter().find(|(name, ..)| *name == peer.name);
                text.push_str(&format!(
                    " {} |",
                    gain.map_or_else(
                        || "-".to_owned(),
                        |(_, mean, error)| percent((*mean, *error))
                    )
                ));
            }
            text.push('\n');
        }
        for (seed, place, Searched { seed: own, stop, classes, last, .. }) in searches() {
            text.push_str(&format!(
                "\n## Seed {seed}, search {place}: {}\n\nThe search (`--seed {own}`) ended: {stop}. {}\n\n",
                last.structure, last.classification
            ));
            text.push_str("| generated | seconds | fitness in the search | structure | structure of its sign |\n|---|---|---|---|---|\n");
            for ClassChange { generated, seconds, structure, of_sign, fitness } in classes {
                text.push_str(&format!(
                    "| {generated} | {seconds:.0} | {fitness} | {structure} | {of_sign} |\n"
                ));
            }
            text.push_str(&format!(
                "\nThe best program (a direction, without redundant statements), and what simplification leaves (label `{}`):\n\n```python\n{}\n```\n\n\
                 ```python\n{}\n```\n",
                last.label,
                last.program.trim_end(),
                last.simplified.trim_end()
            ));
        }
        text
    }
}
