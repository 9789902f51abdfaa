//! The race of a search's finalists at its end.

use std::io::Write;
use std::path::Path;

use symopt_cancel::CancelToken;
use symopt_proxy_tasks::sample::Gain;
use symopt_proxy_tasks::suite::Suite;
use symopt_search::config::Form;
use symopt_search::store::hall_of_fame::Entry;
use symopt_studies::StudyError;
use symopt_studies::finalists::{self, Entrant, Finalist, Protocol, Race};

use crate::failure::Failure;
use crate::progress::CountLine;
use crate::table;

/// How a front is raced where the comparison has so many held-out seeds and the search evaluated so
/// many programs: on twice as many seeds, but so that the race takes hardly more than a fifth of the
/// search's own training runs.
fn protocol(front: &[Entry], held_out: u16, evaluated: u64) -> Protocol {
    let usual = Protocol::default();
    let finalists = front.len().clamp(1, usual.finalists) as u64;
    let of_search = front.iter().map(|entry| u64::from(entry.seeds)).min().unwrap_or(1);
    let round = usize::from(held_out / 2).clamp(2, usual.round);
    let affordable = evaluated.saturating_mul(of_search) / 5 / finalists;
    let affordable = usize::try_from(affordable).unwrap_or(usize::MAX);
    let seeds = (2 * usize::from(held_out)).min(affordable).max(round);
    Protocol { seeds, round, ..usual }
}

/// Races the front of a search; `None` if there is none, or somebody wants the end.
pub(super) fn race(
    front: &[Entry],
    suite: &Suite,
    form: Form,
    (held_out, evaluated): (u16, u64),
    threads: usize,
    cancel: &CancelToken,
) -> Result<Option<Race>, Failure> {
    let entrants: Vec<Entrant> = front.iter().filter_map(Entrant::of).collect();
    if entrants.is_empty() || cancel.is_cancelled() {
        return Ok(None);
    }
    let line = CountLine::new("of the finalists' rounds on fresh seeds");
    let raced = finalists::race(
        suite,
        &entrants,
        form,
        protocol(front, held_out, evaluated),
        threads,
        cancel,
        &|done, total| line.draw(done as u64, total as u64),
    );
    line.finish();
    match raced {
        Ok(race) => Ok(Some(race)),
        Err(StudyError::Cancelled(_)) => Ok(None),
        Err(error) => Err(Failure::Work(format!("no race of the finalists: {error}"))),
    }
}

/// Prints who leads, who is better than AdamW, and how much of the fitness was luck.
pub(super) fn print(out: &mut impl Write, race: &Race, store: &Path) -> std::io::Result<()> {
    let Protocol { seeds, confidence, false_discoveries, .. } = race.protocol;
    let text = format!("the front on up to {seeds} other seeds, which nothing above has seen:");
    table::paragraph(out, &format!("\n{text}\n"))?;
    let mut lines = vec![
        ["PLACE", "SEARCH SEEDS", "FRESH SEEDS", "SEEDS", "LEAST", "BETTER", ""]
            .map(str::to_owned)
            .to_vec(),
    ];
    for finalist in &race.finalists {
        let percent = |value: f64| format!("{:+.2} %", 100.0 * value);
        let is_leader = race.leader == Some(finalist.place);
        lines.push(vec![
            finalist.place.to_string(),
            percent(finalist.own.mean),
            Gain::text(finalist.fresh),
            finalist.seeds.to_string(),
            finalist.lower_bound.map_or_else(|| "-".to_owned(), percent),
            if finalist.is_discovery { "yes" } else { "no" }.to_owned(),
            standing(finalist, is_leader).to_owned(),
        ]);
    }
    table::print(out, &lines, &[0, 1, 2, 3, 4], &[])?;
    let text = format!(
        "LEAST: lower bound at {:.0} %; BETTER than AdamW: at most {:.0} % of these by chance",
        100.0 * confidence,
        100.0 * false_discoveries
    );
    table::paragraph(out, &text)?;
    if let Some(curse) = race.winners_curse {
        table::paragraph(out, &curse_text(curse, race))?;
    }
    if let Some(leader) = race.leader.filter(|leader| *leader != 1) {
        let text = format!(
            "the leader is {}:{leader}, not the fittest on the search's own seeds",
            store.display()
        );
        table::paragraph(out, &text)?;
    }
    Ok(())
}

fn standing(finalist: &Finalist, is_leader: bool) -> &'static str {
    match finalist.fresh {
        _ if is_leader => "leads",
        None => "diverged",
        Some(_) if finalist.is_in => "not worse than the leader",
        Some(_) => "worse than the leader",
    }
}

fn curse_text(curse: Gain, race: &Race) -> String {
    let points = |gain: Gain| {
        let error = gain.standard_error.map(|error| format!(" ± {:.2}", 100.0 * error));
        format!("{:+.2}{}", 100.0 * gain.mean, error.unwrap_or_default())
    };
    let count = race.finalists.iter().filter(|finalist| finalist.fresh.is_some()).count();
    let best = race.winners_curse_of_best.map(|best| format!(", of the fittest {}", points(best)));
    format!(
        "winner's curse: own seeds say {} points more than fresh ones (mean of {count}){}",
        points(curse),
        best.unwrap_or_default()
    )
}
