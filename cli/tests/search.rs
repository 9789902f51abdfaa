//! Searches by the real binary: interrupted, killed, resumed, on any number of threads, they end
//! the same.

mod common;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use common::{Ended, output, run, symopt};
use serde_json::Value;
use symopt_search::Journal;

/// About a second of searching.
const PROGRAMS: u64 = 12_000;

/// A search by its store and whatever else.
fn arguments<'a>(store: &'a str, programs: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    let mut arguments =
        vec!["search", "--suite", "smoke", "--population", "100", "--held-out", "0", "--json"];
    arguments.extend(["--store", store, "--programs", programs]);
    arguments.extend(rest);
    arguments
}

fn programs() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| PROGRAMS.to_string())
}

/// Result of a search that nobody interrupts.
struct Reference {
    directory: tempfile::TempDir,
    contents: String,
    report: Value,
    /// From the first acknowledged evaluation to the end.
    span: Duration,
}

fn reference() -> &'static Reference {
    static REFERENCE: OnceLock<Reference> = OnceLock::new();
    REFERENCE.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let mut child =
            spawn(directory.path(), &arguments("store", programs(), &["--threads", "2"]));
        wait_for_an_evaluation(&mut child, &directory.path().join("store"));
        let begin = Instant::now();
        let report = json(&ended(child));
        let span = begin.elapsed();
        Reference { contents: contents(&directory.path().join("store")), report, span, directory }
    })
}

fn contents(store: &Path) -> String {
    Journal::open(store).unwrap().contents().unwrap()
}

