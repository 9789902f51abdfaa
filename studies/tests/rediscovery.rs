//! The protocol of the rediscovery, and what happens to finals.

use std::path::Path;

use symopt_analysis::structure::Structure;
use symopt_cancel::CancelToken;
use symopt_dsl::{Function, Program};
use symopt_search::config::Form;
use symopt_search::engine::Progress;
use symopt_search::judge::form;
use symopt_search::space::Space;
use symopt_studies::rediscovery::{
    Attempt, Observer, PROTOCOL, PROTOCOLS, Protocol, Rediscovery, Summary, keep_protocol,
};

struct Nobody;

impl Observer for Nobody {
    fn progress(&mut self, _seed: u64, _progress: &Progress) {}
}

fn protocol() -> Protocol {
    Protocol::from_toml("the frozen protocol", PROTOCOL).unwrap()
}

#[test]
fn the_frozen_protocol_starts_from_adamw_with_all_functions_and_the_three_mutations() {
    let Protocol { search, finals, .. } = protocol();
    assert_eq!(
        (search.initial.to_string().as_str(), search.suite.as_str()),
        ("adamw-paper", "lion")
    );
    assert_eq!(search.fitness.form, Form::Direction);
    let mutation = &search.mutation;
    assert_eq!((mutation.insert, mutation.delete, mutation.modify), (1.0, 1.0, 1.0));
    assert!(!mutation.constants_only);
    // Nothing about Lion goes into a search: it is no target, only a peer in the end.
    assert!(search.limits.target_program.is_empty());
    assert!(finals.peers.iter().any(|peer| peer.program == "lion"));
    assert!(finals.report_seeds >= 32);
}

#[test]
fn the_protocols_of_muon_start_from_adamw_and_one_leaves_newton_schulz_out() {
    let of = |name: &str| {
        let (_, text) = PROTOCOLS.into_iter().find(|(known, _)| *known == name).unwrap();
        Protocol::from_toml(name, text).unwrap()
    };
    let (muon, products) = (of("muon"), of("muon-by-products"));
    assert_eq!((of("lion").target, muon.target), (Structure::LionLike, Structure::MuonLike));
    assert_eq!(muon.search.initial.to_string(), "adamw-paper");
    assert!(muon.search.limits.target_program.is_empty());
    let functions = |protocol: &Protocol| {
        Space::parse(&protocol.search.mutation.functions).unwrap().functions().to_vec()
    };
    let all = functions(&muon);
    assert!(all.contains(&Function::NewtonSchulz) && all.contains(&Function::Matmul));
    // The rest of both is the same.
    let without: Vec<Function> =
        all.into_iter().filter(|function| *function != Function::NewtonSchulz).collect();
    assert_eq!(functions(&products), without);
    let mut same = products.clone();
    same.search.mutation.functions.clone_from(&muon.search.mutation.functions);
    assert_eq!(same, muon);
}

/// A smaller protocol on the same suite, for a search of a second.
fn small() -> Protocol {
    let mut protocol = protocol();
    protocol.finals.tuning_seeds = 4;
    protocol.finals.simplification_seeds = 8;
    protocol.finals.report_seeds = 8;
    for peer in &mut protocol.finals.peers {
        peer.values.truncate(0);
    }
    protocol.search.evolution.population = 50;
    protocol.search.fitness.rotate = 1000;
    protocol.search.limits.programs = 1250;
    protocol.repeats = 2;
    protocol
}

fn direction_of(body: &[&str]) -> Program {
    let lines: String = body.iter().map(|line| format!("  {line}\n")).collect();
    let text = format!("@guarded\ndef train(w, g, m, v, lr):\n{lines}  return update, m, v\n");
    form::split(&symopt_dsl::parse(&text).unwrap()).unwrap()
}

