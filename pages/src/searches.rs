//! A page over a [`Report`]: the results of searches, from their stores.
//!
//! The report judges programs again on fresh seeds; the rest is read from the stores here: the hall
//! of fame, all that was evaluated, the lineage of the best program. Nothing in a store is touched.

mod detail;
mod drawing;

use symopt_cancel::CancelToken;
use symopt_proxy_tasks::suite::Fitness;
use symopt_studies::report::{FreshFitness, Report, StoreReport};

use self::detail::Detail;
pub use self::detail::DetailError;
use crate::content::Block;
use crate::numbers::{count, counted, fitness, percent, percent_with_error, short_hash, signed};
use crate::page::{Page, Section, Tile};
use crate::table::Table;

/// Standard errors from which on a difference is called one.
const SURE: f64 = 2.0;

/// How far the work on a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Programs that were bred again for the lineages.
    Bred {
        /// Programs so far.
        done: u64,
        /// Programs in all.
        total: u64,
    },
    /// Programs whose step was timed.
    Timed {
        /// Programs so far.
        done: u64,
        /// Programs in all.
        total: u64,
    },
}

/// The page of a report. `command` is the one that makes it again. With `speed` the time of a step
/// is measured for each program of the hall of fame; without, the page is the same bytes for the
/// same stores. `observe` hears how far the work is.
pub fn page(
    report: &Report,
    command: &str,
    speed: bool,
    cancel: &CancelToken,
    observe: &mut dyn FnMut(Progress),
) -> Result<Page, DetailError> {
    let mut details = Vec::new();
    for store in &report.stores {
        details.push(Detail::read(store, speed, cancel, observe)?);
    }
    let mut sections = vec![fresh(report), curves(report)];
    for (number, (store, detail)) in report.stores.iter().zip(&details).enumerate() {
        let of = if report.stores.len() > 1 { format!(": {}", store.store) } else { String::new() };
        sections
            .push(Section::new(format!("Hall of fame{of}"), drawing::hall(store, detail, number)));
        sections.push(Section::new(format!("Lineage of the best{of}"), drawing::lineage(detail)));
        sections.push(Section::new(format!("The best program{of}"), drawing::program(store)));
        sections.push(Section::new(
            format!("What became of the programs{of}"),
            drawing::outcomes(store, detail),
        ));
    }
    sections.push(settings(report, &details, command));
    let (title, tiles) = match report.stores.as_slice() {
        [store] => (format!("The search {}", store.store), tiles(store)),
        stores => (format!("{} searches", stores.len()), Vec::new()),
    };
    Ok(Page { title, kind: "report".to_owned(), verdict: verdict(report), tiles, sections })
}

/// Returns the verdict on the best programs, with the numbers.
fn verdict(report: &Report) -> Vec<String> {
    let adamw = report.adamw();
    let best = report.stores.iter().max_by_key(|store| store.best_fresh.fitness);
    let Some(store) = best else { return Vec::new() };
    let of = if report.stores.len() > 1 { format!(" of {}", store.store) } else { String::new() };
    let seeds = counted(report.seeds as u64, "fresh seed", "fresh seeds");
    let mut sentences = Vec::new();
    sentences.push(match store.best_fresh {
        FreshFitness { fitness: Fitness::Improvement(value), standard_error, .. } => {
            let number = percent_with_error(value, standard_error);
            let judgement = match standard_error.filter(|error| *error > 0.0).map(|e| value / e) {
                Some(ratio) if ratio >= SURE => format!("better than {adamw}, by {ratio:.1} standard errors"),
                Some(ratio) if ratio <= -SURE => format!("worse than {adamw}, by {:.1} standard errors", -ratio),
                Some(ratio) => format!(
                    "not told apart from {adamw}, at {} standard errors",
                    signed(ratio, 1)
                ),
                None => format!("against {adamw}, with no standard error to judge it by"),
            };
            format!("On {seeds} the best program{of} saves {number} of the validation loss: {judgement}.")
        }
        FreshFitness { fitness, .. } => {
            format!("On {seeds} the best program{of} has no fitness: {fitness}.")
        }
    });
    if let (Some(own), Some(fresh)) =
        (store.best.fitness.improvement(), store.best_fresh.fitness.improvement())
    {
        let difference = 100.0 * (own - fresh);
        let points = format!("{:.2} points", difference.abs());
        let own = percent(own);
        sentences.push(if difference > 0.0 {
            format!(
                "On the seeds that the search saw it has {own}, {points} more than on fresh ones: a search selects for luck too, so what it says itself is mostly too high."
            )
        } else {
            format!(
                "On the seeds that the search saw it has {own}, {points} less than on fresh ones: by luck, since a search selects for what is too high."
            )
        });
    }
    if let (Some(suite), Some((peak, end))) =
        (&report.validation_suite, store.validation_peak_and_end())
    {
        let shown = |judged: FreshFitness| fitness(judged.fitness, judged.standard_error);
        sentences.push(format!(
            "On the suite {suite}, which the search has not seen, it has {}; the highest of its best programs had {}.",
            shown(end.validation),
            shown(peak.validation)
        ));
    }
    sentences
}

