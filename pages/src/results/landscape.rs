//! The page of a landscape: how optimizers do on a suite, each tuned with the same budget.

use symopt_proxy_tasks::sample::Gain;
use symopt_studies::landscape::{Landscape, Row};

use super::{Gains, NamedGain, fact, made_by, page, table};
use crate::content::Block;
use crate::numbers::{count, counted, percent_with_error};
use crate::page::{Page, Section};
use crate::table::{Cell, Column, Table};

/// Standard errors from which on a difference is called one.
const SURE: f64 = 2.0;

/// The page of a landscape. `command` is the one that makes it again.
pub fn landscape(landscape: &Landscape, command: &str) -> Page {
    let protocol = landscape.protocol();
    let mut blocks: Vec<Block> =
        protocol.lines().map(|line| Block::Paragraph(line.to_owned())).collect();
    let over = format!("{}, tuned", landscape.baseline);
    let sentence = format!(
        "Right of the dashed line a program is better than tuned AdamW. Bars are one standard error over {}, the same for all programs.",
        counted(landscape.seeds as u64, "held-out seed", "held-out seeds")
    );
    let interest = landscape.of_interest();
    let gains = |title: &str, of: &dyn Fn(&Row) -> Option<Option<Gain>>| {
        let named = |row: &Row| Some(NamedGain::new(&row.program, kind(row, &interest), of(row)?));
        let named: Vec<NamedGain> = landscape.rows.iter().filter_map(named).collect();
        Gains {
            title,
            sentence: &sentence,
            axis: "validation loss of tuned AdamW saved (%)",
            over: &over,
            columns: ["program", "kind"],
            in_one_line: true,
        }
        .figure(&named)
    };
    if landscape.complete {
        blocks.push(gains("Gains over the suite", &|row| Some(row.gain)));
    }
    blocks.push(table("Gains over AdamW: the suite, and each task", landscape.table(), 2));
    blocks.extend(landscape.notes().into_iter().map(|note| Block::Note(format!("{note}."))));
    let mut tasks = Vec::new();
    for (number, (name, weight)) in landscape.tasks.iter().enumerate() {
        let title = format!("Gains on {name}");
        let of_task = vec![
            gains(&title, &|row| row.tasks.get(number).map(|task| task.gain)),
            settings(landscape, number),
        ];
        tasks.push(Block::Details(format!("{title}, weight {weight}"), of_task));
    }
    let facts = vec![
        fact("suite", &landscape.suite),
        fact("held-out seeds", landscape.seeds),
        fact("tuning seeds", landscape.tuning.seeds),
        fact("tuning runs a program and task, at most", count(landscape.tuning.budget as u64)),
        fact(
            "tuned",
            match landscape.tuning.shares {
                true => "learning rate, weight decay and betas",
                false => "learning rate and weight decay",
            },
        ),
        fact("training runs in all", count(landscape.runs as u64)),
    ];
    let note = "This command makes the page again, byte for byte, on any number of threads:";
    let sections = vec![
        Section::new("The suite", blocks),
        Section::new("Task by task", tasks),
        made_by(command, note, facts, None),
    ];
    let title = format!("Landscape of the suite {}", landscape.suite);
    page("landscape", title, verdict(landscape), sections)
}

fn verdict(landscape: &Landscape) -> Vec<String> {
    if !landscape.complete {
        let measured = counted(landscape.tasks.len() as u64, "task", "tasks");
        return vec![format!(
            "It was interrupted after {measured} of the suite {}, so there is no gain over the whole suite.",
            landscape.suite
        )];
    }
    let others: Vec<&Row> =
        landscape.rows.iter().filter(|row| row.program != landscape.baseline).collect();
    let total = counted(others.len() as u64, "program", "programs");
    let by_gain = |a: &&(&Row, Gain), b: &&(&Row, Gain)| a.1.mean.total_cmp(&b.1.mean);
    let known: Vec<(&Row, Gain)> =
        others.iter().filter_map(|row| Some((*row, row.gain?))).collect();
    let Some((best, gain)) = known.iter().max_by(by_gain) else {
        return vec![format!(
            "None of {total} beside {} could be trained on all tasks of {}.",
            landscape.baseline, landscape.suite
        )];
    };
    let sure = |sign: f64| {
        let is_sure = |gain: &Gain| {
            let error = gain.standard_error.unwrap_or(0.0);
            error > 0.0 && sign * gain.mean > SURE * error
        };
        known.iter().filter(|(_, gain)| is_sure(gain)).count() as u64
    };
    let are = |number: u64| format!("{} {}", count(number), if number == 1 { "is" } else { "are" });
    vec![
        format!(
            "Of {total} on {}, {} does best against tuned {}: it saves {} of the validation loss.",
            landscape.suite,
            best.program,
            landscape.baseline,
            percent_with_error(gain.mean, gain.standard_error).trim_start_matches('+')
        ),
        format!(
            "By more than two standard errors {} better and {} worse; no correction is made for the number of programs.",
            are(sure(1.0)),
            are(sure(-1.0))
        ),
    ]
}

/// Kind of program: those that the picture is about look different.
fn kind(row: &Row, interest: &[String]) -> String {
    match interest.contains(&row.program) {
        true if interest.len() == 1 => row.program.clone(),
        true => "of interest".to_owned(),
        false => "others".to_owned(),
    }
}

/// The settings that tuning found on a task.
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
                let others =
                    tuned.hyperparameters.iter().map(|(name, value)| format!("{name}={value}"));
                (
                    Cell::number(tuned.peak_lr, tuned.peak_lr.to_string()),
                    Cell::text(others.collect::<Vec<_>>().join(", ")),
                )
            }
            None => (Cell::text("-"), Cell::text("all settings diverged")),
        };
        let loss = result.loss.map_or_else(
            || Cell::text("diverged"),
            |loss| Cell::number(loss, format!("{loss:.4}")),
        );
        let runs = Cell::count(result.tuning_runs as u64);
        table.rows.push(vec![Cell::text(&row.program), rate, others, loss, runs]);
    }
    Block::Table(table)
}