#[test]
fn a_final_in_disguise_becomes_lion_and_one_with_a_single_average_does_not() {
    let rediscovery = Rediscovery::new(small(), 2, &CancelToken::new()).unwrap();
    let nobody = CancelToken::new();
    let disguised = direction_of(&[
        "m = interp(g, m, 0.995)",
        "x = interp(g, m, 0.98)",
        "n = global_norm(x)",
        "y = x / n",
        "z = cbrt(y)",
        "unused = exp(z)",
        "update = x / abs(x)",
    ]);
    let last = rediscovery.finish(&disguised, &nobody).unwrap();
    assert_eq!(last.structure, Structure::LionLike, "{}", last.simplified);
    assert!(
        last.simplified.contains("sign(") && !last.simplified.contains("cbrt"),
        "{}",
        last.simplified
    );
    assert_eq!(last.gains.len(), 3);
    let signum = rediscovery
        .finish(&direction_of(&["m = interp(g, m, 0.99)", "update = sign(m)"]), &nobody)
        .unwrap();
    assert_eq!(signum.structure, Structure::SignumLike);
    let adamw = direction_of(&[
        "m = interp(g, m, 0.9)",
        "v = interp(square(g), v, 0.999)",
        "update = m / sqrt(v)",
    ]);
    assert_ne!(rediscovery.finish(&adamw, &nobody).unwrap().structure, Structure::LionLike);
}

/// Time alone may differ between two runs.
fn without_time(attempt: &mut Attempt) {
    for search in &mut attempt.searches {
        search.seconds = 0.0;
        for change in &mut search.classes {
            change.seconds = 0.0;
        }
    }
}

/// Cancels a search when so many programs have been generated, and notes what is generated that
/// was not in the store.
struct CancelAt<'a> {
    programs: u64,
    cancel: &'a CancelToken,
    new: u64,
}

impl Observer for CancelAt<'_> {
    fn progress(&mut self, _seed: u64, progress: &Progress) {
        self.new += u64::from(progress.statistics.generated > progress.recorded);
        if progress.statistics.generated >= self.programs {
            self.cancel.cancel();
        }
    }
}

#[test]
fn an_interrupted_attempt_goes_on_in_its_search_and_ends_as_one_that_was_not() {
    let directory = tempfile::tempdir().unwrap();
    let rediscovery = Rediscovery::new(small(), 2, &CancelToken::new()).unwrap();
    let of = |name: &str| directory.path().join(name);
    let mut whole =
        rediscovery.attempt_in(&of("whole"), 5, &CancelToken::new(), &mut Nobody).unwrap().unwrap();
    let parts = of("parts");
    let until = |programs: u64| {
        let cancel = CancelToken::new();
        let mut observer = CancelAt { programs, cancel: &cancel, new: 0 };
        let attempt = rediscovery.attempt_in(&parts, 5, &cancel, &mut observer).unwrap();
        (attempt, observer.new)
    };
    for programs in [200, 900] {
        assert!(until(programs).0.is_none());
        assert!(
            parts.join("seed-5/search-1.json").is_file() && !parts.join("seed-5.json").exists()
        );
    }
    // A store that was just being made, and the first search as if its end had not been noted,
    // which is not searched again.
    std::fs::create_dir_all(parts.join("seed-5/search-2/journal")).unwrap();
    std::fs::remove_file(parts.join("seed-5/search-1.json")).unwrap();
    let (attempt, new) = until(u64::MAX);
    let mut attempt = attempt.unwrap();
    assert!(new < 2500 - 500, "{new} programs of 2500 were new in the last session");
    for attempt in [&mut whole, &mut attempt] {
        without_time(attempt);
    }
    assert_eq!(whole, attempt);
    // All is there: no search runs again, though the result of the seed itself is gone.
    std::fs::remove_file(parts.join("seed-5.json")).unwrap();
    std::fs::remove_dir_all(parts.join("seed-5/search-1")).unwrap();
    assert_eq!(
        until(1),
        (rediscovery.attempt_in(&parts, 5, &CancelToken::new(), &mut Nobody).unwrap(), 0)
    );
}

