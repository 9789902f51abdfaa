//! The report as Markdown.

use std::fmt::Write;

use symopt_dsl::escape::{markdown, markdown_block, markdown_code};
use symopt_dsl::{Graph, parse};
use symopt_proxy_tasks::suite::Fitness;
use symopt_search::config::Form;

use super::{FreshFitness, Mean, Report, StoreReport};
use crate::report::figures::{PAPER_CACHE_HITS, PAPER_REDUNDANT};

impl Report {
    /// The text that shows the figures, with all numbers, and the command that made it.
    pub fn markdown(&self, command: &str) -> String {
        let mut text = String::new();
        // Writing into a String does not fail.
        let _ = self.write_markdown(&mut text, command);
        text
    }

    fn write_markdown(&self, text: &mut String, command: &str) -> std::fmt::Result {
        writeln!(text, "# Report\n\nMade by\n\n{}\n", markdown_block("", command))?;
        let count = if self.stores.len() == 1 {
            "1 search".to_owned()
        } else {
            format!("{} searches", self.stores.len())
        };
        writeln!(
            text,
            "on {count}. Fitness is the share of the validation loss of {} that is saved on the same seeds: more is better. `report.json` has \
             every number, the points of the curves and the programs.\n",
            self.adamw()
        )?;
        writeln!(text, "## Searches\n")?;
        write_table(text, &self.table(), &[], None)?;
        writeln!(
            text,
            "\n*Fresh seeds*: the last best program on {} seeds that no search has seen, the same for all, {}; ± is the standard error over the seeds. \
             The published searches report {:.0} % cache hits and {:.0} % redundant statements.\n",
            self.seeds,
            markdown(&self.how_judged()),
            100.0 * PAPER_CACHE_HITS,
            100.0 * PAPER_REDUNDANT
        )?;
        if self.groups.len() > 1 || self.stores.len() > 1 {
            writeln!(text, "## Kinds of searches\n")?;
            write_table(text, &self.group_table(), &[0], None)?;
            writeln!(
                text,
                "\nMeans over the searches of a kind, ± their standard error, and in brackets the lowest and the highest. The second column is on the \
                 seeds that the searches saw, where the first of all of them ends, after {} {}.\n",
                whole(self.common_compute),
                self.over.label()
            )?;
        }
        for figure in self.figures() {
            let title = markdown(figure.title);
            writeln!(text, "## {title}\n\n![{title}]({})\n\n{}\n", figure.file, figure.caption)?;
            if figure.file == "validation.svg" {
                self.write_validation(text)?;
            }
        }
        writeln!(text, "## Settings and programs\n")?;
        writeln!(
            text,
            "What is not listed is as `symopt search --print-config` writes it. `symopt search --config FILE` with these settings makes the store again.\n"
        )?;
        for store in &self.stores {
            self.write_store(text, store)?;
        }
        // One line feed at the end.
        text.truncate(text.trim_end().len());
        text.push('\n');
        Ok(())
    }

    /// A row for each store under a heading.
    pub fn table(&self) -> Vec<Vec<String>> {
        let mut heading = vec![
            "search",
            "kind",
            "programs",
            "evaluated",
            "cache hits",
            "redundant",
            "fitness",
            "fresh seeds",
            "initial, fresh",
        ];
        let runs = self.stores.iter().any(|store| store.end.training_runs.is_some());
        if runs {
            heading.insert(4, "training runs");
        }
        // Only searches on external tasks speak of failures.
        let failed = self.stores.iter().any(|store| !store.failures.is_empty());
        if failed {
            heading.insert(4, "failed");
        }
        let mut rows: Vec<Vec<String>> = vec![heading.into_iter().map(str::to_owned).collect()];
        for (store, name) in self.stores.iter().zip(self.store_names()) {
            let rate = |of: &dyn Fn(&super::RatePoint) -> f64| {
                store
                    .rates_at_end
                    .as_ref()
                    .map_or_else(|| "-".to_owned(), |rates| format!("{:.1} %", 100.0 * of(rates)))
            };
            let mut row = vec![
                name,
                store.group.clone(),
                store.end.programs.to_string(),
                store.end.evaluations.to_string(),
            ];
            if failed {
                row.push(
                    store.failures.iter().map(|failures| failures.count).sum::<u64>().to_string(),
                );
            }
            if runs {
                row.push(store.end.training_runs.map_or_else(|| "-".to_owned(), whole));
            }
            row.extend([
                rate(&|rates| rates.cache_hit_rate),
                rate(&|rates| rates.redundant_share),
                store.best.fitness.to_string(),
                judged(store.best_fresh),
                judged(store.initial_fresh),
            ]);
            rows.push(row);
        }
        rows
    }

    /// A row for each group under a heading.
    pub fn group_table(&self) -> Vec<Vec<String>> {
        let compute = whole(self.common_compute);
        let heading = [
            "kind".to_owned(),
            "searches".to_owned(),
            self.over.label().to_owned(),
            format!("fitness after {compute}"),
            "fitness at the end".to_owned(),
            "fresh seeds".to_owned(),
        ];
        let mut rows = vec![heading.to_vec()];
        for group in &self.groups {
            rows.push(vec![
                group.name.clone(),
                group.stores.to_string(),
                whole(group.compute),
                mean(group.at_common_compute.as_ref()),
                mean(group.at_end.as_ref()),
                mean(group.fresh.as_ref()),
            ]);
        }
        rows
    }

