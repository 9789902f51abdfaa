//! The report of a discovery in Markdown.

use std::fmt::Write;

use symopt_dsl::escape::markdown;
use symopt_proxy_tasks::sample::Gain;

use super::{CHAMPION, Champion, Comparison, HeldOut, LEVEL, Report, Setting};
use crate::landscape::markdown_table;

impl Report {
    /// The verdict in a sentence or two: whom the champion beats on held-out tasks, and whom not.
    pub fn verdict(&self) -> String {
        let (Some(_), Some(held_out)) = (&self.champion, &self.held_out) else {
            return format!(
                "No program of these searches beats {} on all of {}, so nothing was tried on the held-out tasks.",
                self.funnel.adamw(),
                self.funnel.suites.join(", ")
            );
        };
        let suite = &self.protocol.held_out.suite;
        format!(
            "On {suite}, which nothing before had seen, the program that was found {} when each program is tuned on each task, and {} when \
             each has one setting for all tasks.",
            whom(&held_out.per_task),
            whom(&held_out.one_setting)
        )
    }

    /// The report: every stage, with all that did not get through.
    pub fn markdown(&self) -> String {
        let mut text = format!("# Discovery\n\n{}\n", self.verdict());
        // Writing into a String does not fail.
        let _ = writeln!(
            text,
            "\nMade by `symopt discover`; the protocol is in `protocol.toml` beside this file. Gains are shares of the validation loss of tuned \
             AdamW that are saved, with the standard error over seeds. What is selected at a stage is judged at the next on other seeds."
        );
        self.searches_of(&mut text);
        self.funnel_of(&mut text);
        if let Some(champion) = &self.champion {
            champion_of(champion, &mut text);
        }
        if let Some(held_out) = &self.held_out {
            self.held_out_of(held_out, &mut text);
        }
        text
    }

    fn searches_of(&self, text: &mut String) {
        let search = &self.protocol.search;
        let _ = writeln!(
            text,
            "\n## Searches\n\n{} searches on the suite {} from {}, one after the other. The fitness is on a search's own seeds, which selected \
             it.",
            self.searches.len(),
            search.suite,
            search.initial
        );
        let heading = ["search", "ended", "programs", "evaluated", "fitness of the best"];
        let mut rows = vec![heading.map(str::to_owned).to_vec()];
        for ended in &self.searches {
            rows.push(vec![
                ended.name.clone(),
                ended.stop.to_string(),
                ended.generated.to_string(),
                ended.evaluated.to_string(),
                ended.best.fitness.to_string(),
            ]);
        }
        markdown_table(text, &rows);
    }

    fn funnel_of(&self, text: &mut String) {
        let funnel = &self.funnel;
        let _ = writeln!(
            text,
            "\n## Funnel\n\nThe best programs of all searches, of each form one, on {} fresh seeds, each tuned on {} others. Who beats AdamW at a \
             confidence of {} goes on (\\*).",
            funnel.settings.seeds, funnel.settings.tuning_seeds, funnel.settings.confidence
        );
        let mut heading = vec!["program".to_owned(), "in its search".to_owned()];
        heading.extend(funnel.suites.iter().cloned());
        heading.extend(["nearest", "structure"].map(str::to_owned));
        let mut rows = vec![heading];
        for ranked in &funnel.ranking {
            let hash = &ranked.candidate.hash;
            let mut row = vec![
                hash.get(..12).unwrap_or(hash).to_owned(),
                ranked.candidate.fitness.to_string(),
            ];
            row.extend((0..funnel.suites.len()).map(|stage| {
                ranked.stages.get(stage).map_or_else(
                    || "-".to_owned(),
                    |stage| {
                        let passed = if stage.passed { " *" } else { "" };
                        format!("{}{passed}", Gain::text(stage.judged.gain))
                    },
                )
            }));
            row.push(ranked.nearest.as_ref().map_or_else(
                || "-".to_owned(),
                |nearest| format!("{} ({})", nearest.name, nearest.relation),
            ));
            row.push(ranked.structure.by_probes.to_string());
            rows.push(row);
        }
        markdown_table(text, &rows);
    }

