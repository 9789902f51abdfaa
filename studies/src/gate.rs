//! A gate for proxies: whether a suite ranks optimizers as the literature does, and whether its
//! ranking survives another width, batch or horizon.
//!
//! Each task, and each [`Variant`] of it, is measured as a [`landscape`] is: all programs tuned with
//! the same budget, their gains paired over the same held-out seeds. Kendall's tau then says how far
//! two rankings agree: the pairs of programs that both order alike less those that they order the
//! other way round, over all pairs that both order. A program that diverged comes last. The standard
//! error of tau is the jackknife's over the held-out seeds.
//!
//! The published order ([`PUBLISHED`]) has levels; of two programs of one level nothing is said. No
//! paper proves that proxies of seconds predict models of billions of parameters: a suite that
//! passes has not failed, and no more.

use serde::Serialize;
use symopt_cancel::CancelToken;
use symopt_dsl::escape::markdown;
use symopt_programs as programs;
use symopt_proxy_tasks::spec::{SuiteSource, Variant};
use symopt_proxy_tasks::tuning::pattern_search::Protocol;

use crate::error::StudyError;
use crate::landscape::{self, Entry, Landscape, Row, Settings, markdown_table};
use crate::trials::Observe;

/// Optimizers in the order in which the literature finds them on language models at batches and
/// horizons of practice, the best level first.
pub const PUBLISHED: [&[&str]; 5] =
    [&["muon"], &["nadam", "cautious-adamw"], &["adamw"], &["lion", "signum"], &["momentum"]];

/// Where [`PUBLISHED`] comes from.
pub const SOURCES: &str = "Wen, Hall, Ma and Liang 2025 (arXiv 2509.02046; language models of 0.1 to \
1.2 billion parameters) and Semenov, Pagliardini and Jaggi 2025 (arXiv 2509.01440; 124 to 720 \
million): matrix methods first, then AdamW with Nesterov's momentum or caution, AdamW, methods of \
signs (behind at small batches; at large ones the order is open), momentum last";

/// The least tau of a task that selection may use, with the published order and with itself at
/// twice the width.
pub const LEAST: f64 = 0.6;

/// How rankings are measured if nothing else is said: rate and decay tuned with 50 runs on one
/// seed, 16 held-out seeds.
pub const SETTINGS: Settings =
    Settings { tuning: Protocol { seeds: 1, budget: 50, shares: false }, seeds: 16 };

/// The programs of [`PUBLISHED`], the best level first.
pub fn published() -> Vec<Entry> {
    let names = PUBLISHED.iter().flat_map(|level| level.iter());
    names.filter_map(|name| programs::find(name)).map(Entry::of_zoo).collect()
}

/// How far two rankings agree.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Agreement {
    /// Kendall's tau, from -1 to 1.
    pub tau: f64,
    /// Its standard error over the held-out seeds; `None` for a single seed.
    pub standard_error: Option<f64>,
    /// Pairs of programs that both rankings order.
    pub pairs: usize,
}

impl Agreement {
    fn text(agreement: Option<Agreement>) -> String {
        let Some(Agreement { tau, standard_error, .. }) = agreement else { return "-".to_owned() };
        let error = standard_error.map_or_else(String::new, |error| format!(" ± {error:.2}"));
        format!("{tau:+.2}{error}")
    }
}

/// Kendall's tau of two scores of the same programs, and the pairs that it rests on; `None` if
/// there is no pair that both order.
pub fn kendall(first: &[f64], second: &[f64]) -> Option<(f64, usize)> {
    let (mut sum, mut pairs) = (0_i64, 0_usize);
    for (i, (a, x)) in first.iter().zip(second).enumerate() {
        for (b, y) in first.iter().zip(second).skip(i + 1) {
            let orders = (a.partial_cmp(b), x.partial_cmp(y));
            let (Some(one), Some(other)) = orders else { continue };
            if one.is_eq() || other.is_eq() {
                continue;
            }
            pairs += 1;
            sum += if one == other { 1 } else { -1 };
        }
    }
    (pairs > 0).then(|| (sum as f64 / pairs as f64, pairs))
}