    /// A row for each store with a meta-validation under a heading; empty if there is none.
    pub fn validation_table(&self) -> Vec<Vec<String>> {
        let Some(suite) = &self.validation_suite else { return Vec::new() };
        let heading = [
            "search".to_owned(),
            format!("highest on {suite}"),
            "after programs".to_owned(),
            format!("at the end on {suite}"),
            "diverged".to_owned(),
        ];
        let mut rows = vec![heading.to_vec()];
        for (store, name) in self.stores.iter().zip(self.store_names()) {
            let Some((peak, end)) = store.validation_peak_and_end() else { continue };
            let diverged = store
                .validation
                .iter()
                .filter(|point| point.validation.fitness.improvement().is_none())
                .count();
            rows.push(vec![
                name,
                judged(peak.validation),
                peak.programs.to_string(),
                judged(end.validation),
                format!("{diverged} of {}", store.validation.len()),
            ]);
        }
        rows
    }

    fn write_validation(&self, text: &mut String) -> std::fmt::Result {
        write_table(text, &self.validation_table(), &[0], None)?;
        writeln!(
            text,
            "\nThe highest of several noisy numbers is too high by some of the noise.\n"
        )?;
        for (store, name) in self.stores.iter().zip(self.store_names()) {
            let Some(suite) = &self.validation_suite else { continue };
            writeln!(text, "### {}\n", markdown(&name))?;
            let heading = ["programs", "program", "fitness in the search"]
                .map(str::to_owned)
                .into_iter()
                .chain([format!("on {suite}")]);
            let mut rows = vec![heading.collect::<Vec<_>>()];
            for point in &store.validation {
                let hash = point.hash.get(..12).unwrap_or(&point.hash).to_owned();
                rows.push(vec![
                    point.programs.to_string(),
                    hash,
                    point.fitness.to_string(),
                    judged(point.validation),
                ]);
            }
            write_table(text, &rows, &[1], Some(1))?;
            if store.without_text > 0 {
                writeln!(
                    text,
                    "\n{} programs that were the best are left out: the journal does not hold their texts.",
                    store.without_text
                )?;
            }
            writeln!(text)?;
        }
        Ok(())
    }

    fn write_store(&self, text: &mut String, store: &StoreReport) -> std::fmt::Result {
        writeln!(text, "### {}\n", markdown(&store.store))?;
        if store.settings.is_empty() {
            writeln!(text, "All settings are the defaults.\n")?;
        } else {
            writeln!(text, "{}\n", markdown_block("toml", &store.settings.join("\n")))?;
        }
        if !store.failures.is_empty() {
            writeln!(text, "Evaluations that failed, which says nothing about their programs:\n")?;
            for failures in &store.failures {
                writeln!(text, "- {}", markdown(&failures.to_string()))?;
            }
            writeln!(text)?;
        }
        let what = match store.form {
            Form::Program => "program",
            Form::Direction => "direction",
        };
        // Statements that no output depends on are not worth a reader's time; `report.json` has the
        // program as it was bred.
        let best = parse(&store.best.program).ok().and_then(|program| {
            Graph::new(&program).ok().map(|graph| program.pruned(&graph).to_string())
        });
        let best = best.as_ref().unwrap_or(&store.best.program);
        match store.best.index {
            None => writeln!(
                text,
                "No {what} was better than the initial one, `{}`:\n",
                store.best.hash
            )?,
            Some(index) => {
                writeln!(text, "The last best {what}, child {index}, `{}`:\n", store.best.hash)?
            }
        }
        writeln!(text, "{}\n", markdown_block("", best.trim_end()))
    }
}

fn judged(judged: FreshFitness) -> String {
    match (judged.fitness, judged.standard_error) {
        (Fitness::Improvement(value), Some(error)) => {
            format!("{:+.2} ± {:.2} %", 100.0 * value, 100.0 * error)
        }
        (fitness, _) => fitness.to_string(),
    }
}

fn mean(mean: Option<&Mean>) -> String {
    let Some(Mean { mean, standard_error, low, high }) = mean else { return "-".to_owned() };
    match standard_error {
        Some(error) => format!(
            "{:+.2} ± {:.2} % ({:+.2} to {:+.2})",
            100.0 * mean,
            100.0 * error,
            100.0 * low,
            100.0 * high
        ),
        None => format!("{:+.2} %", 100.0 * mean),
    }
}

fn whole(number: f64) -> String {
    format!("{number:.0}")
}

/// A Markdown table; the named columns are aligned to the left, the others, after the first two, to
/// the right. `code` is a column of code.
fn write_table(
    text: &mut String,
    rows: &[Vec<String>],
    left: &[usize],
    code: Option<usize>,
) -> std::fmt::Result {
    let Some((heading, rows)) = rows.split_first() else { return Ok(()) };
    let line = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    let cells = |row: &Vec<String>| {
        let cell = |(column, cell): (usize, &String)| {
            if code == Some(column) { markdown_code(cell) } else { markdown(cell) }
        };
        line(row.iter().enumerate().map(cell).collect())
    };
    let is_left = |column: usize| if left.is_empty() { column < 2 } else { left.contains(&column) };
    let rule: String =
        (0..heading.len()).map(|column| if is_left(column) { "---|" } else { "---:|" }).collect();
    writeln!(text, "{}\n|{rule}", line(heading.iter().map(|cell| markdown(cell)).collect()))?;
    rows.iter().try_for_each(|row| writeln!(text, "{}", cells(row)))
}
