//! The race of a search's finalists, on a real suite.

use symopt_cancel::CancelToken;
use symopt_proxy_tasks::sample::Gain;
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_search::config::Form;
use symopt_studies::finalists::{Entrant, Protocol, Race, race};

fn entrant(place: usize, text: &str, own: f64) -> Entrant {
    Entrant {
        place,
        hash: format!("{place}"),
        program: symopt_dsl::parse(text).unwrap_or_else(|faults| panic!("{faults}")),
        settings: Vec::new(),
        own: Gain { mean: own, standard_error: Some(0.01) },
        own_seeds: 3,
    }
}

fn run(threads: usize) -> Race {
    let suite = SuiteSource::find("smoke").unwrap().suite().unwrap();
    let adamw = symopt_programs::find("adamw-paper").unwrap().program().to_string();
    // Its own seeds promise most, and it does not train at all.
    let still = "def train(w, g, lr):\n  update = g * 0.0\n  return update\n";
    let away = "def train(w, g, lr):\n  update = g * -1e30\n  return update\n";
    let entrants = [entrant(1, still, 0.5), entrant(2, &adamw, 0.1), entrant(3, away, 0.05)];
    let protocol = Protocol { seeds: 12, round: 4, ..Protocol::default() };
    race(
        &suite,
        &entrants,
        Form::Program,
        protocol,
        threads,
        &CancelToken::new(),
        &|done, total| assert!(done <= total),
    )
    .unwrap()
}

#[test]
fn what_was_luck_shows_and_who_is_worse_leaves_on_any_number_of_threads() {
    let race = run(2);
    assert_eq!(race, run(1));
    assert_eq!(race.leader, Some(2));
    let [still, adamw, away] = &race.finalists[..] else { panic!("{race:?}") };
    assert!(adamw.is_in && !still.is_in && !away.is_in);
    // The race is over once the leader is alone.
    assert_eq!((still.seeds, adamw.seeds, away.seeds), (4, 4, 0));
    assert!(away.fresh.is_none() && away.p_value.is_none());
    assert!(!still.is_discovery && !away.is_discovery);
    let curse = race.winners_curse_of_best.unwrap().mean;
    assert!((curse - (0.5 - still.fresh.unwrap().mean)).abs() < 1e-12, "{curse}");
    // AdamW for each round, and all that ran.
    let tasks = SuiteSource::find("smoke").unwrap().suite().unwrap().tasks.len();
    assert_eq!(race.runs, 4 * tasks * 4);
}