/// The gains of programs on one task, seed by seed; empty where a program diverged.
type Gains<'a> = Vec<&'a [f64]>;

/// The mean gain of each program, all seeds or all but one; diverged programs have the least.
fn means(gains: &Gains, left_out: Option<usize>) -> Vec<f64> {
    let mean = |values: &&[f64]| {
        let kept = values.iter().enumerate().filter(|(seed, _)| Some(*seed) != left_out);
        let (sum, count) = kept.fold((0.0, 0_usize), |(sum, n), (_, value)| (sum + value, n + 1));
        if count == 0 { f64::NEG_INFINITY } else { sum / count as f64 }
    };
    gains.iter().map(mean).collect()
}

/// The agreement of two rankings that depend on the seeds.
fn agreement(
    seeds: usize,
    ranks: impl Fn(Option<usize>) -> (Vec<f64>, Vec<f64>),
) -> Option<Agreement> {
    let of = |left_out| {
        let (first, second) = ranks(left_out);
        kendall(&first, &second)
    };
    let (tau, pairs) = of(None)?;
    let without: Option<Vec<f64>> =
        (0..seeds).map(|seed| of(Some(seed)).map(|(tau, _)| tau)).collect();
    let standard_error = without.filter(|values| values.len() > 1).map(|values| {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
        ((count - 1.0) / count * squares).sqrt()
    });
    Some(Agreement { tau, standard_error, pairs })
}

/// Verdict of the gate on a task.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaskGate {
    /// The task.
    pub task: String,
    /// With the published order; `None` if no two of its programs were ranked.
    pub published: Option<Agreement>,
    /// With the same task at another size; `None` where it has no such variant.
    pub variants: Vec<(Variant, Option<Agreement>)>,
    /// With each task of the suite, itself included.
    pub tasks: Vec<Option<Agreement>>,
    /// Whether selection may use the task: [`LEAST`] with the published order, and with itself at
    /// twice the width.
    pub passes: bool,
}

/// Verdict of the gate on a suite.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Gate {
    /// The agreement of the whole suite with the published order: gains averaged by weights.
    pub published: Option<Agreement>,
    /// Its tasks, without variants.
    pub tasks: Vec<TaskGate>,
    /// Where the published order comes from.
    pub sources: &'static str,
    /// The measurements: the tasks and their variants.
    pub landscape: Landscape,
}

/// Measures the rankings of a suite and of its variants. The programs of the published order are
/// added where they lack.
pub fn measure(
    source: &SuiteSource,
    entries: &[Entry],
    settings: &Settings,
    threads: usize,
    cancel: &CancelToken,
    observe: Observe,
) -> Result<Gate, StudyError> {
    let mut all = published();
    let others = entries.iter().filter(|entry| programs::find(&entry.name).is_none());
    let zoo = entries.iter().filter(|entry| {
        programs::find(&entry.name).is_some() && !all.iter().any(|known| known.name == entry.name)
    });
    let added: Vec<Entry> = zoo.chain(others).cloned().collect();
    all.extend(added);
    let names: Vec<String> =
        source.suite()?.tasks.iter().map(|task| task.task.name().to_owned()).collect();
    let suite = source.with_variants()?.suite()?;
    Ok(judge(landscape::measure(&suite, &all, settings, threads, cancel, observe)?, &names))
}

/// The gains of all programs on a task, in the order of the rows.
fn gains_on(landscape: &Landscape, task: usize) -> Gains<'_> {
    let rows = landscape.rows.iter();
    rows.map(|row| row.tasks.get(task).map_or(&[][..], |result| &result.gains[..])).collect()
}

