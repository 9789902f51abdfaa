//! The page of a landscape: how optimizers do on a suite, each tuned with the same budget.

use symopt_studies::landscape::{Landscape, Row};

use super::{NamedGain, fact, gains, made_by, page, table};
use crate::content::Block;
use crate::numbers::{count, counted, percent_with_error};
use crate::page::{Page, Section};
use crate::table::{Cell, Column, Table};

/// The page of a landscape. `command` is the one that makes it again.
pub fn landscape(landscape: &Landscape, command: &str) -> Page {
    let others = || landscape.rows.iter().filter(|row| !is_adamw(row));
    let (mut better, mut worse) = (0, 0);
    for gain in others().filter_map(|row| row.gain) {
        let error = gain.standard_error.unwrap_or(0.0);
        better += u64::from(error > 0.0 && gain.mean >= 2.0 * error);
        worse += u64::from(error > 0.0 && gain.mean <= -2.0 * error);
    }
    let total = others().count() as u64;
    let mut verdict = vec![match others().find_map(|row| Some((row, row.gain?))) {
        Some((best, gain)) => format!(
            "Of {} on {}, {} does best: {} of AdamW's validation loss saved.",
            counted(total, "program", "programs"),
            landscape.suite,
            best.program,
            percent_with_error(gain.mean, gain.standard_error)
        ),
        None => format!("No program was measured on all tasks of {}.", landscape.suite),
    }];
    verdict.push(format!(
        "By two standard errors {} better than AdamW tuned likewise, and {} worse.",
        counted(better, "is", "are"),
        counted(worse, "is", "are")
    ));
    if !landscape.complete {
        verdict.push("It was interrupted: the other tasks are missing.".to_owned());
    }
    let protocol = landscape.protocol().lines().map(str::to_owned).collect::<Vec<_>>();
    let mut blocks: Vec<Block> = protocol.into_iter().map(Block::Paragraph).collect();
    let over = format!("{}, tuned", landscape.baseline);
    let axis = "validation loss of AdamW saved (%)";
    let seeds = counted(landscape.seeds as u64, "held-out seed", "held-out seeds");
    let sentence = format!(
        "Right of the dashed line a program is better than tuned AdamW. Bars are one standard error over {seeds}, the same for all programs."
    );
    let suite: Vec<NamedGain> = landscape
        .rows
        .iter()
        .map(|row| NamedGain::new(&row.program, "the suite", row.gain))
        .collect();
    if landscape.complete {
        blocks.push(gains("Gains over the suite", &sentence, axis, &over, &suite));
    }
    blocks.push(table("Gains over AdamW: the suite, and each task", landscape.table()));
    blocks.extend(landscape.notes().into_iter().map(|note| Block::Note(format!("{note}."))));
    let mut tasks = Vec::new();
    for (number, (name, weight)) in landscape.tasks.iter().enumerate() {
        let of_task: Vec<NamedGain> = landscape
            .rows
            .iter()
            .filter_map(|row| {
                Some(NamedGain::new(&row.program, name, row.tasks.get(number)?.gain))
            })
            .collect();
        let title = format!("Gains on {name} (weight {weight})");
        tasks.push(Block::Details(
            title.clone(),
            vec![gains(&title, &sentence, axis, &over, &of_task), settings(landscape, number)],
        ));
    }
    let facts = vec![
        fact("suite", &landscape.suite),
        fact("held-out seeds", landscape.seeds),
        fact("tuning seeds", landscape.tuning.seeds),
        fact("tuning runs a program and task, at most", count(landscape.tuning.budget as u64)),
        fact("training runs in all", count(landscape.runs as u64)),
    ];
    let note = "This command makes the page again, byte for byte, on any number of threads:";
    let sections = vec![
        Section::new("The suite", blocks),
        Section::new("Task by task", tasks),
        made_by(command, note, facts),
    ];
    page("landscape", format!("Landscape of the suite {}", landscape.suite), verdict, sections)
}

fn is_adamw(row: &Row) -> bool {
    row.program == "adamw"
}

/// What tuning found on a task.
fn settings(landscape: &Landscape, task: usize) -> Block {
    let columns = vec![
        Column::text("program"),
        Column::number("peak lr"),
        Column::text("hyperparameters"),
        Column::number("validation loss"),
        Column::number("tuning runs"),
    ];
    let mut table = Table::new("Tuned settings", columns);
    for row in &landscape.rows {
        let Some(result) = row.tasks.get(task) else { continue };
        let (rate, others) = match &result.tuned {
            Some(tuned) => {
                let others = tuned.hyperparameters.iter().map(|(name, value)| format!("{name}={value:.4}"));
                (
                    Cell::number(tuned.peak_lr, format!("{:.3e}", tuned.peak_lr)),
                    Cell::text(others.collect::<Vec<_>>().join(", ")),
                )
            }
            None => (Cell::text("-"), Cell::text("all settings diverged")),
        };
        let loss = result
            .loss
            .map_or_else(|| Cell::text("diverged"), |loss| Cell::number(loss, format!("{loss:.4}")));
        let runs = Cell::count(result.tuning_runs as u64);
        table.rows.push(vec![Cell::text(&row.program), rate, others, loss, runs]);
    }
    Block::Table(table)
}