fn spawn(directory: &Path, arguments: &[&str]) -> Child {
    symopt(directory).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn ended(child: Child) -> Ended {
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ended { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

fn json(ended: &Ended) -> Value {
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    serde_json::from_str(&ended.stdout).unwrap()
}

/// Waits until the store says that an evaluation was acknowledged, or the search has ended.
fn wait_for_an_evaluation(child: &mut Child, store: &Path) {
    let begin = Instant::now();
    let acknowledged =
        || std::fs::read_to_string(store.join("acknowledged")).ok()?.trim().parse::<u64>().ok();
    while acknowledged().is_none_or(|count| count == 0) {
        if child.try_wait().unwrap().is_some() {
            return;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "no evaluation after a minute");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Returns the parts that two reports must share: all that does not depend on the clock, the place
/// or the limits.
fn result_of(report: &Value) -> (Value, Value) {
    (report["best"].clone(), report["statistics"].clone())
}

fn assert_equals_reference(store: &Path, report: &Value) {
    assert_eq!(result_of(report), result_of(&reference().report));
    assert!(
        contents(store) == reference().contents,
        "the contents of {} differ from those of an uninterrupted search",
        store.display()
    );
}

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[test]
fn a_search_killed_at_random_moments_and_resumed_ends_like_one_that_was_not() {
    let reference = reference();
    let mut random = Random(20);
    let mut killed_early = 0;
    for trial in 0..20 {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let mut child = spawn(path, &arguments("store", programs(), &["--threads", "2"]));
        wait_for_an_evaluation(&mut child, &path.join("store"));
        std::thread::sleep(reference.span.mul_f64(0.75 * random.share()));
        child.kill().unwrap();
        killed_early += u32::from(!child.wait().unwrap().success());
        // Up to two more, at any moment of the resumed search: while it opens the store, breeds
        // again, or evaluates.
        for _ in 0..(3.0 * random.share()) as u32 {
            let mut child = spawn(path, &["resume", "store", "--held-out", "0", "--json"]);
            std::thread::sleep(reference.span.mul_f64(0.75 * random.share()));
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let report = json(&run(path, &["resume", "store", "--held-out", "0", "--json"]));
        eprintln!("trial {trial}: {} programs", report["statistics"]["generated"]);
        assert_equals_reference(&path.join("store"), &report);
    }
    // Otherwise the test shows nothing.
    assert!(killed_early >= 5, "only {killed_early} of 20 searches were killed before their end");
}

#[test]
fn a_search_with_proposals_that_is_killed_asks_again_only_for_what_was_lost() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let answer = r#"while read -r line; do child=$(printf '%s' "$line" | sed 's/.*"child":\([0-9]*\).*/\1/')
printf '{"child":%s,"program":"def f(w, g, m, v, lr):\\n  m = g * 0.%s\\n  update = m * lr\\n  return update, m, v"}\n' $child $child; done"#;
    let started = |store: &'static str| arguments(store, "3000", &["--proposals", answer]);
    let whole = json(&run(directory, &started("whole")));
    assert!(whole["operators"][3]["operator"] == "proposal");
    assert!(whole["operators"][3]["children"].as_u64().unwrap() > 100);
    let mut child = spawn(directory, &started("parts"));
    wait_for_an_evaluation(&mut child, &directory.join("parts"));
    std::thread::sleep(Duration::from_millis(300));
    child.kill().unwrap();
    child.wait().unwrap();
    let resume = ["resume", "parts", "--held-out", "0", "--json", "--proposals", answer];
    let parts = json(&run(directory, &resume));
    assert_eq!(result_of(&parts), result_of(&whole));
    assert_eq!(parts["operators"], whole["operators"]);
    assert_eq!(contents(&directory.join("parts")), contents(&directory.join("whole")));
    // Known proposals need no command; unknown ones do.
    let known = run(directory, &["resume", "parts", "--held-out", "0", "--json"]);
    assert_eq!(json(&known)["operators"], whole["operators"]);
    let more = ["resume", "parts", "--held-out", "0", "--json", "--programs", "4000"];
    let refused = run(directory, &more);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(refused.stderr.contains("give one with --proposals COMMAND"), "{}", refused.stderr);
    let unasked = ["resume", "whole", "--proposals", "true", "--held-out", "0"];
    assert_eq!(run(directory, &unasked).code, Some(0));
    let plain = json(&run(directory, &arguments("plain", "100", &[])));
    assert_eq!(plain["operators"].as_array().unwrap().len(), 3);
    let unasked = run(directory, &["resume", "plain", "--proposals", "true"]);
    assert_eq!(unasked.code, Some(2));
    assert!(unasked.stderr.contains("begun without proposals"), "{}", unasked.stderr);
}

#[test]
fn the_number_of_threads_changes_nothing() {
    for threads in ["1", "8"] {
        let directory = tempfile::tempdir().unwrap();
        let report =
            json(&run(directory.path(), &arguments("store", programs(), &["--threads", threads])));
        assert_equals_reference(&directory.path().join("store"), &report);
    }
}

/// The end of a command that was interrupted, without the message about that.
fn interrupted(child: Child) -> Ended {
    let ended = ended(child);
    assert_eq!(ended.code, Some(0));
    let stderr = ended
        .stderr
        .strip_prefix(common::INTERRUPTED)
        .unwrap_or_else(|| panic!("{}", ended.stderr))
        .to_owned();
    // How it goes on is said once, and not in the middle of JSON.
    let hint = stderr
        .strip_prefix("interrupted; `symopt resume ")
        .is_some_and(|hint| hint.ends_with("` goes on\n"));
    assert!(hint == ended.stdout.starts_with('{') && hint != stderr.is_empty(), "{stderr}");
    Ended { stderr: String::new(), ..ended }
}

/// Sends a signal by name.
fn signal(child: &Child, name: &str) {
    assert!(
        Command::new("kill")
            .args(["-s", name, &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn an_interrupted_search_reports_what_it_has_and_goes_on_when_resumed() {
    for name in ["INT", "TERM"] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let mut child = spawn(path, &arguments("store", programs(), &[]));
        wait_for_an_evaluation(&mut child, &path.join("store"));
        std::thread::sleep(reference().span.mul_f64(0.2).min(Duration::from_millis(50)));
        signal(&child, name);
        let report = json(&interrupted(child));
        assert_eq!(report["stop"], "interrupted", "SIG{name}");
        let generated = report["statistics"]["generated"].as_u64().unwrap();
        assert!(generated < PROGRAMS, "SIG{name}");

        // Its best program can be looked at before it goes on.
        let hash = report["best"]["hash"].as_str().unwrap();
        let inspection: Value =
            serde_json::from_str(&output(path, &["inspect", &format!("store:{hash}"), "--json"]))
                .unwrap();
        assert_eq!(
            (&inspection["hash"], &inspection["source"]),
            (&report["best"]["hash"], &report["best"]["program"])
        );
        assert_eq!(inspection["pruned"], report["best"]["pruned"]);

        let report = json(&run(path, &["resume", "store", "--held-out", "0", "--json"]));
        assert_eq!(report["stop"], "programs");
        assert_equals_reference(&path.join("store"), &report);
    }
}

#[test]
fn an_interrupted_search_says_so_to_people() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let mut child =
        spawn(path, &["search", "--suite", "smoke", "--programs", "0", "--name", "mine"]);
    wait_for_an_evaluation(&mut child, &path.join("runs/mine"));
    signal(&child, "INT");
    let ended = interrupted(child);
    // Without a limit it goes on without one.
    for part in [
        "store: runs/mine",
        ": interrupted\n",
        "best program, fitness",
        "  symopt resume runs/mine --programs 0\n",
    ] {
        assert!(ended.stdout.contains(part), "{part} is missing:\n{}", ended.stdout);
    }
    assert!(
        ended.stdout.starts_with("store: runs/mine\n")
            && ended.stdout.ends_with("store: runs/mine\n"),
        "{}",
        ended.stdout
    );
}

#[test]
fn the_report_as_json_has_its_fields() {
    let directory = tempfile::tempdir().unwrap();
    let mut arguments = arguments("store", "300", &[]);
    let held_out = arguments.iter().position(|argument| *argument == "--held-out").unwrap();
    arguments[held_out + 1] = "2";
    let report = json(&run(directory.path(), &arguments));
    let keys = |value: &Value| {
        value.as_object().unwrap().keys().cloned().collect::<Vec<String>>().join(" ")
    };
    assert_eq!(
        keys(&report),
        "baseline best cache_hit_rate comparison evaluated_in_session_seconds evaluating_seconds failures front generated_in_session_seconds history \
         operators race redundant_share seconds session_seconds statistics stop store"
    );
    assert_eq!(
        keys(&report["race"]),
        "finalists leader protocol runs winners_curse winners_curse_of_best"
    );
    assert_eq!(
        keys(&report["race"]["finalists"][0]),
        "fresh hash is_discovery is_in lower_bound own own_seeds p_value place seeds"
    );
    assert_eq!(keys(&report["best"]), "fitness hash label program pruned simplified");
    assert_eq!(
        keys(&report["comparison"][0]),
        "first_ahead held_out name search_seeds standard_error tasks"
    );
    assert_eq!(
        (&report["store"], &report["stop"]),
        (&Value::from("store"), &Value::from("programs"))
    );
    assert_eq!(report["statistics"]["generated"], 300);
    for rate in ["cache_hit_rate", "redundant_share"] {
        assert!((0.0..=1.0).contains(&report[rate].as_f64().unwrap()), "{rate}");
    }
    let rows = report["comparison"].as_array().unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["best found", "adamw", "lion", "initial"]);
    assert_eq!(rows[0]["search_seeds"], report["best"]["fitness"]);
    assert_eq!(rows[1]["held_out"]["improvement"], 0.0, "AdamW is the baseline");
}

#[test]
fn an_evolved_program_does_not_carry_the_name_and_doc_of_the_first() {
    let report = &reference().report;
    for text in ["program", "pruned"] {
        let text = report["best"][text].as_str().unwrap();
        assert!(text.starts_with("@guarded\ndef train(w, g, "), "{text}");
    }
}

#[test]
fn stores_without_a_name_are_called_after_the_suite_and_the_seed_and_numbered() {
    let directory = tempfile::tempdir().unwrap();
    let search = ["search", "--suite", "smoke", "--programs", "20", "--held-out", "0", "--json"];
    let mut stores = Vec::new();
    // Searches with the same suite and seed differ in something else.
    for (seed, population) in [("0", "10"), ("0", "11"), ("7", "10"), ("0", "12")] {
        let report = json(&run(
            directory.path(),
            &[&search[..], &["--seed", seed, "--population", population]].concat(),
        ));
        stores.push(report["store"].as_str().unwrap().to_owned());
    }
    assert_eq!(
        stores,
        ["runs/smoke-seed0", "runs/smoke-seed0-2", "runs/smoke-seed7", "runs/smoke-seed0-3"]
    );
    for store in stores {
        output(directory.path(), &["resume", &store, "--held-out", "0"]);
    }
}

#[test]
fn the_same_search_again_goes_on_where_it_is_and_is_not_repeated() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let search = |more: &[&str]| {
        run(
            path,
            &[
                &["search", "--suite", "smoke", "--population", "50", "--held-out", "0", "--json"],
                more,
            ]
            .concat(),
        )
    };
    let first = json(&search(&["--programs", "600"]));
    // Finished, then with a higher limit, then with a lower one.
    for (programs, evaluated) in [("600", false), ("900", true), ("600", false)] {
        let again = search(&["--programs", programs]);
        assert!(
            again.code == Some(0)
                && again.stderr.starts_with("runs/smoke-seed0 holds this search already"),
            "{}",
            again.stderr
        );
        assert!(
            ["--seed", "--name", "--store"].iter().all(|option| again.stderr.contains(option)),
            "{}",
            again.stderr
        );
        let again: Value = serde_json::from_str(&again.stdout).unwrap();
        assert_eq!(
            (&again["store"], again["statistics"]["generated"].to_string().as_str()),
            (&Value::from("runs/smoke-seed0"), programs)
        );
        assert_eq!(again["evaluated_in_session_seconds"] != 0, evaluated);
        if programs == "600" {
            assert_eq!(result_of(&again), result_of(&first));
        }
    }
    let text = output(
        path,
        &[
            "search",
            "--suite",
            "smoke",
            "--population",
            "50",
            "--held-out",
            "0",
            "--programs",
            "600",
        ],
    );
    assert!(
        text.starts_with("runs/smoke-seed0 holds this search already")
            && text.ends_with("store: runs/smoke-seed0\n"),
        "{text}"
    );
    // A search that is asked for by name is made, and one that differs too.
    for note in [
        "runs/smoke-seed0 holds this search already, which is done again",
        "runs/mine holds this search already, which goes on there",
    ] {
        let mine = search(&["--programs", "600", "--name", "mine"]);
        assert!(mine.stderr.starts_with(note), "{}", mine.stderr);
        assert_eq!(result_of(&serde_json::from_str(&mine.stdout).unwrap()), result_of(&first));
    }
    assert_eq!(
        json(&search(&["--programs", "600", "--tournament", "3"]))["store"],
        "runs/smoke-seed0-2"
    );
    // A campaign likewise.
    let campaign = |name: &str| {
        let ended = search(&["--programs", "100", "--repeats", "2"]);
        assert_eq!(ended.stderr.is_empty(), name.is_empty(), "{}", ended.stderr);
        let report: Value = serde_json::from_str(&ended.stdout).unwrap();
        report["campaign"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        (campaign("").as_str(), campaign("again").as_str()),
        ("runs/smoke-seed0-3", "runs/smoke-seed0-3")
    );
}

/// A suite whose runs take long, with one checkpoint each.
const LONG: &str = r#"
name = "long"
seeds = [1]

[[task]]
name = "a"
steps = 2000000
batch = 64
checkpoints = 1
training = 256
validation = 64
data = { kind = "digits" }
model = { kind = "mlp", hidden = [32], activation = "relu" }
[[task.tuned]]
program = "adamw"
peak_lr = 0.01
hyperparameters = []
"#;

#[test]
fn runs_that_take_long_end_within_a_second_after_an_interrupt() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    std::fs::write(path.join("long.toml"), LONG).unwrap();
    let commands = [
        "search --suite long.toml",
        "train --task long.toml/a --program lion",
        "tune --task long.toml/a --program lion",
        "tune --task long.toml/a --program lion --budget 100",
        "tasks --landscape long.toml --program lion",
        "simplify lion --ablate --suite long.toml",
        "inspect lion --tasks long.toml",
    ];
    for command in commands {
        let mut child = spawn(path, &command.split(' ').collect::<Vec<_>>());
        std::thread::sleep(Duration::from_millis(700));
        assert!(child.try_wait().unwrap().is_none(), "{command}");
        signal(&child, "INT");
        let begin = Instant::now();
        let ended = ended(child);
        assert!(begin.elapsed() < Duration::from_secs(10), "{command}: {:?}", begin.elapsed());
        assert_eq!(ended.code, Some(1), "{command}: {}", ended.stderr);
        let message = ended
            .stderr
            .strip_prefix(common::INTERRUPTED)
            .unwrap_or_else(|| panic!("{command}: {}", ended.stderr));
        assert!(message.starts_with("error: interrupted "), "{command}: {message}");
    }
}

#[test]
fn the_printed_settings_are_the_default_ones() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let text = output(path, &["search", "--print-config"]);
    std::fs::write(path.join("config.toml"), &text).unwrap();
    let plain = json(&run(path, &arguments("plain", "500", &[])));
    let from_file = run(path, &arguments("from-file", "500", &["--config", "config.toml"]));
    // It is the same search, and the command says so.
    assert!(
        from_file.stderr.starts_with("plain holds this search already"),
        "{}",
        from_file.stderr
    );
    let from_file = json(&Ended { stderr: String::new(), ..from_file });
    assert_eq!(result_of(&plain), result_of(&from_file));
    assert_eq!(contents(&path.join("plain")), contents(&path.join("from-file")));
    // And a setting in a file is taken.
    std::fs::write(path.join("config.toml"), text.replace("seed = 0", "seed = 1")).unwrap();
    let other = json(&run(path, &arguments("other", "500", &["--config", "config.toml"])));
    assert_ne!(result_of(&plain), result_of(&other));
}

#[test]
fn a_resumed_search_with_a_higher_limit_equals_a_longer_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let half = (PROGRAMS / 2).to_string();
    let short = json(&run(path, &arguments("store", &half, &[])));
    assert_eq!(short["statistics"]["generated"], PROGRAMS / 2);
    let report = json(&run(
        path,
        &["resume", "store", "--programs", programs(), "--held-out", "0", "--json"],
    ));
    assert_eq!(result_of(&report), result_of(&reference().report));
    // The store keeps the settings that the search was started with; all else is equal.
    let but_settings = |text: &str| {
        text.lines()
            .filter(|line| !line.starts_with("settings\t"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert!(but_settings(&contents(&path.join("store"))) == but_settings(&reference().contents));
}

#[test]
fn resuming_a_search_that_has_ended_reports_it_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    common::copy(&reference().directory.path().join("store"), &store);
    let report = json(&run(directory.path(), &["resume", "store", "--held-out", "0", "--json"]));
    assert_equals_reference(&store, &report);
}

/// The words of the hint that begins with some words.
fn hint(text: &str, begin: &str) -> Vec<String> {
    let line = text
        .lines()
        .find(|line| line.trim_start().starts_with(begin))
        .unwrap_or_else(|| panic!("{begin} is missing:\n{text}"));
    let script = format!(
        "for word in {}; do printf '%s\\0' \"$word\"; done",
        line.trim_start().strip_prefix("symopt ").unwrap()
    );
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split_terminator('\0').map(str::to_owned).collect()
}

#[test]
fn the_hint_after_an_interrupt_finishes_the_same_search_whatever_its_name() {
    for store in ["it's \"my\" $(store) `x` \\", "-x"] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let given = format!("--store={store}");
        let mut arguments = vec![
            "search",
            "--suite",
            "smoke",
            "--population",
            "100",
            "--held-out",
            "0",
            &given,
            "--programs",
            "2500",
        ];
        assert_eq!(run(path, &arguments).code, Some(0));
        // Resumed with a limit that is not in the store, and interrupted.
        let count =
            || std::fs::read_to_string(path.join(store).join("acknowledged")).unwrap_or_default();
        let before = count();
        let child = spawn(
            path,
            &[
                "resume",
                &format!("./{store}"),
                "--programs",
                programs(),
                "--held-out",
                "0",
                "--threads",
                "1",
            ],
        );
        let begin = Instant::now();
        while count() == before && begin.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(1));
        }
        signal(&child, "INT");
        let text = interrupted(child).stdout;
        let hint = hint(&text, "symopt resume ");
        assert_eq!(
            hint[1..],
            [&format!("./{store}"), "--programs", programs(), "--threads", "1", "--held-out", "0"]
        );
        arguments = hint.iter().map(String::as_str).collect();
        arguments.push("--json");
        assert_eq!(result_of(&json(&run(path, &arguments))), result_of(&reference().report));
    }
}

#[test]
fn rates_after_a_resume_are_those_of_the_session() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let first = json(&run(path, &arguments("store", "2000", &[])));
    assert_eq!(
        (&first["generated_in_session_seconds"], &first["evaluated_in_session_seconds"]),
        (&first["statistics"]["generated"], &first["statistics"]["evaluated"])
    );
    let arguments = ["resume", "store", "--programs", "2500", "--held-out", "0"];
    let text = output(path, &arguments);
    let line = text.lines().find(|line| line.contains(" programs generated (")).unwrap();
    assert!(line.starts_with("2500 programs generated (500 in this session, "), "{line}");
    let again = json(&run(path, &[&arguments[..], &["--json"]].concat()));
    assert_eq!(
        (&again["statistics"]["generated"], &again["evaluated_in_session_seconds"]),
        (&Value::from(2500), &Value::from(0))
    );
    assert!(output(path, &arguments).contains(" evaluated (none in this session; "));
}

#[test]
fn a_search_that_has_ended_goes_on_by_the_limit_that_ended_it() {
    let directory = tempfile::tempdir().unwrap();
    let limits: [(&[&str], &[&str]); 4] = [
        (&["--programs", "200"], &["--programs", "400"]),
        // Not one more is evaluated.
        (&["--programs", "0", "--evaluations", "50"], &["--programs", "0", "--evaluations", "100"]),
        (
            &["--target-program", "adamw-paper", "--programs", "300"],
            &["--programs", "600", "--target-program", "adamw-paper"],
        ),
        (&["--target-fitness=-5"], &["--target-fitness="]),
    ];
    for (place, (given, expected)) in limits.into_iter().enumerate() {
        let store = format!("store-{place}");
        let search = [
            "search",
            "--suite",
            "smoke",
            "--population",
            "50",
            "--held-out",
            "0",
            "--store",
            &store,
        ];
        let text = output(directory.path(), &[&search[..], given].concat());
        let hint = hint(&text, "symopt resume ").join(" ");
        assert!(hint.starts_with(&format!("resume {store} {}", expected.join(" "))), "{hint}");
        assert!(!hint.contains("--evaluations 0"), "{hint}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn threads_that_cannot_be_started_are_an_error() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    for (processes, expected) in [(30, "of 1000 can't be started"), (1, "can't start threads")] {
        let search = "search --suite smoke --threads 1000 --programs 50";
        // Shells differ in the option's letter.
        let limited = format!(
            "ulimit -p {processes} 2>/dev/null || ulimit -u {processes}; exec '{}' {search} --store s{processes}",
            env!("CARGO_BIN_EXE_symopt")
        );
        let mut command = Command::new("sh");
        command.args(["-c", &limited]).current_dir(directory.path());
        let is_root = std::fs::metadata(directory.path()).unwrap().uid() == 0;
        if is_root {
            // The limit does not bind root, so the command runs as nobody.
            std::os::unix::process::CommandExt::uid(&mut command, 65534);
        }
        let ended = command.output().unwrap();
        let stderr = String::from_utf8(ended.stderr).unwrap();
        // Nobody may not reach the binary, and another user than root has processes that count.
        if stderr.contains("Permission denied") || (!is_root && stderr.contains("fork")) {
            continue;
        }
        assert_eq!(ended.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(expected) || !is_root, "{stderr}");
        assert!(
            stderr.contains("allow this user more processes") && !stderr.contains("panicked"),
            "{stderr}"
        );
    }
}