/// The level of each program in the published order, higher is better; `NaN`, which is in no order
/// with anything, for those that are not there.
fn levels(landscape: &Landscape) -> Vec<f64> {
    let level = |row: &Row| {
        let level = PUBLISHED.iter().position(|level| level.contains(&row.program.as_str()));
        level.map_or(f64::NAN, |level| -(level as f64))
    };
    landscape.rows.iter().map(level).collect()
}

/// Judges a landscape of tasks, of which `names` are the suite's own and the others variants.
fn judge(landscape: Landscape, names: &[String]) -> Gate {
    let seeds = landscape.seeds;
    let place = |name: &str| landscape.tasks.iter().position(|(task, _)| task == name);
    let levels = levels(&landscape);
    let between = |first: usize, second: usize| {
        let (first, second) = (gains_on(&landscape, first), gains_on(&landscape, second));
        agreement(seeds, |left_out| (means(&first, left_out), means(&second, left_out)))
    };
    let measured: Vec<(&String, usize)> =
        names.iter().filter_map(|name| Some((name, place(name)?))).collect();
    let of_task = |&(name, task): &(&String, usize)| {
        let gains = gains_on(&landscape, task);
        let published = agreement(seeds, |left_out| (levels.clone(), means(&gains, left_out)));
        let variants: Vec<(Variant, Option<Agreement>)> = Variant::ALL
            .into_iter()
            .map(|variant| (variant, place(&variant.name_of(name)).and_then(|i| between(task, i))))
            .collect();
        let holds = |agreement: &Option<Agreement>| agreement.is_none_or(|a| a.tau >= LEAST);
        let wide = variants.iter().filter(|(variant, _)| *variant == Variant::Wide);
        let passes = published.is_some()
            && holds(&published)
            && wide.map(|(_, agreement)| agreement).all(holds);
        let tasks = measured.iter().map(|&(_, other)| between(task, other)).collect();
        TaskGate { task: name.clone(), published, variants, tasks, passes }
    };
    let tasks: Vec<TaskGate> = measured.iter().map(of_task).collect();
    let all: Vec<(Gains<'_>, f64)> = measured
        .iter()
        .map(|&(_, task)| (gains_on(&landscape, task), landscape.tasks[task].1))
        .collect();
    let whole = |left_out| {
        let mut sums = vec![0.0; landscape.rows.len()];
        for (gains, weight) in &all {
            for (sum, mean) in sums.iter_mut().zip(means(gains, left_out)) {
                *sum += weight * mean;
            }
        }
        (levels.clone(), sums)
    };
    let published = if measured.len() == names.len() { agreement(seeds, whole) } else { None };
    Gate { published, tasks, sources: SOURCES, landscape }
}

impl Gate {
    /// Tau of each task with the published order and with its variants, and the verdict, with a
    /// heading.
    pub fn table(&self) -> Vec<Vec<String>> {
        let variants = Variant::ALL.map(|variant| variant.name().to_uppercase());
        let heading = ["TASK".to_owned(), "PUBLISHED".to_owned()];
        let heading = heading.into_iter().chain(variants).chain(["VERDICT".to_owned()]);
        let row = |task: &TaskGate| {
            let variants = task.variants.iter().map(|(_, agreement)| Agreement::text(*agreement));
            let verdict = if task.passes { "passes" } else { "not for selection" };
            [task.task.clone(), Agreement::text(task.published)]
                .into_iter()
                .chain(variants)
                .chain([verdict.to_owned()])
                .collect()
        };
        let whole = ["whole suite".to_owned(), Agreement::text(self.published)];
        let whole = whole.into_iter().chain(vec![String::new(); Variant::ALL.len() + 1]);
        std::iter::once(heading.collect())
            .chain(self.tasks.iter().map(row))
            .chain([whole.collect()])
            .collect()
    }

    /// Tau of each task with each other, with a heading.
    pub fn between(&self) -> Vec<Vec<String>> {
        let names = self.tasks.iter().map(|task| task.task.clone());
        let heading = std::iter::once("TASK".to_owned()).chain(names);
        let row = |task: &TaskGate| {
            let cells = task.tasks.iter().map(|agreement| Agreement::text(*agreement));
            std::iter::once(task.task.clone()).chain(cells).collect()
        };
        std::iter::once(heading.collect()).chain(self.tasks.iter().map(row)).collect()
    }

    /// The gains over tuned AdamW on the tasks of the suite, without variants, with a heading; in
    /// the order of the whole suite.
    pub fn gains(&self) -> Vec<Vec<String>> {
        let names: Vec<&str> = self.tasks.iter().map(|task| task.task.as_str()).collect();
        let all = self.landscape.table();
        let kept: Vec<usize> = all.first().map_or_else(Vec::new, |heading| {
            let is_kept = |name: &str| name == "PROGRAM" || names.contains(&name);
            (0..heading.len()).filter(|&column| is_kept(&heading[column])).collect()
        });
        let row = |row: &Vec<String>| kept.iter().map(|&column| row[column].clone()).collect();
        all.iter().map(row).collect()
    }

    /// Explains the numbers, in a few sentences.
    pub fn explanation(&self) -> String {
        format!(
            "Kendall's tau ± standard error over {} held-out seeds: with the published order, and \
             with the same task at twice the width, four times the batch, twice the steps. A task \
             below {LEAST} in the first or the second is not for selection. Published: {}. No paper \
             proves that proxies of seconds predict models of billions of parameters.",
            self.landscape.seeds, self.sources
        )
    }

    /// All of it as Markdown.
    pub fn markdown(&self) -> String {
        let name = markdown(&self.landscape.suite);
        let mut text = format!("# Gate of the suite {name}\n\n{}\n", self.explanation());
        if !self.landscape.complete {
            text.push_str("\nIt was interrupted: some tasks are missing.\n");
        }
        markdown_table(&mut text, &self.table());
        text.push_str("\n## Between tasks\n");
        markdown_table(&mut text, &self.between());
        text.push_str(&format!("\n## Gains\n\n{}\n", self.landscape.protocol()));
        markdown_table(&mut text, &self.landscape.table());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tau_counts_the_pairs_that_both_order() {
        assert_eq!(kendall(&[1.0, 2.0, 3.0], &[10.0, 20.0, 30.0]), Some((1.0, 3)));
        assert_eq!(kendall(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]), Some((-1.0, 3)));
        // Two pairs alike, one the other way round.
        assert_eq!(kendall(&[1.0, 2.0, 3.0], &[1.0, 3.0, 2.0]), Some((1.0 / 3.0, 3)));
        // A tie and what has no place leave pairs out; a diverged program is the last.
        assert_eq!(kendall(&[1.0, 1.0, 2.0], &[5.0, 1.0, 9.0]), Some((1.0, 2)));
        assert_eq!(kendall(&[f64::NAN, 1.0, 2.0], &[5.0, 1.0, 9.0]), Some((1.0, 1)));
        let last = [f64::NEG_INFINITY, f64::NEG_INFINITY, 0.0];
        assert_eq!(kendall(&last, &[1.0, 2.0, 3.0]), Some((1.0, 2)));
        assert_eq!(kendall(&[1.0], &[1.0]), None);
    }

    #[test]
    fn the_error_of_tau_is_the_jackknifes() {
        // Without the first seed the order turns round, without any other it does not.
        let gains: Gains = vec![&[0.9, 0.0, 0.0], &[0.0, 0.1, 0.1]];
        let found = agreement(3, |left_out| (vec![1.0, 0.0], means(&gains, left_out))).unwrap();
        assert_eq!((found.tau, found.pairs), (1.0, 1));
        // The values are -1, 1, 1: their squares about 1/3 sum to 8/3; times 2/3.
        assert!((found.standard_error.unwrap() - (16.0_f64 / 9.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn the_published_order_is_of_the_zoo() {
        assert_eq!(published().len(), PUBLISHED.iter().map(|level| level.len()).sum::<usize>());
    }
}
