//! `symopt runs`

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use symopt_proxy_tasks::suite::Fitness;
use symopt_search::config::Form;
use symopt_search::journal::{CheckedStore, Journal, JournalError, Place};

use crate::failure::Failure;
use crate::{table, terminal};

/// Directories below the one that is looked through, at most: a rediscovery keeps its stores three
/// levels deep.
const DEPTH: usize = 4;

#[derive(Args)]
pub struct Arguments {
    /// Directory to look through
    #[arg(default_value = "runs")]
    directory: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row {
    store: PathBuf,
    /// The store's description of its search.
    #[serde(flatten)]
    search: Option<Search>,
    /// Why it says nothing.
    error: Option<String>,
}

#[derive(Serialize)]
struct Search {
    suite: String,
    form: Form,
    seed: u64,
    programs: u64,
    evaluated: u64,
    best: Option<Fitness>,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut stores = Vec::new();
    collect(&arguments.directory, DEPTH, &mut stores)
        .map_err(|e| Failure::Input(format!("{}: {e}", arguments.directory.display())))?;
    let rows: Vec<Row> = stores
        .into_iter()
        .map(|store| match search_of(&store) {
            Ok(search) => Row { store, search: Some(search), error: None },
            Err(error) => Row { store, search: None, error: Some(error.to_string()) },
        })
        .collect();
    let mut out = terminal::output();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &rows)?;
        return Ok(out.write_all(b"\n")?);
    }
    if rows.is_empty() {
        let place = arguments.directory.display();
        return Ok(table::paragraph(&mut out, &format!("no store of a search under {place}"))?);
    }
    let heading = ["STORE", "SUITE", "FORM", "SEED", "PROGRAMS", "EVALUATED", "BEST"];
    let mut lines = vec![heading.map(str::to_owned).to_vec()];
    lines.extend(rows.iter().map(line));
    Ok(table::print(&mut out, &lines, &[3, 4, 5, 6], &[(0, 40)])?)
}

/// The stores at a directory and below it, by name. Links are not followed.
fn collect(directory: &Path, depth: usize, stores: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if Journal::is_at(directory) {
        stores.push(directory.to_owned());
        return Ok(());
    }
    let mut inner: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            inner.push(entry.path());
        }
    }
    inner.sort();
    for path in inner.into_iter().filter(|_| depth > 0) {
        // A directory that can't be read is no store of this user.
        let _ = collect(&path, depth - 1, stores);
    }
    Ok(())
}

fn search_of(path: &Path) -> Result<Search, JournalError> {
    let store = CheckedStore::of(path)?;
    // Rows are some hundred programs apart, so what came after the last one is counted.
    let (statistics, improvements) = (store.statistics()?, store.improvements()?);
    let last = statistics.last();
    let mut programs = last.map_or(0, |row| row.generated);
    let mut evaluated = 0;
    store.each_evaluation(|place, _, _| {
        if let Place::Child(number) = place {
            programs = programs.max(number.saturating_add(1));
            evaluated += 1;
        }
    })?;
    let later = improvements
        .last()
        .filter(|improvement| last.is_none_or(|row| improvement.index >= row.generated));
    let config = &store.settings().config;
    Ok(Search {
        suite: config.suite.clone(),
        form: config.fitness.form,
        seed: config.seed,
        programs,
        evaluated,
        best: later.map(|improvement| improvement.fitness).or(last.map(|row| row.best)),
    })
}

fn line(row: &Row) -> Vec<String> {
    let store = row.store.display().to_string();
    let Some(search) = &row.search else {
        let error = row.error.clone().unwrap_or_default();
        return vec![store, format!("unreadable: {error}")]
            .into_iter()
            .chain(vec![String::new(); 5])
            .collect();
    };
    let form = match search.form {
        Form::Program => "program",
        Form::Direction => "direction",
    };
    vec![
        store,
        search.suite.clone(),
        form.to_owned(),
        search.seed.to_string(),
        search.programs.to_string(),
        search.evaluated.to_string(),
        search.best.map_or_else(|| "-".to_owned(), |best| best.to_string()),
    ]
}
