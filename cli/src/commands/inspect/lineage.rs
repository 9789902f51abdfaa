//! `symopt inspect STORE:HASH --lineage`

use std::io::Write;

use clap::Args;
use symopt_cancel::CancelToken;
use symopt_search::engine::lineage::{Ancestor, Change};

use crate::failure::Failure;
use crate::progress::CountLine;
use crate::{table, terminal};

#[derive(Args)]
pub struct LineageOptions {
    /// Show every mutation from the initial program of its search on, with the fitness; for
    /// STORE:HASH
    #[arg(long, conflicts_with = "tasks")]
    pub lineage: bool,
    /// With --lineage: show the mutations that change nothing too
    #[arg(long, requires = "lineage")]
    all: bool,
}

/// Prints the lineage of a PROGRAM argument.
pub fn run(program: &str, options: &LineageOptions, json: bool) -> Result<(), Failure> {
    let line = CountLine::new("programs bred again");
    let lineage = symopt_search::engine::lineage::lineage(
        program,
        &CancelToken::new(),
        &mut |done, total| line.draw(done, total),
    );
    line.finish();
    let lineage = lineage?;
    let mut out = terminal::output();
    if json {
        serde_json::to_writer_pretty(&mut out, &lineage)?;
        return Ok(out.write_all(b"\n")?);
    }
    let against = symopt_search::engine::lineage::baseline_origin(program)?.behind();
    Ok(print(&mut out, &lineage, &against, options.all)?)
}

fn print(
    out: &mut impl Write,
    lineage: &[Ancestor],
    against: &str,
    all: bool,
) -> std::io::Result<()> {
    let is_neutral =
        |ancestor: &Ancestor| ancestor.change.as_ref().is_some_and(|change| change.neutral);
    let mutations = lineage.len().saturating_sub(1);
    if let Some(last) = lineage.last() {
        let neutral = lineage.iter().filter(|ancestor| is_neutral(ancestor)).count();
        let note = if against.is_empty() { String::new() } else { format!("; fitness{against}") };
        writeln!(out, "lineage of {}", last.hash)?;
        table::paragraph(
            out,
            &format!(
                "{} from the initial program, {} of them change what it computes{note}\n",
                count(mutations),
                mutations - neutral
            ),
        )?;
    }
    let mut rows =
        vec![["CHILD", "FITNESS", "MUTATION", "STATEMENT", ""].map(str::to_owned).to_vec()];
    let mut folded = 0;
    let fold = |rows: &mut Vec<Vec<String>>, folded: &mut usize| {
        if *folded > 0 {
            let verb = if *folded == 1 { "changes" } else { "change" };
            let text = format!("… {} that {verb} nothing", count(*folded));
            rows.push(vec![String::new(), String::new(), String::new(), String::new(), text]);
            *folded = 0;
        }
    };
    for ancestor in lineage {
        if is_neutral(ancestor) && !all {
            folded += 1;
            continue;
        }
        fold(&mut rows, &mut folded);
        let child = ancestor.index.map_or_else(|| "initial".to_owned(), |index| index.to_string());
        let (kind, statement, text) = match &ancestor.change {
            Some(change) => {
                (change.kind.to_string(), (change.statement + 1).to_string(), describe(change))
            }
            // One of several that the search starts from, which is a child by its number.
            None if ancestor.index.is_some() => {
                ("initial".to_owned(), String::new(), String::new())
            }
            None => (String::new(), String::new(), String::new()),
        };
        rows.push(vec![child, ancestor.fitness.to_string(), kind, statement, text]);
    }
    fold(&mut rows, &mut folded);
    table::print(out, &rows, &[0, 1, 3], &[(4, usize::MAX)])
}

fn count(mutations: usize) -> String {
    if mutations == 1 { "1 mutation".to_owned() } else { format!("{mutations} mutations") }
}

fn describe(change: &Change) -> String {
    let text = match (&change.before, &change.after) {
        (Some(before), Some(after)) => format!("{before} -> {after}"),
        (Some(text), None) | (None, Some(text)) => text.clone(),
        (None, None) => "a random program, which has no parent".to_owned(),
    };
    let text = match &change.second {
        Some(second) => {
            let child = match second.index {
                Some(index) => format!("child {index}"),
                None => "the initial program".to_owned(),
            };
            let hash: String = second.hash.to_string().chars().take(12).collect();
            format!("{text}, with {} statements of {child} ({hash})", second.statements)
        }
        None => text,
    };
    if change.neutral { format!("{text}  (changes nothing)") } else { text }
}