    fn held_out_of(&self, held_out: &HeldOut, text: &mut String) {
        let protocol = &self.protocol.held_out;
        let _ = writeln!(
            text,
            "\n## Held-out tasks\n\nThe suite {}, {} training runs in all. Every program is tuned with {} runs on {} seed{}: learning rate, weight \
             decay and shares of averages. Gains are over AdamW tuned likewise, on {} other seeds, paired. The chance is that of a lead as large \
             where there is none, adjusted by Holm for the number of programs.",
            protocol.suite,
            held_out.runs,
            protocol.budget,
            protocol.tuning_seeds,
            if protocol.tuning_seeds == 1 { "" } else { "s" },
            protocol.seeds
        );
        for (title, comparison) in [
            ("Each program tuned on each task", &held_out.per_task),
            ("One setting for all tasks", &held_out.one_setting),
        ] {
            let _ = writeln!(text, "\n### {title}");
            markdown_table(text, &table(held_out, comparison));
            let _ = writeln!(text, "\nThe settings:");
            let mut rows = vec![vec!["program".to_owned(), "settings".to_owned()]];
            for row in &comparison.rows {
                let settings: Vec<String> = row.settings.iter().map(setting).collect();
                rows.push(vec![row.program.clone(), settings.join("; ")]);
            }
            markdown_table(text, &rows);
        }
    }
}

/// A comparison as a table with a heading.
pub(super) fn table(held_out: &HeldOut, comparison: &Comparison) -> Vec<Vec<String>> {
    let mut heading = vec!["program".to_owned(), "gain".to_owned()];
    heading.extend(held_out.tasks.iter().map(|(name, _)| name.clone()));
    heading.extend([format!("{CHAMPION} ahead by"), "chance".to_owned()]);
    let mut rows = vec![heading];
    for row in &comparison.rows {
        let mut cells = vec![row.program.clone(), Gain::text(row.gain)];
        cells.extend(row.tasks.iter().map(|gain| Gain::text(*gain)));
        match row.champion {
            Some(versus) => {
                cells.push(Gain::text(Some(versus.difference)));
                cells.push(chance(versus.adjusted));
            }
            None => cells.extend(["-".to_owned(), "-".to_owned()]),
        }
        rows.push(cells);
    }
    rows
}

impl HeldOut {
    /// The gains of the programs that were tuned on each task, as a table with a heading.
    pub fn per_task_table(&self) -> Vec<Vec<String>> {
        table(self, &self.per_task)
    }

    /// The same with one setting for all tasks.
    pub fn one_setting_table(&self) -> Vec<Vec<String>> {
        table(self, &self.one_setting)
    }
}

fn chance(chance: f64) -> String {
    if chance < 1e-4 { "< 0.0001".to_owned() } else { format!("{chance:.4}") }
}

fn setting(setting: &Option<Setting>) -> String {
    let Some((peak_lr, hyperparameters)) = setting else { return "diverged".to_owned() };
    let mut text = format!("lr={peak_lr}");
    for (name, value) in hyperparameters {
        let _ = write!(text, " {name}={value}");
    }
    text
}

/// Whom the champion beats, and by how much; whom not.
fn whom(comparison: &Comparison) -> String {
    let beaten = comparison.beaten(LEVEL);
    let others: Vec<String> = comparison
        .rows
        .iter()
        .filter(|row| row.program != CHAMPION && !beaten.contains(&row.program.as_str()))
        .map(|row| match row.champion {
            Some(versus) => format!("{} ({})", row.program, Gain::text(Some(versus.difference))),
            None => format!("{} (no comparison)", row.program),
        })
        .collect();
    let won: Vec<String> = comparison
        .rows
        .iter()
        .filter(|row| beaten.contains(&row.program.as_str()))
        .filter_map(|row| {
            Some(format!("{} ({})", row.program, Gain::text(Some(row.champion?.difference))))
        })
        .collect();
    let place = comparison.rows.iter().position(|row| row.program == CHAMPION).unwrap_or(0) + 1;
    match (won.as_slice(), others.as_slice()) {
        ([], _) => format!(
            "is better than none of the others at p < {LEVEL} (its mean is number {place} of {})",
            comparison.rows.len()
        ),
        (_, []) => format!("is better than all: {} (p < {LEVEL})", won.join(", ")),
        _ => format!(
            "is better than {} (p < {LEVEL}), and not than {}",
            won.join(", "),
            others.join(", ")
        ),
    }
}

fn champion_of(champion: &Champion, text: &mut String) {
    let nearest = champion.nearest.as_ref().map_or_else(String::new, |(name, relation)| {
        format!(" The nearest program of the zoo is {name} ({relation}).")
    });
    let _ = writeln!(
        text,
        "\n## The champion\n\n{} as it was bred (a direction, without redundant statements), and what simplification leaves (label `{}`; {} \
         programs were trained for it).{nearest}\n\n```python\n{}\n```\n\n```python\n{}\n```",
        markdown(&champion.found),
        champion.label,
        champion.trained,
        champion.program.trim_end(),
        champion.simplified.trim_end()
    );
}
