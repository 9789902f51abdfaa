//! The page of a funnel: the best programs of searches, through ever larger suites.

use symopt_proxy_tasks::sample::Gain;
use symopt_studies::fresh_seeds::Tuned;
use symopt_studies::funnel::{FunnelReport, Ranked};

use super::{Gains, NamedGain, code, fact, gain_cell, made_by, page, written};
use crate::content::Block;
use crate::numbers::{counted, fitness, percent_with_error, short_hash};
use crate::page::{Page, Section};
use crate::table::{Cell, Column, Table};

/// The page of a funnel. `command` is the one that makes it again.
pub fn funnel(report: &FunnelReport, command: &str) -> Page {
    let settings = report.settings;
    let facts = vec![
        fact("suites", report.suites.join(", then ")),
        fact("fresh seeds", settings.seeds),
        fact("other fresh seeds, to tune on", settings.tuning_seeds),
        fact("confidence that a program beats AdamW", settings.confidence),
    ];
    let note = "This command makes the page again from the same stores, byte for byte; what was judged is kept beside them:";
    let mut sections = vec![Section::new("The funnel", blocks(report))];
    let survivors: Vec<Block> =
        report.ranking.iter().filter(|ranked| ranked.survived).flat_map(survivor).collect();
    if !survivors.is_empty() {
        sections.push(Section::new("Who came through", survivors));
    }
    sections.push(made_by(command, note, facts, written(&settings)));
    let title = format!("Through {}", report.suites.join(", then "));
    page("funnel", title, vec![verdict(report)], sections)
}

fn verdict(report: &FunnelReport) -> String {
    let total = counted(report.ranking.len() as u64, "program", "programs");
    let survived: Vec<&Ranked> = report.ranking.iter().filter(|ranked| ranked.survived).collect();
    let (suites, adamw) = (report.suites.join(", then "), report.adamw());
    match survived.first().and_then(|best| Some((best, best.stages.last()?.judged.gain?))) {
        Some((best, gain)) => format!(
            "{} of {total} {} {adamw} on all of {suites}: the best is {}, which saves {} of the validation loss on the last.",
            survived.len(),
            if survived.len() == 1 { "beats" } else { "beat" },
            name(best),
            percent_with_error(gain.mean, gain.standard_error).trim_start_matches('+')
        ),
        None => format!("None of {total} beats {adamw} on all of {suites}."),
    }
}

fn name(ranked: &Ranked) -> String {
    format!("{}:{}", ranked.candidate.store, short_hash(&ranked.candidate.hash))
}

/// The figure and the table of all programs.
pub(super) fn blocks(report: &FunnelReport) -> Vec<Block> {
    let settings = report.settings;
    let mut dots = Vec::new();
    for ranked in &report.ranking {
        for stage in &ranked.stages {
            dots.push(NamedGain::new(
                short_hash(&ranked.candidate.hash),
                &stage.suite,
                stage.judged.gain,
            ));
        }
    }
    let adamw = report.adamw().to_string();
    let sentence = format!(
        "Each program on each suite that it came to; right of the dashed line it is better than {adamw}. Bars are one standard error over {}, the same for all.",
        counted(settings.seeds as u64, "fresh seed", "fresh seeds")
    );
    let figure = Gains {
        title: "Gains over AdamW",
        sentence: &sentence,
        axis: "validation loss of AdamW saved (%)",
        over: &adamw,
        columns: ["program", "suite"],
        in_one_line: false,
    }
    .figure(&dots);
    let mut columns = vec![
        Column::number("place"),
        Column::code("program"),
        Column::text("store"),
        Column::number("in its search"),
    ];
    columns.extend(report.suites.iter().map(Column::number));
    columns.extend([
        Column::number("statements"),
        Column::text("nearest"),
        Column::text("structure"),
    ]);
    let mut table = Table::new(
        format!(
            "The programs, who got furthest first; * goes on: a mean above 0, and so at a confidence of {}",
            settings.confidence
        ),
        columns,
    );
    for (place, ranked) in report.ranking.iter().enumerate() {
        let error = Some(ranked.candidate.standard_error);
        let mut cells = vec![
            Cell::count(place as u64 + 1),
            Cell::text(short_hash(&ranked.candidate.hash)),
            Cell::text(&ranked.candidate.store),
            match ranked.candidate.fitness.improvement() {
                Some(share) => Cell::percent(share, error),
                None => Cell::text(fitness(ranked.candidate.fitness, None)),
            },
        ];
        for number in 0..report.suites.len() {
            cells.push(ranked.stages.get(number).map_or_else(
                || Cell::text("-"),
                |stage| {
                    let passed = if stage.passed { " *" } else { "" };
                    let text = format!("{}{passed}", Gain::text(stage.judged.gain));
                    match stage.judged.gain {
                        Some(gain) => Cell::number(gain.mean, text),
                        None => Cell::text(text),
                    }
                },
            ));
        }
        let [before, after] = ranked.statements;
        let nearest = ranked.nearest.as_ref();
        let nearest = nearest.map_or_else(
            || "-".to_owned(),
            |nearest| match nearest.relation {
                "different" => format!("{} at a distance of {:.2}", nearest.name, nearest.distance),
                relation => format!("{}, {relation}", nearest.name),
            },
        );
        cells.extend([
            Cell::number(after as f64, format!("{before} → {after}")),
            Cell::text(nearest),
            Cell::text(ranked.structure.by_probes.to_string()),
        ]);
        table.rows.push(cells);
    }
    vec![
        Block::Paragraph(format!(
            "The best programs of the searches, of each form one, are judged on one suite after the other on {} that no search has, each tuned on {} others. Who beats AdamW goes on.",
            counted(settings.seeds as u64, "seed", "seeds"),
            settings.tuning_seeds
        )),
        figure,
        Block::Table(table),
    ]
}

/// A program that came through.
fn survivor(ranked: &Ranked) -> Vec<Block> {
    let mut blocks =
        vec![Block::Heading(name(ranked)), Block::Paragraph(format!("{}.", ranked.structure))];
    let reasons = ranked.structure.open_reasons();
    if !reasons.is_empty() {
        blocks.push(Block::List(reasons.iter().map(ToString::to_string).collect()));
    }
    let columns = vec![
        Column::text("suite"),
        Column::text("task"),
        Column::number("gain"),
        Column::text("tuned"),
    ];
    let mut table = Table::new("Task by task", columns);
    for stage in &ranked.stages {
        for task in &stage.judged.tasks {
            let tuned = match task.tuned {
                Tuned::Direction { peak_lr, weight_decay, .. } => {
                    format!("lr {peak_lr:.3e}, decay {weight_decay:.3e}")
                }
                Tuned::Untrainable => "diverged with all settings".to_owned(),
                Tuned::Factor(factor) => format!("update times {factor:.4}"),
            };
            table.rows.push(vec![
                Cell::text(&stage.suite),
                Cell::text(&task.task),
                gain_cell(task.gain),
                Cell::text(tuned),
            ]);
        }
    }
    blocks.push(Block::Table(table));
    blocks.push(Block::Paragraph(format!(
        "Simplified by algebra (equal in the sense of the label \u{201c}{}\u{201d}):",
        ranked.label
    )));
    blocks.push(code(&ranked.simplified));
    blocks
}
