//! The page of a discovery: searches, a funnel, and one comparison on held-out tasks.

use symopt_studies::discovery::{CHAMPION, Comparison, HeldOut, Report};

use super::{Gains, NamedGain, code, fact, funnel, made_by, page, table, written};
use crate::content::Block;
use crate::numbers::{count, counted, fitness};
use crate::page::{Page, Section};
use crate::table::{Cell, Column, Table};

/// The page of a discovery. `command` is the one that makes it again.
pub fn discovery(report: &Report, command: &str) -> Page {
    let protocol = &report.protocol;
    let mut sections = Vec::new();
    if let Some(held_out) = &report.held_out {
        sections.push(Section::new("Held-out tasks", compared(report, held_out)));
    }
    if let Some(champion) = &report.champion {
        let nearest = champion.nearest.as_ref().map_or_else(String::new, |(name, relation)| {
            format!(" The nearest program of the zoo is {name} ({relation}).")
        });
        sections.push(Section::new(
            "The champion",
            vec![
                Block::Paragraph(format!(
                    "{}, simplified (label \u{201c}{}\u{201d}; {} trained for it).{nearest}",
                    champion.found,
                    champion.label,
                    counted(champion.trained as u64, "program was", "programs were")
                )),
                code(&champion.simplified),
                Block::Paragraph(
                    "As it was bred, a direction, without redundant statements:".to_owned(),
                ),
                code(&champion.program),
            ],
        ));
    }
    sections.push(Section::new("The funnel", funnel::blocks(&report.funnel)));
    let columns = vec![
        Column::text("search"),
        Column::text("ended"),
        Column::number("programs"),
        Column::number("evaluated"),
        Column::number("fitness of the best"),
    ];
    let mut searches =
        Table::new("The searches, on their own seeds, which selected the best", columns);
    for ended in &report.searches {
        searches.rows.push(vec![
            Cell::text(&ended.name),
            Cell::text(ended.stop.to_string()),
            Cell::count(ended.generated),
            Cell::count(ended.evaluated),
            match ended.best.fitness.improvement() {
                Some(share) => Cell::percent(share, None),
                None => Cell::text(fitness(ended.best.fitness, None)),
            },
        ]);
    }
    sections.push(Section::new("The searches", vec![Block::Table(searches)]));
    let search = &protocol.search;
    let facts = vec![
        fact("searches", report.searches.len()),
        fact("suite of the searches", &search.suite),
        fact("from", &search.initial),
        fact("held-out suite", &protocol.held_out.suite),
        fact("held-out seeds", protocol.held_out.seeds),
        fact("tuning runs a program, at most", count(protocol.held_out.budget as u64)),
    ];
    let note = "This command makes the page again, byte for byte; what was measured and the protocol are kept in its directory:";
    sections.push(made_by(command, note, facts, written(protocol)));
    page("discovery", "A discovery".to_owned(), vec![report.verdict()], sections)
}

fn compared(report: &Report, held_out: &HeldOut) -> Vec<Block> {
    let protocol = &report.protocol.held_out;
    let mut blocks = vec![Block::Paragraph(format!(
        "The suite {}, which nothing before had seen; {} in all. Every program is tuned with the same budget, and gains are over AdamW tuned likewise, paired on {} other seeds. The chance is that of a lead as large where there is none, adjusted by Holm for the number of programs.",
        protocol.suite,
        counted(held_out.runs as u64, "training run", "training runs"),
        protocol.seeds
    ))];
    for (title, comparison, rows) in [
        ("Each program tuned on each task", &held_out.per_task, held_out.per_task_table()),
        ("One setting for all tasks", &held_out.one_setting, held_out.one_setting_table()),
    ] {
        blocks.push(Block::Heading(title.to_owned()));
        blocks.push(figure(title, comparison));
        blocks.push(table(title, rows, 0));
        blocks.push(settings(held_out, comparison));
    }
    blocks
}

fn figure(title: &str, comparison: &Comparison) -> Block {
    let named: Vec<NamedGain> = comparison
        .rows
        .iter()
        .map(|row| {
            let found = row.program == CHAMPION;
            let kind = if found { "the program that was found" } else { "the literature's" };
            NamedGain::new(&row.program, kind, row.gain)
        })
        .collect();
    Gains {
        title,
        sentence: "Right of the dashed line a program is better than AdamW tuned likewise. Bars are one standard error over the held-out seeds.",
        axis: "validation loss of AdamW saved (%)",
        over: "AdamW, tuned",
        columns: ["program", "kind"],
        in_one_line: true,
    }
    .figure(&named)
}

/// The settings that tuning found.
fn settings(held_out: &HeldOut, comparison: &Comparison) -> Block {
    let columns = vec![
        Column::text("program"),
        Column::text("tuned on"),
        Column::number("peak lr"),
        Column::text("hyperparameters"),
    ];
    let mut table = Table::new("Tuned settings", columns);
    for row in &comparison.rows {
        for (number, setting) in row.settings.iter().enumerate() {
            let task = match row.settings.len() {
                1 => "all tasks",
                _ => held_out.tasks.get(number).map_or("-", |(name, _)| name.as_str()),
            };
            let (rate, others) = match setting {
                Some((rate, others)) => {
                    let others = others.iter().map(|(name, value)| format!("{name}={value}"));
                    let others = others.collect::<Vec<_>>().join(", ");
                    (Cell::number(*rate, rate.to_string()), Cell::text(others))
                }
                None => (Cell::text("-"), Cell::text("all settings diverged")),
            };
            table.rows.push(vec![Cell::text(&row.program), Cell::text(task), rate, others]);
        }
    }
    Block::Details("Tuned settings".to_owned(), vec![Block::Table(table)])
}