#[test]
fn a_damaged_result_is_refused_and_one_of_an_earlier_release_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let mut protocol = small();
    protocol.repeats = 1;
    protocol.search.limits.programs = 100;
    let rediscovery = Rediscovery::new(protocol, 2, &CancelToken::new()).unwrap();
    let again = || rediscovery.attempt_in(directory.path(), 1, &CancelToken::new(), &mut Nobody);
    let attempt = again().unwrap().unwrap();
    let path = directory.path().join("seed-1.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let damaged = text.replacen("\"generated\": 100", "\"generated\": 101", 1);
    assert_ne!(damaged, text);
    std::fs::write(&path, damaged).unwrap();
    let error = again().unwrap_err().to_string();
    assert!(
        error.contains("seed-1.json")
            && error.contains("checksum")
            && error.contains("move it away"),
        "{error}"
    );
    std::fs::write(&path, serde_json::to_string_pretty(&attempt).unwrap()).unwrap();
    assert_eq!(again().unwrap().unwrap(), attempt);
    // A file of the user's in the place of a store stays.
    std::fs::create_dir_all(directory.path().join("seed-2/search-1")).unwrap();
    let mine = directory.path().join("seed-2/search-1/notes.txt");
    std::fs::write(&mine, "mine").unwrap();
    assert!(
        rediscovery.attempt_in(directory.path(), 2, &CancelToken::new(), &mut Nobody).is_err()
            && mine.is_file()
    );
}

#[test]
fn an_attempt_is_the_same_on_any_number_of_threads_and_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let run = |threads: usize, name: &str| {
        let rediscovery = Rediscovery::new(small(), threads, &CancelToken::new()).unwrap();
        let path = directory.path().join(name);
        keep_protocol(&path, "a protocol").unwrap();
        let mut attempt =
            rediscovery.attempt_in(&path, 5, &CancelToken::new(), &mut Nobody).unwrap().unwrap();
        let again =
            rediscovery.attempt_in(&path, 5, &CancelToken::new(), &mut Nobody).unwrap().unwrap();
        assert_eq!(attempt, again);
        let report = rediscovery.report(std::slice::from_ref(&attempt));
        assert!(
            report.contains("## Seed 5, search 2")
                && report.contains("0 of 1 seeds end Lion-like, from adamw-paper"),
            "{report}"
        );
        without_time(&mut attempt);
        attempt
    };
    let one = run(1, "one");
    assert_eq!(one, run(2, "two"));
    assert_eq!(one.searches.iter().map(|search| search.seed).collect::<Vec<_>>(), [10, 11]);
    assert_eq!((one.generated(), one.rediscovered()), (2500, false));
    assert!(one.searches.iter().all(|search| !search.classes.is_empty()));
    assert_ne!(one.searches[0].statistics, one.searches[1].statistics);
    let summary = Summary::of(&[one]);
    assert_eq!((summary.attempts, summary.searches, summary.rediscovered), (1, 2, 0));
}

#[test]
fn wrong_protocols_and_reserved_seeds_are_refused_with_the_name() {
    for (wrong, name) in [
        ("repeats = 0", "repeats"),
        ("tuning_seeds = 0", "finals.tuning_seeds"),
        ("report_seeds = 1000000000", "finals.report_seeds"),
        ("tolerance = nan", "finals.tolerance"),
        ("confidence = 1.0", "finals.confidence"),
        ("form = \"program\"", "form"),
    ] {
        let key = wrong.split(" = ").next().unwrap();
        // The first line alone: [search.fitness] has tuning_seeds of its own.
        let line = PROTOCOL.lines().find(|line| line.starts_with(key)).unwrap();
        let text = PROTOCOL.replacen(line, wrong, 1);
        let error = Protocol::from_toml("mine.toml", &text).unwrap_err().to_string();
        assert!(error.contains("mine.toml") && error.contains(name), "{wrong}: {error}");
    }
    let directory = tempfile::tempdir().unwrap();
    let rediscovery = Rediscovery::new(small(), 1, &CancelToken::new()).unwrap();
    let error = rediscovery
        .attempt_in(directory.path(), 0xf_fff0, &CancelToken::new(), &mut Nobody)
        .unwrap_err()
        .to_string();
    assert!(error.contains("reserved"), "{error}");
}

#[test]
fn results_of_two_protocols_are_not_mixed() {
    let directory = tempfile::tempdir().unwrap();
    let path: &Path = directory.path();
    keep_protocol(path, "one").unwrap();
    keep_protocol(path, "one").unwrap();
    let error = keep_protocol(path, "two").unwrap_err().to_string();
    assert!(error.contains("another protocol") && error.contains("--output"), "{error}");
}