/// The numbers of a search that stand out.
fn tiles(store: &StoreReport) -> Vec<Tile> {
    let rates = |of: &dyn Fn(&symopt_studies::report::RatePoint) -> f64| {
        store
            .rates_at_end
            .as_ref()
            .map_or_else(|| "-".to_owned(), |rates| format!("{:.1} %", 100.0 * of(rates)))
    };
    let fresh = store.best_fresh;
    let runs = store.end.training_runs.map_or_else(
        || "by training".to_owned(),
        |runs| format!("in {} training runs", count(runs.round() as u64)),
    );
    vec![
        Tile::new("fresh seeds", fitness(fresh.fitness, fresh.standard_error), "± standard error"),
        Tile::new("own seeds", fitness(store.best.fitness, None), "what the search selected for"),
        Tile::new(
            "initial, fresh seeds",
            fitness(store.initial_fresh.fitness, store.initial_fresh.standard_error),
            "what it started from",
        ),
        Tile::new("programs", count(store.end.programs), "generated"),
        Tile::new("evaluated", count(store.end.evaluations), runs),
        Tile::new(
            "cache hits",
            rates(&|rates| rates.cache_hit_rate),
            "the published searches: 89.1 %",
        ),
    ]
}

fn fresh(report: &Report) -> Section {
    let mut blocks = vec![
        Block::Paragraph(format!(
            "Fitness is the share of the validation loss of {} that is saved on the same seeds: more is better. The last best program of each search, on {} that no search has seen, the same for all; ± is the standard error over the seeds.",
            report.adamw(),
            counted(report.seeds as u64, "seed", "seeds")
        )),
        Block::Figure(drawing::fresh(report)),
        Block::Table(Table::of_texts("The searches", report.table())),
    ];
    if report.stores.len() > 1 {
        let table = Table::of_texts(
            "Kinds of searches: means, ± their standard error",
            report.group_table(),
        );
        blocks.push(Block::Table(table));
    }
    Section::new("Fresh seeds", blocks)
}

fn curves(report: &Report) -> Section {
    let mut blocks = vec![Block::Figure(drawing::fitness(report))];
    if report.validation_suite.is_some() {
        blocks.extend(drawing::validation(report).map(Block::Figure));
        let validation = report.validation_table();
        blocks.push(Block::Table(Table::of_texts("Meta-validation", validation)));
        blocks.push(Block::Note(
            "The highest of several noisy numbers is too high by some of the noise.".to_owned(),
        ));
    } else {
        blocks.push(Block::Paragraph(
            "No meta-validation was asked for: --validate held-out judges the best programs on tasks that no search has seen."
                .to_owned(),
        ));
    }
    blocks.extend(drawing::rates(report).map(Block::Figure));
    Section::new("Fitness and meta-validation", blocks)
}

fn settings(report: &Report, details: &[Detail], command: &str) -> Section {
    let mut blocks = vec![
        Block::Paragraph(
            if details.iter().any(|detail| detail.times.is_some()) {
                "This command makes the page again, with other measured times:"
            } else {
                "This command makes the page again, byte for byte:"
            }
            .to_owned(),
        ),
        Block::Code(command.to_owned()),
        Block::Paragraph(
            "What is not listed is as symopt search --print-config writes it; symopt search --config FILE with these settings makes a store again."
                .to_owned(),
        ),
    ];
    for (store, detail) in report.stores.iter().zip(details) {
        blocks.push(Block::Heading(store.store.clone()));
        let changed = if store.settings.is_empty() {
            "# all settings are the defaults".to_owned()
        } else {
            store.settings.join("\n")
        };
        blocks.push(Block::Code(changed));
        blocks.push(Block::Facts(detail.facts(report, store)));
    }
    let versions =
        crate::vendor::LIBRARIES.map(|library| format!("{} {}", library.name, library.version));
    blocks.push(Block::Facts(vec![
        ("symopt".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("figures".to_owned(), versions.join(", ")),
    ]));
    Section::new("Settings, seeds, versions", blocks)
}

/// The beginning of a program's hash, as commands take it.
fn name_of(store: &StoreReport) -> String {
    format!("{}:{}", store.store, short_hash(&store.best.hash))
}
