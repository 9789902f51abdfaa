//! The page of a rediscovery: what each seed ended with.

use symopt_studies::rediscovery::{Attempt, Rediscovery, Searched, Summary};

use super::{Gains, NamedGain, code, fact, gain, made_by, page, written};
use crate::content::Block;
use crate::numbers::counted;
use crate::page::{Page, Section};
use crate::table::{Cell, Column, Table};

/// The page of a rediscovery of so many seeds, of which some may be missing if it was interrupted.
/// `command` is the one that makes it again.
pub fn rediscovery(
    rediscovery: &Rediscovery,
    attempts: &[Attempt],
    seeds: usize,
    command: &str,
) -> Page {
    let protocol = rediscovery.protocol();
    let peers = rediscovery.peers();
    let Summary { rediscovered, searches, .. } = Summary::of(attempts);
    let target = protocol.target.to_string();
    let mut verdict = vec![
        format!(
            "{rediscovered} of {} {} {target}, from {} on the suite {}, in {}.",
            counted(attempts.len() as u64, "seed", "seeds"),
            if rediscovered == 1 { "ends" } else { "end" },
            protocol.search.initial,
            protocol.search.suite,
            counted(searches as u64, "search", "searches")
        ),
        format!(
            "A seed has up to {}. All seeds that were tried are here, those too that found nothing.",
            counted(protocol.repeats, "search", "searches")
        ),
    ];
    if attempts.len() < seeds {
        verdict.push(format!(
            "It was interrupted: {} have not ended.",
            counted((seeds - attempts.len()) as u64, "seed", "seeds")
        ));
    }
    let all = || {
        attempts.iter().flat_map(|attempt| {
            attempt.searches.iter().zip(1..).map(|(search, place)| (attempt.seed, place, search))
        })
    };
    let named = |seed: u64, place: usize| format!("seed {seed}, search {place}");
    let mut dots: Vec<NamedGain> = peers
        .iter()
        .map(|(name, mean, error)| NamedGain::new(name, "of the zoo", gain(*mean, *error)))
        .collect();
    dots.extend(all().map(|(seed, place, Searched { last, .. })| {
        let fitness = last.fitness.and_then(|(mean, error)| gain(mean, error));
        NamedGain::new(named(seed, place), last.structure.to_string(), fitness)
    }));
    let figure = Gains {
        title: "The finals",
        sentence: "Each final on seeds that no search has seen, beside programs of the zoo, each at its own best learning rate and weight decay on each task. Bars are one standard error; sign and colour say which structure was found.",
        axis: "validation loss of the suite's AdamW saved (%)",
        over: "AdamW of the suite",
        columns: ["program", "structure"],
        in_one_line: true,
    }
    .figure(&dots);
    let mut blocks = vec![figure];
    let mut columns = vec![
        Column::number("seed"),
        Column::number("search"),
        Column::text("final"),
        Column::number("seconds"),
        Column::number("generated"),
        Column::number("evaluated"),
        Column::number("cache hits"),
    ];
    let names: Vec<&String> = peers.iter().map(|(name, ..)| name).collect();
    let compared: Vec<String> = all()
        .map(|(.., search)| {
            search.last.gains.iter().map(|(name, ..)| name.clone()).collect::<Vec<_>>()
        })
        .max_by_key(Vec::len)
        .unwrap_or_default();
    columns.extend(compared.iter().map(|name| Column::number(format!("over {name}"))));
    let mut table = Table::new("All searches", columns);
    for (seed, place, Searched { statistics, seconds, last, .. }) in all() {
        let hits = statistics.cache_hit_rate();
        let mut cells = vec![
            Cell::number(seed as f64, seed.to_string()),
            Cell::count(place as u64),
            Cell::text(last.structure.to_string()),
            Cell::number(*seconds, format!("{seconds:.0}")),
            Cell::count(statistics.generated),
            Cell::count(statistics.evaluated),
            Cell::number(hits, format!("{:.1} %", 100.0 * hits)),
        ];
        cells.extend(compared.iter().map(|name| {
            let found = last.gains.iter().find(|(known, ..)| known == name);
            found.map_or_else(
                || Cell::text("-"),
                |(_, mean, error)| Cell::percent(*mean, Some(*error)),
            )
        }));
        table.rows.push(cells);
    }
    blocks.push(Block::Table(table));
    let finals = all().map(|(seed, place, search)| {
        let title = format!("{}: {}", named(seed, place), search.last.structure);
        Block::Details(title, one(search))
    });
    let finals: Vec<Block> = finals.collect();
    let facts = vec![
        fact("looked for", &target),
        fact(
            "seeds",
            attempts.iter().map(|attempt| attempt.seed.to_string()).collect::<Vec<_>>().join(", "),
        ),
        fact("searches a seed, at most", protocol.repeats),
        fact("suite", &protocol.search.suite),
        fact("seeds of the report", protocol.finals.report_seeds),
        fact(
            "compared with",
            names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", "),
        ),
    ];
    let note = "This command makes the page again from what its directory keeps, byte for byte; made anew, only the seconds are others:";
    let title = format!("Rediscovery of {}", target.trim_end_matches("-like"));
    let sections = vec![
        Section::new("What was found", blocks),
        Section::new("Each final", finals),
        made_by(command, note, facts, written(protocol)),
    ];
    page("rediscovery", title, verdict, sections)
}

/// A search and its final.
fn one(search: &Searched) -> Vec<Block> {
    let Searched { seed, stop, classes, last, .. } = search;
    let columns = vec![
        Column::number("generated"),
        Column::number("fitness in the search"),
        Column::text("structure"),
        Column::text("structure of its sign"),
    ];
    let mut table = Table::new("When the best program became one of another structure", columns);
    for change in classes {
        table.rows.push(vec![
            Cell::count(change.generated),
            match change.fitness.improvement() {
                Some(share) => Cell::percent(share, None),
                None => Cell::text(change.fitness.to_string()),
            },
            Cell::text(change.structure.to_string()),
            Cell::text(change.of_sign.to_string()),
        ]);
    }
    vec![
        Block::Paragraph(format!(
            "The search, seed {seed}, ended: {stop}. {}.",
            last.classification.trim_end_matches('.')
        )),
        Block::Table(table),
        Block::Paragraph(format!(
            "What simplification leaves (label \u{201c}{}\u{201d}):",
            last.label
        )),
        code(&last.simplified),
        Block::Paragraph("The best program, a direction, without redundant statements:".to_owned()),
        code(&last.program),
    ]
}
